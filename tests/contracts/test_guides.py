"""The guides, followed to the letter: every example runs against the real services, every answer is the one shown."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from types import ModuleType

import pytest

from deploy.local.cluster import Cluster
from deploy.local.services import port_variable
from services.notification.rules.signature import sign
from shared import keys
from shared.auth import Role, Verifier
from shared.events import EVENTS, topic_of
from shared.events.designation import FacilityChanged
from shared.keys import DATA_KEYS, TokenMaker
from shared.personal import PersonalDataKeys
from shared.refusals import Refused
from shared.settings import Settings
from tests.conftest import MakeClient, MakeToken
from tests.contracts.documents import ROOT, examples, is_as_shown, run, steps, surroundings

GUIDE = (ROOT / "docs" / "his-guide.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
README_ZH = (ROOT / "README.zh.md").read_text("utf-8")
PARTNERS = (ROOT / "docs" / "partners.md").read_text("utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")


@pytest.fixture
def readers_shell(services: Cluster) -> Iterator[dict[str, str]]:
    """The surroundings the guide asks for: a cluster in which a month may be stated before it is over."""
    name = services.start_another(
        "settlement", {"SIFANG_SETTLEMENT_STATEMENT_BEFORE_MONTH_END": "true", "SIFANG_PARTS": "api"}
    )
    variable = port_variable("settlement")
    port = services.process(name).program.environment[variable]
    yield surroundings({**services.environment, variable: port})
    services.stop_part(name)


def test_the_guide_for_hospitals(readers_shell: dict[str, str]) -> None:
    wrong = run(steps(GUIDE, "bash his-guide"), readers_shell, timeout_s=150)
    assert not wrong, "\n\n".join(wrong)


def test_another_answer_than_shown_is_noticed() -> None:
    """So is a step that fails, and one after which nothing runs."""
    right, other, failing = (
        steps(f"```bash g\n{command}\n```\n\n```text\n201\n…\n```\n", "bash g")
        for command in ("echo 201; echo done", "echo 409; echo done", "echo 201; false")
    )
    environment = surroundings({})
    assert run(right, environment, 10) == []
    assert "instead of\n201" in run(other, environment, 10)[0]
    assert "ended with 1" in run([*failing, *right], environment, 10)[-1]


@pytest.mark.parametrize(
    ("answer", "expected", "same"),
    [
        ('{"a": 1, "b": 2}', '{"a": 1, …}', True),
        ('{"a": 1, "b": 2}', '{…"b": 2}', True),
        ('{"a": 1, "b": 2}', '{"a": 1}', False),
        ('{"a": 1, "b": 2}', '{"a": 3, …}', False),
        ("201\n{}", "200\n…", False),
    ],
)
def test_what_stands_for_anything(answer: str, expected: str, same: bool) -> None:
    assert is_as_shown(answer, expected) is same


def test_first_call_of_the_readme(services: Cluster) -> None:
    here = README.replace("http://127.0.0.1:8104", services.url("designation"))
    wrong = run(steps(here, "bash readme"), surroundings(services.environment), timeout_s=60)
    assert not wrong, "\n\n".join(wrong)


def test_both_readmes_say_the_same_to_type() -> None:
    assert steps(README_ZH, "bash readme") == steps(README, "bash readme") != []
    typed, typed_zh = (
        [re.findall(r"^make \S+", body, re.MULTILINE) for body in examples(t, "")] for t in (README, README_ZH)
    )
    assert typed == typed_zh != []


def loaded(code: str, folder: Path) -> ModuleType:
    """An example as the module its reader makes of it."""
    file = folder / "example.py"
    file.write_text(code, "utf-8")
    spec = importlib.util.spec_from_file_location("example", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_partner_recognises_our_signature(tmp_path: Path) -> None:
    """And refuses another secret, a changed body, an old delivery, and whatever is no signature."""
    example = loaded(examples(PARTNERS, "python partners")[0], tmp_path)
    now, body = int(time.time()), '{"subject":"淮阳"}'.encode()
    signature = sign("whsec_a", now, body)
    assert example.is_ours("whsec_a", signature, body)
    assert not example.is_ours("whsec_b", signature, body)
    assert not example.is_ours("whsec_a", signature, body + b" ")
    assert not example.is_ours("whsec_a", sign("whsec_a", now - 600, body), body)
    assert not any(example.is_ours("whsec_a", text, body) for text in ("", "t=", "v1=ab", f"t={now},v1=", "t=x,v1=y"))


async def test_a_partner_reads_the_topics(
    services: Cluster, client: MakeClient, token: MakeToken, tmp_path: Path
) -> None:
    code = "H41160300412"
    facility = {"code": code, "name": "淮阳示范药店", "kind": "pharmacy", "level": "9", "region": "411603"}
    registered = await client("designation", token("officer", "411603")).post("/v1/facilities", json=facility)
    assert registered.status_code == 201, registered.text

    example = loaded(examples(PARTNERS, "python partners")[1], tmp_path)
    bootstrap = services.environment["SIFANG_KAFKA_BOOTSTRAP"]
    found = None
    async with asyncio.timeout(30), aclosing(example.events(bootstrap, "guide", [topic_of("designation")])) as events:
        async for _, type_name, data in events:
            event = EVENTS[type_name].model_validate(data)
            if isinstance(event, FacilityChanged) and event.facility_code == code:
                found = event
                break
    assert found is not None
    assert (found.name, found.kind, found.level) == ("淮阳示范药店", "pharmacy", "9")


def rotated(example: str, secrets: Path, following: Path) -> None:
    """Run an example of the operations guide on a secrets folder."""
    environment = {**os.environ, "SIFANG_SECRETS_DIR": str(secrets), "NEXT": str(following)}
    subprocess.run([sys.executable, "-c", example], env=environment, check=True)


async def test_rotating_the_signing_key(tmp_path: Path) -> None:
    """After the step both keys are known; before it the new one is not, and without the old one its tokens are not."""
    old, new = (Settings(secrets_dir=tmp_path / name) for name in ("old", "new"))
    for settings in (old, new):
        keys.init(settings.secrets_dir)
    tokens = [f"Bearer {TokenMaker(settings).make(role='officer', party='411603')}" for settings in (old, new)]
    verifier = Verifier(old)

    async def accepted() -> list[bool]:
        await verifier.load()
        return [is_let_in(verifier, token) for token in tokens]

    assert await accepted() == [True, False]
    rotated(examples(OPERATIONS, "python operations")[0], old.secrets_dir, new.secrets_dir)
    assert await accepted() == [True, True]
    published = old.secrets_dir / keys.JWKS
    published.write_text(json.dumps({"keys": json.loads(published.read_text())["keys"][1:]}))
    assert await accepted() == [False, True]


def is_let_in(verifier: Verifier, authorization: str) -> bool:
    """Whether a token is accepted."""
    try:
        return verifier.verify(authorization).role is Role.OFFICER
    except Refused:
        return False


def test_rotating_the_data_keys(tmp_path: Path) -> None:
    """What was encrypted under the old key can still be read and is known to be old; new text is under the new one."""
    keys.init(tmp_path)
    before = PersonalDataKeys.from_json((tmp_path / DATA_KEYS).read_bytes())
    sealed = before.encrypt("李小兰", context="enrollment.person.name")
    assert not before.needs_rotation(sealed)

    rotated(examples(OPERATIONS, "python operations")[1], tmp_path, tmp_path)
    after = PersonalDataKeys.from_json((tmp_path / DATA_KEYS).read_bytes())
    assert after.decrypt(sealed, context="enrollment.person.name") == "李小兰"
    assert after.needs_rotation(sealed)
    assert not after.needs_rotation(after.encrypt("李小兰", context="enrollment.person.name"))
    assert after.lookup_hash("411628196203170004") == before.lookup_hash("411628196203170004")
