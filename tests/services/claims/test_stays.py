"""A stay at the real service: admitted, charged, quoted, settled, cancelled."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.services.claims.fixtures import MakeHis
from tests.services.claims.seeds import Json, Owner, admission, discharge, fee_line, hours_ago, key

AMOUNTS = (
    "policy",
    "benefit",
    "shares",
    "ratio",
    "total_fen",
    "fund_fen",
    "person_fen",
    "account_fen",
    "cash_fen",
    "hospital_fen",
    "own_fen",
    "over_ceiling_fen",
    "prepay_fen",
    "in_scope_fen",
    "deductible_fen",
    "by_ratio_fen",
    "over_cap_fen",
    "relieved_fen",
)


def codes(answer: httpx.Response) -> list[str]:
    """The codes of a refusal, in order."""
    return [error["code"].removeprefix("claims.") for error in answer.json()["errors"]]


async def admitted(his: httpx.AsyncClient, person_id: str, **other: Any) -> str:
    """A new stay's id."""
    answer = await his.post("/v1/visits", json=admission(person_id, **other))
    assert answer.status_code == 201, answer.text
    visit_id: str = answer.json()["visit_id"]
    return visit_id


async def charged(his: httpx.AsyncClient, visit_id: str, *lines: Json) -> httpx.Response:
    return await his.post(f"/v1/visits/{visit_id}/fee-lines", json={"lines": list(lines)})


async def test_a_stay_from_admission_to_discharge(his: MakeHis, owner: Owner) -> None:
    person, hospital = await owner.person(), his(await owner.facility(level="2"))
    visit = await admitted(hospital, person)

    first = await charged(hospital, visit, fee_line("1"), fee_line("2", item_class="02"))
    second = await charged(hospital, visit, fee_line("3", item_class="03"), fee_line("4"))
    assert [first.json(), second.json()] == [{"received": 2, "added": 2}] * 2
    void = await charged(hospital, visit, fee_line("4-void", quantity="-2", voids="4"))
    assert void.json() == {"received": 1, "added": 1}

    ending = discharge("4500.00")
    quote = (await hospital.post(f"/v1/visits/{visit}/quote", json=ending)).json()
    settled = await hospital.post(f"/v1/visits/{visit}/settlement", json=ending, headers=key())
    assert settled.status_code == 201, settled.text
    settlement = settled.json()

    assert {name: settlement[name] for name in AMOUNTS} == quote
    # A 1500, B 1500 of which a tenth first, C 1500; 500 yuan deductible at level 2, then 75 %.
    assert (settlement["own_fen"], settlement["prepay_fen"], settlement["deductible_fen"]) == (150_000, 15_000, 50_000)
    assert (settlement["fund_fen"], settlement["by_ratio_fen"]) == (176_250, 58_750)
    assert (await hospital.get(f"/v1/settlements/{settlement['settlement_id']}")).json() == settlement
    assert (await hospital.get(f"/v1/visits/{visit}")).json()["state"] == "settled"
    assert (settlement["policy"], settlement["benefit"]) == ("zhoukou@2026.1", "residents-inpatient")
    # Of the 1087.50 that are left in scope, all stays below the deductible of serious illness.
    assert settlement["shares"] == {"390100": 176_250, "390200": 0}
    assert await owner.used(person) == {
        "admissions": 1,
        "residents-inpatient-fund": 176_250,
        "serious-deductible": 108_750,
        "serious-sum": 108_750,
    }


async def test_a_quote_keeps_nothing(his: MakeHis, owner: Owner) -> None:
    person, hospital = await owner.person(), his(await owner.facility())
    visit = await admitted(hospital, person)
    await charged(hospital, visit, fee_line())
    before = await owner.row_counts()
    quotes = [(await hospital.post(f"/v1/visits/{visit}/quote", json=discharge("1500.00"))).json() for _ in range(2)]
    assert quotes[0] == quotes[1]
    assert quotes[0]["deductible_fen"] == 50_000
    assert await owner.row_counts() == before


