"""The invariants are watched: each violation is found by a job that shares nothing with booking, and told loudly."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.settlement.config import SettlementSettings
from services.settlement.store import invariants as store
from services.settlement.store.invariants import Check, Invariant
from services.settlement.use_cases import invariants as watching
from services.settlement.use_cases.invariants import check_recent, check_whole
from services.settlement.use_cases.parts import Settlement
from shared.telemetry import Gauges
from shared.workdays import WorkCalendar
from tests.services.settlement.fixtures import ActAs, Owner
from tests.services.settlement.test_chain import sealed
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import HUAIYANG, REGIONS, XIANGCHENG, Books, Hospital

NOW = datetime.now(UTC)


def watched(books: Books, **settings: float) -> Settlement:
    """Settlement as the jobs get it."""
    chosen = SettlementSettings(**settings)  # type: ignore[arg-type]
    return Settlement(books.database, REGIONS, chosen, WorkCalendar(), books.ledger_key)


@pytest.fixture
async def paid(books: Books, hospital: Hospital, act_as: ActAs) -> tuple[str, str]:
    """A bill of which the first hop is paid, and that payment."""
    bill = hospital.bill()
    await books.hear(bill)
    await submit(act_as("facility", hospital.code), hospital, [bill])
    month = Month(act_as, hospital)
    (case,) = await month.cases()
    await month.confirm(case)
    await month.pay(case, XIANGCHENG)
    query = "SELECT payment_id FROM payment WHERE case_id = $1"
    return bill.settlement_id, await books.value(query, case["case_id"])


async def violated(owner: Owner, *transaction_ids: str) -> set[tuple[Invariant, str]]:
    """What does not hold of some transactions, as the owner sees them."""
    found = await store.violations(owner, transaction_ids)  # type: ignore[arg-type]
    return {(violation.invariant, violation.subject) for violation in found}


@asynccontextmanager
async def unguarded(owner: Owner) -> AsyncIterator[None]:
    """The owner with all guards off; whatever happens is rolled back."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        for table in ("ledger_entry", "ledger_transaction", "bill", "payment", "settlement_case"):
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
    finally:
        await transaction.rollback()


async def test_every_kind_of_bill_holds(books: Books, owner: Owner, hospital: Hospital) -> None:
    """Local, of the city, of another county, with and without fund, account and a payable; and reversals of them."""
    homes = (HUAIYANG, "411600", XIANGCHENG, "411302", "341702")
    bills = [hospital.bill(home) for home in homes]
    bills += [hospital.bill(fund_fen=0), hospital.bill(account_fen=0), hospital.bill(fund_fen=0, account_fen=0)]
    bills += [hospital.bill(fund_fen=500, account_fen=-500, cash_fen=0)]
    reversals = [hospital.reversal(bill) for bill in bills]
    await books.hear(*bills, *reversals)

    ids = [event.settlement_id for event in (*bills, *reversals)]
    assert await violated(owner, *ids) == set()
    booked = "SELECT count(*) FROM ledger_transaction WHERE transaction_id = ANY($1::text[])"
    assert await books.value(booked, ids) == len(ids) - 2, "what nobody owes has no entries"


async def test_a_paid_bill_holds(owner: Owner, paid: tuple[str, str]) -> None:
    assert await violated(owner, *paid) == set()


BALANCES, BILL, HOPS, PAYMENT, *_ = Invariant
OVERPAID = Invariant.NOTHING_OVERPAID
ENTRY = "UPDATE ledger_entry SET {} WHERE transaction_id = $1"


@pytest.mark.parametrize(
    ("cheat", "of_payment", "expected"),
    [
        pytest.param(
            ENTRY.format("amount_fen = amount_fen + 1") + " AND account_kind = 'receivable' AND book LIKE 'H%'",
            False,
            {BALANCES, BILL, HOPS},
            id="one end of one entry",
        ),
        pytest.param(ENTRY.format("amount_fen = amount_fen * 2"), False, {BILL, HOPS}, id="a whole bill doubled"),
        pytest.param(
            ENTRY.format("amount_fen = amount_fen * 2") + " AND book = '411603'", False, {HOPS}, id="one hop doubled"
        ),
        pytest.param(
            ENTRY.format("counterparty = '411602'") + " AND book = '411603' AND account_kind = 'receivable'",
            False,
            {HOPS},
            id="owed by a stranger",
        ),
        pytest.param("DELETE FROM ledger_entry WHERE transaction_id = $1 AND book = '411603'", False, {HOPS}, id="gap"),
        pytest.param("DELETE FROM bill WHERE settlement_id = $1", False, {BILL}, id="a transaction without its bill"),
        pytest.param(
            "UPDATE bill SET fund_fen = fund_fen + 1, total_fen = total_fen + 1, payable_fen = payable_fen + 1"
            " WHERE settlement_id = $1",
            False,
            {BILL, HOPS},
            id="a bill that was raised",
        ),
        pytest.param(ENTRY.format("amount_fen = amount_fen * 2"), True, {PAYMENT, OVERPAID}, id="paid twice"),
        pytest.param(ENTRY.format("amount_fen = -amount_fen"), True, {PAYMENT, OVERPAID}, id="paid backwards"),
        pytest.param(
            "UPDATE payment SET amount_fen = amount_fen + 1 WHERE payment_id = $1",
            True,
            {PAYMENT},
            id="document raised",
        ),
        pytest.param(
            "UPDATE payment SET paid_at = NULL, approved_by = NULL WHERE payment_id = $1",
            True,
            {PAYMENT},
            id="paid without approval",
        ),
        pytest.param(
            "UPDATE settlement_case SET state = 'matched' WHERE case_id ="
            " (SELECT case_id FROM payment WHERE payment_id = $1)",
            True,
            {PAYMENT},
            id="paid without confirmation",
        ),
    ],
)
async def test_each_violation_is_found(
    owner: Owner, paid: tuple[str, str], cheat: str, of_payment: bool, expected: set[Invariant]
) -> None:
    subject = paid[of_payment]
    async with unguarded(owner):
        await owner.execute(cheat, subject)
        found = await violated(owner, *paid)

    assert found == {(invariant, subject) for invariant in expected}


