"""Prepayments (预付金): their level of the year, what adds to them or takes from them, and their warnings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime

from services.settlement import errors
from services.settlement.rules.ledger import deposit_transfers, draw_transfers, entries
from services.settlement.rules.orders import check_amount
from services.settlement.rules.prepayments import Use, check_ending, level_fen, reset_day, use_of, worsened
from services.settlement.store import bills as bill_store
from services.settlement.store import prepayments as store
from services.settlement.store.bills import Transaction
from services.settlement.store.clearing import Position
from services.settlement.store.prepayments import Movement, Prepayment
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.auth import Principal
from shared.clock import Clock
from shared.database import Connection
from shared.events import Envelope, new_id
from shared.events.settlement import PrepaymentLow
from shared.outbox import announce
from shared.refusals import Refusal, Refused
from shared.telemetry import current_traceparent
from shared.workdays import SHANGHAI, month_of, shanghai_day


async def set_level(
    parts: Settlement, tx: Connection, principal: Principal, lender: str, year: int, now: datetime
) -> Prepayment:
    """The holder sets the level of a year. Raises Refused."""
    _check_pair(parts, lender, principal.party)
    await store.open_prepayment(tx, lender, principal.party, month_of(shanghai_day(now)))
    return await _renew_level(parts, tx, (lender, principal.party), year, principal.subject, now)


async def _renew_level(
    parts: Settlement, tx: Connection, pair: tuple[str, str], year: int, subject: str | None, now: datetime
) -> Prepayment:
    """The level of a year by what the lender owed the holder in the months of the year before (年度核定).

    What is held beyond the level is to be given back, what is missing to be added, by an order like any. Without a
    subject the calendar sets it. Raises Refused.
    """
    lender, holder = pair
    found = (await store.prepayments(tx, [pair], locked=True))[pair]
    if not found.level_year <= year <= shanghai_day(now).year:
        raise Refused(errors.PREPAYMENT_YEAR(pointer="/year", year=year))
    months = await store.owed_by_month(tx, lender, holder, f"{year - 1}-01", f"{year - 1}-12")
    level = level_fen(months, parts.settings.prepayment_average_months)
    if year == found.level_year and level == found.level_fen:
        return found
    if await store.is_pending(tx, lender, holder):
        raise Refused(errors.PREPAYMENT_PENDING())
    await store.set_level(tx, lender, holder, level, year)
    if level != found.held_fen:
        kind = "top_up" if level > found.held_fen else "give_back"
        await _add(parts, tx, pair, kind, abs(level - found.held_fen), subject, now)
    return (await store.prepayments(tx, [pair]))[pair]


async def renew_levels(parts: Settlement, clock: Clock) -> None:
    """Set the levels of the year from its day on, each once: a person pays what follows, by an order.

    One of which a movement is still on its way waits for that.
    """
    now = clock()
    today = shanghai_day(now)
    async with parts.database.read() as reader:
        pairs = await store.levels_of_earlier_years(reader, today.year, _began(today.year))
        terms = await terms_at(parts, reader, {holder for _, holder in pairs}, today)
    for pair in pairs:
        if today >= reset_day(today.year, terms[pair[1]].prepayment_reset_day):
            await _renew_once(parts, pair, now)


def _began(year: int) -> datetime:
    """The first moment of a year."""
    return datetime(year, 1, 1, tzinfo=SHANGHAI)


async def _renew_once(parts: Settlement, pair: tuple[str, str], now: datetime) -> None:
    """Set the level of this year, unless a person or another worker was faster, or a movement is on its way."""
    year = shanghai_day(now).year
    async with parts.database.transaction() as tx:
        found = (await store.prepayments(tx, [pair], locked=True))[pair]
        if found.level_year < year and not await store.is_pending(tx, *pair):
            await _renew_level(parts, tx, pair, year, None, now)


async def top_up(
    parts: Settlement, tx: Connection, principal: Principal, holder: str, amount_fen: int, now: datetime
) -> Movement:
    """The lender adds to its prepayment (追加): to be paid by an order. Raises Refused."""
    _check_pair(parts, principal.party, holder)
    await store.open_prepayment(tx, principal.party, holder, month_of(shanghai_day(now)))
    await store.prepayments(tx, [(principal.party, holder)], locked=True)
    if await store.is_pending(tx, principal.party, holder):
        raise Refused(errors.PREPAYMENT_PENDING())
    pair = (principal.party, holder)
    return await _add(parts, tx, pair, "top_up", amount_fen, principal.subject, now, asked_by=principal.party)


async def end_top_up(
    tx: Connection, principal: Principal, movement_id: str, now: datetime, *, withdrawn: bool
) -> Movement:
    """The lender takes back a top-up that nobody has ordered, or the holder declines it. Raises Refused."""
    found = (await store.movements(tx, [movement_id], locked=True)).get(movement_id)
    if found is None:
        raise Refused(errors.MOVEMENT_UNKNOWN())
    ends = found.lender if withdrawn else found.holder
    if wrong := check_ending(principal.party, ends, found.state, found.asked_by):
        raise Refused(*wrong)
    await store.end_movement(tx, movement_id, "withdrawn" if withdrawn else "declined", principal.subject, now)
    return await store.movement(tx, movement_id) or found


def _check_pair(parts: Settlement, lender: str, holder: str) -> None:
    if lender == holder or lender not in parts.regions or holder not in parts.regions:
        raise Refused(errors.PREPAYMENT_SELF())


async def _add(
    parts: Settlement,
    tx: Connection,
    pair: tuple[str, str],
    kind: str,
    amount_fen: int,
    subject: str | None,
    now: datetime,
    *,
    asked_by: str | None = None,
) -> Movement:
    due = parts.calendar.add(shanghai_day(now), parts.settings.prepayment_working_days)
    movement = Movement(
        movement_id=new_id(),
        lender=pair[0],
        holder=pair[1],
        kind=kind,
        amount_fen=amount_fen,
        position_id=None,
        state="open",
        made_by=subject,
        made_at=now,
        due_on=due.day,
        settled_at=None,
        asked_by=asked_by,
    )
    await store.add_movement(tx, movement)
    return movement


# Paying what is to be added or given back: an order takes it, and it is settled, or given back


async def take_movements(
    tx: Connection, party: str, movement_ids: Iterable[str]
) -> dict[str, Movement | list[Refusal]]:
    """Movements the caller's party is about to order the payment of; for each what speaks against it."""
    wanted = list(movement_ids)
    found = await store.movements(tx, wanted, locked=True)
    outcomes = {m: _taking(found.get(m), party) for m in wanted}
    await store.move_movements(tx, [m for m, o in outcomes.items() if isinstance(o, Movement)], "ordered", None)
    return outcomes


