"""Objections and the bills they name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.settlement.rules.objections import Objection, ObjectionState
from services.settlement.store.carried import cleared
from shared.database import Connection
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
        raised_at)
    VALUES ($1, $2, $3, $4, 'open', $5, $6, $7, $8, $9) RETURNING objection_no
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
OBJECTIONS_OPEN = "SELECT count(*) FROM objection WHERE case_id = $1 AND party = $2 AND state = 'open'"


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
    due: DueDate,
    subject: str,
    at: datetime,
) -> int:
    """Write an objection; its number."""
    objection_no: int = await tx.fetchval(
        OBJECTION_INSERT, case_id, party, numbers_hash, reason, deciding_party, due.day, due.provisional, subject, at
    )
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


async def open_objections(tx: Connection, case_id: str, party: str) -> int:
    """How many objections of a party to a case are open."""
    return await tx.fetchval(OBJECTIONS_OPEN, case_id, party)  # type: ignore[no-any-return]
