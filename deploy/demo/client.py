"""Everybody who calls: a hospital's system, an officer, a reviewer, the finance of an agency, operations.

Thin on purpose: it shows what any programmer of a HIS would write.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from shared.keys import TokenMaker
from shared.settings import Settings

T = TypeVar("T")

AT_ONCE = 16
"""Calls under way at once: more would only wait for the two cores."""
_ATTEMPTS = 6
_PAGE = 200


class UnexpectedAnswer(Exception):
    """A service answered something the play does not know how to go on from."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A recorded trace that the calls of one story belong to."""

    trace_id: str
    span_id: str

    @classmethod
    def new(cls) -> Trace:
        """A fresh one."""
        return cls(secrets.token_hex(16), secrets.token_hex(8))

    @property
    def header(self) -> str:
        """Its W3C traceparent, sampled."""
        return f"00-{self.trace_id}-{self.span_id}-01"


def unrecorded() -> str:
    """The traceparent of a caller who does not record: a busy HIS samples, or its traces would drown the rest."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    body: Any
    text: str
    replayed: bool
    """Whether it is the answer given before under the same key."""
    ms: float

    @property
    def codes(self) -> list[str]:
        """The refusals it utters."""
        return [error["code"] for error in self.body.get("errors", ())] if isinstance(self.body, dict) else []


class Caller:
    """One party's system or person, with its token."""

    def __init__(self, services: Services, token: str, party: str) -> None:
        self.party = party
        self._services, self._token = services, token

    async def get(self, service: str, path: str, *, trace: Trace | None = None, **query: Any) -> Any:
        """What is at an address. Raises UnexpectedAnswer."""
        return (await self.ask("GET", service, path, query=query, trace=trace)).body

    async def post(
        self, service: str, path: str, body: object = None, *, key: str | None = None, trace: Trace | None = None
    ) -> Any:
        """The body of a successful answer. Raises UnexpectedAnswer."""
        return (await self.ask("POST", service, path, body=body, key=key, trace=trace)).body

    async def pages(self, service: str, path: str, **query: Any) -> list[Any]:
        """All items of a list. Raises UnexpectedAnswer."""
        items: list[Any] = []
        query["limit"] = _PAGE
        while True:
            page = await self.get(service, path, **query)
            items += page["items"]
            if page.get("next_cursor") is None:
                return items
            query["cursor"] = page["next_cursor"]

    async def download(self, service: str, path: str, to: Path) -> Path:
        """Keep the file at an address. Raises UnexpectedAnswer."""
        headers = {"Authorization": f"Bearer {self._token}", "traceparent": unrecorded()}
        content = await self._services.content(service, path, headers)
        await asyncio.to_thread(to.write_bytes, content)
        return to

    async def ask(
        self,
        method: str,
        service: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, Any] | None = None,
        key: str | None = None,
        trace: Trace | None = None,
        refusable: bool = False,
    ) -> Reply:
        """The answer, whatever it is when `refusable`. Busy services are asked again with the same key.

        Raises UnexpectedAnswer for a refusal nobody asked for.
        """
        headers = {"Authorization": f"Bearer {self._token}", "traceparent": trace.header if trace else unrecorded()}
        if key is not None:
            headers["Idempotency-Key"] = key
        repeatable = method == "GET" or key is not None
        request = {"params": query or None, **_content(body, headers)}
        reply = await self._services.send(method, service, path, repeatable, **request)
        if reply.status >= 400 and not refusable:
            raise UnexpectedAnswer(f"{method} {service} {path}: {reply.status} {', '.join(reply.codes)}")
        return reply


def _content(body: object, headers: dict[str, str]) -> dict[str, Any]:
    """A body with its headers: text is CSV, anything else JSON."""
    if isinstance(body, str):
        return {"content": body.encode(), "headers": {**headers, "Content-Type": "text/csv; charset=utf-8"}}
    return {"headers": headers} if body is None else {"json": body, "headers": headers}


