"""Events settlement hears: bills to be booked, facilities to be known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from services.settlement.rules.bills import Bill
from services.settlement.rules.chain import LedgerKey
from services.settlement.rules.ledger import Share
from services.settlement.store import bills as store
from services.settlement.use_cases import booking
from shared.consumer import Handlers
from shared.database import Connection
from shared.events import Envelope
from shared.events.claims import DischargeSettled, SettlementReversed
from shared.events.designation import FacilityChanged
from shared.regions import RegionTree


async def on_bill(
    regions: RegionTree,
    ledger_key: LedgerKey,
    tx: Connection,
    envelopes: Sequence[Envelope[DischargeSettled | SettlementReversed]],
    now: datetime,
) -> None:
    """Book settlements, or reversals: either is complete in itself, so their order does not matter."""
    await booking.book(tx, regions, ledger_key, [_bill(envelope) for envelope in envelopes], now)


def _bill(envelope: Envelope[DischargeSettled | SettlementReversed]) -> Bill:
    event = envelope.event
    return Bill(
        settlement_id=event.settlement_id,
        visit_id=event.visit_id,
        person_id=event.person_id,
        facility_code=event.facility_code,
        facility_settlement_no=event.facility_settlement_no,
        care_region=event.care_region,
        home_region=event.home_region,
        insutype=event.insutype,
        med_type=event.med_type,
        clr_type=event.clr_type,
        settled_at=event.settled_at,
        total_fen=event.total_fen,
        fund_fen=event.fund_fen,
        account_fen=event.account_fen,
        cash_fen=event.cash_fen,
        hospital_fen=event.hospital_fen,
        shares=[Share(share.fund_pay_type, share.amount_fen) for share in event.shares],
        reverses_settlement_id=event.reverses_settlement_id if isinstance(event, SettlementReversed) else None,
        traceparent=envelope.traceparent,
    )


async def on_facility_changed(tx: Connection, envelopes: Sequence[Envelope[FacilityChanged]], _now: datetime) -> None:
    """Keep a copy of each facility, the newest revision of those that came together."""
    newest = {e.event.facility_code: e.event for e in sorted(envelopes, key=lambda e: e.event.revision)}
    rows = [(f.facility_code, f.name, f.kind, f.level, f.region, f.revision) for f in newest.values()]
    await store.save_facilities(tx, rows)


def handlers(regions: RegionTree, ledger_key: LedgerKey) -> Handlers:
    """Event to handler; the chain of a bill follows from the region tree, its mark in the ledger from the key."""
    return {
        DischargeSettled: partial(on_bill, regions, ledger_key),
        SettlementReversed: partial(on_bill, regions, ledger_key),
        FacilityChanged: on_facility_changed,
    }
