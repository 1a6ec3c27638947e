"""Payments: one person of the payer proposes a hop, another approves it, and it is booked at both ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

from services.settlement import errors
from services.settlement.rules.cases import (
    Case,
    Hop,
    HopKind,
    HopState,
    Payment,
    State,
    after_payment,
    approve_payment,
    propose_payment,
)
from services.settlement.rules.ledger import entries, payment_transfers
from services.settlement.rules.orders import OrderDraft, Purpose, check_amount
from services.settlement.rules.terms import Netting
from services.settlement.rules.withholdings import SetOff
from services.settlement.store import bills as bill_store
from services.settlement.store import cases as case_store
from services.settlement.store import dues as due_store
from services.settlement.store import payments as store
from services.settlement.store.bills import Transaction
from services.settlement.store.cases import NewStep
from services.settlement.use_cases import withholdings
from services.settlement.use_cases.hops import DUE_KINDS, case_event, closed, pay_span, set_hop_dues
from services.settlement.use_cases.months import BY_ITSELF, Actor
from services.settlement.use_cases.order_book import Way, needs_order, open_orders, way_of
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.auth import Principal
from shared.database import Connection
from shared.events import Envelope, Event, new_id
from shared.events.settlement import Disbursed, Remitted
from shared.outbox import announce
from shared.refusals import Refusal, Refused
from shared.telemetry import traceparent_of
from shared.workdays import month_of, shanghai_day

MOVED = {HopKind.REMITTANCE: Remitted, HopKind.DISBURSEMENT: Disbursed}
"""The event of a paid hop."""


async def propose(
    parts: Settlement, tx: Connection, principal: Principal, case_ids: Iterable[str], now: datetime
) -> dict[str, Payment | list[Refusal]]:
    """Propose the payment of the caller's hop in each case; for each the payment, or what speaks against it."""
    wanted = list(case_ids)
    withholds = await withholdings.lock(parts, tx, principal.party, now)
    await case_store.lock_cases(tx, wanted)
    cases = await case_store.cases(tx, wanted)
    terms = await terms_at(parts, tx, {case.clearing_region for case in cases.values()}, shanghai_day(now))
    netted = {region for region, own in terms.items() if own.netting is not Netting.GROSS}
    payer = Actor.of(principal)
    outcomes = {case_id: _proposal(cases.get(case_id), payer, netted) for case_id in wanted}
    taken = await _withhold(parts, tx, cases, outcomes, now) if withholds else []
    proposed = [payment for payment in outcomes.values() if isinstance(payment, Payment)]
    if proposed:
        await _add(tx, proposed, payer, now)
        await withholdings.set_off_payments(tx, taken, now)
    way = await way_of(parts, tx, principal.party, now)
    again = await _again(parts, tx, principal, [c for c in wanted if c in cases and isinstance(outcomes[c], list)], way)
    if again:
        await store.propose_again(tx, [payment.payment_id for payment in again], principal.subject, now)
        await case_store.add_steps(tx, [NewStep(p.case_id, "propose_payment", *payer, None) for p in again], now)
    await _order(parts, tx, principal, [*proposed, *again], way, now)
    return outcomes | {payment.case_id: payment for payment in again}


async def _withhold(
    parts: Settlement,
    tx: Connection,
    cases: Mapping[str, Case],
    outcomes: dict[str, Payment | list[Refusal]],
    now: datetime,
) -> list[tuple[Payment, list[SetOff]]]:
    """Take what is withheld off the payments to facilities among the outcomes; those, with what is set off."""
    to_facilities = [
        p for p in outcomes.values() if isinstance(p, Payment) and p.payee == cases[p.case_id].facility_code
    ]
    if not to_facilities:
        return []
    made = await withholdings.withhold_from_payments(parts, tx, to_facilities, now)
    outcomes |= {p.case_id: check_amount(p.amount_fen) or p for p, _ in made}
    return [(p, taken) for p, taken in made if isinstance(outcomes[p.case_id], Payment)]


async def _again(
    parts: Settlement, tx: Connection, principal: Principal, case_ids: Sequence[str], way: Way
) -> list[Payment]:
    """Payments that were proposed on record and now, by other terms, need an order: they are proposed anew."""
    found = await store.unordered(tx, case_ids, principal.party) if case_ids else []
    return [
        replace(payment, proposed_by=principal.subject)
        for payment in found
        if needs_order(way, principal.party, parts, payment.amount_fen)
    ]


