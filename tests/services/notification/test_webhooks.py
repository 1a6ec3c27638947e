"""Events posted to partners: signed, repeated until taken, never to whom they do not concern."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from deploy.local.cluster import Cluster
from services.notification.config import NotificationSettings
from shared.events import new_id
from shared.events.claims import DischargeSettled
from shared.events.designation import AgreementSigned, FacilityChanged
from shared.events.settlement import DifferenceFound
from shared.personal import PersonalDataKeys
from tests.services.notification.conftest import Caller, Database, Publish, eventually
from tests.services.notification.examples import (
    CARE,
    CITY,
    FACILITY_CHANGED,
    FOREIGN_CITY,
    FOREIGN_COUNTY,
    HOME,
    PERSON,
    bill,
    envelope,
    example,
)
from tests.services.notification.receiver import Receiver
from tests.services.notification.steps import SETTLED, arrived, message_of, subscribed

pytestmark = pytest.mark.usefixtures("no_subscriptions")


async def test_a_subscribed_event_is_posted_and_signed(
    publish: Publish, caller: Caller, receiver: Receiver, database: Database
) -> None:
    made = await subscribed(caller("partner", HOME), receiver.url)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    settled = envelope(bill(), trace)

    await publish(settled)

    (delivery,) = await arrived(receiver, settled.id)
    message = await message_of(database, settled.id, "delivered")
    assert delivery.is_signed_with(made["secret"])
    assert not delivery.is_signed_with(made["secret"] + "x")
    assert delivery.delivery == message["message_id"]
    assert delivery.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert delivery.headers["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert DischargeSettled.model_validate(delivery.event["data"]) == settled.event
    assert message["recipient"] == HOME


async def test_a_foreign_event_is_not_delivered(publish: Publish, caller: Caller, receiver: Receiver) -> None:
    for party in (FOREIGN_CITY, CITY, "340000"):
        await subscribed(caller("partner", party), f"{receiver.url}/{party}")
    ours, theirs = envelope(bill()), envelope(bill(home_region=FOREIGN_COUNTY, care_region="411302"))
    across = envelope(bill(home_region=FOREIGN_COUNTY))

    await publish(ours, theirs, across)
    await arrived(receiver, across.id, times=2)
    await arrived(receiver, ours.id)
    await arrived(receiver, theirs.id)

    # The city's subscription got two, the foreign city's two, the far province's none: one event was common.
    assert len(receiver.deliveries) == 4
    assert len(receiver.of_event(ours.id)) == len(receiver.of_event(theirs.id)) == 1


async def test_only_what_was_subscribed_to(publish: Publish, caller: Caller, receiver: Receiver) -> None:
    await subscribed(caller("partner", HOME), receiver.url, "sifang.settlement.CaseClosed.v1")
    await subscribed(caller("partner", CARE), receiver.url, SETTLED)
    settled = envelope(bill())

    await publish(settled)

    await arrived(receiver, settled.id)
    assert [d.event["type"] for d in receiver.deliveries] == [SETTLED]


async def test_events_that_name_a_facility_reach_its_agency(
    publish: Publish, caller: Caller, receiver: Receiver
) -> None:
    """Agreements and differences carry no region: it is that of the facility, known from its registration."""
    kinds = (FacilityChanged, AgreementSigned, DifferenceFound)
    for party in (CARE, FOREIGN_CITY):
        await subscribed(caller("partner", party), f"{receiver.url}/{party}", *(kind.type_name() for kind in kinds))
    told = [envelope(FACILITY_CHANGED), envelope(example(AgreementSigned)), envelope(example(DifferenceFound))]

    await publish(*told)

    for one in told:
        await arrived(receiver, one.id)
    assert [len(receiver.of_event(one.id)) for one in told] == [1, 1, 1]
    assert len(receiver.deliveries) == 3


async def test_a_duplicate_is_posted_once(
    publish: Publish, caller: Caller, receiver: Receiver, database: Database
) -> None:
    await subscribed(caller("partner", HOME), receiver.url)
    settled, after = envelope(bill()), envelope(bill())

    await publish(settled, settled)
    await arrived(receiver, settled.id)
    await database.execute("DELETE FROM inbox WHERE event_id = $1", settled.id)  # as if it came after the inbox forgot
    await publish(settled, after)
    await arrived(receiver, after.id)

    assert len(receiver.of_event(settled.id)) == 1


async def test_failing_then_ok(publish: Publish, caller: Caller, receiver: Receiver, database: Database) -> None:
    partner = caller("partner", HOME)
    made = await subscribed(partner, receiver.url)
    receiver.answer_next([500, 302, 200])
    receiver.redirect_to = receiver.url + "/elsewhere"
    settled = envelope(bill())

    await publish(settled)

    deliveries = await arrived(receiver, settled.id, times=3)
    message = await message_of(database, settled.id, "delivered")
    assert {d.delivery for d in deliveries} == {message["message_id"]}
    assert {d.body for d in deliveries} == {deliveries[0].body}
    assert all(d.is_signed_with(made["secret"]) for d in deliveries)
    log = (await partner.get(f"/v1/messages/{message['message_id']}")).json()["log"]
    assert [(a["number"], a["outcome"], a["detail"]) for a in log] == [
        (1, "failed", "http-500"),
        (2, "failed", "http-302"),
        (3, "delivered", "http-200"),
    ]
    (shown,) = [s for s in (await partner.get("/v1/subscriptions")).json()["items"] if s["ended_at"] is None]
    assert (shown["failures"], shown["resting_until"]) == (0, None)


async def test_an_address_that_takes_nothing_rests(
    publish: Publish, caller: Caller, receiver: Receiver, database: Database
) -> None:
    failing = "SELECT 1 FROM subscription WHERE failures >= $1 AND ended_at IS NULL"
    await subscribed(caller("partner", HOME), receiver.url)
    receiver.answer_next([503] * 100)
    await publish(*[envelope(bill()) for _ in range(5)])
    await eventually(lambda: database.fetchval(failing, 1))

    await publish(*[envelope(bill()) for _ in range(50)])
    await eventually(lambda: database.fetchval(failing, 4))

    # Since the first round failed as a whole, each further one has probed with a single message.
    assert 4 <= len(receiver.deliveries) <= 5 + 4


async def test_where_nobody_answers_the_others_are_not_tried(
    publish: Publish, caller: Caller, database: Database, unused_tcp_port: int
) -> None:
    made = await subscribed(caller("partner", HOME), f"http://127.0.0.1:{unused_tcp_port}/")
    told = [envelope(bill()) for _ in range(30)]
    await publish(*told)
    seen = """
        SELECT failures, count(*) FILTER (WHERE attempts > 0) AS tried,
               count(*) FILTER (WHERE state = 'pending') AS waiting
        FROM subscription JOIN message USING (subscription_id)
        WHERE subscription_id = $1 AND failures > 2 GROUP BY failures HAVING count(*) = 30
    """

    row = await eventually(lambda: database.fetchrow(seen, made["subscription_id"]))

    concurrency = NotificationSettings().webhook_concurrency
    assert 1 <= row["tried"] <= concurrency + row["failures"]
    assert row["waiting"] == 30


async def test_gone_ends_the_subscription(
    publish: Publish, caller: Caller, receiver: Receiver, database: Database
) -> None:
    partner = caller("partner", HOME)
    made = await subscribed(partner, receiver.url)
    receiver.answer_next([410])
    settled, after = envelope(bill()), envelope(bill())

    await publish(settled)
    message = await message_of(database, settled.id, "failed")
    await publish(after)
    await eventually(lambda: database.fetchval("SELECT 1 FROM inbox WHERE event_id = $1", after.id))

    assert message["failure"] == "http-410"
    assert not await database.fetchval("SELECT 1 FROM message WHERE event_id = $1 AND channel = 'webhook'", after.id)
    shown = (await partner.get("/v1/subscriptions", params={"limit": 200})).json()["items"]
    assert [s["end_reason"] for s in shown if s["subscription_id"] == made["subscription_id"]] == ["http-410"]
    retried = await caller("operator", "ops").post(f"/v1/messages/{message['message_id']}/retry")
    assert (retried.status_code, retried.json()["code"]) == (409, "notification.subscription-ended")


async def test_an_ended_subscription_gets_nothing_more(
    publish: Publish, caller: Caller, receiver: Receiver, database: Database
) -> None:
    partner = caller("partner", HOME)
    made = await subscribed(partner, receiver.url)
    receiver.answer_next([503] * 10)
    settled = envelope(bill())
    await publish(settled)
    await arrived(receiver, settled.id)
    await message_of(database, settled.id, "pending")

    ended = await partner.delete(f"/v1/subscriptions/{made['subscription_id']}")

    assert (ended.status_code, ended.json()["end_reason"]) == (200, "withdrawn")
    await database.execute("UPDATE message SET next_attempt_at = created_at WHERE event_id = $1", settled.id)
    message = await message_of(database, settled.id, "failed")
    assert message["failure"] in ("subscription-ended", "http-503")
    again = await partner.delete(f"/v1/subscriptions/{made['subscription_id']}")
    assert again.json()["ended_at"] == ended.json()["ended_at"]


async def test_two_workers_never_send_one_message(
    publish: Publish, caller: Caller, receiver: Receiver, database: Database, own_cluster: Cluster
) -> None:
    await subscribed(caller("partner", HOME), receiver.url)
    own_cluster.start_another("notification")
    told = [envelope(bill()) for _ in range(300)]
    receiver.released.clear()

    await publish(*told)
    await eventually(lambda: _anything(receiver))
    await asyncio.sleep(1.5)  # while the partner thinks, both workers look for work several times
    receiver.released.set()

    ids = [one.id for one in told]
    query = (
        "SELECT count(*) = 300 FROM message WHERE event_id = ANY($1) AND channel = 'webhook' AND state = 'delivered'"
    )
    await eventually(lambda: database.fetchval(query, ids))
    assert sorted(d.event["id"] for d in receiver.deliveries) == sorted(ids)
    own_cluster.stop_part("notification-2")


async def _anything(receiver: Receiver) -> bool:
    return bool(receiver.deliveries)


async def test_a_stop_ends_the_round_at_hand(
    publish: Publish, caller: Caller, receiver: Receiver, database: Database, own_cluster: Cluster
) -> None:
    """SIGTERM while a partner thinks: the answer is still heard and recorded, and nothing is sent twice."""
    await subscribed(caller("partner", HOME), receiver.url)
    settled = envelope(bill())
    receiver.released.clear()
    await publish(settled)
    await arrived(receiver, settled.id)

    stopped = asyncio.create_task(asyncio.to_thread(own_cluster.stop_part, "notification"))
    await asyncio.sleep(0.5)
    receiver.released.set()
    await stopped
    own_cluster.start_part("notification")

    assert (await message_of(database, settled.id, "delivered"))["attempts"] == 1
    assert len(receiver.of_event(settled.id)) == 1


async def test_a_test_event_reaches_its_subscription_only(caller: Caller, receiver: Receiver) -> None:
    partner = caller("partner", HOME)
    made = await subscribed(partner, receiver.url)
    await subscribed(partner, receiver.url + "/other")

    asked = await partner.post(f"/v1/subscriptions/{made['subscription_id']}/test")

    assert asked.status_code == 202
    (delivery,) = await arrived(receiver, asked.json()["event_id"])
    assert delivery.event["type"] == "sifang.notification.Ping.v1"
    assert delivery.event["data"] == {"subscription_id": made["subscription_id"]}
    assert delivery.is_signed_with(made["secret"])
    assert len(receiver.deliveries) == 1


async def test_a_secret_is_shown_once_and_kept_encrypted(
    caller: Caller, receiver: Receiver, database: Database, own_cluster: Cluster
) -> None:
    partner = caller("partner", HOME)
    made = await subscribed(partner, receiver.url)

    listed = await partner.get("/v1/subscriptions", params={"limit": 200})
    sealed = await database.fetchval(
        "SELECT secret FROM subscription WHERE subscription_id = $1", made["subscription_id"]
    )

    assert made["secret"] not in listed.text
    assert "secret" not in listed.text
    assert made["secret"] not in sealed
    keys = PersonalDataKeys.from_json((own_cluster.folders.secrets / "data-keys.json").read_bytes())
    assert keys.decrypt(sealed, context="notification.subscription.secret") == made["secret"]


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ({"url": "https://partner.example/", "event_types": []}, ["request.field-invalid"]),
        ({"url": "https://partner.example/", "event_types": ["sifang.x"]}, ["notification.event-type-unknown"]),
        (
            {"url": "http://10.0.0.1/", "event_types": ["a", SETTLED, "sifang.enrollment.FilingCancelled.v1"]},
            ["notification.event-type-unknown"] * 2
            + ["notification.url-not-https", "notification.address-not-allowed"],
        ),
        ({"url": "https://u:p@partner.example/", "event_types": [SETTLED]}, ["notification.url-malformed"]),
        ({"url": "https://partner.example/", "event_types": [SETTLED], "secret": "x"}, ["request.field-unknown"]),
    ],
)
async def test_a_wrong_subscription_is_refused_with_all_reasons(
    caller: Caller, body: dict[str, Any], codes: list[str]
) -> None:
    answer = await caller("partner", HOME).post("/v1/subscriptions", json=body)

    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == codes


async def test_one_active_subscription_an_address_and_some_a_party(caller: Caller, database: Database) -> None:
    partner, limit = caller("partner", "411621"), NotificationSettings().subscriptions_max
    body = {"url": "https://partner.example/0", "event_types": [SETTLED]}
    first = await partner.post("/v1/subscriptions", json=body)
    twin = await partner.post("/v1/subscriptions", json=body)
    for number in range(1, limit):
        await subscribed(partner, f"https://partner.example/{number}")
    beyond = await partner.post("/v1/subscriptions", json={**body, "url": "https://partner.example/beyond"})

    assert (twin.status_code, twin.json()["code"]) == (409, "notification.subscription-exists")
    assert (beyond.status_code, beyond.json()["code"]) == (409, "notification.subscriptions-too-many")
    await partner.delete(f"/v1/subscriptions/{first.json()['subscription_id']}")
    await subscribed(partner, "https://partner.example/0")


async def test_another_partys_subscription_does_not_exist(caller: Caller, receiver: Receiver) -> None:
    mine = (await subscribed(caller("partner", HOME), receiver.url))["subscription_id"]
    other = caller("partner", FOREIGN_CITY)

    answers = [
        await other.delete(f"/v1/subscriptions/{mine}"),
        await other.post(f"/v1/subscriptions/{mine}/test"),
        await caller("partner", HOME).delete(f"/v1/subscriptions/{new_id()}"),
    ]

    assert [(a.status_code, a.json()["code"]) for a in answers] == [(404, "notification.subscription-unknown")] * 3
    assert mine not in (await other.get("/v1/subscriptions", params={"limit": 200})).text


async def test_who_subscribes_acts_for_a_region(caller: Caller) -> None:
    body = {"url": "https://partner.example/", "event_types": [SETTLED]}

    refused = await caller("partner", "insurer-1").post("/v1/subscriptions", json=body)

    assert (refused.status_code, refused.json()["code"]) == (403, "notification.party-not-agency")


async def test_the_posted_event_holds_no_personal_data(publish: Publish, caller: Caller, receiver: Receiver) -> None:
    await subscribed(caller("partner", HOME), receiver.url)
    settled = envelope(bill())

    await publish(settled)

    (delivery,) = await arrived(receiver, settled.id)
    assert delivery.event["data"]["person_id"] == PERSON
    assert not {"name", "phone", "identity_number", "bank_account"} & set(delivery.event["data"])
