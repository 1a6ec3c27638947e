"""What a bill must be to be booked, and in which month it is booked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

from services.settlement import errors
from services.settlement.rules.ledger import Share, is_value_date
from shared.refusals import Refusal
from shared.workdays import month_bounds, month_of, shanghai_day

BILL_MAX_FEN = 10**12
"""The most an amount of one bill can come to (一百亿元), here as in the lines of a statement."""


@dataclass(frozen=True)
class Bill:
    """One settlement row (结算) as it was announced; a reversal's amounts are negative. All amounts in fen."""

    settlement_id: str
    visit_id: str
    person_id: str
    facility_code: str
    facility_settlement_no: str
    care_region: str
    home_region: str
    insutype: str
    med_type: str
    clr_type: str
    settled_at: datetime
    total_fen: int
    fund_fen: int
    account_fen: int
    cash_fen: int
    hospital_fen: int
    shares: Sequence[Share]
    reverses_settlement_id: str | None
    traceparent: str | None

    @property
    def payable_fen(self) -> int:
        """What the facility advanced and is owed: the funds' and the personal account's part."""
        return self.fund_fen + self.account_fen

    @property
    def refund(self) -> bool:
        """退费结算标志: whether it reverses another settlement."""
        return self.reverses_settlement_id is not None

    @cached_property
    def settled_on(self) -> date:
        """The Asia/Shanghai day of the settlement."""
        return shanghai_day(self.settled_at)

    @cached_property
    def settled_month(self) -> str:
        """The month it belongs to by its own time."""
        return month_of(self.settled_on)


def check_bill(bill: Bill, region_known: Callable[[str], bool]) -> list[Refusal]:
    """Everything that keeps a bill from being booked: regions off the tree, an impossible day, amounts (§0.2)."""
    wrong = [
        errors.REGION_UNKNOWN(pointer=f"/{name}", region=region)
        for name, region in (("care_region", bill.care_region), ("home_region", bill.home_region))
        if not region_known(region)
    ]
    if not is_value_date(bill.settled_on):
        wrong.append(errors.BILL_DAY_WRONG(pointer="/settled_at"))
    if max(map(abs, (bill.total_fen, bill.fund_fen, bill.account_fen))) > BILL_MAX_FEN:
        wrong.append(errors.BILL_TOO_LARGE(pointer="/total_fen", limit=f"{BILL_MAX_FEN // 100:,}"))
    if bill.total_fen != bill.fund_fen + bill.account_fen + bill.cash_fen + bill.hospital_fen:
        wrong.append(errors.BILL_SUMS_WRONG(pointer="/total_fen", identity="total = fund + account + cash + hospital"))
    if bill.fund_fen != sum(share.amount_fen for share in bill.shares):
        wrong.append(errors.BILL_SUMS_WRONG(pointer="/fund_fen", identity="fund = sum of shares"))
    return wrong


def next_month(month: str) -> str:
    """The month after "YYYY-MM": where a bill goes whose own month is confirmed already."""
    return month_of(month_bounds(month)[1] + timedelta(days=1))
