"""The benefit semantics told a second time: slow, obvious, in exact fractions, without a line of the engine's code.

It walks the document as it stands for every bill. Amounts are whole fen, quantities in formulas are yuan. What comes
out is flat, name → amount, so that two answers are compared by comparing two dictionaries; what is 0 is left out.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeAlias

from shared.policy.decision import Bill, BillLine, Decision, Fact
from shared.policy.document import (
    Adjust,
    Benefit,
    Calculation,
    Cap,
    FigureCase,
    FigureRule,
    ItemLimit,
    ItemRule,
    Layer,
    Limit,
    Not,
    PackDocument,
    Period,
    Range,
    Tiers,
    When,
)
from shared.policy.document import Step as CalculationStep
from shared.policy.working import APART

Amounts: TypeAlias = dict[str, int]
"""`fund`, `parts.own`, `line.3.prepay`, `layer.basic.fund`, `changes.basic-fund@2025`, `quantities.tag.特药` …"""

ORDER = ("over_cap", "by_ratio", "deductible", "prepay", "over_ceiling", "own")
"""The order in which a payment takes the parts away that `absorbs` does not name."""
LINE_PARTS = ("own", "over_ceiling", "prepay")
WHOLE = ("total", *LINE_PARTS, "in_scope", "fund", "hospital", "person", "account", "family", "cash", "later")
LAYER_RESULTS = ("basis", "over_limit", "deductible", "eligible", "fund", "by_ratio", "over_cap")
LAYER_NAMES = (*LAYER_RESULTS, "limited", "used", "left", "cap_left")
UNIT = 100
"""Counters of units run in hundredths."""
BEYOND = -1
"""Number of what lies beyond a closed last band."""
VISIT = "visit:"
"""Begins the counters that end with the bill."""
OF_LINES = re.compile(r"(tag|class)(_scope)?\.")
"""Sums that are 0 when no line has the tag or the class."""


class Refused(Exception):
    """The pack does not decide this; `args[0]` is the code."""


exact: Callable[[Decimal | int], Fraction] = lru_cache(maxsize=100_000)(Fraction)
"""A number as a fraction."""


def half_up(number: Fraction) -> int:
    """The nearest whole number; a half goes away from zero."""
    nearest = (2 * abs(number.numerator) + number.denominator) // (2 * number.denominator)
    return -nearest if number < 0 else nearest


# --------------------------------------------------------------------------------------------------- formulas

Look: TypeAlias = Callable[[str], Fraction]

_ATOM = re.compile(r"\d+(?:\.\d+)?%?|[^\W\d][\w.]*")
_FUNCTIONS: dict[str, Callable[..., Fraction]] = {
    "min": min,
    "max": max,
    "round": lambda number: Fraction(half_up(number)),
    "floor": lambda number: Fraction(math.floor(number)),
    "ceil": lambda number: Fraction(math.ceil(number)),
}
_SIGNS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _atom(word: str) -> str | Fraction:
    if not word[0].isdigit():
        return word
    return Fraction(word[:-1]) / 100 if word.endswith("%") else Fraction(word)


@lru_cache(maxsize=100_000)
def _tree(text: str) -> tuple[ast.expr, tuple[str | Fraction, ...]]:
    # Python's own grammar reads the formula, once its names (`class.甲`) and numbers (`85%`) are put aside.
    atoms: list[str | Fraction] = []

    def aside(match: re.Match[str]) -> str:
        if match[0] in _FUNCTIONS:
            return match[0]
        atoms.append(_atom(match[0]))
        return f"_{len(atoms) - 1}"

    return ast.parse(_ATOM.sub(aside, text).strip(), mode="eval").body, tuple(atoms)


def formula(text: str, look: Look) -> Any:
    """The number a formula gives, or whether its comparison holds."""
    tree, atoms = _tree(text)

    def value(node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            atom = atoms[int(node.id[1:])]
            return look(atom) if isinstance(atom, str) else atom
        if isinstance(node, ast.BinOp):
            return _SIGNS[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp):
            return -value(node.operand)
        if isinstance(node, ast.Compare):
            return _SIGNS[type(node.ops[0])](value(node.left), value(node.comparators[0]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return _FUNCTIONS[node.func.id](*(value(argument) for argument in node.args))
        raise AssertionError(f"not arithmetic: {text}")

    try:
        return value(tree)
    except ZeroDivisionError:
        raise Refused("policy.division-by-zero") from None


# ------------------------------------------------------------------------------------------------- conditions


@dataclass
class View:
    """What conditions and formulas may look at: facts, the pack's figures, amounts so far."""

    pack: PackDocument
    facts: Mapping[str, Fact]
    numbers: dict[str, Fraction] = field(default_factory=dict)
    """Inputs and steps of a calculation."""
    fen: dict[str, int] = field(default_factory=dict)
    """Quantities of the bill so far."""

    def look(self, name: str) -> Fraction:
        """The number of this name."""
        if name in self.fen:
            return Fraction(self.fen[name], 100)
        if name in self.numbers:
            return self.numbers[name]
        if name in self.pack.figures:
            return exact(self.pack.figures[name].value)
        if OF_LINES.match(name):
            return Fraction(0)
        fact = self.facts.get(name)
        if isinstance(fact, bool) or not isinstance(fact, Decimal | int):
            raise Refused("policy.fact-missing")
        return exact(fact)

    def holds(self, when: When) -> bool:
        """Whether all of it holds."""
        for name, test in when.items():
            if name == "if":
                if not all(formula(str(text), self.look) for text in (test if isinstance(test, list) else [test])):
                    return False
            elif not self._test(self.facts.get(name), test):
                return False
        return True

    def _test(self, fact: Fact | None, test: Any) -> bool:
        if isinstance(test, Not):
            return not self._test(fact, test.not_)
        if isinstance(test, list | tuple):
            return any(self._test(fact, word) for word in test)
        if isinstance(test, Range):
            return not isinstance(fact, bool) and isinstance(fact, Decimal | int) and _in_range(fact, test)
        if isinstance(test, bool):
            return (fact is True) == test
        if isinstance(fact, frozenset):
            return test in fact
        return fact is not None and not isinstance(fact, bool) and bool(fact == test)


