"""One bill being decided: facts, benefit, lines, layers, account, counters, in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from shared.policy import undecidable
from shared.policy.benefits import Choice, CompiledBenefit
from shared.policy.decision import PARTS, Bill, Decision, Facts, LayerResult, NotPaid
from shared.policy.document import PackDocument, PartName, Texts
from shared.policy.items import Divided, all_own, check_lines, line_results, sum_lines
from shared.policy.layers import Course, whole_parts
from shared.policy.ledger import Ledger
from shared.policy.periods import admissions_key, counted_key
from shared.policy.running import Amount
from shared.policy.scope import Scope, formula_name

_PART_NAMES = tuple(f"parts.{part}" for part in PARTS)


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a compiled pack decides bills."""

    document: PackDocument
    choice: Choice
    reads: frozenset[str]
    """All names that its formulas ask for."""
    numbers: Mapping[str, Fraction]
    """Its named figures, as formulas write them."""


def decide(rules: Rules, bill: Bill, ledger: Ledger, *, record: bool) -> Decision:
    """Decide a bill that lies in one benefit year. Raises Undecidable and AmountOutOfRange."""
    check_lines(bill.lines)
    year_begins = rules.document.year_begins
    scope = Scope(_facts(bill, ledger, year_begins), rules.numbers, record=record)
    scope.quantities["total"] = sum([line.amount_fen for line in bill.lines])
    benefit = rules.choice.choose(scope)
    course = Course(bill, scope, ledger)
    if benefit.benefit.refuses is None:
        divided = benefit.divider.divide(bill, scope, ledger)
    else:
        divided = all_own(bill, benefit.benefit.id, benefit.clauses, scope)
    sum_lines(divided, scope, rules.reads)
    _run_layers(benefit, course)
    accounts = benefit.account.pay(bill, scope) if benefit.account else []
    if benefit.counts_admission:
        _count_admission(bill, ledger, year_begins)
    return _decision(rules.document, benefit, divided, course, accounts)


# ------------------------------------------------------------------------------------------------ admissions


def _facts(bill: Bill, ledger: Ledger, year_begins: str) -> Facts:
    if "admission_no" in bill.facts:
        return bill.facts
    before = ledger.used(admissions_key(ledger.day, year_begins))
    # A stay that was counted before keeps its number.
    number = max(1, before) if _is_counted(bill, ledger) else before + 1
    return {**bill.facts, "admission_no": number}


def _is_counted(bill: Bill, ledger: Ledger) -> bool:
    return bill.episode is not None and ledger.used(counted_key(bill.episode)) > 0


def _count_admission(bill: Bill, ledger: Ledger, year_begins: str) -> None:
    if _is_counted(bill, ledger):
        return
    ledger.add(admissions_key(ledger.day, year_begins), 1)
    if bill.episode is not None:
        ledger.add(counted_key(bill.episode), 1)


# ---------------------------------------------------------------------------------------------------- layers


def _run_layers(benefit: CompiledBenefit, course: Course) -> None:
    scope = course.scope
    scope.quantities["paid"] = 0
    scope.step("sum", "person", (("total", scope.quantities["total"]),), ())
    for layer in benefit.layers:
        layer.run(course)
    if not course.started:
        scope.step("parts", "parts", (*whole_parts(scope), (":deductible", 0), (":by_ratio", 0)), ())
    gave = {result.id for result in course.results if result.pays == "given"}
    if unknown := sorted(layer for layer, paid in course.bill.paid_fen.items() if paid and layer not in gave):
        raise undecidable.nobody_gave(unknown)


# -------------------------------------------------------------------------------------------------- decision


def _decision(
    document: PackDocument, benefit: CompiledBenefit, divided: Sequence[Divided], course: Course, accounts: list[Amount]
) -> Decision:
    scope, results = course.scope, course.results
    hospital, later, cash = _sums(scope, results, accounts)
    parts = _parts(scope)
    quantities, accounted = scope.quantities, dict(accounts)
    return Decision(
        pack=document.pack,
        version=document.version,
        benefit=benefit.benefit.id,
        not_paid=_reason(benefit),
        total_fen=quantities["total"],
        own_fen=quantities["own"],
        over_ceiling_fen=quantities["over_ceiling"],
        prepay_fen=quantities["prepay"],
        in_scope_fen=quantities["in_scope"],
        lines=line_results(divided),
        layers=tuple(results),
        fund_fen=quantities["paid"],
        hospital_fen=hospital,
        parts_fen=parts,
        account_fen=accounted.get("account", 0),
        family_fen=accounted.get("family", 0),
        cash_fen=cash,
        later_fen=later,
        payouts=tuple(course.payouts),
        changes=course.ledger.changes(),
        quantities=quantities,
        steps=tuple(scope.steps or ()),
    )


def _reason(benefit: CompiledBenefit) -> NotPaid | None:
    refuses = benefit.benefit.refuses
    if refuses is None:
        return None
    zh, en = (refuses.zh, refuses.en) if isinstance(refuses, Texts) else (refuses, refuses)
    return NotPaid("policy.refused", zh, en, benefit.clauses)


def _sums(scope: Scope, results: Sequence[LayerResult], accounts: Sequence[Amount]) -> tuple[int, int, int]:
    """The hospital's part, what is paid later, and the cash."""
    borne = [(f"{formula_name(layer.id)}.facility", layer.facility_fen) for layer in results if layer.facility_fen]
    later = [(f"{formula_name(layer.id)}.fund", layer.fund_fen) for layer in results if layer.pays == "later"]
    quantities = scope.quantities
    scope.step("sum", "fund", (("paid", quantities["paid"]),), ())
    scope.derive(bool(borne), "sum", "hospital", tuple(borne), ())
    scope.derive(bool(later), "sum", "later", tuple(later), ())
    scope.step("difference", "cash", (("person", quantities["person"]), *accounts), ())
    return quantities["hospital"], quantities["later"], quantities["cash"]


def _parts(scope: Scope) -> dict[PartName, int]:
    """The person's parts, each also a quantity of its own."""
    parts: dict[PartName, int] = dict(zip(PARTS, scope.quantities.pop("parts"), strict=True))
    scope.quantities.update(zip(_PART_NAMES, parts.values(), strict=True))
    return parts
