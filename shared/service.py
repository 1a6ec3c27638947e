"""What turns a service's parts into a process: HTTP, consumer, relay, health, metrics, graceful stop.

`Parts` says what a service is made of; `run` is all its `__main__` calls. Only here and in each `app.py` are things
constructed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared import inbox, kafka, telemetry
from shared.auth import Verifier
from shared.clock import Clock, make_clock
from shared.consumer import Consumer, Handlers
from shared.database import Database
from shared.http import problems
from shared.http.routing import Edge, ServiceRouter, Shortcut
from shared.jobs import JobRecord
from shared.kafka import Producer
from shared.outbox import Relay
from shared.plumbing import newest_migration
from shared.refusals import Unavailable
from shared.regions import RegionTree
from shared.settings import Settings

log = logging.getLogger(__name__)

KEYS_EVERY_S = 60.0
"""How often the key set is read again: a new signing key is known a minute later, without a restart."""

INBOX_EVERY_S = 3600.0

LAST_CALLS_S = 0.5
"""How long a stopping service still answers what arrives on connections that are open already."""

Job = Callable[[], Awaitable[None]]
"""Periodic work of a worker: runs again and again, every `every_s` seconds."""


@dataclass(frozen=True, slots=True)
class Every:
    """A job and its interval in seconds."""

    every_s: float
    job: Job
    name: str


@dataclass(frozen=True, slots=True)
class Base:
    """What every service gets: settings, database, clock, a producer for its relay and dead letters."""

    settings: Settings
    database: Database
    producer: Producer
    clock: Clock
    gauges: telemetry.Gauges
    regions: RegionTree


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is made of, besides what all have."""

    name: str
    title: str
    routers: Sequence[ServiceRouter]
    handlers: Handlers
    service: object
    """What its endpoints find at `call.service`."""
    jobs: Sequence[Every] = ()
    """Work of the worker part."""
    always: Sequence[Every] = ()
    """Work of every process of the service, also of one that only answers requests; done once before it answers any."""
    close: Sequence[Callable[[], Awaitable[None]]] = field(default_factory=tuple)
    """Run at the stop, after the last request: batchers finish what they accepted."""


def base_of(settings: Settings, name: str) -> Base:
    """The common parts of a service. Raises ValueError for settings that must not go together."""
    if settings.environment == "production" and settings.clock_file is not None:
        raise ValueError("SIFANG_CLOCK_FILE is for training and demos, not for production")
    database = Database(settings, name)
    producer = Producer(settings, f"sifang-{name}")
    return Base(
        settings,
        database,
        producer,
        make_clock(settings.clock_file),
        telemetry.Gauges(),
        RegionTree.load(settings.regions_file),
    )


