"""Single days at the running service: matched like a month, never in its place, and nothing is told twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest

from services.settlement.rules.statements import check_day
from services.settlement.use_cases.reminders import rematch_reopened
from shared.events.settlement import DifferenceFound, StatementSubmitted
from shared.workdays import SHANGHAI, shanghai_day
from tests.services.settlement.fixtures import Heard, Owner
from tests.services.settlement.matching_model import Booked, Match
from tests.services.settlement.test_items import act, listed, outline
from tests.services.settlement.test_matching import AMOUNTS, Bill, Line, Month, classes, made_up, month, stated
from tests.services.settlement.test_statements import codes, rematching, states
from tests.services.settlement.world import lines_of, noon, totals_of

__all__ = ["month"]


def on(month: Month, number: int) -> str:
    """A day of the month."""
    return f"{month.hospital.month}-{number:02d}"


def at(month: Month, number: int, hour: int, minute: int = 0) -> datetime:
    """A moment of a day of the month, in Asia/Shanghai."""
    first = date.fromisoformat(f"{month.hospital.month}-01")
    return datetime(first.year, first.month, number, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)


async def days(month: Month, statement_id: str) -> dict[str, bool]:
    """Which days the month's statement shows as agreed."""
    shown = (await month.his.get(f"/v1/statements/{statement_id}")).json()["days"]
    return {day["day"]: day["agreed"] for day in shown}


async def comes_to(month: Month, statement_id: str, state: str) -> None:
    """Until a statement was compared again, and came to this."""
    for _ in range(200):
        await rematch_reopened(rematching(month.books), lambda: datetime.now(UTC))
        seen = (await month.his.get(f"/v1/statements/{statement_id}")).json()["state"]
        if seen == state:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"it is {seen} and does not come to {state}")


async def test_the_month_shows_which_days_agreed(month: Month) -> None:
    """Days are compared by their own bills; cases wait for the month."""
    h = month.hospital
    first, second, unstated = (h.bill(settled_at=at(month, n, 10)) for n in (3, 4, 4))
    await month.book(first, second, unstated)
    body = {"period": h.month, "day": on(month, 3), "totals": totals_of([first])}
    by_totals = (await month.his.post("/v1/statements", body)).json()
    matched, found = await month.match(await month.state([Line.of(second)], day=on(month, 4)))

    assert (by_totals["state"], by_totals["day"], by_totals["totals"][0]["equal"]) == ("matched", on(month, 3), True)
    assert (matched["state"], classes(found)) == ("differences", [("missing_in_statement", unstated.settlement_id)])
    assert await states(month.books, h) == {"open"}
    all_of_it = await month.state([Line.of(b) for b in (first, second, unstated)])
    assert await days(month, all_of_it) == {on(month, 3): True, on(month, 4): False}
    assert by_totals["days"] == []


async def test_what_a_day_found_is_the_months_item_and_not_told_twice(month: Month, heard: Heard) -> None:
    h = month.hospital
    known, later = (h.bill(settled_at=at(month, n, 10)) for n in (3, 5))
    await month.book(known, later)
    stranger = h.bill(fund_fen=77)
    await month.match(await month.state([Line.of(stranger)], day=on(month, 3)))
    before = {item["item_no"] for item in await listed(month.his)}
    await month.match(await month.state([Line.of(stranger)]))

    items = await listed(month.his)
    assert before < {item["item_no"] for item in items}
    assert Counter(outline(items)) == {("missing_in_statement", "open", None): 2, ("missing_in_books", "open", None): 1}
    told = await heard(f"{h.code}:{h.month}")
    found = [event for event in told if isinstance(event, DifferenceFound)]
    assert Counter((e.facility_settlement_no, str(e.day)) for e in found) == {
        (known.facility_settlement_no, on(month, 3)): 1,
        (stranger.facility_settlement_no, on(month, 3)): 1,
        (later.facility_settlement_no, "None"): 1,
    }
    assert sum(isinstance(event, StatementSubmitted) for event in told) == 1


async def test_a_corrected_day_closes_its_own_items_only(month: Month) -> None:
    one, other = (month.hospital.bill(settled_at=at(month, n, 10)) for n in (3, 4))
    await month.book(one, other)
    for number in (3, 4):
        await month.match(await month.state([Line.of(month.hospital.bill(fund_fen=number))], day=on(month, number)))
    again = await month.state([Line.of(one, settlement_id=None)], day=on(month, 3))
    await month.match(again)

    closed = {i["statement_id"]: i["state"] for i in await listed(month.his)}
    assert Counter(outline(await listed(month.his))) == {
        ("missing_in_statement", "closed", "agreed"): 1,
        ("missing_in_books", "closed", "agreed"): 1,
        ("missing_in_statement", "open", None): 1,
        ("missing_in_books", "open", None): 1,
    }
    versions = (await month.his.get("/v1/statements", day=on(month, 3))).json()["items"]
    assert [(v["version_no"], v["state"]) for v in versions] == [(1, "replaced"), (2, "matched")]
    assert len(closed) == 2


