"""Who may be treated where and settled how: every reason against it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from services.claims import errors
from services.claims.rules import benefit
from services.claims.rules.facts import FacilityFacts, Filing, PersonFacts, Span
from services.claims.rules.visits import Kind
from shared.policy.book import Book
from shared.policy.decision import Facts
from shared.policy.undecidable import Undecidable
from shared.refusals import Refusal
from shared.regions import RegionTree

PAY_LOC: Mapping[str, str] = {"local": "2", "within_city": "6", "within_province": "3", "cross_province": "4"}
"""支付地点 by relation of care and home region."""

LOCAL, WITHIN_AREA, UNFILED, EMERGENCY = "本地", "统筹区内", "未备案", "急诊"

FILED: Mapping[str, str] = {
    "retired_settled": "长期备案",
    "long_term_resident": "长期备案",
    "posted_worker": "长期备案",
    "referral": "转诊",
}
"""The fact `remote` by kind of filing."""

BEST_FIRST = ("长期备案", "转诊", EMERGENCY)
"""Of several, the filing that counts: a long-term one is treated like care at home."""


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What was found: under which insurance, by which area's policy, with which facts the bill is settled."""

    span: Span
    facility: FacilityFacts
    areas: tuple[str, ...]
    """The home region and all above it: the nearest one with a policy pack decides."""
    facts: Facts
    pay_loc: str


def check(
    person: PersonFacts | None,
    facility_code: str,
    facility: FacilityFacts | None,
    day: date,
    insutype: str | None,
    *,
    kind: Kind,
    emergency: bool,
    regions: RegionTree,
    book: Book,
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
    if span.region not in regions:
        return [*wrong, errors.NO_PLAN(region=span.region, insutype=span.insutype)]
    remote = _remote(person, span, facility, day, emergency, regions)
    facts = benefit.facts_of(span, facility, kind, remote, emergency=emergency)
    areas = regions.ancestors(span.region)
    wrong += _check_policy(book, areas, facts, span, facility, day)
    if wrong:
        return wrong
    return Entitlement(span, facility, areas, facts, PAY_LOC[regions.relation(facility.region, span.region)])


def _check_policy(
    book: Book, areas: tuple[str, ...], facts: Facts, span: Span, facility: FacilityFacts, day: date
) -> list[Refusal]:
    try:
        policy = book.for_area(areas, day)
    except Undecidable as open_question:
        return [benefit.undecided(open_question)]
    no_plan = errors.NO_PLAN(region=span.region, insutype=span.insutype)
    if policy is None:
        return [no_plan]
    if facts["remote"] != UNFILED and span.insutype in benefit.SCHEME:
        return []
    # Whether a rare insurance is known, and whether care without filing is paid less or not at all, is the pack's word:
    # an empty bill asks for it.
    match benefit.stance(policy, benefit.bill_of(facility.code, day, day, facts, ())):
        case "silent":
            return [no_plan]
        case "refuses" if facts["remote"] == UNFILED:
            return [errors.NO_FILING(pointer="/person", home=span.region, care=facility.region, day=day.isoformat())]
    return []


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


def _remote(
    person: PersonFacts, span: Span, facility: FacilityFacts, day: date, emergency: bool, regions: RegionTree
) -> str:
    """The fact `remote`: at home, in the same pooling area, or away under the best of the person's filings."""
    relation = regions.relation(facility.region, span.region)
    # Who is insured with a city agency is at home in all its counties: there is nothing to file.
    if relation == "local" or regions.covers(span.region, facility.region):
        return LOCAL
    if relation == "within_city":
        return WITHIN_AREA
    filed = {FILED[f.kind] for f in person.filings if f.kind in FILED and _reaches(f, facility.region, day, regions)}
    if emergency:
        filed.add(EMERGENCY)
    return next((word for word in BEST_FIRST if word in filed), UNFILED)


def _reaches(filing: Filing, care_region: str, day: date, regions: RegionTree) -> bool:
    return filing.holds(day) and filing.care_region in regions and regions.covers(filing.care_region, care_region)
