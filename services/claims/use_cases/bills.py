"""What is to be settled: the commands, their checks, and the bills that pass them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Protocol

from services.claims import errors
from services.claims.rules import benefit
from services.claims.rules import lines as line_rules
from services.claims.rules import visits as visit_rules
from services.claims.rules.benefit import YearBook
from services.claims.rules.entitlement import Entitlement
from services.claims.rules.lines import FeeLine
from services.claims.rules.visits import Kind, State, Step
from services.claims.store import copies, visits
from services.claims.store.copies import PersonRef
from services.claims.store.visits import VisitRow
from services.claims.use_cases.parts import (
    Claims,
    Policies,
    check_codes,
    check_entitlement,
    check_line_codes,
    check_times,
)
from shared.database import Connection
from shared.events import new_id
from shared.http.idempotency import RequestKey
from shared.policy.decision import Decision
from shared.refusals import Refusal
from shared.workdays import shanghai_day


@dataclass(frozen=True, slots=True)
class OneCall:
    """An outpatient visit or pharmacy purchase, settled in one call (门诊结算, 药店结算)."""

    key: RequestKey
    now: datetime
    traceparent: str | None
    facility_code: str
    facility_visit_no: str
    facility_settlement_no: str
    person: PersonRef
    kind: Kind
    med_type: str
    insutype: str | None
    emergency: bool
    began_at: datetime
    ended_at: datetime
    total_fen: int
    lines: tuple[FeeLine, ...]


@dataclass(frozen=True, slots=True)
class Discharge:
    """A stay to be settled at discharge (住院结算)."""

    key: RequestKey
    now: datetime
    traceparent: str | None
    facility_code: str
    facility_settlement_no: str
    visit_id: str
    ended_at: datetime
    total_fen: int


class Command(Protocol):
    """What both kinds of settlement command have."""

    @property
    def key(self) -> RequestKey: ...
    @property
    def now(self) -> datetime: ...
    @property
    def traceparent(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill that passed its checks and waits for the counters."""

    visit: VisitRow
    facility_settlement_no: str
    entitlement: Entitlement
    lines: tuple[FeeLine, ...]
    began_on: date
    ended_on: date
    now: datetime
    traceparent: str | None

    def decide(self, policies: Policies, book: YearBook) -> Decision | Refusal:
        """What it pays by the policy of the person's home, given what the person has used up."""
        found = self.entitlement
        bill = benefit.bill_of(found.facility.code, self.began_on, self.ended_on, found.facts, self.lines)
        return benefit.decide(policies.book, found.areas, bill, book.used)


Checked = Bill | list[Refusal]
"""A command after its checks: a bill, or every reason against it."""


async def check_one_calls(tx: Connection, claims: Claims, commands: Sequence[OneCall]) -> list[Checked]:
    """Each outpatient or pharmacy bill, or everything against it."""
    people = await copies.people(tx, [c.person for c in commands])
    facilities = await copies.facilities(tx, [c.facility_code for c in commands])
    checked: list[Checked] = []
    for command in commands:
        day = shanghai_day(command.began_at)
        facility = facilities.get(command.facility_code)
        wrong = check_times(claims, command.began_at, command.ended_at, command.now)
        wrong += _check_bill_lines(command)
        if facility is not None:
            wrong += check_codes(claims, facility.region, day, command.med_type)
            wrong += check_line_codes(claims, facility.region, day, command.lines)
        person = people.get(command.person)
        found = check_entitlement(
            claims,
            person,
            command.facility_code,
            facility,
            day,
            command.insutype,
            kind=command.kind,
            emergency=command.emergency,
        )
        if wrong or isinstance(found, list):
            checked.append([*wrong, *(found if isinstance(found, list) else ())])
        else:
            checked.append(_one_call_bill(command, found, day))
    return checked


def _check_bill_lines(command: OneCall) -> list[Refusal]:
    wrong = line_rules.check_each(command.lines)
    wrong += line_rules.check_within(command.lines, command.began_at, command.ended_at)
    wrong += line_rules.check_voids(command.lines, {line.line_no: line for line in command.lines})
    return wrong + line_rules.check_total(command.lines, command.total_fen)


def _one_call_bill(command: OneCall, found: Entitlement, day: date) -> Bill:
    visit = VisitRow(
        visit_id=new_id(),
        facility_code=command.facility_code,
        facility_visit_no=command.facility_visit_no,
        person_id=found.span.person_id,
        kind=command.kind,
        med_type=command.med_type,
        insutype=found.span.insutype,
        emergency=command.emergency,
        began_at=command.began_at,
        ended_at=command.ended_at,
        state=State.SETTLED,
    )
    ended_on = shanghai_day(command.ended_at)
    return Bill(
        visit, command.facility_settlement_no, found, command.lines, day, ended_on, command.now, command.traceparent
    )


async def check_discharges(tx: Connection, claims: Claims, commands: Sequence[Discharge]) -> list[Checked]:
    """Each stay as a bill, or everything against settling it."""
    ids = [c.visit_id for c in commands]
    found = await visits.visits(tx, ids, for_update=tx.is_in_transaction())
    own = {v.visit_id: v for v in found.values()}
    lines = await visits.lines(tx, list(own))
    people = await copies.people(tx, [PersonRef(v.person_id) for v in own.values()])
    facilities = await copies.facilities(tx, [c.facility_code for c in commands])
    checked: list[Checked] = []
    for command in commands:
        visit = own.get(command.visit_id)
        if visit is None or visit.facility_code != command.facility_code:
            checked.append([errors.VISIT_UNKNOWN()])
            continue
        checked.append(
            _check_discharge(
                claims,
                command,
                visit,
                tuple(lines[visit.visit_id]),
                check_entitlement(
                    claims,
                    people.get(PersonRef(visit.person_id)),
                    command.facility_code,
                    facilities.get(command.facility_code),
                    shanghai_day(visit.began_at),
                    visit.insutype,
                    kind=visit.kind,
                    emergency=visit.emergency,
                ),
            )
        )
    return checked


def _check_discharge(
    claims: Claims,
    command: Discharge,
    visit: VisitRow,
    lines: tuple[FeeLine, ...],
    found: Entitlement | list[Refusal],
) -> Checked:
    state = visit_rules.take_step(visit.state, Step.SETTLE)
    wrong = [state] if isinstance(state, Refusal) else []
    wrong += check_times(claims, visit.began_at, command.ended_at, command.now)
    wrong += line_rules.check_within(lines, visit.began_at, command.ended_at)
    wrong += line_rules.check_total(lines, command.total_fen)
    if wrong or isinstance(found, list):
        return [*wrong, *(found if isinstance(found, list) else ())]
    return Bill(
        replace(visit, state=State.SETTLED, ended_at=command.ended_at),
        command.facility_settlement_no,
        found,
        lines,
        shanghai_day(visit.began_at),
        shanghai_day(command.ended_at),
        command.now,
        command.traceparent,
    )
