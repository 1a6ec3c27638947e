"""Enrollment (参保): who is insured, where, since when, and where they may seek care.

Owns schema `enrollment`: persons (personal data encrypted), insurance spans, remote-care filings, who did which step.
Hears nothing.
Announces PersonEnrolled, InsuranceChanged, FilingApproved, FilingCancelled.
"""
