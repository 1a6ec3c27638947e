"""Items acted upon by the class, bound to what was seen; and what one person may decide alone, by its sum."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from services.settlement.rules.items import ActionKind, Alone, approval_needed, decided_alone, hands_to
from services.settlement.use_cases.statements import rematch
from shared.events import new_id
from tests.services.settlement.fixtures import ActAs, Caller, Owner
from tests.services.settlement.test_items import act, listed, outline
from tests.services.settlement.test_matching import Line, Month, month
from tests.services.settlement.test_statements import codes, rematching
from tests.services.settlement.world import HUAIYANG, XIANGCHENG, ZHOUKOU, Books, Hospital

__all__ = ["month"]

LIMIT_FEN = 100_000


async def off_by(month: Month, *amounts_fen: int) -> str:
    """A matched statement in which each bill's fund is stated too high by an amount."""
    bills = [month.hospital.bill() for _ in amounts_fen]
    await month.book(*bills)
    lines = [
        Line.of(bill, amounts=(bill.total_fen, bill.fund_fen + fen, bill.account_fen))
        for bill, fen in zip(bills, amounts_fen, strict=True)
    ]
    await month.match(statement_id := await month.state(lines))
    return statement_id


async def shown(caller: Caller, statement_id: str) -> dict[str, dict[str, Any]]:
    """The open items of a statement, by class."""
    answer = await caller.get(f"/v1/statements/{statement_id}/open-items")
    assert answer.status_code == 200, answer.text
    return {found["difference_class"]: found for found in answer.json()["classes"]}


async def act_on_class(caller: Caller, statement_id: str, found: dict[str, Any], kind: str = "drop") -> Any:
    body = {"difference_class": found["difference_class"], "kind": kind, "reason": "已核对", "seen": found["seen"]}
    return await caller.post(f"/v1/statements/{statement_id}/bulk-actions", body)


def somebody(act_as: ActAs, role: str = "officer") -> Caller:
    """A person of the care agency who has decided nothing yet."""
    return act_as(role, HUAIYANG, f"{role}-{new_id()}")


async def weighed(caller: Caller, item: dict[str, Any]) -> tuple[int, bool]:
    """Drops an item: the sum this is weighed by, and whether another person must approve it."""
    answer = await act(caller, item, "drop")
    assert answer.status_code == 201, answer.text
    last = answer.json()["actions"][-1]
    return last["sum_fen"], last["approval_needed"]


@pytest.mark.parametrize(
    ("kind", "amount_fen", "of_month", "of_person", "sum_fen", "needed"),
    [
        (ActionKind.DROP, 100_000, 0, 0, 100_000, False),
        (ActionKind.DROP, 100_001, 0, 0, 100_001, True),
        (ActionKind.DROP, 1, 100_000, 0, 100_001, True),
        (ActionKind.NEXT_PERIOD, 1, 0, 100_000, 100_001, True),
        (ActionKind.DROP, 40_000, 60_000, 60_000, 100_000, False),
        (ActionKind.DISPUTE, 500_000, 0, 0, 500_000, False),
    ],
)
def test_small_ones_weigh_as_much_as_a_large_one(
    kind: ActionKind, amount_fen: int, of_month: int, of_person: int, sum_fen: int, needed: bool
) -> None:
    assert decided_alone(amount_fen, Alone(of_month, of_person)) == sum_fen
    assert approval_needed(kind, sum_fen, LIMIT_FEN) is needed


def test_who_must_act_next() -> None:
    assert hands_to(ActionKind.DROP, "H1", "411603", waits_for_approval=True) == "411603"
    assert hands_to(ActionKind.DISPUTE, "H1", "411603", waits_for_approval=False) == "411603"
    assert hands_to(ActionKind.CORRECT, "H1", "411603", waits_for_approval=False) == "H1"
    assert hands_to(ActionKind.DROP, "H1", "411603", waits_for_approval=False) is None


async def test_many_people_decide_no_more_of_a_month_alone_than_one(month: Month, act_as: ActAs) -> None:
    await off_by(month, 40_000, 40_000, 40_000, 50)
    one, two, three, four = await listed(month.his)
    assert await weighed(somebody(act_as), one) == (40_000, False)
    assert await weighed(month.his, two) == (80_000, False)
    assert await weighed(somebody(act_as), three) == (120_000, True)
    assert await weighed(somebody(act_as), four) == (80_050, False), "what waits for approval is not decided alone"


async def test_what_is_taken_back_does_not_count(month: Month, act_as: ActAs) -> None:
    await off_by(month, 90_000, 90_000)
    one, two = await listed(month.his)
    assert await weighed(month.his, one) == (90_000, False)
    assert await weighed(month.his, one) == (90_000, False), "an item counts once"
    await act(month.his, one, "dispute")
    assert await weighed(somebody(act_as), two) == (90_000, False)


