"""Payment files, and what came from the bank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from services.settlement.rules.banking import BankItemKind
from services.settlement.rules.movements import Name, NamedBy, Sighting
from services.settlement.store.bills import columns
from shared.database import Connection, row_to, rows_to

# Approved orders of one payer at most, oldest first; whoever takes them locks them, another process takes others.
ORDERS_TO_SEND = """
    SELECT order_id, amount_fen FROM payment_order
    WHERE payer = (
        SELECT payer FROM payment_order WHERE state = 'approved' AND by_bank ORDER BY order_id LIMIT 1
        FOR UPDATE SKIP LOCKED)
      AND state = 'approved' AND by_bank
    ORDER BY order_id LIMIT $1 FOR UPDATE SKIP LOCKED
"""
BATCH_INSERT = """
    INSERT INTO bank_batch (batch_id, payer, account_version_no, execution_on, order_count, sum_fen, state, created_at)
    SELECT $1, a.party, a.version_no, $4, n.order_count, n.sum_fen, 'sending', $3
    FROM (SELECT min(payer) AS payer, count(*) AS order_count, sum(amount_fen)::bigint AS sum_fen FROM payment_order
          WHERE order_id = ANY($2::text[])) AS n
    JOIN bank_account a ON a.party = n.payer AND a.current
"""
BATCH_ORDERS = """
    UPDATE payment_order o SET state = 'sending', batch_id = $1, payee_version_no = coalesce(
        (SELECT version_no FROM bank_account a WHERE a.party = o.payee AND a.current), o.payee_version_no)
    WHERE o.order_id = ANY($2::text[])
"""
BATCHES_SENDING = "SELECT batch_id FROM bank_batch WHERE state = 'sending' ORDER BY batch_id"
BATCH_LOCK = """
    SELECT b.batch_id, b.payer, b.execution_on, b.created_at, a.holder_sealed, a.account_sealed, a.bank_code
    FROM bank_batch b JOIN bank_account a ON (a.party, a.version_no) = (b.payer, b.account_version_no)
    WHERE b.batch_id = $1 AND b.state = 'sending' FOR UPDATE OF b SKIP LOCKED
"""
INSTRUCTIONS = """
    SELECT o.order_id, o.purpose, o.reference, o.amount_fen,
        coalesce(a.holder_sealed, k.holder_sealed) AS holder_sealed,
        coalesce(a.account_sealed, k.account_sealed) AS account_sealed, coalesce(a.bank_code, k.bank_code) AS bank_code
    FROM payment_order o
    LEFT JOIN bank_account a ON (a.party, a.version_no) = (o.payee, o.payee_version_no)
    LEFT JOIN payout_card k ON o.purpose = 'payout' AND (k.payout_id, k.card_no) = (o.reference, o.payee_version_no)
    WHERE o.batch_id = $1 ORDER BY o.order_id
"""
BATCH_SENT = "UPDATE bank_batch SET state = 'sent', sent_at = $2 WHERE batch_id = $1 AND state = 'sending'"
BATCH_ORDERS_SENT = "UPDATE payment_order SET state = 'sent' WHERE batch_id = $1 AND state = 'sending'"
BATCH_PAYER = "SELECT payer FROM bank_batch WHERE batch_id = $1"
BATCH_ANSWERED = """
    UPDATE bank_batch SET answered_at = $2 WHERE batch_id = $1 AND answered_at IS NULL AND state = 'sent'
"""
BATCH_ORDER_IDS = "SELECT order_id FROM payment_order WHERE batch_id = $1 ORDER BY order_id"
STATUSES_SAVE = """
    UPDATE payment_order o SET bank_status = s.status, bank_reason = nullif(s.reason, ''),
        state = CASE WHEN s.rejected THEN 'rejected' ELSE o.state END
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[]) AS s(order_id, status, reason, rejected)
    WHERE o.order_id = s.order_id
