"""What the database itself refuses, whatever the code above it does."""

from __future__ import annotations

import asyncpg
import pytest

from tests.services.designation.conftest import Owner

_FACILITY = "INSERT INTO facility VALUES ('{code}', 'n', '{kind}', '{level}', '411603', 1)"
_AGREEMENT = """
    INSERT INTO agreement (agreement_id, facility_code, valid_from, valid_to, state, drafted_by, signed_by, revision)
    VALUES ('{id}', '{code}', '{first}', '{last}', '{state}', 'officer-1', {signed_by}, 1)
"""
_SUSPENSION = "INSERT INTO suspension (agreement_id, since, until) VALUES ('{id}', '2026-03-01', {until})"


def facility(code: str = "TEST-1", kind: str = "hospital", level: str = "2") -> str:
    """A facility."""
    return _FACILITY.format(code=code, kind=kind, level=level)


def agreement(
    first: str = "2026-01-01",
    last: str = "2026-12-31",
    *,
    agreement_id: str = "a",
    code: str = "TEST-1",
    state: str = "drafted",
    signed_by: str = "NULL",
) -> str:
    """An agreement of the facility, drafted by officer-1."""
    return _AGREEMENT.format(id=agreement_id, code=code, first=first, last=last, state=state, signed_by=signed_by)


async def refused_by(owner: Owner, *statements: str) -> str | None:
    """The constraint that refuses one of some statements; nothing of them stays."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        for statement in statements:
            await owner.execute(statement)
    except asyncpg.IntegrityConstraintViolationError as error:
        return error.constraint_name
    finally:
        await transaction.rollback()
    return None


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (facility(), None),
        (facility(kind="spa"), "facility_kind"),
        (facility(level="4"), "facility_level"),
        (agreement(code="NOBODY"), "agreement_facility"),
        (_SUSPENSION.format(id="nothing", until="NULL"), "suspension_agreement"),
    ],
)
async def test_one_row(owner: Owner, statement: str, constraint: str | None) -> None:
    assert await refused_by(owner, statement) == constraint


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (agreement(), None),
        (agreement("2026-12-31", "2026-01-01"), "agreement_period"),
        (agreement(state="lost", signed_by="'reviewer-1'"), "agreement_state"),
        (agreement(state="in_force"), "agreement_signed"),
        (agreement(signed_by="'reviewer-1'"), "agreement_signed"),
        (agreement(state="in_force", signed_by="'reviewer-1'"), None),
        (agreement(state="in_force", signed_by="'officer-1'"), "agreement_four_eyes"),
    ],
)
async def test_an_agreement(owner: Owner, statement: str, constraint: str | None) -> None:
    assert await refused_by(owner, facility(), statement) == constraint


@pytest.mark.parametrize(
    ("first", "last", "code", "constraint"),
    [
        ("2026-12-31", "2027-12-31", "TEST-1", "agreement_no_overlap"),
        ("2025-01-01", "2026-01-01", "TEST-1", "agreement_no_overlap"),
        ("2026-05-05", "2026-05-05", "TEST-1", "agreement_no_overlap"),
        ("2025-01-01", "2027-12-31", "TEST-1", "agreement_no_overlap"),
        ("2027-01-01", "2027-12-31", "TEST-1", None),
        ("2025-01-01", "2025-12-31", "TEST-1", None),
        ("2026-01-01", "2026-12-31", "TEST-2", None),
    ],
)
async def test_one_facility_has_one_agreement_a_day(
    owner: Owner, first: str, last: str, code: str, constraint: str | None
) -> None:
    second = agreement(first, last, agreement_id="b", code=code)

    assert await refused_by(owner, facility(), facility("TEST-2"), agreement(), second) == constraint


@pytest.mark.parametrize(
    ("until", "constraint"), [("NULL", None), ("'2026-03-01'", None), ("'2026-02-28'", "suspension_period")]
)
async def test_a_suspension(owner: Owner, until: str, constraint: str | None) -> None:
    assert await refused_by(owner, facility(), agreement(), _SUSPENSION.format(id="a", until=until)) == constraint
