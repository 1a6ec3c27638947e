"""Bodies of claims' requests and answers; known only to `api.py`. Amounts are whole fen."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, model_validator

from services.claims.rules.benefit import Decision
from services.claims.rules.lines import FeeLine
from services.claims.store.settlements import SettlementRow
from services.claims.store.visits import VisitRow
from shared.http.paging import PageQuery
from shared.http.types import Body, Code, Fen, Id, Moment, Month, Quantity, RegionCode, Text, UnitPrice, View

Unsigned = Annotated[int, Field(strict=True, ge=0, le=10**16)]

_PERSON: dict[str, JsonValue] = {"person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q"}
_LINE: dict[str, JsonValue] = {
    "line_no": "1",
    "item_code": "XN05BAD148A001010178390",
    "item_class": "01",
    "occurred_at": "2026-11-02T09:30:00+08:00",
    "quantity": "2",
    "unit_price": "38.50",
    "amount_fen": 7700,
}


class PersonBody(Body):
    """Who is treated: by internal number (人员编号), or by identity number."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PERSON]})

    person_id: Id | None = None
    identity_number: Annotated[str, Field(min_length=4, max_length=30)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> PersonBody:
        if (self.person_id is None) == (self.identity_number is None):
            raise ValueError("give either person_id or identity_number")
        return self


class FeeLineBody(Body):
    """One fee line (费用明细). A negative one voids another, wholly or in part."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LINE]})

    line_no: Code
    """费用明细流水号, unique within the visit."""
    item_code: Code
    """医疗目录编码."""
    item_class: Annotated[str, Field(pattern=r"^[0-9]{1,6}$")]
    """收费项目等级: 01 甲, 02 乙, 03 丙."""
    occurred_at: Moment
    quantity: Quantity
    unit_price: UnitPrice
    amount_fen: Fen
    """Quantity times price, rounded half-up to the fen."""
    voids_line_no: Code | None = None
    """原费用流水号: the line a negative one voids."""

    def line(self) -> FeeLine:
        """The line as the rules see it."""
        return FeeLine(
            self.line_no,
            self.item_code,
            self.item_class,
            self.occurred_at,
            self.quantity,
            self.unit_price,
            self.amount_fen,
            self.voids_line_no,
        )


class AdmissionBody(Body):
    """An admission (入院办理)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "person": _PERSON,
                    "facility_visit_no": "ZY20261012001",
                    "med_type": "21",
                    "began_at": "2026-10-12T08:15:00+08:00",
                }
            ]
        }
    )

    person: PersonBody
    facility_visit_no: Code
    """住院号, unique within the facility."""
    med_type: Code
    """医疗类别, e.g. 21."""
    insutype: Code | None = None
    """险种类型; needed only when the person has several."""
    emergency: bool = False
    """Emergency or rescue: treated as filed."""
    began_at: Moment


class LinesBody(Body):
    """A batch of fee lines (收费批次)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lines": [_LINE]}]})

    lines: Annotated[list[FeeLineBody], Field(min_length=1, max_length=1000)]


class LinesView(View):
    """How many lines were taken, and how many of them were new."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"received": 20, "added": 20}]})

    received: int
    added: int


class DischargeBody(Body):
    """A discharge settlement (住院结算)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "facility_settlement_no": "JS20261020001",
                    "ended_at": "2026-10-20T10:00:00+08:00",
                    "total_fen": 1234500,
                }
            ]
        }
    )

    facility_settlement_no: Code
    """医药机构结算ID, unique within the facility."""
    ended_at: Moment
    total_fen: Unsigned
    """医疗费总额: what the lines add up to."""


class OneCallBody(Body):
    """An outpatient visit or pharmacy purchase, settled in one call (门诊结算, 药店结算)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "person": _PERSON,
                    "kind": "outpatient",
                    "facility_visit_no": "MZ20261102017",
                    "facility_settlement_no": "JS20261102017",
                    "med_type": "11",
                    "began_at": "2026-11-02T09:00:00+08:00",
                    "ended_at": "2026-11-02T10:00:00+08:00",
                    "total_fen": 7700,
                    "lines": [_LINE],
                }
            ]
        }
    )

    person: PersonBody
    kind: Literal["outpatient", "pharmacy"]
    facility_visit_no: Code
    facility_settlement_no: Code
    med_type: Code
    insutype: Code | None = None
    emergency: bool = False
    began_at: Moment
    ended_at: Moment
    total_fen: Unsigned
    lines: Annotated[list[FeeLineBody], Field(min_length=1, max_length=500)]


class ReversalBody(Body):
    """A reversal (结算撤销)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"facility_settlement_no": "TF20261103002", "reason": "收费有误，重新结算"}]}
    )

    facility_settlement_no: Code
    """The facility's own number of the reversal."""
    reason: Text


class SettlementsQuery(PageQuery):
    """Which settlements are wanted."""

    period: Month


