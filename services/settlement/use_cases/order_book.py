"""How a payer pays, and the orders that follow from it: what proposing and repeating share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.settlement.rules.orders import OrderDraft, review_needed
from services.settlement.rules.terms import PaymentWay
from services.settlement.store import orders as store
from services.settlement.store.orders import NewOrder
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.database import Connection
from shared.events import new_id
from shared.workdays import shanghai_day


class Way(NamedTuple):
    """How a payer pays: through the bank or on record, and above which amount an order is reviewed."""

    by_bank: bool
    review_above_fen: int


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
