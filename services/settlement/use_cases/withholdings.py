"""What an agency keeps back of what it pays a facility (扣留): decided by two people, and set off against positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from services.settlement import errors
from services.settlement.rules.cases import Payment
from services.settlement.rules.ledger import Transfer, entries, forfeit_transfers, set_off_transfers
from services.settlement.rules.netting import Net
from services.settlement.rules.payouts import check_words
from services.settlement.rules.withholdings import (
    SetOff,
    WithholdingKind,
    check_decision,
    check_release,
    check_return,
    released_fen,
    set_offs,
    set_offs_in_turn,
    withheld_fen,
)
from services.settlement.store import bills as bill_store
from services.settlement.store import clearing as clearing_store
from services.settlement.store import withholdings as store
from services.settlement.store.bills import Transaction
from services.settlement.store.clearing import NewPosition
from services.settlement.store.withholdings import NewWithholding, Pair, WithholdingRow
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.auth import NOT_YOUR_AREA, Principal
from shared.database import Connection
from shared.events import new_id
from shared.events.settlement import WithholdingApproved
from shared.outbox import announce_now
from shared.refusals import Refusal, Refused
from shared.workdays import month_of, shanghai_day


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be deducted of what a facility is paid, or given back of a deduction. In fen."""

    facility_code: str
    amount_fen: int
    returns_withholding_id: str | None
    reason: str


# Positions


async def withhold(
    parts: Settlement, tx: Connection, nets: Sequence[Net], now: datetime
) -> list[tuple[Net, list[SetOff]]]:
    """Positions that are about to be written, with what is set off against them: by terms, and by what waits."""
    pairs = {(n.payer, n.payee) for n in nets if n.payee == n.facility_code}
    terms = await terms_at(parts, tx, {payer for payer, _ in pairs}, shanghai_day(now))
    waiting = await store.waiting(tx, pairs)
    made = []
    for n in nets:
        pair = (n.payer, n.payee)
        permille = terms[n.payer].retention_permille if pair in pairs else 0
        taken = set_offs(n.amount_fen, permille, waiting.get(pair, []))
        made.append((replace(n, withheld_fen=withheld_fen(taken)), taken))
    return made


async def book(
    parts: Settlement, tx: Connection, made: Sequence[tuple[NewPosition, Sequence[SetOff]]], now: datetime
) -> None:
    """What is set off against positions, in the books of both, under its own ids."""
    rows = [(new_id(), position, what) for position, taken in made for what in taken]
    if not rows:
        return
    await store.add_set_offs(tx, [(i, position.position_id, None, what) for i, position, what in rows], now)
    booked = [
        _transaction(i, _transfers((p.net.payer, p.net.payee), what.kind, what.withheld_fen), now)
        for i, p, what in rows
    ]
    await bill_store.add_transactions(tx, booked, parts.ledger_key, now)


async def take_back(parts: Settlement, tx: Connection, position_ids: Sequence[str], now: datetime) -> None:
    """Positions count no more: what was set off against them is booked back, and waits for what replaces them."""
    reversals = {}
    booked = []
    for row in await store.live(tx, position_ids):
        what = SetOff(WithholdingKind(row.kind), row.amount_fen)
        transfers = _transfers((row.agency, row.facility_code), what.kind, -what.withheld_fen)
        reversals[row.set_off_id] = new_id()
        booked.append(_transaction(reversals[row.set_off_id], transfers, now, reverses=row.set_off_id))
    if booked:
        await store.reverse(tx, reversals)
        await bill_store.add_transactions(tx, booked, parts.ledger_key, now)


def _transfers(pair: Pair, kind: WithholdingKind, amount_fen: int, *, netted: bool = True) -> list[Transfer]:
    retained = kind in (WithholdingKind.RETENTION, WithholdingKind.RETENTION_RELEASE)
    return set_off_transfers(*pair, amount_fen, retained=retained, netted=netted)


def _transaction(
    transaction_id: str, transfers: Sequence[Transfer], now: datetime, *, reverses: str | None = None
) -> Transaction:
    today = shanghai_day(now)
    return Transaction(
        transaction_id=transaction_id,
        kind="withholding" if reverses is None else "withholding_reversal",
        case_id=None,
        period=month_of(today),
        value_date=today,
        reverses_transaction_id=reverses,
        entries=entries(transfers),
    )


# Payments of last hops


async def lock(parts: Settlement, tx: Connection, payer: str, now: datetime) -> bool:
    """Whether a payer withholds anything from facilities now; if so, nobody else sets off until the transaction ends.

    Before any case is locked, as everybody locks.
    """
    if payer not in parts.regions:
        return False
    terms = (await terms_at(parts, tx, [payer], shanghai_day(now)))[payer]
    if not terms.retention_permille and not await store.any_waiting(tx, payer):
        return False
    await clearing_store.lock(tx)
    return True


async def withhold_from_payments(
    parts: Settlement, tx: Connection, to_facilities: Sequence[Payment], now: datetime
) -> list[tuple[Payment, list[SetOff]]]:
    """Payments of one payer to facilities that are about to be written, with what is set off against them."""
    payer = to_facilities[0].payer
    terms = (await terms_at(parts, tx, [payer], shanghai_day(now)))[payer]
    waiting = await store.waiting(tx, {(payer, p.payee) for p in to_facilities})
    made = []
    for facility in sorted({p.payee for p in to_facilities}):
        own = [p for p in to_facilities if p.payee == facility]
        amounts = [p.amount_fen for p in own]
        taken = set_offs_in_turn(amounts, terms.retention_permille, waiting.get((payer, facility), []))
        made += [(replace(p, amount_fen=p.amount_fen - withheld_fen(t)), t) for p, t in zip(own, taken, strict=True)]
    return made


