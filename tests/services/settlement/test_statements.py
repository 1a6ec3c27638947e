"""Statements against the running service: totals, lines, classes, versions, and the decision that the books stand."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from services.settlement.config import SettlementSettings
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.reminders import rematch_reopened
from services.settlement.use_cases.statements import rematch
from shared.events import new_id
from shared.events.claims import DischargeSettled, SettlementReversed
from shared.events.settlement import DifferenceFound, StatementSubmitted
from shared.workdays import WorkCalendar, month_of, shanghai_day
from tests.services.settlement.fixtures import ActAs, Caller, Heard, Owner, waits
from tests.services.settlement.world import (
    HUAIYANG,
    REGIONS,
    XIANGCHENG,
    ZHOUKOU,
    Books,
    Hospital,
    lines_of,
    totals_of,
)

Bills = list[DischargeSettled | SettlementReversed]


@pytest.fixture
def his(act_as: ActAs, hospital: Hospital) -> Caller:
    """The facility's system."""
    return act_as("facility", hospital.code, "his-1")


async def submit(his: Caller, hospital: Hospital, bills: Bills) -> dict[str, Any]:
    """The facility's statement of these bills."""
    answer = await his.post("/v1/statements", {"period": hospital.month, "totals": totals_of(bills)})
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def send_lines(his: Caller, statement: dict[str, Any], bills: Bills) -> None:
    """The lines of these bills."""
    answer = await his.post(f"/v1/statements/{statement['statement_id']}/lines", {"lines": lines_of(bills)})
    assert answer.status_code == 200, answer.text


async def states(books: Books, hospital: Hospital) -> set[str]:
    """The states of the hospital's cases."""
    rows = await books.rows("SELECT DISTINCT state FROM settlement_case WHERE facility_code = $1", hospital.code)
    return {row["state"] for row in rows}


def codes(answer: Any) -> list[str]:
    """The codes of a refusal."""
    return [error["code"] for error in answer.json()["errors"]]


async def test_equal_totals_match_at_once(books: Books, hospital: Hospital, his: Caller) -> None:
    bills: Bills = [hospital.bill(), hospital.bill(HUAIYANG), hospital.bill(insutype="310", clr_type="11")]
    bills.append(hospital.reversal(bills[0]))
    await books.hear(*bills)

    statement = await submit(his, hospital, bills)

    assert (statement["state"], statement["version_no"], statement["care_region"]) == ("matched", 1, HUAIYANG)
    assert len(statement["totals"]) == 4
    assert all(total["equal"] for total in statement["totals"])
    assert await states(books, hospital) == {"matched"}


async def test_statement_and_event_commit_together(books: Books, hospital: Hospital, his: Caller) -> None:
    bill = hospital.bill()
    await books.hear(bill)

    key = new_id()
    body = {"period": hospital.month, "totals": totals_of([bill])}
    first = await his.post("/v1/statements", body, key)
    again = await his.post("/v1/statements", body, key)
    other = await his.post("/v1/statements", {**body, "totals": []}, key)

    assert (first.text, again.headers["idempotency-replayed"]) == (again.text, "true")
    assert codes(other) == ["idempotency.key-reused"]
    assert await books.value("SELECT count(*) FROM statement WHERE party = $1", hospital.code) == 1
    found = await his.get("/v1/statements")
    assert [item["statement_id"] for item in found.json()["items"]] == [first.json()["statement_id"]]