class Process:
    """A running service: opens its parts, keeps its workers alive, stops them in order."""

    def __init__(self, base: Base, parts: Parts) -> None:
        self._base, self._parts = base, parts
        self._verifier = Verifier(base.settings)
        self._workers: list[asyncio.Task[None]] = []
        self._jobs: dict[str, JobRecord] = {}
        self._consumer: Consumer | None = None
        self._relay: Relay | None = None
        self.app = self._make_app()

    def _make_app(self) -> FastAPI:
        app = FastAPI(
            title=self._parts.title,
            version="1",
            lifespan=self._lifespan,
            redirect_slashes=False,
            redoc_url=None,
            # Our routes make the spans and metrics that are our contract; FastAPI's own would double them.
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )
        app.state.edge = Edge(self._base.settings, self._verifier, self._base.clock, self._parts.service)
        app.add_exception_handler(HTTPException, _http_problem)
        app.add_api_route("/health/live", _live, include_in_schema=False)
        app.add_api_route("/health/ready", self._ready, include_in_schema=False)
        app.add_api_route("/metrics", _metrics, include_in_schema=False)
        if self._base.settings.parts != "worker":
            for router in self._parts.routers:
                app.include_router(router)
        app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
        return app

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        await _until_available(self._base.database.open)
        for job in (Every(KEYS_EVERY_S, self._verifier.load, "keys"), *self._parts.always):
            await _until_available(job.job)
            self._start_job(job)
        if self._base.settings.parts != "api":
            self._start_workers()
        try:
            yield
        finally:
            await self._stop()

    def _start_workers(self) -> None:
        base = self._base
        self._relay = Relay(base.database, base.producer, base.settings, base.gauges)
        self._workers.append(self._worker("relay", self._relay.run))
        if self._parts.handlers:
            self._consumer = Consumer(
                self._parts.name,
                self._parts.handlers,
                base.database,
                base.producer,
                base.settings,
                base.clock,
                base.gauges,
            )
            self._workers.append(self._worker("consumer", self._consumer.run))
        for job in (*self._parts.jobs, Every(INBOX_EVERY_S, self._forget_old_events, "inbox")):
            self._start_job(job)

    def _start_job(self, job: Every) -> None:
        record = self._jobs[job.name] = JobRecord(job.name)
        self._workers.append(self._worker(job.name, functools.partial(_repeat, job, record, self._base.clock)))

    @staticmethod
    def _worker(name: str, make: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(_kept_alive(make, name), name=name)

    async def _stop(self) -> None:
        """Finish what was accepted: batches, the consumer's batch at hand, then what the outbox still holds."""
        for close in self._parts.close:
            await close()
        if self._consumer is not None:
            self._consumer.stop()
        consumers = [w for w in self._workers if w.get_name() == "consumer"]
        if consumers:
            await asyncio.wait(consumers, timeout=self._base.settings.graceful_stop_s)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._relay is not None:
            with contextlib.suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(self._base.settings.graceful_stop_s):
                    while await self._relay.relay_once():
                        pass
            await self._relay.close()
        await self._base.producer.close()
        await self._base.database.close()
        telemetry.stop()

    async def _forget_old_events(self) -> None:
        before = self._base.clock() - timedelta(days=self._base.settings.inbox_keep_days)
        async with self._base.database.transaction() as tx:
            await inbox.purge(tx, before)

    async def _ready(self) -> Response:
        """200 when database, broker, migrations and workers are well, else 503; names each.

        A job that fails again and again is named, and does not take the service out: the others go on.
        """
        checks = {
            "database": self._check_database(),
            "broker": kafka.check(self._base.settings),
            "workers": self._check_workers(),
        }
        results = await asyncio.gather(*checks.values(), return_exceptions=True)
        words = {name: "ok" if result is None else str(result) for name, result in zip(checks, results, strict=True)}
        status = 200 if set(words.values()) == {"ok"} else 503
        failing = [f"{job.name} failed {job.failures} times in a row" for job in self._jobs.values() if job.is_failing]
        jobs = {"jobs": f"degraded: {'; '.join(failing)}"} if failing else {"jobs": "ok"}
        records = {name: job.shown() for name, job in self._jobs.items()}
        return JSONResponse({"service": self._parts.name, **words, **jobs, "job_records": records}, status)

    async def _check_database(self) -> None:
        async with self._base.database.read() as reader:
            version = await reader.fetchval("SELECT version_num FROM schema_version")
        if version != newest_migration(self._parts.name):
            raise Unavailable("database", "migrations are not at their head: run shared.prepare")

    async def _check_workers(self) -> None:
        for worker in self._workers:
            if worker.done():
                raise Unavailable(worker.get_name(), "ended")


async def _live() -> Response:
    return JSONResponse({"status": "live"})


async def _metrics() -> Response:
    return Response(telemetry.prometheus_text(), media_type="text/plain; version=0.0.4")


async def _http_problem(request: Request, error: Exception) -> Response:
    """Addresses and methods that are not there; every other refusal is answered by the route itself."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    kind = problems.METHOD_NOT_ALLOWED if status == 405 else problems.NOT_FOUND
    response = problems.problem([kind()], problems.language_of(request.headers.get("accept-language")))
    for name, value in (error.headers or {}).items() if isinstance(error, HTTPException) else ():
        response.headers[name] = value
    return response


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = problems.PROBLEM_SCHEMA
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        _drop_foreign_refusals(schema)
        app.openapi_schema = schema
    return app.openapi_schema


def _drop_foreign_refusals(schema: dict[str, Any]) -> None:
    """FastAPI documents a 422 of its own wherever there are parameters; no endpoint of ours ever answers so."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)


async def _repeat(every: Every, record: JobRecord, clock: Clock) -> None:
    while True:
        try:
            await record.run(every.job, clock)
        except Unavailable as away:
            log.warning("job waits", extra={"fields": {"job": every.name, "reason": str(away)}})
        await asyncio.sleep(every.every_s)


async def _until_available(open_part: Callable[[], Awaitable[None]]) -> None:
    """Keep trying for half a minute: parts of a cluster start in any order. Raises Unavailable."""
    for attempt in range(30):
        try:
            return await open_part()
        except Unavailable:
            if attempt == 29:
                raise
            await asyncio.sleep(1)
    return None


async def _kept_alive(make: Callable[[], Awaitable[None]], name: str) -> None:
    """A worker that fails for an unknown reason says so at once, loudly, and starts again: claims must not pile up."""
    while True:
        try:
            return await make()
        except Exception:
            log.critical("worker failed and starts again", exc_info=True, extra={"fields": {"worker": name}})
            await asyncio.sleep(2)


def run(name: str, make: Callable[[Base], Parts]) -> None:
    """Run a service until SIGTERM or SIGINT; what it accepted is finished first."""
    settings = Settings()
    telemetry.start_logging(settings.log_level)
    telemetry.start(name, settings.traces_per_s)
    base = base_of(settings, name)
    process = Process(base, make(base))
    config = uvicorn.Config(
        Shortcut(process.app),
        host=settings.host,
        port=settings.port(name),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.graceful_stop_s),
        backlog=2048,
    )
    server = _Server(config)
    _calm_collector()
    server.run()
    sys.exit(0 if server.started else 3)


def _calm_collector() -> None:
    """Keep the garbage collector from walking the whole program for every few requests.

    Measured: it took two fifths of a settlement's time. What is loaded by now stays for ever and is not looked at
    again; requests leave next to no cycles, so looking for them less often costs no memory to speak of.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


class _Server(uvicorn.Server):
    """A server whose stop on SIGTERM is a success: uvicorn would die of the signal once it has stopped."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals without raising them again."""
        loop_signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in loop_signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, answer the last calls on the old ones with `Connection: close`, then stop.

        Closing an idle connection at once would cut off a request that is on its way on it.
        """
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(LAST_CALLS_S if self.server_state.connections else 0)
        await super().shutdown(sockets)
