"""How the lines of a bill are divided: 自费, 超限价, 先行自付, and what is in scope (政策范围内)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias

from shared.money import MAX_FEN, AmountOutOfRange
from shared.policy import undecidable
from shared.policy.conditions import compile_when
from shared.policy.decision import Bill, BillLine, Fact, Facts, LineResult, Step
from shared.policy.document import Figure, ItemLimit, ItemRule
from shared.policy.figures import Clauses, CompiledFigure, Unit
from shared.policy.formula import round_half_up
from shared.policy.ledger import Ledger
from shared.policy.scope import Scope, exact, holds
from shared.policy.vocabulary import UNIT_PRICE
from shared.policy.working import LINE_PARTS, Inputs, LineParts, cut_beyond

_KEPT: Final = 4096
_day_of = attrgetter("day")
_new_result = tuple.__new__
"""Makes a line's result without naming its fields, in half the time."""

_UNITS: Final = 100
"""Counters of quantities are in hundredths of a unit, as those of money are in hundredths of a yuan."""

Divided: TypeAlias = "tuple[BillLine, str, tuple[str, LineParts]]"
"""A line with its rule, and its parts by the name of the step that made them."""

_FromLine: TypeAlias = 'CompiledFigure | Literal["line"] | None'


class _Limit:
    """An item limit compiled."""

    def __init__(self, rule: ItemRule, limit: ItemLimit) -> None:
        clauses = (rule.clause,)
        self.amount_name = f"item:{rule.id}.limit"
        self.amount = _optional(limit.amount, self.amount_name, "amount", clauses)
        self.units = _optional(limit.quantity, f"item:{rule.id}.units", "number", clauses)
        self.counter = limit.counter or rule.id
        self.per = limit.per
        self.of = tuple(limit.of)
        self.room_name = f"item:{rule.id}.room"
        self.clauses = clauses


def _optional(figure: Figure | None, name: str, unit: Unit, clauses: Clauses) -> CompiledFigure | None:
    return None if figure is None else CompiledFigure(figure, name, unit, clauses)


class _Rule:
    """An item rule compiled."""

    def __init__(self, rule: ItemRule) -> None:
        self.id = rule.id
        self.scope = rule.scope
        self.otherwise = rule.otherwise
        self.clauses = (rule.clause,)
        self.condition = compile_when(rule.when)
        self.ceiling = _from_line(rule.ceiling, f"item:{rule.id}.ceiling", "unit_price", self.clauses)
        prepay = rule.prepay if rule.scope == "in" else None
        self.prepay = _from_line(prepay, f"item:{rule.id}.prepay", "ratio", self.clauses)
        self.limit = None if rule.limit is None or rule.scope == "out" else _Limit(rule, rule.limit)

    @property
    def facts(self) -> set[str]:
        """The facts it may ask for."""
        figures = [self.ceiling, self.prepay]
        asked = {*self.condition.facts, *self.condition.names}
        if self.limit:
            figures += [self.limit.amount, self.limit.units]
            asked.update(self.limit.of)
        return asked.union(*[figure.facts for figure in figures if isinstance(figure, CompiledFigure)])


def _from_line(figure: Any, name: str, unit: Unit, clauses: Clauses) -> _FromLine:
    return figure if figure is None or figure == "line" else CompiledFigure(figure, name, unit, clauses)


@dataclass(slots=True)
class _Plan:
    """What an item rule says for lines with the same facts; an operand that the line brings itself is None."""

    rule: _Rule
    prepay: tuple[str, Fraction] | None
    ceiling: tuple[str, Fraction] | None
    limit_fen: int | None
    limit_units: Fraction | None
    steps: tuple[Step, ...]


