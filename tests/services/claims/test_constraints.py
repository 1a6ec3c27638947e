"""What the database itself refuses, by direct SQL: the last line of defence when the code above it is wrong."""

from __future__ import annotations

import json
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


def negative_of(settled: dict[str, Any]) -> dict[str, Any]:
    """Every amount of it taken back."""
    shares = {fund: -fen for fund, fen in json.loads(settled["shares"]).items()}
    amounts = {name: -value for name, value in settled.items() if name.endswith("_fen")}
    return {**amounts, "shares": json.dumps(shares)}


async def test_a_settlement_in_order_is_taken(undone: asyncpg.Connection[Any], settled: dict[str, Any]) -> None:
    """Without this the refusals below could have any other reason."""
    await insert(undone, another(settled))


BROKEN = [
    # constraint, what is changed by how many fen: every change breaks one identity and no other
    ("settlement_total", {"total_fen": 1, "own_fen": 1}),
    ("settlement_total", {"hospital_fen": 1, "by_ratio_fen": -1}),
    ("settlement_total", {"person_fen": 1, "cash_fen": 1}),
    ("settlement_person", {"cash_fen": 1}),
    ("settlement_person", {"account_fen": 1}),
    ("settlement_scope", {"own_fen": 1}),
    ("settlement_scope", {"over_ceiling_fen": 1}),
    ("settlement_scope", {"prepay_fen": 1}),
    ("settlement_layers", {"deductible_fen": 1}),
    ("settlement_layers", {"by_ratio_fen": 1}),
    ("settlement_layers", {"over_cap_fen": 1}),
    ("settlement_layers", {"relieved_fen": 1}),
    ("settlement_sign", {"account_fen": -1, "cash_fen": 1}),
    ("settlement_sign", {"own_fen": -1, "prepay_fen": 1}),
    ("settlement_sign", {"own_fen": 1, "over_ceiling_fen": -1}),
    ("settlement_sign", {"relieved_fen": -1, "over_cap_fen": -1}),
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
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(undone, another(settled, **negative_of(settled)))
    assert refused.value.constraint_name == "settlement_sign"


async def test_a_positive_reversal_is_refused(undone: asyncpg.Connection[Any], settled: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(undone, another(settled, reverses_settlement_id=settled["settlement_id"]))
    assert refused.value.constraint_name == "settlement_sign"


async def test_a_settlement_is_reversed_once(undone: asyncpg.Connection[Any], settled: dict[str, Any]) -> None:
    negative = {**negative_of(settled), "reverses_settlement_id": settled["settlement_id"]}
    await insert(undone, another(settled, **negative))
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await insert(undone, another(settled, **negative))
    assert refused.value.constraint_name == "settlement_reversed_once"


async def test_a_number_of_a_facility_is_used_once(undone: asyncpg.Connection[Any], settled: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await insert(undone, another(settled, facility_settlement_no=settled["facility_settlement_no"]))
    assert refused.value.constraint_name == "settlement_number"


SHARES = [
    {},
    {"390100": 59_999},
    {"390100": 60_001},
    {"390100": 60_000, "390200": 1},
    {"390100": 60_001, "390200": -2},
]


@pytest.mark.parametrize("shares", SHARES, ids=json.dumps)
async def test_what_the_funds_pay_is_the_sum_of_their_shares(
    undone: asyncpg.Connection[Any], settled: dict[str, Any], shares: dict[str, int]
) -> None:
    assert settled["fund_fen"] == 60_000
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(undone, another(settled, shares=json.dumps(shares)))
    assert refused.value.constraint_name == "settlement_shares"


async def test_shares_of_several_funds_are_taken(undone: asyncpg.Connection[Any], settled: dict[str, Any]) -> None:
    await insert(undone, another(settled, shares=json.dumps({"390100": 59_999, "390200": 1})))


@pytest.mark.parametrize(
    ("table", "column"), [("settlement", "visit_id"), ("fee_line", "visit_id"), ("working", "steps")]
)
@pytest.mark.parametrize("change", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"])
async def test_what_is_settled_is_never_changed(
    undone: asyncpg.Connection[Any], settled: dict[str, Any], table: str, column: str, change: str
) -> None:
    """Not even by the owner of the table."""
    with pytest.raises(asyncpg.RestrictViolationError):
        await undone.execute(change.format(f"claims.{table}", column))


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


BOOK = "UPDATE claims.year_book SET used = $2 WHERE person_id = $1"


@pytest.mark.parametrize(
    ("constraint", "used"),
    [
        ("year_book_positive", '{"residents-outpatient-fund@2026": -1}'),
        ("year_book_positive", '{"admissions@2026": 3, "residents-outpatient-fund@2026": -60000}'),
        ("year_book_object", "[1]"),
        ("year_book_object", "1"),
    ],
)
async def test_counters_do_not_fall_below_nothing(
    undone: asyncpg.Connection[Any], settled: dict[str, Any], constraint: str, used: str
) -> None:
    await undone.execute(BOOK, settled["person_id"], '{"admissions@2026": 0}')
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await undone.execute(BOOK, settled["person_id"], used)
    assert refused.value.constraint_name == constraint


ITEM = """INSERT INTO claims.resettlement VALUES ($1, $2, 'P', '411603', 'S', 1, 2, $3, now(), $4, NULL)"""


@pytest.mark.parametrize(
    ("constraint", "state", "closed_at"),
    [
        ("resettlement_state", "lost", None),
        ("resettlement_closed", "open", NOON),
        ("resettlement_closed", "closed", None),
    ],
)
async def test_a_work_item_is_open_or_closed_at_a_time(
    undone: asyncpg.Connection[Any], settled: dict[str, Any], constraint: str, state: str, closed_at: datetime | None
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await undone.execute(ITEM, fresh("I"), settled["settlement_id"], state, closed_at)
    assert refused.value.constraint_name == constraint


async def test_a_settlement_has_one_open_work_item(undone: asyncpg.Connection[Any], settled: dict[str, Any]) -> None:
    for state, closed_at in (("closed", NOON), ("closed", NOON), ("open", None)):
        await undone.execute(ITEM, fresh("I"), settled["settlement_id"], state, closed_at)
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await undone.execute(ITEM, fresh("I"), settled["settlement_id"], "open", None)
    assert refused.value.constraint_name == "resettlement_once"


@pytest.mark.parametrize(
    ("constraint", "statement"),
    [
        (
            "resettlement_settlement",
            "INSERT INTO claims.resettlement VALUES ('I', 'no', 'P', 'R', 'S', 1, 2, 'open', now())",
        ),
        ("working_settlement", "INSERT INTO claims.working VALUES ('no', '{}', '{}', '')"),
    ],
)
async def test_no_record_without_its_settlement(
    undone: asyncpg.Connection[Any], constraint: str, statement: str
) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
        await undone.execute(statement)
    assert refused.value.constraint_name == constraint


PACK = """
    INSERT INTO claims.policy_pack (proposal_id, pack, version, area, valid_from, digest, files, state, proposed_by,
                                    proposed_at, decided_by, decided_at)
    VALUES ($1, $2, $3, '411600', '2026-01-01', '', '{}', $4, 'author', now(), $5, $6)
"""


@pytest.mark.parametrize(
    ("constraint", "state", "decided_by"),
    [
        ("policy_pack_state", "lost", "reviewer"),
        ("policy_pack_four_eyes", "in_force", "author"),
        ("policy_pack_four_eyes", "rejected", "author"),
        ("policy_pack_decided", "in_force", None),
        ("policy_pack_decided", "rejected", None),
        ("policy_pack_decided", "proposed", "reviewer"),
    ],
)
async def test_a_pack_is_decided_by_another_person(
    undone: asyncpg.Connection[Any], constraint: str, state: str, decided_by: str | None
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await undone.execute(PACK, fresh("P"), fresh("pack"), "1", state, decided_by, NOON if decided_by else None)
    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize("second", ["proposed", "in_force"])
@pytest.mark.parametrize("first", ["proposed", "in_force"])
async def test_a_version_is_there_once(undone: asyncpg.Connection[Any], first: str, second: str) -> None:
    def row(version: str, state: str) -> tuple[Any, ...]:
        return (fresh("P"), pack, version, state, *((None, None) if state == "proposed" else ("reviewer", NOON)))

    pack = fresh("pack")
    await undone.execute(PACK, *row("1", first))
    await undone.execute(PACK, *row("1", "rejected"))
    await undone.execute(PACK, *row("2", second))
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await undone.execute(PACK, *row("1", second))
    assert refused.value.constraint_name == "policy_pack_once"


DECIDED = """
    UPDATE claims.policy_pack SET state = 'in_force', decided_by = 'reviewer', decided_at = now() WHERE proposal_id = $1
"""
COLUMNS_KEPT = ("pack", "version", "area", "valid_from", "valid_to", "digest", "files", "proposed_by", "proposed_at")


@pytest.mark.parametrize("state", ["in_force", "rejected"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE claims.policy_pack SET state = 'proposed', decided_by = NULL, decided_at = NULL WHERE proposal_id = $1",
        "UPDATE claims.policy_pack SET valid_to = '2026-12-31' WHERE proposal_id = $1",
        "UPDATE claims.policy_pack SET reason = 'another' WHERE proposal_id = $1",
        "DELETE FROM claims.policy_pack WHERE proposal_id = $1",
    ],
)
async def test_a_decided_pack_is_never_changed(undone: asyncpg.Connection[Any], state: str, change: str) -> None:
    proposal_id = fresh("P")
    await undone.execute(PACK, proposal_id, fresh("pack"), "1", state, "reviewer", NOON)
    with pytest.raises(asyncpg.RestrictViolationError):
        await undone.execute(change, proposal_id)


async def test_a_proposed_pack_is_decided_and_not_deleted(undone: asyncpg.Connection[Any]) -> None:
    proposal_id = fresh("P")
    await undone.execute(PACK, proposal_id, fresh("pack"), "1", "proposed", None, None)
    await undone.execute(DECIDED, proposal_id)
    other = fresh("P")
    await undone.execute(PACK, other, fresh("pack"), "1", "proposed", None, None)
    with pytest.raises(asyncpg.RestrictViolationError):
        await undone.execute("DELETE FROM claims.policy_pack WHERE proposal_id = $1", other)


@pytest.mark.parametrize("column", COLUMNS_KEPT)
async def test_what_is_approved_is_what_was_proposed(undone: asyncpg.Connection[Any], column: str) -> None:
    proposal_id = fresh("P")
    await undone.execute(PACK, proposal_id, fresh("pack"), "1", "proposed", None, None)
    other = {
        "valid_from": "'2025-01-01'",
        "valid_to": "'2027-01-01'",
        "files": "'[]'",
        "proposed_at": "now() - '1 day'::interval",
    }
    statement = DECIDED.replace("SET ", f"SET {column} = {other.get(column, chr(39) + 'other' + chr(39))}, ")
    with pytest.raises(asyncpg.RestrictViolationError):
        await undone.execute(statement, proposal_id)


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
