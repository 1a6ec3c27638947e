"""Cycles: the cases they take, their positions with the proof, and what is settled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from services.settlement.rules.netting import Brought, Carried, Leg, Net
from services.settlement.store.bills import columns
from shared.database import Connection, rows_to

# One change of cycles at a time: what a facility owes may be carried from the cycle of one agency to that of another.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('settlement.clearing'))"
LOCK_CONFIRMED = """
    SELECT case_id FROM settlement_case WHERE clearing_region = $1 AND state = 'confirmed'
    ORDER BY case_id FOR NO KEY UPDATE SKIP LOCKED
"""
# Asked once the cases are locked, because what their hops say was read before. A case that somebody is about to pay is
# left to a later cycle.
TO_CLEAR = """
    SELECT c.case_id, (SELECT max(f.confirmed_at) FROM confirmation f WHERE f.case_id = c.case_id) AS confirmed_at
    FROM settlement_case c
    WHERE c.case_id = ANY($1::text[]) AND c.state = 'confirmed'
      AND NOT EXISTS (SELECT FROM hop h WHERE h.case_id = c.case_id AND h.state NOT IN ('waiting', 'payable'))
    ORDER BY c.case_id
"""
REGIONS_TO_CLEAR = """
    SELECT DISTINCT clearing_region FROM settlement_case c
    WHERE state = 'confirmed' AND NOT EXISTS (
        SELECT FROM clearing_cycle y WHERE y.clearing_region = c.clearing_region AND y.month = $1)
    ORDER BY clearing_region