async def test_an_item_of_a_day_is_decided_by_the_day_and_stays_so_in_the_month(month: Month) -> None:
    bill = month.hospital.bill(settled_at=at(month, 3, 10))
    await month.book(bill)
    off = Line.of(bill, amounts=(bill.total_fen, bill.fund_fen + 5, bill.account_fen))
    day = await month.state([off], day=on(month, 3))
    await month.match(day)
    (item,) = await listed(month.his)
    assert (await act(month.his, item, "drop")).status_code == 201
    matched, _ = await month.match(day)
    whole, _ = await month.match(await month.state([off]))

    assert (matched["state"], whole["state"]) == ("matched", "matched")
    assert outline(await listed(month.his)) == [("amount_differs", "closed", "decided")]


async def test_a_cut_off_at_midnight_is_named_by_its_day(month: Month) -> None:
    """The facility counts a bill of 23:59 to the next day: on either day it is the other's, not missing."""
    late = month.hospital.bill(settled_at=at(month, 3, 23, 59))
    early = month.hospital.bill(settled_at=at(month, 4, 0))
    await month.book(late, early)
    next_day = await month.state([Line.of(late), Line.of(early)], day=on(month, 4))
    _, here = await month.match(next_day)
    _, before = await month.match(await month.state([Line.of(month.hospital.bill(fund_fen=1))], day=on(month, 3)))

    assert [(d["difference_class"], d["other_period"]) for d in here] == [("period_differs", on(month, 3))]
    by_class = {d["difference_class"]: d for d in before}
    assert by_class["period_differs"]["settlement_id"] == late.settlement_id
    assert by_class["period_differs"]["other_period"] == on(month, 4)


async def test_a_late_bill_and_a_late_reversal_compare_the_day_again(month: Month) -> None:
    h = month.hospital
    bill, late = (h.bill(settled_at=at(month, 3, 10)) for _ in range(2))
    await month.book(bill)
    day = await month.state([Line.of(bill), Line.of(late)], day=on(month, 3))
    other = await month.state([Line.of(h.bill(fund_fen=9))], day=on(month, 4))
    await month.match(day)
    await month.book(late)
    await comes_to(month, day, "matched")
    await month.book(h.reversal(late, settled_at=at(month, 3, 11)))
    await comes_to(month, day, "differences")
    assert (await month.his.get(f"/v1/statements/{other}")).json()["state"] == "details_wanted"

    whole = await month.state([Line.of(bill), Line.of(late)])
    await month.book(h.bill(settled_at=at(month, 3, 12)))
    await comes_to(month, whole, "differences")
    await comes_to(month, day, "differences")
    items = [i for i in await listed(month.his) if i["state"] == "open"]
    assert {i["statement_id"] for i in items} == {whole}, "what is open is the month's, not the day's any more"


async def test_bills_arriving_during_matches_of_their_day_are_never_missed(month: Month) -> None:
    bills = [month.hospital.bill(settled_at=at(month, 3, 10)) for _ in range(20)]

    async def book() -> None:
        for bill in bills:
            await month.book(bill)

    async def rematch() -> None:
        for _ in range(10):
            await rematch_reopened(rematching(month.books), lambda: datetime.now(UTC))

    body = {"period": month.hospital.month, "day": on(month, 3), "totals": totals_of(bills)}
    submitted, *_ = await asyncio.gather(month.his.post("/v1/statements", body), book(), rematch())
    await comes_to(month, submitted.json()["statement_id"], "matched")


async def test_days_that_cannot_be_stated(month: Month) -> None:
    """Every reason is named; none of them leaves anything behind."""
    today = shanghai_day(datetime.now(UTC))
    bill = month.hospital.bill()
    await month.book(bill)

    async def refused(day: str, period: str = month.hospital.month) -> list[str]:
        body = {"period": period, "day": day, "totals": totals_of([bill])}
        return codes(await month.his.post("/v1/statements", body))

    assert await refused(str(today), str(today)[:7]) == ["settlement.day-not-over"]
    assert await refused(str(today)) == ["settlement.day-elsewhere"]
    await month.state([Line.of(bill)])
    assert await refused(on(month, 3)) == ["settlement.month-stated"]
    assert await month.books.value("SELECT count(*) FROM statement WHERE party = $1", month.hospital.code) == 1


