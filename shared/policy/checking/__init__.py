"""What does not fit together in a pack or case that has the right form, each with its place.

Every finding has a stable code, see `shared.policy.findings`. An error keeps a pack from being run; a warning is worth
a look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from shared.policy.checking import cases
from shared.policy.checking.clauses import check_clauses
from shared.policy.checking.conditions import check_conditions
from shared.policy.checking.counters import check_counters
from shared.policy.checking.coverage import Coverage
from shared.policy.checking.facts import KnownFacts, check_facts
from shared.policy.checking.figures import FigureCheck
from shared.policy.checking.formulas import check_formulas
from shared.policy.checking.layers import check_layers
from shared.policy.checking.report import Enough, Report
from shared.policy.checking.sites import Sites, facts_of, sites_of, table_rows
from shared.policy.checking.space import Space, TooMany
from shared.policy.checking.structure import check_structure
from shared.policy.checking.versions import check_versions as check_versions
from shared.policy.document import Case, FigureRule, Not, PackDocument, When
from shared.policy.issues import MAX_ISSUES, Issue, issue_at
from shared.policy.source import Node


def check(document: PackDocument, root: Node) -> list[Issue]:
    """Everything that is wrong with a pack; `root` says where each part of it is written."""
    return _issues(root, lambda report: _check(document, root, report))


def _check(document: PackDocument, root: Node, report: Report) -> None:
    facts = KnownFacts(document)
    sites = sites_of(document)
    check_structure(document, facts, report)
    check_facts(document, report)
    check_clauses(document, report)
    check_conditions(sites.whens, facts, report)
    check_formulas(sites.formulas, document, facts, report)
    check_layers(document, facts, report)
    wrong = [site.when for site in sites.whens if report.is_wrong(site.path)]
    try:
        space = Space(facts, _conditions(sites), wrong)
    except TooMany as too_many:
        zh, en = f"`{too_many.fact}` 分得过细", f"more values of `{too_many.fact}` are told apart than can be checked"
        report.error((), "pack.too-large", zh, en)
        return
    figures = FigureCheck(document, facts, space, root, report)
    for site in sites.figures:
        figures.check(site)
    Coverage(document, space, report).check(sites.whens)
    check_counters(document, facts, space, report)
    examples = cases.ExampleCheck(document, facts, report)
    for index, case in enumerate(document.examples):
        cases.check_case(case, report, ("examples", index))
        examples.check(("examples", index), case)


def check_case(case: Case, root: Node) -> list[Issue]:
    """Everything that is wrong with a case by itself."""
    return _issues(root, lambda report: cases.check_case(case, report))


def check_fit(case: Case, document: PackDocument, root: Node) -> list[Issue]:
    """What of a case does not fit a pack: facts, words, counters, layers and calculations that the pack does not know.
    A typing error would otherwise be a fact that nobody asks for, and a wrong answer."""
    return _issues(root, lambda report: cases.ExampleCheck(document, KnownFacts(document), report).check((), case))


def check_case_ids(several: Sequence[Case], root: Node) -> list[Issue]:
    """Cases of one file that carry one id."""
    return _issues(root, lambda report: cases.check_case_ids(several, report))


def _issues(root: Node, find: Callable[[Report], None]) -> list[Issue]:
    report = Report(root)
    try:
        find(report)
    except Enough:
        zh, en = f"只列出前{MAX_ISSUES}个问题", f"only the first {MAX_ISSUES} findings are told"
        report.issues.append(issue_at(root.place, "pack.too-many", zh, en))
    return report.issues


def _conditions(sites: Sites) -> Iterator[When]:
    """All conditions, with those that the rows of tables stand for."""
    yield from (site.when for site in sites.whens)
    for site in sites.figures:
        if isinstance(site.figure, FigureRule) and site.figure.table and site.figure.by:
            by = facts_of(site.figure.by)
            for fact in by:
                yield {fact: Not.model_validate({"not": []})}
            yield from (when for _, when, _ in table_rows((), site.figure.table, by))
