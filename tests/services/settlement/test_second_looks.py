"""What the second person looked at is what happens: cards and accounts by number, and what was a mistake taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest

from deploy.local import bank as small_bank
from services.settlement import errors
from services.settlement.rules.orders import OrderState
from services.settlement.rules.payouts import (
    CardSeen,
    Origin,
    Payout,
    PayoutOrder,
    PayoutState,
    Timing,
    check_cancelling,
    check_card_approval,
    check_words,
)
from services.settlement.rules.prepayments import check_ending
from shared.events import new_id
from shared.refusals import RefusalKind
from tests.services.settlement.banking import CARD, Counter, account_no, payout_body
from tests.services.settlement.test_bank import CITY, HOME, counter, data_keys, holds
from tests.services.settlement.test_lists import listed
from tests.services.settlement.test_payouts import approved, entered, payout
from tests.services.settlement.test_statements import codes
from tests.services.settlement.world import Books

__all__ = ["counter", "data_keys"]
ELSEWHERE = "411325"
"""A county that records its payments, and is in no other test."""
GOOD, EVIL = "6217000010001234569", "6222021001116245702"


def card(number: str, holder: str = "王小芳") -> dict[str, Any]:
    """A card of the person's own."""
    return {**payout_body()["card"], "account_no": number, "holder": holder}


async def proposed(counter: Counter, payout_id: str, region: str = HOME) -> str:
    """Its order, proposed by one person."""
    answer = await counter.finance(region).post("/v1/orders", {"purpose": "payout", "references": [payout_id]})
    (item,) = answer.json()["items"]
    assert item["errors"] == [], answer.text
    return item["order_id"]  # type: ignore[no-any-return]


async def approval(counter: Counter, order_id: str, region: str = HOME) -> list[str]:
    """What speaks against the approval of an order by another person."""
    answer = await counter.finance(region, "two").post("/v1/order-approvals", {"order_ids": [order_id]})
    return [error["code"] for error in answer.json()["items"][0]["errors"]]


async def another_card(counter: Counter, payout_id: str, number: str, subject: str = "clerk") -> int:
    """Another card, entered; its number among those of the payout."""
    answer = await counter.officer(HOME, subject).post(f"/v1/payouts/{payout_id}/cards", card(number))
    assert answer.status_code == 201, answer.text
    return answer.json()["cards"][-1]["card_no"]  # type: ignore[no-any-return]


async def bank_says(counter: Counter, **fates: str) -> None:
    """The bank answers what waits, and is heard."""
    await counter.send()
    counter.bank(fates=fates).answer()
    await counter.receive()


async def refused(counter: Counter) -> tuple[str, str]:
    """A payout that the bank refused, and the order it refused."""
    payout_id = await approved(counter)
    order_id = await proposed(counter, payout_id)
    assert await approval(counter, order_id) == []
    await bank_says(counter, **{order_id: small_bank.REJECTED})
    return payout_id, order_id


# Cards and accounts are approved by number


async def test_a_newer_card_is_not_approved_by_who_looked_at_the_one_before(counter: Counter) -> None:
    payout_id, _ = await refused(counter)
    seen = await another_card(counter, payout_id, GOOD)
    newer = await another_card(counter, payout_id, EVIL, "other")
    head = counter.officer(HOME, "head")
    stale = await head.post(f"/v1/payouts/{payout_id}/card-approval", {"card_no": seen})
    unnamed = await head.post(f"/v1/payouts/{payout_id}/card-approval")

    assert (seen, newer) == (2, 3)
    assert codes(stale) == ["settlement.card-changed"]
    assert unnamed.status_code == 400
    assert (await payout(counter, payout_id))["card_no"] == 1


async def test_the_file_pays_the_card_that_was_approved_with_its_order(counter: Counter, books: Books) -> None:
    """The card changes while the repeated order waits: its approval is refused, the next order pays the new one."""
    payout_id, order_id = await refused(counter)
    first = (await counter.finance(HOME, "three").post(f"/v1/orders/{order_id}/repeat")).json()
    new = await another_card(counter, payout_id, GOOD)
    await counter.officer(HOME, "head").post(f"/v1/payouts/{payout_id}/card-approval", {"card_no": new})
    stale = await approval(counter, first["order_id"])
    await counter.finance(HOME, "two").post(f"/v1/orders/{first['order_id']}/refusal", {"reason": "换卡"})
    again = (await counter.finance(HOME, "three").post(f"/v1/orders/{first['order_id']}/repeat")).json()
    assert await approval(counter, again["order_id"]) == []
    third = await another_card(counter, payout_id, EVIL)
    too_late = await counter.officer(HOME, "head").post(f"/v1/payouts/{payout_id}/card-approval", {"card_no": third})
    await bank_says(counter)

    assert (first["card_no"], again["card_no"]) == (1, 2)
    assert stale == ["settlement.card-changed"]
    assert codes(too_late) == ["settlement.payout-ordered"]
    paid = {t.end_to_end_id: t.creditor_account for file in counter.files() for t in file.transfers}
    assert paid[order_id] == CARD
    assert paid[again["order_id"]] == GOOD
    assert first["order_id"] not in paid
    await holds(books)


