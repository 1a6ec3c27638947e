"""Work items at the running service: opened by a match, acted upon, closed and reopened by matches only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from services.settlement.use_cases.statements import rematch
from shared.events.claims import DischargeSettled
from shared.workdays import WorkCalendar, shanghai_day
from tests.services.settlement.fixtures import ActAs, Caller, Owner
from tests.services.settlement.test_matching import Line, Month, month
from tests.services.settlement.test_statements import codes, rematching
from tests.services.settlement.world import HUAIYANG, XIANGCHENG, ZHOUKOU, Hospital

__all__ = ["month"]


async def listed(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    answer = await caller.get("/v1/items", limit=200, **query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]  # type: ignore[no-any-return]


async def act(caller: Caller, item: dict[str, Any], kind: str, reason: str = "已核对原始单据") -> Any:
    return await caller.post(f"/v1/items/{item['item_no']}/actions", {"kind": kind, "reason": reason})


def outline(items: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(item["difference_class"], item["state"], item["closed_as"]) for item in items]


async def amount_off(month: Month, fen: int) -> tuple[str, DischargeSettled, dict[str, Any]]:
    """A matched statement with one bill whose fund is stated too high; its item."""
    bill = month.hospital.bill()
    await month.book(bill)
    statement_id = await month.state([Line.of(bill, amounts=(bill.total_fen, bill.fund_fen + fen, bill.account_fen))])
    await month.match(statement_id)
    (item,) = await listed(month.his)
    return statement_id, bill, item


async def test_every_difference_is_an_item_with_its_evidence(month: Month, act_as: ActAs) -> None:
    off, unstated, good = month.hospital.bill(), month.hospital.bill(fund_fen=700), month.hospital.bill()
    stranger = month.hospital.bill(fund_fen=700)
    await month.book(off, good)
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    await month.books.hear(unstated, traceparent=f"00-{trace_id}-00f067aa0ba902b7-00")
    lines = [Line.of(off, amounts=(off.total_fen, 1, off.account_fen)), Line.of(stranger), Line.of(good)]
    await month.match(await month.state(lines))

    agency = act_as("officer", HUAIYANG)
    items = {item["difference_class"]: item for item in await listed(month.his)}
    assert {name: item["acting_party"] for name, item in items.items()} == {
        "amount_differs": month.hospital.code,
        "missing_in_statement": month.hospital.code,
        "missing_in_books": HUAIYANG,
    }
    today = shanghai_day(datetime.now(UTC))
    assert {item["due_on"] for item in items.values()} == {str(WorkCalendar().add(today, 5).day)}
    assert items["amount_differs"]["amount_fen"] == off.fund_fen - 1
    mine = await listed(agency, mine=True, facility_code=month.hospital.code)
    assert [item["difference_class"] for item in mine] == ["missing_in_books"]
    missing = (await agency.get(f"/v1/items/{items['missing_in_statement']['item_no']}")).json()
    assert (missing["trace_id"], missing["difference"]["settlement_id"]) == (trace_id, unstated.settlement_id)
    assert [c["settlement_id"] for c in missing["candidates"]] == [stranger.settlement_id]
    unbooked = (await agency.get(f"/v1/items/{items['missing_in_books']['item_no']}")).json()
    assert [c["settlement_id"] for c in unbooked["candidates"]] == [unstated.settlement_id]
    assert unbooked["booked_at"] is None


async def test_what_could_be_meant_is_looked_for_in_the_last_match(month: Month) -> None:
    """Also of an item that the next version leaves as it was."""
    unstated, stranger = month.hospital.bill(fund_fen=700), month.hospital.bill(fund_fen=700)
    await month.book(unstated, good := month.hospital.bill())
    candidates = []
    for lines in ([Line.of(stranger), Line.of(good)], [Line.of(good)]):
        await month.match(await month.state(lines))
        (item,) = await listed(month.his, difference_class="missing_in_statement")
        found = (await month.his.get(f"/v1/items/{item['item_no']}")).json()["candidates"]
        candidates.append([each["settlement_id"] for each in found])
    assert candidates == [[stranger.settlement_id], []]


async def test_a_corrected_statement_closes_by_its_match(month: Month) -> None:
    """Saying that one corrects closes nothing; the new version that agrees does."""
    _, bill, item = await amount_off(month, 50)
    said = await act(month.his, item, "correct")
    assert (said.status_code, said.json()["state"]) == (201, "open")
    await month.match(again := await month.state([Line.of(bill, settlement_id=None)]))
    assert outline(await listed(month.his)) == [("amount_differs", "closed", "agreed")]
    assert (await month.his.get(f"/v1/statements/{again}")).json()["state"] == "matched"
    assert codes(await act(month.his, item, "drop")) == ["settlement.item-closed"]


async def test_a_decision_closes_in_the_next_match_and_its_figures_stand(month: Month) -> None:
    statement_id, bill, item = await amount_off(month, 50)
    dropped = (await act(month.his, item, "drop")).json()
    assert (dropped["state"], dropped["actions"][0]["approval_needed"]) == ("open", False), "nobody ticks it off"
    matched, found = await month.match(statement_id)
    assert (matched["state"], len(found)) == ("matched", 1), "the difference is still shown"
    assert outline(await listed(month.his)) == [("amount_differs", "closed", "decided")]
    numbers = "SELECT fund_fen FROM settlement_case WHERE facility_code = $1"
    assert await month.books.value(numbers, month.hospital.code) == bill.fund_fen, "the books stand"

    await month.book(month.hospital.bill())
    await rematch(rematching(month.books), statement_id, datetime.now(UTC))
    assert sorted(outline(await listed(month.his))) == [
        ("amount_differs", "closed", "decided"),
        ("missing_in_statement", "open", None),
    ]


async def test_a_decision_falls_with_its_figures(month: Month) -> None:
    _, bill, item = await amount_off(month, 50)
    await act(month.his, item, "drop")
    other = (bill.total_fen, bill.fund_fen + 60, bill.account_fen)
    await month.match(await month.state([Line.of(bill, amounts=other)]))
    (found,) = await listed(month.his)
    assert (found["item_no"], found["state"], found["amount_fen"]) == (item["item_no"], "open", 60)
    detail = (await month.his.get(f"/v1/items/{item['item_no']}")).json()
    assert [action["stands"] for action in detail["actions"]] == [False]


async def test_four_eyes_above_an_amount(month: Month, act_as: ActAs) -> None:
    statement_id, _, item = await amount_off(month, 200_000)
    path = f"/v1/items/{item['item_no']}/approval"
    officer, other = act_as("officer", HUAIYANG, "officer-1"), act_as("reviewer", HUAIYANG, "reviewer-1")
    nothing = await other.post(path)
    decided = (await act(officer, item, "drop")).json()
    await month.match(statement_id)
    unapproved = outline(await listed(month.his))
    alone = await officer.post(path)
    foreign = await act_as("reviewer", ZHOUKOU).post(path)
    approved = await other.post(path)
    twice = await other.post(path)
    await month.match(statement_id)

    assert codes(nothing) == codes(twice) == ["settlement.nothing-to-approve"]
    assert (decided["actions"][0]["approval_needed"], decided["acting_party"]) == (True, HUAIYANG)
    assert unapproved == [("amount_differs", "open", None)]
    assert (codes(alone), codes(foreign)) == (["settlement.same-person"], ["auth.not-your-area"])
    assert approved.json()["actions"][0]["approved_by"] == "reviewer-1"
    assert outline(await listed(month.his)) == [("amount_differs", "closed", "decided")]


async def test_what_changed_since_is_not_approved(month: Month, act_as: ActAs) -> None:
    _, bill, item = await amount_off(month, 200_000)
    await act(month.his, item, "drop")
    await month.match(await month.state([Line.of(bill, amounts=(bill.total_fen, bill.fund_fen + 300_000, 0))]))
    answer = await act_as("reviewer", HUAIYANG).post(f"/v1/items/{item['item_no']}/approval")
    assert codes(answer) == ["settlement.item-changed"]


async def test_a_dispute_hands_over_and_takes_a_decision_back(month: Month) -> None:
    statement_id, _, item = await amount_off(month, 50)
    await act(month.his, item, "drop")
    disputed = (await act(month.his, item, "dispute")).json()
    assert disputed["acting_party"] == HUAIYANG
    matched, _ = await month.match(statement_id)
    assert matched["state"] == "differences", "the last word counts"
    assert [action["kind"] for action in disputed["actions"]] == ["drop", "dispute"]


async def test_only_what_is_not_booked_moves_to_the_next_month(month: Month) -> None:
    _, _, booked = await amount_off(month, 50)
    stranger = month.hospital.bill(fund_fen=900)
    statement_id = await month.state([Line.of(stranger)])
    await month.match(statement_id)
    unbooked = next(i for i in await listed(month.his) if i["difference_class"] == "missing_in_books")
    assert codes(await act(month.his, booked, "next_period")) == ["settlement.item-booked"]
    assert (await act(month.his, unbooked, "next_period")).status_code == 201
    await month.match(statement_id)
    assert outline(await listed(month.his, state="closed")) == [("missing_in_books", "closed", "decided")]


async def test_late_bills_and_reversals_reopen_what_they_touch(month: Month) -> None:
    bill = month.hospital.bill()
    await month.book(bill)
    stranger = month.hospital.bill(fund_fen=900)
    statement_id = await month.state([Line.of(bill), Line.of(stranger)])
    await month.match(statement_id)
    await month.book(stranger)
    await rematch(rematching(month.books), statement_id, datetime.now(UTC))
    assert outline(await listed(month.his)) == [("missing_in_books", "closed", "agreed")]

    await month.book(month.hospital.reversal(stranger))
    await rematch(rematching(month.books), statement_id, datetime.now(UTC))
    reopened = await listed(month.his, state="open")
    assert [item["difference_class"] for item in reopened] == ["reversed_on_one_side"]


async def test_what_comes_again_is_the_same_item(month: Month) -> None:
    bill, stranger = month.hospital.bill(), month.hospital.bill(fund_fen=900)
    await month.book(bill)
    for lines in ([bill, stranger], [bill], [stranger, bill]):
        await month.match(await month.state([Line.of(each) for each in lines]))
    (item,) = await listed(month.his)
    assert (item["state"], item["reopened_count"], item["closed_at"]) == ("open", 1, None)


async def test_that_the_books_stand_closes_all(month: Month, act_as: ActAs) -> None:
    statement_id, _, _ = await amount_off(month, 50)
    path = f"/v1/statements/{statement_id}/resolution"
    await act_as("officer", HUAIYANG).post(path, {"reason": "以账面为准"})
    await act_as("reviewer", HUAIYANG).post(f"{path}/approval")
    assert outline(await listed(month.his)) == [("amount_differs", "closed", "books_stand")]


async def test_items_are_their_parties_own(month: Month, act_as: ActAs) -> None:
    _, _, item = await amount_off(month, 50)
    path = f"/v1/items/{item['item_no']}"
    stranger, home = act_as("facility", Hospital().code), act_as("officer", XIANGCHENG)
    for caller in (stranger, home):
        assert codes(await caller.get(path)) == ["auth.not-your-area"]
        assert codes(await act(caller, item, "drop")) == ["auth.not-your-area"]
        assert await listed(caller, facility_code=month.hospital.code) == []
    assert codes(await act(act_as("officer", HUAIYANG), item, "dispute")) == ["settlement.action-not-yours"]
    assert codes(await month.his.get("/v1/items/999999999")) == ["settlement.item-unknown"]
    assert (await month.his.get("/v1/items/0")).status_code == 404
    assert (await act_as("officer", ZHOUKOU).get(path)).status_code == 200


async def test_items_come_in_pages(month: Month) -> None:
    await month.book(*(month.hospital.bill() for _ in range(5)))
    await month.match(await month.state([Line.of(month.hospital.bill())]))
    seen, cursor = [], None
    while True:
        answer = (await month.his.get("/v1/items", limit=4, **({"cursor": cursor} if cursor else {}))).json()
        seen += [item["item_no"] for item in answer["items"]]
        if (cursor := answer["next_cursor"]) is None:
            break
    assert (len(seen), seen) == (6, sorted(set(seen)))
    assert codes(await month.his.get("/v1/items", cursor="eHl6")) == ["request.cursor-invalid"]


async def test_totals_say_how_many_there_are(month: Month, act_as: ActAs) -> None:
    """In pages too, and of what the list would show: the rest of it is not out of sight."""
    booked, strangers = month.hospital.bill(fund_fen=700), [month.hospital.bill(fund_fen=900) for _ in range(3)]
    await month.book(booked)
    await month.match(await month.state([Line.of(each) for each in strangers]))
    alike = {"party": month.hospital.code, "care_region": HUAIYANG, "home_region": None, "period": month.hospital.month}
    agency = {**alike, "difference_class": "missing_in_books", "state": "open", "acting_party": HUAIYANG}
    expected = [
        {**agency, "item_count": 3, "amount_fen": sum(each.total_fen for each in strangers)},
        {
            **agency,
            "difference_class": "missing_in_statement",
            "acting_party": month.hospital.code,
            "item_count": 1,
            "amount_fen": booked.total_fen,
        },
    ]
    pages, cursor = [], None
    while True:
        answer = (await month.his.get("/v1/item-totals", limit=1, **({"cursor": cursor} if cursor else {}))).json()
        pages.append(answer["items"])
        if (cursor := answer["next_cursor"]) is None:
            break
    officer = act_as("officer", HUAIYANG)
    mine = (await officer.get("/v1/item-totals", mine=True, party=month.hospital.code)).json()["items"]
    foreign = (await act_as("officer", XIANGCHENG).get("/v1/item-totals", party=month.hospital.code)).json()["items"]
    assert pages == [[total] for total in expected]
    assert mine == expected[:1]
    assert foreign == []


async def test_what_the_database_refuses(month: Month, owner: Owner, act_as: ActAs) -> None:
    _, _, item = await amount_off(month, 200_000)
    await act(act_as("officer", HUAIYANG, "officer-1"), item, "drop")
    number = item["item_no"]
    for statement in (
        "UPDATE item_action SET reason = 'x' WHERE item_no = $1",
        "DELETE FROM item_action WHERE item_no = $1",
        "UPDATE item_action SET approved_by = subject, approved_at = now() WHERE item_no = $1",
        "UPDATE work_item SET state = 'closed' WHERE item_no = $1",
        "UPDATE work_item SET acting_party = 'H1' WHERE item_no = $1",
    ):
        with pytest.raises((asyncpg.RestrictViolationError, asyncpg.CheckViolationError)):
            await owner.execute(statement, number)
    await act_as("reviewer", HUAIYANG).post(f"/v1/items/{number}/approval")
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("UPDATE item_action SET approved_by = 'somebody' WHERE item_no = $1", number)
