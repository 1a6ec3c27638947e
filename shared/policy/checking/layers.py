"""Layers: whether each says how it pays, its bands are in order, and its limits can bite."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

from shared.policy.checking.conditions import unknown_fact
from shared.policy.checking.facts import KnownFacts
from shared.policy.checking.formulas import constant_of
from shared.policy.checking.report import Path, Report, shown
from shared.policy.checking.structure import check_repeated
from shared.policy.document import Cap, Figure, FigureRule, Layer, Limit, PackDocument, Period, Tiers

_FUND: Final = re.compile(r"[0-9]{6}([0-9]{2})?")
"""基金支付类型: six digits of the national set, or eight of an area's own below one of them."""


def check_layers(document: PackDocument, facts: KnownFacts, report: Report) -> None:
    """All layers of all benefits, and the facts that limits run by."""
    for index, benefit in enumerate(document.benefits):
        for number, layer in enumerate(benefit.layers):
            path: Path = ("benefits", index, "layers", number)
            _LayerCheck(path, layer, document, report).check()
    for path, of in _of_lists(document):
        for number, fact in enumerate(of):
            if facts.get(fact) is None:
                unknown_fact((*path, number), fact, facts, report)


def _of_lists(document: PackDocument) -> Iterator[tuple[Path, Sequence[str]]]:
    for index, rule in enumerate(document.items):
        if rule.limit is not None:
            yield ("items", index, "limit", "of"), rule.limit.of
    for index, benefit in enumerate(document.benefits):
        for number, rule in enumerate(benefit.items):
            if rule.limit is not None:
                yield ("benefits", index, "items", number, "limit", "of"), rule.limit.of
        for number, layer in enumerate(benefit.layers):
            here: Path = ("benefits", index, "layers", number)
            if layer.deductible is not None:
                yield (*here, "deductible", "of"), layer.deductible.of
            yield from (((*here, "limits", n, "of"), limit.of) for n, limit in enumerate(layer.limits))
            yield from (((*here, "caps", n, "of"), cap.of) for n, cap in enumerate(layer.caps))


