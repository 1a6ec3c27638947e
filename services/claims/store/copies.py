"""Our copy of who is insured, filed and contracted; a late event never overwrites a newer one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from services.claims.rules.facts import AgreementFacts, FacilityFacts, Filing, PersonFacts, Span
from shared.database import Connection, columns
from shared.events.designation import AgreementState, FacilityChanged
from shared.events.enrollment import FilingApproved, FilingCancelled, InsuranceChanged, PersonEnrolled

PERSONS_UPSERT = """
    INSERT INTO person (person_id, identity_hash, revision)
    SELECT DISTINCT ON (person_id) *
    FROM unnest($1::text[], $2::text[], $3::int[]) AS p(person_id, identity_hash, revision)
    ORDER BY person_id, revision DESC
    ON CONFLICT (person_id) DO UPDATE SET identity_hash = EXCLUDED.identity_hash, revision = EXCLUDED.revision
    WHERE EXCLUDED.revision > person.revision
"""
SPANS_UPSERT = """
    INSERT INTO insurance_span (span_id, person_id, insutype, psn_type, region, valid_from, valid_to, revision)
    SELECT DISTINCT ON (span_id) *
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::date[], $7::date[], $8::int[])
        AS s(span_id, person_id, insutype, psn_type, region, valid_from, valid_to, revision)
    ORDER BY span_id, revision DESC
    ON CONFLICT (span_id) DO UPDATE SET insutype = EXCLUDED.insutype, psn_type = EXCLUDED.psn_type,
        region = EXCLUDED.region, valid_from = EXCLUDED.valid_from, valid_to = EXCLUDED.valid_to,
        revision = EXCLUDED.revision
    WHERE EXCLUDED.revision > insurance_span.revision
"""
FILINGS_UPSERT = """
    INSERT INTO filing (filing_id, person_id, kind, care_region, valid_from, valid_to, cancelled, revision)
    SELECT DISTINCT ON (filing_id) *
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::date[], $7::bool[], $8::int[])
        AS f(filing_id, person_id, kind, care_region, valid_from, valid_to, cancelled, revision)
    ORDER BY filing_id, revision DESC
    ON CONFLICT (filing_id) DO UPDATE SET kind = EXCLUDED.kind, care_region = EXCLUDED.care_region,
        valid_from = EXCLUDED.valid_from, valid_to = EXCLUDED.valid_to, cancelled = EXCLUDED.cancelled,
        revision = EXCLUDED.revision
    WHERE EXCLUDED.revision > filing.revision
"""
FACILITIES_UPSERT = """
    INSERT INTO facility (code, kind, level, region, revision)
    SELECT DISTINCT ON (code) * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[])
        AS f(code, kind, level, region, revision)
    ORDER BY code, revision DESC
    ON CONFLICT (code) DO UPDATE SET kind = EXCLUDED.kind, level = EXCLUDED.level, region = EXCLUDED.region,
        revision = EXCLUDED.revision
    WHERE EXCLUDED.revision > facility.revision
"""
AGREEMENTS_UPSERT = """
    INSERT INTO agreement (agreement_id, facility_code, valid_from, valid_to, suspensions, revision)
    SELECT DISTINCT ON (agreement_id) agreement_id, facility_code, valid_from, valid_to, suspensions::jsonb, revision
    FROM unnest($1::text[], $2::text[], $3::date[], $4::date[], $5::text[], $6::int[])
        AS a(agreement_id, facility_code, valid_from, valid_to, suspensions, revision)
    ORDER BY agreement_id, revision DESC
    ON CONFLICT (agreement_id) DO UPDATE SET valid_from = EXCLUDED.valid_from, valid_to = EXCLUDED.valid_to,
        suspensions = EXCLUDED.suspensions, revision = EXCLUDED.revision
    WHERE EXCLUDED.revision > agreement.revision
"""
# Spans, filings and agreements come as arrays of their owner's row: one round trip instead of three.
PERSONS = """
    SELECT person_id, identity_hash,
           ARRAY(SELECT (s.person_id, insutype, psn_type, region, valid_from, valid_to)
                 FROM insurance_span AS s WHERE s.person_id = p.person_id),
           ARRAY(SELECT (f.person_id, kind, care_region, valid_from, valid_to)
                 FROM filing AS f WHERE f.person_id = p.person_id AND NOT cancelled)
    FROM (SELECT person_id, identity_hash FROM person WHERE person_id = ANY($1::text[])
          UNION SELECT person_id, identity_hash FROM person WHERE identity_hash = ANY($2::text[])) AS p
