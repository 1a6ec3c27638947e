"""Cases: yuan become fen, bills carry counters and accounts, what cannot be decided is told."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from shared.money import AmountOutOfRange
from shared.policy.answers import case_json
from shared.policy.case import CaseResult, bill_of, facts_of, fen_of, run_case
from shared.policy.document import Case, CaseBill, CaseLine
from shared.policy.engine import Policy
from shared.policy.explain import case_text
from tests.policy import sample, small


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return Policy(sample.document(tmp_path))


@pytest.fixture
def result(policy: Policy, tmp_path: Path) -> CaseResult:
    return run_case(policy, sample.case(tmp_path))


def test_bills_in_a_row_come_out_to_the_fen(result: CaseResult) -> None:
    (_, first), (_, second) = result.bills
    assert [layer.fund_fen for layer in first.layers] == [1_791_004, 0, 149_500]
    assert [layer.fund_fen for layer in second.layers] == [208_996, 414_602, 218_201]
    assert (first.person_fen, second.person_fen) == (189_501, 218_201)
    assert result.ok


def test_counters_run_from_bill_to_bill(result: CaseResult) -> None:
    assert result.counters_before == {}
    (_, after_first), (before_second, after_second) = result.counters
    assert after_first == before_second
    assert (after_first["basic-fund@2025"], after_second["basic-fund@2025"]) == (1_791_004, 2_000_000)
    assert after_second["admissions@2025"] == 2
    assert result.counters_after == after_second


def test_the_account_is_used_up(result: CaseResult) -> None:
    """The second bill finds nothing left of the 500 yuan."""
    assert [decision.account_fen for _, decision in result.bills] == [50_000, 0]


def test_the_own_balance_is_used_first_then_the_familys(tmp_path: Path) -> None:
    """1,000 yuan to pay: 100 own, 250 of the family; then nothing is left of either."""
    policy = Policy(sample.document(tmp_path, sample.PACKAGE))
    result = run_case(policy, sample.case(tmp_path, sample.BIRTHS))
    paid = [(decision.account_fen, decision.family_fen, decision.cash_fen) for _, decision in result.bills]
    assert paid == [(0, 0, 0), (10_000, 25_000, 65_000), (0, 0, 30_000)]


def test_history_and_repeat(policy: Policy, tmp_path: Path) -> None:
    text = (
        sample.CASE.replace("accounts: {own: 500}", 'history: {"basic-fund@2025": 19000.50, "admissions@2025": 3}')
        .replace("  - id: first\n", "  - id: first\n    repeat: 3\n")
        .replace("first.basic.fund, is: 17910.04", "first_1.basic.fund, is: 999.50")
        .replace("is: 31900.05", "is: 74500.15")
    )
    result = run_case(policy, sample.case(tmp_path, text))
    assert [bill for bill, _ in result.bills] == ["first_1", "first_2", "first_3", "second"]
    assert result.counters_after["admissions@2025"] == 7
    assert result.ok, [expected for expected in result.expectations if not expected.ok]


REVERSED = sample.CASE.replace("  - id: second\n", "  - {id: back, reverses: first}\n  - id: second\n")


def test_a_reversal_gives_back_what_a_bill_took(policy: Policy, result: CaseResult, tmp_path: Path) -> None:
    """The second bill is decided as if there had been no first one: its account and its caps are whole again."""
    back = run_case(policy, sample.case(tmp_path, REVERSED))
    alone = sample.CASE.partition("  - id: first\n")
    only = run_case(
        policy, sample.case(tmp_path, alone[0] + "  - id: second\n" + alone[2].partition("  - id: second\n")[2])
    )
    assert dict(back.bills)["second"] == dict(only.bills)["second"] != dict(result.bills)["second"]
    assert {name: used for name, used in back.counters_after.items() if used} == only.counters_after
    assert [bill for bill, _ in back.standing] == ["second"]
    assert back.reversals[0][:2] == ("back", "first")
    assert back.reversals[0][2]["admissions@2025"] == 1


def test_a_reversal_is_told(policy: Policy, tmp_path: Path) -> None:
    back = run_case(policy, sample.case(tmp_path, REVERSED))
    (told,) = case_json(back)["reversals"]
    assert (told["id"], told["reverses"]) == ("back", "first")
    assert told["counters"]["basic-fund@2025"] == {"before": "17910.04", "after": "0.00"}
    assert told["counters"]["admissions@2025"] == {"before": 1, "after": 0}
    text = case_text(back, policy.document, "patient", "en")
    assert "Reverses the bill first" in text


def test_sums_over_all_bills_leave_reversed_ones_out(policy: Policy, tmp_path: Path) -> None:
    text = REVERSED.partition("expect:")[0] + "expect: [{what: bills.fund - second.fund, is: 0}]\n"
    assert run_case(policy, sample.case(tmp_path, text)).ok


def test_what_was_not_decided_cannot_be_reversed(policy: Policy, tmp_path: Path) -> None:
    text = REVERSED.replace("level: 三级, liability: 无", "level: 三级").replace("class: 丙", "class: 丁")
    result = run_case(policy, sample.case(tmp_path, text))
    assert [(where, reason.code) for where, reason in result.refused] == [
        ("first", "policy.no-item-rule"),
        ("back", "policy.nothing-to-reverse"),
    ]
    assert result.counters_after["admissions@2025"] == 1


def test_a_repeated_bill_goes_by_its_last(policy: Policy, tmp_path: Path) -> None:
    text = sample.CASE.replace("  - id: first\n", "  - id: first\n    repeat: 2\n").replace(
        "is: 17910.04", "is: 2089.96"
    )
    result = run_case(policy, sample.case(tmp_path, text.replace("is: 31900.05", "is: 53200.10")))
    assert result.ok, result.expectations


@pytest.mark.parametrize(
    ("what", "got"),
    [
        ("fund", "8417.99"),
        ("second.parts.deductible", "600"),
        ("first.fund + second.fund", "27823.03"),
        ("bills.fund", "27823.03"),
        ("first.basic.ratio", "0.9"),
        ("leave.allowance / 98", "200"),
        ("first.nonsense", None),
        ("nobody.fund", None),
        ("fund / first.hospital", None),
    ],
)
def test_expectations_reach_every_quantity(policy: Policy, tmp_path: Path, what: str, got: str | None) -> None:
    text = sample.CASE.partition("expect:")[0] + f'expect: [{{what: "{what}", is: 0.5}}]\n'
    (expected,) = run_case(policy, sample.case(tmp_path, text)).expectations
    assert expected.got == (None if got is None else Fraction(got))
    assert not expected.ok
    assert bool(expected.why) == (got is None)


def test_what_cannot_be_decided_moves_nothing(policy: Policy, tmp_path: Path) -> None:
    text = sample.CASE.replace("level: 三级, liability: 无", "level: 三级")
    result = run_case(policy, sample.case(tmp_path, text.replace("class: 丙", "class: 丁")))
    assert not result.ok
    assert [(where, reason.code) for where, reason in result.refused] == [("first", "policy.no-item-rule")]
    assert [bill for bill, _ in result.bills] == ["second"]
    assert result.counters_after["admissions@2025"] == 1


@pytest.mark.parametrize(
    ("day", "decided"), [("2024-12-31", 0), ("2025-01-01", 1), ("2025-12-31", 1), ("2026-01-01", 0)]
)
def test_only_bills_of_days_on_which_the_pack_is_valid(policy: Policy, tmp_path: Path, day: str, decided: int) -> None:
    bills = sample.CASE.partition("bills:")[0] + sample.CASE.partition("second\n")[2].partition("questions")[0]
    head, _, bill = bills.partition("    facts: {care")
    case = sample.case(tmp_path, f"{head}bills:\n  - begins: {day}\n    facts: {{care{bill}")
    result = run_case(policy, case)
    assert len(result.bills) == decided
    assert [reason.code for _, reason in result.refused] == ["policy.not-in-force"] * (1 - decided)
    assert len(run_case(policy, case, any_day=True).bills) == 1


def test_amounts_are_whole_fen() -> None:
    assert fen_of(Decimal("1234.05")) == 123_405
    assert fen_of(Decimal("1.5E3")) == 150_000
    for wrong in ("0.005", "1e15", "-1e30"):
        with pytest.raises(AmountOutOfRange):
            fen_of(Decimal(wrong))


def test_several_words_are_a_set_also_when_one_is_written() -> None:
    facts = facts_of(
        {"marks": "低保", "tag": ["特药", "进口植入"], "level": "三级", "age": Decimal(61), "emergency": True}
    )
    assert facts == {
        "marks": frozenset({"低保"}),
        "tag": frozenset({"特药", "进口植入"}),
        "level": "三级",
        "age": 61,
        "emergency": True,
    }


def test_a_bill_as_the_engine_is_given_it(policy: Policy) -> None:
    line = CaseLine(amount=Decimal("100.10"), ceiling=Decimal("3.333"), own=Decimal(1), prepaid=Decimal("2.5"))
    written = CaseBill(lines=[line], begins=date(2025, 3, 1), paid={"basic": Decimal("9.99")}, facts={"level": "三级"})
    bill = bill_of(written, {"group": "在职"}, policy.document)
    assert (bill.begins_on, bill.ends_on) == (date(2025, 3, 1), date(2025, 3, 1))
    assert bill.facts == {"group": "在职", "level": "三级"}
    assert bill.paid_fen == {"basic": 999}
    (made,) = bill.lines
    assert (made.no, made.amount_fen, made.own_fen, made.prepay_fen) == ("1", 10_010, 100, 250)
    assert made.ceiling_fen == Decimal("333.3")
    undated = bill_of(CaseBill(lines=[line]), {}, policy.document)
    assert undated.begins_on == undated.ends_on == policy.document.valid.from_


def test_json_has_amounts_in_yuan_and_one_order(result: CaseResult) -> None:
    first = case_json(result)["bills"][0]
    assert first["total"] == "21300.05"
    assert first["parts"] == {
        "own": "300.00",
        "over_ceiling": "0.00",
        "prepay": "100.01",
        "deductible": "1000.00",
        "by_ratio": "495.00",
        "over_cap": "0.00",
    }
    assert first["layers"][0]["slices"] == [{"band": 1, "expense": "19900.04", "ratio": "0.9", "share": "17910.04"}]
    assert first["lines"][1]["prepay"] == "100.01"
    assert first["counters"]["admissions@2025"] == {"before": 0, "after": 1}
    assert first["counters"]["basic-fund@2025"] == {"before": "0.00", "after": "17910.04"}
    assert list(first)[:6] == ["id", "pack", "version", "benefit", "not_paid", "total"]
    assert case_json(result)["answers"][0]["results"] == {"allowance": "19600.00"}


def test_a_reversal_gives_both_accounts_their_money_back() -> None:
    """Of 100 yuan the own account pays 30 and the family's 40; once reversed, both pay the same again."""
    account = {"pays": ["by_ratio"], "family": True}
    half = small.policy(small.benefit(small.layer(ratio=0), account=account))
    visit = {"use_account": True, "lines": [{"amount": 100}]}
    bills = [{"id": "one", **visit}, {"id": "back", "reverses": "one"}, {"id": "two", **visit}]
    written = {"id": "twice", "accounts": {"own": 30, "family": 40}, "bills": bills}
    result = run_case(half, Case.model_validate(small.decimals(written)))
    paid = [(decision.account_fen, decision.family_fen) for _, decision in result.bills]
    assert paid == [(3000, 4000), (3000, 4000)]
