"""The bare database on the same work: pgbench writes the same rows, one transaction a bill."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from deploy.local.postgres import binaries
from tests.bench.world import LINES

TABLES = ("visit", "fee_line", "settlement", "working", "year_book", "outbox", "idempotency")

STEPS_BYTES = 1_300
"""What the record of a bill of twenty lines comes to, compressed."""

_LINE = (
    "('b:client_id-:id', '{n}', 'XN05BAD148A0010101783{n:02d}', '0{c}', '2026-11-02T09:30:00+08:00',"
    " 2, 5.00, 1000, NULL)"
)
_SCRIPT = """
\\set id random(1, 1000000000000)
\\set p random(1, 20000)
BEGIN;
INSERT INTO visit VALUES ('b:client_id-:id', 'H41160300001', 'v:client_id-:id', 'p:p', 'outpatient', '11', '390', false,
  '2026-11-02T09:00:00+08:00', '2026-11-02T10:00:00+08:00', 'settled');
INSERT INTO fee_line VALUES {lines};
INSERT INTO year_book VALUES ('p:p', '{{"residents-outpatient-fund@2026": 3810}}', '2026-11-02')
  ON CONFLICT (person_id) DO UPDATE SET used = EXCLUDED.used;
INSERT INTO settlement VALUES ('b:client_id-:id', 'b:client_id-:id', 'p:p', 'H41160300001', 's:client_id-:id', NULL,
  NULL, 'outpatient', '411603', '411628', '390', '15', '11', '11', '6', '2026-11-02', '2026-11-02', now(),
  'zhoukou@2026.1', 'residents-outpatient', '{{"390100": 3810}}', 0.3, 20000, 3810, 16190, 0, 16190, 0, 6000, 0, 700,
  13300, 600, 8890, 0, 0, NULL);
INSERT INTO working VALUES ('b:client_id-:id', '{{"scheme": "居民", "care": "门诊", "level": "二级"}}',
  '{{"residents-outpatient-fund@2026": 3810}}', decode(repeat('ab', {steps}), 'hex'));
INSERT INTO outbox (event_id, type, key, data, occurred_at, traceparent) VALUES ('b:client_id-:id',
  'sifang.claims.DischargeSettled.v1', 'b:client_id-:id', '{data}', now(), NULL);
INSERT INTO idempotency VALUES ('H41160300001', 'k:client_id-:id', decode(repeat('ab', 32), 'hex'), 201, '{data}',
  now());
END;
"""


def script() -> str:
    """The transaction of one bill."""
    lines = ",\n  ".join(_LINE.format(n=n, c=n % 3 + 1) for n in range(LINES))
    return _SCRIPT.format(lines=lines, data="x" * 700, steps=STEPS_BYTES)


async def make_tables(owner_url: str) -> None:
    """Twins of claims' tables, indexes and checks included, so that the bare run leaves the real ones alone."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench")
        for table in TABLES:
            await connection.execute(f"CREATE TABLE bench.{table} (LIKE claims.{table} INCLUDING ALL)")
    finally:
        await connection.close()


def run(owner_url: str, seconds: int, clients: int = 16) -> float:
    """Transactions a second. Raises RuntimeError with pgbench's words when one failed."""
    parts = urlsplit(owner_url)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bill.sql"
        file.write_text(script())
        call = [str(binaries() / "pgbench"), "-n", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", str(file)]
        environment = {
            **os.environ,
            "PGHOST": parts.hostname or "",
            "PGPORT": str(parts.port),
            "PGUSER": parts.username or "",
            "PGPASSWORD": parts.password or "",
            "PGDATABASE": parts.path.lstrip("/"),
            "PGOPTIONS": "-c search_path=bench",
        }
        done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=seconds + 30, check=False)
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    failed = re.search(r"number of failed transactions: ([0-9]+)", done.stdout)
    if done.returncode or found is None or (failed and failed[1] != "0"):
        raise RuntimeError(f"pgbench failed: {done.stdout[-500:]} {done.stderr[-1500:]}")
    return float(found[1])
