"""Files of a statement's lines: bytes to chunks of checked lines, and what is shown of a file.

Every physical line is read for itself, for no value holds a line break: an unmatched quote spoils one line and not the
rest of the file. A file is cut into chunks by the number of its lines, so that one whose connection broke is cut
alike when it is sent again.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import count
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError

from services.settlement import errors
from services.settlement.rules.files import (
    NATIONAL_ORDER,
    QuickReader,
    RefusedLine,
    StatedLine,
    looks_headless,
    make_layout,
    read_line,
)
from services.settlement.rules.mappings import Charset, Mapping
from services.settlement.schemas.statements import LineBody
from services.settlement.store.files import File, LineRefusal
from services.settlement.use_cases.files import Chunk
from shared.http import problems
from shared.http.types import Code, Query, View
from shared.http.uploads import SNIFFED_BYTES, charset_of
from shared.refusals import Refused

LINE_MAX = 4_000
"""The longest line, in bytes; one in order has about a hundred."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""The SHA-256 of a file as it is sent, in hexadecimal."""


class Form(StrEnum):
    """What a file's lines are."""

    CSV = "csv"
    TXT = "txt"
    """Separated by tabs: the form of the national interface (3202)."""
    JSON_LINES = "jsonl"


EXAMPLES = {
    "text/csv": "facility_settlement_no,settlement_id,refund,total_fen,fund_fen,account_fen\n"
    "H41160300001-20261002-000123,01KAJ5T1D4GQ7X8Z2V3N4M5P6Q,0,650000,400000,0\n",
    "text/tab-separated-values": "setl_id\tmdtrt_id\tpsn_no\tmedfee_sumamt\tfund_pay_sumamt\tacct_pay\trefd_setl_flag\n"
    "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q\t\t\t6500.00\t4000.00\t0.00\t0\n",
    "application/zip": "a ZIP with one .txt, .csv or .jsonl file",
    "application/x-ndjson": '{"facility_settlement_no":"H41160300001-20261002-000123","refund":false,'
    '"settlement_id":"01KAJ5T1D4GQ7X8Z2V3N4M5P6Q","total_fen":650000,"fund_fen":400000,"account_fen":0}\n',
}
"""A file of one line in each form."""

Parse = Callable[[int, bytes], StatedLine | RefusedLine | None]
"""Reads one line by its number; None for one that holds nothing, as spreadsheets leave them."""


class FileQuery(Query):
    """How a file is to be read."""

    mapping: Code | None = None
    """The name of a saved mapping of the caller's; without it the columns have the names everybody knows."""


class FileView(View):
    """One file of a statement's lines, and how far it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "statement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "state": "accepted",
                    "mapping": None,
                    "mapping_version_no": None,
                    "line_reached": 1000001,
                    "lines": 1000000,
                    "wrong": 0,
                    "begun_at": "2026-11-02T01:00:00Z",
                    "ended_at": "2026-11-02T01:00:09Z",
                }
            ]
        }
    )

    statement_id: str
    sha256: str
    state: str
    """receiving, accepted, refused."""
    mapping: str | None
    mapping_version_no: int | None
    line_reached: int
    """The last line of the file that was read and kept; what is sent again goes on after it."""
    lines: int
    """Lines that were understood."""
    wrong: int
    """Things that are wrong, all named in the report up to its bound."""
    begun_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, file: File) -> FileView:
        """The view of a file."""
        return cls(
            statement_id=file.statement_id,
            sha256=file.sha256,
            state=file.state,
            mapping=file.mapping_name,
            mapping_version_no=file.mapping_version_no,
            line_reached=file.line_reached,
            lines=file.line_count,
            wrong=file.wrong_count,
            begun_at=file.begun_at,
            ended_at=file.ended_at,
        )


REPORT_HEADER = ("line", "field", "code", "detail")


def report_csv(refusals: Sequence[LineRefusal], language: str) -> str:
    """What is wrong with a file, as a CSV that spreadsheets open; no value of the file is repeated."""
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text)
    writer.writerow(REPORT_HEADER)
    for line_no, refusal in refusals:
        field = (refusal.pointer or "").rpartition("/")[2]
        writer.writerow((line_no or "", field, refusal.code, refusal.text(language)))
    return text.getvalue()


# Bytes to lines


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read."""

    form: Form
    mapping: Mapping | None
    facility_code: str | None
    """The only facility its lines may name; None for any."""
    chunk_lines: int
    from_line: int = 0
    """Up to here its lines are known already: they make the first chunk."""


async def read_file(content: AsyncIterator[bytes], reading: Reading) -> AsyncGenerator[Chunk, None]:
    """The lines of a file, some at a time. Raises Refused when its beginning tells that it cannot be read."""
    head = b""
    while len(head) < SNIFFED_BYTES and (more := await anext(content, None)) is not None:
        head += more
    _check_beginning(head)
    parse, numbered = None, True
    hasher = hashlib.sha256()
    async for first_no, block in _blocks(_resumed(head, content), reading):
        hasher.update(b"\n".join(block))
        if parse is None:
            parse, numbered = _parser(block[0], head, reading)
        known = first_no + len(block) - 1 <= reading.from_line
        lines, refused = ([], []) if known else await asyncio.to_thread(_parsed, parse, first_no, block)
        yield Chunk(first_no, first_no + len(block) - 1, lines, refused, hasher.digest(), numbered)


