"""Movements of bank accounts (银行流水): matched to orders, booked once, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NamedTuple

from services.settlement.rules.banking import BankItemKind, BankLine
from services.settlement.rules.orders import (
    UNSENT,
    Debt,
    Effect,
    Order,
    OrderState,
    Purpose,
    Surprise,
    effect_of,
    payout_effect_of,
    state_after_debit,
    surprises,
)
from services.settlement.store import banking as store
from services.settlement.store import orders as order_store
from services.settlement.store.banking import NewEntry, NewItem
from services.settlement.use_cases import payouts, settling
from services.settlement.use_cases.bank_sending import add_items
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.settling import Moved
from shared.database import Connection
from shared.events import Envelope, new_id
from shared.events.settlement import OrderFailed
from shared.outbox import announce
from shared.telemetry import current_traceparent

_UNPAID = (OrderState.REJECTED, OrderState.RETURNED, OrderState.PARTLY_PAID)
_PAID, _RETURNED, _MIRRORED, _UNKNOWN = "paid", "returned", "mirrored", "unknown"


class Key(NamedTuple):
    """What a movement is known by, in whatever file it comes."""

    entry_ref: str
    end_to_end_id: str
    debit: bool


@dataclass(slots=True)
class _Account:
    """What is found out about one report of one account while its movements are gone through."""

    party: str
    message_no: int
    orders: dict[str, Order]
    debts: dict[str, Debt]
    moved: list[Moved] = field(default_factory=list)
    settled: list[tuple[Order, date]] = field(default_factory=list)
    unknown: dict[str, tuple[int, date]] = field(default_factory=dict)
    items: list[NewItem] = field(default_factory=list)
    failed: list[tuple[Order, OrderState, str]] = field(default_factory=list)
    late: set[str] = field(default_factory=set)
    """First orders of debts that were paid late: what was ordered anew must not go."""


async def take(
    parts: Settlement, tx: Connection, party: str, lines: Sequence[BankLine], message_no: int, now: datetime
) -> None:
    """Book the movements of one account that were not reported before."""
    named = [line.end_to_end_id for line in lines if line.end_to_end_id]
    await order_store.lock_debts(tx, named)
    orders = await order_store.orders(tx, named)
    debts = await order_store.debts(tx, [order.root_order_id for order in orders.values()])
    account = _Account(party, message_no, orders, debts)
    entries = [(line, _entry(account, line)) for line in await _fresh(tx, account, lines)]
    kept = await store.add_entries(tx, [entry for _, entry in entries], message_no, now)
    for line, entry in entries:
        if entry.entry_id in kept:
            await _move(tx, account, line, entry)
    await _record(parts, tx, account, now)


async def _fresh(tx: Connection, account: _Account, lines: Sequence[BankLine]) -> list[BankLine]:
    """Movements not reported before; one that comes with another amount is told, and the first one stands."""
    keys = {_key(line) for line in lines}
    known = {Key(*key): amount for key, amount in (await store.known_entries(tx, account.party, sorted(keys))).items()}
    fresh = []
    for line in lines:
        key = _key(line)
        if key not in known:
            known[key] = line.amount_fen
            fresh.append(line)
        elif known[key] != line.amount_fen:
            name = f"changed:{account.party}:{':'.join(map(str, key))}:{line.amount_fen}"
            order_id = key.end_to_end_id if key.end_to_end_id in account.orders else None
            account.items.append(_item(account, name, BankItemKind.ENTRY_CHANGED, line, order_id))
    return fresh


def _key(line: BankLine) -> Key:
    return Key(line.entry_ref, line.end_to_end_id, line.debit)


def _item(account: _Account, key: str, kind: BankItemKind, line: BankLine, order_id: str | None) -> NewItem:
    detail = line.reason or line.entry_ref
    return NewItem(key, kind, account.party, detail, order_id, account.message_no, line.amount_fen)


def _entry(account: _Account, line: BankLine) -> NewEntry:
    order = account.orders.get(line.end_to_end_id)
    outcome = _outcome(account.party, order, line)
    return NewEntry(
        new_id(),
        account.party,
        *_key(line),
        line.amount_fen,
        line.booked_on,
        line.reason,
        None if order is None or outcome == _UNKNOWN else order.order_id,
        outcome,
    )


def _outcome(party: str, order: Order | None, line: BankLine) -> str:
    """What a movement is: of the payer's account, the other end of one at the payee's, or of nothing that was sent."""
    if order is None or not order.by_bank or order.state in (*UNSENT, OrderState.DECLINED):
        return _UNKNOWN
    if party == order.payer:
        return _PAID if line.debit else _RETURNED
    return _MIRRORED if party == order.payee else _UNKNOWN


async def _move(tx: Connection, account: _Account, line: BankLine, entry: NewEntry) -> None:
    """One movement: what it does to its order and debt."""
    if entry.order_id is None:
        account.unknown[entry.entry_id] = (line.amount_fen if line.debit else -line.amount_fen, line.booked_on)
        account.items.append(_item(account, f"entry:{entry.entry_id}", BankItemKind.ENTRY_UNKNOWN, line, None))
        return
    if entry.outcome == _MIRRORED:
        return
    order = account.orders[entry.order_id]
    debt = account.debts[order.root_order_id]
    change_fen = line.amount_fen if line.debit else -line.amount_fen
    effect = await _effect(tx, order, debt, change_fen)
    told = surprises(order, debt, change_fen)
    paid_fen = order.paid_fen + change_fen
    after = replace(order, paid_fen=paid_fen, state=state_after_debit(order, paid_fen))
    account.orders[order.order_id] = after
    account.debts[order.root_order_id] = Debt(
        debt.amount_fen, debt.paid_fen + change_fen, debt.settled or effect.settles
    )
    account.moved.append(Moved(entry.entry_id, after, effect.beside_fen, line.booked_on))
    if effect.settles:
        account.settled.append((after, line.booked_on))
    _tell(account, line, entry, after, told)


async def _effect(tx: Connection, order: Order, debt: Debt, change_fen: int) -> Effect:
    if order.purpose is Purpose.PAYOUT:
        return payout_effect_of(debt, change_fen)
    effect = effect_of(debt, change_fen)
    if effect.settles and not await settling.can_settle(tx, order):
        return Effect(settles=False, beside_fen=change_fen)
    return effect


def _tell(account: _Account, line: BankLine, entry: NewEntry, order: Order, told: Sequence[Surprise]) -> None:
    for surprise in told:
        key = f"{surprise}:{entry.entry_id}"
        account.items.append(_item(account, key, BankItemKind(surprise), line, order.order_id))
    if told:
        account.failed.append((order, order.state, line.reason or told[0]))
    if Surprise.LATE in told:
        account.late.add(order.root_order_id)


async def _record(parts: Settlement, tx: Connection, account: _Account, now: datetime) -> None:
    touched = {moved.order.order_id for moved in account.moved}
    orders = [account.orders[order_id] for order_id in sorted(touched)]
    await order_store.move_orders(tx, [(o.order_id, o.state, o.paid_fen) for o in orders])
    await settling.record(parts, tx, account.moved, now)
    await settling.record_unknown(parts, tx, account.party, account.unknown, now)
    await settling.settle(parts, tx, account.settled, now)
    await store.close_items(tx, sorted(touched), [BankItemKind.UNANSWERED], "answered", now)
    await _stop(tx, account.late)
    await add_items(parts, tx, account.items, now)
    await fail(tx, account.failed, now)
    unpaid = [o for o in orders if not (m := account.debts[o.root_order_id]).settled and not m.paid_fen]
    await settling.give_back(tx, unpaid)


async def _stop(tx: Connection, root_order_ids: set[str]) -> None:
    """What the bank paid after all must not be paid again: what was ordered anew and is not sent yet is declined."""
    unsent = await order_store.unsent_of(tx, root_order_ids)
    await order_store.set_declined(tx, [order.order_id for order in unsent], "paid late")


async def fail(tx: Connection, failed: Sequence[tuple[Order, OrderState, str]], now: datetime) -> None:
    """Announce orders that were not paid as ordered; payouts that came to nothing are back in their queue."""
    events = [
        OrderFailed(
            order_id=order.order_id,
            purpose=order.purpose,
            reference=order.reference,
            party=order.payer,
            amount_fen=order.amount_fen,
            state=state,
        )
        for order, state, _ in failed
    ]
    await announce(tx, [Envelope(event, now, traceparent=current_traceparent()) for event in events])
    refused = {
        order.reference: reason
        for order, state, reason in failed
        if order.purpose is Purpose.PAYOUT and state in _UNPAID
    }
    await payouts.refuse(tx, refused, now)
