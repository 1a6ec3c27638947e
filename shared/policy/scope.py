"""What a rule may see while a bill is decided, and where every computed quantity is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from shared.policy import undecidable
from shared.policy.conditions import Condition
from shared.policy.decision import Facts, Step
from shared.policy.formula import Expression, FormulaError
from shared.policy.working import OPERATIONS, Inputs

BASE_NAMES = frozenset({"total", "own", "over_ceiling", "prepay", "in_scope", "paid", "person"})
"""Quantities of every bill. All others that a bill makes have a dot in their name."""

_new_step = tuple.__new__
"""Makes a step without naming its fields, in half the time: a bill has a hundred of them."""

_SUMS = ("tag.", "tag_scope.", "class.", "class_scope.")


def is_quantity(name: str) -> bool:
    """Whether a formula of a bill means by it something computed from the bill, not a fact or a figure of the pack."""
    return name in BASE_NAMES or "." in name


def formula_name(identifier: str) -> str:
    """An identifier as formulas write it, where a hyphen would be a minus."""
    return identifier.replace("-", "_")


class Scope:
    """The names that formulas know (quantities first, then the pack's figures, then facts), and the record."""

    __slots__ = ("facts", "numbers", "quantities", "steps")

    def __init__(self, facts: Facts, numbers: Mapping[str, Fraction], *, record: bool = True) -> None:
        self.facts = facts
        self.numbers = numbers
        self.quantities: dict[str, Any] = {}
        self.steps: list[Step] | None = [] if record else None

    def step(self, kind: str, name: str, inputs: Inputs, clauses: tuple[str, ...]) -> Any:
        """Compute a quantity and keep how."""
        result = self.quantities[name] = OPERATIONS[kind](inputs)
        if self.steps is not None:
            self.steps.append(_new_step(Step, (kind, name, inputs, result, clauses)))
        return result

    def tell(self, kind: str, name: str, inputs: Inputs, clauses: tuple[str, ...]) -> Any:
        """Compute what is no quantity of its own, such as a line's parts or a choice, and keep how."""
        result = OPERATIONS[kind](inputs)
        if self.steps is not None:
            self.steps.append(_new_step(Step, (kind, name, inputs, result, clauses)))
        return result

    def derive(self, record: bool, kind: str, name: str, inputs: Inputs, clauses: tuple[str, ...]) -> Any:
        """Compute a quantity, and keep how only where it tells something: no rule cuts, or no formula reads it."""
        if record:
            return self.step(kind, name, inputs, clauses)
        result = self.quantities[name] = OPERATIONS[kind](inputs)
        return result

    def repeat(self, steps: Iterable[Step], name: str, result: Any) -> Any:
        """Keep steps that were computed before for the same facts."""
        self.quantities[name] = result
        if self.steps is not None:
            self.steps.extend(steps)
        return result

    def read(self, name: str) -> Fraction | int:
        """What a name stands for: an int is fen. Raises Undecidable when it is not known."""
        value: Fraction | int | None = self.quantities.get(name)
        if value is None:
            value = self.numbers.get(name)
        if value is not None:
            return value
        return 0 if name.startswith(_SUMS) else self._number_fact(name)

    def plain(self, name: str) -> Fraction:
        """What a name stands for in a formula: amounts are yuan. Raises Undecidable when it is not known."""
        value = self.read(name)
        return Fraction(value, 100) if isinstance(value, int) else value

    def operands(self, expression: Expression) -> Inputs:
        """The inputs of a step that computes the formula. Raises Undecidable for a name that is not known."""
        return ((":formula", expression.text), *[(name, self.read(name)) for name in expression.ordered_names])

    def seen(self, facts: Iterable[str]) -> Inputs:
        """Facts as inputs of a step, to tell what a choice was made by."""
        return tuple((f"fact:{fact}", _shown(self.facts[fact])) for fact in facts if fact in self.facts)

    def _number_fact(self, name: str) -> Fraction:
        value = self.facts.get(name)
        if value is None:
            raise undecidable.fact_missing(name)
        if not isinstance(value, Decimal | int):
            raise undecidable.not_a_number(name)
        return exact(value)


@lru_cache(maxsize=65536)
def exact(value: Decimal | int) -> Fraction:
    """The number as a fraction; made once for those that come again and again, since making one is slow."""
    return Fraction(value)


def _shown(value: Any) -> Any:
    if isinstance(value, frozenset):
        return tuple(sorted(value))
    return exact(value) if isinstance(value, Decimal | int) and not isinstance(value, bool) else value


def holds(condition: Condition, scope: Scope) -> bool:
    """Whether a condition holds in a scope. Raises Undecidable."""
    try:
        return condition(scope.facts, scope.plain)
    except FormulaError as failed:
        raise undecidable.division_by_zero(condition.formula) from failed
