"""Outbox: events are rows of the use case's own transaction; one relay a service carries them to the broker.

The relay takes *all* unsent rows in the order of their ids, so none is left behind; within one key that order is the
order of the commits, because whoever announces for an aggregate holds its lock. Two relays may run: one works at a
time, the other stands by. A crash between broker and database sends an event twice; the receivers' inboxes know it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.database import Connection, Database, Statement
from shared.events import EVENTS, Envelope, Event, headers_of, topic_of
from shared.kafka import Message, Producer
from shared.refusals import Unavailable
from shared.settings import Settings
from shared.telemetry import Gauges, begin, current_traceparent, is_sampled, traceparent_of

if TYPE_CHECKING:
    import asyncpg

log = logging.getLogger(__name__)

MEASURE_EVERY_S = 1.0
"""How often the backlog is counted for the metrics."""

_INSERT = """
    INSERT INTO outbox (event_id, type, key, data, occurred_at, traceparent)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
"""
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('sifang.relay.' || current_schema()))"
_UNSENT = "SELECT id, event_id, type, key, data, occurred_at, traceparent FROM outbox ORDER BY id LIMIT $1"
_SENT = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
_BACKLOG = "SELECT count(*) AS backlog, min(occurred_at) AS oldest FROM outbox"


async def announce(tx: Connection, envelopes: Sequence[Envelope[Event]]) -> None:
    """Write events in the transaction that made them true."""
    if envelopes:
        await announcement(envelopes).run(tx)


async def announce_now(tx: Connection, events: Sequence[Event], now: datetime) -> None:
    """Announce in the transaction and the trace at hand."""
    await announce(tx, [Envelope(event, now, traceparent=current_traceparent()) for event in events])


def announcement(envelopes: Sequence[Envelope[Event]]) -> Statement:
    """What `announce` runs, for a use case that writes everything in one round trip."""
    columns = (
        [e.id for e in envelopes],
        [e.type_name for e in envelopes],
        [e.event.key for e in envelopes],
        [e.event.model_dump_json() for e in envelopes],
        [e.occurred_at for e in envelopes],
        [e.traceparent for e in envelopes],
    )
    return Statement(_INSERT, columns)


class Relay:
    """Carries a service's outbox to its topic until stopped."""

    def __init__(self, database: Database, producer: Producer, settings: Settings, gauges: Gauges) -> None:
        self._database, self._producer, self._settings, self._gauges = database, producer, settings, gauges
        self._wake = asyncio.Event()
        self._measure_at = 0.0
        self._listener: asyncpg.Connection[Any] | None = None

    async def run(self) -> None:
        """Work until cancelled. Outages of database or broker are waited out; an unknown error ends it, loudly."""
        pause_s = 0.1
        while True:
            try:
                await self._listen()
                if not await self.relay_once():
                    await self._sleep()
                pause_s = 0.1
            except Unavailable as away:
                log.warning("relay waits", extra={"fields": {"reason": str(away), "pause_s": pause_s}})
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._settings.consumer_backoff_max_s)

    async def relay_once(self) -> int:
        """Publish one batch of unsent events; how many. 0 also when another relay is at work."""
        async with self._database.transaction() as tx:
            if not await tx.fetchval(_LOCK):
                return 0
            rows = await tx.fetch(_UNSENT, self._settings.outbox_batch_max)
            if rows:
                await self._publish(rows)
                await tx.execute(_SENT, [row["id"] for row in rows])
        return len(rows)

    async def _publish(self, rows: Sequence[Any]) -> None:
        spans = [
            begin("outbox.publish", {"sifang.event": r["type"]}, parent=r["traceparent"])
            for r in rows
            if is_sampled(r["traceparent"])
        ]
        parents = iter(map(traceparent_of, spans))
        try:
            await self._producer.send(
                [_message(row, next(parents) if is_sampled(row["traceparent"]) else None) for row in rows]
            )
        finally:
            for span in spans:
                span.end()

    async def _listen(self) -> None:
        if self._listener is None or self._listener.is_closed():
            self._listener = await self._database.listen()
            await self._listener.add_listener(f"sifang_outbox_{self._database.service}", lambda *_: self._wake.set())
            self._wake.set()

    async def _sleep(self) -> None:
        await self._measure()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.outbox_poll_s):
                await self._wake.wait()
        # A round costs seven round trips however little it carries: under load, commits are gathered for a moment.
        await asyncio.sleep(self._settings.outbox_linger_s)
        self._wake.clear()

    async def _measure(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._measure_at:
            return
        self._measure_at = now + MEASURE_EVERY_S
        async with self._database.read() as reader:
            row = await reader.fetchrow(_BACKLOG)
        if row is None:
            return
        self._gauges.set("sifang.outbox.backlog", row["backlog"], service=self._database.service)
        age_s = (datetime.now(row["oldest"].tzinfo) - row["oldest"]).total_seconds() if row["oldest"] else 0.0
        self._gauges.set("sifang.outbox.age", max(age_s, 0.0), service=self._database.service)

    async def close(self) -> None:
        """Give the listening connection back."""
        if self._listener is not None:
            await self._listener.close()


def _message(row: Any, traceparent: str | None) -> Message:
    kind = EVENTS[row["type"]]
    headers = headers_of(
        kind,
        event_id=row["event_id"],
        occurred_at=row["occurred_at"],
        traceparent=traceparent or row["traceparent"],
    )
    return Message(topic_of(kind.announcer), row["key"].encode(), row["data"].encode(), headers)
