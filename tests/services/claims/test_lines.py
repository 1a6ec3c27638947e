"""Fee lines: what is wrong with them, alone and together, and that everything is named at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.claims.rules.lines import FeeLine, check_each, check_total, check_voids, check_within
from shared.money import line_amount_fen
from shared.refusals import Refusal

AT = datetime(2026, 10, 12, 9, tzinfo=UTC)


def line(
    no: str = "1",
    quantity: str = "2",
    price: str = "38.50",
    amount_fen: int = 7_700,
    voids: str | None = None,
    item: str = "XN05BAD148A001010178390",
    item_class: str = "01",
) -> FeeLine:
    return FeeLine(no, item, item_class, AT, Decimal(quantity), Decimal(price), amount_fen, voids)


def named(wrong: list[Refusal]) -> list[tuple[str, str | None]]:
    return [(refusal.code.removeprefix("claims."), refusal.pointer) for refusal in wrong]


AMOUNTS = [
    # quantity, price (yuan), amount (fen), is it right?
    ("2", "38.50", 7_700, True),
    ("2", "38.50", 7_701, False),
    ("3", "0.015", 5, True),  # 4.5 fen go up
    ("3", "0.015", 4, False),
    ("0.3333", "10", 333, True),
    ("-1", "38.50", -3_850, True),
    ("-3", "0.015", -5, True),  # a void mirrors its line
    ("0", "38.50", 0, True),
    ("9999999999999999", "9999999999", 1, False),  # beyond every amount: refused, not an error
]


@pytest.mark.parametrize(("quantity", "price", "amount_fen", "right"), AMOUNTS)
def test_quantity_times_price_is_the_amount(quantity: str, price: str, amount_fen: int, right: bool) -> None:
    checked = line(quantity=quantity, price=price, amount_fen=amount_fen, voids="9" if amount_fen < 0 else None)
    expected = [] if right else [("line-amount-wrong", "/lines/0/amount_fen")]
    assert named(check_each([checked])) == expected


def test_everything_wrong_is_named_at_once_and_where() -> None:
    lines = [line("1"), line("1"), line("2", amount_fen=1), line("3", quantity="-1", amount_fen=-3_850)]
    assert named(check_each(lines)) == [
        ("line-number-twice", "/lines/1/line_no"),
        ("line-amount-wrong", "/lines/2/amount_fen"),
        ("negative-line-voids-nothing", "/lines/3/voids_line_no"),
    ]


def test_lines_lie_within_the_visit() -> None:
    began, ended = AT, AT + timedelta(hours=1)
    at = {"at the start": began, "at the end": ended, "before": began - timedelta(seconds=1)}
    at["after"] = ended + timedelta(seconds=1)
    lines = [replace(line(name), occurred_at=moment) for name, moment in at.items()]
    assert named(check_within(lines, began, ended)) == [
        ("line-outside-visit", "/lines/2/occurred_at"),
        ("line-outside-visit", "/lines/3/occurred_at"),
    ]
    assert named(check_within(lines, began, None)) == [("line-outside-visit", "/lines/2/occurred_at")]


VOIDED = line("1", quantity="10", price="1.00", amount_fen=1_000)


def void(no: str, quantity: int, voids: str = "1", *, item: str = VOIDED.item_code, item_class: str = "01") -> FeeLine:
    return line(no, str(quantity), "1.00", quantity * 100, voids, item, item_class)


VOIDS = [
    # what is sent besides line 1 (10 x 1 yuan), what is refused
    ("the whole line", [void("2", -10)], []),
    ("in two parts", [void("2", -4), void("3", -6)], []),
    ("a part", [void("2", -1)], []),
    ("more than there was", [void("2", -11)], ["void-too-much"]),
    ("more in two parts", [void("2", -6), void("3", -6)], ["void-too-much"]),
    ("a line that is not there", [void("2", -1, "7")], ["void-of-unknown-line"]),
    ("a line of another item", [void("2", -1, item="OTHER")], ["void-of-unknown-line"]),
    ("a line of another class", [void("2", -1, item_class="02")], ["void-of-unknown-line"]),
]


@pytest.mark.parametrize(("case", "sent", "codes"), VOIDS)
def test_a_void_takes_back_what_is_there(case: str, sent: list[FeeLine], codes: list[str]) -> None:
    known = {one.line_no: one for one in (VOIDED, *sent)}
    assert [code for code, _ in named(check_voids(sent, known))] == codes


def test_a_void_of_a_void_does_not_make_money() -> None:
    """Line 2 takes 10 back, line 3 "voids" line 2 by another negative: line 2's group would fall below nothing."""
    lines = [void("2", -10), void("3", -10, "2")]
    known = {one.line_no: one for one in (VOIDED, *lines)}
    assert "void-too-much" in [code for code, _ in named(check_voids(lines, known))]


def test_the_total_is_the_sum_and_not_negative() -> None:
    assert named(check_total([], 0)) == [("no-lines", "/lines")]
    assert named(check_total([line()], 7_700)) == []
    assert named(check_total([line()], 7_699)) == [("sum-wrong", "/total_fen")]
    negative = line(quantity="-1", price="1.00", amount_fen=-100, voids="9")
    assert named(check_total([negative], -100)) == [("total-negative", "/total_fen")]
    assert named(check_total([negative], -1)) == [("sum-wrong", "/total_fen"), ("total-negative", "/total_fen")]


prices = st.decimals(min_value=0, max_value=10**6, places=4)
quantities = st.decimals(min_value=0, max_value=10**4, places=2)


@given(st.lists(st.tuples(quantities, prices), min_size=1, max_size=20), st.data())
def test_voiding_everything_leaves_nothing(sold: list[tuple[Decimal, Decimal]], data: st.DataObject) -> None:
    """Any bill plus the void of each line is in order and adds up to zero."""
    lines = [FeeLine(str(n), "ITEM", "01", AT, q, p, line_amount_fen(q, p), None) for n, (q, p) in enumerate(sold)]
    voids = [
        FeeLine(f"v{n.line_no}", "ITEM", "01", AT, -n.quantity, n.unit_price, -n.amount_fen, n.line_no) for n in lines
    ]
    known = {one.line_no: one for one in (*lines, *voids)}
    assert check_each([*lines, *voids]) == []
    assert check_voids(voids, known) == []
    assert check_total([*lines, *voids], 0) == []
    again = replace(data.draw(st.sampled_from(voids)), line_no="again")
    too_much = check_voids([again], {**known, "again": again})
    assert bool(too_much) == (again.quantity < 0 or again.amount_fen < 0)
