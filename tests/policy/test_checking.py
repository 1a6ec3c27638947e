"""Each check on a pack that is wrong in one place, and none of them on the pack that is right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from shared.policy import findings
from shared.policy.checking import check_versions, space
from shared.policy.document import PackDocument
from shared.policy.issues import Place
from tests.policy.good_pack import GOOD, at, codes, edited, loaded


class Wrong(NamedTuple):
    """What is done to the good pack, and what must be said of it: all codes (a warning with a ?), where the first of
    them points to, and a part of its words."""

    name: str
    edits: tuple[tuple[str, str], ...]
    codes: tuple[str, ...]
    points_at: str
    says: str


def wrong(name: str, old: str, new: str, code: str, points_at: str, says: str) -> Wrong:
    """One edit that leads to one finding."""
    return Wrong(name, ((old, new),), (code,), points_at, says)


RATIO_CASES = """\
            - {when: {surgery: true}, value: 0.7}
            - {when: {surgery: false}, value: 0.6}
"""
LATER = "        pays: later\n        payer: 某保险公司\n"
BANDS = """\
            - {to: 10000, ratio: 0.60}
            - {to: 20000, ratio: 0.70}
            - {ratio: 0.80}
"""
RESIDENT = "    when: {scheme: 居民, care: 住院}\n"
OUTPATIENT = "    when: {care: 门诊}\n"
DUE = "figure: base * 8%"
BY_LEVEL = "amount: {by: level, table: {三级: 600, 二级: 400}}"
OUTPATIENT_BASIC = """\
    layers:
      - id: basic
        title: 门诊统筹
        fund: "310100"
        ratio: 0.5
        caps:
          - {amount: 300, per: year, clause: stay}
        clause: stay
