"""Identifying unknown movements of the bank (查实): one person says what it was, another one has it booked.

A movement that nothing named stands on suspense. Its identification takes it back from there, and books it as what it
was; the bank's account holds the same before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from services.settlement import errors
from services.settlement.rules.banking import BankLine
from services.settlement.rules.identifications import (
    Movement,
    Nature,
    Outcome,
    Owed,
    Target,
    check_decision,
    check_movement,
    order_outcome,
    other_outcome,
    pair_outcome,
    receivable_outcome,
)
from services.settlement.rules.ledger import entries, other_transfers, unknown_transfers
from services.settlement.rules.orders import Purpose
from services.settlement.store import banking as bank_store
from services.settlement.store import bills as bill_store
from services.settlement.store import clearing as clearing_store
from services.settlement.store import identifications as store
from services.settlement.store import orders as order_store
from services.settlement.store.bills import Transaction
from services.settlement.store.identifications import IdentificationRow, NewIdentification
from services.settlement.use_cases import bank_movements, debts
from services.settlement.use_cases.months import Actor
from services.settlement.use_cases.parts import Settlement
from shared.auth import Principal
from shared.database import Connection
from shared.events import new_id
from shared.refusals import Refusal, Refused
from shared.workdays import month_of, shanghai_day


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody says a movement was; exactly one of the four."""

    order_id: str | None
    debt: tuple[Purpose, str] | None
    counter_item_no: int | None
    reason: str
    nature: Nature | None = None

    @property
    def target(self) -> Target | None:
        """Which of the four; None when it is not exactly one."""
        given = {
            Target.ORDER: self.order_id,
            Target.RECEIVABLE: self.debt,
            Target.COUNTER_ENTRY: self.counter_item_no,
            Target.OTHER_INCOME: self.nature,
        }
        named = [target for target, value in given.items() if value is not None]
        return named[0] if len(named) == 1 else None


class _Found(NamedTuple):
    """What a movement is held against."""

    target: Target
    order_id: str | None = None
    debt: tuple[Purpose, str] | None = None
    counter: Movement | None = None
    nature: Nature | None = None


async def propose(tx: Connection, principal: Principal, item_no: int, said: Said, now: datetime) -> IdentificationRow:
    """Say what the movement was that an item tells of. Raises Refused."""
    if said.target is None:
        raise Refused(errors.IDENTIFICATION_TARGET())
    told = await store.told(tx, [n for n in (item_no, said.counter_item_no) if n is not None])
    if item_no not in told or (said.counter_item_no is not None and said.counter_item_no not in told):
        raise Refused(errors.BANK_ITEM_UNKNOWN())
    movement, counter = told[item_no], told.get(said.counter_item_no or 0)
    found = _Found(said.target, said.order_id, said.debt, counter, said.nature)
    outcome = await _outcome(tx, movement, found)
    wrong = check_movement(movement, principal.party) + (outcome if isinstance(outcome, list) else [])
    if wrong:
        raise Refused(*_each_once(wrong))
    pair = {movement.entry_id: ""}
    if counter is not None:
        pair = {movement.entry_id: counter.entry_id, counter.entry_id: movement.entry_id}
    purpose, reference = said.debt or (None, None)
    about = (said.target, said.order_id, purpose, reference, said.nature, said.reason)
    new = NewIdentification(movement.party, movement.keeper, *about, pair)
    ids = [new_id() for _ in pair]
    if not await store.add(tx, new, ids, principal.subject, now):
        raise Refused(errors.MOVEMENT_KNOWN())
    return await _row(tx, ids[0])


def _each_once(wrong: Sequence[Refusal]) -> list[Refusal]:
    return list({refusal.code: refusal for refusal in wrong}.values())


async def _outcome(tx: Connection, movement: Movement, found: _Found) -> Outcome | list[Refusal]:
    """What a movement comes to as things are now; who books it has locked them."""
    if found.counter is not None:
        return pair_outcome(movement, found.counter)
    if found.nature is not None:
        return other_outcome(movement, found.nature)
    if found.order_id is not None:
        order = (await order_store.orders(tx, [found.order_id])).get(found.order_id)
        if order is None or movement.party not in (order.payer, order.payee):
            return [errors.ORDER_UNKNOWN()]
        mirrored = await store.mirrored(tx, [found.order_id], movement.party)
        return order_outcome(movement, order, mirrored[found.order_id])
    owed = await debts.owed(tx, movement.party, *(found.debt or (Purpose.HOP, "")), pays=movement.debit)
    return receivable_outcome(movement, owed) if isinstance(owed, Owed) else owed


