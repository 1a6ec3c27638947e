"""Consuming events: batches in, one transaction each whatever partitions its events come from, offsets after.

`Unavailable` pauses and reads the same batch again; what cannot be handled (undecodable, refused, or failing alone
again and again while everything is up) goes to the dead-letter topic with its reason, and the partition goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from opentelemetry.trace import Span, SpanKind
from pydantic import ValidationError

from shared import inbox
from shared.clock import Clock
from shared.database import Connection, Database
from shared.events import EVENTS, Envelope, Event, dead_letter_topic, topic_of
from shared.kafka import Message, Producer, Record, Subscription
from shared.refusals import Refused, Unavailable
from shared.settings import Settings
from shared.telemetry import DURATIONS_S, Gauges, begin, counter, histogram, is_sampled, traceparent_of

log = logging.getLogger(__name__)

Handler = Callable[[Connection, Sequence[Envelope[Any]], datetime], Awaitable[None]]
"""Handles events of one type, in order, inside the transaction that also claims their ids."""

Handlers = Mapping[type[Event], Handler]


class Undecodable(Exception):
    """A record that is not an event we can read."""


def decode(record: Record) -> Envelope[Event] | None:
    """The event of a record; None when its type is not known here. Raises Undecodable."""
    type_name, event_id = record.header("ce_type"), record.header("ce_id")
    if not type_name or not event_id:
        raise Undecodable("CloudEvents headers ce_type and ce_id are missing")
    kind = EVENTS.get(type_name)
    if kind is None:
        return None
    try:
        event = kind.model_validate_json(record.value)
        occurred_at = datetime.fromisoformat(record.header("ce_time") or "")
    except (ValidationError, ValueError) as error:
        # Only the places and kinds of the errors: the values may be anything.
        where = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in error.errors(include_input=False)[:5])
            if isinstance(error, ValidationError)
            else "ce_time"
        )
        raise Undecodable(f"{type_name}: {where}") from error
    return Envelope(event, occurred_at, event_id, record.header("traceparent"))


class Consumer:
    """Runs a service's handlers until stopped."""

    def __init__(
        self,
        service: str,
        handlers: Handlers,
        database: Database,
        producer: Producer,
        settings: Settings,
        clock: Clock,
        gauges: Gauges,
    ) -> None:
        self._service, self._handlers, self._database = service, handlers, database
        self._producer, self._settings, self._clock, self._gauges = producer, settings, clock, gauges
        self._stopping = asyncio.Event()
        self.set_aside = 0
        """Events this consumer sent to the dead-letter topic."""
        self._handled = counter("sifang.consumer.handled")
        self._dead = counter("sifang.dead_letters")
        self._delay = histogram("sifang.consumer.delay", "s", DURATIONS_S)

    @property
    def topics(self) -> list[str]:
        """The topics our handlers hear."""
        return sorted({topic_of(kind.announcer) for kind in self._handlers})

    def stop(self) -> None:
        """Finish the batch at hand, then end."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`. Outages are waited out."""
        pause_s = 0.1
        while not self._stopping.is_set():
            try:
                async with Subscription(
                    self._settings, f"sifang-{self._service}", self.topics
                ).opened() as subscription:
                    pause_s = 0.1
                    await self._consume(subscription)
            except Unavailable as away:
                log.warning("consumer waits", extra={"fields": {"reason": str(away), "pause_s": pause_s}})
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._settings.consumer_backoff_max_s)

    async def _consume(self, subscription: Subscription) -> None:
        pause_s = 0.1
        while not self._stopping.is_set():
            records = await subscription.poll()
            self._gauges.set("sifang.consumer.lag", await subscription.lag(), service=self._service)
            if not records:
                continue
            try:
                await self.handle_records(records)
                await subscription.commit(records)
                pause_s = 0.1
            except Unavailable as away:
                log.warning("handler waits", extra={"fields": {"reason": str(away), "pause_s": pause_s}})
                subscription.rewind(records)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._settings.consumer_backoff_max_s)

    async def handle_records(self, records: Sequence[Record]) -> None:
        """Handle records of any partitions: together if they let us, else one by one. Raises Unavailable."""
        decoded: list[tuple[Record, Envelope[Event]]] = []
        for record in records:
            try:
                envelope = decode(record)
            except Undecodable as error:
                await self._set_aside(record, str(error), "undecodable")
                continue
            if envelope is not None and type(envelope.event) in self._handlers:
                decoded.append((record, envelope))
        if not decoded:
            return
        try:
            await self._handle([envelope for _, envelope in decoded])
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one of them is poison; alone each shows which
            log.warning("batch failed, handling one by one", extra={"fields": {"error": type(error).__name__}})
            for record, envelope in decoded:
                await self._handle_alone(record, envelope)

    async def _handle_alone(self, record: Record, envelope: Envelope[Event]) -> None:
        for attempt in range(1, self._settings.dead_letter_attempts + 1):
            try:
                await self._handle([envelope])
                return
            except Unavailable:
                raise
            except Refused as refused:
                await self._set_aside(record, ", ".join(r.code for r in refused), "refused")
                return
            except Exception as error:
                log.exception("handler failed", extra={"fields": {"event_id": envelope.id, "attempt": attempt}})
                if attempt == self._settings.dead_letter_attempts:
                    await self._set_aside(record, type(error).__name__, "error")
                    return
                await asyncio.sleep(0.05 * attempt)

    async def _handle(self, envelopes: Sequence[Envelope[Event]]) -> None:
        """One transaction: claim the ids, run the handlers in the order of arrival, commit."""
        now = self._clock()
        spans = {e.id: _span(e) for e in envelopes if is_sampled(e.traceparent)}
        try:
            async with self._database.transaction() as tx:
                fresh = await inbox.claim(tx, [e.id for e in envelopes], now)
                new = [_within(e, spans.get(e.id)) for e in _first_of_each(envelopes) if e.id in fresh]
                for kind, run in groupby(new, key=lambda e: type(e.event)):
                    await self._handlers[kind](tx, list(run), now)
        finally:
            for span in spans.values():
                span.end()
        ended = self._clock()
        for envelope in new:
            self._handled.add(1, {"event": envelope.type_name, "service": self._service})
            self._delay.record(max(0.0, (ended - envelope.occurred_at).total_seconds()), {"service": self._service})

    async def _set_aside(self, record: Record, reason: str, kind: str) -> None:
        """Send a record to the dead-letter topic with what is known. Raises Unavailable: then nothing was set aside."""
        log.error(
            "event set aside",
            extra={"fields": {"event_id": record.header("ce_id"), "type": record.header("ce_type"), "reason": reason}},
        )
        kept = [(name, value) for name, value in record.headers.items() if not name.startswith("sifang_")]
        about = {
            "reason": reason,
            "kind": kind,
            "topic": record.header("sifang_topic") or record.topic,
            "partition": record.header("sifang_partition") or str(record.partition),
            "offset": record.header("sifang_offset") or str(record.offset),
            "replays": str(int(record.header("sifang_replays") or -1) + 1),
        }
        headers = [*kept, *((f"sifang_{name}", value.encode()) for name, value in about.items())]
        await self._producer.send([Message(dead_letter_topic(self._service), record.key, record.value, headers)])
        self.set_aside += 1
        self._dead.add(1, {"event": record.header("ce_type") or "unknown", "kind": kind, "service": self._service})


def _first_of_each(envelopes: Sequence[Envelope[Event]]) -> list[Envelope[Event]]:
    """Without the second copies of an event that arrived twice in one batch."""
    seen: dict[str, Envelope[Event]] = {}
    for envelope in envelopes:
        seen.setdefault(envelope.id, envelope)
    return list(seen.values())


def _span(envelope: Envelope[Event]) -> Span:
    attributes = {"sifang.event": envelope.type_name}
    return begin("event.handle", attributes, parent=envelope.traceparent, kind=SpanKind.CONSUMER)


def _within(envelope: Envelope[Event], span: Span | None) -> Envelope[Event]:
    """The envelope as seen by a handler: what it announces in turn belongs under the handling span."""
    if span is None:
        return envelope
    return Envelope(envelope.event, envelope.occurred_at, envelope.id, traceparent_of(span) or envelope.traceparent)