"""
MESSAGE_INSERT = """
    INSERT INTO bank_message (kind, party, message_id, sha256, file_name, received_at, fault)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING message_no
"""
MESSAGE_SHA256 = "SELECT sha256 FROM bank_message WHERE kind = $1 AND party = $2 AND message_id = $3"
ENTRIES_INSERT = """
    INSERT INTO bank_entry (entry_id, party, entry_ref, end_to_end_id, debit, amount_fen, booked_on, reason, message_no,
        order_id, outcome, received_at)
    SELECT e, p, r, x, d, a, b, nullif(s, ''), $11, nullif(o, ''), c, $12
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bigint[], $7::date[], $8::text[],
        $9::text[], $10::text[]) AS n(e, p, r, x, d, a, b, s, o, c)
"""
# One account at a time: two reports of the same movements, taken at once, must see each other's.
ACCOUNT_LOCK = "SELECT pg_advisory_xact_lock(hashtext('settlement.bank_account'), hashtext($1))"
SIGHTINGS = """
    SELECT s.entry_id, s.told_by, s.named_by, s.name, s.end_to_end_id, s.debit, e.amount_fen, e.booked_on, s.value_on
    FROM bank_sighting s JOIN bank_entry e USING (entry_id)
    WHERE s.party = $1 AND (e.booked_on BETWEEN $2 AND $3 OR s.entry_id IN (
        SELECT n.entry_id FROM bank_sighting n WHERE n.party = $1 AND n.name = ANY($4::text[])))
    ORDER BY s.entry_id, s.told_by, s.named_by, s.name
"""
SIGHTINGS_INSERT = """
    INSERT INTO bank_sighting (party, told_by, named_by, name, end_to_end_id, debit, entry_id, value_on, message_no)
    SELECT $1, $2, w, n, x, d, e, v, $3
    FROM unnest($4::text[], $5::text[], $6::text[], $7::bool[], $8::text[], $9::date[]) AS s(w, n, x, d, e, v)
    ON CONFLICT DO NOTHING
"""
BOOKS_BALANCE = """
    SELECT coalesce(sum(e.amount_fen), 0) FROM ledger_entry e JOIN ledger_transaction t USING (transaction_id)
    WHERE e.book = $1 AND e.account_kind = 'bank' AND t.value_date > $2 AND t.value_date <= $3
"""
ITEMS_INSERT = """
    INSERT INTO bank_item (item_key, kind, party, order_id, message_no, amount_fen, detail, found_at, due_on)
    SELECT k, kind, p, nullif(o, ''), m, a, d, $8, $9
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[])
        AS n(k, kind, p, o, m, a, d)
    ON CONFLICT (item_key) DO NOTHING
"""
_ITEM = """
    item_no, kind, party, order_id, message_no, amount_fen, detail, found_at, due_on, closed_at, closed_as, closed_by,
    note
"""
ITEMS = f"""
    SELECT {_ITEM} FROM bank_item
    WHERE party = ANY($1::text[]) AND ($2::bool IS NULL OR (closed_at IS NULL) = $2) AND ($3::text IS NULL OR kind = $3)
      AND item_no > $4
    ORDER BY item_no LIMIT $5
"""
ITEM = f"SELECT {_ITEM} FROM bank_item WHERE item_no = $1"
ITEM_LOCKED = f"{ITEM} FOR UPDATE"
ITEM_EXPLAIN = (
    "UPDATE bank_item SET closed_at = $2, closed_as = 'explained', closed_by = $3, note = $4 WHERE item_no = $1"
)
ITEMS_CLOSE = """
    UPDATE bank_item SET closed_at = $4, closed_as = $3
    WHERE order_id = ANY($1::text[]) AND kind = ANY($2::text[]) AND closed_at IS NULL
"""
BALANCE_ITEMS_CLOSE = """
    UPDATE bank_item SET closed_at = $3, closed_as = 'agreed'
    WHERE party = $1 AND kind = 'balance_differs' AND closed_at IS NULL AND starts_with(item_key, $2)
