"""Prepayments against a real database: levels, top-ups, what is paid out of them, and warnings told once."""

from __future__ import annotations

import asyncpg
import pytest

from services.settlement.rules.terms import Netting
from services.settlement.store import cycles as reading
from services.settlement.store import prepayments as store
from services.settlement.store.prepayments import Movement, Prepayment
from services.settlement.use_cases import prepayments, unpaid
from shared.auth import Principal, Role
from shared.refusals import Refused
from tests.services.settlement.cycles import LATE, NOW, City, by_pair
from tests.services.settlement.fixtures import Heard, Owner
from tests.services.settlement.world import Books


@pytest.fixture
async def city(books: Books) -> City:
    """A city of the test's own, which nets multilaterally and pays what is missing out of prepayments."""
    made = City(books)
    await made.agree(made.code, netting=Netting.MULTILATERAL, unpaid_rule="prepayment")
    return made


def finance(party: str, subject: str = "clerk") -> Principal:
    """Somebody of an agency's finance."""
    return Principal(subject, Role.FINANCE, party)


async def lend(city: City, county: int, amount_fen: int) -> Movement:
    """A county adds to its prepayment with the city, and it is paid."""
    async with city.books.database.transaction() as tx:
        made = await prepayments.top_up(city.parts, tx, finance(city.county(county)), city.code, amount_fen, NOW)
    await pay(city, made)
    return made


async def pay(city: City, movement: Movement) -> None:
    """An order for a movement is made, and the money arrives."""
    async with city.books.database.transaction() as tx:
        taken = await prepayments.take_movements(tx, movement.payer, [movement.movement_id])
        assert isinstance(taken[movement.movement_id], Movement), taken
        await prepayments.settle_movements(city.parts, tx, [movement.movement_id], NOW)


async def prepayment(city: City, county: int) -> Prepayment:
    """What a county has with the city."""
    pair = (city.county(county), city.code)
    async with city.books.database.read() as reader:
        return (await store.prepayments(reader, [pair]))[pair]


async def owed(city: City, county: int, amount_fen: int) -> dict[str, str]:
    """A hospital of county 1 treats somebody of another county."""
    hospital = city.hospital(1)
    return await city.confirmed(hospital, hospital.bill(city.county(county), fund_fen=amount_fen, account_fen=0))


async def proves(city: City) -> None:
    """Nothing about cycles and prepayments is off."""
    async with city.books.database.read() as reader:
        found = await reading.prove_clearing(reader)
    assert (found.positions_off, found.obligations_off, found.clearing_off, found.prepayments_off) == (0, 0, 0, 0)


async def test_what_is_lent_is_in_both_books(city: City) -> None:
    await lend(city, 2, 70_000)

    assert (await prepayment(city, 2)).held_fen == 70_000
    assert await city.balances("prepayment_lent", "prepayment_held", "bank") == {
        (city.county(2), "prepayment_lent", city.code): 70_000,
        (city.county(2), "bank", ""): -70_000,
        (city.code, "prepayment_held", city.county(2)): -70_000,
        (city.code, "bank", ""): 70_000,
    }
    await proves(city)


async def test_a_late_position_is_paid_out_of_the_prepayment(city: City) -> None:
    await lend(city, 2, 100_000)
    cases = await owed(city, 2, 60_000)
    cycle = await city.cut()
    position = (await city.positions(cycle))[city.county(2), city.code]

    left = await city.apply_rule(position)

    settled = (await city.positions(cycle))[city.county(2), city.code]
    assert (left, settled.state, settled.settled_by) == ([], "settled", "prepayment")
    assert (await prepayment(city, 2)).held_fen == 40_000
    await city.pay_all(cycle, LATE)
    assert await city.states(*cases.values()) == ["closed"]
    assert await city.balances("receivable", "payable", "clearing") == {}
    await proves(city)