def _in_range(number: Decimal | int, bounds: Range) -> bool:
    return (
        (bounds.from_ is None or number >= bounds.from_)
        and (bounds.to is None or number <= bounds.to)
        and (bounds.above is None or number > bounds.above)
        and (bounds.below is None or number < bounds.below)
    )


# ---------------------------------------------------------------------------------------------------- figures


def figure(written: Any, view: View) -> Fraction:
    """The number that a figure gives here."""
    if isinstance(written, str):
        return Fraction(formula(written, view.look))
    if isinstance(written, dict):
        written = FigureRule.model_validate(written)
    return _rule(written, view) if isinstance(written, FigureRule) else exact(written)


def _rule(rule: FigureRule, view: View) -> Fraction:
    if rule.table is not None:
        number = _table(rule, view)
    elif rule.cases is not None:
        number = _case(rule.cases, view)
    else:
        number = figure(rule.value, view)
    for adjust in rule.adjust:
        if view.holds(adjust.when):
            number = _adjusted(number, adjust, view)
    if rule.at_least is not None:
        number = max(number, figure(rule.at_least, view))
    if rule.at_most is not None:
        number = min(number, figure(rule.at_most, view))
    return 1 - number if rule.share == "person" else number


def _adjusted(number: Fraction, adjust: Adjust, view: View) -> Fraction:
    if adjust.add is not None:
        return number + figure(adjust.add, view)
    if adjust.times is not None:
        return number * figure(adjust.times, view)
    return figure(adjust.set, view)


def _case(cases: Sequence[FigureCase], view: View) -> Fraction:
    fitting = [case for case in cases if not case.otherwise and view.holds(case.when)]
    if len(fitting) > 1:
        raise Refused("policy.two-rules")
    fitting = fitting or [case for case in cases if case.otherwise]
    if not fitting:
        raise Refused("policy.no-value")
    return figure(fitting[0].value, view)


def _table(rule: FigureRule, view: View) -> Fraction:
    found: Any = rule.table
    for fact in [rule.by] if isinstance(rule.by, str) else rule.by or []:
        if fact not in view.facts:
            raise Refused("policy.fact-missing")
        keys = [key for key in found if key != "otherwise" and _key_fits(str(key), view.facts[fact])]
        if len(keys) > 1:
            raise Refused("policy.two-rules")
        if not keys and "otherwise" not in found:
            raise Refused("policy.no-value")
        found = found[keys[0] if keys else "otherwise"]
    return figure(found, view)


def _key_fits(key: str, fact: Fact) -> bool:
    if isinstance(fact, str):
        return key == fact
    if isinstance(fact, frozenset):
        return key in fact
    if key.endswith("+"):
        return fact >= Decimal(key[:-1])
    if key.startswith("<"):
        return fact < Decimal(key[1:])
    low, _, high = key.partition("-")
    return Decimal(low) <= fact <= Decimal(high or low)


def ratio(written: Any, view: View) -> Fraction:
    """A figure that must lie in 0 to 1."""
    return _proper(figure(written, view))


def _proper(number: Fraction) -> Fraction:
    if not 0 <= number <= 1:
        raise Refused("policy.out-of-range")
    return number


def fen(written: Any, view: View) -> int:
    """A figure in yuan, in whole fen."""
    return half_up(100 * figure(written, view))


# ------------------------------------------------------------------------------------------- periods, counters


def deciding_day(pack: PackDocument, bill: Bill) -> date:
    """The day that chooses version, year and periods."""
    if pack.decided_by == "service":
        return max(line.day or bill.ends_on for line in bill.lines)
    return bill.begins_on if pack.decided_by == "admission" else bill.ends_on


@lru_cache(maxsize=10_000)
def year_of(day: date, begins: str) -> int:
    """The calendar year in which the benefit year of this day begins."""
    return day.year if f"{day:%m-%d}" >= begins else day.year - 1


@lru_cache(maxsize=100_000)
def _period(per: Period, day: date, begins: str, facility: str) -> str:
    year = year_of(day, begins)
    return {
        "day": day.isoformat(),
        "month": f"{day:%Y-%m}",
        "quarter": f"{day.year}-Q{(day.month + 2) // 3}",
        "year": f"{year}",
        "facility_year": f"{year}/{facility}",
        "lifetime": "lifetime",
    }[per]


