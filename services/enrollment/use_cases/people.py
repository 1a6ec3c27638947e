"""Persons and their insurance, one at a time: enrol, look up, correct, insure, end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import asyncpg

from services.enrollment import errors
from services.enrollment.rules import people as rules
from services.enrollment.rules.people import Insurance, PersonData, Span
from services.enrollment.store import lookups
from services.enrollment.store import people as store
from services.enrollment.store.lookups import Found
from services.enrollment.store.people import SealedPerson
from services.enrollment.use_cases.parts import (
    Enrollment,
    check_keeper,
    held_person,
    insurance_changed,
    span_of,
)
from shared.auth import Principal, Role, check_area
from shared.database import Connection
from shared.events import Event, new_id
from shared.events.enrollment import PersonEnrolled
from shared.outbox import announce_now
from shared.refusals import Refusal, Refused
from shared.workdays import shanghai_day


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """A person with their data in the clear."""

    person_id: str
    data: PersonData
    revision: int


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What an enrolment led to."""

    person: KnownPerson
    span: Span | None
    fresh: bool
    """False when the same person was enrolled before, with the same data."""


async def enroll(
    parts: Enrollment, principal: Principal, data: PersonData, insurance: Insurance | None, now: datetime
) -> Enrolled:
    """Enrol a person, insured from the start or not. Raises Refused."""
    wrong = rules.check_certificate(data.certificate_type, data.identity_number, shanghai_day(now))
    if insurance is not None:
        wrong += rules.check_insurance(insurance, parts.codes, parts.regions, "/insurance")
    if wrong:
        raise Refused(*wrong)
    check_area(parts.regions, principal, principal.party if insurance is None else insurance.region)
    identity_hash = parts.identity_hash(data.certificate_type, data.identity_number)
    sealed = parts.seal_person(new_id(), data, principal.party)
    async with parts.database.transaction() as tx:
        if await store.add_persons(tx, [(identity_hash, sealed)], principal.party, now):
            return await _newly_enrolled(tx, sealed.person_id, identity_hash, data, insurance, now)
        return await _enrolled_before(parts, tx, identity_hash, data, insurance)


async def _newly_enrolled(
    tx: Connection,
    person_id: str,
    identity_hash: str,
    data: PersonData,
    insurance: Insurance | None,
    now: datetime,
) -> Enrolled:
    events: list[Event] = [PersonEnrolled(person_id=person_id, identity_hash=identity_hash)]
    span = None if insurance is None else span_of(new_id(), person_id, insurance)
    if span is not None:
        await store.add_spans(tx, [span])
        events.append(insurance_changed(span))
    await announce_now(tx, events, now)
    return Enrolled(KnownPerson(person_id, data, 1), span, fresh=True)


async def _enrolled_before(
    parts: Enrollment, tx: Connection, identity_hash: str, data: PersonData, insurance: Insurance | None
) -> Enrolled:
    """The person as enrolled, when the statement says nothing else than the record. Raises Refused."""
    sealed = await store.person_by_hash(tx, identity_hash)
    if sealed is None:
        raise RuntimeError("an identity hash is taken, and by nobody")
    recorded = parts.unseal_person(sealed)
    fields = rules.differing(recorded, data)
    if rules.completed(recorded, data) != recorded:
        fields.append("contact")
    span = next((s for s in await store.spans_of(tx, [sealed.person_id]) if s.stated == insurance), None)
    if insurance is not None and span is None:
        fields.append("insurance")
    if fields:
        raise Refused(errors.PERSON_DIFFERS(pointer="/identity_number", fields=", ".join(fields)))
    return Enrolled(KnownPerson(sealed.person_id, recorded, sealed.revision), span, fresh=False)


async def person(parts: Enrollment, principal: Principal, person_id: str, now: datetime) -> KnownPerson:
    """One person: for agencies only those they keep. Raises Refused."""
    async with parts.database.read() as reader:
        sealed = await store.person(reader, person_id)
        spans = await store.spans_of(reader, [person_id])
    if sealed is None:
        raise Refused(errors.PERSON_UNKNOWN())
    if principal.role is not Role.FACILITY:
        check_keeper(parts, principal, sealed, spans, now)
    return _known(parts, sealed)


def _known(parts: Enrollment, sealed: SealedPerson) -> KnownPerson:
    return KnownPerson(sealed.person_id, parts.unseal_person(sealed), sealed.revision)


