"""Terms of regions: what is chosen, what is inherited, who decides, and what follows them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.config import SettlementSettings
from services.settlement.rules.terms import CHOICES, Choice, Netting, Terms, check_choice, origins, resolve
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.database import Connection
from shared.workdays import WorkCalendar, shanghai_day
from tests.services.settlement.fixtures import ActAs, Owner
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import (
    HENAN,
    HUAIYANG,
    NANYANG,
    REGIONS,
    WANCHENG,
    ZHOUKOU,
    Books,
    Hospital,
)

TODAY = date(2026, 11, 20)
DEFAULTS = Settlement(None, REGIONS, SettlementSettings(), WorkCalendar(), None).default_terms  # type: ignore[arg-type]


def choice(region: str, valid_from: date = TODAY, **values: Any) -> Choice:
    return Choice(region, valid_from, values)


# Rules


@pytest.mark.parametrize(
    ("choices", "expected", "comes_from"),
    [
        ([], {}, {}),
        ([choice(HENAN, netting=Netting.BILATERAL)], {"netting": Netting.BILATERAL}, {"netting": HENAN}),
        (
            [choice(HUAIYANG, tolerance_fen=5), choice(HENAN, tolerance_fen=9, cycle_day=10)],
            {"tolerance_fen": 5, "cycle_day": 10},
            {"tolerance_fen": HUAIYANG, "cycle_day": HENAN},
        ),
        (
            [choice(ZHOUKOU, deemed_consent=False), choice(HENAN, deemed_consent=True)],
            {"deemed_consent": False},
            {"deemed_consent": ZHOUKOU},
        ),
        ([choice(ZHOUKOU, tolerance_fen=0), choice(HENAN, tolerance_fen=9)], {"tolerance_fen": 0}, None),
    ],
)
def test_the_nearest_region_that_chose_counts(
    choices: list[Choice], expected: dict[str, Any], comes_from: dict[str, str] | None
) -> None:
    found = resolve(DEFAULTS, HUAIYANG, choices)

    own = next((c.valid_from for c in choices if c.region == HUAIYANG), DEFAULTS.valid_from)
    assert found == replace(DEFAULTS, region=HUAIYANG, valid_from=own, **expected)
    assert comes_from is None or origins(choices) == comes_from


def test_without_any_choice_the_settings_hold() -> None:
    settings = SettlementSettings()
    assert DEFAULTS.reconciliation_working_days == settings.confirmation_working_days == 15
    assert (DEFAULTS.remittance_working_days, DEFAULTS.disbursement_working_days) == (10, 10)
    assert DEFAULTS.netting is Netting.GROSS
    assert not DEFAULTS.deemed_consent
    assert set(CHOICES) == set(Terms.__slots__) - {"region", "valid_from"}


@given(
    chosen=st.lists(
        st.tuples(
            st.sampled_from([HUAIYANG, ZHOUKOU, HENAN]),
            st.dictionaries(st.sampled_from(["tolerance_fen", "cycle_day"]), st.integers(1, 28), max_size=2),
        ),
        max_size=3,
        unique_by=lambda pair: pair[0],
    )
)
def test_every_term_is_that_of_the_first_who_chose_it(chosen: list[tuple[str, dict[str, int]]]) -> None:
    path = REGIONS.ancestors(HUAIYANG)
    choices = sorted((Choice(region, TODAY, values) for region, values in chosen), key=lambda c: path.index(c.region))

    found = resolve(DEFAULTS, HUAIYANG, choices)

    for name in ("tolerance_fen", "cycle_day"):
        named = next((c.values[name] for c in choices if name in c.values), getattr(DEFAULTS, name))
        assert getattr(found, name) == named


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (choice(ZHOUKOU, tolerance_fen=0), []),
        (choice(ZHOUKOU, TODAY - timedelta(days=1), tolerance_fen=0), ["settlement.terms-backdated"]),
        (choice(ZHOUKOU), ["settlement.terms-empty"]),
        (choice(ZHOUKOU, prepayment_yellow_percent=80), ["settlement.terms-warnings"]),
        (choice(ZHOUKOU, prepayment_yellow_percent=90, prepayment_red_percent=90), ["settlement.terms-warnings"]),
        (choice(ZHOUKOU, prepayment_yellow_percent=60, prepayment_red_percent=80), []),
        (choice(ZHOUKOU, TODAY - timedelta(days=9)), ["settlement.terms-backdated", "settlement.terms-empty"]),
    ],
)
def test_everything_wrong_with_a_choice_is_named(made: Choice, expected: list[str]) -> None:
    assert [refusal.code for refusal in check_choice(made, TODAY)] == expected


# Against the database


@pytest.fixture
async def undone(books: Books) -> AsyncIterator[Connection]:
    """A transaction that is rolled back: what one test chooses binds no other."""
    async with books.database.read() as reader:
        transaction = reader.transaction()
        await transaction.start()
        yield reader
        await transaction.rollback()


INSERT = """
    INSERT INTO region_terms (region, valid_from, reason, state, proposed_by, proposed_at, decided_by, decided_at,
        tolerance_fen, reminder_distances, netting)
    VALUES ($1, $2, 'r', $3, 'a', now(), $4, CASE WHEN $4::text IS NULL THEN NULL ELSE now() END, $5, $6, $7)