def period(pack: PackDocument, per: Period, bill: Bill) -> str | None:
    """The period a bill belongs to; None when nothing runs on from bill to bill."""
    if per == "episode":
        return None if bill.episode is None else f"episode:{bill.episode}"
    return None if per == "visit" else _period(per, deciding_day(pack, bill), pack.year_begins, bill.facility)


@dataclass
class Sheet:
    """A bill on its way: what was used before and what it has moved."""

    view: View
    bill: Bill
    before: Mapping[str, int]
    moved: dict[str, int] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    """What item limits cut, by counter."""
    parts: dict[str, int] | None = None
    """The person's burden; None until a layer has paid."""
    nobody_looked: int = 0
    """What of the scope no layer has looked at, once one has run."""
    paid: int = 0
    hospital: int = 0
    later: int = 0
    out: Amounts = field(default_factory=dict)

    def key(
        self, counter: str, per: Period, of: Sequence[str], facts: Mapping[str, Fact], day: date | None = None
    ) -> str | None:
        """The counter of this bill's period; an item limit a day counts by the day of the line."""
        ran = period(self.view.pack, per, self.bill)
        if per == "day" and day is not None:
            ran = day.isoformat()
        if ran is None:
            return None
        if any(name not in facts for name in of):
            raise Refused("policy.fact-missing")
        return f"{counter}@{ran}" + "".join(f";{name}={facts[name]}" for name in of)

    def used(self, key: str | None) -> int:
        """What bills before, and this one so far, used up."""
        return 0 if key is None else self.before.get(key, 0) + self.moved.get(key, 0)

    def move(self, keys: Iterable[str | None], amount: int) -> None:
        """Each of these counters grows."""
        for key in {key for key in keys if key is not None}:
            self.moved[key] = self.moved.get(key, 0) + amount

    @property
    def fen(self) -> dict[str, int]:
        """Quantities so far, which formulas may name."""
        return self.view.fen

    def add(self, name: str, amount: int) -> None:
        """A sum over the lines grows."""
        self.fen[name] = self.fen.get(name, 0) + amount


# ------------------------------------------------------------------------------------------------------ lines


def _item_rule(rules: Sequence[ItemRule], view: View) -> ItemRule:
    fitting = [rule for rule in rules if not rule.otherwise and view.holds(rule.when)]
    if len(fitting) > 1:
        raise Refused("policy.two-rules")
    fitting = fitting or [rule for rule in rules if rule.otherwise]
    if not fitting:
        raise Refused("policy.no-item-rule")
    return fitting[0]


@dataclass
class ItemFigures:
    """The figures of an item rule for a line, found before the line is divided. Ceiling in fen."""

    prepay: Fraction = Fraction(0)
    ceiling: Fraction | None = None
    amount: int | None = None
    units: int | None = None


def _item_figures(line: BillLine, rule: ItemRule, view: View) -> ItemFigures:
    found = ItemFigures()
    if rule.scope == "in":
        found.prepay = _proper(exact(line.prepay or 0)) if rule.prepay == "line" else ratio(rule.prepay, view)
        if rule.ceiling == "line":
            found.ceiling = None if line.ceiling_fen is None else exact(line.ceiling_fen)
        elif rule.ceiling is not None:
            found.ceiling = max(Fraction(0), 100 * figure(rule.ceiling, view))
    if rule.scope != "out" and rule.limit is not None:
        if rule.limit.amount is not None:
            found.amount = fen(rule.limit.amount, view)
        if rule.limit.quantity is not None:
            found.units = half_up(UNIT * figure(rule.limit.quantity, view))
    return found


def _divide(line: BillLine, rule: ItemRule, figures: ItemFigures) -> dict[str, int]:
    if rule.scope == "out":
        own, over, prepay = line.amount_fen, 0, 0
    elif rule.scope == "stated":
        own, over, prepay = line.own_fen, line.over_ceiling_fen, line.prepay_fen
    else:
        own, (over, prepay) = 0, _in_scope(line, figures)
    rest = line.amount_fen - own - over - prepay
    sign = -1 if line.amount_fen < 0 else 1
    if any(sign * part < 0 for part in (own, over, prepay, rest)):
        raise Refused("policy.bad-line")
    return {"own": own, "over_ceiling": over, "prepay": prepay, "in_scope": rest}


def _in_scope(line: BillLine, figures: ItemFigures) -> tuple[int, int]:
    """What is over the ceiling, and what is paid before."""
    amount, sign, over = abs(line.amount_fen), -1 if line.amount_fen < 0 else 1, 0
    if figures.ceiling is not None:
        over = half_up(max(Fraction(0), amount - figures.ceiling * abs(exact(line.quantity))))
    return sign * over, sign * half_up((amount - over) * figures.prepay)


def _cut(size: int, room: int, cut_before: int) -> int:
    """What of a size finds no room; a void takes back first what was cut before in the same bill."""
    return max(0, size - max(0, room)) if size >= 0 else -min(-size, cut_before)


