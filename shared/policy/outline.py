"""A pack rule by rule, in words: what `show` prints and `diff` compares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from shared.policy.document import (
    Account,
    Benefit,
    Calculation,
    Cap,
    Deductible,
    Fixed,
    ItemLimit,
    ItemRule,
    Layer,
    Limit,
    PackDocument,
    PersonCeiling,
    Step,
    Tiers,
)
from shared.policy.words import PARTS, PERIODS, Cell, Language, Names, cells, figure_text, text_of

_LABELS: Final[dict[str, tuple[str, str]]] = {
    "items": ("目录与范围", "items and scope"),
    "figures": ("数字", "figures"),
    "who": ("适用", "for"),
    "refuses": ("不予支付", "refused"),
    "counts_admission": ("计入住院次数", "counts as an admission"),
    "scope": ("范围", "scope"),
    "ceiling": ("支付标准（单价上限）", "price ceiling a unit"),
    "prepay": ("先行自付比例", "pre-payment ratio"),
    "limit": ("范围限额", "limit of what is in scope"),
    "quantity": ("数量限制", "limit of the quantity"),
    "fund": ("基金", "fund"),
    "pays": ("支付方式", "how it is paid"),
    "basis": ("计算基数", "basis"),
    "expense": ("费用限额", "limit of the expense"),
    "deductible": ("起付标准", "deductible"),
    "waived": ("免起付", "deductible waived"),
    "deductible_limit": ("起付累计不超过", "deductibles together at most"),
    "ratio": ("支付比例", "ratio"),
    "tiers": ("分段", "tiers"),
    "band": ("分段支付比例", "ratio of the band"),
    "fixed": ("定额", "fixed amount"),
    "person_ceiling": ("个人负担封顶", "ceiling of the person's burden"),
    "cap": ("最高支付限额", "cap of what the fund pays"),
    "absorbs": ("减轻的个人负担，依次", "takes from the person's parts, in order"),
    "recover": ("先行支付后追偿", "recovered from"),
    "account": ("个人账户", "personal account"),
    "needs": ("所需数据", "inputs"),
    "results": ("结果", "results"),
}
_SCOPES: Final[dict[str, tuple[str, str]]] = {
    "in": ("政策范围内", "in scope"),
    "out": ("自费", "outside the scope"),
    "stated": ("按费用明细所列", "as the line states"),
}
_PAYS: Final[dict[str, tuple[str, str]]] = {
    "now": ("即时结算", "paid at once"),
    "later": ("事后支付", "paid later"),
    "given": ("他处已付", "paid elsewhere before"),
}
_FIXED: Final[dict[str, tuple[str, str]]] = {
    "person": ("个人", "the person"),
    "facility": ("医疗机构", "the facility"),
    "none": ("不付差额", "nobody"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule: its path of ids, what it is, whom it touches, its values, and the id of its clause."""

    path: str
    section: str
    label: str
    whom: str
    cells: tuple[Cell, ...]
    clause: str | None


def _below(who: str, cell: Cell, clause: str | None = None) -> Cell:
    return replace(cell, who=f"{who} · {cell.who}" if cell.who else who, clause=cell.clause or clause)


def outline(document: PackDocument, language: Language) -> list[Entry]:
    """Every rule of a pack, in the order written."""
    return list(_Outline(document, language).entries())


