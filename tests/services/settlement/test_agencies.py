"""Statements of agencies at the running service: a partner's own books against the shared ones."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from services.settlement.config import SettlementSettings
from services.settlement.store.statements import lock_statement, reopen_touched
from services.settlement.use_cases.agencies import AgencySubmission, submit
from services.settlement.use_cases.reminders import remind
from shared.auth import Principal, Role
from shared.events.settlement import AgencyBooksDiffer, ReconciliationDue
from tests.services.settlement.fixtures import ActAs, Caller, Heard
from tests.services.settlement.matching_model import Match
from tests.services.settlement.test_days import assert_sides, comes_to
from tests.services.settlement.test_items import act, listed, outline
from tests.services.settlement.test_matching import AMOUNTS, HEADER, Bill, Line, Month, made_up, month, stated
from tests.services.settlement.test_statements import codes, rematching, states
from tests.services.settlement.world import (
    HUAIYANG,
    WANCHENG,
    XIANGCHENG,
    ZHOUKOU,
    Books,
    Hospital,
    totals_of,
)

__all__ = ["month"]


@dataclass
class Partner:
    """A home agency with a system of its own, and what a match makes of its books."""

    caller: Caller
    party: str
    care: str
    home: str
    period: str
    bills: list[Bill] = field(default_factory=list)

    async def submit(self, lines: list[Line], **changed: Any) -> Any:
        """The agency's totals of these lines, in one group that agrees with nothing."""
        totals = [
            {
                "insutype": "390",
                "clr_type": "99",
                "refund": refund,
                "bill_count": len(mine),
                **{name: sum(x.amounts[at] for x in mine) for at, name in enumerate(AMOUNTS)},
            }
            for refund in (False, True)
            if (mine := [x for x in lines if x.refund is refund])
        ]
        body = {"period": self.period, "care_region": self.care, "home_region": self.home, "totals": totals}
        return await self.caller.post("/v1/agency-statements", body | changed)

    async def state(self, lines: list[Line], facility: str = "") -> str:
        """Its statement with the lines as a file, which names facilities; its id."""
        submitted = await self.submit(lines)
        assert submitted.status_code == 201, submitted.text
        statement_id: str = submitted.json()["statement_id"]
        text = [f"{HEADER},facility_code", *(f"{line.text},{facility}" for line in lines)]
        content = "\n".join(text).encode()
        path = f"/v1/statements/{statement_id}/files/{hashlib.sha256(content).hexdigest()}"
        sent = await self.caller.put(path, content, "text/csv")
        assert sent.status_code == 200, sent.text
        return statement_id

    async def match(self, statement_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The classes and the differences of a match."""
        matched = await self.caller.post(f"/v1/statements/{statement_id}/match")
        assert matched.status_code == 200, matched.text
        found = (await self.caller.get(f"/v1/statements/{statement_id}/differences", limit=200)).json()
        return matched.json(), found["items"]


PERIODS = iter(f"{1990 + n // 12}-{n % 12 + 1:02d}" for n in range(0, 400, 4))
"""Months long ago, one for each test and none beside another: the chain is that of every other test."""


@dataclass
class Chain:
    """Two hospitals of one county, whose numbers collide, and the partner at the other end of the chain."""

    books: Books
    hospitals: tuple[Hospital, Hospital]
    partner: Partner

    async def book(self, *bills: Bill) -> None:
        """Book bills."""
        self.partner.bills += bills
        await self.books.hear(*bills)


@pytest.fixture
async def chain(act_as: ActAs, books: Books) -> Chain:
    period = next(PERIODS)
    hospitals = (Hospital(month=period), Hospital(month=period))
    await books.hear(*(h.changed() for h in hospitals))
    partner = Partner(act_as("partner", XIANGCHENG), XIANGCHENG, HUAIYANG, XIANGCHENG, period)
    return Chain(books, hospitals, partner)


async def test_each_difference_is_for_the_agency_that_must_act(chain: Chain, act_as: ActAs, heard: Heard) -> None:
    """The partner never heard of one bill, has one with another amount, and one that nobody booked."""
    one, other = chain.hospitals
    good, off = one.bill(facility_settlement_no="A-1"), other.bill(facility_settlement_no="A-1")
    unheard = one.bill(fund_fen=500)
    local = one.bill(HUAIYANG)
    await chain.book(good, off, unheard, local)
    stranger = other.bill(fund_fen=77)
    lines = [
        Line.of(good),
        Line.of(off, amounts=(off.total_fen, off.fund_fen + 5, off.account_fen)),
        Line.of(stranger),
    ]
    statement_id = await chain.partner.state(lines, one.code)
    matched, found = await chain.partner.match(statement_id)

    assert (matched["party"], matched["facility_code"], matched["home_region"]) == (XIANGCHENG, None, XIANGCHENG)
    assert sorted((d["difference_class"], d["settlement_id"]) for d in found) == sorted(
        [
            ("amount_differs", off.settlement_id),
            ("missing_in_books", stranger.settlement_id),
            ("missing_in_statement", unheard.settlement_id),
        ]
    )
    assert await states(chain.books, one) == {"open"}, "no case waits for a partner's books"
    mine = await listed(chain.partner.caller, mine=True, period=chain.partner.period)
    assert Counter(i["difference_class"] for i in mine) == {"amount_differs": 1, "missing_in_statement": 1}
    care = act_as("officer", HUAIYANG)
    (theirs,) = await listed(care, mine=True, period=chain.partner.period)
    assert (theirs["difference_class"], theirs["party"], theirs["facility_code"]) == (
        "missing_in_books",
        XIANGCHENG,
        None,
    )
    dossier = (await care.get(f"/v1/items/{theirs['item_no']}")).json()
    assert dossier["difference"]["settlement_id"] == stranger.settlement_id
    told = await heard(f"{XIANGCHENG}:{chain.partner.period}:{HUAIYANG}:{XIANGCHENG}")
    (event,) = [event for event in told if isinstance(event, AgencyBooksDiffer)]
    assert {c.difference_class: (c.books_bill_count, c.stated_bill_count) for c in event.classes} == {
        "agreed": (1, 1),
        "amount_differs": (1, 1),
        "missing_in_statement": (1, 0),
        "missing_in_books": (0, 1),
    }


async def test_items_of_partners_close_by_a_match(chain: Chain, act_as: ActAs) -> None:
    """A corrected version, a decision by two people, and a bill that arrives after all."""
    one, _ = chain.hospitals
    off, dropped, late = (one.bill(fund_fen=fen) for fen in (1000, 900_000, 77))
    await chain.book(off, dropped)
    wrong = Line.of(off, amounts=(off.total_fen, 1, off.account_fen))
    dear = Line.of(dropped, amounts=(dropped.total_fen, 1, dropped.account_fen))
    await chain.partner.match(await chain.partner.state([wrong, dear, Line.of(late)]))
    again = await chain.partner.state([Line.of(off), dear, Line.of(late)])
    await chain.partner.match(again)
    (item,) = [
        i
        for i in await listed(chain.partner.caller, period=chain.partner.period, state="open")
        if i["difference_class"] == "amount_differs"
    ]
    said = await act(chain.partner.caller, item, "drop")
    approved = await act_as("reviewer", HUAIYANG).post(f"/v1/items/{item['item_no']}/approval")
    assert (said.status_code, approved.status_code) == (201, 200)
    await chain.book(late)
    await comes_to(seen_by(chain), again, "matched")

    items = await listed(chain.partner.caller, period=chain.partner.period)
    assert Counter(outline(items)) == {
        ("amount_differs", "closed", "agreed"): 1,
        ("amount_differs", "closed", "decided"): 1,
        ("missing_in_books", "closed", "agreed"): 1,
    }


def seen_by(chain: Chain) -> Month:
    """What waits for a statement, with the partner as the caller."""
    return Month(chain.partner.caller, chain.books, chain.hospitals[0])


async def test_a_late_reversal_is_found_by_itself(chain: Chain) -> None:
    one, _ = chain.hospitals
    bill = one.bill()
    await chain.book(bill)
    statement_id = await chain.partner.state([Line.of(bill, settlement_id=None)])
    await chain.partner.match(statement_id)
    await chain.book(one.reversal(bill))
    await comes_to(seen_by(chain), statement_id, "differences")
    (item,) = await listed(chain.partner.caller, period=chain.partner.period)
    assert (item["difference_class"], item["state"]) == ("reversed_on_one_side", "open")


async def test_a_bill_that_is_being_booked_at_that_moment_is_not_missed(chain: Chain) -> None:
    """Who books does not know of the statement yet, and the statement does not see the bill yet."""
    one, other = chain.hospitals
    first, under_way = one.bill(), other.bill()
    await chain.book(first)
    async with chain.books.database.transaction() as tx:
        await chain.books.hear_in(tx, under_way)
        body = [{k: v for k, v in group.items() if k != "home_region"} for group in totals_of([first, under_way])]
        submitted = await chain.partner.submit([], totals=body)
    assert submitted.json()["state"] == "details_wanted"
    await comes_to(seen_by(chain), submitted.json()["statement_id"], "matched")


async def test_booking_does_not_wait_for_a_match_of_a_chain(chain: Chain) -> None:
    """However long a partner's books take: bills are booked meanwhile, and looked for after."""
    one, _ = chain.hospitals
    first, meanwhile = one.bill(), one.bill()
    await chain.book(first)
    statement_id = await chain.partner.state([Line.of(first), Line.of(meanwhile)])
    async with chain.books.database.transaction() as tx:
        await lock_statement(tx, statement_id)
        await asyncio.wait_for(chain.book(meanwhile), 10)
        await asyncio.wait_for(reopen_in_own(chain.books), 10)
    await comes_to(seen_by(chain), statement_id, "matched")


async def reopen_in_own(books: Books) -> None:
    """What the job does first, while somebody compares the statement."""
    async with books.database.transaction() as tx:
        await reopen_touched(tx)


async def test_who_may_state_and_see_the_books_of_a_chain(chain: Chain, act_as: ActAs) -> None:
    lines = [Line.of(chain.hospitals[0].bill())]
    statement_id = await chain.partner.state(lines)
    stranger, facility = act_as("partner", WANCHENG), act_as("facility", chain.hospitals[0].code)
    foreign = Partner(stranger, WANCHENG, HUAIYANG, XIANGCHENG, chain.partner.period)
    unknown = await chain.partner.submit(lines, care_region="999999")
    path = f"/v1/statements/{statement_id}"

    assert codes(await foreign.submit(lines)) == ["auth.not-your-area"]
    assert codes(unknown) == ["settlement.region-unknown"]
    for outsider in (stranger, facility):
        assert codes(await outsider.get(path)) == ["auth.not-your-area"]
        assert codes(await outsider.post(f"{path}/match")) in (["auth.not-your-area"], ["auth.role-not-allowed"])
        assert (await outsider.get("/v1/statements", period=chain.partner.period)).json()["items"] == []
    for agency in (XIANGCHENG, HUAIYANG, ZHOUKOU):
        assert (await act_as("officer", agency).get(path)).status_code == 200
    assert codes(await act_as("partner", ZHOUKOU).put(f"{path}/files/{'0' * 64}", b"x", "text/csv")) == [
        "auth.not-your-area"
    ]


async def test_two_agencies_of_one_chain_state_it_apart(chain: Chain, act_as: ActAs) -> None:
    """The books of clearing and home are both held against the shared ones; neither replaces the other."""
    bill = chain.hospitals[0].bill()
    await chain.book(bill)
    clearing = Partner(act_as("partner", ZHOUKOU), ZHOUKOU, HUAIYANG, XIANGCHENG, chain.partner.period)
    wrong = Line.of(bill, amounts=(bill.total_fen, 1, bill.account_fen))
    theirs, _ = await clearing.match(await clearing.state([wrong]))
    ours, _ = await chain.partner.match(await chain.partner.state([Line.of(bill, settlement_id=None)]))
    again, _ = await clearing.match(theirs["statement_id"])
    assert [s["state"] for s in (theirs, ours, again)] == ["differences", "matched", "differences"]
    items = await listed(clearing.caller, party=ZHOUKOU, period=chain.partner.period)
    assert outline(items) == [("amount_differs", "open", None)]


async def test_books_with_many_rows_too_many_are_told_by_their_classes(chain: Chain) -> None:
    """Twenty thousand lines of nobody: each is a work item, and nothing else suffers."""
    bill = chain.hospitals[0].bill()
    await chain.book(bill)
    extra = [Line(f"X-{n}", None, False, (500, 300, 0)) for n in range(20_000)]
    statement_id = await chain.partner.state([Line.of(bill), *extra])
    matched, _ = await chain.partner.match(statement_id)
    assert {c["difference_class"]: c["stated"]["bill_count"] for c in matched["classes"]} == {
        "agreed": 1,
        "missing_in_books": 20_000,
    }
    again = await chain.partner.state([Line.of(bill, settlement_id=None)])
    matched, _ = await chain.partner.match(again)
    assert matched["state"] == "matched"
    open_ones = "SELECT count(*) FROM work_item WHERE party = $1 AND period = $2 AND state = 'open'"
    assert await chain.books.value(open_ones, XIANGCHENG, chain.partner.period) == 0


async def test_a_party_that_is_away_for_a_week_stays_due(chain: Chain, act_as: ActAs, heard: Heard) -> None:
    """Nothing else waits: the others confirm, the absent one is reminded, and confirms when it is back."""
    one, _ = chain.hospitals
    bill = one.bill()
    await chain.book(bill)
    his = act_as("facility", one.code)
    submitted = await his.post("/v1/statements", {"period": one.month, "totals": totals_of([bill])})
    assert submitted.json()["state"] == "matched"
    (case,) = (await his.get("/v1/cases")).json()["items"]

    async def confirm(role: str, party: str) -> str:
        wish = {"case_id": case["case_id"], "numbers_hash": case["numbers_hash"]}
        answer = await act_as(role, party).post("/v1/confirmations", {"items": [wish]})
        assert answer.status_code == 200, answer.text
        return str((await his.get(f"/v1/cases/{case['case_id']}")).json()["state"])

    for role, party in (("facility", one.code), ("finance", HUAIYANG), ("finance", ZHOUKOU)):
        assert await confirm(role, party) == "matched"
    day = await chain.books.value(
        "SELECT due_on FROM due WHERE case_id = $1 AND party = $2", case["case_id"], XIANGCHENG
    )
    for ahead in range(8):
        late = datetime(day.year, day.month, day.day, 4, tzinfo=UTC) + timedelta(days=ahead)
        await remind(rematching(chain.books), partial(lambda moment: moment, late))
    told = [e for e in await heard(case["case_id"]) if isinstance(e, ReconciliationDue)]
    assert Counter((e.party, e.working_days_left) for e in told if e.working_days_left <= 0) == {
        (XIANGCHENG, 0): 1,
        (XIANGCHENG, -1): 1,
        (XIANGCHENG, -5): 1,
    }
    assert await confirm("partner", XIANGCHENG) == "confirmed"


SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_match_of_a_chain_agrees_with_the_model(chain: Chain, seed: int) -> None:
    """Made-up books of two hospitals, matched as those of one would be: a chain knows of no facility."""
    dice = random.Random(seed)
    bills, lines, beside = made_up(dice, chain.hospitals[0])
    ours = [b.model_copy(update={"facility_code": dice.choice(chain.hospitals).code}) for b in bills]
    ours = [b.model_copy(update={"home_region": XIANGCHENG}) for b in ours]
    lines = lines or [Line.of(chain.hospitals[0].bill())]
    await chain.book(*ours)
    for period, others in beside.items():
        partner = Partner(chain.partner.caller, XIANGCHENG, HUAIYANG, XIANGCHENG, period)
        await partner.state(others)
    matched, found = await chain.partner.match(await chain.partner.state(lines))
    everything = Month(chain.partner.caller, chain.books, chain.hospitals[0], chain.partner.bills).booked()
    model = Match(
        chain.partner.period, everything, stated(lines), {period: stated(of) for period, of in beside.items()}
    )
    expected = model.outcomes()

    here = Counter((d["difference_class"], d["settlement_id"], d["line_no"], d["other_period"]) for d in found)
    assert here == Counter(tuple(o) for o in expected if o.difference_class != "agreed")
    assert_sides(matched, [b.amounts for b in model.bills if b.period == model.period], lines)


async def test_an_agency_states_without_http_too(chain: Chain) -> None:
    """A month that is not over is refused by name, like everything else that is wrong with it."""
    parts = rematching(chain.books)
    now = datetime(2011, 3, 15, tzinfo=UTC)
    submission = AgencySubmission("2011-03", HUAIYANG, XIANGCHENG, [])
    principal = Principal("partner-1", Role.PARTNER, XIANGCHENG)
    assert parts.settings == SettlementSettings()
    with pytest.raises(Exception, match="month-not-over"):
        await submit(parts, principal, submission, now)
