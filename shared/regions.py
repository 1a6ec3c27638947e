"""Administrative regions (行政区划) as a tree, and the chain of agencies between two of them.

Every region has one agency (经办机构), named by the region's six-digit code (GB/T 2260). The money of a bill travels
along the tree: from the agency of the place of care up to the lowest common one, and down to the agency of home.

A region that was renamed or merged (撤并) stays in the tree under its former code and names its successor: what was
begun under it goes on, and what is new goes to the successor.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Literal, cast, get_args

Level = Literal["nation", "province", "city", "county"]
"""国家, 省, 市 (地级), 县 (区, 县级市)."""

Relation = Literal["local", "within_city", "within_province", "cross_province"]
"""How far from home a patient is treated: 本地, 市内异地, 省内异地, 跨省异地."""

_LEVELS: Final = get_args(Level)
_COLUMNS: Final = ("code", "name_zh", "name_en", "level", "parent")
_SUCCESSOR: Final = "successor"
_CODE: Final = re.compile(r"[1-9][0-9]{5}")
_RELATION_BY_CLEARING_LEVEL: Final[dict[Level, Relation]] = {
    "nation": "cross_province",
    "province": "within_province",
    "city": "within_city",
    "county": "local",
}


class UnknownRegion(KeyError):
    """No region of the tree has this code."""

    def __str__(self) -> str:
        return f"unknown region {self.args[0]!r}"


class RegionsInvalid(ValueError):
    """The regions do not form one tree; the message names everything that is wrong, a line each."""


@dataclass(frozen=True, slots=True)
class Region:
    """One region. `parent` is the code of the region above, None for the nation alone."""

    code: str
    name_zh: str
    name_en: str
    level: Level
    parent: str | None
    successor: str | None = None
    """The region it has become, or a part of; None while it is one itself."""


class RegionTree:
    """All regions of a deployment. Immutable; every question is answered from ancestors computed once."""

    def __init__(self, regions: Iterable[Region]) -> None:
        """Raises RegionsInvalid: a code repeats, a parent is absent or not above its child, or the top is not one."""
        rows = tuple(regions)
        if problems := _problems(rows):
            raise RegionsInvalid("\n".join(problems))
        self._regions = {region.code: region for region in rows}
        self._ancestors = {code: self._climb(code) for code in self._regions}

    @classmethod
    def load(cls, path: Path | None = None) -> RegionTree:
        """The tree in a CSV file, by default the one that ships with the product.

        Columns: code, name_zh, name_en, level, parent, and, where regions were renamed or merged, successor. Raises
        RegionsInvalid; OSError when the file cannot be read.
        """
        shipped = resources.files("shared").joinpath("reference/regions.csv")
        text = (path or shipped).read_text(encoding="utf-8-sig")
        reader = csv.DictReader(text.splitlines(), strict=True)
        if tuple(reader.fieldnames or ()) not in (_COLUMNS, (*_COLUMNS, _SUCCESSOR)):
            raise RegionsInvalid(f"the columns must be {', '.join(_COLUMNS)}, and may end with {_SUCCESSOR}")
        return cls(_region(row) for row in reader)

    def __iter__(self) -> Iterator[Region]:
        return iter(self._regions.values())

    def __len__(self) -> int:
        return len(self._regions)

    def __contains__(self, code: str) -> bool:
        return code in self._regions

    def __getitem__(self, code: str) -> Region:
        """The region of a code. Raises UnknownRegion."""
        try:
            return self._regions[code]
        except KeyError:
            raise UnknownRegion(code) from None

    def ancestors(self, code: str) -> tuple[str, ...]:
        """The region itself and all above it, the nation last; a former region lies in its successor.

        Raises UnknownRegion.
        """
        try:
            return self._ancestors[code]
        except KeyError:
            raise UnknownRegion(code) from None

    def current(self, code: str) -> str:
        """The region itself, or what it has become since. Raises UnknownRegion."""
        return next(above for above in self.ancestors(code) if self._regions[above].successor is None)

    def chain(self, care: str, home: str) -> tuple[str, ...]:
        """The agencies a new bill's money passes between the place of care and home, care first and home last.

        One agency when they are the same. Each neighbour of an agency in the chain is its parent or its child, so
        money goes up (上解) on one side of the clearing agency and down (拨付) on the other. Raises UnknownRegion.
        """
        clearing = self.clearing(care, home)
        care_side, home_side = (self.ancestors(self.current(code)) for code in (care, home))
        return care_side[: care_side.index(clearing) + 1] + home_side[: home_side.index(clearing)][::-1]

    def clearing(self, care: str, home: str) -> str:
        """The clearing agency of two places: the lowest that both are, or are below. Raises UnknownRegion."""
        above_home = self.ancestors(self.current(home))
        return next(code for code in self.ancestors(self.current(care)) if code in above_home)

    def covers(self, area: str, region: str) -> bool:
        """Whether `region` is `area` or lies in it. Raises UnknownRegion."""
        self.ancestors(area)  # an unknown area covers nothing, which a caller would take for "no"
        return area in self.ancestors(region)

    def below(self, area: str) -> list[str]:
        """The codes of `area` and of all regions in it: none where the code is that of no area."""
        return [code for code, above in self._ancestors.items() if area in above]

    def relation(self, care: str, home: str) -> Relation:
        """How far from home a patient is treated, by the level of the clearing agency. Raises UnknownRegion.

        In the national interface's words:

        ================  ==========================  ===========================================
        relation          place of payment, pay_loc   remote flag, out_type
        ================  ==========================  ===========================================
        local             2 医疗机构                  0 本地就医
        within_city       6 市内异地                  0 本地就医 (the code set knows no 市内异地)
        within_province   3 省内异地                  1 省内异地
        cross_province    4 跨省异地                  2 转入 as care sees it, 3 转出 as home does
        ================  ==========================  ===========================================
        """
        if self.current(care) == self.current(home):
            return "local"
        return _RELATION_BY_CLEARING_LEVEL[self[self.clearing(care, home)].level]

    def _climb(self, code: str) -> tuple[str, ...]:
        region = self._regions[code]
        above = region.successor or region.parent
        return (code,) if above is None else (code, *self._climb(above))


def _region(row: dict[str, str]) -> Region:
    if None in row or None in row.values():
        raise RegionsInvalid(f"{row['code']}: wrong number of columns")
    # An unknown level passes here and is named with all other problems.
    level, successor = cast(Level, row["level"]), row.get(_SUCCESSOR) or None
    return Region(row["code"], row["name_zh"], row["name_en"], level, row["parent"] or None, successor)


def _problems(regions: tuple[Region, ...]) -> list[str]:
    by_code = {region.code: region for region in regions}
    repeated = [code for code, times in Counter(region.code for region in regions).items() if times > 1]
    problems = [f"{code}: the code appears more than once" for code in repeated]
    nations = [region.code for region in regions if region.parent is None]
    if len(nations) != 1:
        problems.append(f"there must be one region without a parent, not {len(nations)}: {', '.join(nations)}")
    for region in regions:
        problems += _problems_of(region, by_code)
    return problems


def _problems_of(region: Region, by_code: dict[str, Region]) -> Iterator[str]:
    if not _CODE.fullmatch(region.code):
        yield f"{region.code}: a code has six digits"
    if not (region.name_zh and region.name_en):
        yield f"{region.code}: a region has a Chinese and an English name"
    if region.level not in _LEVELS:
        yield f"{region.code}: unknown level {region.level!r}"
    elif region.parent is None:
        if region.level != "nation":
            yield f"{region.code}: only the nation has no parent"
    elif region.parent not in by_code:
        yield f"{region.code}: parent {region.parent} does not exist"
    elif not _is_above(by_code[region.parent].level, region.level):
        # Levels that only ever rise also leave no room for a cycle.
        yield f"{region.code}: parent {region.parent} is not of a higher level"
    yield from _problems_of_successor(region, by_code)


def _problems_of_successor(region: Region, by_code: dict[str, Region]) -> Iterator[str]:
    if region.successor is None:
        return
    successor = by_code.get(region.successor)
    if successor is None:
        yield f"{region.code}: successor {region.successor} does not exist"
    elif successor.level != region.level:
        yield f"{region.code}: successor {region.successor} is not of the same level"
    elif _comes_round(region, by_code):
        yield f"{region.code}: its successors lead back to it"


def _comes_round(region: Region, by_code: dict[str, Region]) -> bool:
    seen: set[str] = set()
    at: Region | None = region
    while at is not None and at.code not in seen:
        seen.add(at.code)
        at = by_code.get(at.successor or "")
    return at is not None


def _is_above(level: Level, other: Level) -> bool:
    return level in _LEVELS and _LEVELS.index(level) < _LEVELS.index(other)
