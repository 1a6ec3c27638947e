"""Replays of a policy over bills that were settled, and the bills they are made of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from shared.database import Connection, row_to, rows_to

_REPLAY = "replay_id, proposal_id, area, since, until, state, progress, result, asked_by, asked_at, finished_at"
ADD = f"""
    INSERT INTO policy_replay (replay_id, proposal_id, area, since, until, state, progress, asked_by, asked_at)
    VALUES ($1, $2, $3, $4, $5, 'asked', '', $6, $7) RETURNING {_REPLAY}
"""
ONE = f"SELECT {_REPLAY} FROM policy_replay WHERE replay_id = $1"
ASKED = f"SELECT {_REPLAY} FROM policy_replay WHERE state = 'asked' ORDER BY replay_id"
LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('claims.replay.' || $1, 0))"
PROGRESS = "UPDATE policy_replay SET progress = $2 WHERE replay_id = $1 AND state = 'asked'"
FINISH = """
    UPDATE policy_replay SET state = $2, result = $3::jsonb, progress = $4, finished_at = $5 WHERE replay_id = $1
"""
# A bill's lines by class: what the packs ask of them. Reversed settlements and reversals are left out.
BILLS = """
    SELECT s.person_id, s.facility_code, s.began_on, s.ended_on, w.facts,
           sum(l.amount_fen) FILTER (WHERE l.item_class = '01') AS class_a_fen,
           sum(l.amount_fen) FILTER (WHERE l.item_class = '02') AS class_b_fen,
           sum(l.amount_fen) FILTER (WHERE l.item_class NOT IN ('01', '02')) AS class_c_fen
    FROM settlement AS s
    JOIN working AS w USING (settlement_id)
    JOIN fee_line AS l ON l.visit_id = s.visit_id
    WHERE s.ended_on BETWEEN $1 AND $2 AND s.home_region = ANY($3::text[]) AND s.reverses_settlement_id IS NULL
      AND NOT EXISTS (SELECT FROM settlement AS r WHERE r.reverses_settlement_id = s.settlement_id)
    GROUP BY s.settlement_id, w.facts
"""


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """A replay that was asked for, and its result once it is done."""

    replay_id: str
    proposal_id: str
    area: str
    since: date
    until: date
    state: str
    progress: str
    result: str | None
    """JSON, as `sifang policy replay --json` writes it."""
    asked_by: str
    asked_at: datetime
    finished_at: datetime | None


async def add(
    tx: Connection, replay_id: str, proposal_id: str, area: str, days: tuple[date, date], by: str, at: datetime
) -> ReplayRow:
    """Ask for a replay."""
    return rows_to(ReplayRow, await tx.fetch(ADD, replay_id, proposal_id, area, *days, by, at))[0]


async def get(tx: Connection, replay_id: str) -> ReplayRow | None:
    """One replay."""
    return row_to(ReplayRow, await tx.fetchrow(ONE, replay_id))


async def asked(tx: Connection) -> list[ReplayRow]:
    """Those that are not finished."""
    return rows_to(ReplayRow, await tx.fetch(ASKED))


async def lock(tx: Connection, replay_id: str) -> bool:
    """Whether this transaction alone works on a replay until it ends."""
    locked: bool = await tx.fetchval(LOCK, replay_id)
    return locked


async def say(tx: Connection, replay_id: str, progress: str) -> None:
    """How far it is."""
    await tx.execute(PROGRESS, replay_id, progress)


async def finish(tx: Connection, replay_id: str, state: str, result: str | None, progress: str, now: datetime) -> None:
    """Write the result."""
    await tx.execute(FINISH, replay_id, state, result, progress, now)


async def bills(tx: Connection, since: date, until: date, regions: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
    """The bills settled for the insured of these regions that ended in these days, one by one."""
    async for record in tx.cursor(BILLS, since, until, list(regions), prefetch=2_000, timeout=600):
        yield {**record, "facts": json.loads(record["facts"])}
