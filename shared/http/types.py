"""Field types for bodies, queries and paths: what is checked at the edge is checked here, once for all services."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import core_schema

from shared.money import MAX_FEN

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)


_UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Categories of characters that are not shown, or turn around how others are shown."""


def _printable(text: str) -> str:
    if any(unicodedata.category(c) in _UNPRINTABLE for c in text):
        raise ValueError("control, direction or unassigned characters are not allowed")
    if text != text.strip():
        raise ValueError("leading or trailing blanks are not allowed")
    return text


class _Written:
    """Takes a day or moment only as it is written out: without it, "0" would be read as seconds since 1970.

    A chain of the validator's own schemas, because a Python function for each of a bill's lines would cost more than
    the rest of the line.
    """

    def __init__(self, pattern: str, form: str) -> None:
        self._pattern, self._form = pattern, form

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        inner: Any = {**handler(source), "strict": False}
        return core_schema.chain_schema([core_schema.str_schema(pattern=self._pattern), inner])

    def __get_pydantic_json_schema__(self, _: Any, __: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": self._form}


Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
"""A name or sentence: 1 to 200 printable characters."""

LongText = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_printable)]

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,29}$")]
"""A number or code given by somebody's system: letters, digits, `.`, `_`, `-`; at most 30."""

Id = Annotated[str, Field(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
"""An identifier this product gave (ULID)."""

RegionCode = Annotated[str, Field(pattern=r"^[0-9]{6}$")]
"""医保区划."""

Month = Annotated[str, Field(pattern=r"^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])$")]
"""YYYY-MM."""

Fen = Annotated[int, Field(strict=True, ge=-MAX_FEN, le=MAX_FEN)]
"""Whole fen, signed."""

Day = Annotated[date, Field(ge=FIRST_DAY, le=LAST_DAY), _Written(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "date")]
"""A calendar day in Asia/Shanghai, 1900 to 2199, written YYYY-MM-DD."""

Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime.combine(FIRST_DAY, time(), UTC), le=datetime.combine(LAST_DAY, time(), UTC)),
    _Written(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}", "date-time"),
]
"""A moment with its time zone, 1900 to 2199, written as RFC 3339 has it."""

Quantity = Annotated[Decimal, Field(strict=False, max_digits=16, decimal_places=4)]
"""数量 n16,4; a JSON number or, safer, a string."""

UnitPrice = Annotated[Decimal, Field(strict=False, ge=0, max_digits=16, decimal_places=6)]
"""单价 in yuan, n16,6; a JSON number or, safer, a string."""


class Body(BaseModel):
    """A request's body: strict types, unknown fields refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Query(BaseModel):
    """A request's query: values arrive as text, unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class View(BaseModel):
    """What an answer shows."""

    model_config = ConfigDict(frozen=True)
