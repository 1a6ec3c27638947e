"""Runs the service: `python -m services.notification`."""

from services.notification.app import make
from shared.service import run

if __name__ == "__main__":
    run("notification", make)
