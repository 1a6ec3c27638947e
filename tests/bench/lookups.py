"""Look-ups by bill among millions of them, over years: how they change while the books grow.

Bills are written year by year into their partitions, as many in each; after each year bills of all years are asked for
at random, as `GET /v1/bills/{settlement_id}` and `GET /v1/cases/{case_id}/bills` ask the database.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import Any

import asyncpg
from ulid import ULID

from services.settlement.store.books import BILL_BY_ID, BILLS_OF_CASE
from tests.bench.rows import connect, written
from tests.bench.settle import Figures, Say

YEARS = 5
CASES_A_YEAR = 2_000
ASKED = 1_000
FACILITY, CARE, HOME = "H41160399998", "411603", "411681"
_BEGUN = f"""
    INSERT INTO facility VALUES ('{FACILITY}', '淮阳区人民医院', 'hospital', '3', '{CARE}', 1) ON CONFLICT DO NOTHING
"""
_MONTHS = f"INSERT INTO facility_month VALUES ('{FACILITY}', $1::text, false)"
_CASE = f"""
    INSERT INTO settlement_case (case_id, facility_code, period, care_region, home_region, clearing_region, chain,
        state, opened_at)
    SELECT 'case-' || $1::int || '-' || n, '{FACILITY}', $1::int || '-06', '{CARE}', 'home-' || n, '411600',
        ARRAY['{CARE}', '411600', 'home-' || n], 'open', now() FROM generate_series(0, {CASES_A_YEAR} - 1) AS n
"""
_BILLS = f"""
    INSERT INTO bill (settlement_id, case_id, visit_id, person_id, facility_code, facility_settlement_no, care_region,
        home_region, insutype, med_type, clr_type, refund, reverses_settlement_id, settled_at, settled_period, period,
        total_fen, fund_fen, account_fen, cash_fen, hospital_fen, payable_fen, traceparent, booked_at)
    SELECT $5 || lpad(n::text, 18, '0'), 'case-' || $1::int || '-' || n % {CASES_A_YEAR},
        '01KVISIT' || lpad(n::text, 18, '0'), '01KPERSON' || lpad((n % 50000)::text, 17, '0'), '{FACILITY}',
        '{FACILITY}-' || n, '{CARE}', 'home-' || n % {CASES_A_YEAR}, '390', '11', '11', false, NULL, $2,
        $1::int || '-06', $1::int || '-06', 10000, 6000, 1000, 3000, 0, 7000, NULL, now()
    FROM generate_series($3::int, $4::int) AS n
"""


def _middle(year: int) -> datetime:
    return datetime(year, 6, 15, tzinfo=UTC)


def _prefix(year: int) -> str:
    """What the ids of some hours of a year begin with."""
    return str(ULID.from_datetime(_middle(year)))[:8]


async def measure(owner_url: str, say: Say, bills: int) -> Figures:
    """Median and 99th of a hundred of both look-ups after the first year and after the last."""
    connection = await connect(owner_url)
    first_year = datetime.now(UTC).year
    years = range(first_year, first_year + YEARS)
    figures: Figures = {"lookup_bills": bills}
    try:
        await connection.execute(_BEGUN)
        await connection.execute("SELECT make_years($1)", years[-1])
        for year in years:
            say(f"{bills // YEARS:,} bills of {year}")
            await _begin(connection, year)
            await written(owner_url, _BILLS, bills // YEARS, partial(_arguments, year))
            await connection.execute(f"VACUUM ANALYZE settlement_parts.bill_{year}", timeout=600)
            if year in (years[0], years[-1]):
                when = "first" if year == years[0] else "last"
                figures |= await _asked(connection, range(first_year, year + 1), bills // YEARS, when)
    finally:
        await connection.close()
    return figures


def _arguments(year: int, first: int, last: int) -> tuple[object, ...]:
    return year, _middle(year), first, last, _prefix(year)


async def _begin(connection: asyncpg.Connection[Any], year: int) -> None:
    await connection.execute(_MONTHS, f"{year}-06")
    await connection.execute(_CASE, year)


async def _asked(connection: asyncpg.Connection[Any], years: Sequence[int], bills: int, when: str) -> Figures:
    dice = random.Random(7)
    ids = [f"{_prefix(dice.choice(years))}{dice.randint(1, bills):018d}" for _ in range(ASKED)]
    cases = [f"case-{dice.choice(years)}-{dice.randrange(CASES_A_YEAR)}" for _ in range(ASKED)]
    by_id = await _timed(connection, BILL_BY_ID, [(settlement_id,) for settlement_id in ids])
    of_case = await _timed(connection, BILLS_OF_CASE, [(case_id, "", 50) for case_id in cases])
    return {
        f"bill_p50_ms_{when}": _at(by_id, 0.5),
        f"bill_p99_ms_{when}": _at(by_id, 0.99),
        f"case_p50_ms_{when}": _at(of_case, 0.5),
        f"case_p99_ms_{when}": _at(of_case, 0.99),
    }


async def _timed(connection: asyncpg.Connection[Any], query: str, asked: Sequence[Sequence[object]]) -> list[float]:
    """Milliseconds of each, in order of size. Raises RuntimeError when nothing was found."""
    took = []
    for arguments in asked:
        started = perf_counter()
        found = await connection.fetch(query, *arguments)
        took.append((perf_counter() - started) * 1000)
        if not found:
            raise RuntimeError(f"nothing found: {arguments}")
    return sorted(took)


def _at(took: Sequence[float], share: float) -> float:
    return round(took[int(len(took) * share)], 3)