def _limited(sheet: Sheet, key: str, size: int, limit: int) -> int:
    cut = _cut(size, limit - sheet.used(key), sheet.cut.get(key, 0))
    sheet.cut[key] = sheet.cut.get(key, 0) + cut
    sheet.move([key], size - cut)
    return size - cut


def _limit_line(
    sheet: Sheet, line: BillLine, rule: ItemRule, figures: ItemFigures, here: View, part: dict[str, int]
) -> None:
    """What stays of the parts; the rest is outside the scope. Within one bill a limit a visit runs over its lines."""
    sign = -1 if line.amount_fen < 0 else 1
    if rule.limit is None:
        return
    counter = rule.limit.counter or rule.id
    if figures.units is not None and line.quantity:
        asked = sign * half_up(abs(exact(line.quantity)) * UNIT)
        key = _item_key(sheet, line, rule.limit, f"{counter}-quantity", here)
        stays = Fraction(_limited(sheet, key, asked, figures.units), asked)
        for name in ("over_ceiling", "prepay", "in_scope"):
            kept = half_up(part[name] * stays)
            part["own"] += part[name] - kept
            part[name] = kept
    if figures.amount is not None:
        key = _item_key(sheet, line, rule.limit, counter, here)
        kept = _limited(sheet, key, part["in_scope"], figures.amount)
        part["own"] += part["in_scope"] - kept
        part["in_scope"] = kept


def _item_key(sheet: Sheet, line: BillLine, limit: ItemLimit, counter: str, here: View) -> str:
    key = sheet.key(counter, limit.per, limit.of, here.facts, line.day)
    if any(name not in here.facts for name in limit.of):
        raise Refused("policy.fact-missing")
    return key or ";".join([f"{VISIT}{counter}", *(str(here.facts[name]) for name in limit.of)])


def _unit_price(line: BillLine) -> Decimal:
    """What one unit costs in yuan, to the fen."""
    units = Fraction(line.quantity) if line.quantity else Fraction(1)
    return Decimal(half_up(abs(Fraction(line.amount_fen) / units))) / 100


def _line(sheet: Sheet, rules: Sequence[ItemRule], line: BillLine) -> None:
    here = View(sheet.view.pack, {**sheet.view.facts, "unit_price": _unit_price(line), **line.facts})
    rule = _item_rule(rules, here)
    figures = _item_figures(line, rule, here)
    part = _divide(line, rule, figures)
    _limit_line(sheet, line, rule, figures, here, part)
    for name, amount in {"amount": line.amount_fen, **part, f"by {rule.id}": 1}.items():
        sheet.out[f"line.{line.no}.{name}"] = amount
    for name, amount in {"total": line.amount_fen, **part}.items():
        sheet.add(name, amount)
    for kind in ("tag", "class"):
        for word in _words(line.facts.get(kind)):
            sheet.add(f"{kind}.{word}", line.amount_fen)
            sheet.add(f"{kind}_scope.{word}", part["in_scope"])


def _words(fact: Fact | None) -> Iterable[str]:
    if isinstance(fact, frozenset):
        return fact
    return [fact] if isinstance(fact, str) else []


def _lines(sheet: Sheet, benefit: Benefit) -> None:
    for name in ("total", "own", "over_ceiling", "prepay", "in_scope"):
        sheet.fen[name] = 0
    rules = benefit.items or sheet.view.pack.items
    day = deciding_day(sheet.view.pack, sheet.bill)
    for line in sorted(sheet.bill.lines, key=lambda line: (line.day or day, line.no)):
        _line(sheet, rules, line)
    sheet.moved = {key: amount for key, amount in sheet.moved.items() if not key.startswith(VISIT)}


# ----------------------------------------------------------------------------------------------------- layers


@dataclass
class Paid:
    """What a layer makes of a bill; the names are those of the document."""

    basis: int
    limited: int = 0
    deductible: int = 0
    eligible: int = 0
    share: int = 0
    facility: int = 0
    fund: int = 0
    by_ratio: int = 0
    used: int = 0
    payout: int = 0
    bands: list[tuple[int, int, Fraction, int]] = field(default_factory=list)
    """Number, expense, ratio, share."""
    cap_left: int | None = None


def _room(sheet: Sheet, limit: Limit | Cap, counter: str) -> tuple[str | None, int]:
    key = sheet.key(limit.counter or counter, limit.per, limit.of, sheet.view.facts)
    return key, max(0, fen(limit.amount, sheet.view) - sheet.used(key))


def _deductible(sheet: Sheet, layer: Layer, limited: int) -> tuple[list[str | None], int]:
    """Its counters, and what it comes to."""
    rule = layer.deductible
    if rule is None:
        return [], 0
    if any(sheet.view.holds(when) for when in rule.waived):
        return [], 0
    key = sheet.key(rule.counter or f"{layer.id}-deductible", rule.per, rule.of, sheet.view.facts)
    left = max(0, max(0, fen(rule.amount, sheet.view)) - sheet.used(key))
    if rule.limit is None:
        return [key], min(limited, left)
    long = sheet.key(rule.limit.counter or f"{layer.id}-deductibles", rule.limit.per, [], sheet.view.facts)
    most = max(0, max(0, fen(rule.limit.amount, sheet.view)) - sheet.used(long))
    return [key, long], min(limited, left, most)


