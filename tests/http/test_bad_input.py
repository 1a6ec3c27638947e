"""Bad input at the real services: each with its clear refusal, and nothing written.

The rows of the tables that requests write are counted before and after every case.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from shared.http.problems import MEDIA_TYPE
from shared.refusals import CATALOGUE
from tests.conftest import MakeClient, MakeToken
from tests.contracts.apps import applications
from tests.services.claims.fixtures import MakeHis
from tests.services.claims.seeds import Json, Owner, admission, fee_line, fresh, hours_ago, key, one_call, reversal
from tests.services.enrollment import people

applications()  # whoever can refuse has declared by now
JSON = {"Content-Type": "application/json"}
_WRITTEN = {
    "claims": ("visit", "fee_line", "settlement", "year_book", "working", "policy_pack", "idempotency"),
    "enrollment": ("person", "insurance_span", "filing", "filing_act"),
}


def refused(answer: httpx.Response, status: int, code: str, *pointers: str | None) -> None:
    """The answer is a problem document that names what is wrong, and where."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    problem = answer.json()
    assert problem["code"] == code, problem
    assert all(error["code"] in CATALOGUE and error["detail"] for error in problem["errors"])
    if pointers:
        assert {error["pointer"] for error in problem["errors"]} == set(pointers)


@pytest.fixture(autouse=True)
async def nothing_written(owner: Owner) -> AsyncIterator[None]:
    async def counts() -> dict[str, int]:
        return {
            f"{schema}.{table}": await owner.connection.fetchval(f"SELECT count(*) FROM {schema}.{table}")
            for schema, tables in _WRITTEN.items()
            for table in tables
        }

    before = await counts()
    yield
    assert await counts() == before


@dataclass(frozen=True)
class Window:
    """A facility that knows an insured person: what it sends would be settled if it were in order."""

    his: httpx.AsyncClient
    person_id: str

    async def settle(self, body: Json | bytes | str, **headers: str) -> httpx.Response:
        """Send a bill, as JSON or as it is."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        return await self.his.post("/v1/settlements", content=content, headers=JSON | key() | headers)

    def bill(self, **changed: Any) -> Json:
        """A bill in order, but for what is changed."""
        return {**one_call(self.person_id), **changed}

    def line(self, **changed: Any) -> Json:
        """A bill whose one line is in order, but for what is changed."""
        return self.bill(lines=[{**fee_line(), **changed}])


@pytest.fixture(scope="session")
async def insured(owner: Owner) -> tuple[str, str]:
    """A facility and a person."""
    return await owner.facility(), await owner.person()


@pytest.fixture
def window(insured: tuple[str, str], his: MakeHis) -> Window:
    facility, person = insured
    return Window(his(facility), person)


@pytest.fixture
def officer(client: MakeClient, token: MakeToken) -> httpx.AsyncClient:
    """Enrols people."""
    return client("enrollment", token("officer", people.HOME))


# What is not JSON

MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "half": b'{"person": {',
    "a comma too many": b'{"kind": "outpatient",}',
    "single quotes": b"{'kind': 'outpatient'}",
    "two documents": b"{} {}",
    "a raw NUL": b'{"kind": "out\x00patient"}',
    "a raw line break": b'{"kind": "out\npatient"}',
    "a lone surrogate": b'{"kind": "\\ud800"}',
    "half a pair": b'{"kind": "\\ud83d\\u0041"}',
    "not UTF-8": b'{"kind": "\xff\xfe"}',
    "UTF-16": '{"kind": "outpatient"}'.encode("utf-16"),
    "GBK": '{"kind": "门诊"}'.encode("gbk"),
    "a comment": b'{"kind": "outpatient"} // ok',
    "hexadecimal": b'{"total_fen": 0x10}',
    "leading zero": b'{"total_fen": 0123}',
    "compressed": gzip.compress(b"{}"),
    "deeper than anybody nests": b"[" * 100_000 + b"]" * 100_000,
    "a deep member": b'{"person":' * 50_000 + b"1" + b"}" * 50_000,
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_json(window: Window, content: bytes) -> None:
    refused(await window.settle(content), 400, "request.malformed-json")


@pytest.mark.parametrize("content", [b"[]", b"null", b'"bill"', b"7", b"true"])
async def test_json_that_is_no_object(window: Window, content: bytes) -> None:
    refused(await window.settle(content), 422, "request.field-invalid")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"],
)
async def test_wrong_content_types(window: Window, content_type: str) -> None:
    body = json.dumps(window.bill())
    refused(await window.settle(body, **{"Content-Type": content_type}), 415, "request.not-json")


async def test_ten_megabytes(window: Window) -> None:
    body = json.dumps(window.bill(facility_visit_no="x" * 10_000_000))
    answer = await window.settle(body)
    refused(answer, 413, "request.too-large")
    assert answer.json()["errors"][0]["params"] == {"limit_bytes": 2_000_000}


async def test_ten_megabytes_that_do_not_say_so(window: Window) -> None:
    """In chunks, without a Content-Length."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b" " * 65_536

    answer = await window.his.post("/v1/settlements", content=chunks(), headers=JSON | key())
    refused(answer, 413, "request.too-large")


