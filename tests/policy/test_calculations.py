"""Calculations: questions that are not bills, step by step, each rounded as it says."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from shared.money import MAX_FEN
from shared.policy.decision import Answered
from shared.policy.engine import Policy, Undecidable
from shared.policy.working import recompute
from tests.policy.small import facts, policy

FIGURES = {"avg-wage": {"value": 8000, "clause": "c"}}


def asked(*steps: dict[str, Any], **parts: Any) -> Policy:
    """A pack with one calculation of these steps, which all are its results."""
    given = [{"title": one["id"], "clause": "c", **one} for one in steps]
    calculation = {
        "id": "question",
        "title": "question",
        "kind": "contribution",
        "clause": "c",
        "steps": given,
        "results": [one["id"] for one in given],
        **parts,
    }
    return policy(calculations=[calculation], figures=FIGURES)


def answer(pack: Policy, inputs: dict[str, float | str] | None = None, **known: Any) -> Answered:
    """The answer, whose steps give it again."""
    given = {name: Decimal(str(value)) for name, value in (inputs or {}).items()}
    answered = pack.calculate("question", facts(known), given)
    told = recompute(answered.steps)
    for name, value in answered.values.items():
        written = told[name.replace("-", "_")]
        assert written * 100 == value if answered.units[name] == "yuan" else written == value
    return answered


def refused(pack: Policy, inputs: dict[str, float | str] | None = None, **known: Any) -> Undecidable:
    with pytest.raises(Undecidable) as refusal:
        answer(pack, inputs, **known)
    return refusal.value


NEEDS = {"wage": {"title": "工资"}, "months": {"title": "月数", "unit": "count", "default": 12}}


def test_a_contribution_with_floor_and_ceiling() -> None:
    pack = asked(
        {"id": "base", "figure": {"value": "wage", "at_least": "0.6 * avg_wage", "at_most": "3 * avg_wage"}},
        {"id": "employer-part", "figure": "base * 8%"},
        {"id": "person_part", "figure": "base * 2%"},
        {"id": "year", "figure": "(employer_part + person_part) * months"},
        needs=NEEDS,
    )
    for wage, base in ((1000, 480000), (5000.05, 500005), (99999, 2400000)):
        assert answer(pack, {"wage": wage}).values["base"] == base
    answered = answer(pack, {"wage": 5000.05})
    assert answered.values == {"base": 500005, "employer-part": 40000, "person_part": 10000, "year": 600000}
    assert answer(pack, {"wage": 5000.05, "months": 1}).values["year"] == 50000
    assert (answered.calculation, answered.results) == ("question", ("base", "employer-part", "person_part", "year"))
    assert set(answered.units.values()) == {"yuan"}


@pytest.mark.parametrize(
    ("rounded", "unit", "figure", "value"),
    [
        ("fen", "yuan", "10 / 3", 333),
        ("fen", "yuan", "20 / 3", 667),
        ("fen", "yuan", "0.005 * 1", 1),
        ("fen", "yuan", "-0.005 * 1", -1),
        ("fen", "yuan", "0.0049 * 1", 0),
        ("jiao", "yuan", "12.34", 1230),
        ("jiao", "yuan", "12.35", 1240),
        ("yuan", "yuan", "12.49", 1200),
        ("yuan", "yuan", "12.5", 1300),
        ("whole", "days", "12.5", 13),
        ("whole", "days", "12.4", 12),
        ("none", "yuan", "10 / 3", Fraction(1000, 3)),
        ("none", "yuan", "12.34", 1234),
        ("none", "ratio", "1 / 3", Fraction(1, 3)),
        ("none", "months", "6", 6),
    ],
)
def test_each_step_is_rounded_as_it_says(rounded: str, unit: str, figure: str, value: Any) -> None:
    answered = answer(asked({"id": "x", "figure": figure, "unit": unit, "round": rounded}))
    assert answered.values == {"x": value}
    assert isinstance(answered.values["x"], int) == (unit == "yuan" and value == int(value))


def test_steps_are_rounded_before_they_are_used() -> None:
    thrice = {"id": "thrice", "figure": "third * 3"}
    assert answer(asked({"id": "third", "figure": "10 / 3"}, thrice)).values["thrice"] == 999
    assert answer(asked({"id": "third", "figure": "10 / 3", "round": "none"}, thrice)).values["thrice"] == 1000


def test_fen_are_the_default() -> None:
    assert answer(asked({"id": "x", "figure": "1 / 3", "unit": "count"})).values == {"x": Fraction(33, 100)}


def test_a_step_that_does_not_hold_is_nothing() -> None:
    pack = asked(
        {"id": "top-up", "figure": 100, "when": {"group": "退休"}},
        {"id": "more", "figure": "top_up + 1"},
        {"id": "late", "figure": 5, "when": {"if": "top_up > 50"}},
    )
    assert answer(pack, group="退休").values == {"top-up": 10000, "more": 10100, "late": 500}
    answered = answer(pack, group="在职")
    assert answered.values == {"top-up": 0, "more": 100, "late": 0}
    assert answered.steps[0][:3] == ("find", "top_up", (("fact:group", "在职"), (":zero", 0)))


def test_figures_of_a_step_may_look_at_earlier_steps_and_inputs() -> None:
    rule = {
        "value": 98,
        "adjust": [
            {"when": {"birth": "剖宫产"}, "add": 15},
            {"when": {"if": "children > 1"}, "add": "15 * (children - 1)"},
        ],
    }
    pack = asked(
        {"id": "days", "figure": rule, "unit": "days", "round": "whole"},
        {"id": "allowance", "figure": "wage / 30 * days"},
        needs={"wage": {"title": "w"}, "children": {"title": "n", "unit": "count", "default": 1}},
    )
    assert answer(pack, {"wage": 6000}).values["allowance"] == 1960000
    assert answer(pack, {"wage": 6000}, birth="剖宫产").values["allowance"] == 2260000
    assert answer(pack, {"wage": 6000, "children": 3}, birth="剖宫产").values == {"days": 143, "allowance": 2860000}
    assert answer(pack, {"wage": 6000}).values["allowance"] == 1960000


def test_tables_and_number_facts() -> None:
    by_age = {"by": "age", "table": {"<45": "0.028 * avg_wage", "45+": "0.03 * avg_wage + age"}}
    pack = asked({"id": "credit", "figure": by_age})
    assert answer(pack, age=44).values == {"credit": 22400}
    assert answer(pack, age=45).values == {"credit": 28500}


def test_inputs_come_before_facts_of_their_name() -> None:
    pack = asked({"id": "x", "figure": "years_paid"}, needs={"years-paid": {"title": "n"}})
    assert answer(pack, {"years-paid": 3}, years_paid=9).values == {"x": 300}


def test_inputs_that_are_missing_or_unknown_are_named_all_at_once() -> None:
    pack = asked({"id": "x", "figure": "wage"}, needs={**NEEDS, "days": {"title": "d"}})
    missing = refused(pack, {"months": 1, "wages": 1}).reason
    assert missing.code == "policy.input-missing"
    assert ("wage, days" in missing.en, "wages" in missing.en, "wage、days" in missing.zh) == (True, True, True)
    unknown = refused(pack, {"wage": 1, "days": 1, "wages": 1}).reason
    assert unknown.code == "policy.input-unknown"
    assert "wages" in unknown.en


def test_for_whom_it_is_not() -> None:
    pack = asked({"id": "x", "figure": 1}, when={"scheme": "职工"})
    assert answer(pack, scheme="职工").values == {"x": 100}
    refusal = refused(pack, scheme="居民").reason
    assert (refusal.code, refusal.clauses) == ("policy.not-applicable", ("c",))


def test_what_cannot_be_computed() -> None:
    assert refused(
        asked({"id": "x", "figure": "1 / zero"}, needs={"zero": {"title": "z"}}), {"zero": 0}
    ).reason.code == ("policy.division-by-zero")
    assert refused(asked({"id": "x", "figure": "weight"})).reason.code == "policy.fact-missing"
    for sign in (1, -1):
        largest = asked({"id": "x", "figure": f"{sign} * wage"}, needs=NEEDS)
        assert answer(largest, {"wage": "99999999999999.99"}).values == {"x": sign * MAX_FEN}
        assert refused(largest, {"wage": "100000000000000"}).reason.code == "policy.out-of-range"
    with pytest.raises(Undecidable) as refusal:
        asked({"id": "x", "figure": 1}).calculate("other", {}, {})
    assert refusal.value.reason.code == "policy.no-calculation"


def test_only_what_answers_the_question_is_a_result() -> None:
    pack = asked({"id": "base", "figure": 1}, {"id": "due", "figure": "base * 2"}, results=["due"])
    answered = answer(pack)
    assert (answered.results, answered.values["base"]) == (("due",), 100)


def test_inputs_may_be_fractions() -> None:
    pack = asked({"id": "x", "figure": "wage * 3"}, needs={"wage": {"title": "w"}})
    assert pack.calculate("question", {}, {"wage": Fraction(1, 3)}).values == {"x": 100}
    assert pack.calculate("question", {}, {"wage": Decimal("0.333")}).values == {"x": 100}


def test_its_steps_name_their_clauses() -> None:
    pack = asked({"id": "x", "figure": "wage", "clause": "s"}, needs=NEEDS)
    made = {(one.name, one.kind): one.clauses for one in answer(pack, {"wage": 1}).steps}
    assert made[("wage", "find")] == ("c",)
    assert made[("x", "formula")] == ("s",)
    assert made[("x", "round")] == ("s",)
