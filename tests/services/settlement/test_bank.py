"""Orders and the bank, with the real database: from the proposal to the fen on the account, and everything between."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local import bank as small_bank
from services.settlement.bank.adapter import FolderBank
from services.settlement.store import invariants as invariant_store
from services.settlement.store.invariants import Invariant, Violation
from shared.events import new_id
from shared.events.settlement import OrderFailed, Remitted
from shared.keys import DATA_KEYS
from shared.personal import PersonalDataKeys
from shared.settings import Settings
from tests.services.settlement.banking import Counter, account_no
from tests.services.settlement.fixtures import ActAs, Heard, Owner
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import Books, Hospital

CARE, CITY, HOME = "411330", "411300", "411381"
"""Two counties of Nanyang, which pay by bank, and the city between them, which records its payments."""
PAYABLE_FEN = 170_000


@pytest.fixture(scope="session")
def data_keys(settings: Settings) -> PersonalDataKeys:
    """The keys of the running services."""
    return PersonalDataKeys.from_json((settings.secrets_dir / DATA_KEYS).read_bytes())


_accounts: dict[str, str] = {}


@pytest.fixture
async def counter(books: Books, owner: Owner, act_as: ActAs, tmp_path: Path, data_keys: PersonalDataKeys) -> Counter:
    """A desk whose folder is empty; terms and accounts stay from test to test."""
    made = Counter(books, owner, act_as, tmp_path / "bank", data_keys, _accounts)
    if not _accounts:
        await made.pays_by_bank(CARE, HOME, review_above_fen=1_000_000)
        for party in (CARE, CITY, HOME):
            await made.open_account(party)
    return made


@pytest.fixture
async def month(books: Books, act_as: ActAs, counter: Counter) -> Month:
    """A confirmed month of a hospital whose home agency pays by bank."""
    hospital = Hospital(region=CARE)
    bills = [hospital.bill(HOME), hospital.bill(HOME)]
    await books.hear(hospital.changed(), *bills)
    await submit(act_as("facility", hospital.code), hospital, [*bills])
    made = Month(act_as, hospital)
    (case,) = await made.cases()
    await made.confirm(case)
    await counter.open_account(hospital.code, CARE)
    return made


async def proposed(counter: Counter, month: Month, payer: str = HOME) -> tuple[str, str]:
    """The hop of a payer, proposed: payment and order."""
    (case,) = await month.cases()
    answer = await counter.finance(payer).post("/v1/payments", {"case_id": case["case_id"]})
    assert answer.status_code == 201, answer.text
    return answer.json()["payment_id"], answer.json()["order_id"]


async def sent(counter: Counter, month: Month) -> str:
    """The order of the first hop, approved and with the bank."""
    payment_id, order_id = await proposed(counter, month)
    answer = await counter.finance(HOME, "two").post(f"/v1/payments/{payment_id}/approval")
    assert answer.status_code == 200, answer.text
    await counter.send()
    assert counter.asked(order_id) == 1
    return order_id


async def hop(month: Month, number: int = 1) -> str:
    """The state of a hop."""
    (case,) = await month.cases()
    return (await month.case(case["case_id"]))["hops"][number - 1]["state"]  # type: ignore[no-any-return]


async def violations(books: Books) -> list[Violation]:
    """What does not hold of what was booked of late."""
    async with books.database.read() as reader:
        rows = await reader.fetch("SELECT transaction_id FROM ledger_transaction ORDER BY booked_at DESC LIMIT 100")
        return await invariant_store.violations(reader, [row["transaction_id"] for row in rows])


async def holds(books: Books) -> None:
    """The invariants of everything that was booked of late."""
    assert await violations(books) == []


async def test_the_bank_pays_a_hop(books: Books, counter: Counter, month: Month, heard: Heard) -> None:
    before = await counter.balance(HOME, "bank")
    payment_id, order_id = await proposed(counter, month)
    approved = await counter.finance(HOME, "two").post(f"/v1/payments/{payment_id}/approval")
    not_yet = (await hop(month), approved.json()["state"], await counter.balance(HOME, "bank") - before)
    await counter.send()
    handed = (await counter.order(order_id, HOME))["state"]
    counter.bank().answer()
    await counter.receive()

    order = await counter.order(order_id, HOME)
    assert not_yet == ("proposed", "proposed", 0)
    assert handed == "sent"
    assert (order["state"], order["paid_fen"], order["bank_status"]) == ("settled", PAYABLE_FEN, "ACSP")
    assert (await hop(month), await hop(month, 2)) == ("paid", "payable")
    assert await counter.balance(HOME, "bank") - before == -PAYABLE_FEN
    (file,) = counter.files()
    assert (file.debtor_account, file.transfers[0].creditor_account) == (counter.accounts[HOME], counter.accounts[CITY])
    (case,) = await month.cases()
    assert [type(event) for event in await heard(case["case_id"])][-1] is Remitted
    payment = (await counter.finance(HOME).get(f"/v1/payments/{payment_id}")).json()
    assert (payment["state"], payment["approved_by"]) == ("paid", f"two@{HOME}")
    await holds(books)


async def test_a_month_goes_through_bank_and_record(books: Books, counter: Counter, month: Month) -> None:
    """Home and care pay by bank, the city between them records: the facility's money is on its account."""
    await sent(counter, month)
    counter.bank().answer()
    await counter.receive()
    (case,) = await month.cases()
    await month.pay(case, CITY)
    payment_id, _ = await proposed(counter, month, CARE)
    await counter.finance(CARE, "two").post(f"/v1/payments/{payment_id}/approval")
    await counter.send()
    counter.bank().answer()
    await counter.receive()

    assert (await month.cases())[0]["state"] == "closed"
    assert counter.files()[-1].transfers[0].creditor_account == counter.accounts[month.hospital.code]
    assert await books.balances(month.hospital) == {
        (month.hospital.code, "bank", ""): PAYABLE_FEN,
        (month.hospital.code, "medical_income", ""): -PAYABLE_FEN,
        (HOME, "fund_expenditure", ""): 160_000,
        (HOME, "personal_account", ""): 10_000,
        (HOME, "bank", ""): -PAYABLE_FEN,
    }
    await holds(books)


