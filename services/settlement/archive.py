"""Archives closed years of bills and ledger: `python -m services.settlement.archive`, or `make archive`.

`make YEAR` writes a year to files, proves them, and takes it out of the tables; `drop YEAR` drops what was taken out,
once the files are safe elsewhere too; `restore YEAR` puts it back; `list` shows the archives. Each but the last names
two people. Ends with 1 when it is refused, and says everything that stands against it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from services.settlement.config import SettlementSettings
from services.settlement.rules.archives import KeptArchive, People
from services.settlement.rules.chain import LedgerKey
from services.settlement.store import archives as store
from services.settlement.use_cases.archiving import archive, drop
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.restoring import restore
from shared.clock import make_clock
from shared.database import Database
from shared.keys import ledger_key
from shared.refusals import Refused
from shared.regions import RegionTree
from shared.settings import Settings
from shared.telemetry import start_logging
from shared.workdays import WorkCalendar

log = logging.getLogger(__name__)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _described(kept: KeptArchive) -> str:
    made = kept.archive
    became = ", ".join(sorted(step.value for step in kept.steps)) or "set aside"
    facts = f"{made.sums.bills} bills, {made.entries} entries, {made.sums.total_fen} fen"
    return f"{made.archive_no} {made.folder} {became}: {facts}; by {made.people.done_by}, {made.people.approved_by}"


async def _do(parts: Settlement, action: str, year: int, people: People, settings: Settings) -> None:
    now = make_clock(settings.clock_file)()
    if action == "make":
        made = await archive(parts, year, people, now, at_step=_say)
        _say(f"{made.sums.bills} bills of {year} are in {parts.settings.archive_dir / made.folder}")
    elif action == "drop":
        _say(f"{await drop(parts, year, people, now)} partitions dropped")
    else:
        _say(f"{await restore(parts, year, people, now)} bills are back in the tables")
    # Who did it is kept with the archive; the log says that it was done.
    log.info("ledger archive", extra={"fields": {"action": action, "year": year}})


async def _list(parts: Settlement) -> None:
    async with parts.database.read() as reader:
        for kept in await store.archives(reader):
            _say(_described(kept))


async def run(settings: Settings, action: str, year: int | None, people: People) -> int:
    """Do it; the exit code."""
    database = Database(settings, "settlement")
    await database.open()
    key = LedgerKey(ledger_key(settings))
    parts = Settlement(database, RegionTree.load(), SettlementSettings(), WorkCalendar(), key)
    try:
        if year is None:
            await _list(parts)
        else:
            await _do(parts, action, year, people, settings)
    except Refused as refused:
        for refusal in refused:
            _say(f"REFUSED {refusal.code}: {refusal.text('en')} {refusal.text('zh')}")
        return 1
    finally:
        await database.close()
    return 0


def main(arguments: Sequence[str]) -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m services.settlement.archive", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="show the archives")
    for name, what in (
        ("make", "archive a year"),
        ("drop", "drop what was taken out of the tables with a year"),
        ("restore", "put an archived year back into the tables"),
    ):
        action = actions.add_parser(name, help=what)
        action.add_argument("year", type=int)
        action.add_argument("--by", required=True, metavar="NAME", help="who does it")
        action.add_argument("--with", required=True, metavar="NAME", dest="approved_by", help="who stands beside")
    options = parser.parse_args(arguments)
    settings = Settings()
    start_logging(settings.log_level)
    people = People(getattr(options, "by", ""), getattr(options, "approved_by", ""))
    return asyncio.run(run(settings, options.action, getattr(options, "year", None), people))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
