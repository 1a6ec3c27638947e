"""Files of statements' lines, and mappings of their columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from services.settlement.rules.files import FileState, RefusedLine, StatedLine
from services.settlement.store.bills import columns
from shared.database import Connection, row_to, rows_to
from shared.refusals import Refusal

_FILE = """
    file_no, statement_id, sha256, mapping_name, mapping_version_no, state, line_reached, prefix_sha256, line_count,
    wrong_count, numbered, begun_at, ended_at
"""
FILE_INSERT = """
    INSERT INTO statement_file (statement_id, sha256, mapping_name, mapping_version_no, state, line_reached, line_count,
        wrong_count, numbered, sent_by, begun_at)
    VALUES ($1, $2, $3, $4, 'receiving', 0, 0, 0, true, $5, $6) ON CONFLICT (statement_id, sha256) DO NOTHING
"""
FILE = f"SELECT {_FILE} FROM statement_file WHERE statement_id = $1 AND sha256 = $2"
FILE_LOCKED = f"{FILE} FOR UPDATE"
FILES = f"SELECT {_FILE} FROM statement_file WHERE statement_id = $1 ORDER BY file_no DESC LIMIT $2"
FILE_ACCEPTED = f"SELECT {_FILE} FROM statement_file WHERE statement_id = $1 AND state = 'accepted'"
FILE_REACHED = """
    UPDATE statement_file SET line_reached = $2, prefix_sha256 = $3, line_count = line_count + $4,
        wrong_count = wrong_count + $5, numbered = $6
    WHERE file_no = $1
"""
FILE_ENDED = "UPDATE statement_file SET state = $2, wrong_count = wrong_count + $3, ended_at = $4 WHERE file_no = $1"
FILE_RESTARTED = """
    UPDATE statement_file SET state = 'receiving', line_reached = 0, prefix_sha256 = NULL, line_count = 0,
        wrong_count = 0, ended_at = NULL, mapping_name = $2, mapping_version_no = $3
    WHERE file_no = $1
"""
LINES_DROP = "DELETE FROM statement_file_line WHERE file_no = $1"
LINES_SOME = "SELECT EXISTS (SELECT FROM statement_line WHERE statement_id = $1)"
REFUSALS_DROP = "DELETE FROM statement_file_refusal WHERE file_no = $1"
REFUSALS_INSERT = """
    INSERT INTO statement_file_refusal (file_no, line_no, position, code, params, pointer)
    SELECT $1, * FROM unnest($2::int[], $3::int[], $4::text[], $5::jsonb[], $6::text[])
"""
REFUSALS = """
    SELECT line_no, code, params, pointer FROM statement_file_refusal WHERE file_no = $1
    ORDER BY line_no, position LIMIT $2
"""
MAPPING_INSERT = """
    INSERT INTO statement_mapping (party, name, version_no, source, saved_by, saved_at)
    SELECT $1, $2, coalesce(max(version_no), 0) + 1, $3, $4, $5 FROM statement_mapping
    WHERE party = $1 AND name = $2
    RETURNING name, version_no, source, saved_by, saved_at
"""
MAPPING = """
    SELECT name, version_no, source, saved_by, saved_at FROM statement_mapping
    WHERE party = $1 AND name = $2 ORDER BY version_no DESC LIMIT 1
"""
MAPPINGS = """
    SELECT DISTINCT ON (name) name, version_no, source, saved_by, saved_at FROM statement_mapping
    WHERE party = $1 AND name > $2 ORDER BY name, version_no DESC LIMIT $3
"""
PARTY_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('statement_mapping ' || $1, 0))"

_LINE_COLUMNS = ("file_no", *StatedLine._fields)

DROP_TIMEOUT_S = 120.0
"""Millions of lines of a refused file are removed at once."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a statement's lines, and how far it is."""

    file_no: int
    statement_id: str
    sha256: str
    mapping_name: str | None
    mapping_version_no: int | None
    state: FileState
    line_reached: int
    prefix_sha256: bytes | None
    line_count: int
    wrong_count: int
    numbered: bool
    begun_at: datetime
    ended_at: datetime | None


class LineRefusal(NamedTuple):
    """One thing that is wrong with a line, or, at line 0, with the file as a whole."""

    line_no: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class SavedMapping:
    """The newest version of a party's mapping."""

    name: str
    version_no: int
    source: str
    saved_by: str
    saved_at: datetime


async def begin_file(
    tx: Connection, statement_id: str, sha256: str, mapping: SavedMapping | None, subject: str, at: datetime
) -> File:
    """A file of a statement, made when it is not known yet, and locked."""
    name, version_no = (mapping.name, mapping.version_no) if mapping else (None, None)
    await tx.execute(FILE_INSERT, statement_id, sha256, name, version_no, subject, at)
    return _file(await tx.fetchrow(FILE_LOCKED, statement_id, sha256))


