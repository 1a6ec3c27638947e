"""Designation (定点管理): who may treat the insured, since when, under which agreement.

Owns schema `designation`: facilities, agreements, their suspensions and who did which step.
Hears nothing.
Announces FacilityChanged, AgreementSigned, AgreementSuspended, AgreementRestored, AgreementEnded.
"""
