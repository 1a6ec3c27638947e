"""`kill -9` of a real process at every boundary of sending and receiving: never sent twice, never booked twice."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from deploy.local.bank import read
from deploy.local.cluster import Cluster
from tests.services.settlement.banking import Counter
from tests.services.settlement.test_bank import (
    HOME,
    PAYABLE_FEN,
    counter,
    data_keys,
    holds,
    hop,
    month,
    proposed,
    sent,
)
from tests.services.settlement.test_money import Month
from tests.services.settlement.world import Books

__all__ = ["counter", "data_keys", "month"]


async def killed(services: Cluster, counter: Counter, job: str, boundary: str) -> None:
    """A process that does one round of a job and dies in it."""
    counter.folder.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.services.settlement.killed_desk", str(counter.folder), job, boundary),
        env=services.environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()


@pytest.mark.parametrize("boundary", ["fixed", "written aside", "handed over", "before the mark", "marked"])
async def test_a_sender_killed_anywhere_sends_once(
    services: Cluster, books: Books, counter: Counter, month: Month, boundary: str
) -> None:
    payment_id, order_id = await proposed(counter, month)
    await counter.finance(HOME, "two").post(f"/v1/payments/{payment_id}/approval")
    await killed(services, counter, "send", boundary)
    half = await counter.order(order_id, HOME)
    outbox = counter.folder / "outbox"
    before = {file.name: file.read_bytes() for file in outbox.glob("[!.]*")} if outbox.exists() else {}

    answered = counter.bank().answer()  # the bank is quick: it has what lies there before anybody looks again
    for _ in range(3):
        await counter.send()
    counter.bank().answer()
    await counter.receive()
    await counter.send()

    assert half["state"] == ("sent" if boundary == "marked" else "sending")
    assert bool(before) == bool(answered) == (boundary in ("handed over", "before the mark", "marked"))
    assert counter.asked(order_id) == 1
    files = {f.name: f.read_bytes() for place in ("outbox", "sent") for f in (counter.folder / place).glob("[!.]*")}
    assert before.items() <= files.items(), "the same bytes under the same name"
    assert sum(order_id in {t.end_to_end_id for t in read(content).transfers} for content in files.values()) == 1
    order = await counter.order(order_id, HOME)
    assert (order["state"], order["paid_fen"], await hop(month)) == ("settled", PAYABLE_FEN, "paid")
    await holds(books)


@pytest.mark.parametrize("boundary", ["in the middle of booking", "booked"])
async def test_a_receiver_killed_anywhere_books_once(
    services: Cluster, books: Books, counter: Counter, month: Month, boundary: str
) -> None:
    order_id = await sent(counter, month)
    bank = await counter.balance(HOME, "bank")
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN))
    await killed(services, counter, "receive", boundary)
    half = await counter.balance(HOME, "bank") - bank
    for _ in range(2):
        await counter.receive()

    assert half == (-PAYABLE_FEN if boundary == "booked" else 0)
    assert await counter.balance(HOME, "bank") - bank == -PAYABLE_FEN
    assert (await counter.order(order_id, HOME))["state"] == "settled"
    assert list((counter.folder / "inbox").iterdir()) == []
    await holds(books)