async def set_off_payments(tx: Connection, made: Sequence[tuple[Payment, Sequence[SetOff]]], now: datetime) -> None:
    """What is set off against payments that are proposed. It is booked when they are paid."""
    rows = [(new_id(), None, payment.payment_id, what) for payment, taken in made for what in taken]
    if rows:
        await store.add_set_offs(tx, rows, now)


async def transactions_of(
    tx: Connection, payment_ids: Sequence[str], now: datetime, paid_on: date
) -> list[Transaction]:
    """What is set off against payments that are paid now, in the books of both, under its own ids."""
    booked = []
    for row in await store.set_offs_of_payments(tx, payment_ids):
        what = SetOff(WithholdingKind(row.kind), row.amount_fen)
        transfers = _transfers((row.agency, row.facility_code), what.kind, what.withheld_fen, netted=False)
        booked.append(_transaction(row.set_off_id, transfers, now)._replace(case_id=row.case_id, value_date=paid_on))
    return booked


# Deciding


async def propose(tx: Connection, principal: Principal, said: Said, now: datetime) -> WithholdingRow:
    """An officer of the care agency proposes a deduction, or to give back a part of one. Raises Refused."""
    pair = (principal.party, said.facility_code)
    wrong = check_words("/reason", said.reason, shanghai_day(now))
    if said.returns_withholding_id is None:
        kind = WithholdingKind.DEDUCTION
        wrong += await _facility_wrong(tx, principal, said.facility_code)
    else:
        kind = WithholdingKind.DEDUCTION_RETURN
        wrong += check_return(said.amount_fen, await store.deduction_left(tx, said.returns_withholding_id, pair))
    if wrong:
        raise Refused(*wrong)
    new = NewWithholding(*pair, kind, said.amount_fen, 0, None, None, said.returns_withholding_id, said.reason)
    return await _add(tx, principal, new, now)


async def _facility_wrong(tx: Connection, principal: Principal, facility_code: str) -> list[Refusal]:
    """An agency deducts of what it pays itself: to the facilities in its region."""
    region = await bill_store.facility_region(tx, facility_code)
    if region is None:
        return [errors.PARTY_UNKNOWN(party=facility_code)]
    return [] if region == principal.party else [NOT_YOUR_AREA(party=facility_code)]


async def propose_release(
    parts: Settlement,
    tx: Connection,
    principal: Principal,
    review: tuple[str, int, Decimal],
    reason: str,
    now: datetime,
) -> WithholdingRow:
    """An officer says what the yearly review (facility, year, level index) gives back of what was retained.

    Raises Refused.
    """
    facility_code, year, level_index = review
    found = await store.retained(tx, (principal.party, facility_code), year)
    today = shanghai_day(now)
    wrong = check_words("/reason", reason, today)
    wrong += check_release(year, today.year, found.retained_fen, found.unsettled, decided=found.decided)
    if wrong:
        raise Refused(*wrong)
    back_fen = released_fen(found.retained_fen, level_index, parts.settings.retention_full_index)
    new = NewWithholding(
        agency=principal.party,
        facility_code=facility_code,
        kind=WithholdingKind.RETENTION_RELEASE,
        amount_fen=back_fen,
        kept_fen=found.retained_fen - back_fen,
        year=year,
        level_index=level_index,
        returns_withholding_id=None,
        reason=reason,
    )
    return await _add(tx, principal, new, now)


async def _add(tx: Connection, principal: Principal, new: NewWithholding, now: datetime) -> WithholdingRow:
    withholding_id = new_id()
    if not await store.add(tx, withholding_id, new, principal.subject, now):
        raise Refused(errors.RETENTION_RELEASED(pointer="/year", year=new.year or 0))
    return await _row(tx, withholding_id)


async def decide(
    parts: Settlement, tx: Connection, principal: Principal, withholding_id: str, now: datetime, *, approved: bool
) -> WithholdingRow:
    """Another person of the agency agrees, or not. What is set off waits for the next position. Raises Refused."""
    row = await _row(tx, withholding_id, locked=True)
    if row.agency != principal.party:
        raise Refused(NOT_YOUR_AREA(party=row.agency))
    if wrong := check_decision(row.state, row.proposed_by, principal.subject):
        raise Refused(*wrong)
    await store.decide(tx, withholding_id, "approved" if approved else "refused", principal.subject, now)
    if approved:
        await announce_now(tx, [_approved(row)], now)
    if approved and row.kept_fen:
        kept = _transaction(withholding_id, forfeit_transfers(row.agency, row.facility_code, row.kept_fen), now)
        await bill_store.add_transactions(tx, [kept], parts.ledger_key, now)
    return await _row(tx, withholding_id)


def _approved(row: WithholdingRow) -> WithholdingApproved:
    return WithholdingApproved(
        withholding_id=row.withholding_id,
        region=row.agency,
        facility_code=row.facility_code,
        kind=row.kind,
        amount_fen=row.amount_fen,
        kept_fen=row.kept_fen,
    )


async def _row(tx: Connection, withholding_id: str, *, locked: bool = False) -> WithholdingRow:
    row = await store.row(tx, withholding_id, locked=locked)
    if row is None:
        raise Refused(errors.WITHHOLDING_UNKNOWN())
    return row
