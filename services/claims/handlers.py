"""Events claims hears: it keeps its own copy of who is insured and who is contracted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.claims.store import copies
from shared.consumer import Handlers
from shared.database import Connection
from shared.events import Envelope
from shared.events.designation import (
    AgreementEnded,
    AgreementRestored,
    AgreementSigned,
    AgreementState,
    AgreementSuspended,
    FacilityChanged,
)
from shared.events.enrollment import FilingApproved, FilingCancelled, InsuranceChanged, PersonEnrolled


async def on_person_enrolled(tx: Connection, heard: Sequence[Envelope[PersonEnrolled]], now: datetime) -> None:
    """Keep the person's number and hash."""
    await copies.save_persons(tx, [e.event for e in heard])


async def on_insurance_changed(tx: Connection, heard: Sequence[Envelope[InsuranceChanged]], now: datetime) -> None:
    """Keep the span."""
    await copies.save_spans(tx, [e.event for e in heard])


async def on_filing_approved(tx: Connection, heard: Sequence[Envelope[FilingApproved]], now: datetime) -> None:
    """Keep the filing."""
    await copies.save_filings(tx, [e.event for e in heard])


async def on_filing_cancelled(tx: Connection, heard: Sequence[Envelope[FilingCancelled]], now: datetime) -> None:
    """Forget the filing, for good."""
    await copies.cancel_filings(tx, [e.event for e in heard])


async def on_facility_changed(tx: Connection, heard: Sequence[Envelope[FacilityChanged]], now: datetime) -> None:
    """Keep the facility."""
    await copies.save_facilities(tx, [e.event for e in heard])


async def on_agreement(tx: Connection, heard: Sequence[Envelope[AgreementState]], now: datetime) -> None:
    """Keep the agreement as it now is."""
    await copies.save_agreements(tx, [e.event for e in heard])


HANDLERS: Handlers = {
    PersonEnrolled: on_person_enrolled,
    InsuranceChanged: on_insurance_changed,
    FilingApproved: on_filing_approved,
    FilingCancelled: on_filing_cancelled,
    FacilityChanged: on_facility_changed,
    AgreementSigned: on_agreement,
    AgreementSuspended: on_agreement,
    AgreementRestored: on_agreement,
    AgreementEnded: on_agreement,
}
