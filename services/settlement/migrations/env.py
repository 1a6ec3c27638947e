"""Alembic's entry: the work is in `shared.migrations`."""

from shared.migrations import environment

environment()