async def test_an_order_names_its_card_for_ever(counter: Counter) -> None:
    order_id = await proposed(counter, await approved(counter))
    with pytest.raises(asyncpg.PostgresError):
        await counter.owner.execute("UPDATE payment_order SET payee_version_no = 2 WHERE order_id = $1", order_id)


async def test_an_account_is_decided_on_by_its_version(counter: Counter) -> None:
    agency = "411330"
    body = {
        "holder": "桐柏县医疗保障服务中心",
        "account_no": account_no(),
        "bank_code": "102508000017",
        "opening_on": "2026-01-01",
        "opening_fen": 0,
    }
    one, two, path = counter.finance(agency), counter.finance(agency, "two"), f"/v1/bank-accounts/{agency}"
    seen = (await one.post(f"{path}/versions", body)).json()["version_no"]
    await two.post(f"{path}/refusal", {"version_no": seen})
    waiting = (await one.post(f"{path}/versions", body | {"account_no": account_no()})).json()["version_no"]
    stale = await two.post(f"{path}/approval", {"version_no": seen})
    declined_stale = await two.post(f"{path}/refusal", {"version_no": seen})
    good = await two.post(f"{path}/approval", {"version_no": waiting})

    assert codes(stale) == codes(declined_stale) == ["settlement.account-changed"]
    assert (good.json()["version_no"], good.json()["current"]) == (waiting, True)


PAYOUT = Payout(
    payout_id="P",
    region=HOME,
    person_id="N",
    amount_fen=100,
    fund_pay_type="390100",
    origin=Origin.SUPPLEMENT,
    reference="R",
    reason="r",
    timing=Timing.AT_ONCE,
    reported_on=date(2026, 11, 2),
    release_on=date(2026, 11, 2),
    state=PayoutState.APPROVED,
    card_no=1,
    proposed_by="a",
    proposed_at=datetime(2026, 11, 2, tzinfo=UTC),
    decided_by="b",
    decided_at=datetime(2026, 11, 2, tzinfo=UTC),
    refusal=None,
    paid_at=None,
)
CARD_WRONG: dict[OrderState, list[RefusalKind]] = {
    OrderState.APPROVED: [errors.PAYOUT_ORDERED],
    OrderState.SENDING: [errors.PAYOUT_ORDERED],
    OrderState.SENT: [errors.PAYOUT_ORDERED],
}
"""In every other state an order either cannot be paid any more, or is refused its approval once the card changed."""


@pytest.mark.parametrize("state", OrderState)
def test_a_card_does_not_change_under_an_order_that_was_approved(state: OrderState) -> None:
    wrong = check_card_approval(PAYOUT, "b", CardSeen(2, "a", approved=False), 2, [PayoutOrder("O", state, 0)])
    assert [refusal.code for refusal in wrong] == [kind.code for kind in CARD_WRONG.get(state, [])]


@pytest.mark.parametrize("state", OrderState)
def test_nothing_is_cancelled_under_an_order_that_can_be_paid(state: OrderState) -> None:
    going = {*CARD_WRONG, OrderState.PROPOSED, OrderState.REVIEWED}
    wrong = check_cancelling(PAYOUT, [PayoutOrder("O", state, 0)])
    assert [refusal.code for refusal in wrong] == ([errors.PAYOUT_ORDERED.code] if state in going else [])


@pytest.mark.parametrize("state", PayoutState)
def test_only_what_is_owed_gets_a_card_or_is_cancelled(state: PayoutState) -> None:
    payout, seen = replace(PAYOUT, state=state), CardSeen(2, "a", approved=False)
    wrong = check_cancelling(payout, [PayoutOrder("O", OrderState.RETURNED, 0)])
    owed = state in (PayoutState.APPROVED, PayoutState.REFUSED)
    assert [refusal.code for refusal in wrong] == ([] if owed else [errors.PAYOUT_STATE.code])
    assert check_card_approval(payout, "b", seen, 2, []) == wrong


