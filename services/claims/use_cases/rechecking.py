"""Deciding again what was settled since a bill that was reversed or came late: differences become work items.

Nothing that was settled is changed here. An item closes by itself once the bill is reversed and settled anew, or once
it comes to what was paid. A difference that an officer let stand is not brought up again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from services.claims import errors
from services.claims.rules import benefit
from services.claims.store import rechecks, settlements, visits
from services.claims.store.rechecks import ItemRow
from services.claims.store.settlements import SettlementRow
from services.claims.use_cases.parts import Claims
from shared.auth import Principal, check_area
from shared.database import Connection, Statement
from shared.events import new_id
from shared.refusals import Refusal, Refused, Unavailable

log = logging.getLogger(__name__)

PERSONS_AT_ONCE = 20

CLOSED_BY_ITSELF = "现行计算与已结算一致 / comes to what was paid"


def asked(rows: Sequence[SettlementRow]) -> Statement:
    """Ask for the persons of these settlements to be looked at again."""
    return rechecks.asked([(row.person_id, row.settlement_id, row.settled_at) for row in rows])


async def recheck(claims: Claims, now: datetime) -> int:
    """Look at some persons again; for how many that was done. Raises Unavailable.

    One that cannot be looked at is told loudly and goes to the end of the queue, where it holds nobody up.
    """
    done = 0
    async with claims.database.read() as reader:
        persons = await rechecks.waiting(reader, PERSONS_AT_ONCE)
    for person_id in persons:
        try:
            await _recheck_one(claims, person_id, now)
            done += 1
        except Unavailable:
            raise
        except Exception:
            log.exception("recheck failed", extra={"fields": {"person": person_id}})
            async with claims.database.transaction() as tx:
                await rechecks.postpone(tx, person_id, now)
    return done


async def _recheck_one(claims: Claims, person_id: str, now: datetime) -> None:
    async with claims.database.transaction() as tx:
        # The book first, as settling does: taken the other way round, the two would wait for each other.
        await settlements.lock_books(tx, [person_id])
        because = await rechecks.take(tx, person_id)
        if because is not None:
            dismissed = await rechecks.dismissed(tx, person_id, CLOSED_BY_ITSELF)
            found = await _differences(tx, claims, person_id, because)
            items = [item for item in found if (item.settlement_id, item.expected_fund_fen) not in dismissed]
            await rechecks.save_items(tx, person_id, items, now, CLOSED_BY_ITSELF)


async def _differences(tx: Connection, claims: Claims, person_id: str, because: str) -> list[ItemRow]:
    """The person's standing bills decided anew in the order of their days, as far as they come to something else."""
    rows = await rechecks.standing(tx, person_id)
    lines = await visits.lines(tx, [row.visit_id for row in rows])
    workings = await settlements.workings_of(tx, [row.settlement_id for row in rows])
    book, items = benefit.YearBook(), []
    for row in rows:
        working = workings.get(row.settlement_id)
        areas = claims.regions.ancestors(row.home_region)
        facts = working.facts if working is not None else {}
        bill = benefit.bill_of(row.facility_code, row.began_on, row.ended_on, facts, lines[row.visit_id])
        decision = benefit.decide(claims.policies.book, areas, bill, book.used)
        expected_fen = 0 if isinstance(decision, Refusal) else decision.fund_fen
        if not isinstance(decision, Refusal):
            book = book.after(decision.changes, row.ended_on)
        if expected_fen != row.fund_fen:
            items.append(_item(row, because, expected_fen))
    return items


def _item(row: SettlementRow, because: str, expected_fen: int) -> ItemRow:
    return ItemRow(new_id(), row.settlement_id, row.person_id, row.home_region, because, row.fund_fen, expected_fen)


async def close_item(claims: Claims, principal: Principal, item_id: str, note: str, now: datetime) -> ItemRow:
    """Close an item with a reason: the difference stays as it is. Raises Refused."""
    async with claims.database.transaction() as tx:
        item = await rechecks.item(tx, item_id)
        if item is None:
            raise Refused(errors.ITEM_UNKNOWN())
        check_area(claims.regions, principal, item.home_region)
        if item.state != "open":
            raise Refused(errors.ITEM_CLOSED())
        await rechecks.close(tx, item_id, now, note)
    return replace(item, state="closed", closed_at=now, note=note)
