"""Bills from a table, one a row: CSV or Parquet files, or any other source of rows such as a database.

Columns: `person` (a pseudonym is enough), `begins`, `ends` (YYYY-MM-DD) and at least one of `class_a`, `class_b`,
`class_c` (甲 乙 丙, yuan); also `facility`, `episode`, `over_ceiling` and `prepaid` (yuan, parts of class_b that the
bill came with), `paid.<layer>` (yuan, what a `given` layer paid). Every other column is a fact by its name: group,
scheme, age, care, level, remote, and those the pack declares.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from shared.money import parse_yuan
from shared.policy.decision import Bill, BillLine, Fact
from shared.policy.document import PackDocument
from shared.policy.vocabulary import STANDARD, Kind

CLASSES: Final[tuple[tuple[str, str], ...]] = (("class_a", "甲"), ("class_b", "乙"), ("class_c", "丙"))
OWN_COLUMNS: Final = frozenset(
    {"person", "facility", "episode", "begins", "ends", "over_ceiling", "prepaid", *(column for column, _ in CLASSES)}
)
_PAID: Final = "paid."
_FLAGS: Final[Mapping[str, bool]] = {
    "true": True, "1": True, "yes": True, "是": True, "false": False, "0": False, "no": False, "否": False,
}  # fmt: skip
_LONGEST_FIELD: Final = 10_000
_PARQUET_BATCH: Final = 10_000
_MANY_FACTS: Final = 20_000
"""Combinations of facts that are remembered: bills share few, and memory stays bounded when they do not."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row, or why it cannot be decided. `line` is that of the file, the heading being 1."""

    line: int
    code: str
    zh: str
    en: str


class BillsUnreadable(Exception):
    """The file as a whole is no table of bills."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.en for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Table:
    """Column names, and the rows with their line numbers; every value is text, empty when absent."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, Sequence[str]]]
    size: int
    """Bytes of the source, by which the work is divided; a guess is enough."""


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """A CSV file (UTF-8, with a heading), or a Parquet file by its suffix. Raises BillsUnreadable, OSError."""
    opened = _open_parquet if path.suffix.lower() in (".parquet", ".pq") else _open_csv
    with opened(path) as table:
        yield table


@contextmanager
def _open_csv(path: Path) -> Iterator[Table]:
    csv.field_size_limit(_LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = _csv_rows(csv.reader(file, strict=True))
        _, heading = next(rows, (1, []))
        yield Table(tuple(name.strip() for name in heading), rows, path.stat().st_size)


def _csv_rows(reader: Iterator[list[str]]) -> Iterator[tuple[int, Sequence[str]]]:
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1  # type: ignore[attr-defined]  # csv.reader has it; its type is private
    except (csv.Error, UnicodeDecodeError) as error:
        raise BillsUnreadable(Problem(line, "bills.unreadable", f"不是 CSV：{error}", f"not CSV: {error}")) from error


@contextmanager
def _open_parquet(path: Path) -> Iterator[Table]:
    import duckdb

    # Nothing is fetched: extensions neither load nor install by themselves, and Parquet is built in.
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "threads": "1",
    }
    with duckdb.connect(":memory:", config=settings) as connection:
        try:
            found = connection.execute("SELECT COLUMNS(*)::VARCHAR FROM read_parquet(?)", [str(path)])
        except duckdb.Error as error:
            text = str(error).partition("\n")[0]
            raise BillsUnreadable(
                Problem(1, "bills.unreadable", f"不是 Parquet：{text}", f"not Parquet: {text}")
            ) from error
        columns = tuple(column[0] for column in found.description or ())
        yield Table(columns, _parquet_rows(found), path.stat().st_size * 4)


def _parquet_rows(found: object) -> Iterator[tuple[int, Sequence[str]]]:
    line = 2
    while batch := found.fetchmany(_PARQUET_BATCH):  # type: ignore[attr-defined]
        for row in batch:
            yield line, ["" if value is None else value for value in row]
            line += 1


class BadRow(Exception):
    """A row that is no bill; `faults` has (code, zh, en) of everything wrong with it."""

    def __init__(self, faults: Sequence[tuple[str, str, str]]) -> None:
        super().__init__("; ".join(en for _, _, en in faults))
        self.faults = faults


