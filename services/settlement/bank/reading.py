"""What the bank answers: `pain.002` (支付状态), `camt.054` (收付通知) and `camt.053` (账户对账单), read with distrust.

A file that declares a document type is not looked at any further, so that nothing in it can grow or reach out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, TypeVar
from xml.parsers import expat

from pyiso20022.camt import camt_053_001_08 as statement
from pyiso20022.camt import camt_054_001_08 as notification
from pyiso20022.pain import pain_002_001_10 as status
from xsdata.exceptions import ConverterWarning, ParserError
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig
from xsdata.formats.dataclass.parsers.handlers import XmlEventHandler
from xsdata.models.datatype import XmlDate, XmlDateTime

from services.settlement.rules.banking import (
    CURRENCY,
    AccountMessage,
    AccountReport,
    BankLine,
    Closing,
    Fault,
    MessageFaulty,
    StatusLine,
    StatusReport,
)
from services.settlement.rules.ledger import MOVED_MAX_FEN
from shared.money import MAX_FEN

_ISO: Final = "urn:iso:std:iso:20022:tech:xsd:"
_DEPTH_MAX: Final = 64
_CLOSING: Final = "CLBD"
"""Closing balance of the booked entries."""
_BOOKED: Final = "BOOK"
_NOT_YET: Final = ("PDNG", "INFO", "FUTR")
"""Entries that are only announced."""
_FIELD: Final = re.compile(r"'([a-z][a-z0-9_]*)'")
_NO_REFERENCE: Final = ("", "NOTPROVIDED")

T = TypeVar("T")


def read(content: bytes) -> StatusReport | AccountMessage:
    """What a file from the bank says. Raises MessageFaulty."""
    form = _form_of(content)
    reader = _READERS.get(form)
    if reader is None:
        raise MessageFaulty(Fault.NAMESPACE)
    return reader(content)


def _form_of(content: bytes) -> str:
    """The name of its form, by the namespace of its first element, once it is sure that it declares nothing.

    Raises MessageFaulty.
    """
    roots: list[str] = []
    depth = 0

    def start(name: str, _: object) -> None:
        nonlocal depth
        depth += 1
        if depth == 1:
            roots.append(name)
        if depth > _DEPTH_MAX:
            raise MessageFaulty(Fault.STRUCTURE, "it is nested too deeply")

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    def declares(*_: object) -> int:
        raise MessageFaulty(Fault.ENTITIES)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = declares
    parser.ExternalEntityRefHandler = declares
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise MessageFaulty(Fault.NOT_XML, f"line {error.lineno}") from None
    namespace, _, name = roots[0].rpartition(" ")
    return namespace.removeprefix(_ISO) if name == "Document" else ""


def _parsed(content: bytes, form: type[T]) -> T:
    """A document as its form has it. Raises MessageFaulty."""
    config = ParserConfig(
        fail_on_unknown_properties=True, fail_on_unknown_attributes=True, fail_on_converter_warnings=True
    )
    try:
        return XmlParser(config=config, handler=XmlEventHandler).from_bytes(content, form)
    except TypeError as error:
        # Only names of its form: what else the message of an error says could be what the file holds.
        names = _FIELD.findall(str(error)) if "missing" in str(error) else []
        raise MessageFaulty(Fault.STRUCTURE, f"{', '.join(map(_tag, names))} is missing" if names else "") from None
    except (ParserError, ConverterWarning, ValueError) as error:
        raise MessageFaulty(Fault.STRUCTURE, type(error).__name__) from None


def _tag(field: str) -> str:
    """A field as the form writes it: `cdt_dbt_ind` is CdtDbtInd."""
    return "".join(part.capitalize() for part in field.split("_"))


def _status_report(content: bytes) -> StatusReport:
    report = _parsed(content, status.Document).cstmr_pmt_sts_rpt
    group = report.orgnl_grp_inf_and_sts
    lines = [_status(None, group.grp_sts, group.sts_rsn_inf)] if group.grp_sts else []
    for payment in report.orgnl_pmt_inf_and_sts:
        lines += [_status(None, payment.pmt_inf_sts, payment.sts_rsn_inf)] if payment.pmt_inf_sts else []
        for one in payment.tx_inf_and_sts:
            lines.append(_status(_wanted(one.orgnl_end_to_end_id, "OrgnlEndToEndId"), one.tx_sts, one.sts_rsn_inf))
    return StatusReport(_wanted(report.grp_hdr.msg_id, "MsgId"), _wanted(group.orgnl_msg_id, "OrgnlMsgId"), lines)


def _status(order_id: str | None, said: str | None, reasons: Iterable[Any]) -> StatusLine:
    return StatusLine(order_id, _wanted(said, "TxSts"), _reason(reasons))


def _reason(reasons: Iterable[Any]) -> str | None:
    """The first code given; free text could hold anything and is not taken."""
    return next((code for r in reasons if r.rsn is not None and (code := r.rsn.cd or r.rsn.prtry)), None)


def _statement(content: bytes) -> AccountMessage:
    message = _parsed(content, statement.Document).bk_to_cstmr_stmt
    return _account_message("camt.053", message.grp_hdr, message.stmt)


def _notification(content: bytes) -> AccountMessage:
    message = _parsed(content, notification.Document).bk_to_cstmr_dbt_cdt_ntfctn
    return _account_message("camt.054", message.grp_hdr, message.ntfctn)


def _account_message(kind: str, header: Any, reports: Iterable[Any]) -> AccountMessage:
    return AccountMessage(kind, _wanted(header.msg_id, "MsgId"), [_account_report(report) for report in reports])


def _account_report(report: Any) -> AccountReport:
    if report.acct.ccy not in (None, CURRENCY):
        raise MessageFaulty(Fault.CURRENCY)
    number = report.acct.id.othr.id if report.acct.id.othr is not None else report.acct.id.iban
    lines = [line for entry in report.ntry for line in _lines(entry)]
    closing = next((b for b in getattr(report, "bal", ()) if b.tp.cd_or_prtry.cd == _CLOSING), None)
    return AccountReport(_wanted(number, "Acct"), lines, None if closing is None else _closing(closing))


def _closing(balance: Any) -> Closing:
    amount_fen = _fen(balance.amt, MAX_FEN)
    return Closing(_day(balance.dt), amount_fen if _side(balance.cdt_dbt_ind) == "CRDT" else -amount_fen)


def _lines(entry: Any) -> Iterator[BankLine]:
    """An entry, or each of the transactions that were booked as one; what is only announced is left out."""
    if entry.sts.cd in _NOT_YET:
        return
    if entry.sts.cd != _BOOKED:
        raise MessageFaulty(Fault.STRUCTURE, "Sts is none of those that are known")
    details = [one for group in entry.ntry_dtls for one in group.tx_dtls]
    if not details:
        yield _line(entry, None)
        return
    lines = [_line(entry, detail, number if len(details) > 1 else 0) for number, detail in enumerate(details, 1)]
    if sum(_signed(line) for line in lines) != _signed(_line(entry, None)):
        raise MessageFaulty(Fault.AMOUNT, "the transactions of an entry do not add up to it")
    yield from lines


def _signed(line: BankLine) -> int:
    return line.amount_fen if line.debit else -line.amount_fen


def _line(entry: Any, detail: Any | None, number: int = 0) -> BankLine:
    """An entry or one of its transactions; what has no name of its own among several is numbered."""
    references = detail.refs if detail is not None else None
    end_to_end_id = (references.end_to_end_id if references is not None else None) or ""
    indicator = (detail.cdt_dbt_ind if detail is not None else None) or entry.cdt_dbt_ind
    own_ref = references.acct_svcr_ref if references is not None else None
    returned = detail.rtr_inf if detail is not None else None
    end_to_end_id = "" if end_to_end_id in _NO_REFERENCE else end_to_end_id
    shared_ref = entry.acct_svcr_ref and number and not end_to_end_id
    servicer_ref = own_ref or (f"{entry.acct_svcr_ref}/{number}" if shared_ref else entry.acct_svcr_ref) or ""
    _wanted(servicer_ref or entry.ntry_ref or end_to_end_id, "AcctSvcrRef")
    return BankLine(
        entry_ref=servicer_ref,
        end_to_end_id=end_to_end_id,
        debit=_side(indicator) == "DBIT",
        amount_fen=_fen((detail.amt if detail is not None else None) or entry.amt),
        booked_on=_day(_wanted(entry.bookg_dt or entry.val_dt, "BookgDt")),
        reason=_reason([returned] if returned is not None else []),
        report_ref=entry.ntry_ref or "",
        value_on=None if entry.val_dt is None else _day(entry.val_dt),
    )


def _side(indicator: Any) -> str:
    """DBIT or CRDT. Raises MessageFaulty."""
    side = getattr(indicator, "value", None)
    if side not in ("DBIT", "CRDT"):
        raise MessageFaulty(Fault.STRUCTURE, "CdtDbtInd is missing")
    return str(side)


def _fen(amount: Any, at_most_fen: int = MOVED_MAX_FEN) -> int:
    """An amount in whole fen. Raises MessageFaulty."""
    if amount.ccy != CURRENCY:
        raise MessageFaulty(Fault.CURRENCY)
    fen: Decimal = amount.value.scaleb(2)
    if not amount.value.is_finite() or fen < 0 or fen != fen.to_integral_value() or fen > at_most_fen:
        raise MessageFaulty(Fault.AMOUNT)
    return int(fen)


def _day(choice: Any) -> Any:
    """The day of a date or of a moment, as the bank has it. Raises MessageFaulty."""
    try:
        if isinstance(choice.dt, XmlDate):
            return choice.dt.to_date()
        if isinstance(choice.dt_tm, XmlDateTime):
            return choice.dt_tm.to_datetime().date()
        raise MessageFaulty(Fault.STRUCTURE, "Dt is missing")
    except ValueError:
        raise MessageFaulty(Fault.STRUCTURE, "Dt") from None


def _wanted(value: T | None, name: str) -> T:
    """What must be there. Raises MessageFaulty."""
    if value is None or value == "":
        raise MessageFaulty(Fault.STRUCTURE, f"{name} is missing")
    return value


_READERS: Final[Mapping[str, Callable[[bytes], StatusReport | AccountMessage]]] = MappingProxyType(
    {"pain.002.001.10": _status_report, "camt.053.001.08": _statement, "camt.054.001.08": _notification}
)
