"""The parts the use cases work with, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.claims import errors
from services.claims.config import ClaimsSettings
from services.claims.rules import entitlement
from services.claims.rules.entitlement import Entitlement
from services.claims.rules.facts import FacilityFacts, PersonFacts
from services.claims.rules.lines import FeeLine
from services.claims.rules.visits import Kind
from services.claims.store.settlements import SettlementRow
from shared.codes import CodeSets
from shared.database import Database
from shared.http.idempotency import Answer
from shared.personal import PersonalDataKeys
from shared.policy.book import Book
from shared.policy.engine import Policy
from shared.refusals import Refusal
from shared.regions import RegionTree

Render = Callable[[SettlementRow], Answer]
"""How a settlement is answered; given by the edge, because the answer is kept with the idempotency key."""


@dataclass(slots=True)
class Policies:
    """The policy packs in force: those shipped, and those that officers put in force. `book` holds all of them, and is
    replaced as a whole when one more comes into force."""

    shipped: Sequence[Policy]
    book: Book


@dataclass(frozen=True, slots=True)
class Claims:
    """What every use case of claims needs."""

    database: Database
    regions: RegionTree
    codes: CodeSets
    policies: Policies
    keys: PersonalDataKeys
    settings: ClaimsSettings
    render: Render


def check_entitlement(
    claims: Claims,
    person: PersonFacts | None,
    facility_code: str,
    facility: FacilityFacts | None,
    day: date,
    insutype: str | None,
    *,
    kind: Kind,
    emergency: bool,
) -> Entitlement | list[Refusal]:
    """The entitlement on a day, by our regions and the policies in force."""
    return entitlement.check(
        person,
        facility_code,
        facility,
        day,
        insutype,
        kind=kind,
        emergency=emergency,
        regions=claims.regions,
        book=claims.policies.book,
    )


def check_codes(claims: Claims, region: str, day: date, med_type: str) -> list[Refusal]:
    """Codes of a visit that do not hold where and when it took place."""
    if claims.codes.holds("med_type", med_type, region, day):
        return []
    return [errors.CODE_UNKNOWN(pointer="/med_type", set="med_type", code=med_type)]


def check_line_codes(claims: Claims, region: str, day: date, lines: tuple[FeeLine, ...]) -> list[Refusal]:
    """Item classes that do not hold there and then."""
    return [
        errors.CODE_UNKNOWN(pointer=f"/lines/{index}/item_class", set="chrgitm_lv", code=line.item_class)
        for index, line in enumerate(lines)
        if not claims.codes.holds("chrgitm_lv", line.item_class, region, day)
    ]


def check_times(claims: Claims, began_at: datetime, ended_at: datetime | None, now: datetime) -> list[Refusal]:
    """Times that run backwards or lie in the future, by more than clocks may differ."""
    wrong = []
    latest = now + timedelta(seconds=claims.settings.clock_tolerance_s)
    for pointer, moment in (("/began_at", began_at), ("/ended_at", ended_at)):
        if moment is not None and moment > latest:
            wrong.append(errors.IN_THE_FUTURE(pointer=pointer, moment=moment.isoformat()))
    if ended_at is not None and ended_at < began_at:
        wrong.append(errors.ENDS_BEFORE_IT_BEGAN(pointer="/ended_at"))
    return wrong
