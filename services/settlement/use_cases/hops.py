"""What confirmations and payments share: when a hop is due, how events name a case, and how traces show its money."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypedDict

from opentelemetry.trace import Span

from services.settlement.rules.cases import Case, Hop, HopKind, HopState
from services.settlement.rules.dues import DueKind, due_by_terms
from services.settlement.store import dues as due_store
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.database import Connection
from shared.events.settlement import CaseClosed
from shared.telemetry import amount_band, begin, current_traceparent
from shared.workdays import shanghai_day

DUE_KINDS = {HopKind.REMITTANCE: DueKind.REMITTANCE, HopKind.DISBURSEMENT: DueKind.DISBURSEMENT}


class CaseFields(TypedDict):
    """What every event about a case says of it."""

    case_id: str
    facility_code: str
    period: str
    care_region: str
    home_region: str


def case_event(case: Case) -> CaseFields:
    """How events name a case."""
    return {
        "case_id": case.case_id,
        "facility_code": case.facility_code,
        "period": case.period,
        "care_region": case.care_region,
        "home_region": case.home_region,
    }


def closed(case: Case) -> CaseClosed:
    """That a case is closed."""
    return CaseClosed(**case_event(case), fund_fen=case.fund_fen or 0)


def pay_span(
    case: Case, hop: Hop, *, parent: str | None, links: Iterable[str | None], settlement_id: str | None = None
) -> Span:
    """The span of a paid hop in the caller's trace, or a short one in the trace of a bill it covers."""
    attributes: dict[str, str | int | bool] = {
        "sifang.case": case.case_id,
        "sifang.facility": case.facility_code,
        "sifang.period": case.period,
        "sifang.party": hop.payer,
        "sifang.step": "remitted" if hop.kind is HopKind.REMITTANCE else "disbursed",
        "sifang.amount_band": amount_band(hop.amount_fen),
    }
    if settlement_id is not None:
        attributes["sifang.settlement"] = settlement_id
    return begin("settlement.pay", attributes, parent=parent or current_traceparent(), links=links)


async def set_hop_dues(parts: Settlement, tx: Connection, cases: Sequence[Case], now: datetime) -> None:
    """The clock of each hop that can be paid starts on the day it could (10 working days in seed 000)."""
    today = shanghai_day(now)
    payable = [(c, hop) for c in cases if (hop := c.next_hop) is not None and hop.state is HopState.PAYABLE]
    terms = await terms_at(parts, tx, (region_of(case, hop.payer) for case, hop in payable), today)
    dues = [
        due_by_terms(
            parts.calendar,
            case.case_id,
            DUE_KINDS[hop.kind],
            hop.payer,
            since=today,
            terms=terms[region_of(case, hop.payer)],
        )
        for case, hop in payable
    ]
    await due_store.save_dues(tx, dues)


def region_of(case: Case, party: str) -> str:
    """By whose terms a party's clock runs: an agency's own, a facility's are those of its care region."""
    return case.care_region if party == case.facility_code else party
