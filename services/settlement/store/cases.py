"""Cases: their states and numbers, history, confirmations and hops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from services.settlement.rules.cases import Case, Hop, HopKind, HopState, State
from services.settlement.store.bills import columns
from services.settlement.store.carried import cleared
from shared.database import Connection, rows_to

MONTH_CASES = "SELECT case_id, state FROM settlement_case WHERE facility_code = $1 AND period = $2 ORDER BY case_id"
CASES_CLEAR = """
    UPDATE settlement_case SET state = $2, bill_count = NULL, total_fen = NULL, fund_fen = NULL, account_fen = NULL,
        payable_fen = NULL, numbers_hash = NULL
    WHERE case_id = ANY($1::text[])
"""
CASES_FREEZE = f"""
    UPDATE settlement_case c
    SET state = $2, bill_count = n.bill_count, total_fen = n.total_fen, fund_fen = n.fund_fen,
        account_fen = n.account_fen, payable_fen = n.fund_fen + n.account_fen, numbers_hash = n.numbers_hash
    FROM (
        SELECT i.case_id, count(settlement_id) AS bill_count, coalesce(sum(total_fen), 0)::bigint AS total_fen,
            coalesce(sum(fund_fen), 0)::bigint AS fund_fen, coalesce(sum(account_fen), 0)::bigint AS account_fen,
            encode(sha256(convert_to(i.case_id || E'\\n' || coalesce(string_agg(
                concat_ws(' ', settlement_id, total_fen, fund_fen, account_fen),
                E'\\n' ORDER BY settlement_id COLLATE "C"
            ), ''), 'UTF8')), 'hex') AS numbers_hash
        FROM unnest($1::text[]) AS i(case_id) LEFT JOIN {cleared("= ANY($1::text[])")} AS b ON b.cleared_in = i.case_id
        GROUP BY i.case_id
    ) n
    WHERE c.case_id = n.case_id RETURNING c.case_id, c.numbers_hash
"""
CASES_MOVE = """
    UPDATE settlement_case c SET state = moved.state
    FROM unnest($1::text[], $2::text[]) AS moved(case_id, state) WHERE c.case_id = moved.case_id
"""
STEPS_INSERT = """
    INSERT INTO case_step (case_id, step, party, subject, numbers_hash, at)
    SELECT c, s, p, u, h, $6 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS n(c, s, p, u, h)
"""
STEPS = "SELECT step, party, subject, numbers_hash, at FROM case_step WHERE case_id = $1 ORDER BY step_no"
CASES_LOCK = "SELECT case_id FROM settlement_case WHERE case_id = ANY($1::text[]) ORDER BY case_id FOR UPDATE"
_CASE = """
    c.case_id, c.facility_code, c.period, c.care_region, c.home_region, c.clearing_region, c.chain, c.state,
    c.bill_count, c.total_fen, c.fund_fen, c.account_fen, c.payable_fen, c.numbers_hash,
    ARRAY(SELECT f.party FROM confirmation f WHERE f.case_id = c.case_id) AS confirmed_by,
    ARRAY(SELECT o.party FROM objection o WHERE o.case_id = c.case_id AND o.state = 'open') AS objecting
"""
CASES = f"SELECT {_CASE} FROM settlement_case c WHERE c.case_id = ANY($1::text[])"
# While its numbers do not stand, a case shows what its bills come to at this moment.
_CASE_NOW = """
    c.case_id, c.facility_code, c.period, c.care_region, c.home_region, c.clearing_region, c.chain, c.state,
    coalesce(c.bill_count, n.bill_count) AS bill_count, coalesce(c.total_fen, n.total_fen) AS total_fen,
    coalesce(c.fund_fen, n.fund_fen) AS fund_fen, coalesce(c.account_fen, n.account_fen) AS account_fen,
    coalesce(c.payable_fen, n.fund_fen + n.account_fen) AS payable_fen, c.numbers_hash,
    ARRAY(SELECT f.party FROM confirmation f WHERE f.case_id = c.case_id) AS confirmed_by,
    ARRAY(SELECT o.party FROM objection o WHERE o.case_id = c.case_id AND o.state = 'open') AS objecting
