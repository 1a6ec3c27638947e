"""Formulas: what they mean, what they refuse and where, and that they are arithmetic and nothing else."""

from __future__ import annotations

from fractions import Fraction

import pytest

from shared.policy.formula import MAX_DEPTH, MAX_LENGTH, FormulaError, parse, round_half_up

KNOWN: dict[str, Fraction | int] = {
    "a": 7,
    "b": 2,
    "in_scope": 1000,
    "basic.fund": 600,
    "tag.特药": 30,
    "年龄": 61,
    "zero": 0,
    "half": Fraction(1, 2),
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", "12"),
        ("0.05", "1/20"),
        ("85%", "17/20"),
        ("0.5%", "1/200"),
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 3 - 2", "5"),
        ("10 - (3 - 2)", "9"),
        ("12 / 3 / 2", "2"),
        ("12 / (3 / 2)", "8"),
        ("2 * 3 / 4", "3/2"),
        ("1 / 3 * 3", "1"),
        ("-a + 10", "3"),
        ("--a", "7"),
        ("2 * -b", "-4"),
        ("a - -b", "9"),
        ("-(a + b)", "-9"),
        ("in_scope - basic.fund", "400"),
        ("basic.fund + tag.特药", "630"),
        ("年龄 - 60", "1"),
        ("min(a, b)", "2"),
        ("max(a, b)", "7"),
        ("min(5, a, b, 3)", "2"),
        ("max(0, b - a)", "0"),
        ("min(max(a, 1), 5) * 2", "10"),
        ("round(2.5)", "3"),
        ("round(2.4999)", "2"),
        ("round(-2.5)", "-3"),
        ("round(-2.4)", "-2"),
        ("floor(2.9)", "2"),
        ("floor(-2.1)", "-3"),
        ("ceil(2.1)", "3"),
        ("ceil(-2.9)", "-2"),
        ("half * 3", "3/2"),
        ("  a\t*\nb  ", "14"),
        ("0.1 + 0.2", "3/10"),
    ],
)
def test_value(text: str, value: str) -> None:
    assert parse(text).evaluate(KNOWN.__getitem__) == Fraction(value)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("a > b", True),
        ("b > a", False),
        ("a > 7", False),
        ("a >= 7", True),
        ("a >= 7.01", False),
        ("a < 7", False),
        ("a < 7.01", True),
        ("a <= 7", True),
        ("a <= 6.99", False),
        ("a == 7", True),
        ("a == 6", False),
        ("a != 7", False),
        ("a != 6", True),
        ("a + b < 2 * a", True),
        ("in_scope > 2 * basic.fund", False),
    ],
)
def test_comparison(text: str, held: bool) -> None:
    expression = parse(text, comparison=True)
    assert expression.comparison
    assert expression.holds(KNOWN.__getitem__) is held
    assert expression.evaluate(KNOWN.__getitem__) == int(held)


def test_names_are_those_it_needs_and_no_functions() -> None:
    expression = parse("min(b.fund, a) + a + 年龄 / max(c, 2)")
    assert expression.names == {"a", "b.fund", "c", "年龄"}
    assert expression.ordered_names == ("a", "b.fund", "c", "年龄")
    assert not expression.comparison


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("in_scope", (("in_scope", 1),)),
        ("in_scope - paid + x.left", (("in_scope", 1), ("paid", -1), ("x.left", 1))),
        ("in_scope - 1", None),
        ("in_scope * paid", None),
        ("in_scope / paid", None),
        ("-in_scope", None),
        ("max(a, b)", None),
        ("(a)", None),
        ("1", None),
    ],
)
def test_terms_only_of_names_added_and_subtracted(text: str, terms: object) -> None:
    assert parse(text).terms == terms


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("   ", 0),
        ("1 +", 3),
        ("1 + )", 4),
        ("a b", 2),
        ("(1", 2),
        ("1)", 1),
        ("* 2", 0),
        ("1 < 2", 2),
        ("foo(1)", 0),
        ("1 + abs(2)", 4),
        ("min(1)", 0),
        ("min(1, )", 7),
        ("min()", 4),
        ("min(1, 2", 8),
        ("round(1, 2)", 7),
        ("floor(1, 2)", 7),
        ("ceil(1, 2)", 6),
        ("a..b", 1),
        ("a.", 1),
        ("1.", 1),
        (".5", 0),
        ("1e5", 1),
        ("2 ** 3", 3),
        ("a // b", 3),
        ("7 % 2", 2),
        ("a & b", 2),
        ("a = b", 2),
        ("'x'", 0),
        ("a[0]", 1),
        ("１ + 1", 0),
        ("1 × 2", 2),
        ("lambda: 1", 6),
        ("__import__('os')", 11),
        ("a if b else c", 2),
    ],
)
def test_refused_where_the_fault_is(text: str, position: int) -> None:
    with pytest.raises(FormulaError) as refused:
        parse(text)
    assert refused.value.position == position
    assert refused.value.zh != refused.value.en
    assert str(position + 1) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "position"), [("1", 1), ("a + b", 5), ("1 < 2 < 3", 6), ("1 <", 3), ("< 1", 0), ("(1 < 2)", 3)]
)
def test_a_condition_has_exactly_one_comparison(text: str, position: int) -> None:
    with pytest.raises(FormulaError) as refused:
        parse(text, comparison=True)
    assert refused.value.position == position


@pytest.mark.parametrize(("text", "position"), [("a / zero", 2), ("a + b / (b - 2)", 6), ("1 / 0", 2)])
def test_division_by_zero_is_told_when_it_happens(text: str, position: int) -> None:
    expression = parse(text)
    with pytest.raises(FormulaError) as refused:
        expression.evaluate(KNOWN.__getitem__)
    assert (refused.value.position, refused.value.zh) == (position, "除数为零")


def test_what_the_lookup_raises_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        parse("a + unknown").evaluate(KNOWN.__getitem__)


def test_length_is_bounded() -> None:
    longest = "1" * MAX_LENGTH
    assert parse(longest).evaluate(KNOWN.__getitem__) == int(longest)
    with pytest.raises(FormulaError) as refused:
        parse("1" * (MAX_LENGTH + 1))
    assert refused.value.position == MAX_LENGTH


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("-", ""), ("floor(", ")")])
def test_depth_is_bounded(opening: str, closing: str) -> None:
    deepest = MAX_DEPTH - 1
    assert parse(opening * deepest + "1" + closing * deepest).evaluate(KNOWN.__getitem__) in {Fraction(1), Fraction(-1)}
    with pytest.raises(FormulaError) as refused:
        parse(opening * (deepest + 1) + "1" + closing * (deepest + 1))
    assert refused.value.position == len(opening) * (deepest + 1)


def test_long_sums_need_no_depth() -> None:
    text = "+".join(["1"] * 200)
    assert parse(text).evaluate(KNOWN.__getitem__) == 200


def test_a_formula_is_read_once() -> None:
    assert parse("a * 31 + 17") is parse("a * 31 + 17")


@pytest.mark.parametrize(
    ("value", "whole"), [("1/2", 1), ("-1/2", -1), ("49/100", 0), ("-49/100", 0), ("3/2", 2), ("7", 7)]
)
def test_half_up_is_away_from_zero(value: str, whole: int) -> None:
    assert round_half_up(Fraction(value)) == whole
