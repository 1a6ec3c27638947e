"""The proof: that ledger, bills, cases and payments agree, computed by the database from the rows themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.settlement.store import books as store
from services.settlement.store.books import BillProof, BookSum, CaseProof, LedgerProof, ReversalPair
from services.settlement.store.chain import begin_snapshot
from services.settlement.store.cycles import ClearingProof, prove_clearing
from services.settlement.use_cases.parts import Settlement


@dataclass(frozen=True, slots=True)
class Proof:
    """Everything that was added up, at one moment."""

    ledger: LedgerProof
    books: Sequence[BookSum]
    bills: BillProof
    cases: CaseProof
    clearing: ClearingProof
    case_states: Mapping[str, int]
    mirror_off: int
    classes_off: int
    unknown_reversals: Sequence[ReversalPair]
    """Reversals whose settlement has not arrived: not wrong, but to be waited for."""
    unequal_reversals: Sequence[ReversalPair]

    @property
    def holds(self) -> bool:
        """Whether every identity holds to the fen."""
        ledger, bills, cases = self.ledger, self.bills, self.cases
        sums = (ledger.sum_fen == 0, ledger.receivable_fen == ledger.payable_fen, cases.paid_fen == cases.received_fen)
        off = [ledger.books_off, ledger.transactions_off, self.mirror_off, self.classes_off, bills.unbooked]
        off += [cases.confirmations_off]
        off += [cases.numbers_off, cases.hops_off, cases.chains_off, cases.payments_off, cases.payments_unbooked]
        clearing = self.clearing
        off += [clearing.positions_off, clearing.obligations_off, clearing.clearing_off, clearing.prepayments_off]
        off += [clearing.withholdings_off]
        bills_booked = bills.payable_fen == bills.borne_fen == bills.income_fen
        return all(sums) and not any(off) and bills_booked and not self.unequal_reversals


async def prove(parts: Settlement) -> Proof:
    """Add everything up in one snapshot, while booking goes on."""
    async with parts.database.transaction() as tx:
        await begin_snapshot(tx)
        return Proof(
            ledger=await store.prove_ledger(tx),
            books=await store.prove_books(tx),
            bills=await store.prove_bills(tx),
            cases=await store.prove_cases(tx),
            clearing=await prove_clearing(tx),
            case_states=await store.case_states(tx),
            mirror_off=await store.prove_mirror(tx),
            classes_off=await store.prove_classes(tx),
            unknown_reversals=await store.unknown_reversals(tx),
            unequal_reversals=await store.unequal_reversals(tx),
        )
