"""Input that was made to break the reader, or never was a pack: each a located error, none an exception or a hang."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.policy.loading import Loaded, load_case, load_pack
from shared.policy.source import MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MAX_KEY, MAX_NODES, MAX_TEXT
from tests.policy.good_pack import GOOD, at, codes, edited, loaded

AT_ONCE_S = 20
"""Far above what a file at the limits takes, far below a hang."""


def refused(answer: Loaded, code: str) -> None:
    """One error, in a place, and no pack."""
    assert answer.document is None
    assert codes(answer.issues) == [code], [str(issue) for issue in answer.issues]


# ------------------------------------------------------------------------------------------------ YAML


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "says"),
    [
        (BOMB, "pack.yaml", 1, 4, "anchors and aliases"),
        ("a: *b\n", "pack.yaml", 1, 4, "anchors and aliases"),
        ("a: 1\n<<: {b: 2}\n", "pack.yaml", 2, 1, "merge key"),
        ("a: !!python/object/apply:os.system [ls]\n", "pack.yaml", 1, 4, "python/object/apply:os.system"),
        ("a: !!int 3\n", "pack.yaml", 1, 4, "tag"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", "pack.yaml", 1, 1, "directive"),
        ("a: 1\n---\nb: 2\n", "pack.yaml", 2, 1, "second document"),
        ("a: 1\nb: 2\na: 3\n", "pack.duplicate-key", 3, 1, "first at 1:1"),
        ("a: {b: 1, b: 2}\n", "pack.duplicate-key", 1, 11, "first at 1:5"),
        ("? [a, b]\n: 1\n", "pack.yaml", 1, 3, "single word"),
        ('"": 1\n', "pack.yaml", 1, 1, "key is empty"),
        ("a: [1, 2\nb: 3\n", "pack.yaml", 2, 2, "not YAML"),
        ("a: 'x\n", "pack.yaml", 2, 1, "end of stream"),
        ("a:\n\tb: 1\n", "pack.tab", 2, 1, "write spaces"),
        ("a: 1\nb: x\0y\n", "pack.encoding", 2, 5, "U+0000"),
        ("a: \x07\n", "pack.encoding", 1, 4, "U+0007"),
        ("", "pack.empty", 1, 1, "empty"),
        ("# nothing\n", "pack.empty", 1, 1, "empty"),
        ("- a\n- b\n", "pack.type", 1, 1, "keys with values"),
        ("just words\n", "pack.type", 1, 1, "keys with values"),
        ("a: " + "[" * 100_000 + "\n", "pack.too-large", 1, 4 + MAX_DEPTH - 1, "nested deeper"),
        ("a: " + "{a: " * 100_000 + "\n", "pack.too-large", 1, 4 + 4 * (MAX_DEPTH - 1), "nested deeper"),
        ("- " * 100_000 + "\n", "pack.too-large", 1, 1 + 2 * MAX_DEPTH, "nested deeper"),
        ("a: " + "x" * (MAX_TEXT + 1) + "\n", "pack.too-large", 1, 4, "more than 20000 characters"),
        ("a" * (MAX_KEY + 1) + ": 1\n", "pack.too-large", 1, 1, "more than 200 characters"),
        ("a: [" + "1," * MAX_NODES + "]\n", "pack.too-large", 1, 5 + 2 * (MAX_NODES - 3), "more than"),
    ],
)
def test_yaml_that_is_more_than_plain_is_refused(
    tmp_path: Path, text: str, code: str, line: int, column: int, says: str
) -> None:
    answer = loaded(tmp_path, text)
    refused(answer, code)
    assert (answer.issues[0].line, answer.issues[0].column) == (line, column)
    assert says in answer.issues[0].en


def test_what_is_not_text_is_told_at_its_byte(tmp_path: Path) -> None:
    file = tmp_path / "pack.yaml"
    file.write_bytes("pack: 示例\ntitle: ".encode() + b"\xff\xfe\n")
    answer = load_pack(file)
    refused(answer, "pack.encoding")
    assert (answer.issues[0].line, answer.issues[0].column) == (2, 8)


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    file = tmp_path / "pack.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_pack(file).issues == ()


# --------------------------------------------------------------------------------------------- the files


def test_a_file_too_large_is_never_read(tmp_path: Path) -> None:
    file = tmp_path / "pack.yaml"
    with file.open("wb") as stream:
        stream.truncate(100_000_000)
    started = time.monotonic()
    refused(load_pack(file), "pack.too-large")
    assert load_case(file)[1][0].code == "pack.too-large"
    assert time.monotonic() - started < 1


def test_the_largest_file_that_is_read_is_read_at_once(tmp_path: Path) -> None:
    for piece in ("x", "- ", "a: ", "[", "'", "? ", "#\n", "k: &", "1,", "|\n ", "\n", "{"):
        file = tmp_path / "pack.yaml"
        file.write_text((piece * MAX_FILE_BYTES)[:MAX_FILE_BYTES])
        started = time.monotonic()
        assert load_pack(file).document is None
        assert time.monotonic() - started < AT_ONCE_S, piece


def test_many_rules_are_checked_at_once(tmp_path: Path) -> None:
    rules = "".join(
        f"  - {{id: r{n}, when: {{if: a{n} > 1, disease: 病{n % 7}}}, clause: nowhere}}\n" for n in range(9_000)
    )
    started = time.monotonic()
    answer = loaded(tmp_path, edited(("items:\n  - {id: class-a", f"items:\n{rules}  - {{id: class-a")))
    assert time.monotonic() - started < AT_ONCE_S
    assert answer.document is None
    assert answer.issues[0].code == "pack.too-many"


def test_a_table_of_many_numbers_is_too_fine(tmp_path: Path) -> None:
    rows = ", ".join(f"{n}-{n}: 0.5" for n in range(3_000))
    answer = loaded(tmp_path, edited(("{0-59: 0.85, 60+: 0.90}", f"{{{rows}}}")))
    refused(answer, "pack.too-large")
    assert "`age`" in answer.issues[0].en


def test_a_table_of_many_words_is_well(tmp_path: Path) -> None:
    rows = ", ".join(f"病种{n}: {n}" for n in range(10_000))
    started = time.monotonic()
    answer = loaded(
        tmp_path, edited(("{by: level, table: {三级: 600, 二级: 400}}", f"{{by: disease, table: {{{rows}}}}}"))
    )
    assert time.monotonic() - started < AT_ONCE_S
    assert answer.issues == ()


def test_many_adjustments_are_not_all_combined(tmp_path: Path) -> None:
    adjusts = "".join(f"            - {{when: {{admission_no: {n}}}, add: 0.0001}}\n" for n in range(2, 400))
    answer = loaded(tmp_path, edited(("          at_most: 0.95\n", adjusts + "          at_most: 0.95\n")))
    assert codes(answer.issues) == ["pack.not-checked?"]


@pytest.mark.parametrize("name", ["nothing", "nothing.yaml"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    refused(load_pack(tmp_path / name), "pack.file")
    assert load_case(tmp_path / name)[1][0].code == "pack.file"


def test_a_folder_without_files(tmp_path: Path) -> None:
    refused(load_pack(tmp_path), "pack.file")


def test_a_folder_with_too_many_files(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number}.yaml").touch()
    refused(load_pack(tmp_path), "pack.too-large")


def test_a_folder_with_too_many_bytes(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.yaml").write_text(f"# {number}\n" + "#" * 1_900_000 + f"\nk{number}: 1\n")
    refused(load_pack(tmp_path), "pack.too-large")


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pack.yaml")
    refused(load_pack(tmp_path), "pack.file")
    assert load_case(tmp_path / "pack.yaml")[1][0].code == "pack.file"


@pytest.mark.parametrize("target", ["../outside.yaml", "loop.yaml", "missing.yaml"])
def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "pack"
    folder.mkdir()
    (tmp_path / "outside.yaml").write_text(GOOD, "utf-8")
    (folder / "loop.yaml").symlink_to(target)
    answer = load_pack(folder)
    refused(answer, "pack.file")
    assert "link" in answer.issues[0].en


# ---------------------------------------------------------------------------------------------- formulas


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('ls')",
        "().__class__",
        "base.upper()",
        "base[0]",
        "lambda: 1",
        "base if base else 1",
        "base and 1",
        "base; base",
        "base = 1",
        "'text'",
        "1e400",
        "base // 2",
        "base % 2",
        "base ** 99999999",
        "exec(base)",
        "eval(1)",
        "max(1)",
        "min()",
        "round(1, 2)",
        "(" * 200 + "1" + ")" * 199,
        "-" * 399 + "1",
        "1 +",
        "+ 1",
        "1 1",
        "0x10",
        "base @ 2",
        "名称 名称",
        "１２",
        "base\n\n?",
        "\u2028",
    ],
)
def test_a_formula_is_arithmetic_and_nothing_else(tmp_path: Path, formula: str) -> None:
    written = formula.replace("'", "''").replace("\n", "\n\n")
    answer = loaded(tmp_path, edited(("figure: base * 8%", f"figure: '{written}'")))
    assert answer.document is None
    assert {issue.code for issue in answer.issues} <= {"pack.formula", "pack.unknown-name", "pack.unknown-step"}
    assert answer.issues[0].line >= GOOD[: GOOD.index("base * 8%")].count("\n")


def test_a_formula_of_endless_length(tmp_path: Path) -> None:
    answer = loaded(tmp_path, edited(("figure: base * 8%", "figure: " + "1 + " * 400 + "1")))
    refused(answer, "pack.value")
    assert "at most 400 characters" in answer.issues[0].en


def test_a_division_by_zero_is_found_before_it_is_made(tmp_path: Path) -> None:
    text = edited(("figure: base * 8%", "figure: base / (2 - 2)"))
    answer = loaded(tmp_path, text)
    refused(answer, "pack.division-by-zero")
    assert at(text, answer.issues[0]).startswith("/ (2 - 2)")


# ------------------------------------------------------------------------------------------------- cases


CASE = """\
id: one
person: {scheme: 职工, age: 45}
history: {basic-fund@2025: 1000.50, admissions@2025: 1}
accounts: {own: 300.00}
bills:
  - id: first
    begins: 2025-03-01
    ends: 2025-03-08
    facts: {care: 住院, level: 三级}
    lines:
      - {no: "1", amount: 1000.00, own: 100.00, facts: {class: 甲}}
      - {no: "2", amount: -500.00, quantity: -1, ceiling: 400.123456, prepay: 0.1}
