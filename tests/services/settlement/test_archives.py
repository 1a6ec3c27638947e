"""A closed year leaves the tables and comes back: every answer stays, and everything that was touched is found."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import duckdb
import httpx
import pytest

from deploy.local.cluster import Cluster
from services.settlement.rules.archives import People
from services.settlement.tables import METADATA
from services.settlement.use_cases.archive_bounds import (
    refuse_archived_bill,
    refuse_archived_case,
    refuse_archived_entries,
    refuse_archived_moment,
    refuse_archived_period,
)
from services.settlement.use_cases.archive_files import COLUMNS
from services.settlement.use_cases.archiving import archive
from services.settlement.use_cases.proof import prove
from services.settlement.use_cases.restoring import NOT_KEPT, TABLES
from shared.refusals import Refused
from shared.settings import Settings
from tests.conftest import MakeToken
from tests.services.settlement.archives import (
    LATER,
    NEXT,
    ROOT,
    YEAR,
    Databases,
    Past,
    Told,
    id_of,
    past_of,
    play,
)
from tests.services.settlement.test_statements import codes
from tests.services.settlement.world import Hospital

LEAVE = {"bill": "settlement_id", "ledger_transaction": "transaction_id", "ledger_entry": "transaction_id"}


@pytest.fixture(scope="module")
async def databases(cluster: Cluster, settings: Settings) -> AsyncIterator[Databases]:
    """Where databases of the tests' own come from."""
    made = Databases(cluster, settings)
    yield made
    await made.close()


@pytest.fixture
async def past(databases: Databases, tmp_path: Path) -> AsyncIterator[Past]:
    """Books of the test's own."""
    async with databases.make() as settings, past_of(settings, tmp_path / "archives") as made:
        yield made


@pytest.fixture
async def told(past: Past) -> Told:
    """A year that is over, with everything in it."""
    return await play(past)


@pytest.fixture(scope="module")
async def archived(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Past, Told]]:
    """The same after the year was archived, for tests that leave nothing behind."""
    async with databases.make() as settings, past_of(settings, tmp_path_factory.mktemp("archives")) as past:
        told = await play(past)
        await past.archive()
        yield past, told


async def count(past: Past, table: str, year: int = YEAR) -> int:
    """Rows of a table whose ids are of a year."""
    ids = id_of(year, 1, 1)[:2], id_of(year + 1, 1, 1)
    return int(await past.books.value(f"SELECT count(*) FROM {table} WHERE {LEAVE[table]} < $1", ids[1]))


async def refusals(work: Any) -> set[str]:
    """The codes a piece of work is refused with."""
    with pytest.raises(Refused) as refused:
        await work
    return {refusal.code.removeprefix("settlement.") for refusal in refused.value}


def test_every_column_of_the_tables_is_in_the_files() -> None:
    """A column that is added to a table later would be lost with the year."""
    for part, table in TABLES.items():
        kept = {name.removesuffix("_us") for name in COLUMNS[part]} - set(NOT_KEPT)
        assert kept == set(METADATA.tables[f"settlement.{table}"].columns.keys())


# What stays


async def test_every_answer_about_later_moments_is_as_it_was(past: Past, told: Told) -> None:
    before = await past.answers()
    assert before["violations"] == []

    made = await past.archive()

    assert made.sums.bills == 6
    after = await past.answers()
    assert {name: answer for name, answer in after.items() if before[name] != answer} == {}
    assert before["proof"]["bills"]["bills"] == 10
    assert await past.findings(past.folder) == set()
    await past.drop()
    assert await past.answers() == before
    assert await past.findings(past.folder) == set()


async def test_bills_leave_and_what_came_late_or_moved_money_stays(past: Past, told: Told) -> None:
    kinds = "SELECT kind, count(*) FROM ledger_transaction WHERE transaction_id < $1 GROUP BY kind"
    until = id_of(YEAR + 1, 1, 1)
    before = {r[0]: r[1] for r in await past.books.rows(kinds, until)}

    made = await past.archive()

    after = {r[0]: r[1] for r in await past.books.rows(kinds, until)}
    assert after == {**{k: n for k, n in before.items() if k not in ("bill", "reversal")}, "bill": 1}
    assert made.transactions == before["bill"] + before["reversal"] - 1
    stays = await past.books.rows("SELECT settlement_id FROM bill WHERE settlement_id < $1", until)
    assert [row[0] for row in stays] == [told.straggler.settlement_id]


