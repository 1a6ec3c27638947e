"""The embedded cluster on the command line: `python -m deploy.local run|demo|status|exec|fetch|reset`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from deploy.local import downloads, lock, probes, welcome
from deploy.local.cluster import Cluster
from deploy.local.errors import AlreadyRunning, ClusterError, NotRunning, StrangeFolder
from deploy.local.ports import HOST, default_ports, free_ports
from deploy.local.process import die_with, resident_bytes
from deploy.local.screen import Screen
from deploy.local.surroundings import KAFKA, ROOT, ZIPKIN, Folders
from shared.settings import SERVICES

WATCH_S = 0.3
_INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
_HURRIED = {
    "SIFANG_SETTLEMENT_REMINDERS_EVERY_S": "1",
    "SIFANG_SETTLEMENT_BANK_EVERY_S": "0.3",
    "OTEL_BSP_SCHEDULE_DELAY": "1000",
}
"""A demo plays a month in a minute: what comes round by itself must come round sooner."""


def run(screen: Screen) -> int:
    """Start everything, show where it is, and keep it until Ctrl-C."""
    cluster = Cluster(
        Folders.of(os.environ),
        lambda: default_ports(screen.note),
        environment=os.environ,
        screen=screen,
    )
    with cluster:
        _start(cluster, screen)
        welcome.show(cluster, screen)
        _stay(cluster, screen)
    screen.done("stopped")
    return 0


def demo(screen: Screen, arguments: Sequence[str], *, keep: bool) -> int:
    """Play the demo on a cluster of its own and return its exit code; its folder stays only if it failed."""
    folder = Path(tempfile.mkdtemp(prefix="sifang-demo-"))
    failed = True
    try:
        code = _demo_in(folder, screen, arguments, keep=keep)
        failed = code != 0
    except KeyboardInterrupt:
        failed = False
        raise
    finally:
        if failed:
            screen.note(f"the logs are in {Folders.below(folder, os.environ).logs}")
        else:
            shutil.rmtree(folder)
    return code


def _demo_in(folder: Path, screen: Screen, arguments: Sequence[str], *, keep: bool) -> int:
    folders = Folders.below(folder, os.environ)
    environment = {**os.environ, **_HURRIED, "SIFANG_NOTIFICATION_SMS_FILE": str(folders.data / "sms.jsonl")}
    cluster = Cluster(folders, free_ports, environment=environment, screen=screen, movable_clock=True)
    with cluster:
        _start(cluster, screen)
        code = _play(cluster, [sys.executable, "-m", "deploy.demo", *arguments])
        if keep:
            screen.note(f"the cluster stays up until Ctrl-C, its traces at {cluster.trace_ui}")
            _stay(cluster, screen)
    return code


def _start(cluster: Cluster, screen: Screen) -> None:
    with screen.working("starting"):
        cluster.start()
        cluster.start_services()


def _stay(cluster: Cluster, screen: Screen) -> None:
    """Watch the parts until Ctrl-C. Raises PartFailed when one ends by itself."""
    try:
        while True:
            cluster.check()
            time.sleep(WATCH_S)
    except KeyboardInterrupt:
        screen.note("stopping (Ctrl-C again: at once)")


def _play(cluster: Cluster, call: Sequence[str]) -> int:
    """Run a program in the cluster's surroundings to its end, watching the parts meanwhile."""
    supervisor = os.getpid()
    child = subprocess.Popen(
        call, cwd=ROOT, env=cluster.environment, preexec_fn=lambda: die_with(supervisor, signal.SIGTERM)
    )
    try:
        while child.poll() is None:
            cluster.check()
            time.sleep(WATCH_S)
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
    return child.returncode


def status(screen: Screen) -> int:
    """Show every part of the running cluster; exit code 0 when all are healthy. Raises NotRunning."""
    state = _running_state(Folders.of(os.environ))
    rows = [_status_row(name, pid, state["ports"]) for name, pid in state["pids"].items()]
    screen.table("Cluster", ("part", "pid", "state", "resident MB"), rows)
    return 0 if all(row[2] in ("healthy", "runs") for row in rows) else 1


