"""What agencies keep back of what they pay facilities, in a real database: decided, set off, taken back, proven."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from services.settlement.config import SettlementSettings
from services.settlement.rules.terms import Netting
from services.settlement.store import books as proving
from services.settlement.store import cycles as reading
from services.settlement.store import invariants as invariant_store
from services.settlement.store import withholdings as store
from services.settlement.store.clearing import Cycle, Position
from services.settlement.store.invariants import Invariant
from services.settlement.store.withholdings import WithholdingRow
from services.settlement.use_cases import withholdings
from services.settlement.use_cases.withholdings import Said
from shared.auth import Principal, Role
from shared.events import new_id
from shared.events.settlement import WithholdingApproved
from shared.refusals import Refused
from tests.services.settlement.cycles import NOW, City
from tests.services.settlement.fixtures import ActAs, Heard, Owner
from tests.services.settlement.test_chain import findings, sealed
from tests.services.settlement.test_clearing_api import CARE, CHANGSHA, HOME, cut, pay, positions
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import Books, Hospital

NEXT_YEAR = datetime(2027, 1, 20, 2, 0, tzinfo=UTC)
ACCOUNTS = ("retention_held", "retention_due", "deductions", "clearing")


@pytest.fixture
async def city(books: Books) -> City:
    """A city that nets."""
    made = City(books)
    await made.agree(made.code, netting=Netting.BILATERAL)
    return made


@pytest.fixture
async def hospital(city: City) -> Hospital:
    """A facility of county 1."""
    made = city.hospital(1)
    await city.books.hear(made.changed())
    return made


async def proves(city: City) -> None:
    """Cycles, withholdings and mirrored books agree, and no invariant is violated."""
    async with city.books.database.read() as reader:
        found = await reading.prove_clearing(reader)
        mirror_off = await proving.prove_mirror(reader)
        query = "SELECT DISTINCT transaction_id FROM ledger_entry WHERE book LIKE $1"
        ids = [row[0] for row in await reader.fetch(query, f"{city.code[:4]}%")]
        violated = await invariant_store.violations(reader, ids)
    assert (found.positions_off, found.obligations_off, found.clearing_off, found.withholdings_off) == (0, 0, 0, 0)
    assert (mirror_off, violated) == (0, [])


def officer(city: City, name: str = "one") -> Principal:
    """An officer of county 1."""
    return Principal(name, Role.OFFICER, city.county(1))


async def decide(city: City, row: WithholdingRow, *, approved: bool = True, name: str = "two") -> WithholdingRow:
    """Another officer decides."""
    async with city.books.database.transaction() as tx:
        who = officer(city, name)
        return await withholdings.decide(city.parts, tx, who, row.withholding_id, NOW, approved=approved)


async def proposed(city: City, hospital: Hospital, amount_fen: int, of: WithholdingRow | None = None) -> WithholdingRow:
    """An officer proposes a deduction, or to give back of one."""
    said = Said(hospital.code, amount_fen, of.withholding_id if of else None, "超标准收费")
    async with city.books.database.transaction() as tx:
        return await withholdings.propose(tx, officer(city), said, NOW)


async def deducted(city: City, hospital: Hospital, amount_fen: int, of: WithholdingRow | None = None) -> WithholdingRow:
    """Two officers of county 1 deduct, or give back."""
    return await decide(city, await proposed(city, hospital, amount_fen, of))


async def released(city: City, hospital: Hospital, index: str, now: datetime = NEXT_YEAR) -> WithholdingRow:
    """An officer proposes what the yearly review of 2026 gives back."""
    async with city.books.database.transaction() as tx:
        review = (hospital.code, 2026, Decimal(index))
        return await withholdings.propose_release(city.parts, tx, officer(city), review, "年度考核", now)


async def cleared(city: City, hospital: Hospital, amount_fen: int, home: int = 2) -> tuple[Cycle, Position]:
    """A month of one bill is cut: the cycle, and the hospital's position with its agency."""
    other = replace(hospital, month=f"2026-{int(hospital.month[5:]) - 1:02}")
    hospital.month = other.month
    await city.confirmed(hospital, hospital.bill(city.county(home), fund_fen=amount_fen, account_fen=0))
    cycle = await city.cut()
    found = await city.positions(cycle)
    return cycle, next(p for p in found.values() if p.facility_code == hospital.code)


async def left(city: City, row: WithholdingRow) -> int:
    """What of a decision still waits."""
    async with city.books.database.read() as reader:
        found = await store.row(reader, row.withholding_id)
    assert found is not None
    return found.amount_fen - found.set_off_fen


