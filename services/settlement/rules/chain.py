"""The chain over the ledger (哈希链): what of a transaction is hashed, how, and under which key. Pure.

Whoever can write to the database but does not hold the key can neither add a transaction that counts nor change, remove
or reorder one unseen: booking marks every transaction, sealing takes only marked ones, and every link holds the one
before it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from services.settlement.rules.ledger import Account, Entry

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)

BEGINNING: Final = bytes(32)
"""What stands before the first link."""


class FindingKind(StrEnum):
    """What a verification can find."""

    CHAIN_GAP = "chain-gap"
    """A number of the chain is not there."""
    CHAIN_BROKEN = "chain-broken"
    """A link does not follow from the one before it: one of the two was changed, or is no work of the key."""
    CHAIN_TRUNCATED = "chain-truncated"
    """The chain ends before a checkpoint."""
    CHAIN_REWRITTEN = "chain-rewritten"
    """The chain holds another hash than it had at a checkpoint."""
    TRANSACTION_CHANGED = "transaction-changed"
    """A sealed transaction or one of its entries was edited, added or removed."""
    TRANSACTION_REMOVED = "transaction-removed"
    """A sealed transaction is no longer there."""
    TRANSACTION_UNSEALED = "transaction-unsealed"
    """A transaction is neither in the chain nor waiting for it with the mark of booking."""
    TRANSACTION_UNBALANCED = "transaction-unbalanced"
    """The entries of a transaction do not sum to zero in one of its books."""
    ENTRIES_ORPHANED = "entries-orphaned"
    """Entries of a transaction that is not there."""
    BOOK_UNBALANCED = "book-unbalanced"
    """A book does not sum to zero."""
    ARCHIVE_CHANGED = "archive-changed"
    """An archive, or what became of it, was edited, removed or added without the key."""
    OPENING_CHANGED = "opening-changed"
    """What an archived year left in the database, openings and sums of its cases, is not what it left."""
    ARCHIVED_DIFFERS = "archived-differs"
    """Not exactly the transactions that were archived are gone: some are missing beside, or came back."""
    ARCHIVE_FILE_WRONG = "archive-file-wrong"
    """A file of an archive is missing, was edited, or does not hold what the chain sealed."""


class Finding(NamedTuple):
    """One thing that is not as it was sealed: what, of which transaction, book or link."""

    kind: FindingKind
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.detail}"


class Link(NamedTuple):
    """One link of the chain, as it is kept."""

    chain_no: int
    transaction_id: str
    leaf: bytes
    hash: bytes
    sealed_at: datetime


class Head(NamedTuple):
    """How far the chain reaches, and the hash there: whoever keeps it can tell later whether the past still stands."""

    chain_no: int
    hash: bytes


class LedgerKey:
    """The key of the chain (账簿密钥), from the deployment's secrets; marking and linking use keys derived from it."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("the ledger key has fewer than 32 bytes")
        self._marking = hmac.digest(secret, b"sifang ledger mark", "sha256")
        self._linking = hmac.digest(secret, b"sifang ledger link", "sha256")
        self._archiving = hmac.digest(secret, b"sifang ledger archive", "sha256")

    def mark(self, leaf: bytes) -> bytes:
        """What shows that booking wrote the transaction of a leaf."""
        return hmac.digest(self._marking, leaf, "sha256")

    def is_marked(self, leaf: bytes, mark: bytes) -> bool:
        """Whether a mark is that of a leaf."""
        return hmac.compare_digest(self.mark(leaf), mark)

    def link(self, previous: bytes, leaf: bytes, sealed_at: datetime) -> bytes:
        """The hash of a link: of the link before it, its own leaf and the moment of sealing."""
        moment = _microseconds(sealed_at).to_bytes(8, "big", signed=True)
        return hmac.digest(self._linking, previous + leaf + moment, "sha256")

    def archive(self, previous: bytes, text: str) -> bytes:
        """What shows that an archive, or what became of it, is the work of the key and follows from the one before."""
        return hmac.digest(self._archiving, previous + text.encode(), "sha256")

    def links(self, head: Head, leaves: Sequence[tuple[str, bytes]], sealed_at: datetime) -> list[Link]:
        """The links that follow a head, for transactions with their leaves."""
        links, previous = [], head.hash
        for chain_no, (transaction_id, leaf) in enumerate(leaves, head.chain_no + 1):
            previous = self.link(previous, leaf, sealed_at)
            links.append(Link(chain_no, transaction_id, leaf, previous, sealed_at))
        return links


