"""Cycles against a real database: what is netted, who pays when, and what becomes of those who do not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from services.settlement.rules.cases import Payment
from services.settlement.rules.netting import netting_hash
from services.settlement.rules.terms import Netting
from services.settlement.store import clearing as store
from services.settlement.store import cycles as reading
from services.settlement.store.clearing import Position
from services.settlement.use_cases import clearing, payments
from shared.auth import Principal, Role
from shared.refusals import Refused
from tests.services.settlement.cycles import LATE, NOW, City, by_pair
from tests.services.settlement.fixtures import Owner
from tests.services.settlement.world import Books, Hospital


@pytest.fixture
def city(books: Books) -> City:
    """A city of the test's own."""
    return City(books)


async def proves(city: City) -> None:
    """Nothing about cycles and prepayments is off."""
    async with city.books.database.read() as reader:
        found = await reading.prove_clearing(reader)
    assert (found.positions_off, found.obligations_off, found.clearing_off, found.prepayments_off) == (0, 0, 0, 0)


async def two_ways(city: City) -> tuple[Hospital, Hospital, dict[str, str], dict[str, str]]:
    """A hospital in county 1 treats people of 2 and 3, one in county 2 people of county 1: 900, 500 and 400 yuan."""
    one, two = city.hospital(1), city.hospital(2)
    first = await city.confirmed(
        one,
        one.bill(city.county(2), fund_fen=90_000, account_fen=0),
        one.bill(city.county(3), fund_fen=50_000, account_fen=0),
    )
    second = await city.confirmed(two, two.bill(city.county(1), fund_fen=40_000, account_fen=0))
    return one, two, first, second


async def test_a_cycle_nets_what_counties_owe_each_other(city: City) -> None:
    await city.agree(city.code, netting=Netting.MULTILATERAL)
    one, two, first, second = await two_ways(city)

    cycle = await city.cut()

    assert (cycle.cycle_no, cycle.netting) == (1, "multilateral")
    positions = await city.positions(cycle)
    assert by_pair(positions) == {
        (city.county(2), city.code): 90_000 - 40_000,
        (city.county(3), city.code): 50_000,
        (city.code, city.county(1)): 140_000 - 40_000,
        (city.county(1), one.code): 140_000,
        (city.county(2), two.code): 40_000,
    }
    waits = {pair for pair, position in positions.items() if position.due_on is None}
    assert waits == {(city.code, city.county(1)), (city.county(1), one.code)}, "what money on its way must reach first"
    assert await city.balances("receivable", "payable") == {}
    assert await city.states(*first.values(), *second.values()) == ["confirmed"] * 3
    await proves(city)


async def test_positions_are_paid_and_cases_close(city: City) -> None:
    await city.agree(city.code, netting=Netting.BILATERAL)
    one, _, first, second = await two_ways(city)
    cycle = await city.cut()

    paid = await city.pay_all(cycle)

    order = [(payer, payee) for payer, payee, _ in paid]
    assert order.index((city.county(2), city.code)) < order.index((city.code, city.county(1)))
    assert order.index((city.code, city.county(1))) < order.index((city.county(1), one.code))
    assert len(order) == 5
    assert await city.states(*first.values(), *second.values()) == ["closed"] * 3
    assert await city.balances("receivable", "payable", "clearing") == {}
    bank = await city.balances("bank")
    assert bank == {
        (city.county(1), "bank", ""): -40_000,
        (city.county(2), "bank", ""): -90_000,
        (city.county(3), "bank", ""): -50_000,
    }
    await proves(city)


async def test_gross_pays_every_hop(city: City) -> None:
    _, _, first, _ = await two_ways(city)

    cycle = await city.cut()
    between = [p for p in (await city.positions(cycle)).values() if p.facility_code is None]

    assert cycle.netting == "gross"
    assert len(between) == 5, "pairs"
    rows = "SELECT count(*) FROM clearing_position WHERE cycle_id = $1 AND facility_code IS NULL"
    assert await city.books.value(rows, cycle.cycle_id) == 6, "hops: two of them from the city to county 1"
    assert await city.states(*first.values()) == ["confirmed"] * 2


