"""Reversals and late bills: the counters stay exact, and what later bills should have been becomes a work item."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.claims.api import ClaimsService
from services.claims.app import make
from services.claims.use_cases import rechecking
from services.claims.use_cases.parts import Claims
from shared.service import base_of
from shared.settings import Settings
from tests.conftest import MakeClient, MakeToken
from tests.flow import done, eventually
from tests.services.claims.fixtures import MakeHis
from tests.services.claims.seeds import (
    HUAIYANG,
    ZHOUKOU,
    Json,
    Owner,
    discharge,
    fee_line,
    hours_ago,
    key,
    one_call,
    reversal,
)
from tests.services.claims.test_stays import admitted, charged, codes

NEWEST = 20 if datetime.now(UTC).timetuple().tm_yday < 40 else 1
"""Days since the newest bills; all of a test lie in one year, whatever day it is."""

Item = tuple[str, int, int]
"""A work item: its settlement, what was paid, what should have been."""


@dataclass(frozen=True)
class Ward:
    """A clinic of level 1 with an employee: 200 yuan deductible a year, 60 %, 4000 yuan at most."""

    clinic: httpx.AsyncClient
    person_id: str
    owner: Owner

    async def settle(self, days: int, yuan_: str = "300.00", **other: Any) -> Json:
        """A bill of a day, so many days before the newest."""
        hours = 24 * (days + NEWEST)
        line = fee_line(quantity="1", price=yuan_, hours=hours + 2)
        body = one_call(self.person_id, line, began_at=hours_ago(hours + 3), ended_at=hours_ago(hours + 1), **other)
        return done(await self.clinic.post("/v1/settlements", json=body, headers=key()))

    async def reverse(self, settled: Json) -> Json:
        path = f"/v1/settlements/{settled['settlement_id']}/reversal"
        return done(await self.clinic.post(path, json=reversal(), headers=key()))

    async def used(self) -> Mapping[str, int]:
        return await self.owner.used(self.person_id)

    async def rows(self) -> list[tuple[Any, ...]]:
        """Every settlement as it stands."""
        query = "SELECT * FROM claims.settlement WHERE person_id = $1 ORDER BY settlement_id"
        return [tuple(row) for row in await self.owner.connection.fetch(query, self.person_id)]

    async def items(self, state: str = "open") -> set[Item]:
        query = """SELECT settlement_id, fund_fen, expected_fund_fen FROM claims.resettlement
            WHERE person_id = $1 AND state = $2"""
        rows = await self.owner.connection.fetch(query, self.person_id, state)
        assert len(rows) == len({row["settlement_id"] for row in rows}) or state == "closed"
        return {(row["settlement_id"], row["fund_fen"], row["expected_fund_fen"]) for row in rows}

    async def rechecked(self) -> set[Item]:
        """The open items once the running service has looked at the person."""

        async def done_() -> bool | None:
            return await self.owner.count("recheck", "person_id", self.person_id) == 0 or None

        await eventually(done_, within_s=30)
        return await self.items()


@pytest.fixture
async def ward(his: MakeHis, owner: Owner) -> Ward:
    return Ward(his(await owner.facility(level="1")), await owner.person(insutype="310", psn_type="11"), owner)


def item(settled: Json, expected_fen: int) -> Item:
    return settled["settlement_id"], settled["fund_fen"], expected_fen


# Counters


async def test_a_reversal_gives_back_exactly_what_the_bill_took(his: MakeHis, owner: Owner) -> None:
    """Residents, whose counters are many: stays with serious illness, visits up to the limit, reversed in any order."""
    hospital = his(await owner.facility())
    ward = Ward(hospital, await owner.person(), owner)
    settlements: list[Json] = []
    for n, price in enumerate(("150000.00", "400.00", "90000.00")):
        began, ended = hours_ago(24 * (NEWEST + 9 - 2 * n)), hours_ago(24 * (NEWEST + 8 - 2 * n))
        stay = await admitted(hospital, ward.person_id, began_at=began)
        line = fee_line(quantity="1", price=price, hours=24 * (NEWEST + 9 - 2 * n) - 1)
        assert (await charged(hospital, stay, line)).is_success
        ending = discharge(price, ended_at=ended)
        answer = await hospital.post(f"/v1/visits/{stay}/settlement", json=ending, headers=key())
        settlements.append(done(answer))
        settlements.append(await ward.settle(8 - 2 * n, "700.00"))
    assert set(await ward.used()) == {
        "admissions",
        "residents-inpatient-fund",
        "residents-outpatient-deductible",
        "residents-outpatient-fund",
        "serious-deductible",
        "serious-fund",
        "serious-sum",
    }
    changes = {
        s["settlement_id"]: await owner.connection.fetchval(
            "SELECT changes FROM claims.working WHERE settlement_id = $1", s["settlement_id"]
        )
        for s in settlements
    }
    left = dict(await ward.used())
    for settled in random.Random(4).sample(settlements, len(settlements)):
        await ward.reverse(settled)
        for name, taken in _loaded(changes[settled["settlement_id"]]).items():
            left[name] -= taken
        assert await ward.used() == {name: value for name, value in left.items() if value}
    assert await ward.used() == {}


def _loaded(changes: str) -> dict[str, int]:
    """The changes of a working by counter, without their period."""
    return {name.partition("@")[0]: value for name, value in json.loads(changes).items()}


# What later bills should have been


async def test_after_a_reversal_the_bills_that_would_differ_are_listed(ward: Ward) -> None:
    """The first took the deductible of the year: without it the second would have, the third pays the same."""
    first, second, third = [await ward.settle(days) for days in (9, 7, 5)]
    assert [one["fund_fen"] for one in (first, second, third)] == [6_000, 18_000, 18_000]
    before = await ward.rows()
    taken_back = await ward.reverse(first)
    assert await ward.rechecked() == {item(second, 6_000)}
    assert [row for row in await ward.rows() if row[0] != taken_back["settlement_id"]] == before
    assert (await ward.used())["employees-outpatient-fund"] == 36_000, "counters are what was really settled"


async def test_a_late_bill_is_listed_with_those_it_came_before(ward: Ward) -> None:
    """It was settled after the deductible of the year was used up; in its place it would have used it."""
    second, third = await ward.settle(7), await ward.settle(5)
    assert await ward.owner.count("recheck", "person_id", ward.person_id) == 0
    before = await ward.rows()
    late = await ward.settle(9)
    assert [one["fund_fen"] for one in (late, second, third)] == [18_000, 6_000, 18_000]
    assert await ward.rechecked() == {item(late, 6_000), item(second, 18_000)}
    assert [row for row in await ward.rows() if row[0] != late["settlement_id"]] == before


async def test_the_limit_of_the_year_moves_to_the_bills_before_it(ward: Ward) -> None:
    """4000 of the year: 3180, then 820 of 1500, then nothing, so nothing for a late bill either."""
    bills = [await ward.settle(days, yuan_) for days, yuan_ in ((8, "5500.00"), (6, "2500.00"), (4, "100.00"))]
    assert [one["fund_fen"] for one in bills] == [318_000, 82_000, 0]
    late = await ward.settle(9, "1000.00")
    assert late["fund_fen"] == 0
    # (1000 - 200) x 60 % = 480; then 5500 x 60 % = 3300; 220 are left of the 4000.
    assert await ward.rechecked() == {item(late, 48_000), item(bills[0], 330_000), item(bills[1], 22_000)}


async def test_a_second_stay_that_becomes_the_first(his: MakeHis, owner: Owner) -> None:
    """Of the second stay of a year the deductible is 100 yuan less: without the first it would not be."""
    hospital, person = his(await owner.facility(level="1")), await owner.person(insutype="310", psn_type="11")
    ward = Ward(hospital, person, owner)
    settled = []
    for began in (6, 3):
        stay = await admitted(hospital, person, began_at=hours_ago(24 * (began + NEWEST)))
        line = fee_line(quantity="1", price="1000.00", hours=24 * (began + NEWEST) - 1)
        assert (await charged(hospital, stay, line)).is_success
        ending = discharge("1000.00", ended_at=hours_ago(24 * (began + NEWEST - 1)))
        settled.append(done(await hospital.post(f"/v1/visits/{stay}/settlement", json=ending, headers=key())))
    assert [one["deductible_fen"] for one in settled] == [20_000, 10_000]
    await ward.reverse(settled[0])
    assert await ward.rechecked() == {item(settled[1], 73_600)}  # (1000 - 200) x 92 %


async def test_bills_in_their_order_ask_for_nothing(ward: Ward) -> None:
    for days in (9, 7, 7, 5):
        await ward.settle(days)
    assert await ward.owner.count("recheck", "person_id", ward.person_id) == 0
    assert await ward.items() == set()


async def test_reversing_the_newest_bill_changes_no_other(ward: Ward) -> None:
    _, newest = [await ward.settle(days) for days in (9, 7)]
    await ward.reverse(newest)
    assert await ward.rechecked() == set()


async def test_another_persons_bills_are_not_touched(ward: Ward, owner: Owner) -> None:
    other = Ward(ward.clinic, await owner.person(insutype="310", psn_type="11"), owner)
    first = await ward.settle(9)
    for days in (8, 7):
        await other.settle(days)
    await ward.settle(7)
    await ward.reverse(first)
    assert len(await ward.rechecked()) == 1
    assert await other.items() == set()


# How an item ends


async def test_an_item_closes_by_itself_when_the_bill_is_settled_anew(ward: Ward) -> None:
    first, second, _ = [await ward.settle(days) for days in (9, 7, 5)]
    await ward.reverse(first)
    assert await ward.rechecked() == {item(second, 6_000)}
    await ward.reverse(second)
    anew = await ward.settle(7)
    assert anew["fund_fen"] == 6_000
    assert await ward.rechecked() == set()
    assert await ward.items("closed") == {item(second, 6_000)}


async def test_an_item_closes_by_itself_when_the_cause_is_gone(ward: Ward) -> None:
    second, _ = await ward.settle(7), await ward.settle(5)
    late = await ward.settle(9)
    assert len(await ward.rechecked()) == 2
    await ward.reverse(late)
    assert await ward.rechecked() == set()
    assert await ward.items("closed") == {item(late, 6_000), item(second, 18_000)}


async def test_an_item_follows_what_it_would_come_to(ward: Ward) -> None:
    first, second, third = [await ward.settle(days, "150.00") for days in (9, 7, 5)]
    assert [one["fund_fen"] for one in (first, second, third)] == [0, 6_000, 9_000]
    await ward.reverse(first)
    assert await ward.rechecked() == {item(second, 0), item(third, 6_000)}
    taken_back = await ward.reverse(second)
    assert await ward.rechecked() == {item(third, 0)}
    because = await ward.owner.connection.fetchval(
        "SELECT because FROM claims.resettlement WHERE person_id = $1 AND state = 'open'", ward.person_id
    )
    assert because == taken_back["settlement_id"]


async def test_an_officer_closes_an_item(ward: Ward, client: MakeClient, token: MakeToken) -> None:
    first, second, _ = [await ward.settle(days) for days in (9, 7, 5)]
    taken_back = await ward.reverse(first)
    await ward.rechecked()
    before = await ward.rows()
    officer = client("claims", token("officer", HUAIYANG))
    listed = await the_item(officer, ward)
    assert listed["settlement_id"] == second["settlement_id"]
    assert (listed["fund_fen"], listed["expected_fund_fen"]) == (18_000, 6_000)
    assert (listed["because"], listed["home_region"]) == (taken_back["settlement_id"], HUAIYANG)
    assert (listed["closed_at"], listed["note"]) == (None, None)

    path = f"/v1/resettlements/{listed['item_id']}/closure"
    stranger = await client("claims", token("officer", "341702")).post(path, json={"reason": "不是我的"})
    assert (stranger.status_code, codes(stranger)) == (403, ["auth.not-your-area"])
    neighbour = await client("claims", token("officer", "411302")).post(path, json={"reason": "不是我的"})
    assert (neighbour.status_code, codes(neighbour)) == (403, ["auth.not-your-area"])
    closed = done(await officer.post(path, json={"reason": "差额由基金承担"}))
    assert (closed["state"], closed["note"], closed["closed_at"] is None) == ("closed", "差额由基金承担", False)
    again = await officer.post(path, json={"reason": "又一次"})
    assert (again.status_code, codes(again)) == (409, ["item-closed"])
    nowhere = await officer.post(f"/v1/resettlements/{'0' * 26}/closure", json={"reason": "没有"})
    assert (nowhere.status_code, codes(nowhere)) == (404, ["item-unknown"])
    assert await the_item(officer, ward, state="closed") == closed
    assert await ward.rows() == before

    # The difference it was closed about is not brought up again; another one is.
    newest = await ward.settle(3)
    await ward.reverse(newest)
    assert await ward.rechecked() == set()
    await ward.settle(8, "100.00")
    assert {one[0] for one in await ward.rechecked()} >= {second["settlement_id"]}


async def the_item(officer: httpx.AsyncClient, ward: Ward, state: str = "open") -> Json:
    """The one item of the person, found page by page."""
    found = await listed_items(officer, ward, state)
    assert len(found) == 1
    return found[0]


async def listed_items(officer: httpx.AsyncClient, ward: Ward, state: str = "open") -> list[Json]:
    found: list[Json] = []
    query: dict[str, Any] = {"state": state, "limit": 2}
    while True:
        page = done(await officer.get("/v1/resettlements", params=query))
        found += [one for one in page["items"] if one["person_id"] == ward.person_id]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


async def test_a_person_who_cannot_be_looked_at_holds_nobody_up(his: MakeHis, owner: Owner) -> None:
    clinic = his(await owner.facility(level="1"))
    broken, whole = [Ward(clinic, await owner.person(insutype="310", psn_type="11"), owner) for _ in range(2)]
    first, spoilt = await broken.settle(4), await broken.settle(3)
    other, later = await whole.settle(4), await whole.settle(3)
    facts = await _facts(owner, spoilt["settlement_id"], "[]")
    await broken.reverse(first)
    await whole.reverse(other)
    assert {settlement_id for settlement_id, _, _ in await whole.rechecked()} == {later["settlement_id"]}
    assert await owner.count("recheck", "person_id", broken.person_id) == 1
    await _facts(owner, spoilt["settlement_id"], facts)
    assert {settlement_id for settlement_id, _, _ in await broken.rechecked()} == {spoilt["settlement_id"]}


async def _facts(owner: Owner, settlement_id: str, facts: str) -> str:
    """Overwrite what a settlement was decided by, which only the database's owner can; what it was before."""
    async with owner.connection.transaction():
        await owner.connection.execute("ALTER TABLE claims.working DISABLE TRIGGER USER")
        before = await owner.connection.fetchval(
            "SELECT facts FROM claims.working WHERE settlement_id = $1", settlement_id
        )
        await owner.connection.execute(
            "UPDATE claims.working SET facts = $2::jsonb WHERE settlement_id = $1", settlement_id, facts
        )
        await owner.connection.execute("ALTER TABLE claims.working ENABLE TRIGGER USER")
    return str(before)


