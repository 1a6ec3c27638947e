"""Traces, metrics and logs. The only module that knows the OpenTelemetry SDK.

Span names, `sifang.*` attributes and metric names are a contract that dashboards are built on: they are declared in
`SPANS`, `ATTRIBUTES` and `METRICS`, documented in `docs/telemetry.md` (generated), and a name that is not declared is
refused. No attribute holds personal data.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from types import MappingProxyType
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.exporter.zipkin.json import ZipkinExporter
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace.propagation import set_span_in_context
from prometheus_client import generate_latest

Attributes = Mapping[str, str | int | bool]

SPANS: Mapping[str, str] = MappingProxyType(
    {
        "http": "One HTTP request; the span is named after method and route, e.g. `POST /v1/settlements`.",
        "claims.settle": "One bill settled: load, decide, record, announce.",
        "claims.reverse": "One settlement reversed.",
        "batch.commit": "One group commit; linked to every request it carried.",
        "outbox.publish": "One event handed to the broker by the relay.",
        "event.handle": "One event handled by one service; `sifang.event` names the event.",
        "settlement.book": "One bill booked in the ledgers of its chain.",
        "settlement.pay": "One hop of money between two parties.",
        "notification.send": "One attempt to send one message.",
    }
)

ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "sifang.settlement": "Settlement id (结算ID).",
        "sifang.visit": "Visit id (就诊ID).",
        "sifang.facility": "Facility code (定点医药机构编号).",
        "sifang.region.care": "Region of care (就医地医保区划).",
        "sifang.region.home": "Home region (参保地医保区划).",
        "sifang.party": "The party that acts: a facility code or an agency's region code.",
        "sifang.case": "The period case of one facility, month and home region.",
        "sifang.period": "The month, YYYY-MM.",
        "sifang.step": "The step of the flow, e.g. booked, confirmed, remitted, disbursed.",
        "sifang.amount_band": "Size of the total in yuan: lt-100, 100-1k, 1k-10k, 10k-100k, ge-100k, or negative.",
        "sifang.outcome": "ok, refused, replayed, unavailable or error.",
        "sifang.refusal": "Code of the first refusal.",
        "sifang.event": "CloudEvents type of the event.",
        "sifang.batch_size": "Commands or events worked on together.",
        "sifang.template": "Message template.",
        "sifang.channel": "Message channel: sms, webhook, party_inbox.",
        "sifang.job": "Periodic work of a service, as readiness names it.",
        "http.request.method": "HTTP method.",
        "http.route": "Route template, never the address itself.",
        "http.response.status_code": "HTTP status.",
    }
)

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "sifang.http.duration": "Histogram, s: requests by route, method and status; its count is the rate.",
        "sifang.refusals": "Counter: refusals uttered, by code.",
        "sifang.outbox.backlog": "Gauge: events announced and not yet on the topic.",
        "sifang.outbox.age": "Gauge, s: age of the oldest of them.",
        "sifang.consumer.handled": "Counter: events handled, by event and outcome.",
        "sifang.consumer.lag": "Gauge: events on the topics this service has not handled yet.",
        "sifang.consumer.delay": "Histogram, s: from an event's occurrence to the end of its handling.",
        "sifang.dead_letters": "Counter: events set aside, by event and reason.",
        "sifang.batch.size": "Histogram: commands gathered into one group commit.",
        "sifang.ledger.sealed": "Counter: ledger transactions linked into the chain.",
        "sifang.ledger.unsealed": "Gauge: ledger transactions that wait for it.",
        "sifang.ledger.unmarked": "Counter: ledger transactions refused by sealing: booking did not write them.",
        "sifang.invariants.recent": "Gauge: invariants of the ledger found violated in what was sealed of late.",
        "sifang.invariants.whole": "Gauge: invariants found violated in the last look at the whole ledger.",
        "sifang.job.failures": "Counter: runs of periodic work that failed, by job.",
        "sifang.messages": "Counter: attempts to send messages, by channel and outcome.",
    }
)

_tracer = trace.get_tracer("sifang")
_meter = metrics.get_meter("sifang")
_INVALID = SpanContext(0, 0, is_remote=False)


def amount_band(amount_fen: int) -> str:
    """The size class of an amount, coarse enough to say nothing about a person."""
    if amount_fen < 0:
        return "negative"
    bands = ((10_000, "lt-100"), (100_000, "100-1k"), (1_000_000, "1k-10k"), (10_000_000, "10k-100k"))
    return next((name for limit, name in bands if amount_fen < limit), "ge-100k")


class FirstOfEachSecond(Sampler):
    """Records the first `per_s` traces that begin in each second: every bill of a quiet day, enough of a rush.

    A prefecture of nine million settles some ten bills a second at its peak; a limit, unlike a share, keeps all of them
    and still bounds what a rush of a thousand a second costs.
    """

    def __init__(self, per_s: int) -> None:
        self._per_s, self._second, self._begun = per_s, 0, 0

    def should_sample(  # the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Whether to record a trace that begins now."""
        second = int(monotonic())
        if second != self._second:
            self._second, self._begun = second, 0
        self._begun += 1
        taken = self._begun <= self._per_s
        return SamplingResult(Decision.RECORD_AND_SAMPLE if taken else Decision.DROP, attributes if taken else None)

    def get_description(self) -> str:
        """How it shows in diagnostics."""
        return f"FirstOfEachSecond({self._per_s})"


def _sampler(traces_per_s: int) -> Sampler | None:
    """Ours, unless the standard variable chooses one: None lets the SDK read it. A parent's decision always holds."""
    return None if os.environ.get("OTEL_TRACES_SAMPLER") else ParentBased(FirstOfEachSecond(traces_per_s))


