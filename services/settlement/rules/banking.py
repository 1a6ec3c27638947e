"""What goes to the bank and what comes from it, as values; the forms of ISO 20022 are known only to `bank`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from stdnum import luhn

from services.settlement import errors
from shared.refusals import Refusal

CURRENCY = "CNY"

_ACCOUNT = re.compile(r"[0-9]{8,32}")
_CARD = re.compile(r"[0-9]{13,19}")
_BANK_CODE = re.compile(r"[0-9]{12}")


class Creditor(NamedTuple):
    """An account money goes to. Number and holder are secrets: they go into a payment file and nowhere else."""

    holder: str
    account_no: str
    bank_code: str
    """银行行号 (CNAPS), twelve digits."""


class Instruction(NamedTuple):
    """One order as it stands in a payment file."""

    order_id: str
    amount_fen: int
    creditor: Creditor
    remittance: str
    """附言: names the matter, never a person."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One payment file (支付文件): the orders of one payer on one day, fixed in the database before it is written."""

    batch_id: str
    """Also its message id: the bank refuses a second file of the same id."""
    created_at: datetime
    execution_on: date
    payer: str
    debtor: Creditor
    instructions: Sequence[Instruction]

    @property
    def file_name(self) -> str:
        """What its file is called, for ever."""
        return self.name_of(self.batch_id)

    @staticmethod
    def name_of(batch_id: str) -> str:
        """What the file of a batch is called."""
        return f"{batch_id}.pain.001.xml"


@dataclass(frozen=True, slots=True)
class StatusLine:
    """What the bank says to one order; the id is absent when it says so of the whole file."""

    order_id: str | None
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A payment status report (pain.002)."""

    message_id: str
    batch_id: str
    lines: Sequence[StatusLine]


@dataclass(frozen=True, slots=True)
class BankLine:
    """One movement of an account, as the bank reports it."""

    entry_ref: str
    """The account servicer's reference (AcctSvcrRef), the same in every report that shows it; "" when it gives none."""
    end_to_end_id: str
    """Our order's id; "" when the bank gives none."""
    debit: bool
    amount_fen: int
    booked_on: date
    reason: str | None
    """Of a return."""
    report_ref: str = ""
    """Its reference within this report (NtryRef), which says nothing in another one."""
    value_on: date | None = None
    """From when it counts, where the bank says so."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What an account held at the end of a day, in fen."""

    on: date
    balance_fen: int


@dataclass(frozen=True, slots=True)
class AccountReport:
    """One account in a notification (camt.054) or statement (camt.053)."""

    account_no: str
    lines: Sequence[BankLine]
    closing: Closing | None


@dataclass(frozen=True, slots=True)
class AccountMessage:
    """A notification or statement."""

    kind: str
    message_id: str
    reports: Sequence[AccountReport]


class Fault(StrEnum):
    """Why a file from the bank is set aside."""

    NAME = "name"
    """Its name is no plain file name that ends in .xml."""
    TOO_LARGE = "too_large"
    NOT_XML = "not_xml"
    ENTITIES = "entities"
    """It declares a document type or entities (实体炸弹)."""
    NAMESPACE = "namespace"
    """Its form is none of those that are read."""
    STRUCTURE = "structure"
    """It is not as its form has it, or lacks what is needed."""
    CURRENCY = "currency"
    AMOUNT = "amount"
    """An amount is negative, has parts of a fen, or is more than any payment."""
    DAY = "day"
    """A day is more than DAYS_AWAY from today: a slip, or a clock that is off."""
    MESSAGE_REUSED = "message_reused"
    """Another message came under the same id."""
    BATCH_UNKNOWN = "batch_unknown"
    """It answers a file that was not sent."""
    ACCOUNT_UNKNOWN = "account_unknown"
    """It is about an account that is not on file."""


class MessageFaulty(Exception):
    """A file from the bank cannot be taken; the detail never repeats what it holds."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        self.fault, self.detail = fault, detail
        super().__init__(f"{fault}: {detail}" if detail else str(fault))


DAYS_AWAY = timedelta(days=400)
"""How far from today a day of the bank can be: a statement of last year comes late, one of the next is a slip."""


def check_days(message: AccountMessage, today: date) -> None:
    """Whether all days of a message can be meant. Raises MessageFaulty."""
    for report in message.reports:
        days = [day for line in report.lines for day in (line.booked_on, line.value_on) if day is not None]
        days += [report.closing.on] if report.closing is not None else []
        if any(abs(day - today) > DAYS_AWAY for day in days):
            raise MessageFaulty(Fault.DAY)


def check_account(account_no: str, bank_code: str, *, card: bool) -> list[Refusal]:
    """Everything that is wrong with an account's numbers; a person's is a card, whose last digit checks the others."""
    wrong = []
    if not (_CARD if card else _ACCOUNT).fullmatch(account_no) or (card and not luhn.is_valid(account_no)):
        wrong.append(errors.ACCOUNT_INVALID(pointer="/account_no"))
    if not _BANK_CODE.fullmatch(bank_code):
        wrong.append(errors.BANK_CODE_INVALID(pointer="/bank_code"))
    return wrong


class BankItemKind(StrEnum):
    """What somebody has to look into."""

    ENTRY_UNKNOWN = "entry_unknown"
    """A movement names none of our orders: it is on suspense."""
    ENTRY_CHANGED = "entry_changed"
    """A movement came again with another amount, or names an order only now: the first word stands."""
    PARTIAL = "partial"
    OVERPAID = "overpaid"
    RETURNED = "returned"
    LATE = "late"
    REJECTED = "rejected"
    """The bank did not accept an order."""
    STATUS_CONTRADICTS = "status_contradicts"
    """The bank says no to what it paid."""
    ORDER_UNKNOWN = "order_unknown"
    """The bank answers an order that is not in its file."""
    UNANSWERED = "unanswered"
    """The bank has not answered an order for some working days."""
    BALANCE_DIFFERS = "balance_differs"
    """The statement's closing balance is not what the books hold."""
    FILE_REFUSED = "file_refused"
    """A file of the bank could not be read."""
