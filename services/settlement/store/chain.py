"""The chain over the ledger: what waits for it, its links, and everything a verification looks at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

from services.settlement.rules.chain import BEGINNING, Finding, FindingKind, Head, Link
from services.settlement.store.bills import columns
from shared.database import Connection


def _text(*fields: str) -> str:
    """The arguments of `concat` that write fields, each behind its length."""
    return ", ".join(f"length({field}), ':', {field}" for field in fields)


# Whatever stands in a row has a form: a look that fails at one transaction would see none of the others.
_DAYS = "CASE WHEN isfinite(t.value_date) THEN (t.value_date - DATE '1970-01-01')::text ELSE t.value_date::text END"
_MOMENT = (
    "CASE WHEN isfinite(t.booked_at) THEN (extract(epoch FROM t.booked_at) * 1000000)::bigint::text"
    " ELSE t.booked_at::text END"
)
_LINE = ("e.line_no::text", "e.book", "e.account_kind", "e.counterparty", "e.fund_pay_type", "e.amount_fen::text")
_CANONICAL = f"""
    concat({_text("t.transaction_id", "t.kind")}, coalesce(length(t.case_id) || ':' || t.case_id, '~'),
        {_text("t.period", _DAYS, _MOMENT)},
        coalesce(length(t.reverses_transaction_id) || ':' || t.reverses_transaction_id, '~'),
        (SELECT string_agg(concat({_text(*_LINE)}), '' ORDER BY e.line_no)
         FROM ledger_entry e WHERE e.transaction_id = t.transaction_id))
"""
"""A transaction `t` in canonical form, as `rules.chain.canonical` writes it."""

# Partitions leave for every snapshot, also for one from before: who looks more than once holds them. Neither statement
# takes the snapshot, so that it is not older than the lock.
ONE_SNAPSHOT = """
    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
    LOCK TABLE ledger_entry IN ACCESS SHARE MODE
"""
SEALER_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('settlement.seal'))"
HEAD = "SELECT chain_no, hash FROM ledger_chain ORDER BY chain_no DESC LIMIT 1"
HASH_AT = "SELECT hash FROM ledger_chain WHERE chain_no = $1"
# A transaction is in the queue when it is committed, however long it took and whatever was committed before it.
UNSEALED_TAKE = """
    DELETE FROM ledger_unsealed
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM ledger_unsealed WHERE set_aside_at IS NULL LIMIT $1))
    RETURNING transaction_id, mark
"""
UNSEALED_COUNT = "SELECT count(*) FROM ledger_unsealed WHERE set_aside_at IS NULL"
UNSEALED_INSERT = "INSERT INTO ledger_unsealed (transaction_id, mark) SELECT * FROM unnest($1::text[], $2::bytea[])"
UNSEALED_SET_ASIDE = """
    INSERT INTO ledger_unsealed (transaction_id, mark, set_aside_at)
    SELECT *, clock_timestamp() FROM unnest($1::text[], $2::bytea[])
"""
# Once somebody has adopted it, nothing is left to be looked into.
SET_ASIDE_SEALED = """
    DELETE FROM ledger_unsealed WHERE set_aside_at IS NOT NULL AND transaction_id = ANY($1::text[])
"""
CANONICAL_OF = f"""
    SELECT t.transaction_id, {_CANONICAL} AS canonical FROM ledger_transaction t
    WHERE t.transaction_id = ANY($1::text[])
      AND NOT EXISTS (SELECT FROM ledger_chain c WHERE c.transaction_id = t.transaction_id)
    ORDER BY t.transaction_id
"""
LINKS_INSERT = """
    INSERT INTO ledger_chain (chain_no, transaction_id, leaf, hash, sealed_at)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[], $5::timestamptz[])
"""
LINKS_AFTER = f"""
    SELECT c.chain_no, c.transaction_id, c.leaf, c.hash, c.sealed_at,
        CASE WHEN t.transaction_id IS NOT NULL THEN {_CANONICAL} END AS canonical
    FROM (SELECT * FROM ledger_chain WHERE chain_no > $1 ORDER BY chain_no LIMIT $2) c
    LEFT JOIN ledger_transaction t ON t.transaction_id = c.transaction_id
    ORDER BY c.chain_no
"""
OUTSIDE = f"""
    SELECT t.transaction_id, {_CANONICAL} AS canonical, coalesce(u.marks, '{{}}') AS marks
    FROM ledger_transaction t
    LEFT JOIN (SELECT transaction_id, array_agg(mark) AS marks FROM ledger_unsealed GROUP BY transaction_id) u
        USING (transaction_id)
    WHERE NOT EXISTS (SELECT FROM ledger_chain c WHERE c.transaction_id = t.transaction_id)
"""
ORPHANS = """
    SELECT e.transaction_id, format('%s entries', count(*)) AS detail FROM ledger_entry e
    WHERE NOT EXISTS (SELECT FROM ledger_transaction t WHERE t.transaction_id = e.transaction_id)
    GROUP BY e.transaction_id
