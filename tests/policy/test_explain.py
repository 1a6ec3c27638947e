"""Explanations: every kind of step has its words, every number in them is the step's, and pages are safe."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import pytest

from shared.money import yuan
from shared.policy import page, record
from shared.policy.case import CaseResult, run_case
from shared.policy.decision import Decision, Step
from shared.policy.document import PackDocument
from shared.policy.engine import Policy
from shared.policy.explain import case_machine, case_text, explain, explain_answer, explain_decision, text_of_blocks
from shared.policy.sentences import OFFICER, PATIENT, PATIENT_QUANTITIES, PATIENT_SUMS, TEXTS, ZEROS, Reader
from shared.policy.terms import QUANTITIES
from shared.policy.words import Language
from shared.policy.working import OPERATIONS, WorkingError, recompute
from tests.policy import sample

READERS: tuple[Reader, ...] = ("patient", "officer")
LANGUAGES: tuple[Language, ...] = ("zh", "en")


@pytest.fixture
def document(tmp_path: Path) -> PackDocument:
    return sample.document(tmp_path)


@pytest.fixture
def result(document: PackDocument, tmp_path: Path) -> CaseResult:
    return run_case(Policy(document), sample.case(tmp_path))


def words(decision: Decision, document: PackDocument, reader: Reader, language: Language) -> str:
    return text_of_blocks(explain_decision(decision, document, reader, language), document, reader, language)


def test_every_kind_of_step_has_words_for_both_readers() -> None:
    assert set(OFFICER) == set(PATIENT) == set(OPERATIONS)


def test_no_words_are_missing_in_either_language() -> None:
    for templates in (OFFICER, PATIENT, PATIENT_QUANTITIES, PATIENT_SUMS, ZEROS, TEXTS, QUANTITIES):
        for name, (zh, en) in templates.items():
            assert zh.strip(), name
            assert en.strip(), name
            assert not re.search("[\u4e00-\u9fff]", en), name


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_every_template_can_be_filled(kind: str, language: Language, document: PackDocument) -> None:
    """With what the engine gives such a step; a name that no step brings would show as a KeyError."""
    line = (10_000, 0, 0, 1_000, 9_000)
    inputs: dict[str, tuple[tuple[str, object], ...]] = {
        "choose": (("fact:level", "三级"),),
        "skip": (("fact:marks", ("低保",)),),
        "waive": (),
        "formula": ((":formula", "wage * 2"), ("wage", Fraction(3))),
        "basis": ((":formula", "in_scope"), ("in_scope", 900), ("person", 900)),
        "unit_price": (("item:listed-a.ceiling", Fraction(7, 2)),),
        "priced_line": (
            (":amount", 1),
            (":ceiling", Fraction(1)),
            (":quantity", Fraction(2)),
            (":prepay", Fraction(0)),
        ),
        "limited_line": (("line:1", line), ("item:x.room", 500), (":cut_before", 0)),
        "counted_line": (("line:1", line), (":units", 300), ("item:x.room", 200), (":cut_before", 0)),
        "overlap": (("basic.from", 0), ("basic.to", 10), (":low", 0)),
        "look": (("parts", (1, 2, 3, 4, 5, 6)), (":unseen", 6), ("aid.deductible", 2), ("aid.by_ratio", 3)),
        "absorb": (("parts", (1, 2, 3, 4, 5, 6)), (":order", ("own",)), ("aid.fund", 5)),
        "pick": (("parts", (1, 2, 3, 4, 5, 6)), (":pays", ("own", "prepay"))),
    }
    results = {"choose": "三级", "parts": (1, 0, 0, 4, 5, 6), "absorb": (1, 0, 0, 4, 5, 6), "unit_price": Fraction(350)}
    results["look"] = (1, 2, 3, 6, 8, 1)
    result = line if kind.endswith("line") else results.get(kind, 1_234)
    pair = ((":amount", 1_234), (":ratio", Fraction(17, 20)))
    step = Step(kind, "line:1" if kind.endswith("line") else "basic.share", inputs.get(kind, pair), result, ("basic",))
    for reader in READERS:
        text = text_of_blocks(explain([step], document, reader, language), document, reader, language)
        assert "{" not in text
        assert "None" not in text
    assert TEXTS["why"][0] != text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_officer_reads_every_step_with_its_clause(
    result: CaseResult, document: PackDocument, language: Language
) -> None:
    for _, decision in result.bills:
        told = words(decision, document, "officer", language)
        for number in range(1, len(decision.steps) + 1):
            assert re.search(rf"^  {number}\. ", told, re.MULTILINE), number
        for clause in {clause for step in decision.steps for clause in step.clauses}:
            known = document.clauses[clause]
            assert f"[{known.document} {known.article}]" in told
            assert told.count(f"“{known.words}”") == 1


def numbers_of(decision: Decision) -> set[str]:
    """Every number that the steps hold, as it may be written."""
    numbers: set[str] = set()

    def add(value: object) -> None:
        if isinstance(value, tuple):
            for part in value:
                add(part)
        elif isinstance(value, bool | str):
            numbers.update(re.findall(r"[0-9.]+", str(value)))
        elif isinstance(value, int):
            numbers.add(yuan(value))
        elif isinstance(value, Fraction):
            exact = Decimal(value.numerator) / Decimal(value.denominator)
            numbers.update({f"{exact.normalize():f}", f"{(exact * 100).normalize():f}"})

    for step in decision.steps:
        add(step.result)
        numbers.update(re.findall(r"[0-9]+", step.name))
        for name, value in step.inputs:
            add(value)
            numbers.update(re.findall(r"[0-9]+", name))
    return numbers


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reader", READERS)
def test_numbers_in_the_words_are_those_of_the_steps(
    result: CaseResult, document: PackDocument, reader: Reader, language: Language
) -> None:
    for _, decision in result.bills:
        text = "\n".join(
            told.text for block in explain_decision(decision, document, reader, language) for told in block.told
        )
        text = re.sub(r"^[0-9]+\. ", "", text, flags=re.MULTILINE)
        said = {number.replace(",", "").rstrip(".") for number in re.findall(r"[0-9][0-9,.]*", text)}
        # "not below 0" is no number of the bill.
        assert said - {"0"} <= numbers_of(decision), said - numbers_of(decision)
        assert yuan(decision.cash_fen) in said


def test_the_patient_is_told_each_part_and_who_pays(result: CaseResult, document: PackDocument) -> None:
    told = words(result.bills[1][1], document, "patient", "zh")
    assert "您的费用共10,600.00元。" in told
    assert "统筹基金：起付线内的600.00元由您负担。" in told
    assert "统筹基金对10,000.00元按90%支付，即9,000.00元。" in told
    assert "统筹基金受最高支付限额所限，实际支付2,089.96元。" in told
    assert "您还需现金支付2,182.01元。" in told
    assert "依据: 样政〔2025〕1号 第五条" in told


def test_who_pays_later_and_what_is_paid_out(tmp_path: Path) -> None:
    document = sample.document(tmp_path, sample.PACKAGE)
    (_, cheap), (_, dear), _ = run_case(Policy(document), sample.case(tmp_path, sample.BIRTHS)).bills
    assert "生育包干：定额结余1,000.00元。" in words(cheap, document, "patient", "zh")
    told = words(dear, document, "patient", "zh")
    assert "补充保险事后由商保公司支付500.00元。" in told
    assert "其中500.00元事后支付给您。" in told
    assert "Supplement pays 500.00 yuan later, through 商保公司." in words(dear, document, "patient", "en")
    assert "家庭共济账户支付250.00元。" in told


def test_a_zero_says_why(document: PackDocument, tmp_path: Path) -> None:
    cases = {
        "amount: 10600.00": ("amount: 500.00", "费用没有超过起付线"),
        "accounts: {own: 500}": ('history: {"basic-fund@2025": 20000}', "最高支付限额已用完"),
        "marks: [低保]": ("marks: []", "医疗救助不适用于这张账单，没有支付。"),
    }
    for before, (after, why) in cases.items():
        case = sample.case(tmp_path, sample.CASE.replace(before, after))
        result = run_case(Policy(document), case)
        assert why in words(result.bills[1][1], document, "patient", "zh"), why
    zero = words(result.bills[0][1], document, "officer", "en")
    assert "Large sums pays nothing: there is no expense for it to look at." in zero


@pytest.mark.parametrize("reader", READERS)
def test_a_refusal_says_why(document: PackDocument, tmp_path: Path, reader: Reader) -> None:
    case = sample.case(tmp_path, sample.CASE.replace("level: 三级, liability: 无", "level: 三级, liability: 工伤"))
    result = run_case(Policy(document), case)
    decision = result.bills[0][1]
    assert decision.not_paid is not None
    told = words(decision, document, reader, "zh")
    assert "不予支付：应由工伤保险支付（policy.refused）。" in told
    assert "样政〔2025〕1号 第九条" in told


def test_what_cannot_be_decided_says_why(document: PackDocument, tmp_path: Path) -> None:
    result = run_case(Policy(document), sample.case(tmp_path, sample.CASE.replace("class: 丙", "class: 丁")))
    told = case_text(result, document, "patient", "en")
    assert "Cannot be decided: no item rule of the pack fits line 3 (policy.no-item-rule)." in told


def test_a_calculation_is_explained(result: CaseResult, document: PackDocument) -> None:
    blocks = explain_answer(result.answers[0][1], document, "officer", "zh")
    assert "月平均工资：6000元" in text_of_blocks(blocks, document, "officer", "zh")


def test_the_record_gives_the_same_fen_when_computed_again(result: CaseResult, document: PackDocument) -> None:
    for made in json.loads(json.dumps(case_machine(result, document)))["bills"]:
        decision = dict(result.bills)[made["id"]]
        steps = record.steps_of(made["steps"])
        assert steps == decision.steps
        results = recompute(steps)
        assert results["cash"] == decision.cash_fen
        assert results["fund"] == decision.fund_fen
        assert record.unpacked(record.packed(decision.steps)) == decision.steps


def test_a_changed_record_is_noticed(result: CaseResult) -> None:
    written = record.machine(result.bills[0][1].steps)
    share = next(step for step in written if step["name"] == "basic.share")
    share["result"] += 1
    with pytest.raises(WorkingError, match=r"basic\.share"):
        recompute(record.steps_of(written))


@pytest.mark.parametrize("text", ["", "[1]", '[["sum", "a"]]', '[["sum", "a", [["b", {"number": "1/0"}]], 1, []]]'])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        record.unpacked(text)


class Tags(HTMLParser):
    """Collects the tags of a page and what is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.mark.parametrize("reader", READERS)
def test_a_page_escapes_everything_and_stands_alone(tmp_path: Path, reader: Reader) -> None:
    evil = "<script>alert('x')</script>"
    pack = sample.PACK.replace("Sample city, employees", evil).replace("en: Basic pool", f'en: "{evil}"')
    case = sample.CASE.replace("id: two-stays", f'id: "{evil}"\ntitle: "{evil}"')
    document = sample.document(tmp_path, pack)
    result = run_case(Policy(document), sample.case(tmp_path, case))
    html = page.cases_page([result], document, reader, "en")
    parser = Tags()
    parser.feed(html)
    assert "script" not in parser.tags
    assert "b" not in parser.tags, "the clause's words hold <b>"
    assert parser.links == []
    assert "&lt;script&gt;" in html
    assert '<html lang="en">' in html
    assert "17,910.04 yuan" in html
