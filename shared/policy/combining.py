"""A bill that lies in several benefit years, or under several versions, where the pack decides by the day of service:
each part is decided as a bill of its own, in order, and the decisions are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple, TypeAlias

from shared.money import split_fen
from shared.policy.decision import PARTS, Bill, BillLine, Counters, Decision, Step
from shared.policy.document import PackDocument, PartName
from shared.policy.periods import benefit_year
from shared.policy.working import APART, OPERATIONS

Decide: TypeAlias = "Callable[[Bill, Counters], Decision]"

_SUMS = (
    "total_fen", "own_fen", "over_ceiling_fen", "prepay_fen", "in_scope_fen", "fund_fen", "hospital_fen",
    "account_fen", "family_fen", "cash_fen", "later_fen",
)  # fmt: skip


class Portion(NamedTuple):
    """A part of a bill: a name for it, the bill that it is, and who decides it."""

    name: str
    bill: Bill
    decide: Decide


def service_day(line: BillLine, bill: Bill) -> date:
    """The day of a line; one without a day belongs to the last."""
    return line.day or bill.ends_on


def deciding_day(bill: Bill, document: PackDocument) -> date:
    """The day that chooses the version and the benefit year of a bill that is not divided."""
    if document.decided_by == "admission":
        return bill.begins_on
    if document.decided_by == "discharge" or not bill.lines:
        return bill.ends_on
    return max([service_day(line, bill) for line in bill.lines])


def divided_by_year(bill: Bill, document: PackDocument) -> list[tuple[str, Bill]]:
    """The bill by benefit year of its lines' days where the pack decides by service; else the bill itself."""
    if document.decided_by != "service":
        return [("", bill)]
    years: dict[str, list[BillLine]] = {}
    for line in bill.lines:
        years.setdefault(str(benefit_year(service_day(line, bill), document.year_begins)), []).append(line)
    return divided(bill, years)


def divided(bill: Bill, groups: Mapping[str, Sequence[BillLine]]) -> list[tuple[str, Bill]]:
    """The bill as several, one for each group of lines, in the order of their days. What was paid before is divided
    in proportion to what the lines of each come to; a group that voids more than it has was paid nothing."""
    if len(groups) < 2:
        return [("", bill)]
    ordered = sorted(groups.items(), key=lambda group: (min(service_day(line, bill) for line in group[1]), group[0]))
    weights = [max(0, sum(line.amount_fen for line in lines)) for _, lines in ordered]
    paid = {layer: _split(amount, weights) for layer, amount in bill.paid_fen.items()}
    return [
        (name, _portion(bill, lines, {layer: amounts[place] for layer, amounts in paid.items()}))
        for place, (name, lines) in enumerate(ordered)
    ]


def _split(amount_fen: int, weights: Sequence[int]) -> list[int]:
    return split_fen(amount_fen, weights if any(weights) else [1] * len(weights))


def _portion(bill: Bill, lines: Sequence[BillLine], paid_fen: Mapping[str, int]) -> Bill:
    days = [service_day(line, bill) for line in lines]
    return replace(bill, lines=tuple(lines), begins_on=min(days), ends_on=max(days), paid_fen=paid_fen)


def decide_portions(portions: Sequence[Portion], bill: Bill, counters: Counters) -> Decision:
    """Decide the portions in order, each after the counters and account balances that those before left, and put the
    decisions together. Raises Undecidable when one of them is."""
    used = dict(counters)
    own, family = bill.account_fen, bill.family_fen
    decisions: list[tuple[str, Decision]] = []
    for name, part, decide in portions:
        decision = decide(replace(part, account_fen=own, family_fen=family), used)
        decisions.append((name, decision))
        own, family = own - decision.account_fen, family - decision.family_fen
        used = _after(used, decision.changes)
    return _together(decisions)


def _after(counters: Counters, changes: Counters) -> dict[str, int]:
    return {key: counters.get(key, 0) + changes.get(key, 0) for key in {**counters, **changes}}


def _together(decisions: Sequence[tuple[str, Decision]]) -> Decision:
    all_of = [decision for _, decision in decisions]
    last = all_of[-1]
    refused = [decision.not_paid for decision in all_of if decision.not_paid is not None]
    parts: dict[PartName, int] = {part: sum(decision.parts_fen[part] for decision in all_of) for part in PARTS}
    steps, quantities = _told_together(decisions)
    return replace(
        last,
        version=_joined(decision.version for decision in all_of),
        benefit=_joined(decision.benefit for decision in all_of if decision.benefit) or None,
        not_paid=refused[0] if len(refused) == len(all_of) else None,
        lines=tuple(line for decision in all_of for line in decision.lines),
        layers=tuple(layer for decision in all_of for layer in decision.layers),
        payouts=tuple(payout for decision in all_of for payout in decision.payouts),
        parts_fen=parts,
        changes=_summed(decision.changes for decision in all_of),
        quantities=quantities,
        steps=steps,
        **{name: sum(getattr(decision, name) for decision in all_of) for name in _SUMS},
    )


def _joined(words: Iterable[str]) -> str:
    return "+".join(dict.fromkeys(words))


def _summed(changes: Iterable[Counters]) -> dict[str, int]:
    total: dict[str, int] = {}
    for moved in changes:
        total = _after(total, moved)
    return {key: moved for key, moved in total.items() if moved}


def _told_together(decisions: Sequence[tuple[str, Decision]]) -> tuple[tuple[Step, ...], dict[str, Any]]:
    """The steps of all portions under their names, then the sums over them."""
    steps: list[Step] = [step for name, decision in decisions for step in _apart(name, decision.steps)]
    quantities: dict[str, Any] = {}
    for name, decision in decisions:
        quantities |= {f"{name}{APART}{quantity}": value for quantity, value in decision.quantities.items()}
    recorded = {step.name for step in steps}
    for quantity in dict.fromkeys(quantity for _, decision in decisions for quantity in decision.quantities):
        inputs = tuple(
            (f"{name}{APART}{quantity}", decision.quantities[quantity])
            for name, decision in decisions
            if quantity in decision.quantities
        )
        if all(isinstance(value, int) for _, value in inputs):
            quantities[quantity] = OPERATIONS["sum"](inputs)
            if any(name in recorded for name, _ in inputs) and steps:
                steps.append(Step("sum", quantity, inputs, quantities[quantity]))
    return tuple(steps), quantities


def _apart(portion: str, steps: Iterable[Step]) -> Iterable[Step]:
    """The steps with the portion's name before every name that they make."""
    made: set[str] = set()
    for step in steps:
        inputs = tuple((f"{portion}{APART}{name}" if name in made else name, value) for name, value in step.inputs)
        made.add(step.name)
        yield step._replace(name=f"{portion}{APART}{step.name}", inputs=inputs)
