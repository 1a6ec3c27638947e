"""What notification announces about its own work."""

from __future__ import annotations

from typing import ClassVar

from shared.events.base import Event


class MessageEvent(Event):
    """Common body: one message to one recipient over one channel."""

    announcer: ClassVar[str] = "notification"
    message_id: str
    template: str
    channel: str
    recipient: str
    """The person's internal number or the party's code; never a phone number or a name."""
    attempts: int

    @property
    def key(self) -> str:
        return self.message_id


class MessageDelivered(MessageEvent):
    """The carrier or partner took the message. Key: the message."""


class MessageFailed(MessageEvent):
    """All attempts were used up. Key: the message."""

    reason: str
