"""Receiving a statement's lines as a file: staged chunk by chunk, accepted as a whole or not at all.

A file is known by its SHA-256. What was received before a connection broke stays; the same file sent again goes on
after the line it reached, provided it begins alike. An accepted or refused file is answered without being read.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.files import FileState, RefusedLine, StatedLine
from services.settlement.rules.mappings import Mapping, read_mapping
from services.settlement.rules.statements import Statement, check_lines_sum, check_lines_wanted
from services.settlement.store import files as store
from services.settlement.store import statements as statement_store
from services.settlement.store.files import File, SavedMapping
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.statements import locked_statement
from shared.auth import NOT_YOUR_AREA, Principal
from shared.batching import ahead
from shared.database import Connection
from shared.http.problems import TOO_LARGE
from shared.refusals import Refusal, Refused

SHOWN_REFUSALS = 20
"""Things wrong with a file that the refusal itself names; the report has them all."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of a file, one after the other."""

    first_no: int
    last_no: int
    lines: Sequence[StatedLine]
    refused: Sequence[RefusedLine]
    prefix_sha256: bytes
    """Of the file's content up to its end."""
    numbered: bool = True


Chunks = Callable[[int, Mapping | None, str | None], AbstractAsyncContextManager[AsyncGenerator[Chunk, None]]]
"""Gives the chunks of the file that is being sent: lines known already, mapping, facility or None for any."""


class Sent:
    """The bytes of a file as they arrive, counted and hashed on the way."""

    def __init__(self, content: AsyncIterator[bytes]) -> None:
        self._content, self._hasher = content, hashlib.sha256()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """What arrives."""
        async for piece in self._content:
            self._hasher.update(piece)
            yield piece

    async def drain(self) -> None:
        """Let the rest pass, of which only the hash is wanted."""
        async for _ in self.pieces():
            pass

    @property
    def sha256(self) -> str:
        """Of everything that arrived."""
        return self._hasher.hexdigest()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent, under which name, and how it is to be read."""

    statement_id: str
    sha256: str
    mapping_name: str | None
    sent: Sent
    chunks: Chunks | None
    """None when it is no kind of file that is read."""


async def receive(parts: Settlement, principal: Principal, delivery: Delivery, now: datetime) -> File:
    """Receive a file, or go on receiving it; the file once it is accepted. Raises Refused, naming what is wrong."""
    async with parts.database.transaction() as tx:
        statement = await _own_statement(tx, principal, delivery.statement_id)
        mapping = await _saved(tx, principal, delivery.mapping_name)
        if delivery.chunks is None:
            raise Refused(errors.FILE_TYPE())
        file = await _begin(tx, statement, delivery, mapping, principal, now)
    if file.state is FileState.RECEIVING:
        wrong = await _stage(parts, file, delivery.chunks, mapping, statement)
        await delivery.sent.drain()
        file = await _end(parts, file, delivery, wrong, now)
    else:
        await delivery.sent.drain()  # who is still sending would not hear the answer
    if file.state is FileState.REFUSED:
        raise Refused(*await _why(parts, file))
    return file


async def _own_statement(tx: Connection, principal: Principal, statement_id: str) -> Statement:
    """A statement of the caller's own. Raises Refused."""
    statement = await statement_store.statement(tx, statement_id)
    if statement is None:
        raise Refused(errors.STATEMENT_UNKNOWN())
    if principal.party != statement.party:
        raise Refused(NOT_YOUR_AREA(party=statement.party))
    return statement


async def _saved(tx: Connection, principal: Principal, name: str | None) -> SavedMapping | None:
    if name is None:
        return None
    saved = await store.mapping(tx, principal.party, name)
    if saved is None:
        raise Refused(errors.MAPPING_UNKNOWN(pointer="/query/mapping"))
    return saved


async def _begin(
    tx: Connection,
    statement: Statement,
    delivery: Delivery,
    mapping: SavedMapping | None,
    principal: Principal,
    now: datetime,
) -> File:
    """The file as it is to be received, or as it ended. One refused under another mapping begins anew."""
    known = await store.file(tx, delivery.statement_id, delivery.sha256)
    alike = known is not None and (known.mapping_name, known.mapping_version_no) == _named(mapping)
    if known is not None and (known.state is FileState.ACCEPTED or (known.state is FileState.REFUSED and alike)):
        return known
    await _check_takes_lines(tx, statement)
    file = await store.begin_file(tx, delivery.statement_id, delivery.sha256, mapping, principal.subject, now)
    if known is None or alike:
        return file
    await store.restart_file(tx, replace(file, mapping_name=_named(mapping)[0], mapping_version_no=_named(mapping)[1]))
    return await store.lock_file(tx, delivery.statement_id, delivery.sha256)


def _named(mapping: SavedMapping | None) -> tuple[str | None, int | None]:
    return (mapping.name, mapping.version_no) if mapping else (None, None)


# Staging


