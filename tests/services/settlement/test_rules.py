"""The rules of settlement, as tables and as properties."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement import errors
from services.settlement.rules import cases, dues, ledger, statements
from services.settlement.rules.bills import Bill, check_bill, next_month
from services.settlement.rules.cases import Case, HopKind, HopState, IllegalStep, Payment, State, Step
from services.settlement.rules.ledger import Account, AccountKind, Entry, Share
from services.settlement.rules.statements import Key, StatementState, Sums
from shared.workdays import WorkCalendar
from tests.services.settlement.world import (
    CHAIN,
    HENAN,
    HUAIYANG,
    NANYANG,
    REGIONS,
    WANCHENG,
    XIANGCHENG,
    ZHOUKOU,
    noon,
)

FACILITY = "H41160300001"
COUNTIES = [region.code for region in REGIONS if region.level == "county"]
AGENCIES = [region.code for region in REGIONS]
AMOUNT = st.integers(-(10**12), 10**12)


def sums_by_book(entries: list[Entry]) -> dict[str, int]:
    """What each book's lines come to."""
    sums: dict[str, int] = defaultdict(int)
    for entry in entries:
        sums[entry.book] += entry.amount_fen
    return dict(sums)


def lines(entries: list[Entry]) -> list[tuple[str, str, str, int]]:
    """Lines as an accountant writes them: book, account, of whom or what, amount."""
    return [
        (e.book, str(e.account.kind), e.account.counterparty or e.account.fund_pay_type, e.amount_fen) for e in entries
    ]


# The ledger


def test_bill_of_another_county_is_in_four_books() -> None:
    shares = [Share("390100", 70_000), Share("390200", 10_000)]

    booked = ledger.entries(ledger.bill_transfers(FACILITY, CHAIN, shares, 5_000))

    assert lines(booked) == [
        (FACILITY, "receivable", HUAIYANG, 85_000),
        (FACILITY, "medical_income", "", -85_000),
        (HUAIYANG, "receivable", ZHOUKOU, 85_000),
        (HUAIYANG, "payable", FACILITY, -85_000),
        (ZHOUKOU, "receivable", XIANGCHENG, 85_000),
        (ZHOUKOU, "payable", HUAIYANG, -85_000),
        (XIANGCHENG, "fund_expenditure", "390100", 70_000),
        (XIANGCHENG, "payable", ZHOUKOU, -85_000),
        (XIANGCHENG, "fund_expenditure", "390200", 10_000),
        (XIANGCHENG, "personal_account", "", 5_000),
    ]


def test_local_bill_is_the_short_case_of_the_same() -> None:
    booked = ledger.entries(ledger.bill_transfers(FACILITY, (HUAIYANG,), [Share("390100", 80_000)], 0))

    assert lines(booked) == [
        (FACILITY, "receivable", HUAIYANG, 80_000),
        (FACILITY, "medical_income", "", -80_000),
        (HUAIYANG, "fund_expenditure", "390100", 80_000),
        (HUAIYANG, "payable", FACILITY, -80_000),
    ]


def test_bill_the_patient_paid_alone_is_in_no_book() -> None:
    assert ledger.entries(ledger.bill_transfers(FACILITY, CHAIN, [], 0)) == []


@given(
    care=st.sampled_from(COUNTIES),
    home=st.sampled_from(AGENCIES),
    shares=st.lists(st.builds(Share, st.sampled_from(["310100", "390100", "390200"]), AMOUNT), max_size=4),
    account_fen=AMOUNT,
)
def test_any_bill_balances_in_every_book_of_any_chain(
    care: str, home: str, shares: list[Share], account_fen: int
) -> None:
    chain = REGIONS.chain(care, home)
    payable_fen = sum(share.amount_fen for share in shares) + account_fen

    booked = ledger.entries(ledger.bill_transfers(FACILITY, chain, shares, account_fen))

    assert set(sums_by_book(booked).values()) <= {0}
    assert all(entry.amount_fen for entry in booked)
    if payable_fen:
        assert set(sums_by_book(booked)) == {FACILITY, *chain}
    by_account = {(e.book, e.account): e.amount_fen for e in booked}
    for creditor, debtor in zip((FACILITY, *chain), chain, strict=False):
        owed = by_account.get((creditor, ledger.receivable(debtor)), 0)
        owing = by_account.get((debtor, ledger.payable(creditor)), 0)
        assert owed == -owing == payable_fen


