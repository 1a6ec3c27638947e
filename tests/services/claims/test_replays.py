"""A replay of a policy over bills that were settled: asked for through the API, done beside the settlement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx

from deploy.local.cluster import Cluster
from tests.conftest import MakeClient, MakeToken
from tests.flow import done, eventually
from tests.services.claims.fixtures import MakeHis
from tests.services.claims.packs import Files, next_version
from tests.services.claims.seeds import Json, Owner, fee_line, key, one_call, reversal

TODAY = datetime.now(UTC).date()
CITY, COUNTY = "341700", "341721"
YEAR = {"since": (TODAY - timedelta(days=300)).isoformat(), "until": (TODAY + timedelta(days=1)).isoformat()}


def generous() -> Files:
    """Chizhou's pack with a residents' outpatient ratio of 0.90 at the first level."""
    files = next_version("chizhou")
    text = files["residents.yaml"]
    assert "一级: 0.60" in text
    files["residents.yaml"] = text.replace("一级: 0.60", "一级: 0.90")
    return files


async def settled(clinic: httpx.AsyncClient, person_id: str, yuan: str) -> Json:
    line = fee_line(quantity="1", price=yuan)
    answer: Json = done(await clinic.post("/v1/settlements", json=one_call(person_id, line), headers=key()))
    return answer


async def finished(officer: httpx.AsyncClient, replay_id: str) -> Json:
    async def ended() -> Json | None:
        found: Json = done(await officer.get(f"/v1/replays/{replay_id}"))
        return found if found["state"] != "asked" else None

    return await eventually(ended, within_s=60)


async def test_a_replay_tells_what_a_version_would_have_cost(
    client: MakeClient, token: MakeToken, his: MakeHis, owner: Owner
) -> None:
    """Two bills of 100 and 300 yuan stand, one of 50 was reversed: the new ratio gives 0.90 instead of 0.60 of them."""
    author = client("claims", token("officer", CITY, "author"))
    clinic = his(await owner.facility(COUNTY, level="1"))
    person_id = await owner.person(COUNTY)
    bills = [await settled(clinic, person_id, yuan) for yuan in ("100.00", "300.00")]
    assert [bill["fund_fen"] for bill in bills] == [6_000, 18_000]
    gone = await settled(clinic, person_id, "50.00")
    path = f"/v1/settlements/{gone['settlement_id']}/reversal"
    done(await clinic.post(path, json=reversal(), headers=key()))
    proposed = done(await author.post("/v1/policies", json={"files": generous()}))

    asked = done(await author.post(f"/v1/policies/{proposed['proposal_id']}/replays", json=YEAR))
    assert (asked["state"], asked["result"], asked["asked_by"]) == ("asked", None, "author")
    replay = await finished(author, asked["replay_id"])

    assert replay["state"] == "done"
    gains = {gain["person"]: gain for gain in replay["result"]["largest_gains"]}
    assert (gains[person_id]["bills"], gains[person_id]["change"]) == (2, "-120.00")


async def test_a_replay_is_the_agencys_own(client: MakeClient, token: MakeToken) -> None:
    """Another city's officer neither asks for one nor reads one; days that run backwards are refused."""
    author = client("claims", token("officer", CITY, "author"))
    stranger = client("claims", token("officer", "411600", "stranger"))
    proposed = done(await author.post("/v1/policies", json={"files": next_version("chizhou")}))
    path = f"/v1/policies/{proposed['proposal_id']}/replays"

    assert (await stranger.post(path, json=YEAR)).status_code == 403
    backwards = {"since": YEAR["until"], "until": YEAR["since"]}
    assert (await author.post(path, json=backwards)).status_code == 422
    asked = done(await author.post(path, json=YEAR))
    assert (await stranger.get(f"/v1/replays/{asked['replay_id']}")).status_code == 403
    assert (await author.get(f"/v1/replays/{proposed['proposal_id']}")).status_code == 404
    await finished(author, asked["replay_id"])


async def test_a_replay_is_taken_up_again_when_its_process_dies(
    services: Cluster, client: MakeClient, token: MakeToken
) -> None:
    """Claims is killed right after it was asked: the service that comes back does it."""
    author = client("claims", token("officer", CITY, "author"))
    proposed = done(await author.post("/v1/policies", json={"files": next_version("chizhou")}))
    asked = done(await author.post(f"/v1/policies/{proposed['proposal_id']}/replays", json=YEAR))
    services.kill_part("claims")
    services.start_part("claims")
    assert (await finished(author, asked["replay_id"]))["state"] == "done"
