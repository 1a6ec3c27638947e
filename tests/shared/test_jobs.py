"""A job that fails again and again is told of by readiness, and takes nothing else out of service."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from shared.jobs import DEGRADED_AFTER, JobRecord
from shared.refusals import Unavailable
from shared.service import Every, Parts, Process, base_of
from shared.settings import Settings

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


async def fail() -> None:
    """What never succeeds."""
    raise Unavailable("bank", "is away")


async def succeed() -> None:
    """What always does."""


async def test_failures_in_a_row_are_counted() -> None:
    record = JobRecord("sealing")
    for _ in range(DEGRADED_AFTER - 1):
        with pytest.raises(Unavailable):
            await record.run(fail, lambda: NOW)
    early = record.is_failing
    with pytest.raises(Unavailable):
        await record.run(fail, lambda: NOW)

    assert (early, record.is_failing) == (False, True)
    assert record.shown() == {"succeeded_at": None, "failed_at": NOW.isoformat(), "failures": DEGRADED_AFTER}
    await record.run(succeed, lambda: NOW)
    assert (record.is_failing, record.shown()["failed_at"]) == (False, NOW.isoformat())


async def test_readiness_names_the_job_and_stays_ready(services: object, settings: Settings) -> None:
    base = base_of(settings, "designation")
    jobs = [Every(0.01, fail, "sealing"), Every(60, succeed, "reminders")]
    process = Process(base, Parts("designation", "a process of its own", [], {}, None, jobs=jobs))
    async with (
        process.app.router.lifespan_context(process.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(process.app), base_url="http://test") as client,
    ):
        for _ in range(100):
            answer = await client.get("/health/ready")
            if answer.json()["jobs"] != "ok":
                break
            await asyncio.sleep(0.02)

    told = answer.json()
    assert (answer.status_code, told["workers"]) == (200, "ok")
    assert told["jobs"].startswith("degraded: sealing failed ")
    assert "reminders" not in told["jobs"]
    assert told["job_records"]["reminders"]["succeeded_at"]
    assert told["job_records"]["sealing"]["succeeded_at"] is None
