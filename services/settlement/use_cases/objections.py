"""Objections: raised by a party, decided by the agency that answers for the books, or withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.bills import next_month
from services.settlement.rules.cases import Case, State, Step
from services.settlement.rules.dues import Due, DueKind, go_on, stop
from services.settlement.rules.objections import (
    RAISED,
    STEPS,
    Objection,
    ObjectionState,
    check_decision,
    check_objection,
    decides,
)
from services.settlement.store import bills as bill_store
from services.settlement.store import carried
from services.settlement.store import cases as case_store
from services.settlement.store import dues as due_store
from services.settlement.store import objections as store
from services.settlement.store import statements as statement_store
from services.settlement.store.bills import CaseKey, Month, NewCase
from services.settlement.store.cases import NewStep
from services.settlement.store.dues import Reason
from services.settlement.use_cases.hops import case_event
from services.settlement.use_cases.months import BY_ITSELF, Actor, take_month_step
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.auth import Principal
from shared.database import Connection
from shared.events import new_id
from shared.events.settlement import ObjectionDecided, ObjectionRaised
from shared.outbox import announce_now
from shared.refusals import Refused
from shared.workdays import shanghai_day


async def raise_objection(
    parts: Settlement,
    principal: Principal,
    case_id: str,
    numbers_hash: str,
    settlement_ids: Sequence[str],
    reason: str,
    now: datetime,
) -> Objection:
    """A party names bills of a case that it does not accept, before it confirms. Raises Refused.

    Its own clock stands still until the objection ends: it waits for the other side.
    """
    async with parts.database.transaction() as tx:
        case = await _locked(tx, case_id)
        bills = await store.bills_in_case(tx, case_id, settlement_ids)
        taken = await store.bills_taken(tx, case_id, principal.party, settlement_ids)
        if wrong := check_objection(case, principal.party, numbers_hash, settlement_ids, bills, taken):
            raise Refused(*wrong)
        objection_no = await _add(parts, tx, principal, case, settlement_ids, reason, now)
        await _suspend(parts, tx, case, principal.party, objection_no, now)
        step = NewStep(case_id, RAISED, *Actor.of(principal), case.numbers_hash)
        await case_store.add_steps(tx, [step], now)
        made = await _found(tx, objection_no)
        raised = _raised(case, made, payable_fen=sum(bills.values()))
        await announce_now(tx, [raised], now)
        return made


async def _add(
    parts: Settlement,
    tx: Connection,
    principal: Principal,
    case: Case,
    settlement_ids: Sequence[str],
    reason: str,
    now: datetime,
) -> int:
    """Write the objection, to be decided by the terms of whoever decides; its number."""
    deciding_party, today = decides(case, principal.party), shanghai_day(now)
    terms = (await terms_at(parts, tx, [deciding_party], today))[deciding_party]
    return await store.add_objection(
        tx,
        case.case_id,
        principal.party,
        case.numbers_hash or "",
        reason,
        settlement_ids,
        deciding_party=deciding_party,
        clock=(today, terms.item_working_days),
        due=parts.calendar.add(today, terms.item_working_days),
        distances=(terms.reminder_distances, terms.escalation_distances),
        subject=principal.subject,
        at=now,
    )


def _raised(case: Case, objection: Objection, *, payable_fen: int) -> ObjectionRaised:
    return ObjectionRaised(
        **case_event(case),
        objection_no=objection.objection_no,
        party=objection.party,
        deciding_party=objection.deciding_party,
        bill_count=len(objection.settlement_ids),
        payable_fen=payable_fen,
        due_on=objection.due_on,
    )


async def _locked(tx: Connection, case_id: str) -> Case:
    """A case as it stands once its month is locked. Raises Refused."""
    known = (await case_store.cases(tx, [case_id])).get(case_id)
    if known is None:
        raise Refused(errors.CASE_UNKNOWN())
    await bill_store.lock_months(tx, [(known.facility_code, known.period)], alone=True)
    return (await case_store.cases(tx, [case_id]))[case_id]


async def _found(tx: Connection, objection_no: int) -> Objection:
    """An objection. Raises Refused."""
    found = await store.objection(tx, objection_no)
    if found is None:
        raise Refused(errors.OBJECTION_UNKNOWN())
    return found


async def _suspend(parts: Settlement, tx: Connection, case: Case, party: str, objection_no: int, now: datetime) -> None:
    """The objector's clock stands still for this objection, also when it does for another reason; unless it is over."""
    due, today = await due_store.locked_due(tx, case.case_id, DueKind.RECONCILIATION, party), shanghai_day(now)
    if due is None:
        return
    stopped = stop(parts.calendar, due, await due_store.reasons(tx, due), objection_no, today)
    if isinstance(stopped, Due):
        why = Reason("objection", [f"objection {objection_no}"], party, None, objection_no)
        await due_store.suspend_due(tx, stopped, why, today, now)


