"""The command line, run as people run it: as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.policy.cli import Progress, Say, main
from tests.policy import sample

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `sifang policy …` in a folder that holds pack.yaml and case.yaml."""
    sample.write(tmp_path)

    def started(*arguments: str, typed: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "shared.policy", *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **environment},
            input=typed,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return started


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The same in this process: for the many that differ only in what they are given."""
    sample.write(tmp_path)
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            code = main(arguments, {"LANG": "C.UTF-8"})
        except SystemExit as ended:  # wrong use, as argparse has it
            code = int(ended.code or 0)
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return called


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON on standard output."""
    return json.loads(done.stdout)


def test_run_prints_the_decision_and_nothing_else(run: Run) -> None:
    done = run("run", "--pack", "pack.yaml", "--case", "case.yaml")
    assert done.returncode == 0
    assert done.stderr == ""
    assert [bill["fund"] for bill in answer(done)["bills"]] == ["19405.04", "8417.99"]
    assert answer(done)["ok"] is True


def test_a_case_from_standard_input(run: Run) -> None:
    done = run("run", "--pack", "pack.yaml", "--case", "-", typed=sample.CASE)
    assert answer(done) == answer(run("run", "--pack", "pack.yaml", "--case", "case.yaml"))
    wrong = run("run", "--pack", "pack.yaml", "--case", "-", typed=sample.CASE.replace("amount: 300.00", "amonut: 3"))
    assert wrong.returncode == 1
    assert wrong.stdout == ""
    assert wrong.stderr.startswith("-:")


def test_several_cases_in_a_file_are_answered_in_a_list(run: Run, tmp_path: Path) -> None:
    both = "".join(
        "- " + text.strip().replace("\n", "\n  ") + "\n"
        for text in (sample.CASE, sample.CASE.replace("id: two-stays", "id: again"))
    )
    (tmp_path / "both.yaml").write_text(both, encoding="utf-8")
    done = run("run", "--pack", "pack.yaml", "--case", "both.yaml")
    assert done.returncode == 0, done.stderr
    assert [case["case"] for case in answer(done)] == ["two-stays", "again"]


