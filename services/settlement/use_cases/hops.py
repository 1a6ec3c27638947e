"""What confirmations and payments share: when a hop is due, and how events name a case."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

from services.settlement.rules.cases import Case, HopKind, HopState
from services.settlement.rules.dues import DueKind, make_due
from services.settlement.store import dues as due_store
from services.settlement.use_cases.parts import Settlement
from shared.database import Connection
from shared.events.settlement import CaseClosed
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


async def set_hop_dues(parts: Settlement, tx: Connection, cases: Sequence[Case], now: datetime) -> None:
    """The clock of each hop that can be paid starts on the day it could (10 working days in seed 000)."""
    terms = {
        HopKind.REMITTANCE: parts.settings.remittance_working_days,
        HopKind.DISBURSEMENT: parts.settings.disbursement_working_days,
    }
    dues = [
        make_due(
            parts.calendar,
            case.case_id,
            DUE_KINDS[hop.kind],
            hop.payer,
            since=shanghai_day(now),
            working_days=terms[hop.kind],
        )
        for case in cases
        if (hop := case.next_hop) is not None and hop.state is HopState.PAYABLE
    ]
    await due_store.save_dues(tx, dues)
