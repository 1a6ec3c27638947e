"""Encrypting personal data anew under another key, by the command that operations run."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.cluster import Cluster
from services.enrollment.use_cases.parts import Enrollment
from services.enrollment.use_cases.rotation import reseal_batch
from shared.keys import DATA_KEYS
from shared.personal import KeyDocument, PersonalDataKeys, PersonalDataUnreadable
from shared.settings import Settings
from tests.services.enrollment.conftest import Enrol, Owner
from tests.services.enrollment.people import identity_number

Rotate = Callable[[KeyDocument], int]
"""Runs the command with a key document; how many persons it encrypted anew."""

COLUMNS = ("identity_number", "name", "phone", "bank_account")


@pytest.fixture
def document(settings: Settings) -> KeyDocument:
    """The key document of the running services."""
    content: KeyDocument = json.loads((settings.secrets_dir / DATA_KEYS).read_text())
    return content


@pytest.fixture
def rotate(cluster: Cluster, settings: Settings, document: KeyDocument, tmp_path: Path) -> Iterator[Rotate]:
    """The command under other keys; afterwards everything is under the services' own key again."""
    secrets = tmp_path / "secrets"
    shutil.copytree(settings.secrets_dir, secrets)
    known = dict(document["encryption"])

    def run(keys: KeyDocument) -> int:
        known.update(keys["encryption"])
        (secrets / DATA_KEYS).write_text(json.dumps(keys))
        environment = {**cluster.environment, "SIFANG_SECRETS_DIR": str(secrets)}
        command = [sys.executable, "-m", "services.enrollment.rotate"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        last: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
        count: int = last["encrypted_anew"]
        return count

    yield run
    run({**document, "encryption": known})


async def ciphertexts(owner: Owner) -> list[str]:
    """Every ciphertext there is."""
    rows = await owner.fetch(f"SELECT {', '.join(COLUMNS)} FROM person")
    return [text for row in rows for text in row if text is not None]


async def test_every_person_comes_under_the_new_key(
    enrol: Enrol, owner: Owner, document: KeyDocument, rotate: Rotate
) -> None:
    number = identity_number()
    view = await enrol(identity_number=number, name="阿里木", phone="13511112222", bank_account=None)
    persons = await owner.fetchval("SELECT count(*) FROM person")
    rotated = PersonalDataKeys.rotated(document, "k9")

    first, second = rotate(rotated), rotate(rotated)

    assert (first, second) == (persons, 0)
    assert {text.partition(".")[0] for text in await ciphertexts(owner)} == {"k9"}
    row = await owner.fetchrow("SELECT * FROM person WHERE person_id = $1", view["person_id"])
    assert row is not None
    # The old key may go: the new one alone opens everything, and the look-up hash is as it was.
    alone = PersonalDataKeys({**rotated, "encryption": {"k9": rotated["encryption"]["k9"]}})
    opened = {name: row[name] and alone.decrypt(row[name], context=f"enrollment.person.{name}") for name in COLUMNS}
    assert opened == {"identity_number": number, "name": "阿里木", "phone": "13511112222", "bank_account": None}
    assert (row["identity_hash"], row["revision"]) == (alone.lookup_hash(number), 1)


async def test_a_lost_key_is_said_and_changes_nothing(
    parts: Enrollment, enrol: Enrol, owner: Owner, document: KeyDocument
) -> None:
    await enrol()
    before = await ciphertexts(owner)
    lost = PersonalDataKeys(
        {**PersonalDataKeys.rotated(PersonalDataKeys.generate(), "k9"), "lookup": document["lookup"]}
    )
    others = dataclasses.replace(parts, keys=lost)
    with pytest.raises(PersonalDataUnreadable):
        await reseal_batch(others, "")
    assert await ciphertexts(owner) == before