def _taking(movement: Movement | None, party: str) -> Movement | list[Refusal]:
    if movement is None:
        return [errors.MOVEMENT_UNKNOWN()]
    wrong = [errors.POSITION_NOT_YOURS(party=party)] if party != movement.payer else []
    if movement.state != "open":
        wrong.append(errors.POSITION_NOT_OPEN(state=movement.state))
    wrong += check_amount(movement.amount_fen)
    return wrong or movement


async def give_back_movements(tx: Connection, movement_ids: Sequence[str]) -> None:
    """The payment of movements came to nothing: they can be ordered again."""
    found = await store.movements(tx, movement_ids, locked=True)
    await store.move_movements(tx, [m.movement_id for m in found.values() if m.state == "ordered"], "open", None)


async def settle_movements(
    parts: Settlement, tx: Connection, movement_ids: Sequence[str], now: datetime, paid_on: date | None = None
) -> None:
    """Movements that were ordered are paid, today or on a day, and booked at both ends.

    Raises ValueError for one that is not ordered: whoever pays it took it before.
    """
    found = await store.movements(tx, movement_ids, locked=True)
    if wrong := [m for m in movement_ids if m not in found or found[m].state != "ordered"]:
        raise ValueError(f"not ordered: {wrong}")
    transactions = [_transaction(m, now, paid_on) for m in found.values()]
    await bill_store.add_transactions(tx, transactions, parts.ledger_key, now)
    await store.move_movements(tx, list(found), "settled", now)
    await watch(parts, tx, {(m.lender, m.holder) for m in found.values()}, now)


async def draw(parts: Settlement, tx: Connection, position: Position, now: datetime) -> None:
    """A position is paid out of its payer's prepayment with the payee (预付金抵付), which suffices."""
    movement = Movement(
        movement_id=new_id(),
        lender=position.payer,
        holder=position.payee,
        kind="draw",
        amount_fen=position.amount_fen,
        position_id=position.position_id,
        state="settled",
        made_by=None,
        made_at=now,
        due_on=None,
        settled_at=now,
    )
    await store.add_movement(tx, movement)
    await bill_store.add_transactions(tx, [_transaction(movement, now)], parts.ledger_key, now)


def _transaction(movement: Movement, now: datetime, paid_on: date | None = None) -> Transaction:
    today = shanghai_day(now)
    pair = movement.lender, movement.holder
    if movement.kind == "draw":
        transfers = draw_transfers(*pair, movement.amount_fen)
    else:
        transfers = deposit_transfers(*pair, movement.amount_fen if movement.kind == "top_up" else -movement.amount_fen)
    value_date = paid_on or today
    return Transaction(movement.movement_id, "prepayment", None, month_of(today), value_date, None, entries(transfers))


async def watch(parts: Settlement, tx: Connection, pairs: Collection[tuple[str, str]], now: datetime) -> None:
    """See how far the month has used up the prepayments of some payers and payees; a warning that is crossed is told.

    Each once: what was told stays until the month is over, or the use falls below it because something was added.
    """
    today, found = shanghai_day(now), await store.prepayments(tx, pairs, locked=True)
    terms = await terms_at(parts, tx, {holder for _, holder in found}, today)
    events = []
    for (lender, holder), before in found.items():
        month, own = month_of(today), terms[holder]
        cleared_fen, drawn_fen = await store.cleared(tx, lender, holder, month)
        deposit_fen = before.held_fen + drawn_fen
        warnings = {"yellow_percent": own.prepayment_yellow_percent, "red_percent": own.prepayment_red_percent}
        use = use_of(cleared_fen, deposit_fen, **warnings)
        if worsened(before.use if before.use_month == month else Use.LOW, use):
            event = PrepaymentLow(
                lender=lender,
                holder=holder,
                use=use,
                month=month,
                cleared_fen=cleared_fen,
                deposit_fen=deposit_fen,
                level_fen=before.level_fen,
            )
            events.append(Envelope(event, now, traceparent=current_traceparent()))
        await store.set_use(tx, lender, holder, use, month, today)
    await announce(tx, events)