async def test_items_are_listed_for_the_home_agency_and_those_above(
    ward: Ward, client: MakeClient, token: MakeToken
) -> None:
    first, _ = [await ward.settle(days) for days in (9, 7)]
    await ward.reverse(first)
    await ward.rechecked()
    seen = {
        party: len(await listed_items(client("claims", token("reviewer", party)), ward))
        for party in (HUAIYANG, ZHOUKOU, "410000", "100000", "411628", "411300", "341700", "999999")
    }
    assert seen == {
        HUAIYANG: 1,
        ZHOUKOU: 1,
        "410000": 1,
        "100000": 1,
        "411628": 0,
        "411300": 0,
        "341700": 0,
        "999999": 0,
    }


# Several at once


@pytest.fixture
async def workers(settings: Settings) -> AsyncIterator[Sequence[Claims]]:
    """The parts of two more workers, each with connections of its own."""
    async with AsyncExitStack() as opened:
        claims = []
        for _ in range(2):
            base = base_of(settings, "claims")
            service = make(base).service
            assert isinstance(service, ClaimsService)
            await base.database.open()
            opened.push_async_callback(base.database.close)
            claims.append(service.claims)
        yield claims


async def drain(claims: Claims) -> None:
    while await rechecking.recheck(claims, datetime.now(UTC)):
        pass


