"""The list of what is due, for those who may do it: orders, what the bank did, payouts, prepayments; less four eyes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from services.settlement.rules.terms import Netting
from services.settlement.store import agenda as agenda_store
from services.settlement.store.agenda import Task
from services.settlement.use_cases import prepayments
from shared.events import new_id
from shared.workdays import month_of, shanghai_day
from tests.services.settlement.banking import Counter
from tests.services.settlement.cycles import NOW, City
from tests.services.settlement.fixtures import ActAs, Caller
from tests.services.settlement.test_bank import HOME, counter, data_keys, month, proposed
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_payouts import approved, entered
from tests.services.settlement.test_prepayments import finance, pay
from tests.services.settlement.test_statements import Bills, codes, send_lines, submit
from tests.services.settlement.world import XIANGCHENG, Books, Hospital

__all__ = ["counter", "data_keys", "month"]


async def listed(caller: Caller, *references: str, mine: bool = True) -> list[tuple[str, str]]:
    """Kind and reference of the tasks of a caller that are about some things."""
    return [
        (task["kind"], task["reference"]) for task in await tasks(caller, mine=mine) if task["reference"] in references
    ]


async def tasks(caller: Caller, *, mine: bool = True) -> list[dict[str, Any]]:
    """All pages of a caller's list."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await caller.get("/v1/agenda", limit=50, mine=mine, **cursor)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


async def propose(counter: Counter, payout_id: str) -> str:
    """The order of a payout, proposed by the first person of finance."""
    answer = await counter.finance(HOME).post("/v1/orders", {"purpose": "payout", "references": [payout_id]})
    (item,) = answer.json()["items"]
    assert item["errors"] == [], answer.text
    return item["order_id"]  # type: ignore[no-any-return]


async def test_an_order_is_on_the_lists_of_those_who_may_take_it_further(counter: Counter) -> None:
    order_id = await propose(counter, await approved(counter, amount_fen=2_000_000))
    one, two, three = (counter.finance(HOME, name) for name in ("one", "two", "three"))
    reviewer = counter.act_as("reviewer", HOME, "head")

    to_review = {who: await listed(caller, order_id) for who, caller in (("1", one), ("2", two), ("r", reviewer))}
    of_all = await listed(one, order_id, mine=False)
    await two.post("/v1/order-reviews", {"order_ids": [order_id]})
    to_approve = {who: await listed(caller, order_id) for who, caller in (("1", one), ("2", two), ("3", three))}
    by_reviewer = await listed(reviewer, order_id)
    await three.post("/v1/order-approvals", {"order_ids": [order_id]})

    review, approval = [("order_review", order_id)], [("order_approval", order_id)]
    assert to_review == {"1": [], "2": review, "r": review}, "who proposed it reviews nothing"
    assert of_all == review, "the party's whole list shows it to everybody"
    assert to_approve == {"1": [], "2": [], "3": approval}, "nor approves, nor does who reviewed it"
    assert by_reviewer == []
    assert await listed(three, order_id, mine=False) == []


async def test_what_the_bank_rejected_is_one_task_until_it_is_repeated(counter: Counter, month: Month) -> None:
    _, order_id = await proposed(counter, month)
    await counter.finance(HOME, "two").post("/v1/order-approvals", {"order_ids": [order_id]})
    await counter.send()
    counter.bank(fates={order_id: "rejected"}).answer()
    await counter.receive()
    finance_one = counter.finance(HOME)

    rejected = await listed(finance_one, order_id)
    again = (await finance_one.post(f"/v1/orders/{order_id}/repeat")).json()["order_id"]

    assert rejected == [("order_repeat", order_id)], "and not also the item that tells of it"
    assert await listed(finance_one, order_id) == []
    assert await listed(counter.finance(HOME, "three"), again) == [("order_approval", again)]


async def test_what_the_bank_moved_of_nobody_is_on_the_list_of_finance(counter: Counter) -> None:
    reference = new_id()
    counter.report(HOME, counter.entry(None, 12_345, reference))
    await counter.receive()
    item_no = await counter.books.value(
        "SELECT item_no FROM bank_item WHERE party = $1 AND kind = 'entry_unknown' AND closed_at IS NULL"
        " ORDER BY item_no DESC LIMIT 1",
        HOME,
    )

    of_finance = [(t["kind"], t["number"], t["amount_fen"]) for t in await tasks(counter.finance(HOME))]
    of_officer = [t["kind"] for t in await tasks(counter.officer(HOME))]

    assert ("bank_item", item_no, 12_345) in of_finance
    assert "bank_item" not in of_officer


async def test_a_payout_goes_from_list_to_list(counter: Counter) -> None:
    payout_id = await entered(counter)
    clerk, head, purse = counter.officer(HOME), counter.officer(HOME, "head"), counter.finance(HOME)

    to_approve = await listed(clerk, payout_id), await listed(head, payout_id), await listed(purse, payout_id)
    await head.post(f"/v1/payouts/{payout_id}/approval")
    to_order = await listed(head, payout_id), await listed(purse, payout_id)
    order_id = await propose(counter, payout_id)
    ordered = await listed(purse, payout_id), await listed(counter.finance(HOME, "two"), order_id)

    assert to_approve == ([], [("payout_approval", payout_id)], [])
    assert to_order == ([], [("payout_order", payout_id)])
    assert ordered == ([], [("order_approval", order_id)])


