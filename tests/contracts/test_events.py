"""Event contracts: a change that would break a reader fails with a line that says what; an addition passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, create_model

from shared import docs
from shared.events import EVENTS, Event
from shared.events.claims import DischargeSettled

COMMITTED = docs.DOCS / "events"


@pytest.mark.parametrize("name", EVENTS)
def test_no_event_breaks_its_committed_schema(name: str) -> None:
    committed = json.loads((COMMITTED / f"{name}.json").read_text("utf-8"))
    assert docs.breaking_changes(committed, docs.event_schemas()[name]) == []


def test_every_event_is_committed_and_none_is_lost() -> None:
    assert {file.stem for file in COMMITTED.glob("*.json")} == set(EVENTS)


def schema(kind: type[Event]) -> dict[str, Any]:
    return kind.model_json_schema()


def without(name: str) -> type[Event]:
    """The event without one of its fields."""
    fields: dict[str, Any] = {n: (f.annotation, f) for n, f in DischargeSettled.model_fields.items() if n != name}
    return create_model("DischargeSettled", __base__=Event, **fields)


def changed(**fields: Any) -> type[Event]:
    """The event with fields added or redefined."""
    return create_model("DischargeSettled", __base__=DischargeSettled, **fields)


BREAKING = [
    ("a field removed", without("total_fen"), "total_fen: removed"),
    ("a type changed", changed(total_fen=(str, ...)), "total_fen: "),
    ("a type widened", changed(total_fen=(int | None, ...)), "total_fen: "),
    ("an amount in yuan", changed(fund_fen=(float, ...)), "fund_fen: "),
    ("a new field that must be there", changed(room=(str, ...)), "room: added without a default"),
    ("a field that may now be absent", changed(home_region=(str, "411600")), "home_region: no longer sure"),
    ("a bound added", changed(total_fen=(int, Field(ge=0))), "total_fen: "),
]


@pytest.mark.parametrize(("case", "kind", "line"), BREAKING, ids=[case for case, _, _ in BREAKING])
def test_a_breaking_change_is_named(case: str, kind: type[Event], line: str) -> None:
    lines = docs.breaking_changes(schema(DischargeSettled), schema(kind))
    assert any(found.startswith(line) for found in lines), lines


def test_a_change_inside_a_part_is_named() -> None:
    old = schema(DischargeSettled)
    new = json.loads(json.dumps(old))
    del new["$defs"]["FundShare"]["properties"]["amount_fen"]
    assert docs.breaking_changes(old, new) == ["FundShare.amount_fen: removed"]


def test_an_addition_with_a_default_passes() -> None:
    assert docs.breaking_changes(schema(DischargeSettled), schema(changed(room=(str | None, None)))) == []


def test_words_and_examples_may_change() -> None:
    old = schema(DischargeSettled)
    new = json.loads(json.dumps(old))
    new["properties"]["total_fen"] |= {"description": "better words", "title": "Total", "examples": [1]}
    assert docs.breaking_changes(old, new) == []


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Documents just generated, in a folder of their own, as if committed."""
    monkeypatch.setattr(docs, "DOCS", tmp_path)
    docs.main([])
    return tmp_path


def test_the_check_passes_on_what_was_generated(committed: Path) -> None:
    docs.main(["--check"])


def test_the_check_fails_with_a_clear_line(committed: Path) -> None:
    file = committed / "events" / f"{DischargeSettled.type_name()}.json"
    before = json.loads(file.read_text("utf-8"))
    before["properties"]["ward"] = {"type": "string"}
    file.write_text(json.dumps(before))
    with pytest.raises(SystemExit) as said:
        docs.main(["--check"])
    assert f"breaking change in events/{file.name}: ward: removed; make it a new version instead" in str(said.value)
    with pytest.raises(SystemExit):
        docs.main([])
    assert "ward" in file.read_text("utf-8"), "a schema that would be broken is not overwritten"


def test_an_event_that_disappeared_is_named(committed: Path) -> None:
    (committed / "events" / "sifang.claims.BillLost.v1.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"BillLost\.v1\.json has no event any more"):
        docs.main(["--check"])


def test_a_stale_document_is_named(committed: Path) -> None:
    (committed / "errors.md").write_text("old")
    with pytest.raises(SystemExit, match=r"stale: docs/errors\.md"):
        docs.main(["--check"])


# AsyncAPI


def references(value: Any) -> list[str]:
    """Every `$ref` in a document."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for inner in value.values() for ref in references(inner)]
    return [ref for inner in value for ref in references(inner)] if isinstance(value, list) else []


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = docs.asyncapi()
    for reference in references(document):
        if reference.startswith("#/"):
            place: Any = document
            for step in reference[2:].split("/"):
                place = place[step]
        else:
            assert (docs.DOCS / reference).is_file()


def test_every_event_is_on_its_announcers_channel() -> None:
    channels = docs.asyncapi()["channels"]
    for name, kind in EVENTS.items():
        assert name.removeprefix("sifang.") in channels[kind.announcer]["messages"]


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_says_what_it_is_and_what_its_key_is(name: str) -> None:
    kind = EVENTS[name]
    assert kind.__doc__
    assert "Key: " in kind.__doc__
    assert kind.announcer in name
