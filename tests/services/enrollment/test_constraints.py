"""What the database itself refuses, whatever the code above it does; and that every statement fits the schema."""

from __future__ import annotations

import asyncpg
import pytest

from services.enrollment.rules.people import kind_of
from services.enrollment.store import filings, lookups, people
from services.enrollment.use_cases.parts import Enrollment
from tests.services.enrollment.conftest import Enrol, Owner

_PERSON = {
    "person_id": "'p'",
    "certificate_type": "'01'",
    "identity_hash": "repeat('a', 64)",
    "identity_number": "'k1.AAAA'",
    "name": "'k1.AAAA'",
    "enrolled_by": "'411603'",
    "revision": "1",
    "created_at": "now()",
    "changed_at": "now()",
}
_SPAN = {
    "span_id": "'s1'",
    "person_id": "'p'",
    "insutype": "'310'",
    "psn_type": "'11'",
    "region": "'411603'",
    "valid_from": "'2026-01-01'",
    "valid_to": "'2026-06-30'",
    "revision": "1",
}
_FILING = {
    "filing_id": "'f1'",
    "person_id": "'p'",
    "kind": "'referral'",
    "home_region": "'411603'",
    "care_region": "'411602'",
    "valid_from": "'2026-01-01'",
    "valid_to": "'2026-06-30'",
    "state": "'approved'",
    "asker": "'his'",
    "facility_code": "'H'",
    "papers": "'{}'",
    "opened_at": "now()",
    "decided_by": "'officer'",
    "revision": "1",
}


def insert(table: str, values: dict[str, str]) -> str:
    """An INSERT of one row whose values are SQL."""
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})"


