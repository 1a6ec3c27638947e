"""The policy engine and its tools: decisions, replays, loading. No cluster; all of it is made here."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.policy.bills import open_table
from shared.policy.decision import Bill, BillLine
from shared.policy.document import PackDocument
from shared.policy.engine import Policy
from shared.policy.loading import load_pack
from shared.policy.record import packed
from shared.policy.replay import replay

Say = Callable[[str], None]

SLICES, SLICE_S = 10, 0.4
"""The best slice counts: what others do on the machine slows the rest."""
WARM_UP_BILLS = 20_000
REPLAY_S = 16.0
"""How long the large replay may take; how many bills that is, the small one tells."""
MOST_BILLS = 400_000

PACK = """\
pack: bench
version: "1"
title: {zh: 测试, en: Bench}
area: "411600"
valid: {from: 2025-01-01}
author: bench
clauses:
  all: {document: bench, article: "1", words: bench}
items:
  - {id: class-a, when: {class: 甲}, clause: all}
  - {id: class-b, when: {class: 乙}, prepay: 0.10, clause: all}
  - {id: class-c, when: {class: 丙}, scope: out, clause: all}
benefits:
  - id: inpatient
    title: {zh: 住院, en: Inpatient}
    when: {scheme: 职工, care: 住院}
    counts_admission: true
    clause: all
    layers:
      - id: basic
        title: {zh: 统筹, en: Basic}
        fund: "310100"
        deductible:
          amount: {by: level, table: {三级: 1000, 二级: 600, otherwise: 400}, adjust: [{when: {admission_no: {from: 2}}, times: 0.5}]}
          clause: all
        tiers:
          bands:
            - {to: 10000, ratio: {by: level, table: {三级: 0.85, otherwise: 0.90}, adjust: [{when: {group: 退休}, add: 0.05}]}}
            - {to: 50000, ratio: 0.90}
            - {ratio: 0.95}
        caps: [{amount: 80000, per: year, clause: all}]
        clause: all
      - id: large
        title: {zh: 大额, en: Large sums}
        fund: "330100"
        basis: basic.over_cap
        ratio: 0.90
        caps: [{amount: 300000, per: year, clause: all}]
        clause: all
      - id: serious
        title: {zh: 大病, en: Serious illness}
        fund: "390200"
        basis: in_scope - paid
        deductible: {amount: 15000, per: year, clause: all}
        ratio: 0.60
        clause: all
