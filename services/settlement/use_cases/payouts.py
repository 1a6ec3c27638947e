"""Payouts to persons (待遇支付): entered, approved, ordered, and, when the bank refuses one, back in the queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from services.settlement import errors
from services.settlement.rules.banking import Creditor, check_account
from services.settlement.rules.ledger import Transfer, entries, grant_transfers
from services.settlement.rules.orders import OrderDraft
from services.settlement.rules.payouts import (
    CardSeen,
    Document,
    Origin,
    Payout,
    PayoutState,
    Recipient,
    Timing,
    check_cancellation,
    check_cancelling,
    check_card_approval,
    check_decision,
    check_holder,
    check_new_card,
    check_order,
    check_papers,
    check_words,
    draft_of,
    release_day,
)
from services.settlement.store import bills as bill_store
from services.settlement.store import payouts as store
from services.settlement.store.bills import Transaction
from services.settlement.store.payouts import CardRow, SealedCard
from services.settlement.use_cases.parts import BankDesk, Settlement
from shared.auth import NOT_YOUR_AREA, Principal
from shared.database import Connection
from shared.events import new_id
from shared.events.settlement import PayoutPaid, PayoutRefused
from shared.outbox import announce_now
from shared.personal import mask_account, mask_name
from shared.refusals import Refusal, Refused
from shared.workdays import month_of, shanghai_day

HOLDER, ACCOUNT, AGENT = "payout_card.holder", "payout_card.account", "payout_card.agent"
"""Where what of a card is kept: a text that is copied elsewhere does not open there."""


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it was handed in. Its repr shows nothing of it."""

    recipient: Recipient
    papers: frozenset[Document]
    creditor: Creditor
    agent: str | None

    def __repr__(self) -> str:
        return f"Card({self.recipient})"


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be paid to whom, for what."""

    person_id: str
    amount_fen: int
    fund_pay_type: str
    origin: Origin
    reference: str
    reason: str
    timing: Timing
    person_name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MaskedCard:
    """A card as it may be shown."""

    card_no: int
    recipient: str
    papers: Sequence[str]
    holder: str
    account: str
    bank_code: str
    agent: str | None
    proposed_by: str
    approved_by: str | None


async def enter(
    parts: Settlement, tx: Connection, principal: Principal, claim: Claim, card: Card, now: datetime
) -> Payout:
    """An officer enters a payout. Raises Refused with everything that is wrong."""
    today, settings = shanghai_day(now), parts.settings
    person_hash = parts.bank.keys.lookup_hash(claim.person_name)
    if wrong := [*_check_claim(parts, principal, claim, today), *_check_card(parts.bank, card, person_hash)]:
        raise Refused(*wrong)
    release_on = release_day(
        parts.calendar, claim.timing, today, cut_day=settings.payout_cut_day, pay_day=settings.payout_pay_day
    )
    payout = replace(_payout(principal, claim, now, today, release_on), person_hash=person_hash)
    if not await store.add_payout(tx, payout):
        raise Refused(errors.PAYOUT_EXISTS(pointer="/reference"))
    await store.add_card(tx, payout.payout_id, _sealed(parts.bank, card), principal.subject, now)
    return payout


def _payout(principal: Principal, claim: Claim, now: datetime, today: date, release_on: date) -> Payout:
    return Payout(
        payout_id=new_id(),
        region=principal.party,
        person_id=claim.person_id,
        amount_fen=claim.amount_fen,
        fund_pay_type=claim.fund_pay_type,
        origin=claim.origin,
        reference=claim.reference,
        reason=claim.reason,
        timing=claim.timing,
        reported_on=today,
        release_on=release_on,
        state=PayoutState.PROPOSED,
        card_no=1,
        proposed_by=principal.subject,
        proposed_at=now,
        decided_by=None,
        decided_at=None,
        refusal=None,
        paid_at=None,
    )


def _check_claim(parts: Settlement, principal: Principal, claim: Claim, today: date) -> list[Refusal]:
    wrong = [*check_words("/reference", claim.reference, today), *check_words("/reason", claim.reason, today)]
    if not parts.codes.holds("fund_pay_type", claim.fund_pay_type, principal.party, today):
        wrong.append(errors.FUND_UNKNOWN(pointer="/fund_pay_type", code=claim.fund_pay_type))
    return wrong


def _check_card(bank: BankDesk, card: Card, person_hash: str | None) -> list[Refusal]:
    is_person = person_hash is None or bank.keys.lookup_hash(card.creditor.holder) == person_hash
    return [
        *check_papers(card.recipient, card.papers, card.agent),
        *check_holder(card.recipient, holder_is_person=is_person),
        *check_account(card.creditor.account_no, card.creditor.bank_code, card=True),
    ]


def _sealed(bank: BankDesk, card: Card) -> SealedCard:
    return SealedCard(
        card.recipient,
        sorted(card.papers),
        bank.seal(HOLDER, card.creditor.holder),
        bank.seal(ACCOUNT, card.creditor.account_no),
        card.creditor.bank_code,
        None if card.agent is None else bank.seal(AGENT, card.agent),
    )


async def decide(
    parts: Settlement, tx: Connection, principal: Principal, payout_id: str, now: datetime, *, approved: bool
) -> None:
    """Another person of the agency approves a payout, which is owed from then on, or declines it. Raises Refused."""
    payout = await _own(tx, principal, payout_id)
    if wrong := check_decision(payout, principal.subject):
        raise Refused(*wrong)
    state = PayoutState.APPROVED if approved else PayoutState.DECLINED
    await store.decide(tx, payout_id, state, principal.subject, now)
    if approved:
        await store.approve_card(tx, payout_id, payout.card_no, principal.subject, now)
        await bill_store.add_transactions(tx, [_grant(payout, now)], parts.ledger_key, now)


def _grant(payout: Payout, now: datetime) -> Transaction:
    """A payout in the agency's book: its fund bears it, the person is owed it."""
    transfers: list[Transfer] = grant_transfers(payout.region, payout.fund_pay_type, payout.amount_fen)
    today = shanghai_day(now)
    return Transaction(payout.payout_id, "payout", None, month_of(today), today, None, entries(transfers))