class Services:
    """The connections to the five services, and the tokens of all who call them."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings, self._stack = settings, stack
        self._maker = TokenMaker(settings)
        self._callers: dict[tuple[str, str, str], Caller] = {}
        self._pools: dict[str, httpx.AsyncClient] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator[Services]:
        """Connections that are closed at the end."""
        async with AsyncExitStack() as stack:
            yield cls(settings, stack)

    def _pool(self, origin: str) -> httpx.AsyncClient:
        """The connections to one server: a pool looks at all of its connections for each call, so each has its own."""
        if origin not in self._pools:
            # A connection is given up before the server, after five idle seconds, would close it under our hands.
            limits = httpx.Limits(max_connections=AT_ONCE, keepalive_expiry=3)
            made = self._pools[origin] = httpx.AsyncClient(base_url=origin, timeout=60, limits=limits, trust_env=False)
            self._stack.push_async_callback(made.aclose)
        return self._pools[origin]

    def facility(self, code: str) -> Caller:
        """A facility's HIS."""
        return self._caller("facility", code, "his")

    def officer(self, region: str) -> Caller:
        """Who registers and files at an agency (经办人员)."""
        return self._caller("officer", region, "officer")

    def reviewer(self, region: str) -> Caller:
        """Who approves what an officer prepared (复核人员)."""
        return self._caller("reviewer", region, "reviewer")

    def finance(self, region: str, person: str = "cashier") -> Caller:
        """Finance of an agency (基金财务); two persons are needed to pay."""
        return self._caller("finance", region, person)

    def operator(self) -> Caller:
        """Operations staff."""
        return self._caller("operator", "operations", "operator")

    def _caller(self, role: str, party: str, person: str) -> Caller:
        known = self._callers.get((role, party, person))
        if known is None:
            token = self._maker.make(role=role, party=party, subject=f"{person}@{party}")
            known = self._callers[role, party, person] = Caller(self, token, party)
        return known

    async def send(self, method: str, service: str, path: str, repeatable: bool, **options: Any) -> Reply:
        """One call, sent again while the service says that it is too busy, or, if it may be, when no answer came.

        Raises UnexpectedAnswer.
        """
        pool = self._pool(self._settings.url(service))
        for attempt in range(1, _ATTEMPTS + 1):
            started = time.perf_counter()
            try:
                answer = await pool.request(method, path, **options)
            except httpx.TransportError as error:
                if attempt == _ATTEMPTS or not repeatable:
                    raise UnexpectedAnswer(f"{method} {service} {path}: {type(error).__name__}") from error
            else:
                if answer.status_code != 503 or attempt == _ATTEMPTS:
                    return _reply(answer, (time.perf_counter() - started) * 1000)
            await asyncio.sleep(0.2 * attempt)
        raise AssertionError("the last attempt returns or raises")

    async def content(self, service: str, path: str, headers: Mapping[str, str]) -> bytes:
        """The bytes at an address. Raises UnexpectedAnswer."""
        answer = await self._pool(self._settings.url(service)).get(path, headers=headers)
        if answer.status_code != 200:
            raise UnexpectedAnswer(f"GET {service} {path}: {answer.status_code}")
        return answer.content

    async def metrics(self, service: str) -> str:
        """A service's metrics, in Prometheus text."""
        return (await self._pool(self._settings.url(service)).get("/metrics")).text

    async def fetch(self, origin: str, path: str) -> httpx.Response:
        """Something that is not of our services: the trace store."""
        return await self._pool(origin).get(path)

    async def store_spans(self, origin: str, path: str, spans: list[dict[str, Any]]) -> None:
        """Report spans of the calling system itself to the trace store."""
        (await self._pool(origin).post(path, json=spans)).raise_for_status()


def _reply(answer: httpx.Response, ms: float) -> Reply:
    kind = answer.headers.get("content-type", "")
    body = answer.json() if "json" in kind else None
    return Reply(answer.status_code, body, answer.text, answer.headers.get("idempotency-replayed") == "true", ms)


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int = AT_ONCE) -> None:
    """Do something for all items, some at once, begun in order. The first error ends it."""
    waiting = iter(items)

    async def go_on() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(go_on())


async def until(what: str, done: Callable[[], Awaitable[bool]], *, within_s: float = 30, every_s: float = 0.1) -> float:
    """Wait until something is done; how many seconds it took. Raises UnexpectedAnswer when it takes too long."""
    started = time.monotonic()
    while not await done():
        if time.monotonic() - started > within_s:
            raise UnexpectedAnswer(f"{what}: not within {within_s:g} s")
        await asyncio.sleep(every_s)
    return time.monotonic() - started
