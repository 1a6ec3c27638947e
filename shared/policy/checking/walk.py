"""Every part of a document with its path."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from shared.policy.checking.report import Path
from shared.policy.document import Written


def parts_of(value: Any, path: Path = ()) -> Iterator[tuple[Path, Written]]:
    """The document and all parts in it, the outer before the inner."""
    if isinstance(value, Written):
        yield path, value
        for name, key in _keys(type(value)):
            yield from parts_of(getattr(value, name), (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, Written):
                yield from parts_of(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, Written):
                yield from parts_of(item, (*path, key))


@lru_cache(maxsize=256)
def _keys(kind: type[Written]) -> tuple[tuple[str, str], ...]:
    """Attribute and key of each field."""
    return tuple((name, field.alias or name) for name, field in kind.model_fields.items())
