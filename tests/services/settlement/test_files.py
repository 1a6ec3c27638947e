"""Files of statements' lines at the running service: accepted once and as a whole, resumed, refused by line."""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import httpx
import pytest

from services.settlement import errors
from services.settlement.schemas.files import LINE_MAX
from shared.events import new_id
from tests.services.settlement.fixtures import ActAs, Caller, Owner
from tests.services.settlement.test_statements import Bills, codes, his, submit
from tests.services.settlement.world import XIANGCHENG, Books, Hospital, lines_of

__all__ = ["his"]

CSV, TSV, ZIP, NDJSON = "text/csv", "text/tab-separated-values", "application/zip", "application/x-ndjson"
HEADER = ("facility_settlement_no", "settlement_id", "refund", "total_fen", "fund_fen", "account_fen")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def csv_of(bills: Bills, header: Sequence[str] = HEADER) -> bytes:
    """The bills as a CSV with our names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, lineterminator="\r\n")
    text.write(",".join(header) + "\r\n")
    writer.writerows({**line, "refund": int(line["refund"])} for line in lines_of(bills))
    return text.getvalue().encode()


def yuan(fen: int) -> str:
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def national_txt(bills: Bills) -> bytes:
    """The bills in the form of the interface (3202): no header, no number of the facility's own."""
    rows = [
        [
            b["settlement_id"],
            "V1",
            "P1",
            *(yuan(b[n]) for n in ("total_fen", "fund_fen", "account_fen")),
            "01"[b["refund"]],
        ]
        for b in lines_of(bills)
    ]
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def zip_of(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


class Month:
    """A hospital's month whose totals differ, so that its lines are wanted."""

    def __init__(self, his: Caller, books: Books, hospital: Hospital, bills: Bills, statement_id: str) -> None:
        self.his, self.books, self.hospital, self.bills, self.statement_id = his, books, hospital, bills, statement_id

    @property
    def path(self) -> str:
        return f"/v1/statements/{self.statement_id}"

    async def send(self, content: bytes, kind: str = CSV, name: str | None = None, **query: Any) -> httpx.Response:
        return await self.his.put(f"{self.path}/files/{name or sha256(content)}", content, kind, **query)

    async def lines(self) -> int:
        """Lines that are kept of the statement's files."""
        count = "SELECT count(*) FROM statement_file_line JOIN statement_file USING (file_no) WHERE statement_id = $1"
        return await self.books.value(count, self.statement_id)  # type: ignore[no-any-return]


@pytest.fixture
async def month(books: Books, hospital: Hospital, his: Caller) -> Month:
    bills: Bills = [hospital.bill(fund_fen=80_000 + n) for n in range(5)]
    bills.append(hospital.reversal(bills[0]))
    await books.hear(*bills[:-2], bills[-1])
    statement = await submit(his, hospital, bills)
    assert statement["state"] == "details_wanted"
    return Month(his, books, hospital, bills, statement["statement_id"])


def report_of(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


async def test_a_file_is_the_statements_lines(month: Month) -> None:
    """Its lines are matched like those that come in batches: the one that is not booked is found."""
    content = csv_of(month.bills)
    answer = await month.send(content)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["state"], answer.json()["lines"]) == ("accepted", 6)
    matched = (await month.his.post(f"{month.path}/match")).json()
    assert {c["difference_class"]: c["stated"]["bill_count"] for c in matched["classes"]} == {
        "agreed": 5,
        "missing_in_books": 1,
    }


async def test_the_same_file_gets_the_same_answer_and_another_is_refused(month: Month) -> None:
    content = csv_of(month.bills)
    first = await month.send(content)
    again = await month.send(content)
    assert (again.status_code, again.text) == (200, first.text)
    assert (await month.his.get(f"{month.path}/files/{sha256(content)}")).json() == first.json()
    assert await month.lines() == 6
    other = await month.send(csv_of(month.bills[::-1]))
    batch = await month.his.post(f"{month.path}/lines", {"lines": lines_of(month.bills)})
    assert codes(other) == codes(batch) == ["settlement.lines-exist"]


async def test_lines_in_batches_leave_no_room_for_a_file(month: Month) -> None:
    await month.his.post(f"{month.path}/lines", {"lines": lines_of(month.bills[:1])})
    assert codes(await month.send(csv_of(month.bills))) == ["settlement.lines-exist"]


FORMS = {
    "csv with a BOM": lambda bills: (CSV, b"\xef\xbb\xbf" + csv_of(bills)),
    "csv with the national names": lambda bills: (
        CSV,
        csv_of(bills, ("medins_setl_id", "setl_id", "refd_setl_flag", "total_fen", "fund_fen", "account_fen")),
    ),
    "csv in GB18030": lambda bills: (
        CSV,
        csv_of(bills, ("医药机构结算ID", "结算ID", "退费结算标志", "total_fen", "fund_fen", "account_fen"))
        .decode()
        .encode("gb18030"),
    ),
    "csv as a spreadsheet quotes": lambda bills: (
        CSV,
        b"\n".join(b",".join(b'"%s"' % f for f in line.split(b",")) for line in csv_of(bills).split(b"\r\n") if line)
        + b"\n,,,,,\n\n",
    ),
    "txt with a header": lambda bills: (TSV, csv_of(bills).replace(b",", b"\t")),
    "the interface's txt in a ZIP": lambda bills: (ZIP, zip_of(("3202.txt", national_txt(bills)))),
    "csv in a ZIP": lambda bills: (ZIP, zip_of(("lines.csv", csv_of(bills)))),
    "json lines": lambda bills: (NDJSON, b"\n".join(json.dumps(line).encode() for line in lines_of(bills))),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_states_the_same(month: Month, form: str) -> None:
    kind, content = FORMS[form](month.bills)
    answer = await month.send(content, kind)
    assert answer.status_code == 200, answer.text
    rows = await month.books.rows(
        """SELECT facility_settlement_no, refund, settlement_id, total_fen, fund_fen, account_fen
           FROM statement_file_line JOIN statement_file USING (file_no) WHERE statement_id = $1 ORDER BY line_no""",
        month.statement_id,
    )
    expected = [tuple(line.values()) for line in lines_of(month.bills)]
    if "interface" in form:
        expected = [(line[2], *line[1:]) for line in expected]
    assert [tuple(row) for row in rows] == expected


# Broken connections


async def staged(month: Month, name: str) -> dict[str, Any]:
    """How far a file is, once its connection is gone."""
    for _ in range(100):
        found = await month.his.get(f"{month.path}/files/{name}")
        if found.status_code == 200 and found.json()["line_reached"]:
            return found.json()  # type: ignore[no-any-return]
        await asyncio.sleep(0.05)
    pytest.fail("no progress is shown")


async def cut_off(month: Month, content: bytes, at: int, name: str) -> None:
    """Send a file whose connection breaks in its middle."""

    async def broken() -> AsyncIterator[bytes]:
        for begin in range(0, at, 100_000):
            yield content[begin : min(begin + 100_000, at)]
        await staged(month, name)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await month.his.put(f"{month.path}/files/{name}", broken(), CSV)


def many(month: Month, count: int) -> Bills:
    return [month.hospital.bill() for _ in range(count)]


@pytest.fixture
async def large(books: Books, hospital: Hospital, his: Caller) -> Month:
    """A month of more lines than are written at once."""
    kind = hospital.bill()
    bills: Bills = [
        kind.model_copy(update={"settlement_id": new_id(), "facility_settlement_no": f"L{n}"}) for n in range(30_000)
    ]
    statement = await submit(his, hospital, bills)
    return Month(his, books, hospital, bills, statement["statement_id"])


async def test_a_file_goes_on_after_the_line_it_reached(large: Month) -> None:
    content = csv_of(large.bills)
    await cut_off(large, content, len(content) * 9 // 10, sha256(content))
    progress = await staged(large, sha256(content))
    assert (progress["state"], progress["line_reached"], progress["ended_at"]) == ("receiving", 20_000, None)
    assert await large.lines() == 19_999, "the header is a line of the file"

    answer = await large.send(content)

    assert (answer.status_code, answer.json()["lines"]) == (200, 30_000)
    assert answer.json()["begun_at"] == progress["begun_at"]
    assert await large.lines() == 30_000


async def test_what_began_otherwise_is_forgotten(large: Month) -> None:
    """Somebody's wrong beginning under the name of the true file must not become a part of it."""
    content = csv_of(large.bills)
    wrong = content.replace(b"L7,", b"X7,")
    await cut_off(large, wrong, len(wrong) * 9 // 10, sha256(content))
    assert (await staged(large, sha256(content)))["line_reached"] == 20_000

    refused, answer = await large.send(content), await large.send(content)

    assert codes(refused) == ["settlement.file-hash-differs"]
    assert (answer.status_code, answer.json()["lines"]) == (200, 30_000)
    numbers = """
        SELECT count(*) FROM statement_file_line JOIN statement_file USING (file_no)
        WHERE statement_id = $1 AND facility_settlement_no = 'X7'
    """
    assert await large.books.value(numbers, large.statement_id) == 0


async def test_content_under_another_name_is_refused(month: Month) -> None:
    answer = await month.send(csv_of(month.bills), name="0" * 64)
    assert (answer.status_code, codes(answer)) == (422, ["settlement.file-hash-differs"])
    assert await month.lines() == 0


async def test_two_connections_with_one_file(large: Month) -> None:
    """Whoever comes second is told, or goes on where the first is; the lines are there once."""
    content = csv_of(large.bills)
    answers = await asyncio.gather(*(large.send(content) for _ in range(3)))
    assert 200 in {answer.status_code for answer in answers}
    assert {code for a in answers if a.status_code != 200 for code in codes(a)} <= {"settlement.file-being-sent"}
    assert (await large.send(content)).status_code == 200
    assert await large.lines() == 30_000


# Wrong files


def edited(content: bytes, line_no: int, line: bytes) -> bytes:
    lines = content.split(b"\r\n")
    lines[line_no - 1] = line
    return b"\r\n".join(lines)


async def test_every_wrong_line_is_named_in_the_report(month: Month) -> None:
    content = edited(csv_of(month.bills), 3, b"A-1,,0,1.0E+5,=1,0")
    content = edited(content, 5, b'"A-2,,0,1,1,0')
    content = edited(content, 6, b"A-3,,0,1")

    answer = await month.send(content)
    report = await month.his.get(f"{month.path}/files/{sha256(content)}/report")

    assert (answer.status_code, answer.json()["code"]) == (422, "settlement.file-refused")
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"][1:]] == [
        ("/lines/3/total", errors.VALUE_SCIENTIFIC.code),
        ("/lines/3/fund", errors.VALUE_FORMULA.code),
        ("/lines/5", errors.LINE_QUOTES.code),
        ("/lines/6", errors.LINE_COLUMNS.code),
    ]
    assert report.headers["content-type"].startswith("text/csv")
    assert [(row["line"], row["field"]) for row in report_of(report)] == [
        ("3", "total"),
        ("3", "fund"),
        ("5", ""),
        ("6", ""),
    ]
    assert "A-1" not in report.text
    assert await month.lines() == 0
    again = await month.send(content)
    assert again.json()["errors"] == answer.json()["errors"], "the same file, the same answer"
    assert (await month.send(csv_of(month.bills))).status_code == 200, "a refused file blocks no other"


async def test_a_file_of_nothing_but_errors_is_read_up_to_the_bound(month: Month) -> None:
    content = csv_of(month.bills[:1]) + b"x\r\n" * 30_000
    answer = await month.send(content)
    report = report_of(await month.his.get(f"{month.path}/files/{sha256(content)}/report"))
    assert answer.json()["errors"][0]["params"] == {"count": 1000}
    assert [row["line"] for row in report] == [str(n) for n in range(3, 1003)]
    assert await month.lines() == 0


LONG = b"A" * (LINE_MAX + 10)
WRONG: dict[str, tuple[str, Any, str]] = {
    "empty": (CSV, lambda _: b"", errors.FILE_EMPTY.code),
    "only blanks": (CSV, lambda _: b"\r\n \r\n", errors.FILE_EMPTY.code),
    "only a header": (CSV, lambda c: c.split(b"\r\n")[0] + b"\r\n", errors.FILE_EMPTY.code),
    "UTF-16": (CSV, lambda c: c.decode().encode("utf-16"), errors.FILE_ENCODING.code),
    "NUL": (CSV, lambda c: b"\0" + c, errors.FILE_ENCODING.code),
    "a header nobody knows": (CSV, lambda c: b"a,b\r\n" + c, errors.FILE_COLUMN_UNKNOWN.code),
    "10,000 columns": (CSV, lambda c: b",".join([b"x"] * 500) + b"\r\n" + c, errors.FILE_COLUMNS_MANY.code),
    "cut in the middle of a line": (CSV, lambda c: c[: len(c) - 12], errors.LINE_COLUMNS.code),
    "cut between lines": (CSV, lambda c: c[: c.rindex(b"\r\n", 0, -2)], errors.LINES_DO_NOT_ADD_UP.code),
    "a line too long": (CSV, lambda c: edited(c, 2, LONG), errors.LINE_TOO_LONG.code),
    "no line breaks at all": (CSV, lambda c: c.split(b"\r\n")[0] + b"\r\n" + LONG * 200, errors.LINE_TOO_LONG.code),
    "neither UTF-8 nor GB18030": (CSV, lambda c: edited(c, 2, b"\xff\xff\xff,,0,1,1,0"), errors.LINE_ENCODING.code),
    "amount beyond 2^53": (CSV, lambda c: edited(c, 2, b"A,,0,9007199254740993,1,0"), errors.AMOUNT_TOO_LARGE.code),
    "negative": (CSV, lambda c: edited(c, 2, b"A,,0,-1,-1,0"), errors.AMOUNT_SIGN.code),
    "ZIP cut off": (ZIP, lambda c: zip_of(("a.csv", c))[:-30], errors.FILE_DAMAGED.code),
    "ZIP that is none": (ZIP, lambda c: c, errors.FILE_DAMAGED.code),
    "ZIP damaged inside": (ZIP, lambda c: damaged(zip_of(("a.csv", c))), errors.FILE_DAMAGED.code),
    "ZIP of two": (ZIP, lambda c: zip_of(("a.csv", c), ("b.csv", c)), errors.FILE_MEMBERS.code),
    "ZIP of none": (ZIP, lambda _: zip_of(), errors.FILE_MEMBERS.code),
    "ZIP of another kind": (ZIP, lambda c: zip_of(("a.exe", c)), errors.FILE_MEMBERS.code),
    "path in the name": (ZIP, lambda c: zip_of(("../../a.csv", c)), errors.FILE_MEMBER_NAME.code),
    "absolute name": (ZIP, lambda c: zip_of(("/a.csv", c)), errors.FILE_MEMBER_NAME.code),
    "Windows path": (ZIP, lambda c: zip_of(("c:\\a.csv", c)), errors.FILE_MEMBER_NAME.code),
    "ZIP bomb": (ZIP, lambda _: zip_of(("a.csv", b"0" * 50_000_000)), errors.FILE_BOMB.code),
    "ZIP bomb that lies": (ZIP, lambda _: lying(zip_of(("a.csv", b"0" * 50_000_000))), errors.FILE_DAMAGED.code),
}


def damaged(packed: bytes) -> bytes:
    return packed[:60] + bytes(b ^ 255 for b in packed[60:80]) + packed[80:]


def lying(packed: bytes) -> bytes:
    """The same with a size in its directory that is not true."""
    return packed.replace((50_000_000).to_bytes(4, "little"), (1_000).to_bytes(4, "little"))


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_file_leaves_nothing(month: Month, case: str) -> None:
    kind, spoil, code = WRONG[case]
    content = spoil(csv_of(month.bills))
    answer = await month.send(content, kind)
    assert answer.status_code == 422, answer.text
    assert code in codes(answer)
    assert await month.lines() == 0
    assert (await month.his.get(f"{month.path}/files/{sha256(content)}")).json()["state"] == "refused"
    assert (await month.his.post(f"{month.path}/match")).json()["code"] == "settlement.lines-missing"


async def test_foreign_facility(month: Month) -> None:
    header, *lines = csv_of(month.bills).decode().splitlines()
    content = "\n".join([f"{header},fixmedins_code", *(f"{line},H99999999999" for line in lines)]).encode()
    answer = await month.send(content)
    assert {error["code"] for error in answer.json()["errors"][1:]} == {errors.FACILITY_FOREIGN.code}


async def test_who_and_what_may_send(month: Month, act_as: ActAs) -> None:
    content = csv_of(month.bills)
    path = f"{month.path}/files/{sha256(content)}"
    stranger = await act_as("facility", Hospital().code).put(path, content, CSV)
    unseen = await act_as("officer", XIANGCHENG).get(path)
    unknown = await month.his.put(path.replace(month.statement_id, new_id()), content, CSV)
    kind = await month.his.put(path, content, "application/pdf")
    none = await month.his.get(path)
    assert [codes(a)[0] for a in (stranger, unseen, unknown, kind, none)] == [
        "auth.not-your-area",
        "auth.not-your-area",
        "settlement.statement-unknown",
        "settlement.file-type",
        "settlement.file-unknown",
    ]
    assert (await month.his.put(f"{month.path}/files/ABC", content, CSV)).status_code == 404


async def test_a_replaced_statement_takes_no_file(month: Month) -> None:
    await submit(month.his, month.hospital, [])
    assert codes(await month.send(csv_of(month.bills))) == ["settlement.statement-replaced"]


# Mappings

MAPPING = """
columns: {facility_settlement_no: 单据号, settlement_id: 平台号, refund: 退费, total: 总金额, fund: 基金, account: 账户}
refund_values: {refund: [是], settlement: [否]}
encoding: gb18030
"""


def theirs(bills: Bills) -> bytes:
    """The bills under the names of some hospital's system."""
    lines = ["机器,单据号,平台号,退费,总金额,基金,账户"]
    for b in lines_of(bills):
        amounts = (
            f'"{int(yuan(b[n]).split(".")[0]):,}.{yuan(b[n])[-2:]}"' for n in ("total_fen", "fund_fen", "account_fen")
        )
        lines.append(",".join(["7", b["facility_settlement_no"], b["settlement_id"], "否是"[b["refund"]], *amounts]))
    return "\n".join(lines).encode("gb18030")


async def test_a_mapping_is_tried_saved_and_used(month: Month) -> None:
    content = theirs(month.bills)
    sample = base64.b64encode(content).decode()
    tried = await month.his.post("/v1/statement-mappings/trials", {"mapping": MAPPING, "sample_base64": sample})
    bare = await month.his.post("/v1/statement-mappings/trials", {"sample_base64": sample})
    unknown = await month.send(content, mapping="kiosk")
    unmapped = await month.send(content)
    saved = await month.his.put("/v1/statement-mappings/kiosk", json.dumps({"mapping": MAPPING}).encode())
    again = await month.his.put("/v1/statement-mappings/kiosk", json.dumps({"mapping": MAPPING}).encode())
    answer = await month.send(content, mapping="kiosk")

    assert [line["fund_fen"] for line in tried.json()["lines"]] == [line["fund_fen"] for line in lines_of(month.bills)]
    assert tried.json()["refusals"] == []
    assert {r["code"] for r in bare.json()["refusals"]} >= {errors.FILE_COLUMN_UNKNOWN.code}
    assert codes(unknown) == ["settlement.mapping-unknown"]
    assert codes(unmapped)[0] == "settlement.file-refused"
    assert (saved.json()["version_no"], again.json()["version_no"]) == (1, 2)
    assert (answer.status_code, answer.json()["lines"]) == (200, 6), "refused without the mapping, read with it"
    assert (answer.json()["mapping"], answer.json()["mapping_version_no"]) == ("kiosk", 2)
    listed = (await month.his.get("/v1/statement-mappings")).json()["items"]
    assert [(item["name"], item["version_no"]) for item in listed] == [("kiosk", 2)]


async def test_a_mapping_that_is_not_in_order_is_not_saved(month: Month) -> None:
    answer = await month.his.put("/v1/statement-mappings/bad", json.dumps({"mapping": "columns: {}"}).encode())
    assert {error["code"] for error in answer.json()["errors"]} == {errors.MAPPING_INVALID.code}
    assert (await month.his.get("/v1/statement-mappings")).json()["items"] == []
    tried = await month.his.post("/v1/statement-mappings/trials", {"mapping": "]", "sample_base64": "YWFhYQ=="})
    assert [r["code"] for r in tried.json()["refusals"]] == [errors.MAPPING_INVALID.code]


# What the database itself refuses


async def test_accepted_lines_stand(month: Month, owner: Owner) -> None:
    await month.send(csv_of(month.bills))
    file_no = await month.books.value("SELECT file_no FROM statement_file WHERE statement_id = $1", month.statement_id)
    for statement in (
        "UPDATE statement_file_line SET total_fen = 1 WHERE file_no = $1",
        "DELETE FROM statement_file_line WHERE file_no = $1",
        "INSERT INTO statement_file_line VALUES ($1, 99, 'x', false, NULL, 1, 1, 0, NULL)",
        "UPDATE statement_file SET line_count = 1 WHERE file_no = $1",
        "DELETE FROM statement_file WHERE file_no = $1",
    ):
        with pytest.raises((asyncpg.RestrictViolationError, asyncpg.CheckViolationError)):
            await owner.execute(statement, file_no)
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("TRUNCATE statement_file_line")
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute("INSERT INTO statement_file_line VALUES (-1, 1, 'x', false, NULL, 1, 1, 0, NULL)")