async def _add(tx: Connection, proposed: Sequence[Payment], actor: Actor, now: datetime) -> None:
    await store.add_payments(tx, proposed, now)
    await case_store.move_hops(tx, [(p.case_id, p.hop_no, HopState.PROPOSED) for p in proposed])
    await case_store.add_steps(tx, [NewStep(p.case_id, "propose_payment", *actor, None) for p in proposed], now)


async def pay_seen(
    parts: Settlement,
    tx: Connection,
    case_id: str,
    payer: str,
    people: tuple[Actor, Actor],
    now: datetime,
    paid_on: date,
) -> None:
    """A bank account shows that a hop was paid, on a day: two people say so, and it is paid. Raises Refused."""
    proposer, approver = people
    await case_store.lock_cases(tx, [case_id])
    case = (await case_store.cases(tx, [case_id])).get(case_id)
    payment = _proposal(case, Actor(payer, proposer.subject), ())
    if not isinstance(payment, Payment):
        raise Refused(*payment)
    await _add(tx, [payment], proposer, now)
    after = after_payment((await case_store.cases(tx, [case_id]))[case_id], payment.hop_no)
    by = {payment.payment_id: approver.subject or ""}
    await _pay(parts, tx, by, [(payment, after)], now, paid_on, told_by=approver.party)


async def _order(
    parts: Settlement, tx: Connection, principal: Principal, proposed: Sequence[Payment], way: Way, now: datetime
) -> None:
    """An order for each payment that goes through the bank, or is to be reviewed: what settles it settles the hop."""
    drafts = [
        OrderDraft(Purpose.HOP, p.payment_id, p.payer, p.payee, p.amount_fen)
        for p in proposed
        if needs_order(way, p.payer, parts, p.amount_fen)
    ]
    if drafts:
        await open_orders(tx, drafts, way, principal.subject, now)


def _proposal(case: Case | None, payer: Actor, netted: Collection[str]) -> Payment | list[Refusal]:
    """The payment of a hop; where the clearing agency nets, only of a case that was begun to be paid before."""
    if case is None:
        return [errors.CASE_UNKNOWN()]
    match propose_payment(case, payer.party):
        case Hop() if case.state is State.CONFIRMED and case.clearing_region in netted:
            return [errors.HOP_TO_BE_NETTED()]
        case Hop() as hop if wrong := check_amount(hop.amount_fen):
            return wrong
        case Hop() as hop:
            subject = payer.subject or ""
            return Payment(new_id(), case.case_id, hop.hop_no, hop.payer, hop.payee, hop.amount_fen, subject)
        case wrong:
            return wrong


Approved = tuple[Payment, Case]
"""A payment that is paid, with its case after it."""


async def approve(
    parts: Settlement, tx: Connection, principal: Principal, payment_ids: Iterable[str], now: datetime
) -> dict[str, Approved | list[Refusal]]:
    """Approve payments, each of them paid and booked at once; for each the case after it, or what speaks against it."""
    wanted = list(payment_ids)
    await case_store.lock_cases(tx, [p.case_id for p in (await store.payments(tx, wanted)).values()])
    payments = await store.payments(tx, wanted)
    cases = await case_store.cases(tx, [p.case_id for p in payments.values()])
    way = await way_of(parts, tx, principal.party, now)
    outdated = {p.payment_id for p in payments.values() if needs_order(way, principal.party, parts, p.amount_fen)}
    outcomes = {p: _approval(payments.get(p), cases, principal, outdated) for p in wanted}
    approved = [outcome for outcome in outcomes.values() if isinstance(outcome, tuple)]
    if approved:
        by = {payment.payment_id: principal.subject for payment, _ in approved}
        await _pay(parts, tx, by, approved, now, shanghai_day(now))
    return outcomes


async def settle_hops(
    parts: Settlement, tx: Connection, approved_by: Mapping[str, str], now: datetime, paid_on: date
) -> None:
    """The bank paid these payments, on a day; with who had approved the order of each."""
    await case_store.lock_cases(tx, [p.case_id for p in (await store.payments(tx, approved_by)).values()])
    payments = await store.payments(tx, approved_by)
    cases = await case_store.cases(tx, [p.case_id for p in payments.values()])
    paid = [(p, after_payment(cases[p.case_id], p.hop_no)) for p in payments.values()]
    await _pay(parts, tx, approved_by, paid, now, paid_on)