async def end_objection(
    parts: Settlement, principal: Principal, objection_no: int, state: ObjectionState, reason: str | None, now: datetime
) -> Objection:
    """Accept or reject an objection, or withdraw it; the objector's clock goes on. Raises Refused."""
    async with parts.database.transaction() as tx:
        case = await _locked(tx, (await _found(tx, objection_no)).case_id)
        objection = await _found(tx, objection_no)
        if wrong := check_decision(objection, state, principal.party, principal.subject):
            raise Refused(*wrong)
        await store.decide(tx, objection_no, state, principal.party, principal.subject, reason, now)
        numbers_hash = case.numbers_hash
        if state is ObjectionState.ACCEPTED:
            numbers_hash = await _carry(tx, case, objection, now)
        step = NewStep(case.case_id, STEPS[state], *Actor.of(principal), numbers_hash)
        await case_store.add_steps(tx, [step], now)
        await _resume(parts, tx, case, objection, Actor.of(principal), now)
        decided = ObjectionDecided(
            **case_event(case),
            objection_no=objection_no,
            party=objection.party,
            decision=state,
            numbers_hash=numbers_hash,
        )
        await announce_now(tx, [decided], now)
        return await _found(tx, objection_no)


async def _carry(tx: Connection, case: Case, objection: Objection, now: datetime) -> str | None:
    """The bills of an accepted objection go to the next month; the hash of the numbers without them.

    What was confirmed stands for the rest, and both hashes are kept, so that anybody can compute one from the other.
    """
    month = await _next_month(tx, case)
    to_case_id = await _case_of(tx, case, month, now)
    await carried.carry_bills(tx, objection.settlement_ids, case.case_id, to_case_id, objection.objection_no, now)
    if month.statement_id is not None:
        await statement_store.reopen(tx, [month.statement_id])
        await take_month_step(tx, month.facility_code, month.period, Step.REOPEN, BY_ITSELF, now)
    if case.state is not State.MATCHED or case.numbers_hash is None:
        return None
    numbers_hash = (await case_store.freeze_numbers(tx, [case.case_id], State.MATCHED))[case.case_id]
    await carried.carry_confirmations(tx, case.case_id, case.numbers_hash, numbers_hash, objection.objection_no, now)
    return numbers_hash


async def _next_month(tx: Connection, case: Case) -> Month:
    """The first later month of the facility that nobody has confirmed, locked."""
    period = next_month(case.period)
    while True:
        (month,) = await bill_store.lock_months(tx, [(case.facility_code, period)], alone=True)
        if not month.confirmed:
            return month
        period = next_month(period)


async def _case_of(tx: Connection, case: Case, month: Month, now: datetime) -> str:
    """The case of the same parties in another month, opened when there is none."""
    key = CaseKey(case.facility_code, month.period, case.care_region, case.home_region)
    found = await bill_store.find_cases(tx, [key])
    if key not in found:
        await bill_store.add_cases(tx, [NewCase(new_id(), key, case.clearing_region, case.chain)], now)
        found = await bill_store.find_cases(tx, [key])
    return found[key]


async def _resume(parts: Settlement, tx: Connection, case: Case, ended: Objection, actor: Actor, now: datetime) -> None:
    """The objector's clock goes on, unless something else stops it: another objection, or an officer's word."""
    due = await due_store.locked_due(tx, case.case_id, DueKind.RECONCILIATION, ended.party)
    if due is None:
        return
    today = shanghai_day(now)
    after = go_on(parts.calendar, due, await due_store.reasons(tx, due), ended.objection_no, today)
    if isinstance(after, Due):
        await due_store.resume_due(tx, after, ended.objection_no, today, *actor, now)
