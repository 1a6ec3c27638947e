"""Bodies of claims' requests and answers; known only to `api`. Amounts are whole fen."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, model_validator

from services.claims.rules import benefit
from services.claims.rules.lines import FeeLine
from services.claims.store.policies import PackRow
from services.claims.store.rechecks import ItemRow
from services.claims.store.replays import ReplayRow
from services.claims.store.settlements import SettlementRow
from services.claims.store.visits import VisitRow
from shared.http.paging import PageQuery
from shared.http.types import Body, Code, Fen, Id, Moment, Month, Quantity, Query, RegionCode, Text, UnitPrice, View
from shared.policy.decision import Decision

FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}\.yaml$")]

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
    "policy": "zhoukou@2026.1",
    "benefit": "residents-inpatient",
    "shares": {"390100": 513375, "390200": 0},
    "ratio": "0.750000",
    "total_fen": 1234500,
    "fund_fen": 513375,
    "person_fen": 721125,
    "account_fen": 0,
    "cash_fen": 721125,
    "hospital_fen": 0,
    "own_fen": 400000,
    "over_ceiling_fen": 0,
    "prepay_fen": 100000,
    "in_scope_fen": 734500,
    "deductible_fen": 50000,
    "by_ratio_fen": 171125,
    "over_cap_fen": 0,
    "relieved_fen": 0,
}


class AmountsView(View):
    """Who pays what (fen): total = fund + person + hospital; person = account + cash; fund = Σ shares;
    total = own + over_ceiling + prepay + in_scope; in_scope + relieved = deductible + fund + hospital + by_ratio +
    over_cap.
    """

    policy: str
    """The policy pack and version that decided: `zhoukou@2026.1`."""
    benefit: str
    """Its benefit (待遇) that applied."""
    shares: dict[str, int]
    """What each fund (基金支付类型) pays."""
    ratio: str
    """What the first fund pays of the expense above the deductible, all factors applied (基金支付比例)."""
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
    over_ceiling_fen: int
    """超限价自费费用."""
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
    relieved_fen: int
    """What funds pay of the expense outside the scope."""


class QuoteView(AmountsView):
    """What a bill would pay now (预结算); nothing is kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [_AMOUNTS]})

    @classmethod
    def of(cls, decision: Decision) -> QuoteView:
        """The view of a quote."""
        amounts = benefit.amounts_of(decision)
        return cls(**{**amounts, "ratio": f"{amounts['ratio']:.6f}", "shares": json.loads(amounts["shares"])})


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
        values["ratio"], values["shares"] = f"{row.ratio:.6f}", json.loads(row.shares)
        return cls.model_construct(**values)


class ExplanationQuery(Query):
    """For whom the explanation is."""

    reader: Literal["patient", "officer", "machine"] = "patient"


class ExplanationView(View):
    """How a settlement came about: the calculation's own record, told for a reader."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "settlement_id": "01KAJ6C3T5X9B1N7K2M4P8Q6R0",
                    "policy": "zhoukou@2026.1",
                    "reader": "patient",
                    "language": "zh",
                    "lines": ["起付线以内500.00元由您负担。"],
                    "steps": [],
                    "clauses": {"residents": "居民 150/500/1000, 85/75/65 %, cap 150,000"},
                }
            ]
        }
    )

    settlement_id: str
    policy: str
    reader: str
    language: str
    lines: list[str]
    """The explanation in sentences; empty for a machine."""
    steps: list[dict[str, JsonValue]]
    """Every step with its inputs and result; for a machine."""
    clauses: dict[str, str]
    """The clauses the steps cite, by id."""


_FILES: dict[str, JsonValue] = {"pack.yaml": "pack: zhoukou\n…"}
_POLICY: dict[str, JsonValue] = {
    "proposal_id": "01KAJ6C3T5X9B1N7K2M4P8Q6R0",
    "pack": "zhoukou",
    "version": "2027.1",
    "area": "411600",
    "valid_from": "2027-01-01",
    "valid_to": None,
    "digest": "9f86d081884c7d659a2feaa0c55ad015" * 2,
    "state": "proposed",
    "proposed_by": "officer-1",
    "proposed_at": "2026-11-20T02:00:03Z",
    "decided_by": None,
    "decided_at": None,
    "reason": None,
}


class PolicyBody(Body):
    """A version of a policy pack, as files."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"files": _FILES}]})

    files: Annotated[dict[FileName, Annotated[str, Field(max_length=1_000_000)]], Field(min_length=1, max_length=50)]
    """YAML documents by file name; see `docs/policy-packs.md`."""


class ApprovalBody(Body):
    """Which content is approved."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"digest": "9f86d081884c7d659a2feaa0c55ad015" * 2}]})

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ReasonBody(Body):
    """Why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "比例与文件不符"}]})

    reason: Text


