"""Regions: the shipped tree, the chain of agencies, and what is refused on loading."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import numdb

from shared.regions import Region, RegionsInvalid, RegionTree, UnknownRegion

TREE = RegionTree.load()
codes = st.sampled_from(sorted(region.code for region in TREE))
NATION, HENAN, ZHOUKOU, CHUANHUI, HUAIYANG = "100000", "410000", "411600", "411602", "411603"
NANYANG, WANCHENG = "411300", "411302"
ANHUI, CHIZHOU, QINGYANG = "340000", "341700", "341723"


@pytest.mark.parametrize(
    ("care", "home", "chain", "relation"),
    [
        (HUAIYANG, HUAIYANG, (HUAIYANG,), "local"),
        (ZHOUKOU, ZHOUKOU, (ZHOUKOU,), "local"),
        (CHUANHUI, HUAIYANG, (CHUANHUI, ZHOUKOU, HUAIYANG), "within_city"),
        (ZHOUKOU, HUAIYANG, (ZHOUKOU, HUAIYANG), "within_city"),
        (HUAIYANG, ZHOUKOU, (HUAIYANG, ZHOUKOU), "within_city"),
        (WANCHENG, HUAIYANG, (WANCHENG, NANYANG, HENAN, ZHOUKOU, HUAIYANG), "within_province"),
        (HENAN, HUAIYANG, (HENAN, ZHOUKOU, HUAIYANG), "within_province"),
        (
            QINGYANG,
            HUAIYANG,
            (QINGYANG, CHIZHOU, ANHUI, NATION, HENAN, ZHOUKOU, HUAIYANG),
            "cross_province",
        ),
        (CHIZHOU, ZHOUKOU, (CHIZHOU, ANHUI, NATION, HENAN, ZHOUKOU), "cross_province"),
    ],
)
def test_chains_an_officer_can_check(care: str, home: str, chain: tuple[str, ...], relation: str) -> None:
    assert TREE.chain(care, home) == chain
    assert TREE.relation(care, home) == relation


@given(codes, codes)
def test_a_chain_climbs_once_and_descends_once(care: str, home: str) -> None:
    chain, clearing = TREE.chain(care, home), TREE.clearing(care, home)
    assert chain[0] == care
    assert chain[-1] == home
    assert len(set(chain)) == len(chain)
    top = chain.index(clearing)
    assert all(TREE[lower].parent == upper for lower, upper in pairwise(chain[: top + 1]))
    assert all(TREE[lower].parent == upper for upper, lower in pairwise(chain[top:]))


@given(codes, codes)
def test_the_way_back_is_the_way_reversed(care: str, home: str) -> None:
    assert TREE.chain(home, care) == TREE.chain(care, home)[::-1]
    assert TREE.relation(home, care) == TREE.relation(care, home)
    assert (TREE.relation(care, home) == "local") is (care == home)


@given(codes, codes, codes)
def test_the_clearing_agency_is_the_lowest_that_covers_both(care: str, home: str, other: str) -> None:
    clearing = TREE.clearing(care, home)
    assert TREE.covers(clearing, care)
    assert TREE.covers(clearing, home)
    if TREE.covers(other, care) and TREE.covers(other, home):
        assert TREE.covers(other, clearing)


def test_an_area_covers_itself_and_what_lies_in_it() -> None:
    assert TREE.covers(ZHOUKOU, HUAIYANG)
    assert TREE.covers(NATION, QINGYANG)
    assert TREE.covers(HUAIYANG, HUAIYANG)
    assert not TREE.covers(HUAIYANG, ZHOUKOU)
    assert not TREE.covers(HENAN, QINGYANG)
    assert not TREE.covers(CHUANHUI, HUAIYANG)


def test_an_unknown_region_is_named() -> None:
    assert "999999" not in TREE
    asks: list[Callable[[], object]] = [
        lambda: TREE["999999"],
        lambda: TREE.ancestors("999999"),
        lambda: TREE.chain("999999", HUAIYANG),
        lambda: TREE.chain(HUAIYANG, "999999"),
        lambda: TREE.covers("999999", HUAIYANG),
        lambda: TREE.covers(HUAIYANG, "999999"),
        lambda: TREE.relation("999999", "999999"),
    ]
    for ask in asks:
        with pytest.raises(UnknownRegion, match="unknown region '999999'"):
            ask()


def test_the_shipped_names_are_those_of_the_published_codes() -> None:
    """A second opinion: the division table of python-stdnum."""
    table = numdb.get("cn/loc")
    for region in TREE:
        if region.level != "nation":
            assert table.info(region.code)[-1][1]["county"].split("]")[-1] == region.name_zh


def test_the_shipped_tree_has_the_places_of_the_seeds() -> None:
    assert len(TREE) > 40
    assert TREE[HUAIYANG] == Region(HUAIYANG, "淮阳区", "Huaiyang District", "county", ZHOUKOU)
    assert TREE[QINGYANG].name_zh == "青阳县"
    assert {region.level for region in TREE} == {"nation", "province", "city", "county"}


HEADER = "code,name_zh,name_en,level,parent\n"
ROOT = "100000,国,Nation,nation,\n"


def _load(tmp_path: Path, text: str) -> RegionTree:
    file = tmp_path / "regions.csv"
    file.write_text(text, encoding="utf-8")
    return RegionTree.load(file)


MERGED = "110000,省,P,province,100000,\n111000,市,C,city,110000,\n111001,甲,A,county,111000,111002\n"
MERGED += "111002,乙,B,county,111000,111003\n111003,丙,D,county,111000,\n111004,丁,E,county,111000,\n"


def _merged(tmp_path: Path, rows: str = MERGED) -> RegionTree:
    return _load(tmp_path, HEADER.strip() + ",successor\n" + ROOT.strip() + ",\n" + rows)


def test_a_region_that_was_merged_goes_on_in_its_successor(tmp_path: Path) -> None:
    """甲 became 乙, and 乙 became 丙: what is new is 丙's, which also sees what is left of the others."""
    tree = _merged(tmp_path)
    assert [tree.current(code) for code in ("111001", "111002", "111003")] == ["111003"] * 3
    assert tree.chain("111004", "111001") == tree.chain("111004", "111003") == ("111004", "111000", "111003")
    assert tree.clearing("111001", "111002") == "111003"
    assert tree.relation("111001", "111002") == "local"
    assert tree.ancestors("111001") == ("111001", "111002", "111003", "111000", "110000", "100000")
    assert tree.covers("111003", "111001")
    assert not tree.covers("111001", "111003")
    assert tree["111001"].parent == "111000"