def _rounded(sheet: Sheet, number: Fraction) -> int:
    return math.floor(number) if sheet.view.pack.rounding == "down" else half_up(number)


def _bands(sheet: Sheet, tiers: Tiers, offset: int, paid: Paid) -> list[tuple[int, int, Fraction, int]]:
    low = offset + (paid.deductible if tiers.axis == "gross" else 0)
    high = low + paid.eligible
    bottom, bands = 0, []
    for number, band in enumerate(tiers.bands, start=1):
        top = max(high, bottom) if band.to is None else fen(band.to, sheet.view)
        expense = max(0, min(high, top) - max(low, bottom))
        if expense:
            share = ratio(band.ratio, sheet.view)
            bands.append((number, expense, share, _rounded(sheet, expense * share)))
        bottom = max(bottom, top)
        if high <= bottom:
            break
    else:
        bands.append((BEYOND, high - max(low, bottom), Fraction(0), 0))
    return bands


def _share(sheet: Sheet, layer: Layer, paid: Paid) -> None:
    """By ratio, by bands, or a fixed amount: what the fund would pay without ceiling and caps."""
    if layer.ratio is not None:
        share = ratio(layer.ratio, sheet.view)
        paid.bands = [(0, paid.eligible, share, _rounded(sheet, paid.eligible * share))]
    elif layer.tiers is not None:
        counter = layer.tiers.counter or f"{layer.id}-sum"
        key = sheet.key(counter, layer.tiers.running, [], sheet.view.facts) if layer.tiers.running else None
        paid.bands = _bands(sheet, layer.tiers, sheet.used(key), paid)
    elif layer.fixed is not None:
        amount = max(0, fen(layer.fixed.amount, sheet.view))
        if layer.fixed.per == "day":
            amount = half_up(amount * sheet.view.look("days"))
        paid.bands = [(0, paid.eligible, Fraction(1), min(amount, paid.eligible))]
        if layer.fixed.surplus != "none":
            paid.payout = max(0, amount - paid.eligible)
        if layer.fixed.deficit == "facility" and layer.pays == "now":
            paid.facility = max(0, paid.eligible - amount)
    paid.share = sum(share for *_, share in paid.bands)


def _person_ceiling(sheet: Sheet, layer: Layer, paid: Paid) -> None:
    if layer.person_ceiling is None:
        return
    rule = layer.person_ceiling
    key = sheet.key(rule.counter or f"{layer.id}-person", rule.per, [], sheet.view.facts)
    burden = paid.deductible + paid.eligible - paid.share - paid.facility
    room = max(0, fen(rule.amount, sheet.view) - sheet.used(key))
    excess = max(0, burden - room)
    from_deductible = max(0, excess - (paid.eligible - paid.share - paid.facility))
    paid.deductible -= from_deductible
    paid.eligible += from_deductible
    paid.share += excess
    sheet.move([key], burden - excess)


def _caps(sheet: Sheet, layer: Layer, paid: Paid) -> None:
    rooms = [_room(sheet, cap, f"{layer.id}-fund") for cap in layer.caps if sheet.view.holds(cap.when)]
    paid.fund = min([paid.share, *(room for _, room in rooms)])
    paid.by_ratio = paid.eligible - paid.share - paid.facility
    paid.cap_left = min((room - paid.fund for _, room in rooms), default=None)
    sheet.move([key for key, _ in rooms], paid.fund)


def _behind(fund: int, share_ratio: Fraction, expense: int) -> int:
    return min(half_up(fund / share_ratio), expense) if share_ratio else expense


def _used(paid: Paid) -> int:
    """The expense behind the fund's payment."""
    if paid.fund == paid.share:
        return paid.eligible
    if len(paid.bands) <= 1:
        return _behind(paid.fund, paid.bands[0][2] if paid.bands else Fraction(1), paid.eligible)
    rest, used = paid.fund, 0
    for _, expense, share_ratio, share in paid.bands:
        if share > rest:
            return used + _behind(rest, share_ratio, expense)
        rest -= share
        used += expense
    return paid.eligible


def _given(sheet: Sheet, layer: Layer, basis: int) -> Paid:
    fund = sheet.bill.paid_fen.get(layer.id, 0)
    if not 0 <= fund <= max(0, sheet.fen["person"]):
        raise Refused("policy.given-too-much")
    # Who paid before may have looked at more than this pack does.
    basis = max(basis, fund)
    return Paid(basis, limited=basis, eligible=basis, share=fund, fund=fund, by_ratio=basis - fund, used=basis)


def _pay(sheet: Sheet, layer: Layer) -> Paid:
    basis = half_up(100 * Fraction(formula(layer.basis, sheet.view.look)))
    basis = max(0, min(basis, sheet.fen["person"]))
    if layer.pays == "given":
        return _given(sheet, layer, basis)
    paid = Paid(basis)
    limits = [_room(sheet, limit, f"{layer.id}-expense") for limit in layer.limits if sheet.view.holds(limit.when)]
    paid.limited = min([basis, *(room for _, room in limits)])
    deductible_keys, paid.deductible = _deductible(sheet, layer, paid.limited)
    paid.eligible = above = paid.limited - paid.deductible
    _share(sheet, layer, paid)
    _person_ceiling(sheet, layer, paid)
    _caps(sheet, layer, paid)
    paid.used = _used(paid)
    sheet.move([key for key, _ in limits], paid.limited)
    sheet.move(deductible_keys, paid.deductible)
    if layer.tiers is not None and layer.tiers.running is not None:
        key = sheet.key(layer.tiers.counter or f"{layer.id}-sum", layer.tiers.running, [], sheet.view.facts)
        sheet.move([key], paid.limited if layer.tiers.axis == "gross" else above)
    return paid