async def test_who_wants_a_prepayment_drawn_on_does_not_decide_it(city: City) -> None:
    """Two people of the clearing agency, because it is another's money: the first alone moves nothing."""
    await lend(city, 2, 100_000)
    await owed(city, 2, 60_000)
    cycle = await city.cut()
    pair = (city.county(2), city.code)
    position_id = (await city.positions(cycle))[pair].position_id

    async def approve(who: Principal) -> list[str]:
        async with city.books.database.transaction() as tx:
            return await unpaid.approve_draw(city.parts, tx, who, position_id, LATE)

    async def refused(who: Principal) -> list[str]:
        with pytest.raises(Refused) as caught:
            await approve(who)
        return [refusal.code for refusal in caught.value.refusals]

    early = await refused(finance(city.code, "chief"))
    async with city.books.database.transaction() as tx:
        left = await unpaid.deal(city.parts, tx, finance(city.code), position_id, None, LATE)
    waiting = (await city.positions(cycle))[pair].state, (await prepayment(city, 2)).held_fen
    alone = await refused(finance(city.code))
    stranger = await refused(finance(city.county(1), "chief"))
    done = await approve(finance(city.code, "chief"))
    again = await refused(finance(city.code, "third"))

    assert (left, waiting) == (None, ("open", 100_000))
    assert early == ["settlement.draw-missing"]
    assert alone == ["settlement.same-person"]
    assert stranger == ["auth.not-your-area"]
    assert (done, (await prepayment(city, 2)).held_fen) == ([], 40_000)
    assert again == ["settlement.position-not-open"]
    await proves(city)


async def test_what_postpones_takes_nobodys_money_and_one_person_applies_it(city: City) -> None:
    await city.agree(city.county(2), unpaid_rule="postpone")
    cases = await owed(city, 2, 60_000)
    position = (await city.positions(await city.cut()))[city.county(2), city.code]

    async with city.books.database.transaction() as tx:
        left = await unpaid.deal(city.parts, tx, finance(city.code), position.position_id, None, LATE)

    assert left == list(cases.values())


async def test_what_it_does_not_reach_leaves_the_cycle(city: City) -> None:
    """In the order of confirmation: of 60 and 50 with 80 in deposit, the second leaves."""
    await lend(city, 2, 80_000)
    first = await owed(city, 2, 60_000)
    second = await owed(city, 2, 50_000)
    cycle = await city.cut()
    position = (await city.positions(cycle))[city.county(2), city.code]

    left = await city.apply_rule(position)

    assert left == list(second.values())
    assert by_pair(await city.positions(cycle))[city.county(2), city.code] == 60_000
    assert (await prepayment(city, 2)).held_fen == 20_000
    await city.pay_all(cycle, LATE)
    assert await city.states(*first.values(), *second.values()) == ["closed", "confirmed"]
    await proves(city)


async def test_without_a_deposit_everything_leaves(city: City) -> None:
    cases = await owed(city, 2, 60_000)
    cycle = await city.cut()

    left = await city.apply_rule((await city.positions(cycle))[city.county(2), city.code])

    assert left == list(cases.values())
    assert [p for p in (await city.positions(cycle)).values() if p.state == "open"] == []
    await proves(city)


async def test_what_is_about_to_be_given_back_pays_nothing(city: City) -> None:
    await lend(city, 2, 60_000)
    async with city.books.database.transaction() as tx:
        await prepayments.set_level(city.parts, tx, finance(city.code), city.county(2), 2026, NOW)
    await owed(city, 2, 60_000)

    left = await city.apply_rule((await city.positions(await city.cut()))[city.county(2), city.code])

    assert len(left) == 1
    assert (await prepayment(city, 2)).held_fen == 60_000


async def test_each_warning_is_told_once(city: City, heard: Heard) -> None:
    """Of 100 in deposit 60, then 75, 80, 95 and 110 are used up: yellow once, red once; a top-up makes it low."""
    await lend(city, 2, 100_000)
    uses = []
    for amount_fen in (60_000, 15_000, 5_000, 15_000, 15_000):
        await owed(city, 2, amount_fen)
        await city.cut()
        uses.append((await prepayment(city, 2)).use.value)
    await lend(city, 2, 100_000)
    uses.append((await prepayment(city, 2)).use.value)

    told = await heard(f"{city.county(2)}:{city.code}")

    assert uses == ["low", "yellow", "yellow", "red", "red", "low"]
    assert [(event.use, event.cleared_fen, event.deposit_fen) for event in told] == [  # type: ignore[attr-defined]
        ("yellow", 75_000, 100_000),
        ("red", 95_000, 100_000),
    ]


async def test_a_new_month_begins_anew(city: City, heard: Heard) -> None:
    await lend(city, 2, 100_000)
    for now in (NOW, LATE):
        await owed(city, 2, 80_000)
        await city.cut(now)

    told = await heard(f"{city.county(2)}:{city.code}")

    assert [(event.use, event.month) for event in told] == [  # type: ignore[attr-defined]
        ("yellow", "2026-11"),
        ("yellow", "2027-01"),
    ]


