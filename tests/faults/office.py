"""Months brought from the bills to the last payment while settlement is killed: everybody insists on an answer.

One of the chains is paid hop by hop, one goes through cycles of the city; the city and the county of home pay by bank.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import httpx

from shared.database import Database
from shared.events import Envelope, Event, new_id
from shared.events.claims import DischargeSettled, SettlementReversed
from shared.keys import TokenMaker
from shared.outbox import announce
from shared.settings import Settings
from tests.services.settlement.world import (
    HENAN,
    HUAIYANG,
    WANCHENG,
    XIANGCHENG,
    ZHOUKOU,
    Hospital,
    lines_of,
    totals_of,
)

PATIENCE_S = 120
"""How long anybody repeats a call, or waits for what goes on by itself."""
HOMES = (HUAIYANG, XIANGCHENG, WANCHENG)
"""The county itself, another one of the city, one of another city: chains of one, three and more agencies."""

Bill = DischargeSettled | SettlementReversed
Json = dict[str, Any]


@dataclass
class Office:
    """Everybody who works on the months, at whichever process of settlement answers."""

    settings: Settings
    client: httpx.AsyncClient
    urls: Callable[[], Sequence[str]]
    dice: random.Random
    answers: Counter[str] = field(default_factory=Counter)
    """Every answer by status, and every call that got none by its error."""
    doing: Counter[str] = field(default_factory=Counter)
    """Calls that wait for an answer, by the last word of their path."""

    def __post_init__(self) -> None:
        self._tokens = TokenMaker(self.settings)

    async def call(self, method: str, path: str, party: str, subject: str = "one", **request: Any) -> httpx.Response:
        """The answer of a call repeated, with the same key, until there is one: only 503 asks to come back."""
        role = request.pop("role", None) or role_of(party)
        token = self._tokens.make(role=role, party=party, subject=f"{subject}@{party}")
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": new_id(), **request.pop("headers", {})}
        until = time.monotonic() + PATIENCE_S
        what = "files" if "/files/" in path else path.rpartition("/")[2]
        while time.monotonic() < until:
            self.doing[what] += 1
            try:
                url = self.dice.choice(self.urls()) + path
                answer = await self.client.request(method, url, headers=headers, **request)
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
            else:
                self.answers[str(answer.status_code)] += 1
                if answer.status_code != 503:
                    return answer
            finally:
                self.doing[what] -= 1
            await asyncio.sleep(0.05)
        raise AssertionError(f"no answer for {PATIENCE_S} s: {method} {path} {self.answers}")

    async def done(self, method: str, path: str, party: str, subject: str = "one", **request: Any) -> Json:
        """The same, where only success is right."""
        answer = await self.call(method, path, party, subject, **request)
        assert answer.is_success, f"{method} {path} of {party}: {answer.status_code} {answer.text}"
        body: Json = answer.json()
        return body

    async def open_accounts(self) -> None:
        """Those who pay by bank, and whom they pay, have an account each, by the word of two."""
        for number, party in enumerate((ZHOUKOU, XIANGCHENG, HUAIYANG, HENAN)):
            body = {
                "holder": f"{party} 户",
                "account_no": f"4100000000{number}",
                "bank_code": "102508000017",
                "opening_on": "2026-01-01",
                "opening_fen": 0,
            }
            made = await self.done("POST", f"/v1/bank-accounts/{party}/versions", party, json=body)
            seen = {"version_no": made["version_no"]}
            await self.done("POST", f"/v1/bank-accounts/{party}/approval", party, "two", json=seen)

    async def order(self, payer: str, position_id: str) -> None:
        """Two people order a position; others may be at it too."""
        body = {"purpose": "position", "references": [position_id]}
        (item,) = (await self.done("POST", "/v1/orders", payer, json=body))["items"]
        if item["order_id"] is not None:
            await self.approve(payer, item["order_id"])

    async def approve(self, payer: str, order_id: str) -> None:
        """Another person of the payer approves an order."""
        await self.done("POST", "/v1/order-approvals", payer, "two", json={"order_ids": [order_id]})

    async def order_again(self) -> None:
        """What the bank rejected is ordered again, by whoever comes first."""
        for payer in (ZHOUKOU, XIANGCHENG):
            page = await self.done("GET", "/v1/orders", payer, params={"state": "rejected", "limit": 200})
            for order in page["items"]:
                if order["payer"] == payer and order["repeated_by"] is None:
                    answer = await self.call("POST", f"/v1/orders/{order['order_id']}/repeat", payer)
                    if answer.is_success:
                        await self.approve(payer, answer.json()["order_id"])

    async def tell(self, service: str, *events: Event) -> None:
        """Let a service announce events, by its outbox."""
        database = Database(self.settings, service)
        await database.open()
        try:
            async with database.transaction() as tx:
                await announce(tx, [Envelope(event, datetime.now(UTC)) for event in events])
        finally:
            await database.close()


def role_of(party: str) -> str:
    """In which role a party mostly acts."""
    return "facility" if party.startswith("H") else "operator" if party == "operations" else "finance"


@dataclass
class OfficeMonth:
    """One hospital's month."""

    office: Office
    hospital: Hospital = field(default_factory=Hospital)
    bills: list[Bill] = field(default_factory=list)

    async def close(self) -> None:
        """From the first bill to the last payment; whatever is answered must be so."""
        await self._treat(self.office.dice.randint(8, 20))
        statement = await self._state_wrongly()
        await self._match(statement)
        if self.office.dice.random() < 0.5:
            await self._reverse()
        await asyncio.gather(self._state(), self._state_chain())
        await self._confirm()
        await self._pay()

    async def _treat(self, count: int) -> None:
        dice = self.office.dice
        await self.office.tell("designation", self.hospital.changed())
        self.bills = [
            self.hospital.bill(
                dice.choice(HOMES), fund_fen=dice.randint(1, 900_000), account_fen=dice.randint(0, 9_000)
            )
            for _ in range(count)
        ]
        await self.office.tell("claims", *self.bills)
        await self._booked()

    async def _booked(self) -> None:
        """Until every bill is in the books."""

        async def booked() -> bool:
            count = "SELECT count(*) FROM settlement.bill WHERE facility_code = $1"
            return bool(await self._value(count, self.hospital.code) == len(self.bills))

        await self._until(booked, "bills are booked")

    async def _value(self, query: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(self.office.settings.database_url)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def _until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not await holds():
            assert time.monotonic() < until, f"not after {PATIENCE_S} s: {what}"
            await asyncio.sleep(0.1)

    async def _state_wrongly(self) -> Json:
        """A statement that claims a fen too much for one bill, with its lines as a file."""
        wrong = self.bills[0].model_copy(
            update={"fund_fen": self.bills[0].fund_fen + 1, "total_fen": self.bills[0].total_fen + 1}
        )
        stated = [wrong, *self.bills[1:]]
        statement = await self._submit(stated)
        assert statement["state"] == "details_wanted", statement
        content = _file(stated)
        name = hashlib.sha256(content).hexdigest()
        path = f"/v1/statements/{statement['statement_id']}/files/{name}"
        headers = {"Content-Type": "text/csv"}
        sent = await self.office.done("PUT", path, self.hospital.code, content=content, headers=headers)
        assert sent["state"] == "accepted", sent
        return statement

    async def _submit(self, stated: Sequence[Bill]) -> Json:
        body = {"period": self.hospital.month, "totals": totals_of(stated)}
        return await self.office.done("POST", "/v1/statements", self.hospital.code, json=body)

    async def _match(self, statement: Json) -> None:
        matched = await self.office.done(
            "POST", f"/v1/statements/{statement['statement_id']}/match", self.hospital.code
        )
        found = {c["difference_class"]: c["books"]["bill_count"] for c in matched["classes"]}
        assert found == {"agreed": len(self.bills) - 1, "amount_differs": 1}, found

    async def _reverse(self) -> None:
        self.bills.append(self.hospital.reversal(self.bills[-1]))
        await self.office.tell("claims", self.bills[-1])
        await self._booked()

    async def _state(self) -> None:
        """The corrected statement, which agrees."""
        statement = await self._submit(self.bills)

        async def matched() -> bool:
            path = f"/v1/statements/{statement['statement_id']}"
            return bool((await self.office.done("GET", path, self.hospital.code))["state"] == "matched")

        await self._until(matched, "the corrected statement agrees")

    async def _cases(self) -> list[Json]:
        page = await self.office.done("GET", "/v1/cases", self.hospital.code, params={"period": self.hospital.month})
        cases: list[Json] = page["items"]
        return cases

    async def _confirm(self) -> None:
        """All parties at once, each all its cases in one call."""
        cases = await self._cases()
        parties = {party for case in cases for party in (self.hospital.code, *case["chain"])}
        await asyncio.gather(*(self._confirm_of(party, cases) for party in sorted(parties)))

    async def _confirm_of(self, party: str, cases: Sequence[Json]) -> None:
        named = [
            {"case_id": case["case_id"], "numbers_hash": case["numbers_hash"]}
            for case in cases
            if party in (self.hospital.code, *case["chain"])
        ]
        confirmed = await self.office.done("POST", "/v1/confirmations", party, json={"items": named})
        assert all(item.get("errors") in (None, []) for item in confirmed["items"]), confirmed

    async def _state_chain(self) -> None:
        """The home county has books of its own and states its chain, with a file: other months are in it too."""
        mine = [bill for bill in self.bills if bill.home_region == XIANGCHENG]
        totals = [{k: v for k, v in group.items() if k != "home_region"} for group in totals_of(mine)]
        chain = {"period": self.hospital.month, "care_region": HUAIYANG, "home_region": XIANGCHENG}
        body = {**chain, "totals": totals}
        role = {"role": "officer"}
        answer = await self.office.call("POST", "/v1/agency-statements", XIANGCHENG, json=body, **role)
        if answer.status_code == 201 and mine:
            content = _file(mine)
            path = f"/v1/statements/{answer.json()['statement_id']}/files/{hashlib.sha256(content).hexdigest()}"
            headers = {"Content-Type": "text/csv"}
            # A newer version of another month may be in its place: then it is refused.
            await self.office.call("PUT", path, XIANGCHENG, content=content, headers=headers, **role)

    async def _pay(self) -> None:
        await asyncio.gather(*(self._pay_case(case) for case in await self._cases()))

    async def _pay_case(self, case: Json) -> None:
        case_id = case["case_id"]
        if case["clearing_region"] == ZHOUKOU:
            await self._until(partial(self._cleared, case_id), f"{case_id} is cleared")
            return
        for hop in (await self._case(case_id))["hops"]:
            proposed = await self.office.done("POST", "/v1/payments", hop["payer"], json={"case_id": case_id})
            path = f"/v1/payments/{proposed['payment_id']}/approval"
            await self.office.done("POST", path, hop["payer"], "two")
            await self._until(partial(self._paid, case_id, hop["hop_no"]), f"a hop of {case_id} is paid")
        assert (await self._case(case_id))["state"] == "closed"

    async def _case(self, case_id: str) -> Json:
        return await self.office.done("GET", f"/v1/cases/{case_id}", self.hospital.code)

    async def _paid(self, case_id: str, hop_no: int) -> bool:
        """Whether the bank paid a hop; what it rejected is ordered again."""
        hops = (await self._case(case_id))["hops"]
        if next(hop for hop in hops if hop["hop_no"] == hop_no)["state"] == "paid":
            return True
        await self.office.order_again()
        return False

    async def _cleared(self, case_id: str) -> bool:
        """Whether a case is paid by the cycles of the city; what is not is cut, ordered and ordered again."""
        if (await self._case(case_id))["state"] == "closed":
            return True
        await self.office.call("POST", "/v1/clearing-cycles", ZHOUKOU)  # nothing is left when another's took the case
        shown = await self.office.done("GET", f"/v1/cases/{case_id}/clearing", ZHOUKOU)
        for position in shown["positions"]:
            if position["state"] == "open" and not position["waits_for"]:
                await self.office.order(position["payer"], position["position_id"])
        await self.office.order_again()
        return False

    @property
    def owed_fen(self) -> int:
        """What the hospital must have been paid in the end."""
        return sum(bill.fund_fen + bill.account_fen for bill in self.bills)


def _file(bills: Sequence[Bill]) -> bytes:
    lines = lines_of(bills)
    text = io.StringIO()
    text.write(",".join(lines[0]) + "\n")
    for line in lines:
        text.write(",".join(str(int(value) if isinstance(value, bool) else value) for value in line.values()) + "\n")
    return text.getvalue().encode()
