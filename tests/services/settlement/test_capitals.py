"""Amounts in capital numerals, as banks want them, and back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.rules.capitals import DIGITS, capital_yuan
from shared.money import AmountOutOfRange


@pytest.mark.parametrize(
    ("amount_fen", "capitals"),
    [
        (0, "零元整"),
        (1, "壹分"),
        (10, "壹角整"),
        (15, "壹角伍分"),
        (100, "壹元整"),
        (105, "壹元零伍分"),
        (1_000, "壹拾元整"),
        (1_100, "壹拾壹元整"),
        (10_010, "壹佰元壹角整"),
        (10_500, "壹佰零伍元整"),
        (100_500, "壹仟零伍元整"),
        (140_950, "壹仟肆佰零玖元伍角整"),
        (600_714, "陆仟零柒元壹角肆分"),
        (168_032, "壹仟陆佰捌拾元叁角贰分"),
        (10_700_053, "壹拾万柒仟元伍角叁分"),
        (1_640_902, "壹万陆仟肆佰零玖元零贰分"),
        (32_504, "叁佰贰拾伍元零肆分"),
        (1_000_000, "壹万元整"),
        (1_000_100, "壹万零壹元整"),
        (1_001_000, "壹万零壹拾元整"),
        (10_000_000, "壹拾万元整"),
        (100_010_000, "壹佰万零壹佰元整"),
        (10_000_000_000, "壹亿元整"),
        (10_000_000_100, "壹亿零壹元整"),
        (10_001_000_000, "壹亿零壹万元整"),
        (100_000_000_000, "壹拾亿元整"),
        (10_010_000_000, "壹亿零壹拾万元整"),
        (1_234_567_890_123_456, "壹拾贰万叁仟肆佰伍拾陆亿柒仟捌佰玖拾万壹仟贰佰叁拾肆元伍角陆分"),
        (100_000_000_000_000, "壹万亿元整"),
        (100_001_000_000_000, "壹万亿壹仟万元整"),
        (10_000_100_000_000, "壹仟亿零壹佰万元整"),
        (10_000_010_000, "壹亿零壹佰元整"),
        (-140_950, "负壹仟肆佰零玖元伍角整"),
    ],
)
def test_amounts_in_capitals(amount_fen: int, capitals: str) -> None:
    assert capital_yuan(amount_fen) == capitals


def number(capitals: str) -> int:
    """What capital numerals without zeros stand for: each digit times its place."""
    total = section = 0
    for sign in re.findall(rf"[{DIGITS}][拾佰仟]?|万|亿", capitals):
        if sign == "亿":
            total, section = (total + section) * 10**8, 0
        elif sign == "万":
            total, section = total + section * 10**4, 0
        else:
            section += DIGITS.index(sign[0]) * {"": 1, "拾": 10, "佰": 100, "仟": 1000}[sign[1:]]
    return total + section


def read(capitals: str) -> int:
    """The fen of an amount in capital numerals."""
    whole, yuan, rest = capitals.removeprefix("负").rpartition("元")
    tenths, hundredths = re.search(r"(.)角", rest), re.search(r"(.)分", rest)
    fen = sum(DIGITS.index(found[1]) * size for found, size in ((tenths, 10), (hundredths, 1)) if found)
    amount_fen = number(whole) * 100 + fen
    assert bool(yuan) or amount_fen < 100
    return -amount_fen if capitals.startswith("负") else amount_fen


@given(st.integers(-(10**18) + 1, 10**18 - 1) | st.integers(0, 17).flatmap(lambda n: st.integers(0, 9 * 10**n)))
def test_capitals_read_back_are_the_amount(amount_fen: int) -> None:
    capitals = capital_yuan(amount_fen)

    assert read(capitals) == amount_fen
    assert "零零" not in capitals
    assert capitals.endswith(("分", "整"))


@pytest.mark.parametrize("amount_fen", [10**18, -(10**18)])
def test_amounts_beyond_the_numerals_are_refused(amount_fen: int) -> None:
    with pytest.raises(AmountOutOfRange):
        capital_yuan(amount_fen)
