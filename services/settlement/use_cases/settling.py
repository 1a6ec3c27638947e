"""What is to be paid, by its purpose: taken for an order, settled when it is paid, given back when it is not.

The bank's account moves by what the bank says. What settles a debt moves by its own transaction; everything else
that the bank moved stands on suspense, so that bank and books agree in every case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from services.settlement.rules.ledger import (
    Transfer,
    entries,
    payout_transfers,
    suspense_transfers,
    unknown_transfers,
)
from services.settlement.rules.orders import Order, OrderDraft, Purpose
from services.settlement.store import bills as bill_store
from services.settlement.store import clearing as clearing_store
from services.settlement.store import orders as store
from services.settlement.store import prepayments as prepayment_store
from services.settlement.store.bills import Transaction
from services.settlement.use_cases import clearing, payments, payouts, prepayments
from services.settlement.use_cases.parts import Settlement
from shared.auth import Principal
from shared.database import Connection
from shared.refusals import Refusal
from shared.workdays import month_of, shanghai_day


class Moved(NamedTuple):
    """What the bank moved for an order beside what settles its debt, under the id of the transaction it makes."""

    transaction_id: str
    order: Order
    amount_fen: int
    on: date


async def take(
    tx: Connection, principal: Principal, purpose: Purpose, references: Sequence[str], now: datetime
) -> dict[str, OrderDraft | list[Refusal]]:
    """What the caller is about to order; for each what speaks against it. A hop is proposed as a payment."""
    if purpose is Purpose.PAYOUT:
        return await payouts.to_order(tx, principal, references, now)
    if purpose is Purpose.POSITION:
        positions = await clearing.take_positions(tx, principal.party, references)
        return {
            reference: p if isinstance(p, list) else OrderDraft(purpose, reference, p.payer, p.payee, p.amount_fen)
            for reference, p in positions.items()
        }
    movements = await prepayments.take_movements(tx, principal.party, references)
    return {
        reference: m if isinstance(m, list) else OrderDraft(purpose, reference, m.payer, m.payee, m.amount_fen)
        for reference, m in movements.items()
    }


async def settle(parts: Settlement, tx: Connection, paid: Sequence[tuple[Order, date]], now: datetime) -> None:
    """Everything these orders' debts need is paid, on these days: they are settled, once."""
    await store.set_settled(tx, [order.root_order_id for order, _ in paid], now)
    for (purpose, day), orders in _grouped(paid).items():
        references = [order.reference for order in orders]
        if purpose is Purpose.HOP:
            approved_by = {order.reference: order.approved_by or "" for order in orders}
            await payments.settle_hops(parts, tx, approved_by, now, day)
        elif purpose is Purpose.PAYOUT:
            await payouts.settle(tx, references, now)
        elif purpose is Purpose.POSITION:
            await clearing.settle_positions(parts, tx, references, now, day)
        else:
            await prepayments.settle_movements(parts, tx, references, now, day)


def _grouped(paid: Sequence[tuple[Order, date]]) -> dict[tuple[Purpose, date], list[Order]]:
    """The orders of each purpose and day, in an order that is always the same."""
    groups: dict[tuple[Purpose, date], list[Order]] = {}
    for order, day in sorted(paid, key=lambda one: (one[0].purpose, one[1], one[0].order_id)):
        groups.setdefault((order.purpose, day), []).append(order)
    return groups


async def record(parts: Settlement, tx: Connection, moved: Sequence[Moved], now: datetime) -> None:
    """Book what the bank moved for orders and settles nothing by itself."""
    transactions = [_transaction(m, now) for m in moved if m.amount_fen]
    await bill_store.add_transactions(tx, transactions, parts.ledger_key, now)


def beside_transfers(moved: Moved) -> list[Transfer]:
    """What the bank moved for an order beside what settles its debt: to persons it pays, else it is on suspense."""
    order = moved.order
    if order.payee is None:
        return payout_transfers(order.payer, moved.amount_fen)
    return suspense_transfers(order.payer, order.payee, moved.amount_fen)


def _transaction(moved: Moved, now: datetime) -> Transaction:
    period = month_of(shanghai_day(now))
    return Transaction(moved.transaction_id, "bank", None, period, moved.on, None, entries(beside_transfers(moved)))


async def record_unknown(
    parts: Settlement, tx: Connection, party: str, unknown: Mapping[str, tuple[int, date]], now: datetime
) -> None:
    """Book debits (as negative amounts, credits) of which nobody knows what they are for, by transaction id."""
    period = month_of(shanghai_day(now))
    transactions = [
        Transaction(entry_id, "bank", None, period, day, None, entries(unknown_transfers(party, debit_fen)))
        for entry_id, (debit_fen, day) in unknown.items()
        if debit_fen
    ]
    await bill_store.add_transactions(tx, transactions, parts.ledger_key, now)


async def can_settle(tx: Connection, order: Order) -> bool:
    """Whether what an order paid is still there to be settled: a position that was given back may have been replaced.

    What is there and free is taken again.
    """
    if order.purpose is Purpose.POSITION:
        position = (await clearing_store.positions(tx, [order.reference], locked=True)).get(order.reference)
        if position is not None and position.state == "open":
            return not isinstance(
                (await clearing.take_positions(tx, order.payer, [order.reference]))[order.reference], list
            )
        return position is not None and position.state == "ordered"
    if order.purpose is Purpose.PREPAYMENT:
        await prepayments.take_movements(tx, order.payer, [order.reference])
        movement = (await prepayment_store.movements(tx, [order.reference], locked=True)).get(order.reference)
        return movement is not None and movement.state == "ordered"
    return True


async def give_back(tx: Connection, orders: Sequence[Order]) -> None:
    """Nothing was paid by these orders: what they took of a cycle or a prepayment is free again, and may go elsewhere.

    A payout and a hop wait for their order to be repeated.
    """
    await clearing.give_back_positions(tx, _references(orders, Purpose.POSITION))
    await prepayments.give_back_movements(tx, _references(orders, Purpose.PREPAYMENT))


def _references(orders: Sequence[Order], purpose: Purpose) -> list[str]:
    return [order.reference for order in orders if order.purpose is purpose]
