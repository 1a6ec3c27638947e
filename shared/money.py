"""Money in whole fen (分), the hundredth of a yuan: never a float, never a fraction kept.

Ratios are `Decimal`. Rounding is half-up away from zero, so a reversal mirrors its original to the fen.
Every function answers within ±`MAX_FEN` or raises `AmountOutOfRange`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction
from typing import Final

MAX_FEN: Final = 10**16 - 1
"""The largest amount the national interface can carry: numeric(16,2), fourteen digits of yuan."""

_MAX: Final = Decimal(MAX_FEN)
# Python's default 28 digits would round quantity (16,4) times price (16,6) once before the fen does it again; here a
# product either fits whole or is refused.
_EXACT: Final = Context(prec=100, traps=[Inexact, InvalidOperation])
_YUAN: Final = re.compile(r"(?!-0(?:\.0{1,2})?\Z)(-?)(0|[1-9][0-9]{0,13})(?:\.([0-9]{1,2}))?")


class AmountOutOfRange(ValueError):
    """The amount is not a number, is beyond ±`MAX_FEN`, or has too many digits to be computed exactly."""


def half_up(value: Decimal | Fraction) -> int:
    """The whole fen nearest to `value`, itself in fen; a half goes away from zero.

    Raises AmountOutOfRange.
    """
    return _half_up_decimal(value) if isinstance(value, Decimal) else _half_up_fraction(value)


def share_fen(amount_fen: int, ratio: Decimal) -> int:
    """`ratio` of an amount, rounded once to the fen.

    Raises AmountOutOfRange.
    """
    return _half_up_decimal(_product(ratio, amount_fen))


def line_amount_fen(quantity: Decimal, unit_price_yuan: Decimal) -> int:
    """The amount of a fee line: quantity times unit price in yuan, rounded once to the fen.

    Exact for all of the national interface's quantities (16,4) and prices (16,6).
    Raises AmountOutOfRange.
    """
    return _half_up_decimal(_product(_product(quantity, unit_price_yuan), 100))


def split_fen(total_fen: int, weights: Sequence[int]) -> list[int]:
    """`total_fen` divided in proportion to `weights` by the largest remainder; the parts sum to it exactly.

    Equal remainders favour the earlier part; the parts of a negative total mirror those of the positive one.
    Raises ValueError for a negative weight, or when there is money to divide and no weight to divide it by.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("weights must not be negative")
    whole = sum(weights)
    if whole == 0:
        if total_fen != 0:
            raise ValueError("weights must not all be zero")
        return [0] * len(weights)
    sign = -1 if total_fen < 0 else 1
    parts, remainders = _floors(abs(total_fen), weights, whole)
    neediest = sorted(range(len(weights)), key=lambda index: -remainders[index])
    for index in neediest[: abs(total_fen) - sum(parts)]:
        parts[index] += 1
    return [sign * part for part in parts]


def yuan(amount_fen: int) -> str:
    """The amount in yuan with two decimals, as documents and the national interface write it: "-1234.05"."""
    whole, fen = divmod(abs(amount_fen), 100)
    return f"{'-' if amount_fen < 0 else ''}{whole}.{fen:02d}"


def parse_yuan(text: str) -> int:
    """The fen of an amount written in yuan: at most two decimals, at most fourteen digits before them.

    Raises ValueError for anything else: exponents, plus signs, a negative zero, leading zeros, spaces, other digits.
    """
    match = _YUAN.fullmatch(text)
    if match is None:
        raise ValueError("not an amount in yuan with at most two decimals")
    sign, whole, decimals = match.groups(default="")
    amount_fen = int(whole) * 100 + int(decimals.ljust(2, "0"))
    return -amount_fen if sign else amount_fen


def _product(factor: Decimal, other: Decimal | int) -> Decimal:
    try:
        return _EXACT.multiply(factor, other)
    except (Inexact, InvalidOperation) as inexact:
        raise AmountOutOfRange("not an amount of money") from inexact


def _half_up_decimal(value: Decimal) -> int:
    # Compared before it becomes an int: the integer of 1E+999999 alone would cost seconds.
    if not (value.is_finite() and value.copy_abs() <= _MAX + 1):
        raise AmountOutOfRange("not an amount of money")
    return _in_range(int(value.to_integral_value(ROUND_HALF_UP)))


def _half_up_fraction(value: Fraction) -> int:
    nearest = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return _in_range(-nearest if value < 0 else nearest)


def _in_range(amount_fen: int) -> int:
    if not -MAX_FEN <= amount_fen <= MAX_FEN:
        raise AmountOutOfRange("not an amount of money")
    return amount_fen


def _floors(amount_fen: int, weights: Sequence[int], whole: int) -> tuple[list[int], list[int]]:
    shares = [divmod(amount_fen * weight, whole) for weight in weights]
    return [floor for floor, _ in shares], [remainder for _, remainder in shares]
