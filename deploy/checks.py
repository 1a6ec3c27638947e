"""House rules that no other tool checks, over every file of the repository: `python -m deploy.checks`.

A registry's host or one machine's path would tie the repository to a place; unfinished work and long functions are
not taken.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUNCTION_LINES_MAX = 70
LONG_FUNCTION_LINES = 40
LONG_FUNCTIONS_SHARE_MAX = 0.02

_REGISTRIES = "pypi|pythonhosted|npmjs|maven|sonatype|crates|golang|debian|ubuntu|anaconda|jfrog|docker|quay|ghcr"
_HOST = re.compile(rf"\b(?:[\w-]+\.)*(?:{_REGISTRIES})(?:\.[\w-]+)*\.(?:org|io|com|net|dev|cn)\b")
_MACHINE_PATH = re.compile(r"(?<![\w.-])/(?:home|Users|root|work|mnt|opt)/[\w.-]+")
# One letter in brackets keeps these lines from finding themselves.
_UNFINISHED = re.compile(r"\bTOD[O]\b|\bFIXM[E]\b|\bXX[X]\b|NotImplemented[E]rror")
_NOT_RUN = re.compile(r"pytest\.ski[p]\b|mark\.ski[p]|\bxfai[l]\(|mark\.xfai[l]")


@dataclass(frozen=True)
class Finding:
    """One place that breaks a rule."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


def check_text(file: str, text: str) -> Iterator[Finding]:
    """What one file says that it must not."""
    rules = [(_HOST, "names a registry's host"), (_MACHINE_PATH, "names a path of one machine")]
    if file.endswith(".py"):
        rules += [(_UNFINISHED, "is unfinished"), (_NOT_RUN, "is a test that does not run")]
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, what in rules:
            found = pattern.search(line)
            if found:
                yield Finding(file, number, f"{what}: {found.group()}")


@dataclass(frozen=True)
class Function:
    """A function and how long it is."""

    file: str
    line: int
    name: str
    lines: int


def functions(file: str, text: str) -> Iterator[Function]:
    """Every function of a Python file."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Function(file, node.lineno, node.name, lines)


def check_lengths(found: list[Function]) -> Iterator[Finding]:
    """Functions that are too long, and too many that are long."""
    for one in found:
        if one.lines > FUNCTION_LINES_MAX:
            yield Finding(one.file, one.line, f"{one.name} has {one.lines} lines, more than {FUNCTION_LINES_MAX}")
    longer = [one for one in found if one.lines > LONG_FUNCTION_LINES]
    if len(longer) > LONG_FUNCTIONS_SHARE_MAX * len(found):
        for one in longer:
            yield Finding(one.file, one.line, f"{one.name} has {one.lines} lines, and too many have that many")


def repository_files(root: Path) -> list[str]:
    """The files that are committed, or would be by `git add --all`."""
    call = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(call, cwd=root, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in set(listed.split("\0")) if name and (root / name).is_file())


def check(root: Path) -> list[Finding]:
    """All findings in a repository."""
    findings: list[Finding] = []
    all_functions: list[Function] = []
    for name in repository_files(root):
        try:
            text = (root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or the like
        findings += check_text(name, text)
        if name.endswith(".py") and "/migrations/versions/" not in name:  # those are lists of columns
            all_functions += functions(name, text)
    return findings + list(check_lengths(all_functions))


def main() -> int:
    """Print what was found and return an exit code."""
    findings = check(ROOT)
    for finding in findings:
        print(finding)
    print(f"house rules: {len(findings) or 'no'} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
