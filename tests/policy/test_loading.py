"""Reading packs and cases: several files, places, exact values, what is wrong with the form, and the schemas."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from pydantic import BaseModel

from shared.policy import document
from shared.policy.form import keys_at
from shared.policy.issues import did_you_mean
from shared.policy.loading import case_schema, load_case, load_pack, pack_schema, schemas
from shared.policy.source import key_place, put_together, read_text, value_place
from tests.policy.good_pack import GOOD, at, codes, edited, loaded

DOCS = Path(__file__).resolve().parents[2] / "docs"


# ------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("12", Decimal(12)),
        ("-12.50", Decimal("-12.50")),
        ("0.1", Decimal("0.1")),
        ("-0", Decimal(0)),
        ("99999999999999.99", Decimal("99999999999999.99")),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        ("2025-02-28", date(2025, 2, 28)),
        ('"2025-02-28"', "2025-02-28"),
        ("2025-02-28T10:00:00", "2025-02-28T10:00:00"),
        ('"12"', "12"),
        ("'true'", "true"),
        ("12:30", "12:30"),
        ("85%", "85%"),
        ("60+", "60+"),
        ("18-59", "18-59"),
        ("三级", "三级"),
        ("|\n  两行\n  文字", "两行\n文字\n"),
        ("[1, a]", [Decimal(1), "a"]),
        ("{b: 1}", {"b": Decimal(1)}),
    ],
)
def test_values_are_what_they_look_like(written: str, value: Any) -> None:
    read = read_text(f"a: {written}\n", "f")
    assert read.issues == []
    found = read.root.plain()["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_always_text() -> None:
    assert read_text("1: a\ntrue: b\n2025-01-01: c\nnull: d\n", "f").root.plain() == {
        "1": "a", "true": "b", "2025-01-01": "c", "null": "d",
    }  # fmt: skip


def test_without_the_library_in_c_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with_c = read_text(GOOD, "f").root
    monkeypatch.setattr("shared.policy.source._LOADER", yaml.SafeLoader)
    assert read_text(GOOD, "f").root == with_c


# ------------------------------------------------------------------------------------------------ places


def test_every_key_and_value_has_its_place() -> None:
    root = read_text("a: 1\nb:\n  - c: 'x'\n    d: 甲\n  - {e: 乙, f: 2}\n", "f").root
    places = {
        ("a",): ((1, 1), (1, 4)),
        ("b",): ((2, 1), (3, 3)),
        ("b", 0): ((3, 5), (3, 5)),
        ("b", 0, "c"): ((3, 5), (3, 8)),
        ("b", 0, "d"): ((4, 5), (4, 8)),
        ("b", 1, "f"): ((5, 12), (5, 15)),
    }
    for path, (key, value) in places.items():
        for place, expected in ((key_place(root, path), key), (value_place(root, path), value)):
            assert (place.file, place.line, place.column) == ("f", *expected), path


def test_where_a_path_leads_nowhere_the_last_part_of_it_is_shown() -> None:
    root = read_text("a: {b: 1}\n", "f").root
    assert str(value_place(root, ("a", "x", 3))) == "f:1:4"
    assert str(key_place(root, ("a", "x"))) == "f:1:4"


# ----------------------------------------------------------------------------------------- several files


def in_folder(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return folder


HEAD, REST = GOOD.split("benefits:\n")
BENEFITS, TAIL = REST.split("calculations:\n")
CALCULATIONS, CASES = TAIL.split("examples:\n")


def test_the_files_of_a_folder_are_one_pack(tmp_path: Path) -> None:
    first, second = BENEFITS.split("  - id: resident-stay\n")
    folder = in_folder(
        tmp_path,
        c_more=f"benefits:\n  - id: resident-stay\n{second}calculations:\n{CALCULATIONS}",
        b_benefits=f"benefits:\n{first}",
        a_head=HEAD,
        examples=f"examples:\n{CASES}",
    )
    (tmp_path / "notes.txt").write_text("not: read")
    together, alone = load_pack(folder), loaded(tmp_path / "..", GOOD)
    assert together.issues == ()
    assert together.document == alone.document


def test_mappings_of_several_files_are_merged_and_located_in_their_own(tmp_path: Path) -> None:
    clause = '  stay: {document: 示医保〔2024〕1号, article: 第三条, words: "三级医院起付线600元,报销85%。"}\n'
    text = edited((clause, ""), ("value: 80000", "value: -1"))
    folder = in_folder(tmp_path, a=text, b=f"clauses:\n{clause}  spare: {{document: 文, words: 无}}\n")
    issues = load_pack(folder).issues
    assert codes(issues) == ["pack.negative", "pack.unused?"]
    assert issues[0].file == str(folder / "a.yaml")
    assert (issues[1].file, issues[1].line, issues[1].column) == (str(folder / "b.yaml"), 3, 3)


def test_errors_in_a_list_of_several_files_are_located_in_their_own(tmp_path: Path) -> None:
    folder = in_folder(tmp_path, a=GOOD, b="items:\n  - {id: late, when: {class: 甲}, clause: items}\n")
    issues = load_pack(folder).issues
    assert codes(issues) == ["pack.two-rules"]
    assert (issues[0].file, issues[0].line, issues[0].column) == (str(folder / "b.yaml"), 2, 16)


@pytest.mark.parametrize(
    ("other", "column", "first"),
    [
        ("pack: sample\n", 1, "a.yaml:1:1"),
        ("valid: {to: 2026-01-01}\n", 1, "a.yaml:5:1"),
        ("title: {zh: 又}\n", 1, "a.yaml:3:1"),
        ("clauses: {wage: {document: 文, words: 又}}\n", 11, "a.yaml:12:3"),
        ("clauses: [wage]\n", 1, "a.yaml:9:1"),
    ],
)
def test_what_stands_in_two_files_is_told_with_both(tmp_path: Path, other: str, column: int, first: str) -> None:
    issues = load_pack(in_folder(tmp_path, a=GOOD, b=other)).issues
    assert codes(issues) == ["pack.duplicate-key"]
    assert (issues[0].file, issues[0].line, issues[0].column) == (str(tmp_path / "b.yaml"), 1, column)
    assert issues[0].en.endswith(f"{tmp_path}/{first}")


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    in_folder(tmp_path, a=GOOD)
    (tmp_path / "a.yaml").rename(tmp_path / "text")
    (tmp_path / "a.yaml").symlink_to("text")
    assert load_pack(tmp_path).issues == ()


# -------------------------------------------------------------------------------------------------- form


@pytest.mark.parametrize(
    ("old", "new", "code", "points_at", "says"),
    [
        ("        deductible: {amount: 0", "        deductable: {amount: 0", "pack.unknown-key", "deductable",
         "unknown key `deductable`; did you mean `deductible`?"),
        ("author: 张三", "author: 张三\nfoo: 1", "pack.unknown-key", "foo", "known here: pack, version, title"),
        ("author: 张三", "author: 张三\nceilling: 1", "pack.unknown-key", "ceilling",
         "did you mean `ceiling`, which stands in CaseLine, ItemRule?"),
        ("{when: {marks: 低保}, add", "{whem: {marks: 低保}, add", "pack.unknown-key", "whem", "did you mean `when`"),
        ("to: 10000, ratio", "to_: 3, to: 10000, ratio", "pack.unknown-key", "to_", "did you mean `to`"),
        ("        fund: \"310100\"\n", "", "pack.missing-key", "id: basic", "`fund` missing here"),
        ("fund: \"310100\"", "fund: 310100", "pack.type", "310100", 'put it in quotes: "310100"'),
        ("version: \"1.0\"", "version: 1.10", "pack.type", "1.10", 'put it in quotes: "1.10"'),
        ("counts_admission: true", "counts_admission: yes", "pack.type", "yes", "write true"),
        ("counts_admission: true", "counts_admission: off", "pack.type", "off", "write false"),
        ("pays: later", "pays: latr", "pack.value", "latr", "one of now, later, given; did you mean `later`?"),
        ("id: basic\n", "id: Basic\n", "pack.value", "Basic", "small Latin letters"),
        ("area: \"411600\"", "area: \"4116\"", "pack.value", "\"4116\"", "six digits"),
        ("\"01-01\"", "\"13-01\"", "pack.value", "\"13-01\"", "month and day"),
        ("avg_wage: {value: 80000,", "Avg_wage: {value: 80000,", "pack.value", "Avg_wage", "small Latin letters"),
        ("0-59: 0.85", "0-59: 0.85, 0-59: 1", "pack.duplicate-key", "0-59: 1", "first at"),
        ("{amount: 100000, per: year", "{amount: [1], per: year", "pack.type", "[1]", "expected a number"),
        ("{amount: 100000, per: year", "{amount: true, per: year", "pack.type", "true", "or 0.05), got true"),
        ("{amount: 100000, per: year", "{amount: 2025-01-01, per: year", "pack.type", "2025-01-01", "the date"),
        ("{to: 10000, ratio: 0.60}", "{to: , ratio: }", "pack.type", "}", "got nothing"),
        ("waived: [{marks: 特困}]", "waived: {marks: 特困}", "pack.type", "{marks: 特困}", "expected a list"),
        ("valid: {from: 2025-01-01,", "valid: {from: 一月,", "pack.type", "一月", "a date such as 2025-01-31"),
        ("valid: {from: 2025-01-01,", "valid: {from: 1735689600,", "pack.type", "1735689600", "a date such as"),
        ("{ratio: 0.80}", "{ratio: {by: 3}}", "pack.type", "3", "expected text or a list, got the number 3"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_form_is_told_where_it_stands(
    tmp_path: Path, old: str, new: str, code: str, points_at: str, says: str
) -> None:
    text = edited((old, new))
    issues = loaded(tmp_path, text).issues
    assert codes(issues) == [code], [str(issue) for issue in issues]
    assert at(text, issues[0]).startswith(points_at)
    assert says in issues[0].en
    assert issues[0].zh


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = edited(
        ("pack: sample", "pack: Sample"),
        ("valid: {from: 2025-01-01,", "valid: {from: 2025-02-30,"),
        ("author: 张三", "autor: 张三"),
        ("value: 80000", "value: 8e4"),
    )
    found = [(issue.line, issue.code) for issue in loaded(tmp_path, text).issues]
    assert found == [
        (1, "pack.missing-key"),
        (1, "pack.value"),
        (5, "pack.date"),
        (7, "pack.unknown-key"),
        (24, "pack.number"),
    ]


def test_an_issue_reads_like_a_compiler_s(tmp_path: Path) -> None:
    issue = loaded(tmp_path, edited(("author: 张三", "autor: 张三"))).issues[-1]
    assert str(issue) == f"{tmp_path}/pack.yaml:7:1: pack.unknown-key: unknown key `autor`; did you mean `author`?"
    assert issue.text("zh") == "未知的键 `autor`；是否指 `author`？"
    assert issue.text("en") == issue.en


def test_keys_are_known_wherever_a_document_branches() -> None:
    ratio = ("benefits", 0, "layers", 1, "tiers", "bands", 0, "ratio")
    assert keys_at(document.PackDocument, ratio) == keys_at(document.PackDocument, (*ratio, "cases", 2, "value"))
    assert set(keys_at(document.PackDocument, ("items", 0, "when", "age"))) == {"from", "to", "above", "below", "not"}
    assert keys_at(document.Case, ("bills", 0, "facts", "level")) == []


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("deductable", ["deductible", "ratio"], "deductible"),
        ("低宝", ["低保", "特困"], "低保"),
        ("wages", ["wage"], "wage"),
        ("xyz", ["wage"], None),
        ("wage", [f"wage{number}" for number in range(3000)], None),
    ],
)
def test_what_was_meant_is_the_nearest_known_word(word: str, known: list[str], meant: str | None) -> None:
    expected = ("", "") if meant is None else (f"；是否指 `{meant}`？", f"; did you mean `{meant}`?")
    assert did_you_mean(word, known) == expected


# -------------------------------------------------------------------------------------------------- cases


def test_a_file_may_hold_several_cases(tmp_path: Path) -> None:
    file = tmp_path / "cases.yaml"
    file.write_text("- {id: a, questions: [{calculate: x}]}\n- {id: b, questions: [{calculate: x}]}\n")
    cases, issues = load_case(file)
    assert [case.id for case in cases] == ["a", "b"]
    assert issues == ()


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("- {id: a, questions: [{calculate: x}]}\n- {id: a, questions: [{calculate: x}]}\n", "case.duplicate", (2, 8)),
        ("- {id: a, questions: [{calculate: x}]}\n- {id: b}\n", "case.nothing", (2, 3)),
        ("- {id: a, questions: [{calculate: x}]}\n- {id: b, bill: []}\n", "pack.unknown-key", (2, 11)),
        ("[]\n", "case.nothing", (1, 1)),
        ("3\n", "pack.type", (1, 1)),
    ],
)
def test_cases_with_something_wrong_in_one(tmp_path: Path, text: str, code: str, place: tuple[int, int]) -> None:
    file = tmp_path / "cases.yaml"
    file.write_text(text)
    cases, issues = load_case(file)
    assert cases == []
    assert codes(issues) == [code]
    assert (issues[0].line, issues[0].column) == place


# ------------------------------------------------------------------------------------------------ schemas


def as_json(text: str) -> Any:
    """YAML as an editor hands it to a schema: numbers are numbers and days are text."""
    return json.loads(
        json.dumps(read_text(text, "f").root.plain(), default=lambda v: float(v) if isinstance(v, Decimal) else str(v))
    )


def test_the_schemas_accept_what_the_reader_accepts() -> None:
    pack, case = jsonschema_rs.validator_for(pack_schema()), jsonschema_rs.validator_for(case_schema())
    tree = as_json(GOOD)
    pack.validate(tree)
    case.validate(tree["examples"][0])
    case.validate(tree["examples"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("author: 张三", "autor: 张三"),
        ('fund: "310100"', "fund: 310100"),
        ("pays: later", "pays: latr"),
        ("{amount: 100000, per: year", "{amount: [1], per: year"),
        ("id: basic\n", "id: Basic\n"),
        ("amount: 1000.00", 'amount: "1000.00"'),
        ("counts_admission: true", "counts_admission: yes"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(old: str, new: str) -> None:
    assert not jsonschema_rs.validator_for(pack_schema()).is_valid(as_json(edited((old, new))))


def test_the_schemas_are_published_as_they_are() -> None:
    for name, schema in schemas().items():
        assert json.loads((DOCS / name).read_text("utf-8")) == schema, "run `make docs`"


def test_every_part_is_described_for_the_editor() -> None:
    definitions = {**pack_schema()["$defs"], **case_schema()["$defs"]}
    models = [model for model in vars(document).values() if isinstance(model, type) and issubclass(model, BaseModel)]
    named = {model.__name__ for model in models} - {"BaseModel", "Written", "PackDocument"}
    assert named <= definitions.keys()
    assert all(definitions[name].get("description") for name in named)


def test_parts_that_are_no_mappings_cannot_be_put_together() -> None:
    parts = [read_text("a: [1]\n", "f").root, read_text("a: [2]\nb: 3\n", "g").root]
    whole = put_together(parts, frozenset())
    assert whole.root.plain() == {"a": [Decimal(1), Decimal(2)], "b": Decimal(3)}
    assert parts[0].plain() == {"a": [Decimal(1)]}, "the parts stay as they were"
