"""Statements: submitted, compared by totals (3201), matched bill by bill (3202), and decided about.

A facility states its month, and single days of it before; an agency with a system of its own states a month of a chain.
Only the month of a facility moves cases: the others find differences early, or on the other side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from services.settlement import errors
from services.settlement.rules.cases import Step
from services.settlement.rules.dues import DueKind, due_by_terms
from services.settlement.rules.items import Closing
from services.settlement.rules.statements import (
    ClassNumbers,
    Comparison,
    Key,
    Line,
    Scope,
    Statement,
    StatementState,
    Sums,
    adds_up,
    by_refund,
    check_day,
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
from services.settlement.store.statements import New, Resolution
from services.settlement.use_cases.archive_bounds import refuse_archived_period
from services.settlement.use_cases.hops import region_of
from services.settlement.use_cases.months import BY_ITSELF, Actor, take_month_step
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.auth import NOT_YOUR_AREA, Principal
from shared.database import Connection
from shared.events import Event, new_id
from shared.events.settlement import AgencyBooksDiffer, DifferenceCount, DifferenceFound, StatementSubmitted
from shared.outbox import announce_now
from shared.refusals import Refusal, Refused
from shared.workdays import shanghai_day


@dataclass(frozen=True, slots=True)
class Report:
    """A statement with everything known about it."""

    statement: Statement
    comparisons: Sequence[Comparison]
    classes: Sequence[ClassNumbers]
    resolution: Resolution | None
    days: Sequence[Statement]
    """Of a month: the days of it that were stated, as they stand."""


async def report(tx: Connection, statement: Statement) -> Report:
    """A statement with its totals, the classes of its last match, and what was decided."""
    return Report(
        statement,
        await store.comparisons(tx, statement.statement_id),
        await matching.classes(tx, statement.statement_id, statement.match_no),
        await store.resolution(tx, statement),
        await store.days(tx, statement) if statement.scope is Scope.MONTH else (),
    )


@dataclass(frozen=True, slots=True)
class Submission:
    """What a facility states: its month, or one day of it."""

    period: str
    day: date | None
    totals: Sequence[tuple[Key, Sums]]


async def submit(
    parts: Settlement, tx: Connection, principal: Principal, submission: Submission, now: datetime
) -> Report:
    """A facility's statement of a month or a day, or a new version of it, compared with the books at once.

    Raises Refused.
    """
    period, totals = submission.period, submission.totals
    if wrong := _check(parts, submission, shanghai_day(now)):
        raise Refused(*wrong)
    care_region = await bill_store.facility_region(tx, principal.party)
    if care_region is None:
        raise Refused(errors.FACILITY_UNKNOWN(facility=principal.party))
    care_region = parts.regions.current(care_region)
    await refuse_archived_period(tx, period)
    month = await _seize(tx, principal.party, period)
    if month.confirmed:
        raise Refused(errors.MONTH_CONFIRMED(pointer="/period", period=period))
    if submission.day is not None and month.statement_id is not None:
        raise Refused(errors.MONTH_STATED(pointer="/day", period=period))
    new = New(new_id(), principal.party, care_region, period, submission.day)
    statement = await add_version(tx, new, totals, principal, now)
    if statement.scope is Scope.MONTH:
        await take_month_step(tx, principal.party, period, Step.SUBMIT, Actor.of(principal), now)
        await announce_now(tx, [_submitted(statement, totals)], now)
    return await report(tx, await _compare_again(parts, tx, statement, Actor.of(principal), now, forced=True))


def _check(parts: Settlement, submission: Submission, today: date) -> list[Refusal]:
    """Everything that keeps a facility from stating this today."""
    if submission.day is None:
        early = parts.settings.statement_before_month_end
        wrong = check_period(submission.period, today, before_month_end=early)
    else:
        wrong = check_day(submission.day, submission.period, today)
    wrong += check_totals(submission.totals)
    return wrong + [
        errors.REGION_UNKNOWN(pointer=f"/totals/{number}/home_region", region=key.home_region)
        for number, (key, _) in enumerate(submission.totals)
        if key.home_region not in parts.regions
    ]


async def _seize(tx: Connection, facility_code: str, period: str) -> Month:
    """A facility's month, locked against booking and every other statement or confirmation."""
    return (await bill_store.lock_months(tx, [(facility_code, period)], alone=True))[0]


