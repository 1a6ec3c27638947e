"""A bank in memory, at the adapter's interface, which does to orders what banks do: by the dice of the seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from deploy.local.bank import Transfer, entry, notification, read, status_report
from services.settlement.bank.adapter import FileChanged

FATES = {
    "paid": 40,
    "paid_and_mirrored": 6,
    "told_twice": 6,
    "paid_twice": 4,
    "too_much": 5,
    "in_parts": 6,
    "in_part": 6,
    "rejected": 8,
    "returned": 8,
    "silent_then_paid": 5,
    "rejected_then_paid": 6,
    "told_otherwise": 4,
}
"""What may become of an order, and how often."""


class Told(NamedTuple):
    """What one message says of one order: what was debited, or given back; nothing at all when it says no."""

    order_id: str
    change_fen: int


@dataclass
class SeededBank:
    """Answers payment files; what it told is kept, message by message, for the model."""

    dice: random.Random
    today: Callable[[], date]
    honest: bool = False
    """It only pays."""
    inbox: dict[str, bytes] = field(default_factory=dict)
    told: list[list[Told]] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    _files: dict[str, bytes] = field(default_factory=dict)
    _answered: set[str] = field(default_factory=set)
    _later: list[Callable[[], None]] = field(default_factory=list)
    _asked: set[str] = field(default_factory=set)
    _number: int = 0

    # What settlement does

    def put(self, name: str, content: bytes) -> None:
        """Take a payment file, once."""
        if self._files.setdefault(name, content) != content:
            raise FileChanged(name)

    def retire(self, name: str) -> None:
        """It need not lie ready any longer."""

    def waiting(self) -> list[str]:
        """Answers, in the order in which they were given."""
        return sorted(self.inbox)

    def read(self, name: str, max_bytes: int) -> bytes:
        """An answer."""
        return self.inbox[name]

    def done(self, name: str) -> None:
        """Taken."""
        del self.inbox[name]

    def refuse(self, name: str, why: str) -> None:
        """Nothing that is told here is unreadable."""
        raise AssertionError(f"{name} was refused: {why}")

    # What the bank does

    def move(self, account: str, debit_fen: int) -> None:
        """A movement that names no order: a debit, or as a negative amount a credit."""
        self._number += 1
        line = entry(f"U{account}{self._number}", None, abs(debit_fen), self.today(), debit=debit_fen > 0)
        self._say(notification(f"V{account}{self._number}", account, [line], self.today()), [])

    def work(self) -> None:
        """A day at the bank: what was put off, then every file that is new."""
        later, self._later = self._later, []
        for work in later:
            work()
        for name in sorted(self._files.keys() - self._answered):
            self._answered.add(name)
            self._answer(self._files[name])

    def _answer(self, content: bytes) -> None:
        asked = read(content)
        fates = {t.end_to_end_id: self._fate() for t in asked.transfers}
        if twice := self._asked & fates.keys():
            raise AssertionError(f"asked twice to pay {twice}")
        self._asked |= fates.keys()
        self.happened += fates.values()
        no = {order_id for order_id, fate in fates.items() if fate.startswith("rejected")}
        self._status(asked.message_id, [o for o, fate in fates.items() if not fate.startswith("silent")], no)
        for transfer in asked.transfers:
            self._pay(asked.debtor_account, transfer, fates[transfer.end_to_end_id])

    def _fate(self) -> str:
        return "paid" if self.honest else self.dice.choices(list(FATES), weights=list(FATES.values()))[0]

    def _status(self, batch_id: str, heard: Sequence[str], no: Iterable[str]) -> None:
        lines = [
            f"<TxInfAndSts><OrgnlEndToEndId>{order_id}</OrgnlEndToEndId>"
            f"<TxSts>{'RJCT' if order_id in no else 'ACSP'}</TxSts></TxInfAndSts>"
            for order_id in heard
        ]
        self._say(status_report(f"S{batch_id}", batch_id, lines), [Told(order_id, 0) for order_id in no])

    def _pay(self, account: str, asked: Transfer, fate: str) -> None:
        whole, part = asked.amount_fen, (asked.amount_fen + 1) // 2
        match fate:
            case "rejected":
                pass
            case "paid_twice":
                self._debit(account, asked, whole, "a")
                self._debit(account, asked, whole, "b")
            case "too_much":
                self._debit(account, asked, whole + self.dice.randint(1, 900))
            case "in_part" | "in_parts":
                self._debit(account, asked, part, "a")
                if fate == "in_parts" and whole > part:
                    self._later.append(lambda: self._debit(account, asked, whole - part, "b"))
            case "returned":
                self._debit(account, asked, whole)
                self._later.append(lambda: self._debit(account, asked, -whole, "back"))
            case "silent_then_paid" | "rejected_then_paid":
                self._later.append(lambda: self._debit(account, asked, whole))
            case _:
                self._debit(account, asked, whole)
                self._repeat_itself(account, asked, fate)

    def _repeat_itself(self, account: str, asked: Transfer, fate: str) -> None:
        """The same movement again: in another message, at its other end, or with another amount."""
        order_id, ref = asked.end_to_end_id, f"R{asked.end_to_end_id}"
        if fate == "told_twice":
            self._say(self._entries(account, asked, entry(ref, order_id, asked.amount_fen, self.today())), [])
        elif fate == "told_otherwise":
            self._say(self._entries(account, asked, entry(ref, order_id, asked.amount_fen + 7, self.today())), [])
        elif fate == "paid_and_mirrored" and asked.creditor_account.startswith("41"):
            back = entry(ref, order_id, asked.amount_fen, self.today(), debit=False)
            self._say(self._entries(asked.creditor_account, asked, back), [])

    def _debit(self, account: str, asked: Transfer, change_fen: int, ref: str = "") -> None:
        """A movement of the payer's account, in a message of its own."""
        order_id = asked.end_to_end_id
        line = entry(f"R{order_id}{ref}", order_id, abs(change_fen), self.today(), debit=change_fen > 0)
        self._say(self._entries(account, asked, line), [Told(order_id, change_fen)])

    def _entries(self, account: str, asked: Transfer, line: str) -> str:
        return notification(f"N{self._number}{asked.end_to_end_id[-12:]}", account, [line], self.today())

    def _say(self, text: str, told: list[Told]) -> None:
        """Lay an answer into the inbox, sometimes twice."""
        for _ in range(2 if self.dice.random() < 0.1 and not self.honest else 1):
            self._number += 1
            self.inbox[f"{self._number:06}.xml"] = text.encode()
        self.told.append(told)
