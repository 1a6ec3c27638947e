"""Posting events to partners' addresses: signed, bounded in time, never redirected, never into our own network."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

import httpcore
import httpx

from services.notification.rules.addresses import AddressPolicy, Url, parse
from services.notification.rules.delivery import Outcome, Result
from services.notification.rules.signature import CONTENT_TYPE, sign

log = logging.getLogger(__name__)

_ANSWER_BYTES: Final = 4096
"""As much of an answer's body is read, so that its connection can be used again; nobody looks at it."""

_NETWORK_ERRORS = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ConnectionNotAvailable,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Post:
    """One delivery. The message's id lets the receiver recognise one that comes twice."""

    message_id: str
    url: str
    secret: str
    body: bytes
    traceparent: str | None


class AddressForbidden(Exception):
    """An address that nothing is sent to, or a name that resolves to one."""


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects only to what the policy allows, and to the very address that was checked: a name that changes its
    mind between check and connection (DNS rebinding) gains nothing."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy, self._network = policy, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to a name's first address that answers. Raises AddressForbidden if any is not allowed."""
        addresses = await self._resolve(host, port)
        failed: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise httpcore.ConnectError("no address answers") from failed

    async def _resolve(self, host: str, port: int) -> list[str]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not all(self._policy.allows(ip_address(address)) for address in addresses):
            raise AddressForbidden(host)
        return addresses

    async def sleep(self, seconds: float) -> None:
        """As the network below."""
        await self._network.sleep(seconds)


class Partners:
    """Posts to partners: some messages of one partner at once, each within its time."""

    def __init__(self, policy: AddressPolicy, *, timeout_s: float, concurrency: int) -> None:
        self._network, self._timeout_s, self._concurrency = GuardedNetwork(policy), timeout_s, concurrency
        self._tls = httpx.create_ssl_context()

    async def deliver(self, posts: Sequence[Post]) -> list[Result | None]:
        """Deliver messages of one partner. None for those not begun, because its address had stopped answering."""
        results: list[Result | None] = [None] * len(posts)
        waiting = iter(enumerate(posts))
        answers = True
        # A pool of its own, and a small one: httpcore looks at all connections and requests of a pool for each of
        # them (measured: 1.0 ms a post with 4 connections, 4.8 ms with 32).
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._tls, max_connections=self._concurrency, network_backend=self._network
        ) as pool:

            async def work() -> None:
                nonlocal answers
                while answers and (one := next(waiting, None)) is not None:
                    place, post = one
                    result = await self._post(pool, post)
                    results[place], answers = result, answers and result.answered

            await asyncio.gather(*(work() for _ in range(self._concurrency)))
        return results

    async def _post(self, pool: httpcore.AsyncConnectionPool, post: Post) -> Result:
        """Deliver once. Whatever the partner or the network does is a result, never an exception."""
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await _status(pool, post)
        except AddressForbidden:
            return Result(Outcome.FAILED, "address-not-allowed", answered=False)
        except (TimeoutError, httpcore.TimeoutException):
            return Result(Outcome.FAILED, "timeout", answered=False)
        except _NETWORK_ERRORS as error:
            return Result(Outcome.FAILED, f"network-{type(error).__name__}", answered=False)
        except Exception:
            # Whatever one partner brings about must not stop the others' messages of this round.
            log.exception("post failed for an unknown reason", extra={"fields": {"message_id": post.message_id}})
            return Result(Outcome.FAILED, "error")
        return _result(status)


async def _status(pool: httpcore.AsyncConnectionPool, post: Post) -> int:
    url = parse(post.url)
    if url is None:
        raise AddressForbidden("an address from before its form was checked like this")
    target = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
    async with pool.stream("POST", target, headers=_headers(post, url), content=post.body) as answer:
        read = 0
        async for chunk in answer.aiter_stream():
            read += len(chunk)
            if read > _ANSWER_BYTES:
                break
        return answer.status


def _headers(post: Post, url: Url) -> list[tuple[str, str]]:
    # The moment is the machine's, also where a training clock is shifted: the receiver compares it with its own.
    headers = [
        ("Host", url.authority),
        ("Content-Type", CONTENT_TYPE),
        ("Content-Length", str(len(post.body))),
        ("User-Agent", "sifang-notification"),
        ("Sifang-Delivery", post.message_id),
        ("Sifang-Signature", sign(post.secret, int(time.time()), post.body)),
    ]
    return [*headers, ("traceparent", post.traceparent)] if post.traceparent else headers


def _result(status: int) -> Result:
    """2xx is a delivery; 410 Gone ends the subscription; a redirect is a failure, because it is never followed."""
    if 200 <= status < 300:
        return Result(Outcome.DELIVERED, f"http-{status}")
    return Result(Outcome.REFUSED if status == 410 else Outcome.FAILED, f"http-{status}")
