"""Bulk import: lines of persons and their insurance, in chunks, each chunk one transaction.

Lines count one after the other, as if each had been sent alone. A line enrols a person, or adds to what is recorded: a
phone that was missing, another span, the last day of an open one. It never overwrites: a line that contradicts the
record, or another line, is refused and left to a person to decide, and what was accepted changes nothing when it comes
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.enrollment import errors
from services.enrollment.rules import people as rules
from services.enrollment.rules.people import RESIDENT_IDENTITY_CARD, Insurance, PersonData, Span
from services.enrollment.store import people as store
from services.enrollment.store.people import SealedPerson
from services.enrollment.use_cases.parts import Enrollment, insurance_changed, span_of
from shared.auth import NOT_YOUR_AREA, Principal
from shared.batching import ahead
from shared.database import Connection
from shared.events import Envelope, Event, new_id
from shared.events.enrollment import PersonEnrolled
from shared.outbox import announce
from shared.refusals import Refusal
from shared.workdays import shanghai_day


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an import, well-formed."""

    number: int
    data: PersonData
    insurance: Insurance


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """One line of an import with everything that speaks against it."""

    number: int
    refusals: tuple[Refusal, ...]


@dataclass(slots=True)
class ImportReport:
    """What an import led to; every line is counted once."""

    refusals_max: int
    enrolled: int = 0
    """New persons."""
    changed: int = 0
    """Known persons of whom something was added."""
    unchanged: int = 0
    refused: int = 0
    refusals: list[RefusedLine] = field(default_factory=list)
    """Refused lines, `refusals_max` of them at most."""

    @property
    def rows(self) -> int:
        """All lines but the header and empty ones."""
        return self.enrolled + self.changed + self.unchanged + self.refused

    def refuse(self, lines: Iterable[RefusedLine]) -> None:
        """Count refused lines, and name them while there is room."""
        for line in lines:
            self.refused += 1
            if len(self.refusals) < self.refusals_max:
                self.refusals.append(line)


