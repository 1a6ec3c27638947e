"""The five services as programs of the local cluster, and the one that prepares database and broker for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from deploy.local import probes
from deploy.local.ports import HOST
from deploy.local.process import Program, run_tool
from deploy.local.surroundings import ROOT

_GRACE_S = 40
"""A little more than the time a service takes to finish what it has accepted."""


def port_variable(service: str) -> str:
    """The setting that holds a service's port."""
    return f"SIFANG_{service.upper()}_PORT"


def program(service: str, environment: Mapping[str, str], port: int, name: str | None = None) -> Program:
    """How a service is run; `name` tells a second process of the same service from the first."""
    return Program(
        name=name or service,
        argv=(sys.executable, "-m", f"services.{service}"),
        is_ready=lambda: probes.http_ok(HOST, port, "/health/ready"),
        ready_every_s=0.2,  # the answer costs the service a look at database and broker
        environment={**environment, port_variable(service): str(port)},
        folder=ROOT,
        stop_timeout_s=_GRACE_S,
    )


def prepare(environment: Mapping[str, str]) -> None:
    """Roles, schemas migrated to the newest version, topics. Raises ToolFailed with what was said."""
    run_tool([sys.executable, "-m", "shared.prepare"], environment=environment, folder=ROOT)