async def test_an_admission_sent_twice_is_one(his: MakeHis, owner: Owner) -> None:
    hospital, body = his(await owner.facility()), admission(await owner.person())
    first, second = [await hospital.post("/v1/visits", json=body) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    other = await hospital.post("/v1/visits", json={**body, "began_at": hours_ago(24)})
    assert (other.status_code, codes(other)) == (409, ["visit-number-taken"])
    assert await owner.count("visit", "facility_visit_no", body["facility_visit_no"]) == 1


async def test_an_admission_sent_again_is_the_same_even_if_it_would_be_refused_by_now(
    his: MakeHis, owner: Owner
) -> None:
    facility = await owner.facility()
    hospital, body = his(facility), admission(await owner.person())
    first = await hospital.post("/v1/visits", json=body)
    await owner.connection.execute("DELETE FROM claims.agreement WHERE facility_code = $1", facility)
    again = await hospital.post("/v1/visits", json=body)
    assert (again.status_code, again.json()) == (200, first.json())
    other_insurance = await hospital.post("/v1/visits", json={**body, "insutype": "310"})
    assert (other_insurance.status_code, codes(other_insurance)) == (409, ["visit-number-taken"])
    new = await hospital.post("/v1/visits", json=admission(await owner.person()))
    assert codes(new) == ["facility-not-contracted"]


async def test_nobody_lies_in_two_beds(his: MakeHis, owner: Owner) -> None:
    person, one, another = await owner.person(), his(await owner.facility()), his(await owner.facility())
    visit = await admitted(one, person, hours=48)
    overlapping = await another.post("/v1/visits", json=admission(person, hours=24))
    assert (overlapping.status_code, codes(overlapping)) == (409, ["stay-overlaps"])

    await charged(one, visit, fee_line(hours=40))
    ending = discharge("1500.00", ended_at=hours_ago(24))
    assert (await one.post(f"/v1/visits/{visit}/settlement", json=ending, headers=key())).status_code == 201
    # Who leaves one bed may lie in another at the same moment.
    moved = await another.post("/v1/visits", json=admission(person, began_at=ending["ended_at"]))
    assert moved.status_code == 201, moved.text


async def test_a_stay_may_not_end_within_the_next_one(his: MakeHis, owner: Owner) -> None:
    """The first stay is reversed (open again) after a second one was admitted: it cannot grow into it."""
    person, one, another = await owner.person(), his(await owner.facility()), his(await owner.facility())
    visit = await admitted(one, person, hours=48)
    await charged(one, visit, fee_line(hours=40))
    ending = discharge("1500.00", ended_at=hours_ago(24))
    settled = (await one.post(f"/v1/visits/{visit}/settlement", json=ending, headers=key())).json()
    await admitted(another, person, began_at=ending["ended_at"])
    taken_back = {"facility_settlement_no": settled["facility_settlement_no"] + "-R", "reason": "退费"}
    path = f"/v1/settlements/{settled['settlement_id']}/reversal"
    assert (await one.post(path, json=taken_back, headers=key())).status_code == 201

    longer = await one.post(f"/v1/visits/{visit}/settlement", json=discharge("1500.00"), headers=key())
    assert (longer.status_code, codes(longer)) == (409, ["stay-overlaps"])
    again = discharge("1500.00", ended_at=ending["ended_at"])
    assert (await one.post(f"/v1/visits/{visit}/settlement", json=again, headers=key())).status_code == 201


async def test_fee_lines_are_known_by_their_number(his: MakeHis, owner: Owner) -> None:
    hospital = his(await owner.facility())
    visit = await admitted(hospital, await owner.person())
    lines = [fee_line("1"), fee_line("2")]
    assert (await charged(hospital, visit, *lines)).json() == {"received": 2, "added": 2}
    assert (await charged(hospital, visit, *lines)).json() == {"received": 2, "added": 0}
    assert (await charged(hospital, visit, *lines, fee_line("3"))).json() == {"received": 3, "added": 1}

    changed = await charged(hospital, visit, fee_line("4"), {**lines[0], "quantity": "3", "amount_fen": 225_000})
    assert (changed.status_code, codes(changed)) == (409, ["line-changed"])
    assert changed.json()["errors"][0]["pointer"] == "/lines/1"
    assert await owner.count("fee_line", "visit_id", visit) == 3, "a refused batch must add none of its lines"


async def test_refused_lines_name_everything_at_once(his: MakeHis, owner: Owner) -> None:
    hospital = his(await owner.facility())
    visit = await admitted(hospital, await owner.person(), hours=24)
    refused = await charged(
        hospital,
        visit,
        {**fee_line("1"), "amount_fen": 1},
        fee_line("2", hours=30),
        fee_line("2"),
        fee_line("3", quantity="-1", voids="nowhere"),
        {**fee_line("4"), "item_class": "99"},
    )
    assert refused.status_code == 422
    assert set(codes(refused)) == {
        "line-amount-wrong",
        "line-outside-visit",
        "line-number-twice",
        "void-of-unknown-line",
        "code-unknown",
    }
    assert await owner.count("fee_line", "visit_id", visit) == 0


async def test_lines_of_a_visit_come_in_pages(his: MakeHis, owner: Owner) -> None:
    hospital = his(await owner.facility())
    visit = await admitted(hospital, await owner.person())
    numbers = [f"{n:03d}" for n in range(25)]
    await charged(hospital, visit, *[fee_line(number) for number in numbers])
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 10}
    while True:
        page = (await hospital.get(f"/v1/visits/{visit}/fee-lines", params=query)).json()
        seen += [line["line_no"] for line in page["items"]]
        if page["next_cursor"] is None:
            break
        query = {"limit": 10, "cursor": page["next_cursor"]}
    assert seen == numbers


