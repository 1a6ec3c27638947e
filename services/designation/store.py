"""Every query of schema designation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from services.designation.rules import AgreementFacts, Interval, State
from services.designation.tables import Facility
from shared.database import Connection, row_to, rows_to

FACILITY_INSERT = """
    INSERT INTO facility (code, name, kind, level, region, revision) VALUES ($1, $2, $3, $4, $5, 1)
    ON CONFLICT DO NOTHING RETURNING code
"""
FACILITY_UPDATE = """
    UPDATE facility SET name = $2, kind = $3, level = $4, revision = revision + 1 WHERE code = $1 RETURNING *
"""
FACILITY = "SELECT code, name, kind, level, region, revision FROM facility WHERE code = $1"
FACILITIES = """
    SELECT code, name, kind, level, region, revision FROM facility
    WHERE region = ANY($1::text[]) AND code > $2 ORDER BY code LIMIT $3
"""
AGREEMENT_INSERT = """
    INSERT INTO agreement (agreement_id, facility_code, valid_from, valid_to, state, drafted_by, revision)
    VALUES ($1, $2, $3, $4, 'drafted', $5, 1)
"""
AGREEMENT = """
    SELECT agreement_id, facility_code, valid_from, valid_to, state, drafted_by, signed_by, revision
    FROM agreement WHERE agreement_id = $1
"""
AGREEMENT_FOR_UPDATE = AGREEMENT + " FOR UPDATE"
AGREEMENTS_OF = """
    SELECT agreement_id, facility_code, valid_from, valid_to, state, drafted_by, signed_by, revision
    FROM agreement WHERE facility_code = $1 AND agreement_id > $2 ORDER BY agreement_id LIMIT $3
"""
AGREEMENT_UPDATE = """
    UPDATE agreement SET valid_to = $2, state = $3, signed_by = $4, revision = $5 WHERE agreement_id = $1
"""
SUSPENSIONS = "SELECT since, until FROM suspension WHERE agreement_id = $1 ORDER BY since"
SUSPENSION_UPSERT = """
    INSERT INTO suspension (agreement_id, since, until) VALUES ($1, $2, $3)
    ON CONFLICT (agreement_id, since) DO UPDATE SET until = EXCLUDED.until
"""
STEP_INSERT = """
    INSERT INTO agreement_step (agreement_id, revision, step, actor, day, reason, at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def add_facility(tx: Connection, facility: Facility) -> bool:
    """Insert; False when the code is taken."""
    f = facility
    return await tx.fetchval(FACILITY_INSERT, f.code, f.name, f.kind, f.level, f.region) is not None


async def change_facility(tx: Connection, code: str, name: str, kind: str, level: str) -> Facility | None:
    """The facility after the change; None when there is none."""
    return row_to(Facility, await tx.fetchrow(FACILITY_UPDATE, code, name, kind, level))


async def facility(tx: Connection, code: str) -> Facility | None:
    """One facility."""
    return row_to(Facility, await tx.fetchrow(FACILITY, code))


async def facilities(tx: Connection, regions: Sequence[str], after: str, limit: int) -> list[Facility]:
    """Facilities of some regions, by code."""
    return rows_to(Facility, await tx.fetch(FACILITIES, list(regions), after, limit))


async def add_agreement(
    tx: Connection, agreement_id: str, facility_code: str, valid_from: date, valid_to: date, actor: str
) -> None:
    """Insert a draft. Raises asyncpg.ExclusionViolationError when its days overlap another agreement's."""
    await tx.execute(AGREEMENT_INSERT, agreement_id, facility_code, valid_from, valid_to, actor)


async def agreement(tx: Connection, agreement_id: str, *, for_update: bool = False) -> AgreementFacts | None:
    """One agreement with its suspensions."""
    row = await tx.fetchrow(AGREEMENT_FOR_UPDATE if for_update else AGREEMENT, agreement_id)
    return None if row is None else await _facts(tx, row)


async def agreements_of(tx: Connection, facility_code: str, after: str, limit: int) -> list[AgreementFacts]:
    """A facility's agreements, by id."""
    return [await _facts(tx, row) for row in await tx.fetch(AGREEMENTS_OF, facility_code, after, limit)]


async def _facts(tx: Connection, row: object) -> AgreementFacts:
    columns = dict(row)  # type: ignore[call-overload]
    suspensions = rows_to(Interval, await tx.fetch(SUSPENSIONS, columns["agreement_id"]))
    return AgreementFacts(**{**columns, "state": State(columns["state"])}, suspensions=tuple(suspensions))


async def save_agreement(tx: Connection, facts: AgreementFacts) -> None:
    """Write an agreement's new state and suspensions."""
    await tx.execute(AGREEMENT_UPDATE, facts.agreement_id, facts.valid_to, facts.state, facts.signed_by, facts.revision)
    for interval in facts.suspensions:
        await tx.execute(SUSPENSION_UPSERT, facts.agreement_id, interval.since, interval.until)


async def add_step(
    tx: Connection,
    agreement_id: str,
    revision: int,
    step: str,
    actor: str,
    *,
    day: date | None,
    reason: str | None,
    at: datetime,
) -> None:
    """Record who did what."""
    await tx.execute(STEP_INSERT, agreement_id, revision, step, actor, day, reason, at)
