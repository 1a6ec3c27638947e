"""Insurance spans through the interface: no two of a kind on one day, ends, areas, events."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from shared.events.enrollment import InsuranceChanged
from tests.services.enrollment.conftest import Announced, Caller, Enrol
from tests.services.enrollment.people import NEIGHBOUR, insurance
from tests.services.enrollment.test_persons import codes

RESIDENT = {"insutype": "390", "psn_type": "15"}


async def add(client: httpx.AsyncClient, person_id: str, **changed: Any) -> httpx.Response:
    return await client.post(f"/v1/persons/{person_id}/insurance-spans", json=insurance(**changed))


async def end(client: httpx.AsyncClient, span_id: str, last_day: str) -> httpx.Response:
    return await client.post(f"/v1/insurance-spans/{span_id}/end", json={"last_day": last_day})


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"valid_from": "2027-01-01"}, 409),
        ({**RESIDENT, "valid_from": "2027-01-01"}, 409),
        ({**RESIDENT, "valid_from": "2025-01-01"}, 409),
        ({**RESIDENT, "valid_from": "2025-01-01", "valid_to": "2026-01-01"}, 409),
        ({**RESIDENT, "valid_from": "2025-01-01", "valid_to": "2025-12-31"}, 201),
        ({"insutype": "320"}, 201),
    ],
)
async def test_nobody_has_two_insurances_of_a_kind_on_one_day(
    enrol: Enrol, officer: httpx.AsyncClient, changed: dict[str, Any], status: int
) -> None:
    answer = await add(officer, (await enrol())["person_id"], **changed)
    assert answer.status_code == status
    if status == 409:
        assert codes(answer) == ["enrollment.insurance-overlaps"]


async def test_of_many_at_once_one_is_insured(enrol: Enrol, officer: httpx.AsyncClient) -> None:
    person_id = (await enrol(insurance=None))["person_id"]
    answers = await asyncio.gather(*(add(officer, person_id, valid_from=f"2026-01-{d:02d}") for d in range(1, 21)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19


async def test_an_end_is_announced_and_makes_room(
    enrol: Enrol, officer: httpx.AsyncClient, announced: Announced
) -> None:
    view = await enrol()
    span_id = view["insurance"]["span_id"]
    ended = await end(officer, span_id, "2026-06-30")
    again = await end(officer, span_id, "2026-06-30")
    earlier = await end(officer, span_id, "2026-05-31")
    later = await end(officer, span_id, "2026-06-01")
    resident = await add(officer, view["person_id"], **RESIDENT, valid_from="2026-06-01")
    events = [e for e in await announced(view["person_id"], 5) if isinstance(e, InsuranceChanged)]

    assert (ended.json()["valid_to"], ended.json()["revision"]) == ("2026-06-30", 2)
    assert again.json() == ended.json()
    assert (earlier.json()["valid_to"], earlier.json()["revision"]) == ("2026-05-31", 3)
    assert (later.status_code, codes(later)) == (422, ["enrollment.day-outside"])
    assert resident.status_code == 201
    assert [(str(e.valid_to), e.revision) for e in events] == [
        ("None", 1),
        ("2026-06-30", 2),
        ("2026-05-31", 3),
        ("None", 1),
    ]


async def test_an_agency_insures_in_its_area_only(enrol: Enrol, caller: Caller, officer: httpx.AsyncClient) -> None:
    view = await enrol(insurance=insurance(valid_to="2026-03-31"))
    neighbour = caller("officer", NEIGHBOUR)
    answers = [
        await add(officer, view["person_id"], region=NEIGHBOUR, valid_from="2026-04-01"),
        await end(neighbour, view["insurance"]["span_id"], "2026-02-01"),
    ]
    assert [(a.status_code, codes(a)) for a in answers] == [(403, ["auth.not-your-area"])] * 2


async def test_an_unknown_span(officer: httpx.AsyncClient) -> None:
    answer = await end(officer, "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q", "2026-06-30")
    assert (answer.status_code, codes(answer)) == (404, ["enrollment.span-unknown"])


async def test_spans_come_in_pages(enrol: Enrol, officer: httpx.AsyncClient) -> None:
    person_id = (await enrol(insurance=None))["person_id"]
    for year in range(2020, 2025):
        await add(officer, person_id, valid_from=f"{year}-01-01", valid_to=f"{year}-12-31")
    days, cursor = [], None
    for _ in range(3):
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await officer.get(f"/v1/persons/{person_id}/insurance-spans", params=query)).json()
        days += [span["valid_from"] for span in page["items"]]
        cursor = page["next_cursor"]

    assert cursor is None
    assert sorted(days) == [f"{year}-01-01" for year in range(2020, 2025)]
