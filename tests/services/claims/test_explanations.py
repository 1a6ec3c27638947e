"""Why a settlement came to what it did: its stored record, for the patient, the officer and a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from shared.money import yuan
from shared.policy.decision import PARTS
from shared.policy.record import steps_of
from shared.policy.working import WorkingError, recompute
from tests.conftest import MakeClient, MakeToken
from tests.flow import done
from tests.services.claims.fixtures import MakeHis
from tests.services.claims.seeds import (
    HUAIYANG,
    LUYI,
    NANYANG,
    ZHOUKOU,
    Json,
    Owner,
    discharge,
    fee_line,
    key,
    one_call,
    reversal,
)
from tests.services.claims.test_stays import admitted, charged, codes

READERS = ("patient", "officer", "machine")
LANGUAGES = ("zh", "en")


@dataclass(frozen=True)
class Settled:
    """A settlement, and the facility that made it."""

    his: httpx.AsyncClient
    view: Json

    async def explained(
        self, reader: str | None = None, *, by: httpx.AsyncClient | None = None, **headers: str
    ) -> httpx.Response:
        path = f"/v1/settlements/{self.view['settlement_id']}/explanation"
        params = {"reader": reader} if reader else {}
        return await (by or self.his).get(
            path, params=params, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )


BILLS: Mapping[str, Json] = {
    "a resident's stay with serious illness": {"price": "150000.00", "stay": True},
    "a resident's stay below the deductible": {"price": "10.00", "stay": True},
    "an employee's stay": {"insutype": "310", "psn_type": "1201", "stay": True},
    "a resident's visit over the limit of the year": {},
    "an employee's purchase": {"insutype": "310", "psn_type": "11", "kind": "pharmacy"},
    "a bill of nothing that is covered": {"item_class": "03"},
    "away from home without a filing": {"care": NANYANG},
    "an emergency far from home": {"home": "430102", "emergency": True},
}


async def settle(his: MakeHis, owner: Owner, bill: Json) -> Settled:
    """A bill of three lines, one of them voided."""
    hospital = his(await owner.facility(bill.get("care", HUAIYANG)))
    person = await owner.person(bill.get("home", HUAIYANG), bill.get("insutype", "390"), bill.get("psn_type", "15"))
    lines = [
        fee_line("1", price=bill.get("price", "750.00"), item_class=bill.get("item_class", "01")),
        fee_line("2", price="33.33", item_class=bill.get("item_class", "02")),
        fee_line("3", price="9.99", item_class="03"),
        fee_line("4", price="33.33", item_class=bill.get("item_class", "02"), quantity="-1", voids="2"),
    ]
    total_fen = sum(line["amount_fen"] for line in lines)
    if not bill.get("stay"):
        body = one_call(person, *lines, kind=bill.get("kind", "outpatient"), emergency=bill.get("emergency", False))
        return Settled(hospital, done(await hospital.post("/v1/settlements", json=body, headers=key())))
    visit = await admitted(hospital, person)
    assert (await charged(hospital, visit, *lines)).is_success
    ending = discharge(yuan(total_fen).replace(",", ""))
    answer = await hospital.post(f"/v1/visits/{visit}/settlement", json=ending, headers=key())
    return Settled(hospital, done(answer))


@pytest.fixture(params=BILLS)
async def settled(request: pytest.FixtureRequest, his: MakeHis, owner: Owner) -> Settled:
    return await settle(his, owner, BILLS[request.param])


@pytest.fixture
async def plain(his: MakeHis, owner: Owner) -> Settled:
    return await settle(his, owner, {})


async def test_the_machines_steps_come_to_the_settlement(settled: Settled) -> None:
    told = done(await settled.explained("machine"))
    view = settled.view
    assert (told["policy"], told["reader"], told["lines"]) == (view["policy"], "machine", [])
    steps = steps_of(told["steps"])
    results = recompute(steps)
    assert (results["fund"], results["person"], results["total"]) == tuple(
        view[f"{name}_fen"] for name in ("fund", "person", "total")
    )
    assert {name: results[name] for name in ("own", "over_ceiling", "prepay", "in_scope", "cash")} == {
        name: view[f"{name}_fen"] for name in ("own", "over_ceiling", "prepay", "in_scope", "cash")
    }
    parts = dict(zip(PARTS, results["parts"], strict=True))
    assert (parts["deductible"], sum(parts.values())) == (view["deductible_fen"], view["person_fen"])
    funds = [value for name, value in results.items() if name.endswith(".fund")]
    assert sum(funds) == sum(view["shares"].values()) == view["fund_fen"]
    assert results["benefit"] == view["benefit"]
    assert {clause for step in steps for clause in step.clauses} == set(told["clauses"])
    assert all(told["clauses"].values())


async def test_a_record_that_was_changed_does_not_come_out(plain: Settled) -> None:
    """The check above is one that can fail."""
    told = done(await plain.explained("machine"))
    changed = 0
    for number, step in enumerate(told["steps"]):
        if not isinstance(step["result"], int) or isinstance(step["result"], bool):
            continue
        wrong = [*told["steps"][:number], {**step, "result": step["result"] + 1}, *told["steps"][number + 1 :]]
        with pytest.raises(WorkingError):
            recompute(steps_of(wrong))
        changed += 1
    assert changed > 10


@pytest.mark.parametrize("language", LANGUAGES)
async def test_patient_and_officer_are_told_in_their_language(settled: Settled, language: str) -> None:
    view = settled.view
    for reader in ("patient", "officer"):
        told = done(await settled.explained(reader, Accept_Language=language))
        assert (told["reader"], told["language"], told["steps"]) == (reader, language, [])
        text = "\n".join(told["lines"])
        for name in ("total_fen", "person_fen", "fund_fen", "deductible_fen"):
            assert not view[name] or f"{view[name] / 100:,.2f}" in text, f"{name} is not told to the {reader}"
        assert ("元" in text) is (language == "zh")
        assert told["clauses"]
        if not view["fund_fen"]:
            nothing = {"zh": ("未支付", "没有"), "en": ("nothing", "not ", "no ")}[language]
            assert any(word in text for word in nothing), "a zero says why"


async def test_without_a_word_it_is_for_the_patient_in_chinese(plain: Settled) -> None:
    told = done(await plain.explained())
    assert (told["reader"], told["language"]) == ("patient", "zh")
    assert told == done(await plain.explained("patient", Accept_Language="zh-CN,en;q=0.5"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reader", READERS)
async def test_a_page_to_print(settled: Settled, reader: str, language: str) -> None:
    answer = await settled.explained(reader, Accept="text/html", Accept_Language=language)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<!DOCTYPE html>")
    assert settled.view["settlement_id"] in answer.text
    assert f"{settled.view['person_fen'] / 100:,.2f}" in answer.text
    assert ("待遇计算说明" in answer.text) is (language == "zh")


async def test_it_holds_nothing_personal(plain: Settled) -> None:
    for reader in READERS:
        text = (await plain.explained(reader)).text
        assert plain.view["person_id"] not in text
        assert plain.view["facility_code"] not in text


@pytest.mark.parametrize("reader", ["nurse", "", "PATIENT"])
async def test_a_reader_nobody_knows_is_refused(plain: Settled, reader: str) -> None:
    path = f"/v1/settlements/{plain.view['settlement_id']}/explanation"
    refused = await plain.his.get(path, params={"reader": reader})
    assert (refused.status_code, codes(refused)) == (422, ["request.field-invalid"])


async def test_a_reversal_has_none_and_the_settlement_keeps_its_own(plain: Settled) -> None:
    before = (await plain.explained("machine")).content
    path = f"/v1/settlements/{plain.view['settlement_id']}/reversal"
    negative = Settled(plain.his, done(await plain.his.post(path, json=reversal(), headers=key())))
    refused = await negative.explained()
    assert (refused.status_code, codes(refused)) == (404, ["no-explanation"])
    assert (await plain.explained("machine")).content == before


async def test_what_nobody_settled_is_not_explained(plain: Settled) -> None:
    answer = await plain.his.get(f"/v1/settlements/{'0' * 26}/explanation")
    assert (answer.status_code, codes(answer)) == (404, ["settlement-unknown"])


async def test_who_may_read_it(his: MakeHis, owner: Owner, client: MakeClient, token: MakeToken) -> None:
    """Home in Luyi, care in Nanyang: both their agencies and those above them, and nobody else."""
    settled = await settle(his, owner, {"home": LUYI, "care": NANYANG})
    allowed: dict[tuple[str, str], bool] = {
        ("facility", await owner.facility(NANYANG)): False,
        **{
            (role, party): may
            for role in ("officer", "reviewer")
            for party, may in (
                (LUYI, True),
                (ZHOUKOU, True),
                ("410000", True),
                ("100000", True),
                (NANYANG, True),
                (HUAIYANG, False),
                ("411302", False),
                ("341700", False),
                ("340000", False),
                ("999999", False),
            )
        },
    }
    found: dict[tuple[str, str], Any] = {}
    for role, party in allowed:
        answer = await settled.explained(by=client("claims", token(role, party)))
        assert answer.status_code == 200 or (answer.status_code, codes(answer)) == (404, ["settlement-unknown"])
        found[role, party] = answer.status_code == 200
    assert found == allowed
