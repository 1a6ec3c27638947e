"""Dead letters: `python -m shared.dead_letters list|replay --service S` shows or handles again what was set aside.

Replaying runs the service's own handlers with its own inbox, so that an event that was handled meanwhile does nothing.
What fails again is set aside again, with its reason and the number of replays.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

from shared import telemetry
from shared.consumer import Consumer
from shared.events import dead_letter_topic
from shared.kafka import Record, Subscription
from shared.service import Base, Parts, base_of
from shared.settings import SERVICES, Settings


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a replay went."""

    handled: int
    set_aside_again: int


def _original(record: Record) -> Record:
    """The record as it stood on its own topic."""
    headers: Mapping[str, bytes] = record.headers
    return replace(record, topic=headers.get("sifang_topic", record.topic.encode()).decode())


async def _letters(settings: Settings, service: str, group: str) -> AsyncIterator[tuple[Subscription, list[Record]]]:
    """The letters that were there when we began, in batches; those set aside meanwhile are for the next time."""
    async with Subscription(settings, group, [dead_letter_topic(service)]).opened() as subscription:
        end = await subscription.ends()
        while await subscription.before(end):
            if records := [r for r in await subscription.poll(1.0) if r.offset < end[r.partition]]:
                yield subscription, records


async def replay(base: Base, parts: Parts) -> Replayed:
    """Handle a service's dead letters again. Raises Unavailable."""
    consumer = Consumer(
        parts.name, parts.handlers, base.database, base.producer, base.settings, base.clock, base.gauges
    )
    seen = again = 0
    await base.database.open()
    try:
        async for subscription, records in _letters(base.settings, parts.name, f"sifang-{parts.name}-replay"):
            before = consumer.set_aside
            await consumer.handle_records([_original(record) for record in records])
            await subscription.commit(records)
            seen += len(records)
            again += consumer.set_aside - before
    finally:
        await base.producer.close()
        await base.database.close()
    return Replayed(seen - again, again)


async def show(settings: Settings, service: str) -> None:
    """Print a service's dead letters, one JSON line each, without their content."""
    async for _, records in _letters(settings, service, f"sifang-{service}-list"):
        for record in records:
            about = {name: value.decode(errors="replace") for name, value in record.headers.items()}
            print(json.dumps({"offset": record.offset, **about}, ensure_ascii=False))


def main(arguments: list[str]) -> None:
    """`list` shows, `replay` handles again."""
    parser = argparse.ArgumentParser(prog="python -m shared.dead_letters", description=main.__doc__)
    parser.add_argument("command", choices=["list", "replay"])
    parser.add_argument("--service", required=True, choices=SERVICES)
    args = parser.parse_args(arguments)
    settings = Settings()
    telemetry.start_logging(settings.log_level)
    if args.command == "list":
        asyncio.run(show(settings, args.service))
        return
    base = base_of(settings, args.service)
    # The one place outside a service's own process that builds its parts: by name, so that shared knows no service.
    parts = importlib.import_module(f"services.{args.service}.app").make(base)
    result = asyncio.run(replay(base, parts))
    print(f"handled {result.handled}, set aside again {result.set_aside_again}")
    sys.exit(1 if result.set_aside_again else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
