"""The documents of this repository as the tests read them: their links, anchors, tables, and the examples in them."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

ANYTHING = "…"
"""What an expected answer shows in place of what differs each time."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=indent)```\n", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]+\]\((?P<target>[^()\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)


def documents() -> list[Path]:
    """Every document a person reads."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


class Fence(NamedTuple):
    """A fenced block: what stands behind the opening marks, and its content."""

    info: str
    body: str


def fences(text: str) -> list[Fence]:
    """All fenced blocks of a document, in order."""
    return [Fence(found["info"], textwrap.dedent(found["body"])) for found in _FENCE.finditer(text)]


def examples(text: str, info: str) -> list[str]:
    """The fenced blocks marked so."""
    return [fence.body for fence in fences(text) if fence.info == info]


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return _FENCE.sub("", text)


def code_spans(text: str) -> list[str]:
    """Everything that stands in single backticks."""
    return _SPAN.findall(prose(text))


def anchors(text: str) -> set[str]:
    """What a link into a document may name: its headings, spelt as the usual viewers do."""
    titles = (re.sub(r"[^\w\- ]", "", found["title"].lower()) for found in _HEADING.finditer(prose(text)))
    return {title.replace(" ", "-") for title in titles}


def broken_links(document: Path) -> list[str]:
    """Links of a document that lead to no file, or to no heading of it."""
    broken = []
    for found in _LINK.finditer(prose(document.read_text("utf-8"))):
        target = found["target"]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path) if path else document
        if not file.exists() or (anchor and anchor not in anchors(file.read_text("utf-8"))):
            broken.append(f"{document.name}: {target}")
    return broken


class Step(NamedTuple):
    """One example of a guide: the commands, and what they answer, where the guide says so."""

    commands: str
    expected: str | None


def steps(text: str, info: str) -> list[Step]:
    """The examples marked so, each with the `text` block that directly follows it."""
    found = fences(text)
    following = [*found[1:], Fence("", "")]
    return [
        Step(fence.body, after.body if after.info == "text" else None)
        for fence, after in zip(found, following, strict=True)
        if fence.info == info
    ]


_MARK = "\x1e"
"""Separates what the steps print."""


def run(guide: Sequence[Step], environment: Mapping[str, str], timeout_s: float) -> list[str]:
    """Run a guide's steps in one shell, as its reader does; what is not as the guide says, one text each."""
    script = "".join(f"printf '{_MARK}'\n{step.commands}" for step in guide)
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    printed = done.stdout.split(_MARK)[1:]
    wrong = [
        f"{step.commands}\nprinted\n{answer}\ninstead of\n{step.expected}"
        for step, answer in zip(guide, printed, strict=False)
        if step.expected is not None and not is_as_shown(answer, step.expected)
    ]
    if done.returncode or len(printed) < len(guide):
        wrong.append(f"{guide[len(printed) - 1].commands}\nended with {done.returncode}:\n{done.stderr}")
    return wrong


def is_as_shown(answer: str, expected: str) -> bool:
    """Whether an answer is the one a guide shows; `…` there stands for anything."""
    pattern = ".*?".join(map(re.escape, expected.strip().split(ANYTHING)))
    return re.fullmatch(pattern, answer.strip(), re.DOTALL) is not None


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """What a guide's shell sees: the reader's own, and the cluster's addresses and secrets."""
    # A `make` above us would pass its own options and variables on; a proxy is not for the loopback address.
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return {**own, **environment, "no_proxy": "127.0.0.1"}
