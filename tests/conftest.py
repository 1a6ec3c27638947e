"""Real parts for the tests: one embedded cluster a session, started when the first test asks for it."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import httpx
import psutil
import pytest
from rich.console import Console

from deploy.local.cluster import Cluster
from deploy.local.ports import free_ports
from deploy.local.screen import Screen
from deploy.local.surroundings import KAFKA, POSTGRES, Folders, own_only
from shared.keys import TokenMaker
from shared.settings import Settings
from tests.collector import Collector

TLS = ssl.create_default_context()
"""Shared by all clients: to load its certificates takes longer than most tests."""

MakeFolder = Callable[[], Path]
"""Makes an empty folder."""


class MakeToken(Protocol):
    """Signs a token for a role at a party."""

    def __call__(self, role: str, party: str, subject: str | None = None) -> str: ...


class MakeClient(Protocol):
    """Makes an HTTP client of one service, speaking with a token when one is given."""

    def __call__(self, service: str, token: str | None = None) -> httpx.AsyncClient: ...


IMPATIENT = {
    "SIFANG_CLAIMS_RECHECK_EVERY_S": "0.5",
    "SIFANG_CLAIMS_REPLAY_EVERY_S": "0.5",
    "SIFANG_SETTLEMENT_BANK_EVERY_S": "86400",
}
"""Jobs that look for work do so more often than shipped: tests wait for what they do.

Only the bank's do not: tests send and receive at a moment of their own, with a bank of their own.
"""


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Fail the session when a test left a process behind."""
    me = psutil.Process()
    before = set(me.children(recursive=True))
    yield
    left = set(me.children(recursive=True)) - before
    assert not left, f"processes left by the tests: {[process.cmdline() for process in left]}"


@pytest.fixture(scope="session")
def quiet() -> Screen:
    """A screen nobody looks at; what goes wrong is in the error."""
    return Screen(Console(quiet=True))


@pytest.fixture(scope="session")
def cluster_folder() -> Iterator[MakeFolder]:
    """Makes folders for clusters, gone after the session.

    Not below pytest's own: when another session starts on the machine, that closes its folder to the account under
    which root runs PostgreSQL.
    """
    with ExitStack() as made:
        yield lambda: Path(made.enter_context(TemporaryDirectory(prefix="sifang-test-")))


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Receives the traces of the services under test."""
    with Collector() as listening:
        yield listening


@pytest.fixture(scope="session")
def cluster(cluster_folder: MakeFolder, quiet: Screen, collector: Collector) -> Iterator[Cluster]:
    """PostgreSQL and Kafka, with roles, schemas and topics prepared; no service runs yet."""
    embedded = Cluster(
        Folders.below(cluster_folder(), os.environ),
        free_ports,
        environment=own_only(os.environ) | collector.environment | IMPATIENT,
        screen=quiet,
        parts=(POSTGRES, KAFKA),
        movable_clock=True,
    )
    with embedded:
        embedded.start()
        yield embedded


@pytest.fixture(scope="session")
def services(cluster: Cluster) -> Cluster:
    """The same cluster with all five services running."""
    cluster.start_services()
    return cluster


@pytest.fixture(scope="session")
def settings(cluster: Cluster) -> Settings:
    """The settings under which code in this process meets the cluster."""
    environment = cluster.environment
    return Settings(
        database_url=environment["SIFANG_DATABASE_URL"],
        kafka_bootstrap=environment["SIFANG_KAFKA_BOOTSTRAP"],
        secrets_dir=cluster.folders.secrets,
        clock_file=cluster.clock_file,
    )


@pytest.fixture(scope="session")
def token(settings: Settings) -> MakeToken:
    """`token(role, party, subject)` gives what a caller sends as `Authorization: Bearer …`."""
    maker = TokenMaker(settings)

    def make(role: str, party: str, subject: str | None = None) -> str:
        return maker.make(role=role, party=party, subject=subject)

    return make


@pytest.fixture
async def client(services: Cluster) -> AsyncIterator[MakeClient]:
    """`client(service, token)` gives an HTTP client of a running service; all are closed after the test."""
    async with AsyncExitStack() as opened:

        def make(service: str, token: str | None = None) -> httpx.AsyncClient:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            made = httpx.AsyncClient(
                base_url=services.url(service), headers=headers, timeout=30, trust_env=False, verify=TLS
            )
            opened.push_async_callback(made.aclose)
            return made

        yield make