expect:
  - {what: first.own, is: 100.00}
"""


@pytest.mark.parametrize(
    ("old", "new", "code", "says"),
    [
        ("own: 100.00", "own: 100.001", "case.decimals", "more than 2 decimals"),
        ("amount: 1000.00", "amount: 1000.005", "case.decimals", "more than 2 decimals"),
        ("1000.50", "1000.505", "case.decimals", "more than 2 decimals"),
        ("1000.50", "-1000.50", "case.negative", "must not be negative"),
        ("admissions@2025: 1", "admissions@2025: 1.5", "case.decimals", "more than 0 decimals"),
        ("basic-fund@2025", "basic-fund", "case.counter", "name@period"),
        ("own: 300.00", "own: -300.00", "case.negative", "must not be negative"),
        ("own: 100.00", "own: -100.00", "case.negative", "must not be negative"),
        ("own: 100.00", "own: 1000.01", "case.parts", "more than its amount"),
        ("400.123456", "400.1234567", "case.decimals", "more than 6 decimals"),
        ("prepay: 0.1", "prepay: 10", "case.ratio", "not within 0 to 1"),
        ("amount: 1000.00", "amount: 100000000000000", "pack.number", "exceeds"),
        ("amount: 1000.00", "amount: 1e400", "pack.number", "write a number like"),
        ("amount: 1000.00", "amount: .inf", "pack.number", "write a number like"),
        ("amount: 1000.00", "amount: .NaN", "pack.number", "write a number like"),
        ("amount: 1000.00", "amount: 1,000.00", "pack.unknown-key", "without separators"),
        ("amount: 1000.00", "amount: 1_000", "pack.number", "write a number like"),
        ("amount: 1000.00", "amount: 0x1F", "pack.number", "write a number like"),
        ("amount: 1000.00", "amount: 007", "pack.number", "write a number like"),
        ("amount: 1000.00", "amount: 0.1234567890123", "pack.number", "more than 12 decimals"),
        ("amount: 1000.00", "amount: 一千", "pack.type", "expected a number"),
        ("amount: 1000.00", 'amount: "1000.00"', "pack.type", "without quotes"),
        ("amount: 1000.00", "amount: true", "pack.type", "expected a number"),
        ("amount: 1000.00", "amount: [1]", "pack.type", "expected a number"),
        ("amount: 1000.00", "amount: null", "pack.type", "got nothing"),
        ("ends: 2025-03-08", "ends: 2025-02-28", "case.dates", "before it begins"),
        ("ends: 2025-03-08", "ends: 2025-02-29", "pack.date", "no day 2025-02-29"),
        ("ends: 2025-03-08", "ends: 2025-3-8", "pack.date", "2025-01-31"),
        ("ends: 2025-03-08", 'ends: "2025-03-08"', "pack.type", "expected a date"),
        ("ends: 2025-03-08", "ends: 20250308", "pack.type", "expected a date"),
        ("ends: 2025-03-08", "end: 2025-03-08", "pack.unknown-key", "did you mean `ends`"),
        ('no: "2"', 'no: "1"', "case.duplicate", "stands here twice"),
        ("first.own", "first.", "case.formula", ""),
        ("first.own", "open('x')", "case.formula", "means nothing"),
        ("    lines:", "    reverses: first\n    lines:", "case.reversal", "no lines of its own"),
        ("expect:", "  - {id: back, reverses: firs}\nexpect:", "case.unknown-bill", "did you mean `first`"),
        ("expect:", "  - {id: back}\nexpect:", "pack.missing-key", "`lines` missing"),
        ("expect:", "  - {reverses: first}\n  - {reverses: first}\nexpect:", "case.reversal", "reversed already"),
        ("expect:", "  - {id: back, reverses: back}\nexpect:", "case.unknown-bill", "no bill `back` before it"),
        ("    lines:", "    repeat: 0\n    lines:", "pack.value", "at least 1"),
        ("    lines:", "    repeat: 1000000\n    lines:", "pack.value", "at most 400"),
        ("    lines:", "    use_account: yes\n    lines:", "pack.type", "write true"),
        ("id: one", "id: 1", "pack.type", 'put it in quotes: "1"'),
    ],
)
def test_a_case_with_something_wrong_in_it(tmp_path: Path, old: str, new: str, code: str, says: str) -> None:
    assert CASE.count(old) == 1
    text = CASE.replace(old, new)
    file = tmp_path / "case.yaml"
    file.write_text(text, "utf-8")
    cases, issues = load_case(file)
    assert cases == []
    assert codes(issues) == [code], [str(issue) for issue in issues]
    assert says in issues[0].en
    assert abs(issues[0].line - CASE[: CASE.index(old)].count("\n") - 1) <= 1


def test_a_good_case_is_read_exactly(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text(CASE, "utf-8")
    cases, issues = load_case(file)
    assert issues == ()
    assert str(cases[0].bills[0].lines[1].ceiling) == "400.123456"
    assert str(cases[0].history["basic-fund@2025"]) == "1000.50"


# ---------------------------------------------------------------------------------------------- anything


def told_or_right(answer: Loaded, file: Path) -> None:
    """Either a pack, or errors that each name a place in the file."""
    errors = [issue for issue in answer.issues if issue.error]
    assert (answer.document is None) == bool(errors)
    for issue in answer.issues:
        assert issue.file == str(file)
        assert issue.line >= 1
        assert issue.column >= 1
        assert issue.zh
        assert issue.en


BYTES = GOOD.encode()
TOKENS = [b"", b"\n", b" ", b"-", b":", b"{", b"}", b"[", b"]", b"0", b"9", b"-1", b"&a", b"*a", b"!!x", b"null", b"~",
          b"true", b"2025-02-30", b"1e9", b"\x00", b"\xff", "甲".encode(), b"basic.fund", b"/ 0", b"(", b"otherwise",
          b"by: age", b"table: {}", b"{from: 3}", b"'", b'"', b"|", b">", b"#", b"%"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(BYTES)), st.integers(0, 12), st.sampled_from(TOKENS)), min_size=1, max_size=4
    )
)
def test_a_mangled_pack_is_told_and_never_raises(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, bytes]]
) -> None:
    content = BYTES
    for place, length, token in changes:
        content = content[:place] + token + content[place + length :]
    file = tmp_path_factory.getbasetemp() / "mangled.yaml"
    file.write_bytes(content)
    told_or_right(load_pack(file), file)
    assert isinstance(load_case(file)[0], list)


LINES = GOOD.splitlines(keepends=True)


@settings(max_examples=200, deadline=None)
@given(
    order=st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, len(LINES) - 1)), min_size=1, max_size=3)
)
def test_a_pack_with_lines_out_of_place_is_told_and_never_raises(
    tmp_path_factory: pytest.TempPathFactory, order: list[tuple[int, int]]
) -> None:
    lines = list(LINES)
    for source, target in order:
        lines.insert(target, lines.pop(source))
    file = tmp_path_factory.getbasetemp() / "shuffled.yaml"
    file.write_text("".join(lines), "utf-8")
    told_or_right(load_pack(file), file)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_told_and_never_raise(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    told_or_right(load_pack(file), file)
