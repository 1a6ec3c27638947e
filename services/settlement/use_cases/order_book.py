"""How a payer pays, and the orders that follow from it: what proposing and repeating share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.settlement.rules.orders import OrderDraft, review_needed
from services.settlement.rules.payouts import draft_of
from services.settlement.rules.terms import PaymentWay
from services.settlement.store import orders as store
from services.settlement.store import payouts as payout_store
from services.settlement.store.orders import NewOrder
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.clock import Clock
from shared.database import Connection
from shared.events import new_id
from shared.workdays import shanghai_day

BY_CALENDAR = "settlement"
"""Who proposes what the calendar proposes: no person, and so nobody's two of four eyes."""
REVIEW_ALWAYS = 0


class Way(NamedTuple):
    """How a payer pays: through the bank or on record, and above which amount an order is reviewed."""

    by_bank: bool
    review_above_fen: int


def needs_order(way: Way, payer: str, parts: Settlement, amount_fen: int) -> bool:
    """Whether a hop is paid by an order: through the bank, or because somebody has to review it.

    Where everything was withheld nothing is to be paid: that another person approves it suffices.
    """
    reviewed = payer in parts.regions and review_needed(amount_fen, way.review_above_fen)
    return amount_fen > 0 and (way.by_bank or reviewed)


async def way_of(parts: Settlement, tx: Connection, payer: str, now: datetime) -> Way:
    """How a party pays today, by its region's terms. A facility pays by itself, and records it."""
    if payer not in parts.regions:
        return Way(by_bank=False, review_above_fen=parts.settings.second_review_above_fen)
    terms = (await terms_at(parts, tx, [payer], shanghai_day(now)))[payer]
    return Way(terms.payment_way is PaymentWay.BANK, terms.second_review_above_fen)


async def open_orders(
    tx: Connection, drafts: Sequence[OrderDraft], way: Way, subject: str, now: datetime
) -> dict[str, str]:
    """Propose the first orders of debts: the order of each reference; a debt that has one already is left out."""
    orders = [_first(draft, way) for draft in drafts]
    added = await store.add_orders(tx, orders, subject, now)
    return {order.draft.reference: order.order_id for order in orders if order.order_id in added}


def _first(draft: OrderDraft, way: Way) -> NewOrder:
    order_id = new_id()
    review = review_needed(draft.amount_fen, way.review_above_fen)
    return NewOrder(order_id, draft, draft.amount_fen, way.by_bank, review, order_id)


async def order_released(parts: Settlement, clock: Clock) -> None:
    """Propose the orders of payouts of a batch whose day has come, each once (按月批量).

    The calendar is nobody: what it proposes is always reviewed by one person and approved by another.
    """
    while await _order_some(parts, clock()):
        pass


async def _order_some(parts: Settlement, now: datetime) -> int:
    """One batch; how many payouts it ordered."""
    async with parts.database.transaction() as tx:
        released = await payout_store.released(tx, shanghai_day(now))
        for region in sorted({payout.region for payout in released}):
            own = [payout for payout in released if payout.region == region]
            way = (await way_of(parts, tx, region, now))._replace(review_above_fen=REVIEW_ALWAYS)
            await open_orders(tx, [draft_of(payout) for payout in own], way, BY_CALENDAR, now)
    return len(released)
