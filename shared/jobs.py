"""How the jobs of a service are: when each last succeeded and failed, so that one that never succeeds does not hide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from shared.clock import Clock
from shared.telemetry import counter

DEGRADED_AFTER = 3
"""Failures in a row after which a job counts as failing: once may be a restart of the database."""


@dataclass(slots=True)
class JobRecord:
    """What became of the runs of one job."""

    name: str
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    failures: int = 0
    """In a row, since it last succeeded."""

    @property
    def is_failing(self) -> bool:
        """Whether it fails again and again."""
        return self.failures >= DEGRADED_AFTER

    async def run(self, job: Callable[[], Awaitable[None]], clock: Clock) -> None:
        """Run the job once and keep how it ended. Raises whatever it raises."""
        try:
            await job()
        except Exception:
            self.failed_at, self.failures = clock(), self.failures + 1
            counter("sifang.job.failures").add(1, {"sifang.job": self.name})
            raise
        self.succeeded_at, self.failures = clock(), 0

    def shown(self) -> dict[str, str | int | None]:
        """The record as readiness shows it."""
        moments = (self.succeeded_at, self.failed_at)
        succeeded_at, failed_at = (None if moment is None else moment.isoformat() for moment in moments)
        return {"succeeded_at": succeeded_at, "failed_at": failed_at, "failures": self.failures}
