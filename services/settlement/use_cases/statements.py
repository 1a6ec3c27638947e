"""Statements: submitted, compared by totals (3201), matched bill by bill (3202), and decided about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.cases import Step
from services.settlement.rules.dues import DueKind, make_due
from services.settlement.rules.items import Closing
from services.settlement.rules.statements import (
    ClassNumbers,
    Comparison,
    Key,
    Line,
    Statement,
    StatementState,
    Sums,
    adds_up,
    by_refund,
    check_lines_sum,
    check_lines_wanted,
    check_period,
    check_resolvable,
    check_totals,
    compare,
)
from services.settlement.store import bills as bill_store
from services.settlement.store import cases as case_store
from services.settlement.store import dues as due_store
from services.settlement.store import files as file_store
from services.settlement.store import items as item_store
from services.settlement.store import matching
from services.settlement.store import statements as store
from services.settlement.store.bills import Month
from services.settlement.store.files import File
from services.settlement.store.statements import Resolution
from services.settlement.use_cases.months import BY_ITSELF, Actor, take_month_step
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA, Principal
from shared.database import Connection
from shared.events import Envelope, Event, new_id
from shared.events.settlement import DifferenceFound, StatementSubmitted
from shared.outbox import announce
from shared.refusals import Refused
from shared.telemetry import current_traceparent
from shared.workdays import shanghai_day


@dataclass(frozen=True, slots=True)
class Report:
    """A statement with everything known about it."""

    statement: Statement
    comparisons: Sequence[Comparison]
    classes: Sequence[ClassNumbers]
    resolution: Resolution | None


async def report(tx: Connection, statement: Statement) -> Report:
    """A statement with its totals, the classes of its last match, and what was decided."""
    return Report(
        statement,
        await store.comparisons(tx, statement.statement_id),
        await matching.classes(tx, statement.statement_id, statement.match_no),
        await store.resolution(tx, statement),
    )


async def submit(
    parts: Settlement,
    tx: Connection,
    principal: Principal,
    period: str,
    totals: Sequence[tuple[Key, Sums]],
    now: datetime,
) -> Report:
    """A facility's statement of a month, or a new version of it, compared with the books at once. Raises Refused."""
    today = shanghai_day(now)
    wrong = check_period(period, today, before_month_end=parts.settings.statement_before_month_end)
    wrong += check_totals(totals)
    wrong += [
        errors.REGION_UNKNOWN(pointer=f"/totals/{number}/home_region", region=key.home_region)
        for number, (key, _) in enumerate(totals)
        if key.home_region not in parts.regions
    ]
    if wrong:
        raise Refused(*wrong)
    care_region = await bill_store.facility_region(tx, principal.party)
    if care_region is None:
        raise Refused(errors.FACILITY_UNKNOWN(facility=principal.party))
    if (await _seize(tx, principal.party, period)).confirmed:
        raise Refused(errors.MONTH_CONFIRMED(pointer="/period", period=period))
    statement = await _new_version(tx, principal, care_region, period, now)
    await store.save_comparisons(tx, statement.statement_id, compare(dict(totals), {}))
    await take_month_step(tx, principal.party, period, Step.SUBMIT, Actor.of(principal), now)
    await announce(tx, [Envelope(_submitted(statement, totals), now, traceparent=current_traceparent())])
    return await report(tx, await _compare_again(parts, tx, statement, Actor.of(principal), now, forced=True))


async def _seize(tx: Connection, facility_code: str, period: str) -> Month:
    """A facility's month, locked against booking and every other statement or confirmation."""
    return (await bill_store.lock_months(tx, [(facility_code, period)], alone=True))[0]


async def _new_version(tx: Connection, principal: Principal, care_region: str, period: str, now: datetime) -> Statement:
    statement_id, today = new_id(), shanghai_day(now)
    version_no = await store.add_version(
        tx, statement_id, principal.party, care_region, period, subject=principal.subject, at=now, on=today
    )
    return Statement(statement_id, principal.party, care_region, period, version_no, StatementState.REOPENED, 0, today)


def _submitted(statement: Statement, totals: Sequence[tuple[Key, Sums]]) -> StatementSubmitted:
    return StatementSubmitted(
        statement_id=statement.statement_id,
        facility_code=statement.facility_code,
        period=statement.period,
        version_no=statement.version_no,
        total_fen=sum(sums.total_fen for _, sums in totals),
        fund_fen=sum(sums.fund_fen for _, sums in totals),
        bill_count=sum(sums.bill_count for _, sums in totals),
    )


