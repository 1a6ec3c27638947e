"""The arithmetic of decisions, and its check: every step of a working is one of these operations on its inputs.

The engine computes by calling them and keeps each call as a `Step`; `recompute` calls them again on what was kept. So
the record cannot tell another story than the calculation. An operation takes (name, value) pairs in order; by their
type an int is fen, a Fraction any other number. Names that begin with a colon are operands that no step makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, TypeAlias

from shared.money import MAX_FEN, AmountOutOfRange, half_up
from shared.policy.decision import PARTS, Step
from shared.policy.document import PartName
from shared.policy.formula import parse, round_half_up

Inputs: TypeAlias = "tuple[tuple[str, Any], ...]"
Operation: TypeAlias = "Callable[[Inputs], Any]"
LineParts: TypeAlias = "tuple[int, int, int, int, int]"
"""amount, own, over_ceiling, prepay, in_scope: what the step of a line gives."""

LINE_PARTS: Final = ("total", "own", "over_ceiling", "prepay", "in_scope")
_PLACE: Final = {part: place for place, part in enumerate(LINE_PARTS)}

APART: Final = "|"
"""Stands between the year of a part of a bill and a name in it, where a bill was decided in parts."""


class WorkingError(Exception):
    """The record is not a working: a step that does not give its result, or whose input is not the earlier result."""

    def __init__(self, number: int, step: Step, why: str) -> None:
        super().__init__(f"step {number} ({step.name}): {why}")
        self.number = number
        self.step = step


def recompute(steps: Sequence[Step]) -> dict[str, Any]:
    """Compute every step again from its inputs and answer the results by name.

    Raises WorkingError naming the first step that does not give its recorded result, or takes an input that is not
    the result of the earlier step of that name.
    """
    results: dict[str, Any] = {}
    for number, step in enumerate(steps, start=1):
        for name, value in step.inputs:
            if not _same(results.get(name, value), value):
                raise WorkingError(number, step, f"takes {name} as {value}, which was {results[name]}")
        results[step.name] = _again(number, step)
    return results


def _again(number: int, step: Step) -> Any:
    operation = OPERATIONS.get(step.kind)
    if operation is None:
        raise WorkingError(number, step, f"no such arithmetic: {step.kind}")
    try:
        result = operation(step.inputs)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as failed:
        raise WorkingError(number, step, f"cannot be computed: {failed}") from failed
    if not _same(result, step.result):
        raise WorkingError(number, step, f"gives {result}, not {step.result}")
    return result


def _same(one: Any, other: Any) -> bool:
    # 1 fen and the number 1 are equal to Python, but not the same.
    return isinstance(one, Fraction) == isinstance(other, Fraction) and bool(one == other)


# ------------------------------------------------------------------------------------------------ figures


def _last(inputs: Inputs) -> Any:
    return inputs[-1][1]


def _nothing(_: Inputs) -> int:
    return 0


def _formula(inputs: Inputs) -> Fraction:
    values = _plain(inputs[1:])
    return parse(inputs[0][1]).evaluate(values.__getitem__)


def _plain(inputs: Inputs) -> dict[str, Fraction]:
    """Amounts as yuan, by the names that the formula uses."""
    return {
        name.rpartition(APART)[2]: Fraction(value, 100) if isinstance(value, int) else value for name, value in inputs
    }


def _fen(inputs: Inputs) -> int:
    return max(0, half_up(inputs[0][1] * 100))


def _unit_price(inputs: Inputs) -> Fraction:
    return Fraction(max(0, inputs[0][1] * 100))


def _add(inputs: Inputs) -> Fraction:
    return Fraction(inputs[-2][1] + inputs[-1][1])


def _times(inputs: Inputs) -> Fraction:
    return Fraction(inputs[-2][1] * inputs[-1][1])


def _complement(inputs: Inputs) -> Fraction:
    return Fraction(1 - inputs[0][1])


def _round(inputs: Inputs) -> Fraction:
    (_, value), (_, unit) = inputs
    return Fraction(round_half_up(value / unit) * unit)


# -------------------------------------------------------------------------------------------------- lines


def _part_of(amount: int, ratio: Fraction) -> int:
    """`ratio` of an amount of either sign, half-up away from zero."""
    numerator, denominator = ratio.as_integer_ratio()
    if amount < 0:
        return -((2 * -amount * numerator + denominator) // (2 * denominator))
    return (2 * amount * numerator + denominator) // (2 * denominator)


def _line(inputs: Inputs) -> LineParts:
    amount = inputs[0][1]
    prepay = _part_of(amount, inputs[1][1])
    return amount, 0, 0, prepay, amount - prepay


def _priced_line(inputs: Inputs) -> LineParts:
    (_, amount), (_, ceiling), (_, quantity), (_, ratio) = inputs
    # Whole numbers over one denominator: fractions would cost more than all the rest of the line.
    whole = ceiling.denominator * quantity.denominator
    over = max(0, abs(amount) * whole - ceiling.numerator * abs(quantity.numerator))
    over_ceiling = (2 * over + whole) // (2 * whole)
    if amount < 0:
        over_ceiling = -over_ceiling
    prepay = _part_of(amount - over_ceiling, ratio)
    return amount, 0, over_ceiling, prepay, amount - over_ceiling - prepay


def _out_line(inputs: Inputs) -> LineParts:
    amount = inputs[0][1]
    return amount, amount, 0, 0, 0


def _stated_line(inputs: Inputs) -> LineParts:
    (_, amount), (_, own), (_, over_ceiling), (_, prepay) = inputs
    return amount, own, over_ceiling, prepay, amount - own - over_ceiling - prepay


def cut_beyond(size: int, room: int, cut_before: int) -> int:
    """What of `size` finds no room. A void first takes back what was cut before, so that the two leave no trace."""
    if size < 0:
        return -min(-size, cut_before)
    return max(0, size - max(0, room))


def _limited_line(inputs: Inputs) -> LineParts:
    (_, (amount, own, over_ceiling, prepay, in_scope)), (_, room), (_, cut_before) = inputs
    cut = cut_beyond(in_scope, room, cut_before)
    return amount, own + cut, over_ceiling, prepay, in_scope - cut


def _counted_line(inputs: Inputs) -> LineParts:
    """Units beyond the room are outside the scope with all that they cost: nothing is first paid of them, and no price
    ceiling is theirs."""
    (_, (amount, own, *parts)), (_, units), (_, room), (_, cut_before) = inputs
    cut = cut_beyond(units, room, cut_before)
    if not cut:
        return amount, own, *parts
    over_ceiling, prepay, in_scope = [_part_of(part, Fraction(units - cut, units)) for part in parts]
    return amount, amount - over_ceiling - prepay - in_scope, over_ceiling, prepay, in_scope


def _line_sum(inputs: Inputs) -> int:
    place = _PLACE[inputs[0][1]]
    return _bounded(sum([parts[place] for _, parts in inputs[1:]]))


# ------------------------------------------------------------------------------------------------- layers


def _bounded(amount_fen: int) -> int:
    if not -MAX_FEN <= amount_fen <= MAX_FEN:
        raise AmountOutOfRange("not an amount of money")
    return amount_fen


def _basis(inputs: Inputs) -> int:
    """What a formula asks for, but no less than nothing and no more than is left (the last input)."""
    asked = _whole_sum(inputs)
    if asked is None:
        asked = half_up(_formula(inputs) * 100)
    return int(max(0, min(asked, inputs[-1][1])))


def _whole_sum(inputs: Inputs) -> int | None:
    """The value in fen of a formula that only adds and subtracts amounts; None when it is none."""
    terms = parse(inputs[0][1]).terms
    if terms is None:
        return None
    is_apart = APART in inputs[-1][0]
    values = {name.rpartition(APART)[2]: value for name, value in inputs[1:]} if is_apart else dict(inputs)
    total = sum([sign * values[name] for name, sign in terms])
    return total if isinstance(total, int) else None


def _sum(inputs: Inputs) -> int:
    return _bounded(sum([value for _, value in inputs]))


def _difference(inputs: Inputs) -> Any:
    result = inputs[0][1]
    for _, value in inputs[1:]:
        result -= value
    return result


def _excess(inputs: Inputs) -> int:
    return int(max(0, _difference(inputs)))


def _least(inputs: Inputs) -> Any:
    return min([value for _, value in inputs])


def _greatest(inputs: Inputs) -> Any:
    return max([value for _, value in inputs])


def _share(inputs: Inputs) -> int:
    return _part_of(inputs[0][1], inputs[1][1])


def _share_down(inputs: Inputs) -> int:
    (_, amount), (_, ratio) = inputs
    return int(amount * ratio.numerator // ratio.denominator)


def _multiple(inputs: Inputs) -> int:
    return half_up(inputs[0][1] * inputs[1][1])


def _overlap(inputs: Inputs) -> int:
    """How much of the expense (start, end] falls in the band (low, high]; without a high end, all above low."""
    (_, start), (_, end), (_, low), *high = inputs
    top = min(end, high[0][1]) if high else end
    return int(max(0, top - max(start, low)))


def _behind(inputs: Inputs) -> int:
    """The expense behind a capped payment: of the bands it covers whole and its part of the next; with one ratio the
    payment divided by it; without any, the payment itself."""
    (_, paid), (_, eligible), (_, slices) = inputs
    if not slices:
        return int(min(paid, eligible))
    if len(slices) == 1:
        return _through(paid, slices[0][2], eligible)
    behind = 0
    for _, expense, ratio, share in slices:
        if share > paid:
            return behind + _through(paid, ratio, expense)
        behind += expense
        paid -= share
    return int(eligible)


def _through(paid: int, ratio: Fraction, expense: int) -> int:
    return min(round_half_up(paid / ratio), expense) if ratio else expense


# -------------------------------------------------------------------------------------------------- parts


def _parts(inputs: Inputs) -> tuple[int, ...]:
    """The person's parts after the first payer: what is in scope and neither deductible, nor the person's by ratio,
    nor paid, is over the cap."""
    own, over_ceiling, prepay, in_scope, deductible, by_ratio, *paid = [value for _, value in inputs]
    parts = (own, over_ceiling, prepay, deductible, by_ratio, in_scope - deductible - by_ratio - sum(paid))
    debt = -sum([amount for amount in parts if amount < 0])
    if not debt:
        return parts
    # Voids may leave the sum of a part below zero: the other parts bear it. A bill that is all void has no other part.
    if sum(parts) <= 0:
        return 0, 0, 0, 0, 0, sum(parts)
    return _taken(dict(zip(PARTS, [max(0, amount) for amount in parts], strict=True)), (), debt)


def _look(inputs: Inputs) -> tuple[int, ...]:
    """The parts once a layer looked at expense that no earlier one did: what it takes as deductible and leaves by
    ratio of that expense was told as over the cap until then."""
    (_, parts), (_, unseen), (_, deductible), (_, by_ratio) = inputs
    left = dict(zip(PARTS, parts, strict=True))
    room = max(0, min(unseen, left["over_cap"]))
    deductible = min(deductible, room)
    by_ratio = min(by_ratio, room - deductible)
    left["deductible"] += deductible
    left["by_ratio"] += by_ratio
    left["over_cap"] -= deductible + by_ratio
    return tuple(left.values())


def _absorb(inputs: Inputs) -> tuple[int, ...]:
    """The parts after a payment took them away in an order; what the order leaves over comes off the others."""
    (_, parts), (_, order), *payments = inputs
    return _taken(dict(zip(PARTS, parts, strict=True)), order, sum([value for _, value in payments]))


def _taken(left: dict[PartName, int], order: Sequence[PartName], amount: int) -> tuple[int, ...]:
    for part in (*order, *(part for part in reversed(PARTS) if part not in order)):
        taken = max(0, min(amount, left[part]))
        left[part] -= taken
        amount -= taken
    return tuple(left.values())


def _pick(inputs: Inputs) -> int:
    """The sum of some of the person's parts."""
    (_, parts), (_, names) = inputs
    return int(max(0, sum([amount for part, amount in zip(PARTS, parts, strict=True) if part in names])))


