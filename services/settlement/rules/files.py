"""One line of a file of a statement's details (3202 明细): how its values are written, and all that is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from services.settlement import errors
from services.settlement.rules.bills import BILL_MAX_FEN
from services.settlement.rules.mappings import AMOUNTS, NO, YES, Field, Mapping, Unit
from shared.refusals import Refusal

COLUMNS_MAX = 200
"""The most columns of a file; those of the national interface are seven."""

AMOUNT_MAX_FEN = BILL_MAX_FEN
"""Ten billion yuan: what one bill may come to, so that millions of them can be added up."""

NUMBER_MAX, SETTLEMENT_ID_MAX = 60, 40


class FileState(StrEnum):
    """How far a file is."""

    RECEIVING = "receiving"
    """Its lines are arriving; if the connection broke, the same file sent again goes on."""
    ACCEPTED = "accepted"
    """Its lines are the statement's."""
    REFUSED = "refused"
    """Something in it is wrong; nothing of it counts."""


class StatedLine(NamedTuple):
    """One bill as a line of a file states it. Amounts in fen."""

    line_no: int
    """The line of the file; the header is line 1."""
    facility_settlement_no: str
    """The settlement id stands here where the line gives no number."""
    refund: bool
    settlement_id: str | None
    total_fen: int
    fund_fen: int
    account_fen: int
    settled_on: date | None


class RefusedLine(NamedTuple):
    """One line of a file with everything that speaks against it."""

    line_no: int
    refusals: tuple[Refusal, ...]


class _Column(NamedTuple):
    field: Field | None
    """None for a column that is known and not needed."""
    unit: Unit = Unit.YUAN


KNOWN_COLUMNS: Table[str, _Column] = {
    "facility_settlement_no": _Column(Field.NUMBER),
    "medins_setl_id": _Column(Field.NUMBER),
    "医药机构结算ID": _Column(Field.NUMBER),
    "settlement_id": _Column(Field.SETTLEMENT_ID),
    "setl_id": _Column(Field.SETTLEMENT_ID),
    "结算ID": _Column(Field.SETTLEMENT_ID),
    "refund": _Column(Field.REFUND),
    "refd_setl_flag": _Column(Field.REFUND),
    "退费结算标志": _Column(Field.REFUND),
    "total_fen": _Column(Field.TOTAL, Unit.FEN),
    "medfee_sumamt": _Column(Field.TOTAL),
    "医疗费总额": _Column(Field.TOTAL),
    "fund_fen": _Column(Field.FUND, Unit.FEN),
    "fund_pay_sumamt": _Column(Field.FUND),
    "基金支付总额": _Column(Field.FUND),
    "account_fen": _Column(Field.ACCOUNT, Unit.FEN),
    "acct_pay": _Column(Field.ACCOUNT),
    "个人账户支出": _Column(Field.ACCOUNT),
    "settled_on": _Column(Field.SETTLED_ON),
    "setl_time": _Column(Field.SETTLED_ON),
    "结算时间": _Column(Field.SETTLED_ON),
    "facility_code": _Column(Field.FACILITY),
    "fixmedins_code": _Column(Field.FACILITY),
    "定点医药机构编号": _Column(Field.FACILITY),
    "mdtrt_id": _Column(None),
    "就诊ID": _Column(None),
    "psn_no": _Column(None),
    "人员编号": _Column(None),
}
"""Names a file may use without a mapping: ours, the national interface's, and theirs in Chinese."""

NATIONAL_ORDER = (
    "setl_id",
    "mdtrt_id",
    "psn_no",
    "medfee_sumamt",
    "fund_pay_sumamt",
    "acct_pay",
    "refd_setl_flag",
)
"""The columns of the interface's own file (3202), which has no header."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a file keeps what, so that its lines can be read."""

    width: int
    positions: Table[Field, int]
    units: Table[Field, Unit]
    facility_code: str | None
    """The only facility it may name; None for any."""
    refund_yes: frozenset[str] = YES
    refund_no: frozenset[str] = NO

    @property
    def numbered(self) -> bool:
        """Whether lines give the facility's own number; else they are known by their settlement id alone."""
        return Field.NUMBER in self.positions


