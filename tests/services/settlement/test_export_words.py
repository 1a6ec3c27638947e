"""Everything the ledger can hold has its word in every form in which a book leaves."""

from __future__ import annotations

import csv
import re
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import openpyxl
import pytest

from services.settlement.rules.beancount import account_name
from services.settlement.rules.ledger import Account, AccountKind
from services.settlement.store.accounts import AccountMonth, Movement
from services.settlement.use_cases.exports import _writer
from services.settlement.use_cases.spreadsheets import KINDS, TRANSACTIONS
from tests.services.settlement.world import Books

PERIOD = "2026-10"
CHECK = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1 AND conparentid = 0"


async def allowed(books: Books, check: str) -> set[str]:
    """The words a CHECK of the database lets through."""
    return set(re.findall(r"'([a-z_]+)'", await books.value(CHECK, check)))


async def test_every_word_of_the_ledger_has_one_of_the_agencies(books: Books) -> None:
    kinds = await allowed(books, "ledger_entry_kind")
    assert await allowed(books, "ledger_transaction_kind") == set(TRANSACTIONS)
    assert kinds == set(KINDS) == set(AccountKind)
    assert len({account_name(Account(AccountKind(kind))) for kind in kinds}) == len(kinds)


def movement(number: int, kind: str, account_kind: str) -> Movement:
    """An entry of a kind on an account of a kind, of any sense."""
    moment = datetime(2026, 10, 5, tzinfo=UTC)
    day, other = date(2026, 10, 5), "411600"
    return Movement(f"T{number:03}", 1, account_kind, other, "", 100, kind, None, PERIOD, day, moment, None, None)


@pytest.mark.parametrize("form", ["xlsx", "csv", "parquet", "beancount"])
async def test_every_export_writes_all_of_them(books: Books, tmp_path: Path, form: str) -> None:
    """A month in which every kind of transaction moved every kind of account."""
    accounts = sorted(await allowed(books, "ledger_entry_kind"))
    kinds = sorted(await allowed(books, "ledger_transaction_kind"))
    both = [(kind, account_kind) for kind in kinds for account_kind in accounts]
    movements = [movement(number, *one) for number, one in enumerate(both)]
    months = [AccountMonth(a, "411600", "", 1, 100, 0, 101, len(kinds)) for a in accounts]
    path = tmp_path / f"book.{form}"
    writer = _writer(form, path, "411603", "淮阳区医保中心", PERIOD, months)
    writer.add(movements)
    writer.finish()

    assert written(path, form) == len(movements)


def written(path: Path, form: str) -> int:
    """How many entries an export holds."""
    match form:
        case "xlsx":
            sheet = openpyxl.load_workbook(path)["明细"]
            return sum(1 for row in sheet.iter_rows(values_only=True) if str(row[2]).startswith("T"))
        case "csv":
            with path.open(encoding="utf-8-sig") as file:
                return sum(row["transaction_id"] != "" for row in csv.DictReader(file))
        case "parquet":
            query = f"SELECT count(transaction_id) FROM read_parquet('{path}')"
            return int(duckdb.connect().execute(query).fetchall()[0][0])
        case _:
            return path.read_text("utf-8").count("transaction:")


def test_a_sum_without_numerals_is_told_in_figures(tmp_path: Path) -> None:
    enormous = 18 * 10**18
    months = [AccountMonth("receivable", "411600", "", 0, enormous, 0, enormous, 2)]
    path = tmp_path / "book.xlsx"
    writer = _writer("xlsx", path, "411603", "淮阳区医保中心", PERIOD, months)
    writer.finish()

    told = [row[0] for row in openpyxl.load_workbook(path)["对账单"].iter_rows(values_only=True)]
    assert "期末应收（大写）：180000000000000000.00元" in told
