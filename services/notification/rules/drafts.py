"""Which messages an event makes: one for each recipient of each template, and one for each subscription it concerns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.notification.rules.audiences import concerns, recipients, regions_of
from services.notification.rules.delivery import Channel
from services.notification.rules.signature import cloud_event
from services.notification.rules.templates import NAME, Template
from shared.events import Envelope, Event
from shared.regions import RegionTree

WEBHOOK, PING = "webhook", "ping"
"""Templates of webhooks: they carry an event itself, and no text."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message about to be recorded. `fields` is JSON."""

    event_id: str
    event_type: str
    template: str
    channel: Channel
    recipient: str
    subscription_id: str | None
    fields: str
    language: str | None
    regions: tuple[str, ...]
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """A subscription to events of this type."""

    subscription_id: str
    party: str


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What drafting needs to know besides the event."""

    regions: RegionTree
    templates: Sequence[Template]
    """Of this type of event."""
    targets: Sequence[Target]
    facility_regions: Mapping[str, str]
    """By facility code."""
    languages: Mapping[str, str]
    """By person, of those who chose one."""


def drafts(envelope: Envelope[Event], known: Knowledge) -> Iterator[NewMessage]:
    """All messages of one event."""
    event = envelope.event
    facility_region = known.facility_regions.get(getattr(event, "facility_code", ""))
    taking_part = regions_of(event, facility_region, known.regions)
    for template in known.templates:
        for recipient in recipients(template.audience, event, facility_region, known.regions):
            yield _told(envelope, template, recipient, taking_part, known.languages)
    concerned = [target for target in known.targets if concerns(target.party, taking_part, known.regions)]
    if concerned:
        document = json.dumps(cloud_event(envelope), ensure_ascii=False)
        yield from (posted(envelope, WEBHOOK, target, document, taking_part) for target in concerned)


def _told(
    envelope: Envelope[Event],
    template: Template,
    recipient: str,
    taking_part: frozenset[str],
    languages: Mapping[str, str],
) -> NewMessage:
    """A text to a person or a party. A person's message keeps no more of the event than its text says."""
    to_person = template.channel is Channel.SMS
    shown = set(template.placeholders - {NAME}) if to_person else None
    return NewMessage(
        event_id=envelope.id,
        event_type=envelope.type_name,
        template=template.template,
        channel=template.channel,
        recipient=recipient,
        subscription_id=None,
        fields=envelope.event.model_dump_json(include=shown),
        language=languages.get(recipient, "zh") if to_person else None,
        regions=tuple(sorted(taking_part)),
        traceparent=envelope.traceparent,
    )


def posted(
    envelope: Envelope[Event], template: str, target: Target, document: str, taking_part: frozenset[str]
) -> NewMessage:
    """The event itself to a subscription's address."""
    return NewMessage(
        event_id=envelope.id,
        event_type=envelope.type_name,
        template=template,
        channel=Channel.WEBHOOK,
        recipient=target.party,
        subscription_id=target.subscription_id,
        fields=document,
        language=None,
        regions=tuple(sorted(taking_part)),
        traceparent=envelope.traceparent,
    )