"""
_NUMBERS_NOW = f"""
    CROSS JOIN LATERAL (
        SELECT count(*) AS bill_count, coalesce(sum(b.total_fen), 0)::bigint AS total_fen,
            coalesce(sum(b.fund_fen), 0)::bigint AS fund_fen, coalesce(sum(b.account_fen), 0)::bigint AS account_fen
        FROM {cleared("= c.case_id")} AS b WHERE c.numbers_hash IS NULL
    ) n
"""
CASE_NOW = f"SELECT {_CASE_NOW} FROM settlement_case c {_NUMBERS_NOW} WHERE c.case_id = $1"
CASES_NOW = f"""
    SELECT {_CASE_NOW}
    FROM (
        SELECT * FROM settlement_case
        WHERE (facility_code = $1 OR chain && $2::text[]) AND ($3::text IS NULL OR period = $3)
          AND ($4::text IS NULL OR facility_code = $4) AND ($5::text IS NULL OR home_region = $5)
          AND ($6::text IS NULL OR state = $6) AND case_id > $7
        ORDER BY case_id LIMIT $8
    ) c {_NUMBERS_NOW} ORDER BY c.case_id
"""
CONFIRMATIONS_INSERT = """
    INSERT INTO confirmation (case_id, party, numbers_hash, confirmed_by, confirmed_at)
    SELECT c, $2, h, $3, $4 FROM unnest($1::text[], $5::text[]) AS n(c, h) ON CONFLICT DO NOTHING
"""
CONFIRMATIONS = """
    SELECT party, numbers_hash, confirmed_by, confirmed_at FROM confirmation WHERE case_id = $1 ORDER BY confirmed_at
"""
CONFIRMATIONS_CARRIED = """
    SELECT k.party, k.to_hash FROM carried_confirmation k JOIN settlement_case c
        ON c.case_id = k.case_id AND c.numbers_hash = k.to_hash
    WHERE k.case_id = $1
"""
MONTHS_CONFIRM = """
    UPDATE facility_month m SET confirmed = true
    FROM unnest($1::text[], $2::text[]) AS n(facility_code, period)
    WHERE m.facility_code = n.facility_code AND m.period = n.period AND NOT m.confirmed
"""
HOPS_INSERT = """
    INSERT INTO hop (case_id, hop_no, kind, payer, payee, amount_fen, state)
    SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])
"""
HOPS = """
    SELECT case_id, hop_no, kind, payer, payee, amount_fen, state FROM hop
    WHERE case_id = ANY($1::text[]) ORDER BY case_id, hop_no
"""
HOPS_MOVE = """
    UPDATE hop h SET state = moved.state
    FROM unnest($1::text[], $2::int[], $3::text[]) AS moved(case_id, hop_no, state)
    WHERE h.case_id = moved.case_id AND h.hop_no = moved.hop_no
"""

FREEZING_TIMEOUT_S = 300.0
"""Every bill of a month is hashed once: three seconds a million."""


class NewStep(NamedTuple):
    """One line of a case's history."""

    case_id: str
    step: str
    party: str
    subject: str | None
    numbers_hash: str | None


@dataclass(frozen=True, slots=True)
class StepTaken:
    """Who did what, when, and which version of the numbers stood."""

    step: str
    party: str
    subject: str | None
    numbers_hash: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Confirmed:
    """One party's confirmation."""

    party: str
    numbers_hash: str
    confirmed_by: str | None
    """The person; None where silence is agreement."""
    confirmed_at: datetime


async def cases_of_month(tx: Connection, facility_code: str, period: str) -> list[tuple[str, State]]:
    """The cases of a facility's month with their states."""
    return [(row["case_id"], State(row["state"])) for row in await tx.fetch(MONTH_CASES, facility_code, period)]


async def clear_numbers(tx: Connection, case_ids: Sequence[str], state: State) -> None:
    """Put cases into a state in which their numbers do not stand."""
    await tx.execute(CASES_CLEAR, list(case_ids), state)


async def freeze_numbers(tx: Connection, case_ids: Sequence[str], state: State) -> dict[str, str]:
    """Put cases into a state in which their numbers stand; the hash of each."""
    rows = await tx.fetch(CASES_FREEZE, list(case_ids), state, timeout=FREEZING_TIMEOUT_S)
    return {row["case_id"]: row["numbers_hash"] for row in rows}


