"""A small pack for the tests of the tools: two items rules, an inpatient benefit of three layers, a refusal, an
allowance. Its figures are chosen so that every amount can be checked by hand."""

from __future__ import annotations

from pathlib import Path

from shared.policy.document import Case, PackDocument
from shared.policy.loading import load_case, load_pack

PACK = """\
pack: sample
version: "2025.1"
title: {zh: "示例市职工医保", en: "Sample city, employees"}
area: "411600"
valid: {from: 2025-01-01, to: 2025-12-31}
author: Desk
illustrative: true

clauses:
  scope: {document: "样政〔2025〕1号", article: "第三条", words: "乙类先行自付10%"}
  basic: {document: "样政〔2025〕1号", article: "第五条", words: "三级医院起付线1000元，其他600元，按85%支付"}
  large: {document: "样政〔2025〕1号", article: "第六条", words: "<b>大额</b>按60%支付，年度限额50000元"}
  aid: {document: "样民〔2025〕2号", article: "第二条", words: "低保对象救助50%"}
  none: {document: "样政〔2025〕1号", article: "第九条", words: "工伤不予支付"}
  wage: {document: "样政〔2025〕3号", article: "第一条", words: "生育津贴按工资除以30乘以天数"}

facts:
  scheme: {words: [职工]}
  care: {words: [住院]}
  group: {words: [在职, 退休]}
  level: {words: [三级, 二级, 一级]}
  liability: {words: [无, 工伤]}
  class: {words: [甲, 乙, 丙]}
  marks: {words: [低保]}

items:
  - {id: listed-a, when: {class: 甲}, ceiling: line, clause: scope}
  - {id: listed-b, when: {class: 乙}, prepay: 0.10, clause: scope}
  - {id: outside, when: {class: 丙}, scope: out, clause: scope}

benefits:
  - id: inpatient
    title: {zh: 住院, en: Inpatient care}
    when: {scheme: 职工, care: 住院, liability: {not: 工伤}}
    counts_admission: true
    clause: basic
    layers:
      - id: basic
        title: {zh: 统筹基金, en: Basic pool}
        fund: "310100"
        deductible:
          amount: {by: level, table: {三级: 1000, otherwise: 600}}
          clause: basic
        ratio:
          value: 0.85
          adjust:
            - {when: {group: 退休}, add: 0.05}
        caps:
          - {amount: 20000, per: year, clause: basic}
        clause: basic
      - id: large
        title: {zh: 大额补助, en: Large sums}
        fund: "330100"
        basis: basic.over_cap
        ratio: 0.60
        caps:
          - {amount: 50000, per: year, clause: large}
        clause: large
      - id: aid
        title: {zh: 医疗救助, en: Medical aid}
        fund: "610100"
        when: {marks: 低保}
        basis: in_scope - paid
        ratio: 0.50
        clause: aid
    account: {pays: [deductible, by_ratio, prepay], clause: basic}
  - id: injury
    title: {zh: 工伤, en: Work injury}
    when: {scheme: 职工, liability: 工伤}
    refuses: {zh: "应由工伤保险支付", en: "Work-injury insurance pays this"}
    clause: none

calculations:
  - id: maternity
    title: {zh: 生育津贴, en: Maternity allowance}
    kind: allowance
    clause: wage
    needs:
      wage: {title: {zh: 月平均工资, en: average monthly wage}}
      leave: {title: {zh: 产假天数, en: days of leave}, unit: days}
    steps:
      - {id: allowance, title: {zh: 津贴, en: Allowance}, figure: wage / 30 * leave, clause: wage}
    results: [allowance]

examples:
  - id: stay
    person: {scheme: 职工, group: 在职}
    bills:
      - {facts: {care: 住院, level: 三级, liability: 无}, lines: [{amount: 11000, facts: {class: 甲}}]}
    expect: [{what: fund, is: 8500}]
"""

CASE = """\
id: two-stays
person: {scheme: 职工, group: 退休, marks: [低保]}
accounts: {own: 500}
bills:
  - id: first
    facts: {care: 住院, level: 三级, liability: 无}
    use_account: true
    lines:
      - {amount: 20000.00, facts: {class: 甲}}
      - {amount: 1000.05, facts: {class: 乙}}
      - {amount: 300.00, facts: {class: 丙}}
  - id: second
    facts: {care: 住院, level: 二级, liability: 无}
    use_account: true
    lines: [{amount: 10600.00, facts: {class: 甲}}]
questions:
  - {id: leave, calculate: maternity, inputs: {wage: 6000, leave: 98}}
expect:
  - {what: first.basic.fund, is: 17910.04, says: basic pool}
  - {what: bills.total, is: 31900.05}
  - {what: leave.allowance, is: 19600}
"""
"""First stay: 1,000.05 − 100.01 = 900.04 of class 乙 in scope, so 20,900.04 − 1,000 = 19,900.04, of it 90 % are
17,910.04. Second stay: (10,600 − 600) × 90 % = 9,000, but 2,089.96 are left under the cap; of the 6,910.04 above it
60 % are 4,146.02."""

PACKAGE = """\
pack: package
version: "1"
title: 包干
area: "411600"
valid: {from: 2025-01-01}
author: Desk
clauses:
  rule: {document: "样政〔2025〕4号", words: "顺产包干3000元，结余归个人；商业保险事后按50%支付"}
items:
  - {id: all, otherwise: true, clause: rule}
benefits:
  - id: birth
    title: 生育
    when: {}
    clause: rule
    layers:
      - id: package
        title: {zh: 生育包干, en: Package}
        fund: "510100"
        fixed: {amount: 3000, surplus: person, clause: rule}
        clause: rule
      - id: insurer
        title: {zh: 补充保险, en: Supplement}
        fund: "930100"
        pays: later
        payer: 商保公司
        basis: person
        ratio: 0.5
        clause: rule
    account: {pays: [by_ratio, over_cap], family: true, clause: rule}
"""
"""A fixed amount of 3,000 yuan whose surplus is the person's, and an insurer that pays half of the rest later."""

BIRTHS = """\
id: births
accounts: {own: 100, family: 250}
bills:
  - {id: cheap, lines: [{amount: 2000}]}
  - {id: dear, use_account: true, lines: [{amount: 4000}]}
  - {id: again, use_account: true, lines: [{amount: 3300}]}
"""


def write(folder: Path, pack: str = PACK, case: str = CASE) -> tuple[Path, Path]:
    """The pack and the case as files."""
    paths = folder / "pack.yaml", folder / "case.yaml"
    for path, text in zip(paths, (pack, case), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def document(folder: Path, pack: str = PACK) -> PackDocument:
    """The pack read and checked."""
    path = folder / "read.yaml"
    path.write_text(pack, encoding="utf-8")
    loaded = load_pack(path)
    assert loaded.document is not None, loaded.issues
    return loaded.document


def case(folder: Path, text: str = CASE) -> Case:
    """The case read and checked."""
    path = folder / "read-case.yaml"
    path.write_text(text, encoding="utf-8")
    cases, issues = load_case(path)
    assert len(cases) == 1, issues
    return cases[0]
