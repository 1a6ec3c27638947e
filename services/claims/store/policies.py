"""Policy packs: what was proposed, by whom it was decided, what is in force."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Any

from shared.database import Connection


@dataclass(frozen=True, slots=True)
class PackRow:
    """A version of a pack as proposed."""

    proposal_id: str
    pack: str
    version: str
    area: str
    valid_from: date
    valid_to: date | None
    digest: str
    files: Mapping[str, str]
    state: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None


_NAMES = tuple(PackRow.__dataclass_fields__)
_COLUMNS = ", ".join(_NAMES)
_VALUES = attrgetter(*_NAMES)

ADD = f"INSERT INTO policy_pack ({_COLUMNS}) VALUES ({', '.join(f'${n}' for n in range(1, len(_NAMES) + 1))})"
ONE = f"SELECT {_COLUMNS} FROM policy_pack WHERE proposal_id = $1"
ONE_FOR_UPDATE = ONE + " FOR UPDATE"
IN_FORCE = f"SELECT {_COLUMNS} FROM policy_pack WHERE state = 'in_force' ORDER BY decided_at, proposal_id"
IN_FORCE_COUNT = "SELECT count(*) FROM policy_pack WHERE state = 'in_force'"
PLACES_LOCK = "SELECT pg_advisory_xact_lock(hashtext('sifang.claims.policy_pack'))"
PLACES = "SELECT DISTINCT pack, area FROM policy_pack WHERE state = 'in_force'"
VERSION = f"SELECT {_COLUMNS} FROM policy_pack WHERE pack = $1 AND version = $2 AND state = 'in_force'"
PAGE = f"SELECT {_COLUMNS} FROM policy_pack WHERE proposal_id > $1 ORDER BY proposal_id LIMIT $2"
DECIDE = """
    UPDATE policy_pack SET state = $2, decided_by = $3, decided_at = $4, reason = $5 WHERE proposal_id = $1
"""


async def add(tx: Connection, row: PackRow) -> None:
    """Insert. Raises asyncpg.UniqueViolationError (policy_pack_once)."""
    values = dict(zip(_NAMES, _VALUES(row), strict=True)) | {"files": json.dumps(dict(row.files), ensure_ascii=False)}
    await tx.execute(ADD, *values.values())


async def get(tx: Connection, proposal_id: str, *, for_update: bool = False) -> PackRow | None:
    """One version."""
    record = await tx.fetchrow(ONE_FOR_UPDATE if for_update else ONE, proposal_id)
    return None if record is None else _row(record)


async def in_force(tx: Connection) -> list[PackRow]:
    """Every version that was put in force, in that order."""
    return [_row(record) for record in await tx.fetch(IN_FORCE)]


async def in_force_count(tx: Connection) -> int:
    """How many there are: versions in force are never taken back, so another count means another set."""
    count: int = await tx.fetchval(IN_FORCE_COUNT)
    return count


async def places(tx: Connection) -> set[tuple[str, str]]:
    """(pack, area) of every version in force; nobody else is told until the transaction ends."""
    await tx.execute(PLACES_LOCK)
    return {(row["pack"], row["area"]) for row in await tx.fetch(PLACES)}


async def version(tx: Connection, pack: str, version: str) -> PackRow | None:
    """A version in force."""
    record = await tx.fetchrow(VERSION, pack, version)
    return None if record is None else _row(record)


async def page(tx: Connection, after: str, limit: int) -> Sequence[PackRow]:
    """Versions by proposal id."""
    return [_row(record) for record in await tx.fetch(PAGE, after, limit)]


async def decide(
    tx: Connection, proposal_id: str, state: str, decided_by: str, decided_at: datetime, reason: str | None
) -> None:
    """Write what was decided about a proposal."""
    await tx.execute(DECIDE, proposal_id, state, decided_by, decided_at, reason)


def _row(record: Any) -> PackRow:
    return PackRow(**{**record, "files": json.loads(record["files"])})
