"""What agencies keep back of what they pay facilities: what was decided, what waits, what was set off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from services.settlement.rules.withholdings import SetOff, Waiting, WithholdingKind
from services.settlement.store.bills import columns
from services.settlement.store.clearing import CLEARING_TIMEOUT_S
from shared.database import Connection, rows_to

# What is left of what was decided, the oldest first. Nobody else sets it off: who writes positions is alone.
WAITING = """
    SELECT w.agency, w.facility_code, w.withholding_id, w.kind, w.amount_fen - s.fen AS left_fen
    FROM withholding w CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_fen), 0)::bigint AS fen FROM set_off s
        WHERE s.withholding_id = w.withholding_id AND s.reversal_id IS NULL) AS s
    WHERE (w.agency, w.facility_code) IN (SELECT * FROM unnest($1::text[], $2::text[]))
      AND w.state = 'approved' AND w.amount_fen > s.fen
    ORDER BY w.decided_at, w.withholding_id
"""
ANY_WAITING = """
    SELECT EXISTS (
        SELECT FROM withholding w WHERE w.agency = $1 AND w.state = 'approved' AND w.amount_fen > (
            SELECT coalesce(sum(amount_fen), 0) FROM set_off s
            WHERE s.withholding_id = w.withholding_id AND s.reversal_id IS NULL))
"""
SET_OFFS_INSERT = """
    INSERT INTO set_off (set_off_id, position_id, payment_id, kind, amount_fen, withholding_id, made_at)
    SELECT *, $7 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
"""
_SET_OFF = """
    SELECT s.set_off_id, s.position_id, s.payment_id, h.case_id, coalesce(p.payer, h.payer) AS agency,
        coalesce(p.payee, h.payee) AS facility_code, s.kind, s.amount_fen, s.withholding_id, s.made_at, s.reversal_id
    FROM set_off s LEFT JOIN clearing_position p USING (position_id) LEFT JOIN payment h USING (payment_id)
"""
SET_OFFS_LIVE = f"""
    {_SET_OFF} WHERE s.position_id = ANY($1::text[]) AND s.reversal_id IS NULL ORDER BY s.set_off_id
"""
SET_OFFS_OF = f"""
    {_SET_OFF} WHERE s.position_id = $1 AND s.set_off_id > $2 ORDER BY s.set_off_id LIMIT $3
"""
SET_OFFS_OF_PAYMENTS = f"""
    {_SET_OFF} WHERE s.payment_id = ANY($1::text[]) AND s.set_off_id > $2 ORDER BY s.set_off_id LIMIT $3
"""
SET_OFF_BOOKED = f"{_SET_OFF} WHERE s.set_off_id = $1 OR s.reversal_id = $1"
SET_OFFS_REVERSE = """
    UPDATE set_off s SET reversal_id = n.r FROM unnest($1::text[], $2::text[]) AS n(i, r) WHERE s.set_off_id = n.i
"""
INSERT = """
    INSERT INTO withholding (withholding_id, agency, facility_code, kind, amount_fen, kept_fen, year, level_index,
        returns_withholding_id, reason, state, proposed_by, proposed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'proposed', $11, $12)
    ON CONFLICT (agency, facility_code, year) WHERE kind = 'retention_release' AND state <> 'refused' DO NOTHING
    RETURNING withholding_id
"""
DEDUCTION_LOCK = """
    SELECT amount_fen FROM withholding
    WHERE withholding_id = $1 AND agency = $2 AND facility_code = $3 AND kind = 'deduction' AND state = 'approved'
    FOR UPDATE
"""
RETURNED = """
    SELECT coalesce(sum(amount_fen), 0)::bigint FROM withholding
    WHERE returns_withholding_id = $1 AND state <> 'refused'
"""
# What was retained in a year, in its cycles and of single hops, and how often of what is not paid yet.
RETAINED = """
    SELECT coalesce(sum(s.amount_fen), 0)::bigint AS retained_fen,
        count(*) FILTER (WHERE p.state <> 'settled' OR (s.payment_id IS NOT NULL AND h.paid_at IS NULL)) AS unsettled,
        EXISTS (SELECT FROM withholding w WHERE w.agency = $1 AND w.facility_code = $2 AND w.year = $3
            AND w.state <> 'refused') AS decided
    FROM set_off s LEFT JOIN clearing_position p USING (position_id) LEFT JOIN clearing_cycle y USING (cycle_id)
    LEFT JOIN payment h USING (payment_id)
    WHERE coalesce(p.payer, h.payer) = $1 AND coalesce(p.payee, h.payee) = $2 AND s.kind = 'retention'
      AND s.reversal_id IS NULL
      AND coalesce(left(y.month, 4)::int, extract(year FROM s.made_at AT TIME ZONE 'Asia/Shanghai')) = $3
"""
_ROW = """
    w.withholding_id, w.agency, w.facility_code, w.kind, w.amount_fen, w.kept_fen, w.year, w.level_index,
    w.returns_withholding_id, w.reason, w.state, w.proposed_by, w.proposed_at, w.decided_by, w.decided_at,
    (SELECT coalesce(sum(s.amount_fen), 0)::bigint FROM set_off s
     WHERE s.withholding_id = w.withholding_id AND s.reversal_id IS NULL) AS set_off_fen
"""
ROW = f"SELECT {_ROW} FROM withholding w WHERE w.withholding_id = $1"
ROW_LOCKED = f"{ROW} FOR UPDATE OF w"
ROWS = f"""
    SELECT {_ROW} FROM withholding w
    WHERE (w.agency = ANY($1::text[]) OR w.facility_code = $2) AND ($3::text IS NULL OR w.facility_code = $3)
      AND ($4::text IS NULL OR w.state = $4) AND w.withholding_id > $5
    ORDER BY w.withholding_id LIMIT $6
