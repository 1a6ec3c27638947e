"""What is kept back of facilities where hops are paid one by one: off the last hop, booked when that is paid."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import asyncpg
import pytest

from deploy.local import bank as small_bank
from services.settlement.rules.cases import Payment
from services.settlement.rules.terms import PaymentWay
from services.settlement.store import books as proving
from services.settlement.store import cycles as reading
from services.settlement.store import invariants as invariant_store
from services.settlement.store import withholdings as store
from services.settlement.store.invariants import Invariant
from services.settlement.use_cases import payments
from shared.auth import Principal, Role
from shared.events import new_id
from shared.refusals import Refused
from tests.services.settlement.banking import Counter
from tests.services.settlement.cycles import NOW, City
from tests.services.settlement.fixtures import ActAs, Owner, waits
from tests.services.settlement.test_bank import counter, data_keys
from tests.services.settlement.test_chain import findings, sealed
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.test_withholdings import NEXT_YEAR, decide, deducted, left, proves, released
from tests.services.settlement.world import Books, Hospital

__all__ = ["counter", "data_keys"]

KEPT = ("retention_held", "retention_due", "deductions")
OWED = ("receivable", "payable")


@pytest.fixture
async def city(books: Books) -> City:
    """A city that pays hop by hop."""
    return City(books)


@pytest.fixture
async def hospital(city: City) -> Hospital:
    """A facility of county 1."""
    made = city.hospital(1)
    await city.books.hear(made.changed())
    return made


def finance(payer: str, name: str = "one") -> Principal:
    """Somebody who pays."""
    return Principal(name, Role.FACILITY if payer.startswith("H") else Role.FINANCE, payer)


async def proposed(city: City, payer: str, *case_ids: str, now: datetime = NOW) -> list[Payment]:
    """The payer's hops of some cases."""
    async with city.books.database.transaction() as tx:
        outcomes = await payments.propose(city.parts, tx, finance(payer), case_ids, now)
    assert not [o for o in outcomes.values() if isinstance(o, list)], outcomes
    return [outcome for outcome in outcomes.values() if isinstance(outcome, Payment)]


async def approved(city: City, *made: Payment, now: datetime = NOW) -> None:
    """Another person of the payer approves: they are paid."""
    async with city.books.database.transaction() as tx:
        ids = [payment.payment_id for payment in made]
        outcomes = await payments.approve(city.parts, tx, finance(made[0].payer, "two"), ids, now)
    assert not [o for o in outcomes.values() if isinstance(o, list)], outcomes


async def month(city: City, hospital: Hospital, *amounts_fen: int) -> list[str]:
    """A month of one bill for each home county from the second on, confirmed and paid up to the care agency."""
    hospital.month = f"2026-{int(hospital.month[5:]) - 1:02}"
    bills = [hospital.bill(city.county(2 + n), fund_fen=fen, account_fen=0) for n, fen in enumerate(amounts_fen)]
    cases = await city.confirmed(hospital, *bills)
    ids = [cases[city.county(2 + n)] for n in range(len(amounts_fen))]
    for n, case_id in enumerate(ids):
        await approved(city, *await proposed(city, city.county(2 + n), case_id))
    await approved(city, *await proposed(city, city.code, *ids))
    return ids


async def set_offs(city: City, payment: Payment) -> list[tuple[str, int]]:
    """What is set off against a payment."""
    async with city.books.database.read() as reader:
        return [(s.kind, s.amount_fen) for s in await store.set_offs_of_payments(reader, [payment.payment_id])]


async def agrees(city: City) -> None:
    """Proof and invariants hold, of hops as of cycles."""
    await proves(city)
    async with city.books.database.read() as reader:
        cases = await proving.prove_cases(reader)
    assert (cases.payments_off, cases.payments_unbooked, cases.paid_fen - cases.received_fen) == (0, 0, 0)


async def bank(city: City, party: str) -> int:
    """What a party has at the bank."""
    query = "SELECT coalesce(sum(amount_fen), 0)::bigint FROM ledger_entry WHERE account_kind = 'bank' AND book = $1"
    return await city.books.value(query, party)  # type: ignore[no-any-return]


