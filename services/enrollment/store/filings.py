"""Queries on remote-care filings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.enrollment.rules.filings import Act, Filing, Kind, State
from shared.database import Connection

_FILING_COLUMNS = """filing_id, person_id, kind, home_region, care_region, valid_from, valid_to, state, asker,
    facility_code, papers, opened_at, decided_by, revision"""

FILING_INSERT = f"""
    INSERT INTO filing ({_FILING_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""
FILING = f"SELECT {_FILING_COLUMNS} FROM filing WHERE filing_id = $1"
FILING_UPDATE = "UPDATE filing SET valid_to = $2, state = $3, decided_by = $4, revision = $5 WHERE filing_id = $1"
FILINGS_PAGE = f"""
    SELECT {_FILING_COLUMNS} FROM filing WHERE person_id = $1 AND filing_id > $2 ORDER BY filing_id LIMIT $3
"""
ACT_INSERT = """
    INSERT INTO filing_act (filing_id, number, step, actor, role, day, reason, at)
    SELECT $1, count(*) + 1, $2, $3, $4, $5, $6, $7 FROM filing_act WHERE filing_id = $1
"""
ACTS = """
    SELECT filing_id, step, actor, role, day, reason, at FROM filing_act
    WHERE filing_id = ANY($1::text[]) ORDER BY filing_id, number
"""


async def add_filing(tx: Connection, filing: Filing) -> None:
    """Insert. Raises asyncpg.ExclusionViolationError when the person has such a filing for some of its days."""
    f = filing
    await tx.execute(
        FILING_INSERT,
        f.filing_id,
        f.person_id,
        f.kind,
        f.home_region,
        f.care_region,
        f.valid_from,
        f.valid_to,
        f.state,
        f.asker,
        f.facility_code,
        sorted(f.papers),
        f.opened_at,
        f.decided_by,
        f.revision,
    )


async def filing(tx: Connection, filing_id: str) -> Filing | None:
    """One filing."""
    row = await tx.fetchrow(FILING, filing_id)
    return None if row is None else _filing(row)


async def filings_page(tx: Connection, person_id: str, after: str, limit: int) -> list[Filing]:
    """A person's filings, by number."""
    return [_filing(row) for row in await tx.fetch(FILINGS_PAGE, person_id, after, limit)]


def _filing(row: Any) -> Filing:
    columns = dict(row)
    return Filing(
        **{
            **columns,
            "kind": Kind(columns["kind"]),
            "state": State(columns["state"]),
            "papers": frozenset(columns["papers"]),
        }
    )


async def save_filing(tx: Connection, filing: Filing) -> None:
    """Write a filing's new state."""
    f = filing
    await tx.execute(FILING_UPDATE, f.filing_id, f.valid_to, f.state, f.decided_by, f.revision)


async def add_act(tx: Connection, filing_id: str, act: Act) -> None:
    """Record who did what."""
    await tx.execute(ACT_INSERT, filing_id, act.step, act.actor, act.role, act.day, act.reason, act.at)


async def acts_of(tx: Connection, filing_ids: Sequence[str]) -> dict[str, list[Act]]:
    """Who did what to some filings, in order, by filing."""
    acts: dict[str, list[Act]] = {filing_id: [] for filing_id in filing_ids}
    for filing_id, *act in await tx.fetch(ACTS, list(filing_ids)):
        acts[filing_id].append(Act(*act))
    return acts


async def acts(tx: Connection, filing_id: str) -> list[Act]:
    """Who did what to a filing, in order."""
    return (await acts_of(tx, [filing_id]))[filing_id]
