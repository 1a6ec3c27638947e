"""YAML as packs and cases are written: plain values, each with its place, and none of YAML's surprises.

Read from parser events, so that nothing is ever constructed from a tag. Numbers are exact decimals, days are dates,
only `true` and `false` are flags, and `yes`, `on` or `310 100` stay text. Refused with their place: duplicate keys,
anchors and aliases, merge keys, tags, directives, tabs, control characters, second documents, and whatever is beyond
the limits. Size is looked at before a file is opened, depth and number of nodes while it is read, so that a file made
to exhaust the reader costs no more than an honest one.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from shared.policy.issues import Issue, Place, issue_at

MAX_FILE_BYTES: Final = 2_000_000
MAX_FOLDER_BYTES: Final = 8_000_000
MAX_FILES: Final = 200
MAX_DEPTH: Final = 40
MAX_NODES: Final = 200_000
MAX_TEXT: Final = 20_000
MAX_KEY: Final = 200
"""Characters of one text, and of one key."""
MAX_NUMBER: Final = Decimal("99999999999999.99")
"""Fourteen digits of yuan, the most the national interface can carry; no count or ratio needs more."""
MAX_DECIMALS: Final = 12

_TOO_LARGE: Final = "pack.too-large"

Scalar: TypeAlias = "str | bool | Decimal | date | None"
Path_: TypeAlias = "Sequence[str | int]"

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ALMOST_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
_ALMOST_NUMBER: Final = re.compile(
    r"[-+]?(\.?[0-9][0-9_,]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|0[xob][0-9a-fA-F_]+|\.(inf|nan))", re.IGNORECASE
)
_CONTROL: Final = re.compile("[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_NULLS: Final = frozenset({"", "~", "null"})


@dataclass(slots=True)
class Node:
    """A value with its place. `value` is a mapping of entries, a list of nodes, or a scalar."""

    value: dict[str, Entry] | list[Node] | Scalar
    place: Place
    text_shift: int = 0
    """How many columns after the place the text of a scalar begins: 1 after a quotation mark."""

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: entry.node.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(slots=True)
class Entry:
    """A key's place and its value."""

    key: Place
    node: Node


def value_place(root: Node, path: Path_) -> Place:
    """Where the value at a path stands; where a step of the path is not there, the last thing that is."""
    return follow(root, path)[-1].place


def key_place(root: Node, path: Path_) -> Place:
    """Where the last key of a path stands; an item of a list has none, so its own place."""
    nodes = follow(root, path)
    if path and len(nodes) == len(path) + 1:
        parent = nodes[-2].value
        if isinstance(parent, dict):
            return parent[str(path[-1])].key
    return nodes[-1].place


def follow(root: Node, path: Path_) -> list[Node]:
    """The nodes along a path as far as it goes, the root first."""
    nodes = [root]
    for step in path:
        value = nodes[-1].value
        if isinstance(value, dict) and isinstance(step, str) and step in value:
            nodes.append(value[step].node)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            nodes.append(value[step])
        else:
            break
    return nodes


# --------------------------------------------------------------------------------------------------- files


class Unreadable(Exception):
    """A file or folder that cannot be used at all; `issue` says why."""

    def __init__(self, issue: Issue) -> None:
        super().__init__(str(issue))
        self.issue = issue


def _unreadable(place: Place, code: str, zh: str, en: str) -> Unreadable:
    return Unreadable(issue_at(place, code, zh, en))


def yaml_files(folder: Path) -> list[Path]:
    """The pack's files in the order of their names. Raises Unreadable."""
    place = Place(str(folder), 1, 1)
    files = []
    try:
        for file in folder.iterdir():
            if file.suffix in (".yaml", ".yml"):
                files.append(file)
            if len(files) > MAX_FILES:
                raise _unreadable(place, "pack.too-large", f"文件超过{MAX_FILES}个", f"more than {MAX_FILES} files")
    except OSError as error:
        why = error.strerror
        raise _unreadable(place, "pack.file", f"不能读取：{why}", f"cannot be read: {why}") from error
    if not files:
        raise _unreadable(place, "pack.file", "文件夹中没有 .yaml 文件", "the folder has no .yaml file")
    for file in files:
        _inside(file, folder)
    return sorted(files, key=lambda file: file.name)


def _inside(file: Path, folder: Path) -> None:
    try:
        inside = file.resolve(strict=True).is_relative_to(folder.resolve(strict=True))
    except (OSError, RuntimeError):
        inside = False
    if not inside:
        zh, en = "链接指向文件夹之外", "is a link that leads out of the folder"
        raise _unreadable(Place(str(file), 1, 1), "pack.file", zh, en)