async def test_the_terms_retain_a_share_of_the_last_hop_alone(city: City, hospital: Hospital, owner: Owner) -> None:
    for region in (city.code, city.county(1), city.county(2)):
        await city.agree(region, retention_permille=50)
    (case_id,) = await month(city, hospital, 90_010)
    agency = city.county(1)

    (payment,) = await proposed(city, agency, case_id)
    before = await city.balances(*KEPT, *OWED)
    await agrees(city)
    await approved(city, payment)

    assert (payment.payee, payment.amount_fen) == (hospital.code, 85_509)
    assert await set_offs(city, payment) == [("retention", 4_501)], "4500.5 is rounded half-up"
    assert before == {
        (agency, "payable", hospital.code): -90_010,
        (hospital.code, "receivable", agency): 90_010,
    }, "nothing is booked before it is paid"
    assert await city.balances(*KEPT, *OWED) == {
        (agency, "retention_held", hospital.code): -4_501,
        (hospital.code, "retention_due", agency): 4_501,
    }
    assert [await bank(city, party) for party in (agency, hospital.code)] == [4_501, 85_509]
    assert await bank(city, city.code) == 0, "what goes through the city is whole"
    assert await city.states(case_id) == ["closed"]
    await agrees(city)
    await sealed(city.books)
    assert await findings(owner, city.books) == set()


async def test_a_deduction_goes_through_the_cases_of_one_call_and_is_taken_once(city: City, hospital: Hospital) -> None:
    deduction = await deducted(city, hospital, 100_000)
    ids = await month(city, hospital, 90_000, 30_000, 5_000)
    agency = city.county(1)

    made = await proposed(city, agency, *ids)
    waits = await left(city, deduction)
    await approved(city, *made)

    assert [payment.amount_fen for payment in made] == [0, 20_000, 5_000]
    assert [await set_offs(city, payment) for payment in made] == [[("deduction", 90_000)], [("deduction", 10_000)], []]
    assert waits == 0
    assert await city.states(*ids) == ["closed"] * 3
    assert await city.balances(*KEPT, *OWED) == {
        (agency, "deductions", hospital.code): -100_000,
        (hospital.code, "deductions", agency): 100_000,
    }
    assert await bank(city, hospital.code) == 25_000
    await agrees(city)


async def test_what_is_left_of_nothing_is_still_agreed_on_by_two(city: City, hospital: Hospital) -> None:
    """Also where the agency pays by bank: there is nothing to send."""
    await city.agree(city.county(1), payment_way=PaymentWay.BANK)
    await deducted(city, hospital, 90_000)
    (case_id,) = await month(city, hospital, 90_000)
    (payment,) = await proposed(city, city.county(1), case_id)

    async with city.books.database.transaction() as tx:
        alone = await payments.approve(city.parts, tx, finance(city.county(1)), [payment.payment_id], NOW)
    state = await city.states(case_id)
    await approved(city, payment)

    assert [r.code for r in alone[payment.payment_id]] == ["settlement.same-person"]  # type: ignore[union-attr]
    assert (payment.amount_fen, state, await city.states(case_id)) == (0, ["disbursing"], ["closed"])
    assert (
        await city.books.value("SELECT count(*) FROM ledger_transaction WHERE transaction_id = $1", payment.payment_id)
        == 0
    )
    await agrees(city)


async def test_what_is_retained_comes_back_with_a_later_hop(city: City, hospital: Hospital) -> None:
    """The yearly review of what single hops were retained: nothing before they are paid; more than the hop itself."""
    await city.agree(city.county(1), retention_permille=100)
    (case_id,) = await month(city, hospital, 90_000)
    agency = city.county(1)
    (payment,) = await proposed(city, agency, case_id)
    with pytest.raises(Refused) as early:
        await released(city, hospital, "0.9")
    await approved(city, payment)
    review = await decide(city, await released(city, hospital, "0.9"))

    (later,) = await month(city, hospital, 10_000)
    (second,) = await proposed(city, agency, later)
    await agrees(city)
    await approved(city, second)

    assert [r.code for r in early.value.refusals] == ["settlement.retention-unsettled"]
    assert (review.amount_fen, review.kept_fen) == (8_100, 900)
    assert (payment.amount_fen, second.amount_fen) == (81_000, 10_000 - 1_000 + 8_100)
    assert await set_offs(city, second) == [("retention", 1_000), ("retention_release", 8_100)]
    assert await city.balances(*KEPT, *OWED) == {
        (agency, "retention_held", hospital.code): -1_000,
        (hospital.code, "retention_due", agency): 1_000,
        (agency, "deductions", hospital.code): -900,
        (hospital.code, "deductions", agency): 900,
    }
    await agrees(city)


async def test_a_year_is_that_of_the_day_in_china(city: City, hospital: Hospital) -> None:
    """What was set off on New Year's Eve at 16:30 UTC is of the new year there."""
    await city.agree(city.county(1), retention_permille=100)
    (case_id,) = await month(city, hospital, 90_000)
    eve = NOW.replace(month=12, day=31, hour=16, minute=30)
    await approved(city, *await proposed(city, city.county(1), case_id, now=eve), now=eve)

    with pytest.raises(Refused) as refused:
        await released(city, hospital, "1", NEXT_YEAR + timedelta(days=400))

    assert [r.code for r in refused.value.refusals] == ["settlement.retention-nothing"]


