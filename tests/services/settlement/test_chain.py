"""The chain in the database: all that is booked is sealed once, and every kind of cheating is found.

The cheats are those of the database's owner, who switches the guards off first, and does not hold the key.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local.cluster import Cluster
from services.settlement.config import SettlementSettings
from services.settlement.rules.chain import BEGINNING, FindingKind, Head, LedgerKey, canonical
from services.settlement.rules.ledger import Account, AccountKind, Entry
from services.settlement.store import chain as store
from services.settlement.store.chain import Waiting
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.sealing import Sealed, seal, seal_batch
from services.settlement.use_cases.verification import Progress, Verified, adopt, verify, verify_in
from services.settlement.verify import read_checkpoint, write_checkpoint
from shared.clock import system_clock
from shared.database import Connection
from shared.events import new_id
from shared.telemetry import Gauges
from shared.workdays import WorkCalendar
from tests.services.settlement.fixtures import Owner
from tests.services.settlement.world import REGIONS, Books, Hospital

ROOT = Path(__file__).resolve().parents[3]


async def sealed(books: Books) -> Head:
    """All that is booked, sealed; how far the chain reaches then."""
    parts = Settlement(books.database, REGIONS, SettlementSettings(), WorkCalendar(), books.ledger_key)
    for _ in range(250):  # the running service may be sealing at this moment
        await seal(parts, system_clock, Gauges())
        async with books.database.read() as reader:
            if not await store.count_unsealed(reader):
                return await store.head(reader)
        await asyncio.sleep(0.02)
    pytest.fail("the queue does not get empty")


@pytest.fixture
async def bills(books: Books, hospital: Hospital) -> list[str]:
    """Three booked and sealed bills, in the order of the chain."""
    made = [hospital.bill() for _ in range(3)]
    for bill in made:
        await books.hear(bill)
        await sealed(books)
    return [bill.settlement_id for bill in made]


@asynccontextmanager
async def undone(owner: Owner) -> AsyncIterator[None]:
    """The owner with all guards off; whatever happens is rolled back."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        for table in ("ledger_entry", "ledger_transaction", "ledger_chain", "bill"):
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
    finally:
        await transaction.rollback()


async def findings(owner: Owner, books: Books, since: Head | None = None) -> set[tuple[FindingKind, str]]:
    """What a verification on the owner's connection finds."""
    async with owner.transaction():
        found: list[Any] = [step async for step in verify_in(owner, books.ledger_key, since)]  # type: ignore[arg-type]
    assert isinstance(found[-1], Verified)
    named = [step for step in found[:-1] if not isinstance(step, Progress)]
    assert found[-1].findings == len(named)
    return {(finding.kind, finding.subject) for finding in named}


async def become_sealer(tx: Connection) -> None:
    """Hold every other sealer off until the transaction ends."""
    for _ in range(250):
        if await store.try_lock_sealer(tx):
            return
        await asyncio.sleep(0.02)
    pytest.fail("another sealer does not come to its end")


async def link_of(books: Books, transaction_id: str) -> int:
    """The number of a transaction's link."""
    number: int = await books.value("SELECT chain_no FROM ledger_chain WHERE transaction_id = $1", transaction_id)
    return number


# Sealing


async def test_everything_booked_is_sealed_once_without_gaps(books: Books, bills: list[str]) -> None:
    head = await sealed(books)

    numbers = "SELECT count(*) AS links, min(chain_no) AS first, max(chain_no) AS last FROM ledger_chain"
    (row,) = await books.rows(numbers)
    assert (row["links"], row["first"], row["last"]) == (head.chain_no, 1, head.chain_no)
    assert [await link_of(books, bill) for bill in bills] == sorted([await link_of(books, bill) for bill in bills])
    missing = "SELECT count(*) FROM ledger_transaction LEFT JOIN ledger_chain USING (transaction_id) WHERE hash IS NULL"
    assert await books.value(missing) == 0