"""
STAY_CAP = "          - {amount: 100000, per: year, clause: stay}\n"
CLASS_C = "  - {id: class-c, when: {class: 丙}, scope: out, clause: items}\n"

HEAD = [
    wrong("ends before it begins", "to: 2025-12-31", "to: 2024-12-31", "pack.dates", "2024-12-31", "before it begins"),
    wrong("no such day each year", '"01-01"', '"02-30"', "pack.date", '"02-30"', "not every year"),
    wrong("leap day", '"01-01"', '"02-29"', "pack.date", '"02-29"', "not every year"),
    wrong("four eyes", "reviewer: 李四", "reviewer: 张三", "pack.four-eyes", "张三", "must not be the author"),
    wrong("no author", "author: 张三", 'author: " "', "pack.author", '" "', "not named"),
]

CLAUSES = [
    wrong("unknown clause", "clause: large-order", "clause: large-ordr", "pack.unknown-clause", "large-ordr",
          "did you mean `large-order`"),
    wrong("clause without words", "words: 丙类自费。", 'words: ""', "pack.clause-words", '""', "has no words"),
    wrong("clause without document", "{document: 示医保〔2024〕1号, article: 第五条", '{document: " ", article: 第五条',
          "pack.clause-words", '" "', "has no document"),
    wrong("unused clause", "assumptions:\n", "  spare: {document: 文, words: 无。}\nassumptions:\n", "pack.unused?",
          "spare", "no rule names"),
]  # fmt: skip

IDS = [
    wrong("benefit twice", "id: resident-stay", "id: employee-stay", "pack.duplicate", "employee-stay",
          "first at 34:9"),
    wrong("item twice", "id: class-b", "id: class-a", "pack.duplicate", "class-a", "stands here twice"),
    wrong("step twice", "    results: [due]",
          "      - {id: due, title: 又, figure: 1, clause: wage}\n    results: [due]", "pack.duplicate", "due",
          "stands here twice"),
    wrong("assumption named as clause", "- {id: large-order,", "- {id: stay, says: 同名。}\n  - {id: large-order,",
          "pack.duplicate", "stay", "clause already"),
    wrong("figure named as fact", "  avg_wage: {", "  age: {value: 1, clause: wage}\n  avg_wage: {", "pack.duplicate",
          "age: ", "already the name of a fact"),
    wrong("figures formulas cannot tell apart", "  avg_wage: {", "  avg-wage: {value: 1, clause: wage}\n  avg_wage: {",
          "pack.duplicate", "avg_wage", "cannot tell"),
    wrong("layer named as a prefix", "id: residents\n", "id: tag\n", "pack.duplicate", "tag", "something else"),
    wrong("input and step of one name", "      wage: {title",
          "      base: {title: 基数, default: 1}\n      wage: {title", "pack.duplicate", "base", "name of an input"),
    wrong("part absorbed twice", "[over_cap, by_ratio]", "[over_cap, over_cap]", "pack.duplicate", "over_cap]",
          "twice"),
    wrong("part paid twice", "pays: [deductible, by_ratio]", "pays: [by_ratio, by_ratio]", "pack.duplicate",
          "by_ratio]", "twice"),
    wrong("unknown result", "results: [due]", "results: [dues]", "pack.unknown-step", "dues", "did you mean `due`"),
]  # fmt: skip

FACTS = [
    wrong("unknown fact", "{marks: 低保}, add", "{mark: 低保}, add", "pack.unknown-fact", "mark:", "`marks`"),
    wrong("unknown word", "{marks: 低保}, add", "{marks: 低宝}, add", "pack.unknown-word", "低宝",
          "did you mean `低保`"),
    wrong("unknown word in a list", "waived: [{marks: 特困}]", "waived: [{marks: [特困, 特别]}]", "pack.unknown-word",
          "[特困, 特别]", "no value '特别'"),
    wrong("word for a number", "{marks: 低保}, add", "{age: 老}, add", "pack.fact-kind", "老", "`age` takes a number"),
    wrong("number for a word", "{marks: 低保}, add", "{level: 3}, add", "pack.fact-kind", "3", "`level` takes a word"),
    wrong("word for a flag", "{marks: 低保}, add", '{emergency: "yes"}, add', "pack.fact-kind", '"yes"',
          "true or false"),
    wrong("range of words", "{marks: 低保}, add", "{level: {from: 3}}, add", "pack.fact-kind", "{from", "takes a word"),
    wrong("range without bounds", "{marks: 低保}, add", "{age: {}}, add", "pack.range", "{}", "needs `from`"),
    wrong("range with two beginnings", "{marks: 低保}, add", "{age: {from: 3, above: 4}}, add", "pack.range", "{from",
          "exclude each other"),
    wrong("range with two ends", "{marks: 低保}, add", "{age: {to: 3, below: 4}}, add", "pack.range", "{to",
          "exclude each other"),
    wrong("declared twice over", "surgery: {flag: true, of: bill}", "surgery: {flag: true, words: [甲], of: bill}",
          "pack.fact-kind", "surgery", "exclude each other"),
    wrong("standard fact of another kind", "marks: {words", "sex: {flag: true}\n  marks: {words", "pack.fact-kind",
          "flag", "declared with `words`"),
    wrong("standard fact of another thing", "class: {words", "class: {of: person, words", "pack.fact-of", "person",
          "of the line"),
    wrong("own fact of nothing", "surgery: {flag: true, of: bill}", "surgery: {flag: true}", "pack.fact-of", "surgery",
          "not of the standard vocabulary"),
    wrong("word declared twice", "words: [低保, 特困]", "words: [低保, 特困, 低保]", "pack.duplicate", "低保]",
          "twice"),
    wrong("no words declared", "marks: {words", "sex: {words: []}\n  marks: {words", "pack.fact-kind", "[]",
          "no words"),
    wrong("declared range is empty", "age: {number: {from: 0, to: 150}}", "age: {number: {from: 150, to: 0}}",
          "pack.range", "{from: 150", "no number lies"),
    wrong("unknown fact of a limit", STAY_CAP, STAY_CAP.replace("clause", "of: [diseas], clause"), "pack.unknown-fact",
          "diseas", "did you mean `disease`"),
    wrong("condition that is no formula", "{when: {surgery: true}", "{when: {if: true}", "pack.condition", "true",
          "comparison"),
]  # fmt: skip

FORMULAS = [
    wrong("unknown name", DUE, "figure: bas * 8%", "pack.unknown-name", "bas * 8%", "did you mean `base`"),
    wrong("unknown name in the middle", DUE, "figure: base * 8% + avg_wages", "pack.unknown-name", "avg_wages",
          "did you mean `avg_wage`"),
    wrong("in quotation marks", DUE, 'figure: "base * 8% + foo"', "pack.unknown-name", 'foo"', "unknown name `foo`"),
    wrong("word as a number", DUE, "figure: base * scheme", "pack.unknown-name", "scheme", "is no number"),
    wrong("not arithmetic", DUE, "figure: base ** 2", "pack.formula", "* 2", "out of place"),
    wrong("incomplete", DUE, "figure: base *", "pack.formula", "", "incomplete"),
    wrong("comparison", DUE, "figure: base > 8", "pack.formula", "> 8", "compared"),
    wrong("condition without comparison", "{when: {surgery: true}", "{when: {if: age + 1}", "pack.formula", "",
          "needs one of"),
    wrong("step of itself", DUE, "figure: due * 8%", "pack.cycle", "due", "itself"),
    wrong("later step", 'figure: "min(max(wage,', 'figure: "due + min(max(wage,', "pack.cycle", '"due + ', "later"),
    wrong("later layer", "          - {amount: 200000, per", "          - {amount: large.fund, per", "pack.cycle",
          "large.fund", "computed later"),
    wrong("its own layer", "basis: in_scope - paid", "basis: large.fund - paid", "pack.cycle", "large.fund", "itself"),
    wrong("no such quantity", "paid - basic.deductible", "paid - basic.deductable", "pack.unknown-name",
          "basic.deductable", "did you mean `deductible`"),
    wrong("no such layer", "paid - basic.deductible", "paid - basics.deductible", "pack.unknown-name",
          "basics.deductible", "did you mean `basic.deductible`"),
    wrong("layer of another benefit", "0.01 * avg_wage", "0.01 * basic.fund", "pack.unknown-name", "basic.fund",
          "unknown name"),
    wrong("bill where there is none", DUE, "figure: base * total", "pack.unknown-name", "total", "of a bill"),
    wrong("divided by zero", DUE, "figure: base / 0", "pack.division-by-zero", "/ 0", "division by zero"),
    wrong("divided by nothing left", DUE, "figure: base / (base - base)", "pack.division-by-zero", "/ (base", "zero"),
]  # fmt: skip

FIGURES = [
    wrong("value and table", BY_LEVEL, BY_LEVEL.replace("{by", "{value: 1, by"), "pack.figure", "{value",
          "exactly one of value, table, cases"),
    wrong("table without fact", BY_LEVEL, "amount: {table: {三级: 600, 二级: 400}}", "pack.figure", "{table",
          "go together"),
    wrong("fact without table", BY_LEVEL, "amount: {by: level, value: 3}", "pack.figure", "{by", "go together"),
    wrong("adjusted in two ways", "add: 0.05", "add: 0.05, times: 2", "pack.figure", "{when", "exactly one of add"),
    wrong("adjusted in no way", ", add: 0.05", "", "pack.figure", "{when", "exactly one of add"),
    wrong("case without condition", RATIO_CASES, "            - {value: 0.7}\n", "pack.figure", "{value", "condition"),
    wrong("otherwise with a condition", "{when: {surgery: false}, value",
          "{otherwise: true, when: {surgery: false}, value", "pack.figure", "{otherwise", "takes no condition"),
    wrong("two otherwise", RATIO_CASES, "            - {otherwise: true, value: 0.7}\n" * 2, "pack.two-rules",
          "{otherwise", "second"),
    wrong("cases overlap", RATIO_CASES, "            - {when: {age: {to: 60}}, value: 0.7}\n"
          "            - {when: {age: {from: 60}}, value: 0.6}\n", "pack.two-rules", "{when: {age: {from", "age=60"),
    wrong("cases leave something out", "            - {when: {surgery: false}, value: 0.6}\n", "", "pack.gap", "cases",
          "surgery=false"),
    wrong("table by an unknown fact", "by: level, table: {三级: 600", "by: levels, table: {三级: 600",
          "pack.unknown-fact", "levels", "did you mean `level`"),
    wrong("unknown row", "{三级: 600,", "{三甲: 600, 三级: 600,", "pack.unknown-word", "三甲", "no value '三甲'"),
    wrong("row missing", "table: {三级: 600, 二级: 400}", "table: {三级: 600}", "pack.gap", "table", "level=二级"),
    wrong("row that is no number", "{三级: 600, 二级: 400}", "{三级: 600, 二级: true}", "pack.type", "true", "number"),
    wrong("row with a rule that is none", "{三级: 600, 二级: 400}", "{三级: 600, 二级: {valeu: 3}}", "pack.unknown-key",
          "valeu", "did you mean `value`"),
    wrong("row without the second fact", "by: level, table: {三级: 600, 二级: 400}",
          "by: [level, age], table: {三级: {0+: 600}, 二级: 400}", "pack.table", "400", "rows for `age`"),
    wrong("numbers that are none", "{0-59: 0.85, 60+: 0.90}", "{young: 0.85, 60+: 0.90}", "pack.table", "young",
          "write its rows as"),
    wrong("ages overlap", "{0-59: 0.85, 60+: 0.90}", "{0-60: 0.85, 60+: 0.90}", "pack.two-rules", "60+", "age=60"),
    wrong("age left out", "{0-59: 0.85, 60+: 0.90}", "{0-58: 0.85, 60+: 0.90}", "pack.gap", "table", "age=59"),
    wrong("ages from high to low", "{0-59: 0.85, 60+: 0.90}", "{0-59: 0.85, 60+: 0.90, 9-8: 1}", "pack.range", "9-8",
          "no number"),
    wrong("flag read by words", BY_LEVEL, "amount: {by: emergency, table: {是: 1, otherwise: 2}}", "pack.table", "是",
          "true and false"),
    wrong("ratio above 1", "table: {0-59: 0.85", "table: {0-59: 85", "pack.ratio", "85", "85 is not within 0 to 1"),
    wrong("ratio below 0", "{ratio: 0.80}", "{ratio: -0.80}", "pack.ratio", "-0.80", "not within"),
    wrong("ratio above 1 by formula", "{ratio: 0.80}", "{ratio: 3 * 40%}", "pack.ratio", "3 * 40%", "1.2"),
    wrong("pre-payment above 1", "{三级: 0.20, 二级", "{三级: 20, 二级", "pack.ratio", "20", "not within"),
    wrong("ratio above 1 once adjusted", "add: 0.05}\n          at_most: 0.95", "add: 0.15}", "pack.ratio", "0.15",
          "1.05 is not within 0 to 1, as for"),
    wrong("share of the person", "at_most: 0.95", "at_most: 2\n          at_least: 1.5\n          share: person",
          "pack.ratio", "1.5", "-0.5"),
    wrong("negative deductible", "{三级: 600,", "{三级: -600,", "pack.negative", "-600", "negative amount"),
    wrong("negative cap", "{amount: 100000, per", "{amount: -1, per", "pack.negative", "-1", "negative amount"),
    wrong("three decimals", "{三级: 600,", "{三级: 600.005,", "pack.decimals", "600.005", "more than 2 decimals"),
    wrong("three decimals in a figure", "value: 80000", "value: 80000.125", "pack.decimals", "80000.125", "2 decimals"),
    wrong("negative figure", "value: 80000", "value: -80000", "pack.negative", "-80000", "negative"),
]  # fmt: skip

LAYERS = [
    wrong("pays by nothing", "        ratio:\n          cases:\n" + RATIO_CASES, "", "pack.layer", "id: residents",
          "must say what it pays"),
    wrong("pays twice over", "        tiers:\n          bands:\n",
          "        ratio: 0.5\n        tiers:\n          bands:\n", "pack.layer", "tiers", "beside `ratio`"),
    wrong("paid later by nobody", LATER, "        pays: later\n", "pack.layer", "later", "needs a `payer`"),
    wrong("given, and yet a ratio", LATER, "        pays: given\n", "pack.dead", "tiers",
          "no effect with `pays: given`"),
    wrong("fund that is no code", 'fund: "390100"', 'fund: "3901"', "pack.fund", '"3901"', "six digits"),
    wrong("bands descend", "{to: 20000, ratio", "{to: 9000, ratio", "pack.tiers", "9000", "must ascend"),
    wrong("band of nothing", "{to: 20000, ratio", "{to: 10000, ratio", "pack.tiers", "10000", "must ascend"),
    wrong("open band in the middle", "{to: 20000, ratio", "{ratio", "pack.tiers", "{ratio: 0.70}",
          "only the last band"),
    wrong("last band closed", "{ratio: 0.80}", "{to: 30000, ratio: 0.80}", "pack.tiers?", "to: 30000", "exceeds it"),
    wrong("band beyond the limit", "        tiers:\n",
          "        limits: [{amount: 20000, clause: stay}]\n        tiers:\n", "pack.never-bites?", "{ratio: 0.80}",
          "ends before this band"),
    wrong("cap that never bites", STAY_CAP, STAY_CAP.replace("100000", "200000"), "pack.never-bites?",
          "{amount: 200000", "pays at most 200000"),
    wrong("deductible as large as the limit", "deductible: {amount: 0.01 * avg_wage, clause: wage}",
          "deductible: {amount: 800, clause: wage}\n        limits: [{amount: 800, clause: wage}]", "pack.dead",
          "{amount: 800", "nothing is ever paid"),
    wrong("counter of two kinds", "person_ceiling: {amount: 50000,",
          "person_ceiling: {amount: 50000, counter: basic-fund,", "pack.counter", "{amount: 50000",
          "runs for the fund"),
    wrong("counter shared by chance", "    refuses: 门诊不报销。\n", OUTPATIENT_BASIC, "pack.shared-counter?",
          "{amount: 300,", "shares the counter `basic-fund` with another benefit"),
    wrong("counter of admissions", "person_ceiling: {amount: 50000,",
          "person_ceiling: {amount: 50000, counter: admissions,", "pack.counter", "{amount: 50000",
          "counts admissions"),
]  # fmt: skip

COVERAGE = [
    wrong("two benefits fit", RESIDENT, "    when: {care: 住院}\n", "pack.two-rules", "when",
          "`resident-stay` and `employee-stay` both fit a case such as"),
    wrong("person no rule covers", RESIDENT, "    when: {scheme: 居民, care: 住院, age: {from: 18}}\n",
          "pack.uncovered", "benefits", "age="),
    wrong("care no rule covers", "words: [住院, 门诊]", "words: [住院, 门诊, 购药]", "pack.uncovered", "benefits",
          "care=购药"),
    wrong("benefit for nobody", "{marks: 低保}, add", "{marks: 低保, scheme: 居民}, add", "pack.dead", "scheme",
          "nothing is left of `scheme`"),
    wrong("layer for nobody", "        absorbs:", "        when: {care: 门诊}\n        absorbs:", "pack.dead", "care",
          "nothing is left of `care`"),
    wrong("age beyond all ages", "{marks: 低保}, add", "{age: {from: 151}}, add", "pack.dead", "age", "of `age`"),
    wrong("two item rules fit", CLASS_C, CLASS_C.replace("丙", "[乙, 丙]"), "pack.two-rules", "when",
          "`class-c` and `class-b` both fit"),
    wrong("line no rule covers", CLASS_C, "", "pack.uncovered", "items", "class=丙"),
    wrong("item rule of no benefit", CLASS_C,
          CLASS_C + "  - {id: pharmacy, when: {care: 门诊, class: 丙}, clause: items}\n", "pack.dead", "when",
          "no benefit can meet"),
    wrong("two otherwise item rules", CLASS_C, CLASS_C.replace("when: {class: 丙}", "otherwise: true")
          + "  - {id: rest, otherwise: true, clause: items}\n", "pack.two-rules", "true", "`class-c` is `otherwise`"),
    wrong("otherwise with a condition", CLASS_C, CLASS_C.replace("when:", "otherwise: true, when:"), "pack.item",
          "when", "takes no condition"),
    wrong("limit of nothing", CLASS_C, CLASS_C.replace("scope: out", "limit: {}"), "pack.item", "{}", "needs `amount`"),
    wrong("ceiling of what is outside", CLASS_C, CLASS_C.replace("scope: out", "scope: out, ceiling: 3"), "pack.dead",
          "ceiling", "no effect"),
    wrong("refusal that pays", "    refuses: 门诊不报销。\n",
          "    refuses: 门诊不报销。\n    account: {pays: [own], clause: stay}\n", "pack.dead", "account",
          "never uses `account`"),
    wrong("neither pays nor refuses", "    refuses: 门诊不报销。\n", "", "pack.nothing", "id: no-outpatient",
          "neither pays"),
]  # fmt: skip

EXAMPLES = [
    wrong("unknown fact", "{scheme: 职工, age: 45}", "{scheme: 职工, agee: 45}", "pack.unknown-fact", "agee", "`age`"),
    wrong("unknown word", "{care: 住院, level: 三级}", "{care: 住院, level: 三甲}", "pack.unknown-word", "三甲",
          "no value"),
    wrong("word for a number", "age: 45}", "age: 四十五}", "pack.fact-kind", "四十五", "takes a number"),
    wrong("several levels", "level: 三级}\n", "level: [三级, 二级]}\n", "pack.fact-kind", "[三级", "one value"),
    wrong("unknown calculation", "calculate: premium", "calculate: premum", "case.unknown-calculation", "premum",
          "did you mean `premium`"),
    wrong("unknown input", "inputs: {wage: 9000}", "inputs: {wage: 9000, months: 3}", "case.unknown-input", "months",
          "no input `months`"),
    wrong("unknown counter", "{basic-fund@2025: 1000}", "{basic-fnd@2025: 1000}", "case.unknown-counter", "basic-fnd",
          "did you mean `basic-fund`"),
    wrong("input missing", ", inputs: {wage: 9000}", "", "case.input-missing", "{calculate", "`wage`"),
    wrong("layer that is not given", "      - id: first\n", "      - id: first\n        paid: {basic: 3}\n",
          "case.unknown-layer", "basic", "no layer with"),
]  # fmt: skip

ALL = [*HEAD, *CLAUSES, *IDS, *FACTS, *FORMULAS, *FIGURES, *LAYERS, *COVERAGE, *EXAMPLES]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_what_is_wrong_is_found_where_it_stands(tmp_path: Path, case: Wrong) -> None:
    text = edited(*case.edits)
    issues = loaded(tmp_path, text).issues
    assert codes(issues) == list(case.codes), [str(issue) for issue in issues]
    assert at(text, issues[0]).startswith(case.points_at)
    assert case.says in issues[0].en
    assert issues[0].zh
    assert issues[0].zh != issues[0].en


def test_nothing_is_said_of_a_good_pack(tmp_path: Path) -> None:
    answer = loaded(tmp_path, GOOD)
    assert answer.issues == ()
    assert answer.document is not None
    assert answer.document.pack == "sample"


# ------------------------------------------------------------------------------ what is not an error, and why


OPEN_FACTS = (
    ("  care: {words: [住院, 门诊]}\n", ""),
    ("  level: {words: [三级, 二级]}\n", ""),
    ("  class: {words: [甲, 乙, 丙]}\n", ""),
)


def test_what_depends_on_facts_of_unknown_values_is_a_warning(tmp_path: Path) -> None:
    answer = loaded(tmp_path, edited(*OPEN_FACTS))
    assert codes(answer.issues) == ["pack.uncovered?"] * 2
    assert answer.document is not None
    assert "care=…" in answer.issues[-1].en


def test_a_gap_between_declared_facts_is_an_error_whatever_else_is_unknown(tmp_path: Path) -> None:
    minors = "    when: {scheme: 居民, care: 住院, age: {to: 17}}\n"
    edits = ((OUTPATIENT, "    when: {care: 门诊, disease: 流感}\n"), (RESIDENT, minors))
    issues = loaded(tmp_path, edited(*edits)).issues
    assert codes(issues) == ["pack.uncovered"]
    assert "scheme=居民" in issues[0].en


def test_cases_that_differ_in_a_comparison_do_not_overlap(tmp_path: Path) -> None:
    cases = """\
            - {when: {if: total > 1000}, value: 0.7}
            - {when: {if: 1000 >= total}, value: 0.6}