"""


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """A file to be written, its account still encrypted."""

    batch_id: str
    payer: str
    execution_on: date
    created_at: datetime
    holder_sealed: str
    account_sealed: str
    bank_code: str


@dataclass(frozen=True, slots=True)
class SealedInstruction:
    """An order of a file, its account still encrypted."""

    order_id: str
    purpose: str
    reference: str
    amount_fen: int
    holder_sealed: str
    account_sealed: str
    bank_code: str


class NewEntry(NamedTuple):
    """A movement to be kept."""

    entry_id: str
    party: str
    entry_ref: str
    end_to_end_id: str
    debit: bool
    amount_fen: int
    booked_on: date
    reason: str | None
    order_id: str | None
    outcome: str


class NewSighting(NamedTuple):
    """That a report told of a movement, and by which name."""

    named_by: NamedBy
    name: str
    end_to_end_id: str
    debit: bool
    entry_id: str
    value_on: date | None


class NewItem(NamedTuple):
    """Something to be looked into, told once by its key."""

    item_key: str
    kind: BankItemKind
    party: str
    detail: str
    order_id: str | None = None
    message_no: int | None = None
    amount_fen: int | None = None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """Something to be looked into."""

    item_no: int
    kind: str
    party: str
    order_id: str | None
    message_no: int | None
    amount_fen: int | None
    detail: str
    found_at: datetime
    due_on: date
    closed_at: datetime | None
    closed_as: str | None
    closed_by: str | None
    note: str | None


async def take_orders(tx: Connection, batch_id: str, at: datetime, on: date, orders_max: int) -> int:
    """Fix the next file: approved orders of one payer go into it for ever. How many they are."""
    order_ids = [row["order_id"] for row in await tx.fetch(ORDERS_TO_SEND, orders_max)]
    if order_ids:
        await tx.execute(BATCH_INSERT, batch_id, order_ids, at, on)
        await tx.execute(BATCH_ORDERS, batch_id, order_ids)
    return len(order_ids)


async def batches_sending(tx: Connection) -> list[str]:
    """Files that are fixed and not known to be with the bank."""
    return [row["batch_id"] for row in await tx.fetch(BATCHES_SENDING)]


async def lock_batch(tx: Connection, batch_id: str) -> SealedBatch | None:
    """A file to be sent, locked; None when it was sent, or another process is at it."""
    return row_to(SealedBatch, await tx.fetchrow(BATCH_LOCK, batch_id))


async def instructions(tx: Connection, batch_id: str) -> list[SealedInstruction]:
    """The orders of a file in their order."""
    return rows_to(SealedInstruction, await tx.fetch(INSTRUCTIONS, batch_id))


async def set_sent(tx: Connection, batch_id: str, at: datetime) -> None:
    """The bank has a file; whoever notes it first, ourselves or its answer."""
    await tx.execute(BATCH_SENT, batch_id, at)
    await tx.execute(BATCH_ORDERS_SENT, batch_id)


async def batch_payer(tx: Connection, batch_id: str) -> str | None:
    """Whose file it is."""
    return await tx.fetchval(BATCH_PAYER, batch_id)  # type: ignore[no-any-return]


async def batch_orders(tx: Connection, batch_id: str) -> list[str]:
    """The orders of a file."""
    return [row["order_id"] for row in await tx.fetch(BATCH_ORDER_IDS, batch_id)]


async def set_answered(tx: Connection, batch_id: str, at: datetime) -> None:
    """The bank answered a file."""
    await tx.execute(BATCH_ANSWERED, batch_id, at)


async def save_statuses(tx: Connection, statuses: Sequence[tuple[str, str, str, bool]]) -> None:
    """Keep what the bank says of orders: id, status, reason or "", whether it ends the order."""
    await tx.execute(STATUSES_SAVE, *columns(statuses, 4))


async def add_message(
    tx: Connection, kind: str, party: str, message_id: str, sha256: str, name: str, at: datetime, fault: str | None
) -> int | None:
    """Take a file; None when it was taken before."""
    return await tx.fetchval(  # type: ignore[no-any-return]
        MESSAGE_INSERT, kind, party, message_id, sha256, name, at, fault
    )


async def message_sha256(tx: Connection, kind: str, party: str, message_id: str) -> str | None:
    """What came under a message id before."""
    return await tx.fetchval(MESSAGE_SHA256, kind, party, message_id)  # type: ignore[no-any-return]


async def lock_accounts(tx: Connection, parties: Iterable[str]) -> None:
    """Nobody else takes reports of these parties' accounts until the transaction ends."""
    for party in sorted(set(parties)):
        await tx.execute(ACCOUNT_LOCK, party)