async def test_one_person_decides_no_more_alone_in_many_months_than_in_one(
    month: Month, books: Books, act_as: ActAs
) -> None:
    other = Hospital()
    await books.hear(other.changed())
    person = somebody(act_as)
    await off_by(month, 60_000)
    await off_by(Month(act_as("facility", other.code), books, other), 60_000)
    (mine,), (theirs,) = await listed(month.his), await listed(act_as("facility", other.code))
    assert await weighed(person, mine) == (60_000, False)
    assert await weighed(person, theirs) == (120_000, True)
    assert await weighed(somebody(act_as), theirs) == (60_000, False), "another person, another month"


async def test_who_decides_at_once_does_not_slip_under_the_limit(month: Month, act_as: ActAs) -> None:
    await off_by(month, *[30_000] * 8)
    items = await listed(month.his)
    found = await asyncio.gather(*(weighed(somebody(act_as), item) for item in items))
    assert sum(not needed for _, needed in found) == 3, found


async def test_one_person_at_once_in_many_months(books: Books, act_as: ActAs) -> None:
    person = somebody(act_as)
    hospitals = [Hospital() for _ in range(5)]
    await books.hear(*(hospital.changed() for hospital in hospitals))
    months = [Month(act_as("facility", hospital.code), books, hospital) for hospital in hospitals]
    for each in months:
        await off_by(each, 60_000)
    items = [(await listed(each.his))[0] for each in months]
    found = await asyncio.gather(*(weighed(person, item) for item in items))
    assert sum(not needed for _, needed in found) == 1, found


async def test_a_class_is_dropped_by_one_action(month: Month, act_as: ActAs) -> None:
    await off_by(month, 100, 200)
    strangers = [month.hospital.bill(fund_fen=300) for _ in range(3)]
    lines = [Line.of(b, amounts=(b.total_fen, b.fund_fen + 100, b.account_fen)) for b in month.bills]
    statement_id = await month.state([*lines, *map(Line.of, strangers)])
    await month.match(statement_id)
    found = await shown(month.his, statement_id)
    strange = found["missing_in_books"]
    assert (strange["item_count"], strange["acting_parties"]) == (3, [HUAIYANG])
    assert strange["amount_fen"] == sum(b.total_fen for b in strangers)

    done = await act_on_class(somebody(act_as), statement_id, strange)
    assert done.status_code == 201, done.text
    assert (done.json()["item_count"], done.json()["amount_fen"]) == (3, strange["amount_fen"])
    assert done.json()["approval_needed"] is False
    _, kept = await month.match(statement_id)
    assert len(kept) == 5, "what was decided is still shown"
    assert sorted(outline(await listed(month.his))) == [
        *[("amount_differs", "open", None)] * 2,
        *[("missing_in_books", "closed", "decided")] * 3,
    ]


async def test_a_class_is_weighed_by_its_sum_and_approved_as_one(month: Month, act_as: ActAs) -> None:
    statement_id = await off_by(month, 60_000, 60_000)
    officer, reviewer = somebody(act_as), somebody(act_as, "reviewer")
    done = (await act_on_class(officer, statement_id, (await shown(officer, statement_id))["amount_differs"])).json()
    assert (done["sum_fen"], done["approval_needed"]) == (120_000, True)
    assert {item["acting_party"] for item in await listed(month.his)} == {HUAIYANG}, "who is to approve"
    await month.match(statement_id)
    unapproved = outline(await listed(month.his))
    path = f"/v1/bulk-actions/{done['bulk_no']}/approval"
    alone, foreign = await officer.post(path), await act_as("reviewer", ZHOUKOU).post(path)
    approved, twice = await reviewer.post(path), await reviewer.post(path)
    await month.match(statement_id)

    assert unapproved == [("amount_differs", "open", None)] * 2
    assert (codes(alone), codes(foreign)) == (["settlement.same-person"], ["auth.not-your-area"])
    assert approved.status_code == 200, approved.text
    assert approved.json()["approved_by"].startswith("reviewer-")
    assert codes(twice) == ["settlement.nothing-to-approve"]
    assert outline(await listed(month.his)) == [("amount_differs", "closed", "decided")] * 2
    (first, _) = await listed(month.his)
    (action,) = (await month.his.get(f"/v1/items/{first['item_no']}")).json()["actions"]
    assert (action["bulk_no"], action["approved_by"]) == (done["bulk_no"], approved.json()["approved_by"])
    history = (await month.his.get(f"/v1/statements/{statement_id}/bulk-actions")).json()["items"]
    assert history == [approved.json()]


async def test_only_what_was_seen_is_acted_upon(month: Month, act_as: ActAs) -> None:
    """Another match, or something done about one of the items, makes it something else than what was seen."""
    statement_id = await off_by(month, 100, 200)
    officer = somebody(act_as)
    seen = (await shown(officer, statement_id))["amount_differs"]
    (item, _) = await listed(month.his)
    await act(month.his, item, "dispute")
    touched = await act_on_class(officer, statement_id, seen)
    seen = (await shown(officer, statement_id))["amount_differs"]
    late = month.hospital.bill()
    await month.book(late)
    await rematch(rematching(month.books), statement_id, datetime.now(UTC))
    matched = await act_on_class(officer, statement_id, seen)
    body = {"difference_class": "duplicate", "kind": "drop", "reason": "x", "seen": "0" * 64}
    nothing = await officer.post(f"/v1/statements/{statement_id}/bulk-actions", body)
    for answer in (touched, matched, nothing):
        assert (answer.status_code, codes(answer)) == (409, ["settlement.items-changed"])
    (refusal,) = touched.json()["errors"]
    assert refusal["params"] == {"count": 2, "amount_fen": 300}, "it says what is there now"
    again = (await shown(officer, statement_id))["amount_differs"]
    assert (await act_on_class(officer, statement_id, again)).status_code == 201


