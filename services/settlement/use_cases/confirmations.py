"""Confirmations: every party of a case names the numbers it saw and accepts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.cases import Case, State, Step, confirm
from services.settlement.rules.dues import DueKind
from services.settlement.store import bills as bill_store
from services.settlement.store import cases as store
from services.settlement.store import dues as due_store
from services.settlement.store.cases import NewStep
from services.settlement.use_cases.hops import case_event, closed, set_hop_dues
from services.settlement.use_cases.months import BY_ITSELF, Actor
from services.settlement.use_cases.parts import Settlement
from shared.auth import Principal
from shared.database import Connection
from shared.events import Envelope, Event
from shared.events.settlement import PartyConfirmed, Reconciled
from shared.outbox import announce
from shared.refusals import Refusal
from shared.telemetry import current_traceparent

Outcome = Case | list[Refusal]


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
            await _record(parts, tx, principal, after, now)
            await _announce(tx, principal, after, now)
    return outcomes


async def _locked(tx: Connection, hashes: Mapping[str, str]) -> dict[str, Case]:
    """The cases as they stand once their months are locked."""
    known = await store.cases(tx, hashes)
    await bill_store.lock_months(tx, {(c.facility_code, c.period) for c in known.values()}, alone=True)
    return await store.cases(tx, hashes)


async def _record(
    parts: Settlement, tx: Connection, principal: Principal, after: Sequence[Case], now: datetime
) -> None:
    reconciled = [case for case in after if case.state is not State.MATCHED]
    await store.confirm_months(tx, {(c.facility_code, c.period) for c in after})
    await store.add_confirmations(
        tx, {c.case_id: c.numbers_hash or "" for c in after}, principal.party, principal.subject, now
    )
    await due_store.dues_done(tx, [(c.case_id, DueKind.RECONCILIATION, principal.party) for c in after], now)
    await store.move_cases(tx, reconciled)
    await store.add_hops(tx, reconciled)
    await set_hop_dues(parts, tx, reconciled, now)
    steps = [NewStep(c.case_id, "confirm", *Actor.of(principal), c.numbers_hash) for c in after]
    steps += [NewStep(c.case_id, _ending(c), *BY_ITSELF, c.numbers_hash) for c in reconciled]
    await store.add_steps(tx, steps, now)


def _ending(case: Case) -> Step:
    return Step.CLOSE if case.state is State.CLOSED else Step.RECONCILE


async def _announce(tx: Connection, principal: Principal, after: Sequence[Case], now: datetime) -> None:
    events: list[Event] = []
    for case in after:
        numbers_hash = case.numbers_hash or ""
        events.append(PartyConfirmed(**case_event(case), party=principal.party, numbers_hash=numbers_hash))
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
    traceparent = current_traceparent()
    await announce(tx, [Envelope(event, now, traceparent=traceparent) for event in events])