class Divider:
    """The item rules of a benefit."""

    def __init__(self, rules: Sequence[ItemRule]) -> None:
        compiled = [_Rule(rule) for rule in rules]
        self._rules = [rule for rule in compiled if not rule.otherwise]
        self._rest = [rule for rule in compiled if rule.otherwise]
        self._facts = tuple(sorted(set[str]().union(*[rule.facts for rule in compiled])))
        self.by_price = UNIT_PRICE in self._facts
        """Whether a rule asks for the unit price, so that lines of one class may be divided differently."""
        self._plans: dict[tuple[Fact | None, ...], _Plan] = {}

    def divide(self, bill: Bill, scope: Scope, ledger: Ledger) -> list[Divided]:
        """Every line with its rule and its parts, by day and number. Raises Undecidable."""
        return _Division(self, scope, ledger).lines(bill)

    def asked(self, facts: Facts) -> list[tuple[str, Fact | None]]:
        """The facts the rules may ask for, with their values of the bill."""
        return [(name, facts.get(name)) for name in self._facts]

    def plan(self, line: BillLine, bill_facts: Sequence[tuple[str, Fact | None]], scope: Scope) -> _Plan:
        """What the rules say for a line. Raises Undecidable."""
        facts = line.facts
        key = tuple([facts.get(name, value) for name, value in bill_facts])
        return self._plans.get(key) or self._planned(line, scope, key)

    def _planned(self, line: BillLine, scope: Scope, key: tuple[Fact | None, ...]) -> _Plan:
        facts = {**scope.facts, **line.facts}
        plan = _planned(self._rule_for(line, Scope(facts, scope.numbers)), Scope(facts, scope.numbers))
        if len(self._plans) >= _KEPT:
            self._plans.clear()
        self._plans[key] = plan
        return plan

    def _rule_for(self, line: BillLine, scope: Scope) -> _Rule:
        held = [rule for rule in self._rules if holds(rule.condition, scope)] or self._rest
        if not held:
            raise undecidable.no_item_rule(line.no)
        if len(held) > 1:
            clauses = [clause for rule in held for clause in rule.clauses]
            names = [rule.id for rule in held]
            raise undecidable.two_rules(f"费用明细{line.no}的目录规则", f"item rules of line {line.no}", names, clauses)
        return held[0]


def _planned(rule: _Rule, scope: Scope) -> _Plan:
    limit = rule.limit
    return _Plan(
        rule,
        _operand(rule.prepay, scope),
        _operand(rule.ceiling, scope),
        limit.amount.find(scope) if limit and limit.amount else None,
        limit.units.find(scope) if limit and limit.units else None,
        tuple(scope.steps or ()),
    )


def _operand(figure: _FromLine, scope: Scope) -> tuple[str, Fraction] | None:
    return (figure.name, figure.find(scope)) if isinstance(figure, CompiledFigure) else None