OPERATIONS: Final[Mapping[str, Operation]] = {
    "find": _last,
    "choose": _last,
    "skip": _nothing,
    "waive": _nothing,
    "formula": _formula,
    "fen": _fen,
    "unit_price": _unit_price,
    "add": _add,
    "times": _times,
    "set": _last,
    "at_least": _greatest,
    "at_most": _least,
    "complement": _complement,
    "round": _round,
    "line": _line,
    "priced_line": _priced_line,
    "out_line": _out_line,
    "stated_line": _stated_line,
    "limited_line": _limited_line,
    "counted_line": _counted_line,
    "line_sum": _line_sum,
    "basis": _basis,
    "sum": _sum,
    "difference": _difference,
    "excess": _excess,
    "least": _least,
    "room": _excess,
    "share": _share,
    "share_down": _share_down,
    "multiple": _multiple,
    "overlap": _overlap,
    "behind": _behind,
    "parts": _parts,
    "look": _look,
    "absorb": _absorb,
    "pick": _pick,
}
"""By kind of step.

Choices: `find` a value of the pack, `choose` one of several rules, `skip` a layer that does not hold, `waive` a
deductible. Figures: `formula`, `fen` (yuan to fen, never below 0), `unit_price` (the same, not rounded), the changes
`add`, `times`, `set`, `at_least`, `at_most`, `complement` (1 − x), and `round` to a unit. Lines: `line`, `priced_line`
(with a ceiling), `out_line`, `stated_line`; cut by an amount, `limited_line`, or by units, `counted_line`; `line_sum`.
Layers: `basis`, `sum`, `difference`, `excess` (a difference, never below 0), `least`, `room` (an excess: the limit less
what was used), `share` and `share_down` (by ratio, half-up or down), `multiple` (so much a day), `overlap` of an
expense with a band, the expense `behind` a payment. Parts: the person's `parts`, what a layer that `look`s at
further expense makes of them, what a payment `absorb`s of them, and the sum of those one may `pick`.
"""
