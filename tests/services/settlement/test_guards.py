"""The database repeats the rules: every guard is seen to refuse, to the schema's owner as well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from shared.events import new_id
from tests.services.settlement.fixtures import Owner
from tests.services.settlement.world import CHAIN, HUAIYANG, ZHOUKOU, Books, Hospital


@pytest.fixture(autouse=True)
async def rolled_back(owner: Owner) -> AsyncIterator[None]:
    """Whatever the guards let through is undone, so that the books of all tests stay provable."""
    transaction = owner.transaction()
    await transaction.start()
    yield
    await transaction.rollback()


async def refusal(owner: Owner, query: str, *arguments: object) -> asyncpg.PostgresError:
    """How the database refuses, at the statement or at the commit."""
    try:
        async with owner.transaction():
            await owner.execute(query, *arguments)
            await owner.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except asyncpg.PostgresError as refused:
        return refused
    pytest.fail(f"the database let it through: {query}")


@pytest.fixture
async def hospital(books: Books, hospital: Hospital) -> Hospital:
    """A facility with one booked bill."""
    await books.hear(hospital.bill())
    return hospital


async def booked(books: Books, hospital: Hospital) -> tuple[str, str]:
    """The bill's settlement and case."""
    (row,) = await books.rows("SELECT settlement_id, case_id FROM bill WHERE facility_code = $1", hospital.code)
    return row["settlement_id"], row["case_id"]


WRITTEN_ONCE = (
    "bill",
    "ledger_transaction",
    "ledger_entry",
    "case_step",
    "confirmation",
    "statement_line",
    "statement_class",
    "difference",
)


@pytest.mark.parametrize("table", WRITTEN_ONCE)
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = NULL", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_what_is_written_stands(owner: Owner, hospital: Hospital, table: str, change: str) -> None:
    column = await owner.fetchval(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'settlement' AND table_name = $1"
        " ORDER BY ordinal_position DESC LIMIT 1",
        table,
    )

    assert isinstance(await refusal(owner, change.format(table, column)), asyncpg.RestrictViolationError)


ENTRY = """
    INSERT INTO ledger_entry (transaction_id, line_no, book, account_kind, counterparty, fund_pay_type, amount_fen)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def test_entry_without_its_other_end_is_refused(owner: Owner, books: Books, hospital: Hospital) -> None:
    settlement_id, _ = await booked(books, hospital)

    refused = await refusal(owner, ENTRY, settlement_id, 99, HUAIYANG, "bank", "", "", 1)
    assert refused.constraint_name == "ledger_entry_balance"


async def test_other_end_in_another_book_is_refused(owner: Owner, books: Books, hospital: Hospital) -> None:
    settlement_id, _ = await booked(books, hospital)
    two_books = ENTRY + f", ($1, $2 + 1, '{ZHOUKOU}', $4, $5, $6, -$7::bigint)"

    refused = await refusal(owner, two_books, settlement_id, 98, HUAIYANG, "bank", "", "", 1)
    assert refused.constraint_name == "ledger_entry_balance"


async def test_entries_of_no_transaction_are_refused(owner: Owner, hospital: Hospital) -> None:
    both_ends = ENTRY + ", ($1, $2 + 1, $3, 'medical_income', $5, $6, -$7::bigint)"

    refused = await refusal(owner, both_ends, new_id(), 1, hospital.code, "bank", "", "", 1)
    assert refused.constraint_name == "ledger_entry_transaction"


@pytest.mark.parametrize(
    ("kind", "counterparty", "fund_pay_type", "amount_fen", "constraint"),
    [
        ("bank", "", "", 0, "ledger_entry_amount"),
        ("gold", "", "", 1, "ledger_entry_kind"),
        ("receivable", "", "", 1, "ledger_entry_counterparty"),
        ("bank", HUAIYANG, "", 1, "ledger_entry_counterparty"),
        ("fund_expenditure", "", "", 1, "ledger_entry_fund"),
        ("bank", "", "390100", 1, "ledger_entry_fund"),
    ],
)
async def test_entries_have_the_form_of_their_account(
    owner: Owner,
    books: Books,
    hospital: Hospital,
    kind: str,
    counterparty: str,
    fund_pay_type: str,
    amount_fen: int,
    constraint: str,
) -> None:
    settlement_id, _ = await booked(books, hospital)

    refused = await refusal(owner, ENTRY, settlement_id, 97, HUAIYANG, kind, counterparty, fund_pay_type, amount_fen)
    assert refused.constraint_name == constraint


TRANSACTION = """
    INSERT INTO ledger_transaction (transaction_id, kind, case_id, period, value_date, booked_at)
    VALUES ($1, 'bill', $2, '2026-10', '2026-10-15', now())
