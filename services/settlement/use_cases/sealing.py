"""Sealing: what was booked is linked into the chain, by a job of its own so that booking waits for nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from services.settlement.rules.chain import Head, LedgerKey, Link, leaf_of
from services.settlement.store import chain as store
from services.settlement.store.chain import Waiting
from services.settlement.use_cases.parts import Settlement
from shared.clock import Clock
from shared.database import Connection
from shared.telemetry import Gauges, counter

log = logging.getLogger(__name__)


class Sealed(NamedTuple):
    """What became of a batch."""

    taken: int
    """Transactions taken off the queue."""
    links: Sequence[Link]
    unmarked: Sequence[str]
    """Those of them that were not sealed: not in the ledger (any more), sealed before, or booked without the key."""
    set_aside: Sequence[Waiting] = ()
    """Those of them that are in the ledger and in no chain, with the mark that is not theirs."""


async def seal(parts: Settlement, clock: Clock, gauges: Gauges) -> None:
    """Seal all that waits, batch by batch; nothing while another process seals.

    How much waits is told before and after: it is told also when sealing fails.
    """
    taken = batch_max = parts.settings.seal_batch_max
    await _tell_waiting(parts, gauges)
    while taken == batch_max:
        async with parts.database.transaction() as tx:
            sealed = await seal_batch(tx, parts.ledger_key, batch_max, clock())
        _tell(sealed)
        taken = sealed.taken
    await _tell_waiting(parts, gauges)


async def _tell_waiting(parts: Settlement, gauges: Gauges) -> None:
    async with parts.database.read() as reader:
        gauges.set("sifang.ledger.unsealed", await store.count_unsealed(reader))


async def seal_batch(tx: Connection, key: LedgerKey, batch_max: int, now: datetime) -> Sealed:
    """Seal some of what waits.

    What carries no mark of booking is set aside and not sealed, and holds up nothing else: it stays a finding of every
    verification, and a violation of the invariants.
    """
    waiting = await store.take_unsealed(tx, batch_max) if await store.try_lock_sealer(tx) else []
    if not waiting:
        return Sealed(0, [], [])
    found = await store.canonical_of(tx, {w.transaction_id for w in waiting})
    # In a thread: a batch is some ten milliseconds of hashing, for which no request should wait.
    sealed = await asyncio.to_thread(_sealed, key, await store.head(tx), waiting, found, now)
    await store.add_links(tx, sealed.links)
    await store.set_aside(tx, sealed.set_aside)
    return sealed


def _sealed(key: LedgerKey, head: Head, waiting: Sequence[Waiting], found: Mapping[str, str], now: datetime) -> Sealed:
    leaves = {transaction_id: leaf_of(text) for transaction_id, text in found.items()}
    marked = {
        w.transaction_id for w in waiting if (leaf := leaves.get(w.transaction_id)) and key.is_marked(leaf, w.mark)
    }
    links = key.links(head, [(t, leaf) for t, leaf in leaves.items() if t in marked], now)
    unmarked = {w.transaction_id for w in waiting} - marked
    set_aside = [w for w in waiting if w.transaction_id in unmarked and w.transaction_id in leaves]
    return Sealed(len(waiting), links, sorted(unmarked), set_aside)


def _tell(sealed: Sealed) -> None:
    if sealed.links:
        # Out of the database's reach: an old line shows later whether the past still stands.
        last = sealed.links[-1]
        head = {"chain_no": last.chain_no, "hash": last.hash.hex()}
        log.info("ledger sealed", extra={"fields": {"transactions": len(sealed.links), **head}})
        counter("sifang.ledger.sealed").add(len(sealed.links))
    if sealed.unmarked:
        log.critical("ledger transactions that cannot be sealed", extra={"fields": {"ids": sealed.unmarked[:100]}})
        counter("sifang.ledger.unmarked").add(len(sealed.unmarked))
