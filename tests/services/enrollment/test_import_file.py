"""Reading the import file: encodings, quotes, line ends, and what is wrong with a line. No service is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import State
from starlette.requests import Request

from services.enrollment.api.imports import _bounded, _charset
from services.enrollment.rules.people import Insurance, PersonData
from services.enrollment.schemas.imports import COLUMNS, EXAMPLE, LINE_MAX, read_csv
from services.enrollment.use_cases.imports import Line, RefusedLine
from shared.refusals import Refused
from shared.settings import Settings
from tests.services.enrollment.people import COLUMNS as HEADER

GOOD = "32999919900101001X,王小明,13812345678,6222020200112341234,310,11,411603,2026-01-01,"
EXPECTED = Line(
    2,
    PersonData("01", "32999919900101001X", "王小明", "13812345678", "6222020200112341234"),
    Insurance("310", "11", "411603", date(2026, 1, 1)),
)


def read(*chunks: bytes, charset: str | None = None, chunk_lines: int = 2) -> list[Line | RefusedLine]:
    """All lines of a file that arrives in some chunks."""

    async def arriving() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def all_lines() -> list[Line | RefusedLine]:
        return [line async for some in read_csv(arriving(), charset, chunk_lines) for line in some]

    return asyncio.run(all_lines())


def file(*lines: str, header: str = HEADER) -> bytes:
    return "\n".join([header, *lines]).encode()


def test_the_columns_and_the_example_are_those_of_the_documentation() -> None:
    assert ",".join(COLUMNS) == HEADER
    assert isinstance(read(EXAMPLE.encode())[0], Line)


@pytest.mark.parametrize(
    "content",
    [
        file(GOOD),
        file(GOOD + "\n"),
        file(GOOD).replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + file(GOOD),
        file(GOOD).decode().encode("gb18030"),
        file('"32999919900101001X","王小明",13812345678,"6222020200112341234",310,11,411603,2026-01-01,""'),
        file(" 32999919900101001x ,\t王小明,13812345678 , 6222020200112341234,310,11,411603,2026-01-01,"),
        file(",".join(reversed(GOOD.split(","))), header=",".join(reversed(HEADER.split(",")))),
        file(GOOD, "", ",,,,,,,,", "\r"),
    ],
)
def test_ways_to_write_the_same_line(content: bytes) -> None:
    assert read(content) == [EXPECTED]


def test_a_named_charset_counts() -> None:
    # These two characters in GB18030 are also valid UTF-8, for something else.
    content = file(GOOD.replace("王小明", "陆路")).decode().encode("gb18030")
    (guessed,), (named,) = read(content), read(content, charset="gb18030")
    assert isinstance(named, Line)
    assert named.data.name == "陆路"
    assert isinstance(guessed, Line)
    assert guessed.data.name == "½·"


def test_numbers_are_those_of_the_file() -> None:
    lines = read(file("", GOOD, "", "", "x", GOOD))
    assert [line.number for line in lines] == [3, 6, 7]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("a,b", [("enrollment.import-columns", None)]),
        (GOOD + ",", [("enrollment.import-columns", None)]),
        (GOOD.replace("王", '"王'), [("enrollment.import-quotes", None)]),
        (GOOD.replace("王小明", '"王"小明'), [("enrollment.import-quotes", None)]),
        (GOOD.replace("王", "王" * LINE_MAX), [("enrollment.import-line-too-long", None)]),
        (GOOD.replace("2026-01-01", "2025-02-29"), [("request.field-invalid", "/valid_from")]),
        (GOOD.replace("2026-01-01", "2026/1/1"), [("request.field-invalid", "/valid_from")]),
        (GOOD.replace("2026-01-01", "46023"), [("request.field-invalid", "/valid_from")]),
        (GOOD + "9999-12-31", [("request.field-invalid", "/valid_to")]),
        (GOOD.replace("32999919900101001X", "3.3E+17"), [("request.field-invalid", "/identity_number")]),
        (GOOD.replace("王小明", "王\x00明"), [("request.field-invalid", "/name")]),
        (GOOD.replace("王小明", ""), [("request.field-missing", "/name")]),
        (GOOD.replace("王小明", "=1+1|cmd").replace("310,11", "three,x"), [
            ("request.field-invalid", "/insutype"), ("request.field-invalid", "/psn_type"),
        ]),
        ("329999199001010011,王,x,y,310,11,z,,", [
            ("request.field-invalid", "/phone"),
            ("request.field-invalid", "/bank_account"),
            ("request.field-invalid", "/region"),
            ("request.field-missing", "/valid_from"),
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_line(line: str, wrong: list[tuple[str, str | None]]) -> None:
    refused, good = read(file(line, GOOD))
    assert isinstance(refused, RefusedLine)
    assert [(r.code, r.pointer) for r in refused.refusals] == wrong
    assert isinstance(good, Line)


def test_bytes_that_are_no_text_spoil_their_line_only() -> None:
    broken = file(GOOD, GOOD, GOOD).replace("王小明".encode(), b"\xe7\x8e\xff", 1)
    lines = read(broken)
    assert [line.number for line in lines if isinstance(line, RefusedLine)] == [2]
    assert [line.data.name for line in lines if isinstance(line, Line)] == ["王小明"] * 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        GOOD.encode(),
        file(GOOD, header=HEADER + ",sex"),
        file(GOOD, header=HEADER.replace("phone", "tel")),
        file(GOOD, header=HEADER.replace("phone", "name")),
        file(GOOD).decode().encode("utf-16"),
        b"\x00" * 5000,
        b"x" * 3_000_000,
        b'"',
    ],
)
def test_another_header_is_refused(content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read(content)
    assert [refusal.code for refusal in refused.value] == ["enrollment.import-header"]


@given(st.lists(st.integers(0, 400), max_size=8), st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]))
def test_where_the_file_is_cut_makes_no_difference(cuts: list[int], charset: str) -> None:
    text = "\r\n".join([HEADER, GOOD, GOOD.replace("王小明", '"李, 雷"'), "", "x,y", GOOD])
    content = text.encode(charset)
    ends = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    chunks: Sequence[bytes] = [content[a:b] for a, b in pairwise(ends)]
    assert read(*chunks) == read(content)
    assert [line.number for line in read(content)] == [2, 3, 5, 6]


def request(body: list[bytes], headers: dict[str, str], limit: int) -> Request:
    """A request whose body arrives in pieces, to an application with a limit."""

    class App:
        state = State({"edge": State({"settings": Settings(http_import_max_bytes=limit)})})

    pieces = [{"type": "http.request", "body": b, "more_body": i < len(body)} for i, b in enumerate(body, 1)]
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def receive() -> dict[str, object]:
        return pieces.pop(0)

    return Request({"type": "http", "method": "POST", "headers": raw, "app": App}, receive)


@pytest.mark.parametrize(
    ("body", "headers", "received"),
    [
        ([b"12345"], {}, 1),
        ([b"12345"], {"content-length": "5"}, 1),
        ([b"123", b"45"], {}, 2),
        ([b"123", b"456"], {}, None),
        ([b""], {"content-length": "6"}, None),
    ],
)
async def test_a_file_is_bounded(body: list[bytes], headers: dict[str, str], received: int | None) -> None:
    chunks = _bounded(request(body, headers, limit=5))
    if received is None:
        with pytest.raises(Refused, match=r"request\.too-large"):
            [chunk async for chunk in chunks]
    else:
        assert len([chunk async for chunk in chunks if chunk]) == received


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/csv", None),
        ("text/CSV; charset=UTF-8", "utf-8"),
        ('text/csv; header=present; charset="gb2312"', "gb18030"),
        ("text/csv; charset=GBK", "gb18030"),
    ],
)
def test_charsets(content_type: str, charset: str | None) -> None:
    assert _charset(request([], {"content-type": content_type}, 5)) == charset


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "text/csv; charset=utf-16"])
def test_other_content_is_refused(content_type: str) -> None:
    with pytest.raises(Refused, match=r"enrollment\.import-not-csv"):
        _charset(request([], {"content-type": content_type}, 5))