def _status_row(name: str, pid: int | None, ports: Mapping[str, int]) -> tuple[str, str, str, str]:
    if pid is None or not psutil.pid_exists(pid):
        return name, "–", "stopped", "–"
    resident_mb = f"{resident_bytes(pid) / 1e6:.0f}"
    if name not in SERVICES:
        return name, str(pid), "runs", resident_mb
    code, answer = probes.http_get(HOST, ports[name], "/health/ready")
    ails = _what_ails(answer)
    return name, str(pid), "healthy" if code == 200 and not ails else ails, resident_mb


def _what_ails(answer: Any) -> str:
    if not isinstance(answer, dict):
        return "does not answer"
    words = {part: word for part, word in answer.items() if isinstance(word, str) and part != "service"}
    return ", ".join(f"{part}: {word}" for part, word in words.items() if word != "ok")


def execute(call: Sequence[str]) -> int:
    """Run a program in the surroundings of the running cluster, in place of this one. Raises NotRunning."""
    state = _running_state(Folders.of(os.environ))
    os.execvpe(call[0], list(call), {**os.environ, **state["environment"]})  # noqa: S606 - what it is for


def fetch(screen: Screen) -> int:
    """Download what a cluster needs unless it is there, so that no later start has to."""
    jars = [jar for program in (KAFKA, ZIPKIN) for jar in downloads.pinned(program)]
    downloads.fetch(jars, Folders.of(os.environ).cache, screen)
    return 0


def reset(screen: Screen) -> int:
    """Forget the data of `run`; secrets and downloads stay. Raises AlreadyRunning and StrangeFolder."""
    folders = Folders.of(os.environ)
    if not folders.data.exists():
        screen.done(f"there is no data in {folders.data}")
        return 0
    if not folders.lock.exists():
        raise StrangeFolder(f"{folders.data} does not look like a cluster's data; nothing was removed")
    try:
        with lock.held(folders.lock):
            shutil.rmtree(folders.data)
    except lock.Held as error:
        raise AlreadyRunning(f"a cluster (process {error.pid}) works on {folders.data}; stop it first") from None
    screen.done(f"forgot {folders.data}")
    return 0


def _running_state(folders: Folders) -> dict[str, Any]:
    if not lock.is_held(folders.lock) or not folders.state.exists():
        raise NotRunning(f"no cluster runs on {folders.data}; start one with `make run`")
    state: dict[str, Any] = json.loads(folders.state.read_text())
    return state


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help=run.__doc__)
    demo_parser = commands.add_parser("demo", help=demo.__doc__)
    demo_parser.add_argument("--keep", action="store_true", help="leave the cluster up until Ctrl-C")
    demo_parser.add_argument("rest", nargs="*", help="arguments of the demo itself, after --")
    commands.add_parser("status", help=status.__doc__)
    commands.add_parser("exec", help=execute.__doc__).add_argument("rest", nargs="+")
    commands.add_parser("fetch", help=fetch.__doc__)
    commands.add_parser("reset", help=reset.__doc__)
    return parser.parse_args(arguments)


def _dispatch(options: argparse.Namespace, screen: Screen) -> int:
    match options.command:
        case "run":
            return run(screen)
        case "demo":
            return demo(screen, options.rest, keep=options.keep)
        case "status":
            return status(screen)
        case "exec":
            return execute(options.rest)
        case "fetch":
            return fetch(screen)
        case _:
            return reset(screen)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 1 for what the message on the screen says, 130 when interrupted."""
    # A closed terminal or a polite kill ends everything as Ctrl-C does; so does SIGINT where a shell had it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    screen = Screen()
    try:
        return _dispatch(_parse(arguments), screen)
    except ClusterError as error:
        screen.failed(str(error))
        return 1
    except KeyboardInterrupt:
        screen.note("interrupted")
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
