"""Settling: quotes, discharge settlement, one-call settlement. The hot path: lists of commands, one transaction each.

Both kinds of settlement go through `_decide`, where the counters of the persons are locked, the bills decided one after
the other, and rows, events and answers written in two round trips for the whole batch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol, TypeVar

import asyncpg

from services.claims import errors
from services.claims.rules import benefit
from services.claims.rules import lines as line_rules
from services.claims.rules import visits as visit_rules
from services.claims.rules.benefit import ClassSums, Counters, Decision
from services.claims.rules.entitlement import Entitlement
from services.claims.rules.lines import FeeLine
from services.claims.rules.visits import BENEFIT, CLR_TYPE, Kind, State, Step
from services.claims.store import copies, settlements, visits
from services.claims.store.copies import PersonRef
from services.claims.store.settlements import CounterKey, SettlementRow
from services.claims.store.visits import VisitRow
from services.claims.use_cases.parts import Claims, check_codes, check_entitlement, check_line_codes, check_times
from shared.database import Connection, Statement, together
from shared.events import Envelope, new_id
from shared.events.claims import Bill as BillEvent
from shared.events.claims import DischargeSettled, FundShare
from shared.http.idempotency import Answer, RequestKey, recall, remembrance
from shared.outbox import announcement
from shared.refusals import Refusal, Refused
from shared.telemetry import amount_band, annotate, begin, is_sampled, span, traceparent_of
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


class _Command(Protocol):
    @property
    def key(self) -> RequestKey: ...
    @property
    def now(self) -> datetime: ...
    @property
    def traceparent(self) -> str | None: ...


C = TypeVar("C", bound=_Command)


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

    @property
    def counter_key(self) -> CounterKey:
        """Whose counters it uses: the year is that of its last day."""
        return self.visit.person_id, self.ended_on.year, self.visit.insutype, BENEFIT[self.visit.kind]

    def sums(self) -> ClassSums:
        """Its lines by class."""
        prepay = self.entitlement.plan.class_b_prepay
        return benefit.sum_classes(((line.item_class, line.amount_fen) for line in self.lines), prepay)

    def decide(self, used: Counters) -> Decision:
        """What it pays, given what the year has used up."""
        found = self.entitlement
        kind, level = BENEFIT[self.visit.kind], found.facility.level
        return benefit.decide(
            found.plan, kind, level, retired=found.retired, factor=found.factor, used=used, sums=self.sums()
        )


Checked = Bill | list[Refusal]
"""A command after its checks: a bill, or every reason against it."""

Check = Callable[[Connection, Claims, Sequence[C]], Awaitable[list[Checked]]]

Record = Callable[[Connection, "Decided", Statement], Awaitable[None]]
"""Writes what was decided, together with the answers to be kept."""


async def settle_one_calls(claims: Claims, commands: Sequence[OneCall]) -> Sequence[Answer | Exception]:
    """Settle outpatient and pharmacy bills in one transaction; one answer or refusal each. Raises Unavailable."""
    return await _settle_all(claims, commands, _check_one_calls, _open_and_record)


async def settle_discharges(claims: Claims, commands: Sequence[Discharge]) -> Sequence[Answer | Exception]:
    """Settle stays in one transaction; one answer or refusal each. Raises Unavailable."""
    return await _settle_all(claims, commands, _check_discharges, _close_and_record)


async def quote_one_call(claims: Claims, command: OneCall) -> Decision:
    """What a bill would pay (预结算); nothing is kept. Raises Refused."""
    async with claims.database.read() as reader:
        return await _quoted(reader, (await _check_one_calls(reader, claims, [command]))[0])


async def quote_discharge(claims: Claims, command: Discharge) -> Decision:
    """What a stay would pay if it ended so (住院预结算); nothing is kept. Raises Refused."""
    async with claims.database.read() as reader:
        return await _quoted(reader, (await _check_discharges(reader, claims, [command]))[0])


async def _quoted(reader: Connection, checked: Checked) -> Decision:
    if isinstance(checked, list):
        raise Refused(*checked)
    used = await settlements.counters(reader, [checked.counter_key])
    return checked.decide(used.get(checked.counter_key, Counters()))


async def _settle_all(
    claims: Claims,
    commands: Sequence[C],
    check: Check[C],
    record: Record,
) -> Sequence[Answer | Exception]:
    """Recall what was answered before, check and settle the rest, and keep their answers."""
    links = [c.traceparent for c in commands if is_sampled(c.traceparent)]
    try:
        with span("batch.commit", {"sifang.batch_size": len(commands)}, links=links):
            async with claims.database.transaction() as tx:
                return await _settle_fresh(tx, claims, commands, check, record)
    except asyncpg.UniqueViolationError as clash:
        raise Refused(_number_taken(clash)) from clash
    except asyncpg.ExclusionViolationError as clash:
        raise Refused(errors.STAY_OVERLAPS(pointer="/ended_at")) from clash


async def _settle_fresh(
    tx: Connection,
    claims: Claims,
    commands: Sequence[C],
    check: Check[C],
    record: Record,
) -> Sequence[Answer | Exception]:
    recalled = await recall(tx, [c.key for c in commands])
    results: list[Answer | Exception | None] = [Refused(r) if isinstance(r, Refusal) else r for r in recalled]
    fresh = [index for index, result in enumerate(results) if result is None]
    bills: list[tuple[int, Bill]] = []
    if fresh:
        for index, checked in zip(fresh, await check(tx, claims, [commands[i] for i in fresh]), strict=True):
            if isinstance(checked, list):
                results[index] = Refused(*checked)
            else:
                bills.append((index, checked))
    if bills:
        decided = await _decide(tx, [bill for _, bill in bills])
        kept = []
        for (index, _), row in zip(bills, decided.rows, strict=True):
            answer = claims.render(row)
            results[index] = answer
            kept.append((commands[index].key, answer))
        await record(tx, decided, remembrance(kept, commands[0].now))
    return [result for result in results if result is not None]


def _number_taken(clash: asyncpg.UniqueViolationError) -> Refusal:
    if clash.constraint_name == "visit_number":
        return errors.VISIT_NUMBER_TAKEN(pointer="/facility_visit_no", number=_taken_number(clash))
    if clash.constraint_name == "settlement_number":
        return errors.SETTLEMENT_NUMBER_TAKEN(pointer="/facility_settlement_no", number=_taken_number(clash))
    raise clash


def _taken_number(clash: asyncpg.UniqueViolationError) -> str:
    """The number from the server's detail, `Key (facility_code, number)=(…, X) already exists.`."""
    return (clash.detail or "").rpartition(", ")[2].partition(")")[0]