async def test_files_that_come_twice_change_nothing(books: Books, counter: Counter, month: Month) -> None:
    """The same file, the same entry in another file, and in the day's statement."""
    order_id = await sent(counter, month)
    ref = new_id()
    entry = counter.entry(order_id, PAYABLE_FEN, ref)
    before = await counter.balance(HOME, "bank")

    counter.report(HOME, entry, message_id="N-1-" + order_id)
    await counter.receive()
    counter.report(HOME, entry, message_id="N-1-" + order_id)
    await counter.receive()
    counter.report(HOME, entry, counter.entry(order_id, PAYABLE_FEN, ref))
    await counter.receive()
    text = small_bank.statement(new_id(), counter.accounts[HOME], [entry], counter.today, 0)
    counter.put(text)
    await counter.receive()

    assert await counter.balance(HOME, "bank") - before == -PAYABLE_FEN
    assert (await counter.order(order_id, HOME))["paid_fen"] == PAYABLE_FEN
    assert len((await counter.order(order_id, HOME))["entries"]) == 1
    assert await counter.items([order_id]) == []
    assert list((counter.folder / "rejected").glob("*")) == []
    await holds(books)


async def test_another_message_under_the_same_id_is_refused(counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    message_id = new_id()
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN), message_id=message_id)
    await counter.receive()
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN), message_id=message_id)
    await counter.receive()

    (why,) = (counter.folder / "rejected").glob("*.why")
    assert why.read_text() == "message_reused\n"
    assert (await counter.order(order_id, HOME))["paid_fen"] == PAYABLE_FEN


