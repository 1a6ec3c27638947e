"""A cluster of their own for the tests that break things: nobody else's connections die with it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from deploy.local.cluster import Cluster
from deploy.local.ports import free_ports
from deploy.local.screen import Screen
from deploy.local.surroundings import KAFKA, POSTGRES, Folders, own_only
from shared.keys import TokenMaker
from shared.settings import SERVICES, Settings
from tests.conftest import MakeFolder
from tests.faults.aftermath import Aftermath
from tests.faults.load import Load

HURRIED = {"SIFANG_SETTLEMENT_BANK_EVERY_S": "0.2", "SIFANG_SETTLEMENT_REMINDERS_EVERY_S": "0.5"}
"""Jobs that a test kills in the middle come round more often than shipped."""


@pytest.fixture(scope="package")
def fragile(cluster_folder: MakeFolder, quiet: Screen) -> Iterator[Cluster]:
    """Everything running, to be broken."""
    cluster = Cluster(
        Folders.below(cluster_folder(), os.environ),
        free_ports,
        environment=own_only(os.environ) | HURRIED,
        screen=quiet,
        parts=(POSTGRES, KAFKA),
    )
    with cluster:
        cluster.start()
        cluster.start_services()
        yield cluster


@pytest.fixture(autouse=True)
def healthy(fragile: Cluster) -> Iterator[None]:
    """Whatever a test broke runs again for the next one, and what it started besides is gone."""
    yield
    for name in (POSTGRES, KAFKA, *SERVICES):
        if fragile.process(name).pid is None:
            fragile.start_part(name)
    for name in set(fragile.names) - {POSTGRES, KAFKA, *SERVICES}:
        fragile.stop_part(name)


@pytest.fixture(scope="package")
def fragile_settings(fragile: Cluster) -> Settings:
    """The settings under which code in this process meets the cluster."""
    environment = fragile.environment
    return Settings(
        database_url=environment["SIFANG_DATABASE_URL"],
        kafka_bootstrap=environment["SIFANG_KAFKA_BOOTSTRAP"],
        secrets_dir=fragile.folders.secrets,
    )


@pytest.fixture
async def aftermath(fragile: Cluster, fragile_settings: Settings) -> Aftermath:
    """What must hold when everything is over."""
    return Aftermath(fragile, fragile_settings)


@pytest.fixture
async def load(fragile: Cluster, fragile_settings: Settings, aftermath: Aftermath) -> Load:
    """A facility with thirty patients, at the one process of claims."""
    facility, people = await aftermath.seed(people=30)
    token = TokenMaker(fragile_settings).make(role="facility", party=facility)
    return Load(facility, people, token, lambda: [fragile.url("claims")])
