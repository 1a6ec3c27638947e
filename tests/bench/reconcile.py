"""A hospital's month of a million bills: its file matched over HTTP, against COPY and a bare join, and then closed.

Bills are generated in the books as the consumer writes them, without their ledger, which neither a match nor a closing
looks at. The statement misses one of a thousand bills, states one of a thousand with another amount, and one that is
not booked.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import asyncpg
import httpx

from shared.events import new_id
from shared.keys import TokenMaker
from shared.regions import RegionTree
from tests.bench.closing import Case, Closing
from tests.bench.rows import connect, written
from tests.bench.settle import Figures, Say

FACILITY, CARE, HOME, MONTH = "H41160399999", "411603", "411681", "2025-03"
CASES = 40
"""Home regions a hospital's patients come from: its own county and city first, other provinces last."""

PIECE_BYTES = 1_000_000

_BOOKS = f"""
    INSERT INTO facility VALUES ('{FACILITY}', '淮阳区人民医院', 'hospital', '3', '{CARE}', 1) ON CONFLICT DO NOTHING;
    INSERT INTO facility_month VALUES ('{FACILITY}', '{MONTH}', false) ON CONFLICT DO NOTHING;
"""
_CASES = f"""
    INSERT INTO settlement_case (case_id, facility_code, period, care_region, home_region, clearing_region, chain,
        state, opened_at)
    SELECT c, '{FACILITY}', '{MONTH}', '{CARE}', home, clearing, string_to_array(chain, ' '), 'open', now()
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n(c, home, clearing, chain)
"""
# Numbers and amounts as they come in a month; ids rise with time, as real ones do.
_BILLS = f"""
    INSERT INTO bill (settlement_id, case_id, visit_id, person_id, facility_code, facility_settlement_no, care_region,
        home_region, insutype, med_type, clr_type, refund, reverses_settlement_id, settled_at, settled_period, period,
        total_fen, fund_fen, account_fen, cash_fen, hospital_fen, payable_fen, traceparent, booked_at)
    SELECT '01KBENCH' || lpad(n::text, 18, '0'), '01KCASE' || lpad((n % {CASES} + 1)::text, 19, '0'),
        '01KVISIT' || lpad(n::text, 18, '0'), '01KPERSON' || lpad((n % 50000)::text, 17, '0'), '{FACILITY}',
        '{FACILITY}-20250301-' || lpad(n::text, 7, '0'), '{CARE}', ($3::text[])[n % {CASES} + 1], '390', '11', '11',
        false, NULL, '2025-03-15T04:00:00Z', '{MONTH}', '{MONTH}', 10000 + n % 90000, 6000 + n % 50000, 1000,
        3000 + n % 90000 - n % 50000, 0, 7000 + n % 50000, NULL, now()
    FROM generate_series($1::int, $2::int) AS n
"""
_STATED = """
    SELECT facility_settlement_no, '0' AS refund, settlement_id, total_fen,
        fund_fen + CASE WHEN n % 1000 = 1 THEN 100 ELSE 0 END AS fund_fen, account_fen
    FROM (SELECT *, right(facility_settlement_no, 7)::int AS n FROM bill WHERE facility_code = $1) AS bills
    WHERE n % 1000 <> 2
    UNION ALL
    SELECT 'X' || n, '0', NULL, 5000, 3000, 0 FROM generate_series(1, greatest($2::int / 1000, 1)) AS n
"""
_JOIN = """
    SELECT count(*), count(b.settlement_id), count(l.facility_settlement_no)
    FROM settlement.bill b FULL JOIN bench.line l
    ON l.facility_settlement_no = b.facility_settlement_no AND l.refund::bool = b.refund
"""
Resident = Callable[[], dict[str, int]]
"""Gives the memory of every part, in bytes."""


@dataclass(frozen=True)
class Month:
    """A month that is matched, and what it took; what is left is to close it."""

    closing: Closing
    cases: Sequence[Case]
    figures: Figures


async def measure(
    owner_url: str, base_url: str, tokens: TokenMaker, say: Say, bills: int, resident: Resident
) -> Figures:
    """The seconds of match and closing, and those of COPY and a bare join in the same run.

    Raises RuntimeError when anything of it is wrong.
    """
    async with (
        httpx.AsyncClient(base_url=base_url, timeout=600, trust_env=False) as client,
        _peak(resident) as peak,
    ):
        month = await matched(owner_url, client, tokens, say, bills)
        say(f"matched: {month.figures}")
        say("closing the month")
        closed = await month.closing.close(month.cases)
    return month.figures | closed | {"settlement_mb": round(max(peak) / 1e6, 1)}


async def matched(owner_url: str, client: httpx.AsyncClient, tokens: TokenMaker, say: Say, bills: int) -> Month:
    """A month of generated bills, stated and matched. Raises RuntimeError when anything of it is wrong."""
    connection = await connect(owner_url)
    try:
        say(f"generating {bills:,} bills")
        await _generate(connection, owner_url, bills)
        say("writing the file")
        content = await _file(connection, bills)
        say("COPY and a bare full join")
        bare_s = await _bare(connection, content)
        say("the file and its match over HTTP")
        client.headers["Authorization"] = f"Bearer {tokens.make(role='facility', party=FACILITY)}"
        statement_id = await _submitted(client, connection, bills)
        load_s, match_s = await _through_http(client, statement_id, content, bills)
    finally:
        await connection.close()
    figures: Figures = {
        "bills": bills,
        "match_s": round(match_s, 2),
        "bare_s": round(bare_s, 2),
        "match_ratio": round(match_s / bare_s, 3),
        "load_s": round(load_s, 2),
    }
    closing = Closing(client, tokens, FACILITY, MONTH, CARE, statement_id)
    return Month(closing, [Case(c.case_id, c.clearing, (FACILITY, *c.chain)) for c in _cases()], figures)


