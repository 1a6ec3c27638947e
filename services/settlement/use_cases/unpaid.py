"""A party that does not pay its position (未上解): by the rule of its terms only what depends on it waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from services.settlement import errors
from services.settlement.rules.netting import Net, leaving, without
from services.settlement.rules.terms import Netting, UnpaidRule
from services.settlement.store import bills as bill_store
from services.settlement.store import cases as case_store
from services.settlement.store import clearing as store
from services.settlement.store import position_dues
from services.settlement.store import prepayments as prepayment_store
from services.settlement.store.cases import NewStep
from services.settlement.store.clearing import Cycle, Position
from services.settlement.use_cases import withholdings
from services.settlement.use_cases.clearing import add_positions, clearing_transaction, settle, start_clocks
from services.settlement.use_cases.hops import case_event
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.prepayments import draw, watch
from services.settlement.use_cases.terms import terms_at
from shared.auth import NOT_YOUR_AREA, Principal
from shared.database import Connection
from shared.events import new_id
from shared.events.settlement import CasePostponed
from shared.outbox import announce_now
from shared.refusals import Refused
from shared.workdays import shanghai_day


async def apply_rule(
    parts: Settlement,
    tx: Connection,
    principal: Principal,
    position_id: str,
    available_fen: int | None,
    now: datetime,
) -> list[str]:
    """The clearing agency applies the payer's rule to an overdue position; the cases that left the cycle by it.

    Postponed, every case leaves that nobody else relies on yet; paid in part or out of the prepayment, those that the
    money does not reach, in the order of their confirmation. The rest of the cycle is netted again without them.
    Raises Refused.
    """
    await store.lock(tx)
    position, cycle = await _overdue(tx, principal, position_id, shanghai_day(now))
    rule = (await terms_at(parts, tx, [position.payer], shanghai_day(now)))[position.payer].unpaid_rule
    money_fen = await _money(tx, rule, position, available_fen)
    own = (await store.nets(tx, {position_id: position}))[position_id]
    going = leaving(own, await store.can_leave(tx, cycle.cycle_id, position_id), money_fen)
    drawn = rule is UnpaidRule.PREPAYMENT
    if not going and not (drawn and position.amount_fen <= money_fen):
        raise Refused(errors.CASES_RELIED_ON())
    if going:
        await _postpone(parts, tx, cycle, position, going, principal, now)
    if drawn:
        await _draw(parts, tx, position, money_fen, now)
    await start_clocks(parts, tx, cycle, now)
    return going


async def deal(
    parts: Settlement, tx: Connection, principal: Principal, position_id: str, available_fen: int | None, now: datetime
) -> list[str] | None:
    """Apply the payer's rule, or, where that takes the payer's money, propose it: then None, and another decides.

    Raises Refused.
    """
    await store.lock(tx)
    today = shanghai_day(now)
    position, _ = await _overdue(tx, principal, position_id, today)
    if (await terms_at(parts, tx, [position.payer], today))[position.payer].unpaid_rule is not UnpaidRule.PREPAYMENT:
        return await apply_rule(parts, tx, principal, position_id, available_fen, now)
    await store.propose_draw(tx, position_id, principal.subject, now)
    return None


async def approve_draw(
    parts: Settlement, tx: Connection, principal: Principal, position_id: str, now: datetime
) -> list[str]:
    """Another person of the clearing agency agrees that a position is paid out of the prepayment. Raises Refused."""
    await store.lock(tx)
    await _overdue(tx, principal, position_id, shanghai_day(now))
    proposed_by = await store.draw_proposed_by(tx, position_id)
    if proposed_by is None:
        raise Refused(errors.DRAW_MISSING())
    if proposed_by == principal.subject:
        raise Refused(errors.SAME_PERSON())
    await store.approve_draw(tx, position_id, principal.subject, now)
    return await apply_rule(parts, tx, principal, position_id, None, now)


async def _overdue(tx: Connection, principal: Principal, position_id: str, today: date) -> tuple[Position, Cycle]:
    """An open position past its day, of a cycle of the caller's, and that cycle. Raises Refused."""
    position = (await store.positions(tx, [position_id], locked=True)).get(position_id)
    cycle = None if position is None else await store.cycle(tx, position.cycle_id)
    if position is None or cycle is None:
        raise Refused(errors.POSITION_UNKNOWN())
    if cycle.clearing_region != principal.party:
        raise Refused(NOT_YOUR_AREA(party=cycle.clearing_region))
    wrong = [errors.POSITION_OF_FACILITY()] if position.payer == position.facility_code else []
    if position.state != "open":
        wrong.append(errors.POSITION_NOT_OPEN(state=position.state))
    elif position.due_on is None or position.due_on >= today or position.suspended_on is not None:
        wrong.append(errors.POSITION_NOT_OVERDUE())
    if wrong:
        raise Refused(*wrong)
    return position, cycle


