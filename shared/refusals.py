"""Refusals: what the domain says no to, as values with a stable code and texts in Chinese and English.

A refusal is not an exception: rules return it. `Refused` carries one or more of them to the edge, which answers with
all of them at once (一次性告知). `Unavailable` is the other expected failure: a part we need is away, try again later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RefusalKind:
    """One thing that can be refused: its code, its HTTP status and its texts. Calling it makes a `Refusal`."""

    code: str
    status: int
    zh: str
    en: str

    def __call__(self, *, pointer: str | None = None, **params: str | int) -> Refusal:
        return Refusal(self.code, params=params, pointer=pointer)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason for saying no. `pointer` is the JSON pointer of the field it is about, when it is about one."""

    code: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    pointer: str | None = None

    @property
    def kind(self) -> RefusalKind:
        return CATALOGUE[self.code]

    def text(self, language: str) -> str:
        """The reason in words, `language` being "zh" or "en"."""
        template = self.kind.zh if language == "zh" else self.kind.en
        return template.format_map(_Params(self.params))


class _Params(dict[str, str | int]):
    """Keeps a text readable when a parameter is absent, so that a wrong template never hides the refusal."""

    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"


CATALOGUE: dict[str, RefusalKind] = {}
"""Every refusal the product can utter, by code. `docs/errors.md` is generated from it."""


def declare(code: str, *, status: int, zh: str, en: str) -> RefusalKind:
    """Register a kind of refusal. Raises ValueError when the code is taken: one code means one thing."""
    if code in CATALOGUE:
        raise ValueError(f"refusal code declared twice: {code}")
    kind = RefusalKind(code, status, zh, en)
    CATALOGUE[code] = kind
    return kind


class Refused(Exception):
    """Carries refusals to the edge. Raises ValueError when there is none to carry."""

    def __init__(self, *refusals: Refusal) -> None:
        if not refusals:
            raise ValueError("Refused needs at least one refusal")
        self.refusals = refusals
        super().__init__(", ".join(r.code for r in refusals))

    def __iter__(self) -> Iterator[Refusal]:
        return iter(self.refusals)

    @property
    def status(self) -> int:
        """The HTTP status of the answer: that of the first refusal, the most specific one by convention."""
        return self.refusals[0].kind.status


class Unavailable(Exception):
    """A part we need (database, broker, another service) is away. The same call may succeed later."""

    def __init__(self, part: str, reason: str = "") -> None:
        self.part = part
        super().__init__(f"{part} unavailable: {reason}" if reason else f"{part} unavailable")
