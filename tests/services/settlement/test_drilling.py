"""Up from a bill to what paid it, and down from a balance to the bills, movements and traces that make it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.settlement.rules.terms import NegativeRule, Netting
from services.settlement.store import cycles as reading
from shared.events import new_id
from tests.services.settlement.banking import Counter
from tests.services.settlement.cycles import City
from tests.services.settlement.fixtures import ActAs, Caller
from tests.services.settlement.test_bank import CITY, HOME, PAYABLE_FEN, counter, data_keys, month, sent
from tests.services.settlement.test_identifications import booked, unknown
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_objections import carried_over
from tests.services.settlement.test_statements import codes
from tests.services.settlement.world import HUAIYANG, XIANGCHENG, ZHOUKOU, Books

__all__ = ["counter", "data_keys", "month"]


async def shown(caller: Caller, path: str) -> dict[str, Any]:
    """An answer that is there."""
    answer = await caller.get(path)
    assert answer.status_code == 200, f"{path}: {answer.text}"
    return answer.json()  # type: ignore[no-any-return]


async def bill_of(books: Books, case_id: str) -> str:
    """A bill of a case."""
    return await books.value("SELECT min(settlement_id) FROM bill WHERE case_id = $1", case_id)  # type: ignore[no-any-return]


async def test_a_bill_leads_up_to_the_order_and_the_banks_entry(books: Books, counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    (case,) = await month.cases()
    bill_id, home = await bill_of(books, case["case_id"]), counter.finance(HOME)
    before = (await shown(home, f"/v1/bills/{bill_id}"))["hops"][0]
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN))
    await counter.receive()
    bill = await shown(home, f"/v1/bills/{bill_id}")
    first = bill["hops"][0]
    order = await shown(home, f"/v1/orders/{first['order_id']}")
    entry = await shown(home, f"/v1/bank-entries/{order['entries'][0]['entry_id']}")

    assert (before["state"], before["order_id"], before["paid_at"]) == ("proposed", order_id, None)
    assert bill["cleared_case_id"] == case["case_id"]
    assert (first["state"], first["order_id"], first["position_id"]) == ("paid", order_id, None)
    assert first["paid_at"] is not None
    assert bill["hops"][1]["paid_at"] is None
    assert (entry["amount_fen"], entry["order_id"], entry["told_by"]) == (PAYABLE_FEN, order_id, ["camt.054"])
    assert (await shown(home, f"/v1/cases/{case['case_id']}"))["hops"] == bill["hops"]
    foreign = await counter.finance(CITY).get(f"/v1/bank-entries/{entry['entry_id']}")
    assert foreign.status_code == 200, "the city is above the county"
    assert codes(await counter.finance("411603").get(f"/v1/bank-entries/{entry['entry_id']}")) == ["auth.not-your-area"]
    assert codes(await home.get(f"/v1/bank-entries/{new_id()}")) == ["settlement.entry-unknown"]


async def test_a_bill_leads_up_to_the_position_that_paid_it(books: Books, act_as: ActAs) -> None:
    """Multilateral: the hops of home and city are joined, and each says which position paid it."""
    city = City(books)
    await city.agree(city.code, netting=Netting.MULTILATERAL)
    hospital = city.hospital(1)
    bill = hospital.bill(city.county(2))
    await books.hear(hospital.changed())
    await city.confirmed(hospital, bill)
    cycle = await city.cut()
    waiting = await city.positions(cycle)
    path, facility = f"/v1/bills/{bill.settlement_id}", act_as("facility", hospital.code)
    before = (await shown(facility, path))["hops"]
    await city.pay_all(cycle)
    after = (await shown(facility, path))["hops"]

    ids = [
        waiting[pair].position_id
        for pair in ((city.county(2), city.code), (city.code, city.county(1)), (city.county(1), hospital.code))
    ]
    assert [hop["position_id"] for hop in before] == [hop["paid_by_position_id"] for hop in after] == ids
    assert [(hop["state"], hop["paid_at"]) for hop in before] == [("in_position", None)] * 3
    assert [(hop["state"], hop["settled_by"]) for hop in after] == [("paid", "payment")] * 3
    assert all(hop["paid_at"] for hop in after)


async def test_a_carried_position_leads_to_the_one_that_took_it_up(books: Books, act_as: ActAs) -> None:
    city = City(books)
    await city.agree(city.code, netting=Netting.BILATERAL)
    await city.agree(city.county(1), negative_rule=NegativeRule.CARRY)
    hospital = city.hospital(1, "2026-08")
    await books.hear(hospital.changed())
    taken_back = hospital.bill(city.county(2))
    await city.confirmed(hospital, taken_back)
    await city.pay_all(await city.cut())
    hospital.month = "2026-09"
    negative = hospital.reversal(taken_back, settled_at=taken_back.settled_at + timedelta(days=31))
    await city.confirmed(hospital, negative)
    carried = (await city.positions(await city.cut()))[hospital.code, city.county(1)]
    hospital.month = "2026-10"
    await city.confirmed(hospital, hospital.bill(city.county(2), fund_fen=200_000))
    cycle = await city.cut()
    position = (await city.positions(cycle))[city.county(1), hospital.code]
    path, facility = f"/v1/bills/{negative.settlement_id}", act_as("facility", hospital.code)
    before = (await shown(facility, path))["hops"][0]
    await city.pay_all(cycle)
    after = (await shown(facility, path))["hops"][0]

    assert position.brought_position_id == carried.position_id
    assert (before["position_id"], before["paid_by_position_id"]) == (carried.position_id, position.position_id)
    assert (before["state"], before["paid_at"]) == ("in_position", None)
    assert (after["state"], after["settled_by"]) == ("paid", "payment")


async def test_a_bill_that_went_to_the_next_month_leads_to_what_paid_it_there(books: Books, act_as: ActAs) -> None:
    contested, _, objection_no, first, second = await carried_over(books, act_as)
    bills, facility = contested.bills, act_as("facility", contested.hospital.code)
    await contested.month.confirm(second)
    for payer in (XIANGCHENG, ZHOUKOU, HUAIYANG):
        await contested.month.pay(second, payer)
    bill = await shown(facility, f"/v1/bills/{bills[1].settlement_id}")
    left = await shown(facility, f"/v1/bills/{bills[0].settlement_id}")
    went = (await shown(facility, f"/v1/cases/{first['case_id']}/carried-bills"))["items"]
    came = (await shown(facility, f"/v1/cases/{second['case_id']}/carried-bills?limit=1"))["items"]
    details = [await shown(facility, f"/v1/cases/{case['case_id']}") for case in (first, second)]

    assert (bill["case_id"], bill["cleared_case_id"]) == (first["case_id"], second["case_id"])
    assert (bill["case_state"], [hop["state"] for hop in bill["hops"]]) == ("closed", ["paid"] * 3)
    assert [payment["case_id"] for payment in bill["payments"]] == [second["case_id"]] * 3
    assert (left["cleared_case_id"], left["payments"]) == (first["case_id"], [])
    assert went == came
    assert [(c["settlement_id"], c["from_case_id"], c["to_case_id"]) for c in came] == [
        (bills[1].settlement_id, first["case_id"], second["case_id"])
    ]
    assert came[0]["objection_no"] == objection_no
    assert [(d["carried_in"], d["carried_out"]) for d in details] == [(0, 1), (1, 0)]


def path_of(entry: dict[str, Any]) -> str:
    """Where a line of a book leads, by the kind of its transaction."""
    paths = {
        "bill": "/v1/bills/{transaction_id}",
        "reversal": "/v1/bills/{transaction_id}",
        "payment": "/v1/payments/{transaction_id}" if entry["case_id"] else "/v1/clearing-positions/{transaction_id}",
        "bank": "/v1/bank-entries/{transaction_id}",
        "identification": "/v1/bank-identifications/{transaction_id}",
    }
    return paths[entry["kind"]].format(**entry)


async def test_every_line_of_a_book_leads_somewhere(books: Books, counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    await booked(counter, HOME, await unknown(counter, HOME, 100_000), order_id=order_id)
    counter.report(HOME, counter.entry(order_id, 70_000), counter.entry(None, 12))
    await counter.receive()
    (case,) = await month.cases()
    home = counter.finance(HOME)
    of_case = (await shown(home, f"/v1/books/{HOME}/entries?case_id={case['case_id']}&limit=200"))["items"]
    query = "SELECT max(transaction_id) FROM ledger_transaction WHERE booked_at < now() - interval '1 minute'"
    recent = await books.rows(
        "SELECT DISTINCT t.transaction_id, t.kind, t.case_id FROM ledger_transaction t JOIN ledger_entry e"
        f" USING (transaction_id) WHERE e.book = $1 AND t.transaction_id > coalesce(({query}), '')"
        " AND t.kind IN ('bank', 'identification') AND t.case_id IS NULL",
        HOME,
    )
    entries = of_case + [dict(row) for row in recent]

    assert {entry["kind"] for entry in entries} >= {"bill", "payment", "bank", "identification"}
    for entry in entries:
        await shown(home, path_of(entry))


async def test_the_proof_of_a_position_says_which_bills_came_from_another_month(books: Books, city: City) -> None:
    await city.agree(city.code, netting=Netting.BILATERAL)
    hospital = city.hospital(1)
    await city.confirmed(hospital, hospital.bill(city.county(2)))
    position = (await city.positions(await city.cut()))[city.county(2), city.code]
    async with books.database.read() as reader:
        (line,) = await reading.proof(reader, position.position_id, ("", 0), 10)

    assert (line.carried_in, line.carried_out) == (0, 0)


@pytest.fixture
def city(books: Books) -> City:
    """A city in nobody's way."""
    return City(books)
