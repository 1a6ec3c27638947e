"""What a bill pays: a table a benefits officer can check by hand, and what holds for every bill."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.claims.config import PlanBook
from services.claims.rules.benefit import Benefit, Counters, Decision, Plan, after, decide, plan_of, sum_classes
from shared.money import parse_yuan
from shared.regions import RegionTree

PLAN = Plan(
    name="table",
    region="411600",
    insutype="390",
    fund_pay_type="390100",
    class_b_prepay=Decimal("0.10"),
    retired_ratio=Decimal("0.03"),
    remote_factor={"referral": Decimal("0.85")},
    unfiled_factor=Decimal("0.60"),
    filing_free=frozenset({"local"}),
    benefits={
        "inpatient": Benefit(
            deductible_fen={"1": 20_000, "2": 50_000, "3": 100_000},
            ratio={"1": Decimal("0.85"), "2": Decimal("0.75"), "3": Decimal("0.65")},
            cap_fen=1_000_000,
        )
    },
)
"""Deductible 200, 500, 1000 yuan and ratio 85, 75, 65 % at level 1, 2, 3; cap 10 000 yuan; a tenth of class B first."""

TABLE = """
case                           | lv | A      B    C   | ded  fund  | factor ret | own pre  ded  fund   ratio  cap
class A only, nothing used     | 2  | 1500   0    0   | 0    0     | 1      no  | 0   0    500  750    250    0
class B pays a tenth first     | 2  | 0      2000 0   | 0    0     | 1      no  | 0   200  500  975    325    0
class C is the patient's own   | 2  | 1500   0    300 | 0    0     | 1      no  | 300 0    500  750    250    0
all three together             | 3  | 5000   2000 400 | 0    0     | 1      no  | 400 200  1000 3770   2030   0
bill below the deductible      | 2  | 300    0    0   | 0    0     | 1      no  | 0   0    300  0      0      0
deductible partly paid         | 2  | 1500   0    0   | 300  0     | 1      no  | 0   0    200  975    325    0
deductible paid                | 2  | 1500   0    0   | 500  750   | 1      no  | 0   0    0    1125   375    0
more paid at a higher level    | 1  | 1000   0    0   | 1000 0     | 1      no  | 0   0    0    850    150    0
the rest of a higher level's   | 3  | 1000   0    0   | 200  0     | 1      no  | 0   0    800  130    70     0
referral: 85 % of the ratio    | 2  | 1500   0    0   | 0    0     | 0.85   no  | 0   0    500  637.50 362.50 0
retired: three points more     | 2  | 1500   0    0   | 0    0     | 1      yes | 0   0    500  780    220    0
cap reached within the bill    | 2  | 1500   0    0   | 500  9500  | 1      no  | 0   0    0    500    375    625
cap used up before             | 2  | 1500   0    0   | 500  10000 | 1      no  | 0   0    0    0      375    1125
half a fen goes up to the fund | 2  | 500.02 0    0   | 0    0     | 1      no  | 0   0    500  0.02   0      0
class B of 5 fen pays 1 first  | 2  | 0      0.05 0   | 500  0     | 1      no  | 0   0.01 0    0.03   0.01   0
nothing billed                 | 2  | 0      0    0   | 0    0     | 1      no  | 0   0    0    0      0      0
"""
"""One bill a row, in yuan: its lines by class (甲, 乙, 丙); deductible and fund used up before in the year; the factor
away from home and whether retired; then who pays: own, pre-payment, deductible, fund, by ratio, over the cap.
"""


def rows(table: str) -> list[list[list[str]]]:
    """The cells of a table's rows, each split into its words; the first cell stays whole."""
    lines = [line.split("|") for line in table.strip().splitlines()[1:]]
    return [[[cells[0].strip()], *(cell.split() for cell in cells[1:])] for cells in lines]


def fen(yuan: list[str]) -> list[int]:
    return [parse_yuan(amount) for amount in yuan]


@pytest.mark.parametrize("row", rows(TABLE), ids=lambda row: row[0][0])
def test_table(row: list[list[str]]) -> None:
    _, (level,), by_class, used, (factor, retired), expected = row
    sums = sum_classes(zip(("01", "02", "03"), fen(by_class), strict=True), PLAN.class_b_prepay)
    d = decide(
        PLAN,
        "inpatient",
        level,
        retired=retired == "yes",
        factor=Decimal(factor),
        used=Counters(*fen(used)),
        sums=sums,
    )
    parts = [d.own_fen, d.prepay_fen, d.deductible_fen, d.fund_fen, d.by_ratio_fen, d.over_cap_fen]
    assert parts == fen(expected)
    assert d.total_fen == sum(fen(by_class)) == sum(parts)


def test_prepayment_is_rounded_line_by_line() -> None:
    """Ten class-B lines of 5 fen pre-pay 1 fen each (0.5 goes up), not 5 fen in all."""
    sums = sum_classes([("02", 5)] * 10, Decimal("0.10"))
    assert (sums.b_fen, sums.prepay_fen, sums.in_scope_fen) == (50, 10, 40)


