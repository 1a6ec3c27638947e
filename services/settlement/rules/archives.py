"""Archives of closed years (年度归档): when a year may leave the database, and what proves later what it was. Pure.

What leaves are bills with their transactions and entries. The chain keeps a link for each, so that nothing can leave or
come back unseen; what the books need of them goes on as openings (期初余额).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from services.settlement import errors
from services.settlement.rules.chain import LedgerKey
from shared.refusals import Refusal
from shared.workdays import SHANGHAI

NOTHING_BEFORE = bytes(32)
"""What stands before the first archive."""

Row: TypeAlias = tuple[str | int, ...]


class Part(StrEnum):
    """The files of an archive."""

    BILLS = "bills"
    TRANSACTIONS = "transactions"
    ENTRIES = "entries"


class Step(StrEnum):
    """What became of an archive."""

    DROPPED = "dropped"
    """What was taken out of the tables is gone for good: the files alone hold it."""
    RESTORED = "restored"
    """It is back in the tables."""


class People(NamedTuple):
    """Who does it, and who stands beside (四眼)."""

    done_by: str
    approved_by: str


class Until(NamedTuple):
    """What is archived with a year: everything of it, and what of the years before was left over."""

    year: int
    id: str
    """The first id that is of a later year."""

    @property
    def period(self) -> str:
        """Its last month."""
        return last_period(self.year)

    @property
    def at(self) -> datetime:
        """The moment it ends, in Asia/Shanghai."""
        return end_of(self.year)


def last_period(year: int) -> str:
    """The last month of a year."""
    return f"{year:04d}-12"


def end_of(year: int) -> datetime:
    """The first moment after a year."""
    return datetime(year + 1, 1, 1, tzinfo=SHANGHAI).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """What keeps a year's bills from leaving: how many of each."""

    oldest_year: int | None
    """The oldest year that is still in the database as a year."""
    cases_open: int
    items_open: int
    objections_open: int
    statements_open: int
    unsealed: int
    proven: bool
    """Whether the proof of all books holds."""


def check_archive(year: int, standing: Standing, now: datetime, *, after_years: int, people: People) -> list[Refusal]:
    """Everything that keeps a year from being archived."""
    found = check_people(people)
    if year != standing.oldest_year:
        found.append(errors.ARCHIVE_NOT_OLDEST(year=year, oldest=standing.oldest_year or "-"))
    first = end_of(year + after_years)
    if now < first:
        found.append(errors.ARCHIVE_TOO_EARLY(year=year, day=first.astimezone(SHANGHAI).date().isoformat()))
    waiting = [
        errors.ARCHIVE_CASES_OPEN(count=standing.cases_open),
        errors.ARCHIVE_ITEMS_OPEN(count=standing.items_open),
        errors.ARCHIVE_OBJECTIONS_OPEN(count=standing.objections_open),
        errors.ARCHIVE_STATEMENTS_OPEN(count=standing.statements_open),
        errors.ARCHIVE_UNSEALED(count=standing.unsealed),
    ]
    found += [refusal for refusal in waiting if refusal.params["count"]]
    if not standing.proven:
        found.append(errors.ARCHIVE_UNPROVEN())
    return found


def check_people(people: People) -> list[Refusal]:
    """Two people have to be named, and they have to be two."""
    if not all(name.strip() for name in people) or len({name.strip().casefold() for name in people}) < 2:
        return [errors.ARCHIVE_SAME_PERSON()]
    return []


def check_restore(year: int, newest: int | None, people: People) -> list[Refusal]:
    """Everything that keeps a year from coming back: the newest archive comes back first."""
    wrong = [] if newest == year else [errors.ARCHIVE_NOT_NEWEST(year=year, newest=newest or "-")]
    return check_people(people) + wrong


class KeptFile(NamedTuple):
    """A file of an archive as it was written."""

    sha256: str
    size_bytes: int
    rows: int


