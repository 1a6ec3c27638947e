"""A year of bills decided again by a changed policy, beside the old one: what it costs, who wins, who loses.

The bills are dealt by person into parts on disk; each part is sorted by person and time and decided with counters that
run per person and policy, in several processes. Memory is bounded by the largest part, time grows with the bills.
"""

from __future__ import annotations

import csv
import gc
import heapq
import multiprocessing
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from shared.policy.bills import BadRow, Problem, RowReader, Table
from shared.policy.decision import Counters, Decision
from shared.policy.document import PackDocument
from shared.policy.engine import Policy, Undecidable

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told the phase ("deal", "decide"), how much is done, and of how much (0: unknown)."""

DIMENSIONS: Final = ("level", "group", "care")
"""The facts by which costs are told, beside the layers."""

_GROUP: Final = DIMENSIONS.index("group")
_PART_BYTES: Final = 4_000_000
_LEAST_PARTS: Final = 16
"""So that several processes all have work, unless parts were smaller than the next."""
_SMALL_PART_BYTES: Final = 50_000
_MOST_PARTS: Final = 200
"""As many files as are open at once."""
_MOST_PROBLEMS: Final = 1_000
_SAY_EVERY: Final = 50_000


@dataclass(slots=True)
class Cost:
    """Bills, their total, and what fund and person bear by each policy, in fen. With one policy `old` stays 0."""

    bills: int = 0
    total_fen: int = 0
    old_fund_fen: int = 0
    new_fund_fen: int = 0
    old_person_fen: int = 0
    new_person_fen: int = 0

    def add(self, other: Cost) -> None:
        """Add another one up."""
        self.bills += other.bills
        self.total_fen += other.total_fen
        self.old_fund_fen += other.old_fund_fen
        self.new_fund_fen += other.new_fund_fen
        self.old_person_fen += other.old_person_fen
        self.new_person_fen += other.new_person_fen


@dataclass(frozen=True, slots=True)
class Change:
    """What a person bears over all bills, by the old and the new policy; positive `change_fen` means more."""

    person: str
    group: str
    bills: int
    old_person_fen: int
    new_person_fen: int

    @property
    def change_fen(self) -> int:
        """New less old."""
        return self.new_person_fen - self.old_person_fen


@dataclass(slots=True)
class Impact:
    """What a replay found. Parts of it are added up, in any order."""

    top: int
    compared: bool
    whole: Cost = field(default_factory=Cost)
    by: dict[tuple[str, str], Cost] = field(default_factory=dict)
    """By (dimension, value): ("layer", "basic"), ("level", "三级")."""
    persons: int = 0
    winners: int = 0
    losers: int = 0
    largest_gains: list[Change] = field(default_factory=list)
    largest_losses: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """The first ones, by line."""
    problem_count: int = 0

    def add(self, other: Impact) -> None:
        """Add another part up."""
        self.whole.add(other.whole)
        for key, cost in other.by.items():
            self.by.setdefault(key, Cost()).add(cost)
        self.persons += other.persons
        self.winners += other.winners
        self.losers += other.losers
        self.largest_gains = _largest(self.top, [*self.largest_gains, *other.largest_gains])
        self.largest_losses = _largest(self.top, [*self.largest_losses, *other.largest_losses])
        self.problem_count += other.problem_count
        self.problems = _first([*self.problems, *other.problems])


def _largest(count: int, changes: list[Change]) -> list[Change]:
    return heapq.nsmallest(count, changes, key=lambda change: (-abs(change.change_fen), change.person))


def _first(problems: list[Problem]) -> list[Problem]:
    return heapq.nsmallest(_MOST_PROBLEMS, problems, key=lambda problem: (problem.line, problem.code))


def replay(
    table: Table,
    new: PackDocument,
    old: PackDocument | None = None,
    *,
    top: int = 20,
    processes: int = 2,
    progress: Progress = lambda _phase, _done, _of: None,
) -> Impact:
    """Decide all bills of a table. Bills that cannot be read or decided, by either policy, are in no figure but under
    `problems`. Raises BillsUnreadable when the columns are not those of bills."""
    documents = [new] if old is None else [old, new]
    RowReader(table.columns, documents)
    impact = Impact(top=top, compared=old is not None)
    with TemporaryDirectory(prefix="sifang-replay-") as folder:
        parts = _deal(table, Path(folder), impact, progress)
        for part in _decided(parts, _Work(tuple(table.columns), tuple(documents), top), processes, progress):
            impact.add(part)
    return impact


# ------------------------------------------------------------------------------------------------------ dealing


def _deal(table: Table, folder: Path, impact: Impact, progress: Progress) -> list[Path]:
    """Write the rows of each person into one of several files; rows too short for that are told as problems."""
    enough = min(_LEAST_PARTS, table.size // _SMALL_PART_BYTES)
    count = max(1, min(_MOST_PARTS, max(enough, table.size // _PART_BYTES)))
    paths = [folder / f"{number}.csv" for number in range(count)]
    person, width = table.columns.index("person"), len(table.columns)
    with ExitStack() as files:
        opened = [files.enter_context(path.open("w", encoding="utf-8", newline="")) for path in paths]
        writers = [csv.writer(file) for file in opened]
        for done, (line, row) in enumerate(table.rows, start=1):
            if len(row) != width:
                _tell_width(line, len(row), width, impact)
                continue
            writers[zlib.crc32(row[person].encode()) % count].writerow([line, *row])
            if done % _SAY_EVERY == 0:
                progress("deal", done, 0)
    return [path for path in paths if path.stat().st_size]


def _tell_width(line: int, width: int, wanted: int, impact: Impact) -> None:
    impact.problem_count += 1
    if len(impact.problems) < _MOST_PROBLEMS:
        zh, en = f"有 {width} 列，应为 {wanted} 列", f"{width} fields, not {wanted}"
        impact.problems.append(Problem(line, "bills.fields", zh, en))


# ----------------------------------------------------------------------------------------------------- deciding


@dataclass(frozen=True, slots=True)
class _Work:
    """What every process is given."""

    columns: tuple[str, ...]
    documents: tuple[PackDocument, ...]
    top: int


def _decided(parts: Sequence[Path], work: _Work, processes: int, progress: Progress) -> Iterator[Impact]:
    if processes == 1 or len(parts) == 1:
        replayer = _Replayer(work)
        for done, part in enumerate(parts, start=1):
            yield replayer.part(part)
            progress("decide", done, len(parts))
        return
    # Spawned, not forked: the caller may have threads. An executor, not a Pool: that waits for ever when one dies.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(work,)) as executor:
        futures = [executor.submit(_part, part) for part in parts]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                yield future.result()
                progress("decide", done, len(parts))
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


_replayers: list[_Replayer] = []


def _begin(work: _Work) -> None:
    # Decisions make many objects and hardly a circle: looking for those more rarely saves a tenth of the time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    _replayers[:] = [_Replayer(work)]


def _part(path: Path) -> Impact:
    return _replayers[0].part(path)


_Row: TypeAlias = tuple[str, str, str, list[str], int]
"""Person, last day, first day, all values, line: sorted by what it says, so that the order of a file does not
matter."""


class _Replayer:
    """Decides parts, policies compiled once."""

    def __init__(self, work: _Work) -> None:
        self._policies = [Policy(document) for document in work.documents]
        self._reader = RowReader(work.columns, work.documents)
        self._top = work.top
        self._places = tuple(work.columns.index(name) if name in work.columns else None for name in DIMENSIONS)
        self._order = tuple(work.columns.index(name) for name in ("person", "ends", "begins"))

    def part(self, path: Path) -> Impact:
        """Decide the bills of one part."""
        impact = Impact(top=self._top, compared=len(self._policies) == 2)
        tally = _Tally()
        gains: list[Change] = []
        losses: list[Change] = []
        for person, rows in groupby(self._rows(path), key=itemgetter(0)):
            change = self._person(person, rows, impact, tally)
            if change is not None and impact.compared:
                _count(change, impact, gains, losses)
        impact.largest_gains, impact.largest_losses = _largest(self._top, gains), _largest(self._top, losses)
        impact.problems = _first(impact.problems)
        tally.into(impact)
        return impact

    def _rows(self, path: Path) -> list[_Row]:
        person, ends, begins = self._order
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(row[person], row[ends], row[begins], row, int(line)) for line, *row in csv.reader(file)]
        rows.sort()
        return rows

    def _person(self, person: str, rows: Iterator[_Row], impact: Impact, tally: _Tally) -> Change | None:
        """Decide a person's bills in time order; None when none could be."""
        counters: list[dict[str, int]] = [{} for _ in self._policies]
        old_fen = new_fen = bills = 0
        group = ""
        for _, _, _, values, line in rows:
            decisions = self._decide(values, line, counters, impact)
            if decisions is None:
                continue
            for known, decision in zip(counters, decisions, strict=True):
                _apply(decision.changes, known)
            costs = _costs(decisions)
            of = tuple(["" if place is None else values[place] for place in self._places])
            tally.book(of, costs, decisions)
            old_fen, new_fen = old_fen + costs[4], new_fen + costs[5]
            bills, group = bills + 1, of[_GROUP]
        if not bills:
            return None
        impact.persons += 1
        return Change(person, group, bills, old_fen, new_fen)

    def _decide(
        self, values: list[str], line: int, counters: list[dict[str, int]], impact: Impact
    ) -> list[Decision] | None:
        """By every policy, or by none: a bill that one of them cannot decide would distort the comparison."""
        try:
            bill = self._reader.bill(values)
            return [
                policy.decide(bill, known, record=False) for policy, known in zip(self._policies, counters, strict=True)
            ]
        except BadRow as bad:
            impact.problems += [Problem(line, *fault) for fault in bad.faults]
        except Undecidable as undecidable:
            reason = undecidable.reason
            impact.problems.append(Problem(line, reason.code, reason.zh, reason.en))
        impact.problem_count += 1
        return None