def make_layout(header: Sequence[str], mapping: Mapping | None, facility_code: str | None) -> Layout | list[Refusal]:
    """What the columns of a header mean, by a mapping or by their known names; or all that is wrong with them."""
    if len(header) > COLUMNS_MAX:
        return [errors.FILE_COLUMNS_MANY(count=len(header), limit=COLUMNS_MAX)]
    names = [name.strip() for name in header]
    columns, wrong = _mapped(names, mapping) if mapping else _known(names)
    fields = [column.field for column in columns if column is not None and column.field is not None]
    wrong += [errors.FILE_COLUMN_REPEATED(field=f) for f in Field if fields.count(f) > 1]
    wrong += [errors.FILE_COLUMN_MISSING(field=f) for f in AMOUNTS if f not in fields]
    if Field.NUMBER not in fields and Field.SETTLEMENT_ID not in fields:
        wrong.append(errors.FILE_COLUMN_MISSING(field=Field.NUMBER))
    if wrong:
        return wrong
    placed = {c.field: (at, c.unit) for at, c in enumerate(columns) if c is not None and c.field is not None}
    yes, no = (mapping.refund_yes, mapping.refund_no) if mapping else (YES, NO)
    positions, units = {f: at for f, (at, _) in placed.items()}, {f: unit for f, (_, unit) in placed.items()}
    return Layout(len(names), positions, units, facility_code, yes, no)


def _known(names: Sequence[str]) -> tuple[list[_Column | None], list[Refusal]]:
    columns = [KNOWN_COLUMNS.get(name) for name in names]
    unknown = [at for at, column in enumerate(columns, 1) if column is None]
    return columns, [errors.FILE_COLUMN_UNKNOWN(position=at) for at in unknown]


def _mapped(names: Sequence[str], mapping: Mapping) -> tuple[list[_Column | None], list[Refusal]]:
    meanings = {name: field for field, name in mapping.columns.items()}
    columns = [_Column(meanings[name], mapping.unit) if name in meanings else None for name in names]
    absent = [field for field, name in mapping.columns.items() if name not in names and field not in AMOUNTS]
    return columns, [errors.FILE_COLUMN_MISSING(field=field) for field in absent]


def looks_headless(first: Sequence[str]) -> bool:
    """Whether a first line is a line of the interface's own file already: seven columns, no name among them."""
    return len(first) == len(NATIONAL_ORDER) and not any(name.strip() in KNOWN_COLUMNS for name in first)


# Values

_YUAN = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,2})?")
_FEN = re.compile(r"-?[0-9]{1,17}")
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_IN_BRACKETS = re.compile(r"\(([0-9.,]+)\)")
_ZEROS = re.compile(r"(-?[0-9]+(?:\.[0-9]{2})?)(?:\.?0*)")
_SCIENTIFIC = re.compile(r"[+-]?[0-9](?:\.[0-9]+)?[eE][+-]?[0-9]{1,3}")
_SCIENTIFIC_NUMBER = re.compile(r"[0-9](?:\.[0-9]+)?[eE]\+[0-9]{1,3}")
_AS_TEXT = re.compile(r'="([^"]*)"')
_VISIBLE = re.compile(r"[!-~]+")
_DIGITS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_DAY = re.compile(r"([0-9]{4})(?:-|/|\.|年)([0-9]{1,2})(?:-|/|\.|月)([0-9]{1,2})日?(?:[ T][0-9:.]+)?")
_COMPACT_DAY = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:[0-9]{6})?")
_SERIAL_DAY = re.compile(r"([0-9]{5})(?:\.[0-9]+)?")
_EXCEL_ZERO = date(1899, 12, 30)
_FORMULA = ("=", "+", "@")


def read_fen(text: str, unit: Unit) -> int | Refusal:
    """An amount as it is written in a file, in fen.

    Thousands separators, brackets for minus, a currency sign and superfluous zeros, as spreadsheets write them, are
    understood; scientific notation and formulas are named.
    """
    if not _plain(text, unit):
        cleaned = _cleaned(text)
        if not _plain(cleaned, unit):
            return _amount_refusal(text, unit)
        text = cleaned
    if unit is Unit.YUAN:
        whole, _, cents = text.partition(".")
        text = whole + (cents + "00")[:2]
    fen = int(text)
    return fen if -AMOUNT_MAX_FEN <= fen <= AMOUNT_MAX_FEN else errors.AMOUNT_TOO_LARGE()


