"""Terms (区域约定): what a region chose about its settlement, from which day on, and what it inherits. Pure.

A region chooses what it wants to, and keeps what it chose before until it chooses otherwise or gives it up; everything
else it takes from the nearest region above it that chose it, and at last from the settings of the service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from enum import StrEnum
from typing import Any

from services.settlement import errors
from shared.refusals import Refusal


class Netting(StrEnum):
    """How the hops of a cycle become payments (轧差方式)."""

    GROSS = "gross"
    """逐笔: every hop is paid by itself."""
    BILATERAL = "bilateral"
    """双边轧差: one payment between each two agencies."""
    MULTILATERAL = "multilateral"
    """多边轧差: one payment between each agency and the clearing agency."""


class UnpaidRule(StrEnum):
    """What becomes of a cycle when a party does not remit (未上解处理)."""

    PREPAYMENT = "prepayment"
    """Paid out of its prepayment (预付金)."""
    POSTPONE = "postpone"
    """Its cases leave the cycle (顺延)."""
    PART_PAY = "part_pay"
    """Paid as far as the money goes, in the order of confirmation (部分拨付)."""


class NegativeRule(StrEnum):
    """What becomes of a position in which a facility owes (负数处理)."""

    CARRY = "carry"
    """Carried to the next cycle (结转)."""
    COLLECT = "collect"
    """The facility pays (收回)."""


class PaymentWay(StrEnum):
    """How an approved payment is made (付款方式)."""

    RECORDED = "recorded"
    """Approval says that it was paid (手工登记)."""
    BANK = "bank"
    """An order goes to the bank, and it is paid when the bank says so (银企直联)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of one region on one day."""

    region: str
    valid_from: date
    """Since when the region's own choice holds; the first day there is where it chose nothing."""
    reconciliation_working_days: int
    """Working days a party has to confirm, from the statement (对账时限)."""
    remittance_working_days: int
    """Working days a party has to remit, from the day it could (上解时限)."""
    disbursement_working_days: int
    """Working days a party has to disburse, from the day it could (拨付时限)."""
    item_working_days: int
    """Working days a party has to deal with a work item (待办时限)."""
    reminder_distances: tuple[int, ...]
    """Working days left at which a due is announced; negative once it is overdue (提醒)."""
    escalation_distances: tuple[int, ...]
    """Working days after the due day at which the agency above is told, one level each (催办)."""
    deemed_consent: bool
    """Whether silence is agreement once the time is over (逾期视为确认)."""
    tolerance_fen: int
    """How far each sum of a bill may be apart before it is a difference (容差)."""
    netting: Netting
    unpaid_rule: UnpaidRule
    negative_rule: NegativeRule
    payment_way: PaymentWay
    cycle_day: int
    """Day of the month on which a cycle is cut (清算日)."""
    prepayment_yellow_percent: int = 70
    """Use of the prepayment from which it is low (黄色预警)."""
    prepayment_red_percent: int = 90
    """Use of the prepayment from which it is nearly used up (红色预警)."""
    prepayment_reset_day: int = 10
    """Day of January on which the levels of the prepayments it holds are set anew (年度核定)."""
    second_review_above_fen: int
    """Payment orders above this amount need a second reviewer (复审)."""
    retention_permille: int = 0
    """Share of what a facility is paid that is retained until the yearly review, in thousandths (质量保证金)."""


CHOICES = tuple(field.name for field in fields(Terms) if field.name not in ("region", "valid_from"))
"""What a region may choose."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What one region chose from a day on; what it left to the regions above is absent from `values`."""

    region: str
    valid_from: date
    values: Mapping[str, Any]
    given_up: frozenset[str] = frozenset()
    """What it had chosen before and leaves to the regions above again."""


def in_force(history: Sequence[Choice]) -> Choice:
    """What a region chose: all its choices that have begun, the oldest first. A later one changes what it names."""
    values: dict[str, Any] = {}
    for choice in history:
        values = {name: value for name, value in values.items() if name not in choice.given_up} | dict(choice.values)
    return Choice(history[-1].region, history[-1].valid_from, values)


def plain(terms: Terms) -> dict[str, Any]:
    """Terms as they are shown, and kept with a proposal: texts, numbers and lists."""
    values = {name: getattr(terms, name) for name in CHOICES}
    return {
        name: list(value) if isinstance(value, tuple) else str(value) if isinstance(value, StrEnum) else value
        for name, value in values.items()
    }


def outcome(before: Terms, after: Terms) -> dict[str, Any]:
    """What a proposal comes to: all terms that would hold, and which of them change, from what to what."""
    was, becomes = plain(before), plain(after)
    changes = {name: {"from": was[name], "to": becomes[name]} for name in CHOICES if was[name] != becomes[name]}
    return {"terms": becomes, "changes": changes}


def resolve(defaults: Terms, region: str, choices: Sequence[Choice]) -> Terms:
    """The terms of a region, from the choices that hold of itself and of those above it, the nearest first."""
    values: dict[str, Any] = {}
    for choice in reversed(choices):
        values |= choice.values
    own = next((c.valid_from for c in choices if c.region == region), defaults.valid_from)
    return replace(defaults, region=region, valid_from=own, **values)


def origins(choices: Sequence[Choice]) -> dict[str, str]:
    """From which region each choice comes; what comes from the settings is absent. Nearest first, as in `resolve`."""
    found: dict[str, str] = {}
    for choice in reversed(choices):
        found |= dict.fromkeys(choice.values, choice.region)
    return found


def check_choice(choice: Choice, today: date) -> list[Refusal]:
    """Everything that keeps a choice from being made today."""
    wrong = []
    if choice.valid_from < today:
        wrong.append(errors.TERMS_BACKDATED(pointer="/valid_from"))
    if not choice.values and not choice.given_up:
        wrong.append(errors.TERMS_EMPTY())
    if both := sorted(choice.given_up & choice.values.keys()):
        wrong.append(errors.TERMS_GIVEN_UP(pointer="/given_up", names=", ".join(both)))
    yellow, red = (choice.values.get(f"prepayment_{colour}_percent") for colour in ("yellow", "red"))
    if (yellow is None) != (red is None) or (yellow is not None and red is not None and yellow >= red):
        wrong.append(errors.TERMS_WARNINGS(pointer="/prepayment_yellow_percent"))
    if len(choice.given_up & {"prepayment_yellow_percent", "prepayment_red_percent"}) == 1:
        wrong.append(errors.TERMS_WARNINGS(pointer="/given_up"))
    return wrong