class _Case(NamedTuple):
    case_id: str
    home: str
    clearing: str
    chain: tuple[str, ...]


def _cases() -> list[_Case]:
    """The cases of the month, near homes first."""
    regions = RegionTree.load()
    below_provinces = [r.code for r in regions if r.code[2:] != "0000"]
    near = sorted(below_provinces, key=lambda code: (code != CARE, code[:4] != CARE[:4], code[:2] != CARE[:2], code))
    return [
        _Case(f"01KCASE{n:019d}", home, regions.clearing(CARE, home), tuple(regions.chain(CARE, home)))
        for n, home in enumerate(near[:CASES], 1)
    ]


async def _generate(connection: asyncpg.Connection[Any], owner_url: str, bills: int) -> None:
    await connection.execute(_BOOKS)
    cases = _cases()
    columns = ([c.case_id for c in cases], [c.home for c in cases], [c.clearing for c in cases])
    await connection.execute(_CASES, *columns, [" ".join(c.chain) for c in cases])
    await written(owner_url, _BILLS, bills, lambda first, last: (first, last, [c.home for c in cases]))
    await connection.execute("VACUUM ANALYZE bill", timeout=300)


async def _file(connection: asyncpg.Connection[Any], bills: int) -> bytes:
    text = io.BytesIO()
    await connection.copy_from_query(_STATED, FACILITY, bills, output=text, format="csv", header=True, timeout=300)
    return text.getvalue()


async def _bare(connection: asyncpg.Connection[Any], content: bytes) -> float:
    await connection.execute(
        "CREATE SCHEMA IF NOT EXISTS bench; CREATE TABLE bench.line (facility_settlement_no text, refund text,"
        " settlement_id text, total_fen bigint, fund_fen bigint, account_fen bigint)"
    )
    await connection.execute("SET work_mem = '512MB'")  # what the match is given too
    started = perf_counter()
    await connection.copy_to_table(
        "line", schema_name="bench", source=io.BytesIO(content), format="csv", header=True, timeout=300
    )
    await connection.fetch(_JOIN, timeout=300)
    seconds = perf_counter() - started
    await connection.execute("DROP TABLE bench.line")
    return seconds


@contextlib.asynccontextmanager
async def _peak(resident: Resident) -> AsyncIterator[list[int]]:
    """What settlement occupies meanwhile, looked at five times a second."""
    seen = [resident()["settlement"]]

    async def look() -> None:
        while True:
            await asyncio.sleep(0.2)
            seen.append(resident()["settlement"])

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _through_http(
    client: httpx.AsyncClient, statement_id: str, content: bytes, bills: int
) -> tuple[float, float]:
    """Seconds of sending the file, and of its match."""
    name = hashlib.sha256(content).hexdigest()

    async def pieces() -> AsyncIterator[bytes]:
        for piece in _cut(content):
            yield piece

    started = perf_counter()
    path = f"/v1/statements/{statement_id}"
    sent = await client.put(f"{path}/files/{name}", content=pieces(), headers={"Content-Type": "text/csv"})
    load_s = perf_counter() - started
    if sent.status_code != 200:
        raise RuntimeError(f"the file was not accepted: {sent.status_code} {sent.text[:500]}")
    started = perf_counter()
    matched = await client.post(f"{path}/match")
    match_s = perf_counter() - started
    _check(matched, bills)
    return load_s, match_s


def _cut(content: bytes) -> Iterator[bytes]:
    for begin in range(0, len(content), PIECE_BYTES):
        yield content[begin : begin + PIECE_BYTES]


async def _submitted(client: httpx.AsyncClient, connection: asyncpg.Connection[Any], bills: int) -> str:
    """A statement with the file's totals, in one group that agrees with none of the books."""
    sums = "SELECT count(*) AS bill_count, sum(total_fen)::bigint AS total_fen, sum(fund_fen)::bigint AS fund_fen,"
    sums += f" sum(account_fen)::bigint AS account_fen FROM ({_STATED}) AS stated"
    total = {"home_region": HOME, "insutype": "390", "clr_type": "99", "refund": False}
    total |= dict(await connection.fetchrow(sums, FACILITY, bills, timeout=300) or {})
    body = {"period": MONTH, "totals": [total]}
    answer = await client.post("/v1/statements", json=body, headers={"Idempotency-Key": new_id()})
    if answer.status_code != 201:
        raise RuntimeError(f"the statement was not taken: {answer.status_code} {answer.text[:500]}")
    return str(answer.json()["statement_id"])


def _check(matched: httpx.Response, bills: int) -> None:
    """Every bill is where it belongs."""
    if matched.status_code != 200:
        raise RuntimeError(f"not matched: {matched.status_code} {matched.text[:500]}")
    found = {
        c["difference_class"]: (c["books"]["bill_count"], c["stated"]["bill_count"]) for c in matched.json()["classes"]
    }
    off, unstated = len(range(1, bills + 1, 1000)), len(range(2, bills + 1, 1000))
    strangers = max(bills // 1000, 1)
    expected = {
        "agreed": (bills - off - unstated,) * 2,
        "amount_differs": (off, off),
        "missing_in_statement": (unstated, 0),
        "missing_in_books": (0, strangers),
    }
    if found != expected:
        raise RuntimeError(f"wrong classes: {found} instead of {expected}")
