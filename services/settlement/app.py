"""Builds settlement from its settings; nothing else constructs things."""

from __future__ import annotations

from functools import partial

from services.settlement.api import router
from services.settlement.bank.adapter import FolderBank
from services.settlement.config import SettlementSettings
from services.settlement.handlers import handlers
from services.settlement.rules.chain import LedgerKey
from services.settlement.use_cases.bank_accounts import renew_encryption
from services.settlement.use_cases.bank_receiving import receive
from services.settlement.use_cases.bank_sending import send, watch
from services.settlement.use_cases.clearing import cut_by_calendar
from services.settlement.use_cases.confirmations import deem_confirmed
from services.settlement.use_cases.invariants import check_recent, check_whole
from services.settlement.use_cases.order_book import order_released
from services.settlement.use_cases.overdue import escalate, remind_of_items
from services.settlement.use_cases.partitions import make_partitions
from services.settlement.use_cases.parts import BankDesk, Settlement
from services.settlement.use_cases.prepayments import renew_levels
from services.settlement.use_cases.reminders import rematch_reopened, remind
from services.settlement.use_cases.sealing import seal
from shared.keys import DATA_KEYS, ledger_key
from shared.personal import PersonalDataKeys
from shared.service import Base, Every, Parts
from shared.workdays import WorkCalendar


def make(base: Base) -> Parts:
    """The parts of settlement."""
    settings = SettlementSettings()
    key = LedgerKey(ledger_key(base.settings))
    data_keys = PersonalDataKeys.from_json((base.settings.secrets_dir / DATA_KEYS).read_bytes())
    desk = BankDesk(FolderBank(settings.bank_dir), data_keys)
    service = Settlement(base.database, base.regions, settings, WorkCalendar(), key, desk)
    return Parts(
        name="settlement",
        title="Sifang settlement 结算",
        routers=[router],
        handlers=handlers(base.regions, key),
        service=service,
        jobs=[
            Every(settings.reminders_every_s, partial(remind, service, base.clock), "reminders"),
            Every(settings.reminders_every_s, partial(remind_of_items, service, base.clock), "reminders of work items"),
            Every(settings.reminders_every_s, partial(escalate, service, base.clock), "escalations"),
            Every(settings.reminders_every_s, partial(deem_confirmed, service, base.clock), "deemed confirmations"),
            Every(settings.cycles_every_s, partial(cut_by_calendar, service, base.clock), "cycles"),
            Every(settings.calendar_every_s, partial(renew_levels, service, base.clock), "levels of prepayments"),
            Every(settings.calendar_every_s, partial(order_released, service, base.clock), "payouts of a batch"),
            Every(settings.rematch_every_s, partial(rematch_reopened, service, base.clock), "rematch"),
            Every(settings.bank_every_s, partial(send, service, base.clock), "payment files"),
            Every(settings.bank_every_s, partial(receive, service, base.clock), "files of the bank"),
            Every(settings.reminders_every_s, partial(watch, service, base.clock), "orders without an answer"),
            Every(3600, partial(renew_encryption, service), "encryption"),
            Every(settings.seal_every_s, partial(seal, service, base.clock, base.gauges), "sealing"),
            Every(settings.invariants_every_s, partial(check_recent, service, base.clock, base.gauges), "invariants"),
            Every(settings.invariants_every_s, partial(check_whole, service, base.clock, base.gauges), "whole ledger"),
            Every(settings.partitions_every_s, partial(make_partitions, service, base.clock), "partitions"),
        ],
    )
