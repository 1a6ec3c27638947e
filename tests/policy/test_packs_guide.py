"""The guide for authors of packs tells the truth: every block of it is read, and every pack and case in it is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import TypeAdapter

from shared.policy import document
from shared.policy.case import run_case
from shared.policy.document import Case, PackDocument
from shared.policy.engine import Policy
from shared.policy.formula import parse
from shared.policy.loading import load_case, load_pack
from shared.policy.source import read_text

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "policy-packs.md"

FORMS: dict[str, Any] = {
    "facts": dict[str, document.FactDomain],
    "figures": dict[str, document.NamedFigure],
    "when": document.When,
    "figure": document.Figure,
    "item": document.ItemRule,
    "benefit": document.Benefit,
    "layer": document.Layer,
    "deductible": document.Deductible,
    "tiers": document.Tiers,
    "fixed": document.Fixed,
    "limit": document.Limit,
    "cap": document.Cap,
    "person_ceiling": document.PersonCeiling,
    "account": document.Account,
    "calculation": document.Calculation,
}
"""What a block is, by the word after `yaml`."""


class Block(NamedTuple):
    """A YAML block of the guide: its kind, the pack it runs against, its text, the line it begins at."""

    kind: str
    pack: str
    text: str
    line: int


def _blocks() -> list[Block]:
    guide = GUIDE.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], found[3], guide.count("\n", 0, found.start()) + 1)
        for found in re.finditer(r"^```yaml ?(\S*) ?(\S*)\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    ]


BLOCKS = _blocks()
PARTS = [block for block in BLOCKS if block.kind in FORMS]
CASES = [block for block in BLOCKS if block.kind == "case"]


def _name(block: Block) -> str:
    return f"{block.kind}-{block.line}"


def _pack(path: Path) -> PackDocument:
    loaded = load_pack(path)
    assert not loaded.issues, "\n".join(map(str, loaded.issues))
    assert loaded.document is not None
    return loaded.document


def _comes_out(case: Case, pack: PackDocument) -> None:
    result = run_case(Policy(pack), case)
    told = [(told.expectation.what, told.got, told.why) for told in result.expectations if not told.ok]
    assert result.ok, (result.refused, told)
    assert result.expectations


@pytest.fixture(scope="module")
def own_pack(tmp_path_factory: pytest.TempPathFactory) -> PackDocument:
    """The pack that the guide writes step by step."""
    [block] = [block for block in BLOCKS if block.kind == "pack"]
    path = tmp_path_factory.mktemp("guide") / "pack.yaml"
    path.write_text(block.text, encoding="utf-8")
    return _pack(path)


def test_every_block_says_what_it_is() -> None:
    assert {block.kind for block in BLOCKS} == {*FORMS, "pack", "case"}


def test_the_first_pack_comes_out(own_pack: PackDocument) -> None:
    for example in own_pack.examples:
        _comes_out(example, own_pack)


@pytest.mark.parametrize("block", PARTS, ids=_name)
def test_part_has_its_form(block: Block) -> None:
    read = read_text(block.text, "guide")
    assert not read.issues
    part = TypeAdapter(FORMS[block.kind]).validate_python(read.root.plain())
    if block.kind == "figure" and isinstance(part, str):
        parse(part)


@pytest.mark.parametrize("block", CASES, ids=_name)
def test_case_comes_out(block: Block, own_pack: PackDocument, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(block.text, encoding="utf-8")
    cases, issues = load_case(path)
    assert not issues
    for case in cases:
        _comes_out(case, _pack(ROOT / block.pack) if block.pack else own_pack)


def test_every_pack_named_is_there() -> None:
    named = re.findall(r"`((?:examples|published|seeds)/[^`]*)`", GUIDE.read_text(encoding="utf-8"))
    assert named
    assert [place for place in named if not list((ROOT / "packs").glob(place.rstrip("/")))] == []


def test_every_example_pack_is_named() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    unnamed = [path.name for path in (ROOT / "packs" / "examples").iterdir() if f"`examples/{path.name}`" not in guide]
    assert unnamed == []
