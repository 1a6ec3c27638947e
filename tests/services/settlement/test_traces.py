"""One bill is one trace: booked in it, and paid in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.settlement.config import SettlementSettings
from services.settlement.rules.cases import Case, Payment
from services.settlement.rules.statements import Key, Sums
from services.settlement.use_cases.confirmations import confirm_cases
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.payments import approve, propose
from services.settlement.use_cases.statements import Submission, submit
from shared.auth import Principal, Role
from shared.workdays import WorkCalendar
from tests.services.settlement.world import HUAIYANG, REGIONS, Books, Hospital

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
NOW = datetime.now(UTC)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """The spans that end while the test runs."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    """The spans of a name."""
    return [span for span in spans.get_finished_spans() if span.name == name]


def trace_of(span: ReadableSpan) -> str:
    """The trace a span is in."""
    return f"{span.context.trace_id:032x}" if span.context else ""


async def test_booking_is_a_span_in_the_trace_of_the_bill(
    books: Books, hospital: Hospital, spans: InMemorySpanExporter
) -> None:
    bill, quiet = hospital.bill(HUAIYANG), hospital.bill(HUAIYANG)

    await books.hear(bill, traceparent=SAMPLED)
    await books.hear(quiet, traceparent=UNSAMPLED)

    (span,) = named(spans, "settlement.book")
    assert (trace_of(span), span.parent and f"{span.parent.span_id:016x}") == (TRACE, "b7ad6b7169203331")
    attributes = dict(span.attributes or {})
    assert attributes.pop("sifang.case")
    assert attributes == {
        "sifang.settlement": bill.settlement_id,
        "sifang.facility": hospital.code,
        "sifang.region.care": HUAIYANG,
        "sifang.region.home": HUAIYANG,
        "sifang.period": hospital.month,
        "sifang.step": "booked",
        "sifang.amount_band": "1k-10k",
    }


async def test_payment_is_linked_to_its_bills_and_shows_in_their_traces(
    books: Books, hospital: Hospital, spans: InMemorySpanExporter
) -> None:
    parts = Settlement(books.database, REGIONS, SettlementSettings(), WorkCalendar(), books.ledger_key)
    bill = hospital.bill(HUAIYANG)
    await books.hear(bill, traceparent=SAMPLED)
    his = Principal("his", Role.FACILITY, hospital.code)
    one, two = (Principal(name, Role.FINANCE, HUAIYANG) for name in ("one", "two"))
    key = Key(HUAIYANG, bill.insutype, bill.clr_type, False)
    async with books.database.transaction() as tx:
        totals = [(key, Sums(bill.total_fen, bill.fund_fen, bill.account_fen, 1))]
        await submit(parts, tx, his, Submission(hospital.month, None, totals), NOW)
    query = "SELECT case_id, numbers_hash FROM settlement_case WHERE facility_code = $1"
    ((case_id, numbers_hash),) = [tuple(row) for row in await books.rows(query, hospital.code)]
    for party in (his, one):
        outcome = (await confirm_cases(parts, party, {case_id: numbers_hash}, NOW))[case_id]
        assert isinstance(outcome, Case)

    async with books.database.transaction() as tx:
        payment = (await propose(parts, tx, one, [case_id], NOW))[case_id]
        assert isinstance(payment, Payment)
        await approve(parts, tx, two, [payment.payment_id], NOW)
        query = "SELECT traceparent FROM outbox WHERE key = $1 AND type LIKE '%Disbursed%'"
        announced = await tx.fetch(query, case_id)

    own, in_bill = sorted(named(spans, "settlement.pay"), key=lambda span: trace_of(span) == TRACE)
    assert trace_of(own) != TRACE
    assert [f"{link.context.trace_id:032x}" for link in own.links] == [TRACE]
    assert trace_of(in_bill) == TRACE
    assert (in_bill.attributes or {})["sifang.settlement"] == bill.settlement_id
    assert [f"{link.context.trace_id:032x}" for link in in_bill.links] == [trace_of(own)]
    assert [row["traceparent"].split("-")[1] for row in announced] == [trace_of(own)]
