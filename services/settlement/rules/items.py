"""Work items (待办): one for each difference, who must act on it, what they may do, and what decides it. Pure.

An item closes when a match does not find its difference any more, or finds it decided. Nobody ticks it off.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from services.settlement import errors
from services.settlement.rules.statements import DifferenceClass
from shared.refusals import Refusal


class ItemState(StrEnum):
    """Where an item stands."""

    OPEN = "open"
    CLOSED = "closed"


class Closing(StrEnum):
    """Why an item is closed."""

    AGREED = "agreed"
    """A match did not find the difference any more."""
    DECIDED = "decided"
    """A match found it as it was when it was decided."""
    BOOKS_STAND = "books_stand"
    """It was decided for the whole statement that the books stand."""


class ActionKind(StrEnum):
    """What a party says or does about an item."""

    CORRECT = "correct"
    """Who stated corrects it, in a new version of the statement, or a facility by a reversal (更正)."""
    DISPUTE = "dispute"
    """Who stated says that the books are wrong: the care agency looks into it (异议)."""
    DROP = "drop"
    """What was stated is dropped, the books stand (以账面为准)."""
    NEXT_PERIOD = "next_period"
    """The line is stated again in the next month, when its bill is in the books (转下期)."""


DECIDING = (ActionKind.DROP, ActionKind.NEXT_PERIOD)
"""Actions by which the next match closes the item, unless its figures have changed since."""

AGENCY_ACTS = (DifferenceClass.MISSING_IN_BOOKS,)
"""Classes the care agency looks at first: what became of the bill. All others are for who stated to explain."""


@dataclass(frozen=True, slots=True)
class Item:
    """One work item as it stands. Amounts in fen."""

    item_no: int
    party: str
    """Who stated: a facility, or an agency."""
    care_region: str
    period: str
    difference_class: str
    state: ItemState
    acting_party: str
    due_on: date
    provisional: bool
    amount_fen: int
    """What is at stake: the largest of the three sums' differences."""
    booked: bool
    """Whether there is a bill in the books of its month."""
    statement_id: str
    match_no: int
    position: int
    """Where the match that first found it as it stands keeps the difference."""
    found_at: datetime
    reopened_count: int
    closed_at: datetime | None
    closed_as: Closing | None
    home_region: str | None
    """The other end of the chain, where an agency stated."""

    @property
    def facility_code(self) -> str | None:
        """The facility that stated; None for an agency."""
        return self.party if self.home_region is None else None


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody said or did about an item."""

    action_no: int
    kind: ActionKind
    reason: str
    party: str
    subject: str
    at: datetime
    approval_needed: bool
    approved_by: str | None
    approved_at: datetime | None
    stands: bool
    """Whether the item's figures are still those it was taken on."""
    amount_fen: int
    """What was at stake."""
    sum_fen: int
    """What the approval was weighed by: see `decided_alone`."""
    bulk_no: int | None
    """The action for a whole class that it is part of."""


@dataclass(frozen=True, slots=True)
class OpenClass:
    """The open items of one class that the last match of a statement found."""

    difference_class: DifferenceClass
    acting_parties: tuple[str, ...]
    """Who must act on them."""
    item_count: int
    booked_count: int
    """Those with a bill in the books of their month."""
    amount_fen: int
    """What is at stake in all of them."""
    last_action_no: int
    """Of the last thing that was done about any of them."""

    def seen(self, statement_id: str, match_no: int) -> str:
        """Names what somebody saw: another match, item, amount or action makes it another name."""
        words = (statement_id, match_no, self.difference_class, self.item_count, self.amount_fen, self.last_action_no)
        return hashlib.sha256(" ".join(map(str, words)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class BulkAction:
    """One action for all open items of a class in a statement, as somebody saw them."""

    bulk_no: int
    statement_id: str
    match_no: int
    difference_class: str
    kind: ActionKind
    reason: str
    party: str
    subject: str
    at: datetime
    item_count: int
    amount_fen: int
    sum_fen: int
    """What the approval was weighed by: see `decided_alone`."""
    approval_needed: bool
    approved_by: str | None
    approved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Alone:
    """What was decided without a second person about the items of one month, in fen."""

    of_month: int
    """About this party's, by whomever."""
    of_person: int
    """By this person, about whosever."""


def check_action(item: Item, kind: ActionKind, party: str) -> list[Refusal]:
    """Everything that keeps a party from an action."""
    wrong = []
    if item.state is ItemState.CLOSED:
        wrong.append(errors.ITEM_CLOSED())
    if kind is ActionKind.DISPUTE and party != item.party:
        wrong.append(errors.ACTION_NOT_YOURS(pointer="/kind"))
    if kind is ActionKind.NEXT_PERIOD and item.booked:
        wrong.append(errors.ITEM_BOOKED(pointer="/kind"))
    return wrong


def decided_alone(amount_fen: int, alone: Alone) -> int:
    """What a decision would bring the sum to that was decided by one person only: that of the party's month, or of the
    person's own decisions, whichever is larger. Many small ones weigh as much as one large one.
    """
    return amount_fen + max(alone.of_month, alone.of_person)


def approval_needed(kind: ActionKind, sum_fen: int, above_fen: int) -> bool:
    """Whether another person of the care agency must approve an action (四眼), by what was decided alone with it."""
    return kind in DECIDING and sum_fen > above_fen


def next_to_act(item: Item, kind: ActionKind, *, waits_for_approval: bool) -> str:
    """Who must act once an action is taken."""
    handed_to = hands_to(kind, item.party, item.care_region, waits_for_approval=waits_for_approval)
    return handed_to or item.acting_party


def hands_to(kind: ActionKind, party: str, care_region: str, *, waits_for_approval: bool) -> str | None:
    """Whom an action makes the next to act, of who stated and the care agency; None where it stays as it is."""
    if waits_for_approval or kind is ActionKind.DISPUTE:
        return care_region
    return party if kind is ActionKind.CORRECT else None


def check_bulk(found: OpenClass | None, kind: ActionKind, *, seen: str, now_seen: str, disputes: bool) -> list[Refusal]:
    """Everything that keeps a party from acting on a class; `disputes` says whether it is the one that stated."""
    if found is None or seen != now_seen:
        count, amount_fen = (found.item_count, found.amount_fen) if found else (0, 0)
        return [errors.ITEMS_CHANGED(pointer="/seen", count=count, amount_fen=amount_fen)]
    wrong = []
    if kind is ActionKind.DISPUTE and not disputes:
        wrong.append(errors.ACTION_NOT_YOURS(pointer="/kind"))
    if kind is ActionKind.NEXT_PERIOD and found.booked_count:
        wrong.append(errors.ITEM_BOOKED(pointer="/kind"))
    return wrong


def check_bulk_approval(bulk: BulkAction, subject: str) -> list[Refusal]:
    """Everything that keeps a person of the care agency from approving an action for a class."""
    if not bulk.approval_needed or bulk.approved_by is not None:
        return [errors.NOTHING_TO_APPROVE()]
    return [errors.SAME_PERSON()] if bulk.subject == subject else []


def check_approval(item: Item, last: Action | None, subject: str) -> list[Refusal]:
    """Everything that keeps a person of the care agency from approving what was done last."""
    if item.state is ItemState.CLOSED:
        return [errors.ITEM_CLOSED()]
    if last is None or not last.approval_needed or last.approved_by is not None:
        return [errors.NOTHING_TO_APPROVE()]
    wrong = []
    if not last.stands:
        wrong.append(errors.ITEM_CHANGED())
    if last.subject == subject:
        wrong.append(errors.SAME_PERSON())
    return wrong
