"""The made-up region as a whole, and who is treated where in a month."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Self

from deploy.demo.generator import bills as making
from deploy.demo.generator.bills import INPATIENT, OUTPATIENT, PHARMACY, Bill, month_days
from deploy.demo.generator.facilities import CLINIC, DRUGSTORE, FACILITIES, Facility
from deploy.demo.generator.filings import REFERRAL, Filing, make_filings
from deploy.demo.generator.people import RESIDENTS, Person, by_region, make_people, make_person, walk
from shared.regions import RegionTree
from shared.workdays import SHANGHAI, month_bounds

PERIOD = "2026-10"
"""The month that is played."""
NO_FILING, SUM_WRONG = "claims.remote-without-filing", "claims.sum-wrong"
_STRICT_HOMES = ("411302", "411323", "430102", "430181")
"""Homes whose policy pays nothing away from home without a filing; the others pay less."""
_POOLING_AREA = ("local", "within_city")
"""Where nobody needs a filing."""


@dataclass(frozen=True, slots=True)
class Story:
    """The one bill that is followed step by step: insured in Luyi, treated in Huaiyang."""

    facility: Facility
    filing: Filing
    bill: Bill

    @property
    def person(self) -> Person:
        """Whose bill it is."""
        return self.bill.person


@dataclass(frozen=True, slots=True)
class World:
    """People, facilities, filings and bills. All bills must be accepted, but those that name their refusal."""

    seed: int
    period: str
    people: tuple[Person, ...]
    """Everybody, the person of the story included."""
    facilities: tuple[Facility, ...]
    filings: tuple[Filing, ...]
    """Registered before the month; the story's own is not among them."""
    bills: tuple[Bill, ...]
    """In the order of their settlement; the story's own is not among them."""
    story: Story

    @classmethod
    def generate(
        cls,
        seed: int,
        *,
        regions: RegionTree,
        people: int = 3_000,
        bills: int = 3_000,
        period: str = PERIOD,
        days: Sequence[date] = (),
    ) -> Self:
        """The world of a seed. Bills are settled on `days`, by default on all of the month.

        Neither more bills nor other days change the people; fewer people are the first of the same.
        """
        month = month_bounds(period)
        inhabitants = make_people(seed, people, regions, month[0])
        filings = make_filings(seed, inhabitants, regions, month)
        casting = _Casting(seed, inhabitants, filings, regions)
        story = _story(seed, regions, month[0])
        made = list(casting.bills(bills, list(days) or month_days(period)))
        return cls(
            seed=seed,
            period=period,
            people=(*inhabitants, story.person),
            facilities=FACILITIES,
            filings=tuple(filings),
            bills=tuple(sorted(made, key=lambda bill: (bill.ended_at, bill.number))),
            story=story,
        )

    def settled_on(self, day: date) -> Iterator[Bill]:
        """The bills of a day, in order."""
        return (bill for bill in self.bills if bill.day == day)

    def reversed_on(self, day: date) -> Iterator[Bill]:
        """The bills whose settlement is reversed on a day."""
        return (bill for bill in self.bills if bill.reversed_on == day)


