"""The account statement as agencies print it (对账单): sums, capital numerals, room for signatures, and the entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Border, Font, Side
from openpyxl.worksheet.properties import PageSetupProperties

from services.settlement.rules.capitals import capital_yuan
from services.settlement.rules.cells import plain_cell
from services.settlement.rules.ledger import AccountKind
from services.settlement.store.accounts import AccountMonth, Movement
from shared.money import AmountOutOfRange, yuan

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        AccountKind.RECEIVABLE: "应收",
        AccountKind.PAYABLE: "应付",
        AccountKind.FUND_EXPENDITURE: "基金支出",
        AccountKind.PERSONAL_ACCOUNT: "个人账户支出",
        AccountKind.MEDICAL_INCOME: "医疗收入",
        AccountKind.BANK: "银行存款",
        AccountKind.CLEARING: "清算往来",
        AccountKind.PREPAYMENT_LENT: "预付金（拨出）",
        AccountKind.PREPAYMENT_HELD: "预付金（收到）",
        AccountKind.SUSPENSE: "暂收、暂付款",
        AccountKind.BENEFITS_PAYABLE: "应付待遇款",
        AccountKind.OTHER_INCOME: "其他收支",
        AccountKind.RETENTION_HELD: "质量保证金（预留）",
        AccountKind.RETENTION_DUE: "质量保证金（应收）",
        AccountKind.DEDUCTIONS: "扣款",
    }
)
TRANSACTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bill": "结算",
        "reversal": "结算撤销",
        "payment": "付款",
        "clearing": "清算转入",
        "clearing_reversal": "清算转回",
        "prepayment": "预付金",
        "payout": "待遇支付",
        "payout_reversal": "待遇支付作废",
        "bank": "银行收支",
        "identification": "银行流水查实",
        "withholding": "扣留",
        "withholding_reversal": "扣留转回",
    }
)
HEADING: Final = ("科目", "对方", "基金支付类型", "期初余额", "本期借方", "本期贷方", "期末余额", "笔数")
ENTRY_HEADING: Final = (
    "业务日期",
    "类型",
    "凭证号",
    "医药机构结算单号",
    "科目",
    "对方",
    "基金支付类型",
    "借方",
    "贷方",
)
SIGNATURES: Final = ("制表：", "复核：", "审核：", "单位盖章：")
MONEY: Final = "#,##0.00;[Red]-#,##0.00"
A4: Final = 9
"""The number of the paper."""
_LINE = Side(style="thin")
_GRID = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
_PLAIN, _BOLD = Font(), Font(bold=True)


class Spreadsheet:
    """A workbook of two sheets, written row by row. Debit is positive, credit negative; amounts in yuan."""

    def __init__(self, path: Path, party: str, name: str, period: str, accounts: Sequence[AccountMonth]) -> None:
        self._path, self._book = path, Workbook(write_only=True)
        self._statement = self._sheet("对账单", (14, 18, 14, 18, 18, 18, 18, 8))
        self._write_statement(f"{plain_cell(name)}（{party}）", period, accounts)
        self._entries = self._sheet("明细", (12, 10, 30, 30, 14, 18, 14, 16, 16))
        self._entries.print_title_rows = "1:1"
        self._row(self._entries, ENTRY_HEADING, bold=True)
        self._debit_fen = self._credit_fen = 0

    def _sheet(self, title: str, widths: Iterable[int]) -> Any:
        sheet = self._book.create_sheet(title)
        for column, width in zip("ABCDEFGHI", widths, strict=False):
            sheet.column_dimensions[column].width = width
        sheet.page_setup.orientation = "landscape"
        sheet.page_setup.paperSize = A4
        sheet.page_setup.fitToHeight = 0
        sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
        return sheet

    def _write_statement(self, who: str, period: str, accounts: Sequence[AccountMonth]) -> None:
        title = WriteOnlyCell(self._statement, "医疗保障基金结算对账单")
        title.font, title.alignment = Font(bold=True, size=16), Alignment(horizontal="center")
        self._statement.append([title])
        self._statement.merged_cells.add("A1:H1")
        self._statement.append([f"单位：{who}", None, None, f"结算月：{period}", None, None, "金额单位：元"])
        self._row(self._statement, HEADING, bold=True)
        for kind, rows in groupby(accounts, attrgetter("account_kind")):
            group = list(rows)
            for row in group:
                self._row(self._statement, [KINDS[kind], row.counterparty, row.fund_pay_type, *_amounts([row])])
            if len(group) > 1:
                self._row(self._statement, [f"{KINDS[kind]}小计", "", "", *_amounts(group)], bold=True)
        self._row(self._statement, ["合计", "", "", *_amounts(accounts)], bold=True)
        for line in _capitals(accounts):
            self._statement.append(line)
        self._statement.append([])
        self._statement.append([text for signature in SIGNATURES for text in (signature, None)])

    def _row(self, sheet: Any, values: Iterable[str | int | Decimal | None], *, bold: bool = False) -> None:
        sheet.append([self._cell(sheet, value, bold) for value in values])

    @staticmethod
    def _cell(sheet: Any, value: str | int | Decimal | None, bold: bool) -> Any:
        cell: Any = WriteOnlyCell(sheet)
        cell.value = plain_cell(value) if isinstance(value, str) else value
        cell.border, cell.font = _GRID, _BOLD if bold else _PLAIN
        if isinstance(value, Decimal):
            cell.number_format = MONEY
        return cell

    def add(self, movements: Sequence[Movement]) -> None:
        """One row an entry, without borders: they would double the file."""
        for m in movements:
            debit_fen, credit_fen = max(m.amount_fen, 0), max(-m.amount_fen, 0)
            self._debit_fen += debit_fen
            self._credit_fen += credit_fen
            texts = [m.transaction_id, m.facility_settlement_no or "", KINDS[m.account_kind]]
            texts += [m.counterparty, m.fund_pay_type]
            head = [m.value_date, TRANSACTIONS[m.kind], *map(plain_cell, texts)]
            self._entries.append(
                [*head, _yuan(debit_fen) if debit_fen else None, _yuan(credit_fen) if credit_fen else None]
            )

    def finish(self) -> None:
        """The sums below the entries."""
        sums = [_yuan(self._debit_fen), _yuan(self._credit_fen)]
        self._row(self._entries, ["合计", *[""] * 6, *sums], bold=True)
        self._book.save(self._path)


def _amounts(rows: Sequence[AccountMonth]) -> list[int | Decimal | str]:
    fields = ("opening_fen", "debit_fen", "credit_fen", "closing_fen")
    return [*(_yuan(sum(getattr(row, field) for row in rows)) for field in fields), sum(row.entries for row in rows)]


def _capitals(accounts: Sequence[AccountMonth]) -> list[list[str]]:
    """What is still owed either way, and what moved, in capital numerals."""
    owed = sum(a.closing_fen for a in accounts if a.account_kind == AccountKind.RECEIVABLE)
    owing = -sum(a.closing_fen for a in accounts if a.account_kind == AccountKind.PAYABLE)
    lines = (
        ("期末应收（大写）：", owed),
        ("期末应付（大写）：", owing),
        ("本期借方合计（大写）：", sum(a.debit_fen for a in accounts)),
    )
    return [[f"{label}{_in_words(amount_fen)}"] for label, amount_fen in lines]


def _in_words(amount_fen: int) -> str:
    """In capital numerals; a sum for which they have no place in figures, rather than no statement at all."""
    try:
        return capital_yuan(amount_fen)
    except AmountOutOfRange:
        return f"{yuan(amount_fen)}元"


def _yuan(amount_fen: int) -> Decimal:
    return Decimal(amount_fen) / 100
