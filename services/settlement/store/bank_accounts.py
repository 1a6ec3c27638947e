"""The bank accounts of parties, encrypted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from shared.database import Connection, rows_to

_ACCOUNT = """
    party, version_no, region, holder_sealed, account_sealed, account_hash, bank_code, opening_fen, opening_on, state,
    current, proposed_by, proposed_at, decided_by, decided_at
"""
ACCOUNT_INSERT = """
    INSERT INTO bank_account (party, version_no, region, holder_sealed, account_sealed, account_hash, bank_code,
        opening_fen, opening_on, state, current, proposed_by, proposed_at)
    SELECT $1, coalesce(max(version_no), 0) + 1, $2, $3, $4, $5, $6, $7, $8, 'proposed', false, $9, $10
    FROM bank_account WHERE party = $1
"""
ACCOUNTS_LOCK = "SELECT pg_advisory_xact_lock(hashtext('settlement.bank_account'))"
ACCOUNTS_OF = f"SELECT {_ACCOUNT} FROM bank_account WHERE party = $1 ORDER BY version_no"
ACCOUNTS_CURRENT = "SELECT party, version_no FROM bank_account WHERE party = ANY($1::text[]) AND current"
ACCOUNT_HOLDER = "SELECT party FROM bank_account WHERE account_hash = $1 AND state = 'approved' AND party <> $2 LIMIT 1"
ACCOUNT_RETIRE = "UPDATE bank_account SET current = false WHERE party = $1 AND current"
ACCOUNT_DECIDE = """
    UPDATE bank_account SET state = $3, current = $3 = 'approved', decided_by = $4, decided_at = $5
    WHERE party = $1 AND version_no = $2
"""
ACCOUNT_PARTIES = """
    SELECT DISTINCT ON (account_hash) account_hash, party, opening_fen, opening_on, region FROM bank_account
    WHERE account_hash = ANY($1::text[]) AND state = 'approved' ORDER BY account_hash, current DESC, version_no DESC
"""
ACCOUNT_KEEPER = """
    SELECT region FROM bank_account WHERE party = $1 AND state = 'approved'
    ORDER BY current DESC, version_no DESC LIMIT 1
"""
SEALED_ACCOUNTS = "SELECT party, version_no, holder_sealed, account_sealed FROM bank_account FOR UPDATE"
ACCOUNT_RESEAL = "UPDATE bank_account SET holder_sealed = $3, account_sealed = $4 WHERE party = $1 AND version_no = $2"


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One version of a party's bank account, as it is kept."""

    party: str
    version_no: int
    region: str
    holder_sealed: str
    account_sealed: str
    account_hash: str
    bank_code: str
    opening_fen: int
    opening_on: date
    state: str
    current: bool
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class NewAccount(NamedTuple):
    """A bank account to be proposed."""

    party: str
    region: str
    holder_sealed: str
    account_sealed: str
    account_hash: str
    bank_code: str
    opening_fen: int
    opening_on: date


class Holder(NamedTuple):
    """Whose account a number is, and from what on the books show it."""

    party: str
    opening_fen: int
    opening_on: date
    keeper: str
    """The agency that keeps it, which is told of what somebody has to look into."""


async def add_account(tx: Connection, account: NewAccount, subject: str, at: datetime) -> None:
    """Propose a version of a party's account."""
    await tx.execute(ACCOUNT_INSERT, *account, subject, at)


async def lock_accounts(tx: Connection) -> None:
    """Nobody else changes any account until the transaction ends: two parties must not take the same one."""
    await tx.execute(ACCOUNTS_LOCK)


async def accounts_of(tx: Connection, party: str) -> list[AccountRow]:
    """All versions of a party's account."""
    return rows_to(AccountRow, await tx.fetch(ACCOUNTS_OF, party))


async def with_account(tx: Connection, parties: Iterable[str]) -> set[str]:
    """Those of some parties that have an account on file."""
    return {row["party"] for row in await tx.fetch(ACCOUNTS_CURRENT, sorted(set(parties)))}


async def other_holder(tx: Connection, account_hash: str, party: str) -> str | None:
    """Another party that has, or had, this account."""
    return await tx.fetchval(ACCOUNT_HOLDER, account_hash, party)  # type: ignore[no-any-return]


async def decide_account(tx: Connection, row: AccountRow, state: str, subject: str, at: datetime) -> None:
    """Approve a version, which then holds, or decline it."""
    if state == "approved":
        await tx.execute(ACCOUNT_RETIRE, row.party)
    await tx.execute(ACCOUNT_DECIDE, row.party, row.version_no, state, subject, at)


async def holders(tx: Connection, account_hashes: Iterable[str]) -> dict[str, Holder]:
    """Whose accounts some numbers are, by their hashes."""
    rows = await tx.fetch(ACCOUNT_PARTIES, sorted(set(account_hashes)))
    return {row["account_hash"]: Holder(*row[1:]) for row in rows}


async def keeper(tx: Connection, party: str) -> str:
    """The agency that keeps a party's account; the party itself, when it has none on file."""
    return await tx.fetchval(ACCOUNT_KEEPER, party) or party


async def sealed_accounts(tx: Connection) -> Mapping[tuple[str, int], tuple[str, str]]:
    """Holder and number of every account, encrypted, locked; by party and version."""
    return {(row[0], row[1]): (row[2], row[3]) for row in await tx.fetch(SEALED_ACCOUNTS)}


async def reseal_account(tx: Connection, party: str, version_no: int, holder: str, account: str) -> None:
    """Write an account that was encrypted anew."""
    await tx.execute(ACCOUNT_RESEAL, party, version_no, holder, account)
