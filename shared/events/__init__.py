"""The contracts: every event the services exchange, by type name. Imports no plumbing."""

from __future__ import annotations

from shared.events import claims, designation, enrollment, notification, settlement
from shared.events.base import Envelope, Event, dead_letter_topic, headers_of, new_id, topic_of

_MODULES = (enrollment, designation, claims, settlement, notification)


def _announced() -> dict[str, type[Event]]:
    """Every class that is announced itself: common bodies (classes with subclasses) are not."""
    found = {
        cls.type_name(): cls
        for module in _MODULES
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Event) and cls is not Event and not cls.__subclasses__()
    }
    return dict(sorted(found.items()))


EVENTS: dict[str, type[Event]] = _announced()

__all__ = ["EVENTS", "Envelope", "Event", "dead_letter_topic", "headers_of", "new_id", "topic_of"]
