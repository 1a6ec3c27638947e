"""Figures compiled: the number that a rule of the pack gives for these facts, with the steps that found it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from shared.policy import undecidable
from shared.policy.conditions import Condition, compile_when
from shared.policy.decision import Fact, Step
from shared.policy.document import Adjust, Figure, FigureCase, FigureRule
from shared.policy.formula import Expression, FormulaError, parse
from shared.policy.scope import Scope, holds, is_quantity

Clauses: TypeAlias = "tuple[str, ...]"
Unit: TypeAlias = Literal["amount", "unit_price", "ratio", "number"]
"""What a figure is used as: an amount in fen, a price a unit in fen with its fractions, a ratio, any number."""

_KEPT = 4096
_RANGE = re.compile(
    r"(?P<low>\d+(?:\.\d+)?)-(?P<high>\d+(?:\.\d+)?)|(?P<from>\d+(?:\.\d+)?)\+"
    r"|<(?P<below>\d+(?:\.\d+)?)|(?P<is>\d+(?:\.\d+)?)"
)


class _Made:
    """What a figure needs to be found, collected while it is compiled."""

    def __init__(self) -> None:
        self.facts: set[str] = set()
        self.names: set[str] = set()

    def formula(self, text: str) -> Expression:
        expression = parse(text)
        self.names |= expression.names
        return expression

    def condition(self, when: Any) -> Condition:
        condition = compile_when(when)
        self.facts.update(condition.facts)
        self.names |= condition.names
        return condition


_Find: TypeAlias = "Callable[[Scope], Any]"


class CompiledFigure:
    """A figure under the name its steps give it. Found once for the same facts, unless it asks for quantities of the
    bill or is not to be kept."""

    __slots__ = ("_facts", "_find", "_found", "depends_on_bill", "facts", "name")

    def __init__(self, figure: Figure, name: str, unit: Unit, clauses: Clauses, *, keep: bool = True) -> None:
        made = _Made()
        self.name = name
        self._find = _finished(_compiled(figure, name, clauses, made), name, unit, clauses)
        self.depends_on_bill = not keep or any(is_quantity(name) for name in made.names)
        self.facts = frozenset(made.facts | made.names)
        """The facts it may ask for (and names of the pack's own figures)."""
        self._facts = tuple(sorted(self.facts))
        self._found: dict[tuple[Fact | None, ...], tuple[Any, tuple[Step, ...]]] = {}

    def find(self, scope: Scope) -> Any:
        """Its value in a scope, with its steps kept there. Raises Undecidable."""
        if self.depends_on_bill:
            return self._find(scope)
        key = tuple(map(scope.facts.get, self._facts)) if self._facts else ()
        found = self._found.get(key)
        if found is None:
            found = self._first(scope, key)
        return scope.repeat(found[1], self.name, found[0])

    def _first(self, scope: Scope, key: tuple[Fact | None, ...]) -> tuple[Any, tuple[Step, ...]]:
        apart = Scope(scope.facts, scope.numbers)
        found = self._find(apart), tuple(apart.steps or ())
        if len(self._found) >= _KEPT:
            self._found.clear()
        self._found[key] = found
        return found


def _finished(find: _Find, name: str, unit: Unit, clauses: Clauses) -> _Find:
    """Turned into what it is used as. An amount is never below 0; a ratio outside 0 to 1 is a fault of the pack."""
    if unit == "number":
        return find
    if unit == "ratio":
        return lambda scope: _ratio(find(scope), name, clauses)
    kind = "fen" if unit == "amount" else "unit_price"
    return lambda scope: scope.step(kind, name, ((name, find(scope)),), clauses)


def _ratio(value: Fraction, name: str, clauses: Clauses) -> Fraction:
    if not 0 <= value <= 1:
        raise undecidable.out_of_range(name, clauses)
    return value


def _compiled(figure: Any, name: str, clauses: Clauses, made: _Made) -> _Find:
    if isinstance(figure, FigureRule):
        return _rule(figure, name, (figure.clause,) if figure.clause else clauses, made)
    if isinstance(figure, str):
        return _formula(made.formula(figure), name, clauses)
    value = Fraction(figure)
    return lambda scope: scope.step("find", name, ((":value", value),), clauses)


def _formula(expression: Expression, name: str, clauses: Clauses) -> _Find:
    def find(scope: Scope) -> Any:
        try:
            return scope.step("formula", name, scope.operands(expression), clauses)
        except FormulaError as failed:
            raise undecidable.division_by_zero(expression.text) from failed

    return find


def _rule(rule: FigureRule, name: str, clauses: Clauses, made: _Made) -> _Find:
    find = _base(rule, name, clauses, made)
    for adjust in rule.adjust:
        find = _adjusted(find, adjust, name, (adjust.clause,) if adjust.clause else clauses, made)
    if rule.at_least is not None:
        find = _changed(find, "at_least", rule.at_least, name, clauses, made)
    if rule.at_most is not None:
        find = _changed(find, "at_most", rule.at_most, name, clauses, made)
    return _complement(find, name, clauses) if rule.share == "person" else find


def _base(rule: FigureRule, name: str, clauses: Clauses, made: _Made) -> _Find:
    if rule.cases is not None:
        return _cases(rule.cases, name, clauses, made)
    if rule.table is not None:
        by = [rule.by] if isinstance(rule.by, str) else list(rule.by or ())
        made.facts.update(by)
        return _table(rule.table, by, name, clauses, made)
    return _compiled(rule.value, name, clauses, made)


# ------------------------------------------------------------------------------------------------ changes


def _complement(find: _Find, name: str, clauses: Clauses) -> _Find:
    return lambda scope: scope.step("complement", name, ((name, find(scope)),), clauses)


def _changed(
    find: _Find, kind: str, operand: Any, name: str, clauses: Clauses, made: _Made, condition: Condition | None = None
) -> _Find:
    """The figure and then its change by another one, which is found under a name of its own."""
    operand_name = f"{name}.{kind}"
    other = _compiled(operand, operand_name, clauses, made)

    def find_changed(scope: Scope) -> Any:
        before = find(scope)
        if condition is not None and not holds(condition, scope):
            return before
        seen = scope.seen(condition.facts) if condition else ()
        return scope.step(kind, name, (*seen, (name, before), (operand_name, other(scope))), clauses)

    return find_changed


def _adjusted(find: _Find, adjust: Adjust, name: str, clauses: Clauses, made: _Made) -> _Find:
    operands = {"add": adjust.add, "times": adjust.times, "set": adjust.set}
    kind, operand = next((kind, value) for kind, value in operands.items() if value is not None)
    return _changed(find, kind, operand, name, clauses, made, made.condition(adjust.when))


# -------------------------------------------------------------------------------------------------- cases


def _cases(cases: Sequence[FigureCase], name: str, clauses: Clauses, made: _Made) -> _Find:
    """The value of the one case that holds, or else of the one marked `otherwise`."""
    compiled = [
        (str(number), case.otherwise, made.condition(case.when), _case(case, number, name, clauses, made))
        for number, case in enumerate(cases, start=1)
    ]
    rest = [(number, value) for number, otherwise, _, value in compiled if otherwise]

    def find(scope: Scope) -> Any:
        held = [
            (number, value)
            for number, otherwise, condition, value in compiled
            if not otherwise and holds(condition, scope)
        ]
        if len(held) > 1:
            numbers = [number for number, _ in held]
            raise undecidable.two_rules(f"{name}的情形", f"cases of {name}", numbers, clauses)
        if not held and not rest:
            raise undecidable.no_case(name, clauses)
        return (held or rest)[0][1](scope)

    return find


def _case(case: FigureCase, number: int, name: str, clauses: Clauses, made: _Made) -> _Find:
    own_clauses = (case.clause,) if case.clause else clauses
    asked = made.condition(case.when).facts
    value = _compiled(case.value, name, own_clauses, made)

    def find(scope: Scope) -> Any:
        scope.tell("choose", f"{name}.case", (*scope.seen(asked), (":case", Fraction(number))), own_clauses)
        return value(scope)

    return find


# ------------------------------------------------------------------------------------------------- tables


def _table(table: dict[str, Any], by: Sequence[str], name: str, clauses: Clauses, made: _Made) -> _Find:
    """The value of the row that the first fact reads, and so on inwards with the other facts."""
    fact, inner = by[0], by[1:]
    rows = {key: _row(entry, inner, name, clauses, made) for key, entry in table.items()}
    ranges = [(number_range(key), row) for key, row in rows.items()]
    rest = rows.get(OTHERWISE)

    def find(scope: Scope) -> Any:
        value = scope.facts.get(fact)
        if value is None:
            raise undecidable.fact_missing(fact, clauses)
        held = list(_rows_for(value, rows, ranges))
        if len(held) > 1:
            raise undecidable.two_rules(f"{name}的行", f"rows of {name}", [str(value)], clauses)
        row = held[0] if held else rest
        if row is None:
            raise undecidable.no_value(name, str(value), clauses)
        scope.tell("choose", f"{name}.row", scope.seen((fact,)), clauses)
        return row(scope)

    return find


OTHERWISE = "otherwise"
"""The key of a table for every word that has no row."""


def _row(entry: Any, inner: Sequence[str], name: str, clauses: Clauses, made: _Made) -> _Find:
    if inner:
        return _table(entry, inner, name, clauses, made)
    figure = FigureRule.model_validate(entry) if isinstance(entry, dict) else entry
    return _compiled(figure, name, clauses, made)


def _rows_for(
    value: Fact, rows: dict[str, _Find], ranges: Iterable[tuple[Callable[[Decimal], bool] | None, _Find]]
) -> Iterable[_Find]:
    if isinstance(value, Decimal | int):
        # True and 1 are equal, so they must find the same row: what was found is kept by equality.
        flags = [rows[key] for flag, key in ((True, "true"), (False, "false")) if value == flag and key in rows]
        return flags + [row for holds_for, row in ranges if holds_for is not None and holds_for(Decimal(value))]
    words = value if isinstance(value, frozenset) else (value,)
    return [rows[word] for word in words if word in rows and word != OTHERWISE]


def number_range(key: str) -> Callable[[Decimal], bool] | None:
    """What numbers a table's key stands for: `1`, `18-59` (inclusive), `60+`, `<18`; None when it is a word."""
    match = _RANGE.fullmatch(key)
    if match is None:
        return None
    limits = {name: Decimal(text) for name, text in match.groupdict().items() if text is not None}
    if "is" in limits:
        return lambda value: value == limits["is"]
    if "below" in limits:
        return lambda value: value < limits["below"]
    if "from" in limits:
        return lambda value: value >= limits["from"]
    return lambda value: limits["low"] <= value <= limits["high"]
