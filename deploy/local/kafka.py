"""Apache Kafka as one process, broker and controller in one (KRaft), on loopback ports."""

from __future__ import annotations

import base64
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from deploy.local import java, probes
from deploy.local.ports import HOST
from deploy.local.process import Program, run_tool

_HEAP = ("-Xms128m", "-Xmx384m")

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    # One node holds every copy there is.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Five consumer groups do not need fifty partitions for their offsets; fewer are made and opened faster.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After a crash the broker may come back only when its former self is given up: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    "num.network.threads": "2",
    "num.io.threads": "4",
}

_LOGGING = """\
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %-5p %c{1} %m%n
"""


class Kafka:
    """The embedded broker: its folder and its ports."""

    def __init__(self, folder: Path, port: int, controller_port: int) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._port = port
        self._controller_port = controller_port

    @property
    def bootstrap(self) -> str:
        """What clients connect to first."""
        return f"{HOST}:{self._port}"

    def make(self, jars: Sequence[Path]) -> None:
        """Write the configuration for this start's ports, and format the data folder unless it is there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "log4j2.properties").write_text(_LOGGING)
        self._write_settings(self._data)
        if not self._data.exists():
            self._format(jars)

    def program(self, jars: Sequence[Path]) -> Program:
        """How the broker is run."""
        return Program(
            name="kafka",
            argv=(*self._java(jars), "kafka.Kafka", str(self._settings_file)),
            is_ready=lambda: probes.kafka_answers(HOST, self._port),
            environment=java.environment(),
            folder=self._folder,
            stop_timeout_s=20,
        )

    @property
    def _settings_file(self) -> Path:
        return self._folder / "server.properties"

    def _java(self, jars: Sequence[Path]) -> tuple[str, ...]:
        logging = f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}"
        return (*java.command(_HEAP, self._folder), logging, "-cp", java.class_path(jars))

    def _format(self, jars: Sequence[Path]) -> None:
        """Format beside the final place and move the result there, so that a half-made one is never used."""
        partial = self._folder / "data.partial"
        if partial.exists():
            shutil.rmtree(partial)
        self._write_settings(partial)
        cluster_id = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        call = [*self._java(jars), "kafka.tools.StorageTool", "format", "--standalone"]
        # With "=", because one id in 64 begins with a hyphen and would be taken for an option.
        call += [f"--cluster-id={cluster_id}", "--config", str(self._settings_file)]
        run_tool(call, environment=java.environment(), folder=self._folder)
        partial.rename(self._data)
        self._write_settings(self._data)

    def _write_settings(self, data: Path) -> None:
        listeners = f"PLAINTEXT://{HOST}:{self._port},CONTROLLER://{HOST}:{self._controller_port}"
        settings = _SETTINGS | {
            "listeners": listeners,
            "advertised.listeners": listeners,
            "controller.quorum.bootstrap.servers": f"{HOST}:{self._controller_port}",
            "log.dirs": str(data),
        }
        self._settings_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
