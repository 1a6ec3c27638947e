"""Events become messages, once, and messages reach persons: with real processes, broker and database."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from deploy.local.cluster import Cluster
from shared.events import Envelope, Event, dead_letter_topic, new_id
from shared.events.designation import AgreementSigned, FacilityChanged
from shared.events.notification import MessageDelivered, MessageFailed
from shared.events.settlement import DifferenceFound, ItemsDue
from shared.kafka import Subscription
from shared.settings import Settings
from tests.services.notification.conftest import Caller, Database, Enrol, Publish, eventually
from tests.services.notification.examples import (
    CARE,
    EXAMPLES,
    FACILITY_CHANGED,
    FOREIGN_COUNTY,
    HOME,
    bill,
    envelope,
    example,
    reversal,
)
from tests.services.notification.steps import announced

SmsOf = Callable[[str], list[dict[str, str]]]


async def message_of(database: Database, one: Envelope[Event], state: str = "delivered") -> asyncpg.Record:
    """The one message to a person that an event made, once it came to a state."""
    return await eventually(
        lambda: database.fetchrow(
            "SELECT * FROM message WHERE event_id = $1 AND channel = 'sms' AND state = $2", one.id, state
        )
    )


async def test_a_bill_tells_the_person(
    publish: Publish, enrol: Enrol, database: Database, sms_of: SmsOf, own_settings: Settings
) -> None:
    person = await enrol("李小芳", "13812345678")
    settled, reversed_ = envelope(bill(person_id=person)), envelope(reversal(person_id=person))

    await publish(settled)
    await publish(reversed_)

    message = await message_of(database, settled)
    (sms,) = sms_of(message["message_id"])
    assert sms["phone"] == "13812345678"
    assert sms["text"].startswith("【四方医保】**芳，您2026-11-02在淮阳区人民医院的费用已结算：总额12345.05元")
    (sms,) = sms_of((await message_of(database, reversed_))["message_id"])
    assert "总额-12345.05元" in sms["text"]
    (delivered,) = await announced(own_settings, MessageDelivered, message["message_id"])
    assert delivered == MessageDelivered(
        message_id=message["message_id"],
        template="discharge_settled.person",
        channel="sms",
        recipient=person,
        attempts=1,
    )


def test_the_carriers_file_is_private(sms_file: Path) -> None:
    assert stat.S_IMODE(sms_file.stat().st_mode) == 0o600


async def test_the_database_and_the_log_hold_no_personal_data(
    publish: Publish, enrol: Enrol, database: Database, own_cluster: Cluster, sms_of: SmsOf
) -> None:
    person = await enrol("欧阳惊鸿", "13987654321")
    settled = envelope(bill(person_id=person))

    await publish(settled)

    message = await message_of(database, settled)
    assert "13987654321" in str(sms_of(message["message_id"]))  # what is looked for below is what was sent
    tables = [row["table_name"] for row in await database.fetch(_TABLES)]
    kept = "".join([str(await database.fetch(f"SELECT * FROM {table}")) for table in tables])
    assert message["message_id"] in kept
    for secret in ("13987654321", "欧阳惊鸿", "惊鸿"):
        assert secret not in kept
        assert secret not in (own_cluster.folders.logs / "notification.log").read_text()


_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'notification'"


async def test_duplicates_make_one_message(publish: Publish, enrol: Enrol, database: Database, sms_of: SmsOf) -> None:
    person = await enrol("王强", "13812345679")
    settled = envelope(bill(person_id=person))

    await publish(settled, settled)
    message = await message_of(database, settled)
    await publish(settled)
    await database.execute("DELETE FROM inbox WHERE event_id = $1", settled.id)  # as if it came after the inbox forgot
    after = envelope(bill(person_id=person))
    await publish(settled, after)
    await message_of(database, after)

    assert await database.fetchval("SELECT count(*) FROM message WHERE event_id = $1", settled.id) == 1
    assert len(sms_of(message["message_id"])) == 1


async def test_a_person_without_a_phone(
    publish: Publish, enrol: Enrol, database: Database, caller: Caller, own_settings: Settings
) -> None:
    nobody, silent = envelope(bill(person_id=new_id())), envelope(bill(person_id=await enrol("赵一", None)))
    malformed = envelope(bill(person_id="p"))

    await publish(nobody, malformed, silent)

    for one in (nobody, malformed, silent):
        message = await message_of(database, one, "failed")
        assert (message["failure"], message["attempts"]) == ("no-phone", 1)
    (failed,) = await announced(own_settings, MessageFailed, message["message_id"])
    assert isinstance(failed, MessageFailed)
    assert failed.reason == "no-phone"
    shown = (await caller("operator", "ops").get(f"/v1/messages/{message['message_id']}")).json()
    assert (shown["state"], shown["recipient"]) == ("failed", message["recipient"])
    assert [(a["number"], a["outcome"], a["detail"]) for a in shown["log"]] == [(1, "refused", "no-phone")]


async def test_a_message_that_cannot_be_written_stops_no_other(
    publish: Publish, enrol: Enrol, database: Database
) -> None:
    """A template was taken away while a message waited for it."""
    person = await enrol("吴九", "13812345674")
    query = """
        INSERT INTO message (message_id, event_id, event_type, template, channel, recipient, fields, language, regions,
                             state, attempts, attempts_allowed, next_attempt_at, created_at)
        VALUES ($1, $1, 't', 'taken_away.person', 'sms', $2, '{}', 'zh', '{}', 'pending', 0, 15, now(), now())
    """
    stale, settled = new_id(), envelope(bill(person_id=person))
    await database.execute(query, stale, person)
    await publish(settled)

    assert (await message_of(database, settled))["attempts"] == 1
    failure = "SELECT failure FROM message WHERE message_id = $1 AND state = 'failed'"
    assert await eventually(lambda: database.fetchval(failure, stale)) == "template-unusable"


async def test_a_failed_message_is_sent_again_by_hand(publish: Publish, database: Database, caller: Caller) -> None:
    settled = envelope(bill(person_id=new_id()))
    await publish(settled)
    message_id = (await message_of(database, settled, "failed"))["message_id"]
    operator = caller("operator", "ops")

    listed = (await operator.get("/v1/messages", params={"state": "failed", "limit": 200})).json()["items"]
    again = await operator.post(f"/v1/messages/{message_id}/retry")

    assert message_id in {item["message_id"] for item in listed}
    assert again.json()["state"] == "pending"
    await eventually(
        lambda: database.fetchrow("SELECT 1 FROM attempt WHERE message_id = $1 AND number = 2", message_id)
    )
    refused = await operator.post(f"/v1/messages/{new_id()}/retry")
    assert (refused.status_code, refused.json()["code"]) == (404, "notification.message-unknown")


async def test_only_a_failed_message_is_sent_again(
    publish: Publish, enrol: Enrol, database: Database, caller: Caller
) -> None:
    settled = envelope(bill(person_id=await enrol("孙二", "13812345670")))
    await publish(settled)
    message_id = (await message_of(database, settled))["message_id"]

    refused = await caller("operator", "ops").post(f"/v1/messages/{message_id}/retry")

    assert (refused.status_code, refused.json()["code"]) == (409, "notification.message-not-failed")


async def test_a_chosen_language(
    publish: Publish, enrol: Enrol, database: Database, caller: Caller, sms_of: SmsOf
) -> None:
    person = await enrol("John Smith", "13812345671")
    chosen = await caller("officer", HOME).put(f"/v1/persons/{person}/language", json={"language": "en"})
    settled = envelope(bill(person_id=person))

    await publish(settled)

    (sms,) = sms_of((await message_of(database, settled))["message_id"])
    assert chosen.json() == {"person_id": person, "language": "en"}
    assert sms["text"].startswith("[Sifang] **h: your bill of 2026-11-02")


async def test_while_enrollment_is_away_messages_wait_uncounted(
    publish: Publish, enrol: Enrol, database: Database, own_cluster: Cluster
) -> None:
    settled = envelope(bill(person_id=await enrol("周三", "13812345672")))
    own_cluster.stop_part("enrollment")
    try:
        await publish(settled)
        waiting = await message_of(database, settled, "pending")
        await eventually(
            lambda: database.fetchval(
                "SELECT 1 FROM message WHERE message_id = $1 AND attempts = 0 AND next_attempt_at > created_at",
                waiting["message_id"],
            )
        )
    finally:
        own_cluster.start_part("enrollment")

    assert (await message_of(database, settled))["attempts"] == 1


async def test_every_event_makes_its_messages(publish: Publish, database: Database) -> None:
    told = [envelope(event) for event in EXAMPLES]

    await publish(*told)

    async def made() -> dict[str, list[str]]:
        rows = await database.fetch(
            "SELECT event_id, array_agg(template || ' ' || recipient ORDER BY template, recipient) AS said"
            " FROM message WHERE event_id = ANY($1::text[]) GROUP BY event_id",
            [one.id for one in told],
        )
        found = {row["event_id"]: row["said"] for row in rows}
        return {type(one.event).__name__: found[one.id] for one in told} if len(found) == len(told) else {}

    assert await eventually(made) == _SAID


_PERSON = "01KAJ0P3R5S0N1D2E3N4T5F6Y7"
_SAID = {
    "DischargeSettled": [f"discharge_settled.person {_PERSON}"],
    "SettlementReversed": [f"settlement_reversed.person {_PERSON}"],
    "FilingApproved": [f"filing_approved.person {_PERSON}"],
    "FilingCancelled": [f"filing_cancelled.person {_PERSON}"],
    "AgreementSigned": ["agreement_signed.facility H41160300001"],
    "AgreementSuspended": ["agreement_suspended.facility H41160300001"],
    "AgreementRestored": ["agreement_restored.facility H41160300001"],
    "AgreementEnded": ["agreement_ended.facility H41160300001"],
    "DifferenceFound": ["difference_found.care_agency 411603", "difference_found.facility H41160300001"],
    "ReconciliationDue": ["reconciliation_due.party 411602"],
    "RemittanceDue": ["remittance_due.party 411602"],
    "DisbursementDue": ["disbursement_due.party 411603"],
    "Reconciled": [
        "reconciled.chain 411600",
        "reconciled.chain 411602",
        "reconciled.chain 411603",
        "reconciled.facility H41160300001",
    ],
    "Remitted": ["remitted.payee 411600", "remitted.payer 411602"],
    "Disbursed": ["disbursed.payee H41160300001", "disbursed.payer 411603"],
    "CaseClosed": [
        "case_closed.chain 411600",
        "case_closed.chain 411602",
        "case_closed.chain 411603",
        "case_closed.facility H41160300001",
    ],
    "ItemsDue": ["items_due.party H41160300001"],
    "ItemsEscalated": ["items_escalated.region 411603"],
    "ObjectionDue": ["objection_due.decider 411603"],
    "ObjectionEscalated": ["objection_escalated.region 411600"],
    "PositionDue": ["position_due.payer 411602"],
    "PositionSuspended": ["position_suspended.payee 411600", "position_suspended.payer 411602"],
    "PositionResumed": ["position_resumed.payee 411600", "position_resumed.payer 411602"],
    "PositionEscalated": ["position_escalated.region 411600"],
    "DueEscalated": ["due_escalated.region 411600"],
    "DueSuspended": ["due_suspended.chain 411600", "due_suspended.chain 411602", "due_suspended.chain 411603"],
    "DueResumed": ["due_resumed.chain 411600", "due_resumed.chain 411602", "due_resumed.chain 411603"],
    "ObjectionRaised": ["objection_raised.decider 411603"],
    "ObjectionDecided": [
        "objection_decided.chain 411600",
        "objection_decided.chain 411602",
        "objection_decided.chain 411603",
        "objection_decided.facility H41160300001",
    ],
    "ConsentDeemed": ["consent_deemed.party 411602"],
    "CasePostponed": ["case_postponed.chain 411600", "case_postponed.chain 411602", "case_postponed.chain 411603"],
    "PositionSettled": ["position_settled.payee 411600"],
    "PrepaymentLow": ["prepayment_low.lender 411602"],
    "PayoutPaid": [f"payout_paid.person {_PERSON}"],
    "PayoutRefused": [f"payout_refused.person {_PERSON}", "payout_refused.region 411602"],
    "OrderFailed": ["order_failed.party 411602"],
    "WithholdingApproved": ["withholding_approved.facility H41160300001"],
}


async def test_a_late_older_facility_event_changes_nothing(publish: Publish, database: Database) -> None:
    def change(name: str, revision: int) -> Envelope[Event]:
        about = FACILITY_CHANGED.model_dump() | {"facility_code": code, "name": name, "revision": revision}
        return envelope(FacilityChanged(**about))

    code = f"H{new_id()[:12]}"
    await publish(change("新名", 3), change("旧名", 2))
    await eventually(lambda: database.fetchval("SELECT 1 FROM facility WHERE code = $1", code))
    await publish(change("原名", 1), change("旧名", 2))
    signed = example(AgreementSigned).model_copy(update={"facility_code": code})
    marker = envelope(signed)  # of the same key, so it is handled after them
    await publish(marker)
    await eventually(lambda: database.fetchval("SELECT 1 FROM message WHERE event_id = $1", marker.id))

    assert await database.fetchval("SELECT name FROM facility WHERE code = $1", code) == "新名"


async def test_an_event_about_an_unknown_facility_is_set_aside(
    publish: Publish, database: Database, own_settings: Settings
) -> None:
    stray = example(DifferenceFound)
    lost, good = (
        envelope(stray.model_copy(update={"facility_code": "H99999900001"})),
        envelope(stray),
    )

    await publish(lost, good)

    await eventually(lambda: database.fetchval("SELECT 1 FROM message WHERE event_id = $1", good.id))
    async with Subscription(own_settings, f"test-{new_id()}", [dead_letter_topic("notification")]).opened() as topic:

        async def dead() -> list[str | None]:
            return [r.header("sifang_reason") for r in await topic.poll(1) if r.header("ce_id") == lost.id]

        assert await eventually(dead) == ["notification.facility-unknown"]
    assert not await database.fetchval("SELECT 1 FROM message WHERE event_id = $1", lost.id)


async def test_an_agency_that_stated_its_books_is_told_of_its_items(publish: Publish, database: Database) -> None:
    """Who states need not be a facility."""
    due = envelope(example(ItemsDue).model_copy(update={"facility_code": CARE, "party": CARE}))

    await publish(due)

    told = await eventually(
        lambda: database.fetchval(
            "SELECT recipient FROM message WHERE event_id = $1 AND channel = 'party_inbox'", due.id
        )
    )
    assert told == CARE


@pytest.mark.parametrize(
    ("role", "party", "sees"),
    [
        ("operator", "ops", True),
        ("officer", HOME, True),
        ("officer", CARE, True),
        ("officer", "411600", True),
        ("officer", FOREIGN_COUNTY, False),
        ("officer", "nowhere", False),
        ("finance", HOME, False),
        ("partner", HOME, False),
    ],
)
async def test_who_may_look_at_a_message(
    publish: Publish, database: Database, caller: Caller, role: str, party: str, sees: bool
) -> None:
    settled = envelope(bill(person_id=new_id()))
    await publish(settled)
    message_id = (await message_of(database, settled, "failed"))["message_id"]

    answer = await caller(role, party).get(f"/v1/messages/{message_id}")

    assert answer.status_code == (200 if sees else 404)