async def test_the_terms_retain_a_share_and_nobody_loses_a_fen(city: City, hospital: Hospital, owner: Owner) -> None:
    await city.agree(city.county(1), retention_permille=50)

    cycle, position = await cleared(city, hospital, 90_000)
    await city.pay_all(cycle)

    agency = city.county(1)
    assert (position.amount_fen, position.withheld_fen) == (85_500, 4_500)
    assert await city.balances(*ACCOUNTS) == {
        (agency, "retention_held", hospital.code): -4_500,
        (hospital.code, "retention_due", agency): 4_500,
    }
    bank = await city.balances("bank")
    assert bank[agency, "bank", ""] == 4_500, "it has what it retained"
    await proves(city)
    await sealed(city.books)
    assert await findings(owner, city.books) == set()


async def test_without_a_choice_nothing_is_retained(city: City, hospital: Hospital) -> None:
    _, position = await cleared(city, hospital, 90_000)

    assert (position.amount_fen, position.withheld_fen) == (90_000, 0)


async def test_a_deduction_waits_for_positions_and_is_taken_once(city: City, hospital: Hospital) -> None:
    deduction = await deducted(city, hospital, 100_000)

    (first_cycle, first), waited = await cleared(city, hospital, 90_000), await left(city, deduction)
    (_, second), after = await cleared(city, hospital, 30_000), await left(city, deduction)
    (_, third) = await cleared(city, hospital, 30_000)

    assert [(p.amount_fen, p.withheld_fen) for p in (first, second, third)] == [
        (0, 90_000),
        (20_000, 10_000),
        (30_000, 0),
    ]
    assert (first.state, first.settled_by, waited, after) == ("settled", "nothing_owed", 10_000, 0)
    await city.pay_all(first_cycle)
    balances = await city.balances("deductions")
    assert balances == {
        (city.county(1), "deductions", hospital.code): -100_000,
        (hospital.code, "deductions", city.county(1)): 100_000,
    }
    await proves(city)


async def test_the_facility_is_told(city: City, hospital: Hospital, heard: Heard) -> None:
    deduction = await deducted(city, hospital, 5_000)
    refused = await decide(city, await proposed(city, hospital, 2_000), approved=False)

    assert await heard(deduction.withholding_id) == [
        WithholdingApproved(
            withholding_id=deduction.withholding_id,
            region=city.county(1),
            facility_code=hospital.code,
            kind="deduction",
            amount_fen=5_000,
            kept_fen=0,
        )
    ]
    assert await heard(refused.withholding_id) == []


async def test_nothing_is_set_off_before_another_person_agreed(city: City, hospital: Hospital) -> None:
    waiting, refused = await proposed(city, hospital, 1_000), await proposed(city, hospital, 2_000)
    await decide(city, refused, approved=False)

    with pytest.raises(Refused) as same:
        await decide(city, waiting, name="one")
    with pytest.raises(Refused) as again:
        await decide(city, refused)
    _, position = await cleared(city, hospital, 90_000)

    assert [r.code for r in same.value.refusals] == ["settlement.same-person"]
    assert [r.code for r in again.value.refusals] == ["settlement.withholding-decided"]
    assert position.withheld_fen == 0


async def test_what_is_given_back_comes_with_the_next_position(city: City, hospital: Hospital) -> None:
    deduction = await deducted(city, hospital, 5_000)
    await cleared(city, hospital, 90_000)
    given = await deducted(city, hospital, 3_000, deduction)

    with pytest.raises(Refused) as more:
        await proposed(city, hospital, 2_001, deduction)
    _, position = await cleared(city, hospital, 40_000)

    assert [r.code for r in more.value.refusals] == ["settlement.return-too-large"]
    assert (position.amount_fen, position.withheld_fen, await left(city, given)) == (43_000, -3_000, 0)
    assert await city.balances("deductions") == {
        (city.county(1), "deductions", hospital.code): -2_000,
        (hospital.code, "deductions", city.county(1)): 2_000,
    }
    await proves(city)