# Values that do not fit. A name in dots is the place in the body.

MANY: Any = [fee_line(str(n)) for n in range(501)]
FIELDS: list[tuple[str, str, Any]] = [
    ("amount as text", "total_fen", "150000"),
    ("amount as a number with a point", "total_fen", 150000.0),
    ("half a fen", "total_fen", 0.5),
    ("amount as a boolean", "total_fen", True),
    ("amount as null", "total_fen", None),
    ("amount as an object", "total_fen", {"fen": 1}),
    ("amount as a list", "total_fen", [150000]),
    ("negative total", "total_fen", -1),
    ("beyond every amount", "total_fen", 10**17),
    ("beyond every integer", "total_fen", 10**400),
    ("not a number", "total_fen", float("nan")),
    ("infinite", "total_fen", float("inf")),
    ("line amount of half a fen", "lines.0.amount_fen", 0.5),
    ("line amount as text", "lines.0.amount_fen", "7700"),
    ("line amount not a number", "lines.0.amount_fen", float("nan")),
    ("quantity not a number", "lines.0.quantity", float("nan")),
    ("quantity not a number, as text", "lines.0.quantity", "NaN"),
    ("quantity infinite", "lines.0.quantity", "-Infinity"),
    ("quantity of 1e400", "lines.0.quantity", "1e400"),
    ("quantity with too many places", "lines.0.quantity", "0.00001"),
    ("quantity as words", "lines.0.quantity", "two"),
    ("quantity in other digits", "lines.0.quantity", "二"),
    ("negative price", "lines.0.unit_price", "-38.50"),
    ("price of 1e400", "lines.0.unit_price", "1e400"),
    ("price with too many places", "lines.0.unit_price", "0.0000001"),
    ("kind nobody knows", "kind", "hotel"),
    ("kind as a number", "kind", 1),
    ("a flag as text", "emergency", "false"),
    ("a flag as a number", "emergency", 0),
    ("NUL in a number", "facility_visit_no", "MZ\x001"),
    ("empty number", "facility_visit_no", ""),
    ("number too long", "facility_visit_no", "x" * 31),
    ("blank in a number", "facility_visit_no", "MZ 1"),
    ("line break at the end of a number", "facility_visit_no", "MZ1\n"),
    ("full-width digits", "facility_visit_no", "ＭＺ１"),
    ("SQL in a number", "facility_visit_no", "x'; DROP TABLE visit; --"),
    ("SQL in a code", "med_type", "11' OR '1'='1"),
    ("a template in a number", "facility_settlement_no", "{{7*7}}"),
    ("another template in a number", "facility_settlement_no", "${jndi:ldap://x}"),
    ("a path in a number", "facility_settlement_no", "../../etc/passwd"),
    ("SQL in an item", "lines.0.item_code", "1; SELECT pg_sleep(9)"),
    ("NUL in an item", "lines.0.item_code", "\x00"),
    ("class with letters", "lines.0.item_class", "0A"),
    ("a person's number that is none", "person.person_id", "1"),
    ("a person's number with other letters", "person.person_id", "I" * 26),
    ("no such day", "began_at", "2025-02-29T09:00:00+08:00"),
    ("no such month", "began_at", "2026-13-01T09:00:00+08:00"),
    ("no such hour", "began_at", "2026-10-12T24:01:00+08:00"),
    ("no time zone", "began_at", "2026-10-12T09:00:00"),
    ("no such time zone", "began_at", "2026-10-12T09:00:00+25:00"),
    ("the name of a time zone", "began_at", "2026-10-12T09:00:00 Asia/Shanghai"),
    ("a day without a time", "began_at", "2026-10-12"),
    ("a moment as a number", "began_at", 1760000000),
    ("the last moment there is", "ended_at", "9999-12-31T23:59:59Z"),
    ("the last moment, further east", "ended_at", "9999-12-31T23:59:59-12:00"),
    ("the first moment there is", "began_at", "0001-01-01T00:00:00Z"),
    ("the first moment, further west", "began_at", "0001-01-01T00:00:00+14:00"),
    ("no lines", "lines", []),
    ("too many lines", "lines", MANY),
    ("lines as an object", "lines", {"0": fee_line()}),
    ("a line that is null", "lines.0", None),
]


