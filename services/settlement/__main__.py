"""Runs the service: `python -m services.settlement`."""

from services.settlement.app import make
from shared.service import run

if __name__ == "__main__":
    run("settlement", make)
