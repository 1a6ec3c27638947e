"""Unknown movements of the bank become what they were: by two people, off suspense, to the fen."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from deploy.local import bank as small_bank
from deploy.local.bank import Bank
from services.settlement.rules.orders import Purpose
from services.settlement.store import invariants as invariant_store
from services.settlement.store.invariants import Invariant
from services.settlement.use_cases import clearing, identifications
from services.settlement.use_cases.bank_receiving import receive
from services.settlement.use_cases.identifications import Said
from shared.events import new_id
from shared.refusals import Refused
from shared.workdays import shanghai_day
from tests.services.settlement.banking import Counter
from tests.services.settlement.cycles import NOW
from tests.services.settlement.fixtures import Owner
from tests.services.settlement.test_bank import (
    CARE,
    CITY,
    HOME,
    PAYABLE_FEN,
    counter,
    data_keys,
    holds,
    hop,
    month,
    proposed,
    sent,
)
from tests.services.settlement.test_bank_positions import Desk, desk, finance
from tests.services.settlement.test_invariants import unguarded
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import Books, Hospital

RECORDS, ALSO_RECORDS = "411321", "411322"
"""Two more counties of the city, which record their payments."""
__all__ = ["counter", "data_keys", "desk", "month"]


async def unknown(
    counter: Counter, party: str, amount_fen: int, *, debit: bool = True, keeper: str | None = None
) -> int:
    """A movement of a party's account that names nothing: the item that tells its keeper of it."""
    counter.report(party, counter.entry(None, amount_fen, debit=debit))
    await counter.receive()
    agency = keeper or party
    listed = await counter.finance(agency).get("/v1/bank-items", open=True, kind="entry_unknown", limit=200)
    return max(item["item_no"] for item in listed.json()["items"] if item["party"] == agency)  # type: ignore[no-any-return]


async def say(counter: Counter, party: str, item_no: int, subject: str = "one", **said: Any) -> Any:
    """What somebody says it was."""
    body = {"reason": "已核对银行回单", **said}
    return await counter.finance(party, subject).post(f"/v1/bank-items/{item_no}/identifications", body)


async def agree(counter: Counter, party: str, said: Any, subject: str = "two") -> Any:
    """Another person's approval."""
    assert said.status_code == 201, said.text
    path = f"/v1/bank-identifications/{said.json()['identification_id']}/approval"
    return await counter.finance(party, subject).post(path)


async def booked(counter: Counter, party: str, item_no: int, **said: Any) -> dict[str, Any]:
    """Said by one, booked by another."""
    answer = await agree(counter, party, await say(counter, party, item_no, **said))
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def both(counter: Counter, party: str) -> tuple[int, int]:
    """Bank and suspense of a book."""
    return await counter.balance(party, "bank"), await counter.balance(party, "suspense")


async def test_a_payment_without_its_name_settles_its_order(books: Books, counter: Counter, month: Month) -> None:
    bank, suspense = await both(counter, HOME)
    order_id = await sent(counter, month)
    item_no = await unknown(counter, HOME, PAYABLE_FEN)
    on_suspense = await both(counter, HOME)
    said = await say(counter, HOME, item_no, order_id=order_id)
    again = await say(counter, HOME, item_no, "three", order_id=order_id)
    alone = await agree(counter, HOME, said, "one")
    foreign = await agree(counter, CITY, said)
    approved = await agree(counter, HOME, said)
    twice = await agree(counter, HOME, said, "three")

    assert on_suspense == (bank - PAYABLE_FEN, suspense + PAYABLE_FEN)
    assert codes(again) == ["settlement.movement-known"]
    assert codes(alone) == ["settlement.same-person"]
    assert codes(foreign) == ["settlement.movement-not-yours"]
    assert (approved.json()["state"], approved.json()["outcome"]) == ("approved", "paid")
    assert codes(twice) == ["settlement.identification-decided"]
    assert await both(counter, HOME) == (bank - PAYABLE_FEN, suspense)
    order = await counter.order(order_id, HOME)
    assert (order["state"], await hop(month)) == ("settled", "paid")
    assert [(e["amount_fen"], e["outcome"]) for e in order["entries"]] == [(PAYABLE_FEN, "paid")]
    closed = await books.value("SELECT closed_as FROM bank_item WHERE item_no = $1", item_no)
    assert closed == "identified"
    assert codes(await say(counter, HOME, item_no, order_id=order_id)) == ["settlement.movement-known"]
    await holds(books)


