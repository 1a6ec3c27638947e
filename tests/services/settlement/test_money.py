"""From the match to the last fen, against the running service: confirmations, payments, and what is due."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.settlement.config import SettlementSettings
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.reminders import remind
from shared.events import new_id
from shared.events.settlement import (
    CaseClosed,
    Disbursed,
    MoneyMoved,
    PartyConfirmed,
    Reconciled,
    ReconciliationDue,
    Remitted,
)
from shared.workdays import WorkCalendar, shanghai_day
from tests.services.settlement.fixtures import ActAs, Caller, Heard, Owner, waits
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import CHAIN, HUAIYANG, REGIONS, XIANGCHENG, ZHOUKOU, Books, Hospital


class Month:
    """The cases of one hospital's month and everybody who acts on them."""

    def __init__(self, act_as: ActAs, hospital: Hospital) -> None:
        self._act_as, self.hospital = act_as, hospital

    def of(self, party: str, subject: str = "one") -> Caller:
        """Somebody who acts for a party."""
        return self._act_as("facility" if party == self.hospital.code else "finance", party, f"{subject}@{party}")

    async def cases(self) -> list[dict[str, Any]]:
        """All cases, as the facility sees them."""
        answer = await self.of(self.hospital.code).get("/v1/cases", period=self.hospital.month)
        return answer.json()["items"]  # type: ignore[no-any-return]

    async def case(self, case_id: str) -> dict[str, Any]:
        """One case in detail."""
        return (await self.of(self.hospital.code).get(f"/v1/cases/{case_id}")).json()  # type: ignore[no-any-return]

    async def confirm(self, case: dict[str, Any], *parties: str) -> None:
        """Confirmations of the numbers the parties see."""
        for party in parties or (self.hospital.code, *case["chain"]):
            body = {"numbers_hash": case["numbers_hash"]}
            answer = await self.of(party).post(f"/v1/cases/{case['case_id']}/confirmations", body)
            assert answer.status_code == 200, answer.text

    async def pay(self, case: dict[str, Any], payer: str) -> None:
        """One hop, by two people of the payer."""
        proposed = await self.of(payer, "one").post("/v1/payments", {"case_id": case["case_id"]})
        assert proposed.status_code == 201, proposed.text
        paid = await self.of(payer, "two").post(f"/v1/payments/{proposed.json()['payment_id']}/approval")
        assert paid.status_code == 200, paid.text


@pytest.fixture
async def month(books: Books, act_as: ActAs, hospital: Hospital) -> Month:
    """A matched month with one case of another county."""
    bills = [hospital.bill(), hospital.bill()]
    await books.hear(*bills)
    await submit(act_as("facility", hospital.code), hospital, [*bills])
    return Month(act_as, hospital)


async def test_money_goes_from_home_to_the_facility(books: Books, month: Month) -> None:
    (case,) = await month.cases()
    await month.confirm(case)
    states = [(await month.case(case["case_id"]))["state"]]
    for payer in (XIANGCHENG, ZHOUKOU, HUAIYANG):
        await month.pay(case, payer)
        states.append((await month.case(case["case_id"]))["state"])

    assert states == ["confirmed", "disbursing", "disbursing", "closed"]
    hops = (await month.case(case["case_id"]))["hops"]
    assert [(h["payer"], h["payee"], h["kind"], h["state"]) for h in hops] == [
        (XIANGCHENG, ZHOUKOU, "remittance", "paid"),
        (ZHOUKOU, HUAIYANG, "disbursement", "paid"),
        (HUAIYANG, month.hospital.code, "disbursement", "paid"),
    ]
    assert await books.balances(month.hospital) == {
        (month.hospital.code, "bank", ""): 170_000,
        (month.hospital.code, "medical_income", ""): -170_000,
        (XIANGCHENG, "fund_expenditure", ""): 160_000,
        (XIANGCHENG, "personal_account", ""): 10_000,
        (XIANGCHENG, "bank", ""): -170_000,
    }


