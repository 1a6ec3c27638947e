"""Reading cycles: what they come to, their positions, and the proof down to the hops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.settlement.store.books import PROOF_TIMEOUT_S
from services.settlement.store.clearing import CLEARING_TIMEOUT_S, CYCLE_COLUMNS, POSITION_COLUMNS, Cycle, Position
from shared.database import Connection, rows_to, sums_to

# An agency sees the cycles of its area and those it has a position in, a facility the latter.
_SEEN = """
    (y.clearing_region = ANY($1::text[]) OR EXISTS (
        SELECT FROM clearing_position p
        WHERE p.cycle_id = y.cycle_id AND ($1::text[] || $2::text) && ARRAY[p.payer, p.payee]))
"""
CYCLES = f"""
    SELECT {CYCLE_COLUMNS} FROM clearing_cycle y
    WHERE {_SEEN} AND ($3::text IS NULL OR y.clearing_region = $3) AND y.cycle_id > $4 ORDER BY y.cycle_id LIMIT $5
"""
CYCLE_SEEN = f"SELECT {_SEEN} FROM clearing_cycle y WHERE y.cycle_id = $3"
CYCLE_SUMS = """
    SELECT
        (SELECT count(*) FROM clearing_case c WHERE c.cycle_id = $1 AND c.left_at IS NULL) AS cases,
        (SELECT count(*) FROM clearing_case c WHERE c.cycle_id = $1 AND c.left_at IS NOT NULL) AS cases_left,
        (SELECT coalesce(sum(h.amount_fen), 0) FROM clearing_case c JOIN hop h USING (case_id)
         WHERE c.cycle_id = $1 AND c.left_at IS NULL) AS obligations_fen,
        count(*) FILTER (WHERE state <> 'replaced') AS positions,
        coalesce(sum(amount_fen) FILTER (WHERE state <> 'replaced'), 0) AS positions_fen,
        count(*) FILTER (WHERE state = 'settled') AS settled,
        coalesce(sum(amount_fen) FILTER (WHERE state = 'settled'), 0) AS settled_fen
    FROM clearing_position WHERE cycle_id = $1
"""
POSITIONS_OF_CYCLE = f"""
    SELECT {POSITION_COLUMNS} FROM clearing_position p
    WHERE p.cycle_id = $1 AND ($2::text[] IS NULL OR p.payer = ANY($2) OR p.payee = ANY($2))
      AND ($3::text IS NULL OR p.state = $3) AND p.position_id > $4
    ORDER BY p.position_id LIMIT $5
"""
PROOF = """
    SELECT h.case_id, h.hop_no, h.amount_fen AS adds_fen, o.kind, o.payer, o.payee, o.amount_fen AS hop_fen, o.state,
        c.facility_code, c.period, c.care_region, c.home_region, c.bill_count, c.numbers_hash,
        (SELECT count(*) FROM carried_bill k WHERE k.to_case_id = h.case_id) AS carried_in,
        (SELECT count(*) FROM carried_bill k WHERE k.from_case_id = h.case_id) AS carried_out
    FROM position_hop h JOIN hop o USING (case_id, hop_no) JOIN settlement_case c USING (case_id)
    WHERE h.position_id = $1 AND (h.case_id, h.hop_no) > ($2, $3) ORDER BY h.case_id, h.hop_no LIMIT $4
"""
_CYCLE_CASE = """
    SELECT y.cycle_id, y.case_id, c.facility_code, c.period, c.care_region, c.home_region, c.chain, c.state,
        c.payable_fen, y.confirmed_at, y.left_at, left_for.payer AS left_because_of,
        ARRAY(SELECT DISTINCT p.payer FROM position_hop h JOIN clearing_position p USING (position_id)
              WHERE h.cycle_id = y.cycle_id AND h.case_id = y.case_id AND h.live AND p.state <> 'settled'
              ORDER BY p.payer) AS waits_for
    FROM clearing_case y JOIN settlement_case c USING (case_id)
    LEFT JOIN clearing_position left_for ON left_for.position_id = y.left_because
"""
CASES_OF_CYCLE = (
    _CYCLE_CASE
    + """
    WHERE y.cycle_id = $1 AND ($2::text IS NULL OR c.facility_code = $2)
      AND ($3::text[] IS NULL OR c.chain && $3) AND y.case_id > $4
    ORDER BY y.case_id LIMIT $5
"""
)
CYCLES_OF_CASE = _CYCLE_CASE + " WHERE y.case_id = $1 ORDER BY y.cycle_id"
POSITIONS_OF_CASE = f"""
    SELECT DISTINCT {POSITION_COLUMNS} FROM clearing_position p JOIN position_hop h USING (position_id)
    WHERE h.case_id = $1 AND h.live ORDER BY p.position_id
