"""Conditions: which facts fulfil which test, and what an absent fact does."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter

from shared.policy.conditions import compile_when
from shared.policy.document import When
from shared.policy.formula import FormulaError
from tests.policy.small import decimals, facts

WHEN: TypeAdapter[When] = TypeAdapter(When)


def holds(when: dict[str, Any], known: dict[str, Any]) -> bool:
    return compile_when(WHEN.validate_python(decimals(when)))(facts(known))


@pytest.mark.parametrize(
    ("test", "fact", "held"),
    [
        ("三级", "三级", True),
        ("三级", "二级", False),
        ("三级", None, False),
        (["三级", "二级"], "二级", True),
        (["三级", "二级"], "一级", False),
        (["三级", "二级"], None, False),
        ("低保", ["低保", "特困"], True),
        ("低保", ["特困"], False),
        ("低保", [], False),
        (["低保", "特困"], ["残疾", "特困"], True),
        (["低保", "特困"], ["残疾"], False),
        (1, 1, True),
        (1, 2, False),
        (1, None, False),
        (0, None, False),
        (0, 0, True),
        ([1, 2], 2, True),
        (True, True, True),
        (True, False, False),
        (True, None, False),
        (False, False, True),
        (False, True, False),
        (False, None, True),
        ([True, False], None, True),
        ({"not": "三级"}, "二级", True),
        ({"not": "三级"}, "三级", False),
        ({"not": "三级"}, None, True),
        ({"not": ["三级", "二级"]}, "二级", False),
        ({"not": ["三级", "二级"]}, "一级", True),
        ({"not": "低保"}, ["低保", "特困"], False),
        ({"not": "低保"}, ["特困"], True),
        ({"not": True}, None, True),
        ({"not": True}, True, False),
        ({"not": True}, False, True),
        ({"not": False}, None, False),
        ({"from": 60}, 60, True),
        ({"from": 60}, 59.99, False),
        ({"to": 60}, 60, True),
        ({"to": 60}, 60.01, False),
        ({"above": 60}, 60, False),
        ({"above": 60}, 60.01, True),
        ({"below": 60}, 60, False),
        ({"below": 60}, 59.99, True),
        ({"from": 18, "to": 59}, 18, True),
        ({"from": 18, "to": 59}, 59, True),
        ({"from": 18, "to": 59}, 17, False),
        ({"from": 18, "to": 59}, 60, False),
        ({"above": 18, "below": 59}, 58, True),
        ({"above": 18, "below": 59}, 18, False),
        ({"above": 18, "below": 59}, 59, False),
        ({"from": 18}, None, False),
        ({"from": 18}, "老", False),
        ({"from": 0}, ["老"], False),
        ({}, 1, True),
        ({}, None, False),
    ],
)
def test_one_test(test: Any, fact: Any, held: bool) -> None:
    known = {} if fact is None else {"x": fact}
    assert holds({"x": test}, known) is held


def test_all_must_hold() -> None:
    when = {"level": "三级", "age": {"from": 60}, "remote": {"not": "未备案"}}
    assert holds(when, {"level": "三级", "age": 60})
    assert not holds(when, {"level": "二级", "age": 60})
    assert not holds(when, {"level": "三级", "age": 59})
    assert not holds(when, {"level": "三级", "age": 60, "remote": "未备案"})


def test_nothing_asked_holds_for_everybody() -> None:
    assert holds({}, {})


def test_equal_values_are_decided_alike() -> None:
    for one, other in ((1, Decimal("1.0")), (True, 1)):
        when = compile_when({"x": Decimal(1)})
        assert when({"x": one}) is when({"x": other}) is True


def formula_holds(when: dict[str, Any], known: dict[str, Any], **amounts: int) -> bool:
    return compile_when(WHEN.validate_python(decimals(when)))(facts(known), amounts.__getitem__)


def test_a_formula_compares() -> None:
    when = {"if": "person > 2 * cost"}
    assert formula_holds(when, {}, person=21, cost=10)
    assert not formula_holds(when, {}, person=20, cost=10)


def test_a_formula_is_computed_only_when_all_else_holds() -> None:
    when = {"level": "三级", "if": "unknown > 1"}
    assert not formula_holds(when, {"level": "二级"})
    with pytest.raises(KeyError):
        formula_holds(when, {"level": "三级"})


def test_of_several_comparisons_all_must_hold() -> None:
    when = {"if": ["cost > 1", "cost <= mean"]}
    assert [formula_holds(when, {}, cost=cost, mean=5) for cost in (1, 2, 5, 6)] == [False, True, True, False]
    assert compile_when({"if": ["cost > 1", "cost <= mean"]}).names == {"cost", "mean"}


def test_what_it_asks_for() -> None:
    when = compile_when({"level": "三级", "if": "cost > 2 * mean"})
    assert when.facts == ("level",)
    assert when.names == {"cost", "mean"}
    assert compile_when({}).names == frozenset()


def test_a_formula_must_compare() -> None:
    with pytest.raises(FormulaError):
        compile_when({"if": "cost + 1"})


def test_without_a_lookup_a_formula_knows_nothing() -> None:
    with pytest.raises(LookupError):
        compile_when({"if": "cost > 1"})({})