async def move_cases(tx: Connection, cases: Sequence[Case]) -> None:
    """Write the states of cases whose numbers stand."""
    await tx.execute(CASES_MOVE, [c.case_id for c in cases], [c.state for c in cases])


async def add_steps(tx: Connection, steps: Sequence[NewStep], at: datetime) -> None:
    """Record who did what."""
    await tx.execute(STEPS_INSERT, *columns(steps, 5), at)


async def steps_of(tx: Connection, case_id: str) -> list[StepTaken]:
    """A case's history."""
    return rows_to(StepTaken, await tx.fetch(STEPS, case_id))


async def lock_cases(tx: Connection, case_ids: Iterable[str]) -> None:
    """Nobody else changes these until the transaction ends."""
    await tx.fetch(CASES_LOCK, sorted(set(case_ids)))


async def cases(tx: Connection, case_ids: Iterable[str]) -> dict[str, Case]:
    """Cases with their hops, by id."""
    wanted = sorted(set(case_ids))
    hops: defaultdict[str, list[Hop]] = defaultdict(list)
    for row in await tx.fetch(HOPS, wanted):
        hops[row["case_id"]].append(_hop(row))
    return {row["case_id"]: _case(row, hops[row["case_id"]]) for row in await tx.fetch(CASES, wanted)}


async def case_now(tx: Connection, case_id: str) -> Case | None:
    """One case with its hops; while its numbers do not stand, with those of this moment."""
    row = await tx.fetchrow(CASE_NOW, case_id)
    return None if row is None else _case(row, [_hop(hop) for hop in await tx.fetch(HOPS, [case_id])])


async def cases_now(
    tx: Connection,
    facility_code: str | None,
    areas: Sequence[str],
    *,
    period: str | None,
    of_facility: str | None,
    home_region: str | None,
    state: str | None,
    after: str,
    limit: int,
) -> list[Case]:
    """Cases a caller may see, by id, without their hops."""
    rows = await tx.fetch(CASES_NOW, facility_code, list(areas), period, of_facility, home_region, state, after, limit)
    return [_case(row, []) for row in rows]


def _case(row: Any, hops: Sequence[Hop]) -> Case:
    values = dict(row)
    return Case(
        **{
            **values,
            "chain": tuple(values["chain"]),
            "state": State(values["state"]),
            "confirmed_by": frozenset(values["confirmed_by"]),
            "objecting": frozenset(values["objecting"]),
        },
        hops=tuple(hops),
    )


def _hop(row: Any) -> Hop:
    _, hop_no, kind, payer, payee, amount_fen, state = row
    return Hop(hop_no, HopKind(kind), payer, payee, amount_fen, HopState(state))


async def add_confirmations(
    tx: Connection, hashes: Mapping[str, str], party: str, subject: str | None, at: datetime
) -> None:
    """Write a party's confirmations: the hash it saw, by case; without a person they are deemed."""
    await tx.execute(CONFIRMATIONS_INSERT, list(hashes), party, subject, at, list(hashes.values()))


async def confirmations(tx: Connection, case_id: str) -> list[Confirmed]:
    """Who confirmed a case."""
    return rows_to(Confirmed, await tx.fetch(CONFIRMATIONS, case_id))


async def carried_confirmations(tx: Connection, case_id: str) -> dict[str, str]:
    """By party the hash of the case's numbers, where what it confirmed were others and stands for them."""
    return {row["party"]: row["to_hash"] for row in await tx.fetch(CONFIRMATIONS_CARRIED, case_id)}


async def confirm_months(tx: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """These months of facilities take no more bills and no new statement."""
    await tx.execute(MONTHS_CONFIRM, *columns(sorted(set(keys)), 2))


async def add_hops(tx: Connection, cases: Sequence[Case]) -> None:
    """Write the hops of reconciled cases."""
    rows = [(c.case_id, h.hop_no, h.kind, h.payer, h.payee, h.amount_fen, h.state) for c in cases for h in c.hops]
    await tx.execute(HOPS_INSERT, *columns(rows, 7))


async def move_hops(tx: Connection, moved: Sequence[tuple[str, int, HopState]]) -> None:
    """Write the states of hops: case, number, state."""
    await tx.execute(HOPS_MOVE, *columns(moved, 3))
