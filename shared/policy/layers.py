"""One payer after the other: what each looks at, takes as deductible, gives, and what of the person's parts it pays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.policy import undecidable
from shared.policy.conditions import compile_when
from shared.policy.decision import Bill, LayerResult, Payout
from shared.policy.document import Cap, Deductible, Layer, Limit
from shared.policy.formula import FormulaError, parse
from shared.policy.ledger import Ledger
from shared.policy.running import Amount, Running
from shared.policy.scope import Scope, formula_name, holds
from shared.policy.shares import Expense, Given, Rounding, Sharing, sharing

OUTSIDE_SCOPE = frozenset({"own", "over_ceiling", "prepay"})
"""A basis that names one of these looks beyond what is in scope."""

WHOLE_SCOPE = frozenset({"in_scope", "total", "person"})
"""A basis that names one of these looks at what is in scope."""

_LEFT_OVER = frozenset({"total", "person"})
"""A basis that names one of these looks at what earlier layers left, of whatever part."""

_FIRST = "over_cap"
"""What was not looked at before is told as over the cap until a layer looks at it, whose payment comes off it first."""


@dataclass(slots=True)
class Course:
    """A bill on its way through the layers."""

    bill: Bill
    scope: Scope
    ledger: Ledger
    started: bool = False
    """Whether a layer that pays now has run."""
    looked_at_fen: int = 0
    """How much of what is in scope the layers looked at so far."""
    results: list[LayerResult] = field(default_factory=list)
    payouts: list[Payout] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Names:
    """The quantities of a layer, as formulas and steps call them."""

    basis: str
    limited: str
    over_limit: str
    deductible: str
    eligible: str
    share: str
    fund: str
    by_ratio: str
    over_cap: str
    facility: str
    used: str
    left: str
    cap_left: str
    burden: str
    relief: str

    @classmethod
    def of(cls, layer: str) -> Names:
        """Those of one layer."""
        return cls(*[f"{layer}.{quantity}" for quantity in cls.__dataclass_fields__])


class CompiledLayer:
    """A layer of a benefit. `reads` are all names that formulas of the pack ask for."""

    def __init__(self, layer: Layer, rounding: Rounding, reads: frozenset[str]) -> None:
        name = formula_name(layer.id)
        self.layer = layer
        self._slice_name = f"{name}.slice_"
        self._names = Names.of(name)
        self._zeros = dict.fromkeys([f"{name}.{quantity}" for quantity in Names.__dataclass_fields__], 0)
        self._clauses = (layer.clause,)
        self._condition = compile_when(layer.when)
        self._always = not layer.when
        self._basis = parse(layer.basis)
        self._whole = self._names.limited if layer.limits else self._names.basis
        """What the deductible is taken from."""
        self._limits = _numbered(f"{name}.limit", layer.limits, f"{layer.id}-expense")
        self._caps = _numbered(f"{name}.cap", layer.caps, f"{layer.id}-fund")
        deductible, ceiling = layer.deductible, layer.person_ceiling
        self._deductible = (
            None if deductible is None else Running(f"{name}.full_deductible", deductible, f"{layer.id}-deductible")
        )
        self._deductibles = self._limited_sum(deductible)
        self._waived = [compile_when(when) for when in deductible.waived] if deductible else []
        self._ceiling = None if ceiling is None else Running(f"{name}.ceiling", ceiling, f"{layer.id}-person")
        self._sharing = None if layer.pays == "given" else sharing(name, layer, rounding)
        self._order = (":order", tuple(layer.absorbs))
        self._order_of_new = (":order", (_FIRST, *layer.absorbs))
        self._within_names = self._basis.names.isdisjoint(OUTSIDE_SCOPE)
        self._sees_new = self._within_names and self._basis.names.isdisjoint(_LEFT_OVER)
        self._covers_scope = not self._basis.names.isdisjoint(WHOLE_SCOPE)
        self._is_read = not reads.isdisjoint((self._names.used, self._names.left, self._names.cap_left))

    def run(self, course: Course) -> None:
        """Let the layer do its part of the bill. Raises Undecidable."""
        scope = course.scope
        if not self._always and not holds(self._condition, scope):
            scope.quantities.update(self._zeros)
            scope.step("skip", self._names.fund, scope.seen(self._condition.facts), self._clauses)
            return
        basis = self._basis_of(scope)
        if self._sharing is None:
            self._take_given(basis, course)
        else:
            self._pay(self._sharing, basis, course)

    # ------------------------------------------------------------------------------ from basis to fund

    def _basis_of(self, scope: Scope) -> int:
        inputs = (*scope.operands(self._basis), ("person", scope.quantities["person"]))
        try:
            return int(scope.step("basis", self._names.basis, inputs, self._clauses))
        except FormulaError as failed:
            raise undecidable.division_by_zero(self._basis.text) from failed

    def _pay(self, way: Sharing, basis: int, course: Course) -> None:
        names, scope, ledger = self._names, course.scope, course.ledger
        limited = self._limited(basis, scope, ledger)
        expense = self._after_deductible(limited, scope, ledger)
        given = way.share(expense, scope, ledger)
        expense, given = self._relieved(expense, given, scope, ledger)
        scope.quantities[names.facility] = given.facility_fen
        fund = self._capped(expense, given, scope, ledger)
        by_ratio = self._by_ratio(expense, given, scope)
        over_cap = self._cut_off(names.over_cap, (names.share, given.share_fen), (names.fund, fund), scope)
        result = LayerResult(
            self.layer.id, self.layer.fund, self.layer.pays, self.layer.payer, basis, basis - limited,
            expense.deductible_fen, expense.eligible_fen, given.slices, fund, by_ratio, over_cap,
            given.facility_fen, self.layer.recover,
        )  # fmt: skip
        self._close(result, given.payout, course)

    def _cut_off(self, name: str, whole: Amount, kept: Amount, scope: Scope) -> int:
        """What a limit or a cap cut off; a step only when it is something."""
        if whole[1] == kept[1]:
            scope.quantities[name] = 0
            return 0
        return self._difference(name, whole, kept, scope)

    def _difference(self, name: str, whole: Amount, part: Amount, scope: Scope) -> int:
        return int(scope.step("difference", name, (whole, part), self._clauses))

    def _limited(self, basis: int, scope: Scope, ledger: Ledger) -> int:
        names = self._names
        if not self._limits:
            scope.quantities[names.limited] = basis
            scope.quantities[names.over_limit] = 0
            return basis
        rooms, keys = _rooms(self._limits, scope, ledger)
        limited: int = scope.step("least", names.limited, ((names.basis, basis), *rooms), self._clauses)
        self._cut_off(names.over_limit, (names.basis, basis), (names.limited, limited), scope)
        _use(keys, limited, ledger)
        return limited

    def _after_deductible(self, limited: int, scope: Scope, ledger: Ledger) -> Expense:
        names, amount = self._names, (self._whole, limited)
        deductible = 0 if self._deductible is None else self._taken(self._deductible, amount, scope, ledger)
        scope.quantities[names.deductible] = deductible
        eligible = self._difference(names.eligible, amount, (names.deductible, deductible), scope)
        return Expense(limited, deductible, eligible)

    def _taken(self, rule: Running, limited: Amount, scope: Scope, ledger: Ledger) -> int:
        for condition in self._waived:
            if holds(condition, scope):
                scope.step("waive", self._names.deductible, scope.seen(condition.facts), rule.clauses)
                return 0
        keys = [rule.key(ledger, scope.facts)]
        rooms = [rule.room(keys[0], scope, ledger)]
        if self._deductibles is not None:
            keys.append(self._deductibles.key(ledger, scope.facts))
            rooms.append(self._deductibles.room(keys[1], scope, ledger))
        deductible: int = scope.step("least", self._names.deductible, (limited, *rooms), rule.clauses)
        _use(keys, deductible, ledger)
        return deductible

    def _limited_sum(self, deductible: Deductible | None) -> Running | None:
        """The most that deductibles come to over a longer period."""
        if deductible is None or deductible.limit is None:
            return None
        name = f"{formula_name(self.layer.id)}.deductible_limit"
        return Running(name, deductible.limit, f"{self.layer.id}-deductibles", deductible.clause)

    # ------------------------------------------------------------------------------ ceilings and caps

    def _relieved(self, expense: Expense, given: Given, scope: Scope, ledger: Ledger) -> tuple[Expense, Given]:
        """What exceeds the ceiling of the person's burden goes to the fund: first of the share by ratio, then of the
        deductible."""
        rule, names = self._ceiling, self._names
        if rule is None:
            return expense, given
        borne = ((self._whole, expense.limited_fen), (names.share, given.share_fen), *self._facility(given))
        burden: int = scope.step("difference", names.burden, borne, rule.clauses)
        key = rule.key(ledger, scope.facts)
        room = rule.room(key, scope, ledger)
        relief: int = scope.step("excess", names.relief, ((names.burden, burden), room), rule.clauses)
        _use([key], burden - relief, ledger)
        if not relief:
            return expense, given
        both = ((names.share, given.share_fen), (names.relief, relief))
        share: int = scope.step("sum", names.share, both, rule.clauses)
        beyond = relief - (burden - expense.deductible_fen)
        if beyond > 0 and self._deductible is not None:
            expense = self._lighter(expense, beyond, self._deductible, scope, ledger)
        return expense, given._replace(share_fen=share)

    def _lighter(self, expense: Expense, relief: int, rule: Running, scope: Scope, ledger: Ledger) -> Expense:
        """The expense with the deductible less what the relief takes of it."""
        names = self._names
        inputs = ((names.deductible, expense.deductible_fen), (":relieved", relief))
        deductible: int = scope.step("difference", names.deductible, inputs, rule.clauses)
        rules = (rule,) if self._deductibles is None else (rule, self._deductibles)
        _use([running.key(ledger, scope.facts) for running in rules], -relief, ledger)
        amounts = ((self._whole, expense.limited_fen), (names.deductible, deductible))
        return Expense(expense.limited_fen, deductible, self._difference(names.eligible, *amounts, scope))

    def _facility(self, given: Given) -> tuple[Amount, ...]:
        return ((self._names.facility, given.facility_fen),) if given.facility_fen else ()

    def _capped(self, expense: Expense, given: Given, scope: Scope, ledger: Ledger) -> int:
        names = self._names
        rooms, keys = _rooms(self._caps, scope, ledger)
        fund: int = scope.step("least", names.fund, ((names.share, given.share_fen), *rooms), self._clauses)
        _use(keys, fund, ledger)
        if rooms:
            tightest = min(rooms, key=_amount_of)
            scope.derive(self._is_read, "difference", names.cap_left, (tightest, (names.fund, fund)), self._clauses)
        self._tell_used((names.fund, fund), given, (names.eligible, expense.eligible_fen), scope)
        return fund

    def _tell_used(self, fund: Amount, given: Given, eligible: Amount, scope: Scope) -> None:
        """The expense behind the fund's payment, and what is left of the eligible expense for layers above."""
        names, is_read = self._names, self._is_read
        if fund[1] < given.share_fen:
            scope.derive(is_read, "behind", names.used, (fund, eligible, (":slices", given.slices)), self._clauses)
        else:
            scope.derive(is_read, "least", names.used, (eligible,), self._clauses)
        used = (names.used, scope.quantities[names.used])
        scope.derive(is_read, "difference", names.left, (eligible, used), self._clauses)

    def _by_ratio(self, expense: Expense, given: Given, scope: Scope) -> int:
        names = self._names
        rest = ((names.share, given.share_fen), *self._facility(given))
        inputs = ((names.eligible, expense.eligible_fen), *rest)
        return int(scope.step("difference", names.by_ratio, inputs, self._clauses))

    # ------------------------------------------------------------------------------ paid elsewhere before

    def _take_given(self, basis: int, course: Course) -> None:
        """A payment made before: what it paid counts, whatever the pack would have given."""
        names, scope = self._names, course.scope
        paid = course.bill.paid_fen.get(self.layer.id, 0)
        if not 0 <= paid <= max(0, scope.quantities["person"]):
            raise undecidable.given_too_much(self.layer.id)
        fund = scope.step("find", names.fund, ((":paid", paid),), self._clauses)
        both = ((names.basis, basis), (names.fund, fund))
        basis = scope.step("at_least", names.basis, both, self._clauses)
        by_ratio = self._difference(names.by_ratio, (names.basis, basis), (names.fund, fund), scope)
        known = {names.limited: basis, names.eligible: basis, names.share: fund, names.used: basis}
        zeros = (names.over_limit, names.deductible, names.over_cap, names.facility, names.left)
        scope.quantities.update(known | dict.fromkeys(zeros, 0))
        result = LayerResult(
            self.layer.id, self.layer.fund, "given", self.layer.payer, basis, 0, 0, basis, (), fund, by_ratio, 0,
            0, self.layer.recover,
        )  # fmt: skip
        self._close(result, None, course)

    # ------------------------------------------------------------------------------ the person's parts

    def _close(self, result: LayerResult, payout: Payout | None, course: Course) -> None:
        course.results.append(result)
        if payout is not None:
            course.payouts.append(payout)
        scope, names = course.scope, self._names
        for slice_ in result.slices:
            scope.quantities[self._slice_name + str(slice_.band)] = slice_.share_fen
        if result.pays == "later":
            return
        facility = ((names.facility, result.facility_fen),) if result.facility_fen else ()
        payments = ((names.fund, result.fund_fen), *facility)
        self._change_parts(result, payments, course)
        if not (result.fund_fen or result.facility_fen):
            return
        quantities = scope.quantities
        scope.step("sum", "paid", (("paid", quantities["paid"]), payments[0]), self._clauses)
        scope.step("difference", "person", (("person", quantities["person"]), *payments), self._clauses)

    def _change_parts(self, result: LayerResult, payments: tuple[Amount, ...], course: Course) -> None:
        scope, names = course.scope, self._names
        quantities = scope.quantities
        first, course.started = not course.started, True
        person = ((names.deductible, result.deductible_fen), (names.by_ratio, result.by_ratio_fen))
        if first and self._within_scope(result.basis_fen, quantities["in_scope"]):
            course.looked_at_fen = result.basis_fen
            scope.step("parts", "parts", (*whole_parts(scope), *person, *payments), self._clauses)
            return
        order: Any = self._order
        if first:
            whole = whole_parts(scope)
            course.looked_at_fen = whole[-1][1] if self._covers_scope else 0
            scope.step("parts", "parts", (*whole, *self._within(person, whole[-1], scope)), self._clauses)
        elif course.looked_at_fen < quantities["in_scope"] and self._sees_new and result.basis_fen:
            unseen = min(result.basis_fen, quantities["in_scope"] - course.looked_at_fen)
            course.looked_at_fen += unseen
            order = self._order_of_new
            seen = (("parts", quantities["parts"]), (":unseen", unseen), *person)
            scope.step("look", "parts", seen, self._clauses)
        if result.fund_fen or result.facility_fen:
            inputs = (("parts", quantities["parts"]), order, *payments)
            scope.step("absorb", "parts", inputs, self._clauses)

    def _within(self, person: tuple[Amount, Amount], in_scope: Amount, scope: Scope) -> tuple[Amount, Amount]:
        """The layer's deductible and share by ratio as parts of what is in scope, though it looks beyond: so that only
        what no layer looked at, or a cap cut, is told as over the cap. The payments come off the parts afterwards."""
        if not self._covers_scope:
            return (":deductible", 0), (":by_ratio", 0)
        deductible = self._no_more(person[0], (":room", max(0, in_scope[1])), scope)
        return deductible, self._no_more(person[1], (":room", max(0, in_scope[1]) - deductible[1]), scope)

    def _no_more(self, amount: Amount, room: Amount, scope: Scope) -> Amount:
        if amount[1] <= room[1]:
            return amount
        name = f"{amount[0]}_in_scope"
        return name, scope.step("least", name, (amount, room), self._clauses)

    def _within_scope(self, basis: int, in_scope: int) -> bool:
        return basis <= max(0, in_scope) and self._within_names


def _amount_of(amount: Amount) -> int:
    return amount[1]


def whole_parts(scope: Scope) -> tuple[Amount, ...]:
    """The four parts that the lines gave, as inputs of a step."""
    return tuple([(name, scope.quantities[name]) for name in ("own", "over_ceiling", "prepay", "in_scope")])


def _numbered(name: str, rules: Sequence[Limit | Cap], default: str) -> list[Running]:
    return [Running(f"{name}{number}", rule, default) for number, rule in enumerate(rules, start=1)]


def _rooms(rules: Iterable[Running], scope: Scope, ledger: Ledger) -> tuple[list[Amount], list[str | None]]:
    """What is left of every rule that holds, and the counters they run in."""
    rooms: list[Amount] = []
    keys: list[str | None] = []
    for rule in rules:
        if rule.always or holds(rule.condition, scope):
            key = rule.key(ledger, scope.facts)
            rooms.append(rule.room(key, scope, ledger))
            keys.append(key)
    return rooms, keys


def _use(keys: Sequence[str | None], amount: int, ledger: Ledger) -> None:
    """Use an amount of every counter once, though several rules of the layer may run in it."""
    for key in dict.fromkeys(keys):
        if key is not None:
            ledger.add(key, amount)
