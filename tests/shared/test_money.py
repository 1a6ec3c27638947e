"""Money: rounding, shares, lines, splitting and its written form."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import MAX_FEN, AmountOutOfRange, half_up, line_amount_fen, parse_yuan, share_fen, split_fen, yuan

amounts_fen = st.integers(-MAX_FEN, MAX_FEN)
ratios = st.decimals(0, 1, places=4)
quantities = st.decimals(Decimal("-999999999999.9999"), Decimal("999999999999.9999"), places=4)
prices_yuan = st.decimals(0, Decimal("9999999999.999999"), places=6)


def _by_hand(value: Fraction) -> int:
    """Half away from zero, written another way than the module does it."""
    floor, rest = divmod(abs(value), 1)
    return (-1 if value < 0 else 1) * (int(floor) + (rest >= Fraction(1, 2)))


@pytest.mark.parametrize(
    ("fen", "rounded"),
    [
        ("0.4", 0), ("0.5", 1), ("1.5", 2), ("2.5", 3), ("2.4999999999999999999999999999999999999", 2),
        ("-0.5", -1), ("-1.5", -2), ("-2.5", -3), ("-0.4", 0), ("-0", 0), ("1E+2", 100),
    ],
)  # fmt: skip
def test_a_half_goes_away_from_zero(fen: str, rounded: int) -> None:
    assert half_up(Decimal(fen)) == rounded
    assert half_up(Fraction(fen)) == rounded


@given(st.fractions(-MAX_FEN, MAX_FEN))
def test_a_reversal_mirrors_its_original(value: Fraction) -> None:
    assert half_up(value) == _by_hand(value)
    assert half_up(-value) == -half_up(value)


@pytest.mark.parametrize(
    "text", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "1E+400", "1E+999999", "1E+999999999999", "1E16"]
)
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(AmountOutOfRange):
        half_up(Decimal(text))
    with pytest.raises(AmountOutOfRange):
        line_amount_fen(Decimal(text), Decimal(1))


def test_the_bound_is_that_of_the_national_interface() -> None:
    assert half_up(Decimal(MAX_FEN)) == MAX_FEN
    assert half_up(Decimal(-MAX_FEN)) == -MAX_FEN
    assert half_up(Decimal(MAX_FEN) + Decimal("0.4")) == MAX_FEN
    for beyond in (Decimal(MAX_FEN) + Decimal("0.5"), -Decimal(MAX_FEN) - Decimal("0.5")):
        with pytest.raises(AmountOutOfRange):
            half_up(beyond)
        with pytest.raises(AmountOutOfRange):
            half_up(Fraction(beyond))


@pytest.mark.parametrize(
    ("amount_fen", "ratio", "share"),
    [
        (100_00, "0.85", 85_00),
        (1, "0.5", 1),
        (-1, "0.5", -1),
        (3, "0.5", 2),
        (333, "0.15", 50),
        (MAX_FEN, "1", MAX_FEN),
        (MAX_FEN, "0", 0),
    ],
)
def test_shares_an_officer_can_check(amount_fen: int, ratio: str, share: int) -> None:
    assert share_fen(amount_fen, Decimal(ratio)) == share


@given(amounts_fen, ratios)
def test_a_share_is_exact_before_it_is_rounded(amount_fen: int, ratio: Decimal) -> None:
    assert share_fen(amount_fen, ratio) == _by_hand(Fraction(amount_fen) * Fraction(ratio))


@pytest.mark.parametrize(
    ("quantity", "unit_price_yuan", "amount_fen"),
    [
        ("1", "12.34", 1234),
        ("3", "0.333333", 100),
        ("0.5", "0.01", 1),
        ("-0.5", "0.01", -1),
        ("-2", "15.5", -3100),
        ("0.0001", "49.999999", 0),
        ("0.0001", "50", 1),
        # Thirty digits: with Python's default of twenty-eight this rounds twice and ends one fen too high.
        ("1.0000", "99999999999999.004999", 9999999999999900),
        ("0.9999", "99999999999999.999949", 9999000000000000),
    ],
)
def test_line_amounts_an_officer_can_check(quantity: str, unit_price_yuan: str, amount_fen: int) -> None:
    assert line_amount_fen(Decimal(quantity), Decimal(unit_price_yuan)) == amount_fen


@given(quantities, prices_yuan)
def test_a_line_amount_is_exact_before_it_is_rounded(quantity: Decimal, unit_price_yuan: Decimal) -> None:
    exact = _by_hand(Fraction(quantity) * Fraction(unit_price_yuan) * 100)
    if abs(exact) <= MAX_FEN:
        assert line_amount_fen(quantity, unit_price_yuan) == exact
        assert line_amount_fen(-quantity, unit_price_yuan) == -exact
    else:
        with pytest.raises(AmountOutOfRange):
            line_amount_fen(quantity, unit_price_yuan)


def test_a_line_amount_is_rounded_once() -> None:
    # The product is 0.00499…9 with 35 decimals: rounded to 28 digits first, it would become half a fen and then one.
    assert line_amount_fen(Decimal("0.1"), Decimal("0.0" + "4" + "9" * 34)) == 0


def test_a_product_too_long_to_be_exact_is_refused() -> None:
    with pytest.raises(AmountOutOfRange):
        share_fen(3, Decimal("0." + "1" * 101))


def test_floats_are_refused() -> None:
    with pytest.raises(TypeError):
        share_fen(0.1, Decimal("0.5"))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        line_amount_fen(Decimal(1), 0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        share_fen(100, 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("total_fen", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (5, [1, 1, 1, 1], [2, 1, 1, 1]),
        (10, [0, 3, 0, 7], [0, 3, 0, 7]),
        (1, [1, 2], [0, 1]),
        (7, [50, 30, 20], [4, 2, 1]),
        (0, [0, 0], [0, 0]),
        (0, [], []),
    ],
)
def test_splits_an_officer_can_check(total_fen: int, weights: list[int], parts: list[int]) -> None:
    assert split_fen(total_fen, weights) == parts


weight_lists = st.lists(st.integers(0, 10**16), min_size=1, max_size=30).filter(any)


@given(amounts_fen, weight_lists)
def test_a_split_sums_and_keeps_within_a_fen_of_the_exact_share(total_fen: int, weights: list[int]) -> None:
    parts = split_fen(total_fen, weights)
    assert sum(parts) == total_fen
    assert [-part for part in parts] == split_fen(-total_fen, weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total_fen * weight, sum(weights))) < 1
        assert weight or not part


@pytest.mark.parametrize(("total_fen", "weights"), [(1, []), (1, [0, 0]), (-1, [0]), (10, [3, -1]), (0, [-1])])
def test_what_cannot_be_split_is_refused(total_fen: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        split_fen(total_fen, weights)


@pytest.mark.parametrize(
    ("amount_fen", "text"),
    [
        (0, "0.00"), (1, "0.01"), (-1, "-0.01"), (-123405, "-1234.05"), (100, "1.00"),
        (MAX_FEN, "99999999999999.99"), (-MAX_FEN, "-99999999999999.99"),
    ],
)  # fmt: skip
def test_the_written_form(amount_fen: int, text: str) -> None:
    assert yuan(amount_fen) == text
    assert parse_yuan(text) == amount_fen


@given(amounts_fen)
def test_what_is_written_is_read_back(amount_fen: int) -> None:
    assert parse_yuan(yuan(amount_fen)) == amount_fen


@pytest.mark.parametrize(("text", "amount_fen"), [("12", 1200), ("12.3", 1230), ("-7", -700), ("0", 0)])
def test_missing_decimals_are_noughts(text: str, amount_fen: int) -> None:
    assert parse_yuan(text) == amount_fen


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1 ", " 1", "1\n", "+1", "--1", "-", "-0", "-0.0", "-0.00", "01", "00", "1.", ".5", "1.005", "0.001",
        "1e2", "1E2", "1,000", "1_000", "０.５", "١", "1.2.3", "NaN", "inf", "0x1", "¥1", "1元", "−1", "1\x00",
        "100000000000000", "-100000000000000.00",
    ],
)  # fmt: skip
def test_other_ways_to_write_money_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_yuan(text)
