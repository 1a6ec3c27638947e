"""Statements, their lines, differences and decisions."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue

from services.settlement.rules.bills import BILL_MAX_FEN
from services.settlement.rules.statements import ClassNumbers, Comparison, Key, Line, Statement, StatementState, Sums
from services.settlement.store.statements import Difference, Resolution
from services.settlement.use_cases.statements import Report
from shared.http.paging import PageQuery
from shared.http.types import Body, Code, Day, Id, Month, RegionCode, Text, View

Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
"""A number of bills."""

TotalFen = Annotated[int, Field(strict=True, ge=-(10**15), le=10**15)]
"""A total of a statement in fen: ten trillion yuan at most, more than all funds of the country pay in a year."""

BillFen = Annotated[int, Field(strict=True, ge=-BILL_MAX_FEN, le=BILL_MAX_FEN)]
"""An amount of one bill in fen: ten billion yuan at most, so that a million of them can be added up."""

_KEY: dict[str, JsonValue] = {"home_region": "411681", "insutype": "390", "clr_type": "21", "refund": False}
_SUMS: dict[str, JsonValue] = {"total_fen": 1250000, "fund_fen": 780000, "account_fen": 0, "bill_count": 2}
_LINE: dict[str, JsonValue] = {
    "facility_settlement_no": "H41160300001-20261102-000123",
    "refund": False,
    "settlement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    "total_fen": 650000,
    "fund_fen": 400000,
    "account_fen": 0,
}
_STATEMENT: dict[str, JsonValue] = {
    "statement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    "facility_code": "H41160300001",
    "care_region": "411603",
    "period": "2026-10",
    "version_no": 1,
    "state": "matched",
    "submitted_on": "2026-11-02",
    "party": "H41160300001",
    "home_region": None,
    "day": None,
}


class TotalBody(Body):
    """One group of a statement; the key of 3201, the home region standing for its agency (setl_optins)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_KEY, **_SUMS}]})

    home_region: RegionCode
    insutype: Code
    clr_type: Code
    """清算类别: 11 outpatient, 21 inpatient, 41 pharmacy."""
    refund: bool
    """退费结算标志: reversals are a group of their own, with negative sums."""
    total_fen: TotalFen
    fund_fen: TotalFen
    account_fen: TotalFen
    bill_count: Count

    def group(self) -> tuple[Key, Sums]:
        """The group as the rules see it."""
        key = Key(self.home_region, self.insutype, self.clr_type, self.refund)
        return key, Sums(self.total_fen, self.fund_fen, self.account_fen, self.bill_count)


class StatementBody(Body):
    """A facility's statement of a month (汇总表), or of one day of it (日对账)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"period": "2026-10", "totals": [{**_KEY, **_SUMS}]}]})

    period: Month
    day: Day | None = None
    """The one day that is stated, by the time of settlement; null for the whole month."""
    totals: Annotated[list[TotalBody], Field(max_length=2000)]


class AgencyTotalBody(Body):
    """One group of an agency's statement: its chain has one home region."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"insutype": "390", "clr_type": "21", "refund": False, **_SUMS}]}
    )

    insutype: Code
    clr_type: Code
    refund: bool
    total_fen: TotalFen
    fund_fen: TotalFen
    account_fen: TotalFen
    bill_count: Count

    def group(self, home_region: str) -> tuple[Key, Sums]:
        """The group as the rules see it."""
        key = Key(home_region, self.insutype, self.clr_type, self.refund)
        return key, Sums(self.total_fen, self.fund_fen, self.account_fen, self.bill_count)