async def test_a_transaction_open_for_long_is_sealed_when_it_commits(books: Books, hospital: Hospital) -> None:
    """Later ones do not wait for it, and it is not passed over for having begun first."""
    slow, quick = hospital.bill(), Hospital().bill()
    async with books.database.transaction() as tx:
        await books.hear_in(tx, slow)
        await books.hear(quick)
        await sealed(books)
        before = await link_of(books, quick.settlement_id)
    await sealed(books)

    assert await link_of(books, slow.settlement_id) > before


async def test_two_sealers_at_once_make_one_chain(books: Books, owner: Owner, hospital: Hospital) -> None:
    await books.hear(*(hospital.bill() for _ in range(20)))
    async with books.database.transaction() as first, books.database.transaction() as second:
        await become_sealer(first)
        one = await seal_batch(first, books.ledger_key, 5, datetime.now(UTC))
        other = await seal_batch(second, books.ledger_key, 5, datetime.now(UTC))

    assert other == Sealed(0, [], [])
    await sealed(books)
    assert (await findings(owner, books)) == set()
    assert one.taken == len(one.links) > 0


async def test_a_batch_that_fails_is_sealed_later(books: Books, owner: Owner, hospital: Hospital) -> None:
    bill = hospital.bill()

    async def fail() -> None:
        async with books.database.transaction() as tx:
            await books.hear(bill)
            await become_sealer(tx)
            assert (await seal_batch(tx, books.ledger_key, 100_000, datetime.now(UTC))).links
            await tx.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail()
    await sealed(books)

    assert await link_of(books, bill.settlement_id)
    assert await findings(owner, books) == set()


async def test_booking_does_not_wait_for_sealing(books: Books, hospital: Hospital) -> None:
    async with books.database.transaction() as tx:
        await become_sealer(tx)
        await seal_batch(tx, books.ledger_key, 100_000, datetime.now(UTC))
        async with asyncio.timeout(5):
            await books.hear(hospital.bill())


async def test_the_database_writes_the_canonical_form_of_the_rule(books: Books, owner: Owner, bills: list[str]) -> None:
    """Odd names, a reversal, and amounts at the border: what booking marks is what sealing reads."""
    booked_at = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)
    accounts = Account(AccountKind.PAYABLE, "对方:1~"), Account(AccountKind.FUND_EXPENDITURE, fund_pay_type="3:9")
    lines = enumerate(((accounts[0], 10**16 - 1), (accounts[1], -1), (accounts[0], -(10**16))), 9)
    entries = [Entry(n, f"书{n}", account, fen) for n, (account, fen) in lines]
    case_id = await books.value("SELECT case_id FROM bill WHERE settlement_id = $1", bills[0])
    async with undone(owner):
        await owner.execute(
            "INSERT INTO ledger_transaction VALUES ('T:1', 'reversal', $1, '2026-02', '1990-01-01', $2, '')",
            case_id,
            booked_at,
        )
        await owner.executemany(
            "INSERT INTO ledger_entry VALUES ('T:1', $1, $2, $3, $4, $5, $6)",
            [(e.line_no, e.book, *e.account, e.amount_fen) for e in entries],
        )
        found = await store.canonical_of(owner, ["T:1"])  # type: ignore[arg-type]

    day = datetime(1990, 1, 1, tzinfo=UTC).date()
    assert found == {"T:1": canonical("T:1", "reversal", case_id, "2026-02", day, booked_at, "", entries)}


# What a verification finds


async def test_an_honest_ledger_is_as_it_was_booked(books: Books, owner: Owner, bills: list[str]) -> None:
    assert await findings(owner, books) == set()


async def test_what_waits_for_the_chain_is_no_finding(books: Books, owner: Owner, hospital: Hospital) -> None:
    async with books.database.transaction() as tx:
        await become_sealer(tx)
        await books.hear(hospital.bill())
        async for step in verify(books.database, books.ledger_key, None):
            last = step

    assert isinstance(last, Verified)
    assert (last.waiting >= 1, last.findings) == (True, 0)


