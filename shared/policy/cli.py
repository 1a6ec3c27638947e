"""The command line of policies: check, show, diff, run, test, replay, schema.

Answers go to standard output, what is wrong to standard error. Exit codes: 0 all well, 1 findings (a pack that does not
pass, a bill that cannot be decided, an example or expectation that fails), 2 wrong use. Everything is imported when its
command is called, so that the first answer comes at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from shared.policy.bills import Problem
    from shared.policy.case import CaseResult
    from shared.policy.document import Case, PackDocument
    from shared.policy.issues import Issue
    from shared.policy.replay import Impact
    from shared.policy.words import Language

OK, FINDINGS, USAGE = 0, 1, 2

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "about": ("政策包工具", "tools for policy packs"),
    "lang": ("语言（默认按 LANG）", "language of messages (default: by LANG)"),
    "check": ("检查政策包，错误标明文件、行、列", "check a pack; errors name file, line and column"),
    "show": ("以表格显示政策", "show the policy as tables"),
    "diff": ("两个政策包的差别：对谁、差多少", "what changes from one pack to another, and for whom"),
    "run": ("按政策计算一个案例，结果为 JSON", "decide a case by a pack; the answer is JSON"),
    "test": ("运行政策包自带的算例", "run a pack's own worked examples"),
    "replay": ("用一年的账单测算政策", "what a policy would have cost on a year of bills"),
    "schema": ("政策包或案例的 JSON Schema", "the JSON Schema of packs or cases"),
    "pack": ("政策包：目录或单个 .yaml 文件", "a pack: a folder or one .yaml file"),
    "old": ("原政策包", "the old pack"),
    "new": ("新政策包", "the new pack"),
    "case": ("案例文件；- 为标准输入", "a case file; - reads standard input"),
    "explain": ("输出说明文字而非 JSON", "explain in words instead of JSON"),
    "reader": ("说明的读者（默认 officer）", "for whom to explain (default: officer)"),
    "html": ("另存为网页", "also write a page to this file"),
    "json": ("另存为 JSON", "also write the data as JSON to this file"),
    "csv": ("另存为 CSV", "also write the costs as CSV to this file"),
    "svg": ("另存图形", "also write the plot to this file"),
    "width": ("文字宽度", "width of text in columns"),
    "bills": ("账单：CSV 或 Parquet 文件", "the bills: a CSV or Parquet file"),
    "top": ("列出变化最大的人数", "how many of the largest changes to list"),
    "processes": ("进程数", "number of processes"),
    "what": ("哪一种", "which one"),
    "no_file": ("找不到：{path}", "no such file or folder: {path}"),
    "cannot_write": ("不能写入 {path}：{why}", "cannot write {path}: {why}"),
    "passes": (
        "通过：{rules} 条规则，{clauses} 个条款，{examples} 个算例",
        "passes: {rules} rules, {clauses} clauses, {examples} examples",
    ),
    "fails": ("未通过：{errors} 个错误", "does not pass: {errors} errors"),
    "good": ("通过", "pass"),
    "bad": ("失败", "FAIL"),
    "tested": ("{good} 个算例通过，{bad} 个失败", "{good} examples pass, {bad} fail"),
    "undecided": ("{where} 不能决定：{code}：{why}", "{where} cannot be decided: {code}: {why}"),
    "expected": ("{what} 应为 {wanted}，得 {got}", "{what} must be {wanted}, is {got}"),
    "no_quantity": ("没有此量", "not computed"),
    "deal": ("分拣账单", "dealing the bills"),
    "decide": ("计算", "deciding"),
    "left_out": ("{count} 张账单未计入", "{count} bills are left out"),
}  # fmt: skip


class Failed(Exception):
    """Ends a command with an exit code; what is wrong has been said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run one command and answer its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Chinese must come out whatever the terminal's locale is called.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    say = Say(_language(arguments, environment))
    options = _parser(say).parse_args(arguments)
    try:
        return cast("int", options.command(options, say))
    except Failed as failed:
        return failed.code
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


