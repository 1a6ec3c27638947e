"""Packs, persons and rows of bills made up from a seed: the same seed, the same pack and bills.

The packs are odd on purpose and use every word of the vocabulary; amounts like to fall on bounds. A `steady` pack is
one in which more in scope can never give less: it asks nothing about amounts and pays by ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Literal, TypeVar

import yaml

from shared.policy.decision import Bill, BillLine, Fact
from shared.policy.document import PackDocument

Tree = dict[str, Any]
T = TypeVar("T")
Make = Callable[[], Any]
"""Makes a figure."""

GROUPS = ("在职", "退休", "成年", "学生")
LEVELS = ("三级", "二级", "一级", "社区")
CARES = ("住院", "门诊", "慢特病")
DISEASES = ("癫痫", "透析", "高血压")
MARKS = ("特困", "低保", "优抚")
REMOTE = ("本地", "转诊", "未备案")
CLASSES = ("甲", "甲", "甲", "乙", "乙", "丙", "异地")
PERIODS = ("visit", "visit", "episode", "day", "month", "quarter", "year", "year", "facility_year", "lifetime")
PARTS = ("own", "over_ceiling", "prepay", "deductible", "by_ratio", "over_cap")
LAYERS = ("basic", "large-sum", "serious", "aid", "city-plus")
TURNS = ((12, 31), (6, 30), (3, 14))
"""Last days of benefit years."""
CLAUSE = "c1"


def _number(value: int | float | str) -> Decimal:
    return Decimal(str(value))


@dataclass
class PackMaker:
    """Makes one pack."""

    random: Random
    steady: bool = False

    def chance(self, percent: int) -> bool:
        """True so often."""
        return self.random.randrange(100) < percent

    def one(self, options: Sequence[T]) -> T:
        """One of these."""
        return self.random.choice(options)

    # ------------------------------------------------------------------------------------------- conditions

    def person_when(self) -> Tree:
        """A condition about the person or the bill."""
        return self.one(
            [
                {"group": "退休"},
                {"group": ["在职", "退休"]},
                {"group": {"not": "学生"}},
                {"level": {"not": ["三级", "二级"]}},
                {"level": self.one(LEVELS)},
                {"marks": self.one(MARKS)},
                {"marks": ["特困", "低保"]},
                {"marks": {"not": ["优抚", "特困"]}},
                {"age": {"from": _number(60)}},
                {"age": {"above": _number(17), "below": _number(60)}},
                {"age": _number(60)},
                {"contracted": True},
                {"contracted": {"not": True}},
                {"emergency": False},
                {"remote": self.one(REMOTE), "group": ["成年", "学生", "退休"]},
                {"admission_no": {"from": _number(2), "to": _number(3)}},
                {"years_paid": {"to": _number(20)}},
                {},
            ]
        )

    def money_when(self, names: Sequence[str]) -> Tree:
        """A condition that may look at amounts, unless the pack is to be steady."""
        if self.steady or self.chance(70):
            return self.person_when()
        sign = self.one(["<", "<=", ">", ">=", "==", "!="])
        first = f"{self.one(names)} {sign} {self.one(['1000', '0.05 * avg_wage', self.one(names), '100 * age'])}"
        return {"if": [first, f"{self.one(names)} >= 500"] if self.chance(20) else first}

    # ---------------------------------------------------------------------------------------------- figures

    def amount(self, low: int, high: int, depth: int = 2) -> Any:
        """A figure in yuan, some way or other."""
        yuan = self.random.randrange(low, high)
        plain = self.one([_number(yuan), Decimal(self.random.randrange(low * 100, high * 100)) / 100])
        kind = self.random.randrange(12) if depth else 0
        if kind < 5:
            return plain
        if kind == 5:
            return self.amount_formula(plain)
        if kind < 8:
            changes = self.changes(["0.8", "1.2"], str(max(1, low // 2)))
            return {**self.base(lambda: self.amount(low, high, depth - 1)), **changes}
        return self.base(lambda: self.amount(low, high, depth - 1))

    def base(self, make: Make) -> Tree:
        """The ways to find a figure: a value, a table, cases."""
        kind = self.random.randrange(8)
        if kind == 0:
            return {"value": self.one([_number(self.random.randrange(1, 90) / 100), "1 / 3"])}
        return {"cases": self.cases(make)} if kind < 3 else self.table(make)

    def amount_formula(self, plain: Decimal) -> str:
        """A formula that comes near an amount."""
        return self.one(
            [
                f"0.1 * avg_wage / 90000 * {plain} * 10",
                f"min({plain}, avg_wage * 10%)",
                f"max({plain} - 5 * years_paid, 100)",
                f"{plain} + 10 * (age - 40) / 3",
                f"round({plain} * 1.005)",
                f"floor(avg_wage / 7) / ceil({plain} / 1000)",
                f"-(-{plain}) - small",
            ]
        )

    def ratio(self, depth: int = 2) -> Any:
        """A figure in 0 to 1, nearly always."""
        plain = self.one([_number(self.random.randrange(30, 96) / 100), _number(self.random.randrange(1001) / 1000)])
        kind = self.random.randrange(12) if depth else 0
        if kind < 5:
            return self.one([plain, plain, plain, Decimal(1), Decimal(0), f"{plain * 100}%"])
        if kind == 5:
            odd = ["min(1, 0.5 + age / 400)", "2 / 3", f"max(0.2, {plain} - small)", "1 - 7%"]
            return self.one([f"{plain} / 3", *odd])
        shape = {"share": "person"} if self.chance(25) else {}
        if kind < 8:
            shape |= self.changes(["0.9", "0.95"], "0.1", most="1" if self.chance(95) else "1.1")
        return {**self.base(lambda: self.ratio(depth - 1)), **shape}

    def changes(self, factors: Sequence[str], least: str, most: str | None = None) -> Tree:
        """Adjustments in a row, and bounds."""
        add = ["0.05", "-0.10", "0.001 * age"] if most else ["100", "-150.5", "10 * age"]
        adjust: list[Tree] = [
            {"when": self.person_when(), "add": self.added(add)},
            {"when": self.person_when(), "times": self.typed(self.one(factors))},
            {"when": {"group": "学生"}, "set": self.typed(least)},
        ]
        self.random.shuffle(adjust)
        out: Tree = {"adjust": adjust[: self.random.randrange(1, 4)]}
        if self.chance(80):
            out["at_least"] = self.typed(least)
        if most and self.chance(95):
            out["at_most"] = self.typed(most)
        return out

    def added(self, amounts: Sequence[str]) -> Any:
        """What an adjustment adds: an amount, or one read from a table."""
        if self.chance(80):
            return self.typed(self.one(amounts))
        return {"by": "level", "table": {"三级": self.typed(self.one(amounts)), "otherwise": Decimal(0)}}

    def typed(self, text: str) -> Decimal | str:
        """A number as a number, a formula as text; sometimes a number as text too."""
        return text if " " in text or self.chance(20) else Decimal(text)

    def cases(self, make: Make) -> list[Tree]:
        """Cases that do not overlap."""
        old: Any = {"from": _number(60)}
        name, test = self.one([("group", "退休"), ("contracted", True), ("age", old), ("marks", [*MARKS])])
        opposite = {"below": _number(60)} if test is old else {"not": test}
        if self.chance(50):
            return [{"when": {name: test}, "value": make()}, {"when": {name: opposite}, "value": make()}]
        return [{"when": {name: test}, "value": make()}, {"otherwise": True, "value": make()}]

    def table(self, make: Make) -> Tree:
        """A table by one fact or two."""
        facts = ["level", "group", "admission_no", "age", "remote", "disease", "marks"]
        by = self.random.sample(facts, self.one([1, 1, 2]))
        return {"by": by if len(by) > 1 or self.chance(50) else by[0], "table": self.rows(by, make)}

    def rows(self, by: Sequence[str], make: Make) -> Any:
        """The rows of a table, nested once per fact."""
        if not by:
            return make()
        keys = {
            "level": [*LEVELS] if self.chance(60) else ["三级", "otherwise"],
            "group": [*GROUPS] if self.chance(60) else ["退休", "学生", "otherwise"],
            "admission_no": self.one([["1", "2", "3+"], ["1", "otherwise"], ["<2", "2-3", "4+"]]),
            "age": self.one([["<18", "18-59", "60+"], ["0-17", "18-60", "61-150"], ["60", "otherwise"]]),
            "remote": [*REMOTE],
            "marks": self.one([["特困", "otherwise"]] * 7 + [["特困", "低保", "otherwise"]]),
            # Rarely without the rest: then a bill is not decided.
            "disease": ["癫痫", "透析", "高血压" if self.chance(90) else "otherwise"][: 3 if self.chance(97) else 2],
        }[by[0]]
        return {key: self.rows(by[1:], make) for key in keys}

    # ------------------------------------------------------------------------------------------------ items

    def items(self) -> list[Tree]:
        """Rules of which exactly one fits each line."""
        special = self.chance(60)
        plain: Tree = {} if not special else {"tag": {"not": "特药"}}
        rules: list[Tree] = [
            {"id": "a", "when": {"class": "甲", **plain}, **self.ceiling(40)},
            {"id": "b", "when": {"class": "乙", **plain}, "prepay": self.prepay(), **self.ceiling(50)},
            {"id": "stated", "when": {"class": "异地", **plain}, "scope": "stated"},
            {"id": "rest", "otherwise": True, "scope": "out"},
        ]
        if special:
            rules.append({"id": "special", "when": {"tag": "特药"}, "prepay": self.prepay(), **self.ceiling(30)})
        if self.chance(2):
            rules.append({"id": "imported", "when": {"tag": "进口", "class": "甲"}})
        for rule in rules:
            rule["clause"] = CLAUSE
            if rule["id"] != "rest" and self.chance(35):
                rule["limit"] = self.item_limit()
        return rules

    def ceiling(self, percent: int) -> Tree:
        """A price ceiling, perhaps."""
        return {"ceiling": self.one(["line", "line", self.amount(20, 900)])} if self.chance(percent) else {}

    def prepay(self) -> Any:
        """先行自付比例."""
        by_price = {"by": "unit_price", "table": {"<20": Decimal(0), "20-199.99": self.ratio(0), "200+": self.ratio(0)}}
        return self.one(["line", "line", self.ratio(), _number("0.1"), _number("0.05"), _number(1), by_price])

    def item_limit(self) -> Tree:
        """A limit on what of these items is in scope."""
        limit: Tree = {"per": self.one(PERIODS)}
        kind = self.random.randrange(10)
        if kind < 7 or kind == 9:
            limit["amount"] = self.amount(50, 3000)
        if kind >= 7:
            limit["quantity"] = self.one([_number(self.random.randrange(1, 30)), _number("2.5")])
        if self.chance(25):
            limit["of"] = self.one([["disease"], ["class"], ["class", "disease"]])
        if self.chance(25):
            limit["counter"] = "shared-items"
        return limit

    def layer_amount(self, names: Sequence[str], low: int, high: int) -> Any:
        """An amount of a layer: a figure, which may read what the bill came to so far."""
        if self.steady or self.chance(85):
            return self.amount(low, high)
        name, yuan = self.one(names), self.random.randrange(low, high)
        return self.one([f"max({yuan}, 0.1 * {name})", f"{name} / 3", f"{yuan} + {name} - 0.5 * {self.one(names)}"])

    # ----------------------------------------------------------------------------------------------- layers

    def names(self, earlier: Sequence[str]) -> list[str]:
        """Quantities that a layer may name."""
        names = ["in_scope", "total", "person", "own", "prepay", "paid", "tag.特药", "tag_scope.特药", "class_scope.乙"]
        for layer in earlier:
            made = layer.replace("-", "_")
            names += [f"{made}.{name}" for name in ("by_ratio", "over_cap", "over_limit", "deductible", "left", "fund")]
        return names

    def basis(self, earlier: Sequence[str]) -> str:
        """What a layer looks at."""
        names = self.names(earlier)
        if not self.steady and self.chance(15):
            return self.one(["class_scope.甲", "class_scope.乙", "in_scope - tag_scope.特药", "tag_scope.特药"])
        if not earlier:
            return self.one(["in_scope"] * 6 + ["person", "total", "in_scope + prepay", "in_scope - 1000.005"])
        last = earlier[-1].replace("-", "_")
        common = [
            *("person", "in_scope - paid", "in_scope", f"in_scope - paid - {last}.deductible"),
            *(f"{last}.over_cap + {last}.by_ratio", f"{last}.over_limit + {last}.over_cap", "tag_scope.特药 + own"),
        ]
        if self.steady or self.chance(75):
            return self.one(common)
        first, second = self.one(names), self.one(names)
        return self.one(
            [
                f"min({first}, {second}) * 90%",
                f"max({first} - {second}, 0) / 3",
                f"{first} + {second}",
                f"{first} - 0.5 * {second} + 7 * age",
                f"{first} - {last}.cap_left",
                f"{last}.used",
                f"{first} / {second}",
            ]
        )

    def layer(self, number: int, earlier: Sequence[str]) -> Tree:
        """One payer."""
        names = self.names(earlier)
        layer: Tree = {"id": LAYERS[number], "title": "层", "fund": f"{310000 + number}", "clause": CLAUSE}
        layer["pays"] = "now" if self.steady else self.one(["now"] * 8 + ["later", "given"])
        layer["basis"] = self.basis(earlier)
        if self.chance(25 if number else 5):
            layer["when"] = self.money_when(names)
        layer |= self.payment(layer["pays"])
        if self.chance(75):
            layer["deductible"] = self.deductible(names)
        if self.chance(30):
            layer["limits"] = self.limits("amount-limit", names, 500, 30000)
        if self.chance(65):
            layer["caps"] = self.limits("shared-cap", names, 300, 40000)
        if self.chance(15):
            layer["person_ceiling"] = self.person_ceiling(names)
        if self.chance(30):
            layer["absorbs"] = self.random.sample(PARTS, self.random.randrange(1, 7))
        return layer

    def payment(self, pays: str) -> Tree:
        """By ratio, by bands or a fixed amount."""
        kind = self.random.randrange(10)
        if pays == "given":
            return {}
        if kind < 5:
            return {"ratio": self.ratio()}
        if kind < 9 or self.steady:
            return {"tiers": self.tiers()}
        fixed = {
            "amount": self.amount(50, 4000),
            "per": self.one(["visit", "day"]),
            "surplus": self.one(["person", "facility", "none"]),
            "deficit": self.one(["person", "facility"]),
            "clause": CLAUSE,
        }
        return {"fixed": fixed}

    def tiers(self) -> Tree:
        """Bands one above the other."""
        tos = sorted(self.random.sample(range(100, 20000, 100), self.random.randrange(4)))
        bands: list[Tree] = [{"to": self.band_end(to), "ratio": self.ratio(1)} for to in tos]
        if not bands or self.chance(85):
            bands.append({"ratio": self.ratio(1)})
        tiers: Tree = {"axis": self.one(["gross", "above_deductible"]), "bands": bands, "clause": CLAUSE}
        if self.chance(45):
            tiers["running"] = self.one(PERIODS)
        if "running" in tiers and self.chance(30):
            tiers["counter"] = "shared-sum"
        return tiers

    def band_end(self, to: int) -> Any:
        """The end of a band: a number, or a figure that keeps its order."""
        table = {"by": "level", "table": {"otherwise": _number(to)}}
        return self.one([_number(to), _number(to), f"{to} + small", table])

    def deductible(self, names: Sequence[str]) -> Tree:
        """起付线."""
        rule: Tree = {"amount": self.layer_amount(names, 50, 2000), "per": self.one(PERIODS), "clause": CLAUSE}
        if self.chance(25):
            rule["waived"] = [{"marks": "特困"}] if self.chance(50) else [self.person_when(), {"marks": ["低保"]}]
        if self.chance(20):
            rule["counter"] = "shared-deductible"
        if self.chance(20):
            rule["of"] = ["disease"]
        if self.chance(20):
            rule["limit"] = {"amount": self.layer_amount(names, 100, 3000), "per": self.one(PERIODS)}
            if self.chance(30):
                rule["limit"]["counter"] = "shared-deductibles"
        return rule

    def limits(self, shared: str, names: Sequence[str], low: int, high: int) -> list[Tree]:
        """Limits or caps, of different periods or different counters."""
        limits: list[Tree] = []
        for per in dict.fromkeys(self.random.choices(PERIODS, k=self.one([1, 1, 2, 3]))):
            limit: Tree = {"amount": self.layer_amount(names, low, high), "per": per, "clause": CLAUSE}
            if self.chance(30):
                limit["counter"] = shared
            if self.chance(30):
                limit["of"] = ["disease"]
            if self.chance(20):
                limit["when"] = self.money_when(names)
            limits.append(limit)
        if self.chance(10):
            limits.append({**limits[0], "amount": self.amount(low, high)})
        return limits

    def person_ceiling(self, names: Sequence[str]) -> Tree:
        """封顶自付."""
        return {"amount": self.layer_amount(names, 100, 6000), "per": self.one(PERIODS), "clause": CLAUSE}

    # ------------------------------------------------------------------------------------------------- pack

    def benefit(self, number: int, when: Tree) -> Tree:
        """What one kind of bill gets."""
        benefit: Tree = {"id": f"benefit-{number}", "title": "待遇", "when": when, "clause": CLAUSE}
        earlier: list[str] = []
        layers: list[Tree] = []
        for place in sorted(self.random.sample(range(len(LAYERS)), self.one([0, 1, 1, 2, 2, 3, 3, 4]))):
            layers.append(self.layer(place, earlier))
            earlier.append(LAYERS[place])
        benefit["layers"] = layers
        benefit["counts_admission"] = self.chance(60)
        if self.chance(30):
            benefit["items"] = self.items()
        if self.chance(60):
            pays = self.random.sample(PARTS, self.random.randrange(1, 7))
            account_when = self.money_when(["person", "total"])
            benefit["account"] = {"pays": pays, "family": self.chance(50), "when": account_when, "clause": CLAUSE}
        return benefit

    def benefits(self) -> list[Tree]:
        """One for every bill, and one that refuses."""
        liable: Tree = {"liability": "工伤"}
        free: Tree = {"liability": {"not": "工伤"}}
        benefits = [self.benefit(number, {"care": care, **free}) for number, care in enumerate(CARES)]
        if self.chance(3):
            benefits.append(self.benefit(9, {"care": "门诊", "emergency": True}))
        refusing = {"id": "injury", "title": "工伤", "when": liable, "refuses": "工伤保险支付", "clause": CLAUSE}
        return [*benefits, refusing]

    def calculation(self, number: int) -> Tree:
        """A question that is not a bill."""
        steps: list[Tree] = []
        names = ["wage", "months", "avg_wage", "age", "rate"]
        for place in range(self.random.randrange(1, 5)):
            forms = ["{0} * {1} / 7", "min({0}, 3 * {1})", "{0} - {1} / 3", "max({0}, 60% * {1})", "{0} / {1}"]
            formula = self.one(forms)
            unit = self.one(["yuan", "yuan", "count"])
            made = formula.format(self.one(names), self.one(names))
            figure = self.one([made, {"value": made, "at_least": Decimal(0)}, self.amount(10, 900)])
            rounds = ["fen", "jiao", "yuan", "whole"] if unit == "yuan" else ["whole", "none"]
            step = {"id": f"step_{place}", "title": "步", "figure": figure, "unit": unit, "round": self.one(rounds)}
            steps.append({**step, "when": self.person_when() if self.chance(30) else {}, "clause": CLAUSE})
            names.append(f"step_{place}")
        needs = {"wage": {"title": "工资"}, "months": {"title": "月", "unit": "months", "default": Decimal(6)}}
        needs["rate"] = {"title": "率", "unit": "ratio"}
        whole = {"id": f"question-{number}", "title": "问", "kind": "allowance", "needs": needs, "steps": steps}
        return {**whole, "results": [steps[-1]["id"]], "clause": CLAUSE}

    def pack(self) -> PackDocument:
        """The whole pack."""
        clause = {"document": "〔2025〕1号", "words": "编造的规定"}
        return PackDocument.model_validate(
            {
                "pack": "made-up",
                "version": "1",
                "title": "编造",
                "area": "990100",
                "valid": {"from": date(2020, 1, 1)},
                "decided_by": self.one(["discharge", "discharge", "admission", "service"]),
                "year_begins": self.one(["01-01", "01-01", "07-01", "03-15"]),
                "rounding": self.one(["half_up", "half_up", "half_up", "down"]),
                "author": "甲",
                "reviewer": "乙",
                "clauses": {CLAUSE: clause},
                "figures": {
                    "avg_wage": {"value": _number(self.random.randrange(60000, 120000)), "clause": CLAUSE},
                    "small": {"value": _number("0.005"), "clause": CLAUSE},
                },
                "items": self.items(),
                "benefits": self.benefits(),
                "calculations": [self.calculation(number) for number in range(2)],
            }
        )


# ------------------------------------------------------------------------------------------------------ bills


Voids = Literal["none", "own", "any"]
"""Whether lines take others back: only those of their own bill, or of an earlier one too."""


@dataclass
class BillMaker:
    """Makes the bills of one person, day after day."""

    random: Random
    voids: Voids = "any"
    given: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Layers that were paid before, by kind of care."""

    def person(self) -> dict[str, Fact]:
        """Facts of a person."""
        facts: dict[str, Fact] = {
            "scheme": self.random.choice(["职工", "居民"]),
            "group": self.random.choice(GROUPS),
            "age": self.random.choice([17, 18, 59, 60, 61, self.random.randrange(100)]),
            "years_paid": self.random.randrange(41),
        }
        if self.random.randrange(20):
            facts["marks"] = frozenset(self.random.sample(MARKS, self.random.randrange(3)))
        return facts

    def amount(self) -> int:
        """Fen: small, odd, round or large."""
        kind = self.random.randrange(10)
        if kind < 2:
            return self.random.randrange(1, 200)
        if kind < 6:
            return self.random.randrange(1, 400_000)
        if kind < 9:
            return self.random.randrange(1, 200) * 10_000
        return self.random.choice([0, self.random.randrange(5_000_000, 300_000_000)])

    def line(self, number: int, days: Sequence[date]) -> BillLine:
        """A fee line."""
        amount, kind = self.amount(), self.random.choice(CLASSES)
        facts: dict[str, Fact] = {"class": kind}
        if self.random.randrange(2):
            facts["tag"] = frozenset(self.random.sample(["特药", "进口"], self.random.randrange(3)))
        own, over = self.random.randrange(amount // 3 + 1), self.random.randrange(amount // 4 + 1)
        # Rarely more than the line has.
        prepay = self.random.randrange(amount // 5 + 1) if self.random.randrange(80) else amount
        stated = {"own_fen": own, "over_ceiling_fen": over, "prepay_fen": prepay} if kind == "异地" else {}
        return BillLine(
            no=str(number),
            amount_fen=amount,
            facts=facts,
            quantity=Decimal(self.random.choice(["1", "1", "2", "3", "0.5", "2.5", "10", "7.1234"])),
            ceiling_fen=self.random.choice([None, Decimal(self.random.randrange(200_000)), Decimal("1050.55")]),
            prepay=self.random.choice([None, *map(Decimal, ("0.1", "0.05", "0.333", "1", "0"))]),
            day=self.random.choice([None, *days]),
            **stated,
        )

    def void(self, line: BillLine, number: int) -> BillLine:
        """Takes a line back, wholly or in part."""
        if line.facts["class"] == "异地" or self.random.randrange(2):
            part = {name: -getattr(line, name) for name in ("own_fen", "over_ceiling_fen", "prepay_fen", "amount_fen")}
            return line._replace(no=str(number), quantity=-line.quantity, **part)
        taken = self.random.choice([line.amount_fen // 2, self.random.randrange(line.amount_fen + 1)])
        return line._replace(no=str(number), amount_fen=-taken, quantity=-line.quantity / 2)

    def lines(self, days: Sequence[date], most: int = 5) -> tuple[BillLine, ...]:
        """Lines, some of which take earlier ones back."""
        lines: list[BillLine] = []
        voided: set[int] = set()
        for number in range(1, self.random.randrange(2, most + 2)):
            back = self.random.randrange(max(1, len(lines)))
            if (
                lines
                and self.voids != "none"
                and not self.random.randrange(6)
                and lines[back].amount_fen > 0
                and back not in voided
            ):
                voided.add(back)
                lines.append(self.void(lines[back], number))
            else:
                lines.append(self.line(number, days))
        if voided and self.voids == "any" and not self.random.randrange(15):
            del lines[min(voided)]
        self.random.shuffle(lines)
        return tuple(lines)

    def facts(self) -> dict[str, Fact]:
        """Facts of a bill."""
        facts: dict[str, Fact] = {
            "care": self.random.choice(CARES),
            "level": self.random.choice(LEVELS),
            "remote": self.random.choice(REMOTE),
            "disease": self.random.choice(DISEASES),
            "days": self.random.randrange(1, 30),
        }
        for flag in ("contracted", "emergency", "transfer", "interim"):
            if not self.random.randrange(3):
                facts[flag] = self.random.choice([True, False])
        if not self.random.randrange(12):
            facts["admission_no"] = self.random.randrange(1, 6)
        if not self.random.randrange(40):
            facts["liability"] = "工伤"
        if not self.random.randrange(60):
            del facts[self.random.choice(["care", "level", "remote", "disease", "days"])]
        return facts

    def bill(self, person: Mapping[str, Fact], begins: date, ends: date) -> Bill:
        """A bill of this stay."""
        facts = self.facts()
        given = self.given.get(str(facts.get("care")), [])
        lines = self.lines([begins, ends])
        # Seldom more than there is to pay.
        most = max(1, sum(line.amount_fen for line in lines) // self.random.choice([2, 3, 3]))
        return Bill(
            facility=self.random.choice(["H1", "H2"]),
            begins_on=begins,
            ends_on=ends,
            facts={**person, **facts},
            lines=lines,
            episode=self.random.choice([None, None, "E1", "E2"]),
            paid_fen={layer: self.random.randrange(most) for layer in given},
            account_fen=self.random.choice([0, self.random.randrange(500_000)]),
            family_fen=self.random.choice([0, self.random.randrange(500_000)]),
        )

    def bills(self, count: int) -> Iterator[Bill]:
        """Bills of one person in a row, over several years."""
        person, day = self.person(), date(2024, 1, 1) + timedelta(days=self.random.randrange(400))
        step = self.random.choice([2, 20, 90])
        for _ in range(count):
            begins = day + timedelta(days=self.random.randrange(step))
            turn = date(begins.year, *self.random.choice(TURNS))
            if begins < turn and not self.random.randrange(8):
                begins = turn
            day = begins + timedelta(days=self.random.choice([0, 0, 1, 9]))
            yield self.bill(person, begins, day)


# -------------------------------------------------------------------------------------------------- calculations


def inputs(random: Random) -> dict[str, Decimal]:
    """Inputs of a made-up calculation; now and then one is missing."""
    given = {"wage": _number(random.randrange(2_000_00, 30_000_00) / 100), "rate": _number(random.randrange(100) / 100)}
    if random.randrange(2):
        given["months"] = _number(random.randrange(13))
    return given


# ---------------------------------------------------------------------------------------------------- to be read


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Decimal | date) else value


def written(value: PackDocument | Bill | Mapping[str, int]) -> str:
    """A pack, a bill or counters to be read by people."""
    if isinstance(value, PackDocument):
        return _text(_plain(value.model_dump(by_alias=True, exclude_defaults=True)))
    return _text(_plain(value))


def _text(tree: Any) -> str:
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False, width=120)


Kind = Literal["any", "steady"]


def pack_of(seed: int, kind: Kind = "any") -> PackDocument:
    """The pack of a seed."""
    return PackMaker(Random(f"pack {seed}"), steady=kind == "steady").pack()


def bills_of(seed: int, pack: PackDocument, count: int, *, voids: Voids = "any") -> list[Bill]:
    """The bills of a seed's person; what the pack says others paid, they paid (but not of bills of two years)."""
    given = {
        str(benefit.when["care"]): [layer.id for layer in benefit.layers if layer.pays == "given"]
        for benefit in pack.benefits
        if "care" in benefit.when and pack.decided_by != "service"
    }
    return list(BillMaker(Random(f"bills {seed}"), voids, given).bills(count))
