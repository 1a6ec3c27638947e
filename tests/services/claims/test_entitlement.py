"""Who may be treated where: every reason against it, all of them at once, and the factor away from home."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from services.claims.config import PlanBook
from services.claims.rules.entitlement import Entitlement, check
from services.claims.rules.facts import AgreementFacts, FacilityFacts, Filing, PersonFacts, Span
from shared.refusals import Refusal
from shared.regions import RegionTree

REGIONS = RegionTree.load()
PLANS = PlanBook.load(REGIONS)
HUAIYANG, LUYI, CHUANHUI, ZHOUKOU, NANYANG, HENAN, CHIZHOU = (
    "411603",
    "411628",
    "411602",
    "411600",
    "411300",
    "410000",
    "341702",
)
DAY = date(2026, 10, 12)


def span(
    region: str = HUAIYANG,
    insutype: str = "390",
    psn_type: str = "15",
    valid_from: date = date(2026, 1, 1),
    valid_to: date | None = None,
) -> Span:
    return Span("P", insutype, psn_type, region, valid_from, valid_to)


def filing(
    kind: str = "referral",
    care_region: str = HUAIYANG,
    valid_from: date = date(2026, 10, 1),
    valid_to: date | None = None,
) -> Filing:
    return Filing("P", kind, care_region, valid_from, valid_to)


def person(*spans: Span, filings: tuple[Filing, ...] = ()) -> PersonFacts:
    return PersonFacts("P", spans or (span(),), filings)


def facility(region: str = HUAIYANG, *agreements: AgreementFacts) -> FacilityFacts:
    return FacilityFacts("H1", "hospital", "2", region, agreements or (agreement(),))


def agreement(*suspensions: tuple[date, date | None], since: date = date(2026, 1, 1)) -> AgreementFacts:
    return AgreementFacts(since, date(2026, 12, 31), suspensions)


def judged(
    who: PersonFacts | None,
    where: FacilityFacts | None,
    *,
    day: date = DAY,
    insutype: str | None = None,
    emergency: bool = False,
) -> Entitlement | list[Refusal]:
    return check(who, "H1", where, day, insutype, emergency=emergency, regions=REGIONS, find_plan=PLANS.find)


def codes(found: Entitlement | list[Refusal]) -> list[str]:
    assert isinstance(found, list)
    return [refusal.code.removeprefix("claims.") for refusal in found]


def test_at_home_with_everything_in_order() -> None:
    found = judged(person(), facility())
    assert isinstance(found, Entitlement)
    assert (found.plan.name, found.factor, found.pay_loc, found.retired) == (
        "zhoukou-residents-2026",
        Decimal(1),
        "2",
        False,
    )


LAST_YEAR = span(valid_from=date(2025, 1, 1), valid_to=date(2025, 12, 31))
REFUSALS = [
    ("person not registered", None, facility(), ["person-unknown"]),
    ("not insured that day", person(LAST_YEAR), facility(), ["not-insured"]),
    ("no insurance at all", PersonFacts("P", (), ()), facility(), ["not-insured"]),
    ("two insurances", person(span(), span(insutype="310")), facility(), ["insurance-ambiguous"]),
    ("facility not known", person(), None, ["facility-unknown"]),
    ("no agreement", person(), replace(facility(), agreements=()), ["facility-not-contracted"]),
    ("agreement later", person(), facility(HUAIYANG, agreement(since=date(2026, 11, 1))), ["facility-not-contracted"]),
    ("suspended", person(), facility(HUAIYANG, agreement((date(2026, 10, 1), None))), ["facility-suspended"]),
    ("no plan", person(span(insutype="510")), facility(), ["no-benefit-plan"]),
    ("abroad without filing, by policy", person(span(region="430100")), facility(), ["remote-without-filing"]),
    # everything at once
    ("neither person nor facility", None, None, ["facility-unknown", "person-unknown"]),
    (
        "suspended and not insured",
        person(LAST_YEAR),
        facility(HUAIYANG, agreement((date(2026, 10, 1), None))),
        ["facility-suspended", "not-insured"],
    ),
    (
        "not contracted and without filing",
        person(span(region="430100")),
        replace(facility(), agreements=()),
        ["facility-not-contracted", "remote-without-filing"],
    ),
]


@pytest.mark.parametrize(("case", "who", "where", "expected"), REFUSALS)
def test_every_reason_is_named(
    case: str, who: PersonFacts | None, where: FacilityFacts | None, expected: list[str]
) -> None:
    assert codes(judged(who, where)) == expected


@pytest.mark.parametrize(
    ("day", "suspended"),
    [
        (date(2026, 9, 30), False),
        (date(2026, 10, 1), True),
        (date(2026, 10, 31), True),
        (date(2026, 11, 1), False),
    ],
)
def test_first_and_last_day_of_a_suspension_are_suspended(day: date, suspended: bool) -> None:
    where = facility(HUAIYANG, agreement((date(2026, 10, 1), date(2026, 10, 31))))
    assert isinstance(judged(person(), where, day=day), list) is suspended


@pytest.mark.parametrize(
    ("day", "insured"),
    [
        (date(2025, 12, 31), False),
        (date(2026, 1, 1), True),
        (date(2026, 6, 30), True),
        (date(2026, 7, 1), False),
    ],
)
def test_first_and_last_day_of_a_span_are_insured(day: date, insured: bool) -> None:
    who = person(span(valid_to=date(2026, 6, 30)))
    where = facility(HUAIYANG, AgreementFacts(date(2020, 1, 1), date(2030, 1, 1), ()))
    assert isinstance(judged(who, where, day=day), Entitlement) is insured


def test_another_agreement_may_hold_while_one_is_suspended() -> None:
    where = facility(HUAIYANG, agreement((date(2026, 1, 1), None)), agreement())
    assert isinstance(judged(person(), where), Entitlement)


def test_naming_the_insurance_settles_which() -> None:
    who = person(span(), span(insutype="310", psn_type="1201"))
    found = judged(who, facility(), insutype="310")
    assert isinstance(found, Entitlement)
    assert (found.plan.name, found.retired) == ("zhoukou-employees-2026", True)
    assert codes(judged(who, facility(), insutype="510")) == ["not-insured"]


FACTORS = [
    # home, care, filings, emergency | factor, 支付地点
    ("at home", HUAIYANG, HUAIYANG, (), False, "1", "2"),
    ("insured with the city, treated in its county", ZHOUKOU, LUYI, (), False, "1", "6"),
    ("insured in a county, treated by the city", LUYI, ZHOUKOU, (), False, "0.60", "6"),
    ("in another county, unfiled", HUAIYANG, LUYI, (), False, "0.60", "6"),
    ("in another county, referred", HUAIYANG, LUYI, (filing(care_region=LUYI),), False, "0.85", "6"),
    ("filing for the whole city", HUAIYANG, LUYI, (filing(care_region=ZHOUKOU),), False, "0.85", "6"),
    ("filing for another county", HUAIYANG, LUYI, (filing(care_region=CHUANHUI),), False, "0.60", "6"),
    ("filing for a region nobody knows", HUAIYANG, LUYI, (filing(care_region="999999"),), False, "0.60", "6"),
    ("filing of an unknown kind", HUAIYANG, LUYI, (filing(kind="new", care_region=LUYI),), False, "0.60", "6"),
    ("settled after retirement", HUAIYANG, NANYANG, (filing("retired_settled", HENAN),), False, "1", "3"),
    ("the better of two", HUAIYANG, LUYI, (filing(care_region=LUYI), filing("posted_worker", LUYI)), False, "1", "6"),
    ("emergency counts as filed", HUAIYANG, CHIZHOU, (), True, "0.85", "4"),
    ("over", HUAIYANG, LUYI, (filing(care_region=LUYI, valid_to=date(2026, 10, 11)),), False, "0.60", "6"),
    ("its last day", HUAIYANG, LUYI, (filing(care_region=LUYI, valid_to=DAY),), False, "0.85", "6"),
    ("its first day", HUAIYANG, LUYI, (filing(care_region=LUYI, valid_from=DAY),), False, "0.85", "6"),
    ("not yet", HUAIYANG, LUYI, (filing(care_region=LUYI, valid_from=date(2026, 10, 13)),), False, "0.60", "6"),
    ("Chizhou lets its county people go in the city", "341723", CHIZHOU, (), False, "1", "6"),
]


@pytest.mark.parametrize(("case", "home", "care", "filings", "emergency", "factor", "pay_loc"), FACTORS)
def test_factor_away_from_home(
    case: str, home: str, care: str, filings: tuple[Filing, ...], emergency: bool, factor: str, pay_loc: str
) -> None:
    found = judged(person(span(region=home), filings=filings), facility(care), emergency=emergency)
    assert isinstance(found, Entitlement), found
    assert (found.factor, found.pay_loc) == (Decimal(factor), pay_loc)