async def test_an_entry_that_comes_again_with_another_amount_stands_as_it_came_first(
    counter: Counter, month: Month
) -> None:
    order_id = await sent(counter, month)
    ref = new_id()
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN, ref))
    await counter.receive()
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN + 1, ref))
    await counter.receive()

    assert (await counter.order(order_id, HOME))["paid_fen"] == PAYABLE_FEN
    assert await counter.items([order_id]) == [("entry_changed", None)]


async def test_a_rejected_order_is_repeated_by_a_new_one(
    books: Books, counter: Counter, month: Month, heard: Heard
) -> None:
    order_id = await sent(counter, month)
    counter.bank(fates={order_id: small_bank.REJECTED}).answer()
    await counter.receive()
    rejected = await counter.order(order_id, HOME)
    foreign = await counter.finance(CITY).post(f"/v1/orders/{order_id}/repeat")
    again = await counter.finance(HOME, "three").post(f"/v1/orders/{order_id}/repeat")
    twice = await counter.finance(HOME, "four").post(f"/v1/orders/{order_id}/repeat")
    new = again.json()["order_id"]
    by_first = await counter.finance(HOME, "one").post("/v1/order-approvals", {"order_ids": [new]})
    by_other = await counter.finance(HOME, "two").post("/v1/order-approvals", {"order_ids": [new]})
    await counter.send()
    counter.bank().answer()
    await counter.receive()

    assert (rejected["state"], rejected["bank_reason"]) == ("rejected", "AC04")
    assert codes(foreign) == ["settlement.not-payer-of-order"]
    assert (again.status_code, again.json()["repeats_order_id"]) == (201, order_id)
    assert "settlement.order-repeated" in codes(twice)
    assert [error["code"] for error in by_first.json()["items"][0]["errors"]] == ["settlement.same-person"]
    assert by_other.json()["items"][0]["errors"] == []
    assert ((await counter.order(new, HOME))["state"], await hop(month)) == ("settled", "paid")
    assert await counter.items([order_id]) == [("rejected", "repeated")]
    assert [(e.state, e.party) for e in await heard(order_id) if isinstance(e, OrderFailed)] == [("rejected", HOME)]
    assert (counter.asked(order_id), counter.asked(new)) == (1, 1)
    await holds(books)


