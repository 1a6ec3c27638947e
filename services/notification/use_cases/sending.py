"""Rounds of sending: lease what is due, hand it over, record what came of it.

A lease is a date: while a round is at work its messages are due only when the lease ends, so that two workers never
send one message at once, and a crash between sending and recording sends it once more. Whoever receives a message can
recognise the second one by its id. Attempts are counted when they begin, so that a message that kills its sender does
so a bounded number of times.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from opentelemetry.trace import Span
from ulid import ULID

from services.notification import store
from services.notification.rules.delivery import (
    Attempt,
    Channel,
    Decision,
    Due,
    Health,
    Outcome,
    Result,
    State,
    decide,
    health_after,
)
from services.notification.rules.signature import body_of
from services.notification.rules.templates import Names
from services.notification.tables import Subscription
from services.notification.use_cases.carriers import Carrier, Sms
from services.notification.use_cases.contacts import Contact, Contacts
from services.notification.use_cases.parts import Notification
from services.notification.use_cases.subscriptions import SECRET_CONTEXT, renew_encryption
from services.notification.use_cases.webhooks import Partners, Post
from shared.clock import Clock
from shared.database import Connection
from shared.events import Envelope, Event
from shared.events.notification import MessageDelivered, MessageFailed
from shared.outbox import announce
from shared.personal import PersonalDataUnreadable, SecretStr, mask_name
from shared.refusals import Unavailable
from shared.telemetry import annotate, begin, counter, traceparent_of

log = logging.getLogger(__name__)

_HOUSEKEEPING_ROWS = 1000
_OUTCOME_WORDS = {Outcome.DELIVERED: "ok", Outcome.FAILED: "unavailable", Outcome.REFUSED: "refused"}

Sent = Sequence[tuple[Due, Result]]


class Sending:
    """The work of a worker: its jobs are rounds, and a stop lets the rounds at hand end."""

    def __init__(
        self, parts: Notification, clock: Clock, carrier: Carrier, contacts: Contacts, partners: Partners
    ) -> None:
        self._parts, self._clock = parts, clock
        self._carrier, self._contacts, self._partners = carrier, contacts, partners
        self._rounds = {channel: asyncio.Lock() for channel in (Channel.SMS, Channel.WEBHOOK)}
        self._stopping = False
        self._counted = counter("sifang.messages")

    async def send_sms(self) -> None:
        """One round of messages to persons. Raises Unavailable; then nothing was sent."""
        if self._stopping:
            return
        settings = self._parts.settings
        async with self._round(Channel.SMS) as (now, until):
            async with self._parts.database.transaction() as tx:
                due = await store.lease_sms(tx, now, settings.sms_batch_max, until)
                facilities = await store.facilities(tx, sorted({d.fields.get("facility_code", "") for d in due}))
            if due:
                spans = _spans(due)
                names = {code: facility.name for code, facility in facilities.items()}
                await self._record(await self._carry(due, names, now), spans)

    async def send_webhooks(self) -> None:
        """One round of events to partners. Raises Unavailable."""
        if self._stopping:
            return
        settings = self._parts.settings
        async with self._round(Channel.WEBHOOK) as (now, until):
            async with self._parts.database.transaction() as tx:
                due = await store.lease_webhooks(tx, now, settings.webhook_lane_max, settings.webhook_batch_max, until)
                subscriptions = await store.subscriptions(tx, sorted({d.subscription_id or "" for d in due}))
            if due:
                spans = _spans(due)
                sent = await self._post(due, subscriptions, spans)
                await self._record(sent, spans)
                await self._give_back(due, sent, now)

    async def keep_house(self) -> None:
        """Let fail what has no attempt left, and forget what is old. Raises Unavailable."""
        now = self._clock()
        oldest = str(ULID.from_datetime(now - timedelta(days=self._parts.settings.keep_days)))
        async with self._parts.database.transaction() as tx:
            used_up = await store.fail_used_up(tx, now, _HOUSEKEEPING_ROWS)
            await announce(tx, [_failed_unattempted(message, now) for message in used_up])
            await store.purge(tx, oldest, _HOUSEKEEPING_ROWS)

    async def renew_encryption(self) -> None:
        """See `subscriptions.renew_encryption`."""
        await renew_encryption(self._parts)

    async def close(self, grace_s: float) -> None:
        """Begin no further round, and wait for those at work."""
        self._stopping = True
        try:
            async with asyncio.timeout(grace_s):
                for at_work in self._rounds.values():
                    async with at_work:
                        pass
        except TimeoutError:
            log.warning("a round was cut short; its messages are sent again when their lease ends")
        await self._contacts.close()

    @asynccontextmanager
    async def _round(self, channel: Channel) -> AsyncIterator[tuple[datetime, datetime]]:
        """Now, and the end of this round's leases."""
        async with self._rounds[channel]:
            now = self._clock()
            yield now, now + timedelta(seconds=self._parts.settings.lease_s)

    # Text messages

    async def _carry(self, due: Sequence[Due], facilities: Mapping[str, str], now: datetime) -> Sent:
        contacts = await self._contacts_of(due, now)
        written = [(d, self._written(d, contacts.get(d.recipient), facilities)) for d in due]
        results = {d.message_id: sms for d, sms in written if isinstance(sms, Result)}
        ready = [sms for _, sms in written if isinstance(sms, Sms)]
        taken = await self._carrier.send(ready, now) if ready else []
        results |= {sms.message_id: result for sms, result in zip(ready, taken, strict=True)}
        return [(d, results[d.message_id]) for d in due]

    async def _contacts_of(self, due: Sequence[Due], now: datetime) -> dict[str, Contact]:
        try:
            return await self._contacts.of(sorted({d.recipient for d in due}))
        except Unavailable:
            # Nothing was attempted: the messages wait a little, and no attempt is counted.
            again_at = now + self._parts.backoff.pause(3, random.random())  # noqa: S311 - spreads load, no secret
            async with self._parts.database.transaction() as tx:
                await store.return_leases(tx, due, again_at)
            raise

    def _written(self, due: Due, contact: Contact | None, facilities: Mapping[str, str]) -> Sms | Result:
        """The text to a person, or why there is none."""
        if contact is None or contact.phone is None:
            return Result(Outcome.REFUSED, "no-phone")
        names = Names(self._parts.regions, facilities, mask_name(contact.name.get_secret_value()))
        try:
            text = self._parts.templates.render(due.template, due.language or "zh", due.fields, names)
        except Exception:
            # A template that was taken away or changed under a waiting message must not stop the whole round.
            log.exception("message cannot be written", extra={"fields": {"message_id": due.message_id}})
            return Result(Outcome.REFUSED, "template-unusable")
        return Sms(due.message_id, contact.phone, SecretStr(text))

    # Webhooks

    async def _post(
        self, due: Sequence[Due], subscriptions: Mapping[str, Subscription], spans: Mapping[str, Span]
    ) -> Sent:
        """Post what is due, all partners side by side. Leaves out what was not begun."""
        lanes: dict[str, list[Due]] = defaultdict(list)
        for one in due:
            lanes[one.subscription_id or ""].append(one)
        sent = await asyncio.gather(*(self._post_lane(subscriptions[key], lane, spans) for key, lane in lanes.items()))
        return [pair for lane in sent for pair in lane]

    async def _post_lane(self, subscription: Subscription, lane: Sequence[Due], spans: Mapping[str, Span]) -> Sent:
        secret = self._secret(subscription)
        if secret is None:
            return [(one, Result(Outcome.FAILED, "secret-unreadable")) for one in lane]
        posts = [
            Post(one.message_id, subscription.url, secret, body_of(one.fields), _trace(one, spans)) for one in lane
        ]
        results = await self._partners.deliver(posts)
        return [(one, result) for one, result in zip(lane, results, strict=True) if result is not None]

    async def _give_back(self, due: Sequence[Due], sent: Sent, now: datetime) -> None:
        """Return the leases of what was not begun; it waits while its subscription rests."""
        begun = {one.message_id for one, _ in sent}
        left = [one for one in due if one.message_id not in begun]
        if left:
            async with self._parts.database.transaction() as tx:
                await store.return_leases(tx, left, now)

    def _secret(self, subscription: Subscription) -> str | None:
        """A subscription's secret; None when our keys do not open it, which must not stop the others."""
        try:
            return self._parts.keys.decrypt(subscription.secret, context=SECRET_CONTEXT)
        except PersonalDataUnreadable as error:
            fields = {"subscription_id": subscription.subscription_id, "reason": str(error)}
            log.error("secret of a subscription cannot be read", extra={"fields": fields})
            return None

    # What came of it

    async def _record(self, sent: Sent, spans: Mapping[str, Span]) -> None:
        """Write the outcomes; an outage is waited out as long as the leases hold, to spare receivers a repetition."""
        _end(spans, sent)
        self._count(sent)
        give_up_at = time.monotonic() + self._parts.settings.lease_s
        while True:
            try:
                async with self._parts.database.transaction() as tx:
                    await self._record_in(tx, sent, spans)
                return
            except Unavailable:
                if time.monotonic() >= give_up_at:
                    raise
                await asyncio.sleep(0.5)

    async def _record_in(self, tx: Connection, sent: Sent, spans: Mapping[str, Span]) -> None:
        now = self._clock()
        attempts = [Attempt(d.message_id, d.attempts, d.attempts_allowed, result) for d, result in sent]
        decisions = [decide(a, now, self._parts.backoff, random.random()) for a in attempts]  # noqa: S311 - spreads load
        await store.add_attempts(tx, attempts, now)
        changed = await store.mark(tx, attempts, decisions, now)
        await announce(
            tx,
            [
                event
                for (due, _), decision in zip(sent, decisions, strict=True)
                if due.message_id in changed and (event := _envelope(due, decision, now, spans)) is not None
            ],
        )
        await self._record_health(tx, sent, now)

    async def _record_health(self, tx: Connection, sent: Sent, now: datetime) -> None:
        results: dict[str, list[Result]] = defaultdict(list)
        for due, result in sent:
            if due.subscription_id is not None:
                results[due.subscription_id].append(result)
        if not results:
            return
        for key, subscription in (await store.subscriptions(tx, sorted(results), for_update=True)).items():
            before = Health(subscription.failures, subscription.failing_since, subscription.resting_until)
            after = health_after(before, results[key], now, self._parts.rest, self._parts.settings.give_up_days)
            if isinstance(after, str):
                log.warning("subscription ended", extra={"fields": {"subscription_id": key, "reason": after}})
                await store.end_subscription(tx, key, after, now)
            elif after != before:
                await store.save_health(tx, key, after)

    def _count(self, sent: Sent) -> None:
        for (channel, outcome), times in Counter((d.channel, result.outcome) for d, result in sent).items():
            self._counted.add(times, {"channel": channel, "outcome": outcome})


