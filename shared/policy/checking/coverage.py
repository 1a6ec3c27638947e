"""Cases that two rules fit, cases that none fits, and rules that no case can reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.policy.checking.figures import tell_too_many, tell_uncovered
from shared.policy.checking.report import Path, Report
from shared.policy.checking.sites import WhenSite
from shared.policy.checking.space import Box, Space, TooMany, apart, met, overlapping
from shared.policy.document import Benefit, ItemRule, PackDocument


class Coverage:
    """The checks over all cases a pack can meet."""

    def __init__(self, document: PackDocument, space: Space, report: Report) -> None:
        self._document = document
        self._space = space
        self._report = report
        self._told: set[tuple[Path, Path]] = set()

    def check(self, whens: Iterable[WhenSite]) -> None:
        """All of it."""
        for site in whens:
            self._reachable(site)
        self._benefits()
        self._pack_items()
        for index, benefit in enumerate(self._document.benefits):
            if benefit.items:
                region = self._space.box(benefit.when)
                self._items(("benefits", index, "items"), benefit.items, [region])

    # --------------------------------------------------------------------------------------------- reach

    def _reachable(self, site: WhenSite) -> None:
        around = self._space.box(*site.around)
        if self._space.never(around) is not None or self._report.is_wrong(site.path):
            return
        fact = self._space.never(met(around, self._space.box(site.when)))
        if fact is not None:
            here = (*site.path, fact) if fact in site.when else site.path
            zh, en = f"没有情形能满足：`{fact}` 的条件互相矛盾或超出取值", f"no case fits: nothing is left of `{fact}`"
            self._report.error(here, "pack.dead", zh, en, at_key=True)

    # ------------------------------------------------------------------------------------------ benefits

    def _benefits(self) -> None:
        benefits = self._document.benefits
        boxes = [(index, self._space.box(benefit.when)) for index, benefit in enumerate(benefits)]
        self._overlaps(("benefits",), benefits, boxes, [{}])
        if benefits:
            words = ("没有待遇适用于 {example}", "no benefit fits a case such as {example}")
            path: Path = ("benefits",)
            tell_uncovered(self._space, {}, [box for _, box in boxes], self._report, path, words, "pack.uncovered")

    def _overlaps(
        self,
        path: Path,
        rules: Sequence[Benefit] | Sequence[ItemRule],
        boxes: Sequence[tuple[int, Box]],
        regions: Sequence[Box],
    ) -> None:
        by_number = dict(boxes)
        try:
            pairs = overlapping(self._space, boxes)
        except TooMany:
            tell_too_many(path, self._report)
            return
        for first, second in pairs:
            one, other = by_number[first], by_number[second]
            if self._space.asks_formulas(one) != self._space.asks_formulas(other):
                continue
            both = met(one, other)
            region = next((region for region in regions if not apart(region, both)), None)
            if region is not None:
                example = self._space.example(met(region, both))
                zh = f"`{rules[second].id}` 与 `{rules[first].id}` 同时适用，如 {example}"
                en = f"`{rules[second].id}` and `{rules[first].id}` both fit a case such as {example}"
                self._report.error((*path, second, "when"), "pack.two-rules", zh, en, at_key=True)

    # --------------------------------------------------------------------------------------------- items

    def _pack_items(self) -> None:
        users = [benefit for benefit in self._document.benefits if not benefit.items and benefit.refuses is None]
        regions = [self._space.box(benefit.when) for benefit in users]
        full = [region for region in regions if self._space.never(region) is None]
        if full and self._document.items:
            self._items(("items",), self._document.items, full)
            self._unused_items(full)

    def _items(self, path: Path, rules: Sequence[ItemRule], regions: Sequence[Box]) -> None:
        boxes = [(index, self._space.box(rule.when)) for index, rule in enumerate(rules) if not rule.otherwise]
        self._overlaps(path, rules, boxes, regions)
        if len(boxes) == len(rules):
            for region in self._distinct(regions, boxes):
                words = ("没有目录规则适用于 {example}", "no item rule fits a line such as {example}")
                held = [box for _, box in boxes]
                tell_uncovered(self._space, region, held, self._report, path, words, "pack.uncovered")

    def _unused_items(self, regions: Sequence[Box]) -> None:
        """Rules of the pack that no benefit can meet."""
        for index, rule in enumerate(self._document.items):
            box = self._space.box(rule.when)
            if all(box.values()) and all(apart(box, region) for region in regions):
                zh, en = "没有待遇会用到此规则", "no benefit can meet this rule"
                self._report.error(("items", index, "when"), "pack.dead", zh, en, at_key=True)

    def _distinct(self, regions: Sequence[Box], boxes: Sequence[tuple[int, Box]]) -> list[Box]:
        """The regions as far as the rules ask; equal ones once."""
        asked = {name for _, box in boxes for name in box}
        cut = [{name: bits for name, bits in region.items() if name in asked} for region in regions]
        return list({tuple(sorted(region.items())): region for region in cut}.values())