async def test_part_payments_settle_when_they_are_the_whole(books: Books, counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    bank, suspense = await counter.balance(HOME, "bank"), await counter.balance(HOME, "suspense")
    counter.report(HOME, counter.entry(order_id, 100_000))
    await counter.receive()
    partly = await counter.order(order_id, HOME)
    halfway = (await counter.balance(HOME, "bank") - bank, await counter.balance(HOME, "suspense") - suspense)
    state = await hop(month)
    counter.report(HOME, counter.entry(order_id, 70_000))
    await counter.receive()

    assert (partly["state"], partly["paid_fen"]) == ("partly_paid", 100_000)
    assert (halfway, state) == ((-100_000, 100_000), "proposed")
    assert ((await counter.order(order_id, HOME))["state"], await hop(month)) == ("settled", "paid")
    assert await counter.balance(HOME, "bank") - bank == -PAYABLE_FEN
    assert await counter.balance(HOME, "suspense") == suspense
    assert await counter.items([order_id]) == [("partial", None)]
    await holds(books)


async def test_what_a_part_payment_left_is_ordered_anew(books: Books, counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    suspense = await counter.balance(HOME, "suspense")
    counter.report(HOME, counter.entry(order_id, 100_000))
    await counter.receive()
    again = (await counter.finance(HOME, "three").post(f"/v1/orders/{order_id}/repeat")).json()
    await counter.finance(HOME, "two").post("/v1/order-approvals", {"order_ids": [again["order_id"]]})
    await counter.send()
    counter.bank().answer()
    counter.bank(fates={order_id: small_bank.SILENT})
    await counter.receive()

    assert (again["amount_fen"], again["debt_fen"]) == (70_000, PAYABLE_FEN)
    assert await hop(month) == "paid"
    await holds(books)
    # The small bank answered the first file as well: what it paid twice is on suspense, and told.
    paid = [(await counter.order(o, HOME))["paid_fen"] for o in (order_id, again["order_id"])]
    assert sum(paid) == PAYABLE_FEN + await counter.balance(HOME, "suspense") - suspense
    assert ("overpaid", None) in await counter.items([order_id, again["order_id"]])


async def test_money_that_comes_back_is_owed_and_paid_again(books: Books, counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    bank, suspense = await counter.balance(HOME, "bank"), await counter.balance(HOME, "suspense")
    counter.bank(fates={order_id: small_bank.RETURNED}).answer()
    await counter.receive()
    returned = await counter.order(order_id, HOME)
    back = (await counter.balance(HOME, "bank") - bank, await counter.balance(HOME, "suspense") - suspense)
    again = (await counter.finance(HOME, "three").post(f"/v1/orders/{order_id}/repeat")).json()["order_id"]
    await counter.finance(HOME, "two").post("/v1/order-approvals", {"order_ids": [again]})
    await counter.send()
    counter.bank().answer()
    await counter.receive()

    assert (returned["state"], returned["paid_fen"], returned["debt_settled_at"] is None) == ("returned", 0, False)
    assert back == (0, -PAYABLE_FEN), "the hop was settled, and what came back is owed to the payee"
    assert await counter.balance(HOME, "bank") - bank == -PAYABLE_FEN
    assert await counter.balance(HOME, "suspense") == suspense
    assert await counter.items([order_id, again]) == [("returned", "repeated")]
    await holds(books)


async def test_too_much_stands_on_suspense(books: Books, counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    bank, suspense = await counter.balance(HOME, "bank"), await counter.balance(HOME, "suspense")
    counter.bank(fates={order_id: small_bank.TOO_MUCH}).answer()
    await counter.receive()

    assert await counter.balance(HOME, "bank") - bank == -PAYABLE_FEN - 100
    assert await counter.balance(HOME, "suspense") - suspense == 100
    assert await counter.items([order_id]) == [("overpaid", None)]
    assert await hop(month) == "paid"
    await holds(books)


async def test_what_is_paid_late_stops_the_order_that_repeats_it(books: Books, counter: Counter, month: Month) -> None:
    """The bank rejects, the agency orders anew, and the bank pays the first one after all."""
    order_id = await sent(counter, month)
    counter.bank(fates={order_id: small_bank.REJECTED}).answer()
    await counter.receive()
    again = (await counter.finance(HOME, "three").post(f"/v1/orders/{order_id}/repeat")).json()["order_id"]
    await counter.finance(HOME, "two").post("/v1/order-approvals", {"order_ids": [again]})
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN))
    await counter.receive()
    await counter.send()

    stopped = await counter.order(again, HOME)
    assert (stopped["state"], stopped["declined_reason"]) == ("declined", "paid late")
    assert (counter.asked(again), await hop(month)) == (0, "paid")
    assert await counter.items([order_id]) == [("rejected", "repeated"), ("late", None)]
    nothing = await counter.finance(HOME).post(f"/v1/orders/{again}/repeat")
    assert codes(nothing) == ["settlement.nothing-outstanding"]
    await holds(books)


async def test_a_status_never_settles_and_a_late_one_changes_nothing(counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    batch_id = (await counter.order(order_id, HOME))["batch_id"]
    accepted = small_bank.status_report(new_id(), batch_id, [small_bank._status_line(order_id, "ACSC")])
    counter.put(accepted)
    await counter.receive()
    after_accepted = (await counter.order(order_id, HOME))["state"]
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN))
    await counter.receive()
    counter.put(small_bank.status_report(new_id(), batch_id, [], "RJCT"))
    await counter.receive()

    assert (after_accepted, (await counter.order(order_id, HOME))["state"]) == ("sent", "settled")
    assert await counter.items([order_id]) == [("status_contradicts", None)]


async def test_what_nobody_ordered_stays_on_the_list_whatever_is_said_of_it(books: Books, counter: Counter) -> None:
    bank, suspense = await counter.balance(HOME, "bank"), await counter.balance(HOME, "suspense")
    counter.report(HOME, counter.entry(new_id(), 700), counter.entry(None, 5_000, debit=False))
    await counter.receive()

    assert await counter.balance(HOME, "bank") - bank == 4_300
    assert await counter.balance(HOME, "suspense") - suspense == -4_300
    listed = (await counter.finance(HOME).get("/v1/bank-items", open=True, kind="entry_unknown")).json()["items"]
    path = f"/v1/bank-items/{listed[-1]['item_no']}/explanation"
    foreign = await counter.finance(CITY).post(path, {"note": "不是我的"})
    explained = await counter.finance(HOME).post(path, {"note": "财政专户拨入"})
    after = (await counter.finance(HOME).get("/v1/bank-items", open=True, kind="entry_unknown")).json()["items"]
    assert [item["amount_fen"] for item in listed[-2:]] == [700, 5_000]
    assert codes(foreign) == ["auth.not-your-area"]
    assert codes(explained) == ["settlement.bank-item-on-suspense"]
    assert after == listed
    await holds(books)


async def test_the_other_end_of_a_payment_is_not_booked_again(books: Books, counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN))
    await counter.receive()
    before = await counter.balance(CITY, "bank")
    counter.report(CITY, counter.entry(order_id, PAYABLE_FEN, debit=False))
    await counter.receive()

    assert await counter.balance(CITY, "bank") == before
    entries = (await counter.order(order_id, CITY))["entries"]
    assert [(e["party"], e["outcome"]) for e in entries] == [(HOME, "paid"), (CITY, "mirrored")]


