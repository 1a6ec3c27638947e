"""A party's inbox: its own messages, in the reader's language, with read marks."""

from __future__ import annotations

from typing import Any

import pytest

from shared.events import Envelope, Event, new_id
from shared.events.settlement import CaseClosed, Disbursed, RemittanceDue
from tests.services.notification.conftest import Caller, Database, Publish, eventually
from tests.services.notification.examples import CARE, CITY, FACILITY, FOREIGN_CITY, HOME, envelope, example


async def told(publish: Publish, database: Database, event: Event) -> Envelope[Event]:
    """An event, once its messages are there."""
    one = envelope(event)
    await publish(one)
    await eventually(lambda: database.fetchval("SELECT 1 FROM message WHERE event_id = $1", one.id))
    return one


async def inbox_id(database: Database, one: Envelope[Event], party: str) -> str:
    """The id of the message that an event put into a party's inbox."""
    query = "SELECT message_id FROM message WHERE event_id = $1 AND recipient = $2"
    found: str = await database.fetchval(query, one.id, party)
    return found


async def test_a_facility_reads_its_inbox(publish: Publish, database: Database, caller: Caller) -> None:
    disbursed = await told(publish, database, example(Disbursed))
    facility = caller("facility", FACILITY)

    newest = (await facility.get("/v1/inbox", params={"limit": 1})).json()["items"][0]
    english = (await facility.get("/v1/inbox", params={"limit": 1}, headers={"Accept-Language": "en"})).json()

    assert newest["message_id"] == await inbox_id(database, disbursed, FACILITY)
    assert newest["text"] == "收到淮阳区医保经办机构拨付8432.10元（淮阳区人民医院，2026-10）。"
    assert newest["fields"]["case_id"] == example(CaseClosed).key
    assert (newest["read_at"], newest["read_by"]) == (None, None)
    assert english["items"][0]["text"].startswith("8432.10 yuan were disbursed by the agency of Huaiyang")


async def test_each_party_sees_its_own_only(publish: Publish, database: Database, caller: Caller) -> None:
    due = await told(publish, database, example(RemittanceDue))
    message_id = await inbox_id(database, due, HOME)

    seen = {
        (role, party): message_id in (await caller(role, party).get("/v1/inbox", params={"limit": 200})).text
        for role, party in [
            ("finance", HOME),
            ("officer", HOME),
            ("reviewer", HOME),
            ("partner", HOME),
            ("finance", CITY),
            ("finance", CARE),
            ("finance", FOREIGN_CITY),
            ("facility", FACILITY),
        ]
    }

    assert {party for (_, party), sees in seen.items() if sees} == {HOME}
    assert all(sees for (_, party), sees in seen.items() if party == HOME)


async def test_read_marks(publish: Publish, database: Database, caller: Caller) -> None:
    due = await told(publish, database, example(RemittanceDue))
    message_id = await inbox_id(database, due, HOME)
    first, second = caller("finance", HOME, "wang"), caller("finance", HOME, "li")
    unread = {"unread": "true", "limit": "200"}

    before = (await first.get("/v1/inbox", params=unread)).text
    read = (await first.post(f"/v1/inbox/{message_id}/read")).json()
    again = (await second.post(f"/v1/inbox/{message_id}/read")).json()
    after = (await second.get("/v1/inbox", params=unread)).text
    everything = (await second.get("/v1/inbox", params={"limit": 200})).text

    assert (message_id in before, message_id in after, message_id in everything) == (True, False, True)
    assert read["read_by"] == again["read_by"] == "wang"
    assert read["read_at"] == again["read_at"]


@pytest.mark.parametrize(("role", "party"), [("finance", CITY), ("facility", FACILITY), ("partner", FOREIGN_CITY)])
async def test_nobody_marks_anothers_message(
    publish: Publish, database: Database, caller: Caller, role: str, party: str
) -> None:
    due = await told(publish, database, example(RemittanceDue))
    message_id = await inbox_id(database, due, HOME)

    refused = await caller(role, party).post(f"/v1/inbox/{message_id}/read")

    assert (refused.status_code, refused.json()["code"]) == (404, "notification.message-unknown")
    assert await database.fetchval("SELECT read_at FROM message WHERE message_id = $1", message_id) is None


async def test_pages_from_the_newest_to_the_oldest(publish: Publish, database: Database, caller: Caller) -> None:
    facility = f"H{new_id()[:12]}"
    for _ in range(3):
        await told(publish, database, example(CaseClosed).model_copy(update={"facility_code": facility}))
    client, query = caller("facility", facility), {"limit": "2"}

    first = (await client.get("/v1/inbox", params=query)).json()
    second = (await client.get("/v1/inbox", params={**query, "cursor": first["next_cursor"]})).json()
    wrong = await client.get("/v1/inbox", params={**query, "cursor": "no cursor"})

    ids = [item["message_id"] for item in first["items"] + second["items"]]
    assert (len(first["items"]), len(second["items"]), second["next_cursor"]) == (2, 1, None)
    assert ids == sorted(ids, reverse=True)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "request.cursor-invalid")


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/v1/inbox", "operator"),
        ("GET", "/v1/inbox", "service"),
        ("GET", "/v1/messages", "officer"),
        ("GET", "/v1/messages/01KAJ5T1D4GQ7X8Z2V3N4M5P6Q", "facility"),
        ("POST", "/v1/messages/01KAJ5T1D4GQ7X8Z2V3N4M5P6Q/retry", "officer"),
        ("GET", "/v1/subscriptions", "facility"),
        ("GET", "/v1/subscriptions", "operator"),
        ("PUT", "/v1/persons/01KAJ5T1D4GQ7X8Z2V3N4M5P6Q/language", "facility"),
    ],
)
async def test_roles_that_may_not(caller: Caller, method: str, path: str, role: str) -> None:
    refused = await caller(role, HOME).request(method, path, json={"language": "en"} if method == "PUT" else None)

    assert (refused.status_code, refused.json()["code"]) == (403, "auth.role-not-allowed")


async def test_the_documentation_shows_an_example_of_everything(caller: Caller) -> None:
    document: dict[str, Any] = (await caller("operator", "ops").get("/openapi.json")).json()

    schemas = document["components"]["schemas"]
    without = [n for n, s in schemas.items() if s.get("type") == "object" and "examples" not in s and "Page" not in n]
    assert set(without) <= {"Problem", "HTTPValidationError", "ValidationError"}  # none of ours
    assert len(document["paths"]) == 9
