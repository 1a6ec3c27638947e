"""Builds settlement from its settings; nothing else constructs things."""

from __future__ import annotations

from functools import partial

from services.settlement.api import router
from services.settlement.config import SettlementSettings
from services.settlement.handlers import handlers
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.reminders import rematch_reopened, remind
from shared.service import Base, Every, Parts
from shared.workdays import WorkCalendar


def make(base: Base) -> Parts:
    """The parts of settlement."""
    settings = SettlementSettings()
    service = Settlement(base.database, base.regions, settings, WorkCalendar())
    return Parts(
        name="settlement",
        title="Sifang settlement 结算",
        routers=[router],
        handlers=handlers(base.regions),
        service=service,
        jobs=[
            Every(settings.reminders_every_s, partial(remind, service, base.clock), "reminders"),
            Every(settings.rematch_every_s, partial(rematch_reopened, service, base.clock), "rematch"),
        ],
    )
