"""A small HTTP load generator: prepared requests over keep-alive connections, so that the client costs little of the
two cores it shares with what it measures. Loopback only, bounded by the requests it is given.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast


@dataclass(slots=True)
class Outcome:
    """What a load saw: latencies in seconds by finished request, and answers by status."""

    latencies_s: list[float] = field(default_factory=list)
    finished_at: list[float] = field(default_factory=list)
    """When each answer was there, by `perf_counter`."""
    statuses: dict[int, int] = field(default_factory=dict)
    elapsed_s: float = 0.0
    unexpected: bytes = b""

    @property
    def per_s(self) -> float:
        """Requests finished a second."""
        return len(self.latencies_s) / self.elapsed_s if self.elapsed_s else 0.0

    def percentile_ms(self, share: float) -> float:
        """The latency below which `share` of the requests stayed, in milliseconds."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else float("nan")


class _Connection(asyncio.Protocol):
    """One keep-alive connection: a request at a time; understands answers with a Content-Length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(b"content-length: ")
        length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length or self._waiting is None:
            return
        status, body = int(head[9:12]), bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        waiting, self._waiting = self._waiting, None
        if not waiting.done():
            waiting.set_result((status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("server closed the connection"))

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("not connected")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def http_request(path: str, body: bytes, *, token: str, key: str, port: int, traceparent: str | None = None) -> bytes:
    """A POST as bytes."""
    trace = f"traceparent: {traceparent}\r\n" if traceparent else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\n{trace}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def run(
    host: str,
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    per_s: float | None = None,
    expected: int = 201,
) -> Outcome:
    """Send all requests; as fast as they are answered, or at an even pace `per_s` whose latency counts from when each
    request was due (so that a stall is seen, not skipped).
    """
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError("load goes to loopback only")
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(_Connection, host, port))[1] for _ in range(connections)]
    outcome, queue = Outcome(), iter(enumerate(requests))
    started = perf_counter()

    async def work(connection: _Connection) -> None:
        for number, request in queue:
            due = started + number / per_s if per_s else perf_counter()
            if per_s and (wait := due - perf_counter()) > 0:
                await asyncio.sleep(wait)
            status, body = await connection.ask(request)
            outcome.finished_at.append(perf_counter())
            outcome.latencies_s.append(outcome.finished_at[-1] - due)
            outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
            if status != expected and not outcome.unexpected:
                outcome.unexpected = body

    try:
        await asyncio.gather(*(work(connection) for connection in opened))
    finally:
        outcome.elapsed_s = perf_counter() - started
        for connection in opened:
            connection.close()
    return outcome
