"""Terms of regions: proposed, decided, in force."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Any

from services.settlement.rules.terms import (
    CHOICES,
    Choice,
    NegativeRule,
    Netting,
    PaymentWay,
    Terms,
    UnpaidRule,
    in_force,
    resolve,
)
from shared.database import Connection
from shared.regions import RegionTree

_CHOICES = ", ".join(CHOICES)
# Of each region all choices that have begun, the oldest first.
CHOICES_BEGUN = f"""
    SELECT region, valid_from, given_up, {_CHOICES} FROM region_terms
    WHERE region = ANY($1::text[]) AND state = 'approved' AND valid_from <= $2
    ORDER BY region, valid_from, terms_no
"""
_ROW = f"""
    terms_no, region, valid_from, reason, state, proposed_by, proposed_at, decided_by, decided_at, given_up,
    outcome::text AS outcome, {_CHOICES}
"""
TERMS_INSERT = f"""
    INSERT INTO region_terms (region, valid_from, reason, state, proposed_by, proposed_at, given_up, outcome,
        {_CHOICES})
    VALUES ($1, $2, $3, 'proposed', $4, $5, $6, $7::jsonb, {", ".join(f"${8 + n}" for n in range(len(CHOICES)))})
    RETURNING {_ROW}
"""
TERMS_ROW = f"SELECT {_ROW} FROM region_terms WHERE terms_no = $1"
TERMS_LOCKED = f"{TERMS_ROW} FOR UPDATE"
TERMS_DECIDE = f"""
    UPDATE region_terms SET state = $2, decided_by = $3, decided_at = $4 WHERE terms_no = $1 RETURNING {_ROW}
"""
TERMS_PAGE = f"""
    SELECT {_ROW} FROM region_terms WHERE ($1::text IS NULL OR region = $1) AND terms_no > $2
    ORDER BY terms_no LIMIT $3
"""
_KINDS: Mapping[str, type[StrEnum]] = {
    "netting": Netting,
    "unpaid_rule": UnpaidRule,
    "negative_rule": NegativeRule,
    "payment_way": PaymentWay,
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A choice of terms with what became of it: proposed, approved, rejected."""

    terms_no: int
    choice: Choice
    reason: str
    state: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    outcome: Mapping[str, Any] | None
    """What it comes to, as it was shown when it was proposed; None before there was such a thing."""


async def choices_in_force(
    tx: Connection, tree: RegionTree, regions: Iterable[str], on: date
) -> dict[str, list[Choice]]:
    """For each region the choices that hold on a day, its own first and the nation's last.

    A region that is not in the tree any more, and still has open cases, has nobody above it.
    """
    paths = {region: tree.ancestors(region) if region in tree else (region,) for region in regions}
    wanted = sorted({code for path in paths.values() for code in path})
    begun = groupby(map(_choice, await tx.fetch(CHOICES_BEGUN, wanted, on)), attrgetter("region"))
    found = {region: in_force(list(history)) for region, history in begun}
    return {region: [found[code] for code in path if code in found] for region, path in paths.items()}


async def terms_at(
    tx: Connection, tree: RegionTree, defaults: Terms, regions: Iterable[str], on: date
) -> dict[str, Terms]:
    """The terms of every region asked for on a day."""
    found = await choices_in_force(tx, tree, regions, on)
    return {region: resolve(defaults, region, choices) for region, choices in found.items()}


def _choice(row: Any) -> Choice:
    values = {name: _value(name, row[name]) for name in CHOICES if row[name] is not None}
    return Choice(row["region"], row["valid_from"], values, frozenset(row["given_up"]))


def _value(name: str, value: Any) -> Any:
    if name in _KINDS:
        return _KINDS[name](value)
    return tuple(value) if isinstance(value, list) else value


def _proposal(row: Any) -> Proposal:
    decided = (row["decided_by"], row["decided_at"], None if row["outcome"] is None else json.loads(row["outcome"]))
    return Proposal(
        row["terms_no"], _choice(row), row["reason"], row["state"], row["proposed_by"], row["proposed_at"], *decided
    )


async def add_terms(
    tx: Connection, choice: Choice, reason: str, subject: str, at: datetime, outcome: Mapping[str, Any]
) -> Proposal:
    """Propose terms, with what they come to."""
    head = (choice.region, choice.valid_from, reason, subject, at, sorted(choice.given_up))
    values = [choice.values.get(name) for name in CHOICES]
    return _proposal(await tx.fetchrow(TERMS_INSERT, *head, json.dumps(outcome), *values))


async def proposal(tx: Connection, terms_no: int, *, locked: bool = False) -> Proposal | None:
    """One proposal, locked when it is to be decided."""
    row = await (tx.fetchrow(TERMS_LOCKED, terms_no) if locked else tx.fetchrow(TERMS_ROW, terms_no))
    return None if row is None else _proposal(row)


async def decide(tx: Connection, terms_no: int, state: str, subject: str, at: datetime) -> Proposal:
    """Approve or reject a proposal."""
    return _proposal(await tx.fetchrow(TERMS_DECIDE, terms_no, state, subject, at))


async def proposals(tx: Connection, region: str | None, after: int, limit: int) -> Sequence[Proposal]:
    """Proposals in their order."""
    return [_proposal(row) for row in await tx.fetch(TERMS_PAGE, region, after, limit)]
