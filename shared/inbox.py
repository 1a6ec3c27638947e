"""Inbox: an event's id commits together with its effect, so that handling it twice is a key clash and not an `if`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shared.database import Connection

_CLAIM = """
    INSERT INTO inbox (event_id, handled_at)
    SELECT id, $2 FROM unnest($1::text[]) AS id ORDER BY id
    ON CONFLICT DO NOTHING RETURNING event_id
"""
_PURGE = "DELETE FROM inbox WHERE handled_at < $1"


async def claim(tx: Connection, event_ids: Sequence[str], now: datetime) -> set[str]:
    """The ids not handled before; they are claimed by this transaction. Waits for a concurrent claimer to end."""
    return {row["event_id"] for row in await tx.fetch(_CLAIM, list(event_ids), now)}


async def purge(tx: Connection, before: datetime) -> None:
    """Forget ids older than any event still on the topics."""
    await tx.execute(_PURGE, before)