def _show(sheet: Sheet, layer: Layer, paid: Paid) -> None:
    """What formulas of later layers may name, and what is compared."""
    over_cap = 0 if layer.pays == "given" else paid.share - paid.fund
    amounts = {
        "basis": paid.basis,
        "limited": paid.limited,
        "deductible": paid.deductible,
        "eligible": paid.eligible,
        "fund": paid.fund,
        "by_ratio": paid.by_ratio,
        "over_cap": over_cap,
        "over_limit": paid.basis - paid.limited,
        "used": paid.used,
        "left": paid.eligible - paid.used,
        "cap_left": paid.cap_left or 0,
    }
    if paid.cap_left is None:
        del sheet.fen[f"{layer.id.replace('-', '_')}.cap_left"], amounts["cap_left"]
    for name, amount in amounts.items():
        sheet.fen[f"{layer.id.replace('-', '_')}.{name}"] = amount
    sheet.out |= {f"layer.{layer.id}.{name}": amounts[name] for name in LAYER_RESULTS}
    sheet.out[f"layer.{layer.id}.facility"] = paid.facility
    if layer.tiers is not None and layer.pays != "given":
        for number, expense, share_ratio, share in paid.bands:
            if number == BEYOND:
                continue
            name = f"layer.{layer.id}.band.{number} at {share_ratio}"
            sheet.out |= {f"{name}.expense": expense, f"{name}.share": share}
    if layer.fixed is not None and paid.payout:
        sheet.out[f"payout.{layer.id}.{layer.fixed.surplus}"] = paid.payout


# ------------------------------------------------------------------------------------------------------ parts


def take(parts: dict[str, int], amount: int, order: Iterable[str]) -> int:
    """Take an amount away from the parts in this order; answers what could not be taken."""
    for part in order:
        taken = max(0, min(parts[part], amount))
        parts[part] -= taken
        amount -= taken
    return amount


def _evened(parts: dict[str, int]) -> dict[str, int]:
    """Parts without negative ones, which voids may leave among the sums of the lines: the others bear them."""
    if sum(parts.values()) < 0:
        return dict.fromkeys(parts, 0) | {"over_cap": sum(parts.values())}
    left = {name: max(0, amount) for name, amount in parts.items()}
    take(left, sum(left.values()) - sum(parts.values()), ORDER)
    return left


def _parts(sheet: Sheet, deductible: int, by_ratio: int, paid: int) -> dict[str, int]:
    parts = {name: sheet.fen[name] for name in LINE_PARTS} | {"deductible": deductible, "by_ratio": by_ratio}
    return _evened(parts | {"over_cap": sheet.fen["in_scope"] - deductible - by_ratio - paid})


def _outside(layer: Layer) -> bool:
    """Whether the basis names what is not in scope."""
    return any(atom in LINE_PARTS for atom in _tree(layer.basis)[1])


def _first_parts(sheet: Sheet, layer: Layer, paid: Paid) -> dict[str, int]:
    if not _outside(layer) and paid.basis <= max(0, sheet.fen["in_scope"]):
        return _parts(sheet, paid.deductible, paid.by_ratio, paid.fund + paid.facility)
    deductible = by_ratio = 0
    if {"in_scope", "total", "person"} & set(_tree(layer.basis)[1]):
        room = max(0, sheet.fen["in_scope"])
        deductible = min(paid.deductible, room)
        by_ratio = min(paid.by_ratio, room - deductible)
    parts = _parts(sheet, deductible, by_ratio, 0)
    take(parts, paid.fund + paid.facility, [*layer.absorbs, *ORDER])
    return parts


def _looked_first(sheet: Sheet, layer: Layer, paid: Paid) -> int:
    """What of the scope the first layer looks at."""
    if not _outside(layer) and paid.basis <= max(0, sheet.fen["in_scope"]):
        return paid.basis
    return sheet.fen["in_scope"] if {"in_scope", "total", "person"} & set(_tree(layer.basis)[1]) else 0


def _fresh(sheet: Sheet, layer: Layer, paid: Paid) -> int:
    """What of the scope a later layer is the first to look at."""
    if _outside(layer) or {"total", "person"} & set(_tree(layer.basis)[1]):
        return 0
    return min(paid.basis, sheet.nobody_looked)


def _tell_fresh(parts: dict[str, int], fresh: int, paid: Paid) -> None:
    fresh = min(fresh, max(0, parts["over_cap"]))
    for part, amount in (("deductible", paid.deductible), ("by_ratio", paid.by_ratio)):
        moved = min(amount, fresh)
        fresh -= moved
        parts[part] += moved
        parts["over_cap"] -= moved


