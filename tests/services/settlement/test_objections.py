"""Objections: what a party does not accept leaves the month, and what others confirmed stands for the rest."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from services.settlement.rules.cases import Case, State, confirm
from services.settlement.rules.objections import Objection, ObjectionState, check_decision, check_objection, decides
from services.settlement.store.invariants import violations
from services.settlement.use_cases.overdue import escalate
from services.settlement.use_cases.proof import prove
from services.settlement.use_cases.reminders import remind
from shared.events.claims import DischargeSettled, SettlementReversed
from shared.events.settlement import ObjectionDecided, ObjectionDue, ObjectionEscalated, ObjectionRaised
from shared.workdays import WorkCalendar, month_of, shanghai_day
from tests.services.settlement.fixtures import ActAs, Heard, Owner
from tests.services.settlement.test_clocks import agenda, at, parts_of
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import CHAIN, HUAIYANG, XIANGCHENG, ZHOUKOU, Books, Hospital

# Rules

CASE = Case("c", "H1", "2026-10", HUAIYANG, XIANGCHENG, ZHOUKOU, CHAIN, State.MATCHED, 2, 9, 6, 0, 6, "f" * 64)
LOCAL = replace(CASE, home_region=HUAIYANG, clearing_region=HUAIYANG, chain=(HUAIYANG,))


@pytest.mark.parametrize(
    ("case", "party", "decider"),
    [
        (CASE, "H1", HUAIYANG),
        (CASE, XIANGCHENG, HUAIYANG),
        (CASE, ZHOUKOU, HUAIYANG),
        (CASE, HUAIYANG, ZHOUKOU),
        (LOCAL, "H1", HUAIYANG),
        (LOCAL, HUAIYANG, HUAIYANG),
    ],
)
def test_the_agency_that_answers_for_the_books_decides(case: Case, party: str, decider: str) -> None:
    assert decides(case, party) == decider


@pytest.mark.parametrize(
    ("changes", "party", "seen", "bills", "taken", "expected"),
    [
        ({}, XIANGCHENG, "f" * 64, {"b": 1}, {}, []),
        ({}, "411302", "f" * 64, {"b": 1}, {}, ["settlement.not-in-chain"]),
        ({"state": State.OPEN}, XIANGCHENG, "f" * 64, {"b": 1}, {}, ["settlement.case-not-objectable"]),
        ({"state": State.CONFIRMED}, XIANGCHENG, "f" * 64, {"b": 1}, {}, ["settlement.case-not-objectable"]),
        ({}, XIANGCHENG, "f" * 64, {"b": 1}, {"b": True}, ["settlement.bill-contested"]),
        ({}, XIANGCHENG, "f" * 64, {"b": 1}, {"b": False}, ["settlement.objection-repeated"]),
        (
            {"confirmed_by": frozenset({XIANGCHENG})},
            XIANGCHENG,
            "0" * 64,
            {},
            {},
            ["settlement.confirmed-already", "settlement.numbers-changed", "settlement.bill-not-in-case"],
        ),
    ],
)
def test_everything_that_speaks_against_an_objection_is_named(
    changes: dict[str, Any],
    party: str,
    seen: str,
    bills: dict[str, int],
    taken: dict[str, bool],
    expected: list[str],
) -> None:
    found = check_objection(replace(CASE, **changes), party, seen, ["b"], bills, taken)
    assert [refusal.code for refusal in found] == expected


RAISED = Objection(
    1,
    "c",
    XIANGCHENG,
    "f" * 64,
    "r",
    ObjectionState.OPEN,
    HUAIYANG,
    date(2026, 11, 27),
    False,
    "home-1",
    datetime(2026, 11, 20, tzinfo=UTC),
    None,
    None,
    None,
    None,
    ("b",),
)


@pytest.mark.parametrize(
    ("changes", "to", "party", "subject", "expected"),
    [
        ({}, ObjectionState.ACCEPTED, HUAIYANG, "care-1", []),
        ({}, ObjectionState.REJECTED, HUAIYANG, "care-1", []),
        ({}, ObjectionState.WITHDRAWN, XIANGCHENG, "home-1", []),
        ({}, ObjectionState.WITHDRAWN, HUAIYANG, "care-1", ["settlement.objection-not-yours"]),
        ({}, ObjectionState.ACCEPTED, XIANGCHENG, "home-2", ["settlement.objection-not-yours"]),
        ({}, ObjectionState.ACCEPTED, HUAIYANG, "home-1", ["settlement.same-person"]),
        (
            {"state": ObjectionState.REJECTED},
            ObjectionState.ACCEPTED,
            HUAIYANG,
            "care-1",
            ["settlement.objection-decided"],
        ),
    ],
)
def test_who_ends_an_objection(
    changes: dict[str, Any], to: ObjectionState, party: str, subject: str, expected: list[str]
) -> None:
    assert [r.code for r in check_decision(replace(RAISED, **changes), to, party, subject)] == expected


def test_nobody_confirms_while_it_objects() -> None:
    objecting = replace(CASE, objecting=frozenset({XIANGCHENG}))
    refused = confirm(objecting, XIANGCHENG, "f" * 64)
    assert [r.code for r in refused] == ["settlement.objection-open"]  # type: ignore[union-attr]
    assert isinstance(confirm(objecting, ZHOUKOU, "f" * 64), Case)


# With the running service

Made = DischargeSettled | SettlementReversed


class Contested:
    """A matched month with three bills of another county, to one of which somebody objects."""

    def __init__(self, books: Books, act_as: ActAs, hospital: Hospital, bills: Sequence[Made]) -> None:
        self.books, self.act_as, self.hospital, self.bills = books, act_as, hospital, bills
        self.month = Month(act_as, hospital)

    async def case(self) -> dict[str, Any]:
        (found,) = await self.month.cases()
        return await self.month.case(found["case_id"])

    async def object(self, party: str, *bills: Made, subject: str = "one") -> Any:
        case = await self.case()
        body = {
            "numbers_hash": case["numbers_hash"],
            "settlement_ids": [bill.settlement_id for bill in bills],
            "reason": "该参保人当月已参军",
        }
        return await self.month.of(party, subject).post(f"/v1/cases/{case['case_id']}/objections", body)

    async def decide(self, objection_no: int, how: str, party: str = HUAIYANG, subject: str = "two") -> Any:
        body = None if how == "withdrawal" else {"reason": "已核实"}
        caller = self.month.of(party) if how == "withdrawal" else self.act_as("officer", party, subject)
        return await caller.post(f"/v1/objections/{objection_no}/{how}", body)

    async def steps(self) -> list[str]:
        """The history of the case."""
        return [step["step"] for step in (await self.case())["history"]]

    async def later_case(self) -> dict[str, Any] | None:
        """The case of the next month, into which bills are carried."""
        answer = await self.month.of(self.hospital.code).get("/v1/cases")
        later = [case for case in answer.json()["items"] if case["period"] > self.hospital.month]
        return await self.month.case(later[0]["case_id"]) if later else None


def numbers_hash(case_id: str, bills: Sequence[Made]) -> str:
    """The hash as a party computes it from the bills it sees."""
    lines = [
        f"{bill.settlement_id} {bill.total_fen} {bill.fund_fen} {bill.account_fen}"
        for bill in sorted(bills, key=lambda bill: bill.settlement_id)
    ]
    return hashlib.sha256("\n".join([case_id, *(lines or [""])]).encode()).hexdigest()


@pytest.fixture
async def contested(books: Books, act_as: ActAs, hospital: Hospital) -> Contested:
    bills = [hospital.bill(), hospital.bill(fund_fen=30_000), hospital.bill(fund_fen=11_100, account_fen=0)]
    await books.hear(*bills)
    await submit(act_as("facility", hospital.code), hospital, [*bills])
    return Contested(books, act_as, hospital, bills)


async def test_an_accepted_objection_takes_its_bills_out_and_confirmations_stand_for_the_rest(
    contested: Contested, heard: Heard
) -> None:
    before = await contested.case()
    await contested.month.confirm(before, contested.hospital.code, HUAIYANG)
    raised = await contested.object(XIANGCHENG, contested.bills[1])
    meanwhile = await contested.case()
    await contested.month.confirm(before, ZHOUKOU)
    accepted = await contested.decide(raised.json()["objection_no"], "acceptance")
    after = await contested.case()
    await contested.month.confirm(after, XIANGCHENG)
    confirmed = await contested.case()
    later = await contested.later_case()

    assert raised.status_code == 201, raised.text
    assert (raised.json()["deciding_party"], raised.json()["state"]) == (HUAIYANG, "open")
    assert meanwhile["numbers_hash"] == before["numbers_hash"], "until it is decided nothing changes"
    assert accepted.json()["state"] == "accepted", accepted.text
    # Anybody can compute one hash from the other: it is that of the same bills less the one that was objected to.
    assert before["numbers_hash"] == numbers_hash(before["case_id"], contested.bills)
    rest = [contested.bills[0], contested.bills[2]]
    assert after["numbers_hash"] == numbers_hash(before["case_id"], rest)
    assert (after["bill_count"], after["payable_fen"]) == (2, 85_000 + 11_100)
    shown = {p["party"]: (p["numbers_hash"], p["stands_for"]) for p in confirmed["parties"]}
    assert shown == {
        **dict.fromkeys((contested.hospital.code, HUAIYANG, ZHOUKOU), (before["numbers_hash"], after["numbers_hash"])),
        XIANGCHENG: (after["numbers_hash"], None),
    }
    assert confirmed["state"] == "confirmed"
    assert {hop["amount_fen"] for hop in confirmed["hops"]} == {96_100}
    steps = [(s["step"], s["party"], s["numbers_hash"]) for s in confirmed["history"]]
    assert steps[-4:] == [
        ("confirm", ZHOUKOU, before["numbers_hash"]),
        ("accept_objection", HUAIYANG, after["numbers_hash"]),
        ("confirm", XIANGCHENG, after["numbers_hash"]),
        ("reconcile", "settlement", after["numbers_hash"]),
    ]
    assert later is not None
    assert (later["bill_count"], later["payable_fen"], later["state"]) == (1, 35_000, "open")
    told = [e for e in await heard(before["case_id"]) if isinstance(e, ObjectionRaised | ObjectionDecided)]
    assert isinstance(told[0], ObjectionRaised)
    assert (told[0].bill_count, told[0].payable_fen, told[0].deciding_party) == (1, 35_000, HUAIYANG)
    assert isinstance(told[1], ObjectionDecided)
    assert (told[1].decision, told[1].numbers_hash) == ("accepted", after["numbers_hash"])
    assert (await prove(parts_of(contested.books))).cases.confirmations_off == 0


async def test_a_carried_bill_is_listed_cleared_and_paid_where_it_went(contested: Contested) -> None:
    """It stays booked where it was: the next month's statement need not state it, and yet its case pays it."""
    bill = contested.bills[1]
    before = await contested.case()
    raised = await contested.object(XIANGCHENG, bill)
    await contested.decide(raised.json()["objection_no"], "acceptance")
    after = await contested.case()
    later = await contested.later_case()
    assert later is not None
    facility = contested.month.of(contested.hospital.code)
    here = (await facility.get(f"/v1/cases/{before['case_id']}/bills")).json()["items"]
    there = (await facility.get(f"/v1/cases/{later['case_id']}/bills")).json()["items"]
    await contested.month.confirm(after)
    for payer in (XIANGCHENG, ZHOUKOU, HUAIYANG):
        await contested.month.pay(after, payer)
    left = await contested.books.balances(contested.hospital)

    assert [row["settlement_id"] for row in there] == [bill.settlement_id]
    assert there[0]["period"] == contested.hospital.month
    assert bill.settlement_id not in [row["settlement_id"] for row in here]
    assert left[contested.hospital.code, "receivable", HUAIYANG] == 35_000, "it is still owed"
    assert left[XIANGCHENG, "payable", ZHOUKOU] == -35_000


