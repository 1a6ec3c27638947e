"""Steps that several tests share."""

from __future__ import annotations

from typing import Any

import httpx

from shared.consumer import decode
from shared.events import Event, new_id
from shared.events.claims import DischargeSettled
from shared.kafka import Subscription
from shared.settings import Settings
from tests.services.notification.conftest import Database, eventually
from tests.services.notification.receiver import Delivery, Receiver

SETTLED = DischargeSettled.type_name()


async def subscribed(client: httpx.AsyncClient, url: str, *event_types: str) -> dict[str, Any]:
    """A new subscription of the client's party."""
    answer = await client.post("/v1/subscriptions", json={"url": url, "event_types": event_types or (SETTLED,)})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def arrived(receiver: Receiver, event_id: str, times: int = 1) -> list[Delivery]:
    """The deliveries of an event, once there are as many."""

    async def look() -> list[Delivery] | None:
        found = receiver.of_event(event_id)
        return found if len(found) >= times else None

    return await eventually(look)


async def message_of(database: Database, event_id: str, state: str) -> Any:
    """An event's one webhook, once it came to a state."""
    query = "SELECT * FROM message WHERE event_id = $1 AND channel = 'webhook' AND state = $2"
    return await eventually(lambda: database.fetchrow(query, event_id, state))


async def announced(settings: Settings, kind: type[Event], message_id: str) -> list[Event]:
    """What was announced of a message, read from the topic itself."""
    async with Subscription(settings, f"test-{new_id()}", ["sifang.notification.v1"]).opened() as topic:

        async def read() -> list[Event]:
            envelopes = [decode(record) for record in await topic.poll(1)]
            return [e.event for e in envelopes if e is not None and e.event.key == message_id]

        events = await eventually(read)
    assert {type(event) for event in events} == {kind}
    return events
