"""A region is merged while a month is open: what was begun goes on under its code, what is new is its successor's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from services.settlement.config import SettlementSettings
from services.settlement.rules.cases import Case, State
from services.settlement.schemas.statements import TotalBody
from services.settlement.store import bills
from services.settlement.store import cases as case_store
from services.settlement.use_cases.agencies import AgencySubmission
from services.settlement.use_cases.agencies import submit as submit_agency
from services.settlement.use_cases.confirmations import confirm_cases
from services.settlement.use_cases.parts import Settlement, sight_of
from services.settlement.use_cases.payments import approve, propose
from services.settlement.use_cases.statements import Submission, submit
from shared.auth import Principal, Role
from shared.events.claims import DischargeSettled, SettlementReversed
from shared.regions import RegionTree
from shared.workdays import WorkCalendar
from tests.services.settlement.world import HUAIYANG, REGIONS, XIANGCHENG, ZHOUKOU, Books, Hospital, totals_of

FORMER, SUCCESSOR = XIANGCHENG, "411625"
"""项城市 becomes a part of 郸城县: made up."""
MERGED = RegionTree(dataclasses.replace(r, successor=SUCCESSOR) if r.code == FORMER else r for r in REGIONS)
NOW = datetime.now(UTC)


@pytest.fixture
def after(books: Books) -> Books:
    """The books once the regions were merged."""
    return Books(books.database, books.ledger_key, MERGED)


@pytest.fixture
def parts(books: Books) -> Settlement:
    return Settlement(books.database, MERGED, SettlementSettings(), WorkCalendar(), books.ledger_key)


async def cases(books: Books, hospital: Hospital) -> dict[str, Case]:
    """The hospital's cases, by the code of their home region."""
    found = await books.rows("SELECT case_id FROM settlement_case WHERE facility_code = $1", hospital.code)
    async with books.database.read() as reader:
        known = await case_store.cases(reader, [row["case_id"] for row in found])
    return {case.home_region: case for case in known.values()}


async def state(parts: Settlement, hospital: Hospital, stated: Sequence[DischargeSettled | SettlementReversed]) -> str:
    """The hospital's statement of its month by totals: what became of it."""
    totals = [TotalBody.model_validate(group).group() for group in totals_of(stated)]
    his = Principal("his-1", Role.FACILITY, hospital.code)
    async with parts.database.transaction() as tx:
        report = await submit(parts, tx, his, Submission(hospital.month, None, totals), NOW)
    return str(report.statement.state)


async def confirm_by_all(parts: Settlement, case: Case) -> State:
    """Every party of a case confirms, under the code the case knows it by."""
    outcome: object = None
    for party in case.parties:
        role = Role.FACILITY if party == case.facility_code else Role.FINANCE
        outcomes = await confirm_cases(
            parts, Principal("one", role, party), {case.case_id: case.numbers_hash or ""}, NOW
        )
        outcome = outcomes[case.case_id]
    assert isinstance(outcome, Case), outcome
    return outcome.state


async def pay(parts: Settlement, case: Case) -> State:
    """Every hop of a case is paid."""
    state = case.state
    for party in reversed(case.parties[1:]):
        one, other = (Principal(name, Role.FINANCE, party) for name in ("one", "other"))
        async with parts.database.transaction() as tx:
            proposed = (await propose(parts, tx, one, [case.case_id], NOW))[case.case_id]
            assert not isinstance(proposed, list), proposed
            paid = (await approve(parts, tx, other, [proposed.payment_id], NOW))[proposed.payment_id]
            assert not isinstance(paid, list), paid
            state = paid[1].state
    return state


