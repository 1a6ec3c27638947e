"""The real way of a bill, through the services' interfaces only: people enrolled, facilities contracted, bills settled
at claims and booked in settlement, as events carry them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx

from tests.conftest import MakeClient, MakeToken
from tests.services.claims.seeds import HUAIYANG, Json, fresh, key, one_call
from tests.services.enrollment import people

R = TypeVar("R")


async def eventually(ask: Callable[[], Awaitable[R | None]], *, within_s: float = 20, every_s: float = 0.1) -> R:
    """The first answer that is not None. Raises AssertionError when none came in time."""
    until = time.monotonic() + within_s
    while True:
        answer = await ask()
        if answer is not None:
            return answer
        assert time.monotonic() < until, f"did not come about within {within_s} s: {ask}"
        await asyncio.sleep(every_s)


def days_ago(days: int) -> str:
    """A day of the past."""
    return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()


def done(answer: httpx.Response) -> Json:
    """What a call that succeeded was answered."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    body: Json = answer.json()
    return body


@dataclass(frozen=True)
class Person:
    """Somebody enrolled, with what nobody but enrollment may show."""

    person_id: str
    identity_number: str
    name: str
    phone: str


class Flow:
    """Plays the callers of all services."""

    def __init__(self, client: MakeClient, token: MakeToken) -> None:
        self._client, self._token = client, token

    def acting(self, service: str, role: str, party: str, subject: str | None = None) -> httpx.AsyncClient:
        """A client that speaks for somebody."""
        return self._client(service, self._token(role, party, subject))

    async def facility(self, region: str = HUAIYANG, level: str = "2") -> str:
        """A facility registered by one officer, contracted by two people."""
        officer = self.acting("designation", "officer", region, "drafting")
        reviewer = self.acting("designation", "reviewer", region, "signing")
        code = fresh("H")
        new = {"code": code, "name": "淮阳区第二人民医院", "kind": "hospital", "level": level, "region": region}
        done(await officer.post("/v1/facilities", json=new))
        term = {"facility_code": code, "valid_from": days_ago(100), "valid_to": days_ago(-100)}
        drafted = done(await officer.post("/v1/agreements", json=term))
        done(await reviewer.post(f"/v1/agreements/{drafted['agreement_id']}/signature"))
        return code

    async def person(self, region: str = HUAIYANG, insutype: str = "390") -> Person:
        """A person enrolled by an officer of the home agency."""
        insurance = people.insurance(
            region=region, insutype=insutype, psn_type="15" if insutype == "390" else "11", valid_from=days_ago(100)
        )
        body = people.person(insurance=insurance)
        enrolled = done(await self.acting("enrollment", "officer", region).post("/v1/persons", json=body))
        return Person(enrolled["person_id"], body["identity_number"], body["name"], body["phone"])

    async def known(self, facility: str, person: Person) -> None:
        """Wait until claims has heard of both."""
        window = self.acting("claims", "facility", facility)

        async def quoted() -> bool | None:
            answer = await window.post("/v1/quotes", json=one_call(person.person_id))
            return True if answer.status_code == 200 else None

        await eventually(quoted)

    async def settled(self, facility: str, body: Json, *, traceparent: str | None = None) -> Json:
        """A bill settled in one call."""
        headers = key() | ({"traceparent": traceparent} if traceparent else {})
        return done(
            await self.acting("claims", "facility", facility).post("/v1/settlements", json=body, headers=headers)
        )

    async def booked(self, facility: str, settlement_id: str) -> Json:
        """The bill as it stands in settlement's books; waits until it does."""
        books = self.acting("settlement", "facility", facility)

        async def found() -> Json | None:
            answer = await books.get(f"/v1/bills/{settlement_id}")
            return done(answer) if answer.status_code != 404 else None

        return await eventually(found)

    async def proof(self) -> dict[str, Any]:
        """Settlement's own proof that its books balance."""
        return done(await self.acting("settlement", "operator", "operations").get("/v1/proof"))
