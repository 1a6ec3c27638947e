"""Bodies about remote-care filings."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue

from services.enrollment.rules.filings import Act, Application, Kind, due
from services.enrollment.use_cases.filings import FilingFile
from shared.http.types import Body, Code, Day, Id, RegionCode, Text, View
from shared.workdays import WorkCalendar

_ASKED: dict[str, JsonValue] = {
    "person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    "kind": "referral",
    "care_region": "410000",
    "valid_from": "2026-11-02",
    "valid_to": "2027-05-02",
    "papers": ["filing_form", "identity_card", "referral_proof"],
}


class FilingBody(Body):
    """A remote-care filing to be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ASKED]})

    person_id: Id
    kind: Kind
    care_region: RegionCode
    """就医地: care may be sought there and in the regions below."""
    valid_from: Day
    valid_to: Day | None = None
    """Last day; without it a referral holds for some months, the others until they are ended."""
    papers: Annotated[list[Code], Field(max_length=20)]
    """Codes of the papers handed in; those that are missing are named all at once."""

    def value(self) -> Application:
        """What the body asks for."""
        return Application(
            person_id=self.person_id,
            kind=self.kind,
            care_region=self.care_region,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            papers=frozenset(self.papers),
        )


class ReasonBody(Body):
    """Why a step is taken."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "转诊证明与病情不符"}]})

    reason: Text


class ActView(View):
    """Who did what to a filing, when and why."""

    step: str
    actor: str
    role: str
    day: date | None
    reason: str | None
    at: datetime

    @classmethod
    def of(cls, act: Act) -> ActView:
        """The view of an act."""
        return cls(step=act.step, actor=act.actor, role=act.role, day=act.day, reason=act.reason, at=act.at)


class FilingView(View):
    """A remote-care filing (异地就医备案)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "filing_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6S",
                    **_ASKED,
                    "home_region": "411603",
                    "state": "applied",
                    "facility_code": "H41160300001",
                    "due_on": "2026-11-02",
                    "due_provisional": False,
                    "revision": 1,
                    "acts": [
                        {
                            "step": "apply",
                            "actor": "his-1",
                            "role": "facility",
                            "day": None,
                            "reason": None,
                            "at": "2026-11-02T01:30:00Z",
                        }
                    ],
                }
            ]
        }
    )

    filing_id: str
    """待遇申报明细流水号 (trt_dcla_detl_sn)."""
    person_id: str
    kind: str
    home_region: str
    care_region: str
    valid_from: date
    valid_to: date | None
    papers: list[str]
    state: str
    facility_code: str | None
    due_on: date | None
    """By when the home agency decides, while it has not."""
    due_provisional: bool
    """The day lies beyond the published calendars and may still move."""
    revision: int
    acts: list[ActView]

    @classmethod
    def of(cls, file: FilingFile, now: datetime, calendar: WorkCalendar) -> FilingView:
        """The view of a filing and its acts."""
        filing = file.filing
        deadline = due(filing, now, calendar)
        return cls(
            filing_id=filing.filing_id,
            person_id=filing.person_id,
            kind=filing.kind,
            home_region=filing.home_region,
            care_region=filing.care_region,
            valid_from=filing.valid_from,
            valid_to=filing.valid_to,
            papers=sorted(filing.papers),
            state=filing.state,
            facility_code=filing.facility_code,
            due_on=None if deadline is None else deadline.day,
            due_provisional=deadline is not None and deadline.provisional,
            revision=filing.revision,
            acts=[ActView.of(act) for act in file.acts],
        )