"""
UNBALANCED_TRANSACTIONS = """
    SELECT transaction_id, format('%s fen too many in book %s', sum(amount_fen), book) AS detail FROM ledger_entry
    GROUP BY transaction_id, book HAVING sum(amount_fen) <> 0
"""
UNBALANCED_BOOKS = """
    SELECT book, format('%s fen too many', sum(amount_fen)) AS detail FROM ledger_entry
    GROUP BY book HAVING sum(amount_fen) <> 0
"""
SCANS = {
    FindingKind.ENTRIES_ORPHANED: ORPHANS,
    FindingKind.TRANSACTION_UNBALANCED: UNBALANCED_TRANSACTIONS,
    FindingKind.BOOK_UNBALANCED: UNBALANCED_BOOKS,
}
"""What one look through the whole ledger finds: subject and detail of each finding."""

VERIFYING_TIMEOUT_S = 3600.0
"""One look through a ledger of years may take long; it holds up nobody."""
CURSOR_ROWS = 1000


class Waiting(NamedTuple):
    """A transaction taken from the queue."""

    transaction_id: str
    mark: bytes


class Outside(NamedTuple):
    """A transaction that is not in the chain: its canonical form, and the marks under which it waits."""

    transaction_id: str
    canonical: str
    marks: Sequence[bytes]


class SealedLink(NamedTuple):
    """A link beside the canonical form its transaction has now, None when it is gone."""

    link: Link
    canonical: str | None


async def begin_snapshot(tx: Connection) -> None:
    """Make a transaction that has asked nothing yet see one moment of the ledger, out of which no year leaves."""
    await tx.execute(ONE_SNAPSHOT)


async def try_lock_sealer(tx: Connection) -> bool:
    """Whether this transaction alone may seal; false while another one does."""
    return await tx.fetchval(SEALER_LOCK)  # type: ignore[no-any-return]


async def head(tx: Connection) -> Head:
    """The newest link, or what stands before the first."""
    row = await tx.fetchrow(HEAD)
    return Head(0, BEGINNING) if row is None else Head(*row)


async def hash_at(tx: Connection, chain_no: int) -> bytes | None:
    """The hash of one link, None when there is no such link."""
    return BEGINNING if chain_no == 0 else await tx.fetchval(HASH_AT, chain_no)


async def take_unsealed(tx: Connection, limit: int) -> list[Waiting]:
    """Take transactions off the queue."""
    return [Waiting(*row) for row in await tx.fetch(UNSEALED_TAKE, limit)]


async def count_unsealed(tx: Connection) -> int:
    """How many transactions wait; those that were set aside do not."""
    return await tx.fetchval(UNSEALED_COUNT)  # type: ignore[no-any-return]


async def add_unsealed(tx: Connection, waiting: Sequence[Waiting]) -> None:
    """Put transactions into the queue."""
    await tx.execute(UNSEALED_INSERT, *columns(waiting, 2))


async def set_aside(tx: Connection, waiting: Sequence[Waiting]) -> None:
    """Keep transactions that cannot be sealed beside the queue, until somebody has looked into them."""
    await tx.execute(UNSEALED_SET_ASIDE, *columns(waiting, 2))


async def canonical_of(tx: Connection, transaction_ids: Iterable[str]) -> dict[str, str]:
    """The canonical forms of those of the transactions that are there and not in the chain yet, by id and in order."""
    rows = await tx.fetch(CANONICAL_OF, list(transaction_ids), timeout=VERIFYING_TIMEOUT_S)
    return {row["transaction_id"]: row["canonical"] for row in rows}


async def add_links(tx: Connection, links: Sequence[Link]) -> None:
    """Write links that follow the newest one."""
    await tx.execute(LINKS_INSERT, *columns(links, 5))
    await tx.execute(SET_ASIDE_SEALED, [link.transaction_id for link in links])


async def links_after(tx: Connection, chain_no: int, limit: int) -> list[SealedLink]:
    """The links after one, with their transactions as they are now."""
    rows = await tx.fetch(LINKS_AFTER, chain_no, limit, timeout=VERIFYING_TIMEOUT_S)
    return [SealedLink(Link(*row[:5]), row["canonical"]) for row in rows]


async def outside_chain(tx: Connection) -> AsyncIterator[Outside]:
    """All transactions that are not in the chain, a few at a time; needs a transaction."""
    async for row in tx.cursor(OUTSIDE, prefetch=CURSOR_ROWS, timeout=VERIFYING_TIMEOUT_S):
        yield Outside(*row)


async def scan(tx: Connection, kind: FindingKind) -> AsyncIterator[Finding]:
    """What one look through the whole ledger finds, a few at a time; needs a transaction."""
    async for row in tx.cursor(SCANS[kind], prefetch=CURSOR_ROWS, timeout=VERIFYING_TIMEOUT_S):
        yield Finding(kind, *row)
