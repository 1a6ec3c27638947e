"""Another party's things: whoever may call an endpoint still reaches only what is its own.

Every endpoint with an id in its address is either called here by every role it lets in, for a party at the other end of
the country, or stands among the public ones with its reason. A new endpoint that is neither fails.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from deploy.local.cluster import Cluster
from shared.auth import Role
from tests.conftest import MakeToken
from tests.contracts.apps import Operation, operations
from tests.flow import Flow, days_ago, done, eventually
from tests.services.claims.seeds import HUAIYANG, admission, key, one_call
from tests.services.enrollment.people import PAPERS
from tests.services.settlement.fixtures import books
from tests.services.settlement.world import Books, Hospital, totals_of

__all__ = ["books"]

PUBLIC = {
    "get_facility": "the list of contracted facilities is public",
    "list_agreements": "the terms of contracted facilities are public",
    "get_agreement": "the terms of contracted facilities are public",
    "get_summary": "a month is nobody's; the answer holds the caller's own parties only",
    "retry_message": "operations staff act for the whole deployment and see numbers only",
    "get_proof": "adds up the books of the whole deployment; sums by book, no bill and no person",
    "set_language": "notification keeps no region of a person; nothing but the language of messages changes",
}

ANYWHERE = {("get_person", Role.FACILITY)}
"""A patient may turn up at any facility, at home or away; what it is shown is masked."""

ADDRESSED = [o for o in operations() if o.endpoint.signature.path]
GUARDED = [o for o in ADDRESSED if o.endpoint.operation_id not in PUBLIC]

STRANGERS = {
    Role.FACILITY: "H34170200001",
    Role.OFFICER: "341702",
    Role.REVIEWER: "341702",
    Role.FINANCE: "341702",
    Role.PARTNER: "341702",
}
"""A facility and an agency of another province. Operators and services act for the deployment, not for a party."""


@dataclass(frozen=True)
class World:
    """A person, a facility and a month of Huaiyang: what is there, by the name it has in addresses."""

    flow: Flow
    ids: dict[str, str]

    def path(self, operation: Operation) -> str:
        """The address of what is really there."""
        return operation.path.format(**self.ids)


@pytest.fixture(scope="module")
async def world(services: Cluster, token: MakeToken, books: Books) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as opened:

        def client(service: str, token: str | None = None) -> httpx.AsyncClient:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            made = httpx.AsyncClient(base_url=services.url(service), headers=headers, timeout=30, trust_env=False)
            opened.push_async_callback(made.aclose)
            return made

        flow = Flow(client, token)
        ids = await _enrolled(flow)
        ids |= await _contracted(flow)
        ids |= await _treated(flow, ids)
        ids |= await _reconciled(flow, books)
        ids |= await _subscribed(flow)
        yield World(flow, ids)


async def _enrolled(flow: Flow) -> dict[str, str]:
    person = await flow.person()
    officer = flow.acting("enrollment", "officer", HUAIYANG)
    (span,) = done(await officer.get(f"/v1/persons/{person.person_id}/insurance-spans"))["items"]
    filing = {
        "person_id": person.person_id,
        "kind": "referral",
        "care_region": "411300",
        "valid_from": days_ago(1),
        "papers": PAPERS["referral"],
    }
    made = done(await officer.post("/v1/filings", json=filing))
    return {"person_id": person.person_id, "span_id": span["span_id"], "filing_id": made["filing_id"]}


async def _contracted(flow: Flow) -> dict[str, str]:
    code = await flow.facility()
    reader = flow.acting("designation", "reviewer", HUAIYANG)
    (agreement,) = done(await reader.get(f"/v1/facilities/{code}/agreements"))["items"]
    inbox = flow.acting("notification", "facility", code)

    async def message() -> str | None:
        items = done(await inbox.get("/v1/inbox"))["items"]
        return items[0]["message_id"] if items else None

    return {"code": code, "agreement_id": agreement["agreement_id"], "message_id": await eventually(message)}


async def _treated(flow: Flow, ids: dict[str, str]) -> dict[str, str]:
    window = flow.acting("claims", "facility", ids["code"])

    async def admitted() -> str | None:
        answer = await window.post("/v1/visits", json=admission(ids["person_id"]))
        return done(answer)["visit_id"] if answer.is_success else None

    visit_id = await eventually(admitted)
    settled = done(await window.post("/v1/settlements", json=one_call(ids["person_id"]), headers=key()))
    await flow.booked(ids["code"], settled["settlement_id"])
    return {"visit_id": visit_id, "settlement_id": settled["settlement_id"], "party": ids["code"]}


async def _reconciled(flow: Flow, books: Books) -> dict[str, str]:
    """A past month up to the proposal of its first payment."""
    hospital = Hospital()
    bill = hospital.bill()
    await books.hear(hospital.changed(), bill)
    facility = flow.acting("settlement", "facility", hospital.code)
    statement = {"period": hospital.month, "totals": totals_of([bill])}
    submitted = done(await facility.post("/v1/statements", json=statement, headers=key()))
    (case,) = done(await facility.get("/v1/cases", params={"period": hospital.month}))["items"]
    for role, party in (("facility", hospital.code), *(("finance", agency) for agency in case["chain"])):
        confirmation = {"numbers_hash": case["numbers_hash"]}
        path = f"/v1/cases/{case['case_id']}/confirmations"
        done(await flow.acting("settlement", role, party).post(path, json=confirmation))
    payer = flow.acting("settlement", "finance", case["chain"][-1])
    payment = done(await payer.post("/v1/payments", json={"case_id": case["case_id"]}, headers=key()))
    return {
        "statement_id": submitted["statement_id"],
        "case_id": case["case_id"],
        "payment_id": payment["payment_id"],
        "hospital": hospital.code,
        "month": hospital.month,
    }


async def _subscribed(flow: Flow) -> dict[str, str]:
    subscription = {"url": "http://127.0.0.1:9/hook", "event_types": ["sifang.settlement.Remitted.v1"]}
    officer = flow.acting("notification", "officer", HUAIYANG)
    made = done(await officer.post("/v1/subscriptions", json=subscription))
    return {"subscription_id": made["subscription_id"]}


def test_every_address_with_an_id_is_guarded_or_public() -> None:
    assert set(PUBLIC) <= {o.endpoint.operation_id for o in operations()}, "public, but no longer there"
    for operation in GUARDED:
        named = set(operation.endpoint.signature.path)
        assert named <= _ID_NAMES, f"{operation}: say in `World` what {named - _ID_NAMES} is"


_ID_NAMES = {
    "person_id",
    "span_id",
    "filing_id",
    "code",
    "agreement_id",
    "message_id",
    "visit_id",
    "settlement_id",
    "party",
    "statement_id",
    "case_id",
    "payment_id",
    "subscription_id",
}


def body_of(operation: Operation) -> Any:
    """A body the endpoint would take: its own example."""
    body = operation.endpoint.signature.body
    if body is None:
        return None
    extra: Any = body.model_config["json_schema_extra"]
    return json.loads(json.dumps(extra["examples"][0]))


@pytest.mark.parametrize("operation", GUARDED, ids=str)
async def test_a_stranger_reaches_nothing(operation: Operation, world: World) -> None:
    name, allowed = operation.endpoint.operation_id or "", operation.endpoint.signature.allow.roles
    roles = [role for role in STRANGERS if role in allowed and (name, role) not in ANYWHERE]
    assert roles, f"{operation} is for nobody who has a party: say so among the public ones"
    for role in roles:
        stranger = world.flow.acting(operation.service, role, STRANGERS[role])
        answer = await stranger.request(operation.method, world.path(operation), json=body_of(operation), headers=key())
        assert answer.status_code in (403, 404), f"{role}: {answer.status_code} {answer.text}"
        code = answer.json()["code"]
        assert code == "auth.not-your-area" or code.startswith(f"{operation.service}."), code


OWN = [
    ("enrollment", "officer", HUAIYANG, "/v1/persons/{person_id}"),
    ("enrollment", "officer", HUAIYANG, "/v1/filings/{filing_id}"),
    ("claims", "facility", "{code}", "/v1/visits/{visit_id}"),
    ("claims", "facility", "{code}", "/v1/settlements/{settlement_id}"),
    ("settlement", "facility", "{code}", "/v1/bills/{settlement_id}"),
    ("settlement", "officer", HUAIYANG, "/v1/bills/{settlement_id}"),
    ("settlement", "facility", "{party}", "/v1/books/{party}/balances"),
    ("settlement", "facility", "{hospital}", "/v1/statements/{statement_id}"),
    ("settlement", "facility", "{hospital}", "/v1/cases/{case_id}"),
    ("settlement", "finance", HUAIYANG, "/v1/payments/{payment_id}"),
    ("notification", "finance", "{party}", "/v1/subscriptions"),
]


@pytest.mark.parametrize(("service", "role", "party", "path"), OWN, ids=[f"{o[0]} {o[3]}" for o in OWN])
async def test_what_the_stranger_does_not_reach_is_there(
    service: str, role: str, party: str, path: str, world: World
) -> None:
    """Without this a 404 above could mean that the id was wrong."""
    caller = world.flow.acting(service, role, party.format(**world.ids))
    assert (await caller.get(path.format(**world.ids))).status_code == 200


LISTS = [
    o
    for o in operations()
    if o.method == "GET" and o not in ADDRESSED and o.service != "designation" and o.endpoint.operation_id not in PUBLIC
]


@pytest.mark.parametrize("operation", [o for o in LISTS if o.endpoint.signature.allow.roles & set(STRANGERS)], ids=str)
async def test_a_list_holds_the_callers_own_only(operation: Operation, world: World) -> None:
    query = operation.endpoint.signature.query
    months = (world.ids["month"], days_ago(0)[:7]) if query is not None and "period" in query.model_fields else ("",)
    for role in operation.endpoint.signature.allow.roles & set(STRANGERS):
        for month in months:
            caller = world.flow.acting(operation.service, role, STRANGERS[role])
            answer = await caller.get(operation.path, params={"period": month} if month else None, headers=key())
            assert answer.status_code in (200, 404)
            assert not [name for name, value in world.ids.items() if name != "month" and value in answer.text]
