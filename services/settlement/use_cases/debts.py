"""What one party owes another without an order at the bank: found for a movement of the bank, and settled by it."""

from __future__ import annotations

from datetime import date, datetime

from services.settlement import errors
from services.settlement.rules.cases import HopState
from services.settlement.rules.identifications import Owed
from services.settlement.rules.orders import Purpose
from services.settlement.store import cases as case_store
from services.settlement.store import clearing as clearing_store
from services.settlement.store import identifications as store
from services.settlement.store import payments as payment_store
from services.settlement.store import prepayments as prepayment_store
from services.settlement.use_cases import clearing, payments, prepayments
from services.settlement.use_cases.months import Actor
from services.settlement.use_cases.parts import Settlement
from shared.database import Connection
from shared.refusals import Refusal, Refused


async def owed(tx: Connection, party: str, purpose: Purpose, reference: str, *, pays: bool) -> Owed | list[Refusal]:
    """What a party owes, or, when it does not pay, is owed, for a case, position or prepayment's movement.

    What it says is locked.
    """
    if purpose is Purpose.HOP:
        return await _hop(tx, party, reference, pays=pays)
    if purpose is Purpose.POSITION:
        return await _position(tx, party, reference)
    movement = (await prepayment_store.movements(tx, [reference], locked=True)).get(reference)
    if movement is None or party not in (movement.payer, movement.payee) or movement.kind == "draw":
        return [errors.DEBT_UNKNOWN()]
    ordered = await store.goes_to_bank(tx, Purpose.PREPAYMENT, reference)
    seen = await store.seen(tx, Purpose.PREPAYMENT, reference, party)
    return Owed(movement.payer, movement.payee, movement.amount_fen, movement.state == "settled", ordered, seen)


async def _hop(tx: Connection, party: str, case_id: str, *, pays: bool) -> Owed | list[Refusal]:
    await case_store.lock_cases(tx, [case_id])
    case = (await case_store.cases(tx, [case_id])).get(case_id)
    hops = case.hops if case else ()
    hop = next((hop for hop in hops if party == (hop.payer if pays else hop.payee)), None)
    if hop is None:
        return [errors.DEBT_UNKNOWN()]
    documents = {payment.hop_no: payment for payment in await payment_store.payments_of(tx, case_id)}
    document = documents.get(hop.hop_no)
    if hop.state is HopState.IN_POSITION or (hop.state is HopState.PAID and document is None):
        return [errors.HOP_IN_POSITION()]
    ordered = document is not None and await store.goes_to_bank(tx, Purpose.HOP, document.payment_id)
    seen = document is not None and await store.seen(tx, Purpose.HOP, document.payment_id, party)
    amount_fen = hop.amount_fen if document is None else document.amount_fen
    return Owed(hop.payer, hop.payee, amount_fen, hop.state is HopState.PAID, ordered, seen)


async def _position(tx: Connection, party: str, position_id: str) -> Owed | list[Refusal]:
    position = (await clearing_store.positions(tx, [position_id], locked=True)).get(position_id)
    if position is None or party not in (position.payer, position.payee):
        return [errors.DEBT_UNKNOWN()]
    if position.state == "settled" and position.settled_by != "payment":
        return [errors.POSITION_NOT_OPEN(state=position.state)]
    ordered = await store.goes_to_bank(tx, Purpose.POSITION, position_id)
    seen = await store.seen(tx, Purpose.POSITION, position_id, party)
    return Owed(position.payer, position.payee, position.amount_fen, position.state == "settled", ordered, seen)


async def settle(
    parts: Settlement,
    tx: Connection,
    debt: tuple[Purpose, str],
    party: str,
    people: tuple[Actor, Actor],
    now: datetime,
    paid_on: date,
    *,
    pays: bool,
) -> None:
    """The bank's account shows that a debt was paid on a day: it is settled, by two people's word. Raises Refused."""
    purpose, reference = debt
    found = await owed(tx, party, purpose, reference, pays=pays)
    if isinstance(found, list):
        raise Refused(*found)
    if purpose is Purpose.HOP:
        await payments.pay_seen(parts, tx, reference, found.payer, people, now, paid_on)
    elif purpose is Purpose.POSITION:
        _taken((await clearing.take_positions(tx, found.payer, [reference]))[reference])
        await clearing.settle_positions(parts, tx, [reference], now, paid_on)
    else:
        _taken((await prepayments.take_movements(tx, found.payer, [reference]))[reference])
        await prepayments.settle_movements(parts, tx, [reference], now, paid_on)


def _taken(outcome: object) -> None:
    """Raises Refused with what speaks against paying it now."""
    if isinstance(outcome, list):
        raise Refused(*outcome)
