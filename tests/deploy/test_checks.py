"""The house rules' own checks, each seen to find what it is for and to leave the rest alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.checks import Function, check, check_lengths, check_text, functions


# The samples are put together here, so that this file does not break the rules itself.
@pytest.mark.parametrize(
    ("file", "text", "what"),
    [
        ("README.md", "pip install -i https://pypi" + ".org/simple", "registry"),
        ("Makefile", "curl https://repo.maven." + "apache.org/maven2/x.jar", "registry"),
        ("docs/x.md", "mirrors.cloud.debian" + ".org", "registry"),
        ("docs/x.md", "run /" + "home/wang/sifang/run.sh", "path of one machine"),
        ("a.py", 'ROOT = "/' + 'Users/li/sifang"', "path of one machine"),
        ("a.py", "# TO" + "DO: later", "unfinished"),
        ("a.py", "raise NotImplemented" + "Error", "unfinished"),
        ("a.py", "@pytest.mark.sk" + "ip(reason='slow')", "does not run"),
        ("a.py", "pytest.xf" + "ail('flaky')", "does not run"),
    ],
)
def test_it_finds(file: str, text: str, what: str) -> None:
    (finding,) = check_text(file, f"fine\n{text}\n")
    assert what in finding.what
    assert finding.line == 2


@pytest.mark.parametrize(
    "text",
    [
        "org.apache.maven:maven-core:3.9.0",
        "https://www.apache.org/licenses/LICENSE-2.0",
        "GET /v1/home/visits",
        "the home/care agency",
        "../../work/README.md",
        "xfail_strict = true",
        "a mastodon",
    ],
)
def test_it_leaves_alone(text: str) -> None:
    assert not list(check_text("a.py", text))


def test_a_function_of_71_lines_is_too_long() -> None:
    text = "def long():\n" + "    pass\n" * 70 + "\ndef short():\n    pass\n"
    found = list(functions("a.py", text))
    assert [(one.name, one.lines) for one in found] == [("long", 71), ("short", 2)]
    findings = list(check_lengths([*found, *[Function("a.py", 1, "f", 5)] * 100]))
    assert [finding.what for finding in findings] == ["long has 71 lines, more than 70"]


def test_hardly_any_function_may_have_more_than_40_lines() -> None:
    short, longish = Function("a.py", 1, "short", 5), Function("a.py", 9, "longish", 41)
    assert not list(check_lengths([longish] + [short] * 99))
    assert len(list(check_lengths([longish] * 3 + [short] * 97))) == 3


def test_files_outside_the_repository_are_not_looked_at(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    for name in ("ignored.py", "new.py"):
        (tmp_path / name).write_text("# TO" + "DO\n")
    assert [finding.file for finding in check(tmp_path)] == ["new.py"]
