"""Replays: counters in time order, sums that are those of single decisions, bad rows by their line."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest

from shared.policy import impact, replay
from shared.policy.bills import BadRow, BillsUnreadable, RowReader, Table, open_table
from shared.policy.case import applied
from shared.policy.document import PackDocument
from shared.policy.engine import Policy
from shared.policy.replay import Impact
from tests.policy import sample

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = (
    "person", "group", "marks", "scheme", "care", "liability", "level", "facility", "begins", "ends",
    "class_a", "class_b", "class_c",
)  # fmt: skip
NEW = sample.PACK.replace("value: 0.85", "value: 0.80").replace("三级: 1000", "三级: 500")


def row(person: str, day: str, amount: str, **other: str) -> list[str]:
    values = {
        "person": person, "group": "在职", "marks": "", "scheme": "职工", "care": "住院", "liability": "无",
        "level": "三级", "facility": "H1", "begins": day, "ends": day, "class_a": amount, "class_b": "", "class_c": "",
    }  # fmt: skip
    return [{**values, **other}[column] for column in COLUMNS]


def many_rows(count: int) -> list[list[str]]:
    """A year of bills in no order, several a person, some of them on one day."""
    chance = random.Random(7)
    return [
        row(
            f"P{chance.randrange(count // 5)}",
            f"2025-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}",
            f"{chance.randrange(0, 4_000_000) / 100:.2f}",
            group=chance.choice(("在职", "退休")),
            marks=chance.choice(("", "低保")),
            level=chance.choice(("三级", "二级", "一级")),
            class_b=f"{chance.randrange(0, 500_000) / 100:.2f}",
            class_c=f"{chance.randrange(1, 100_000) / 100:.2f}",
        )
        for _ in range(count)
    ]


def write(path: Path, rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def document(tmp_path: Path) -> PackDocument:
    return sample.document(tmp_path)


@pytest.fixture
def new(tmp_path: Path) -> PackDocument:
    return sample.document(tmp_path, NEW)


def replayed(path: Path, new: PackDocument, old: PackDocument | None = None) -> Impact:
    with open_table(path) as table:
        return replay.replay(table, new, old, processes=1)


def test_counters_run_per_person_in_time_order(tmp_path: Path, document: PackDocument) -> None:
    """The cap of 20,000 yuan is used up by the earlier bill, which stands later in the file."""
    rows = [
        row("A", "2025-06-01", "21000", begins="2025-01-01"),
        row("A", "2025-02-01", "11000", level="二级"),
        row("B", "2025-06-01", "21000"),
    ]
    rows[2][-1] = "0.00"
    found = replayed(write(tmp_path / "bills.csv", rows), document)
    assert found.by["layer", "basic"].new_fund_fen == (884_000 + 1_116_000) + 1_700_000
    assert found.by["layer", "large"].new_fund_fen == 350_400
    assert (found.persons, found.whole.bills) == (2, 3)
    assert found.by["level", "二级"].new_fund_fen == 884_000


def test_the_new_year_begins_anew(tmp_path: Path, document: PackDocument) -> None:
    """A replay asks what a policy would have cost: it decides also bills of days before it was valid."""
    rows = [row("A", "2024-12-31", "30000"), row("A", "2025-01-01", "30000")]
    found = replayed(write(tmp_path / "bills.csv", rows), document)
    assert found.by["layer", "basic"].new_fund_fen == 2 * 2_000_000
    assert found.problem_count == 0


def test_sums_are_those_of_single_decisions(tmp_path: Path, document: PackDocument, new: PackDocument) -> None:
    rows = many_rows(300)
    path = write(tmp_path / "bills.csv", rows)
    found = replayed(path, new, document)
    for side, pack in (("old", document), ("new", new)):
        policy, reader = Policy(pack), RowReader(COLUMNS, [pack])
        counters: dict[str, dict[str, int]] = {}
        fund = person = 0
        layers: dict[str, int] = {}
        for values in sorted(rows, key=lambda values: (values[9], values[8], values)):
            known = counters.setdefault(values[0], {})
            decision = policy.decide(reader.bill(values), known)
            counters[values[0]] = applied(known, decision.changes)
            fund, person = fund + decision.fund_fen, person + decision.person_fen
            for layer in decision.layers:
                layers[layer.id] = layers.get(layer.id, 0) + layer.fund_fen
        assert getattr(found.whole, f"{side}_fund_fen") == fund
        assert getattr(found.whole, f"{side}_person_fen") == person
        for layer_id, spent in layers.items():
            assert getattr(found.by["layer", layer_id], f"{side}_fund_fen") == spent
    assert found.whole.total_fen == found.whole.new_fund_fen + found.whole.new_person_fen
    for dimension in replay.DIMENSIONS:
        assert sum(cost.bills for (name, _), cost in found.by.items() if name == dimension) == 300
        assert sum(cost.new_fund_fen for (name, _), cost in found.by.items() if name == dimension) == (
            found.whole.new_fund_fen
        )


def test_the_same_policy_changes_nothing(tmp_path: Path, document: PackDocument) -> None:
    found = replayed(write(tmp_path / "bills.csv", many_rows(200)), document, document)
    assert found.whole.old_fund_fen == found.whole.new_fund_fen > 0
    assert (found.winners, found.losers) == (0, 0)
    assert found.largest_gains == found.largest_losses == []


def test_what_is_paid_out_and_paid_later_counts(tmp_path: Path, document: PackDocument) -> None:
    """The package costs the fund 3,000 whatever the bill is; half of what is above it the insurer pays later."""
    package = sample.document(tmp_path, sample.PACKAGE)
    columns = ("person", "begins", "ends", "class_a")
    rows = [("A", "2025-03-01", "2025-03-01", "2000"), ("A", "2025-04-01", "2025-04-01", "4000")]
    found = replayed(write(tmp_path / "bills.csv", rows, columns), package, package)
    assert found.whole.new_fund_fen == found.whole.old_fund_fen == 300_000 + 350_000
    assert found.whole.new_person_fen == -100_000 + 50_000
    assert found.by["layer", "package"] == replay.Cost(2, 600_000, 600_000, 600_000)
    assert found.by["layer", "insurer"] == replay.Cost(2, 600_000, 50_000, 50_000)


def test_winners_and_losers(tmp_path: Path, document: PackDocument, new: PackDocument) -> None:
    """Deductible 1,000 → 500, ratio 85 → 80 %: small bills gain, large ones lose; at 9,000 yuan nothing changes."""
    rows = [row("small", "2025-03-01", "2000"), row("large", "2025-03-01", "19000"), row("same", "2025-03-01", "9000")]
    found = replayed(write(tmp_path / "bills.csv", rows), new, document)
    assert (found.persons, found.winners, found.losers) == (3, 1, 1)
    assert [(change.person, change.change_fen) for change in found.largest_gains] == [("small", -35_000)]
    assert [(change.person, change.change_fen) for change in found.largest_losses] == [("large", 50_000)]


def test_neither_order_nor_division_of_work_matters(
    tmp_path: Path, document: PackDocument, new: PackDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many_rows(400)
    first = replayed(write(tmp_path / "bills.csv", rows), new, document)
    random.Random(3).shuffle(rows)
    monkeypatch.setattr(replay, "_SMALL_PART_BYTES", 1_000)
    second = replayed(write(tmp_path / "shuffled.csv", rows), new, document)
    assert impact.as_json(first) == impact.as_json(second)
    assert first.by == second.by


def test_bad_rows_are_told_by_line_and_left_out(tmp_path: Path, document: PackDocument) -> None:
    rows = [
        row("A", "2025-03-01", "2000"),
        row("A", "2025-3-1", "2000.005"),
        row("A", "2025-03-01", ""),
        row("", "2025-03-01", "1"),
        row("A", "2025-03-01", "-1"),
        row("A", "2025-03-01", "1", care="不明"),
        row("A", "2025-03-02", "1", begins="2025-03-03"),
        [*row("A", "2025-03-01", "1"), "one more"],
    ]
    found = replayed(write(tmp_path / "bills.csv", rows), document)
    assert found.whole.bills == 1
    assert found.problem_count == 7
    told = [(problem.line, problem.code) for problem in found.problems]
    assert told == [
        (3, "bills.amount"), (3, "bills.day"), (3, "bills.day"), (4, "bills.amount"), (5, "bills.person"),
        (6, "bills.amount"), (7, "policy.no-benefit"), (8, "bills.days"), (9, "bills.fields"),
    ]  # fmt: skip


def test_quoted_fields_over_several_lines_keep_the_count(tmp_path: Path, document: PackDocument) -> None:
    path = tmp_path / "bills.csv"
    heading = ",".join(COLUMNS)
    good = ",".join(row("A", "2025-03-01", "2000", facility='"two\nlines"'))
    path.write_text(f"{heading}\n{good}\n\n{','.join(row('A', 'never', '1'))}\n", encoding="utf-8")
    found = replayed(path, document)
    assert {problem.line for problem in found.problems} == {5}
    assert found.whole.bills == 1


@pytest.mark.parametrize(
    ("heading", "codes"),
    [
        ("person,begins,ends,class_a,lvel", ["bills.column-unknown"]),
        ("person,begins,class_a,class_a", ["bills.column-twice", "bills.column-missing"]),
        ("", ["bills.column-missing"] * 4),
        ("person,begins,ends", ["bills.column-missing"]),
    ],
)
def test_columns_that_are_not_those_of_bills(
    tmp_path: Path, document: PackDocument, heading: str, codes: list[str]
) -> None:
    path = tmp_path / "bills.csv"
    path.write_text(f"{heading}\n", encoding="utf-8")
    with pytest.raises(BillsUnreadable) as wrong:
        replayed(path, document)
    assert [problem.code for problem in wrong.value.problems] == codes
    assert all(problem.line == 1 for problem in wrong.value.problems)


@pytest.mark.parametrize(
    "content", [b'person,begins\n"open', b"person,begins\n\xff\xfe,1\n", b"person\n" + b"x" * 20_000]
)
def test_what_is_no_table_is_told_where(tmp_path: Path, document: PackDocument, content: bytes) -> None:
    path = tmp_path / "bills.csv"
    heading = ",".join(COLUMNS).encode()
    path.write_bytes(heading + b"\n" + content.partition(b"\n")[2])
    with pytest.raises(BillsUnreadable) as wrong:
        replayed(path, document)
    assert [problem.code for problem in wrong.value.problems] == ["bills.unreadable"]


def test_facts_by_their_kind(document: PackDocument) -> None:
    columns = ("person", "begins", "ends", "class_b", "prepaid", "age", "marks", "emergency", "paid.basic", "episode")
    reader = RowReader(columns, [document])
    bill = reader.bill(("A", "2025-01-01", "2025-01-05", "100.05", "10", "61", "低保; 退役", "是", "7.50", "E1"))
    assert bill.facts == {"age": Decimal(61), "marks": frozenset({"低保", "退役"}), "emergency": True}
    assert (bill.begins_on, bill.ends_on) == (date(2025, 1, 1), date(2025, 1, 5))
    assert (bill.paid_fen, bill.episode) == ({"basic": 750}, "E1")
    assert [(line.amount_fen, line.prepay_fen, line.facts) for line in bill.lines] == [(10_005, 1_000, {"class": "乙"})]
    with pytest.raises(BadRow) as wrong:
        reader.bill(("A", "2025-01-01", "2025-01-05", "1", "", "old", "", "maybe", "", ""))
    assert [code for code, _, _ in wrong.value.faults] == ["bills.fact", "bills.fact"]


def test_rows_from_any_source(document: PackDocument) -> None:
    """As a service hands them over from its database."""

    def rows() -> Iterator[tuple[int, Sequence[str]]]:
        for number in range(2, 12):
            yield number, row(f"P{number}", "2025-05-01", "11000")

    found = replay.replay(Table(COLUMNS, rows(), size=10_000), document, processes=1)
    assert found.whole.new_fund_fen == 10 * 850_000


def test_parquet_gives_what_csv_gives(tmp_path: Path, document: PackDocument, new: PackDocument) -> None:
    path = write(tmp_path / "bills.csv", many_rows(100))
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * REPLACE (class_a::DECIMAL(12,2) AS class_a, ends::DATE AS ends) FROM read_csv('{path}', "
            f"all_varchar=true)) TO '{tmp_path / 'bills.parquet'}' (FORMAT parquet)"
        )
    assert impact.as_json(replayed(tmp_path / "bills.parquet", new, document)) == impact.as_json(
        replayed(path, new, document)
    )


def test_what_is_no_parquet_is_told(tmp_path: Path, document: PackDocument) -> None:
    path = tmp_path / "bills.parquet"
    path.write_text("person,begins\n", encoding="utf-8")
    with pytest.raises(BillsUnreadable, match="not Parquet"):
        replayed(path, document)


def test_progress_is_told(tmp_path: Path, document: PackDocument, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_SAY_EVERY", 50)
    monkeypatch.setattr(replay, "_SMALL_PART_BYTES", 1_000)
    said: list[tuple[str, int, int]] = []
    with open_table(write(tmp_path / "bills.csv", many_rows(120))) as table:
        replay.replay(table, document, processes=1, progress=lambda *where: said.append(where))
    assert said[:2] == [("deal", 50, 0), ("deal", 100, 0)]
    assert [phase for phase, _, _ in said[2:]] == ["decide"] * (len(said) - 2)
    assert said[-1][1] == said[-1][2]


def test_the_findings_as_table_plot_and_data(tmp_path: Path, document: PackDocument, new: PackDocument) -> None:
    rows = [*many_rows(100), row("<b>evil</b>", "2025-03-01", "30000", group="<i>x</i>"), row("A", "no", "1")]
    found = replayed(write(tmp_path / "bills.csv", rows), new, document)
    whole = list(csv.DictReader(StringIO(impact.as_csv(found))))
    assert whole[0]["dimension"] == "whole"
    assert whole[0]["bills"] == "101"
    assert {line["dimension"] for line in whole} == {"whole", "layer", "level", "group", "care"}
    data = json.loads(json.dumps(impact.as_json(found)))
    assert data["whole"]["change_fund"] == whole[0]["change_fund"]
    assert data["problems"][0]["line"] == 103
    text = impact.as_text(found, "en", width=200).replace(",", "")
    for amount in (data["whole"]["old_fund"], data["whole"]["new_fund"], data["largest_losses"][0]["change"]):
        assert amount in text
    plot = ElementTree.fromstring(impact.as_svg(found, "zh"))  # noqa: S314 - made just now
    bars = plot.findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) == 2 * sum(1 for name, _ in found.by if name in ("layer", "level", "group"))
    html = impact.as_html(found, "zh")
    assert "<b>" not in html
    assert "<i>" not in html
    assert "<svg" in html


def test_the_command_with_two_processes(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(sample.PACK, encoding="utf-8")
    (tmp_path / "new.yaml").write_text(NEW, encoding="utf-8")
    write(tmp_path / "bills.csv", many_rows(3_000))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "shared.policy", "replay", *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    done = run(
        "--old", "old.yaml", "--new", "new.yaml", "--bills", "bills.csv", "--json", "out.json", "--svg", "out.svg"
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    with open_table(tmp_path / "bills.csv") as table:
        expected = replay.replay(table, sample.document(tmp_path, NEW), sample.document(tmp_path), processes=1)
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == impact.as_json(expected)
    assert (tmp_path / "out.svg").read_text(encoding="utf-8").startswith("<svg")
    write(tmp_path / "bad.csv", [row("A", "2025-13-01", "1")])
    bad = run("--pack", "new.yaml", "--bills", "bad.csv")
    assert bad.returncode == 1
    assert bad.stderr.startswith("bad.csv:2: bills.day: begins is no day: 2025-13-01\n")
