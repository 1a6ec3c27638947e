"""Books of a test's own, in a database of their own, some years later: what a year is archived out of."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from ulid import ULID

from deploy.local.cluster import Cluster
from services.settlement.config import SettlementSettings
from services.settlement.handlers import handlers
from services.settlement.rules.archives import Archive, People
from services.settlement.rules.chain import Finding, LedgerKey
from services.settlement.store import accounts, invariants
from services.settlement.store import books as reading
from services.settlement.use_cases.archiving import AtStep, archive, drop
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.proof import prove
from services.settlement.use_cases.restoring import restore
from services.settlement.use_cases.sealing import seal
from services.settlement.use_cases.verification import verify, verify_in
from shared.database import Database
from shared.events import Envelope, Event, new_id
from shared.keys import ledger_key
from shared.settings import Settings
from shared.telemetry import Gauges
from shared.workdays import SHANGHAI, WorkCalendar
from tests.services.settlement.cycles import NOW, City
from tests.services.settlement.world import Books, Hospital

ROOT = Path(__file__).resolve().parents[3]
YEAR = datetime.now(UTC).year
"""The oldest year of a new database: that in which it was made."""
THEN = min(NOW, datetime(YEAR, 11, 23, 2, tzinfo=UTC)).replace(year=YEAR)
"""When what is archived was booked."""
NEXT = datetime(YEAR + 1, 2, 3, 4, tzinfo=UTC)
LATER = datetime(YEAR + 4, 6, 1, 2, tzinfo=UTC)
"""When it is archived."""
TWO = People("li", "wang")

_databases = itertools.count(1)


def id_of(year: int, month: int, day: int) -> str:
    """An id made on a day, at noon."""
    return str(ULID.from_datetime(datetime(year, month, day, 12, tzinfo=UTC)))


def _named(url: str, database: str, user: str | None = None) -> str:
    split = urlsplit(url)
    host = split.netloc if user is None else f"{user}@{split.netloc.rpartition('@')[2]}"
    return urlunsplit(split._replace(path=f"/{database}", netloc=host))


class Databases:
    """Makes databases beside the cluster's own, each a copy of one that was prepared once."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster, self._settings = cluster, settings
        password = (cluster.folders.secrets / "database-postgres").read_text()
        self._superuser = _named(settings.database_url, "postgres", f"postgres:{password}")
        self._template = f"archives_{new_id().lower()}"
        self._is_prepared = False

    @asynccontextmanager
    async def make(self) -> AsyncIterator[Settings]:
        """A database with all schemas and nothing in them, gone at the end."""
        if not self._is_prepared:
            await self._make(self._template, "template1")
            environment = {**self._cluster.environment, "SIFANG_DATABASE_URL": self._url(self._template)}
            prepare = [sys.executable, "-m", "shared.prepare"]
            await asyncio.to_thread(subprocess.run, prepare, cwd=ROOT, env=environment, check=True)
            self._is_prepared = True
        name = f"{self._template}_{next(_databases)}"
        await self._make(name, self._template)
        try:
            yield self._settings.model_copy(update={"database_url": self._url(name)})
        finally:
            await self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def _url(self, name: str) -> str:
        return _named(self._settings.database_url, name)

    async def _make(self, name: str, template: str) -> None:
        await self._run(f"CREATE DATABASE {name} TEMPLATE {template} OWNER sifang")

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self._superuser)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def close(self) -> None:
        """Forget the prepared one."""
        if self._is_prepared:
            await self._run(f"DROP DATABASE {self._template} WITH (FORCE)")


