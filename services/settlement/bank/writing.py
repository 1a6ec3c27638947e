"""Payment files: a batch as `pain.001.001.09` (客户贷记划拨), in ISO 20022's general form, checked by its schema."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from importlib import resources

from pyiso20022.pain import pain_001_001_09 as pain
from xmlschema import XMLSchema
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig
from xsdata.models.datatype import XmlDate, XmlDateTime

from services.settlement.rules.banking import CURRENCY, Batch, Creditor, Instruction

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
CLEARING_SYSTEM = "CNAPS"
"""External code of ISO 20022: China National Advanced Payment System (中国现代化支付系统)."""

_SERIALIZER = XmlSerializer(config=SerializerConfig(indent=" "))


class FileInvalid(Exception):
    """A payment file is not as its schema has it; says where, and nothing of what it holds."""


def write(batch: Batch) -> bytes:
    """The file of a batch, the same bytes every time. Raises FileInvalid."""
    text = _SERIALIZER.render(_document(batch), ns_map={None: NAMESPACE})
    wrong = next(_schema().iter_errors(text), None)
    if wrong is not None:
        raise FileInvalid(f"{batch.batch_id}: {wrong.path}: {type(wrong.validator).__name__}")
    return text.encode()


@lru_cache(maxsize=1)
def _schema() -> XMLSchema:
    """The schema of ISO; loaded once, as that takes longer than to check a file."""
    source = resources.files("services.settlement.bank").joinpath("schemas/pain.001.001.09.xsd")
    return XMLSchema(source.read_text(encoding="utf-8"), allow="none", defuse="always")


def _document(batch: Batch) -> pain.Document:
    moment = batch.created_at
    count, total = str(len(batch.instructions)), _yuan(sum(i.amount_fen for i in batch.instructions))
    payer = pain.PartyIdentification135(nm=batch.debtor.holder)
    created = XmlDateTime(moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, offset=0)
    payment = pain.PaymentInstruction30(
        pmt_inf_id=batch.batch_id,
        pmt_mtd=pain.PaymentMethod3Code.TRF,
        nb_of_txs=count,
        ctrl_sum=total,
        reqd_exctn_dt=pain.DateAndDateTime2Choice(dt=XmlDate.from_date(batch.execution_on)),
        dbtr=payer,
        dbtr_acct=_account(batch.debtor),
        dbtr_agt=_bank(batch.debtor),
        cdt_trf_tx_inf=[_transaction(instruction) for instruction in batch.instructions],
    )
    header = pain.GroupHeader85(
        msg_id=batch.batch_id, cre_dt_tm=created, nb_of_txs=count, ctrl_sum=total, initg_pty=payer
    )
    return pain.Document(
        cstmr_cdt_trf_initn=pain.CustomerCreditTransferInitiationV09(grp_hdr=header, pmt_inf=[payment])
    )


def _transaction(instruction: Instruction) -> pain.CreditTransferTransaction34:
    amount = pain.ActiveOrHistoricCurrencyAndAmount(value=_yuan(instruction.amount_fen), ccy=CURRENCY)
    return pain.CreditTransferTransaction34(
        pmt_id=pain.PaymentIdentification6(instr_id=instruction.order_id, end_to_end_id=instruction.order_id),
        amt=pain.AmountType4Choice(instd_amt=amount),
        cdtr_agt=_bank(instruction.creditor),
        cdtr=pain.PartyIdentification135(nm=instruction.creditor.holder),
        cdtr_acct=_account(instruction.creditor),
        rmt_inf=pain.RemittanceInformation16(ustrd=[instruction.remittance]),
    )


def _account(creditor: Creditor) -> pain.CashAccount38:
    number = pain.GenericAccountIdentification1(id=creditor.account_no)
    return pain.CashAccount38(id=pain.AccountIdentification4Choice(othr=number), ccy=CURRENCY)


def _bank(creditor: Creditor) -> pain.BranchAndFinancialInstitutionIdentification6:
    system = pain.ClearingSystemIdentification2Choice(cd=CLEARING_SYSTEM)
    member = pain.ClearingSystemMemberIdentification2(clr_sys_id=system, mmb_id=creditor.bank_code)
    return pain.BranchAndFinancialInstitutionIdentification6(
        fin_instn_id=pain.FinancialInstitutionIdentification18(clr_sys_mmb_id=member)
    )


def _yuan(amount_fen: int) -> Decimal:
    return Decimal(amount_fen).scaleb(-2)