async def test_a_reversal_of_a_carried_bill_meets_it_in_the_next_month(contested: Contested) -> None:
    bill = contested.bills[1]
    before = await contested.case()
    await contested.month.confirm(before, HUAIYANG)
    raised = await contested.object(XIANGCHENG, bill)
    await contested.decide(raised.json()["objection_no"], "acceptance")
    await contested.books.hear(contested.hospital.reversal(bill))

    later = await contested.later_case()

    assert later is not None
    assert (later["bill_count"], later["payable_fen"]) == (2, 0)


async def test_all_bills_can_be_objected_to(contested: Contested) -> None:
    before = await contested.case()
    await contested.month.confirm(before, contested.hospital.code, HUAIYANG, ZHOUKOU)
    raised = await contested.object(XIANGCHENG, *contested.bills)
    await contested.decide(raised.json()["objection_no"], "acceptance")
    after = await contested.case()
    await contested.month.confirm(after, XIANGCHENG)

    assert (after["bill_count"], after["payable_fen"]) == (0, 0)
    assert after["numbers_hash"] == numbers_hash(before["case_id"], [])
    assert (await contested.case())["state"] == "closed"


async def test_a_rejected_objection_changes_nothing_and_is_not_raised_again(contested: Contested) -> None:
    before = await contested.case()
    raised = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    open_still = await contested.month.of(XIANGCHENG).post(
        f"/v1/cases/{before['case_id']}/confirmations", {"numbers_hash": before["numbers_hash"]}
    )
    rejected = await contested.decide(raised["objection_no"], "rejection")
    again = await contested.object(XIANGCHENG, contested.bills[0], contested.bills[1])
    other = await contested.object(ZHOUKOU, contested.bills[0])
    await contested.decide(other.json()["objection_no"], "withdrawal", ZHOUKOU)
    after = await contested.case()
    await contested.month.confirm(after)

    assert codes(open_still) == ["settlement.objection-open"]
    assert rejected.json()["decision_reason"] == "已核实"
    assert codes(again) == ["settlement.objection-repeated"]
    assert again.json()["errors"][0]["pointer"] == "/settlement_ids/0"
    assert other.status_code == 201
    assert after["numbers_hash"] == before["numbers_hash"]
    assert await contested.later_case() is None
    assert (await contested.case())["state"] == "confirmed"


