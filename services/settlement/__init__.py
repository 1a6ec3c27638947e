"""Settlement (结算): the books of every party, the monthly statement, its match, the confirmations, the money.

Owns schema `settlement`: bills and ledgers with their chain, statements and differences, cases with their
confirmations, payments, dues, cycles with their positions, prepayments,
payment orders with the bank's answers, bank accounts, payouts to persons, what is withheld from facilities.
Hears DischargeSettled and SettlementReversed (claims), FacilityChanged (designation).
Announces StatementSubmitted, DifferenceFound, AgencyBooksDiffer, PartyConfirmed, Reconciled, Remitted, Disbursed,
CaseClosed, ReconciliationDue, RemittanceDue, DisbursementDue, ItemsDue, ItemsEscalated, DueEscalated, DueSuspended,
DueResumed, ObjectionRaised, ObjectionDue, ObjectionEscalated, ObjectionDecided, ConsentDeemed, CycleCut, PositionDue,
PositionSuspended, PositionResumed, PositionEscalated, PositionSettled, CasePostponed, PrepaymentLow, PayoutPaid,
PayoutRefused, OrderFailed, WithholdingApproved.
"""
