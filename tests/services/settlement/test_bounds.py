"""One impossible row must not stop the books: days and amounts have bounds, and what cannot be sealed is set aside."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.settlement.config import SettlementSettings
from services.settlement.rules.banking import AccountMessage, AccountReport, BankLine, Closing, Fault, MessageFaulty
from services.settlement.rules.banking import check_days as check_days_of
from services.settlement.rules.bills import BILL_MAX_FEN
from services.settlement.rules.chain import FindingKind
from services.settlement.rules.ledger import MOVED_MAX_FEN
from services.settlement.rules.orders import check_amount
from services.settlement.store import accounts as account_store
from services.settlement.store import banking as bank_store
from services.settlement.store import books as book_store
from services.settlement.store import chain as chain_store
from services.settlement.store import invariants as store
from services.settlement.store.invariants import Invariant, Violation
from services.settlement.use_cases import invariants as watching
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.sealing import seal, seal_batch
from shared.clock import system_clock
from shared.refusals import Refused
from shared.telemetry import Gauges
from shared.workdays import WorkCalendar
from tests.services.settlement.fixtures import ActAs, Owner
from tests.services.settlement.test_chain import become_sealer, findings, link_of, sealed, undone
from tests.services.settlement.test_statements import codes
from tests.services.settlement.world import REGIONS, XIANGCHENG, ZHOUKOU, Books, Hospital, totals_of

TODAY = date(2026, 11, 22)


def line(booked_on: date, value_on: date | None = None) -> BankLine:
    """A movement of a day."""
    return BankLine("ref", "", True, 100, booked_on, None, value_on=value_on)


def message(line: BankLine, closing_on: date = TODAY) -> AccountMessage:
    """A statement with one movement."""
    return AccountMessage("camt.053", "m", [AccountReport("1", [line], Closing(closing_on, 0))])


@pytest.mark.parametrize(
    ("said", "is_meant"),
    [
        (message(line(TODAY)), True),
        (message(line(TODAY + timedelta(days=400)), TODAY - timedelta(days=400)), True),
        (message(line(TODAY + timedelta(days=401))), False),
        (message(line(TODAY - timedelta(days=401))), False),
        (message(line(date.max)), False),
        (message(line(TODAY, date.min)), False),
        (message(line(TODAY), date.max), False),
    ],
)
def test_a_day_of_the_bank_is_near(said: AccountMessage, is_meant: bool) -> None:
    if is_meant:
        check_days_of(said, TODAY)
        return
    with pytest.raises(MessageFaulty) as refused:
        check_days_of(said, TODAY)
    assert refused.value.fault is Fault.DAY


@pytest.mark.parametrize("day", [date(1989, 12, 31), date(2200, 1, 2), date.max])
async def test_the_database_refuses_an_impossible_value_date(books: Books, hospital: Hospital, day: date) -> None:
    await books.hear(hospital.bill())
    query = """
        INSERT INTO ledger_transaction (transaction_id, kind, case_id, period, value_date, booked_at)
        SELECT 'Z', 'bill', case_id, period, $2, now() FROM settlement_case WHERE facility_code = $1
    """
    with pytest.raises(asyncpg.CheckViolationError, match="ledger_transaction_value_date"):
        async with books.database.transaction() as tx:
            await tx.execute(query, hospital.code, day)


async def test_a_bill_of_an_impossible_day_is_refused_by_name(books: Books, hospital: Hospital) -> None:
    with pytest.raises(Refused, match="bill-day-wrong"):
        await books.hear(hospital.bill(settled_at=datetime(1901, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize("poison", ["value_date = 'infinity'", "booked_at = '-infinity'"])
async def test_what_has_no_form_is_set_aside_and_stops_nothing(books: Books, owner: Owner, poison: str) -> None:
    """As a defect of before these bounds would have left it: the guards are off, and it is undone afterwards."""
    await sealed(books)
    poisoned, sound = Hospital().bill(), Hospital().bill()
    async with undone(owner):
        for bound in ("ledger_transaction_value_date", "ledger_transaction_booked_at"):
            await owner.execute(f"ALTER TABLE ledger_transaction DROP CONSTRAINT {bound}")
        await become_sealer(owner)  # type: ignore[arg-type]
        await books.hear_in(owner, poisoned, sound)  # type: ignore[arg-type]
        await owner.execute("SET CONSTRAINTS ALL IMMEDIATE")
        of_it = f"UPDATE ledger_transaction SET {poison} WHERE transaction_id = $1"
        await owner.execute(of_it, poisoned.settlement_id)
        done = await seal_batch(owner, books.ledger_key, 1000, datetime.now(UTC))  # type: ignore[arg-type]
        again = await seal_batch(owner, books.ledger_key, 1000, datetime.now(UTC))  # type: ignore[arg-type]
        violated = await store.unsealed(owner, 300.0)  # type: ignore[arg-type]
        waiting = await chain_store.count_unsealed(owner)  # type: ignore[arg-type]
        found = await findings(owner, books)

    assert sound.settlement_id in {link.transaction_id for link in done.links}
    assert (list(done.unmarked), again.taken, waiting) == ([poisoned.settlement_id], 0, 0)
    assert [(v.invariant, v.subject) for v in violated] == [(Invariant.LEDGER_IS_SEALED, poisoned.settlement_id)]
    assert (FindingKind.TRANSACTION_UNSEALED, poisoned.settlement_id) in found


async def test_what_was_set_aside_and_then_adopted_is_forgotten(books: Books, owner: Owner, hospital: Hospital) -> None:
    bill = hospital.bill()
    async with undone(owner):
        await become_sealer(owner)  # type: ignore[arg-type]
        await books.hear_in(owner, bill)  # type: ignore[arg-type]
        marks = "SELECT mark FROM ledger_unsealed WHERE transaction_id = $1"
        mark = await owner.fetchval(marks, bill.settlement_id)
        other = "UPDATE ledger_unsealed SET mark = sha256('other') WHERE transaction_id = $1"
        await owner.execute(other, bill.settlement_id)
        await seal_batch(owner, books.ledger_key, 1000, datetime.now(UTC))  # type: ignore[arg-type]
        before = await store.unsealed(owner, 300.0)  # type: ignore[arg-type]
        await chain_store.add_unsealed(owner, [chain_store.Waiting(bill.settlement_id, mark)])  # type: ignore[arg-type]
        await seal_batch(owner, books.ledger_key, 1000, datetime.now(UTC))  # type: ignore[arg-type]
        after = await store.unsealed(owner, 300.0)  # type: ignore[arg-type]

    assert ([v.subject for v in before], after) == ([bill.settlement_id], [])


async def test_a_queue_that_stands_still_is_a_violation(books: Books, owner: Owner, hospital: Hospital) -> None:
    async with undone(owner):
        await become_sealer(owner)  # type: ignore[arg-type]
        await books.hear_in(owner, hospital.bill())  # type: ignore[arg-type]
        young = await store.unsealed(owner, 300.0)  # type: ignore[arg-type]
        await owner.execute("UPDATE ledger_unsealed SET queued_at = queued_at - interval '301 s'")
        old = await store.unsealed(owner, 300.0)  # type: ignore[arg-type]

    assert (young, [violation.subject for violation in old]) == ([], ["ledger_unsealed"])


async def test_what_was_written_past_booking_is_found_by_the_look_at_the_whole(books: Books, owner: Owner) -> None:
    bill = Hospital().bill()
    async with undone(owner):
        await become_sealer(owner)  # type: ignore[arg-type]
        await books.hear_in(owner, bill)  # type: ignore[arg-type]
        waiting = await store.outside_chain(owner)  # type: ignore[arg-type]
        await owner.execute("DELETE FROM ledger_unsealed WHERE transaction_id = $1", bill.settlement_id)
        outside = await store.outside_chain(owner)  # type: ignore[arg-type]

    assert (waiting, [violation.subject for violation in outside]) == ([], [bill.settlement_id])


async def test_the_checks_look_at_the_queue(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both looks, the new and the whole, tell of what waits."""
    waiting = Violation(Invariant.LEDGER_IS_SEALED, "ledger_unsealed", "it stands still")
    asked: list[float] = []

    async def unsealed(_: Any, longer_than_s: float) -> list[Violation]:
        asked.append(longer_than_s)
        return [waiting]

    monkeypatch.setattr(store, "unsealed", unsealed)
    parts = Settlement(books.database, REGIONS, SettlementSettings(unsealed_max_s=7), WorkCalendar(), books.ledger_key)
    async with books.database.read() as reader:
        recent, _ = await watching._recent(reader, parts.settings, datetime.now(UTC))
    async with books.database.transaction() as tx:
        whole = await watching._whole(parts, tx, datetime.now(UTC))

    assert waiting in recent.findings
    assert waiting in whole.findings
    assert asked == [7, 7]