"""
DECIDE = "UPDATE withholding SET state = $2, decided_by = $3, decided_at = $4 WHERE withholding_id = $1"

Pair = tuple[str, str]
"""Agency and facility."""


class NewWithholding(NamedTuple):
    """What somebody proposes. Amounts in fen."""

    agency: str
    facility_code: str
    kind: WithholdingKind
    amount_fen: int
    kept_fen: int
    year: int | None
    level_index: Decimal | None
    returns_withholding_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class WithholdingRow:
    """What was proposed, what was decided, and how much of it was set off. Amounts in fen."""

    withholding_id: str
    agency: str
    facility_code: str
    kind: str
    amount_fen: int
    kept_fen: int
    year: int | None
    level_index: Decimal | None
    returns_withholding_id: str | None
    reason: str
    state: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    set_off_fen: int


@dataclass(frozen=True, slots=True)
class SetOffRow:
    """What was set off against a position or a payment, and whether it was taken back. Amount in fen."""

    set_off_id: str
    position_id: str | None
    payment_id: str | None
    case_id: str | None
    """Of the payment."""
    agency: str
    facility_code: str
    kind: str
    amount_fen: int
    withholding_id: str | None
    made_at: datetime
    reversal_id: str | None


class Retained(NamedTuple):
    """What was retained of a facility in a year. In fen."""

    retained_fen: int
    unsettled: int
    decided: bool


async def waiting(tx: Connection, pairs: Collection[Pair]) -> dict[Pair, list[Waiting]]:
    """What waits to be set off against what these agencies owe these facilities, in the order of decision."""
    found: defaultdict[Pair, list[Waiting]] = defaultdict(list)
    for row in await tx.fetch(WAITING, *columns(sorted(pairs), 2), timeout=CLEARING_TIMEOUT_S):
        one = Waiting(row["withholding_id"], WithholdingKind(row["kind"]), row["left_fen"])
        found[row["agency"], row["facility_code"]].append(one)
    return dict(found)


async def any_waiting(tx: Connection, agency: str) -> bool:
    """Whether anything waits to be set off against what an agency owes facilities."""
    return await tx.fetchval(ANY_WAITING, agency)  # type: ignore[no-any-return]


async def add_set_offs(
    tx: Connection, rows: Sequence[tuple[str, str | None, str | None, SetOff]], at: datetime
) -> None:
    """Set off (id, position or None, payment or None, what)."""
    await tx.execute(SET_OFFS_INSERT, *columns([(*ids, *what) for *ids, what in rows], 6), at)


async def live(tx: Connection, position_ids: Sequence[str]) -> list[SetOffRow]:
    """What is set off against positions."""
    return rows_to(SetOffRow, await tx.fetch(SET_OFFS_LIVE, list(position_ids)))


async def set_offs_of(tx: Connection, position_id: str, after: str, limit: int) -> list[SetOffRow]:
    """What was set off against a position, also what was taken back, by id."""
    return rows_to(SetOffRow, await tx.fetch(SET_OFFS_OF, position_id, after, limit))


async def set_offs_of_payments(
    tx: Connection, payment_ids: Sequence[str], after: str = "", limit: int | None = None
) -> list[SetOffRow]:
    """What is set off against payments, by id."""
    return rows_to(SetOffRow, await tx.fetch(SET_OFFS_OF_PAYMENTS, list(payment_ids), after, limit))


async def set_off_booked(tx: Connection, transaction_id: str) -> SetOffRow | None:
    """What a ledger transaction set off, or took back."""
    return next(iter(rows_to(SetOffRow, await tx.fetch(SET_OFF_BOOKED, transaction_id))), None)


async def reverse(tx: Connection, reversals: Mapping[str, str]) -> None:
    """Set-offs are taken back, each by a ledger transaction."""
    await tx.execute(SET_OFFS_REVERSE, list(reversals), list(reversals.values()))


async def add(tx: Connection, withholding_id: str, new: NewWithholding, subject: str, at: datetime) -> bool:
    """Propose; false when the year was proposed to be released already."""
    return await tx.fetchval(INSERT, withholding_id, *new, subject, at) is not None


async def deduction_left(tx: Connection, withholding_id: str, pair: Pair) -> int | None:
    """What was not given back of a deduction, which is locked, in fen; None when there is none."""
    amount_fen = await tx.fetchval(DEDUCTION_LOCK, withholding_id, *pair)
    return None if amount_fen is None else amount_fen - await tx.fetchval(RETURNED, withholding_id)


async def retained(tx: Connection, pair: Pair, year: int) -> Retained:
    """What was retained of a facility in a year."""
    return Retained(*(await tx.fetch(RETAINED, *pair, year))[0])


async def row(tx: Connection, withholding_id: str, *, locked: bool = False) -> WithholdingRow | None:
    """One withholding."""
    rows = await (tx.fetch(ROW_LOCKED, withholding_id) if locked else tx.fetch(ROW, withholding_id))
    return next(iter(rows_to(WithholdingRow, rows)), None)


async def rows_of(
    tx: Connection,
    areas: Sequence[str],
    own: str | None,
    *,
    facility_code: str | None,
    state: str | None,
    after: str,
    limit: int,
) -> list[WithholdingRow]:
    """Those of some agencies, or of a facility itself, by id."""
    return rows_to(WithholdingRow, await tx.fetch(ROWS, list(areas), own, facility_code, state, after, limit))


async def decide(tx: Connection, withholding_id: str, state: str, subject: str, at: datetime) -> None:
    """Another person's word."""
    await tx.execute(DECIDE, withholding_id, state, subject, at)