class RowReader:
    """Reads rows of certain columns as bills, for packs that know certain facts.

    Raises BillsUnreadable for columns that are missing, double, or no fact.
    """

    def __init__(self, columns: Sequence[str], documents: Sequence[PackDocument]) -> None:
        self._kinds = _kinds(documents)
        _check_columns(columns, self._kinds)
        self.columns = tuple(columns)
        self._at = {name: place for place, name in enumerate(columns)}
        self._facts = tuple((name, place) for name, place in self._at.items() if _is_fact(name))
        self._paid = tuple((name[len(_PAID) :], place) for name, place in self._at.items() if name.startswith(_PAID))
        self._classes = tuple((self._at[name], {"class": word}) for name, word in CLASSES if name in self._at)
        self._known: dict[tuple[str, ...], dict[str, Fact]] = {}

    def text(self, row: Sequence[str], column: str) -> str:
        """A field as written; empty when there is no such column."""
        place = self._at.get(column)
        return "" if place is None else row[place]

    def bill(self, row: Sequence[str]) -> Bill:
        """The row's bill. Raises BadRow naming everything wrong with it."""
        if len(row) != len(self.columns):
            count, wanted = len(row), len(self.columns)
            raise BadRow([("bills.fields", f"有 {count} 列，应为 {wanted} 列", f"{count} fields, not {wanted}")])
        faults: list[tuple[str, str, str]] = []
        begins, ends = self._day(row, "begins", faults), self._day(row, "ends", faults)
        lines = self._lines(row, faults)
        facts = self._facts_of(row, faults)
        paid_fen = {layer: self._amount(row, place, faults) for layer, place in self._paid if row[place]}
        if begins > ends:
            faults.append(("bills.days", "结束早于开始", "it ends before it begins"))
        if not self.text(row, "person"):
            faults.append(("bills.person", "缺人员", "no person"))
        if faults:
            raise BadRow(faults)
        return Bill(
            facility=self.text(row, "facility") or "H1",
            begins_on=begins,
            ends_on=ends,
            facts=facts,
            lines=lines,
            episode=self.text(row, "episode") or None,
            paid_fen=paid_fen,
        )

    def _day(self, row: Sequence[str], column: str, faults: list[tuple[str, str, str]]) -> date:
        written = row[self._at[column]]
        try:
            # Only the written-out form: fromisoformat also takes weeks and basic dates, which are typos here.
            if len(written) == 10:
                return date.fromisoformat(written)
        except ValueError:
            pass
        faults.append(("bills.day", f"{column} 不是日期：{written[:40]}", f"{column} is no day: {written[:40]}"))
        return date.min

    def _amount(self, row: Sequence[str], place: int, faults: list[tuple[str, str, str]]) -> int:
        written = row[place]
        if not written:
            return 0
        try:
            amount_fen = parse_yuan(written)
        except ValueError:
            amount_fen = -1
        if amount_fen < 0:
            column = self.columns[place]
            faults.append(
                ("bills.amount", f"{column} 不是金额：{written[:40]}", f"{column} is no amount: {written[:40]}")
            )
        return amount_fen

    def _lines(self, row: Sequence[str], faults: list[tuple[str, str, str]]) -> tuple[BillLine, ...]:
        lines: list[BillLine] = []
        for place, facts in self._classes:
            amount_fen = self._amount(row, place, faults)
            if amount_fen <= 0:
                continue
            over_fen, prepay_fen = self._stated(row, faults) if facts["class"] == "乙" else (0, 0)
            own_fen = amount_fen if facts["class"] == "丙" else 0
            lines.append(
                BillLine(
                    no=str(len(lines) + 1),
                    amount_fen=amount_fen,
                    facts=facts,
                    own_fen=own_fen,
                    over_ceiling_fen=over_fen,
                    prepay_fen=prepay_fen,
                )
            )
        if not lines and not faults:
            faults.append(("bills.amount", "没有金额", "no amount"))
        return tuple(lines)

    def _stated(self, row: Sequence[str], faults: list[tuple[str, str, str]]) -> tuple[int, int]:
        over, prepaid = self._at.get("over_ceiling"), self._at.get("prepaid")
        return (
            0 if over is None else self._amount(row, over, faults),
            0 if prepaid is None else self._amount(row, prepaid, faults),
        )

    def _facts_of(self, row: Sequence[str], faults: list[tuple[str, str, str]]) -> dict[str, Fact]:
        written = tuple(row[place] for _, place in self._facts)
        known = self._known.get(written)
        if known is None:
            known = self._read_facts(written, faults)
            if not faults:
                if len(self._known) >= _MANY_FACTS:
                    self._known.clear()
                self._known[written] = known
        return known

    def _read_facts(self, written: tuple[str, ...], faults: list[tuple[str, str, str]]) -> dict[str, Fact]:
        read: dict[str, Fact] = {}
        for (name, _), value in zip(self._facts, written, strict=True):
            if not value:
                continue
            fact = _fact(self._kinds[name], value)
            if fact is None:
                faults.append(("bills.fact", f"{name} 的值不对：{value[:40]}", f"{name} cannot be: {value[:40]}"))
            else:
                read[name] = fact
        return read


def _is_fact(column: str) -> bool:
    return column not in OWN_COLUMNS and not column.startswith(_PAID)


def _kinds(documents: Sequence[PackDocument]) -> dict[str, Kind]:
    kinds = {name: fact.kind for name, fact in STANDARD.items()}
    for document in documents:
        for name, domain in document.facts.items():
            if name not in STANDARD:
                number = Kind.NUMBER if domain.number is not None else Kind.WORD
                kinds[name] = Kind.FLAG if domain.flag else number
    return kinds


def _check_columns(columns: Sequence[str], kinds: Mapping[str, Kind]) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    missing = [name for name in ("person", "begins", "ends") if name not in columns]
    if not any(name in columns for name, _ in CLASSES):
        missing.append("class_a, class_b, class_c")
    unknown = [name[:60] for name in columns if _is_fact(name) and name not in kinds]
    problems = [
        *(Problem(1, "bills.column-twice", f"列重复：{name}", f"column twice: {name}") for name in twice),
        *(Problem(1, "bills.column-missing", f"缺列：{name}", f"column missing: {name}") for name in missing),
        *(Problem(1, "bills.column-unknown", f"不认识的列：{name}", f"unknown column: {name}") for name in unknown),
    ]
    if problems:
        raise BillsUnreadable(*problems)


def _fact(kind: Kind, written: str) -> Fact | None:
    """A fact from its text; None when it cannot be one."""
    match kind:
        case Kind.NUMBER:
            return _number(written)
        case Kind.FLAG:
            return _FLAGS.get(written.lower())
        case Kind.WORDS:
            return frozenset(word.strip() for word in written.replace("；", ";").split(";") if word.strip())
    return written


def _number(written: str) -> Decimal | None:
    try:
        number = Decimal(written)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < 10**12 else None