async def test_a_year_comes_back_as_it_was(past: Past, told: Told) -> None:
    before = await past.answers()
    tables = {table: await count(past, table) for table in LEAVE}
    await past.archive()
    await past.drop()

    assert await past.restore() == 6

    assert {table: await count(past, table) for table in LEAVE} == tables
    assert await past.answers() == before
    assert await past.findings(past.folder) == set()
    async with past.books.database.read() as reader:
        await refuse_archived_period(reader, f"{YEAR}-10")
        await refuse_archived_bill(reader, told.paid[0].settlement_id)
    second = await past.archive()
    assert (second.archive_no, second.year) == (2, YEAR)
    assert await past.answers() == before
    assert await past.findings(past.folder) == set()


async def test_two_years_leave_and_come_back_one_after_the_other(past: Past, told: Told) -> None:
    month = told.following
    await past.city.confirm((await past.city.matched(month)).values(), NEXT)
    await past.city.pay_all(await past.city.cut(NEXT), NEXT)
    await past.seal(NEXT)
    first = await past.archive()
    middle = await past.findings(past.folder), (await past.answers())["proof"]
    second = await past.archive(YEAR + 1)

    # The straggler of the first year leaves with the second.
    assert (first.sums.bills, second.sums.bills) == (6, 4)
    assert await past.findings(past.folder) == middle[0] == set()
    assert (await past.answers())["proof"] == middle[1]
    assert await refusals(past.restore(YEAR)) == {"archive-not-newest"}
    await past.restore(YEAR + 1)
    assert await past.findings(past.folder) == set()
    assert (await past.answers())["proof"] == middle[1]
    await past.restore(YEAR)
    assert await past.findings(past.folder) == set()
    assert (await past.answers())["proof"] == middle[1]


# What keeps a year


async def test_everything_that_keeps_a_year_is_named_at_once(past: Past) -> None:
    hospital = past.city.hospital(1, f"{YEAR}-10")
    await past.hear(NEXT.replace(year=YEAR, month=10), hospital.bill(past.city.county(2)))

    assert await refusals(past.archive(now=NEXT)) == {"archive-too-early", "archive-cases-open", "archive-unsealed"}
    assert await refusals(past.archive(YEAR + 1)) >= {"archive-not-oldest", "archive-cases-open"}
    one = People("li", " LI ")
    assert await refusals(archive(past.parts, YEAR, one, LATER)) >= {"archive-same-person", "archive-cases-open"}
    assert await refusals(past.drop()) == {"archive-unknown"}
    assert await refusals(past.restore()) == {"archive-not-newest"}


async def test_an_edited_transaction_is_not_archived(past: Past, told: Told) -> None:
    edit = "UPDATE ledger_transaction SET value_date = value_date + 1 WHERE transaction_id = $1"
    async with past.administrator(undone=False) as administrator:
        await administrator.execute(edit, told.paid[3].settlement_id)

    assert await refusals(past.archive()) == {"archive-files-wrong"}
    assert await past.books.value("SELECT count(*) FROM ledger_archive") == 0


async def test_a_deletion_is_not_made_good_by_an_archive(past: Past, told: Told) -> None:
    """A bill and its reversal without a trace, and the case made to agree: nothing but the chain still knows them."""
    pair = [told.paid[0].settlement_id, told.paid[4].settlement_id]
    async with past.administrator(undone=False) as administrator:
        case_id = await administrator.fetchval("SELECT case_id FROM bill WHERE settlement_id = $1", pair[0])
        for table, key in LEAVE.items():
            await administrator.execute(f"DELETE FROM {table} WHERE {key} = ANY($1::text[])", pair)
        await administrator.execute(
            "UPDATE settlement_case SET bill_count = bill_count - 2 WHERE case_id = $1", case_id
        )
    assert (await prove(past.parts)).holds

    assert await refusals(past.archive()) == {"archive-unproven"}
    assert await past.findings() == {("transaction-removed", gone) for gone in pair}


# What cannot be asked any more