"""
PROOF_CLEARING = """
    SELECT
        (SELECT count(*) FROM clearing_position p
         WHERE p.amount_fen <> p.brought_fen - p.withheld_fen + (
            SELECT coalesce(sum(h.amount_fen), 0) FROM position_hop h WHERE h.position_id = p.position_id)
            OR EXISTS (SELECT FROM position_hop h
                       WHERE h.position_id = p.position_id AND h.live = (p.state = 'replaced'))) AS positions_off,
        (SELECT count(*) FROM (
            SELECT FROM (
                SELECT cycle_id, payer AS party, h.amount_fen FROM clearing_case JOIN hop h USING (case_id)
                WHERE left_at IS NULL
                UNION ALL
                SELECT cycle_id, payee, -h.amount_fen FROM clearing_case JOIN hop h USING (case_id)
                WHERE left_at IS NULL
                UNION ALL
                SELECT cycle_id, payer, brought_fen - withheld_fen - amount_fen FROM clearing_position
                WHERE state <> 'replaced'
                UNION ALL
                SELECT cycle_id, payee, amount_fen + withheld_fen - brought_fen FROM clearing_position
                WHERE state <> 'replaced'
            ) AS ends GROUP BY cycle_id, party HAVING sum(amount_fen) <> 0) AS off) AS obligations_off,
        (SELECT count(*) FROM (
            SELECT FROM (
                SELECT book, counterparty, amount_fen FROM ledger_entry WHERE account_kind = 'clearing'
                UNION ALL
                SELECT payer, payee, amount_fen FROM clearing_position WHERE state IN ('open', 'ordered', 'carried')
                UNION ALL
                SELECT payee, payer, -amount_fen FROM clearing_position WHERE state IN ('open', 'ordered', 'carried')
            ) AS ends GROUP BY book, counterparty HAVING sum(amount_fen) <> 0) AS off) AS clearing_off,
        (SELECT count(*) FROM (
            SELECT FROM (
                SELECT counterparty AS lender, book AS holder, amount_fen FROM ledger_entry
                WHERE account_kind = 'prepayment_held'
                UNION ALL
                SELECT lender, holder, CASE kind WHEN 'top_up' THEN amount_fen ELSE -amount_fen END
                FROM prepayment_movement WHERE state = 'settled'
            ) AS ends GROUP BY lender, holder HAVING sum(amount_fen) <> 0) AS off) AS prepayments_off,
        (SELECT count(*) FROM (
            SELECT FROM (
                SELECT book, counterparty, account_kind, amount_fen FROM ledger_entry
                WHERE account_kind IN ('retention_held', 'retention_due', 'deductions')
                UNION ALL
                SELECT a.* FROM set_off s JOIN (
                    SELECT position_id AS id, payer, payee FROM clearing_position
                    UNION ALL SELECT payment_id, payer, payee FROM payment WHERE paid_at IS NOT NULL
                ) AS p ON p.id = coalesce(s.position_id, s.payment_id)
                CROSS JOIN LATERAL (SELECT s.kind LIKE 'retention%' AS retained,
                    CASE WHEN s.kind IN ('retention', 'deduction') THEN s.amount_fen ELSE -s.amount_fen END AS fen) AS w
                CROSS JOIN LATERAL (VALUES
                    (p.payer, p.payee, CASE WHEN w.retained THEN 'retention_held' ELSE 'deductions' END, w.fen),
                    (p.payee, p.payer, CASE WHEN w.retained THEN 'retention_due' ELSE 'deductions' END, -w.fen)) AS a
                WHERE s.reversal_id IS NULL
                UNION ALL
                SELECT a.* FROM withholding w CROSS JOIN LATERAL (VALUES
                    (w.agency, w.facility_code, 'retention_held', -w.kept_fen),
                    (w.facility_code, w.agency, 'retention_due', w.kept_fen),
                    (w.agency, w.facility_code, 'deductions', w.kept_fen),
                    (w.facility_code, w.agency, 'deductions', -w.kept_fen)) AS a
                WHERE w.state = 'approved'
            ) AS ends GROUP BY book, counterparty, account_kind HAVING sum(amount_fen) <> 0) AS off)
        + (SELECT count(*) FROM clearing_position p
           WHERE p.withheld_fen <> (
                SELECT coalesce(sum(CASE WHEN s.kind IN ('retention', 'deduction') THEN s.amount_fen
                    ELSE -s.amount_fen END), 0) FROM set_off s WHERE s.position_id = p.position_id)
              OR EXISTS (SELECT FROM set_off s WHERE s.position_id = p.position_id
                         AND (s.reversal_id IS NULL) = (p.state = 'replaced')))
        + (SELECT count(*) FROM withholding w
           WHERE CASE w.state WHEN 'approved' THEN w.amount_fen ELSE 0 END < (
                SELECT coalesce(sum(s.amount_fen), 0) FROM set_off s
                WHERE s.withholding_id = w.withholding_id AND s.reversal_id IS NULL)) AS withholdings_off
