"""Who records a trace: told by one bit of the flags, whatever the other bits say."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider

from shared.telemetry import is_sampled, traceparent_of

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True), ("fe", False)]
)
def test_the_lowest_bit_decides(flags: str, sampled: bool) -> None:
    assert is_sampled(f"{TRACE}-{flags}") is sampled


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_trace_is_not_sampled(nothing: str | None) -> None:
    assert not is_sampled(nothing)


def test_a_trace_the_sdk_begins_is_sampled() -> None:
    """Its flags are 03: sampled, and a random id. Seen to fail when only 01 counted: no bill had a trace."""
    span = TracerProvider().get_tracer("test").start_span("first")
    assert is_sampled(traceparent_of(span))
