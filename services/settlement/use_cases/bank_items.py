"""What the bank's answers left open (银行待办): who sees it, and who closes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.banking import BankItemKind
from services.settlement.store import banking as store
from services.settlement.store.banking import ItemRow
from services.settlement.use_cases.parts import Settlement, sight_of
from shared.auth import NOT_YOUR_AREA, Principal, Role
from shared.refusals import Refused

NOBODYS = ""
"""The party of what no agency can be told of."""


def parties_of(parts: Settlement, principal: Principal) -> Sequence[str]:
    """Whose items a caller sees: operations staff what no agency can be told of, an agency those of its area."""
    return (NOBODYS,) if principal.role is Role.OPERATOR else sight_of(parts.regions, principal).areas


async def explain(parts: Settlement, principal: Principal, item_no: int, note: str, now: datetime) -> ItemRow:
    """Whoever must act says what it was. Raises Refused."""
    async with parts.database.transaction() as tx:
        found = await store.item(tx, item_no, locked=True)
        if found is None:
            raise Refused(errors.BANK_ITEM_UNKNOWN())
        if found.party != (NOBODYS if principal.role is Role.OPERATOR else principal.party):
            raise Refused(NOT_YOUR_AREA(party=found.party))
        if found.closed_at is not None:
            raise Refused(errors.BANK_ITEM_CLOSED())
        if found.kind == BankItemKind.ENTRY_UNKNOWN and found.amount_fen:
            raise Refused(errors.BANK_ITEM_ON_SUSPENSE())
        await store.explain_item(tx, item_no, principal.subject, note, now)
        explained = await store.item(tx, item_no)
    return explained or found