"""


@dataclass(frozen=True, slots=True)
class ClearingProof:
    """Cycles and prepayments against cases and ledger: how many are off."""

    positions_off: int
    """Positions that are not the sum of their hops, less what is withheld."""
    obligations_off: int
    """Parties whose positions in a cycle do not come to what they owe and are owed in its cases."""
    clearing_off: int
    """Clearing accounts that do not hold exactly what is not settled."""
    prepayments_off: int
    """Prepayments that are not what moved them."""
    withholdings_off: int
    """Accounts, positions and decisions that do not agree about what is retained and deducted."""


@dataclass(frozen=True, slots=True)
class CycleSums:
    """What a cycle comes to now, without the cases that left it. Amounts in fen."""

    cases: int
    cases_left: int
    obligations_fen: int
    positions: int
    positions_fen: int
    settled: int
    settled_fen: int


@dataclass(frozen=True, slots=True)
class ProofLine:
    """What one hop adds to a position, beside the hop and its case. Amounts in fen."""

    case_id: str
    hop_no: int
    adds_fen: int
    kind: str
    payer: str
    payee: str
    hop_fen: int
    state: str
    facility_code: str
    period: str
    care_region: str
    home_region: str
    bill_count: int
    numbers_hash: str
    carried_in: int
    carried_out: int


@dataclass(frozen=True, slots=True)
class CycleCase:
    """A case in a cycle, and whom it waits for."""

    cycle_id: str
    case_id: str
    facility_code: str
    period: str
    care_region: str
    home_region: str
    chain: Sequence[str]
    state: str
    payable_fen: int
    confirmed_at: datetime
    left_at: datetime | None
    left_because_of: str | None
    """Who did not pay, so that it left the cycle."""
    waits_for: Sequence[str]
    """Whose positions with this case are not settled."""


async def cycle_seen(tx: Connection, cycle_id: str, facility_code: str | None, areas: Sequence[str]) -> bool:
    """Whether a caller sees a cycle."""
    return bool(await tx.fetchval(CYCLE_SEEN, list(areas), facility_code or "", cycle_id))


async def cycles(
    tx: Connection, facility_code: str | None, areas: Sequence[str], *, region: str | None, after: str, limit: int
) -> list[Cycle]:
    """The cycles a caller sees, by id."""
    return rows_to(Cycle, await tx.fetch(CYCLES, list(areas), facility_code or "", region, after, limit))


async def cycle_sums(tx: Connection, cycle_id: str) -> CycleSums:
    """What a cycle comes to."""
    return sums_to(CycleSums, await tx.fetch(CYCLE_SUMS, cycle_id, timeout=CLEARING_TIMEOUT_S))[0]


async def positions_of_cycle(
    tx: Connection, cycle_id: str, parties: Sequence[str] | None, *, state: str | None, after: str, limit: int
) -> list[Position]:
    """Positions of a cycle, of some parties or all, by id."""
    wanted = None if parties is None else list(parties)
    return rows_to(Position, await tx.fetch(POSITIONS_OF_CYCLE, cycle_id, wanted, state, after, limit))


async def proof(tx: Connection, position_id: str, after: tuple[str, int], limit: int) -> list[ProofLine]:
    """What makes up a position, by case and hop."""
    return rows_to(ProofLine, await tx.fetch(PROOF, position_id, *after, limit))


async def cases_of_cycle(
    tx: Connection, cycle_id: str, facility_code: str | None, areas: Sequence[str] | None, after: str, limit: int
) -> list[CycleCase]:
    """The cases of a cycle that a caller sees, by id; those that left it too."""
    wanted = None if areas is None else list(areas)
    return rows_to(CycleCase, await tx.fetch(CASES_OF_CYCLE, cycle_id, facility_code, wanted, after, limit))


async def cycles_of_case(tx: Connection, case_id: str) -> list[CycleCase]:
    """The cycles that took a case, the newest last."""
    return rows_to(CycleCase, await tx.fetch(CYCLES_OF_CASE, case_id))


async def positions_of_case(tx: Connection, case_id: str) -> list[Position]:
    """The positions a case is in."""
    return rows_to(Position, await tx.fetch(POSITIONS_OF_CASE, case_id))


async def prove_clearing(tx: Connection) -> ClearingProof:
    """Cycles and prepayments added up."""
    return rows_to(ClearingProof, await tx.fetch(PROOF_CLEARING, timeout=PROOF_TIMEOUT_S))[0]