async def test_plain_mismatch_is_explained_bill_by_bill(books: Books, hospital: Hospital, his: Caller) -> None:
    """One amount differs, one bill is not stated, one is not booked: each is in one class, and the classes add up."""
    agreed, differs, unstated, unbooked = (hospital.bill() for _ in range(4))
    await books.hear(agreed, differs, unstated)
    wrong = differs.model_copy(update={"fund_fen": differs.fund_fen + 100, "total_fen": differs.total_fen + 100})
    stated: Bills = [agreed, wrong, unbooked]

    statement = await submit(his, hospital, stated)
    missing = await his.post(f"/v1/statements/{statement['statement_id']}/match")
    await send_lines(his, statement, stated)
    await send_lines(his, statement, stated)
    matched = (await his.post(f"/v1/statements/{statement['statement_id']}/match")).json()

    assert (statement["state"], codes(missing)) == ("details_wanted", ["settlement.lines-missing"])
    assert matched["state"] == "differences"
    assert await states(books, hospital) == {"differences"}
    classes = {item["difference_class"]: item for item in matched["classes"]}
    assert {name: (c["books"]["bill_count"], c["stated"]["bill_count"]) for name, c in classes.items()} == {
        "agreed": (1, 1),
        "amount_differs": (1, 1),
        "missing_in_statement": (1, 0),
        "missing_in_books": (0, 1),
    }
    for side in ("books", "stated"):
        for name in ("total_fen", "fund_fen", "account_fen", "bill_count"):
            by_class = sum(c[side][name] for c in classes.values())
            assert by_class == sum(total[side][name] for total in matched["totals"])
    found = (await his.get(f"/v1/statements/{statement['statement_id']}/differences")).json()["items"]
    assert {(d["difference_class"], d["facility_settlement_no"]) for d in found} == {
        ("amount_differs", differs.facility_settlement_no),
        ("missing_in_statement", unstated.facility_settlement_no),
        ("missing_in_books", unbooked.facility_settlement_no),
    }
    (amount,) = [d for d in found if d["difference_class"] == "amount_differs"]
    assert amount["stated_fund_fen"] - amount["books_fund_fen"] == 100


@pytest.mark.parametrize("seed", range(4))
async def test_every_bill_ends_in_exactly_one_class(books: Books, hospital: Hospital, his: Caller, seed: int) -> None:
    """A month with all kinds of mistakes, against a model that classes it bill by bill."""
    dice = random.Random(seed)
    expected: Counter[tuple[str, str]] = Counter()
    booked: Bills = []
    stated: Bills = []
    for _ in range(200):
        bill: DischargeSettled | SettlementReversed = hospital.bill(dice.choice([HUAIYANG, XIANGCHENG]))
        if dice.random() < 0.2:
            bill = hospital.reversal(bill)
        kind = dice.choice(["agreed"] * 6 + ["amount_differs", "missing_in_statement", "missing_in_books"])
        off = {dice.choice(["total_fen", "fund_fen", "account_fen"]): dice.choice([-1, 1]) * 7}
        changed = bill.model_copy(update={name: getattr(bill, name) + fen for name, fen in off.items()})
        booked += [] if kind == "missing_in_books" else [bill]
        stated += [] if kind == "missing_in_statement" else [changed if kind == "amount_differs" else bill]
        expected[kind, "agreed" if kind == "agreed" else bill.facility_settlement_no] += 1
    await books.hear(*booked)

    statement = await submit(his, hospital, stated)
    dice.shuffle(stated)
    await send_lines(his, statement, stated)
    matched = (await his.post(f"/v1/statements/{statement['statement_id']}/match")).json()
    found = (await his.get(f"/v1/statements/{statement['statement_id']}/differences", limit=200)).json()["items"]

    classed = Counter((d["difference_class"], d["facility_settlement_no"]) for d in found)
    classed["agreed", "agreed"] = next(
        c["books"]["bill_count"] for c in matched["classes"] if c["difference_class"] == "agreed"
    )
    assert classed == expected
    for side, bills in (("books", booked), ("stated", stated)):
        for name in ("total_fen", "fund_fen", "account_fen"):
            assert sum(c[side][name] for c in matched["classes"]) == sum(getattr(bill, name) for bill in bills)


async def test_differences_come_in_pages(books: Books, hospital: Hospital, his: Caller) -> None:
    await books.hear(*(hospital.bill() for _ in range(3)))
    unbooked: Bills = [hospital.bill() for _ in range(2)]
    statement = await submit(his, hospital, unbooked)
    await send_lines(his, statement, unbooked)
    path = f"/v1/statements/{statement['statement_id']}"
    await his.post(f"{path}/match")

    first = (await his.get(f"{path}/differences", limit=3)).json()
    second = (await his.get(f"{path}/differences", limit=3, cursor=first["next_cursor"])).json()

    assert [item["position"] for item in first["items"] + second["items"]] == [1, 2, 3, 4, 5]
    assert second["next_cursor"] is None
    forged = await his.get(f"{path}/differences", cursor="eHl6")
    assert (forged.status_code, codes(forged)) == (422, ["request.cursor-invalid"])