async def test_a_part_without_its_name_counts_for_its_order(books: Books, counter: Counter, month: Month) -> None:
    bank, suspense = await both(counter, HOME)
    order_id = await sent(counter, month)
    await booked(counter, HOME, await unknown(counter, HOME, 100_000), order_id=order_id)
    halfway = (await counter.order(order_id, HOME))["state"], await both(counter, HOME)
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN - 100_000))
    await counter.receive()

    assert halfway == ("partly_paid", (bank - 100_000, suspense + 100_000)), "on suspense to the payee, not to nobody"
    assert ((await counter.order(order_id, HOME))["state"], await hop(month)) == ("settled", "paid")
    assert await both(counter, HOME) == (bank - PAYABLE_FEN, suspense)
    assert ("partial", None) in await counter.items([order_id])
    await holds(books)


async def test_money_that_came_back_without_its_name_is_owed_again(
    books: Books, counter: Counter, month: Month
) -> None:
    order_id = await sent(counter, month)
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN))
    await counter.receive()
    bank, suspense = await both(counter, HOME)
    more = await unknown(counter, HOME, PAYABLE_FEN + 1, debit=False)
    item_no = await unknown(counter, HOME, PAYABLE_FEN, debit=False)
    too_much = await say(counter, HOME, more, order_id=order_id)
    found = await booked(counter, HOME, item_no, order_id=order_id)

    assert codes(too_much) == ["settlement.movement-amount"]
    assert found["outcome"] == "returned"
    assert (await counter.order(order_id, HOME))["state"] == "returned"
    assert await both(counter, HOME) == (bank + 2 * PAYABLE_FEN + 1, suspense - 2 * PAYABLE_FEN - 1)
    again = await counter.finance(HOME, "three").post(f"/v1/orders/{order_id}/repeat")
    assert again.status_code == 201
    await holds(books)


async def test_the_other_end_without_its_name_is_in_the_books_already(
    books: Books, counter: Counter, month: Month
) -> None:
    order_id = await sent(counter, month)
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN))
    await counter.receive()
    bank, suspense = await both(counter, CITY)
    found = await booked(counter, CITY, await unknown(counter, CITY, PAYABLE_FEN, debit=False), order_id=order_id)
    second = await say(counter, CITY, await unknown(counter, CITY, 1, debit=False), order_id=order_id)
    backwards = await say(counter, CITY, await unknown(counter, CITY, PAYABLE_FEN), order_id=order_id)

    assert found["outcome"] == "mirrored"
    assert await both(counter, CITY) == (bank + 1 - PAYABLE_FEN, suspense - 1 + PAYABLE_FEN), "but for the two others"
    assert codes(second) == ["settlement.movement-amount"]
    assert codes(backwards) == ["settlement.movement-not-of-it"]
    await holds(books)


async def paid_to_the_city(counter: Counter, month: Month) -> dict[str, Any]:
    """The case once home has paid: the city, which records, owes the county of care."""
    order_id = await sent(counter, month)
    counter.report(HOME, counter.entry(order_id, PAYABLE_FEN))
    await counter.receive()
    (case,) = await month.cases()
    return case


