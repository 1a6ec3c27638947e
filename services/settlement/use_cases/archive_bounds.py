"""Which questions the books can answer still: those of moments after the archived years."""

from __future__ import annotations

from datetime import date, datetime

from services.settlement import errors
from services.settlement.rules.archives import asks_too_far, last_period
from services.settlement.store import archives as store
from shared.database import Connection
from shared.refusals import Refused


async def refuse_archived_period(tx: Connection, period: str) -> None:
    """Raises Refused when a month is archived.

    Asked after the rows were read, so that a year which leaves meanwhile gives a refusal and never half an answer.
    """
    year = await store.last_year(tx)
    if year is not None and period <= last_period(year):
        raise Refused(errors.BOOKS_ARCHIVED(year=year))


async def refuse_archived_moment(
    tx: Connection, *, value_date_until: date | None, booked_until: datetime | None
) -> None:
    """Raises Refused when a moment lies within the archived years."""
    year = await store.last_year(tx)
    if year is not None and asks_too_far(year, value_date_until=value_date_until, booked_until=booked_until):
        raise Refused(errors.BOOKS_ARCHIVED(year=year))


async def refuse_archived_case(tx: Connection, case_id: str) -> None:
    """Raises Refused when bills of a case are archived."""
    if await store.case_is_archived(tx, case_id):
        raise Refused(errors.BOOKS_ARCHIVED(year=await store.last_year(tx) or 0))


async def refuse_archived_entries(tx: Connection, period: str | None, case_id: str | None) -> None:
    """Raises Refused when lines that were asked for are archived: those of a month, of a case, or all of a book."""
    if period is not None:
        await refuse_archived_period(tx, period)
    elif case_id is not None:
        await refuse_archived_case(tx, case_id)
    elif (year := await store.last_year(tx)) is not None:
        raise Refused(errors.BOOKS_ARCHIVED(year=year))


async def refuse_archived_bill(tx: Connection, settlement_id: str) -> None:
    """Raises Refused when a bill that is not in the books is archived."""
    if await store.bill_is_archived(tx, settlement_id):
        raise Refused(errors.BILL_ARCHIVED(year=await store.last_year(tx) or 0))
