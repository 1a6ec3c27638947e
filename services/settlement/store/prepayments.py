"""Prepayments: their levels, what moved them, and how far a month uses them up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.settlement.rules.prepayments import Use
from services.settlement.store.bills import columns
from shared.database import Connection, rows_to

# Held is what was added, less what was given back or paid out of it; only what is settled counts.
_PREPAYMENT = """
    SELECT p.lender, p.holder, p.level_fen, p.level_year, p.use, p.use_month,
        coalesce(sum(CASE m.kind WHEN 'top_up' THEN m.amount_fen ELSE -m.amount_fen END)
            FILTER (WHERE m.state = 'settled'), 0)::bigint AS held_fen
    FROM prepayment p LEFT JOIN prepayment_movement m USING (lender, holder)
"""
_BY_PAIR = " GROUP BY p.lender, p.holder ORDER BY p.lender, p.holder"
PREPAYMENTS = f"""
    {_PREPAYMENT} WHERE (p.lender, p.holder) IN (SELECT * FROM unnest($1::text[], $2::text[])) {_BY_PAIR}
"""
PREPAYMENTS_LOCK = """
    SELECT lender FROM prepayment WHERE (lender, holder) IN (SELECT * FROM unnest($1::text[], $2::text[]))
    ORDER BY lender, holder FOR UPDATE
"""
PREPAYMENTS_SEEN = f"""
    {_PREPAYMENT} WHERE (p.lender = ANY($1::text[]) OR p.holder = ANY($1::text[])) AND p.lender || ':' || p.holder > $2
    GROUP BY p.lender, p.holder ORDER BY p.lender || ':' || p.holder LIMIT $3
"""
PREPAYMENT_ADD = """
    INSERT INTO prepayment (lender, holder, level_fen, level_year, use, use_month) VALUES ($1, $2, 0, 0, 'low', $3)
    ON CONFLICT DO NOTHING
"""
LEVEL_SET = "UPDATE prepayment SET level_fen = $3, level_year = $4 WHERE lender = $1 AND holder = $2"
USE_SET = """
    UPDATE prepayment SET use = $3, use_month = $4, warned_on = CASE
        WHEN $3 = 'low' THEN NULL WHEN (use, use_month) = ($3, $4) THEN warned_on ELSE $5::date END
    WHERE lender = $1 AND holder = $2
"""
# Whose level is of an earlier year: it was set then, or there was a deposit already.
LEVELS_OF_EARLIER_YEARS = """
    SELECT lender, holder FROM prepayment p
    WHERE level_year < $1 AND (level_year > 0 OR EXISTS (
        SELECT FROM prepayment_movement m WHERE (m.lender, m.holder) = (p.lender, p.holder)
          AND m.state = 'settled' AND m.settled_at < $2))
    ORDER BY holder, lender
"""
# What the lender owed the holder in the positions of a month, and what was paid out of the prepayment for them.
CLEARED = """
    SELECT coalesce(sum(p.amount_fen), 0)::bigint AS cleared_fen, coalesce(sum(m.amount_fen), 0)::bigint AS drawn_fen
    FROM clearing_position p JOIN clearing_cycle y USING (cycle_id)
    LEFT JOIN prepayment_movement m USING (position_id)
    WHERE p.payer = $1 AND p.payee = $2 AND p.state <> 'replaced' AND y.month = $3
"""
# By month of care what home owed the agency that clears for it, as its cases were confirmed.
OWED_BY_MONTH = """
    SELECT c.period, sum(CASE WHEN h.payer = $1 THEN h.amount_fen ELSE -h.amount_fen END)::bigint AS owed_fen
    FROM hop h JOIN settlement_case c USING (case_id)
    WHERE c.period BETWEEN $3 AND $4
      AND ((h.payer = $1 AND h.payee = $2 AND h.kind = 'remittance' AND c.payable_fen > 0)
        OR (h.payer = $2 AND h.payee = $1 AND h.kind = 'disbursement' AND c.payable_fen < 0))
    GROUP BY c.period ORDER BY c.period
