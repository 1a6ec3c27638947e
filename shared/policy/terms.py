"""What the quantities of a working are called, for readers, and how their values are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from shared.policy.decision import PARTS
from shared.policy.document import PackDocument
from shared.policy.words import PARTS as PART_WORDS
from shared.policy.words import Language, Names, number_text, percent, text_of
from shared.policy.working import APART

QUANTITIES: Final[Mapping[str, tuple[str, str]]] = {
    "total": ("费用总额", "total"),
    "own": ("自费", "outside the scope"),
    "over_ceiling": ("超限价", "over the price ceiling"),
    "prepay": ("先行自付", "pre-payment"),
    "in_scope": ("政策范围内费用", "in scope"),
    "paid": ("各方已付", "paid so far"),
    "person": ("个人负担", "the person's burden"),
    "basis": ("计算基数", "basis"),
    "limited": ("限额内费用", "expense within the limits"),
    "over_limit": ("超费用限额", "expense over the limits"),
    "full_deductible": ("起付标准", "full deductible"),
    "deductible": ("本次起付", "deductible"),
    "deductible_limit": ("起付累计上限", "most that deductibles come to"),
    "eligible": ("进入支付的费用", "eligible expense"),
    "ratio": ("支付比例", "ratio"),
    "share": ("按比例应付", "share of the fund"),
    "fund": ("基金支付", "paid by the fund"),
    "by_ratio": ("按比例自付", "the person's share by ratio"),
    "over_cap": ("超最高支付限额", "over the cap"),
    "facility": ("医疗机构负担", "borne by the facility"),
    "used": ("已支付对应的费用", "expense behind the payment"),
    "left": ("未支付的费用", "expense left"),
    "cap_left": ("限额余额", "room left under the cap"),
    "burden": ("个人负担（本层）", "the person's burden in this layer"),
    "deductible_in_scope": ("起付（政策范围内）", "deductible in scope"),
    "by_ratio_in_scope": ("按比例自付（政策范围内）", "the person's share by ratio in scope"),
    "relief": ("超封顶由基金承担", "relief above the person's ceiling"),
    "ceiling": ("个人负担封顶", "ceiling of the person's burden"),
    "limit": ("费用限额", "limit of the expense"),
    "units": ("数量限额", "limit of the quantity"),
    "cap": ("最高支付限额", "cap"),
    "room": ("可用余额", "room left"),
    "fixed": ("定额", "fixed amount"),
    "surplus": ("定额结余", "surplus of the fixed amount"),
    "from": ("分段起点", "start on the bands"),
    "to": ("上限", "upper end"),
    "expense": ("段内费用", "expense in the band"),
    "band": ("第{number}段", "band {number}"),
    "parts": ("个人负担各项", "parts of the person's burden"),
    "account": ("个人账户支付", "paid from the account"),
    "benefit": ("待遇", "benefit"),
    "balance": ("余额", "balance"),
    "payable": ("可付", "payable"),
    "input": ("输入", "input"),
    "pays": ("可支付", "pays"),
    "part": ("项目", "part"),
    "account_room": ("个人账户可付", "what the account may pay"),
    "family": ("家庭共济账户支付", "paid from the family's account"),
    "cash": ("现金支付", "cash"),
    "hospital": ("医院负担", "borne by the hospital"),
    "later": ("事后支付", "paid back later"),
    "before": ("此前累计", "used before"),
    "case": ("适用情形", "case that holds"),
    "row": ("表中对应行", "row of the table"),
    "add": ("增加", "added"),
    "times": ("乘数", "factor"),
    "set": ("改为", "set to"),
    "at_least": ("下限", "lower bound"),
    "at_most": ("上限", "upper bound"),
    "value": ("政策数值", "value of the policy"),
    "amount": ("金额", "amount"),
    "quantity": ("数量", "quantity"),
    "units_limit": ("数量限额", "limit of the quantity"),
    "cut_before": ("此前已扣", "cut before"),
    "low": ("下限", "lower end"),
    "beyond_bands": ("各段以上", "beyond the bands"),
    "formula": ("公式", "formula"),
    "order": ("顺序", "order"),
    "unseen": ("前层未计算的费用", "expense that no layer before looked at"),
    "slices": ("各段", "bands"),
    "names": ("项目", "parts"),
    "unit": ("取整单位", "rounding unit"),
    "class": ("目录类别{word}金额", "amount of class {word}"),
    "class_scope": ("目录类别{word}范围内", "class {word} in scope"),
    "tag": ("标记{word}金额", "amount with the mark {word}"),
    "tag_scope": ("标记{word}范围内", "in scope with the mark {word}"),
    "line": ("明细{word}", "line {word}"),
    "item": ("目录规则{word}", "item rule {word}"),
}
"""The last word of a quantity's name, in Chinese and English."""