async def test_what_a_party_owed_is_settled_by_its_money(books: Books, counter: Counter, month: Month) -> None:
    case = await paid_to_the_city(counter, month)
    debt = {"purpose": "hop", "reference": case["case_id"]}
    bank, suspense = await both(counter, CARE)
    at_city = await both(counter, CITY)
    other = await unknown(counter, CARE, PAYABLE_FEN - 1, debit=False)
    item_no = await unknown(counter, CARE, PAYABLE_FEN, debit=False)
    wrong_amount = await say(counter, CARE, other, debt=debt)
    stranger = await say(counter, HOME, await unknown(counter, HOME, PAYABLE_FEN, debit=False), debt=debt)
    found = await booked(counter, CARE, item_no, debt=debt)
    settled = await both(counter, CITY)
    mirrored = await booked(counter, CITY, await unknown(counter, CITY, PAYABLE_FEN), debt=debt)

    assert codes(wrong_amount) == ["settlement.movement-amount"]
    assert codes(stranger) == ["settlement.debt-unknown"]
    assert (found["outcome"], mirrored["outcome"]) == ("settled", "mirrored")
    assert (await hop(month, 2), await hop(month, 3)) == ("paid", "payable")
    assert await both(counter, CARE) == (bank + 2 * PAYABLE_FEN - 1, suspense - PAYABLE_FEN + 1)
    assert settled == (at_city[0] - PAYABLE_FEN, at_city[1]), "its bank's word changes nothing any more"
    assert await both(counter, CITY) == settled
    steps = await books.rows(
        "SELECT party, subject FROM case_step WHERE case_id = $1 AND step LIKE '%pay%' ORDER BY step_no DESC LIMIT 2",
        case["case_id"],
    )
    assert [tuple(step) for step in steps] == [(CARE, f"two@{CARE}"), (CARE, f"one@{CARE}")], "who saw it, not who paid"
    await holds(books)


async def test_what_is_recorded_as_paid_is_not_booked_by_the_bank_again(
    books: Books, counter: Counter, month: Month
) -> None:
    case = await paid_to_the_city(counter, month)
    await month.pay(case, CITY)
    bank, suspense = await both(counter, CARE)
    debt = {"purpose": "hop", "reference": case["case_id"]}
    item_no = await unknown(counter, CARE, PAYABLE_FEN, debit=False)
    found = await booked(counter, CARE, item_no, debt=debt)
    second = await say(counter, CARE, await unknown(counter, CARE, PAYABLE_FEN, debit=False), debt=debt)

    assert found["outcome"] == "mirrored"
    assert codes(second) == ["settlement.movement-known"], "it was that already"
    assert await both(counter, CARE) == (bank + PAYABLE_FEN, suspense - PAYABLE_FEN), "the second one alone"
    await holds(books)


async def test_who_stands_between_two_hops_identifies_both(books: Books, counter: Counter) -> None:
    """The city records its payments; what its county owes it and what it owes the other came and went unnamed."""
    hospital = Hospital(region=RECORDS)
    bills = [hospital.bill(ALSO_RECORDS)]
    await books.hear(hospital.changed(), *bills)
    await submit(counter.act_as("facility", hospital.code), hospital, [*bills])
    month = Month(counter.act_as, hospital)
    (case,) = await month.cases()
    await month.confirm(case)
    amount_fen = (await month.case(case["case_id"]))["hops"][0]["amount_fen"]
    await month.pay(case, ALSO_RECORDS)
    await month.pay(case, CITY)
    bank, suspense = await both(counter, CITY)
    debt = {"purpose": "hop", "reference": case["case_id"]}
    came = await booked(counter, CITY, await unknown(counter, CITY, amount_fen, debit=False), debt=debt)
    went = await booked(counter, CITY, await unknown(counter, CITY, amount_fen), debt=debt)
    twice = await say(counter, CITY, await unknown(counter, CITY, amount_fen), debt=debt)

    assert (came["outcome"], went["outcome"]) == ("mirrored", "mirrored")
    assert codes(twice) == ["settlement.movement-known"]
    assert await both(counter, CITY) == (bank - amount_fen, suspense + amount_fen), "the third one alone"
    await holds(books)


