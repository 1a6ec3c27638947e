"""A small bank for tests and demos: reads the payment files of a folder and answers them, as ISO 20022 has it.

    python -m deploy.local.bank FOLDER

answers, once, every payment file in `FOLDER/outbox` that it has not answered: a status report (pain.002) and, for what
it paid, a notification (camt.054) for the payer's account. What it does to an order follows from its end-to-end id and
the share of each mishap, so that the same orders always meet the same fate.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_PAIN = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}"
_ISO = "urn:iso:std:iso:20022:tech:xsd:"
PAID, REJECTED, RETURNED, PARTIAL, TOO_MUCH, SILENT = "paid", "rejected", "returned", "partial", "too_much", "silent"
FATES = (PAID, REJECTED, RETURNED, PARTIAL, TOO_MUCH, SILENT)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transaction of a payment file."""

    end_to_end_id: str
    amount_fen: int
    creditor_account: str


@dataclass(frozen=True, slots=True)
class PaymentFile:
    """What a payment file asks for."""

    message_id: str
    debtor_account: str
    transfers: Sequence[Transfer]


@dataclass(frozen=True)
class Bank:
    """Answers what lies in a folder. `shares` gives for each mishap how many of a hundred orders meet it."""

    folder: Path
    on: date
    shares: Mapping[str, int] = field(default_factory=dict)
    fates: Mapping[str, str] = field(default_factory=dict)
    """What becomes of single orders, by end-to-end id; wins over the shares."""

    def answer(self) -> list[str]:
        """Answer everything that is not answered; the message ids of the files."""
        answered = []
        for file in sorted((self.folder / "outbox").glob("[!.]*.xml")):
            mark = self.folder / "bank" / file.name
            mark.parent.mkdir(exist_ok=True)
            if mark.exists():  # the same message id again is the same file again: a bank takes it once
                continue
            self._answer(read(file.read_bytes()))
            mark.touch()
            answered.append(file.name.partition(".")[0])
        return answered

    def fate(self, end_to_end_id: str) -> str:
        """What becomes of an order."""
        if end_to_end_id in self.fates:
            return self.fates[end_to_end_id]
        place = int.from_bytes(hashlib.sha256(end_to_end_id.encode()).digest()[:4], "big") % 100
        for fate, share in self.shares.items():
            if place < share:
                return fate
            place -= share
        return PAID

    def _answer(self, asked: PaymentFile) -> None:
        heard = [t for t in asked.transfers if self.fate(t.end_to_end_id) != SILENT]
        if heard:
            self.put(f"{asked.message_id}-status.xml", self.status(asked, heard))
        lines = [line for t in heard for line in self.lines(t)]
        if lines:
            self.put(
                f"{asked.message_id}-entries.xml",
                notification(f"N{asked.message_id}", asked.debtor_account, lines, self.on),
            )

    def status(self, asked: PaymentFile, heard: Sequence[Transfer]) -> str:
        """The status report of a file."""
        lines = [
            _status_line(t.end_to_end_id, *(("RJCT", "AC04") if self.fate(t.end_to_end_id) == REJECTED else ("ACSP",)))
            for t in heard
        ]
        return status_report(f"S{asked.message_id}", asked.message_id, lines)

    def lines(self, transfer: Transfer) -> list[str]:
        """The entries an order makes on the payer's account."""
        fate, ref = self.fate(transfer.end_to_end_id), f"R{transfer.end_to_end_id}"
        amount = {PARTIAL: transfer.amount_fen // 2, TOO_MUCH: transfer.amount_fen + 100}
        if fate in (REJECTED, SILENT):
            return []
        lines = [entry(ref, transfer.end_to_end_id, amount.get(fate, transfer.amount_fen), self.on)]
        if fate == RETURNED:
            back = (f"{ref}-back", transfer.end_to_end_id, transfer.amount_fen, self.on)
            lines.append(entry(*back, debit=False, reason="AC04"))
        return lines

    def put(self, name: str, text: str) -> None:
        """Lay a file into the inbox, at once and whole."""
        inbox = self.folder / "inbox"
        inbox.mkdir(parents=True, exist_ok=True)
        partial = inbox / f".{name}.{os.getpid()}"
        partial.write_text(text, encoding="utf-8")
        partial.replace(inbox / name)


def read(content: bytes) -> PaymentFile:
    """What a payment file of ours asks for."""
    root = ElementTree.fromstring(content)  # noqa: S314 - settlement wrote it, and nobody else writes there
    payment = root.find(f".//{_PAIN}PmtInf")
    if payment is None:
        raise ValueError("no payment information")
    return PaymentFile(
        _text(root, "MsgId"),
        _text(payment, f"DbtrAcct//{_PAIN}Othr/{_PAIN}Id"),
        [
            Transfer(
                _text(one, "EndToEndId"),
                int(Decimal(_text(one, "InstdAmt")).scaleb(2)),
                _text(one, f"CdtrAcct//{_PAIN}Othr/{_PAIN}Id"),
            )
            for one in payment.iter(f"{_PAIN}CdtTrfTxInf")
        ],
    )


def _text(element: ElementTree.Element, path: str) -> str:
    found = element.find(f".//{_PAIN}{path}")
    if found is None or not found.text:
        raise ValueError(f"{path} is missing")
    return found.text


def yuan(amount_fen: int) -> str:
    """An amount as a file has it."""
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def _status_line(end_to_end_id: str, status: str, reason: str | None = None) -> str:
    why = f"<StsRsnInf><Rsn><Cd>{reason}</Cd></Rsn></StsRsnInf>" if reason else ""
    return f"<TxInfAndSts><OrgnlEndToEndId>{end_to_end_id}</OrgnlEndToEndId><TxSts>{status}</TxSts>{why}</TxInfAndSts>"


def status_report(message_id: str, batch_id: str, lines: Sequence[str], group_status: str | None = None) -> str:
    """A pain.002 of some lines."""
    group = f"<GrpSts>{group_status}</GrpSts>" if group_status else ""
    payment = f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>{batch_id}</OrgnlPmtInfId>{''.join(lines)}</OrgnlPmtInfAndSts>"
    return (
        f'<Document xmlns="{_ISO}pain.002.001.10"><CstmrPmtStsRpt>{_header(message_id)}'
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>{batch_id}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>{group}"
        f"</OrgnlGrpInfAndSts>{payment if lines else ''}</CstmrPmtStsRpt></Document>"
    )


def _header(message_id: str) -> str:
    return f"<GrpHdr><MsgId>{escape(message_id)}</MsgId><CreDtTm>2026-01-01T00:00:00Z</CreDtTm></GrpHdr>"


def entry(
    ref: str,
    end_to_end_id: str | None,
    amount_fen: int,
    on: date,
    *,
    debit: bool = True,
    reason: str | None = None,
    currency: str = "CNY",
) -> str:
    """One booked entry of an account."""
    amount = f'<Amt Ccy="{currency}">{yuan(amount_fen)}</Amt><CdtDbtInd>{"DBIT" if debit else "CRDT"}</CdtDbtInd>'
    name = f"<EndToEndId>{escape(end_to_end_id)}</EndToEndId>" if end_to_end_id else ""
    why = f"<RtrInf><Rsn><Cd>{reason}</Cd></Rsn></RtrInf>" if reason else ""
    code = "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>ICDT</Cd><SubFmlyCd>DMCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
    details = f"<NtryDtls><TxDtls><Refs>{name}</Refs>{amount}{why}</TxDtls></NtryDtls>"
    return (
        f"<Ntry>{amount}<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{on}</Dt></BookgDt>"
        f"<AcctSvcrRef>{escape(ref)}</AcctSvcrRef>{code}{details}</Ntry>"
    )


def notification(message_id: str, account_no: str, entries: Sequence[str], on: date) -> str:
    """A camt.054 of an account."""
    return (
        f'<Document xmlns="{_ISO}camt.054.001.08"><BkToCstmrDbtCdtNtfctn>{_header(message_id)}'
        f"<Ntfctn><Id>{on}</Id>{_account(account_no)}{''.join(entries)}</Ntfctn>"
        "</BkToCstmrDbtCdtNtfctn></Document>"
    )


def statement(message_id: str, account_no: str, entries: Sequence[str], on: date, closing_fen: int) -> str:
    """A camt.053 of an account with its closing balance."""
    sign = "CRDT" if closing_fen >= 0 else "DBIT"
    balance = (
        f'<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">{yuan(abs(closing_fen))}</Amt>'
        f"<CdtDbtInd>{sign}</CdtDbtInd><Dt><Dt>{on}</Dt></Dt></Bal>"
    )
    return (
        f'<Document xmlns="{_ISO}camt.053.001.08"><BkToCstmrStmt>{_header(message_id)}'
        f"<Stmt><Id>{on}</Id>{_account(account_no)}{balance}{''.join(entries)}</Stmt></BkToCstmrStmt></Document>"
    )


def _account(account_no: str) -> str:
    return f"<Acct><Id><Othr><Id>{account_no}</Id></Othr></Id></Acct>"


def main(arguments: Sequence[str]) -> None:
    """Answer what lies in a folder."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.bank", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="the folder of SIFANG_SETTLEMENT_BANK_DIR")
    parser.add_argument("--on", type=date.fromisoformat, required=True, help="the day on which the bank books")
    for fate in FATES[1:]:
        parser.add_argument(f"--{fate.replace('_', '-')}", type=int, default=0, metavar="PERCENT")
    given = parser.parse_args(arguments)
    bank = Bank(given.folder, given.on, {fate: getattr(given, fate) for fate in FATES[1:]})
    for message_id in bank.answer():
        print(f"answered {message_id}")


if __name__ == "__main__":
    main(sys.argv[1:])
