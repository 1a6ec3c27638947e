"""Migrations on tables that are full: what stood in them before stands in them after, and goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from services.settlement.store import dues, position_dues
from shared import migrations
from shared.events import new_id
from shared.settings import Settings
from tests.services.settlement.fixtures import Owner
from tests.services.settlement.world import CHAIN, HUAIYANG, XIANGCHENG, ZHOUKOU

AT = datetime(2026, 11, 2, 4, tzinfo=UTC)
DUE_ON = date(2026, 11, 23)
FACILITY, PERIOD = "H41160300001", "2026-10"
MATCHED, CONFIRMED, BILL, STATEMENT = (new_id() for _ in range(4))
CASE = {
    "facility_code": FACILITY,
    "period": PERIOD,
    "clearing_region": ZHOUKOU,
    "chain": CHAIN,
    "opened_at": AT,
    "numbers_hash": "f" * 64,
    "bill_count": 1,
    "total_fen": 100_000,
    "fund_fen": 80_000,
    "account_fen": 5_000,
    "payable_fen": 85_000,
}


def superuser_url(settings: Settings) -> str:
    """The way to the cluster of somebody who may make databases: their owner may not."""
    owner, password = urlsplit(settings.database_url), (settings.secrets_dir / "database-postgres").read_text()
    return owner._replace(netloc=f"postgres:{password}@{owner.hostname}:{owner.port}", path="/postgres").geturl()


@pytest.fixture
async def old(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Owner]:
    """A database of the test's own in the cluster, with nothing in it, as its owner sees it."""
    name = f"migrated_{new_id().lower()}"
    url = urlsplit(settings.database_url)._replace(path=f"/{name}").geturl()
    monkeypatch.setenv("SIFANG_DATABASE_URL", url)
    admin = await asyncpg.connect(superuser_url(settings))
    await admin.execute(f"CREATE DATABASE {name} OWNER {urlsplit(url).username}")
    connection = await asyncpg.connect(url, server_settings={"search_path": "settlement"})
    await connection.execute("CREATE SCHEMA settlement")
    yield connection
    await connection.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def put(owner: Owner, table: str, **values: Any) -> None:
    """Write a row."""
    holes = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await owner.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({holes})", *values.values())


async def fill_0003(owner: Owner) -> None:
    """A month with a matched and a confirmed case: a bill with its entries, dues with a reminder, items, hops."""
    await put(owner, "facility_month", facility_code=FACILITY, period=PERIOD, confirmed=False, statement_id=None)
    await put(
        owner, "settlement_case", **CASE, case_id=MATCHED, care_region=HUAIYANG, home_region=XIANGCHENG, state="matched"
    )
    one_way = {"chain": [HUAIYANG, ZHOUKOU], "care_region": HUAIYANG, "home_region": ZHOUKOU}
    await put(owner, "settlement_case", **{**CASE, **one_way}, case_id=CONFIRMED, state="confirmed")
    await _book(owner)
    for party in (FACILITY, HUAIYANG, ZHOUKOU):
        said = {"numbers_hash": "f" * 64, "confirmed_by": "one", "confirmed_at": AT}
        await put(owner, "confirmation", case_id=CONFIRMED, party=party, **said)
    hops = [("remittance", ZHOUKOU, HUAIYANG, "payable"), ("disbursement", HUAIYANG, FACILITY, "waiting")]
    for hop_no, (kind, payer, payee, state) in enumerate(hops, start=1):
        about = {"kind": kind, "payer": payer, "payee": payee, "amount_fen": 85_000, "state": state}
        await put(owner, "hop", case_id=CONFIRMED, hop_no=hop_no, **about)
    clock = {"since": date(2026, 11, 2), "working_days": 15, "due_on": DUE_ON, "provisional": False}
    await put(owner, "due", case_id=MATCHED, kind="reconciliation", party=XIANGCHENG, **clock)
    await put(owner, "due", case_id=CONFIRMED, kind="remittance", party=ZHOUKOU, done_at=AT, **clock)
    told = {"kind": "reconciliation", "party": XIANGCHENG, "distance": 5, "recorded_at": AT, "announced": True}
    await put(owner, "reminder", case_id=MATCHED, **told)
    await _items(owner)