def test_everything_that_is_wrong_is_named() -> None:
    orders = [PayoutOrder("O", OrderState.SENT, 40)]
    cancelling = check_cancelling(replace(PAYOUT, state=PayoutState.PAID), orders)
    approving = check_card_approval(PAYOUT, "a", CardSeen(3, "a", approved=False), 2, orders)
    assert [refusal.code for refusal in cancelling] == [
        errors.PAYOUT_STATE.code,
        errors.PAYOUT_ORDERED.code,
        errors.PAYOUT_MONEY_LEFT.code,
    ]
    assert [refusal.code for refusal in approving] == [
        errors.CARD_CHANGED.code,
        errors.SAME_PERSON.code,
        errors.PAYOUT_ORDERED.code,
    ]


# What was approved by mistake


async def test_an_approved_payout_is_cancelled_by_two(counter: Counter, books: Books) -> None:
    owed, borne = [await counter.balance(HOME, kind) for kind in ("benefits_payable", "fund_expenditure")]
    body = payout_body()
    payout_id = await approved(counter, reference=body["reference"])
    clerk, head = counter.officer(HOME), counter.officer(HOME, "head")
    named = (await clerk.post(f"/v1/payouts/{payout_id}/cancellations", {"reason": "金额录错"})).json()
    path = f"/v1/payout-cancellations/{named['cancellations'][0]['cancellation_id']}"
    waits = await clerk.post(f"/v1/payouts/{payout_id}/cancellations", {"reason": "again"})
    alone = await clerk.post(f"{path}/approval")
    stranger = await counter.officer(CITY, "head").post(f"{path}/approval")
    unknown = await head.post(f"/v1/payout-cancellations/{new_id()}/approval")
    done = await head.post(f"{path}/approval")
    twice = await counter.officer(HOME, "chief").post(f"{path}/approval")
    answer = await counter.finance(HOME).post("/v1/orders", {"purpose": "payout", "references": [payout_id]})
    anew = await clerk.post("/v1/payouts", payout_body(reference=body["reference"]))

    assert codes(waits) == ["settlement.cancellation-waits"]
    assert codes(alone) == ["settlement.same-person"]
    assert codes(stranger) == ["auth.not-your-area"]
    assert codes(unknown) == ["settlement.cancellation-unknown"]
    assert (done.json()["state"], done.json()["cancellations"][0]["state"]) == ("cancelled", "approved")
    assert codes(twice) == ["settlement.cancellation-decided"]
    assert [error["code"] for error in answer.json()["items"][0]["errors"]] == ["settlement.payout-state"]
    assert anew.status_code == 201
    assert [await counter.balance(HOME, kind) for kind in ("benefits_payable", "fund_expenditure")] == [owed, borne]
    await holds(books)


async def test_a_cancellation_can_be_declined(counter: Counter) -> None:
    payout_id = await approved(counter)
    clerk, head = counter.officer(HOME), counter.officer(HOME, "head")
    first = (await clerk.post(f"/v1/payouts/{payout_id}/cancellations", {"reason": "x"})).json()["cancellations"][-1]
    declined = await head.post(f"/v1/payout-cancellations/{first['cancellation_id']}/refusal")
    again = await clerk.post(f"/v1/payouts/{payout_id}/cancellations", {"reason": "y"})

    assert (declined.json()["state"], declined.json()["cancellations"][0]["state"]) == ("approved", "declined")
    assert [row["state"] for row in again.json()["cancellations"]] == ["declined", "proposed"]


async def test_what_is_ordered_or_paid_is_not_cancelled(counter: Counter, books: Books) -> None:
    payout_id = await approved(counter, ELSEWHERE)
    clerk, head = counter.officer(ELSEWHERE), counter.officer(ELSEWHERE, "head")
    before = await clerk.post(f"/v1/payouts/{payout_id}/cancellations", {"reason": "x"})
    order_id = await proposed(counter, payout_id, ELSEWHERE)
    path = f"/v1/payout-cancellations/{before.json()['cancellations'][0]['cancellation_id']}"
    ordered = await head.post(f"{path}/approval")
    assert await approval(counter, order_id, ELSEWHERE) == []
    paid = await head.post(f"{path}/approval")
    unowed = await clerk.post(f"/v1/payouts/{await entered(counter, ELSEWHERE)}/cancellations", {"reason": "x"})

    assert codes(ordered) == ["settlement.payout-ordered"]
    assert codes(paid) == ["settlement.payout-state", "settlement.payout-money-left"]
    assert codes(unowed) == ["settlement.payout-state"]
    await holds(books)