async def _check_one_calls(tx: Connection, claims: Claims, commands: Sequence[OneCall]) -> list[Checked]:
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
            claims, person, command.facility_code, facility, day, command.insutype, emergency=command.emergency
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


async def _check_discharges(tx: Connection, claims: Claims, commands: Sequence[Discharge]) -> list[Checked]:
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


@dataclass(frozen=True, slots=True)
class Decided:
    """Bills and what they came to, to be written."""

    bills: Sequence[Bill]
    rows: list[SettlementRow]
    counters: dict[CounterKey, Counters]

    def statements(self) -> list[Statement]:
        """What both kinds of settlement write."""
        return [
            settlements.settlements_added(self.rows),
            settlements.counters_saved(self.counters),
            announcement([envelope_of(settled_event(row), row) for row in self.rows]),
        ]


async def _open_and_record(tx: Connection, decided: Decided, answers: Statement) -> None:
    bills = decided.bills
    opened = visits.visits_added([bill.visit for bill in bills])
    lines = visits.lines_added((bill.visit.visit_id, line) for bill in bills for line in bill.lines)
    await together(tx, [opened, lines, *decided.statements(), answers])


async def _close_and_record(tx: Connection, decided: Decided, answers: Statement) -> None:
    closed = visits.states_set([(b.visit.visit_id, b.visit.state, b.visit.ended_at) for b in decided.bills])
    await together(tx, [closed, *decided.statements(), answers])


