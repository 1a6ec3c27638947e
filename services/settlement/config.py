"""Settings of settlement: `SIFANG_SETTLEMENT_*`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.settlement.rules.terms import NegativeRule, Netting, PaymentWay, UnpaidRule


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
    seal_every_s: float = 2.0
    """Pause between two rounds of sealing the ledger, in seconds."""
    seal_batch_max: int = Field(default=2000, gt=0)
    """Transactions sealed in one database transaction."""
    unsealed_max_s: float = 300.0
    """How long a transaction may wait for the chain before that is a violation, in seconds."""
    invariants_every_s: float = 10.0
    """Pause between two checks of what was sealed since the last one, in seconds."""
    invariants_whole_every_s: float = 6 * 3600.0
    """Time between two checks of the whole ledger, in seconds."""
    invariants_batch_max: int = Field(default=5000, gt=0)
    """Transactions checked in one look."""
    partitions_every_s: float = 3600.0
    """Pause between two looks whether next year's partitions are there, in seconds."""
    spreadsheet_entries_max: int = 100_000
    """Entries of a month up to which it is exported as a spreadsheet; there is no such limit for other forms."""
    differences_announced_max: int = 500
    """Differences of one match that are announced one by one; all of them can be read."""
    tolerance_fen: int = Field(default=0, ge=0)
    """How far each sum of a bill may be apart, stated from booked, before it is a difference (容差)."""
    item_working_days: int = Field(default=5, ge=0)
    """Working days a party has to deal with a difference, counted from the match that found it."""
    four_eyes_above_fen: int = Field(default=100_000, ge=0)
    """Differences above this amount are decided by two people (四眼)."""
    match_memory_mb: int = Field(default=512, ge=4, le=4096)
    """What the database may use for each step of a match before it goes to the disk."""
    file_chunk_lines: int = Field(default=20_000, gt=0)
    """Lines of a statement's file read and written at once; progress is kept after each."""
    file_lines_max: int = 10_000_000
    """Lines a statement's file may have: a month of the largest city is six million bills."""
    file_unpacked_max_bytes: int = 2_000_000_000
    """Upper bound of what a ZIP may hold, unpacked."""
    file_refusals_max: int = 1_000
    """Things wrong with a statement's file that are named; then it is read no further."""
    escalation_distances: tuple[int, ...] = (5, 10)
    """Working days after the due day at which the agency above is told, one level each, a JSON list (催办)."""
    deemed_consent: bool = False
    """Whether silence is agreement once the time to confirm is over (逾期视为确认)."""
    netting: Netting = Netting.GROSS
    """How the hops of a cycle become payments: gross, bilateral, multilateral (轧差方式)."""
    unpaid_rule: UnpaidRule = UnpaidRule.POSTPONE
    """What becomes of a cycle when a party does not remit: prepayment, postpone, part_pay (未上解处理)."""
    negative_rule: NegativeRule = NegativeRule.CARRY
    """What becomes of a position in which a facility owes: carry, collect (负数处理)."""
    payment_way: PaymentWay = PaymentWay.RECORDED
    """How an approved payment is made: recorded, bank (付款方式)."""
    cycle_day: int = Field(default=25, ge=1, le=28)
    """Day of the month on which a cycle is cut (清算日)."""
    prepayment_yellow_percent: int = Field(default=70, ge=1, le=100)
    """Use of the prepayment from which it is low (黄色预警)."""
    prepayment_red_percent: int = Field(default=90, ge=1, le=100)
    """Use of the prepayment from which it is nearly used up (红色预警)."""
    prepayment_reset_day: int = Field(default=10, ge=1, le=31)
    """Day of January on which the levels of prepayments are set anew by the year before (年度核定)."""
    second_review_above_fen: int = Field(default=100_000_000, ge=0)
    """Payment orders above this amount need a second reviewer (复审)."""
    bank_dir: Path = Path(".local/data/bank")
    """Folder of the bank's files: payment files in `outbox`, its answers in `inbox` (银企直联)."""
    bank_every_s: float = 5.0
    """Pause between two looks for orders to send and answers to read, in seconds."""
    bank_batch_orders_max: int = Field(default=500, gt=0, le=5000)
    """Orders in one payment file."""
    bank_file_max_bytes: int = Field(default=20_000_000, gt=0)
    """Upper bound of a file from the bank."""
    bank_answer_working_days: int = Field(default=2, ge=0)
    """Working days the bank has to answer an order before somebody is told."""
    bank_item_working_days: int = Field(default=3, ge=0)
    """Working days somebody has to look into what the bank's answers left open."""
    payout_cut_day: int = Field(default=20, ge=1, le=31)
    """Day of the month up to which a payout that is reported is paid in the next month; later ones a month later."""
    payout_pay_day: int = Field(default=25, ge=1, le=28)
    """Day of the month from which payouts of a batch are paid (批量支付)."""
    traced_bills_max: int = 100
    """Bills of one call in whose own traces their payment shows."""
    prepayment_average_months: int = Field(default=2, gt=0)
    """Average months of the year before that make the level of a prepayment (预付金额度)."""
    prepayment_working_days: int = Field(default=5, ge=0)
    """Working days to pay what is to be added to a prepayment or given back."""
    retention_permille: int = Field(default=0, ge=0, le=1000)
    """Share of what a facility is paid that is retained until the yearly review, in thousandths (质量保证金)."""
    retention_full_index: Decimal = Field(default=Decimal("0.98"), ge=0, max_digits=8, decimal_places=4)
    """Level index from which all that was retained is given back; below it a share by the index (水平指数)."""
    archive_after_years: int = Field(default=5, ge=1)
    """Years that must have passed after a year before its bills may be archived (年度归档)."""
    archive_dir: Path = Path(".local/data/archive")
    """Folder of the archived years, on a disk of its own if possible."""
    calendar_every_s: float = 600.0
    """Pause between two looks for what the calendar proposes: yearly levels of prepayments, batches of payouts."""
    cycles_every_s: float = 60.0
    """Pause between two looks for cycles whose day has come, in seconds."""
