"""Dues and the reminders of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from services.settlement.rules.dues import Due, DueKind
from services.settlement.store.bills import columns
from shared.database import Connection, rows_to

# While a case is in a cycle its positions are due, and not its hops; when it leaves, what it was due is due again.
DUE_COUNTS = """
    (d.kind = 'reconciliation' OR NOT EXISTS (
        SELECT FROM clearing_case y WHERE y.case_id = d.case_id AND y.left_at IS NULL))
"""
# Only a clock that begins on another day is set anew: one that was suspended, or that began by terms which have changed
# since, goes on as it was. While it is suspended it stands still all the same.
DUES_UPSERT = """
    INSERT INTO due (case_id, kind, party, since, started_on, working_days, due_on, provisional, deemed_consent,
        reminder_distances, escalation_distances)
    SELECT c, k, p, s, s, w, o, v, d, string_to_array(r, ' ')::int[], string_to_array(e, ' ')::int[]
    FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::int[], $6::date[], $7::bool[], $8::bool[],
        $9::text[], $10::text[]) AS n(c, k, p, s, w, o, v, d, r, e)
    ON CONFLICT (case_id, kind, party) DO UPDATE
    SET since = EXCLUDED.since, started_on = EXCLUDED.started_on, working_days = EXCLUDED.working_days,
        due_on = EXCLUDED.due_on, provisional = EXCLUDED.provisional, deemed_consent = EXCLUDED.deemed_consent,
        reminder_distances = EXCLUDED.reminder_distances, escalation_distances = EXCLUDED.escalation_distances
    WHERE due.done_at IS NULL AND due.started_on <> EXCLUDED.started_on
"""
DUE_LOCKED = f"""
    SELECT case_id, kind, party, since, working_days, due_on, provisional, started_on, reminder_distances,
        escalation_distances, deemed_consent, suspended_on
    FROM due d WHERE case_id = $1 AND kind = $2 AND party = $3 AND done_at IS NULL AND {DUE_COUNTS} FOR UPDATE
"""
DUE_SET = """
    UPDATE due SET since = $4, working_days = $5, due_on = $6, provisional = $7, suspended_on = $8
    WHERE case_id = $1 AND kind = $2 AND party = $3
"""
# The days of all open clocks follow from few pairs of beginning and length.
CLOCKS = """
    SELECT since, working_days FROM due WHERE done_at IS NULL AND suspended_on IS NULL
    UNION SELECT since, working_days FROM work_item WHERE state = 'open'
    UNION SELECT since, working_days FROM objection WHERE state = 'open'
    UNION SELECT since, working_days FROM clearing_position
        WHERE state IN ('open', 'ordered') AND due_on IS NOT NULL AND suspended_on IS NULL
"""
CLOCKS_SET = """
    UPDATE due d SET due_on = n.due_on, provisional = n.provisional
    FROM unnest($1::date[], $2::int[], $3::date[], $4::bool[]) AS n(since, working_days, due_on, provisional)
    WHERE d.since = n.since AND d.working_days = n.working_days AND d.done_at IS NULL AND d.suspended_on IS NULL
      AND (d.due_on, d.provisional) <> (n.due_on, n.provisional)
"""
ITEM_CLOCKS_SET = """
    UPDATE work_item i SET due_on = n.due_on, provisional = n.provisional
    FROM unnest($1::date[], $2::int[], $3::date[], $4::bool[]) AS n(since, working_days, due_on, provisional)
    WHERE i.since = n.since AND i.working_days = n.working_days AND i.state = 'open'
      AND (i.due_on, i.provisional) <> (n.due_on, n.provisional)
"""
OBJECTION_CLOCKS_SET = """
    UPDATE objection o SET due_on = n.due_on, provisional = n.provisional
    FROM unnest($1::date[], $2::int[], $3::date[], $4::bool[]) AS n(since, working_days, due_on, provisional)
    WHERE o.since = n.since AND o.working_days = n.working_days AND o.state = 'open'
      AND (o.due_on, o.provisional) <> (n.due_on, n.provisional)
"""
POSITION_CLOCKS_SET = """
    UPDATE clearing_position p SET due_on = n.due_on, provisional = n.provisional
    FROM unnest($1::date[], $2::int[], $3::date[], $4::bool[]) AS n(since, working_days, due_on, provisional)
    WHERE p.since = n.since AND p.working_days = n.working_days AND p.state IN ('open', 'ordered')
      AND p.suspended_on IS NULL AND (p.due_on, p.provisional) <> (n.due_on, n.provisional)