async def test_the_proof_goes_down_to_the_bills(city: City) -> None:
    await city.agree(city.code, netting=Netting.MULTILATERAL)
    _, _, first, second = await two_ways(city)
    cycle = await city.cut()
    position = (await city.positions(cycle))[city.county(2), city.code]

    async with city.books.database.read() as reader:
        lines = await reading.proof(reader, position.position_id, ("", 0), 10)
        found = await store.nets(reader, {p.position_id: p for p in (await city.positions(cycle)).values()})
        nets = await store.nets(reader, await store.positions(reader, found))

    assert {(line.case_id, line.hop_no, line.adds_fen) for line in lines} == {
        (first[city.county(2)], 1, 90_000),
        (second[city.county(1)], 2, -40_000),
    }
    bills = "SELECT sum(payable_fen)::bigint FROM bill WHERE case_id = $1"
    assert {abs(line.adds_fen) for line in lines} == {await city.books.value(bills, line.case_id) for line in lines}
    assert netting_hash(Netting.MULTILATERAL, nets.values()) == cycle.netting_hash, "whoever nets again gets the same"


async def test_nothing_is_cleared_that_somebody_did_not_confirm(city: City, owner: Owner) -> None:
    hospital = city.hospital(1)
    await city.hear(hospital.bill(city.county(2)))
    (case_id,) = (await city.matched(hospital)).values()

    with pytest.raises(Refused) as refused:
        await city.cut()
    assert [r.code for r in refused.value.refusals] == ["settlement.nothing-to-clear"]

    other = city.hospital(1)
    await city.confirmed(other, other.bill(city.county(2)))
    cycle = await city.cut()
    with pytest.raises(asyncpg.CheckViolationError) as violated:
        await owner.execute(
            "INSERT INTO clearing_case (cycle_id, case_id, transaction_id, confirmed_at) VALUES ($1, $2, $2, now())",
            cycle.cycle_id,
            case_id,
        )
    assert violated.value.constraint_name == "clearing_case_confirmed"


