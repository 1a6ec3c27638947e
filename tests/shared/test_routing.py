"""The edge in one process: what an endpoint may raise, and what its caller is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ConfigDict
from starlette.responses import Response

from shared import keys
from shared.auth import Role, Verifier
from shared.clock import system_clock
from shared.http.call import Allow, Call
from shared.http.problems import MEDIA_TYPE, language_of
from shared.http.routing import Edge, ServiceRouter, Shortcut
from shared.http.types import Body
from shared.keys import TokenMaker
from shared.refusals import Refused, Unavailable, declare
from shared.settings import Settings

TWO = declare("test.two-things", status=409, zh="{what}不行", en="not {what}")
FacilityCall = Annotated[Call[Any], Allow(Role.FACILITY)]

router = ServiceRouter()
gate = asyncio.Event()


class Sum(Body):
    """Two numbers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"a": 1, "b": 2}]})
    a: int
    b: int


@router.endpoint("GET", "/v1/broken")
async def broken(call: FacilityCall) -> Response:
    """Fails as nobody expected."""
    raise ZeroDivisionError("the secret of the house")


@router.endpoint("GET", "/v1/away")
async def away(call: FacilityCall) -> Response:
    """Needs what is not there."""
    raise Unavailable("database", "password of the house")


@router.endpoint("GET", "/v1/refused")
async def refused(call: FacilityCall) -> Response:
    """Says no twice."""
    raise Refused(TWO(what="this", pointer="/a"), TWO(what="that"))


@router.endpoint("GET", "/v1/slow")
async def slow(call: FacilityCall) -> Response:
    """Takes its time."""
    await gate.wait()
    return Response("done")


@router.endpoint("POST", "/v1/sums")
async def add(call: FacilityCall, body: Sum) -> Response:
    """Adds."""
    return Response(str(body.a + body.b))


@router.endpoint("GET", "/v1/things/{thing}")
async def thing(call: FacilityCall, thing: str) -> Response:
    """Has a parameter in its address."""
    return Response(thing)


@pytest.fixture(params=["short cut", "the long way"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The endpoints above, as a process serves them and without its short cut."""
    settings = Settings(secrets_dir=tmp_path, http_in_flight_max=3, http_body_max_bytes=100)
    keys.init(tmp_path)
    verifier = Verifier(settings)
    await verifier.load()
    app = FastAPI()
    app.state.edge = Edge(settings, verifier, system_clock, None)
    app.include_router(router)
    headers = {"Authorization": f"Bearer {TokenMaker(settings).make(role='facility', party='H1')}"}
    served: Any = Shortcut(app) if request.param == "short cut" else app
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(served), base_url="http://test", headers=headers
    ) as made:
        yield made


async def test_an_unknown_error_is_ours_and_says_nothing_of_the_house(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/v1/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "service.internal-error")
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert "secret" not in answer.text
    assert "ZeroDivisionError" not in answer.text
    assert [record.levelname for record in caplog.records if record.message == "unknown error"] == ["ERROR"]


async def test_what_is_away_asks_to_come_back(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/away")
    assert (answer.status_code, answer.json()["code"]) == (503, "service.unavailable")
    assert answer.headers["Retry-After"]
    assert "password" not in answer.text


async def test_all_refusals_are_uttered_and_the_first_names_the_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/refused", headers={"Accept-Language": "en"})
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"], problem["title"]) == (
        409,
        409,
        "test.two-things",
        "not this",
    )
    assert problem["type"] == "urn:sifang:problem:test.two-things"
    assert [(e["detail"], e["pointer"], e["params"]) for e in problem["errors"]] == [
        ("not this", "/a", {"what": "this"}),
        ("not that", None, {"what": "that"}),
    ]
    assert answer.headers["Content-Language"] == "en"


async def test_too_many_at_once_are_told_to_come_back(client: httpx.AsyncClient) -> None:
    gate.clear()
    waiting = [asyncio.create_task(client.get("/v1/slow")) for _ in range(3)]
    await asyncio.sleep(0.05)
    refused = await client.get("/v1/slow")
    assert (refused.status_code, refused.json()["code"]) == (503, "service.overloaded")
    gate.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 3
    assert (await client.get("/v1/slow")).status_code == 200, "and when they are gone there is room again"


async def test_a_body_is_checked_and_bounded(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/sums", json={"a": 1, "b": 2})).text == "3"
    assert (await client.post("/v1/sums", json={"a": "1", "b": 2})).status_code == 422
    assert (await client.post("/v1/sums", content=b" " * 101)).json()["code"] == "request.too-large"


async def test_without_a_token_nothing_else_is_looked_at(client: httpx.AsyncClient) -> None:
    for path in ("/v1/broken", "/v1/sums", "/v1/things/x"):
        method = "POST" if path == "/v1/sums" else "GET"
        answer = await client.request(method, path, headers={"Authorization": ""}, content=b"{")
        assert answer.status_code == 401


async def test_an_address_with_a_parameter(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/things/x")).text == "x"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "zh"),
        ("", "zh"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en;q=0.4,zh;q=0.5", "zh"),
        ("fr,de", "zh"),
        ("en;q=much", "zh"),
        ("*", "zh"),
        ("en," * 10_000, "en"),
    ],
)
def test_the_language_of_an_answer(accepted: str | None, language: str) -> None:
    assert language_of(accepted) == language
