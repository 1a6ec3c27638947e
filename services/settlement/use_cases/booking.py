"""Booking bills: the hot path. A batch costs a handful of statements, however many bills it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime

from opentelemetry.trace import Span

from services.settlement.rules.archives import last_period
from services.settlement.rules.bills import Bill, check_bill, next_month
from services.settlement.rules.cases import Step
from services.settlement.rules.chain import LedgerKey
from services.settlement.rules.ledger import bill_transfers, entries
from services.settlement.rules.statements import StatementState
from services.settlement.store import archives, statements
from services.settlement.store import bills as store
from services.settlement.store.bills import CaseKey, Month, NewCase, Placed, Transaction
from services.settlement.store.statements import Touch
from services.settlement.use_cases.months import BY_ITSELF, take_month_step
from shared.database import Connection
from shared.events import new_id
from shared.refusals import Refused
from shared.regions import RegionTree
from shared.telemetry import amount_band, annotate, begin, is_sampled, traceparent_of
from shared.workdays import month_of, shanghai_day


async def book(
    tx: Connection, regions: RegionTree, ledger_key: LedgerKey, bills: Sequence[Bill], now: datetime
) -> None:
    """Book bills in the books of their chains, each once. Raises Refused when one of them cannot be booked.

    A bill of a region that was renamed or merged goes to what that has become. A bill whose month is confirmed goes to
    the next month that is not. A bill in a month whose statement was compared already reopens the comparison.
    """
    wrong = [refusal for bill in bills for refusal in check_bill(bill, regions.__contains__)]
    if wrong:
        raise Refused(*wrong)
    unique = list({bill.settlement_id: _now(regions, bill) for bill in bills}.values())
    with _spans(unique) as spans:
        months = await _open_months(tx, unique, shanghai_day(now))
        cases, opened = await _cases(tx, regions, unique, months, now)
        placed = [_place(bill, months, cases, spans) for bill in unique if _case_key(bill, months) in cases]
        fresh = await store.add_bills(tx, placed, now)
        booked = [p for p in placed if p.bill.settlement_id in fresh]
        transactions = [t for p in booked if (t := _transaction(regions, p)).entries]
        await store.add_transactions(tx, transactions, ledger_key, now)
        touched = {months[p.bill.facility_code, p.bill.settled_month] for p in booked}
        await _reopen(tx, touched, opened, now)
        await statements.touch(tx, {_touch(p) for p in booked})


def _now(regions: RegionTree, bill: Bill) -> Bill:
    """A bill between the regions there are now."""
    care_region, home_region = regions.current(bill.care_region), regions.current(bill.home_region)
    if (care_region, home_region) == (bill.care_region, bill.home_region):
        return bill
    return replace(bill, care_region=care_region, home_region=home_region)


async def _open_months(tx: Connection, bills: Sequence[Bill], today: date) -> dict[tuple[str, str], Month]:
    """For each facility and month of settlement the month that takes the bills, locked against confirmation.

    A month that is archived takes none: who comes that late is booked today.
    """
    target = {(bill.facility_code, bill.settled_month): bill.settled_month for bill in bills}
    # Only a year that is over can be archived: nothing is asked for the bills of every day.
    if min(target.values(), default="") < f"{today.year:04d}" and (year := await archives.last_year(tx)) is not None:
        late = last_period(year)
        target = {key: month_of(today) if month <= late else month for key, month in target.items()}
    while True:
        keys = {(facility_code, period) for (facility_code, _), period in target.items()}
        locked = {(m.facility_code, m.period): m for m in await store.lock_months(tx, keys, alone=False)}
        found = {key: locked[key[0], period] for key, period in target.items()}
        if not any(month.confirmed for month in found.values()):
            return found
        target = {key: next_month(month.period) if month.confirmed else month.period for key, month in found.items()}


async def _cases(
    tx: Connection,
    regions: RegionTree,
    bills: Sequence[Bill],
    months: dict[tuple[str, str], Month],
    now: datetime,
) -> tuple[dict[CaseKey, str], set[CaseKey]]:
    """The ids of the cases the bills belong to, and which of the cases were opened for them.

    None is opened for a bill that is booked already, and comes again after its month was confirmed.
    """
    wanted = {_case_key(bill, months) for bill in bills}
    found = await store.find_cases(tx, list(wanted))
    if wanted == found.keys():
        return found, set()
    homeless = {bill.settlement_id: key for bill in bills if (key := _case_key(bill, months)) not in found}
    known = await store.booked_already(tx, homeless)
    opened = {key for settlement_id, key in homeless.items() if settlement_id not in known}
    if opened:
        await store.add_cases(tx, [_new_case(regions, key) for key in opened], now)
        found = await store.find_cases(tx, list(wanted))
    return found, opened


def _case_key(bill: Bill, months: dict[tuple[str, str], Month]) -> CaseKey:
    period = months[bill.facility_code, bill.settled_month].period
    return CaseKey(bill.facility_code, period, bill.care_region, bill.home_region)


def _new_case(regions: RegionTree, key: CaseKey) -> NewCase:
    clearing = regions.clearing(key.care_region, key.home_region)
    return NewCase(new_id(), key, clearing, regions.chain(key.care_region, key.home_region))


def _place(
    bill: Bill, months: dict[tuple[str, str], Month], cases: dict[CaseKey, str], spans: dict[str, Span]
) -> Placed:
    key = _case_key(bill, months)
    case_id = cases[key]
    span = spans.get(bill.settlement_id)
    if span is None:
        return Placed(bill, case_id, key.period, bill.traceparent)
    annotate(span, {"sifang.case": case_id, "sifang.period": key.period})
    return Placed(bill, case_id, key.period, traceparent_of(span))


def _transaction(regions: RegionTree, placed: Placed) -> Transaction:
    bill = placed.bill
    chain = regions.chain(bill.care_region, bill.home_region)
    return Transaction(
        transaction_id=bill.settlement_id,
        kind="reversal" if bill.refund else "bill",
        case_id=placed.case_id,
        period=placed.period,
        value_date=bill.settled_on,
        reverses_transaction_id=bill.reverses_settlement_id,
        entries=entries(bill_transfers(bill.facility_code, chain, bill.shares, bill.account_fen)),
    )


def _touch(placed: Placed) -> Touch:
    bill = placed.bill
    return Touch(bill.facility_code, placed.period, bill.settled_on, bill.care_region, bill.home_region)


async def _reopen(tx: Connection, touched: Iterable[Month], opened: set[CaseKey], now: datetime) -> None:
    """Books that change after the statement was compared with them are compared again."""
    newly = {(key.facility_code, key.period) for key in opened}
    stale = sorted(
        month
        for month in touched
        if month.statement_id is not None
        and (month.statement_state is not StatementState.REOPENED or (month.facility_code, month.period) in newly)
    )
    if not stale:
        return
    await statements.reopen(tx, [month.statement_id for month in stale if month.statement_id])
    for month in stale:
        await take_month_step(tx, month.facility_code, month.period, Step.REOPEN, BY_ITSELF, now)


@contextmanager
def _spans(bills: Sequence[Bill]) -> Iterator[dict[str, Span]]:
    """A span for each bill whose trace is recorded, in that trace."""
    spans = {bill.settlement_id: _span(bill) for bill in bills if is_sampled(bill.traceparent)}
    try:
        yield spans
    finally:
        for span in spans.values():
            span.end()


def _span(bill: Bill) -> Span:
    attributes = {
        "sifang.settlement": bill.settlement_id,
        "sifang.facility": bill.facility_code,
        "sifang.region.care": bill.care_region,
        "sifang.region.home": bill.home_region,
        "sifang.step": "booked",
        "sifang.amount_band": amount_band(bill.total_fen),
    }
    return begin("settlement.book", attributes, parent=bill.traceparent)
