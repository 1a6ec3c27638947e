"""Where a pack holds conditions, figures and formulas, with what holds around them and the names they may use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from pydantic import ValidationError

from shared.policy.checking.report import Path
from shared.policy.conditions import FORMULA
from shared.policy.document import (
    Benefit,
    Calculation,
    Cap,
    Figure,
    FigureRule,
    ItemRule,
    Layer,
    Limit,
    Not,
    PackDocument,
    Range,
    Test,
    When,
)

Role: TypeAlias = Literal["yuan", "price", "ratio", "number"]

SUMS: Final = frozenset({"total", "own", "over_ceiling", "prepay", "in_scope", "paid", "person"})
LAYER_QUANTITIES: Final = frozenset(
    {
        *("basis", "limited", "deductible", "eligible", "fund", "by_ratio"),
        *("over_cap", "over_limit", "used", "left", "cap_left"),
    }
)
OTHERWISE: Final = "otherwise"
"""The key of a table for what has no row."""

_RANGE: Final = re.compile(
    r"(?P<from>[0-9]+(?:\.[0-9]+)?)(?:-(?P<to>[0-9]+(?:\.[0-9]+)?)|\+)"
    r"|<(?P<below>[0-9]+(?:\.[0-9]+)?)|(?P<only>[0-9]+(?:\.[0-9]+)?)"
)

OPEN_PREFIXES: Final = frozenset({"tag", "tag_scope", "class", "class_scope"})
"""`tag.X` is the amount of the lines with that tag."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The names a formula may use beside facts and figures. Layers are told by their ids as formulas write them."""

    names: frozenset[str] = frozenset()
    bill: bool = False
    layers: tuple[str, ...] = ()
    itself: str | None = None
    later: tuple[str, ...] = ()
    later_steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WhenSite:
    """A condition. `around` are the conditions that hold wherever it is asked."""

    path: Path
    when: When
    scope: Scope
    around: tuple[When, ...] = ()


@dataclass(frozen=True, slots=True)
class FigureSite:
    """A figure."""

    path: Path
    figure: Figure
    role: Role
    scope: Scope
    around: tuple[When, ...] = ()


@dataclass(frozen=True, slots=True)
class FormulaSite:
    """A formula."""

    path: Path
    text: str
    scope: Scope
    comparison: bool = False


@dataclass(slots=True)
class Sites:
    """All of a pack."""

    whens: list[WhenSite] = field(default_factory=list)
    figures: list[FigureSite] = field(default_factory=list)
    formulas: list[FormulaSite] = field(default_factory=list)


def name_of(written_id: str) -> str:
    """An id as formulas write it."""
    return written_id.replace("-", "_")


def sites_of(document: PackDocument) -> Sites:
    """All conditions, figures and formulas of a pack."""
    sites = Sites()
    for index, rule in enumerate(document.items):
        _item(sites, ("items", index), rule, ())
    for index, benefit in enumerate(document.benefits):
        _benefit(sites, ("benefits", index), benefit)
    for index, calculation in enumerate(document.calculations):
        _calculation(sites, ("calculations", index), calculation)
    for figure in list(sites.figures):
        _inside_figure(sites, figure)
    for when in sites.whens:
        sites.formulas += _comparisons(when)
    return sites


def _comparisons(site: WhenSite) -> Iterator[FormulaSite]:
    """The comparisons of a condition; what is none is told of apart."""
    path, written = (*site.path, FORMULA), site.when.get(FORMULA)
    if isinstance(written, str):
        yield FormulaSite(path, written, site.scope, comparison=True)
    for index, text in enumerate(written if isinstance(written, list) else ()):
        if isinstance(text, str):
            yield FormulaSite((*path, index), text, site.scope, comparison=True)


def _item(sites: Sites, path: Path, rule: ItemRule, around: tuple[When, ...]) -> None:
    scope = Scope()
    sites.whens.append(WhenSite((*path, "when"), rule.when, scope, around))
    inside = (*around, rule.when)
    if rule.ceiling is not None and rule.ceiling != "line":
        sites.figures.append(FigureSite((*path, "ceiling"), rule.ceiling, "price", scope, inside))
    if rule.prepay != "line":
        sites.figures.append(FigureSite((*path, "prepay"), rule.prepay, "ratio", scope, inside))
    if rule.limit is not None:
        limit = (*path, "limit")
        _figure(sites, (*limit, "amount"), rule.limit.amount, "yuan", scope, inside)
        _figure(sites, (*limit, "quantity"), rule.limit.quantity, "number", scope, inside)


