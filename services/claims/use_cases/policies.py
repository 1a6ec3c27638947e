"""Policy packs (待遇政策): proposed by one officer, put in force by another, and known to every process soon after."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import asyncpg

from services.claims import errors
from services.claims.config import SHIPPED, ClaimsSettings
from services.claims.store import policies
from services.claims.store.policies import PackRow
from services.claims.use_cases.parts import Claims
from shared.auth import Principal, check_area
from shared.database import Connection, Database
from shared.events import new_id
from shared.events.claims import PolicyPutInForce
from shared.outbox import announce_now
from shared.policy.book import Book
from shared.policy.case import run_case
from shared.policy.document import PackDocument
from shared.policy.engine import Policy
from shared.policy.issues import Issue
from shared.policy.loading import load_pack
from shared.refusals import Refusal, Refused

FAULTS_MAX = 200
"""How many faults of a pack are told at once."""


def shipped(settings: ClaimsSettings) -> list[Policy]:
    """The packs that are in force from the start. Raises ValueError for one that fails its check."""
    found = []
    for name in settings.packs:
        loaded = load_pack((settings.packs_dir or SHIPPED) / name)
        if loaded.document is None:
            raise ValueError("; ".join(str(issue) for issue in loaded.issues if issue.error))
        found.append(Policy(loaded.document))
    return found


class Library:
    """Every pack in force: those shipped, and those that officers put in force, which a process looks for."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._known = 0

    async def refresh(self) -> None:
        """Take up what was put in force since. Raises Unavailable."""
        async with self._claims.database.read() as reader:
            if await policies.in_force_count(reader) == self._known:
                return
            rows = await policies.in_force(reader)
        added = await asyncio.to_thread(lambda: [Policy(read(row.files)) for row in rows])
        newer = {(p.document.pack, p.document.version) for p in added}
        kept = [p for p in self._claims.policies.shipped if (p.document.pack, p.document.version) not in newer]
        self._claims.policies.book = Book([*kept, *added])
        self._known = len(rows)


def read(files: Mapping[str, str]) -> PackDocument:
    """The pack in these files. Raises Refused with everything that is wrong in them, by file, line and column."""
    with tempfile.TemporaryDirectory(prefix="sifang-pack-") as name:
        folder = Path(name) / "pack"
        write(files, folder)
        loaded = load_pack(folder)
    if loaded.document is None:
        wrong = [fault(issue, f"/files/{Path(issue.file).name}", folder) for issue in loaded.issues if issue.error]
        raise Refused(*wrong[:FAULTS_MAX])
    return loaded.document


def write(files: Mapping[str, str], folder: Path) -> None:
    """Make a folder with the files of a pack, as the readers of packs take it."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def fault(issue: Issue, pointer: str, folder: Path) -> Refusal:
    """A fault of a file as a refusal; where it names another file, without the folder of ours both were read from."""
    ours = f"{folder}/"
    return errors.POLICY_FAULT(
        pointer=pointer,
        file=Path(issue.file).name,
        line=issue.line,
        column=issue.column,
        code=issue.code,
        why_zh=issue.zh.replace(ours, ""),
        why_en=issue.en.replace(ours, ""),
    )


def check(files: Mapping[str, str]) -> tuple[PackDocument, str]:
    """The pack in these files and their digest. Raises Refused: faults of the pack, or examples that fail."""
    document = read(files)
    policy = Policy(document)
    failed = [errors.POLICY_EXAMPLE_FAILED(example=e.id) for e in document.examples if not run_case(policy, e).ok]
    if failed:
        raise Refused(*failed)
    return document, digest_of(files)


def digest_of(files: Mapping[str, str]) -> str:
    """What names the files' content: SHA-256 over names and texts."""
    hashed = hashlib.sha256()
    for name in sorted(files):
        for part in (name, files[name]):
            encoded = part.encode()
            hashed.update(len(encoded).to_bytes(8, "big") + encoded)
    return hashed.hexdigest()


