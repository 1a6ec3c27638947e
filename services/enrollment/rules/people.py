"""Persons and their insurance: what may be recorded, what is the same, what contradicts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from services.enrollment import errors
from shared.codes import CodeSets
from shared.personal import valid_identity_number
from shared.refusals import Refusal
from shared.regions import RegionTree

RESIDENT_IDENTITY_CARD: Final = "01"
"""居民身份证, the one certificate whose number can be checked."""

BASIC_INSURANCE = ("310", "340", "360", "380", "390", "391")
"""Insurance types (险种类型) that are a person's basic insurance: nobody has two of them on one day.

310 employees, 340 retired veteran cadres, 360 old Red Army, 380 and 391 the predecessors of 390, residents. Others come
on top of it, each at most once a day.
"""


@dataclass(frozen=True, slots=True)
class PersonData:
    """Personal data of one person, in the clear; its repr shows none of it."""

    certificate_type: str
    identity_number: str = field(repr=False)
    name: str = field(repr=False)
    phone: str | None = field(repr=False)
    bank_account: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Insurance:
    """An insurance as somebody states it: which, as what, where, from when to when (None while open)."""

    insutype: str
    psn_type: str
    region: str
    valid_from: date
    valid_to: date | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A recorded insurance span (参保时段) of a person. Its fields are the columns of the table."""

    span_id: str
    person_id: str
    insutype: str
    psn_type: str
    region: str
    valid_from: date
    valid_to: date | None
    revision: int

    @property
    def stated(self) -> Insurance:
        """The span without who, as somebody would state it."""
        return Insurance(self.insutype, self.psn_type, self.region, self.valid_from, self.valid_to)

    def holds(self, day: date) -> bool:
        """Whether the person is insured by it on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


def kind_of(insutype: str) -> str:
    """What excludes what: "basic" for every basic insurance, else the insurance type itself."""
    return "basic" if insutype in BASIC_INSURANCE else insutype


def check_certificate(certificate_type: str, identity_number: str, today: date) -> list[Refusal]:
    """What is wrong with an identity number; only a resident identity card's can be checked (GB 11643)."""
    if certificate_type != RESIDENT_IDENTITY_CARD or valid_identity_number(identity_number, today=today):
        return []
    return [errors.IDENTITY_NUMBER_INVALID(pointer="/identity_number")]


def check_insurance(stated: Insurance, codes: CodeSets, regions: RegionTree, place: str = "") -> list[Refusal]:
    """What is wrong with a stated insurance taken alone; `place` is the pointer of the object it stands in."""
    wrong = []
    if stated.valid_to is not None and stated.valid_to < stated.valid_from:
        wrong.append(errors.PERIOD_REVERSED(pointer=f"{place}/valid_from"))
    if stated.region not in regions:
        return [*wrong, errors.REGION_UNKNOWN(pointer=f"{place}/region", region=stated.region)]
    for name, code in (("insutype", stated.insutype), ("psn_type", stated.psn_type)):
        if not codes.holds(name, code, stated.region, stated.valid_from):
            wrong.append(errors.CODE_UNKNOWN(pointer=f"{place}/{name}", set=name, code=code, region=stated.region))
    return wrong


def differing(recorded: PersonData, stated: PersonData) -> list[str]:
    """The fields in which a statement contradicts the record. What it leaves out, and what the record lacks, does not.

    A bulk file or a second enrolment never overwrites what is known of a person: key fields need their proof (S2), and
    a bank account is where money goes.
    """
    pairs = (
        ("name", recorded.name, stated.name),
        ("phone", recorded.phone, stated.phone),
        ("bank_account", recorded.bank_account, stated.bank_account),
    )
    return [name for name, known, said in pairs if known is not None and said is not None and known != said]


def completed(recorded: PersonData, stated: PersonData) -> PersonData:
    """The record with what it lacked and the statement brings; the record itself when that is nothing."""
    return replace(
        recorded,
        phone=recorded.phone or stated.phone,
        bank_account=recorded.bank_account or stated.bank_account,
    )


def place(spans: Iterable[Span], stated: Insurance) -> Span | Refusal | None:
    """Where a stated insurance belongs among a person's spans.

    The span it repeats or closes, as it is to stand; None when it is to be added; the refusal when it contradicts them.
    """
    for span in spans:
        if (span.insutype, span.valid_from) == (stated.insutype, stated.valid_from):
            return _repeated(span, stated)
    if any(_overlap(span, stated) for span in spans):
        return errors.INSURANCE_OVERLAPS(pointer="/valid_from")
    return None


def _repeated(span: Span, stated: Insurance) -> Span | Refusal:
    """The span, closed when the statement ends an open one: nothing else about it may be restated."""
    fields = [name for name in ("psn_type", "region") if getattr(span, name) != getattr(stated, name)]
    if span.valid_to is not None and span.valid_to != stated.valid_to:
        fields.append("valid_to")
    if fields:
        return errors.INSURANCE_DIFFERS(pointer=f"/{fields[0]}", fields=", ".join(fields))
    return span if span.valid_to == stated.valid_to else _closed(span, stated.valid_to)


def _closed(span: Span, last_day: date | None) -> Span:
    return replace(span, valid_to=last_day, revision=span.revision + 1)


def _overlap(span: Span, stated: Insurance) -> bool:
    if kind_of(span.insutype) != kind_of(stated.insutype):
        return False
    return span.valid_from <= (stated.valid_to or date.max) and stated.valid_from <= (span.valid_to or date.max)


def end(span: Span, last_day: date) -> Span | Refusal:
    """The span with its last insured day; an ended one may end earlier, never later: that is a new span."""
    last = span.valid_to or date.max
    if span.valid_from <= last_day <= last:
        return span if last_day == span.valid_to else _closed(span, last_day)
    days = {"day": last_day.isoformat(), "first": span.valid_from.isoformat(), "last": last.isoformat()}
    return errors.DAY_OUTSIDE(pointer="/last_day", **days)


def home_region(spans: Iterable[Span], day: date) -> str | None:
    """The home region (参保地) on a day: where the basic insurance is, or any other when there is none."""
    holding = sorted((s for s in spans if s.holds(day)), key=lambda s: kind_of(s.insutype) != "basic")
    return holding[0].region if holding else None


def keepers(spans: Sequence[Span], enrolled_by: str, today: date) -> frozenset[str]:
    """The regions whose agencies keep a person's data: where the person is or will be insured, else was last.

    Before any insurance it is the agency that enrolled the person.
    """
    present = {s.region for s in spans if s.valid_to is None or today <= s.valid_to}
    if present or not spans:
        return frozenset(present or {enrolled_by})
    return frozenset({max(spans, key=lambda s: s.valid_to or date.max).region})
