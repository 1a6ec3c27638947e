"""Layers: basis, limits, deductible, ratio, bands, fixed amounts, ceilings, caps, and the person's parts."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from shared.policy.decision import Decision
from shared.policy.document import Layer
from shared.policy.engine import Policy, Undecidable
from shared.policy.shares import sharing
from tests.policy.small import (
    amounts,
    benefit,
    bill,
    checked,
    decide,
    decimals,
    layer,
    line,
    moved,
    parts_of,
    policy,
    step,
)

ITEMS = [
    {"id": "in", "when": {"class": "甲"}, "clause": "c"},
    {"id": "part", "when": {"class": "乙"}, "prepay": 0.1, "ceiling": "line", "clause": "c"},
    {"id": "out", "when": {"class": "丙"}, "scope": "out", "clause": "c"},
    {"id": "rest", "otherwise": True, "clause": "c"},
]


def pack(*layers: dict[str, Any], **parts: Any) -> Policy:
    return policy(benefit(*layers), items=ITEMS, **parts)


def fund(decision: Decision) -> float:
    return decision.fund_fen / 100


MIXED = (
    line(1000, "1", classed="甲"),
    line(200, "2", ceiling=150, classed="乙"),
    line(300, "3", classed="丙"),
)
"""total 1500: own 300, over_ceiling 50, prepay 15, in_scope 1135."""


# -------------------------------------------------------------------------------------------------- basis


@pytest.mark.parametrize(
    ("basis", "yuan"),
    [
        ("in_scope", 1135),
        ("total", 1500),
        ("person", 1500),
        ("own", 300),
        ("over_ceiling", 50),
        ("prepay", 15),
        ("own + prepay", 315),
        ("in_scope - paid", 1135),
        ("in_scope - 135", 1000),
        ("in_scope - 2000", 0),
        ("in_scope * 2", 1500),
        ("total + 1", 1500),
        ("0.5 * in_scope", 567.5),
        ("in_scope / 3", 378.33),
        ("total / 7 + 0", 214.29),
        ("in_scope - avg_wage", 1035),
        ("in_scope - age", 1085),
        ("min(in_scope, 5)", 5),
        ("class.乙", 200),
        ("class_scope.乙", 135),
    ],
)
def test_basis(basis: str, yuan: float) -> None:
    wage = {"avg_wage": {"value": 100, "clause": "c"}}
    decision = decide(pack(layer(basis=basis), figures=wage), bill(*MIXED, age=50))
    assert amounts(decision, "basic.basis") == [yuan]
    assert fund(decision) == yuan


def test_a_basis_that_cannot_be_computed() -> None:
    for basis, code in (("in_scope / (age - 50)", "division-by-zero"), ("in_scope - weight", "fact-missing")):
        with pytest.raises(Undecidable) as refused:
            pack(layer(basis=basis)).decide(bill(*MIXED, age=50), {})
        assert refused.value.reason.code == f"policy.{code}"


def test_later_layers_see_what_earlier_ones_left() -> None:
    first = layer(ratio=0.6, deductible={"amount": 135}, caps=[{"amount": 500}])
    names = {
        "in-scope-left": "in_scope - paid",
        "no-deductible": "in_scope - paid - basic.deductible",
        "all-left": "person",
        "paid": "paid",
        "of-basic": "basic.basis - basic.limited + basic.eligible + basic.over_limit",
        "cut": "basic.over_cap",
        "by-ratio": "basic.by_ratio",
        "left": "basic.left",
        "used": "basic.used",
        "room": "basic.cap_left + basic.share",
    }
    more = [layer(name, basis=basis, ratio=0) for name, basis in names.items()]
    decision = decide(pack(first, *more), bill(*MIXED))
    assert amounts(decision, *[f"{name.replace('-', '_')}.basis" for name in names]) == [
        635, 500, 1000, 500, 1000, 100, 400, 166.67, 833.33, 600,
    ]  # fmt: skip


def test_a_layer_that_does_not_hold_is_nothing() -> None:
    only = layer(when={"group": "退休"}, caps=[{"amount": 9}], deductible={"amount": 5, "per": "year"})
    after = layer("after", basis="in_scope - basic.fund - basic.cap_left - basic.left - basic.basis", ratio=0.5)
    decision = decide(pack(only, after), bill(100, group="在职"))
    assert [one.id for one in decision.layers] == ["after"]
    assert amounts(decision, "basic.fund", "basic.basis", "basic.relief", "after.fund") == [0, 0, 0, 50]
    assert moved(decision) == {}
    assert parts_of(decision) == {"by_ratio": 50}
    skip = step(decision, "basic.fund")
    assert (skip.kind, skip.inputs, skip.clauses) == ("skip", (("fact:group", "在职"),), ("c",))
    assert decide(pack(only, after), bill(100, group="退休")).layers[0].id == "basic"


def test_a_layer_may_ask_for_amounts() -> None:
    second = layer("more", basis="person", when={"if": "person > 40"})
    assert fund(decide(pack(layer(ratio=0.5), second), bill(80))) == 40
    assert fund(decide(pack(layer(ratio=0.5), second), bill("80.02"))) == 80.02


# --------------------------------------------------------------------------------- limits on the expense


def test_limits_on_the_expense() -> None:
    one = layer(
        limits=[{"amount": 500}, {"amount": 300, "per": "month", "when": {"care": "门诊"}}],
        deductible={"amount": 50},
        ratio=0.8,
    )
    decision = decide(pack(one), bill(1000, care="住院"))
    assert amounts(decision, "basic.basis", "basic.limited", "basic.over_limit", "basic.eligible") == [
        1000,
        500,
        500,
        450,
    ]
    assert (decision.layers[0].over_limit_fen, fund(decision)) == (50000, 360)
    assert parts_of(decision) == {"deductible": 50, "by_ratio": 90, "over_cap": 500}
    assert moved(decision) == {"basic-expense@2025": 500}
    both = decide(pack(one), bill(1000, care="门诊"), **{"basic-expense__2025": 250})
    assert amounts(both, "basic.limited") == [250]
    assert moved(both) == {"basic-expense@2025": 250, "basic-expense@2025-03": 250}
    assert amounts(decide(pack(one), bill(1000), **{"basic-expense__2025": 600}), "basic.limited") == [0]
    assert amounts(decide(pack(one), bill(400)), "basic.limited", "basic.over_limit") == [400, 0]


def test_two_limits_in_one_counter_use_it_once() -> None:
    one = layer(limits=[{"amount": 500}, {"amount": 400, "when": {"age": {"from": 60}}}])
    assert moved(decide(pack(one), bill(450, age=60))) == {"basic-expense@2025": 400}


def test_a_limit_a_visit_leaves_no_counter() -> None:
    assert moved(decide(pack(layer(limits=[{"amount": 500, "per": "visit"}])), bill(450))) == {}


# ------------------------------------------------------------------------------------------- deductible


def deductible(**parts: Any) -> Policy:
    return pack(layer(deductible={"amount": 100, **parts}, ratio=0.5))


@pytest.mark.parametrize(("total", "taken"), [(99, 99), (100, 100), (101, 100)])
def test_the_deductible_is_the_persons_first(total: float, taken: float) -> None:
    decision = decide(deductible(), bill(total))
    assert amounts(decision, "basic.deductible", "basic.eligible") == [taken, total - taken]
    assert decision.layers[0].deductible_fen == taken * 100
    assert fund(decision) == (total - taken) / 2
    assert moved(decision) == {}


@pytest.mark.parametrize(
    ("per", "key"),
    [
        ("year", "basic-deductible@2025"),
        ("quarter", "basic-deductible@2025-Q1"),
        ("month", "basic-deductible@2025-03"),
        ("day", "basic-deductible@2025-03-08"),
        ("facility_year", "basic-deductible@2025/H1"),
        ("lifetime", "basic-deductible@lifetime"),
        ("episode", "basic-deductible@episode:E1"),
    ],
)
def test_the_deductible_runs_over_its_period(per: str, key: str) -> None:
    first = decide(deductible(per=per), bill(70, episode="E1"))
    assert moved(first) == {key: 70}
    second = checked(deductible(per=per).decide(bill(70, episode="E1"), first.changes))
    assert amounts(second, "basic.deductible") == [30]
    assert moved(second) == {key: 30}
    third = checked(deductible(per=per).decide(bill(70, episode="E1"), {key: 10000}))
    assert amounts(third, "basic.deductible") == [0]
    assert moved(third) == {}


def test_without_an_episode_each_bill_is_one() -> None:
    assert moved(decide(deductible(per="episode"), bill(70))) == {}


def test_a_higher_level_tops_up() -> None:
    levels = deductible(amount={"by": "level", "table": {"三级": 100, "二级": 60}}, per="year")
    assert amounts(decide(levels, bill(500, level="三级"), **{"basic-deductible__2025": 60}), "basic.deductible") == [
        40
    ]
    assert amounts(decide(levels, bill(500, level="二级"), **{"basic-deductible__2025": 100}), "basic.deductible") == [
        0
    ]


def test_a_deductible_below_nothing_is_nothing() -> None:
    assert amounts(
        decide(deductible(amount={"value": 10, "adjust": [{"add": -20}]}), bill(50)), "basic.deductible"
    ) == [0]


def test_a_deductible_shared_by_benefits_and_kept_apart_by_facts() -> None:
    shared = deductible(per="year", counter="clinic", of=["disease"])
    assert moved(decide(shared, bill(70, disease="癫痫"))) == {"clinic@2025;disease=癫痫": 70}
    with pytest.raises(Undecidable) as refused:
        shared.decide(bill(70), {})
    assert refused.value.reason.code == "policy.fact-missing"


def test_the_deductible_is_waived_for_any_of_those() -> None:
    waived = deductible(per="year", waived=[{"marks": "特困"}, {"age": {"from": 80}}])
    assert amounts(decide(waived, bill(150)), "basic.deductible") == [100]
    for given in ({"marks": ["特困"]}, {"age": 80}):
        decision = decide(waived, bill(150, **given))
        assert amounts(decision, "basic.deductible", "basic.eligible") == [0, 150]
        assert moved(decision) == {}
        assert step(decision, "basic.deductible").kind == "waive"


# ------------------------------------------------------------------------------------------------- ratio


@pytest.mark.parametrize(
    ("ratio", "rounding", "total", "paid"),
    [
        (0.85, "half_up", 1000, 850),
        (0, "half_up", 1000, 0),
        (1, "half_up", 1000, 1000),
        (0.5, "half_up", 0.01, 0.01),
        (0.49, "half_up", 0.01, 0),
        (0.5, "half_up", 0.03, 0.02),
        (0.5, "down", 0.03, 0.01),
        (0.999, "down", 0.01, 0),
        (1, "down", 0.01, 0.01),
        ("1 / 3", "half_up", 1, 0.33),
        ("2 / 3", "half_up", 1, 0.67),
        ("2 / 3", "down", 1, 0.66),
    ],
)
def test_one_ratio(ratio: float | str, rounding: str, total: float, paid: float) -> None:
    decision = decide(pack(layer(ratio=ratio), rounding=rounding), bill(total))
    assert fund(decision) == paid
    assert [(one.band, one.expense_fen, one.share_fen) for one in decision.layers[0].slices] == [
        (1, round(total * 100), round(paid * 100))
    ]
    assert decision.layers[0].by_ratio_fen == round(total * 100) - round(paid * 100)


def test_a_ratio_outside_0_to_1_is_not_paid() -> None:
    with pytest.raises(Undecidable) as refused:
        pack(layer(ratio={"value": 0.9, "adjust": [{"add": 0.2}]})).decide(bill(1), {})
    assert refused.value.reason.code == "policy.out-of-range"
    assert refused.value.reason.clauses == ("c",)


@pytest.mark.parametrize("ways", [{}, {"ratio": 1, "fixed": {"amount": 1, "clause": "c"}}])
def test_a_layer_shares_in_exactly_one_way(ways: dict[str, Any]) -> None:
    written = {key: value for key, value in layer().items() if key != "ratio"} | ways
    with pytest.raises(ValueError, match="exactly one"):
        sharing("basic", Layer.model_validate(decimals(written)), "half_up")


# ------------------------------------------------------------------------------------------------- bands

BANDS = [{"to": 100, "ratio": 0.5}, {"to": 300, "ratio": 0.7}, {"ratio": 0.9}]


def slices(decision: Decision) -> list[tuple[int, float, float]]:
    """band, expense and share in yuan."""
    return [(one.band, one.expense_fen / 100, one.share_fen / 100) for one in decision.layers[0].slices]


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (0, []),
        (40, [(1, 40, 20)]),
        (100, [(1, 100, 50)]),
        ("100.01", [(1, 100, 50), (2, 0.01, 0.01)]),
        (300, [(1, 100, 50), (2, 200, 140)]),
        (400, [(1, 100, 50), (2, 200, 140), (3, 100, 90)]),
    ],
)
def test_each_band_has_its_ratio(total: float, expected: list[tuple[int, float, float]]) -> None:
    decision = decide(pack(layer(tiers={"bands": BANDS})), bill(total))
    assert slices(decision) == expected
    assert fund(decision) == round(sum(share for _, _, share in expected), 2)
    assert amounts(decision, *[f"basic.slice_{band}" for band, _, _ in expected]) == [share for _, _, share in expected]


def test_each_band_is_rounded_by_itself() -> None:
    bands = {"bands": [{"to": 0.01, "ratio": 0.5}, {"to": 0.02, "ratio": 0.5}, {"ratio": 0.5}]}
    assert fund(decide(pack(layer(tiers=bands)), bill("0.03"))) == 0.03
    assert fund(decide(pack(layer(tiers=bands), rounding="down"), bill("0.03"))) == 0


def test_bands_above_the_deductible_and_of_the_gross_expense() -> None:
    above = layer(tiers={"bands": BANDS}, deductible={"amount": 40})
    assert slices(decide(pack(above), bill(200))) == [(1, 100, 50), (2, 60, 42)]
    gross = layer(tiers={"axis": "gross", "bands": BANDS}, deductible={"amount": 40})
    assert slices(decide(pack(gross), bill(200))) == [(1, 60, 30), (2, 100, 70)]
    whole_band = layer(tiers={"axis": "gross", "bands": BANDS}, deductible={"amount": 150})
    assert slices(decide(pack(whole_band), bill(200))) == [(2, 50, 35)]


def test_bands_of_the_years_running_sum() -> None:
    above = pack(layer(tiers={"running": "year", "bands": BANDS}, deductible={"amount": 40}))
    first = decide(above, bill(120))
    assert slices(first) == [(1, 80, 40)]
    assert moved(first) == {"basic-sum@2025": 80}
    second = checked(above.decide(bill(120), first.changes))
    assert slices(second) == [(1, 20, 10), (2, 60, 42)]
    gross = pack(
        layer(tiers={"axis": "gross", "running": "year", "counter": "sum", "bands": BANDS}, deductible={"amount": 40})
    )
    first = decide(gross, bill(120))
    assert slices(first) == [(1, 60, 30), (2, 20, 14)]
    assert moved(first) == {"sum@2025": 120}
    second = checked(gross.decide(bill(120), first.changes))
    assert slices(second) == [(2, 80, 56)]
    assert slices(checked(gross.decide(bill(50), {"sum@2025": 29500}))) == [(3, 10, 9)]


def test_running_over_a_visit_is_not_running() -> None:
    decision = decide(pack(layer(tiers={"running": "visit", "bands": BANDS})), bill(120))
    assert moved(decision) == {}
    assert slices(decision) == [(1, 100, 50), (2, 20, 14)]


def test_above_a_closed_last_band_the_fund_pays_nothing() -> None:
    closed = pack(layer(tiers={"bands": BANDS[:2]}))
    assert slices(decide(closed, bill(300))) == [(1, 100, 50), (2, 200, 140)]
    decision = decide(closed, bill(350))
    assert slices(decision) == [(1, 100, 50), (2, 200, 140), (3, 50, 0)]
    assert parts_of(decision) == {"by_ratio": 160}
    beyond = pack(layer(tiers={"running": "year", "bands": BANDS[:2]}))
    assert slices(decide(beyond, bill(50), **{"basic-sum__2025": 400})) == [(3, 50, 0)]


def test_ends_and_ratios_of_bands_may_be_figures() -> None:
    bands = {"bands": [{"to": "avg_wage / 2", "ratio": {"by": "level", "table": {"三级": 0.5}}}, {"ratio": 1}]}
    made = pack(layer(tiers=bands), figures={"avg_wage": {"value": 100, "clause": "c"}})
    assert slices(decide(made, bill(80, level="三级"))) == [(1, 50, 25), (2, 30, 30)]


def test_a_band_that_is_not_reached_is_not_asked() -> None:
    bands = {"bands": [{"to": 100, "ratio": 0.5}, {"ratio": {"by": "level", "table": {"三级": 0.5}}}]}
    assert fund(decide(pack(layer(tiers=bands)), bill(100))) == 50
    with pytest.raises(Undecidable):
        pack(layer(tiers=bands)).decide(bill(101), {})


def test_a_band_that_ends_before_it_begins_is_empty() -> None:
    bands = {"bands": [{"to": 100, "ratio": 0.5}, {"to": 50, "ratio": 0}, {"ratio": 1}]}
    assert slices(decide(pack(layer(tiers=bands)), bill(120))) == [(1, 100, 50), (3, 20, 20)]


def test_bands_name_their_clauses() -> None:
    bands = {"clause": "t", "bands": [{"to": 100, "ratio": 0.5, "clause": "b"}, {"ratio": 1}]}
    decision = decide(pack(layer(tiers=bands)), bill(120))
    names = ["basic.band1.share", "basic.band2.share", "basic.share"]
    assert [step(decision, name).clauses for name in names] == [("b",), ("t",), ("t",)]


# ------------------------------------------------------------------------------------------ fixed amounts


def fixed(total: float, deductible: float = 0, **parts: Any) -> Decision:
    one = layer(fixed={"amount": 100, **parts}, deductible={"amount": deductible})
    return decide(pack(one), bill(total, days=3))


@pytest.mark.parametrize(
    ("total", "parts", "paid", "person", "facility", "payouts"),
    [
        (100, {}, 100, {}, 0, []),
        (60, {}, 60, {}, 0, []),
        (130, {}, 100, {"by_ratio": 30}, 0, []),
        (60, {"surplus": "person"}, 60, {}, 0, [("basic", "person", "fund of basic", 4000)]),
        (60, {"surplus": "facility"}, 60, {}, 0, [("basic", "facility", "fund of basic", 4000)]),
        (100, {"surplus": "person"}, 100, {}, 0, []),
        (130, {"surplus": "person"}, 100, {"by_ratio": 30}, 0, []),
        (130, {"deficit": "facility"}, 100, {}, 30, []),
        (60, {"deficit": "facility"}, 60, {}, 0, []),
        (400, {"per": "day"}, 300, {"by_ratio": 100}, 0, []),
        (250, {"per": "day", "surplus": "person"}, 250, {}, 0, [("basic", "person", "fund of basic", 5000)]),
    ],
)
def test_a_fixed_amount(
    total: float, parts: dict[str, Any], paid: float, person: dict[str, float], facility: float, payouts: list[Any]
) -> None:
    decision = fixed(total, **parts)
    assert (fund(decision), parts_of(decision), decision.hospital_fen / 100) == (paid, person, facility)
    assert [tuple(getattr(one, name) for name in one.__slots__) for one in decision.payouts] == payouts
    assert decision.layers[0].slices == ()


def test_a_fixed_amount_is_for_what_is_left_after_the_deductible() -> None:
    decision = fixed(130, deductible=50, surplus="person")
    assert (fund(decision), parts_of(decision), decision.payouts[0].amount_fen) == (80, {"deductible": 50}, 2000)


def test_a_fixed_amount_a_day_needs_the_days() -> None:
    with pytest.raises(Undecidable) as refused:
        pack(layer(fixed={"amount": 1, "per": "day"})).decide(bill(1), {})
    assert refused.value.reason.code == "policy.fact-missing"


def test_what_the_hospital_bears_is_nobodys_burden_afterwards() -> None:
    decision = decide(
        pack(layer(fixed={"amount": 100, "deficit": "facility"}), layer("more", basis="person")), bill(130)
    )
    assert amounts(decision, "more.basis", "hospital", "person", "fund", "basic.facility") == [0, 30, 0, 100, 30]
    second = decide(
        pack(layer(ratio=0.5), layer("more", basis="person", fixed={"amount": 20, "deficit": "facility"})), bill(130)
    )
    assert amounts(second, "fund", "hospital", "person") == [85, 45, 0]
    assert parts_of(second) == {}


def test_one_who_pays_later_leaves_the_hospital_nothing() -> None:
    decision = decide(pack(layer(pays="later", fixed={"amount": 20, "deficit": "facility"})), bill(130))
    assert amounts(decision, "hospital", "later", "basic.by_ratio") == [0, 20, 110]


# ------------------------------------------------------------------------------- the person's own ceiling


def ceiling(**parts: Any) -> Policy:
    return pack(layer(ratio=0.5, deductible={"amount": 100, "per": "year"}, person_ceiling={"amount": 250, **parts}))


@pytest.mark.parametrize(
    ("total", "before", "deductible", "by_ratio", "paid"),
    [
        (400, 0, 100, 150, 150),
        (402, 0, 100, 150, 152),
        (300, 0, 100, 100, 100),
        (400, 150, 100, 0, 300),
        (400, 180, 70, 0, 330),
        (400, 250, 0, 0, 400),
        (400, 300, 0, 0, 400),
    ],
)
def test_above_the_ceiling_of_the_persons_burden_the_fund_pays_all(
    total: float, before: float, deductible: float, by_ratio: float, paid: float
) -> None:
    decision = decide(ceiling(), bill(total), **{"basic-person__2025": before})
    assert amounts(decision, "basic.deductible", "basic.by_ratio", "basic.fund") == [deductible, by_ratio, paid]
    used = {"basic-deductible@2025": deductible, "basic-person@2025": deductible + by_ratio}
    assert moved(decision) == {key: amount for key, amount in used.items() if amount}
    assert parts_of(decision) == {
        part: amount for part, amount in (("deductible", deductible), ("by_ratio", by_ratio)) if amount
    }


def test_the_ceiling_counts_where_and_as_long_as_it_says() -> None:
    assert "own-burden@lifetime" in moved(decide(ceiling(per="lifetime", counter="own-burden"), bill(400)))
    assert list(moved(decide(ceiling(per="visit"), bill(402)))) == ["basic-deductible@2025"]
    assert fund(decide(ceiling(per="visit"), bill(402))) == 152


def test_the_ceiling_without_a_deductible_and_beside_a_facilitys_part() -> None:
    plain = decide(pack(layer(ratio=0.5, person_ceiling={"amount": 20})), bill(100))
    assert (fund(plain), parts_of(plain)) == (80, {"by_ratio": 20})
    shared = layer(
        fixed={"amount": 40, "deficit": "facility"}, deductible={"amount": 30}, person_ceiling={"amount": 20}
    )
    decision = decide(pack(shared), bill(100))
    assert (fund(decision), decision.hospital_fen, parts_of(decision)) == (50, 3000, {"deductible": 20})


# -------------------------------------------------------------------------------------------------- caps


def capped(*caps: dict[str, Any], **parts: Any) -> Policy:
    return pack(layer(**{"ratio": 0.8, **parts}, caps=list(caps)))


@pytest.mark.parametrize(("total", "paid", "cut", "room"), [(100, 80, 0, 20), (125, 100, 0, 0), (150, 100, 20, 0)])
def test_a_cap_cuts_what_the_fund_pays(total: float, paid: float, cut: float, room: float) -> None:
    decision = decide(capped({"amount": 100}), bill(total))
    assert amounts(decision, "basic.fund", "basic.over_cap", "basic.cap_left") == [paid, cut, room]
    assert decision.layers[0].over_cap_fen == cut * 100
    assert parts_of(decision) == {"by_ratio": total / 5} | ({"over_cap": cut} if cut else {})
    assert moved(decision) == {"basic-fund@2025": paid}


def test_a_cap_leaves_what_was_not_used_before() -> None:
    pack_of = capped({"amount": 100})
    assert amounts(decide(pack_of, bill(100), **{"basic-fund__2025": 70}), "basic.fund", "basic.cap_left") == [30, 0]
    exhausted = decide(pack_of, bill(100), **{"basic-fund__2025": 130})
    assert amounts(exhausted, "basic.fund", "basic.over_cap") == [0, 80]
    assert moved(exhausted) == {}


def test_the_tightest_of_several_caps_binds_and_all_are_used() -> None:
    several = capped(
        {"amount": 90},
        {"amount": 30, "per": "month"},
        {"amount": 10, "per": "day", "when": {"care": "购药"}},
        {"amount": 20, "per": "visit", "when": {"care": "门诊"}},
        {"amount": 70, "per": "lifetime", "of": ["disease"], "counter": "drugs"},
    )
    decision = decide(several, bill(100, care="住院", disease="癫痫"))
    assert amounts(decision, "basic.fund", "basic.cap_left") == [30, 0]
    assert moved(decision) == {"basic-fund@2025": 30, "basic-fund@2025-03": 30, "drugs@lifetime;disease=癫痫": 30}
    assert amounts(decide(several, bill(100, care="门诊", disease="癫痫")), "basic.fund") == [20]
    assert amounts(decide(several, bill(100, care="购药", disease="癫痫")), "basic.fund") == [10]
    left = decide(several, bill(10, care="住院", disease="癫痫"), **{"basic-fund__2025": 60})
    assert amounts(left, "basic.cap_left") == [22]


def test_limits_and_caps_are_told_by_their_number() -> None:
    decision = decide(pack(layer(limits=[{"amount": 9}, {"amount": 8}], caps=[{"amount": 7}, {"amount": 6}])), bill(10))
    names = ["basic.limit1", "basic.limit2", "basic.cap1", "basic.cap2"]
    assert amounts(decision, *names) == [9, 8, 7, 6]
    assert amounts(decision, *[f"{name}.room" for name in names]) == [9, 8, 7, 6]


def test_two_caps_in_one_counter_use_it_once() -> None:
    assert moved(decide(capped({"amount": 90}, {"amount": 80}), bill(50))) == {"basic-fund@2025": 40}


def test_layers_may_share_a_counter_within_one_bill() -> None:
    shared = [
        layer(name, basis="in_scope", ratio=0.4, caps=[{"amount": 50, "counter": "pool"}]) for name in ("one", "two")
    ]
    decision = decide(pack(*shared), bill(100))
    assert amounts(decision, "one.fund", "two.fund") == [40, 10]
    assert moved(decision) == {"pool@2025": 50}


def test_without_a_cap_there_is_no_room_to_ask_for() -> None:
    with pytest.raises(Undecidable) as refused:
        pack(layer(ratio=0.5), layer("more", basis="basic.cap_left")).decide(bill(10), {})
    assert refused.value.reason.code == "policy.fact-missing"


@pytest.mark.parametrize(
    ("parts", "total", "used"),
    [
        ({"ratio": 0.8}, 100, 100),
        ({"ratio": 0.8}, 200, 125),
        ({"ratio": 0.7}, 200, 142.86),
        ({"ratio": 1}, 200, 100),
        ({"tiers": {"bands": BANDS}}, 170, 170),
        ({"tiers": {"bands": BANDS}}, 300, 171.43),
        ({"tiers": {"bands": [{"to": 100, "ratio": 1}, {"ratio": 0.5}]}}, 300, 100),
        ({"tiers": {"bands": [{"to": 100, "ratio": 0}, {"to": 150, "ratio": 1}, {"ratio": 0.8}]}}, 300, 212.5),
        ({"tiers": {"bands": BANDS}}, 90, 90),
        ({"fixed": {"amount": 150}}, 200, 100),
        ({"fixed": {"amount": 80}}, 200, 200),
        ({"ratio": 0.5, "person_ceiling": {"amount": 0}}, 200, 200),
        ({"tiers": {"bands": BANDS}, "person_ceiling": {"amount": 0}}, 110, 110),
    ],
)
def test_the_expense_behind_a_capped_payment(parts: dict[str, Any], total: float, used: float) -> None:
    more = layer("more", basis="basic.left", ratio=0.9)
    decision = decide(pack(layer(**parts, caps=[{"amount": 100}]), more), bill(total))
    assert amounts(decision, "basic.used", "basic.left") == [used, round(total - used, 2)]
    quiet = decide(pack(layer(**parts, caps=[{"amount": 100}])), bill(total))
    assert amounts(quiet, "basic.used", "basic.left") == [used, round(total - used, 2)]
    assert "basic.used" not in {one.name for one in quiet.steps}


def test_nothing_is_behind_a_payment_that_a_used_up_cap_left() -> None:
    spent = {"basic-fund__2025": 100}
    assert amounts(decide(capped({"amount": 100}), bill(50), **spent), "basic.used", "basic.left") == [0, 50]


# ------------------------------------------------------------------------------------- the person's parts


def test_the_first_layer_divides_what_is_in_scope() -> None:
    one = layer(ratio=0.6, deductible={"amount": 135}, limits=[{"amount": 1100}], caps=[{"amount": 500}])
    assert parts_of(decide(pack(one), bill(*MIXED))) == {
        "own": 300, "over_ceiling": 50, "prepay": 15, "deductible": 135, "by_ratio": 386, "over_cap": 114,
    }  # fmt: skip


def test_a_part_that_voids_leave_below_nothing_is_borne_by_the_others() -> None:
    voided = (line(1000, "1", classed="甲"), line(-300, "2", classed="丙"))
    decision = decide(pack(layer(ratio=0.6, deductible={"amount": 100})), bill(*voided))
    assert amounts(decision, "own", "in_scope", "fund", "person") == [-300, 1000, 360, 340]
    assert parts_of(decision) == {"deductible": 100, "by_ratio": 240}


def test_what_the_first_layer_does_not_look_at_is_over_the_cap() -> None:
    assert parts_of(decide(pack(layer(basis="in_scope - 100", ratio=0.5)), bill(300))) == {
        "by_ratio": 100,
        "over_cap": 100,
    }
    assert parts_of(decide(pack(layer(basis="class_scope.甲", ratio=0.5)), bill(*MIXED))) == {
        "own": 300, "over_ceiling": 50, "prepay": 15, "by_ratio": 500, "over_cap": 135,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("basis", "absorbs", "left"),
    [
        ("person", None, {"own": 300, "over_ceiling": 50, "prepay": 15, "by_ratio": 385}),
        ("person", ["own", "prepay"], {"over_ceiling": 50, "by_ratio": 700}),
        ("own", ["own"], {"own": 150, "over_ceiling": 50, "prepay": 15, "over_cap": 1135}),
        ("own", ["prepay", "own"], {"own": 165, "over_ceiling": 50, "over_cap": 1135}),
    ],
)
def test_a_first_layer_that_looks_beyond_the_scope_takes_parts_away(
    basis: str, absorbs: list[str] | None, left: dict[str, float]
) -> None:
    order: dict[str, Any] = {} if absorbs is None else {"absorbs": absorbs}
    assert parts_of(decide(pack(layer(basis=basis, ratio=0.5, **order)), bill(*MIXED))) == left


BASIC = layer(ratio=0.6, deductible={"amount": 135}, caps=[{"amount": 500}])
"""Leaves own 300, over_ceiling 50, prepay 15, deductible 135, by_ratio 400, over_cap 100 of MIXED."""


@pytest.mark.parametrize(
    ("pays", "absorbs", "left"),
    [
        (100, None, {"own": 300, "over_ceiling": 50, "prepay": 15, "deductible": 135, "by_ratio": 400}),
        (99, None, {"own": 300, "over_ceiling": 50, "prepay": 15, "deductible": 135, "by_ratio": 400, "over_cap": 1}),
        (600, None, {"own": 300, "over_ceiling": 50, "prepay": 15, "deductible": 35}),
        (645, None, {"own": 300, "over_ceiling": 50, "prepay": 5}),
        (690, None, {"own": 300, "over_ceiling": 10}),
        (1000, None, {}),
        (
            400,
            ["own", "deductible"],
            {"over_ceiling": 50, "prepay": 15, "deductible": 35, "by_ratio": 400, "over_cap": 100},
        ),
        (500, ["own"], {"over_ceiling": 50, "prepay": 15, "deductible": 135, "by_ratio": 300}),
        (130, ["prepay"], {"own": 300, "over_ceiling": 50, "deductible": 135, "by_ratio": 385}),
    ],
)
def test_a_later_layer_takes_parts_away_in_its_order(
    pays: float, absorbs: list[str] | None, left: dict[str, float]
) -> None:
    order: dict[str, Any] = {} if absorbs is None else {"absorbs": absorbs}
    decision = decide(pack(BASIC, layer("more", basis=f"0 * own + {pays}", **order)), bill(*MIXED))
    assert parts_of(decision) == left
    assert fund(decision) == 500 + pays


def test_parts_are_quantities_too() -> None:
    decision = decide(pack(BASIC), bill(*MIXED))
    names = ["own", "over_ceiling", "prepay", "deductible", "by_ratio", "over_cap"]
    assert amounts(decision, *[f"parts.{name}" for name in names]) == [300, 50, 15, 135, 400, 100]
    assert amounts(decision, "fund", "person", "cash", "hospital", "later", "total") == [500, 1000, 1000, 0, 0, 1500]


# --------------------------------------------------------------------------------------- paid by others


def test_one_who_pays_later_is_shown_and_changes_nothing_now() -> None:
    later = layer(
        "insurer", pays="later", payer="某保险公司", basis="in_scope - paid", ratio=0.5, caps=[{"amount": 500}]
    )
    after = layer("aid", basis="person - insurer.fund", ratio=0.1)
    decision = decide(pack(layer(ratio=0.6), later, after), bill(1000))
    assert amounts(decision, "basic.fund", "insurer.fund", "aid.basis", "aid.fund") == [600, 200, 200, 20]
    assert amounts(decision, "paid", "fund", "person", "later", "cash") == [620, 620, 380, 200, 380]
    assert decision.later_fen == 20000
    assert parts_of(decision) == {"by_ratio": 380}
    assert (decision.layers[1].pays, decision.layers[1].payer) == ("later", "某保险公司")
    assert moved(decision) == {"insurer-fund@2025": 200}


def test_one_who_pays_later_first_leaves_the_parts_to_the_next() -> None:
    decision = decide(
        pack(layer("insurer", pays="later", ratio=0.5), layer(ratio=0.6, deductible={"amount": 100})), bill(1000)
    )
    assert parts_of(decision) == {"deductible": 100, "by_ratio": 360}
    alone = decide(pack(layer("insurer", pays="later", ratio=0.5)), bill(1000))
    assert parts_of(alone) == {"over_cap": 1000}


def given(**parts: Any) -> Policy:
    return pack(layer("basic", pays="given", **parts), layer("aid", basis="person", ratio=0.5))


def test_what_was_paid_before_counts() -> None:
    decision = decide(given(), bill(*MIXED, paid={"basic": 700}))
    assert amounts(decision, "basic.basis", "basic.eligible", "basic.limited", "basic.fund", "basic.by_ratio") == [
        1135,
        1135,
        1135,
        700,
        435,
    ]
    assert amounts(decision, "aid.basis", "aid.fund", "paid", "fund") == [800, 400, 1100, 1100]
    assert parts_of(decision) == {"own": 300, "over_ceiling": 50, "prepay": 15, "by_ratio": 35}
    assert [one.pays for one in decision.layers] == ["given", "now"]
    assert amounts(decision, "basic.used", "basic.left", "basic.share", "basic.over_cap") == [1135, 0, 700, 0]
    assert amounts(decision, "basic.over_limit", "basic.deductible") == [0, 0]


def test_nothing_paid_before_and_all_paid_before() -> None:
    assert amounts(decide(given(), bill(100)), "basic.fund", "basic.by_ratio", "aid.fund") == [0, 100, 50]
    assert amounts(decide(given(), bill(100, paid={"basic": 100})), "basic.fund", "aid.basis") == [100, 0]


def test_more_paid_before_than_is_in_scope_takes_other_parts_too() -> None:
    decision = decide(given(), bill(*MIXED, paid={"basic": 1200}))
    assert amounts(decision, "basic.basis", "basic.fund", "basic.by_ratio", "aid.basis") == [1200, 1200, 0, 300]
    assert parts_of(decision) == {"own": 150}


@pytest.mark.parametrize(
    ("paid", "code"),
    [
        ({"basic": 100.01}, "given-too-much"),
        ({"basic": -0.01}, "given-too-much"),
        ({"aid": 1}, "unknown-payer"),
        ({"nobody": 1}, "unknown-payer"),
    ],
)
def test_payments_that_cannot_have_been(paid: dict[str, float], code: str) -> None:
    with pytest.raises(Undecidable) as refused:
        given().decide(bill(100, paid=paid), {})
    assert refused.value.reason.code == f"policy.{code}"


def test_a_payment_by_a_layer_that_does_not_hold() -> None:
    sometimes = given(when={"care": "住院"})
    assert decide(sometimes, bill(100, care="住院", paid={"basic": 1})).fund_fen == 5050
    assert decide(sometimes, bill(100, paid={"basic": 0})).fund_fen == 5000
    with pytest.raises(Undecidable) as refused:
        sometimes.decide(bill(100, paid={"basic": 1}), {})
    assert "basic" in refused.value.reason.en


def test_a_void_bill_was_paid_nothing_before() -> None:
    assert decide(given(), bill(-100)).fund_fen == 0
    with pytest.raises(Undecidable):
        given().decide(bill(-100, paid={"basic": 0.01}), {})


def test_recovery_is_carried_along() -> None:
    decision = decide(
        pack(layer(recover="第三方"), layer("more", basis="person", pays="given", recover="用人单位")), bill(100)
    )
    assert [one.recover for one in decision.layers] == ["第三方", "用人单位"]
    assert [one.fund for one in decision.layers] == ["fund of basic", "fund of more"]


def test_names_with_hyphens_are_written_with_underscores() -> None:
    decision = decide(
        pack(
            layer("large-sum", ratio=0.5),
            layer("more", basis="large_sum.by_ratio - my_figure"),
            figures={"my-figure": {"value": 3, "clause": "c"}},
        ),
        bill(100),
    )
    assert amounts(decision, "large_sum.fund", "more.fund") == [50, 47]


def test_a_whole_chain_of_payers() -> None:
    chain = pack(
        layer("basic", deductible={"amount": 400}, ratio=0.7, caps=[{"amount": 2000}]),
        layer("large", basis="basic.left", ratio=0.8, when={"if": "basic.over_cap > 0"}),
        layer(
            "serious",
            basis="in_scope - paid",
            deductible={"amount": 500, "per": "year"},
            tiers={"running": "year", "bands": BANDS},
        ),
        layer("aid", basis="person - own", when={"marks": "低保"}, ratio=0.5, caps=[{"amount": 100}]),
        decided_by="discharge",
    )
    decision = decide(
        chain,
        bill(
            line(4000, "1", classed="甲"),
            line(100, "2", classed="丙"),
            marks=["低保"],
            begins=date(2024, 12, 30),
        ),
    )
    assert amounts(decision, "basic.fund", "basic.left", "large.fund") == [2000, 742.86, 594.29]
    assert amounts(decision, "serious.basis", "serious.fund", "aid.basis", "aid.fund") == [1405.71, 735.14, 670.57, 100]
    assert decision.layers[2].slices[2].ratio == Fraction(9, 10)
    assert moved(decision) == {
        "basic-fund@2025": 2000,
        "serious-deductible@2025": 500,
        "serious-sum@2025": 905.71,
        "aid-fund@2025": 100,
    }


def test_a_fixed_amount_is_due_though_there_is_nothing_to_look_at() -> None:
    fixed = {"amount": 30, "surplus": "person", "clause": "c"}
    decision = decide(pack(layer(basis="own", fixed=fixed)), bill(line(100, classed="甲")))
    assert [payout.amount_fen for payout in decision.payouts] == [3000]


# ------------------------------------------------------------------------------------------- layers side by side

BESIDE = (
    layer("fee", basis="tag_scope.诊疗", fixed={"amount": 8}),
    layer("drugs", basis="tag_scope.谈判药", ratio=0.7),
    layer("pool", basis="in_scope - tag_scope.诊疗 - tag_scope.谈判药", deductible={"amount": 700}, ratio=0.5),
)
BESIDE_LINES = (
    line(10, "1", classed="甲", tag=["诊疗"]),
    line(1000, "2", classed="乙", prepay=0.1, tag=["谈判药"]),
    line(1700, "3", classed="甲"),
    line(50, "4", classed="丙"),
)


def test_layers_side_by_side_tell_each_its_own_parts() -> None:
    """(10 − 8) + 900 × 30 % + 1000 × 50 % by ratio: nothing is over a cap, though no layer looks at all."""
    decision = decide(pack(*BESIDE), bill(*BESIDE_LINES))
    assert amounts(decision, "fee.fund", "drugs.fund", "pool.fund") == [8, 630, 500]
    assert parts_of(decision) == {"own": 50, "prepay": 100, "deductible": 700, "by_ratio": 772}


def test_the_account_pays_the_parts_of_layers_side_by_side() -> None:
    account = {"pays": ["deductible", "by_ratio"]}
    policy_of = policy(benefit(*BESIDE, account=account), items=ITEMS)
    decision = decide(policy_of, bill(*BESIDE_LINES, account=2000))
    assert (decision.account_fen, decision.cash_fen) == (147_200, 15_000)


def test_what_no_layer_looks_at_is_over_the_cap() -> None:
    decision = decide(pack(*BESIDE[:2]), bill(*BESIDE_LINES))
    assert parts_of(decision) == {"own": 50, "prepay": 100, "by_ratio": 272, "over_cap": 1700}


def test_a_layer_that_looks_at_old_and_new_tells_the_new_only() -> None:
    """The first one looked at 1000; of the 1300 that the second looks at, 500 are new: its deductible of 400 and 100
    of its 600 by ratio are told of them, and its 300 come off what the first left."""
    first = layer("first", basis="class_scope.甲", ratio=0.2)
    second = layer("second", basis="in_scope - paid", deductible={"amount": 400}, ratio=1 / 3)
    decision = decide(pack(first, second), bill(line(1000, "1", classed="甲"), line(500, "2")))
    assert amounts(decision, "second.basis", "second.fund", "second.by_ratio") == [1300, 300, 600]
    assert parts_of(decision) == {"deductible": 400, "by_ratio": 600}


def test_what_any_layer_before_looked_at_is_not_new() -> None:
    """400 over the cap of the first layer stay there: the third looks at what the first and the second looked at."""
    first = layer("first", basis="class_scope.甲", ratio=0.5, caps=[{"amount": 100}])
    second = layer("second", basis="in_scope - class_scope.甲", ratio=0)
    third = layer("third", basis="in_scope - paid", ratio=0, deductible={"amount": 200})
    decision = decide(pack(first, second, third), bill(line(1000, "1", classed="甲"), line(100, "2")))
    assert parts_of(decision) == {"by_ratio": 600, "over_cap": 400}


def test_what_was_looked_at_once_is_not_told_again() -> None:
    """The serious-illness layer looks at what the pool left: its deductible is not the bill's."""
    first = layer("first", deductible={"amount": 100}, ratio=0.5)
    second = layer("second", basis="in_scope - paid", deductible={"amount": 200}, ratio=0.5)
    decision = decide(pack(first, second), bill(1100))
    assert amounts(decision, "second.deductible", "second.fund") == [200, 200]
    assert parts_of(decision) == {"deductible": 100, "by_ratio": 300}


