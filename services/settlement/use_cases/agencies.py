"""Statements of agencies (机构间对账): a month of a chain as one of its agencies has it in books of its own.

Agencies of this deployment share their books. One with a system of its own hears the same events and keeps its own: it
states them, and what differs is a work item for it, or for the care agency, before anybody confirms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.statements import Key, Sums, check_period, check_totals
from services.settlement.store.statements import New
from services.settlement.use_cases.archive_bounds import refuse_archived_period
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.statements import Report, add_version, compare_first
from shared.auth import NOT_YOUR_AREA, Principal
from shared.events import new_id
from shared.refusals import Refusal, Refused
from shared.workdays import shanghai_day


@dataclass(frozen=True, slots=True)
class AgencySubmission:
    """What an agency states: a month between two regions."""

    period: str
    care_region: str
    home_region: str
    totals: Sequence[tuple[Key, Sums]]


async def submit(parts: Settlement, principal: Principal, submission: AgencySubmission, now: datetime) -> Report:
    """An agency's statement, or a new version of it, compared with the shared books at once. Raises Refused.

    It is there before it is compared, so that bills booked meanwhile reopen it; no case waits for it or changes.
    """
    if wrong := _check(parts, principal, submission, now):
        raise Refused(*wrong)
    ends = (submission.care_region, submission.home_region)
    new = New(new_id(), principal.party, ends[0], submission.period, home_region=ends[1])
    async with parts.database.transaction() as tx:
        await refuse_archived_period(tx, submission.period)
        await add_version(tx, new, submission.totals, principal, now)
    return await compare_first(parts, principal, new.statement_id, now)


def _check(parts: Settlement, principal: Principal, submission: AgencySubmission, now: datetime) -> list[Refusal]:
    """Everything that keeps an agency from stating this."""
    early = parts.settings.statement_before_month_end
    wrong = check_period(submission.period, shanghai_day(now), before_month_end=early)
    wrong += check_totals(submission.totals)
    ends = {"care_region": submission.care_region, "home_region": submission.home_region}
    unknown = [
        errors.REGION_UNKNOWN(pointer=f"/{name}", region=region)
        for name, region in ends.items()
        if region not in parts.regions
    ]
    if not unknown and principal.party not in (*ends.values(), *parts.regions.chain(*ends.values())):
        wrong.append(NOT_YOUR_AREA(party=f"{submission.care_region}-{submission.home_region}"))
    return wrong + unknown
