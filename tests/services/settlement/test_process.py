"""The running service: events from the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from deploy.local.cluster import Cluster
from shared.events import EVENTS, Envelope, Event, headers_of, topic_of
from shared.kafka import Message, Producer
from shared.settings import Settings
from tests.services.settlement.world import Books, Hospital


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[Producer]:
    """What other services announce with."""
    made = Producer(settings, "tests")
    yield made
    await made.close()


def message(envelope: Envelope[Event]) -> Message:
    """An event as the relay of its announcer sends it."""
    kind = EVENTS[envelope.type_name]
    headers = headers_of(kind, event_id=envelope.id, occurred_at=envelope.occurred_at, traceparent=envelope.traceparent)
    data = envelope.event.model_dump_json().encode()
    return Message(topic_of(kind.announcer), envelope.event.key.encode(), data, headers)


async def send(producer: Producer, events: Sequence[Event], times: int = 1) -> None:
    """Announce events, each `times` under the same event id."""
    envelopes = [Envelope(event, datetime.now(UTC)) for event in events]
    await producer.send([message(envelope) for envelope in envelopes * times])


async def booked(books: Books, hospital: Hospital, count: int) -> bool:
    """Whether so many bills of a hospital are booked within some seconds."""
    for _ in range(150):
        if await books.value("SELECT count(*) FROM bill WHERE facility_code = $1", hospital.code) >= count:
            return True
        await asyncio.sleep(0.1)
    return False


async def test_announced_bills_are_in_the_books_once(books: Books, services: Cluster, producer: Producer) -> None:
    """Sent twice, a reversal before its settlement, and one that cannot be booked in their midst."""
    hospital = Hospital()
    good = [hospital.bill() for _ in range(10)]
    reversal = hospital.reversal(good[0])
    poison = hospital.bill(total_fen=1)

    await send(producer, [reversal, *good[:5], poison, *good[5:]], times=2)
    await send(producer, [good[0]])

    assert await booked(books, hospital, 11)
    await asyncio.sleep(0.5)
    found = await books.rows("SELECT settlement_id FROM bill WHERE facility_code = $1", hospital.code)
    assert {row["settlement_id"] for row in found} == {bill.settlement_id for bill in [*good, reversal]}
    assert sum((await books.balances(hospital)).values()) == 0
    assert (await books.balances(hospital))[hospital.code, "receivable", hospital.region] == 9 * 85_000


async def test_bill_keeps_its_trace(books: Books, services: Cluster, producer: Producer) -> None:
    hospital = Hospital()
    bill = hospital.bill()
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    await producer.send([message(Envelope(bill, datetime.now(UTC), traceparent=traceparent))])

    assert await booked(books, hospital, 1)
    kept = await books.value("SELECT traceparent FROM bill WHERE settlement_id = $1", bill.settlement_id)
    assert kept.split("-")[1] == traceparent.split("-")[1]