@given(care=st.sampled_from(COUNTIES), home=st.sampled_from(AGENCIES), fund_fen=AMOUNT, account_fen=AMOUNT)
def test_bill_and_reversal_leave_nothing(care: str, home: str, fund_fen: int, account_fen: int) -> None:
    chain = REGIONS.chain(care, home)
    both = ledger.bill_transfers(FACILITY, chain, [Share("390100", fund_fen)], account_fen)
    both += ledger.bill_transfers(FACILITY, chain, [Share("390100", -fund_fen)], -account_fen)

    assert ledger.entries(both) == []


@given(care=st.sampled_from(COUNTIES), home=st.sampled_from(AGENCIES), fund_fen=AMOUNT, account_fen=AMOUNT)
def test_payments_along_the_chain_settle_every_debt(care: str, home: str, fund_fen: int, account_fen: int) -> None:
    """Only what home bears, what the facility earned, and the money that moved remain."""
    case = case_of(care, home, payable_fen=fund_fen + account_fen)
    transfers = ledger.bill_transfers(FACILITY, case.chain, [Share("390100", fund_fen)], account_fen)
    amount_fen = fund_fen + account_fen
    for creditor, debtor in zip(case.parties, case.parties[1:], strict=False):
        transfers += ledger.payment_transfers(creditor, debtor, amount_fen)

    left = {(e.book, e.account): e.amount_fen for e in ledger.entries(transfers)}

    assert not {account.kind for _, account in left} & {AccountKind.RECEIVABLE, AccountKind.PAYABLE}
    assert left.get((FACILITY, ledger.BANK), 0) == amount_fen
    assert left.get((case.chain[-1], ledger.BANK), 0) == -amount_fen
    assert all(left.get((agency, ledger.BANK), 0) == 0 for agency in case.chain[:-1])


def test_entries_of_one_account_are_one_line() -> None:
    account = Account(AccountKind.BANK)
    transfer = ledger.Transfer("b", account, ledger.payable("c"), 3)

    assert [e.amount_fen for e in ledger.entries([transfer, transfer])] == [6, -6]


# What can be booked


def a_bill(**changes: object) -> Bill:
    standard: dict[str, object] = {
        "settlement_id": "s",
        "visit_id": "v",
        "person_id": "p",
        "facility_code": FACILITY,
        "facility_settlement_no": "n",
        "care_region": HUAIYANG,
        "home_region": XIANGCHENG,
        "insutype": "390",
        "med_type": "21",
        "clr_type": "21",
        "settled_at": noon("2026-10"),
        "total_fen": 100,
        "fund_fen": 60,
        "account_fen": 10,
        "cash_fen": 25,
        "hospital_fen": 5,
        "shares": [Share("390100", 60)],
        "reverses_settlement_id": None,
        "traceparent": None,
    }
    return Bill(**{**standard, **changes})  # type: ignore[arg-type]


def test_bill_in_order_can_be_booked() -> None:
    assert check_bill(a_bill(), REGIONS.__contains__) == []


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"total_fen": 101}, errors.BILL_SUMS_WRONG, "/total_fen"),
        ({"hospital_fen": 6}, errors.BILL_SUMS_WRONG, "/total_fen"),
        ({"shares": []}, errors.BILL_SUMS_WRONG, "/fund_fen"),
        ({"care_region": "999999"}, errors.REGION_UNKNOWN, "/care_region"),
        ({"home_region": "411699"}, errors.REGION_UNKNOWN, "/home_region"),
    ],
)
def test_bill_that_cannot_be_booked(change: dict[str, object], code: object, pointer: str) -> None:
    (wrong,) = check_bill(a_bill(**change), REGIONS.__contains__)

    assert (wrong.kind, wrong.pointer) == (code, pointer)


def test_everything_wrong_with_a_bill_is_named_at_once() -> None:
    bill = a_bill(total_fen=1, shares=[], care_region="999999", home_region="999998")

    assert len(check_bill(bill, REGIONS.__contains__)) == 4


def test_month_is_the_one_in_shanghai() -> None:
    last_second_of_october = a_bill(settled_at=noon("2026-11", 1) - timedelta(hours=12, seconds=1))

    assert last_second_of_october.settled_month == "2026-10"


@pytest.mark.parametrize(("month", "following"), [("2026-01", "2026-02"), ("2026-12", "2027-01")])
def test_next_month(month: str, following: str) -> None:
    assert next_month(month) == following


# Cases


def case_of(
    care: str = HUAIYANG, home: str = XIANGCHENG, *, payable_fen: int = 780, state: State = State.MATCHED
) -> Case:
    """A matched case nobody has confirmed."""
    return Case(
        case_id="c",
        facility_code=FACILITY,
        period="2026-10",
        care_region=care,
        home_region=home,
        clearing_region=REGIONS.clearing(care, home),
        chain=REGIONS.chain(care, home),
        state=state,
        bill_count=1,
        total_fen=1000,
        fund_fen=payable_fen,
        account_fen=0,
        payable_fen=payable_fen,
        numbers_hash="h",
    )


