"""Runs the service: `python -m services.claims`."""

from services.claims.app import make
from shared.service import run

if __name__ == "__main__":
    run("claims", make)
