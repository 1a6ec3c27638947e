"""Confirmations: every party of a case names the numbers it saw and accepts them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.cases import Case, State, Step, confirm
from services.settlement.rules.dues import DueKind, consents
from services.settlement.rules.objections import ACCEPTED
from services.settlement.store import bills as bill_store
from services.settlement.store import cases as store
from services.settlement.store import dues as due_store
from services.settlement.store.cases import NewStep
from services.settlement.use_cases.hops import case_event, closed, set_hop_dues
from services.settlement.use_cases.months import BY_ITSELF, Actor
from services.settlement.use_cases.parts import Settlement
from shared.auth import Principal
from shared.clock import Clock
from shared.database import Connection
from shared.events import Event
from shared.events.settlement import ConsentDeemed, PartyConfirmed, Reconciled
from shared.outbox import announce_now
from shared.refusals import Refusal
from shared.workdays import shanghai_day

Outcome = Case | list[Refusal]

SETTING_NUMBERS = (Step.MATCH, ACCEPTED)
"""Steps that set the numbers a case is confirmed by."""


async def confirm_cases(
    parts: Settlement, principal: Principal, hashes: Mapping[str, str], now: datetime
) -> dict[str, Outcome]:
    """Confirm cases, each by the hash of the numbers seen; for each the case after it, or what speaks against it.

    When the last party confirms, the hops of the money follow, or the case closes because nothing is owed.
    """
    async with parts.database.transaction() as tx:
        before = await _locked(tx, hashes)
        outcomes: dict[str, Outcome] = {
            case_id: confirm(before[case_id], principal.party, seen) if case_id in before else [errors.CASE_UNKNOWN()]
            for case_id, seen in hashes.items()
        }
        after = [case for case in outcomes.values() if isinstance(case, Case) and case != before[case.case_id]]
        if after:
            await _record(parts, tx, Actor.of(principal), after, now)
            await _announce(tx, principal.party, after, now)
    return outcomes


async def deem_confirmed(parts: Settlement, clock: Clock) -> None:
    """Record that parties agree by their silence, where the terms of their region say so (逾期视为确认): by nobody, to
    the numbers that stood, once."""
    after = ("", "")
    while True:
        now = clock()
        today = shanghai_day(now)
        async with parts.database.read() as reader:
            late = await due_store.silent(reader, today, SETTING_NUMBERS, after)
        if not late:
            return
        after = (late[-1].due.case_id, late[-1].due.party)
        by_party: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for party in late:
            if consents(parts.calendar, party.due, shanghai_day(party.stood_since), today):
                by_party[party.due.party][party.due.case_id] = party.numbers_hash
        for party_code, hashes in sorted(by_party.items()):
            await _deem(parts, party_code, hashes, now)


async def _deem(parts: Settlement, party: str, hashes: Mapping[str, str], now: datetime) -> None:
    """One party's silence about some cases. What has changed since it was found is left to the next look."""
    async with parts.database.transaction() as tx:
        before = await _locked(tx, hashes)
        still_silent = await due_store.still_silent(tx, party, list(before))
        agreed = [confirm(before[case_id], party, hashes[case_id]) for case_id in still_silent]
        after = [case for case in agreed if isinstance(case, Case) and case != before[case.case_id]]
        if after:
            await _record(parts, tx, Actor(party, None), after, now)
            await _announce(tx, party, after, now, deemed=True)


async def _locked(tx: Connection, hashes: Mapping[str, str]) -> dict[str, Case]:
    """The cases as they stand once their months are locked."""
    known = await store.cases(tx, hashes)
    await bill_store.lock_months(tx, {(c.facility_code, c.period) for c in known.values()}, alone=True)
    return await store.cases(tx, hashes)


async def _record(parts: Settlement, tx: Connection, actor: Actor, after: Sequence[Case], now: datetime) -> None:
    """Write what a party confirmed; without a person it is deemed."""
    reconciled = [case for case in after if case.state is not State.MATCHED]
    await store.confirm_months(tx, {(c.facility_code, c.period) for c in after})
    await store.add_confirmations(tx, {c.case_id: c.numbers_hash or "" for c in after}, *actor, now)
    await due_store.dues_done(tx, [(c.case_id, DueKind.RECONCILIATION, actor.party) for c in after], now)
    await store.move_cases(tx, reconciled)
    await store.add_hops(tx, reconciled)
    await set_hop_dues(parts, tx, reconciled, now)
    step = "deem_confirmed" if actor.subject is None else "confirm"
    steps = [NewStep(c.case_id, step, *actor, c.numbers_hash) for c in after]
    steps += [NewStep(c.case_id, _ending(c), *BY_ITSELF, c.numbers_hash) for c in reconciled]
    await store.add_steps(tx, steps, now)


def _ending(case: Case) -> Step:
    return Step.CLOSE if case.state is State.CLOSED else Step.RECONCILE


async def _announce(tx: Connection, party: str, after: Sequence[Case], now: datetime, *, deemed: bool = False) -> None:
    events: list[Event] = []
    for case in after:
        numbers_hash = case.numbers_hash or ""
        events.append(PartyConfirmed(**case_event(case), party=party, numbers_hash=numbers_hash, deemed=deemed))
        if deemed:
            events.append(ConsentDeemed(**case_event(case), party=party, numbers_hash=numbers_hash))
        if case.state is not State.MATCHED:
            events.append(
                Reconciled(
                    **case_event(case),
                    fund_fen=case.fund_fen or 0,
                    bill_count=case.bill_count or 0,
                    numbers_hash=numbers_hash,
                )
            )
        if case.state is State.CLOSED:
            events.append(closed(case))
    await announce_now(tx, events, now)