"""


async def test_transaction_without_entries_is_refused_at_the_commit(
    owner: Owner, books: Books, hospital: Hospital
) -> None:
    _, case_id = await booked(books, hospital)

    refused = await refusal(owner, TRANSACTION, new_id(), case_id)
    assert refused.constraint_name == "ledger_transaction_balance"


async def test_imbalance_that_slips_past_the_first_guard_is_refused_at_the_commit(
    owner: Owner, books: Books, hospital: Hospital
) -> None:
    """With the statement's guard switched off, the commit's guard still stands."""
    _, case_id = await booked(books, hospital)
    transaction_id = new_id()
    await owner.execute("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_balance")
    await owner.execute(TRANSACTION, transaction_id, case_id)
    await owner.execute(ENTRY, transaction_id, 1, HUAIYANG, "bank", "", "", 1)

    refused = await refusal(owner, "SET CONSTRAINTS ALL IMMEDIATE")
    assert refused.constraint_name == "ledger_transaction_balance"


BILL = """
    INSERT INTO bill (settlement_id, case_id, visit_id, person_id, facility_code, facility_settlement_no, care_region,
        home_region, insutype, med_type, clr_type, refund, settled_at, settled_period, period, total_fen, fund_fen,
        account_fen, cash_fen, hospital_fen, payable_fen, booked_at)
    SELECT $1, case_id, visit_id, person_id, facility_code, $1, care_region, coalesce($2, home_region), insutype,
        med_type, clr_type, refund, settled_at, coalesce($3, settled_period), period, total_fen, fund_fen + $4,
        account_fen, cash_fen, hospital_fen, payable_fen + $5, now()
    FROM bill WHERE settlement_id = $6
