"""A partner's system: a real HTTP server on loopback that keeps what it was posted and answers as it is told."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Delivery:
    """One POST as it arrived."""

    delivery: str
    """The header `Sifang-Delivery`."""
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent."""
        document: dict[str, Any] = json.loads(self.body)
        return document

    def is_signed_with(self, secret: str) -> bool:
        """Whether the signature is what the documentation says."""
        stated = dict(part.split("=", 1) for part in self.headers["sifang-signature"].split(","))
        signed = f"{stated['t']}.".encode() + self.body
        return hmac.compare_digest(stated["v1"], hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest())


class Receiver:
    """Answers 204, or first the statuses it is given; while it is held, an answer waits."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.statuses: list[int] = []
        self.redirect_to = ""
        self.released = threading.Event()
        self.released.set()
        self.url = ""

    def answer_next(self, statuses: Iterable[int]) -> None:
        """Answer the next requests like this."""
        self.statuses.extend(statuses)

    def of_event(self, event_id: str) -> list[Delivery]:
        """What arrived of one event."""
        return [delivery for delivery in self.deliveries if delivery.event["id"] == event_id]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver for the length of the block."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.deliveries.append(Delivery(headers["sifang-delivery"], headers, body))
            status = receiver.statuses.pop(0) if receiver.statuses else 204
            receiver.released.wait(20)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", receiver.redirect_to)
            self.send_header("content-length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/events"
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