def start(service: str, traces_per_s: int) -> None:
    """Switch traces and metrics on for this process, after the standard `OTEL_*` variables."""
    resource = Resource.create({"service.name": f"sifang-{service}", "service.namespace": "sifang"})
    exporter = _span_exporter(os.environ.get("OTEL_TRACES_EXPORTER", "none"))
    if exporter is not None:
        provider = TracerProvider(resource=resource, sampler=_sampler(traces_per_s))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
    readers: list[MetricReader] = [PrometheusMetricReader()]
    if os.environ.get("OTEL_METRICS_EXPORTER") == "otlp":
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=readers))


def stop() -> None:
    """Send what is still buffered."""
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        shutdown = getattr(provider, "shutdown", None)
        if shutdown is not None:
            shutdown()


def _span_exporter(name: str) -> SpanExporter | None:
    match name:
        case "none" | "":
            return None
        case "otlp":
            return OTLPSpanExporter()
        case "zipkin_json":
            return ZipkinExporter()
        case _:
            raise ValueError(f"OTEL_TRACES_EXPORTER={name}: expected otlp, zipkin_json or none")


def context_of(traceparent: str | None) -> SpanContext:
    """The span context of a W3C traceparent; the invalid one when there is none or it is malformed."""
    parts = (traceparent or "").split("-")
    if len(parts) < 4 or (len(parts[0]), len(parts[1]), len(parts[2]), len(parts[3])) != (2, 32, 16, 2):
        return _INVALID
    try:
        trace_id, span_id, flags = int(parts[1], 16), int(parts[2], 16), int(parts[3], 16)
    except ValueError:
        return _INVALID
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags & 1))


_ODD_DIGITS = frozenset("13579bdf")
"""The lowest bit of the flags says "sampled"; others may stand beside it, as 03 for a random trace id."""


def is_sampled(traceparent: str | None) -> bool:
    """Whether somebody records the trace: spans below it cost nothing when nobody does."""
    return traceparent is not None and traceparent[-1:] in _ODD_DIGITS


def current_traceparent() -> str | None:
    """The traceparent of the span we are in, to be stored with an event."""
    return traceparent_of(trace.get_current_span())


def traceparent_of(span: Span) -> str | None:
    """The traceparent that makes something a child of `span`."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def begin(
    name: str,
    attributes: Attributes | None = None,
    *,
    parent: str | None = None,
    links: Iterable[str | None] = (),
    kind: SpanKind = SpanKind.INTERNAL,
    title: str | None = None,
) -> Span:
    """Start a span that the caller ends. `parent` and `links` are traceparents; `title` renames an http span."""
    _check_names(name, attributes)
    above = context_of(parent) if parent else _INVALID
    context = set_span_in_context(NonRecordingSpan(above)) if above.is_valid else None
    linked = [Link(c) for c in map(context_of, links) if c.is_valid]
    return _tracer.start_span(title or name, context=context, kind=kind, attributes=attributes, links=linked)


@contextmanager
def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    parent: str | None = None,
    links: Iterable[str | None] = (),
    kind: SpanKind = SpanKind.INTERNAL,
) -> Iterator[Span]:
    """A span around a block, made the current one; an error is recorded by its type, never by its text."""
    started = begin(name, attributes, parent=parent, links=links, kind=kind)
    with trace.use_span(started, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield started
        except BaseException as error:
            started.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def annotate(target: Span, attributes: Attributes) -> None:
    """Set declared attributes on a span."""
    _check_names(None, attributes)
    for key, value in attributes.items():
        target.set_attribute(key, value)


def _check_names(name: str | None, attributes: Attributes | None) -> None:
    if name is not None and name not in SPANS:
        raise KeyError(f"span name not declared: {name}")
    for key in attributes or ():
        if key not in ATTRIBUTES:
            raise KeyError(f"span attribute not declared: {key}")


def counter(name: str) -> Counter:
    """A declared counter."""
    return _meter.create_counter(name, description=METRICS[name])


def histogram(name: str, unit: str = "1", boundaries: Iterable[float] | None = None) -> Histogram:
    """A declared histogram."""
    explicit = None if boundaries is None else list(boundaries)
    return _meter.create_histogram(
        name, unit=unit, description=METRICS[name], explicit_bucket_boundaries_advisory=explicit
    )


DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1, 2.5, 5, 10, 60)


class Gauges:
    """Named values some part of the process keeps up to date and the meter reads."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, Attributes]] = {}

    def set(self, name: str, value: float, **attributes: str) -> None:
        """Keep the newest value of a declared gauge."""
        if name not in self._values:
            _meter.create_observable_gauge(name, [self._observer(name)], description=METRICS[name])
        self._values[name] = (value, attributes)

    def _observer(self, name: str):  # type: ignore[no-untyped-def]
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            value, attributes = self._values[name]
            yield Observation(value, dict(attributes))

        return observe


def prometheus_text() -> bytes:
    """All metrics in the Prometheus text format."""
    return generate_latest()


_PERSONAL = re.compile(r"(?<!\d)(\d{17}[\dXx]|1[3-9]\d{9}|\d{16,19})(?!\d)")


class JsonLines(logging.Formatter):
    """One JSON object a line, with the trace it belongs to; digits that look like personal data are struck out."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        context = trace.get_current_span().get_span_context()
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "trace_id": f"{context.trace_id:032x}" if context.is_valid else None,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _PERSONAL.sub("[struck]", json.dumps(line, ensure_ascii=False, default=str))


def start_logging(level: str) -> None:
    """JSON lines on standard error for everything, uvicorn and aiokafka included."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("aiokafka", "httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel("WARNING")
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True
