"""The partitions of bills and ledger, one for each year: the owner's function makes them, the service only asks."""

from __future__ import annotations

import asyncpg

from shared.database import Connection

YEARS_MAKE = "SELECT make_years($1)"


async def make_years(tx: Connection, until: int) -> int | None:
    """Make the partitions that lack up to a year; how many, or None when others are at work on the tables."""
    try:
        return await tx.fetchval(YEARS_MAKE, until)  # type: ignore[no-any-return]
    except asyncpg.LockNotAvailableError:
        return None
