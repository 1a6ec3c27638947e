"""Working days against the published holidays, and beyond them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.workdays import DueDate, WorkCalendar, month_bounds, month_of, shanghai_day

CALENDAR = WorkCalendar()
published_days = st.dates(date(2004, 1, 1), date(2026, 12, 31))
days = st.dates()
overrides = st.dictionaries(st.dates(date(2024, 1, 1), date(2030, 12, 31)), st.booleans(), max_size=20)


def _walk(calendar: WorkCalendar, start: date, working_days: int) -> date:
    """The slow way: day by day."""
    day = start
    while working_days:
        day += timedelta(days=1)
        working_days -= calendar.is_working(day)
    return day


@pytest.mark.parametrize(
    ("day", "working"),
    [
        ("2026-02-13", True),  # Friday before the Spring Festival
        ("2026-02-14", True),  # Saturday, made up for
        ("2026-02-16", False),  # New Year's Eve, a Monday
        ("2026-02-23", False),  # last day of the holiday, a Monday
        ("2026-02-28", True),  # Saturday, made up for
        ("2026-03-01", False),  # a plain Sunday
        ("2025-10-08", False),  # a Wednesday of National Day and Mid-Autumn
        ("2025-10-11", True),  # Saturday, made up for
        ("2025-11-24", True),  # a plain Monday
    ],
)
def test_published_days(day: str, working: bool) -> None:
    assert CALENDAR.is_working(date.fromisoformat(day)) is working
    assert CALENDAR.is_known(date.fromisoformat(day))


@pytest.mark.parametrize(
    ("start", "working_days", "due", "provisional"),
    [
        ("2026-03-02", 1, "2026-03-03", False),
        ("2026-03-06", 1, "2026-03-09", False),
        ("2026-03-02", 15, "2026-03-23", False),
        ("2026-02-12", 3, "2026-02-24", False),  # Friday, made-up Saturday, then nine days of holiday
        ("2026-02-15", 0, "2026-02-24", False),  # at once, asked on a day of holiday
        ("2026-02-14", 0, "2026-02-14", False),  # at once, asked on a made-up Saturday
        ("2025-09-26", 10, "2025-10-16", False),
        ("2026-12-31", 1, "2027-01-01", True),  # surely a holiday; nobody has published it
        ("2026-12-30", 1, "2026-12-31", False),
        ("2026-12-25", 10, "2027-01-08", True),
        ("2003-12-30", 2, "2004-01-02", True),
        ("2003-12-31", 1, "2004-01-02", False),  # the first day is not counted, so it need not be known
        ("2027-06-01", 0, "2027-06-01", True),
    ],
)
def test_due_dates_an_officer_can_check(start: str, working_days: int, due: str, provisional: bool) -> None:
    expected = DueDate(date.fromisoformat(due), provisional)
    assert CALENDAR.add(date.fromisoformat(start), working_days) == expected


@given(published_days, st.integers(0, 60), overrides)
def test_a_due_date_is_the_one_found_by_walking(start: date, working_days: int, changed: dict[date, bool]) -> None:
    calendar = WorkCalendar(changed)
    due = calendar.add(start, working_days)
    assert calendar.is_working(due.day)
    if working_days:
        assert due.day == _walk(calendar, start, working_days)
        assert calendar.between(start, due.day) == working_days
        passed = [start + timedelta(days=n) for n in range(1, (due.day - start).days + 1)]
        assert due.provisional is not all(map(calendar.is_known, passed))


@given(days, days, days)
def test_counts_add_up(first: date, second: date, third: date) -> None:
    assert CALENDAR.between(first, second) + CALENDAR.between(second, third) == CALENDAR.between(first, third)
    assert CALENDAR.between(first, second) == -CALENDAR.between(second, first)


@given(days)
def test_a_day_counts_when_it_is_worked(day: date) -> None:
    if day > date.min:
        assert CALENDAR.between(day - timedelta(days=1), day) == CALENDAR.is_working(day)


@given(days, st.integers(0, 10**9))
def test_no_date_is_an_error(start: date, working_days: int) -> None:
    due = CALENDAR.add(start, working_days)
    assert due.day >= start
    assert due.provisional or due.day.year <= 2026


def test_the_last_day_there_is() -> None:
    assert CALENDAR.add(date.max, 0) == DueDate(date.max, provisional=True)
    assert CALENDAR.add(date.max, 15) == DueDate(date.max, provisional=True)
    assert CALENDAR.add(date(2026, 3, 2), 10**12) == DueDate(date.max, provisional=True)
    assert CALENDAR.add_days(date.max, 10**12) == DueDate(date.max, provisional=True)
    assert CALENDAR.between(date.min, date.max) > 2_000_000


@pytest.mark.parametrize(
    ("start", "calendar_days", "due"),
    [
        ("2026-03-02", 3, "2026-03-05"),
        ("2026-03-04", 3, "2026-03-09"),  # a Saturday moves to Monday
        ("2026-02-12", 3, "2026-02-24"),  # into the holiday moves behind it
        ("2026-02-11", 3, "2026-02-14"),  # a made-up Saturday stays
    ],
)
def test_calendar_days_end_on_a_working_day(start: str, calendar_days: int, due: str) -> None:
    assert CALENDAR.add_days(date.fromisoformat(start), calendar_days).day == date.fromisoformat(due)


@given(st.dates(date(2026, 12, 1), date(2030, 12, 31)))
def test_beyond_the_published_years_weekdays_count(day: date) -> None:
    if day.year > 2026:
        assert not CALENDAR.is_known(day)
        assert CALENDAR.is_working(day) is (day.weekday() < 5)


def test_overrides_win_and_make_a_day_known() -> None:
    new_year, spring = date(2027, 1, 1), date(2026, 2, 14)
    calendar = WorkCalendar({new_year: False, spring: False})
    assert calendar.is_known(new_year)
    assert not calendar.is_working(new_year)
    assert not calendar.is_working(spring)
    assert not calendar.is_known(date(2027, 1, 4))
    assert calendar.add(date(2026, 12, 31), 1) == DueDate(date(2027, 1, 4), provisional=True)
    weekend = {date(2027, 1, day): day == 4 for day in range(1, 5)}
    assert WorkCalendar(weekend).add(date(2026, 12, 31), 1) == DueDate(date(2027, 1, 4), provisional=False)


def test_a_deadline_moved_off_an_unknown_day_is_provisional() -> None:
    saturday, monday = date(2027, 6, 5), date(2027, 6, 7)
    calendar = WorkCalendar({date(2027, 6, 6): False, monday: True})
    assert calendar.add(saturday, 0) == DueDate(monday, provisional=True)


def test_a_year_published_later_is_exact() -> None:
    calendar = WorkCalendar({date(2027, 1, 1): False}, published_years=[2027])
    assert calendar.add(date(2026, 12, 31), 1) == DueDate(date(2027, 1, 4), provisional=False)


def test_a_calendar_keeps_its_overrides() -> None:
    given_overrides = {date(2027, 1, 1): False}
    calendar = WorkCalendar(given_overrides)
    given_overrides.clear()
    assert calendar.is_known(date(2027, 1, 1))


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        CALENDAR.add(date(2026, 3, 2), -1)
    with pytest.raises(ValueError, match="negative"):
        CALENDAR.add_days(date(2026, 3, 2), -1)
    for ask in (CALENDAR.is_working, CALENDAR.is_known, lambda moment: CALENDAR.add(moment, 1)):
        with pytest.raises(TypeError, match="shanghai_day"):
            ask(datetime(2026, 3, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 2, 28, 15, 59, 59, tzinfo=UTC), date(2026, 2, 28)),
        (datetime(2026, 2, 28, 16, 0, 0, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2025, 12, 31, 16, 0, 0, tzinfo=UTC), date(2026, 1, 1)),
        (datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=9))), date(2025, 12, 31)),
        (datetime(9999, 12, 31, 23, 59, tzinfo=UTC), date(9999, 12, 31)),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), date(1, 1, 1)),
    ],
)
def test_the_day_is_shanghais(moment: datetime, day: date) -> None:
    assert shanghai_day(moment) == day


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        shanghai_day(datetime(2026, 3, 2))  # noqa: DTZ001 - the refused thing


@given(days)
def test_a_day_lies_within_its_month(day: date) -> None:
    first, last = month_bounds(month_of(day))
    assert first <= day <= last
    assert first.day == 1
    assert last == date.max or (last + timedelta(days=1)).day == 1


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-00", "2026-1", "202601", "2026-01-01", "0000-01", "２０２６-01", " 2026-01", ""]
)
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(ValueError, match="not a month"):
        month_bounds(month)
