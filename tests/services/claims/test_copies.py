"""Claims' copies of what others announced: a late event never overwrites a newer one."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime

import pytest

from services.claims.handlers import HANDLERS
from services.claims.store import copies
from services.claims.store.copies import PersonRef
from shared.database import Database
from shared.events import Envelope, Event, new_id
from shared.events.designation import (
    AgreementEnded,
    AgreementRestored,
    AgreementSigned,
    AgreementSuspended,
    FacilityChanged,
    Suspension,
)
from shared.events.enrollment import FilingApproved, FilingCancelled, InsuranceChanged, PersonEnrolled
from shared.settings import Settings
from tests.services.claims.seeds import fresh

NOW = datetime(2026, 10, 12, tzinfo=UTC)
JANUARY, OCTOBER, DECEMBER = date(2026, 1, 1), date(2026, 10, 1), date(2026, 12, 31)


@pytest.fixture(scope="module")
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The database in claims' own role."""
    opened = Database(settings, "claims")
    await opened.open()
    yield opened
    await opened.close()


async def hear(database: Database, events: Sequence[Event], *, together: bool) -> None:
    """Hand the events to their handlers, in one batch of each kind or one after the other."""
    if not together:
        for event in events:
            await hear(database, [event], together=True)
        return
    async with database.transaction() as tx:
        for kind, run in itertools.groupby(events, key=type):
            await HANDLERS[kind](tx, [Envelope(event, NOW) for event in run], NOW)


def span(person_id: str, span_id: str, revision: int, valid_to: date | None) -> InsuranceChanged:
    return InsuranceChanged(
        span_id=span_id,
        person_id=person_id,
        insutype="390",
        psn_type="15",
        region="411603",
        valid_from=JANUARY,
        valid_to=valid_to,
        revision=revision,
    )


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_newest_span_counts_in_any_order(database: Database, order: tuple[int, ...], together: bool) -> None:
    person, span_id = new_id(), new_id()
    revisions = [span(person, span_id, 1, None), span(person, span_id, 2, OCTOBER), span(person, span_id, 3, DECEMBER)]
    enrolled = PersonEnrolled(person_id=person, identity_hash=fresh("hash-"))
    await hear(database, [enrolled, *(revisions[n] for n in order), revisions[0]], together=together)
    async with database.read() as reader:
        facts = (await copies.people(reader, [PersonRef(person)])).get(PersonRef(person))
    assert facts is not None
    assert [one.valid_to for one in facts.spans] == [DECEMBER]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_cancelled_filing_never_comes_back(database: Database, order: tuple[int, int]) -> None:
    person, filing = new_id(), new_id()
    approved = FilingApproved(
        filing_id=filing,
        person_id=person,
        kind="referral",
        care_region="411628",
        valid_from=OCTOBER,
        valid_to=None,
        revision=1,
    )
    cancelled = FilingCancelled(filing_id=filing, person_id=person, revision=2)
    events: list[Event] = [approved, cancelled]
    await hear(database, [PersonEnrolled(person_id=person, identity_hash=fresh("hash-"))], together=True)
    await hear(database, [events[n] for n in order], together=False)
    async with database.read() as reader:
        facts = (await copies.people(reader, [PersonRef(person)])).get(PersonRef(person))
    assert facts is not None
    assert facts.filings == ()


async def test_a_corrected_identity_number_finds_the_person(database: Database) -> None:
    person, old, new = new_id(), fresh("hash-"), fresh("hash-")
    first = PersonEnrolled(person_id=person, identity_hash=old, revision=1)
    corrected = PersonEnrolled(person_id=person, identity_hash=new, revision=2)
    await hear(database, [corrected, first], together=False)
    async with database.read() as reader:
        found = await copies.people(reader, [PersonRef(None, old), PersonRef(None, new)])
    assert found.get(PersonRef(None, old)) is None
    assert found.get(PersonRef(None, new)) is not None


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_an_agreement_is_as_its_newest_event_says(database: Database, order: tuple[int, ...]) -> None:
    code, agreement = fresh("H"), new_id()
    body = {"agreement_id": agreement, "facility_code": code, "valid_from": JANUARY}
    lifted = (Suspension(since=OCTOBER, until=date(2026, 10, 5)),)
    life: list[Event] = [
        AgreementSigned(**body, valid_to=DECEMBER, revision=1),
        AgreementSuspended(**body, valid_to=DECEMBER, suspensions=(Suspension(since=OCTOBER),), revision=2),
        AgreementRestored(**body, valid_to=DECEMBER, suspensions=lifted, revision=3),
        AgreementEnded(**body, valid_to=date(2026, 11, 30), suspensions=lifted, revision=4),
    ]
    changed = FacilityChanged(facility_code=code, name="x", kind="hospital", level="2", region="411603", revision=1)
    await hear(database, [changed, *(life[n] for n in order)], together=False)
    async with database.read() as reader:
        facility = (await copies.facilities(reader, [code]))[code]
    (kept,) = facility.agreements
    assert kept.valid_to == date(2026, 11, 30)
    assert kept.suspensions == ((OCTOBER, date(2026, 10, 5)),)


async def test_a_facility_is_as_its_newest_event_says(database: Database) -> None:
    code = fresh("H")
    events = [
        FacilityChanged(facility_code=code, name="x", kind="hospital", level=level, region="411603", revision=revision)
        for level, revision in (("2", 2), ("1", 1), ("3", 3), ("2", 2))
    ]
    for together in (True, False):
        await hear(database, events, together=together)
        async with database.read() as reader:
            assert (await copies.facilities(reader, [code]))[code].level == "3"