async def lock_file(tx: Connection, statement_id: str, sha256: str) -> File:
    """A file as it stands once nobody else writes to it."""
    return _file(await tx.fetchrow(FILE_LOCKED, statement_id, sha256))


async def file(tx: Connection, statement_id: str, sha256: str) -> File | None:
    """A file of a statement."""
    row = await tx.fetchrow(FILE, statement_id, sha256)
    return None if row is None else _file(row)


async def files(tx: Connection, statement_id: str, limit: int) -> list[File]:
    """The files of a statement, the newest first."""
    return [_file(row) for row in await tx.fetch(FILES, statement_id, limit)]


async def accepted_file(tx: Connection, statement_id: str) -> File | None:
    """The file whose lines are the statement's."""
    row = await tx.fetchrow(FILE_ACCEPTED, statement_id)
    return None if row is None else _file(row)


def _file(row: Any) -> File:
    return File(**{**row, "state": FileState(row["state"])})


async def restart_file(tx: Connection, of: File) -> None:
    """Forget what was received of a file, so that it can be received anew, by the mapping that `of` names."""
    await _drop(tx, of.file_no)
    await tx.execute(REFUSALS_DROP, of.file_no)
    await tx.execute(FILE_RESTARTED, of.file_no, of.mapping_name, of.mapping_version_no)


async def _drop(tx: Connection, file_no: int) -> None:
    await tx.execute(LINES_DROP, file_no, timeout=DROP_TIMEOUT_S)


async def add_chunk(
    tx: Connection,
    file_no: int,
    lines: Sequence[StatedLine],
    refused: Sequence[RefusedLine],
    *,
    line_reached: int,
    prefix_sha256: bytes,
    numbered: bool,
) -> None:
    """Keep some lines of a file, and what is wrong with others, and how far it is."""
    records = [(file_no, *line) for line in lines]
    await tx.copy_records_to_table("statement_file_line", records=records, columns=_LINE_COLUMNS)
    found = [LineRefusal(line.line_no, refusal) for line in refused for refusal in line.refusals]
    await _add_refusals(tx, file_no, found)
    await tx.execute(FILE_REACHED, file_no, line_reached, prefix_sha256, len(lines), len(found), numbered)


async def _add_refusals(tx: Connection, file_no: int, found: Sequence[LineRefusal]) -> None:
    rows = [
        (line_no, position, refusal.code, json.dumps(dict(refusal.params)), refusal.pointer)
        for position, (line_no, refusal) in enumerate(found)
    ]
    await tx.execute(REFUSALS_INSERT, file_no, *columns(rows, 5))


async def accept_file(tx: Connection, file_no: int, at: datetime) -> None:
    """Its lines are the statement's from now on."""
    await tx.execute(FILE_ENDED, file_no, FileState.ACCEPTED, 0, at)


async def refuse_file(tx: Connection, file_no: int, wrong: Sequence[Refusal], at: datetime) -> None:
    """Nothing of it counts; `wrong` is what is wrong with it as a whole, besides its lines."""
    await _drop(tx, file_no)
    await _add_refusals(tx, file_no, [LineRefusal(0, refusal) for refusal in wrong])
    await tx.execute(FILE_ENDED, file_no, FileState.REFUSED, len(wrong), at)


async def refusals(tx: Connection, file_no: int, limit: int) -> list[LineRefusal]:
    """What is wrong with a file, by line."""
    rows = await tx.fetch(REFUSALS, file_no, limit)
    return [LineRefusal(row[0], Refusal(row[1], json.loads(row[2]), row[3])) for row in rows]


async def has_lines(tx: Connection, statement_id: str) -> bool:
    """Whether lines of a statement were sent in batches."""
    return await tx.fetchval(LINES_SOME, statement_id)  # type: ignore[no-any-return]


async def save_mapping(tx: Connection, party: str, name: str, source: str, subject: str, at: datetime) -> SavedMapping:
    """A new version of a mapping."""
    await tx.execute(PARTY_LOCK, party)
    rows = await tx.fetch(MAPPING_INSERT, party, name, source, subject, at)
    return rows_to(SavedMapping, rows)[0]


async def mapping(tx: Connection, party: str, name: str) -> SavedMapping | None:
    """The newest version of a party's mapping."""
    return row_to(SavedMapping, await tx.fetchrow(MAPPING, party, name))


async def mappings(tx: Connection, party: str, after: str, limit: int) -> list[SavedMapping]:
    """The newest versions of a party's mappings, by name."""
    return rows_to(SavedMapping, await tx.fetch(MAPPINGS, party, after, limit))