async def test_two_at_once_give_back_no_more_than_was_deducted(city: City, hospital: Hospital) -> None:
    deduction = await deducted(city, hospital, 5_000)

    outcomes = await asyncio.gather(
        *(proposed(city, hospital, 3_000, deduction) for _ in range(4)), return_exceptions=True
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Refused"] * 3 + ["WithholdingRow"]


async def test_the_yearly_review_gives_back_a_part_and_keeps_the_rest(city: City, hospital: Hospital) -> None:
    await city.agree(city.county(1), retention_permille=100)
    cycle, _ = await cleared(city, hospital, 90_000)
    with pytest.raises(Refused) as early:
        await released(city, hospital, "1", NOW)
    await city.pay_all(cycle)

    review = await released(city, hospital, "0.9")
    with pytest.raises(Refused) as twice:
        await released(city, hospital, "1")
    await decide(city, review)
    after = await city.balances("retention_held", "deductions")
    _, position = await cleared(city, hospital, 10_000)

    agency = city.county(1)
    assert {r.code for r in early.value.refusals} == {
        "settlement.retention-year-open",
        "settlement.retention-unsettled",
    }
    assert [r.code for r in twice.value.refusals] == ["settlement.retention-released"]
    assert (review.amount_fen, review.kept_fen) == (8_100, 900)
    assert after[agency, "retention_held", hospital.code] == -8_100
    assert after[agency, "deductions", hospital.code] == -900
    assert position.amount_fen == 10_000 - 1_000 + 8_100
    assert await city.balances("retention_held", "deductions") == {
        (agency, "retention_held", hospital.code): -1_000,
        (agency, "deductions", hospital.code): -900,
        (hospital.code, "deductions", agency): 900,
    }
    await proves(city)


async def test_a_position_that_is_netted_anew_sets_off_anew(city: City, hospital: Hospital) -> None:
    """Two cases in a position, one leaves because its home agency does not pay."""
    await city.agree(city.county(1), retention_permille=100)
    deduction = await deducted(city, hospital, 50_000)
    await city.confirmed(
        hospital,
        hospital.bill(city.county(2), fund_fen=40_000, account_fen=0),
        hospital.bill(city.county(3), fund_fen=20_000, account_fen=0),
    )
    cycle = await city.cut()
    before = (await city.positions(cycle))[city.county(1), hospital.code]
    waited = await left(city, deduction)

    await city.apply_rule((await city.positions(cycle))[city.county(2), city.code])
    after = (await city.positions(cycle))[city.county(1), hospital.code]

    assert (before.amount_fen, before.withheld_fen, waited) == (4_000, 56_000, 0)
    assert (after.amount_fen, after.withheld_fen, after.state) == (0, 20_000, "settled")
    assert await left(city, deduction) == 32_000
    assert await city.balances("retention_held", "retention_due", "deductions") == {
        (city.county(1), "retention_held", hospital.code): -2_000,
        (hospital.code, "retention_due", city.county(1)): 2_000,
        (city.county(1), "deductions", hospital.code): -18_000,
        (hospital.code, "deductions", city.county(1)): 18_000,
    }
    await proves(city)


async def test_a_case_does_not_leave_once_its_position_is_made_up_for(city: City, hospital: Hospital) -> None:
    await deducted(city, hospital, 90_000)
    cycle, position = await cleared(city, hospital, 90_000)

    with pytest.raises(Refused) as refused:
        await city.apply_rule((await city.positions(cycle))[city.county(2), city.code])

    assert position.state == "settled"
    assert [r.code for r in refused.value.refusals] == ["settlement.cases-relied-on"]


async def test_of_what_a_facility_owes_nothing_is_kept_back(city: City, hospital: Hospital) -> None:
    city.parts = replace(city.parts, settings=SettlementSettings(retention_permille=100))
    deduction = await deducted(city, hospital, 5_000)
    bill = hospital.bill(city.county(2), fund_fen=50_000, account_fen=0)
    await city.confirmed(hospital, bill)
    await city.pay_all(await city.cut())
    hospital.month = "2026-09"
    await city.confirmed(hospital, hospital.reversal(bill, settled_at=bill.settled_at - timedelta(days=30)))
    owing = (await city.positions(await city.cut()))[hospital.code, city.county(1)]

    assert (owing.amount_fen, owing.withheld_fen, owing.state) == (50_000, 0, "carried")
    assert await left(city, deduction) == 0
    await proves(city)


async def test_nobody_deducts_of_what_another_agency_pays(city: City, hospital: Hospital) -> None:
    other = city.hospital(2)
    await city.books.hear(other.changed())
    for found, code in ((other.code, "auth.not-your-area"), ("H00000000000", "settlement.party-unknown")):
        with pytest.raises(Refused) as refused:
            await proposed(city, replace(other, code=found), 1)
        assert [r.code for r in refused.value.refusals] == [code]


# Seen to be found


@asynccontextmanager
async def unguarded(owner: Owner) -> AsyncIterator[None]:
    """The owner with all guards off; whatever happens is rolled back."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        for table in ("ledger_entry", "ledger_transaction", "clearing_position", "set_off", "withholding"):
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
    finally:
        await transaction.rollback()


BOOKED = "SELECT transaction_id FROM ledger_entry WHERE book = $1 AND account_kind = $2"


@pytest.fixture
async def kept(city: City, hospital: Hospital) -> tuple[City, Hospital]:
    """Something retained, something deducted, and something kept of what was retained."""
    await city.agree(city.county(1), retention_permille=100)
    await deducted(city, hospital, 5_000)
    cycle, _ = await cleared(city, hospital, 90_000)
    await city.pay_all(cycle)
    await decide(city, await released(city, hospital, "0.5"))
    return city, hospital


@pytest.mark.parametrize("account", ["retention_held", "retention_due", "deductions"])
@pytest.mark.parametrize(
    "cheat",
    [
        "UPDATE ledger_entry SET amount_fen = amount_fen * 2 WHERE transaction_id = ANY($1::text[])",
        "UPDATE ledger_entry SET amount_fen = -amount_fen WHERE transaction_id = ANY($1::text[])",
        "UPDATE ledger_entry SET account_kind = CASE account_kind WHEN 'deductions' THEN 'retention_held'"
        " ELSE 'deductions' END WHERE transaction_id = ANY($1::text[]) AND account_kind <> 'clearing'",
        "UPDATE ledger_transaction SET kind = 'bank' WHERE transaction_id = ANY($1::text[])",
    ],
)
async def test_each_cheat_in_the_ledger_is_found(
    owner: Owner, kept: tuple[City, Hospital], account: str, cheat: str
) -> None:
    city, hospital = kept
    book = hospital.code if account == "retention_due" else city.county(1)
    async with unguarded(owner):
        ids = [row[0] for row in await owner.fetch(BOOKED, book, account)]
        before = await invariant_store.violations(owner, ids)  # type: ignore[arg-type]
        await owner.execute(cheat, ids)
        found = await invariant_store.violations(owner, ids)  # type: ignore[arg-type]

    assert (bool(ids), before) == (True, [])
    assert {v.subject for v in found if v.invariant is Invariant.WITHHOLDING_IS_BOOKED} == set(ids)


@pytest.mark.parametrize(
    "cheat",
    [
        "UPDATE set_off SET amount_fen = amount_fen + 1 WHERE position_id IN"
        " (SELECT position_id FROM clearing_position WHERE payee = $1)",
        "UPDATE set_off SET reversal_id = set_off_id WHERE position_id IN"
        " (SELECT position_id FROM clearing_position WHERE payee = $1)",
        "UPDATE withholding SET amount_fen = amount_fen - 1 WHERE facility_code = $1 AND kind = 'deduction'",
        "UPDATE withholding SET kept_fen = kept_fen + 1 WHERE facility_code = $1 AND kind = 'retention_release'",
        "UPDATE withholding SET state = 'refused' WHERE facility_code = $1 AND kind = 'retention_release'",
        "UPDATE clearing_position SET withheld_fen = withheld_fen + 1 WHERE payee = $1",
        "UPDATE ledger_entry SET amount_fen = amount_fen + 1 WHERE book = $1 AND account_kind = 'retention_due'",
    ],
)
async def test_the_proof_finds_what_does_not_agree(owner: Owner, kept: tuple[City, Hospital], cheat: str) -> None:
    _, hospital = kept
    async with unguarded(owner):
        before = await reading.prove_clearing(owner)  # type: ignore[arg-type]
        await owner.execute(cheat, hospital.code)
        found = await reading.prove_clearing(owner)  # type: ignore[arg-type]

    assert (before.withholdings_off, found.withholdings_off > 0) == (0, True)


NEW_POSITION = """
    INSERT INTO clearing_position
        (position_id, cycle_id, payer, payee, facility_code, amount_fen, brought_fen, withheld_fen, state, made_at)
    SELECT $2, cycle_id, payer, payee, facility_code, $3, 0, $4, 'open', now() FROM clearing_position
    WHERE payee = $1 ORDER BY position_id LIMIT 1
"""


@pytest.mark.parametrize(
    ("query", "values", "constraint"),
    [
        (NEW_POSITION, (new_id(), 5, 0), "clearing_position_adds_up"),
        (NEW_POSITION, (new_id(), 5, -5), "clearing_position_set_off"),
        ("UPDATE set_off SET amount_fen = amount_fen + 1 WHERE set_off_id <> $1", (), None),
        ("DELETE FROM set_off WHERE set_off_id <> $1", (), None),
        ("UPDATE withholding SET amount_fen = 1 WHERE facility_code = $1", (), None),
        ("UPDATE withholding SET state = 'refused' WHERE facility_code = $1", (), None),
        ("UPDATE clearing_position SET withheld_fen = 0 WHERE payee = $1", (), None),
    ],
)
async def test_the_database_refuses(
    owner: Owner, kept: tuple[City, Hospital], query: str, values: tuple[Any, ...], constraint: str | None
) -> None:
    _, hospital = kept
    with pytest.raises(asyncpg.PostgresError) as refused:
        await owner.execute(query, hospital.code, *values)
    assert getattr(refused.value, "constraint_name", None) == constraint


# Over HTTP


async def test_a_deduction_over_http(books: Books, act_as: ActAs) -> None:
    hospital = Hospital(region=CARE)
    bill = hospital.bill(HOME)
    await books.hear(hospital.changed(), bill)
    await submit(act_as("facility", hospital.code), hospital, [bill])
    month = Month(act_as, hospital)
    await month.confirm((await month.cases())[0])
    one, two = act_as("officer", CARE, "one"), act_as("reviewer", CARE, "two")
    facility, stranger = act_as("facility", hospital.code), act_as("officer", HOME)
    body = {"facility_code": hospital.code, "amount_fen": 1_000, "reason": "超标准收费"}

    made = await one.post("/v1/withholdings", body)
    path = f"/v1/withholdings/{made.json()['withholding_id']}"
    waiting = [
        [(t["kind"], t["reference"]) for t in (await who.get("/v1/agenda", mine="true", limit=200)).json()["items"]]
        for who in (one, two)
    ]
    by_stranger = await stranger.post("/v1/withholdings", body)
    seen_by_stranger = await stranger.get(path)
    by_itself = await act_as("officer", CARE, " ONE ").post(f"{path}/approval")
    approved = await two.post(f"{path}/approval")
    refused = await two.post(f"{path}/refusal")
    named = await one.post("/v1/withholdings", {**body, "reason": "患者11010519491231002X超量开药"})
    early = await one.post(
        "/v1/retention-releases",
        {"facility_code": hospital.code, "year": 2199, "level_index": "0.95", "reason": "年度考核"},
    )
    cycle = await cut(act_as)
    position = (await positions(act_as("finance", CHANGSHA), cycle))[CARE, hospital.code]
    found = (await positions(act_as("finance", CHANGSHA), cycle)).items()
    for (payer, _), other in sorted(found, key=lambda one: len(one[1]["waits_for"])):
        if other["facility_code"] is None:
            await pay(act_as, payer, "position", other["position_id"])
    await pay(act_as, CARE, "position", position["position_id"])
    set_offs = (await facility.get(f"/v1/clearing-positions/{position['position_id']}/set-offs")).json()["items"]
    entries = (
        await facility.get(f"/v1/books/{hospital.code}/entries", account_kind="deductions", counterparty=CARE)
    ).json()["items"]
    told = [await facility.get(f"/v1/set-offs/{entry['transaction_id']}") for entry in entries]
    listed = (await facility.get("/v1/withholdings", state="approved")).json()["items"]
    orders = (await act_as("finance", CARE).get("/v1/orders", limit=200)).json()["items"]

    assert (made.status_code, made.json()["state"], approved.json()["state"]) == (201, "proposed", "approved")
    task = ("withholding_approval", made.json()["withholding_id"])
    assert [task in tasks for tasks in waiting] == [False, True]
    assert codes(by_stranger) == codes(seen_by_stranger) == ["auth.not-your-area"]
    assert (codes(by_itself), codes(refused)) == (["settlement.same-person"], ["settlement.withholding-decided"])
    assert codes(named) == ["settlement.personal-number"]
    assert codes(early) == ["settlement.retention-year-open", "settlement.retention-nothing"]
    assert (position["amount_fen"], position["withheld_fen"]) == (84_000, 1_000)
    assert [(s["kind"], s["amount_fen"], s["withholding_id"]) for s in set_offs] == [
        ("deduction", 1_000, made.json()["withholding_id"])
    ]
    assert [answer.json() for answer in told] == set_offs, "every line of a book leads somewhere"
    assert codes(await stranger.get(f"/v1/set-offs/{set_offs[0]['set_off_id']}")) == ["auth.not-your-area"]
    assert [(w["withholding_id"], w["set_off_fen"]) for w in listed] == [(made.json()["withholding_id"], 1_000)]
    assert [o["amount_fen"] for o in orders if o["reference"] == position["position_id"]] == [84_000]
    assert await books.value("SELECT state FROM clearing_position WHERE position_id = $1", position["position_id"]) == (
        "settled"
    )
