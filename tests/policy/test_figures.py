"""Figures: numbers, formulas, tables, cases, adjustments, bounds; and what is refused instead of guessed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pydantic import TypeAdapter

from shared.policy.decision import NotPaid
from shared.policy.document import Figure
from shared.policy.figures import CompiledFigure, Unit, number_range
from shared.policy.scope import Scope
from shared.policy.undecidable import Undecidable
from shared.policy.working import recompute
from tests.policy.small import decimals, facts

FIGURE: TypeAdapter[Any] = TypeAdapter(Figure)
NUMBERS = {"avg_wage": Fraction(80000), "rate": Fraction(3, 100)}


def compiled(written: Any, unit: Unit = "number") -> CompiledFigure:
    return CompiledFigure(FIGURE.validate_python(decimals(written)), "x", unit, ("c",))


def scope(**known: Any) -> Scope:
    made = Scope(facts(known), NUMBERS)
    made.quantities.update(in_scope=100_000, paid=25_050)
    return made


def found(written: Any, unit: Unit = "number", **known: Any) -> Fraction | int:
    """The figure, found twice with one answer, and its steps giving it again."""
    figure = compiled(written, unit)
    first = scope(**known)
    value: Fraction | int = figure.find(first)
    again = scope(**known)
    assert figure.find(again) == value
    assert again.steps == first.steps
    assert first.steps
    assert recompute(first.steps)["x"] == value == first.quantities["x"]
    return value


def refused(written: Any, unit: Unit = "number", **known: Any) -> str:
    return reason(written, unit, **known).code


def reason(written: Any, unit: Unit = "number", **known: Any) -> NotPaid:
    with pytest.raises(Undecidable) as refusal:
        found(written, unit, **known)
    assert str(refusal.value) == f"{refusal.value.reason.code.removeprefix('policy.')}: {refusal.value.reason.en}"
    return refusal.value.reason


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (1200, 1200),
        (0.85, Fraction(17, 20)),
        ("85%", Fraction(17, 20)),
        ("0.05 * avg_wage", 4000),
        ("avg_wage / 12 * rate", 200),
        ("in_scope - paid", Fraction("749.50")),
        ({"value": 5}, 5),
        ({"value": "2 * 3"}, 6),
        ({"value": 7, "at_least": 5}, 7),
        ({"value": 4, "at_least": 5}, 5),
        ({"value": 7, "at_most": 5}, 5),
        ({"value": 4, "at_most": 5}, 4),
        ({"value": 4, "at_least": "2 * 3", "at_most": 9}, 6),
        ({"value": 0.15, "share": "person"}, Fraction(17, 20)),
        ({"value": 0.15, "share": "fund"}, Fraction(3, 20)),
        ({"value": 0.2, "adjust": [{"times": 0.5}], "share": "person"}, Fraction(9, 10)),
        ({"value": 100, "adjust": [{"add": -30}]}, 70),
        ({"value": 100, "adjust": [{"times": 0.5}]}, 50),
        ({"value": 100, "adjust": [{"set": 7}]}, 7),
        ({"value": 100, "adjust": [{"add": 20}, {"times": 2}]}, 240),
        ({"value": 100, "adjust": [{"times": 2}, {"add": 20}]}, 220),
        ({"value": 100, "adjust": [{"set": 10}, {"add": 1}, {"set": 3}]}, 3),
        ({"value": 100, "adjust": [{"add": "rate * 100"}]}, 103),
        ({"value": 100, "adjust": [{"add": -90}], "at_least": 30}, 30),
        ({"value": 100, "adjust": [{"add": 90}], "at_most": 130}, 130),
    ],
)
def test_figure(written: Any, value: Any) -> None:
    assert found(written) == value


def test_adjustments_for_those_they_are_for() -> None:
    written = {
        "value": 0.80,
        "adjust": [
            {"when": {"group": "退休"}, "add": 0.05},
            {"when": {"remote": "转诊"}, "times": 0.9},
            {"when": {"if": "age >= 90"}, "set": 1},
        ],
    }
    assert found(written, age=50) == Fraction("0.80")
    assert found(written, age=50, group="退休") == Fraction("0.85")
    assert found(written, age=50, remote="转诊") == Fraction("0.72")
    assert found(written, age=50, group="退休", remote="转诊") == Fraction("0.765")
    assert found(written, age=90, group="退休") == 1


def test_an_adjustment_may_be_read_from_a_table() -> None:
    points = {"by": "age", "table": {"<60": 0, "60-79": 0.02, "80+": {"value": 0.05, "at_most": 0.04}}}
    written = {"value": 0.85, "adjust": [{"when": {"group": "退休"}, "add": points}]}
    assert found(written, age=60, group="在职") == Fraction("0.85")
    assert [found(written, age=age, group="退休") for age in (59, 60, 80)] == [
        Fraction("0.85"),
        Fraction("0.87"),
        Fraction("0.89"),
    ]
    factor = {"value": 100, "adjust": [{"times": {"cases": [{"when": {"age": 60}, "value": 2}]}}, {"set": points}]}
    assert found(factor, age=60) == Fraction("0.02")
    assert refused({"value": 1, "adjust": [{"times": points}]}) == "policy.fact-missing"


LEVELS = {"by": "level", "table": {"三级": 1000, "二级": "600 + 0", "一级": {"value": 300, "adjust": [{"add": 1}]}}}


def test_table_by_a_word() -> None:
    assert found(LEVELS, level="三级") == 1000
    assert found(LEVELS, level="二级") == 600
    assert found(LEVELS, level="一级") == 301
    assert refused(LEVELS, level="社区") == "policy.no-value"
    assert refused(LEVELS) == "policy.fact-missing"


def test_table_with_a_row_for_the_rest() -> None:
    written = {"by": "level", "table": {"三级": 1000, "otherwise": 200}}
    assert found(written, level="三级") == 1000
    assert found(written, level="社区") == 200
    assert found(written, level="otherwise") == 200
    assert refused(written) == "policy.fact-missing"


def test_table_of_several_facts_from_outside_to_inside() -> None:
    written = {
        "by": ["level", "group"],
        "table": {"三级": {"在职": 0.85, "退休": 0.9}, "otherwise": {"在职": 0.9, "otherwise": 0.95}},
    }
    assert found(written, level="三级", group="退休") == Fraction("0.9")
    assert found(written, level="二级", group="在职") == Fraction("0.9")
    assert found(written, level="二级", group="学生") == Fraction("0.95")
    assert refused(written, level="三级", group="学生") == "policy.no-value"
    assert refused(written, level="三级") == "policy.fact-missing"


AGES = {"by": "age", "table": {"<18": 1, "18": 2, "19-59": 3, "60-69.5": 4, "80+": 5}}


@pytest.mark.parametrize(
    ("age", "value"),
    [(0, 1), (17.99, 1), (18, 2), (19, 3), (59, 3), (60, 4), (69.5, 4), (80, 5), (120, 5)],
)
def test_table_by_a_number(age: float, value: int) -> None:
    assert found(AGES, age=age) == value


@pytest.mark.parametrize("age", [18.5, 59.5, 69.6, 79.9])
def test_table_by_a_number_with_a_gap(age: float) -> None:
    assert refused(AGES, age=age) == "policy.no-value"


def test_rows_that_overlap_are_not_chosen_between() -> None:
    written = {"by": "age", "table": {"0-10": 1, "10-20": 2}}
    assert found(written, age=9) == 1
    assert refused(written, age=10) == "policy.two-rules"


def test_table_by_marks() -> None:
    written = {"by": "marks", "table": {"低保": 1, "特困": 2, "otherwise": 3}}
    assert found(written, marks=["低保", "残疾"]) == 1
    assert found(written, marks=["残疾"]) == 3
    assert found(written, marks=["otherwise"]) == 3
    assert refused(written, marks=["低保", "特困"]) == "policy.two-rules"


def test_table_by_a_flag() -> None:
    written = {"by": "contracted", "table": {"true": 1, "false": 2}}
    assert found(written, contracted=True) == 1
    assert found(written, contracted=False) == 2
    assert refused({"by": "contracted", "table": {"true": 1}}, contracted=False) == "policy.no-value"


@pytest.mark.parametrize("key", ["三级", "otherwise", "60 +", "-5", ">5", "5-", "a5", "1-2-3"])
def test_other_keys_are_words(key: str) -> None:
    assert number_range(key) is None


CASES = {
    "cases": [
        {"when": {"birth": "顺产"}, "value": 98},
        {"when": {"birth": "剖宫产"}, "value": {"value": 98, "adjust": [{"add": 45}]}},
        {"otherwise": True, "value": 15},
    ]
}


def test_cases() -> None:
    assert found(CASES, birth="顺产") == 98
    assert found(CASES, birth="剖宫产") == 143
    assert found(CASES, birth="流产") == 15
    assert found(CASES) == 15


def test_cases_that_overlap_or_leave_a_gap() -> None:
    written = {"cases": [{"when": {"age": {"from": 50}}, "value": 1}, {"when": {"age": {"from": 60}}, "value": 2}]}
    assert found(written, age=59) == 1
    assert refused(written, age=60) == "policy.two-rules"
    assert refused(written, age=49) == "policy.no-value"


@pytest.mark.parametrize(
    ("value", "fen"),
    [(12.34, 1234), ("1 / 3", 33), ("2 / 3", 67), ("0.005 * 1", 1), ("0.0049 * 1", 0), (-5, 0), (0, 0)],
)
def test_an_amount_is_whole_fen_and_never_below_zero(value: Any, fen: int) -> None:
    got = found(value, "amount")
    assert (got, type(got)) == (fen, int)


@pytest.mark.parametrize(("value", "price"), [("1 / 3", Fraction(100, 3)), (12.3456, Fraction("1234.56")), (-5, 0)])
def test_a_unit_price_keeps_its_fractions(value: Any, price: Any) -> None:
    assert found(value, "unit_price") == price


@pytest.mark.parametrize("value", [0, 1, 0.5])
def test_a_ratio_lies_between_0_and_1(value: float) -> None:
    assert found(value, "ratio") == Fraction(str(value))


@pytest.mark.parametrize("value", [-0.0001, 1.0001, "avg_wage"])
def test_a_ratio_outside_is_refused_not_clamped(value: Any) -> None:
    assert refused(value, "ratio") == "policy.out-of-range"


def test_what_a_formula_cannot_know() -> None:
    assert refused("age * 2") == "policy.fact-missing"
    assert refused("group * 2", group="在职") == "policy.not-a-number"
    assert refused("basic.fund * 2") == "policy.fact-missing"
    assert refused("1 / (in_scope - in_scope)") == "policy.division-by-zero"
    assert refused({"value": 1, "adjust": [{"when": {"if": "1 / (age - 5) > 0"}, "add": 1}]}, age=5) == (
        "policy.division-by-zero"
    )


def test_names_mean_quantities_first_then_figures_of_the_pack_then_facts() -> None:
    assert found("in_scope + avg_wage + age", in_scope=7, avg_wage=7, age=7) == 1000 + 80000 + 7
    assert found("tag.特药 + tag_scope.特药 + class.丙 + class_scope.丙") == 0


def test_a_figure_that_asks_for_quantities_is_found_anew() -> None:
    figure = compiled("in_scope * 2")
    one = scope()
    assert figure.find(one) == 2000
    other = scope()
    other.quantities["in_scope"] = 100
    assert figure.find(other) == 2


def test_figures_kept_are_those_of_equal_facts_only() -> None:
    figure = compiled(
        {"by": "level", "table": {"三级": 1, "二级": 2}, "adjust": [{"when": {"age": {"from": 60}}, "add": 5}]}
    )
    assert [figure.find(scope(level=level, age=age)) for level, age in (("三级", 1), ("二级", 1), ("三级", 60))] == [
        1,
        2,
        6,
    ]


def test_a_refusal_says_what_and_by_which_clause() -> None:
    two = {"cases": [{"when": {}, "value": 1}, {"when": {"age": 9}, "value": 2}, {"when": {}, "value": 3}]}
    assert (reason(two).en, reason(two).clauses) == ("several cases of x hold at once: 1, 3", ("c",))
    assert reason({"cases": [{"when": {"age": 9}, "value": 2}]}).zh == "x没有一种情形适用"
    missing = reason(LEVELS, level="社区")
    assert (missing.en, missing.clauses) == ("x has no value for '社区'", ("c",))
    rows = reason({"by": "age", "table": {"0-10": 1, "10+": 2}}, age=10)
    assert (rows.en, rows.clauses) == ("several rows of x hold at once: 10", ("c",))
    assert reason(LEVELS).clauses == ("c",)
    assert reason(2, "ratio").clauses == ("c",)
    assert (
        "1 / (age - 5) > 0"
        in reason({"value": 1, "adjust": [{"when": {"if": "1 / (age - 5) > 0"}, "add": 1}]}, age=5).en
    )
    assert "1 / (age - 5)" in reason("1 / (age - 5)", age=5).en


def test_a_case_is_told_with_its_facts_and_clause() -> None:
    made = scope(birth="顺产")
    compiled(
        {"cases": [{"when": {"birth": "顺产"}, "value": 98, "clause": "b"}, {"otherwise": True, "value": 15}]}
    ).find(made)
    assert [(step.kind, step.inputs, step.clauses) for step in made.steps or ()] == [
        ("choose", (("fact:birth", "顺产"), (":case", 1)), ("b",)),
        ("find", ((":value", 98),), ("b",)),
    ]


def test_an_adjustment_is_told_with_its_facts() -> None:
    made = scope(age=70, marks=["低保", "特困"], contracted=True)
    when = {"age": {"from": 60}, "marks": "低保", "contracted": True, "remote": {"not": "未备案"}}
    compiled({"value": 1, "adjust": [{"when": when, "add": 2}]}).find(made)
    assert (made.steps or [])[-1].inputs == (
        ("fact:age", 70),
        ("fact:marks", ("低保", "特困")),
        ("fact:contracted", True),
        ("x", 1),
        ("x.add", 2),
    )


def test_its_steps_name_the_clause_of_each_rule() -> None:
    figure = compiled({"value": 1, "clause": "rule", "adjust": [{"add": 1, "clause": "adjust"}, {"times": 2}]})
    made = scope()
    figure.find(made)
    assert [(step.kind, step.name, step.clauses) for step in made.steps or ()] == [
        ("find", "x", ("rule",)),
        ("find", "x.add", ("adjust",)),
        ("add", "x", ("adjust",)),
        ("find", "x.times", ("rule",)),
        ("times", "x", ("rule",)),
    ]


def test_a_choice_tells_by_which_facts() -> None:
    made = scope(level="三级")
    compiled(LEVELS).find(made)
    assert made.steps is not None
    assert made.steps[0][:3] == ("choose", "x.row", (("fact:level", "三级"),))
