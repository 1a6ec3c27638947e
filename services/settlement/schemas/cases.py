"""Cases, confirmations and dues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from services.settlement.rules.cases import Case, Hop, HopState, State
from services.settlement.rules.clearing_states import NAMES, clr_stas
from services.settlement.rules.dues import Due
from services.settlement.rules.orders import OrderState
from services.settlement.store.cases import Confirmed, StepTaken
from services.settlement.store.drilling import HopPaid
from services.settlement.store.dues import DueOfCase, Suspension
from services.settlement.store.payments import PaymentRow
from shared.http.paging import PageQuery
from shared.http.types import Body, Code, Id, Month, RegionCode, View
from shared.refusals import Refusal
from shared.workdays import WorkCalendar

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a case's bills and amounts, as the case shows it."""

CASE_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q"
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_CASE: dict[str, JsonValue] = {
    "case_id": CASE_ID,
    "facility_code": "H41160300001",
    "period": "2026-10",
    "care_region": "411603",
    "home_region": "411681",
    "clearing_region": "411600",
    "chain": ["411603", "411600", "411681"],
    "state": "matched",
    "bill_count": 2,
    "total_fen": 1250000,
    "fund_fen": 780000,
    "account_fen": 0,
    "payable_fen": 780000,
    "numbers_hash": HASH,
    "confirmed_by": ["H41160300001"],
}
_DUE: dict[str, JsonValue] = {
    "kind": "reconciliation",
    "party": "411603",
    "since": "2026-11-02",
    "working_days": 15,
    "due_on": "2026-11-23",
    "provisional": False,
    "working_days_left": 9,
    "suspended_on": None,
}


class CaseQuery(PageQuery):
    """Which cases are wanted."""

    period: Month | None = None
    facility_code: Code | None = None
    home_region: RegionCode | None = None
    state: State | None = None


class CaseView(View):
    """A case; while its numbers do not stand (no hash) they are those of this moment. Amounts in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CASE]})

    case_id: str
    facility_code: str
    period: str
    care_region: str
    home_region: str
    clearing_region: str
    chain: list[str]
    """The agencies, care first and home last."""
    state: str
    bill_count: int
    total_fen: int
    fund_fen: int
    account_fen: int
    payable_fen: int
    """What the facility advanced and is owed: fund and account together."""
    numbers_hash: str | None
    """What a confirmation names: SHA-256, in hexadecimal, of the case id and then, each on a line of its own and in the
    order of their ids, the bills as `settlement_id total_fen fund_fen account_fen`."""
    confirmed_by: list[str]

    @classmethod
    def of(cls, case: Case) -> CaseView:
        """The view of a case."""
        return cls(**_case_fields(case))


def _case_fields(case: Case) -> dict[str, object]:
    return {
        "case_id": case.case_id,
        "facility_code": case.facility_code,
        "period": case.period,
        "care_region": case.care_region,
        "home_region": case.home_region,
        "clearing_region": case.clearing_region,
        "chain": list(case.chain),
        "state": case.state,
        "bill_count": case.bill_count,
        "total_fen": case.total_fen,
        "fund_fen": case.fund_fen,
        "account_fen": case.account_fen,
        "payable_fen": case.payable_fen,
        "numbers_hash": case.numbers_hash,
        "confirmed_by": [party for party in case.parties if party in case.confirmed_by],
    }


class PartyView(View):
    """One party of a case and its confirmation, if it gave one."""

    party: str
    capacity: Literal["facility", "agency", "care", "clearing", "home"]
    """What the party is in this case, home before clearing before care where one agency is several."""
    confirmed_at: datetime | None
    confirmed_by: str | None
    """The person; null where it is deemed."""
    deemed: bool = False
    """By its silence (逾期视为确认)."""
    numbers_hash: str | None = None
    """What it confirmed."""
    stands_for: str | None = None
    """The hash of the case's numbers, where accepted objections took bills out of those it confirmed: what it confirmed
    stands for the rest."""


class HopView(View):
    """One hop of the money. Amount in fen."""

    hop_no: int
    kind: str
    """remittance (上解) or disbursement (拨付)."""
    payer: str
    payee: str
    amount_fen: int
    state: str
    """waiting, payable, proposed, in_position, paid."""
    payment_id: str | None
    """The document that pays this hop alone."""
    position_id: str | None = None
    """The net position it is in, where a cycle took it."""
    paid_by_position_id: str | None = None
    """The position that is paid for it: the same, or a later one that took it up."""
    settled_by: str | None = None
    """What settled that position: payment, prepayment, nothing_owed."""
    order_id: str | None = None
    """The newest order that pays it, or the position."""
    paid_at: datetime | None

    @classmethod
    def of(cls, hop: Hop, payment: PaymentRow | None, paid: HopPaid | None) -> HopView:
        """The view of a hop with its payment."""
        return cls(
            hop_no=hop.hop_no,
            kind=hop.kind,
            payer=hop.payer,
            payee=hop.payee,
            amount_fen=hop.amount_fen,
            state=hop.state,
            payment_id=None if payment is None else payment.payment_id,
            position_id=None if paid is None else paid.position_id,
            paid_by_position_id=None if paid is None else paid.paid_by_position_id,
            settled_by=None if paid is None else paid.settled_by,
            order_id=None if paid is None else paid.order_id,
            paid_at=None if paid is None or hop.state != HopState.PAID else paid.paid_at,
        )


class DueView(View):
    """What one party must do, and by when."""

    kind: str
    party: str
    since: date
    working_days: int
    due_on: date
    provisional: bool
    """The day lies beyond the published calendar and may still move (暂定)."""
    working_days_left: int
    """Negative once it is overdue."""
    suspended_on: date | None = None
    """Since when its clock stands still (中止)."""

    @classmethod
    def of(cls, due: Due, calendar: WorkCalendar, today: date) -> DueView:
        """The view of a due today."""
        return cls(
            kind=due.kind,
            party=due.party,
            since=due.since,
            working_days=due.working_days,
            due_on=due.due_on,
            provisional=due.provisional,
            working_days_left=calendar.between(today, due.due_on),
            suspended_on=due.suspended_on,
        )


class DueOfCaseView(View):
    """One due of the caller, with the case it belongs to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_DUE,
                    "case_id": CASE_ID,
                    "facility_code": "H41160300001",
                    "period": "2026-10",
                    "care_region": "411603",
                    "home_region": "411681",
                    "state": "matched",
                }
            ]
        }
    )

    case_id: str
    facility_code: str
    period: str
    care_region: str
    home_region: str
    state: str
    kind: str
    party: str
    since: date
    working_days: int
    due_on: date
    provisional: bool
    working_days_left: int
    suspended_on: date | None = None

    @classmethod
    def of(cls, due: DueOfCase, calendar: WorkCalendar, today: date) -> DueOfCaseView:
        """The view of a due today."""
        return cls(
            case_id=due.case_id,
            facility_code=due.facility_code,
            period=due.period,
            care_region=due.care_region,
            home_region=due.home_region,
            state=due.state,
            kind=due.kind,
            party=due.party,
            since=due.since,
            working_days=due.working_days,
            due_on=due.due_on,
            provisional=due.provisional,
            working_days_left=calendar.between(today, due.due_on),
            suspended_on=due.suspended_on,
        )