async def test_what_has_an_order_is_identified_by_it(counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    (case,) = await month.cases()
    item_no = await unknown(counter, HOME, PAYABLE_FEN)
    by_debt = await say(counter, HOME, item_no, debt={"purpose": "hop", "reference": case["case_id"]})

    assert codes(by_debt) == ["settlement.movement-of-order"]
    assert (await booked(counter, HOME, item_no, order_id=order_id))["outcome"] == "paid"


async def test_money_that_was_sent_back_closes_both(books: Books, counter: Counter) -> None:
    bank, suspense = await both(counter, HOME)
    came = await unknown(counter, HOME, 4_300, debit=False)
    gone = await unknown(counter, HOME, 4_300)
    other = await unknown(counter, HOME, 4_301)
    unlike = await say(counter, HOME, came, counter_item_no=other)
    itself = await say(counter, HOME, came, counter_item_no=came)
    said = await say(counter, HOME, came, counter_item_no=gone)
    from_the_other = await say(counter, HOME, gone, counter_item_no=came)
    declined = await counter.finance(HOME, "two").post(
        f"/v1/bank-identifications/{said.json()['identification_id']}/refusal"
    )
    found = await booked(counter, HOME, gone, counter_item_no=came)

    assert codes(unlike) == ["settlement.movement-amount"]
    assert "settlement.movement-same-side" in codes(itself)
    assert codes(from_the_other) == ["settlement.movement-known"]
    assert declined.json()["state"] == "declined"
    assert (found["outcome"], found["debit"]) == ("cancelled", True)
    assert await both(counter, HOME) == (bank - 4_301, suspense + 4_301)
    query = "SELECT closed_as FROM bank_item WHERE item_no = ANY($1::bigint[])"
    assert [row[0] for row in await books.rows(query, [came, gone])] == ["identified", "identified"]
    live = "SELECT count(*) FROM bank_identification WHERE counter_entry_id IS NOT NULL AND state = 'approved'"
    assert await books.value(f"{live} AND party = $1 AND reason <> ''", HOME) >= 2
    await holds(books)


@pytest.mark.parametrize(
    ("nature", "debit", "wrong"),
    [("interest", False, "charges"), ("charges", True, "interest"), ("treasury", False, None), ("other", True, None)],
)
async def test_money_that_belongs_to_nothing_here_has_an_account_of_its_own(
    books: Books, counter: Counter, nature: str, debit: bool, wrong: str | None
) -> None:
    (bank, suspense), other = await both(counter, HOME), await counter.balance(HOME, "other_income")
    item_no = await unknown(counter, HOME, 3_217, debit=debit)
    sign = -1 if debit else 1
    if wrong:
        assert codes(await say(counter, HOME, item_no, nature=wrong)) == ["settlement.movement-nature"]
    said = await say(counter, HOME, item_no, nature=nature)
    waiting = await counter.balance(HOME, "other_income")
    alone = await agree(counter, HOME, said, "one")
    found = (await agree(counter, HOME, said)).json()

    assert waiting == other, "nobody books it alone"
    assert codes(alone) == ["settlement.same-person"]
    assert [found[key] for key in ("target", "nature", "outcome")] == ["other_income", nature, "booked"]
    assert await both(counter, HOME) == (bank + sign * 3_217, suspense)
    assert await counter.balance(HOME, "other_income") == other - sign * 3_217
    assert await books.value("SELECT closed_as FROM bank_item WHERE item_no = $1", item_no) == "identified"
    assert codes(await say(counter, HOME, item_no, nature=nature)) == ["settlement.movement-known"]
    await holds(books)


async def test_what_a_facilitys_account_shows_is_for_the_agency_that_keeps_it(
    books: Books, counter: Counter, month: Month
) -> None:
    facility = month.hospital.code
    item_no = await unknown(counter, facility, 1_500, debit=False, keeper=CARE)
    on_suspense = await both(counter, facility)
    of_the_agency = await unknown(counter, CARE, 1_500)
    across = await say(counter, CARE, item_no, counter_item_no=of_the_agency)
    by_the_facility = await counter.act_as("facility", facility).post(
        f"/v1/bank-items/{item_no}/identifications", {"nature": "interest", "reason": "利息"}
    )
    by_another = await say(counter, HOME, item_no, nature="interest")
    said = await say(counter, CARE, item_no, nature="interest")
    by_another_person = await agree(counter, HOME, said)
    found = (await agree(counter, CARE, said)).json()
    path = f"/v1/bank-entries/{found['entry_id']}"

    assert on_suspense == (1_500, -1_500)
    assert codes(across) == ["settlement.movement-other-account"]
    assert by_the_facility.status_code == 403
    assert codes(by_another) == codes(by_another_person) == ["settlement.movement-not-yours"]
    assert (found["party"], found["keeper"], found["outcome"]) == (facility, CARE, "booked")
    assert await both(counter, facility) == (1_500, 0)
    assert await counter.balance(facility, "other_income") == -1_500
    assert (await counter.finance(CARE).get(path)).json()["identified_as"] == "booked"
    assert codes(await counter.finance("411603").get(path)) == ["auth.not-your-area"]
    await holds(books)


async def test_what_differs_on_a_facilitys_statement_is_for_the_agency_that_keeps_it(
    books: Books, counter: Counter, month: Month
) -> None:
    """And what agrees again closes the item of that account alone, not those of the agency's others."""
    facility = month.hospital.code

    async def state(party: str, balance_fen: int) -> None:
        counter.put(small_bank.statement(new_id(), counter.accounts[party], [], counter.today, balance_fen))
        await counter.receive()

    async def differs(party: str) -> list[str | None]:
        query = "SELECT party, closed_as FROM bank_item WHERE item_key LIKE $1 ORDER BY item_no"
        rows = await books.rows(query, f"balance:{party}:%")
        assert {row["party"] for row in rows} == {CARE}
        return [row["closed_as"] for row in rows]

    await state(facility, 77)
    await state(CARE, await counter.balance(CARE, "bank") + 77)
    await state(facility, 0)

    assert await differs(facility) == ["agreed"]
    assert (await differs(CARE))[-1] is None
    await state(CARE, await counter.balance(CARE, "bank"))
    assert (await differs(CARE))[-1] == "agreed"


async def test_what_a_facility_was_paid_without_its_name_is_identified_for_it(
    books: Books, counter: Counter, month: Month
) -> None:
    """The county paid its hospital, the hospital's bank told of it first: the case is closed by two of the county."""
    case = await paid_to_the_city(counter, month)
    await month.pay(case, CITY)
    facility = month.hospital.code
    debt = {"purpose": "hop", "reference": case["case_id"]}
    item_no = await unknown(counter, facility, PAYABLE_FEN, debit=False, keeper=CARE)
    found = await booked(counter, CARE, item_no, debt=debt)

    assert (found["outcome"], await hop(month, 3)) == ("settled", "paid")
    assert await both(counter, facility) == (PAYABLE_FEN, 0)
    await holds(books)


async def test_exactly_one_thing_is_said(counter: Counter, month: Month) -> None:
    _, order_id = await proposed(counter, month)
    item_no = await unknown(counter, HOME, 1_200)
    nothing = await say(counter, HOME, item_no)
    two = await say(counter, HOME, item_no, order_id=order_id, counter_item_no=item_no)
    with_nature = await say(counter, HOME, item_no, order_id=order_id, nature="other")
    unsent = await say(counter, HOME, item_no, order_id=order_id)
    nowhere = await say(counter, HOME, 2**40, order_id=order_id)
    of_another = await say(counter, CITY, item_no, order_id=order_id)

    assert codes(nothing) == codes(two) == codes(with_nature) == ["settlement.identification-target"]
    assert codes(unsent) == ["settlement.order-state"]
    assert codes(nowhere) == ["settlement.bank-item-unknown"]
    assert "settlement.movement-not-yours" in codes(of_another)


async def test_identifications_are_listed_for_the_own_area(counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    said = (await say(counter, HOME, await unknown(counter, HOME, 700), order_id=order_id)).json()
    path = f"/v1/bank-identifications/{said['identification_id']}"
    listed = (await counter.finance(HOME).get("/v1/bank-identifications", state="proposed", limit=200)).json()["items"]

    assert said["identification_id"] in {row["identification_id"] for row in listed}
    assert (await counter.finance(HOME).get(path)).json() == said
    assert codes(await counter.finance("411603").get(path)) == ["auth.not-your-area"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("state = 'approved', outcome = 'paid', decided_by = proposed_by, decided_at = now()", "four_eyes"),
        ("state = 'approved', decided_by = 'x', decided_at = now()", "approved"),
        ("order_id = NULL, target = 'receivable'", None),
        ("party = '411603'", None),
        ("keeper = '411603'", None),
        ("nature = 'interest'", None),
        ("state = 'approved', outcome = 'booked', decided_by = 'x', decided_at = now()", "booked"),
    ],
)
async def test_the_database_refuses_what_two_did_not_agree_on(
    counter: Counter, month: Month, owner: Owner, change: str, error: str | None
) -> None:
    order_id = await sent(counter, month)
    said = (await say(counter, HOME, await unknown(counter, HOME, 700), order_id=order_id)).json()
    with pytest.raises(asyncpg.PostgresError) as refused:
        await owner.execute(
            f"UPDATE bank_identification SET {change} WHERE identification_id = $1", said["identification_id"]
        )
    if error is None:
        assert isinstance(refused.value, asyncpg.RestrictViolationError)
    else:
        assert getattr(refused.value, "constraint_name", None) == f"bank_identification_{error}"


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM bank_identification WHERE identification_id = $1",
        "UPDATE bank_entry SET amount_fen = 5 WHERE entry_id ="
        " (SELECT entry_id FROM bank_identification WHERE identification_id = $1)",
    ],
)
async def test_money_off_suspense_that_nobody_identified_is_seen(
    counter: Counter, month: Month, owner: Owner, tampering: str
) -> None:
    order_id = await sent(counter, month)
    found = await booked(counter, HOME, await unknown(counter, HOME, PAYABLE_FEN), order_id=order_id)
    identification_id = found["identification_id"]
    async with unguarded(owner):
        for table in ("bank_identification", "bank_entry"):
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await owner.execute(tampering, identification_id)
        violations = await invariant_store.violations(owner, [identification_id])  # type: ignore[arg-type]

    assert (Invariant.MOVEMENT_IS_IDENTIFIED, identification_id) in {(v.invariant, v.subject) for v in violations}


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE bank_identification SET outcome = 'settled', target = 'receivable', nature = NULL, purpose = 'hop',"
        " reference = $1 WHERE identification_id = $1",
        "UPDATE ledger_entry SET amount_fen = sign(amount_fen) * 5 WHERE transaction_id = $1",
        "UPDATE ledger_entry SET account_kind = 'bank' WHERE transaction_id = $1 AND account_kind = 'other_income'",
        "UPDATE ledger_entry SET account_kind = 'payable', counterparty = '411330' WHERE transaction_id = $1"
        " AND account_kind = 'other_income'",
        "UPDATE ledger_transaction SET kind = 'bank', reverses_transaction_id = NULL WHERE transaction_id = $1",
        "UPDATE bank_identification SET state = 'declined', outcome = NULL WHERE identification_id = $1",
    ],
)
async def test_other_income_that_nobody_identified_is_seen(counter: Counter, owner: Owner, tampering: str) -> None:
    item_no = await unknown(counter, HOME, 1_212, debit=False)
    identification_id = (await booked(counter, HOME, item_no, nature="interest"))["identification_id"]
    async with unguarded(owner):
        for table in ("bank_identification", "ledger_entry", "ledger_transaction"):
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        before = await invariant_store.violations(owner, [identification_id])  # type: ignore[arg-type]
        await owner.execute(tampering, identification_id)
        violations = await invariant_store.violations(owner, [identification_id])  # type: ignore[arg-type]

    assert before == []
    assert (Invariant.MOVEMENT_IS_IDENTIFIED, identification_id) in {(v.invariant, v.subject) for v in violations}


