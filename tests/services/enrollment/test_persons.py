"""Persons through the interface: enrolment, masks, corrections, look-up, contacts; and encryption at rest."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from deploy.local.cluster import Cluster
from services.enrollment.api import ROUTERS
from shared.events.enrollment import InsuranceChanged, PersonEnrolled
from shared.keys import DATA_KEYS
from shared.personal import PersonalDataKeys
from shared.settings import Settings
from tests.services.enrollment.conftest import Announced, Caller, Enrol, Owner
from tests.services.enrollment.people import (
    CITY,
    FACILITY,
    FAR,
    HOME,
    NEIGHBOUR,
    identity_number,
    insurance,
    person,
    personal_texts,
)


def codes(answer: httpx.Response) -> list[str]:
    """The codes of a refusal."""
    return [error["code"] for error in answer.json()["errors"]]


async def lookup(client: httpx.AsyncClient, **asked: Any) -> httpx.Response:
    return await client.post("/v1/lookups", json={"on": "2026-11-02", **asked})


async def test_an_enrolled_person_is_shown_masked(officer: httpx.AsyncClient) -> None:
    body = person(name="欧阳娜娜", phone="13812345678", bank_account="6222020200112341234")
    answer = await officer.post("/v1/persons", json=body)
    view = answer.json()

    assert answer.status_code == 201
    assert view["identity_number"] == "3" + "*" * 16 + body["identity_number"][-1]
    assert (view["name"], view["phone"], view["bank_account"]) == ("**娜", "138****5678", "*" * 15 + "1234")
    assert view["insurance"]["person_id"] == view["person_id"]
    assert not [text for text in personal_texts(body) if text in answer.text]
    assert (await officer.get(f"/v1/persons/{view['person_id']}")).json() == {
        name: value for name, value in view.items() if name != "insurance"
    }


async def test_what_was_enrolled_is_announced(enrol: Enrol, announced: Announced, settings: Settings) -> None:
    number = identity_number()
    view = await enrol(identity_number=number, insurance=insurance(valid_to="2026-12-31"))
    keys = PersonalDataKeys.from_json((settings.secrets_dir / DATA_KEYS).read_bytes())

    assert await announced(view["person_id"], 2) == [
        PersonEnrolled(person_id=view["person_id"], identity_hash=keys.lookup_hash(number)),
        InsuranceChanged(
            span_id=view["insurance"]["span_id"],
            person_id=view["person_id"],
            insutype="310",
            psn_type="11",
            region=HOME,
            valid_from=date(2026, 1, 1),
            valid_to=date(2026, 12, 31),
            revision=1,
        ),
    ]


async def test_the_same_enrolment_again_is_the_same_person(officer: httpx.AsyncClient) -> None:
    body = person()
    first = await officer.post("/v1/persons", json=body)
    again = await officer.post("/v1/persons", json=body)
    less = await officer.post("/v1/persons", json={k: body[k] for k in ("identity_number", "name")})

    assert (first.status_code, again.status_code, less.status_code) == (201, 200, 200)
    assert first.json() == again.json()
    assert less.json() == {**first.json(), "insurance": None}


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"name": "别人"}, "name"),
        ({"phone": "13900000000", "bank_account": "99999999"}, "phone, bank_account"),
        ({"insurance": insurance(psn_type="12")}, "insurance"),
        ({"insurance": insurance(valid_from="2026-02-01")}, "insurance"),
    ],
)
async def test_another_statement_about_an_enrolled_person_is_refused(
    officer: httpx.AsyncClient, changed: dict[str, Any], fields: str
) -> None:
    body = person()
    await officer.post("/v1/persons", json=body)
    answer = await officer.post("/v1/persons", json={**body, **changed})

    assert (answer.status_code, codes(answer)) == (409, ["enrollment.person-differs"])
    assert answer.json()["errors"][0]["params"] == {"fields": fields}


async def test_twins_enrol_one_person(officer: httpx.AsyncClient, owner: Owner) -> None:
    body = person()
    answers = await asyncio.gather(*(officer.post("/v1/persons", json=body) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["person_id"] for answer in answers}) == 1
    person_id = answers[0].json()["person_id"]
    assert await owner.fetchval("SELECT count(*) FROM insurance_span WHERE person_id = $1", person_id) == 1


async def test_one_identity_number_has_one_spelling(officer: httpx.AsyncClient) -> None:
    number = next(n for n in iter(identity_number, None) if n.endswith("X"))
    upper = await officer.post("/v1/persons", json=person(identity_number=number))
    lower = await lookup(officer, identity_number=number.lower())

    assert lower.json()["person_id"] == upper.json()["person_id"]


async def test_a_passport_is_not_an_identity_card(officer: httpx.AsyncClient) -> None:
    passport = person(certificate_type="08", identity_number="E12345678")
    permit = person(certificate_type="04", identity_number="E12345678")
    first, second = [await officer.post("/v1/persons", json=body) for body in (passport, permit)]
    found = await lookup(officer, certificate_type="04", identity_number="E12345678")

    assert (first.status_code, second.status_code) == (201, 201)
    assert found.json()["person_id"] == second.json()["person_id"] != first.json()["person_id"]


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"identity_number": "329999199001010010"}, ["enrollment.identity-number-invalid"]),
        ({"identity_number": "32999919900229001X"}, ["enrollment.identity-number-invalid"]),
        ({"identity_number": "32999919900101001\u0000"}, ["request.field-invalid"]),
        ({"certificate_type": "09"}, ["request.field-invalid"]),
        ({"name": "李\u202e明"}, ["request.field-invalid"]),
        ({"name": "x" * 51}, ["request.field-invalid"]),
        ({"name": " 李"}, ["request.field-invalid"]),
        ({"name": ""}, ["request.field-invalid"]),
        ({"phone": "call me", "bank_account": "12"}, ["request.field-invalid"] * 2),
        ({"insurance": insurance(valid_from="2025-02-29")}, ["request.field-invalid"]),
        ({"insurance": insurance(valid_from="9999-12-31")}, ["request.field-invalid"]),
        ({"insurance": insurance(since="2026-01-01")}, ["request.field-unknown"]),
        (
            {"insurance": insurance(region="999999", valid_to="2025-01-01"), "identity_number": "329999199001010010"},
            ["enrollment.identity-number-invalid", "enrollment.period-reversed", "enrollment.region-unknown"],
        ),
        ({"insurance": insurance(region=NEIGHBOUR)}, ["auth.not-your-area"]),
    ],
)
async def test_what_an_enrolment_refuses_leaves_nothing(
    officer: httpx.AsyncClient, owner: Owner, changed: dict[str, Any], wrong: list[str]
) -> None:
    before = await owner.fetchval("SELECT count(*) FROM person")
    answer = await officer.post("/v1/persons", json=person(**changed))

    assert codes(answer) == wrong
    assert answer.status_code in (403, 422)
    assert not [text for text in personal_texts(changed) if len(text) > 4 and text in answer.text]
    assert await owner.fetchval("SELECT count(*) FROM person") == before


async def test_lone_surrogates_are_refused(officer: httpx.AsyncClient) -> None:
    answer = await officer.post("/v1/persons", content=b'{"name": "\\ud800", "identity_number": "x"}')
    assert answer.status_code in (400, 422)


async def test_right_to_left_names_are_names(enrol: Enrol) -> None:
    assert (await enrol(name="محمد"))["name"] == "**د"


# Areas


async def test_only_agencies_that_keep_a_person_see_them(enrol: Enrol, caller: Caller) -> None:
    address = f"/v1/persons/{(await enrol())['person_id']}"
    callers = [("officer", HOME), ("reviewer", HOME), ("officer", CITY), ("facility", FACILITY)]
    seen = [(await caller(*who).get(address)).status_code for who in callers]
    foreign = [(await caller("officer", party).get(address)) for party in (NEIGHBOUR, FAR, "nowhere")]

    assert seen == [200] * 4
    assert [(answer.status_code, codes(answer)) for answer in foreign] == [(403, ["auth.not-your-area"])] * 3


async def test_a_person_who_moved_belongs_to_the_new_agency(enrol: Enrol, caller: Caller) -> None:
    view = await enrol(insurance=insurance(valid_to="2026-03-31"))
    new = caller("officer", NEIGHBOUR)
    moved = await new.post(
        f"/v1/persons/{view['person_id']}/insurance-spans",
        json=insurance(region=NEIGHBOUR, valid_from="2026-04-01"),
    )
    change = {"name": "新名", "phone": None, "bank_account": None}

    assert moved.status_code == 201
    assert (await new.put(f"/v1/persons/{view['person_id']}", json=change)).status_code == 200
    assert (await caller("officer", HOME).put(f"/v1/persons/{view['person_id']}", json=change)).status_code == 403


async def test_a_person_without_insurance_is_kept_by_who_enrolled_them(enrol: Enrol, caller: Caller) -> None:
    address = f"/v1/persons/{(await enrol(insurance=None))['person_id']}"
    assert (await caller("officer", HOME).get(address)).status_code == 200
    assert (await caller("officer", NEIGHBOUR).get(address)).status_code == 403


async def test_whoever_is_no_agency_enrols_nobody(caller: Caller) -> None:
    answer = await caller("officer", "nowhere").post("/v1/persons", json=person(insurance=None))
    assert (answer.status_code, codes(answer)) == (403, ["auth.not-your-area"])


async def test_an_unknown_person(officer: httpx.AsyncClient) -> None:
    unknown = "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q"
    answers = [
        await officer.get(f"/v1/persons/{unknown}"),
        await officer.put(f"/v1/persons/{unknown}", json={"name": "x", "phone": None, "bank_account": None}),
        await officer.get(f"/v1/persons/{unknown}/insurance-spans"),
        await officer.get(f"/v1/persons/{unknown}/filings"),
        await officer.post(f"/v1/persons/{unknown}/insurance-spans", json=insurance()),
        await lookup(officer, person_id=unknown),
    ]
    assert [(a.status_code, codes(a)) for a in answers] == [(404, ["enrollment.person-unknown"])] * 6


# Corrections


async def test_a_correction_replaces_and_removes(enrol: Enrol, officer: httpx.AsyncClient) -> None:
    person_id = (await enrol())["person_id"]
    change = {"name": "王大明", "phone": "+86 138-0000-1111", "bank_account": None}
    changed = (await officer.put(f"/v1/persons/{person_id}", json=change)).json()
    again = (await officer.put(f"/v1/persons/{person_id}", json=change)).json()

    assert (changed["name"], changed["phone"][-4:], changed["bank_account"]) == ("**明", "1111", None)
    assert (changed["revision"], again) == (2, changed)


async def test_a_correction_names_every_field(enrol: Enrol, officer: httpx.AsyncClient) -> None:
    answer = await officer.put(f"/v1/persons/{(await enrol())['person_id']}", json={"name": "王"})
    assert codes(answer) == ["request.field-missing"] * 2


# Look-up


@pytest.mark.parametrize(
    ("day", "kinds"),
    [("2025-12-31", []), ("2026-01-01", ["310", "510"]), ("2026-06-30", ["310", "510"]), ("2026-07-01", ["510"])],
)
async def test_who_is_insured_on_a_day(
    enrol: Enrol, officer: httpx.AsyncClient, caller: Caller, day: str, kinds: list[str]
) -> None:
    number = identity_number()
    view = await enrol(identity_number=number, name="李雷", insurance=insurance(valid_to="2026-06-30"))
    await officer.post(f"/v1/persons/{view['person_id']}/insurance-spans", json=insurance(insutype="510"))
    by_card = (await lookup(caller("facility", FACILITY), identity_number=number, on=day)).json()
    by_number = (await lookup(caller("partner", FAR), person_id=view["person_id"], on=day)).json()

    assert by_card == by_number
    assert [span["insutype"] for span in by_card["insurance"]] == kinds
    assert (by_card["person_id"], by_card["name"], by_card["on"]) == (view["person_id"], "*雷", day)
    assert number not in str(by_card)


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({}, ["request.field-invalid"]),
        ({"person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q", "identity_number": "x" * 18}, ["request.field-invalid"]),
        (
            {"identity_number": "329999199001010010", "care_region": "000000"},
            ["enrollment.identity-number-invalid", "enrollment.region-unknown"],
        ),
    ],
)
async def test_what_a_look_up_refuses(officer: httpx.AsyncClient, asked: dict[str, str], wrong: list[str]) -> None:
    answer = await lookup(officer, **asked)
    assert (answer.status_code, codes(answer)) == (422, wrong)


# Contacts


async def test_contacts_are_for_services(enrol: Enrol, caller: Caller) -> None:
    first, second = await enrol(name="韩梅", phone="13811112222"), await enrol(name="韩雪", phone=None)
    asked = {"person_ids": [second["person_id"], first["person_id"], "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q"]}
    answer = await caller("service", "notification").post("/v1/internal/contacts", json=asked)
    others = [("officer", HOME), ("facility", FACILITY), ("operator", "ops"), ("reviewer", HOME), ("finance", HOME)]

    assert sorted(answer.json(), key=lambda c: c["name"]) == [
        {"person_id": first["person_id"], "name": "韩梅", "phone": "13811112222"},
        {"person_id": second["person_id"], "name": "韩雪", "phone": None},
    ]
    for who in others:
        assert (await caller(*who).post("/v1/internal/contacts", json=asked)).status_code == 403


@pytest.mark.parametrize("count", [0, 501])
async def test_contacts_are_bounded(caller: Caller, count: int) -> None:
    asked = {"person_ids": ["01KAJ5T1D4GQ7X8Z2V3N4M5P6Q"] * count}
    assert (await caller("service", "notification").post("/v1/internal/contacts", json=asked)).status_code == 422


# At rest


async def test_personal_data_is_nowhere_in_the_clear(
    officer: httpx.AsyncClient, owner: Owner, services: Cluster
) -> None:
    body = person(name="司马青衫", phone="13577778888", bank_account="6228480402564890018")
    person_id = (await officer.post("/v1/persons", json=body)).json()["person_id"]
    await officer.put(f"/v1/persons/{person_id}", json={k: body[k] for k in ("name", "phone")} | {"bank_account": None})
    await officer.put(f"/v1/persons/{person_id}", json={k: body[k] for k in ("name", "phone", "bank_account")})
    await officer.post("/v1/persons", json={**body, "name": "司马"})
    tables = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'enrollment'")
    stored = [str(await owner.fetch(f"SELECT t::text FROM {table['tablename']} AS t")) for table in tables]
    log = (services.folders.logs / "enrollment.log").read_text()

    assert len(tables) >= 8
    assert any(person_id in rows for rows in stored)
    for text in (*personal_texts(body), "司马"):
        assert not [table for table in [*stored, log] if text in table]


def test_no_address_carries_personal_data() -> None:
    paths = [route.path for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    parameters = {part for path in paths for part in path.split("/") if "{" in part}
    assert parameters == {"{person_id}", "{span_id}", "{filing_id}"}