def put(body: Json, place: str, value: Any) -> Json:
    """The body with a value put at a place."""
    changed: Json = json.loads(json.dumps(body))
    at: Any = changed
    *way, last = [int(step) if step.isdecimal() else step for step in place.split(".")]
    for step in way:
        at = at[step]
    at[last] = value
    return changed


@pytest.mark.parametrize(("place", "value"), [f[1:] for f in FIELDS], ids=[f[0] for f in FIELDS])
async def test_a_value_that_does_not_fit(window: Window, place: str, value: Any) -> None:
    answer = await window.settle(put(window.bill(), place, value))
    refused(answer, 422, "request.field-invalid", "/" + place.replace(".", "/"))


async def test_every_field_that_does_not_fit_is_named_at_once(window: Window) -> None:
    body = put(put(window.bill(kind="hotel", total_fen="1"), "lines.0.quantity", "NaN"), "person.person_id", "1")
    del body["began_at"]
    answer = await window.settle({**body, "tip_fen": 500})
    assert {(e["code"], e["pointer"]) for e in answer.json()["errors"]} == {
        ("request.field-invalid", "/kind"),
        ("request.field-invalid", "/total_fen"),
        ("request.field-invalid", "/lines/0/quantity"),
        ("request.field-invalid", "/person/person_id"),
        ("request.field-missing", "/began_at"),
        ("request.field-unknown", "/tip_fen"),
    }


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e400", "-1e400", "1E309", "9" * 5_000])
@pytest.mark.parametrize("place", ["total_fen", "quantity", "unit_price"])
async def test_numbers_beyond_numbers(window: Window, place: str, literal: str) -> None:
    """Written into the JSON as they are."""
    text = json.dumps(window.line(**({} if place == "total_fen" else {place: "@"})))
    text = (
        text.replace('"@"', literal)
        if place != "total_fen"
        else text.replace('"total_fen": 150000', f'"total_fen": {literal}')
    )
    answer = await window.settle(text)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["code"] in ("request.malformed-json", "request.field-invalid")


@pytest.mark.parametrize(
    ("unknown", "pointer"),
    [
        ({"tip_fen": 1}, "/tip_fen"),
        ({"Total_fen": 1}, "/Total_fen"),
        ({"__proto__": {}}, "/__proto__"),
        ({"person": {"person_id": "0" * 26, "name": "x"}}, "/person/name"),
        ({"lines": [{**fee_line(), "discount": 1}]}, "/lines/0/discount"),
    ],
)
async def test_unknown_fields_are_refused_by_name(window: Window, unknown: Json, pointer: str) -> None:
    answer = await window.settle(window.bill(**unknown))
    refused(answer, 422, "request.field-unknown", pointer)
    assert pointer.rpartition("/")[2] in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("missing", ["person", "kind", "lines", "total_fen", "began_at", "facility_visit_no"])
