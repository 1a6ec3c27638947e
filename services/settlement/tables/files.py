"""Files of statements' lines, what is wrong with them, and mappings of their columns."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.settlement.tables import core


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


class StatementMapping(core.Table, table=True):
    """One version of a party's mapping (列名对照), written once."""

    __tablename__ = "statement_mapping"
    __table_args__ = (CheckConstraint("version_no > 0", name="statement_mapping_version"),)

    party: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(primary_key=True, sa_type=Text)
    version_no: int = Field(primary_key=True)
    source: str = Field(sa_type=Text)
    """The YAML as it was declared."""
    saved_by: str = Field(sa_type=Text)
    saved_at: datetime = _moment()


class StatementFile(core.Table, table=True):
    """One file of a statement's lines (明细文件), known by its SHA-256; one of a statement at most is accepted."""

    __tablename__ = "statement_file"
    __table_args__ = (
        UniqueConstraint("statement_id", "sha256", name="statement_file_once"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="statement_file_sha256"),
        CheckConstraint("state IN ('receiving', 'accepted', 'refused')", name="statement_file_state"),
        CheckConstraint("(state = 'receiving') = (ended_at IS NULL)", name="statement_file_ended"),
        CheckConstraint("state <> 'accepted' OR (wrong_count = 0 AND line_count > 0)", name="statement_file_accepted"),
        CheckConstraint("state <> 'refused' OR wrong_count > 0", name="statement_file_refused"),
        CheckConstraint("line_reached >= line_count AND line_count >= 0", name="statement_file_lines"),
        CheckConstraint("(mapping_name IS NULL) = (mapping_version_no IS NULL)", name="statement_file_mapping"),
        ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="statement_file_of"),
        Index("statement_file_accepted", "statement_id", unique=True, postgresql_where=text("state = 'accepted'")),
    )

    file_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    statement_id: str = Field(sa_type=Text)
    sha256: str = Field(sa_type=Text)
    mapping_name: str | None = Field(default=None, sa_type=Text)
    mapping_version_no: int | None = None
    state: str = Field(sa_type=Text)
    line_reached: int
    """The last line that was read and kept."""
    prefix_sha256: bytes | None = Field(default=None, sa_type=LargeBinary)
    """Of the content up to that line: what is sent again must begin alike to go on there."""
    line_count: int
    wrong_count: int
    numbered: bool
    """Whether its lines give the facility's own numbers; else the settlement id stands for them."""
    sent_by: str = Field(sa_type=Text)
    begun_at: datetime = _moment()
    ended_at: datetime | None = _moment(nullable=True)


class StatementFileLine(core.Table, table=True):
    """One bill as a line of a file states it. Amounts in fen.

    No foreign key, which would ask row by row: a trigger looks at the files of a whole COPY.
    """

    __tablename__ = "statement_file_line"

    file_no: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    line_no: int = Field(primary_key=True)
    facility_settlement_no: str = Field(sa_type=Text)
    refund: bool
    settlement_id: str | None = Field(default=None, sa_type=Text)
    total_fen: int = Field(sa_type=BigInteger)
    fund_fen: int = Field(sa_type=BigInteger)
    account_fen: int = Field(sa_type=BigInteger)
    settled_on: date | None = None


class StatementFileRefusal(core.Table, table=True):
    """One thing that is wrong with a line of a file, or, at line 0, with the file as a whole."""

    __tablename__ = "statement_file_refusal"
    __table_args__ = (
        ForeignKeyConstraint(["file_no"], ["settlement.statement_file.file_no"], name="statement_file_refusal_of"),
    )

    file_no: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    line_no: int = Field(primary_key=True)
    position: int = Field(primary_key=True)
    code: str = Field(sa_type=Text)
    params: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    pointer: str | None = Field(default=None, sa_type=Text)
