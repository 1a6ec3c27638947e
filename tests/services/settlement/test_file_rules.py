"""How values of a statement's file are read: what spreadsheets do to them is understood or named."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement import errors
from services.settlement.rules.files import (
    AMOUNT_MAX_FEN,
    NATIONAL_ORDER,
    Layout,
    QuickReader,
    RefusedLine,
    StatedLine,
    make_layout,
    read_day,
    read_fen,
    read_line,
    read_number,
)
from services.settlement.rules.mappings import Charset, Field, Mapping, Unit, read_mapping
from shared.refusals import Refusal

FACILITY = "H41160300001"
HEADER = (
    "medins_setl_id",
    "setl_id",
    "refd_setl_flag",
    "medfee_sumamt",
    "fund_pay_sumamt",
    "acct_pay",
    "setl_time",
    "fixmedins_code",
    "psn_no",
)
PLAIN = ("A-0001", "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q", "0", "6500.00", "4000.00", "0.00", "2026-10-31", FACILITY, "P1")


def layout_of(header: tuple[str, ...] = HEADER, mapping: Mapping | None = None) -> Layout:
    """The layout of a header that is in order."""
    layout = make_layout(header, mapping, FACILITY)
    assert isinstance(layout, Layout), layout
    return layout


def outcome(found: object) -> object:
    """A value, or the code of why there is none."""
    return found.code if isinstance(found, Refusal) else found


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("6500.00", Unit.YUAN, 650_000),
        ("6500", Unit.YUAN, 650_000),
        ("0.1", Unit.YUAN, 10),
        ("-0.01", Unit.YUAN, -1),
        (" 12.50 ", Unit.YUAN, 1250),
        ("1,234,567.80", Unit.YUAN, 123_456_780),
        ("¥8.00", Unit.YUAN, 800),
        ("(8.00)", Unit.YUAN, -800),
        ("12.3400", Unit.YUAN, 1234),
        ("12.", Unit.YUAN, 1200),
        ("650000", Unit.FEN, 650_000),
        ("650000.0", Unit.FEN, 650_000),
        ("9999999999.99", Unit.YUAN, AMOUNT_MAX_FEN - 1),
        ("10000000000.00", Unit.YUAN, AMOUNT_MAX_FEN),
        ("10000000000.01", Unit.YUAN, errors.AMOUNT_TOO_LARGE.code),
        ("9007199254740993", Unit.FEN, errors.AMOUNT_TOO_LARGE.code),
        ("9" * 30, Unit.FEN, errors.AMOUNT_TOO_LARGE.code),
        ("12.345", Unit.YUAN, errors.AMOUNT_INVALID.code),
        ("0.5", Unit.FEN, errors.AMOUNT_INVALID.code),
        ("1,23.00", Unit.YUAN, errors.AMOUNT_INVALID.code),
        ("六千五百", Unit.YUAN, errors.AMOUNT_INVALID.code),
        ("１２.00", Unit.YUAN, errors.AMOUNT_INVALID.code),
        ("NaN", Unit.YUAN, errors.AMOUNT_INVALID.code),
        ("1e400", Unit.YUAN, errors.VALUE_SCIENTIFIC.code),
        ("6.5E+03", Unit.YUAN, errors.VALUE_SCIENTIFIC.code),
        ("=SUM(A1:A9)", Unit.YUAN, errors.VALUE_FORMULA.code),
        ("", Unit.YUAN, errors.VALUE_MISSING.code),
        ("  ", Unit.FEN, errors.VALUE_MISSING.code),
    ],
)
def test_amounts(text: str, unit: Unit, expected: object) -> None:
    assert outcome(read_fen(text, unit)) == expected


@given(st.integers(-AMOUNT_MAX_FEN, AMOUNT_MAX_FEN))
def test_every_amount_is_read_as_it_was_written(fen: int) -> None:
    sign, whole = "-" if fen < 0 else "", abs(fen)
    assert read_fen(f"{sign}{whole // 100}.{whole % 100:02d}", Unit.YUAN) == fen
    assert read_fen(f"{sign}{whole // 100:,}.{whole % 100:02d}", Unit.YUAN) == fen
    assert read_fen(str(fen), Unit.FEN) == fen


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("H41160300001-20261002-000123", "H41160300001-20261002-000123"),
        ("'00123", "00123"),
        ('="00123"', "00123"),
        ("", None),
        ("4.11603E+17", errors.VALUE_SCIENTIFIC.code),
        ("1E+5", errors.VALUE_SCIENTIFIC.code),
        ("1E5", "1E5"),
        ("=A1", errors.VALUE_FORMULA.code),
        ("+1", errors.VALUE_FORMULA.code),
        ("-1", errors.VALUE_FORMULA.code),
        ("@x", errors.VALUE_FORMULA.code),
        ("一号", errors.NUMBER_INVALID.code),
        ("a b", errors.NUMBER_INVALID.code),
        ("9" * 61, errors.NUMBER_INVALID.code),
    ],
)
def test_numbers(text: str, expected: object) -> None:
    assert outcome(read_number(text, 60)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-31", date(2026, 10, 31)),
        ("2026/10/31", date(2026, 10, 31)),
        ("2026/1/5 8:03", date(2026, 1, 5)),
        ("20261031", date(2026, 10, 31)),
        ("20261031235959", date(2026, 10, 31)),
        ("2026年10月31日", date(2026, 10, 31)),
        ("2026-10-31T23:59:59", date(2026, 10, 31)),
        ("46326", date(2026, 10, 31)),
        ("46326.99", date(2026, 10, 31)),
        ("", None),
        ("2026-02-29", errors.DATE_INVALID.code),
        ("31/10/2026", errors.DATE_INVALID.code),
        ("10/31/26", errors.DATE_INVALID.code),
        ("########", errors.DATE_INVALID.code),
    ],
)
def test_days(text: str, expected: object) -> None:
    assert outcome(read_day(text)) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({3: "1.2E+3", 5: "=1"}, {("/total", errors.VALUE_SCIENTIFIC.code), ("/account", errors.VALUE_FORMULA.code)}),
        ({0: "", 1: ""}, {("/facility_settlement_no", errors.LINE_KEYLESS.code)}),
        ({2: "maybe"}, {("/refund", errors.REFUND_INVALID.code)}),
        ({2: "1"}, {("/total", errors.AMOUNT_SIGN.code), ("/fund", errors.AMOUNT_SIGN.code)}),
        ({4: "-1.00"}, {("/fund", errors.AMOUNT_SIGN.code)}),
        (
            {6: "x", 7: "H999"},
            {("/settled_on", errors.DATE_INVALID.code), ("/facility_code", errors.FACILITY_FOREIGN.code)},
        ),
    ],
)
def test_everything_wrong_with_a_line_is_named_at_once(changed: dict[int, str], expected: set[Any]) -> None:
    values = [changed.get(at, value) for at, value in enumerate(PLAIN)]
    found = read_line(layout_of(), 7, values)
    assert isinstance(found, RefusedLine)
    assert (found.line_no, {(r.pointer, r.code) for r in found.refusals}) == (7, expected)


def test_a_line_in_order() -> None:
    expected = StatedLine(2, "A-0001", False, PLAIN[1], 650_000, 400_000, 0, date(2026, 10, 31))
    assert read_line(layout_of(), 2, PLAIN) == expected
    narrow = read_line(layout_of(), 2, PLAIN[:-1])
    assert isinstance(narrow, RefusedLine)
    assert narrow.refusals[0].code == errors.LINE_COLUMNS.code


def test_the_interfaces_own_columns_have_no_number_and_no_flag_means_the_sign() -> None:
    layout = layout_of(NATIONAL_ORDER)
    found = read_line(layout, 1, ["S1", "V1", "P1", "-5.00", "-4.00", "0", "1"])
    assert not layout.numbered
    assert found == StatedLine(1, "S1", True, "S1", -500, -400, 0, None)
    unflagged = layout_of(("setl_id", "medfee_sumamt", "fund_pay_sumamt", "acct_pay"))
    assert read_line(unflagged, 1, ["S1", "-5.00", "-4.00", "0"]) == found


VALUES = st.one_of(
    st.sampled_from(
        ["0", "1", "", "6500.00", "-1.50", "12", "A-1", "'7", "=1", "1E+5", "2026-10-31", "2026-02-30", FACILITY, "x y"]
    ),
    st.text(alphabet=st.sampled_from("09.-+eEaZ,/'= 是\""), max_size=8),
)


@given(st.lists(VALUES, min_size=len(HEADER), max_size=len(HEADER)))
def test_the_quick_reader_says_what_the_thorough_one_says(values: list[str]) -> None:
    """It may leave a line to the other, never read it otherwise. Without its check of the sign this fails."""
    layout = layout_of()
    quick = QuickReader(layout, "\t").read(3, "\t".join(values))
    assert quick is None or quick == read_line(layout, 3, values)


def test_the_quick_reader_reads_what_is_plain() -> None:
    layout = layout_of()
    assert QuickReader(layout, ",").read(2, ",".join(PLAIN)) == read_line(layout, 2, PLAIN)


@pytest.mark.parametrize(
    ("header", "codes"),
    [
        (("setl_id",), [errors.FILE_COLUMN_MISSING.code] * 3),
        ((*HEADER, "刷卡"), [errors.FILE_COLUMN_UNKNOWN.code]),
        ((*HEADER, "结算ID"), [errors.FILE_COLUMN_REPEATED.code]),
        (HEADER[2:], [errors.FILE_COLUMN_MISSING.code]),
        (("x",) * 10_000, [errors.FILE_COLUMNS_MANY.code]),
    ],
)
def test_headers_that_cannot_be_read(header: tuple[str, ...], codes: list[str]) -> None:
    found = make_layout(header, None, FACILITY)
    assert isinstance(found, list)
    assert [refusal.code for refusal in found] == codes


# Mappings

MAPPING = """
columns: {facility_settlement_no: 单据号, refund: 退费, total: 总, fund: 基金, account: 账户}
refund_values: {refund: [是, 2], settlement: [否]}
amounts: fen
encoding: gb18030
delimiter: semicolon
"""


def test_a_mapping_says_what_columns_mean() -> None:
    mapping = read_mapping(MAPPING)
    assert isinstance(mapping, Mapping)
    assert (mapping.unit, mapping.charset, mapping.delimiter) == (Unit.FEN, Charset.GB18030, ";")
    layout = layout_of(("柜台", "单据号", "退费", "总", "基金", "账户"), mapping)
    assert read_line(layout, 2, ["3", "A1", "是", "-5", "-4", "-1"]) == StatedLine(
        2, "A1", True, None, -5, -4, -1, None
    )
    assert read_line(layout, 2, ["3", "A1", "", "5", "4", "1"]) == StatedLine(2, "A1", False, None, 5, 4, 1, None)
    absent = make_layout(("单据号", "总", "基金", "账户"), mapping, FACILITY)
    assert isinstance(absent, list)
    assert [(r.code, r.params["field"]) for r in absent] == [(errors.FILE_COLUMN_MISSING.code, Field.REFUND)]


@pytest.mark.parametrize(
    ("source", "reasons"),
    [
        ("]", 1),
        ("just text", 1),
        ("a: &a [1]\nb: *a", 1),
        ("columns: [total]", 1),
        ("columns: {total: 总}", 3),
        ("columns: {settlement_id: a, total: b, fund: b, account: d}", 1),
        ("columns: {settlement_id: a, total: [b], fund: c, account: d}", 1),
        ("columns: {settlement_id: a, total: b, fund: c, account: d, colour: e}", 1),
        ("columns: {settlement_id: a, total: b, fund: c, account: d}\namounts: li\nencoding: utf-16\nnews: 1", 3),
        ("columns: {settlement_id: a, total: b, fund: c, account: d}\nrefund_values: [1]", 1),
        (
            "columns: {settlement_id: a, total: b, fund: c, account: d}\nrefund_values: {refund: [1], settlement: [1]}",
            1,
        ),
        ("!!python/object/apply:os.system [ls]", 1),
        ("x" * 20_000, 1),
    ],
)
def test_mappings_that_are_not_in_order(source: str, reasons: int) -> None:
    found = read_mapping(source)
    assert isinstance(found, list)
    assert [refusal.code for refusal in found] == [errors.MAPPING_INVALID.code] * reasons