class _Outline:
    def __init__(self, document: PackDocument, language: Language) -> None:
        self._document = document
        self._language: Language = language
        self._names = Names(document, language)

    def entries(self) -> Iterator[Entry]:
        yield from self._figures()
        everybody = self._names.when({})
        for rule in self._document.items:
            yield from self._item(rule, "items", self._label("items"), everybody)
        for benefit in self._document.benefits:
            yield from self._benefit(benefit)
        for calculation in self._document.calculations:
            yield from self._calculation(calculation)

    def _figures(self) -> Iterator[Entry]:
        for name, figure in self._document.figures.items():
            found = tuple(cells(figure.value, figure.unit, self._names))
            yield Entry(f"figures/{name}", self._label("figures"), name, self._names.when({}), found, figure.clause)

    # ------------------------------------------------------------------------------------------------- items

    def _item(self, rule: ItemRule, path: str, section: str, whom: str) -> Iterator[Entry]:
        here = f"{path}/{rule.id}"
        what = ("其余" if self._language == "zh" else "others") if rule.otherwise else self._names.when(rule.when)
        found = [Cell(what, self._choice(_SCOPES, rule.scope), None)]
        if rule.ceiling is not None:
            found += self._labelled("ceiling", rule.ceiling, "yuan")
        if rule.scope == "in":
            found += self._labelled("prepay", rule.prepay, "ratio")
        yield Entry(here, section, rule.id, whom, tuple(found), rule.clause)
        if rule.limit is not None:
            yield Entry(f"{here}/limit", section, self._label("limit"), whom, self._limited(rule.limit), rule.clause)

    def _labelled(self, label: str, figure: object, unit: str) -> list[Cell]:
        """The cells of a figure that is one of several in its rule."""
        if figure == "line":
            return [Cell(self._label(label), "按费用明细" if self._language == "zh" else "as the line brings it", None)]
        found = cells(figure, unit, self._names)  # type: ignore[arg-type]
        return [_below(self._label(label), cell) for cell in found]

    def _limited(self, limit: ItemLimit) -> tuple[Cell, ...]:
        found = [] if limit.amount is None else self._labelled("limit", limit.amount, "yuan")
        found += [] if limit.quantity is None else self._labelled("quantity", limit.quantity, "count")
        return (*found, self._period(limit.per, limit.of))

    # ---------------------------------------------------------------------------------------------- benefits

    def _benefit(self, benefit: Benefit) -> Iterator[Entry]:
        section = text_of(benefit.title, self._language)
        path = f"benefits/{benefit.id}"
        whom = self._names.when(benefit.when)
        yield Entry(path, section, self._label("who"), whom, self._benefit_cells(benefit, whom), benefit.clause)
        for rule in benefit.items:
            yield from self._item(rule, path + "/items", section, whom)
        for layer in benefit.layers:
            yield from self._layer(layer, path, section, whom)
        if benefit.account is not None:
            yield self._account(benefit.account, path, section, whom)

    def _benefit_cells(self, benefit: Benefit, whom: str) -> tuple[Cell, ...]:
        found = [Cell("", whom, None)]
        if benefit.refuses is not None:
            found.append(Cell(self._label("refuses"), text_of(benefit.refuses, self._language), None))
        if benefit.counts_admission:
            found.append(Cell("", self._label("counts_admission"), None))
        return tuple(found)

    def _account(self, account: Account, path: str, section: str, whom: str) -> Entry:
        parts = self._listed(PARTS[part][self._language] for part in account.pays)
        found = [Cell("", parts, None)]
        if account.family:
            found.append(Cell("", "可家庭共济" if self._language == "zh" else "the family's too", None))
        return Entry(f"{path}/account", section, self._label("account"), whom, tuple(found), account.clause)

    # ------------------------------------------------------------------------------------------------ layers

    def _layer(self, layer: Layer, path: str, section: str, whom: str) -> Iterator[Entry]:
        here = f"{path}/{layer.id}"
        if layer.when:
            whom = f"{whom}; {self._names.when(layer.when)}"
        title = text_of(layer.title, self._language)

        def entry(name: str, label: str, found: tuple[Cell, ...], clause: str | None, who: str = whom) -> Entry:
            return Entry(f"{here}/{name}", section, f"{title}: {self._label(label)}", who, found, clause)

        yield Entry(here, section, title, whom, self._layer_cells(layer), layer.clause)
        for number, limit in enumerate(layer.limits, start=1):
            yield entry(f"limit-{limit.counter or number}", "expense", self._running(limit), limit.clause)
        if layer.deductible is not None:
            yield entry("deductible", "deductible", self._deductible(layer.deductible), layer.deductible.clause)
        if layer.ratio is not None:
            yield entry("ratio", "ratio", tuple(cells(layer.ratio, "ratio", self._names)), layer.clause)
        if layer.tiers is not None:
            yield entry("tiers", "tiers", self._tiers(layer.tiers), layer.tiers.clause or layer.clause)
        if layer.fixed is not None:
            yield entry("fixed", "fixed", self._fixed(layer.fixed), layer.fixed.clause)
        if layer.person_ceiling is not None:
            found = self._ceiling(layer.person_ceiling)
            yield entry("person-ceiling", "person_ceiling", found, layer.person_ceiling.clause)
        for number, cap in enumerate(layer.caps, start=1):
            yield entry(f"cap-{cap.counter or number}", "cap", self._running(cap), cap.clause)

    def _layer_cells(self, layer: Layer) -> tuple[Cell, ...]:
        found = [
            Cell(self._label("fund"), layer.fund, None),
            Cell(self._label("pays"), self._choice(_PAYS, layer.pays) + self._by(layer), None),
            Cell(self._label("basis"), layer.basis, None),
        ]
        if layer.recover is not None:
            found.append(Cell(self._label("recover"), layer.recover, None))
        if "absorbs" in layer.model_fields_set:
            parts = self._listed(PARTS[part][self._language] for part in layer.absorbs)
            found.append(Cell(self._label("absorbs"), parts, None))
        return tuple(found)

    def _by(self, layer: Layer) -> str:
        return "" if layer.payer is None else f" ({layer.payer})"

    def _running(self, limit: Limit | Cap) -> tuple[Cell, ...]:
        found = cells(limit.amount, "yuan", self._names)
        if limit.when:
            found.append(Cell(self._label("who"), self._names.when(limit.when), None))
        return (*found, self._period(limit.per, limit.of))

    def _deductible(self, deductible: Deductible) -> tuple[Cell, ...]:
        found = cells(deductible.amount, "yuan", self._names)
        if deductible.waived:
            found.append(Cell(self._label("waived"), self._names.any_of(deductible.waived), None))
        found.append(self._period(deductible.per, deductible.of))
        if deductible.limit is not None:
            label, limit = self._label("deductible_limit"), deductible.limit
            found += [_below(label, cell, None) for cell in cells(limit.amount, "yuan", self._names)]
            found.append(self._period(limit.per, [], summed=True))
        return tuple(found)

    def _tiers(self, tiers: Tiers) -> tuple[Cell, ...]:
        gross = tiers.axis == "gross"
        if self._language == "zh":
            axis = "按费用全额分段（起付线占最低段）" if gross else "按起付线以上分段"
        else:
            axis = "of the gross expense" if gross else "above the deductible"
        found = [Cell("", axis, None)]
        if tiers.running is not None:
            found.append(self._period(tiers.running, [], summed=True))
        for number, band in enumerate(tiers.bands, start=1):
            upto = "∞" if band.to is None else figure_text(band.to, "yuan", self._names)
            who = f"{number}: ≤ {upto}" if band.to is not None else f"{number}: {upto}"
            found += [_below(who, cell, band.clause) for cell in cells(band.ratio, "ratio", self._names)]
        return tuple(found)

    def _fixed(self, fixed: Fixed) -> tuple[Cell, ...]:
        zh = self._language == "zh"
        return (
            *cells(fixed.amount, "yuan", self._names),
            self._period(fixed.per, []),
            Cell("结余归" if zh else "surplus to", self._choice(_FIXED, fixed.surplus), None),
            Cell("超出由其负担" if zh else "excess borne by", self._choice(_FIXED, fixed.deficit), None),
        )

    def _ceiling(self, ceiling: PersonCeiling) -> tuple[Cell, ...]:
        return (*cells(ceiling.amount, "yuan", self._names), self._period(ceiling.per, []))

    # ------------------------------------------------------------------------------------------ calculations

    def _calculation(self, calculation: Calculation) -> Iterator[Entry]:
        section = text_of(calculation.title, self._language)
        path = f"calculations/{calculation.id}"
        whom = self._names.when(calculation.when)
        needs = self._listed(text_of(need.title, self._language) for need in calculation.needs.values())
        found = [Cell(self._label("needs"), needs, None)] if calculation.needs else []
        found.append(Cell(self._label("results"), self._listed(iter(calculation.results)), None))
        yield Entry(path, section, self._label("who"), whom, (Cell("", whom, None), *found), calculation.clause)
        for step in calculation.steps:
            yield self._step(step, path, section, whom)

    def _step(self, step: Step, path: str, section: str, whom: str) -> Entry:
        if step.when:
            whom = f"{whom}; {self._names.when(step.when)}"
        found = tuple(cells(step.figure, step.unit, self._names))
        return Entry(f"{path}/{step.id}", section, text_of(step.title, self._language), whom, found, step.clause)

    # ------------------------------------------------------------------------------------------------- words

    def _label(self, name: str) -> str:
        zh, en = _LABELS[name]
        return zh if self._language == "zh" else en

    def _choice(self, texts: dict[str, tuple[str, str]], name: str) -> str:
        zh, en = texts[name]
        return zh if self._language == "zh" else en

    def _listed(self, words: Iterator[str]) -> str:
        return ("、" if self._language == "zh" else ", ").join(words)

    def _period(self, per: str, of: list[str], *, summed: bool = False) -> Cell:
        text = PERIODS[per][self._language]
        if summed:
            text = f"{text}累计" if self._language == "zh" else f"the running sum of {text}"
        if of:
            each = self._listed(self._names.fact(fact) for fact in of)
            text += f"，各{each}分别计算" if self._language == "zh" else f", each {each} apart"
        return Cell("", text, None)
