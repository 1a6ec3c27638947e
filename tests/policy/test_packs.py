"""Every pack of the project loads without a word against it, and every worked example comes out to the fen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from shared.policy.case import CaseResult, run_case
from shared.policy.decision import Bill, BillLine
from shared.policy.document import Case, PackDocument
from shared.policy.engine import Policy
from shared.policy.loading import load_pack

PACKS = Path(__file__).parents[2] / "packs"
PUBLISHED = Path(__file__).with_name("published-examples.json")
PUBLISHED_SHA256 = "9ace060b77f39982a0217f9a16a24077d1388843e562549cb093781d404db36b"
IN_FORCE = ("zhoukou", "chizhou", "national")
"""Folders that are one pack each; below the others, every file is a pack."""

BILL_FACTS = {
    "scheme": ("职工", "居民"),
    "group": ("在职", "退休", "居民"),
    "care": ("住院", "门诊", "购药"),
    "level": ("三级", "二级", "一级", "未定级"),
    "remote": ("本地", "统筹区内", "长期备案", "转诊", "急诊", "未备案"),
}
"""All that a bill in use brings; nothing else may be needed to decide it."""


def _places() -> Iterator[Path]:
    for folder in sorted(path for path in PACKS.iterdir() if path.is_dir()):
        if folder.name in IN_FORCE:
            yield folder
        else:
            yield from sorted(folder.rglob("*.yaml"))


PLACES = tuple(_places())


def _name(place: Path) -> str:
    return place.relative_to(PACKS).as_posix()


def _document(place: Path) -> PackDocument:
    loaded = load_pack(place)
    assert not loaded.issues, "\n".join(map(str, loaded.issues))
    assert loaded.document is not None
    return loaded.document


def _examples() -> list[dict[str, Any]]:
    examples: list[dict[str, Any]] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return examples


@pytest.fixture(scope="module")
def published() -> dict[str, tuple[Case, CaseResult]]:
    """The cases of all published packs with their results, by id; an id that stands twice fails."""
    found: dict[str, tuple[Case, CaseResult]] = {}
    for place in sorted((PACKS / "published").rglob("*.yaml")):
        document = _document(place)
        policy = Policy(document)
        for case in document.examples:
            assert case.id not in found, f"{case.id} stands twice"
            found[case.id] = (case, run_case(policy, case))
    return found


@pytest.mark.parametrize("place", PLACES, ids=_name)
def test_pack_loads_and_its_examples_come_out_to_the_fen(place: Path) -> None:
    document = _document(place)
    assert document.examples, "a pack carries worked examples"
    policy = Policy(document)
    for case in document.examples:
        result = run_case(policy, case)
        assert not result.refused, f"{case.id}: {[(name, why.en) for name, why in result.refused]}"
        assert case.expect, f"{case.id} expects nothing"
        for expected in result.expectations:
            wanted = expected.expectation
            assert expected.ok, f"{case.id}: {wanted.what} should be {wanted.is_}, is {expected.got} {expected.why}"


def test_no_two_packs_have_one_name_and_version() -> None:
    named = [(document.pack, document.version) for document in map(_document, PLACES)]
    assert len(named) == len(set(named))


def test_published_figures_are_not_altered() -> None:
    assert hashlib.sha256(PUBLISHED.read_bytes()).hexdigest() == PUBLISHED_SHA256
    assert len(_examples()) == 104


@pytest.mark.parametrize("example", _examples(), ids=lambda example: str(example["id"]))
def test_published_example_is_a_case(example: dict[str, Any], published: dict[str, tuple[Case, CaseResult]]) -> None:
    case, result = published[example["id"]]
    assert case.source == example["source"]
    assert case.authority == example["authority"]
    assert (case.note or "").startswith(example["note"])
    assert result.ok
    said = {expected.expectation.says: expected for expected in result.expectations if expected.expectation.says}
    assert said.keys() == example["expected"].keys()
    for name, figure in example["expected"].items():
        assert said[name].expectation.is_ == Decimal(figure)
        assert said[name].got == Fraction(figure)


def test_no_case_is_published_that_the_examples_do_not_hold(published: dict[str, tuple[Case, CaseResult]]) -> None:
    assert published.keys() == {example["id"] for example in _examples()}


@pytest.mark.parametrize("name", IN_FORCE)
def test_pack_in_force_carries_at_least_eight_examples(name: str) -> None:
    assert len(_document(PACKS / name).examples) >= 8


@pytest.mark.parametrize("name", IN_FORCE)
def test_pack_in_force_decides_every_bill_there_can_be(name: str) -> None:
    policy = Policy(_document(PACKS / name))
    lines = tuple(BillLine(str(no), 1000_00, {"class": word}) for no, word in enumerate("甲乙丙", start=1))
    day = date(2026, 3, 1)
    for words in product(*BILL_FACTS.values()):
        facts = dict(zip(BILL_FACTS, words, strict=True))
        decision = policy.decide(Bill("H1", day, day, facts, lines), {})
        assert decision.total_fen == 3000_00
        assert decision.fund_fen + decision.person_fen == 3000_00
        refused = name == "national" and facts["remote"] == "未备案"
        assert (decision.not_paid is not None) == refused
        assert (decision.fund_fen == 0) == refused
