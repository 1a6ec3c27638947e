"""A case (清算单): one facility, one month, one home region; its states, confirmations and hops of money. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from services.settlement import errors
from shared.refusals import Refusal


class State(StrEnum):
    """Where a case stands; the national 清算状态 (clr_stas) in brackets."""

    OPEN = "open"
    """Bills are being booked [0 未申报]."""
    SUBMITTED = "submitted"
    """The facility's statement is in, and not matched with the books [10 已申报, 20 申请已受理]."""
    DIFFERENCES = "differences"
    """Statement and books do not agree [30 正在审核]."""
    MATCHED = "matched"
    """They agree, the numbers stand, the parties confirm [40 审核完成]."""
    CONFIRMED = "confirmed"
    """Every party confirmed the same numbers; the first hop can be paid [50 已清算]."""
    REMITTING = "remitting"
    """Money is on its way up to the clearing agency [110 财务汇总 to 113 财务拨付审签]."""
    DISBURSING = "disbursing"
    """Money is on its way down from the clearing agency [110 to 120 银行报盘]."""
    CLOSED = "closed"
    """Every hop is paid, or nothing was owed [60 已拨付]."""


class Step(StrEnum):
    """What happens to a case."""

    SUBMIT = "submit"
    """The month's statement came, in its first or a new version."""
    DIFFER = "differ"
    """The match found differences."""
    MATCH = "match"
    """The match found none, or the books stand by decision."""
    REOPEN = "reopen"
    """A bill was booked after the match."""
    RECONCILE = "reconcile"
    """The last party confirmed."""
    PAY_THEN_REMIT = "pay_then_remit"
    """A hop was paid and a remittance (上解) is next."""
    PAY_THEN_DISBURSE = "pay_then_disburse"
    """A hop was paid and a disbursement (拨付) is next."""
    CLOSE = "close"
    """The last hop was paid, or the case confirmed with nothing owed."""


_UNDER_WAY = (State.CONFIRMED, State.REMITTING, State.DISBURSING)

TRANSITIONS: dict[tuple[State, Step], State] = {
    **{(s, Step.SUBMIT): State.SUBMITTED for s in (State.OPEN, State.SUBMITTED, State.DIFFERENCES, State.MATCHED)},
    **{(s, Step.REOPEN): State.SUBMITTED for s in (State.OPEN, State.SUBMITTED, State.DIFFERENCES, State.MATCHED)},
    **{(s, Step.DIFFER): State.DIFFERENCES for s in (State.SUBMITTED, State.DIFFERENCES)},
    **{(s, Step.MATCH): State.MATCHED for s in (State.SUBMITTED, State.DIFFERENCES)},
    (State.MATCHED, Step.RECONCILE): State.CONFIRMED,
    **{(s, Step.PAY_THEN_REMIT): State.REMITTING for s in (State.CONFIRMED, State.REMITTING)},
    **{(s, Step.PAY_THEN_DISBURSE): State.DISBURSING for s in _UNDER_WAY},
    **{(s, Step.CLOSE): State.CLOSED for s in (State.MATCHED, *_UNDER_WAY)},
}
"""Every step that is possible; all others are refused."""


class IllegalStep(Exception):
    """A step the table does not know was attempted: an error of this program, never of a caller."""


def take_step(state: State, step: Step) -> State:
    """The state after a step. Raises IllegalStep."""
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        raise IllegalStep(f"{step} of a case that is {state}") from None


class HopKind(StrEnum):
    """Which way money moves."""

    REMITTANCE = "remittance"
    """上解: towards the clearing agency."""
    DISBURSEMENT = "disbursement"
    """拨付: away from it."""


class HopState(StrEnum):
    """How far one hop's money is."""

    WAITING = "waiting"
    """The hop before is not paid yet."""
    PAYABLE = "payable"
    """It can be paid."""
    PROPOSED = "proposed"
    """One person proposed the payment; another one approves."""
    IN_POSITION = "in_position"
    """A cycle took it: it is paid with its position (轧差)."""
    PAID = "paid"


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop of a case's money; `amount_fen` is positive."""

    hop_no: int
    kind: HopKind
    payer: str
    payee: str
    amount_fen: int
    state: HopState


@dataclass(frozen=True, slots=True)
class Case:
    """A case as the rules see it; the numbers are None while its statement is not matched. Amounts in fen."""

    case_id: str
    facility_code: str
    period: str
    care_region: str
    home_region: str
    clearing_region: str
    chain: tuple[str, ...]
    """The agencies, care first and home last; one when they are the same."""
    state: State
    bill_count: int | None = None
    total_fen: int | None = None
    fund_fen: int | None = None
    account_fen: int | None = None
    payable_fen: int | None = None
    numbers_hash: str | None = None
    confirmed_by: frozenset[str] = frozenset()
    objecting: frozenset[str] = frozenset()
    """Parties with an open objection."""
    hops: tuple[Hop, ...] = ()

    @property
    def parties(self) -> tuple[str, ...]:
        """Everybody who confirms: the facility, then the agencies up to home."""
        return (self.facility_code, *self.chain)

    @property
    def next_hop(self) -> Hop | None:
        """The hop whose turn it is; None when every one is paid."""
        return next((hop for hop in self.hops if hop.state is not HopState.PAID), None)