async def test_a_difference_is_announced_once(books: Books, hospital: Hospital, his: Caller, heard: Heard) -> None:
    """Matching again, and matching after more bills, tells only what is new."""
    unstated, later = hospital.bill(), hospital.bill()
    unbooked: Bills = [hospital.bill(fund_fen=1)]
    await books.hear(unstated)
    statement = await submit(his, hospital, unbooked)
    await send_lines(his, statement, unbooked)
    for _ in range(2):
        await his.post(f"/v1/statements/{statement['statement_id']}/match")
    await books.hear(later)
    await rematch_reopened(rematching(books), lambda: datetime.now(UTC))

    told = await heard(f"{hospital.code}:{hospital.month}")

    submitted = [event for event in told if isinstance(event, StatementSubmitted)]
    assert [(event.version_no, event.bill_count) for event in submitted] == [(1, 1)]
    differences = [e for e in told if isinstance(e, DifferenceFound)]
    assert Counter((e.difference_class, e.facility_settlement_no) for e in differences) == {
        ("missing_in_statement", unstated.facility_settlement_no): 1,
        ("missing_in_books", unbooked[0].facility_settlement_no): 1,
        ("missing_in_statement", later.facility_settlement_no): 1,
    }


async def test_details_prevail_over_totals_in_the_wrong_group(books: Books, hospital: Hospital, his: Caller) -> None:
    bills: Bills = [hospital.bill(), hospital.bill(HUAIYANG)]
    await books.hear(*bills)
    totals = totals_of(bills)
    totals[0]["home_region"] = ZHOUKOU

    answer = await his.post("/v1/statements", {"period": hospital.month, "totals": totals})
    await send_lines(his, answer.json(), bills)
    matched = await his.post(f"/v1/statements/{answer.json()['statement_id']}/match")

    assert (answer.json()["state"], matched.json()["state"]) == ("details_wanted", "matched")


async def test_line_that_names_another_settlement_is_two_differences(
    books: Books, hospital: Hospital, his: Caller
) -> None:
    bill = hospital.bill()
    await books.hear(bill)
    stranger = bill.model_copy(update={"settlement_id": new_id(), "total_fen": bill.total_fen + 1})

    statement = await submit(his, hospital, [stranger])
    await send_lines(his, statement, [stranger])
    matched = (await his.post(f"/v1/statements/{statement['statement_id']}/match")).json()

    assert [item["difference_class"] for item in matched["classes"]] == ["missing_in_books", "missing_in_statement"]


async def test_lines_must_add_up_to_their_statement(books: Books, hospital: Hospital, his: Caller) -> None:
    bills: Bills = [hospital.bill(), hospital.bill()]
    await books.hear(bills[0])
    statement = await submit(his, hospital, bills)
    await send_lines(his, statement, bills[:1])

    answer = await his.post(f"/v1/statements/{statement['statement_id']}/match")

    assert (answer.status_code, set(codes(answer))) == (422, {"settlement.lines-do-not-add-up"})
    assert len(codes(answer)) == 4


async def test_every_line_that_differs_from_before_is_named(books: Books, hospital: Hospital, his: Caller) -> None:
    bills: Bills = [hospital.bill() for _ in range(3)]
    await books.hear(hospital.bill())
    statement = await submit(his, hospital, bills)
    await send_lines(his, statement, bills)
    changed: Bills = [bills[0], *(b.model_copy(update={"fund_fen": 1}) for b in bills[1:])]

    answer = await his.post(
        f"/v1/statements/{statement['statement_id']}/lines", {"lines": lines_of([*changed, hospital.bill()])}
    )

    assert answer.status_code == 409
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/lines/1", "/lines/2"]
    count = "SELECT count(*) FROM statement_line WHERE statement_id = $1"
    assert await books.value(count, statement["statement_id"]) == 3, "a refused request leaves nothing"


