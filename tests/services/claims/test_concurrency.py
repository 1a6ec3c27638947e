"""Twins and crowds at two real claims processes: one effect a request, and nobody's deductible or cap misused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from deploy.local.cluster import Cluster
from tests.conftest import TLS, MakeToken
from tests.services.claims.fixtures import MakeHis
from tests.services.claims.seeds import Json, Owner, admission, discharge, fee_line, key, one_call, reversal


@pytest.fixture(scope="module")
def second_claims(services: Cluster) -> Iterator[str]:
    """The address of a second process of claims, for as long as this module runs."""
    name = services.start_another("claims")
    port = services.process(name).program.environment["SIFANG_CLAIMS_PORT"]
    yield f"http://127.0.0.1:{port}"
    services.stop_part(name)


@pytest.fixture
async def windows(
    services: Cluster, second_claims: str, owner: Owner, token: MakeToken
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """One facility's system, talking to both processes."""
    headers = {"Authorization": f"Bearer {token('facility', await owner.facility(level='1'))}"}
    limits = httpx.Limits(max_connections=30)
    opened = [
        httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60, trust_env=False, verify=TLS)
        for url in (services.url("claims"), second_claims)
    ]
    yield opened
    for window in opened:
        await window.aclose()


async def all_at_once(
    windows: list[httpx.AsyncClient], path: str, bodies: list[Json], keys: list[Json]
) -> list[httpx.Response]:
    """Send the bodies at the same moment, by turns to either process."""
    return await asyncio.gather(
        *(
            windows[n % len(windows)].post(path, json=body, headers=header)
            for n, (body, header) in enumerate(zip(bodies, keys, strict=True))
        )
    )


async def test_the_same_settlement_fifty_times_at_once_is_one(windows: list[httpx.AsyncClient], owner: Owner) -> None:
    person, header = await owner.person(), key()
    body = one_call(person)
    answers = await all_at_once(windows, "/v1/settlements", [body] * 50, [header] * 50)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert await owner.count("settlement", "person_id", person) == 1
    assert await owner.used(person) == {"residents-outpatient-fund": 60_000}


async def test_fifty_bodies_under_one_key_settle_one(windows: list[httpx.AsyncClient], owner: Owner) -> None:
    person, header = await owner.person(), key()
    bodies = [one_call(person) for _ in range(50)]
    answers = await all_at_once(windows, "/v1/settlements", bodies, [header] * 50)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"idempotency.key-reused"}
    assert await owner.count("settlement", "person_id", person) == 1


async def test_the_same_discharge_fifty_times_at_once_is_one(windows: list[httpx.AsyncClient], owner: Owner) -> None:
    person, header = await owner.person(), key()
    visit = (await windows[0].post("/v1/visits", json=admission(person))).json()["visit_id"]
    await windows[0].post(f"/v1/visits/{visit}/fee-lines", json={"lines": [fee_line()]})
    path, body = f"/v1/visits/{visit}/settlement", discharge("1500.00")
    answers = await all_at_once(windows, path, [body] * 50, [header] * 50)
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    other_keys = await all_at_once(windows, path, [discharge("1500.00") for _ in range(10)], [key() for _ in range(10)])
    assert {answer.json()["code"] for answer in other_keys} == {"claims.visit-not-open"}
    assert await owner.count("settlement", "visit_id", visit) == 1


async def test_a_stay_settled_ten_ways_at_once_is_settled_once(windows: list[httpx.AsyncClient], owner: Owner) -> None:
    """Ten windows, ten keys, one stay."""
    person = await owner.person()
    visit = (await windows[0].post("/v1/visits", json=admission(person))).json()["visit_id"]
    await windows[0].post(f"/v1/visits/{visit}/fee-lines", json={"lines": [fee_line()]})
    bodies, keys = [discharge("1500.00") for _ in range(10)], [key() for _ in range(10)]
    answers = await all_at_once(windows, f"/v1/visits/{visit}/settlement", bodies, keys)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}
    assert (await owner.used(person))["admissions"] == 1