async def test_who_decides_and_four_eyes(contested: Contested) -> None:
    raised = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    number = raised["objection_no"]
    beside = await contested.decide(number, "acceptance", XIANGCHENG)
    above = await contested.decide(number, "acceptance", ZHOUKOU)
    foreign = await contested.decide(number, "withdrawal", ZHOUKOU)
    withdrawn = await contested.decide(number, "withdrawal", XIANGCHENG)
    late = await contested.decide(number, "acceptance")
    own = (await contested.object(HUAIYANG, contested.bills[0])).json()
    of_care = await contested.decide(own["objection_no"], "acceptance", HUAIYANG)
    by_city = await contested.decide(own["objection_no"], "acceptance", ZHOUKOU)
    unknown = await contested.decide(2**62, "acceptance")

    assert codes(beside) == codes(above) == codes(foreign) == codes(of_care) == ["settlement.objection-not-yours"]
    assert withdrawn.json()["state"] == "withdrawn"
    assert codes(late) == ["settlement.objection-decided"]
    assert own["deciding_party"] == ZHOUKOU
    assert by_city.status_code == 200
    assert codes(unknown) == ["settlement.objection-unknown"]


async def test_one_agency_alone_needs_two_people(books: Books, act_as: ActAs, hospital: Hospital) -> None:
    bill = hospital.bill(HUAIYANG)
    await books.hear(bill)
    await submit(act_as("facility", hospital.code), hospital, [bill])
    contested = Contested(books, act_as, hospital, [bill])
    raised = (await contested.object(HUAIYANG, bill, subject="one")).json()

    alone = await contested.decide(raised["objection_no"], "acceptance", HUAIYANG, f"one@{HUAIYANG}")
    together = await contested.decide(raised["objection_no"], "acceptance", HUAIYANG, "other")

    assert codes(alone) == ["settlement.same-person"]
    assert together.status_code == 200


