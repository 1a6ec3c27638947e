"""The engine and the second implementation say the same of made-up packs and bills: every amount, counter and quantity.

`make reference CASES=…` takes as many bills as are wanted, 100,000 unless told; among all tests they are fewer.
A difference is told with its seed and with the pack and the bill to read.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shared.policy.case import run_case
from shared.policy.decision import Answered, Bill, Counters, Decision, Facts
from shared.policy.document import PackDocument
from shared.policy.engine import Policy, Undecidable
from shared.policy.formula import FormulaError, parse
from shared.policy.loading import load_pack
from tests.policy import generate, reference

CASES = int(os.environ.get("SIFANG_POLICY_CASES", "8000"))
PERSONS, BILLS = 2, 40
"""Of one pack; the counters of a person run on from bill to bill."""
CHUNKS = 10
PACKS = -(-CASES // (PERSONS * BILLS * CHUNKS))
"""In each chunk."""


def _by_engine(policy: Policy, bill: Bill, counters: dict[str, int]) -> tuple[str | None, Decision | None]:
    try:
        # Every other decision is made without a record, which must not change it.
        return None, policy.decide(bill, counters, record=len(bill.lines) % 2 == 0)
    except Undecidable as undecidable:
        return undecidable.reason.code, None


def _by_reference(pack: PackDocument, bill: Bill, counters: dict[str, int]) -> tuple[str | None, reference.Amounts]:
    try:
        return None, reference.decide(pack, bill, counters)
    except reference.Refused as refused:
        return str(refused.args[0]), {}


def _differences(policy: Policy, bill: Bill, counters: dict[str, int]) -> list[str]:
    """Decide it twice, and let the counters grow by what was decided."""
    code, decision = _by_engine(policy, bill, counters)
    refused, expected = _by_reference(policy.document, bill, counters)
    if decision is None or refused is not None:
        return [] if code == refused else [f"refused: reference {refused}, engine {code}"]
    found = reference.differences(expected, reference.told(decision, policy.document))
    for key, amount in decision.changes.items():
        counters[key] = counters.get(key, 0) + amount
    return found


def _cases(seed: int, pack: PackDocument) -> Iterator[tuple[int, list[Bill]]]:
    for person in range(PERSONS):
        yield person, generate.bills_of(seed * PERSONS + person, pack, BILLS)


def _told(seed: int, person: int, number: int, found: list[str], *read: Any) -> str:
    texts = "\n---\n".join(generate.written(value) for value in read)
    lines = "\n".join(found[:20])
    return f"seed {seed}, person {person}, bill {number}:\n{lines}\n--- pack, counters before, bill\n{texts}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.timeout(3600)
def test_engine_and_reference_agree_on_every_amount(chunk: int) -> None:
    for seed in range(chunk * PACKS, (chunk + 1) * PACKS):
        pack = generate.pack_of(seed)
        policy = Policy(pack)
        for person, bills in _cases(seed, pack):
            counters: dict[str, int] = {}
            for number, bill in enumerate(bills):
                before = dict(counters)
                found = _differences(policy, bill, counters)
                assert not found, _told(seed, person, number, found, pack, before, bill)


REACH = {
    r"fund$": 0.45,
    r"layer\.[a-z-]+\.over_cap$": 0.1,
    r"layer\.[a-z-]+\.over_limit$": 0.08,
    r"layer\.[a-z-]+\.deductible$": 0.4,
    r"layer\.[a-z-]+\.band\.[2-4] at [0-9/]+\.share$": 0.06,
    r"layer\.[a-z-]+\.facility$": 0.003,
    r"line\.\d+\.over_ceiling$": 0.3,
    r"line\.\d+\.prepay$": 0.3,
    r"later$": 0.05,
    r"changes\..*deductibles@": 0.04,
    r"payout\.": 0.02,
    r"account$": 0.06,
    r"family$": 0.03,
    r"changes\..*-quantity@": 0.03,
    r"changes\..*@lifetime;disease=": 0.01,
    r"changes\..*@episode:": 0.1,
}
"""At least this share of the bills has such an amount, or the agreement would say little."""


def test_the_made_up_bills_reach_what_is_compared() -> None:
    reached: Counter[str] = Counter()
    made = 0
    for seed in range(150):
        pack = generate.pack_of(seed)
        for bill in generate.bills_of(seed, pack, 10):
            _, expected = _by_reference(pack, bill, {})
            reached.update(name for name in REACH if any(re.match(name, amount) for amount in expected))
            made += 1
    assert not {name: reached[name] / made for name, share in REACH.items() if reached[name] < share * made}


# ---------------------------------------------------------------------------------------------- written packs

PACKS_FOLDER = Path(__file__).parents[2] / "packs"


def _written_packs() -> list[Path]:
    """Folders with a pack.yaml are one pack; elsewhere every file is one."""
    files = sorted(PACKS_FOLDER.rglob("*.yaml"))
    folders = {path.parent for path in files if path.name == "pack.yaml"}
    return [*sorted(folders), *(path for path in files if path.parent not in folders)]


class _Twice(Policy):
    """A policy that decides by the reference too."""

    def decide(self, bill: Bill, counters: Counters, *, record: bool = True) -> Decision:
        """The engine's decision, when the reference says the same."""
        decision = super().decide(bill, counters, record=record)
        found = reference.told(decision, self.document)
        assert not reference.differences(reference.decide(self.document, bill, counters), found)
        return decision

    def calculate(self, calculation: str, facts: Facts, inputs: Mapping[str, Decimal | Fraction]) -> Answered:
        """The engine's answer, when the reference says the same."""
        assert _values(Policy(self.document), calculation, facts, inputs) == reference.calculate(
            self.document, calculation, facts, inputs
        )
        return super().calculate(calculation, facts, inputs)