async def add_lines(parts: Settlement, principal: Principal, statement_id: str, lines: Sequence[Line]) -> int:
    """Lines of the facility's own statement; how many were given. The same line again changes nothing.

    Raises Refused, naming every line that was there with other amounts: a correction is a new version.
    """
    async with parts.database.transaction() as tx:
        statement = await _own(tx, principal, statement_id)
        if wrong := check_lines_wanted(statement.state):
            raise Refused(*wrong)
        if await file_store.accepted_file(tx, statement_id) is not None:
            raise Refused(errors.LINES_EXIST())
        differing = await store.add_lines(tx, statement_id, lines)
        if differing:
            raise Refused(*(errors.LINE_DIFFERS(pointer=f"/lines/{at}", number=number) for at, number in differing))
    return len(lines)


async def _own(tx: Connection, principal: Principal, statement_id: str) -> Statement:
    """A statement of the calling facility, its month locked. Raises Refused."""
    statement = await locked_statement(tx, statement_id)
    if principal.party not in (statement.facility_code, statement.care_region):
        raise Refused(NOT_YOUR_AREA(party=statement.facility_code))
    return statement


async def locked_statement(tx: Connection, statement_id: str) -> Statement:
    """A statement as it stands once its month is locked. Raises Refused."""
    known = await store.statement(tx, statement_id)
    if known is None:
        raise Refused(errors.STATEMENT_UNKNOWN())
    await _seize(tx, known.facility_code, known.period)
    return await store.statement(tx, statement_id) or known


async def match(parts: Settlement, principal: Principal, statement_id: str, now: datetime) -> Report:
    """Match a statement with the books, bill by bill where its totals differ; one that is matched stays so.

    Raises Refused when lines are missing or do not add up.
    """
    async with parts.database.transaction() as tx:
        statement = await _own(tx, principal, statement_id)
        if statement.state is StatementState.REPLACED:
            raise Refused(errors.STATEMENT_REPLACED())
        if statement.state is not StatementState.MATCHED:
            statement = await _compare_again(parts, tx, statement, Actor.of(principal), now, forced=False)
        return await report(tx, statement)


async def rematch(parts: Settlement, statement_id: str, now: datetime) -> None:
    """Compare a statement again whose books have changed."""
    async with parts.database.transaction() as tx:
        statement = await locked_statement(tx, statement_id)
        if statement.state is StatementState.REOPENED:
            await _compare_again(parts, tx, statement, BY_ITSELF, now, forced=True)


async def _compare_again(
    parts: Settlement, tx: Connection, statement: Statement, actor: Actor, now: datetime, *, forced: bool
) -> Statement:
    """Compare totals, then lines; the statement as it stands after.

    Where the lines are missing or do not add up it refuses, or, when forced, concludes that details are wanted.
    """
    match_no = statement.match_no + 1
    await matching.use_memory(tx, parts.settings.match_memory_mb)
    stated = {c.key: c.stated for c in await store.comparisons(tx, statement.statement_id)}
    comparisons = compare(stated, await store.books_totals(tx, statement.facility_code, statement.period))
    await store.save_comparisons(tx, statement.statement_id, comparisons)
    await _set_dues(parts, tx, statement)
    if all(c.equal for c in comparisons):
        await item_store.close_all(tx, statement, Closing.AGREED, now)
        return await _conclude(tx, statement, StatementState.MATCHED, match_no, actor, now)
    file = await file_store.accepted_file(tx, statement.statement_id)
    # An accepted file was added up when it came, and neither it nor the totals change after.
    lines = by_refund(stated) if file else await store.line_sums(tx, statement.statement_id)
    wrong = check_lines_sum(stated, lines) if lines else [errors.LINES_MISSING()]
    if wrong and not forced:
        raise Refused(*wrong)
    if wrong:
        return await _conclude(tx, statement, StatementState.DETAILS_WANTED, match_no, actor, now)
    await _match(parts, tx, statement, match_no, file, comparisons, lines)
    due = parts.calendar.add(shanghai_day(now), parts.settings.item_working_days)
    still_open = await item_store.renew(tx, statement, match_no, due, now)
    if not still_open:
        return await _conclude(tx, statement, StatementState.MATCHED, match_no, actor, now)
    await _announce_differences(parts, tx, statement, match_no, now)
    return await _conclude(tx, statement, StatementState.DIFFERENCES, match_no, actor, now)


