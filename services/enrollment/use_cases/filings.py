"""Remote-care filings: registered at the counter, applied for by a facility, decided, ended, withdrawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

import asyncpg

from services.enrollment import errors
from services.enrollment.rules import filings as rules
from services.enrollment.rules.filings import Act, Application, Filing, State, Step
from services.enrollment.rules.people import Span, home_region
from services.enrollment.store import filings as store
from services.enrollment.store import people
from services.enrollment.use_cases.parts import Enrollment, held_person
from services.enrollment.use_cases.people import person
from shared.auth import Principal, Role, check_area
from shared.database import Connection
from shared.events import Event, new_id
from shared.events.enrollment import FilingApproved, FilingCancelled
from shared.outbox import announce_now
from shared.refusals import Refused

APPLY = "apply"
"""The first act on every filing."""


@dataclass(frozen=True, slots=True)
class FilingFile:
    """A filing and who did what to it."""

    filing: Filing
    acts: list[Act]


async def file(parts: Enrollment, principal: Principal, asked: Application, now: datetime) -> FilingFile:
    """A filing: an officer of the home agency registers it and it holds at once (即时办结), a facility's waits for one.

    Raises Refused with everything that speaks against it.
    """
    try:
        async with parts.database.transaction() as tx:
            await held_person(tx, asked.person_id)
            filing = _applied(parts, principal, asked, await people.spans_of(tx, [asked.person_id]), now)
            acts = [Act(APPLY, principal.subject, principal.role, None, None, now)]
            if principal.role is not Role.FACILITY:
                filing, approval = _stepped(filing, replace(acts[0], step=Step.APPROVE))
                acts.append(approval)
            await _record(tx, filing, acts, now)
    except asyncpg.ExclusionViolationError as clash:
        raise Refused(errors.FILING_OVERLAPS(pointer="/valid_from")) from clash
    return FilingFile(filing, acts)


def _applied(parts: Enrollment, principal: Principal, asked: Application, spans: list[Span], now: datetime) -> Filing:
    """The filing as applied for. Raises Refused."""
    by_facility = principal.role is Role.FACILITY
    home = home_region(spans, asked.valid_from)
    if home is not None and not by_facility:
        check_area(parts.regions, principal, home)
    wrong = rules.check_application(asked, home, parts.regions, by_facility=by_facility)
    if wrong or home is None:
        raise Refused(*wrong)
    return Filing(
        filing_id=new_id(),
        person_id=asked.person_id,
        kind=asked.kind,
        home_region=home,
        care_region=asked.care_region,
        valid_from=asked.valid_from,
        valid_to=rules.last_day(asked, parts.settings.referral_validity_months),
        state=State.APPLIED,
        # At the counter it is the insured person who asks; the officer decides.
        asker=principal.subject if by_facility else asked.person_id,
        facility_code=principal.party if by_facility else None,
        papers=asked.papers,
        opened_at=now,
        decided_by=None,
        revision=1,
    )


async def _record(tx: Connection, filing: Filing, acts: list[Act], now: datetime) -> None:
    await store.add_filing(tx, filing)
    for act in acts:
        await store.add_act(tx, filing.filing_id, act)
    if filing.state is State.APPROVED:
        await announce_now(tx, [_approved(filing)], now)


async def take_step(
    parts: Enrollment,
    principal: Principal,
    filing_id: str,
    step: Step,
    now: datetime,
    *,
    day: date | None = None,
    reason: str | None = None,
) -> FilingFile:
    """Approve, refuse, end or cancel a filing. Raises Refused with all that speaks against it."""
    async with parts.database.transaction() as tx:
        before = await _held(parts, principal, tx, filing_id)
        changed, act = _stepped(before, Act(step, principal.subject, principal.role, day, reason, now))
        await store.save_filing(tx, changed)
        await store.add_act(tx, filing_id, act)
        await announce_now(tx, _told(before, changed), now)
        return FilingFile(changed, await store.acts(tx, filing_id))


async def _held(parts: Enrollment, principal: Principal, tx: Connection, filing_id: str) -> Filing:
    """A filing the caller may act on, whose person is held until the transaction ends. Raises Refused."""
    seen = await store.filing(tx, filing_id)
    if seen is not None:
        await held_person(tx, seen.person_id)
        seen = await store.filing(tx, filing_id)
    return _visible(parts, principal, seen)


def _visible(parts: Enrollment, principal: Principal, filing: Filing | None) -> Filing:
    """The filing, when the caller may see it: its home agency, and the facility that applied. Raises Refused."""
    foreign = filing is not None and principal.role is Role.FACILITY and filing.facility_code != principal.party
    if filing is None or foreign:
        raise Refused(errors.FILING_UNKNOWN())
    if principal.role is not Role.FACILITY:
        check_area(parts.regions, principal, filing.home_region)
    return filing


def _stepped(filing: Filing, act: Act) -> tuple[Filing, Act]:
    match rules.take_step(filing, act):
        case Filing() as changed:
            return changed, act
        case wrong:
            raise Refused(*wrong)


def _told(before: Filing, after: Filing) -> list[Event]:
    """What others learn of a step: a filing that holds, as it now is, or that one that held does not any more."""
    if after.state is State.APPROVED:
        return [_approved(after)]
    if before.state is State.APPROVED:
        return [FilingCancelled(filing_id=after.filing_id, person_id=after.person_id, revision=after.revision)]
    return []


def _approved(filing: Filing) -> FilingApproved:
    return FilingApproved(
        filing_id=filing.filing_id,
        person_id=filing.person_id,
        kind=filing.kind,
        care_region=filing.care_region,
        valid_from=filing.valid_from,
        valid_to=filing.valid_to,
        revision=filing.revision,
    )


async def filing_file(parts: Enrollment, principal: Principal, filing_id: str) -> FilingFile:
    """One filing with its acts. Raises Refused."""
    async with parts.database.read() as reader:
        filing = _visible(parts, principal, await store.filing(reader, filing_id))
        return FilingFile(filing, await store.acts(reader, filing_id))


async def filings_page(
    parts: Enrollment, principal: Principal, person_id: str, after: str, limit: int, now: datetime
) -> list[FilingFile]:
    """The filings of a person an agency keeps. Raises Refused."""
    await person(parts, principal, person_id, now)
    async with parts.database.read() as reader:
        filings = await store.filings_page(reader, person_id, after, limit)
        acts = await store.acts_of(reader, [f.filing_id for f in filings])
    return [FilingFile(filing, acts[filing.filing_id]) for filing in filings]
