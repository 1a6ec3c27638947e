"""The webhook's envelope: the event as one JSON document (CloudEvents structured mode), and its signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from shared.events import Envelope, Event

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"


def cloud_event(envelope: Envelope[Event]) -> dict[str, Any]:
    """An event as a partner receives it."""
    event = envelope.event
    return {
        "specversion": "1.0",
        "id": envelope.id,
        "source": f"/sifang/{event.announcer}",
        "type": envelope.type_name,
        "time": envelope.occurred_at.isoformat(),
        "subject": event.key,
        "datacontenttype": "application/json",
        "data": event.model_dump(mode="json"),
    }


def ping_event(event_id: str, subscription_id: str, at: datetime) -> dict[str, Any]:
    """The event a partner asks for to try its address; it goes to that subscription only."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/sifang/notification",
        "type": "sifang.notification.Ping.v1",
        "time": at.isoformat(),
        "subject": subscription_id,
        "datacontenttype": "application/json",
        "data": {"subscription_id": subscription_id},
    }


def body_of(document: Mapping[str, Any]) -> bytes:
    """The bytes that are signed and sent; the same for every attempt."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def sign(secret: str, unix_s: int, body: bytes) -> str:
    """The header `Sifang-Signature`: the moment of sending, and HMAC-SHA256 over "<moment>.<body>" in hexadecimal.

    The moment is signed too, so that a receiver can refuse what was recorded and sent again later.
    """
    digest = hmac.new(secret.encode(), f"{unix_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={unix_s},v1={digest}"
