"""What a proposed policy would have cost on bills that were settled (政策测算): asked for, then done by a process
of its own beside the service, which goes on settling.

The process is the command line's `replay`. Who works on a replay holds its lock; if that process dies, another one of
the service begins it anew.
"""

from __future__ import annotations

import asyncio
import csv
import logging
import os
import sys
import tempfile
from datetime import date, datetime
from pathlib import Path

from services.claims import errors
from services.claims.config import SHIPPED
from services.claims.store import policies as pack_store
from services.claims.store import replays
from services.claims.store.policies import PackRow
from services.claims.store.replays import ReplayRow
from services.claims.use_cases import policies
from services.claims.use_cases.parts import Claims
from shared.auth import Principal, check_area
from shared.clock import Clock
from shared.database import Connection
from shared.events import new_id
from shared.money import yuan
from shared.refusals import Refused

log = logging.getLogger(__name__)

CLASSES = ("class_a", "class_b", "class_c")
FACTS = ("scheme", "group", "care", "level", "facility_kind", "remote", "emergency")
NICENESS = 15
"""Settlement goes first."""


async def ask(
    claims: Claims, principal: Principal, proposal_id: str, days: tuple[date, date], now: datetime
) -> ReplayRow:
    """Ask for a replay of a version over the bills that ended in these days. Raises Refused."""
    if days[1] < days[0]:
        raise Refused(errors.ENDS_BEFORE_IT_BEGAN(pointer="/until"))
    async with claims.database.transaction() as tx:
        pack = await pack_store.get(tx, proposal_id)
        if pack is None:
            raise Refused(errors.POLICY_UNKNOWN())
        check_area(claims.regions, principal, pack.area)
        return await replays.add(tx, new_id(), proposal_id, pack.area, days, principal.subject, now)


async def get(claims: Claims, principal: Principal, replay_id: str) -> ReplayRow:
    """How far a replay is, or what it found. Raises Refused."""
    async with claims.database.read() as reader:
        row = await replays.get(reader, replay_id)
    if row is None:
        raise Refused(errors.REPLAY_UNKNOWN())
    check_area(claims.regions, principal, row.area)
    return row


async def work(claims: Claims, clock: Clock) -> None:
    """Do what was asked for and nobody else is doing. Raises Unavailable."""
    async with claims.database.read() as reader:
        waiting = await replays.asked(reader)
    for row in waiting:
        async with claims.database.transaction() as tx:
            if await replays.lock(tx, row.replay_id):
                await _replay(tx, claims, row, clock)


async def _replay(tx: Connection, claims: Claims, row: ReplayRow, clock: Clock) -> None:
    pack = await pack_store.get(tx, row.proposal_id)
    if pack is None:
        raise RuntimeError(f"the pack of replay {row.replay_id} is gone")
    with tempfile.TemporaryDirectory(prefix="sifang-replay-") as name:
        folder = Path(name)
        count = await _write_bills(tx, claims, row, folder / "bills.csv")
        policies.write(pack.files, folder / "new")
        call = ["--pack", str(folder / "new"), "--bills", str(folder / "bills.csv")]
        old = await _old(tx, claims, pack, folder / "old")
        call += [] if old is None else ["--old", str(old)]
        code, said = await _run(claims, row.replay_id, [*call, "--json", str(folder / "found.json")])
        found = folder / "found.json"
        result = found.read_text(encoding="utf-8") if found.exists() else None
    state = "done" if result is not None else "failed"
    if result is None:
        log.error("replay failed", extra={"fields": {"replay": row.replay_id, "code": code, "said": said[-500:]}})
    await replays.finish(tx, row.replay_id, state, result, f"{count} bills", clock())


async def _write_bills(tx: Connection, claims: Claims, row: ReplayRow, path: Path) -> int:
    """The bills as the table that `replay` reads; how many."""
    regions = claims.regions.below(row.area)
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["person", "facility", "begins", "ends", *FACTS, *CLASSES])
        async for bill in replays.bills(tx, row.since, row.until, regions):
            facts = [_fact(bill["facts"].get(name)) for name in FACTS]
            amounts = [yuan(int(bill[f"{name}_fen"] or 0)) for name in CLASSES]
            days = [bill["began_on"].isoformat(), bill["ended_on"].isoformat()]
            writer.writerow([bill["person_id"], bill["facility_code"], *days, *facts, *amounts])
            count += 1
    return count


def _fact(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value or "")


async def _old(tx: Connection, claims: Claims, new: PackRow, folder: Path) -> Path | None:
    """The files of the version that holds before the new one, if there is one."""
    policy = claims.policies.book.policy(new.pack, new.valid_from)
    if policy is None or policy.document.version == new.version:
        return None
    row = await pack_store.version(tx, new.pack, policy.document.version)
    if row is None:
        return (claims.settings.packs_dir or SHIPPED) / new.pack
    policies.write(row.files, folder)
    return folder


async def _run(claims: Claims, replay_id: str, call: list[str]) -> tuple[int, str]:
    """Run the command line's replay; its exit code and last words. Its progress is kept where it can be read."""
    process = await asyncio.create_subprocess_exec(
        *("nice", "-n", str(NICENESS), sys.executable, "-m", "shared.policy", "replay", "--processes", "1", *call),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=SHIPPED.parent,
        env={"PATH": os.environ.get("PATH", ""), "LANG": "en"},
    )
    said = ""
    try:
        if process.stderr is None:
            raise RuntimeError("no standard error")
        async for line in process.stderr:
            said = line.decode(errors="replace").strip()
            async with claims.database.transaction() as tx:
                await replays.say(tx, replay_id, said)
        return await process.wait(), said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