@dataclass(frozen=True, slots=True)
class _Newcomer:
    """All that is written for a person who is enrolled."""

    sealed: SealedPerson
    span: Span
    events: tuple[Envelope[Event], ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A line ready to be written."""

    line: Line
    identity_hash: str
    newcomer: _Newcomer | None = None
    """Made ahead when nobody with this certificate was enrolled at a first look; unused when somebody is by now."""


@dataclass(frozen=True, slots=True)
class _Decision:
    """What a line adds to a known person."""

    draft: _Draft
    person_id: str
    completed: PersonData | None
    """The person's data, when the line completes it."""
    added: Span | None
    closed: Span | None
    refusals: tuple[Refusal, ...]

    @property
    def changes(self) -> bool:
        news = (self.completed, self.added, self.closed)
        return not self.refusals and any(part is not None for part in news)


async def import_people(
    parts: Enrollment, principal: Principal, chunks: AsyncIterator[Sequence[Line | RefusedLine]], now: datetime
) -> ImportReport:
    """Import lines chunk by chunk; while one is written, the next is checked and encrypted. Raises Unavailable.

    What was written before an outage stays: the same file can be sent again.
    """
    report = ImportReport(parts.settings.import_refusals_max)
    prepared = (await _prepare(parts, principal, chunk, now) async for chunk in chunks)
    async with aclosing(ahead(prepared)) as ready:
        async for drafts, refused in ready:
            report.refuse(refused)
            while drafts:
                wave, drafts = _wave(drafts)
                drafts = await _write(parts, wave, report, principal.party, now) + drafts
    report.refusals.sort(key=lambda line: line.number)
    return report


# Preparing: in a thread, so that a window's look-up need not wait for a chunk.


async def _prepare(
    parts: Enrollment, principal: Principal, chunk: Sequence[Line | RefusedLine], now: datetime
) -> tuple[list[_Draft], list[RefusedLine]]:
    drafts, refused = await asyncio.to_thread(_checked, parts, principal, chunk, now)
    async with parts.database.read() as reader:
        known = await store.known_hashes(reader, [draft.identity_hash for draft in drafts])
    return await asyncio.to_thread(_encrypted, parts, principal, drafts, known, now), refused


def _checked(
    parts: Enrollment, principal: Principal, chunk: Sequence[Line | RefusedLine], now: datetime
) -> tuple[list[_Draft], list[RefusedLine]]:
    drafts, refused = [], []
    for line in chunk:
        if isinstance(line, RefusedLine):
            refused.append(line)
        elif refusals := _objections(parts, principal, line, now):
            refused.append(RefusedLine(line.number, tuple(refusals)))
        else:
            drafts.append(_Draft(line, parts.identity_hash(RESIDENT_IDENTITY_CARD, line.data.identity_number)))
    return drafts, refused


def _objections(parts: Enrollment, principal: Principal, line: Line, now: datetime) -> list[Refusal]:
    region = line.insurance.region
    wrong = rules.check_certificate(RESIDENT_IDENTITY_CARD, line.data.identity_number, shanghai_day(now))
    wrong += rules.check_insurance(line.insurance, parts.codes, parts.regions)
    if region in parts.regions and not parts.covers(principal.party, region):
        wrong.append(NOT_YOUR_AREA(pointer="/region", party=region))
    return wrong


def _encrypted(
    parts: Enrollment, principal: Principal, drafts: Sequence[_Draft], known: set[str], now: datetime
) -> list[_Draft]:
    return [d if d.identity_hash in known else _new_person(parts, principal, d, now) for d in drafts]


def _new_person(parts: Enrollment, principal: Principal, draft: _Draft, now: datetime) -> _Draft:
    person_id = new_id()
    sealed = parts.seal_person(person_id, draft.line.data, principal.party)
    span = span_of(new_id(), person_id, draft.line.insurance)
    enrolled = PersonEnrolled(person_id=person_id, identity_hash=draft.identity_hash)
    newcomer = _Newcomer(sealed, span, _untraced([enrolled, insurance_changed(span)], now))
    return replace(draft, newcomer=newcomer)


def _untraced(events: Iterable[Event], now: datetime) -> tuple[Envelope[Event], ...]:
    """Envelopes outside any trace: one with a million spans shows nobody anything."""
    return tuple(Envelope(event, now) for event in events)


# Writing


def _wave(drafts: Sequence[_Draft]) -> tuple[list[_Draft], list[_Draft]]:
    """The first line of each person, and the lines that must see what those did."""
    wave: dict[str, _Draft] = {}
    later = []
    for draft in drafts:
        if draft.identity_hash in wave:
            later.append(draft)
        else:
            wave[draft.identity_hash] = draft
    return list(wave.values()), later


async def _write(
    parts: Enrollment, wave: Sequence[_Draft], report: ImportReport, enrolled_by: str, now: datetime
) -> list[_Draft]:
    """Write lines of different persons; returns those whose person somebody else enrolled in the same moment."""
    async with parts.database.transaction() as tx:
        decisions = await _decide(parts, tx, wave)
        known = {decision.draft.identity_hash for decision in decisions}
        fresh = [draft for draft in wave if draft.identity_hash not in known]
        lost = await _add_persons(tx, fresh, enrolled_by, now) if fresh else []
        if changing := [decision for decision in decisions if decision.changes]:
            await _add_to_persons(parts, tx, changing, now)
    _count(report, decisions, len(fresh) - len(lost))
    return lost


def _count(report: ImportReport, decisions: Sequence[_Decision], enrolled: int) -> None:
    refused = [RefusedLine(d.draft.line.number, d.refusals) for d in decisions if d.refusals]
    changed = sum(d.changes for d in decisions)
    report.refuse(refused)
    report.enrolled += enrolled
    report.changed += changed
    report.unchanged += len(decisions) - len(refused) - changed


async def _decide(parts: Enrollment, tx: Connection, wave: Sequence[_Draft]) -> list[_Decision]:
    """What the lines add to known persons. Only persons to be changed are held, and decided on again once they are."""
    seen = await _decisions(parts, tx, wave, locked=False)
    changing = [decision.draft for decision in seen if decision.changes]
    if not changing:
        return seen
    return [d for d in seen if not d.changes] + await _decisions(parts, tx, changing, locked=True)


async def _decisions(parts: Enrollment, tx: Connection, wave: Sequence[_Draft], *, locked: bool) -> list[_Decision]:
    persons = await store.persons_by_hash(tx, [draft.identity_hash for draft in wave], locked=locked)
    if not persons:
        return []
    spans: dict[str, list[Span]] = {person.person_id: [] for person in persons.values()}
    for span in await store.spans_of(tx, list(spans)):
        spans[span.person_id].append(span)

    def decide() -> list[_Decision]:
        found = ((draft, persons.get(draft.identity_hash)) for draft in wave)
        return [_decision(parts, draft, p, spans[p.person_id]) for draft, p in found if p is not None]

    return await asyncio.to_thread(decide)


def _decision(parts: Enrollment, draft: _Draft, sealed: SealedPerson, spans: Sequence[Span]) -> _Decision:
    line = draft.line
    recorded = parts.unseal_person(sealed)
    refusals = []
    if fields := rules.differing(recorded, line.data):
        refusals.append(errors.PERSON_DIFFERS(pointer=f"/{fields[0]}", fields=", ".join(fields)))
    added = closed = None
    match rules.place(spans, line.insurance):
        case Refusal() as refusal:
            refusals.append(refusal)
        case None:
            added = span_of(new_id(), sealed.person_id, line.insurance)
        case span if span not in spans:
            closed = span
    completed = rules.completed(recorded, line.data)
    news = completed if completed != recorded else None
    return _Decision(draft, sealed.person_id, news, added, closed, tuple(refusals))


async def _add_persons(tx: Connection, drafts: Sequence[_Draft], enrolled_by: str, now: datetime) -> list[_Draft]:
    """Enrol new persons; returns the drafts that came too late."""
    newcomers = [(draft, draft.newcomer) for draft in drafts if draft.newcomer is not None]
    if len(newcomers) < len(drafts):
        raise RuntimeError("a person was enrolled, and is not any more")
    added = await store.add_persons(tx, [(d.identity_hash, n.sealed) for d, n in newcomers], enrolled_by, now)
    done = [n for _, n in newcomers if n.sealed.person_id in added]
    await store.add_spans(tx, [n.span for n in done])
    await announce(tx, [event for n in done for event in n.events])
    return [d for d, n in newcomers if n.sealed.person_id not in added]


async def _add_to_persons(parts: Enrollment, tx: Connection, decisions: Sequence[_Decision], now: datetime) -> None:
    completed = [parts.seal_data(d.person_id, d.completed) for d in decisions if d.completed is not None]
    added = [d.added for d in decisions if d.added is not None]
    closed = [d.closed for d in decisions if d.closed is not None]
    await store.change_persons(tx, completed, now)
    await store.add_spans(tx, added)
    await store.change_spans(tx, closed)
    await announce(tx, _untraced(map(insurance_changed, [*added, *closed]), now))
