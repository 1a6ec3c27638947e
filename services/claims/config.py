"""Settings of claims: `SIFANG_CLAIMS_*`, and the benefit plans it was given."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

import yaml
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.claims.rules.benefit import Plan, plan_of
from shared.regions import RegionTree


class ClaimsSettings(BaseSettings):
    """What an operator may choose about claims."""

    model_config = SettingsConfigDict(env_prefix="SIFANG_CLAIMS_", extra="ignore")

    plans_file: Path | None = None
    """Other benefit plans than the ones shipped."""
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


class PlanBook:
    """Finds the plan of a home region and insurance: the nearest one above the region."""

    def __init__(self, plans: Mapping[tuple[str, str], Plan], regions: RegionTree) -> None:
        self._plans, self._regions = plans, regions
        self.find = cache(self._find)

    @classmethod
    def load(cls, regions: RegionTree, file: Path | None = None) -> PlanBook:
        """The plans of a YAML file. Raises KeyError or ValueError when it is malformed."""
        source = file or resources.files("services.claims").joinpath("plans.yaml")
        plans = [plan_of(document) for document in yaml.safe_load(source.read_text(encoding="utf-8"))]
        return cls({(p.region, p.insutype): p for p in plans}, regions)

    def _find(self, region: str, insutype: str) -> Plan | None:
        above = self._regions.ancestors(region) if region in self._regions else ()
        return next((self._plans[r, insutype] for r in above if (r, insutype) in self._plans), None)
