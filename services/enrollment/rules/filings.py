"""Remote-care filings (异地就医备案): what they ask, who decides, how long they hold. Pure."""

from __future__ import annotations

import calendar
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from services.enrollment import errors
from shared import casework
from shared.casework import Case, Due, Matter, Paper
from shared.refusals import Refusal
from shared.regions import RegionTree
from shared.workdays import WorkCalendar


class Kind(StrEnum):
    """Why a person seeks care elsewhere: the four filings of 医保发〔2022〕22号."""

    RETIRED_SETTLED = "retired_settled"
    """异地安置退休."""
    LONG_TERM_RESIDENT = "long_term_resident"
    """异地长期居住."""
    POSTED_WORKER = "posted_worker"
    """常驻异地工作."""
    REFERRAL = "referral"
    """异地转诊: temporary, and the one a facility may apply for."""


class State(StrEnum):
    """Where a filing stands."""

    APPLIED = "applied"
    """A facility applied; an officer of the home agency decides."""
    APPROVED = "approved"
    """It holds on its days."""
    REFUSED = "refused"
    CANCELLED = "cancelled"
    """Withdrawn (撤销): it never counts again, not for past days either."""


class Step(StrEnum):
    """What is done to a filing after its application."""

    APPROVE = "approve"
    REFUSE = "refuse"
    CANCEL = "cancel"
    END = "end"
    """The person returned: it holds up to a day."""


TRANSITIONS: Mapping[tuple[State, Step], State] = {
    (State.APPLIED, Step.APPROVE): State.APPROVED,
    (State.APPLIED, Step.REFUSE): State.REFUSED,
    (State.APPLIED, Step.CANCEL): State.CANCELLED,
    (State.APPROVED, Step.CANCEL): State.CANCELLED,
    (State.APPROVED, Step.END): State.APPROVED,
}
"""Every step that is possible; all others are refused."""

REVIEW = "review"
"""The one step of the casework: an officer of the home agency decides."""

_CERTIFICATE = Paper(
    "identity_card", "身份证件或社会保障卡", "identity or social security card", frozenset({"insurance_card"})
)
_FORM = Paper("filing_form", "异地就医备案表", "filing form")


def _matter(kind: Kind, title_zh: str, title_en: str, proof: Paper) -> Matter:
    """A filing's papers are those of 医保发〔2022〕22号 Art. 8: certificate, form, proof (or a written promise)."""
    decisions = {Step.APPROVE.value: State.APPROVED.value, Step.REFUSE.value: State.REFUSED.value}
    review = casework.Step(REVIEW, frozenset({"officer"}), decisions)
    return Matter(kind, title_zh, title_en, (_CERTIFICATE, _FORM, proof), (review,), clock_working_days=0)


_PROMISE = frozenset({"written_promise"})

MATTERS: Mapping[Kind, Matter] = {
    Kind.RETIRED_SETTLED: _matter(
        Kind.RETIRED_SETTLED,
        "异地安置退休人员备案",
        "filing of a retired person settled elsewhere",
        Paper("settlement_proof", "异地安置认定材料（或承诺书）", "proof of settlement, or a promise", _PROMISE),
    ),
    Kind.LONG_TERM_RESIDENT: _matter(
        Kind.LONG_TERM_RESIDENT,
        "异地长期居住人员备案",
        "filing of a long-term resident elsewhere",
        Paper("residence_proof", "长期居住认定材料（或承诺书）", "proof of residence, or a promise", _PROMISE),
    ),
    Kind.POSTED_WORKER: _matter(
        Kind.POSTED_WORKER,
        "常驻异地工作人员备案",
        "filing of a person posted elsewhere",
        Paper(
            "employer_proof",
            "单位派出证明、劳动合同或承诺书之一",
            "employer's proof, work contract, or a promise",
            frozenset({"work_contract", *_PROMISE}),
        ),
    ),
    Kind.REFERRAL: _matter(
        Kind.REFERRAL, "异地转诊人员备案", "referral filing", Paper("referral_proof", "转诊证明", "referral proof")
    ),
}
"""What each kind asks. All are decided at once (即时办结, S2)."""