async def _book(owner: Owner) -> None:
    """One bill of the matched case, in two books."""
    about = {"facility_code": FACILITY, "care_region": HUAIYANG, "home_region": XIANGCHENG, "period": PERIOD}
    amounts = {name: CASE[name] for name in ("total_fen", "fund_fen", "account_fen", "payable_fen")}
    kinds = {"insutype": "390", "med_type": "21", "clr_type": "21", "refund": False, "settled_period": PERIOD}
    ids = {"settlement_id": BILL, "case_id": MATCHED, "visit_id": new_id(), "person_id": new_id()}
    paid = {"cash_fen": 15_000, "hospital_fen": 0, "facility_settlement_no": "1", "settled_at": AT, "booked_at": AT}
    await put(owner, "bill", **ids, **about, **amounts, **kinds, **paid)
    entries = [
        (FACILITY, "receivable", HUAIYANG, 85_000),
        (FACILITY, "medical_income", "", -85_000),
        (HUAIYANG, "receivable", ZHOUKOU, 85_000),
        (HUAIYANG, "payable", FACILITY, -85_000),
    ]
    async with owner.transaction():
        booked = {"kind": "bill", "case_id": MATCHED, "period": PERIOD, "value_date": DUE_ON, "booked_at": AT}
        await put(owner, "ledger_transaction", transaction_id=BILL, **booked)
        await owner.execute(
            """INSERT INTO ledger_entry (transaction_id, line_no, book, account_kind, counterparty, fund_pay_type,
                   amount_fen)
               SELECT $1, n, b, k, c, '', a
               FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY AS e(b, k, c, a, n)""",
            BILL,
            *map(list, zip(*entries, strict=True)),
        )


async def _items(owner: Owner) -> None:
    """A statement with an open and a closed item."""
    stated = {"facility_code": FACILITY, "care_region": HUAIYANG, "period": PERIOD, "submitted_by": "his"}
    when = {"submitted_at": AT, "submitted_on": AT.date(), "version_no": 1, "state": "differences", "match_no": 1}
    await put(owner, "statement", statement_id=STATEMENT, **stated, **when)
    for position, closed in enumerate((None, AT), start=1):
        found = {"statement_id": STATEMENT, "match_no": 1, "position": position}
        number = {"facility_settlement_no": str(position), "refund": False, "books_total_fen": 100}
        await put(owner, "difference", **found, difference_class="missing_in_statement", **number)
        item = {"facility_code": FACILITY, "care_region": HUAIYANG, "period": PERIOD, "item_key": str(position)}
        acts = {"acting_party": FACILITY, "due_on": DUE_ON, "provisional": False, "amount_fen": 100, "booked": True}
        ends = {"state": "closed" if closed else "open", "closed_at": closed, "closed_as": "agreed" if closed else None}
        klass = {"difference_class": "missing_in_statement", "found_at": AT, "reopened_count": 0}
        await put(owner, "work_item", **item, **acts, **ends, **klass, **found)


async def fill_0008(owner: Owner) -> list[int]:
    """Three objections of one party, of which the first is over and left its suspension to the others; a cycle with a
    position that has a day and one that has none; a prepayment that runs low. The numbers of the objections."""
    about = {"case_id": MATCHED, "party": XIANGCHENG, "numbers_hash": "f" * 64, "reason": "r", "raised_by": "one"}
    clock = {"deciding_party": HUAIYANG, "due_on": DUE_ON, "provisional": False, "raised_at": AT}
    over = {"decided_party": HUAIYANG, "decided_by": "two", "decided_at": AT, "decision_reason": "r"}
    for state in ("rejected", "open", "open"):
        ended = over if state == "rejected" else {}
        await put(owner, "objection", **about, **clock, **ended, state=state)
    numbers = [row[0] for row in await owner.fetch("SELECT objection_no FROM objection ORDER BY objection_no")]
    await owner.execute("UPDATE due SET suspended_on = $1, working_days = 7 WHERE case_id = $2", AT.date(), MATCHED)
    due = {"case_id": MATCHED, "kind": "reconciliation", "party": XIANGCHENG}
    stopped = {"suspended_on": AT.date(), "days_left": 7, "suspended_party": XIANGCHENG, "suspended_at": AT}
    resumed = {"resumed_on": AT.date(), "resumed_party": XIANGCHENG, "resumed_by": "one", "resumed_at": AT}
    await put(owner, "due_suspension", **due, **stopped, reason="r", papers=["p"], suspended_by="one", **resumed)
    await put(owner, "due_suspension", **due, **stopped, reason="objection", papers=[f"objection {numbers[0]}"])
    await _cycle(owner)
    use = {"level_fen": 0, "level_year": 0, "use": "red", "use_month": "2026-11"}
    await put(owner, "prepayment", lender=XIANGCHENG, holder=ZHOUKOU, **use)
    return numbers


