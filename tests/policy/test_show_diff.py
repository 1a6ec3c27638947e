"""The policy as tables, and what changes from one to another."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import pytest

from shared.policy import diff, show
from shared.policy.diff import Changed, difference
from shared.policy.document import Adjust, FigureCase, FigureRule, Not, Range
from shared.policy.outline import outline
from shared.policy.words import Language, Names, figure_text, number_text, percent
from tests.policy import sample
from tests.policy.small import decimals, document

NEW = (
    sample.PACK.replace('version: "2025.1"', 'version: "2025.2"')
    .replace("三级: 1000", "三级: 1200")
    .replace("otherwise: 600}", "otherwise: 600, 一级: 300}")
    .replace("value: 0.85", "value: 0.80")
    .replace("title: {zh: 住院, en: Inpatient care}", "title: {zh: 住院待遇, en: Stays}")
    .replace("{amount: 50000, per: year, clause: large}", "{amount: 60000, per: year, clause: large}")
    .replace("marks: 低保}\n        basis", "marks: 低保, group: 退休}\n        basis")
    .replace("    account: {pays: [deductible, by_ratio, prepay], clause: basic}\n", "")
    .replace("calculations:\n", "calculations:\n" + """\
  - id: deposit
    title: {zh: 押金, en: Deposit}
    kind: deposit
    clause: wage
    steps:
      - {id: deposit, title: {zh: 押金, en: Deposit}, figure: 2000, clause: wage}
    results: [deposit]
""")
    .replace("按85%支付", "按80%支付")
)  # fmt: skip


def pair(folder: Path, language: Language) -> diff.Difference:
    return difference(sample.document(folder), sample.document(folder, NEW), language)


def by_path(found: diff.Difference) -> dict[str, list[Changed]]:
    made: dict[str, list[Changed]] = {}
    for change in found.changed:
        made.setdefault(change.path, []).append(change)
    return made


def test_changed_figures_for_whom_and_by_how_much(tmp_path: Path) -> None:
    changes = by_path(pair(tmp_path, "zh"))
    deductible, new_row = changes["benefits/inpatient/basic/deductible"]
    assert (deductible.of, deductible.before, deductible.after, deductible.by) == (
        "三级",
        "1,000元",
        "1,200元",
        "+200元",
    )
    assert (new_row.of, new_row.before, new_row.after) == ("一级", None, "300元")
    assert "险种为职工" in deductible.whom
    (ratio,) = changes["benefits/inpatient/basic/ratio"]
    assert (ratio.before, ratio.after, ratio.by) == ("85%", "80%", "−5个百分点")
    (cap,) = changes["benefits/inpatient/large/cap-1"]
    assert cap.by == "+10,000元"
    assert {change.of for change in changes["benefits/inpatient/aid"]} == {"涉及"}


def test_an_adjustment_read_from_a_table_is_shown_row_by_row() -> None:
    names = Names(document(), "en")
    rule = FigureRule.model_validate(
        decimals(
            {
                "value": 0.85,
                "adjust": [
                    {"when": {"group": "退休"}, "add": {"by": "level", "table": {"三级": 0.02, "二级": "avg / 9"}}},
                    {"times": {"by": "level", "table": {"三级": 0.9}}},
                    {"when": {"if": ["total > 1", "total < 9"]}, "set": {"value": 1}},
                ],
            }
        )
    )
    assert figure_text(rule, "ratio", names) == (
        "85%; group of persons 退休 · 三级: +2 points; group of persons 退休 · 二级: + avg / 9; "
        "everybody · 三级: × 0.9; "
        "total > 1, total < 9: 100%"
    )


def test_added_and_removed_rules(tmp_path: Path) -> None:
    found = pair(tmp_path, "en")
    assert {entry.path for entry in found.added} == {"calculations/deposit", "calculations/deposit/deposit"}
    assert {entry.path for entry in found.removed} == {"benefits/inpatient/account"}
    assert {change.of: (change.before, change.after) for change in found.head} == {"version": ("2025.1", "2025.2")}
    assert [change.of for change in found.clauses] == ["basic"]


def test_the_effect_on_examples(tmp_path: Path) -> None:
    (effect,) = pair(tmp_path, "en").effects
    assert (effect.old, effect.new) == ((850_000, 250_000), (784_000, 316_000))
    text = diff.as_text(pair(tmp_path, "en"), "en", width=160)
    assert "the person pays more 660.00" in text
    assert "1 of 1 examples come out differently" in text


def test_the_same_pack_has_no_difference(tmp_path: Path) -> None:
    document = sample.document(tmp_path)
    found = difference(document, document, "zh")
    assert found.none
    assert "没有变化" in diff.as_text(found, "zh")
    (effect,) = found.effects
    assert effect.old == effect.new


def test_an_example_that_one_pack_cannot_decide(tmp_path: Path) -> None:
    by_age = sample.PACK.replace("value: 0.85", 'value: "0.0085 * age"').partition("examples:")[0]
    (effect,) = difference(sample.document(tmp_path), sample.document(tmp_path, by_age), "en").effects
    assert effect.old == (850_000, 250_000)
    assert effect.new is None


@pytest.mark.parametrize("language", ["zh", "en"])
def test_differences_as_page_and_data(tmp_path: Path, language: Language) -> None:
    found = pair(tmp_path, language)
    data = json.loads(json.dumps(diff.as_json(found)))
    assert data["examples"] == [
        {
            "case": "stay",
            "before": {"fund": "8500.00", "person": "2500.00"},
            "after": {"fund": "7840.00", "person": "3160.00"},
            "change_person": "660.00",
            "answers": [],
        }
    ]
    html = diff.as_html(found, language)
    assert "&lt;b&gt;" not in html, "only changed clauses are shown, and that of <b> did not change"
    assert "7840.00" in html


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_rule_and_clause_is_shown(tmp_path: Path, language: Language) -> None:
    document = sample.document(tmp_path)
    text = show.as_text(document, language, width=400)
    for entry in outline(document, language):
        assert entry.label in text
        for cell in entry.cells:
            assert cell.text in text
    for name, clause in document.clauses.items():
        assert name in text
        assert clause.words in text
    assert all(line == line.rstrip() for line in text.splitlines())


class Cells(HTMLParser):
    """Counts table cells and collects tags."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1