@pytest.mark.parametrize(
    ("day", "period", "today", "expected"),
    [
        (date(2026, 10, 31), "2026-10", date(2026, 11, 1), []),
        (date(2026, 10, 31), "2026-10", date(2026, 10, 31), ["settlement.day-not-over"]),
        (date(2026, 11, 1), "2026-10", date(2026, 11, 2), ["settlement.day-elsewhere"]),
        (date(2026, 9, 30), "2026-10", date(2026, 11, 2), ["settlement.day-elsewhere"]),
        (date(2024, 2, 29), "2024-02", date(2024, 3, 1), []),
    ],
)
def test_when_a_day_can_be_stated(day: date, period: str, today: date, expected: list[str]) -> None:
    assert [refusal.code for refusal in check_day(day, period, today)] == expected


async def test_the_database_refuses_a_day_of_another_month(owner: Owner, month: Month) -> None:
    insert = (
        "INSERT INTO statement VALUES ('x', 'H1', '411603', '2026-10', 1, 'matched', 1, 'his', now(), current_date,"
        " $1, $2)"
    )
    for day, home, guard in ((date(2026, 11, 1), None, "statement_day"), (date(2026, 10, 1), "411681", "statement_of")):
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await owner.execute(insert, day, home)
        assert refused.value.constraint_name == guard


async def test_lines_in_batches_are_lines_of_a_day_too(month: Month) -> None:
    bill = month.hospital.bill(settled_at=at(month, 3, 10))
    await month.book(bill)
    wrong = bill.model_copy(update={"total_fen": bill.total_fen + 1})
    body = {"period": month.hospital.month, "day": on(month, 3), "totals": totals_of([wrong])}
    statement_id = (await month.his.post("/v1/statements", body)).json()["statement_id"]
    sent = await month.his.post(f"/v1/statements/{statement_id}/lines", {"lines": lines_of([wrong])})
    matched = (await month.his.post(f"/v1/statements/{statement_id}/match")).json()
    assert (sent.status_code, [c["difference_class"] for c in matched["classes"]]) == (200, ["amount_differs"])


# Made-up days

SEEDS = range(30)


def moved(month: Month, bill: Bill) -> Bill:
    """A bill of the months beside made one of the days beside, at noon of the 9th, 10th or 11th."""
    months = sorted({str(noon(month.hospital.month))[:7], str(bill.settled_at)[:7]})
    ahead = 0 if len(months) == 1 else (-1 if months[0] == str(bill.settled_at)[:7] else 1)
    return bill.model_copy(update={"settled_at": at(month, 10 + ahead, 12)})


def booked(bills: list[Bill]) -> list[Booked]:
    """The bills as the model sees them, each on its day."""
    return [
        Booked(
            b.settlement_id,
            b.facility_settlement_no,
            b.total_fen < 0,
            (b.total_fen, b.fund_fen, b.account_fen),
            str(shanghai_day(b.settled_at)),
            str(shanghai_day(b.settled_at)),
            getattr(b, "reverses_settlement_id", None),
        )
        for b in bills
    ]


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_match_of_a_day_agrees_with_the_model(month: Month, seed: int) -> None:
    dice = random.Random(seed)
    bills, lines, others = made_up(dice, month.hospital)
    lines = lines or [Line.of(month.hospital.bill())]
    bills = [moved(month, bill) for bill in bills]
    await month.book(*bills)
    before = {on(month, 9): [line for of in others.values() for line in of]} if others else {}
    for day, there in before.items():
        await month.state(there, day=day)
    matched, found = await month.match(await month.state(lines, day=on(month, 10)))
    model = Match(on(month, 10), booked(bills), stated_on(lines), {d: stated_on(of) for d, of in before.items()})
    expected = model.outcomes()

    here = Counter((d["difference_class"], d["settlement_id"], d["line_no"], d["other_period"]) for d in found)
    assert here == Counter(tuple(o) for o in expected if o.difference_class != "agreed")
    assert_sides(matched, [b.amounts for b in model.bills if b.period == model.period], lines)


def stated_on(lines: list[Line]) -> list[Any]:
    """The lines as the model sees them; where they give a day, it is compared as a day."""
    return [
        seen._replace(settled_period=line.settled_on or None) for seen, line in zip(stated(lines), lines, strict=True)
    ]


def assert_sides(matched: dict[str, Any], books: list[tuple[int, int, int]], lines: list[Line]) -> None:
    """The classes add up to both sides."""
    for side, amounts in {"books": books, "stated": [line.amounts for line in lines]}.items():
        sums = [sum(c[side][name] for c in matched["classes"]) for name in (*AMOUNTS, "bill_count")]
        assert sums == [*(sum(a[place] for a in amounts) for place in range(3)), len(amounts)]