class CaseBody(Body):
    """A case file to be run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"case": "id: my-case\n…"}]})

    case: Annotated[str, Field(min_length=1, max_length=1_000_000)]


class PolicyView(View):
    """A version of a policy pack."""

    model_config = ConfigDict(json_schema_extra={"examples": [_POLICY]})

    proposal_id: str
    pack: str
    version: str
    area: str
    valid_from: date
    valid_to: date | None
    digest: str
    state: Literal["proposed", "in_force", "rejected"]
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None

    @classmethod
    def of(cls, row: PackRow) -> PolicyView:
        """The view of a row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class CheckedView(View):
    """A pack that passed its check, with all its examples."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "pack": "zhoukou",
                    "version": "2027.1",
                    "digest": "9f86d081884c7d659a2feaa0c55ad015" * 2,
                    "examples": 12,
                }
            ]
        }
    )

    pack: str
    version: str
    digest: str
    examples: int
    """How many worked examples came out."""


class DocumentView(View):
    """A version with its files."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"policy": _POLICY, "files": _FILES}]})

    policy: PolicyView
    files: dict[str, str]


class DifferenceView(View):
    """What changes for whom between two versions, in words."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "head": [],
                    "removed": [],
                    "added": [],
                    "changed": [
                        {
                            "path": "residents-outpatient/pool",
                            "rule": "居民门诊与药店：居民医保基金",
                            "whom": "居民",
                            "of": "封顶",
                            "before": "600.00元",
                            "after": "800.00元",
                            "change": "+200.00元",
                        }
                    ],
                    "clauses": [],
                    "examples": [],
                }
            ]
        }
    )

    head: list[dict[str, JsonValue]]
    """What changes about the pack itself."""
    removed: list[dict[str, JsonValue]]
    added: list[dict[str, JsonValue]]
    """Rules."""
    changed: list[dict[str, JsonValue]]
    clauses: list[dict[str, JsonValue]]
    examples: list[dict[str, JsonValue]]
    """What the worked examples come to by each version."""


class RunView(View):
    """What the cases of a file come to; amounts are yuan as text."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"cases": [{"case": "my-case", "ok": True, "bills": []}]}]}
    )

    cases: list[dict[str, JsonValue]]


class DifferenceQuery(Query):
    """Against which version."""

    against: Id | None = None
    """A proposal; by default what holds on the day the new version begins."""


class ReplayBody(Body):
    """Over which bills: those that ended in these days."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"since": "2026-01-01", "until": "2026-12-31"}]})

    since: date
    until: date


class ReplayView(View):
    """A replay of a policy (政策测算)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "replay_id": "01KAJ6C3T5X9B1N7K2M4P8Q6R3",
                    "proposal_id": "01KAJ6C3T5X9B1N7K2M4P8Q6R0",
                    "since": "2026-01-01",
                    "until": "2026-12-31",
                    "state": "asked",
                    "progress": "deciding: 120,000 / 350,000",
                    "result": None,
                    "asked_by": "officer-1",
                    "asked_at": "2026-11-20T02:00:03Z",
                    "finished_at": None,
                }
            ]
        }
    )

    replay_id: str
    proposal_id: str
    since: date
    until: date
    state: Literal["asked", "done", "failed"]
    progress: str
    result: JsonValue
    """What `sifang policy replay --json` writes: cost by layer, level and group, winners and losers."""
    asked_by: str
    asked_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: ReplayRow) -> ReplayView:
        """The view of a row."""
        values = {name: getattr(row, name) for name in cls.model_fields}
        return cls(**{**values, "result": None if row.result is None else json.loads(row.result)})


class ItemsQuery(PageQuery):
    """Which work items are wanted."""

    state: Literal["open", "closed"] = "open"


class ItemView(View):
    """A work item (重算事项): a settled bill that would come to something else today."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "item_id": "01KAJ6C3T5X9B1N7K2M4P8Q6R1",
                    "settlement_id": "01KAJ6C3T5X9B1N7K2M4P8Q6R0",
                    "person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
                    "home_region": "411628",
                    "because": "01KAJ6C3T5X9B1N7K2M4P8Q6R2",
                    "fund_fen": 20000,
                    "expected_fund_fen": 15000,
                    "state": "open",
                    "opened_at": "2026-11-20T02:00:03Z",
                    "closed_at": None,
                    "note": None,
                }
            ]
        }
    )

    item_id: str
    settlement_id: str
    person_id: str
    home_region: str
    because: str
    """The settlement or reversal that changed what came before."""
    fund_fen: int
    expected_fund_fen: int
    state: str
    opened_at: datetime | None
    closed_at: datetime | None
    note: str | None

    @classmethod
    def of(cls, row: ItemRow) -> ItemView:
        """The view of a row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})
