"""The files of an archive: Parquet, written whole or not at all, and read again row by row.

Everything is done in bounded memory. A file has its name only when it is complete and on the disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from services.settlement.rules.archives import Contents, KeptFile, Part, Row, Sums
from services.settlement.rules.chain import canonical, leaf_of
from services.settlement.rules.ledger import Account, AccountKind, Entry

if TYPE_CHECKING:
    import duckdb

PARQUET_MEMORY = "256MB"
ROWS_AT_ONCE = 5000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

COLUMNS: Mapping[Part, Mapping[str, str]] = MappingProxyType(
    {
        Part.BILLS: {
            "settlement_id": "VARCHAR",
            "case_id": "VARCHAR",
            "cleared_in": "VARCHAR",
            "visit_id": "VARCHAR",
            "person_id": "VARCHAR",
            "facility_code": "VARCHAR",
            "facility_settlement_no": "VARCHAR",
            "care_region": "VARCHAR",
            "home_region": "VARCHAR",
            "insutype": "VARCHAR",
            "med_type": "VARCHAR",
            "clr_type": "VARCHAR",
            "refund": "BOOLEAN",
            "reverses_settlement_id": "VARCHAR",
            "settled_at_us": "BIGINT",
            "settled_period": "VARCHAR",
            "period": "VARCHAR",
            "total_fen": "BIGINT",
            "fund_fen": "BIGINT",
            "account_fen": "BIGINT",
            "cash_fen": "BIGINT",
            "hospital_fen": "BIGINT",
            "payable_fen": "BIGINT",
            "traceparent": "VARCHAR",
            "booked_at_us": "BIGINT",
        },
        Part.TRANSACTIONS: {
            "chain_no": "BIGINT",
            "transaction_id": "VARCHAR",
            "kind": "VARCHAR",
            "case_id": "VARCHAR",
            "period": "VARCHAR",
            "value_date": "DATE",
            "booked_at_us": "BIGINT",
            "reverses_transaction_id": "VARCHAR",
        },
        Part.ENTRIES: {
            "chain_no": "BIGINT",
            "transaction_id": "VARCHAR",
            "line_no": "INTEGER",
            "book": "VARCHAR",
            "account_kind": "VARCHAR",
            "counterparty": "VARCHAR",
            "fund_pay_type": "VARCHAR",
            "amount_fen": "BIGINT",
        },
    }
)
"""The columns of the files with their types; moments (`…_us`) are microseconds since 1970."""


def moment_of(microseconds: int) -> datetime:
    """A moment as the files have it."""
    return _EPOCH + timedelta(microseconds=microseconds)


class Leaf(NamedTuple):
    """A transaction of an archive, hashed from what its files say."""

    chain_no: int
    transaction_id: str
    leaf: bytes
    entries: int


class ArchiveFiles:
    """The files of one archive in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, part: Part) -> Path:
        """Where a file is."""
        return self.folder / f"{part}.parquet"

    def rows_path(self, part: Part) -> Path:
        """Where the rows of a file are laid down before it is made of them."""
        return self.folder / f"{part}.csv.partial"

    def prepare(self) -> None:
        """Make the folder, and forget what an earlier try that was killed left in it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left_over in self.folder.glob("*.partial"):
            left_over.unlink()

    def pack(self, part: Part) -> None:
        """Make a file of its rows, on the disk before it gets its name."""
        rows_path, partial = self.rows_path(part), self.folder / f"{part}.parquet.partial"
        with _database(self.folder) as database:
            database.execute(_PACK, [str(rows_path), dict(COLUMNS[part]), str(partial)])
        rows_path.unlink()
        _to_disk(partial)
        partial.replace(self.path(part))
        _to_disk(self.folder)

    def facts(self, part: Part) -> KeptFile:
        """What a file is now. Raises OSError when it is not there, duckdb.Error when it is no Parquet file."""
        path = self.path(part)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with _database(self.folder) as database:
            (rows,) = database.execute(_COUNT, [str(path)]).fetchone() or (0,)
        return KeptFile(digest, path.stat().st_size, rows)

    def rows(self, part: Part) -> Iterator[list[Row]]:
        """All rows of a file, some at a time."""
        with _database(self.folder) as database:
            found = database.execute(_ROWS[part], [str(self.path(part))])
            while rows := found.fetchmany(ROWS_AT_ONCE):
                yield rows

    def leaves(self) -> Iterator[list[Leaf]]:
        """Every transaction with its entries, hashed, some at a time. Raises ValueError for entries of none."""
        entries = groupby((row for rows in self.rows(Part.ENTRIES) for row in rows), itemgetter(0))
        following: tuple[Any, Iterator[Any]] | None = next(entries, None)
        for rows in self.rows(Part.TRANSACTIONS):
            leaves = []
            for row in rows:
                own: list[Any] = []
                if following is not None and following[0] == row[0]:
                    own = list(following[1])
                    following = next(entries, None)
                leaves.append(_leaf(row, own))
            yield leaves
        if following is not None:
            raise ValueError(f"there is no transaction {following[0]}")

    def contents(self) -> Contents:
        """What the files come to, added up like the tables."""
        with _database(self.folder) as database:
            for part in Part:
                database.read_parquet(str(self.path(part))).create_view(part.value)
            tables = [database.execute(query).fetchall() for query in (_SUMS, _OPENINGS, _CASES, _UNBOOKED)]
        (sums,), openings, cases, unbooked = tables
        return Contents(Sums(*sums), openings, cases, unbooked)


# Written in the order of the rows. What is in quotes is never absent, whatever it says.
_PACK = """
    COPY (SELECT * FROM read_csv($1, columns = $2, header = true, auto_detect = false, delim = ',', quote = '"',
        escape = '"', nullstr = '\\N', allow_quoted_nulls = false))
    TO $3 (FORMAT parquet, COMPRESSION zstd)