def _approval(
    payment: Payment | None, cases: Mapping[str, Case], principal: Principal, outdated: Collection[str]
) -> Approved | list[Refusal]:
    if payment is None:
        return [errors.PAYMENT_UNKNOWN()]
    if payment.payer == principal.party and payment.approved_by is None and payment.payment_id in outdated:
        return [errors.ORDER_WAY_CHANGED()]
    match approve_payment(payment, cases[payment.case_id], principal.party, principal.subject):
        case Case() as after:
            return payment, after
        case wrong:
            return wrong


async def _pay(
    parts: Settlement,
    tx: Connection,
    approved_by: Mapping[str, str],
    approved: Sequence[Approved],
    now: datetime,
    paid_on: date,
    told_by: str | None = None,
) -> None:
    """Payments are paid: as their payers say, or somebody else who saw the money."""
    cases = [case for _, case in approved]
    await store.pay(tx, approved_by, now)
    transactions = [_transaction(payment, case, now, paid_on) for payment, case in approved if payment.amount_fen]
    transactions += await withholdings.transactions_of(tx, list(approved_by), now, paid_on)
    await bill_store.add_transactions(tx, transactions, parts.ledger_key, now)
    await case_store.move_cases(tx, cases)
    await case_store.move_hops(tx, [(c.case_id, hop.hop_no, hop.state) for c in cases for hop in c.hops])
    done = [(case.case_id, DUE_KINDS[_hop(payment, case).kind], payment.payer) for payment, case in approved]
    await due_store.dues_done(tx, done, now)
    await set_hop_dues(parts, tx, cases, now)
    by = approved_by
    steps = [NewStep(c.case_id, f"pay_hop_{p.hop_no}", told_by or p.payer, by[p.payment_id], None) for p, c in approved]
    steps += [NewStep(c.case_id, "close", *BY_ITSELF, c.numbers_hash) for c in cases if c.state is State.CLOSED]
    await case_store.add_steps(tx, steps, now)
    await _announce(parts, tx, approved, now)


def _hop(payment: Payment, case: Case) -> Hop:
    return case.hops[payment.hop_no - 1]


def _transaction(payment: Payment, case: Case, now: datetime, paid_on: date) -> Transaction:
    """The payment at both ends; in a negative month the creditor gives back, which is the negative of paying."""
    gives_back = (case.payable_fen or 0) < 0
    creditor, debtor = (payment.payer, payment.payee) if gives_back else (payment.payee, payment.payer)
    amount_fen = -payment.amount_fen if gives_back else payment.amount_fen
    return Transaction(
        transaction_id=payment.payment_id,
        kind="payment",
        case_id=payment.case_id,
        period=month_of(shanghai_day(now)),
        value_date=paid_on,
        reverses_transaction_id=None,
        entries=entries(payment_transfers(creditor, debtor, amount_fen)),
    )


async def _announce(parts: Settlement, tx: Connection, approved: Sequence[Approved], now: datetime) -> None:
    """Tell that money moved, each payment from a span of its own that is linked to the bills it covers."""
    limit = parts.settings.traced_bills_max
    sampled: dict[str, list[tuple[str, str]]] = {}
    for case_id, settlement_id, traceparent in await store.sampled_bills(tx, [c.case_id for _, c in approved], limit):
        sampled.setdefault(case_id, []).append((settlement_id, traceparent))
    envelopes: list[Envelope[Event]] = []
    left = limit
    for payment, case in approved:
        bills, hop = sampled.get(case.case_id, []), _hop(payment, case)
        span = pay_span(case, hop, parent=None, links=[traceparent for _, traceparent in bills])
        for settlement_id, traceparent in bills[:left]:
            links = [traceparent_of(span)]
            pay_span(case, hop, parent=traceparent, links=links, settlement_id=settlement_id).end()
        left = max(0, left - len(bills))
        envelopes += [Envelope(e, now, traceparent=traceparent_of(span)) for e in _events(payment, case, now)]
        span.end()
    await announce(tx, envelopes)


def _events(payment: Payment, case: Case, now: datetime) -> list[Event]:
    moved = MOVED[_hop(payment, case).kind](
        **case_event(case),
        payment_id=payment.payment_id,
        payer=payment.payer,
        payee=payment.payee,
        amount_fen=payment.amount_fen,
        paid_at=now,
    )
    return [moved, closed(case)] if case.state is State.CLOSED else [moved]
