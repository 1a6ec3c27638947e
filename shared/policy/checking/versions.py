"""Versions of packs side by side: no day has two, and none is left out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import combinations, pairwise

from shared.policy.document import PackDocument
from shared.policy.issues import Issue, Place, in_order, issue_at


def check_versions(versions: Sequence[tuple[PackDocument, Place]]) -> tuple[Issue, ...]:
    """What is wrong with packs that are to be in force together, each given with the place of its `valid`."""
    issues: list[Issue] = []
    for (one, _), (other, place) in combinations(_by_day(versions), 2):
        if one.pack == other.pack and one.version == other.version:
            zh, en = f"版本 {other.version} 已有", f"there is a version {other.version} of `{other.pack}` already"
            issues.append(issue_at(place, "pack.duplicate", zh, en))
        elif (one.pack == other.pack or one.area == other.area) and _last(one) >= other.valid.from_:
            name = f"{one.pack} {one.version}"
            zh = f"自 {other.valid.from_} 起与 {name} 重叠"
            en = f"overlaps with {name} from {other.valid.from_}"
            issues.append(issue_at(place, "pack.periods", zh, en))
    return in_order([*issues, *_gaps(versions)])


def _by_day(versions: Sequence[tuple[PackDocument, Place]]) -> list[tuple[PackDocument, Place]]:
    return sorted(versions, key=lambda version: (version[0].valid.from_, version[0].version))


def _last(document: PackDocument) -> date:
    return document.valid.to or date.max


def _gaps(versions: Sequence[tuple[PackDocument, Place]]) -> list[Issue]:
    issues = []
    for pack in {document.pack for document, _ in versions}:
        own = [version for version in _by_day(versions) if version[0].pack == pack]
        for (one, _), (other, place) in pairwise(own):
            if one.valid.to is not None and one.valid.to + timedelta(days=1) < other.valid.from_:
                zh = f"{one.valid.to} 之后至 {other.valid.from_} 之前没有版本"
                en = f"no version holds after {one.valid.to} and before {other.valid.from_}"
                issues.append(issue_at(place, "pack.periods", zh, en, error=False))
    return issues
