"""Which bills are cleared with a case: those of its booking, less those carried to a later month, and those carried to
it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shared.database import Connection

_OF_THE_BOOKING = "NOT EXISTS (SELECT FROM carried_bill k WHERE k.settlement_id = b.settlement_id)"
_CARRIED_LAST = """
    NOT EXISTS (
        SELECT FROM carried_bill l WHERE l.settlement_id = k.settlement_id AND l.from_case_id = k.to_case_id)
"""


def cleared(cases: str) -> str:
    """SQL: the bills that are cleared with some cases, each with the case as `cleared_in`.

    `cases` is the condition on a case's id, as "= ANY($1::text[])" or "= c.case_id"; it is used twice. A carried bill
    stays booked where it was, so its own `case_id` and `period` name the month of its booking.
    """
    return f"""(
        SELECT b.case_id AS cleared_in, b.* FROM bill b WHERE b.case_id {cases} AND {_OF_THE_BOOKING}
        UNION ALL
        SELECT k.to_case_id, b.* FROM carried_bill k JOIN bill b USING (settlement_id)
        WHERE k.to_case_id {cases} AND {_CARRIED_LAST}
    )"""


# Each side gives its own first ones, as its index has them: of ten thousand bills fifty are looked at.
CLEARED_PAGE = f"""
    SELECT settlement_id FROM (
        (SELECT b.settlement_id FROM bill b
         WHERE b.case_id = $1 AND b.settlement_id > $2 AND {_OF_THE_BOOKING} ORDER BY b.settlement_id LIMIT $3)
        UNION ALL
        (SELECT k.settlement_id FROM carried_bill k
         WHERE k.to_case_id = $1 AND k.settlement_id > $2 AND {_CARRIED_LAST} ORDER BY k.settlement_id LIMIT $3)
    ) AS page
    ORDER BY settlement_id LIMIT $3
"""
"""The ids of some of the bills that are cleared with case $1: $3 after $2."""
CARRY = """
    INSERT INTO carried_bill (settlement_id, from_case_id, to_case_id, objection_no, carried_at)
    SELECT s, $2, $3, $4, $5 FROM unnest($1::text[]) AS n(s)
"""
CONFIRMATIONS_CARRY = """
    INSERT INTO carried_confirmation (case_id, party, to_hash, from_hash, objection_no, carried_at)
    SELECT $1, party, $3, $2, $4, $5 FROM confirmation WHERE case_id = $1
"""


async def carry_bills(
    tx: Connection, settlement_ids: Sequence[str], case_id: str, to_case_id: str, objection_no: int, at: datetime
) -> None:
    """Bills of one case are cleared with another one."""
    await tx.execute(CARRY, list(settlement_ids), case_id, to_case_id, objection_no, at)


async def carry_confirmations(
    tx: Connection, case_id: str, from_hash: str, to_hash: str, objection_no: int, at: datetime
) -> None:
    """What was confirmed of a case stands for its new numbers."""
    await tx.execute(CONFIRMATIONS_CARRY, case_id, from_hash, to_hash, objection_no, at)