async def test_what_is_paid_on_record_is_once_in_the_books_of_both(books: Books, desk: Desk) -> None:
    """Payer and payee have accounts, the payment is recorded: each bank tells of it by its order, once or twice."""
    position_id = await desk.position()
    accounts = {party: await desk.account(party) for party in (desk.payer, desk.city.code)}
    order_id = await desk.order(Purpose.POSITION, position_id)
    today = shanghai_day(NOW)

    async def told(party: str, *amounts_fen: int, balance_fen: int) -> list[str]:
        entries = [small_bank.entry(new_id(), order_id, fen, today, debit=party == desk.payer) for fen in amounts_fen]
        text = small_bank.statement(new_id(), accounts[party], entries, today, balance_fen)
        Bank(desk.folder, today).put(f"{new_id()}.xml", text)
        await receive(desk.parts, lambda: NOW)
        rows = await books.rows("SELECT outcome FROM bank_entry WHERE party = $1 ORDER BY entry_id", party)
        return [row["outcome"] for row in rows]

    off = "SELECT count(*) FROM bank_item WHERE kind = 'balance_differs' AND party = ANY($1::text[])"
    payee = await told(desk.city.code, 85_000, balance_fen=85_000)
    payer = await told(desk.payer, 84_999, balance_fen=-85_000 - 84_999)
    payer = await told(desk.payer, 85_000, 85_000, balance_fen=-2 * 85_000 - 84_999)

    assert (payee, payer) == (["mirrored"], ["unknown", "mirrored", "unknown"])
    assert await books.value(off, list(accounts)) == 0
    again = await told(desk.city.code, 85_000, 85_000, balance_fen=3 * 85_000)
    assert again == ["mirrored", "unknown", "unknown"]
    assert await books.value(off, list(accounts)) == 0, "bank and books agree whatever it is"
    by_debt = Said(None, (Purpose.POSITION, position_id), None, "已核对回单")
    item_no = await books.value("SELECT max(item_no) FROM bank_item WHERE party = $1", desk.city.code)
    with pytest.raises(Refused) as refused:
        async with books.database.transaction() as tx:
            await identifications.propose(tx, finance(desk.city.code), item_no, by_debt, NOW)
    assert [r.code for r in refused.value.refusals] == ["settlement.movement-amount"]
    await holds(books)


