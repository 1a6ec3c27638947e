"""Settlement (结算): the books of every party, the monthly statement, its match, the confirmations, the money.

Owns schema `settlement`: bills and ledgers with their chain, statements and differences, cases with their
confirmations, payments, dues.
Hears DischargeSettled and SettlementReversed (claims), FacilityChanged (designation).
Announces StatementSubmitted, DifferenceFound, PartyConfirmed, Reconciled, Remitted, Disbursed, CaseClosed,
ReconciliationDue, RemittanceDue, DisbursementDue.
"""