async def add_version(
    tx: Connection, new: New, totals: Sequence[tuple[Key, Sums]], principal: Principal, now: datetime
) -> Statement:
    """A new version with its totals, not compared yet."""
    statement = await store.add_version(tx, new, subject=principal.subject, at=now, on=shanghai_day(now))
    await store.save_comparisons(tx, statement.statement_id, compare(dict(totals), {}))
    return statement


def _submitted(statement: Statement, totals: Sequence[tuple[Key, Sums]]) -> StatementSubmitted:
    return StatementSubmitted(
        statement_id=statement.statement_id,
        facility_code=statement.party,
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
    """A statement of the caller's or of its area's, locked. Raises Refused."""
    statement = await locked_statement(tx, statement_id)
    if principal.party not in (statement.party, statement.care_region):
        raise Refused(NOT_YOUR_AREA(party=statement.party))
    return statement


async def locked_statement(tx: Connection, statement_id: str) -> Statement:
    """A statement as it stands once its month is locked, or, an agency's, it itself. Raises Refused."""
    known = await store.statement(tx, statement_id)
    if known is None:
        raise Refused(errors.STATEMENT_UNKNOWN())
    if known.scope is Scope.CHAIN:
        return await store.lock_statement(tx, statement_id) or known
    await _seize(tx, known.party, known.period)
    return await store.statement(tx, statement_id) or known


async def match(parts: Settlement, principal: Principal, statement_id: str, now: datetime) -> Report:
    """Match a statement with the books, bill by bill where its totals differ; one that is matched stays so.

    Raises Refused when lines are missing or do not add up, and while another match of it runs, which may take longer
    than anybody waits for a lock.
    """
    async with parts.database.transaction() as tx:
        if not await store.try_lock_match(tx, statement_id):
            raise Refused(errors.MATCH_RUNNING())
        statement = await _own(tx, principal, statement_id)
        if statement.state is StatementState.REPLACED:
            raise Refused(errors.STATEMENT_REPLACED())
        if statement.state is not StatementState.MATCHED:
            await refuse_archived_period(tx, statement.period)
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
    comparisons = await store.comparisons(tx, statement.statement_id)
    stated = {c.key: c.stated for c in comparisons}
    if not _stands(statement):
        comparisons = compare(stated, await store.books_totals(tx, statement))
        await store.save_comparisons(tx, statement.statement_id, comparisons)
    if statement.scope is Scope.MONTH:
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
    state = await _renew_items(parts, tx, statement, match_no, now)
    return await _conclude(tx, statement, state, match_no, actor, now)


async def _renew_items(
    parts: Settlement, tx: Connection, statement: Statement, match_no: int, now: datetime
) -> StatementState:
    """The items of what a match found, and their announcement; whether anything is open."""
    if await _is_over(tx, statement):  # its month's statement has taken over its items
        found = await matching.differs(tx, statement.statement_id, match_no)
        return StatementState.DIFFERENCES if found else StatementState.MATCHED
    today = shanghai_day(now)
    terms = (await terms_at(parts, tx, [statement.care_region], today))[statement.care_region]
    clock = (today, terms.item_working_days)
    if not await item_store.renew(tx, statement, match_no, clock, parts.calendar.add(*clock), now):
        return StatementState.MATCHED
    if statement.scope is Scope.CHAIN:
        await _announce_chain(tx, statement, match_no, now)
    else:
        await _announce_differences(parts, tx, statement, match_no, now)
    return StatementState.DIFFERENCES


def _stands(statement: Statement) -> bool:
    """Whether the totals of the last comparison are those of the books still, which a million bills take a second to
    add up again. Who changes the books of a month reopens its statement at once; of a day or a chain it does so later.
    """
    return statement.scope is Scope.MONTH and statement.match_no > 0 and statement.state is not StatementState.REOPENED


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
    terms = await terms_at(parts, tx, [statement.care_region], statement.submitted_on)
    classes = await matching.match(
        tx,
        statement,
        match_no,
        file,
        counts=(sum(c.books.bill_count for c in comparisons), sum(sums.bill_count for sums in lines.values())),
        tolerance_fen=terms[statement.care_region].tolerance_fen,
    )
    if not adds_up(classes, (c.books for c in comparisons), lines.values()):
        raise RuntimeError(f"the classes of match {match_no} of {statement.statement_id} do not add up to its sides")


_STEPS = {StatementState.MATCHED: Step.MATCH, StatementState.DIFFERENCES: Step.DIFFER}


async def _conclude(
    tx: Connection, statement: Statement, state: StatementState, match_no: int, actor: Actor, now: datetime
) -> Statement:
    """Write the outcome of a comparison to the statement and to the cases of its month."""
    await store.conclude(tx, statement.statement_id, state, match_no)
    if state in _STEPS and statement.scope is Scope.MONTH:
        await take_month_step(tx, statement.party, statement.period, _STEPS[state], actor, now)
    return replace(statement, state=state, match_no=match_no)


async def _is_over(tx: Connection, statement: Statement) -> bool:
    """Whether a day's month is stated, so that the items of its bills are the month's."""
    if statement.scope is not Scope.DAY:
        return False
    return (await _seize(tx, statement.party, statement.period)).statement_id is not None


async def _set_dues(parts: Settlement, tx: Connection, statement: Statement) -> None:
    """Every party of every case of the month has so many working days from the statement on (15 in seed 000)."""
    found = await case_store.cases_of_month(tx, statement.party, statement.period)
    cases = (await case_store.cases(tx, [case_id for case_id, _ in found])).values()
    since = statement.submitted_on
    terms = await terms_at(parts, tx, (code for case in cases for code in case.chain), since)
    dues = [
        due_by_terms(
            parts.calendar,
            case.case_id,
            DueKind.RECONCILIATION,
            party,
            since=since,
            terms=terms[region_of(case, party)],
        )
        for case in cases
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
            facility_code=statement.party,
            period=statement.period,
            day=statement.day,
            difference_class=found.difference_class,
            facility_settlement_no=found.facility_settlement_no,
            books_fund_fen=found.books_fund_fen,
            statement_fund_fen=found.stated_fund_fen,
        )
        for found in await store.new_differences(tx, statement.statement_id, match_no, limit)
    ]
    await announce_now(tx, events, now)


