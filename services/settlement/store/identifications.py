"""Unknown movements of the bank, and what they turned out to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from services.settlement.rules.identifications import Movement, Nature, Outcome, Target
from services.settlement.rules.orders import Purpose
from services.settlement.store.bills import columns
from shared.database import Connection, rows_to

# The item by which a movement was told names it. Is it unknown still, but for one identification that is looked at?
_MOVEMENT = """
    i.item_no, e.entry_id, e.party, e.debit, e.amount_fen, e.booked_on, e.entry_ref,
    e.outcome = 'unknown' AND NOT EXISTS (
        SELECT FROM bank_identification n WHERE n.entry_id = e.entry_id AND n.state <> 'declined'
          AND n.identification_id <> ALL($2::text[])) AS is_unknown,
    i.party AS keeper
"""
MOVEMENTS_TOLD = f"""
    SELECT {_MOVEMENT} FROM bank_item i JOIN bank_entry e ON i.item_key = 'entry:' || e.entry_id
    WHERE i.item_no = ANY($1::bigint[])
"""
MOVEMENTS = f"""
    SELECT {_MOVEMENT} FROM bank_entry e JOIN bank_item i ON i.item_key = 'entry:' || e.entry_id
    WHERE e.entry_id = ANY($1::text[])
"""
INSERT = """
    INSERT INTO bank_identification (identification_id, entry_id, debit, party, keeper, target, order_id, purpose,
        reference, nature, counter_entry_id, reason, state, proposed_by, proposed_at)
    SELECT i, e.entry_id, e.debit, $1, $2, $3, $4, $5, $6, $7, nullif(c, ''), $8, 'proposed', $9, $10
    FROM unnest($11::text[], $12::text[], $13::text[]) AS n(i, entry_id, c) JOIN bank_entry e USING (entry_id)
    ON CONFLICT DO NOTHING RETURNING identification_id
"""
DECIDE = """
    UPDATE bank_identification SET state = $2, outcome = $3, decided_by = $4, decided_at = $5
    WHERE identification_id = ANY($1::text[])
"""
_ROW = """
    n.identification_id, n.entry_id, n.party, n.keeper, n.target, n.order_id, n.purpose, n.reference,
    n.counter_entry_id, n.nature, n.reason, n.state, n.outcome, n.proposed_by, n.proposed_at, n.decided_by,
    n.decided_at, i.item_no, e.debit, e.amount_fen, e.booked_on, e.entry_ref, e.message_no
"""
_FROM = """
    bank_identification n JOIN bank_entry e USING (entry_id) JOIN bank_item i ON i.item_key = 'entry:' || n.entry_id
"""
ROW = f"SELECT {_ROW} FROM {_FROM} WHERE n.identification_id = $1"
LIST = f"""
    SELECT {_ROW} FROM {_FROM}
    WHERE n.keeper = ANY($1::text[]) AND ($2::text IS NULL OR n.state = $2) AND n.identification_id > $3
    ORDER BY n.identification_id LIMIT $4
"""
# A pair has a row for each of the two; they are locked and decided together, always in one order.
LOCK = """
    SELECT identification_id FROM bank_identification
    WHERE identification_id = $1 OR (state = 'proposed' AND counter_entry_id = (
        SELECT entry_id FROM bank_identification WHERE identification_id = $1))
    ORDER BY identification_id FOR UPDATE
"""
# What was seen of orders at one end, whoever said so: the bank by the order, or people by the order or by its debt.
MIRRORED = """
    SELECT o.order_id, s.fen::bigint AS fen FROM payment_order o
    LEFT JOIN payment h ON o.purpose = 'hop' AND h.payment_id = o.reference
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_fen), 0) AS fen FROM (
            SELECT e.amount_fen FROM bank_entry e
            WHERE e.order_id = o.order_id AND e.party = $2 AND e.outcome = 'mirrored'
            UNION ALL
            SELECT e.amount_fen FROM bank_identification n JOIN bank_entry e USING (entry_id)
            WHERE n.order_id = o.order_id AND n.party = $2 AND n.outcome = 'mirrored'
            UNION ALL
            SELECT e.amount_fen FROM bank_identification n JOIN bank_entry e USING (entry_id)
            WHERE n.party = $2 AND n.purpose = o.purpose AND n.reference = coalesce(h.case_id, o.reference)
              AND n.outcome = 'mirrored' AND e.debit = (o.payer = $2)
        ) AS seen) AS s
    WHERE o.order_id = ANY($1::text[])
