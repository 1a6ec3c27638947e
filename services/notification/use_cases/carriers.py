"""Carriers take text messages to persons' phones. A deployment brings an adapter for its own; locally it is a file."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from services.notification.rules.delivery import Outcome, Result
from shared.personal import SecretStr

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sms:
    """A text on its way to a phone: never stored by us, never logged."""

    message_id: str
    """The carrier's key to recognise a message that comes twice."""
    phone: SecretStr
    text: SecretStr


class Carrier(Protocol):
    """Takes messages over. Sending is at least once: after a crash a message may come again under its id."""

    async def send(self, messages: Sequence[Sms], at: datetime) -> Sequence[Result]:
        """One result each, in order. A carrier that is away is the result FAILED, not an exception."""


class FileCarrier:
    """The local carrier: appends JSON lines to a file that only its owner reads, for it holds phone numbers."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def send(self, messages: Sequence[Sms], at: datetime) -> Sequence[Result]:
        """Write all or, when the file cannot be written, none."""
        lines = "".join(_line(message, at) for message in messages)
        try:
            await asyncio.to_thread(self._append, lines.encode())
        except OSError as error:
            log.error("sms file not written", extra={"fields": {"error": type(error).__name__}})
            return [Result(Outcome.FAILED, "carrier-away")] * len(messages)
        return [Result(Outcome.DELIVERED)] * len(messages)

    def _append(self, lines: bytes) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(lines)


def _line(sms: Sms, at: datetime) -> str:
    shown = {
        "message_id": sms.message_id,
        "at": at.isoformat(),
        "phone": sms.phone.get_secret_value(),
        "text": sms.text.get_secret_value(),
    }
    return json.dumps(shown, ensure_ascii=False) + "\n"
