"""The embedded cluster: durable, closed to strangers, silent about people, and only once on a data folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiokafka
import asyncpg
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.cluster import Cluster
from deploy.local.errors import AlreadyRunning, PartFailed, SecretsLost
from deploy.local.ports import free_ports
from deploy.local.screen import Screen
from deploy.local.surroundings import KAFKA, POSTGRES, Folders, own_only
from shared.keys import database_password
from shared.settings import SERVICES, Settings
from tests.conftest import MakeFolder
from tests.deploy.waiting import assert_gone, wait_for

MARK = "Zhang-San-411603"
"""Stands for personal data."""


def make(folders: Folders, screen: Screen) -> Cluster:
    """A cluster of database and broker, not yet started."""
    return Cluster(folders, free_ports, environment=own_only(os.environ), screen=screen, parts=(POSTGRES, KAFKA))


@dataclass(frozen=True)
class FirstStart:
    """What was before the cluster of these tests was started the second time."""

    ports: Mapping[str, int]
    pids: Sequence[int]


@pytest.fixture(scope="module")
async def started(cluster_folder: MakeFolder, quiet: Screen) -> AsyncIterator[tuple[Cluster, FirstStart]]:
    """A running cluster that these tests may break; it was started, given some data, and stopped before."""
    folders = Folders.below(cluster_folder(), os.environ)
    with make(folders, quiet) as first:
        first.start()
        await query(first, "CREATE TABLE first_start AS SELECT 7 AS value")
        await make_topic(first)
        await send(first, "first start")
        before = FirstStart(first.ports, [process.pid for name in first.names for process in tree(first, name)])
    with make(folders, quiet) as cluster:
        cluster.start()
        yield cluster, before


@pytest.fixture(scope="module")
def own(started: tuple[Cluster, FirstStart]) -> Cluster:
    """That cluster."""
    return started[0]


def tree(cluster: Cluster, name: str) -> list[psutil.Process]:
    """A part's processes."""
    root = psutil.Process(cluster.process(name).pid)
    return [root, *root.children(recursive=True)]


async def query(cluster: Cluster, statement: str) -> object:
    """What the owner gets as the first value of a statement."""
    connection = await asyncpg.connect(cluster.environment["SIFANG_DATABASE_URL"])
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def send(cluster: Cluster, text: str) -> None:
    """Put an event on a topic of these tests."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=cluster.environment["SIFANG_KAFKA_BOOTSTRAP"], acks="all")
    async with producer:
        await producer.send_and_wait("deploy-test", text.encode())


async def received(cluster: Cluster, count: int) -> list[str]:
    """The first events on the topic of these tests."""
    consumer = aiokafka.AIOKafkaConsumer(
        "deploy-test",
        bootstrap_servers=cluster.environment["SIFANG_KAFKA_BOOTSTRAP"],
        auto_offset_reset="earliest",
    )
    async with consumer:
        async with asyncio.timeout(20):
            return [((await consumer.getone()).value or b"").decode() for _ in range(count)]


async def make_topic(cluster: Cluster) -> None:
    """Make the topic of these tests."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.environment["SIFANG_KAFKA_BOOTSTRAP"])
    await admin.start()
    try:
        await admin.create_topics([NewTopic("deploy-test", num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


# Before anything runs on the folders


def test_two_clusters_on_one_data_folder_are_refused(tmp_path: Path, quiet: Screen) -> None:
    folders = Folders.below(tmp_path, os.environ)
    with make(folders, quiet), pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}.*SIFANG_DATA_DIR"):
        make(folders, quiet).__enter__()
    make(folders, quiet).__enter__().__exit__(None, None, None)  # the first one is gone: now it may


def test_data_without_its_secrets_is_refused(tmp_path: Path, quiet: Screen) -> None:
    folders = Folders.below(tmp_path, os.environ)
    (folders.data / POSTGRES).mkdir(parents=True)
    with make(folders, quiet) as cluster, pytest.raises(SecretsLost, match="make reset"):
        cluster.start()


# Closed to strangers, silent about people


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_logs_in_with_its_own_password_only(own: Cluster, service: str) -> None:
    settings = Settings(database_url=own.environment["SIFANG_DATABASE_URL"], secrets_dir=own.folders.secrets)
    another = SERVICES[SERVICES.index(service) - 1]
    connection = await asyncpg.connect(settings.role_url(service, database_password(settings, service)))
    await connection.close()
    for wrong in (database_password(settings, another), ""):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(settings.role_url(service, wrong))


async def test_the_owner_is_no_superuser(own: Cluster) -> None:
    assert await query(own, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
async def test_a_commit_is_durable(own: Cluster, setting: str) -> None:
    assert await query(own, f"SELECT current_setting('{setting}')") == "on"


def test_everything_listens_on_loopback_only(own: Cluster) -> None:
    listening = [
        connection.laddr.ip
        for name in own.names
        for process in tree(own, name)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 3
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


async def test_the_database_log_keeps_people_out(own: Cluster) -> None:
    await query(own, "CREATE TABLE people (name text PRIMARY KEY)")
    await query(own, f"INSERT INTO people VALUES ('{MARK}')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await query(own, f"INSERT INTO people VALUES ('{MARK}')")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await query(own, f"SELEC '{MARK}'")
    log = own.process(POSTGRES).log.read_text()
    assert "duplicate key value" in log
    assert MARK not in log


@pytest.mark.parametrize("folder", ["secrets", "state"])
def test_what_holds_passwords_is_private(own: Cluster, folder: str) -> None:
    path: Path = getattr(own.folders, folder)
    for file in path.iterdir() if path.is_dir() else [path]:
        assert file.stat().st_mode & 0o077 == 0, file


# Durable


@pytest.mark.parametrize("end", [Cluster.kill_part, Cluster.stop_part])
async def test_the_database_keeps_what_it_acknowledged(own: Cluster, end: Callable[[Cluster, str], None]) -> None:
    await query(own, "DROP TABLE IF EXISTS kept")
    await query(own, "CREATE TABLE kept AS SELECT 7 AS value")
    end(own, POSTGRES)
    with pytest.raises(ConnectionRefusedError):
        await query(own, "SELECT 1")
    own.start_part(POSTGRES)
    assert await query(own, "SELECT value FROM kept") == 7


async def test_the_broker_keeps_what_it_acknowledged(own: Cluster) -> None:
    await send(own, "before the crash")
    own.kill_part(KAFKA)
    own.start_part(KAFKA)
    await send(own, "after the crash")
    assert (await received(own, 3))[1:] == ["before the crash", "after the crash"]


def test_a_part_that_dies_is_noticed(own: Cluster) -> None:
    family = tree(own, POSTGRES)
    own.check()
    family[0].kill()
    wait_for(lambda: own.process(POSTGRES).exit_code is not None)
    with pytest.raises(PartFailed, match="postgres ended with signal SIGKILL"):
        own.check()
    assert_gone(process.pid for process in family[1:])
    own.start_part(POSTGRES)
    own.check()


async def test_a_second_start_finds_its_data_on_other_ports(started: tuple[Cluster, FirstStart]) -> None:
    second, first = started
    assert_gone(first.pids)
    assert second.ports != first.ports
    assert await query(second, "SELECT value FROM first_start") == 7
    assert (await received(second, 1)) == ["first start"]
