"""`python -m tests.simulation [--first SEED] [--count N]`: plays seeds on a database of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from deploy.local.cluster import Cluster
from deploy.local.ports import free_ports
from deploy.local.screen import Screen
from deploy.local.surroundings import KAFKA, POSTGRES, Folders, own_only
from shared.database import Database
from shared.settings import Settings
from tests.simulation.parts import parts_of
from tests.simulation.running import simulate


async def _simulate(settings: Settings, first: int, count: int) -> None:
    database = Database(settings, "settlement")
    await database.open()
    try:
        happened = await simulate(parts_of(settings, database), range(first, first + count))
    finally:
        await database.close()
    print(", ".join(f"{name} {times}" for name, times in happened.most_common()))


def main(arguments: list[str]) -> None:
    """Parse, start a database, play."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--count", type=int, default=200, help="how many seeds")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sifang-simulate-") as folder:
        cluster = Cluster(
            Folders.below(Path(folder), os.environ),
            free_ports,
            environment=own_only(os.environ),
            screen=Screen(Console(quiet=True)),
            parts=(POSTGRES, KAFKA),
        )
        with cluster:
            cluster.start()
            settings = Settings(
                database_url=cluster.environment["SIFANG_DATABASE_URL"],
                kafka_bootstrap=cluster.environment["SIFANG_KAFKA_BOOTSTRAP"],
                secrets_dir=cluster.folders.secrets,
            )
            asyncio.run(_simulate(settings, chosen.first, chosen.count))


if __name__ == "__main__":
    main(sys.argv[1:])
