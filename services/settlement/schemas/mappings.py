"""Mappings of a file's columns: declared, saved, and tried on the beginning of a file."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from services.settlement.rules.files import RefusedLine, StatedLine
from services.settlement.rules.mappings import SOURCE_MAX, Mapping, read_mapping
from services.settlement.schemas.files import Form, Reading, read_file
from services.settlement.store.files import SavedMapping
from shared.http.types import Body, View
from shared.refusals import Refusal, Refused

TRIAL_LINES = 50
"""Lines of a sample that are shown."""

_MAPPING = """columns:
  facility_settlement_no: 单据号
  settlement_id: 医保结算号
  refund: 是否退费
  total: 总金额
  fund: 统筹基金
  account: 个人账户
refund_values: {refund: [是], settlement: [否]}
amounts: yuan
encoding: gb18030
"""
_SAMPLE = """单据号,医保结算号,是否退费,总金额,统筹基金,个人账户
A-0001,01KAJ5T1D4GQ7X8Z2V3N4M5P6Q,否,"6,500.00",4000.00,0.00
"""
_SAVED: dict[str, JsonValue] = {
    "name": "his-2026",
    "version_no": 1,
    "mapping": _MAPPING,
    "saved_by": "his-1",
    "saved_at": "2026-11-02T01:00:00Z",
}

Source = Annotated[str, Field(min_length=1, max_length=SOURCE_MAX)]
"""A mapping as YAML; what it may say is in docs/settlement.md."""


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    return text


class MappingBody(Body):
    """A mapping to be saved."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"mapping": _MAPPING}]})

    mapping: Source


class MappingView(View):
    """A saved mapping, its newest version."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SAVED]})

    name: str
    version_no: int
    mapping: str
    saved_by: str
    saved_at: datetime

    @classmethod
    def of(cls, saved: SavedMapping) -> MappingView:
        """The view of a mapping."""
        return cls(
            name=saved.name,
            version_no=saved.version_no,
            mapping=saved.source,
            saved_by=saved.saved_by,
            saved_at=saved.saved_at,
        )


class TrialBody(Body):
    """A mapping, or none, and the beginning of a file, as its bytes are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "form": "csv",
                    "mapping": _MAPPING,
                    "sample_base64": base64.b64encode(_SAMPLE.encode("gb18030")).decode(),
                }
            ]
        }
    )

    form: Literal["csv", "txt", "jsonl"] = "csv"
    mapping: Source | None = None
    sample_base64: Annotated[str, Field(min_length=4, max_length=200_000), AfterValidator(_is_base64)]


class TriedLineView(View):
    """One line as it is understood. Amounts in fen."""

    line: int
    facility_settlement_no: str
    refund: bool
    settlement_id: str | None
    total_fen: int
    fund_fen: int
    account_fen: int
    settled_on: date | None

    @classmethod
    def of(cls, line: StatedLine) -> TriedLineView:
        """The view of a line."""
        return cls(line=line.line_no, **{k: v for k, v in line._asdict().items() if k != "line_no"})


class TrialRefusalView(View):
    """One thing that is wrong: with a line, with the whole file, or with the mapping."""

    line: int | None
    field: str | None
    code: str
    detail: str

    @classmethod
    def of(cls, line_no: int | None, refusal: Refusal, language: str) -> TrialRefusalView:
        """The view of a refusal in a language."""
        field = refusal.pointer.rpartition("/")[2] if refusal.pointer else None
        return cls(line=line_no, field=field, code=refusal.code, detail=refusal.text(language))


class TrialView(View):
    """The first lines of a sample as they are understood, and what is wrong."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "lines": [
                        {
                            "line": 2,
                            "facility_settlement_no": "A-0001",
                            "refund": False,
                            "settlement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
                            "total_fen": 650000,
                            "fund_fen": 400000,
                            "account_fen": 0,
                            "settled_on": None,
                        }
                    ],
                    "refusals": [],
                }
            ]
        }
    )

    lines: list[TriedLineView]
    refusals: list[TrialRefusalView]


async def try_mapping(body: TrialBody, facility_code: str | None, language: str) -> TrialView:
    """Read the first lines of a sample by a mapping."""
    mapping = read_mapping(body.mapping) if body.mapping else None
    if isinstance(mapping, list):
        return TrialView(lines=[], refusals=[TrialRefusalView.of(None, r, language) for r in mapping])
    try:
        lines, refused = await _first_lines(body, mapping, facility_code)
    except Refused as all_wrong:
        return TrialView(lines=[], refusals=[TrialRefusalView.of(None, r, language) for r in all_wrong])
    wrong = [TrialRefusalView.of(line.line_no, r, language) for line in refused for r in line.refusals]
    return TrialView(lines=[TriedLineView.of(line) for line in lines], refusals=wrong)


async def _first_lines(
    body: TrialBody, mapping: Mapping | None, facility_code: str | None
) -> tuple[Sequence[StatedLine], Sequence[RefusedLine]]:
    sample = base64.b64decode(body.sample_base64)

    async def content() -> AsyncIterator[bytes]:
        yield sample

    async for chunk in read_file(content(), Reading(Form(body.form), mapping, facility_code, TRIAL_LINES + 1)):
        return chunk.lines, chunk.refused
    return (), ()