async def test_two_at_once_cut_one_cycle(city: City) -> None:
    hospital = city.hospital(1)
    await city.confirmed(hospital, hospital.bill(city.county(2)))

    outcomes = await asyncio.gather(*(city.cut() for _ in range(4)), return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Cycle", "Refused", "Refused", "Refused"]
    assert await city.books.value("SELECT count(*) FROM clearing_cycle WHERE clearing_region = $1", city.code) == 1


async def test_the_calendar_cuts_once_a_month(city: City) -> None:
    await city.agree(city.code, netting=Netting.MULTILATERAL, cycle_day=20)
    hospital = city.hospital(1)
    await city.confirmed(hospital, hospital.bill(city.county(2)))
    count = "SELECT count(*) FROM clearing_cycle WHERE clearing_region = $1"

    await clearing.cut_by_calendar(city.parts, lambda: NOW - timedelta(days=4))
    early = await city.books.value(count, city.code)
    await asyncio.gather(*(clearing.cut_by_calendar(city.parts, lambda: NOW) for _ in range(3)))
    once = await city.books.value(count, city.code)
    other = city.hospital(1)
    await city.confirmed(other, other.bill(city.county(2)))
    await clearing.cut_by_calendar(city.parts, lambda: NOW)
    same_month = await city.books.value(count, city.code)
    await clearing.cut_by_calendar(city.parts, lambda: NOW + timedelta(days=31))

    assert (early, once, same_month, await city.books.value(count, city.code)) == (0, 1, 1, 2)


async def test_who_pays_hop_by_hop_has_no_cycle_by_itself(city: City) -> None:
    hospital = city.hospital(1)
    await city.confirmed(hospital, hospital.bill(city.county(2)))

    await clearing.cut_by_calendar(city.parts, lambda: LATE)

    assert await city.books.value("SELECT count(*) FROM clearing_cycle WHERE clearing_region = $1", city.code) == 0


async def test_where_it_is_netted_nobody_pays_hop_by_hop(city: City) -> None:
    """Unless the case was begun to be paid before the region netted."""
    one, two = city.hospital(1), city.hospital(1)
    (begun,) = (await city.confirmed(one, one.bill(city.county(2)))).values()
    (fresh,) = (await city.confirmed(two, two.bill(city.county(2)))).values()

    async def propose(party: str, *case_ids: str) -> dict[str, object]:
        async with city.books.database.transaction() as tx:
            return {**await payments.propose(city.parts, tx, Principal("clerk", Role.FINANCE, party), case_ids, NOW)}

    first = (await propose(city.county(2), begun))[begun]
    assert isinstance(first, Payment)
    async with city.books.database.transaction() as tx:
        who = Principal("other", Role.FINANCE, city.county(2))
        await payments.approve(city.parts, tx, who, [first.payment_id], NOW)
    await city.agree(city.code, netting=Netting.BILATERAL)

    refused = (await propose(city.county(2), fresh))[fresh]
    cycle = await city.cut()

    assert isinstance(refused, list)
    assert [refusal.code for refusal in refused] == ["settlement.hop-to-be-netted"]
    assert isinstance((await propose(city.code, begun))[begun], Payment)
    taken = "SELECT case_id FROM clearing_case WHERE cycle_id = $1"
    assert [row[0] for row in await city.books.rows(taken, cycle.cycle_id)] == [fresh]


# Taking, paying, giving back


async def refusals(city: City, party: str, position: Position) -> list[str]:
    """What speaks against paying a position."""
    async with city.books.database.transaction() as tx:
        outcome = (await clearing.take_positions(tx, party, [position.position_id]))[position.position_id]
    return [refusal.code for refusal in outcome] if isinstance(outcome, list) else []


async def test_only_the_payer_pays_and_only_what_has_arrived(city: City) -> None:
    await city.agree(city.code, netting=Netting.MULTILATERAL)
    await two_ways(city)
    positions = await city.positions(await city.cut())
    first, waiting = positions[city.county(2), city.code], positions[city.code, city.county(1)]

    assert await refusals(city, city.county(3), first) == ["settlement.position-not-yours"]
    assert await refusals(city, city.code, waiting) == ["settlement.position-waits"] * 2
    assert await refusals(city, city.county(2), first) == []
    assert await refusals(city, city.county(2), first) == ["settlement.position-not-open"]
    async with city.books.database.transaction() as tx:
        await clearing.give_back_positions(tx, [first.position_id])
    assert await refusals(city, city.county(2), first) == [], "given back, it can be ordered again"


async def test_what_nobody_ordered_is_not_settled(city: City) -> None:
    hospital = city.hospital(1)
    await city.confirmed(hospital, hospital.bill(city.county(2)))
    position = (await city.positions(await city.cut()))[city.county(2), city.code]

    with pytest.raises(ValueError, match="not ordered"):
        async with city.books.database.transaction() as tx:
            await clearing.settle_positions(city.parts, tx, [position.position_id], NOW)
    await city.pay(position)
    with pytest.raises(ValueError, match="not ordered"):
        async with city.books.database.transaction() as tx:
            await clearing.settle_positions(city.parts, tx, [position.position_id], NOW)
    booked = "SELECT count(*) FROM ledger_entry WHERE transaction_id = $1"
    assert await city.books.value(booked, position.position_id) == 4


async def test_clocks_move_with_the_money(city: City) -> None:
    """A position of the city waits; when the counties paid, its days begin: it is due, not the hops of its cases."""
    await city.agree(city.code, netting=Netting.MULTILATERAL, disbursement_working_days=3)
    _, _, first, _ = await two_ways(city)
    cycle = await city.cut()
    positions = await city.positions(cycle)

    for county in (2, 3):
        await city.pay(positions[city.county(county), city.code], NOW + timedelta(days=1))

    due = (await city.positions(cycle))[city.code, city.county(1)].due_on
    assert str(due) == "2026-11-27"
    rows = await city.books.rows(
        "SELECT party, kind, due_on::text, done_at IS NULL FROM due WHERE case_id = $1 AND kind <> 'reconciliation'"
        " ORDER BY since, due_on",
        first[city.county(2)],
    )
    assert {tuple(row)[:2] + tuple(row)[3:] for row in rows} == {
        (city.county(2), "remittance", False),
    }


# Who does not pay


async def test_postponed_only_what_depends_on_the_debtor_waits(city: City) -> None:
    """County 3 does not pay: county 1 gets what county 2 owes, and the case of county 3 is in the next cycle."""
    await city.agree(city.code, netting=Netting.MULTILATERAL, unpaid_rule="postpone")
    one, two, first, second = await two_ways(city)
    cycle = await city.cut()
    before = await city.positions(cycle)
    await city.pay(before[city.county(2), city.code])

    left = await city.apply_rule(before[city.county(3), city.code])

    assert left == [first[city.county(3)]]
    after = await city.positions(cycle)
    assert by_pair(after) == {
        (city.county(2), city.code): 50_000,
        (city.code, city.county(1)): 50_000,
        (city.county(1), one.code): 90_000,
        (city.county(2), two.code): 40_000,
    }
    await city.pay_all(cycle, LATE)
    assert await city.states(first[city.county(2)], first[city.county(3)], *second.values()) == [
        "closed",
        "confirmed",
        "closed",
    ]
    receivable = await city.balances("receivable")
    assert receivable == {
        (one.code, "receivable", city.county(1)): 50_000,
        (city.county(1), "receivable", city.code): 50_000,
        (city.code, "receivable", city.county(3)): 50_000,
    }
    await proves(city)

    again = await city.cut(LATE)
    assert by_pair(await city.positions(again)) == {
        (city.county(3), city.code): 50_000,
        (city.code, city.county(1)): 50_000,
        (city.county(1), one.code): 50_000,
    }
    await city.pay_all(again, LATE)
    assert await city.states(first[city.county(3)]) == ["closed"]
    assert await city.balances("receivable", "payable", "clearing") == {}
    await proves(city)


async def test_what_others_were_paid_on_stays_owed(city: City) -> None:
    """County 2 has set off what county 1 owes it and was paid: its case cannot leave any more, and nothing else can."""
    await city.agree(city.code, netting=Netting.MULTILATERAL)
    one, two = city.hospital(1), city.hospital(2)
    await city.confirmed(one, one.bill(city.county(2), fund_fen=10_000, account_fen=0))
    await city.confirmed(two, two.bill(city.county(1), fund_fen=40_000, account_fen=0))
    cycle = await city.cut()
    positions = await city.positions(cycle)
    debtor = positions[city.county(1), city.code]
    await city.pay(positions[city.county(1), one.code])

    left = await city.apply_rule(debtor)

    assert len(left) == 1, "the case of county 2's hospital; that of county 1's was paid for"
    assert by_pair(await city.positions(cycle)) == {
        (city.county(2), city.code): 10_000,
        (city.code, city.county(1)): 10_000,
        (city.county(1), one.code): 10_000,
    }
    await proves(city)


async def test_part_is_paid_in_the_order_of_confirmation(city: City) -> None:
    await city.agree(city.code, netting=Netting.MULTILATERAL, unpaid_rule="part_pay")
    early, late = city.hospital(1), city.hospital(2)
    second = await city.confirmed(
        late, late.bill(city.county(3), fund_fen=30_000, account_fen=0), now=NOW + timedelta(hours=1)
    )
    first = await city.confirmed(early, early.bill(city.county(3), fund_fen=70_000, account_fen=0))
    cycle = await city.cut(NOW + timedelta(hours=2))
    unpaid = (await city.positions(cycle))[city.county(3), city.code]

    with pytest.raises(Refused) as refused:
        await city.apply_rule(unpaid)
    with pytest.raises(Refused) as in_full:
        await city.apply_rule(unpaid, available_fen=100_000)
    left = await city.apply_rule(unpaid, available_fen=80_000)

    assert [r.code for r in refused.value.refusals] == ["settlement.available-missing"]
    assert [r.code for r in in_full.value.refusals] == ["settlement.available-in-full"]
    assert left == list(second.values())
    rest = (await city.positions(cycle))[city.county(3), city.code]
    assert (rest.amount_fen, rest.due_on) == (70_000, unpaid.due_on), "it is as late as it was"
    await city.pay_all(cycle, LATE)
    assert await city.states(*first.values(), *second.values()) == ["closed", "confirmed"]
    await proves(city)


async def test_the_rule_is_for_who_is_late(city: City) -> None:
    await city.agree(city.code, netting=Netting.MULTILATERAL)
    hospital = city.hospital(1)
    await city.confirmed(hospital, hospital.bill(city.county(2)))
    positions = await city.positions(await city.cut())
    position, waiting = positions[city.county(2), city.code], positions[city.code, city.county(1)]

    async def refused(target: Position, **about: object) -> list[str]:
        with pytest.raises(Refused) as found:
            await city.apply_rule(target, **about)  # type: ignore[arg-type]
        return [r.code for r in found.value.refusals]

    assert await refused(position, now=NOW + timedelta(days=14)) == ["settlement.position-not-overdue"]
    assert await refused(waiting) == ["settlement.position-not-overdue"], "it waits for others, whatever the day"
    assert await refused(position, party=city.county(2)) == ["auth.not-your-area"]
    assert len(await city.apply_rule(position)) == 1
    assert await refused(position) == ["settlement.position-not-open"]


# What facilities owe


async def test_what_a_facility_owes_is_carried_until_it_earns_again(city: City) -> None:
    await city.agree(city.code, netting=Netting.MULTILATERAL)
    await city.agree(city.county(1), negative_rule="carry")
    hospital = city.hospital(1)
    bill = hospital.bill(city.county(2), fund_fen=60_000, account_fen=0)
    paid = await city.confirmed(hospital, bill)
    await city.pay_all(await city.cut())

    hospital.month = "2026-11"
    back = await city.confirmed(hospital, hospital.reversal(bill, settled_at=NOW))
    cycle = await city.cut()
    positions = await city.positions(cycle)
    assert {pair: (p.amount_fen, p.state) for pair, p in positions.items()} == {
        (hospital.code, city.county(1)): (60_000, "carried"),
        (city.county(1), city.code): (60_000, "open"),
        (city.code, city.county(2)): (60_000, "open"),
    }
    await city.pay_all(cycle)
    assert await city.states(*paid.values(), *back.values()) == ["closed", "remitting"], "the facility still owes"
    await proves(city)

    hospital.month = "2026-12"
    more = await city.confirmed(
        hospital, hospital.bill(city.county(3), fund_fen=100_000, account_fen=0, settled_at=NOW + timedelta(days=20))
    )
    later = await city.cut(LATE)
    position = (await city.positions(later))[city.county(1), hospital.code]
    assert (position.amount_fen, position.brought_fen) == (40_000, -60_000)
    await city.pay_all(later, LATE)

    assert await city.states(*back.values(), *more.values()) == ["closed", "closed"]
    assert await city.balances("receivable", "payable", "clearing") == {}
    states = "SELECT settled_by FROM clearing_position WHERE payer = $1 OR payee = $1 ORDER BY position_id"
    assert [row[0] for row in await city.books.rows(states, hospital.code)] == ["payment", "later_position", "payment"]
    await proves(city)


async def test_what_a_facility_still_owes_is_carried_on(city: City) -> None:
    """It earns less than it owes: the cycle is cut all the same, and the rest waits for the next one."""
    await city.agree(city.code, netting=Netting.MULTILATERAL)
    await city.agree(city.county(1), negative_rule="carry")
    hospital = city.hospital(1)
    owed = await city.confirmed(hospital, hospital.reversal(hospital.bill(city.county(2), 60_000, 0)))
    await city.pay_all(await city.cut())
    waits = []
    for month, earned_fen in (("2026-11", 20_000), ("2026-12", 70_000)):
        hospital.month = month
        await city.confirmed(hospital, hospital.bill(city.county(3), earned_fen, 0))
        cycle = await city.cut(LATE)
        own = {pair: p for pair, p in (await city.positions(cycle)).items() if hospital.code in pair}
        waits += [(pair, p.amount_fen, p.brought_fen, p.state) for pair, p in own.items()]
        await city.pay_all(cycle, LATE)

    owes, earns = (hospital.code, city.county(1)), (city.county(1), hospital.code)
    assert waits == [(owes, 40_000, 60_000, "carried"), (earns, 30_000, -40_000, "open")]
    assert await city.states(*owed.values()) == ["closed"]
    assert await city.balances("receivable", "payable", "clearing") == {}
    await proves(city)


async def test_what_a_facility_owes_is_collected_where_the_terms_say_so(city: City) -> None:
    await city.agree(city.code, netting=Netting.MULTILATERAL, negative_rule="collect")
    hospital = city.hospital(1)
    bill = hospital.bill(city.county(2), fund_fen=60_000, account_fen=0)
    cases = await city.confirmed(hospital, hospital.reversal(bill))

    cycle = await city.cut()
    paid = await city.pay_all(cycle)

    assert paid[0] == (hospital.code, city.county(1), 60_000)
    assert await city.states(*cases.values()) == ["closed"]
    await proves(city)


async def test_what_comes_to_nothing_is_settled_at_once(city: City) -> None:
    """Two counties owe each other the same: only the hospitals are paid."""
    await city.agree(city.code, netting=Netting.BILATERAL)
    one, two = city.hospital(1), city.hospital(2)
    first = await city.confirmed(one, one.bill(city.county(2), fund_fen=5_000, account_fen=0))
    second = await city.confirmed(two, two.bill(city.county(1), fund_fen=5_000, account_fen=0))

    cycle = await city.cut()
    settled = [p for p in (await city.positions(cycle)).values() if p.settled_by == "nothing_owed"]
    states = await city.states(*first.values(), *second.values())
    await city.pay_all(cycle)

    assert {(p.payer, p.payee, p.amount_fen) for p in settled} == {
        (*sorted((city.county(n), city.code)), 0) for n in (1, 2)
    }
    assert states == ["disbursing", "disbursing"]
    assert await city.states(*first.values(), *second.values()) == ["closed", "closed"]
    await proves(city)


# What the database itself refuses


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE clearing_cycle SET netting = 'gross' WHERE cycle_id = $1", asyncpg.RestrictViolationError),
        ("UPDATE clearing_position SET amount_fen = 1 WHERE cycle_id = $1", asyncpg.RestrictViolationError),
        ("DELETE FROM clearing_position WHERE cycle_id = $1", asyncpg.RestrictViolationError),
        ("UPDATE position_hop SET amount_fen = 1 WHERE cycle_id = $1", asyncpg.RestrictViolationError),
        ("UPDATE clearing_case SET confirmed_at = now() WHERE cycle_id = $1", asyncpg.RestrictViolationError),
        ("UPDATE clearing_position SET state = 'carried' WHERE cycle_id = $1", asyncpg.CheckViolationError),
        ("UPDATE clearing_position SET state = 'settled' WHERE cycle_id = $1", asyncpg.CheckViolationError),
        (
            "INSERT INTO clearing_case SELECT $1, case_id, 'x', now() FROM clearing_case WHERE cycle_id = $1",
            asyncpg.UniqueViolationError,
        ),
        (
            "INSERT INTO position_hop SELECT position_id, case_id, hop_no % 3 + 1, cycle_id, 0, true FROM position_hop"
            " WHERE cycle_id = $1",
            asyncpg.UniqueViolationError,
        ),
    ],
)
async def test_cycles_are_not_edited(city: City, owner: Owner, statement: str, error: type[Exception]) -> None:
    hospital = city.hospital(1)
    await city.confirmed(hospital, hospital.bill(city.county(2)))
    cycle = await city.cut()

    with pytest.raises(error):
        await owner.execute(statement, cycle.cycle_id)


async def test_a_position_is_the_sum_of_its_hops(city: City, owner: Owner) -> None:
    hospital = city.hospital(1)
    await city.confirmed(hospital, hospital.bill(city.county(2)))
    cycle = await city.cut()

    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await owner.execute(
            "INSERT INTO clearing_position"
            " (position_id, cycle_id, payer, payee, amount_fen, brought_fen, state, made_at)"
            " VALUES ('x', $1, 'a', 'b', 5, 0, 'open', now())",
            cycle.cycle_id,
        )
    assert refused.value.constraint_name == "clearing_position_adds_up"
