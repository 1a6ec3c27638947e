"""Terms of regions: what is chosen, what holds, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from services.settlement.rules.terms import (
    CHOICES,
    Choice,
    NegativeRule,
    Netting,
    PaymentWay,
    Terms,
    UnpaidRule,
    origins,
)
from services.settlement.store.terms import Proposal
from shared.http.paging import PageQuery
from shared.http.types import Body, Day, Query, RegionCode, Text, View

TermsNo = Annotated[int, Field(ge=1, lt=2**63)]
"""The number of a proposal."""

Days = Annotated[int, Field(ge=0, le=250)]
Percent = Annotated[int, Field(ge=1, le=100)]
Amount = Annotated[int, Field(ge=0, le=10**15)]


def _distinct(distances: list[int]) -> list[int]:
    if len(set(distances)) < len(distances):
        raise ValueError("a distance must not be named twice")
    return distances


def _rising(distances: list[int]) -> list[int]:
    if sorted(set(distances)) != distances:
        raise ValueError("the levels of escalation follow each other, each later than the one before")
    return distances


Reminders = Annotated[list[Annotated[int, Field(ge=-60, le=60)]], Field(max_length=20), AfterValidator(_distinct)]
Escalations = Annotated[list[Annotated[int, Field(ge=1, le=60)]], Field(max_length=5), AfterValidator(_rising)]

_CHOSEN: dict[str, JsonValue] = {
    "reconciliation_working_days": 15,
    "escalation_distances": [3, 8],
    "deemed_consent": True,
    "netting": "multilateral",
}
_PROPOSAL: dict[str, JsonValue] = {
    "terms_no": 1,
    "region": "411600",
    "valid_from": "2027-01-01",
    "chosen": _CHOSEN,
    "reason": "市局2026年第12号通知",
    "state": "proposed",
    "proposed_by": "officer-1",
    "proposed_at": "2026-11-20T01:00:00Z",
    "decided_by": None,
    "decided_at": None,
}


class ChoiceBody(Body):
    """What a region chooses; what it leaves away it takes from the regions above it."""

    reconciliation_working_days: Days | None = None
    """对账时限."""
    remittance_working_days: Days | None = None
    """上解时限."""
    disbursement_working_days: Days | None = None
    """拨付时限."""
    item_working_days: Days | None = None
    """待办时限."""
    reminder_distances: Reminders | None = None
    """Working days left at which a due is announced; negative once it is overdue."""
    escalation_distances: Escalations | None = None
    """Working days after the due day at which the agencies above are told, one level each."""
    deemed_consent: bool | None = None
    """Whether silence is agreement (逾期视为确认)."""
    tolerance_fen: Amount | None = None
    netting: Netting | None = None
    unpaid_rule: UnpaidRule | None = None
    negative_rule: NegativeRule | None = None
    payment_way: PaymentWay | None = None
    cycle_day: Annotated[int, Field(ge=1, le=28)] | None = None
    prepayment_yellow_percent: Percent | None = None
    prepayment_red_percent: Percent | None = None
    second_review_above_fen: Amount | None = None


class TermsBody(Body):
    """Terms that a region proposes to itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "region": "411600",
                    "valid_from": "2027-01-01",
                    "reason": "市局2026年第12号通知",
                    "chosen": _CHOSEN,
                }
            ]
        }
    )

    region: RegionCode
    valid_from: Day
    """The first day on which clocks start by them; not before the day of their approval."""
    reason: Text
    chosen: ChoiceBody

    def choice(self) -> Choice:
        """As the rules see it."""
        values = self.chosen.model_dump(exclude_none=True)
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return Choice(self.region, self.valid_from, values | lists)


class TermsQuery(PageQuery):
    """Whose proposals are wanted."""

    region: RegionCode | None = None


class ProposalView(View):
    """A proposal of terms."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PROPOSAL]})

    terms_no: int
    region: str
    valid_from: date
    chosen: dict[str, bool | int | str | list[int]]
    """Only what the region chose."""
    reason: str
    state: str
    """proposed, approved, rejected."""
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None

    @classmethod
    def of(cls, proposal: Proposal) -> ProposalView:
        """The view of a proposal."""
        choice = proposal.choice
        values = {n: list(v) if isinstance(v, tuple) else v for n, v in choice.values.items()}
        return cls(
            terms_no=proposal.terms_no,
            region=choice.region,
            valid_from=choice.valid_from,
            chosen=values,
            reason=proposal.reason,
            state=proposal.state,
            proposed_by=proposal.proposed_by,
            proposed_at=proposal.proposed_at,
            decided_by=proposal.decided_by,
            decided_at=proposal.decided_at,
        )


class InForceQuery(Query):
    """On which day; today when it is left away."""

    on: Day | None = None


class TermsView(View):
    """The terms that hold for a region on a day, and which region chose each of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "region": "411603",
                    "on": "2026-11-20",
                    "terms": {"reconciliation_working_days": 15, "deemed_consent": False, "netting": "gross"},
                    "chosen_by": {"reconciliation_working_days": "411600"},
                }
            ]
        }
    )

    region: str
    on: date
    terms: dict[str, bool | int | str | list[int]]
    chosen_by: dict[str, str]
    """By the name of the term; what is missing here comes from the settings of the service."""

    @classmethod
    def of(cls, terms: Terms, on: date, choices: Sequence[Choice]) -> TermsView:
        """The view of terms with their origins."""
        values = {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(terms).items() if n in CHOICES}
        return cls(region=terms.region, on=on, terms=values, chosen_by=origins(choices))