async def test_every_step_is_announced_in_order(month: Month, heard: Heard) -> None:
    (case,) = await month.cases()
    await month.confirm(case)
    for payer in (XIANGCHENG, ZHOUKOU, HUAIYANG):
        await month.pay(case, payer)

    told = await heard(case["case_id"])

    assert [(type(event), getattr(event, "party", getattr(event, "payer", None))) for event in told] == [
        *((PartyConfirmed, party) for party in (month.hospital.code, *CHAIN)),
        (Reconciled, None),
        (Remitted, XIANGCHENG),
        (Disbursed, ZHOUKOU),
        (Disbursed, HUAIYANG),
        (CaseClosed, None),
    ]
    amounts = {event.amount_fen for event in told if isinstance(event, MoneyMoved)}
    assert amounts == {case["payable_fen"]}


async def test_history_tells_who_did_what_on_which_numbers(month: Month) -> None:
    (case,) = await month.cases()
    await month.confirm(case)
    await month.pay(case, XIANGCHENG)

    detail = await month.case(case["case_id"])

    assert [(step["step"], step["party"]) for step in detail["history"]] == [
        ("submit", month.hospital.code),
        ("match", month.hospital.code),
        ("confirm", month.hospital.code),
        *(("confirm", agency) for agency in CHAIN),
        ("reconcile", "settlement"),
        ("propose_payment", XIANGCHENG),
        ("pay_hop_1", XIANGCHENG),
    ]
    assert {step["numbers_hash"] for step in detail["history"][1:7]} == {case["numbers_hash"]}
    assert [(p["party"], p["capacity"]) for p in detail["parties"]] == [
        (month.hospital.code, "facility"),
        (HUAIYANG, "care"),
        (ZHOUKOU, "clearing"),
        (XIANGCHENG, "home"),
    ]


async def test_nobody_confirms_other_numbers_than_they_saw(books: Books, month: Month) -> None:
    (seen,) = await month.cases()
    late = month.hospital.bill()
    await books.hear(late)
    path = f"/v1/cases/{seen['case_id']}/confirmations"
    body = {"numbers_hash": seen["numbers_hash"]}

    reopened = await month.of(HUAIYANG).post(path, body)
    answer = await month.of(month.hospital.code).get("/v1/statements")
    (statement,) = answer.json()["items"]
    await submit(
        month.of(month.hospital.code),
        month.hospital,
        [*(await _booked(books, month)), late],
    )
    stale = await month.of(HUAIYANG).post(path, body)
    (now,) = await month.cases()
    fresh = await month.of(HUAIYANG).post(path, {"numbers_hash": now["numbers_hash"]})

    assert statement["state"] in ("reopened", "details_wanted")
    assert codes(reopened) == ["settlement.case-not-matched"]
    assert (stale.status_code, codes(stale)) == (409, ["settlement.numbers-changed"])
    assert fresh.status_code == 200


async def _booked(books: Books, month: Month) -> list[Any]:
    """Bills like those of the fixture: two of the standard amounts."""
    return [month.hospital.bill(), month.hospital.bill()]


async def test_hash_can_be_computed_by_whoever_confirms(month: Month) -> None:
    """From the case's bills as anybody reads them, by the rule the interface states."""
    (case,) = await month.cases()
    bills = (await month.of(XIANGCHENG).get(f"/v1/cases/{case['case_id']}/bills")).json()["items"]
    names = ("settlement_id", "total_fen", "fund_fen", "account_fen")
    lines = sorted(" ".join(str(bill[name]) for name in names) for bill in bills)

    text = "\n".join([case["case_id"], *lines])

    assert hashlib.sha256(text.encode()).hexdigest() == case["numbers_hash"]


async def test_confirmations_that_are_refused(month: Month, act_as: ActAs) -> None:
    (case,) = await month.cases()
    path, body = f"/v1/cases/{case['case_id']}/confirmations", {"numbers_hash": case["numbers_hash"]}

    stranger = await act_as("finance", "411621").post(path, body)
    above = await act_as("finance", "410000").post(path, body)
    officer = await act_as("officer", HUAIYANG).post(path, body)
    unknown = await month.of(HUAIYANG).post(f"/v1/cases/{new_id()}/confirmations", body)

    assert codes(stranger) == codes(above) == ["settlement.not-in-chain"]
    assert codes(officer) == ["auth.role-not-allowed"]
    assert codes(unknown) == ["settlement.case-unknown"]


async def test_all_parties_at_once_reconcile_once(books: Books, month: Month) -> None:
    (case,) = await month.cases()

    await asyncio.gather(*(month.confirm(case, party) for party in (month.hospital.code, *CHAIN) * 3))

    detail = await month.case(case["case_id"])
    assert detail["state"] == "confirmed"
    assert Counter(step["step"] for step in detail["history"])["reconcile"] == 1
    assert await books.value("SELECT count(*) FROM hop WHERE case_id = $1", case["case_id"]) == 3