def confirmed(case: Case) -> Case:
    """The case after all have confirmed."""
    for party in case.parties:
        outcome = cases.confirm(case, party, "h")
        assert isinstance(outcome, Case)
        case = outcome
    return case


def test_only_the_steps_of_the_table_are_possible() -> None:
    """The life of a case, drawn: every other step is an error."""
    drawn = """
        open        submit            submitted
        open        reopen            submitted
        submitted   submit            submitted
        submitted   reopen            submitted
        submitted   differ            differences
        submitted   match             matched
        differences submit            submitted
        differences reopen            submitted
        differences differ            differences
        differences match             matched
        matched     submit            submitted
        matched     reopen            submitted
        matched     reconcile         confirmed
        matched     close             closed
        confirmed   pay_then_remit    remitting
        confirmed   pay_then_disburse disbursing
        confirmed   close             closed
        remitting   pay_then_remit    remitting
        remitting   pay_then_disburse disbursing
        remitting   close             closed
        disbursing  pay_then_disburse disbursing
        disbursing  close             closed
    """
    expected = {tuple(line.split()) for line in drawn.strip().splitlines()}

    possible = set()
    for state in State:
        for step in Step:
            try:
                possible.add((str(state), str(step), str(cases.take_step(state, step))))
            except IllegalStep:
                continue

    assert possible == expected


def test_last_confirmation_reconciles_in_any_order() -> None:
    case = case_of()
    for party in reversed(case.parties):
        assert case.state is State.MATCHED
        outcome = cases.confirm(case, party, "h")
        assert isinstance(outcome, Case)
        case = outcome

    assert case.state is State.CONFIRMED
    assert [hop.state for hop in case.hops] == [HopState.PAYABLE, HopState.WAITING, HopState.WAITING]


def test_confirming_again_changes_nothing() -> None:
    once = cases.confirm(case_of(), HUAIYANG, "h")
    assert isinstance(once, Case)

    assert cases.confirm(once, HUAIYANG, "h") == once
    assert cases.confirm(confirmed(case_of()), HUAIYANG, "h") == confirmed(case_of())


@pytest.mark.parametrize(
    ("case", "party", "seen", "code"),
    [
        (case_of(), WANCHENG, "h", errors.NOT_IN_CHAIN),
        (case_of(), HENAN, "h", errors.NOT_IN_CHAIN),
        (case_of(), HUAIYANG, "other", errors.NUMBERS_CHANGED),
        (confirmed(case_of()), HUAIYANG, "other", errors.NUMBERS_CHANGED),
        (case_of(state=State.OPEN), HUAIYANG, "h", errors.CASE_NOT_MATCHED),
        (case_of(state=State.SUBMITTED), HUAIYANG, "h", errors.CASE_NOT_MATCHED),
        (case_of(state=State.DIFFERENCES), HUAIYANG, "h", errors.CASE_NOT_MATCHED),
    ],
)
def test_confirmations_refused(case: Case, party: str, seen: str, code: object) -> None:
    outcome = cases.confirm(case, party, seen)

    assert isinstance(outcome, list)
    assert [refusal.kind for refusal in outcome] == [code]


def test_case_with_nothing_owed_closes_at_its_last_confirmation() -> None:
    case = confirmed(case_of(payable_fen=0))

    assert (case.state, case.hops) == (State.CLOSED, ())


@pytest.mark.parametrize(
    ("care", "home", "payable_fen", "hops"),
    [
        (HUAIYANG, HUAIYANG, 780, [(HUAIYANG, FACILITY, "disbursement")]),
        (HUAIYANG, HUAIYANG, -780, [(FACILITY, HUAIYANG, "remittance")]),
        (
            HUAIYANG,
            XIANGCHENG,
            780,
            [
                (XIANGCHENG, ZHOUKOU, "remittance"),
                (ZHOUKOU, HUAIYANG, "disbursement"),
                (HUAIYANG, FACILITY, "disbursement"),
            ],
        ),
        (
            HUAIYANG,
            XIANGCHENG,
            -780,
            [
                (FACILITY, HUAIYANG, "remittance"),
                (HUAIYANG, ZHOUKOU, "remittance"),
                (ZHOUKOU, XIANGCHENG, "disbursement"),
            ],
        ),
        (HUAIYANG, ZHOUKOU, 780, [(ZHOUKOU, HUAIYANG, "disbursement"), (HUAIYANG, FACILITY, "disbursement")]),
        (
            HUAIYANG,
            WANCHENG,
            780,
            [
                (WANCHENG, NANYANG, "remittance"),
                (NANYANG, HENAN, "remittance"),
                (HENAN, ZHOUKOU, "disbursement"),
                (ZHOUKOU, HUAIYANG, "disbursement"),
                (HUAIYANG, FACILITY, "disbursement"),
            ],
        ),
    ],
)
def test_hops_follow_the_tree(care: str, home: str, payable_fen: int, hops: list[tuple[str, str, str]]) -> None:
    found = cases.hops_of(case_of(care, home, payable_fen=payable_fen))

    assert [(hop.payer, hop.payee, str(hop.kind)) for hop in found] == hops
    assert {hop.amount_fen for hop in found} == {780}


