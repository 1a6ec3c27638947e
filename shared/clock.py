"""Where the time comes from. Rules get `now`; only the edges own a `Clock`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

Clock = Callable[[], datetime]
"""Gives the present moment, in UTC, with its time zone."""


def system_clock() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


class ShiftedClock:
    """The machine's time plus a shift in seconds read from a file: a training cluster plays a month in minutes.

    The file is read again once a second at most; an absent or empty file is no shift.
    """

    def __init__(self, file: Path, base: Clock = system_clock) -> None:
        self._file, self._base = file, base
        self._shift = timedelta()
        self._read_at: datetime | None = None

    def __call__(self) -> datetime:
        now = self._base()
        if self._read_at is None or not timedelta() <= now - self._read_at < timedelta(seconds=1):
            self._shift, self._read_at = self._read(), now
        return now + self._shift

    def _read(self) -> timedelta:
        try:
            return timedelta(seconds=int(self._file.read_text().strip() or 0))
        except FileNotFoundError:
            return timedelta()


def make_clock(file: Path | None) -> Clock:
    """The clock a process uses: shifted when a clock file is configured, the machine's otherwise."""
    return ShiftedClock(file) if file else system_clock
