"""Acting on all open items of a class in a statement at once: one reason, one second look, bound to what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.items import (
    ActionKind,
    BulkAction,
    OpenClass,
    approval_needed,
    check_bulk,
    check_bulk_approval,
    decided_alone,
    hands_to,
)
from services.settlement.rules.statements import DifferenceClass, Statement, StatementState
from services.settlement.store import bulk_actions as store
from services.settlement.store import items as item_store
from services.settlement.store import statements as statement_store
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.statements import locked_statement
from shared.auth import NOT_YOUR_AREA, Principal
from shared.database import Connection
from shared.refusals import Refused


@dataclass(frozen=True, slots=True)
class OpenItems:
    """The open items of a statement's last match, by class."""

    statement: Statement
    classes: Sequence[OpenClass]


async def open_items(tx: Connection, statement: Statement) -> OpenItems:
    """What is open of a statement, to be acted upon by the class."""
    return OpenItems(statement, await store.open_classes(tx, statement))


async def act_on_class(
    parts: Settlement,
    principal: Principal,
    statement_id: str,
    difference_class: DifferenceClass,
    kind: ActionKind,
    reason: str,
    seen: str,
    now: datetime,
) -> BulkAction:
    """Who stated, or the care agency, does the same about every open item of a class, as it saw them. Raises Refused.

    No match runs meanwhile. Only the very items that were seen are meant: none that was found, or touched, after.
    """
    async with parts.database.transaction() as tx:
        statement = await locked_statement(tx, statement_id)
        if principal.party not in (statement.party, statement.care_region):
            raise Refused(NOT_YOUR_AREA(party=statement.party))
        if statement.state is StatementState.REPLACED:
            raise Refused(errors.STATEMENT_REPLACED())
        alone = await item_store.decided_alone(tx, statement, principal.party, principal.subject)
        found = next(iter(await store.open_classes(tx, statement, difference_class)), None)
        now_seen = found.seen(statement_id, statement.match_no) if found else ""
        disputes = principal.party == statement.party
        wrong = check_bulk(found, kind, seen=seen, now_seen=now_seen, disputes=disputes)
        if wrong or found is None:
            raise Refused(*wrong)
        sum_fen = decided_alone(found.amount_fen, alone)
        approval = approval_needed(kind, sum_fen, parts.settings.four_eyes_above_fen)
        return await store.add_bulk(
            tx,
            statement,
            found,
            kind,
            reason,
            principal.party,
            principal.subject,
            now,
            sum_fen=sum_fen,
            approval=approval,
            hand_to=hands_to(kind, statement.party, statement.care_region, waits_for_approval=approval),
        )


async def approve(parts: Settlement, principal: Principal, bulk_no: int, now: datetime) -> BulkAction:
    """Another person of the care agency approves what was done about a class, for all its items. Raises Refused.

    An item whose figures have changed since is not decided by it: the next match finds it otherwise.
    """
    async with parts.database.transaction() as tx:
        bulk = await store.bulk_action(tx, bulk_no, locked=True)
        if bulk is None:
            raise Refused(errors.BULK_UNKNOWN())
        statement = await statement_store.statement(tx, bulk.statement_id)
        if statement is None or principal.party != statement.care_region:
            raise Refused(NOT_YOUR_AREA(party=statement.care_region if statement else ""))
        if wrong := check_bulk_approval(bulk, principal.subject):
            raise Refused(*wrong)
        return await store.approve(tx, bulk_no, principal.subject, now)
