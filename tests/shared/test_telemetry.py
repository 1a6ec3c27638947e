"""The telemetry contract: declared names only, bounded sampling, no personal data in logs."""

from __future__ import annotations

import json
import logging

import pytest
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import INVALID_SPAN

from shared import telemetry
from shared.telemetry import FirstOfEachSecond, JsonLines, amount_band, annotate, begin, context_of, counter


def test_a_span_name_that_is_not_declared_is_refused() -> None:
    with pytest.raises(KeyError):
        begin("claims.somehow")


def test_an_attribute_that_is_not_declared_is_refused() -> None:
    with pytest.raises(KeyError):
        begin("claims.settle", {"person.name": "x"})
    with pytest.raises(KeyError):
        annotate(INVALID_SPAN, {"person.name": "x"})


def test_a_metric_that_is_not_declared_is_refused() -> None:
    with pytest.raises(KeyError):
        counter("sifang.something")


def test_no_declared_attribute_speaks_of_a_person() -> None:
    for name in telemetry.ATTRIBUTES:
        assert not any(word in name for word in ("person", "name", "phone", "identity", "account"))


@pytest.mark.parametrize(
    ("amount_fen", "band"),
    [
        (-1, "negative"),
        (0, "lt-100"),
        (9_999, "lt-100"),
        (10_000, "100-1k"),
        (99_999, "100-1k"),
        (100_000, "1k-10k"),
        (1_000_000, "10k-100k"),
        (9_999_999, "10k-100k"),
        (10_000_000, "ge-100k"),
    ],
)
def test_amount_bands(amount_fen: int, band: str) -> None:
    assert amount_band(amount_fen) == band


def test_the_first_of_each_second_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr(telemetry, "monotonic", lambda: now[0])
    sampler = FirstOfEachSecond(3)

    def taken() -> int:
        return sum(sampler.should_sample(None, 1, "x").decision is Decision.RECORD_AND_SAMPLE for _ in range(10))

    assert taken() == 3
    assert taken() == 0
    now[0] = 11.2
    assert taken() == 3


@pytest.mark.parametrize(
    "malformed", [None, "", "00-abc-def-01", "00-" + "g" * 32 + "-" + "0" * 16 + "-01", "x", "0" * 100]
)
def test_a_malformed_traceparent_is_no_parent(malformed: str | None) -> None:
    assert not context_of(malformed).is_valid


@pytest.mark.parametrize(
    "personal",
    [
        "identity 41160319850102003X here",
        "phone 13912345678",
        "card 6222021234567890123",
        'json {"n": "411603198501020031"}',
    ],
)
def test_what_looks_like_personal_data_is_struck_from_logs(personal: str) -> None:
    record = logging.LogRecord("t", logging.INFO, "f", 1, personal, None, None)
    line = json.loads(JsonLines().format(record))
    assert "[struck]" in line["message"]
    assert not any(part.strip('"}').isdigit() and len(part) > 10 for part in line["message"].split())


def test_a_log_line_is_json_with_its_fields() -> None:
    record = logging.LogRecord("t", logging.WARNING, "f", 1, "relay waits", None, None)
    record.fields = {"reason": "broker", "pause_s": 0.5}
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["message"], line["reason"], line["pause_s"]) == (
        "WARNING",
        "relay waits",
        "broker",
        0.5,
    )