async def _decide(tx: Connection, bills: Sequence[Bill]) -> Decided:
    """Decide the bills one after the other under the lock of their counters."""
    counters = await settlements.lock_counters(tx, [bill.counter_key for bill in bills])
    spans = [
        begin("claims.settle", _attributes(b), parent=b.traceparent) if is_sampled(b.traceparent) else None
        for b in bills
    ]
    rows: list[SettlementRow] = []
    for bill, opened in zip(bills, spans, strict=True):
        decision = bill.decide(counters[bill.counter_key])
        counters[bill.counter_key] = benefit.after(counters[bill.counter_key], decision)
        rows.append(_row(bill, decision, traceparent_of(opened) if opened else bill.traceparent))
    for row, opened in zip(rows, spans, strict=True):
        if opened is not None:
            annotate(opened, {"sifang.settlement": row.settlement_id, "sifang.amount_band": amount_band(row.total_fen)})
            opened.end()
    return Decided(bills, rows, counters)


def _attributes(bill: Bill) -> dict[str, str]:
    return {
        "sifang.visit": bill.visit.visit_id,
        "sifang.facility": bill.visit.facility_code,
        "sifang.party": bill.visit.facility_code,
        "sifang.region.care": bill.entitlement.facility.region,
        "sifang.region.home": bill.entitlement.span.region,
        "sifang.step": "settled",
        "sifang.outcome": "ok",
    }


def _row(bill: Bill, decision: Decision, traceparent: str | None) -> SettlementRow:
    visit, found = bill.visit, bill.entitlement
    return SettlementRow(
        settlement_id=new_id(),
        visit_id=visit.visit_id,
        person_id=visit.person_id,
        facility_code=visit.facility_code,
        facility_settlement_no=bill.facility_settlement_no,
        reverses_settlement_id=None,
        reason=None,
        kind=visit.kind,
        care_region=found.facility.region,
        home_region=found.span.region,
        insutype=visit.insutype,
        psn_type=found.span.psn_type,
        med_type=visit.med_type,
        clr_type=CLR_TYPE[visit.kind],
        pay_loc=found.pay_loc,
        began_on=bill.began_on,
        ended_on=bill.ended_on,
        settled_at=bill.now,
        year=bill.ended_on.year,
        benefit=BENEFIT[visit.kind],
        plan=decision.plan,
        fund_pay_type=decision.fund_pay_type,
        ratio=decision.ratio.quantize(Decimal("0.000001")),
        total_fen=decision.total_fen,
        fund_fen=decision.fund_fen,
        person_fen=decision.person_fen,
        account_fen=0,
        cash_fen=decision.person_fen,
        hospital_fen=0,
        own_fen=decision.own_fen,
        prepay_fen=decision.prepay_fen,
        in_scope_fen=decision.in_scope_fen,
        deductible_fen=decision.deductible_fen,
        by_ratio_fen=decision.by_ratio_fen,
        over_cap_fen=decision.over_cap_fen,
        traceparent=traceparent,
    )


def envelope_of(event: BillEvent, row: SettlementRow) -> Envelope[BillEvent]:
    """A bill event with the settlement's own id: each settlement is announced once, so one id serves both."""
    return Envelope(event, row.settled_at, row.settlement_id, row.traceparent)


def settled_event(row: SettlementRow) -> DischargeSettled:
    """The event that announces a settlement."""
    return DischargeSettled(**bill_fields(row))


def bill_fields(row: SettlementRow) -> dict[str, object]:
    """The fields both bill events share, from a settlement."""
    return {
        "settlement_id": row.settlement_id,
        "visit_id": row.visit_id,
        "person_id": row.person_id,
        "facility_code": row.facility_code,
        "facility_settlement_no": row.facility_settlement_no,
        "care_region": row.care_region,
        "home_region": row.home_region,
        "insutype": row.insutype,
        "psn_type": row.psn_type,
        "med_type": row.med_type,
        "clr_type": row.clr_type,
        "began_on": row.began_on,
        "ended_on": row.ended_on,
        "settled_at": row.settled_at,
        "total_fen": row.total_fen,
        "fund_fen": row.fund_fen,
        "account_fen": row.account_fen,
        "cash_fen": row.cash_fen,
        "hospital_fen": row.hospital_fen,
        "shares": (FundShare(fund_pay_type=row.fund_pay_type, amount_fen=row.fund_fen),),
    }
