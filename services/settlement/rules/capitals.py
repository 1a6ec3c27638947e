"""Amounts in Chinese capital numerals (大写金额), as vouchers carry them beside the figures. Pure.

The form is that of 《支付结算办法》 Annex 1 (正确填写票据和结算凭证的基本规定): 整 after 元 or 角 when nothing
follows, 零 for zeros between digits, once however many there are.
"""

from __future__ import annotations

from typing import Final

from shared.money import AmountOutOfRange

DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
_PLACES: Final = ("", "拾", "佰", "仟")
_MYRIAD, _YI = 10**4, 10**8
_MAX_YUAN: Final = 10**16


def capital_yuan(amount_fen: int) -> str:
    """An amount in yuan in capital numerals: 140950 is 壹仟肆佰零玖元伍角整; a negative one begins with 负.

    Raises AmountOutOfRange for ten quadrillion yuan and more, for which the numerals have no place.
    """
    yuan, fen = divmod(abs(amount_fen), 100)
    if yuan >= _MAX_YUAN:
        raise AmountOutOfRange("no capital numerals for an amount of this size")
    return f"{'负' if amount_fen < 0 else ''}{_whole(yuan, fen)}{_fraction(yuan, fen)}"


def _whole(yuan: int, fen: int) -> str:
    if yuan:
        return f"{_up_to_quadrillions(yuan)}元"
    return "" if fen else "零元"


def _fraction(yuan: int, fen: int) -> str:
    tenths, hundredths = divmod(fen, 10)
    if not fen:
        return "整"
    if not hundredths:
        return f"{DIGITS[tenths]}角整"
    before = f"{DIGITS[tenths]}角" if tenths else "零" if yuan else ""
    return f"{before}{DIGITS[hundredths]}分"


def _up_to_quadrillions(number: int) -> str:
    """A number of up to sixteen digits: so many 亿 (themselves counted in 万), and the rest."""
    high, low = divmod(number, _YI)
    if not high:
        return _up_to_hundred_millions(low)
    gap = "零" if 0 < low < _YI // 10 else ""
    return f"{_up_to_hundred_millions(high)}亿{gap}{_up_to_hundred_millions(low)}"


def _up_to_hundred_millions(number: int) -> str:
    """A number of up to eight digits: so many 万, and the rest; nothing for zero."""
    high, low = divmod(number, _MYRIAD)
    if not high:
        return _up_to_thousands(low)
    gap = "零" if 0 < low < _MYRIAD // 10 else ""
    return f"{_up_to_thousands(high)}万{gap}{_up_to_thousands(low)}"


def _up_to_thousands(number: int) -> str:
    """A number of up to four digits, without the zeros before it; nothing for zero."""
    text, zeros = "", False
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if digit:
            text += f"{'零' if zeros and text else ''}{DIGITS[digit]}{_PLACES[place]}"
        zeros = not digit
    return text
