"""Who works on the same debts and cycles at the same moment waits in line, and never in a circle.

Each test holds one transaction where it has locked its first thing, lets another one come until it waits for it, and
goes on: in a circle the database would end one of the two.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from deploy.local.bank import notification
from services.settlement.rules.orders import Order, Purpose
from services.settlement.store import orders as order_store
from services.settlement.use_cases import bank_movements, clearing, orders, prepayments, settling
from services.settlement.use_cases.bank_receiving import take_file
from shared.auth import Principal, Role
from shared.database import Connection
from shared.events import new_id
from shared.refusals import Refusal
from tests.services.settlement.banking import Counter, payout_body
from tests.services.settlement.cycles import NOW, City
from tests.services.settlement.test_bank import counter, data_keys, holds
from tests.services.settlement.world import Books

__all__ = ["counter", "data_keys"]

BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
Proposed = str | list[Refusal]


@pytest.fixture
def city(books: Books) -> City:
    """A city of the test's own."""
    return City(books)


def payer(city: City, person: str = "one") -> Principal:
    """Finance of the county that pays."""
    return Principal(f"{person}@{city.county(2)}", Role.FINANCE, city.county(2))


async def until_somebody_waits(tx: Connection) -> None:
    """Until another transaction waits for this one."""
    for _ in range(1000):
        if await tx.fetchval(BLOCKED):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def propose(city: City, purpose: Purpose, reference: str) -> Proposed:
    """Propose an order in a transaction of its own."""
    async with city.books.database.transaction() as tx:
        return (await orders.propose(city.parts, tx, payer(city), purpose, [reference], NOW))[reference]


async def position(city: City) -> str:
    """A position that county 2 can pay."""
    hospital = city.hospital(1)
    await city.confirmed(hospital, hospital.bill(city.county(2)))
    return (await city.positions(await city.cut()))[city.county(2), city.code].position_id


async def top_up(city: City) -> str:
    """A prepayment that county 2 is to add."""
    async with city.books.database.transaction() as tx:
        return (await prepayments.top_up(city.parts, tx, payer(city), city.code, 50_000, NOW)).movement_id


@pytest.mark.parametrize(("purpose", "owed"), [(Purpose.POSITION, position), (Purpose.PREPAYMENT, top_up)])
async def test_an_order_is_repeated_while_somebody_orders_anew(
    city: City, purpose: Purpose, owed: Callable[[City], Coroutine[Any, Any, str]]
) -> None:
    reference = await owed(city)
    order_id = await propose(city, purpose, reference)
    assert isinstance(order_id, str)
    async with city.books.database.transaction() as tx:
        await orders.decline(tx, payer(city, "two"), [order_id], "先不付")

    async with city.books.database.transaction() as tx:
        await order_store.lock_debts(tx, [order_id])
        other = asyncio.create_task(propose(city, purpose, reference))
        await until_somebody_waits(tx)
        again = await orders.repeat(city.parts, tx, payer(city), order_id, NOW)
    outcome = await other

    assert again != order_id
    assert isinstance(outcome, list)
    assert [refusal.code for refusal in outcome] == ["settlement.position-not-open"]


async def test_the_bank_pays_a_position_while_somebody_orders_it(city: City) -> None:
    reference = await position(city)
    order_id = await propose(city, Purpose.POSITION, reference)
    assert isinstance(order_id, str)

    async with city.books.database.transaction() as tx:
        order = await _locked(tx, order_id)
        assert await settling.can_settle(tx, order)
        other = asyncio.create_task(propose(city, Purpose.POSITION, reference))
        await until_somebody_waits(tx)
        await clearing.settle_positions(city.parts, tx, [reference], NOW)
    outcome = await other

    assert isinstance(outcome, list)
    assert [refusal.code for refusal in outcome] == ["settlement.position-not-open"]


async def _locked(tx: Connection, order_id: str) -> Order:
    await order_store.lock_debts(tx, [order_id])
    return (await order_store.orders(tx, [order_id]))[order_id]