def confirm(case: Case, party: str, numbers_hash: str) -> Case | list[Refusal]:
    """The case after a party's confirmation; the same one when the party confirmed these numbers before.

    The hash names the numbers the party saw, so that nobody confirms something else than they saw.
    """
    if wrong := _check_confirmation(case, party, numbers_hash):
        return wrong
    if party in case.confirmed_by:
        return case
    confirmed = replace(case, confirmed_by=case.confirmed_by | {party})
    if confirmed.confirmed_by != frozenset(case.parties):
        return confirmed
    hops = hops_of(case)
    return replace(confirmed, state=take_step(case.state, Step.RECONCILE if hops else Step.CLOSE), hops=hops)


def _check_confirmation(case: Case, party: str, numbers_hash: str) -> list[Refusal]:
    if party not in case.parties:
        return [errors.NOT_IN_CHAIN(party=party)]
    if case.state in (State.OPEN, State.SUBMITTED, State.DIFFERENCES):
        return [errors.CASE_NOT_MATCHED(state=case.state)]
    if numbers_hash != case.numbers_hash:
        return [errors.NUMBERS_CHANGED(pointer="/numbers_hash")]
    return [errors.OBJECTION_OPEN()] if party in case.objecting else []


def hops_of(case: Case) -> tuple[Hop, ...]:
    """The hops of a case's money in their order: from home to the facility; the other way when the month is negative.

    Towards the clearing agency a hop is a remittance, away from it a disbursement. Raises ValueError without numbers.
    """
    if case.payable_fen is None:
        raise ValueError("the hops follow from numbers that stand")
    if case.payable_fen == 0:
        return ()
    way = case.parties[::-1] if case.payable_fen > 0 else case.parties
    top = way.index(case.clearing_region)
    return tuple(
        Hop(
            hop_no=number,
            kind=HopKind.REMITTANCE if number <= top else HopKind.DISBURSEMENT,
            payer=payer,
            payee=payee,
            amount_fen=abs(case.payable_fen),
            state=HopState.PAYABLE if number == 1 else HopState.WAITING,
        )
        for number, (payer, payee) in enumerate(pairwise(way), 1)
    )


def propose_payment(case: Case, party: str) -> Hop | list[Refusal]:
    """The hop a party may propose to pay now, or what speaks against it."""
    if party not in case.parties:
        return [errors.NOT_IN_CHAIN(party=party)]
    if not case.hops:
        return [errors.CASE_NOT_RECONCILED(state=case.state)]
    hop = next((hop for hop in case.hops if hop.payer == party), None)
    if hop is None:
        return [errors.NOT_THE_PAYER(party=party)]
    return hop if hop.state is HopState.PAYABLE else [_not_payable(case, hop)]


def _not_payable(case: Case, hop: Hop) -> Refusal:
    if hop.state is HopState.WAITING:
        return errors.NOT_RECEIVED_YET(payer=case.hops[hop.hop_no - 2].payer)
    if hop.state is HopState.IN_POSITION:
        return errors.HOP_IN_POSITION()
    return errors.PAYMENT_EXISTS() if hop.state is HopState.PROPOSED else errors.PAYMENT_DONE()


@dataclass(frozen=True, slots=True)
class Payment:
    """One hop's payment document (付款单); four eyes: one person proposes, another approves, and it is paid."""

    payment_id: str
    case_id: str
    hop_no: int
    payer: str
    payee: str
    amount_fen: int
    proposed_by: str
    approved_by: str | None = None


def approve_payment(payment: Payment, case: Case, party: str, subject: str) -> Case | list[Refusal]:
    """The case after a payment was approved and so paid, or everything that speaks against it."""
    wrong = []
    if party != payment.payer:
        wrong.append(errors.NOT_THE_PAYER(party=party))
    if subject == payment.proposed_by:
        wrong.append(errors.SAME_PERSON())
    if payment.approved_by is not None:
        wrong.append(errors.PAYMENT_DONE())
    return wrong or after_payment(case, payment.hop_no)


def after_payment(case: Case, hop_no: int) -> Case:
    """The case with one hop paid and the next one payable."""
    states = {hop_no: HopState.PAID, hop_no + 1: HopState.PAYABLE}
    return advance(replace(case, hops=tuple(replace(h, state=states.get(h.hop_no, h.state)) for h in case.hops)))


def advance(paid: Case) -> Case:
    """The case after some of its hops were paid: the first that is not says where it stands."""
    match paid.next_hop:
        case None:
            step = Step.CLOSE
        case Hop(kind=HopKind.REMITTANCE):
            step = Step.PAY_THEN_REMIT
        case _:
            step = Step.PAY_THEN_DISBURSE
    return replace(paid, state=take_step(paid.state, step))
