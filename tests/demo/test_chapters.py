"""What the play checks with: each check is seen to fail."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from deploy.demo import __main__ as command
from deploy.demo.chapters.month import wrong_amounts, wrong_reversal
from deploy.demo.chapters.proof import positions
from deploy.demo.chapters.statements import CARELESS, StatedBill, body_of, plant
from deploy.demo.checks import Checks
from deploy.demo.clock import PlayClock
from deploy.demo.generator import Bill, World
from deploy.demo.scene import Accepted, Scene
from deploy.demo.stage import Stage
from services.settlement.rules.statements import DifferenceClass
from shared.clock import ShiftedClock
from shared.regions import RegionTree

REGIONS = RegionTree.load()
WORLD = World.generate(1, regions=REGIONS, people=300, bills=60)


def on_paper() -> tuple[Stage, io.StringIO]:
    """A stage whose audience is a pipe."""
    paper = io.StringIO()
    return Stage(Console(file=paper, width=200)), paper


def answer(bill: Bill) -> dict[str, Any]:
    """A right answer to a bill of which the fund pays nothing."""
    own_fen = sum(line.amount_fen for line in bill.lines if line.item.item_class == "03")
    b_fen = [line.amount_fen for line in bill.lines if line.item.item_class == "02"]
    prepay_fen = sum((abs(fen) + 5) // 10 * (1 if fen > 0 else -1) for fen in b_fen)
    in_scope_fen = bill.total_fen - own_fen - prepay_fen
    return {
        "facility_settlement_no": bill.settlement_no,
        "total_fen": bill.total_fen,
        "fund_fen": 0,
        "person_fen": bill.total_fen,
        "account_fen": 0,
        "cash_fen": bill.total_fen,
        "hospital_fen": 0,
        "own_fen": own_fen,
        "prepay_fen": prepay_fen,
        "in_scope_fen": in_scope_fen,
        "deductible_fen": in_scope_fen,
        "by_ratio_fen": 0,
        "over_cap_fen": 0,
    }


@pytest.mark.parametrize("bill", WORLD.bills[:20], ids=lambda bill: bill.settlement_no)
def test_any_amount_that_is_a_fen_off_is_noticed(bill: Bill) -> None:
    right = answer(bill)
    assert wrong_amounts(bill, right) == []
    for name in right.keys() - {"facility_settlement_no"}:
        assert wrong_amounts(bill, {**right, name: right[name] + 1}), name


def test_a_reversal_that_is_a_fen_off_is_noticed() -> None:
    original = answer(WORLD.story.bill)
    reversal = {**{name: -fen for name, fen in original.items() if name.endswith("_fen")}, "facility_settlement_no": ""}
    assert wrong_reversal(original, reversal) == []
    assert wrong_reversal(original, {**reversal, "fund_fen": -1})


def stated(number: int, *, refund: bool = False) -> StatedBill:
    """One bill of a statement."""
    sign = -1 if refund else 1
    amounts = (1000 * sign, 600 * sign, 0)
    return StatedBill("411628", "390", "21", f"JS-{number}", f"S{number}", refund, *amounts, "2026-10-12")


def test_a_statement_sums_its_bills_by_group() -> None:
    body = body_of("2026-10", [stated(1), stated(2), stated(3, refund=True)])
    totals = cast(list[dict[str, Any]], body["totals"])
    assert [(t["refund"], t["bill_count"], t["total_fen"], t["fund_fen"]) for t in totals] == [
        (False, 2, 2000, 1200),
        (True, 1, -1000, -600),
    ]


@pytest.mark.parametrize("facility_code", CARELESS)
def test_a_careless_facility_states_bills_wrongly(facility_code: str) -> None:
    bills = [stated(number) for number in range(5)] + [stated(9, refund=True)]
    wrong, mistakes = plant(facility_code, bills, "2026-10")
    assert tuple(mistake.difference_class for mistake in mistakes) == CARELESS[facility_code]
    differing = {bill.facility_settlement_no for bill in set(wrong) ^ set(bills)}
    assert differing <= {number for mistake in mistakes for number in mistake.numbers}
    assert sum(bill.fund_fen for bill in wrong) != sum(bill.fund_fen for bill in bills)
    assert plant("H00000000000", bills, "2026-10") == (bills, [])


def test_every_class_of_difference_is_planted_once() -> None:
    planted = [difference_class for classes in CARELESS.values() for difference_class in classes]
    assert sorted(planted) == sorted({*DifferenceClass} - {DifferenceClass.AGREED})


def test_every_party_of_the_chain_owes_the_one_before_it() -> None:
    bill = WORLD.story.bill
    view = {"care_region": "411603", "home_region": "411628", "fund_fen": 70, "account_fen": 30}
    scene = cast(Scene, SimpleNamespace(regions=REGIONS))
    found = positions(scene, [Accepted(bill, view), Accepted(bill, {**view, "home_region": "411603"})])
    sums = {party: (p.owed_fen, p.owing_fen, p.borne_fen) for party, p in found.items()}
    assert sums == {
        bill.facility_code: (200, 0, 0),
        "411603": (100, 200, 100),
        "411600": (100, 100, 0),
        "411628": (0, 100, 100),
    }


def test_a_failed_check_says_expected_and_found() -> None:
    stage, paper = on_paper()
    checks = Checks(stage)
    assert checks.equal("one is one", 1, 1)
    assert not checks.equal("one is two", 1, 2)
    assert not checks.none("nothing is wrong", ["a", "b", "c", "d"])
    assert not checks.holds("it holds", False, "nothing")
    assert checks.made == 4
    assert checks.failures == [
        "one is two: expected 2, found 1",
        "nothing is wrong: expected nothing wrong, found 4: a; b; c …",
        "it holds: found nothing",
    ]
    assert paper.getvalue().splitlines()[:2] == ["✓ one is one", "✗ one is two: expected 2, found 1"]


@pytest.mark.parametrize(("failures", "code"), [([], 0), (["something"], 1)])
def test_exit_code_is_0_only_when_every_check_held(
    monkeypatch: pytest.MonkeyPatch, failures: list[str], code: int
) -> None:
    async def play(*_: object) -> list[str]:
        return failures

    monkeypatch.setattr(command, "play", play)
    assert command.main([], {}) == code


def test_without_a_clock_to_move_there_is_no_play(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SIFANG_CLOCK_FILE", raising=False)
    assert command.main([], {}) == 2
    assert "make demo" in capsys.readouterr().out


async def test_the_clock_moves_everybody_and_never_back(tmp_path: Path) -> None:
    clock, others = PlayClock(tmp_path / "clock"), ShiftedClock(tmp_path / "clock")
    await clock.move_to(date(2026, 10, 9), time_of_day(9))
    nine_in_shanghai = datetime(2026, 10, 9, 1, tzinfo=UTC)
    assert nine_in_shanghai <= others() < nine_in_shanghai + timedelta(seconds=10)
    assert abs(others() - clock.now()) < timedelta(seconds=1)
    with pytest.raises(ValueError, match="does not go back"):
        await clock.move_to(date(2026, 10, 8), time_of_day(9))


def test_a_table_in_a_pipe_is_aligned_whatever_the_script() -> None:
    stage, paper = on_paper()
    stage.table("Title", ("party", "yuan"), [("淮阳", "1.00"), ("a", "1234.00")], right=(1,))
    assert paper.getvalue().splitlines() == ["Title", "  party     yuan", "  淮阳      1.00", "  a      1234.00"]


def test_a_progress_in_a_pipe_is_one_line() -> None:
    stage, paper = on_paper()
    with stage.progress("bills", 3) as advance:
        for _ in range(3):
            advance()
    assert paper.getvalue().startswith("bills: 3 in ")
    assert paper.getvalue().count("\n") == 1
