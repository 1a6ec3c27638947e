"""What the database itself refuses, by direct SQL: the last line of defence when the code above it is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from services.claims.store.settlements import SettlementRow
from shared.settings import Settings
from tests.services.claims.fixtures import MakeHis
from tests.services.claims.seeds import Owner, fresh, key, one_call

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
NAMES = list(SettlementRow.__dataclass_fields__)


@pytest.fixture
async def settled(his: MakeHis, owner: Owner) -> dict[str, Any]:
    """A settlement of 1500 yuan as it stands in the table."""
    clinic = his(await owner.facility())
    settlement = (await clinic.post("/v1/settlements", json=one_call(await owner.person()), headers=key())).json()
    row = await owner.connection.fetchrow(
        "SELECT * FROM claims.settlement WHERE settlement_id = $1", settlement["settlement_id"]
    )
    assert row is not None
    return dict(row)


@pytest.fixture
async def undone(settings: Settings) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A transaction of its own that is rolled back, so that a row the database wrongly took does not stay."""
    connection = await asyncpg.connect(settings.database_url)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def insert(connection: asyncpg.Connection[Any], row: dict[str, Any]) -> None:
    holes = ", ".join(f"${n}" for n in range(1, len(NAMES) + 1))
    statement = f"INSERT INTO claims.settlement ({', '.join(NAMES)}) VALUES ({holes})"
    await connection.execute(statement, *(row[name] for name in NAMES))


def another(settled: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A settlement like it under numbers of its own."""
    return {**settled, "settlement_id": fresh("S"), "facility_settlement_no": fresh("JS"), **changed}


async def test_a_settlement_in_order_is_taken(undone: asyncpg.Connection[Any], settled: dict[str, Any]) -> None:
    """Without this the refusals below could have any other reason."""
    await insert(undone, another(settled))


BROKEN = [
    # constraint, what is changed by how many fen: every change breaks one identity and no other
    ("settlement_total", {"fund_fen": -1, "by_ratio_fen": 1}),
    ("settlement_total", {"total_fen": 1, "own_fen": 1}),
    ("settlement_total", {"hospital_fen": 1}),
    ("settlement_total", {"person_fen": 1, "cash_fen": 1}),
    ("settlement_person", {"cash_fen": 1}),
    ("settlement_person", {"account_fen": 1}),
    ("settlement_scope", {"own_fen": 1}),
    ("settlement_scope", {"prepay_fen": 1}),
    ("settlement_layers", {"deductible_fen": 1}),
    ("settlement_layers", {"by_ratio_fen": 1}),
    ("settlement_layers", {"over_cap_fen": 1}),
    ("settlement_sign", {"account_fen": -1, "cash_fen": 1}),
    ("settlement_sign", {"own_fen": -1, "prepay_fen": 1}),
]


@pytest.mark.parametrize(("constraint", "changes"), BROKEN)
async def test_parts_that_do_not_make_the_whole_are_refused(
    undone: asyncpg.Connection[Any], settled: dict[str, Any], constraint: str, changes: dict[str, int]
) -> None:
    changed = {name: settled[name] + change_fen for name, change_fen in changes.items()}
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(undone, another(settled, **changed))
    assert refused.value.constraint_name == constraint


async def test_a_negative_settlement_that_reverses_nothing_is_refused(
    undone: asyncpg.Connection[Any], settled: dict[str, Any]
) -> None:
    negative = {name: -value for name, value in settled.items() if name.endswith("_fen")}
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(undone, another(settled, **negative))
    assert refused.value.constraint_name == "settlement_sign"


async def test_a_positive_reversal_is_refused(undone: asyncpg.Connection[Any], settled: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(undone, another(settled, reverses_settlement_id=settled["settlement_id"]))
    assert refused.value.constraint_name == "settlement_sign"


async def test_a_settlement_is_reversed_once(undone: asyncpg.Connection[Any], settled: dict[str, Any]) -> None:
    negative: dict[str, Any] = {name: -value for name, value in settled.items() if name.endswith("_fen")}
    negative["reverses_settlement_id"] = settled["settlement_id"]
    await insert(undone, another(settled, **negative))
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await insert(undone, another(settled, **negative))
    assert refused.value.constraint_name == "settlement_reversed_once"


async def test_a_number_of_a_facility_is_used_once(undone: asyncpg.Connection[Any], settled: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await insert(undone, another(settled, facility_settlement_no=settled["facility_settlement_no"]))
    assert refused.value.constraint_name == "settlement_number"


@pytest.mark.parametrize("table", ["settlement", "fee_line"])
@pytest.mark.parametrize("change", ["UPDATE {} SET visit_id = visit_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_what_is_settled_is_never_changed(
    undone: asyncpg.Connection[Any], settled: dict[str, Any], table: str, change: str
) -> None:
    """Not even by the owner of the table."""
    with pytest.raises(asyncpg.RestrictViolationError):
        await undone.execute(change.format(f"claims.{table}"))


LINE = "INSERT INTO claims.fee_line VALUES ($1, $2, 'I', '01', now(), $3, $4, $5, $6)"


@pytest.mark.parametrize(
    ("constraint", "quantity", "price", "amount_fen", "voids"),
    [
        ("fee_line_amount", 2, "38.50", 7_701, None),
        ("fee_line_amount", 3, "0.015", 4, None),  # 4.5 fen go up
        ("fee_line_void", -2, "38.50", -7_700, None),
    ],
)
async def test_a_line_that_does_not_multiply_is_refused(
    undone: asyncpg.Connection[Any],
    settled: dict[str, Any],
    constraint: str,
    quantity: int,
    price: str,
    amount_fen: int,
    voids: str | None,
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await undone.execute(LINE, settled["visit_id"], fresh("L"), quantity, Decimal(price), amount_fen, voids)
    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize("column", ["deductible_fen", "fund_fen", "bills"])
async def test_counters_do_not_fall_below_nothing(
    undone: asyncpg.Connection[Any], settled: dict[str, Any], column: str
) -> None:
    statement = f"UPDATE claims.year_counter SET {column} = -1 WHERE person_id = $1"
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await undone.execute(statement, settled["person_id"])
    assert refused.value.constraint_name == "year_counter_positive"


VISIT = "INSERT INTO claims.visit VALUES ($1, 'H', $1, $2, 'inpatient', '21', '390', false, $3, $4, $5)"


async def test_two_stays_of_one_person_do_not_overlap(undone: asyncpg.Connection[Any]) -> None:
    person, hour = fresh("P"), timedelta(hours=1)
    await undone.execute(VISIT, fresh("V"), person, NOON, NOON + hour, "settled")
    await undone.execute(VISIT, fresh("V"), person, NOON + hour, None, "open")
    await undone.execute(VISIT, fresh("V"), person, NOON, NOON + hour, "cancelled")
    await undone.execute(VISIT, fresh("V"), fresh("P"), NOON, None, "open")
    with pytest.raises(asyncpg.ExclusionViolationError) as refused:
        await undone.execute(VISIT, fresh("V"), person, NOON + 30 * hour, None, "open")
    assert refused.value.constraint_name == "visit_no_overlap"


@pytest.mark.parametrize(
    ("constraint", "kind", "state"), [("visit_kind", "hotel", "open"), ("visit_state", "outpatient", "lost")]
)
async def test_a_visit_is_of_a_known_kind_and_state(
    undone: asyncpg.Connection[Any], constraint: str, kind: str, state: str
) -> None:
    statement = VISIT.replace("'inpatient'", f"'{kind}'")
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await undone.execute(statement, fresh("V"), fresh("P"), NOON, None, state)
    assert refused.value.constraint_name == constraint