async def _cycle(owner: Owner) -> None:
    cycle = {"clearing_region": ZHOUKOU, "cycle_no": 1, "netting": "bilateral", "month": "2026-11", "cut_at": AT}
    await put(owner, "clearing_cycle", cycle_id=CYCLE, **cycle, netting_hash="f" * 64)
    for position_id, (payer, payee, facility, due_on) in POSITIONS.items():
        about = {"payer": payer, "payee": payee, "facility_code": facility, "due_on": due_on, "amount_fen": 85_000}
        async with owner.transaction():
            made = {"brought_fen": 0, "state": "open", "made_at": AT}
            await put(owner, "clearing_position", position_id=position_id, cycle_id=CYCLE, **about, **made)
            if not await owner.fetchval("SELECT count(*) FROM clearing_case"):
                taken = {"transaction_id": new_id(), "confirmed_at": AT}
                await put(owner, "clearing_case", cycle_id=CYCLE, case_id=CONFIRMED, **taken)
            hop = {"case_id": CONFIRMED, "hop_no": 1 if facility is None else 2, "amount_fen": 85_000}
            await put(owner, "position_hop", position_id=position_id, cycle_id=CYCLE, **hop, live=True)


CYCLE = new_id()
REMITS, WAITS = new_id(), new_id()
POSITIONS = {REMITS: (ZHOUKOU, HUAIYANG, None, DUE_ON), WAITS: (HUAIYANG, FACILITY, FACILITY, None)}


async def test_clocks_that_ran_before_terms_go_on_as_they_were(old: Owner) -> None:
    """From the state before the fourth migration, with everything in it, to the newest."""
    await migrations.upgrade("settlement", "0003")
    await fill_0003(old)
    await migrations.upgrade("settlement", "0008")
    await migrations.upgrade("settlement")

    rows = {row["kind"]: row for row in await old.fetch("SELECT * FROM due")}
    open_due, done = rows["reconciliation"], rows["remittance"]
    for due in (open_due, done):
        assert (due["since"], due["started_on"], due["due_on"]) == (date(2026, 11, 2), date(2026, 11, 2), DUE_ON)
        assert (due["reminder_distances"], due["escalation_distances"]) == ([5, 2, 0, -1, -5], [])
        assert (due["deemed_consent"], due["suspended_on"]) == (False, None)
    assert (open_due["done_at"], done["done_at"]) == (None, AT)
    items = await old.fetch("SELECT party, since, working_days, due_on, state FROM work_item ORDER BY item_no")
    assert [tuple(row) for row in items] == [
        (FACILITY, DUE_ON, 0, DUE_ON, "open"),
        (FACILITY, DUE_ON, 0, DUE_ON, "closed"),
    ]
    # What it was reminded of it is not reminded of again; the next distance it is.
    reached = await old.fetch(dues.DUES_REACHED, [5, 2], [DUE_ON, DUE_ON])
    assert [(row["case_id"], row["reached"]) for row in reached] == [(MATCHED, [2])]
    clocks = {(row["since"], row["working_days"]) for row in await old.fetch(dues.CLOCKS)}
    assert clocks == {(date(2026, 11, 2), 15), (DUE_ON, 0)}