def _check_beginning(head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:1000]:
        raise Refused(errors.FILE_ENCODING())
    if not head.strip():
        raise Refused(errors.FILE_EMPTY())


async def _resumed(head: bytes, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head.removeprefix(b"\xef\xbb\xbf")
    async for more in content:
        yield more


async def _blocks(content: AsyncIterator[bytes], reading: Reading) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Lines in blocks of a fixed number, each with the number of its first line."""
    begin, waiting, rest = 1, list[bytes](), b""
    async for more in content:
        *lines, rest = (rest + more).split(b"\n")
        rest = rest[: LINE_MAX + 1]  # a file without line breaks must not fill the memory
        waiting += lines
        while len(waiting) >= (wanted := _block_size(begin, reading)):
            yield begin, [line[: LINE_MAX + 1] for line in waiting[:wanted]]
            del waiting[:wanted]
            begin += wanted
    if rest:
        waiting.append(rest)
    if waiting:
        yield begin, [line[: LINE_MAX + 1] for line in waiting]


def _block_size(begin: int, reading: Reading) -> int:
    known = reading.from_line - begin + 1
    return min(known, reading.chunk_lines) if known > 0 else reading.chunk_lines


def _parsed(parse: Parse, first_no: int, block: Sequence[bytes]) -> tuple[list[StatedLine], list[RefusedLine]]:
    lines, refused = [], []
    for line_no, line in zip(count(first_no), block):
        match parse(line_no, line):
            case StatedLine() as stated:
                lines.append(stated)
            case RefusedLine() as wrong:
                refused.append(wrong)
    return lines, refused


# Lines to values


def _parser(first: bytes, head: bytes, reading: Reading) -> tuple[Parse, bool]:
    """What reads the lines of this file, and whether they give numbers. Raises Refused when columns are not named."""
    if reading.form is Form.JSON_LINES:
        return _json_line, True
    mapping = reading.mapping
    named = mapping.charset if mapping else Charset.AUTO
    charset = charset_of(head) if named is Charset.AUTO else named.value
    delimiter = (mapping and mapping.delimiter) or ("\t" if reading.form is Form.TXT else ",")
    header = _fields(_decoded(first, charset).rstrip("\r"), delimiter)
    if header is None:
        raise Refused(errors.LINE_QUOTES(pointer="/lines/1"))
    headless = mapping is None and reading.form is Form.TXT and looks_headless(header)
    layout = make_layout(NATIONAL_ORDER if headless else header, mapping, reading.facility_code)
    if isinstance(layout, list):
        raise Refused(*layout)
    quick = QuickReader(layout, delimiter)

    def parse(line_no: int, raw: bytes) -> StatedLine | RefusedLine | None:
        try:
            line = raw.decode(charset).removesuffix("\r")
        except UnicodeDecodeError:
            return RefusedLine(line_no, (errors.LINE_ENCODING(charset=charset.upper()),))
        if (stated := quick.read(line_no, line)) is not None:
            return stated
        if (line_no == 1 and not headless) or not line.strip(f'{delimiter}, \t\r"'):
            return None
        if len(raw) > LINE_MAX:
            return RefusedLine(line_no, (errors.LINE_TOO_LONG(limit=LINE_MAX),))
        values = _fields(line, delimiter)
        return RefusedLine(line_no, (errors.LINE_QUOTES(),)) if values is None else read_line(layout, line_no, values)

    return parse, layout.numbered


def _decoded(first: bytes, charset: str) -> str:
    try:
        return first.decode(charset)
    except UnicodeDecodeError:
        raise Refused(errors.LINE_ENCODING(pointer="/lines/1", charset=charset.upper())) from None


def _fields(line: str, delimiter: str) -> list[str] | None:
    """The fields of a line; None when its quotes do not match."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([_unwrapped(line, delimiter)], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _unwrapped(line: str, delimiter: str) -> str:
    """Numbers that a spreadsheet keeps as text by ="…" are no quoted fields: without their mark they would be."""
    return delimiter.join(
        field[2:-1] if field.startswith('="') and field.endswith('"') and len(field) > 3 else field
        for field in line.split(delimiter)
    )


def _json_line(line_no: int, raw: bytes) -> StatedLine | RefusedLine | None:
    if not raw.strip():
        return None
    if len(raw) > LINE_MAX:
        return RefusedLine(line_no, (errors.LINE_TOO_LONG(limit=LINE_MAX),))
    try:
        line = LineBody.model_validate_json(raw).line()
    except ValidationError as error:
        return RefusedLine(line_no, tuple(problems.from_validation(error, "")))
    return StatedLine(line_no, *line, settled_on=None)