def _spans(due: Sequence[Due]) -> dict[str, Span]:
    """A span of each message whose event was traced. It is kept only if it is ended: if the attempt was begun."""
    return {
        d.message_id: begin(
            "notification.send",
            {"sifang.template": d.template, "sifang.channel": d.channel},
            parent=d.traceparent,
        )
        for d in due
        if d.traceparent
    }


def _trace(due: Due, spans: Mapping[str, Span]) -> str | None:
    """The traceparent of what belongs under an attempt."""
    return traceparent_of(spans[due.message_id]) if due.message_id in spans else None


def _end(spans: Mapping[str, Span], sent: Sent) -> None:
    for due, result in sent:
        if due.message_id in spans:
            annotate(spans[due.message_id], {"sifang.outcome": _OUTCOME_WORDS[result.outcome]})
            spans[due.message_id].end()


def _envelope(due: Due, decision: Decision, now: datetime, spans: Mapping[str, Span]) -> Envelope[Event] | None:
    """What is announced of a message that came to its end."""
    about = {
        "message_id": due.message_id,
        "template": due.template,
        "channel": due.channel.value,
        "recipient": due.recipient,
        "attempts": due.attempts,
    }
    trace = _trace(due, spans)
    match decision.state:
        case State.DELIVERED:
            return Envelope(MessageDelivered.model_validate(about), now, traceparent=trace)
        case State.FAILED:
            event = MessageFailed.model_validate({**about, "reason": decision.failure})
            return Envelope(event, now, traceparent=trace)
    return None


def _failed_unattempted(message: store.UsedUp, now: datetime) -> Envelope[Event]:
    event = MessageFailed(
        message_id=message.message_id,
        template=message.template,
        channel=message.channel,
        recipient=message.recipient,
        attempts=message.attempts,
        reason=message.failure,
    )
    return Envelope(event, now, traceparent=message.traceparent)
