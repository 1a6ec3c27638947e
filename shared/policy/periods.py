"""Over what a limit runs: the name of a period, and of the counter that runs in it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from shared.policy.decision import Bill, Fact
from shared.policy.document import Period


def benefit_year(day: date, year_begins: str) -> int:
    """The benefit year (待遇年度) of a day: the number of the calendar year in which it begins."""
    if year_begins == "01-01":
        return day.year
    month, first = int(year_begins[:2]), int(year_begins[3:])
    return day.year if (day.month, day.day) >= (month, first) else day.year - 1


def period_of(per: Period, day: date, year_begins: str, bill: Bill) -> str:
    """The period's name: `2025`, `2025-Q1`, `2025-03`, `2025-03-08`, `lifetime`, `2025/H123`, `episode:E1`. Empty when
    nothing runs beyond the bill: a visit, or an episode that is not named."""
    match per:
        case "visit":
            return ""
        case "episode":
            return f"episode:{bill.episode}" if bill.episode else ""
        case "year":
            return str(benefit_year(day, year_begins))
        case "facility_year":
            return f"{benefit_year(day, year_begins)}/{bill.facility}"
        case "lifetime":
            return "lifetime"
        case _:
            return _calendar_period(per, day)


def _calendar_period(per: Period, day: date) -> str:
    match per:
        case "quarter":
            return f"{day.year}-Q{(day.month + 2) // 3}"
        case "month":
            return f"{day.year}-{day.month:02d}"
        case _:
            return day.isoformat()


def counter_key(counter: str, period: str, of: Iterable[tuple[str, Fact]] = ()) -> str:
    """The counter's name as decisions print it: `basic-fund@2025`, `chronic-fund@2025-03;disease=癫痫`."""
    return f"{counter}@{period}" + "".join([f";{fact}={_written(value)}" for fact, value in of])


def _written(value: Fact) -> str:
    return "+".join(sorted(value)) if isinstance(value, frozenset) else str(value)


def admissions_key(day: date, year_begins: str) -> str:
    """The count of the year's admissions."""
    return counter_key("admissions", str(benefit_year(day, year_begins)))


def counted_key(episode: str) -> str:
    """1 once the stay has been counted as an admission."""
    return counter_key("admissions-of", f"episode:{episode}")
