"""How the parts of a pack are said, in Chinese and English: conditions, figures, periods. Shared by show and diff."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias

from shared.policy.document import (
    Adjust,
    Figure,
    FigureCase,
    FigureRule,
    Not,
    PackDocument,
    Range,
    Test,
    Text,
    Texts,
    When,
)
from shared.policy.vocabulary import STANDARD

Language: TypeAlias = Literal["zh", "en"]
Unit: TypeAlias = Literal["yuan", "ratio", "count", "days", "months"]

PERIODS: Final[Mapping[str, Mapping[Language, str]]] = {
    "visit": {"zh": "每次", "en": "a visit"},
    "episode": {"zh": "每一病程", "en": "an episode"},
    "day": {"zh": "每日", "en": "a day"},
    "month": {"zh": "每月", "en": "a month"},
    "quarter": {"zh": "每季度", "en": "a quarter"},
    "year": {"zh": "每年", "en": "a year"},
    "facility_year": {"zh": "每年每院", "en": "a year and facility"},
    "lifetime": {"zh": "终身", "en": "a lifetime"},
}
PARTS: Final[Mapping[str, Mapping[Language, str]]] = {
    "own": {"zh": "自费", "en": "outside the scope"},
    "over_ceiling": {"zh": "超限价", "en": "over the price ceiling"},
    "prepay": {"zh": "先行自付", "en": "pre-payment"},
    "deductible": {"zh": "起付", "en": "deductible"},
    "by_ratio": {"zh": "按比例自付", "en": "share by ratio"},
    "over_cap": {"zh": "超限额", "en": "over the limit"},
}
_OTHERS: Final[Mapping[Language, str]] = {"zh": "其余", "en": "others"}
_ALL: Final[Mapping[Language, str]] = {"zh": "全部", "en": "everybody"}


def text_of(text: Text, language: Language) -> str:
    """A text of the pack in a language; one written once serves both."""
    if isinstance(text, Texts):
        return text.zh if language == "zh" else text.en
    return text


def number_text(value: Decimal | Fraction | int) -> str:
    """A number as written: without exponent and idle zeros; a fraction that has no decimals stays a fraction."""
    exact = Fraction(value)
    rest = exact.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return f"{exact.numerator}/{exact.denominator}"
    digits = 0
    while (exact * 10**digits).denominator != 1:
        digits += 1
    return f"{Decimal(int(exact * 10**digits)).scaleb(-digits):f}"


def percent(ratio: Decimal | Fraction | int) -> str:
    """A ratio in percent, exactly."""
    return f"{number_text(Fraction(ratio) * 100)}%"


def amount(value: Decimal | Fraction, unit: Unit, language: Language) -> str:
    """A figure with its unit."""
    match unit:
        case "yuan":
            return f"{_grouped(value)}{'元' if language == 'zh' else ' yuan'}"
        case "ratio":
            return percent(value)
        case "days":
            return f"{number_text(value)}{'天' if language == 'zh' else ' days'}"
        case "months":
            return f"{number_text(value)}{'个月' if language == 'zh' else ' months'}"
    return number_text(value)


def _grouped(value: Decimal | Fraction) -> str:
    text = number_text(value)
    if "/" in text:
        return text
    whole, _, decimals = text.partition(".")
    grouped = f"{int(whole):,}" if not whole.startswith("-0") else whole
    return f"{grouped}.{decimals.ljust(2, '0')}" if decimals else grouped


class Names:
    """What facts are called: the standard ones, and those a pack declares."""

    def __init__(self, document: PackDocument, language: Language) -> None:
        self._document = document
        self.language: Language = language

    def fact(self, name: str) -> str:
        """A fact's name for readers."""
        declared = self._document.facts.get(name)
        if declared is not None and declared.title is not None:
            return text_of(declared.title, self.language)
        standard = STANDARD.get(name)
        if standard is None:
            return name
        if self.language == "zh":
            return standard.zh
        before, colon, _ = standard.en.partition(":")
        return before if colon else name.replace("_", " ")

    def when(self, condition: When) -> str:
        """A condition in words; everybody when there is none."""
        if not condition:
            return _ALL[self.language]
        return self._joined(self._test(name, test) for name, test in condition.items())

    def any_of(self, conditions: Sequence[When]) -> str:
        """Alternatives in words."""
        return (" 或 " if self.language == "zh" else " or ").join(self.when(condition) for condition in conditions)

    def _joined(self, parts: Iterator[str]) -> str:
        return ("，" if self.language == "zh" else ", ").join(parts)

    def _test(self, name: str, test: Test) -> str:
        if name == "if":
            return self._joined(str(comparison) for comparison in (test if isinstance(test, list) else [test]))
        fact = self.fact(name)
        if isinstance(test, Range):
            return f"{fact} {_range(test)}"
        if isinstance(test, Not):
            excluded = test.not_ if isinstance(test.not_, list) else [test.not_]
            return f"{fact}{'非' if self.language == 'zh' else ' not '}{self._words(excluded)}"
        if isinstance(test, bool):
            return self._flag(fact, test)
        return (
            f"{fact}{'为' if self.language == 'zh' else ' '}{self._words(test if isinstance(test, list) else [test])}"
        )

    def _flag(self, fact: str, value: bool) -> str:
        return f"{'' if value else ('非' if self.language == 'zh' else 'not ')}{fact}"

    def _words(self, words: Sequence[Any]) -> str:
        shown = [word if isinstance(word, str) else _scalar(word) for word in words]
        return ("、" if self.language == "zh" else " / ").join(shown)


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a figure and for whom it is; `value` is None when only a formula gives it."""

    who: str
    text: str
    value: Decimal | None
    clause: str | None = None
    unit: Unit = "count"


def cells(figure: Figure, unit: Unit, names: Names) -> list[Cell]:
    """The values of a figure one by one, then its adjustments and bounds."""
    if not isinstance(figure, FigureRule):
        return [_plain("", figure, unit, names)]
    found = [_with_clause(cell, figure.clause) for cell in _base(figure, unit, names)]
    found += [cell for adjust in figure.adjust for cell in _adjustment(adjust, unit, names)]
    for bound, zh, en in ((figure.at_least, "不低于", "at least"), (figure.at_most, "不高于", "at most")):
        if bound is not None:
            found.append(_plain(zh if names.language == "zh" else en, bound, unit, names))
    if figure.share == "person":
        found.append(
            Cell("", "所写为个人负担比例" if names.language == "zh" else "written as the person's share", None)
        )
    return found


def figure_text(figure: Figure, unit: Unit, names: Names) -> str:
    """A figure in one line."""
    return ("；" if names.language == "zh" else "; ").join(
        f"{cell.who}: {cell.text}" if cell.who else cell.text for cell in cells(figure, unit, names)
    )


def _base(rule: FigureRule, unit: Unit, names: Names) -> list[Cell]:
    if rule.table is not None:
        facts = [rule.by] if isinstance(rule.by, str) else list(rule.by or [])
        return list(_table(rule.table, facts, "", unit, names))
    if rule.cases is not None:
        return [cell for case in rule.cases for cell in _case(case, unit, names)]
    return [] if rule.value is None else [_plain("", rule.value, unit, names)]


def _table(table: Mapping[str, Any], facts: Sequence[str], before: str, unit: Unit, names: Names) -> Iterator[Cell]:
    for key, value in table.items():
        word = _row(key, facts[0], names)
        who = f"{before} · {word}" if before else word
        if isinstance(value, Mapping) and len(facts) > 1:
            yield from _table(value, facts[1:], who, unit, names)
        elif isinstance(value, Mapping):
            yield from (_below(who, cell) for cell in cells(FigureRule.model_validate(value), unit, names))
        else:
            yield _plain(who, value if isinstance(value, str | Decimal) else Decimal(str(value)), unit, names)


def _row(key: str, fact: str, names: Names) -> str:
    """A key of a table; a number says nothing without its fact."""
    if key == "otherwise":
        return _OTHERS[names.language]
    return f"{names.fact(fact)} {key}" if key[:1] in "0123456789<" else key


def _case(case: FigureCase, unit: Unit, names: Names) -> list[Cell]:
    who = _OTHERS[names.language] if case.otherwise else names.when(case.when)
    return [_with_clause(_below(who, cell), case.clause) for cell in cells(case.value, unit, names)]


def _below(who: str, cell: Cell) -> Cell:
    return replace(cell, who=f"{who} · {cell.who}" if cell.who else who)


def _with_clause(cell: Cell, clause: str | None) -> Cell:
    return replace(cell, clause=cell.clause or clause)


def _adjustment(adjust: Adjust, unit: Unit, names: Names) -> list[Cell]:
    """An adjustment, value by value when it is read from a table."""
    who = names.when(adjust.when)
    if adjust.set is not None:
        found = cells(adjust.set, unit, names)
    elif adjust.times is not None:
        found = [_changed(cell, f"× {_shown(cell)}", "count") for cell in cells(adjust.times, "count", names)]
    else:
        added = adjust.add if adjust.add is not None else Decimal(0)
        found = [_changed(cell, _added(cell, unit, names), unit) for cell in cells(added, unit, names)]
    return [_with_clause(_below(who, cell), adjust.clause) for cell in found]


def _changed(cell: Cell, text: str, unit: Unit) -> Cell:
    return replace(cell, text=text, unit=unit)


def _shown(cell: Cell) -> str:
    return cell.text if cell.value is None else number_text(cell.value)


def _added(cell: Cell, unit: Unit, names: Names) -> str:
    added = cell.value
    if added is None:
        return f"+ {cell.text}"
    sign = "−" if added < 0 else "+"
    if unit == "ratio":
        return f"{sign}{number_text(abs(added) * 100)}{'个百分点' if names.language == 'zh' else ' points'}"
    return f"{sign}{amount(abs(added), unit, names.language)}"


def _plain(who: str, value: Decimal | str, unit: Unit, names: Names) -> Cell:
    if isinstance(value, str):
        return Cell(who, value, None)
    return Cell(who, amount(value, unit, names.language), value, unit=unit)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value)


def _range(wanted: Range) -> str:
    if wanted.from_ is not None and wanted.to is not None:
        return f"{number_text(wanted.from_)}–{number_text(wanted.to)}"
    bounds = (("≥", wanted.from_), (">", wanted.above), ("≤", wanted.to), ("<", wanted.below))
    return " ".join(f"{sign} {number_text(value)}" for sign, value in bounds if value is not None)
