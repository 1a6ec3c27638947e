"""Settings of enrollment: `SIFANG_ENROLLMENT_*`."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class EnrollmentSettings(BaseSettings):
    """What an agency may choose about enrollment."""

    model_config = SettingsConfigDict(env_prefix="SIFANG_ENROLLMENT_", extra="ignore")

    referral_validity_months: int = 6
    """How long a referral filing holds when its application names no last day, in months.

    Six is the least that temporary filings hold, as recalled from 医保发〔2022〕22号; the text is not at hand.
    """
    import_chunk_lines: int = 2_000
    """Lines of an import that share a transaction."""
    import_refusals_max: int = 1_000
    """Refused lines an import names; all of them are counted."""
    rotation_batch_rows: int = 500
    """Persons whose data is encrypted anew in one transaction."""
