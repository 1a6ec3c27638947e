"""The life of a message, pauses, whom an event concerns, and the signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.config import NotificationSettings
from services.notification.rules.audiences import SUBSCRIBABLE, TOLD, concerns, regions_of
from services.notification.rules.delivery import (
    GONE,
    Attempt,
    Backoff,
    Decision,
    Health,
    Outcome,
    Result,
    State,
    decide,
    health_after,
)
from services.notification.rules.signature import body_of, cloud_event, sign
from shared.events import Event
from shared.regions import RegionTree
from tests.services.notification.examples import (
    AT,
    CARE,
    CITY,
    EXAMPLES,
    FACILITY_CHANGED,
    FOREIGN_CITY,
    FOREIGN_COUNTY,
    HOME,
    PROVINCE,
    bill,
    envelope,
)

REGIONS = RegionTree.load()
BACKOFF = Backoff(first_s=2, max_s=3600)
NOW = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "outcome", "expected"),
    [
        (1, Outcome.DELIVERED, Decision(State.DELIVERED, NOW)),
        (5, Outcome.DELIVERED, Decision(State.DELIVERED, NOW)),
        (1, Outcome.REFUSED, Decision(State.FAILED, NOW, "why")),
        (1, Outcome.FAILED, Decision(State.PENDING, NOW + timedelta(seconds=1))),
        (2, Outcome.FAILED, Decision(State.PENDING, NOW + timedelta(seconds=2))),
        (4, Outcome.FAILED, Decision(State.PENDING, NOW + timedelta(seconds=8))),
        (5, Outcome.FAILED, Decision(State.FAILED, NOW, "why")),
    ],
)
def test_what_an_attempt_makes_of_its_message(number: int, outcome: Outcome, expected: Decision) -> None:
    attempt = Attempt("m", number, allowed=5, result=Result(outcome, "why"))

    assert decide(attempt, NOW, BACKOFF, chance=0) == expected


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_pause_grows_and_stays_within_its_bounds(failures: int, chance: float) -> None:
    pause_s = BACKOFF.pause(failures, chance).total_seconds()

    assert 1 <= pause_s <= 3600
    assert BACKOFF.pause(failures + 1, chance).total_seconds() >= pause_s


@given(st.integers(1, 20))
def test_chance_spreads_the_upper_half_of_a_pause(failures: int) -> None:
    least, most = BACKOFF.pause(failures, 0), BACKOFF.pause(failures, 1)

    assert least * 2 == most


WELL, TRIED = Result(Outcome.DELIVERED, "http-200"), Result(Outcome.FAILED, "timeout")
FAILING = Health(3, NOW - timedelta(days=1), NOW)


@pytest.mark.parametrize(
    ("before", "results", "expected"),
    [
        (Health(), [WELL], Health()),
        (FAILING, [WELL], Health()),
        (FAILING, [TRIED, WELL], Health()),
        (Health(), [TRIED, TRIED], Health(1, NOW, NOW + timedelta(seconds=2))),
        (FAILING, [TRIED], Health(4, NOW - timedelta(days=1), NOW + timedelta(seconds=16))),
        (Health(), [WELL, Result(Outcome.REFUSED, GONE)], GONE),
        (Health(50, NOW - timedelta(days=14), NOW), [TRIED], "unreachable"),
        (Health(50, NOW - timedelta(days=14), NOW), [WELL], Health()),
    ],
)
def test_how_an_address_fares(before: Health, results: list[Result], expected: Health | str) -> None:
    assert health_after(before, results, NOW, BACKOFF, give_up_days=14) == expected


@pytest.mark.parametrize(
    ("party", "told"),
    [
        (CARE, True),
        (HOME, True),
        (CITY, True),
        (PROVINCE, True),
        ("100000", True),
        (FOREIGN_CITY, False),
        (FOREIGN_COUNTY, False),
        ("411621", False),
        ("340000", False),
        ("999999", False),
        ("H41160300001", False),
        ("", False),
    ],
)
def test_a_partner_is_told_of_its_own_area_only(party: str, told: bool) -> None:
    assert concerns(party, regions_of(bill(), None, REGIONS), REGIONS) is told


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda e: type(e).__name__)
def test_every_subscribable_event_names_regions(event: Event) -> None:
    taking_part = regions_of(event, CARE, REGIONS)

    assert bool(taking_part) is (event.type_name() in SUBSCRIBABLE)
    assert all(region in REGIONS for region in taking_part)


def test_what_may_be_subscribed_to() -> None:
    assert {FACILITY_CHANGED.type_name(), *(kind.type_name() for kind in TOLD)} - SUBSCRIBABLE == {
        "sifang.enrollment.FilingCancelled.v1"
    }
    assert regions_of(FACILITY_CHANGED, None, REGIONS) == {CARE}


def test_the_signature_is_what_a_partner_computes() -> None:
    body = body_of(cloud_event(envelope(bill())))

    header = sign("whsec_secret", 1_793_000_000, body)

    expected = hmac.new(b"whsec_secret", b"1793000000." + body, hashlib.sha256).hexdigest()
    assert header == f"t=1793000000,v1={expected}"
    assert sign("whsec_other", 1_793_000_000, body) != header
    assert sign("whsec_secret", 1_793_000_001, body) != header
    assert sign("whsec_secret", 1_793_000_000, body + b" ") != header


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda e: type(e).__name__)
def test_a_posted_event_is_a_whole_cloud_event(event: Event) -> None:
    occurrence = envelope(event)
    document = json.loads(body_of(cloud_event(occurrence)))

    assert document["specversion"] == "1.0"
    assert document["id"] == occurrence.id
    assert document["type"] == event.type_name()
    assert document["source"] == f"/sifang/{event.announcer}"
    assert document["subject"] == event.key
    assert datetime.fromisoformat(document["time"]) == AT
    assert type(event).model_validate(document["data"]) == event


def test_a_lease_outlives_the_longest_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFANG_NOTIFICATION_LEASE_S", "80")

    with pytest.raises(ValueError, match="lease_s must exceed the longest webhook round, 80 s"):
        NotificationSettings()