async def test_the_objectors_clock_waits_for_the_decision(contested: Contested) -> None:
    before = await contested.case()
    first = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    second = (await contested.object(XIANGCHENG, contested.bills[1])).json()
    standing = await contested.case()
    to_decide = [t for t in await agenda(contested.month.of(HUAIYANG), contested.hospital) if t["kind"] == "objection"]
    await contested.decide(first["objection_no"], "rejection")
    still = await contested.case()
    await contested.decide(second["objection_no"], "rejection")
    running = await contested.case()

    def stood(case: dict[str, Any]) -> dict[str, str | None]:
        return {due["party"]: due["suspended_on"] for due in case["dues"]}

    today = shanghai_day(datetime.now(UTC)).isoformat()
    assert stood(before)[XIANGCHENG] is None
    assert {party for party, on in stood(standing).items() if on} == {XIANGCHENG}
    assert stood(still)[XIANGCHENG] == today, "one objection is open still"
    assert stood(running)[XIANGCHENG] is None
    assert [(s["suspended_by"], s["objection_no"], s["resumed_by"]) for s in running["suspensions"]] == [
        (None, first["objection_no"], "two"),
        (None, second["objection_no"], "two"),
    ]
    assert [(task["number"], task["concerns"]) for task in to_decide] == [
        (first["objection_no"], XIANGCHENG),
        (second["objection_no"], XIANGCHENG),
    ]


