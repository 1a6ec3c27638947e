"""Account statements, balances as of a moment, and the forms a month of a book is exported in."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import ConfigDict

from services.settlement.store.accounts import AccountMonth
from shared.http.types import Day, Moment, Query, View


class BalanceQuery(Query):
    """As of when the balances are wanted; without either, now."""

    value_date_until: Day | None = None
    """What counts up to this day."""
    booked_until: Moment | None = None
    """What was booked up to this moment."""


class ExportForm(StrEnum):
    """The forms of an export."""

    BEANCOUNT = "beancount"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


class AccountMonthView(View):
    """One account of a book in a month: debit positive, credit negative. Amounts in fen."""

    account_kind: str
    counterparty: str
    fund_pay_type: str
    opening_fen: int
    debit_fen: int
    credit_fen: int
    closing_fen: int
    """Opening plus debit minus credit."""
    entries: int

    @classmethod
    def of(cls, row: AccountMonth) -> AccountMonthView:
        """The view of an account's month."""
        return cls.model_validate(row, from_attributes=True)


class AccountStatementView(View):
    """The account statement (对账单) of a party's month: what every account held, how it moved, what it holds.

    Openings and closings sum to zero, debits equal credits. The movements one by one are the book's entries of the
    month.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "party": "H41160300001",
                    "period": "2026-10",
                    "accounts": [
                        {
                            "account_kind": "medical_income",
                            "counterparty": "",
                            "fund_pay_type": "",
                            "opening_fen": -100000,
                            "debit_fen": 0,
                            "credit_fen": 400000,
                            "closing_fen": -500000,
                            "entries": 1,
                        },
                        {
                            "account_kind": "receivable",
                            "counterparty": "411603",
                            "fund_pay_type": "",
                            "opening_fen": 100000,
                            "debit_fen": 400000,
                            "credit_fen": 0,
                            "closing_fen": 500000,
                            "entries": 1,
                        },
                    ],
                    "debit_fen": 400000,
                    "credit_fen": 400000,
                    "entries": 2,
                }
            ]
        }
    )

    party: str
    period: str
    accounts: list[AccountMonthView]
    debit_fen: int
    credit_fen: int
    entries: int

    @classmethod
    def of(cls, party: str, period: str, rows: Sequence[AccountMonth]) -> AccountStatementView:
        """The view of a statement."""
        return cls(
            party=party,
            period=period,
            accounts=[AccountMonthView.of(row) for row in rows],
            debit_fen=sum(row.debit_fen for row in rows),
            credit_fen=sum(row.credit_fen for row in rows),
            entries=sum(row.entries for row in rows),
        )
