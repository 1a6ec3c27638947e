"""Closing the month that was matched: the books stand, all confirm, cycles are cut, every position is ordered and paid.

Everything over HTTP, by the people who do it; what is between two calls is waiting for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import httpx

from shared.events import new_id
from shared.keys import TokenMaker

Json = dict[str, Any]

EVERYWHERE = "100000"
"""The agency that sees all others."""


@dataclass(frozen=True)
class Case:
    """One of the month's cases: who confirms it, and who cuts its cycle."""

    case_id: str
    clearing: str
    parties: Sequence[str]


@dataclass(frozen=True)
class Closing:
    """Somebody of every party, at the running service."""

    client: httpx.AsyncClient
    tokens: TokenMaker
    facility: str
    period: str
    care: str
    statement_id: str

    async def close(self, cases: Sequence[Case]) -> dict[str, float]:
        """Seconds of each part, and of all. Raises RuntimeError when anything is refused or left over."""
        started = perf_counter()
        await self._let_the_books_stand()
        stands = perf_counter()
        await self._confirm(cases)
        confirmed = perf_counter()
        cycles = [
            (await self._do(region, "one", "/v1/clearing-cycles"))["cycle_id"]
            for region in sorted({case.clearing for case in cases})
        ]
        cut = perf_counter()
        for cycle_id in cycles:
            await self._pay(cycle_id)
        paid = perf_counter()
        await self._check()
        return {
            "freeze_s": round(stands - started, 2),
            "confirm_s": round(confirmed - stands, 2),
            "net_s": round(cut - confirmed, 2),
            "orders_s": round(paid - cut, 2),
            "close_s": round(paid - started, 2),
        }

    async def _let_the_books_stand(self) -> None:
        path = f"/v1/statements/{self.statement_id}/resolution"
        await self._do(self.care, "one", path, {"reason": "以账面为准"}, role="officer")
        await self._do(self.care, "two", f"{path}/approval", role="officer")

    async def _confirm(self, cases: Sequence[Case]) -> None:
        hashes = await self._hashes()
        for party in sorted({party for case in cases for party in case.parties}):
            own = [case.case_id for case in cases if party in case.parties]
            items = [{"case_id": case_id, "numbers_hash": hashes[case_id]} for case_id in own]
            answer = await self._do(party, "one", "/v1/confirmations", {"items": items})
            _all_done(answer)

    async def _hashes(self) -> dict[str, str]:
        page = await self._look(self.facility, "/v1/cases", period=self.period, limit=200)
        return {case["case_id"]: case["numbers_hash"] for case in page["items"]}

    async def _pay(self, cycle_id: str) -> None:
        """Order, review and approve the positions of a cycle, those first that wait for nobody."""
        while open_now := await self._open(cycle_id):
            ready = [position for position in open_now if not position["waits_for"]]
            if not ready:
                raise RuntimeError(f"positions that nobody can pay: {open_now[:3]}")
            for payer in sorted({position["payer"] for position in ready}):
                await self._order(payer, [p["position_id"] for p in ready if p["payer"] == payer])

    async def _open(self, cycle_id: str) -> list[Json]:
        page = await self._look(EVERYWHERE, f"/v1/clearing-cycles/{cycle_id}/positions", limit=200, state="open")
        items: list[Json] = page["items"]
        return items

    async def _order(self, payer: str, position_ids: Sequence[str]) -> None:
        body = {"purpose": "position", "references": position_ids}
        ordered = await self._do(payer, "one", "/v1/orders", body)
        _all_done(ordered)
        orders = {"order_ids": [item["order_id"] for item in ordered["items"]]}
        await self._do(payer, "two", "/v1/order-reviews", orders)  # those below the limit need none
        _all_done(await self._do(payer, "three", "/v1/order-approvals", orders))

    async def _check(self) -> None:
        page = await self._look(self.facility, "/v1/cases", period=self.period, limit=200)
        states = {case["state"] for case in page["items"]}
        if states != {"closed"}:
            raise RuntimeError(f"not everything is closed: {states}")

    async def _do(self, party: str, person: str, path: str, body: Json | None = None, role: str | None = None) -> Json:
        headers = self._headers(party, person, role) | {"Idempotency-Key": new_id()}
        return _answered(await self.client.post(path, json=body, headers=headers))

    async def _look(self, party: str, path: str, **query: str | int) -> Json:
        return _answered(await self.client.get(path, params=query, headers=self._headers(party, "one", None)))

    def _headers(self, party: str, person: str, role: str | None) -> dict[str, str]:
        role = role or ("facility" if party == self.facility else "finance")
        return {"Authorization": f"Bearer {self.tokens.make(role=role, party=party, subject=f'{person}@{party}')}"}


def _answered(answer: httpx.Response) -> Json:
    if not answer.is_success:
        raise RuntimeError(f"{answer.request.url}: {answer.status_code} {answer.text[:500]}")
    body: Json = answer.json()
    return body


def _all_done(answer: Json) -> None:
    if wrong := [item for item in answer["items"] if item.get("errors")]:
        raise RuntimeError(f"refused: {wrong[:3]}")