async def test_a_payout_that_was_cancelled_stays_so_when_the_bank_pays_late(counter: Counter, books: Books) -> None:
    """The bank pays what it had refused: the money is in the books, as owed by the person, and somebody is told."""
    owed, bank = await counter.balance(HOME, "benefits_payable"), await counter.balance(HOME, "bank")
    payout_id, order_id = await refused(counter)
    named = await counter.officer(HOME).post(f"/v1/payouts/{payout_id}/cancellations", {"reason": "重复录入"})
    path = f"/v1/payout-cancellations/{named.json()['cancellations'][0]['cancellation_id']}"
    assert (await counter.officer(HOME, "head").post(f"{path}/approval")).status_code == 200
    again = await counter.finance(HOME, "three").post(f"/v1/orders/{order_id}/repeat")
    counter.report(HOME, counter.entry(order_id, 320_000))
    await counter.receive()

    assert codes(again) == ["settlement.payout-state"]
    assert (await payout(counter, payout_id))["state"] == "cancelled"
    assert await counter.balance(HOME, "benefits_payable") - owed == 320_000
    assert await counter.balance(HOME, "bank") - bank == -320_000
    assert ("late", None) in await counter.items([order_id])
    await holds(books)


async def test_a_declined_order_lets_the_card_be_changed(counter: Counter, books: Books) -> None:
    payout_id = await approved(counter)
    order_id = await proposed(counter, payout_id)
    await counter.finance(HOME, "two").post(f"/v1/orders/{order_id}/refusal", {"reason": "卡号有误"})
    new = await another_card(counter, payout_id, GOOD)
    await counter.officer(HOME, "head").post(f"/v1/payouts/{payout_id}/card-approval", {"card_no": new})
    again = await proposed(counter, payout_id)
    assert await approval(counter, again) == []
    await bank_says(counter)

    paid = {t.end_to_end_id: t.creditor_account for file in counter.files() for t in file.transfers}
    assert paid[again] == GOOD
    assert (await payout(counter, payout_id))["state"] == "paid"
    await holds(books)


async def test_the_second_persons_work_is_on_the_list(counter: Counter) -> None:
    payout_id = await approved(counter)
    await another_card(counter, payout_id, GOOD)
    await counter.officer(HOME).post(f"/v1/payouts/{payout_id}/cancellations", {"reason": "x"})

    of_clerk = await listed(counter.officer(HOME), payout_id)
    of_head = await listed(counter.officer(HOME, "head"), payout_id)

    assert of_clerk == []
    assert sorted(of_head) == [("cancellation_approval", payout_id), ("card_approval", payout_id)]


# Whose card, which document, which fund


async def test_a_card_of_the_persons_own_is_in_the_persons_name(counter: Counter) -> None:
    clerk = counter.officer(HOME)
    own = await clerk.post("/v1/payouts", payout_body(person_name="王五"))
    agents = {
        "recipient": "agent",
        "papers": ["identity_card", "bank_card", "agent_identity_card"],
        "agent_name": "赵六",
        "holder": "赵六",
    }
    agent = await clerk.post("/v1/payouts", payout_body(person_name="王五", card=agents))
    others = {
        "recipient": "other_card",
        "papers": ["identity_card", "bank_card", "holder_identity_card", "authorisation"],
    }
    other = await clerk.post("/v1/payouts", payout_body(person_name="王五", card=others))
    payout_id = await approved(counter)
    evil = await clerk.post(f"/v1/payouts/{payout_id}/cards", card(EVIL, "赵六"))
    spaced = await clerk.post(f"/v1/payouts/{payout_id}/cards", card(GOOD, " 王小芳 "))

    assert codes(own) == codes(agent) == codes(evil) == ["settlement.holder-not-person"]
    assert (other.status_code, spaced.status_code) == (201, 201)
    assert "王五" not in other.text