async def decline(tx: Connection, principal: Principal, identification_id: str, now: datetime) -> IdentificationRow:
    """Another person says that it was not that: the movement can be identified anew. Raises Refused."""
    ids, row = await _to_decide(tx, principal, identification_id)
    await store.decide(tx, ids, "declined", None, principal.subject, now)
    return await _row(tx, row.identification_id)


async def approve(
    parts: Settlement, tx: Connection, principal: Principal, identification_id: str, now: datetime
) -> IdentificationRow:
    """Another person agrees: the movement is booked as what it was, and its item closed. Raises Refused."""
    ids, row = await _to_decide(tx, principal, identification_id)
    entry_ids = [row.entry_id] + ([row.counter_entry_id] if row.counter_entry_id else [])
    movements = await store.movements(tx, entry_ids, ids)
    found = _Found(
        Target(row.target),
        row.order_id,
        None if row.reference is None else (Purpose(row.purpose or ""), row.reference),
        movements.get(row.counter_entry_id or ""),
        None if row.nature is None else Nature(row.nature),
    )
    await _lock(tx, row)
    outcome = await _outcome(tx, movements[row.entry_id], found)
    if isinstance(outcome, list):
        raise Refused(*outcome)
    await store.decide(tx, ids, "approved", outcome, principal.subject, now)
    await _book(parts, tx, row, outcome, Actor.of(principal), now)
    await store.close_items(tx, entry_ids, now)
    return await _row(tx, identification_id)


async def _lock(tx: Connection, row: IdentificationRow) -> None:
    """The account, then what it is held against, as everybody locks: an order's debt; cycles before positions."""
    await bank_store.lock_accounts(tx, [row.party])
    if row.order_id is not None:
        await order_store.lock_debts(tx, [row.order_id])
    elif row.purpose == Purpose.POSITION:
        await clearing_store.lock(tx)


async def _book(
    parts: Settlement, tx: Connection, row: IdentificationRow, outcome: Outcome, approver: Actor, now: datetime
) -> None:
    """Take the movement off suspense and do what it did. Two that cancel each other left nothing there."""
    if outcome is Outcome.CANCELLED:
        return
    beside = []
    if outcome in (Outcome.PAID, Outcome.RETURNED):
        line = BankLine(row.entry_ref, row.order_id or "", row.debit, row.amount_fen, row.booked_on, None)
        beside = await bank_movements.take_identified(
            parts, tx, row.party, line, (row.identification_id, outcome), row.message_no, now
        )
    elif outcome is Outcome.SETTLED:
        proposer = Actor(row.keeper, row.proposed_by)
        debt = (Purpose(row.purpose or ""), row.reference or "")
        await debts.settle(parts, tx, debt, row.party, (proposer, approver), now, row.booked_on, pays=row.debit)
    back_fen = -row.amount_fen if row.debit else row.amount_fen
    if outcome is Outcome.BOOKED:
        beside = other_transfers(row.party, -back_fen)
    transaction = Transaction(
        transaction_id=row.identification_id,
        kind="identification",
        case_id=None,
        period=month_of(shanghai_day(now)),
        value_date=row.booked_on,
        reverses_transaction_id=row.entry_id,
        entries=entries([*unknown_transfers(row.party, back_fen), *beside]),
    )
    await bill_store.add_transactions(tx, [transaction], parts.ledger_key, now)


async def _to_decide(
    tx: Connection, principal: Principal, identification_id: str
) -> tuple[list[str], IdentificationRow]:
    """An identification, of a pair both, locked, that the caller may decide on. Raises Refused."""
    ids = await store.lock(tx, identification_id)
    row = await store.row(tx, identification_id)
    if row is None:
        raise Refused(errors.IDENTIFICATION_UNKNOWN())
    actor = (principal.party, principal.subject)
    if wrong := check_decision(row.state, row.keeper, row.proposed_by, actor):
        raise Refused(*wrong)
    return ids, row


async def _row(tx: Connection, identification_id: str) -> IdentificationRow:
    row = await store.row(tx, identification_id)
    if row is None:
        raise Refused(errors.IDENTIFICATION_UNKNOWN())
    return row