class _Casting:
    """Chooses who is treated where, and how."""

    def __init__(self, seed: int, people: list[Person], filings: Iterable[Filing], regions: RegionTree) -> None:
        self._draw = random.Random(f"{seed}/bills")
        self._regions = regions
        locals_ = by_region(people)
        self._locals = {f.region: walk(locals_.get(f.region, []), self._draw) for f in FACILITIES}
        filed: dict[str, list[Person]] = {
            place: [f.person for f in filings if regions.covers(f.care_region, place)]
            for place in {f.region for f in FACILITIES}
        }
        has_filed = {filing.person.identity_number for filing in filings}
        unfiled = [p for p in people if p.identity_number not in has_filed]
        self._filed = {place: walk(persons, self._draw) for place, persons in filed.items()}
        self._unfiled = walk([p for p in unfiled if p.region not in _STRICT_HOMES], self._draw)
        self._strict = walk([p for p in unfiled if p.region in _STRICT_HOMES], self._draw)
        self._stays: dict[str, list[tuple[datetime, datetime]]] = {}

    def bills(self, count: int, days: Sequence[date]) -> Iterator[Bill]:
        """So many bills; the same draws lead to the same ones."""
        facilities, shares = list(FACILITIES), [f.share for f in FACILITIES]
        for number in range(1, count + 1):
            facility = self._draw.choices(facilities, shares)[0]
            yield self._bill(number, facility, self._draw.choice(days), days)

    def _bill(self, number: int, facility: Facility, day: date, days: Sequence[date]) -> Bill:
        kind = self._kind(facility)
        person, emergency, refusal = self._patient(facility)
        ended_at = making.moment_of(self._draw, day)
        began_at = ended_at - timedelta(minutes=self._draw.randrange(10, 90))
        if kind == INPATIENT:
            began_at = making.moment_of(self._draw, day - timedelta(days=self._draw.randrange(2, 15)))
            kind, began_at = self._room_for_stay(person, began_at, ended_at)
        if kind == INPATIENT:
            lines = making.make_stay_lines(self._draw, began_at, ended_at)
        else:
            lines = making.make_visit_lines(self._draw, kind, began_at, ended_at)
        total_fen = sum(line.amount_fen for line in lines)
        if refusal is None and self._draw.random() < 0.005:
            refusal = SUM_WRONG
        reversed_on, settled_again = self._fate(kind, day, days) if refusal is None else (None, False)
        return Bill(
            number=number,
            facility_code=facility.code,
            person=person,
            kind=kind,
            med_type=_med_type(kind, emergency),
            emergency=emergency,
            began_at=began_at,
            ended_at=ended_at,
            lines=lines,
            stated_total_fen=total_fen + (1 if refusal == SUM_WRONG else 0),
            reversed_on=reversed_on,
            settled_again=settled_again,
            refusal=refusal,
        )

    def _kind(self, facility: Facility) -> str:
        if facility.kind == DRUGSTORE:
            return PHARMACY
        stays = 0.0 if facility.kind == CLINIC else 0.25
        return INPATIENT if self._draw.random() < stays else OUTPATIENT

    def _patient(self, facility: Facility) -> tuple[Person, bool, str | None]:
        """Who comes, whether as an emergency, and why they must be refused, if they must."""
        chance = self._draw.random()
        if chance < 0.02 and (stranger := self._from(self._strict, facility, beyond=_POOLING_AREA)):
            return stranger, False, NO_FILING
        if chance < 0.06 and (stranger := self._from(self._strict, facility, beyond=_POOLING_AREA)):
            return stranger, True, None
        if chance < 0.24 and (guest := next(self._filed[facility.region], None)):
            return guest, False, None
        if chance < 0.34 and (guest := self._from(self._unfiled, facility, beyond=("local",))):
            return guest, False, None
        resident = next(self._locals[facility.region], None) or self._from(self._unfiled, facility)
        if resident is None:
            raise ValueError("too few people for bills at every facility")
        return resident, chance > 0.97, None

    def _from(self, people: Iterator[Person], facility: Facility, *, beyond: Sequence[str] = ()) -> Person | None:
        """The next of some people whose home is none of these relations to where the facility is."""
        for _ in range(50):
            person = next(people, None)
            if person is None or self._regions.relation(facility.region, person.region) not in beyond:
                return person
        return None

    def _room_for_stay(self, person: Person, began_at: datetime, ended_at: datetime) -> tuple[str, datetime]:
        """Nobody lies in two beds at once: who has a stay in these days comes as an outpatient instead."""
        stays = self._stays.setdefault(person.identity_number, [])
        if any(began_at <= until and since <= ended_at for since, until in stays):
            return OUTPATIENT, ended_at - timedelta(minutes=30)
        stays.append((began_at, ended_at))
        return INPATIENT, began_at

    def _fate(self, kind: str, day: date, days: Sequence[date]) -> tuple[date | None, bool]:
        if self._draw.random() >= 0.025:
            return None, False
        later = [d for d in days if d >= day]
        return self._draw.choice(later[:3]), kind == INPATIENT and self._draw.random() < 0.6


def _med_type(kind: str, emergency: bool) -> str:
    if kind == PHARMACY:
        return "41"
    if kind == INPATIENT:
        return "24" if emergency else "21"
    return "13" if emergency else "11"


def _story(seed: int, regions: RegionTree, first: date) -> Story:
    """A referral from Luyi to the people's hospital of Huaiyang: three nights, one line charged by mistake."""
    draw = random.Random(f"{seed}/story")
    facility = next(f for f in FACILITIES if f.code == "H41160300001")
    # A serial beyond all others keeps this number from being one of theirs.
    person = make_person(draw, "411628", first, {}, insutype=RESIDENTS, first_serial=900)
    # After the holidays of October, when agencies are open.
    began_at = datetime.combine(first + timedelta(days=8), time(9, 20), SHANGHAI)
    ended_at = datetime.combine(first + timedelta(days=11), time(10, 5), SHANGHAI)
    lines = _story_lines(draw, began_at, ended_at)
    total_fen = sum(line.amount_fen for line in lines)
    bill = Bill(0, facility.code, person, INPATIENT, "21", False, began_at, ended_at, lines, total_fen)
    filing = Filing(person, REFERRAL, regions[facility.region].code, began_at.date(), None)
    return Story(facility, filing, bill)


def _story_lines(draw: random.Random, began_at: datetime, ended_at: datetime) -> tuple[making.Line, ...]:
    daily = [
        making.Line(f"{number}", item, began_at, Decimal(3), Decimal(item.lowest))
        for number, item in enumerate(making.DAILY[:3], 1)
    ]
    done = making.make_stay_lines(draw, began_at, ended_at)[3:]
    plain = [line for line in done if line.voids_line_no is None]
    lines = daily + [
        making.Line(f"{number}", line.item, line.occurred_at, line.quantity, line.unit_price)
        for number, line in enumerate(plain, len(daily) + 1)
    ]
    ct = next(item for item in making.SERVICES if item.name == "CT平扫")
    operation = making.TREATMENT[0]
    lines.append(making.Line(f"{len(lines) + 1}", operation, began_at, Decimal(1), Decimal("1280.00")))
    mistake = making.Line(f"{len(lines) + 1}", ct, began_at, Decimal(1), Decimal("186.00"))
    return (*lines, mistake, mistake.voided(f"{len(lines) + 2}"))
