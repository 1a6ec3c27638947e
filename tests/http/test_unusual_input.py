"""Unusual input that is right: it is taken as it is, kept word for word, and never run."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.conftest import MakeClient, MakeToken
from tests.flow import done
from tests.services.claims.fixtures import MakeHis
from tests.services.claims.seeds import Owner, fee_line, fresh, hours_ago, key, one_call, reversal
from tests.services.enrollment import people

FRAGMENTS = [
    "'; DROP TABLE claims.visit; --",
    "{{7*7}} ${jndi:ldap://127.0.0.1/x} {0.__class__} %(x)s %n",
    "<script>alert(1)</script>",
    "\\0 \\u0000 \\' \"",
]


@pytest.mark.parametrize("fragment", FRAGMENTS)
async def test_fragments_of_other_languages_are_words(his: MakeHis, owner: Owner, fragment: str) -> None:
    clinic = his(await owner.facility())
    settled = done(await clinic.post("/v1/settlements", json=one_call(await owner.person()), headers=key()))
    path = f"/v1/settlements/{settled['settlement_id']}/reversal"
    negative = done(await clinic.post(path, json=reversal(reason=fragment), headers=key()))
    kept = await owner.connection.fetchval(
        "SELECT reason FROM claims.settlement WHERE settlement_id = $1", negative["settlement_id"]
    )
    assert kept == fragment


@pytest.mark.parametrize(
    "name",
    ["محمد الأمين", "יוסף", "买买提·吐尔逊", "O'Brien-Ñandú", "王", "𠮷野家", "王" * 50],
    ids=["Arabic", "Hebrew", "Uyghur", "accents", "one letter", "beyond the basic plane", "longest"],
)
async def test_names_of_all_scripts(client: MakeClient, token: MakeToken, name: str) -> None:
    officer = client("enrollment", token("officer", people.HOME))
    enrolled = done(await officer.post("/v1/persons", json=people.person(name=name)))
    assert name not in enrolled["name"]
    assert "*" in enrolled["name"]


@pytest.mark.parametrize("offset_h", [14, 8, 0, -12])
async def test_moments_of_all_time_zones_are_the_same_moment(his: MakeHis, owner: Owner, offset_h: int) -> None:
    clinic = his(await owner.facility())
    ended = datetime.fromisoformat(hours_ago(1)).astimezone(timezone(timedelta(hours=offset_h)))
    body = one_call(await owner.person(), ended_at=ended.isoformat())
    settled = done(await clinic.post("/v1/settlements", json=body, headers=key()))
    visit = done(await clinic.get(f"/v1/visits/{settled['visit_id']}"))
    assert datetime.fromisoformat(visit["ended_at"]) == ended


async def test_the_largest_bill_that_is_taken(his: MakeHis, owner: Owner) -> None:
    lines = [fee_line(str(n), price="0.01", quantity="1") for n in range(500)]
    settled = done(
        await his(await owner.facility()).post(
            "/v1/settlements", json=one_call(await owner.person(), *lines), headers=key()
        )
    )
    assert settled["total_fen"] == 500


async def test_numbers_as_text_or_as_numbers(his: MakeHis, owner: Owner) -> None:
    """Quantity and price are exact either way; 0.015 yuan three times is 4.5 fen, which go up."""
    clinic = his(await owner.facility())
    as_text = {**fee_line(quantity="3", price="0.015"), "line_no": fresh("L")}
    as_numbers = {**as_text, "quantity": 3, "unit_price": 0.015, "line_no": fresh("L")}
    assert as_text["amount_fen"] == 5
    settled = await clinic.post(
        "/v1/settlements", json=one_call(await owner.person(), as_text, as_numbers), headers=key()
    )
    assert done(settled)["total_fen"] == 10


async def test_a_key_of_every_visible_character(his: MakeHis, owner: Owner) -> None:
    visible = "".join(map(chr, range(0x21, 0x7F)))
    clinic, person = his(await owner.facility()), await owner.person()
    for header in (visible[:64], visible[-64:], "';DROP--"):
        settled = await clinic.post("/v1/settlements", json=one_call(person), headers={"Idempotency-Key": header})
        asked = await clinic.get("/v1/requests", headers={"Idempotency-Key": header})
        assert done(asked) == done(settled)