class StepView(View):
    """One line of a case's history."""

    step: str
    party: str
    subject: str | None
    numbers_hash: str | None
    at: datetime

    @classmethod
    def of(cls, taken: StepTaken) -> StepView:
        """The view of a step."""
        return cls.model_validate(taken, from_attributes=True)


class SuspensionView(View):
    """A reason for which a clock stood still, or stands still; it goes on when none is left."""

    kind: str
    party: str
    suspended_on: date
    days_left: int
    reason: str
    papers: list[str]
    suspended_party: str
    suspended_by: str | None
    """The officer; null where it follows from an objection."""
    objection_no: int | None
    """Of the objection it follows from; null where an officer stopped the clock."""
    resumed_on: date | None
    resumed_party: str | None
    resumed_by: str | None

    @classmethod
    def of(cls, suspension: Suspension) -> SuspensionView:
        """The view of a suspension."""
        return cls.model_validate(suspension, from_attributes=True)


class CaseDetail(CaseView):
    """A case with its chain of parties, its money, its clocks and its history."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_CASE,
                    "parties": [
                        {
                            "party": "H41160300001",
                            "capacity": "facility",
                            "confirmed_at": "2026-11-02T02:00:00Z",
                            "confirmed_by": "his-1",
                            "deemed": False,
                            "numbers_hash": HASH,
                            "stands_for": None,
                        },
                        {"party": "411603", "capacity": "care", "confirmed_at": None, "confirmed_by": None},
                        {"party": "411600", "capacity": "clearing", "confirmed_at": None, "confirmed_by": None},
                        {"party": "411681", "capacity": "home", "confirmed_at": None, "confirmed_by": None},
                    ],
                    "clr_stas": "40",
                    "clr_stas_name": "审核完成",
                    "hops": [],
                    "dues": [_DUE],
                    "suspensions": [],
                    "history": [
                        {
                            "step": "match",
                            "party": "H41160300001",
                            "subject": "his-1",
                            "numbers_hash": HASH,
                            "at": "2026-11-02T01:00:00Z",
                        }
                    ],
                }
            ]
        }
    )

    clr_stas: str
    """The national code of where it stands (清算状态)."""
    clr_stas_name: str
    parties: list[PartyView]
    hops: list[HopView]
    dues: list[DueView]
    suspensions: list[SuspensionView]
    """When clocks of the case stood still, and stand still."""
    history: list[StepView]
    carried_in: int = 0
    """Bills that were booked in an earlier month and are cleared with this one: `/v1/cases/{case_id}/carried-bills`."""
    carried_out: int = 0
    """Bills that were booked here and are cleared with a later month."""

    @classmethod
    def of_all(
        cls,
        case: Case,
        order: OrderState | None,
        confirmed: Sequence[Confirmed],
        payments: Sequence[PaymentRow],
        dues: Sequence[DueView],
        history: Sequence[StepTaken],
        suspensions: Sequence[Suspension],
        carried: Mapping[str, str],
        paid: Mapping[int, HopPaid],
        carried_bills: tuple[int, int],
    ) -> CaseDetail:
        """The view of a case with everything that belongs to it."""
        by_party = {c.party: c for c in confirmed}
        by_hop = {p.hop_no: p for p in payments}
        return cls(
            **_case_fields(case),
            clr_stas=clr_stas(case, order),
            clr_stas_name=NAMES[clr_stas(case, order)],
            parties=[_party(case, party, by_party.get(party), carried.get(party)) for party in case.parties],
            hops=[HopView.of(hop, by_hop.get(hop.hop_no), paid.get(hop.hop_no)) for hop in case.hops],
            carried_in=carried_bills[0],
            carried_out=carried_bills[1],
            dues=list(dues),
            suspensions=[SuspensionView.of(suspension) for suspension in suspensions],
            history=[StepView.of(step) for step in history],
        )


def _party(case: Case, party: str, confirmed: Confirmed | None, stands_for: str | None) -> PartyView:
    capacities: dict[str, Literal["facility", "care", "clearing", "home"]] = {
        case.facility_code: "facility",
        case.care_region: "care",
        case.clearing_region: "clearing",
        case.home_region: "home",
    }
    return PartyView(
        party=party,
        capacity=capacities.get(party, "agency"),
        confirmed_at=None if confirmed is None else confirmed.confirmed_at,
        confirmed_by=None if confirmed is None else confirmed.confirmed_by,
        deemed=confirmed is not None and confirmed.confirmed_by is None,
        numbers_hash=None if confirmed is None else confirmed.numbers_hash,
        stands_for=stands_for,
    )


class ConfirmationBody(Body):
    """The numbers the party saw."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"numbers_hash": HASH}]})

    numbers_hash: Hash