async def _announce_chain(tx: Connection, statement: Statement, match_no: int, now: datetime) -> None:
    """Tell the agencies of a chain how many bills are in which class, unless that is as before."""
    classes = await matching.classes(tx, statement.statement_id, match_no)
    if classes == await matching.classes(tx, statement.statement_id, match_no - 1):
        return
    event = AgencyBooksDiffer(
        statement_id=statement.statement_id,
        party=statement.party,
        period=statement.period,
        care_region=statement.care_region,
        home_region=statement.home_region or "",
        match_no=match_no,
        classes=tuple(
            DifferenceCount(
                difference_class=c.difference_class,
                books_bill_count=c.books.bill_count,
                stated_bill_count=c.stated.bill_count,
            )
            for c in classes
        ),
    )
    await announce_now(tx, [event], now)


async def compare_first(parts: Settlement, principal: Principal, statement_id: str, now: datetime) -> Report:
    """Compare an agency's new statement by its totals.

    A bill that is being booked meanwhile, by somebody who does not know of the statement yet, is looked for once more.
    """
    async with parts.database.transaction() as tx:
        statement = await locked_statement(tx, statement_id)
        await store.touch_itself(tx, statement_id)
        if statement.state is StatementState.REOPENED:
            statement = await _compare_again(parts, tx, statement, Actor.of(principal), now, forced=True)
        return await report(tx, statement)


async def propose_resolution(
    parts: Settlement, principal: Principal, statement_id: str, reason: str, now: datetime, match_no: int | None = None
) -> Report:
    """Propose that the books stand in spite of the differences, those of the match that was seen. Raises Refused."""
    async with parts.database.transaction() as tx:
        statement, proposed = await _to_resolve(tx, principal, statement_id)
        if match_no not in (None, statement.match_no):
            raise Refused(errors.NUMBERS_CHANGED(pointer="/match_no"))
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
