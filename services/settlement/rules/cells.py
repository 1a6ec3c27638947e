"""Text in cells of a table that a spreadsheet opens. Pure."""

from __future__ import annotations

from typing import Final

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula, or a text for several cells."""


def plain_cell(text: str) -> str:
    """The text as a cell that no spreadsheet computes: what looks like a formula gets an apostrophe before it.

    For text only: an amount, which may begin with a minus, is written as a number and needs none.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