EDITED = "UPDATE ledger_entry SET amount_fen = amount_fen * 2 WHERE transaction_id = $1"
CHANGED, REMOVED, UNSEALED, UNBALANCED, ORPHANED, BOOK, BROKEN, GAP = (
    FindingKind.TRANSACTION_CHANGED,
    FindingKind.TRANSACTION_REMOVED,
    FindingKind.TRANSACTION_UNSEALED,
    FindingKind.TRANSACTION_UNBALANCED,
    FindingKind.ENTRIES_ORPHANED,
    FindingKind.BOOK_UNBALANCED,
    FindingKind.CHAIN_BROKEN,
    FindingKind.CHAIN_GAP,
)
INSERTED_PAIR = """
    INSERT INTO ledger_entry SELECT $1, 90 + n, '411603', 'bank', '', '', CASE n WHEN 1 THEN 5 ELSE -5 END
    FROM generate_series(1, 2) AS n
"""
MOVED = "UPDATE ledger_entry SET book = '411602' WHERE transaction_id = $1 AND book = '411603'"


@pytest.mark.parametrize(
    ("cheat", "expected"),
    [
        pytest.param(EDITED, {CHANGED}, id="amounts of a whole transaction doubled"),
        pytest.param(MOVED, {CHANGED}, id="entries moved to another book"),
        pytest.param(INSERTED_PAIR, {CHANGED}, id="two balanced entries inserted"),
        pytest.param(
            "DELETE FROM ledger_entry WHERE transaction_id = $1", {CHANGED}, id="all entries of a transaction removed"
        ),
        pytest.param(
            "DELETE FROM ledger_entry WHERE transaction_id = $1 AND line_no = 1",
            {CHANGED, UNBALANCED, BOOK},
            id="one entry removed",
        ),
        pytest.param(
            "UPDATE ledger_entry SET amount_fen = amount_fen + 1 WHERE transaction_id = $1 AND line_no = 1",
            {CHANGED, UNBALANCED, BOOK},
            id="one amount edited",
        ),
        pytest.param(
            "UPDATE ledger_transaction SET period = '2000-01' WHERE transaction_id = $1", {CHANGED}, id="month edited"
        ),
        pytest.param(
            "UPDATE ledger_transaction SET value_date = value_date - 1 WHERE transaction_id = $1",
            {CHANGED},
            id="value date edited",
        ),
        pytest.param(
            "UPDATE ledger_transaction SET booked_at = booked_at - interval '1 microsecond' WHERE transaction_id = $1",
            {CHANGED},
            id="booking moment edited",
        ),
        pytest.param(
            "DELETE FROM ledger_transaction WHERE transaction_id = $1", {REMOVED, ORPHANED}, id="transaction removed"
        ),
        pytest.param("DELETE FROM ledger_chain WHERE transaction_id = $1", {GAP, BROKEN, UNSEALED}, id="link removed"),
        pytest.param(
            "UPDATE ledger_chain SET leaf = sha256('other') WHERE transaction_id = $1", {BROKEN, CHANGED}, id="leaf"
        ),
        pytest.param(
            "UPDATE ledger_chain SET hash = sha256('other') WHERE transaction_id = $1", {BROKEN}, id="hash of a link"
        ),
        pytest.param(
            "UPDATE ledger_chain SET sealed_at = sealed_at - interval '1 day' WHERE transaction_id = $1",
            {BROKEN},
            id="moment of sealing",
        ),
    ],
)
async def test_cheating_is_found(
    books: Books, owner: Owner, bills: list[str], cheat: str, expected: set[FindingKind]
) -> None:
    async with undone(owner):
        await owner.execute(cheat, bills[1])
        found = await findings(owner, books)

    assert {kind for kind, _ in found} == expected
    number = await link_of(books, bills[1])
    named = {bills[1], f"link {number}", f"link {number + 1}"}
    assert {subject for kind, subject in found if kind is not BOOK} <= named, "nobody else is accused"


async def remove(owner: Owner, transaction_id: str) -> None:
    """A transaction as if it had never been: entries, bill and link too."""
    for table, column in (
        ("ledger_entry", "transaction_id"),
        ("ledger_transaction", "transaction_id"),
        ("bill", "settlement_id"),
        ("ledger_chain", "transaction_id"),
    ):
        await owner.execute(f"DELETE FROM {table} WHERE {column} = $1", transaction_id)


