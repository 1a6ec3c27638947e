"""A network that can be refused: a TCP proxy on loopback, in a thread of its own so that no busy test delays it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from deploy.local.ports import HOST, free_port


class Proxy:
    """Listens on a port of its own and passes everything on to another, unless the network is refused or silent."""

    def __init__(self, target_port: int, *, kafka: bool = False) -> None:
        """A broker tells clients where it is: with `kafka` these answers are changed, so that they still come here."""
        self.port = free_port()
        self._target_port = target_port
        self._kafka = kafka
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self.allow()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def allow(self) -> None:
        """Let everything pass, now and later."""
        self._do(self._allow())

    def refuse(self) -> None:
        """Cut every connection and accept no more: whoever tries is told at once."""
        self._do(self._refuse())

    def silence(self) -> None:
        """Keep every connection and accept new ones, but pass nothing on: whoever tries hears nothing."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _allow(self) -> None:
        self._open.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            await self._connect(reader, writer)
        writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
        back = self._pass_answers if self._kafka else self._pass
        ways = [asyncio.create_task(self._pass(reader, far_writer)), asyncio.create_task(back(far_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far_writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()

    async def _pass_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Whole answers of the broker (a length, then so many bytes), with its port in them replaced by ours."""
        host = HOST.encode()
        theirs, ours = (host + port.to_bytes(4, "big") for port in (self._target_port, self.port))
        while True:
            length = await reader.readexactly(4)
            answer = await reader.readexactly(int.from_bytes(length, "big"))
            await self._open.wait()
            writer.write(length + answer.replace(theirs, ours))
            await writer.drain()
