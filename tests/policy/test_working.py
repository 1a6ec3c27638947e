"""The record: it is the calculation, so computing it again gives the same fen, and any change to it is found."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from shared.policy.decision import Decision, Slice, Step
from shared.policy.record import packed, unpacked
from shared.policy.working import OPERATIONS, WorkingError, recompute
from tests.policy.small import benefit, bill, decide, layer, line, policy

ITEMS = [
    {
        "id": "drug",
        "when": {"class": "乙"},
        "prepay": 0.1,
        "ceiling": "line",
        "limit": {"amount": 500, "per": "year"},
        "clause": "i",
    },
    {"id": "bed", "when": {"class": "床"}, "limit": {"quantity": 2}, "clause": "i"},
    {"id": "rest", "otherwise": True, "clause": "i"},
]
BANDS = [{"to": 300, "ratio": 0.5}, {"to": "avg_wage", "ratio": 0.7}, {"ratio": 0.9}]


def whole() -> Decision:
    """A decision with nearly every kind of step."""
    pack = policy(
        benefit(
            layer(
                "basic",
                limits=[{"amount": 3000}],
                deductible={"amount": {"value": 200, "adjust": [{"times": 0.5}, {"add": 7}]}, "per": "year"},
                tiers={"axis": "gross", "running": "year", "bands": BANDS},
                person_ceiling={"amount": 600},
                caps=[{"amount": 1000}, {"amount": 1500, "per": "month"}],
            ),
            layer("large", basis="0.5 * basic.left", ratio={"value": 0.3, "share": "person", "at_most": 0.9}),
            layer(
                "package", basis="person", fixed={"amount": 100, "deficit": "facility", "per": "day"}, absorbs=["own"]
            ),
            layer("skipped", when={"marks": "特困"}),
            account={"pays": ["own", "over_cap", "deductible"], "family": True},
        ),
        items=ITEMS,
        figures={"avg_wage": {"value": 700, "clause": "c"}},
    )
    asked = bill(
        line(400, "1", prepay=0.1, ceiling=390, classed="乙"),
        line(200, "2", classed="乙"),
        line(90, "3", quantity=3, classed="床"),
        line(3000, "4"),
        days=2,
        account=10,
        family=10,
        marks=["低保"],
    )
    return decide(pack, asked, **{"basic-sum__2025": 100})


DECISION = whole()


def test_computing_it_again_gives_the_same_fen() -> None:
    told = recompute(DECISION.steps)
    for name in ("total", "own", "over_ceiling", "prepay", "in_scope", "fund", "hospital", "cash", "account", "family"):
        assert told[name] == getattr(DECISION, f"{name}_fen")
    assert told["parts"] == tuple(DECISION.parts_fen.values())
    for one in DECISION.layers:
        assert (told[f"{one.id}.fund"], told[f"{one.id}.basis"]) == (one.fund_fen, one.basis_fen)


def test_what_was_stored_gives_the_same_fen() -> None:
    assert recompute(unpacked(packed(DECISION.steps))) == recompute(DECISION.steps)


def test_the_example_has_nearly_every_kind_of_step() -> None:
    elsewhere = {"unit_price", "waive", "stated_line", "out_line", "set", "at_least", "round", "share_down", "look"}
    assert {one.kind for one in DECISION.steps} >= OPERATIONS.keys() - elsewhere - {"line"}


@pytest.mark.parametrize("place", range(len(DECISION.steps)))
def test_a_changed_result_is_found(place: int) -> None:
    one = DECISION.steps[place]
    changed = one._replace(result=_other(one.result))
    with pytest.raises(WorkingError) as found:
        recompute([*DECISION.steps[:place], changed, *DECISION.steps[place + 1 :]])
    assert found.value.number == place + 1
    assert found.value.step == changed
    assert str(found.value).startswith(f"step {place + 1} ({one.name}): ")


def _other(value: Any) -> Any:
    if isinstance(value, tuple):
        return (value[0] + 1, *value[1:])
    return value + 1 if isinstance(value, int | Fraction) else f"{value}?"


LINKED = [
    (place, operand)
    for place, one in enumerate(DECISION.steps)
    for operand, (name, _) in enumerate(one.inputs)
    if name in {before.name for before in DECISION.steps[:place]}
]


@pytest.mark.parametrize(("place", "operand"), LINKED)
def test_an_input_that_is_not_the_earlier_result_is_found(place: int, operand: int) -> None:
    one = DECISION.steps[place]
    name, value = one.inputs[operand]
    inputs = (*one.inputs[:operand], (name, _other(value)), *one.inputs[operand + 1 :])
    changed = one._replace(inputs=inputs)
    with pytest.raises(WorkingError) as found:
        recompute([*DECISION.steps[:place], changed, *DECISION.steps[place + 1 :]])
    assert found.value.number == place + 1
    assert name in str(found.value)


def test_a_consistent_lie_is_found_where_the_result_is_used() -> None:
    place = next(place for place, one in enumerate(DECISION.steps) if one.name == "basic.band1.ratio")
    lie = DECISION.steps[place]._replace(inputs=((":value", Fraction(1)),), result=Fraction(1))
    with pytest.raises(WorkingError) as found:
        recompute([*DECISION.steps[:place], lie, *DECISION.steps[place + 1 :]])
    assert found.value.number > place + 1


def test_a_step_left_out_is_found_by_its_result() -> None:
    place = next(place for place, one in enumerate(DECISION.steps) if one.name == "basic.deductible")
    shorter = [*DECISION.steps[:place], *DECISION.steps[place + 1 :]]
    assert "basic.deductible" not in {one.name for one in shorter[: place + 1]}
    told = recompute(shorter)
    assert "basic.deductible" not in told


def test_what_is_no_step() -> None:
    for one in (
        Step("guess", "x", (), 1),
        Step("share", "x", (("a", 1),), 1),
        Step("share", "x", (("a", 1), ("b", "c")), 1),
        Step("formula", "x", ((":formula", "1 +"),), Fraction(1)),
        Step("formula", "x", ((":formula", "y"),), Fraction(1)),
        Step("formula", "x", ((":formula", "1 / 0"),), Fraction(1)),
        Step("line_sum", "x", ((":part", "nothing"),), 1),
    ):
        with pytest.raises(WorkingError) as found:
            recompute([Step("sum", "before", (), 0), one])
        assert found.value.number == 2


def test_a_fen_is_not_the_number_one() -> None:
    with pytest.raises(WorkingError):
        recompute([Step("find", "x", ((":value", Fraction(1)),), 1)])
    with pytest.raises(WorkingError):
        recompute([Step("find", "x", ((":value", 1),), 1), Step("find", "y", (("x", Fraction(1)),), Fraction(1))])


def given(*values: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((f"operand{place}", value) for place, value in enumerate(values))


@pytest.mark.parametrize(
    ("kind", "operands", "result"),
    [
        ("find", (1, 2, 3), 3),
        ("choose", ("a", "b"), "b"),
        ("skip", (5,), 0),
        ("waive", (5,), 0),
        ("fen", (Fraction("1.235"),), 124),
        ("fen", (Fraction("-1.235"),), 0),
        ("unit_price", (Fraction("1.2345"),), Fraction("123.45")),
        ("add", ("fact", Fraction(2), Fraction(3)), 5),
        ("times", ("fact", Fraction(2), Fraction(3)), 6),
        ("set", ("fact", Fraction(2), Fraction(3)), 3),
        ("at_least", (2, 3), 3),
        ("at_most", (2, 3), 2),
        ("complement", (Fraction(1, 4),), Fraction(3, 4)),
        ("round", (Fraction("1.25"), Fraction(1, 10)), Fraction("1.3")),
        ("round", (Fraction("-1.25"), Fraction(1, 10)), Fraction("-1.3")),
        ("line", (105, Fraction(1, 10)), (105, 0, 0, 11, 94)),
        ("line", (-105, Fraction(1, 10)), (-105, 0, 0, -11, -94)),
        ("priced_line", (100, Fraction(30), Fraction(2), Fraction(1, 10)), (100, 0, 40, 6, 54)),
        ("priced_line", (100, Fraction("49.75"), Fraction(2), Fraction(0)), (100, 0, 1, 0, 99)),
        ("priced_line", (100, Fraction("49.76"), Fraction(2), Fraction(0)), (100, 0, 0, 0, 100)),
        ("out_line", (100,), (100, 100, 0, 0, 0)),
        ("stated_line", (100, 10, 20, 30), (100, 10, 20, 30, 40)),
        ("limited_line", ((100, 10, 20, 30, 40), 25, 0), (100, 25, 20, 30, 25)),
        ("limited_line", ((100, 10, 20, 30, 40), 40, 0), (100, 10, 20, 30, 40)),
        ("limited_line", ((100, 10, 20, 30, 40), -5, 0), (100, 50, 20, 30, 0)),
        ("limited_line", ((-40, 0, 0, 0, -40), 0, 15), (-40, -15, 0, 0, -25)),
        ("counted_line", ((100, 10, 20, 30, 40), 400, 100, 0), (100, 77, 5, 8, 10)),
        ("counted_line", ((100, 10, 20, 30, 40), 400, 400, 0), (100, 10, 20, 30, 40)),
        ("counted_line", ((-100, -10, -20, -30, -40), -400, 0, 300), (-100, -77, -5, -8, -10)),
        ("look", ((1, 2, 3, 4, 5, 60), 50, 7, 8), (1, 2, 3, 11, 13, 45)),
        ("look", ((1, 2, 3, 4, 5, 60), 9, 7, 8), (1, 2, 3, 11, 7, 51)),
        ("look", ((1, 2, 3, 4, 5, 6), 50, 7, 8), (1, 2, 3, 10, 5, 0)),
        ("look", ((0, 0, 0, 0, 0, -6), 50, 7, 8), (0, 0, 0, 0, 0, -6)),
        ("line_sum", ("in_scope", (1, 2, 3, 4, 5), (10, 20, 30, 40, 50)), 55),
        ("basis", ("in_scope - paid", 100, 30, 1000), 70),
        ("sum", (1, 2, 3), 6),
        ("sum", (), 0),
        ("difference", (10, 2, 3), 5),
        ("difference", (1, 2), -1),
        ("excess", (10, 2, 3), 5),
        ("excess", (1, 2), 0),
        ("room", (10, 12), 0),
        ("least", (3, 1, 2), 1),
        ("share", (3, Fraction(1, 2)), 2),
        ("share_down", (3, Fraction(1, 2)), 1),
        ("multiple", (3, Fraction(5, 2)), 8),
        ("overlap", (10, 50, 20, 40), 20),
        ("overlap", (10, 50, 0, 40), 30),
        ("overlap", (10, 50, 20), 30),
        ("overlap", (10, 50, 60, 70), 0),
        ("overlap", (10, 50, 0, 5), 0),
        ("behind", (80, 200, (Slice(1, 200, Fraction(4, 5), 160),)), 100),
        ("behind", (80, 200, (Slice(1, 200, Fraction(0), 0),)), 200),
        ("behind", (80, 90, (Slice(1, 200, Fraction(4, 5), 160),)), 90),
        ("behind", (80, 200, ()), 80),
        ("behind", (300, 200, ()), 200),
        ("behind", (60, 250, (Slice(1, 100, Fraction(1, 2), 50), Slice(2, 150, Fraction(4, 5), 120))), 113),
        ("behind", (170, 250, (Slice(1, 100, Fraction(1, 2), 50), Slice(2, 150, Fraction(4, 5), 120))), 250),
        ("behind", (1, 10, (Slice(1, 3, Fraction(1, 2), 1), Slice(2, 7, Fraction(1, 2), 3))), 3),
        ("behind", (40, 250, (Slice(1, 100, Fraction(1, 2), 50), Slice(2, 150, Fraction(4, 5), 120))), 80),
        ("parts", (10, 20, 30, 400, 100, 50, 200, 5), (10, 20, 30, 100, 50, 45)),
        ("parts", (-10, 20, 30, 400, 100, 50, 200), (0, 20, 30, 100, 50, 40)),
        ("parts", (-110, 20, 30, 100, 0, 0), (0, 20, 20, 0, 0, 0)),
        ("parts", (-150, 20, 30, 100, 0, 0), (0, 0, 0, 0, 0, 0)),
        ("parts", (-151, 20, 30, 100, 0, 0), (0, 0, 0, 0, 0, -1)),
        ("parts", (10, 0, 0, -3, 0, 0), (7, 0, 0, 0, 0, 0)),
        ("absorb", ((1, 2, 3, 4, 5, 6), ("own", "prepay"), 3), (0, 2, 1, 4, 5, 6)),
        ("absorb", ((1, 2, 3, 4, 5, 6), ("own",), 4, 5), (0, 2, 3, 4, 3, 0)),
        ("absorb", ((1, 2, 3, 4, 5, 6), (), 21), (0, 0, 0, 0, 0, 0)),
        ("pick", ((1, 2, 3, 4, 5, 6), ("own", "deductible")), 5),
        ("pick", ((-10, 2, 3, 4, 5, 6), ("own", "deductible")), 0),
    ],
)
def test_one_operation(kind: str, operands: tuple[Any, ...], result: Any) -> None:
    names = ("formula", "in_scope", "paid", "person") if kind == "basis" else ()
    inputs = tuple(zip(names, operands, strict=True)) if names else given(*operands)
    assert OPERATIONS[kind](inputs) == result


def test_a_formula_reads_fen_as_yuan() -> None:
    inputs = ((":formula", "a * rate + b.c"), ("a", 12345), ("rate", Fraction(1, 10)), ("b.c", 100))
    assert OPERATIONS["formula"](inputs) == Fraction("13.345")


@pytest.mark.parametrize(
    ("formula", "operands", "basis"),
    [
        ("a", {"a": 500, "person": 400}, 400),
        ("a", {"a": 400, "person": 400}, 400),
        ("a", {"a": -1, "person": 400}, 0),
        ("a - b", {"a": 500, "b": 200, "person": 400}, 300),
        ("a / 3", {"a": 500, "person": 400}, 167),
        ("a - rate", {"a": 500, "rate": Fraction("1.005"), "person": 1000}, 400),
        ("rate", {"rate": Fraction("1.005"), "person": 1000}, 101),
        ("a", {"2025|a": 500, "2025|person": 1000}, 500),
        ("2 * a", {"2025|a": 500, "2025|person": 1000}, 1000),
    ],
)
def test_a_basis_is_not_below_nothing_nor_above_what_is_left(
    formula: str, operands: dict[str, Any], basis: int
) -> None:
    assert OPERATIONS["basis"](((":formula", formula), *operands.items())) == basis
