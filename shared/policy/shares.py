"""What a layer's fund gives for an eligible expense: by one ratio, by bands, or a fixed amount."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple, Protocol

from shared.policy.decision import Payout, Slice
from shared.policy.document import Figure, Fixed, Layer, Period, Tier, Tiers
from shared.policy.figures import Clauses, CompiledFigure
from shared.policy.ledger import Ledger
from shared.policy.running import Amount
from shared.policy.scope import Scope

Rounding = Literal["half_up", "down"]


class Expense(NamedTuple):
    """What a layer looks at: limited = deductible + eligible."""

    limited_fen: int
    deductible_fen: int
    eligible_fen: int


class Given(NamedTuple):
    """What the fund gives of the eligible expense before its caps; what `facility_fen` leaves to the hospital."""

    share_fen: int
    slices: tuple[Slice, ...]
    facility_fen: int = 0
    payout: Payout | None = None


class Sharing(Protocol):
    """A way to share the eligible expense between fund and person."""

    def share(self, expense: Expense, scope: Scope, ledger: Ledger) -> Given:
        """What the fund gives. Raises Undecidable."""


def share_kind(rounding: Rounding) -> str:
    """The arithmetic of a share under the pack's rounding."""
    return "share" if rounding == "half_up" else "share_down"


class ByRatio:
    """One ratio for all of the eligible expense."""

    def __init__(self, name: str, ratio: Figure, rounding: Rounding, clauses: Clauses) -> None:
        self._share, self._eligible, self._ratio_name = f"{name}.share", f"{name}.eligible", f"{name}.ratio"
        self._ratio = CompiledFigure(ratio, self._ratio_name, "ratio", clauses)
        self._kind = share_kind(rounding)
        self._clauses = clauses

    def share(self, expense: Expense, scope: Scope, ledger: Ledger) -> Given:  # noqa: ARG002 - nothing runs
        eligible = expense.eligible_fen
        ratio = self._ratio.find(scope)
        inputs = ((self._eligible, eligible), (self._ratio_name, ratio))
        share = scope.step(self._kind, self._share, inputs, self._clauses)
        return Given(share, (Slice(1, eligible, ratio, share),))


@dataclass(frozen=True, slots=True)
class _Band:
    to: CompiledFigure | None
    ratio: CompiledFigure
    expense_name: str
    share_name: str
    clauses: Clauses


class ByTiers:
    """Bands with a ratio each, along the expense or along its running sum."""

    def __init__(self, name: str, layer: Layer, tiers: Tiers, rounding: Rounding) -> None:
        self._name = name
        self._from, self._to = f"{name}.from", f"{name}.to"
        self._eligible, self._deductible = f"{name}.eligible", f"{name}.deductible"
        self._limited = f"{name}.limited" if layer.limits else f"{name}.basis"
        self._clauses = (tiers.clause or layer.clause,)
        self._gross = tiers.axis == "gross"
        self._running: Period | None = tiers.running
        self._counter = tiers.counter or f"{layer.id}-sum"
        self._kind = share_kind(rounding)
        self._bands = [_band(f"{name}.band{i}", band, self._clauses) for i, band in enumerate(tiers.bands, start=1)]

    def share(self, expense: Expense, scope: Scope, ledger: Ledger) -> Given:
        key = ledger.key(self._counter, self._running, (), scope.facts) if self._running else None
        start, end = self._stretch(expense, (key, ledger.used(key)) if key else None, scope)
        slices = self._slices(start, end, scope)
        if key:
            ledger.add(key, expense.limited_fen if self._gross else expense.eligible_fen)
        inputs = tuple([(f"{self._name}.band{slice_.band}.share", slice_.share_fen) for slice_ in slices])
        return Given(scope.step("sum", f"{self._name}.share", inputs, self._clauses), slices)

    def _stretch(self, expense: Expense, before: Amount | None, scope: Scope) -> tuple[Amount, Amount]:
        """From where to where on the axis of the bands the eligible expense lies."""
        start: Amount = (":from", 0)
        end: Amount = (self._eligible, expense.eligible_fen)
        if self._gross:
            start, end = (self._deductible, expense.deductible_fen), (self._limited, expense.limited_fen)
        if before is None:
            return start, end
        return self._shifted(self._from, before, start, scope), self._shifted(self._to, before, end, scope)

    def _shifted(self, name: str, before: Amount, end: Amount, scope: Scope) -> Amount:
        return name, scope.step("sum", name, (before, end), self._clauses)

    def _slices(self, start: Amount, end: Amount, scope: Scope) -> tuple[Slice, ...]:
        low: Amount = (":low", 0)
        slices: list[Slice] = []
        for number, band in enumerate(self._bands, start=1):
            high = None if band.to is None else (band.to.name, band.to.find(scope))
            bounds = (start, end, low) if high is None else (start, end, low, high)
            expense = scope.step("overlap", band.expense_name, bounds, band.clauses)
            if expense:
                slices.append(self._slice(number, band, expense, scope))
            if high is None or high[1] >= end[1]:
                return tuple(slices)
            low = max(low, high, key=_amount_of)
        return (*slices, self._rest(end[1] - max(start[1], low[1]), scope))

    def _slice(self, number: int, band: _Band, expense: int, scope: Scope) -> Slice:
        ratio = band.ratio.find(scope)
        inputs = ((band.expense_name, expense), (band.ratio.name, ratio))
        return Slice(number, expense, ratio, scope.step(self._kind, band.share_name, inputs, band.clauses))

    def _rest(self, expense: int, scope: Scope) -> Slice:
        """What lies above the last closed band: the fund gives nothing of it."""
        number = len(self._bands) + 1
        share = scope.step("find", f"{self._name}.band{number}.share", ((":beyond_bands", 0),), self._clauses)
        return Slice(number, expense, Fraction(0), share)