class AgencyStatementBody(Body):
    """A month of a chain as an agency of it has it in its own books (机构间对账单)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "period": "2026-10",
                    "care_region": "411603",
                    "home_region": "411681",
                    "totals": [{"insutype": "390", "clr_type": "21", "refund": False, **_SUMS}],
                }
            ]
        }
    )

    period: Month
    care_region: RegionCode
    home_region: RegionCode
    """The two ends of the chain."""
    totals: Annotated[list[AgencyTotalBody], Field(max_length=2000)]


class LineBody(Body):
    """One bill as the facility has it; a refunded bill is two lines, a positive and a negative one."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LINE]})

    facility_settlement_no: Annotated[str, Field(pattern=r"^[!-~]{1,60}$")]
    """The facility's own number of the bill (医药机构结算ID)."""
    refund: bool = False
    settlement_id: Id | None = None
    """结算ID, where the facility kept it."""
    total_fen: BillFen
    fund_fen: BillFen
    account_fen: BillFen

    def line(self) -> Line:
        """The line as the rules see it."""
        return Line(
            self.facility_settlement_no,
            self.refund,
            self.settlement_id,
            self.total_fen,
            self.fund_fen,
            self.account_fen,
        )


class LinesBody(Body):
    """Lines of a statement, in batches of any order; a line sent twice counts once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lines": [_LINE]}]})

    lines: Annotated[list[LineBody], Field(min_length=1, max_length=2000)]


class LinesView(View):
    """How many lines were taken."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lines": 1}]})

    lines: int


class ResolutionBody(Body):
    """Why the books stand."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "医院漏报一笔，已核对原始单据，以账面为准", "match_no": 2}]}
    )

    reason: Text
    match_no: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """The match whose differences were seen: another one is refused. Absent: whatever is found now."""


class SumsView(View):
    """Three sums in fen and a count."""

    total_fen: int
    fund_fen: int
    account_fen: int
    bill_count: int

    @classmethod
    def of(cls, sums: Sums) -> SumsView:
        """The view of some sums."""
        return cls(**sums._asdict())


class TotalView(View):
    """One group of a statement beside the books (对总账)."""

    home_region: str
    insutype: str
    clr_type: str
    refund: bool
    stated: SumsView
    books: SumsView
    equal: bool

    @classmethod
    def of(cls, compared: Comparison) -> TotalView:
        """The view of a comparison."""
        stated, books = SumsView.of(compared.stated), SumsView.of(compared.books)
        return cls(**compared.key._asdict(), stated=stated, books=books, equal=compared.equal)


class ClassView(View):
    """What the match put into one class; the classes add up to both sides (对明细账)."""

    difference_class: str
    """agreed, within_tolerance, amount_differs, key_differs, period_differs, duplicate, reversed_on_one_side,
    missing_in_statement, missing_in_books."""
    stated: SumsView
    books: SumsView

    @classmethod
    def of(cls, numbers: ClassNumbers) -> ClassView:
        """The view of a class."""
        return cls(
            difference_class=numbers.difference_class,
            stated=SumsView.of(numbers.stated),
            books=SumsView.of(numbers.books),
        )


class ResolutionView(View):
    """That the books stand: who proposed it and why, who approved it."""

    reason: str
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None
    approved_at: datetime | None

    @classmethod
    def of(cls, row: Resolution) -> ResolutionView:
        """The view of a decision."""
        return cls.model_validate(row, from_attributes=True)


_DAY: dict[str, JsonValue] = {
    "day": "2026-10-12",
    "statement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    "version_no": 1,
    "state": "matched",
    "agreed": True,
}


class DayView(View):
    """One day of a month as the facility stated it before."""

    model_config = ConfigDict(json_schema_extra={"examples": [_DAY]})

    day: date
    statement_id: str
    version_no: int
    state: str
    agreed: bool
    """Whether it agreed with the books, or differed by nothing that was not decided (平)."""

    @classmethod
    def of(cls, row: Statement) -> DayView:
        """The view of a day."""
        if row.day is None:
            raise ValueError("a statement of a whole month is no day of it")
        return cls(
            day=row.day,
            statement_id=row.statement_id,
            version_no=row.version_no,
            state=row.state,
            agreed=row.state is StatementState.MATCHED,
        )


class StatementView(View):
    """One version of a statement with the outcome of its comparison."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_STATEMENT,
                    "totals": [{**_KEY, "stated": _SUMS, "books": _SUMS, "equal": True}],
                    "classes": [],
                    "days": [_DAY],
                    "resolution": None,
                }
            ]
        }
    )

    statement_id: str
    facility_code: str | None
    """The facility that stated; null for an agency."""
    care_region: str
    period: str
    version_no: int
    state: str
    """details_wanted, differences, matched, reopened (about to be compared again), replaced."""
    submitted_on: date
    party: str
    """Who stated: a facility, or an agency."""
    home_region: str | None
    """The other end of the chain, where an agency stated."""
    day: date | None
    """The one day a facility stated; null for its month."""
    totals: list[TotalView]
    classes: list[ClassView]
    resolution: ResolutionView | None
    days: list[DayView]
    """Of a month: the days of it that were stated, as they stand."""

    @classmethod
    def of(cls, report: Report) -> StatementView:
        """The view of a statement."""
        s = report.statement
        return cls(
            statement_id=s.statement_id,
            party=s.party,
            facility_code=s.facility_code,
            home_region=s.home_region,
            day=s.day,
            care_region=s.care_region,
            period=s.period,
            version_no=s.version_no,
            state=s.state,
            submitted_on=s.submitted_on,
            totals=[TotalView.of(row) for row in report.comparisons],
            classes=[ClassView.of(row) for row in report.classes],
            resolution=None if report.resolution is None else ResolutionView.of(report.resolution),
            days=[DayView.of(day) for day in report.days],
        )