async def test_questions_into_the_year_are_refused(archived: tuple[Past, Told]) -> None:
    past, told = archived
    case_id = await past.books.value("SELECT case_id FROM settlement_case WHERE period = $1 LIMIT 1", f"{YEAR}-10")
    moment = datetime(YEAR, 12, 31, 15, 59, 59, tzinfo=UTC)
    async with past.books.database.read() as reader:
        refused = [
            refuse_archived_period(reader, f"{YEAR}-12"),
            refuse_archived_moment(reader, value_date_until=date(YEAR, 12, 30), booked_until=None),
            refuse_archived_moment(reader, value_date_until=None, booked_until=moment),
            refuse_archived_case(reader, case_id),
            refuse_archived_entries(reader, None, None),
            refuse_archived_entries(reader, f"{YEAR}-10", None),
            refuse_archived_entries(reader, None, case_id),
        ]
        assert [await refusals(work) for work in refused] == [{"books-archived"}] * len(refused)
        for bill in (told.paid[0], told.unpaid_of):
            assert await refusals(refuse_archived_bill(reader, bill.settlement_id)) == {"bill-archived"}
        await refuse_archived_period(reader, f"{YEAR + 1}-01")
        await refuse_archived_moment(reader, value_date_until=date(YEAR, 12, 31), booked_until=None)
        await refuse_archived_entries(reader, f"{YEAR + 1}-01", None)
        await refuse_archived_bill(reader, id_of(YEAR, 3, 3))
        await refuse_archived_bill(reader, told.straggler.settlement_id)


async def test_the_service_refuses_them_by_code(
    cluster: Cluster, archived: tuple[Past, Told], token: MakeToken
) -> None:
    """A process of its own, on the books of the archived year."""
    past, told = archived
    around = {"SIFANG_DATABASE_URL": past.settings.database_url, "SIFANG_PARTS": "api"}
    name = await asyncio.to_thread(cluster.start_another, "settlement", around)
    code = told.hospital.code
    case_id = await past.books.value("SELECT case_id FROM settlement_case WHERE period = $1 LIMIT 1", f"{YEAR}-10")
    following = await past.books.value("SELECT case_id FROM settlement_case WHERE period > $1", f"{YEAR}-12")
    old = {
        f"/v1/bills/{told.paid[0].settlement_id}": "bill-archived",
        f"/v1/bills/{told.unpaid_of.settlement_id}": "bill-archived",
        f"/v1/books/{code}/balances?value_date_until={YEAR}-12-30": "books-archived",
        f"/v1/books/{code}/balances?booked_until={YEAR}-12-31T15:59:59Z": "books-archived",
        f"/v1/books/{code}/entries": "books-archived",
        f"/v1/books/{code}/account-statements/{YEAR}-12": "books-archived",
        f"/v1/books/{code}/exports/{YEAR}-10.csv": "books-archived",
        f"/v1/periods/{YEAR}-10/summary": "books-archived",
        f"/v1/cases/{case_id}/bills": "books-archived",
        f"/v1/bills/{id_of(YEAR, 3, 3)}": "bill-unknown",
    }
    new = [
        f"/v1/bills/{told.straggler.settlement_id}",
        f"/v1/books/{code}/balances",
        f"/v1/books/{code}/balances?value_date_until={YEAR}-12-31&booked_until={YEAR}-12-31T16:00:00Z",
        f"/v1/books/{code}/entries?period={YEAR + 1}-01",
        f"/v1/books/{code}/account-statements/{YEAR + 1}-01",
        f"/v1/books/{code}/exports/{YEAR + 1}-01.csv",
        f"/v1/periods/{YEAR + 1}-01/summary",
        f"/v1/cases/{case_id}",
        f"/v1/cases/{following}/bills",
    ]
    try:
        headers = {"Authorization": f"Bearer {token('facility', code)}"}
        base_url = f"http://127.0.0.1:{cluster.process(name).program.environment['SIFANG_SETTLEMENT_PORT']}"
        async with httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False, timeout=30) as client:
            refused = {path: await client.get(path) for path in old}
            answered = {path: (await client.get(path)).status_code for path in new}
    finally:
        await asyncio.to_thread(cluster.stop_part, name)

    assert {path: codes(answer) for path, answer in refused.items()} == {
        path: [f"settlement.{what}"] for path, what in old.items()
    }
    assert {answer.status_code for answer in refused.values()} == {404, 409}
    assert answered == dict.fromkeys(new, 200)


# What comes after


async def test_an_archived_bill_that_comes_again_is_not_booked_again(past: Past, told: Told) -> None:
    """Not even where the cases of today stand open for it."""
    await past.archive()
    today = Hospital(code=told.hospital.code, region=told.hospital.region, month=f"{LATER.year}-06")
    homes = (past.city.county(2), past.city.county(1))
    fresh = [today.bill(home, settlement_id=id_of(LATER.year, 6, day)) for day, home in enumerate(homes, 1)]
    await past.hear(LATER, *fresh)
    before = await past.answers()

    await past.hear(LATER, *told.paid[:4], told.unpaid_of)
    await past.hear(LATER, told.paid[4])
    await past.hear(LATER, told.straggler)

    assert await past.answers() == before
    booked = "SELECT settlement_id FROM bill WHERE period > $1 ORDER BY settlement_id"
    rows = await past.books.rows(booked, f"{YEAR + 1}-01")
    assert [row[0] for row in rows] == [bill.settlement_id for bill in fresh]


