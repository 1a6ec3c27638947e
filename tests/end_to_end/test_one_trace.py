"""One bill is one trace, across HTTP, outbox, Kafka and handlers of all services that have to do with it."""

from __future__ import annotations

import secrets

from shared.telemetry import ATTRIBUTES, SPANS
from tests.collector import Collector, Span
from tests.flow import Flow, done, eventually
from tests.services.claims.seeds import key, one_call, reversal

OWN_TAGS = ("otel.", "error", "service.", "telemetry.", "span.kind")
"""Of the exporter, not of the contract."""


def traceparent() -> tuple[str, str, str]:
    """A sampled parent of the test's own: trace, span, header."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, f"00-{trace_id}-{span_id}-01"


async def arrived(collector: Collector, trace_id: str, *expected: tuple[str, str]) -> list[Span]:
    """The spans of a trace, once those expected (service, name) are among them."""

    async def all_there() -> list[Span] | None:
        spans = list(collector.spans(trace_id))
        return spans if {(s.service, s.name) for s in spans} >= set(expected) else None

    try:
        return await eventually(all_there)
    except AssertionError:
        seen = {(s.service, s.name) for s in collector.spans(trace_id)}
        raise AssertionError(f"missing: {set(expected) - seen}; seen: {seen}") from None


async def test_a_bill_and_its_reversal_are_one_trace(flow: Flow, collector: Collector) -> None:
    facility, person = await flow.facility(), await flow.person()
    await flow.known(facility, person)
    trace_id, root, header = traceparent()
    settled = await flow.settled(facility, one_call(person.person_id), traceparent=header)
    await flow.booked(facility, settled["settlement_id"])
    spans = await arrived(
        collector,
        trace_id,
        ("claims", "POST /v1/settlements"),
        ("claims", "claims.settle"),
        ("claims", "outbox.publish"),
        ("settlement", "event.handle"),
        ("settlement", "settlement.book"),
        ("notification", "event.handle"),
        ("notification", "notification.send"),
    )
    assert all(s.parent_id == root or s.parent_id in {o.span_id for o in spans} for s in spans), "one tree, one root"

    # The reversal comes in a call of its own, with another trace; its way through the services is in the bill's.
    window = flow.acting("claims", "facility", facility)
    other_id, _, other = traceparent()
    path = f"/v1/settlements/{settled['settlement_id']}/reversal"
    negative = done(await window.post(path, json=reversal(), headers=key() | {"traceparent": other}))
    await flow.booked(facility, negative["settlement_id"])
    spans = await arrived(collector, trace_id, ("claims", "claims.reverse"))

    async def booked_twice() -> bool | None:
        return True if [s.name for s in collector.spans(trace_id)].count("settlement.book") == 2 else None

    await eventually(booked_twice)
    await arrived(collector, other_id, ("claims", "POST /v1/settlements/{settlement_id}/reversal"))


async def test_names_and_attributes_are_those_of_the_contract(flow: Flow, collector: Collector) -> None:
    facility, person = await flow.facility(), await flow.person()
    await flow.known(facility, person)
    trace_id, _, header = traceparent()
    settled = await flow.settled(facility, one_call(person.person_id), traceparent=header)
    await flow.booked(facility, settled["settlement_id"])
    spans = await arrived(collector, trace_id, ("settlement", "settlement.book"), ("claims", "outbox.publish"))
    for span in spans:
        assert span.name in SPANS or span.name.startswith("POST /v1/"), span.name
        undeclared = {tag for tag in span.tags if tag not in ATTRIBUTES and not tag.startswith(OWN_TAGS)}
        assert not undeclared, f"{span.name}: {undeclared}"
    by_name = {span.name: span.tags for span in spans}
    assert by_name["claims.settle"]["sifang.settlement"] == settled["settlement_id"]
    assert by_name["claims.settle"]["sifang.facility"] == facility
    assert by_name["settlement.book"]["sifang.settlement"] == settled["settlement_id"]
    assert by_name["POST /v1/settlements"]["http.response.status_code"] == "201"


async def test_a_refused_call_says_why_in_its_span(flow: Flow, collector: Collector) -> None:
    trace_id, _, header = traceparent()
    window = flow.acting("claims", "facility", "H41160300001")
    refused = await window.post(
        "/v1/settlements", json=one_call("0" * 26, total_fen=1), headers=key() | {"traceparent": header}
    )
    assert refused.status_code == 422
    assert refused.json()["trace_id"] == trace_id, "what a caller quotes to operations finds the trace"
    spans = await arrived(collector, trace_id, ("claims", "POST /v1/settlements"))
    (span,) = [s for s in spans if s.name == "POST /v1/settlements"]
    assert span.tags["sifang.outcome"] == "refused"
    assert span.tags["sifang.refusal"] == refused.json()["code"]


async def test_who_does_not_ask_is_not_traced(flow: Flow, collector: Collector) -> None:
    """The decision of the caller holds in all services: an unsampled bill costs nobody a span."""
    facility, person = await flow.facility(), await flow.person()
    await flow.known(facility, person)
    trace_id, _, header = traceparent()
    settled = await flow.settled(facility, one_call(person.person_id), traceparent=header[:-2] + "00")
    await flow.booked(facility, settled["settlement_id"])
    other_id, _, other = traceparent()
    await flow.settled(facility, one_call(person.person_id), traceparent=other)
    await arrived(collector, other_id, ("claims", "outbox.publish"))
    assert collector.spans(trace_id) == []