async def test_a_settlement_names_everything_that_is_wrong(his: MakeHis, owner: Owner) -> None:
    hospital = his(await owner.facility())
    visit = await admitted(hospital, await owner.person(), hours=48)
    await charged(hospital, visit, fee_line(hours=2))
    early = discharge("1500.01", ended_at=hours_ago(24))
    refused = await hospital.post(f"/v1/visits/{visit}/settlement", json=early, headers=key())
    assert (refused.status_code, codes(refused)) == (422, ["line-outside-visit", "sum-wrong"])
    backwards = discharge("1500.00", ended_at=hours_ago(72))
    refused = await hospital.post(f"/v1/visits/{visit}/settlement", json=backwards, headers=key())
    assert codes(refused) == ["ends-before-it-began", "line-outside-visit"]
    future = discharge("1500.00", ended_at=hours_ago(-1))
    refused = await hospital.post(f"/v1/visits/{visit}/settlement", json=future, headers=key())
    assert codes(refused) == ["in-the-future"]
    assert await owner.count("settlement", "visit_id", visit) == 0


async def test_a_stay_without_lines_is_not_settled(his: MakeHis, owner: Owner) -> None:
    hospital = his(await owner.facility())
    visit = await admitted(hospital, await owner.person())
    refused = await hospital.post(f"/v1/visits/{visit}/settlement", json=discharge("0.00"), headers=key())
    assert codes(refused) == ["no-lines"]


@pytest.mark.parametrize("ended", ["settled", "cancelled"])
async def test_a_visit_that_ended_takes_nothing_more(his: MakeHis, owner: Owner, ended: str) -> None:
    hospital = his(await owner.facility())
    visit = await admitted(hospital, await owner.person())
    await charged(hospital, visit, fee_line())
    ending = discharge("1500.00")
    step = (
        (f"/v1/visits/{visit}/settlement", ending) if ended == "settled" else (f"/v1/visits/{visit}/cancellation", {})
    )
    assert (await hospital.post(step[0], json=step[1], headers=key())).is_success
    late = [
        await charged(hospital, visit, fee_line("late")),
        await hospital.post(f"/v1/visits/{visit}/cancellation"),
        await hospital.post(f"/v1/visits/{visit}/quote", json=ending),
        await hospital.post(f"/v1/visits/{visit}/settlement", json=discharge("1500.00"), headers=key()),
    ]
    assert [(answer.status_code, codes(answer)[0]) for answer in late] == [(409, "visit-not-open")] * 4
    assert late[0].json()["errors"][0]["params"] == {"state": ended}


async def test_the_same_person_may_be_admitted_again_after_a_cancellation(his: MakeHis, owner: Owner) -> None:
    hospital, person = his(await owner.facility()), await owner.person()
    visit = await admitted(hospital, person)
    cancelled = await hospital.post(f"/v1/visits/{visit}/cancellation")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    await admitted(hospital, person)


async def test_another_facility_sees_nothing_of_it(his: MakeHis, owner: Owner) -> None:
    hospital, stranger = his(await owner.facility()), his(await owner.facility())
    visit = await admitted(hospital, await owner.person())
    await charged(hospital, visit, fee_line())
    answers = [
        await stranger.get(f"/v1/visits/{visit}"),
        await stranger.get(f"/v1/visits/{visit}/fee-lines"),
        await charged(stranger, visit, fee_line("2")),
        await stranger.post(f"/v1/visits/{visit}/cancellation"),
        await stranger.post(f"/v1/visits/{visit}/quote", json=discharge("1500.00")),
        await stranger.post(f"/v1/visits/{visit}/settlement", json=discharge("1500.00"), headers=key()),
    ]
    assert [(answer.status_code, codes(answer)) for answer in answers] == [(404, ["visit-unknown"])] * 6
    assert (await hospital.get(f"/v1/visits/{visit}")).json()["state"] == "open"


@pytest.mark.parametrize(
    ("who", "where", "expected"),
    [
        ("stranger", "suspended", ["facility-suspended", "person-unknown"]),
        ("uninsured", "contracted", ["not-insured"]),
        ("insured", "unknown", ["facility-unknown"]),
    ],
)
async def test_an_admission_is_refused_with_every_reason(
    his: MakeHis, owner: Owner, who: str, where: str, expected: list[str]
) -> None:
    person = {"stranger": "0" * 26, "uninsured": await owner.person(insutype="510"), "insured": await owner.person()}[
        who
    ]
    facility = "H00000000000" if where == "unknown" else await owner.facility(suspended=where == "suspended")
    body = admission(person, insutype="390") if who == "uninsured" else admission(person)
    refused = await his(facility).post("/v1/visits", json=body)
    assert (refused.status_code, codes(refused)) == (422, expected)
    assert await owner.count("visit", "facility_visit_no", body["facility_visit_no"]) == 0
