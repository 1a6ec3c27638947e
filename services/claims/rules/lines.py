"""Fee lines (费用明细): what is wrong with them, alone and together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.claims import errors
from shared.money import AmountOutOfRange, line_amount_fen
from shared.refusals import Refusal


@dataclass(frozen=True, slots=True)
class FeeLine:
    """One line of a bill. A negative one voids `voids_line_no`, wholly or in part."""

    line_no: str
    item_code: str
    item_class: str
    occurred_at: datetime
    quantity: Decimal
    unit_price: Decimal
    """Yuan."""
    amount_fen: int
    voids_line_no: str | None = None


def check_each(lines: Sequence[FeeLine]) -> list[Refusal]:
    """What is wrong with single lines and their numbering; pointers name the place in the request."""
    wrong: list[Refusal] = []
    seen: set[str] = set()
    for index, line in enumerate(lines):
        if line.line_no in seen:
            wrong.append(errors.LINE_TWICE(pointer=f"/lines/{index}/line_no", line=line.line_no))
        seen.add(line.line_no)
        wrong += _check_amount(index, line)
        if line.amount_fen < 0 and line.voids_line_no is None:
            wrong.append(errors.NEGATIVE_NEEDS_VOID(pointer=f"/lines/{index}/voids_line_no", line=line.line_no))
    return wrong


def _check_amount(index: int, line: FeeLine) -> list[Refusal]:
    try:
        expected_fen = line_amount_fen(line.quantity, line.unit_price)
    except AmountOutOfRange:
        expected_fen = -1
    if expected_fen == line.amount_fen:
        return []
    return [
        errors.LINE_AMOUNT_WRONG(
            pointer=f"/lines/{index}/amount_fen",
            line=line.line_no,
            expected_fen=expected_fen,
            amount_fen=line.amount_fen,
        )
    ]


def check_within(lines: Iterable[FeeLine], began_at: datetime, ended_at: datetime | None) -> list[Refusal]:
    """Lines that occurred outside the visit; `ended_at` is None while it lasts."""
    return [
        errors.LINE_OUTSIDE(pointer=f"/lines/{index}/occurred_at", line=line.line_no)
        for index, line in enumerate(lines)
        if line.occurred_at < began_at or (ended_at is not None and line.occurred_at > ended_at)
    ]


def check_voids(lines: Sequence[FeeLine], known: Mapping[str, FeeLine]) -> list[Refusal]:
    """Voids that fit nothing or take more than there was; `known` holds all lines of the visit, these included."""
    wrong: list[Refusal] = []
    voids = [(index, line) for index, line in enumerate(lines) if line.voids_line_no is not None]
    for index, line in voids:
        voided = known.get(line.voids_line_no or "")
        if voided is None or voided.item_code != line.item_code or voided.item_class != line.item_class:
            wrong.append(
                errors.VOID_UNKNOWN(
                    pointer=f"/lines/{index}/voids_line_no", line=line.line_no, voided=line.voids_line_no or ""
                )
            )
    voided_nos = dict.fromkeys(line.voids_line_no or "" for _, line in voids)
    return wrong + [
        errors.VOID_TOO_MUCH(voided=number)
        for number in voided_nos
        if number in known and _voided_too_much(number, known)
    ]


def _voided_too_much(voided_no: str, known: Mapping[str, FeeLine]) -> bool:
    group = [line for line in known.values() if line.line_no == voided_no or line.voids_line_no == voided_no]
    return sum(line.amount_fen for line in group) < 0 or sum((line.quantity for line in group), Decimal(0)) < 0


def check_total(lines: Iterable[FeeLine], total_fen: int) -> list[Refusal]:
    """Whether the lines make the total, and the total a bill."""
    amounts = [line.amount_fen for line in lines]
    if not amounts:
        return [errors.NO_LINES(pointer="/lines")]
    wrong = []
    if sum(amounts) != total_fen:
        wrong.append(errors.SUM_WRONG(pointer="/total_fen", lines_fen=sum(amounts), total_fen=total_fen))
    if total_fen < 0:
        wrong.append(errors.TOTAL_NEGATIVE(pointer="/total_fen"))
    return wrong
