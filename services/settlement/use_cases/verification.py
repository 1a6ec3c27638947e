"""Verification (验账): the whole ledger against its chain, streamed, in one snapshot while booking goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from services.settlement.rules.chain import (
    BEGINNING,
    Finding,
    FindingKind,
    Head,
    LedgerKey,
    check_checkpoint,
    check_leaf,
    check_links,
    leaf_of,
)
from services.settlement.store import archives as archive_store
from services.settlement.store import chain as store
from services.settlement.store.chain import Outside, Waiting
from services.settlement.use_cases.archive_proof import ArchiveLook, archive_findings
from shared.database import Connection, Database

PAGE_LINKS = 2000
ADOPTED_AT_ONCE = 2000


class Progress(NamedTuple):
    """How far a verification came, of how many links."""

    verified: int
    links: int


class Verified(NamedTuple):
    """The end of a verification."""

    head: Head
    waiting: int
    """Transactions booked and not sealed yet, every one with the mark of booking."""
    findings: int


async def verify(
    database: Database, key: LedgerKey, checkpoint: Head | None, archives: Path | None = None
) -> AsyncIterator[Progress | Finding | Verified]:
    """Everything that is not as it was sealed, named as it is found; at last how far the chain reaches.

    With the folder of the archives their files are read too. Holds a page of links at a time. Raises Unavailable.
    """
    async with database.transaction() as tx:
        await store.begin_snapshot(tx)
        async for found in verify_in(tx, key, checkpoint, archives):
            yield found


async def verify_in(
    tx: Connection, key: LedgerKey, checkpoint: Head | None, archives: Path | None = None
) -> AsyncIterator[Progress | Finding | Verified]:
    """The same in a transaction of the caller's."""
    head, findings, waiting = await store.head(tx), 0, 0
    async for found in _everything(tx, key, head, checkpoint, archives):
        if isinstance(found, Waiting):
            waiting += 1
            continue
        findings += isinstance(found, Finding)
        yield found
    yield Verified(head, waiting, findings)


async def _everything(
    tx: Connection, key: LedgerKey, head: Head, checkpoint: Head | None, folder: Path | None
) -> AsyncIterator[Progress | Finding | Waiting]:
    if checkpoint is not None:
        off = check_checkpoint(checkpoint, await store.hash_at(tx, checkpoint.chain_no))
        if off is not None:
            yield off
    archives = await archive_store.archives(tx)
    async for step in _chain(tx, key, head, ArchiveLook(archives)):
        yield step
    async for finding in archive_findings(tx, key, archives, folder):
        yield finding
    async for outside in store.outside_chain(tx):
        yield _judged(key, outside)
    for kind in store.SCANS:
        async for finding in store.scan(tx, kind):
            yield finding


async def _chain(
    tx: Connection, key: LedgerKey, head: Head, archived: ArchiveLook
) -> AsyncIterator[Progress | Finding]:
    """Every link: that it follows from the one before, and that its transaction is as it was sealed, or archived."""
    before = Head(0, BEGINNING)
    verified = 0
    while page := await store.links_after(tx, before.chain_no, PAGE_LINKS):
        links = [sealed.link for sealed in page]
        for finding in check_links(key, before, links):
            yield finding
        for link, canonical in page:
            changed = None if archived.takes(link, canonical) else check_leaf(link, canonical)
            if changed is not None:
                yield changed
        before = Head(links[-1].chain_no, links[-1].hash)
        verified += len(links)
        yield Progress(verified, max(head.chain_no, verified))
    for differs in archived.end():
        yield differs


def _judged(key: LedgerKey, outside: Outside) -> Finding | Waiting:
    leaf = leaf_of(outside.canonical)
    mark = next((mark for mark in outside.marks if key.is_marked(leaf, mark)), None)
    if mark is None:
        what = "it is not in the chain, and does not wait for it with the mark of booking"
        return Finding(FindingKind.TRANSACTION_UNSEALED, outside.transaction_id, what)
    return Waiting(outside.transaction_id, mark)


async def adopt(database: Database, key: LedgerKey) -> int:
    """Mark what is neither sealed nor marked as if it had been booked, for the next round of sealing; how many.

    For a ledger that is older than its chain, once, by somebody who has looked at what is adopted.
    """
    adopted = 0
    async with database.transaction() as tx:
        batch: list[Waiting] = []
        async for outside in store.outside_chain(tx):
            if isinstance(_judged(key, outside), Finding):
                batch.append(Waiting(outside.transaction_id, key.mark(leaf_of(outside.canonical))))
            if len(batch) == ADOPTED_AT_ONCE:
                adopted += await _add(tx, batch)
        return adopted + await _add(tx, batch)


async def _add(tx: Connection, batch: list[Waiting]) -> int:
    count = len(batch)
    await store.add_unsealed(tx, batch)
    batch.clear()
    return count