@pytest.mark.parametrize("basis", ["person - 1000", "total - 1000", "in_scope - 1000 + own"])
def test_a_layer_over_whatever_is_left_tells_no_new_parts(basis: str) -> None:
    first = layer("first", basis="in_scope - 500", ratio=0)
    second = layer("second", basis=basis, ratio=0, deductible={"amount": 100})
    assert parts_of(decide(pack(first, second), bill(1500))) == {"by_ratio": 1000, "over_cap": 500}


def test_a_layer_beside_one_that_looked_beyond_the_scope() -> None:
    """Only marked items outside the scope came first: all in scope is new to the pool."""
    first = layer("gift", basis="own", ratio=0.5, absorbs=["own"])
    second = layer("pool", deductible={"amount": 100}, ratio=0.5)
    decision = decide(pack(first, second), bill(line(1100, "1", classed="甲"), line(40, "2", classed="丙")))
    assert parts_of(decision) == {"own": 20, "deductible": 100, "by_ratio": 500}


def test_a_payment_for_new_expense_takes_no_other_part_away() -> None:
    """It would take the pre-payment first, but what it pays is its own expense."""
    first = layer("first", basis="class_scope.甲", ratio=0.5)
    second = layer("second", basis="class_scope.乙", ratio=0.5, absorbs=["prepay", "by_ratio"])
    lines = (line(100, "1", classed="甲"), line(200, "2", classed="乙", prepay=0.1))
    assert parts_of(decide(pack(first, second), bill(*lines))) == {"prepay": 20, "by_ratio": 140}


