"""Whether a tree has the form of a document, and, where it has not, what is wrong and what was meant, in words."""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Final, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from shared.policy.issues import MAX_ISSUES, Issue, Place, did_you_mean, issue_at, listed
from shared.policy.source import Node, follow, key_place

Path: TypeAlias = tuple[str | int, ...]
Words: TypeAlias = tuple[str, str]


def formed(model: type[BaseModel], root: Node) -> tuple[Any, list[Issue]]:
    """The model's document of a tree, or None and everything that is wrong with its form."""
    try:
        return model.model_validate(root.plain(), strict=True, by_alias=True, by_name=False), []
    except ValidationError as error:
        return None, _issues(model, root, error)


def _issues(model: type[BaseModel], root: Node, error: ValidationError) -> list[Issue]:
    """One issue a place: the branches of a union fail all at once, and the words name what any of them takes."""
    grouped: dict[tuple[Path, bool], list[Any]] = {}
    for fault in error.errors(include_url=False)[:MAX_ISSUES]:
        path = _path_in(root, fault["loc"])
        on_key = fault["type"] in ("extra_forbidden", "missing") or fault["loc"][-1:] == ("[key]",)
        name = str(fault["loc"][-1]) if fault["type"] == "missing" else ""
        grouped.setdefault((path, on_key), []).append((fault, name))
    return [issue for (path, _), faults in grouped.items() for issue in _issues_at(model, root, path, faults)]


def _issues_at(model: type[BaseModel], root: Node, path: Path, faults: list[Any]) -> list[Issue]:
    missing = [name for fault, name in faults if name]
    others = [fault for fault, name in faults if not name]
    place = key_place(root, path)
    found = []
    if missing:
        keys = ", ".join(f"`{name}`" for name in dict.fromkeys(missing))
        found.append(issue_at(place, "pack.missing-key", f"缺少 {keys}", f"{keys} missing here"))
    if others and others[0]["type"] == "extra_forbidden":
        found.append(_unknown_key(model, place, path))
    elif others:
        code, zh, en = _words(others, follow(root, path)[-1])
        on_key = others[0]["loc"][-1:] == ("[key]",)
        at = place if on_key else follow(root, path)[-1].place
        found.append(issue_at(at, code, zh, en))
    return found


def _path_in(root: Node, loc: Sequence[str | int]) -> Path:
    """The steps of a location that are in the tree; names of union branches are not."""
    path: list[str | int] = []
    node = root
    for step in loc:
        if isinstance(node.value, dict) and isinstance(step, str) and step in node.value:
            node = node.value[step].node
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            continue
        path.append(step)
    return tuple(path)


# -------------------------------------------------------------------------------------------- unknown keys


def _unknown_key(model: type[BaseModel], place: Place, path: Path) -> Issue:
    key, known = str(path[-1]), keys_at(model, path[:-1])
    zh, en = did_you_mean(key, known)
    if _numeric(key):
        zh, en = "；数中不加分隔符，如 1000.00", "; write a number without separators, such as 1000.00"
    elif not en and (elsewhere := _elsewhere(model, key)):
        word, owners = elsewhere
        zh, en = f"；是否指 `{word}`？它属于 {owners}", f"; did you mean `{word}`, which stands in {owners}?"
    elif not en:
        zh, en = f"；可用：{listed(known, 40)}", f"; known here: {listed(known, 40)}"
    return issue_at(place, "pack.unknown-key", f"未知的键 `{key}`{zh}", f"unknown key `{key}`{en}")


def _elsewhere(model: type[BaseModel], key: str) -> tuple[str, str] | None:
    """The nearest key of any other part of the document, with the names of those parts."""
    owners: dict[str, list[str]] = {}
    for kind in sorted(_parts(model), key=lambda kind: kind.__name__):
        for name, field in kind.model_fields.items():
            owners.setdefault(field.alias or name, []).append(kind.__name__)
    near = difflib.get_close_matches(key, owners, n=1, cutoff=0.8)
    return (near[0], listed(owners[near[0]])) if near else None


@lru_cache(maxsize=8)
def _parts(model: type[BaseModel]) -> frozenset[type[BaseModel]]:
    """A document's class and those of all its parts."""
    found: set[type[BaseModel]] = set()
    pending: list[Any] = [model]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind not in found:
                found.add(kind)
                pending += [field.annotation for field in kind.model_fields.values()]
        else:
            pending += get_args(kind)
    return frozenset(found)


def keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that may stand in the mapping at a path."""
    kinds: list[Any] = [model]
    for step in path:
        kinds = [inner for kind in _branches(kinds) for inner in _below(kind, step)]
    models = [kind for kind in _branches(kinds) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [field.alias or name for kind in models for name, field in kind.model_fields.items()]


def _branches(kinds: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for kind in kinds:
        if get_origin(kind) is Annotated:
            found += _branches(get_args(kind)[:1])
        elif get_origin(kind) in (Union, types.UnionType):
            found += _branches(get_args(kind))
        else:
            found.append(kind)
    return found


def _below(kind: Any, step: str | int) -> list[Any]:
    if get_origin(kind) is list and isinstance(step, int):
        return list(get_args(kind))
    if get_origin(kind) is dict and isinstance(step, str):
        return list(get_args(kind)[1:])
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [field.annotation for name, field in kind.model_fields.items() if step in (name, field.alias)]
    return []


# --------------------------------------------------------------------------------------------------- words

_WANTED: Final[dict[str, Words]] = {
    "string_type": ("文字", "text"),
    "bool_type": ("true 或 false", "true or false"),
    "is_instance_of": ("数（如 12 或 0.05）", "a number (such as 12 or 0.05)"),
    "decimal_type": ("数（如 12 或 0.05）", "a number (such as 12 or 0.05)"),
    "int_type": ("整数", "a whole number"),
    "list_type": ("列表", "a list"),
    "dict_type": ("键和值", "keys with values"),
    "model_type": ("键和值", "keys with values"),
    "model_attributes_type": ("键和值", "keys with values"),
    "date_type": ("日期（如 2025-01-31）", "a date such as 2025-01-31"),
}
"""What each kind of value is called, by pydantic's type of error."""

_PATTERNS: Final[dict[str, Words]] = {
    r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*$": (
        "须是小写拉丁字母和数字，以连字符相连，如 basic-fund",
        "expected small Latin letters and digits joined by hyphens, such as basic-fund",
    ),
    r"^[0-9]+(\.[0-9]+)*$": ('须是带引号的版本号，如 "1.2"', 'expected a version in quotes, such as "1.2"'),
    r"^[0-9]{6}$": ('须是带引号的六位区划代码，如 "411600"', 'expected six digits in quotes, such as "411600"'),
    r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$": (
        '须是带引号的月-日，如 "01-01"',
        'expected month and day in quotes, such as "01-01"',
    ),
}


def _words(faults: list[Any], node: Node) -> tuple[str, str, str]:
    """Code and words for the faults of one place."""
    for fault in faults:
        describe = _BOUNDS.get(fault["type"])
        if describe is not None:
            zh, en = describe(fault)
            return "pack.value", zh, en
    wanted = list(dict.fromkeys(_WANTED[fault["type"]] for fault in faults if fault["type"] in _WANTED))
    if not wanted:
        return "pack.value", f"值不合适：{faults[0]['msg']}", f"does not fit: {faults[0]['msg']}"
    got_zh, got_en = _called(node.value)
    zh = f"须是{'或'.join(zh for zh, _ in wanted)}，却是{got_zh}"
    en = f"expected {' or '.join(en for _, en in wanted)}, got {got_en}"
    return "pack.type", zh + _hint(wanted, node)[0], en + _hint(wanted, node)[1]


def _hint(wanted: list[Words], node: Node) -> Words:
    text, flag, number = _WANTED["string_type"], _WANTED["bool_type"], _WANTED["is_instance_of"]
    if text in wanted and isinstance(node.value, Decimal | bool):
        written = str(node.value).lower()
        return f'；请加引号："{written}"', f'; put it in quotes: "{written}"'
    if flag in wanted and str(node.value).lower() in ("yes", "on", "y"):
        return "；请写 true", "; write true"
    if flag in wanted and str(node.value).lower() in ("no", "off", "n"):
        return "；请写 false", "; write false"
    if number in wanted and text not in wanted and isinstance(node.value, str) and _numeric(node.value):
        return "；请去掉引号", "; write it without quotes"
    return "", ""


def _numeric(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("-").isdecimal()


def _called(value: Any) -> Words:
    if value is None:
        return "空", "nothing"
    if isinstance(value, dict):
        return "键和值", "keys with values"
    if isinstance(value, list):
        return "列表", "a list"
    if isinstance(value, bool):
        return ("true", "true") if value else ("false", "false")
    shown = str(value) if len(str(value)) <= 40 else str(value)[:40] + "…"
    if isinstance(value, str):
        return f"文字“{shown}”", f"the text {shown!r}"
    kinds = {Decimal: ("数", "the number")}
    zh, en = kinds.get(type(value), ("日期", "the date"))
    return f"{zh} {shown}", f"{en} {shown}"


def _pattern(fault: Any) -> Words:
    return _PATTERNS.get(fault["ctx"]["pattern"], ("写法不合适", "is not written as it should be"))


def _choice(fault: Any) -> Words:
    allowed = [word.strip().strip("'") for word in fault["ctx"]["expected"].replace(" or ", ", ").split(",")]
    zh, en = did_you_mean(str(fault["input"]), allowed)
    words = listed(allowed)
    return f"须是其中之一：{words}{zh}", f"expected one of {words}{en}"


def _at_most(fault: Any) -> Words:
    limit = fault["ctx"].get("max_length") or fault["ctx"].get("le")
    return f"至多 {limit}", f"at most {limit}" + (" characters" if "max_length" in fault["ctx"] else "")


def _at_least(fault: Any) -> Words:
    limit = fault["ctx"].get("min_length") or fault["ctx"].get("ge")
    return f"至少 {limit}", f"at least {limit}"


_BOUNDS: Final[dict[str, Callable[[Any], Words]]] = {
    "string_pattern_mismatch": _pattern,
    "literal_error": _choice,
    "string_too_long": _at_most,
    "less_than_equal": _at_most,
    "greater_than_equal": _at_least,
    "string_too_short": lambda _: ("不能是空的", "must not be empty"),
    "too_short": lambda _: ("不能是空的", "must not be empty"),
}