async def refused_by(owner: Owner, *statements: str) -> str | None:
    """The constraint that refuses the last of some statements; nothing of them stays."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        for statement in statements[:-1]:
            await owner.execute(statement)
        try:
            await owner.execute(statements[-1])
        except asyncpg.IntegrityConstraintViolationError as error:
            return error.constraint_name or error.sqlstate
    finally:
        await transaction.rollback()
    return None


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({}, None),
        ({"phone": "'k1.AAAA'", "bank_account": "'k1.AAAA'"}, None),
        ({"certificate_type": "'02'"}, "person_certificate_type"),
        ({"identity_hash": "'a'"}, "person_identity_hash"),
        ({"identity_number": "'32999919900101001X'"}, "person_sealed"),
        ({"name": "'王小明'"}, "person_sealed"),
        ({"phone": "'13812345678'"}, "person_sealed"),
        ({"bank_account": "'6222020200112341234'"}, "person_sealed"),
    ],
)
async def test_a_person(owner: Owner, changed: dict[str, str], constraint: str | None) -> None:
    assert await refused_by(owner, insert("person", {**_PERSON, **changed})) == constraint


async def test_an_identity_hash_is_one_persons(owner: Owner) -> None:
    twin = insert("person", {**_PERSON, "person_id": "'q'"})
    assert await refused_by(owner, insert("person", _PERSON), twin) == "person_identity_hash_key"


NO_OVERLAP = "insurance_span_no_overlap"


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({}, NO_OVERLAP),
        ({"insutype": "'390'"}, NO_OVERLAP),
        ({"insutype": "'510'"}, None),
        ({"valid_from": "'2026-06-30'", "valid_to": "NULL"}, NO_OVERLAP),
        ({"valid_from": "'2026-07-01'", "valid_to": "NULL"}, None),
        ({"valid_from": "'2025-01-01'", "valid_to": "'2025-12-31'"}, None),
        ({"valid_from": "'2025-01-01'", "valid_to": "'2026-01-01'"}, NO_OVERLAP),
        ({"valid_from": "'2025-01-01'", "valid_to": "NULL"}, NO_OVERLAP),
        ({"person_id": "'q'"}, None),
        ({"person_id": "'nobody'"}, "insurance_span_person"),
        ({"valid_from": "'2027-01-02'", "valid_to": "'2027-01-01'"}, "insurance_span_period"),
    ],
)
async def test_a_second_span(owner: Owner, changed: dict[str, str], constraint: str | None) -> None:
    persons = [
        insert("person", _PERSON),
        insert("person", {**_PERSON, "person_id": "'q'", "identity_hash": "repeat('b', 64)"}),
    ]
    second = insert("insurance_span", {**_SPAN, "span_id": "'s2'", **changed})
    assert await refused_by(owner, *persons, insert("insurance_span", _SPAN), second) == constraint


async def test_a_span_cannot_be_moved_over_another(owner: Owner) -> None:
    later = {**_SPAN, "span_id": "'s2'", "valid_from": "'2026-07-01'", "valid_to": "NULL"}
    statements = [insert("person", _PERSON), insert("insurance_span", _SPAN), insert("insurance_span", later)]
    move = "UPDATE insurance_span SET valid_to = '2026-07-01' WHERE span_id = 's1'"
    assert await refused_by(owner, *statements, move) == NO_OVERLAP


async def test_sql_and_rule_agree_about_kinds(owner: Owner) -> None:
    codes = [f"{code:03d}" for code in range(300, 520)]
    transaction = owner.transaction()
    await transaction.start()
    try:
        await owner.execute(insert("person", _PERSON))
        for code in codes:
            days = {"valid_from": f"DATE '2000-01-01' + {code}", "valid_to": f"DATE '2000-01-01' + {code}"}
            span = {**_SPAN, "span_id": f"'{code}'", "insutype": f"'{code}'", **days}
            await owner.execute(insert("insurance_span", span))
        rows = await owner.fetch("SELECT insutype, kind FROM insurance_span WHERE person_id = 'p'")
    finally:
        await transaction.rollback()
    assert {row["insutype"]: row["kind"] for row in rows} == {code: kind_of(code) for code in codes}


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({}, None),
        ({"kind": "'holiday'", "facility_code": "NULL"}, "filing_kind"),
        ({"state": "'lost'"}, "filing_state"),
        ({"valid_to": "'2025-12-31'"}, "filing_period"),
        ({"valid_to": "NULL"}, "filing_referral_is_temporary"),
        ({"kind": "'posted_worker'"}, "filing_facility_refers"),
        ({"kind": "'posted_worker'", "facility_code": "NULL", "valid_to": "NULL"}, None),
        ({"decided_by": "'his'"}, "filing_four_eyes"),
        ({"decided_by": "NULL"}, "filing_decided"),
        ({"state": "'refused'", "decided_by": "NULL"}, "filing_decided"),
        ({"state": "'applied'", "decided_by": "NULL"}, None),
        ({"person_id": "'nobody'"}, "filing_person"),
    ],
)
async def test_a_filing(owner: Owner, changed: dict[str, str], constraint: str | None) -> None:
    filing = insert("filing", {**_FILING, **changed})
    assert await refused_by(owner, insert("person", _PERSON), filing) == constraint


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({}, "filing_no_overlap"),
        ({"state": "'applied'", "decided_by": "NULL", "valid_from": "'2026-06-30'"}, "filing_no_overlap"),
        ({"state": "'refused'"}, None),
        ({"state": "'cancelled'"}, None),
        ({"care_region": "'411600'"}, None),
        ({"kind": "'posted_worker'", "facility_code": "NULL"}, None),
        ({"valid_from": "'2026-07-01'", "valid_to": "'2026-12-31'"}, None),
    ],
)
async def test_a_second_filing(owner: Owner, changed: dict[str, str], constraint: str | None) -> None:
    second = insert("filing", {**_FILING, "filing_id": "'f2'", **changed})
    assert await refused_by(owner, insert("person", _PERSON), insert("filing", _FILING), second) == constraint


@pytest.mark.parametrize(
    "statement", ["UPDATE filing_act SET actor = 'x'", "DELETE FROM filing_act", "TRUNCATE filing_act"]
)
async def test_acts_are_never_changed(owner: Owner, statement: str) -> None:
    assert await refused_by(owner, statement) == "23001"


STATEMENTS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": text
    for module in (people, filings, lookups)
    for name, text in vars(module).items()
    if name.isupper() and not name.startswith("_") and isinstance(text, str)
}


@pytest.mark.parametrize("name", STATEMENTS)
async def test_every_statement_fits_the_schema_and_the_role(parts: Enrollment, name: str) -> None:
    async with parts.database.read() as reader:
        await reader.prepare(STATEMENTS[name])


async def test_a_lookup_needs_no_sequential_scan(parts: Enrollment, enrol: Enrol) -> None:
    """A patient waits for it: with many persons every part of it must find its way by an index."""
    await enrol()
    async with parts.database.transaction() as tx:
        await tx.execute("SET LOCAL enable_seqscan = off")
        for query in (lookups.LOOKUP_BY_HASH, lookups.LOOKUP_BY_NUMBER):
            plan = "\n".join(row[0] for row in await tx.fetch(f"EXPLAIN {_literal(query)}"))
            assert "Seq Scan" not in plan, plan


def _literal(query: str) -> str:
    return query.replace("$1", "'x'").replace("$2", "DATE '2026-11-02'")