class StatementHead(View):
    """One version of a statement, in a list."""

    model_config = ConfigDict(json_schema_extra={"examples": [_STATEMENT]})

    statement_id: str
    facility_code: str | None
    """The facility that stated; null for an agency."""
    care_region: str
    period: str
    version_no: int
    state: str
    submitted_on: date
    party: str
    """Who stated: a facility, or an agency."""
    home_region: str | None
    """The other end of the chain, where an agency stated."""
    day: date | None
    """The one day a facility stated; null for its month."""

    @classmethod
    def of(cls, row: Statement) -> StatementHead:
        """The view of a version."""
        return cls.model_validate(row, from_attributes=True)


class StatementQuery(PageQuery):
    """Which statements are wanted."""

    period: Month | None = None
    facility_code: Code | None = None
    party: Code | None = None
    """Who stated: a facility, or an agency."""
    day: Day | None = None


DIFFERENCE_EXAMPLE: dict[str, JsonValue] = {
    "position": 1,
    "difference_class": "amount_differs",
    "facility_settlement_no": "H41160300001-20261102-000123",
    "refund": False,
    "settlement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    "home_region": "411681",
    "books_total_fen": 650000,
    "books_fund_fen": 400000,
    "books_account_fen": 0,
    "stated_total_fen": 650000,
    "stated_fund_fen": 410000,
    "stated_account_fen": 0,
    "total_off_fen": 0,
    "fund_off_fen": 10000,
    "account_off_fen": 0,
    "line_no": 17,
    "stated_settlement_no": None,
    "stated_settlement_id": None,
    "other_period": None,
}


class DifferenceView(View):
    """One bill on which statement and books do not agree; the absent side is null. Amounts in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [DIFFERENCE_EXAMPLE]})

    position: int
    difference_class: str
    facility_settlement_no: str
    refund: bool
    settlement_id: str | None
    home_region: str | None
    books_total_fen: int | None
    books_fund_fen: int | None
    books_account_fen: int | None
    stated_total_fen: int | None
    stated_fund_fen: int | None
    stated_account_fen: int | None
    total_off_fen: int
    """Stated less booked, the absent side counting as nothing."""
    fund_off_fen: int
    account_off_fen: int
    line_no: int | None
    """The line of the statement's file."""
    stated_settlement_no: str | None
    """The number the line gives, where it is another than the bill's."""
    stated_settlement_id: str | None
    other_period: str | None
    """The month on the other side, where that differs."""

    @classmethod
    def of(cls, row: Difference) -> DifferenceView:
        """The view of a difference."""
        off = {
            "total_off_fen": (row.stated_total_fen or 0) - (row.books_total_fen or 0),
            "fund_off_fen": (row.stated_fund_fen or 0) - (row.books_fund_fen or 0),
            "account_off_fen": (row.stated_account_fen or 0) - (row.books_account_fen or 0),
        }
        return cls(**asdict(row), **off)