async def test_month_somebody_confirmed_takes_no_new_statement(month: Month) -> None:
    (case,) = await month.cases()
    await month.confirm(case, HUAIYANG)

    answer = await month.of(month.hospital.code).post("/v1/statements", {"period": month.hospital.month, "totals": []})

    assert (answer.status_code, codes(answer)) == (409, ["settlement.month-confirmed"])


async def test_bill_after_a_confirmation_joins_the_next_month(books: Books, month: Month) -> None:
    (case,) = await month.cases()
    await month.confirm(case, HUAIYANG)

    await books.hear(month.hospital.bill())

    (unchanged,) = await month.cases()
    assert unchanged["bill_count"] == 2
    answer = await month.of(month.hospital.code).get("/v1/cases")
    assert [(c["period"] > month.hospital.month, c["bill_count"]) for c in answer.json()["items"]] == [
        (False, 2),
        (True, 1),
    ]


async def test_many_confirmations_at_once_have_a_result_each(books: Books, act_as: ActAs, hospital: Hospital) -> None:
    bills = [hospital.bill(), hospital.bill(HUAIYANG)]
    await books.hear(*bills)
    await submit(act_as("facility", hospital.code), hospital, [*bills])
    month = Month(act_as, hospital)
    cases = await month.cases()
    items = [{"case_id": c["case_id"], "numbers_hash": c["numbers_hash"]} for c in cases]
    items += [{"case_id": new_id(), "numbers_hash": "0" * 64}]

    answer = await month.of(XIANGCHENG).post("/v1/confirmations", {"items": items})

    results = {
        item["case_id"]: (item["state"], [error["code"] for error in item["errors"]]) for item in answer.json()["items"]
    }
    assert [results[item["case_id"]] for item in items] == [
        ("matched", []) if c["home_region"] == XIANGCHENG else (None, ["settlement.not-in-chain"]) for c in cases
    ] + [(None, ["settlement.case-unknown"])]
    twice = await month.of(XIANGCHENG).post("/v1/confirmations", {"items": [items[0], items[0]]})
    assert codes(twice) == ["request.field-invalid"]


async def test_payments_in_the_wrong_order_or_hands_are_refused(month: Month) -> None:
    (case,) = await month.cases()
    body = {"case_id": case["case_id"]}
    too_early = await month.of(XIANGCHENG).post("/v1/payments", body)
    await month.confirm(case)

    waiting = await month.of(ZHOUKOU).post("/v1/payments", body)
    receiver = await month.of(month.hospital.code).post("/v1/payments", body)
    proposed = await month.of(XIANGCHENG).post("/v1/payments", body)
    again = await month.of(XIANGCHENG).post("/v1/payments", body)
    path = f"/v1/payments/{proposed.json()['payment_id']}/approval"
    alone = await month.of(XIANGCHENG).post(path)
    foreign = await month.of(ZHOUKOU, "two").post(path)
    paid = await month.of(XIANGCHENG, "two").post(path)
    twice = await month.of(XIANGCHENG, "three").post(path)

    assert codes(too_early) == ["settlement.case-not-reconciled"]
    assert codes(waiting) == ["settlement.not-received-yet"]
    assert codes(receiver) == ["settlement.not-the-payer"]
    assert codes(again) == ["settlement.payment-exists"]
    assert (alone.status_code, codes(alone)) == (403, ["settlement.same-person"])
    assert codes(foreign) == ["settlement.not-the-payer"]
    assert (paid.status_code, paid.json()["state"]) == (200, "paid")
    assert codes(twice) == ["settlement.payment-done"]


async def test_payment_needs_a_key_and_repeats_its_answer(books: Books, month: Month) -> None:
    (case,) = await month.cases()
    await month.confirm(case)
    payer, body, key = month.of(XIANGCHENG), {"case_id": case["case_id"]}, new_id()

    bare = await payer.post("/v1/payments", body, key=None)
    first = await payer.post("/v1/payments", body, key)
    again = await payer.post("/v1/payments", body, key)
    approval = f"/v1/payments/{first.json()['payment_id']}/approval"
    twins = await asyncio.gather(*(month.of(XIANGCHENG, "two").post(approval, key="approval-1") for _ in range(10)))
    asked = await payer.get("/v1/requests", key=key)

    assert codes(bare) == ["idempotency.key-missing"]
    assert (first.status_code, again.text, asked.text) == (201, first.text, first.text)
    assert {answer.text for answer in twins} == {twins[0].text}
    assert twins[0].json()["state"] == "paid"
    entries = "SELECT count(*) FROM ledger_entry WHERE transaction_id = $1"
    assert await books.value(entries, first.json()["payment_id"]) == 4


