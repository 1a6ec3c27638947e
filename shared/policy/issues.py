"""What is wrong with a pack or a case: a stable code, the place, and words in both languages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple


class Place(NamedTuple):
    """Where something is written; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong, or (`error` False) that is worth a look."""

    code: str
    file: str
    line: int
    column: int
    zh: str
    en: str
    error: bool = True

    def text(self, language: str) -> str:
        """The words, `language` being "zh" or "en"."""
        return self.zh if language == "zh" else self.en

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.code}: {self.en}"


def issue_at(place: Place, code: str, zh: str, en: str, *, error: bool = True) -> Issue:
    """An issue at a place."""
    return Issue(code, place.file, place.line, place.column, zh, en, error)


MAX_ISSUES: Final = 500
"""How many findings of one document are told; where there are more, they have a cause in common."""


def in_order(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """Each issue once, by file and place."""
    return tuple(sorted(set(issues), key=lambda i: (i.file, i.line, i.column, i.code, i.en)))


_MOST_COMPARED: Final = 2_000
_LONGEST_COMPARED: Final = 60


def did_you_mean(word: str, known: Iterable[str]) -> tuple[str, str]:
    """The nearest known word as the end of a sentence in zh and en; empty when none is near."""
    names = sorted(known)
    if len(names) > _MOST_COMPARED or len(word) > _LONGEST_COMPARED:
        return "", ""
    # Of two Chinese characters one may be wrong and the other still tell what was meant.
    cutoff = 0.5 if len(word) <= 3 else 0.6
    near = difflib.get_close_matches(word, names, n=1, cutoff=cutoff) or _contained(word, names)
    return (f"；是否指 `{near[0]}`？", f"; did you mean `{near[0]}`?") if near else ("", "")


def _contained(word: str, names: list[str]) -> list[str]:
    return [name for name in names if len(word) > 1 and (word in name or name in word)][:1]


def listed(words: Iterable[str], limit: int = 12) -> str:
    """Words for a message, the first few of them."""
    names = list(words)
    return ", ".join(names[:limit]) + (" …" if len(names) > limit else "")
