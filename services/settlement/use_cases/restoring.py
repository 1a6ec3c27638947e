"""Restoring of an archived year (恢复归档): the newest archive's rows are read from its files, proven, and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from services.settlement import errors
from services.settlement.rules.archives import ArchiveStep, Part, People, Row, Step, check_restore
from services.settlement.store import archives as store
from services.settlement.use_cases.archive_files import COLUMNS, ArchiveFiles, moment_of
from services.settlement.use_cases.archiving import check_files, newest, take_step
from services.settlement.use_cases.parts import Settlement
from shared.database import Connection
from shared.refusals import Refused

TABLES = {Part.BILLS: "bill", Part.TRANSACTIONS: "ledger_transaction", Part.ENTRIES: "ledger_entry"}
NOT_KEPT = ("cleared_in", "chain_no")
"""Columns of the files that are in other tables."""


async def restore(parts: Settlement, year: int, people: People, now: datetime) -> int:
    """Put an archived year back into the tables, in one transaction; how many bills. Raises Refused."""
    async with parts.database.transaction() as tx:
        await store.lock_archiver(tx)
        if wrong := check_restore(year, await store.last_year(tx), people):
            raise Refused(*wrong)
        kept = await newest(tx, year)
        await check_files(parts, tx, kept.archive)
        await _lay_down(tx, ArchiveFiles(parts.settings.archive_dir / kept.archive.folder))
        await take_step(parts, tx, kept, ArchiveStep(kept.archive.archive_no, Step.RESTORED, people, now))
        if not await store.return_year(tx, kept.archive.archive_no):
            raise Refused(errors.ARCHIVE_IN_USE())
    return kept.archive.sums.bills


async def _lay_down(tx: Connection, files: ArchiveFiles) -> None:
    await store.make_returning(tx)
    for part, table in TABLES.items():
        names, turn = _turned(part)
        for rows in _pages(files, part, turn):
            await store.add_returning(tx, table, names, rows)


def _pages(files: ArchiveFiles, part: Part, turn: Callable[[Row], list[Any]]) -> Iterator[list[list[Any]]]:
    for rows in files.rows(part):
        yield [turn(row) for row in rows]


def _turned(part: Part) -> tuple[list[str], Callable[[Row], list[Any]]]:
    """The columns of a table that a file has, and how a row of the file becomes one of the table."""
    places = [(at, name) for at, name in enumerate(COLUMNS[part]) if name not in NOT_KEPT]

    def turn(row: Row) -> list[Any]:
        return [moment_of(int(row[at])) if name.endswith("_us") else row[at] for at, name in places]

    return [name.removesuffix("_us") for _, name in places], turn
