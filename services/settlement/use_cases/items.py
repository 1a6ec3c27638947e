"""Acting on work items. What an action comes to, the next match says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.items import (
    Action,
    ActionKind,
    Item,
    approval_needed,
    check_action,
    check_approval,
    decided_alone,
    next_to_act,
)
from services.settlement.store import items as store
from services.settlement.store.items import BillTrace
from services.settlement.store.statements import Difference
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA, Principal
from shared.database import Connection
from shared.refusals import Refused

CANDIDATES_MAX = 5
"""Bills or lines that are proposed for an item."""


@dataclass(frozen=True, slots=True)
class Dossier:
    """An item with its evidence: both rows, what could be meant, how the bill came, what was done."""

    item: Item
    difference: Difference
    candidates: Sequence[Difference]
    trace: BillTrace | None
    actions: Sequence[Action]


async def dossier(tx: Connection, item: Item) -> Dossier:
    """Everything known about an item."""
    difference = await store.evidence(tx, item)
    settlement_id = difference.settlement_id
    return Dossier(
        item,
        difference,
        await store.candidates(tx, item, CANDIDATES_MAX),
        await store.bill_trace(tx, settlement_id, item) if settlement_id else None,
        await store.actions(tx, item.item_no),
    )


async def act(
    parts: Settlement, principal: Principal, item_no: int, kind: ActionKind, reason: str, now: datetime
) -> Dossier:
    """Who stated, or the care agency, does something about an item. Raises Refused."""
    async with parts.database.transaction() as tx:
        known = await store.item(tx, item_no)
        if known is None:
            raise Refused(errors.ITEM_UNKNOWN())
        if principal.party not in (known.party, known.care_region):
            raise Refused(NOT_YOUR_AREA(party=known.party))
        # The sums before the item: who acts on a whole class locks them in this order too.
        alone = await store.decided_alone(tx, known, principal.party, principal.subject, item_no)
        item = await _locked(tx, item_no)
        if wrong := check_action(item, kind, principal.party):
            raise Refused(*wrong)
        sum_fen = decided_alone(item.amount_fen, alone)
        approval = approval_needed(kind, sum_fen, parts.settings.four_eyes_above_fen)
        who = (principal.party, principal.subject)
        await store.add_action(tx, item, kind, reason, *who, now, sum_fen=sum_fen, approval=approval)
        await store.set_acting(tx, item_no, next_to_act(item, kind, waits_for_approval=approval))
        return await dossier(tx, await _locked(tx, item_no))


async def approve(parts: Settlement, principal: Principal, item_no: int, now: datetime) -> Dossier:
    """Another person of the care agency approves what was decided about an item. Raises Refused."""
    async with parts.database.transaction() as tx:
        item = await _locked(tx, item_no)
        if principal.party != item.care_region:
            raise Refused(NOT_YOUR_AREA(party=item.care_region))
        last = next(reversed(await store.actions(tx, item_no)), None)
        if wrong := check_approval(item, last, principal.subject):
            raise Refused(*wrong)
        if last is not None:
            await store.approve_action(tx, last.action_no, principal.subject, now)
        return await dossier(tx, item)


async def _locked(tx: Connection, item_no: int) -> Item:
    item = await store.item(tx, item_no, locked=True)
    if item is None:
        raise Refused(errors.ITEM_UNKNOWN())
    return item