def _settle(sheet: Sheet, layer: Layer, paid: Paid) -> None:
    """The parts after a layer that pays now or was given."""
    if sheet.parts is None:
        sheet.parts = _first_parts(sheet, layer, paid)
        sheet.nobody_looked = sheet.fen["in_scope"] - _looked_first(sheet, layer, paid)
    elif (fresh := _fresh(sheet, layer, paid)) > 0:
        sheet.nobody_looked -= fresh
        _tell_fresh(sheet.parts, fresh, paid)
        take(sheet.parts, paid.fund + paid.facility, ["over_cap", *layer.absorbs, *ORDER])
    else:
        take(sheet.parts, paid.fund + paid.facility, [*layer.absorbs, *ORDER])
    sheet.paid += paid.fund
    sheet.hospital += paid.facility
    sheet.fen["paid"] = sheet.paid
    sheet.fen["person"] = sheet.fen["total"] - sheet.paid - sheet.hospital


def _layers(sheet: Sheet, benefit: Benefit) -> None:
    sheet.fen["paid"] = 0
    sheet.fen["person"] = sheet.fen["total"]
    for layer in benefit.layers:
        for name in LAYER_NAMES:
            sheet.fen[f"{layer.id.replace('-', '_')}.{name}"] = 0
        if not sheet.view.holds(layer.when):
            continue
        paid = _pay(sheet, layer)
        _show(sheet, layer, paid)
        if layer.pays == "later":
            sheet.later += paid.fund
        else:
            _settle(sheet, layer, paid)
    gave = {layer.id for layer in benefit.layers if layer.pays == "given" and f"layer.{layer.id}.basis" in sheet.out}
    if any(amount and layer not in gave for layer, amount in sheet.bill.paid_fen.items()):
        raise Refused("policy.unknown-payer")


def _account(sheet: Sheet, benefit: Benefit) -> tuple[int, int]:
    """From the own account, from the family's."""
    account, parts = benefit.account, sheet.parts or {}
    if account is None or not sheet.view.holds(account.when):
        return 0, 0
    payable = max(0, sum(parts[part] for part in account.pays))
    own = min(payable, max(0, sheet.bill.account_fen))
    return own, min(payable - own, max(0, sheet.bill.family_fen)) if account.family else 0


# ----------------------------------------------------------------------------------------------------- answers


def _benefit(view: View) -> Benefit:
    fitting = [benefit for benefit in view.pack.benefits if view.holds(benefit.when)]
    if not fitting:
        raise Refused("policy.no-benefit")
    if len(fitting) > 1:
        raise Refused("policy.two-rules")
    return fitting[0]


def _facts(pack: PackDocument, bill: Bill, counters: Mapping[str, int]) -> Mapping[str, Fact]:
    counted = bill.episode is not None and counters.get(f"admissions-of@episode:{bill.episode}", 0)
    admissions = counters.get(f"admissions@{year_of(deciding_day(pack, bill), pack.year_begins)}", 0)
    return {"admission_no": max(1, admissions) if counted else admissions + 1, **bill.facts}


def _admit(sheet: Sheet) -> None:
    once = None if sheet.bill.episode is None else f"admissions-of@episode:{sheet.bill.episode}"
    if not sheet.used(once):
        year = year_of(deciding_day(sheet.view.pack, sheet.bill), sheet.view.pack.year_begins)
        sheet.move([f"admissions@{year}", once], 1)


def _nothing_paid(bill: Bill) -> Amounts:
    total = sum(line.amount_fen for line in bill.lines)
    lines = {f"line.{line.no}.{name}": line.amount_fen for line in bill.lines for name in ("amount", "own")}
    whole = {
        "total": total,
        "own": total,
        "parts.own" if total > 0 else "parts.over_cap": total,
        "person": total,
        "cash": total,
    }
    return _kept({**lines, **whole, "quantities.total": total, "quantities.own": total, "quantities.person": total})


def _kept(amounts: Mapping[str, int]) -> Amounts:
    return {name: amount for name, amount in amounts.items() if amount}


def decide(pack: PackDocument, bill: Bill, counters: Mapping[str, int]) -> Amounts:
    """Every amount of the decision. Raises Refused."""
    years: dict[int, list[BillLine]] = {}
    if pack.decided_by == "service":
        for line in bill.lines:
            years.setdefault(year_of(line.day or bill.ends_on, pack.year_begins), []).append(line)
    if len(years) <= 1:
        return _decide(pack, bill, counters)
    return _over_years(pack, bill, counters, [tuple(years[year]) for year in sorted(years)])


def _over_years(
    pack: PackDocument, bill: Bill, counters: Mapping[str, int], years: Sequence[tuple[BillLine, ...]]
) -> Amounts:
    """Each year's lines as a bill of their own, one after the other, and the sums of it all."""
    whole: Counter[str] = Counter()
    for lines in years:
        before = dict(counters)
        for name, amount in whole.items():
            if name.startswith("changes."):
                before[name[8:]] = before.get(name[8:], 0) + amount
        account, family = bill.account_fen - whole["account"], bill.family_fen - whole["family"]
        year = replace(bill, lines=lines, account_fen=account, family_fen=family)
        for name, amount in _decide(pack, year, before).items():
            whole[name] += amount
    return _kept(whole)


