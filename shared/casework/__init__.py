"""Casework (办件): a matter (事项) is declared data, a case goes through its steps, every act names its actor.

What all matters share is here: papers named all at once when they are missing (一次性告知), steps done by certain
roles, reviews by different people (四眼), refusals with a reason, clocks in working days that stop while the asker is
waited for. What a matter asks, through whose hands it goes and how long it may take is a `Matter`, a setting of a
region.

Pure: `now` is given, every change is a new value, and a `Case` holds nothing a service could not store in its tables.

- `matters`: the declaration, checked when it is made
- `cases`: opening a case, acting on it, and everything that can stand against either
- `clocks`: when a case and its step are due
"""

from __future__ import annotations

from shared.casework.cases import (
    ALREADY_DECIDED,
    CASE_CLOSED,
    CIRCUMSTANCE_UNKNOWN,
    DECISION_UNKNOWN,
    OWN_CASE,
    PAPER_MISSING,
    PAPER_UNKNOWN,
    REASON_MISSING,
    ROLE_MAY_NOT_ACT,
    SAME_PERSON,
    WRONG_STEP,
    Act,
    Case,
    act,
    missing_papers,
    objections,
    open_case,
)
from shared.casework.clocks import Due, due, step_due
from shared.casework.matters import Matter, MatterInvalid, Paper, Step

__all__ = [
    "ALREADY_DECIDED",
    "CASE_CLOSED",
    "CIRCUMSTANCE_UNKNOWN",
    "DECISION_UNKNOWN",
    "OWN_CASE",
    "PAPER_MISSING",
    "PAPER_UNKNOWN",
    "REASON_MISSING",
    "ROLE_MAY_NOT_ACT",
    "SAME_PERSON",
    "WRONG_STEP",
    "Act",
    "Case",
    "Due",
    "Matter",
    "MatterInvalid",
    "Paper",
    "Step",
    "act",
    "due",
    "missing_papers",
    "objections",
    "open_case",
    "step_due",
]
