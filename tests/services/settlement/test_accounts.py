"""A party's accounts: as of any moment, by month, and in the forms other programs take."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.rules.beancount import Posting, account_name, closing, day_in, opening, transaction
from services.settlement.rules.bills import next_month
from services.settlement.rules.cells import plain_cell
from services.settlement.rules.ledger import Account, AccountKind
from services.settlement.use_cases import exports
from shared.events import new_id
from shared.refusals import Refused
from tests.services.settlement.fixtures import ActAs, Caller
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import CHAIN, HUAIYANG, XIANGCHENG, ZHOUKOU, Books, Hospital, noon

Balances = dict[tuple[str, str, str], int]


def balances(rows: list[dict[str, Any]], field: str = "balance_fen") -> Balances:
    """Amounts by account."""
    found = {(r["account_kind"], r["counterparty"], r["fund_pay_type"]): r[field] for r in rows}
    assert len(found) == len(rows)
    return {account: fen for account, fen in found.items() if fen}


@pytest.fixture
def his(act_as: ActAs, hospital: Hospital) -> Caller:
    """The facility itself."""
    return act_as("facility", hospital.code)


@pytest.fixture
async def two_months(books: Books, hospital: Hospital, act_as: ActAs) -> Hospital:
    """A month that is paid, and a late bill of it and a reversal in the next."""
    bills = [hospital.bill(), hospital.bill(HUAIYANG, settled_at=noon(hospital.month, 2))]
    await books.hear(*bills)
    await submit(act_as("facility", hospital.code), hospital, [*bills])
    month = Month(act_as, hospital)
    for case in await month.cases():
        await month.confirm(case)
        for payer in reversed([hospital.code, *case["chain"]][1:]):
            await month.pay(case, payer)
    await books.hear(hospital.bill(HUAIYANG, fund_fen=777), hospital.reversal(bills[0]))
    return hospital


# As of


async def test_balances_as_of_a_value_date(books: Books, hospital: Hospital, his: Caller) -> None:
    for day, fen in ((3, 100), (5, 20), (7, 3)):
        bill = hospital.bill(HUAIYANG, fund_fen=fen, account_fen=0, settled_at=noon(hospital.month, day))
        await books.hear(bill)
    path = f"/v1/books/{hospital.code}/balances"

    async def owed(**query: str) -> int:
        answer = await his.get(path, **query)
        assert answer.status_code == 200, answer.text
        assert answer.json()["sum_fen"] == 0
        return balances(answer.json()["balances"]).get(("receivable", HUAIYANG, ""), 0)

    days = [await owed(value_date_until=f"{hospital.month}-{day:02d}") for day in (2, 3, 4, 5, 7)]
    assert days == [0, 100, 100, 120, 123]
    assert await owed() == 123


async def test_balances_as_of_a_booking_moment(books: Books, hospital: Hospital, his: Caller) -> None:
    """A bill of long ago that was booked today was not in the books yesterday."""
    await books.hear(hospital.bill(settled_at=noon(hospital.month, 1)))
    booked_at = await books.value(
        "SELECT t.booked_at FROM ledger_transaction t JOIN bill b ON b.settlement_id = t.transaction_id"
        " WHERE b.facility_code = $1",
        hospital.code,
    )
    path = f"/v1/books/{hospital.code}/balances"

    before = await his.get(path, booked_until=(booked_at - timedelta(microseconds=1)).isoformat())
    after = await his.get(path, booked_until=booked_at.isoformat(), value_date_until=f"{hospital.month}-01")
    wrong = await his.get(path, booked_until="yesterday")

    assert (before.json()["balances"], len(after.json()["balances"])) == ([], 2)
    assert codes(wrong) == ["request.field-invalid"]


# By month


async def test_an_account_statement_opens_where_the_last_one_closed(two_months: Hospital, his: Caller) -> None:
    hospital, following = two_months, next_month(two_months.month)
    path = f"/v1/books/{hospital.code}/account-statements"
    first = (await his.get(f"{path}/{hospital.month}")).json()
    second = (await his.get(f"{path}/{following}")).json()
    now = (await his.get(f"/v1/books/{hospital.code}/balances")).json()["balances"]

    assert balances(first["accounts"], "opening_fen") == {}
    assert balances(first["accounts"], "closing_fen") == balances(second["accounts"], "opening_fen")
    assert balances(second["accounts"], "closing_fen") == balances(now)
    for statement in (first, second):
        assert statement["debit_fen"] == statement["credit_fen"] > 0
        for row in statement["accounts"]:
            assert row["closing_fen"] == row["opening_fen"] + row["debit_fen"] - row["credit_fen"]
    assert balances(second["accounts"], "closing_fen") == {
        ("bank", "", ""): 170_000,
        ("medical_income", "", ""): -90_777,
        ("receivable", HUAIYANG, ""): 5_777 - 85_000,
    }


async def test_an_account_statement_is_for_those_who_see_the_book(two_months: Hospital, act_as: ActAs) -> None:
    async def answers(role: str, party: str) -> list[int]:
        caller = act_as(role, party)
        of = [f"/v1/books/{book}" for book in (two_months.code, HUAIYANG, XIANGCHENG)]
        month = two_months.month
        parts = [f"account-statements/{month}", *(f"exports/{month}.{form}" for form in exports.MEDIA_TYPES)]
        found = [{(await caller.get(f"{book}/{part}")).status_code for part in parts} for book in of]
        assert {len(one) for one in found} == {1}, "a book's statement and exports are for the same people"
        return [one.pop() for one in found]

    assert await answers("facility", two_months.code) == [200, 403, 403]
    assert await answers("finance", HUAIYANG) == [200, 200, 403]
    assert await answers("partner", ZHOUKOU) == [200, 200, 200]
    unknown = await act_as("finance", ZHOUKOU).get(f"/v1/books/H00000000000/exports/{two_months.month}.csv")
    assert codes(unknown) == ["settlement.party-unknown"]


# Down and up


async def test_down_from_a_balance_to_its_bills_and_up_to_the_payment(two_months: Hospital, act_as: ActAs) -> None:
    """Every fen of an account of a month is an entry, every entry a bill or a payment."""
    hospital, officer = two_months, act_as("finance", ZHOUKOU)
    statement = (await officer.get(f"/v1/books/{hospital.code}/account-statements/{hospital.month}")).json()
    (owed,) = [a for a in statement["accounts"] if a["account_kind"] == "receivable"]
    wanted = {"account_kind": "receivable", "counterparty": HUAIYANG, "period": hospital.month}
    entries = (await officer.get(f"/v1/books/{hospital.code}/entries", **wanted)).json()["items"]

    assert (len(entries), sum(e["amount_fen"] for e in entries)) == (owed["entries"], owed["closing_fen"])
    bills = [(await officer.get(f"/v1/bills/{e['transaction_id']}")).json() for e in entries if e["kind"] == "bill"]
    assert {b["period"] for b in bills} == {hospital.month}
    assert sum(b["payable_fen"] for b in bills) == owed["debit_fen"]
    paid = [[p["payee"] for p in b["payments"] if p["state"] == "paid"] for b in bills]
    assert all(payees[-1] == hospital.code for payees in paid), "the last hop of every bill is paid"
    one = (await officer.get(f"/v1/books/{hospital.code}/entries", case_id=bills[0]["case_id"])).json()["items"]
    assert {e["case_id"] for e in one} == {bills[0]["case_id"]}


async def test_a_bill_names_its_trace(books: Books, hospital: Hospital, his: Caller) -> None:
    traced, untraced, dropped = hospital.bill(), hospital.bill(), hospital.bill()
    await books.hear(untraced)
    await books.hear(traced, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    await books.hear(dropped, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")

    found = [(await his.get(f"/v1/bills/{b.settlement_id}")).json()["trace_id"] for b in (traced, untraced, dropped)]

    assert found == ["0af7651916cd43dd8448eb211c80319c", None, None]


# Exports


@pytest.fixture
async def awkward(books: Books, hospital: Hospital) -> Hospital:
    """A facility whose name and bill numbers would be formulas, with a bill that is refused nothing."""
    await books.hear(hospital.changed(9, name='=HYPERLINK("http://x","y")'))
    numbers = ("=1+1", "+1", "-1", "@SUM(A1)", 'quote " and \\ and , ;', "plain-1")
    await books.hear(*(hospital.bill(facility_settlement_no=n, fund_fen=12_345) for n in numbers))
    return hospital


async def exported(caller: Caller, party: str, period: str, form: str) -> httpx.Response:
    """An export that is given."""
    answer = await caller.get(f"/v1/books/{party}/exports/{period}.{form}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == exports.MEDIA_TYPES[form]
    assert f'filename="{party}-{period}.{form}"' in answer.headers["content-disposition"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    return answer


async def closing_of(caller: Caller, party: str, period: str) -> Balances:
    """What the account statement closes with."""
    statement = (await caller.get(f"/v1/books/{party}/account-statements/{period}")).json()
    return balances(statement["accounts"], "closing_fen")


def bean_check(file: Path) -> str:
    """What Beancount's own checker says: nothing when it accepts the file."""
    call = [sys.executable, "-m", "beancount.scripts.check", "--no-cache", str(file)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is (not done.stderr.strip()), done
    return done.stderr


async def test_beancount_is_accepted_and_its_balances_are_ours(
    two_months: Hospital, his: Caller, act_as: ActAs, tmp_path: Path
) -> None:
    """Months that open empty and open with balances, of a facility and of every agency of its chain."""
    agencies = act_as("finance", ZHOUKOU)
    for party in (two_months.code, *CHAIN):
        for period in (two_months.month, next_month(two_months.month)):
            answer = await exported(agencies, party, period, "beancount")
            file = tmp_path / f"{party}-{period}.beancount"
            file.write_bytes(answer.content)
            assert bean_check(file) == ""
            expected = await closing_of(agencies, party, period)
            assert beancount_balances(file) == {
                account_name(Account(AccountKind(kind), other, fund)): fen
                for (kind, other, fund), fen in expected.items()
            }


def beancount_balances(file: Path) -> dict[str, int]:
    """What Beancount itself makes of the transactions, without the balances the file asserts."""
    from beancount import loader
    from beancount.core.data import Transaction

    sums: Counter[str] = Counter()
    entries, errors, _ = loader.load_file(str(file))
    assert errors == []
    for entry in entries:
        if isinstance(entry, Transaction):
            for posting in entry.postings:
                assert posting.units is not None
                sums[posting.account] += int(Decimal(str(posting.units.number)) * 100)
    return {account: fen for account, fen in sums.items() if fen}


async def test_bean_check_refuses_one_fen_too_many(two_months: Hospital, his: Caller, tmp_path: Path) -> None:
    text = (await exported(his, two_months.code, two_months.month, "beancount")).text
    file = tmp_path / "off.beancount"
    whole = "  Assets:Receivable:411603  850.00 CNY\n"
    assert whole in text
    file.write_text(text.replace(whole, whole.replace("850.00", "850.01"), 1))
    assert "does not balance" in bean_check(file)
    bank = " ~ 0.00 CNY\n"
    head, _, tail = text.rpartition(bank)
    file.write_text(f"{head[:-1]}{(int(head[-1]) + 1) % 10}{bank}{tail}")
    assert "Balance failed" in bean_check(file)


async def test_beancount_takes_awkward_names(awkward: Hospital, his: Caller, tmp_path: Path) -> None:
    answer = await exported(his, awkward.code, awkward.month, "beancount")
    file = tmp_path / "awkward.beancount"
    file.write_bytes(answer.content)
    assert bean_check(file) == ""
    assert 'bill" "quote \\" and \\\\ and , ;"' in answer.text


def csv_rows(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV export, which a spreadsheet knows for UTF-8."""
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def summed(rows: list[dict[str, Any]]) -> Balances:
    """Amounts of rows by account, openings included."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        account = (row["account_kind"], row["counterparty"] or "", row["fund_pay_type"] or "")
        sums[account] += int(row["amount_fen"])
        assert Decimal(row["amount_yuan"]) * 100 == int(row["amount_fen"])
    return {account: fen for account, fen in sums.items() if fen}


def parquet_rows(content: bytes, folder: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet export."""
    file = folder / "book.parquet"
    file.write_bytes(content)
    with duckdb.connect() as database:
        found = database.read_parquet(str(file)).project("* REPLACE (epoch_us(booked_at) AS booked_at)")
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def microseconds(moment: str) -> int:
    """A moment as Parquet keeps it."""
    return (datetime.fromisoformat(moment) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


async def test_csv_and_parquet_hold_openings_and_entries(two_months: Hospital, his: Caller, tmp_path: Path) -> None:
    for period in (two_months.month, next_month(two_months.month)):
        rows = csv_rows((await exported(his, two_months.code, period, "csv")).content)
        typed = parquet_rows((await exported(his, two_months.code, period, "parquet")).content, tmp_path)
        entries = (await his.get(f"/v1/books/{two_months.code}/entries", period=period)).json()["items"]
        expected = await closing_of(his, two_months.code, period)

        assert summed(rows) == summed(typed) == expected
        listed = [(e["transaction_id"], e["line_no"], e["amount_fen"]) for e in entries]
        moved = [row for row in typed if row["kind"] != "opening"]
        assert [(r["transaction_id"], r["line_no"], r["amount_fen"]) for r in moved] == listed
        assert [(r["transaction_id"], int(r["line_no"] or 0)) for r in rows if r["kind"] != "opening"] == [
            line[:2] for line in listed
        ]
        assert all(isinstance(r["value_date"], date) for r in moved)
        booked = {e["transaction_id"]: microseconds(e["booked_at"]) for e in entries}
        assert {r["transaction_id"]: r["booked_at"] for r in moved} == booked


async def test_formulas_are_neutralised_for_people_and_kept_for_programs(
    awkward: Hospital, his: Caller, tmp_path: Path
) -> None:
    rows = csv_rows((await exported(his, awkward.code, awkward.month, "csv")).content)
    numbers = {row["facility_settlement_no"] for row in rows}
    typed = parquet_rows((await exported(his, awkward.code, awkward.month, "parquet")).content, tmp_path)

    assert {"'=1+1", "'+1", "'-1", "'@SUM(A1)", "plain-1"} <= numbers
    assert {"=1+1", "+1", "-1", "@SUM(A1)", 'quote " and \\ and , ;'} <= {r["facility_settlement_no"] for r in typed}
    assert not [cell for row in rows for name, cell in row.items() if _computes(cell) and "amount" not in name]


def _computes(cell: str) -> bool:
    return cell.startswith(("=", "+", "-", "@", "\t"))


def workbook(content: bytes) -> Any:
    """An XLSX export as a spreadsheet opens it, formulas as formulas."""
    return openpyxl.load_workbook(io.BytesIO(content))


def text_of(sheet: Any) -> list[list[Any]]:
    """The cells of a sheet, row by row."""
    return [[cell for cell in row if cell is not None] for row in sheet.iter_rows(values_only=True)]


async def test_xlsx_is_the_statement_agencies_print(two_months: Hospital, his: Caller) -> None:
    period = next_month(two_months.month)
    book = workbook((await exported(his, two_months.code, period, "xlsx")).content)
    statement = (await his.get(f"/v1/books/{two_months.code}/account-statements/{period}")).json()
    printed, entries = text_of(book["对账单"]), text_of(book["明细"])

    assert printed[0] == ["医疗保障基金结算对账单"]
    assert printed[1] == [f"单位：淮阳区人民医院（{two_months.code}）", f"结算月：{period}", "金额单位：元"]
    (total,) = [row for row in printed if row and row[0] == "合计"]
    assert [round(cell * 100) for cell in total[-5:-1]] == [0, statement["debit_fen"], statement["credit_fen"], 0]
    owed = sum(a["closing_fen"] for a in statement["accounts"] if a["account_kind"] == "receivable")
    assert owed == -79_223
    assert ["期末应收（大写）：负柒佰玖拾贰元贰角叁分"] in printed
    assert printed[-1] == ["制表：", "复核：", "审核：", "单位盖章："]
    rows = {
        row[0]: [round(cell * 100) for cell in row[-5:-1]] for row in printed if row and row[0] in ("应收", "银行存款")
    }
    expected = {
        name: [a["opening_fen"], a["debit_fen"], a["credit_fen"], a["closing_fen"]]
        for name, kind in (("应收", "receivable"), ("银行存款", "bank"))
        for a in statement["accounts"]
        if a["account_kind"] == kind
    }
    assert rows == expected
    assert len(entries) == statement["entries"] + 2, "heading and sums besides"
    assert [round(cell * 100) for cell in entries[-1][-2:]] == [statement["debit_fen"], statement["credit_fen"]]


async def test_xlsx_computes_nothing(awkward: Hospital, his: Caller) -> None:
    book = workbook((await exported(his, awkward.code, awkward.month, "xlsx")).content)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]

    assert [cell.value for cell in cells if cell.data_type == "f"] == []
    assert {"'=1+1", "'+1", "'@SUM(A1)"} <= {cell.value for cell in cells}
    assert any(str(cell.value).startswith("单位：'=HYPERLINK") for cell in cells)


async def test_too_much_for_a_spreadsheet_is_refused_by_name() -> None:
    exports._check_size(100_001, "csv", 100_000)
    exports._check_size(100_000, "xlsx", 100_000)
    with pytest.raises(Refused) as refused:
        exports._check_size(100_001, "xlsx", 100_000)
    assert [r.code for r in refused.value] == ["settlement.export-too-large"]


async def test_a_month_without_anything_is_an_empty_export(hospital: Hospital, his: Caller, tmp_path: Path) -> None:
    for form in exports.MEDIA_TYPES:
        answer = await exported(his, hospital.code, "2001-01", form)
        file = tmp_path / f"empty.{form}"
        file.write_bytes(answer.content)
        match form:
            case "beancount":
                assert bean_check(file) == ""
            case "csv":
                assert csv_rows(answer.content) == []
            case "parquet":
                assert parquet_rows(answer.content, tmp_path) == []
            case _:
                assert ["期末应收（大写）：零元整"] in text_of(workbook(answer.content)["对账单"])


async def test_an_unknown_form_or_month_is_not_found(hospital: Hospital, his: Caller) -> None:
    for address in (f"{hospital.month}.pdf", "2026-13.csv", "all.csv", f"{hospital.month}"):
        answer = await his.get(f"/v1/books/{hospital.code}/exports/{address}")
        assert (answer.status_code, codes(answer)) == (404, ["request.not-found"])


# The rules of the forms


@given(st.text(max_size=20))
def test_no_cell_begins_as_a_formula(text: str) -> None:
    cell = plain_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell.removeprefix("'") == text or cell == text


component = st.text(st.characters(min_codepoint=45, max_codepoint=122), min_size=1, max_size=5)


@given(component, component)
def test_two_accounts_never_have_the_same_name(one: str, other: str) -> None:
    names = [account_name(Account(AccountKind.RECEIVABLE, code)) for code in (one, other)]
    assert (names[0] == names[1]) is (one == other)


CODES = ("411603", "H4116-03_1.x", "h-lower", ".x", "-", "X-68-", "Ö")


def test_any_code_is_a_name_beancount_takes(tmp_path: Path) -> None:
    balances = [Posting(Account(AccountKind.RECEIVABLE, code), 100) for code in CODES]
    balances.append(Posting(Account(AccountKind.BANK), -100 * len(CODES)))
    file = tmp_path / "codes.beancount"
    file.write_text("".join([*opening("P", "2026-10", balances), *closing("2026-10", balances)]), "utf-8")
    assert bean_check(file) == ""


@pytest.mark.parametrize(
    ("value_date", "day"),
    [
        (date(2026, 9, 30), date(2026, 10, 1)),
        (date(2026, 10, 1), date(2026, 10, 1)),
        (date(2026, 10, 31), date(2026, 10, 31)),
        (date(2026, 11, 1), date(2026, 10, 31)),
    ],
)
def test_a_transaction_stands_within_its_month(value_date: date, day: date) -> None:
    assert day_in("2026-10", value_date) == day


def test_a_transaction_carries_what_is_known_of_it() -> None:
    postings = [Posting(Account(AccountKind.BANK), 12_345), Posting(Account(AccountKind.MEDICAL_INCOME), -12_345)]
    assert "".join(transaction(date(2026, 10, 5), "bill", "No 1", {"case": new_id()[:0]}, postings)) == (
        '\n2026-10-05 * "bill" "No 1"\n  case: ""\n  Assets:Bank  123.45 CNY\n  Income:Medical  -123.45 CNY\n'
    )
