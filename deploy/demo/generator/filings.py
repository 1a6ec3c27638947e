"""Remote-care filings (异地就医备案) of the made-up people: all four kinds."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from deploy.demo.generator.facilities import DRUGSTORE, FACILITIES
from deploy.demo.generator.people import Person
from shared.regions import RegionTree

RETIRED_SETTLED, LONG_TERM_RESIDENT = "retired_settled", "long_term_resident"
POSTED_WORKER, REFERRAL = "posted_worker", "referral"

_PROOF = {
    RETIRED_SETTLED: "settlement_proof",
    LONG_TERM_RESIDENT: "residence_proof",
    POSTED_WORKER: "employer_proof",
    REFERRAL: "referral_proof",
}
_SHARE = 0.07
"""Of all people; a few more live elsewhere than are treated there in a month."""


@dataclass(frozen=True, slots=True)
class Filing:
    """One filing, as the home agency registers it."""

    person: Person
    kind: str
    care_region: str
    valid_from: date
    valid_to: date | None

    def body(self, person_id: str) -> dict[str, object]:
        """How it is registered; the number of the person is known once they are enrolled."""
        return {
            "person_id": person_id,
            "kind": self.kind,
            "care_region": self.care_region,
            "valid_from": self.valid_from.isoformat(),
            "valid_to": self.valid_to and self.valid_to.isoformat(),
            "papers": ["identity_card", "filing_form", _PROOF[self.kind]],
        }


def make_filings(seed: int, people: Sequence[Person], regions: RegionTree, month: tuple[date, date]) -> list[Filing]:
    """Filings that hold all through the month, for the places where the facilities are."""
    draw = random.Random(f"{seed}/filings")
    places = sorted({f.region for f in FACILITIES if f.kind != DRUGSTORE})
    filed = (p for p in people if draw.random() < _SHARE)
    return [filing for person in filed if (filing := _make(draw, person, places, regions, month))]


def _make(
    draw: random.Random, person: Person, places: Iterable[str], regions: RegionTree, month: tuple[date, date]
) -> Filing | None:
    away = [place for place in places if not regions.covers(person.region, place)]
    care_region = draw.choice(away)
    if draw.random() < 0.3:
        # Some file for the whole city that they live in.
        city = regions[care_region].parent or care_region
        care_region = care_region if regions.covers(person.region, city) or regions[city].level != "city" else city
    kind = REFERRAL if draw.random() < 0.3 else _long_term_kind(person)
    first, last = month
    return Filing(
        person,
        kind,
        care_region,
        valid_from=first - timedelta(days=60 if kind == REFERRAL else 300),
        valid_to=last if kind == REFERRAL else None,
    )


def _long_term_kind(person: Person) -> str:
    match person.psn_type:
        case "12" | "16":
            return RETIRED_SETTLED
        case "11":
            return POSTED_WORKER
        case _:
            return LONG_TERM_RESIDENT
