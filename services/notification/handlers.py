"""Events notification hears. All but one do the same: become messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.notification import use_cases
from services.notification.rules.audiences import TOLD
from services.notification.use_cases import Notification
from shared.consumer import Handlers
from shared.database import Connection
from shared.events import Envelope, Event
from shared.events.designation import FacilityChanged


def handlers(parts: Notification) -> Handlers:
    """The handlers of a process; they need its templates and regions."""

    async def on_event_to_tell(tx: Connection, envelopes: Sequence[Envelope[Event]], now: datetime) -> None:
        await use_cases.tell(parts, tx, envelopes, now)

    async def on_facility_changed(
        tx: Connection, envelopes: Sequence[Envelope[FacilityChanged]], now: datetime
    ) -> None:
        await use_cases.note_facilities(tx, [envelope.event for envelope in envelopes])
        await use_cases.tell(parts, tx, envelopes, now)

    return {**dict.fromkeys(TOLD, on_event_to_tell), FacilityChanged: on_facility_changed}
