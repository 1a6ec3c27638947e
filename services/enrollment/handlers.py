"""Events enrollment hears: none so far."""

from __future__ import annotations

from shared.consumer import Handlers

HANDLERS: Handlers = {}
