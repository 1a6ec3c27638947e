"""A receiver of traces in the test's own process: takes what Zipkin takes, and keeps it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from deploy.local.ports import HOST, free_port


@dataclass(frozen=True)
class Span:
    """A span as it arrived."""

    service: str
    name: str
    span_id: str
    parent_id: str | None
    tags: dict[str, str]


class Collector:
    """Listens while it is entered."""

    def __init__(self) -> None:
        collector = self
        self._received: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            """Takes spans."""

            def do_POST(self) -> None:
                """POST /api/v2/spans."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._received += json.loads(body)
                self.send_response(202)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((HOST, free_port()), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="collector", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        """What makes programs send here the traces whose callers ask for it, and no others: a test suite is a rush."""
        return {
            "OTEL_TRACES_EXPORTER": "zipkin_json",
            "OTEL_EXPORTER_ZIPKIN_ENDPOINT": f"http://{HOST}:{self._server.server_port}/api/v2/spans",
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
            "OTEL_BSP_SCHEDULE_DELAY": "300",
        }

    def spans(self, trace_id: str) -> Sequence[Span]:
        """The spans of a trace that arrived so far."""
        return [
            Span(
                s["localEndpoint"]["serviceName"].removeprefix("sifang-"),
                s["name"],
                s["id"],
                s.get("parentId"),
                s.get("tags") or {},
            )
            for s in list(self._received)
            if s["traceId"] == trace_id
        ]

    def text(self) -> str:
        """Everything that ever arrived, as text to be searched."""
        return json.dumps(self._received, ensure_ascii=False)
