"""Group commit: concurrent commands gathered into one transaction, so that fifty discharges cost three statements.

While one batch is being written, the next one gathers: a lonely command waits for nobody, and under load the batches
grow by themselves. Two commands with one key (one person, one Idempotency-Key) never share a batch: the second must
see what the first did. A command that refuses fails alone; a batch that fails as a whole is tried one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.refusals import Refused, Unavailable
from shared.telemetry import histogram

C = TypeVar("C")
R = TypeVar("R")

Work = Callable[[Sequence[C]], Awaitable[Sequence[R | Exception]]]
"""Does all commands in one transaction; one result or exception each, in order. Raising fails the whole batch."""

Keys = Callable[[C], frozenset[str]]
"""What a command must not share a batch about."""


@dataclass(slots=True)
class _Waiting(Generic[C, R]):
    command: C
    keys: frozenset[str]
    result: asyncio.Future[R]


class Batcher(Generic[C, R]):
    """Gathers commands for `work`; at most `batch_max` a batch and `queue_max` waiting."""

    def __init__(
        self,
        name: str,
        work: Work[C, R],
        keys: Keys[C],
        *,
        batch_max: int = 64,
        queue_max: int = 5_000,
        workers: int = 1,
    ) -> None:
        self._name, self._work, self._keys = name, work, keys
        self._batch_max, self._queue_max = batch_max, queue_max
        self._queue: deque[_Waiting[C, R]] = deque()
        self._busy: set[str] = set()
        self._idle_workers, self._running = workers, set[asyncio.Task[None]]()
        self._sizes = histogram("sifang.batch.size", boundaries=(1, 2, 4, 8, 16, 32, 64, 128))

    async def submit(self, command: C) -> R:
        """The command's result. Raises what the command refuses; Unavailable when too many wait."""
        if len(self._queue) >= self._queue_max:
            raise Unavailable(self._name, "too many waiting")
        waiting: _Waiting[C, R] = _Waiting(command, self._keys(command), asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._start_workers()
        return await waiting.result

    def _start_workers(self) -> None:
        if self._idle_workers and self._queue:
            self._idle_workers -= 1
            task = asyncio.create_task(self._drain())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _drain(self) -> None:
        try:
            await asyncio.sleep(0)  # requests that arrived in the same turn of the loop join the first batch
            while batch := self._next_batch():
                await self._run(batch)
        finally:
            self._idle_workers += 1

    def _next_batch(self) -> list[_Waiting[C, R]]:
        batch: list[_Waiting[C, R]] = []
        left: list[_Waiting[C, R]] = []
        while self._queue and len(batch) < self._batch_max:
            waiting = self._queue.popleft()
            if waiting.result.cancelled():
                continue
            if waiting.keys.isdisjoint(self._busy):
                batch.append(waiting)
                self._busy |= waiting.keys
            else:
                left.append(waiting)
        self._queue.extendleft(reversed(left))
        return batch

    async def _run(self, batch: list[_Waiting[C, R]]) -> None:
        self._sizes.record(len(batch), {"batch": self._name})
        try:
            results = await self._attempt(batch)
            for waiting, result in zip(batch, results, strict=True):
                _settle(waiting.result, result)
        finally:
            for waiting in batch:
                self._busy -= waiting.keys
            self._start_workers()  # what had to wait for one of these keys may go now

    async def _attempt(self, batch: list[_Waiting[C, R]]) -> Sequence[R | Exception]:
        try:
            results = await self._work([w.command for w in batch])
            if len(results) == len(batch):
                return results
            raise RuntimeError(f"{self._name}: {len(results)} results for {len(batch)} commands")
        except (Unavailable, Refused) as expected:
            if len(batch) == 1 or isinstance(expected, Unavailable):
                return [expected] * len(batch)
        except Exception as unknown:  # noqa: BLE001 - goes to the caller whose command caused it
            if len(batch) == 1:
                return [unknown]
        return [(await self._attempt([waiting]))[0] for waiting in batch]

    async def close(self) -> None:
        """Wait until everything submitted has its result."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)


def _settle(future: asyncio.Future[R], result: R | Exception) -> None:
    if future.done():  # the caller is gone; the work is done all the same, and can be asked for by its key
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


async def ahead(items: AsyncIterator[C]) -> AsyncGenerator[C, None]:
    """The items, each of which is worked on while the one before it is used."""

    async def following() -> C | None:
        return await anext(items, None)

    coming = asyncio.create_task(following())
    try:
        while (item := await coming) is not None:
            coming = asyncio.create_task(following())
            yield item
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
