"""Queries on persons and insurance spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.enrollment.rules.people import Span
from shared.database import Connection, row_to, rows_to

_PERSON_COLUMNS = "person_id, certificate_type, identity_number, name, phone, bank_account, enrolled_by, revision"
_SPAN_COLUMNS = "span_id, person_id, insutype, psn_type, region, valid_from, valid_to, revision"

PERSONS_INSERT = """
    INSERT INTO person (person_id, certificate_type, identity_hash, identity_number, name, phone, bank_account,
                        enrolled_by, revision, created_at, changed_at)
    SELECT u.person_id, u.certificate_type, u.identity_hash, u.identity_number, u.name, u.phone, u.bank_account,
           $8, 1, $9, $9
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        AS u(person_id, certificate_type, identity_hash, identity_number, name, phone, bank_account)
    ORDER BY u.identity_hash
    ON CONFLICT (identity_hash) DO NOTHING RETURNING person_id
"""
PERSON = f"SELECT {_PERSON_COLUMNS} FROM person WHERE person_id = $1"
PERSON_BY_HASH = f"SELECT {_PERSON_COLUMNS} FROM person WHERE identity_hash = $1"
PERSON_LOCKED = PERSON + " FOR NO KEY UPDATE"
PERSONS_KNOWN = "SELECT identity_hash FROM person WHERE identity_hash = ANY($1::text[])"
PERSONS_BY_HASH = f"""
    SELECT identity_hash, {_PERSON_COLUMNS} FROM person WHERE identity_hash = ANY($1::text[]) ORDER BY person_id
"""
PERSONS_BY_HASH_LOCKED = PERSONS_BY_HASH + " FOR NO KEY UPDATE"
PERSONS_UPDATE = """
    UPDATE person AS p SET name = u.name, phone = u.phone, bank_account = u.bank_account,
                           revision = p.revision + 1, changed_at = $5
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u(person_id, name, phone, bank_account)
    WHERE p.person_id = u.person_id
"""
CONTACTS = "SELECT person_id, name, phone FROM person WHERE person_id = ANY($1::text[]) ORDER BY person_id"
SEALED_AFTER = """
    SELECT person_id, identity_number, name, phone, bank_account FROM person
    WHERE person_id > $1 ORDER BY person_id LIMIT $2
"""
SEALED_LOCKED = """
    SELECT person_id, identity_number, name, phone, bank_account FROM person
    WHERE person_id = ANY($1::text[]) ORDER BY person_id FOR NO KEY UPDATE
"""
RESEAL = """
    UPDATE person AS p SET identity_number = u.identity_number, name = u.name, phone = u.phone,
                           bank_account = u.bank_account
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
        AS u(person_id, identity_number, name, phone, bank_account)
    WHERE p.person_id = u.person_id
"""
SPANS_INSERT = f"""
    INSERT INTO insurance_span ({_SPAN_COLUMNS})
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::date[], $7::date[], $8::int[])
"""
SPANS_UPDATE = """
    UPDATE insurance_span AS s SET valid_to = u.valid_to, revision = u.revision
    FROM unnest($1::text[], $2::date[], $3::int[]) AS u(span_id, valid_to, revision) WHERE s.span_id = u.span_id
"""
SPAN = f"SELECT {_SPAN_COLUMNS} FROM insurance_span WHERE span_id = $1"
SPANS_OF = f"SELECT {_SPAN_COLUMNS} FROM insurance_span WHERE person_id = ANY($1::text[]) ORDER BY valid_from"
SPANS_PAGE = f"""
    SELECT {_SPAN_COLUMNS} FROM insurance_span WHERE person_id = $1 AND span_id > $2 ORDER BY span_id LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class SealedPerson:
    """A person as stored: personal data is ciphertext."""

    person_id: str
    certificate_type: str
    identity_number: str
    name: str
    phone: str | None
    bank_account: str | None
    enrolled_by: str
    revision: int = 1


@dataclass(frozen=True, slots=True)
class SealedData:
    """The ciphertexts of one person."""

    person_id: str
    identity_number: str
    name: str
    phone: str | None
    bank_account: str | None


@dataclass(frozen=True, slots=True)
class SealedContact:
    """What reaching a person takes, as ciphertext."""

    person_id: str
    name: str
    phone: str | None