"""
SEEN = """
    SELECT EXISTS (
        SELECT FROM payment_order o JOIN bank_entry e USING (order_id)
        WHERE o.purpose = $1 AND o.reference = $2 AND e.party = $3 AND e.outcome = 'mirrored'
        UNION ALL
        SELECT FROM payment_order o JOIN bank_identification n USING (order_id)
        WHERE o.purpose = $1 AND o.reference = $2 AND n.party = $3 AND n.outcome = 'mirrored')
"""
BY_BANK = """
    SELECT EXISTS (SELECT FROM payment_order WHERE purpose = $1 AND reference = $2 AND by_bank)
"""
ITEMS_CLOSE = """
    UPDATE bank_item SET closed_at = $2, closed_as = 'identified'
    WHERE item_key IN (SELECT 'entry:' || e FROM unnest($1::text[]) AS e) AND closed_at IS NULL
"""


class NewIdentification(NamedTuple):
    """What a movement is said to be; `entries` are those it is about, each with the one that cancels it, or ""."""

    party: str
    keeper: str
    target: Target
    order_id: str | None
    purpose: Purpose | None
    reference: str | None
    nature: Nature | None
    reason: str
    entries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class IdentificationRow:
    """An identification with its movement. Amount in fen."""

    identification_id: str
    entry_id: str
    party: str
    keeper: str
    target: str
    order_id: str | None
    purpose: str | None
    reference: str | None
    counter_entry_id: str | None
    nature: str | None
    reason: str
    state: str
    outcome: str | None
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    item_no: int
    debit: bool
    amount_fen: int
    booked_on: date
    entry_ref: str
    message_no: int


async def told(tx: Connection, item_nos: Sequence[int]) -> dict[int, Movement]:
    """The movements that items tell of."""
    return {row["item_no"]: _movement(row) for row in await tx.fetch(MOVEMENTS_TOLD, list(item_nos), [])}


async def movements(tx: Connection, entry_ids: Sequence[str], identification_ids: Sequence[str]) -> dict[str, Movement]:
    """Movements, with whether they are unknown but for some identifications."""
    rows = await tx.fetch(MOVEMENTS, list(entry_ids), list(identification_ids))
    return {row["entry_id"]: _movement(row) for row in rows}


def _movement(row: Any) -> Movement:
    return Movement(*list(row)[1:])


async def add(tx: Connection, new: NewIdentification, ids: Sequence[str], subject: str, at: datetime) -> bool:
    """Write an identification, of a pair both; false when one of the movements, or what was owed, is identified."""
    rows = [(i, *pair) for i, pair in zip(ids, new.entries.items(), strict=True)]
    about = (new.party, new.keeper, new.target, new.order_id, new.purpose, new.reference, new.nature, new.reason)
    return len(await tx.fetch(INSERT, *about, subject, at, *columns(rows, 3))) == len(rows)


async def lock(tx: Connection, identification_id: str) -> list[str]:
    """An identification, of a pair both, locked: the ids."""
    return [row["identification_id"] for row in await tx.fetch(LOCK, identification_id)]


async def decide(
    tx: Connection, ids: Sequence[str], state: str, outcome: Outcome | None, subject: str, at: datetime
) -> None:
    """Another person's word."""
    await tx.execute(DECIDE, list(ids), state, outcome, subject, at)


async def row(tx: Connection, identification_id: str) -> IdentificationRow | None:
    """One identification."""
    return next(iter(rows_to(IdentificationRow, await tx.fetch(ROW, identification_id))), None)


async def rows_of(
    tx: Connection, agencies: Sequence[str], state: str | None, after: str, limit: int
) -> list[IdentificationRow]:
    """The identifications of some agencies, by id."""
    return rows_to(IdentificationRow, await tx.fetch(LIST, list(agencies), state, after, limit))


async def mirrored(tx: Connection, order_ids: Sequence[str], party: str) -> dict[str, int]:
    """What is known as orders' money at a party's account that the books had already, in fen."""
    return {row["order_id"]: row["fen"] for row in await tx.fetch(MIRRORED, list(order_ids), party)}


async def seen(tx: Connection, purpose: Purpose, reference: str, party: str) -> bool:
    """Whether a movement of a party's account is known as the payment of a debt by its order."""
    return await tx.fetchval(SEEN, purpose, reference, party)  # type: ignore[no-any-return]


async def goes_to_bank(tx: Connection, purpose: Purpose, reference: str) -> bool:
    """Whether a debt has, or had, an order for the bank."""
    return await tx.fetchval(BY_BANK, purpose, reference)  # type: ignore[no-any-return]


async def close_items(tx: Connection, entry_ids: Sequence[str], at: datetime) -> None:
    """The movements are known now."""
    await tx.execute(ITEMS_CLOSE, list(entry_ids), at)