@pytest.mark.parametrize("ends_first", ["objection", "officer"])
@pytest.mark.parametrize("stops_first", ["objection", "officer"])
async def test_a_clock_with_two_reasons_to_stand_still_runs_when_both_have_ended(
    contested: Contested, stops_first: str, ends_first: str
) -> None:
    """An objection that ends lifts its own suspension, and never an officer's; nor the other way round."""
    case_id = (await contested.case())["case_id"]
    officer = contested.act_as("officer", XIANGCHENG)
    path = f"/v1/cases/{case_id}/dues/reconciliation/{XIANGCHENG}"
    raised: dict[str, Any] = {}

    async def stop(what: str) -> None:
        if what == "objection":
            raised.update((await contested.object(XIANGCHENG, contested.bills[0])).json())
        else:
            answer = await officer.post(f"{path}/suspension", {"reason": "等待补充材料", "papers": ["费用清单"]})
            assert answer.status_code == 200, answer.text

    async def end(what: str) -> None:
        if what == "objection":
            ended = await contested.decide(raised["objection_no"], "rejection")
        else:
            ended = await officer.post(f"{path}/resumption")
        assert ended.status_code == 200, ended.text

    async def stands() -> bool:
        (due,) = [due for due in (await contested.case())["dues"] if due["party"] == XIANGCHENG]
        return due["suspended_on"] is not None

    both = ["objection", "officer"]
    for what in sorted(both, key=lambda one: one != stops_first):
        await stop(what)
    ends = sorted(both, key=lambda one: one != ends_first)
    await end(ends[0])
    after_one = await stands()
    await end(ends[1])

    assert after_one, "the other reason still stands"
    assert not await stands()
    suspensions = (await contested.case())["suspensions"]
    assert Counter(s["objection_no"] is None for s in suspensions) == {True: 1, False: 1}
    assert all(s["resumed_on"] for s in suspensions)
    resumed = [e for e in await contested.steps() if e.startswith("resume")]
    assert resumed == ["resume_reconciliation"]


async def test_an_officer_does_not_lift_an_objections_suspension(contested: Contested) -> None:
    case_id = (await contested.case())["case_id"]
    await contested.object(XIANGCHENG, contested.bills[0])
    path = f"/v1/cases/{case_id}/dues/reconciliation/{XIANGCHENG}/resumption"

    refused = await contested.act_as("officer", XIANGCHENG).post(path)

    assert codes(refused) == ["settlement.due-not-suspended"]
    (due,) = [due for due in (await contested.case())["dues"] if due["party"] == XIANGCHENG]
    assert due["suspended_on"] is not None


