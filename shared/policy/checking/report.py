"""Collects what is wrong, each with its code, its place in the files and its words."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from shared.policy.issues import MAX_ISSUES, Issue, Place, issue_at
from shared.policy.source import Node, follow, key_place, value_place

Path: TypeAlias = tuple[str | int, ...]


class Enough(Exception):
    """So much is wrong that nobody reads on."""


class Report:
    """The issues of one document. Telling one may raise Enough."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self.issues: list[Issue] = []
        self._wrong: set[Path] = set()

    def error(self, path: Path, code: str, zh: str, en: str, *, at_key: bool = False, shift: int = 0) -> None:
        """Something that must be put right. `shift`: how many columns into the value it is."""
        self._wrong |= {path[:length] for length in range(len(path) + 1)}
        self._add(self._place(path, at_key, shift), code, zh, en, error=True)

    def warn(self, path: Path, code: str, zh: str, en: str, *, at_key: bool = False) -> None:
        """Something worth a look."""
        self._add(self._place(path, at_key, 0), code, zh, en, error=False)

    def tell(self, path: Path, code: str, zh: str, en: str, *, error: bool) -> None:
        """An error or a warning, as `error` says, at a key."""
        if error:
            self.error(path, code, zh, en, at_key=True)
        else:
            self.warn(path, code, zh, en, at_key=True)

    def is_wrong(self, path: Path) -> bool:
        """Whether an error was told of a part or of something in it, so that nothing follows from what it says."""
        return path in self._wrong

    def where(self, path: Path) -> str:
        """The line and column of a value, for a message about another one in the same file."""
        place = value_place(self._root, path)
        return f"{place.line}:{place.column}"

    def _place(self, path: Path, at_key: bool, shift: int) -> Place:
        if at_key:
            return key_place(self._root, path)
        node = follow(self._root, path)[-1]
        place = node.place
        return Place(place.file, place.line, place.column + node.text_shift + shift) if shift else place

    def _add(self, place: Place, code: str, zh: str, en: str, *, error: bool) -> None:
        self.issues.append(issue_at(place, code, zh, en, error=error))
        if len(self.issues) >= MAX_ISSUES:
            raise Enough


def shown(value: Fraction | None) -> str:
    """A number for a message."""
    if value is None:
        return "?"
    decimal = Decimal(value.numerator) / Decimal(value.denominator)
    return f"{decimal.normalize():f}"
