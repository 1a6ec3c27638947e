"""What happens to all cases of a facility's month at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.settlement.rules.cases import State, Step, take_step
from services.settlement.store import cases as store
from services.settlement.store.cases import NewStep
from shared.auth import Principal
from shared.database import Connection


class Actor(NamedTuple):
    """Who acts: a person of a party, or nobody, when one thing follows from another."""

    party: str
    subject: str | None

    @classmethod
    def of(cls, principal: Principal) -> Actor:
        """The caller."""
        return cls(principal.party, principal.subject)


BY_ITSELF = Actor("settlement", None)


async def take_month_step(
    tx: Connection, facility_code: str, period: str, step: Step, actor: Actor, now: datetime
) -> Sequence[str]:
    """Take a step with all cases of a month, whose row the caller has locked; their ids."""
    found = await store.cases_of_month(tx, facility_code, period)
    targets = {take_step(state, step) for _, state in found}
    case_ids = [case_id for case_id, _ in found]
    hashes: dict[str, str] = {}
    for target in targets:  # one at most: the steps of a month lead all cases to the same state
        if target is State.MATCHED:
            hashes = await store.freeze_numbers(tx, case_ids, target)
        else:
            await store.clear_numbers(tx, case_ids, target)
    await store.add_steps(
        tx, [NewStep(case_id, step, actor.party, actor.subject, hashes.get(case_id)) for case_id in case_ids], now
    )
    return case_ids
