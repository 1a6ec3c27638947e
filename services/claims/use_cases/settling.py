"""Settling: quotes, discharge settlement, one-call settlement. The hot path: lists of commands, one transaction each.

Both kinds of settlement go through `_decide`, where the counters of the persons are locked, the bills decided one after
the other, and rows, events and answers written in two round trips for the whole batch.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import asyncpg

from services.claims import errors
from services.claims.rules import benefit
from services.claims.rules.benefit import YearBook, pack_steps
from services.claims.rules.visits import CLR_TYPE
from services.claims.store import settlements, visits
from services.claims.store.settlements import SettlementRow, WorkingRow
from services.claims.use_cases import rechecking
from services.claims.use_cases.bills import (
    Bill,
    Checked,
    Command,
    Discharge,
    OneCall,
    check_discharges,
    check_one_calls,
)
from services.claims.use_cases.parts import Claims
from shared.database import Connection, Statement, together
from shared.events import Envelope, new_id
from shared.events.claims import Bill as BillEvent
from shared.events.claims import DischargeSettled, FundShare
from shared.http.idempotency import Answer, recall, remembrance
from shared.outbox import announcement
from shared.policy.decision import Decision
from shared.refusals import Refusal, Refused
from shared.telemetry import amount_band, annotate, begin, is_sampled, span, traceparent_of

C = TypeVar("C", bound=Command)

Check = Callable[[Connection, Claims, Sequence[C]], Awaitable[list[Checked]]]

Record = Callable[[Connection, "Decided", Statement], Awaitable[None]]
"""Writes what was decided, together with the answers to be kept."""


async def settle_one_calls(claims: Claims, commands: Sequence[OneCall]) -> Sequence[Answer | Exception]:
    """Settle outpatient and pharmacy bills in one transaction; one answer or refusal each. Raises Unavailable."""
    return await _settle_all(claims, commands, check_one_calls, _open_and_record)


async def settle_discharges(claims: Claims, commands: Sequence[Discharge]) -> Sequence[Answer | Exception]:
    """Settle stays in one transaction; one answer or refusal each. Raises Unavailable."""
    return await _settle_all(claims, commands, check_discharges, _close_and_record)


async def quote_one_call(claims: Claims, command: OneCall) -> Decision:
    """What a bill would pay (预结算); nothing is kept. Raises Refused."""
    async with claims.database.read() as reader:
        return await _quoted(reader, claims, (await check_one_calls(reader, claims, [command]))[0])


async def quote_discharge(claims: Claims, command: Discharge) -> Decision:
    """What a stay would pay if it ended so (住院预结算); nothing is kept. Raises Refused."""
    async with claims.database.read() as reader:
        return await _quoted(reader, claims, (await check_discharges(reader, claims, [command]))[0])


async def _quoted(reader: Connection, claims: Claims, checked: Checked) -> Decision:
    if isinstance(checked, list):
        raise Refused(*checked)
    decision = checked.decide(claims.policies, await settlements.book_of(reader, checked.visit.person_id))
    if isinstance(decision, Refusal):
        raise Refused(decision)
    return decision


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
        decided = await _decide(tx, claims, [bill for _, bill in bills])
        kept = []
        for (index, _), outcome in zip(bills, decided.outcomes, strict=True):
            if isinstance(outcome, Refusal):
                results[index] = Refused(outcome)
                continue
            answer = claims.render(outcome)
            results[index] = answer
            kept.append((commands[index].key, answer))
        if kept:
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


@dataclass(slots=True)
class Decided:
    """What bills came to, to be written."""

    outcomes: list[SettlementRow | Refusal] = field(default_factory=list)
    """One a bill, in their order."""
    bills: list[Bill] = field(default_factory=list)
    """Those that settle, with their rows and workings."""
    rows: list[SettlementRow] = field(default_factory=list)
    workings: list[WorkingRow] = field(default_factory=list)
    books: dict[str, YearBook] = field(default_factory=dict)
    late: list[SettlementRow] = field(default_factory=list)
    """Those that end before a bill settled earlier: what came after them is to be decided again."""

    def statements(self) -> list[Statement]:
        """What both kinds of settlement write."""
        rechecks = [rechecking.asked(self.late)] if self.late else []
        return [
            settlements.settlements_added(self.rows),
            settlements.workings_added(self.workings),
            settlements.books_saved(self.books),
            announcement([envelope_of(settled_event(row), row) for row in self.rows]),
            *rechecks,
        ]


async def _open_and_record(tx: Connection, decided: Decided, answers: Statement) -> None:
    bills = decided.bills
    opened = visits.visits_added([bill.visit for bill in bills])
    await together(tx, [opened, *decided.statements(), answers])
    await visits.add_lines(tx, ((bill.visit.visit_id, line) for bill in bills for line in bill.lines))


async def _close_and_record(tx: Connection, decided: Decided, answers: Statement) -> None:
    closed = visits.states_set([(b.visit.visit_id, b.visit.state, b.visit.ended_at) for b in decided.bills])
    await together(tx, [closed, *decided.statements(), answers])


async def _decide(tx: Connection, claims: Claims, bills: Sequence[Bill]) -> Decided:
    """Decide the bills one after the other under the lock of the persons' books."""
    decided = Decided(books=await settlements.lock_books(tx, [bill.visit.person_id for bill in bills]))
    for bill in bills:
        opened = (
            begin("claims.settle", _attributes(bill), parent=bill.traceparent) if is_sampled(bill.traceparent) else None
        )
        outcome = _decide_one(claims, bill, decided, traceparent_of(opened) if opened else bill.traceparent)
        decided.outcomes.append(outcome)
        if opened is not None:
            annotate(opened, _outcome_attributes(outcome))
            opened.end()
    return decided


def _decide_one(claims: Claims, bill: Bill, decided: Decided, traceparent: str | None) -> SettlementRow | Refusal:
    person_id = bill.visit.person_id
    book = decided.books[person_id]
    decision = bill.decide(claims.policies, book)
    if isinstance(decision, Refusal):
        return decision
    row = _row(bill, decision, traceparent)
    decided.bills.append(bill)
    decided.rows.append(row)
    decided.workings.append(
        WorkingRow(row.settlement_id, bill.entitlement.facts, decision.changes, pack_steps(decision))
    )
    decided.books[person_id] = book.after(decision.changes, bill.ended_on)
    if book.newest_on is not None and bill.ended_on < book.newest_on:
        decided.late.append(row)
    return row


def _outcome_attributes(outcome: SettlementRow | Refusal) -> dict[str, str]:
    if isinstance(outcome, Refusal):
        return {"sifang.outcome": outcome.code}
    return {"sifang.settlement": outcome.settlement_id, "sifang.amount_band": amount_band(outcome.total_fen)}


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
        **benefit.amounts_of(decision),
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
        "shares": tuple(FundShare(fund_pay_type=fund, amount_fen=fen) for fund, fen in json.loads(row.shares).items()),
    }
