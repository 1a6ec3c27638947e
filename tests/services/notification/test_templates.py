"""Templates: every one renders in both languages, says nothing personal, and a broken file is refused by name."""

from __future__ import annotations

import re

import pytest
import yaml

from services.notification.app import SHIPPED_TEMPLATES
from services.notification.rules.audiences import TOLD, Audience, recipients
from services.notification.rules.drafts import Knowledge, drafts
from services.notification.rules.templates import Names, Template, Templates, TemplatesInvalid, load
from services.settlement.rules.dues import DueKind
from services.settlement.rules.objections import ObjectionState
from services.settlement.rules.prepayments import Use
from services.settlement.rules.statements import DifferenceClass
from services.settlement.rules.withholdings import WithholdingKind
from shared.personal import mask_name
from shared.regions import RegionTree
from tests.services.notification.examples import (
    CARE,
    CITY,
    EXAMPLES,
    FACILITY,
    FACILITY_NAME,
    HOME,
    PERSON,
    bill,
    envelope,
    example,
)

REGIONS = RegionTree.load()
SHIPPED = SHIPPED_TEMPLATES.read_text(encoding="utf-8")
TEMPLATES = load(SHIPPED, TOLD)
NAMES = Names(REGIONS, {FACILITY: FACILITY_NAME}, mask_name("李小芳"))


def _rendered(template: Template, language: str) -> str:
    event = next(event for event in EXAMPLES if type(event).__name__ == template.event)
    return TEMPLATES.render(template.template, language, event.model_dump(mode="json"), NAMES)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("template", TEMPLATES.all, ids=lambda t: t.template)
def test_every_template_renders(template: Template, language: str) -> None:
    text = _rendered(template, language)

    assert not re.search(r"[{}]", text)
    assert "None" not in text
    assert PERSON not in text
    assert not re.search(r"_|\b(True|False)\b", text)


def test_every_event_told_of_has_an_example() -> None:
    assert {type(event) for event in EXAMPLES} == set(TOLD)


@pytest.mark.parametrize(
    ("name", "language", "said"),
    [
        (
            "discharge_settled.person",
            "zh",
            "【四方医保】**芳，您2026-11-02在淮阳区人民医院的费用已结算：总额12345.05元，基金支付8432.10元，"
            "个人账户支付0.00元，您现金支付3912.95元。",
        ),
        (
            "discharge_settled.person",
            "en",
            "[Sifang] **芳: your bill of 2026-11-02 at 淮阳区人民医院 is settled: total 12345.05 yuan, paid by the "
            "fund 8432.10, from your account 0.00, by you in cash 3912.95.",
        ),
        (
            "filing_approved.person",
            "zh",
            "【四方医保】**芳，您的异地就医备案（异地转诊）已生效：就医地淮阳区，2026-11-01起，有效期止：长期。",
        ),
        ("disbursed.payee", "zh", "收到淮阳区医保经办机构拨付8432.10元（淮阳区人民医院，2026-10）。"),
        ("remitted.payer", "en", "8432.10 yuan were remitted to the agency of Zhoukou (淮阳区人民医院, 2026-10)."),
    ],
)
def test_the_words(name: str, language: str, said: str) -> None:
    template = next(template for template in TEMPLATES.all if template.template == name)

    assert _rendered(template, language) == said


def test_a_name_with_braces_is_only_a_name() -> None:
    names = Names(REGIONS, {FACILITY: "{cash_fen}{0.__class__}"}, "*{total_fen}")

    text = TEMPLATES.render("discharge_settled.person", "en", bill().model_dump(mode="json"), names)

    assert "*{total_fen}: your bill" in text
    assert "at {cash_fen}{0.__class__} is settled" in text


def test_an_unknown_facility_is_called_by_its_code() -> None:
    text = TEMPLATES.render("discharge_settled.person", "en", bill().model_dump(mode="json"), Names(REGIONS))

    assert f"at {FACILITY} is settled" in text


def test_a_persons_message_keeps_only_what_its_text_says() -> None:
    known = Knowledge(REGIONS, TEMPLATES.about(type(bill())), [], {}, {PERSON: "en"})

    (message,) = drafts(envelope(bill()), known)

    assert set(yaml.safe_load(message.fields)) == {
        "ended_on", "facility_code", "total_fen", "fund_fen", "account_fen", "cash_fen",
    }  # fmt: skip
    assert (message.recipient, message.channel, message.language) == (PERSON, "sms", "en")
    assert message.regions == (HOME, CARE)


