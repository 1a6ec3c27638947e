"""Reversal (结算撤销): a new negative settlement that names the one it reverses; the counters get back what it took."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg

from services.claims import errors
from services.claims.rules import visits as visit_rules
from services.claims.rules.visits import Kind
from services.claims.store import settlements, visits
from services.claims.store.settlements import SettlementRow
from services.claims.use_cases import rechecking
from services.claims.use_cases.parts import Claims
from services.claims.use_cases.settling import bill_fields, envelope_of
from shared.database import Connection
from shared.events import new_id
from shared.events.claims import SettlementReversed
from shared.http.idempotency import Answer, RequestKey, once
from shared.outbox import announce
from shared.refusals import Refusal, Refused
from shared.telemetry import amount_band, is_sampled, span, traceparent_of

AMOUNTS = (
    "total_fen",
    "fund_fen",
    "person_fen",
    "account_fen",
    "cash_fen",
    "hospital_fen",
    "own_fen",
    "over_ceiling_fen",
    "prepay_fen",
    "in_scope_fen",
    "deductible_fen",
    "by_ratio_fen",
    "over_cap_fen",
    "relieved_fen",
)
"""What a reversal takes back: every amount of a settlement."""


@dataclass(frozen=True, slots=True)
class Reversal:
    """A settlement to be reversed, as its facility asks."""

    key: RequestKey
    facility_code: str
    settlement_id: str
    facility_settlement_no: str
    reason: str


async def reverse(claims: Claims, command: Reversal, now: datetime, traceparent: str | None) -> Answer:
    """Reverse a settlement, once. Raises Refused."""

    async def work(tx: Connection) -> Answer:
        return claims.render(await _reverse(tx, command, now, traceparent))

    try:
        return await once(claims.database, command.key, now, work)
    except asyncpg.UniqueViolationError as clash:
        if clash.constraint_name == "settlement_reversed_once":
            raise Refused(errors.ALREADY_REVERSED()) from clash
        number = command.facility_settlement_no
        raise Refused(errors.SETTLEMENT_NUMBER_TAKEN(pointer="/facility_settlement_no", number=number)) from clash


async def _reverse(tx: Connection, command: Reversal, now: datetime, traceparent: str | None) -> SettlementRow:
    original = await settlements.get(tx, command.settlement_id, for_update=True)
    if original is None or original.facility_code != command.facility_code:
        raise Refused(errors.SETTLEMENT_UNKNOWN())
    wrong = [errors.IS_A_REVERSAL()] if original.reverses_settlement_id else []
    if await settlements.reversal_of(tx, original.settlement_id):
        wrong.append(errors.ALREADY_REVERSED())
    if wrong:
        raise Refused(*wrong)
    await _reopen(tx, original)
    # One bill is one trace: the reversal continues the settlement's and links to the request that asked for it.
    parent = original.traceparent if is_sampled(original.traceparent) else traceparent
    attributes = {
        "sifang.settlement": original.settlement_id,
        "sifang.visit": original.visit_id,
        "sifang.facility": original.facility_code,
        "sifang.party": original.facility_code,
        "sifang.region.care": original.care_region,
        "sifang.region.home": original.home_region,
        "sifang.step": "reversed",
        "sifang.amount_band": amount_band(-original.total_fen),
        "sifang.outcome": "ok",
    }
    with span("claims.reverse", attributes, parent=parent, links=[traceparent]) as opened:
        row = negative_of(original, command, now, traceparent_of(opened) or parent)
        await settlements.settlements_added([row]).run(tx)
        await _give_back(tx, original, row)
        await announce(tx, [envelope_of(_event(row, original.settlement_id), row)])
    return row


async def _reopen(tx: Connection, original: SettlementRow) -> None:
    visit = (await visits.visits(tx, [original.visit_id], for_update=True))[original.visit_id]
    state = visit_rules.take_step(visit.state, visit_rules.reversal_step(Kind(original.kind)))
    if isinstance(state, Refusal):
        raise Refused(state)
    await visits.states_set([(visit.visit_id, state, visit.ended_at)]).run(tx)


async def _give_back(tx: Connection, original: SettlementRow, reversal: SettlementRow) -> None:
    """Give the counters back exactly what the bill took, and have what was settled since looked at again."""
    book = (await settlements.lock_books(tx, [original.person_id]))[original.person_id]
    working = await settlements.working_of(tx, original.settlement_id)
    if working is None:
        raise RuntimeError(f"settlement {original.settlement_id} has no working")
    await settlements.books_saved({original.person_id: book.without(working.changes)}).run(tx)
    await rechecking.asked([reversal]).run(tx)


def negative_of(original: SettlementRow, command: Reversal, now: datetime, traceparent: str | None) -> SettlementRow:
    """The negative settlement of an original."""
    amounts = {name: -getattr(original, name) for name in AMOUNTS}
    shares = {fund: -fen for fund, fen in json.loads(original.shares).items()}
    return replace(
        original,
        settlement_id=new_id(),
        facility_settlement_no=command.facility_settlement_no,
        reverses_settlement_id=original.settlement_id,
        reason=command.reason,
        settled_at=now,
        traceparent=traceparent,
        shares=json.dumps(shares),
        **amounts,
    )


def _event(row: SettlementRow, reversed_id: str) -> SettlementReversed:
    fields = bill_fields(row)
    return SettlementReversed(**fields, reverses_settlement_id=reversed_id, reason=row.reason or "")