async def test_that_the_books_stand_is_proposed_of_the_match_that_was_seen(month: Month, act_as: ActAs) -> None:
    statement_id = await off_by(month, 100)
    officer, path = somebody(act_as), f"/v1/statements/{statement_id}/resolution"
    seen = (await officer.get(f"/v1/statements/{statement_id}/open-items")).json()["match_no"]
    await month.book(month.hospital.bill())
    await rematch(rematching(month.books), statement_id, datetime.now(UTC))
    late = await officer.post(path, {"reason": "以账面为准", "match_no": seen})
    assert (late.status_code, codes(late)) == (409, ["settlement.numbers-changed"])
    assert (await officer.post(path, {"reason": "以账面为准", "match_no": seen + 1})).status_code == 201


async def test_what_was_found_before_is_found_by_the_class_too(month: Month, act_as: ActAs) -> None:
    """The next version leaves an item as it was: it belongs to the class of that version all the same."""
    first = await off_by(month, 100)
    (bill,) = month.bills
    line = Line.of(bill, amounts=(bill.total_fen, bill.fund_fen + 100, bill.account_fen))
    await month.match(second := await month.state([line, Line.of(month.hospital.bill(fund_fen=300))]))
    items = {item["difference_class"]: item for item in await listed(month.his)}
    assert items["amount_differs"]["statement_id"] == first, "it was found so in the first version"
    found = await shown(month.his, second)
    assert found["amount_differs"]["item_count"] == 1
    replaced = await act_on_class(month.his, first, found["amount_differs"])
    assert codes(replaced) == ["settlement.statement-replaced"]
    assert (await act_on_class(month.his, second, found["amount_differs"])).status_code == 201
    await month.match(second)
    assert outline(await listed(month.his, difference_class="amount_differs")) == [
        ("amount_differs", "closed", "decided")
    ]


async def test_an_item_that_changed_is_not_decided_by_its_class(month: Month, act_as: ActAs) -> None:
    statement_id = await off_by(month, 100, 200)
    await act_on_class(month.his, statement_id, (await shown(month.his, statement_id))["amount_differs"])
    lines = [
        Line.of(b, amounts=(b.total_fen, b.fund_fen + fen, b.account_fen))
        for b, fen in zip(month.bills, (100, 999), strict=True)
    ]
    await month.match(await month.state(lines))
    found = {item["amount_fen"]: item["state"] for item in await listed(month.his)}
    assert found == {100: "closed", 999: "open"}


async def test_who_may_act_on_a_class(month: Month, act_as: ActAs) -> None:
    statement_id = await off_by(month, 100)
    found = (await shown(month.his, statement_id))["amount_differs"]
    stranger, home = act_as("facility", Hospital().code), act_as("officer", XIANGCHENG)
    for caller in (stranger, home):
        assert codes(await caller.get(f"/v1/statements/{statement_id}/open-items")) == ["auth.not-your-area"]
        assert codes(await act_on_class(caller, statement_id, found)) == ["auth.not-your-area"]
    officer = somebody(act_as)
    assert codes(await act_on_class(officer, statement_id, found, "dispute")) == ["settlement.action-not-yours"]
    assert codes(await act_on_class(officer, statement_id, found, "next_period")) == ["settlement.item-booked"]
    assert codes(await officer.post("/v1/bulk-actions/999999999/approval")) == ["settlement.bulk-action-unknown"]
    disputed = await act_on_class(month.his, statement_id, found, "dispute")
    assert disputed.status_code == 201
    assert [item["acting_party"] for item in await listed(month.his)] == [HUAIYANG]


async def test_what_the_database_refuses(month: Month, owner: Owner, act_as: ActAs) -> None:
    statement_id = await off_by(month, 200_000)
    officer = somebody(act_as)
    done = (await act_on_class(officer, statement_id, (await shown(officer, statement_id))["amount_differs"])).json()
    for statement in (
        "UPDATE bulk_action SET amount_fen = 1 WHERE bulk_no = $1",
        "DELETE FROM bulk_action WHERE bulk_no = $1",
        "UPDATE bulk_action SET approved_by = subject, approved_at = now() WHERE bulk_no = $1",
        "UPDATE item_action SET bulk_no = NULL WHERE bulk_no = $1",
        "UPDATE item_action SET sum_fen = 0 WHERE bulk_no = $1",
    ):
        with pytest.raises((asyncpg.RestrictViolationError, asyncpg.CheckViolationError)):
            await owner.execute(statement, done["bulk_no"])
    await somebody(act_as, "reviewer").post(f"/v1/bulk-actions/{done['bulk_no']}/approval")
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("UPDATE bulk_action SET approved_by = 'somebody' WHERE bulk_no = $1", done["bulk_no"])