async def propose_card(
    parts: Settlement, tx: Connection, principal: Principal, payout_id: str, card: Card, now: datetime
) -> None:
    """An officer enters another card for a payout that is owed and not paid. Raises Refused."""
    payout = await _own(tx, principal, payout_id)
    if wrong := [*check_new_card(payout), *_check_card(parts.bank, card, payout.person_hash)]:
        raise Refused(*wrong)
    await store.add_card(tx, payout_id, _sealed(parts.bank, card), principal.subject, now)


async def approve_card(tx: Connection, principal: Principal, payout_id: str, card_no: int, now: datetime) -> None:
    """Another person of the agency approves the new card, as it was looked at: from now on the payout goes there.

    Raises Refused.
    """
    await store.lock_orders(tx, payout_id)
    payout = await _own(tx, principal, payout_id)
    newest = (await store.cards(tx, payout_id))[-1]
    seen = CardSeen(newest.card_no, newest.proposed_by, newest.approved_by is not None)
    orders = await store.orders_of(tx, payout_id)
    if wrong := check_card_approval(payout, principal.subject, seen, card_no, orders):
        raise Refused(*wrong)
    await store.approve_card(tx, payout_id, card_no, principal.subject, now)


async def propose_cancellation(tx: Connection, principal: Principal, payout_id: str, reason: str, now: datetime) -> str:
    """An officer says that a payout was approved by mistake; the id of what another person decides. Raises Refused."""
    payout = await _own(tx, principal, payout_id)
    wrong = check_cancelling(payout, await store.orders_of(tx, payout_id))
    if wrong := [*wrong, *check_words("/reason", reason, shanghai_day(now))]:
        raise Refused(*wrong)
    cancellation_id = new_id()
    if not await store.add_cancellation(tx, cancellation_id, payout_id, reason, principal.subject, now):
        raise Refused(errors.CANCELLATION_WAITS())
    return cancellation_id


