"""Which TCP port each part listens on, all on the loopback address.

None lies in the range from which the system gives ports to outgoing connections: a client that keeps trying to reach a
stopped broker on such a port would sooner or later be given that very port, connect to itself, and lock the broker out.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from deploy.local.errors import NoFreePort
from shared.settings import DEFAULT_PORTS as SERVICE_PORTS

HOST = "127.0.0.1"

DEFAULT_PORTS = {
    **SERVICE_PORTS,
    "zipkin": 9411,
    "postgres": 15432,
    "kafka": 19092,
    "kafka-controller": 19093,
}
"""The ports of `make run`, by part."""

_LOWEST_FREE = 20_000
_OUTGOING_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def default_ports(note: Callable[[str], None]) -> dict[str, int]:
    """The default port of each part, or a free one (and a note) where somebody else listens there."""
    ports: dict[str, int] = {}
    for part, port in DEFAULT_PORTS.items():
        if is_free(port):
            ports[part] = port
        else:
            ports[part] = free_port(taken=(*ports.values(), *DEFAULT_PORTS.values()))
            note(f"port {port} is busy: {part} listens on {ports[part]} instead")
    return ports


def free_ports() -> dict[str, int]:
    """A free port for each part, away from the default ones: for tests and the demo."""
    ports: dict[str, int] = {}
    for part in DEFAULT_PORTS:
        ports[part] = free_port(taken=ports.values())
    return ports


def free_port(taken: Iterable[int] = ()) -> int:
    """A port nobody listens on and that is not in `taken`. Raises NoFreePort."""
    candidates = set(range(_LOWEST_FREE, _outgoing_range_start())) - set(taken)
    # At random, so that two clusters which start at the same moment hardly ever choose the same.
    for port in random.sample(sorted(candidates), k=min(200, len(candidates))):
        if is_free(port):
            return port
    raise NoFreePort("no free TCP port on the loopback address")


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an earlier server that are still fading away do not keep the port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _outgoing_range_start() -> int:
    if _OUTGOING_RANGE.exists():
        return max(int(_OUTGOING_RANGE.read_text().split()[0]), _LOWEST_FREE + 1_000)
    return 32_768
