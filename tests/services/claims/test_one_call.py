"""Outpatient and pharmacy bills settled in one call, and what idempotency promises about them."""

from __future__ import annotations

import pytest

from tests.services.claims.fixtures import MakeHis
from tests.services.claims.seeds import (
    CHANGSHA,
    HUAIYANG,
    LUYI,
    NANYANG,
    Owner,
    discharge,
    fee_line,
    fresh,
    hours_ago,
    key,
    one_call,
)
from tests.services.claims.test_stays import AMOUNTS, admitted, charged, codes


@pytest.mark.parametrize(("kind", "clr_type"), [("outpatient", "11"), ("pharmacy", "41")])
async def test_a_bill_is_settled_as_quoted(his: MakeHis, owner: Owner, kind: str, clr_type: str) -> None:
    person, clinic = await owner.person(insutype="310", psn_type="11"), his(await owner.facility(level="1"))
    body = one_call(person, fee_line("1"), fee_line("2", item_class="02", price="50.00"), kind=kind)
    quote = (await clinic.post("/v1/quotes", json=body)).json()
    settled = await clinic.post("/v1/settlements", json=body, headers=key())
    assert settled.status_code == 201, settled.text
    settlement = settled.json()
    assert {name: settlement[name] for name in AMOUNTS} == quote
    # 1500 + 100 of which 10 first; 200 yuan deductible, then 60 %.
    assert (settlement["prepay_fen"], settlement["deductible_fen"], settlement["fund_fen"]) == (1_000, 20_000, 83_400)
    assert (settlement["clr_type"], settlement["pay_loc"], settlement["kind"]) == (clr_type, "2", kind)
    assert await owner.used(person) == {
        "employees-outpatient-deductible": 20_000,
        "employees-outpatient-fund": 83_400,
    }


async def test_a_person_may_be_named_by_identity_number(his: MakeHis, owner: Owner) -> None:
    unknown = {"person": {"identity_number": "110101199003074530"}}
    refused = await his(await owner.facility()).post("/v1/quotes", json={**one_call("0" * 26), **unknown})
    assert codes(refused) == ["person-unknown"]
    assert "110101199003074530" not in refused.text


async def test_outpatient_and_inpatient_have_counters_of_their_own(his: MakeHis, owner: Owner) -> None:
    person, clinic = await owner.person(insutype="310", psn_type="11"), his(await owner.facility(level="1"))
    for kind in ("outpatient", "pharmacy", "outpatient"):
        answer = await clinic.post("/v1/settlements", json=one_call(person, kind=kind), headers=key())
        assert answer.status_code == 201
    # One deductible of 200; 4500 - 200 at 60 % over three bills.
    assert await owner.used(person) == {
        "employees-outpatient-deductible": 20_000,
        "employees-outpatient-fund": 258_000,
    }
    stay = await admitted(clinic, person)
    await charged(clinic, stay, fee_line())
    settled = await clinic.post(f"/v1/visits/{stay}/settlement", json=discharge("1500.00"), headers=key())
    # 200 deductible at level 1 once more, then 92 %.
    assert (settled.json()["deductible_fen"], settled.json()["fund_fen"]) == (20_000, 119_600)
    assert await owner.used(person) == {
        "admissions": 1,
        "employees-inpatient-fund": 119_600,
        "employees-outpatient-deductible": 20_000,
        "employees-outpatient-fund": 258_000,
    }


async def test_the_cap_of_the_year_is_kept(his: MakeHis, owner: Owner) -> None:
    """Residents' outpatient care pays 600 yuan a year at most."""
    person, clinic = await owner.person(), his(await owner.facility(level="1"))
    paid = []
    for _ in range(3):
        settled = (
            await clinic.post("/v1/settlements", json=one_call(person, fee_line(price="300.00")), headers=key())
        ).json()
        paid.append((settled["fund_fen"], settled["over_cap_fen"]))
    assert paid == [(36_000, 0), (24_000, 12_000), (0, 36_000)]