def _decide(pack: PackDocument, bill: Bill, counters: Mapping[str, int]) -> Amounts:
    view = View(pack, _facts(pack, bill, counters))
    benefit = _benefit(view)
    if benefit.refuses is not None:
        if any(bill.paid_fen.values()):
            raise Refused("policy.unknown-payer")
        return _nothing_paid(bill)
    sheet = Sheet(view, bill, counters)
    _lines(sheet, benefit)
    _layers(sheet, benefit)
    sheet.parts = sheet.parts or _parts(sheet, 0, 0, 0)
    account, family = _account(sheet, benefit)
    if benefit.counts_admission:
        _admit(sheet)
    person = sum(sheet.parts.values())
    sheet.out |= {"fund": sheet.paid, "hospital": sheet.hospital, "later": sheet.later, "person": person}
    sheet.out |= {"account": account, "family": family, "cash": person - account - family}
    sheet.out |= {name: sheet.fen[name] for name in ("total", "in_scope", *LINE_PARTS)}
    sheet.out |= {f"parts.{name}": amount for name, amount in sheet.parts.items()}
    sheet.out |= {f"changes.{key}": amount for key, amount in sheet.moved.items()}
    sheet.out |= {f"quantities.{name}": amount for name, amount in sheet.fen.items()}
    return _kept(sheet.out)


_TO: dict[str, Fraction] = {
    "fen": Fraction(1, 100),
    "jiao": Fraction(1, 10),
    "yuan": Fraction(1),
    "whole": Fraction(1),
}


def _step(step: CalculationStep, view: View) -> Fraction:
    if not view.holds(step.when):
        return Fraction(0)
    number = figure(step.figure, view)
    unit = _TO.get(step.round)
    return number if unit is None else half_up(number / unit) * unit


def calculate(
    pack: PackDocument, calculation: str, facts: Mapping[str, Fact], inputs: Mapping[str, Decimal | Fraction]
) -> dict[str, Fraction]:
    """The steps of a calculation by id; yuan, not fen. Raises Refused."""
    wanted: Calculation = next(known for known in pack.calculations if known.id == calculation)
    view = View(pack, facts)
    if not view.holds(wanted.when):
        raise Refused("policy.not-applicable")
    for name, need in wanted.needs.items():
        given = inputs.get(name, need.default)
        if given is None:
            raise Refused("policy.input-missing")
        view.numbers[name] = Fraction(given)
    steps: dict[str, Fraction] = {}
    for step in wanted.steps:
        steps[step.id] = view.numbers[step.id.replace("-", "_")] = _step(step, view)
    return steps


# ------------------------------------------------------------------------------------------- the engine's answer


def told(decision: Decision, pack: PackDocument) -> Amounts:
    """The engine's decision in the same flat form."""
    out: Amounts = {name: getattr(decision, f"{name}_fen") for name in WHOLE}
    out |= {f"parts.{name}": amount for name, amount in decision.parts_fen.items()}
    out |= {f"changes.{key}": amount for key, amount in decision.changes.items()}
    for quantity, amount in decision.quantities.items():
        # Ratios, and what each year of a bill of two came to, are beyond comparison.
        if isinstance(amount, int) and APART not in quantity:
            out[f"quantities.{quantity}"] = amount
    for line in decision.lines:
        for name in ("amount", *LINE_PARTS, "in_scope"):
            out[f"line.{line.no}.{name}"] = getattr(line, f"{name}_fen")
        if decision.not_paid is None:
            out[f"line.{line.no}.by {line.rule}"] = 1
    return _kept(out | _told_layers(decision, pack))


def _told_layers(decision: Decision, pack: PackDocument) -> Counter[str]:
    """Amounts of the layers; of a bill of two years, a layer stands twice."""
    sums: Counter[str] = Counter()
    bands = {layer.id: len(layer.tiers.bands) for layer in _layers_of(decision, pack) if layer.tiers is not None}
    for layer in decision.layers:
        for name in (*LAYER_RESULTS, "facility"):
            sums[f"layer.{layer.id}.{name}"] += getattr(layer, f"{name}_fen")
        for band in layer.slices:
            if band.expense_fen and band.band <= bands.get(layer.id, 0):
                sums[f"layer.{layer.id}.band.{band.band} at {band.ratio}.expense"] += band.expense_fen
                sums[f"layer.{layer.id}.band.{band.band} at {band.ratio}.share"] += band.share_fen
    for payout in decision.payouts:
        sums[f"payout.{payout.layer}.{payout.to}"] += payout.amount_fen
    return sums


def _layers_of(decision: Decision, pack: PackDocument) -> list[Layer]:
    return [layer for benefit in pack.benefits if benefit.id == decision.benefit for layer in benefit.layers]


def differences(expected: Amounts, found: Amounts) -> list[str]:
    """What the two answers do not say alike; of quantities only what the reference names."""
    names = set(expected) | {name for name in found if not name.startswith("quantities.")}
    return [
        f"{name}: reference {expected.get(name, 0)}, engine {found.get(name, 0)}"
        for name in sorted(names)
        if expected.get(name, 0) != found.get(name, 0)
    ]