class CaseConfirmationBody(ConfirmationBody):
    """A case and the numbers the party saw."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"case_id": CASE_ID, "numbers_hash": HASH}]})

    case_id: Id


def _distinct(items: list[CaseConfirmationBody]) -> list[CaseConfirmationBody]:
    if len({item.case_id for item in items}) < len(items):
        raise ValueError("a case must not be named twice")
    return items


class ConfirmationsBody(Body):
    """Many confirmations at once; each has its own result."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [{"case_id": CASE_ID, "numbers_hash": HASH}]}]})

    items: Annotated[list[CaseConfirmationBody], Field(min_length=1, max_length=500), AfterValidator(_distinct)]


class RefusalView(View):
    """One reason for saying no."""

    code: str
    detail: str

    @classmethod
    def of(cls, refusal: Refusal, language: str) -> RefusalView:
        """The view of a refusal."""
        return cls(code=refusal.code, detail=refusal.text(language))


class ConfirmationView(View):
    """A case after a confirmation, or why it was refused."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"case_id": CASE_ID, "state": "matched", "confirmed_by": ["H41160300001", "411603"], "errors": []}
            ]
        }
    )

    case_id: str
    state: str | None
    confirmed_by: list[str]
    errors: list[RefusalView]

    @classmethod
    def of(cls, case_id: str, outcome: Case | list[Refusal], language: str) -> ConfirmationView:
        """The view of one outcome."""
        if isinstance(outcome, Case):
            named = [party for party in outcome.parties if party in outcome.confirmed_by]
            return cls(case_id=case_id, state=outcome.state, confirmed_by=named, errors=[])
        errors = [RefusalView.of(refusal, language) for refusal in outcome]
        return cls(case_id=case_id, state=None, confirmed_by=[], errors=errors)


class ConfirmationsView(View):
    """The results, in the order of the items."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"items": [{"case_id": CASE_ID, "state": "confirmed", "confirmed_by": ["H41160300001"], "errors": []}]}
            ]
        }
    )

    items: list[ConfirmationView]
