"""PostgreSQL: one pool per service under its own role, transactions at the edge, outages as `Unavailable`.

Queries are SQL text in each service's `store.py`; tables are declared in `tables.py`, from which migrations are made.
Only `Database.transaction` commits.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg

from shared.keys import database_password
from shared.refusals import Unavailable
from shared.settings import Settings

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    """A connection inside a transaction (or a read)."""
else:
    Connection = asyncpg.pool.PoolConnectionProxy

R = TypeVar("R")

_PLACE = re.compile(r"\$([0-9]+)")

RETRIABLE: tuple[type[BaseException], ...] = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What means "the same work may succeed later"."""


class Database:
    """A service's pool. Every connection runs under the service's role and sees its schema only."""

    def __init__(self, settings: Settings, service: str) -> None:
        self.service = service
        self._settings = settings
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @property
    def url(self) -> str:
        """The URL of the service's role; holds its password, so never log it."""
        return self._settings.role_url(self.service, database_password(self._settings, self.service))

    async def open(self) -> None:
        """Make the pool. Raises Unavailable when the database does not answer."""
        with _outages():
            self._pool = await asyncpg.create_pool(
                self.url,
                min_size=1,
                max_size=self._settings.database_pool_max,
                command_timeout=self._settings.database_timeout_s,
                timeout=5,
                server_settings={"search_path": self.service, "application_name": f"sifang-{self.service}"},
                # No code of ours leaves anything behind in a session (locks end with their transaction, LISTEN has a
                # connection of its own), so that giving a connection back need not cost a round trip.
                reset=_nothing_to_reset,
            )

    async def close(self) -> None:
        """Give all connections back, waiting for those in use."""
        if self._pool is not None:
            await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises. Raises Unavailable."""
        if self._pool is None:
            raise Unavailable("database", "not connected yet")
        with _outages():
            async with (
                self._pool.acquire(timeout=self._settings.database_timeout_s) as connection,
                connection.transaction(),
            ):
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """A connection for single reads, outside a transaction. Raises Unavailable."""
        if self._pool is None:
            raise Unavailable("database", "not connected yet")
        with _outages():
            async with self._pool.acquire(timeout=self._settings.database_timeout_s) as connection:
                yield connection

    async def listen(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection of its own, for LISTEN: a pool would hand it to others."""
        with _outages():
            return await asyncpg.connect(self.url, timeout=5, server_settings={"search_path": self.service})


async def _nothing_to_reset(_: asyncpg.Connection[asyncpg.Record]) -> None:
    """Called by the pool when a connection is given back."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that changes rows, with its values, to be run alone or `together` with others."""

    text: str
    values: Sequence[Any]

    async def run(self, tx: Connection) -> None:
        """Run it alone."""
        await tx.execute(self.text, *self.values)


def columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows of one width as the arrays that `unnest` takes."""
    return [list(column) for column in zip(*rows, strict=True)]


async def together(tx: Connection, statements: Sequence[Statement]) -> None:
    """Run several in one round trip, as one statement of PostgreSQL: all see the rows as they were before.

    Constraints hold as if each had run alone, except that foreign keys are looked at when all have run.
    """
    texts = tuple(s.text for s in statements)
    await tx.execute(_woven(texts), *(value for s in statements for value in s.values))


@cache
def _woven(texts: tuple[str, ...]) -> str:
    """One statement out of several: each becomes a part of WITH, its `$n` counted on from the one before."""
    parts, before = [], 0
    for number, text in enumerate(texts):
        parts.append(f"s{number} AS ({_counted_on(text, before)})")
        before += max((int(place) for place in _PLACE.findall(text)), default=0)
    return f"WITH {', '.join(parts)} SELECT"


def _counted_on(text: str, before: int) -> str:
    return _PLACE.sub(lambda place: f"${int(place[1]) + before}", text)


class _outages:
    """Turns a lost or refusing database into `Unavailable`; every other error passes unchanged."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RETRIABLE):
            raise Unavailable("database", type(error).__name__) from error
        if isinstance(error, asyncpg.InterfaceError) and "clos" in str(error):
            raise Unavailable("database", "connection closed") from error
        # How asyncpg says that the connection died between two statements: the server's last word, that it shuts down,
        # is still being read.
        if isinstance(error, asyncpg.InternalClientError) and "another operation" in str(error):
            raise Unavailable("database", "connection dying") from error


def rows_to(kind: type[R], records: Iterable[Any]) -> list[R]:
    """Records as values of a dataclass whose fields are the selected columns."""
    return [kind(**record) for record in records]


def sums_to(kind: type[R], records: Iterable[Any]) -> list[R]:
    """The same of records with sums of whole numbers, which the database gives as numeric: they may pass 2⁶³."""
    return [kind(**{k: int(v) if isinstance(v, Decimal) else v for k, v in record.items()}) for record in records]


def row_to(kind: type[R], record: Any | None) -> R | None:
    """One record as a value, or None."""
    return None if record is None else kind(**record)
