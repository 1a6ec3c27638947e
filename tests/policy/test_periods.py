"""Periods and counters: what a limit runs over, and what its counter is called."""

from __future__ import annotations

from datetime import date

import pytest

from shared.policy.document import Period
from shared.policy.periods import admissions_key, benefit_year, counted_key, counter_key, period_of
from tests.policy.small import bill


@pytest.mark.parametrize(
    ("begins", "day", "year"),
    [
        ("01-01", date(2025, 1, 1), 2025),
        ("01-01", date(2025, 12, 31), 2025),
        ("07-01", date(2025, 6, 30), 2024),
        ("07-01", date(2025, 7, 1), 2025),
        ("07-01", date(2025, 12, 31), 2025),
        ("07-01", date(2026, 1, 1), 2025),
        ("07-15", date(2025, 7, 14), 2024),
        ("07-15", date(2025, 7, 15), 2025),
        ("07-15", date(2025, 8, 1), 2025),
        ("07-15", date(2025, 6, 20), 2024),
        ("01-02", date(2025, 1, 1), 2024),
    ],
)
def test_the_benefit_year_carries_the_number_of_the_year_it_begins_in(begins: str, day: date, year: int) -> None:
    assert benefit_year(day, begins) == year


@pytest.mark.parametrize(
    ("per", "period"),
    [
        ("visit", ""),
        ("episode", "episode:E1"),
        ("day", "2025-03-08"),
        ("month", "2025-03"),
        ("quarter", "2025-Q1"),
        ("year", "2024"),
        ("facility_year", "2024/H7"),
        ("lifetime", "lifetime"),
    ],
)
def test_period(per: Period, period: str) -> None:
    assert period_of(per, date(2025, 3, 8), "07-01", bill(1, facility="H7", episode="E1")) == period


def test_an_episode_without_a_name_does_not_outlive_its_bill() -> None:
    assert period_of("episode", date(2025, 3, 8), "01-01", bill(1)) == ""


@pytest.mark.parametrize(("month", "quarter"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3), (9, 3), (10, 4), (12, 4)])
def test_quarters_and_months_are_those_of_the_calendar(month: int, quarter: int) -> None:
    day = date(2025, month, 1)
    assert period_of("quarter", day, "07-01", bill(1)) == f"2025-Q{quarter}"
    assert period_of("month", day, "07-01", bill(1)) == f"2025-{month:02d}"


def test_names_of_counters() -> None:
    assert counter_key("basic-fund", "2025") == "basic-fund@2025"
    assert counter_key("chronic-fund", "2025-03", [("disease", "癫痫")]) == "chronic-fund@2025-03;disease=癫痫"
    assert counter_key("x", "2025", [("a", 1), ("b", frozenset({"z", "y"}))]) == "x@2025;a=1;b=y+z"
    assert admissions_key(date(2025, 3, 8), "07-01") == "admissions@2024"
    assert counted_key("E1") == "admissions-of@episode:E1"