def text_of(file: Path) -> str:
    """The file's text; its size is known before it is read. Raises Unreadable."""
    place = Place(str(file), 1, 1)
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _unreadable(place, "pack.file", "不是普通文件", "is not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise too_large(file, MAX_FILE_BYTES)
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _unreadable(place, "pack.file", f"不能读取：{why}", f"cannot be read: {why}") from error
    if len(content) > MAX_FILE_BYTES:
        raise too_large(file, MAX_FILE_BYTES)
    return _decoded(content, str(file))


def too_large(path: Path, limit: int) -> Unreadable:
    """For a file or folder beyond its limit in bytes."""
    zh, en = f"超过{limit}字节", f"is larger than {limit} bytes"
    return _unreadable(Place(str(path), 1, 1), "pack.too-large", zh, en)


def _decoded(content: bytes, file: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_of(content[: error.start].decode("utf-8", "replace"), file)
        raise _unreadable(place, "pack.encoding", "不是 UTF-8 文本", "is not UTF-8 text here") from error
    if match := _CONTROL.search(text):
        place = _place_of(text[: match.start()], file)
        zh, en = f"不可用的控制字符 U+{ord(match[0]):04X}", f"control character U+{ord(match[0]):04X} is not allowed"
        raise _unreadable(place, "pack.encoding", zh, en)
    if (at := text.find("\t")) >= 0:
        place = _place_of(text[:at], file)
        raise _unreadable(place, "pack.tab", "不能用制表符，请用空格", "a tab; write spaces instead")
    return text


def _place_of(before: str, file: str) -> Place:
    return Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))


# ------------------------------------------------------------------------------------------------- reading


@dataclass(slots=True)
class Read:
    """What a file holds, and the values in it that are wrong by themselves, in whose place a harmless one stands."""

    root: Node
    issues: list[Issue]


def read_text(text: str, file: str) -> Read:
    """Read one YAML document. Raises Unreadable when it is none, or not of the plain kind."""
    try:
        return _Reader(file).read(text)
    except yaml.YAMLError as error:
        raise Unreadable(_syntax_issue(error, file)) from error


def _syntax_issue(error: yaml.YAMLError, file: str) -> Issue:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
    words = [getattr(error, "context", None), getattr(error, "problem", None) or getattr(error, "reason", None)]
    why = ": ".join(str(word) for word in words if word) or "not readable"
    return issue_at(place, "pack.yaml", f"YAML 格式错误：{why}", f"not YAML: {why}")


