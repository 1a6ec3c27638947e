"""Bills, entries, balances, the month's summary and the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from pydantic import ConfigDict, JsonValue

from services.settlement.rules.cases import Case
from services.settlement.rules.ledger import AccountKind
from services.settlement.schemas.cases import CASE_ID, HopView
from services.settlement.schemas.payments import PaymentView
from services.settlement.store.books import Balance, BookedBill, BookSum, EntryRow, PartySummary, ReversalPair
from services.settlement.store.drilling import HopPaid
from services.settlement.store.payments import PaymentRow
from services.settlement.use_cases.proof import Proof
from shared.http.paging import PageQuery
from shared.http.types import Code, Id, Month, View

_SETTLEMENT_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P6S"
_BILL: dict[str, JsonValue] = {
    "settlement_id": _SETTLEMENT_ID,
    "case_id": CASE_ID,
    "visit_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6V",
    "facility_code": "H41160300001",
    "facility_settlement_no": "H41160300001-20261102-000123",
    "care_region": "411603",
    "home_region": "411681",
    "insutype": "390",
    "med_type": "21",
    "clr_type": "21",
    "refund": False,
    "reverses_settlement_id": None,
    "reversed_by": None,
    "settled_at": "2026-10-20T08:30:00Z",
    "settled_period": "2026-10",
    "period": "2026-10",
    "total_fen": 650000,
    "fund_fen": 400000,
    "account_fen": 0,
    "cash_fen": 250000,
    "hospital_fen": 0,
    "payable_fen": 400000,
    "booked_at": "2026-10-20T08:30:01Z",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
}
_ENTRY: dict[str, JsonValue] = {
    "transaction_id": _SETTLEMENT_ID,
    "line_no": 1,
    "book": "H41160300001",
    "account_kind": "receivable",
    "counterparty": "411603",
    "fund_pay_type": "",
    "amount_fen": 400000,
    "kind": "bill",
    "case_id": CASE_ID,
    "period": "2026-10",
    "value_date": "2026-10-20",
    "booked_at": "2026-10-20T08:30:01Z",
    "reverses_transaction_id": None,
}


class BillView(View):
    """A booked bill (结算). Amounts in fen, negative for a reversal."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BILL]})

    settlement_id: str
    case_id: str
    visit_id: str
    facility_code: str
    facility_settlement_no: str
    care_region: str
    home_region: str
    insutype: str
    med_type: str
    clr_type: str
    refund: bool
    reverses_settlement_id: str | None
    reversed_by: str | None
    settled_at: datetime
    settled_period: str
    """The month it was settled in."""
    period: str
    """The month it is booked in: a later one when its own was confirmed already."""
    total_fen: int
    fund_fen: int
    account_fen: int
    cash_fen: int
    hospital_fen: int
    payable_fen: int
    booked_at: datetime
    trace_id: str | None
    """The trace from the hospital's call to the last payment, when it was recorded."""

    @classmethod
    def of(cls, row: BookedBill) -> BillView:
        """The view of a bill."""
        return cls.model_validate(row, from_attributes=True)


class EntryView(View):
    """One line of a book: debit positive, credit negative. Amount in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENTRY]})

    transaction_id: str
    """The settlement or payment it books."""
    line_no: int
    book: str
    account_kind: str
    counterparty: str
    fund_pay_type: str
    amount_fen: int
    kind: str
    """bill, reversal, payment; clearing and clearing_reversal where a cycle takes a case or lets it go; prepayment."""
    case_id: str | None
    """None where it is of no single case."""
    period: str
    value_date: date
    booked_at: datetime
    reverses_transaction_id: str | None

    @classmethod
    def of(cls, row: EntryRow) -> EntryView:
        """The view of a line."""
        return cls.model_validate(row, from_attributes=True)


_BILL_DETAIL: dict[str, JsonValue] = {
    **_BILL,
    "entries": [_ENTRY],
    "cleared_case_id": CASE_ID,
    "case_state": "confirmed",
    "payments": [],
    "hops": [],
}


class BillDetail(BillView):
    """A bill with its entries in all books the caller may see, the state of its case and the payments that cover it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BILL_DETAIL]})

    entries: list[EntryView]
    cleared_case_id: str
    """The case it is cleared with: its own, or a later month's it was carried to."""
    case_state: str
    """Of that case."""
    payments: list[PaymentView]
    hops: list[HopView]
    """How each hop of its money is, or is to be, paid: by which payment or position, and which order."""

    @classmethod
    def of_all(
        cls,
        row: BookedBill,
        entries: Sequence[EntryRow],
        case: Case,
        payments: Sequence[PaymentRow],
        paid: Mapping[int, HopPaid],
    ) -> BillDetail:
        """The view of a bill with everything that belongs to it."""
        by_hop = {payment.hop_no: payment for payment in payments}
        return cls(
            **BillView.of(row).model_dump(),
            entries=[EntryView.of(entry) for entry in entries],
            cleared_case_id=case.case_id,
            case_state=case.state,
            payments=[PaymentView.of(payment, case.hops) for payment in payments],
            hops=[HopView.of(hop, by_hop.get(hop.hop_no), paid.get(hop.hop_no)) for hop in case.hops],
        )


