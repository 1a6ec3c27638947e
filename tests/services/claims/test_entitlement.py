"""Who may be treated where: every reason against it, all of them at once, and how care away from home counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest

from services.claims.config import ClaimsSettings
from services.claims.rules.entitlement import Entitlement, check
from services.claims.rules.facts import AgreementFacts, FacilityFacts, Filing, PersonFacts, Span
from services.claims.rules.visits import Kind
from services.claims.use_cases.policies import shipped
from shared.policy.book import Book
from shared.policy.engine import Policy
from shared.refusals import Refusal
from shared.regions import RegionTree

REGIONS = RegionTree.load()
PACKS = shipped(ClaimsSettings())
HUAIYANG, LUYI, ZHOUKOU, NANYANG, HENAN = "411603", "411628", "411600", "411300", "410000"
CHIZHOU, CHANGSHA = "341702", "430100"
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
    kind: Kind = Kind.INPATIENT,
    emergency: bool = False,
    packs: Sequence[Policy] = PACKS,
) -> Entitlement | list[Refusal]:
    return check(who, "H1", where, day, insutype, kind=kind, emergency=emergency, regions=REGIONS, book=Book(packs))


def codes(found: Entitlement | list[Refusal]) -> list[str]:
    assert isinstance(found, list)
    return [refusal.code.removeprefix("claims.") for refusal in found]


def test_at_home_with_everything_in_order() -> None:
    found = judged(person(), facility())
    assert isinstance(found, Entitlement)
    assert (found.areas, found.pay_loc) == ((HUAIYANG, ZHOUKOU, HENAN, "100000"), "2")
    assert found.facts == {
        "scheme": "居民",
        "group": "居民",
        "care": "住院",
        "level": "二级",
        "facility_kind": "hospital",
        "remote": "本地",
        "emergency": False,
    }


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
    assert (found.facts["scheme"], found.facts["group"]) == ("职工", "退休")
    assert codes(judged(who, facility(), insutype="510")) == ["not-insured"]


REMOTE = [
    # home, care, filings, emergency | the fact, 支付地点
    ("at home", HUAIYANG, HUAIYANG, (), False, "本地", "2"),
    ("at home, with a filing for it", HUAIYANG, HUAIYANG, (filing(),), True, "本地", "2"),
    ("insured with the city, treated in its county", ZHOUKOU, LUYI, (), False, "本地", "6"),
    ("insured in a county, treated by the city", LUYI, ZHOUKOU, (), False, "统筹区内", "6"),
    ("in another county of the city", HUAIYANG, LUYI, (), False, "统筹区内", "6"),
    ("in another county, referred", HUAIYANG, LUYI, (filing(care_region=LUYI),), False, "统筹区内", "6"),
    ("in another city, unfiled", HUAIYANG, NANYANG, (), False, "未备案", "3"),
    ("in another city, referred", HUAIYANG, NANYANG, (filing(care_region=NANYANG),), False, "转诊", "3"),
    ("in a county of the city filed for", HUAIYANG, "411302", (filing(care_region=NANYANG),), False, "转诊", "3"),
    ("filing for the whole province", HUAIYANG, NANYANG, (filing(care_region=HENAN),), False, "转诊", "3"),
    ("filing for another city", HUAIYANG, NANYANG, (filing(care_region=CHIZHOU),), False, "未备案", "3"),
    ("filing for a region nobody knows", HUAIYANG, NANYANG, (filing(care_region="999999"),), False, "未备案", "3"),
    ("filing of an unknown kind", HUAIYANG, NANYANG, (filing(kind="new", care_region=HENAN),), False, "未备案", "3"),
    ("settled after retirement", HUAIYANG, NANYANG, (filing("retired_settled", HENAN),), False, "长期备案", "3"),
    ("living elsewhere", HUAIYANG, NANYANG, (filing("long_term_resident", HENAN),), False, "长期备案", "3"),
    ("posted elsewhere", HUAIYANG, NANYANG, (filing("posted_worker", HENAN),), False, "长期备案", "3"),
    (
        "the better of two",
        HUAIYANG,
        NANYANG,
        (filing(care_region=NANYANG), filing("posted_worker", NANYANG)),
        False,
        "长期备案",
        "3",
    ),
    ("emergency without filing", HUAIYANG, CHIZHOU, (), True, "急诊", "4"),
    ("emergency, referred", HUAIYANG, CHIZHOU, (filing(care_region=CHIZHOU),), True, "转诊", "4"),
    ("over", HUAIYANG, NANYANG, (filing(care_region=HENAN, valid_to=date(2026, 10, 11)),), False, "未备案", "3"),
    ("its last day", HUAIYANG, NANYANG, (filing(care_region=HENAN, valid_to=DAY),), False, "转诊", "3"),
    ("its first day", HUAIYANG, NANYANG, (filing(care_region=HENAN, valid_from=DAY),), False, "转诊", "3"),
    ("not yet", HUAIYANG, NANYANG, (filing(care_region=HENAN, valid_from=date(2026, 10, 13)),), False, "未备案", "3"),
    ("in another province", "341723", HUAIYANG, (), False, "未备案", "4"),
]


@pytest.mark.parametrize(("case", "home", "care", "filings", "emergency", "remote", "pay_loc"), REMOTE)
def test_how_care_away_from_home_counts(
    case: str, home: str, care: str, filings: tuple[Filing, ...], emergency: bool, remote: str, pay_loc: str
) -> None:
    found = judged(person(span(region=home), filings=filings), facility(care), emergency=emergency)
    assert isinstance(found, Entitlement), found
    assert (found.facts["remote"], found.facts["emergency"], found.pay_loc) == (remote, emergency, pay_loc)


# Whether there is a policy at all


@pytest.mark.parametrize("region", ["999999", "411603"])
def test_without_a_pack_nobody_is_entitled(region: str) -> None:
    packs = PACKS if region == "999999" else [p for p in PACKS if p.document.pack == "chizhou"]
    assert codes(judged(person(span(region=region)), facility(HUAIYANG), packs=packs)) == ["no-benefit-plan"]


def test_a_pack_that_begins_later_is_none_yet() -> None:
    day = min(policy.document.valid.from_ for policy in PACKS) - timedelta(days=1)
    who = person(span(valid_from=date(2000, 1, 1)))
    where = facility(HUAIYANG, AgreementFacts(date(2000, 1, 1), date(2030, 1, 1), ()))
    assert codes(judged(who, where, day=day)) == ["no-benefit-plan"]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("home", "filed_first"), [(CHANGSHA, True), (HUAIYANG, False)])
def test_whether_one_must_file_first_is_the_packs_word(home: str, filed_first: bool, kind: Kind) -> None:
    """The national default refuses care elsewhere without a filing, Zhoukou pays less for it."""
    found = judged(person(span(region=home)), facility(NANYANG), kind=kind)
    if filed_first:
        assert codes(found) == ["remote-without-filing"]
    else:
        assert isinstance(found, Entitlement)
        assert found.facts["remote"] == "未备案"


def test_two_packs_of_one_area_leave_the_bill_undecided() -> None:
    """They cannot come about by the interface; whoever puts them into the folder is told at every bill."""
    zhoukou = next(policy for policy in PACKS if policy.document.pack == "zhoukou")
    twin = Policy(zhoukou.document.model_copy(update={"pack": "twin"}))
    found = judged(person(), facility(), packs=[*PACKS, twin])
    assert codes(found) == ["policy-undecided"]
    assert isinstance(found, list)
    assert found[0].params["code"] == "policy.two-rules"