"""
FACILITIES = """
    SELECT code, kind, level, region,
           ARRAY(SELECT (valid_from, valid_to, suspensions) FROM agreement WHERE facility_code = code)
    FROM facility WHERE code = ANY($1::text[])
"""


@dataclass(frozen=True, slots=True)
class PersonRef:
    """How a request names a person: by internal number, or by the keyed hash of the identity number."""

    person_id: str | None
    identity_hash: str | None = None


async def save_persons(tx: Connection, events: Sequence[PersonEnrolled]) -> None:
    """Keep persons."""
    rows = [(e.person_id, e.identity_hash, e.revision) for e in events]
    await tx.execute(PERSONS_UPSERT, *columns(rows))


async def save_spans(tx: Connection, events: Sequence[InsuranceChanged]) -> None:
    """Keep insurance spans."""
    rows = [
        (e.span_id, e.person_id, e.insutype, e.psn_type, e.region, e.valid_from, e.valid_to, e.revision) for e in events
    ]
    await tx.execute(SPANS_UPSERT, *columns(rows))


async def save_filings(tx: Connection, events: Sequence[FilingApproved]) -> None:
    """Keep filings that hold."""
    rows = [
        (e.filing_id, e.person_id, e.kind, e.care_region, e.valid_from, e.valid_to, False, e.revision) for e in events
    ]
    await tx.execute(FILINGS_UPSERT, *columns(rows))


async def cancel_filings(tx: Connection, events: Sequence[FilingCancelled]) -> None:
    """Keep that filings were withdrawn."""
    rows = [(e.filing_id, e.person_id, None, None, None, None, True, e.revision) for e in events]
    await tx.execute(FILINGS_UPSERT, *columns(rows))


async def save_facilities(tx: Connection, events: Sequence[FacilityChanged]) -> None:
    """Keep facilities."""
    rows = [(e.facility_code, e.kind, e.level, e.region, e.revision) for e in events]
    await tx.execute(FACILITIES_UPSERT, *columns(rows))


async def save_agreements(tx: Connection, events: Sequence[AgreementState]) -> None:
    """Keep agreements."""
    rows = [
        (e.agreement_id, e.facility_code, e.valid_from, e.valid_to, _suspensions_json(e), e.revision) for e in events
    ]
    await tx.execute(AGREEMENTS_UPSERT, *columns(rows))


def _suspensions_json(event: AgreementState) -> str:
    return json.dumps([[s.since.isoformat(), s.until and s.until.isoformat()] for s in event.suspensions])


class People:
    """The persons a batch is about, found by either reference."""

    def __init__(self, by_id: dict[str, PersonFacts], id_by_hash: dict[str, str]) -> None:
        self._by_id, self._id_by_hash = by_id, id_by_hash

    def get(self, ref: PersonRef) -> PersonFacts | None:
        """The person, or None when we know none."""
        person_id = ref.person_id or self._id_by_hash.get(ref.identity_hash or "")
        return self._by_id.get(person_id or "")


async def people(tx: Connection, refs: Sequence[PersonRef]) -> People:
    """Load the persons with their spans and filings."""
    ids = [ref.person_id for ref in refs if ref.person_id]
    hashes = [ref.identity_hash for ref in refs if ref.identity_hash]
    by_id, id_by_hash = {}, {}
    for person_id, identity_hash, spans, filings in await tx.fetch(PERSONS, ids, hashes):
        by_id[person_id] = PersonFacts(
            person_id, tuple(Span(*span) for span in spans), tuple(Filing(*filing) for filing in filings)
        )
        id_by_hash[identity_hash] = person_id
    return People(by_id, id_by_hash)


async def facilities(tx: Connection, codes: Sequence[str]) -> dict[str, FacilityFacts]:
    """Load facilities with their agreements, by code."""
    return {
        code: FacilityFacts(code, kind, level, region, tuple(_agreement(*agreement) for agreement in agreements))
        for code, kind, level, region, agreements in await tx.fetch(FACILITIES, list(set(codes)))
    }


def _agreement(valid_from: date, valid_to: date, suspensions_json: str) -> AgreementFacts:
    suspensions = [
        (date.fromisoformat(since), date.fromisoformat(until) if until else None)
        for since, until in json.loads(suspensions_json)
    ]
    return AgreementFacts(valid_from, valid_to, tuple(suspensions))