async def test_new_version_replaces_and_keeps_the_old(books: Books, hospital: Hospital, his: Caller) -> None:
    bill = hospital.bill()
    await books.hear(bill)
    wrong = await submit(his, hospital, [])

    right = await submit(his, hospital, [bill])

    assert (wrong["state"], right["state"], right["version_no"]) == ("details_wanted", "matched", 2)
    old = await his.get(f"/v1/statements/{wrong['statement_id']}")
    assert old.json()["state"] == "replaced"
    for action, body in (("lines", {"lines": lines_of([bill])}), ("match", None)):
        refused = await his.post(f"/v1/statements/{wrong['statement_id']}/{action}", body)
        assert codes(refused) == ["settlement.statement-replaced"]
    unwanted = await his.post(f"/v1/statements/{right['statement_id']}/lines", {"lines": lines_of([bill])})
    assert codes(unwanted) == ["settlement.statement-matched"]


async def test_two_versions_at_once_are_numbered(books: Books, hospital: Hospital, his: Caller) -> None:
    bill = hospital.bill()
    await books.hear(bill)

    made = await asyncio.gather(*(submit(his, hospital, [bill]) for _ in range(5)))

    assert sorted(statement["version_no"] for statement in made) == [1, 2, 3, 4, 5]
    listed = (await his.get("/v1/statements", period=hospital.month)).json()["items"]
    assert {s["version_no"]: s["state"] for s in listed} == {**dict.fromkeys(range(1, 5), "replaced"), 5: "matched"}


async def test_books_stand_by_two_people_of_the_care_agency(
    books: Books, hospital: Hospital, his: Caller, act_as: ActAs
) -> None:
    await books.hear(hospital.bill())
    statement = await submit(his, hospital, [])
    path = f"/v1/statements/{statement['statement_id']}/resolution"
    officer, other = act_as("officer", HUAIYANG, "officer-1"), act_as("reviewer", HUAIYANG, "reviewer-1")
    reason = {"reason": "医院漏报，以账面为准"}

    nothing_yet = await other.post(f"{path}/approval")
    foreign = await act_as("officer", XIANGCHENG).post(path, reason)
    proposed = await officer.post(path, reason)
    again = await officer.post(path, reason)
    alone = await officer.post(f"{path}/approval")
    approved = await other.post(f"{path}/approval")

    assert codes(nothing_yet) == ["settlement.resolution-missing"]
    assert codes(foreign) == ["auth.not-your-area"]
    assert (proposed.status_code, codes(again)) == (201, ["settlement.resolution-exists"])
    assert codes(alone) == ["settlement.same-person"]
    assert approved.json()["state"] == "matched"
    assert approved.json()["resolution"]["approved_by"] == "reviewer-1"
    assert await states(books, hospital) == {"matched"}
    assert codes(await officer.post(path, reason)) == ["settlement.nothing-to-resolve"]


def rematching(books: Books) -> Settlement:
    """The parts of a worker in this process."""
    return Settlement(books.database, REGIONS, SettlementSettings(), WorkCalendar(), books.ledger_key)


async def test_late_bill_reopens_the_match(books: Books, hospital: Hospital, his: Caller) -> None:
    """What was stated and only now arrives makes it match again by itself; what was not stated makes it differ."""
    first, late, unstated = hospital.bill(), hospital.bill(HUAIYANG), hospital.bill()
    await books.hear(first)
    statement = await submit(his, hospital, [first, late])
    path = f"/v1/statements/{statement['statement_id']}"

    await books.hear(late)
    await rematch_reopened(rematching(books), lambda: datetime.now(UTC))
    arrived = (await his.get(path)).json()["state"], await states(books, hospital)
    await books.hear(unstated)
    numbers = await books.value(
        "SELECT count(numbers_hash) FROM settlement_case WHERE facility_code = $1", hospital.code
    )
    await rematch_reopened(rematching(books), lambda: datetime.now(UTC))

    assert statement["state"] == "details_wanted"
    assert arrived == ("matched", {"matched"})
    assert numbers == 0, "numbers that changed can no longer be confirmed"
    assert (await his.get(path)).json()["state"] == "details_wanted"
    assert await states(books, hospital) == {"submitted"}