def _figure(
    sites: Sites, path: Path, figure: Figure | None, role: Role, scope: Scope, around: tuple[When, ...]
) -> None:
    if figure is not None:
        sites.figures.append(FigureSite(path, figure, role, scope, around))


def _benefit(sites: Sites, path: Path, benefit: Benefit) -> None:
    sites.whens.append(WhenSite((*path, "when"), benefit.when, Scope()))
    around = (benefit.when,)
    for index, rule in enumerate(benefit.items):
        _item(sites, (*path, "items", index), rule, around)
    ids = [name_of(layer.id) for layer in benefit.layers]
    for index, layer in enumerate(benefit.layers):
        scope = Scope(bill=True, layers=tuple(ids[:index]), itself=ids[index], later=tuple(ids[index + 1 :]))
        _layer(sites, (*path, "layers", index), layer, scope, around)
    if benefit.account is not None:
        after = Scope(bill=True, layers=tuple(ids))
        sites.whens.append(WhenSite((*path, "account", "when"), benefit.account.when, after, around))


def _layer(sites: Sites, path: Path, layer: Layer, scope: Scope, around: tuple[When, ...]) -> None:
    sites.whens.append(WhenSite((*path, "when"), layer.when, scope, around))
    inside = (*around, layer.when)
    sites.formulas.append(FormulaSite((*path, "basis"), layer.basis, scope))
    if layer.deductible is not None:
        deductible = (*path, "deductible")
        sites.figures.append(FigureSite((*deductible, "amount"), layer.deductible.amount, "yuan", scope, inside))
        if layer.deductible.limit is not None:
            _figure(sites, (*deductible, "limit", "amount"), layer.deductible.limit.amount, "yuan", scope, inside)
        for index, waived in enumerate(layer.deductible.waived):
            sites.whens.append(WhenSite((*deductible, "waived", index), waived, scope, inside))
    limits: list[tuple[Path, Limit | Cap]] = [((*path, "limits", n), limit) for n, limit in enumerate(layer.limits)]
    limits += [((*path, "caps", n), cap) for n, cap in enumerate(layer.caps)]
    for here, bound in limits:
        sites.whens.append(WhenSite((*here, "when"), bound.when, scope, inside))
        sites.figures.append(FigureSite((*here, "amount"), bound.amount, "yuan", scope, (*inside, bound.when)))
    _shares(sites, path, layer, scope, inside)


def _shares(sites: Sites, path: Path, layer: Layer, scope: Scope, inside: tuple[When, ...]) -> None:
    _figure(sites, (*path, "ratio"), layer.ratio, "ratio", scope, inside)
    if layer.fixed is not None:
        sites.figures.append(FigureSite((*path, "fixed", "amount"), layer.fixed.amount, "yuan", scope, inside))
    if layer.person_ceiling is not None:
        ceiling = layer.person_ceiling.amount
        sites.figures.append(FigureSite((*path, "person_ceiling", "amount"), ceiling, "yuan", scope, inside))
    for index, band in enumerate(layer.tiers.bands if layer.tiers else ()):
        here = (*path, "tiers", "bands", index)
        _figure(sites, (*here, "to"), band.to, "yuan", scope, inside)
        sites.figures.append(FigureSite((*here, "ratio"), band.ratio, "ratio", scope, inside))


def _calculation(sites: Sites, path: Path, calculation: Calculation) -> None:
    sites.whens.append(WhenSite((*path, "when"), calculation.when, Scope()))
    needs = frozenset(name_of(need) for need in calculation.needs)
    steps = [name_of(step.id) for step in calculation.steps]
    for index, step in enumerate(calculation.steps):
        before, after = frozenset(steps[:index]), tuple(steps[index + 1 :])
        scope = Scope(names=needs | before, itself=steps[index], later_steps=after)
        here = (*path, "steps", index)
        sites.whens.append(WhenSite((*here, "when"), step.when, scope, (calculation.when,)))
        inside = (calculation.when, step.when)
        sites.figures.append(FigureSite((*here, "figure"), step.figure, "number", scope, inside))


# ------------------------------------------------------------------------------------------- inside figures


