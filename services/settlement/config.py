"""Settings of settlement: `SIFANG_SETTLEMENT_*`."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class SettlementSettings(BaseSettings):
    """What a region may choose about its settlement. The three terms are those of seed 000 (周口, 市内异地)."""

    model_config = SettingsConfigDict(env_prefix="SIFANG_SETTLEMENT_", extra="ignore")

    statement_before_month_end: bool = False
    """Whether a facility may submit a month's statement before the month is over."""
    confirmation_working_days: int = 15
    """Working days every party has to confirm, counted from the statement (四方对账时限)."""
    remittance_working_days: int = 10
    """Working days a party has to remit, counted from the day it could (上解)."""
    disbursement_working_days: int = 10
    """Working days a party has to disburse, counted from the day it could (拨付)."""
    reminder_distances: tuple[int, ...] = (5, 2, 0, -1, -5)
    """Working days left at which a due is announced, a JSON list; negative once it is overdue."""
    reminders_every_s: float = 30.0
    """Pause between two looks for dues to announce, in seconds."""
    rematch_every_s: float = 2.0
    """Pause between two looks for statements whose books have changed since their match, in seconds."""
    differences_announced_max: int = 500
    """Differences of one match that are announced one by one; all of them can be read."""
    traced_bills_max: int = 100
    """Bills of one call in whose own traces their payment shows."""
