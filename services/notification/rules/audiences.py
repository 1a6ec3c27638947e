"""Whom an event concerns: the recipients of messages about it, and the regions that take part in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from shared.events import Event
from shared.events.claims import DischargeSettled, SettlementReversed
from shared.events.designation import (
    AgreementEnded,
    AgreementRestored,
    AgreementSigned,
    AgreementState,
    AgreementSuspended,
    FacilityChanged,
)
from shared.events.enrollment import FilingApproved, FilingCancelled
from shared.events.settlement import (
    CaseClosed,
    CasePostponed,
    ConsentDeemed,
    DifferenceFound,
    Disbursed,
    DisbursementDue,
    DueEscalated,
    DueResumed,
    DueSuspended,
    ItemsDue,
    ItemsEscalated,
    ObjectionDecided,
    ObjectionDue,
    ObjectionEscalated,
    ObjectionRaised,
    OrderFailed,
    PayoutPaid,
    PayoutRefused,
    PositionDue,
    PositionEscalated,
    PositionResumed,
    PositionSettled,
    PositionSuspended,
    PrepaymentLow,
    Reconciled,
    ReconciliationDue,
    RemittanceDue,
    Remitted,
    WithholdingApproved,
)
from shared.regions import RegionTree

TOLD: tuple[type[Event], ...] = (
    DischargeSettled,
    SettlementReversed,
    FilingApproved,
    FilingCancelled,
    AgreementSigned,
    AgreementSuspended,
    AgreementRestored,
    AgreementEnded,
    DifferenceFound,
    ReconciliationDue,
    RemittanceDue,
    DisbursementDue,
    ItemsDue,
    ItemsEscalated,
    DueEscalated,
    DueSuspended,
    DueResumed,
    ObjectionRaised,
    ObjectionDue,
    ObjectionEscalated,
    ObjectionDecided,
    ConsentDeemed,
    Reconciled,
    Remitted,
    Disbursed,
    CasePostponed,
    PositionDue,
    PositionSuspended,
    PositionResumed,
    PositionEscalated,
    PositionSettled,
    PrepaymentLow,
    PayoutPaid,
    PayoutRefused,
    OrderFailed,
    WithholdingApproved,
    CaseClosed,
)
"""What people and parties are told of: there are templates for each."""

SUBSCRIBABLE: frozenset[str] = frozenset(
    {FacilityChanged.type_name(), *(kind.type_name() for kind in TOLD)} - {FilingCancelled.type_name()}
)
"""What partners may subscribe to, by type. A cancelled filing names no region: nobody could tell whom it concerns."""


class Audience(StrEnum):
    """A part somebody plays in an event."""

    PERSON = "person"
    """The insured person."""
    FACILITY = "facility"
    CARE_AGENCY = "care_agency"
    """The agency of the place of care, or of the facility."""
    CHAIN = "chain"
    """All agencies of the chain between the place of care and home."""
    PARTY = "party"
    """Who must act."""
    PAYER = "payer"
    PAYEE = "payee"
    REGION = "region"
    """The agency an event names."""
    LENDER = "lender"
    """Whose prepayment it is."""
    DECIDER = "decider"
    """Who must decide."""


NEEDED_FIELDS: Mapping[Audience, tuple[str, ...]] = {
    Audience.PERSON: ("person_id",),
    Audience.FACILITY: ("facility_code",),
    Audience.CARE_AGENCY: ("facility_code",),
    Audience.CHAIN: ("care_region", "home_region"),
    Audience.PARTY: ("party",),
    Audience.PAYER: ("payer",),
    Audience.PAYEE: ("payee",),
    Audience.REGION: ("region",),
    Audience.LENDER: ("lender",),
    Audience.DECIDER: ("deciding_party",),
}
"""What an event must tell for an audience to be found in it."""

PLACE_FIELDS = ("care_region", "home_region", "region", "party", "payer", "payee", "lender", "holder")
"""Fields that name who takes part in an event: regions, and for some a facility."""

NAMES_ONLY_FACILITY: tuple[type[Event], ...] = (AgreementState, DifferenceFound, ItemsDue)
"""Events whose region is that of their facility, which the event itself does not carry."""


def recipients(audience: Audience, event: Event, facility_region: str | None, regions: RegionTree) -> tuple[str, ...]:
    """Who plays this part: persons by their internal number, parties by facility or region code.

    `facility_region` is asked for only where the event itself does not name the region of care.
    """
    if audience is Audience.CARE_AGENCY:
        care: str | None = getattr(event, "care_region", facility_region)
        return (care,) if care else ()
    values: list[str] = [getattr(event, name) for name in NEEDED_FIELDS[audience]]
    return regions.chain(*values) if audience is Audience.CHAIN else tuple(values)


def regions_of(event: Event, facility_region: str | None, regions: RegionTree) -> frozenset[str]:
    """The regions that take part in an event; empty when it concerns nobody but the person."""
    named = {getattr(event, field) for field in PLACE_FIELDS if field in type(event).model_fields}
    if isinstance(event, NAMES_ONLY_FACILITY):
        named.add(facility_region)
    return frozenset(place for place in named if place in regions)  # a payer or payee may be a facility


def concerns(party: str, taking_part: Iterable[str], regions: RegionTree) -> bool:
    """Whether one of the regions is the party's own or lies in it; never for a party that is no region."""
    return party in regions and any(regions.covers(party, region) for region in taking_part)
