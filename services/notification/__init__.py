"""Notification (消息通知): tells people, parties and partners what happened.

Owns schema `notification`: messages with the log of their attempts, subscriptions, languages, names of facilities.
Hears DischargeSettled, SettlementReversed (claims); FilingApproved, FilingCancelled (enrollment); FacilityChanged and
the four agreement events (designation); DifferenceFound, ReconciliationDue, RemittanceDue, DisbursementDue, ItemsDue,
ItemsEscalated, DueEscalated, DueSuspended, DueResumed, ObjectionRaised, ObjectionDue, ObjectionEscalated,
ObjectionDecided, ConsentDeemed, Reconciled, Remitted, Disbursed, CasePostponed, PositionDue, PositionSuspended,
PositionResumed, PositionEscalated, PositionSettled, PrepaymentLow, WithholdingApproved, CaseClosed (settlement).
Announces MessageDelivered, MessageFailed: about sms and webhooks; what lies in a party's own inbox needs no carrier.
"""
