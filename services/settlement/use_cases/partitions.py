"""Room for the coming year, made before it begins."""

from __future__ import annotations

import logging

from services.settlement.store import partitions as store
from services.settlement.use_cases.parts import Settlement
from shared.clock import Clock
from shared.workdays import shanghai_day

log = logging.getLogger(__name__)


async def make_partitions(parts: Settlement, clock: Clock) -> None:
    """Make the partitions of next year's bills and ledger, if they lack; who is in the way now is not at next look."""
    year = shanghai_day(clock()).year + 1
    async with parts.database.transaction() as tx:
        made = await store.make_years(tx, year)
    if made is None:
        log.info("partitions wait for others at work", extra={"fields": {"year": year}})
    elif made:
        log.info("partitions made", extra={"fields": {"year": year, "partitions": made}})
