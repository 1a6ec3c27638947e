"""Remote-care filings through the interface: at the counter, by a facility, decided by another, ended, withdrawn."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from shared.events.enrollment import FilingApproved, FilingCancelled
from tests.services.enrollment.conftest import Announced, Caller, Enrol
from tests.services.enrollment.people import CITY, FACILITY, FAR, HOME, NEIGHBOUR, PAPERS
from tests.services.enrollment.test_persons import codes, lookup


async def file(
    client: httpx.AsyncClient, person_id: str, kind: str = "posted_worker", **changed: Any
) -> httpx.Response:
    body = {
        "person_id": person_id,
        "kind": kind,
        "care_region": CITY,
        "valid_from": "2026-02-01",
        "papers": PAPERS[kind],
        **changed,
    }
    return await client.post("/v1/filings", json=body)


async def step(client: httpx.AsyncClient, filing_id: str, name: str, **body: str) -> httpx.Response:
    return await client.post(f"/v1/filings/{filing_id}/{name}", json=body or None)


@pytest.mark.parametrize("kind", PAPERS)
async def test_at_the_counter_a_filing_holds_at_once(
    enrol: Enrol, officer: httpx.AsyncClient, announced: Announced, kind: str
) -> None:
    person_id = (await enrol())["person_id"]
    view = (await file(officer, person_id, kind)).json()
    last_day = "2026-08-01" if kind == "referral" else None
    told = (await announced(person_id, 3))[-1]

    assert (view["state"], view["home_region"], view["valid_to"]) == ("approved", HOME, last_day)
    assert [act["step"] for act in view["acts"]] == ["apply", "approve"]
    assert isinstance(told, FilingApproved)
    assert (told.filing_id, told.kind, told.care_region) == (view["filing_id"], kind, CITY)


async def test_a_facility_applies_and_the_home_agency_decides(
    enrol: Enrol, officer: httpx.AsyncClient, caller: Caller, announced: Announced
) -> None:
    person_id = (await enrol())["person_id"]
    his = caller("facility", FACILITY, "his-1")
    applied = (await file(his, person_id, "referral")).json()
    waiting = (await lookup(his, person_id=person_id, on="2026-03-01")).json()["filings"]
    own = await step(caller("officer", HOME, "his-1"), applied["filing_id"], "approval")
    foreign = await step(caller("officer", NEIGHBOUR), applied["filing_id"], "approval")
    approved = (await step(officer, applied["filing_id"], "approval")).json()
    again = await step(officer, applied["filing_id"], "approval")
    holding = (await lookup(his, person_id=person_id, on="2026-03-01")).json()["filings"]

    assert (applied["state"], applied["facility_code"], waiting) == ("applied", FACILITY, [])
    assert applied["due_on"] is not None
    assert (own.status_code, codes(own)) == (403, ["casework.own-case"])
    assert (foreign.status_code, codes(foreign)) == (403, ["auth.not-your-area"])
    assert (approved["state"], approved["revision"], approved["due_on"]) == ("approved", 2, None)
    assert (again.status_code, codes(again)) == (409, ["casework.case-closed"])
    assert [filing["filing_id"] for filing in holding] == [applied["filing_id"]]
    assert [type(event) for event in (await announced(person_id, 3))[2:]] == [FilingApproved]


async def test_a_refusal_says_why_and_announces_nothing(
    enrol: Enrol, officer: httpx.AsyncClient, caller: Caller, announced: Announced
) -> None:
    person_id = (await enrol())["person_id"]
    his = caller("facility", FACILITY, "his-1")
    applied = (await file(his, person_id, "referral")).json()
    silent = await step(officer, applied["filing_id"], "refusal")
    refused = (await step(officer, applied["filing_id"], "refusal", reason="材料与病情不符")).json()
    cancelled = await step(his, applied["filing_id"], "cancellation", reason="x")
    anew = await file(his, person_id, "referral")

    assert silent.status_code in (400, 415, 422)
    assert (refused["state"], refused["acts"][-1]["reason"]) == ("refused", "材料与病情不符")
    assert (cancelled.status_code, codes(cancelled)) == (409, ["enrollment.step-not-allowed"])
    assert anew.status_code == 201
    assert len(await announced(person_id, 2)) == 2


async def test_an_ended_filing_holds_to_its_last_day(
    enrol: Enrol, officer: httpx.AsyncClient, announced: Announced
) -> None:
    person_id = (await enrol())["person_id"]
    filing_id = (await file(officer, person_id)).json()["filing_id"]
    ended = (await step(officer, filing_id, "end", last_day="2026-06-30")).json()
    outside = await step(officer, filing_id, "end", last_day="2026-01-31")
    holding = [
        len((await lookup(officer, person_id=person_id, on=day)).json()["filings"])
        for day in ("2026-01-31", "2026-02-01", "2026-06-30", "2026-07-01")
    ]
    told = (await announced(person_id, 4))[-1]

    assert (ended["state"], ended["valid_to"], holding) == ("approved", "2026-06-30", [0, 1, 1, 0])
    assert codes(outside) == ["enrollment.day-outside"]
    assert isinstance(told, FilingApproved)
    assert (str(told.valid_to), told.revision) == ("2026-06-30", ended["revision"])


async def test_a_withdrawn_filing_counts_never_again(
    enrol: Enrol, officer: httpx.AsyncClient, announced: Announced
) -> None:
    person_id = (await enrol())["person_id"]
    filing_id = (await file(officer, person_id)).json()["filing_id"]
    cancelled = (await step(officer, filing_id, "cancellation", reason="登记有误")).json()
    anew = await file(officer, person_id)
    events = (await announced(person_id, 5))[2:]

    assert cancelled["state"] == "cancelled"
    assert anew.status_code == 201
    assert [type(event) for event in events] == [FilingApproved, FilingCancelled, FilingApproved]
    assert isinstance(events[1], FilingCancelled)
    assert events[1].revision == cancelled["revision"]


async def test_a_facility_sees_and_withdraws_what_it_applied_for(
    enrol: Enrol, officer: httpx.AsyncClient, caller: Caller
) -> None:
    person_id = (await enrol())["person_id"]
    his, other = caller("facility", FACILITY), caller("facility", "H41160200099")
    own = (await file(his, person_id, "referral")).json()["filing_id"]
    counter = (await file(officer, person_id)).json()["filing_id"]
    foreign = [
        await other.get(f"/v1/filings/{own}"),
        await step(other, own, "cancellation", reason="x"),
        await his.get(f"/v1/filings/{counter}"),
        await step(his, counter, "cancellation", reason="x"),
    ]
    cancelled = await step(his, own, "cancellation", reason="病人转院计划取消")

    assert (await his.get(f"/v1/filings/{own}")).status_code == 200
    assert [(a.status_code, codes(a)) for a in foreign] == [(404, ["enrollment.filing-unknown"])] * 4
    assert cancelled.json()["state"] == "cancelled"


@pytest.mark.parametrize("party", [NEIGHBOUR, FAR])
async def test_other_agencies_neither_file_nor_see(
    enrol: Enrol, officer: httpx.AsyncClient, caller: Caller, party: str
) -> None:
    person_id = (await enrol())["person_id"]
    filing_id = (await file(officer, person_id)).json()["filing_id"]
    foreign = caller("officer", party)
    answers = [
        await file(foreign, person_id, "referral"),
        await foreign.get(f"/v1/filings/{filing_id}"),
        await foreign.get(f"/v1/persons/{person_id}/filings"),
        await step(foreign, filing_id, "cancellation", reason="x"),
        await step(foreign, filing_id, "end", last_day="2026-06-30"),
    ]
    assert [(a.status_code, codes(a)) for a in answers] == [(403, ["auth.not-your-area"])] * 5


async def test_everything_missing_is_named_at_once(enrol: Enrol, caller: Caller) -> None:
    person_id = (await enrol(insurance=None))["person_id"]
    answer = await file(caller("facility", FACILITY), person_id, care_region="000000", papers=["photo"])

    assert answer.status_code == 403
    assert codes(answer) == [
        "enrollment.kind-not-for-facility",
        "enrollment.not-insured",
        "enrollment.region-unknown",
        "casework.paper-unknown",
        *["casework.paper-missing"] * 3,
    ]


async def test_an_unknown_kind_is_refused(officer: httpx.AsyncClient) -> None:
    answer = await officer.post("/v1/filings", json={"kind": "holiday", "papers": []})
    wrong = [error["pointer"] for error in answer.json()["errors"] if error["code"] == "request.field-invalid"]
    assert (answer.status_code, wrong) == (422, ["/kind"])


async def test_two_alike_do_not_hold_on_one_day(enrol: Enrol, officer: httpx.AsyncClient) -> None:
    person_id = (await enrol())["person_id"]
    answers = await asyncio.gather(*(file(officer, person_id) for _ in range(10)))
    elsewhere = await file(officer, person_id, care_region=FAR)
    page = (await officer.get(f"/v1/persons/{person_id}/filings")).json()["items"]

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert {code for answer in answers if answer.status_code == 409 for code in codes(answer)} == {
        "enrollment.filing-overlaps"
    }
    assert elsewhere.status_code == 201
    assert sorted(filing["care_region"] for filing in page) == sorted([CITY, FAR])


@pytest.mark.parametrize(("care_region", "shown"), [(CITY, 1), (NEIGHBOUR, 1), (FAR, 0), ("410000", 0)])
async def test_a_filing_covers_the_regions_below_its_own(
    enrol: Enrol, officer: httpx.AsyncClient, care_region: str, shown: int
) -> None:
    person_id = (await enrol())["person_id"]
    await file(officer, person_id, care_region=CITY)
    found = (await lookup(officer, person_id=person_id, on="2026-03-01", care_region=care_region)).json()
    assert len(found["filings"]) == shown
