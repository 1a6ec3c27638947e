"""What every event is: a CloudEvents 1.0 envelope around one Pydantic class.

Wire evolution: fields may only be added, and only with a default; a meaning never changes under the same name. A
change that cannot keep this gets a new class with the next version in its type. `tests/contracts` holds every class
against the committed schemas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from ulid import ULID


class Event(BaseModel):
    """Something that happened, in the past tense. Readers ignore fields they do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    announcer: ClassVar[str]
    """The one service that announces it."""
    version: ClassVar[int] = 1

    @property
    def key(self) -> str:
        """The aggregate's id: events of one key stay in order."""
        raise TypeError(f"{type(self).__name__} has no key")

    @classmethod
    def type_name(cls) -> str:
        """The CloudEvents type, e.g. `sifang.claims.DischargeSettled.v1`."""
        return f"sifang.{cls.announcer}.{cls.__name__}.v{cls.version}"


def new_id() -> str:
    """A fresh sortable identifier (ULID, 26 characters: fits the national interface's s30)."""
    return str(ULID())


E = TypeVar("E", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Envelope(Generic[E]):
    """One occurrence of an event: what the outbox stores, the topic carries and a handler receives."""

    event: E
    occurred_at: datetime
    id: str = field(default_factory=new_id)
    traceparent: str | None = None

    @property
    def type_name(self) -> str:
        return self.event.type_name()


def topic_of(announcer: str) -> str:
    """The topic a service announces on."""
    return f"sifang.{announcer}.v1"


def dead_letter_topic(consumer: str) -> str:
    """Where a consumer sets aside what it cannot handle."""
    return f"sifang.{consumer}.dead-letter.v1"


def headers_of(
    kind: type[Event], *, event_id: str, occurred_at: datetime, traceparent: str | None
) -> list[tuple[str, bytes]]:
    """The CloudEvents attributes as Kafka headers (binary content mode)."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", f"/sifang/{kind.announcer}".encode()),
        ("ce_type", kind.type_name().encode()),
        ("ce_time", occurred_at.isoformat().encode()),
        ("content-type", b"application/json"),
    ]
    if traceparent:
        headers.append(("traceparent", traceparent.encode()))
    return headers