async def _stage(
    parts: Settlement, file: File, chunks_of: Chunks, saved: SavedMapping | None, statement: Statement
) -> Sequence[Refusal]:
    """Keep the lines of a file chunk by chunk, while one is written the next is read; why it cannot be read further.

    Raises Refused when it is too large, or somebody else sends it too.
    """
    mapping = read_mapping(saved.source) if saved else None
    if isinstance(mapping, list):
        raise RuntimeError("a saved mapping is not in order any more")
    try:
        async with (
            chunks_of(file.line_reached, mapping, statement.facility_code) as chunks,
            aclosing(ahead(chunks)) as ready,
        ):
            async for chunk in ready:
                if not await _keep(parts, file, chunk):
                    break
    except Refused as refused:
        if refused.refusals[0].code in _PASSING:
            raise
        return refused.refusals
    return ()


_PASSING = {TOO_LARGE.code, errors.FILE_BEING_SENT.code}
"""What says nothing about the file itself."""


async def _keep(parts: Settlement, begun: File, chunk: Chunk) -> bool:
    """Write one chunk; whether to read on. Raises Refused when it begins otherwise, or somebody else sends it too."""
    if chunk.last_no <= begun.line_reached:
        if chunk.last_no == begun.line_reached and chunk.prefix_sha256 != begun.prefix_sha256:
            raise Refused(errors.FILE_HASH_DIFFERS())
        return True
    settings = parts.settings
    async with parts.database.transaction() as tx:
        file = await store.lock_file(tx, begun.statement_id, begun.sha256)
        if file.state is not FileState.RECEIVING or file.line_reached != chunk.first_no - 1:
            raise Refused(errors.FILE_BEING_SENT())
        refused = _within(chunk.refused, settings.file_refusals_max - file.wrong_count)
        await store.add_chunk(
            tx,
            file.file_no,
            chunk.lines,
            refused,
            line_reached=chunk.last_no,
            prefix_sha256=chunk.prefix_sha256,
            numbered=chunk.numbered,
        )
    wrong_count = file.wrong_count + sum(len(line.refusals) for line in refused)
    return wrong_count < settings.file_refusals_max and chunk.last_no <= settings.file_lines_max


def _within(refused: Sequence[RefusedLine], room: int) -> list[RefusedLine]:
    """The first refused lines, until so many things are named."""
    kept = []
    for line in refused:
        if room <= 0:
            break
        kept.append(line)
        room -= len(line.refusals)
    return kept


# The end


async def _end(parts: Settlement, begun: File, delivery: Delivery, wrong: Sequence[Refusal], now: datetime) -> File:
    """Accept or refuse what was received. Raises Refused when it is not, or was not before, what its address says."""
    hash_differs = delivery.sent.sha256 != begun.sha256 or any(r.code == errors.FILE_HASH_DIFFERS.code for r in wrong)
    async with parts.database.transaction() as tx:
        file = await store.lock_file(tx, begun.statement_id, begun.sha256)
        if file.state is not FileState.RECEIVING:
            return file
        if hash_differs:
            await store.restart_file(tx, file)
        else:
            file = await _conclude(parts, tx, file, wrong, now)
    if hash_differs:
        raise Refused(errors.FILE_HASH_DIFFERS())
    return file


async def _conclude(parts: Settlement, tx: Connection, file: File, wrong: Sequence[Refusal], now: datetime) -> File:
    wrong = wrong or await _objections(parts, tx, file)
    if file.wrong_count or wrong:
        await store.refuse_file(tx, file.file_no, wrong, now)
    else:
        await store.accept_file(tx, file.file_no, now)
    return await store.lock_file(tx, file.statement_id, file.sha256)


async def _objections(parts: Settlement, tx: Connection, file: File) -> list[Refusal]:
    """What speaks against a file as a whole, besides its lines. Raises Refused when the statement takes none."""
    if file.line_reached > parts.settings.file_lines_max:
        return [errors.LINES_TOO_MANY(limit=parts.settings.file_lines_max)]
    if file.wrong_count:
        return []
    if file.line_count == 0:
        return [errors.FILE_EMPTY()]
    await _check_takes_lines(tx, await locked_statement(tx, file.statement_id))
    stated = {c.key: c.stated for c in await statement_store.comparisons(tx, file.statement_id)}
    return check_lines_sum(stated, await statement_store.file_sums(tx, file.file_no))


async def _check_takes_lines(tx: Connection, statement: Statement) -> None:
    """Raises Refused when a statement takes no lines, or has them already."""
    wrong = check_lines_wanted(statement.state)
    if await store.accepted_file(tx, statement.statement_id) or await store.has_lines(tx, statement.statement_id):
        wrong.append(errors.LINES_EXIST())
    if wrong:
        raise Refused(*wrong)


async def _why(parts: Settlement, file: File) -> list[Refusal]:
    """Why a file is refused: how much is wrong, then the first things by line."""
    async with parts.database.read() as reader:
        found = await store.refusals(reader, file.file_no, SHOWN_REFUSALS)
    shown = [
        Refusal(refusal.code, refusal.params, f"/lines/{line_no}{refusal.pointer or ''}") if line_no else refusal
        for line_no, refusal in found
    ]
    return [errors.FILE_REFUSED(count=file.wrong_count), *shown]


# Mappings


async def save_mapping(parts: Settlement, principal: Principal, name: str, source: str, now: datetime) -> SavedMapping:
    """Save a mapping, or a new version of it, for the caller. Raises Refused when it is not in order."""
    mapping = read_mapping(source)
    if isinstance(mapping, list):
        raise Refused(*mapping)
    async with parts.database.transaction() as tx:
        return await store.save_mapping(tx, principal.party, name, source, principal.subject, now)