def _apply(changes: Counters, counters: dict[str, int]) -> None:
    for name, change in changes.items():
        counters[name] = counters.get(name, 0) + change


class _Tally:
    """Adds costs up: by all dimensions at once, which are told apart at the end, and by layer. Plain lists, since this
    is done for every bill."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, ...], list[int]] = {}
        self._layers: dict[str, list[int]] = {}

    def book(self, values: tuple[str, ...], costs: Sequence[int], decisions: Sequence[Decision]) -> None:
        """One bill; `costs` are the fields of its Cost in order."""
        known = self._of.get(values)
        if known is None:
            self._of[values] = list(costs)
        else:
            for place, amount in enumerate(costs):
                known[place] += amount
        self._book_layers(decisions)

    def _book_layers(self, decisions: Sequence[Decision]) -> None:
        reached: set[str] = set()
        for place, decision in enumerate(reversed(decisions)):
            for layer, spent_fen in _spent(decision):
                known = self._layers.get(layer)
                if known is None:
                    known = self._layers[layer] = [0, 0, 0, 0]
                if layer not in reached:
                    reached.add(layer)
                    known[0] += 1
                    known[1] += decision.total_fen
                known[3 - place] += spent_fen

    def into(self, impact: Impact) -> None:
        """The sums, as the impact has them."""
        for values, amounts in self._of.items():
            cost = Cost(*amounts)
            impact.whole.add(cost)
            for dimension, value in zip(DIMENSIONS, values, strict=True):
                impact.by.setdefault((dimension, value), Cost()).add(cost)
        for layer, (bills, total_fen, old_fen, new_fen) in self._layers.items():
            impact.by["layer", layer] = Cost(bills, total_fen, old_fen, new_fen)


def _count(change: Change, impact: Impact, gains: list[Change], losses: list[Change]) -> None:
    if change.change_fen < 0:
        impact.winners += 1
        gains.append(change)
    elif change.change_fen > 0:
        impact.losers += 1
        losses.append(change)


def _costs(decisions: Sequence[Decision]) -> tuple[int, int, int, int, int, int]:
    """The fields of a bill's Cost."""
    new = decisions[-1]
    if len(decisions) == 1:
        return 1, new.total_fen, 0, fund_fen(new), 0, burden_fen(new)
    old = decisions[0]
    return 1, new.total_fen, fund_fen(old), fund_fen(new), burden_fen(old), burden_fen(new)


def fund_fen(decision: Decision) -> int:
    """What all payers spend at last: also those who pay later, and what is paid out beside the bill."""
    paid = decision.fund_fen + decision.later_fen
    return paid + sum(payout.amount_fen for payout in decision.payouts) if decision.payouts else paid


def burden_fen(decision: Decision) -> int:
    """What the person bears at last: less what is paid back later, and what is paid out to the person."""
    borne = decision.person_fen - decision.later_fen
    if not decision.payouts:
        return borne
    return borne - sum(payout.amount_fen for payout in decision.payouts if payout.to == "person")


def _spent(decision: Decision) -> list[tuple[str, int]]:
    """What each layer spends, on the bill and beside it."""
    paid = [(layer.id, layer.fund_fen) for layer in decision.layers]
    return paid + [(payout.layer, payout.amount_fen) for payout in decision.payouts] if decision.payouts else paid