class Say:
    """Messages in a language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language

    def __call__(self, text: str, **values: object) -> str:
        zh, en = _TEXTS[text]
        return (zh if self.language == "zh" else en).format(**values)

    def wrong(self, text: str, **values: object) -> None:
        """Say on standard error what is wrong."""
        complain(self(text, **values))


def complain(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{text}\n")


def answer(text: str) -> None:
    """Text on standard output."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def _language(arguments: Sequence[str], environment: Mapping[str, str]) -> Language:
    """Known before the arguments are parsed, since their help is in it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--lang")
    try:
        wanted = parser.parse_known_args(arguments)[0].lang
    except argparse.ArgumentError:
        wanted = None
    names = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if (wanted or next(filter(None, names), "")).startswith("zh") else "en"


# ---------------------------------------------------------------------------------------------------- arguments


def _parser(say: Say) -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--lang", choices=["zh", "en"], help=say("lang"))
    parser = argparse.ArgumentParser(prog="sifang policy", description=say("about"), parents=[shared])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, does: Callable[[argparse.Namespace, Say], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=say(name), description=say(name), parents=[_again(shared)])
        made.set_defaults(command=does)
        return made

    command("check", _check).add_argument("pack", type=Path, help=say("pack"))
    _show_arguments(command("show", _show), say)
    _diff_arguments(command("diff", _diff), say)
    _run_arguments(command("run", _run), say)
    command("test", _test).add_argument("pack", type=Path, help=say("pack"))
    _replay_arguments(command("replay", _replay), say)
    command("schema", _schema).add_argument("what", choices=["pack", "case"], help=say("what"))
    return parser


def _again(shared: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The shared options without their defaults: a command's would undo what was given before it."""
    again = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    for action in shared._actions:
        again.add_argument(*action.option_strings, choices=action.choices, help=action.help)
    return again


def _show_arguments(parser: argparse.ArgumentParser, say: Say) -> None:
    parser.add_argument("pack", type=Path, help=say("pack"))
    parser.add_argument("--html", type=Path, metavar="FILE", help=say("html"))
    parser.add_argument("--width", type=_positive, default=120, help=say("width"))


def _diff_arguments(parser: argparse.ArgumentParser, say: Say) -> None:
    parser.add_argument("old", type=Path, help=say("old"))
    parser.add_argument("new", type=Path, help=say("new"))
    parser.add_argument("--html", type=Path, metavar="FILE", help=say("html"))
    parser.add_argument("--json", type=Path, metavar="FILE", help=say("json"))
    parser.add_argument("--width", type=_positive, default=120, help=say("width"))


def _run_arguments(parser: argparse.ArgumentParser, say: Say) -> None:
    parser.add_argument("--pack", type=Path, required=True, help=say("pack"))
    parser.add_argument("--case", required=True, metavar="CASE", help=say("case"))
    parser.add_argument("--explain", action="store_true", help=say("explain"))
    parser.add_argument("--reader", choices=["patient", "officer", "machine"], default="officer", help=say("reader"))
    parser.add_argument("--html", type=Path, metavar="FILE", help=say("html"))


def _replay_arguments(parser: argparse.ArgumentParser, say: Say) -> None:
    parser.add_argument("--pack", "--new", dest="pack", type=Path, required=True, help=say("new"))
    parser.add_argument("--old", type=Path, help=say("old"))
    parser.add_argument("--bills", type=Path, required=True, metavar="FILE", help=say("bills"))
    for name in ("html", "json", "csv", "svg"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=say(name))
    parser.add_argument("--top", type=_positive, default=20, metavar="N", help=say("top"))
    parser.add_argument("--processes", type=_positive, default=2, metavar="N", help=say("processes"))
    parser.add_argument("--width", type=_positive, default=120, help=say("width"))


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1000:
        raise ValueError(text)
    return number


# ----------------------------------------------------------------------------------------------------- commands


