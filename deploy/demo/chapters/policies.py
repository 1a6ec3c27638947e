"""Chapter 2: next year's policy is checked, compared, approved by a second person, and known without a restart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from deploy.demo.client import Caller, until
from deploy.demo.scene import Scene

PACK = Path(__file__).parents[3] / "packs" / "zhoukou"
CITY, VERSION, BEGINS = "411600", "2027.1", "2027-01-01"


async def play(scene: Scene) -> None:
    """Propose a faulty pack, then a good one; what is refused, what changes, and who may approve."""
    scene.stage.chapter("2 · 待遇政策 The benefit policy of next year")
    author, reviewer = scene.services.officer(CITY), scene.services.reviewer(CITY)
    await _faulty(scene, author)
    proposed = await author.post("claims", "/v1/policies", {"files": next_year()})
    path = f"/v1/policies/{proposed['proposal_id']}"
    scene.stage.say(f"提交 proposed: {proposed['pack']}@{proposed['version']} by {proposed['proposed_by']}")
    await _difference(scene, author, path)
    await _approve(scene, reviewer, path, proposed)


def next_year() -> dict[str, str]:
    """Zhoukou's pack for next year: the employees' outpatient limit rises from 4,000 to 5,000 yuan."""
    files = {file.name: file.read_text(encoding="utf-8") for file in sorted(PACK.glob("*.yaml"))}
    del files["examples.yaml"]  # those of this year; the office writes new ones
    files["pack.yaml"] = re.sub(r'version: "[0-9.]+"', f'version: "{VERSION}"', files["pack.yaml"])
    files["pack.yaml"] = re.sub(r"valid: \{from: [0-9-]+\}", f"valid: {{from: {BEGINS}}}", files["pack.yaml"])
    files["employees.yaml"] = files["employees.yaml"].replace("amount: 4000", "amount: 5000")
    return files


async def _faulty(scene: Scene, author: Caller) -> None:
    """A pack with two slips is refused with the place of each, and nothing is kept."""
    files = next_year()
    files["employees.yaml"] = files["employees.yaml"].replace("三级: 0.85", "三级: 85").replace("caps:", "capps:", 1)
    refused = await author.ask("POST", "claims", "/v1/policies", body={"files": files}, refusable=True)
    for error in refused.body["errors"][:3]:
        scene.stage.say(f"校验 refused: {error['detail']}")
    scene.checks.equal(
        "a faulty pack is refused, every fault by its place", set(refused.codes), {"claims.policy-fault"}
    )


async def _difference(scene: Scene, author: Caller, path: str) -> None:
    found: dict[str, Any] = await author.get("claims", f"{path}/difference")
    changed = [change for change in found["changed"] if "5,000" in str(change) or "5000" in str(change)]
    scene.stage.say(f"比较 compared with what is in force: {len(found['changed'])} changes, of figures {len(changed)}")
    scene.checks.equal("the comparison shows the raised limit", bool(changed), True)


async def _approve(scene: Scene, reviewer: Caller, path: str, proposed: dict[str, Any]) -> None:
    """A second person puts it in force; claims decides bills of next year by it soon after, without a restart."""
    approved = await reviewer.post("claims", f"{path}/approval", {"digest": proposed["digest"]})
    scene.stage.say(f"生效 in force from {approved['valid_from']}, approved by {approved['decided_by']}")
    again = await reviewer.ask(
        "POST", "claims", f"{path}/approval", body={"digest": proposed["digest"]}, refusable=True
    )
    scene.checks.equal("what is in force is not decided again", again.codes, ["claims.policy-decided"])

    async def listed() -> bool:
        page = await reviewer.get("claims", "/v1/policies")
        return any(item["state"] == "in_force" and item["version"] == VERSION for item in page["items"])

    await until("the new version is in force", listed)