async def test_two_people_at_once_pay_once(books: Books, month: Month) -> None:
    (case,) = await month.cases()
    await month.confirm(case)
    body, people = {"case_id": case["case_id"]}, ("one", "two", "three", "four")

    proposals = await asyncio.gather(*(month.of(XIANGCHENG, name).post("/v1/payments", body) for name in people))
    (proposed,) = [answer.json() for answer in proposals if answer.status_code == 201]
    path = f"/v1/payments/{proposed['payment_id']}/approval"
    others = [name for name in people if not proposed["proposed_by"].startswith(f"{name}@")]
    approvals = await asyncio.gather(*(month.of(XIANGCHENG, name).post(path) for name in others))

    assert sorted(answer.status_code for answer in proposals) == [201, 409, 409, 409]
    assert {code for a in proposals if a.status_code == 409 for code in codes(a)} == {"settlement.payment-exists"}
    assert sorted(answer.status_code for answer in approvals) == [200, 409, 409]
    assert {code for a in approvals if a.status_code == 409 for code in codes(a)} == {"settlement.payment-done"}
    bank = "SELECT sum(amount_fen) FROM ledger_entry WHERE transaction_id = $1 AND amount_fen > 0"
    assert await books.value(bank, proposed["payment_id"]) == 2 * case["payable_fen"], "once in each of two books"


async def test_many_payments_at_once(books: Books, act_as: ActAs) -> None:
    """Two hospitals, paid by one county in one go."""
    months = []
    for _ in range(2):
        hospital = Hospital()
        bill = hospital.bill()
        await books.hear(hospital.changed(), bill)
        await submit(act_as("facility", hospital.code), hospital, [bill])
        months.append(Month(act_as, hospital))
    cases = [(await month.cases())[0] for month in months]
    for month, case in zip(months, cases, strict=True):
        await month.confirm(case)
    case_ids = [case["case_id"] for case in cases]

    proposed = await months[0].of(XIANGCHENG).post("/v1/payment-batches", {"case_ids": [*case_ids, new_id()]})
    payment_ids = [item["payment_id"] for item in proposed.json()["items"][:2]]
    alone = await months[0].of(XIANGCHENG).post("/v1/payment-approvals", {"payment_ids": payment_ids})
    approved = await months[0].of(XIANGCHENG, "two").post("/v1/payment-approvals", {"payment_ids": payment_ids})

    assert [error["code"] for error in proposed.json()["items"][2]["errors"]] == ["settlement.case-unknown"]
    assert {e["code"] for item in alone.json()["items"] for e in item["errors"]} == {"settlement.same-person"}
    assert [item["case_state"] for item in approved.json()["items"]] == ["disbursing", "disbursing"]


async def negative_month(books: Books, act_as: ActAs, hospital: Hospital, home: str) -> Month:
    """A month whose only case is one that gives money back."""
    bill = hospital.bill(home)
    reversal = hospital.reversal(bill)
    await books.hear(reversal)
    await submit(act_as("facility", hospital.code), hospital, [reversal])
    return Month(act_as, hospital)


async def test_negative_case_is_paid_the_other_way_round(books: Books, act_as: ActAs, hospital: Hospital) -> None:
    month = await negative_month(books, act_as, hospital, XIANGCHENG)
    (case,) = await month.cases()
    await month.confirm(case)

    for payer in (hospital.code, HUAIYANG, ZHOUKOU):
        await month.pay(case, payer)

    assert (await month.case(case["case_id"]))["state"] == "closed"
    assert await books.balances(hospital) == {
        (hospital.code, "bank", ""): -85_000,
        (hospital.code, "medical_income", ""): 85_000,
        (XIANGCHENG, "fund_expenditure", ""): -80_000,
        (XIANGCHENG, "personal_account", ""): -5_000,
        (XIANGCHENG, "bank", ""): 85_000,
    }


