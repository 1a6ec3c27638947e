"""Who may call what: every endpoint of all five services names its roles, and over HTTP lets in no other.

A new endpoint without a rule fails here: the router refuses to register it, and a route put on the application past
the router is found by the walk.
"""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import Response

from shared.auth import Role
from shared.http.call import Allow, Call
from shared.http.routing import ServiceRouter
from tests.conftest import MakeClient, MakeToken
from tests.contracts.apps import Operation, applications, operations, without_a_rule

OPERATIONS = operations()


@pytest.mark.parametrize("service", applications())
def test_every_path_is_an_endpoint_with_roles_or_plumbing(service: str) -> None:
    assert without_a_rule(applications()[service]) == []


def test_every_service_has_endpoints() -> None:
    """The walk below would pass over a service it did not find."""
    assert {operation.service for operation in OPERATIONS} == set(applications())
    assert len(OPERATIONS) > 50


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_endpoint_names_roles_that_exist(operation: Operation) -> None:
    roles = operation.endpoint.signature.allow.roles
    assert roles
    assert roles <= set(Role)
    assert roles != set(Role), "an endpoint for everybody is none that names its roles"


async def _open_to_all(call: Call[Any]) -> Response:
    return Response()


def test_an_endpoint_without_a_rule_is_not_registered() -> None:
    with pytest.raises(TypeError, match="does not say who may call it"):
        ServiceRouter().endpoint("GET", "/v1/open")(_open_to_all)
    with pytest.raises(ValueError, match="must name the roles"):
        Allow()


def test_a_route_past_the_router_is_found() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_api_route("/v1/open", _open_to_all_plain)
    assert without_a_rule(app) == ["/v1/open"]


async def _open_to_all_plain() -> Response:
    return Response()


async def _for_officers(call: Annotated[Call[Any], Allow(Role.OFFICER)]) -> Response:
    return Response()


def test_a_rule_is_read_from_the_signature() -> None:
    router = ServiceRouter()
    router.endpoint("GET", "/v1/ruled")(_for_officers)
    (route,) = router.routes
    assert Operation("none", route).endpoint.signature.allow.roles == {Role.OFFICER}  # type: ignore[arg-type]


# Over HTTP, at the real services


PARTY = {Role.FACILITY: "H41160300001", Role.SERVICE: "notification"}


async def ask(client: httpx.AsyncClient, operation: Operation, token: str | None) -> httpx.Response:
    """A request that says nothing: who may not call is told so before anything else is looked at."""
    path = operation.path
    for name in operation.endpoint.signature.path:
        path = path.replace(f"{{{name}}}", "0")
    headers = {"Idempotency-Key": "walk-of-all-roles"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return await client.request(operation.method, path, headers=headers)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_every_role_at_every_endpoint(operation: Operation, client: MakeClient, token: MakeToken) -> None:
    service, allowed = client(operation.service), operation.endpoint.signature.allow.roles
    for role in Role:
        answer = await ask(service, operation, token(role, PARTY.get(role, "411603")))
        refused = answer.status_code == 403 and answer.json()["code"] == "auth.role-not-allowed"
        assert refused is (role not in allowed), f"{role} at {operation}: {answer.status_code} {answer.text}"
        assert answer.status_code < 500, f"{role} at {operation}: {answer.text}"
    unknown = await ask(service, operation, None)
    assert (unknown.status_code, unknown.json()["code"]) == (401, "auth.token-missing")
    assert unknown.headers["WWW-Authenticate"] == "Bearer"
