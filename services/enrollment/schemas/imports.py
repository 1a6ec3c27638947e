"""The CSV of a bulk import: bytes to checked lines, and the report on them.

Every physical line is read for itself, for no value holds a line break: an unmatched quote spoils one line and not the
rest of the file.
"""

from __future__ import annotations

import asyncio
import codecs
import csv
from collections.abc import AsyncIterator, Sequence
from typing import NoReturn

from pydantic import ConfigDict, ValidationError

from services.enrollment import errors
from services.enrollment.rules.people import RESIDENT_IDENTITY_CARD, Insurance, PersonData
from services.enrollment.schemas.people import BankAccount, IdentityNumber, InsuranceCode, Name, Phone, Unshown
from services.enrollment.use_cases.imports import ImportReport, Line, RefusedLine
from shared.http import problems
from shared.http.types import Body, Day, RegionCode, View
from shared.http.uploads import SNIFFED_BYTES, charset_of
from shared.refusals import Refused

LINE_MAX = 2_000
"""The longest line, in characters; one in order has about a hundred."""


class ImportLine(Unshown, Body):
    """One line of the file; its fields are the columns."""

    identity_number: IdentityNumber
    name: Name
    phone: Phone | None = None
    bank_account: BankAccount | None = None
    insutype: InsuranceCode
    psn_type: InsuranceCode
    region: RegionCode
    valid_from: Day
    valid_to: Day | None = None

    def value(self, number: int) -> Line:
        """What the line states."""
        data = PersonData(RESIDENT_IDENTITY_CARD, self.identity_number, self.name, self.phone, self.bank_account)
        insurance = Insurance(self.insutype, self.psn_type, self.region, self.valid_from, self.valid_to)
        return Line(number, data, insurance)


COLUMNS = tuple(ImportLine.model_fields)

EXAMPLE = ",".join(COLUMNS) + "\n411603198001010010,王小明,13812345678,6222020200112341234,310,11,411603,2026-01-01,\n"
"""A file of one line."""


class RefusedLineView(View):
    """One thing that speaks against one line; the line itself is not repeated."""

    line: int
    """The line of the file; the header is line 1."""
    code: str
    column: str | None
    detail: str


class ImportView(View):
    """What an import led to; `rows` is the sum of the four counts after it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "rows": 1200,
                    "enrolled": 1100,
                    "changed": 40,
                    "unchanged": 59,
                    "refused": 1,
                    "refusals": [
                        {
                            "line": 17,
                            "code": "enrollment.identity-number-invalid",
                            "column": "identity_number",
                            "detail": "证件号码不正确（位数、出生日期或校验码）。",
                        }
                    ],
                }
            ]
        }
    )

    rows: int
    enrolled: int
    changed: int
    unchanged: int
    refused: int
    refusals: list[RefusedLineView]
    """What speaks against refused lines, 1,000 of them at most (`SIFANG_ENROLLMENT_IMPORT_REFUSALS_MAX`)."""

    @classmethod
    def of(cls, report: ImportReport, language: str) -> ImportView:
        """The view of a report in a language."""
        refusals = [
            RefusedLineView(
                line=line.number,
                code=refusal.code,
                column=refusal.pointer.strip("/") if refusal.pointer else None,
                detail=refusal.text(language),
            )
            for line in report.refusals
            for refusal in line.refusals
        ]
        return cls(
            rows=report.rows,
            enrolled=report.enrolled,
            changed=report.changed,
            unchanged=report.unchanged,
            refused=report.refused,
            refusals=refusals,
        )


async def read_csv(
    chunks: AsyncIterator[bytes], charset: str | None, chunk_lines: int
) -> AsyncIterator[Sequence[Line | RefusedLine]]:
    """The lines of a file, some at a time. Raises Refused when its first line does not name the columns."""
    columns: list[str] | None = None
    waiting: list[tuple[int, str]] = []
    async for lines in _numbered(_decoded(chunks, charset)):
        if columns is None and lines:
            columns = _header(lines.pop(0)[1])
        waiting += lines
        while len(waiting) >= chunk_lines:
            yield await asyncio.to_thread(_parsed, waiting[:chunk_lines], columns or [])
            del waiting[:chunk_lines]
    if columns is None:
        _refuse_header()
    if waiting:
        yield await asyncio.to_thread(_parsed, waiting, columns)


async def _decoded(chunks: AsyncIterator[bytes], charset: str | None) -> AsyncIterator[str]:
    """The text of a file. Bytes that are none become surrogates, which no field takes: the line is refused."""
    head = b""
    while len(head) < SNIFFED_BYTES and (chunk := await anext(chunks, None)) is not None:
        head += chunk
    decoder = codecs.getincrementaldecoder(charset or charset_of(head))(errors="surrogateescape")
    yield decoder.decode(head).removeprefix("\ufeff")
    async for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


async def _numbered(texts: AsyncIterator[str]) -> AsyncIterator[list[tuple[int, str]]]:
    """Lines with their numbers, without the empty ones that spreadsheets leave."""
    number, rest = 0, ""
    async for text in texts:
        *lines, rest = (rest + text).split("\n")
        rest = rest[: LINE_MAX + 1]  # a file without line breaks must not fill the memory
        yield [(number + i, line) for i, line in enumerate(lines, 1) if line.strip(", \t\r")]
        number += len(lines)
    if rest.strip(", \t\r"):
        yield [(number + 1, rest)]


def _header(line: str) -> list[str]:
    columns = [column.strip() for column in _fields(line) or ()]
    if sorted(columns) != sorted(COLUMNS):
        _refuse_header()
    return columns


def _refuse_header() -> NoReturn:
    raise Refused(errors.IMPORT_HEADER(columns=",".join(COLUMNS)))


def _fields(line: str) -> list[str] | None:
    """The fields of a line; None when its quotes do not match."""
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line.rstrip("\r")], strict=True))
    except csv.Error:
        return None


def _parsed(lines: Sequence[tuple[int, str]], columns: Sequence[str]) -> list[Line | RefusedLine]:
    return [_line(number, text, columns) for number, text in lines]


def _line(number: int, text: str, columns: Sequence[str]) -> Line | RefusedLine:
    if len(text) > LINE_MAX:
        return RefusedLine(number, (errors.IMPORT_LINE_TOO_LONG(limit=LINE_MAX),))
    fields = _fields(text)
    if fields is None:
        return RefusedLine(number, (errors.IMPORT_QUOTES(),))
    if len(fields) != len(columns):
        return RefusedLine(number, (errors.IMPORT_COLUMNS(expected=len(columns), got=len(fields)),))
    stripped = zip(columns, map(str.strip, fields), strict=True)
    try:
        return ImportLine.model_validate_strings({name: text for name, text in stripped if text}).value(number)
    except ValidationError as error:
        return RefusedLine(number, tuple(problems.from_validation(error, "")))
