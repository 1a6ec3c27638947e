"""Payouts to persons and their cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from services.settlement.rules.orders import OrderState
from services.settlement.rules.payouts import (
    Cancellation,
    Origin,
    Payout,
    PayoutOrder,
    PayoutState,
    Timing,
    document_of,
)
from services.settlement.store.orders import lock_debts
from shared.database import Connection, rows_to

_PAYOUT = """
    payout_id, region, person_id, amount_fen, fund_pay_type, origin, reference, reason, timing, reported_on, release_on,
    state, card_no, proposed_by, proposed_at, decided_by, decided_at, refusal, paid_at, person_hash
"""
PAYOUT_INSERT = """
    INSERT INTO payout (payout_id, region, person_id, amount_fen, fund_pay_type, origin, reference, reason, timing,
        reported_on, release_on, state, card_no, proposed_by, proposed_at, person_hash, document)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'proposed', 1, $12, $13, $14, $15)
    ON CONFLICT (region, document) WHERE state NOT IN ('declined', 'cancelled') DO NOTHING RETURNING payout_id
"""
CARD_INSERT = """
    INSERT INTO payout_card (payout_id, card_no, recipient, papers, holder_sealed, account_sealed, bank_code,
        agent_sealed, proposed_by, proposed_at)
    SELECT $1, coalesce(max(card_no), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9 FROM payout_card WHERE payout_id = $1
"""
PAYOUTS = f"SELECT {_PAYOUT} FROM payout WHERE payout_id = ANY($1::text[])"
PAYOUTS_LOCKED = f"{PAYOUTS} ORDER BY payout_id FOR UPDATE"
PAYOUTS_OF = f"""
    SELECT {_PAYOUT} FROM payout
    WHERE region = ANY($1::text[]) AND ($2::text IS NULL OR state = $2)
      AND ($3::date IS NULL OR (release_on <= $3 AND state IN ('approved', 'refused'))) AND payout_id > $4
    ORDER BY payout_id LIMIT $5
"""
# Nobody waits for whoever is changing one: it is there the next time.
RELEASED = f"""
    SELECT {_PAYOUT} FROM payout p
    WHERE state = 'approved' AND timing = 'batch' AND release_on <= $1
      AND NOT EXISTS (SELECT FROM payment_order o WHERE o.purpose = 'payout' AND o.reference = p.payout_id)
    ORDER BY payout_id LIMIT 500 FOR UPDATE OF p SKIP LOCKED
"""
PAYOUT_DECIDE = "UPDATE payout SET state = $2, decided_by = $3, decided_at = $4 WHERE payout_id = $1"
CARD_APPROVE = """
    WITH approved AS (
        UPDATE payout_card SET approved_by = $3, approved_at = $4 WHERE payout_id = $1 AND card_no = $2
    ) UPDATE payout SET card_no = $2 WHERE payout_id = $1
"""
CARDS = """
    SELECT card_no, recipient, papers, holder_sealed, account_sealed, bank_code, agent_sealed, proposed_by, proposed_at,
        approved_by, approved_at
    FROM payout_card WHERE payout_id = $1 ORDER BY card_no
"""
# What was cancelled stays so, though the bank pays an order late that it had refused: that is in the books and an item.
PAYOUTS_PAID = """
    UPDATE payout SET state = 'paid', paid_at = $2, refusal = NULL
    WHERE payout_id = ANY($1::text[]) AND state <> 'cancelled'
"""
PAYOUTS_REFUSED = """
    UPDATE payout p SET state = 'refused', paid_at = NULL, refusal = n.refusal
    FROM unnest($1::text[], $2::text[]) AS n(payout_id, refusal)
    WHERE p.payout_id = n.payout_id AND p.state <> 'cancelled'
"""
FIRST_ORDER = """
    SELECT order_id FROM payment_order WHERE purpose = 'payout' AND reference = $1 AND repeats_order_id IS NULL
"""
ORDERS_OF_PAYOUT = f"""
    SELECT order_id, state, paid_fen FROM payment_order WHERE root_order_id = ({FIRST_ORDER}) ORDER BY order_id
"""
CANCELLATION_INSERT = """
    INSERT INTO payout_cancellation (cancellation_id, payout_id, reason, state, proposed_by, proposed_at)
    VALUES ($1, $2, $3, 'proposed', $4, $5) ON CONFLICT DO NOTHING RETURNING cancellation_id
"""
CANCELLATION_DECIDE = """
    UPDATE payout_cancellation SET state = $2, decided_by = $3, decided_at = $4 WHERE cancellation_id = $1
"""
CANCELLATION = """
    SELECT cancellation_id, payout_id, state, proposed_by FROM payout_cancellation WHERE cancellation_id = $1
"""
CANCELLATIONS = """
    SELECT cancellation_id, reason, state, proposed_by, proposed_at, decided_by, decided_at FROM payout_cancellation
    WHERE payout_id = $1 ORDER BY cancellation_id
"""
PAYOUT_CANCEL = "UPDATE payout SET state = 'cancelled' WHERE payout_id = $1"
SEALED_CARDS = """
    SELECT payout_id, card_no, holder_sealed, account_sealed, agent_sealed FROM payout_card
    WHERE (payout_id, card_no) > ($1, $2) ORDER BY payout_id, card_no LIMIT 500 FOR UPDATE
"""
CARD_RESEAL = """
    UPDATE payout_card SET holder_sealed = $3, account_sealed = $4, agent_sealed = $5
    WHERE payout_id = $1 AND card_no = $2
"""


@dataclass(frozen=True, slots=True)
class CancellationRow:
    """A cancellation with its history."""

    cancellation_id: str
    reason: str
    state: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class SealedCard(NamedTuple):
    """A card to be kept, encrypted."""

    recipient: str
    papers: Sequence[str]
    holder_sealed: str
    account_sealed: str
    bank_code: str
    agent_sealed: str | None


@dataclass(frozen=True, slots=True)
class CardRow:
    """A card as it is kept."""

    card_no: int
    recipient: str
    papers: Sequence[str]
    holder_sealed: str
    account_sealed: str
    bank_code: str
    agent_sealed: str | None
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None
    approved_at: datetime | None


async def add_payout(tx: Connection, payout: Payout) -> bool:
    """Write a proposed payout; false when its document has one already."""
    p = payout
    values = (p.payout_id, p.region, p.person_id, p.amount_fen, p.fund_pay_type, p.origin, p.reference, p.reason)
    when = (p.timing, p.reported_on, p.release_on, p.proposed_by, p.proposed_at)
    compared = (p.person_hash, document_of(p.reference))
    return await tx.fetchval(PAYOUT_INSERT, *values, *when, *compared) is not None


async def add_card(tx: Connection, payout_id: str, card: SealedCard, subject: str, at: datetime) -> None:
    """Propose a card for a payout."""
    await tx.execute(CARD_INSERT, payout_id, *card, subject, at)


async def payouts(tx: Connection, payout_ids: Iterable[str], *, locked: bool = False) -> dict[str, Payout]:
    """Payouts by id."""
    wanted = sorted(set(payout_ids))
    rows = await (tx.fetch(PAYOUTS_LOCKED, wanted) if locked else tx.fetch(PAYOUTS, wanted))
    return {row["payout_id"]: _payout(row) for row in rows}


async def payouts_of(
    tx: Connection, regions: Sequence[str], *, state: str | None, released_on: date | None, after: str, limit: int
) -> list[Payout]:
    """Payouts of some agencies, by id; with `released_on` those that can be ordered on that day."""
    return [_payout(row) for row in await tx.fetch(PAYOUTS_OF, list(regions), state, released_on, after, limit)]


async def released(tx: Connection, on: date) -> list[Payout]:
    """Some approved payouts of a batch that may be ordered on a day and never were, locked."""
    return [_payout(row) for row in await tx.fetch(RELEASED, on)]


def _payout(row: Any) -> Payout:
    kinds = {
        "origin": Origin(row["origin"]),
        "timing": Timing(row["timing"]),
        "state": PayoutState(row["state"]),
    }
    return Payout(**{**row, **kinds})


async def decide(tx: Connection, payout_id: str, state: PayoutState, subject: str, at: datetime) -> None:
    """Approve or decline a payout."""
    await tx.execute(PAYOUT_DECIDE, payout_id, state, subject, at)


async def approve_card(tx: Connection, payout_id: str, card_no: int, subject: str, at: datetime) -> None:
    """From now on a payout goes to this card."""
    await tx.execute(CARD_APPROVE, payout_id, card_no, subject, at)


async def cards(tx: Connection, payout_id: str) -> list[CardRow]:
    """The cards of a payout, the newest last."""
    return rows_to(CardRow, await tx.fetch(CARDS, payout_id))


async def lock_orders(tx: Connection, payout_id: str) -> None:
    """Nobody else moves the orders of a payout until the transaction ends. Before the payout itself is locked."""
    first: str | None = await tx.fetchval(FIRST_ORDER, payout_id)
    if first is not None:
        await lock_debts(tx, [first])


async def orders_of(tx: Connection, payout_id: str) -> list[PayoutOrder]:
    """All orders of a payout, by id."""
    rows = await tx.fetch(ORDERS_OF_PAYOUT, payout_id)
    return [PayoutOrder(row["order_id"], OrderState(row["state"]), row["paid_fen"]) for row in rows]


async def add_cancellation(
    tx: Connection, cancellation_id: str, payout_id: str, reason: str, subject: str, at: datetime
) -> bool:
    """Propose to cancel a payout; false when that waits to be decided already."""
    added = await tx.fetchval(CANCELLATION_INSERT, cancellation_id, payout_id, reason, subject, at)
    return added is not None


async def cancellation(tx: Connection, cancellation_id: str) -> Cancellation | None:
    """One cancellation."""
    row = await tx.fetchrow(CANCELLATION, cancellation_id)
    return None if row is None else Cancellation(*row)


async def cancellations(tx: Connection, payout_id: str) -> list[CancellationRow]:
    """The cancellations of a payout, the newest last."""
    return rows_to(CancellationRow, await tx.fetch(CANCELLATIONS, payout_id))


async def decide_cancellation(tx: Connection, cancellation_id: str, state: str, subject: str, at: datetime) -> None:
    """Approve or decline a cancellation."""
    await tx.execute(CANCELLATION_DECIDE, cancellation_id, state, subject, at)


async def set_cancelled(tx: Connection, payout_id: str) -> None:
    """A payout is cancelled."""
    await tx.execute(PAYOUT_CANCEL, payout_id)


async def set_paid(tx: Connection, payout_ids: Sequence[str], at: datetime) -> None:
    """Payouts are paid."""
    await tx.execute(PAYOUTS_PAID, list(payout_ids), at)


async def set_refused(tx: Connection, refusals: Mapping[str, str]) -> None:
    """The bank refused payouts, or gave them back: with its code for each."""
    await tx.execute(PAYOUTS_REFUSED, list(refusals), list(refusals.values()))


async def sealed_cards(tx: Connection, after: tuple[str, int]) -> list[tuple[str, int, str, str, str | None]]:
    """Some cards that follow one, locked: payout, number, and what of it is encrypted."""
    return [tuple(row) for row in await tx.fetch(SEALED_CARDS, *after)]


async def reseal_card(
    tx: Connection, payout_id: str, card_no: int, holder: str, account: str, agent: str | None
) -> None:
    """Write a card that was encrypted anew."""
    await tx.execute(CARD_RESEAL, payout_id, card_no, holder, account, agent)
