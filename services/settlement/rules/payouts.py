"""Payouts to persons (待遇支付): whose card, which papers, when, and who decides. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from services.settlement import errors
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


def check_decision(payout: Payout, party: str, subject: str) -> list[Refusal]:
    """Everything that keeps a person from approving or declining a payout."""
    wrong = _not_of_region(payout, party)
    if payout.state is not PayoutState.PROPOSED:
        wrong.append(errors.PAYOUT_STATE(state=payout.state))
    if subject == payout.proposed_by:
        wrong.append(errors.SAME_PERSON())
    return wrong


def check_new_card(payout: Payout, party: str) -> list[Refusal]:
    """Everything that keeps another card from being proposed: only for what the bank refused."""
    wrong = _not_of_region(payout, party)
    if payout.state is not PayoutState.REFUSED:
        wrong.append(errors.PAYOUT_STATE(state=payout.state))
    return wrong


def check_order(payout: Payout, party: str, today: date) -> list[Refusal]:
    """Everything that keeps a payout from being ordered today."""
    wrong = _not_of_region(payout, party)
    if payout.state not in (PayoutState.APPROVED, PayoutState.REFUSED):
        wrong.append(errors.PAYOUT_STATE(state=payout.state))
    if payout.release_on > today:
        wrong.append(errors.PAYOUT_NOT_RELEASED(day=payout.release_on.isoformat()))
    return wrong


def _not_of_region(payout: Payout, party: str) -> list[Refusal]:
    return [] if party == payout.region else [errors.NOT_PAYER_OF_ORDER(party=party)]
