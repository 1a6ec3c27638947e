"""Policy packs at the real service: proposed by one person, in force by another, known to every process soon after."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from deploy.local.cluster import Cluster
from shared.events import topic_of
from shared.settings import Settings
from tests.conftest import TLS, MakeClient, MakeToken
from tests.flow import done, eventually
from tests.services.claims.fixtures import MakeHis
from tests.services.claims.packs import Files, next_version, small
from tests.services.claims.seeds import (
    ZHOUKOU,
    Json,
    Owner,
    admission,
    discharge,
    fee_line,
    fresh,
    hours_ago,
    key,
    one_call,
)
from tests.services.claims.test_stays import charged, codes
from tests.shared.test_outbox_and_consumer import reading

_AREAS = itertools.chain(
    (str(code) for code in range(411321, 411331)),
    (str(code) for code in (430103, 430104, 430105, 430111, 430112, 430121, 430181, 430182, 341721, 341722)),
)
TODAY = datetime.now(UTC).date()
BEGINS = TODAY - timedelta(days=300)
NATIONAL = "national@2026.1"


@dataclass(frozen=True)
class Office:
    """An agency with an author and an approver, and a pack of its own."""

    area: str
    pack: str
    author: httpx.AsyncClient
    approver: httpx.AsyncClient
    clinic: httpx.AsyncClient
    person_id: str

    def files(self, version: str = "1", *, begins: date = BEGINS, percent: int = 50) -> Files:
        return small(self.pack, version, self.area, begins, percent)

    async def propose(self, files: Files) -> Json:
        return done(await self.author.post("/v1/policies", json={"files": files}))

    async def approve(self, proposed: Json, **changed: Any) -> httpx.Response:
        body = {"digest": proposed["digest"], **changed}
        return await self.approver.post(f"/v1/policies/{proposed['proposal_id']}/approval", json=body)

    async def put_in_force(self, files: Files) -> Json:
        """Propose, approve, and wait until claims decides by it."""
        approved = done(await self.approve(await self.propose(files)))
        name = f"{approved['pack']}@{approved['version']}"
        await eventually(lambda: self._decides(name), within_s=10)
        return approved

    async def _decides(self, name: str) -> bool | None:
        return await self.policy_of(days_ago=0) == name or None

    async def policy_of(self, *, days_ago: int) -> str:
        """Which policy decides a bill of a day."""
        answer = await self.clinic.post("/v1/quotes", json=bill_of(self.person_id, days_ago))
        policy: str = done(answer)["policy"]
        return policy


def bill_of(person_id: str, days: int) -> Json:
    """A bill of 100 yuan of a day of the past."""
    hours = 24 * days
    line = fee_line(quantity="1", price="100.00", hours=hours + 2)
    return one_call(person_id, line, began_at=hours_ago(hours + 3), ended_at=hours_ago(hours + 1))


OpenOffice = Callable[[str], Awaitable[Office]]


@pytest.fixture
def open_office(client: MakeClient, token: MakeToken, his: MakeHis, owner: Owner) -> OpenOffice:
    """Opens the office of an area."""

    async def opened(area: str) -> Office:
        return Office(
            area=area,
            pack=fresh("trial-").lower(),
            author=client("claims", token("officer", area, "author")),
            approver=client("claims", token("reviewer", area, "approver")),
            clinic=his(await owner.facility(area, level="1")),
            person_id=await owner.person(area),
        )

    return opened


@pytest.fixture
async def office(open_office: OpenOffice) -> Office:
    """An office whose area no other test knows, so that packs may be put in force."""
    return await open_office(next(_AREAS))


@pytest.fixture
async def desk(open_office: OpenOffice) -> Office:
    """An office where nothing is ever put in force."""
    return await open_office("411303")


@pytest.fixture(scope="module")
def second_claims(services: Cluster) -> Iterator[str]:
    """The address of a second process of claims, for as long as this module runs."""
    name = services.start_another("claims")
    yield f"http://127.0.0.1:{services.process(name).program.environment['SIFANG_CLAIMS_PORT']}"
    services.stop_part(name)


@pytest.fixture
async def nothing_kept(owner: Owner) -> AsyncIterator[None]:
    """Nothing is proposed and nothing announced while the test runs."""
    count = "SELECT count(*) FROM claims.policy_pack"
    before = await owner.connection.fetchval(count)
    yield
    assert await owner.connection.fetchval(count) == before


def errors_of(answer: httpx.Response) -> list[Json]:
    found: list[Json] = answer.json()["errors"]
    return found


# The way into force


async def test_a_pack_is_in_force_within_seconds_in_every_process(
    office: Office, second_claims: str, settings: Settings
) -> None:
    assert await office.policy_of(days_ago=0) == NATIONAL
    files = office.files()
    async with reading(settings, topic_of("claims")) as by_key:
        proposed = await office.propose(files)
        assert (proposed["state"], proposed["proposed_by"], proposed["decided_by"]) == ("proposed", "author", None)
        assert (proposed["pack"], proposed["version"], proposed["area"]) == (office.pack, "1", office.area)
        assert (proposed["valid_from"], proposed["valid_to"]) == (BEGINS.isoformat(), None)
        await asyncio.sleep(3)
        assert await office.policy_of(days_ago=0) == NATIONAL, "what is only proposed decides nothing"

        approved = done(await office.approve(proposed))
        assert {name: approved[name] for name in approved if approved[name] != proposed[name]} == {
            "state": "in_force",
            "decided_by": "approver",
            "decided_at": approved["decided_at"],
        }
        async with httpx.AsyncClient(
            base_url=second_claims, headers=office.clinic.headers, trust_env=False, verify=TLS
        ) as another:
            for process in (office.clinic, another):

                async def decided(process: httpx.AsyncClient = process) -> Json | None:
                    quote = done(await process.post("/v1/quotes", json=bill_of(office.person_id, 0)))
                    return quote if quote["policy"] == f"{office.pack}@1" else None

                quote = await eventually(decided, within_s=6)
                assert (quote["fund_fen"], quote["ratio"]) == (5_000, "0.500000")

        async def announced() -> bool | None:
            return bool(by_key(office.pack)) or None

        await eventually(announced)
        await asyncio.sleep(1)
        (record,) = by_key(office.pack)
    assert record.header("ce_type") == "sifang.claims.PolicyPutInForce.v1"
    assert json.loads(record.value) == {
        "pack": office.pack,
        "pack_version": "1",
        "area": office.area,
        "valid_from": BEGINS.isoformat(),
        "valid_to": None,
        "digest": proposed["digest"],
    }


async def test_a_process_started_later_knows_it_from_its_first_answer(office: Office, services: Cluster) -> None:
    await office.put_in_force(office.files())
    name = services.start_another("claims")
    try:
        url = f"http://127.0.0.1:{services.process(name).program.environment['SIFANG_CLAIMS_PORT']}"
        async with httpx.AsyncClient(base_url=url, headers=office.clinic.headers, trust_env=False, verify=TLS) as late:
            quote = done(await late.post("/v1/quotes", json=bill_of(office.person_id, 0)))
        assert quote["policy"] == f"{office.pack}@1"
    finally:
        services.stop_part(name)


async def test_the_author_does_not_approve(desk: Office, client: MakeClient, token: MakeToken, owner: Owner) -> None:
    proposed = await desk.propose(desk.files())
    author = client("claims", token("reviewer", desk.area, "author"))
    path = f"/v1/policies/{proposed['proposal_id']}"
    for step, body in (("approval", {"digest": proposed["digest"]}), ("rejection", {"reason": "自己"})):
        refused = await author.post(f"{path}/{step}", json=body)
        assert (refused.status_code, codes(refused)) == (403, ["policy-same-person"])
    assert await state_of(owner, proposed) == "proposed"


async def state_of(owner: Owner, proposed: Json) -> str:
    query = "SELECT state FROM claims.policy_pack WHERE proposal_id = $1"
    state: str = await owner.connection.fetchval(query, proposed["proposal_id"])
    return state


async def test_nobody_approves_what_they_did_not_read(desk: Office, owner: Owner) -> None:
    proposed = await desk.propose(desk.files())
    refused = await desk.approve(proposed, digest="0" * 64)
    assert (refused.status_code, codes(refused)) == (409, ["policy-digest-differs"])
    assert errors_of(refused)[0]["pointer"] == "/digest"
    malformed = await desk.approve(proposed, digest="not a digest")
    assert (malformed.status_code, codes(malformed)) == (422, ["request.field-invalid"])
    assert await state_of(owner, proposed) == "proposed"


async def test_the_digest_is_that_of_names_and_texts(desk: Office) -> None:
    files = desk.files()
    checked = [
        done(await desk.author.post("/v1/policies/check", json={"files": changed}))["digest"]
        for changed in (
            files,
            dict(reversed(files.items())),
            {"other.yaml": files["pack.yaml"], "examples.yaml": files["examples.yaml"]},
            {**files, "pack.yaml": files["pack.yaml"] + "\n"},
        )
    ]
    assert checked[0] == checked[1]
    assert len(set(checked)) == 3


async def test_what_is_decided_is_not_decided_again(office: Office, owner: Owner) -> None:
    proposed = await office.propose(office.files())
    answers = await asyncio.gather(*(office.approve(proposed) for _ in range(6)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 5}
    assert {codes(answer)[0] for answer in answers if answer.status_code == 409} == {"policy-decided"}
    rejection = await office.approver.post(f"/v1/policies/{proposed['proposal_id']}/rejection", json={"reason": "迟了"})
    assert (rejection.status_code, codes(rejection)) == (409, ["policy-decided"])
    assert errors_of(rejection)[0]["params"] == {"state": "in_force"}
    assert await state_of(owner, proposed) == "in_force"


async def test_a_version_is_there_once_and_a_rejected_one_may_be_sent_again(office: Office) -> None:
    first = await office.propose(office.files())
    body = {"files": office.files(percent=60)}
    twice = await office.author.post("/v1/policies", json=body)
    assert (twice.status_code, codes(twice)) == (409, ["policy-version-taken"])
    assert errors_of(twice)[0]["params"] == {"pack": office.pack, "version": "1"}

    rejected = done(
        await office.approver.post(f"/v1/policies/{first['proposal_id']}/rejection", json={"reason": "比例与文件不符"})
    )
    assert (rejected["state"], rejected["reason"], rejected["decided_by"]) == ("rejected", "比例与文件不符", "approver")
    refused = await office.approve(first)
    assert (refused.status_code, codes(refused)) == (409, ["policy-decided"])

    again = done(await office.author.post("/v1/policies", json=body))
    assert again["proposal_id"] != first["proposal_id"]
    done(await office.approve(again))
    in_force = await office.author.post("/v1/policies", json=body)
    assert (in_force.status_code, codes(in_force)) == (409, ["policy-version-taken"])


async def test_a_shipped_version_is_taken(client: MakeClient, token: MakeToken, nothing_kept: None) -> None:
    files = next_version()
    files["pack.yaml"] = files["pack.yaml"].replace(files["pack.yaml"].split('version: "')[1].split('"')[0], "2026.1")
    refused = await client("claims", token("officer", ZHOUKOU)).post("/v1/policies", json={"files": files})
    assert (refused.status_code, codes(refused)) == (409, ["policy-version-taken"])


async def test_one_version_proposed_ten_times_at_once_is_there_once(desk: Office) -> None:
    body = {"files": desk.files()}
    answers = await asyncio.gather(*(desk.author.post("/v1/policies", json=body) for _ in range(10)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}


# An area has one pack


async def test_an_area_has_one_pack_and_a_pack_one_area(office: Office, client: MakeClient, token: MakeToken) -> None:
    await office.put_in_force(office.files())
    other = {**office.files(), **small(fresh("other-").lower(), "1", office.area, BEGINS, 70)}
    refused = await office.author.post("/v1/policies", json={"files": other})
    assert (refused.status_code, codes(refused)) == (409, ["policy-area-taken"])
    assert errors_of(refused)[0]["params"] == {"area": office.area, "pack": office.pack}

    for pack, area in ((office.pack, office.area), ("zhoukou", ZHOUKOU)):
        named = small(pack, "99", "411302", BEGINS, 70)
        neighbour = client("claims", token("officer", "411302"))
        refused = await neighbour.post("/v1/policies", json={"files": named})
        assert (refused.status_code, codes(refused)) == (409, ["policy-name-taken"])
        assert errors_of(refused)[0]["params"] == {"area": area, "pack": pack}


async def test_of_two_packs_approved_for_one_area_at_once_one_is_in_force(office: Office, owner: Owner) -> None:
    packs = [small(fresh("rival-").lower(), "1", office.area, BEGINS, 70) for _ in range(4)]
    proposed = [await office.propose(files) for files in packs]
    answers = await asyncio.gather(*(office.approve(one) for one in proposed))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 3}
    assert {codes(answer)[0] for answer in answers if answer.status_code == 409} == {"policy-area-taken"}
    assert Counter([await state_of(owner, one) for one in proposed]) == {"in_force": 1, "proposed": 3}


# Whose area


async def test_another_agency_neither_proposes_nor_decides(
    office: Office, client: MakeClient, token: MakeToken, owner: Owner
) -> None:
    proposed = await office.propose(office.files())
    stranger = client("claims", token("officer", "341702"))
    answers = [
        await stranger.post("/v1/policies", json={"files": office.files("2")}),
        await stranger.post("/v1/policies/check", json={"files": office.files("2")}),
    ]
    reviewer = client("claims", token("reviewer", "341702"))
    path = f"/v1/policies/{proposed['proposal_id']}"
    answers.append(await reviewer.post(f"{path}/approval", json={"digest": proposed["digest"]}))
    answers.append(await reviewer.post(f"{path}/rejection", json={"reason": "别人的"}))
    assert [(answer.status_code, codes(answer)) for answer in answers] == [(403, ["auth.not-your-area"])] * 4
    assert await state_of(owner, proposed) == "proposed"
    assert await owner.count("policy_pack", "pack", office.pack) == 1
    # The agency above acts for those below it.
    province = client("claims", token("reviewer", f"{office.area[:2]}0000"))
    assert (await province.post(f"{path}/approval", json={"digest": proposed["digest"]})).status_code == 200


async def test_a_county_does_not_write_for_its_city_nor_for_nowhere(
    client: MakeClient, token: MakeToken, nothing_kept: None
) -> None:
    county = client("claims", token("officer", "411603"))
    for area in (ZHOUKOU, "999999"):
        refused = await county.post("/v1/policies", json={"files": small(fresh("p").lower(), "1", area, BEGINS, 50)})
        assert (refused.status_code, codes(refused)) == (403, ["auth.not-your-area"])


# Old bills


async def test_old_bills_are_decided_by_the_old_version_also_when_they_come_late(office: Office) -> None:
    """Ten days ago the old version held, since five days the new one."""
    await office.put_in_force(office.files("1", percent=50))
    stays = [
        done(await office.clinic.post("/v1/visits", json=admission(office.person_id, hours=24 * since)))["visit_id"]
        for since in (20,)
    ]
    await office.put_in_force(office.files("2", begins=TODAY - timedelta(days=5), percent=80))
    old, new = f"{office.pack}@1", f"{office.pack}@2"
    assert [await office.policy_of(days_ago=days) for days in (0, 3, 7, 30)] == [new, new, old, old]

    for days, policy, fund_fen in ((10, old, 5_000), (2, new, 8_000)):
        settled = done(await office.clinic.post("/v1/settlements", json=bill_of(office.person_id, days), headers=key()))
        assert (settled["policy"], settled["fund_fen"]) == (policy, fund_fen)
        explained = done(await office.clinic.get(f"/v1/settlements/{settled['settlement_id']}/explanation"))
        assert explained["policy"] == policy

    # A stay over the change is decided by its discharge.
    line = fee_line(quantity="1", price="100.00", hours=24 * 15)
    assert (await charged(office.clinic, stays[0], line)).is_success
    quotes = [
        done(
            await office.clinic.post(
                f"/v1/visits/{stays[0]}/quote", json=discharge("100.00", ended_at=hours_ago(24 * days))
            )
        )
        for days in (8, 1)
    ]
    assert [(quote["policy"], quote["fund_fen"]) for quote in quotes] == [(old, 5_000), (new, 8_000)]
    ending = discharge("100.00", ended_at=hours_ago(24 * 8))
    settled = done(await office.clinic.post(f"/v1/visits/{stays[0]}/settlement", json=ending, headers=key()))
    assert (settled["policy"], settled["fund_fen"]) == (old, 5_000)


async def test_before_the_first_version_the_area_above_decides(office: Office) -> None:
    await office.put_in_force(office.files("1", begins=TODAY - timedelta(days=5)))
    assert [await office.policy_of(days_ago=days) for days in (1, 9)] == [f"{office.pack}@1", NATIONAL]


# Faulty packs


def place(files: Files, file: str, text: str, *, nth: int = 0) -> tuple[str, int, int]:
    """Where a text stands: file, line, column, counted from 1."""
    at = -1
    for _ in range(nth + 1):
        at = files[file].index(text, at + 1)
    before = files[file][:at]
    return file, before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


async def test_every_fault_is_named_with_its_place_and_nothing_is_kept(desk: Office, nothing_kept: None) -> None:
    files = desk.files()
    files["pack.yaml"] = files["pack.yaml"].replace("counts_admission", "count_admission")
    files["pack.yaml"] = files["pack.yaml"].replace("ratio: 0.50", "ratio: [0.50]", 1)
    files["examples.yaml"] = files["examples.yaml"].replace("expect:", "expects:")
    expected = {
        place(files, "pack.yaml", "count_admission"),
        place(files, "pack.yaml", "[0.50]"),
        place(files, "examples.yaml", "expects"),
    }
    for path in ("/v1/policies", "/v1/policies/check"):
        for language, word in (("zh", "是否指"), ("en", "did you mean")):
            refused = await desk.author.post(path, json={"files": files}, headers={"Accept-Language": language})
            assert refused.status_code == 422
            assert set(codes(refused)) == {"policy-fault"}
            told = [error["params"] for error in errors_of(refused)]
            assert {(one["file"], one["line"], one["column"]) for one in told} == expected
            assert {error["pointer"] for error in errors_of(refused)} == {"/files/pack.yaml", "/files/examples.yaml"}
            assert word in refused.text


async def test_what_only_makes_no_sense_is_refused_too(desk: Office, nothing_kept: None) -> None:
    """A ratio beyond 1, a clause that is not there, a benefit nobody reaches: each in its place."""
    files = desk.files()
    files["pack.yaml"] = files["pack.yaml"].replace("ratio: 0.50", "ratio: 50", 1)
    files["pack.yaml"] = files["pack.yaml"].replace(
        "amount: 600, per: year, clause: all", "amount: 600, per: year, clause: none"
    )
    refused = await desk.author.post("/v1/policies", json={"files": files})
    assert refused.status_code == 422
    lines = {error["params"]["line"] for error in errors_of(refused)}
    assert {place(files, "pack.yaml", "ratio: 50")[1], place(files, "pack.yaml", "clause: none")[1]} <= lines


async def test_a_pack_whose_own_example_fails_is_refused(desk: Office, nothing_kept: None) -> None:
    files = desk.files()
    files["examples.yaml"] = files["examples.yaml"].replace("is: 50", "is: 50.01")
    for path in ("/v1/policies", "/v1/policies/check"):
        refused = await desk.author.post(path, json={"files": files})
        assert (refused.status_code, codes(refused)) == (422, ["policy-example-failed"])
        assert errors_of(refused)[0]["params"] == {"example": "worked"}


async def test_a_check_keeps_nothing(desk: Office, nothing_kept: None) -> None:
    checked = done(await desk.author.post("/v1/policies/check", json={"files": desk.files()}))
    assert (checked["pack"], checked["version"], checked["examples"]) == (desk.pack, "1", 1)


HOSTILE = {
    "a bomb of anchors": "a: &a [x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join(f'*{a}' for _ in range(8))}]\n" for a, b in itertools.pairwise("abcdefghij")),
    "a tag that would run a program": "pack: !!python/object/apply:os.system ['true']\n",
    "a thousand brackets": "[" * 1000 + "]" * 1000,
    "two documents": "pack: a\n---\npack: b\n",
    "a key twice": "pack: a\npack: b\n",
    "a control character": "pack: \x01\n",
    "a byte of nothing": "pack: a\0b\n",
    "no YAML": "pack: [a\n",
    "nothing": "",
    "a list": "- pack\n",
    "a number": "5\n",
    "a merge": "pack:\n  <<: {a: 1}\n",
    "a formula that would run": "figures: {x: {value: '__import__(1)'}}\n",
    "a mass of keys": "".join(f"k{n}: 1\n" for n in range(50_000)),
    "one long line": "pack: " + "x" * 900_000 + "\n",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_file_is_refused_at_once(desk: Office, nothing_kept: None, name: str) -> None:
    async with asyncio.timeout(15):
        refused = await desk.author.post("/v1/policies", json={"files": {**desk.files(), "x.yaml": HOSTILE[name]}})
    assert refused.status_code == 422, refused.text[:300]
    assert set(codes(refused)) == {"policy-fault"}
    assert all(error["params"]["line"] >= 1 and error["params"]["column"] >= 1 for error in errors_of(refused))
    assert len(errors_of(refused)) <= 200
    assert "sifang-pack" not in refused.text, "the folder it was read from is nobody's business"


async def test_a_lone_surrogate_is_no_text(desk: Office, nothing_kept: None) -> None:
    body = b'{"files": {"pack.yaml": "pack: \\ud800"}}'
    refused = await desk.author.post("/v1/policies", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code in (400, 422)
    assert codes(refused)[0].startswith("request.")


@pytest.mark.parametrize(
    "file",
    [
        "../pack.yaml",
        "/etc/passwd",
        "/tmp/pack.yaml",  # noqa: S108 - that is what is tried
        "a/b.yaml",
        "..yaml",
        ".yaml",
        ".hidden.yaml",
        "pack.yml",
        "PACK.YAML",
        "pack.yaml\n",
        "pack.yaml\0.yaml",
        "包.yaml",
        "",
        "x" * 60 + ".yaml",
    ],
)
async def test_a_file_has_a_plain_name(desk: Office, nothing_kept: None, file: str) -> None:
    body = {"files": {**desk.files(), file: "pack: x"}}
    for path in ("/v1/policies", "/v1/policies/check"):
        refused = await desk.author.post(path, json=body)
        assert (refused.status_code, codes(refused)) == (422, ["request.field-invalid"])


async def test_files_are_bounded_in_number_and_size(desk: Office, nothing_kept: None) -> None:
    many = {f"f{n}.yaml": "figures: {}\n" for n in range(49)}
    for files, status, code in (
        ({**desk.files(), **many}, 422, "request.field-invalid"),  # 51
        ({}, 422, "request.field-invalid"),
        ({"pack.yaml": "x" * 1_000_001}, 422, "request.field-invalid"),
        ({"a.yaml": "x" * 1_000_000, "b.yaml": "x" * 1_000_000, "c.yaml": "x"}, 413, "request.too-large"),
    ):
        refused = await desk.author.post("/v1/policies", json={"files": files})
        assert (refused.status_code, codes(refused)) == (status, [code])


# Reading


async def test_versions_are_listed_and_read_by_everybody(desk: Office, client: MakeClient, token: MakeToken) -> None:
    files = desk.files()
    first = await desk.propose(files)
    second = await desk.propose(desk.files("2"))
    reader = client("claims", token("facility", "H34170200001"))
    listed: list[Json] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = done(await reader.get("/v1/policies", params=query))
        listed += page["items"]
        if page["next_cursor"] is None:
            break
        query = {"limit": 2, "cursor": page["next_cursor"]}
    assert [one for one in listed if one["pack"] == desk.pack] == [first, second]
    assert done(await reader.get(f"/v1/policies/{first['proposal_id']}")) == {"policy": first, "files": files}


async def test_a_page_shows_the_words_of_a_pack_and_runs_nothing(desk: Office) -> None:
    script = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    files = desk.files()
    files["pack.yaml"] = files["pack.yaml"].replace("试行待遇", f"'{script}'").replace("第一条", f"'{script}'")
    proposed = await desk.propose(files)
    shown = await desk.author.get(f"/v1/policies/{proposed['proposal_id']}/page")
    assert "&lt;script&gt;" in shown.text
    assert "<script" not in shown.text
    assert "<img" not in shown.text


@pytest.mark.parametrize("what", ["", "/page", "/difference"])
async def test_a_version_nobody_proposed_is_not_there(desk: Office, what: str) -> None:
    answers = [
        await desk.author.get(f"/v1/policies/{'0' * 26}{what}"),
        await desk.author.post(f"/v1/policies/{'0' * 26}/runs", json={"case": "id: x"}),
        await desk.approver.post(f"/v1/policies/{'0' * 26}/approval", json={"digest": "0" * 64}),
        await desk.approver.post(f"/v1/policies/{'0' * 26}/rejection", json={"reason": "没有"}),
    ]
    assert [(answer.status_code, codes(answer)) for answer in answers] == [(404, ["policy-unknown"])] * 4


async def test_a_version_is_shown_as_a_page(desk: Office) -> None:
    proposed = await desk.propose(desk.files())
    for language, words in (("zh", ("试行待遇", "试行文件")), ("en", ("Trial benefits", "Visits"))):
        shown = await desk.author.get(
            f"/v1/policies/{proposed['proposal_id']}/page", headers={"Accept-Language": language}
        )
        assert shown.status_code == 200
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        assert shown.text.startswith("<!DOCTYPE html>")
        assert all(word in shown.text for word in words)


async def test_the_difference_says_what_changes(office: Office) -> None:
    await office.put_in_force(office.files("1", percent=50))
    new = await office.propose(office.files("2", begins=TODAY - timedelta(days=5), percent=80))
    path = f"/v1/policies/{new['proposal_id']}/difference"
    against_what_holds = done(await office.author.get(path, headers={"Accept-Language": "en"}))
    assert any(
        "80" in str(change["after"]) and "50" in str(change["before"]) for change in against_what_holds["changed"]
    )
    (effect,) = [one for one in against_what_holds["examples"] if one["case"] == "worked"]
    assert (effect["before"]["fund"], effect["after"]["fund"]) == ("50.00", "80.00")

    third = await office.propose(office.files("3", begins=TODAY, percent=90))
    against = done(await office.author.get(path, params={"against": third["proposal_id"]}))
    assert any("90" in str(change["before"]) for change in against["changed"])
    unknown = await office.author.get(path, params={"against": "0" * 26})
    assert (unknown.status_code, codes(unknown)) == (404, ["policy-unknown"])


async def test_a_first_version_has_nothing_to_be_compared_with(desk: Office) -> None:
    first = await desk.propose(desk.files())
    answer = await desk.author.get(f"/v1/policies/{first['proposal_id']}/difference")
    assert (answer.status_code, codes(answer)) == (404, ["policy-unknown"])


CASE = """\
id: mine
title: {zh: 我的算例, en: My case}
bills:
  - {begins: 2026-10-01, facts: {care: 门诊}, lines: [{amount: 1000}]}
  - {begins: 2026-10-02, facts: {care: 门诊}, lines: [{amount: 1000}]}
