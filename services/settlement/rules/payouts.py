"""Payouts to persons (待遇支付): whose card, which papers, when, and who decides. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from stdnum import luhn

from services.settlement import errors
from services.settlement.rules.orders import LIVE, UNSENT, OrderDraft, OrderState, Purpose
from shared.personal import valid_identity_number
from shared.refusals import Refusal
from shared.workdays import WorkCalendar


class Origin(StrEnum):
    """Where a payout comes from."""

    SUPPLEMENT = "supplement"
    """A supplement to a bill that was settled before (补支付)."""
    MANUAL_CLAIM = "manual_claim"
    """A claim on paper (手工报销)."""


class Recipient(StrEnum):
    """Who takes the money, on whose card (seeds 000, 001)."""

    OWN_CARD = "own_card"
    """The person, on the own card (本人领款)."""
    AGENT = "agent"
    """An agent hands in the papers; the card is the person's own (代领人)."""
    OTHER_CARD = "other_card"
    """The card is another's, whom the person authorised (他人银行卡)."""


class Document(StrEnum):
    """What was shown or handed in."""

    IDENTITY_CARD = "identity_card"
    """身份证原件 of the insured."""
    BANK_CARD = "bank_card"
    """银行卡 the money goes to."""
    AGENT_IDENTITY_CARD = "agent_identity_card"
    """代领人身份证原件."""
    HOLDER_IDENTITY_CARD = "holder_identity_card"
    """持卡人身份证."""
    AUTHORISATION = "authorisation"
    """授权委托书, signed by the insured."""


PAPERS: Mapping[Recipient, frozenset[Document]] = {
    Recipient.OWN_CARD: frozenset({Document.IDENTITY_CARD, Document.BANK_CARD}),
    Recipient.AGENT: frozenset({Document.IDENTITY_CARD, Document.BANK_CARD, Document.AGENT_IDENTITY_CARD}),
    Recipient.OTHER_CARD: frozenset(
        {Document.IDENTITY_CARD, Document.BANK_CARD, Document.HOLDER_IDENTITY_CARD, Document.AUTHORISATION}
    ),
}
"""The papers without which nothing is paid."""


class Timing(StrEnum):
    """When it is paid."""

    AT_ONCE = "at_once"
    """即时."""
    BATCH = "batch"
    """With all others of the month (按月批量)."""


class PayoutState(StrEnum):
    """Where a payout stands."""

    PROPOSED = "proposed"
    """An officer entered it."""
    APPROVED = "approved"
    """Another person approved it: it is owed, and can be ordered from its release on."""
    DECLINED = "declined"
    """Another person said no."""
    REFUSED = "refused"
    """The bank refused or returned it: it is back in the queue, and owed."""
    PAID = "paid"
    CANCELLED = "cancelled"
    """It was approved by mistake, and two said so before any money left (作废): its booking is reversed."""


OWED = (PayoutState.APPROVED, PayoutState.REFUSED)
"""States in which it is owed and not paid: it can be ordered, get another card, or be cancelled."""


class PayoutOrder(NamedTuple):
    """An order of a payout, as far as it matters to the payout. Amount in fen."""

    order_id: str
    state: OrderState
    paid_fen: int
    """What the bank debited for it, less what came back."""


class Cancellation(NamedTuple):
    """A cancellation as it stands: proposed, approved or declined."""

    cancellation_id: str
    payout_id: str
    state: str
    proposed_by: str


@dataclass(frozen=True, slots=True)
class Payout:
    """One payout, without its card. Amount in fen."""

    payout_id: str
    region: str
    person_id: str
    amount_fen: int
    fund_pay_type: str
    origin: Origin
    reference: str
    reason: str
    timing: Timing
    reported_on: date
    release_on: date
    state: PayoutState
    card_no: int
    """Which of its cards holds: the newest that was approved, or the first."""
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    refusal: str | None
    """What the bank said last, as its code."""
    paid_at: datetime | None
    person_hash: str | None = None
    """The person's name, as a keyed hash; None of one that was entered before it was asked for."""


class CardSeen(NamedTuple):
    """The newest card of a payout, as far as its approval needs it."""

    card_no: int
    proposed_by: str
    approved: bool