_COUNTED: Final = re.compile(r"(limit|cap|band)([0-9]+)")
_RATIOS: Final = frozenset({"ratio", "prepay"})
_UNITS: Final = frozenset({":units", ":units_limit", ":cut_before"})
_COUNTER: Final = re.compile(r"(?P<counter>[^@]+)@(?P<period>.+)", re.DOTALL)


class Terms:
    """Names and values in the words of a pack and a language."""

    def __init__(
        self,
        document: PackDocument,
        language: Language,
        units: Mapping[str, str] | None = None,
        amounts: frozenset[str] = frozenset(),
    ) -> None:
        """`units` are those of a calculation's steps, `amounts` the names of figures that are amounts of yuan."""
        self.language: Language = language
        self.document = document
        self._facts = Names(document, language)
        self._place = 0 if language == "zh" else 1
        self._layer_rules = {
            layer.id.replace("-", "_"): layer for benefit in document.benefits for layer in benefit.layers
        }
        self._layers = {name: text_of(layer.title, language) for name, layer in self._layer_rules.items()}
        self._steps = {
            step.id.replace("-", "_"): text_of(step.title, language)
            for calculation in document.calculations
            for step in calculation.steps
        }
        self._needs = {
            name: text_of(need.title, language)
            for calculation in document.calculations
            for name, need in calculation.needs.items()
        }
        self._units = {name.replace("-", "_"): unit for name, unit in (units or {}).items()}
        if units is not None:
            self._units |= {
                name.replace("-", "_"): need.unit
                for calculation in document.calculations
                for name, need in calculation.needs.items()
            }
        self._amounts = amounts
        self._several = frozenset(
            f"{layer.id.replace('-', '_')}.{kind}"
            for benefit in document.benefits
            for layer in benefit.layers
            for kind, rules in (("limit", layer.limits), ("cap", layer.caps))
            if len(rules) > 1
        )
        """Layers that have several limits or caps, which are then told apart by number."""

    def payer(self, layer: str) -> str | None:
        """Who pays for a layer that does not pay at once, as the pack calls it."""
        known = self._layer_rules.get(layer.rpartition(APART)[2])
        return None if known is None else known.payer

    def pays_later(self, layer: str) -> bool:
        """Whether a layer's payment comes after the bill."""
        known = self._layer_rules.get(layer.rpartition(APART)[2])
        return known is not None and known.pays == "later"

    def pick(self, words: tuple[str, str]) -> str:
        """The text of the language."""
        return words[self._place]

    def fact(self, name: str) -> str:
        """A fact's name."""
        return self._facts.fact(name)

    def name(self, name: str, within: str = "") -> str:
        """A quantity's name for readers: `basic.band2.share` is the share of band 2 of the basic pool. Told `within`
        the layer `basic`, it is the share of band 2."""
        part, _, rest = name.rpartition(APART)
        if within and name.startswith(f"{within}."):
            return self._joined(self._tokens(name.removeprefix(f"{within}."), within.rpartition(APART)[2]))
        words = self._named(rest)
        return f"[{part}] {words}" if part else words

    def _named(self, name: str) -> str:
        if name.startswith("fact:"):
            return self.fact(name.removeprefix("fact:"))
        counter = _COUNTER.fullmatch(name)
        if counter is not None:
            return self._counter(counter["counter"], counter["period"])
        owner, colon, word = name.lstrip(":").partition(":")
        if colon:
            word, _, rest = word.partition(".") if owner == "item" else (word, "", "")
            return self._joined([self._of_word(owner, word), *self._tokens(rest, "")])
        first, _, rest = name.lstrip(":").partition(".")
        if first in ("tag", "tag_scope", "class", "class_scope") and rest:
            return self._of_word(first, rest)
        return self._joined([self._owner(first), *self._tokens(rest, first)])

    def _counter(self, counter: str, period: str) -> str:
        before = "此前累计" if self.language == "zh" else "used before"
        return f"{counter} {period} {before}"

    def _of_word(self, kind: str, word: str) -> str:
        return self.pick(QUANTITIES[kind]).format(word=word) if kind in QUANTITIES else f"{kind} {word}"

    def _owner(self, name: str) -> str:
        for known in (self._layers, self._steps, self._needs):
            if name in known:
                return known[name]
        return self._quantity(name)

    def _tokens(self, rest: str, owner: str) -> list[str]:
        return [self._quantity(token, owner) for token in rest.split(".") if token]

    def _quantity(self, token: str, owner: str = "") -> str:
        counted = _COUNTED.fullmatch(token)
        if counted is not None:
            word = self.pick(QUANTITIES[counted[1]])
            if counted[1] == "band":
                return word.format(number=counted[2])
            return f"{word} {counted[2]}" if f"{owner}.{counted[1]}" in self._several else word
        words = QUANTITIES.get(token)
        return self.fact(token) if words is None else self.pick(words)

    def _joined(self, words: list[str]) -> str:
        return "·".join(words) if self.language == "zh" else ": ".join(words)

    def value(self, name: str, value: Any) -> str:
        """A value for readers: fen as yuan, ratios in percent, words as they are."""
        if isinstance(value, bool):
            return self.pick(("是", "yes") if value else ("否", "no"))
        if isinstance(value, int):
            return number_text(Fraction(value, 100)) if name in _UNITS else self.money(value)
        if isinstance(value, Fraction):
            return self._number(name, value)
        if isinstance(value, tuple):
            return self._values(value)
        return str(value)

    def money(self, amount_fen: int) -> str:
        """An amount with its unit."""
        sign = "-" if amount_fen < 0 else ""
        whole, fen = divmod(abs(amount_fen), 100)
        return f"{sign}{whole:,}.{fen:02d}{self.pick(('元', ' yuan'))}"

    def _number(self, name: str, value: Fraction) -> str:
        if self._is_ratio(name):
            return percent(value)
        unit = self._units.get(name)
        if _base(name) in self._amounts or unit == "yuan":
            return f"{number_text(value)}{self.pick(('元', ' yuan'))}"
        if unit in ("days", "months"):
            words = {"days": ("天", " days"), "months": ("个月", " months")}
            return f"{number_text(value)}{self.pick(words[unit])}"
        return number_text(value)

    def _is_ratio(self, name: str) -> bool:
        tokens = name.rpartition(APART)[2].lstrip(":").split(".")
        if self._units.get(tokens[0]) == "ratio":
            return "times" not in tokens[1:]
        last = tokens[-1]
        if last in ("at_least", "at_most", "add", "set"):
            return len(tokens) > 1 and tokens[-2] in _RATIOS
        return last in _RATIOS

    def _values(self, values: tuple[Any, ...]) -> str:
        if len(values) == len(PARTS) and all(isinstance(value, int) for value in values):
            return self._listed(
                f"{PART_WORDS[part][self.language]} {self.money(value)}"
                for part, value in zip(PARTS, values, strict=True)
                if value
            ) or self.money(0)
        return self._listed(self._word(value) for value in values)

    def _word(self, value: Any) -> str:
        if isinstance(value, int):
            return self.money(value)
        return PART_WORDS[value][self.language] if value in PART_WORDS else str(value)

    def _listed(self, words: Any) -> str:
        return ("、" if self.language == "zh" else ", ").join(words)


def _base(name: str) -> str:
    """The figure that an operand of its own belongs to: `basic.cap1` for `basic.cap1.at_least`."""
    before, _, last = name.rpartition(".")
    return before if last in ("add", "at_least", "at_most", "set") else name
