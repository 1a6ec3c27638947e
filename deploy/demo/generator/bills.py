"""Bills of a month: outpatient visits, pharmacy purchases and stays, with believable fee lines."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from deploy.demo.generator.people import Person
from shared.money import line_amount_fen
from shared.workdays import SHANGHAI, month_bounds

INPATIENT, OUTPATIENT, PHARMACY = "inpatient", "outpatient", "pharmacy"

_OPENS, _CLOSES = time(8), time(17, 30)
"""Between these hours of a day its bills are made."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a facility charges for; the price is drawn between two bounds, in yuan."""

    code: str
    name: str
    item_class: str
    """01 甲, 02 乙, 03 丙."""
    lowest: str
    highest: str
    decimals: int = 2
    most: int = 1
    """The largest quantity at once."""


# Codes have the length and letters of the national catalogue's and are made up, as prices are.
DRUGS = (
    Item("XJ01CAA040B001010199001", "阿莫西林胶囊", "01", "6.20", "18.00", most=3),
    Item("XC08CAA129A001010199002", "氨氯地平片", "01", "4.10", "26.50", most=3),
    Item("XA10BAE067A001020199003", "二甲双胍片", "01", "3.00", "22.40", most=3),
    Item("XN02BEB017A001010199004", "布洛芬片", "01", "0.1250", "0.9875", decimals=4, most=36),
    Item("XC10AAA154A001010199005", "阿托伐他汀钙片", "02", "12.30", "48.00", most=3),
    Item("XJ01DDT078B001010199006", "头孢曲松钠注射液", "02", "9.85", "64.20", most=3),
    Item("ZA04BAB0318010199007", "补中益气丸", "02", "0.3275", "1.4525", decimals=4, most=36),
    Item("XB05BAF518B002010199008", "复方氨基酸注射液", "02", "28.00", "96.00", most=3),
    Item("XV06DXY008Q001010199009", "营养补充剂", "03", "35.00", "168.00", most=3),
)
SERVICES = (
    Item("001101000010000-110100001", "普通门诊诊察费", "01", "4.50", "18.00"),
    Item("002501010010000-250101001", "血细胞分析", "01", "15.00", "25.00"),
    Item("002503010010000-250301001", "生化检验", "01", "24.00", "86.00"),
    Item("002103000010000-210300001", "CT平扫", "01", "150.00", "220.00"),
    Item("002102000010000-210200001", "磁共振平扫", "02", "380.00", "560.00"),
    Item("002203010010000-220301001", "彩色多普勒超声", "02", "80.00", "160.00"),
    Item("003300000010000-330000001", "特需诊疗费", "03", "50.00", "120.00"),
)
DAILY = (
    Item("001109000010000-110900001", "普通床位费", "01", "26.00", "48.00"),
    Item("001201000010000-120100003", "二级护理", "01", "12.00", "24.00"),
    Item("001204000060000-120400006", "静脉输液", "01", "8.00", "14.50"),
    Item("001109000050000-110900005", "特需病房床位费", "03", "120.00", "260.00"),
)
TREATMENT = (
    Item("003310030200000-331003020", "胃肠手术", "01", "780.00", "1650.00"),
    Item("003301000050000-330100005", "全身麻醉", "01", "420.00", "880.00"),
    Item("C0901010010000199011", "一次性输液器", "01", "2.60", "7.80"),
    Item("C0314040010000199012", "吻合器", "02", "860.00", "2400.00"),
    Item("C0203010030000199013", "可吸收缝线", "02", "46.00", "180.00"),
    *DRUGS,
    *SERVICES,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One fee line (费用明细); a negative one voids another."""

    line_no: str
    item: Item
    occurred_at: datetime
    quantity: Decimal
    unit_price: Decimal
    """Yuan."""
    voids_line_no: str | None = None

    @property
    def amount_fen(self) -> int:
        """Quantity times price, to the fen."""
        return line_amount_fen(self.quantity, self.unit_price)

    def body(self) -> dict[str, object]:
        """How it is sent."""
        return {
            "line_no": self.line_no,
            "item_code": self.item.code,
            "item_class": self.item.item_class,
            "occurred_at": self.occurred_at.isoformat(),
            "quantity": f"{self.quantity:f}",
            "unit_price": f"{self.unit_price:f}",
            "amount_fen": self.amount_fen,
            "voids_line_no": self.voids_line_no,
        }

    def voided(self, line_no: str) -> Line:
        """The line that takes this one back."""
        return Line(line_no, self.item, self.occurred_at, -self.quantity, self.unit_price, self.line_no)


@dataclass(frozen=True, slots=True)
class Bill:
    """One bill as its facility sends it, and what is to become of it."""

    number: int
    facility_code: str
    person: Person
    kind: str
    med_type: str
    emergency: bool
    began_at: datetime
    ended_at: datetime
    lines: tuple[Line, ...]
    stated_total_fen: int
    """What the facility claims the lines add up to; wrong in a few that are to be refused."""
    reversed_on: date | None = None
    """The day its settlement is reversed."""
    settled_again: bool = False
    """A reversed stay is corrected and settled anew the same day."""
    refusal: str | None = None
    """The code it must be refused with."""

    @property
    def day(self) -> date:
        """When it is settled."""
        return self.ended_at.date()

    @property
    def total_fen(self) -> int:
        """What the lines add up to."""
        return sum(line.amount_fen for line in self.lines)

    @property
    def visit_no(self) -> str:
        """The facility's number of the visit."""
        return f"{_PREFIX[self.kind]}{self.ended_at:%y%m%d}-{self.number:06d}"

    @property
    def settlement_no(self) -> str:
        """The facility's number of the settlement; R and S follow for its reversal and a second settlement."""
        return f"JS{self.ended_at:%y%m%d}-{self.number:06d}"

    @property
    def person_body(self) -> dict[str, str]:
        """Who is treated, by the card shown."""
        return {"identity_number": self.person.identity_number}

    def one_call_body(self) -> dict[str, object]:
        """An outpatient visit or a purchase, settled in one call."""
        return {
            "person": self.person_body,
            "kind": self.kind,
            "facility_visit_no": self.visit_no,
            "facility_settlement_no": self.settlement_no,
            "med_type": self.med_type,
            "emergency": self.emergency,
            "began_at": self.began_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "total_fen": self.stated_total_fen,
            "lines": [line.body() for line in self.lines],
        }

    def admission_body(self) -> dict[str, object]:
        """How a stay begins."""
        return {
            "person": self.person_body,
            "facility_visit_no": self.visit_no,
            "med_type": self.med_type,
            "emergency": self.emergency,
            "began_at": self.began_at.isoformat(),
        }

    def line_batches(self, size: int = 12) -> Iterator[dict[str, object]]:
        """The lines of a stay, as they are sent in the course of it."""
        for start in range(0, len(self.lines), size):
            yield {"lines": [line.body() for line in self.lines[start : start + size]]}

    def discharge_body(self, settlement_no: str | None = None) -> dict[str, object]:
        """How a stay is settled."""
        return {
            "facility_settlement_no": settlement_no or self.settlement_no,
            "ended_at": self.ended_at.isoformat(),
            "total_fen": self.stated_total_fen,
        }

    def reversal_body(self) -> dict[str, object]:
        """How its settlement is reversed."""
        return {"facility_settlement_no": f"{self.settlement_no}R", "reason": "收费有误，撤销结算"}


_PREFIX = {INPATIENT: "ZY", OUTPATIENT: "MZ", PHARMACY: "YD"}


def month_days(month: str) -> list[date]:
    """Every day of a month YYYY-MM."""
    first, last = month_bounds(month)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def make_stay_lines(draw: random.Random, began_at: datetime, ended_at: datetime) -> tuple[Line, ...]:
    """5 to 30 lines of a stay: daily care, then what was done; now and then one is voided."""
    nights = Decimal(max((ended_at.date() - began_at.date()).days, 1))
    cared = [(item, nights) for item in (DAILY if draw.random() < 0.15 else DAILY[:3])]
    done = [_charge(draw, TREATMENT) for _ in range(draw.randrange(5, 30) - len(cared))]
    lines = [
        _line(draw, number, item, quantity, began_at, ended_at)
        for number, (item, quantity) in enumerate((*cared, *done), 1)
    ]
    if draw.random() < 0.15:
        lines.append(draw.choice(lines[3:]).voided(f"{len(lines) + 1}"))
    return tuple(lines)


def make_visit_lines(draw: random.Random, kind: str, began_at: datetime, ended_at: datetime) -> tuple[Line, ...]:
    """A few lines of an outpatient visit or a purchase."""
    items = DRUGS if kind == PHARMACY else (*SERVICES, *DRUGS)
    count = draw.randrange(1, 5) if kind == PHARMACY else draw.randrange(2, 9)
    charges = [_charge(draw, items) for _ in range(count)]
    return tuple(
        _line(draw, number, item, quantity, began_at, ended_at) for number, (item, quantity) in enumerate(charges, 1)
    )


def _charge(draw: random.Random, items: Sequence[Item]) -> tuple[Item, Decimal]:
    item = draw.choice(items)
    return item, Decimal("0.5") if draw.random() < 0.03 else Decimal(draw.randint(1, item.most))


def _line(
    draw: random.Random, number: int, item: Item, quantity: Decimal, began_at: datetime, ended_at: datetime
) -> Line:
    lowest, highest = (int(Decimal(bound).scaleb(item.decimals)) for bound in (item.lowest, item.highest))
    unit_price = Decimal(draw.randint(lowest, highest)).scaleb(-item.decimals)
    seconds = draw.randrange(int((ended_at - began_at).total_seconds()) + 1)
    return Line(f"{number}", item, began_at + timedelta(seconds=seconds), quantity, unit_price)


def moment_of(draw: random.Random, day: date) -> datetime:
    """A second of a day on which a facility is open."""
    opens, closes = (datetime.combine(day, at, SHANGHAI) for at in (_OPENS, _CLOSES))
    return opens + timedelta(seconds=draw.randrange(int((closes - opens).total_seconds())))
