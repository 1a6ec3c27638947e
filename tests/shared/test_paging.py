"""Pages: every row once, in order, whatever the size of a page; a cursor is nobody's to make up."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.paging import PageQuery, page
from shared.http.types import View
from shared.refusals import Refused


class Item(View):
    """A row."""

    name: str


def read(rows: list[str], after: str, limit: int) -> list[str]:
    """What a query of a list finds."""
    return [row for row in sorted(rows) if row > after][:limit]


names = st.lists(st.text("abcäöü字汇:.-_ ", min_size=1, max_size=8), unique=True, max_size=40)


@given(names, st.integers(1, 7))
def test_all_rows_come_once_and_in_order(rows: list[str], limit: int) -> None:
    seen: list[str] = []
    query: PageQuery | None = PageQuery(limit=limit)
    while query is not None:
        shown = page(read(rows, query.after, limit + 1), query, lambda row: row, lambda row: Item(name=row))
        seen += [item.name for item in shown.items]
        query = PageQuery(limit=limit, cursor=shown.next_cursor) if shown.next_cursor else None
    assert seen == sorted(rows)


@pytest.mark.parametrize(
    "cursor",
    [
        "!",
        "A",
        "AAAAA",
        "游标",
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"a\x00").decode(),
    ],
)
def test_a_cursor_nobody_gave_out_is_refused(cursor: str) -> None:
    with pytest.raises(Refused, match=r"request\.cursor-invalid"):
        _ = PageQuery(cursor=cursor).after
