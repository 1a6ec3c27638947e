"""Movements of bank accounts (银行流水): matched to orders, booked once, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from services.settlement.rules.banking import BankItemKind, BankLine
from services.settlement.rules.identifications import Movement, Outcome, order_outcome
from services.settlement.rules.ledger import Transfer
from services.settlement.rules.movements import Name, Told, names_of, tell
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
from services.settlement.store import bank_accounts as account_store
from services.settlement.store import banking as store
from services.settlement.store import identifications as identification_store
from services.settlement.store import orders as order_store
from services.settlement.store.banking import NewEntry, NewItem, NewSighting
from services.settlement.use_cases import payouts, settling
from services.settlement.use_cases.bank_sending import add_items
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.settling import Moved
from shared.database import Connection
from shared.events import new_id
from shared.events.settlement import OrderFailed
from shared.outbox import announce_now

_VALUE_DAYS = timedelta(days=10)
_UNPAID = (OrderState.REJECTED, OrderState.RETURNED, OrderState.PARTLY_PAID)
_PAID, _RETURNED, _MIRRORED, _UNKNOWN = "paid", "returned", "mirrored", "unknown"


@dataclass(slots=True)
class _Account:
    """What is found out about one report of one account while its movements are gone through."""

    party: str
    keeper: str
    message_no: int
    orders: dict[str, Order]
    debts: dict[str, Debt]
    mirrored_fen: dict[str, int]
    """What was seen already of orders that were paid on record: no more than their amount is theirs."""
    moved: list[Moved] = field(default_factory=list)
    settled: list[tuple[Order, date]] = field(default_factory=list)
    unknown: dict[str, tuple[int, date]] = field(default_factory=dict)
    items: list[NewItem] = field(default_factory=list)
    failed: list[tuple[Order, OrderState, str]] = field(default_factory=list)
    late: set[str] = field(default_factory=set)
    """First orders of debts that were paid late: what was ordered anew must not go."""


async def take(
    parts: Settlement,
    tx: Connection,
    party: str,
    lines: Sequence[BankLine],
    told_by: str,
    message_no: int,
    now: datetime,
) -> None:
    """Book the movements of one account that were not reported before. The caller has locked the account."""
    account = await _account(tx, party, message_no, [line.end_to_end_id for line in lines if line.end_to_end_id])
    told = tell(lines, told_by, await store.sightings(tx, party, _days(lines), names_of(lines)))
    entries = [_entry(account, one.line, one.name) if one.is_new else None for one in told]
    await store.add_entries(tx, [entry for entry in entries if entry], message_no, now)
    await store.add_sightings(tx, party, told_by, _sightings(told, entries), message_no)
    for one, entry in zip(told, entries, strict=True):
        if entry:
            await _move(tx, account, one.line, entry)
        elif one.differs:
            _tell_changed(account, one)
    await _record(parts, tx, account, now)


async def _account(tx: Connection, party: str, message_no: int, order_ids: Sequence[str]) -> _Account:
    """An account with the orders that its movements name, locked with their debts."""
    await order_store.lock_debts(tx, order_ids)
    orders = await order_store.orders(tx, order_ids)
    debts = await order_store.debts(tx, [order.root_order_id for order in orders.values()])
    recorded = [order.order_id for order in orders.values() if not order.by_bank]
    mirrored = await identification_store.mirrored(tx, recorded, party) if recorded else {}
    return _Account(party, await account_store.keeper(tx, party), message_no, orders, debts, mirrored)


def _days(lines: Sequence[BankLine]) -> tuple[date, date]:
    """The days in which a movement may have been booked that is told of again: value dates are some days off."""
    days = [day for line in lines for day in (line.booked_on, line.value_on) if day]
    return (min(days) - _VALUE_DAYS, max(days) + _VALUE_DAYS) if days else (date.min, date.min)


def _sightings(told: Sequence[Told], entries: Sequence[NewEntry | None]) -> list[NewSighting]:
    found = []
    for one, entry in zip(told, entries, strict=True):
        if entry_id := entry.entry_id if entry else one.entry_id:
            found.append(NewSighting(*one.name, entry_id, one.line.value_on))
    return found


def _tell_changed(account: _Account, one: Told) -> None:
    """A movement came with another amount, or names its order only now: the first word stands, and somebody looks."""
    line = one.line
    key = f"{one.name.name}:{line.end_to_end_id}:{line.debit}:{line.amount_fen}"
    order_id = line.end_to_end_id if line.end_to_end_id in account.orders else None
    name = f"changed:{account.party}:{key}"
    account.items.append(_item(account, name, BankItemKind.ENTRY_CHANGED, line, order_id))


def _item(account: _Account, key: str, kind: BankItemKind, line: BankLine, order_id: str | None) -> NewItem:
    detail = line.reason or line.entry_ref or line.report_ref
    return NewItem(key, kind, account.keeper, detail, order_id, account.message_no, line.amount_fen)


def _entry(account: _Account, line: BankLine, name: Name) -> NewEntry:
    order = account.orders.get(line.end_to_end_id)
    outcome = _outcome(account, order, line)
    return NewEntry(
        new_id(),
        account.party,
        name.name,
        line.end_to_end_id,
        line.debit,
        line.amount_fen,
        line.booked_on,
        line.reason,
        None if order is None or outcome == _UNKNOWN else order.order_id,
        outcome,
    )


def _outcome(account: _Account, order: Order | None, line: BankLine) -> str:
    """What a movement is: of the payer's account, the other end of one at the payee's, or of nothing that was sent."""
    if order is None or (order.by_bank and order.state in (*UNSENT, OrderState.DECLINED)):
        return _UNKNOWN
    if not order.by_bank:
        return _recorded(account, order, line)
    if account.party == order.payer:
        return _PAID if line.debit else _RETURNED
    return _MIRRORED if account.party == order.payee else _UNKNOWN


def _recorded(account: _Account, order: Order, line: BankLine) -> str:
    """What a movement is that names an order without a bank: its record booked both ends, so each is seen once."""
    about = (line.debit, line.amount_fen, line.booked_on, line.entry_ref)
    movement = Movement("", account.party, *about, is_unknown=True, keeper=account.keeper)
    if order_outcome(movement, order, account.mirrored_fen[order.order_id]) is not Outcome.MIRRORED:
        return _UNKNOWN
    account.mirrored_fen[order.order_id] += line.amount_fen
    return _MIRRORED


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


async def take_identified(
    parts: Settlement,
    tx: Connection,
    party: str,
    line: BankLine,
    identified: tuple[str, str],
    message_no: int,
    now: datetime,
) -> list[Transfer]:
    """A movement that was unknown belongs to the order that the line names: do what it did, as if it had named it.

    `identified` are the transaction that books it and the outcome. What it moves beside settling is returned.
    """
    transaction_id, outcome = identified
    account = await _account(tx, party, message_no, [line.end_to_end_id])
    about = (party, line.entry_ref, line.end_to_end_id, line.debit, line.amount_fen, line.booked_on, None)
    await _move(tx, account, line, NewEntry(transaction_id, *about, line.end_to_end_id, outcome))
    await _follow(parts, tx, account, now)
    return [transfer for moved in account.moved if moved.amount_fen for transfer in settling.beside_transfers(moved)]


async def _record(parts: Settlement, tx: Connection, account: _Account, now: datetime) -> None:
    await settling.record(parts, tx, account.moved, now)
    await settling.record_unknown(parts, tx, account.party, account.unknown, now)
    await _follow(parts, tx, account, now)


async def _follow(parts: Settlement, tx: Connection, account: _Account, now: datetime) -> None:
    """What follows for orders, debts, items and payouts."""
    touched = {moved.order.order_id for moved in account.moved}
    orders = [account.orders[order_id] for order_id in sorted(touched)]
    await order_store.move_orders(tx, [(o.order_id, o.state, o.paid_fen) for o in orders])
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
    await announce_now(tx, events, now)
    unpaid = [one for one in failed if one[0].purpose is Purpose.PAYOUT and one[1] in _UNPAID]
    debts = await order_store.debts(tx, [order.root_order_id for order, _, _ in unpaid])
    # Money that was paid beside the whole amount and came back leaves the payout paid.
    refused = {
        order.reference: reason
        for order, _, reason in unpaid
        if debts[order.root_order_id].paid_fen < debts[order.root_order_id].amount_fen
    }
    await payouts.refuse(tx, refused, now)
