"""The book of packs in force: which version decides a bill, and bills that lie in two years."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from shared.policy.book import Book
from shared.policy.decision import Bill, Decision
from shared.policy.engine import Policy, Undecidable
from shared.policy.working import WorkingError, recompute
from tests.policy.small import amounts, benefit, bill, checked, decide, layer, line, moved, parts_of, policy, step

OLD, NEW = date(2024, 12, 31), date(2025, 1, 1)
HOME = ("411602", "411600", "410000")


def version(number: str, begins: date, ends: date | None = None, *, ratio: float = 0.5, **parts: Any) -> Policy:
    return policy(benefit(layer(ratio=ratio)), version=number, valid={"from": begins, "to": ends}, **parts)


OLD_RULES = version("2024", date(2024, 1, 1), OLD, ratio=0.5)
NEW_RULES = version("2025", NEW, ratio=0.6)


def decided(book: Book, asked: Bill) -> Decision:
    return checked(book.decide(HOME, asked, {}))


def test_a_pack_by_its_name_and_a_day() -> None:
    book = Book([NEW_RULES, OLD_RULES])
    assert book.policy("small", OLD) is OLD_RULES
    assert book.policy("small", NEW) is NEW_RULES
    assert book.policy("small", date(2024, 1, 1)) is OLD_RULES
    assert book.policy("small", date(2023, 12, 31)) is None
    assert book.policy("other", NEW) is None


def test_old_bills_are_decided_by_old_versions() -> None:
    book = Book([OLD_RULES, NEW_RULES])
    old, new = decided(book, bill(100, ends=OLD)), decided(book, bill(100, ends=NEW))
    assert (old.version, old.fund_fen) == ("2024", 5000)
    assert (new.version, new.fund_fen) == ("2025", 6000)
    assert decided(book, bill(100, begins=OLD, ends=NEW)).version == "2025"


def test_the_version_that_begins_last_counts_and_then_the_highest_number() -> None:
    versions = [
        version("2", date(2024, 1, 1)),
        version("2025.9", NEW),
        version("2025.10", NEW),
        version("3", date(2024, 6, 1)),
    ]
    for order in (versions, versions[::-1]):
        book = Book(order)
        assert [
            found.document.version
            for day in (date(2024, 5, 1), date(2024, 6, 1), NEW)
            if (found := book.policy("small", day))
        ] == ["2", "3", "2025.10"]


def test_the_pack_of_the_nearest_division_decides() -> None:
    city = version("1", NEW, area="411600", ratio=0.5)
    province = version("1", date(2024, 1, 1), area="410000", pack="province", ratio=0.9)
    book = Book([province, city])
    assert book.for_area(HOME, NEW) is city
    assert book.for_area(HOME, OLD) is province
    assert book.for_area(HOME[2:], NEW) is province
    assert book.for_area(("990000",), NEW) is None
    assert book.for_area((), NEW) is None
    assert decided(book, bill(100, ends=NEW)).pack == "small"
    assert decided(book, bill(100, ends=OLD)).pack == "province"


def test_two_packs_of_one_division_are_not_chosen_between() -> None:
    book = Book([version("1", NEW, pack="one"), version("1", date(2024, 1, 1), pack="two")])
    found = book.for_area(HOME, OLD)
    assert found is not None
    assert found.document.pack == "two"
    for ask in (lambda: book.for_area(HOME, NEW), lambda: decided(book, bill(1, ends=NEW))):
        with pytest.raises(Undecidable) as refused:
            ask()
        assert refused.value.reason.code == "policy.two-rules"
        assert "one, two" in refused.value.reason.en


def test_no_pack_no_decision() -> None:
    for book in (Book([]), Book([NEW_RULES])):
        with pytest.raises(Undecidable) as refused:
            book.decide(HOME, bill(1, ends=OLD), {})
        assert refused.value.reason.code == "policy.no-pack"
        assert "2024-12-31" in refused.value.reason.zh


def test_a_bill_without_lines_has_its_version_too() -> None:
    assert decided(Book([OLD_RULES, NEW_RULES]), bill(ends=OLD)).version == "2024"


@pytest.mark.parametrize(
    ("decided_by", "used", "years"),
    [("discharge", "2025", ["2025"]), ("admission", "2024", ["2024"]), ("service", "2024+2025", ["2024", "2025"])],
)
def test_a_bill_over_new_year_by_each_packs_own_rule(decided_by: str, used: str, years: list[str]) -> None:
    rules = [
        policy(
            benefit(layer(ratio=0.5, caps=[{"amount": 1000}]), counts_admission=True),
            version=number,
            valid=valid,
            decided_by=decided_by,
        )
        for number, valid in (("2024", {"from": date(2024, 1, 1), "to": OLD}), ("2025", {"from": NEW}))
    ]
    asked = bill(line(100, "1", day=OLD), line(40, "2"), begins=OLD, ends=NEW)
    decision = checked(Book(rules).decide(HOME, asked, {}))
    assert decision.version == used
    assert {name for name in decision.changes if "fund" in name} == {f"basic-fund@{year}" for year in years}
    assert decision.fund_fen == 7000


def test_a_version_that_changes_how_days_count_leaves_no_bill_out() -> None:
    old = version("2024", date(2024, 1, 1), OLD, decided_by="admission")
    book = Book([old, version("2025", NEW, decided_by="discharge")])
    assert decided(book, bill(1, begins=OLD, ends=NEW)).version == "2025"
    assert decided(Book([old]), bill(1, begins=OLD, ends=NEW)).version == "2024"


def test_the_light_path_goes_through_the_book() -> None:
    book = Book([OLD_RULES, NEW_RULES])
    assert book.decide(HOME, bill(1), {}, record=False).steps == ()


# -------------------------------------------------------------------------------------- by day of service


def by_service(*layers: dict[str, Any], **parts: Any) -> Policy:
    rules = layers or (layer(ratio=0.5, deductible={"amount": 30, "per": "year"}, caps=[{"amount": 100}]),)
    return policy(benefit(*rules, account={"pays": ["by_ratio"], "family": True}, **parts), decided_by="service")


TWO_YEARS = (line(60, "1"), line(100, "2", day=OLD), line(20, "3", day=date(2024, 12, 30)), line(10, "4", day=NEW))
"""120 in 2024 and 70 in 2025."""


def test_each_years_lines_apart() -> None:
    decision = decide(by_service(), bill(*TWO_YEARS, ends=NEW, begins=date(2024, 12, 30)))
    assert [one.no for one in decision.lines] == ["3", "2", "1", "4"]
    assert [(one.basis_fen, one.deductible_fen, one.fund_fen) for one in decision.layers] == [
        (12000, 3000, 4500),
        (7000, 3000, 2000),
    ]
    assert (decision.total_fen, decision.fund_fen, decision.version) == (19000, 6500, "1")
    assert moved(decision) == {
        "basic-deductible@2024": 30,
        "basic-fund@2024": 45,
        "basic-deductible@2025": 30,
        "basic-fund@2025": 20,
    }
    assert parts_of(decision) == {"deductible": 60, "by_ratio": 65}
    assert amounts(decision, "total", "basic.fund", "2024|basic.fund", "2025|basic.fund", "cash") == [
        190,
        65,
        45,
        20,
        125,
    ]


def test_the_record_of_both_years_gives_the_decision_again() -> None:
    pack = by_service(
        layer(ratio=0.5), layer("more", basis="in_scope - paid", ratio=0.2), layer("last", basis="0.5 * person")
    )
    decision = decide(pack, bill(*TWO_YEARS, ends=NEW))
    told = recompute(decision.steps)
    assert (told["fund"], told["cash"], told["total"]) == (decision.fund_fen, decision.cash_fen, decision.total_fen)
    assert told["2024|total"] == 12000
    light = pack.decide(bill(*TWO_YEARS, ends=NEW), {}, record=False)
    assert light.steps == ()
    assert (light.changes, light.parts_fen, light.quantities) == (
        decision.changes,
        decision.parts_fen,
        decision.quantities,
    )


def test_lines_of_one_year_are_one_bill() -> None:
    decision = decide(by_service(), bill(line(100, "1", day=OLD), begins=OLD, ends=NEW))
    assert "basic-fund@2024" in decision.changes
    assert not any("|" in name for name in decision.quantities)


def test_the_steps_of_each_year_hang_together() -> None:
    decision = decide(by_service(), bill(*TWO_YEARS, ends=NEW))
    assert [name for name, _ in step(decision, "2024|basic.fund").inputs] == [
        "2024|basic.share",
        "2024|basic.cap1.room",
    ]
    assert [name for name, _ in step(decision, "basic.fund").inputs] == ["2024|basic.fund", "2025|basic.fund"]
    place = decision.steps.index(step(decision, "2024|basic.share"))
    wrong = decision.steps[place]._replace(inputs=(("2024|basic.eligible", 9000), (":ratio", 1)), result=9000)
    with pytest.raises(WorkingError):
        recompute([*decision.steps[:place], wrong, *decision.steps[place + 1 :]])


def test_the_last_day_of_service_is_the_day_of_the_bill() -> None:
    pack = by_service(layer(caps=[{"amount": 100, "per": "month"}]))
    asked = bill(line(1, "1", day=date(2025, 1, 31)), line(1, "2", day=date(2025, 2, 1)))
    assert moved(decide(pack, asked)) == {"basic-fund@2025-02": 2}


def test_the_account_pays_for_the_first_year_first() -> None:
    decision = decide(by_service(), bill(*TWO_YEARS, ends=NEW, account=50, family=9))
    assert (decision.account_fen, decision.family_fen, decision.cash_fen) == (5000, 900, 6600)
    assert decide(by_service(), bill(*TWO_YEARS, ends=NEW, account=40)).account_fen == 4000


def test_the_second_part_sees_what_the_first_used() -> None:
    pack = by_service(layer(ratio=0.5, caps=[{"amount": 70, "per": "lifetime"}]))
    decision = decide(pack, bill(*TWO_YEARS, ends=NEW), **{"basic-fund__lifetime": 5})
    assert [one.fund_fen for one in decision.layers] == [6000, 500]
    assert moved(decision) == {"basic-fund@lifetime": 65}


def test_what_was_paid_before_is_divided_by_the_lines() -> None:
    pack = by_service(layer("basic", pays="given"), layer("aid", basis="person"))
    decision = decide(pack, bill(line(200, "1", day=OLD), line(100, "2"), ends=NEW, paid={"basic": "10.01"}))
    assert [one.fund_fen for one in decision.layers if one.id == "basic"] == [667, 334]
    void = decide(
        pack, bill(line(10, "1", day=OLD), line(-10, "2", day=OLD), line(0, "3"), ends=NEW, paid={"basic": 0})
    )
    assert void.fund_fen == 0


def test_payouts_and_later_payments_of_both_years() -> None:
    pack = by_service(
        layer(fixed={"amount": 100, "surplus": "person", "deficit": "facility"}),
        layer("insurer", pays="later", basis="in_scope"),
    )
    decision = decide(pack, bill(*TWO_YEARS, ends=NEW))
    assert [one.amount_fen for one in decision.payouts] == [3000]
    assert (decision.fund_fen, decision.hospital_fen, decision.later_fen) == (17000, 2000, 0)


def test_a_refusal_of_all_years_is_a_refusal() -> None:
    pack = policy(
        benefit(id="no", refuses="不予支付", when={"if": "total < 100"}),
        benefit(layer(), id="yes", when={"if": "total >= 100"}),
        decided_by="service",
    )
    both = decide(pack, bill(line(1, "1", day=OLD), line(1, "2"), ends=NEW))
    assert both.not_paid is not None
    assert both.benefit == "no"
    first, second = (
        benefit(id=name, refuses=name, when={"if": f"total {sign} 5"}) for name, sign in (("low", "<"), ("high", ">"))
    )
    reasons = policy(first, second, decided_by="service")
    earlier = decide(reasons, bill(line(9, "1", day=OLD), line(1, "2"), ends=NEW)).not_paid
    assert earlier is not None
    assert earlier.en == "high"
    one = decide(pack, bill(line(1, "1", day=OLD), line(100, "2"), ends=NEW))
    assert (one.not_paid, one.benefit, one.fund_fen) == (None, "no+yes", 10000)


def test_a_ratio_of_two_years_has_no_sum() -> None:
    decision = decide(by_service(), bill(*TWO_YEARS, ends=NEW))
    assert "basic.ratio" not in decision.quantities
    assert decision.quantities["2024|basic.ratio"] == decision.quantities["2025|basic.ratio"]


def test_benefit_years_that_begin_in_july() -> None:
    pack = policy(benefit(layer(caps=[{"amount": 100}])), decided_by="service", year_begins="07-01")
    asked = bill(line(10, "1", day=date(2025, 6, 30)), line(20, "2"), ends=date(2025, 7, 1))
    assert moved(decide(pack, asked)) == {"basic-fund@2024": 10, "basic-fund@2025": 20}


def test_a_stay_over_two_years_is_one_admission_when_it_has_a_name() -> None:
    pack = by_service(counts_admission=True)
    named = checked(pack.decide(bill(*TWO_YEARS, ends=NEW, episode="E1"), {}))
    assert {name: count for name, count in named.changes.items() if "admissions" in name} == {
        "admissions@2024": 1,
        "admissions-of@episode:E1": 1,
    }


def test_counters_that_end_where_they_were_are_not_moved() -> None:
    items = [{"id": "x", "otherwise": True, "clause": "c", "limit": {"amount": 50, "per": "lifetime"}}]
    pack = policy(benefit(layer()), items=items, decided_by="service")
    decision = decide(pack, bill(line(30, "1", day=OLD), line(-30, "2"), ends=NEW))
    assert moved(decision) == {}
    assert (decision.in_scope_fen, decision.fund_fen) == (0, 3000)


@pytest.mark.parametrize(
    ("old_year", "new_year", "paid"),
    [(100, 50, [20, 10]), (100, 0, [30, 0]), (100, -50, [30, 0]), (-50, 100, [0, 30]), (0, 40, [0, 30])],
)
def test_what_was_paid_before_is_divided_by_what_the_years_come_to(
    old_year: float, new_year: float, paid: list[float]
) -> None:
    """A year that voids more than it has was paid nothing."""
    pack = policy(benefit(layer(pays="given")), decided_by="service")
    lines = (line(old_year, "1", day=date(2024, 12, 30)), line(new_year, "2", day=date(2025, 1, 2)))
    decision = pack.decide(bill(*lines, begins=date(2024, 12, 30), ends=date(2025, 1, 3), paid={"basic": 30}), {})
    assert [one.fund_fen / 100 for one in decision.layers] == paid
