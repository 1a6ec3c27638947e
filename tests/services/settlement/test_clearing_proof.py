"""Cycles and prepayments are watched and proven: each kind of cheating is found by what shares nothing with booking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.settlement.rules.chain import FindingKind
from services.settlement.rules.terms import Netting
from services.settlement.store import cycles as reading
from services.settlement.store import invariants as store
from services.settlement.store.books import PROOF_MIRROR
from services.settlement.store.invariants import Invariant
from tests.services.settlement.cycles import LATE, City
from tests.services.settlement.fixtures import Owner
from tests.services.settlement.test_chain import findings, sealed, undone
from tests.services.settlement.test_prepayments import lend
from tests.services.settlement.world import Books

TABLES = (
    "ledger_entry",
    "ledger_transaction",
    "clearing_position",
    "position_hop",
    "clearing_case",
    "prepayment_movement",
    "settlement_case",
)


@pytest.fixture
async def booked(books: Books) -> tuple[City, dict[str, str]]:
    """A city in which every kind of transaction was booked: clearing, its reversal, payment, top-up and draw."""
    city = City(books)
    await city.agree(city.code, netting=Netting.MULTILATERAL, unpaid_rule="prepayment")
    await lend(city, 2, 70_000)
    for amount_fen in (60_000, 50_000):
        hospital = city.hospital(1)
        bill = hospital.bill(city.county(2), fund_fen=amount_fen, account_fen=0)
        await city.confirmed(hospital, bill)
    cycle = await city.cut()
    await city.apply_rule((await city.positions(cycle))[city.county(2), city.code])
    await city.pay((await city.positions(cycle))[city.code, city.county(1)], LATE)
    rows = await books.rows(
        """SELECT DISTINCT ON (t.kind) t.kind, t.transaction_id FROM ledger_transaction t JOIN ledger_entry e
           USING (transaction_id) LEFT JOIN prepayment_movement m ON m.movement_id = t.transaction_id
           WHERE e.book LIKE $1 AND m.kind IS DISTINCT FROM 'top_up' ORDER BY t.kind, t.transaction_id DESC""",
        f"{city.code[:4]}%",
    )
    return city, {row["kind"]: row["transaction_id"] for row in rows}


async def violated(owner: Owner, ids: dict[str, str]) -> set[tuple[Invariant, str]]:
    """What does not hold of some transactions, as the owner sees them, by kind of transaction."""
    kinds = {transaction_id: kind for kind, transaction_id in ids.items()}
    found = await store.violations(owner, list(kinds))  # type: ignore[arg-type]
    return {(violation.invariant, kinds[violation.subject]) for violation in found}


@asynccontextmanager
async def unguarded(owner: Owner) -> AsyncIterator[None]:
    """The owner with all guards off; whatever happens is rolled back."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        for table in TABLES:
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
    finally:
        await transaction.rollback()


async def test_everything_holds(owner: Owner, booked: tuple[City, dict[str, str]]) -> None:
    _, ids = booked

    assert set(ids) == {"bill", "clearing", "clearing_reversal", "payment", "prepayment"}
    assert await violated(owner, ids) == set()


CLEARING, POSITION, PREPAYMENT = (
    Invariant.CLEARING_IS_BOOKED,
    Invariant.POSITION_IS_BOOKED,
    Invariant.PREPAYMENT_IS_BOOKED,
)
DOUBLE = "UPDATE ledger_entry SET amount_fen = amount_fen * 2 WHERE transaction_id = $1"


@pytest.mark.parametrize(
    ("cheat", "kind", "expected"),
    [
        (DOUBLE, "clearing", CLEARING),
        (DOUBLE, "clearing_reversal", CLEARING),
        ("UPDATE ledger_entry SET amount_fen = -amount_fen WHERE transaction_id = $1", "clearing", CLEARING),
        ("UPDATE clearing_case SET transaction_id = 'other' WHERE transaction_id = $1", "clearing", CLEARING),
        (
            "UPDATE clearing_case SET left_at = NULL, left_because = NULL, reversal_id = NULL WHERE reversal_id = $1",
            "clearing_reversal",
            CLEARING,
        ),
        (
            "DELETE FROM ledger_entry WHERE transaction_id = $1 AND book LIKE 'H%'",
            "clearing",
            CLEARING,
        ),
        (DOUBLE, "payment", POSITION),
        ("UPDATE clearing_position SET amount_fen = amount_fen + 1 WHERE position_id = $1", "payment", POSITION),
        (
            "UPDATE clearing_position SET state = 'open', settled_at = NULL, settled_by = NULL WHERE position_id = $1",
            "payment",
            POSITION,
        ),
        (DOUBLE, "prepayment", PREPAYMENT),
        (
            "UPDATE prepayment_movement SET amount_fen = amount_fen + 1 WHERE movement_id = $1",
            "prepayment",
            PREPAYMENT,
        ),
        (
            "UPDATE clearing_position SET settled_by = 'payment' WHERE position_id ="
            " (SELECT position_id FROM prepayment_movement WHERE movement_id = $1)",
            "prepayment",
            PREPAYMENT,
        ),
    ],
)
async def test_each_violation_is_found(
    owner: Owner, booked: tuple[City, dict[str, str]], cheat: str, kind: str, expected: Invariant
) -> None:
    _, ids = booked
    async with unguarded(owner):
        await owner.execute(cheat, ids[kind])
        found = await violated(owner, {kind: ids[kind]})

    assert (expected, kind) in found
    assert found <= {(expected, kind), (Invariant.NOTHING_OVERPAID, kind)}