class Sums(NamedTuple):
    """The bills of an archive, added up. Amounts in fen."""

    bills: int
    reversals: int
    total_fen: int
    fund_fen: int
    account_fen: int
    payable_fen: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive leaves behind in the database, in the order of its rows. Amounts in fen."""

    sums: Sums
    openings: Sequence[Row]
    """By account: book, kind, counterparty, fund type, debit, credit, entries."""
    cases: Sequence[Row]
    """By case: bills, total, fund, account, payable."""
    unbooked: Sequence[Row]
    """Ids of bills without any payable amount: they are in no transaction and so in no link."""

    @property
    def digest(self) -> bytes:
        """SHA-256 over all of it."""
        return digest_of(self.sums, self.openings, self.cases, self.unbooked)


def digest_of(*tables: Iterable[Row] | Sums) -> bytes:
    """SHA-256 over some tables, row by row, each table behind its number."""
    running = hashlib.sha256()
    for number, table in enumerate(tables):
        running.update(f"table {number}\n".encode())
        for row in [table] if isinstance(table, Sums) else table:
            running.update(json.dumps(list(row), ensure_ascii=True).encode() + b"\n")
    return running.digest()


class LeftDigest:
    """SHA-256 over the links, in the order of the chain, whose transactions are in archives."""

    def __init__(self) -> None:
        self._running, self.links = hashlib.sha256(), 0

    def add(self, chain_no: int, leaf: bytes) -> None:
        """The next one."""
        self._running.update(chain_no.to_bytes(8, "big") + leaf)
        self.links += 1

    @property
    def left(self) -> Left:
        """How many, and the digest."""
        return Left(self.links, self._running.digest())


class Left(NamedTuple):
    """All links whose transactions are in this archive or one before it: how many, and a digest over them."""

    links: int
    sha256: bytes


NOTHING_LEFT = LeftDigest().left


@dataclass(frozen=True, slots=True)
class Archive:
    """An archived year, as it is kept."""

    archive_no: int
    """1, 2, 3, … without a gap; those that were restored keep theirs."""
    year: int
    until_id: str
    transactions: int
    entries: int
    sums: Sums
    left: Left
    contents_sha256: bytes
    files: Mapping[str, KeptFile]
    people: People
    archived_at: datetime

    @property
    def until(self) -> Until:
        """What went with it."""
        return Until(self.year, self.until_id)

    @property
    def folder(self) -> str:
        """The name of its folder: a year that was restored is archived again beside its first archive."""
        return f"{self.year:04d}-{self.archive_no}"

    @property
    def text(self) -> str:
        """All of it as one text, for the key."""
        return _text(
            archive_no=self.archive_no,
            year=self.year,
            until_id=self.until_id,
            transactions=self.transactions,
            entries=self.entries,
            sums=list(self.sums),
            left=[self.left.links, self.left.sha256.hex()],
            contents_sha256=self.contents_sha256.hex(),
            files={name: list(file) for name, file in self.files.items()},
            people=list(self.people),
            archived_at=_microseconds(self.archived_at),
        )


@dataclass(frozen=True, slots=True)
class ArchiveStep:
    """What became of an archive, as it is kept."""

    archive_no: int
    step: Step
    people: People
    done_at: datetime

    @property
    def text(self) -> str:
        """All of it as one text, for the key."""
        return _text(
            archive_no=self.archive_no,
            step=self.step.value,
            people=list(self.people),
            done_at=_microseconds(self.done_at),
        )


def _text(**fields: object) -> str:
    return json.dumps(fields, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _microseconds(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


class KeptArchive(NamedTuple):
    """An archive with the code of the key over it, and what became of it with theirs."""

    archive: Archive
    mac: bytes
    steps: Mapping[Step, tuple[ArchiveStep, bytes]]

    @property
    def holds(self) -> bool:
        """Whether it is still what holds its year."""
        return Step.RESTORED not in self.steps


def wrong_archives(key: LedgerKey, archives: Sequence[KeptArchive]) -> list[tuple[str, str]]:
    """What of the archives, in the order of their numbers, is no work of the key: subject and what is wrong."""
    wrong, previous = [], NOTHING_BEFORE
    for number, kept in enumerate(archives, 1):
        subject = f"archive {kept.archive.archive_no}"
        if kept.archive.archive_no != number:
            wrong.append((f"archive {number}", "it is not there"))
        if key.archive(previous, kept.archive.text) != kept.mac:
            wrong.append((subject, "it does not follow from the one before it, or was changed"))
        wrong += [
            (subject, f"that it was {step} is no work of the key")
            for step, (done, mac) in kept.steps.items()
            if key.archive(kept.mac, done.text) != mac
        ]
        previous = kept.mac
    return wrong


def asks_too_far(
    year: int | None, *, value_date_until: date | None = None, booked_until: datetime | None = None
) -> bool:
    """Whether a question is about a moment within archived years, `year` being the last of them."""
    if year is None:
        return False
    return (value_date_until is not None and value_date_until < date(year, 12, 31)) or (
        booked_until is not None and booked_until < end_of(year)
    )