async def test_what_people_know_as_paid_on_record_is_not_taken_again_by_its_name(books: Books, desk: Desk) -> None:
    position_id = await desk.position()
    account = await desk.account(desk.city.code)
    order_id = await desk.order(Purpose.POSITION, position_id)
    today = shanghai_day(NOW)

    async def told(named: str | None) -> None:
        entry = small_bank.entry(new_id(), named, 85_000, today, debit=False)
        Bank(desk.folder, today).put(f"{new_id()}.xml", small_bank.notification(new_id(), account, [entry], today))
        await receive(desk.parts, lambda: NOW)

    await told(None)
    item_no = await books.value("SELECT max(item_no) FROM bank_item WHERE party = $1", desk.city.code)
    said = Said(None, (Purpose.POSITION, position_id), None, "已核对回单")
    async with books.database.transaction() as tx:
        row = await identifications.propose(tx, finance(desk.city.code), item_no, said, NOW)
    async with books.database.transaction() as tx:
        await identifications.approve(desk.parts, tx, finance(desk.city.code, "two"), row.identification_id, NOW)
    await told(order_id)

    rows = await books.rows("SELECT outcome FROM bank_entry WHERE party = $1 ORDER BY entry_id", desk.city.code)
    assert [row["outcome"] for row in rows] == ["unknown", "unknown"]
    assert (await desk.city.balances("bank"))[desk.city.code, "bank", ""] == 2 * 85_000
    await holds(books)


