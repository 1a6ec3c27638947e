"""Objections and the bills they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.settlement.rules.objections import Objection, ObjectionState
from services.settlement.store.bills import columns
from services.settlement.store.carried import cleared
from shared.database import Connection, rows_to
from shared.workdays import DueDate

_OBJECTION = """
    o.objection_no, o.case_id, o.party, o.numbers_hash, o.reason, o.state, o.deciding_party, o.due_on, o.provisional,
    o.raised_by, o.raised_at, o.decided_party, o.decided_by, o.decided_at, o.decision_reason,
    ARRAY(SELECT l.settlement_id FROM objection_line l WHERE l.objection_no = o.objection_no
          ORDER BY l.settlement_id) AS settlement_ids
"""
OBJECTION = f"SELECT {_OBJECTION} FROM objection o WHERE o.objection_no = $1"
OBJECTIONS_OF_CASE = f"SELECT {_OBJECTION} FROM objection o WHERE o.case_id = $1 ORDER BY o.objection_no"
OBJECTION_INSERT = """
    INSERT INTO objection (case_id, party, numbers_hash, reason, state, deciding_party, due_on, provisional, raised_by,
        raised_at, since, working_days, escalation_distances, reminder_distances)
    VALUES ($1, $2, $3, $4, 'open', $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING objection_no
"""
OBJECTION_LINES_INSERT = """
    INSERT INTO objection_line (objection_no, settlement_id, contested)
    SELECT $1, s, true FROM unnest($2::text[]) AS n(s)
"""
OBJECTION_DECIDE = """
    UPDATE objection SET state = $2, decided_party = $3, decided_by = $4, decided_at = $5, decision_reason = $6
    WHERE objection_no = $1
"""
OBJECTION_LINES_FREE = "UPDATE objection_line SET contested = false WHERE objection_no = $1 AND contested"
BILLS_IN_CASE = f"""
    SELECT b.settlement_id, b.payable_fen FROM {cleared("= $1")} AS b WHERE b.settlement_id = ANY($2::text[])
"""
# Whether an objection to a bill of the case is open, or was rejected to the party before.
BILLS_TAKEN = """
    SELECT l.settlement_id, bool_or(o.state = 'open') AS open
    FROM objection_line l JOIN objection o USING (objection_no)
    WHERE l.settlement_id = ANY($3::text[]) AND o.case_id = $1
      AND (o.state = 'open' OR (o.state = 'rejected' AND o.party = $2))
    GROUP BY l.settlement_id
"""

OBJECTION_DISTANCES = "SELECT DISTINCT unnest(reminder_distances) AS distance FROM objection WHERE state = 'open'"
OBJECTIONS_REACHED = """
    SELECT o.objection_no, o.party, o.deciding_party, o.due_on, o.provisional, c.case_id, c.facility_code, c.period,
        c.care_region, c.home_region, array_agg(r.distance ORDER BY r.distance) AS reached
    FROM objection o JOIN settlement_case c USING (case_id)
    JOIN unnest($1::int[], $2::date[]) AS r(distance, until)
        ON o.due_on <= r.until AND r.distance = ANY (o.reminder_distances)
    WHERE o.state = 'open' AND NOT EXISTS (
        SELECT FROM objection_reminder m WHERE m.objection_no = o.objection_no AND m.distance = r.distance)
    GROUP BY o.objection_no, c.case_id ORDER BY o.due_on, o.objection_no LIMIT 1000
"""
OBJECTION_REMINDERS_INSERT = """
    INSERT INTO objection_reminder (objection_no, distance, announced, recorded_at)
    SELECT *, $4 FROM unnest($1::bigint[], $2::int[], $3::bool[])
    ON CONFLICT DO NOTHING RETURNING objection_no, distance
"""
OBJECTION_LEVELS = "SELECT DISTINCT unnest(escalation_distances) AS distance FROM objection WHERE state = 'open'"
# Each level of escalation that an objection has reached and nobody was told of.
OBJECTIONS_LATE = """
    SELECT o.objection_no, o.party, o.deciding_party, o.due_on, e.level_no::int AS level_no, c.case_id,
        c.facility_code, c.period, c.care_region, c.home_region
    FROM objection o JOIN settlement_case c USING (case_id)
    CROSS JOIN LATERAL unnest(o.escalation_distances) WITH ORDINALITY AS e(distance, level_no)
    JOIN unnest($1::int[], $2::date[]) AS r(distance, until) ON r.distance = e.distance AND o.due_on <= r.until
    WHERE o.state = 'open' AND NOT EXISTS (
        SELECT FROM objection_escalation m WHERE m.objection_no = o.objection_no AND m.level_no = e.level_no)
    ORDER BY o.due_on, o.objection_no, e.level_no LIMIT 1000
"""
OBJECTION_ESCALATIONS_INSERT = """
    INSERT INTO objection_escalation (objection_no, level_no, region, due_on, escalated_at)
    SELECT *, $5 FROM unnest($1::bigint[], $2::int[], $3::text[], $4::date[])
    ON CONFLICT DO NOTHING RETURNING objection_no, level_no
"""


@dataclass(frozen=True, slots=True)
class ObjectionToDecide:
    """An open objection that has reached reminder distances, with what its announcement says."""

    objection_no: int
    party: str
    deciding_party: str
    due_on: date
    provisional: bool
    case_id: str
    facility_code: str
    period: str
    care_region: str
    home_region: str
    reached: Sequence[int]
    """Distances reached and not recorded yet, the nearest to today first."""


@dataclass(frozen=True, slots=True)
class LateObjection:
    """A level of escalation that an objection has reached."""

    objection_no: int
    party: str
    deciding_party: str
    due_on: date
    level_no: int
    case_id: str
    facility_code: str
    period: str
    care_region: str
    home_region: str


async def objection(tx: Connection, objection_no: int) -> Objection | None:
    """One objection."""
    row = await tx.fetchrow(OBJECTION, objection_no)
    return None if row is None else _objection(row)


async def objections_of(tx: Connection, case_id: str) -> list[Objection]:
    """The objections to a case."""
    return [_objection(row) for row in await tx.fetch(OBJECTIONS_OF_CASE, case_id)]


def _objection(row: Any) -> Objection:
    return Objection(**{**row, "state": ObjectionState(row["state"]), "settlement_ids": tuple(row["settlement_ids"])})


async def add_objection(
    tx: Connection,
    case_id: str,
    party: str,
    numbers_hash: str,
    reason: str,
    settlement_ids: Sequence[str],
    *,
    deciding_party: str,
    clock: tuple[date, int],
    due: DueDate,
    distances: tuple[Sequence[int], Sequence[int]],
    subject: str,
    at: datetime,
) -> int:
    """Write an objection; its number.

    `clock` is since when, for how many days, it is to be decided; `distances` those of reminders and of escalations.
    """
    about = (case_id, party, numbers_hash, reason, deciding_party, due.day, due.provisional, subject, at)
    reminders, escalations = map(list, distances)
    objection_no: int = await tx.fetchval(OBJECTION_INSERT, *about, *clock, escalations, reminders)
    await tx.execute(OBJECTION_LINES_INSERT, objection_no, list(settlement_ids))
    return objection_no


async def decide(
    tx: Connection,
    objection_no: int,
    state: ObjectionState,
    party: str,
    subject: str,
    reason: str | None,
    at: datetime,
) -> None:
    """Write how an objection ended; its bills are free for others."""
    await tx.execute(OBJECTION_DECIDE, objection_no, state, party, subject, at, reason)
    await tx.execute(OBJECTION_LINES_FREE, objection_no)


async def bills_in_case(tx: Connection, case_id: str, settlement_ids: Sequence[str]) -> dict[str, int]:
    """Of some bills those that are cleared with a case, with what is payable for each."""
    rows = await tx.fetch(BILLS_IN_CASE, case_id, list(settlement_ids))
    return {row["settlement_id"]: row["payable_fen"] for row in rows}


async def bills_taken(tx: Connection, case_id: str, party: str, settlement_ids: Sequence[str]) -> dict[str, bool]:
    """Of some bills those that an open objection names (true), or a rejected one of the party's (false)."""
    rows = await tx.fetch(BILLS_TAKEN, case_id, party, list(settlement_ids))
    return {row["settlement_id"]: row["open"] for row in rows}


async def distances(tx: Connection) -> list[int]:
    """All distances at which somebody is reminded of an open objection."""
    return [row["distance"] for row in await tx.fetch(OBJECTION_DISTANCES)]


async def reached(tx: Connection, until: Mapping[int, date]) -> list[ObjectionToDecide]:
    """Some open objections that reached reminder distances; `until` gives for each the latest day that reached it."""
    return rows_to(ObjectionToDecide, await tx.fetch(OBJECTIONS_REACHED, list(until), list(until.values())))


async def add_reminders(
    tx: Connection, reminders: Sequence[tuple[int, int, bool]], at: datetime
) -> set[tuple[int, int]]:
    """Record reminders (objection, distance, announced); those that were not recorded before."""
    return {tuple(row) for row in await tx.fetch(OBJECTION_REMINDERS_INSERT, *columns(reminders, 3), at)}


async def levels(tx: Connection) -> list[int]:
    """All distances at which some open objection is escalated."""
    return [row["distance"] for row in await tx.fetch(OBJECTION_LEVELS)]


async def late(tx: Connection, until: Mapping[int, date]) -> list[LateObjection]:
    """Some levels that open objections reached and nobody was told of; `until` by days after the due day."""
    return rows_to(LateObjection, await tx.fetch(OBJECTIONS_LATE, list(until), list(until.values())))


async def add_escalations(
    tx: Connection, told: Sequence[tuple[int, int, str | None, date]], at: datetime
) -> set[tuple[int, int]]:
    """Record who was told (objection, level, region, due day); those that were not recorded before."""
    return {tuple(row) for row in await tx.fetch(OBJECTION_ESCALATIONS_INSERT, *columns(told, 4), at)}
