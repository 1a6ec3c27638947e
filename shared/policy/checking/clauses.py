"""Clauses: whether every rule names one that is there and has words, and which nobody names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.policy.checking.report import Path, Report
from shared.policy.checking.sites import facts_of, rule_of, table_rows
from shared.policy.checking.walk import parts_of
from shared.policy.document import FigureRule, PackDocument
from shared.policy.issues import did_you_mean


def check_clauses(document: PackDocument, report: Report) -> None:
    """A rule's clause is the id of a clause, or of an assumption that stands where the documents say nothing."""
    assumptions = [assumption.id for assumption in document.assumptions]
    known = [*document.clauses, *assumptions]
    used: set[str] = set()
    for path, clause in _named(document):
        used.add(clause)
        if clause not in document.clauses and clause not in assumptions:
            zh, en = did_you_mean(clause, known)
            report.error(path, "pack.unknown-clause", f"没有条款 `{clause}`{zh}", f"there is no clause `{clause}`{en}")
    _check_words(document, report)
    for clause in document.clauses:
        if clause not in used:
            zh, en = f"没有规则引用条款 `{clause}`", f"no rule names the clause `{clause}`"
            report.warn(("clauses", clause), "pack.unused", zh, en, at_key=True)


def _named(document: PackDocument) -> Iterator[tuple[Path, str]]:
    for path, part in parts_of(document):
        clause = getattr(part, "clause", None)
        if isinstance(clause, str):
            yield (*path, "clause"), clause
        if isinstance(part, FigureRule) and part.table is not None and part.by is not None:
            yield from _named_in_table((*path, "table"), part)


def _named_in_table(path: Path, rule: FigureRule) -> Iterator[tuple[Path, str]]:
    table: dict[str, Any] = rule.table or {}
    for here, _, leaf in table_rows(path, table, facts_of(rule.by)):
        inner = rule_of(leaf)
        for deeper, part in parts_of(inner, here) if inner is not None else ():
            clause = getattr(part, "clause", None)
            if isinstance(clause, str):
                yield (*deeper, "clause"), clause


def _check_words(document: PackDocument, report: Report) -> None:
    for name, clause in document.clauses.items():
        for key, zh in (("document", "文号"), ("words", "原文")):
            if not getattr(clause, key).strip():
                here: Path = ("clauses", name, key)
                report.error(here, "pack.clause-words", f"条款 `{name}` 没有{zh}", f"the clause `{name}` has no {key}")
