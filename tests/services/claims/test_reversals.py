"""Reversals: a new negative settlement, once; what it took from the year's counters comes back."""

from __future__ import annotations

from tests.services.claims.fixtures import MakeHis
from tests.services.claims.seeds import Owner, discharge, fee_line, fresh, key, one_call, reversal
from tests.services.claims.test_stays import AMOUNTS, admitted, charged, codes

FEN = [name for name in AMOUNTS if name.endswith("_fen")]


async def test_a_reversed_stay_is_open_again_and_settled_anew(his: MakeHis, owner: Owner) -> None:
    person, hospital = await owner.person(), his(await owner.facility())
    visit = await admitted(hospital, person)
    await charged(hospital, visit, fee_line("1"))
    settled = (await hospital.post(f"/v1/visits/{visit}/settlement", json=discharge("1500.00"), headers=key())).json()

    body = reversal()
    answer = await hospital.post(f"/v1/settlements/{settled['settlement_id']}/reversal", json=body, headers=key())
    assert answer.status_code == 201, answer.text
    reversed_ = answer.json()
    assert {name: reversed_[name] for name in FEN} == {name: -settled[name] for name in FEN}
    assert reversed_["reverses_settlement_id"] == settled["settlement_id"]
    assert reversed_["facility_settlement_no"] == body["facility_settlement_no"]
    assert await owner.used(person) == {}
    assert (await hospital.get(f"/v1/visits/{visit}")).json()["state"] == "open"
    assert (await hospital.get(f"/v1/settlements/{settled['settlement_id']}")).json() == settled, "never edited"

    await charged(hospital, visit, fee_line("2", quantity="-1", voids="1"))
    again = await hospital.post(f"/v1/visits/{visit}/settlement", json=discharge("750.00"), headers=key())
    assert again.status_code == 201, again.text
    # 500 yuan deductible, then 75 %.
    assert again.json()["fund_fen"] == 18_750
    assert await owner.used(person) == {
        "admissions": 1,
        "residents-inpatient-fund": 18_750,
        "serious-deductible": 56_250,
        "serious-sum": 56_250,
    }
    assert await owner.count("settlement", "visit_id", visit) == 3


async def test_a_reversed_outpatient_visit_is_over(his: MakeHis, owner: Owner) -> None:
    person, clinic = await owner.person(), his(await owner.facility())
    settled = (await clinic.post("/v1/settlements", json=one_call(person), headers=key())).json()
    path = f"/v1/settlements/{settled['settlement_id']}/reversal"
    assert (await clinic.post(path, json=reversal(), headers=key())).status_code == 201
    assert (await clinic.get(f"/v1/visits/{settled['visit_id']}")).json()["state"] == "cancelled"
    assert await owner.used(person) == {}


async def test_a_settlement_is_reversed_once(his: MakeHis, owner: Owner) -> None:
    person, clinic = await owner.person(), his(await owner.facility())
    settled = (await clinic.post("/v1/settlements", json=one_call(person), headers=key())).json()
    path, body, header = f"/v1/settlements/{settled['settlement_id']}/reversal", reversal(), key()
    first, same = [await clinic.post(path, json=body, headers=header) for _ in range(2)]
    assert same.content == first.content
    second = await clinic.post(path, json=reversal(), headers=key())
    assert (second.status_code, codes(second)) == (409, ["already-reversed"])
    assert await owner.count("settlement", "reverses_settlement_id", settled["settlement_id"]) == 1
    assert await owner.used(person) == {}


async def test_a_reversal_is_not_reversed(his: MakeHis, owner: Owner) -> None:
    person, clinic = await owner.person(), his(await owner.facility())
    settled = (await clinic.post("/v1/settlements", json=one_call(person), headers=key())).json()
    path = f"/v1/settlements/{settled['settlement_id']}/reversal"
    negative = (await clinic.post(path, json=reversal(), headers=key())).json()
    refused = await clinic.post(f"/v1/settlements/{negative['settlement_id']}/reversal", json=reversal(), headers=key())
    assert (refused.status_code, codes(refused)) == (409, ["is-a-reversal"])
    assert await owner.used(person) == {}


async def test_only_the_facility_that_settled_reverses(his: MakeHis, owner: Owner) -> None:
    clinic, stranger = his(await owner.facility()), his(await owner.facility())
    settled = (await clinic.post("/v1/settlements", json=one_call(await owner.person()), headers=key())).json()
    settlement_id = settled["settlement_id"]
    answers = [
        await stranger.post(f"/v1/settlements/{settlement_id}/reversal", json=reversal(), headers=key()),
        await stranger.get(f"/v1/settlements/{settlement_id}"),
        await clinic.post(f"/v1/settlements/{'0' * 26}/reversal", json=reversal(), headers=key()),
    ]
    assert [(answer.status_code, codes(answer)) for answer in answers] == [(404, ["settlement-unknown"])] * 3


async def test_a_reversal_takes_a_number_of_its_own(his: MakeHis, owner: Owner) -> None:
    clinic = his(await owner.facility())
    settled = (await clinic.post("/v1/settlements", json=one_call(await owner.person()), headers=key())).json()
    path = f"/v1/settlements/{settled['settlement_id']}/reversal"
    taken = reversal(facility_settlement_no=settled["facility_settlement_no"])
    refused = await clinic.post(path, json=taken, headers=key())
    assert (refused.status_code, codes(refused)) == (409, ["settlement-number-taken"])
    free = reversal(facility_settlement_no=fresh("TF"))
    assert (await clinic.post(path, json=free, headers=key())).status_code == 201


async def test_what_a_reversed_bill_used_up_serves_the_next_one(his: MakeHis, owner: Owner) -> None:
    """Residents' outpatient cap is 600 yuan: used up by the first bill, given back, used by the third."""
    person, clinic = await owner.person(), his(await owner.facility(level="1"))
    first = (await clinic.post("/v1/settlements", json=one_call(person), headers=key())).json()
    second = (await clinic.post("/v1/settlements", json=one_call(person), headers=key())).json()
    assert (first["fund_fen"], second["fund_fen"]) == (60_000, 0)
    await clinic.post(f"/v1/settlements/{first['settlement_id']}/reversal", json=reversal(), headers=key())
    third = (await clinic.post("/v1/settlements", json=one_call(person), headers=key())).json()
    assert third["fund_fen"] == 60_000
    assert await owner.used(person) == {"residents-outpatient-fund": 60_000}
