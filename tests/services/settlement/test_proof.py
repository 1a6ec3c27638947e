"""The proof is seen to fail: for each identity alone, and in the database when somebody with its rights cheats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from services.settlement.store import books as store
from services.settlement.store.books import BillProof, CaseProof, LedgerProof, ReversalPair
from services.settlement.store.cycles import ClearingProof
from services.settlement.use_cases.proof import Proof
from shared.database import Connection
from tests.services.settlement.fixtures import Owner
from tests.services.settlement.world import HUAIYANG, Books, Hospital

HOLDING = Proof(
    ledger=LedgerProof(9, 0, 3, 700, 700, 0, 0),
    books=[],
    bills=BillProof(2, 1, 1000, 600, 100, 700, 700, 700, 0),
    cases=CaseProof(0, 0, 0, 0, 0, 0, 300, 300),
    clearing=ClearingProof(0, 0, 0, 0, 0),
    case_states={},
    mirror_off=0,
    classes_off=0,
    unknown_reversals=[ReversalPair("r", "not here yet")],
    unequal_reversals=[],
)


def test_proof_holds_while_a_reversal_waits_for_its_settlement() -> None:
    assert HOLDING.holds


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("ledger", {"sum_fen": 1}),
        ("ledger", {"payable_fen": 1}),
        ("ledger", {"books_off": 1}),
        ("ledger", {"transactions_off": 1}),
        ("bills", {"borne_fen": 1}),
        ("bills", {"income_fen": 1}),
        ("bills", {"unbooked": 1}),
        ("cases", {"numbers_off": 1}),
        ("cases", {"confirmations_off": 1}),
        ("cases", {"hops_off": 1}),
        ("cases", {"chains_off": 1}),
        ("cases", {"payments_off": 1}),
        ("cases", {"payments_unbooked": 1}),
        ("cases", {"received_fen": 1}),
        ("clearing", {"positions_off": 1}),
        ("clearing", {"obligations_off": 1}),
        ("clearing", {"clearing_off": 1}),
        ("clearing", {"prepayments_off": 1}),
        ("clearing", {"withholdings_off": 1}),
        (None, {"mirror_off": 1}),
        (None, {"classes_off": 1}),
        (None, {"unequal_reversals": [ReversalPair("r", "s")]}),
    ],
)
def test_each_identity_alone_breaks_the_proof(part: str | None, changes: dict[str, Any]) -> None:
    broken = replace(HOLDING, **({part: replace(getattr(HOLDING, part), **changes)} if part else changes))

    assert not broken.holds


async def test_reversal_that_is_no_mirror_is_named(books: Books, hospital: Hospital) -> None:
    """The one thing the database cannot refuse: two bills, each right in itself, that do not belong together."""
    bill, other = hospital.bill(), hospital.bill(fund_fen=1)
    crooked = hospital.reversal(other, reverses_settlement_id=bill.settlement_id)

    async with books.database.read() as reader:
        transaction = reader.transaction()
        await transaction.start()
        await books.hear_in(reader, bill, crooked)
        found = await store.unequal_reversals(reader)
        await transaction.rollback()

    assert crooked.settlement_id in {pair.settlement_id for pair in found}


async def _ledger(tx: Connection) -> tuple[int, int, int]:
    proof = await store.prove_ledger(tx)
    return proof.sum_fen, proof.books_off, proof.transactions_off


async def _bills(tx: Connection) -> int:
    return (await store.prove_bills(tx)).unbooked


async def _numbers(tx: Connection) -> int:
    return (await store.prove_cases(tx)).numbers_off


LOST_LINE = "DELETE FROM ledger_entry WHERE book = $1 AND account_kind = 'receivable'"
FORGED_LINE = """
    INSERT INTO ledger_entry
    SELECT transaction_id, 99, book, 'bank', '', '', 1 FROM ledger_entry WHERE book = $1 LIMIT 1
"""
FORGED_PAIR = """
    INSERT INTO ledger_entry
    SELECT transaction_id, 90 + n, book, CASE n WHEN 1 THEN 'bank' ELSE 'receivable' END,
        CASE n WHEN 1 THEN '' ELSE '411603' END, '', CASE n WHEN 1 THEN 1 ELSE -1 END
    FROM ledger_entry CROSS JOIN generate_series(1, 2) AS n WHERE book = $1 AND line_no = 1
"""
LOST_TRANSACTION = """
    DELETE FROM ledger_transaction t USING bill b WHERE b.settlement_id = t.transaction_id AND b.facility_code = $1
"""
OTHER_NUMBERS = """
    UPDATE settlement_case SET state = 'matched', bill_count = 2, total_fen = 1, fund_fen = 1, account_fen = 0,
        payable_fen = 1, numbers_hash = 'h' WHERE facility_code = $1
"""


@pytest.mark.parametrize(
    ("table", "cheat", "seen_by", "expected"),
    [
        ("ledger_entry", LOST_LINE, _ledger, (-85_000, 1, 1)),
        ("ledger_entry", FORGED_LINE, _ledger, (1, 1, 1)),
        ("ledger_entry", FORGED_PAIR, store.prove_mirror, 1),
        ("ledger_transaction", LOST_TRANSACTION, _bills, 1),
        ("settlement_case", OTHER_NUMBERS, _numbers, 1),
    ],
)
async def test_cheating_with_the_guards_off_is_seen(
    owner: Owner,
    books: Books,
    hospital: Hospital,
    table: str,
    cheat: str,
    seen_by: Callable[[Any], Awaitable[Any]],
    expected: Any,
) -> None:
    await books.hear(hospital.bill(HUAIYANG))
    before = await seen_by(owner)
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    await owner.execute(cheat, hospital.code)
    seen = await seen_by(owner)
    await transaction.rollback()

    assert before == ((0, 0, 0) if isinstance(expected, tuple) else 0)
    assert seen == expected
