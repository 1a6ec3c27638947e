"""Exports of a month of a party's book: written to a file of the moment, row by row, and handed out from there.

The file comes first, so that a reader on a slow line holds no database connection, and an export that fails half-way is
an error and not a file with its end cut off. Its name is gone before the first byte is sent: nothing stays behind.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import BinaryIO, Protocol

from services.settlement import errors
from services.settlement.rules import beancount
from services.settlement.rules.beancount import Posting
from services.settlement.rules.cells import plain_cell
from services.settlement.store import accounts as store
from services.settlement.store.accounts import AccountMonth, Movement
from services.settlement.store.chain import begin_snapshot
from services.settlement.use_cases.archive_bounds import refuse_archived_period
from services.settlement.use_cases.parts import Settlement
from shared.database import Connection
from shared.money import yuan
from shared.refusals import Refused
from shared.workdays import month_bounds

MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "beancount": "text/plain; charset=utf-8",
        "csv": "text/csv; charset=utf-8",
        "parquet": "application/vnd.apache.parquet",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    }
)

PARQUET_MEMORY = "256MB"


@dataclass(frozen=True, slots=True)
class Export:
    """A finished export: a file without a name, at its beginning."""

    file: BinaryIO
    size_bytes: int


class Writer(Protocol):
    """Writes one form of an export into a file."""

    def add(self, movements: Sequence[Movement]) -> None:
        """Some entries; those of one transaction may come in two calls."""

    def finish(self) -> None:
        """All entries are written."""


async def export(parts: Settlement, party: str, period: str, form: str) -> Export:
    """A month of a party's book in one form, of one moment.

    Raises Refused when there is too much for a spreadsheet, or the month is archived.
    """
    with TemporaryDirectory(prefix="sifang-export-") as folder:
        path = Path(folder) / f"book.{form}"
        async with parts.database.transaction() as tx:
            await begin_snapshot(tx)
            accounts = await store.accounts_of_month(tx, party, period)
            await refuse_archived_period(tx, period)
            _check_size(sum(a.entries for a in accounts), form, parts.settings.spreadsheet_entries_max)
            name = await _name(parts, tx, party)
            # In threads: a thousand rows are some ten milliseconds of writing, for which no request should wait.
            writer = await asyncio.to_thread(_writer, form, path, party, name, period, accounts)
            async for movements in store.movements(tx, party, period):
                await asyncio.to_thread(writer.add, movements)
            await asyncio.to_thread(writer.finish)
        return Export(path.open("rb"), path.stat().st_size)


async def _name(parts: Settlement, tx: Connection, party: str) -> str:
    """What a party is called; a facility nobody has announced yet by its code."""
    return parts.regions[party].name_zh if party in parts.regions else await store.facility_name(tx, party) or party


def _check_size(entries: int, form: str, limit: int) -> None:
    if form == "xlsx" and entries > limit:
        raise Refused(errors.EXPORT_TOO_LARGE(entries=entries, limit=limit))


def _writer(form: str, path: Path, party: str, name: str, period: str, accounts: Sequence[AccountMonth]) -> Writer:
    match form:
        case "beancount":
            return BeancountFile(path, party, period, accounts)
        case "csv":
            return CsvFile(path, period, accounts, for_people=True)
        case "parquet":
            return ParquetFile(path, period, accounts)
        case _:
            # Its library takes as long to load as all of HTTP: who prints nothing does without it.
            from services.settlement.use_cases.spreadsheets import Spreadsheet

            return Spreadsheet(path, party, name, period, accounts)


class BeancountFile:
    """Beancount's language; `bean-check` accepts it and finds our balances."""

    def __init__(self, path: Path, party: str, period: str, accounts: Sequence[AccountMonth]) -> None:
        self._period, self._accounts = period, accounts
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._file.writelines(beancount.opening(party, period, [Posting(a.account, a.opening_fen) for a in accounts]))
        self._rest: list[Movement] = []

    def add(self, movements: Sequence[Movement]) -> None:
        """Whole transactions; the last one waits, for its other entries may come yet."""
        together = [*self._rest, *movements]
        last = together[-1].transaction_id
        self._rest = [m for m in together if m.transaction_id == last]
        self._write(together[: len(together) - len(self._rest)])

    def _write(self, movements: Iterable[Movement]) -> None:
        for _, entries in groupby(movements, attrgetter("transaction_id")):
            lines = list(entries)
            first = lines[0]
            day = beancount.day_in(self._period, first.value_date)
            postings = [Posting(m.account, m.amount_fen) for m in lines]
            narration = first.facility_settlement_no or first.transaction_id
            self._file.writelines(beancount.transaction(day, first.kind, narration, _about(first), postings))

    def finish(self) -> None:
        """The balances every account must have come to."""
        self._write(self._rest)
        self._file.writelines(
            beancount.closing(self._period, [Posting(a.account, a.closing_fen) for a in self._accounts])
        )
        self._file.close()