@pytest.mark.parametrize(
    ("lang", "environment", "words"),
    [
        (("--lang", "zh"), {}, "您还需现金支付2,182.01元。"),
        (("--lang", "en"), {"LANG": "zh_CN.UTF-8"}, "You pay 2,182.01 yuan in cash."),
        ((), {"LANG": "zh_CN.UTF-8"}, "您还需现金支付2,182.01元。"),
        ((), {"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "You pay 2,182.01 yuan in cash."),
        ((), {"LANG": "zh_CN.GB18030"}, "您还需现金支付2,182.01元。"),
        ((), {"LANG": "C"}, "You pay 2,182.01 yuan in cash."),
    ],
)
def test_the_language_is_asked_for_or_that_of_the_terminal(
    run: Run, lang: tuple[str, ...], environment: dict[str, str], words: str
) -> None:
    arguments = ("run", "--pack", "pack.yaml", "--case", "case.yaml", "--explain", "--reader", "patient")
    assert words in run(*arguments, *lang, **environment).stdout
    assert words in run(*lang, *arguments, **environment).stdout


def test_explaining_to_the_officer_and_the_machine(run: Run) -> None:
    asked = ("run", "--pack", "pack.yaml", "--case", "case.yaml", "--explain")
    assert "样政〔2025〕1号 第五条" in run(*asked).stdout
    steps = answer(run(*asked, "--reader", "machine"))["bills"][0]["steps"]
    assert steps[0]["step"] == 1
    assert {"kind", "name", "inputs", "result", "clauses"} <= set(steps[0])


def test_a_page_is_written(run: Run, tmp_path: Path) -> None:
    done = run("run", "--pack", "pack.yaml", "--case", "case.yaml", "--html", "out.html")
    assert done.returncode == 0
    assert answer(done)["ok"] is True
    assert (tmp_path / "out.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert run("show", "pack.yaml", "--html", "no/such/folder.html").returncode == 2


def test_an_expectation_that_fails_is_told_and_is_a_finding(run: Run, tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(sample.CASE.replace("is: 17910.04", "is: 17910.05"), encoding="utf-8")
    done = run("run", "--pack", "pack.yaml", "--case", "case.yaml")
    assert done.returncode == 1
    assert answer(done)["ok"] is False
    assert done.stderr == "two-stays: first.basic.fund must be 17910.05, is 17910.04\n"


def test_what_cannot_be_decided_is_told_and_is_a_finding(run: Run, tmp_path: Path) -> None:
    text = sample.CASE.replace("group: 退休, ", "").replace("level: 二级, liability: 无", "level: 二级")
    (tmp_path / "case.yaml").write_text(text.replace("care: 住院, level: 三级", "level: 三级"), encoding="utf-8")
    done = run("run", "--pack", "pack.yaml", "--case", "case.yaml", "--lang", "zh")
    assert done.returncode == 1
    assert "two-stays: first 不能决定：policy.no-benefit" in done.stderr


@pytest.mark.parametrize(
    ("before", "after", "line", "code"),
    [
        ("level: 三级", "levle: 三级", 6, "pack.unknown-fact"),
        ("level: 三级", "level: 四级", 6, "pack.unknown-word"),
        ("group: 退休", "age: old", 2, "pack.fact-kind"),
        ("accounts: {own: 500}", 'history: {"basic-found@2025": 1}', 3, "case.unknown-counter"),
        ("accounts: {own: 500}", 'history: {"basic-fund": 1}', 3, "case.counter"),
        ("calculate: maternity", "calculate: paternity", 17, "case.unknown-calculation"),
        ("wage: 6000, leave: 98", "wages: 6000, leave: 98", 17, "case.unknown-input"),
        ("wage: 6000, leave: 98", "leave: 98", 17, "case.input-missing"),
    ],
)
def test_what_does_not_fit_the_pack_is_located(
    run_here: Run, tmp_path: Path, before: str, after: str, line: int, code: str
) -> None:
    assert before in sample.CASE
    (tmp_path / "case.yaml").write_text(sample.CASE.replace(before, after, 1), encoding="utf-8")
    done = run_here("run", "--pack", "pack.yaml", "--case", "case.yaml")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"case.yaml:{line}:")
    assert f" {code}: " in done.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("amount of three decimals", sample.CASE.replace("300.00", "300.001")),
        ("enormous amount", sample.CASE.replace("300.00", "9" * 40)),
        ("unknown key", sample.CASE.replace("facts: {class: 丙}", "fcats: {class: 丙}")),
        ("no YAML", "id: [\n"),
        ("bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"),
        ("empty", ""),
        ("code", "id: !!python/object/apply:os.system ['touch hacked']\n"),
        ("bytes", "id: \x00\x01\n"),
        (
            "dates out of order",
            sample.CASE.replace("id: first", "id: first\n    begins: 2025-05-02\n    ends: 2025-05-01"),
        ),
    ],
)
def test_bad_cases_are_located_errors(run_here: Run, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    done = run_here("run", "--pack", "pack.yaml", "--case", "bad.yaml")
    assert done.returncode == 1, name
    assert done.stdout == "", name
    assert done.stderr.startswith("bad.yaml:"), (name, done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "hacked").exists()


def test_a_bad_pack_ends_every_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_text(sample.PACK.replace("value: 0.85", "value: 1.85"), encoding="utf-8")
    for arguments in (
        ("run", "--pack", "pack.yaml", "--case", "case.yaml"),
        ("test", "pack.yaml"),
        ("show", "pack.yaml"),
        ("diff", "pack.yaml", "pack.yaml"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert done.stderr.startswith("pack.yaml:"), arguments


def test_check(run: Run, tmp_path: Path) -> None:
    assert run("check", "pack.yaml").returncode == 0
    (tmp_path / "pack.yaml").write_text(sample.PACK.replace("clause: large", "clause: larch"), encoding="utf-8")
    done = run("check", "pack.yaml", "--lang", "zh")
    assert done.returncode == 1
    assert done.stdout.startswith("pack.yaml:")
    assert "未通过" in done.stdout


def test_test_runs_the_packs_own_examples(run: Run, tmp_path: Path) -> None:
    done = run("test", "pack.yaml")
    assert (done.returncode, done.stdout) == (0, "pass stay\n1 examples pass, 0 fail\n")
    (tmp_path / "pack.yaml").write_text(sample.PACK.replace("is: 8500", "is: 8500.01"), encoding="utf-8")
    done = run("test", "pack.yaml")
    assert (done.returncode, done.stdout) == (1, "FAIL stay\n0 examples pass, 1 fail\n")
    assert done.stderr == "stay: fund must be 8500.01, is 8500\n"


@pytest.mark.parametrize("what", ["pack", "case"])
def test_schema(run: Run, what: str) -> None:
    schema = answer(run("schema", what))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("run",),
        ("run", "--pack", "pack.yaml"),
        ("run", "--pack", "nowhere.yaml", "--case", "case.yaml"),
        ("run", "--pack", "pack.yaml", "--case", "nowhere.yaml"),
        ("check", "nowhere"),
        ("show", "pack.yaml", "--width", "0"),
        ("schema", "bill"),
        ("replay", "--pack", "pack.yaml", "--bills", "nowhere.csv"),
    ],
)
def test_wrong_use_is_two(run_here: Run, arguments: tuple[str, ...]) -> None:
    done = run_here(*arguments)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path) -> None:
    sample.write(tmp_path)
    command = f"'{sys.executable}' -m shared.policy show pack.yaml | head -1"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.stdout == "Sample city, employees\n"
    assert done.stderr == ""


def test_progress_is_said_at_most_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = iter([0.0, 0.5, 1.0, 1.5, 2.5])
    progress = Progress(Say("en"), lambda: next(now_s))
    for done in range(1, 5):
        progress("decide", done, 4)
    assert capsys.readouterr().err == "deciding: 2 / 4\ndeciding: 4 / 4\n"


def test_an_answer_needs_no_service_and_no_plot() -> None:
    """What takes long to import is imported by the commands that need it only."""
    code = (
        "import sys; import shared.policy.cli; "
        "print(sorted({'pydantic', 'yaml', 'rich', 'sqlalchemy', 'fastapi', 'duckdb', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_run_imports_no_framework(run: Run, tmp_path: Path) -> None:
    code = (
        "import sys; from shared.policy.cli import main; main(['run', '--pack', 'pack.yaml', '--case', 'case.yaml']); "
        "print(sorted({'sqlalchemy', 'fastapi', 'duckdb', 'asyncio', 'rich'} & set(sys.modules)), file=sys.stderr)"
    )
    sample.write(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert done.stderr == "[]\n"


def test_the_launcher(tmp_path: Path) -> None:
    """From another folder, with a path of its own to be found through; wrong words are wrong use."""
    sample.write(tmp_path)
    launcher = str(ROOT / "sifang")
    done = subprocess.run(
        [launcher, "policy", "test", "pack.yaml"], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("1 examples pass, 0 fail\n") or done.stdout.endswith("1 个算例通过，0 个失败\n")
    for arguments in ([], ["polity"]):
        wrong = subprocess.run([launcher, *arguments], capture_output=True, encoding="utf-8", check=False)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert "usage: sifang policy" in wrong.stderr


def test_the_launcher_makes_the_environment_first_and_quietly(tmp_path: Path) -> None:
    """In a copy without .venv, `make` is asked for it; what it says goes to standard error."""
    shutil.copy(ROOT / "sifang", tmp_path / "sifang")
    (tmp_path / "Makefile").write_text(
        ".venv/.installed-to-run:\n"
        "\t@echo installing; mkdir -p .venv/bin\n"
        f"\t@ln -s '{shutil.which('echo')}' .venv/bin/python\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [tmp_path / "sifang", "policy", "check", "x"], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "-m shared.policy check x\n", "installing\n")