async def _match(
    parts: Settlement,
    tx: Connection,
    statement: Statement,
    match_no: int,
    file: File | None,
    comparisons: Sequence[Comparison],
    lines: Mapping[bool, Sums],
) -> None:
    """Match bill by bill. Raises RuntimeError when a bill or a line got lost on the way: nothing of it is kept."""
    classes = await matching.match(
        tx,
        statement,
        match_no,
        file,
        counts=(sum(c.books.bill_count for c in comparisons), sum(sums.bill_count for sums in lines.values())),
        tolerance_fen=parts.settings.tolerance_fen,
    )
    if not adds_up(classes, (c.books for c in comparisons), lines.values()):
        raise RuntimeError(f"the classes of match {match_no} of {statement.statement_id} do not add up to its sides")


_STEPS = {StatementState.MATCHED: Step.MATCH, StatementState.DIFFERENCES: Step.DIFFER}


async def _conclude(
    tx: Connection, statement: Statement, state: StatementState, match_no: int, actor: Actor, now: datetime
) -> Statement:
    """Write the outcome of a comparison to the statement and to the cases of its month."""
    await store.conclude(tx, statement.statement_id, state, match_no)
    if state in _STEPS:
        await take_month_step(tx, statement.facility_code, statement.period, _STEPS[state], actor, now)
    return replace(statement, state=state, match_no=match_no)


async def _set_dues(parts: Settlement, tx: Connection, statement: Statement) -> None:
    """Every party of every case of the month has so many working days from the statement on (15 in seed 000)."""
    found = await case_store.cases_of_month(tx, statement.facility_code, statement.period)
    dues = [
        make_due(
            parts.calendar,
            case.case_id,
            DueKind.RECONCILIATION,
            party,
            since=statement.submitted_on,
            working_days=parts.settings.confirmation_working_days,
        )
        for case in (await case_store.cases(tx, [case_id for case_id, _ in found])).values()
        for party in case.parties
    ]
    await due_store.save_dues(tx, dues)


async def _announce_differences(
    parts: Settlement, tx: Connection, statement: Statement, match_no: int, now: datetime
) -> None:
    limit = parts.settings.differences_announced_max
    events: list[Event] = [
        DifferenceFound(
            statement_id=statement.statement_id,
            facility_code=statement.facility_code,
            period=statement.period,
            difference_class=found.difference_class,
            facility_settlement_no=found.facility_settlement_no,
            books_fund_fen=found.books_fund_fen,
            statement_fund_fen=found.stated_fund_fen,
        )
        for found in await store.new_differences(tx, statement.statement_id, match_no, limit)
    ]
    await announce(tx, [Envelope(event, now, traceparent=current_traceparent()) for event in events])


async def propose_resolution(
    parts: Settlement, principal: Principal, statement_id: str, reason: str, now: datetime
) -> Report:
    """Propose that the books stand in spite of the differences. Raises Refused."""
    async with parts.database.transaction() as tx:
        statement, proposed = await _to_resolve(tx, principal, statement_id)
        if proposed is not None:
            raise Refused(errors.RESOLUTION_EXISTS())
        await store.add_resolution(tx, statement, reason, principal.subject, now)
        return await report(tx, statement)


async def approve_resolution(parts: Settlement, principal: Principal, statement_id: str, now: datetime) -> Report:
    """Approve what another person proposed: the books stand and the parties can confirm. Raises Refused."""
    async with parts.database.transaction() as tx:
        statement, proposed = await _to_resolve(tx, principal, statement_id)
        if proposed is None:
            raise Refused(errors.RESOLUTION_MISSING())
        if proposed.proposed_by == principal.subject:
            raise Refused(errors.SAME_PERSON())
        await store.approve_resolution(tx, statement, principal.subject, now)
        await item_store.close_all(tx, statement, Closing.BOOKS_STAND, now)
        concluded = await _conclude(tx, statement, StatementState.MATCHED, statement.match_no, Actor.of(principal), now)
        return await report(tx, concluded)


async def _to_resolve(tx: Connection, principal: Principal, statement_id: str) -> tuple[Statement, Resolution | None]:
    """A statement with differences, its month locked, for its own care agency. Raises Refused."""
    statement = await locked_statement(tx, statement_id)
    if principal.party != statement.care_region:
        raise Refused(NOT_YOUR_AREA(party=statement.care_region))
    if wrong := check_resolvable(statement.state):
        raise Refused(*wrong)
    return statement, await store.resolution(tx, statement)
