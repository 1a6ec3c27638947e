"""Payment orders (支付指令): proposed, reviewed, approved or declined, and, when the bank did not pay, repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.banking import BankItemKind
from services.settlement.rules.orders import (
    Debt,
    Order,
    OrderDraft,
    Purpose,
    check_approval,
    check_decline,
    check_repeat,
    check_review,
    check_way,
    outstanding,
    review_needed,
)
from services.settlement.store import bank_accounts as account_store
from services.settlement.store import banking as bank_store
from services.settlement.store import orders as store
from services.settlement.store.orders import NewOrder
from services.settlement.use_cases import settling
from services.settlement.use_cases.order_book import Way, open_orders, way_of
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.settling import Moved
from shared.auth import Principal
from shared.database import Connection
from shared.events import new_id
from shared.refusals import Refusal, Refused
from shared.workdays import shanghai_day

Outcomes = dict[str, str | list[Refusal]]
"""For each thing the order that came of it, or what speaks against it."""

CLOSED_BY_REPEATING = (BankItemKind.REJECTED, BankItemKind.RETURNED, BankItemKind.PARTIAL)


async def propose(
    parts: Settlement, tx: Connection, principal: Principal, purpose: Purpose, references: Sequence[str], now: datetime
) -> Outcomes:
    """Propose the payment of payouts, positions or prepayments; by reference the order, or what speaks against it.

    What had an order that came to nothing is repeated, so that all orders of a debt stay together.
    """
    # Whoever books what the bank paid locks the orders of a debt before what they pay.
    before = await store.first_orders(tx, [(purpose, reference) for reference in references])
    await store.lock_debts(tx, before.values())
    taken = await settling.take(tx, principal, purpose, references, now)
    drafts = {reference: draft for reference, draft in taken.items() if isinstance(draft, OrderDraft)}
    refused = {reference: draft for reference, draft in taken.items() if not isinstance(draft, OrderDraft)}
    way = await way_of(parts, tx, principal.party, now)
    made = await open_orders(tx, list(drafts.values()), way, principal.subject, now)
    again = await _ordered_again(parts, tx, principal, [p for r, p in drafts.items() if r not in made], now)
    return {r: refused.get(r) or made.get(r) or again[r] for r in references}


async def _ordered_again(
    parts: Settlement, tx: Connection, principal: Principal, drafts: Sequence[OrderDraft], now: datetime
) -> Outcomes:
    """Order again what had an order before: after its last one, if that is over."""
    firsts = await store.first_orders(tx, [(draft.purpose, draft.reference) for draft in drafts])
    outcomes: Outcomes = {}
    for (_, reference), first in firsts.items():
        last = await last_of(tx, first)
        outcome = await _repeat(parts, tx, principal, last, now, taken=True)
        outcomes[reference] = outcome if isinstance(outcome, str) else [errors.ORDER_EXISTS()]
    return outcomes


async def last_of(tx: Connection, order_id: str) -> str:
    """The newest of the orders that repeat each other, beginning with one."""
    while following := (await store.successors(tx, [order_id])).get(order_id):
        order_id = following
    return order_id


async def review(
    parts: Settlement, tx: Connection, principal: Principal, order_ids: Sequence[str], now: datetime
) -> Outcomes:
    """Review orders whose amount needs it; for each itself, or what speaks against it."""
    way = await way_of(parts, tx, principal.party, now)
    outcomes, passed = await _judged(
        tx, order_ids, lambda order: check_review(_limited(order, way), principal.party, principal.subject)
    )
    await store.set_reviewed(tx, [order.order_id for order in passed], principal.subject, now)
    return outcomes


async def approve(
    parts: Settlement, tx: Connection, principal: Principal, order_ids: Sequence[str], now: datetime
) -> Outcomes:
    """Approve orders: they go with the next file, or, where payments are only recorded, are paid thereby."""
    found = (await store.orders(tx, order_ids)).values()
    parties = {party for order in found if order.by_bank for party in (order.payer, order.payee) if party}
    missing = parties - await account_store.with_account(tx, parties)
    way = await way_of(parts, tx, principal.party, now)
    sent = await store.sent_before(tx, [order.root_order_id for order in found])
    outcomes, passed = await _judged(
        tx,
        order_ids,
        lambda order: [
            *check_approval(_limited(order, way), principal.party, principal.subject),
            *check_way(order, principal.party, by_bank=way.by_bank, sent_before=order.root_order_id in sent),
            *_without_account(order, missing),
        ],
    )
    await store.set_approved(tx, [order.order_id for order in passed], principal.subject, now)
    recorded = [order.order_id for order in passed if not order.by_bank]
    await _pay_on_record(parts, tx, recorded, now)
    return outcomes


def _limited(order: Order, way: Way) -> Order:
    """An order under the limit its payer has now: one that was lowered since the proposal counts too."""
    return replace(order, review_needed=order.review_needed or review_needed(order.amount_fen, way.review_above_fen))


def _without_account(order: Order, missing: set[str]) -> list[Refusal]:
    lacking = [party for party in (order.payer, order.payee) if order.by_bank and party in missing]
    return [errors.ACCOUNT_MISSING(party=party) for party in lacking if party]


async def _pay_on_record(parts: Settlement, tx: Connection, order_ids: Sequence[str], now: datetime) -> None:
    """Approval says that these were paid."""
    if not order_ids:
        return
    today, paid = shanghai_day(now), list((await store.orders(tx, order_ids)).values())
    persons = [Moved(order.order_id, order, order.amount_fen, today) for order in paid if order.payee is None]
    await settling.record(parts, tx, persons, now)
    await settling.settle(parts, tx, [(order, today) for order in paid], now)


async def decline(tx: Connection, principal: Principal, order_ids: Sequence[str], reason: str) -> Outcomes:
    """Stop orders before they are sent; what they were to pay waits to be ordered again."""
    outcomes, passed = await _judged(tx, order_ids, lambda order: check_decline(order, principal.party))
    await store.set_declined(tx, [order.order_id for order in passed], reason)
    await settling.give_back(tx, await _unpaid(tx, passed))
    return outcomes


async def _unpaid(tx: Connection, orders: Sequence[Order]) -> list[Order]:
    """Those of whose debts nothing was paid, by whatever order."""
    debts = await store.debts(tx, [order.root_order_id for order in orders])
    return [o for o in orders if not debts[o.root_order_id].paid_fen and not debts[o.root_order_id].settled]


async def repeat(parts: Settlement, tx: Connection, principal: Principal, order_id: str, now: datetime) -> str:
    """Order again what an order did not pay: a new order, to be reviewed and approved like any. Raises Refused."""
    outcome = await _repeat(parts, tx, principal, order_id, now)
    if isinstance(outcome, list):
        raise Refused(*outcome)
    return outcome


async def _repeat(
    parts: Settlement, tx: Connection, principal: Principal, order_id: str, now: datetime, *, taken: bool = False
) -> str | list[Refusal]:
    await store.lock_debts(tx, [order_id])
    order = (await store.orders(tx, [order_id])).get(order_id)
    if order is None:
        return [errors.ORDER_UNKNOWN()]
    debt = (await store.debts(tx, [order.root_order_id]))[order.root_order_id]
    repeated = await store.successors(tx, [order_id])
    if wrong := check_repeat(order, debt, principal.party, has_successor=bool(repeated)):
        return wrong
    if not taken and (wrong := await _take_again(tx, principal, order, debt, now)):
        return wrong
    way = await way_of(parts, tx, order.payer, now)
    amount_fen = outstanding(debt)
    draft = OrderDraft(order.purpose, order.reference, order.payer, order.payee, amount_fen)
    review = review_needed(amount_fen, way.review_above_fen)
    # What a bank had in a file it may pay late: that and what is recorded must not mix.
    by_bank = order.by_bank if await store.sent_before(tx, [order.root_order_id]) else way.by_bank
    new = NewOrder(new_id(), draft, debt.amount_fen, by_bank, review, order.root_order_id, order_id)
    await store.add_orders(tx, [new], principal.subject, now)
    await bank_store.close_items(tx, [order_id], CLOSED_BY_REPEATING, "repeated", now)
    return new.order_id


async def _take_again(tx: Connection, principal: Principal, order: Order, debt: Debt, now: datetime) -> list[Refusal]:
    """What was given back when an order came to nothing must still be there to be paid; a payout still owed."""
    if order.purpose is Purpose.HOP or (order.purpose is not Purpose.PAYOUT and (debt.paid_fen or debt.settled)):
        return []
    taken = (await settling.take(tx, principal, order.purpose, [order.reference], now))[order.reference]
    return taken if isinstance(taken, list) else []


async def _judged(
    tx: Connection, order_ids: Iterable[str], check: Callable[[Order], list[Refusal]]
) -> tuple[Outcomes, list[Order]]:
    """Orders, locked, against a rule: for each its id or what speaks against it; and those that pass."""
    wanted = list(order_ids)
    await store.lock_debts(tx, wanted)
    found: Mapping[str, Order] = await store.orders(tx, wanted)
    wrong = {o: check(found[o]) if o in found else [errors.ORDER_UNKNOWN()] for o in wanted}
    return {o: wrong[o] or o for o in wanted}, [found[o] for o in wanted if not wrong[o]]