class _Division:
    """The division of one bill's lines, from line to line."""

    def __init__(self, divider: Divider, scope: Scope, ledger: Ledger) -> None:
        self._divider = divider
        self._scope = scope
        self._ledger = ledger
        self._bill_facts = divider.asked(scope.facts)
        self._spoken: dict[str, _Plan] = {}
        self._plans: dict[int, _Plan] = {}
        """By the identity of a line's facts, which the lines of one class share."""
        self._cut: dict[str, int] = {}
        """What of each counter's lines was cut so far in this bill."""

    def lines(self, bill: Bill) -> list[Divided]:
        return [self._line(line) for line in _in_order(bill.lines, self._ledger.day)]

    def _line(self, line: BillLine) -> Divided:
        scope = self._scope
        plan = self._plans.get(id(line.facts)) or self._plan_of(line)
        rule = plan.rule
        name = "line:" + line.no
        if scope.steps is not None and self._spoken.get(rule.id) is not plan:
            scope.steps.extend(plan.steps)
            self._spoken[rule.id] = plan
        kind, inputs = _operands(line, plan)
        parts: LineParts = scope.tell(kind, name, inputs, rule.clauses)
        if rule.limit is not None:
            parts = self._within_limits(line, plan, rule.limit, parts)
        return line, rule.id, (name, parts)

    def _plan_of(self, line: BillLine) -> _Plan:
        if self._divider.by_price:
            return self._divider.plan(_priced(line), self._bill_facts, self._scope)
        plan = self._plans[id(line.facts)] = self._divider.plan(line, self._bill_facts, self._scope)
        return plan

    def _within_limits(self, line: BillLine, plan: _Plan, limit: _Limit, parts: LineParts) -> LineParts:
        facts = {**self._scope.facts, **(_priced(line) if self._divider.by_price else line).facts}
        day = line.day or self._ledger.day
        if plan.limit_units is not None:
            key = self._ledger.line_key(f"{limit.counter}-quantity", limit.per, limit.of, facts, day)
            most = round_half_up(plan.limit_units * _UNITS)
            parts = self._cut_units(line, limit, key, most, parts)
        if plan.limit_fen is not None:
            key = self._ledger.line_key(limit.counter, limit.per, limit.of, facts, day)
            parts = self._cut_amount(line, limit, key, plan.limit_fen, parts)
        return parts

    def _cut_units(self, line: BillLine, limit: _Limit, key: str, most: int, parts: LineParts) -> LineParts:
        units = _signed_units(line)
        operands = ((":units", units), *self._room(limit, key, (":units_limit", most)))
        self._use(key, units, operands[1][1])
        inputs = (("line:" + line.no, parts), *operands)
        cut: LineParts = self._scope.tell("counted_line", "line:" + line.no, inputs, limit.clauses)
        return cut

    def _cut_amount(self, line: BillLine, limit: _Limit, key: str, most: int, parts: LineParts) -> LineParts:
        operands = self._room(limit, key, (limit.amount_name, most))
        self._use(key, parts[4], operands[0][1])
        inputs = (("line:" + line.no, parts), *operands)
        cut: LineParts = self._scope.tell("limited_line", "line:" + line.no, inputs, limit.clauses)
        return cut

    def _room(self, limit: _Limit, key: str, most: tuple[str, int]) -> tuple[tuple[str, int], tuple[str, int]]:
        inputs = (most, (key, self._ledger.used(key)))
        room = self._scope.step("room", limit.room_name, inputs, limit.clauses)
        return (limit.room_name, room), (":cut_before", self._cut.get(key, 0))

    def _use(self, key: str, size: int, room: int) -> None:
        cut_before = self._cut.get(key, 0)
        cut = cut_beyond(size, room, cut_before)
        self._cut[key] = cut_before + cut
        self._ledger.add(key, size - cut)


def _priced(line: BillLine) -> BillLine:
    """The line with its unit price among its facts, to the fen; of no unit, its amount is the price of one."""
    if UNIT_PRICE in line.facts:
        return line
    fen = round_half_up(abs(Fraction(line.amount_fen) / (exact(line.quantity) or 1)))
    return line._replace(facts={**line.facts, UNIT_PRICE: Decimal(fen).scaleb(-2)})


def _in_order(lines: Sequence[BillLine], day: date) -> list[BillLine]:
    """By day and number; those without a day are of the bill's."""
    if any(map(_day_of, lines)):
        return sorted(lines, key=lambda line: (line.day or day, line.no.zfill(12)))
    return sorted(lines, key=lambda line: line.no.zfill(12))


def _signed_units(line: BillLine) -> int:
    units = round_half_up(abs(exact(line.quantity)) * _UNITS)
    return -units if line.amount_fen < 0 else units


def _operands(line: BillLine, plan: _Plan) -> tuple[str, Inputs]:
    """The kind of step that divides a line, and its inputs. Raises Undecidable for a line that cannot be."""
    rule = plan.rule
    amount = (":amount", line.amount_fen)
    if rule.ceiling is None and plan.prepay is not None:
        return "line", (amount, plan.prepay)
    if rule.scope == "out":
        return "out_line", (amount,)
    if rule.scope == "stated":
        return "stated_line", (amount, *_stated(line))
    prepay = plan.prepay or _own_prepay(line)
    ceiling = plan.ceiling or (_own_ceiling(line) if rule.ceiling == "line" else None)
    if ceiling is None:
        return "line", (amount, prepay)
    return "priced_line", (amount, ceiling, (":quantity", exact(line.quantity)), prepay)