"""
    assert loaded(tmp_path, edited((RATIO_CASES, cases))).issues == ()


def test_cases_whose_comparisons_meet_overlap(tmp_path: Path) -> None:
    cases = """\
            - {when: {if: total >= 1000}, value: 0.7}
            - {when: {if: total <= 1000}, value: 0.6}
"""
    issues = loaded(tmp_path, edited((RATIO_CASES, cases))).issues
    assert codes(issues) == ["pack.two-rules"]
    assert "total=1000" in issues[0].en


def test_nothing_is_said_of_comparisons_that_cannot_be_compared(tmp_path: Path) -> None:
    cases = """\
            - {when: {if: total > 2 * own}, value: 0.7}
            - {when: {if: days > 3}, value: 0.6}
"""
    assert loaded(tmp_path, edited((RATIO_CASES, cases))).issues == ()


def test_adjustments_that_exclude_each_other_are_not_added_up(tmp_path: Path) -> None:
    adjusted = "{when: {marks: 低保}, add: 0.10}\n            - {when: {marks: {not: 低保}}, add: 0.10}"
    edits = (("{when: {marks: 低保}, add: 0.05}", adjusted), ("          at_most: 0.95\n", ""))
    assert loaded(tmp_path, edited(*edits)).issues == ()


def test_a_row_for_the_rest_closes_every_gap(tmp_path: Path) -> None:
    assert loaded(tmp_path, edited(("{三级: 600, 二级: 400}", "{三级: 600, otherwise: 400}"))).issues == ()


def test_a_table_by_two_facts_is_looked_at_row_by_row(tmp_path: Path) -> None:
    table = "{by: [level, age], table: {三级: {0+: 600}, 二级: {0-59: 1, 61+: 2}}}"
    issues = loaded(tmp_path, edited((BY_LEVEL, f"amount: {table}"))).issues
    assert codes(issues) == ["pack.gap"]
    assert "age=60" in issues[0].en


def test_rows_that_the_benefit_cannot_meet_are_not_missed(tmp_path: Path) -> None:
    edits = (
        (BY_LEVEL, BY_LEVEL.replace(", 二级: 400", "")),
        ("    when: {scheme: 职工, care: 住院}\n", "    when: {scheme: 职工, care: 住院, level: 三级}\n"),
        (OUTPATIENT, "    when: {care: 门诊}\n"),
    )
    issues = loaded(tmp_path, edited(*edits)).issues
    assert codes(issues) == ["pack.uncovered"], "only the second-level stays of employees are left out"
    assert "level=二级" in issues[0].en


def test_a_space_too_large_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "MAX_STEPS", 1)
    answer = loaded(tmp_path, GOOD)
    assert set(codes(answer.issues)) == {"pack.not-checked?"}
    assert answer.document is not None


def test_many_facts_are_looked_at_within_bounds(tmp_path: Path) -> None:
    flags = "".join(f"  f{n}: {{flag: true, of: bill}}\n" for n in range(60))
    condition = "care: 门诊, f{0}: true, f{1}: false, f{2}: true"
    benefits = "".join(
        f"  - {{id: odd-{n}, title: 无, when: {{{condition.format(n, n + 1, n + 2)}}}, refuses: 无, clause: stay}}\n"
        for n in range(58)
    )
    text = edited(
        ("  surgery: {flag", f"{flags}  surgery: {{flag"),
        ("  - id: no-outpatient\n", f"{benefits}  - id: no-outpatient\n"),
        (OUTPATIENT, "    when: {care: 门诊, f0: true, f1: true}\n"),
    )
    assert {"pack.two-rules", "pack.uncovered"} <= set(codes(loaded(tmp_path, text).issues))


# ---------------------------------------------------------------------------------------------- versions


def version(folder: Path, number: str, valid: str, *edits: tuple[str, str]) -> tuple[PackDocument, Place]:
    text = edited(('version: "1.0"', f'version: "{number}"'), ("{from: 2025-01-01, to: 2025-12-31}", valid), *edits)
    answer = loaded(folder, text)
    assert answer.document is not None
    assert answer.valid_at is not None
    return answer.document, answer.valid_at


def test_versions_in_a_row_are_well(tmp_path: Path) -> None:
    old = version(tmp_path, "1.0", "{from: 2024-01-01, to: 2024-12-31}")
    new = version(tmp_path, "2.0", "{from: 2025-01-01}")
    assert check_versions([new, old]) == ()


@pytest.mark.parametrize(
    ("first", "second", "number", "code", "says"),
    [
        ("{from: 2024-01-01, to: 2025-01-01}", "{from: 2025-01-01}", "2.0", "pack.periods", "overlaps with sample 1.0"),
        ("{from: 2024-01-01}", "{from: 2025-01-01}", "2.0", "pack.periods", "overlaps with sample 1.0"),
        ("{from: 2024-01-01, to: 2024-12-30}", "{from: 2025-01-01}", "2.0", "pack.periods?", "no version holds after"),
        ("{from: 2024-01-01, to: 2024-12-31}", "{from: 2025-01-01}", "1.0", "pack.duplicate", "a version 1.0 of"),
    ],
)
def test_versions_that_do_not_follow_each_other(
    tmp_path: Path, first: str, second: str, number: str, code: str, says: str
) -> None:
    issues = check_versions([version(tmp_path, "1.0", first), version(tmp_path, number, second)])
    assert codes(issues) == [code]
    assert (issues[0].line, issues[0].column) == (5, 8)
    assert says in issues[0].en


def test_two_packs_of_one_area(tmp_path: Path) -> None:
    one = version(tmp_path, "1.0", "{from: 2024-01-01}")
    other = version(tmp_path, "1.0", "{from: 2025-01-01}", ("pack: sample", "pack: another"))
    assert codes(check_versions([one, other])) == ["pack.periods"]
    elsewhere = version(tmp_path, "1.0", "{from: 2025-01-01}", ("pack: sample", "pack: far"), ("411600", "341700"))
    assert check_versions([one, elsewhere]) == ()


# --------------------------------------------------------------------------------- the rest of the vocabulary


OUTPATIENT_PAYS = """\
    items:
      - {id: drugs, when: {class: [甲, 乙]}, limit: {amount: 500, per: month, of: [disease]}, clause: items}
      - {id: rest, otherwise: true, scope: out, clause: items}
    layers:
      - id: visits
        title: 门诊统筹
        fund: "310100"
        deductible: {amount: {value: 0.001 * avg_wage, at_most: 100}, per: month, clause: stay}
        tiers: {running: year, bands: [{to: 2000, ratio: 0.5}, {ratio: {value: 0.6}}], clause: stay}
        caps: [{amount: 3000, per: year, clause: stay}]
        clause: stay
      - id: package
        title: 包干
        fund: "310100"
        when: {points: {from: 1}}
        fixed:
          amount:
            by: [emergency, points]
            table:
              true: {0: 5, 1: 10, 2-8: {value: 20, clause: wage}, 9+: 30}
              false: {otherwise: {cases: [{when: {if: points != 3}, value: 1}, {otherwise: true, value: 2}]}}
          clause: stay
        caps: [{amount: 20, per: visit, clause: stay}]
        clause: stay
