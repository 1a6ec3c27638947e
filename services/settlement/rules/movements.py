"""Which movements of a bank account (银行流水) were told of before, in whatever report and under whatever name. Pure.

A bank tells of a movement in a notification (camt.054) and again in the day's statement (camt.053). With its own
reference in both, that settles it. Without, a movement of the one kind of report is the one of the other kind that has
the same amount, side, day and end-to-end id; each is taken once, so that two equal payments stay two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from services.settlement.rules.banking import BankLine


class NamedBy(StrEnum):
    """Who gave a movement its name."""

    SERVICER = "servicer"
    """The account servicer (AcctSvcrRef): the same name in every report."""
    REPORT = "report"
    """One report: the name holds in the reports of its kind, together with day and amount."""


class Name(NamedTuple):
    """What a movement is called in reports of a kind."""

    named_by: NamedBy
    name: str
    end_to_end_id: str
    debit: bool


@dataclass(frozen=True, slots=True)
class Sighting:
    """A movement as a report told of it before."""

    entry_id: str
    told_by: str
    """camt.053 or camt.054."""
    name: Name
    amount_fen: int
    booked_on: date
    value_on: date | None


class Told(NamedTuple):
    """One line of a report with its name, and what it tells of."""

    line: BankLine
    name: Name
    is_new: bool
    entry_id: str | None = None
    """The movement that was known before; None when it is new, or another line of this report."""
    differs: bool = False
    """Told before with another amount, or without the order that it names now."""


def names_of(lines: Sequence[BankLine]) -> list[Name]:
    """What the lines of one report are called; lines it cannot tell apart are numbered."""
    seen: Counter[Name] = Counter()
    return [_numbered(name, seen) for name in map(_name, lines)]


def _name(line: BankLine) -> Name:
    if line.entry_ref:
        return Name(NamedBy.SERVICER, line.entry_ref, line.end_to_end_id, line.debit)
    name = f"{line.report_ref or '-'} {line.booked_on} {line.amount_fen}"
    return Name(NamedBy.REPORT, name, line.end_to_end_id, line.debit)


def _numbered(name: Name, seen: Counter[Name]) -> Name:
    seen[name] += 1
    if name.named_by is NamedBy.SERVICER or seen[name] == 1:
        return name
    return name._replace(name=f"{name.name} {seen[name]}")


def tell(lines: Sequence[BankLine], told_by: str, known: Sequence[Sighting]) -> list[Told]:
    """What each line of a report of some kind tells of, beside the movements that are known."""
    told: dict[int, Told] = {}
    named = {_by(s.name, s.told_by): s for s in reversed(known)}
    first: dict[Name, BankLine] = {}
    rows = list(enumerate(zip(lines, names_of(lines), strict=True)))
    for number, (line, name) in rows:
        if (before := named.get(_by(name, told_by))) is not None:
            told[number] = Told(line, name, False, before.entry_id, before.amount_fen != line.amount_fen)
        elif name in first:
            told[number] = Told(line, name, False, None, first[name].amount_fen != line.amount_fen)
        first.setdefault(name, line)
    taken = {s.entry_id for s in known if s.told_by == told_by} | {t.entry_id for t in told.values()}
    for number, (line, name) in rows:
        if number not in told:
            found = _same(line, name, [s for s in known if s.entry_id not in taken], known)
            told[number] = _again(line, name, found)
            taken.add(told[number].entry_id)
    return [told[number] for number, _ in rows]


def _again(line: BankLine, name: Name, found: Sighting | None) -> Told:
    if found is None:
        return Told(line, name, True)
    return Told(line, name, False, found.entry_id, bool(line.end_to_end_id) and not found.name.end_to_end_id)


def _by(name: Name, told_by: str) -> tuple[Name, str]:
    """A servicer's name holds in all kinds of reports."""
    return name, "" if name.named_by is NamedBy.SERVICER else told_by


def _same(line: BankLine, name: Name, free: Sequence[Sighting], known: Sequence[Sighting]) -> Sighting | None:
    """The movement a line can only be, though it is called otherwise: one with the same end-to-end id if there is."""
    by_servicer = {s.entry_id for s in known if s.name.named_by is NamedBy.SERVICER}
    fitting = [
        s
        for s in free
        if (s.amount_fen, s.name.debit) == (line.amount_fen, line.debit)
        and not {s.booked_on, s.value_on or s.booked_on}.isdisjoint({line.booked_on, line.value_on or line.booked_on})
        and not (name.named_by is NamedBy.SERVICER and s.entry_id in by_servicer)
        and (s.name.end_to_end_id == line.end_to_end_id or "" in (s.name.end_to_end_id, line.end_to_end_id))
    ]
    return min(fitting, key=lambda s: (s.name.end_to_end_id != line.end_to_end_id, s.entry_id), default=None)
