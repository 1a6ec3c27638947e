"""Payment orders (支付指令): their states, who may take them a step further, and what the bank's answers do. Pure.

A **debt** (应付款) is what is to be paid: a hop, a net position, a top-up of a prepayment, a payout. It has one
order, or, when the bank did not pay, a row of orders each of which repeats the one before. What the bank paid counts
for the debt: it is settled once when everything is paid, and every fen that is paid beside that stands on suspense
(暂付、暂收款).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from services.settlement import errors
from services.settlement.rules.ledger import MOVED_MAX_FEN
from shared.refusals import Refusal


class Purpose(StrEnum):
    """What an order pays."""

    HOP = "hop"
    """One hop of a case: the payment document of that hop."""
    POSITION = "position"
    """A net position of a clearing cycle (轧差净额)."""
    PREPAYMENT = "prepayment"
    """A top-up of a prepayment (预付金)."""
    PAYOUT = "payout"
    """A payout to a person (待遇支付)."""


class OrderState(StrEnum):
    """Where an order stands."""

    PROPOSED = "proposed"
    """One person proposed it (提出)."""
    REVIEWED = "reviewed"
    """Another one looked at it: needed above an amount (复审)."""
    APPROVED = "approved"
    """A person who did neither approved it (审批): it waits for the next file."""
    SENDING = "sending"
    """Its file is named; it is written, or about to be."""
    SENT = "sent"
    """The bank has the file (银行报盘)."""
    SETTLED = "settled"
    """The bank debited the account, or, without a bank, approval said that it was paid (已支付)."""
    PARTLY_PAID = "partly_paid"
    """The bank debited less (部分支付)."""
    REJECTED = "rejected"
    """The bank did not accept it (拒绝)."""
    RETURNED = "returned"
    """The money came back (退汇)."""
    DECLINED = "declined"
    """Somebody of the payer said no before it was sent (退回)."""


LIVE = (OrderState.PROPOSED, OrderState.REVIEWED, OrderState.APPROVED, OrderState.SENDING, OrderState.SENT)
"""States in which an order may still be paid: a debt has one such order at most."""
UNSENT = (OrderState.PROPOSED, OrderState.REVIEWED, OrderState.APPROVED)
"""States in which it can still be stopped."""
REPEATABLE = (OrderState.REJECTED, OrderState.RETURNED, OrderState.DECLINED, OrderState.PARTLY_PAID)
"""States in which what is not paid can be ordered again."""


@dataclass(frozen=True, slots=True)
class Order:
    """One payment order; it is its own end-to-end id at the bank. Amounts in fen."""

    order_id: str
    purpose: Purpose
    reference: str
    """What it pays: a payment, position, prepayment or payout."""
    payer: str
    payee: str | None
    """A party; None when it is a person."""
    amount_fen: int
    state: OrderState
    review_needed: bool
    proposed_by: str
    root_order_id: str
    """The first order of its debt: itself, unless it repeats another one."""
    reviewed_by: str | None = None
    approved_by: str | None = None
    paid_fen: int = 0
    """What the bank debited for it, less what came back."""
    by_bank: bool = True
    """Whether it goes to the bank; otherwise its approval says that it was paid."""
    debt_proposed_by: str | None = None
    """Who proposed the first order of its debt."""
    card_no: int | None = None
    """Of a payout: which of its cards it pays to, for ever."""
    card_in_force: int | None = None
    """Of a payout: which of its cards holds now."""


class Debt(NamedTuple):
    """What is to be paid, and how far it is."""

    amount_fen: int
    paid_fen: int
    settled: bool


class Effect(NamedTuple):
    """What a movement of the bank account comes to for a debt."""

    settles: bool
    """The whole amount is paid now, for the first time."""
    beside_fen: int
    """What moves beside it, to suspense: positive when the payer paid more than is settled."""


class OrderDraft(NamedTuple):
    """What is wanted for an order: who pays whom, for what."""

    purpose: Purpose
    reference: str
    payer: str
    payee: str | None
    amount_fen: int


def review_needed(amount_fen: int, above_fen: int) -> bool:
    """Whether an order needs a reviewer between the one who proposed and the one who approves (复审)."""
    return amount_fen > above_fen


def check_amount(amount_fen: int) -> list[Refusal]:
    """Whether one payment can be of an amount: no bank would report it, and nobody owes it."""
    if amount_fen <= MOVED_MAX_FEN:
        return []
    return [errors.PAYMENT_TOO_LARGE(limit=f"{MOVED_MAX_FEN // 100:,}")]


def check_review(order: Order, party: str, subject: str) -> list[Refusal]:
    """Everything that keeps a person from reviewing an order."""
    wrong = _not_of_payer(order, party)
    if order.state is not OrderState.PROPOSED:
        wrong.append(errors.ORDER_STATE(state=order.state))
    elif not order.review_needed:
        wrong.append(errors.REVIEW_NOT_NEEDED())
    if subject == order.proposed_by:
        wrong.append(errors.SAME_PERSON())
    return wrong


def check_approval(order: Order, party: str, subject: str) -> list[Refusal]:
    """Everything that keeps a person from approving an order.

    Neither who proposed or reviewed it may, nor who proposed the order it repeats: else two could repeat each other's.
    """
    wrong = _not_of_payer(order, party)
    if order.state is OrderState.PROPOSED and order.review_needed:
        wrong.append(errors.REVIEW_MISSING())
    elif order.state not in (OrderState.PROPOSED, OrderState.REVIEWED):
        wrong.append(errors.ORDER_STATE(state=order.state))
    if subject in (order.proposed_by, order.reviewed_by, order.debt_proposed_by):
        wrong.append(errors.SAME_PERSON())
    if order.card_in_force is not None and order.card_no != order.card_in_force:
        wrong.append(errors.CARD_CHANGED(card_no=order.card_in_force))
    return wrong


def check_way(order: Order, party: str, *, by_bank: bool, sent_before: bool) -> list[Refusal]:
    """Whether an order still goes the way the payer's terms have now: who approves must not think it goes another one.

    Once a file held any order of a debt, all of them go through the bank: what it pays late and what is recorded must
    not mix.
    """
    if party != order.payer or order.by_bank == by_bank or sent_before:
        return []
    return [errors.ORDER_WAY_CHANGED()] if order.state in UNSENT else []


def check_decline(order: Order, party: str) -> list[Refusal]:
    """Everything that keeps the payer from stopping an order."""
    wrong = _not_of_payer(order, party)
    if order.state not in UNSENT:
        wrong.append(errors.ORDER_STATE(state=order.state))
    return wrong


def check_repeat(order: Order, debt: Debt, party: str, *, has_successor: bool) -> list[Refusal]:
    """Everything that keeps what an order did not pay from being ordered again."""
    wrong = _not_of_payer(order, party)
    if order.state not in REPEATABLE:
        wrong.append(errors.ORDER_STATE(state=order.state))
    if has_successor:
        wrong.append(errors.ORDER_REPEATED())
    if outstanding(debt) <= 0:
        wrong.append(errors.NOTHING_OUTSTANDING())
    return wrong


def _not_of_payer(order: Order, party: str) -> list[Refusal]:
    return [] if party == order.payer else [errors.NOT_PAYER_OF_ORDER(party=party)]


def outstanding(debt: Debt) -> int:
    """What is still to be paid, in fen: never more than the debt, though the bank gave back more than it took."""
    return min(debt.amount_fen, debt.amount_fen - debt.paid_fen)


def effect_of(debt: Debt, change_fen: int) -> Effect:
    """What a change of the paid sum does: the amount moves by settlement or by suspense, and never by both.

    Settling moves the whole amount once. So bank and books agree whatever the bank does: `change_fen` is what settles
    plus what moves beside it, always.
    """
    settles = not debt.settled and debt.paid_fen + change_fen >= debt.amount_fen
    return Effect(settles, change_fen - (debt.amount_fen if settles else 0))


def payout_effect_of(debt: Debt, change_fen: int) -> Effect:
    """The same for a payout: every fen pays or takes back what is owed to the person, and nothing needs suspense.

    So it is settled whenever it is paid in full, also when that is for the second time.
    """
    paid_fen = debt.paid_fen + change_fen
    return Effect(debt.paid_fen < debt.amount_fen <= paid_fen, change_fen)


def state_after_debit(order: Order, paid_fen: int) -> OrderState:
    """The state of an order of which the bank paid so much, by all its debits and returns together."""
    if paid_fen >= order.amount_fen:
        return OrderState.SETTLED
    return OrderState.PARTLY_PAID if paid_fen > 0 else OrderState.RETURNED


class Surprise(StrEnum):
    """What about a movement of the bank somebody has to look into."""

    PARTIAL = "partial"
    """The bank paid less than was ordered."""
    OVERPAID = "overpaid"
    """The bank paid more than was ordered, for one order or for a row of them."""
    RETURNED = "returned"
    """Money came back."""
    LATE = "late"
    """The bank paid what it had rejected, or what had been given up."""


def surprises(order: Order, debt: Debt, change_fen: int) -> list[Surprise]:
    """What is not as ordered about a debit (positive) or return (negative) of an order."""
    found = []
    if change_fen < 0:
        found.append(Surprise.RETURNED)
    elif order.state in (OrderState.REJECTED, OrderState.RETURNED):
        found.append(Surprise.LATE)
    if change_fen > 0 and order.paid_fen + change_fen < order.amount_fen:
        found.append(Surprise.PARTIAL)
    if change_fen > 0 and debt.paid_fen + change_fen > debt.amount_fen:
        found.append(Surprise.OVERPAID)
    return found


REJECTING = frozenset({"RJCT", "CANC"})
"""Statuses of pain.002 that say no; all others leave an order where it is, until the account says what was paid."""


def is_rejected(order: Order, status: str) -> bool:
    """Whether a status ends an order. One that was paid is paid, whatever a status says afterwards."""
    return status in REJECTING and order.state is OrderState.SENT and order.paid_fen == 0


def contradicts(order: Order, status: str) -> bool:
    """Whether a status says no to what the bank itself paid already."""
    return status in REJECTING and order.paid_fen > 0


class Sent(NamedTuple):
    """An order the bank has had since a day."""

    order_id: str
    payer: str
    amount_fen: int
    sent_on: date