class _LayerCheck:
    """The checks of one layer."""

    def __init__(self, path: Path, layer: Layer, document: PackDocument, report: Report) -> None:
        self._path = path
        self._layer = layer
        self._document = document
        self._report = report

    def check(self) -> None:
        self._check_shares()
        self._check_payer()
        self._check_fund()
        self._check_person_ceiling()
        check_repeated((*self._path, "absorbs"), list(self._layer.absorbs), self._report)
        if self._layer.tiers is not None:
            self._check_tiers(self._layer.tiers)
        self._check_caps()

    def _check_shares(self) -> None:
        given = [key for key in ("ratio", "tiers", "fixed") if getattr(self._layer, key) is not None]
        if self._layer.pays == "given":
            idle = given + [key for key in ("deductible", "person_ceiling") if getattr(self._layer, key) is not None]
            for key in [*idle, *(["caps"] if self._layer.caps else [])]:
                zh, en = f"pays: given 时 {key} 不起作用", f"`{key}` has no effect with `pays: given`"
                self._report.error((*self._path, key), "pack.dead", zh, en, at_key=True)
        elif not given:
            zh, en = "须写 ratio、tiers 或 fixed", "one of `ratio`, `tiers`, `fixed` must say what it pays"
            self._report.error(self._path, "pack.layer", zh, en)
        for key in given[1:] if self._layer.pays != "given" else ():
            zh, en = f"已有 {given[0]}，不能再有 {key}", f"`{key}` beside `{given[0]}`: only one says what it pays"
            self._report.error((*self._path, key), "pack.layer", zh, en, at_key=True)

    def _check_payer(self) -> None:
        if self._layer.pays == "later" and not (self._layer.payer or "").strip():
            zh, en = "pays: later 须写 payer", "`pays: later` needs a `payer`"
            self._report.error((*self._path, "pays"), "pack.layer", zh, en)

    def _check_fund(self) -> None:
        if not _FUND.fullmatch(self._layer.fund):
            zh, en = "须是六位基金支付类型代码，如 310100", "expected the six digits of a fund, such as 310100"
            self._report.error((*self._path, "fund"), "pack.fund", zh, en)

    def _check_person_ceiling(self) -> None:
        layer = self._layer
        if layer.person_ceiling is not None and layer.deductible is None and not (layer.ratio or layer.tiers):
            zh = "封顶自付须有起付线或比例"
            en = "`person_ceiling` needs a deductible or a ratio of which the person bears something"
            self._report.error((*self._path, "person_ceiling"), "pack.layer", zh, en, at_key=True)

    # --------------------------------------------------------------------------------------------- tiers

    def _check_tiers(self, tiers: Tiers) -> None:
        path = (*self._path, "tiers", "bands")
        before: Fraction | None = Fraction(0)
        for index, band in enumerate(tiers.bands):
            last = index == len(tiers.bands) - 1
            if band.to is None and not last:
                zh, en = "只有最后一段可以不写 to", "only the last band is open: those after it are never reached"
                self._report.error((*path, index), "pack.tiers", zh, en)
                return
            end = self._constant(band.to) if band.to is not None else None
            if end is not None and before is not None and end <= before:
                zh = f"段须递增：{shown(end)} 不大于前一段的 {shown(before)}"
                en = f"bands must ascend: {shown(end)} is not above {shown(before)}, where the one before ends"
                self._report.error((*path, index, "to"), "pack.tiers", zh, en)
            before = before if end is None else end
        if tiers.bands[-1].to is not None:
            zh, en = "最后一段有上限：超出部分不付", "the last band is closed: nothing is paid of what exceeds it"
            self._report.warn((*path, len(tiers.bands) - 1, "to"), "pack.tiers", zh, en, at_key=True)
        self._check_reached(tiers)

    def _check_reached(self, tiers: Tiers) -> None:
        """Bands that begin where the layer's own limit ends are never reached."""
        for limit in self._layer.limits:
            most = self._constant(limit.amount)
            within = tiers.running is None or (tiers.running == limit.per and not limit.of and limit.counter is None)
            if most is None or limit.when or not within:
                continue
            for index, band in enumerate(tiers.bands[:-1]):
                end = self._constant(band.to) if band.to is not None else None
                if end is not None and end >= most:
                    zh, en = f"限额为 {shown(most)}，到不了这一段", f"the limit of {shown(most)} ends before this band"
                    self._report.warn((*self._path, "tiers", "bands", index + 1), "pack.never-bites", zh, en)

    # ---------------------------------------------------------------------------------------------- caps

    def _check_caps(self) -> None:
        for index, cap in enumerate(self._layer.caps):
            amount = self._constant(cap.amount)
            most = self._most_paid(cap)
            if amount is not None and most is not None and amount >= most:
                zh = f"至多付 {shown(most)},{shown(amount)} 的限额不起作用"
                en = f"the cap of {shown(amount)} never bites: the layer pays at most {shown(most)}"
                self._report.warn((*self._path, "caps", index), "pack.never-bites", zh, en)
        self._check_deductible()

    def _most_paid(self, cap: Cap) -> Fraction | None:
        """The most a layer can pay over a cap's period, as far as its constants say."""
        found = [amount for limit in self._layer.limits if (amount := self._limited(limit, cap)) is not None]
        if self._layer.fixed is not None and cap.per == "visit" and self._layer.fixed.per == "visit":
            fixed = self._constant(self._layer.fixed.amount)
            found += [fixed] if fixed is not None else []
        return min(found) if found else None

    def _limited(self, limit: Limit, cap: Cap) -> Fraction | None:
        amount = self._constant(limit.amount)
        ratio = self._constant(self._layer.ratio) if self._layer.ratio is not None else Fraction(1)
        shared = cap.counter is not None or limit.counter is not None
        if amount is None or limit.when or not _runs_within(cap.per, limit.per) or cap.of != limit.of or shared:
            return None
        return amount * (ratio if ratio is not None and 0 <= ratio <= 1 else 1)

    def _check_deductible(self) -> None:
        """A deductible no smaller than the limit of the same visit leaves nothing to pay."""
        deductible = self._layer.deductible
        amount = self._constant(deductible.amount) if deductible is not None else None
        if deductible is None or deductible.per != "visit" or deductible.waived or amount is None:
            return
        for index, limit in enumerate(self._layer.limits):
            most = self._constant(limit.amount)
            if most is not None and not limit.when and amount >= most:
                zh, en = "起付线不低于限额：永远不付", "the deductible is not below this limit: nothing is ever paid"
                self._report.error((*self._path, "limits", index), "pack.dead", zh, en)

    def _constant(self, figure: Figure | None) -> Fraction | None:
        if isinstance(figure, FigureRule):
            plain = figure.cases is None and figure.table is None and not figure.adjust and figure.share == "fund"
            bounded = figure.at_least is not None or figure.at_most is not None
            return self._constant(figure.value) if plain and not bounded and figure.value is not None else None
        if figure is None:
            return None
        return constant_of(figure, self._document) if isinstance(figure, str) else Fraction(figure)


def _runs_within(inner: Period, outer: Period) -> bool:
    """Whether what a period limits is limited in each of the other, too."""
    return inner == outer or inner == "visit"
