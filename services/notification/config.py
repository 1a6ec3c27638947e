"""Settings of notification: `SIFANG_NOTIFICATION_*`."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class NotificationSettings(BaseSettings):
    """What a deployment may choose about notification."""

    model_config = SettingsConfigDict(env_prefix="SIFANG_NOTIFICATION_", extra="ignore")

    templates_file: Path | None = None
    """Other templates than those shipped in `templates.yaml`."""

    sms_file: Path = Path(".local/data/sms.jsonl")
    """Where the local carrier writes. It stands for the world outside: it holds phone numbers."""
    sms_batch_max: int = Field(default=400, ge=1, le=500)
    """Messages a round; enrollment answers for 500 persons at most."""
    sms_every_s: float = Field(default=0.5, gt=0)
    """Pause between two rounds: with the batch it bounds what sending takes away from the other services."""

    webhook_batch_max: int = Field(default=200, ge=1)
    webhook_lane_max: int = Field(default=40, ge=1)
    """Messages of one subscription in a round, so that a busy partner leaves room for the others."""
    webhook_concurrency: int = Field(default=4, ge=1)
    """Messages of one subscription at once."""
    webhook_every_s: float = Field(default=0.5, gt=0)
    webhook_timeout_s: float = Field(default=8.0, gt=0)
    """From resolving the name to the answer's status."""
    webhook_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Private networks that partners may live in (医保专网), e.g. `["10.20.0.0/16"]`; public addresses always may."""

    attempts_max: int = Field(default=15, ge=1)
    backoff_first_s: float = Field(default=2.0, gt=0)
    """Pause after the first failed attempt; doubles with each further one. Half of every pause is chance."""
    backoff_max_s: float = Field(default=3600.0, gt=0)
    rest_max_s: float = Field(default=300.0, gt=0)
    """The longest a subscription rests whose address takes nothing at all; then one message probes it."""
    give_up_days: int = Field(default=14, ge=1)
    """A subscription whose address took nothing for so long is switched off."""
    lease_s: float = Field(default=120.0, gt=0)
    """How long a round owns its messages; after a crash they are sent again when it has passed."""

    subscriptions_max: int = Field(default=10, ge=1)
    """Active subscriptions of one party."""
    housekeeping_every_s: float = Field(default=5.0, gt=0)
    keep_days: int = Field(default=400, ge=1)
    """Messages that are done are forgotten after this time."""

    @model_validator(mode="after")
    def _lease_outlives_round(self) -> Self:
        longest_s = self.webhook_timeout_s * -(-self.webhook_lane_max // self.webhook_concurrency)
        if longest_s >= self.lease_s:
            raise ValueError(f"lease_s must exceed the longest webhook round, {longest_s:g} s")
        return self
