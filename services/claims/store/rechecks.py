"""Persons whose bills are to be decided again, and the work items that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.claims.store.settlements import SettlementRow, settlement_columns
from shared.database import Connection, Statement, columns, row_to, rows_to

ASK = """
    INSERT INTO recheck (person_id, because, asked_at)
    SELECT DISTINCT ON (person_id) * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
        AS r(person_id, because, asked_at)
    ON CONFLICT (person_id) DO UPDATE SET because = EXCLUDED.because, asked_at = EXCLUDED.asked_at
"""
WAITING = "SELECT person_id FROM recheck ORDER BY asked_at, person_id LIMIT $1"
POSTPONE = "UPDATE recheck SET asked_at = $2 WHERE person_id = $1"
TAKE = "DELETE FROM recheck WHERE person_id = $1 RETURNING because"
STANDING = f"""
    SELECT {settlement_columns("s")} FROM settlement AS s
    WHERE s.person_id = $1 AND s.reverses_settlement_id IS NULL
      AND NOT EXISTS (SELECT FROM settlement AS r WHERE r.reverses_settlement_id = s.settlement_id)
    ORDER BY s.ended_on, s.settled_at, s.settlement_id
"""
OPEN_ITEMS = """
    INSERT INTO resettlement (item_id, settlement_id, person_id, home_region, because, fund_fen, expected_fund_fen,
                              state, opened_at)
    SELECT *, 'open', $8 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                                     $7::bigint[])
    ON CONFLICT (settlement_id) WHERE state = 'open'
    DO UPDATE SET expected_fund_fen = EXCLUDED.expected_fund_fen, because = EXCLUDED.because
"""
CLOSE_OTHERS = """
    UPDATE resettlement SET state = 'closed', closed_at = $3, note = $4
    WHERE person_id = $1 AND state = 'open' AND settlement_id <> ALL($2::text[])
"""
DISMISSED = """
    SELECT settlement_id, expected_fund_fen FROM resettlement WHERE person_id = $1 AND state = 'closed' AND note <> $2
"""
_ITEM = """item_id, settlement_id, person_id, home_region, because, fund_fen, expected_fund_fen, state, opened_at,
    closed_at, note"""
ITEMS_PAGE = f"""
    SELECT {_ITEM} FROM resettlement
    WHERE home_region = ANY($1::text[]) AND state = $2 AND item_id > $3 ORDER BY item_id LIMIT $4
"""
ITEM_FOR_UPDATE = f"SELECT {_ITEM} FROM resettlement WHERE item_id = $1 FOR UPDATE"
CLOSE_ITEM = "UPDATE resettlement SET state = 'closed', closed_at = $2, note = $3 WHERE item_id = $1"


@dataclass(frozen=True, slots=True)
class ItemRow:
    """A work item: a settled bill that would come to something else today."""

    item_id: str
    settlement_id: str
    person_id: str
    home_region: str
    because: str
    fund_fen: int
    expected_fund_fen: int
    state: str = "open"
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    note: str | None = None


def asked(rows: Sequence[tuple[str, str, datetime]]) -> Statement:
    """Ask for persons to be looked at again: (person, because of which settlement, when)."""
    return Statement(ASK, columns(rows))


async def waiting(reader: Connection, limit: int) -> list[str]:
    """Some persons to be looked at, those first who wait longest."""
    return [row["person_id"] for row in await reader.fetch(WAITING, limit)]


async def postpone(tx: Connection, person_id: str, until: datetime) -> None:
    """Put a person behind those who have waited longer."""
    await tx.execute(POSTPONE, person_id, until)


async def take(tx: Connection, person_id: str) -> str | None:
    """The settlement that asked for a person to be looked at; None when that was done meanwhile."""
    because: str | None = await tx.fetchval(TAKE, person_id)
    return because


async def standing(tx: Connection, person_id: str) -> list[SettlementRow]:
    """A person's settlements that are not reversed, by their last day."""
    return [SettlementRow(*row.values()) for row in await tx.fetch(STANDING, person_id)]


async def dismissed(tx: Connection, person_id: str, by_itself: str) -> set[tuple[str, int]]:
    """(settlement, what it would come to) of the differences an officer has let stand: closed with another note."""
    return {(row["settlement_id"], row["expected_fund_fen"]) for row in await tx.fetch(DISMISSED, person_id, by_itself)}


async def save_items(tx: Connection, person_id: str, items: Sequence[ItemRow], now: datetime, note: str) -> None:
    """Open what differs, and close what no longer does."""
    fields = ("item_id", "settlement_id", "person_id", "home_region", "because", "fund_fen", "expected_fund_fen")
    if items:
        rows = columns(tuple(getattr(item, name) for name in fields) for item in items)
        await tx.execute(OPEN_ITEMS, *rows, now)
    await tx.execute(CLOSE_OTHERS, person_id, [item.settlement_id for item in items], now, note)


async def page(tx: Connection, regions: Sequence[str], state: str, after: str, limit: int) -> list[ItemRow]:
    """Work items of some home regions, by id."""
    return rows_to(ItemRow, await tx.fetch(ITEMS_PAGE, list(regions), state, after, limit))


async def item(tx: Connection, item_id: str) -> ItemRow | None:
    """One work item, locked."""
    return row_to(ItemRow, await tx.fetchrow(ITEM_FOR_UPDATE, item_id))


async def close(tx: Connection, item_id: str, now: datetime, note: str) -> None:
    """Close an item."""
    await tx.execute(CLOSE_ITEM, item_id, now, note)
