"""Formulas: whether they can be read, whether every name in them is known where they stand, divisions by zero."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from shared.policy.checking.conditions import of_a_line_elsewhere, tell_of_line
from shared.policy.checking.facts import KnownFacts
from shared.policy.checking.report import Report
from shared.policy.checking.sites import LAYER_QUANTITIES, OPEN_PREFIXES, SUMS, FormulaSite, Scope, name_of
from shared.policy.document import PackDocument
from shared.policy.formula import Expression, FormulaError, parse
from shared.policy.issues import did_you_mean

_TRIES = (Fraction(7, 3), Fraction(1009, 7), Fraction(-31, 11))
"""Values put for all names: what is divided by zero for each of them is divided by zero always."""


def check_formulas(sites: Iterable[FormulaSite], document: PackDocument, facts: KnownFacts, report: Report) -> None:
    """All formulas of a pack."""
    figures = {name_of(name): Fraction(figure.value) for name, figure in document.figures.items()}
    for site in sites:
        try:
            expression = parse(site.text, comparison=site.comparison)
        except FormulaError as error:
            report.error(site.path, "pack.formula", error.zh, error.en, shift=error.position)
            continue
        unknown = [name for name in expression.names if not _known(name, site.scope, figures, facts)]
        for name in sorted(expression.names - {*unknown}):
            fact = facts.get(name)
            if name not in site.scope.names and fact is not None and of_a_line_elsewhere(site.path, fact):
                tell_of_line(site.path, fact, report, at_key=False)
        for name in sorted(unknown):
            _tell(site, name, [*figures, *facts.numbers], facts, report)
        if not unknown:
            _check_division(site, expression, figures, report)


def _known(name: str, scope: Scope, figures: Mapping[str, Fraction], facts: KnownFacts) -> bool:
    owner, _, quantity = name.partition(".")
    if not quantity:
        return name in scope.names or name in figures or name in facts.numbers or (scope.bill and name in SUMS)
    return scope.bill and (owner in OPEN_PREFIXES or (owner in scope.layers and quantity in LAYER_QUANTITIES))


def _tell(site: FormulaSite, name: str, others: list[str], facts: KnownFacts, report: Report) -> None:
    code, zh, en = _explained(name, site.scope, others, facts)
    report.error(site.path, code, zh, en, shift=_position(site.text, name))


def _explained(name: str, scope: Scope, others: list[str], facts: KnownFacts) -> tuple[str, str, str]:
    owner, _, quantity = name.partition(".")
    if owner == scope.itself and (quantity or not scope.bill):
        return "pack.cycle", f"`{owner}` 的公式用到自己", f"a formula of `{owner}` names `{owner}` itself"
    if owner in scope.later or owner in scope.later_steps:
        zh, en = f"`{name}` 在其后才算出", f"`{name}` is computed later; name only what comes before"
        return "pack.cycle", zh, en
    if owner in scope.layers:
        zh, en = did_you_mean(quantity, LAYER_QUANTITIES)
        return (
            "pack.unknown-name",
            f"层 `{owner}` 没有数量 `{quantity}`{zh}",
            f"layer `{owner}` has no `{quantity}`{en}",
        )
    if not scope.bill and (name in SUMS or quantity):
        zh, en = f"此处还没有账单数量 `{name}`", f"the quantity `{name}` of a bill is not known here"
        return "pack.unknown-name", zh, en
    if facts.get(name) is not None:
        return "pack.unknown-name", f"事实 `{name}` 不是数", f"the fact `{name}` is no number"
    known = [*others, *scope.names, *(SUMS if scope.bill else ())]
    known += [f"{layer}.{quantity}" for layer in scope.layers for quantity in LAYER_QUANTITIES]
    zh, en = did_you_mean(name, known)
    return "pack.unknown-name", f"未知的名称 `{name}`{zh}", f"unknown name `{name}`{en}"


def _position(text: str, name: str) -> int:
    match = re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text)
    return match.start() if match else 0


def _check_division(site: FormulaSite, expression: Expression, figures: Mapping[str, Fraction], report: Report) -> None:
    faults = [fault for value in _TRIES if (fault := _fault(expression, _lookup(figures, value))) is not None]
    if len(faults) == len(_TRIES):
        report.error(site.path, "pack.division-by-zero", faults[0].zh, faults[0].en, shift=faults[0].position)


def _lookup(figures: Mapping[str, Fraction], value: Fraction) -> Callable[[str], Fraction]:
    return lambda name: figures.get(name, value + len(name))


def _fault(expression: Expression, lookup: Callable[[str], Fraction]) -> FormulaError | None:
    try:
        expression.evaluate(lookup)
    except FormulaError as error:
        return error
    return None


def constant_of(text: str, document: PackDocument) -> Fraction | None:
    """The value of a formula that names nothing but figures of the pack; None of any other, and of a broken one."""
    figures = {name_of(name): Fraction(figure.value) for name, figure in document.figures.items()}
    try:
        expression = parse(text)
        return expression.evaluate(figures.__getitem__) if expression.names <= figures.keys() else None
    except FormulaError:
        return None