async def test_thirty_bills_of_one_person_at_once_pay_one_deductible(
    windows: list[httpx.AsyncClient], owner: Owner
) -> None:
    """Employees' outpatient care at level 1: 200 yuan deductible, 60 %, 4000 yuan at most; 30 bills of 300 yuan."""
    person = await owner.person(insutype="310", psn_type="11")
    bodies = [one_call(person, fee_line(price="150.00")) for _ in range(30)]
    answers = await all_at_once(windows, "/v1/settlements", bodies, [key() for _ in bodies])
    settled = [answer.json() for answer in answers]
    assert {answer.status_code for answer in answers} == {201}
    assert sum(s["deductible_fen"] for s in settled) == 20_000
    assert sum(s["fund_fen"] for s in settled) == 400_000 < sum(s["fund_fen"] + s["over_cap_fen"] for s in settled)
    assert await owner.used(person) == {
        "employees-outpatient-deductible": 20_000,
        "employees-outpatient-fund": 400_000,
    }
    assert await owner.count("settlement", "person_id", person) == 30


async def test_settlements_and_reversals_of_one_person_at_once(windows: list[httpx.AsyncClient], owner: Owner) -> None:
    """Half of the bills are taken back while others come in: the counters are the sum of all settlements."""
    person = await owner.person(insutype="310", psn_type="11")
    bodies = [one_call(person, fee_line(price="60.00")) for _ in range(20)]
    first = await all_at_once(windows, "/v1/settlements", bodies, [key() for _ in bodies])

    async def take_back(number: int, settlement_id: str) -> httpx.Response:
        path = f"/v1/settlements/{settlement_id}/reversal"
        return await windows[number % 2].post(path, json=reversal(), headers=key())

    more = [one_call(person, fee_line(price="60.00")) for _ in range(10)]
    answers = await asyncio.gather(
        *(take_back(n, answer.json()["settlement_id"]) for n, answer in enumerate(first[:10])),
        *(windows[n % 2].post("/v1/settlements", json=body, headers=key()) for n, body in enumerate(more)),
    )
    assert {answer.status_code for answer in (*first, *answers)} == {201}
    sums = await owner.connection.fetchrow(
        """SELECT sum(deductible_fen)::bigint, sum(fund_fen)::bigint, count(*)
           FROM claims.settlement WHERE person_id = $1""",
        person,
    )
    assert sums is not None
    deductible_fen, fund_fen, settlements = sums
    used = {"employees-outpatient-deductible": deductible_fen, "employees-outpatient-fund": fund_fen}
    assert await owner.used(person) == {name: fen for name, fen in used.items() if fen}
    assert settlements == 40
    assert 0 <= deductible_fen <= 20_000


async def test_a_settlement_reversed_ten_times_at_once_is_reversed_once(
    windows: list[httpx.AsyncClient], owner: Owner
) -> None:
    person = await owner.person()
    settled = (await windows[0].post("/v1/settlements", json=one_call(person), headers=key())).json()
    path = f"/v1/settlements/{settled['settlement_id']}/reversal"
    answers = await all_at_once(windows, path, [reversal() for _ in range(10)], [key() for _ in range(10)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}
    assert await owner.used(person) == {}


async def test_one_admission_sent_twenty_times_at_once_is_one(windows: list[httpx.AsyncClient], owner: Owner) -> None:
    body = admission(await owner.person())
    answers = await all_at_once(windows, "/v1/visits", [body] * 20, [{}] * 20)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 19}
    assert len({answer.content for answer in answers}) == 1


async def test_two_hospitals_admit_one_person_at_once(his: MakeHis, owner: Owner) -> None:
    person = await owner.person()
    hospitals = [his(await owner.facility()) for _ in range(8)]
    answers = await asyncio.gather(*(h.post("/v1/visits", json=admission(person)) for h in hospitals))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 7}


async def test_the_same_lines_sent_at_once_are_added_once(windows: list[httpx.AsyncClient], owner: Owner) -> None:
    visit = (await windows[0].post("/v1/visits", json=admission(await owner.person()))).json()["visit_id"]
    body = {"lines": [fee_line(str(n)) for n in range(20)]}
    answers = await all_at_once(windows, f"/v1/visits/{visit}/fee-lines", [body] * 10, [{}] * 10)
    assert sorted(answer.json()["added"] for answer in answers) == [0] * 9 + [20]
    assert await owner.count("fee_line", "visit_id", visit) == 20