@given(care=st.sampled_from(COUNTIES), home=st.sampled_from(AGENCIES), payable_fen=AMOUNT.filter(bool))
def test_hops_link_home_and_facility_with_one_amount(care: str, home: str, payable_fen: int) -> None:
    case = case_of(care, home, payable_fen=payable_fen)
    hops = cases.hops_of(case)

    assert [hop.payee for hop in hops[:-1]] == [hop.payer for hop in hops[1:]]
    ends = (case.home_region, FACILITY) if payable_fen > 0 else (FACILITY, case.home_region)
    assert (hops[0].payer, hops[-1].payee) == ends
    assert {hop.amount_fen for hop in hops} == {abs(payable_fen)}
    kinds = [hop.kind for hop in hops]
    assert kinds == sorted(kinds, key=lambda kind: kind is HopKind.DISBURSEMENT), "up first, then down"


def paid(case: Case, hop_no: int) -> Case:
    """The case after one hop was proposed by one person and approved by another."""
    hop = case.hops[hop_no - 1]
    payment = Payment("p", case.case_id, hop_no, hop.payer, hop.payee, hop.amount_fen, "one")
    outcome = cases.approve_payment(payment, case, hop.payer, "two")
    assert isinstance(outcome, Case)
    return outcome


def test_money_passes_hop_by_hop() -> None:
    case = confirmed(case_of(HUAIYANG, WANCHENG))
    states = [case.state]
    for hop_no in range(1, 6):
        assert [hop.state for hop in case.hops[hop_no - 1 :]] == [HopState.PAYABLE] + [HopState.WAITING] * (5 - hop_no)
        case = paid(case, hop_no)
        states.append(case.state)

    assert states == [
        State.CONFIRMED,
        State.REMITTING,
        State.DISBURSING,
        State.DISBURSING,
        State.DISBURSING,
        State.CLOSED,
    ]


def with_hop(case: Case, hop_no: int, state: HopState) -> Case:
    """The case with one hop in another state."""
    hops = tuple(replace(hop, state=state) if hop.hop_no == hop_no else hop for hop in case.hops)
    return replace(case, hops=hops)


@pytest.mark.parametrize(
    ("case", "party", "code"),
    [
        (case_of(), XIANGCHENG, errors.CASE_NOT_RECONCILED),
        (confirmed(case_of()), NANYANG, errors.NOT_IN_CHAIN),
        (confirmed(case_of()), FACILITY, errors.NOT_THE_PAYER),
        (confirmed(case_of()), ZHOUKOU, errors.NOT_RECEIVED_YET),
        (confirmed(case_of()), HUAIYANG, errors.NOT_RECEIVED_YET),
        (with_hop(confirmed(case_of()), 1, HopState.PROPOSED), XIANGCHENG, errors.PAYMENT_EXISTS),
        (paid(confirmed(case_of()), 1), XIANGCHENG, errors.PAYMENT_DONE),
    ],
)
def test_payments_refused(case: Case, party: str, code: object) -> None:
    outcome = cases.propose_payment(case, party)

    assert isinstance(outcome, list)
    assert [refusal.kind for refusal in outcome] == [code]


def test_approval_names_everything_against_it() -> None:
    case = confirmed(case_of())
    payment = Payment("p", "c", 1, XIANGCHENG, ZHOUKOU, 780, "one", approved_by="two")

    outcome = cases.approve_payment(payment, case, ZHOUKOU, "one")

    assert isinstance(outcome, list)
    assert [r.kind for r in outcome] == [errors.NOT_THE_PAYER, errors.SAME_PERSON, errors.PAYMENT_DONE]


# Statements

OCTOBER_31, NOVEMBER_1 = date(2026, 10, 31), date(2026, 11, 1)


