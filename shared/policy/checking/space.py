"""The cases a pack can meet, as boxes: for each fact the set of its values, and conditions as parts of it.

Words are told apart as far as the pack does; of numbers, the values at and between its bounds stand for all. A box
says for each fact it asks which of these values it admits, as the bits of an integer; so whether two rules fit one
case, and whether some case fits none, is decided exactly and quickly, and an example can be named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations, islice, pairwise
from typing import Any, Final, TypeAlias

from shared.policy.checking.facts import KnownFact, KnownFacts
from shared.policy.checking.sites import options_of
from shared.policy.conditions import FORMULA, comparisons_of, compile_when
from shared.policy.document import Not, Range, Test, When
from shared.policy.formula import FormulaError, parse
from shared.policy.vocabulary import UNIT_PRICE, Kind

Box: TypeAlias = dict[str, int]
"""By axis, the bits of the values admitted; an axis that is not there admits all."""

MAX_STEPS: Final = 1_000_000
"""How many comparisons of boxes are made for one pack before a search says that it cannot tell."""
MAX_PAIRS: Final = 20
"""How many overlaps of one list of rules are told."""
MAX_NUMBERS: Final = 1_500
"""How many numbers of one fact can be told apart."""

_WHOLE: Final = Decimal(1)
_FEN: Final = Decimal("0.01")
_OTHER: Final = "\0"
_ALL_SETS_UP_TO: Final = 6
_PAIRS_UP_TO: Final = 60
_COMPARISON: Final = re.compile(r"<=|>=|==|!=|<|>")
_FLIPPED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


class TooMany(Exception):
    """The space is too large to be searched; `fact` is the one whose values are too many, if it is one."""

    def __init__(self, fact: str = "") -> None:
        super().__init__(fact)
        self.fact = fact


@dataclass(slots=True)
class Axis:
    """A fact, or a quantity that comparisons ask, with values that stand for all of its values."""

    name: str
    kind: Kind
    samples: list[Any]
    declared: bool
    """Whether the values are all there are; otherwise there may be others, of which no rule needs to know."""
    formula: bool = False
    everything: int = field(init=False)
    _bit_of: dict[Any, int] = field(init=False)

    def __post_init__(self) -> None:
        self.everything = (1 << len(self.samples)) - 1
        self._bit_of = {sample: 1 << bit for bit, sample in enumerate(self.samples)}

    def bits(self, test: Test) -> int:
        """The values for which a test holds."""
        if isinstance(test, str) and self.kind is Kind.WORD:
            return self._bit_of.get(test, 0)
        if self.kind is Kind.WORD and not isinstance(test, Range):
            named = sum(self._bit_of.get(word, 0) for word in set(options_of(test)))
            return self.everything & ~named if isinstance(test, Not) else named
        holds = compile_when({self.name: test})
        return sum(1 << bit for bit, sample in enumerate(self.samples) if holds({self.name: sample}))

    def example(self, bits: int) -> str:
        """One of the values."""
        sample = self.samples[(bits & -bits).bit_length() - 1]
        if isinstance(sample, frozenset):
            return "+".join(sorted(sample)) or "-"
        if isinstance(sample, bool):
            return str(sample).lower()
        return f"{sample:f}" if isinstance(sample, Decimal) else "…" if sample == _OTHER else str(sample)


class Space:
    """All axes of a pack, made from every condition in it. Raises TooMany."""

    def __init__(self, facts: KnownFacts, whens: Iterable[When], wrong: Iterable[When] = ()) -> None:
        self._facts = facts
        self._steps_left = MAX_STEPS
        self._wrong = {id(when): f"? {number}" for number, when in enumerate(wrong)}
        mentioned: dict[str, list[Test]] = {}
        for when in whens:
            for name, test in self._tests(when):
                mentioned.setdefault(name, []).append(test)
        self.axes = {name: self._axis(name, tests) for name, tests in mentioned.items()}
        for name in self._wrong.values():
            self.axes[name] = Axis(name, Kind.FLAG, [True, False], declared=False, formula=True)
        self._boxes: dict[int, tuple[When, Box]] = {}

    def spend(self, steps: int) -> None:
        """Count the steps of a search. Raises TooMany when they have become too many."""
        self._steps_left -= steps
        if self._steps_left < 0:
            raise TooMany

    def box(self, *whens: When) -> Box:
        """Where all of these conditions hold. An axis without bits says that they never do."""
        whole: Box = {}
        for when in whens:
            whole = met(whole, self._box(when)) if whole else self._box(when)
        return whole

    def never(self, box: Box) -> str | None:
        """The fact because of which a box is empty, when it is."""
        return next((name for name, bits in box.items() if not bits), None)

    def example(self, box: Box) -> str:
        """A case in the box, told by the facts that the box asks for."""
        shown = [f"{name}={self.axes[name].example(bits)}" for name, bits in box.items() if bits]
        return ", ".join(shown) or "-"

    def asks_formulas(self, box: Box) -> frozenset[str]:
        """The comparisons a box depends on."""
        return frozenset(name for name in box if self.axes[name].formula)

    def without_open(self, box: Box) -> Box:
        """The box with all it says of facts whose values are not declared left out."""
        return {name: bits for name, bits in box.items() if self.axes[name].declared}

    def _box(self, when: When) -> Box:
        known = self._boxes.get(id(when))
        if known is not None and known[0] is when:
            return known[1]
        box: Box = {}
        for name, test in self._tests(when):
            axis = self.axes[name]
            bits = axis.bits(test)
            box[name] = box.get(name, axis.everything) & bits
        self._boxes[id(when)] = (when, box)
        return box

    def _tests(self, when: When) -> Iterator[tuple[str, Test]]:
        """What a condition asks. One with an error in it asks something that no other does: it may hold or not."""
        if id(when) in self._wrong:
            yield self._wrong[id(when)], True
            return
        for name, test in when.items():
            if name != FORMULA:
                yield name, test
        for text in comparisons_of(when):
            if (compared := _compared(text)) is not None:
                yield compared

    def _axis(self, name: str, tests: Sequence[Test]) -> Axis:
        fact = self._facts.get(name)
        if fact is None:
            return self._unknown(name, tests)
        match fact.kind:
            case Kind.FLAG:
                return Axis(name, fact.kind, [True, False], declared=True)
            case Kind.NUMBER:
                return Axis(name, fact.kind, _numbers(fact, tests), fact.declared)
            case Kind.WORDS:
                return Axis(name, fact.kind, _sets(_words(tests)), fact.declared)
            case _:
                words = list(fact.words) if fact.words is not None else [*_words(tests), _OTHER]
                return Axis(name, fact.kind, words, fact.declared)

    def _unknown(self, name: str, tests: Sequence[Test]) -> Axis:
        """An expression that conditions compare, or a fact that nobody knows."""
        if not any(isinstance(test, Range) for test in tests):
            numbers = [option for test in tests for option in options_of(test) if isinstance(option, Decimal)]
            if not numbers:
                return Axis(name, Kind.WORD, [*_words(tests), _OTHER], declared=False)
        samples = _between(sorted(_bounds(tests)), None)
        return Axis(name, Kind.NUMBER, samples, declared=False, formula=True)


def _words(tests: Iterable[Test]) -> list[str]:
    options = [option for test in tests for option in options_of(test)]
    return list(dict.fromkeys(str(word) for word in options if not isinstance(word, Decimal)))


def _sets(words: list[str]) -> list[frozenset[str]]:
    """Sets of marks: all of a few; of more, those of at most two, which any two rules need to meet; of very many,
    those of one."""
    largest = len(words) if len(words) <= _ALL_SETS_UP_TO else 2 if len(words) <= _PAIRS_UP_TO else 1
    return [frozenset(some) for size in range(largest + 1) for some in combinations(words, size)]


def _bounds(tests: Iterable[Test]) -> set[Decimal]:
    bounds: set[Decimal] = set()
    for test in tests:
        if isinstance(test, Range):
            bounds |= {n for n in (test.from_, test.to, test.above, test.below) if n is not None}
        bounds |= {option for option in options_of(test) if isinstance(option, Decimal)}
    return bounds


def _numbers(fact: KnownFact, tests: Sequence[Test]) -> list[Any]:
    """Numbers are whole unless a bound is not: ages, days and admissions are. Prices are in fen."""
    domain = fact.numbers or Range.model_validate({"from": Decimal(1 if fact.name == "admission_no" else 0)})
    bounds = _bounds([*tests, domain])
    inside = compile_when({fact.name: domain})
    whole = all(bound == bound.to_integral_value() for bound in bounds)
    if len(bounds) * 3 > MAX_NUMBERS:
        raise TooMany(fact.name)
    step = _FEN if fact.name == UNIT_PRICE else _WHOLE if whole else None
    samples = [n for n in _between(sorted(bounds), step) if inside({fact.name: n})]
    return samples or [Decimal(0)]


def _between(bounds: list[Decimal], step: Decimal | None) -> list[Any]:
    """The bounds and a number between, below and above them: the next by the step, when they have one."""
    if step is not None:
        return sorted({near for bound in bounds for near in (bound - step, bound, bound + step)})
    middles = [(low + high) / 2 for low, high in pairwise(bounds)]
    return sorted({*bounds, *middles, bounds[0] - 1, bounds[-1] + 1}) if bounds else []


def _compared(text: str) -> tuple[str, Test] | None:
    """A comparison as a test of its left side; None when it is no formula, which is told elsewhere."""
    try:
        parse(text, comparison=True)
        left, right, sign = *_COMPARISON.split(text), _COMPARISON.findall(text)[0]
        if (number := _constant(right)) is not None:
            return _named(left), _test(sign, number)
        if (number := _constant(left)) is not None:
            return _named(right), _test(_FLIPPED[sign], number)
    except FormulaError:
        return None
    return f"{_named(left)} ? {_named(right)}", _test(sign, Decimal(0))


def _named(text: str) -> str:
    return " ".join(text.split())


def _constant(text: str) -> Decimal | None:
    expression = parse(text.strip())
    if expression.names:
        return None
    value = expression.evaluate(lambda _: 0)
    return Decimal(value.numerator) / Decimal(value.denominator)


def _test(sign: str, number: Decimal) -> Test:
    if sign == "!=":
        return Not.model_validate({"not": number})
    limits = {"<": {"below": number}, "<=": {"to": number}, ">": {"above": number}, ">=": {"from": number}}
    return Range.model_validate(limits.get(sign, {"from": number, "to": number}))


# ------------------------------------------------------------------------------------------------- boxes


def met(one: Box, other: Box) -> Box:
    """Where both hold."""
    both = dict(one)
    for name, bits in other.items():
        both[name] = both[name] & bits if name in both else bits
    return both


def apart(one: Box, other: Box) -> bool:
    """Whether they have no case in common."""
    return any(name in other and not bits & other[name] for name, bits in one.items())


def overlapping(space: Space, boxes: Sequence[tuple[int, Box]]) -> list[tuple[int, int]]:
    """The first pairs of boxes, by their numbers, that have a case in common; empty boxes have none. Raises TooMany."""
    full = [(number, box) for number, box in boxes if all(box.values())]
    found: set[tuple[int, int]] = set()
    pending = [(full, frozenset[str]())]
    while pending and len(found) < MAX_PAIRS:
        some, done = pending.pop()
        axis = _most_asked(some, done) if len(some) > _FEW else None
        if axis is None:
            found |= set(islice(_pairs(space, some), MAX_PAIRS))
        else:
            groups = _by_bit(some, axis)
            space.spend(sum(map(len, groups)))
            pending += [(group, done | {axis}) for group in groups]
    return sorted(found)[:MAX_PAIRS]


def _pairs(space: Space, boxes: Sequence[tuple[int, Box]]) -> Iterator[tuple[int, int]]:
    for place, (number, box) in enumerate(boxes):
        space.spend(len(boxes) - place)
        for other, other_box in boxes[place + 1 :]:
            if not apart(box, other_box):
                yield min(number, other), max(number, other)


_FEW: Final = 24


def _most_asked(boxes: Sequence[tuple[int, Box]], done: frozenset[str]) -> str | None:
    """The axis worth dividing many boxes by: one that most of them ask for."""
    asked = Counter(name for _, box in boxes for name in box if name not in done)
    name, count = asked.most_common(1)[0] if asked else ("", 0)
    return name if 2 * count > len(boxes) else None


def _by_bit(boxes: Sequence[tuple[int, Box]], axis: str) -> list[list[tuple[int, Box]]]:
    """The boxes that admit each value of an axis; those that do not ask for it admit all."""
    everywhere = [pair for pair in boxes if axis not in pair[1]]
    groups: dict[int, list[tuple[int, Box]]] = {}
    for pair in boxes:
        bits = pair[1].get(axis, 0)
        while bits:
            lowest = bits & -bits
            groups.setdefault(lowest, []).append(pair)
            bits ^= lowest
    return [group + everywhere for group in groups.values()] or [everywhere]


def uncovered(space: Space, region: Box, boxes: Iterable[Box]) -> Box | None:
    """A part of the region in which none of the boxes holds, or None. Raises TooMany."""
    pending = [(region, list(boxes))]
    while pending:
        part, near = pending.pop()
        space.spend(len(near) + 1)
        if not all(part.values()):
            continue
        near = [box for box in near if not apart(box, part)]
        if not near:
            return part
        axis, bits = _cut(space, part, near)
        if axis is None:
            continue
        everything = part.get(axis, space.axes[axis].everything)
        pending += [({**part, axis: everything & ~bits}, near), ({**part, axis: everything & bits}, near)]
    return None


def _cut(space: Space, part: Box, boxes: Sequence[Box]) -> tuple[str | None, int]:
    """The axis and values to divide a part by; no axis when a box covers it whole."""
    best: list[str] = []
    chosen: Box = {}
    for box in boxes:
        open_axes = [n for n, bits in box.items() if part.get(n, space.axes[n].everything) & ~bits]
        if not open_axes:
            return None, 0
        if not best or len(open_axes) < len(best):
            best, chosen = open_axes, box
    if len(boxes) <= _FEW:
        return best[0], chosen[best[0]]
    here = part.get(best[0], space.axes[best[0]].everything)
    return best[0], _half(here, chosen[best[0]])


def _half(bits: int, fallback: int) -> int:
    """Half of the values, so that many rules about one word each are parted in few steps."""
    count = bits.bit_count()
    if count < 4:
        return fallback
    half = 0
    for _ in range(count // 2):
        lowest = bits & -bits
        half |= lowest
        bits ^= lowest
    return half
