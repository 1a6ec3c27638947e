"""Numbers that cannot be, over HTTP: each is refused by its field, and nothing is kept of it."""

from __future__ import annotations

from typing import Any

import pytest

from services.settlement import errors
from shared.events import new_id
from tests.services.settlement.banking import payout_body
from tests.services.settlement.fixtures import ActAs, Caller
from tests.services.settlement.test_files import CSV, NDJSON, Month, csv_of, edited, month, report_of, sha256
from tests.services.settlement.test_statements import codes, his
from tests.services.settlement.world import HUAIYANG, XIANGCHENG, ZHOUKOU, Books, Hospital, totals_of

__all__ = ["his", "month"]

BEYOND = 2**53 + 1
"""What a program that computes with floating point would have changed already."""
NUMBERS: dict[str, Any] = {
    "beyond 2^53": BEYOND,
    "beyond 2^63": 2**63,
    "of 400 digits": 10**400,
    "text": "1250000",
    "a fraction": 1.5,
    "true": True,
    "nothing": None,
}


async def refused(caller: Caller, path: str, body: Any, pointer: str) -> None:
    """It is refused, and names the field."""
    answer = await caller.post(path, body)
    assert answer.status_code == 422, answer.text
    assert pointer in [error.get("pointer") for error in answer.json()["errors"]], answer.text


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS.keys())
@pytest.mark.parametrize("name", ["total_fen", "fund_fen", "account_fen", "bill_count"])
async def test_totals_of_a_statement(books: Books, hospital: Hospital, his: Caller, name: str, value: Any) -> None:
    (total,) = totals_of([hospital.bill()])
    body = {"period": hospital.month, "totals": [{**total, name: value}]}
    await refused(his, "/v1/statements", body, f"/totals/0/{name}")
    assert await books.value("SELECT count(*) FROM statement WHERE party = $1", hospital.code) == 0


@pytest.mark.parametrize("count", [-1, -(2**31), 1_000_000_001])
async def test_counts_of_a_statement(hospital: Hospital, his: Caller, count: int) -> None:
    (total,) = totals_of([hospital.bill()])
    await refused(
        his,
        "/v1/statements",
        {"period": hospital.month, "totals": [{**total, "bill_count": count}]},
        "/totals/0/bill_count",
    )


@pytest.mark.parametrize("value", [*NUMBERS.values(), -BEYOND], ids=[*NUMBERS, "below -2^53"])
async def test_totals_of_an_agency(act_as: ActAs, value: Any) -> None:
    total = {"insutype": "390", "clr_type": "21", "refund": False, "fund_fen": 1, "account_fen": 0}
    body = {
        "period": "2026-09",
        "care_region": HUAIYANG,
        "home_region": XIANGCHENG,
        "totals": [{**total, "total_fen": value, "bill_count": -1}],
    }
    officer = act_as("officer", XIANGCHENG)
    await refused(officer, "/v1/agency-statements", body, "/totals/0/total_fen")
    await refused(officer, "/v1/agency-statements", body, "/totals/0/bill_count")


async def test_the_largest_totals_of_an_agency_are_added_up(act_as: ActAs) -> None:
    """As many groups as there may be, each as large as it may be: no sum runs over."""
    total = {"insutype": "390", "refund": False, "total_fen": 10**15, "fund_fen": 0, "account_fen": 0, "bill_count": 1}
    totals = [{**total, "clr_type": f"{number:04d}"} for number in range(2_000)]
    body = {"period": "2026-08", "care_region": HUAIYANG, "home_region": XIANGCHENG, "totals": totals}
    answer = await act_as("officer", XIANGCHENG).post("/v1/agency-statements", body)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS.keys())
async def test_lines_in_batches(month: Month, value: Any) -> None:
    line = {
        "facility_settlement_no": "A-1",
        "refund": False,
        "settlement_id": None,
        "total_fen": value,
        "fund_fen": 1,
        "account_fen": 0,
    }
    await refused(month.his, f"{month.path}/lines", {"lines": [line]}, "/lines/0/total_fen")


