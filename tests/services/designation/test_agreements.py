"""Facilities and agreements through the real service: steps, four eyes, areas, what is announced."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from shared.events import Event, new_id
from shared.events.designation import (
    AgreementEnded,
    AgreementRestored,
    AgreementSigned,
    AgreementState,
    AgreementSuspended,
    FacilityChanged,
)
from tests.services.designation.conftest import (
    AREA,
    COUNTY,
    DAYS,
    ELSEWHERE,
    FACILITY,
    Announced,
    Caller,
    Draft,
    Owner,
    Register,
    codes,
    fresh_code,
)


async def test_a_whole_life_is_announced(
    register: Register, draft: Draft, reviewer: httpx.AsyncClient, announced: Announced, owner: Owner
) -> None:
    code = await register()
    agreement_id = await draft(code)
    path = f"/v1/agreements/{agreement_id}"
    steps: list[tuple[str, dict[str, str] | None]] = [
        ("signature", None),
        ("suspension", {"day": "2026-03-01", "reason": "检查发现违反协议"}),
        ("restoration", {"day": "2026-04-01", "reason": "整改完成"}),
        ("end", {"day": "2026-10-31", "reason": "停业"}),
    ]

    answers = [await reviewer.post(f"{path}/{step}", json=body) for step, body in steps]

    assert [a.json()["state"] for a in answers] == ["in_force", "suspended", "in_force", "ended"]
    shown = (await reviewer.get(path)).json()
    assert shown["suspensions"] == [{"since": "2026-03-01", "until": "2026-03-31"}]
    assert (shown["valid_to"], shown["revision"], shown["signed_by"]) == ("2026-10-31", 5, "reviewer-1")
    events = await announced(code, 5)
    kinds: list[type[Event]] = [FacilityChanged, AgreementSigned, AgreementSuspended, AgreementRestored, AgreementEnded]
    assert [type(event) for event in events] == kinds
    assert _last(events).model_dump(mode="json") == {
        "agreement_id": agreement_id,
        "facility_code": code,
        "valid_from": "2026-01-01",
        "valid_to": "2026-10-31",
        "suspensions": [{"since": "2026-03-01", "until": "2026-03-31"}],
        "revision": 5,
    }
    done = await owner.fetch(
        "SELECT step, actor, reason FROM agreement_step WHERE agreement_id = $1 ORDER BY revision", agreement_id
    )
    assert [tuple(row) for row in done] == [
        ("draft", "officer-1", None),
        ("sign", "reviewer-1", None),
        ("suspend", "reviewer-1", "检查发现违反协议"),
        ("restore", "reviewer-1", "整改完成"),
        ("end", "reviewer-1", "停业"),
    ]


def _last(events: list[Event]) -> AgreementState:
    last = events[-1]
    assert isinstance(last, AgreementState)
    return last


async def test_a_draft_is_announced_to_nobody(
    register: Register, draft: Draft, officer: httpx.AsyncClient, announced: Announced
) -> None:
    code = await register()
    await draft(code)
    changed = await officer.put(f"/v1/facilities/{code}", json={"name": "新名", "kind": "clinic", "level": "1"})

    first, second = await announced(code, 2)

    assert changed.json()["revision"] == 2
    assert [type(first), type(second)] == [FacilityChanged, FacilityChanged]
    assert second.model_dump() == {
        "facility_code": code,
        "name": "新名",
        "kind": "clinic",
        "level": "1",
        "region": COUNTY,
        "revision": 2,
    }


async def test_nobody_signs_their_own_draft(register: Register, draft: Draft, caller: Caller, owner: Owner) -> None:
    agreement_id = await draft(await register())

    refused = await caller("reviewer", COUNTY, "officer-1").post(f"/v1/agreements/{agreement_id}/signature")

    assert (refused.status_code, codes(refused)) == (403, ["same-person"])
    assert await owner.fetchval("SELECT state FROM agreement WHERE agreement_id = $1", agreement_id) == "drafted"


async def test_an_officer_signs_nothing(register: Register, draft: Draft, officer: httpx.AsyncClient) -> None:
    refused = await officer.post(f"/v1/agreements/{await draft(await register())}/signature")

    assert (refused.status_code, refused.json()["code"]) == (403, "auth.role-not-allowed")


async def test_a_refused_step_leaves_nothing(
    register: Register, draft: Draft, reviewer: httpx.AsyncClient, owner: Owner
) -> None:
    agreement_id = await draft(await register())
    body = {"day": "2027-01-01", "reason": "x"}

    refused = await reviewer.post(f"/v1/agreements/{agreement_id}/suspension", json=body)

    assert (refused.status_code, codes(refused)) == (409, ["step-not-allowed", "day-outside"])
    row = await owner.fetchrow("SELECT state, revision FROM agreement WHERE agreement_id = $1", agreement_id)
    assert tuple(row or ()) == ("drafted", 1)
    assert await owner.fetchval("SELECT count(*) FROM agreement_step WHERE agreement_id = $1", agreement_id) == 1


@pytest.mark.parametrize(
    ("party", "allowed"),
    [(COUNTY, True), (AREA, True), ("410000", True), (ELSEWHERE, False), ("411602", False), ("nowhere", False)],
)
async def test_an_agency_acts_in_its_area_only(
    register: Register, draft: Draft, caller: Caller, party: str, allowed: bool
) -> None:
    code = await register()
    agreement_id = await draft(code)
    officer, reviewer = caller("officer", party), caller("reviewer", party)
    change = {"name": "新名", "kind": "clinic", "level": "1"}

    answers = [
        await officer.post("/v1/facilities", json={"code": fresh_code(), **FACILITY}),
        await officer.put(f"/v1/facilities/{code}", json=change),
        await officer.post("/v1/agreements", json={"facility_code": code, **_later()}),
        await reviewer.post(f"/v1/agreements/{agreement_id}/signature"),
        await reviewer.post(f"/v1/agreements/{agreement_id}/suspension", json={"day": "2026-02-01", "reason": "x"}),
        await reviewer.post(f"/v1/agreements/{agreement_id}/restoration", json={"day": "2026-03-01", "reason": "x"}),
        await reviewer.post(f"/v1/agreements/{agreement_id}/end", json={"day": "2026-04-01", "reason": "x"}),
    ]

    if allowed:
        assert [a.status_code for a in answers] == [201, 200, 201, 200, 200, 200, 200]
    else:
        assert [(a.status_code, a.json()["code"]) for a in answers] == [(403, "auth.not-your-area")] * 7


def _later() -> dict[str, str]:
    return {"valid_from": "2027-01-01", "valid_to": "2027-12-31"}


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "status", "expected"),
    [
        ("2026-12-31", "2027-12-31", 409, ["agreement-overlaps"]),
        ("2025-01-01", "2026-01-01", 409, ["agreement-overlaps"]),
        ("2026-06-01", "2026-06-01", 409, ["agreement-overlaps"]),
        ("2027-01-01", "2027-12-31", 201, []),
        ("2025-01-01", "2025-12-31", 201, []),
        ("2027-01-02", "2027-01-01", 422, ["period-reversed"]),
        ("2027-01-01", "2030-01-01", 422, ["period-too-long"]),
    ],
)
async def test_the_days_of_a_second_agreement(
    register: Register,
    draft: Draft,
    officer: httpx.AsyncClient,
    valid_from: str,
    valid_to: str,
    status: int,
    expected: list[str],
) -> None:
    code = await register()
    await draft(code)

    answer = await officer.post(
        "/v1/agreements", json={"facility_code": code, "valid_from": valid_from, "valid_to": valid_to}
    )

    assert answer.status_code == status
    assert (codes(answer) if status != 201 else []) == expected


async def test_an_early_end_frees_the_days_after_it(
    register: Register, draft: Draft, officer: httpx.AsyncClient, reviewer: httpx.AsyncClient
) -> None:
    code = await register()
    agreement_id = await draft(code)
    await reviewer.post(f"/v1/agreements/{agreement_id}/signature")
    await reviewer.post(f"/v1/agreements/{agreement_id}/end", json={"day": "2026-06-30", "reason": "迁址"})

    second = await officer.post(
        "/v1/agreements", json={"facility_code": code, "valid_from": "2026-07-01", "valid_to": "2026-12-31"}
    )

    assert second.status_code == 201
    listed = (await officer.get(f"/v1/facilities/{code}/agreements")).json()["items"]
    assert [(a["valid_from"], a["valid_to"]) for a in listed] == [
        ("2026-01-01", "2026-06-30"),
        ("2026-07-01", "2026-12-31"),
    ]


async def test_twins_draft_one_agreement(register: Register, officer: httpx.AsyncClient) -> None:
    code = await register()

    answers = await asyncio.gather(
        *(officer.post("/v1/agreements", json={"facility_code": code, **DAYS}) for _ in range(20))
    )

    assert sorted(a.status_code for a in answers) == [201] + [409] * 19


async def test_twins_sign_once(
    register: Register, draft: Draft, reviewer: httpx.AsyncClient, announced: Announced
) -> None:
    code = await register()
    agreement_id = await draft(code)

    answers = await asyncio.gather(*(reviewer.post(f"/v1/agreements/{agreement_id}/signature") for _ in range(20)))

    assert sorted(a.status_code for a in answers) == [200] + [409] * 19
    first, second = await announced(code, 2)
    assert isinstance(first, FacilityChanged)
    assert isinstance(second, AgreementSigned)


async def test_a_facility_is_registered_once(officer: httpx.AsyncClient) -> None:
    body = {"code": fresh_code(), **FACILITY}

    answers = await asyncio.gather(*(officer.post("/v1/facilities", json=body) for _ in range(10)))

    assert sorted(a.status_code for a in answers) == [201] + [409] * 9
    assert {tuple(codes(a)) for a in answers if a.status_code == 409} == {("facility-exists",)}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"code": "a b"}, "request.field-invalid"),
        ({"code": "H" * 31}, "request.field-invalid"),
        ({"name": ""}, "request.field-invalid"),
        ({"name": "a\u0000b"}, "request.field-invalid"),
        ({"name": "长" * 201}, "request.field-invalid"),
        ({"kind": "spa"}, "request.field-invalid"),
        ({"level": 2}, "request.field-invalid"),
        ({"region": "41160"}, "request.field-invalid"),
        ({"region": "999999"}, "designation.region-unknown"),
        ({"colour": "red"}, "request.field-unknown"),
    ],
)
async def test_a_wrong_facility_is_refused(officer: httpx.AsyncClient, changed: dict[str, Any], expected: str) -> None:
    code = fresh_code()

    answer = await officer.post("/v1/facilities", json={"code": code, **FACILITY, **changed})

    assert (answer.status_code, answer.json()["code"]) == (422, expected)
    assert (await officer.get(f"/v1/facilities/{code}")).status_code == 404


@pytest.mark.parametrize("day", ["2026-02-29", "9999-12-31", "2026-13-01", "2026-01-01T00:00:00Z", 20260101, None])
async def test_a_wrong_day_is_refused(register: Register, officer: httpx.AsyncClient, day: Any) -> None:
    body = {"facility_code": await register(), "valid_from": "2026-01-01", "valid_to": day}

    answer = await officer.post("/v1/agreements", json=body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/valid_to")


@pytest.mark.parametrize("path", ["/v1/facilities/H0", "/v1/agreements/01KAJ5T1D4GQ7X8Z2V3N4M5P6Q", "/v1/agreements/x"])
async def test_what_is_not_there(officer: httpx.AsyncClient, path: str) -> None:
    assert (await officer.get(path)).status_code == 404


async def test_steps_of_an_agreement_that_is_not_there(reviewer: httpx.AsyncClient) -> None:
    refused = await reviewer.post(f"/v1/agreements/{new_id()}/signature")

    assert (refused.status_code, codes(refused)) == (404, ["agreement-unknown"])


async def test_facilities_of_a_region_and_below_in_pages(
    register: Register, caller: Caller, officer: httpx.AsyncClient
) -> None:
    mine = {await register() for _ in range(3)}
    reader = caller("facility", "H41160300001")

    async def listed(region: str) -> list[str]:
        found: list[str] = []
        query: dict[str, str] = {"region": region, "limit": "2"}
        while True:
            page = (await reader.get("/v1/facilities", params=query)).json()
            assert len(page["items"]) <= 2
            found += [item["code"] for item in page["items"]]
            if page["next_cursor"] is None:
                return found
            query["cursor"] = page["next_cursor"]

    county, city = await listed(COUNTY), await listed(AREA)
    assert mine <= set(county) <= set(city)
    assert len(county) == len(set(county))
    assert mine.isdisjoint(await listed(ELSEWHERE))
    assert await listed("999999") == []
