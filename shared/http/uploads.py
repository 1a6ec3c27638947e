"""Files that are sent: read as they arrive, bounded, in the charset their author wrote in."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request

from shared.http.problems import TOO_LARGE
from shared.refusals import Refused

SNIFFED_BYTES = 65_536
"""Enough of the beginning of a file to tell UTF-8 from GB18030."""


async def streamed(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises Refused once it is too large, at once when that is declared."""
    declared = request.headers.get("content-length", "0")
    size = int(declared) if declared.isdecimal() else 0
    if size > limit_bytes:
        raise Refused(TOO_LARGE(limit_bytes=limit_bytes))
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise Refused(TOO_LARGE(limit_bytes=limit_bytes))
        yield chunk


def charset_of(head: bytes) -> str:
    """The one of the two charsets Chinese systems write in which more lines can be read; UTF-8 when both do."""
    lines = [line for line in head[:SNIFFED_BYTES].split(b"\n") if not line.isascii()]
    return max(("utf-8", "gb18030"), key=lambda charset: sum(_can_be(line, charset) for line in lines))


def _can_be(line: bytes, charset: str) -> bool:
    try:
        line.decode(charset)
    except UnicodeDecodeError:
        return False
    return True
