"""The life of a visit: every state, every step, and that all that is not in the table is refused."""

from __future__ import annotations

import pytest

from services.claims.rules.visits import CLR_TYPE, Kind, State, Step, reversal_step, take_step
from shared.refusals import Refusal

POSSIBLE = {
    (State.OPEN, Step.ADD_LINES): State.OPEN,
    (State.OPEN, Step.SETTLE): State.SETTLED,
    (State.OPEN, Step.CANCEL): State.CANCELLED,
    (State.SETTLED, Step.REVERSE_STAY): State.OPEN,
    (State.SETTLED, Step.REVERSE_VISIT): State.CANCELLED,
}


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("state", State)
def test_every_step_from_every_state(state: State, step: Step) -> None:
    leads_to = take_step(state, step)
    if (state, step) in POSSIBLE:
        assert leads_to is POSSIBLE[state, step]
    else:
        assert isinstance(leads_to, Refusal)
        assert (leads_to.code, dict(leads_to.params)) == ("claims.visit-not-open", {"state": state})


def test_a_cancelled_visit_stays_cancelled() -> None:
    assert all(isinstance(take_step(State.CANCELLED, step), Refusal) for step in Step)


@pytest.mark.parametrize(
    ("kind", "clearing_type", "reversal"),
    [
        (Kind.INPATIENT, "21", Step.REVERSE_STAY),
        (Kind.OUTPATIENT, "11", Step.REVERSE_VISIT),
        (Kind.PHARMACY, "41", Step.REVERSE_VISIT),
    ],
)
def test_what_a_kind_decides(kind: Kind, clearing_type: str, reversal: Step) -> None:
    assert (CLR_TYPE[kind], reversal_step(kind)) == (clearing_type, reversal)
