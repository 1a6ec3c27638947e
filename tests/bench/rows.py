"""Rows by the million for a benchmark, written by two connections, one for each core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import asyncpg

CHUNK = 250_000
WRITERS = 2


async def connect(owner_url: str) -> asyncpg.Connection[Any]:
    """A connection of the owner's in settlement's schema."""
    return await asyncpg.connect(owner_url, server_settings={"search_path": "settlement"})


async def written(
    owner_url: str, statement: str, count: int, arguments: Callable[[int, int], Sequence[object]]
) -> None:
    """Run a statement for all numbers up to `count`; it is given the first and the last of a chunk."""
    chunks = iter(range(1, count + 1, CHUNK))
    await asyncio.gather(*(_write(owner_url, statement, count, arguments, chunks) for _ in range(WRITERS)))


async def _write(
    owner_url: str,
    statement: str,
    count: int,
    arguments: Callable[[int, int], Sequence[object]],
    chunks: Iterator[int],
) -> None:
    """One of the writers; it takes the next chunk that nobody has taken."""
    connection = await connect(owner_url)
    try:
        for first in chunks:
            await connection.execute(statement, *arguments(first, min(first + CHUNK - 1, count)), timeout=300)
    finally:
        await connection.close()
