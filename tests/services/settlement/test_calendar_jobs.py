"""What the calendar proposes by itself: the yearly levels of prepayments, and the orders of a batch of payouts."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from services.settlement.rules.prepayments import reset_day
from services.settlement.rules.terms import Netting
from services.settlement.store import prepayments as store
from services.settlement.store.prepayments import Movement
from services.settlement.use_cases import prepayments
from services.settlement.use_cases.order_book import BY_CALENDAR, order_released
from services.settlement.use_cases.prepayments import renew_levels
from shared.workdays import SHANGHAI
from tests.services.settlement.banking import Counter
from tests.services.settlement.cycles import NOW, City
from tests.services.settlement.test_bank import HOME, counter, data_keys
from tests.services.settlement.test_clocks import at
from tests.services.settlement.test_payouts import approved, entered
from tests.services.settlement.test_prepayments import finance, lend, owed, pay, prepayment
from tests.services.settlement.world import Books

__all__ = ["counter", "data_keys"]
DAY = date(2027, 1, 12)


def test_the_day_is_in_january() -> None:
    assert [reset_day(2027, day) for day in (1, 31)] == [date(2027, 1, 1), date(2027, 1, 31)]


@pytest.fixture
async def city(books: Books) -> City:
    """A city that sets levels anew on the twelfth, and with which county 2 has 70,000 fen and owes 100,000 a month."""
    made = City(books)
    await made.agree(made.code, netting=Netting.MULTILATERAL, prepayment_reset_day=DAY.day)
    await lend(made, 2, 70_000)
    await owed(made, 2, 100_000)
    return made


async def movements(city: City) -> list[Movement]:
    """What moved, or is to move, the prepayment of county 2."""
    async with city.books.database.read() as reader:
        return await store.movements_of(reader, city.county(2), city.code, "", 100)


async def test_the_level_of_the_year_is_set_on_its_day_once(city: City) -> None:
    await renew_levels(city.parts, at(DAY - timedelta(days=1)))
    before = await prepayment(city, 2)
    for day in (DAY, DAY, DAY - timedelta(days=30), DAY + timedelta(days=90)):
        await renew_levels(city.parts, at(day))

    after = await prepayment(city, 2)
    assert (before.level_year, before.level_fen) == (0, 0)
    assert (after.level_year, after.level_fen, after.held_fen) == (2027, 200_000, 70_000), "nothing is paid by it"
    _, made = await movements(city)
    assert (made.kind, made.amount_fen, made.state, made.made_by) == ("top_up", 130_000, "open", None)


async def test_the_year_begins_in_shanghai(city: City) -> None:
    await city.agree(city.code, netting=Netting.MULTILATERAL, prepayment_reset_day=1)
    await renew_levels(city.parts, lambda: datetime(2026, 12, 31, 15, 59, tzinfo=UTC))
    before = await prepayment(city, 2)
    await renew_levels(city.parts, lambda: datetime(2027, 1, 1, 0, 0, tzinfo=SHANGHAI))

    assert (before.level_year, (await prepayment(city, 2)).level_year) == (0, 2027)


async def test_many_workers_set_it_once(city: City) -> None:
    await asyncio.gather(*(renew_levels(city.parts, at(DAY)) for _ in range(4)))

    assert [m.amount_fen for m in await movements(city)] == [70_000, 130_000]


async def test_a_person_who_set_it_is_not_corrected(city: City) -> None:
    async with city.books.database.transaction() as tx:
        now = datetime(2027, 1, 2, tzinfo=UTC)
        await prepayments.set_level(city.parts, tx, finance(city.code), city.county(2), 2027, now)
    (_, by_person) = await movements(city)
    await pay(city, by_person)
    await renew_levels(city.parts, at(DAY))

    assert len(await movements(city)) == 2


async def test_what_is_on_its_way_is_waited_for(city: City) -> None:
    async with city.books.database.transaction() as tx:
        more = await prepayments.top_up(city.parts, tx, finance(city.county(2)), city.code, 10_000, NOW)
    await renew_levels(city.parts, at(DAY))
    waiting = await prepayment(city, 2)
    await pay(city, more)
    await renew_levels(city.parts, at(DAY + timedelta(days=3)))

    assert waiting.level_year == 0
    assert [m.amount_fen for m in await movements(city)] == [70_000, 10_000, 120_000]


async def test_a_deposit_of_this_year_is_not_given_back_at_once(books: Books) -> None:
    """Who lends for the first time in February has no level before the next January."""
    city = City(books)
    february = datetime(2027, 2, 10, tzinfo=UTC)
    async with books.database.transaction() as tx:
        made = await prepayments.top_up(city.parts, tx, finance(city.county(2)), city.code, 70_000, february)
        await prepayments.take_movements(tx, made.payer, [made.movement_id])
        await prepayments.settle_movements(city.parts, tx, [made.movement_id], february)
    await renew_levels(city.parts, at(date(2027, 3, 1)))
    now = await movements(city)
    await renew_levels(city.parts, at(date(2028, 2, 1)))

    assert [m.kind for m in now] == ["top_up"]
    assert [m.kind for m in await movements(city)] == ["top_up", "give_back"], "it owed nothing in the year before"


# Payouts


async def orders_of(counter: Counter, payout_id: str) -> list[tuple[str, str, bool]]:
    """State, who proposed, whether a review is needed: the orders of a payout."""
    rows = await counter.books.rows(
        "SELECT state, proposed_by, review_needed FROM payment_order WHERE reference = $1 ORDER BY order_id", payout_id
    )
    return [tuple(row) for row in rows]


async def released(counter: Counter, payout_id: str) -> date:
    """The day from which a payout may be ordered."""
    return await counter.books.value("SELECT release_on FROM payout WHERE payout_id = $1", payout_id)  # type: ignore[no-any-return]


async def test_a_batch_is_proposed_on_its_day_once_and_two_people_pay_it(counter: Counter) -> None:
    payout_id = await approved(counter, timing="batch")
    at_once = await approved(counter)
    day = await released(counter, payout_id)

    await order_released(counter.parts, at(day - timedelta(days=1)))
    early = await orders_of(counter, payout_id)
    await asyncio.gather(*(order_released(counter.parts, at(day)) for _ in range(3)))
    await order_released(counter.parts, at(day + timedelta(days=1)))
    proposed = await orders_of(counter, payout_id)
    order_id = await counter.books.value("SELECT order_id FROM payment_order WHERE reference = $1", payout_id)
    ids = {"order_ids": [order_id]}
    alone = await counter.finance(HOME).post("/v1/order-approvals", ids)
    await counter.finance(HOME).post("/v1/order-reviews", ids)
    same = await counter.finance(HOME).post("/v1/order-approvals", ids)
    await counter.finance(HOME, "two").post("/v1/order-approvals", ids)

    assert early == []
    assert proposed == [("proposed", BY_CALENDAR, True)]
    assert [e["code"] for e in alone.json()["items"][0]["errors"]] == ["settlement.review-missing"]
    assert [e["code"] for e in same.json()["items"][0]["errors"]] == ["settlement.same-person"]
    assert await orders_of(counter, payout_id) == [("approved", BY_CALENDAR, True)]
    assert await orders_of(counter, at_once) == [], "what is paid at once is ordered by people"


async def test_what_people_declined_is_not_proposed_again(counter: Counter) -> None:
    payout_id = await approved(counter, timing="batch")
    day = await released(counter, payout_id)
    await order_released(counter.parts, at(day))
    order_id = await counter.books.value("SELECT order_id FROM payment_order WHERE reference = $1", payout_id)
    await counter.finance(HOME).post(f"/v1/orders/{order_id}/refusal", {"reason": "账户待核"})
    await order_released(counter.parts, at(day + timedelta(days=1)))

    assert [state for state, *_ in await orders_of(counter, payout_id)] == ["declined"]


async def test_a_batch_that_nobody_approved_is_not_proposed(counter: Counter) -> None:
    payout_id = await entered(counter, timing="batch")
    await order_released(counter.parts, at(await released(counter, payout_id) + timedelta(days=9)))

    assert await orders_of(counter, payout_id) == []