@pytest.mark.parametrize(
    ("successor", "problem"),
    [
        ("119999", "111004: successor 119999 does not exist"),
        ("111000", "111004: successor 111000 is not of the same level"),
        ("111004", "111004: its successors lead back to it"),
    ],
)
def test_a_successor_is_another_region_of_the_level(tmp_path: Path, successor: str, problem: str) -> None:
    rows = MERGED.replace("111004,丁,E,county,111000,", f"111004,丁,E,county,111000,{successor}")
    with pytest.raises(RegionsInvalid, match=problem):
        _merged(tmp_path, rows)


def test_successors_that_lead_back_are_named(tmp_path: Path) -> None:
    with pytest.raises(RegionsInvalid, match="111001: its successors lead back to it"):
        _merged(tmp_path, MERGED.replace("111003,丙,D,county,111000,", "111003,丙,D,county,111000,111001"))


@given(codes, codes)
def test_a_tree_without_former_regions_is_what_it_is_now(care: str, home: str) -> None:
    assert (TREE.current(care), TREE.current(home)) == (care, home)


def test_another_tree_by_path(tmp_path: Path) -> None:
    tree = _load(tmp_path, "\ufeff" + HEADER + ROOT + "110000,省,Province,province,100000\n")
    assert [region.code for region in tree] == ["100000", "110000"]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("", "one region without a parent, not 0"),
        (ROOT + "200000,国,Other,nation,\n", "one region without a parent, not 2: 100000, 200000"),
        (ROOT + ROOT, "100000: the code appears more than once"),
        (ROOT + "110000,省,Province,province,990000\n", "110000: parent 990000 does not exist"),
        (
            ROOT + "110000,省,P,province,120000\n120000,省,Q,province,110000\n",
            "120000: parent 110000 is not of a higher",
        ),
        (ROOT + "110000,省,P,province,110000\n", "110000: parent 110000 is not of a higher level"),
        (
            ROOT + "110100,市,C,city,110101\n110101,县,D,county,110100\n",
            "110100: parent 110101 is not of a higher level",
        ),
        (ROOT + "110000,省,P,region,100000\n", "110000: unknown level 'region'"),
        (ROOT + "11000,省,P,province,100000\n", "11000: a code has six digits"),
        (ROOT + "１１００００,省,P,province,100000\n", "a code has six digits"),
        (ROOT + "110000,,P,province,100000\n", "110000: a region has a Chinese and an English name"),
        ("110000,省,P,province,\n", "110000: only the nation has no parent"),
        (ROOT + "110000,省,P,province\n", "110000: wrong number of columns"),
        (ROOT + "110000,省,P,province,100000,x\n", "110000: wrong number of columns"),
    ],
)
def test_what_is_no_tree_is_refused(tmp_path: Path, rows: str, problem: str) -> None:
    with pytest.raises(RegionsInvalid) as refused:
        _load(tmp_path, HEADER + rows)
    assert problem in str(refused.value)


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(RegionsInvalid) as refused:
        _load(tmp_path, HEADER + ROOT + ROOT + "11000,省,P,region,100000\n120000,省,Q,province,990000\n")
    assert len(str(refused.value).splitlines()) == 5


def test_other_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RegionsInvalid, match="columns must be"):
        _load(tmp_path, "code,name,level,parent\n")


@given(codes)
def test_below_is_what_an_area_covers(area: str) -> None:
    assert TREE.below(area) == [region.code for region in TREE if TREE.covers(area, region.code)]


def test_nothing_is_below_an_unknown_area() -> None:
    assert TREE.below("H41160300001") == []