async def test_a_bill_that_comes_years_late_is_booked_today(past: Past, told: Told) -> None:
    await past.archive()
    elsewhere = Hospital(region=past.city.county(3), month=f"{YEAR}-05")
    late = elsewhere.bill(past.city.county(2), settlement_id=id_of(YEAR, 5, 15))

    await past.hear(LATER, late)
    await past.seal(LATER)

    (row,) = await past.books.rows(
        "SELECT period, settled_period FROM bill WHERE settlement_id = $1", late.settlement_id
    )
    assert tuple(row) == (f"{LATER.year}-06", f"{YEAR}-05")
    assert (await past.answers())["violations"] == []
    assert (await past.answers())["proof"]["bills"]["unbooked"] == 0
    assert await past.findings(past.folder) == set()
    await past.restore()
    assert await past.findings() == set()


async def test_the_database_refuses_archived_months_and_bills(archived: tuple[Past, Told]) -> None:
    past, told = archived
    again = "INSERT INTO bill SELECT * FROM settlement_parts.bill_left_1 WHERE settlement_id = '{}'"
    moved = (
        "CREATE TEMP TABLE b AS SELECT * FROM settlement_parts.bill_left_1 WHERE settlement_id = '{0}';"
        " UPDATE b SET period = '2099-01'; INSERT INTO bill SELECT * FROM b"
    )
    connection = await asyncpg.connect(past.settings.database_url, server_settings={"search_path": "settlement"})
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("ALTER TABLE bill DISABLE TRIGGER bill_fits")
        for statement, name in ((again, "bill_month_archived"), (moved, "bill_archived")):
            with pytest.raises(asyncpg.CheckViolationError) as refused:
                async with connection.transaction():
                    await connection.execute(statement.format(told.paid[0].settlement_id))
            assert refused.value.constraint_name == name
        for table in ("ledger_archive", "ledger_opening", "ledger_archived_case", "ledger_archived_bill"):
            with pytest.raises(asyncpg.RestrictViolationError):
                async with connection.transaction():
                    await connection.execute(f"DELETE FROM {table}")
    finally:
        await transaction.rollback()
        await connection.close()


# What is found


@pytest.mark.parametrize(
    ("cheat", "expected"),
    [
        pytest.param("UPDATE ledger_opening SET debit_fen = debit_fen + 1", "opening-changed", id="opening"),
        pytest.param(
            "DELETE FROM ledger_opening WHERE account_kind = 'payable'", "opening-changed", id="openings gone"
        ),
        pytest.param("UPDATE ledger_archived_case SET bill_count = 9", "opening-changed", id="case"),
        pytest.param("DELETE FROM ledger_archived_bill", "opening-changed", id="bill without a link"),
        pytest.param("UPDATE ledger_archive SET bills = bills + 1", "archive-changed", id="sums of the archive"),
        pytest.param("UPDATE ledger_archive SET files = '{}'", "archive-changed", id="names of the files"),
        pytest.param("UPDATE ledger_archive SET year = year - 1", "archive-changed", id="year"),
        pytest.param(
            "INSERT INTO ledger_archive_step SELECT 1, 'dropped', 'a', 'b', now(), mac FROM ledger_archive",
            "archive-changed",
            id="step without the key",
        ),
        pytest.param(
            "DELETE FROM ledger_opening; DELETE FROM ledger_archived_case; DELETE FROM ledger_archived_bill;"
            " DELETE FROM ledger_archive",
            "transaction-removed",
            id="archive gone",
        ),
        pytest.param(
            "INSERT INTO ledger_transaction SELECT * FROM settlement_parts.ledger_transaction_left_1"
            " WHERE kind = 'reversal'",
            "archived-differs",
            id="transaction back",
        ),
        pytest.param(
            "INSERT INTO bill SELECT * FROM settlement_parts.bill_left_1 WHERE refund",
            "archived-differs",
            id="bill back",
        ),
        pytest.param(
            "DELETE FROM ledger_entry WHERE transaction_id IN (SELECT transaction_id FROM ledger_transaction"
            " WHERE kind = 'clearing'); DELETE FROM ledger_transaction WHERE kind = 'clearing'",
            "archived-differs",
            id="what had stayed gone",
        ),
    ],
)
async def test_cheating_with_an_archive_is_found(archived: tuple[Past, Told], cheat: str, expected: str) -> None:
    past, _ = archived
    async with past.administrator(undone=True) as administrator:
        assert await past.findings(tx=administrator) == set()
        await administrator.execute(cheat)
        assert expected in {kind for kind, _ in await past.findings(tx=administrator)}