async def test_a_closing_balance_is_compared_with_the_books(counter: Counter) -> None:
    moved = await counter.balance(HOME, "bank")
    for balance_fen in (moved + 1, moved):
        counter.put(small_bank.statement(new_id(), counter.accounts[HOME], [], counter.today, balance_fen))
        await counter.receive()

    rows = await counter.books.rows(
        "SELECT amount_fen, closed_as FROM bank_item WHERE party = $1 AND kind = 'balance_differs' AND amount_fen = 1",
        HOME,
    )
    assert [tuple(row) for row in rows] == [(1, "agreed")]


async def test_an_order_without_an_answer_is_told_once(counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    await counter.watch()
    early = await counter.items([order_id])
    counter.moment += timedelta(days=20)
    await counter.watch()
    await counter.watch()
    late = await counter.items([order_id])
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN))
    await counter.receive()

    assert (early, late) == ([], [("unanswered", None)])
    assert await counter.items([order_id]) == [("unanswered", "answered")]


BAD = {
    "bomb": '<!DOCTYPE d [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><d>&b;</d>',
    "cut": "<Document>",
    "foreign": '<Document xmlns="urn:x"/>',
    "large": "<a>" + "x" * 1_000_001 + "</a>",
}


async def test_files_that_cannot_be_read_are_set_aside(counter: Counter, act_as: ActAs) -> None:
    for name, text in BAD.items():
        counter.put(text + f"<!--{new_id()}-->", f"{name}-{new_id()}.xml")
    unknown = small_bank.notification(new_id(), account_no(), [counter.entry(None, 1)], counter.today)
    counter.put(unknown, "unknown.xml")
    counter.put(small_bank.status_report(new_id(), new_id(), [], "ACCP"), "nobatch.xml")
    never = [small_bank.entry("r", None, 1, date(9999, 12, 31))]
    counter.put(small_bank.notification(new_id(), account_no(), never, counter.today), "day.xml")
    counter.put("x", "name.txt")
    await counter.receive()

    why = {
        f.name.split("-")[0]: f.read_text().split(":")[0].strip() for f in (counter.folder / "rejected").glob("*.why")
    }
    assert why == {
        "bomb": "entities",
        "cut": "not_xml",
        "foreign": "namespace",
        "large": "too_large",
        "unknown.xml.why": "account_unknown",
        "nobatch.xml.why": "batch_unknown",
        "day.xml.why": "day",
        "name.txt.why": "name",
    }
    listed = (await act_as("operator", "operations").get("/v1/bank-items", kind="file_refused", limit=200)).json()
    assert {"not_xml", "entities", "account_unknown"} <= {item["detail"].split(":")[0] for item in listed["items"]}
    assert list((counter.folder / "inbox").iterdir()) == []