async def change_person(
    parts: Enrollment,
    principal: Principal,
    person_id: str,
    name: str,
    phone: str | None,
    bank_account: str | None,
    now: datetime,
) -> KnownPerson:
    """New name, phone and bank account of a person (信息变更); the same again changes nothing. Raises Refused."""
    async with parts.database.transaction() as tx:
        sealed = await held_person(tx, person_id)
        check_keeper(parts, principal, sealed, await store.spans_of(tx, [person_id]), now)
        known = _known(parts, sealed)
        data = replace(known.data, name=name, phone=phone, bank_account=bank_account)
        if data == known.data:
            return known
        await store.change_persons(tx, [parts.seal_data(person_id, data)], now)
    return KnownPerson(person_id, data, known.revision + 1)


@dataclass(frozen=True, slots=True)
class LookedUp:
    """Who somebody is and what holds for them on a day; the name is in the clear."""

    found: Found
    name: str
    identity_number: str


async def look_up(
    parts: Enrollment,
    now: datetime,
    *,
    person_id: str | None,
    certificate_type: str,
    identity_number: str | None,
    day: date,
    care_region: str | None,
) -> LookedUp:
    """Who is insured for what on a day, by person or by certificate; filings only of the place of care if one is named.

    Raises Refused.
    """
    wrong = [] if identity_number is None else _certificate(certificate_type, identity_number, now)
    if care_region is not None and care_region not in parts.regions:
        wrong.append(errors.REGION_UNKNOWN(pointer="/care_region", region=care_region))
    if wrong:
        raise Refused(*wrong)
    async with parts.database.read() as reader:
        if identity_number is not None:
            found = await lookups.by_hash(reader, parts.identity_hash(certificate_type, identity_number), day)
        else:
            found = await lookups.by_number(reader, person_id or "", day)
    if found is None:
        raise Refused(errors.PERSON_UNKNOWN())
    if care_region is not None:
        filings = tuple(f for f in found.filings if parts.covers(f.care_region, care_region))
        found = replace(found, filings=filings)
    name, number = parts.unseal("name", found.name), parts.unseal("identity_number", found.identity_number)
    return LookedUp(found, name, number)


def _certificate(certificate_type: str, identity_number: str, now: datetime) -> list[Refusal]:
    return rules.check_certificate(certificate_type, identity_number, shanghai_day(now))


async def add_span(
    parts: Enrollment, principal: Principal, person_id: str, insurance: Insurance, now: datetime
) -> Span:
    """Insure a person (参保). Raises Refused."""
    wrong = rules.check_insurance(insurance, parts.codes, parts.regions)
    if wrong:
        raise Refused(*wrong)
    check_area(parts.regions, principal, insurance.region)
    span = span_of(new_id(), person_id, insurance)
    try:
        async with parts.database.transaction() as tx:
            await held_person(tx, person_id)
            await store.add_spans(tx, [span])
            await announce_now(tx, [insurance_changed(span)], now)
    except asyncpg.ExclusionViolationError as clash:
        raise Refused(errors.INSURANCE_OVERLAPS(pointer="/valid_from")) from clash
    return span


async def end_span(parts: Enrollment, principal: Principal, span_id: str, last_day: date, now: datetime) -> Span:
    """End an insurance after a day (停保). Raises Refused."""
    async with parts.database.transaction() as tx:
        span = await _held_span(tx, span_id)
        check_area(parts.regions, principal, span.region)
        match rules.end(span, last_day):
            case Refusal() as refusal:
                raise Refused(refusal)
            case changed:
                if changed != span:
                    await store.change_spans(tx, [changed])
                    await announce_now(tx, [insurance_changed(changed)], now)
    return changed


async def _held_span(tx: Connection, span_id: str) -> Span:
    """A span whose person is held: the person first, as everywhere, or two changes might wait for each other."""
    seen = await store.span(tx, span_id)
    if seen is not None:
        await held_person(tx, seen.person_id)
        seen = await store.span(tx, span_id)
    if seen is None:
        raise Refused(errors.SPAN_UNKNOWN())
    return seen


async def spans_page(
    parts: Enrollment, principal: Principal, person_id: str, after: str, limit: int, now: datetime
) -> list[Span]:
    """The spans of a person an agency keeps. Raises Refused."""
    await person(parts, principal, person_id, now)
    async with parts.database.read() as reader:
        return await store.spans_page(reader, person_id, after, limit)


@dataclass(frozen=True, slots=True)
class Contact:
    """Name and phone of a person, in the clear."""

    person_id: str
    name: str
    phone: str | None


async def contacts(parts: Enrollment, person_ids: Sequence[str]) -> list[Contact]:
    """How to reach some persons; numbers nobody has are left out."""
    async with parts.database.read() as reader:
        sealed = await store.contacts(reader, person_ids)
    return [
        Contact(c.person_id, parts.unseal("name", c.name), None if c.phone is None else parts.unseal("phone", c.phone))
        for c in sealed
    ]
