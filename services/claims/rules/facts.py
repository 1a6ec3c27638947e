"""What the rules know of a person and a facility: plain values, as loaded from our copy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Span:
    """A person's insurance (参保) of one kind in one region; `valid_to` is None while it is open."""

    person_id: str
    insutype: str
    psn_type: str
    region: str
    valid_from: date
    valid_to: date | None

    def holds(self, day: date) -> bool:
        """Whether the person is insured by it on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Filing:
    """A remote-care filing (异地就医备案)."""

    person_id: str
    kind: str
    care_region: str
    valid_from: date
    valid_to: date | None

    def holds(self, day: date) -> bool:
        """Whether it counts on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """A person with all spans and filings we know of."""

    person_id: str
    spans: tuple[Span, ...]
    filings: tuple[Filing, ...]


@dataclass(frozen=True, slots=True)
class AgreementFacts:
    """An agreement of a facility; `suspensions` are pairs of first and last day, the last one None while it lasts."""

    valid_from: date
    valid_to: date
    suspensions: tuple[tuple[date, date | None], ...]

    def covers(self, day: date) -> bool:
        """Whether the day lies in its term, suspended or not."""
        return self.valid_from <= day <= self.valid_to

    def suspended(self, day: date) -> bool:
        """Whether it is suspended on a day."""
        return any(since <= day and (until is None or day <= until) for since, until in self.suspensions)


@dataclass(frozen=True, slots=True)
class FacilityFacts:
    """A facility with its agreements."""

    code: str
    kind: str
    level: str
    region: str
    agreements: tuple[AgreementFacts, ...]
