"""Settings of claims: `SIFANG_CLAIMS_*`, and where its policy packs come from."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

SHIPPED = Path(__file__).parents[2] / "packs"


class ClaimsSettings(BaseSettings):
    """What an operator may choose about claims."""

    model_config = SettingsConfigDict(env_prefix="SIFANG_CLAIMS_", extra="ignore")

    packs_dir: Path | None = None
    """Folder of the policy packs that are in force from the start, when not the one shipped; officers put further ones
    in force."""
    packs: tuple[str, ...] = ("zhoukou", "chizhou", "national")
    """Which of its folders."""
    policies_every_s: float = 2.0
    """How often a process looks for packs that were put in force elsewhere."""
    replay_every_s: float = 3.0
    """How often it is looked for replays of policies that were asked for."""
    recheck_every_s: float = 5.0
    """How often it is looked for persons whose later bills are to be decided again."""
    batch_max: int = 64
    """Settlements gathered into one transaction at most."""
    batch_workers: int = 1
    """Group commits under way at once; on two cores a second one lengthens every call and settles no more."""
    queue_max: int = 2_000
    """Settlements waiting at most; more are told to come back."""
    lines_per_visit_max: int = 20_000
    """Fee lines one visit may hold."""
    clock_tolerance_s: int = 300
    """How far a facility's clock may run ahead of ours."""