async def test_who_does_not_decide_is_told_of_above(contested: Contested, heard: Heard) -> None:
    raised = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    case_id = (await contested.case())["case_id"]
    parts, due_on = parts_of(contested.books), date.fromisoformat(raised["due_on"])
    fifth, tenth = (parts.calendar.add(due_on, n).day for n in (5, 10))
    city = contested.month.of(ZHOUKOU)

    async def late() -> list[tuple[Any, ...]]:
        found = [task for task in await agenda(city, contested.hospital) if task["ref"].startswith("late objection")]
        return [(task["concerns"], task["number"], task["case_id"]) for task in found]

    await escalate(parts, at(fifth - timedelta(days=1)))
    early = await late()
    for day in (fifth, fifth, due_on, tenth, fifth):
        await escalate(parts, at(day))
    listed = await late()
    await contested.decide(raised["objection_no"], "rejection")

    told = [event for event in await heard(case_id) if isinstance(event, ObjectionEscalated)]
    assert early == []
    assert Counter((e.deciding_party, e.region, e.level_no) for e in told) == {
        (HUAIYANG, ZHOUKOU, 1): 1,
        (HUAIYANG, "410000", 2): 1,
    }
    assert listed == [(HUAIYANG, 1, case_id)]
    assert await late() == []


async def test_who_decides_is_reminded_once_at_each_distance(contested: Contested, heard: Heard) -> None:
    """By days that jump: what was told stays told; of distances reached at once only the nearest is."""
    raised = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    case_id = (await contested.case())["case_id"]
    parts, due_on = parts_of(contested.books), date.fromisoformat(raised["due_on"])
    today = shanghai_day(datetime.now(UTC))
    overdue = [parts.calendar.add(due_on, n).day for n in (1, 5, 9)]

    for day in (today, today, due_on, today, *overdue, due_on):
        await remind(parts, at(day))

    told = [event for event in await heard(case_id) if isinstance(event, ObjectionDue)]
    assert [e.working_days_left for e in told] == [5, 0, -1, -5]
    assert {(e.objection_no, e.party, e.deciding_party, e.due_on) for e in told} == {
        (raised["objection_no"], XIANGCHENG, HUAIYANG, due_on)
    }
    query = "SELECT distance FROM objection_reminder WHERE objection_no = $1 AND NOT announced"
    assert await contested.books.value(query, raised["objection_no"]) == 2, "passed over, and not told later"


async def test_nobody_is_reminded_of_what_is_decided(contested: Contested, heard: Heard) -> None:
    raised = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    case_id = (await contested.case())["case_id"]
    parts, due_on = parts_of(contested.books), date.fromisoformat(raised["due_on"])
    await remind(parts, at(shanghai_day(datetime.now(UTC))))
    await contested.decide(raised["objection_no"], "rejection")
    await remind(parts, at(due_on))
    told = [event for event in await heard(case_id) if isinstance(event, ObjectionDue)]
    assert [e.working_days_left for e in told] == [5]


async def test_reminders_of_an_objection_move_with_its_day(contested: Contested, heard: Heard) -> None:
    """A day that is no working day after all: what was to be decided today has a day left."""
    raised = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    case_id = (await contested.case())["case_id"]
    due_on = date.fromisoformat(raised["due_on"])
    closed = WorkCalendar(overrides={due_on: False})
    await remind(parts_of(contested.books), at(shanghai_day(datetime.now(UTC))))
    await remind(parts_of(contested.books, closed), at(due_on))
    moved = closed.add(due_on, 1).day
    await remind(parts_of(contested.books, closed), at(moved))
    await remind(parts_of(contested.books), at(shanghai_day(datetime.now(UTC))))
    told = [event for event in await heard(case_id) if isinstance(event, ObjectionDue)]
    assert [(e.due_on, e.working_days_left) for e in told] == [(due_on, 5), (moved, 1), (moved, 0)]


