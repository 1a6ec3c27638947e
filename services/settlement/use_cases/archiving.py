"""Archiving of a closed year (年度归档): written to files, read again, and only then taken out of the tables.

Nothing is removed before the files are on the disk and proven against the chain. A process that is killed before the
commit leaves files nobody refers to, which the next try writes anew; after it, the partitions stay aside until they are
dropped by a command of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.archives import (
    NOTHING_BEFORE,
    NOTHING_LEFT,
    Archive,
    ArchiveStep,
    Contents,
    KeptArchive,
    KeptFile,
    Left,
    LeftDigest,
    Part,
    People,
    Step,
    Until,
    check_archive,
    check_people,
    wrong_archives,
)
from services.settlement.store import archives as store
from services.settlement.store.chain import begin_snapshot
from services.settlement.use_cases.archive_files import ArchiveFiles
from services.settlement.use_cases.archive_proof import differing_files, unproven_leaves
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.proof import prove
from shared.database import Connection
from shared.refusals import Refused

AtStep = Callable[[str], None]
"""Called with the name of each step when it is done."""


def _nothing(_: str) -> None:
    return None


async def archive(parts: Settlement, year: int, people: People, now: datetime, at_step: AtStep = _nothing) -> Archive:
    """Archive the oldest year in the database. Raises Refused with everything that keeps it from being archived."""
    proven = (await prove(parts)).holds
    async with parts.database.transaction() as tx:
        await begin_snapshot(tx)
        await _check(parts, tx, year, people, now, proven=proven)
        kept = await store.archives(tx)
        end = await store.until(tx, year)
        files = ArchiveFiles(parts.settings.archive_dir / f"{year:04d}-{len(kept) + 1}")
        await _write(tx, files, end, at_step)
        await _read_again(tx, files, end)
        at_step("proven")
    written = {part.value: await asyncio.to_thread(files.facts, part) for part in Part}
    contents = await asyncio.to_thread(files.contents)
    async with parts.database.transaction() as tx:
        made = await _leave(parts, tx, end, people, now, written, contents)
        at_step("taken out")
    return made


async def _check(parts: Settlement, tx: Connection, year: int, people: People, now: datetime, *, proven: bool) -> None:
    if not 1970 <= year <= 9998:
        raise Refused(errors.ARCHIVE_UNKNOWN(year=year))
    end = await store.until(tx, year)
    found = await store.standing(tx, end, proven=proven)
    after_years = parts.settings.archive_after_years
    if wrong := check_archive(year, found, now, after_years=after_years, people=people):
        raise Refused(*wrong)


async def _write(tx: Connection, files: ArchiveFiles, end: Until, at_step: AtStep) -> None:
    await asyncio.to_thread(files.prepare)
    for part in Part:
        await store.write_rows(tx, part, end, files.rows_path(part))
        at_step(f"{part} laid down")
        await asyncio.to_thread(files.pack, part)
        at_step(f"{part} written")


async def _read_again(tx: Connection, files: ArchiveFiles, end: Until) -> None:
    """Read all that was written, and hold the bills against the tables and the rest against the chain."""
    bills = files.rows(Part.BILLS)
    async for expected in store.bills_leaving(tx, end):
        if await asyncio.to_thread(next, bills, None) != expected:
            raise Refused(errors.ARCHIVE_FILES_WRONG(file=str(files.path(Part.BILLS))))
    if next(bills, None) is not None:
        raise Refused(errors.ARCHIVE_FILES_WRONG(file=str(files.path(Part.BILLS))))
    async for wrong in unproven_leaves(tx, files):
        raise Refused(errors.ARCHIVE_FILES_WRONG(file=f"{files.path(Part.TRANSACTIONS)}: {wrong}"))


async def _leave(
    parts: Settlement,
    tx: Connection,
    end: Until,
    people: People,
    now: datetime,
    written: dict[str, KeptFile],
    contents: Contents,
) -> Archive:
    """Take out of the tables what the files hold, unless anything has changed since they were written."""
    await store.lock_archiver(tx)
    if not await store.lock_year(tx, end.year):
        raise Refused(errors.ARCHIVE_IN_USE())
    # Once more, now that nothing can change any more.
    await _check(parts, tx, end.year, people, now, proven=True)
    if await store.contents(tx, end) != contents:
        raise Refused(errors.ARCHIVE_UNPROVEN())
    kept = await store.archives(tx)
    left = await _left(parts, tx, end, kept)
    made = Archive(
        archive_no=len(kept) + 1,
        year=end.year,
        until_id=end.id,
        transactions=written[Part.TRANSACTIONS].rows,
        entries=written[Part.ENTRIES].rows,
        sums=contents.sums,
        left=left,
        contents_sha256=contents.digest,
        files=written,
        people=people,
        archived_at=now,
    )
    previous = kept[-1].mac if kept else NOTHING_BEFORE
    await store.add(tx, made, parts.ledger_key.archive(previous, made.text), contents)
    if not await store.leave_year(tx, made.archive_no):
        raise Refused(errors.ARCHIVE_IN_USE())
    return made


async def _left(parts: Settlement, tx: Connection, end: Until, kept: list[KeptArchive]) -> Left:
    """All links whose transactions will be archived then.

    Raises Refused when others are gone than the archives say: an archive must not make a deletion good.
    """
    before, after = LeftDigest(), LeftDigest()
    async for chain_no, leaf, left_before in store.left_links(tx, end):
        after.add(chain_no, leaf)
        if left_before:
            before.add(chain_no, leaf)
    holding = [k.archive.left for k in kept if k.holds]
    if before.left != (holding[-1] if holding else NOTHING_LEFT) or wrong_archives(parts.ledger_key, kept):
        raise Refused(errors.ARCHIVE_UNPROVEN())
    return after.left


async def drop(parts: Settlement, year: int, people: People, now: datetime) -> int:
    """Drop what was taken out of the tables with a year, when its files still prove it; how many partitions.

    Raises Refused.
    """
    async with parts.database.transaction() as tx:
        await store.lock_archiver(tx)
        kept = await newest(tx, year)
        wrong = check_people(people)
        if Step.DROPPED in kept.steps:
            wrong.append(errors.ARCHIVE_DROPPED(year=year))
        if wrong:
            raise Refused(*wrong)
        await check_files(parts, tx, kept.archive)
        await take_step(parts, tx, kept, ArchiveStep(kept.archive.archive_no, Step.DROPPED, people, now))
        return await store.drop_left(tx, kept.archive.archive_no)


async def newest(tx: Connection, year: int) -> KeptArchive:
    """The archive that holds a year. Raises Refused when it is not archived."""
    found = [kept for kept in await store.archives(tx) if kept.holds and kept.archive.year == year]
    if not found:
        raise Refused(errors.ARCHIVE_UNKNOWN(year=year))
    return found[-1]


async def check_files(parts: Settlement, tx: Connection, of: Archive) -> None:
    """Raises Refused, naming every file of an archive that is not what the archive or the chain says."""
    files = ArchiveFiles(parts.settings.archive_dir / of.folder)
    wrong = [finding async for finding in differing_files(tx, files, of)]
    if wrong:
        raise Refused(*(errors.ARCHIVE_FILES_WRONG(file=f"{file}: {what}") for file, what in wrong))


async def take_step(parts: Settlement, tx: Connection, kept: KeptArchive, step: ArchiveStep) -> None:
    """Write down what becomes of an archive."""
    await store.add_step(tx, step, parts.ledger_key.archive(kept.mac, step.text))
