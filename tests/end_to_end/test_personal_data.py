"""Personal data stays where it belongs: encrypted in enrollment, and in nothing that leaves it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import asyncpg
import httpx
import pytest

from deploy.local.cluster import Cluster
from shared.events import dead_letter_topic, new_id, topic_of
from shared.kafka import Subscription
from shared.settings import SERVICES, Settings
from tests.collector import Collector
from tests.conftest import TLS, MakeClient, MakeToken
from tests.flow import Flow, Person, done
from tests.services.claims.seeds import key, one_call
from tests.services.enrollment import people


@pytest.fixture(scope="module")
async def known_person(services: Cluster, token: MakeToken) -> tuple[Person, str]:
    """Somebody who was enrolled, looked up, treated, refused and billed, in traced calls."""
    opened: list[httpx.AsyncClient] = []

    def client(service: str, token: str | None = None) -> httpx.AsyncClient:
        traced = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
        headers = traced | ({"Authorization": f"Bearer {token}"} if token else {})
        opened.append(
            httpx.AsyncClient(base_url=services.url(service), headers=headers, timeout=30, trust_env=False, verify=TLS)
        )
        return opened[-1]

    flow = Flow(client, token)
    facility, person = await flow.facility(), await flow.person()
    await flow.known(facility, person)
    window = flow.acting("claims", "facility", facility)
    by_card = {"person": {"identity_number": person.identity_number}}
    settled = done(await window.post("/v1/settlements", json={**one_call("0" * 26), **by_card}, headers=key()))
    await flow.booked(facility, settled["settlement_id"])
    await _refused(flow, window, person)
    for one in opened:
        await one.aclose()
    return person, facility


async def _refused(flow: Flow, window: httpx.AsyncClient, person: Person) -> None:
    """Calls that carry personal data and are refused: what is refused is easily logged."""
    card = {"identity_number": person.identity_number}
    assert (await window.post("/v1/settlements", json={"person": card}, headers=key())).status_code == 422
    officer = flow.acting("enrollment", "officer", people.HOME)
    other = people.person(identity_number=person.identity_number, name=person.name, phone=person.phone)
    assert (await officer.post("/v1/persons", json=other)).status_code == 409
    broken = {**other, "identity_number": person.identity_number[:-1] + "x!"}
    assert (await officer.post("/v1/persons", json=broken)).status_code == 422
    assert (await officer.post("/v1/lookups", json={**card, "on": "2026-02-30"})).status_code == 422
    assert (await officer.get(f"/v1/persons/{person.identity_number}")).status_code == 404


def secrets_of(person: Person) -> Mapping[str, str]:
    """What must not be read anywhere."""
    return {"identity number": person.identity_number, "name": person.name, "phone": person.phone}


def found_in(text: str, person: Person) -> list[str]:
    return [what for what, secret in secrets_of(person).items() if secret in text]


async def test_not_in_any_topic(known_person: tuple[Person, str], settings: Settings) -> None:
    person, facility = known_person
    text = ""
    for topic in [*map(topic_of, SERVICES), *map(dead_letter_topic, SERVICES)]:
        async with Subscription(settings, f"test-{new_id()}", [topic]).opened() as subscription:
            ends = await subscription.ends()
            while await subscription.before(ends):
                records = await subscription.poll(0.5)
                text += "".join(f"{r.key!r} {r.value.decode(errors='replace')} {r.headers}" for r in records)
    assert person.person_id in text, "read at all"
    assert facility in text
    assert found_in(text, person) == []


async def test_not_in_any_table(known_person: tuple[Person, str], settings: Settings) -> None:
    person, _ = known_person
    owner = await asyncpg.connect(settings.database_url)
    try:
        tables = await owner.fetch(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY($1::text[])", list(SERVICES)
        )
        text = ""
        for schema, table in tables:
            text += "\n".join(
                str(tuple(row)) for row in await owner.fetch(f"SELECT t::text FROM {schema}.{table} AS t")
            )
    finally:
        await owner.close()
    assert person.person_id in text, "read at all"
    assert found_in(text, person) == []


async def test_not_in_any_span(known_person: tuple[Person, str], collector: Collector) -> None:
    person, facility = known_person
    text = collector.text()
    assert facility in text, "received at all"
    assert found_in(text, person) == []
    assert person.person_id not in text, "not even the internal number of a person"


async def test_not_in_any_log(known_person: tuple[Person, str], services: Cluster) -> None:
    person, _ = known_person
    logs = {log.name: log.read_text(errors="replace") for log in services.folders.logs.glob("*.log")}
    assert {f"{service}.log" for service in SERVICES} <= set(logs)
    assert {name: found for name, text in logs.items() if (found := found_in(text, person))} == {}


async def test_not_in_any_metric(known_person: tuple[Person, str], client: MakeClient) -> None:
    person, facility = known_person
    for service in SERVICES:
        text = (await client(service).get("/metrics")).text
        assert "sifang_consumer" in text or "sifang_http" in text
        assert found_in(text, person) == []
        assert person.person_id not in text
        assert facility not in text, "a label for every facility is more than a metric can bear"


async def test_masked_where_it_is_shown(known_person: tuple[Person, str], client: MakeClient, token: MakeToken) -> None:
    person, facility = known_person
    shown = [
        await client("enrollment", token("officer", people.HOME)).get(f"/v1/persons/{person.person_id}"),
        await client("enrollment", token("facility", facility)).post(
            "/v1/lookups", json={"identity_number": person.identity_number, "on": "2026-11-02"}
        ),
    ]
    for answer in shown:
        assert done(answer)["person_id"] == person.person_id
        assert found_in(answer.text, person) == []
