"""The bulk import: what lines lead to, one after the other, and that nothing is told about people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.enrollment.schemas.imports import read_csv
from services.enrollment.use_cases.imports import ImportReport, import_people
from services.enrollment.use_cases.parts import Enrollment
from shared.auth import Principal, Role
from shared.events.enrollment import InsuranceChanged, PersonEnrolled
from tests.services.enrollment.conftest import Announced, Enrol, Owner
from tests.services.enrollment.people import (
    HOME,
    NEIGHBOUR,
    csv,
    csv_line,
    identity_number,
    insurance,
    person,
    personal_texts,
)
from tests.services.enrollment.test_persons import codes, lookup

NOW = datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
OFFICER = Principal("officer-1", Role.OFFICER, HOME)


async def send(client: httpx.AsyncClient, text: str, encoding: str = "utf-8") -> dict[str, Any]:
    answer = await client.post("/v1/imports", content=text.encode(encoding), headers={"content-type": "text/csv"})
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    assert report["rows"] == sum(counts(report).values())
    return report


def counts(report: dict[str, Any]) -> dict[str, int]:
    """The counts that are not zero."""
    return {k: report[k] for k in ("enrolled", "changed", "unchanged", "refused") if report[k]}


async def run(parts: Enrollment, text: str) -> ImportReport:
    """Import in this process, three lines at a time."""

    async def arriving() -> AsyncIterator[bytes]:
        yield text.encode()

    return await import_people(parts, OFFICER, read_csv(arriving(), None, parts.settings.import_chunk_lines), NOW)


def refused_lines(report: ImportReport) -> list[tuple[int, list[str]]]:
    return [(line.number, [refusal.code for refusal in line.refusals]) for line in report.refusals]


async def snapshot(owner: Owner) -> list[str]:
    """Everything stored about people, with the transaction that wrote each row."""
    queries = [f"SELECT t.xmin || t::text FROM {table} AS t ORDER BY 1" for table in ("person", "insurance_span")]
    return [str([row[0] for row in await owner.fetch(query)]) for query in queries]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_an_import_enrols_and_again_changes_nothing(
    officer: httpx.AsyncClient, owner: Owner, encoding: str
) -> None:
    people = [person() for _ in range(5)]
    first = await send(officer, csv(*people), encoding)
    before = await snapshot(owner)
    again = await send(officer, csv(*people), encoding)

    assert (counts(first), counts(again)) == ({"enrolled": 5}, {"unchanged": 5})
    assert await snapshot(owner) == before
    for body in people:
        found = (await lookup(officer, identity_number=body["identity_number"])).json()
        assert [span["region"] for span in found["insurance"]] == [HOME]


async def test_an_import_and_an_enrolment_are_the_same(officer: httpx.AsyncClient) -> None:
    imported, enrolled = person(), person()
    await send(officer, csv(imported))
    again = await officer.post("/v1/persons", json=imported)
    await officer.post("/v1/persons", json=enrolled)
    report = await send(officer, csv(enrolled))

    assert again.status_code == 200
    assert again.json()["insurance"]["insutype"] == "310"
    assert counts(report) == {"unchanged": 1}


async def test_what_is_imported_is_announced(officer: httpx.AsyncClient, announced: Announced) -> None:
    body = person()
    await send(officer, csv(body))
    person_id = (await lookup(officer, identity_number=body["identity_number"])).json()["person_id"]
    ended = {**body, "insurance": insurance(valid_to="2026-06-30")}
    resident = {**body, "insurance": insurance(insutype="390", psn_type="15", valid_from="2026-07-01")}
    report = await send(officer, csv(ended, resident))
    events = await announced(person_id, 4)

    assert counts(report) == {"changed": 2}
    assert [type(event) for event in events] == [PersonEnrolled, *[InsuranceChanged] * 3]
    assert [(e.insutype, str(e.valid_to), e.revision) for e in events if isinstance(e, InsuranceChanged)] == [
        ("310", "None", 1),
        ("310", "2026-06-30", 2),
        ("390", "None", 1),
    ]


async def test_a_missing_phone_is_filled_in_and_a_known_one_kept(officer: httpx.AsyncClient) -> None:
    body = person(phone=None)
    await send(officer, csv(body))
    filled = await send(officer, csv({**body, "phone": "13811112222"}))
    blank = await send(officer, csv(body))
    other = await send(officer, csv({**body, "phone": "13833334444"}))
    person_id = (await lookup(officer, identity_number=body["identity_number"])).json()["person_id"]

    assert [counts(r) for r in (filled, blank, other)] == [{"changed": 1}, {"unchanged": 1}, {"refused": 1}]
    assert other["refusals"][0] == {
        "line": 2,
        "code": "enrollment.person-differs",
        "column": "phone",
        "detail": "该证件号码已登记，所报 phone 与登记不符；更正请走信息变更。",
    }
    assert (await officer.get(f"/v1/persons/{person_id}")).json()["phone"] == "138****2222"


BODY = person()
TWIN = {**BODY, "name": "别人"}
OTHER = person()


@pytest.mark.parametrize(
    ("people", "expected", "refused"),
    [
        ([BODY, BODY], {"enrolled": 1, "unchanged": 1}, []),
        ([BODY, TWIN], {"enrolled": 1, "refused": 1}, [(3, "name")]),
        ([BODY, {**BODY, "insurance": insurance(insutype="510")}], {"enrolled": 1, "changed": 1}, []),
        ([BODY, {**BODY, "insurance": insurance(insutype="390")}], {"enrolled": 1, "refused": 1}, [(3, "valid_from")]),
        ([BODY, {**BODY, "insurance": insurance(psn_type="12")}], {"enrolled": 1, "refused": 1}, [(3, "psn_type")]),
        ([BODY, {**BODY, "insurance": insurance(valid_to="2026-06-30")}], {"enrolled": 1, "changed": 1}, []),
        (
            [BODY, OTHER, OTHER, OTHER, OTHER, TWIN, BODY],
            {"enrolled": 2, "unchanged": 4, "refused": 1},
            [(7, "name")],
        ),
    ],
)
async def test_lines_of_one_person_count_one_after_the_other(
    parts: Enrollment,
    people: list[dict[str, Any]],
    expected: dict[str, int],
    refused: list[tuple[int, str]],
) -> None:
    """Also when the lines come in different chunks, which are of three lines here."""
    fresh = {BODY["identity_number"]: identity_number(), OTHER["identity_number"]: identity_number()}
    text = csv(*({**body, "identity_number": fresh[body["identity_number"]]} for body in people))
    report = await run(parts, text)

    assert {name: getattr(report, name) for name in expected} == expected
    assert report.rows == len(people)
    found = [(line.number, (r.pointer or "").strip("/")) for line in report.refusals for r in line.refusals]
    assert found == refused


async def test_bad_lines_are_named_and_the_others_count(parts: Enrollment) -> None:
    wrong = person()["identity_number"][:-1] + "?"
    people = [
        person(),
        person(identity_number="329999199001010010"),
        person(insurance=insurance(region=NEIGHBOUR)),
        person(insurance=insurance(region="999999")),
        person(insurance=insurance(insutype="311", psn_type="99", valid_to="2025-01-01")),
        person(),
        person(identity_number=wrong),
    ]
    report = await run(parts, csv(*people) + '\n"' + "\nx")

    assert (report.rows, report.enrolled, report.refused) == (9, 2, 7)
    assert refused_lines(report) == [
        (3, ["enrollment.identity-number-invalid"]),
        (4, ["auth.not-your-area"]),
        (5, ["enrollment.region-unknown"]),
        (6, ["enrollment.period-reversed", *["enrollment.code-unknown"] * 2]),
        (8, ["request.field-invalid"]),
        (10, ["enrollment.import-quotes"]),
        (11, ["enrollment.import-columns"]),
    ]


async def test_nothing_of_a_refused_line_is_told(officer: httpx.AsyncClient) -> None:
    body = person()
    good = csv_line(body).split(",")
    lines = [",".join(good[shift:] + good[:shift]) for shift in range(1, 9)]
    lines += [csv_line(body) + ",", csv_line(body)[:-1] + body["identity_number"]]
    answer = await officer.post(
        "/v1/imports", content="\n".join([csv().strip(), *lines]).encode(), headers={"content-type": "text/csv"}
    )

    assert answer.json()["refused"] == len(lines)
    assert not [text for text in personal_texts(body) if text in answer.text]


async def test_refused_lines_are_all_counted_and_a_thousand_named(officer: httpx.AsyncClient) -> None:
    report = await send(officer, csv() + "x\n" * 1_200)
    assert counts(report) == {"refused": 1_200}
    assert [refusal["line"] for refusal in report["refusals"]] == list(range(2, 1_002))


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (csv(), "application/json", 415, "enrollment.import-not-csv"),
        (csv(), "text/csv; charset=latin-1", 415, "enrollment.import-not-csv"),
        ("name\nx", "text/csv", 422, "enrollment.import-header"),
        ("", "text/csv", 422, "enrollment.import-header"),
    ],
)
async def test_files_that_are_refused(
    officer: httpx.AsyncClient, content: str, content_type: str, status: int, code: str
) -> None:
    answer = await officer.post("/v1/imports", content=content, headers={"content-type": content_type})
    assert (answer.status_code, codes(answer)) == (status, [code])


async def test_imports_of_the_same_people_at_once(parts: Enrollment, owner: Owner) -> None:
    """Whoever comes second finds the person enrolled; nobody is enrolled or insured twice."""
    people = [person() for _ in range(12)]
    reports = await asyncio.gather(*(run(parts, csv(*people[i:], *people[:i])) for i in range(0, 12, 3)))
    before = await snapshot(owner)
    last = await run(parts, csv(*people))

    assert sum(report.enrolled for report in reports) == 12
    assert sum(report.unchanged for report in reports) == 36
    assert (last.unchanged, await snapshot(owner)) == (12, before)


async def test_an_import_beside_single_calls(parts: Enrollment, officer: httpx.AsyncClient, enrol: Enrol) -> None:
    """While lines close spans, officers end them: either is refused or both agree, and nothing breaks."""
    people = [person() for _ in range(9)]
    await run(parts, csv(*people))
    found = [(await lookup(officer, identity_number=body["identity_number"])).json() for body in people]
    ended = [{**body, "insurance": insurance(valid_to="2026-06-30")} for body in people]
    ends = [
        officer.post(f"/v1/insurance-spans/{one['insurance'][0]['span_id']}/end", json={"last_day": "2026-05-31"})
        for one in found
    ]
    report, answers = await asyncio.gather(run(parts, csv(*ended)), asyncio.gather(*ends))
    again = await run(parts, csv(*ended))

    assert {answer.status_code for answer in answers} == {200}
    assert report.changed + report.refused == 9
    assert again.refused == 9


async def test_a_file_that_breaks_off_leaves_whole_chunks(parts: Enrollment, owner: Owner) -> None:
    people = [person() for _ in range(7)]
    before = await owner.fetchval("SELECT count(*) FROM person")

    async def breaking() -> AsyncIterator[bytes]:
        yield csv(*people).encode() + b" " * 70_000
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await import_people(parts, OFFICER, read_csv(breaking(), None, 3), NOW)
    written = await owner.fetchval("SELECT count(*) FROM person") - before
    report = await run(parts, csv(*people))

    assert written % 3 == 0
    assert (report.unchanged, report.enrolled) == (written, 7 - written)
