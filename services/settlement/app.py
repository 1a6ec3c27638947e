"""Builds settlement from its settings; nothing else constructs things."""

from __future__ import annotations

from functools import partial

from services.settlement.api import router
from services.settlement.config import SettlementSettings
from services.settlement.handlers import handlers
from services.settlement.rules.chain import LedgerKey
from services.settlement.use_cases.invariants import check_recent, check_whole
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.reminders import rematch_reopened, remind
from services.settlement.use_cases.sealing import seal
from shared.keys import ledger_key
from shared.service import Base, Every, Parts
from shared.workdays import WorkCalendar


def make(base: Base) -> Parts:
    """The parts of settlement."""
    settings = SettlementSettings()
    key = LedgerKey(ledger_key(base.settings))
    service = Settlement(base.database, base.regions, settings, WorkCalendar(), key)
    return Parts(
        name="settlement",
        title="Sifang settlement 结算",
        routers=[router],
        handlers=handlers(base.regions, key),
        service=service,
        jobs=[
            Every(settings.reminders_every_s, partial(remind, service, base.clock), "reminders"),
            Every(settings.rematch_every_s, partial(rematch_reopened, service, base.clock), "rematch"),
            Every(settings.seal_every_s, partial(seal, service, base.clock, base.gauges), "sealing"),
            Every(settings.invariants_every_s, partial(check_recent, service, base.clock, base.gauges), "invariants"),
            Every(settings.invariants_every_s, partial(check_whole, service, base.clock, base.gauges), "whole ledger"),
        ],
    )