@dataclass(frozen=True, slots=True)
class Application:
    """A filing as it is asked for."""

    person_id: str
    kind: Kind
    care_region: str
    valid_from: date
    valid_to: date | None
    papers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Act:
    """Who did what to a filing, when and why. Its fields are the columns of the table."""

    step: str
    """A `Step`, or "apply", the first act."""
    actor: str
    role: str
    day: date | None
    """The day the step takes effect, where it has one."""
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Filing:
    """A remote-care filing. Its fields are the columns of the table."""

    filing_id: str
    person_id: str
    kind: Kind
    home_region: str
    care_region: str
    """Where care may be sought, the regions below it included."""
    valid_from: date
    valid_to: date | None
    state: State
    asker: str
    """Who asks: the person at the counter, by number, or the system of the facility that applied."""
    facility_code: str | None
    """The facility that applied for the referral; None when an officer registered it."""
    papers: frozenset[str]
    opened_at: datetime
    decided_by: str | None
    revision: int

    @property
    def case(self) -> Case:
        """The filing as casework sees it."""
        waiting = self.state is State.APPLIED
        return Case(
            case_id=self.filing_id,
            matter=self.kind,
            asker=self.asker,
            opened_at=self.opened_at,
            step=REVIEW if waiting else None,
            outcome=None if waiting else self.state,
            papers=self.papers,
        )


def check_application(asked: Application, home: str | None, regions: RegionTree, *, by_facility: bool) -> list[Refusal]:
    """Everything that speaks against an application; `home` is where the person is insured on its first day."""
    wrong: list[Refusal] = []
    if by_facility and asked.kind is not Kind.REFERRAL:
        wrong.append(errors.KIND_NOT_FOR_FACILITY(pointer="/kind"))
    if home is None:
        wrong.append(errors.NOT_INSURED(pointer="/valid_from", day=asked.valid_from.isoformat()))
    if asked.care_region not in regions:
        wrong.append(errors.REGION_UNKNOWN(pointer="/care_region", region=asked.care_region))
    elif home is not None and regions.covers(home, asked.care_region):
        wrong.append(errors.CARE_AT_HOME(pointer="/care_region", region=asked.care_region))
    if asked.valid_to is not None and asked.valid_to < asked.valid_from:
        wrong.append(errors.PERIOD_REVERSED(pointer="/valid_from"))
    return wrong + _missing_papers(MATTERS[asked.kind], asked.papers)


def _missing_papers(matter: Matter, given: Collection[str]) -> list[Refusal]:
    unknown = sorted(frozenset(given) - matter.paper_codes)
    missing = casework.missing_papers(matter, given)
    return [
        *(casework.PAPER_UNKNOWN(pointer="/papers", paper=code) for code in unknown),
        *(
            casework.PAPER_MISSING(pointer="/papers", paper=p.code, paper_zh=p.title_zh, paper_en=p.title_en)
            for p in missing
        ),
    ]


def last_day(asked: Application, referral_months: int) -> date | None:
    """The last day of a filing: as asked; else some months for a referral, and open for those who live elsewhere."""
    if asked.valid_to is not None or asked.kind is not Kind.REFERRAL:
        return asked.valid_to
    return _months_later(asked.valid_from, referral_months)


def _months_later(day: date, months: int) -> date:
    """The same day of a later month, or that month's last."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def take_step(filing: Filing, act: Act) -> Filing | list[Refusal]:
    """The filing after a step, or everything that speaks against it. The day of an end is the last one."""
    step = Step(act.step)
    wrong = _objections(filing, step, act)
    if wrong:
        return wrong
    changed = replace(filing, state=TRANSITIONS[filing.state, step], revision=filing.revision + 1)
    match step:
        case Step.APPROVE | Step.REFUSE:
            return replace(changed, decided_by=act.actor)
        case Step.END:
            return replace(changed, valid_to=act.day)
    return changed


def _objections(filing: Filing, step: Step, act: Act) -> list[Refusal]:
    if step in (Step.APPROVE, Step.REFUSE):
        attempt = casework.Act(REVIEW, act.actor, act.role, step, act.reason, act.at, None)
        return list(casework.objections(MATTERS[filing.kind], filing.case, attempt))
    wrong = []
    if (filing.state, step) not in TRANSITIONS:
        wrong.append(errors.STEP_NOT_ALLOWED(state=filing.state, step=step))
    last = filing.valid_to or date.max
    if act.day is not None and not filing.valid_from <= act.day <= last:
        days = {"day": act.day.isoformat(), "first": filing.valid_from.isoformat(), "last": last.isoformat()}
        wrong.append(errors.DAY_OUTSIDE(pointer="/last_day", **days))
    return wrong


def due(filing: Filing, now: datetime, calendar_: WorkCalendar) -> Due | None:
    """By when the home agency decides; None once it has."""
    return casework.due(MATTERS[filing.kind], filing.case, now, calendar_) if filing.state is State.APPLIED else None