async def test_two_workers_at_once_find_the_same_once(ward: Ward, owner: Owner, workers: Sequence[Claims]) -> None:
    wards = [Ward(ward.clinic, await owner.person(insutype="310", psn_type="11"), owner) for _ in range(30)]

    async def prepare(one: Ward) -> Item:
        first, second = [await one.settle(days) for days in (9, 7)]
        await one.reverse(first)
        return item(second, 6_000)

    expected = await asyncio.gather(*(prepare(one) for one in wards))
    await asyncio.gather(*(drain(claims) for claims in workers))
    assert [await one.rechecked() for one in wards] == [{one} for one in expected]
    closed = [await one.items("closed") for one in wards]
    assert closed == [set()] * 30


async def test_settling_never_waits_for_rechecking_in_a_circle(ward: Ward, workers: Sequence[Claims]) -> None:
    """Late bills and reversals ask for what the workers take away at the same moment; none of them fails."""
    await ward.settle(0)
    finished = asyncio.Event()

    async def recheck_all_the_time(claims: Claims) -> None:
        while not finished.is_set():
            await drain(claims)
            await asyncio.sleep(0)

    async def settle_late(number: int) -> None:
        for _ in range(8):
            settled = await ward.settle(number + 1, "20.00")
            await ward.reverse(settled)

    rechecking_ = [asyncio.create_task(recheck_all_the_time(claims)) for claims in workers]
    try:
        await asyncio.gather(*(settle_late(number) for number in range(5)))
    finally:
        finished.set()
        await asyncio.gather(*rechecking_)
    assert await ward.rechecked() == set()
    assert await ward.used() == {"employees-outpatient-deductible": 20_000, "employees-outpatient-fund": 6_000}


async def test_late_bills_of_one_person_at_once_keep_deductible_and_limit(ward: Ward) -> None:
    """Twenty bills of ten days in no order: one deductible, one limit, and the items add up to nothing."""
    days = random.Random(7).sample([*range(10), *range(10)], 20)
    settled = await asyncio.gather(*(ward.settle(day, "600.00") for day in days))
    assert sum(one["deductible_fen"] for one in settled) == 20_000
    assert sum(one["fund_fen"] for one in settled) == 400_000
    assert await ward.used() == {"employees-outpatient-deductible": 20_000, "employees-outpatient-fund": 400_000}
    items = await ward.rechecked()
    assert sum(expected - paid for _, paid, expected in items) == 0
    # In the order of their days: (600 - 200) x 60 %, ten times 360, the rest of the limit, nothing.
    due = [24_000, *[36_000] * 10, 16_000, *[0] * 8]
    by_id = {settlement_id: expected for settlement_id, _, expected in items}
    assert Counter(by_id.get(one["settlement_id"], one["fund_fen"]) for one in settled) == Counter(due)
