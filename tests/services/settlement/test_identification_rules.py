"""What a movement can be: every combination of side, amount and state, without any database."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from services.settlement.rules.identifications import (
    Movement,
    Nature,
    Outcome,
    Owed,
    check_decision,
    check_movement,
    order_outcome,
    other_outcome,
    pair_outcome,
    receivable_outcome,
)
from services.settlement.rules.orders import Order, OrderState, Purpose
from shared.refusals import Refusal

HERE, THERE, ELSEWHERE = "411681", "411600", "411603"
CREDIT = Movement("E1", HERE, False, 100, date(2026, 11, 5), "R1", True, HERE)
DEBIT = CREDIT._replace(debit=True)
PAID_BY_US = Order("O1", Purpose.HOP, "P1", HERE, THERE, 100, OrderState.SENT, False, "one", "O1")
PAID_TO_US = replace(PAID_BY_US, payer=THERE, payee=HERE)


def recorded(order: Order) -> Order:
    """The order without a bank: approved, and thereby paid."""
    return replace(order, by_bank=False, state=OrderState.SETTLED, paid_fen=100)


def told(outcome: Outcome | list[Refusal]) -> str:
    """The outcome, or the codes of what speaks against it."""
    return " ".join(r.code.partition(".")[2] for r in outcome) if isinstance(outcome, list) else outcome


@pytest.mark.parametrize(
    ("movement", "order", "mirrored_fen", "expected"),
    [
        (DEBIT, PAID_BY_US, 0, "paid"),
        (DEBIT._replace(amount_fen=7), PAID_BY_US, 0, "paid"),
        (DEBIT._replace(amount_fen=700), PAID_BY_US, 0, "paid"),
        (DEBIT, replace(PAID_BY_US, state=OrderState.REJECTED), 0, "paid"),
        (DEBIT, replace(PAID_BY_US, payee=None, purpose=Purpose.PAYOUT), 0, "paid"),
        *((DEBIT, replace(PAID_BY_US, state=OrderState(s)), 0, "order-state") for s in ("proposed", "reviewed")),
        *((DEBIT, replace(PAID_BY_US, state=OrderState(s)), 0, "order-state") for s in ("approved", "declined")),
        (CREDIT, replace(PAID_BY_US, paid_fen=100), 0, "returned"),
        (CREDIT, replace(PAID_BY_US, paid_fen=99), 0, "movement-amount"),
        (CREDIT, PAID_BY_US, 0, "movement-amount"),
        (CREDIT, PAID_TO_US, 0, "mirrored"),
        (CREDIT, PAID_TO_US, 1, "movement-amount"),
        (CREDIT._replace(amount_fen=99), PAID_TO_US, 1, "mirrored"),
        (CREDIT._replace(amount_fen=120), replace(PAID_TO_US, paid_fen=120), 0, "mirrored"),
        (DEBIT, PAID_TO_US, 0, "movement-not-of-it"),
        (CREDIT, recorded(PAID_TO_US), 0, "mirrored"),
        (DEBIT, recorded(PAID_BY_US), 0, "mirrored"),
        (DEBIT, recorded(PAID_BY_US), 100, "movement-amount"),
        (DEBIT._replace(amount_fen=99), recorded(PAID_BY_US), 0, "movement-amount"),
        (CREDIT, recorded(PAID_BY_US), 0, "movement-not-of-it"),
        (DEBIT, replace(PAID_BY_US, by_bank=False, state=OrderState.PROPOSED), 0, "order-state"),
    ],
)
def test_of_an_order(movement: Movement, order: Order, mirrored_fen: int, expected: str) -> None:
    assert told(order_outcome(movement, order, mirrored_fen)) == expected


@pytest.mark.parametrize(
    ("movement", "owed", "expected"),
    [
        (CREDIT, Owed(THERE, HERE, 100, paid=False, ordered=False), "settled"),
        (DEBIT, Owed(HERE, THERE, 100, paid=False, ordered=False), "settled"),
        (CREDIT, Owed(THERE, HERE, 100, paid=True, ordered=False), "mirrored"),
        (DEBIT, Owed(HERE, THERE, 100, paid=True, ordered=False), "mirrored"),
        (CREDIT, Owed(THERE, HERE, 100, paid=False, ordered=True), "movement-of-order"),
        (CREDIT, Owed(THERE, HERE, 101, paid=False, ordered=False), "movement-amount"),
        (DEBIT, Owed(THERE, HERE, 99, paid=False, ordered=False), "movement-not-of-it movement-amount"),
        (CREDIT, Owed(THERE, ELSEWHERE, 100, paid=False, ordered=False), "movement-not-of-it"),
        (CREDIT, Owed(THERE, HERE, 100, paid=True, ordered=False, seen=True), "movement-amount"),
    ],
)
def test_of_what_was_owed(movement: Movement, owed: Owed, expected: str) -> None:
    assert told(receivable_outcome(movement, owed)) == expected


@pytest.mark.parametrize(
    ("counter", "expected"),
    [
        (DEBIT._replace(entry_id="E2"), "cancelled"),
        (DEBIT, "movement-same-side"),
        (CREDIT._replace(entry_id="E2"), "movement-same-side"),
        (DEBIT._replace(entry_id="E2", amount_fen=99), "movement-amount"),
        (DEBIT._replace(entry_id="E2", is_unknown=False), "movement-known"),
        (DEBIT._replace(entry_id="E2", keeper=THERE), "movement-not-yours"),
        (DEBIT._replace(entry_id="E2", party=ELSEWHERE), "movement-other-account"),
    ],
)
def test_of_a_pair(counter: Movement, expected: str) -> None:
    assert told(pair_outcome(CREDIT, counter)) == expected


@pytest.mark.parametrize(
    ("nature", "credit", "debit"),
    [
        (Nature.INTEREST, "booked", "movement-nature"),
        (Nature.CHARGES, "movement-nature", "booked"),
        (Nature.TREASURY, "booked", "booked"),
        (Nature.OTHER, "booked", "booked"),
    ],
)
def test_of_nothing_that_is_settled_here(nature: Nature, credit: str, debit: str) -> None:
    assert (told(other_outcome(CREDIT, nature)), told(other_outcome(DEBIT, nature))) == (credit, debit)


def test_only_unknown_money_of_an_account_that_is_kept() -> None:
    of_facility = CREDIT._replace(party="H1")
    assert (told(check_movement(of_facility, HERE)), told(check_movement(of_facility, "H1"))) == (
        "",
        "movement-not-yours",
    )
    assert told(check_movement(CREDIT, HERE)) == ""
    assert told(check_movement(CREDIT, THERE)) == "movement-not-yours"
    assert told(check_movement(CREDIT._replace(is_unknown=False), HERE)) == "movement-known"
    assert told(check_movement(CREDIT._replace(amount_fen=0), HERE)) == "movement-known"


def test_all_that_keeps_somebody_from_deciding_is_named() -> None:
    assert check_decision("proposed", HERE, "one", (HERE, "two")) == []
    wrong = check_decision("approved", HERE, "one", (THERE, "one"))
    assert told(wrong) == "movement-not-yours identification-decided same-person"