@pytest.mark.parametrize(
    ("today", "early_allowed", "codes"),
    [
        (date(2026, 9, 30), False, [errors.MONTH_NOT_BEGUN]),
        (date(2026, 9, 30), True, [errors.MONTH_NOT_BEGUN]),
        (date(2026, 10, 1), False, [errors.MONTH_NOT_OVER]),
        (date(2026, 10, 1), True, []),
        (OCTOBER_31, False, [errors.MONTH_NOT_OVER]),
        (NOVEMBER_1, False, []),
    ],
)
def test_month_is_stated_when_it_is_over(today: date, early_allowed: bool, codes: list[object]) -> None:
    wrong = statements.check_period("2026-10", today, before_month_end=early_allowed)

    assert [refusal.kind for refusal in wrong] == codes


KEY = Key(XIANGCHENG, "390", "21", False)


def test_totals_are_compared_group_by_group() -> None:
    stated = {KEY: Sums(10, 8, 0, 1), KEY._replace(refund=True): Sums(-10, -8, 0, 1)}
    booked = {KEY: Sums(10, 8, 0, 1), KEY._replace(insutype="310"): Sums(5, 5, 0, 1)}

    found = statements.compare(stated, booked)

    assert [(c.key.insutype, c.key.refund, c.equal) for c in found] == [
        ("310", False, False),
        ("390", False, True),
        ("390", True, False),
    ]


@pytest.mark.parametrize("name", ["total_fen", "fund_fen", "account_fen", "bill_count"])
def test_each_sum_counts(name: str) -> None:
    sums = Sums(10, 8, 1, 1)
    changed = sums._replace(**{name: 99})

    assert not statements.compare({KEY: sums}, {KEY: changed})[0].equal


def test_repeated_groups_are_named() -> None:
    wrong = statements.check_totals([(KEY, Sums()), (KEY._replace(refund=True), Sums()), (KEY, Sums())])

    assert [(r.kind, r.pointer) for r in wrong] == [(errors.TOTAL_REPEATED, "/totals/2")]


def test_lines_that_do_not_add_up_are_named_sum_by_sum() -> None:
    stated = {KEY: Sums(10, 8, 0, 1), KEY._replace(refund=True): Sums(-10, -8, 0, 1)}

    assert statements.check_lines_sum(stated, {False: Sums(10, 8, 0, 1), True: Sums(-10, -8, 0, 1)}) == []
    wrong = statements.check_lines_sum(stated, {False: Sums(10, 9, 0, 2)})
    assert [r.params["what"] for r in wrong] == [
        "fund_fen, settlements",
        "bill_count, settlements",
        "total_fen, refunds",
        "fund_fen, refunds",
        "bill_count, refunds",
    ]


@pytest.mark.parametrize(
    ("state", "lines", "resolution"),
    [
        (StatementState.DETAILS_WANTED, [], []),
        (StatementState.DIFFERENCES, [], []),
        (StatementState.REOPENED, [], [errors.NOTHING_TO_RESOLVE]),
        (StatementState.MATCHED, [errors.STATEMENT_MATCHED], [errors.NOTHING_TO_RESOLVE]),
        (StatementState.REPLACED, [errors.STATEMENT_REPLACED], [errors.STATEMENT_REPLACED]),
    ],
)
def test_what_a_statement_takes(state: StatementState, lines: list[object], resolution: list[object]) -> None:
    assert [r.kind for r in statements.check_lines_wanted(state)] == lines
    assert [r.kind for r in statements.check_resolvable(state)] == resolution


# Dues

CALENDAR = WorkCalendar()


@given(
    today=st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    distance=st.integers(-12, 12),
    offset=st.integers(-60, 60),
)
def test_distance_is_reached_exactly_up_to_its_day(today: date, distance: int, offset: int) -> None:
    due_on = today + timedelta(days=offset)

    reached = due_on <= dues.reached_until(CALENDAR, today, distance)

    assert reached == (CALENDAR.between(today, due_on) <= distance)


def test_dues_beyond_the_published_calendar_are_recomputed_when_it_is_published() -> None:
    due = dues.make_due(CALENDAR, "c", dues.DueKind.RECONCILIATION, HUAIYANG, since=date(2026, 12, 20), working_days=15)
    assert due.provisional
    new_year = {date(2027, 1, 1): False}
    published = WorkCalendar(overrides=new_year, published_years=[2027])

    ((since, working_days, due_on, provisional),) = dues.recompute(published, [(due.since, due.working_days)])

    assert (since, working_days, provisional) == (due.since, due.working_days, False)
    assert due_on > due.due_on