async def test_the_level_follows_the_year_before(city: City) -> None:
    """In 2025 three months cleared 30, 20 and, with a reversal, 10 less than nothing: twice the average of 40 / 3."""
    for month, amount_fen in (("2025-03", 30_000), ("2025-04", 20_000)):
        hospital = city.hospital(1, month)
        await city.confirmed(hospital, hospital.bill(city.county(2), fund_fen=amount_fen, account_fen=0))
    hospital = city.hospital(1, "2025-05")
    bill = hospital.bill(city.county(2), fund_fen=10_000, account_fen=0)
    await city.confirmed(hospital, hospital.reversal(bill))
    other = city.hospital(2, "2025-05")
    await city.confirmed(other, other.bill(city.county(1), fund_fen=99_000, account_fen=0))

    async def level(year: int) -> Prepayment:
        async with city.books.database.transaction() as tx:
            return await prepayments.set_level(city.parts, tx, finance(city.code), city.county(2), year, NOW)

    made = await level(2026)
    again = await level(2026)
    with pytest.raises(Refused) as early:
        await level(2027)
    with pytest.raises(Refused) as late:
        await level(2025)

    assert (made.level_fen, made.level_year, made.held_fen) == (26_667, 2026, 0)
    assert again == made
    assert [r.code for r in (*early.value.refusals, *late.value.refusals)] == ["settlement.prepayment-year"] * 2
    async with city.books.database.read() as reader:
        (movement,) = await store.movements_of(reader, city.county(2), city.code, "", 10)
    assert (movement.kind, movement.amount_fen, str(movement.due_on)) == ("top_up", 26_667, "2026-11-30")
    await pay(city, movement)
    assert (await prepayment(city, 2)).held_fen == 26_667
    await proves(city)


async def test_what_is_held_beyond_the_level_is_given_back(city: City) -> None:
    await lend(city, 2, 50_000)
    async with city.books.database.transaction() as tx:
        await prepayments.set_level(city.parts, tx, finance(city.code), city.county(2), 2026, NOW)
    with pytest.raises(Refused) as pending:
        await lend(city, 2, 1)
    async with city.books.database.read() as reader:
        movement = (await store.movements_of(reader, city.county(2), city.code, "", 10))[-1]
    await pay(city, movement)

    assert [r.code for r in pending.value.refusals] == ["settlement.prepayment-pending"]
    assert (movement.kind, movement.payer, movement.amount_fen) == ("give_back", city.code, 50_000)
    assert (await prepayment(city, 2)).held_fen == 0
    assert await city.balances("prepayment_lent", "prepayment_held", "bank") == {}
    await proves(city)


async def test_a_prepayment_is_between_two_agencies(city: City) -> None:
    for holder in (city.county(2), "H41160300001"):
        with pytest.raises(Refused) as refused:
            async with city.books.database.transaction() as tx:
                await prepayments.top_up(city.parts, tx, finance(city.county(2)), holder, 1, NOW)
        assert [r.code for r in refused.value.refusals] == ["settlement.prepayment-self"]


async def test_a_movement_is_paid_once_and_by_its_payer(city: City) -> None:
    made = await lend(city, 2, 50_000)
    with pytest.raises(ValueError, match="not ordered"):
        async with city.books.database.transaction() as tx:
            await prepayments.settle_movements(city.parts, tx, [made.movement_id], NOW)
    async with city.books.database.transaction() as tx:
        foreign = (await prepayments.take_movements(tx, city.code, [made.movement_id]))[made.movement_id]
    assert isinstance(foreign, list)
    assert [r.code for r in foreign] == ["settlement.position-not-yours", "settlement.position-not-open"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("UPDATE prepayment_movement SET amount_fen = 1 WHERE lender = $1", asyncpg.RestrictViolationError),
        ("DELETE FROM prepayment_movement WHERE lender = $1", asyncpg.RestrictViolationError),
        ("UPDATE prepayment_movement SET state = 'open' WHERE lender = $1", asyncpg.CheckViolationError),
        ("UPDATE prepayment SET level_fen = -1 WHERE lender = $1", asyncpg.CheckViolationError),
    ],
)
async def test_movements_are_not_edited(city: City, owner: Owner, change: str, error: type[Exception]) -> None:
    await lend(city, 2, 50_000)

    with pytest.raises(error):
        await owner.execute(change, city.county(2))
