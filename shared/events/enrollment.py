"""What enrollment announces: the person's internal number and keyed hashes, never personal data."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from shared.events.base import Event


class PersonEnrolled(Event):
    """A person got an internal number, or their identity number was corrected. Key: the person."""

    announcer: ClassVar[str] = "enrollment"
    person_id: str
    identity_hash: str
    """Keyed hash of the identity number: lets a receiver recognise a card without knowing the number."""
    revision: int = 1

    @property
    def key(self) -> str:
        return self.person_id


class InsuranceChanged(Event):
    """A person's insurance span (参保) was recorded or changed; carries its whole state. Key: the person."""

    announcer: ClassVar[str] = "enrollment"
    span_id: str
    person_id: str
    insutype: str
    """险种类型, e.g. 310 employees, 390 residents."""
    psn_type: str
    """人员类别, e.g. 11 in work, 12 retired, 15 resident."""
    region: str
    """The home region (参保地医保区划)."""
    valid_from: date
    valid_to: date | None
    """Last insured day; None while it is open."""
    revision: int
    """Grows with every change of the span: a receiver keeps the highest."""

    @property
    def key(self) -> str:
        return self.person_id


class FilingApproved(Event):
    """A remote-care filing (异地就医备案) holds, or changed; carries its whole state. Key: the person."""

    announcer: ClassVar[str] = "enrollment"
    filing_id: str
    person_id: str
    kind: str
    """retired_settled 安置退休, long_term_resident 长期居住, posted_worker 常驻异地工作, referral 转诊."""
    care_region: str
    """Where care may be sought; the regions below it are included."""
    valid_from: date
    valid_to: date | None
    revision: int

    @property
    def key(self) -> str:
        return self.person_id


class FilingCancelled(Event):
    """A remote-care filing was withdrawn: it never counts again. Key: the person."""

    announcer: ClassVar[str] = "enrollment"
    filing_id: str
    person_id: str
    revision: int

    @property
    def key(self) -> str:
        return self.person_id
