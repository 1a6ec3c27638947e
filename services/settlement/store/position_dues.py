"""Clocks of net positions, and whom they told. While a case is in a cycle its positions are due, and not its hops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from services.settlement.rules.dues import DueKind, PositionClock
from services.settlement.store.bills import columns
from services.settlement.store.dues import Reason, Suspension
from shared.database import Connection, rows_to

CLOCKS_SET = """
    UPDATE clearing_position p SET due_kind = n.k, since = n.s, working_days = n.w, due_on = n.o, provisional = n.v,
        reminder_distances = string_to_array(n.r, ' ')::int[], escalation_distances = string_to_array(n.e, ' ')::int[]
    FROM unnest($1::text[], $2::text[], $3::date[], $4::int[], $5::date[], $6::bool[], $7::text[], $8::text[])
        AS n(position_id, k, s, w, o, v, r, e)
    WHERE p.position_id = n.position_id
"""
CLOCKS_KEEP = """
    UPDATE clearing_position p SET due_kind = f.due_kind, since = f.since, working_days = f.working_days,
        due_on = f.due_on, provisional = f.provisional, reminder_distances = f.reminder_distances,
        escalation_distances = f.escalation_distances, suspended_on = f.suspended_on
    FROM unnest($1::text[], $2::text[]) AS n(position_id, former_id)
    JOIN clearing_position f ON f.position_id = n.former_id
    WHERE p.position_id = n.position_id
"""
REMINDERS_KEEP = """
    INSERT INTO position_reminder (position_id, distance, announced, recorded_at)
    SELECT n.position_id, r.distance, false, r.recorded_at
    FROM unnest($1::text[], $2::text[]) AS n(position_id, former_id)
    JOIN position_reminder r ON r.position_id = n.former_id
"""
# Who was told stays told: the new position is in the same lists.
ESCALATIONS_KEEP = """
    INSERT INTO position_escalation (position_id, level_no, region, due_on, escalated_at)
    SELECT n.position_id, e.level_no, e.region, e.due_on, e.escalated_at
    FROM unnest($1::text[], $2::text[]) AS n(position_id, former_id)
    JOIN position_escalation e ON e.position_id = n.former_id
"""
SUSPENSIONS_KEEP = """
    INSERT INTO position_suspension (position_id, suspended_on, days_left, reason, papers, suspended_party,
        suspended_by, suspended_at, resumed_on, resumed_party, resumed_by, resumed_at)
    SELECT n.position_id, s.suspended_on, s.days_left, s.reason, s.papers, s.suspended_party, s.suspended_by,
        s.suspended_at, s.resumed_on, s.resumed_party, s.resumed_by, s.resumed_at
    FROM unnest($1::text[], $2::text[]) AS n(position_id, former_id)
    JOIN position_suspension s ON s.position_id = n.former_id ORDER BY s.suspension_no
"""
CLOCK_LOCKED = """
    SELECT due_kind AS kind, since, working_days, due_on, provisional, reminder_distances, escalation_distances,
        suspended_on
    FROM clearing_position WHERE position_id = $1 AND state IN ('open', 'ordered') AND due_on IS NOT NULL FOR UPDATE
"""
CLOCK_SET = """
    UPDATE clearing_position SET since = $2, working_days = $3, due_on = $4, provisional = $5, suspended_on = $6
    WHERE position_id = $1
