"""How many bills a second the consumer books: decoded, claimed, booked and committed, without the broker between.

    python -m tests.services.settlement.throughput [BILLS] [BATCH]

needs SIFANG_DATABASE_URL and SIFANG_SECRETS_DIR of a prepared database.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from time import perf_counter

from services.settlement.handlers import handlers
from services.settlement.rules.chain import LedgerKey
from shared.clock import system_clock
from shared.consumer import Consumer
from shared.database import Database
from shared.events import Envelope, headers_of
from shared.events.claims import DischargeSettled
from shared.kafka import Producer, Record
from shared.keys import ledger_key
from shared.settings import Settings
from shared.telemetry import Gauges
from tests.services.settlement.world import HUAIYANG, REGIONS, XIANGCHENG, ZHOUKOU, Hospital

HOSPITALS = 60
HOMES = (HUAIYANG, HUAIYANG, HUAIYANG, XIANGCHENG, XIANGCHENG, ZHOUKOU)
"""Half of the bills are local; a bill then has five entries in two books, else nine in four."""


def records(count: int) -> Iterator[Record]:
    """Bills as they lie on the topic."""
    dice = random.Random(7)
    hospitals = [Hospital() for _ in range(HOSPITALS)]
    for _ in range(count):
        bill = dice.choice(hospitals).bill(dice.choice(HOMES), fund_fen=dice.randint(1_000, 500_000))
        envelope = Envelope(bill, datetime.now(UTC))
        headers = headers_of(DischargeSettled, event_id=envelope.id, occurred_at=envelope.occurred_at, traceparent=None)
        data = bill.model_dump_json().encode()
        yield Record("sifang.claims.v1", 0, 0, b"", data, dict(headers))


async def main(bills: int, batch: int) -> None:
    """Book so many bills in batches and print the rate."""
    settings = Settings()
    database = Database(settings, "settlement")
    await database.open()
    producer = Producer(settings, "throughput")
    consumer = Consumer(
        "settlement",
        handlers(REGIONS, LedgerKey(ledger_key(settings))),
        database,
        producer,
        settings,
        system_clock,
        Gauges(),
    )
    prepared = list(records(bills))
    slowest_s = 0.0
    started = perf_counter()
    for start in range(0, bills, batch):
        before = perf_counter()
        await consumer.handle_records(prepared[start : start + batch])
        slowest_s = max(slowest_s, perf_counter() - before)
    seconds = perf_counter() - started
    await database.close()
    rate, slowest_ms = bills / seconds, slowest_s * 1000
    print(f"{bills} bills in batches of {batch}: {rate:.0f} a second, slowest batch {slowest_ms:.0f} ms")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    asyncio.run(main(*given, *(20_000, 500)[len(given) :]))