async def test_a_transaction_removed_with_all_traces_leaves_a_gap(books: Books, owner: Owner, bills: list[str]) -> None:
    number = await link_of(books, bills[1])
    async with undone(owner):
        await remove(owner, bills[1])
        gap = await findings(owner, books)
        await owner.execute("UPDATE ledger_chain SET chain_no = chain_no - 1 WHERE chain_no > $1", number)
        closed = await findings(owner, books)

    assert gap == {(GAP, f"link {number}"), (BROKEN, f"link {number + 1}")}
    assert (BROKEN, f"link {number}") in closed


async def test_a_removed_end_is_found_by_a_checkpoint_only(books: Books, owner: Owner, bills: list[str]) -> None:
    head = await sealed(books)
    async with undone(owner):
        await owner.execute("TRUNCATE ledger_unsealed")
        for (newest,) in await owner.fetch(
            "SELECT transaction_id FROM ledger_chain WHERE chain_no >= $1", await link_of(books, bills[1])
        ):
            await remove(owner, newest)
        assert await findings(owner, books) == set()
        assert await findings(owner, books, head) == {(FindingKind.CHAIN_TRUNCATED, f"link {head.chain_no}")}


async def test_a_chain_written_anew_without_the_key_is_found(books: Books, owner: Owner, bills: list[str]) -> None:
    head = await sealed(books)
    async with undone(owner):
        rows = await owner.fetch("DELETE FROM ledger_chain RETURNING transaction_id, leaf, sealed_at")
        forged = LedgerKey(b"a key of the forger's own, 32 bytes long")
        links = forged.links(Head(0, BEGINNING), [(r["transaction_id"], r["leaf"]) for r in rows], rows[0]["sealed_at"])
        await store.add_links(owner, links)  # type: ignore[arg-type]
        found = await findings(owner, books, head)

    assert (FindingKind.CHAIN_REWRITTEN, f"link {head.chain_no}") in found
    assert {(BROKEN, f"link {n}") for n in range(1, head.chain_no + 1)} <= found


INSERTED = """
    INSERT INTO ledger_transaction SELECT $1, kind, case_id, period, value_date, booked_at, NULL
    FROM ledger_transaction WHERE transaction_id = $2
"""
INSERTED_ENTRIES = """
    INSERT INTO ledger_entry SELECT $1, line_no, book, account_kind, counterparty, fund_pay_type, amount_fen
    FROM ledger_entry WHERE transaction_id = $2
"""


@pytest.mark.parametrize("queued", [False, True], ids=["without a mark", "with the mark of another transaction"])
async def test_a_transaction_that_booking_did_not_write_is_never_sealed(
    books: Books, owner: Owner, bills: list[str], queued: bool
) -> None:
    """Complete and balanced, and all guards of the database let it through."""
    forged, marks = new_id(), "INSERT INTO ledger_unsealed VALUES ($1, $2)"
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(INSERTED, forged, bills[1])
    await owner.execute(INSERTED_ENTRIES, forged, bills[1])
    await owner.execute("SET CONSTRAINTS ALL IMMEDIATE")
    if queued:
        leaf = await owner.fetchval("SELECT leaf FROM ledger_chain WHERE transaction_id = $1", bills[1])
        await owner.execute(marks, forged, books.ledger_key.mark(leaf))
    before = await findings(owner, books)
    await become_sealer(owner)  # type: ignore[arg-type]
    done = await seal_batch(owner, books.ledger_key, 1000, datetime.now(UTC))  # type: ignore[arg-type]
    after = await findings(owner, books)
    await transaction.rollback()

    assert before == after == {(UNSEALED, forged)}
    assert list(done.unmarked) == ([forged] if queued else [])


async def test_a_queue_row_said_again_does_not_seal_twice(books: Books, owner: Owner, bills: list[str]) -> None:
    async with undone(owner):
        leaf = await owner.fetchval("SELECT leaf FROM ledger_chain WHERE transaction_id = $1", bills[1])
        await store.add_unsealed(owner, [Waiting(bills[1], books.ledger_key.mark(leaf))] * 2)  # type: ignore[arg-type]
        done = await seal_batch(owner, books.ledger_key, 1000, datetime.now(UTC))  # type: ignore[arg-type]
        found = await findings(owner, books)

    assert (list(done.links), list(done.unmarked), found) == ([], [bills[1]], set())


