"""Terms of regions: looked up, proposed, and decided about by another person."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from services.settlement import errors
from services.settlement.rules.terms import Choice, Terms, check_choice, in_force, outcome, resolve
from services.settlement.store import terms as store
from services.settlement.store.terms import Proposal
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA, Principal
from shared.database import Connection
from shared.refusals import Refused
from shared.workdays import shanghai_day


async def terms_at(parts: Settlement, tx: Connection, regions: Iterable[str], on: date) -> dict[str, Terms]:
    """The terms of every region asked for on a day."""
    return await store.terms_at(tx, parts.regions, parts.default_terms, set(regions), on)


async def propose(parts: Settlement, principal: Principal, choice: Choice, reason: str, now: datetime) -> Proposal:
    """An officer proposes terms for the own region. Raises Refused."""
    if principal.party != choice.region:
        raise Refused(NOT_YOUR_AREA(party=choice.region))
    if wrong := check_choice(choice, shanghai_day(now)):
        raise Refused(*wrong)
    async with parts.database.transaction() as tx:
        shown = await _outcome(parts, tx, choice)
        return await store.add_terms(tx, choice, reason, principal.subject, now, shown)


async def _outcome(parts: Settlement, tx: Connection, choice: Choice) -> dict[str, Any]:
    """What a choice comes to on its first day, over all that holds on that day without it."""
    region, defaults = choice.region, parts.default_terms
    choices = (await store.choices_in_force(tx, parts.regions, [region], choice.valid_from))[region]
    own = [found for found in choices if found.region == region]
    chosen = in_force([*own, choice])
    after = resolve(defaults, region, [chosen, *(found for found in choices if found.region != region)])
    return outcome(resolve(defaults, region, choices), after)


async def decide(parts: Settlement, principal: Principal, terms_no: int, now: datetime, *, approved: bool) -> Proposal:
    """Another person of the region puts terms in force, or turns them down. Raises Refused.

    Terms never begin before the day on which they are approved, and come to what was shown, or are proposed again.
    """
    async with parts.database.transaction() as tx:
        found = await store.proposal(tx, terms_no, locked=True)
        if found is None:
            raise Refused(errors.TERMS_UNKNOWN())
        if principal.party != found.choice.region:
            raise Refused(NOT_YOUR_AREA(party=found.choice.region))
        wrong = [errors.TERMS_DECIDED(state=found.state)] if found.state != "proposed" else []
        if principal.subject == found.proposed_by:
            wrong.append(errors.SAME_PERSON())
        if approved:
            wrong += check_choice(found.choice, shanghai_day(now))
            if found.state == "proposed" and found.outcome != await _outcome(parts, tx, found.choice):
                wrong.append(errors.TERMS_OUTDATED())
        if wrong:
            raise Refused(*wrong)
        return await store.decide(tx, terms_no, "approved" if approved else "rejected", principal.subject, now)