async def test_what_waits_is_told_also_when_sealing_fails(
    books: Books, hospital: Hospital, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("sealing fails")

    told: dict[str, float] = {}
    gauges = Gauges()
    monkeypatch.setattr(gauges, "set", lambda name, value: told.update({name: value}))
    monkeypatch.setattr("services.settlement.use_cases.sealing.seal_batch", fail)
    parts = Settlement(books.database, REGIONS, SettlementSettings(), WorkCalendar(), books.ledger_key)
    async with owner.transaction():
        await become_sealer(owner)  # type: ignore[arg-type]
        await books.hear(hospital.bill())
        with pytest.raises(RuntimeError, match="sealing fails"):
            await seal(parts, system_clock, gauges)

    assert told["sifang.ledger.unsealed"] >= 1


async def test_sealing_goes_on_after_all_this(books: Books, hospital: Hospital) -> None:
    bill = hospital.bill()
    await books.hear(bill)
    await sealed(books)
    assert await link_of(books, bill.settlement_id)


@pytest.mark.parametrize(
    ("amount_fen", "codes"), [(MOVED_MAX_FEN, []), (MOVED_MAX_FEN + 1, ["settlement.payment-too-large"])]
)
def test_a_payment_has_a_ceiling(amount_fen: int, codes: list[str]) -> None:
    assert [refusal.code for refusal in check_amount(amount_fen)] == codes


async def test_a_bill_beyond_all_measure_is_refused_by_name(books: Books, hospital: Hospital) -> None:
    await books.hear(hospital.bill(fund_fen=BILL_MAX_FEN, account_fen=0, cash_fen=0))
    with pytest.raises(Refused, match="bill-too-large"):
        await books.hear(hospital.bill(fund_fen=BILL_MAX_FEN + 1, account_fen=0, cash_fen=0))


async def test_sums_beyond_what_one_row_can_hold_are_told(books: Books, owner: Owner, hospital: Hospital) -> None:
    """A bank, or many years, could bring the sum of an account past 2⁶³ fen: every question is still answered."""
    bill = hospital.bill()
    await books.hear(bill)
    period = await books.value("SELECT period FROM bill WHERE settlement_id = $1", bill.settlement_id)
    enormous = "UPDATE ledger_entry SET amount_fen = sign(amount_fen) * 9000000000000000000 WHERE transaction_id = $1"
    again = """
        INSERT INTO ledger_entry SELECT transaction_id, line_no + 100, book, account_kind, counterparty, fund_pay_type,
            amount_fen FROM ledger_entry WHERE transaction_id = $1
    """
    async with undone(owner):
        await owner.execute(enormous, bill.settlement_id)
        await owner.execute(again, bill.settlement_id)
        tx: Any = owner
        balances = await book_store.balances(tx, hospital.code)
        as_of = await account_store.balances_as_of(tx, hospital.code, None, None)
        month = await account_store.accounts_of_month(tx, hospital.code, period)
        summary = await book_store.summary(tx, period, hospital.code, [])
        ledger = await book_store.prove_ledger(tx)
        sums = await book_store.prove_books(tx)
        bills = await book_store.prove_bills(tx)
        cases = await book_store.prove_cases(tx)

    twice = 18_000_000_000_000_000_000
    assert {b.balance_fen for b in balances} == {b.balance_fen for b in as_of} == {twice, -twice}
    assert {a.closing_fen for a in month} == {twice, -twice}
    assert next(one for one in summary if one.party == hospital.code).owed_fen == twice
    assert next(one for one in sums if one.book == hospital.code).debit_fen == twice
    assert min(ledger.receivable_fen, ledger.payable_fen, bills.income_fen) >= twice
    assert isinstance(cases.received_fen, int)


async def test_the_balance_of_a_bank_account_may_pass_it_too(books: Books, owner: Owner) -> None:
    tx: Any = owner
    async with undone(owner):
        for number in range(2):
            await owner.execute(
                "INSERT INTO ledger_transaction VALUES ($1, 'bank', NULL, '2026-02', '2026-02-03', now())",
                f"T:{number}",
            )
            await owner.execute(
                "INSERT INTO ledger_entry VALUES ($1, 1, 'X', 'bank', '', '', 9000000000000000000)", f"T:{number}"
            )
        moved_fen = await bank_store.books_balance(tx, "X", date(2026, 2, 1), date(2026, 2, 28))

    assert moved_fen == 18_000_000_000_000_000_000


async def test_what_people_state_has_a_ceiling_too(act_as: ActAs, hospital: Hospital, books: Books) -> None:
    totals = totals_of([hospital.bill(fund_fen=10**15 + 1, account_fen=0, cash_fen=0)])
    stated = await act_as("facility", hospital.code).post(
        "/v1/statements", {"period": hospital.month, "totals": totals}
    )
    top_up = {"holder": ZHOUKOU, "amount_fen": MOVED_MAX_FEN + 1}
    lent = await act_as("finance", XIANGCHENG).post("/v1/prepayment-top-ups", top_up)

    assert set(codes(stated)) == set(codes(lent)) == {"request.field-invalid"}
