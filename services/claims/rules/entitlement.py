"""Who may be treated where and settled how: every reason against it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.claims import errors
from services.claims.rules.benefit import Plan
from services.claims.rules.facts import FacilityFacts, Filing, PersonFacts, Span
from shared.refusals import Refusal
from shared.regions import RegionTree

RETIRED = "12"
"""First digits of 人员类别 of the retired."""

PAY_LOC: Mapping[str, str] = {"local": "2", "within_city": "6", "within_province": "3", "cross_province": "4"}
"""支付地点 by relation of care and home region."""

FindPlan = Callable[[str, str], Plan | None]
"""(home region, insutype) → the plan that holds there."""


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What was found: under which insurance, by which plan, with which factor the bill is settled."""

    span: Span
    facility: FacilityFacts
    plan: Plan
    factor: Decimal
    pay_loc: str

    @property
    def retired(self) -> bool:
        """Whether the person counts as retired."""
        return self.span.psn_type.startswith(RETIRED)


def check(
    person: PersonFacts | None,
    facility_code: str,
    facility: FacilityFacts | None,
    day: date,
    insutype: str | None,
    *,
    emergency: bool,
    regions: RegionTree,
    find_plan: FindPlan,
) -> Entitlement | list[Refusal]:
    """The entitlement on the day the visit began, or every reason why there is none.

    The day of admission decides about insurance, agreement and filing (a stay that began in order is settled in order).
    """
    wrong = _check_facility(facility_code, facility, day)
    span: Span | None = None
    if person is None:
        wrong.append(errors.PERSON_UNKNOWN(pointer="/person"))
    else:
        found = _choose_span(person, day, insutype)
        span = found if isinstance(found, Span) else None
        wrong += [] if isinstance(found, Span) else [found]
    if person is None or facility is None or span is None:
        return wrong
    plan = find_plan(span.region, span.insutype)
    if plan is None:
        return [*wrong, errors.NO_PLAN(region=span.region, insutype=span.insutype)]
    factor = _remote_factor(plan, person, span, facility, day, emergency, regions)
    if isinstance(factor, Refusal):
        wrong.append(factor)
    elif not wrong:
        return Entitlement(span, facility, plan, factor, PAY_LOC[regions.relation(facility.region, span.region)])
    return wrong


def _check_facility(code: str, facility: FacilityFacts | None, day: date) -> list[Refusal]:
    if facility is None:
        return [errors.FACILITY_UNKNOWN(facility=code)]
    holding = [a for a in facility.agreements if a.covers(day)]
    if not holding:
        return [errors.NOT_CONTRACTED(facility=code, day=day.isoformat())]
    if all(a.suspended(day) for a in holding):
        return [errors.FACILITY_SUSPENDED(facility=code, day=day.isoformat())]
    return []


def _choose_span(person: PersonFacts, day: date, insutype: str | None) -> Span | Refusal:
    holding = [s for s in person.spans if s.holds(day) and insutype in (None, s.insutype)]
    if not holding:
        return errors.NOT_INSURED(pointer="/person", day=day.isoformat())
    if len(holding) > 1:
        choices = ", ".join(sorted(s.insutype for s in holding))
        return errors.INSURANCE_AMBIGUOUS(pointer="/insutype", day=day.isoformat(), choices=choices)
    return holding[0]


def _remote_factor(
    plan: Plan,
    person: PersonFacts,
    span: Span,
    facility: FacilityFacts,
    day: date,
    emergency: bool,
    regions: RegionTree,
) -> Decimal | Refusal:
    """What the ratio is multiplied by away from home: the best the person's filings give."""
    # Who is insured with a city agency is at home in all its counties: there is nothing to file.
    at_home = regions.covers(span.region, facility.region)
    if at_home or regions.relation(facility.region, span.region) in plan.filing_free:
        return Decimal(1)
    kinds = [f.kind for f in person.filings if _reaches(f, facility.region, day, regions)]
    factors = [
        plan.remote_factor[k] for k in (*kinds, *(["emergency"] if emergency else [])) if k in plan.remote_factor
    ]
    if factors:
        return max(factors)
    if plan.unfiled_factor is not None:
        return plan.unfiled_factor
    return errors.NO_FILING(pointer="/person", home=span.region, care=facility.region, day=day.isoformat())


def _reaches(filing: Filing, care_region: str, day: date, regions: RegionTree) -> bool:
    return filing.holds(day) and filing.care_region in regions and regions.covers(filing.care_region, care_region)