def release_day(calendar: WorkCalendar, timing: Timing, reported_on: date, *, cut_day: int, pay_day: int) -> date:
    """The first day on which a payout may be ordered.

    What was reported up to the cut day (20) is paid in the next month, later ones in the month after (seed 003), on the
    pay day or the first working day from then.
    """
    if timing is Timing.AT_ONCE:
        return reported_on
    months = reported_on.year * 12 + reported_on.month - 1 + (1 if reported_on.day <= cut_day else 2)
    return calendar.add(date(months // 12, months % 12 + 1, pay_day), 0).day


def check_papers(recipient: Recipient, papers: Collection[Document], agent: str | None) -> list[Refusal]:
    """Every paper that is missing, and an agent who is missing or not asked for."""
    missing = sorted(PAPERS[recipient] - set(papers))
    wrong = [errors.PAPER_MISSING(paper=paper, pointer="/papers") for paper in missing]
    if (recipient is Recipient.AGENT) != (agent is not None):
        wrong.append(errors.AGENT_WRONG(pointer="/agent_name"))
    return wrong


def check_holder(recipient: Recipient, *, holder_is_person: bool) -> list[Refusal]:
    """A card of the person's own is in the person's name, whoever hands it in."""
    if recipient is Recipient.OTHER_CARD or holder_is_person:
        return []
    return [errors.HOLDER_NOT_PERSON(pointer="/holder")]


def document_of(reference: str) -> str:
    """The document a payout comes from, in the one form in which two are compared: it is paid out once."""
    return reference.upper()


def check_words(pointer: str, text: str, today: date) -> list[Refusal]:
    """Whether what somebody wrote holds the number of an identity document or of a bank card (银联, 62…)."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if c not in " -_.")
    identities = (found[1] for found in re.finditer(r"(?=([0-9]{17}[0-9Xx]))", plain))
    cards = (found[1] for found in re.finditer(r"(?<![0-9])(62[0-9]{14,17})(?![0-9])", plain))
    if any(valid_identity_number(number, today=today) for number in identities) or any(map(luhn.is_valid, cards)):
        return [errors.PERSONAL_NUMBER(pointer=pointer)]
    return []


def check_decision(payout: Payout, subject: str) -> list[Refusal]:
    """Everything that keeps a person of the agency from approving or declining a payout."""
    wrong = [] if payout.state is PayoutState.PROPOSED else [errors.PAYOUT_STATE(state=payout.state)]
    if subject == payout.proposed_by:
        wrong.append(errors.SAME_PERSON())
    return wrong


def check_new_card(payout: Payout) -> list[Refusal]:
    """Everything that keeps another card from being proposed: only for what is owed and not paid."""
    return _not_owed(payout)


def check_card_approval(
    payout: Payout, subject: str, newest: CardSeen, card_no: int, orders: Sequence[PayoutOrder]
) -> list[Refusal]:
    """Everything that keeps a person from putting the card that was looked at in force.

    While an order that was approved can still be paid, it pays the card it was approved with. One that nobody approved
    yet is refused its approval from then on, because it names the card before.
    """
    wrong = _not_owed(payout)
    if newest.approved:
        wrong.append(errors.CARD_UNKNOWN())
    elif newest.card_no != card_no:
        wrong.append(errors.CARD_CHANGED(card_no=newest.card_no, pointer="/card_no"))
    if newest.proposed_by == subject:
        wrong.append(errors.SAME_PERSON())
    going = [o for o in orders if o.state in LIVE and (o.state not in UNSENT or o.state is OrderState.APPROVED)]
    return wrong + [errors.PAYOUT_ORDERED(order_id=order.order_id) for order in going]


def check_cancelling(payout: Payout, orders: Sequence[PayoutOrder]) -> list[Refusal]:
    """Everything that keeps a payout from being cancelled, unless it is owed, is not ordered, and no money has left."""
    wrong = _not_owed(payout)
    wrong += [errors.PAYOUT_ORDERED(order_id=order.order_id) for order in orders if order.state in LIVE]
    if sum(order.paid_fen for order in orders):
        wrong.append(errors.PAYOUT_MONEY_LEFT())
    return wrong


def check_cancellation(cancellation: Cancellation, subject: str) -> list[Refusal]:
    """Everything that keeps a person from deciding whether a payout is cancelled."""
    wrong = [] if cancellation.state == "proposed" else [errors.CANCELLATION_DECIDED(state=cancellation.state)]
    if cancellation.proposed_by == subject:
        wrong.append(errors.SAME_PERSON())
    return wrong


def check_order(payout: Payout, party: str, today: date) -> list[Refusal]:
    """Everything that keeps a payout from being ordered today."""
    wrong = [] if party == payout.region else [errors.NOT_PAYER_OF_ORDER(party=party)]
    wrong += _not_owed(payout)
    if payout.release_on > today:
        wrong.append(errors.PAYOUT_NOT_RELEASED(day=payout.release_on.isoformat()))
    return wrong


def draft_of(payout: Payout) -> OrderDraft:
    """What is to be ordered to pay a payout."""
    return OrderDraft(Purpose.PAYOUT, payout.payout_id, payout.region, None, payout.amount_fen)


def _not_owed(payout: Payout) -> list[Refusal]:
    return [] if payout.state in OWED else [errors.PAYOUT_STATE(state=payout.state)]
