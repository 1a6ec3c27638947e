"""Payouts to persons against the running service: papers, four eyes, the calendar, the bank, and what nobody sees."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from deploy.local import bank as small_bank
from services.settlement.use_cases.bank_accounts import renew_encryption
from services.settlement.use_cases.parts import BankDesk
from shared.events import new_id
from shared.events.settlement import PayoutEvent, PayoutPaid
from shared.keys import DATA_KEYS
from shared.personal import PersonalDataKeys
from shared.settings import Settings
from tests.services.settlement.banking import CARD, Counter, payout_body
from tests.services.settlement.fixtures import Heard
from tests.services.settlement.test_bank import HOME, counter, data_keys, holds
from tests.services.settlement.test_statements import codes
from tests.services.settlement.world import Books

__all__ = ["counter", "data_keys"]
RECORDS = "411328"
"""A county that records its payments."""
OTHER_CARD = "6217000010001234569"


async def entered(counter: Counter, region: str = HOME, **fields: Any) -> str:
    """A payout, entered."""
    answer = await counter.officer(region).post("/v1/payouts", payout_body(**fields))
    assert answer.status_code == 201, answer.text
    return answer.json()["payout_id"]  # type: ignore[no-any-return]


async def approved(counter: Counter, region: str = HOME, **fields: Any) -> str:
    """A payout, entered and approved."""
    payout_id = await entered(counter, region, **fields)
    answer = await counter.officer(region, "head").post(f"/v1/payouts/{payout_id}/approval")
    assert answer.status_code == 200, answer.text
    return payout_id


async def ordered(counter: Counter, payout_id: str, region: str = HOME) -> str:
    """Its order, proposed and approved."""
    answer = await counter.finance(region).post("/v1/orders", {"purpose": "payout", "references": [payout_id]})
    (item,) = answer.json()["items"]
    assert item["errors"] == [], answer.text
    await counter.finance(region, "two").post("/v1/order-approvals", {"order_ids": [item["order_id"]]})
    return item["order_id"]  # type: ignore[no-any-return]


async def payout(counter: Counter, payout_id: str, region: str = HOME) -> dict[str, Any]:
    """A payout as its agency sees it."""
    return (await counter.officer(region).get(f"/v1/payouts/{payout_id}")).json()  # type: ignore[no-any-return]


async def test_a_payout_reaches_the_card(books: Books, counter: Counter, heard: Heard) -> None:
    bank, owed = await counter.balance(HOME, "bank"), await counter.balance(HOME, "benefits_payable")
    payout_id = await approved(counter)
    granted = await counter.balance(HOME, "benefits_payable") - owed
    order_id = await ordered(counter, payout_id)
    await counter.send()
    counter.bank().answer()
    await counter.receive()

    found = await payout(counter, payout_id)
    assert granted == -320_000
    assert (found["state"], found["paid_at"] is None) == ("paid", False)
    assert await counter.balance(HOME, "bank") - bank == -320_000
    assert await counter.balance(HOME, "benefits_payable") == owed
    (transfer,) = [t for file in counter.files() for t in file.transfers if t.end_to_end_id == order_id]
    assert (transfer.creditor_account, transfer.amount_fen) == (CARD, 320_000)
    assert [type(event) for event in await heard(payout_id)] == [PayoutPaid]
    await holds(books)


async def test_refused_by_the_bank_it_waits_for_another_card(books: Books, counter: Counter, heard: Heard) -> None:
    owed = await counter.balance(HOME, "benefits_payable")
    payout_id = await approved(counter)
    order_id = await ordered(counter, payout_id)
    await counter.send()
    counter.bank(fates={order_id: small_bank.REJECTED}).answer()
    await counter.receive()
    refused = await payout(counter, payout_id)
    card = {**payout_body()["card"], "account_no": OTHER_CARD}
    clerk, head = counter.officer(HOME), counter.officer(HOME, "head")
    bad = await clerk.post(f"/v1/payouts/{payout_id}/cards", card | {"account_no": "6217000010001234568"})
    none_yet = await head.post(f"/v1/payouts/{payout_id}/card-approval", {"card_no": 1})
    new = await clerk.post(f"/v1/payouts/{payout_id}/cards", card)
    alone = await clerk.post(f"/v1/payouts/{payout_id}/card-approval", {"card_no": 2})
    good = await head.post(f"/v1/payouts/{payout_id}/card-approval", {"card_no": 2})
    again = await counter.finance(HOME, "three").post(f"/v1/orders/{order_id}/repeat")
    await counter.finance(HOME, "two").post("/v1/order-approvals", {"order_ids": [again.json()["order_id"]]})
    await counter.send()
    counter.bank().answer()
    await counter.receive()

    assert (refused["state"], refused["refusal"]) == ("refused", "AC04")
    assert codes(bad) == ["settlement.account-invalid"]
    assert codes(none_yet) == ["settlement.card-unknown"]
    assert (new.status_code, codes(alone)) == (201, ["settlement.same-person"])
    assert good.json()["card_no"] == 2
    assert ((await payout(counter, payout_id))["state"], await counter.balance(HOME, "benefits_payable")) == (
        "paid",
        owed,
    )
    cards = [t.creditor_account for file in counter.files() for t in file.transfers]
    assert cards == [CARD, OTHER_CARD]
    told = await heard(payout_id)
    assert [getattr(event, "reason_code", None) for event in told if isinstance(event, PayoutEvent)] == ["AC04", None]
    assert isinstance(told[1], PayoutPaid)
    await holds(books)


async def test_money_that_comes_back_is_owed_again(books: Books, counter: Counter) -> None:
    bank, owed = await counter.balance(HOME, "bank"), await counter.balance(HOME, "benefits_payable")
    payout_id = await approved(counter)
    order_id = await ordered(counter, payout_id)
    await counter.send()
    counter.bank(fates={order_id: small_bank.RETURNED}).answer()
    await counter.receive()
    back = await payout(counter, payout_id)
    halfway = (await counter.balance(HOME, "bank") - bank, await counter.balance(HOME, "benefits_payable") - owed)
    again = await ordered(counter, payout_id)
    await counter.send()
    counter.bank().answer()
    await counter.receive()

    assert (back["state"], back["refusal"], back["paid_at"]) == ("refused", "AC04", None)
    assert halfway == (0, -320_000)
    assert (await counter.order(again, HOME))["repeats_order_id"] == order_id
    assert (await payout(counter, payout_id))["state"] == "paid"
    assert await counter.balance(HOME, "bank") - bank == -320_000
    assert await counter.balance(HOME, "benefits_payable") == owed
    await holds(books)


async def test_a_paid_payout_stays_paid_when_only_a_surplus_comes_back(books: Books, counter: Counter) -> None:
    owed = await counter.balance(HOME, "benefits_payable")
    payout_id = await approved(counter)
    order_id = await ordered(counter, payout_id)
    await counter.send()
    counter.report(HOME, counter.entry(order_id, 120_000))
    await counter.receive()
    again = await ordered(counter, payout_id)
    await counter.send()
    for entry in (
        counter.entry(order_id, 200_000),
        counter.entry(again, 200_000),
        counter.entry(again, 200_000, debit=False, reason="AC04"),
    ):
        counter.report(HOME, entry)
        await counter.receive()

    found = await payout(counter, payout_id)
    assert (found["state"], found["refusal"], await counter.balance(HOME, "benefits_payable")) == ("paid", None, owed)
    assert (await counter.order(again, HOME))["state"] == "returned"
    await holds(books)


async def test_on_record_approval_of_the_order_pays(books: Books, counter: Counter) -> None:
    payout_id = await approved(counter, RECORDS)
    order_id = await ordered(counter, payout_id, RECORDS)

    assert (await counter.order(order_id, RECORDS))["state"] == "settled"
    assert (await payout(counter, payout_id, RECORDS))["state"] == "paid"
    assert await counter.balance(RECORDS, "bank") == -320_000
    await counter.send()
    assert counter.asked(order_id) == 0
    await holds(books)


async def test_a_batch_waits_for_its_day(counter: Counter) -> None:
    payout_id = await approved(counter, timing="batch")
    body = {"purpose": "payout", "references": [payout_id, new_id()]}
    answer = (await counter.finance(HOME).post("/v1/orders", body)).json()["items"]
    found = await payout(counter, payout_id)
    listed = await counter.finance(HOME).get("/v1/payouts", released=True, limit=200)

    assert found["release_on"] > found["reported_on"]
    assert [[e["code"] for e in item["errors"]] for item in answer] == [
        ["settlement.payout-not-released"],
        ["settlement.payout-unknown"],
    ]
    assert payout_id not in listed.text


async def test_a_foreign_agency_gets_one_answer_everywhere(counter: Counter) -> None:
    """Whatever it asks for, and whatever else would be wrong with it: that it is not in its area."""
    payout_id = await approved(counter)
    path = f"/v1/payouts/{payout_id}"
    why = {"reason": "录入有误"}
    made = (await counter.officer(HOME).post(f"{path}/cancellations", why)).json()
    cancellation = f"/v1/payout-cancellations/{made['cancellations'][0]['cancellation_id']}"
    stranger = counter.officer("411330", "head")

    answers = [
        await stranger.post(f"{path}/approval"),
        await stranger.post(f"{path}/refusal"),
        await stranger.post(f"{path}/cards", payout_body()["card"]),
        await stranger.post(f"{path}/card-approval", {"card_no": 1}),
        await stranger.post(f"{path}/cancellations", why),
        await stranger.post(f"{cancellation}/approval"),
        await stranger.post(f"{cancellation}/refusal"),
        await stranger.get(path),
    ]

    assert [(answer.status_code, codes(answer)) for answer in answers] == [(403, ["auth.not-your-area"])] * 8


async def test_what_is_wrong_is_refused(counter: Counter) -> None:
    clerk = counter.officer(HOME)
    everything = await clerk.post(
        "/v1/payouts",
        payout_body(card={"recipient": "agent", "papers": ["identity_card"], "account_no": "1", "bank_code": "2"}),
    )
    other = await clerk.post("/v1/payouts", payout_body(card={"recipient": "other_card"}))
    nothing = await clerk.post("/v1/payouts", payout_body(0))
    foreign = await counter.finance(HOME).post("/v1/payouts", payout_body())
    body = payout_body()
    first = await clerk.post("/v1/payouts", body)
    twice = await clerk.post("/v1/payouts", payout_body(reference=body["reference"]))
    payout_id = first.json()["payout_id"]
    alone = await clerk.post(f"/v1/payouts/{payout_id}/approval")
    stranger = await counter.officer("411330", "head").post(f"/v1/payouts/{payout_id}/approval")
    too_soon = await clerk.post(f"/v1/payouts/{payout_id}/cards", body["card"])
    declined = await counter.officer(HOME, "head").post(f"/v1/payouts/{payout_id}/refusal")
    anew = await clerk.post("/v1/payouts", payout_body(reference=body["reference"]))

    assert codes(everything) == [
        "settlement.paper-missing",
        "settlement.paper-missing",
        "settlement.agent-wrong",
        "settlement.account-invalid",
        "settlement.bank-code-invalid",
    ]
    assert codes(other) == ["settlement.paper-missing"] * 2
    assert codes(nothing) == ["request.field-invalid"]
    assert codes(foreign) == ["auth.role-not-allowed"]
    assert codes(twice) == ["settlement.payout-exists"]
    assert codes(alone) == ["settlement.same-person"]
    assert codes(stranger) == ["auth.not-your-area"]
    assert codes(too_soon) == ["settlement.payout-state"]
    assert (declined.json()["state"], anew.status_code) == ("declined", 201)


async def test_one_key_enters_one_payout_of_one_card(counter: Counter) -> None:
    body, key = payout_body(), new_id()
    clerk = counter.officer(HOME)
    first = await clerk.post("/v1/payouts", body, key)
    again = await clerk.post("/v1/payouts", body, key)
    other = await clerk.post("/v1/payouts", {**body, "card": {**body["card"], "account_no": OTHER_CARD}}, key)

    assert first.text == again.text
    assert codes(other) == ["idempotency.key-reused"]


async def test_a_card_is_seen_by_nobody(books: Books, counter: Counter) -> None:
    """Not in answers, rows, events or kept answers; only in the payment file."""
    payout_id = await approved(
        counter,
        card={
            "recipient": "agent",
            "papers": ["identity_card", "bank_card", "agent_identity_card"],
            "agent_name": "欧阳明",
            "holder": "司马相如",
        },
    )
    await ordered(counter, payout_id)
    await counter.send()

    shown = (await counter.officer(HOME).get(f"/v1/payouts/{payout_id}")).text
    secrets = (CARD, "欧阳明", "司马相如")
    assert [secret for secret in secrets if secret in shown] == []
    (card,) = (await payout(counter, payout_id))["cards"]
    assert (card["account"][-4:], card["holder"], card["agent"]) == (CARD[-4:], "**如", "**明")
    for table in ("payout", "payout_card", "payment_order", "outbox", "idempotency", "bank_item"):
        kept = str([tuple(row) for row in await books.rows(f"SELECT t::text FROM {table} t")])
        assert [secret for secret in secrets if secret in kept] == [], table
    (file,) = (counter.folder / "outbox").glob("*.xml")
    assert CARD in file.read_text()


async def test_an_old_key_can_be_taken_away(counter: Counter, data_keys: PersonalDataKeys, settings: Settings) -> None:
    """After the rotation everything is under the new key, and the old one opens nothing any more."""
    payout_id = await entered(counter)
    document = json.loads((settings.secrets_dir / DATA_KEYS).read_text())
    rotated = PersonalDataKeys.rotated(document, "k2")
    parts = replace(counter.parts, desk=BankDesk(counter.parts.bank.adapter, PersonalDataKeys(rotated)))
    await renew_encryption(parts)
    query = "SELECT account_sealed FROM payout_card UNION ALL SELECT account_sealed FROM bank_account"
    sealed = [row[0] for row in await counter.books.rows(query)]
    back = replace(parts, desk=BankDesk(counter.parts.bank.adapter, PersonalDataKeys({**rotated, "active": "k1"})))
    await renew_encryption(back)

    assert sealed
    assert {text.split(".")[0] for text in sealed} == {"k2"}
    assert (await payout(counter, payout_id))["cards"][0]["account"][-4:] == CARD[-4:]


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'approved'", "payout_decided"),
        ("state = 'approved', decided_by = proposed_by, decided_at = now()", "payout_four_eyes"),
        ("state = 'paid', decided_by = 'x', decided_at = now()", "payout_paid"),
        ("amount_fen = 1", None),
    ],
)
async def test_the_database_refuses_what_must_not_be(counter: Counter, change: str, constraint: str | None) -> None:
    payout_id = await entered(counter)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await counter.owner.execute(f"UPDATE payout SET {change} WHERE payout_id = $1", payout_id)
    assert getattr(refused.value, "constraint_name", None) == constraint
