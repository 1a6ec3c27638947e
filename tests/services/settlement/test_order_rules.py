"""Orders and payouts as rules: whatever the bank does, books and bank agree, and nothing settles twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.rules.ledger import BANK, Account, AccountKind, entries, payout_transfers, suspense_transfers
from services.settlement.rules.orders import (
    Debt,
    Effect,
    Order,
    OrderState,
    Purpose,
    Surprise,
    check_approval,
    check_repeat,
    check_review,
    contradicts,
    effect_of,
    is_rejected,
    outstanding,
    payout_effect_of,
    review_needed,
    state_after_debit,
    surprises,
)
from services.settlement.rules.payouts import (
    Document,
    Origin,
    Payout,
    PayoutState,
    Recipient,
    Timing,
    check_decision,
    check_new_card,
    check_order,
    check_papers,
    release_day,
)
from shared.workdays import WorkCalendar

ORDER = Order("O", Purpose.HOP, "P", "411381", "411300", 1000, OrderState.SENT, False, "a", "O", approved_by="b")


@given(st.integers(1, 10**12), st.lists(st.integers(-(10**12), 10**12), max_size=20))
def test_what_settles_and_what_stands_beside_is_what_the_bank_moved(amount_fen: int, changes: list[int]) -> None:
    """Any movements in any order: settled at most once, and bank = settled + suspense at every moment."""
    debt, bank, suspense, settled = Debt(amount_fen, 0, False), 0, 0, 0
    for change in changes:
        effect = effect_of(debt, change)
        bank += change
        suspense += effect.beside_fen
        settled += effect.settles
        debt = Debt(amount_fen, debt.paid_fen + change, debt.settled or effect.settles)
        assert bank == settled * amount_fen + suspense
        assert settled <= 1
        assert debt.paid_fen == bank
    assert bool(settled) == any(sum(changes[: n + 1]) >= amount_fen for n in range(len(changes)))


@given(st.integers(1, 10**6), st.lists(st.integers(-(10**6), 10**6), max_size=20))
def test_a_payout_is_paid_whenever_everything_is(amount_fen: int, changes: list[int]) -> None:
    paid, debt = 0, Debt(amount_fen, 0, False)
    for change in changes:
        effect = payout_effect_of(debt, change)
        assert effect == Effect(paid < amount_fen <= paid + change, change)
        paid += change
        debt = Debt(amount_fen, paid, False)


@given(st.integers(1, 10**12), st.integers(-(10**12), 10**12))
def test_never_more_is_ordered_again_than_is_owed(amount_fen: int, paid_fen: int) -> None:
    assert outstanding(Debt(amount_fen, paid_fen, False)) <= amount_fen


@pytest.mark.parametrize(
    ("paid_fen", "state"),
    [
        (1000, OrderState.SETTLED),
        (1001, OrderState.SETTLED),
        (999, OrderState.PARTLY_PAID),
        (0, OrderState.RETURNED),
        (-1, OrderState.RETURNED),
    ],
)
def test_states_by_what_was_paid(paid_fen: int, state: OrderState) -> None:
    assert state_after_debit(ORDER, paid_fen) is state


@pytest.mark.parametrize(
    ("state", "order_paid", "debt_paid", "change", "told"),
    [
        (OrderState.SENT, 0, 0, 1000, []),
        (OrderState.SENT, 0, 0, 600, [Surprise.PARTIAL]),
        (OrderState.PARTLY_PAID, 600, 600, 400, []),
        (OrderState.SENT, 0, 0, 1001, [Surprise.OVERPAID]),
        (OrderState.SETTLED, 1000, 1000, -1000, [Surprise.RETURNED]),
        (OrderState.REJECTED, 0, 0, 1000, [Surprise.LATE]),
        (OrderState.REJECTED, 0, 1000, 1000, [Surprise.LATE, Surprise.OVERPAID]),
        (OrderState.RETURNED, 0, 0, 400, [Surprise.LATE, Surprise.PARTIAL]),
    ],
)
def test_what_is_told(state: OrderState, order_paid: int, debt_paid: int, change: int, told: list[Surprise]) -> None:
    order = replace(ORDER, state=state, paid_fen=order_paid)
    assert surprises(order, Debt(1000, debt_paid, False), change) == told


@pytest.mark.parametrize(
    ("state", "paid_fen", "status", "rejects", "against"),
    [
        (OrderState.SENT, 0, "RJCT", True, False),
        (OrderState.SENT, 0, "ACSC", False, False),
        (OrderState.SENT, 0, "PDNG", False, False),
        (OrderState.SETTLED, 1000, "RJCT", False, True),
        (OrderState.PARTLY_PAID, 1, "CANC", False, True),
        (OrderState.REJECTED, 0, "RJCT", False, False),
    ],
)
def test_statuses(state: OrderState, paid_fen: int, status: str, rejects: bool, against: bool) -> None:
    order = replace(ORDER, state=state, paid_fen=paid_fen)
    assert (is_rejected(order, status), contradicts(order, status)) == (rejects, against)


P, R, A = OrderState.PROPOSED, OrderState.REVIEWED, OrderState.APPROVED
FRESH = replace(ORDER, state=P, approved_by=None)


@pytest.mark.parametrize(
    ("order", "subject", "codes"),
    [
        (FRESH, "b", []),
        (FRESH, "a", ["same-person"]),
        (replace(FRESH, debt_proposed_by="b"), "b", ["same-person"]),
        (replace(FRESH, review_needed=True), "b", ["review-missing"]),
        (replace(FRESH, review_needed=True, state=R, reviewed_by="b"), "b", ["same-person"]),
        (replace(FRESH, review_needed=True, state=R, reviewed_by="b"), "c", []),
        (replace(FRESH, state=A), "b", ["order-state"]),
        (replace(FRESH, payer="411330"), "a", ["not-payer-of-order", "same-person"]),
    ],
)
def test_who_approves(order: Order, subject: str, codes: list[str]) -> None:
    assert [r.code for r in check_approval(order, "411381", subject)] == [f"settlement.{code}" for code in codes]


@pytest.mark.parametrize(
    ("order", "subject", "codes"),
    [
        (replace(FRESH, review_needed=True), "b", []),
        (replace(FRESH, review_needed=True), "a", ["same-person"]),
        (FRESH, "b", ["review-not-needed"]),
        (replace(FRESH, review_needed=True, state=R), "b", ["order-state"]),
    ],
)
def test_who_reviews(order: Order, subject: str, codes: list[str]) -> None:
    assert [r.code for r in check_review(order, "411381", subject)] == [f"settlement.{code}" for code in codes]


@pytest.mark.parametrize("state", OrderState)
def test_what_can_be_repeated(state: OrderState) -> None:
    order, owed = replace(ORDER, state=state), Debt(1000, 0, False)
    wrong = check_repeat(order, owed, "411381", has_successor=False)
    assert (not wrong) == (state in {"rejected", "returned", "declined", "partly_paid"})
    done = check_repeat(replace(ORDER, state=OrderState.REJECTED), Debt(1, 1, True), "411381", has_successor=True)
    assert [r.code for r in done] == ["settlement.order-repeated", "settlement.nothing-outstanding"]


def test_review_is_needed_above_and_not_at_the_limit() -> None:
    assert (review_needed(1000, 1000), review_needed(1001, 1000)) == (False, True)


@given(st.integers(-(10**9), 10**9).filter(bool))
def test_transfers_balance_in_every_book(amount_fen: int) -> None:
    for transfers in (suspense_transfers("A", "B", amount_fen), payout_transfers("A", amount_fen)):
        lines = entries(transfers)
        for book in {line.book for line in lines}:
            assert sum(line.amount_fen for line in lines if line.book == book) == 0
    moved = {
        line.book: line.amount_fen for line in entries(suspense_transfers("A", "B", amount_fen)) if line.account == BANK
    }
    assert moved == {"A": -amount_fen, "B": amount_fen}
    assert Account(AccountKind.SUSPENSE, "B") in {line.account for line in entries(suspense_transfers("A", "B", 1))}


# Payouts


@pytest.mark.parametrize(
    ("timing", "reported", "released"),
    [
        (Timing.AT_ONCE, "2026-01-31", "2026-01-31"),
        (Timing.BATCH, "2026-03-01", "2026-04-27"),  # the 25th is a Saturday
        (Timing.BATCH, "2026-03-20", "2026-04-27"),
        (Timing.BATCH, "2026-03-21", "2026-05-25"),
        (Timing.BATCH, "2026-03-31", "2026-05-25"),
        (Timing.BATCH, "2025-11-21", "2026-01-26"),  # the 25th is a Sunday
        (Timing.BATCH, "2025-12-20", "2026-01-26"),
    ],
)
def test_when_a_payout_is_released(timing: Timing, reported: str, released: str) -> None:
    day = release_day(WorkCalendar(), timing, date.fromisoformat(reported), cut_day=20, pay_day=25)
    assert day == date.fromisoformat(released)


@given(st.dates(date(2020, 1, 1), date(2030, 12, 31)), st.integers(1, 31), st.integers(1, 28))
def test_a_batch_is_never_paid_in_the_month_it_was_reported(reported: date, cut_day: int, pay_day: int) -> None:
    calendar = WorkCalendar()
    day = release_day(calendar, Timing.BATCH, reported, cut_day=cut_day, pay_day=pay_day)
    assert (day.year, day.month) > (reported.year, reported.month)
    assert calendar.is_working(day)


ID, CARD, AGENT, HOLDER, WORD = (
    Document.IDENTITY_CARD,
    Document.BANK_CARD,
    Document.AGENT_IDENTITY_CARD,
    Document.HOLDER_IDENTITY_CARD,
    Document.AUTHORISATION,
)


@pytest.mark.parametrize(
    ("recipient", "papers", "agent", "missing"),
    [
        (Recipient.OWN_CARD, {ID, CARD}, None, []),
        (Recipient.OWN_CARD, {ID}, None, ["paper-missing"]),
        (Recipient.OWN_CARD, set(), None, ["paper-missing", "paper-missing"]),
        (Recipient.OWN_CARD, {ID, CARD}, "李四", ["agent-wrong"]),
        (Recipient.AGENT, {ID, CARD, AGENT}, "李四", []),
        (Recipient.AGENT, {ID, CARD}, "李四", ["paper-missing"]),
        (Recipient.AGENT, {ID, CARD, AGENT}, None, ["agent-wrong"]),
        (Recipient.OTHER_CARD, {ID, CARD, HOLDER, WORD}, None, []),
        (Recipient.OTHER_CARD, {ID, CARD}, None, ["paper-missing", "paper-missing"]),
    ],
)
def test_papers(recipient: Recipient, papers: set[Document], agent: str | None, missing: list[str]) -> None:
    assert [r.code for r in check_papers(recipient, papers, agent)] == [f"settlement.{code}" for code in missing]


PAYOUT = Payout(
    payout_id="P",
    region="411381",
    person_id="X",
    amount_fen=1,
    fund_pay_type="390100",
    origin=Origin.SUPPLEMENT,
    reference="R",
    reason="r",
    timing=Timing.AT_ONCE,
    reported_on=date(2026, 1, 5),
    release_on=date(2026, 1, 5),
    state=PayoutState.PROPOSED,
    card_no=1,
    proposed_by="a",
    proposed_at=datetime(2026, 1, 5, tzinfo=UTC),
    decided_by=None,
    decided_at=None,
    refusal=None,
    paid_at=None,
)


@pytest.mark.parametrize("state", PayoutState)
def test_what_can_be_done_with_a_payout_in_each_state(state: PayoutState) -> None:
    payout = replace(PAYOUT, state=state)
    assert (not check_decision(payout, "b")) == (state == "proposed")
    assert (not check_new_card(payout)) == (state in {"approved", "refused"})
    assert (not check_order(payout, "411381", date(2026, 1, 5))) == (state in {"approved", "refused"})


def test_everything_that_is_wrong_with_a_decision_is_named() -> None:
    paid = replace(PAYOUT, state=PayoutState.PAID)
    wrong = check_decision(paid, "a")
    assert [r.code for r in wrong] == ["settlement.payout-state", "settlement.same-person"]
    early = check_order(PAYOUT, "411330", date(2026, 1, 4))
    assert [r.code for r in early] == [
        "settlement.not-payer-of-order",
        "settlement.payout-state",
        "settlement.payout-not-released",
    ]