"""


@pytest.mark.parametrize(
    ("home", "settled_period", "fund_off", "payable_off", "constraint"),
    [
        (None, None, 1, 1, "bill_total"),
        (None, None, 0, 1, "bill_payable"),
        (None, "2999-12", 0, 0, "bill_period"),
        (HUAIYANG, None, 0, 0, "bill_case_fits"),
    ],
)
async def test_bills_that_do_not_fit_are_refused(
    owner: Owner,
    books: Books,
    hospital: Hospital,
    home: str | None,
    settled_period: str | None,
    fund_off: int,
    payable_off: int,
    constraint: str,
) -> None:
    settlement_id, _ = await booked(books, hospital)

    refused = await refusal(owner, BILL, new_id(), home, settled_period, fund_off, payable_off, settlement_id)
    assert refused.constraint_name == constraint


async def test_confirmed_month_takes_no_bill(owner: Owner, books: Books, hospital: Hospital) -> None:
    settlement_id, _ = await booked(books, hospital)
    await owner.execute("UPDATE facility_month SET confirmed = true WHERE facility_code = $1", hospital.code)

    refused = await refusal(owner, BILL, new_id(), None, None, 0, 0, settlement_id)
    assert refused.constraint_name == "bill_month_open"


async def test_one_settlement_is_one_bill_and_one_transaction(owner: Owner, books: Books, hospital: Hospital) -> None:
    settlement_id, case_id = await booked(books, hospital)

    refused = await refusal(owner, BILL, settlement_id, None, None, 0, 0, settlement_id)
    assert refused.constraint_name == "bill_pkey"
    refused = await refusal(owner, TRANSACTION, settlement_id, case_id)
    assert refused.constraint_name == "ledger_transaction_pkey"


NUMBERS = (
    "bill_count = 1, total_fen = 100000, fund_fen = 80000, account_fen = 5000, payable_fen = 85000, numbers_hash = 'h'"
)


async def reconciled(owner: Owner, case_id: str) -> None:
    """Give a case numbers and a hop, as if all had confirmed it."""
    await owner.execute(f"UPDATE settlement_case SET state = 'confirmed', {NUMBERS} WHERE case_id = $1", case_id)
    await owner.execute("INSERT INTO hop VALUES ($1, 1, 'remittance', $2, $3, 85000, 'payable')", case_id, *CHAIN[1:])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE settlement_case SET payable_fen = 1, fund_fen = 1, account_fen = 0 WHERE case_id = $1",
        "UPDATE settlement_case SET numbers_hash = 'other' WHERE case_id = $1",
        "UPDATE settlement_case SET chain = chain WHERE case_id = $1",
        "UPDATE hop SET amount_fen = 1 WHERE case_id = $1",
        "UPDATE hop SET payer = payee WHERE case_id = $1",
        "DELETE FROM hop WHERE case_id = $1",
    ],
)
async def test_what_all_confirmed_stands(owner: Owner, books: Books, hospital: Hospital, change: str) -> None:
    _, case_id = await booked(books, hospital)
    await reconciled(owner, case_id)

    assert isinstance(await refusal(owner, change, case_id), asyncpg.RestrictViolationError)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("UPDATE settlement_case SET state = 'matched' WHERE case_id = $1", "settlement_case_numbers"),
        ("UPDATE settlement_case SET bill_count = 1 WHERE case_id = $1", "settlement_case_all_numbers"),
        ("UPDATE settlement_case SET chain = ARRAY['411681', '411600', '411603'] WHERE case_id = $1", "chain_ends"),
        ("UPDATE settlement_case SET clearing_region = '100000' WHERE case_id = $1", "chain_clearing"),
        (f"UPDATE settlement_case SET state = 'lost', {NUMBERS} WHERE case_id = $1", "settlement_case_state"),
    ],
)
async def test_cases_keep_their_form(
    owner: Owner, books: Books, hospital: Hospital, change: str, constraint: str
) -> None:
    _, case_id = await booked(books, hospital)

    refused = await refusal(owner, change, case_id)
    assert refused.constraint_name == constraint


PAYMENT = """
    INSERT INTO payment (payment_id, case_id, hop_no, payer, payee, amount_fen, proposed_by, proposed_at)
    VALUES ($1, $2, 1, $3, $4, 85000, 'one', now())
"""
NOW = datetime.now(UTC)


async def test_four_eyes_on_payments(owner: Owner, books: Books, hospital: Hospital) -> None:
    _, case_id = await booked(books, hospital)
    await reconciled(owner, case_id)
    payment_id = new_id()
    await owner.execute(PAYMENT, payment_id, case_id, *CHAIN[1:])

    approve = "UPDATE payment SET approved_by = $2, paid_at = $3 WHERE payment_id = $1"
    assert (await refusal(owner, approve, payment_id, "one", NOW)).constraint_name == "payment_four_eyes"
    assert (await refusal(owner, approve, payment_id, "two", None)).constraint_name == "payment_paid"
    change = "UPDATE payment SET amount_fen = 1 WHERE payment_id = $1"
    assert isinstance(await refusal(owner, change, payment_id), asyncpg.RestrictViolationError)
    assert (await refusal(owner, PAYMENT, new_id(), case_id, *CHAIN[1:])).constraint_name == "payment_once"


async def test_four_eyes_on_resolutions(owner: Owner, books: Books, hospital: Hospital) -> None:
    statement_id = new_id()
    await owner.execute(
        "INSERT INTO statement VALUES ($1, $2, $3, $4, 1, 'differences', 1, 'his', now(), current_date)",
        statement_id,
        hospital.code,
        hospital.region,
        hospital.month,
    )
    resolve = "INSERT INTO resolution VALUES ($1, 1, 'why', 'one', now(), 'one', now())"
    assert (await refusal(owner, resolve, statement_id)).constraint_name == "resolution_four_eyes"


async def test_other_services_see_nothing(books: Books) -> None:
    """The role of settlement reads its own schema only."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await books.rows("SELECT 1 FROM claims.settlement")
