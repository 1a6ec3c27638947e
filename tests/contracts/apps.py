"""The five services as applications, built from their own `app.py` without connecting to anything."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from fastapi import FastAPI
from starlette.routing import BaseRoute

from shared import keys
from shared.docs import parts_of_all
from shared.http.routing import Endpoint
from shared.service import Process, base_of
from shared.settings import Settings

PLUMBING = frozenset({"/health/live", "/health/ready", "/metrics", "/docs", "/docs/oauth2-redirect", "/openapi.json"})
"""What every process answers besides its endpoints, to anybody."""


class Operation(NamedTuple):
    """One endpoint of one service."""

    service: str
    endpoint: Endpoint

    @property
    def method(self) -> str:
        return next(iter(self.endpoint.methods or ()))

    @property
    def path(self) -> str:
        return self.endpoint.path_format

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"


@cache
def applications() -> Mapping[str, FastAPI]:
    """Every service's application, by name."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(secrets_dir=Path(folder))
        keys.init(settings.secrets_dir)
        parts = parts_of_all()
        return MappingProxyType({name: Process(base_of(settings, name), part).app for name, part in parts.items()})


def routes(app: FastAPI) -> Iterator[BaseRoute]:
    """Every route of an application, those of included routers one by one."""
    for route in app.routes:
        included = getattr(route, "original_router", None)
        yield from [route] if included is None else included.routes


def operations() -> list[Operation]:
    """Every endpoint of every service."""
    return [
        Operation(service, route)
        for service, app in applications().items()
        for route in routes(app)
        if isinstance(route, Endpoint)
    ]


def without_a_rule(app: FastAPI) -> list[str]:
    """Paths an application answers that are neither endpoints, which name their roles, nor plumbing."""
    others = [route for route in routes(app) if not isinstance(route, Endpoint)]
    paths = [getattr(route, "path", repr(route)) for route in others]
    return [path for path in paths if path not in PLUMBING]
