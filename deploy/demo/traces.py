"""The trace store of the local cluster (Zipkin): what a trace holds, and where a person sees it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from deploy.demo.client import Services, Trace

_HIS = "his"
"""What the calling system is called in the traces."""


@dataclass(frozen=True, slots=True)
class Span:
    """One span as the store keeps it."""

    service: str
    name: str
    attributes: Mapping[str, str]


class TraceStore:
    """Zipkin at an address."""

    def __init__(self, base: str, services: Services) -> None:
        self._base, self._services = base.rstrip("/"), services

    @classmethod
    def of(cls, environment: Mapping[str, str], services: Services) -> TraceStore | None:
        """The one `SIFANG_TRACE_UI` names, else the one the services send their spans to; None when there is none."""
        named = environment.get("SIFANG_TRACE_UI") or environment.get("OTEL_EXPORTER_ZIPKIN_ENDPOINT")
        if not named:
            return None
        address = urlsplit(named)
        return cls(f"{address.scheme}://{address.netloc}", services)

    def link(self, trace: Trace) -> str:
        """The page that shows a trace."""
        return f"{self._base}/zipkin/traces/{trace.trace_id}"

    async def spans(self, trace: Trace) -> list[Span]:
        """What the store holds of a trace by now."""
        answer = await self._services.fetch(self._base, f"/api/v2/trace/{trace.trace_id}")
        if answer.status_code == 404:
            return []
        return [
            Span(found["localEndpoint"]["serviceName"], found.get("name", ""), found.get("tags", {}))
            for found in answer.raise_for_status().json()
        ]

    async def close(self, trace: Trace, name: str, began_s: float) -> None:
        """Report the calling system's own span, under which all others of the trace hang; `began_s` is Unix time."""
        own: dict[str, Any] = {
            "traceId": trace.trace_id,
            "id": trace.span_id,
            "name": name,
            "kind": "CLIENT",
            "timestamp": round(began_s * 1e6),
            "duration": round((time.time() - began_s) * 1e6),
            "localEndpoint": {"serviceName": _HIS},
        }
        await self._services.store_spans(self._base, "/api/v2/spans", [own])