async def test_missing_fields_are_named(window: Window, missing: str) -> None:
    body = window.bill()
    del body[missing]
    refused(await window.settle(body), 422, "request.field-missing", f"/{missing}")


@pytest.mark.parametrize("person", [{}, {"person_id": "0" * 26, "identity_number": "411603198001010010"}])
async def test_a_person_is_named_one_way(window: Window, person: Json) -> None:
    answer = await window.settle(window.bill(person=person))
    refused(answer, 422, "request.field-invalid", "/person")
    assert "411603198001010010" not in answer.text


# What only the rules can know

RULES: list[tuple[str, str, Callable[[Window], Json]]] = [
    (
        "duplicate line numbers",
        "line-number-twice",
        lambda w: w.bill(lines=[fee_line("1"), fee_line("1")], total_fen=300_000),
    ),
    ("0.005 yuan times one is not 0 fen", "line-amount-wrong", lambda w: _half_a_fen(w, 0)),
    ("sums that do not add up", "sum-wrong", lambda w: w.bill(total_fen=150_001)),
    ("a code of another region", "code-unknown", lambda w: w.bill(med_type="2101")),
    ("an unknown code", "code-unknown", lambda w: w.bill(med_type="77")),
    ("an unknown class", "code-unknown", lambda w: w.line(item_class="44")),
    ("an insurance the person has not", "not-insured", lambda w: w.bill(insutype="310")),
    ("a person nobody knows", "person-unknown", lambda w: w.bill(person={"person_id": "0" * 26})),
    ("a card nobody knows", "person-unknown", lambda w: w.bill(person={"identity_number": "411603198001010010"})),
    ("a negative line that voids nothing", "negative-line-voids-nothing", lambda w: _negative(w)),
    ("next year", "in-the-future", lambda w: w.bill(ended_at=hours_ago(-24 * 365))),
    ("backwards", "ends-before-it-began", lambda w: w.bill(began_at=hours_ago(2), ended_at=hours_ago(4))),
    ("before the insurance", "not-insured", lambda w: w.bill(began_at="1999-12-31T23:59:59+08:00")),
]


def _half_a_fen(window: Window, amount_fen: int) -> Json:
    line = {**fee_line(quantity="1", price="0.005"), "amount_fen": amount_fen}
    return window.bill(lines=[line], total_fen=amount_fen)


def _negative(window: Window) -> Json:
    return window.bill(lines=[fee_line("1"), fee_line("2", quantity="-1")], total_fen=75_000)


@pytest.mark.parametrize(("code", "bill"), [r[1:] for r in RULES], ids=[r[0] for r in RULES])
async def test_what_the_rules_refuse(window: Window, code: str, bill: Callable[[Window], Json]) -> None:
    answer = await window.settle(bill(window))
    assert (answer.status_code, answer.headers["content-type"]) == (422, MEDIA_TYPE)
    assert f"claims.{code}" in [error["code"] for error in answer.json()["errors"]]


async def test_refusals_speak_both_languages(window: Window) -> None:
    body = window.bill(total_fen=1)
    for accepted, expected in (
        ("en", "add up to"),
        ("zh-CN,en;q=0.5", "明细合计"),
        ("fr", "明细合计"),
        ("", "明细合计"),
    ):
        answer = await window.settle(body, **{"Accept-Language": accepted})
        assert expected in answer.json()["errors"][0]["detail"]


# Addresses, queries, headers