class EntryQuery(PageQuery):
    """Which lines of a book are wanted."""

    account_kind: AccountKind | None = None
    counterparty: Code | None = None
    period: Month | None = None
    """The accounting month."""
    case_id: Id | None = None


class BalanceView(View):
    """One account of a book: debit positive, credit negative. Amounts in fen."""

    account_kind: str
    counterparty: str
    fund_pay_type: str
    balance_fen: int
    debit_fen: int
    credit_fen: int
    entries: int

    @classmethod
    def of(cls, row: Balance) -> BalanceView:
        """The view of a balance."""
        return cls.model_validate(row, from_attributes=True)


class BookView(View):
    """All balances of one party's book; they sum to zero."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "party": "H41160300001",
                    "sum_fen": 0,
                    "balances": [
                        {
                            "account_kind": "medical_income",
                            "counterparty": "",
                            "fund_pay_type": "",
                            "balance_fen": -400000,
                            "debit_fen": 0,
                            "credit_fen": 400000,
                            "entries": 1,
                        },
                        {
                            "account_kind": "receivable",
                            "counterparty": "411603",
                            "fund_pay_type": "",
                            "balance_fen": 400000,
                            "debit_fen": 400000,
                            "credit_fen": 0,
                            "entries": 1,
                        },
                    ],
                }
            ]
        }
    )

    party: str
    sum_fen: int
    balances: list[BalanceView]

    @classmethod
    def of(cls, party: str, rows: Sequence[Balance]) -> BookView:
        """The view of a book."""
        balances = [BalanceView.of(row) for row in rows]
        return cls(party=party, sum_fen=sum(row.balance_fen for row in rows), balances=balances)


class PartySummaryView(View):
    """What a month's cases made one party owe and be owed, and what it paid and received since. Amounts in fen."""

    party: str
    owed_fen: int
    """What others owe it for the month's bills."""
    owing_fen: int
    """What it owes others for them."""
    borne_fen: int
    """What its own funds and personal accounts bear: the home agency's part."""
    paid_fen: int
    received_fen: int

    @classmethod
    def of(cls, row: PartySummary) -> PartySummaryView:
        """The view of a party's month."""
        return cls.model_validate(row, from_attributes=True)