class VisitView(View):
    """A visit."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "visit_id": "01KAJ6A0P9W3V7Y5T1R8Q2N4M6",
                    "facility_code": "H41160300001",
                    "facility_visit_no": "ZY20261012001",
                    "person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
                    "kind": "inpatient",
                    "med_type": "21",
                    "insutype": "390",
                    "emergency": False,
                    "began_at": "2026-10-12T00:15:00Z",
                    "ended_at": None,
                    "state": "open",
                }
            ]
        }
    )

    visit_id: str
    facility_code: str
    facility_visit_no: str
    person_id: str
    kind: str
    med_type: str
    insutype: str
    emergency: bool
    began_at: datetime
    ended_at: datetime | None
    state: str

    @classmethod
    def of(cls, row: VisitRow) -> VisitView:
        """The view of a row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class FeeLineView(View):
    """A fee line as kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_LINE, "voids_line_no": None}]})

    line_no: str
    item_code: str
    item_class: str
    occurred_at: datetime
    quantity: str
    unit_price: str
    amount_fen: int
    voids_line_no: str | None

    @classmethod
    def of(cls, line: FeeLine) -> FeeLineView:
        """The view of a line."""
        values = {name: getattr(line, name) for name in cls.model_fields}
        return cls(**{**values, "quantity": f"{line.quantity:f}", "unit_price": f"{line.unit_price:f}"})


_AMOUNTS: dict[str, JsonValue] = {
    "plan": "zhoukou-residents-2026",
    "ratio": "0.637500",
    "total_fen": 1234500,
    "fund_fen": 431694,
    "person_fen": 802806,
    "account_fen": 0,
    "cash_fen": 802806,
    "hospital_fen": 0,
    "own_fen": 400000,
    "prepay_fen": 100000,
    "in_scope_fen": 734500,
    "deductible_fen": 57333,
    "by_ratio_fen": 245473,
    "over_cap_fen": 0,
}


class AmountsView(View):
    """Who pays what (fen): total = fund + person + hospital; person = account + cash; total = own + prepay + in_scope;
    in_scope = deductible + fund + by_ratio + over_cap.
    """

    plan: str
    """The benefit plan that decided."""
    ratio: str
    """基金支付比例, all factors applied."""
    total_fen: int
    """医疗费总额."""
    fund_fen: int
    """基金支付总额."""
    person_fen: int
    """个人负担总金额."""
    account_fen: int
    """个人账户支出."""
    cash_fen: int
    """个人现金支出."""
    hospital_fen: int
    """医院负担金额."""
    own_fen: int
    """全自费金额."""
    prepay_fen: int
    """先行自付金额."""
    in_scope_fen: int
    """符合政策范围金额."""
    deductible_fen: int
    """实际支付起付线."""
    by_ratio_fen: int
    """按比例自付."""
    over_cap_fen: int
    """超限额自付."""


class QuoteView(AmountsView):
    """What a bill would pay now (预结算); nothing is kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [_AMOUNTS]})

    @classmethod
    def of(cls, decision: Decision) -> QuoteView:
        """The view of a quote."""
        named = {name: getattr(decision, name) for name in cls.model_fields if hasattr(decision, name)}
        rest = {"account_fen": 0, "cash_fen": decision.person_fen, "hospital_fen": 0}
        return cls(**{**named, **rest, "ratio": f"{decision.ratio:.6f}"})


class SettlementView(AmountsView):
    """A settlement (结算)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_AMOUNTS,
                    "settlement_id": "01KAJ6C3T5X9B1N7K2M4P8Q6R0",
                    "visit_id": "01KAJ6A0P9W3V7Y5T1R8Q2N4M6",
                    "person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
                    "facility_code": "H41160300001",
                    "facility_settlement_no": "JS20261020001",
                    "reverses_settlement_id": None,
                    "kind": "inpatient",
                    "care_region": "411603",
                    "home_region": "411628",
                    "insutype": "390",
                    "clr_type": "21",
                    "pay_loc": "6",
                    "began_on": "2026-10-12",
                    "ended_on": "2026-10-20",
                    "settled_at": "2026-10-20T02:00:03Z",
                }
            ]
        }
    )

    settlement_id: str
    visit_id: str
    person_id: str
    facility_code: str
    facility_settlement_no: str
    reverses_settlement_id: str | None
    """原结算ID, when this is a reversal."""
    kind: str
    care_region: RegionCode
    home_region: RegionCode
    insutype: str
    clr_type: str
    """清算类别."""
    pay_loc: str
    """支付地点类别."""
    began_on: date
    ended_on: date
    settled_at: datetime

    @classmethod
    def of(cls, row: SettlementRow) -> SettlementView:
        """The view of a row. The row's amounts were checked by the database, so they are not checked again."""
        values = {name: getattr(row, name) for name in cls.model_fields}
        values["ratio"] = f"{row.ratio:.6f}"
        return cls.model_construct(**values)
