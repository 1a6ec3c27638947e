"""The rules about persons and insurance spans, as tables and as properties."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.enrollment.rules.people import (
    Insurance,
    PersonData,
    Span,
    check_certificate,
    check_insurance,
    completed,
    differing,
    end,
    home_region,
    keepers,
    kind_of,
    place,
)
from shared.codes import CodeSets
from shared.refusals import Refusal
from shared.regions import RegionTree

REGIONS = RegionTree.load()
CODES = CodeSets.load(REGIONS)
TODAY = date(2026, 11, 2)
STATED = Insurance("310", "11", "411603", date(2026, 1, 1))
OPEN = Span("s1", "p", "310", "11", "411603", date(2026, 1, 1), None, 1)
ENDED = replace(OPEN, valid_to=date(2026, 6, 30))


def codes_of(refusals: list[Refusal]) -> list[tuple[str, str | None]]:
    return [(r.code, r.pointer) for r in refusals]


@pytest.mark.parametrize(
    ("certificate_type", "number", "good"),
    [
        ("01", "11010519491231002X", True),
        ("01", "110105194912310021", False),
        ("01", "11010520250229001X", False),
        ("01", "11010520271231002X", False),
        ("01", "1101051949123100", False),
        ("08", "E12345678", True),
        ("04", "H1234567", True),
    ],
)
def test_certificates(certificate_type: str, number: str, good: bool) -> None:
    assert (check_certificate(certificate_type, number, TODAY) == []) == good


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, []),
        ({"valid_to": date(2026, 1, 1)}, []),
        ({"valid_to": date(2025, 12, 31)}, [("enrollment.period-reversed", "/x/valid_from")]),
        ({"region": "999999"}, [("enrollment.region-unknown", "/x/region")]),
        ({"insutype": "311"}, [("enrollment.code-unknown", "/x/insutype")]),
        ({"psn_type": "1204"}, [("enrollment.code-unknown", "/x/psn_type")]),
        ({"psn_type": "1204", "region": "430121"}, []),
        (
            {"valid_from": date(1949, 9, 30)},
            [("enrollment.code-unknown", f"/x/{n}") for n in ("insutype", "psn_type")],
        ),
        (
            {"insutype": "000", "psn_type": "00", "valid_to": date(2020, 1, 1)},
            [
                ("enrollment.period-reversed", "/x/valid_from"),
                ("enrollment.code-unknown", "/x/insutype"),
                ("enrollment.code-unknown", "/x/psn_type"),
            ],
        ),
    ],
)
def test_everything_wrong_with_an_insurance_is_named(changed: dict[str, object], wrong: list[tuple[str, str]]) -> None:
    stated = replace(STATED, **changed)  # type: ignore[arg-type]
    assert codes_of(check_insurance(stated, CODES, REGIONS, "/x")) == wrong


@pytest.mark.parametrize(
    ("insutype", "kind"), [("310", "basic"), ("390", "basic"), ("391", "basic"), ("340", "basic"), ("510", "510")]
)
def test_kinds(insutype: str, kind: str) -> None:
    assert kind_of(insutype) == kind


OVERLAPS = "enrollment.insurance-overlaps"
DIFFERS = "enrollment.insurance-differs"


@pytest.mark.parametrize(
    ("recorded", "changed", "expected"),
    [
        ([], {}, None),
        ([OPEN], {}, OPEN),
        ([ENDED], {"valid_to": date(2026, 6, 30)}, ENDED),
        ([OPEN], {"valid_to": date(2026, 6, 30)}, replace(ENDED, revision=2)),
        ([ENDED], {}, DIFFERS),
        ([ENDED], {"valid_to": date(2026, 7, 1)}, DIFFERS),
        ([OPEN], {"psn_type": "12"}, DIFFERS),
        ([OPEN], {"region": "411602"}, DIFFERS),
        ([OPEN], {"insutype": "390"}, OVERLAPS),
        ([OPEN], {"insutype": "510"}, None),
        ([OPEN], {"valid_from": date(2025, 1, 1)}, OVERLAPS),
        ([OPEN], {"valid_from": date(2025, 1, 1), "valid_to": date(2025, 12, 31)}, None),
        ([OPEN], {"valid_from": date(2025, 1, 1), "valid_to": date(2026, 1, 1)}, OVERLAPS),
        ([ENDED], {"valid_from": date(2026, 6, 30)}, OVERLAPS),
        ([ENDED], {"valid_from": date(2026, 7, 1)}, None),
    ],
)
def test_where_a_stated_insurance_belongs(
    recorded: list[Span], changed: dict[str, object], expected: Span | str | None
) -> None:
    found = place(recorded, replace(STATED, **changed))  # type: ignore[arg-type]
    assert (found.code if isinstance(found, Refusal) else found) == expected


def _day(number: int) -> date:
    return date(2026, 1, 1) + timedelta(days=number)


statements = st.builds(
    lambda insutype, first, days: Insurance(insutype, "11", "411603", _day(first), days and _day(first + days)),
    st.sampled_from(["310", "390", "510"]),
    st.integers(0, 9),
    st.one_of(st.none(), st.integers(1, 5)),
)


def _apply(spans: dict[str, Span], stated: Insurance) -> bool:
    """Record a statement as an import does; whether it was accepted."""
    found = place(spans.values(), stated)
    if isinstance(found, Refusal):
        return False
    span = found or Span(
        f"s{len(spans)}", "p", stated.insutype, stated.psn_type, stated.region, stated.valid_from, stated.valid_to, 1
    )
    spans[span.span_id] = span
    return True


@given(st.lists(statements, max_size=12))
def test_no_order_of_statements_makes_two_insurances_of_a_kind_on_one_day(stated: list[Insurance]) -> None:
    spans: dict[str, Span] = {}
    for one in stated:
        _apply(spans, one)
    for number in range(20):
        holding = [kind_of(span.insutype) for span in spans.values() if span.holds(_day(number))]
        assert len(holding) == len(set(holding))


@given(st.lists(statements, max_size=12))
def test_accepted_statements_change_nothing_when_they_come_again(stated: list[Insurance]) -> None:
    spans: dict[str, Span] = {}
    accepted = [one for one in stated if _apply(spans, one)]
    before = dict(spans)
    for one in accepted:
        _apply(spans, one)
    assert spans == before


@pytest.mark.parametrize(
    ("span", "last_day", "expected"),
    [
        (OPEN, date(2026, 1, 1), replace(OPEN, valid_to=date(2026, 1, 1), revision=2)),
        (OPEN, date(2025, 12, 31), "enrollment.day-outside"),
        (ENDED, date(2026, 6, 30), ENDED),
        (ENDED, date(2026, 6, 29), replace(ENDED, valid_to=date(2026, 6, 29), revision=2)),
        (ENDED, date(2026, 7, 1), "enrollment.day-outside"),
    ],
)
def test_the_end_of_a_span(span: Span, last_day: date, expected: Span | str) -> None:
    found = end(span, last_day)
    assert (found.code if isinstance(found, Refusal) else found) == expected


MATERNITY = Span("s2", "p", "510", "11", "411602", date(2026, 1, 1), None, 1)


@pytest.mark.parametrize(
    ("spans", "home"),
    [([], None), ([OPEN], "411603"), ([MATERNITY, OPEN], "411603"), ([MATERNITY], "411602"), ([ENDED], None)],
)
def test_the_home_region_is_where_the_basic_insurance_is(spans: list[Span], home: str | None) -> None:
    assert home_region(spans, TODAY) == home


@pytest.mark.parametrize(
    ("spans", "regions"),
    [
        ([], {"410000"}),
        ([OPEN], {"411603"}),
        ([ENDED], {"411603"}),
        ([ENDED, MATERNITY], {"411602"}),
        ([OPEN, MATERNITY], {"411602", "411603"}),
        ([ENDED, replace(ENDED, region="411621", valid_to=date(2026, 5, 1))], {"411603"}),
        ([replace(OPEN, valid_from=date(2027, 1, 1))], {"411603"}),
    ],
)
def test_who_keeps_a_person(spans: list[Span], regions: set[str]) -> None:
    assert keepers(spans, "410000", TODAY) == regions


KNOWN = PersonData("01", "11010519491231002X", "王小明", "13812345678", None)


@pytest.mark.parametrize(
    ("changed", "contradicts", "adds"),
    [
        ({}, [], False),
        ({"name": "王晓明"}, ["name"], False),
        ({"phone": None}, [], False),
        ({"phone": "13912345678", "name": "王"}, ["name", "phone"], False),
        ({"bank_account": "6222020200112341234"}, [], True),
    ],
)
def test_a_statement_adds_and_never_overwrites(
    changed: dict[str, str | None], contradicts: list[str], adds: bool
) -> None:
    stated = replace(KNOWN, **changed)  # type: ignore[arg-type]
    assert differing(KNOWN, stated) == contradicts
    assert (completed(KNOWN, stated) != KNOWN) == adds
    assert completed(KNOWN, stated).phone == KNOWN.phone


def test_personal_data_does_not_show() -> None:
    shown = f"{KNOWN} {KNOWN!r}"
    assert not [text for text in ("11010519491231002X", "王", "138") if text in shown]