async def test_another_calendar_moves_objections(contested: Contested) -> None:
    raised = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    due_on, today = date.fromisoformat(raised["due_on"]), shanghai_day(datetime.now(UTC))
    calendar = WorkCalendar()
    closed = WorkCalendar(overrides={calendar.add(today, 1).day: False})
    query = "SELECT due_on FROM objection WHERE objection_no = $1"

    await remind(parts_of(contested.books, closed), at(today))
    moved = await contested.books.value(query, raised["objection_no"])
    await remind(parts_of(contested.books), at(today))

    assert moved == calendar.add(due_on, 1).day
    assert await contested.books.value(query, raised["objection_no"]) == due_on


async def test_two_objections_to_one_bill_at_once_are_one(contested: Contested) -> None:
    answers = await asyncio.gather(
        *(contested.object(party, contested.bills[0]) for party in (XIANGCHENG, ZHOUKOU, HUAIYANG))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert {code for a in answers if a.status_code == 409 for code in codes(a)} == {"settlement.bill-contested"}


async def test_an_acceptance_and_confirmations_at_once_leave_a_proof(contested: Contested) -> None:
    """Whoever comes first: what is confirmed is what was seen, or stands for the rest of it."""
    case = await contested.case()
    raised = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    body = {"numbers_hash": case["numbers_hash"]}
    path = f"/v1/cases/{case['case_id']}/confirmations"
    answers = await asyncio.gather(
        contested.decide(raised["objection_no"], "acceptance"),
        *(contested.month.of(party).post(path, body) for party in (contested.hospital.code, HUAIYANG, ZHOUKOU)),
    )
    after = await contested.case()

    assert answers[0].status_code == 200
    refused = {code for answer in answers[1:] if answer.status_code != 200 for code in codes(answer)}
    assert refused <= {"settlement.numbers-changed"}
    for party in after["parties"]:
        assert party["numbers_hash"] in (None, after["numbers_hash"]) or party["stands_for"] == after["numbers_hash"]
    assert len(after["confirmed_by"]) == sum(answer.status_code == 200 for answer in answers[1:])


async def test_a_bill_of_another_case_is_not_objected_to(books: Books, act_as: ActAs, hospital: Hospital) -> None:
    own, local = hospital.bill(), hospital.bill(HUAIYANG)
    await books.hear(own, local)
    await submit(act_as("facility", hospital.code), hospital, [own, local])
    month = Month(act_as, hospital)
    (case,) = [case for case in await month.cases() if case["home_region"] == XIANGCHENG]
    body = {
        "numbers_hash": case["numbers_hash"],
        "settlement_ids": [local.settlement_id, own.settlement_id],
        "reason": "r",
    }

    answer = await month.of(XIANGCHENG).post(f"/v1/cases/{case['case_id']}/objections", body)

    assert codes(answer) == ["settlement.bill-not-in-case"]
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/settlement_ids/0"]


class CarriedOver(NamedTuple):
    """Two months that are over: what is left of the first, and what was carried to the second with its own bill."""

    contested: Contested
    own: Made
    objection_no: int
    first: dict[str, Any]
    second: dict[str, Any]


async def carried_over(books: Books, act_as: ActAs) -> CarriedOver:
    """The second of two bills went to the next month by an objection; both months are stated."""
    last = shanghai_day(datetime.now(UTC)).replace(day=1) - timedelta(days=1)
    hospital = Hospital(month=month_of(last.replace(day=1) - timedelta(days=1)))
    bills = [hospital.bill(), hospital.bill(fund_fen=30_000)]
    await books.hear(hospital.changed(), *bills)
    facility = act_as("facility", hospital.code)
    await submit(facility, hospital, [*bills])
    contested = Contested(books, act_as, hospital, bills)
    raised = (await contested.object(XIANGCHENG, bills[1])).json()
    await contested.decide(raised["objection_no"], "acceptance")
    first = await contested.case()
    hospital.month = month_of(last)
    own = hospital.bill(fund_fen=7_000, account_fen=0)
    await books.hear(own)
    await submit(facility, hospital, [own])
    (second,) = await contested.month.cases()
    return CarriedOver(contested, own, raised["objection_no"], first, second)


async def test_what_went_to_the_next_month_is_paid_there_to_the_fen(books: Books, act_as: ActAs) -> None:
    contested, own, _, first, second = await carried_over(books, act_as)
    hospital, bills = contested.hospital, contested.bills
    for case in (first, second):
        await contested.month.confirm(case)
        for payer in (XIANGCHENG, ZHOUKOU, HUAIYANG):
            await contested.month.pay(case, payer)

    payments = await books.rows(
        "SELECT payment_id FROM payment JOIN settlement_case USING (case_id) WHERE facility_code = $1", hospital.code
    )
    async with books.database.read() as reader:
        found = await violations(reader, [row["payment_id"] for row in payments])
    assert (second["bill_count"], second["payable_fen"]) == (2, 35_000 + 7_000)
    assert second["numbers_hash"] == numbers_hash(second["case_id"], [bills[1], own])
    assert len(payments) == 6
    assert found == []
    assert {kind for (_, kind, _), balance in (await books.balances(hospital)).items() if balance} == {
        "bank",
        "medical_income",
        "fund_expenditure",
        "personal_account",
    }, "nobody owes anybody anything"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"settlement_ids": []}, 422),
        ({"settlement_ids": ["01KAJ5T1D4GQ7X8Z2V3N4M5P6Q"] * 2}, 422),
        ({"settlement_ids": ["x"]}, 422),
        ({"reason": ""}, 422),
        ({"numbers_hash": "x"}, 422),
    ],
)
async def test_what_is_no_objection_is_refused(contested: Contested, body: dict[str, Any], status: int) -> None:
    case = await contested.case()
    good = {
        "numbers_hash": case["numbers_hash"],
        "settlement_ids": [contested.bills[0].settlement_id],
        "reason": "r",
    }
    answer = await contested.month.of(XIANGCHENG).post(f"/v1/cases/{case['case_id']}/objections", {**good, **body})
    assert answer.status_code == status