async def test_the_same_key_and_body_get_the_same_answer(his: MakeHis, owner: Owner) -> None:
    person, clinic = await owner.person(), his(await owner.facility())
    body, header = one_call(person), key()
    first, second = [await clinic.post("/v1/settlements", json=body, headers=header) for _ in range(2)]
    assert (first.status_code, first.content) == (second.status_code, second.content) == (201, first.content)
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert await owner.count("settlement", "person_id", person) == 1
    # The order of members and white space make no other request.
    reordered = dict(reversed(body.items()))
    assert (await clinic.post("/v1/settlements", json=reordered, headers=header)).content == first.content


async def test_the_same_key_for_another_request_is_refused(his: MakeHis, owner: Owner) -> None:
    person, clinic = await owner.person(), his(await owner.facility())
    body, header = one_call(person), key()
    settled = (await clinic.post("/v1/settlements", json=body, headers=header)).json()
    other = await clinic.post("/v1/settlements", json=one_call(person), headers=header)
    assert (other.status_code, codes(other)) == (409, ["idempotency.key-reused"])
    reversal = {"facility_settlement_no": fresh("TF"), "reason": "退费"}
    path = f"/v1/settlements/{settled['settlement_id']}/reversal"
    operation = await clinic.post(path, json=reversal, headers=header)
    assert (operation.status_code, codes(operation)) == (409, ["idempotency.key-reused"])


async def test_a_key_belongs_to_its_facility(his: MakeHis, owner: Owner) -> None:
    header = key()
    clinics = [his(await owner.facility()) for _ in range(2)]
    answers = [await c.post("/v1/settlements", json=one_call(await owner.person()), headers=header) for c in clinics]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["settlement_id"] != answers[1].json()["settlement_id"]


async def test_a_refused_request_leaves_nothing_and_its_key_free(his: MakeHis, owner: Owner) -> None:
    person, clinic, header = await owner.person(), his(await owner.facility()), key()
    body = one_call(person)
    before = await owner.row_counts()
    refused = await clinic.post("/v1/settlements", json={**body, "total_fen": 1}, headers=header)
    assert (refused.status_code, codes(refused)) == (422, ["sum-wrong"])
    assert await owner.row_counts() == before
    asked = await clinic.get("/v1/requests", headers=header)
    assert (asked.status_code, codes(asked)) == (404, ["idempotency.key-unknown"])
    assert (await clinic.post("/v1/settlements", json=body, headers=header)).status_code == 201


async def test_a_his_asks_what_became_of_its_request(his: MakeHis, owner: Owner) -> None:
    clinic, stranger, header = his(await owner.facility()), his(await owner.facility()), key()
    settled = await clinic.post("/v1/settlements", json=one_call(await owner.person()), headers=header)
    asked = await clinic.get("/v1/requests", headers=header)
    assert (asked.status_code, asked.content) == (201, settled.content)
    assert (await stranger.get("/v1/requests", headers=header)).status_code == 404


@pytest.mark.parametrize("header", [{}, {"Idempotency-Key": "short"}, {"Idempotency-Key": "x" * 65}])
async def test_money_does_not_move_without_a_key(his: MakeHis, owner: Owner, header: dict[str, str]) -> None:
    body = one_call(await owner.person())
    refused = await his(await owner.facility()).post("/v1/settlements", json=body, headers=header)
    assert (refused.status_code, codes(refused)) == (400, ["idempotency.key-missing"])
    assert await owner.count("visit", "facility_visit_no", body["facility_visit_no"]) == 0