"""
CALENDAR_USED = "SELECT digest FROM clock_calendar"
CALENDAR_SAVE = """
    INSERT INTO clock_calendar (only_row, digest, computed_at) VALUES (true, $1, $2)
    ON CONFLICT (only_row) DO UPDATE SET digest = EXCLUDED.digest, computed_at = EXCLUDED.computed_at
"""
SUSPENSION_INSERT = """
    INSERT INTO due_suspension (case_id, kind, party, suspended_on, days_left, reason, papers, suspended_party,
        suspended_by, objection_no, suspended_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
SUSPENSION_RESUME = """
    UPDATE due_suspension
    SET resumed_on = greatest(suspended_on, $5), resumed_party = $6, resumed_by = $7, resumed_at = $8
    WHERE case_id = $1 AND kind = $2 AND party = $3 AND objection_no IS NOT DISTINCT FROM $4 AND resumed_on IS NULL
"""
REASONS = """
    SELECT objection_no FROM due_suspension
    WHERE case_id = $1 AND kind = $2 AND party = $3 AND resumed_on IS NULL
"""
SUSPENSIONS = """
    SELECT kind, party, suspended_on, days_left, reason, papers, suspended_party, suspended_by, resumed_on,
        resumed_party, resumed_by, objection_no
    FROM due_suspension WHERE case_id = $1 ORDER BY suspension_no
"""
DISTANCES = "SELECT DISTINCT unnest(reminder_distances) AS distance FROM due WHERE done_at IS NULL"
LEVELS = "SELECT DISTINCT unnest(escalation_distances) AS distance FROM due WHERE done_at IS NULL"
STILL_SILENT = """
    SELECT case_id FROM due
    WHERE case_id = ANY($1::text[]) AND kind = 'reconciliation' AND party = $2 AND done_at IS NULL
      AND suspended_on IS NULL
    ORDER BY case_id
"""
# Each level of escalation that an overdue party has reached and nobody was told of.
ESCALATIONS_REACHED = f"""
    SELECT d.case_id, d.kind, d.party, d.due_on, e.level_no::int AS level_no, c.facility_code, c.period, c.care_region,
        c.home_region
    FROM due d JOIN settlement_case c USING (case_id)
    CROSS JOIN LATERAL unnest(d.escalation_distances) WITH ORDINALITY AS e(distance, level_no)
    JOIN unnest($1::int[], $2::date[]) AS r(distance, until) ON r.distance = e.distance AND d.due_on <= r.until
    WHERE d.done_at IS NULL AND d.suspended_on IS NULL AND {DUE_COUNTS} AND NOT EXISTS (
        SELECT FROM escalation m
        WHERE m.case_id = d.case_id AND m.kind = d.kind AND m.party = d.party AND m.level_no = e.level_no)
    ORDER BY d.due_on, d.case_id, d.kind, d.party, e.level_no LIMIT 1000
"""
ESCALATIONS_INSERT = """
    INSERT INTO escalation (case_id, kind, party, level_no, region, due_on, escalated_at)
    SELECT *, $7 FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::date[])
    ON CONFLICT DO NOTHING RETURNING case_id, kind, party, level_no
"""
# Parties whose silence may be agreement, with the moment since when the numbers stand. The steps of one commit have one
# moment, so the last of them that names numbers is the one that set them.
SILENT = """
    SELECT d.case_id, d.kind, d.party, d.since, d.working_days, d.due_on, d.provisional, d.started_on,
        d.reminder_distances, d.escalation_distances, d.deemed_consent, d.suspended_on, c.numbers_hash,
        (SELECT max(s.at) FROM case_step s WHERE s.case_id = d.case_id AND s.step = ANY($2::text[])) AS stood_since
    FROM due d JOIN settlement_case c USING (case_id)
    WHERE d.kind = 'reconciliation' AND d.deemed_consent AND d.done_at IS NULL AND d.suspended_on IS NULL
      AND d.due_on < $1 AND c.state = 'matched' AND (d.case_id, d.party) > ($3, $4)
    ORDER BY d.case_id, d.party LIMIT 1000
"""
DUES_DONE = """
    UPDATE due d SET done_at = $4 FROM unnest($1::text[], $2::text[], $3::text[]) AS n(case_id, kind, party)
    WHERE d.case_id = n.case_id AND d.kind = n.kind AND d.party = n.party AND d.done_at IS NULL
"""
_DUE = """
    d.case_id, d.kind, d.party, d.since, d.working_days, d.due_on, d.provisional, d.started_on, d.reminder_distances,
    d.escalation_distances, d.deemed_consent, d.suspended_on
"""
_DUE_VIEW = """
    d.case_id, d.kind, d.party, d.since, d.working_days, d.due_on, d.provisional, d.suspended_on, c.facility_code,
    c.period, c.care_region, c.home_region, c.state
"""
DUES_OF_CASE = f"""
    SELECT {_DUE} FROM due d WHERE d.case_id = $1 AND d.done_at IS NULL AND {DUE_COUNTS} ORDER BY d.due_on, d.party
"""
DUES_OF_PARTY = f"""
    SELECT {_DUE_VIEW} FROM due d JOIN settlement_case c USING (case_id)
    WHERE d.party = $1 AND d.done_at IS NULL AND {DUE_COUNTS} AND (d.due_on::text || d.case_id || d.kind) > $2
    ORDER BY d.due_on::text || d.case_id || d.kind LIMIT $3
"""
# Each due with the distances it has reached (its day is not after `until`) and that are not recorded yet.
DUES_REACHED = f"""
    SELECT {_DUE_VIEW}, array_agg(r.distance ORDER BY r.distance) AS reached
    FROM due d JOIN settlement_case c USING (case_id)
    JOIN unnest($1::int[], $2::date[]) AS r(distance, until)
        ON d.due_on <= r.until AND r.distance = ANY (d.reminder_distances)
    WHERE d.done_at IS NULL AND d.suspended_on IS NULL AND {DUE_COUNTS} AND NOT EXISTS (
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
    suspended_on: date | None
    facility_code: str
    period: str
    care_region: str
    home_region: str
    state: str
    reached: Sequence[int] = ()
    """Reminder distances reached and not recorded yet, the nearest to today first."""


CLOCKS_TIMEOUT_S = 120.0
"""When the calendar changes, every open clock may."""


class Suspension(NamedTuple):
    """A reason for which a due's clock stood still, or stands still: an objection's, or an officer's."""

    kind: str
    party: str
    suspended_on: date
    days_left: int
    reason: str
    papers: Sequence[str]
    suspended_party: str
    suspended_by: str | None
    resumed_on: date | None
    resumed_party: str | None
    resumed_by: str | None
    objection_no: int | None


class Reason(NamedTuple):
    """Why a clock stands still: somebody's word, or, without a person, an objection."""

    text: str
    papers: Sequence[str]
    party: str
    subject: str | None
    objection_no: int | None


class Overdue(NamedTuple):
    """A level of escalation that a party has reached."""

    case_id: str
    kind: str
    party: str
    due_on: date
    level_no: int
    facility_code: str
    period: str
    care_region: str
    home_region: str


class Silent(NamedTuple):
    """A party that has not confirmed in time, and what it has not confirmed."""

    due: Due
    numbers_hash: str
    stood_since: datetime


async def save_dues(tx: Connection, dues: Sequence[Due]) -> None:
    """Set dues, or set them anew while they are not done and when their clocks begin on another day."""
    rows = [
        (
            d.case_id,
            d.kind,
            d.party,
            d.since,
            d.working_days,
            d.due_on,
            d.provisional,
            d.deemed_consent,
            " ".join(map(str, d.reminder_distances)),
            " ".join(map(str, d.escalation_distances)),
        )
        for d in dues
    ]
    await tx.execute(DUES_UPSERT, *columns(rows, 10))


async def locked_due(tx: Connection, case_id: str, kind: str, party: str) -> Due | None:
    """One open due, locked."""
    row = await tx.fetchrow(DUE_LOCKED, case_id, kind, party)
    return None if row is None else _due(row)


async def reasons(tx: Connection, due: Due) -> set[int | None]:
    """Why a due stands still, which is locked: the numbers of objections, and None for an officer's word."""
    rows = await tx.fetch(REASONS, due.case_id, due.kind, due.party)
    return {row["objection_no"] for row in rows}


async def suspend_due(tx: Connection, due: Due, reason: Reason, on: date, at: datetime) -> None:
    """Write that a due's clock stands still, and why."""
    await _set_due(tx, due)
    key = (due.case_id, due.kind, due.party)
    about = (reason.text, list(reason.papers), reason.party, reason.subject, reason.objection_no)
    await tx.execute(SUSPENSION_INSERT, *key, on, due.working_days, *about, at)


async def resume_due(
    tx: Connection, due: Due, objection_no: int | None, on: date, party: str, subject: str | None, at: datetime
) -> None:
    """Write that a reason why a due stands still has ended: an objection, or, without a number, an officer's word."""
    await _set_due(tx, due)
    await tx.execute(SUSPENSION_RESUME, due.case_id, due.kind, due.party, objection_no, on, party, subject, at)


async def _set_due(tx: Connection, due: Due) -> None:
    clock = (due.since, due.working_days, due.due_on, due.provisional, due.suspended_on)
    await tx.execute(DUE_SET, due.case_id, due.kind, due.party, *clock)


async def suspensions(tx: Connection, case_id: str) -> list[Suspension]:
    """When clocks of a case stood still."""
    return [Suspension(*row) for row in await tx.fetch(SUSPENSIONS, case_id)]


async def running_clocks(tx: Connection) -> list[tuple[date, int]]:
    """When the open clocks began, and how many working days they have: each pair once."""
    return [(row["since"], row["working_days"]) for row in await tx.fetch(CLOCKS)]


async def set_clocks(tx: Connection, ends: Sequence[tuple[date, int, date, bool]]) -> None:
    """Set the days of everything that is due by its beginning and length."""
    for statement in (CLOCKS_SET, ITEM_CLOCKS_SET, OBJECTION_CLOCKS_SET, POSITION_CLOCKS_SET):
        await tx.execute(statement, *columns(ends, 4), timeout=CLOCKS_TIMEOUT_S)


async def calendar_used(tx: Connection) -> str | None:
    """By which calendar the days were computed last."""
    return await tx.fetchval(CALENDAR_USED)  # type: ignore[no-any-return]


async def save_calendar(tx: Connection, digest: str, at: datetime) -> None:
    """Remember by which calendar the days were computed."""
    await tx.execute(CALENDAR_SAVE, digest, at)


async def distances(tx: Connection) -> list[int]:
    """All distances at which some open due is announced."""
    return [row["distance"] for row in await tx.fetch(DISTANCES)]


async def levels(tx: Connection) -> list[int]:
    """All distances at which some open due is escalated."""
    return [row["distance"] for row in await tx.fetch(LEVELS)]


async def escalations_reached(tx: Connection, until: Mapping[int, date]) -> list[Overdue]:
    """Some levels of escalation that nobody was told of; `until` as in `dues_reached`, by days after the due day."""
    return [Overdue(*row) for row in await tx.fetch(ESCALATIONS_REACHED, list(until), list(until.values()))]


async def add_escalations(
    tx: Connection, told: Sequence[tuple[str, str, str, int, str | None, date]], at: datetime
) -> set[tuple[str, str, str, int]]:
    """Record escalations (case, kind, party, level, region, due day); those that were not recorded before."""
    return {tuple(row) for row in await tx.fetch(ESCALATIONS_INSERT, *columns(told, 6), at)}


async def silent(tx: Connection, today: date, setting: Sequence[str], after: tuple[str, str]) -> list[Silent]:
    """Some parties that let the day of their confirmation pass, by case and party; `setting` are the steps that set
    the numbers of a case."""
    rows = await tx.fetch(SILENT, today, list(setting), *after)
    return [Silent(_due(row), row["numbers_hash"], row["stood_since"]) for row in rows]


async def dues_done(tx: Connection, done: Sequence[tuple[str, str, str]], at: datetime) -> None:
    """Mark dues as done: case, kind and party."""
    await tx.execute(DUES_DONE, *columns(done, 3), at)


async def dues_of_case(tx: Connection, case_id: str) -> list[Due]:
    """What is still due for a case."""
    return [_due(row) for row in await tx.fetch(DUES_OF_CASE, case_id)]


async def dues_of_party(tx: Connection, party: str, after: str, limit: int) -> list[DueOfCase]:
    """What is still due for a party, the nearest day first."""
    return rows_to(DueOfCase, await tx.fetch(DUES_OF_PARTY, party, after, limit))


def _due(row: Any) -> Due:
    values = {name: row[name] for name in Due.__slots__}
    lists = {name: tuple(values[name]) for name in ("reminder_distances", "escalation_distances")}
    return Due(**{**values, **lists, "kind": DueKind(values["kind"])})


async def dues_reached(tx: Connection, until: Mapping[int, date]) -> list[DueOfCase]:
    """Some dues that reached reminder distances; `until` gives for each distance the latest day that has reached it."""
    return rows_to(DueOfCase, await tx.fetch(DUES_REACHED, list(until), list(until.values())))


async def add_reminders(
    tx: Connection, reminders: Sequence[tuple[str, str, str, int, bool]], at: datetime
) -> set[tuple[str, str, str, int]]:
    """Record reminders (case, kind, party, distance, announced); those that were not recorded before."""
    return {tuple(row) for row in await tx.fetch(REMINDERS_INSERT, *columns(reminders, 5), at)}


async def still_silent(tx: Connection, party: str, case_ids: Sequence[str]) -> list[str]:
    """Of some cases those that a party must still confirm, its clock running."""
    return [row["case_id"] for row in await tx.fetch(STILL_SILENT, list(case_ids), party)]
