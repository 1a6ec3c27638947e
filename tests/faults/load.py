"""Hospitals at work while things break: bills settled, refused, reversed; each call repeated until it is answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.conftest import TLS
from tests.services.claims.seeds import Json, fee_line, key, one_call, reversal

PATIENCE_S = 45
"""How long a hospital repeats a call before it gives up."""

BETWEEN_CALLS_S = 0.05
"""What a window takes before its next call: eight make about a hundred a second, enough to be hit in the middle."""


@dataclass(frozen=True)
class Acknowledged:
    """A call that was answered 201, with what it was answered."""

    path: str
    body: Json
    headers: dict[str, str]
    answer: bytes
    settlement: Json


@dataclass
class Load:
    """One facility's windows. What was acknowledged, refused, or answered as it never should be is kept."""

    facility: str
    people: Sequence[str]
    token: str
    urls: Callable[[], Sequence[str]]
    """Where claims can be reached now."""
    acknowledged: list[Acknowledged] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """The facility's own numbers of visits that were refused."""
    answers: Counter[str] = field(default_factory=Counter)
    """Every answer by status, and every call that got none by its error."""
    unexpected: list[str] = field(default_factory=list)
    done_unanswered: list[str] = field(default_factory=list)
    """Calls whose connection broke although they were done: their repetition was answered from before."""
    _reversing: set[str] = field(default_factory=set)
    _random: random.Random = field(default_factory=lambda: random.Random(20261122))

    @asynccontextmanager
    async def at_work(self, windows: int = 8) -> AsyncIterator[None]:
        """The windows work while the block runs; calls under way at its end are brought to theirs."""
        closing = asyncio.Event()
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(headers=headers, timeout=20, trust_env=False, verify=TLS) as client:
            working = asyncio.gather(*(self._work(client, closing) for _ in range(windows)))
            try:
                yield
            finally:
                closing.set()
                await working

    async def run(self, seconds: float, windows: int = 2) -> None:
        """Work for a while with nothing broken."""
        async with self.at_work(windows):
            await asyncio.sleep(seconds)

    async def _work(self, client: httpx.AsyncClient, closing: asyncio.Event) -> None:
        while not closing.is_set():
            dice = self._random.random()
            if dice < 0.1:
                await self._be_refused(client)
            elif dice < 0.2 and self.acknowledged:
                await self._reverse(client)
            else:
                await self._settle(client)
            await asyncio.sleep(BETWEEN_CALLS_S)

    async def _settle(self, client: httpx.AsyncClient) -> None:
        lines = [fee_line(str(n), price=f"{self._random.randint(1, 40_000) / 100:.2f}") for n in range(3)]
        body = one_call(self._random.choice(self.people), *lines)
        await self._insist(client, "/v1/settlements", body, key())

    async def _be_refused(self, client: httpx.AsyncClient) -> None:
        body = one_call(self._random.choice(self.people), total_fen=1)
        answer = await self.answered(client, "/v1/settlements", body, key())
        if answer.status_code == 422:
            self.refused.append(body["facility_visit_no"])
        else:
            self.unexpected.append(f"a wrong sum was answered {answer.status_code} {answer.text}")

    async def _reverse(self, client: httpx.AsyncClient) -> None:
        chosen = self._random.choice([call for call in self.acknowledged if call.path == "/v1/settlements"])
        path = f"/v1/settlements/{chosen.settlement['settlement_id']}/reversal"
        if path not in self._reversing:  # somebody else's window was faster
            self._reversing.add(path)
            await self._insist(client, path, reversal(), key())

    async def _insist(self, client: httpx.AsyncClient, path: str, body: Json, headers: dict[str, str]) -> None:
        answer = await self.answered(client, path, body, headers)
        if answer.status_code == 201:
            self.acknowledged.append(Acknowledged(path, body, headers, answer.content, answer.json()))
        else:
            self.unexpected.append(f"{path} was answered {answer.status_code} {answer.text}")

    async def answered(
        self, client: httpx.AsyncClient, path: str, body: Json, headers: dict[str, str]
    ) -> httpx.Response:
        """The answer of a call repeated with the same key until there is one: only 503 asks to come back."""
        until, broken = time.monotonic() + PATIENCE_S, False
        while time.monotonic() < until:
            try:
                answer = await client.post(self._random.choice(self.urls()) + path, json=body, headers=headers)
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
                broken = broken or not isinstance(error, httpx.ConnectError)
            else:
                self.answers[str(answer.status_code)] += 1
                if broken and "Idempotency-Replayed" in answer.headers:
                    self.done_unanswered.append(path)
                if answer.status_code != 503:
                    return answer
            await asyncio.sleep(0.1)
        raise AssertionError(f"no answer for {PATIENCE_S} s: {path} {self.answers}")

    async def ask_again(self, count: int = 60) -> None:
        """Send acknowledged calls once more: each gets the very answer it got before."""
        async with httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self.token}"}, timeout=20, trust_env=False, verify=TLS
        ) as client:
            for call in self._random.sample(self.acknowledged, min(count, len(self.acknowledged))):
                again = await self.answered(client, call.path, call.body, call.headers)
                assert (again.status_code, again.content) == (201, call.answer)
                assert again.headers["Idempotency-Replayed"] == "true"