async def _money(tx: Connection, rule: UnpaidRule, position: Position, available_fen: int | None) -> int:
    """How much there is for the position by a rule, in fen. Raises Refused."""
    match rule:
        case UnpaidRule.POSTPONE:
            return 0
        case UnpaidRule.PREPAYMENT:
            return await prepayment_store.available(tx, position.payer, position.payee)
        case UnpaidRule.PART_PAY:
            if available_fen is None:
                raise Refused(errors.AVAILABLE_MISSING(pointer="/available_fen"))
            if available_fen >= position.amount_fen:
                raise Refused(errors.AVAILABLE_IN_FULL(pointer="/available_fen"))
            return available_fen


async def _postpone(
    parts: Settlement,
    tx: Connection,
    cycle: Cycle,
    position: Position,
    going: Sequence[str],
    principal: Principal,
    now: datetime,
) -> None:
    """Cases leave a cycle, and what is left of it is netted again."""
    await case_store.lock_cases(tx, going)
    replaced = await store.positions(tx, await store.touched(tx, cycle.cycle_id, going), locked=True)
    nets = [without(net, set(going)) for net in (await store.nets(tx, replaced)).values()]
    await store.replace_positions(tx, list(replaced))
    await withholdings.take_back(parts, tx, list(replaced), now)
    await _take_back(parts, tx, cycle, position, going, principal, now)
    made = await add_positions(parts, tx, cycle.cycle_id, [net for net in nets if net.legs or net.brought], now)
    await _keep_clocks(tx, replaced, made)
    await watch(parts, tx, {(p.payer, p.payee) for p in replaced.values()}, now)


async def _take_back(
    parts: Settlement,
    tx: Connection,
    cycle: Cycle,
    position: Position,
    going: Sequence[str],
    principal: Principal,
    now: datetime,
) -> None:
    """Book the clearing of cases back, and let their hops be paid as if there had been no cycle."""
    cases, taken = await case_store.cases(tx, going), await store.taken(tx, cycle.cycle_id, going)
    netting = Netting(cycle.netting)
    reversals = [
        clearing_transaction(case, netting, new_id(), now, reverses=taken[case_id]) for case_id, case in cases.items()
    ]
    by_case = {case_id: t.transaction_id for case_id, t in zip(cases, reversals, strict=True)}
    await bill_store.add_transactions(tx, reversals, parts.ledger_key, now)
    await store.let_go(tx, cycle.cycle_id, by_case, position.position_id, now)
    actor = (principal.party, principal.subject)
    await case_store.add_steps(
        tx, [NewStep(c.case_id, "postpone", *actor, c.numbers_hash) for c in cases.values()], now
    )
    events = [
        CasePostponed(**case_event(case), cycle_id=cycle.cycle_id, debtor=position.payer) for case in cases.values()
    ]
    await announce_now(tx, events, now)


async def _keep_clocks(tx: Connection, replaced: Mapping[str, Position], made: Mapping[str, Net]) -> None:
    """Who had to pay by a day still has to, what is left of it, and is not told again what it was told."""
    former = {(p.payer, p.payee): p.position_id for p in replaced.values() if p.due_on}
    kept = {new: old for new, net in made.items() if (old := former.get((net.payer, net.payee)))}
    await position_dues.keep_clocks(tx, kept)


async def _draw(parts: Settlement, tx: Connection, unpaid: Position, money_fen: int, now: datetime) -> None:
    """What is left to pay between two parties after others left is paid out of the prepayment, if it suffices."""
    left = [
        position
        for position in await store.open_between(tx, unpaid.cycle_id, unpaid.payer, unpaid.payee)
        if position.position_id == unpaid.position_id or position.made_at == now
    ]
    for position in left:
        if position.amount_fen <= money_fen:
            money_fen -= position.amount_fen
            await draw(parts, tx, position, now)
            await settle(parts, tx, [position.position_id], "prepayment", now)
    await watch(parts, tx, {(unpaid.payer, unpaid.payee)}, now)
