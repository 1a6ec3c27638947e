"""Two who act at the same moment: one is first, and the other is told or follows."""

from __future__ import annotations

import asyncio

import pytest

from services.settlement.store.statements import try_lock_match
from tests.services.settlement.fixtures import ActAs
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import Bills, codes, send_lines, submit
from tests.services.settlement.world import HUAIYANG, Books, Hospital


async def test_two_officers_decide_one_item(books: Books, hospital: Hospital, act_as: ActAs) -> None:
    """Five approve at once what a sixth decided: it is approved once, by one of them."""
    bills: Bills = [hospital.bill(fund_fen=400_000), hospital.bill()]
    await books.hear(*bills)
    his = act_as("facility", hospital.code)
    statement = await submit(his, hospital, bills[1:])
    await send_lines(his, statement, bills[1:])
    assert (await his.post(f"/v1/statements/{statement['statement_id']}/match")).status_code == 200
    (item,) = (await his.get("/v1/items", period=hospital.month)).json()["items"]
    path = f"/v1/items/{item['item_no']}"
    body = {"kind": "drop", "reason": "已核实"}
    assert (await act_as("officer", HUAIYANG, "first").post(f"{path}/actions", body)).is_success

    people = [act_as("officer", HUAIYANG, f"second-{n}") for n in range(5)]
    answers = await asyncio.gather(*(person.post(f"{path}/approval") for person in people))

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert {code for a in answers if a.status_code == 409 for code in codes(a)} == {"settlement.nothing-to-approve"}
    approved = "SELECT count(*) FROM item_action WHERE item_no = $1 AND approved_by IS NOT NULL"
    assert await books.value(approved, item["item_no"]) == 1


@pytest.mark.parametrize("attempt", range(6))
async def test_confirmation_races_a_late_reversal(
    books: Books, hospital: Hospital, act_as: ActAs, attempt: int
) -> None:
    """Either the reversal is in the month and nobody confirmed it as it was, or the month was closed before it came."""
    bills = [hospital.bill(HUAIYANG), hospital.bill(HUAIYANG)]
    await books.hear(*bills)
    await submit(act_as("facility", hospital.code), hospital, [*bills])
    month = Month(act_as, hospital)
    (case,) = await month.cases()
    reversal = hospital.reversal(bills[0])

    async def later() -> None:
        await asyncio.sleep(attempt * 0.004)
        await books.hear(reversal)

    body = {"numbers_hash": case["numbers_hash"]}
    path = f"/v1/cases/{case['case_id']}/confirmations"
    answer, _ = await asyncio.gather(month.of(hospital.code).post(path, body), later())

    period = await books.value("SELECT period FROM bill WHERE settlement_id = $1", reversal.settlement_id)
    if answer.is_success:
        assert period > hospital.month
        numbers = await books.value("SELECT numbers_hash FROM settlement_case WHERE case_id = $1", case["case_id"])
        assert numbers == case["numbers_hash"]
    else:
        assert period == hospital.month
        assert set(codes(answer)) <= {"settlement.case-not-matched", "settlement.numbers-changed"}
        assert await books.value("SELECT count(*) FROM confirmation WHERE case_id = $1", case["case_id"]) == 0


async def test_a_second_match_of_a_statement_is_told_of_the_first(
    books: Books, hospital: Hospital, act_as: ActAs
) -> None:
    """A match of a large month takes longer than anybody waits for a lock: nobody waits, and no outage is reported."""
    bills: Bills = [hospital.bill(), hospital.bill()]
    await books.hear(*bills)
    his = act_as("facility", hospital.code)
    statement = await submit(his, hospital, bills[1:])
    await send_lines(his, statement, bills[1:])
    path = f"/v1/statements/{statement['statement_id']}/match"

    async with books.database.transaction() as tx:
        assert await try_lock_match(tx, statement["statement_id"])
        told = await his.post(path)
    after = await his.post(path)

    assert (told.status_code, codes(told)) == (409, ["settlement.match-running"])
    assert (after.status_code, after.json()["state"]) == (200, "differences")
