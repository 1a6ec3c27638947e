"""Objections (对账异议): a party names the bills of a case it does not accept, and another one decides. Pure.

Accepted, the bills leave the numbers of the case and are cleared with the next month; who confirmed the numbers before
stands by what is not touched, because the numbers after are those it saw less the bills the objection names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from services.settlement import errors
from services.settlement.rules.cases import Case, State
from shared.refusals import Refusal


class ObjectionState(StrEnum):
    """Where an objection stands."""

    OPEN = "open"
    WITHDRAWN = "withdrawn"
    """By the party itself: it accepts the bills after all."""
    ACCEPTED = "accepted"
    """The bills go to the next month, where they are reversed or stand."""
    REJECTED = "rejected"
    """The bills stay, for the reason that is given."""


RAISED = "object"
ACCEPTED = "accept_objection"
STEPS = {
    ObjectionState.WITHDRAWN: "withdraw_objection",
    ObjectionState.ACCEPTED: ACCEPTED,
    ObjectionState.REJECTED: "reject_objection",
}
"""What the history of a case says of them."""


@dataclass(frozen=True, slots=True)
class Objection:
    """One objection with the bills it names."""

    objection_no: int
    case_id: str
    party: str
    numbers_hash: str
    """The numbers the party saw."""
    reason: str
    state: ObjectionState
    deciding_party: str
    due_on: date
    provisional: bool
    raised_by: str
    raised_at: datetime
    decided_party: str | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None
    settlement_ids: Sequence[str]


def decides(case: Case, party: str) -> str:
    """Who decides: the care agency, which answers for the books; when it objects itself, the clearing agency.

    Where one agency is both, another person of it decides.
    """
    return case.clearing_region if party == case.care_region else case.care_region


def check_objection(
    case: Case, party: str, numbers_hash: str, wanted: Sequence[str], bills: Collection[str], taken: Mapping[str, bool]
) -> list[Refusal]:
    """Everything that keeps a party from objecting to some bills.

    `bills` are those of them that the case holds; `taken` those that were objected to before, and whether that is open
    still or was rejected to this party.
    """
    if party not in case.parties:
        return [errors.NOT_IN_CHAIN(party=party)]
    if case.state is not State.MATCHED:
        return [errors.CASE_NOT_OBJECTABLE(state=case.state)]
    wrong = []
    if party in case.confirmed_by:
        wrong.append(errors.CONFIRMED_ALREADY())
    if numbers_hash != case.numbers_hash:
        wrong.append(errors.NUMBERS_CHANGED(pointer="/numbers_hash"))
    for at, settlement_id in enumerate(wanted):
        pointer = f"/settlement_ids/{at}"
        if settlement_id not in bills:
            wrong.append(errors.BILL_NOT_IN_CASE(pointer=pointer))
        elif settlement_id in taken:
            kind = errors.BILL_CONTESTED if taken[settlement_id] else errors.OBJECTION_REPEATED
            wrong.append(kind(pointer=pointer))
    return wrong


def check_decision(objection: Objection, state: ObjectionState, party: str, subject: str) -> list[Refusal]:
    """Everything that keeps a person from ending an objection so."""
    withdraws = state is ObjectionState.WITHDRAWN
    wrong = []
    if party != (objection.party if withdraws else objection.deciding_party):
        wrong.append(errors.OBJECTION_NOT_YOURS(party=objection.party if withdraws else objection.deciding_party))
    if objection.state is not ObjectionState.OPEN:
        wrong.append(errors.OBJECTION_DECIDED(state=objection.state))
    if not withdraws and subject == objection.raised_by:
        wrong.append(errors.SAME_PERSON())
    return wrong
