"""Runs the service: `python -m services.designation`."""

from services.designation.app import make
from shared.service import run

if __name__ == "__main__":
    run("designation", make)