async def propose(claims: Claims, principal: Principal, files: Mapping[str, str], now: datetime) -> PackRow:
    """Propose a version of a pack; it is checked first. Raises Refused."""
    document, digest = await asyncio.to_thread(check, files)
    check_area(claims.regions, principal, document.area)
    row = PackRow(
        proposal_id=new_id(),
        pack=document.pack,
        version=document.version,
        area=document.area,
        valid_from=document.valid.from_,
        valid_to=document.valid.to,
        digest=digest,
        files=files,
        state="proposed",
        proposed_by=principal.subject,
        proposed_at=now,
    )
    taken = errors.POLICY_VERSION_TAKEN(pack=row.pack, version=row.version)
    if claims.policies.book.version(row.pack, row.version) is not None:
        raise Refused(taken)
    try:
        async with claims.database.transaction() as tx:
            await _check_place(tx, claims, row)
            await policies.add(tx, row)
    except asyncpg.UniqueViolationError as clash:
        raise Refused(taken) from clash
    return row


async def _check_place(tx: Connection, claims: Claims, row: PackRow) -> None:
    """An area has one pack, and a pack one area: two packs of an area would leave all its bills undecided.

    Raises Refused.
    """
    held = {(p.document.pack, p.document.area) for p in claims.policies.shipped} | await policies.places(tx)
    wrong = [errors.POLICY_AREA_TAKEN(area=a, pack=p) for p, a in sorted(held) if p != row.pack and a == row.area]
    wrong += [errors.POLICY_NAME_TAKEN(area=a, pack=p) for p, a in sorted(held) if p == row.pack and a != row.area]
    if wrong:
        raise Refused(*wrong)


async def approve(claims: Claims, principal: Principal, proposal_id: str, digest: str, now: datetime) -> PackRow:
    """Put a proposed version in force: another person than who proposed it, naming the digest they saw.

    Raises Refused.
    """
    async with claims.database.transaction() as tx:
        row = await _proposed(tx, claims, principal, proposal_id)
        if digest != row.digest:
            raise Refused(errors.POLICY_DIGEST_DIFFERS(pointer="/digest"))
        await asyncio.to_thread(check, row.files)
        await _check_place(tx, claims, row)
        decided = await _decided(tx, row, "in_force", principal, now, None)
        event = PolicyPutInForce(
            pack=row.pack,
            pack_version=row.version,
            area=row.area,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            digest=row.digest,
        )
        await announce_now(tx, [event], now)
    return decided


async def reject(claims: Claims, principal: Principal, proposal_id: str, reason: str, now: datetime) -> PackRow:
    """Turn a proposed version down; its number may be used again. Raises Refused."""
    async with claims.database.transaction() as tx:
        row = await _proposed(tx, claims, principal, proposal_id)
        return await _decided(tx, row, "rejected", principal, now, reason)


async def _proposed(tx: Connection, claims: Claims, principal: Principal, proposal_id: str) -> PackRow:
    row = await policies.get(tx, proposal_id, for_update=True)
    if row is None:
        raise Refused(errors.POLICY_UNKNOWN())
    check_area(claims.regions, principal, row.area)
    wrong = [] if row.state == "proposed" else [errors.POLICY_DECIDED(state=row.state)]
    if principal.subject == row.proposed_by:
        wrong.append(errors.POLICY_SAME_PERSON())
    if wrong:
        raise Refused(*wrong)
    return row


async def _decided(
    tx: Connection, row: PackRow, state: str, principal: Principal, now: datetime, reason: str | None
) -> PackRow:
    await policies.decide(tx, row.proposal_id, state, principal.subject, now, reason)
    return replace(row, state=state, decided_by=principal.subject, decided_at=now, reason=reason)


async def document_of(reader: Connection, pack: str, version: str) -> PackDocument | None:
    """A version that was put in force, also when this process has not taken it up yet."""
    row = await policies.version(reader, pack, version)
    return None if row is None else await asyncio.to_thread(read, row.files)


async def get(database: Database, proposal_id: str) -> PackRow:
    """One version. Raises Refused."""
    async with database.read() as reader:
        row = await policies.get(reader, proposal_id)
    if row is None:
        raise Refused(errors.POLICY_UNKNOWN())
    return row
