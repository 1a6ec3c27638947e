"""What a HIS programmer reads: every operation with examples that really fit, every refusal with its own."""

from __future__ import annotations

import json
import typing
from typing import Any

import pytest
from pydantic import BaseModel

from shared.http.paging import PageView
from shared.http.problems import MEDIA_TYPE
from shared.refusals import CATALOGUE
from tests.contracts.apps import Operation, applications, operations

OPERATIONS = operations()
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def documented(operation: Operation) -> dict[str, Any]:
    """The operation as its service's OpenAPI document shows it."""
    document: dict[str, Any] = applications()[operation.service].openapi()
    found: dict[str, Any] = document["paths"][operation.path][operation.method.lower()]
    return found


def examples(operation: Operation, schema: dict[str, Any]) -> list[Any]:
    """The examples of a schema, wherever they stand: at the schema, or at the items of a page of it."""
    if "$ref" in schema:
        document = applications()[operation.service].openapi()
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    items = schema.get("properties", {}).get("items", {}).get("items")
    return list(schema.get("examples", [])) or (examples(operation, items) if items else [])


@every_operation
def test_says_what_it_does(operation: Operation) -> None:
    shown = documented(operation)
    assert shown["description"].strip()
    assert shown["tags"]
    assert shown["x-roles"] == sorted(operation.endpoint.signature.allow.roles)
    assert shown["security"] == [{"token": []}]


def test_operation_ids_are_unique_within_a_service() -> None:
    for service in applications():
        ids = [o.endpoint.operation_id for o in OPERATIONS if o.service == service]
        assert len(ids) == len(set(ids))


@every_operation
def test_body_examples_are_bodies_it_takes(operation: Operation) -> None:
    signature, shown = operation.endpoint.signature, documented(operation).get("requestBody")
    if signature.body is not None:
        assert shown is not None
        found = examples(operation, shown["content"]["application/json"]["schema"])
        assert found, "a body without an example"
        for example in found:
            signature.body.model_validate_json(json.dumps(example))
    elif signature.request and operation.method != "GET":
        assert shown is not None, "a streamed body that is not documented"
        assert all(content["example"] for content in shown["content"].values())
    else:
        assert shown is None


@every_operation
def test_answer_examples_are_answers_it_gives(operation: Operation) -> None:
    for status, response in documented(operation)["responses"].items():
        if not status.startswith("2") or "content" not in response:
            continue
        schema = response["content"].get("application/json", {}).get("schema")
        if schema:
            assert examples(operation, schema), f"an answer without an example: {status}"
            view = shown(operation.endpoint.responses[int(status)]["model"])
            # From the model itself: in the document FastAPI leaves out members that are null.
            extra: Any = view.model_config["json_schema_extra"]
            for example in extra["examples"]:
                view.model_validate(example)


def test_a_page_is_documented_as_one() -> None:
    kinds = {
        o.endpoint.operation_id: set(documented(o)["responses"]["200"]["content"])
        for o in OPERATIONS
        if "text/html" in documented(o)["responses"].get("200", {}).get("content", {})
    }
    assert kinds == {"show_policy": {"text/html"}, "explain_settlement": {"text/html", "application/json"}}


def shown(view: type[BaseModel]) -> type[BaseModel]:
    """The view whose examples an answer shows: a page shows its items'."""
    if not issubclass(view, PageView):
        return view
    item: type[BaseModel] = typing.get_args(view.model_fields["items"].annotation)[0]
    return item


@every_operation
def test_every_refusal_has_its_example(operation: Operation) -> None:
    refused = {s: r for s, r in documented(operation)["responses"].items() if s >= "400"}
    assert {"401", "403", "503"} <= set(refused)
    for status, response in refused.items():
        shown = response["content"][MEDIA_TYPE]["examples"]
        assert shown
        for code, example in shown.items():
            problem = example["value"]
            assert (problem["code"], problem["status"]) == (code, int(status)) == (code, CATALOGUE[code].status)
            assert problem["errors"][0]["detail"]
            assert example["summary"]


@every_operation
def test_money_moves_only_with_a_key(operation: Operation) -> None:
    parameters = [p["name"] for p in documented(operation).get("parameters", ())]
    assert ("Idempotency-Key" in parameters) is operation.endpoint.signature.allow.idempotent


@every_operation
def test_unknown_fields_are_refused(operation: Operation) -> None:
    signature = operation.endpoint.signature
    for model in (signature.body, signature.query):
        if model is not None:
            assert model.model_config.get("extra") == "forbid"


def test_an_example_that_does_not_fit_is_seen() -> None:
    """The check above is one that can fail: a wrong example is refused by the body it belongs to."""
    operation = next(o for o in OPERATIONS if o.endpoint.operation_id == "settle_one_call")
    body = operation.endpoint.signature.body
    assert body is not None
    schema = documented(operation)["requestBody"]["content"]["application/json"]["schema"]
    example = {**examples(operation, schema)[0], "total_fen": "77.00"}
    with pytest.raises(ValueError, match="total_fen"):
        body.model_validate_json(json.dumps(example))