async def test_of_what_a_facility_gives_back_nothing_is_kept(city: City, hospital: Hospital) -> None:
    await city.agree(city.county(1), retention_permille=100)
    bill = hospital.bill(city.county(2), fund_fen=50_000, account_fen=0)
    (case_id,) = (await city.confirmed(hospital, bill)).values()
    for payer in (city.county(2), city.code, city.county(1)):
        await approved(city, *await proposed(city, payer, case_id))
    deduction = await deducted(city, hospital, 1_000)
    hospital.month = "2026-09"
    (negative,) = (
        await city.confirmed(hospital, hospital.reversal(bill, settled_at=bill.settled_at - timedelta(days=30)))
    ).values()
    for payer in (hospital.code, city.county(1), city.code):
        (payment,) = await proposed(city, payer, negative)
        assert payment.amount_fen == 50_000
        await approved(city, payment)

    assert await left(city, deduction) == 1_000
    assert await city.states(negative) == ["closed"]
    assert await city.balances(*KEPT) == {
        (city.county(1), "retention_held", hospital.code): -5_000,
        (hospital.code, "retention_due", city.county(1)): 5_000,
    }, "what was retained of the bill stays until the review"
    await agrees(city)


async def test_two_at_once_take_a_deduction_once(city: City, hospital: Hospital) -> None:
    """Whoever comes second waits for the first, and finds what that left."""
    deduction = await deducted(city, hospital, 7_000)
    one, two = await month(city, hospital, 5_000, 20_000)
    agency = city.county(1)

    async with city.books.database.transaction() as tx:
        first = (await payments.propose(city.parts, tx, finance(agency), [one], NOW))[one]
        second = asyncio.create_task(proposed(city, agency, two))
        await waits(city.books, "pg_advisory_xact_lock")
    (later,) = await second

    assert isinstance(first, Payment)
    assert (first.amount_fen, later.amount_fen, await left(city, deduction)) == (0, 18_000, 0)
    await agrees(city)


async def test_a_cycle_and_a_hop_share_what_waits(city: City, hospital: Hospital) -> None:
    deduction = await deducted(city, hospital, 50_000)
    (one,) = await month(city, hospital, 30_000)
    (payment,) = await proposed(city, city.county(1), one)
    hospital.month = "2026-06"
    (two,) = (await city.confirmed(hospital, hospital.bill(city.county(2), fund_fen=30_000, account_fen=0))).values()
    cycle = await city.cut()
    position = (await city.positions(cycle))[city.county(1), hospital.code]

    assert (payment.amount_fen, position.amount_fen, await left(city, deduction)) == (0, 10_000, 0)
    await approved(city, payment)
    await city.pay_all(cycle)
    assert await city.states(one, two) == ["closed", "closed"]
    await agrees(city)


# Through the bank

CARE, CITY, HOME = "411327", "411300", "411329"
"""Two counties of Nanyang in no other test's way: the one of care pays by bank and retains, the others record."""
TERMS = """
    INSERT INTO region_terms (region, valid_from, reason, state, proposed_by, proposed_at, decided_by, decided_at,
        payment_way, retention_permille)
    SELECT $1, $2, 'test', 'approved', 'a', now(), 'b', now(), 'bank', 50
    WHERE NOT EXISTS (SELECT FROM region_terms WHERE region = $1)
"""


@pytest.fixture
async def last_hop(books: Books, owner: Owner, act_as: ActAs, counter: Counter) -> tuple[Month, str]:
    """A month of 1,700.00 yuan that has reached its care agency, and a deduction of 15.00 that waits."""
    await owner.execute(TERMS, CARE, counter.today - timedelta(days=1))
    made = Hospital(region=CARE)
    bills = [made.bill(HOME), made.bill(HOME)]
    await books.hear(made.changed(), *bills)
    await submit(act_as("facility", made.code), made, [*bills])
    own = Month(act_as, made)
    (found,) = await own.cases()
    await own.confirm(found)
    for payer in (HOME, CITY):
        await own.pay(found, payer)
    for party in (CARE, made.code):
        await counter.open_account(party, CARE)
    body = {"facility_code": made.code, "amount_fen": 1_500, "reason": "超标准收费"}
    deduction = (await counter.officer(CARE).post("/v1/withholdings", body)).json()
    await counter.officer(CARE, "other").post(f"/v1/withholdings/{deduction['withholding_id']}/approval")
    return own, found["case_id"]