def _check(options: argparse.Namespace, say: Say) -> int:
    from shared.policy.loading import load_pack
    from shared.policy.outline import outline

    loaded = load_pack(_existing(options.pack, say))
    for issue in loaded.issues:
        answer(located(issue, say.language))
    if loaded.document is None:
        answer(say("fails", errors=sum(issue.error for issue in loaded.issues)))
        return FINDINGS
    document = loaded.document
    rules = len(outline(document, say.language))
    answer(say("passes", rules=rules, clauses=len(document.clauses), examples=len(document.examples)))
    return OK


def _show(options: argparse.Namespace, say: Say) -> int:
    from shared.policy import show

    document = _pack(options.pack, say)
    if options.html is not None:
        _write(options.html, show.as_html(document, say.language), say)
    answer(show.as_text(document, say.language, width=options.width))
    return OK


def _diff(options: argparse.Namespace, say: Say) -> int:
    from shared.policy import diff

    found = diff.difference(_pack(options.old, say), _pack(options.new, say), say.language)
    if options.html is not None:
        _write(options.html, diff.as_html(found, say.language), say)
    if options.json is not None:
        _write(options.json, _json(diff.as_json(found)), say)
    answer(diff.as_text(found, say.language, width=options.width))
    return OK


def _run(options: argparse.Namespace, say: Say) -> int:
    from shared.policy.case import run_case
    from shared.policy.engine import Policy

    document = _pack(options.pack, say)
    cases = _cases(options.case, document, say)
    policy = Policy(document)
    results = [run_case(policy, case) for case in cases]
    if options.html is not None:
        from shared.policy import page

        _write(options.html, page.cases_page(results, document, options.reader, say.language), say)
    answer(_told(results, document, options, say))
    for result in results:
        _complain_of(result, say)
    return OK if all(result.ok for result in results) else FINDINGS


def _told(results: list[CaseResult], document: PackDocument, options: argparse.Namespace, say: Say) -> str:
    if options.explain:
        from shared.policy import explain

        if options.reader != "machine":
            told = (explain.case_text(result, document, options.reader, say.language) for result in results)
            return "\n".join(told)
        return _json_of([explain.case_machine(result, document) for result in results])
    from shared.policy.answers import case_json

    return _json_of([case_json(result) for result in results])


def _test(options: argparse.Namespace, say: Say) -> int:
    from shared.policy.case import run_case
    from shared.policy.engine import Policy

    document = _pack(options.pack, say)
    policy = Policy(document)
    bad = 0
    for case in document.examples:
        result = run_case(policy, case)
        answer(f"{say('good' if result.ok else 'bad')} {case.id}")
        _complain_of(result, say)
        bad += not result.ok
    answer(say("tested", good=len(document.examples) - bad, bad=bad))
    return FINDINGS if bad else OK


def _replay(options: argparse.Namespace, say: Say) -> int:
    from shared.policy import impact, replay
    from shared.policy.bills import BillsUnreadable, open_table

    new = _pack(options.pack, say)
    old = None if options.old is None else _pack(options.old, say)
    bills = _existing(options.bills, say)
    try:
        with open_table(bills) as table:
            progress = Progress(say)
            found = replay.replay(table, new, old, top=options.top, processes=options.processes, progress=progress)
    except BillsUnreadable as unreadable:
        _complain_of_rows(bills, unreadable.problems, say)
        return FINDINGS
    _save_impact(found, options, say)
    answer(impact.as_text(found, say.language, width=options.width))
    _complain_of_rows(bills, found.problems[:100], say)
    if found.problem_count:
        say.wrong("left_out", count=found.problem_count)
    return FINDINGS if found.problem_count else OK


def _save_impact(found: Impact, options: argparse.Namespace, say: Say) -> None:
    from shared.policy import impact

    makers: dict[str, Callable[[], str]] = {
        "html": lambda: impact.as_html(found, say.language),
        "json": lambda: _json(impact.as_json(found)),
        "csv": lambda: impact.as_csv(found),
        "svg": lambda: impact.as_svg(found, say.language),
    }
    for name, make in makers.items():
        path = getattr(options, name)
        if path is not None:
            _write(path, make(), say)