async def test_open_cases_go_on_and_new_bills_go_to_the_successor(
    books: Books, after: Books, parts: Settlement, hospital: Hospital
) -> None:
    before, new = hospital.bill(), hospital.bill()
    await books.hear(before)
    await after.hear(new)

    found = await cases(books, hospital)
    assert {home: case.chain for home, case in found.items()} == {
        FORMER: (HUAIYANG, ZHOUKOU, FORMER),
        SUCCESSOR: (HUAIYANG, ZHOUKOU, SUCCESSOR),
    }
    renamed = new.model_copy(update={"home_region": SUCCESSOR})
    assert await state(parts, hospital, [before, renamed]) == "matched"
    for case in (await cases(books, hospital)).values():
        assert await confirm_by_all(parts, case) is State.CONFIRMED
    for case in (await cases(books, hospital)).values():
        assert await pay(parts, case) is State.CLOSED
    expenses = {book: fen for (book, kind, _), fen in (await books.balances(hospital)).items() if "fund" in kind}
    assert expenses == {FORMER: before.fund_fen, SUCCESSOR: new.fund_fen}


async def test_the_successor_sees_the_books_of_the_former_region(books: Books, hospital: Hospital) -> None:
    """By either code, which the tree keeps; the former region's people see no more than before."""
    await books.hear(hospital.bill())
    successor = sight_of(MERGED, Principal("one", Role.FINANCE, SUCCESSOR))
    former = sight_of(MERGED, Principal("one", Role.FINANCE, FORMER))
    (case,) = (await cases(books, hospital)).values()

    assert successor.sees_book(FORMER, FORMER)
    assert successor.sees(case.facility_code, case.chain)
    assert former.sees_book(FORMER, FORMER)
    assert not former.sees_book(SUCCESSOR, SUCCESSOR)
    assert set(former.areas) == {FORMER}


async def test_a_reversal_after_the_merger_is_the_successors(
    books: Books, after: Books, parts: Settlement, hospital: Hospital
) -> None:
    """What the former region was charged stays charged to it; the successor is credited. Both together owe nothing."""
    bill = hospital.bill()
    back = hospital.reversal(bill)
    await books.hear(bill)
    await after.hear(back)

    assert {home: case.numbers_hash for home, case in (await cases(books, hospital)).items()} == {
        FORMER: None,
        SUCCESSOR: None,
    }
    balances = await books.balances(hospital)
    assert balances[FORMER, "payable", ZHOUKOU] == -balances[SUCCESSOR, "payable", ZHOUKOU] == -85_000
    assert (hospital.code, "receivable", HUAIYANG) not in balances
    stated: list[DischargeSettled | SettlementReversed] = [bill, back.model_copy(update={"home_region": SUCCESSOR})]
    assert await state(parts, hospital, stated) == "matched"
    assert (await cases(books, hospital))[SUCCESSOR].payable_fen == -85_000


async def test_an_event_that_comes_again_after_the_merger_is_booked_once(
    books: Books, after: Books, hospital: Hospital
) -> None:
    bill = hospital.bill()
    await books.hear(bill)
    await after.hear(bill)
    rows = await books.rows("SELECT home_region FROM bill WHERE facility_code = $1", hospital.code)
    assert [row["home_region"] for row in rows] == [FORMER]


async def test_a_hospital_of_a_merged_county_states_to_the_successor(books: Books, parts: Settlement) -> None:
    hospital = Hospital(region=FORMER)
    await books.hear(hospital.changed())
    after = Books(books.database, books.ledger_key, MERGED)
    bill = hospital.bill(HUAIYANG)
    await after.hear(bill)
    assert await state(parts, hospital, [bill]) == "matched"
    care = await books.value("SELECT care_region FROM statement WHERE party = $1", hospital.code)
    assert care == SUCCESSOR
    async with books.database.read() as reader:
        assert await bills.facility_region(reader, hospital.code) == FORMER, "the copy is designation's"


async def test_partners_state_chains_under_the_codes_of_their_cases(
    books: Books, parts: Settlement, hospital: Hospital
) -> None:
    """The former region's system still states what was opened under its code."""
    await books.hear(hospital.bill())
    submission = AgencySubmission(hospital.month, HUAIYANG, FORMER, [])
    report = await submit_agency(parts, Principal("p", Role.PARTNER, FORMER), submission, NOW)
    assert sum(c.books.bill_count for c in report.comparisons) >= 1
    assert report.statement.home_region == FORMER
