"""Ways to ask a part whether it is ready. None raises: a part that does not answer is not ready."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from contextlib import closing
from typing import Any

_TIMEOUT_S = 2.0
_API_VERSIONS = 18


def http_ok(host: str, port: int, path: str) -> bool:
    """Whether GET `path` is answered with 200."""
    return http_get(host, port, path)[0] == http.client.OK


def http_get(host: str, port: int, path: str) -> tuple[int, Any]:
    """Status and decoded JSON body (None when it is not JSON) of GET `path`; status 0 when nobody answers."""
    with closing(http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)) as connection:
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return 0, None
    try:
        return answer.status, json.loads(body)
    except ValueError:
        return answer.status, None


def kafka_answers(host: str, port: int) -> bool:
    """Whether a broker answers the first request of its protocol, which it does only once it takes work."""
    request = struct.pack(">hhih", _API_VERSIONS, 0, 1, -1)  # version 0, correlation 1, no client name
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(10, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (1, 0)
