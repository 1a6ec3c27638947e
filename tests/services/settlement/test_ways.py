"""Terms that change between the two people of a payment: what was proposed under others is proposed again, and limits
bind hops on record too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.rules.orders import Order, OrderState, Purpose, check_way
from services.settlement.rules.terms import CHOICES, Choice, in_force
from services.settlement.schemas.terms import TermName
from shared.keys import DATA_KEYS
from shared.personal import PersonalDataKeys
from shared.settings import Settings
from tests.services.settlement.banking import Counter
from tests.services.settlement.fixtures import ActAs, Caller, Owner
from tests.services.settlement.test_bank import holds
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import Books, Hospital

CARE, CITY, HOME = "411627", "411600", "411628"
"""Two counties of Zhoukou and the city between them: no other test pays by the terms of the home agency."""
RECORDED_LIMIT_FEN = 1_000_000_000
FAR = date(2165, 3, 1)
"""A day nothing else of the tests looks at."""

# Rules


def order(state: OrderState = OrderState.PROPOSED, *, by_bank: bool = True) -> Order:
    """An order of the home agency."""
    return Order("O", Purpose.HOP, "R", HOME, CITY, 5, state, False, "a", "O", by_bank=by_bank)


@pytest.mark.parametrize(
    ("found", "by_bank", "sent_before", "expected"),
    [
        (order(), True, False, []),
        (order(), False, False, ["settlement.order-way-changed"]),
        (order(by_bank=False), True, False, ["settlement.order-way-changed"]),
        (order(OrderState.REVIEWED), False, False, ["settlement.order-way-changed"]),
        (order(), False, True, []),
        (order(OrderState.SENT), False, False, []),
    ],
)
def test_an_order_goes_the_way_the_terms_have(
    found: Order, by_bank: bool, sent_before: bool, expected: list[str]
) -> None:
    wrong = check_way(found, HOME, by_bank=by_bank, sent_before=sent_before)
    assert [refusal.code for refusal in wrong] == expected
    assert check_way(found, CITY, by_bank=by_bank, sent_before=sent_before) == []


VALUES = st.dictionaries(st.sampled_from(["tolerance_fen", "cycle_day", "deemed_consent"]), st.integers(1, 9))
GIVEN_UP = st.frozensets(st.sampled_from(["tolerance_fen", "cycle_day"]))


@given(st.lists(st.tuples(VALUES, GIVEN_UP), min_size=1, max_size=6))
def test_a_choice_holds_until_it_is_changed_or_given_up(history: list[tuple[dict[str, int], frozenset[str]]]) -> None:
    choices = [Choice(HOME, FAR + timedelta(days=n), values, gone) for n, (values, gone) in enumerate(history)]

    merged = in_force(choices)

    for name in ("tolerance_fen", "cycle_day", "deemed_consent"):
        expected = None
        for values, gone in history:
            expected = values.get(name, None if name in gone else expected)
        assert merged.values.get(name) == expected
    assert merged.valid_from == choices[-1].valid_from


def test_every_term_can_be_given_up() -> None:
    assert set(get_args(TermName)) == set(CHOICES)


# Through the API


class People:
    """Who acts for the terms of a region."""

    def __init__(self, act_as: ActAs, region: str) -> None:
        self.region = region
        self.officer, self.other = act_as("officer", region, "a"), act_as("reviewer", region, "b")
        self.reader = act_as("finance", region)

    async def propose(self, valid_from: date, given_up: list[str] | None = None, **chosen: Any) -> dict[str, Any]:
        """Terms, proposed."""
        body = {"region": self.region, "valid_from": str(valid_from), "reason": "通知", "chosen": chosen}
        answer = await self.officer.post("/v1/terms", body | ({"given_up": given_up} if given_up else {}))
        assert answer.status_code == 201, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def choose(self, valid_from: date, given_up: list[str] | None = None, **chosen: Any) -> dict[str, Any]:
        """Terms, in force."""
        made = await self.propose(valid_from, given_up, **chosen)
        answer = await self.other.post(f"/v1/terms/{made['terms_no']}/approval")
        assert answer.status_code == 200, answer.text
        return made

    async def at(self, on: date) -> dict[str, Any]:
        """What holds."""
        return (await self.reader.get(f"/v1/regions/{self.region}/terms", on=str(on))).json()  # type: ignore[no-any-return]


async def test_later_terms_keep_what_they_do_not_name(act_as: ActAs) -> None:
    people = People(act_as, "430121")
    await people.choose(FAR, payment_way="bank", second_review_above_fen=100)
    made = await people.choose(FAR + timedelta(days=1), reconciliation_working_days=14)
    held = await people.at(FAR + timedelta(days=1))
    last = await people.choose(FAR + timedelta(days=2), ["second_review_above_fen"], payment_way="recorded")
    after = await people.at(FAR + timedelta(days=2))

    assert (held["terms"]["payment_way"], held["terms"]["second_review_above_fen"]) == ("bank", 100)
    assert made["changes"] == {"reconciliation_working_days": {"from": 15, "to": 14}}
    assert made["terms"] == held["terms"]
    assert set(last["changes"]) == {"second_review_above_fen", "payment_way"}
    assert last["changes"]["second_review_above_fen"]["from"] == 100
    assert last["terms"] == after["terms"]
    assert after["terms"]["reconciliation_working_days"] == 14
    assert "second_review_above_fen" not in after["chosen_by"]


async def test_what_is_approved_is_what_was_shown(act_as: ActAs) -> None:
    people, above = People(act_as, "430112"), People(act_as, "430100")
    day = FAR + timedelta(days=100)
    stale = await people.propose(day, tolerance_fen=5)
    await people.choose(day, item_working_days=3)
    refused = await people.other.post(f"/v1/terms/{stale['terms_no']}/approval")
    fresh = await people.propose(day, tolerance_fen=5)
    await above.choose(day, cycle_day=7)
    inherited = await people.other.post(f"/v1/terms/{fresh['terms_no']}/approval")
    rejected = await people.other.post(f"/v1/terms/{fresh['terms_no']}/rejection")

    assert (refused.status_code, codes(refused)) == (409, ["settlement.terms-outdated"])
    assert codes(inherited) == ["settlement.terms-outdated"]
    assert rejected.status_code == 200
    await people.choose(day, tolerance_fen=5)
    held = (await people.at(day))["terms"]
    assert (held["tolerance_fen"], held["item_working_days"], held["cycle_day"]) == (5, 3, 7)


@pytest.mark.parametrize(
    ("given_up", "chosen", "expected"),
    [
        (["tolerance_fen"], {"tolerance_fen": 1}, ["settlement.terms-given-up"]),
        (["prepayment_red_percent"], {}, ["settlement.terms-warnings"]),
        (["colour"], {}, ["request.field-invalid"]),
    ],
)
async def test_what_is_given_up_must_make_sense(
    act_as: ActAs, given_up: list[str], chosen: dict[str, Any], expected: list[str]
) -> None:
    body = {"region": CARE, "valid_from": str(FAR), "reason": "r", "chosen": chosen, "given_up": given_up}
    assert codes(await act_as("officer", CARE).post("/v1/terms", body)) == expected


# Payments


@pytest.fixture(scope="session")
def data_keys(settings: Settings) -> PersonalDataKeys:
    """The keys of the running services."""
    return PersonalDataKeys.from_json((settings.secrets_dir / DATA_KEYS).read_bytes())


@pytest.fixture
async def counter(
    books: Books, owner: Owner, act_as: ActAs, tmp_path: Path, data_keys: PersonalDataKeys
) -> AsyncIterator[Counter]:
    """A desk; nothing waits to be sent when the test is over, and the home agency records its payments again."""
    made = Counter(books, owner, act_as, tmp_path / "bank", data_keys)
    yield made
    await made.send()
    await says(made, "recorded", RECORDED_LIMIT_FEN)


async def says(counter: Counter, way: str, limit_fen: int) -> None:
    """The terms of the home agency, decided long ago."""
    await counter.owner.execute(
        "INSERT INTO region_terms (region, valid_from, reason, state, proposed_by, proposed_at, decided_by, decided_at,"
        " payment_way, second_review_above_fen)"
        " VALUES ($1, $2, 'test', 'approved', 'a', now(), 'b', now(), $3, $4)",
        HOME,
        counter.today - timedelta(days=1),
        way,
        limit_fen,
    )


@pytest.fixture
async def month(books: Books, act_as: ActAs, counter: Counter) -> Month:
    """A confirmed month of 1,700.00 yuan."""
    hospital = Hospital(region=CARE)
    bills = [hospital.bill(HOME), hospital.bill(HOME)]
    await books.hear(hospital.changed(), *bills)
    await submit(act_as("facility", hospital.code), hospital, [*bills])
    made = Month(act_as, hospital)
    (case,) = await made.cases()
    await made.confirm(case)
    return made


async def propose(caller: Caller, month: Month) -> dict[str, Any]:
    """The hop of the home agency, proposed."""
    (case,) = await month.cases()
    answer = await caller.post("/v1/payments", {"case_id": case["case_id"]})
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def paid_hops(month: Month) -> int:
    """How many hops of the case are paid."""
    (case,) = await month.cases()
    return sum(hop["state"] == "paid" for hop in (await month.case(case["case_id"]))["hops"])


async def test_the_limit_of_review_binds_hops_on_record(counter: Counter, month: Month, books: Books) -> None:
    await says(counter, "recorded", 169_999)
    made = await propose(counter.finance(HOME), month)
    approve = f"/v1/payments/{made['payment_id']}/approval"
    early = await counter.finance(HOME, "two").post(approve)
    reviewed = await counter.finance(HOME, "three").post("/v1/order-reviews", {"order_ids": [made["order_id"]]})
    reviewer = await counter.finance(HOME, "three").post(approve)
    before = await paid_hops(month)
    approved = await counter.finance(HOME, "two").post(approve)

    assert codes(early) == ["settlement.review-missing"]
    assert reviewed.json()["items"][0]["errors"] == []
    assert codes(reviewer) == ["settlement.same-person"]
    assert (before, approved.status_code, await paid_hops(month)) == (0, 200, 1)
    assert approved.json()["approved_by"] == f"two@{HOME}"
    await holds(books)


async def test_the_limit_itself_needs_no_review(counter: Counter, month: Month) -> None:
    await says(counter, "recorded", 170_000)
    made = await propose(counter.finance(HOME), month)
    approved = await counter.finance(HOME, "two").post(f"/v1/payments/{made['payment_id']}/approval")
    assert (made["order_id"], approved.status_code, await paid_hops(month)) == (None, 200, 1)
    with pytest.raises(asyncpg.RestrictViolationError):
        await counter.owner.execute(
            "UPDATE payment SET proposed_by = 'other' WHERE payment_id = $1", made["payment_id"]
        )


@pytest.mark.parametrize(("way", "limit_fen"), [("bank", RECORDED_LIMIT_FEN), ("recorded", 100)])
async def test_a_hop_on_record_is_proposed_again_under_other_terms(
    counter: Counter, month: Month, books: Books, way: str, limit_fen: int
) -> None:
    await says(counter, "recorded", RECORDED_LIMIT_FEN)
    one, two, three = (counter.finance(HOME, name) for name in ("one", "two", "three"))
    made = await propose(one, month)
    await says(counter, way, limit_fen)
    approve = f"/v1/payments/{made['payment_id']}/approval"
    refused = await two.post(approve)
    again = await propose(two, month)
    for party in (HOME, CITY):
        await counter.open_account(party)
    if way == "recorded":
        await three.post("/v1/order-reviews", {"order_ids": [again["order_id"]]})
    own, other = await two.post(approve), await one.post(approve)

    assert codes(refused) == ["settlement.order-way-changed"]
    assert again["payment_id"] == made["payment_id"]
    assert (made["order_id"], again["proposed_by"]) == (None, f"two@{HOME}")
    assert codes(own) == ["settlement.same-person"], "who proposed it last"
    assert other.status_code == 200, other.text
    assert await paid_hops(month) == (1 if way == "recorded" else 0), "the bank has not paid yet"
    await holds(books)


async def test_an_order_for_the_bank_is_not_recorded_under_other_terms(
    counter: Counter, month: Month, books: Books
) -> None:
    await says(counter, "bank", RECORDED_LIMIT_FEN)
    one, two = counter.finance(HOME), counter.finance(HOME, "two")
    made = await propose(one, month)
    for party in (HOME, CITY):
        await counter.open_account(party)
    await says(counter, "recorded", RECORDED_LIMIT_FEN)
    refused = await two.post("/v1/order-approvals", {"order_ids": [made["order_id"]]})
    await two.post(f"/v1/orders/{made['order_id']}/refusal", {"reason": "约定变化"})
    repeated = await two.post(f"/v1/orders/{made['order_id']}/repeat")
    new = repeated.json()["order_id"]
    paid = await counter.finance(HOME, "three").post("/v1/order-approvals", {"order_ids": [new]})

    assert [e["code"] for e in refused.json()["items"][0]["errors"]] == ["settlement.order-way-changed"]
    assert paid.json()["items"][0]["errors"] == []
    assert await paid_hops(month) == 1
    assert (await counter.order(new, HOME))["by_bank"] is False
    await holds(books)


async def test_a_limit_that_was_lowered_counts_for_what_was_proposed_before(counter: Counter, month: Month) -> None:
    await says(counter, "bank", RECORDED_LIMIT_FEN)
    made = await propose(counter.finance(HOME), month)
    for party in (HOME, CITY):
        await counter.open_account(party)
    await says(counter, "bank", 100)
    body = {"order_ids": [made["order_id"]]}
    early = await counter.finance(HOME, "two").post("/v1/order-approvals", body)
    reviewed = await counter.finance(HOME, "three").post("/v1/order-reviews", body)
    approved = await counter.finance(HOME, "two").post("/v1/order-approvals", body)

    assert [e["code"] for e in early.json()["items"][0]["errors"]] == ["settlement.review-missing"]
    assert reviewed.json()["items"][0]["errors"] == approved.json()["items"][0]["errors"] == []
