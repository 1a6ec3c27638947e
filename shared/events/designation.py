"""What designation announces about facilities (定点医药机构) and their agreements."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from shared.events.base import Event


class Suspension(BaseModel):
    """Days on which an agreement does not hold (中止); `until` is the last one, None while it lasts."""

    model_config = ConfigDict(frozen=True)

    since: date
    until: date | None = None


class FacilityChanged(Event):
    """A facility was registered or its data changed; carries its whole state. Key: the facility."""

    announcer: ClassVar[str] = "designation"
    facility_code: str
    name: str
    kind: str
    """hospital 定点医疗机构, clinic 门诊, pharmacy 定点零售药店."""
    level: str
    """Deductible level of the facility (起付线医院等级): 1, 2, 3, 9 without."""
    region: str
    revision: int

    @property
    def key(self) -> str:
        return self.facility_code


class AgreementState(Event):
    """Common body of the agreement events: each carries the whole state, so that a late one never misleads."""

    announcer: ClassVar[str] = "designation"
    agreement_id: str
    facility_code: str
    valid_from: date
    valid_to: date
    """Last day of the agreement; shortened when it is ended early."""
    suspensions: tuple[Suspension, ...] = ()
    revision: int

    @property
    def key(self) -> str:
        return self.facility_code


class AgreementSigned(AgreementState):
    """An agreement (定点协议) came into force. Key: the facility."""


class AgreementSuspended(AgreementState):
    """An agreement was suspended (中止) from a day on. Key: the facility."""


class AgreementRestored(AgreementState):
    """A suspended agreement holds again (恢复). Key: the facility."""


class AgreementEnded(AgreementState):
    """An agreement was ended (解除) before its time. Key: the facility."""
