"""The embedded cluster: real parts on one machine, started side by side, watched, and stopped without a trace.

    postgres ─┐
    kafka    ─┼─ prepare (roles, schemas, topics) ─ the five services
    zipkin   ─┘ (waited for at the end only)

A part whose address the surroundings already give (`SIFANG_DATABASE_URL`, `SIFANG_KAFKA_BOOTSTRAP`, `OTEL_*`) runs
elsewhere and is not started.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local import downloads, lock, services, surroundings, zipkin
from deploy.local.errors import AlreadyRunning
from deploy.local.kafka import Kafka
from deploy.local.ports import HOST, free_port
from deploy.local.postgres import Postgres
from deploy.local.process import POLL_S, Process, Program, end_leftover, resident_bytes
from deploy.local.screen import Screen
from deploy.local.surroundings import KAFKA, POSTGRES, ZIPKIN, Folders
from shared.settings import SERVICES

INFRASTRUCTURE = (POSTGRES, KAFKA, ZIPKIN)


class Cluster:
    """A running cluster, or one about to run. Use it as a context manager: leaving it stops everything."""

    def __init__(
        self,
        folders: Folders,
        choose_ports: Callable[[], Mapping[str, int]],
        *,
        environment: Mapping[str, str],
        screen: Screen,
        parts: Iterable[str] = INFRASTRUCTURE,
        movable_clock: bool = False,
    ) -> None:
        """`environment` is what the services start from; `parts` what may be embedded at most.

        With a movable clock the file `clock_file` shifts the services' time, in seconds.
        """
        self.folders = folders
        self.ports: Mapping[str, int] = {}
        self.clock_file = folders.data / "clock" if movable_clock else None
        self._choose_ports = choose_ports
        self._surroundings = environment
        self._screen = screen
        self._embedded = tuple(part for part in parts if not surroundings.runs_elsewhere(part, environment))
        self._processes: dict[str, Process] = {}
        self._started_at = 0.0
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        """Take the data folder, end what a killed cluster left there, choose the ports. Raises AlreadyRunning."""
        self.folders.data.mkdir(parents=True, exist_ok=True)
        try:
            self._opened.enter_context(lock.held(self.folders.lock))
        except lock.Held as error:
            raise AlreadyRunning(
                f"another cluster (process {error.pid}) works on {self.folders.data}; "
                "stop it first, or choose another folder with SIFANG_DATA_DIR"
            ) from None
        for pid_file in self.folders.pid_files.glob("*.pid"):
            if end_leftover(pid_file):
                self._screen.note(f"ended the {pid_file.stem} that an earlier cluster left running")
        self.ports = self._choose_ports()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything in order; at once when interrupted while doing so."""
        try:
            self.stop()
        except BaseException:
            for process in self._processes.values():
                process.kill()
            raise
        finally:
            self._opened.close()

    # Starting and stopping

    def start(self) -> None:
        """Start the embedded parts and prepare database and broker.

        Raises PartFailed, ToolFailed, DownloadFailed and SecretsLost.
        """
        self._started_at = time.monotonic()
        self._set_old_logs_aside()
        launches = self._launches()
        with ThreadPoolExecutor(len(INFRASTRUCTURE)) as pool:
            for launched in [pool.submit(launch) for launch in launches]:
                launched.result()
        # Nobody needs the trace store yet: it is waited for together with the services.
        self._wait_ready(part for part in self._embedded if part != ZIPKIN)
        if POSTGRES in self._embedded:
            self._postgres.make_owner()
        services.prepare(self.environment)
        self._screen.done(f"database and topics prepared, {self.seconds_since_start:.1f} s after the start")
        self._write_state()

    def start_services(self, names: Iterable[str] = SERVICES) -> None:
        """Start services side by side and wait until they, and all parts before them, are ready. Raises PartFailed."""
        names = list(names)
        for name in names:
            self._run(services.program(name, self.environment, self.ports[name]))
        self._wait_ready([*names, *({ZIPKIN} & set(self._processes))])
        self._write_state()

    def start_another(self, service: str, extra: Mapping[str, str] | None = None) -> str:
        """Start one more process of a service on a free port, wait until it is ready, and return its name."""
        name = f"{service}-{1 + sum(one.startswith(service) for one in self._processes)}"
        port = free_port(taken=self.ports.values())
        self._run(services.program(service, {**self.environment, **(extra or {})}, port, name))
        self._wait_ready([name])
        self._write_state()
        return name

    def stop(self) -> None:
        """Stop everything: the services first, so that they can finish what they have accepted."""
        outer = [one for name, one in self._processes.items() if name not in INFRASTRUCTURE]
        inner = [one for name, one in self._processes.items() if name in INFRASTRUCTURE]
        for group in filter(None, (outer, inner)):
            with ThreadPoolExecutor(len(group)) as pool:
                list(pool.map(Process.stop, group))
        self._processes.clear()
        self.folders.state.unlink(missing_ok=True)

    # Single parts

    def process(self, name: str) -> Process:
        """A part's process; a part that was stopped or killed is still known by its name."""
        return self._processes[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The parts started so far, in that order."""
        return tuple(self._processes)

    def start_part(self, name: str) -> None:
        """Start a stopped or killed part again, where it was, and wait until it is ready. Raises PartFailed."""
        self._processes[name].start()
        self._wait_ready([name])
        self._write_state()

    def stop_part(self, name: str) -> None:
        """Stop a part in order."""
        self._processes[name].stop()

    def kill_part(self, name: str) -> None:
        """End a part as a crash would (SIGKILL)."""
        self._processes[name].kill()

    # What others want to know

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which a program meets this cluster. Holds a password."""
        environment = {
            "SIFANG_NOTIFICATION_SMS_FILE": str(self.folders.data / "sms.jsonl"),
            "SIFANG_SETTLEMENT_ARCHIVE_DIR": str(self.folders.data / "archive"),
            "SIFANG_SETTLEMENT_BANK_DIR": str(self.folders.data / "bank"),
            **self._surroundings,
            "SIFANG_HOST": HOST,
            "SIFANG_SECRETS_DIR": str(self.folders.secrets),
            **{services.port_variable(service): str(self.ports[service]) for service in SERVICES},
        }
        if POSTGRES in self._embedded:
            environment["SIFANG_DATABASE_URL"] = self._postgres.url
        if KAFKA in self._embedded:
            environment["SIFANG_KAFKA_BOOTSTRAP"] = self._kafka.bootstrap
        if self.clock_file is not None:
            environment["SIFANG_CLOCK_FILE"] = str(self.clock_file)
        if ZIPKIN in self._embedded:
            return environment | surroundings.zipkin_exporter(zipkin.spans_url(self.ports[ZIPKIN]))
        return environment | surroundings.exporter(self._surroundings)

    @property
    def trace_ui(self) -> str | None:
        """The page of the embedded trace store."""
        return zipkin.ui_url(self.ports[ZIPKIN]) if ZIPKIN in self._embedded else None

    @property
    def seconds_since_start(self) -> float:
        """How long ago `start` was called."""
        return time.monotonic() - self._started_at

    def url(self, service: str) -> str:
        """Where a service listens."""
        return f"http://{HOST}:{self.ports[service]}"

    def resident_bytes(self) -> dict[str, int]:
        """Memory of each part, its children included."""
        return {name: resident_bytes(process.pid) for name, process in self._processes.items() if process.pid}

    def check(self) -> None:
        """Raise PartFailed when a part ended that nobody stopped."""
        for process in self._processes.values():
            process.check()

    # The works

    @property
    def _postgres(self) -> Postgres:
        return Postgres(self.folders.data / POSTGRES, self.folders.secrets, self.ports[POSTGRES])

    @property
    def _kafka(self) -> Kafka:
        return Kafka(self.folders.data / KAFKA, self.ports[KAFKA], self.ports["kafka-controller"])

    def _launches(self) -> list[Callable[[], None]]:
        """How to make and start each embedded part; what has to be downloaded is there afterwards."""
        pinned = {part: downloads.pinned(part) for part in (KAFKA, ZIPKIN) if part in self._embedded}
        files = downloads.fetch(list(chain(*pinned.values())), self.folders.cache, self._screen)
        jars = {part: [files[jar] for jar in pins] for part, pins in pinned.items()}
        launch = {
            POSTGRES: self._launch_postgres,
            KAFKA: lambda: self._launch_kafka(jars[KAFKA]),
            ZIPKIN: lambda: self._launch_zipkin(jars[ZIPKIN]),
        }
        return [launch[part] for part in self._embedded]

    def _launch_postgres(self) -> None:
        self._postgres.make()
        self._run(self._postgres.program())

    def _launch_kafka(self, jars: list[Path]) -> None:
        self._kafka.make(jars)
        self._run(self._kafka.program(jars))

    def _launch_zipkin(self, jars: list[Path]) -> None:
        self._run(zipkin.program(self.folders.data / ZIPKIN, jars, self.ports[ZIPKIN]))

    def _run(self, program: Program) -> None:
        process = Process(
            program,
            log=self.folders.logs / f"{program.name}.log",
            pid_file=self.folders.pid_files / f"{program.name}.pid",
        )
        self._processes[program.name] = process
        process.start()

    def _wait_ready(self, names: Iterable[str]) -> None:
        pending = [self._processes[name] for name in names]
        while pending:
            self.check()
            for process in [one for one in pending if one.is_ready()]:
                pending.remove(process)
                self._screen.done(f"{process.name} ready in {time.monotonic() - process.started_at:.1f} s")
            time.sleep(POLL_S if pending else 0)

    def _set_old_logs_aside(self) -> None:
        """Keep the logs of the run before, and of no other."""
        for log in self.folders.logs.glob("*.log"):
            log.replace(log.with_suffix(".previous"))

    def _write_state(self) -> None:
        state = {
            "supervisor": os.getpid(),
            "ports": dict(self.ports),
            "pids": {name: process.pid for name, process in self._processes.items()},
            "environment": {name: value for name, value in self.environment.items() if surroundings.steers(name)},
        }
        partial = self.folders.state.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(state, indent=1))
        partial.replace(self.folders.state)
