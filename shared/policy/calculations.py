"""Questions that are not bills: contributions, allowances, account credits, payments to hospitals, waiting periods."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

from shared.money import MAX_FEN
from shared.policy import undecidable
from shared.policy.conditions import compile_when
from shared.policy.decision import Answered, Facts
from shared.policy.document import Calculation, Step
from shared.policy.figures import CompiledFigure
from shared.policy.scope import Scope, formula_name, holds

_ROUNDED_TO: Final[Mapping[str, Fraction | None]] = {
    "fen": Fraction(1, 100),
    "jiao": Fraction(1, 10),
    "yuan": Fraction(1),
    "whole": Fraction(1),
    "none": None,
}


class CompiledCalculation:
    """A calculation; its steps compute with exact numbers, amounts in yuan, each rounded as it says."""

    def __init__(self, calculation: Calculation) -> None:
        self._calculation = calculation
        self._clauses = (calculation.clause,)
        self._condition = compile_when(calculation.when)
        self._steps = [_CompiledStep(step) for step in calculation.steps]

    def answer(
        self, facts: Facts, inputs: Mapping[str, Decimal | Fraction], numbers: Mapping[str, Fraction]
    ) -> Answered:
        """All steps in order. Raises Undecidable."""
        scope = Scope(facts, numbers)
        if not holds(self._condition, scope):
            raise undecidable.not_applicable(self._calculation.id, self._clauses)
        for name, value in self._inputs(inputs).items():
            scope.step("find", formula_name(name), ((":input", Fraction(value)),), self._clauses)
        values = {step.id: step.take(scope) for step in self._steps}
        units = {step.id: step.unit for step in self._calculation.steps}
        fen = {name: self._in_fen(name, value) if units[name] == "yuan" else value for name, value in values.items()}
        results = tuple(self._calculation.results)
        return Answered(self._calculation.id, fen, units, results, tuple(scope.steps or ()))

    def _in_fen(self, step: str, amount: Fraction) -> int | Fraction:
        """Whole fen; an amount that is not rounded may have a fraction of one."""
        fen = amount * 100
        if abs(fen) > MAX_FEN:
            raise undecidable.out_of_range(step, self._clauses)
        return fen.numerator if fen.denominator == 1 else fen

    def _inputs(self, inputs: Mapping[str, Decimal | Fraction]) -> dict[str, Decimal | Fraction]:
        """What was given, and defaults for the rest. Raises Undecidable naming all that is missing or unknown."""
        needs = self._calculation.needs
        defaults = {name: need.default for name, need in needs.items() if need.default is not None}
        found = {**defaults, **inputs}
        missing = [name for name in needs if name not in found]
        unknown = [name for name in inputs if name not in needs]
        if missing or unknown:
            raise undecidable.wrong_inputs(missing, unknown)
        return found


class _CompiledStep:
    """A step: its figure, rounded; 0 when its condition does not hold."""

    def __init__(self, step: Step) -> None:
        self.id = step.id
        self._name = formula_name(step.id)
        self._clauses = (step.clause,)
        self._condition = compile_when(step.when)
        # Kept for no other question: its formulas read inputs and earlier steps, which no fact tells apart.
        self._figure = CompiledFigure(step.figure, self._name, "number", self._clauses, keep=False)
        self._rounded_to = _ROUNDED_TO[step.round]

    def take(self, scope: Scope) -> Fraction:
        """Its value, an amount in yuan. Raises Undecidable."""
        if not holds(self._condition, scope):
            zero = (*scope.seen(self._condition.facts), (":zero", Fraction(0)))
            return Fraction(scope.step("find", self._name, zero, self._clauses))
        value = self._figure.find(scope)
        if self._rounded_to is not None:
            inputs = ((self._name, value), (":unit", self._rounded_to))
            value = scope.step("round", self._name, inputs, self._clauses)
        return Fraction(value)