async def test_two_files_tell_of_the_same_accounts_in_another_order(
    books: Books, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both take their first account, and would then wait for the other's."""
    payers = ("411381", "411303")
    before = [await counter.balance(party, "bank") for party in payers]
    await counter.pays_by_bank(*payers)
    entries = {party: counter.entry(await _sent_payout(counter, party), 320_000) for party in payers}
    for first, second in (payers, payers[::-1]):
        texts = [notification(new_id(), counter.accounts[p], [entries[p]], counter.today) for p in (first, second)]
        counter.put(_joined(*texts))

    with both_at_once(monkeypatch):
        await asyncio.gather(counter.receive(), _other_way_round(counter))

    assert [await counter.balance(party, "bank") for party in payers] == [fen - 320_000 for fen in before]
    assert list((counter.folder / "inbox").iterdir()) == []
    await holds(books)


async def _sent_payout(counter: Counter, party: str) -> str:
    """An order that the bank has."""
    await counter.open_account(party)
    entered = await counter.officer(party).post("/v1/payouts", payout_body())
    payout_id = entered.json()["payout_id"]
    await counter.officer(party, "head").post(f"/v1/payouts/{payout_id}/approval")
    body = {"purpose": "payout", "references": [payout_id]}
    (item,) = (await counter.finance(party).post("/v1/orders", body)).json()["items"]
    await counter.finance(party, "two").post("/v1/order-approvals", {"order_ids": [item["order_id"]]})
    await counter.send()
    return str(item["order_id"])


def _joined(one: str, other: str) -> str:
    """One notification about two accounts."""
    found = re.search(r"<Ntfctn>.*</Ntfctn>", other)
    assert found
    return one.replace("</Ntfctn>", f"</Ntfctn>{found[0]}")


async def _other_way_round(counter: Counter) -> None:
    """A second worker, that begins with the last file."""
    desk = counter.parts.bank.adapter
    for name in reversed(desk.waiting()):
        await take_file(counter.parts, name, counter.moment)


@contextmanager
def both_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever took an account waits until the other took one too, or does not come."""
    taken, take = asyncio.Barrier(2), bank_movements.take

    async def waiting(*arguments: Any) -> None:
        await take(*arguments)
        try:
            async with asyncio.timeout(0.2):
                await taken.wait()
        except (TimeoutError, asyncio.BrokenBarrierError):
            return

    with monkeypatch.context() as patched:
        patched.setattr(bank_movements, "take", waiting)
        yield


async def test_prepayments_that_are_paid_on_different_days_are_locked_in_one_order(city: City) -> None:
    """A file pays two counties' top-ups, the later county's first, while the city's cycle looks at both."""
    by_county = [Principal("one", Role.FINANCE, city.county(number)) for number in (3, 2)]
    order_ids = []
    for who in by_county:
        async with city.books.database.transaction() as tx:
            made = await prepayments.top_up(city.parts, tx, who, city.code, 50_000, NOW)
            done = await orders.propose(city.parts, tx, who, Purpose.PREPAYMENT, [made.movement_id], NOW)
        order_ids.append(str(done[made.movement_id]))
    pairs = {(city.county(number), city.code) for number in (2, 3)}

    async with city.books.database.transaction() as tx:
        await order_store.lock_debts(tx, order_ids)
        found = await order_store.orders(tx, order_ids)
        late = [(found[order_id], NOW.date() + timedelta(days=n)) for n, order_id in enumerate(order_ids)]
        await settling.settle(city.parts, tx, late[:1], NOW)
        other = asyncio.create_task(_watch(city, pairs))
        await until_somebody_waits(tx)
        await settling.settle(city.parts, tx, late[1:], NOW)
    await other

    assert await city.balances("prepayment_held") == {
        (city.code, "prepayment_held", city.county(number)): -50_000 for number in (2, 3)
    }


async def _watch(city: City, pairs: set[tuple[str, str]]) -> None:
    async with city.books.database.transaction() as tx:
        await prepayments.watch(city.parts, tx, pairs, NOW)