async def test_the_bank_refuses_then_pays_in_parts_what_is_left(
    books: Books, counter: Counter, last_hop: tuple[Month, str], act_as: ActAs
) -> None:
    """The order is over what is left of the hop; its repetition too, and nothing is set off a second time."""
    own, case_id = last_hop
    code = own.hospital.code
    payment = (await counter.finance(CARE).post("/v1/payments", {"case_id": case_id})).json()
    path = f"/v1/payments/{payment['payment_id']}"
    await counter.finance(CARE, "two").post(f"{path}/approval")
    await counter.send()
    counter.bank(fates={payment["order_id"]: small_bank.REJECTED}).answer()
    await counter.receive()
    refused = await counter.order(payment["order_id"], CARE)
    again = (await counter.finance(CARE, "three").post(f"/v1/orders/{payment['order_id']}/repeat")).json()
    await counter.finance(CARE, "two").post("/v1/order-approvals", {"order_ids": [again["order_id"]]})
    await counter.send()
    counter.report(CARE, counter.entry(again["order_id"], 100_000))
    await counter.receive()
    halfway = [await counter.balance(code, kind) for kind in ("receivable", *KEPT)]
    counter.report(CARE, counter.entry(again["order_id"], 60_000))
    await counter.receive()

    assert (payment["amount_fen"], payment["withheld_fen"]) == (160_000, 10_000)
    assert (refused["state"], refused["amount_fen"], refused["withheld_fen"]) == ("rejected", 160_000, 10_000)
    assert (again["amount_fen"], again["debt_fen"], again["withheld_fen"]) == (160_000, 160_000, 10_000)
    assert halfway == [170_000, 0, 0, 0]
    assert [await counter.balance(code, kind) for kind in ("receivable", *KEPT)] == [0, 0, 8_500, 1_500]
    assert await counter.balance(code, "bank") == 160_000
    facility, stranger = act_as("facility", code), act_as("officer", "411602")
    set_offs = (await facility.get(f"{path}/set-offs")).json()["items"]
    assert [(s["kind"], s["amount_fen"], s["payment_id"], s["position_id"]) for s in set_offs] == [
        ("retention", 8_500, payment["payment_id"], None),
        ("deduction", 1_500, payment["payment_id"], None),
    ]
    first = (await facility.get(f"{path}/set-offs", limit=1)).json()
    assert (await facility.get(f"{path}/set-offs", limit=1, cursor=first["next_cursor"])).json()["items"] == set_offs[
        1:
    ]
    assert codes(await stranger.get(f"{path}/set-offs")) == ["auth.not-your-area"]
    assert (await facility.get(f"/v1/set-offs/{set_offs[0]['set_off_id']}")).json() == set_offs[0]
    entries = (await facility.get(f"/v1/books/{code}/entries", case_id=case_id, account_kind="receivable")).json()
    assert sorted(e["amount_fen"] for e in entries["items"]) == [-160_000, -8_500, -1_500, 85_000, 85_000]
    assert (await own.case(case_id))["state"] == "closed"
    booked = await books.rows("SELECT DISTINCT transaction_id FROM ledger_entry WHERE book = $1", code)
    async with books.database.read() as reader:
        assert await invariant_store.violations(reader, [row["transaction_id"] for row in booked]) == []


# What is cheated is found


CHEATS = [
    ("UPDATE set_off SET amount_fen = amount_fen + 1 WHERE payment_id = $1", {"payments_off", "withholdings_off"}),
    (
        "UPDATE ledger_entry SET account_kind = 'deductions' WHERE account_kind = 'retention_due'"
        " AND book = (SELECT payee FROM payment WHERE payment_id = $1)",
        {"withholdings_off"},
    ),
    ("DELETE FROM set_off WHERE payment_id = $1", {"payments_off", "withholdings_off"}),
    ("UPDATE payment SET amount_fen = amount_fen - 1 WHERE payment_id = $1", {"payments_off"}),
]
TABLES = ("ledger_entry", "ledger_transaction", "set_off", "payment", "withholding")


@pytest.mark.parametrize(("cheat", "expected"), CHEATS)
async def test_the_proof_finds_what_does_not_agree(
    city: City, hospital: Hospital, owner: Owner, cheat: str, expected: set[str]
) -> None:
    await city.agree(city.county(1), retention_permille=100)
    (case_id,) = await month(city, hospital, 90_000)
    (payment,) = await proposed(city, city.county(1), case_id)
    await approved(city, payment)

    transaction = owner.transaction()
    await transaction.start()
    try:
        for table in TABLES:
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        before = await off(owner)
        await owner.execute(cheat, payment.payment_id)
        after = await off(owner)
    finally:
        await transaction.rollback()

    assert before == set()
    assert after == expected