def _amount_of(amount: Amount) -> int:
    return amount[1]


def _band(name: str, band: Tier, clauses: Clauses) -> _Band:
    own = (band.clause,) if band.clause else clauses
    to = None if band.to is None else CompiledFigure(band.to, f"{name}.to", "amount", own)
    return _Band(to, CompiledFigure(band.ratio, f"{name}.ratio", "ratio", own), f"{name}.expense", f"{name}.share", own)


class ByFixed:
    """A fixed amount instead of a share (定额 / 包干)."""

    def __init__(self, name: str, fixed: Fixed, layer: Layer) -> None:
        self._name = name
        self._fixed = fixed
        self._layer = layer
        self._clauses = (fixed.clause,)
        self._amount = CompiledFigure(fixed.amount, f"{name}.fixed", "amount", self._clauses)

    def share(self, expense: Expense, scope: Scope, ledger: Ledger) -> Given:  # noqa: ARG002 - nothing runs
        amount = (self._amount.name, self._found(scope))
        eligible = (f"{self._name}.eligible", expense.eligible_fen)
        share = scope.step("least", f"{self._name}.share", (amount, eligible), self._clauses)
        return Given(share, (), self._deficit(eligible, share, scope), self._payout(amount, eligible, scope))

    def _found(self, scope: Scope) -> int:
        amount: int = self._amount.find(scope)
        if self._fixed.per == "visit":
            return amount
        inputs = ((self._amount.name, amount), ("days", scope.read("days")))
        return int(scope.step("multiple", self._amount.name, inputs, self._clauses))

    def _deficit(self, eligible: tuple[str, int], share: int, scope: Scope) -> int:
        """What the facility bears of an expense above the fixed amount; a payer who pays later leaves it nothing."""
        if self._fixed.deficit != "facility" or self._layer.pays == "later":
            return 0
        inputs = (eligible, (f"{self._name}.share", share))
        return int(scope.step("difference", f"{self._name}.facility", inputs, self._clauses))

    def _payout(self, amount: tuple[str, int], eligible: tuple[str, int], scope: Scope) -> Payout | None:
        if self._fixed.surplus == "none" or amount[1] <= eligible[1]:
            return None
        surplus = scope.step("difference", f"{self._name}.surplus", (amount, eligible), self._clauses)
        return Payout(self._layer.id, self._fixed.surplus, self._layer.fund, surplus)


def sharing(name: str, layer: Layer, rounding: Rounding) -> Sharing:
    """The layer's way to share. Raises ValueError when it has not exactly one."""
    ways: list[Sharing] = []
    if layer.ratio is not None:
        ways.append(ByRatio(name, layer.ratio, rounding, (layer.clause,)))
    if layer.tiers is not None:
        ways.append(ByTiers(name, layer, layer.tiers, rounding))
    if layer.fixed is not None:
        ways.append(ByFixed(name, layer.fixed, layer))
    if len(ways) != 1:
        raise ValueError(f"layer {layer.id} needs exactly one of ratio, tiers, fixed")
    return ways[0]