"""
_MOVEMENT = """
    movement_id, lender, holder, kind, amount_fen, position_id, state, made_by, made_at, due_on, settled_at, asked_by,
    ended_by, ended_at
"""
MOVEMENT_INSERT = """
    INSERT INTO prepayment_movement
        (movement_id, lender, holder, kind, amount_fen, position_id, state, made_by, made_at, due_on, settled_at,
        asked_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
MOVEMENTS = f"SELECT {_MOVEMENT} FROM prepayment_movement WHERE movement_id = ANY($1::text[]) ORDER BY movement_id"
MOVEMENTS_LOCKED = MOVEMENTS + " FOR UPDATE"
MOVEMENTS_OF = f"""
    SELECT {_MOVEMENT} FROM prepayment_movement WHERE lender = $1 AND holder = $2 AND movement_id > $3
    ORDER BY movement_id LIMIT $4
"""
MOVEMENT_PENDING = """
    SELECT EXISTS (SELECT FROM prepayment_movement WHERE lender = $1 AND holder = $2 AND state IN ('open', 'ordered'))
"""
LEAVING = """
    SELECT coalesce(sum(amount_fen), 0)::bigint FROM prepayment_movement
    WHERE lender = $1 AND holder = $2 AND kind = 'give_back' AND state IN ('open', 'ordered')
"""
MOVEMENTS_MOVE = """
    UPDATE prepayment_movement SET state = $2, settled_at = $3 WHERE movement_id = ANY($1::text[])
"""


MOVEMENT_END = "UPDATE prepayment_movement SET state = $2, ended_by = $3, ended_at = $4 WHERE movement_id = $1"


@dataclass(frozen=True, slots=True)
class Prepayment:
    """A prepayment as it stands. Amounts in fen."""

    lender: str
    holder: str
    level_fen: int
    level_year: int
    """0 before the first level was set."""
    use: Use
    use_month: str
    held_fen: int
    """What the holder has of the lender now."""


@dataclass(frozen=True, slots=True)
class Movement:
    """What moves, or is to move, a prepayment. Amount in fen."""

    movement_id: str
    lender: str
    holder: str
    kind: str
    """top_up (追加), give_back (退回), draw (抵付)."""
    amount_fen: int
    position_id: str | None
    state: str
    """open, ordered, settled; withdrawn or declined before it was paid."""
    made_by: str | None
    made_at: datetime
    due_on: date | None
    settled_at: datetime | None
    asked_by: str | None = None
    """The lender, where it asked for this itself; None when the level of a year did."""
    ended_by: str | None = None
    ended_at: datetime | None = None

    @property
    def payer(self) -> str:
        """Who pays it."""
        return self.holder if self.kind == "give_back" else self.lender

    @property
    def payee(self) -> str:
        """Who is paid."""
        return self.lender if self.kind == "give_back" else self.holder


async def open_prepayment(tx: Connection, lender: str, holder: str, month: str) -> None:
    """There is a prepayment between two agencies from now on, if there was none."""
    await tx.execute(PREPAYMENT_ADD, lender, holder, month)


async def prepayments(
    tx: Connection, pairs: Collection[tuple[str, str]], *, locked: bool = False
) -> dict[tuple[str, str], Prepayment]:
    """The prepayments there are among some pairs of lender and holder."""
    arrays = columns(sorted(pairs), 2)
    if locked:
        await tx.fetch(PREPAYMENTS_LOCK, *arrays)
    return {(p.lender, p.holder): p for p in map(_prepayment, await tx.fetch(PREPAYMENTS, *arrays))}


async def prepayments_seen(tx: Connection, areas: Sequence[str], after: str, limit: int) -> list[Prepayment]:
    """The prepayments of some agencies, lent or held."""
    return [_prepayment(row) for row in await tx.fetch(PREPAYMENTS_SEEN, list(areas), after, limit)]


def _prepayment(row: Any) -> Prepayment:
    return Prepayment(**{**row, "use": Use(row["use"])})


async def set_level(tx: Connection, lender: str, holder: str, level_fen: int, year: int) -> None:
    """The level of a prepayment for a year."""
    await tx.execute(LEVEL_SET, lender, holder, level_fen, year)


async def set_use(tx: Connection, lender: str, holder: str, use: Use, month: str, on: date) -> None:
    """How far a month uses a prepayment up, as of a day."""
    await tx.execute(USE_SET, lender, holder, use, month, on)


async def levels_of_earlier_years(tx: Connection, year: int, began: datetime) -> list[tuple[str, str]]:
    """Lenders and holders whose level was not set in a year, which began at a moment, and was to be set in it."""
    return [(row["lender"], row["holder"]) for row in await tx.fetch(LEVELS_OF_EARLIER_YEARS, year, began)]


async def cleared(tx: Connection, lender: str, holder: str, month: str) -> tuple[int, int]:
    """What the lender owed the holder in the cycles of a month, and how much of it the prepayment paid. In fen."""
    (row,) = await tx.fetch(CLEARED, lender, holder, month)
    return row["cleared_fen"], row["drawn_fen"]


async def owed_by_month(tx: Connection, lender: str, holder: str, first: str, last: str) -> list[int]:
    """What the lender owed the holder as home agency in each month that had any, in fen."""
    return [row["owed_fen"] for row in await tx.fetch(OWED_BY_MONTH, lender, holder, first, last, timeout=60.0)]


async def add_movement(tx: Connection, movement: Movement) -> None:
    """Write a movement."""
    m = movement
    about = (m.movement_id, m.lender, m.holder, m.kind, m.amount_fen, m.position_id, m.state)
    await tx.execute(MOVEMENT_INSERT, *about, m.made_by, m.made_at, m.due_on, m.settled_at, m.asked_by)


async def movements(tx: Connection, movement_ids: Iterable[str], *, locked: bool = False) -> dict[str, Movement]:
    """Movements by id."""
    wanted = sorted(set(movement_ids))
    rows = await (tx.fetch(MOVEMENTS_LOCKED, wanted) if locked else tx.fetch(MOVEMENTS, wanted))
    return {m.movement_id: m for m in rows_to(Movement, rows)}


async def movement(tx: Connection, movement_id: str) -> Movement | None:
    """One movement."""
    return (await movements(tx, [movement_id])).get(movement_id)


async def movements_of(tx: Connection, lender: str, holder: str, after: str, limit: int) -> list[Movement]:
    """The movements of a prepayment, by id."""
    return rows_to(Movement, await tx.fetch(MOVEMENTS_OF, lender, holder, after, limit))


async def is_pending(tx: Connection, lender: str, holder: str) -> bool:
    """Whether a movement of a prepayment waits to be paid."""
    return await tx.fetchval(MOVEMENT_PENDING, lender, holder)  # type: ignore[no-any-return]


async def available(tx: Connection, lender: str, holder: str) -> int:
    """What can be paid out of a prepayment, which is locked: what is held and not about to be given back. In fen."""
    found = (await prepayments(tx, [(lender, holder)], locked=True)).get((lender, holder))
    leaving: int = await tx.fetchval(LEAVING, lender, holder)
    return 0 if found is None else max(0, found.held_fen - leaving)


async def end_movement(tx: Connection, movement_id: str, state: str, subject: str, at: datetime) -> None:
    """A top-up is withdrawn or declined."""
    await tx.execute(MOVEMENT_END, movement_id, state, subject, at)


async def move_movements(tx: Connection, movement_ids: Sequence[str], state: str, settled_at: datetime | None) -> None:
    """Write the state of movements."""
    await tx.execute(MOVEMENTS_MOVE, list(movement_ids), state, settled_at)
