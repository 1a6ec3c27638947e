"""What proves the ledger: the chain over its transactions, and those that wait for it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, LargeBinary, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.settlement.tables import core


class LedgerChain(core.Table, table=True):
    """One link of the chain over the ledger (哈希链), written once; its hash needs a key that the database never sees.

    No foreign key: whether its transaction is still there is for the verification to say, and a look row by row would
    only slow the sealing.
    """

    __tablename__ = "ledger_chain"
    __table_args__ = (
        UniqueConstraint("transaction_id", name="ledger_chain_once"),
        CheckConstraint("chain_no > 0", name="ledger_chain_number"),
        CheckConstraint("octet_length(leaf) = 32 AND octet_length(hash) = 32", name="ledger_chain_hashes"),
    )

    chain_no: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    """1, 2, 3, … without a gap."""
    transaction_id: str = Field(sa_type=Text)
    leaf: bytes = Field(sa_type=LargeBinary)
    """SHA-256 over the transaction and its entries in canonical form."""
    hash: bytes = Field(sa_type=LargeBinary)
    """HMAC-SHA-256 over the hash before it, the leaf and `sealed_at`."""
    sealed_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


LEDGER_UNSEALED = Table(
    "ledger_unsealed",
    core.METADATA,
    Column("transaction_id", Text, nullable=False),
    Column("mark", LargeBinary, nullable=False),
    Column("queued_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("set_aside_at", DateTime(timezone=True), nullable=True),
)
"""Transactions that wait to be sealed, with the mark of whoever booked them; gone once they are in the chain.

Since when is the database's word, not that of the service's clock, which may be set. What cannot be sealed because its
mark is not that of booking is set aside (搁置) and stays.

Without any index, because booking pays for each: it is read from its front, and short.
"""


class InvariantCheck(core.Table, table=True):
    """The last check of the invariants (恒等式): of what was sealed of late, and of everything."""

    __tablename__ = "invariant_check"
    __table_args__ = (
        CheckConstraint("scope IN ('recent', 'whole')", name="invariant_check_scope"),
        CheckConstraint("chain_no >= 0 AND transactions >= 0 AND violations >= 0", name="invariant_check_numbers"),
        CheckConstraint("took_s >= 0", name="invariant_check_took"),
    )

    scope: str = Field(primary_key=True, sa_type=Text)
    checked_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    took_s: float
    chain_no: int = Field(sa_type=BigInteger)
    """Up to which link it looked."""
    transactions: int = Field(sa_type=BigInteger)
    """How many it looked at."""
    violations: int = Field(sa_type=BigInteger)
    findings: list[dict[str, str]] = Field(sa_column=Column(JSONB, nullable=False))
    """The first of them by name."""