@pytest.mark.parametrize(
    ("number", "code"),
    [("facility_visit_no", "visit-number-taken"), ("facility_settlement_no", "settlement-number-taken")],
)
async def test_a_facility_uses_its_numbers_once(his: MakeHis, owner: Owner, number: str, code: str) -> None:
    person, clinic = await owner.person(), his(await owner.facility())
    body = one_call(person)
    assert (await clinic.post("/v1/settlements", json=body, headers=key())).status_code == 201
    again = await clinic.post("/v1/settlements", json={**one_call(person), number: body[number]}, headers=key())
    assert (again.status_code, codes(again)) == (409, [code])
    error = again.json()["errors"][0]
    assert (error["pointer"], error["params"]) == (f"/{number}", {"number": body[number]})
    assert await owner.count("settlement", "person_id", person) == 1


async def test_everything_wrong_with_a_bill_is_named_at_once(his: MakeHis, owner: Owner) -> None:
    body = one_call(
        "0" * 26,
        {**fee_line("1"), "amount_fen": 1},
        fee_line("1", hours=9),
        fee_line("2", quantity="-1", price="1.00"),
        fee_line("3", quantity="-1", price="1.00", voids="7"),
        {**fee_line("4"), "item_class": "77"},
        med_type="9999",
        ended_at=hours_ago(-2),
        total_fen=5,
    )
    refused = await his(await owner.facility(suspended=True)).post("/v1/settlements", json=body, headers=key())
    assert refused.status_code == 422
    assert set(codes(refused)) == {
        "in-the-future",
        "line-number-twice",
        "line-amount-wrong",
        "line-outside-visit",
        "negative-line-voids-nothing",
        "void-of-unknown-line",
        "sum-wrong",
        "code-unknown",
        "facility-suspended",
        "person-unknown",
    }
    assert codes(refused).count("code-unknown") == 2


async def test_remote_care_by_policy(his: MakeHis, owner: Owner) -> None:
    """Residents of Zhoukou at a clinic of level 1: 60 %; elsewhere 60 % of that without a filing, 85 % with a referral.
    Its pooling area is one: from the next county nothing has to be filed.
    """
    next_door, elsewhere = his(await owner.facility(level="1")), his(await owner.facility(NANYANG, level="1"))
    ratios = {}
    for clinic, care, pay_loc in ((next_door, HUAIYANG, "6"), (elsewhere, NANYANG, "3")):
        for filed in (False, True):
            person = await owner.person(region=LUYI)
            if filed:
                await owner.filing(person, care)
            settled = (await clinic.post("/v1/settlements", json=one_call(person), headers=key())).json()
            ratios[care, filed] = settled["ratio"]
            assert (settled["home_region"], settled["care_region"], settled["pay_loc"]) == (LUYI, care, pay_loc)
    assert ratios == {
        (HUAIYANG, False): "0.600000",
        (HUAIYANG, True): "0.600000",
        (NANYANG, False): "0.360000",
        (NANYANG, True): "0.510000",
    }
    clinic = elsewhere
    # Changsha's people fall under the national default, which refuses without a filing.
    refused = await clinic.post("/v1/settlements", json=one_call(await owner.person(region=CHANGSHA)), headers=key())
    assert (refused.status_code, codes(refused)) == (422, ["remote-without-filing"])
    emergency = one_call(await owner.person(region=CHANGSHA), emergency=True)
    assert (await clinic.post("/v1/settlements", json=emergency, headers=key())).status_code == 201


async def test_a_facility_lists_its_month(his: MakeHis, owner: Owner) -> None:
    facility = await owner.facility()
    clinic, person = his(facility), await owner.person()
    made = [(await clinic.post("/v1/settlements", json=one_call(person), headers=key())).json() for _ in range(3)]
    period = made[0]["settled_at"][:7]
    listed = (await clinic.get("/v1/settlements", params={"period": period, "limit": 2})).json()
    rest = (await clinic.get("/v1/settlements", params={"period": period, "cursor": listed["next_cursor"]})).json()
    assert [*listed["items"], *rest["items"]] == made
    assert (await clinic.get("/v1/settlements", params={"period": "2020-01"})).json()["items"] == []