"""
CYCLE_NO = "SELECT coalesce(max(cycle_no), 0) + 1 FROM clearing_cycle WHERE clearing_region = $1"
CYCLE_INSERT = """
    INSERT INTO clearing_cycle (cycle_id, clearing_region, cycle_no, netting, month, cut_by, cut_at, netting_hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
CASES_TAKE = """
    INSERT INTO clearing_case (cycle_id, case_id, transaction_id, confirmed_at)
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::timestamptz[])
"""
CASES_LEAVE = """
    UPDATE clearing_case c SET left_at = $2, left_because = $3, reversal_id = n.reversal_id
    FROM unnest($4::text[], $5::text[]) AS n(case_id, reversal_id)
    WHERE c.cycle_id = $1 AND c.case_id = n.case_id
"""
TAKEN = """
    SELECT case_id, transaction_id FROM clearing_case
    WHERE cycle_id = $1 AND case_id = ANY($2::text[]) AND left_at IS NULL
"""
CARRIED = """
    SELECT position_id, payer, payee, amount_fen FROM clearing_position
    WHERE state = 'carried' AND (payer, payee) IN (SELECT * FROM unnest($1::text[], $2::text[])) FOR UPDATE
"""
POSITIONS_INSERT = """
    INSERT INTO clearing_position
        (position_id, cycle_id, payer, payee, facility_code, amount_fen, brought_position_id, brought_fen,
         withheld_fen, state, due_on, made_at)
    SELECT i, $1, p, q, c, a, b, f, w, s, d, $2
    FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bigint[], $10::bigint[],
        $11::text[], $12::date[]) AS n(i, p, q, c, a, b, f, w, s, d)
"""
HOPS_INSERT = """
    INSERT INTO position_hop (position_id, case_id, hop_no, cycle_id, amount_fen, live)
    SELECT p, c, h, $1, a, true FROM unnest($2::text[], $3::text[], $4::int[], $5::bigint[]) AS n(p, c, h, a)
"""
HOPS_TAKEN = "UPDATE hop SET state = 'in_position' WHERE case_id = ANY($1::text[])"
HOPS_LET_GO = """
    UPDATE hop SET state = CASE hop_no WHEN 1 THEN 'payable' ELSE 'waiting' END WHERE case_id = ANY($1::text[])
"""
POSITIONS_MOVE = "UPDATE clearing_position SET state = $2 WHERE position_id = ANY($1::text[])"
HOPS_DEAD = "UPDATE position_hop SET live = false WHERE position_id = ANY($1::text[])"
# With a position that brought one of an earlier cycle, that one is settled too.
_WITH_EARLIER = """
    WITH RECURSIVE found AS (
        SELECT position_id, brought_position_id FROM clearing_position WHERE position_id = ANY($1::text[])
        UNION ALL
        SELECT p.position_id, p.brought_position_id
        FROM clearing_position p JOIN found f ON p.position_id = f.brought_position_id)
"""
WITH_EARLIER = _WITH_EARLIER + " SELECT position_id FROM found"
CASES_OF_POSITIONS = """
    SELECT DISTINCT case_id FROM position_hop WHERE position_id = ANY($1::text[]) AND live ORDER BY case_id
"""
POSITIONS_SETTLE = """
    UPDATE clearing_position SET state = 'settled', settled_at = $3,
        settled_by = CASE WHEN position_id = ANY($2::text[]) THEN $4 ELSE 'later_position' END
    WHERE position_id = ANY($1::text[])
"""
HOPS_PAID = """
    UPDATE hop h SET state = 'paid' FROM position_hop p
    WHERE p.position_id = ANY($1::text[]) AND p.live AND h.case_id = p.case_id AND h.hop_no = p.hop_no
    RETURNING h.case_id, h.hop_no
"""
DRAW_PROPOSE = """
    INSERT INTO prepayment_draw (position_id, proposed_by, proposed_at) VALUES ($1, $2, $3)
    ON CONFLICT (position_id) DO UPDATE SET proposed_by = EXCLUDED.proposed_by, proposed_at = EXCLUDED.proposed_at
    WHERE prepayment_draw.approved_by IS NULL
"""
DRAW = "SELECT proposed_by FROM prepayment_draw WHERE position_id = $1 AND approved_by IS NULL FOR UPDATE"
DRAW_APPROVE = "UPDATE prepayment_draw SET approved_by = $2, approved_at = $3 WHERE position_id = $1"
POSITION_COLUMNS = """
    p.position_id, p.cycle_id, p.payer, p.payee, p.facility_code, p.amount_fen, p.brought_position_id, p.brought_fen,
    p.withheld_fen, p.state, p.made_at, p.due_on, p.suspended_on, p.settled_at, p.settled_by
"""
POSITIONS = (
    f"SELECT {POSITION_COLUMNS} FROM clearing_position p WHERE position_id = ANY($1::text[]) ORDER BY position_id"
)
POSITIONS_LOCKED = POSITIONS + " FOR UPDATE"
LEGS = """
    SELECT position_id, case_id, hop_no, amount_fen FROM position_hop
    WHERE position_id = ANY($1::text[]) ORDER BY position_id, case_id, hop_no
"""
TOUCHED = """
    SELECT DISTINCT position_id FROM position_hop WHERE cycle_id = $1 AND case_id = ANY($2::text[]) AND live
"""
# Of a position's cases those that no other party relies on yet: nothing of them is paid or on its way, and they can
# leave the cycle. In the order in which they were confirmed.
CAN_LEAVE = """
    SELECT c.case_id FROM clearing_case c
    WHERE c.cycle_id = $1 AND c.left_at IS NULL
      AND c.case_id IN (SELECT case_id FROM position_hop WHERE position_id = $2 AND amount_fen > 0)
      AND NOT EXISTS (
          SELECT FROM position_hop h JOIN clearing_position p USING (position_id)
          WHERE h.cycle_id = $1 AND h.case_id = c.case_id AND h.live AND p.state NOT IN ('open', 'carried'))
    ORDER BY c.confirmed_at, c.case_id
"""
# A payer waits for whoever owes it the money of the same case.
WAITING = """
    SELECT DISTINCT q.position_id, p.position_id AS for_position, p.payer
    FROM clearing_position q
    JOIN position_hop qh ON qh.position_id = q.position_id AND qh.live AND qh.amount_fen > 0
    JOIN position_hop ph ON ph.cycle_id = q.cycle_id AND ph.case_id = qh.case_id AND ph.live AND ph.amount_fen > 0
    JOIN clearing_position p ON p.position_id = ph.position_id
    WHERE q.cycle_id = $1 AND ($2::text[] IS NULL OR q.position_id = ANY($2)) AND q.state IN ('open', 'ordered')
      AND p.state IN ('open', 'ordered') AND p.payee = q.payer
    ORDER BY q.position_id, p.position_id
"""
WITHOUT_DUE = f"""
    SELECT {POSITION_COLUMNS} FROM clearing_position p WHERE cycle_id = $1 AND state = 'open' AND due_on IS NULL
    ORDER BY position_id
"""
OPEN_BETWEEN = f"""
    SELECT {POSITION_COLUMNS} FROM clearing_position p
    WHERE p.cycle_id = $1 AND p.payer = $2 AND p.payee = $3 AND p.state = 'open' AND p.amount_fen > 0
    ORDER BY p.position_id
"""
CYCLE_COLUMNS = "y.cycle_id, y.clearing_region, y.cycle_no, y.netting, y.month, y.cut_by, y.cut_at, y.netting_hash"
CYCLES_BY_ID = f"SELECT {CYCLE_COLUMNS} FROM clearing_cycle y WHERE cycle_id = ANY($1::text[]) ORDER BY cycle_id"

CLEARING_TIMEOUT_S = 60.0
"""A cycle of a whole region takes longer than the queries of daily work may."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """A cycle as it was cut."""

    cycle_id: str
    clearing_region: str
    cycle_no: int
    netting: str
    month: str
    cut_by: str | None
    cut_at: datetime
    netting_hash: str


@dataclass(frozen=True, slots=True)
class Position:
    """A position as it is kept. Amounts in fen."""

    position_id: str
    cycle_id: str
    payer: str
    payee: str
    facility_code: str | None
    amount_fen: int
    brought_position_id: str | None
    brought_fen: int
    withheld_fen: int
    state: str
    made_at: datetime
    due_on: date | None
    suspended_on: date | None
    settled_at: datetime | None
    settled_by: str | None

    def net(self, legs: Iterable[Leg]) -> Net:
        """The position as the rules see it."""
        brought = None if self.brought_position_id is None else Brought(self.brought_position_id, self.brought_fen)
        return Net(self.payer, self.payee, tuple(legs), self.facility_code, brought, self.withheld_fen)


class NewPosition(NamedTuple):
    """A position to be written."""

    position_id: str
    net: Net
    state: str
    due_on: date | None = None


async def lock(tx: Connection) -> None:
    """Nobody else cuts or nets cycles until the transaction ends."""
    await tx.execute(LOCK)


async def to_clear(tx: Connection, region: str) -> dict[str, datetime]:
    """The confirmed cases of which nothing is paid or proposed, locked, with the moment of their last confirmation."""
    locked = [row["case_id"] for row in await tx.fetch(LOCK_CONFIRMED, region, timeout=CLEARING_TIMEOUT_S)]
    rows = await tx.fetch(TO_CLEAR, locked, timeout=CLEARING_TIMEOUT_S)
    return {row["case_id"]: row["confirmed_at"] for row in rows}


async def regions_to_clear(tx: Connection, month: str) -> list[str]:
    """Clearing agencies with confirmed cases that cut no cycle in a month."""
    return [row["clearing_region"] for row in await tx.fetch(REGIONS_TO_CLEAR, month)]


async def next_cycle_no(tx: Connection, region: str) -> int:
    """The number of the next cycle of an agency."""
    return await tx.fetchval(CYCLE_NO, region)  # type: ignore[no-any-return]


async def add_cycle(tx: Connection, made: Cycle) -> None:
    """Write a cycle."""
    numbers = (made.cycle_no, made.netting, made.month)
    await tx.execute(
        CYCLE_INSERT, made.cycle_id, made.clearing_region, *numbers, made.cut_by, made.cut_at, made.netting_hash
    )


async def take_cases(tx: Connection, cycle_id: str, rows: Sequence[tuple[str, str, datetime]]) -> None:
    """Cases (id, transaction, confirmed at) are in a cycle, and their hops in its positions."""
    await tx.execute(CASES_TAKE, cycle_id, *columns(rows, 3), timeout=CLEARING_TIMEOUT_S)
    await tx.execute(HOPS_TAKEN, [row[0] for row in rows], timeout=CLEARING_TIMEOUT_S)


async def let_go(tx: Connection, cycle_id: str, reversals: Mapping[str, str], because: str, at: datetime) -> None:
    """Cases leave a cycle, each by the transaction that takes its clearing back; their hops can be paid as before."""
    await tx.execute(CASES_LEAVE, cycle_id, at, because, list(reversals), list(reversals.values()))
    await tx.execute(HOPS_LET_GO, list(reversals))


async def taken(tx: Connection, cycle_id: str, case_ids: Iterable[str]) -> dict[str, str]:
    """The transactions by which a cycle took cases."""
    return {row["case_id"]: row["transaction_id"] for row in await tx.fetch(TAKEN, cycle_id, list(case_ids))}


async def carried(tx: Connection, pairs: Collection[tuple[str, str]]) -> list[Carried]:
    """What these payers owe these payees from earlier cycles, locked."""
    return rows_to(Carried, await tx.fetch(CARRIED, *columns(list(pairs), 2)))


async def add_positions(tx: Connection, cycle_id: str, positions: Sequence[NewPosition], at: datetime) -> None:
    """Write positions with their proofs."""
    # What was carried counts no more before what brings it is written: that may be carried itself.
    await move_positions(tx, [p.net.brought.position_id for p in positions if p.net.brought], "brought")
    await tx.execute(
        POSITIONS_INSERT, cycle_id, at, *columns(list(map(_position_row, positions)), 10), timeout=CLEARING_TIMEOUT_S
    )
    legs = [(p.position_id, *leg) for p in positions for leg in p.net.legs]
    await tx.execute(HOPS_INSERT, cycle_id, *columns(legs, 4), timeout=CLEARING_TIMEOUT_S)


def _position_row(new: NewPosition) -> tuple[object, ...]:
    n = new.net
    brought = (None, 0) if n.brought is None else n.brought
    amounts = (n.amount_fen, *brought, n.withheld_fen)
    return (new.position_id, n.payer, n.payee, n.facility_code, *amounts, new.state, new.due_on)


async def move_positions(tx: Connection, position_ids: Sequence[str], state: str) -> None:
    """Write the state of positions that is not about being settled."""
    await tx.execute(POSITIONS_MOVE, list(position_ids), state)


async def replace_positions(tx: Connection, position_ids: Sequence[str]) -> None:
    """Positions count no more: others stand in their place."""
    await tx.execute(HOPS_DEAD, list(position_ids))
    await move_positions(tx, position_ids, "replaced")


async def with_earlier(tx: Connection, position_ids: Sequence[str]) -> list[str]:
    """Positions, and those of earlier cycles that they brought."""
    return [row["position_id"] for row in await tx.fetch(WITH_EARLIER, list(position_ids))]


async def cases_of_positions(tx: Connection, position_ids: Sequence[str]) -> list[str]:
    """The cases that positions are made of."""
    rows = await tx.fetch(CASES_OF_POSITIONS, list(position_ids), timeout=CLEARING_TIMEOUT_S)
    return [row["case_id"] for row in rows]


async def settle(
    tx: Connection, all_ids: Sequence[str], position_ids: Sequence[str], how: str, at: datetime
) -> list[tuple[str, int]]:
    """Positions are settled, those that they brought with them; the hops that are paid by it: case and number."""
    await tx.execute(POSITIONS_SETTLE, list(all_ids), list(position_ids), at, how)
    rows = await tx.fetch(HOPS_PAID, list(all_ids), timeout=CLEARING_TIMEOUT_S)
    return [(row["case_id"], row["hop_no"]) for row in rows]


async def positions(tx: Connection, position_ids: Iterable[str], *, locked: bool = False) -> dict[str, Position]:
    """Positions by id."""
    wanted = sorted(set(position_ids))
    rows = await (tx.fetch(POSITIONS_LOCKED, wanted) if locked else tx.fetch(POSITIONS, wanted))
    return {p.position_id: p for p in rows_to(Position, rows)}


async def nets(tx: Connection, found: Mapping[str, Position]) -> dict[str, Net]:
    """Positions with their proofs, as the rules see them."""
    legs: defaultdict[str, list[Leg]] = defaultdict(list)
    for row in await tx.fetch(LEGS, list(found), timeout=CLEARING_TIMEOUT_S):
        legs[row["position_id"]].append(Leg(row["case_id"], row["hop_no"], row["amount_fen"]))
    return {position_id: position.net(legs[position_id]) for position_id, position in found.items()}


async def touched(tx: Connection, cycle_id: str, case_ids: Sequence[str]) -> list[str]:
    """The positions of a cycle in which some cases are."""
    return [row["position_id"] for row in await tx.fetch(TOUCHED, cycle_id, list(case_ids))]


async def can_leave(tx: Connection, cycle_id: str, position_id: str) -> list[str]:
    """The cases that can leave because a position is not paid, in the order of their confirmation."""
    return [row["case_id"] for row in await tx.fetch(CAN_LEAVE, cycle_id, position_id, timeout=CLEARING_TIMEOUT_S)]


async def waiting(tx: Connection, cycle_id: str, position_ids: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Which positions of a cycle wait, and for whose money."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    wanted = None if position_ids is None else list(position_ids)
    for row in await tx.fetch(WAITING, cycle_id, wanted, timeout=CLEARING_TIMEOUT_S):
        if row["payer"] not in found[row["position_id"]]:
            found[row["position_id"]].append(row["payer"])
    return dict(found)


async def without_due(tx: Connection, cycle_id: str) -> list[Position]:
    """Open positions of a cycle whose clock did not start."""
    return rows_to(Position, await tx.fetch(WITHOUT_DUE, cycle_id))


async def open_between(tx: Connection, cycle_id: str, payer: str, payee: str) -> list[Position]:
    """What a party still has to pay another one in a cycle."""
    return rows_to(Position, await tx.fetch(OPEN_BETWEEN, cycle_id, payer, payee))


async def cycles_by_id(tx: Connection, cycle_ids: Iterable[str]) -> list[Cycle]:
    """Cycles, by id."""
    return rows_to(Cycle, await tx.fetch(CYCLES_BY_ID, list(cycle_ids)))


async def cycle(tx: Connection, cycle_id: str) -> Cycle | None:
    """One cycle."""
    return next(iter(await cycles_by_id(tx, [cycle_id])), None)


async def propose_draw(tx: Connection, position_id: str, subject: str, at: datetime) -> None:
    """Somebody proposes to pay a position out of its payer's prepayment; the last who did counts."""
    await tx.execute(DRAW_PROPOSE, position_id, subject, at)


async def draw_proposed_by(tx: Connection, position_id: str) -> str | None:
    """Who proposed to pay a position out of the prepayment, while nobody decided."""
    return await tx.fetchval(DRAW, position_id)  # type: ignore[no-any-return]


async def approve_draw(tx: Connection, position_id: str, subject: str, at: datetime) -> None:
    """Another person agrees."""
    await tx.execute(DRAW_APPROVE, position_id, subject, at)