async def decide_cancellation(
    parts: Settlement, tx: Connection, principal: Principal, cancellation_id: str, now: datetime, *, approved: bool
) -> str:
    """Another person cancels the payout, whose booking is reversed (作废), or lets it stand; its id. Raises Refused."""
    named = await store.cancellation(tx, cancellation_id)
    if named is None:
        raise Refused(errors.CANCELLATION_UNKNOWN())
    await store.lock_orders(tx, named.payout_id)
    payout = await _own(tx, principal, named.payout_id)
    # Whoever decides locks the payout first: only now it is sure that nobody decided meanwhile.
    cancellation = await store.cancellation(tx, cancellation_id) or named
    wrong = check_cancellation(cancellation, principal.subject)
    if approved and not wrong:
        wrong = check_cancelling(payout, await store.orders_of(tx, payout.payout_id))
    if wrong:
        raise Refused(*wrong)
    state = "approved" if approved else "declined"
    await store.decide_cancellation(tx, cancellation_id, state, principal.subject, now)
    if approved:
        await store.set_cancelled(tx, payout.payout_id)
        taken_back = _taken_back(payout, cancellation_id, now)
        await bill_store.add_transactions(tx, [taken_back], parts.ledger_key, now)
    return payout.payout_id


def _taken_back(payout: Payout, cancellation_id: str, now: datetime) -> Transaction:
    """The grant of a payout as if it had not been: its fund does not bear it, the person is not owed it."""
    transfers = grant_transfers(payout.region, payout.fund_pay_type, -payout.amount_fen)
    today = shanghai_day(now)
    reverses = payout.payout_id
    return Transaction(cancellation_id, "payout_reversal", None, month_of(today), today, reverses, entries(transfers))


async def _own(tx: Connection, principal: Principal, payout_id: str) -> Payout:
    """A payout of the caller's agency that nobody else changes until the transaction ends. Raises Refused."""
    found = (await store.payouts(tx, [payout_id], locked=True)).get(payout_id)
    if found is None:
        raise Refused(errors.PAYOUT_UNKNOWN())
    if found.region != principal.party:
        raise Refused(NOT_YOUR_AREA(party=found.region))
    return found


def masked(bank: BankDesk, cards: Iterable[CardRow]) -> list[MaskedCard]:
    """Cards as they may be shown. Raises PersonalDataUnreadable."""
    return [
        MaskedCard(
            card_no=c.card_no,
            recipient=c.recipient,
            papers=c.papers,
            holder=mask_name(bank.unseal(HOLDER, c.holder_sealed)),
            account=mask_account(bank.unseal(ACCOUNT, c.account_sealed)),
            bank_code=c.bank_code,
            agent=None if c.agent_sealed is None else mask_name(bank.unseal(AGENT, c.agent_sealed)),
            proposed_by=c.proposed_by,
            approved_by=c.approved_by,
        )
        for c in cards
    ]


# What orders need of payouts


async def to_order(
    tx: Connection, principal: Principal, payout_ids: Sequence[str], now: datetime
) -> dict[str, OrderDraft | list[Refusal]]:
    """For each payout what is to be ordered, or what speaks against it."""
    found = await store.payouts(tx, payout_ids, locked=True)
    today = shanghai_day(now)
    return {payout_id: _paper(found.get(payout_id), principal, today) for payout_id in payout_ids}


def _paper(payout: Payout | None, principal: Principal, today: date) -> OrderDraft | list[Refusal]:
    if payout is None:
        return [errors.PAYOUT_UNKNOWN()]
    return check_order(payout, principal.party, today) or draft_of(payout)


async def settle(tx: Connection, payout_ids: Sequence[str], now: datetime) -> None:
    """Payouts are paid in full."""
    await store.set_paid(tx, payout_ids, now)
    paid = [p for p in (await store.payouts(tx, payout_ids)).values() if p.state is PayoutState.PAID]
    events = [
        PayoutPaid(payout_id=p.payout_id, region=p.region, person_id=p.person_id, amount_fen=p.amount_fen, paid_at=now)
        for p in paid
    ]
    await announce_now(tx, events, now)


async def refuse(tx: Connection, refusals: Mapping[str, str], now: datetime) -> None:
    """The bank refused payouts, or gave them back, each with a code: they are in the queue again, and told of."""
    await store.set_refused(tx, refusals)
    refused = [p for p in (await store.payouts(tx, refusals)).values() if p.state is PayoutState.REFUSED]
    events = [
        PayoutRefused(
            payout_id=p.payout_id,
            region=p.region,
            person_id=p.person_id,
            amount_fen=p.amount_fen,
            reason_code=refusals[p.payout_id],
        )
        for p in refused
    ]
    await announce_now(tx, events, now)
