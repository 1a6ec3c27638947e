"""Lists in pages: a bounded size and an opaque cursor that says where the next page begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from pydantic import Field

from shared.http.types import Query, View
from shared.refusals import Refused, declare

T = TypeVar("T")
V = TypeVar("V", bound=View)

CURSOR_INVALID = declare(
    "request.cursor-invalid", status=422, zh="分页游标无效。", en="The cursor is not one this list gave out."
)


class PageQuery(Query):
    """Which page of a list is wanted."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(max_length=200)] | None = None

    @property
    def after(self) -> str:
        """The key the page begins after; "" for the first page. Raises Refused."""
        if self.cursor is None:
            return ""
        try:
            text = base64.b64decode(self.cursor.encode(), b"-_", validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise Refused(CURSOR_INVALID(pointer="/query/cursor")) from error
        if not text.isprintable():
            raise Refused(CURSOR_INVALID(pointer="/query/cursor"))
        return text


class PageView(View, Generic[V]):
    """One page; `next_cursor` is absent on the last."""

    items: list[V]
    next_cursor: str | None = None


def page(rows: Sequence[T], query: PageQuery, key: Callable[[T], str], view: Callable[[T], V]) -> PageView[V]:
    """A page of `rows`, which were read with one more than the limit to see whether there is a next."""
    shown = rows[: query.limit]
    more = len(rows) > query.limit
    cursor = base64.urlsafe_b64encode(key(shown[-1]).encode()).decode() if more else None
    return PageView(items=[view(row) for row in shown], next_cursor=cursor)
