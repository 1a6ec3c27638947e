"""What a pack is made of: ids that stand once, days in order, four eyes, rules that are whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from shared.policy.checking.facts import KnownFacts
from shared.policy.checking.report import Path, Report
from shared.policy.checking.sites import OPEN_PREFIXES, SUMS, name_of
from shared.policy.document import Benefit, Calculation, ItemRule, PackDocument
from shared.policy.issues import did_you_mean


def check_structure(document: PackDocument, facts: KnownFacts, report: Report) -> None:
    """All of it."""
    _check_head(document, report)
    _check_ids(document, facts, report)
    _check_figures(document, report)
    _check_items(("items",), document.items, report)
    for index, benefit in enumerate(document.benefits):
        _check_benefit(("benefits", index), benefit, report)
    for index, calculation in enumerate(document.calculations):
        _check_calculation(("calculations", index), calculation, report)


def _check_head(document: PackDocument, report: Report) -> None:
    valid = document.valid
    if valid.to is not None and valid.to < valid.from_:
        zh, en = f"止于 {valid.to}，早于起日 {valid.from_}", f"ends on {valid.to}, before it begins on {valid.from_}"
        report.error(("valid", "to"), "pack.dates", zh, en)
    month, day = map(int, document.year_begins.split("-"))
    try:
        date(2001, month, day)
    except ValueError:
        zh, en = f"不是每年都有 {document.year_begins}", f"not every year has a {document.year_begins}"
        report.error(("year_begins",), "pack.date", zh, en)
    if not document.author.strip():
        report.error(("author",), "pack.author", "没有编写人", "the author is not named")
    if document.reviewer is not None and document.reviewer.strip() == document.author.strip():
        zh, en = "审核人须不是编写人", "the reviewer must not be the author"
        report.error(("reviewer",), "pack.four-eyes", zh, en)
    if not document.benefits and not document.calculations:
        zh, en = "没有待遇，也没有计算", "there is neither a benefit nor a calculation"
        report.error((), "pack.nothing", zh, en)
    for index, benefit in enumerate(document.benefits):
        if benefit.refuses is None and not benefit.items and not document.items:
            zh, en = (
                f"待遇 `{benefit.id}` 没有目录规则",
                f"neither the benefit `{benefit.id}` nor the pack has item rules",
            )
            report.error(("benefits", index), "pack.no-items", zh, en)


# ---------------------------------------------------------------------------------------------------- ids


def _check_ids(document: PackDocument, facts: KnownFacts, report: Report) -> None:
    _once(("items",), [rule.id for rule in document.items], report)
    _once(("benefits",), [benefit.id for benefit in document.benefits], report)
    _once(("calculations",), [calculation.id for calculation in document.calculations], report)
    _once(("examples",), [case.id for case in document.examples], report)
    assumptions = [assumption.id for assumption in document.assumptions]
    _once(("assumptions",), assumptions, report)
    for index, name in enumerate(assumptions):
        if name in document.clauses:
            zh, en = f"`{name}` 已是条款", f"`{name}` is a clause already"
            report.error(("assumptions", index, "id"), "pack.duplicate", zh, en)
    for name in document.figures:
        if name_of(name) in SUMS or facts.get(name_of(name)) is not None:
            zh, en = f"`{name}` 已是事实或账单数量的名称", f"`{name}` is already the name of a fact or a quantity"
            report.error(("figures", name), "pack.duplicate", zh, en, at_key=True)
    names = list(document.figures)
    for index, name in enumerate(names):
        if name_of(name) in [name_of(other) for other in names[:index]]:
            zh, en = f"公式中 `{name}` 与另一数同名", f"formulas cannot tell `{name}` from another figure"
            report.error(("figures", name), "pack.duplicate", zh, en, at_key=True)


def _once(path: Path, ids: Iterable[str], report: Report) -> None:
    """Ids are told apart as formulas write them, where a hyphen is an underscore."""
    first: dict[str, int] = {}
    for index, name in enumerate(ids):
        other = first.setdefault(name_of(name), index)
        if other != index:
            line = report.where((*path, other, "id"))
            zh, en = f"`{name}` 重复，第一次在 {line}", f"the id `{name}` stands here twice, first at {line}"
            report.error((*path, index, "id"), "pack.duplicate", zh, en)


def _check_figures(document: PackDocument, report: Report) -> None:
    for name, figure in document.figures.items():
        path = ("figures", name, "value")
        if figure.value < 0:
            report.error(path, "pack.negative", f"不能为负：{figure.value}", f"must not be negative: {figure.value}")
        if figure.unit == "yuan" and figure.value != round(figure.value, 2):
            zh, en = f"{figure.value} 超过2位小数", f"{figure.value} has more than 2 decimals"
            report.error(path, "pack.decimals", zh, en)


# ------------------------------------------------------------------------------------- items and benefits


def _check_items(path: Path, rules: list[ItemRule], report: Report) -> None:
    rest = [index for index, rule in enumerate(rules) if rule.otherwise]
    for index in rest[1:]:
        zh, en = f"已有 otherwise 规则 `{rules[rest[0]].id}`", f"`{rules[rest[0]].id}` is `otherwise` already"
        report.error((*path, index, "otherwise"), "pack.two-rules", zh, en)
    for index, rule in enumerate(rules):
        here = (*path, index)
        if rule.otherwise and rule.when:
            zh, en = "otherwise 不再带条件", "`otherwise` takes no condition"
            report.error((*here, "when"), "pack.item", zh, en, at_key=True)
        if rule.limit is not None and rule.limit.amount is None and rule.limit.quantity is None:
            zh, en = "限额须有 amount 或 quantity", "a limit needs `amount` or `quantity`"
            report.error((*here, "limit"), "pack.item", zh, en)
        _check_unused_parts(here, rule, report)


def _check_unused_parts(path: Path, rule: ItemRule, report: Report) -> None:
    """What a rule says beside `out` or `stated` is never looked at."""
    parts = {"ceiling": rule.ceiling is not None, "prepay": rule.prepay != 0, "limit": rule.limit is not None}
    if rule.scope == "in":
        return
    for key in [key for key, given in parts.items() if given and (rule.scope == "out" or key != "limit")]:
        zh, en = f"scope: {rule.scope} 时 {key} 不起作用", f"`{key}` has no effect with `scope: {rule.scope}`"
        report.error((*path, key), "pack.dead", zh, en, at_key=True)


def _check_benefit(path: Path, benefit: Benefit, report: Report) -> None:
    _once((*path, "items"), [rule.id for rule in benefit.items], report)
    _once((*path, "layers"), [layer.id for layer in benefit.layers], report)
    _check_items((*path, "items"), benefit.items, report)
    for index, layer in enumerate(benefit.layers):
        if layer.id in OPEN_PREFIXES or layer.id in ("bills", "items"):
            zh, en = f"`{layer.id}` 在公式中另有含义", f"`{layer.id}` means something else in formulas"
            report.error((*path, "layers", index, "id"), "pack.duplicate", zh, en)
    if benefit.refuses is not None:
        for key in ("items", "layers", "account"):
            if getattr(benefit, key):
                zh, en = f"拒付的待遇不用 {key}", f"a benefit that refuses never uses `{key}`"
                report.error((*path, key), "pack.dead", zh, en, at_key=True)
    elif not benefit.layers and benefit.account is None:
        zh = f"待遇 `{benefit.id}` 既无 layers 也无 refuses"
        en = f"the benefit `{benefit.id}` neither pays (`layers`) nor refuses (`refuses`)"
        report.error(path, "pack.nothing", zh, en)
    if benefit.account is not None:
        check_repeated((*path, "account", "pays"), benefit.account.pays, report)


def check_repeated(path: Path, words: Sequence[str], report: Report) -> None:
    """A word of a list that stands there already."""
    for index, word in enumerate(words):
        if word in words[:index]:
            report.error((*path, index), "pack.duplicate", f"`{word}` 重复", f"`{word}` stands here twice")


def _check_calculation(path: Path, calculation: Calculation, report: Report) -> None:
    steps = [step.id for step in calculation.steps]
    _once((*path, "steps"), steps, report)
    for index, result in enumerate(calculation.results):
        if result not in steps:
            zh, en = did_you_mean(result, steps)
            here = (*path, "results", index)
            report.error(here, "pack.unknown-step", f"没有步骤 `{result}`{zh}", f"there is no step `{result}`{en}")
    check_repeated((*path, "results"), list(calculation.results), report)
    taken = {name_of(need) for need in calculation.needs}
    for index, step in enumerate(steps):
        if name_of(step) in taken:
            zh, en = f"`{step}` 已是输入", f"`{step}` is the name of an input already"
            report.error((*path, "steps", index, "id"), "pack.duplicate", zh, en)
