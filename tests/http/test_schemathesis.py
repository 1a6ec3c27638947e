"""Requests made up from the OpenAPI documents of all five services: none of them breaks one.

Each operation is called with bodies that fit its schema and with bodies that do not, at addresses that are real and at
made-up ones, by every role it lets in. Whatever comes back is one of the documented answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deploy.local.cluster import Cluster
from shared.auth import Role
from shared.http.problems import MEDIA_TYPE
from tests.conftest import MakeToken
from tests.contracts.apps import Operation, applications, operations
from tests.services.claims.seeds import HUAIYANG
from tests.world import World

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
bounded = hypothesis.settings(
    max_examples=6,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def schemas() -> Mapping[str, Any]:
    """Every service's document, as schemathesis reads it."""
    return {name: schemathesis.openapi.from_dict(app.openapi()) for name, app in applications().items()}


@pytest.fixture(scope="module")
def session() -> requests.Session:
    made = requests.Session()
    made.trust_env = False
    return made


class Caller:
    """Sends made-up requests of one operation, as its own parties, and looks at what comes back."""

    def __init__(
        self, operation: Operation, base_url: str, session: requests.Session, tokens: Mapping[Role, str]
    ) -> None:
        self.operation, self._base_url, self._session = operation, base_url, session
        roles = sorted(operation.endpoint.signature.allow.roles)
        self.headers = st.fixed_dictionaries(
            {
                "Authorization": st.sampled_from([f"Bearer {tokens[role]}" for role in roles]),
                "Idempotency-Key": st.uuids().map(str),
                "Accept-Language": st.sampled_from(["zh", "en"]),
            }
        )
        responses = applications()[operation.service].openapi()["paths"][operation.path][operation.method.lower()][
            "responses"
        ]
        self._codes = {
            code
            for response in responses.values()
            for code in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
        }

    def send(self, case: Any, headers: dict[str, str]) -> None:
        """Send it, and check the answer against the document."""
        case.headers.update(headers)
        answer = case.call(base_url=self._base_url, session=self._session)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            uttered = {error["code"] for error in answer.json()["errors"]}
            assert uttered <= self._codes, f"refusals the document does not name: {uttered - self._codes}"


@pytest.mark.parametrize("operation", operations(), ids=str)
def test_made_up_requests(
    operation: Operation,
    services: Cluster,
    world: World,
    schemas: Mapping[str, Any],
    session: requests.Session,
    token: MakeToken,
) -> None:
    parties = {Role.FACILITY: world.ids["code"], Role.SERVICE: "notification"}
    tokens = {role: token(role, parties.get(role, HUAIYANG)) for role in Role}
    caller = Caller(operation, services.url(operation.service), session, tokens)
    described = schemas[operation.service][operation.path][operation.method]
    real = {name: world.ids.get(name, "2026-10") for name in operation.endpoint.signature.path}
    for mode, places in ((GenerationMode.POSITIVE, real), (GenerationMode.POSITIVE, {}), (GenerationMode.NEGATIVE, {})):
        try:
            cases = described.as_strategy(mode, **({"path_parameters": places} if places else {}))
            bounded(given(cases, caller.headers)(caller.send))()
        except hypothesis.errors.Unsatisfiable:
            # Nothing to get wrong: an operation without body, query and address parameters has no negative case.
            assert mode is GenerationMode.NEGATIVE


def test_an_answer_that_is_not_documented_is_seen(
    services: Cluster, schemas: Mapping[str, Any], session: requests.Session, token: MakeToken
) -> None:
    """The same requests at a service that has no such address: its refusal is not in the document."""
    operation = next(o for o in operations() if o.endpoint.operation_id == "get_request")
    tokens = dict.fromkeys(Role, token("facility", "H41160300001"))
    astray = Caller(operation, services.url("designation"), session, tokens)
    case = schemas["claims"][operation.path][operation.method].as_strategy()
    with pytest.raises(AssertionError, match=r"request\.not-found"):
        bounded(given(case, astray.headers)(astray.send))()