async def test_a_ledger_older_than_its_chain_is_adopted(books: Books, owner: Owner, hospital: Hospital) -> None:
    """As after the migration of a ledger that had no chain yet."""
    bill = hospital.bill()
    async with books.database.transaction() as tx:
        await become_sealer(tx)
        await books.hear(bill)
        await owner.execute("DELETE FROM ledger_unsealed WHERE transaction_id = $1", bill.settlement_id)
        unsealed = await findings(owner, books)
        adopted = await adopt(books.database, books.ledger_key)
        again = await adopt(books.database, books.ledger_key)
        waiting = await findings(owner, books)
    await sealed(books)

    assert unsealed == {(UNSEALED, bill.settlement_id)}
    assert (adopted, again, waiting) == (1, 0, set())
    assert await link_of(books, bill.settlement_id)


# The guards


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_chain SET sealed_at = sealed_at",
        "DELETE FROM ledger_chain",
        "TRUNCATE ledger_chain",
    ],
)
async def test_links_stand(owner: Owner, bills: list[str], change: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute(change)


BY_HAND = """
    INSERT INTO ledger_transaction SELECT $1, 'bill', case_id, $2, value_date, booked_at, NULL
    FROM ledger_transaction WHERE transaction_id = $3
"""


async def test_a_closed_month_takes_no_entries(books: Books, owner: Owner, hospital: Hospital) -> None:
    """Not in bills only: no transaction of a confirmed month, nor one that is in another month than its case."""
    bill = hospital.bill()
    await books.hear(bill)
    with pytest.raises(asyncpg.CheckViolationError) as elsewhere:
        await owner.execute(BY_HAND, new_id(), "2020-01", bill.settlement_id)
    await owner.execute("UPDATE facility_month SET confirmed = true WHERE facility_code = $1", hospital.code)
    with pytest.raises(asyncpg.CheckViolationError) as closed:
        await owner.execute(BY_HAND, new_id(), hospital.month, bill.settlement_id)

    assert elsewhere.value.constraint_name == "ledger_transaction_case_fits"
    assert closed.value.constraint_name == "ledger_transaction_month_open"


# The command


def command(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `make verify-ledger` runs."""
    return subprocess.run(
        [sys.executable, "-m", "services.settlement.verify", *arguments],
        cwd=ROOT,
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_command_names_what_it_finds_and_keeps_a_checkpoint(
    cluster: Cluster, books: Books, owner: Owner, bills: list[str], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.json"
    edit = "UPDATE ledger_entry SET amount_fen = -amount_fen WHERE transaction_id = $1"
    good = await asyncio.to_thread(command, cluster, "--since", str(checkpoint))
    kept = read_checkpoint(checkpoint)
    await owner.execute("ALTER TABLE ledger_entry DISABLE TRIGGER USER")
    try:
        await owner.execute(edit, bills[1])
        bad = await asyncio.to_thread(command, cluster, "--since", str(checkpoint))
        await owner.execute(edit, bills[1])
    finally:
        await owner.execute("ALTER TABLE ledger_entry ENABLE TRIGGER USER")
    assert kept is not None
    write_checkpoint(checkpoint, Head(kept.chain_no + 1_000_000, kept.hash))
    cut = await asyncio.to_thread(command, cluster, "--since", str(checkpoint))
    checkpoint.write_text(json.dumps({"chain_no": "many"}))
    broken = await asyncio.to_thread(command, cluster, "--since", str(checkpoint))

    assert (good.returncode, "the ledger is as it was booked" in good.stdout) == (0, True), good.stdout + good.stderr
    assert kept.chain_no >= 3
    assert (bad.returncode, f"FOUND transaction-changed {bills[1]}" in bad.stdout) == (1, True), bad.stdout
    assert (cut.returncode, "FOUND chain-truncated" in cut.stdout) == (1, True), cut.stdout
    assert (broken.returncode, "is not a checkpoint" in broken.stdout) == (2, True), broken.stdout
