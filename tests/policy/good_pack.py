"""A small pack with nothing wrong in it, from which the tests make one wrong thing at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from shared.policy.issues import Issue
from shared.policy.loading import Loaded, load_pack

GOOD = """\
pack: sample
version: "1.0"
title: {zh: 示例, en: Sample}
area: "411600"
valid: {from: 2025-01-01, to: 2025-12-31}
year_begins: "01-01"
author: 张三
reviewer: 李四
clauses:
  stay: {document: 示医保〔2024〕1号, article: 第三条, words: "三级医院起付线600元,报销85%。"}
  items: {document: 示医保〔2024〕1号, article: 第五条, words: 丙类自费。}
  wage: {document: 示医保〔2024〕1号, article: 第九条, words: 按上年度平均工资。}
assumptions:
  - {id: large-order, says: 大额在统筹之后支付。}
facts:
  scheme: {words: [职工, 居民]}
  care: {words: [住院, 门诊]}
  level: {words: [三级, 二级]}
  marks: {words: [低保, 特困]}
  age: {number: {from: 0, to: 150}}
  class: {words: [甲, 乙, 丙]}
  surgery: {flag: true, of: bill}
figures:
  avg_wage: {value: 80000, clause: wage}
items:
  - {id: class-a, when: {class: 甲}, clause: items}
  - id: class-b
    when: {class: 乙}
    prepay: {by: level, table: {三级: 0.20, 二级: 0.10}}
    ceiling: line
    clause: items
  - {id: class-c, when: {class: 丙}, scope: out, clause: items}
benefits:
  - id: employee-stay
    title: 职工住院
    when: {scheme: 职工, care: 住院}
    counts_admission: true
    clause: stay
    layers:
      - id: basic
        title: 统筹
        fund: "310100"
        limits:
          - {amount: 200000, per: year, clause: stay}
        deductible:
          amount: {by: level, table: {三级: 600, 二级: 400}}
          waived: [{marks: 特困}]
          clause: stay
        ratio:
          by: age
          table: {0-59: 0.85, 60+: 0.90}
          adjust:
            - {when: {marks: 低保}, add: 0.05}
          at_most: 0.95
        person_ceiling: {amount: 50000, clause: stay}
        caps:
          - {amount: 100000, per: year, clause: stay}
        clause: stay
      - id: large
        title: 大额
        fund: "330100"
        basis: in_scope - paid - basic.deductible
        tiers:
          bands:
            - {to: 10000, ratio: 0.60}
            - {to: 20000, ratio: 0.70}
            - {ratio: 0.80}
        pays: later
        payer: 某保险公司
        absorbs: [over_cap, by_ratio]
        clause: large-order
    account: {pays: [deductible, by_ratio], clause: stay}
  - id: resident-stay
    title: 居民住院
    when: {scheme: 居民, care: 住院}
    clause: stay
    layers:
      - id: residents
        title: 居民统筹
        fund: "390100"
        deductible: {amount: 0.01 * avg_wage, clause: wage}
        ratio:
          cases:
            - {when: {surgery: true}, value: 0.7}
            - {when: {surgery: false}, value: 0.6}
        clause: stay
  - id: no-outpatient
    title: 门诊
    when: {care: 门诊}
    refuses: 门诊不报销。
    clause: stay
calculations:
  - id: premium
    title: 缴费
    kind: contribution
    needs:
      wage: {title: 工资}
    steps:
      - {id: base, title: 基数, figure: "min(max(wage, 0.6 * avg_wage / 12), 3 * avg_wage / 12)", clause: wage}
      - {id: due, title: 应缴, figure: base * 8%, clause: wage}
    results: [due]
    clause: wage
examples:
  - id: one-stay
    person: {scheme: 职工, age: 45}
    history: {basic-fund@2025: 1000}
    bills:
      - id: first
        begins: 2025-03-01
        ends: 2025-03-08
        facts: {care: 住院, level: 三级}
        lines:
          - {no: "1", amount: 1000.00, facts: {class: 甲}}
          - {no: "2", amount: 500.00, prepay: 0.1, ceiling: 400, facts: {class: 乙}}
    questions:
      - {calculate: premium, inputs: {wage: 9000}}
    expect:
      - {what: first.own, is: 0}
"""


def edited(*edits: tuple[str, str]) -> str:
    """The good pack with some of its text replaced."""
    text = GOOD
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the good pack"
        text = text.replace(old, new)
    return text


def loaded(folder: Path, text: str) -> Loaded:
    """A pack of one file."""
    file = folder / "pack.yaml"
    file.write_text(text, "utf-8")
    return load_pack(file)


def at(text: str, issue: Issue) -> str:
    """What stands where an issue points to, to the end of the line."""
    return text.splitlines()[issue.line - 1][issue.column - 1 :]


def codes(issues: Iterable[Issue]) -> list[str]:
    """The codes of errors and, marked with a ?, of warnings."""
    return [issue.code + ("" if issue.error else "?") for issue in issues]