"""
RICHER = (
    ("    refuses: 门诊不报销。\n", OUTPATIENT_PAYS),
    ("  surgery: {flag", "  points: {number: {from: 0}, of: bill}\n  surgery: {flag"),
)


def test_nothing_is_said_of_a_pack_that_uses_more_of_the_vocabulary(tmp_path: Path) -> None:
    assert loaded(tmp_path, edited(*RICHER)).issues == ()


@pytest.mark.parametrize(
    ("old", "new", "code", "points_at", "says"),
    [
        ("2-8: {value: 20, clause: wage}", "2-8: {value: 20, clause: wages}", "pack.unknown-clause", "wages", "`wage`"),
        ("2-8: {value: 20,", "2-8: {value: age2,", "pack.unknown-name", "age2", "did you mean `age`"),
        ("2-8: {value: 20,", "2-8: {value: -20,", "pack.negative", "-20", "negative"),
        ("2-8: {value: 20, clause: wage}, ", "", "pack.gap", "true", "points=2"),
        ("1: 10, ", "1: 10, 1-1: 3, ", "pack.two-rules", "1-1", "points=1"),
        ("{when: {if: points != 3}", "{when: {if: points != 3 + 1 / 0}", "pack.division-by-zero", "/ 0", "zero"),
        ("limit: {amount: 500, per: month, of: [disease]}", "limit: {amount: -1}", "pack.negative", "-1", "negative"),
        ("per: month, of: [disease]", "per: month, of: [dissease]", "pack.unknown-fact", "dissease", "`disease`"),
        (
            "of: [disease]}",
            "of: [disease], counter: visits-fund}",
            "pack.counter",
            "{amount: 3000",
            "runs for the items",
        ),
        (
            "tiers: {running: year,",
            "tiers: {running: year, counter: visits-deductible,",
            "pack.counter",
            "{running",
            "runs for the",
        ),
        ("when: {points: {from: 1}}", "when: {points: {below: 0}}", "pack.dead", "points", "nothing is left"),
        (
            "caps: [{amount: 20, per: visit",
            "fixed2: [{amount: 20, per: visit",
            "pack.unknown-key",
            "fixed2",
            "did you mean `fixed`",
        ),
        (
            "{class: [甲, 乙]}, limit",
            "{class: [甲, 乙], care: 住院}, limit",
            "pack.dead",
            "care",
            "nothing is left of `care`",
        ),
    ],
)
def test_what_is_wrong_deeper_down(tmp_path: Path, old: str, new: str, code: str, points_at: str, says: str) -> None:
    text = edited(*RICHER)
    assert text.count(old) == 1
    text = text.replace(old, new)
    issues = loaded(tmp_path, text).issues
    assert codes(issues) == [code], [str(issue) for issue in issues]
    assert at(text, issues[0]).startswith(points_at)
    assert says in issues[0].en


def test_a_fixed_amount_below_its_cap(tmp_path: Path) -> None:
    fixed = "        fixed: {amount: 800, clause: stay}\n        caps: [{amount: 900, per: visit, clause: stay}]\n"
    issues = loaded(tmp_path, edited(("        ratio:\n          cases:\n" + RATIO_CASES, fixed))).issues
    assert codes(issues) == ["pack.never-bites?"]
    assert "at most 800" in issues[0].en


def test_a_ceiling_of_nothing_the_person_bears(tmp_path: Path) -> None:
    fixed = "        fixed: {amount: 800, clause: stay}\n        person_ceiling: {amount: 9, clause: stay}\n"
    edits = (
        ("        ratio:\n          cases:\n" + RATIO_CASES, fixed),
        ("        deductible: {amount: 0.01 * avg_wage, clause: wage}\n", ""),
    )
    assert codes(loaded(tmp_path, edited(*edits)).issues) == ["pack.layer"]


def test_a_layer_paid_elsewhere_has_no_share(tmp_path: Path) -> None:
    given = (
        "        pays: given\n        caps: [{amount: 9, clause: stay}]\n        clause: stay\n  - id: no-outpatient"
    )
    issues = loaded(tmp_path, edited(("        clause: stay\n  - id: no-outpatient", given))).issues
    assert codes(issues) == ["pack.dead"] * 3, "deductible, ratio and caps"


def test_a_pack_of_nothing(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("items:\n")]
    assert codes(issue for issue in loaded(tmp_path, text).issues if issue.error) == ["pack.nothing"]


def test_benefits_without_item_rules(tmp_path: Path) -> None:
    start, end = GOOD.index("items:\n  - {id"), GOOD.index("benefits:\n")
    issues = loaded(tmp_path, GOOD[:start] + GOOD[end:]).issues
    assert [issue.code for issue in issues if issue.error] == ["pack.no-items"] * 2


def test_every_code_has_a_meaning_and_every_meaning_a_code() -> None:
    folder = Path(findings.__file__).parent
    sources = [file.read_text("utf-8") for file in folder.rglob("*.py") if file.name != "findings.py"]
    used = {code for text in sources for code in re.findall(r'"((?:pack|case)\.[a-z-]+)"', text)} - {"case.yaml"}
    assert used == findings.FINDINGS.keys()
    assert all(zh and en for zh, en in findings.FINDINGS.values())


def test_a_bounded_deductible_is_not_taken_for_a_constant(tmp_path: Path) -> None:
    small = (
        "deductible: {amount: {value: 900, at_most: 100}, clause: wage}\n        limits: [{amount: 800, clause: wage}]"
    )
    assert loaded(tmp_path, edited(("deductible: {amount: 0.01 * avg_wage, clause: wage}", small))).issues == ()


def test_bands_by_formula_leave_the_others_in_order(tmp_path: Path) -> None:
    edits = (
        ("{to: 20000, ratio", "{to: 0.5 * avg_wage, ratio"),
        ("{ratio: 0.80}", "{to: total, ratio: 0.9}\n            - {ratio: 0.8}"),
    )
    assert loaded(tmp_path, edited(*edits)).issues == ()
    edits = (("{to: 20000, ratio", "{to: 0.1 * avg_wage, ratio"), edits[1])
    issues = loaded(tmp_path, edited(*edits)).issues
    assert codes(issues) == ["pack.tiers"]
    assert "8000 is not above 10000" in issues[0].en


def test_ages_and_counts_are_known_without_being_declared(tmp_path: Path) -> None:
    undeclared = ("  age: {number: {from: 0, to: 150}}\n", "")
    assert loaded(tmp_path, edited(undeclared)).issues == ()
    adults = (RESIDENT, "    when: {scheme: 居民, care: 住院, age: {from: 18}}\n")
    issues = loaded(tmp_path, edited(undeclared, adults)).issues
    assert codes(issues) == ["pack.uncovered"]
    by_admission = (BY_LEVEL, "amount: {by: admission_no, table: {1: 600, 2: 400, 3: 200}}")
    issues = loaded(tmp_path, edited(by_admission)).issues
    assert codes(issues) == ["pack.gap"]
    assert "admission_no=4" in issues[0].en


def test_rows_of_marks_that_one_person_may_bear_overlap(tmp_path: Path) -> None:
    """The highest that counts is said by setting, from the lowest on."""
    table = "amount: {by: marks, table: {低保: 100, 特困: 0, otherwise: 600}}"
    issues = loaded(tmp_path, edited((BY_LEVEL, table))).issues
    assert codes(issues) == ["pack.two-rules"]
    assert "marks=低保+特困" in issues[0].en
    assert "`adjust` with `set`, lowest first" in issues[0].en
    one_row = "amount: {by: marks, table: {低保: 100, otherwise: 600}}"
    assert loaded(tmp_path, edited((BY_LEVEL, one_row))).issues == ()


def test_cases_of_marks_that_overlap_are_told_how_to_be_written(tmp_path: Path) -> None:
    cases = """\
            - {when: {marks: 低保}, value: 0.7}
            - {when: {marks: 特困}, value: 0.6}
            - {otherwise: true, value: 0.5}