def _schema(options: argparse.Namespace, _say: Say) -> int:
    from shared.policy.loading import case_schema, pack_schema

    answer(_json(pack_schema() if options.what == "pack" else case_schema()))
    return OK


class Progress:
    """Says on standard error how far long work is, at most once a second; of short work nothing."""

    def __init__(self, say: Say, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock_s = clock_s
        self._last_s = clock_s()

    def __call__(self, phase: str, done: int, of: int) -> None:
        now_s = self._clock_s()
        if now_s - self._last_s < 1:
            return
        self._last_s = now_s
        complain(f"{self._say(phase)}: {done:,}" + (f" / {of:,}" if of else ""))


# ----------------------------------------------------------------------------------------------- packs and cases


def _existing(path: Path, say: Say) -> Path:
    if not path.exists():
        say.wrong("no_file", path=path)
        raise Failed(USAGE)
    return path


def _pack(path: Path, say: Say) -> PackDocument:
    """The pack, or the end of the command with its errors said."""
    from shared.policy.loading import load_pack

    loaded = load_pack(_existing(path, say))
    for issue in loaded.issues:
        complain(located(issue, say.language))
    if loaded.document is None:
        raise Failed(FINDINGS)
    return loaded.document


def _cases(named: str, document: PackDocument, say: Say) -> list[Case]:
    """The cases of a file or of standard input, or the end of the command with their errors said."""
    if named == "-":
        with TemporaryDirectory(prefix="sifang-case-") as folder:
            cases, issues = _read_cases(_standard_input(Path(folder)), document, shown="-")
    else:
        cases, issues = _read_cases(_existing(Path(named), say), document, shown=named)
    for issue in issues:
        complain(located(issue, say.language))
    if any(issue.error for issue in issues):
        raise Failed(FINDINGS)
    return cases


def _read_cases(path: Path, document: PackDocument, *, shown: str) -> tuple[list[Case], list[Issue]]:
    from dataclasses import replace

    from shared.policy.fitting import misfits
    from shared.policy.loading import load_case

    cases, issues = load_case(path)
    return cases, [
        replace(issue, file=shown) for issue in (*issues, *(misfits(cases, document, path) if cases else ()))
    ]


def _standard_input(folder: Path) -> Path:
    """Standard input as a file, so that its limits and messages are those of files."""
    from shared.policy.source import MAX_FILE_BYTES

    path = folder / "case.yaml"
    path.write_bytes(sys.stdin.buffer.read(MAX_FILE_BYTES + 1))
    return path


def located(issue: Issue, language: Language) -> str:
    """An issue as editors and people find it: file:line:column: code: what is wrong; a warning says that it is one."""
    words = issue.zh if language == "zh" else issue.en
    code = issue.code if issue.error else f"{issue.code} ({('提醒', 'warning')[language == 'en']})"
    return f"{issue.file}:{issue.line}:{issue.column}: {code}: {words}"


def _complain_of(result: CaseResult, say: Say) -> None:
    from shared.policy.words import number_text

    for where, reason in result.refused:
        why = reason.zh if say.language == "zh" else reason.en
        say.wrong("undecided", where=f"{result.case.id}: {where}", code=reason.code, why=why)
    for expected in result.expectations:
        if not expected.ok:
            got = say("no_quantity") if expected.got is None else number_text(expected.got)
            wanted = number_text(expected.expectation.is_)
            complain(f"{result.case.id}: " + say("expected", what=expected.expectation.what, wanted=wanted, got=got))


def _complain_of_rows(path: Path, problems: Sequence[Problem], say: Say) -> None:
    for problem in problems:
        words = problem.zh if say.language == "zh" else problem.en
        complain(f"{path}:{problem.line}: {problem.code}: {words}")


def _write(path: Path, text: str, say: Say) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        say.wrong("cannot_write", path=path, why=error.strerror)
        raise Failed(USAGE) from error


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _json_of(values: list[Any]) -> str:
    """One case's answer by itself; those of several in a list."""
    return _json(values[0] if len(values) == 1 else values)