@dataclass
class Past:
    """A city whose year is over, and everything that is done with it."""

    settings: Settings
    books: Books
    city: City
    folder: Path

    @property
    def parts(self) -> Settlement:
        """What the command builds."""
        chosen = SettlementSettings(archive_dir=self.folder, archive_after_years=2)
        return Settlement(self.books.database, self.city.tree, chosen, WorkCalendar(), self.books.ledger_key)

    async def hear(self, now: datetime, *events: Event) -> None:
        """Book as the consumer does, at a moment."""
        on = handlers(self.city.tree, self.books.ledger_key)
        async with self.books.database.transaction() as tx:
            for kind, run in itertools.groupby(events, key=type):
                await on[kind](tx, [Envelope(event, now) for event in run], now)

    async def close_month(self, hospital: Hospital, *bills: Any) -> None:
        """Bills of a month, confirmed, cleared and paid."""
        await self.city.confirmed(hospital, *bills, now=THEN)
        for region in (self.city.code, self.city.county(1)):
            await self.city.pay_all(await self.city.cut(THEN, region), THEN)

    async def seal(self, at: datetime = THEN) -> None:
        """All that is booked is in the chain."""
        await seal(self.parts, lambda: at, Gauges())

    async def archive(self, year: int = YEAR, now: datetime = LATER, at_step: AtStep = lambda _: None) -> Archive:
        """Archive a year, two people doing it."""
        return await archive(self.parts, year, TWO, now, at_step)

    async def drop(self, year: int = YEAR) -> int:
        """Drop what was set aside."""
        return await drop(self.parts, year, TWO, LATER)

    async def restore(self, year: int = YEAR) -> int:
        """Put a year back."""
        return await restore(self.parts, year, TWO, LATER)

    async def findings(self, folder: Path | None = None, tx: Any = None) -> set[tuple[str, str]]:
        """What a verification finds, in a transaction or its own: kind and subject."""
        key = self.books.ledger_key
        steps = verify(self.books.database, key, None, folder) if tx is None else verify_in(tx, key, None, folder)
        return {(step.kind.value, step.subject) async for step in steps if isinstance(step, Finding)}

    async def answers(self) -> Mapping[str, Any]:
        """What the books answer about every moment after the year, and what watches over them."""
        after, month = date(YEAR + 1, 6, 30), f"{YEAR + 1}-01"
        async with self.books.database.read() as reader:
            named = [row[0] for row in await reader.fetch("SELECT facility_code FROM facility_month")]
            parties = sorted({*named, self.city.code, *(self.city.county(n) for n in range(1, 7))})
            proof = asdict(await prove(self.parts))
            linked = [row[0] for row in await reader.fetch("SELECT transaction_id FROM ledger_chain ORDER BY chain_no")]
            return {
                "proof": proof,
                "violations": await invariants.violations(reader, linked),
                "summary": await reading.summary(reader, month, None, parties),
                **{f"balances {p}": await reading.balances(reader, p) for p in parties},
                **{f"by day {p}": await accounts.balances_as_of(reader, p, after, None) for p in parties},
                **{f"by moment {p}": await accounts.balances_as_of(reader, p, None, NEXT) for p in parties},
                **{
                    f"end of year {p}": await accounts.balances_as_of(
                        reader, p, date(YEAR, 12, 31), datetime(YEAR + 1, 1, 1, tzinfo=SHANGHAI)
                    )
                    for p in parties
                },
                **{f"month {p}": await accounts.accounts_of_month(reader, p, month) for p in parties},
            }

    @asynccontextmanager
    async def administrator(self, *, undone: bool) -> AsyncIterator[Any]:
        """The database as its administrator sees it, who has switched every guard off; undone at the end, or kept."""
        password = (self.settings.secrets_dir / "database-postgres").read_text()
        url = _named(self.settings.database_url, urlsplit(self.settings.database_url).path[1:], f"postgres:{password}")
        connection = await asyncpg.connect(url, server_settings={"search_path": "settlement"})
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute("SET LOCAL session_replication_role = replica")
            yield connection
        finally:
            await (transaction.rollback() if undone else transaction.commit())
            await connection.close()


@asynccontextmanager
async def past_of(settings: Settings, folder: Path) -> AsyncIterator[Past]:
    """Books in a database with nothing in it."""
    database = Database(settings, "settlement")
    await database.open()
    try:
        books = Books(database, LedgerKey(ledger_key(settings)))
        yield Past(settings, books, City(books), folder)
    finally:
        await database.close()


@dataclass
class Told:
    """What was booked in the year that is over."""

    hospital: Hospital
    paid: list[Any]
    """Bills of October and their reversal, all paid."""
    unpaid_of: Any
    """A bill of which the person paid everything."""
    straggler: Any
    """A bill of November that came in February, and was paid then."""
    following: Hospital
    """The hospital in the next January, whose month is open."""


async def play(past: Past) -> Told:
    """A year with everything in it, and a bill of the year after."""
    city, hospital = past.city, past.city.hospital(1, f"{YEAR}-10")
    bills = [hospital.bill(city.county(2)) for _ in range(3)]
    local, free = hospital.bill(city.county(1)), hospital.bill(city.county(2), fund_fen=0, account_fen=0)
    reversal = hospital.reversal(bills[0])
    await past.close_month(hospital, *bills, local, free, reversal)
    await past.seal()
    november = Hospital(code=hospital.code, region=hospital.region, month=f"{YEAR}-11")
    straggler = november.bill(city.county(2), settled_at=THEN + timedelta(days=1))
    await past.hear(NEXT, straggler)
    await city.confirm((await city.matched(november)).values(), NEXT)
    await city.pay_all(await city.cut(NEXT), NEXT)
    january = Hospital(code=hospital.code, region=hospital.region, month=f"{YEAR + 1}-01")
    await past.hear(
        NEXT,
        *(january.bill(city.county(2), settlement_id=id_of(YEAR + 1, 1, day)) for day in (10, 11)),
        january.reversal(
            bills[1], settlement_id=id_of(YEAR + 1, 1, 12), settled_at=datetime(YEAR + 1, 1, 12, 4, tzinfo=UTC)
        ),
    )
    await past.seal(NEXT)
    return Told(hospital, [*bills, local, reversal], free, straggler, january)
