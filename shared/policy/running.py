"""An amount that is used up over a period: a limit, a deductible, a cap, a ceiling of the person's burden."""

from __future__ import annotations

from typing import TypeAlias

from shared.policy.conditions import compile_when
from shared.policy.decision import Facts
from shared.policy.document import Cap, Deductible, DeductibleLimit, Limit, Period, PersonCeiling
from shared.policy.figures import CompiledFigure
from shared.policy.ledger import Ledger
from shared.policy.scope import Scope

Amount: TypeAlias = "tuple[str, int]"
"""A quantity by its name, as the input of a step."""

_Rule: TypeAlias = Limit | Cap | Deductible | DeductibleLimit | PersonCeiling


class Running:
    """The rule compiled, under the name its steps give it; runs in `default` unless it names a counter."""

    __slots__ = ("_amount", "_counter", "_of", "_per", "_room_name", "always", "clauses", "condition")

    def __init__(self, name: str, rule: _Rule, default: str, clause: str = "") -> None:
        """`clause` is that of a rule which has none of its own."""
        self.clauses = (rule.clause or clause,)
        when = rule.when if isinstance(rule, Limit | Cap) else {}
        self.condition = compile_when(when)
        self.always = not when
        self._amount = CompiledFigure(rule.amount, name, "amount", self.clauses)
        self._room_name = f"{name}.room"
        self._counter = rule.counter or default
        self._per: Period = rule.per
        self._of = () if isinstance(rule, PersonCeiling | DeductibleLimit) else tuple(rule.of)

    def key(self, ledger: Ledger, facts: Facts) -> str | None:
        """Its counter; None when it does not outlive the bill. Raises Undecidable."""
        return ledger.key(self._counter, self._per, self._of, facts)

    def room(self, key: str | None, scope: Scope, ledger: Ledger) -> Amount:
        """What is left of it, never below 0. Raises Undecidable."""
        amount = (self._amount.name, self._amount.find(scope))
        inputs = (amount, (key, ledger.used(key))) if key else (amount,)
        return self._room_name, scope.step("room", self._room_name, inputs, self.clauses)
