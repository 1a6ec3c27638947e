"""Terms of regions: what is chosen, what holds, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Literal

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

Days = Annotated[int, Field(ge=1, le=250)]
Percent = Annotated[int, Field(ge=1, le=100)]
Amount = Annotated[int, Field(ge=0, le=10**15)]
Tolerance = Annotated[int, Field(ge=0, le=100_000)]
"""At most 1,000 yuan a sum: what is further apart is a difference, whatever a region wishes."""


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
_CHANGES: dict[str, JsonValue] = {
    "escalation_distances": {"from": [5, 10], "to": [3, 8]},
    "deemed_consent": {"from": False, "to": True},
    "netting": {"from": "gross", "to": "multilateral"},
}
_PROPOSAL: dict[str, JsonValue] = {
    "terms_no": 1,
    "region": "411600",
    "valid_from": "2027-01-01",
    "chosen": _CHOSEN,
    "given_up": [],
    "terms": {"reconciliation_working_days": 15, "deemed_consent": True, "netting": "multilateral"},
    "changes": _CHANGES,
    "reason": "市局2026年第12号通知",
    "state": "proposed",
    "proposed_by": "officer-1",
    "proposed_at": "2026-11-20T01:00:00Z",
    "decided_by": None,
    "decided_at": None,
}


TermName = Literal[
    "reconciliation_working_days",
    "remittance_working_days",
    "disbursement_working_days",
    "item_working_days",
    "reminder_distances",
    "escalation_distances",
    "deemed_consent",
    "tolerance_fen",
    "netting",
    "unpaid_rule",
    "negative_rule",
    "payment_way",
    "cycle_day",
    "prepayment_yellow_percent",
    "prepayment_red_percent",
    "prepayment_reset_day",
    "second_review_above_fen",
    "retention_permille",
]


class ChoiceBody(Body):
    """What a region chooses; what it leaves away stays as it chose it before, or comes from the regions above it."""

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
    tolerance_fen: Tolerance | None = None
    netting: Netting | None = None
    unpaid_rule: UnpaidRule | None = None
    negative_rule: NegativeRule | None = None
    payment_way: PaymentWay | None = None
    cycle_day: Annotated[int, Field(ge=1, le=28)] | None = None
    prepayment_yellow_percent: Percent | None = None
    prepayment_red_percent: Percent | None = None
    prepayment_reset_day: Annotated[int, Field(ge=1, le=31)] | None = None
    """Day of January on which the levels of the prepayments it holds are set anew (年度核定)."""
    second_review_above_fen: Amount | None = None
    retention_permille: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Share of what a facility is paid that is retained until the yearly review, in thousandths (质量保证金)."""


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
    given_up: Annotated[list[TermName], Field(max_length=len(CHOICES), default_factory=list)]
    """Terms it had chosen before and leaves to the regions above again."""

    def choice(self) -> Choice:
        """As the rules see it."""
        values = self.chosen.model_dump(exclude_none=True)
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return Choice(self.region, self.valid_from, values | lists, frozenset(self.given_up))


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
    given_up: list[str]
    """What it leaves to the regions above again."""
    terms: dict[str, bool | int | str | list[int]] | None
    """All terms that hold on its first day, once it is approved."""
    changes: dict[str, dict[str, bool | int | str | list[int]]] | None
    """Those of them that hold otherwise without it: `from` what, `to` what."""
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
        shown = proposal.outcome or {"terms": None, "changes": None}
        return cls(
            terms_no=proposal.terms_no,
            region=choice.region,
            valid_from=choice.valid_from,
            chosen=values,
            given_up=sorted(choice.given_up),
            **shown,
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