def leaf_of(canonical: str) -> bytes:
    """SHA-256 over a transaction in canonical form."""
    return hashlib.sha256(canonical.encode()).digest()


def canonical(
    transaction_id: str,
    kind: str,
    case_id: str | None,
    period: str,
    value_date: date,
    booked_at: datetime,
    reverses_transaction_id: str | None,
    entries: Sequence[Entry],
) -> str:
    """A transaction with all its entries as one text, the same that `store.chain` makes of the rows.

    Every field stands behind its length, so that no two transactions have the same text; days and moments are counted
    from 1970 in days and microseconds.
    """
    days, moment = value_date.toordinal() - _EPOCH_DAY, _microseconds(booked_at)
    head = f"{_field(transaction_id)}{_field(kind)}{_optional(case_id)}{_field(period)}"
    moments = f"{_field(str(days))}{_field(str(moment))}{_optional(reverses_transaction_id)}"
    return "".join([head, moments, *map(_entry, entries)])


def _optional(text: str | None) -> str:
    return "~" if text is None else _field(text)


def _entry(entry: Entry) -> str:
    line_no, book, account, amount_fen = entry
    return f"{_field(str(line_no))}{_account(book, account)}{_field(str(amount_fen))}"


@lru_cache(maxsize=10_000)
def _account(book: str, account: Account) -> str:
    return "".join(map(_field, (book, account.kind, account.counterparty, account.fund_pay_type)))


def _field(text: str) -> str:
    return f"{len(text)}:{text}"


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def check_links(key: LedgerKey, before: Head, links: Sequence[Link]) -> list[Finding]:
    """What is wrong with links that should follow a head; a broken one is named once, and the next judged by it."""
    findings: list[Finding] = []
    chain_no, previous = before
    for link in links:
        if link.chain_no != chain_no + 1:
            missing = f"{chain_no + 1} to {link.chain_no - 1} are not there"
            findings.append(Finding(FindingKind.CHAIN_GAP, f"link {chain_no + 1}", missing))
        if not hmac.compare_digest(key.link(previous, link.leaf, link.sealed_at), link.hash):
            what = f"the hash of {link.transaction_id} does not follow from link {chain_no}"
            findings.append(Finding(FindingKind.CHAIN_BROKEN, f"link {link.chain_no}", what))
        chain_no, previous = link.chain_no, link.hash
    return findings


def check_leaf(link: Link, found: str | None) -> Finding | None:
    """Whether a sealed transaction is still as it was sealed; `found` is its canonical form now, None when gone."""
    if found is None:
        where = f"link {link.chain_no} names it and it is not in the ledger"
        return Finding(FindingKind.TRANSACTION_REMOVED, link.transaction_id, where)
    if leaf_of(found) != link.leaf:
        where = f"it or one of its entries is not as link {link.chain_no} sealed it"
        return Finding(FindingKind.TRANSACTION_CHANGED, link.transaction_id, where)
    return None


def check_checkpoint(checkpoint: Head, hash_now: bytes | None) -> Finding | None:
    """Whether the chain still holds what it held at a checkpoint; `hash_now` is its hash there, None beyond its end."""
    if hash_now is None:
        return Finding(FindingKind.CHAIN_TRUNCATED, f"link {checkpoint.chain_no}", "it was there at the checkpoint")
    if hash_now != checkpoint.hash:
        return Finding(FindingKind.CHAIN_REWRITTEN, f"link {checkpoint.chain_no}", "its hash was another one then")
    return None
