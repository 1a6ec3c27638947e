"""PostgreSQL: one pool per service under its own role, transactions at the edge, outages as `Unavailable`.

Queries are SQL text in each service's `store.py`; tables are declared in `tables.py`, from which migrations are made.
Only `Database.transaction` commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
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


def row_to(kind: type[R], record: Any | None) -> R | None:
    """One record as a value, or None."""
    return None if record is None else kind(**record)
