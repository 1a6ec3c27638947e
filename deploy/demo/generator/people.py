"""Made-up people. Their identity numbers pass every check and can still be nobody's: they name a division (…9999) that
was never given to any place.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from shared.regions import RegionTree

EMPLOYEES, RESIDENTS = "310", "390"

_COLUMNS = (
    "identity_number",
    "name",
    "phone",
    "bank_account",
    "insutype",
    "psn_type",
    "region",
    "valid_from",
    "valid_to",
)
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀兰霞平刚桂英华玉梅建国志鹏雪晨宇欣怡梓涵"
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_OLDEST_DAY, _BIRTH_DAYS = date(1932, 1, 1), 34_000
HOMES: Mapping[str, int] = {
    "411600": 6,
    "411602": 9,
    "411603": 16,
    "411621": 4,
    "411622": 4,
    "411623": 5,
    "411624": 5,
    "411625": 7,
    "411627": 11,
    "411628": 14,
    "411681": 10,
    "411302": 2,
    "411323": 2,
    "341702": 2,
    "341721": 2,
    "430102": 1,
    "430181": 1,
}
"""Where people are insured, by weight: Zhoukou's city and counties, and a few of Nanyang, Chizhou and Changsha."""


@dataclass(frozen=True, slots=True)
class Person:
    """One insured person."""

    identity_number: str = field(repr=False)
    name: str = field(repr=False)
    phone: str = field(repr=False)
    bank_account: str = field(repr=False)
    insutype: str
    psn_type: str
    region: str
    """Home region (参保地)."""
    insured_from: date
    insured_to: date | None

    def body(self) -> dict[str, object]:
        """How one person is enrolled."""
        insurance = {
            "insutype": self.insutype,
            "psn_type": self.psn_type,
            "region": self.region,
            "valid_from": self.insured_from.isoformat(),
            "valid_to": self.insured_to and self.insured_to.isoformat(),
        }
        known = {"identity_number": self.identity_number, "name": self.name, "phone": self.phone}
        return {**known, "bank_account": self.bank_account, "insurance": insurance}

    def row(self) -> tuple[str, ...]:
        """A line of the import."""
        until = self.insured_to.isoformat() if self.insured_to else ""
        known = (self.identity_number, self.name, self.phone, self.bank_account)
        return (*known, self.insutype, self.psn_type, self.region, self.insured_from.isoformat(), until)


def persons_csv(people: Iterable[Person]) -> str:
    """The file that the bulk import of enrollment takes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(person.row() for person in people)
    return out.getvalue()


def make_people(seed: int, count: int, regions: RegionTree, today: date) -> list[Person]:
    """People in a fixed order: more of them begin with the same ones. `today` is the day on which ages are meant."""
    draw = random.Random(f"{seed}/people")
    homes, weights = list(HOMES), list(HOMES.values())
    serials: dict[str, int] = {}
    return [make_person(draw, regions[draw.choices(homes, weights)[0]].code, today, serials) for _ in range(count)]


def make_person(
    draw: random.Random,
    region: str,
    today: date,
    serials: dict[str, int],
    *,
    insutype: str | None = None,
    first_serial: int = 0,
) -> Person:
    """One person of a region; `serials` counts who was born where and when, as the number itself does."""
    born = _OLDEST_DAY + timedelta(days=draw.randrange(_BIRTH_DAYS))
    age = today.year - born.year
    insutype = insutype or (EMPLOYEES if 18 <= age < 90 and draw.random() < 0.25 else RESIDENTS)
    return Person(
        identity_number=_identity_number(region[:2], born, serials, first_serial + draw.randrange(50)),
        name=_name(draw),
        phone=f"154{draw.randrange(10**8):08d}",
        bank_account=f"620000{draw.randrange(10**13):013d}",
        insutype=insutype,
        psn_type=_psn_type(insutype, age),
        region=region,
        # Employees' insurance runs on, residents pay year by year.
        insured_from=date(today.year - (draw.randrange(2, 6) if insutype == EMPLOYEES else 1), 1, 1),
        insured_to=None if insutype == EMPLOYEES else date(today.year, 12, 31),
    )


def _psn_type(insutype: str, age: int) -> str:
    if insutype == EMPLOYEES:
        return "12" if age >= 60 else "11"
    return "14" if age < 18 else "16" if age >= 60 else "15"


def _name(draw: random.Random) -> str:
    return draw.choice(_SURNAMES) + "".join(draw.choices(_GIVEN, k=draw.choice((1, 2, 2))))


def _identity_number(province: str, born: date, serials: dict[str, int], first_serial: int) -> str:
    """A number with a right check digit (GB 11643); three digits tell those born on one day in one place apart."""
    place = f"{province}9999{born:%Y%m%d}"
    serial = serials[place] = serials.get(place, first_serial) + 1
    if serial > 999:
        raise ValueError("too many people for the birthdays there are")
    body = f"{place}{serial:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return body + "10X98765432"[total % 11]


def by_region(people: Iterable[Person]) -> dict[str, list[Person]]:
    """People by home region, in order."""
    found: dict[str, list[Person]] = {}
    for person in people:
        found.setdefault(person.region, []).append(person)
    return found


def walk(people: list[Person], draw: random.Random) -> Iterator[Person]:
    """Everybody once, in a drawn order, then again: so that bills are spread over many people."""
    order: list[Person] = []
    while people:
        if not order:
            order = draw.sample(people, len(people))
        yield order.pop()