def _plain(text: str, unit: Unit) -> bool:
    return (_YUAN if unit is Unit.YUAN else _FEN).fullmatch(text) is not None


def _cleaned(text: str) -> str:
    text = text.strip().lstrip("¥￥").strip()
    if (bracketed := _IN_BRACKETS.fullmatch(text)) is not None:
        text = f"-{bracketed[1]}"
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if "." in text and (exact := _ZEROS.fullmatch(text)) is not None:
        text = exact[1]
    return text


def _amount_refusal(text: str, unit: Unit) -> Refusal:
    if not text.strip():
        return errors.VALUE_MISSING()
    if _SCIENTIFIC.fullmatch(text.strip()):
        return errors.VALUE_SCIENTIFIC()
    if text.lstrip().startswith(_FORMULA):
        return errors.VALUE_FORMULA()
    if len(text) > 15 and _DIGITS.fullmatch(text.strip().lstrip("-")):
        return errors.AMOUNT_TOO_LARGE()
    return errors.AMOUNT_INVALID(unit=unit)


def read_number(text: str, limit: int) -> str | Refusal | None:
    """A number or id as it is written in a file; None when there is none.

    The ways in which spreadsheets keep a number as text ('00123 and ="00123") are understood.
    """
    if not text:
        return None
    if text[0] in "='" and (kept := _AS_TEXT.fullmatch(text)) is not None:
        text = kept[1]
    elif text[0] == "'":
        text = text[1:]
    if text.startswith(_FORMULA) or text.startswith("-"):
        return errors.VALUE_FORMULA()
    if _SCIENTIFIC_NUMBER.fullmatch(text):
        return errors.VALUE_SCIENTIFIC()
    if len(text) > limit or _VISIBLE.fullmatch(text) is None:
        return errors.NUMBER_INVALID(limit=limit)
    return text


def read_day(text: str) -> date | Refusal | None:
    """A day as it is written in a file; None when there is none. A number of five digits is a spreadsheet's own."""
    if not text:
        return None
    if (serial := _SERIAL_DAY.fullmatch(text)) is not None:
        return _EXCEL_ZERO + timedelta(days=int(serial[1]))
    parts = _DAY.fullmatch(text) or _COMPACT_DAY.fullmatch(text)
    if parts is None:
        return errors.DATE_INVALID()
    try:
        return date(int(parts[1]), int(parts[2]), int(parts[3]))
    except ValueError:
        return errors.DATE_INVALID()


def read_line(layout: Layout, line_no: int, values: Sequence[str]) -> StatedLine | RefusedLine:
    """What a line states, or everything that speaks against it; refusals point at the field."""
    if len(values) != layout.width:
        return RefusedLine(line_no, (errors.LINE_COLUMNS(expected=layout.width, got=len(values)),))
    at, wrong = layout.positions, list[Refusal]()

    def text(field: Field) -> str:
        return values[at[field]].strip() if field in at else ""

    def value(field: Field, found: object) -> object:
        if isinstance(found, Refusal):
            wrong.append(Refusal(found.code, found.params, f"/{field}"))
            return None
        return found

    number = value(Field.NUMBER, read_number(text(Field.NUMBER), NUMBER_MAX))
    settlement_id = value(Field.SETTLEMENT_ID, read_number(text(Field.SETTLEMENT_ID), SETTLEMENT_ID_MAX))
    amounts = [value(field, read_fen(text(field), layout.units[field])) for field in AMOUNTS]
    refund = value(Field.REFUND, _refund(layout, text(Field.REFUND), amounts[0]))
    settled_on = value(Field.SETTLED_ON, read_day(text(Field.SETTLED_ON)))
    wrong += _objections(layout, text(Field.FACILITY), number or settlement_id, bool(refund), amounts, bool(wrong))
    if wrong:
        return RefusedLine(line_no, tuple(wrong))
    total, fund, account = amounts
    values_read: Any = (line_no, number or settlement_id, refund, settlement_id, total, fund, account, settled_on)
    return StatedLine(*values_read)


