"""Settings of designation: `SIFANG_DESIGNATION_*`."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class DesignationSettings(BaseSettings):
    """What an agency may choose about designation."""

    model_config = SettingsConfigDict(env_prefix="SIFANG_DESIGNATION_", extra="ignore")

    agreement_years_max: int = 3
    """The longest an agreement may run, in years."""
