"""What the books tell, to whom: bills, balances, entries, the month's summary, and the proof."""

from __future__ import annotations

from typing import Any

from shared.events import new_id
from tests.services.settlement.fixtures import ActAs
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import (
    CHAIN,
    HENAN,
    HUAIYANG,
    NANYANG,
    WANCHENG,
    XIANGCHENG,
    ZHOUKOU,
    Books,
    Hospital,
)


async def test_each_sees_the_books_it_may(books: Books, hospital: Hospital, act_as: ActAs) -> None:
    bill = hospital.bill(WANCHENG)
    await books.hear(bill)
    chain = (hospital.code, HUAIYANG, ZHOUKOU, HENAN, NANYANG, WANCHENG)
    path = f"/v1/bills/{bill.settlement_id}"

    seen: dict[str, set[str]] = {}
    for role, party in [("facility", hospital.code), *(("finance", agency) for agency in chain[1:])]:
        answer = await act_as(role, party).get(path)
        seen[party] = {entry["book"] for entry in answer.json()["entries"]}

    assert seen == {
        hospital.code: {hospital.code},
        HUAIYANG: {HUAIYANG, hospital.code},
        ZHOUKOU: {ZHOUKOU, HUAIYANG, hospital.code},
        HENAN: set(chain),
        NANYANG: {NANYANG, WANCHENG},
        WANCHENG: {WANCHENG},
    }
    for stranger in (act_as("facility", Hospital().code), act_as("finance", XIANGCHENG)):
        assert codes(await stranger.get(path)) == ["auth.not-your-area"]
    assert codes(await act_as("finance", HUAIYANG).get(f"/v1/bills/{new_id()}")) == ["settlement.bill-unknown"]


async def test_bill_leads_to_its_reversal_case_and_payments(books: Books, hospital: Hospital, act_as: ActAs) -> None:
    bill, kept = hospital.bill(), hospital.bill()
    reversal = hospital.reversal(bill)
    await books.hear(bill, kept, reversal)
    await submit(act_as("facility", hospital.code), hospital, [bill, kept, reversal])
    month = Month(act_as, hospital)
    (case,) = await month.cases()
    await month.confirm(case)
    await month.pay(case, XIANGCHENG)

    detail = (await month.of(hospital.code).get(f"/v1/bills/{bill.settlement_id}")).json()

    assert (detail["reversed_by"], detail["case_id"]) == (reversal.settlement_id, case["case_id"])
    assert detail["case_state"] == "disbursing"
    assert [(p["payer"], p["payee"], p["amount_fen"]) for p in detail["payments"]] == [(XIANGCHENG, ZHOUKOU, 85_000)]
    bills = (await month.of(XIANGCHENG).get(f"/v1/cases/{case['case_id']}/bills", limit=2)).json()
    assert len(bills["items"]) == 2
    rest = (await month.of(XIANGCHENG).get(f"/v1/cases/{case['case_id']}/bills", cursor=bills["next_cursor"])).json()
    shown = {item["settlement_id"] for item in bills["items"] + rest["items"]}
    assert shown == {b.settlement_id for b in (bill, kept, reversal)}


async def test_cases_are_listed_for_who_takes_part(books: Books, hospital: Hospital, act_as: ActAs) -> None:
    await books.hear(hospital.bill(), hospital.bill(HUAIYANG))

    async def homes(role: str, party: str, **query: Any) -> list[str]:
        answer = await act_as(role, party).get("/v1/cases", facility_code=hospital.code, **query)
        return sorted(case["home_region"] for case in answer.json()["items"])

    assert await homes("facility", hospital.code) == [HUAIYANG, XIANGCHENG]
    assert await homes("officer", HUAIYANG) == [HUAIYANG, XIANGCHENG]
    assert await homes("partner", XIANGCHENG) == [XIANGCHENG]
    assert await homes("officer", ZHOUKOU) == [HUAIYANG, XIANGCHENG]
    assert await homes("officer", WANCHENG) == []
    assert await homes("facility", Hospital().code) == []
    assert await homes("officer", ZHOUKOU, home_region=XIANGCHENG, state="open") == [XIANGCHENG]
    assert await homes("officer", ZHOUKOU, state="closed") == []
    assert await homes("officer", ZHOUKOU, period="2000-01") == []