"""  # noqa: E501 - as a pack is written


def measure(say: Say) -> dict[str, float]:
    """The policy figures, within a minute. `decisions_per_s`: decided, the whole working kept; `recorded_per_s`: and
    the working written as it is stored."""
    with TemporaryDirectory(prefix="sifang-bench-policy-") as folder:
        policy = Policy(_read(Path(folder) / "bench.yaml", PACK))
        say(f"deciding bills of 20 lines through three layers, the best {SLICE_S} s of {SLICES}")
        figures = {
            "decisions_per_s": round(_per_s(lambda bill: policy.decide(bill, {}))),
            "recorded_per_s": round(_per_s(lambda bill: packed(policy.decide(bill, {}).steps))),
        }
        say("loading a pack of 500 rules")
        figures["pack_load_ms"] = round(_load_ms(Path(folder)))
        return figures | _replays(policy.document, Path(folder), say)


def _read(path: Path, text: str) -> PackDocument:
    path.write_text(text, encoding="utf-8")
    loaded = load_pack(path)
    if loaded.document is None:
        raise RuntimeError(f"the pack of the benchmark has errors: {loaded.issues[:3]}")
    return loaded.document


def _per_s(decide: Callable[[Bill], object]) -> float:
    """Bills a second, one after the other on one core, with every step kept."""
    bills = [_bill(number) for number in range(100)]
    return max(_slice_per_s(decide, bills) for _ in range(SLICES))


def _slice_per_s(decide: Callable[[Bill], object], bills: list[Bill]) -> float:
    decided = 0
    begun = time.perf_counter()
    while (elapsed := time.perf_counter() - begun) < SLICE_S:
        for bill in bills:
            decide(bill)
        decided += len(bills)
    return decided / elapsed


def _bill(number: int) -> Bill:
    chance = random.Random(number)
    lines = tuple(
        BillLine(
            no=str(place),
            amount_fen=chance.randrange(100, 2_000_000),
            facts={"class": chance.choice(("甲", "甲", "乙", "丙"))},
            quantity=Decimal(chance.randrange(1, 9)),
        )
        for place in range(1, 21)
    )
    facts = {
        "scheme": "职工",
        "care": "住院",
        "group": chance.choice(("在职", "退休")),
        "level": chance.choice(("三级", "二级", "一级")),
    }
    day = date(2025, 3, 1)
    return Bill(facility="H1", begins_on=day, ends_on=day, facts=facts, lines=lines)


def _load_ms(folder: Path) -> float:
    """Read, checked and compiled: the best of three, as a cold disk is not what is measured."""
    path = folder / "large.yaml"
    path.write_text(_large_pack(500), encoding="utf-8")
    took_ms = []
    for _ in range(3):
        begun = time.perf_counter()
        loaded = load_pack(path)
        if loaded.document is None:
            raise RuntimeError(f"the generated pack has errors: {loaded.issues[:3]}")
        Policy(loaded.document)
        took_ms.append((time.perf_counter() - begun) * 1000)
    return min(took_ms)


def _large_pack(rules: int) -> str:
    """A pack of so many item rules, deductibles, ratios and caps: a benefit for each disease."""
    head, _, _ = PACK.partition("benefits:")
    diseases = [f"病{number}" for number in range(rules // 5)]
    benefits = "".join(_benefit(number, disease) for number, disease in enumerate(diseases))
    return f"{head}facts:\n  disease: {{words: [{', '.join(diseases)}]}}\nbenefits:\n{benefits}"


def _benefit(number: int, disease: str) -> str:
    return f"""\
  - id: disease-{number}
    title: {{zh: {disease}, en: Disease {number}}}
    when: {{scheme: 职工, care: 慢特病, disease: {disease}}}
    clause: all
    layers:
      - id: chronic
        title: {{zh: 统筹, en: Basic}}
        fund: "310100"
        deductible: {{amount: {300 + number}, per: year, counter: shared, clause: all}}
        ratio: {{value: 0.70, adjust: [{{when: {{group: 退休}}, add: 0.05}}]}}
        caps:
          - {{amount: {1000 + number}, per: quarter, clause: all}}
          - {{amount: {5000 + number}, per: year, clause: all}}
        clause: all
"""


def _replays(document: PackDocument, folder: Path, say: Say) -> dict[str, float]:
    """A small replay, and a large one of as many bills as fit the time; what a bill costs in each."""
    say(f"replaying {WARM_UP_BILLS:,} bills on two processes")
    small_s = _replay_s(document, folder, WARM_UP_BILLS)
    bills = min(MOST_BILLS, int(WARM_UP_BILLS * REPLAY_S / small_s / 2))
    say(f"replaying {bills:,} and {2 * bills:,} bills on two processes")
    half_s, whole_s = _replay_s(document, folder, bills), _replay_s(document, folder, 2 * bills)
    return {
        "replay_bills_per_s": round(2 * bills / whole_s),
        "replay_linearity": round(whole_s / half_s / 2, 2),
    }


def _replay_s(document: PackDocument, folder: Path, bills: int) -> float:
    path = folder / f"{bills}.csv"
    write_bills(path, bills)
    begun = time.perf_counter()
    with open_table(path) as table:
        found = replay(table, document, processes=2)
    if found.problem_count or found.whole.bills != bills:
        raise RuntimeError(f"not every bill was decided: {found.problems[:3]}")
    return time.perf_counter() - begun


def write_bills(path: Path, count: int, seed: int = 4) -> None:
    """A year of bills as CSV: about three a person, in no order."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        file.write("person,group,scheme,care,level,facility,begins,ends,class_a,class_b,class_c\n")
        for _ in range(count):
            day = f"2025-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}"
            person = chance.randrange(max(1, count // 3))
            group, level = ("在职", "退休")[person % 2], chance.choice(("三级", "二级", "一级"))
            amounts = ",".join(f"{chance.randrange(0, 3_000_000) / 100:.2f}" for _ in range(3))
            file.write(f"P{person},{group},职工,住院,{level},H{chance.randrange(40)},{day},{day},{amounts}\n")
