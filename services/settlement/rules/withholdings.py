"""What an agency keeps back of what it pays a facility (扣留): by its terms, or because two people decided so. Pure.

A part of every payment may be retained (质量保证金) until the yearly review says how much of it goes back; a deduction
(扣款) is what the facility is not paid at all. Both are set off against the next net position to the facility, or,
where hops are paid one by one, against the payment of the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from services.settlement import errors
from shared.money import share_fen
from shared.refusals import Refusal

_PERMILLE = Decimal("0.001")


class WithholdingKind(StrEnum):
    """What is set off."""

    RETENTION = "retention"
    """预留质量保证金: the share of a position that the terms hold back."""
    RETENTION_RELEASE = "retention_release"
    """返还质量保证金: what the yearly review gives back."""
    DEDUCTION = "deduction"
    """扣款: what the facility is not paid."""
    DEDUCTION_RETURN = "deduction_return"
    """扣款退回: what of a deduction it is paid after all."""


ADDING = (WithholdingKind.RETENTION_RELEASE, WithholdingKind.DEDUCTION_RETURN)
"""What makes a position larger."""


class Waiting(NamedTuple):
    """What two people decided and no position has taken yet, or not all of it. In fen."""

    withholding_id: str
    kind: WithholdingKind
    left_fen: int


class SetOff(NamedTuple):
    """One thing that is set off against a position. The amount is positive, in fen."""

    kind: WithholdingKind
    amount_fen: int
    withholding_id: str | None = None
    """None where the terms retain it."""

    @property
    def withheld_fen(self) -> int:
        """By how much the position is smaller for it."""
        return -self.amount_fen if self.kind in ADDING else self.amount_fen


def set_offs(amount_fen: int, permille: int, waiting: Iterable[Waiting]) -> list[SetOff]:
    """What is set off against a position that owes a facility so much, in fen.

    First the terms' share is retained, rounded half-up; then everything that is given back is added; then deductions
    are taken in their order as far as there is something left. What is left of them waits for the next position.
    """
    made = [SetOff(WithholdingKind.RETENTION, share_fen(amount_fen, permille * _PERMILLE))]
    found = sorted(waiting, key=lambda one: one.kind not in ADDING)
    left_fen = amount_fen - made[0].amount_fen
    for withholding_id, kind, wanted_fen in found:
        taken_fen = wanted_fen if kind in ADDING else min(wanted_fen, left_fen)
        made.append(SetOff(kind, taken_fen, withholding_id))
        left_fen -= made[-1].withheld_fen
    return [one for one in made if one.amount_fen]


def set_offs_in_turn(amounts_fen: Iterable[int], permille: int, waiting: Iterable[Waiting]) -> list[list[SetOff]]:
    """What is set off against payments that one facility is owed, in their order: what one takes waits no more."""
    left = list(waiting)
    made = []
    for amount_fen in amounts_fen:
        made.append(set_offs(amount_fen, permille, left))
        taken_fen = {one.withholding_id: one.amount_fen for one in made[-1]}
        left = [w._replace(left_fen=w.left_fen - taken_fen.get(w.withholding_id, 0)) for w in left]
    return made


def released_fen(retained_fen: int, level_index: Decimal, full_from: Decimal) -> int:
    """What the yearly review gives back of what was retained, in fen.

    By the level index (水平指数), the facility's points over their average: all of it from `full_from` on, below that
    its share by the index (考核保证金×指数); the rest is kept.
    """
    return retained_fen if level_index >= full_from else share_fen(retained_fen, level_index)


def check_return(amount_fen: int, left_fen: int | None) -> list[Refusal]:
    """What keeps a part of a deduction from being given back; `left_fen` is what was not given back of it so far.

    None says that there is no such deduction of this facility.
    """
    if left_fen is None:
        return [errors.DEDUCTION_UNKNOWN(pointer="/returns_withholding_id")]
    if amount_fen > left_fen:
        return [errors.RETURN_TOO_LARGE(pointer="/amount_fen", left_fen=left_fen)]
    return []


def check_release(year: int, this_year: int, retained_fen: int, unsettled: int, *, decided: bool) -> list[Refusal]:
    """Everything that keeps what was retained in a year from being given back.

    The year must be over and all its positions settled, because until then some of them can still be netted anew.
    """
    wrong = []
    if year >= this_year:
        wrong.append(errors.RETENTION_YEAR_OPEN(pointer="/year", year=year))
    if unsettled:
        wrong.append(errors.RETENTION_UNSETTLED(count=unsettled))
    if not retained_fen:
        wrong.append(errors.RETENTION_NOTHING(pointer="/year", year=year))
    if decided:
        wrong.append(errors.RETENTION_RELEASED(pointer="/year", year=year))
    return wrong


def check_decision(state: str, proposed_by: str, subject: str) -> list[Refusal]:
    """What keeps somebody from deciding about what another one proposed."""
    wrong = [] if state == "proposed" else [errors.WITHHOLDING_DECIDED(state=state)]
    return wrong + ([errors.SAME_PERSON()] if subject == proposed_by else [])


def withheld_fen(made: Sequence[SetOff]) -> int:
    """By how much a position is smaller for all that is set off."""
    return sum(one.withheld_fen for one in made)
