"""The clock of the play: a training cluster reads its shift from a file, so that a month passes in minutes."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time
from pathlib import Path

from shared.workdays import SHANGHAI

_SEEN_AFTER_S = 1.1
"""Every process reads the file again once a second."""


class PlayClock:
    """Moves the time of a whole cluster, forwards only once the play has begun."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._shift_s: int | None = None

    def now(self) -> datetime:
        """The time in the cluster."""
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() + (self._shift_s or 0), UTC)

    async def move_to(self, day: date, at: time) -> None:
        """Make it a time of a day in Asia/Shanghai, and wait until everybody knows. Raises ValueError for the past."""
        moment = datetime.combine(day, at, SHANGHAI)
        if self._shift_s is not None and moment < self.now():
            raise ValueError(f"the clock does not go back to {moment}")
        self._shift_s = round((moment - datetime.now(UTC)).total_seconds())
        partial = self._file.with_name(f"{self._file.name}.partial")
        partial.write_text(f"{self._shift_s}")
        partial.replace(self._file)
        await asyncio.sleep(_SEEN_AFTER_S)