def _own_prepay(line: BillLine) -> tuple[str, Fraction]:
    ratio = exact(line.prepay or 0)
    if not 0 <= ratio.numerator <= ratio.denominator:
        raise undecidable.bad_line(line.no, "先行自付比例须在0到1之间", "its prepayment ratio is not between 0 and 1")
    return ":prepay", ratio


def _own_ceiling(line: BillLine) -> tuple[str, Fraction] | None:
    if line.ceiling_fen is None:
        return None
    if line.ceiling_fen < 0:
        raise undecidable.bad_line(line.no, "限价不能为负", "its price ceiling is negative")
    return ":ceiling", exact(line.ceiling_fen)


def _stated(line: BillLine) -> Inputs:
    stated = (line.own_fen, line.over_ceiling_fen, line.prepay_fen)
    sign = -1 if line.amount_fen < 0 else 1
    if any(part * sign < 0 for part in stated) or sum(stated) * sign > line.amount_fen * sign:
        zh, en = (
            "自费、超限价、先行自付之和超过金额或符号相反",
            "its own parts exceed its amount or have the other sign",
        )
        raise undecidable.bad_line(line.no, zh, en)
    return tuple(zip((":own", ":over_ceiling", ":prepay"), stated, strict=True))


def all_own(bill: Bill, rule: str, clauses: Clauses, scope: Scope) -> list[Divided]:
    """Every line outside the scope, where a benefit refuses the bill."""
    divided: list[Divided] = []
    for line in bill.lines:
        inputs = ((":amount", line.amount_fen),)
        name = "line:" + line.no
        divided.append((line, rule, (name, scope.tell("out_line", name, inputs, clauses))))
    return divided


def line_results(divided: Sequence[Divided]) -> tuple[LineResult, ...]:
    """The divisions as the decision carries them."""
    return tuple([_new_result(LineResult, (line.no, rule, *parts)) for line, rule, (_, parts) in divided])


def check_lines(lines: Sequence[BillLine]) -> None:
    """Raises AmountOutOfRange when the lines are more than money can be, in whatever order they are added, and
    Undecidable when two have one number."""
    if sum([abs(line.amount_fen) for line in lines]) > MAX_FEN:
        raise AmountOutOfRange("not an amount of money")
    numbers = {line.no for line in lines}
    if len(numbers) != len(lines):
        twice = next(number for number in numbers if sum(line.no == number for line in lines) > 1)
        raise undecidable.bad_line(twice, "序号重复", "its number stands twice")


def sum_lines(divided: Sequence[Divided], scope: Scope, reads: frozenset[str]) -> None:
    """The sums over all lines, and those by class and tag; of the latter the steps are kept when a formula of the
    pack (`reads`) asks for them."""
    operands = [operand for _, _, operand in divided]
    for part in LINE_PARTS:
        scope.step("line_sum", part, ((":part", part), *operands), ())
    for kind in ("class", "tag"):
        for word, group in _by_word(kind, divided).items():
            _sum_group(f"{kind}.{word}", "total", group, scope, reads)
            _sum_group(f"{kind}_scope.{word}", "in_scope", group, scope, reads)


def _by_word(kind: str, divided: Sequence[Divided]) -> dict[str, list[tuple[str, LineParts]]]:
    """The lines' parts by class, or by tag; a line may have several tags."""
    groups: dict[str, list[tuple[str, LineParts]]] = {}
    for line, _, operand in divided:
        words = line.facts.get(kind)
        if words is None:
            continue
        for word in (words,) if type(words) is str else _words(words):
            if word in groups:
                groups[word].append(operand)
            else:
                groups[word] = [operand]
    return groups


def _sum_group(
    name: str, part: str, operands: Sequence[tuple[str, LineParts]], scope: Scope, reads: frozenset[str]
) -> None:
    if name in reads:
        scope.step("line_sum", name, ((":part", part), *operands), ())
    else:
        place = LINE_PARTS.index(part)
        scope.quantities[name] = sum([parts[place] for _, parts in operands])


def _words(value: Fact) -> Iterable[str]:
    return sorted(value) if isinstance(value, frozenset) else ()
