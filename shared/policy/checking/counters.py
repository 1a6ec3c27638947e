"""Counters: that one name counts one kind of thing, and that benefits share one only on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from shared.policy.checking.facts import KnownFacts
from shared.policy.checking.report import Path, Report
from shared.policy.checking.space import Box, Space, apart
from shared.policy.document import ItemRule, Layer, PackDocument, Period
from shared.policy.vocabulary import Of

_RESERVED: Final = frozenset({"admissions", "admissions-of"})
_WITHIN_A_BILL: Final = frozenset({"visit", "episode"})
_KINDS: Final = {
    "deductible": "起付线",
    "deductibles": "起付累计上限",
    "expense": "费用限额",
    "fund": "支付限额",
    "sum": "累计分段",
    "person": "封顶自付",
    "items": "目录限额",
}


@dataclass(frozen=True, slots=True)
class _Use:
    """A rule that runs in a counter. `benefit` is None for a rule of all benefits."""

    path: Path
    counter: str
    kind: str
    per: Period
    named: bool
    benefit: int | None


def check_counters(document: PackDocument, facts: KnownFacts, space: Space, report: Report) -> None:
    """All counters of a pack."""
    by_name: dict[str, list[_Use]] = {}
    for use in _uses(document):
        by_name.setdefault(use.counter, []).append(use)
    persons = [_of_person(space.box(benefit.when), facts) for benefit in document.benefits]
    for name, uses in by_name.items():
        if name in _RESERVED:
            zh, en = f"`{name}` 是住院次数", f"`{name}` counts admissions"
            report.error(uses[0].path, "pack.counter", zh, en)
        _check_kinds(name, uses, report)
        _check_shared(name, uses, persons, report)


def counters_of(document: PackDocument) -> frozenset[str]:
    """The names of all counters a pack may move, without their periods."""
    rules = [*document.items, *(rule for benefit in document.benefits for rule in benefit.items)]
    limited = {(rule.limit.counter if rule.limit else None) or rule.id for rule in rules}
    of_layers = {
        use.counter
        for index, benefit in enumerate(document.benefits)
        for layer in benefit.layers
        for use in _layer_uses((), layer, index)
    }
    return frozenset({*_RESERVED, *limited, *(f"{counter}-quantity" for counter in limited), *of_layers})


def _check_kinds(name: str, uses: list[_Use], report: Report) -> None:
    first = uses[0]
    for use in uses[1:]:
        if use.kind != first.kind:
            zh = f"累计 `{name}` 已用于{_KINDS[first.kind]}（{report.where(first.path)}）"
            en = f"the counter `{name}` runs for the {first.kind} at {report.where(first.path)} already"
            report.error(use.path, "pack.counter", zh, en)


def _check_shared(name: str, uses: list[_Use], persons: list[Box], report: Report) -> None:
    """Two benefits of one person that run in one counter because their layers happen to have one name."""
    for one, other in combinations(uses, 2):
        apart_anyway = one.benefit is None or other.benefit is None or one.benefit == other.benefit
        if apart_anyway or one.named or other.named or one.per != other.per:
            continue
        if not apart(persons[one.benefit or 0], persons[other.benefit or 0]):
            zh = f"与另一待遇（{report.where(one.path)}）共用累计 `{name}`；若是有意，请写 counter"
            en = (
                f"shares the counter `{name}` with another benefit ({report.where(one.path)}); name it if that is meant"
            )
            report.warn(other.path, "pack.shared-counter", zh, en)
            return


def _of_person(box: Box, facts: KnownFacts) -> Box:
    return {name: bits for name, bits in box.items() if (fact := facts.get(name)) and fact.of is Of.PERSON}


def _uses(document: PackDocument) -> Iterator[_Use]:
    yield from _item_uses(("items",), document.items, None)
    for index, benefit in enumerate(document.benefits):
        yield from _item_uses(("benefits", index, "items"), benefit.items, index)
        for number, layer in enumerate(benefit.layers):
            for use in _layer_uses(("benefits", index, "layers", number), layer, index):
                if use.named or use.per not in _WITHIN_A_BILL:
                    yield use


def _item_uses(path: Path, rules: list[ItemRule], benefit: int | None) -> Iterator[_Use]:
    for index, rule in enumerate(rules):
        limit = rule.limit
        if limit is not None and (limit.counter or limit.per not in _WITHIN_A_BILL):
            here = (*path, index, "limit")
            yield _Use(here, limit.counter or rule.id, "items", limit.per, limit.counter is not None, benefit)


def _layer_uses(path: Path, layer: Layer, benefit: int) -> Iterator[_Use]:
    tiers = layer.tiers
    rules = [
        ("deductible", ("deductible",), layer.deductible),
        ("deductibles", ("deductible", "limit"), layer.deductible and layer.deductible.limit),
        *(("expense", ("limits", number), limit) for number, limit in enumerate(layer.limits)),
        *(("fund", ("caps", number), cap) for number, cap in enumerate(layer.caps)),
        ("person", ("person_ceiling",), layer.person_ceiling),
    ]
    for kind, below, rule in rules:
        if rule is not None:
            default = f"{layer.id}-{kind}"
            yield _Use((*path, *below), rule.counter or default, kind, rule.per, rule.counter is not None, benefit)
    if tiers is not None and tiers.running is not None:
        counter = tiers.counter or f"{layer.id}-sum"
        yield _Use((*path, "tiers"), counter, "sum", tiers.running, tiers.counter is not None, benefit)