"""
    issues = loaded(tmp_path, edited((RATIO_CASES, cases))).issues
    assert codes(issues) == ["pack.two-rules"]
    assert issues[0].en.endswith("lowest first")


def test_what_would_close_a_gap_of_an_undeclared_fact_is_said(tmp_path: Path) -> None:
    table = "            - {when: {disease: 流感}, value: 0.7}\n"
    (issue,) = loaded(tmp_path, edited((RATIO_CASES, table))).issues
    assert not issue.error
    assert issue.en.endswith("declare the values of `disease` under `facts`, or write an `otherwise`")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("{<1000: 0.1, 1000-4999.99: 0.2, 5000+: 0.3}", []),
        ("{<1000: 0.1, 1000-4999: 0.2, 5000+: 0.3}", ["pack.gap"]),
        ("{<1000: 0.1, 1000-5000: 0.2, 5000+: 0.3}", ["pack.two-rules"]),
    ],
)
def test_rows_of_prices_are_looked_at_fen_by_fen(tmp_path: Path, table: str, said: list[str]) -> None:
    rule = CLASS_C.replace("scope: out", f"prepay: {{by: unit_price, table: {table}}}")
    assert codes(loaded(tmp_path, edited((CLASS_C, rule))).issues) == said


def test_an_adjustment_read_from_a_table_is_checked_like_any_figure(tmp_path: Path) -> None:
    old = "{when: {marks: 低保}, add: 0.05}"
    gap = old.replace("0.05", "{by: level, table: {三级: 0.05}}")
    assert codes(loaded(tmp_path, edited((old, gap))).issues) == ["pack.gap"]
    unknown = old.replace("0.05", "{by: level, table: {三级: bas, 二级: 0}}")
    assert codes(loaded(tmp_path, edited((old, unknown))).issues) == ["pack.unknown-name"]
    edits = ((old, old.replace("0.05", "{by: level, table: {三级: 0, 二级: 0.9}}")), ("          at_most: 0.95\n", ""))
    (issue,) = loaded(tmp_path, edited(*edits)).issues
    assert (issue.code, "level=二级" in issue.en) == ("pack.ratio", True)


def test_the_most_that_deductibles_come_to_is_checked(tmp_path: Path) -> None:
    limit = BY_LEVEL + "\n          limit: {amount: {by: level, table: {三级: 600}}, per: year}"
    assert codes(loaded(tmp_path, edited((BY_LEVEL, limit))).issues) == ["pack.gap"]
    reserved = BY_LEVEL + "\n          limit: {amount: 900, counter: admissions}"
    assert codes(loaded(tmp_path, edited((BY_LEVEL, reserved))).issues) == ["pack.counter"]


def test_each_of_several_comparisons_is_checked(tmp_path: Path) -> None:
    cases = """\
            - {when: {if: [total > 100, total <= 1000]}, value: 0.7}
            - {when: {if: total <= 100}, value: 0.6}
            - {when: {if: total > 1000}, value: 0.5}
