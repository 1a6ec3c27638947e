"""What an unknown movement of the bank was (查实): who may say so, and what speaks against it. Pure.

It is one of four things: a movement of an order that the bank did not name; what another party owed, or what is on
record as paid, without an order of ours; half of a pair, because the bank gave it back; or money that has nothing to do
with what is settled here, such as interest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from services.settlement import errors
from services.settlement.rules.orders import UNSENT, Order, OrderState
from shared.refusals import Refusal


class Target(StrEnum):
    """What kind of thing a movement was."""

    ORDER = "order"
    """It belongs to a payment order: late, in part, or under another name."""
    RECEIVABLE = "receivable"
    """A party paid what it owed, without an order that went to the bank from here."""
    COUNTER_ENTRY = "counter_entry"
    """It went back to its sender: another movement takes it back (退回)."""
    OTHER_INCOME = "other_income"
    """It belongs to no order and no debt (其他收支)."""


class Nature(StrEnum):
    """What money is that belongs to no order and no debt (款项性质)."""

    INTEREST = "interest"
    """利息: the bank pays it."""
    TREASURY = "treasury"
    """财政专户拨入、缴回: from the treasury's special account, or back to it."""
    CHARGES = "charges"
    """银行手续费: the bank takes them."""
    OTHER = "other"
    """其他: as the reason says."""


class Outcome(StrEnum):
    """What an identification comes to."""

    PAID = "paid"
    """The order's account was debited by it."""
    RETURNED = "returned"
    """The order's money came back by it."""
    MIRRORED = "mirrored"
    """The books have it already: by the other end of the same payment, or by a record of it."""
    SETTLED = "settled"
    """What was owed is settled by it."""
    CANCELLED = "cancelled"
    """Two movements cancel each other."""
    BOOKED = "booked"
    """It stands on an account of its own."""


class Movement(NamedTuple):
    """A movement of a party's account as the bank told it."""

    entry_id: str
    party: str
    debit: bool
    amount_fen: int
    booked_on: date
    entry_ref: str
    is_unknown: bool
    """It is on suspense: nothing named it."""
    keeper: str
    """The agency that keeps the account: the party itself, or the care agency of a facility."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What one party owes another, or paid already as its record says. In fen."""

    payer: str
    payee: str
    amount_fen: int
    paid: bool
    """The books have the payment."""
    ordered: bool
    """An order of it goes to the bank: the movement belongs to that order."""
    seen: bool = False
    """A movement of the same account is known as this payment already."""


def check_movement(movement: Movement, agency: str) -> list[Refusal]:
    """Whether a movement is there to be identified by somebody of an agency: of that which keeps the account.

    A facility has nobody who could: its care agency keeps its account on file, and sees what the bank tells of it.
    """
    if movement.keeper != agency:
        return [errors.MOVEMENT_NOT_YOURS(party=agency)]
    return [] if movement.is_unknown and movement.amount_fen else [errors.MOVEMENT_KNOWN()]


def order_outcome(movement: Movement, order: Order, mirrored_fen: int) -> Outcome | list[Refusal]:
    """What a movement is to an order; `mirrored_fen` is what is known already as the other end of it, in fen."""
    if order.by_bank and (order.state in UNSENT or order.state is OrderState.DECLINED):
        return [errors.ORDER_STATE(state=order.state)]
    if not order.by_bank and order.state is not OrderState.SETTLED:
        return [errors.ORDER_STATE(state=order.state)]
    if order.by_bank and movement.party == order.payer:
        return _of_payer(movement, order)
    if not _goes(movement, order.payer, order.payee):
        return [errors.MOVEMENT_NOT_OF_IT(payer=order.payer, payee=order.payee or "-")]
    at_most_fen = max(order.amount_fen, order.paid_fen)
    if mirrored_fen + movement.amount_fen > at_most_fen or (not order.by_bank and movement.amount_fen != at_most_fen):
        return [errors.MOVEMENT_AMOUNT(amount_fen=at_most_fen - mirrored_fen)]
    return Outcome.MIRRORED


def _of_payer(movement: Movement, order: Order) -> Outcome | list[Refusal]:
    if movement.debit:
        return Outcome.PAID
    if movement.amount_fen > order.paid_fen:
        return [errors.MOVEMENT_AMOUNT(amount_fen=order.paid_fen)]
    return Outcome.RETURNED


def _goes(movement: Movement, payer: str, payee: str | None) -> bool:
    """Whether a movement has the direction of a payment at the end where it was seen."""
    return movement.party == (payer if movement.debit else payee)


def receivable_outcome(movement: Movement, owed: Owed) -> Outcome | list[Refusal]:
    """What a movement is to a debt: it pays the whole of it, or the books have it as paid."""
    if owed.ordered:
        return [errors.MOVEMENT_OF_ORDER()]
    wrong = []
    if not _goes(movement, owed.payer, owed.payee):
        wrong.append(errors.MOVEMENT_NOT_OF_IT(payer=owed.payer, payee=owed.payee))
    if movement.amount_fen != owed.amount_fen or owed.seen:
        wrong.append(errors.MOVEMENT_AMOUNT(amount_fen=0 if owed.seen else owed.amount_fen))
    return wrong or (Outcome.MIRRORED if owed.paid else Outcome.SETTLED)


def pair_outcome(movement: Movement, counter: Movement) -> Outcome | list[Refusal]:
    """Whether two movements of one account cancel each other."""
    wrong = check_movement(counter, movement.keeper)
    if counter.party != movement.party:
        wrong.append(errors.MOVEMENT_OTHER_ACCOUNT())
    if counter.debit == movement.debit or counter.entry_id == movement.entry_id:
        wrong.append(errors.MOVEMENT_SAME_SIDE())
    if counter.amount_fen != movement.amount_fen:
        wrong.append(errors.MOVEMENT_AMOUNT(amount_fen=counter.amount_fen))
    return wrong or Outcome.CANCELLED


def other_outcome(movement: Movement, nature: Nature) -> Outcome | list[Refusal]:
    """Whether a movement can be money of a nature: a bank does not take interest, nor pay its charges."""
    debit = {Nature.INTEREST: False, Nature.CHARGES: True}.get(nature, movement.debit)
    return Outcome.BOOKED if movement.debit == debit else [errors.MOVEMENT_NATURE(nature=nature)]


def check_decision(state: str, keeper: str, proposed_by: str, actor: tuple[str, str]) -> list[Refusal]:
    """What keeps a person (party and subject) from deciding on an identification of an agency's."""
    own_party, subject = actor
    wrong = [] if own_party == keeper else [errors.MOVEMENT_NOT_YOURS(party=own_party)]
    if state != "proposed":
        wrong.append(errors.IDENTIFICATION_DECIDED(state=state))
    if subject == proposed_by:
        wrong.append(errors.SAME_PERSON())
    return wrong
