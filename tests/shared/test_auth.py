"""Tokens: only ours, only signed, only in time, only with a role and a party."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from shared import keys
from shared.auth import Principal, Role, Verifier, check_area
from shared.refusals import Refused
from shared.regions import RegionTree
from shared.settings import Settings


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    """Settings of a deployment with keys of its own."""
    keys.init(tmp_path)
    return Settings(secrets_dir=tmp_path)


@pytest.fixture
async def verifier(own: Settings) -> Verifier:
    made = Verifier(own)
    await made.load()
    return made


def signed(settings: Settings, algorithm: str = "EdDSA", **changes: Any) -> str:
    """A token like ours, with some claims changed; None takes one away."""
    now = int(time.time())
    claims = {
        "iss": "sifang",
        "aud": "sifang",
        "sub": "s",
        "role": "officer",
        "party": "411603",
        "iat": now,
        "exp": now + 60,
    }
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    key = load_pem_private_key((settings.secrets_dir / keys.SIGNING_KEY).read_bytes(), None)
    kid = json.loads((settings.secrets_dir / keys.JWKS).read_text())["keys"][0]["kid"]
    return jwt.encode(claims, key, algorithm, headers={"kid": kid})  # type: ignore[arg-type]


def refused(verifier: Verifier, authorization: str | None) -> str:
    with pytest.raises(Refused) as caught:
        verifier.verify(authorization)
    assert caught.value.status == 401
    return caught.value.refusals[0].code


def test_our_token_names_role_and_party(verifier: Verifier, own: Settings) -> None:
    token = keys.TokenMaker(own).make(role="officer", party="411603", subject="o1")
    for _ in range(2):  # the second time from memory
        assert verifier.verify(f"Bearer {token}") == Principal("o1", Role.OFFICER, "411603")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc"])
def test_no_token(verifier: Verifier, header: str | None) -> None:
    assert refused(verifier, header) == "auth.token-missing"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"iss": "other"},
        {"aud": "other"},
        {"sub": None},
        {"role": "king"},
        {"role": None},
        {"party": None},
        {"party": ""},
        {"party": "x" * 41},
        {"party": 411603},
        {"iat": None},
    ],
)
def test_claims_that_will_not_do(verifier: Verifier, own: Settings, changes: dict[str, Any]) -> None:
    assert refused(verifier, f"Bearer {signed(own, **changes)}") == "auth.token-invalid"


def test_unsigned_and_foreign_tokens(
    verifier: Verifier, own: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    header, payload, _ = signed(own).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    assert refused(verifier, f"Bearer {none}.{payload}.") == "auth.token-invalid"
    assert refused(verifier, f"Bearer {header}.{payload}.") == "auth.token-invalid"
    other = tmp_path_factory.mktemp("other")
    keys.init(other)
    assert refused(verifier, f"Bearer {signed(Settings(secrets_dir=other))}") == "auth.token-invalid"


def test_a_public_key_is_no_shared_secret(verifier: Verifier, own: Settings) -> None:
    """The classic confusion: HS256 with the public key as the secret."""
    private = load_pem_private_key((own.secrets_dir / keys.SIGNING_KEY).read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    now = int(time.time())
    claims = {
        "iss": "sifang",
        "aud": "sifang",
        "sub": "s",
        "role": "officer",
        "party": "1",
        "iat": now,
        "exp": now + 60,
    }
    kid = json.loads((own.secrets_dir / keys.JWKS).read_text())["keys"][0]["kid"]
    assert refused(verifier, f"Bearer {jwt.encode(claims, raw, 'HS256', headers={'kid': kid})}") == "auth.token-invalid"


def test_memory_does_not_outlive_the_token(verifier: Verifier, own: Settings) -> None:
    """Checked just inside the leeway and again just outside. Fails if memory ignores `exp`."""
    token = f"Bearer {signed(own, exp=int(time.time()) - 4)}"
    verifier.verify(token)
    time.sleep(2.5)
    assert refused(verifier, token) == "auth.token-invalid"


async def test_a_new_key_set_is_read_without_a_restart(own: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    verifier = Verifier(own)
    await verifier.load()
    other = tmp_path_factory.mktemp("rotated")
    keys.init(other)
    token = f"Bearer {keys.TokenMaker(Settings(secrets_dir=other)).make(role='officer', party='411603')}"
    assert refused(verifier, token) == "auth.token-invalid"
    both = [json.loads((folder / keys.JWKS).read_text())["keys"][0] for folder in (own.secrets_dir, other)]
    (own.secrets_dir / keys.JWKS).write_text(json.dumps({"keys": both}))
    await verifier.load()
    assert verifier.verify(token).party == "411603"


@pytest.mark.parametrize(
    ("party", "region", "inside"),
    [
        ("411600", "411603", True),
        ("411603", "411603", True),
        ("411603", "411600", False),
        ("411603", "411628", False),
        ("999999", "411603", False),
        ("411600", "999999", False),
    ],
)
def test_an_agency_acts_for_itself_and_below(party: str, region: str, inside: bool) -> None:
    principal = Principal("s", Role.OFFICER, party)
    if inside:
        check_area(RegionTree.load(), principal, region)
    else:
        with pytest.raises(Refused):
            check_area(RegionTree.load(), principal, region)


def test_keys_are_made_once(tmp_path: Path) -> None:
    keys.init(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    keys.init(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.iterdir())


@pytest.mark.parametrize(
    "typed", ["Li.Wei", "li.wei", " li.wei ", "LI.WEI", "ｌｉ.ｗｅｉ", "Li.Wei\u3000"], ids=lambda typed: repr(typed)
)
def test_one_person_is_one_however_the_name_is_typed(own: Settings, verifier: Verifier, typed: str) -> None:
    if not typed.isprintable():
        assert refused(verifier, f"Bearer {signed(own, sub=typed)}") == "auth.token-invalid"
    else:
        assert verifier.verify(f"Bearer {signed(own, sub=typed)}").subject == "li.wei"


@pytest.mark.parametrize("typed", ["", " ", "　", "li\u200bwei", "x" * 101])
def test_a_name_that_names_nobody_is_refused(own: Settings, verifier: Verifier, typed: str) -> None:
    assert refused(verifier, f"Bearer {signed(own, sub=typed)}") == "auth.token-invalid"


def test_two_roles_of_one_person_are_one_person(
    own: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokens that `make token` prints without naming anybody."""
    monkeypatch.setenv("SIFANG_SECRETS_DIR", str(own.secrets_dir))
    subjects = set()
    for role in ("officer", "reviewer", "finance"):
        keys.main(["token", "--role", role, "--party", "411603"])
        token = capsys.readouterr().out.strip()
        subjects.add(jwt.decode(token, options={"verify_signature": False})["sub"])
    assert len(subjects) == 1
