"""Our facts in the words of the packs, and a decision in the amounts of a settlement."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.claims.config import ClaimsSettings
from services.claims.rules import benefit
from services.claims.rules.benefit import YearBook
from services.claims.rules.facts import FacilityFacts, Span
from services.claims.rules.lines import FeeLine
from services.claims.rules.visits import Kind
from services.claims.use_cases.policies import shipped
from shared.policy.book import Book
from shared.policy.decision import PARTS, Bill, Decision, LayerResult, Slice
from shared.policy.working import recompute
from shared.refusals import Refusal

PACKS = {policy.document.pack: policy for policy in shipped(ClaimsSettings())}
BOOK = Book(PACKS.values())
ZHOUKOU, CHIZHOU, ELSEWHERE = ("411603", "411600"), ("341702", "341700"), ("430102", "430100", "430000", "100000")
BEGAN, ENDED = date(2026, 3, 1), date(2026, 3, 9)


def span(insutype: str = "390", psn_type: str = "15") -> Span:
    return Span("P", insutype, psn_type, "411603", date(2026, 1, 1), None)


def facility(level: str = "2", kind: str = "hospital") -> FacilityFacts:
    return FacilityFacts("H1", kind, level, "411603", ())


def line(no: str, amount_fen: int, item_class: str = "01", at: datetime | None = None) -> FeeLine:
    moment = at or datetime(2026, 3, 2, 4, tzinfo=UTC)
    return FeeLine(no, "ITEM", item_class, moment, Decimal(1), Decimal(amount_fen) / 100, amount_fen, None)


# Facts


@pytest.mark.parametrize(
    ("insutype", "psn_type", "scheme", "group"),
    [
        ("310", "11", "职工", "在职"),
        ("310", "1101", "职工", "在职"),
        ("310", "12", "职工", "退休"),
        ("310", "1201", "职工", "退休"),
        ("310", "1300", "职工", "在职"),
        ("390", "15", "居民", "居民"),
        ("390", "14", "居民", "居民"),
        ("390", "12", "居民", "居民"),  # who is insured as a resident has no pension of ours
        ("510", "11", "510", "居民"),  # an insurance without a word of its own keeps its code
    ],
)
def test_scheme_and_group(insutype: str, psn_type: str, scheme: str, group: str) -> None:
    facts = benefit.facts_of(span(insutype, psn_type), facility(), Kind.INPATIENT, "本地", emergency=False)
    assert (facts["scheme"], facts["group"]) == (scheme, group)


@pytest.mark.parametrize(
    ("level", "word"),
    [("1", "一级"), ("2", "二级"), ("3", "三级"), ("9", "未定级"), ("", "未定级"), ("三级", "未定级")],
)
def test_level(level: str, word: str) -> None:
    facts = benefit.facts_of(span(), facility(level), Kind.INPATIENT, "本地", emergency=False)
    assert facts["level"] == word


@pytest.mark.parametrize(
    ("kind", "care"), [(Kind.INPATIENT, "住院"), (Kind.OUTPATIENT, "门诊"), (Kind.PHARMACY, "购药")]
)
@pytest.mark.parametrize("emergency", [True, False])
def test_the_rest_is_told_as_it_is(kind: Kind, care: str, emergency: bool) -> None:
    facts = benefit.facts_of(span(), facility(kind="drugstore"), kind, "转诊", emergency=emergency)
    assert (facts["care"], facts["remote"], facts["emergency"]) == (care, "转诊", emergency)
    assert facts["facility_kind"] == "drugstore"


def test_every_word_is_one_the_shipped_packs_know() -> None:
    said: dict[str, set[Any]] = {}
    for insutype in benefit.SCHEME:
        for psn_type in ("11", "12", "15"):
            for level in ("", *benefit.LEVEL):
                for kind in Kind:
                    facts = benefit.facts_of(span(insutype, psn_type), facility(level), kind, "本地", emergency=False)
                    for name, word in facts.items():
                        said.setdefault(name, set()).add(word)
    for policy in PACKS.values():
        for name in ("scheme", "group", "care", "level"):
            assert said[name] <= set(policy.document.facts[name].words or ()), f"{policy.document.pack}: {name}"
        assert set(benefit.ITEM_CLASS.values()) <= set(policy.document.facts["class"].words or ())


@pytest.mark.parametrize(
    ("item_class", "word"), [("01", "甲"), ("02", "乙"), ("03", "丙"), ("04", "丙"), ("1", "丙"), ("甲", "丙")]
)
def test_class_of_a_line(item_class: str, word: str) -> None:
    bill = benefit.bill_of("H1", BEGAN, ENDED, {}, [line("1", 100, item_class)])
    assert bill.lines[0].facts == {"class": word}


def test_a_line_is_of_its_day_in_china() -> None:
    late = datetime(2026, 3, 1, 17, tzinfo=UTC)  # one o'clock of the second
    bill = benefit.bill_of(
        "H1", BEGAN, ENDED, {}, [line("1", 100, at=late), line("2", 200, at=late - timedelta(hours=2))]
    )
    assert [one.day for one in bill.lines] == [date(2026, 3, 2), BEGAN]
    assert [(one.no, one.amount_fen, one.quantity) for one in bill.lines] == [
        ("1", 100, Decimal(1)),
        ("2", 200, Decimal(1)),
    ]
    one_day = benefit.bill_of("H1", BEGAN, BEGAN, {}, [line("1", 100)])
    assert (one_day.facility, one_day.begins_on, one_day.ends_on, one_day.lines[0].day) == ("H1", BEGAN, BEGAN, BEGAN)


# Decisions


def decided(
    areas: tuple[str, ...], lines: list[FeeLine], used: Mapping[str, int] | None = None, **facts: Any
) -> Decision | Refusal:
    told = {
        "scheme": "居民",
        "group": "居民",
        "care": "住院",
        "level": "三级",
        "facility_kind": "hospital",
        "remote": "本地",
        "emergency": False,
        **facts,
    }
    return benefit.decide(BOOK, areas, benefit.bill_of("H1", BEGAN, ENDED, told, lines), used or {})


def paid(areas: tuple[str, ...], lines: list[FeeLine], **facts: Any) -> dict[str, Any]:
    decision = decided(areas, lines, **facts)
    assert isinstance(decision, Decision), decision
    return benefit.amounts_of(decision)


def test_a_bill_of_two_funds() -> None:
    """(201000 - 1000) x 65 % = 130000; of the 71000 left (50000 - 15000) x 60 % and 21000 x 70 % from serious illness;
    2000 of class B pre-pay 200; 400 of class C.
    """
    lines = [line("1", 19_920_000), line("2", 200_000, "02"), line("3", 40_000, "03")]
    assert paid(ZHOUKOU, lines) == {
        "policy": "zhoukou@2026.1",
        "benefit": "residents-inpatient",
        "shares": json.dumps({"390100": 13_000_000, "390200": 3_570_000}),
        "ratio": Decimal("0.650000"),
        "total_fen": 20_160_000,
        "fund_fen": 16_570_000,
        "person_fen": 3_590_000,
        "account_fen": 0,
        "cash_fen": 3_590_000,
        "hospital_fen": 0,
        "own_fen": 40_000,
        "over_ceiling_fen": 0,
        "prepay_fen": 20_000,
        "in_scope_fen": 20_100_000,
        "deductible_fen": 100_000,
        "by_ratio_fen": 3_430_000,
        "over_cap_fen": 0,
        "relieved_fen": 0,
    }


def test_the_nearest_pack_decides() -> None:
    lines = [line("1", 1_080_000)]
    by_area = {areas[0]: paid(areas, lines) for areas in (ZHOUKOU, CHIZHOU, ELSEWHERE)}
    assert {area: (paid_["policy"].partition("@")[0], paid_["fund_fen"]) for area, paid_ in by_area.items()} == {
        "411603": ("zhoukou", 637_000),  # (10800 - 1000) x 65 %
        "341702": ("chizhou", 700_000),  # (10800 - 800) x 70 %
        "430102": ("national", 588_000),  # (10800 - 1000) x 60 %
    }


def test_a_ratio_over_bands_is_their_mean() -> None:
    """The share of a first layer with bands, to six places."""
    slices = (Slice(1, 10_000, Fraction(1, 2), 5_000), Slice(2, 20_000, Fraction(4, 5), 16_000))
    assert benefit.pool_ratio(with_layers(slices)) == Decimal("0.700000")
    assert benefit.pool_ratio(with_layers(slices[:1])) == Decimal("0.500000")
    thirds = (Slice(1, 30_000, Fraction(1, 3), 10_000),)
    assert benefit.pool_ratio(with_layers(thirds)) == Decimal("0.333333")
    assert benefit.pool_ratio(with_layers(())) == 0


def with_layers(slices: tuple[Slice, ...]) -> Decision:
    expense_fen = sum(one.expense_fen for one in slices)
    fund_fen = sum(one.share_fen for one in slices)
    layer = LayerResult("pool", "310100", "now", None, expense_fen, 0, 0, expense_fen, slices, fund_fen, 0, 0)
    return decision_of(layers=(layer,))


def decision_of(**fields: Any) -> Decision:
    """A decision of which only some fields count."""
    empty: dict[str, Any] = dict.fromkeys(Decision.__dataclass_fields__, 0)
    empty |= {"parts_fen": dict.fromkeys(PARTS, 0), "layers": ()}
    return Decision(**{**empty, **fields})


def test_funds_of_several_layers_are_added_and_those_that_pay_later_left_out() -> None:
    def layer(name: str, fund: str, pays: str, fund_fen: int) -> LayerResult:
        return LayerResult(name, fund, pays, None, 0, 0, 0, 0, (), fund_fen, 0, 0)

    layers = (layer("a", "310100", "now", 5), layer("b", "330100", "later", 7), layer("c", "310100", "now", 2))
    assert benefit.shares_of(decision_of(layers=layers)) == {"310100": 7}


def test_what_funds_pay_outside_the_scope_is_relieved() -> None:
    parts = {**dict.fromkeys(PARTS, 0), "own": 60, "over_ceiling": 5, "prepay": 10}
    decision = decision_of(own_fen=100, over_ceiling_fen=5, prepay_fen=20, parts_fen=parts)
    assert benefit.relieved_fen(decision) == 50


def test_family_money_is_account_money() -> None:
    decision = decision_of(account_fen=30, family_fen=12, cash_fen=8)
    amounts = benefit.amounts_of(decision)
    assert (amounts["account_fen"], amounts["cash_fen"], amounts["person_fen"]) == (42, 8, 50)


AMOUNTS = st.integers(min_value=1, max_value=30_000_000)
BILLS = st.lists(st.tuples(AMOUNTS, st.sampled_from(["01", "02", "03", "07"])), min_size=1, max_size=12)
FACTS = st.fixed_dictionaries(
    {
        "scheme": st.sampled_from(["职工", "居民"]),
        "group": st.sampled_from(["在职", "退休", "居民"]),
        "care": st.sampled_from(["住院", "门诊", "购药"]),
        "level": st.sampled_from(["一级", "二级", "三级", "未定级"]),
        "remote": st.sampled_from(["本地", "统筹区内", "长期备案", "转诊", "急诊"]),
    }
)


@given(st.sampled_from([ZHOUKOU, CHIZHOU, ELSEWHERE]), BILLS, FACTS, st.lists(BILLS, max_size=3))
@settings(deadline=None)
def test_every_fen_of_a_settlement_is_somewhere(
    areas: tuple[str, ...],
    bill: list[tuple[int, str]],
    facts: dict[str, Any],
    before: list[list[tuple[int, str]]],
) -> None:
    """What `tables.Settlement` asks of a row, also late in the year."""
    book = YearBook()
    for earlier in [*before, bill]:
        lines = [line(str(no), fen, item_class) for no, (fen, item_class) in enumerate(earlier)]
        decision = decided(areas, lines, book.used, **facts)
        assert isinstance(decision, Decision), decision
        book = book.after(decision.changes, ENDED)
        a = benefit.amounts_of(decision)
        assert a["total_fen"] == sum(fen for fen, _ in earlier)
        assert a["total_fen"] == a["fund_fen"] + a["person_fen"] + a["hospital_fen"]
        assert a["person_fen"] == a["account_fen"] + a["cash_fen"]
        assert a["total_fen"] == a["own_fen"] + a["over_ceiling_fen"] + a["prepay_fen"] + a["in_scope_fen"]
        assert a["in_scope_fen"] + a["relieved_fen"] == sum(
            a[name] for name in ("deductible_fen", "fund_fen", "hospital_fen", "by_ratio_fen", "over_cap_fen")
        )
        assert sum(json.loads(a["shares"]).values()) == a["fund_fen"]
        assert min(value for name, value in a.items() if name.endswith("_fen")) >= 0
        assert min(book.used.values(), default=0) >= 0
        assert 0 <= a["ratio"] <= 1


def test_what_a_pack_does_not_pay_is_refused_with_its_reason() -> None:
    refused = decided(ELSEWHERE, [line("1", 100)], remote="未备案")
    assert isinstance(refused, Refusal)
    assert refused.code == "claims.not-covered"
    assert "未办理异地就医备案" in refused.text("zh")
    assert "No remote-care filing" in refused.text("en")


@pytest.mark.parametrize(
    ("areas", "facts", "code"),
    [
        (("411300",), {}, "policy.no-pack"),
        (ZHOUKOU, {"scheme": "510"}, "policy.no-benefit"),
        (ZHOUKOU, {"level": "四级"}, "policy.no-value"),
    ],
)
def test_what_no_pack_decides_is_refused_and_never_guessed(
    areas: tuple[str, ...], facts: dict[str, Any], code: str
) -> None:
    refused = decided(areas, [line("1", 1_000_000)], **facts)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.params["code"]) == ("claims.policy-undecided", code)


@pytest.mark.parametrize(
    ("pack", "facts", "stance"),
    [
        ("zhoukou", {}, "covers"),
        ("zhoukou", {"remote": "未备案"}, "covers"),
        ("national", {"remote": "未备案"}, "refuses"),
        ("zhoukou", {"scheme": "510"}, "silent"),
        # What a pack cannot decide for another reason is told with the bill itself.
        ("zhoukou", {"level": "四级"}, "covers"),
    ],
)
def test_what_a_pack_says_before_there_is_a_bill(pack: str, facts: dict[str, str], stance: str) -> None:
    told = {"scheme": "居民", "group": "居民", "care": "住院", "level": "三级", "remote": "本地", **facts}
    assert benefit.stance(PACKS[pack], Bill("H1", BEGAN, BEGAN, told, ())) == stance


# Counters

NAMES = st.sampled_from(["admissions@2026", "fund@2026", "fund@2027", "deductible@2026/H1"])
USED = st.dictionaries(NAMES, st.integers(min_value=1, max_value=10**9))
CHANGES = st.dictionaries(NAMES, st.integers(min_value=0, max_value=10**9))
DAYS = st.dates(date(2025, 1, 1), date(2027, 12, 31))


@given(USED, CHANGES, DAYS)
def test_a_reversal_restores_exactly(used: dict[str, int], changes: dict[str, int], day: date) -> None:
    assert YearBook(used, BEGAN).after(changes, day).without(changes).used == used


@given(USED, st.lists(CHANGES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_bills_may_be_reversed_in_any_order(used: dict[str, int], bills: list[dict[str, int]], random: Any) -> None:
    book = YearBook(used)
    for changes in bills:
        book = book.after(changes, BEGAN)
    for changes in cast("list[dict[str, int]]", random.sample(bills, len(bills))):
        book = book.without(changes)
        assert min(book.used.values(), default=0) >= 0
    assert book.used == used


@given(USED, CHANGES)
def test_a_bill_adds_what_it_took_and_touches_nothing_else(used: dict[str, int], changes: dict[str, int]) -> None:
    after = YearBook(used).after(changes, BEGAN).used
    assert {name: after.get(name, 0) - used.get(name, 0) for name in {*used, *changes}} == {
        name: changes.get(name, 0) for name in {*used, *changes}
    }
    assert 0 not in after.values()


@given(st.lists(DAYS, min_size=1, max_size=5))
def test_the_newest_bill_is_known_whatever_their_order(days: list[date]) -> None:
    book = YearBook()
    for day in days:
        book = book.after({}, day)
    assert book.newest_on == max(days)
    assert book.without({}).newest_on == max(days)


# The record


def test_the_record_is_stored_and_read_back_as_it_was() -> None:
    decision = decided(ZHOUKOU, [line("1", 20_000_000), line("2", 200_005, "02"), line("3", 1, "03")])
    assert isinstance(decision, Decision)
    stored = benefit.pack_steps(decision)
    read = benefit.unpack_steps(stored)
    assert read == decision.steps
    results = recompute(read)
    assert (results["pool.fund"], results["serious.fund"]) == tuple(one.fund_fen for one in decision.layers)
    assert len(stored) < 3_000


@pytest.mark.parametrize("damage", [b"", b"no zlib", zlib.compress(b"[1]"), zlib.compress(b"[[1]]")])
def test_what_is_no_record_is_refused(damage: bytes) -> None:
    with pytest.raises((ValueError, zlib.error)):
        benefit.unpack_steps(damage)
