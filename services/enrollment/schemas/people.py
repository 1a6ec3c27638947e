"""Bodies about persons, their insurance and the look-up."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, RootModel, model_validator

from services.enrollment.rules.people import RESIDENT_IDENTITY_CARD, Insurance, PersonData, Span
from services.enrollment.store.lookups import Filed, Insured
from services.enrollment.use_cases.people import Contact, Enrolled, KnownPerson, LookedUp
from shared.http.types import Body, Day, Id, RegionCode, View
from shared.personal import mask_account, mask_identity_number, mask_name, mask_phone


def _name(text: str) -> str:
    # Private-use characters stay: rare characters of names are written with them.
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp") for c in text):
        raise ValueError("control, direction or unassigned characters are not allowed")
    if text != text.strip():
        raise ValueError("leading or trailing blanks are not allowed")
    return text


Name = Annotated[str, Field(min_length=1, max_length=50), AfterValidator(_name)]
"""人员姓名 (psn_name, s50)."""

Phone = Annotated[str, Field(pattern=r"^\+?[0-9][0-9 -]{4,18}[0-9]$")]
"""联系电话."""

BankAccount = Annotated[str, Field(pattern=r"^[0-9]{8,32}$")]
"""银行账号."""

IdentityNumber = Annotated[str, Field(pattern=r"^[0-9A-Za-z()/-]{4,30}$"), AfterValidator(str.upper)]
"""证件号码 (certno)."""

CertificateType = Literal["01", "04", "05", "06", "07", "08"]
"""人员证件类型 (psn_cert_type): 01 resident identity card, 04 to 06 permits of Hong Kong, Macao and Taiwan residents,
07 foreigners' permanent residence, 08 foreigners' passport."""

InsuranceCode = Annotated[str, Field(pattern=r"^[0-9]{2,6}$")]
"""A code of the sets insutype (险种类型) and psn_type (人员类别)."""

_INSURANCE: dict[str, JsonValue] = {
    "insutype": "310",
    "psn_type": "11",
    "region": "411603",
    "valid_from": "2026-01-01",
    "valid_to": None,
}
_SPAN: dict[str, JsonValue] = {
    "span_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6R",
    "person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    **_INSURANCE,
    "revision": 1,
}
_PERSON: dict[str, JsonValue] = {
    "person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    "certificate_type": "01",
    "identity_number": "4****************X",
    "name": "**明",
    "phone": "138****5678",
    "bank_account": "***************1234",
    "revision": 1,
}


class Unshown:
    """Keeps personal data out of a model's repr and str, and so out of logs and errors."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Nothing is shown."""
        return ()


def _example(example: JsonValue) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [example]})


class InsuranceBody(Body):
    """An insurance (参保) of a person."""

    model_config = _example(_INSURANCE)

    insutype: InsuranceCode
    """险种类型, e.g. 310 employees, 390 residents."""
    psn_type: InsuranceCode
    """人员类别, e.g. 11 in work, 12 retired, 15 resident."""
    region: RegionCode
    """参保地医保区划."""
    valid_from: Day
    valid_to: Day | None = None
    """Last insured day; absent while it is open."""

    def value(self) -> Insurance:
        """What the body states."""
        return Insurance(self.insutype, self.psn_type, self.region, self.valid_from, self.valid_to)


class PersonBody(Unshown, Body):
    """A person to be enrolled."""

    model_config = _example(
        {
            "identity_number": "411603198001010010",
            "name": "王小明",
            "phone": "13812345678",
            "bank_account": "6222020200112341234",
            "insurance": _INSURANCE,
        }
    )

    certificate_type: CertificateType = RESIDENT_IDENTITY_CARD
    identity_number: IdentityNumber
    name: Name
    phone: Phone | None = None
    bank_account: BankAccount | None = None
    insurance: InsuranceBody | None = None

    def value(self) -> PersonData:
        """What the body states about the person."""
        return PersonData(self.certificate_type, self.identity_number, self.name, self.phone, self.bank_account)


class PersonChange(Unshown, Body):
    """New data of a person; null removes what is recorded."""

    model_config = _example({"name": "王小明", "phone": "13912345678", "bank_account": "6222020200112341234"})

    name: Name
    phone: Phone | None
    bank_account: BankAccount | None


class SpanView(View):
    """A recorded insurance span (参保时段)."""

    model_config = _example(_SPAN)

    span_id: str
    person_id: str
    insutype: str
    psn_type: str
    region: str
    valid_from: date
    valid_to: date | None
    revision: int

    @classmethod
    def of(cls, span: Span) -> SpanView:
        """The view of a span."""
        return cls(
            span_id=span.span_id,
            person_id=span.person_id,
            insutype=span.insutype,
            psn_type=span.psn_type,
            region=span.region,
            valid_from=span.valid_from,
            valid_to=span.valid_to,
            revision=span.revision,
        )