async def test_files_that_are_not_those_that_were_written_are_found(past: Past, told: Told) -> None:
    folder = past.folder / (await past.archive()).folder
    kept = {file: file.read_bytes() for file in folder.iterdir()}
    assert {file.name for file in kept} == {"bills.parquet", "transactions.parquet", "entries.parquet"}
    edited = folder / "edited.parquet"
    for file in kept:
        name = f"{folder.name}/{file.name}"
        file.unlink()
        assert await past.findings(past.folder) == {("archive-file-wrong", name)}
        file.write_bytes(kept[file][:-9])
        assert await past.findings(past.folder) == {("archive-file-wrong", name)}
        with duckdb.connect() as database:
            file.write_bytes(kept[file])
            column = "amount_fen" if file.name == "entries.parquet" else "period"
            new = "amount_fen * 2" if column == "amount_fen" else "'2099-01'"
            database.execute(f"COPY (SELECT * REPLACE ({new} AS {column}) FROM '{file}') TO '{edited}'")
        edited.replace(file)
        assert await past.findings(past.folder) == {("archive-file-wrong", name)}
        assert await refusals(past.drop()) == {"archive-files-wrong"}
        assert await refusals(past.restore()) == {"archive-files-wrong"}
        file.write_bytes(kept[file])
    assert await past.findings(past.folder) == set()


# Killed


class Killed(Exception):
    """What a process that is killed does not come to raise."""


STEPS = [
    *(f"{part} {done}" for part in ("bills", "transactions", "entries") for done in ("laid down", "written")),
    "proven",
    "taken out",
]


async def test_archiving_that_ends_at_any_step_starts_again(past: Past, told: Told) -> None:
    before = await past.answers()
    for step in STEPS:
        seen: list[str] = []

        def end(at: str, step: str = step, seen: list[str] = seen) -> None:
            seen.append(at)
            if at == step:
                raise Killed

        with pytest.raises(Killed):
            await past.archive(at_step=end)

        assert seen == STEPS[: STEPS.index(step) + 1]
        assert await past.books.value("SELECT count(*) FROM ledger_archive") == 0
        assert await past.answers() == before
    assert (await past.archive()).archive_no == 1
    assert await past.answers() == before
    assert await past.findings(past.folder) == set()


async def command(around: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `make archive` runs."""
    call = [sys.executable, "-m", "services.settlement.archive", *arguments]
    return await asyncio.to_thread(
        subprocess.run, call, cwd=ROOT, env=around, capture_output=True, text=True, check=False
    )


def surroundings(cluster: Cluster, past: Past, clock: Path) -> dict[str, str]:
    """Those of the command, some years later."""
    clock.write_text(str(int((LATER - datetime.now(UTC)).total_seconds())))
    return {
        **cluster.environment,
        "SIFANG_DATABASE_URL": past.settings.database_url,
        "SIFANG_CLOCK_FILE": str(clock),
        "SIFANG_SETTLEMENT_ARCHIVE_DIR": str(past.folder),
        "SIFANG_SETTLEMENT_ARCHIVE_AFTER_YEARS": "2",
    }


async def test_the_command_is_killed_and_does_it_again(
    cluster: Cluster, past: Past, told: Told, tmp_path: Path
) -> None:
    before, around = await past.answers(), surroundings(cluster, past, tmp_path / "clock")
    named = (str(YEAR), "--by", "li", "--with", "wang")
    killed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.settlement.archive",
        "make",
        *named,
        cwd=ROOT,
        env=around,
        stdout=subprocess.PIPE,
    )
    assert killed.stdout is not None
    while line := await killed.stdout.readline():
        if b"transactions laid down" in line:
            break
    killed.send_signal(signal.SIGKILL)
    assert await killed.wait() == -signal.SIGKILL
    assert await past.answers() == before

    said = []
    for action in ("make", "drop", "restore"):
        done = await command(around, action, *named)
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
        assert await past.answers() == before
        assert await past.findings(past.folder) == set()

    assert f"6 bills of {YEAR} are in" in said[0]
    assert "3 partitions dropped" in said[1]
    assert f"1 {YEAR}-1 dropped, restored: 6 bills" in (await command(around, "list")).stdout
    refused = await command(around, "restore", str(YEAR), "--by", "li", "--with", "li")
    assert refused.returncode == 1
    assert "REFUSED settlement.archive-same-person" in refused.stdout
    assert "REFUSED settlement.archive-not-newest" in refused.stdout
