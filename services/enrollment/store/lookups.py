"""The look-up "who is insured for what on this day": one statement, because patients wait for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from shared.database import Connection

_HOLDS = "valid_from <= $2 AND (valid_to IS NULL OR $2 <= valid_to)"
_LOOKUP = f"""
    SELECT person_id, certificate_type, identity_number, name,
        ARRAY(SELECT ROW(span_id, insutype, psn_type, region, valid_from, valid_to) FROM insurance_span
              WHERE person_id = p.person_id AND {_HOLDS} ORDER BY insutype) AS insured,
        ARRAY(SELECT ROW(filing_id, kind, care_region, valid_from, valid_to) FROM filing
              WHERE person_id = p.person_id AND state = 'approved' AND {_HOLDS} ORDER BY valid_from) AS filings
    FROM person AS p
"""
LOOKUP_BY_HASH = f"{_LOOKUP} WHERE identity_hash = $1"
LOOKUP_BY_NUMBER = f"{_LOOKUP} WHERE person_id = $1"


@dataclass(frozen=True, slots=True)
class Insured:
    """An insurance that holds on the day."""

    span_id: str
    insutype: str
    psn_type: str
    region: str
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class Filed:
    """A remote-care filing that holds on the day."""

    filing_id: str
    kind: str
    care_region: str
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class Found:
    """A person on a day; identity number and name are ciphertext."""

    person_id: str
    certificate_type: str
    identity_number: str
    name: str
    insured: tuple[Insured, ...]
    filings: tuple[Filed, ...]


async def by_hash(tx: Connection, identity_hash: str, day: date) -> Found | None:
    """The person with a certificate, and what holds for them on a day."""
    return await _found(tx, LOOKUP_BY_HASH, identity_hash, day)


async def by_number(tx: Connection, person_id: str, day: date) -> Found | None:
    """The person of a number, and what holds for them on a day."""
    return await _found(tx, LOOKUP_BY_NUMBER, person_id, day)


async def _found(tx: Connection, query: str, key: str, day: date) -> Found | None:
    row = await tx.fetchrow(query, key, day)
    if row is None:
        return None
    person_id, certificate_type, identity_number, name, insured, filings = row
    return Found(
        person_id,
        certificate_type,
        identity_number,
        name,
        tuple(Insured(*span) for span in insured),
        tuple(Filed(*filing) for filing in filings),
    )