@pytest.mark.parametrize("path", _written_packs(), ids=lambda path: str(path.relative_to(PACKS_FOLDER)))
def test_the_reference_reads_the_written_packs_alike(path: Path) -> None:
    document = load_pack(path).document
    assert document is not None
    for case in document.examples:
        result = run_case(_Twice(document), case)
        assert not result.refused
        assert not [expected for expected in result.expectations if not expected.ok]


# ------------------------------------------------------------------------------------------------ calculations


def test_engine_and_reference_agree_on_calculations() -> None:
    answered = 0
    for seed in range(max(200, CASES // 500)):
        pack = generate.pack_of(seed)
        policy = Policy(pack)
        for number, calculation in enumerate(pack.calculations):
            random = Random(f"inputs {seed} {number}")
            person, inputs = generate.BillMaker(random).person(), generate.inputs(random)
            expected = _answer(partial(reference.calculate, pack, calculation.id, person, inputs))
            found = _answer(partial(_values, policy, calculation.id, person, inputs))
            assert found == expected, _told(seed, 0, number, [f"{expected} {found}"], pack, person, inputs)
            answered += isinstance(expected, dict)
    assert answered > 100


def _values(
    policy: Policy, calculation: str, person: Facts, inputs: Mapping[str, Decimal | Fraction]
) -> dict[str, Fraction]:
    answer = policy.calculate(calculation, person, inputs)
    return {
        name: Fraction(value, 100) if answer.units[name] == "yuan" else Fraction(value)
        for name, value in answer.values.items()
    }


def _answer(ask: Callable[[], dict[str, Fraction]]) -> dict[str, Fraction] | str:
    try:
        return ask()
    except reference.Refused as refused:
        return str(refused.args[0])
    except Undecidable as undecidable:
        return undecidable.reason.code


# ---------------------------------------------------------------------------------------------------- formulas


def _made_up(random: Random, depth: int) -> str:
    if depth == 0 or not random.randrange(4):
        return random.choice(["12", "0.05", "85%", "0", "basic.fund", "tag.特药", "avg_wage", "class.甲", "1000.005"])
    one, two = _made_up(random, depth - 1), _made_up(random, depth - 1)
    forms = ["{0} + {1}", "{0} - {1}", "{0} * {1}", "{0} / {1}", "({0})", "-({0})", "- {0}", "min({0}, {1})"]
    forms += ["max({0},{1},{0})", "round({0})", "floor({0})", "ceil({0})", "({0}) - ({1})", "({0}) / ({1})"]
    return random.choice(forms).format(one, two)


NUMBERS = {
    "basic.fund": Fraction(1234567, 100),
    "tag.特药": Fraction(-5, 2),
    "avg_wage": Fraction(90000),
    "class.甲": Fraction(1, 3),
}


def test_formulas_mean_what_the_reference_reads_in_them() -> None:
    random, divided = Random("formulas"), 0
    for _ in range(5000):
        text = _made_up(random, 4)
        if len(text) > 400:
            continue
        try:
            expected = reference.formula(text, NUMBERS.__getitem__)
        except reference.Refused:
            divided += 1
            with pytest.raises(FormulaError):
                parse(text).evaluate(NUMBERS.__getitem__)
        else:
            assert parse(text).evaluate(NUMBERS.__getitem__) == expected, text
    assert divided > 10


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
def test_comparisons_mean_what_the_reference_reads_in_them(sign: str) -> None:
    for text in (f"avg_wage {sign} 90000", f"basic.fund {sign} avg_wage", f"avg_wage {sign} 1000 - 1"):
        found = parse(text, comparison=True).evaluate(NUMBERS.__getitem__)
        assert bool(found) == reference.formula(text, NUMBERS.__getitem__)
