"""What the environment says about a cluster: where it keeps things, and which parts run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

POSTGRES, KAFKA, ZIPKIN = "postgres", "kafka", "zipkin"
ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""

_OTLP_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_ZIPKIN_VARIABLE = "OTEL_EXPORTER_ZIPKIN_ENDPOINT"
_EXPORTER_VARIABLE = "OTEL_TRACES_EXPORTER"
_ELSEWHERE_WHEN_SET = {
    POSTGRES: ("SIFANG_DATABASE_URL",),
    KAFKA: ("SIFANG_KAFKA_BOOTSTRAP",),
    ZIPKIN: (_EXPORTER_VARIABLE, _ZIPKIN_VARIABLE, *_OTLP_VARIABLES, "OTEL_SDK_DISABLED"),
}


@dataclass(frozen=True)
class Folders:
    """Where a cluster keeps what it keeps."""

    data: Path
    secrets: Path
    cache: Path
    """Downloads; several clusters share it."""

    @classmethod
    def of(cls, surroundings: Mapping[str, str]) -> Self:
        """Those of `make run`: under `.local` in the project, each movable by its variable."""

        def folder(variable: str, default: str) -> Path:
            return Path(surroundings.get(variable) or ROOT / ".local" / default).absolute()

        return cls(
            data=folder("SIFANG_DATA_DIR", "data"),
            secrets=folder("SIFANG_SECRETS_DIR", "secrets"),
            cache=folder("SIFANG_CACHE_DIR", "cache"),
        )

    @classmethod
    def below(cls, folder: Path, surroundings: Mapping[str, str]) -> Self:
        """Data and secrets of a cluster that lives for a while, in `folder`; the downloads are the usual ones."""
        return cls(data=folder / "data", secrets=folder / "secrets", cache=cls.of(surroundings).cache)

    @property
    def lock(self) -> Path:
        """Held by the cluster that works on the data."""
        return self.data / "lock"

    @property
    def state(self) -> Path:
        """What runs now, for commands in another terminal: a JSON object, private because it holds a password."""
        return self.data / "cluster.json"

    @property
    def logs(self) -> Path:
        """One log a part."""
        return self.data / "logs"

    @property
    def pid_files(self) -> Path:
        """One file a running part."""
        return self.data / "run"


def runs_elsewhere(part: str, surroundings: Mapping[str, str]) -> bool:
    """Whether the surroundings point at another PostgreSQL, broker or receiver of traces."""
    return any(surroundings.get(variable) for variable in _ELSEWHERE_WHEN_SET[part])


def own_only(surroundings: Mapping[str, str]) -> dict[str, str]:
    """The surroundings without anything that would lead a cluster to parts or folders outside it: for tests."""
    kept = {"SIFANG_CACHE_DIR", "SIFANG_LOG_LEVEL"}
    return {name: value for name, value in surroundings.items() if name in kept or not steers(name)}


def steers(variable: str) -> bool:
    """Whether a variable is one of those this cluster and its services go by."""
    return variable.startswith(("SIFANG_", "OTEL_"))


def exporter(surroundings: Mapping[str, str]) -> dict[str, str]:
    """The exporter that fits the receiver of traces the surroundings name, `none` when they name none."""
    if surroundings.get(_EXPORTER_VARIABLE):
        return {}
    if surroundings.get(_ZIPKIN_VARIABLE):
        return {_EXPORTER_VARIABLE: "zipkin_json"}
    has_otlp = any(surroundings.get(variable) for variable in _OTLP_VARIABLES)
    return {_EXPORTER_VARIABLE: "otlp" if has_otlp else "none"}


def zipkin_exporter(spans_url: str) -> dict[str, str]:
    """What makes programs send their traces to a Zipkin at `spans_url`."""
    return {_EXPORTER_VARIABLE: "zipkin_json", _ZIPKIN_VARIABLE: spans_url}