class QuickReader:
    """Reads what nearly every line is, plain values in their columns, with one pattern for the whole line.

    A million lines take seconds instead of a minute. What does not fit is left to `read_line`, which says the same of
    every line that does.
    """

    def __init__(self, layout: Layout, delimiter: str) -> None:
        fields = {at: field for field, at in layout.positions.items()}
        columns = [_quick_column(layout, fields.get(at), delimiter) for at in range(layout.width)]
        self._pattern = re.compile(re.escape(delimiter).join(columns), re.ASCII)
        captured = [fields[at] for at in sorted(fields) if fields[at] is not Field.FACILITY]
        wanted = (Field.NUMBER, Field.SETTLEMENT_ID, Field.REFUND, *AMOUNTS, Field.SETTLED_ON)
        # What the file does not have is read from an empty value behind the captured ones.
        self._order = tuple(captured.index(f) if f in captured else -1 for f in wanted)
        self._flagged = Field.REFUND in captured

    def read(self, line_no: int, line: str) -> StatedLine | None:
        """What a line states; None when it takes a closer look."""
        found = self._pattern.fullmatch(line)
        if found is None:
            return None
        values = (*found.groups(), "")
        number, settlement_id, flag, total, fund, account, day = [values[at] for at in self._order]
        amounts = int(total.replace(".", "")), int(fund.replace(".", "")), int(account.replace(".", ""))
        refund = flag == "1" if self._flagged else amounts[0] < 0
        named = number or settlement_id
        if not named or (max(amounts) > 0 if refund else min(amounts) < 0):
            return None
        try:
            settled_on = date.fromisoformat(day) if day else None
        except ValueError:
            return None
        return StatedLine(line_no, named, refund, settlement_id or None, *amounts, settled_on)


def _quick_column(layout: Layout, field: Field | None, delimiter: str) -> str:
    if field is None:
        return f'[^{re.escape(delimiter)}"\\r]*'
    if field in AMOUNTS:
        return r"(-?[0-9]{1,10}\.[0-9]{2})" if layout.units[field] is Unit.YUAN else "(-?[0-9]{1,12})"
    usual_flags = "1" in layout.refund_yes and "0" in layout.refund_no
    patterns = {
        Field.FACILITY: _quick_facility(layout.facility_code, delimiter),
        Field.NUMBER: rf"([0-9A-Za-z][0-9A-Za-z._/-]{{0,{NUMBER_MAX - 1}}}|)",
        Field.SETTLEMENT_ID: rf"([0-9A-Za-z]{{1,{SETTLEMENT_ID_MAX}}}|)",
        Field.REFUND: "([01])" if usual_flags else "(?!)()",
        Field.SETTLED_ON: r"([0-9]{4}-[0-9]{2}-[0-9]{2}|)",
    }
    return patterns[field]


def _quick_facility(facility_code: str | None, delimiter: str) -> str:
    return f'[^{re.escape(delimiter)}"\\r]*' if facility_code is None else f"(?:{re.escape(facility_code)}|)"


def _refund(layout: Layout, text: str, total: object) -> bool | Refusal:
    """Whether a line is a refund: by its flag, or, where the file has none, by its sign."""
    if Field.REFUND not in layout.positions:
        return isinstance(total, int) and total < 0
    flag = text.lower()
    if flag in layout.refund_no:
        return False
    return True if flag in layout.refund_yes else errors.REFUND_INVALID()


def _objections(
    layout: Layout, facility_code: str, number: object, refund: bool, amounts: Sequence[object], unread: bool
) -> list[Refusal]:
    """What is wrong with the line as a whole; where a value could not be read, only what does not hang on it."""
    wrong = []
    if layout.facility_code is not None and facility_code not in ("", layout.facility_code):
        wrong.append(errors.FACILITY_FOREIGN(pointer=f"/{Field.FACILITY}"))
    if unread:
        return wrong
    if number is None:
        wrong.append(errors.LINE_KEYLESS(pointer=f"/{Field.NUMBER}"))
    for field, fen in zip(AMOUNTS, amounts, strict=True):
        if isinstance(fen, int) and (fen > 0 if refund else fen < 0):
            wrong.append(errors.AMOUNT_SIGN(pointer=f"/{field}"))
    return wrong