# ------------------------------------------------------------------------------- the most that deductibles come to


def test_deductibles_together_are_limited() -> None:
    deductible = {"amount": 900, "limit": {"amount": 1500, "per": "year"}}
    limited = pack(layer(deductible=deductible, ratio=0.5))
    first = decide(limited, bill(2000))
    assert amounts(first, "basic.deductible") == [900]
    assert moved(first) == {"basic-deductibles@2025": 900}
    assert amounts(decide(limited, bill(2000), **{"basic-deductibles__2025": 900}), "basic.deductible") == [600]
    assert amounts(decide(limited, bill(2000), **{"basic-deductibles__2025": 1500}), "basic.deductible") == [0]
    assert amounts(decide(limited, bill(2000), **{"basic-deductibles__2025": 9000}), "basic.deductible") == [0]
    assert amounts(decide(limited, bill(300), **{"basic-deductibles__2025": 900}), "basic.deductible") == [300]


def test_both_counters_of_a_deductible_move() -> None:
    limit = {"amount": {"by": "group", "table": {"退休": 100, "otherwise": 5000}}, "per": "lifetime", "counter": "all"}
    limited = pack(layer(deductible={"amount": 900, "per": "month", "limit": limit}, ratio=0.5))
    assert moved(decide(limited, bill(2000, group="在职"))) == {"basic-deductible@2025-03": 900, "all@lifetime": 900}
    assert moved(decide(limited, bill(2000, group="退休"))) == {"basic-deductible@2025-03": 100, "all@lifetime": 100}
    assert step(decide(limited, bill(2000, group="退休")), "basic.deductible_limit.room").clauses == ("c",)


