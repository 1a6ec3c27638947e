"""A database of its own, in which nobody else's jobs run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local.cluster import Cluster
from deploy.local.ports import free_ports
from deploy.local.screen import Screen
from deploy.local.surroundings import KAFKA, POSTGRES, Folders, own_only
from services.settlement.use_cases.parts import Settlement
from shared.database import Database
from shared.settings import Settings
from tests.conftest import MakeFolder
from tests.simulation.parts import parts_of


@pytest.fixture(scope="package")
def stage(cluster_folder: MakeFolder, quiet: Screen) -> Iterator[Settings]:
    """The settings of a prepared database without services."""
    cluster = Cluster(
        Folders.below(cluster_folder(), os.environ),
        free_ports,
        environment=own_only(os.environ),
        screen=quiet,
        parts=(POSTGRES, KAFKA),
    )
    with cluster:
        cluster.start()
        yield Settings(
            database_url=cluster.environment["SIFANG_DATABASE_URL"],
            kafka_bootstrap=cluster.environment["SIFANG_KAFKA_BOOTSTRAP"],
            secrets_dir=cluster.folders.secrets,
        )


@pytest.fixture
async def parts(stage: Settings) -> AsyncIterator[Settlement]:
    """The product's own parts on it."""
    database = Database(stage, "settlement")
    await database.open()
    yield parts_of(stage, database)
    await database.close()
