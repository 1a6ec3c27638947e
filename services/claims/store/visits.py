"""Visits and their fee lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from services.claims.rules.lines import FeeLine
from services.claims.rules.visits import Kind, State
from shared.database import Connection, Statement, columns

VISITS_INSERT = """
    INSERT INTO visit (visit_id, facility_code, facility_visit_no, person_id, kind, med_type, insutype, emergency,
                       began_at, ended_at, state)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[],
                         $9::timestamptz[], $10::timestamptz[], $11::text[])
"""
VISITS = """
    SELECT visit_id, facility_code, facility_visit_no, person_id, kind, med_type, insutype, emergency, began_at,
           ended_at, state
    FROM visit WHERE visit_id = ANY($1::text[]) ORDER BY visit_id
"""
VISITS_FOR_UPDATE = VISITS + " FOR UPDATE"
VISIT_BY_NUMBER = """
    SELECT visit_id, facility_code, facility_visit_no, person_id, kind, med_type, insutype, emergency, began_at,
           ended_at, state
    FROM visit WHERE facility_code = $1 AND facility_visit_no = $2
"""
VISITS_STATE = """
    UPDATE visit SET state = v.state, ended_at = v.ended_at
    FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS v(visit_id, state, ended_at)
    WHERE visit.visit_id = v.visit_id
"""
LINES = """
    SELECT visit_id, line_no, item_code, item_class, occurred_at, quantity, unit_price, amount_fen, voids_line_no
    FROM fee_line WHERE visit_id = ANY($1::text[])
"""
LINES_PAGE = """
    SELECT visit_id, line_no, item_code, item_class, occurred_at, quantity, unit_price, amount_fen, voids_line_no
    FROM fee_line WHERE visit_id = $1 AND line_no > $2 ORDER BY line_no LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class VisitRow:
    """A visit as stored."""

    visit_id: str
    facility_code: str
    facility_visit_no: str
    person_id: str
    kind: Kind
    med_type: str
    insutype: str
    emergency: bool
    began_at: datetime
    ended_at: datetime | None
    state: State


_VISIT = attrgetter(*VisitRow.__dataclass_fields__)
_LINE = attrgetter(*FeeLine.__dataclass_fields__)
_LINE_COLUMNS = ["visit_id", *FeeLine.__dataclass_fields__]


def visits_added(visits: Sequence[VisitRow]) -> Statement:
    """Insert. Raises asyncpg.UniqueViolationError (visit_number) and ExclusionViolationError (visit_no_overlap)."""
    return Statement(VISITS_INSERT, columns(map(_VISIT, visits)))


async def visits(tx: Connection, ids: Sequence[str], *, for_update: bool = False) -> dict[str, VisitRow]:
    """Visits by id."""
    rows = await tx.fetch(VISITS_FOR_UPDATE if for_update else VISITS, list(set(ids)))
    return {row["visit_id"]: _visit(row) for row in rows}


async def by_number(tx: Connection, facility_code: str, facility_visit_no: str) -> VisitRow | None:
    """The visit a facility opened under a number."""
    row = await tx.fetchrow(VISIT_BY_NUMBER, facility_code, facility_visit_no)
    return None if row is None else _visit(row)


def _visit(row: Any) -> VisitRow:
    columns = dict(row)
    return VisitRow(**{**columns, "kind": Kind(columns["kind"]), "state": State(columns["state"])})


def states_set(changes: Sequence[tuple[str, State, datetime | None]]) -> Statement:
    """Write the new states and ends of visits: (visit id, state, end or None)."""
    return Statement(VISITS_STATE, columns(changes))


async def add_lines(tx: Connection, lines: Iterable[tuple[str, FeeLine]]) -> None:
    """Insert lines with the visit each belongs to. Raises asyncpg.UniqueViolationError for a number used before."""
    # COPY costs both sides a quarter less than arrays; twenty lines a bill make it the largest write there is.
    records = [(visit_id, *_LINE(line)) for visit_id, line in lines]
    await tx.copy_records_to_table("fee_line", records=records, columns=_LINE_COLUMNS)


async def lines(tx: Connection, visit_ids: Sequence[str]) -> dict[str, list[FeeLine]]:
    """All lines of some visits."""
    found: dict[str, list[FeeLine]] = {visit_id: [] for visit_id in visit_ids}
    for row in await tx.fetch(LINES, list(visit_ids)):
        found[row["visit_id"]].append(_line(row))
    return found


async def lines_page(tx: Connection, visit_id: str, after: str, limit: int) -> list[FeeLine]:
    """Lines of a visit by number."""
    return [_line(row) for row in await tx.fetch(LINES_PAGE, visit_id, after, limit)]


def _line(row: Any) -> FeeLine:
    return FeeLine(*list(row.values())[1:])
