"""Settings every service shares, read from `SIFANG_*` variables; each has a unit and a default."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICES = ("enrollment", "claims", "settlement", "designation", "notification")

DEFAULT_PORTS = dict(zip(SERVICES, range(8101, 8106), strict=True))


class Settings(BaseSettings):
    """What a process needs to know about its surroundings."""

    model_config = SettingsConfigDict(env_prefix="SIFANG_", extra="ignore")

    database_url: str = Field(default="postgresql://sifang@127.0.0.1:15432/sifang")
    """Owner's URL; services replace user and password by their own role's."""
    kafka_bootstrap: str = Field(default="127.0.0.1:19092")
    secrets_dir: Path = Field(default=Path(".local/secrets"))
    """Folder with the signing key, the key set, the data keys and the database password seed."""
    jwks_url: str | None = None
    """Where an identity provider publishes its key set; without it the file in `secrets_dir` counts."""
    token_issuer: str = "sifang"  # noqa: S105 - a name, not a secret
    token_audience: str = "sifang"  # noqa: S105
    host: str = "127.0.0.1"
    parts: Literal["all", "api", "worker"] = "all"
    """What one process runs: HTTP, or consumers and relay, or both."""
    environment: Literal["local", "production"] = "local"
    clock_file: Path | None = None
    """Training and demo only: a file with a shift of the clock in seconds. Refused in production."""
    regions_file: Path | None = None
    """Another region tree than the one shipped."""
    log_level: str = "INFO"
    traces_per_s: int = 50
    """Traces begun and recorded a second at most, in each process; `OTEL_TRACES_SAMPLER` chooses another sampler."""
    http_body_max_bytes: int = 2_000_000
    http_import_max_bytes: int = 1_000_000_000
    """Upper bound of a bulk import or a statement's file, which are streamed and never held: ten million lines fit."""
    http_in_flight_max: int = 2_000
    """Requests worked on at once by one process; more are told to come back (503)."""
    database_pool_max: int = 12
    database_timeout_s: float = 10.0
    graceful_stop_s: float = 15.0
    outbox_batch_max: int = 100
    """Events carried to the broker at once: more would keep requests waiting while they are handed over."""
    outbox_linger_s: float = 0.04
    """How long the relay lets commits gather before a round."""
    outbox_poll_s: float = 1.0
    consumer_batch_max: int = 500
    consumer_backoff_max_s: float = 5.0
    dead_letter_attempts: int = 3
    """How often an event that fails for an unknown reason is tried alone before it is set aside."""
    inbox_keep_days: int = 30

    def port(self, service: str) -> int:
        """The HTTP port of a service: `SIFANG_<SERVICE>_PORT`."""
        return getattr(self._ports, service)  # type: ignore[no-any-return]

    def url(self, service: str) -> str:
        """The address other services reach it under: `SIFANG_<SERVICE>_URL`, loopback by default."""
        return getattr(self._urls, service) or f"http://{self.host}:{self.port(service)}"

    @cached_property
    def _ports(self) -> _Ports:
        return _Ports()

    @cached_property
    def _urls(self) -> _Urls:
        return _Urls()

    def role_url(self, service: str, password: str) -> str:
        """The database URL of a service's own login role."""
        parts = urlsplit(self.database_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"sifang_{service}:{password}@{host}"))


class _Ports(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SIFANG_", extra="ignore")

    enrollment: int = Field(default=8101, validation_alias="SIFANG_ENROLLMENT_PORT")
    claims: int = Field(default=8102, validation_alias="SIFANG_CLAIMS_PORT")
    settlement: int = Field(default=8103, validation_alias="SIFANG_SETTLEMENT_PORT")
    designation: int = Field(default=8104, validation_alias="SIFANG_DESIGNATION_PORT")
    notification: int = Field(default=8105, validation_alias="SIFANG_NOTIFICATION_PORT")


class _Urls(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SIFANG_", extra="ignore")

    enrollment: str | None = Field(default=None, validation_alias="SIFANG_ENROLLMENT_URL")
    claims: str | None = Field(default=None, validation_alias="SIFANG_CLAIMS_URL")
    settlement: str | None = Field(default=None, validation_alias="SIFANG_SETTLEMENT_URL")
    designation: str | None = Field(default=None, validation_alias="SIFANG_DESIGNATION_URL")
    notification: str | None = Field(default=None, validation_alias="SIFANG_NOTIFICATION_URL")
