"""Code sets (代码集): versioned data per region, with the national values as the default.

They differ by region and change with the years, so they are rows of a file and never enums in the code.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import resources
from pathlib import Path

from shared.regions import RegionTree


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One code of a set; `region` is where it holds, the nation's code for everywhere."""

    set: str
    code: str
    name_zh: str
    region: str
    valid_from: date
    valid_to: date | None


class CodeSets:
    """All code sets, asked by set, code, region and day."""

    def __init__(self, rows: Iterable[CodeRow], regions: RegionTree) -> None:
        self._regions = regions
        self._rows: dict[tuple[str, str], list[CodeRow]] = {}
        for row in rows:
            self._rows.setdefault((row.set, row.code), []).append(row)
        self.holds = lru_cache(maxsize=10_000)(self._holds)

    @classmethod
    def load(cls, regions: RegionTree, path: Path | None = None) -> CodeSets:
        """The sets of a CSV file, the shipped one by default. Raises ValueError or KeyError when malformed."""
        source = path or resources.files("shared.reference").joinpath("codes.csv")
        lines = source.read_text(encoding="utf-8").splitlines()
        return cls([_row(values) for values in csv.DictReader(lines)], regions)

    def _holds(self, set_name: str, code: str, region: str, day: date) -> bool:
        """Whether a code of a set holds in a region on a day: there or in a region above it."""
        areas = self._regions.ancestors(region) if region in self._regions else ()
        return any(
            row.region in areas and row.valid_from <= day and (row.valid_to is None or day <= row.valid_to)
            for row in self._rows.get((set_name, code), ())
        )


def _row(values: dict[str, str]) -> CodeRow:
    return CodeRow(
        values["set"],
        values["code"],
        values["name_zh"],
        values["region"],
        date.fromisoformat(values["valid_from"]),
        date.fromisoformat(values["valid_to"]) if values["valid_to"] else None,
    )