async def test_who_paid_what_nobody_owed_is_found_by_its_payment(owner: Owner, paid: tuple[str, str]) -> None:
    """The bill's receivable was moved away after it was paid."""
    async with unguarded(owner):
        await owner.execute("DELETE FROM ledger_entry WHERE transaction_id = $1", paid[0])
        found = await violated(owner, paid[1])

    assert found == {(OVERPAID, paid[1])}


# The jobs


async def last(books: Books, scope: str) -> Check:
    """How the last check of a scope ended."""
    async with books.database.read() as reader:
        return (await store.checks(reader))[scope]


async def recent(books: Books, gauges: Gauges) -> Check:
    """A round of the recent check that is ours: the running service may be at it."""
    for _ in range(50):
        await check_recent(watched(books), lambda: NOW, gauges)
        head = await sealed(books)
        found = await last(books, "recent")
        if found.chain_no == head.chain_no:
            return found
    pytest.fail("the check does not catch up")


async def test_the_recent_check_follows_the_chain(books: Books, hospital: Hospital) -> None:
    gauges = Gauges()
    before = await recent(books, gauges)
    await books.hear(*(hospital.bill() for _ in range(7)))
    await sealed(books)
    after = await recent(books, gauges)

    assert after.chain_no >= before.chain_no + 7
    assert (before.violations, after.violations) == (0, 0)


async def test_a_violation_stays_until_it_is_gone(
    books: Books, owner: Owner, hospital: Hospital, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said loudly at every look, although nothing new was sealed; then once more it is well."""
    bill = hospital.bill(HUAIYANG)
    await books.hear(bill)
    await sealed(books)
    double, halve = ENTRY.format("amount_fen = amount_fen * 2"), ENTRY.format("amount_fen = amount_fen / 2")
    async with unguarded(owner):
        number = await owner.fetchval("SELECT chain_no FROM ledger_chain WHERE transaction_id = $1", bill.settlement_id)
        await store.save(owner, Check("recent", NOW, 0.0, number - 1, 0, 0, []))  # type: ignore[arg-type]
        for change, expected in ((double, {BILL, HOPS}), ("SELECT $1", {BILL, HOPS}), (halve, set())):
            await owner.execute(change, bill.settlement_id)
            with caplog.at_level(logging.CRITICAL):
                check, _ = await watching._recent(owner, SettlementSettings(invariants_batch_max=100), NOW)  # type: ignore[arg-type]
                watching._tell(check, Gauges())
            await store.save(owner, check)  # type: ignore[arg-type]
            assert {violation.invariant for violation in check.findings} == expected
            assert check.violations == len(expected)

    said = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert len(said) == 2
    named = said[1].fields["findings"]  # type: ignore[attr-defined]
    assert {line.partition(":")[0] for line in named} == {f"{kind} {bill.settlement_id}" for kind in (BILL, HOPS)}


async def test_the_whole_is_checked_now_and_then(books: Books, owner: Owner, hospital: Hospital) -> None:
    await books.hear(hospital.bill())
    head = await sealed(books)
    await owner.execute("DELETE FROM invariant_check WHERE scope = 'whole'")
    parts = watched(books, invariants_batch_max=50, invariants_whole_every_s=3600)
    for _ in range(50):
        await check_whole(parts, lambda: NOW, Gauges())
        if await books.value("SELECT count(*) FROM invariant_check WHERE scope = 'whole'"):
            break
    first = await last(books, "whole")
    await check_whole(parts, lambda: first.checked_at + timedelta(minutes=59), Gauges())
    too_soon = await last(books, "whole")
    later = first.checked_at + timedelta(minutes=61)
    await check_whole(parts, lambda: later, Gauges())
    again = await last(books, "whole")
    await owner.execute("DELETE FROM invariant_check WHERE scope = 'whole'")

    assert (first.violations, first.findings) == (0, [])
    assert first.transactions == first.chain_no >= head.chain_no
    assert (too_soon.checked_at, again.checked_at) == (first.checked_at, later)


async def test_the_last_result_is_shown(books: Books, hospital: Hospital, act_as: ActAs) -> None:
    await books.hear(hospital.bill())
    await sealed(books)
    await recent(books, Gauges())

    shown = (await act_as("operator", "operations").get("/v1/invariants")).json()

    assert shown["holds"] is True
    assert "recent" in {check["scope"] for check in shown["checks"]}
    hash_at = await books.value("SELECT encode(hash, 'hex') FROM ledger_chain WHERE chain_no = $1", shown["chain_no"])
    assert shown["head"] == hash_at
    assert codes(await act_as("officer", HUAIYANG).get("/v1/invariants")) == ["auth.role-not-allowed"]


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("scope = 'other'", "invariant_check_scope"),
        ("violations = -1", "invariant_check_numbers"),
        ("took_s = -1", "invariant_check_took"),
    ],
)
async def test_the_record_of_a_check_has_its_form(books: Books, owner: Owner, change: str, constraint: str) -> None:
    await recent(books, Gauges())
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await owner.execute(f"UPDATE invariant_check SET {change}")
    assert refused.value.constraint_name == constraint