def test_the_page_escapes_and_stands_alone(tmp_path: Path) -> None:
    document = sample.document(tmp_path, sample.PACK.replace("en: Basic pool", 'en: "<img src=x onerror=alert(1)>"'))
    html = show.as_html(document, "en")
    parser = Cells()
    parser.feed(html)
    assert {"img", "b", "script", "link"}.isdisjoint(parser.tags)
    assert parser.tags["table"] == len(show.sheets(document, "en"))
    assert '<meta charset="utf-8">' in html


def test_conditions_and_numbers_in_words(tmp_path: Path) -> None:
    names = Names(sample.document(tmp_path), "en")
    ages = Range(from_=Decimal(60), below=Decimal(70))
    assert names.when({"age": ages}) == "age ≥ 60 < 70"
    assert (
        names.when({"level": ["三级", "二级"], "emergency": False})
        == "level of the facility 三级 / 二级, not emergency"
    )
    assert names.when({"group": Not(not_="退休")}) == "group of persons not 退休"
    assert names.when({}) == "everybody"


def test_a_figure_of_cases_and_its_changes_in_words(tmp_path: Path) -> None:
    rule = FigureRule(
        cases=[
            FigureCase(when={"group": "退休"}, value=Decimal("0.9")),
            FigureCase(otherwise=True, value="0.8 + 0.01 * years_paid"),
        ],
        adjust=[
            Adjust(when={"remote": "转诊"}, times=Decimal("0.9")),
            Adjust(when={"level": "三级"}, add=Decimal("-0.05"), clause="c"),
            Adjust(set=Decimal("0.5")),
        ],
        at_least=Decimal("0.4"),
        share="person",
    )
    names = Names(sample.document(tmp_path), "en")
    assert figure_text(rule, "ratio", names) == (
        "group of persons 退休: 90%; others: 0.8 + 0.01 * years_paid; remote 转诊: × 0.9; "
        "level of the facility 三级: −5 points; everybody: 50%; at least: 40%; written as the person's share"
    )


def test_a_nested_table_in_words(tmp_path: Path) -> None:
    table = {"三级": {"<60": Decimal(1000), "60+": Decimal(800)}, "otherwise": {"otherwise": Decimal(500)}}
    rule = FigureRule(by=["level", "age"], table=table)
    text = figure_text(rule, "yuan", Names(sample.document(tmp_path), "zh"))
    assert text == "三级 · 年龄 <60: 1,000元；三级 · 年龄 60+: 800元；其余 · 其余: 500元"


@pytest.mark.parametrize(
    ("number", "written"),
    [(1_000, "1000"), ("0.850", "0.85"), ("1E+3", "1000"), ("-0.05", "-0.05"), (Fraction(1, 3), "1/3"), ("0", "0")],
)
def test_numbers_are_written_exactly(number: str | int | Fraction, written: str) -> None:
    assert number_text(Decimal(number) if isinstance(number, str) else number) == written


def test_a_ratio_in_percent() -> None:
    assert [percent(Decimal(ratio)) for ratio in ("0.85", "0.875", "1", "0")] == ["85%", "87.5%", "100%", "0%"]
