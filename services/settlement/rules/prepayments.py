"""Prepayment (预付金): what a home agency deposits with the agency that clears for it. Pure.

Level and warnings follow 医保发〔2022〕22号: twice the average month of the year before, set anew each January; the use
rate is what a month cleared, of the deposit. The figures are terms and settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from fractions import Fraction

from services.settlement import errors
from shared.money import half_up
from shared.refusals import Refusal


class Use(StrEnum):
    """How far a month uses a prepayment up (使用率预警)."""

    LOW = "low"
    """Below every warning."""
    YELLOW = "yellow"
    """黄色预警."""
    RED = "red"
    """红色预警: the lender must add to it."""


_ORDER = tuple(Use)


def use_of(cleared_fen: int, deposit_fen: int, *, yellow_percent: int, red_percent: int) -> Use:
    """How far what a month cleared uses up the deposit it began with; a deposit of nothing is used up by anything."""
    used = 100 * cleared_fen
    if used <= 0 or used < yellow_percent * deposit_fen:
        return Use.LOW
    return Use.RED if used >= red_percent * deposit_fen else Use.YELLOW


def use_percent(cleared_fen: int, deposit_fen: int) -> int | None:
    """The use rate in whole percent, rounded half-up; None without a deposit."""
    return half_up(Fraction(100 * cleared_fen, deposit_fen)) if deposit_fen > 0 else None


def worsened(before: Use, after: Use) -> bool:
    """Whether a warning is crossed now that was not before: that is told, once."""
    return _ORDER.index(after) > _ORDER.index(before)


def level_fen(months: Sequence[int], average_months: int) -> int:
    """The level of a prepayment: some average months of what was cleared in each month of the year before, in fen.

    Months without bills do not count; a year that cleared nothing, or gave back more than it cleared, gives zero.
    """
    busy = [amount_fen for amount_fen in months if amount_fen]
    return max(0, half_up(Fraction(average_months * sum(busy), len(busy)))) if busy else 0


def check_ending(party: str, ends: str, state: str, asked_by: str | None) -> list[Refusal]:
    """Everything that keeps a party from ending a top-up that nobody has paid.

    `ends` is whose part it is: the lender withdraws it, the holder declines it. Only what the lender asked for itself
    can end; what the level of the year asks for is owed.
    """
    wrong = [] if party == ends else [errors.TOP_UP_NOT_YOURS(party=party)]
    if asked_by is None:
        wrong.append(errors.TOP_UP_BY_LEVEL())
    if state != "open":
        wrong.append(errors.POSITION_NOT_OPEN(state=state))
    return wrong


def reset_day(year: int, day: int) -> date:
    """The day of a year from which on the levels are set anew: that day of its January."""
    return date(year, 1, day)