async def test_bills_arriving_during_matches_are_never_missed(books: Books, hospital: Hospital, his: Caller) -> None:
    """Booking, submitting and matching race; whoever is last, a matched case has the numbers of its bills."""
    bills: Bills = [hospital.bill() for _ in range(30)]

    async def book() -> None:
        for bill in bills:
            await books.hear(bill)

    async def state() -> None:
        for _ in range(5):
            await submit(his, hospital, bills)

    async def rematch() -> None:
        for _ in range(10):
            await rematch_reopened(rematching(books), lambda: datetime.now(UTC))

    await asyncio.gather(book(), state(), rematch())
    await rematch_reopened(rematching(books), lambda: datetime.now(UTC))

    (row,) = await books.rows("SELECT state, bill_count FROM settlement_case WHERE facility_code = $1", hospital.code)
    assert tuple(row) == ("matched", 30)


async def test_bill_that_waited_for_a_match_reopens_it(
    books: Books, hospital: Hospital, his: Caller, owner: Owner
) -> None:
    """A match is in its middle when a bill comes: the bill must see what the match came to, not what was before."""
    first, late, unstated = (hospital.bill() for _ in range(3))
    await books.hear(first)
    statement = await submit(his, hospital, [first, late])
    month_held = owner.transaction()
    await month_held.start()
    await owner.execute("SELECT FROM facility_month WHERE facility_code = $1 FOR SHARE", hospital.code)
    await books.hear(late)
    async with books.database.transaction() as case_held:
        await case_held.execute("SELECT FROM settlement_case WHERE facility_code = $1 FOR UPDATE", hospital.code)
        matching = asyncio.create_task(rematch(rematching(books), statement["statement_id"], datetime.now(UTC)))
        await month_held.rollback()
        await waits(books, "numbers_hash")
        booking = asyncio.create_task(books.hear(unstated))
        await waits(books, "FOR SHARE")
    await asyncio.gather(matching, booking)

    await rematch_reopened(rematching(books), lambda: datetime.now(UTC))
    seen = (await his.get(f"/v1/statements/{statement['statement_id']}")).json()
    assert (seen["state"], await states(books, hospital)) == ("details_wanted", {"submitted"})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"period": "2199-01"}, "settlement.month-not-begun"),
        ({"period": month_of(shanghai_day(datetime.now(UTC)))}, "settlement.month-not-over"),
    ],
)
async def test_months_that_cannot_be_stated(his: Caller, change: dict[str, Any], code: str) -> None:
    answer = await his.post("/v1/statements", {"totals": [], **change})

    assert (answer.status_code, codes(answer)) == (422, [code])


async def test_everything_wrong_with_a_statement_is_named_at_once(his: Caller, hospital: Hospital) -> None:
    (total,) = totals_of([hospital.bill()])
    twice = [total, total, {**total, "home_region": "999999"}]

    answer = await his.post("/v1/statements", {"period": "2199-01", "totals": twice})

    assert [(e["code"], e["pointer"]) for e in answer.json()["errors"]] == [
        ("settlement.month-not-begun", "/period"),
        ("settlement.total-repeated", "/totals/1"),
        ("settlement.region-unknown", "/totals/2/home_region"),
    ]


async def test_unknown_facility_states_nothing(act_as: ActAs) -> None:
    stranger = Hospital()

    answer = await act_as("facility", stranger.code).post("/v1/statements", {"period": stranger.month, "totals": []})

    assert (answer.status_code, codes(answer)) == (404, ["settlement.facility-unknown"])


async def test_statement_is_its_facilitys_own(books: Books, hospital: Hospital, his: Caller, act_as: ActAs) -> None:
    bill = hospital.bill()
    await books.hear(bill)
    statement = await submit(his, hospital, [])
    path = f"/v1/statements/{statement['statement_id']}"
    stranger = act_as("facility", Hospital().code)

    for answer in (
        await stranger.get(path),
        await stranger.get(f"{path}/differences"),
        await stranger.post(f"{path}/lines", {"lines": lines_of([bill])}),
        await stranger.post(f"{path}/match"),
        await act_as("officer", XIANGCHENG).get(path),
        await act_as("officer", ZHOUKOU).post(f"{path}/match"),
    ):
        assert (answer.status_code, codes(answer)) == (403, ["auth.not-your-area"])
    assert (await act_as("officer", ZHOUKOU).get(path)).status_code == 200
    assert (await stranger.get("/v1/statements")).json()["items"] == []
    assert codes(await his.get(f"/v1/statements/{new_id()}")) == ["settlement.statement-unknown"]