async def test_bills_and_ledger_stand_through_all_migrations(old: Owner) -> None:
    await migrations.upgrade("settlement", "0003")
    await fill_0003(old)
    tables = {"bill": "settlement_id", "ledger_transaction": "transaction_id", "ledger_entry": "line_no"}
    before = {t: [dict(row) for row in await old.fetch(f"SELECT * FROM {t} ORDER BY {k}")] for t, k in tables.items()}
    await migrations.upgrade("settlement")
    after = {t: [dict(row) for row in await old.fetch(f"SELECT * FROM {t} ORDER BY {k}")] for t, k in tables.items()}

    for table, rows in before.items():
        assert rows
        assert [{name: row[name] for name in rows[0]} for row in after[table]] == rows
    with pytest.raises(asyncpg.RestrictViolationError):
        await old.execute("UPDATE bill SET total_fen = 1")


async def test_suspensions_objections_and_positions_get_what_the_tenth_adds(old: Owner) -> None:
    await migrations.upgrade("settlement", "0003")
    await fill_0003(old)
    await migrations.upgrade("settlement", "0008")
    _, second, third = await fill_0008(old)
    await migrations.upgrade("settlement")

    suspensions = await old.fetch(
        "SELECT objection_no, suspended_by, resumed_on IS NULL AS runs, days_left FROM due_suspension"
        " ORDER BY suspension_no"
    )
    assert [tuple(row) for row in suspensions] == [
        (None, "one", False, 7),
        (second, None, True, 7),
        (third, None, True, 7),
    ], "each reason has its row: the clock runs when both objections have ended"
    objections = await old.fetch("SELECT since, working_days, due_on, escalation_distances FROM objection")
    assert {(row["since"], row["working_days"], row["due_on"]) for row in objections} == {(DUE_ON, 0, DUE_ON)}
    with pytest.raises(asyncpg.RestrictViolationError):
        await old.execute("UPDATE objection SET since = since WHERE state = 'rejected'")
    positions = {row["position_id"]: row for row in await old.fetch("SELECT * FROM clearing_position")}
    clock = ("due_kind", "since", "working_days", "due_on", "provisional", "reminder_distances")
    assert [positions[REMITS][name] for name in clock] == [
        "disbursement",
        DUE_ON,
        0,
        DUE_ON,
        False,
        [5, 2, 0, -1, -5],
    ], "the clearing agency pays it"
    assert [positions[WAITS][name] for name in clock] == [None] * 6
    reached = await old.fetch(position_dues.POSITIONS_REACHED, [0], [DUE_ON])
    assert [row["position_id"] for row in reached] == [REMITS]
    assert await old.fetchval("SELECT warned_on FROM prepayment") == date(2026, 11, 1)


async def test_payouts_get_their_documents_and_their_orders_the_cards_that_hold(old: Owner) -> None:
    """One document under two spellings: both payouts stay, and the next one is refused by the first."""
    await migrations.upgrade("settlement", "0012")
    about = {"region": XIANGCHENG, "person_id": "P", "amount_fen": 100, "fund_pay_type": "390100", "reason": "r"}
    days = {
        "timing": "at_once",
        "reported_on": AT.date(),
        "release_on": AT.date(),
        "proposed_by": "a",
        "proposed_at": AT,
    }
    decided = {"decided_by": "b", "decided_at": AT}
    ids = sorted(new_id() for _ in range(3))
    for payout_id, origin, reference, state in zip(
        ids,
        ("supplement", "manual_claim", "supplement"),
        ("doc-1", "DOC-1", "Doc-1"),
        ("approved", "approved", "declined"),
        strict=True,
    ):
        named = {"payout_id": payout_id, "origin": origin, "reference": reference, "state": state, "card_no": 2}
        await put(old, "payout", **about, **days, **decided, **named)
    order = {"purpose": "payout", "reference": ids[0], "payer": XIANGCHENG, "amount_fen": 100, "debt_fen": 100}
    waits = {"by_bank": True, "review_needed": False, "state": "proposed", "paid_fen": 0}
    order_id = new_id()
    await put(
        old,
        "payment_order",
        **order,
        **waits,
        order_id=order_id,
        root_order_id=order_id,
        proposed_by="c",
        proposed_at=AT,
    )
    await migrations.upgrade("settlement")

    documents = [row[0] for row in await old.fetch("SELECT document FROM payout ORDER BY payout_id")]
    assert documents == ["DOC-1", f"DOC-1 {ids[1]}", "DOC-1"]
    assert await old.fetchval("SELECT payee_version_no FROM payment_order") == 2
    fresh = {"payout_id": new_id(), "origin": "supplement", "reference": "doc-1", "document": "DOC-1"}
    with pytest.raises(asyncpg.UniqueViolationError):
        await put(old, "payout", **about, **days, **fresh, state="proposed", card_no=1)


