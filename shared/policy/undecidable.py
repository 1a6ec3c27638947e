"""Why a bill or a question cannot be decided: one place for the codes, each with its texts in both languages."""

from __future__ import annotations

from collections.abc import Sequence

from shared.policy.decision import NotPaid


class Undecidable(Exception):
    """The pack does not say what this is paid, so nothing is guessed; `reason` says why."""

    def __init__(self, code: str, zh: str, en: str, clauses: Sequence[str] = ()) -> None:
        super().__init__(f"{code}: {en}")
        self.reason = NotPaid(f"policy.{code}", zh, en, tuple(clauses))


def no_pack(day: str) -> Undecidable:
    return Undecidable("no-pack", f"{day}没有适用的政策包", f"no pack holds on {day}")


def no_benefit() -> Undecidable:
    return Undecidable("no-benefit", "没有适用于此账单的待遇", "no benefit of the pack fits this bill")


def two_rules(what_zh: str, what_en: str, rules: Sequence[str], clauses: Sequence[str] = ()) -> Undecidable:
    """More than one of the rules that exclude each other holds."""
    names = ", ".join(rules)
    zh, en = f"{what_zh}有多条同时适用：{names}", f"several {what_en} hold at once: {names}"
    return Undecidable("two-rules", zh, en, clauses)


def no_item_rule(line_no: str) -> Undecidable:
    zh, en = f"费用明细{line_no}没有适用的目录规则", f"no item rule of the pack fits line {line_no}"
    return Undecidable("no-item-rule", zh, en)


def fact_missing(fact: str, clauses: Sequence[str] = ()) -> Undecidable:
    return Undecidable("fact-missing", f"缺少事实“{fact}”", f"the fact {fact!r} is not known", clauses)


def not_a_number(fact: str, clauses: Sequence[str] = ()) -> Undecidable:
    return Undecidable("not-a-number", f"“{fact}”不是数", f"{fact!r} is no number", clauses)


def no_value(what: str, found: str, clauses: Sequence[str] = ()) -> Undecidable:
    """A table has no row for what was found."""
    return Undecidable("no-value", f"{what}没有对应“{found}”的数值", f"{what} has no value for {found!r}", clauses)


def no_case(what: str, clauses: Sequence[str] = ()) -> Undecidable:
    return Undecidable("no-value", f"{what}没有一种情形适用", f"no case of {what} holds", clauses)


def division_by_zero(formula: str) -> Undecidable:
    return Undecidable("division-by-zero", f"公式“{formula}”除数为零", f"the formula {formula!r} divides by zero")


def amount_out_of_range() -> Undecidable:
    return Undecidable("out-of-range", "金额超出允许范围", "an amount is larger than money can be")


def out_of_range(what: str, clauses: Sequence[str] = ()) -> Undecidable:
    """A ratio outside 0 to 1, or an amount larger than money can be."""
    return Undecidable("out-of-range", f"{what}超出允许范围", f"{what} is out of range", clauses)


def bad_line(line_no: str, zh: str, en: str) -> Undecidable:
    return Undecidable("bad-line", f"费用明细{line_no}：{zh}", f"line {line_no}: {en}")


def given_too_much(layer: str) -> Undecidable:
    zh = f"“{layer}”已付金额超过账单余额或为负"
    en = f"what {layer!r} is said to have paid is negative or more than is left"
    return Undecidable("given-too-much", zh, en)


def nobody_gave(layers: Sequence[str]) -> Undecidable:
    """The bill says a layer paid that cannot have: it is no layer paid before, or does not hold for this bill."""
    names = ", ".join(layers)
    zh, en = f"账单称“{names}”已付,但其不适用于此账单", f"the bill says {names} paid, which does not hold for it"
    return Undecidable("unknown-payer", zh, en)


def no_calculation(calculation: str) -> Undecidable:
    return Undecidable("no-calculation", f"没有计算“{calculation}”", f"the pack has no calculation {calculation!r}")


def not_applicable(calculation: str, clauses: Sequence[str]) -> Undecidable:
    zh, en = f"计算“{calculation}”不适用于此人", f"the calculation {calculation!r} does not hold for this person"
    return Undecidable("not-applicable", zh, en, clauses)


def wrong_inputs(missing: Sequence[str], unknown: Sequence[str]) -> Undecidable:
    """All inputs that a calculation lacks and all that it does not know."""
    zh = "；".join(f"{label}：{'、'.join(names)}" for label, names in (("缺少", missing), ("不认识", unknown)) if names)
    labelled = (("missing", missing), ("unknown", unknown))
    en = "; ".join(f"{label}: {', '.join(names)}" for label, names in labelled if names)
    return Undecidable("input-missing" if missing else "input-unknown", f"输入有误——{zh}", f"wrong inputs — {en}")