async def sightings(tx: Connection, party: str, days: tuple[date, date], names: Sequence[Name]) -> list[Sighting]:
    """Who told of the movements of an account that were booked in some days, or have some name."""
    rows = await tx.fetch(SIGHTINGS, party, *days, [name.name for name in names])
    return [Sighting(row[0], row[1], Name(NamedBy(row[2]), *row[3:6]), *row[6:]) for row in rows]


async def add_sightings(
    tx: Connection, party: str, told_by: str, found: Sequence[NewSighting], message_no: int
) -> None:
    """A report told of movements; under the same name it does so once."""
    await tx.execute(SIGHTINGS_INSERT, party, told_by, message_no, *columns(found, 6))


async def add_entries(tx: Connection, entries: Sequence[NewEntry], message_no: int, at: datetime) -> None:
    """Keep movements that were not reported before."""
    rows = [(*e[:7], e.reason or "", e.order_id or "", e.outcome) for e in entries]
    await tx.execute(ENTRIES_INSERT, *columns(rows, 10), message_no, at)


async def books_balance(tx: Connection, party: str, after: date, until: date) -> int:
    """What the bank account of a book moved in some days, by value date."""
    return int(await tx.fetchval(BOOKS_BALANCE, party, after, until))


async def add_items(tx: Connection, items: Sequence[NewItem], at: datetime, due_on: date) -> None:
    """Tell somebody of something, once."""
    rows = [(i.item_key, i.kind, i.party, i.order_id or "", i.message_no, i.amount_fen, i.detail) for i in items]
    await tx.execute(ITEMS_INSERT, *columns(rows, 7), at, due_on)


async def items(
    tx: Connection, parties: Sequence[str], *, is_open: bool | None, kind: str | None, after: int, limit: int
) -> list[ItemRow]:
    """What parties have to look into."""
    return rows_to(ItemRow, await tx.fetch(ITEMS, list(parties), is_open, kind, after, limit))


async def item(tx: Connection, item_no: int, *, locked: bool = False) -> ItemRow | None:
    """One of them."""
    return row_to(ItemRow, await (tx.fetchrow(ITEM_LOCKED, item_no) if locked else tx.fetchrow(ITEM, item_no)))


async def explain_item(tx: Connection, item_no: int, subject: str, note: str, at: datetime) -> None:
    """Somebody looked into it and says what it was."""
    await tx.execute(ITEM_EXPLAIN, item_no, at, subject, note)


async def close_items(
    tx: Connection, order_ids: Sequence[str], kinds: Sequence[BankItemKind], closed_as: str, at: datetime
) -> None:
    """What some orders left open is answered, or they were repeated."""
    await tx.execute(ITEMS_CLOSE, list(order_ids), list(kinds), closed_as, at)


async def close_balance_items(tx: Connection, keeper: str, item_key: str, at: datetime) -> None:
    """A statement of an account agrees with the books again: what its keeper was told, by the beginning of its key."""
    await tx.execute(BALANCE_ITEMS_CLOSE, keeper, item_key, at)