expect:
  - {what: fund, is: 100}
"""


async def test_a_case_is_run_by_a_version(desk: Office) -> None:
    proposed = await desk.propose(desk.files())
    path = f"/v1/policies/{proposed['proposal_id']}/runs"
    (ran,) = done(await desk.clinic.post(path, json={"case": CASE}))["cases"]
    assert (ran["case"], ran["pack"], ran["version"]) == ("mine", desk.pack, "1")
    # Half of 1000 each, but 600 in the year.
    assert [bill["fund"] for bill in ran["bills"]] == ["500.00", "100.00"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_case_is_refused(desk: Office, name: str) -> None:
    proposed = await desk.propose(desk.files())
    path = f"/v1/policies/{proposed['proposal_id']}/runs"
    async with asyncio.timeout(15):
        refused = await desk.author.post(path, json={"case": HOSTILE[name]})
    assert refused.status_code == 422, refused.text[:300]
    expected = "request.field-invalid" if name == "nothing" else "policy-fault"
    assert set(codes(refused)) == {expected}
    assert "sifang-case" not in refused.text


async def test_a_case_the_policy_does_not_decide_says_why(desk: Office) -> None:
    proposed = await desk.propose(desk.files())
    undecided = CASE.replace("care: 门诊", "care: 急救")
    answer = await desk.author.post(f"/v1/policies/{proposed['proposal_id']}/runs", json={"case": undecided})
    (ran,) = done(answer)["cases"]
    assert {refusal["code"] for refusal in ran["refusals"]} == {"policy.no-benefit"}
    assert ran["ok"] is False
