"""Claims (待遇结算): a visit from admission to discharge settlement, and its reversal.

Owns schema `claims`: visits, fee lines, settlements, the counters of a person's year, and its own copy of who is
insured and who is contracted.
Hears PersonEnrolled, InsuranceChanged, FilingApproved, FilingCancelled (enrollment); FacilityChanged,
AgreementSigned, AgreementSuspended, AgreementRestored, AgreementEnded (designation).
Announces DischargeSettled, SettlementReversed.
"""
