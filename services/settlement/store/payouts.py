"""Payouts to persons and their cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from services.settlement.rules.payouts import Origin, Payout, PayoutState, Timing
from shared.database import Connection, rows_to

_PAYOUT = """
    payout_id, region, person_id, amount_fen, fund_pay_type, origin, reference, reason, timing, reported_on, release_on,
    state, card_no, proposed_by, proposed_at, decided_by, decided_at, refusal, paid_at
"""
PAYOUT_INSERT = """
    INSERT INTO payout (payout_id, region, person_id, amount_fen, fund_pay_type, origin, reference, reason, timing,
        reported_on, release_on, state, card_no, proposed_by, proposed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'proposed', 1, $12, $13)
    ON CONFLICT (region, origin, reference) WHERE state <> 'declined' DO NOTHING RETURNING payout_id
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
PAYOUTS_PAID = "UPDATE payout SET state = 'paid', paid_at = $2, refusal = NULL WHERE payout_id = ANY($1::text[])"
PAYOUTS_REFUSED = """
    UPDATE payout p SET state = 'refused', paid_at = NULL, refusal = n.refusal
    FROM unnest($1::text[], $2::text[]) AS n(payout_id, refusal) WHERE p.payout_id = n.payout_id
"""
SEALED_CARDS = """
    SELECT payout_id, card_no, holder_sealed, account_sealed, agent_sealed FROM payout_card
    WHERE (payout_id, card_no) > ($1, $2) ORDER BY payout_id, card_no LIMIT 500 FOR UPDATE
"""
CARD_RESEAL = """
    UPDATE payout_card SET holder_sealed = $3, account_sealed = $4, agent_sealed = $5
    WHERE payout_id = $1 AND card_no = $2
"""


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
    return await tx.fetchval(PAYOUT_INSERT, *values, *when) is not None


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
