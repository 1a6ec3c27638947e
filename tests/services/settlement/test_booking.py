"""Booking on the real database: exactly once, in any order, in the right month."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from services.settlement import errors
from services.settlement.rules.bills import next_month
from services.settlement.store import books as book_store
from shared.events.claims import DischargeSettled, FundShare, SettlementReversed
from shared.refusals import Refused
from tests.services.settlement.world import HUAIYANG, XIANGCHENG, ZHOUKOU, Books, Hospital


async def periods(books: Books, hospital: Hospital) -> dict[str, list[str]]:
    """The settlements booked in each month."""
    rows = await books.rows(
        "SELECT period, settlement_id FROM bill WHERE facility_code = $1 ORDER BY settlement_id", hospital.code
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["period"], []).append(row["settlement_id"])
    return found


async def test_bill_is_in_the_books_of_its_whole_chain(books: Books, hospital: Hospital) -> None:
    await books.hear(hospital.bill(fund_fen=80_000, account_fen=5_000))

    assert await books.balances(hospital) == {
        (hospital.code, "receivable", HUAIYANG): 85_000,
        (hospital.code, "medical_income", ""): -85_000,
        (HUAIYANG, "receivable", ZHOUKOU): 85_000,
        (HUAIYANG, "payable", hospital.code): -85_000,
        (ZHOUKOU, "receivable", XIANGCHENG): 85_000,
        (ZHOUKOU, "payable", HUAIYANG): -85_000,
        (XIANGCHENG, "fund_expenditure", ""): 80_000,
        (XIANGCHENG, "personal_account", ""): 5_000,
        (XIANGCHENG, "payable", ZHOUKOU): -85_000,
    }


async def test_bill_the_patient_paid_alone_is_a_bill_without_entries(books: Books, hospital: Hospital) -> None:
    await books.hear(hospital.bill(fund_fen=0, account_fen=0, cash_fen=500))

    assert await books.balances(hospital) == {}
    assert await books.value("SELECT total_fen FROM bill WHERE facility_code = $1", hospital.code) == 500


async def test_bill_heard_again_is_booked_once(books: Books, hospital: Hospital) -> None:
    """Twice in one batch, and once more later under another event id."""
    bill = hospital.bill()

    await books.hear(bill, bill)
    first = await books.balances(hospital)
    await books.hear(bill)

    assert await books.balances(hospital) == first
    assert await periods(books, hospital) == {hospital.month: [bill.settlement_id]}


async def test_two_consumers_at_once_book_once(books: Books, hospital: Hospital) -> None:
    bills = [hospital.bill() for _ in range(20)]

    await asyncio.gather(*(books.hear(*bills) for _ in range(4)))

    assert len((await periods(books, hospital))[hospital.month]) == 20
    assert (await books.balances(hospital))[hospital.code, "receivable", HUAIYANG] == 20 * 85_000


async def test_reversal_before_its_settlement_is_listed_until_it_comes(books: Books, hospital: Hospital) -> None:
    bill = hospital.bill()
    reversal = hospital.reversal(bill)

    await books.hear(reversal)
    async with books.database.read() as reader:
        waiting = {pair.settlement_id for pair in await book_store.unknown_reversals(reader)}
    await books.hear(bill)
    async with books.database.read() as reader:
        still_waiting = {pair.settlement_id for pair in await book_store.unknown_reversals(reader)}

    assert reversal.settlement_id in waiting
    assert reversal.settlement_id not in still_waiting
    assert await books.balances(hospital) == {}


async def test_reversal_names_what_it_reverses(books: Books, hospital: Hospital) -> None:
    bill = hospital.bill()
    reversal = hospital.reversal(bill)
    again = hospital.reversal(reversal)

    await books.hear(bill, reversal, again)

    rows = await books.rows(
        "SELECT transaction_id, kind, reverses_transaction_id FROM ledger_transaction t JOIN settlement_case c"
        " USING (case_id) WHERE c.facility_code = $1 ORDER BY t.transaction_id",
        hospital.code,
    )
    assert {tuple(row) for row in rows} == {
        (bill.settlement_id, "bill", None),
        (reversal.settlement_id, "reversal", bill.settlement_id),
        (again.settlement_id, "reversal", reversal.settlement_id),
    }
    assert (await books.balances(hospital))[hospital.code, "receivable", HUAIYANG] == 85_000


async def test_reversal_of_a_confirmed_month_goes_to_the_next(books: Books, hospital: Hospital) -> None:
    bill, late = hospital.bill(), hospital.bill()
    await books.hear(bill)
    async with books.database.transaction() as tx:
        await tx.execute("UPDATE facility_month SET confirmed = true WHERE facility_code = $1", hospital.code)
        await tx.execute(
            "INSERT INTO facility_month (facility_code, period, confirmed) VALUES ($1, $2, true)",
            hospital.code,
            next_month(hospital.month),
        )
    reversal = hospital.reversal(bill)

    await books.hear(reversal, late)

    first_open = next_month(next_month(hospital.month))
    assert await periods(books, hospital) == {
        hospital.month: [bill.settlement_id],
        first_open: sorted([reversal.settlement_id, late.settlement_id]),
    }
    kept = await books.rows("SELECT settled_period, period FROM bill WHERE settlement_id = $1", late.settlement_id)
    assert [tuple(row) for row in kept] == [(hospital.month, first_open)]


@pytest.mark.parametrize("seed", range(4))
async def test_order_and_repetition_change_nothing(books: Books, seed: int) -> None:
    """Reversals and reversals of reversals, late, twice, torn apart: the books are those of the plain order."""
    dice = random.Random(seed)
    ordered, shuffled = Hospital(), Hospital()
    for hospital in (ordered, shuffled):
        same = random.Random(1000 + seed)
        bills = [hospital.bill(same.choice([HUAIYANG, XIANGCHENG]), same.randint(0, 99_999)) for _ in range(30)]
        events: list[DischargeSettled | SettlementReversed] = [*bills]
        for _ in range(15):
            events.append(hospital.reversal(same.choice(events)))
        if hospital is ordered:
            await books.hear(*events)
            continue
        events += dice.choices(events, k=20)
        dice.shuffle(events)
        while events:
            size = dice.randint(1, 12)
            await books.hear(*events[:size])
            del events[:size]

    async def amounts(hospital: Hospital) -> dict[tuple[str, ...], int]:
        found = await books.balances(hospital)
        return {tuple(name.replace(hospital.code, "facility") for name in key): fen for key, fen in found.items()}

    assert await amounts(shuffled) == await amounts(ordered)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"total_fen": 1}, errors.BILL_SUMS_WRONG),
        ({"shares": (FundShare(fund_pay_type="390100", amount_fen=1),)}, errors.BILL_SUMS_WRONG),
        ({"home_region": "999999"}, errors.REGION_UNKNOWN),
    ],
)
async def test_bill_that_cannot_be_booked_leaves_nothing(
    books: Books, hospital: Hospital, fields: dict[str, Any], code: object
) -> None:
    with pytest.raises(Refused) as refused:
        await books.hear(hospital.bill(), hospital.bill(**fields))

    assert [r.kind for r in refused.value] == [code]
    assert await periods(books, hospital) == {}


async def test_cases_are_one_for_each_home_region(books: Books, hospital: Hospital) -> None:
    bills = [hospital.bill(home) for home in (XIANGCHENG, XIANGCHENG, HUAIYANG, ZHOUKOU)]

    await books.hear(*bills[:2])
    await books.hear(*bills[2:])

    rows = await books.rows(
        "SELECT home_region, chain, clearing_region, state FROM settlement_case WHERE facility_code = $1"
        " ORDER BY home_region",
        hospital.code,
    )
    assert [tuple(row) for row in rows] == [
        (ZHOUKOU, [HUAIYANG, ZHOUKOU], ZHOUKOU, "open"),
        (HUAIYANG, [HUAIYANG], HUAIYANG, "open"),
        (XIANGCHENG, [HUAIYANG, ZHOUKOU, XIANGCHENG], ZHOUKOU, "open"),
    ]


async def test_older_word_about_a_facility_never_overwrites_a_newer(books: Books, hospital: Hospital) -> None:
    await books.hear(hospital.changed(2, "新名"), hospital.changed(1, "旧名"))
    await books.hear(hospital.changed(1, "旧名"))

    assert await books.value("SELECT name FROM facility WHERE facility_code = $1", hospital.code) == "新名"
    await books.hear(hospital.changed(3, "更新名"))
    assert await books.value("SELECT name FROM facility WHERE facility_code = $1", hospital.code) == "更新名"


async def test_bill_heard_again_after_its_month_was_confirmed_opens_no_case(books: Books, hospital: Hospital) -> None:
    """Its month takes nothing more, and in the next one there would be a case that nobody could ever confirm."""
    bill = hospital.bill()
    await books.hear(bill)
    async with books.database.transaction() as tx:
        await tx.execute("UPDATE facility_month SET confirmed = true WHERE facility_code = $1", hospital.code)

    await books.hear(bill)

    assert await books.value("SELECT count(*) FROM settlement_case WHERE facility_code = $1", hospital.code) == 1
    assert await periods(books, hospital) == {hospital.month: [bill.settlement_id]}
