"""Figures: their form, the rows of their tables, and the values they can come to with their adjustments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from shared.policy.checking.conditions import of_a_line_elsewhere, tell_of_line, unknown_fact, unknown_word
from shared.policy.checking.facts import KnownFact, KnownFacts
from shared.policy.checking.formulas import constant_of
from shared.policy.checking.report import Path, Report, shown
from shared.policy.checking.sites import OTHERWISE, FigureSite, facts_of, range_of, row_when, rule_of
from shared.policy.checking.space import Box, Space, TooMany, met, overlapping, uncovered
from shared.policy.document import Adjust, Figure, FigureRule, PackDocument, When
from shared.policy.form import Words, formed
from shared.policy.issues import Issue
from shared.policy.source import Node, follow
from shared.policy.vocabulary import Kind

NOTHING_TO_ADD: Final[Words] = ("", "")
SEVERAL_AT_ONCE: Final[Words] = (
    "；可同时有几个词：就高时请写 value 与 adjust 的 set，由低到高",
    "; several words may hold at once: where the highest counts, write `value` and `adjust` with `set`, lowest first",
)
MAX_OUTCOMES: Final = 100_000
"""How many combinations of rows, cases and adjustments are looked at in the figures of one pack."""
MAX_ADJUSTS: Final = 30
"""How many adjustments of one figure are combined."""


class FigureCheck:
    """The checks of all figures of one pack."""

    def __init__(self, document: PackDocument, facts: KnownFacts, space: Space, root: Node, report: Report) -> None:
        self._document = document
        self._facts = facts
        self._space = space
        self._root = root
        self._report = report
        self._outcomes_left = MAX_OUTCOMES

    def check(self, site: FigureSite) -> None:
        """One figure, as it stands in its place."""
        figure = site.figure
        if isinstance(figure, FigureRule) and not self._has_form(site.path, figure):
            return
        region = self._space.box(*site.around)
        if self._space.never(region) is not None:
            return
        try:
            self._check_in(site, region)
        except TooMany:
            tell_too_many(site.path, self._report)

    def _check_in(self, site: FigureSite, region: Box) -> None:
        figure = site.figure
        if isinstance(figure, FigureRule) and figure.table is not None:
            self._table((*site.path, "table"), figure.table, facts_of(figure.by), region)
        if isinstance(figure, FigureRule) and figure.cases is not None:
            self._cases(site, figure, region)
        self._values(site, region)

    # ---------------------------------------------------------------------------------------------- form

    def _has_form(self, path: Path, rule: FigureRule) -> bool:
        before = len(self._report.issues)
        given = [key for key in ("value", "table", "cases") if getattr(rule, key) is not None]
        if len(given) != 1:
            self._one_of(path, "value", "table", "cases")
        if (rule.table is None) != (rule.by is None):
            zh, en = "`by` 与 `table` 须同时写", "`by` and `table` go together"
            self._report.error(path, "pack.figure", zh, en)
        for index, adjust in enumerate(rule.adjust):
            if sum(getattr(adjust, key) is not None for key in ("add", "times", "set")) != 1:
                self._one_of((*path, "adjust", index), "add", "times", "set")
        self._has_one_rest(path, rule)
        return len(self._report.issues) == before

    def _one_of(self, path: Path, *keys: str) -> None:
        zh, en = f"须写 {'、'.join(keys)} 之一", f"exactly one of {', '.join(keys)} must be given"
        self._report.error(path, "pack.figure", zh, en)

    def _has_one_rest(self, path: Path, rule: FigureRule) -> None:
        for index, case in enumerate(rule.cases or ()):
            here = (*path, "cases", index)
            if case.otherwise and case.when:
                zh, en = "otherwise 不再带条件", "`otherwise` takes no condition"
                self._report.error(here, "pack.figure", zh, en)
            elif case.otherwise and any(other.otherwise for other in (rule.cases or ())[:index]):
                self._report.error(here, "pack.two-rules", "只能有一个 otherwise", "a second `otherwise`")
            elif not case.otherwise and not case.when:
                zh, en = "情形须有条件，或写 otherwise: true", "a case needs a condition, or `otherwise: true`"
                self._report.error(here, "pack.figure", zh, en)

    # -------------------------------------------------------------------------------------------- tables

    def _table(self, path: Path, table: Mapping[str, Any], by: Sequence[str], region: Box) -> None:
        if not table or not by:
            self._report.error(path, "pack.table", "表是空的", "the table is empty")
            return
        fact = self._facts.get(by[0])
        if fact is None:
            here = (*path[:-1], "by") if path[-1] == "table" else path
            unknown_fact(here, by[0], self._facts, self._report, at_key=False)
            return
        if of_a_line_elsewhere(path, fact):
            tell_of_line((*path[:-1], "by") if path[-1] == "table" else path, fact, self._report, at_key=False)
            return
        good = [key for key in table if self._key_fits((*path, key), key, fact)]
        if len(good) == len(table):
            self._rows(path, [key for key in good if key != OTHERWISE], fact, region, open_end=OTHERWISE not in table)
        for key, value in table.items():
            inside = met(region, self._row(by[0], key)) if key in good else region
            self._row_value((*path, key), value, by[1:], inside)

    def _row_value(self, path: Path, value: Any, by: Sequence[str], region: Box) -> None:
        if by and isinstance(value, dict):
            self._table(path, value, by, region)
        elif by:
            zh, en = f"此处须按 `{by[0]}` 再分", f"expected rows for `{by[0]}` here"
            self._report.error(path, "pack.table", zh, en)
        elif isinstance(value, dict):
            self._report.issues += self._faults_of_rule(path)
        elif isinstance(value, bool) or not isinstance(value, Decimal | str):
            zh, en = "表中须是数或公式", "expected a number or a formula in the table"
            self._report.error(path, "pack.type", zh, en)

    def _faults_of_rule(self, path: Path) -> list[Issue]:
        return formed(FigureRule, follow(self._root, path)[-1])[1]

    def _row(self, fact: str, key: str) -> Box:
        return self._space.box(row_when(fact, key))

    def _key_fits(self, path: Path, key: str, fact: KnownFact) -> bool:
        if key == OTHERWISE:
            return True
        if fact.kind is Kind.NUMBER and range_of(key) is None:
            zh = f"`{fact.name}` 是数：键须如 1、18-59、60+、<18"
            en = f"`{fact.name}` is a number: write its rows as 1, 18-59, 60+ or <18"
        elif fact.kind is Kind.FLAG and key not in ("true", "false"):
            zh, en = f"`{fact.name}` 的键须是 true 或 false", f"`{fact.name}` is read by true and false"
        elif fact.words is not None and key not in fact.words:
            unknown_word(path, fact.name, key, fact.words, self._report, at_key=True)
            return False
        else:
            return True
        self._report.error(path, "pack.table", zh, en, at_key=True)
        return False

    def _rows(self, path: Path, keys: Sequence[str], fact: KnownFact, region: Box, *, open_end: bool) -> None:
        boxes = [self._row(fact.name, key) for key in keys]
        for key, box in zip(keys, boxes, strict=True):
            if fact.kind is Kind.NUMBER and not all(box.values()):
                zh, en = f"没有数在 {key} 之内", f"no number of `{fact.name}` is in {key}"
                self._report.error((*path, key), "pack.range", zh, en, at_key=True)
        if fact.kind is Kind.NUMBER:
            self._overlapping_rows(path, keys, boxes, NOTHING_TO_ADD)
        if fact.kind is Kind.WORDS:
            self._overlapping_rows(path, keys, [met(region, box) for box in boxes], SEVERAL_AT_ONCE)
        if open_end:
            self._missing_rows(path, boxes, fact, region)

    def _overlapping_rows(self, path: Path, keys: Sequence[str], boxes: Sequence[Box], hint: Words) -> None:
        for first, second in overlapping(self._space, list(enumerate(boxes))):
            example = self._space.example(met(boxes[first], boxes[second]))
            zh = f"行 {keys[first]} 与 {keys[second]} 重叠，如 {example}{hint[0]}"
            en = f"the rows {keys[first]} and {keys[second]} overlap, as for {example}{hint[1]}"
            self._report.error((*path, keys[second]), "pack.two-rules", zh, en, at_key=True)

    def _missing_rows(self, path: Path, boxes: Sequence[Box], fact: KnownFact, region: Box) -> None:
        axis = self._space.axes[fact.name]
        here = region.get(fact.name, axis.everything)
        covered = 0
        for box in boxes:
            covered |= box.get(fact.name, 0)
        missing = here & ~covered
        if missing and fact.declared:
            example = f"{fact.name}={axis.example(missing)}"
            zh, en = f"表中没有 {example} 的行，也没有 otherwise", f"no row for {example}, and no `otherwise`"
            self._report.error(path, "pack.gap", zh, en, at_key=True)

    # --------------------------------------------------------------------------------------------- cases

    def _cases(self, site: FigureSite, rule: FigureRule, region: Box) -> None:
        cases = [(number, case) for number, case in enumerate(rule.cases or ()) if not case.otherwise]
        boxes = [(number, met(region, self._space.box(case.when))) for number, case in cases]
        by_number = dict(boxes)
        for first, second in overlapping(self._space, boxes):
            one, other = by_number[first], by_number[second]
            if self._space.asks_formulas(one) != self._space.asks_formulas(other):
                continue
            both = met(one, other)
            example = self._space.example(both)
            hint = SEVERAL_AT_ONCE if self._several(both) else NOTHING_TO_ADD
            zh = f"与第{first + 1}种情形重叠，如 {example}{hint[0]}"
            en = f"overlaps with case {first + 1}, as for {example}{hint[1]}"
            self._report.error((*site.path, "cases", second), "pack.two-rules", zh, en)
        if len(cases) == len(rule.cases or ()):
            tell_uncovered(
                self._space,
                region,
                [box for _, box in boxes],
                self._report,
                (*site.path, "cases"),
                ("没有情形适用于 {example}，也没有 otherwise", "no case fits {example}, and there is no `otherwise`"),
            )

    def _several(self, box: Box) -> bool:
        """Whether it asks a fact that may have several words at once."""
        return any(self._space.axes[name].kind is Kind.WORDS for name in box)

    # -------------------------------------------------------------------------------------------- values

    def _values(self, site: FigureSite, region: Box) -> None:
        """A value that a figure can come to, known from constants alone, and that is none of its kind."""
        for outcome in self._outcomes(site.path, site.figure, region):
            self._outcomes_left -= 1
            if self._outcomes_left < 0:
                raise TooMany
            if outcome.value is None or not all(outcome.region.values()):
                continue
            if site.role == "ratio" and not 0 <= outcome.value <= 1:
                self._bad_ratio(outcome.path, outcome)
                return
            if site.role in ("yuan", "price") and outcome.written:
                self._amount(outcome.path, outcome.value, decimals=2 if site.role == "yuan" else 6)

    def _amount(self, path: Path, value: Fraction, *, decimals: int) -> None:
        """Amounts as written; one that comes out below 0 after adjustments counts as 0."""
        if value < 0:
            zh, en = f"金额为负：{shown(value)}", f"a negative amount: {shown(value)}"
            self._report.error(path, "pack.negative", zh, en)
        if (value * 10**decimals).denominator != 1:
            zh, en = f"{shown(value)} 超过{decimals}位小数", f"{shown(value)} has more than {decimals} decimals"
            self._report.error(path, "pack.decimals", zh, en)

    def _bad_ratio(self, path: Path, outcome: Outcome) -> None:
        example = "" if outcome.written else self._space.example(outcome.region)
        zh = f"比例 {shown(outcome.value)} 不在 0 到 1 之间" + (f"，如 {example}" if example else "")
        en = f"the ratio {shown(outcome.value)} is not within 0 to 1" + (f", as for {example}" if example else "")
        self._report.error(path, "pack.ratio", zh, en)

    def _outcomes(self, path: Path, figure: Figure, region: Box) -> Iterator[Outcome]:
        if isinstance(figure, FigureRule):
            yield from self._rule_outcomes(path, figure, region)
        elif isinstance(figure, str):
            yield Outcome(region, constant_of(figure, self._document), path, written=False)
        else:
            yield Outcome(region, Fraction(figure), path, written=True)

    def _rule_outcomes(self, path: Path, rule: FigureRule, region: Box) -> Iterator[Outcome]:
        if len(rule.adjust) > MAX_ADJUSTS:
            raise TooMany
        for base in self._base_outcomes(path, rule, region):
            if base.written and base.value is not None and not 0 <= base.value <= 1:
                # As written it is no ratio, though an upper limit may hide it.
                yield base
            for adjusted in self._adjusted(path, base, rule.adjust, 0):
                yield self._bounded(path, adjusted, rule)

    def _base_outcomes(self, path: Path, rule: FigureRule, region: Box) -> Iterator[Outcome]:
        for index, case in enumerate(rule.cases or ()):
            inside = met(region, self._space.box(case.when))
            yield from self._outcomes((*path, "cases", index, "value"), case.value, inside)
        if rule.value is not None:
            yield from self._outcomes((*path, "value"), rule.value, region)
        if rule.table is not None:
            yield from self._rows_outcomes((*path, "table"), rule.table, facts_of(rule.by), region)

    def _rows_outcomes(self, path: Path, table: Mapping[str, Any], by: Sequence[str], region: Box) -> Iterator[Outcome]:
        for key, value in table.items():
            inside = met(region, self._row(by[0], key)) if by[0] in self._space.axes else region
            here = (*path, key)
            if len(by) > 1:
                yield from self._rows_outcomes(here, value, by[1:], inside) if isinstance(value, dict) else ()
            elif isinstance(value, dict):
                rule = rule_of(value)
                yield from self._rule_outcomes(here, rule, inside) if rule is not None else ()
            elif isinstance(value, Decimal | str):
                yield from self._outcomes(here, value, inside)

    def _adjusted(self, path: Path, base: Outcome, adjusts: Sequence[Adjust], index: int) -> Iterator[Outcome]:
        """The outcomes after an adjustment that holds, and after one that does not."""
        if index == len(adjusts) or not all(base.region.values()):
            yield base
            return
        adjust = adjusts[index]
        inside = met(base.region, self._space.box(adjust.when))
        here = (*path, "adjust", index)
        for changed in self._changed(here, base, adjust, inside):
            yield from self._adjusted(path, changed, adjusts, index + 1)
        for outside in self._outside(base.region, adjust.when):
            unchanged = Outcome(outside, base.value, base.path, base.written)
            yield from self._adjusted(path, unchanged, adjusts, index + 1)

    def _outside(self, region: Box, when: When) -> Iterator[Box]:
        for name, bits in self._space.box(when).items():
            axis = self._space.axes[name]
            yield met(region, {name: axis.everything & ~bits})

    def _changed(self, path: Path, base: Outcome, adjust: Adjust, region: Box) -> Iterator[Outcome]:
        """What an adjustment that holds makes of an outcome, for each value that its operand can have."""
        for key, operand in (("set", adjust.set), ("add", adjust.add), ("times", adjust.times)):
            for other in self._outcomes((*path, key), operand, region) if operand is not None else ():
                value = _combined(key, base.value, other.value)
                yield Outcome(other.region, value, other.path, written=key == "set" and other.written)

    def _bounded(self, path: Path, outcome: Outcome, rule: FigureRule) -> Outcome:
        for key, bound, extreme in (("at_least", rule.at_least, max), ("at_most", rule.at_most, min)):
            if bound is not None:
                limit = self._constant(bound)
                value = None if limit is None or outcome.value is None else extreme(outcome.value, limit)
                if value != outcome.value:
                    outcome = Outcome(outcome.region, value, (*path, key), written=isinstance(bound, Decimal))
        if rule.share == "person" and outcome.value is not None:
            return Outcome(outcome.region, 1 - outcome.value, outcome.path, written=False)
        return outcome

    def _constant(self, operand: Decimal | str) -> Fraction | None:
        return constant_of(operand, self._document) if isinstance(operand, str) else Fraction(operand)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A value that a figure comes to in a part of the space; None when it is not a constant. `written`: it stands
    there as it is, at `path`."""

    region: Box
    value: Fraction | None
    path: Path
    written: bool


