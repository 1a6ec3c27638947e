"""Archives proven: by their rows, what they left behind, the links whose transactions are gone, and their files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from services.settlement.rules.archives import (
    NOTHING_LEFT,
    Archive,
    Contents,
    KeptArchive,
    LeftDigest,
    Part,
    wrong_archives,
)
from services.settlement.rules.chain import Finding, FindingKind, LedgerKey, Link
from services.settlement.store import archives as store
from services.settlement.use_cases.archive_files import ArchiveFiles
from shared.database import Connection


class ArchiveLook:
    """What the verification of the chain notes down of links without a transaction, and how it ends."""

    def __init__(self, archives: list[KeptArchive]) -> None:
        self._holding = [kept.archive for kept in archives if kept.holds]
        self._left = LeftDigest()
        self._until_id = max((a.until_id for a in self._holding), default="")

    def takes(self, link: Link, canonical: str | None) -> bool:
        """Whether a link's transaction is not in the tables, and may be in an archive; notes it down then."""
        if canonical is not None or link.transaction_id >= self._until_id:
            return False
        self._left.add(link.chain_no, link.leaf)
        return True

    def end(self) -> list[Finding]:
        """Whether exactly those were gone that the archives hold."""
        expected = self._holding[-1].left if self._holding else NOTHING_LEFT
        if self._left.left == expected:
            return []
        what = f"{self._left.links} links are without their transactions, and not those {expected.links} it names"
        return [Finding(FindingKind.ARCHIVED_DIFFERS, f"archive {self._holding[-1].archive_no}", what)]


async def archive_findings(
    tx: Connection, key: LedgerKey, archives: list[KeptArchive], folder: Path | None
) -> AsyncIterator[Finding]:
    """What is wrong with the archives and what they left behind, and, in a folder, with their files."""
    for subject, what in wrong_archives(key, archives):
        yield Finding(FindingKind.ARCHIVE_CHANGED, subject, what)
    for settlement_id in await store.returned_bills(tx):
        yield Finding(FindingKind.ARCHIVED_DIFFERS, settlement_id, "the bill is archived, and in the tables")
    for kept in archives:
        behind = await store.contents_kept(tx, kept.archive.archive_no)
        if behind.digest != kept.archive.contents_sha256:
            what = "openings, sums of cases or bills that it left behind were edited, added or removed"
            yield Finding(FindingKind.OPENING_CHANGED, f"archive {kept.archive.archive_no}", what)
        if folder is not None and kept.holds:
            files = ArchiveFiles(folder / kept.archive.folder)
            async for file, wrong in differing_files(tx, files, kept.archive, behind):
                yield Finding(FindingKind.ARCHIVE_FILE_WRONG, file, wrong)


async def differing_files(
    tx: Connection, files: ArchiveFiles, of: Archive, behind: Contents | None = None
) -> AsyncIterator[tuple[str, str]]:
    """Files of an archive that are not there, not those that were written, or hold something else: which, and what."""
    import duckdb  # here: only a process that reads archives pays for loading it

    whole = True
    for part in Part:
        name = f"{files.folder.name}/{files.path(part).name}"
        try:
            found = await asyncio.to_thread(files.facts, part)
        except FileNotFoundError:
            whole = False
            yield name, "it is not there"
        except duckdb.Error:
            whole = False
            yield name, "it is no Parquet file"
        else:
            if found != of.files.get(part.value):
                whole = False
                yield name, "it is not the file that was written"
    if not whole:
        return
    async for wrong in unproven_leaves(tx, files):
        yield f"{files.folder.name}/{files.path(Part.TRANSACTIONS).name}", wrong
    if await asyncio.to_thread(files.contents) != (behind or await store.contents_kept(tx, of.archive_no)):
        yield files.folder.name, "it does not come to what it left behind"


async def unproven_leaves(tx: Connection, files: ArchiveFiles) -> AsyncIterator[str]:
    """Transactions of some files that are not as the chain sealed them."""
    pages = files.leaves()
    try:
        while leaves := await asyncio.to_thread(next, pages, None):
            sealed = await store.leaves(tx, [leaf.chain_no for leaf in leaves])
            for leaf in leaves:
                if sealed.get(leaf.chain_no) != (leaf.transaction_id, leaf.leaf):
                    yield f"{leaf.transaction_id} is not as link {leaf.chain_no} sealed it"
    except ValueError as error:
        yield str(error)