# What the database itself refuses


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE carried_bill SET to_case_id = from_case_id", asyncpg.RestrictViolationError),
        ("DELETE FROM carried_bill", asyncpg.RestrictViolationError),
        ("UPDATE carried_confirmation SET to_hash = from_hash", asyncpg.RestrictViolationError),
        (
            "UPDATE objection SET state = 'open', decided_at = NULL WHERE state = 'accepted'",
            asyncpg.RestrictViolationError,
        ),
        ("UPDATE objection_line SET contested = true", asyncpg.RestrictViolationError),
    ],
)
async def test_what_was_decided_stays(
    contested: Contested, owner: Owner, statement: str, error: type[Exception]
) -> None:
    await contested.month.confirm(await contested.case(), HUAIYANG)
    raised = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    await contested.decide(raised["objection_no"], "acceptance")
    with pytest.raises(error):
        await owner.execute(statement)


CARRY = """
    INSERT INTO carried_bill (settlement_id, from_case_id, to_case_id, objection_no, carried_at)
    SELECT $1, $2, $3, max(objection_no), now() FROM objection
"""


async def test_a_bill_is_carried_only_forward_and_among_the_same_parties(
    contested: Contested, books: Books, owner: Owner
) -> None:
    raised = (await contested.object(XIANGCHENG, contested.bills[0])).json()
    await contested.decide(raised["objection_no"], "acceptance")
    here, there = (await contested.case())["case_id"], await contested.later_case()
    assert there is not None
    local = contested.hospital.bill(HUAIYANG)
    await books.hear(local)
    other = await books.value("SELECT case_id FROM bill WHERE settlement_id = $1", local.settlement_id)
    bill = contested.bills[1].settlement_id

    wrong = [
        (bill, there["case_id"], here),
        (bill, here, other),
        (local.settlement_id, here, there["case_id"]),
        (contested.bills[0].settlement_id, there["case_id"], here),
    ]
    for row in wrong:
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await owner.execute(CARRY, *row)
        assert refused.value.constraint_name == "carried_bill_fits"