"""
    assert loaded(tmp_path, edited((RATIO_CASES, cases))).issues == ()
    for wrong_one, code in (
        ("totl <= 1000", "pack.unknown-name"),
        ("5", "pack.condition"),
        ("total + 1", "pack.formula"),
    ):
        issues = loaded(tmp_path, edited((RATIO_CASES, cases.replace("total <= 1000", wrong_one)))).issues
        assert codes(issues) == [code]
    overlap = cases.replace("total <= 1000", "total <= 1001")
    assert codes(loaded(tmp_path, edited((RATIO_CASES, overlap))).issues) == ["pack.two-rules"]


def test_an_input_asked_like_a_fact_is_told_to_be_compared(tmp_path: Path) -> None:
    (issue,) = loaded(tmp_path, edited((DUE, "figure: {by: wage, table: {<5000: 1, 5000+: 2}}"))).issues
    assert issue.code == "pack.unknown-fact"
    assert "it is an input: write `cases` and compare it, as in `if: wage < 4`" in issue.en


@pytest.mark.parametrize(
    ("old", "new", "points_at"),
    [
        ("{marks: 低保}, add", "{class: 甲}, add", "class: 甲}, add"),
        (BY_LEVEL, "amount: {by: unit_price, table: {0+: 600}}", "unit_price"),
        ("0.01 * avg_wage", "0.01 * unit_price", "0.01"),
        (BY_LEVEL, "amount: {by: [level, class], table: {otherwise: {otherwise: 3}}}", "{otherwise: 3}"),
    ],
)
def test_facts_of_a_line_are_asked_by_item_rules_only(tmp_path: Path, old: str, new: str, points_at: str) -> None:
    """Elsewhere nothing could fulfil them: the layer would silently pay nothing."""
    text = edited((old, new))
    issues = loaded(tmp_path, text).issues
    assert codes(issues) == ["pack.fact-of"], [str(issue) for issue in issues]
    assert "only item rules" in issues[0].en
    assert text.splitlines()[issues[0].line - 1][issues[0].column - 1 :].startswith(points_at)