async def add_persons(
    tx: Connection, persons: Sequence[tuple[str, SealedPerson]], enrolled_by: str, now: datetime
) -> set[str]:
    """Insert persons by their identity hashes; the numbers of those whose hash was not taken."""
    rows = await tx.fetch(
        PERSONS_INSERT,
        [p.person_id for _, p in persons],
        [p.certificate_type for _, p in persons],
        [identity_hash for identity_hash, _ in persons],
        [p.identity_number for _, p in persons],
        [p.name for _, p in persons],
        [p.phone for _, p in persons],
        [p.bank_account for _, p in persons],
        enrolled_by,
        now,
    )
    return {row["person_id"] for row in rows}


async def person(tx: Connection, person_id: str, *, locked: bool = False) -> SealedPerson | None:
    """One person; `locked` holds them until the transaction ends."""
    return row_to(SealedPerson, await tx.fetchrow(PERSON_LOCKED if locked else PERSON, person_id))


async def person_by_hash(tx: Connection, identity_hash: str) -> SealedPerson | None:
    """The person with a certificate."""
    return row_to(SealedPerson, await tx.fetchrow(PERSON_BY_HASH, identity_hash))


async def known_hashes(tx: Connection, identity_hashes: Sequence[str]) -> set[str]:
    """Those of some identity hashes that belong to a person."""
    return {row["identity_hash"] for row in await tx.fetch(PERSONS_KNOWN, list(identity_hashes))}


async def persons_by_hash(
    tx: Connection, identity_hashes: Sequence[str], *, locked: bool = False
) -> dict[str, SealedPerson]:
    """The persons with some certificates, by identity hash; `locked` holds them until the transaction ends."""
    rows = await tx.fetch(PERSONS_BY_HASH_LOCKED if locked else PERSONS_BY_HASH, list(identity_hashes))
    return {row[0]: SealedPerson(*row[1:]) for row in map(tuple, rows)}


async def change_persons(tx: Connection, persons: Sequence[SealedData], now: datetime) -> None:
    """Write names, phones and bank accounts."""
    ids, names = [p.person_id for p in persons], [p.name for p in persons]
    phones, accounts = [p.phone for p in persons], [p.bank_account for p in persons]
    await tx.execute(PERSONS_UPDATE, ids, names, phones, accounts, now)


async def contacts(tx: Connection, person_ids: Sequence[str]) -> list[SealedContact]:
    """Names and phones of some persons; numbers nobody has are left out."""
    return rows_to(SealedContact, await tx.fetch(CONTACTS, list(person_ids)))


async def sealed_after(tx: Connection, person_id: str, limit: int) -> list[SealedData]:
    """The ciphertexts of the persons that follow one, by number."""
    return rows_to(SealedData, await tx.fetch(SEALED_AFTER, person_id, limit))


async def sealed_locked(tx: Connection, person_ids: Sequence[str]) -> list[SealedData]:
    """The ciphertexts of some persons, who are held until the transaction ends."""
    return rows_to(SealedData, await tx.fetch(SEALED_LOCKED, list(person_ids)))


async def reseal(tx: Connection, persons: Sequence[SealedData]) -> None:
    """Write ciphertexts of the same texts under another key."""
    columns = zip(*((p.person_id, p.identity_number, p.name, p.phone, p.bank_account) for p in persons), strict=True)
    await tx.execute(RESEAL, *map(list, columns))


async def add_spans(tx: Connection, spans: Sequence[Span]) -> None:
    """Insert spans. Raises asyncpg.ExclusionViolationError when one overlaps another of its person and kind."""
    await tx.execute(
        SPANS_INSERT,
        [s.span_id for s in spans],
        [s.person_id for s in spans],
        [s.insutype for s in spans],
        [s.psn_type for s in spans],
        [s.region for s in spans],
        [s.valid_from for s in spans],
        [s.valid_to for s in spans],
        [s.revision for s in spans],
    )


async def change_spans(tx: Connection, spans: Sequence[Span]) -> None:
    """Write last days."""
    ids, last_days = [s.span_id for s in spans], [s.valid_to for s in spans]
    await tx.execute(SPANS_UPDATE, ids, last_days, [s.revision for s in spans])


async def span(tx: Connection, span_id: str) -> Span | None:
    """One span."""
    return row_to(Span, await tx.fetchrow(SPAN, span_id))


async def spans_of(tx: Connection, person_ids: Sequence[str]) -> list[Span]:
    """All spans of some persons, by first day."""
    return [Span(*row) for row in await tx.fetch(SPANS_OF, list(person_ids))]


async def spans_page(tx: Connection, person_id: str, after: str, limit: int) -> list[Span]:
    """A person's spans, by number."""
    return rows_to(Span, await tx.fetch(SPANS_PAGE, person_id, after, limit))