def tell_uncovered(
    space: Space,
    region: Box,
    boxes: Sequence[Box],
    report: Report,
    path: Path,
    words: tuple[str, str],
    code: str = "pack.gap",
) -> None:
    """Tell a case in the region that no box fits: an error where its facts are declared, else a warning.

    Of facts that are not declared, and of comparisons, nobody knows all values: what depends on them is not an error.
    """
    held = [box for box in boxes if all(box.values())]
    try:
        gap = uncovered(space, region, [space.without_open(box) for box in held])
        error = gap is not None
        if gap is None:
            gap = uncovered(space, region, [_without_formulas(space, box) for box in held])
    except TooMany:
        tell_too_many(path, report)
        return
    if gap is not None:
        hint = NOTHING_TO_ADD if error else _undeclared(space, gap)
        zh, en = (word.format(example=space.example(gap)) for word in words)
        report.tell(path, code, zh + hint[0], en + hint[1], error=error)


def _undeclared(space: Space, gap: Box) -> Words:
    """What would make a gap certain, or close it: the words of the facts that are not declared."""
    names = [name for name in gap if not space.axes[name].declared and not space.axes[name].formula]
    if not names:
        return NOTHING_TO_ADD
    facts = ", ".join(f"`{name}`" for name in names)
    zh = f"；请在 facts 中声明 {facts} 的取值，或写 otherwise"
    return zh, f"; declare the values of {facts} under `facts`, or write an `otherwise`"


def tell_too_many(path: Path, report: Report) -> None:
    """Say that a search was given up."""
    zh, en = "组合过多，未能查完", "too many combinations: not all of them were checked"
    report.warn(path, "pack.not-checked", zh, en, at_key=True)


def _without_formulas(space: Space, box: Box) -> Box:
    formulas = space.asks_formulas(box)
    return {name: bits for name, bits in box.items() if name not in formulas}


def _combined(key: str, value: Fraction | None, operand: Fraction | None) -> Fraction | None:
    if key == "set":
        return operand
    if value is None or operand is None:
        return None
    return value + operand if key == "add" else value * operand
