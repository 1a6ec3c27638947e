"""Another party's things: whoever may call an endpoint still reaches only what is its own.

Every endpoint with an id in its address is either called here by every role it lets in, for a party at the other end of
the country, or stands among the public ones with its reason. A new endpoint that is neither fails.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.auth import Role
from tests.contracts.apps import Operation, operations
from tests.flow import days_ago
from tests.services.claims.seeds import HUAIYANG, ZHOUKOU, key
from tests.world import World

PUBLIC = {
    "get_facility": "the list of contracted facilities is public",
    "list_agreements": "the terms of contracted facilities are public",
    "get_agreement": "the terms of contracted facilities are public",
    "get_summary": "a month is nobody's; the answer holds the caller's own parties only",
    "retry_message": "operations staff act for the whole deployment and see numbers only",
    "get_invariants": "adds up the books of the whole deployment; amounts by transaction, no person",
    "get_proof": "adds up the books of the whole deployment; sums by book, no bill and no person",
    "list_policies": "policies are public: whoever is insured may read what is paid and why",
    "get_policy": "policies are public",
    "show_policy": "policies are public",
    "compare_policy": "policies are public",
    "run_case": "policies are public, and a case is made up",
    "list_terms": "terms are public: they bind the other side of a chain",
    "get_terms": "terms are public",
    "save_statement_mapping": "a mapping is saved for the caller itself, whatever its name",
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
    "order_id",
    "payout_id",
    "objection_no",
    "terms_no",
    "kind",
    "cycle_id",
    "position_id",
    "lender",
    "holder",
    "subscription_id",
    "proposal_id",
    "replay_id",
    "item_id",
    "sha256",
    "item_no",
    "bulk_no",
    "period",
    "form",
    "entry_id",
    "identification_id",
    "cancellation_id",
    "movement_id",
    "withholding_id",
    "set_off_id",
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
    ("claims", "facility", "{code}", "/v1/settlements/{settlement_id}/explanation"),
    ("claims", "officer", HUAIYANG, "/v1/settlements/{settlement_id}/explanation"),
    ("claims", "facility", "{code}", "/v1/policies/{proposal_id}"),
    ("claims", "officer", ZHOUKOU, "/v1/replays/{replay_id}"),
    ("settlement", "facility", "{code}", "/v1/bills/{settlement_id}"),
    ("settlement", "officer", HUAIYANG, "/v1/bills/{settlement_id}"),
    ("settlement", "facility", "{party}", "/v1/books/{party}/balances"),
    ("settlement", "facility", "{party}", "/v1/books/{party}/account-statements/{period}"),
    ("settlement", "facility", "{party}", "/v1/books/{party}/exports/{period}.{form}"),
    ("settlement", "facility", "{hospital}", "/v1/statements/{statement_id}"),
    ("settlement", "facility", "{hospital}", "/v1/cases/{case_id}"),
    ("settlement", "finance", HUAIYANG, "/v1/payments/{payment_id}"),
    ("settlement", "finance", "{account_party}", "/v1/orders/{order_id}"),
    ("settlement", "officer", "{account_party}", "/v1/payouts/{payout_id}"),
    ("settlement", "finance", "{account_party}", "/v1/bank-accounts/{account_party}"),
    ("settlement", "facility", "{objecting}", "/v1/cases/{objected_id}/objections"),
    ("settlement", "facility", "{cleared}", "/v1/clearing-cycles/{cycle_id}"),
    ("settlement", "facility", "{cleared}", "/v1/clearing-cycles/{cycle_id}/positions"),
    ("settlement", "facility", "{cleared}", "/v1/clearing-cycles/{cycle_id}/cases"),
    ("settlement", "facility", "{cleared}", "/v1/clearing-positions/{position_id}"),
    ("settlement", "finance", HUAIYANG, "/v1/clearing-positions/{position_id}/proof"),
    ("settlement", "finance", "{account_party}", "/v1/bank-entries/{entry_id}"),
    ("settlement", "finance", "{account_party}", "/v1/bank-identifications/{identification_id}"),
    ("settlement", "facility", "{hospital}", "/v1/cases/{case_id}/carried-bills"),
    ("settlement", "finance", "{lender}", "/v1/prepayments/{lender}/{holder}"),
    ("settlement", "finance", "{holder}", "/v1/prepayments/{lender}/{holder}/movements"),
    ("settlement", "facility", "{differing}", "/v1/items/{item_no}"),
    ("settlement", "facility", "{differing}", "/v1/statements/{unequal_id}/bulk-actions"),
    ("settlement", "facility", "{differing}", "/v1/statements/{unequal_id}/files/{sha256}"),
    ("notification", "finance", "{party}", "/v1/subscriptions"),
]


@pytest.mark.parametrize(("service", "role", "party", "path"), OWN, ids=[f"{o[0]} {o[3]}" for o in OWN])
async def test_what_the_stranger_does_not_reach_is_there(
    service: str, role: str, party: str, path: str, world: World
) -> None:
    """Without this a 404 above could mean that the id was wrong."""
    caller = world.flow.acting(service, role, party.format(**world.ids))
    assert (await caller.get(path.format(**world.ids))).status_code == 200


NOBODYS = frozenset(
    {"month", "period", "form", "item_no", "bulk_no", "lender", "holder", "objection_no", "terms_no", "kind", "region"}
)
"""Parts of addresses that tell nothing of a party, or that any text may hold: "1" is in every answer."""

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
            assert not [name for name, value in world.ids.items() if name not in NOBODYS and value in answer.text]
