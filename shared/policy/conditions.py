"""Conditions compiled to closures: whether all tests of a `when` hold for given facts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

from shared.policy.decision import Fact, Facts
from shared.policy.document import Not, Range, Scalar, Test, When
from shared.policy.formula import Lookup, parse

_Holds: TypeAlias = "Callable[[Fact | None], bool]"

FORMULA = "if"
"""The key of a `when` that holds a comparison, or several, instead of a fact."""


class Condition:
    """A compiled `when`. Values are compared by equality alone, so facts that are equal are always decided alike."""

    __slots__ = ("_comparisons", "_tests", "facts", "formula", "names")

    def __init__(self, when: When) -> None:
        self._tests = tuple((fact, _compile_test(test)) for fact, test in when.items() if fact != FORMULA)
        self._comparisons = tuple(parse(text, comparison=True) for text in comparisons_of(when))
        self.facts = tuple(fact for fact, _ in self._tests)
        """The facts it asks for."""
        self.names = frozenset[str]().union(*[comparison.names for comparison in self._comparisons])
        """The names its comparisons need."""
        self.formula = "; ".join([comparison.text for comparison in self._comparisons])

    def __call__(self, facts: Facts, lookup: Lookup | None = None) -> bool:
        """Whether all tests hold. `lookup` answers the names of the comparisons; raises what it raises, and
        FormulaError for a division by zero. Comparisons are only computed, in their order, when all else holds."""
        for fact, holds in self._tests:
            if not holds(facts.get(fact)):
                return False
        # Most conditions compare nothing, and going through nothing costs a third of the call.
        return not self._comparisons or all(
            comparison.holds(lookup or _nothing_known) for comparison in self._comparisons
        )


def compile_when(when: When) -> Condition:
    """The condition of a `when`: an absent fact fulfils no test but `not`, and an absent flag is false.

    Raises FormulaError when its formula is none.
    """
    return Condition(when)


def comparisons_of(when: When) -> list[str]:
    """The comparisons of a `when`, as written."""
    written = when.get(FORMULA)
    if written is None:
        return []
    return [str(text) for text in written] if isinstance(written, list) else [str(written)]


def _nothing_known(name: str) -> int:
    raise LookupError(name)


def _compile_test(test: Test) -> _Holds:
    if isinstance(test, Range):
        return _in_range(test)
    if isinstance(test, Not):
        among = _among(_options(test.not_))
        return lambda value: not among(value)
    return _among(_options(test))


def _options(words: Scalar | list[Scalar]) -> tuple[Fact, ...]:
    return tuple(words) if isinstance(words, list) else (words,)


def _among(options: tuple[Fact, ...]) -> _Holds:
    words = frozenset(options)
    when_absent = any(option is False for option in options)

    def holds(value: Fact | None) -> bool:
        if value is None:
            return when_absent
        if isinstance(value, frozenset):
            return not words.isdisjoint(value)
        return value in words

    return holds


def _in_range(wanted: Range) -> _Holds:
    low, high, above, below = wanted.from_, wanted.to, wanted.above, wanted.below

    def holds(value: Fact | None) -> bool:
        if not isinstance(value, Decimal | int):
            return False
        return (
            (low is None or value >= low)
            and (high is None or value <= high)
            and (above is None or value > above)
            and (below is None or value < below)
        )

    return holds