def test_a_ceiling_of_the_persons_burden_gives_back_to_both_counters() -> None:
    """Of a deductible of 900 the person bears 500: the fund pays the other 400, and both counters move by 500."""
    deductible = {"amount": 900, "per": "year", "limit": {"amount": 1500, "per": "lifetime"}}
    limited = pack(layer(deductible=deductible, person_ceiling={"amount": 500}))
    decision = decide(limited, bill(2000))
    assert parts_of(decision) == {"deductible": 500}
    assert moved(decision)["basic-deductible@2025"] == moved(decision)["basic-deductibles@lifetime"] == 500


def test_a_waived_deductible_moves_neither_counter() -> None:
    deductible = {"amount": 900, "limit": {"amount": 1500}, "waived": [{"group": "离休"}]}
    assert moved(decide(pack(layer(deductible=deductible, ratio=0.5)), bill(2000, group="离休"))) == {}


def test_the_most_that_deductibles_come_to_may_have_a_clause_of_its_own() -> None:
    deductible = {"amount": 900, "limit": {"amount": 1500, "clause": "article-9"}}
    decision = decide(pack(layer(deductible=deductible, ratio=0.5)), bill(2000))
    assert step(decision, "basic.deductible_limit.room").clauses == ("article-9",)
    assert step(decision, "basic.full_deductible.room").clauses == ("c",)