async def test_case_that_comes_to_nothing_closes_at_its_confirmation(
    books: Books, act_as: ActAs, hospital: Hospital
) -> None:
    bill = hospital.bill()
    reversal = hospital.reversal(bill)
    await books.hear(bill, reversal)
    await submit(act_as("facility", hospital.code), hospital, [bill, reversal])
    month = Month(act_as, hospital)
    (case,) = await month.cases()

    await month.confirm(case)

    assert (await month.case(case["case_id"]))["state"] == "closed"


# Dues


async def due_of(month: Month, party: str) -> list[tuple[str, int]]:
    """What is due for a party about this hospital: kind and working days left."""
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = (await month.of(party).get("/v1/due", limit=200, **({"cursor": cursor} if cursor else {}))).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    mine = [item for item in items if item["facility_code"] == month.hospital.code]
    return [(item["kind"], item["working_days_left"]) for item in mine]


async def test_due_follows_whose_turn_it_is(month: Month) -> None:
    calendar, today = WorkCalendar(), shanghai_day(datetime.now(UTC))
    fifteen = calendar.between(today, calendar.add(today, 15).day)
    ten = calendar.between(today, calendar.add(today, 10).day)
    (case,) = await month.cases()
    at_first = {party: await due_of(month, party) for party in CHAIN}
    await month.confirm(case)
    confirmed = {party: await due_of(month, party) for party in CHAIN}
    await month.pay(case, XIANGCHENG)
    remitted = {party: await due_of(month, party) for party in CHAIN}

    assert at_first == {party: [("reconciliation", fifteen)] for party in CHAIN}
    assert confirmed == {XIANGCHENG: [("remittance", ten)], ZHOUKOU: [], HUAIYANG: []}
    assert remitted == {XIANGCHENG: [], ZHOUKOU: [("disbursement", ten)], HUAIYANG: []}


async def reminders(heard: Heard, case_id: str) -> Counter[tuple[str, int]]:
    """Reminders of a case announced so far: party and working days left."""
    return Counter((e.party, e.working_days_left) for e in await heard(case_id) if isinstance(e, ReconciliationDue))


async def test_reminders_go_out_once_at_each_distance(books: Books, month: Month, heard: Heard) -> None:
    (case,) = await month.cases()
    await month.confirm(case, HUAIYANG)
    parts = Settlement(books.database, REGIONS, SettlementSettings(), WorkCalendar(), books.ledger_key)
    (due_on,) = {
        row["due_on"]
        for row in await books.rows("SELECT due_on FROM due WHERE case_id = $1 AND done_at IS NULL", case["case_id"])
    }
    noon_of_due_day = datetime(due_on.year, due_on.month, due_on.day, 4, tzinfo=UTC)

    def clock_at(days: int) -> Any:
        return lambda: noon_of_due_day + timedelta(days=days)

    for days in (-40, -40, 0, 0, 30, 30):
        await remind(parts, clock_at(days))

    late = WorkCalendar().between(shanghai_day(clock_at(30)()), due_on)
    sent = await reminders(heard, case["case_id"])
    assert sent == {(party, left): 1 for party in (month.hospital.code, ZHOUKOU, XIANGCHENG) for left in (0, late)}
    recorded = await books.rows(
        "SELECT distance FROM reminder WHERE case_id = $1 AND party = $2 ORDER BY distance", case["case_id"], ZHOUKOU
    )
    assert [row["distance"] for row in recorded] == [-5, -1, 0, 2, 5]


async def test_two_workers_remind_once(books: Books, month: Month, owner: Owner, heard: Heard) -> None:
    """Both have found the same dues when they come to record them."""
    (case,) = await month.cases()
    parts = Settlement(books.database, REGIONS, SettlementSettings(), WorkCalendar(), books.ledger_key)
    later = datetime.now(UTC) + timedelta(days=60)

    async with owner.transaction():
        await owner.execute("LOCK TABLE reminder IN SHARE MODE")
        workers = [asyncio.create_task(remind(parts, lambda: later)) for _ in range(2)]
        await waits(books, "INSERT INTO reminder", connections=2)
    await asyncio.gather(*workers)

    sent = await reminders(heard, case["case_id"])
    assert sorted(party for party, _ in sent) == sorted([month.hospital.code, *CHAIN])
    assert set(sent.values()) == {1}
