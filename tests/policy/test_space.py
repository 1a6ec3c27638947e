"""The cases a pack can meet: what the search over boxes says, against looking at every case one by one."""

from __future__ import annotations

from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.policy.checking.facts import KnownFacts
from shared.policy.checking.space import MAX_PAIRS, Box, Space, met, overlapping, uncovered
from shared.policy.conditions import compile_when
from shared.policy.decision import Fact
from shared.policy.document import PackDocument, When
from shared.policy.source import read_text
from tests.policy.good_pack import GOOD

LEVELS = ["三级", "二级"]
MARKS = ["低保", "特困", "残疾"]
AGES = range(8)

DOCUMENT = PackDocument.model_validate({**read_text(GOOD, "f").root.plain(), "facts": {"level": {"words": LEVELS}}})

levels = st.sampled_from([*LEVELS, LEVELS, {"not": "三级"}])
marks = st.sampled_from([*MARKS, MARKS[:2], {"not": "低保"}, {"not": MARKS[1:]}])
number = st.integers(1, 6)
ages = st.one_of(
    number,
    st.lists(number, min_size=1, max_size=3),
    st.builds(lambda low, more: {"from": low, "to": low + more}, number, st.integers(0, 3)),
    st.builds(lambda low: {"above": low}, number),
    st.builds(lambda high: {"below": high}, number),
    st.builds(lambda n: {"not": n}, number),
)
flags = st.booleans()
whens = st.fixed_dictionaries({}, optional={"level": levels, "marks": marks, "age": ages, "emergency": flags})


def conditions(written: list[dict[str, object]]) -> list[When]:
    """As a document holds them."""
    lines = "".join(f"- {one}\n" for one in written).replace("True", "true").replace("False", "false")
    rules = [
        {"id": f"r{n}", "when": when, "clause": "items"} for n, when in enumerate(read_text(lines, "f").root.plain())
    ]
    return [
        rule.when for rule in PackDocument.model_validate({**DOCUMENT.model_dump(by_alias=True), "items": rules}).items
    ]


def cases() -> list[dict[str, Fact]]:
    """Every case there is, for the words and ages that conditions may name."""
    some_marks = [frozenset(some) for size in range(4) for some in combinations(MARKS, size)]
    return [
        {"level": level, "marks": mark, "age": age, "emergency": flag}
        for level, mark, age, flag in product(LEVELS, some_marks, AGES, [True, False])
    ]


CASES = cases()


@settings(max_examples=300, deadline=None)
@given(written=st.lists(whens, min_size=1, max_size=6))
def test_a_case_is_left_out_or_met_twice_exactly_when_the_search_says_so(written: list[dict[str, object]]) -> None:
    rules = conditions(written)
    space = Space(KnownFacts(DOCUMENT), rules)
    boxes = [space.box(rule) for rule in rules]
    held = [[n for n, rule in enumerate(rules) if compile_when(rule)(case)] for case in CASES]
    pairs = {pair for numbers in held for pair in combinations(numbers, 2)}
    assert set(overlapping(space, list(enumerate(boxes)))) == pairs
    left_out = any(not numbers for numbers in held)
    assert (uncovered(space, {}, boxes) is not None) == left_out


@settings(max_examples=100, deadline=None)
@given(written=st.lists(whens, min_size=2, max_size=5))
def test_the_part_that_is_left_out_is_met_by_no_rule(written: list[dict[str, object]]) -> None:
    rules = conditions(written)
    space = Space(KnownFacts(DOCUMENT), rules)
    region, boxes = space.box(rules[0]), [space.box(rule) for rule in rules[1:]]
    gap = uncovered(space, region, boxes)
    if gap is not None:
        assert all(not all(met(gap, box).values()) for box in boxes)
        assert met(gap, region) == gap


def test_many_rules_are_divided_before_they_are_compared() -> None:
    rules = conditions([{"disease": f"病{n}", "age": {"from": n % 5}} for n in range(300)])
    space = Space(KnownFacts(DOCUMENT), rules)
    numbered: list[tuple[int, Box]] = [(n, space.box(rule)) for n, rule in enumerate(rules)]
    assert overlapping(space, numbered) == []
    twice = [*numbered, (300, space.box(rules[7]))]
    assert overlapping(space, twice) == [(7, 300)]
    gap = uncovered(space, {}, [box for _, box in numbered])
    assert gap is not None
    assert space.example(gap).startswith("disease=")


def test_only_the_first_overlaps_are_told() -> None:
    rules = conditions([{"age": {"from": 1}}] * 30)
    space = Space(KnownFacts(DOCUMENT), rules)
    assert len(overlapping(space, [(n, space.box(rule)) for n, rule in enumerate(rules)])) == MAX_PAIRS