def _about(movement: Movement) -> dict[str, str]:
    about = {
        "transaction": movement.transaction_id,
        "value-date": movement.value_date.isoformat(),
        "booked-at": _moment(movement),
    }
    if movement.case_id is not None:
        about["case"] = movement.case_id
    if movement.reverses_transaction_id is not None:
        about["reverses"] = movement.reverses_transaction_id
    return about


def _moment(movement: Movement) -> str:
    return movement.booked_at.astimezone(UTC).isoformat(timespec="microseconds")


COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "transaction_id": "VARCHAR",
        "line_no": "INTEGER",
        "kind": "VARCHAR",
        "case_id": "VARCHAR",
        "period": "VARCHAR",
        "value_date": "DATE",
        "booked_at": "TIMESTAMPTZ",
        "reverses_transaction_id": "VARCHAR",
        "facility_settlement_no": "VARCHAR",
        "account_kind": "VARCHAR",
        "counterparty": "VARCHAR",
        "fund_pay_type": "VARCHAR",
        "amount_fen": "BIGINT",
        "amount_yuan": "DECIMAL(18,2)",
    }
)
"""The columns of CSV and Parquet, with their types in the latter. An account's opening is a row of kind `opening`."""


class CsvFile:
    """Comma-separated rows in UTF-8; for people with the mark by which a spreadsheet knows it, and without formulas."""

    def __init__(self, path: Path, period: str, accounts: Sequence[AccountMonth], *, for_people: bool) -> None:
        self._file = path.open("w", encoding="utf-8-sig" if for_people else "utf-8", newline="")
        self._rows = csv.writer(self._file)
        self._cell = plain_cell if for_people else str
        self._rows.writerow(COLUMNS)
        first = month_bounds(period)[0].isoformat()
        for account in accounts:
            if account.opening_fen:
                head = ["", "", "opening", "", period, first, "", "", ""]
                self._rows.writerow([*head, *self._account(account), account.opening_fen, yuan(account.opening_fen)])

    def _account(self, row: AccountMonth | Movement) -> list[str]:
        return [row.account_kind, self._cell(row.counterparty), self._cell(row.fund_pay_type)]

    def add(self, movements: Sequence[Movement]) -> None:
        """One row an entry."""
        self._rows.writerows(map(self._row, movements))

    def _row(self, m: Movement) -> list[object]:
        number = self._cell(m.facility_settlement_no or "")
        head = [m.transaction_id, m.line_no, m.kind, m.case_id, m.period, m.value_date.isoformat(), _moment(m)]
        return [*head, m.reverses_transaction_id, number, *self._account(m), m.amount_fen, yuan(m.amount_fen)]

    def finish(self) -> None:
        """Nothing follows the last row."""
        self._file.close()


class ParquetFile:
    """Parquet, made by DuckDB out of the CSV's rows; what is empty there is NULL here."""

    def __init__(self, path: Path, period: str, accounts: Sequence[AccountMonth]) -> None:
        self._path, self._rows_path = path, path.with_suffix(".csv")
        self._rows = CsvFile(self._rows_path, period, accounts, for_people=False)

    def add(self, movements: Sequence[Movement]) -> None:
        """The same rows."""
        self._rows.add(movements)

    def finish(self) -> None:
        """Turn the rows into columns, in bounded memory."""
        import duckdb  # here: only a process that is asked for Parquet pays for loading it

        self._rows.finish()
        config: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "memory_limit": PARQUET_MEMORY}
        config["temp_directory"] = str(self._path.parent)
        with duckdb.connect(":memory:", config=config) as database:
            rows = database.read_csv(str(self._rows_path), header=True, dtype=dict(COLUMNS))
            rows.write_parquet(str(self._path), compression="zstd")
