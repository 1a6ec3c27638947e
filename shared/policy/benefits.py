"""The benefits of a pack compiled, and the choice of the one that decides a bill."""

from __future__ import annotations

from collections.abc import Sequence

from shared.policy import undecidable
from shared.policy.account import CompiledAccount
from shared.policy.conditions import compile_when
from shared.policy.decision import Fact
from shared.policy.document import Benefit
from shared.policy.items import Divider
from shared.policy.layers import CompiledLayer
from shared.policy.scope import Scope, holds, is_quantity
from shared.policy.shares import Rounding
from shared.policy.working import Inputs

_KEPT = 4096


class CompiledBenefit:
    """A benefit with its item rules, layers and account."""

    def __init__(self, benefit: Benefit, pack_items: Divider, rounding: Rounding, reads: frozenset[str]) -> None:
        self.benefit = benefit
        self.clauses = (benefit.clause,)
        self.condition = compile_when(benefit.when)
        self.divider = Divider(benefit.items) if benefit.items else pack_items
        layers = () if benefit.refuses else benefit.layers
        self.layers = [CompiledLayer(layer, rounding, reads) for layer in layers]
        self.account = None if benefit.account is None or benefit.refuses else CompiledAccount(benefit.account)
        self.counts_admission = benefit.counts_admission and not benefit.refuses


class Choice:
    """The one benefit that holds for a bill's facts."""

    def __init__(self, benefits: Sequence[CompiledBenefit]) -> None:
        self._benefits = benefits
        asked = {name for benefit in benefits for name in (*benefit.condition.facts, *benefit.condition.names)}
        self._facts = tuple(sorted(asked))
        self._keeps = not any(is_quantity(name) for benefit in benefits for name in benefit.condition.names)
        self._chosen: dict[tuple[Fact | None, ...], tuple[CompiledBenefit, Inputs]] = {}

    def choose(self, scope: Scope) -> CompiledBenefit:
        """The benefit, with the step that names it. Raises Undecidable when none holds, or more than one."""
        key = tuple(map(scope.facts.get, self._facts))
        chosen = self._chosen.get(key) if self._keeps else None
        benefit, inputs = chosen or self._first(scope, key)
        scope.tell("choose", "benefit", inputs, benefit.clauses)
        return benefit

    def _first(self, scope: Scope, key: tuple[Fact | None, ...]) -> tuple[CompiledBenefit, Inputs]:
        benefit = self._search(scope)
        inputs = (*scope.seen(benefit.condition.facts), (":benefit", benefit.benefit.id))
        if len(self._chosen) >= _KEPT:
            self._chosen.clear()
        self._chosen[key] = benefit, inputs
        return benefit, inputs

    def _search(self, scope: Scope) -> CompiledBenefit:
        held = [benefit for benefit in self._benefits if holds(benefit.condition, scope)]
        if not held:
            raise undecidable.no_benefit()
        if len(held) > 1:
            clauses = [benefit.benefit.clause for benefit in held]
            raise undecidable.two_rules("待遇", "benefits", [benefit.benefit.id for benefit in held], clauses)
        return held[0]
