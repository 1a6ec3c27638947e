"""Messages: made of events, looked at, read, sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.notification import errors, store
from services.notification.rules.audiences import NAMES_ONLY_FACILITY, concerns
from services.notification.rules.delivery import Channel, State
from services.notification.rules.drafts import Knowledge, Target, drafts
from services.notification.tables import Facility, Message
from services.notification.use_cases.parts import Notification
from shared.auth import Principal, Role
from shared.database import Connection
from shared.events import Envelope, Event
from shared.events.designation import FacilityChanged
from shared.refusals import Refused


async def note_facilities(tx: Connection, changes: Sequence[FacilityChanged]) -> None:
    """Remember what facilities are called and where they are; a late older event changes nothing."""
    newest: dict[str, FacilityChanged] = {}
    for change in sorted(changes, key=lambda c: c.revision):
        newest[change.facility_code] = change
    await store.save_facilities(
        tx, [Facility(code=c.facility_code, name=c.name, region=c.region, revision=c.revision) for c in newest.values()]
    )


async def tell(parts: Notification, tx: Connection, envelopes: Sequence[Envelope[Event]], now: datetime) -> None:
    """Record the messages that events of one type make. Raises Refused for a facility nobody registered."""
    kind = type(envelopes[0].event)
    persons = {getattr(e.event, "person_id", "") for e in envelopes} - {""}
    known = Knowledge(
        regions=parts.regions,
        templates=parts.templates.about(kind),
        targets=[Target(s.subscription_id, s.party) for s in await store.subscriptions_to(tx, [kind.type_name()])],
        facility_regions=await _facility_regions(parts, tx, envelopes) if issubclass(kind, NAMES_ONLY_FACILITY) else {},
        languages=await store.languages(tx, sorted(persons)),
    )
    messages = [message for envelope in envelopes for message in drafts(envelope, known)]
    await store.add_messages(tx, messages, parts.settings.attempts_max, now)


async def _facility_regions(
    parts: Notification, tx: Connection, envelopes: Sequence[Envelope[Event]]
) -> dict[str, str]:
    """Where those who stated are: a facility where it is registered, an agency in its own region. Raises Refused."""
    codes = sorted({getattr(envelope.event, "facility_code") for envelope in envelopes})  # noqa: B009
    agencies = {code: code for code in codes if code in parts.regions}
    found = await store.facilities(tx, codes)
    missing = [errors.FACILITY_UNKNOWN(facility=code) for code in codes if code not in found and code not in agencies]
    if missing:
        raise Refused(*missing)
    return agencies | {code: facility.region for code, facility in found.items()}


def may_see(parts: Notification, principal: Principal, message: Message) -> bool:
    """Operations see every message's fate, a party that of its own webhooks, an officer what concerns their area."""
    if principal.role is Role.OPERATOR:
        return True
    if message.channel == Channel.WEBHOOK:
        return message.recipient == principal.party
    return principal.role is Role.OFFICER and concerns(principal.party, message.regions, parts.regions)


async def mark_read(parts: Notification, principal: Principal, message_id: str, now: datetime) -> Message:
    """A message of the caller's inbox, marked as read; who read it first stays. Raises Refused."""
    async with parts.database.transaction() as tx:
        message = await store.mark_read(tx, message_id, principal.party, now, principal.subject)
    if message is None:
        raise Refused(errors.MESSAGE_UNKNOWN())
    return message


async def retry(parts: Notification, message_id: str, now: datetime) -> Message:
    """Give a failed message its attempts once more. Raises Refused."""
    async with parts.database.transaction() as tx:
        message = await store.message(tx, message_id, for_update=True)
        if message is None:
            raise Refused(errors.MESSAGE_UNKNOWN())
        if message.state != State.FAILED:
            raise Refused(errors.MESSAGE_NOT_FAILED(state=message.state))
        await _check_subscription(tx, message)
        again = await store.retry(tx, message_id, parts.settings.attempts_max, now)
    if again is None:
        raise RuntimeError("a locked row changed")
    return again


async def _check_subscription(tx: Connection, message: Message) -> None:
    if message.subscription_id is None:
        return
    subscription = await store.subscription_for_update(tx, message.subscription_id)
    if subscription is None or subscription.ended_at is not None:
        raise Refused(errors.SUBSCRIPTION_ENDED())


async def set_language(parts: Notification, person_id: str, language: str) -> None:
    """The language of a person's messages from now on."""
    async with parts.database.transaction() as tx:
        await store.set_language(tx, person_id, language)
