"""A pack compiled: given a person's facts, what was used before, and a bill, who pays what.

Pure: no clock, no I/O. The same pack, bill and counters always give the same decision, whatever was decided before;
what is kept between decisions are only figures found before for equal facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from pydantic import BaseModel

from shared.money import AmountOutOfRange
from shared.policy import combining, sitting, undecidable
from shared.policy.benefits import Choice, CompiledBenefit
from shared.policy.calculations import CompiledCalculation
from shared.policy.combining import Portion, decide_portions, divided_by_year
from shared.policy.decision import Answered, Bill, Counters, Decision, Facts
from shared.policy.document import PackDocument
from shared.policy.items import Divider
from shared.policy.ledger import Ledger
from shared.policy.scope import formula_name
from shared.policy.undecidable import Undecidable

__all__ = ["Policy", "Undecidable"]

_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.\w+)+")


class Policy:
    """A compiled pack; immutable, may be used by several threads at once. Raises FormulaError or ValueError for a
    document that no check has let pass."""

    def __init__(self, document: PackDocument) -> None:
        self.document = document
        reads = frozenset(_dotted_names([document.items, document.benefits]))
        pack_items = Divider(document.items)
        benefits = [CompiledBenefit(benefit, pack_items, document.rounding, reads) for benefit in document.benefits]
        numbers = {formula_name(name): Fraction(figure.value) for name, figure in document.figures.items()}
        self._rules = sitting.Rules(document, Choice(benefits), reads, numbers)
        self._calculations = {calculation.id: CompiledCalculation(calculation) for calculation in document.calculations}

    def decide(self, bill: Bill, counters: Counters, *, record: bool = True) -> Decision:
        """Who pays what. Without `record` the same is computed, but its steps are not kept.

        Raises Undecidable: nothing is guessed.
        """
        years = divided_by_year(bill, self.document)
        if len(years) == 1:
            return self._decide(bill, counters, record)
        portions = [Portion(year, part, self._decider(record)) for year, part in years]
        return decide_portions(portions, bill, counters)

    def calculate(self, calculation: str, facts: Facts, inputs: Mapping[str, Decimal | Fraction]) -> Answered:
        """The answer to a question that is not a bill. Raises Undecidable."""
        compiled = self._calculations.get(calculation)
        if compiled is None:
            raise undecidable.no_calculation(calculation)
        return compiled.answer(facts, inputs, self._rules.numbers)

    def deciding_day(self, bill: Bill) -> date:
        """The day that chooses the version and the benefit year."""
        return combining.deciding_day(bill, self.document)

    def _decider(self, record: bool) -> combining.Decide:
        return lambda bill, counters: self._decide(bill, counters, record)

    def _decide(self, bill: Bill, counters: Counters, record: bool) -> Decision:
        ledger = Ledger(counters, bill, self.deciding_day(bill), self.document.year_begins)
        try:
            return sitting.decide(self._rules, bill, ledger, record=record)
        except AmountOutOfRange as large:
            raise undecidable.amount_out_of_range() from large


def _dotted_names(value: Any) -> Iterator[str]:
    """All names like `basic.left` that the texts below a value may mean as quantities."""
    if isinstance(value, str):
        yield from _DOTTED.findall(value)
    elif isinstance(value, BaseModel):
        yield from _dotted_names(list(value.__dict__.values()))
    elif isinstance(value, dict):
        yield from _dotted_names(list(value.values()))
    elif isinstance(value, list):
        for inner in value:
            yield from _dotted_names(inner)
