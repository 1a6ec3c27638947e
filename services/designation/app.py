"""Builds designation from its settings; nothing else constructs things."""

from __future__ import annotations

from services.designation.api import router
from services.designation.config import DesignationSettings
from services.designation.handlers import HANDLERS
from services.designation.use_cases import Designation
from shared.service import Base, Parts


def make(base: Base) -> Parts:
    """The parts of designation."""
    service = Designation(base.database, base.regions, DesignationSettings())
    return Parts(
        name="designation", title="Sifang designation 定点管理", routers=[router], handlers=HANDLERS, service=service
    )