async def test_one_movement_under_other_names_is_booked_once(books: Books, counter: Counter, month: Month) -> None:
    """The notification has the bank's reference, the statement only numbers of its own. Equal payments stay several."""
    order_id = await sent(counter, month)
    bank = await counter.balance(HOME, "bank")
    named = counter.entry(order_id, PAYABLE_FEN)
    nameless = [counter.entry(None, 98_765) for _ in range(2)]
    counter.report(HOME, named, *nameless)
    await counter.receive()
    notified = await counter.balance(HOME, "bank") - bank
    stated = [_numbered(entry, str(number)) for number, entry in enumerate([*nameless, nameless[0], named], 1)]
    for entries in (stated[-1:], stated, stated):
        counter.put(small_bank.statement(new_id(), counter.accounts[HOME], entries, counter.today, 0))
        await counter.receive()

    assert notified == -PAYABLE_FEN - 2 * 98_765
    assert await counter.balance(HOME, "bank") - bank == -PAYABLE_FEN - 3 * 98_765, "the statement has one more"
    assert (await counter.order(order_id, HOME))["paid_fen"] == PAYABLE_FEN
    await holds(books)


def _numbered(entry: str, number: str) -> str:
    """An entry by its number in the report, without the bank's own reference."""
    head, _, rest = entry.partition("<AcctSvcrRef>")
    return head.replace("<Ntry>", f"<Ntry><NtryRef>{number}</NtryRef>", 1) + rest.partition("</AcctSvcrRef>")[2]