class SummaryView(View):
    """Every party of a month's cases that the caller may see."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "period": "2026-10",
                    "parties": [
                        {
                            "party": "411603",
                            "owed_fen": 780000,
                            "owing_fen": 780000,
                            "borne_fen": 0,
                            "paid_fen": 0,
                            "received_fen": 0,
                        }
                    ],
                }
            ]
        }
    )

    period: str
    parties: list[PartySummaryView]


class BookSumView(View):
    """The sum of one book: zero. Amounts in fen."""

    book: str
    entries: int
    debit_fen: int
    sum_fen: int

    @classmethod
    def of(cls, row: BookSum) -> BookSumView:
        """The view of a sum."""
        return cls.model_validate(row, from_attributes=True)


class ReversalView(View):
    """A reversal and the settlement it names."""

    settlement_id: str
    reverses_settlement_id: str

    @classmethod
    def of(cls, row: ReversalPair) -> ReversalView:
        """The view of a pair."""
        return cls.model_validate(row, from_attributes=True)


class ProofView(View):
    """The books added up by the database at one moment: what is named `…_off` or `…_unbooked` counts errors."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "holds": True,
                    "entries": 9,
                    "ledger_sum_fen": 0,
                    "receivable_fen": 1200000,
                    "payable_fen": 1200000,
                    "books": [{"book": "411603", "entries": 2, "debit_fen": 400000, "sum_fen": 0}],
                    "books_off": 0,
                    "transactions_off": 0,
                    "mirror_off": 0,
                    "bills": 1,
                    "reversals": 0,
                    "bills_total_fen": 650000,
                    "bills_fund_fen": 400000,
                    "bills_account_fen": 0,
                    "bills_payable_fen": 400000,
                    "ledger_borne_fen": 400000,
                    "ledger_income_fen": 400000,
                    "bills_unbooked": 0,
                    "cases": {"open": 1},
                    "case_numbers_off": 0,
                    "hops_off": 0,
                    "chains_off": 0,
                    "payments_off": 0,
                    "payments_unbooked": 0,
                    "confirmations_off": 0,
                    "paid_fen": 0,
                    "received_fen": 0,
                    "positions_off": 0,
                    "obligations_off": 0,
                    "clearing_off": 0,
                    "prepayments_off": 0,
                    "withholdings_off": 0,
                    "classes_off": 0,
                    "unknown_reversals": [],
                    "unknown_reversals_count": 0,
                    "unequal_reversals": [],
                    "unequal_reversals_count": 0,
                }
            ]
        }
    )

    holds: bool
    """Every identity holds to the fen."""
    entries: int
    ledger_sum_fen: int
    receivable_fen: int
    """What is still owed, as the creditors' books say."""
    payable_fen: int
    """The same as the debtors' books say."""
    books: list[BookSumView]
    books_off: int
    """Books that do not sum to zero."""
    transactions_off: int
    mirror_off: int
    """Pairs of parties whose books disagree about what one owes the other."""
    bills: int
    reversals: int
    bills_total_fen: int
    bills_fund_fen: int
    bills_account_fen: int
    bills_payable_fen: int
    ledger_borne_fen: int
    """What home agencies bear in the ledger: equals the bills' payable."""
    ledger_income_fen: int
    """What facilities earned in the ledger: equals it too."""
    bills_unbooked: int
    """Bills without ledger transaction, or transactions without bill."""
    cases: dict[str, int]
    """Cases by state."""
    case_numbers_off: int
    """Cases whose fixed numbers are not those of their bills."""
    hops_off: int
    """Hops of another amount than their case."""
    chains_off: int
    """Cases with hops too many or too few."""
    payments_off: int
    """Paid hops without payment, payments without paid hop, or another amount."""
    payments_unbooked: int
    confirmations_off: int
    """Confirmations of other numbers than the case has, that no accepted objection explains."""
    paid_fen: int
    received_fen: int
    positions_off: int
    """Positions that are not the sum of their hops, less what is withheld."""
    obligations_off: int
    """Parties whose positions in a cycle do not come to what they owe and are owed in its cases."""
    clearing_off: int
    """Clearing accounts that do not hold exactly what is not settled."""
    prepayments_off: int
    """Prepayments that are not what moved them."""
    withholdings_off: int
    """Accounts, positions and decisions that do not agree about what is retained and deducted."""
    classes_off: int
    """Statements whose classes do not add up to both sides."""
    unknown_reversals: list[ReversalView]
    """Reversals whose settlement has not arrived yet, the first hundred."""
    unknown_reversals_count: int
    unequal_reversals: list[ReversalView]
    """Reversals that are not the exact negative of what they name, the first hundred."""
    unequal_reversals_count: int

    @classmethod
    def of(cls, proof: Proof) -> ProofView:
        """The view of a proof."""
        ledger, bills, cases = proof.ledger, proof.bills, proof.cases
        return cls(
            holds=proof.holds,
            entries=ledger.entries,
            ledger_sum_fen=ledger.sum_fen,
            receivable_fen=ledger.receivable_fen,
            payable_fen=ledger.payable_fen,
            books=[BookSumView.of(row) for row in proof.books],
            books_off=ledger.books_off,
            transactions_off=ledger.transactions_off,
            mirror_off=proof.mirror_off,
            bills=bills.bills,
            reversals=bills.reversals,
            bills_total_fen=bills.total_fen,
            bills_fund_fen=bills.fund_fen,
            bills_account_fen=bills.account_fen,
            bills_payable_fen=bills.payable_fen,
            ledger_borne_fen=bills.borne_fen,
            ledger_income_fen=bills.income_fen,
            bills_unbooked=bills.unbooked,
            cases=dict(proof.case_states),
            case_numbers_off=cases.numbers_off,
            hops_off=cases.hops_off,
            chains_off=cases.chains_off,
            payments_off=cases.payments_off,
            payments_unbooked=cases.payments_unbooked,
            confirmations_off=cases.confirmations_off,
            paid_fen=cases.paid_fen,
            received_fen=cases.received_fen,
            positions_off=proof.clearing.positions_off,
            obligations_off=proof.clearing.obligations_off,
            clearing_off=proof.clearing.clearing_off,
            prepayments_off=proof.clearing.prepayments_off,
            withholdings_off=proof.clearing.withholdings_off,
            classes_off=proof.classes_off,
            unknown_reversals=[ReversalView.of(row) for row in proof.unknown_reversals[:100]],
            unknown_reversals_count=len(proof.unknown_reversals),
            unequal_reversals=[ReversalView.of(row) for row in proof.unequal_reversals[:100]],
            unequal_reversals_count=len(proof.unequal_reversals),
        )