def test_a_void_takes_back_what_its_line_prepaid() -> None:
    sums = sum_classes([("02", 1_005), ("02", -1_005)], Decimal("0.10"))
    assert (sums.b_fen, sums.prepay_fen) == (0, 0)


amounts = st.integers(min_value=0, max_value=50_000_000)
bills = st.lists(st.tuples(st.sampled_from(["01", "02", "03"]), amounts), max_size=30)
used_up = st.builds(Counters, st.integers(0, 200_000), st.integers(0, 1_200_000), st.integers(0, 50))
ratios = st.decimals(min_value=0, max_value=1, places=4)
plans = st.builds(
    lambda deductible, ratio, cap, prepay, extra: replace(
        PLAN,
        class_b_prepay=prepay,
        retired_ratio=extra,
        benefits={"inpatient": Benefit({"2": deductible}, {"2": ratio}, cap)},
    ),
    st.integers(0, 200_000),
    ratios,
    st.integers(0, 50_000_000),
    ratios,
    ratios,
)
factors = st.decimals(min_value=0, max_value=1, places=3)


def decided(plan: Plan, bill: list[tuple[str, int]], used: Counters, factor: Decimal, retired: bool) -> Decision:
    sums = sum_classes(bill, plan.class_b_prepay)
    return decide(plan, "inpatient", "2", retired=retired, factor=factor, used=used, sums=sums)


@given(plans, bills, used_up, factors, st.booleans())
def test_every_fen_is_paid_by_somebody(
    plan: Plan, bill: list[tuple[str, int]], used: Counters, factor: Decimal, retired: bool
) -> None:
    d = decided(plan, bill, used, factor, retired)
    assert d.total_fen == sum(amount for _, amount in bill) == d.fund_fen + d.person_fen
    assert d.total_fen == d.own_fen + d.prepay_fen + d.in_scope_fen
    assert d.in_scope_fen == d.deductible_fen + d.fund_fen + d.by_ratio_fen + d.over_cap_fen
    parts = (d.own_fen, d.prepay_fen, d.in_scope_fen, d.deductible_fen, d.fund_fen, d.by_ratio_fen, d.over_cap_fen)
    assert min(parts) >= 0


@given(plans, bills, used_up, factors, st.booleans())
def test_deductible_and_cap_are_kept(
    plan: Plan, bill: list[tuple[str, int]], used: Counters, factor: Decimal, retired: bool
) -> None:
    benefit = plan.benefits["inpatient"]
    left = after(used, decided(plan, bill, used, factor, retired))
    assert left.deductible_fen <= max(benefit.deductible_fen["2"], used.deductible_fen)
    assert left.fund_fen <= max(benefit.cap_fen, used.fund_fen)
    assert left.bills == used.bills + 1


@given(st.lists(bills, max_size=8), plans)
def test_a_year_of_bills_pays_one_deductible_and_at_most_the_cap(year: list[list[tuple[str, int]]], plan: Plan) -> None:
    used, benefit = Counters(), plan.benefits["inpatient"]
    in_scope_fen = 0
    for bill in year:
        decision = decided(plan, bill, used, Decimal(1), retired=False)
        in_scope_fen += decision.in_scope_fen
        used = after(used, decision)
    assert used.deductible_fen == min(benefit.deductible_fen["2"], in_scope_fen)
    assert used.fund_fen <= benefit.cap_fen


@given(plans, bills, used_up, factors)
def test_being_retired_or_nearer_home_never_costs(
    plan: Plan, bill: list[tuple[str, int]], used: Counters, factor: Decimal
) -> None:
    worse = decided(plan, bill, used, factor, retired=False)
    assert decided(plan, bill, used, factor, retired=True).fund_fen >= worse.fund_fen
    assert decided(plan, bill, used, Decimal(1), retired=False).fund_fen >= worse.fund_fen


# The plans that are shipped

REGIONS = RegionTree.load()


@pytest.mark.parametrize(
    ("region", "insutype", "plan"),
    [
        ("411603", "390", "zhoukou-residents-2026"),  # a county has its city's plan
        ("411600", "310", "zhoukou-employees-2026"),
        ("341723", "310", "chizhou-employees-2026"),
        ("430100", "390", "national-residents-default"),  # a city without one of its own
        ("411603", "999", None),
        ("999999", "390", None),
    ],
)
def test_the_nearest_plan_above_a_region_counts(region: str, insutype: str, plan: str | None) -> None:
    found = PlanBook.load(REGIONS).find(region, insutype)
    assert (found and found.name) == plan


def test_amounts_of_a_plan_are_yuan_and_become_fen() -> None:
    found = PlanBook.load(REGIONS).find("411603", "390")
    assert found is not None
    inpatient = found.benefits["inpatient"]
    assert (inpatient.deductible_fen["3"], inpatient.ratio["3"], inpatient.cap_fen) == (
        100_000,
        Decimal("0.65"),
        15_000_000,
    )


def test_a_malformed_plan_is_refused_at_the_start() -> None:
    with pytest.raises(KeyError):
        plan_of({"name": "half a plan", "benefits": {}})
