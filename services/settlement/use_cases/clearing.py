"""Cycles (清算批次): confirmed cases become net positions, and positions that are settled move their cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from services.settlement import errors
from services.settlement.rules.cases import Case, HopState, State, advance
from services.settlement.rules.dues import DueKind, position_clock
from services.settlement.rules.ledger import Transfer, clearing_transfers, entries, position_transfers
from services.settlement.rules.netting import Net, net, netting_hash, runs
from services.settlement.rules.orders import check_amount
from services.settlement.rules.terms import NegativeRule, Netting, Terms
from services.settlement.store import bills as bill_store
from services.settlement.store import cases as case_store
from services.settlement.store import clearing as store
from services.settlement.store import dues as due_store
from services.settlement.store import payments as payment_store
from services.settlement.store import position_dues
from services.settlement.store.bills import Transaction
from services.settlement.store.cases import NewStep
from services.settlement.store.clearing import Cycle, NewPosition, Position
from services.settlement.use_cases import withholdings
from services.settlement.use_cases.hops import DUE_KINDS, closed, pay_span
from services.settlement.use_cases.months import BY_ITSELF, Actor
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.prepayments import watch
from services.settlement.use_cases.terms import terms_at
from shared.auth import NOT_YOUR_AREA, Principal
from shared.clock import Clock
from shared.database import Connection
from shared.events import Event, new_id
from shared.events.settlement import CycleCut, PositionSettled
from shared.outbox import announce_now
from shared.refusals import Refusal, Refused
from shared.telemetry import current_traceparent
from shared.workdays import month_of, shanghai_day


async def cut(parts: Settlement, tx: Connection, region: str, subject: str | None, now: datetime) -> Cycle:
    """A clearing agency cuts a cycle of every case that all parties confirmed and nobody began to pay.

    The hops of the cases go to the clearing accounts, and what is left to pay are the positions. Raises Refused.
    """
    if region not in parts.regions:
        raise Refused(errors.NOT_A_CLEARING_AGENCY())
    await store.lock(tx)
    confirmed = await store.to_clear(tx, region)
    if not confirmed:
        raise Refused(errors.NOTHING_TO_CLEAR())
    netting = (await terms_at(parts, tx, [region], shanghai_day(now)))[region].netting
    cases = list((await case_store.cases(tx, confirmed)).values())
    nets = net(cases, netting, await store.carried(tx, {(c.facility_code, c.care_region) for c in cases}))
    made = Cycle(
        cycle_id=new_id(),
        clearing_region=region,
        cycle_no=await store.next_cycle_no(tx, region),
        netting=netting,
        month=month_of(shanghai_day(now)),
        cut_by=subject,
        cut_at=now,
        netting_hash=netting_hash(netting, nets),
    )
    await _record(parts, tx, made, cases, confirmed)
    await announce_now(tx, [_cut_event(made, cases, nets)], now)
    await add_positions(parts, tx, made.cycle_id, nets, now)
    await start_clocks(parts, tx, made, now)
    await watch(parts, tx, {(n.payer, n.payee) for n in nets}, now)
    return made


async def cut_by_calendar(parts: Settlement, clock: Clock) -> None:
    """Cut the cycle of the month of every clearing agency whose cycle day has come; who pays hop by hop has none."""
    now = clock()
    today = shanghai_day(now)
    async with parts.database.read() as reader:
        regions = await store.regions_to_clear(reader, month_of(today))
        terms = await terms_at(parts, reader, regions, today)
    for region in regions:
        if terms[region].netting is not Netting.GROSS and today.day >= terms[region].cycle_day:
            await _cut_once(parts, region, now)


async def _cut_once(parts: Settlement, region: str, now: datetime) -> None:
    """The cycle of this month, unless another worker was faster or nothing is left to clear."""
    async with parts.database.transaction() as tx:
        await store.lock(tx)
        if region in await store.regions_to_clear(tx, month_of(shanghai_day(now))) and await store.to_clear(tx, region):
            await cut(parts, tx, region, None, now)


async def _record(
    parts: Settlement, tx: Connection, made: Cycle, cases: Sequence[Case], confirmed: Mapping[str, datetime]
) -> None:
    """The cycle with its cases, each in all books."""
    now = made.cut_at
    await store.add_cycle(tx, made)
    transactions = [clearing_transaction(case, Netting(made.netting), new_id(), now) for case in cases]
    taken = [
        (case.case_id, transaction.transaction_id, confirmed[case.case_id])
        for case, transaction in zip(cases, transactions, strict=True)
    ]
    await store.take_cases(tx, made.cycle_id, taken)
    await bill_store.add_transactions(tx, transactions, parts.ledger_key, now)
    actor = Actor(made.clearing_region, made.cut_by) if made.cut_by else BY_ITSELF
    await case_store.add_steps(tx, [NewStep(c.case_id, "clear", *actor, c.numbers_hash) for c in cases], now)


def _cut_event(made: Cycle, cases: Sequence[Case], nets: Sequence[Net]) -> CycleCut:
    return CycleCut(
        cycle_id=made.cycle_id,
        clearing_region=made.clearing_region,
        cycle_no=made.cycle_no,
        netting=made.netting,
        month=made.month,
        cases=len(cases),
        positions=len(nets),
        obligations_fen=sum(hop.amount_fen for case in cases for hop in case.hops),
        positions_fen=sum(position.amount_fen for position in nets),
        netting_hash=made.netting_hash,
    )


def clearing_transaction(
    case: Case, netting: Netting, transaction_id: str, now: datetime, *, reverses: str | None = None
) -> Transaction:
    """A case in the books of all its parties: its hops move to their clearing accounts, or, reversed, back."""
    sign = 1 if reverses is None else -1
    transfers: list[Transfer] = []
    for run in runs(case, netting):
        gives_back = (case.payable_fen or 0) < 0
        transfers += clearing_transfers(run.path, sign * run.amount_fen, gives_back=gives_back)
    today = shanghai_day(now)
    return Transaction(
        transaction_id=transaction_id,
        kind="clearing" if reverses is None else "clearing_reversal",
        case_id=case.case_id,
        period=month_of(today),
        value_date=today,
        reverses_transaction_id=reverses,
        entries=entries(transfers),
    )


async def add_positions(
    parts: Settlement, tx: Connection, cycle_id: str, nets: Sequence[Net], now: datetime
) -> dict[str, Net]:
    """Write positions; those that come to nothing are settled by that. The positions by id.

    What a facility owes is carried where the terms of its care region say so, unless something of it is carried
    already. What an agency keeps back of what it pays a facility is set off against its position.
    """
    withheld = await withholdings.withhold(parts, tx, nets, now)
    nets = [n for n, _ in withheld]
    owed = {n.payee: n for n in nets if n.owed_by_facility}
    terms = await terms_at(parts, tx, owed, shanghai_day(now))
    brought = {n.brought.position_id for n in nets if n.brought}
    carried = await store.carried(tx, {(n.payer, n.payee) for n in nets if n.owed_by_facility})
    occupied = {(c.payer, c.payee) for c in carried if c.position_id not in brought}
    new = [
        NewPosition(new_id(), n, "carried" if _is_carried(n, terms) and (n.payer, n.payee) not in occupied else "open")
        for n in nets
    ]
    await store.add_positions(tx, cycle_id, new, now)
    await withholdings.book(parts, tx, [(p, taken) for p, (_, taken) in zip(new, withheld, strict=True)], now)
    await settle(parts, tx, [p.position_id for p in new if not p.net.amount_fen], "nothing_owed", now)
    return {p.position_id: p.net for p in new}


def _is_carried(position: Net, terms: Mapping[str, Terms]) -> bool:
    return position.owed_by_facility and terms[position.payee].negative_rule is NegativeRule.CARRY


async def collect(parts: Settlement, tx: Connection, principal: Principal, position_id: str, now: datetime) -> Position:
    """What a facility owes and an earlier cycle carried is collected now (收回): it is open, and its clock starts.

    By the care agency, which is owed it, or by the clearing agency, which cut the cycle. Raises Refused.
    """
    await store.lock(tx)
    position = (await store.positions(tx, [position_id], locked=True)).get(position_id)
    cycle = None if position is None else await store.cycle(tx, position.cycle_id)
    if position is None or cycle is None:
        raise Refused(errors.POSITION_UNKNOWN())
    if principal.party not in (position.payee, cycle.clearing_region):
        raise Refused(NOT_YOUR_AREA(party=position.payee))
    if position.state != "carried":
        raise Refused(errors.POSITION_NOT_OPEN(state=position.state))
    await store.move_positions(tx, [position_id], "open")
    await start_clocks(parts, tx, cycle, now)
    owing = await case_store.cases(tx, await store.cases_of_positions(tx, [position_id]))
    actor = Actor.of(principal)
    await case_store.add_steps(tx, [NewStep(c.case_id, "collect", *actor, c.numbers_hash) for c in owing.values()], now)
    return (await store.positions(tx, [position_id]))[position_id]


# Paying a position: an order takes it, and it is settled, or given back


async def take_positions(
    tx: Connection, party: str, position_ids: Iterable[str]
) -> dict[str, Position | list[Refusal]]:
    """Positions the caller's party is about to order the payment of; for each what speaks against it.

    Until it is settled or given back nobody else takes one, and no case of it leaves its cycle.
    """
    wanted = list(position_ids)
    await store.lock(tx)
    found = await store.positions(tx, wanted, locked=True)
    waits: dict[str, list[str]] = {}
    for cycle_id in {position.cycle_id for position in found.values()}:
        waits |= await store.waiting(tx, cycle_id, list(found))
    outcomes = {p: _taking(found.get(p), party, waits.get(p, [])) for p in wanted}
    await store.move_positions(tx, [p for p, outcome in outcomes.items() if isinstance(outcome, Position)], "ordered")
    return outcomes


def _taking(position: Position | None, party: str, waits_for: Sequence[str]) -> Position | list[Refusal]:
    if position is None:
        return [errors.POSITION_UNKNOWN()]
    wrong = [errors.POSITION_NOT_YOURS(party=party)] if party != position.payer else []
    if position.state != "open":
        wrong.append(errors.POSITION_NOT_OPEN(state=position.state))
    wrong += [errors.POSITION_WAITS(payer=payer) for payer in waits_for] + check_amount(position.amount_fen)
    return wrong or position


async def give_back_positions(tx: Connection, position_ids: Sequence[str]) -> None:
    """The payment of positions came to nothing: they can be ordered again."""
    found = await store.positions(tx, position_ids, locked=True)
    await store.move_positions(tx, [p.position_id for p in found.values() if p.state == "ordered"], "open")


async def settle_positions(
    parts: Settlement, tx: Connection, position_ids: Sequence[str], now: datetime, paid_on: date | None = None
) -> None:
    """Positions that were ordered are paid, today or on a day: booked at both ends, and their cases moved on.

    Raises ValueError for one that is not ordered: whoever pays it took it before.
    """
    await store.lock(tx)
    found = await store.positions(tx, position_ids, locked=True)
    if wrong := [p for p in position_ids if p not in found or found[p].state != "ordered"]:
        raise ValueError(f"not ordered: {wrong}")
    payments = [_payment(position, paid_on or shanghai_day(now), now) for position in found.values()]
    await bill_store.add_transactions(tx, payments, parts.ledger_key, now)
    await settle(parts, tx, list(found), "payment", now)
    for cycle in await store.cycles_by_id(tx, {position.cycle_id for position in found.values()}):
        await start_clocks(parts, tx, cycle, now)


def _payment(position: Position, paid_on: date, now: datetime) -> Transaction:
    return Transaction(
        transaction_id=position.position_id,
        kind="payment",
        case_id=None,
        period=month_of(shanghai_day(now)),
        value_date=paid_on,
        reverses_transaction_id=None,
        entries=entries(position_transfers(position.payer, position.payee, position.amount_fen)),
    )


async def settle(parts: Settlement, tx: Connection, position_ids: Sequence[str], how: str, now: datetime) -> None:
    """Positions are settled, whatever settled them: their hops are paid, and cases without an unpaid hop close."""
    if not position_ids:
        return
    everything = await store.with_earlier(tx, position_ids)
    case_ids = await store.cases_of_positions(tx, everything)
    await case_store.lock_cases(tx, case_ids)
    paid = await store.settle(tx, everything, position_ids, how, now)
    after = {case_id: _paid(case) for case_id, case in (await case_store.cases(tx, case_ids)).items()}
    await case_store.move_cases(tx, [case for case in after.values() if case.hops])
    await _done(tx, after, paid, now)
    steps = [NewStep(case_id, f"pay_hop_{hop_no}", *BY_ITSELF, None) for case_id, hop_no in paid]
    steps += [
        NewStep(c.case_id, "close", *BY_ITSELF, c.numbers_hash) for c in after.values() if c.state is State.CLOSED
    ]
    await case_store.add_steps(tx, steps, now)
    await _trace(parts, tx, after, paid)
    await _announce_settled(tx, everything, after.values(), now)


def _paid(case: Case) -> Case:
    """The case by its hops, some of which were paid just now; the first may still wait for another position."""
    return advance(case) if any(hop.state is HopState.PAID for hop in case.hops) else case


async def _done(tx: Connection, after: Mapping[str, Case], paid: Sequence[tuple[str, int]], now: datetime) -> None:
    """Who paid a hop is done with it. Whose turn it is now, the clock of its position says."""
    hops = [(case_id, after[case_id].hops[hop_no - 1]) for case_id, hop_no in paid]
    await due_store.dues_done(tx, [(case_id, DUE_KINDS[hop.kind], hop.payer) for case_id, hop in hops], now)


async def _trace(parts: Settlement, tx: Connection, cases: Mapping[str, Case], paid: Sequence[tuple[str, int]]) -> None:
    """Show in the traces of some bills that the hops of their cases are paid."""
    limit = parts.settings.traced_bills_max
    sampled = await payment_store.sampled_bills(tx, sorted({case_id for case_id, _ in paid})[:limit], limit)
    own = current_traceparent()
    for case_id, settlement_id, traceparent in sampled[:limit]:
        for hop_no in [number for paid_id, number in paid if paid_id == case_id]:
            hop = cases[case_id].hops[hop_no - 1]
            pay_span(cases[case_id], hop, parent=traceparent, links=[own], settlement_id=settlement_id).end()


async def _announce_settled(tx: Connection, position_ids: Sequence[str], cases: Iterable[Case], now: datetime) -> None:
    events: list[Event] = [
        PositionSettled(
            cycle_id=position.cycle_id,
            position_id=position.position_id,
            payer=position.payer,
            payee=position.payee,
            amount_fen=position.amount_fen,
            settled_by=position.settled_by or "",
            settled_at=now,
        )
        for position in (await store.positions(tx, position_ids)).values()
    ]
    events += [closed(case) for case in cases if case.state is State.CLOSED]
    await announce_now(tx, events, now)


async def start_clocks(parts: Settlement, tx: Connection, cycle: Cycle, now: datetime) -> None:
    """The clock of every open position of a cycle that waits for nobody starts, once."""
    today, fresh = shanghai_day(now), await store.without_due(tx, cycle.cycle_id)
    waits = await store.waiting(tx, cycle.cycle_id, [position.position_id for position in fresh])
    ready = [position for position in fresh if position.position_id not in waits]
    terms = await terms_at(parts, tx, map(payer_region, ready), today)
    clocks = {
        p.position_id: position_clock(
            parts.calendar, _due_kind(parts, p, cycle.clearing_region), since=today, terms=terms[payer_region(p)]
        )
        for p in ready
    }
    await position_dues.set_clocks(tx, clocks)


def payer_region(position: Position) -> str:
    """By whose terms the payer's clock runs: an agency's own, a facility's are those of its care agency."""
    return position.payee if position.payer == position.facility_code else position.payer


def _due_kind(parts: Settlement, position: Position, clearing_region: str) -> DueKind:
    """A position is remitted towards the clearing agency (上解), and disbursed away from it (拨付)."""
    payer, payee, tree = position.payer, position.payee, parts.regions
    if position.facility_code is not None:
        away = payee == position.facility_code
    else:
        away = payer == clearing_region or (payer in tree and payee in tree and tree.covers(payer, payee))
    return DueKind.DISBURSEMENT if away else DueKind.REMITTANCE