BAD_PATHS = [
    "/v1/visits/1",
    "/v1/visits/" + "I" * 26,
    "/v1/visits/%00",
    "/v1/visits/'%20OR%20'1'='1",
    "/v1/visits/" + "9" * 5_000,
    "/v1/visits/..%2fsettlements",
    "/v1/visits/%2e%2e%2fsettlements",
    "/v1/visits/" + "0" * 26,
    "/v1/nothing",
    "/v1/settlements/",
    "/V1/settlements",
    "/v2/settlements",
]


@pytest.mark.parametrize("path", BAD_PATHS)
async def test_addresses_that_lead_nowhere(window: Window, path: str) -> None:
    answer = await window.his.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] in ("request.not-found", "claims.visit-unknown")
    assert answer.headers["content-type"] == MEDIA_TYPE


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_methods_an_address_does_not_take(window: Window, method: str) -> None:
    refused(await window.his.request(method, "/v1/settlements"), 405, "request.method-not-allowed")


QUERIES: list[tuple[str, Json, str, str]] = [
    ("unknown name", {"period": "2026-10", "sort": "asc"}, "request.field-unknown", "/query/sort"),
    ("missing", {}, "request.field-missing", "/query/period"),
    ("no month", {"period": "2026-13"}, "request.field-invalid", "/query/period"),
    ("a day", {"period": "2026-10-01"}, "request.field-invalid", "/query/period"),
    ("SQL", {"period": "2026-10' --"}, "request.field-invalid", "/query/period"),
    ("no items", {"period": "2026-10", "limit": "0"}, "request.field-invalid", "/query/limit"),
    ("too many items", {"period": "2026-10", "limit": "201"}, "request.field-invalid", "/query/limit"),
    ("negative", {"period": "2026-10", "limit": "-1"}, "request.field-invalid", "/query/limit"),
    ("not a number", {"period": "2026-10", "limit": "NaN"}, "request.field-invalid", "/query/limit"),
    ("huge", {"period": "2026-10", "limit": "1e400"}, "request.field-invalid", "/query/limit"),
    ("cursor too long", {"period": "2026-10", "cursor": "A" * 201}, "request.field-invalid", "/query/cursor"),
    ("cursor of nobody", {"period": "2026-10", "cursor": "!!!"}, "request.cursor-invalid", "/query/cursor"),
    ("cursor cut off", {"period": "2026-10", "cursor": "MDFLQ"}, "request.cursor-invalid", "/query/cursor"),
    ("cursor with NUL", {"period": "2026-10", "cursor": "AAAA"}, "request.cursor-invalid", "/query/cursor"),
    ("cursor not UTF-8", {"period": "2026-10", "cursor": "_____w=="}, "request.cursor-invalid", "/query/cursor"),
    ("cursor in other letters", {"period": "2026-10", "cursor": "游标"}, "request.cursor-invalid", "/query/cursor"),
]


@pytest.mark.parametrize(("query", "code", "pointer"), [q[1:] for q in QUERIES], ids=[q[0] for q in QUERIES])
async def test_queries(window: Window, query: Json, code: str, pointer: str) -> None:
    refused(await window.his.get("/v1/settlements", params=query), 422, code, pointer)


@pytest.mark.parametrize("bad", ["", "short", "x" * 65, "with blank in it", "中文-中文-中文"])
async def test_idempotency_keys(window: Window, bad: str) -> None:
    headers = [(b"Idempotency-Key", bad.encode()), (b"Content-Type", b"application/json")]
    answer = await window.his.post("/v1/settlements", content=json.dumps(window.bill()), headers=headers)
    refused(answer, 400, "idempotency.key-missing")


# Words


@pytest.mark.parametrize(
    "text", ["", " ", "x" * 201, "a\x00b", "a\u202eb", "a\u2028b", "a\ue000b", "a\U0010ffffb", " a", 1, None]
)
async def test_reasons_that_are_no_words(window: Window, text: Any) -> None:
    answer = await window.his.post(f"/v1/settlements/{'0' * 26}/reversal", json=reversal(reason=text), headers=key())
    refused(answer, 422, "request.field-invalid", "/reason")


# People