@pytest.mark.parametrize("value", [0, -1, *NUMBERS.values()], ids=["0", "-1", *NUMBERS])
async def test_money_that_is_to_move(act_as: ActAs, value: Any) -> None:
    await refused(act_as("officer", XIANGCHENG), "/v1/payouts", payout_body(value), "/amount_fen")
    body = {"holder": ZHOUKOU, "amount_fen": value}
    await refused(act_as("finance", XIANGCHENG), "/v1/prepayment-top-ups", body, "/amount_fen")


@pytest.mark.parametrize("value", [-1, BEYOND, 2**63])
async def test_what_a_party_can_pay(act_as: ActAs, value: int) -> None:
    path = f"/v1/clearing-positions/{new_id()}/unpaid"
    await refused(act_as("finance", ZHOUKOU), path, {"available_fen": value}, "/available_fen")


@pytest.mark.parametrize("value", [BEYOND * 10, 2**63, "0", None])
async def test_the_opening_balance_of_an_account(act_as: ActAs, value: Any) -> None:
    body = {
        "holder": "项城市医保中心",
        "account_no": "41010160000",
        "bank_code": "102508000017",
        "opening_on": "2026-10-31",
        "opening_fen": value,
    }
    path = f"/v1/bank-accounts/{XIANGCHENG}/versions"
    await refused(act_as("finance", XIANGCHENG), path, body, "/opening_fen")


LINE = '{"facility_settlement_no": "A-1", "refund": false, "total_fen": %s, "fund_fen": 1, "account_fen": 0}\n'


@pytest.mark.parametrize("number", [str(BEYOND), "1e400", "NaN", "-0.5", "1" * 5_000], ids=lambda n: n[:20])
async def test_numbers_in_a_file_of_json_lines(month: Month, number: str) -> None:
    answer = await month.send((LINE % number).encode(), NDJSON)
    assert answer.status_code == 422, answer.text
    assert await month.lines() == 0


async def test_ten_thousand_columns(month: Month) -> None:
    """In the header, and in one line: named, and read no further."""
    content = csv_of(month.bills)
    wide = b",".join([b"x"] * 10_000)
    header = await month.send(wide + b"\r\n" + content, CSV)
    line = edited(content, 3, b",".join([b"1"] * 1_000))
    answer = await month.send(line, CSV)

    assert codes(header)[-1] in (errors.FILE_COLUMNS_MANY.code, errors.LINE_TOO_LONG.code)
    assert codes(answer)[1:] == [errors.LINE_COLUMNS.code]
    (row,) = report_of(await month.his.get(f"{month.path}/files/{sha256(line)}/report"))
    assert row["line"] == "3"
    assert await month.lines() == 0


async def test_details_that_do_not_add_up_to_their_totals(month: Month) -> None:
    """One fen, and one line: both are told with the difference of the group, and nothing is kept."""
    content = csv_of(month.bills)
    less = content[: content.rindex(b"\r\n", 0, -2) + 2]
    answer = await month.send(less, CSV)

    assert errors.LINES_DO_NOT_ADD_UP.code in codes(answer)
    assert await month.lines() == 0
    assert (await month.send(content, CSV)).status_code == 200, "the right one is taken after it"


FORMULAS = ("=1+1", "+1+cmd|' /C calc'!A0", "@SUM(A1)", '=HYPERLINK("http://127.0.0.1/?"&A1)')


@pytest.mark.parametrize("formula", FORMULAS)
async def test_formulas_in_a_file(month: Month, formula: str) -> None:
    """A number that would be computed by whoever opens it: refused by line, and never repeated."""
    quoted = formula.replace('"', '""')
    content = edited(csv_of(month.bills), 2, f'"{quoted}",,0,1,1,0'.encode())
    answer = await month.send(content, CSV)
    report = await month.his.get(f"{month.path}/files/{sha256(content)}/report")

    assert answer.status_code == 422
    assert [row["line"] for row in report_of(report)] == ["2"]
    assert formula not in answer.text
    assert formula not in report.text
