"""Bulk import of persons through HTTP, against a bare COPY of the same rows."""

from __future__ import annotations

import csv
import io
from datetime import date
from time import perf_counter

import asyncpg
import httpx

from deploy.demo.generator.people import make_people, persons_csv
from shared.regions import RegionTree
from tests.bench.settle import Figures, Say

ROWS = 20_000


async def measure(owner_url: str, base_url: str, token: str, say: Say) -> Figures:
    """Rows a second of both, and their ratio. Raises RuntimeError when a row was refused."""
    text = persons_csv(make_people(11, ROWS, RegionTree.load(), date(2026, 11, 1)))
    say(f"COPY of {ROWS} rows")
    copy_s = await _copy(owner_url, text)
    say(f"import of the same {ROWS} rows")
    started = perf_counter()
    async with httpx.AsyncClient(base_url=base_url, timeout=300, trust_env=False) as client:
        answer = await client.post(
            "/v1/imports",
            content=text.encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "text/csv"},
        )
    import_s = perf_counter() - started
    if answer.status_code not in (200, 201) or answer.json()["refused"]:
        raise RuntimeError(f"import failed: {answer.status_code} {answer.text[:500]}")
    return {
        "import_per_s": round(ROWS / import_s, 1),
        "copy_per_s": round(ROWS / copy_s, 1),
        "import_ratio": round(copy_s / import_s, 4),
    }


async def _copy(owner_url: str, text: str) -> float:
    names = next(csv.reader(io.StringIO(text)))
    connection = await asyncpg.connect(owner_url)
    try:
        columns = ", ".join(f"{name} text" for name in names)
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS bench; CREATE TABLE bench.imported ({columns})")
        started = perf_counter()
        await connection.copy_to_table(
            "imported", schema_name="bench", source=io.BytesIO(text.encode()), format="csv", header=True
        )
        return perf_counter() - started
    finally:
        await connection.close()