async def test_another_card_waits_for_another_person(counter: Counter) -> None:
    payout_id = await approved(counter)
    order_id = await propose(counter, payout_id)
    await counter.finance(HOME, "two").post("/v1/order-approvals", {"order_ids": [order_id]})
    await counter.send()
    counter.bank(fates={order_id: "rejected"}).answer()
    await counter.receive()
    card = {
        "recipient": "own_card",
        "papers": ["identity_card", "bank_card"],
        "holder": "王小芳",
        "account_no": "6217000010001234569",
        "bank_code": "102508000017",
    }
    entered_card = await counter.officer(HOME).post(f"/v1/payouts/{payout_id}/cards", card)
    lists = await listed(counter.officer(HOME), payout_id), await listed(counter.officer(HOME, "head"), payout_id)
    await counter.officer(HOME, "head").post(f"/v1/payouts/{payout_id}/card-approval", {"card_no": 2})

    assert entered_card.status_code == 201, entered_card.text
    assert lists == ([], [("card_approval", payout_id)])
    assert await listed(counter.officer(HOME, "head"), payout_id) == []
    assert await listed(counter.finance(HOME), order_id) == [("order_repeat", order_id)]


async def test_a_payment_on_record_waits_for_another_person(books: Books, act_as: ActAs, hospital: Hospital) -> None:
    bill = hospital.bill()
    await books.hear(bill)
    await submit(act_as("facility", hospital.code), hospital, [bill])
    of_hospital = Month(act_as, hospital)
    (case,) = await of_hospital.cases()
    await of_hospital.confirm(case)
    one, two = act_as("finance", XIANGCHENG, "one"), act_as("finance", XIANGCHENG, "two")
    made = await one.post("/v1/payments", {"case_id": case["case_id"]})
    payment_id = made.json()["payment_id"]

    waiting = await listed(one, payment_id), await listed(two, payment_id)
    (task,) = [task for task in await tasks(two) if task["reference"] == payment_id]
    assigned = await two.put("/v1/agenda/assignments", f'{{"ref": "{task["ref"]}", "subject": "two"}}'.encode())
    await two.post(f"/v1/payments/{payment_id}/approval")
    gone = await two.put("/v1/agenda/assignments", f'{{"ref": "{task["ref"]}", "subject": "two"}}'.encode())

    assert waiting == ([], [("payment_approval", payment_id)])
    assert [t["kind"] for t in await tasks(two) if t["case_id"] == case["case_id"]] == [], "it is paid"
    due = "SELECT due_on FROM due WHERE case_id = $1 AND kind = 'remittance'"
    assert task["due_on"] == (await books.value(due, case["case_id"])).isoformat()
    assert (assigned.status_code, codes(gone)) == (200, ["settlement.task-unknown"])


async def on_list(city: City, party: str) -> list[Task]:
    """What is on the list of an agency of the city about its prepayments."""
    day = shanghai_day(NOW)
    async with city.books.database.read() as reader:
        found = await agenda_store.agenda(reader, party, month_of(day), (date.min, ""), 100, subject=None, kinds=())
    return [task for task in found if task.kind.startswith("prepayment")]


async def test_a_prepayment_that_runs_low_is_on_the_lenders_list_until_it_adds_to_it(books: Books) -> None:
    city = City(books)
    await city.agree(city.code, netting=Netting.MULTILATERAL)
    lender, who = city.county(2), finance(city.county(2))
    async with books.database.transaction() as tx:
        first = await prepayments.top_up(city.parts, tx, who, city.code, 100_000, NOW)
    to_pay = await on_list(city, lender)
    await pay(city, first)
    paid = await on_list(city, lender)
    hospital = city.hospital(1)
    await city.confirmed(hospital, hospital.bill(lender, fund_fen=95_000, account_fen=0))
    await city.cut()
    red = await on_list(city, lender)
    async with books.database.transaction() as tx:
        more = await prepayments.top_up(city.parts, tx, who, city.code, 100_000, NOW)
    adding = await on_list(city, lender)

    assert [(t.kind, t.reference, t.due_on) for t in to_pay] == [("prepayment_order", first.movement_id, first.due_on)]
    assert paid == []
    assert [(t.kind, t.concerns, t.due_on) for t in red] == [("prepayment_red", city.code, shanghai_day(NOW))]
    assert [(t.kind, t.reference) for t in adding] == [("prepayment_order", more.movement_id)]
    assert await on_list(city, city.code) == []


async def test_a_page_holds_no_more_items_than_fit_and_no_item_is_lost(
    books: Books, act_as: ActAs, hospital: Hospital
) -> None:
    """Eleven items, three to a page; one of them is somebody else's."""
    bills: Bills = [hospital.bill() for _ in range(11)]
    await books.hear(*bills)
    his = act_as("facility", hospital.code)
    statement = await submit(his, hospital, bills[:1])
    await send_lines(his, statement, bills[:1])
    assert (await his.post(f"/v1/statements/{statement['statement_id']}/match")).status_code == 200
    refs: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await his.get("/v1/agenda", limit=3, **cursor)).json()
        assert len(page["items"]) <= 3
        refs += [task["ref"] for task in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    items = [ref for ref in refs if ref.startswith("item ")]
    async with books.database.transaction() as tx:
        await agenda_store.assign(tx, hospital.code, items[4], "somebody", "test", datetime.now(UTC))
    own = [t["ref"] for t in (await his.get("/v1/agenda", limit=50, mine=True)).json()["items"]]
    somebody = act_as("facility", hospital.code, "somebody")
    theirs = [t["ref"] for t in (await somebody.get("/v1/agenda", limit=50, mine=True)).json()["items"]]

    assert refs == sorted(set(refs), key=refs.index)
    assert len(items) == 10
    assert items == sorted(items)
    assert [ref for ref in own if ref.startswith("item ")] == [ref for ref in items if ref != items[4]]
    assert [ref for ref in theirs if ref.startswith("item ")] == items
