"""What is kept back of what a facility is paid, without any database."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.rules.ledger import (
    Account,
    AccountKind,
    Transfer,
    entries,
    forfeit_transfers,
    set_off_transfers,
)
from services.settlement.rules.netting import Leg, Net, leaving, netting_hash, without
from services.settlement.rules.terms import Netting
from services.settlement.rules.withholdings import (
    SetOff,
    Waiting,
    WithholdingKind,
    check_decision,
    check_release,
    check_return,
    released_fen,
    set_offs,
    set_offs_in_turn,
    withheld_fen,
)

RETENTION, RELEASE, DEDUCTION, RETURN = (
    WithholdingKind.RETENTION,
    WithholdingKind.RETENTION_RELEASE,
    WithholdingKind.DEDUCTION,
    WithholdingKind.DEDUCTION_RETURN,
)
FULL_FROM = Decimal("0.98")


@pytest.mark.parametrize(
    ("amount_fen", "permille", "waiting", "expected"),
    [
        (10_000, 0, [], []),
        (10_000, 50, [], [SetOff(RETENTION, 500)]),
        (50, 50, [], [SetOff(RETENTION, 3)]),  # 2.5 is rounded half-up
        (9, 50, [], []),
        (10_000, 1000, [Waiting("a", DEDUCTION, 1)], [SetOff(RETENTION, 10_000)]),
        (10_000, 0, [Waiting("a", DEDUCTION, 3_000)], [SetOff(DEDUCTION, 3_000, "a")]),
        (10_000, 0, [Waiting("a", DEDUCTION, 10_000)], [SetOff(DEDUCTION, 10_000, "a")]),
        (
            10_000,
            50,
            [Waiting("a", DEDUCTION, 9_000), Waiting("b", DEDUCTION, 9_000), Waiting("c", DEDUCTION, 9_000)],
            [SetOff(RETENTION, 500), SetOff(DEDUCTION, 9_000, "a"), SetOff(DEDUCTION, 500, "b")],
        ),
        (
            10_000,
            0,
            [Waiting("a", DEDUCTION, 15_000), Waiting("b", RELEASE, 2_000), Waiting("c", RETURN, 1_000)],
            [SetOff(RELEASE, 2_000, "b"), SetOff(RETURN, 1_000, "c"), SetOff(DEDUCTION, 13_000, "a")],
        ),
        (0, 50, [Waiting("a", DEDUCTION, 5)], []),
        (0, 50, [Waiting("a", RELEASE, 5)], [SetOff(RELEASE, 5, "a")]),
    ],
)
def test_set_offs(amount_fen: int, permille: int, waiting: list[Waiting], expected: list[SetOff]) -> None:
    assert set_offs(amount_fen, permille, waiting) == expected


_WAITING = st.lists(
    st.builds(
        Waiting,
        st.uuids().map(str),
        st.sampled_from([RELEASE, DEDUCTION, RETURN]),
        st.integers(min_value=1, max_value=10**9),
    ),
    max_size=5,
)


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=0, max_value=1000), _WAITING)
def test_nothing_below_zero_and_no_more_than_was_decided(
    amount_fen: int, permille: int, waiting: list[Waiting]
) -> None:
    made = set_offs(amount_fen, permille, waiting)
    paid_fen = amount_fen - withheld_fen(made)
    taken = {one.withholding_id: one.amount_fen for one in made if one.withholding_id}

    assert paid_fen >= 0
    assert all(taken.get(one.withholding_id, 0) <= one.left_fen for one in waiting)
    if any(taken.get(one.withholding_id, 0) < one.left_fen for one in waiting):
        assert paid_fen == 0, "a deduction waits only when nothing is left to take it of"


@pytest.mark.parametrize(
    ("index", "back_fen"),
    [("1.2", 1001), ("1", 1001), ("0.98", 1001), ("0.9799", 981), ("0.95", 951), ("0.5", 501), ("0", 0)],
)
def test_released(index: str, back_fen: int) -> None:
    assert released_fen(1001, Decimal(index), FULL_FROM) == back_fen


def test_what_speaks_against_a_release_is_said_at_once() -> None:
    wrong = check_release(2026, 2026, 0, 2, decided=True)

    assert [refusal.code for refusal in wrong] == [
        "settlement.retention-year-open",
        "settlement.retention-unsettled",
        "settlement.retention-nothing",
        "settlement.retention-released",
    ]
    assert check_release(2025, 2026, 1, 0, decided=False) == []


def test_no_more_of_a_deduction_is_given_back_than_there_is() -> None:
    assert check_return(5, 5) == []
    assert [refusal.code for refusal in check_return(6, 5)] == ["settlement.return-too-large"]
    assert [refusal.code for refusal in check_return(6, None)] == ["settlement.deduction-unknown"]


def test_two_decide_once() -> None:
    assert check_decision("proposed", "one", "two") == []
    assert [refusal.code for refusal in check_decision("approved", "one", "one")] == [
        "settlement.withholding-decided",
        "settlement.same-person",
    ]


def lines(transfers: list[Transfer]) -> dict[tuple[str, Account], int]:
    """What transfers come to, by book and account."""
    return {(entry.book, entry.account): entry.amount_fen for entry in entries(transfers)}


def test_both_books() -> None:
    held, due = Account(AccountKind.RETENTION_HELD, "F"), Account(AccountKind.RETENTION_DUE, "A")
    off, off_there = Account(AccountKind.DEDUCTIONS, "F"), Account(AccountKind.DEDUCTIONS, "A")
    owed, owing = Account(AccountKind.CLEARING, "F"), Account(AccountKind.CLEARING, "A")

    assert lines(set_off_transfers("A", "F", 7, retained=True, netted=True)) == {
        ("A", owed): 7,
        ("A", held): -7,
        ("F", due): 7,
        ("F", owing): -7,
    }
    assert lines(set_off_transfers("A", "F", 7, retained=False, netted=True)) == {
        ("A", owed): 7,
        ("A", off): -7,
        ("F", off_there): 7,
        ("F", owing): -7,
    }
    payable, receivable = Account(AccountKind.PAYABLE, "F"), Account(AccountKind.RECEIVABLE, "A")
    assert lines(set_off_transfers("A", "F", -7, retained=True, netted=False)) == {
        ("A", payable): -7,
        ("A", held): 7,
        ("F", due): -7,
        ("F", receivable): 7,
    }
    assert lines(forfeit_transfers("A", "F", 7)) == {
        ("A", held): 7,
        ("A", off): -7,
        ("F", off_there): 7,
        ("F", due): -7,
    }


@pytest.mark.parametrize(
    ("amounts", "permille", "waiting", "expected"),
    [
        ([], 50, [Waiting("a", DEDUCTION, 5)], []),
        ([100, 10], 0, [], [[], []]),
        (
            [10_000, 50],
            50,
            [Waiting("a", DEDUCTION, 9_510)],
            [
                [SetOff(RETENTION, 500), SetOff(DEDUCTION, 9_500, "a")],
                [SetOff(RETENTION, 3), SetOff(DEDUCTION, 10, "a")],
            ],
        ),
        ([70, 70], 0, [Waiting("a", RETURN, 5)], [[SetOff(RETURN, 5, "a")], []]),
        (
            [10, 10, 10],
            0,
            [Waiting("a", DEDUCTION, 12), Waiting("b", DEDUCTION, 12)],
            [
                [SetOff(DEDUCTION, 10, "a")],
                [SetOff(DEDUCTION, 2, "a"), SetOff(DEDUCTION, 8, "b")],
                [SetOff(DEDUCTION, 4, "b")],
            ],
        ),
    ],
)
def test_what_one_payment_takes_the_next_does_not(
    amounts: list[int], permille: int, waiting: list[Waiting], expected: list[list[SetOff]]
) -> None:
    assert set_offs_in_turn(amounts, permille, waiting) == expected


KINDS = st.sampled_from([RELEASE, DEDUCTION, RETURN])


@given(
    st.lists(st.integers(1, 10**6), max_size=6),
    st.integers(0, 1000),
    st.lists(st.tuples(KINDS, st.integers(1, 10**6)), max_size=5),
)
def test_in_turn_nothing_is_taken_twice_and_no_payment_is_negative(
    amounts: list[int], permille: int, decided: list[tuple[WithholdingKind, int]]
) -> None:
    waiting = [Waiting(str(n), kind, fen) for n, (kind, fen) in enumerate(decided)]
    made = set_offs_in_turn(amounts, permille, waiting)
    for one in waiting:
        taken = sum(s.amount_fen for taken in made for s in taken if s.withholding_id == one.withholding_id)
        assert taken <= one.left_fen
    assert all(withheld_fen(taken) <= amount for amount, taken in zip(amounts, made, strict=True))


POSITION = Net("A", "F", (Leg("x", 1, 100), Leg("y", 1, 200)), "F", withheld_fen=30)


def test_a_position_is_smaller_and_its_netting_is_the_same() -> None:
    plain = Net("A", "F", POSITION.legs, "F")

    assert (POSITION.amount_fen, POSITION.netted_fen) == (270, 300)
    assert netting_hash(Netting.BILATERAL, [POSITION]) == netting_hash(Netting.BILATERAL, [plain])
    assert without(POSITION, {"y"}) == Net("A", "F", (Leg("x", 1, 100),), "F"), "it is set off anew"


def test_what_is_withheld_pays_no_case() -> None:
    assert leaving(POSITION, ["x", "y"], 299) == ["y"]
    assert leaving(POSITION, ["x", "y"], 300) == []