class _Reader:
    """Builds nodes from events with a stack of its own: no input can exhaust the interpreter's."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._issues: list[Issue] = []
        self._open: list[Node] = []
        self._keys: list[tuple[str, Place] | None] = []
        self._root: Node | None = None
        self._nodes = 0

    def read(self, text: str) -> Read:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._open.pop()
                self._keys.pop()
            elif isinstance(event, yaml.DocumentStartEvent):
                self._document(event)
        if self._root is None:
            raise _unreadable(Place(self._file, 1, 1), "pack.empty", "文件是空的", "the file is empty")
        return Read(self._root, self._issues)

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        if event.version or event.tags:
            raise self._refused(event, "不能用 YAML 指令 %", "a YAML directive (%) is not allowed")
        if self._root is not None:
            raise self._refused(event, "只能有一个文档", "a second document; a file holds one")

    def _node(self, event: Any) -> None:
        self._nodes += 1
        self._refuse_specials(event)
        place = Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)
        if self._open and isinstance(self._open[-1].value, dict) and self._keys[-1] is None:
            self._keys[-1] = (self._key(event, place), place)
            return
        node = self._made(event, place)
        self._attach(node)
        if not isinstance(event, yaml.ScalarEvent):
            self._open.append(node)
            self._keys.append(None)

    def _made(self, event: Any, place: Place) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            return Node({}, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return Node([], place)
        if event.style in ("'", '"'):
            return Node(event.value, place, 1)
        if event.style in ("|", ">"):
            return Node(event.value, place)
        return Node(self._scalar(event.value, place), place)

    def _attach(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1].value
        key = self._keys[-1]
        if isinstance(parent, dict) and key is not None:
            parent[key[0]] = Entry(key[1], node)
            self._keys[-1] = None
        elif isinstance(parent, list):
            parent.append(node)

    def _refuse_specials(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._refused(event, "不能用锚点和引用（& *）", "anchors and aliases (& *) are not allowed")
        if event.tag is not None:
            raise self._refused(event, f"不能用标签 {event.tag}", f"the tag {event.tag} is not allowed")
        if len(self._open) >= MAX_DEPTH and not isinstance(event, yaml.ScalarEvent):
            raise self._refused(event, f"嵌套超过{MAX_DEPTH}层", f"nested deeper than {MAX_DEPTH}", _TOO_LARGE)
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_TEXT:
            raise self._refused(
                event, f"文字超过{MAX_TEXT}字", f"a text of more than {MAX_TEXT} characters", _TOO_LARGE
            )
        if self._nodes > MAX_NODES:
            raise self._refused(event, f"内容超过{MAX_NODES}项", f"more than {MAX_NODES} values", _TOO_LARGE)

    def _refused(self, event: Any, zh: str, en: str, code: str = "pack.yaml") -> Unreadable:
        mark = event.start_mark
        return _unreadable(Place(self._file, mark.line + 1, mark.column + 1), code, zh, en)

    def _key(self, event: Any, place: Place) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refused(event, "键须是一个词", "a key must be a single word")
        key: str = event.value
        if key == "<<" and event.implicit[0]:
            raise self._refused(event, "不能用合并键 <<", "the merge key << is not allowed; write it out")
        if not key:
            raise self._refused(event, "键是空的", "the key is empty")
        if len(key) > MAX_KEY:
            raise self._refused(event, f"键超过{MAX_KEY}字", f"a key of more than {MAX_KEY} characters", _TOO_LARGE)
        mapping = self._open[-1].value
        if isinstance(mapping, dict) and key in mapping:
            first = mapping[key].key
            zh = f"键 `{key}` 重复，第一次在 {first.line}:{first.column}"
            en = f"the key `{key}` stands here twice, first at {first.line}:{first.column}"
            raise _unreadable(place, "pack.duplicate-key", zh, en)
        return key

    # A wrong value is told and a harmless one put in its place, so that the rest is still looked at.

    def _scalar(self, text: str, place: Place) -> Scalar:
        if text in _NULLS:
            return None
        if text in ("true", "false"):
            return text == "true"
        first = text[0]
        if not (first.isdigit() or first in "+-."):
            return text
        if _NUMBER.fullmatch(text):
            return self._number(text, place)
        if _DAY.fullmatch(text):
            return self._day(text, place)
        return self._text(text, place)

    def _number(self, text: str, place: Place) -> Decimal:
        number = Decimal(text)
        if abs(number) > MAX_NUMBER:
            zh, en = f"{_short(text)} 超过 {MAX_NUMBER}", f"{_short(text)} exceeds {MAX_NUMBER}"
            self._tell(place, "pack.number", zh, en)
            return Decimal(1)
        if len(text.partition(".")[2]) > MAX_DECIMALS:
            zh, en = f"小数超过{MAX_DECIMALS}位", f"more than {MAX_DECIMALS} decimals"
            self._tell(place, "pack.number", zh, en)
            return Decimal(1)
        return number if number else Decimal(0)

    def _day(self, text: str, place: Place) -> date:
        try:
            return date.fromisoformat(text)
        except ValueError:
            self._tell(place, "pack.date", f"没有 {text} 这一天", f"there is no day {text}")
            return date(2000, 1, 1)

    def _text(self, text: str, place: Place) -> Scalar:
        if _ALMOST_DAY.fullmatch(text):
            zh, en = f"日期须写成 2025-01-31，不是 {text}", f"write a date like 2025-01-31, not {text}"
            self._tell(place, "pack.date", zh, en)
            return date(2000, 1, 1)
        if _ALMOST_NUMBER.fullmatch(text):
            zh = f"数须写成 12 或 0.05，不是 {_short(text)}；若是文字，请加引号"
            en = f"write a number like 12 or 0.05, not {_short(text)}; put it in quotes if it is text"
            self._tell(place, "pack.number", zh, en)
            return Decimal(1)
        return text

    def _tell(self, place: Place, code: str, zh: str, en: str) -> None:
        self._issues.append(issue_at(place, code, zh, en))


def _short(text: str) -> str:
    return text if len(text) <= 30 else text[:30] + "…"


# ------------------------------------------------------------------------------------------- putting together


def put_together(parts: Sequence[Node], merged: frozenset[str]) -> Read:
    """One document of several files: lists are joined in their order, the mappings named in `merged` are merged.

    Anything else that stands in two files is told, with both places. Raises Unreadable when a part is no mapping.
    """
    whole = Node({}, parts[0].place)
    issues: list[Issue] = []
    for part in parts:
        for key, entry in _entries(part):
            _put(whole, key, entry, merged, issues)
    return Read(whole, issues)


def _entries(part: Node) -> Iterator[tuple[str, Entry]]:
    if not isinstance(part.value, dict):
        raise _unreadable(part.place, "pack.type", "须是键和值", "expected keys with values")
    yield from part.value.items()


def _put(whole: Node, key: str, entry: Entry, merged: frozenset[str], issues: list[Issue]) -> None:
    entries = whole.value
    assert isinstance(entries, dict)  # noqa: S101 -- made by put_together
    there = entries.get(key)
    if there is None:
        entries[key] = Entry(entry.key, _shallow(entry.node))
    elif isinstance(there.node.value, list) and isinstance(entry.node.value, list):
        there.node.value.extend(entry.node.value)
    elif key in merged and isinstance(there.node.value, dict) and isinstance(entry.node.value, dict):
        for name, inner in entry.node.value.items():
            if name in there.node.value:
                issues.append(_twice(name, inner.key, there.node.value[name].key))
            else:
                there.node.value[name] = inner
    else:
        issues.append(_twice(key, entry.key, there.key))


def _shallow(node: Node) -> Node:
    value = node.value
    copied = dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else value
    return Node(copied, node.place, node.text_shift)


def _twice(key: str, here: Place, there: Place) -> Issue:
    zh, en = f"键 `{key}` 已在 {there} 写过", f"the key `{key}` stands already at {there}"
    return issue_at(here, "pack.duplicate-key", zh, en)
