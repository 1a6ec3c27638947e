"""What designation can do: load, decide, record, announce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from services.designation import errors, rules, store
from services.designation.config import DesignationSettings
from services.designation.rules import AgreementFacts, Step
from services.designation.tables import Facility
from shared.auth import Principal, check_area
from shared.database import Connection, Database
from shared.events import new_id
from shared.events.designation import (
    AgreementEnded,
    AgreementRestored,
    AgreementSigned,
    AgreementState,
    AgreementSuspended,
    FacilityChanged,
    Suspension,
)
from shared.outbox import announce_now
from shared.refusals import Refused
from shared.regions import RegionTree

ANNOUNCED: Mapping[Step, type[AgreementState]] = {
    Step.SIGN: AgreementSigned,
    Step.SUSPEND: AgreementSuspended,
    Step.RESTORE: AgreementRestored,
    Step.END: AgreementEnded,
}
"""The event each step announces."""


@dataclass(frozen=True, slots=True)
class Designation:
    """The parts the use cases work with."""

    database: Database
    regions: RegionTree
    settings: DesignationSettings


async def register_facility(parts: Designation, principal: Principal, facility: Facility, now: datetime) -> Facility:
    """A new facility in the officer's area. Raises Refused."""
    if facility.region not in parts.regions:
        raise Refused(errors.REGION_UNKNOWN(pointer="/region", region=facility.region))
    check_area(parts.regions, principal, facility.region)
    async with parts.database.transaction() as tx:
        if not await store.add_facility(tx, facility):
            raise Refused(errors.FACILITY_EXISTS(pointer="/code", facility=facility.code))
        await _announce_facility(tx, facility, now)
    return facility


async def change_facility(
    parts: Designation, principal: Principal, code: str, name: str, kind: str, level: str, now: datetime
) -> Facility:
    """New data of a facility. Raises Refused."""
    async with parts.database.transaction() as tx:
        check_area(parts.regions, principal, (await _facility(tx, code)).region)
        changed = await store.change_facility(tx, code, name, kind, level)
        if changed is None:
            raise Refused(errors.FACILITY_UNKNOWN(facility=code))
        await _announce_facility(tx, changed, now)
    return changed


async def _facility(tx: Connection, code: str) -> Facility:
    found = await store.facility(tx, code)
    if found is None:
        raise Refused(errors.FACILITY_UNKNOWN(facility=code))
    return found


async def _announce_facility(tx: Connection, facility: Facility, now: datetime) -> None:
    event = FacilityChanged(
        facility_code=facility.code,
        name=facility.name,
        kind=facility.kind,
        level=facility.level,
        region=facility.region,
        revision=facility.revision,
    )
    await announce_now(tx, [event], now)


async def draft_agreement(
    parts: Designation, principal: Principal, facility_code: str, valid_from: date, valid_to: date, now: datetime
) -> AgreementFacts:
    """A draft that a second person signs. Raises Refused."""
    wrong = rules.check_period(valid_from, valid_to, parts.settings.agreement_years_max)
    if wrong:
        raise Refused(*wrong)
    agreement_id = new_id()
    try:
        async with parts.database.transaction() as tx:
            check_area(parts.regions, principal, (await _facility(tx, facility_code)).region)
            await store.add_agreement(tx, agreement_id, facility_code, valid_from, valid_to, principal.subject)
            await store.add_step(tx, agreement_id, 1, "draft", principal.subject, day=None, reason=None, at=now)
            drafted = await store.agreement(tx, agreement_id)
    except asyncpg.ExclusionViolationError as clash:
        raise Refused(errors.AGREEMENT_OVERLAPS(pointer="/valid_from")) from clash
    if drafted is None:
        raise RuntimeError("a row written in this transaction is not there")
    return drafted


async def take_step(
    parts: Designation,
    principal: Principal,
    agreement_id: str,
    step: Step,
    *,
    day: date | None,
    reason: str | None,
    now: datetime,
) -> AgreementFacts:
    """Sign, suspend, restore or end an agreement. Raises Refused with all that speaks against it."""
    async with parts.database.transaction() as tx:
        facts = await store.agreement(tx, agreement_id, for_update=True)
        if facts is None:
            raise Refused(errors.AGREEMENT_UNKNOWN())
        check_area(parts.regions, principal, (await _facility(tx, facts.facility_code)).region)
        match rules.take_step(facts, step, principal.subject, day):
            case AgreementFacts() as changed:
                await store.save_agreement(tx, changed)
                await store.add_step(
                    tx, agreement_id, changed.revision, step, principal.subject, day=day, reason=reason, at=now
                )
                await _announce_agreement(tx, ANNOUNCED[step], changed, now)
            case wrong:
                raise Refused(*wrong)
    return changed


async def _announce_agreement(tx: Connection, kind: type[AgreementState], facts: AgreementFacts, now: datetime) -> None:
    event = kind(
        agreement_id=facts.agreement_id,
        facility_code=facts.facility_code,
        valid_from=facts.valid_from,
        valid_to=facts.valid_to,
        suspensions=tuple(Suspension(since=i.since, until=i.until) for i in facts.suspensions),
        revision=facts.revision,
    )
    await announce_now(tx, [event], now)
