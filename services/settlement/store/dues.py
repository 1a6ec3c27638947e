"""Dues and the reminders of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.settlement.rules.dues import Due, DueKind
from services.settlement.store.bills import columns
from shared.database import Connection, rows_to

DUES_UPSERT = """
    INSERT INTO due (case_id, kind, party, since, working_days, due_on, provisional)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::int[], $6::date[], $7::bool[])
    ON CONFLICT (case_id, kind, party) DO UPDATE
    SET since = EXCLUDED.since, working_days = EXCLUDED.working_days, due_on = EXCLUDED.due_on,
        provisional = EXCLUDED.provisional
    WHERE due.done_at IS NULL
"""
DUES_DONE = """
    UPDATE due d SET done_at = $4 FROM unnest($1::text[], $2::text[], $3::text[]) AS n(case_id, kind, party)
    WHERE d.case_id = n.case_id AND d.kind = n.kind AND d.party = n.party AND d.done_at IS NULL
"""
_DUE = "d.case_id, d.kind, d.party, d.since, d.working_days, d.due_on, d.provisional"
_DUE_VIEW = f"{_DUE}, c.facility_code, c.period, c.care_region, c.home_region, c.state"
DUES_OF_CASE = f"SELECT {_DUE} FROM due d WHERE d.case_id = $1 AND d.done_at IS NULL ORDER BY d.due_on, d.party"
DUES_OF_PARTY = f"""
    SELECT {_DUE_VIEW} FROM due d JOIN settlement_case c USING (case_id)
    WHERE d.party = $1 AND d.done_at IS NULL AND (d.due_on::text || d.case_id || d.kind) > $2
    ORDER BY d.due_on::text || d.case_id || d.kind LIMIT $3
"""
DUES_PROVISIONAL = f"SELECT {_DUE} FROM due d WHERE d.done_at IS NULL AND d.provisional"
# Each due with the distances it has reached (its day is not after `until`) and that are not recorded yet.
DUES_REACHED = f"""
    SELECT {_DUE_VIEW}, array_agg(r.distance ORDER BY r.distance) AS reached
    FROM due d JOIN settlement_case c USING (case_id)
    JOIN unnest($1::int[], $2::date[]) AS r(distance, until) ON d.due_on <= r.until
    WHERE d.done_at IS NULL AND NOT EXISTS (
        SELECT FROM reminder m
        WHERE m.case_id = d.case_id AND m.kind = d.kind AND m.party = d.party AND m.distance = r.distance)
    GROUP BY d.case_id, d.kind, d.party, c.case_id
    ORDER BY d.due_on, d.case_id, d.kind, d.party LIMIT 1000
"""
REMINDERS_INSERT = """
    INSERT INTO reminder (case_id, kind, party, distance, announced, recorded_at)
    SELECT *, $6 FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bool[])
    ON CONFLICT DO NOTHING RETURNING case_id, kind, party, distance
"""


@dataclass(frozen=True, slots=True)
class DueOfCase:
    """A due with what its announcement says about the case."""

    case_id: str
    kind: str
    party: str
    since: date
    working_days: int
    due_on: date
    provisional: bool
    facility_code: str
    period: str
    care_region: str
    home_region: str
    state: str
    reached: Sequence[int] = ()
    """Reminder distances reached and not recorded yet, the nearest to today first."""


async def save_dues(tx: Connection, dues: Sequence[Due]) -> None:
    """Set dues, or set them anew while they are not done."""
    rows = [(d.case_id, d.kind, d.party, d.since, d.working_days, d.due_on, d.provisional) for d in dues]
    await tx.execute(DUES_UPSERT, *columns(rows, 7))


async def dues_done(tx: Connection, done: Sequence[tuple[str, str, str]], at: datetime) -> None:
    """Mark dues as done: case, kind and party."""
    await tx.execute(DUES_DONE, *columns(done, 3), at)


async def dues_of_case(tx: Connection, case_id: str) -> list[Due]:
    """What is still due for a case."""
    return [_due(row) for row in await tx.fetch(DUES_OF_CASE, case_id)]


async def dues_of_party(tx: Connection, party: str, after: str, limit: int) -> list[DueOfCase]:
    """What is still due for a party, the nearest day first."""
    return rows_to(DueOfCase, await tx.fetch(DUES_OF_PARTY, party, after, limit))


async def provisional_dues(tx: Connection) -> list[Due]:
    """Dues whose day may still move."""
    return [_due(row) for row in await tx.fetch(DUES_PROVISIONAL)]


def _due(row: Any) -> Due:
    return Due(**{**row, "kind": DueKind(row["kind"])})


async def dues_reached(tx: Connection, until: Mapping[int, date]) -> list[DueOfCase]:
    """Some dues that reached reminder distances; `until` gives for each distance the latest day that has reached it."""
    return rows_to(DueOfCase, await tx.fetch(DUES_REACHED, list(until), list(until.values())))


async def add_reminders(
    tx: Connection, reminders: Sequence[tuple[str, str, str, int, bool]], at: datetime
) -> set[tuple[str, str, str, int]]:
    """Record reminders (case, kind, party, distance, announced); those that were not recorded before."""
    return {tuple(row) for row in await tx.fetch(REMINDERS_INSERT, *columns(reminders, 5), at)}