async def test_what_a_facilitys_account_left_open_is_for_the_agency_that_keeps_it(old: Owner) -> None:
    await migrations.upgrade("settlement", "0013")
    sealed = {"holder_sealed": "h", "account_sealed": "a", "bank_code": "1", "opening_fen": 0, "opening_on": AT.date()}
    decided = {"proposed_by": "one", "proposed_at": AT, "decided_by": "two", "decided_at": AT, "state": "approved"}
    message_no = await old.fetchval(
        "INSERT INTO bank_message (kind, party, message_id, sha256, file_name, received_at)"
        " VALUES ('camt.054', '', 'M', repeat('0', 64), 'f', now()) RETURNING message_no"
    )
    for party in (FACILITY, HUAIYANG):
        account = {"party": party, "version_no": 1, "region": HUAIYANG, "account_hash": party, "current": True}
        await put(old, "bank_account", **account, **sealed, **decided)
        moved = {"entry_id": party, "party": party, "entry_ref": party, "end_to_end_id": "", "debit": True}
        told = {"amount_fen": 1, "booked_on": AT.date(), "message_no": message_no, "outcome": "unknown"}
        await put(old, "bank_entry", **moved, **told, received_at=AT)
        item = {"item_key": f"entry:{party}", "kind": "entry_unknown", "party": party, "detail": ""}
        await put(old, "bank_item", **item, found_at=AT, due_on=DUE_ON)
    said = {"identification_id": "I", "entry_id": HUAIYANG, "party": HUAIYANG}
    said |= {"target": "receivable", "purpose": "hop", "reference": MATCHED, "reason": "r", "state": "proposed"}
    await put(old, "bank_identification", **said, proposed_by="one", proposed_at=AT)
    await migrations.upgrade("settlement")

    items = await old.fetch("SELECT item_key, party FROM bank_item ORDER BY item_no")
    assert [tuple(row) for row in items] == [(f"entry:{FACILITY}", HUAIYANG), (f"entry:{HUAIYANG}", HUAIYANG)]
    assert await old.fetchval("SELECT keeper FROM bank_identification") == HUAIYANG
    with pytest.raises(asyncpg.RestrictViolationError):
        await old.execute("UPDATE bank_identification SET keeper = 'x'")


async def test_what_was_decided_before_there_were_sums_is_weighed_by_itself(old: Owner) -> None:
    """Also where it is approved, and so closed to everybody."""
    await migrations.upgrade("settlement", "0003")
    await fill_0003(old)
    await migrations.upgrade("settlement", "0015")
    key = {"statement_id": STATEMENT, "match_no": 9, "position": 1}
    sides = {"books_fund_fen": 80_000, "stated_fund_fen": 95_000, "stated_total_fen": 3_000, "books_total_fen": 5_000}
    named = {"difference_class": "amount_differs", "facility_settlement_no": "9", "refund": False, "item_key": "b:9"}
    await put(old, "difference", **key, **sides, **named)
    item_no = await old.fetchval("SELECT min(item_no) FROM work_item")
    said = {"kind": "drop", "reason": "r", "party": HUAIYANG, "subject": "one", "at": AT, "approval_needed": True}
    await put(old, "item_action", item_no=item_no, **key, **said, approved_by="two", approved_at=AT)
    await migrations.upgrade("settlement")

    weighed = await old.fetchrow("SELECT amount_fen, sum_fen, bulk_no FROM item_action WHERE match_no = 9")
    assert weighed is not None
    assert tuple(weighed) == (15_000, 15_000, None)
    with pytest.raises(asyncpg.RestrictViolationError):
        await old.execute("UPDATE item_action SET approved_by = 'three' WHERE match_no = 9")