"""


async def choose(tx: Connection, region: str, valid_from: date, state: str = "approved", **values: Any) -> None:
    decided = None if state == "proposed" else "b"
    chosen = (values.get("tolerance_fen"), values.get("reminder_distances"), values.get("netting"))
    await tx.execute(INSERT, region, valid_from, state, decided, *chosen)


def parts_of(books: Books) -> Settlement:
    return Settlement(books.database, REGIONS, SettlementSettings(), WorkCalendar(), books.ledger_key)


async def test_terms_in_force_are_the_newest_approved_that_have_begun(books: Books, undone: Connection) -> None:
    day = date(2180, 1, 1)
    await choose(undone, WANCHENG, day, tolerance_fen=1)
    await choose(undone, WANCHENG, day + timedelta(days=10), tolerance_fen=2, reminder_distances=[3, -3])
    await choose(undone, WANCHENG, day + timedelta(days=10), "proposed", tolerance_fen=8)
    await choose(undone, WANCHENG, day + timedelta(days=10), "rejected", tolerance_fen=9)
    await choose(undone, NANYANG, day, netting="multilateral")

    async def at(days: int, *regions: str) -> dict[str, Terms]:
        return await terms_at(parts_of(books), undone, regions, day + timedelta(days=days))

    before, begun, later = await at(-1, WANCHENG), await at(9, WANCHENG, NANYANG, HUAIYANG), await at(10, WANCHENG)

    assert before == {WANCHENG: replace(DEFAULTS, region=WANCHENG)}
    assert (begun[WANCHENG].tolerance_fen, begun[WANCHENG].netting) == (1, Netting.MULTILATERAL)
    assert begun[NANYANG].tolerance_fen == DEFAULTS.tolerance_fen
    assert begun[HUAIYANG] == replace(DEFAULTS, region=HUAIYANG), "another city's terms are not ours"
    assert (later[WANCHENG].tolerance_fen, later[WANCHENG].reminder_distances) == (2, (3, -3))


async def test_a_region_that_is_no_longer_in_the_tree_has_terms(books: Books, undone: Connection) -> None:
    assert (await terms_at(parts_of(books), undone, ["999999"], TODAY))["999999"].region == "999999"


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE region_terms SET state = 'approved', decided_by = 'a', decided_at = now()", "region_terms_four_eyes"),
        ("UPDATE region_terms SET state = 'approved', decided_by = NULL", "region_terms_decided"),
        ("UPDATE region_terms SET tolerance_fen = -1", "region_terms_amounts"),
        ("UPDATE region_terms SET prepayment_red_percent = 90", "region_terms_warnings"),
        ("UPDATE region_terms SET cycle_day = 29", "region_terms_cycle_day"),
    ],
)
async def test_the_database_refuses(undone: Connection, statement: str, constraint: str) -> None:
    await choose(undone, WANCHENG, date(2190, 1, 1), "proposed", tolerance_fen=1)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await undone.execute(f"{statement} WHERE valid_from = '2190-01-01'")
    assert refused.value.constraint_name == constraint


async def test_decided_terms_are_never_changed(owner: Owner) -> None:
    transaction = owner.transaction()
    await transaction.start()
    try:
        await owner.execute(INSERT, WANCHENG, date(2190, 1, 1), "approved", "b", 1, None, None)
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute("UPDATE region_terms SET tolerance_fen = 2 WHERE valid_from = '2190-01-01'")
    finally:
        await transaction.rollback()


# Through the API


def terms(valid_from: date, region: str = ZHOUKOU, **chosen: Any) -> dict[str, Any]:
    return {"region": region, "valid_from": valid_from.isoformat(), "reason": "市局通知", "chosen": chosen}


def today() -> date:
    return shanghai_day(datetime.now(UTC))


async def test_two_people_of_the_region_put_terms_in_force(act_as: ActAs) -> None:
    # A day nothing else of the tests looks at, and a region nobody settles with.
    day = date(2170, 1, 4)
    officer, other = act_as("officer", "341702", "a"), act_as("reviewer", "341702", "b")
    stranger = act_as("officer", ZHOUKOU, "c")

    foreign = await stranger.post("/v1/terms", terms(day, "341702", tolerance_fen=3))
    made = await officer.post("/v1/terms", terms(day, "341702", tolerance_fen=3, escalation_distances=[2, 4]))
    path = f"/v1/terms/{made.json()['terms_no']}"
    answers = [
        await officer.post(f"{path}/approval"),
        await stranger.post(f"{path}/approval"),
        await other.post(f"{path}/approval"),
        await other.post(f"{path}/approval"),
        await other.post(f"{path}/rejection"),
    ]
    before = (await stranger.get("/v1/regions/341702/terms", on="2170-01-03")).json()
    after = (await stranger.get("/v1/regions/341702/terms", on="2170-01-04")).json()

    assert codes(foreign) == ["auth.not-your-area"]
    assert made.status_code == 201, made.text
    assert [a.status_code for a in answers] == [403, 403, 200, 409, 409]
    assert codes(answers[0]) == ["settlement.same-person"]
    assert codes(answers[3]) == ["settlement.terms-decided"]
    assert (before["terms"]["tolerance_fen"], before["chosen_by"]) == (0, {})
    assert after["terms"]["tolerance_fen"] == 3
    assert after["terms"]["escalation_distances"] == [2, 4]
    assert after["chosen_by"] == {"tolerance_fen": "341702", "escalation_distances": "341702"}


async def test_rejected_terms_never_hold_and_all_are_listed(act_as: ActAs) -> None:
    day = date(2171, 1, 4)
    made = await act_as("officer", "341702", "a").post("/v1/terms", terms(day, "341702", tolerance_fen=7))
    rejected = await act_as("officer", "341702", "b").post(f"/v1/terms/{made.json()['terms_no']}/rejection")
    reader = act_as("finance", HUAIYANG)
    listed, cursor = [], None
    while True:
        page = (
            await reader.get("/v1/terms", region="341702", limit=1, **({"cursor": cursor} if cursor else {}))
        ).json()
        listed += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break

    assert rejected.json()["state"] == "rejected"
    assert (await reader.get("/v1/regions/341702/terms", on="2171-02-01")).json()["terms"]["tolerance_fen"] != 7
    assert made.json()["terms_no"] in [row["terms_no"] for row in listed]
    assert sorted(row["terms_no"] for row in listed) == [row["terms_no"] for row in listed]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, ["settlement.terms-empty"]),
        ({"prepayment_red_percent": 95}, ["settlement.terms-warnings"]),
        ({"cycle_day": 29}, ["request.field-invalid"]),
        ({"escalation_distances": [5, 3]}, ["request.field-invalid"]),
        ({"reminder_distances": [1, 1]}, ["request.field-invalid"]),
        ({"tolerance_fen": -1}, ["request.field-invalid"]),
        ({"netting": "none"}, ["request.field-invalid"]),
        ({"colour": 1}, ["request.field-unknown"]),
    ],
)
async def test_terms_that_make_no_sense_are_refused(act_as: ActAs, chosen: Any, expected: list[str]) -> None:
    answer = await act_as("officer", ZHOUKOU).post("/v1/terms", terms(date(2170, 1, 1), **chosen))
    assert answer.status_code == 422
    assert codes(answer) == expected


async def test_terms_do_not_begin_yesterday(act_as: ActAs) -> None:
    answer = await act_as("officer", ZHOUKOU).post("/v1/terms", terms(today() - timedelta(days=1), tolerance_fen=1))
    assert codes(answer) == ["settlement.terms-backdated"]


async def test_each_party_has_the_time_its_own_region_gives(books: Books, act_as: ActAs, owner: Owner) -> None:
    """A facility has its care region's; who chose nothing has the settings'. The clock keeps what it began with."""
    # Regions of another province, so that no other test's clocks start by these terms.
    care, city, home = "341702", "341700", "341722"
    hospital = Hospital(region=care)
    bill = hospital.bill(home)
    await books.hear(hospital.changed(), bill)
    await choose(owner, care, today(), reminder_distances=[4])  # type: ignore[arg-type]
    await owner.execute(
        """INSERT INTO region_terms (region, valid_from, reason, state, proposed_by, proposed_at, decided_by,
               decided_at, reconciliation_working_days, escalation_distances)
           VALUES ($1, $2, 'r', 'approved', 'a', now(), 'b', now(), 3, '{1}')""",
        home,
        today(),
    )

    await submit(act_as("facility", hospital.code), hospital, [bill])

    rows = await books.rows(
        """SELECT d.party, d.working_days, d.reminder_distances, d.escalation_distances
           FROM due d JOIN settlement_case c USING (case_id) WHERE c.facility_code = $1""",
        hospital.code,
    )
    assert {row["party"]: (row["working_days"], row["reminder_distances"]) for row in rows} == {
        hospital.code: (15, [4]),
        care: (15, [4]),
        city: (15, [5, 2, 0, -1, -5]),
        home: (3, [5, 2, 0, -1, -5]),
    }
    assert {row["party"]: row["escalation_distances"] for row in rows}[home] == [1]