@pytest.mark.parametrize(
    ("audience", "event_name", "expected"),
    [
        (Audience.PERSON, "DischargeSettled", (PERSON,)),
        (Audience.FACILITY, "DifferenceFound", (FACILITY,)),
        (Audience.CARE_AGENCY, "DifferenceFound", (CARE,)),
        (Audience.CARE_AGENCY, "Reconciled", (CARE,)),
        (Audience.CHAIN, "Reconciled", (CARE, CITY, HOME)),
        (Audience.PARTY, "RemittanceDue", (HOME,)),
        (Audience.PAYER, "Remitted", (HOME,)),
        (Audience.PAYEE, "Disbursed", (FACILITY,)),
        (Audience.REGION, "DueEscalated", (CITY,)),
        (Audience.DECIDER, "ObjectionRaised", (CARE,)),
        (Audience.LENDER, "PrepaymentLow", (HOME,)),
        (Audience.PAYEE, "PositionSettled", (CITY,)),
        (Audience.CHAIN, "CasePostponed", (CARE, CITY, HOME)),
    ],
)
def test_who_is_told(audience: Audience, event_name: str, expected: tuple[str, ...]) -> None:
    event = example(next(kind for kind in TOLD if kind.__name__ == event_name))

    assert recipients(audience, event, CARE, REGIONS) == expected


_ONE = {
    "template": "case_closed.person",
    "event": "CaseClosed",
    "audience": "facility",
    "channel": "party_inbox",
    "zh": "{period}",
    "en": "{period}",
}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"event": "CaseOpened"}, "CaseOpened is not an event that is heard"),
        ({"event": "PartyConfirmed"}, "PartyConfirmed is not an event that is heard"),
        ({"audience": "payer"}, "the event has no payer"),
        ({"audience": "everybody"}, "messages.0.audience"),
        ({"channel": "webhook"}, "messages.0.channel"),
        ({"channel": "sms"}, "persons are told by sms, parties in their inbox"),
        ({"en": "{period} {case_id}"}, "the two languages do not say the same fields"),
        ({"zh": "{period} {amount}", "en": "{period} {amount}"}, "the event has no field amount"),
        ({"zh": "{period!r}"}, "a brace that is no placeholder"),
        ({"zh": "{name}", "en": "{name}"}, "only a message to the person says a name"),
        ({"colour": "red"}, "messages.0.colour"),
    ],
)
def test_a_broken_template_is_named(changed: dict[str, str], problem: str) -> None:
    document = {"labels": {}, "messages": [{**_ONE, **changed}]}

    with pytest.raises(TemplatesInvalid) as refused:
        load(yaml.safe_dump(document), TOLD)

    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("event", "placeholder", "problem"),
    [
        ("DischargeSettled", "person_id", "person_id is personal"),
        ("FilingApproved", "valid_to", "valid_to may be absent and has no label"),
    ],
)
def test_what_must_not_or_cannot_be_said(event: str, placeholder: str, problem: str) -> None:
    text = f"{{{placeholder}}}"
    message = {"template": "a.person", "event": event, "audience": "person", "channel": "sms", "zh": text, "en": text}

    with pytest.raises(TemplatesInvalid, match=problem):
        load(yaml.safe_dump({"labels": {}, "messages": [message]}), TOLD)


def test_everything_wrong_is_named_at_once() -> None:
    twice = [{**_ONE, "audience": "payer"}, {**_ONE, "zh": "{"}]

    with pytest.raises(TemplatesInvalid) as refused:
        load(yaml.safe_dump({"labels": {}, "messages": twice}), TOLD)

    lines = str(refused.value).splitlines()
    assert "case_closed.person: there are 2 of this name" in lines
    assert "DischargeSettled: nobody is told of it" in lines
    assert "case_closed.person: the event has no payer" in lines
    assert "case_closed.person: a brace that is no placeholder" in lines


def test_the_shipped_labels_cover_the_declared_values() -> None:
    labels = yaml.safe_load(SHIPPED)["labels"]

    filings = {"retired_settled", "long_term_resident", "posted_worker", "referral"}
    withheld = set(WithholdingKind) - {WithholdingKind.RETENTION}
    assert set(labels["kind"]) == filings | set(DueKind) | withheld
    assert set(labels["decision"]) == set(ObjectionState) - {ObjectionState.OPEN}
    assert set(labels["difference_class"]) == set(DifferenceClass) - {DifferenceClass.AGREED}
    assert set(labels["use"]) == set(Use) - {Use.LOW}
    assert isinstance(TEMPLATES, Templates)