"""
SUSPENSION_INSERT = """
    INSERT INTO position_suspension (position_id, suspended_on, days_left, reason, papers, suspended_party,
        suspended_by, suspended_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
SUSPENSION_RESUME = """
    UPDATE position_suspension
    SET resumed_on = greatest(suspended_on, $2), resumed_party = $3, resumed_by = $4, resumed_at = $5
    WHERE position_id = $1 AND resumed_on IS NULL
"""
SUSPENSIONS = """
    SELECT p.due_kind AS kind, p.payer AS party, s.suspended_on, s.days_left, s.reason, s.papers, s.suspended_party,
        s.suspended_by, s.resumed_on, s.resumed_party, s.resumed_by, NULL::bigint AS objection_no
    FROM position_suspension s JOIN clearing_position p USING (position_id)
    WHERE s.position_id = $1 ORDER BY s.suspension_no
"""
_RUNS = "p.state IN ('open', 'ordered') AND p.due_on IS NOT NULL AND p.suspended_on IS NULL"
POSITION_DISTANCES = f"SELECT DISTINCT unnest(p.reminder_distances) AS distance FROM clearing_position p WHERE {_RUNS}"
POSITION_LEVELS = f"SELECT DISTINCT unnest(p.escalation_distances) AS distance FROM clearing_position p WHERE {_RUNS}"
_DUE = """
    p.position_id, p.cycle_id, y.clearing_region, p.due_kind AS kind, p.payer, p.payee, p.facility_code, p.amount_fen,
    p.due_on, p.provisional
"""
POSITIONS_REACHED = f"""
    SELECT {_DUE}, array_agg(r.distance ORDER BY r.distance) AS reached
    FROM clearing_position p JOIN clearing_cycle y USING (cycle_id)
    JOIN unnest($1::int[], $2::date[]) AS r(distance, until)
        ON p.due_on <= r.until AND r.distance = ANY (p.reminder_distances)
    WHERE {_RUNS} AND NOT EXISTS (
        SELECT FROM position_reminder m WHERE m.position_id = p.position_id AND m.distance = r.distance)
    GROUP BY p.position_id, y.cycle_id ORDER BY p.due_on, p.position_id LIMIT 1000
"""
POSITION_REMINDERS_INSERT = """
    INSERT INTO position_reminder (position_id, distance, announced, recorded_at)
    SELECT *, $4 FROM unnest($1::text[], $2::int[], $3::bool[])
    ON CONFLICT DO NOTHING RETURNING position_id, distance
"""
POSITIONS_LATE = f"""
    SELECT {_DUE}, e.level_no::int AS level_no
    FROM clearing_position p JOIN clearing_cycle y USING (cycle_id)
    CROSS JOIN LATERAL unnest(p.escalation_distances) WITH ORDINALITY AS e(distance, level_no)
    JOIN unnest($1::int[], $2::date[]) AS r(distance, until) ON r.distance = e.distance AND p.due_on <= r.until
    WHERE {_RUNS} AND NOT EXISTS (
        SELECT FROM position_escalation m WHERE m.position_id = p.position_id AND m.level_no = e.level_no)
    ORDER BY p.due_on, p.position_id, e.level_no LIMIT 1000
"""
POSITION_ESCALATIONS_INSERT = """
    INSERT INTO position_escalation (position_id, level_no, region, due_on, escalated_at)
    SELECT *, $5 FROM unnest($1::text[], $2::int[], $3::text[], $4::date[])
    ON CONFLICT DO NOTHING RETURNING position_id, level_no
"""


@dataclass(frozen=True, slots=True)
class PositionDue:
    """A position with what its announcement says. Amount in fen."""

    position_id: str
    cycle_id: str
    clearing_region: str
    kind: str
    payer: str
    payee: str
    facility_code: str | None
    amount_fen: int
    due_on: date
    provisional: bool
    reached: Sequence[int] = ()
    """Reminder distances reached and not recorded yet, the nearest to today first."""
    level_no: int = 0
    """Of an overdue one the level of escalation it has reached."""

    @property
    def care_region(self) -> str:
        """Where a facility that has to pay answers to: the agency it pays."""
        return self.payee


class Told(NamedTuple):
    """That an agency is told of an overdue position; None where nobody is above."""

    position_id: str
    level_no: int
    region: str | None
    due_on: date


async def set_clocks(tx: Connection, clocks: Mapping[str, PositionClock]) -> None:
    """Start the clocks of positions, by id."""
    rows = [
        (
            position_id,
            *(c.kind, c.since, c.working_days, c.due_on, c.provisional),
            " ".join(map(str, c.reminder_distances)),
            " ".join(map(str, c.escalation_distances)),
        )
        for position_id, c in clocks.items()
    ]
    await tx.execute(CLOCKS_SET, *columns(rows, 8))


async def keep_clocks(tx: Connection, former: Mapping[str, str]) -> None:
    """New positions go on by the clocks of those they replace, with all that was told of them."""
    arrays = list(former), list(former.values())
    for statement in (CLOCKS_KEEP, REMINDERS_KEEP, ESCALATIONS_KEEP, SUSPENSIONS_KEEP):
        await tx.execute(statement, *arrays)


async def locked_clock(tx: Connection, position_id: str) -> PositionClock | None:
    """The clock of a position that is to be paid, locked; None where none runs or stands still."""
    row = await tx.fetchrow(CLOCK_LOCKED, position_id)
    if row is None:
        return None
    lists = {name: tuple(row[name]) for name in ("reminder_distances", "escalation_distances")}
    return PositionClock(**{**row, **lists, "kind": DueKind(row["kind"])})


async def suspend(
    tx: Connection, position_id: str, clock: PositionClock, reason: Reason, on: date, at: datetime
) -> None:
    """Write that a position's clock stands still, and why."""
    await _set_clock(tx, position_id, clock)
    about = (reason.text, list(reason.papers), reason.party, reason.subject)
    await tx.execute(SUSPENSION_INSERT, position_id, on, clock.working_days, *about, at)


async def resume(
    tx: Connection, position_id: str, clock: PositionClock, on: date, party: str, subject: str, at: datetime
) -> None:
    """Write that a position's clock goes on."""
    await _set_clock(tx, position_id, clock)
    await tx.execute(SUSPENSION_RESUME, position_id, on, party, subject, at)


async def _set_clock(tx: Connection, position_id: str, clock: PositionClock) -> None:
    days = (clock.since, clock.working_days, clock.due_on, clock.provisional)
    await tx.execute(CLOCK_SET, position_id, *days, clock.suspended_on)


async def suspensions(tx: Connection, position_id: str) -> list[Suspension]:
    """When the clock of a position stood still."""
    return [Suspension(*row) for row in await tx.fetch(SUSPENSIONS, position_id)]


async def distances(tx: Connection) -> list[int]:
    """All distances at which some position is announced."""
    return [row["distance"] for row in await tx.fetch(POSITION_DISTANCES)]


async def levels(tx: Connection) -> list[int]:
    """All distances at which some position is escalated."""
    return [row["distance"] for row in await tx.fetch(POSITION_LEVELS)]


async def reached(tx: Connection, until: Mapping[int, date]) -> list[PositionDue]:
    """Some positions that reached reminder distances; `until` gives for each the latest day that has reached it."""
    return rows_to(PositionDue, await tx.fetch(POSITIONS_REACHED, list(until), list(until.values())))


async def add_reminders(
    tx: Connection, reminders: Sequence[tuple[str, int, bool]], at: datetime
) -> set[tuple[str, int]]:
    """Record reminders (position, distance, announced); those that were not recorded before."""
    return {tuple(row) for row in await tx.fetch(POSITION_REMINDERS_INSERT, *columns(reminders, 3), at)}


async def late(tx: Connection, until: Mapping[int, date]) -> list[PositionDue]:
    """Some levels of escalation that positions reached and nobody was told of; `until` by days after the due day."""
    return rows_to(PositionDue, await tx.fetch(POSITIONS_LATE, list(until), list(until.values())))


async def add_escalations(tx: Connection, told: Sequence[Told], at: datetime) -> set[tuple[str, int]]:
    """Record who was told; those that were not recorded before, by position and level."""
    return {tuple(row) for row in await tx.fetch(POSITION_ESCALATIONS_INSERT, *columns(told, 4), at)}
