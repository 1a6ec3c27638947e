"""A ZIP with one file of lines: received to the disk, looked at, then read piece by piece.

What it says of itself is not believed: sizes are counted while it is unpacked.
"""

from __future__ import annotations

import asyncio
import tempfile
import zipfile
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from services.settlement import errors
from services.settlement.schemas.files import Form
from shared.refusals import Refused

_PIECE_BYTES = 1_000_000
RATIO_MAX = 200
"""How many bytes one packed byte may become; lines of bills become ten to twenty."""

_RATIO_FROM_BYTES = 10_000_000
"""Below this nobody minds how well a file is packed."""

_ENCRYPTED = 1

FORMS = {".txt": Form.TXT, ".tsv": Form.TXT, ".csv": Form.CSV, ".jsonl": Form.JSON_LINES}
"""What the one file in a ZIP is, by its name."""


class Unpacked(NamedTuple):
    """The one file of a ZIP."""

    form: Form
    content: AsyncGenerator[bytes, None]


@asynccontextmanager
async def unpacked(sent: AsyncIterator[bytes], limit_bytes: int) -> AsyncGenerator[Unpacked, None]:
    """The one file in a ZIP. Raises Refused when the ZIP is not what is wanted, also while it is read."""
    with tempfile.TemporaryFile() as spool:
        async for piece in sent:
            await asyncio.to_thread(spool.write, piece)
        with _damages():
            archive = zipfile.ZipFile(spool)
        with archive:
            member = _only_member(archive, limit_bytes)
            form = FORMS[_suffix(member)]
            with _damages():
                opened = archive.open(member)
            with opened:
                yield Unpacked(form, _pieces(opened, member, limit_bytes))


def _only_member(archive: zipfile.ZipFile, limit_bytes: int) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) != 1:
        raise Refused(errors.FILE_MEMBERS(count=len(members)))
    (member,) = members
    name = member.orig_filename
    if any(sign in name for sign in ("/", "\\", ":", "\0")) or name.startswith("."):
        raise Refused(errors.FILE_MEMBER_NAME())
    if member.flag_bits & _ENCRYPTED or _suffix(member) not in FORMS:
        raise Refused(errors.FILE_MEMBERS(count=1))
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(errors.FILE_DAMAGED())
    if member.file_size > limit_bytes or _overpacked(member.file_size, member.compress_size):
        raise Refused(errors.FILE_BOMB(limit_bytes=limit_bytes))
    return member


def _suffix(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.orig_filename).suffix.lower()


def _overpacked(size: int, packed: int) -> bool:
    return size > _RATIO_FROM_BYTES and size > packed * RATIO_MAX


async def _pieces(opened: IO[bytes], member: zipfile.ZipInfo, limit_bytes: int) -> AsyncGenerator[bytes, None]:
    size = 0
    while True:
        with _damages():
            piece = await asyncio.to_thread(opened.read, _PIECE_BYTES)
        if not piece:
            return
        size += len(piece)
        if size > limit_bytes or _overpacked(size, member.compress_size):
            raise Refused(errors.FILE_BOMB(limit_bytes=limit_bytes))
        yield piece


@contextmanager
def _damages() -> Iterator[None]:
    """All the ways in which the library says that a ZIP cannot be read. Raises Refused instead."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeDecodeError) as error:
        raise Refused(errors.FILE_DAMAGED()) from error