class PersonView(View):
    """A person; personal data is masked."""

    model_config = _example(_PERSON)

    person_id: str
    """人员编号 (psn_no)."""
    certificate_type: str
    identity_number: str
    name: str
    phone: str | None
    bank_account: str | None
    revision: int

    @classmethod
    def of(cls, person: KnownPerson) -> PersonView:
        """The masked view of a person."""
        return cls(**_masked(person))


def _masked(person: KnownPerson) -> dict[str, Any]:
    data = person.data
    return {
        "person_id": person.person_id,
        "certificate_type": data.certificate_type,
        "identity_number": mask_identity_number(data.identity_number),
        "name": mask_name(data.name),
        "phone": None if data.phone is None else mask_phone(data.phone),
        "bank_account": None if data.bank_account is None else mask_account(data.bank_account),
        "revision": person.revision,
    }


class EnrolledView(PersonView):
    """A person as enrolled, with the insurance the enrolment stated."""

    model_config = _example({**_PERSON, "insurance": _SPAN})

    insurance: SpanView | None

    @classmethod
    def of_enrolment(cls, enrolled: Enrolled) -> EnrolledView:
        """The view of what an enrolment led to."""
        insurance = None if enrolled.span is None else SpanView.of(enrolled.span)
        return cls(**_masked(enrolled.person), insurance=insurance)


class EndBody(Body):
    """When something ends."""

    model_config = _example({"last_day": "2026-10-31"})

    last_day: Day
    """The last day on which it holds."""


class LookupBody(Unshown, Body):
    """Whom to look up, by number or by certificate, and for which day."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"identity_number": "411603198001010010", "on": "2026-11-02"},
                {"person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q", "on": "2026-11-02", "care_region": "411602"},
            ]
        }
    )

    person_id: Id | None = None
    certificate_type: CertificateType = RESIDENT_IDENTITY_CARD
    identity_number: IdentityNumber | None = None
    on: Day
    care_region: RegionCode | None = None
    """Shows only filings that cover care there."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.person_id is None) == (self.identity_number is None):
            raise ValueError("either person_id or identity_number is needed, and not both")
        return self


class InsuredView(View):
    """An insurance that holds on the day."""

    span_id: str
    insutype: str
    psn_type: str
    region: str
    valid_from: date
    valid_to: date | None

    @classmethod
    def of(cls, insured: Insured) -> InsuredView:
        """The view of an insurance."""
        return cls(
            span_id=insured.span_id,
            insutype=insured.insutype,
            psn_type=insured.psn_type,
            region=insured.region,
            valid_from=insured.valid_from,
            valid_to=insured.valid_to,
        )


class FiledView(View):
    """A remote-care filing that holds on the day."""

    filing_id: str
    kind: str
    care_region: str
    valid_from: date
    valid_to: date | None

    @classmethod
    def of(cls, filed: Filed) -> FiledView:
        """The view of a filing."""
        return cls(
            filing_id=filed.filing_id,
            kind=filed.kind,
            care_region=filed.care_region,
            valid_from=filed.valid_from,
            valid_to=filed.valid_to,
        )


class LookupView(View):
    """Who is insured for what on a day."""

    model_config = _example(
        {
            "person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
            "certificate_type": "01",
            "identity_number": "4****************X",
            "name": "**明",
            "on": "2026-11-02",
            "insurance": [{"span_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6R", **_INSURANCE}],
            "filings": [
                {
                    "filing_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6S",
                    "kind": "referral",
                    "care_region": "411602",
                    "valid_from": "2026-10-01",
                    "valid_to": "2027-04-01",
                }
            ],
        }
    )

    person_id: str
    certificate_type: str
    identity_number: str
    name: str
    on: date
    insurance: list[InsuredView]
    filings: list[FiledView]

    @classmethod
    def of(cls, looked_up: LookedUp, on: date) -> LookupView:
        """The masked view of a look-up."""
        found = looked_up.found
        return cls(
            person_id=found.person_id,
            certificate_type=found.certificate_type,
            identity_number=mask_identity_number(looked_up.identity_number),
            name=mask_name(looked_up.name),
            on=on,
            insurance=[InsuredView.of(span) for span in found.insured],
            filings=[FiledView.of(filing) for filing in found.filings],
        )


class ContactsBody(Body):
    """Whose contacts are needed."""

    model_config = _example({"person_ids": ["01KAJ5T1D4GQ7X8Z2V3N4M5P6Q"]})

    person_ids: Annotated[list[Id], Field(min_length=1, max_length=500)]


class ContactView(Unshown, View):
    """How to reach a person, in the clear: not to be kept or logged."""

    person_id: str
    name: str
    phone: str | None

    @classmethod
    def of(cls, contact: Contact) -> ContactView:
        """The view of a contact."""
        return cls(person_id=contact.person_id, name=contact.name, phone=contact.phone)


class ContactsView(RootModel[list[ContactView]]):
    """Contacts of those persons that exist."""

    model_config = _example([{"person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q", "name": "王小明", "phone": "13812345678"}])