async def test_one_document_is_paid_out_once_however_it_is_written(counter: Counter) -> None:
    clerk, reference = counter.officer(HOME), f"Sgbx-{new_id()[-8:].lower()}"
    first = await clerk.post("/v1/payouts", payout_body(reference=reference))
    upper = await clerk.post("/v1/payouts", payout_body(reference=reference.upper()))
    origin = await clerk.post("/v1/payouts", payout_body(reference=reference, origin="supplement"))
    elsewhere = await counter.officer(ELSEWHERE).post("/v1/payouts", payout_body(reference=reference))

    assert codes(upper) == codes(origin) == ["settlement.payout-exists"]
    assert (first.json()["reference"], elsewhere.status_code) == (reference, 201)


async def test_everything_that_is_wrong_with_a_claim_is_named(counter: Counter) -> None:
    body = payout_body(
        fund_pay_type="999999", reference="62220202-0011-2233446", reason="身份证 41272719800101001X 报销"
    )
    refused_ = await counter.officer(HOME).post("/v1/payouts", body)

    assert codes(refused_) == ["settlement.personal-number", "settlement.personal-number", "settlement.fund-unknown"]
    assert "6222" not in refused_.text


@pytest.mark.parametrize(
    ("text", "is_personal"),
    [
        ("41272719800101001X", True),
        ("证件４１２７２７１９８００１０１００１Ｘ号", True),
        ("412727 19800101 001x", True),
        ("412727198001010021", False),
        ("6222020200112233446", True),
        ("卡6222-0202-0011-2233-446", True),
        ("6222020200112233447", False),
        ("2026110500000123", False),
        ("SGBX-2026-000123", False),
        ("市外急诊住院手工报销", False),
    ],
)
def test_numbers_of_persons_stand_nowhere(text: str, is_personal: bool) -> None:
    assert bool(check_words("/reason", text, date(2026, 11, 5))) == is_personal


# A top-up that was mistyped


async def test_a_top_up_is_withdrawn_or_declined(counter: Counter, books: Books) -> None:
    lender, holder = counter.finance(HOME), counter.finance(ELSEWHERE)
    body = {"holder": ELSEWHERE, "amount_fen": 500_000_000}
    mistyped = (await lender.post("/v1/prepayment-top-ups", body)).json()["movement_id"]
    stuck = await lender.post("/v1/prepayment-top-ups", {**body, "amount_fen": 500_000})
    foreign = await holder.post(f"/v1/prepayment-movements/{mistyped}/withdrawal")
    withdrawn = await lender.post(f"/v1/prepayment-movements/{mistyped}/withdrawal")
    twice = await lender.post(f"/v1/prepayment-movements/{mistyped}/withdrawal")
    right = (await lender.post("/v1/prepayment-top-ups", {**body, "amount_fen": 500_000})).json()["movement_id"]
    orders = {"purpose": "prepayment", "references": [mistyped]}
    ordered = await lender.post("/v1/orders", orders)
    declined = await holder.post(f"/v1/prepayment-movements/{right}/refusal")
    unknown = await lender.post(f"/v1/prepayment-movements/{new_id()}/withdrawal")

    assert codes(stuck) == ["settlement.prepayment-pending"]
    assert codes(foreign) == ["settlement.top-up-not-yours"]
    assert (withdrawn.json()["state"], withdrawn.json()["ended_by"]) == ("withdrawn", f"one@{HOME}")
    assert codes(twice) == ["settlement.position-not-open"]
    assert [error["code"] for error in ordered.json()["items"][0]["errors"]] == ["settlement.position-not-open"]
    assert declined.json()["state"] == "declined"
    assert codes(unknown) == ["settlement.movement-unknown"]
    shown = (await lender.get(f"/v1/prepayments/{HOME}/{ELSEWHERE}")).json()
    assert shown["held_fen"] == 0


@pytest.mark.parametrize(
    ("party", "state", "asked_by", "wrong"),
    [
        (HOME, "open", HOME, []),
        (CITY, "open", HOME, [errors.TOP_UP_NOT_YOURS]),
        (HOME, "ordered", HOME, [errors.POSITION_NOT_OPEN]),
        (HOME, "settled", HOME, [errors.POSITION_NOT_OPEN]),
        (HOME, "open", None, [errors.TOP_UP_BY_LEVEL]),
        (CITY, "ordered", None, [errors.TOP_UP_NOT_YOURS, errors.TOP_UP_BY_LEVEL, errors.POSITION_NOT_OPEN]),
    ],
)
def test_what_may_end(party: str, state: str, asked_by: str | None, wrong: list[Any]) -> None:
    assert [refusal.code for refusal in check_ending(party, HOME, state, asked_by)] == [spec.code for spec in wrong]
