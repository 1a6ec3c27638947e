"""Ports: a busy one is replaced, and none can be given to an outgoing connection."""

from __future__ import annotations

import socket

import pytest

from deploy.local import ports
from deploy.local.ports import DEFAULT_PORTS, HOST, default_ports, free_port, free_ports, is_free


def outgoing_range_start() -> int:
    """The first port the system gives to outgoing connections."""
    file = ports._OUTGOING_RANGE
    return int(file.read_text().split()[0]) if file.exists() else 32_768


def test_a_busy_port_is_replaced_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    with socket.create_server((HOST, 0)) as server:
        busy = server.getsockname()[1]
        monkeypatch.setitem(DEFAULT_PORTS, "zipkin", busy)
        chosen = default_ports(notes.append)
    assert chosen["zipkin"] != busy
    assert is_free(chosen["zipkin"])
    assert f"port {busy} is busy: zipkin listens on {chosen['zipkin']} instead" in notes


def test_a_port_taken_on_all_addresses_is_busy_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - another program's way to listen
        assert not is_free(server.getsockname()[1])


def test_a_port_is_free_again_when_only_old_connections_fade_away() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((HOST, port)):
            accepted, _ = server.accept()
            accepted.close()  # the server's side closes first, which leaves its port in TIME_WAIT
    assert is_free(port)


def test_free_ports_differ_from_each_other_and_from_what_is_taken() -> None:
    chosen = free_ports()
    assert set(chosen) == set(DEFAULT_PORTS)
    assert len(set(chosen.values())) == len(chosen)
    assert free_port(taken=chosen.values()) not in chosen.values()


@pytest.mark.parametrize("part", DEFAULT_PORTS)
def test_no_port_can_be_given_to_an_outgoing_connection(part: str) -> None:
    assert DEFAULT_PORTS[part] < outgoing_range_start()
    assert free_ports()[part] < outgoing_range_start()
