"""Zipkin: keeps the traces of a local cluster in memory and shows them in a browser."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from deploy.local import java, probes
from deploy.local.ports import HOST
from deploy.local.process import Program

_HEAP = ("-Xms64m", "-Xmx160m")
_SPANS_MAX = 30_000
"""How many spans it keeps, the oldest going first; what the small heap holds with ease."""


def ui_url(port: int) -> str:
    """The page for people."""
    return f"http://{HOST}:{port}/zipkin/"


def spans_url(port: int) -> str:
    """Where programs send their spans."""
    return f"http://{HOST}:{port}/api/v2/spans"


def program(folder: Path, jars: Sequence[Path], port: int) -> Program:
    """How it is run."""
    (jar,) = jars
    # The whole list of ports has to be given to add the address to its only member.
    listen = {"ip": HOST, "port": str(port), "protocols[0]": "http"}
    return Program(
        name="zipkin",
        argv=(
            *(*java.command(_HEAP, folder), "-jar", str(jar)),
            *(f"--armeria.ports[0].{name}={value}" for name, value in listen.items()),
        ),
        is_ready=lambda: probes.http_ok(HOST, port, "/health"),
        environment=java.environment() | {"MEM_MAX_SPANS": str(_SPANS_MAX)},
        folder=folder,
        stop_signal=signal.SIGKILL,  # it has nothing to save, and would take many seconds to say good-bye
    )
