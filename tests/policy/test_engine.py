"""Decisions: which benefit decides, how lines are divided, what is refused, and the accounts at the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from shared.money import MAX_FEN
from shared.policy.decision import Bill, BillLine, Decision
from shared.policy.engine import Policy, Undecidable
from shared.policy.shares import ByRatio
from tests.policy.small import amounts, benefit, bill, checked, decide, layer, line, moved, parts_of, policy, step

HALF = layer(ratio=0.5)


def refused(pack: Policy, asked: Bill) -> Undecidable:
    with pytest.raises(Undecidable) as refusal:
        pack.decide(asked, {})
    assert refusal.value.reason.zh
    assert refusal.value.reason.en
    return refusal.value


def code(pack: Policy, asked: Bill) -> str:
    return refused(pack, asked).reason.code


# ------------------------------------------------------------------------------------------------ benefit


def test_the_one_benefit_that_holds_decides() -> None:
    pack = policy(
        benefit(layer(ratio=0.5), id="young", when={"age": {"below": 60}}),
        benefit(layer(ratio=0.9), id="old", when={"age": {"from": 60}}),
    )
    young, old = decide(pack, bill(100, age=59)), decide(pack, bill(100, age=60))
    assert (young.benefit, young.fund_fen) == ("young", 5000)
    assert (old.benefit, old.fund_fen) == ("old", 9000)
    assert step(old, "benefit").inputs == (("fact:age", 60), (":benefit", "old"))
    assert step(old, "benefit").clauses == ("c",)


def test_no_benefit_or_two_are_not_guessed() -> None:
    pack = policy(
        benefit(HALF, id="one", when={"care": ["住院", "门诊"]}), benefit(HALF, id="two", when={"care": "住院"})
    )
    assert decide(pack, bill(100, care="门诊")).benefit == "one"
    assert code(pack, bill(100, care="购药")) == "policy.no-benefit"
    both = refused(pack, bill(100, care="住院")).reason
    assert both.code == "policy.two-rules"
    assert "one, two" in both.en
    assert both.clauses == ("c", "c")


def test_a_benefit_may_look_at_the_total() -> None:
    pack = policy(
        benefit(HALF, id="small", when={"if": "total <= 100"}), benefit(HALF, id="large", when={"if": "total > 100"})
    )
    assert [decide(pack, bill(total)).benefit for total in (100, "100.01", 100)] == ["small", "large", "small"]


def test_a_refusal_says_why_and_pays_nothing() -> None:
    stays = benefit(
        HALF,
        id="injury",
        refuses={"zh": "工伤由工伤基金支付", "en": "paid by work-injury insurance"},
        counts_admission=True,
        account={"pays": ["own"]},
    )
    decision = decide(policy(stays), bill(100, 50, account=30))
    assert decision.not_paid is not None
    assert (decision.not_paid.code, decision.not_paid.zh) == ("policy.refused", "工伤由工伤基金支付")
    assert decision.not_paid.en == "paid by work-injury insurance"
    assert decision.not_paid.clauses == ("c",)
    assert (decision.fund_fen, decision.own_fen, decision.cash_fen) == (0, 15000, 15000)
    assert parts_of(decision) == {"own": 150}
    assert moved(decision) == {}
    assert [(one.rule, one.own_fen) for one in decision.lines] == [("injury", 10000), ("injury", 5000)]


def test_one_text_serves_both_languages() -> None:
    decision = decide(policy(benefit(refuses="不予支付")), bill(100))
    assert decision.not_paid is not None
    assert (decision.not_paid.zh, decision.not_paid.en) == ("不予支付", "不予支付")


def test_the_decision_names_pack_and_version() -> None:
    decision = decide(policy(pack="zhoukou", version="2025.2"), bill(1))
    assert (decision.pack, decision.version, decision.not_paid) == ("zhoukou", "2025.2", None)


# -------------------------------------------------------------------------------------------------- lines


def item(name: str, **parts: Any) -> dict[str, Any]:
    return {"id": name, "clause": "c", **parts}


def lines(decision: Decision) -> list[tuple[float, ...]]:
    """own, over_ceiling, prepay, in_scope of each line in yuan."""
    return [tuple(amount / 100 for amount in one[3:]) for one in decision.lines]


CLASSES = [
    item("a", when={"class": "甲"}),
    item("b", when={"class": "乙"}, prepay=0.1),
    item("rest", otherwise=True, scope="out"),
]


def test_each_line_by_its_one_rule() -> None:
    pack = policy(benefit(layer()), items=CLASSES)
    asked = bill(line(100, "1", classed="甲"), line(50, "2", classed="乙"), line(30, "3", classed="丙"))
    decision = decide(pack, asked)
    assert lines(decision) == [(0, 0, 0, 100), (0, 0, 5, 45), (30, 0, 0, 0)]
    assert [one.rule for one in decision.lines] == ["a", "b", "rest"]
    assert amounts(decision, "total", "own", "over_ceiling", "prepay", "in_scope") == [180, 30, 0, 5, 145]
    assert parts_of(decision) == {"own": 30, "prepay": 5}


def test_no_item_rule_or_two_are_not_guessed() -> None:
    pack = policy(
        benefit(HALF), items=[item("a", when={"class": ["甲", "乙"]}), item("b", when={"class": "乙"}, clause="c")]
    )
    assert code(pack, bill(line(1, classed="丙"))) == "policy.no-item-rule"
    two = refused(pack, bill(line(1, "7", classed="乙"))).reason
    assert two.code == "policy.two-rules"
    assert "7" in two.en
    assert "a, b" in two.en
    assert two.clauses == ("c", "c")


def test_a_pack_without_item_rules_puts_nothing_in_scope() -> None:
    assert code(policy(benefit(HALF), items=[]), bill(1)) == "policy.no-item-rule"


def test_a_benefit_may_have_item_rules_of_its_own() -> None:
    pack = policy(
        benefit(layer(), id="one", when={"care": "住院"}, items=[item("half", otherwise=True, prepay=0.5)]),
        benefit(layer(), id="two", when={"care": "门诊"}),
    )
    assert lines(decide(pack, bill(100, care="住院"))) == [(0, 0, 50, 50)]
    assert lines(decide(pack, bill(100, care="门诊"))) == [(0, 0, 0, 100)]


def test_facts_of_the_line_come_before_those_of_the_bill() -> None:
    pack = policy(
        benefit(layer()), items=[item("x", when={"level": "三级"}, scope="out"), item("rest", otherwise=True)]
    )
    decision = decide(pack, bill(line(10, "1", level="一级"), line(20, "2"), level="三级"))
    assert lines(decision) == [(0, 0, 0, 10), (20, 0, 0, 0)]


@pytest.mark.parametrize(
    ("rule", "given", "parts"),
    [
        ({}, {"amount": 100}, (0, 0, 0, 100)),
        ({"prepay": 0.1}, {"amount": "0.05"}, (0, 0, "0.01", "0.04")),
        ({"prepay": 0.1}, {"amount": "0.04"}, (0, 0, 0, "0.04")),
        ({"prepay": 0.1}, {"amount": "-0.05"}, (0, 0, "-0.01", "-0.04")),
        ({"prepay": 0.1}, {"amount": "-0.04"}, (0, 0, 0, "-0.04")),
        ({"prepay": 0.1, "scope": "out"}, {"amount": 100}, (100, 0, 0, 0)),
        ({"prepay": "line"}, {"amount": 100, "prepay": 0.2}, (0, 0, 20, 80)),
        ({"prepay": "line"}, {"amount": 100, "prepay": 1}, (0, 0, 100, 0)),
        ({"prepay": "line"}, {"amount": 100, "prepay": 0}, (0, 0, 0, 100)),
        ({"prepay": "line"}, {"amount": 100}, (0, 0, 0, 100)),
        ({"prepay": 0.1}, {"amount": 100, "prepay": 0.2}, (0, 0, 10, 90)),
        ({"ceiling": 80}, {"amount": 100}, (0, 20, 0, 80)),
        ({"ceiling": 100}, {"amount": 100}, (0, 0, 0, 100)),
        ({"ceiling": 120}, {"amount": 100}, (0, 0, 0, 100)),
        ({"ceiling": 30}, {"amount": 100, "quantity": 2}, (0, 40, 0, 60)),
        ({"ceiling": 30}, {"amount": 100, "quantity": 2.5}, (0, 25, 0, 75)),
        ({"ceiling": 30}, {"amount": -100, "quantity": 2}, (0, -40, 0, -60)),
        ({"ceiling": 30}, {"amount": -100, "quantity": -2}, (0, -40, 0, -60)),
        ({"ceiling": 30}, {"amount": 100, "quantity": 0}, (0, 100, 0, 0)),
        ({"ceiling": 80, "prepay": 0.1}, {"amount": 100}, (0, 20, 8, 72)),
        ({"ceiling": "line"}, {"amount": 100, "ceiling": 90}, (0, 10, 0, 90)),
        ({"ceiling": "line"}, {"amount": 100, "ceiling": 0}, (0, 100, 0, 0)),
        ({"ceiling": "line"}, {"amount": 100}, (0, 0, 0, 100)),
        ({}, {"amount": 100, "ceiling": 90}, (0, 0, 0, 100)),
        ({"ceiling": "line"}, {"amount": 10, "ceiling": 3.3333, "quantity": 2}, (0, "3.33", 0, "6.67")),
        ({"ceiling": "0.005 * 1"}, {"amount": 1}, (0, 1, 0, 0)),
        ({"ceiling": "0.0049 * 1"}, {"amount": 1}, (0, 1, 0, 0)),
        ({"ceiling": "0.0051 * 1"}, {"amount": 1}, (0, "0.99", 0, "0.01")),
        ({"ceiling": {"by": "level", "table": {"三级": 50, "otherwise": 40}}}, {"amount": 60}, (0, 10, 0, 50)),
        ({"scope": "stated"}, {"amount": 100, "own": 10, "over_ceiling": 20, "prepaid": 30}, (10, 20, 30, 40)),
        ({"scope": "stated"}, {"amount": 60, "own": 10, "over_ceiling": 20, "prepaid": 30}, (10, 20, 30, 0)),
        ({"scope": "stated"}, {"amount": -100, "own": -10, "prepaid": -30}, (-10, 0, -30, -60)),
        ({"scope": "stated"}, {"amount": 100, "prepay": 0.5, "ceiling": 1}, (0, 0, 0, 100)),
    ],
)
def test_one_line(rule: dict[str, Any], given: dict[str, Any], parts: tuple[Any, ...]) -> None:
    pack = policy(benefit(layer()), items=[item("x", otherwise=True, **rule)])
    decision = decide(pack, bill(line(**given), level="三级"))
    assert lines(decision) == [tuple(float(part) for part in parts)]


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ({"scope": "stated"}, {"amount": 60, "own": 10, "over_ceiling": 20, "prepaid": "30.01"}),
        ({"scope": "stated"}, {"amount": 60, "own": -1}),
        ({"scope": "stated"}, {"amount": -60, "own": 1}),
        ({"scope": "stated"}, {"amount": -60, "own": "-60.01"}),
        ({"prepay": "line"}, {"amount": 60, "prepay": 1.01}),
        ({"prepay": "line"}, {"amount": 60, "prepay": -0.01}),
        ({"ceiling": "line"}, {"amount": 60, "ceiling": -1}),
    ],
)
def test_a_line_that_cannot_be(rule: dict[str, Any], given: dict[str, Any]) -> None:
    pack = policy(benefit(layer()), items=[item("x", otherwise=True, **rule)])
    refusal = refused(pack, bill(line(no="7", **given))).reason
    assert refusal.code == "policy.bad-line"
    assert "7" in refusal.zh
    assert "7" in refusal.en


def test_two_lines_with_one_number() -> None:
    assert code(policy(), bill(line(1, "7"), line(1, "7"))) == "policy.bad-line"


def test_sums_by_tag_and_class() -> None:
    pack = policy(
        benefit(layer(basis="tag_scope.特药 + class_scope.乙"), layer("more", basis="tag.特药 - tag.无")), items=CLASSES
    )
    asked = bill(
        line(100, "1", classed="乙", tag=["特药", "国谈"]),
        line(50, "2", classed="乙"),
        line(30, "3", classed="丙", tag="特药"),
    )
    decision = decide(pack, asked)
    names = [
        "tag.特药",
        "tag_scope.特药",
        "tag.国谈",
        "tag_scope.国谈",
        "class.乙",
        "class_scope.乙",
        "class.丙",
        "class_scope.丙",
    ]
    assert amounts(decision, *names) == [130, 90, 100, 90, 150, 135, 30, 0]
    assert amounts(decision, "basic.basis", "more.basis") == [180, 0]
    told = {one.name for one in decision.steps}
    assert {"tag_scope.特药", "class_scope.乙", "tag.特药"} <= told
    assert "class.乙" not in told


# ------------------------------------------------------------------------------------------------- limits


def limited(**limit: Any) -> Policy:
    return policy(benefit(layer()), items=[item("bed", otherwise=True, prepay=0.1, limit=limit)])


def test_a_limit_cuts_what_is_in_scope_and_no_other_part() -> None:
    decision = decide(limited(amount=100), bill(100, 50))
    assert lines(decision) == [(0, 0, 10, 90), (35, 0, 5, 10)]
    assert moved(decision) == {}


def test_a_limit_reached_to_the_fen() -> None:
    assert lines(decide(limited(amount=90), bill(100))) == [(0, 0, 10, 90)]
    assert lines(decide(limited(amount="89.99"), bill(100))) == [(0.01, 0, 10, 89.99)]
    assert lines(decide(limited(amount=0), bill(100))) == [(90, 0, 10, 0)]


def test_a_limit_runs_over_its_period() -> None:
    pack = limited(amount=100, per="year")
    first = decide(pack, bill(100))
    assert moved(first) == {"bed@2025": 90}
    second = decide(pack, bill(100), bed__2025=90)
    assert lines(second) == [(80, 0, 10, 10)]
    assert moved(second) == {"bed@2025": 10}
    assert lines(decide(pack, bill(100), bed__2025=150)) == [(90, 0, 10, 0)]


def test_a_limit_for_each_value_of_a_fact_under_a_name_of_its_own() -> None:
    pack = limited(amount=50, per="month", of=["disease"], counter="drugs")
    decision = decide(pack, bill(line(100, "1", disease="癫痫"), line(100, "2"), disease="高血压"))
    assert lines(decision) == [(40, 0, 10, 50), (40, 0, 10, 50)]
    assert moved(decision) == {"drugs@2025-03;disease=癫痫": 50, "drugs@2025-03;disease=高血压": 50}
    assert code(pack, bill(100)) == "policy.fact-missing"


def test_a_limit_a_day_counts_the_day_of_the_line() -> None:
    pack = limited(amount=50, per="day")
    first, second = date(2025, 3, 1), date(2025, 3, 2)
    decision = decide(
        pack, bill(line(50, "1", day=first), line(50, "2", day=second), line(50, "3", day=first), line(50, "4"))
    )
    assert [(one.no, one.in_scope_fen) for one in decision.lines] == [("1", 4500), ("3", 500), ("2", 4500), ("4", 4500)]
    assert moved(decision) == {"bed@2025-03-01": 50, "bed@2025-03-02": 45, "bed@2025-03-08": 45}


def test_a_limit_by_level() -> None:
    pack = limited(amount={"by": "level", "table": {"三级": 60, "二级": 40}})
    assert lines(decide(pack, bill(100, level="三级"))) == [(30, 0, 10, 60)]
    assert lines(decide(pack, bill(100, level="二级"))) == [(50, 0, 10, 40)]


def test_lines_are_taken_by_day_and_by_number() -> None:
    pack = limited(amount=100)
    decision = decide(pack, bill(line(100, "10"), line(100, "9"), line(100, "1", day=date(2025, 3, 9))))
    assert [(one.no, one.in_scope_fen) for one in decision.lines] == [("9", 9000), ("10", 1000), ("1", 0)]


def test_units_beyond_the_limit_are_outside_the_scope() -> None:
    pack = limited(quantity=3, per="year")
    decision = decide(pack, bill(line(100, "1", quantity=2), line(100, "2", quantity=4)))
    assert lines(decision) == [(0, 0, 10, 90), (75, 0, 2.5, 22.5)]
    assert moved(decision) == {"bed-quantity@2025": 3}
    assert lines(decide(pack, bill(line(100, quantity=1)), **{"bed-quantity__2025": 2})) == [(0, 0, 10, 90)]
    assert lines(decide(pack, bill(line(100, quantity=1)), **{"bed-quantity__2025": 2.5})) == [(50, 0, 5, 45)]
    assert lines(decide(pack, bill(line(100, quantity=3)), **{"bed-quantity__2025": 1})) == [(33.33, 0, 6.67, 60)]
    assert lines(decide(pack, bill(line(100, quantity=1)), **{"bed-quantity__2025": 3})) == [(100, 0, 0, 0)]


def test_units_and_amount_both_bind() -> None:
    decision = decide(limited(quantity=2, amount=30), bill(line(100, "1", quantity=4)))
    assert lines(decision) == [(65, 0, 5, 30)]
    none = decide(limited(quantity=2), bill(line(100, "1", quantity=0)))
    assert lines(none) == [(0, 0, 10, 90)]


def test_what_is_free_counts_as_units_too() -> None:
    assert moved(decide(limited(quantity=3, per="year"), bill(line(0, quantity=2)))) == {"bed-quantity@2025": 2}
    assert moved(decide(limited(quantity=3, per="year"), bill(line(-1, quantity=2)))) == {"bed-quantity@2025": -2}


def test_nothing_out_of_scope_uses_a_limit_and_what_is_stated_does() -> None:
    out = policy(benefit(layer()), items=[item("x", otherwise=True, scope="out", limit={"amount": 10, "per": "year"})])
    assert moved(decide(out, bill(100))) == {}
    stated = policy(
        benefit(layer()), items=[item("x", otherwise=True, scope="stated", limit={"amount": 10, "per": "year"})]
    )
    assert lines(decide(stated, bill(line(100, own=20)))) == [(90, 0, 0, 10)]


@pytest.mark.parametrize(
    ("given", "in_scope", "used"),
    [
        ([100, -100], 0, 0),
        ([-100, 100], 0, 0),
        ([100, 100, -100], 60, 60),
        ([-100, 100, 100], 60, 60),
        ([100, -100, 100], 60, 60),
        ([50, -20], 30, 30),
        ([-20], -20, -20),
    ],
)
def test_a_void_takes_its_line_back_from_the_limit(given: list[int], in_scope: float, used: float) -> None:
    pack = policy(benefit(layer()), items=[item("x", otherwise=True, limit={"amount": 60, "per": "year"})])
    decision = decide(pack, bill(*given))
    assert amounts(decision, "in_scope", "own") == [in_scope, sum(given) - in_scope]
    assert moved(decision) == ({"x@2025": used} if used else {})


def test_a_void_gives_back_to_the_limit_what_an_earlier_bill_took() -> None:
    pack = policy(benefit(layer()), items=[item("x", otherwise=True, limit={"amount": 60, "per": "year"})])
    decision = decide(pack, bill(-20, 70), x__2025=60)
    assert amounts(decision, "in_scope", "own") == [0, 50]
    assert moved(decision) == {}


def test_a_void_of_units_takes_its_line_back() -> None:
    pack = policy(benefit(layer()), items=[item("x", otherwise=True, limit={"quantity": 3})])
    asked = bill(line(100, "1", quantity=4), line(-100, "2", quantity=4))
    assert lines(decide(pack, asked)) == [(25, 0, 0, 75), (-25, 0, 0, -75)]


def test_the_order_of_lines_does_not_matter() -> None:
    pack = policy(
        benefit(layer(ratio=0.7)),
        items=[
            item("b", when={"class": "乙"}, prepay=0.1, limit={"amount": 50, "per": "year"}),
            item("r", otherwise=True),
        ],
    )
    given = [
        line(40, "1", classed="乙"),
        line("33.33", "2", classed="乙"),
        line(7, "3"),
        line(-5, "4", classed="乙"),
    ]
    decisions = [decide(pack, bill(*order)) for order in permutations(given)]
    assert all(decision == decisions[0] for decision in decisions)


def test_limits_tell_their_steps() -> None:
    decision = decide(limited(amount=100, per="year"), bill(100, 50), bed__2025=40)
    assert step(decision, "item:bed.room").inputs == (("item:bed.limit", 10000), ("bed@2025", 10000))
    assert [one.kind for one in decision.steps if one.name == "line:1"] == ["line", "limited_line"]


def test_the_figures_of_an_item_rule_are_told_again_when_they_change_with_the_line() -> None:
    rule = item("x", otherwise=True, prepay={"by": "drug", "table": {"a": 0.1, "b": 0.2}})
    asked = bill(line(100, "1", drug="a"), line(100, "2", drug="b"), line(100, "3", drug="a"))
    decision = decide(policy(benefit(layer()), items=[rule]), asked)
    assert [one.prepay_fen for one in decision.lines] == [1000, 2000, 1000]
    assert [one.result for one in decision.steps if one.name == "item:x.prepay"] == [
        Decimal("0.1"),
        Decimal("0.2"),
        Decimal("0.1"),
    ]
    once = decide(policy(benefit(layer()), items=[rule]), bill(line(1, "1", drug="a"), line(1, "2", drug="a")))
    assert len([one for one in once.steps if one.name == "item:x.prepay"]) == 1


# --------------------------------------------------------------------------------------------- admissions


BY_ADMISSION = layer(deductible={"amount": {"by": "admission_no", "table": {"1": 100, "2": 80, "3+": 60}}}, ratio=1)


def test_admissions_are_counted_over_the_year() -> None:
    pack = policy(benefit(BY_ADMISSION, counts_admission=True))
    for before, deductible in ((0, 100), (1, 80), (2, 60), (7, 60)):
        decision = checked(pack.decide(bill(500), {"admissions@2025": before}))
        assert amounts(decision, "basic.deductible") == [deductible]
        assert decision.changes == {"admissions@2025": 1}
    assert amounts(checked(pack.decide(bill(500), {"admissions@2024": 5})), "basic.deductible") == [100]


def test_other_care_counts_no_admission_but_knows_the_next() -> None:
    decision = checked(policy(benefit(BY_ADMISSION)).decide(bill(500), {"admissions@2025": 1}))
    assert amounts(decision, "basic.deductible") == [80]
    assert decision.changes == {}


def test_a_bill_may_bring_its_admission_number() -> None:
    pack = policy(benefit(BY_ADMISSION, counts_admission=True))
    decision = checked(pack.decide(bill(500, admission_no=3), {}))
    assert amounts(decision, "basic.deductible") == [60]


def test_a_stay_is_one_admission_however_many_settlements_it_has() -> None:
    pack = policy(benefit(BY_ADMISSION, counts_admission=True))
    first = checked(pack.decide(bill(500, episode="E1"), {}))
    assert first.changes == {"admissions@2025": 1, "admissions-of@episode:E1": 1}
    second = checked(pack.decide(bill(500, episode="E1"), first.changes))
    assert second.changes == {}
    assert amounts(second, "basic.deductible") == [100]
    other = checked(pack.decide(bill(500, episode="E2"), first.changes))
    assert amounts(other, "basic.deductible") == [80]
    assert other.changes == {"admissions@2025": 1, "admissions-of@episode:E2": 1}
    next_year = checked(pack.decide(bill(500, episode="E1", ends=date(2026, 1, 1)), first.changes))
    assert amounts(next_year, "basic.deductible") == [100]


# ----------------------------------------------------------------------------------------- account and cash


def account(**parts: Any) -> Policy:
    owed = layer(ratio=0.5, deductible={"amount": 20})
    return policy(benefit(owed, account={"pays": ["deductible", "by_ratio"], **parts}), items=CLASSES)


OWED = (line(100, "1", classed="甲"), line(30, "2", classed="丙"))


@pytest.mark.parametrize(
    ("parts", "given", "paid"),
    [
        ({}, {}, (0, 0, 90)),
        ({}, {"account": 10}, (10, 0, 80)),
        ({}, {"account": 60}, (60, 0, 30)),
        ({}, {"account": 100}, (60, 0, 30)),
        ({}, {"account": -5}, (0, 0, 90)),
        ({}, {"account": 10, "family": 20}, (10, 0, 80)),
        ({"family": True}, {"account": 10, "family": 20}, (10, 20, 60)),
        ({"family": True}, {"account": 10, "family": 200}, (10, 50, 30)),
        ({"family": True}, {"account": 100, "family": 200}, (60, 0, 30)),
        ({"family": True}, {"family": 200}, (0, 60, 30)),
        ({"family": True}, {"account": 10, "family": -5}, (10, 0, 80)),
        ({"pays": ["own"]}, {"account": 100}, (30, 0, 60)),
        ({"pays": ["deductible"]}, {"account": 100}, (20, 0, 70)),
        ({"pays": []}, {"account": 100}, (0, 0, 90)),
        ({"when": {"care": "购药"}}, {"account": 100}, (0, 0, 90)),
        ({"when": {"care": "购药"}}, {"account": 100, "care": "购药"}, (60, 0, 30)),
    ],
)
def test_the_account_pays_what_it_may(parts: dict[str, Any], given: dict[str, Any], paid: tuple[float, ...]) -> None:
    decision = decide(account(**parts), bill(*OWED, **given))
    assert (decision.account_fen / 100, decision.family_fen / 100, decision.cash_fen / 100) == paid
    assert parts_of(decision) == {"own": 30, "deductible": 20, "by_ratio": 40}
    assert decision.person_fen == 9000


def test_without_an_account_rule_all_is_cash() -> None:
    decision = decide(policy(benefit(HALF)), bill(100, account=80, family=80))
    assert (decision.account_fen, decision.family_fen, decision.cash_fen) == (0, 0, 5000)


def test_the_family_alone_pays_nothing_where_families_do_not_share() -> None:
    decision = decide(account(), bill(*OWED, family=80))
    assert (decision.account_fen, decision.family_fen) == (0, 0)


# ------------------------------------------------------------------------------------------ the whole bill


def test_a_bill_without_lines_is_nothing() -> None:
    decision = decide(policy(), bill())
    assert (decision.total_fen, decision.fund_fen, decision.cash_fen) == (0, 0, 0)


def test_more_voided_than_charged_is_no_basis() -> None:
    decision = decide(
        policy(benefit(layer(deductible={"amount": 10, "per": "year"}), layer("more", basis="person"))), bill(10, -30)
    )
    assert amounts(decision, "in_scope", "basic.basis", "fund", "more.fund") == [-20, 0, 0, 0]
    assert parts_of(decision) == {"over_cap": -20}
    assert moved(decision) == {}
    paid = decide(policy(benefit(layer(), account={"pays": ["over_cap"]})), bill(-30, account=10))
    assert paid.account_fen == 0


def big(amount_fen: int, number: str = "1") -> BillLine:
    return line(1, number)._replace(amount_fen=amount_fen)


def test_money_stays_within_its_bounds() -> None:
    pack = policy(benefit(HALF))
    assert decide(pack, bill(big(MAX_FEN))).total_fen == MAX_FEN
    for beyond in (
        (big(MAX_FEN + 1),),
        (big(MAX_FEN), big(1, "2")),
        (big(MAX_FEN), big(-1, "2")),
        (big(-MAX_FEN - 1),),
    ):
        assert code(pack, bill(*beyond)) == "policy.out-of-range"
    assert code(policy(benefit(layer(deductible={"amount": "10 * 99999999999999"}))), bill(1)) == "policy.out-of-range"


def test_the_light_path_decides_the_same() -> None:
    pack = policy(
        benefit(layer(tiers={"bands": [{"to": 50, "ratio": 0.5}, {"ratio": 0.9}]}), layer("more", basis="basic.left")),
        items=CLASSES,
    )
    asked = bill(*OWED)
    light = pack.decide(asked, {}, record=False)
    assert light.steps == ()
    assert replace(decide(pack, asked), steps=()) == light


def test_decisions_do_not_depend_on_what_was_decided_before() -> None:
    def fresh() -> Policy:
        return policy(
            benefit(
                layer(ratio={"by": "level", "table": {"三级": 0.5, "二级": 0.6}}), id="a", when={"age": {"below": 60}}
            ),
            benefit(layer(ratio="age / 100"), id="b", when={"age": {"from": 60}}),
            items=CLASSES,
        )

    asked = [bill(*OWED, level=level, age=age) for level in ("三级", "二级") for age in (59, 60, 61)]
    one = fresh()
    together = [decide(one, each) for each in asked + asked]
    assert together == [decide(fresh(), each) for each in asked + asked]


def test_kept_figures_do_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("figures", "items", "benefits"):
        monkeypatch.setattr(f"shared.policy.{module}._KEPT", 3)
    pack = policy(
        benefit(layer(ratio="age / 100"), when={"age": {"from": 0}}),
        items=[item("x", when={"age": {"from": 0}}, prepay="age / 1000")],
    )
    choice = pack._rules.choice
    one = choice._benefits[0]
    by_ratio = one.layers[0]._sharing
    assert isinstance(by_ratio, ByRatio)
    kept: list[dict[Any, Any]] = [choice._chosen, one.divider._plans, by_ratio._ratio._found]
    for age, sizes in ((0, 1), (1, 2), (1, 2), (2, 3), (3, 1), (4, 2)):
        assert decide(pack, bill(100, age=age)).fund_fen == round((10000 - 10 * age) * age / 100)
        assert [len(one_kept) for one_kept in kept] == [sizes] * 3


# ------------------------------------------------------------------------------------------------- unit prices

BY_PRICE = [
    {
        "id": "material",
        "otherwise": True,
        "prepay": {"by": "unit_price", "table": {"<1000": 0.1, "1000-4999.99": 0.2, "5000+": 0.3}},
        "clause": "c",
    },
    {"id": "dear", "when": {"class": "检查", "unit_price": {"from": 200}}, "scope": "out", "clause": "c"},
]


@pytest.mark.parametrize(
    ("parts", "prepaid"),
    [
        ({"amount": 999.99}, 100.00),
        ({"amount": 1000}, 200),
        ({"amount": 4999.99}, 1000.00),
        ({"amount": 5000}, 1500),
        ({"amount": 3000, "quantity": 3}, 600),
        ({"amount": 2999.97, "quantity": 3}, 300.00),
        ({"amount": 2999.98, "quantity": 3}, 300.00),
        ({"amount": 2999.99, "quantity": 3}, 600.00),
        ({"amount": 1500, "quantity": 0.5}, 450 / 1.5),
        ({"amount": 1000, "quantity": 0}, 200),
        ({"amount": 1000, "unit_price": 5000}, 300),
    ],
)
def test_the_price_of_a_unit_is_counted_to_the_fen(parts: dict[str, Any], prepaid: float) -> None:
    """2999.98 ÷ 3 is 999.99, 2999.99 ÷ 3 is 1000.00; what a line says of itself holds."""
    decision = decide(policy(items=BY_PRICE), bill(line(**parts)))
    assert decision.prepay_fen == round(prepaid * 100)


def test_lines_of_one_class_are_divided_each_by_its_price() -> None:
    """They share their facts, and a void is divided like what it takes back."""
    lines = (line(199.99, "1", classed="检查"), line(200, "2", classed="检查"), line(-200, "3", classed="检查"))
    shared = tuple(one._replace(facts=lines[0].facts) for one in lines)
    decision = decide(policy(items=BY_PRICE), bill(*shared))
    assert [one.rule for one in decision.lines] == ["material", "dear", "dear"]
    assert (decision.own_fen, decision.prepay_fen) == (0, 2000)


def test_a_limit_may_run_for_each_price() -> None:
    rule = {"id": "all", "otherwise": True, "limit": {"quantity": 1, "of": ["unit_price"]}, "clause": "c"}
    decision = decide(policy(items=[rule]), bill(line(100, "1"), line(200, "2"), line(100, "3")))
    assert decision.own_fen == 10_000


def test_units_beyond_a_limit_are_outside_the_scope_with_all_they_cost() -> None:
    """Two of three are in scope: 10 % is first paid of these, the third is the person's whole."""
    rule = {"id": "all", "otherwise": True, "prepay": 0.1, "limit": {"quantity": 2, "per": "lifetime"}, "clause": "c"}
    decision = decide(policy(items=[rule]), bill(line(3000, quantity=3)))
    assert (decision.own_fen, decision.prepay_fen, decision.in_scope_fen) == (100_000, 20_000, 180_000)