async def test_open_case_shows_the_numbers_of_the_moment(books: Books, hospital: Hospital, act_as: ActAs) -> None:
    await books.hear(hospital.bill())
    month = Month(act_as, hospital)
    (one,) = await month.cases()
    await books.hear(hospital.bill())
    (two,) = await month.cases()

    assert [(c["bill_count"], c["payable_fen"], c["numbers_hash"]) for c in (one, two)] == [
        (1, 85_000, None),
        (2, 170_000, None),
    ]


async def test_book_of_a_facility_by_balance_and_line(books: Books, hospital: Hospital, act_as: ActAs) -> None:
    await books.hear(*(hospital.bill() for _ in range(3)))
    his = act_as("facility", hospital.code)

    book = (await his.get(f"/v1/books/{hospital.code}/balances")).json()
    first = (await his.get(f"/v1/books/{hospital.code}/entries", limit=4)).json()
    rest = (await his.get(f"/v1/books/{hospital.code}/entries", limit=4, cursor=first["next_cursor"])).json()
    owed = (await his.get(f"/v1/books/{hospital.code}/entries", account_kind="receivable")).json()["items"]

    assert book["sum_fen"] == 0
    assert [(b["account_kind"], b["balance_fen"]) for b in book["balances"]] == [
        ("medical_income", -255_000),
        ("receivable", 255_000),
    ]
    lines = first["items"] + rest["items"]
    assert (len(lines), sum(line["amount_fen"] for line in lines), rest["next_cursor"]) == (6, 0, None)
    assert {(line["counterparty"], line["amount_fen"]) for line in owed} == {(HUAIYANG, 85_000)}
    for forged in ("eA==", "eCB4", "eCAxMjM0NTY3ODkwMTI="):
        answer = await his.get(f"/v1/books/{hospital.code}/entries", cursor=forged)
        assert codes(answer) == ["request.cursor-invalid"]


async def test_books_are_read_by_their_party_and_those_above(hospital: Hospital, act_as: ActAs) -> None:
    async def answers(role: str, party: str) -> dict[str, int]:
        caller = act_as(role, party)
        books = (hospital.code, HUAIYANG, ZHOUKOU, XIANGCHENG)
        return {book: (await caller.get(f"/v1/books/{book}/balances")).status_code for book in books}

    assert list((await answers("facility", hospital.code)).values()) == [200, 403, 403, 403]
    assert list((await answers("finance", HUAIYANG)).values()) == [200, 200, 403, 403]
    assert list((await answers("finance", ZHOUKOU)).values()) == [200, 200, 200, 200]
    unknown = await act_as("finance", ZHOUKOU).get("/v1/books/H00000000000/balances")
    assert codes(unknown) == ["settlement.party-unknown"]


async def test_summary_tells_owed_owing_paid_and_received(books: Books, hospital: Hospital, act_as: ActAs) -> None:
    await books.hear(hospital.bill(), hospital.bill())
    his = act_as("facility", hospital.code)
    await submit(his, hospital, [hospital.bill(), hospital.bill()])
    month = Month(act_as, hospital)
    (case,) = await month.cases()
    await month.confirm(case)
    await month.pay(case, XIANGCHENG)

    parties = (await his.get(f"/v1/periods/{hospital.month}/summary")).json()["parties"]

    table = {
        p["party"]: (p["owed_fen"], p["owing_fen"], p["borne_fen"], p["paid_fen"], p["received_fen"]) for p in parties
    }
    assert table == {
        hospital.code: (170_000, 0, 0, 0, 0),
        HUAIYANG: (170_000, 170_000, 0, 0, 0),
        ZHOUKOU: (170_000, 170_000, 0, 0, 170_000),
        XIANGCHENG: (0, 170_000, 170_000, 170_000, 0),
    }


async def test_proof_adds_everything_up(books: Books, hospital: Hospital, act_as: ActAs) -> None:
    """Whatever the other tests booked, confirmed and paid on the same database is in it."""
    await books.hear(hospital.bill())

    proof = (await act_as("operator", "operations").get("/v1/proof")).json()

    off = {name: value for name, value in proof.items() if name.endswith(("_off", "_unbooked")) and value}
    assert (off, proof["ledger_sum_fen"], proof["holds"]) == ({}, 0, True)
    assert {book["sum_fen"] for book in proof["books"]} == {0}
    assert set(CHAIN) <= {book["book"] for book in proof["books"]}
    assert proof["bills_payable_fen"] == proof["ledger_borne_fen"] == proof["ledger_income_fen"]
    assert proof["paid_fen"] == proof["received_fen"]
    assert codes(await act_as("officer", ZHOUKOU).get("/v1/proof")) == ["auth.role-not-allowed"]