async def test_one_file_that_fails_keeps_no_other_waiting(
    counter: Counter, month: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = await sent(counter, month)
    counter.put("anything", "a-breaks.xml")
    counter.put(
        small_bank.notification(
            new_id(), counter.accounts[HOME], [counter.entry(order_id, PAYABLE_FEN)], counter.today
        ),
        "b-good.xml",
    )
    reads = FolderBank.read

    def breaks(bank: FolderBank, name: str, max_bytes: int) -> bytes:
        if name == "a-breaks.xml":
            raise OSError(5, "the disk")
        return reads(bank, name, max_bytes)

    monkeypatch.setattr(FolderBank, "read", breaks)
    with pytest.raises(BaseExceptionGroup, match="some files"):
        await counter.receive()

    assert (await counter.order(order_id, HOME))["state"] == "settled"


async def test_nobody_approves_alone_and_large_orders_are_reviewed(
    counter: Counter, act_as: ActAs, books: Books
) -> None:
    hospital = Hospital(region=CARE)
    bill = hospital.bill(HOME, fund_fen=1_000_001, account_fen=0, cash_fen=0)
    await books.hear(hospital.changed(), bill)
    await submit(act_as("facility", hospital.code), hospital, [bill])
    month = Month(act_as, hospital)
    (case,) = await month.cases()
    await month.confirm(case)
    payment_id, order_id = await proposed(counter, month)
    approval, ids = f"/v1/payments/{payment_id}/approval", {"order_ids": [order_id]}

    def told(answer: Any) -> list[str]:
        return [error["code"] for error in answer.json()["items"][0]["errors"]]

    alone = await counter.finance(HOME, "one").post(approval)
    unreviewed = await counter.finance(HOME, "two").post(approval)
    own_review = await counter.finance(HOME, "one").post("/v1/order-reviews", ids)
    foreign = await counter.finance(CITY, "two").post("/v1/order-reviews", ids)
    reviewed = await counter.finance(HOME, "two").post("/v1/order-reviews", ids)
    twice = await counter.finance(HOME, "three").post("/v1/order-reviews", ids)
    by_reviewer = await counter.finance(HOME, "two").post(approval)
    approved = await counter.finance(HOME, "three").post(approval)
    again = await counter.finance(HOME, "four").post(approval)

    assert codes(alone) == ["settlement.review-missing", "settlement.same-person"]
    assert codes(unreviewed) == ["settlement.review-missing"]
    assert told(own_review) == ["settlement.same-person"]
    assert told(foreign) == ["settlement.not-payer-of-order"]
    assert (told(reviewed), told(twice)) == ([], ["settlement.order-state"])
    assert codes(by_reviewer) == ["settlement.same-person"]
    assert approved.status_code == 200
    assert codes(again) == ["settlement.order-state"]
    await counter.send()
    assert counter.asked(order_id) == 1


async def test_an_order_can_be_stopped_until_it_is_sent(counter: Counter, month: Month) -> None:
    payment_id, order_id = await proposed(counter, month)
    await counter.finance(HOME, "two").post(f"/v1/payments/{payment_id}/approval")
    stopped = await counter.finance(HOME, "three").post(f"/v1/orders/{order_id}/refusal", {"reason": "账户有误"})
    await counter.send()
    asked = counter.asked(order_id)
    again = (await counter.finance(HOME).post(f"/v1/orders/{order_id}/repeat")).json()["order_id"]
    await counter.finance(HOME, "two").post(f"/v1/payments/{payment_id}/approval")
    await counter.send()
    too_late = await counter.finance(HOME).post(f"/v1/orders/{again}/refusal", {"reason": "账户有误"})

    assert (stopped.json()["state"], stopped.json()["declined_reason"]) == ("declined", "账户有误")
    assert (asked, counter.asked(again)) == (0, 1)
    assert codes(too_late) == ["settlement.order-state"]


async def test_without_an_account_nothing_is_approved(counter: Counter, act_as: ActAs, books: Books) -> None:
    hospital = Hospital(region=CARE)
    bill = hospital.bill(CARE)
    await books.hear(hospital.changed(), bill)
    await submit(act_as("facility", hospital.code), hospital, [bill])
    month = Month(act_as, hospital)
    (case,) = await month.cases()
    await month.confirm(case)
    payment_id, order_id = await proposed(counter, month, CARE)
    approval = f"/v1/payments/{payment_id}/approval"
    missing = await counter.finance(CARE, "two").post(approval)
    await counter.open_account(hospital.code, CARE)
    approved = await counter.finance(CARE, "two").post(approval)

    assert codes(missing) == ["settlement.account-missing"]
    assert approved.status_code == 200
    await counter.send()
    assert counter.asked(order_id) == 1


async def test_accounts_are_kept_by_two_and_never_shown(counter: Counter, books: Books) -> None:
    hospital = Hospital(region=CARE)
    await books.hear(hospital.changed())
    path, number = f"/v1/bank-accounts/{hospital.code}", account_no()
    body = {
        "holder": "桐柏县人民医院",
        "account_no": number,
        "bank_code": "102508000017",
        "opening_on": "2026-01-01",
        "opening_fen": 0,
    }
    one, two = counter.finance(CARE), counter.finance(CARE, "two")
    bad = await one.post(f"{path}/versions", body | {"account_no": "12", "bank_code": "1"})
    taken = await one.post(f"{path}/versions", body | {"account_no": counter.accounts[HOME]})
    foreign = await counter.finance(HOME).post(f"{path}/versions", body)
    nobody = await one.post("/v1/bank-accounts/H00000000000/versions", body)
    first = await one.post(f"{path}/versions", body)
    waits = await one.post(f"{path}/versions", body)
    seen = {"version_no": 1}
    alone = await one.post(f"{path}/approval", seen)
    stranger = await counter.finance(HOME, "two").post(f"{path}/approval", seen)
    approved = await two.post(f"{path}/approval", seen)
    nothing = await two.post(f"{path}/approval", seen)
    await one.post(f"{path}/versions", body | {"account_no": account_no()})
    declined = await two.post(f"{path}/refusal", {"version_no": 2})
    shown = await one.get(path)

    assert codes(bad) == ["settlement.account-invalid", "settlement.bank-code-invalid"]
    assert codes(taken) == ["settlement.account-taken"]
    assert codes(foreign) == codes(stranger) == ["auth.not-your-area"]
    assert codes(nobody) == ["settlement.party-unknown"]
    assert (first.status_code, first.json()["state"]) == (201, "proposed")
    assert codes(waits) == ["settlement.account-waits"]
    assert codes(alone) == ["settlement.same-person"]
    assert (approved.json()["state"], approved.json()["current"]) == ("approved", True)
    assert codes(nothing) == ["settlement.account-unknown"]
    assert declined.json()["state"] == "declined"
    assert [version["current"] for version in shown.json()["items"]] == [True, False]
    assert shown.json()["items"][0]["account_no"].endswith(number[-4:])
    assert number not in shown.text
    kept = await books.rows("SELECT * FROM bank_account WHERE party = $1", hospital.code)
    assert number not in str([dict(row) for row in kept])


async def test_orders_are_nobody_elses(counter: Counter, month: Month) -> None:
    _, order_id = await proposed(counter, month)
    foreign = await counter.finance("411603").get(f"/v1/orders/{order_id}")
    listed = await counter.finance("411603").get("/v1/orders", limit=200)
    own = await counter.finance(HOME).get("/v1/orders", state="proposed", purpose="hop", limit=200)
    receiver = await counter.finance(CITY).get(f"/v1/orders/{order_id}")

    assert codes(foreign) == ["auth.not-your-area"]
    assert order_id not in listed.text
    assert order_id in {order["order_id"] for order in own.json()["items"]}
    assert receiver.status_code == 200


async def test_two_senders_at_once_send_once(counter: Counter, month: Month) -> None:
    payment_id, order_id = await proposed(counter, month)
    await counter.finance(HOME, "two").post(f"/v1/payments/{payment_id}/approval")

    await asyncio.gather(*(counter.send() for _ in range(4)))

    assert counter.asked(order_id) == 1


async def test_two_receivers_at_once_book_once(books: Books, counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    before = await counter.balance(HOME, "bank")
    counter.bank().answer()
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN, f"R{order_id}"))

    await asyncio.gather(*(counter.receive() for _ in range(3)))

    assert await counter.balance(HOME, "bank") - before == -PAYABLE_FEN
    assert list((counter.folder / "rejected").iterdir()) == [] if (counter.folder / "rejected").exists() else True
    await holds(books)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'approved', approved_by = proposed_by, approved_at = now()", "payment_order_four_eyes"),
        ("state = 'approved'", "payment_order_permitted"),
        ("state = 'settled', approved_by = 'x', approved_at = now()", "payment_order_batch"),
        ("reviewed_by = proposed_by, reviewed_at = now()", "payment_order_review"),
        ("debt_settled_at = now(), root_order_id = root_order_id", None),
        ("amount_fen = 1", None),
        ("payee = '411603'", None),
    ],
)
async def test_the_database_refuses_what_must_not_be(
    counter: Counter, month: Month, owner: Owner, change: str, constraint: str | None
) -> None:
    _, order_id = await proposed(counter, month)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await owner.execute(f"UPDATE payment_order SET {change} WHERE order_id = $1", order_id)
    if constraint is None:
        assert isinstance(refused.value, asyncpg.RestrictViolationError)
    else:
        assert getattr(refused.value, "constraint_name", None) == constraint


async def test_an_order_never_leaves_its_file(counter: Counter, month: Month, owner: Owner) -> None:
    order_id = await sent(counter, month)
    batch_id = (await counter.order(order_id, HOME))["batch_id"]
    for statement in (
        "UPDATE payment_order SET batch_id = NULL, state = 'approved' WHERE order_id = $1",
        "UPDATE bank_entry SET amount_fen = 0 WHERE order_id = $1",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(statement, order_id)
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("UPDATE bank_batch SET state = 'sending', sent_at = NULL WHERE batch_id = $1", batch_id)


async def test_money_the_bank_did_not_move_is_seen(books: Books, counter: Counter, month: Month, owner: Owner) -> None:
    """The invariants can fail: somebody writes that an order was paid twice."""
    order_id = await sent(counter, month)
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN))
    await counter.receive()
    await holds(books)
    await owner.execute("UPDATE payment_order SET paid_fen = 2 * paid_fen WHERE order_id = $1", order_id)
    found = await violations(books)
    await owner.execute("UPDATE payment_order SET paid_fen = paid_fen / 2 WHERE order_id = $1", order_id)

    assert {violation.invariant for violation in found} == {Invariant.DEBT_IS_PAID_ONCE}
    await holds(books)
