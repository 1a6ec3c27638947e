"""Runs the service: `python -m services.enrollment`."""

from services.enrollment.app import make
from shared.service import run

if __name__ == "__main__":
    run("enrollment", make)
