"""Conditions that cannot mean what they say: unknown facts and words, tests of the wrong kind, empty ranges."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from shared.policy.checking.facts import KnownFact, KnownFacts, range_fault
from shared.policy.checking.report import Path, Report
from shared.policy.checking.sites import WhenSite, options_of
from shared.policy.conditions import FORMULA
from shared.policy.document import Range, Test
from shared.policy.issues import did_you_mean, listed
from shared.policy.vocabulary import Kind, Of

_WANTED = {
    Kind.WORD: ("一个词", "a word"),
    Kind.WORDS: ("词", "words"),
    Kind.NUMBER: ("数", "a number"),
    Kind.FLAG: ("true 或 false", "true or false"),
}


def check_conditions(sites: Iterable[WhenSite], facts: KnownFacts, report: Report) -> None:
    """All conditions of a pack."""
    for site in sites:
        for name, test in site.when.items():
            path = (*site.path, name)
            if name != FORMULA:
                check_test(path, name, test, facts, report)
            elif not _is_comparisons(test):
                zh, en = "`if` 须是比较公式，或其列表", "`if` takes a formula with a comparison, or a list of them"
                report.error(path, "pack.condition", zh, en)


def _is_comparisons(test: Test) -> bool:
    return isinstance(test, str) or (isinstance(test, list) and all(isinstance(text, str) for text in test))


def check_test(path: Path, name: str, test: Test, facts: KnownFacts, report: Report) -> None:
    """One test of a fact."""
    fact = facts.get(name)
    if fact is None:
        unknown_fact(path, name, facts, report)
    elif of_a_line_elsewhere(path, fact):
        tell_of_line(path, fact, report)
    elif isinstance(test, Range):
        if fact.kind is not Kind.NUMBER:
            _wrong_kind(path, fact, report)
        elif why := range_fault(test):
            report.error(path, "pack.range", *why)
    else:
        for option in options_of(test):
            check_value(path, fact, option, report)


def of_a_line_elsewhere(path: Path, fact: KnownFact) -> bool:
    """Whether a fact of a line is asked where there is no line: only item rules look at lines."""
    return fact.of is Of.LINE and "items" not in path


def tell_of_line(path: Path, fact: KnownFact, report: Report, *, at_key: bool = True) -> None:
    """A fact of a line outside the item rules, which nothing there could ever fulfil."""
    zh = f"`{fact.name}` 属于费用明细，只有目录规则能问；层中请用 class_scope、tag_scope 等合计"
    en = f"`{fact.name}` is of a line, which only item rules look at; layers name sums such as class_scope or tag_scope"
    report.error(path, "pack.fact-of", zh, en, at_key=at_key)


def unknown_fact(path: Path, name: str, facts: KnownFacts, report: Report, *, at_key: bool = True) -> None:
    """A fact neither standard nor declared."""
    zh, en = facts.suggestion(name)
    zh = f"未知的事实 `{name}`" + (zh or "；标准词汇之外的事实须在 facts 中声明")
    en = f"unknown fact `{name}`" + (en or "; a fact beyond the standard ones is declared under `facts`")
    report.error(path, "pack.unknown-fact", zh, en, at_key=at_key)


def check_value(path: Path, fact: KnownFact, value: Any, report: Report) -> None:
    """A word, a number or a flag that a fact is compared with, or that a case gives it."""
    if kind_fits(fact.kind, value):
        if fact.words is not None and isinstance(value, str) and value not in fact.words:
            unknown_word(path, fact.name, value, fact.words, report)
    else:
        _wrong_kind(path, fact, report)


def unknown_word(
    path: Path, name: str, word: str, words: Iterable[str], report: Report, *, at_key: bool = False
) -> None:
    """A word that the fact's declaration does not have."""
    zh, en = did_you_mean(word, words)
    zh = f"`{name}` 没有“{word}”这个值{zh or f'；已声明：{listed(words)}'}"
    en = f"`{name}` has no value {word!r}{en or f'; declared: {listed(words)}'}"
    report.error(path, "pack.unknown-word", zh, en, at_key=at_key)


def kind_fits(kind: Kind, value: Any) -> bool:
    """Whether a value is of a fact's kind."""
    if isinstance(value, bool):
        return kind is Kind.FLAG
    if isinstance(value, Decimal):
        return kind is Kind.NUMBER
    return isinstance(value, str) and kind in (Kind.WORD, Kind.WORDS)


def _wrong_kind(path: Path, fact: KnownFact, report: Report) -> None:
    zh, en = _WANTED[fact.kind]
    report.error(path, "pack.fact-kind", f"`{fact.name}` 的值须是{zh}", f"`{fact.name}` takes {en}")