@pytest.mark.parametrize(
    ("cheat", "expected"),
    [
        ("UPDATE position_hop SET amount_fen = amount_fen + 1 WHERE cycle_id = $1", {"positions_off"}),
        ("UPDATE position_hop SET live = false WHERE cycle_id = $1 AND live", {"positions_off"}),
        (
            "UPDATE clearing_case SET left_at = now(), left_because = 'x', reversal_id = case_id"
            " WHERE cycle_id = $1 AND left_at IS NULL",
            {"obligations_off"},
        ),
        (
            "UPDATE clearing_position SET state = 'open', settled_at = NULL, settled_by = NULL"
            " WHERE cycle_id = $1 AND state = 'settled'",
            {"clearing_off"},
        ),
        (
            "UPDATE prepayment_movement SET amount_fen = amount_fen + 1 WHERE position_id IN"
            " (SELECT position_id FROM clearing_position WHERE cycle_id = $1)",
            {"prepayments_off"},
        ),
    ],
)
async def test_the_proof_finds_what_does_not_add_up(
    owner: Owner, booked: tuple[City, dict[str, str]], cheat: str, expected: set[str]
) -> None:
    city, _ = booked
    query = "SELECT cycle_id FROM clearing_cycle WHERE clearing_region = $1"
    async with unguarded(owner):
        await owner.execute(cheat, await city.books.value(query, city.code))
        found = await reading.prove_clearing(owner)  # type: ignore[arg-type]

    assert {name for name in found.__slots__ if getattr(found, name)} == expected


@pytest.mark.parametrize("kind", ["clearing", "prepayment_held", "prepayment_lent"])
async def test_books_that_disagree_are_found(owner: Owner, booked: tuple[City, dict[str, str]], kind: str) -> None:
    """One end of what is cleared, or deposited, is of another amount."""
    city, _ = booked
    before = await owner.fetchval(PROOF_MIRROR)
    async with unguarded(owner):
        await owner.execute(
            "UPDATE ledger_entry SET amount_fen = amount_fen + 1 WHERE book = $1 AND account_kind = $2",
            city.county(2) if kind == "prepayment_lent" else city.code,
            kind,
        )
        found = await owner.fetchval(PROOF_MIRROR)

    assert (before, found > 0) == (0, True)


@pytest.mark.parametrize("kind", ["clearing", "clearing_reversal", "payment", "prepayment"])
async def test_the_chain_holds_what_cycles_book(
    books: Books, owner: Owner, booked: tuple[City, dict[str, str]], kind: str
) -> None:
    """Also what is of no case is sealed, and found when somebody edits it."""
    _, ids = booked
    await sealed(books)
    chained = "SELECT count(*) FROM ledger_chain WHERE transaction_id = ANY($1::text[])"
    assert await books.value(chained, list(ids.values())) == len(ids)
    subject = ids[kind]
    before = await findings(owner, books)
    async with undone(owner):
        case_id = await owner.fetchval("SELECT case_id FROM ledger_transaction WHERE transaction_id = $1", subject)
        other = ids["clearing"] if case_id is None else None
        if other is None:
            await owner.execute(
                "UPDATE ledger_transaction SET value_date = '2000-01-01' WHERE transaction_id = $1", subject
            )
        else:
            await owner.execute(
                "UPDATE ledger_transaction SET case_id ="
                " (SELECT case_id FROM ledger_transaction WHERE transaction_id = $2) WHERE transaction_id = $1",
                subject,
                other,
            )
        found = await findings(owner, books)

    assert found - before == {(FindingKind.TRANSACTION_CHANGED, subject)}
