"""The life of a visit (就诊): which step leads where."""

from __future__ import annotations

from enum import StrEnum

from services.claims import errors
from shared.refusals import Refusal


class Kind(StrEnum):
    """What a visit is; decides the clearing type and the kind of care."""

    INPATIENT = "inpatient"
    """住院."""
    OUTPATIENT = "outpatient"
    """门诊."""
    PHARMACY = "pharmacy"
    """药店购药."""


CLR_TYPE = {Kind.INPATIENT: "21", Kind.OUTPATIENT: "11", Kind.PHARMACY: "41"}
"""清算类别."""


class State(StrEnum):
    """Where a visit stands."""

    OPEN = "open"
    """在院 or being treated: lines may be added."""
    SETTLED = "settled"
    """已结算."""
    CANCELLED = "cancelled"
    """撤销: admitted by mistake, or an outpatient visit whose settlement was reversed."""


class Step(StrEnum):
    """What can be done to a visit."""

    ADD_LINES = "add-lines"
    SETTLE = "settle"
    REVERSE_STAY = "reverse-stay"
    REVERSE_VISIT = "reverse-visit"
    CANCEL = "cancel"


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.OPEN, Step.ADD_LINES): State.OPEN,
    (State.OPEN, Step.SETTLE): State.SETTLED,
    (State.OPEN, Step.CANCEL): State.CANCELLED,
    # A stay whose settlement is reversed is open again: its lines are corrected and it is settled anew.
    (State.SETTLED, Step.REVERSE_STAY): State.OPEN,
    (State.SETTLED, Step.REVERSE_VISIT): State.CANCELLED,
}
"""Every step that is possible; all others are refused."""


def take_step(state: State, step: Step) -> State | Refusal:
    """Where a step leads, or why it is not possible."""
    return TRANSITIONS.get((state, step)) or errors.VISIT_NOT_OPEN(state=state)


def reversal_step(kind: Kind) -> Step:
    """The step a reversal is for a kind of visit."""
    return Step.REVERSE_STAY if kind is Kind.INPATIENT else Step.REVERSE_VISIT
