"""Policy packs as an office sends them: files by name."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import date

from services.claims.config import SHIPPED

Files = dict[str, str]

_COUNT: Iterator[int] = itertools.count(1)


def next_version(pack: str = "zhoukou", begins: date = date(2027, 1, 1)) -> Files:
    """A shipped pack under a version nobody used before."""
    files = {file.name: file.read_text(encoding="utf-8") for file in sorted((SHIPPED / pack).glob("*.yaml"))}
    version = f"{begins.year}.{next(_COUNT)}"
    files["pack.yaml"] = re.sub(r'version: "[0-9.]+"', f'version: "{version}"', files["pack.yaml"])
    files["pack.yaml"] = re.sub(r"valid: \{from: [0-9-]+\}", f"valid: {{from: {begins}}}", files["pack.yaml"])
    del files["examples.yaml"]
    return files


SMALL = """\
pack: {pack}
version: "{version}"
title: {{zh: 试行待遇, en: Trial benefits}}
area: "{area}"
valid: {{from: {begins}}}
author: benefits office
reviewer: fund supervision
clauses:
  all: {{document: 试行文件, article: 第一条, words: "支付{percent}%，门诊每年最高600元"}}
facts:
  care: {{words: [住院, 门诊, 购药]}}
items:
  - {{id: everything, otherwise: true, clause: all}}
benefits:
  - id: stays
    title: {{zh: 住院, en: Stays}}
    when: {{care: 住院}}
    counts_admission: true
    clause: all
    layers:
      - {{id: pool, title: {{zh: 基金, en: Fund}}, fund: "390100", ratio: {ratio}, clause: all}}
  - id: visits
    title: {{zh: 门诊, en: Visits}}
    when: {{care: [门诊, 购药]}}
    clause: all
    layers:
      - id: pool
        title: {{zh: 基金, en: Fund}}
        fund: "390100"
        ratio: {ratio}
        caps:
          - {{amount: 600, per: year, clause: all}}
        clause: all
"""

EXAMPLES = """\
examples:
  - id: worked
    title: {{zh: 算例, en: An example}}
    bills:
      - {{begins: {begins}, facts: {{care: 住院}}, lines: [{{amount: 100}}]}}
    expect:
      - {{what: fund, is: {percent}}}
"""


def small(pack: str, version: str, area: str, begins: date, percent: int) -> Files:
    """A pack of a few rules that pays so many per cent of everything, with an example that comes out."""
    named = {"pack": pack, "version": version, "area": area, "begins": begins}
    return {
        "pack.yaml": SMALL.format(**named, percent=percent, ratio=f"{percent / 100:.2f}"),
        "examples.yaml": EXAMPLES.format(begins=begins, percent=percent),
    }
