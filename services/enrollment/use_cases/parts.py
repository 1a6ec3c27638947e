"""The parts enrollment's use cases work with, and how they seal personal data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.enrollment import errors
from services.enrollment.config import EnrollmentSettings
from services.enrollment.rules.people import RESIDENT_IDENTITY_CARD, Insurance, PersonData, Span, keepers
from services.enrollment.store import people as store
from services.enrollment.store.people import SealedData, SealedPerson
from shared.auth import NOT_YOUR_AREA, Principal
from shared.codes import CodeSets
from shared.database import Connection, Database
from shared.events import Event
from shared.events.enrollment import InsuranceChanged
from shared.personal import PersonalDataKeys
from shared.refusals import Refused
from shared.regions import RegionTree
from shared.workdays import WorkCalendar, shanghai_day


@dataclass(frozen=True, slots=True)
class Enrollment:
    """The parts the use cases work with."""

    database: Database
    regions: RegionTree
    codes: CodeSets
    calendar: WorkCalendar
    keys: PersonalDataKeys
    settings: EnrollmentSettings

    def covers(self, party: str, region: str) -> bool:
        """Whether an agency acts for a region; an unknown agency acts for none."""
        return party in self.regions and region in self.regions and self.regions.covers(party, region)

    def identity_hash(self, certificate_type: str, identity_number: str) -> str:
        """What a certificate is found by. A resident identity card's number stands alone, as in the events."""
        prefix = "" if certificate_type == RESIDENT_IDENTITY_CARD else f"{certificate_type}:"
        return self.keys.lookup_hash(prefix + identity_number)

    def seal(self, column: str, text: str) -> str:
        """Ciphertext of a personal datum for a column of the person table."""
        return self.keys.encrypt(text, context=f"enrollment.person.{column}")

    def unseal(self, column: str, ciphertext: str) -> str:
        """The text of a ciphertext. Raises PersonalDataUnreadable."""
        return self.keys.decrypt(ciphertext, context=f"enrollment.person.{column}")

    def seal_data(self, person_id: str, data: PersonData) -> SealedData:
        """All ciphertexts of a person."""
        return SealedData(
            person_id,
            self.seal("identity_number", data.identity_number),
            self.seal("name", data.name),
            None if data.phone is None else self.seal("phone", data.phone),
            None if data.bank_account is None else self.seal("bank_account", data.bank_account),
        )

    def seal_person(self, person_id: str, data: PersonData, enrolled_by: str) -> SealedPerson:
        """A new person as stored."""
        sealed = self.seal_data(person_id, data)
        return SealedPerson(
            person_id,
            data.certificate_type,
            sealed.identity_number,
            sealed.name,
            sealed.phone,
            sealed.bank_account,
            enrolled_by,
        )

    def unseal_person(self, person: SealedPerson) -> PersonData:
        """A person's data in the clear. Raises PersonalDataUnreadable."""
        return PersonData(
            person.certificate_type,
            self.unseal("identity_number", person.identity_number),
            self.unseal("name", person.name),
            None if person.phone is None else self.unseal("phone", person.phone),
            None if person.bank_account is None else self.unseal("bank_account", person.bank_account),
        )


async def held_person(tx: Connection, person_id: str) -> SealedPerson:
    """A person, held until the transaction ends: whoever announces about a person does. Raises Refused."""
    person = await store.person(tx, person_id, locked=True)
    if person is None:
        raise Refused(errors.PERSON_UNKNOWN())
    return person


def check_keeper(
    parts: Enrollment, principal: Principal, person: SealedPerson, spans: list[Span], now: datetime
) -> None:
    """An agency sees and changes the persons it keeps. Raises Refused."""
    regions = keepers(spans, person.enrolled_by, shanghai_day(now))
    if not any(parts.covers(principal.party, region) for region in regions):
        raise Refused(NOT_YOUR_AREA(party=person.person_id))


def span_of(span_id: str, person_id: str, stated: Insurance) -> Span:
    """A new span."""
    s = stated
    return Span(span_id, person_id, s.insutype, s.psn_type, s.region, s.valid_from, s.valid_to, revision=1)


def insurance_changed(span: Span) -> Event:
    """The event that carries a span's whole state."""
    return InsuranceChanged(
        span_id=span.span_id,
        person_id=span.person_id,
        insutype=span.insutype,
        psn_type=span.psn_type,
        region=span.region,
        valid_from=span.valid_from,
        valid_to=span.valid_to,
        revision=span.revision,
    )
