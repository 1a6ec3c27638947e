"""The match against a slow model, over made-up months; and each class by an example."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from services.settlement.config import SettlementSettings
from services.settlement.use_cases import statements as use_cases
from services.settlement.use_cases.parts import Settlement
from shared.auth import Principal, Role
from shared.events import new_id
from shared.events.claims import DischargeSettled, SettlementReversed
from shared.workdays import WorkCalendar
from tests.services.settlement.fixtures import ActAs, Caller
from tests.services.settlement.matching_model import Booked, Match, Stated, months_beside
from tests.services.settlement.world import HUAIYANG, REGIONS, XIANGCHENG, Books, Hospital, noon

Bill = DischargeSettled | SettlementReversed
AMOUNTS = ("total_fen", "fund_fen", "account_fen")


@dataclass(frozen=True)
class Line:
    """One line of a file as a test writes it."""

    number: str | None
    settlement_id: str | None
    refund: bool
    amounts: tuple[int, int, int]
    settled_on: str = ""

    @classmethod
    def of(cls, bill: Bill, **changed: Any) -> Line:
        """The line of a bill, with some of it changed."""
        standard: dict[str, Any] = {
            "number": bill.facility_settlement_no,
            "settlement_id": bill.settlement_id,
            "refund": isinstance(bill, SettlementReversed),
            "amounts": (bill.total_fen, bill.fund_fen, bill.account_fen),
        }
        return cls(**{**standard, **changed})

    @property
    def text(self) -> str:
        """As it stands in the file."""
        values = (self.number or "", self.settlement_id or "", int(self.refund), *self.amounts, self.settled_on)
        return ",".join(map(str, values))


HEADER = "facility_settlement_no,settlement_id,refund,total_fen,fund_fen,account_fen,settled_on"


@dataclass
class Month:
    """A facility's books and statements, and what a match makes of them."""

    his: Caller
    books: Books
    hospital: Hospital
    bills: list[Bill] = field(default_factory=list)

    async def book(self, *bills: Bill) -> None:
        """Book bills, in their own months."""
        self.bills += bills
        await self.books.hear(*bills)

    async def state(self, lines: list[Line], period: str | None = None, day: str | None = None) -> str:
        """A statement of these lines, sent as a file; its id. Its one group of totals agrees with no books."""
        totals = [
            {
                "home_region": XIANGCHENG,
                "insutype": "390",
                "clr_type": "99",
                "refund": refund,
                "bill_count": len(mine),
                **{name: sum(x.amounts[at] for x in mine) for at, name in enumerate(AMOUNTS)},
            }
            for refund in (False, True)
            if (mine := [x for x in lines if x.refund is refund])
        ]
        body = {"period": period or self.hospital.month, "day": day, "totals": totals}
        submitted = await self.his.post("/v1/statements", body)
        assert submitted.status_code == 201, submitted.text
        statement_id: str = submitted.json()["statement_id"]
        content = "\n".join([HEADER, *(line.text for line in lines)]).encode()
        name = hashlib.sha256(content).hexdigest()
        sent = await self.his.put(f"/v1/statements/{statement_id}/files/{name}", content, "text/csv")
        assert sent.status_code == 200, sent.text
        return statement_id

    async def match(self, statement_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The classes and the differences of a match."""
        matched = await self.his.post(f"/v1/statements/{statement_id}/match")
        assert matched.status_code == 200, matched.text
        found = (await self.his.get(f"/v1/statements/{statement_id}/differences", limit=200)).json()
        assert found["next_cursor"] is None
        return matched.json(), found["items"]

    def booked(self) -> list[Booked]:
        """The bills as the model sees them; none of their months was confirmed, so each is in its own."""
        return [
            Booked(
                b.settlement_id,
                b.facility_settlement_no,
                isinstance(b, SettlementReversed),
                (b.total_fen, b.fund_fen, b.account_fen),
                str(b.settled_at)[:7],
                str(b.settled_at)[:7],
                b.reverses_settlement_id if isinstance(b, SettlementReversed) else None,
            )
            for b in self.bills
        ]


def stated(lines: list[Line]) -> list[Stated]:
    """The lines as the model sees them, by their place in the file."""
    return [
        Stated(at, x.number or x.settlement_id or "", x.refund, x.settlement_id, x.amounts, x.settled_on[:7] or None)
        for at, x in enumerate(lines, 2)
    ]


@pytest.fixture
def month(act_as: ActAs, books: Books, hospital: Hospital) -> Month:
    return Month(act_as("facility", hospital.code), books, hospital)


# Each class by an example


def classes(found: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(d["difference_class"], d["settlement_id"]) for d in found]


async def test_each_class_by_an_example(month: Month) -> None:
    """One bill of every kind of mistake; the name of each is what an officer would call it."""
    h = month.hospital
    before, _ = months_beside(h.month)
    good, off, reformed, renamed, twice, unstated, gone, early = (h.bill(fund_fen=1000 * n) for n in range(1, 9))
    gone_back = h.reversal(gone)
    late = h.bill(fund_fen=50, settled_at=noon(before))
    await month.book(good, off, reformed, renamed, twice, unstated, gone, gone_back, early, late)
    await month.state([Line.of(early)], before)
    stranger = h.bill(fund_fen=77)
    lines = [
        Line.of(good, settlement_id=None),
        Line.of(off, amounts=(off.total_fen, off.fund_fen + 5, off.account_fen - 3)),
        Line.of(reformed, settlement_id=None, number=reformed.facility_settlement_no.lower().replace("-", "/")),
        Line.of(renamed, number="X-1"),
        Line.of(twice),
        Line.of(twice, number="X-2"),
        Line.of(gone),
        Line.of(late),
        Line.of(stranger),
        Line.of(good, settlement_id=None, refund=True, amounts=(-good.total_fen, -good.fund_fen, -good.account_fen)),
    ]
    _, found = await month.match(await month.state(lines))

    assert sorted(classes(found), key=str) == sorted(
        [
            ("amount_differs", off.settlement_id),
            ("duplicate", twice.settlement_id),
            ("key_differs", reformed.settlement_id),
            ("key_differs", renamed.settlement_id),
            ("missing_in_books", stranger.settlement_id),
            ("missing_in_statement", unstated.settlement_id),
            ("period_differs", early.settlement_id),
            ("period_differs", late.settlement_id),
            ("reversed_on_one_side", gone_back.settlement_id),
            ("reversed_on_one_side", None),
        ],
        key=str,
    )
    by_class = {d["difference_class"]: d for d in found}
    assert [by_class["amount_differs"][n] for n in ("total_off_fen", "fund_off_fen", "account_off_fen")] == [0, 5, -3]
    assert by_class["duplicate"]["line_no"] == 7
    assert {d["other_period"] for d in found if d["difference_class"] == "period_differs"} == {before}
    assert {d["stated_settlement_no"] for d in found if d["difference_class"] == "key_differs"} == {
        "X-1",
        lines[2].number,
    }


async def test_a_refund_may_name_what_it_takes_back(month: Month) -> None:
    bill = month.hospital.bill()
    back = month.hospital.reversal(bill)
    await month.book(bill, back)
    lines = [Line.of(bill), Line.of(back, number=None, settlement_id=bill.settlement_id)]
    matched, found = await month.match(await month.state(lines))
    assert (matched["state"], found) == ("matched", [])


async def test_amounts_within_the_tolerance_are_in_order(month: Month) -> None:
    """Zero by default; what a region tolerates is counted by itself, and the numbers of the books stand."""
    near, far = month.hospital.bill(), month.hospital.bill()
    await month.book(near, far)
    off = (near.total_fen, near.fund_fen - 5, near.account_fen + 5)
    statement_id = await month.state([Line.of(near, amounts=off), Line.of(far)])
    settings = SettlementSettings(tolerance_fen=5)
    parts = Settlement(month.books.database, REGIONS, settings, WorkCalendar(), month.books.ledger_key)
    his = Principal("his-1", Role.FACILITY, month.hospital.code)
    report = await use_cases.match(parts, his, statement_id, datetime.now(UTC))
    assert report.statement.state == "matched"
    assert [(c.difference_class, c.stated.fund_fen - c.books.fund_fen) for c in report.classes] == [
        ("agreed", 0),
        ("within_tolerance", -5),
    ]


async def test_a_file_without_numbers_is_matched_by_settlement_id(month: Month) -> None:
    bills = [month.hospital.bill() for _ in range(3)]
    await month.book(*bills[:2])
    _, found = await month.match(await month.state([Line.of(b, number=None) for b in bills]))
    assert classes(found) == [("missing_in_books", bills[2].settlement_id)]


# Made-up months


def spoiled(dice: random.Random, hospital: Hospital, bill: Bill) -> list[Line]:
    """The lines a careless facility makes of a bill."""
    number, amounts = bill.facility_settlement_no, (bill.total_fen, bill.fund_fen, bill.account_fen)
    sign = -1 if isinstance(bill, SettlementReversed) else 1
    off = (amounts[0] + sign * dice.choice([0, 1, 9]), amounts[1] + sign * dice.choice([0, 2]), amounts[2])
    back = (-abs(amounts[0]), -abs(amounts[1]), -abs(amounts[2]))
    in_order = [[Line.of(bill)], [Line.of(bill)], [Line.of(bill, settlement_id=None)], [Line.of(bill, number=None)]]
    careless = [
        [],
        [Line.of(bill, amounts=off)],
        [Line.of(bill, amounts=off, settlement_id=None)],
        [Line.of(bill, number=number.lower().replace("-", ""))],
        [Line.of(bill, number=f"00{number}", settlement_id=None)],
        [Line.of(bill, settlement_id=bill.settlement_id.lower())],
        [Line.of(bill, settlement_id=new_id(), amounts=off)],
        [Line.of(bill), Line.of(bill)],
        [Line.of(bill, settlement_id=None), Line.of(bill, settlement_id=None, amounts=off)],
        [Line.of(bill), Line.of(bill, number=f"Z{number}")],
        [Line.of(hospital.bill()), Line.of(hospital.bill(), settlement_id=None)],
        [Line.of(hospital.bill(), settled_on="2020-01-31")],
        [Line.of(bill), Line.of(bill, refund=True, amounts=back)],
        [Line.of(bill, settlement_id=None, refund=True, amounts=back)],
    ]
    return dice.choice(in_order * 2 + careless)


def made_up(dice: random.Random, hospital: Hospital) -> tuple[list[Bill], list[Line], dict[str, list[Line]]]:
    """Bills of three months, the lines of the middle one, and those of the months beside it."""
    beside = months_beside(hospital.month)
    bills: list[Bill] = []
    for _ in range(dice.randrange(1, 25)):
        when = noon(dice.choice([hospital.month] * 6 + list(beside)))
        numbers = (
            {"facility_settlement_no": dice.choice(bills).facility_settlement_no}
            if bills and dice.random() < 0.1
            else {}
        )
        fen = dice.choice([100, 100, 200, 300])
        bill = hospital.bill(dice.choice([HUAIYANG, XIANGCHENG]), fen, settled_at=when).model_copy(update=numbers)
        bills.append(bill)
        if dice.random() < 0.25:
            same = {"facility_settlement_no": bill.facility_settlement_no} if dice.random() < 0.5 else {}
            bills.append(hospital.reversal(bill, settled_at=dice.choice([when, noon(hospital.month)]), **same))
    stated_here, stated_beside = list[Line](), dict[str, list[Line]]()
    for each in bills:
        own = str(each.settled_at)[:7]
        period = dice.choice([own] * 7 + [hospital.month, *beside])
        if period == hospital.month:
            stated_here += spoiled(dice, hospital, each)
        elif period == beside[0]:
            stated_beside.setdefault(period, []).append(dice.choice([Line.of(each), Line.of(each, number=None)]))
    dice.shuffle(stated_here)
    return bills, stated_here, stated_beside


SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_match_agrees_with_the_model(month: Month, seed: int) -> None:
    dice = random.Random(seed)
    bills, lines, beside = made_up(dice, month.hospital)
    if not lines:
        lines = [Line.of(month.hospital.bill())]
    await month.book(*bills)
    for period, others in beside.items():
        await month.state(others, period)
    matched, found = await month.match(await month.state(lines))
    model = Match(
        month.hospital.month,
        month.booked(),
        stated(lines),
        {period: stated(others) for period, others in beside.items()},
    )
    expected = model.outcomes()

    here = Counter((d["difference_class"], d["settlement_id"], d["line_no"], d["other_period"]) for d in found)
    assert here == Counter(tuple(o) for o in expected if o.difference_class != "agreed")
    agreed = [c["books"]["bill_count"] for c in matched["classes"] if c["difference_class"] == "agreed"]
    assert sum(agreed) == sum(o.difference_class == "agreed" for o in expected)
    sides = {
        "books": [b.amounts for b in model.bills if b.period == model.period],
        "stated": [line.amounts for line in lines],
    }
    for side, amounts in sides.items():
        sums = [sum(c[side][name] for c in matched["classes"]) for name in (*AMOUNTS, "bill_count")]
        assert sums == [*(sum(a[at] for a in amounts) for at in range(3)), len(amounts)]
