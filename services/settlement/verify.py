"""Verifies the ledger against its chain: `python -m services.settlement.verify`, or `make verify-ledger`.

Names everything that was edited, removed or inserted by somebody who does not hold the ledger key, and ends with 1
when there is anything. With `--since FILE` the chain must also still hold what it held when the file was written, which
shows that nobody cut off its end; a verification that found nothing writes the file anew. Keep the file off the
database's machine. With `--archives FOLDER` the files of archived years are read too, and held against the chain.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from services.settlement.rules.chain import Finding, Head, LedgerKey
from services.settlement.use_cases.verification import Progress, Verified, adopt, verify
from shared.database import Database
from shared.keys import ledger_key
from shared.settings import Settings
from shared.telemetry import start_logging

PROGRESS_LINKS = 50_000


def read_checkpoint(file: Path) -> Head | None:
    """What a checkpoint says; None when there is none yet. Raises ValueError for a file that is none."""
    if not file.exists():
        return None
    try:
        kept = json.loads(file.read_text("utf-8"))
        return Head(int(kept["chain_no"]), bytes.fromhex(kept["hash"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a checkpoint of the ledger") from error


def write_checkpoint(file: Path, head: Head) -> None:
    """Keep a head, in one step: a crash leaves the old one."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(json.dumps({"chain_no": head.chain_no, "hash": head.hash.hex()}) + "\n", "utf-8")
    partial.replace(file)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _verify(database: Database, key: LedgerKey, since: Path | None, archives: Path | None) -> int:
    checkpoint = None if since is None else read_checkpoint(since)
    said, code = 0, 1
    async for found in verify(database, key, checkpoint, archives):
        match found:
            case Finding():
                _say(f"FOUND {found}")
            case Progress(verified, links) if verified - said >= PROGRESS_LINKS:
                said = verified
                _say(f"{verified} of {links} links verified")
            case Verified(head, waiting, findings):
                _say(f"{head.chain_no} links, {waiting} transactions wait to be sealed, head {head.hash.hex()}")
                _say("the ledger is as it was booked" if not findings else f"{findings} findings")
                if since is not None and not findings:
                    write_checkpoint(since, head)
                code = 1 if findings else 0
    return code


async def run(settings: Settings, since: Path | None, archives: Path | None, *, adopting: bool) -> int:
    """Verify, or adopt; the exit code."""
    key = LedgerKey(ledger_key(settings))
    database = Database(settings, "settlement")
    await database.open()
    try:
        if not adopting:
            return await _verify(database, key, since, archives)
        _say(f"{await adopt(database, key)} transactions adopted: the next round of sealing takes them into the chain")
        return 0
    finally:
        await database.close()


def main(arguments: list[str]) -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m services.settlement.verify", description=__doc__)
    parser.add_argument("--since", type=Path, metavar="FILE", help="a checkpoint to hold the chain against")
    parser.add_argument("--archives", type=Path, metavar="FOLDER", help="read the files of archived years as well")
    parser.add_argument("--adopt", action="store_true", help="take what was booked before there was a chain into it")
    options = parser.parse_args(arguments)
    settings = Settings()
    start_logging(settings.log_level)
    try:
        return asyncio.run(run(settings, options.since, options.archives, adopting=options.adopt))
    except ValueError as error:
        _say(str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