def _inside_figure(sites: Sites, site: FigureSite) -> None:
    """Adds the conditions and formulas of a figure, and the figures inside it."""
    figure = site.figure
    if isinstance(figure, str):
        sites.formulas.append(FormulaSite(site.path, figure, site.scope))
    if not isinstance(figure, FigureRule):
        return
    for key in ("value", "at_least", "at_most"):
        _formula(sites, site, (*site.path, key), getattr(figure, key))
    by = facts_of(figure.by)
    for path, when, leaf in table_rows((*site.path, "table"), figure.table or {}, by) if by else ():
        _formula(sites, site, path, leaf)
        if (rule := rule_of(leaf)) is not None:
            inner = FigureSite(path, rule, site.role, site.scope, (*site.around, when))
            sites.figures.append(inner)
            _inside_figure(sites, inner)
    for index, case in enumerate(figure.cases or ()):
        here = (*site.path, "cases", index)
        sites.whens.append(WhenSite((*here, "when"), case.when, site.scope, site.around))
        inner = FigureSite((*here, "value"), case.value, site.role, site.scope, (*site.around, case.when))
        sites.figures.append(inner)
        _inside_figure(sites, inner)
    for index, adjust in enumerate(figure.adjust):
        here = (*site.path, "adjust", index)
        sites.whens.append(WhenSite((*here, "when"), adjust.when, site.scope, site.around))
        for key in ("add", "times", "set"):
            _operand(
                sites, site, (*here, key), getattr(adjust, key), adjust.when, "number" if key != "set" else site.role
            )


def _operand(sites: Sites, site: FigureSite, path: Path, figure: Figure | None, when: When, role: Role) -> None:
    """What an adjustment adds, multiplies by or sets."""
    _formula(sites, site, path, figure)
    if isinstance(figure, FigureRule):
        inner = FigureSite(path, figure, role, site.scope, (*site.around, when))
        sites.figures.append(inner)
        _inside_figure(sites, inner)


def _formula(sites: Sites, site: FigureSite, path: Path, value: Decimal | str | Any | None) -> None:
    if isinstance(value, str):
        sites.formulas.append(FormulaSite(path, value, site.scope))


def table_rows(path: Path, table: Mapping[str, Any], by: Sequence[str]) -> Iterator[tuple[Path, When, Any]]:
    """The innermost figures of a table, each with its path and the condition under which it is read. Rows that do
    not go as deep as the facts are left out."""
    for key, value in table.items():
        here = (*path, key)
        when = row_when(by[0], key)
        if len(by) == 1:
            yield here, when, value
        elif isinstance(value, dict):
            yield from ((inner, {**when, **deeper}, leaf) for inner, deeper, leaf in table_rows(here, value, by[1:]))


def row_when(fact: str, key: str) -> When:
    """The condition that a row's key stands for; `otherwise` is not told apart from everything."""
    if key == OTHERWISE:
        return {}
    if key in ("true", "false"):
        return {fact: key == "true"}
    numbers = range_of(key)
    return {fact: key if numbers is None else numbers}


def range_of(key: str) -> Range | None:
    """The numbers that a key such as `1`, `18-59`, `60+` or `<18` stands for."""
    match = _RANGE.fullmatch(key)
    if match is None:
        return None
    limits = {name: Decimal(text) for name, text in match.groupdict().items() if text is not None}
    if "only" in limits:
        return Range.model_validate({"from": limits["only"], "to": limits["only"]})
    return Range.model_validate(limits)


def rule_of(leaf: Any) -> FigureRule | None:
    """The rule that a table holds in place of a number; None when it is none, or is not of its form."""
    if not isinstance(leaf, dict):
        return None
    try:
        return FigureRule.model_validate(leaf, strict=True, by_alias=True, by_name=False)
    except ValidationError:
        return None


def facts_of(by: str | Sequence[str] | None) -> tuple[str, ...]:
    """The facts a table is read by, from outside to inside."""
    if by is None:
        return ()
    return (by,) if isinstance(by, str) else tuple(by)


def options_of(test: Test) -> list[Any]:
    """The words or numbers a test names, with those it excludes."""
    if isinstance(test, Range):
        return []
    inner = test.not_ if isinstance(test, Not) else test
    return list(inner) if isinstance(inner, list | tuple) else [inner]