async def test_an_order_that_is_named_only_later_is_told(counter: Counter, month: Month) -> None:
    order_id = await sent(counter, month)
    counter.report(HOME, counter.entry(None, PAYABLE_FEN))
    await counter.receive()
    named = _numbered(counter.entry(order_id, PAYABLE_FEN), "7")
    counter.put(small_bank.statement(new_id(), counter.accounts[HOME], [named], counter.today, 0))
    await counter.receive()

    assert (await counter.order(order_id, HOME))["paid_fen"] == 0
    assert await counter.items([order_id]) == [("entry_changed", None)]


async def test_a_position_is_settled_by_the_money_that_came(books: Books, desk: Desk) -> None:
    """Its payer records and said nothing: the city sees the money on its account."""
    position_id = await desk.position()
    account = await desk.account(desk.city.code)
    today = shanghai_day(NOW)
    credit = small_bank.entry(new_id(), None, 85_000, today, debit=False)
    Bank(desk.folder, today).put("credit.xml", small_bank.notification(new_id(), account, [credit], today))
    await receive(desk.parts, lambda: NOW)
    item_no = await books.value("SELECT max(item_no) FROM bank_item WHERE party = $1", desk.city.code)
    said = Said(None, (Purpose.POSITION, position_id), None, "已核对回单")
    async with books.database.transaction() as tx:
        row = await identifications.propose(tx, finance(desk.city.code), item_no, said, NOW)
    async with books.database.transaction() as tx:
        approver = finance(desk.city.code, "two")
        found = await identifications.approve(desk.parts, tx, approver, row.identification_id, NOW)

    assert (found.outcome, await desk.state(position_id)) == ("settled", "settled")
    balances = await desk.city.balances("bank", "suspense", "clearing")
    assert balances[desk.city.code, "bank", ""] == 85_000
    assert not any(kind == "suspense" for _, kind, _ in balances)
    async with books.database.transaction() as tx:
        again = await clearing.take_positions(tx, desk.payer, [position_id])
    assert isinstance(again[position_id], list), "nobody pays it a second time"
    await holds(books)
