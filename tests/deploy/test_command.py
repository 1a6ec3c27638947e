"""`make run` as a person meets it: what it says, how it ends, and that nothing keeps running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.local.ports import DEFAULT_PORTS, HOST
from deploy.local.surroundings import ROOT, Folders, own_only
from shared.settings import SERVICES
from tests.conftest import MakeFolder
from tests.deploy.waiting import assert_gone, wait_for

COMMAND = (sys.executable, "-m", "deploy.local")
HEALTHY_S = 200


@pytest.fixture(scope="module")
def environment(cluster_folder: MakeFolder) -> dict[str, str]:
    """Folders of their own for these tests; one data folder, started several times."""
    folder = cluster_folder()
    moved = {"SIFANG_DATA_DIR": str(folder / "data"), "SIFANG_SECRETS_DIR": str(folder / "secrets")}
    return own_only(os.environ) | moved


@contextmanager
def running(environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A healthy cluster started by `run`, and the file its words go to."""
    said = tmp_path / "said"
    with said.open("wb") as out:
        command = subprocess.Popen([*COMMAND, "run"], cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        wait_for(lambda: "Ctrl-C stops everything" in said.read_text() or command.poll() is not None, HEALTHY_S)
        assert command.poll() is None, said.read_text()
        yield command, said
    finally:
        command.send_signal(signal.SIGINT)
        command.wait(60)


def call(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run another command beside the cluster."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def state(environment: dict[str, str]) -> dict[str, Any]:
    """What the running cluster says of itself."""
    read: dict[str, Any] = json.loads(Folders.of(environment).state.read_text())
    return read


def all_pids(environment: dict[str, str]) -> list[int]:
    """Every process of the running cluster, its supervisor included."""
    supervisor = psutil.Process(state(environment)["supervisor"])
    return [supervisor.pid, *(child.pid for child in supervisor.children(recursive=True))]


@contextmanager
def busy(port: int) -> Iterator[None]:
    """A port on which somebody listens: we, unless another program does already."""
    try:
        server = socket.create_server((HOST, port))
    except OSError:
        yield
        return
    with server:
        yield


def test_ctrl_c_ends_everything_cleanly(environment: dict[str, str], tmp_path: Path) -> None:
    port = DEFAULT_PORTS["claims"]
    with busy(port), running(environment, tmp_path) as (command, said):
        pids, ports, words = all_pids(environment), state(environment)["ports"], said.read_text()
        assert f"port {port} is busy: claims listens on {ports['claims']} instead" in words
        assert all(f"http://{HOST}:{ports[service]}/docs" in words for service in SERVICES)
        assert_others_meet_it(environment, command.pid)
    assert command.returncode == 0
    assert_gone(pids)
    assert call(environment, "status").returncode == 1


def assert_others_meet_it(environment: dict[str, str], pid: int) -> None:
    """What the other commands do while a cluster runs."""
    status = call(environment, "status")
    assert status.returncode == 0, status.stdout
    assert status.stdout.count("\thealthy\t") == len(SERVICES)
    second = call(environment, "run")
    assert second.returncode == 1
    assert f"another cluster (process {pid})" in second.stdout
    assert call(environment, "reset").returncode == 1
    code = "import os; print(os.environ['SIFANG_KAFKA_BOOTSTRAP'])"
    told = call(environment, "exec", "--", sys.executable, "-c", code)
    assert told.stdout.strip() == f"{HOST}:{state(environment)['ports']['kafka']}"


def test_a_part_that_dies_is_named_and_everything_ends(environment: dict[str, str], tmp_path: Path) -> None:
    with running(environment, tmp_path) as (command, said):
        pids = all_pids(environment)
        os.kill(state(environment)["pids"]["settlement"], signal.SIGKILL)
        command.wait(60)
    assert command.returncode == 1
    assert "settlement ended with signal SIGKILL. The last lines of its log:" in said.read_text()
    assert_gone(pids)


def test_a_killed_supervisor_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    with running(environment, tmp_path) as (command, _):
        pids = all_pids(environment)
        command.kill()
    assert_gone(pids)
    assert call(environment, "reset").returncode == 0
    assert not Folders.of(environment).data.exists()


def test_reset_removes_only_what_is_a_clusters(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    refused = call(own_only(os.environ) | {"SIFANG_DATA_DIR": str(tmp_path)}, "reset")
    assert refused.returncode == 1
    assert "nothing was removed" in refused.stdout
    assert (tmp_path / "thesis.txt").exists()