async def off(owner: Owner) -> set[str]:
    """What of the proof does not agree, of payments and what is withheld of them."""
    cases = await proving.prove_cases(owner)  # type: ignore[arg-type]
    clearing = await reading.prove_clearing(owner)  # type: ignore[arg-type]
    named = {
        "payments_off": cases.payments_off,
        "payments_unbooked": cases.payments_unbooked,
        "withholdings_off": clearing.withholdings_off,
    }
    return {name for name, count in named.items() if count}


@pytest.mark.parametrize(
    "cheat",
    [
        "UPDATE ledger_entry SET amount_fen = amount_fen * 2 WHERE transaction_id = $1",
        "UPDATE ledger_entry SET amount_fen = -amount_fen WHERE transaction_id = $1",
        "UPDATE ledger_entry SET account_kind = 'clearing' WHERE transaction_id = $1 AND account_kind = 'payable'",
        "UPDATE ledger_transaction SET case_id = NULL WHERE transaction_id = $1",
        "UPDATE payment SET paid_at = NULL, approved_by = NULL"
        " WHERE payment_id = (SELECT payment_id FROM set_off WHERE set_off_id = $1)",
    ],
)
async def test_each_cheat_in_the_ledger_is_found(city: City, hospital: Hospital, owner: Owner, cheat: str) -> None:
    await city.agree(city.county(1), retention_permille=100)
    (case_id,) = await month(city, hospital, 90_000)
    await approved(city, *await proposed(city, city.county(1), case_id))
    query = "SELECT transaction_id FROM ledger_entry WHERE book = $1 AND account_kind = 'retention_due'"

    transaction = owner.transaction()
    await transaction.start()
    try:
        for table in TABLES:
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        set_off_id = await owner.fetchval(query, hospital.code)
        before = await invariant_store.violations(owner, [set_off_id])  # type: ignore[arg-type]
        await owner.execute(cheat, set_off_id)
        found = await invariant_store.violations(owner, [set_off_id])  # type: ignore[arg-type]
    finally:
        await transaction.rollback()

    assert before == []
    assert Invariant.WITHHOLDING_IS_BOOKED in {v.invariant for v in found}


INSERT = """
    INSERT INTO payment (payment_id, case_id, hop_no, payer, payee, amount_fen, proposed_by, proposed_at)
    SELECT $1, case_id, hop_no, payer, payee, amount_fen - $3, 'x', now() FROM hop
    WHERE case_id = $2 AND hop_no = $4
"""
SET_OFF = """
    INSERT INTO set_off (set_off_id, payment_id, kind, amount_fen, made_at) VALUES ($1, $1, 'retention', $2, now())
"""


async def pay_otherwise(owner: Owner, case_id: str, hop_no: int, less_fen: int, withheld_fen: int) -> None:
    """A payment that somebody writes into the database: of a hop, less something, so much being set off."""
    payment_id = new_id()
    async with owner.transaction():
        await owner.execute("ALTER TABLE payment DROP CONSTRAINT payment_once")
        await owner.execute(INSERT, payment_id, case_id, less_fen, hop_no)
        if withheld_fen:
            await owner.execute(SET_OFF, payment_id, withheld_fen)


@pytest.mark.parametrize(
    ("hop_no", "less_fen", "withheld_fen", "constraint"),
    [(3, 1, 0, "payment_adds_up"), (3, 0, 1, "payment_adds_up"), (2, 1, 1, "payment_withheld")],
)
async def test_the_database_refuses_a_payment_that_does_not_add_up(
    city: City, hospital: Hospital, owner: Owner, hop_no: int, less_fen: int, withheld_fen: int, constraint: str
) -> None:
    (case_id,) = await month(city, hospital, 40_000)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await pay_otherwise(owner, case_id, hop_no, less_fen, withheld_fen)
    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize(
    "change", ["payment_id = NULL", "payment_id = 'x'", "amount_fen = 1", "reversal_id = set_off_id"]
)
async def test_the_database_keeps_what_is_set_off(city: City, hospital: Hospital, owner: Owner, change: str) -> None:
    await city.agree(city.county(1), retention_permille=100)
    (case_id,) = await month(city, hospital, 40_000)
    (payment,) = await proposed(city, city.county(1), case_id)
    with pytest.raises((asyncpg.RestrictViolationError, asyncpg.CheckViolationError)):
        await owner.execute(f"UPDATE set_off SET {change} WHERE payment_id = $1", payment.payment_id)
