"""Archived years: what proves them, what became of them, and what they left behind for the books to go on from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKeyConstraint, Index, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.settlement.tables import core


def _moment() -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=False))


def _of_archive(table: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["archive_no"], ["settlement.ledger_archive.archive_no"], name=f"{table}_of")


class LedgerArchive(core.Table, table=True):
    """A year whose bills left the database (年度归档), written once; its `mac` needs a key the database never sees."""

    __tablename__ = "ledger_archive"
    __table_args__ = (
        CheckConstraint("archive_no > 0 AND year BETWEEN 1970 AND 9999", name="ledger_archive_number"),
        CheckConstraint(
            "transactions >= 0 AND entries >= 0 AND bills >= transactions AND reversals BETWEEN 0 AND bills"
            " AND left_links >= transactions",
            name="ledger_archive_counts",
        ),
        CheckConstraint("payable_fen = fund_fen + account_fen", name="ledger_archive_payable"),
        CheckConstraint("done_by <> approved_by", name="ledger_archive_four_eyes"),
        CheckConstraint(
            "octet_length(left_sha256) = 32 AND octet_length(contents_sha256) = 32 AND octet_length(mac) = 32",
            name="ledger_archive_hashes",
        ),
    )

    archive_no: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    year: int
    until_id: str = Field(sa_type=Text)
    """The first id that is of a later year."""
    transactions: int = Field(sa_type=BigInteger)
    entries: int = Field(sa_type=BigInteger)
    bills: int = Field(sa_type=BigInteger)
    reversals: int = Field(sa_type=BigInteger)
    total_fen: int = Field(sa_type=BigInteger)
    fund_fen: int = Field(sa_type=BigInteger)
    account_fen: int = Field(sa_type=BigInteger)
    payable_fen: int = Field(sa_type=BigInteger)
    left_links: int = Field(sa_type=BigInteger)
    """Links whose transactions are in this archive or one before it that holds."""
    left_sha256: bytes = Field(sa_type=LargeBinary)
    """SHA-256 over them, in the order of the chain."""
    contents_sha256: bytes = Field(sa_type=LargeBinary)
    """SHA-256 over what it left behind: openings, sums of cases, bills that are in no link."""
    files: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    """Of each file its SHA-256, its size in bytes and its rows."""
    done_by: str = Field(sa_type=Text)
    approved_by: str = Field(sa_type=Text)
    archived_at: datetime = _moment()
    mac: bytes = Field(sa_type=LargeBinary)
    """HMAC-SHA-256 over all of this and the `mac` of the archive before it."""


class LedgerArchiveStep(core.Table, table=True):
    """What became of an archive; written once."""

    __tablename__ = "ledger_archive_step"
    __table_args__ = (
        CheckConstraint("step IN ('dropped', 'restored')", name="ledger_archive_step_step"),
        CheckConstraint("done_by <> approved_by", name="ledger_archive_step_four_eyes"),
        CheckConstraint("octet_length(mac) = 32", name="ledger_archive_step_mac"),
        _of_archive("ledger_archive_step"),
    )

    archive_no: int = Field(primary_key=True)
    step: str = Field(primary_key=True, sa_type=Text)
    done_by: str = Field(sa_type=Text)
    approved_by: str = Field(sa_type=Text)
    done_at: datetime = _moment()
    mac: bytes = Field(sa_type=LargeBinary)


class LedgerOpening(core.Table, table=True):
    """What the entries of an archive come to on one account (期初余额); written once. Amounts in fen."""

    __tablename__ = "ledger_opening"
    __table_args__ = (
        CheckConstraint("debit_fen >= 0 AND credit_fen >= 0 AND entries > 0", name="ledger_opening_amounts"),
        _of_archive("ledger_opening"),
        Index("ledger_opening_book", "book"),
    )

    archive_no: int = Field(primary_key=True)
    book: str = Field(primary_key=True, sa_type=Text)
    account_kind: str = Field(primary_key=True, sa_type=Text)
    counterparty: str = Field(primary_key=True, sa_type=Text)
    fund_pay_type: str = Field(primary_key=True, sa_type=Text)
    debit_fen: int = Field(sa_type=BigInteger)
    credit_fen: int = Field(sa_type=BigInteger)
    entries: int = Field(sa_type=BigInteger)


class LedgerArchivedCase(core.Table, table=True):
    """What the archived bills of a case come to, the case being that they were cleared with. Amounts in fen."""

    __tablename__ = "ledger_archived_case"
    __table_args__ = (
        CheckConstraint("bill_count > 0 AND payable_fen = fund_fen + account_fen", name="ledger_archived_case_sums"),
        ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="ledger_archived_case_case"),
        _of_archive("ledger_archived_case"),
        Index("ledger_archived_case_id", "case_id"),
    )

    archive_no: int = Field(primary_key=True)
    case_id: str = Field(primary_key=True, sa_type=Text)
    bill_count: int = Field(sa_type=BigInteger)
    total_fen: int = Field(sa_type=BigInteger)
    fund_fen: int = Field(sa_type=BigInteger)
    account_fen: int = Field(sa_type=BigInteger)
    payable_fen: int = Field(sa_type=BigInteger)


class LedgerArchivedBill(core.Table, table=True):
    """An archived bill that moved no money: no link knows it, and it must not be booked again."""

    __tablename__ = "ledger_archived_bill"
    __table_args__ = (_of_archive("ledger_archived_bill"), Index("ledger_archived_bill_id", "settlement_id"))

    archive_no: int = Field(primary_key=True)
    settlement_id: str = Field(primary_key=True, sa_type=Text)
