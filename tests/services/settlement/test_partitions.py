"""Bills and ledger lie in partitions by the year of their ids: unique in all of them, one look-up in one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import asyncpg
import pytest
from ulid import ULID

from services.settlement.store.partitions import make_years
from shared.database import Connection
from shared.events import new_id
from tests.services.settlement.fixtures import Owner
from tests.services.settlement.world import Books, Hospital, noon

TABLES = {"bill": "settlement_id", "ledger_transaction": "transaction_id", "ledger_entry": "transaction_id"}
THIS_YEAR = datetime.now(UTC).year
PARTS = """
    SELECT relname, pg_get_expr(relpartbound, pg_class.oid) AS bounds FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = ('settlement.' || $1)::regclass ORDER BY relname
"""


def id_of(year: int, month: int, day: int) -> str:
    """An id made on a day, at noon."""
    return str(ULID.from_datetime(datetime(year, month, day, 12, tzinfo=UTC)))


@pytest.fixture
async def undone(owner: Owner) -> AsyncIterator[Owner]:
    """The database as its owner sees it, in a transaction that is rolled back."""
    transaction = owner.transaction()
    await transaction.start()
    yield owner
    await transaction.rollback()


@pytest.mark.parametrize("table", TABLES)
async def test_the_coming_year_has_its_partition_and_what_follows_has_room(owner: Owner, table: str) -> None:
    parts = {row["relname"]: row["bounds"] for row in await owner.fetch(PARTS, table)}
    assert {f"{table}_{THIS_YEAR + 1}", f"{table}_later"} <= parts.keys()
    assert any("MINVALUE" in bounds for bounds in parts.values())
    assert "MAXVALUE" in parts[f"{table}_later"]


@pytest.mark.parametrize("year", [THIS_YEAR - 3, THIS_YEAR, THIS_YEAR + 1, THIS_YEAR + 30])
async def test_a_bill_of_any_year_is_booked_in_one_partition(books: Books, hospital: Hospital, year: int) -> None:
    bill = hospital.bill(settlement_id=id_of(year, 5, 17))
    await books.hear(bill)
    for table, key in TABLES.items():
        places = await books.rows(
            f"SELECT DISTINCT tableoid::regclass::text FROM {table} WHERE {key} = $1", bill.settlement_id
        )
        named = [place[0] for place in places]
        expected = {THIS_YEAR + 1: f"{THIS_YEAR + 1}", THIS_YEAR + 30: "later"}.get(year)
        assert len(named) == 1
        assert expected is None or named == [f"settlement_parts.{table}_{expected}"]


async def test_the_year_of_an_id_ends_in_shanghai(owner: Owner) -> None:
    """16:00 UTC on the last day of December is the first moment of January there."""
    for moment in ("2026-12-31T16:00:00Z", "1970-01-01T00:00:00.001Z", "2019-06-30T23:59:59.999Z"):
        at = datetime.fromisoformat(moment)
        smallest = await owner.fetchval("SELECT settlement.ulid_from($1)", at)
        assert smallest == str(ULID.from_datetime(at))[:10] + "0" * 16
    assert await owner.fetchval("SELECT settlement.ulid_from_year(2027)") == await owner.fetchval(
        "SELECT settlement.ulid_from('2026-12-31T16:00:00Z')"
    )


async def test_an_id_is_unique_in_all_partitions(books: Books, hospital: Hospital) -> None:
    """A bill that comes again under another month, as after a confirmation, is not booked a second time."""
    bill = hospital.bill(settlement_id=id_of(THIS_YEAR - 1, 12, 31))
    again = bill.model_copy(update={"settled_at": noon(f"{THIS_YEAR - 1}-01")})
    await books.hear(bill)
    await books.hear(again)
    for table, key in (("bill", "settlement_id"), ("ledger_transaction", "transaction_id")):
        assert await books.value(f"SELECT count(*) FROM {table} WHERE {key} = $1", bill.settlement_id) == 1


async def test_a_look_up_by_id_reads_one_partition(owner: Owner) -> None:
    for table, key in TABLES.items():
        plan = await owner.fetch(f"EXPLAIN SELECT * FROM {table} WHERE {key} = $1", new_id())
        text = "\n".join(row[0] for row in plan)
        assert f"{table}_{THIS_YEAR}" in text
        assert f"{table}_later" not in text
        assert f"{table}_{THIS_YEAR + 1}" not in text


async def test_years_are_made_once_and_follow_each_other(books: Books) -> None:
    with suppress(_Undone):
        async with books.database.transaction() as tx:
            assert await make_years(tx, THIS_YEAR + 1) == 0
            assert await make_years(tx, THIS_YEAR + 3) == 2 * len(TABLES)
            assert await make_years(tx, THIS_YEAR + 3) == 0
            for table in TABLES:
                await _follow_each_other(tx, table)
            raise _Undone


class _Undone(Exception):
    """What a transaction is left with when nothing of it shall stay."""


async def _follow_each_other(tx: Connection, table: str) -> None:
    parts = {row["relname"]: row["bounds"] for row in await tx.fetch(PARTS, table)}
    bounds = [parts[f"{table}_{year}"] for year in (THIS_YEAR + 1, THIS_YEAR + 2, THIS_YEAR + 3)]
    ends = [b.rpartition(" TO ")[2] for b in bounds]
    begins = [b.partition("FROM ")[2].partition(" TO ")[0] for b in (*bounds, parts[f"{table}_later"])]
    assert begins[1:] == ends


async def test_a_year_that_has_bills_already_is_not_cut_off(undone: Owner, books: Books, hospital: Hospital) -> None:
    """Somebody looked away for a year: bills are booked all the same, and nothing is moved behind anybody's back."""
    await books.hear(hospital.bill(settlement_id=id_of(THIS_YEAR + 5, 3, 3)))
    with pytest.raises(asyncpg.CheckViolationError):
        await undone.execute("SELECT settlement.make_years($1)", THIS_YEAR + 5)


async def test_who_finds_others_at_work_comes_again(books: Books) -> None:
    async with books.database.transaction() as at_work:
        await at_work.fetch("SELECT settlement_id FROM bill LIMIT 1")
        async with books.database.transaction() as tx:
            assert await make_years(tx, THIS_YEAR + 3) is None
    parts = await books.rows(PARTS, "bill")
    assert f"bill_{THIS_YEAR + 3}" not in {row["relname"] for row in parts}


async def test_partitions_refuse_what_their_table_refuses(owner: Owner, books: Books) -> None:
    for table in TABLES:
        for part in [row["relname"] for row in await owner.fetch(PARTS, table)]:
            for statement in (
                f"UPDATE settlement_parts.{part} SET {TABLES[table]} = '1'",
                f"DELETE FROM settlement_parts.{part}",
            ):
                with pytest.raises(asyncpg.RestrictViolationError):
                    await owner.execute(statement)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await books.rows(f"SELECT count(*) FROM settlement_parts.{part}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await books.rows("SELECT settlement.cut_year($1, 2099)", table)