"""
_COUNT = "SELECT count(*) FROM read_parquet(?)"
_ROWS = {part: f"SELECT {', '.join(columns)} FROM read_parquet(?)" for part, columns in COLUMNS.items()}
_ADDED = ", ".join(
    f"coalesce(sum({name}), 0)::BIGINT" for name in ("total_fen", "fund_fen", "account_fen", "payable_fen")
)
_SUMS = f"SELECT count(*), count(*) FILTER (refund), {_ADDED} FROM bills"
_OPENINGS = """
    SELECT book, account_kind, counterparty, fund_pay_type,
        coalesce(sum(amount_fen) FILTER (amount_fen > 0), 0)::BIGINT,
        coalesce(-sum(amount_fen) FILTER (amount_fen < 0), 0)::BIGINT, count(*)
    FROM entries GROUP BY ALL ORDER BY ALL
"""
_CASES = f"SELECT cleared_in, count(*), {_ADDED} FROM bills GROUP BY cleared_in ORDER BY cleared_in"
_UNBOOKED = """
    SELECT settlement_id FROM bills
    WHERE settlement_id NOT IN (SELECT transaction_id FROM transactions) ORDER BY settlement_id
"""


def _leaf(row: Sequence[Any], entries: Sequence[Any]) -> Leaf:
    chain_no, transaction_id, kind, case_id, period, value_date, booked_at_us, reverses = row
    lines = [
        Entry(line_no, book, Account(AccountKind(account_kind), counterparty, fund_pay_type), amount_fen)
        for _, _, line_no, book, account_kind, counterparty, fund_pay_type, amount_fen in entries
    ]
    of = {entry[1] for entry in entries}
    # An entry under another transaction's id would be hashed as if it were of this one.
    if not of <= {transaction_id}:
        raise ValueError(f"entries of {', '.join(sorted(of))} stand with {transaction_id}")
    text = canonical(transaction_id, kind, case_id, period, value_date, moment_of(booked_at_us), reverses, lines)
    return Leaf(chain_no, transaction_id, leaf_of(text), len(lines))


@contextmanager
def _database(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb  # here: only a process that archives pays for loading it

    config: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "memory_limit": PARQUET_MEMORY}
    config["temp_directory"] = str(folder / ".sorting")
    with duckdb.connect(":memory:", config=config) as database:
        yield database


def _to_disk(path: Path) -> None:
    """Returns when the disk has it: a file with its content, a folder with its names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