ENROLMENTS: list[tuple[str, Json, int, str]] = [
    ("wrong check digit", {"identity_number": "411603198001010011"}, 422, "enrollment.identity-number-invalid"),
    ("no such birthday", {"identity_number": "411603202502290014"}, 422, "enrollment.identity-number-invalid"),
    ("born tomorrow", {"identity_number": "411603219901010010"}, 422, "enrollment.identity-number-invalid"),
    ("too short", {"identity_number": "41160319800101001"}, 422, "enrollment.identity-number-invalid"),
    ("all zeros", {"identity_number": "000000000000000000"}, 422, "enrollment.identity-number-invalid"),
    ("full-width", {"identity_number": "４１１６０３１９８００１０１００１０"}, 422, "request.field-invalid"),
    ("NUL", {"identity_number": "41160319800101001\x00"}, 422, "request.field-invalid"),
    ("SQL", {"identity_number": "' OR 1=1 --"}, 422, "request.field-invalid"),
    ("no name", {"name": ""}, 422, "request.field-invalid"),
    ("over-long name", {"name": "王" * 51}, 422, "request.field-invalid"),
    ("name with NUL", {"name": "王\x00明"}, 422, "request.field-invalid"),
    ("name that turns around", {"name": "王\u202e明"}, 422, "request.field-invalid"),
    ("name with invisible letters", {"name": "王\u200b明"}, 422, "request.field-invalid"),
    ("name of blanks", {"name": "   "}, 422, "request.field-invalid"),
    ("phone in words", {"phone": "one two three"}, 422, "request.field-invalid"),
    ("account with letters", {"bank_account": "DE00123456789"}, 422, "request.field-invalid"),
    ("29 February 2025", {"insurance": people.insurance(valid_from="2025-02-29")}, 422, "request.field-invalid"),
    ("31 December 9999", {"insurance": people.insurance(valid_to="9999-12-31")}, 422, "request.field-invalid"),
    ("the year 0", {"insurance": people.insurance(valid_from="0000-01-01")}, 422, "request.field-invalid"),
    (
        "a day with a time",
        {"insurance": people.insurance(valid_from="2026-01-01T08:00:00")},
        422,
        "request.field-invalid",
    ),
    ("a day as a number", {"insurance": people.insurance(valid_from=20260101)}, 422, "request.field-invalid"),
    ("backwards", {"insurance": people.insurance(valid_to="2025-12-31")}, 422, "enrollment.period-reversed"),
    ("no such region", {"insurance": people.insurance(region="999999")}, 422, "enrollment.region-unknown"),
    ("another agency's region", {"insurance": people.insurance(region="341702")}, 403, "auth.not-your-area"),
    ("no such insurance", {"insurance": people.insurance(insutype="999")}, 422, "enrollment.code-unknown"),
]


@pytest.mark.parametrize(("changed", "status", "code"), [e[1:] for e in ENROLMENTS], ids=[e[0] for e in ENROLMENTS])
async def test_people_nobody_enrols(officer: httpx.AsyncClient, changed: Json, status: int, code: str) -> None:
    body = people.person(**changed)
    answer = await officer.post("/v1/persons", content=json.dumps(body), headers=JSON)
    refused(answer, status, code)
    for secret in (body["identity_number"], body["name"], body["phone"], body["bank_account"]):
        assert not secret.strip() or len(secret) < 2 or secret not in answer.text, "a refusal repeats no personal data"


# Admissions by the same edge


@pytest.mark.parametrize("place", ["facility_visit_no", "med_type", "began_at", "person"])
async def test_admissions_are_checked_alike(window: Window, place: str) -> None:
    body = {**admission(window.person_id), place: ["x"]}
    refused(await window.his.post("/v1/visits", json=body), 422, "request.field-invalid", f"/{place}")


def test_every_case_has_a_name_of_its_own() -> None:
    for table in (FIELDS, RULES, QUERIES, ENROLMENTS):
        names = [case[0] for case in table]
        assert len(names) == len(set(names))
    assert fresh("x") != fresh("x")
