"""Bodies of designation's requests and answers; known only to `api.py`."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import ConfigDict, JsonValue

from services.designation.rules import AgreementFacts
from services.designation.tables import Facility
from shared.http.paging import PageQuery
from shared.http.types import Body, Code, Day, RegionCode, Text, View

Kind = Literal["hospital", "clinic", "pharmacy"]
Level = Literal["1", "2", "3", "9"]

_FACILITY: dict[str, JsonValue] = {"name": "淮阳区人民医院", "kind": "hospital", "level": "2"}


class FacilityChange(Body):
    """New data of a facility."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FACILITY]})

    name: Text
    kind: Kind
    level: Level
    """Deductible level (起付线医院等级)."""


class FacilityBody(FacilityChange):
    """A new facility."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "H41160300001", "region": "411603", **_FACILITY}]}
    )

    code: Code
    """定点医药机构编号."""
    region: RegionCode


class FacilityView(View):
    """A facility."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "H41160300001", "region": "411603", **_FACILITY, "revision": 1}]}
    )

    code: str
    name: str
    kind: str
    level: str
    region: str
    revision: int

    @classmethod
    def of(cls, row: Facility) -> FacilityView:
        """The view of a row."""
        return cls.model_construct(**row.model_dump())


class FacilityQuery(PageQuery):
    """Which facilities are wanted."""

    region: RegionCode
    """The region and all below it."""


class AgreementBody(Body):
    """A new agreement, as a draft."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"facility_code": "H41160300001", "valid_from": "2026-01-01", "valid_to": "2026-12-31"}]
        }
    )

    facility_code: Code
    valid_from: Day
    valid_to: Day


class StepBody(Body):
    """A step that takes effect on a day and needs a reason."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"day": "2026-11-02", "reason": "检查发现违反协议"}]})

    day: Day
    """First day without the agreement (suspension), first day with it again (restoration), last day (end)."""
    reason: Text


class SuspensionView(View):
    """Days without the agreement."""

    since: date
    until: date | None


class AgreementView(View):
    """An agreement."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "agreement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
                    "facility_code": "H41160300001",
                    "valid_from": "2026-01-01",
                    "valid_to": "2026-12-31",
                    "state": "in_force",
                    "drafted_by": "officer-1",
                    "signed_by": "reviewer-1",
                    "suspensions": [],
                    "revision": 2,
                }
            ]
        }
    )

    agreement_id: str
    facility_code: str
    valid_from: date
    valid_to: date
    state: str
    drafted_by: str
    signed_by: str | None
    suspensions: list[SuspensionView]
    revision: int

    @classmethod
    def of(cls, facts: AgreementFacts) -> AgreementView:
        """The view of an agreement."""
        return cls(
            agreement_id=facts.agreement_id,
            facility_code=facts.facility_code,
            valid_from=facts.valid_from,
            valid_to=facts.valid_to,
            state=facts.state,
            drafted_by=facts.drafted_by,
            signed_by=facts.signed_by,
            suspensions=[SuspensionView(since=i.since, until=i.until) for i in facts.suspensions],
            revision=facts.revision,
        )
