"""Tokens that must not open anything: expired, foreign, unsigned, `alg: none`, signed with a public key, malformed."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.keys import JWKS, SIGNING_KEY
from shared.settings import Settings
from tests.conftest import MakeClient
from tests.services.claims.seeds import Json

PATH = "/v1/settlements?period=2026-10"


def claims(**changed: Any) -> Json:
    """What a facility's token says, but for what is changed; None takes a claim away."""
    now = int(time.time())
    standard = {
        "iss": "sifang",
        "aud": "sifang",
        "sub": "his",
        "role": "facility",
        "party": "H41160300001",
        "iat": now,
        "exp": now + 600,
    }
    return {name: value for name, value in {**standard, **changed}.items() if value is not None}


class Forge:
    """Makes tokens of every kind with what an attacker has, and some with the deployment's own key."""

    def __init__(self, settings: Settings) -> None:
        self.private = load_pem_private_key((settings.secrets_dir / SIGNING_KEY).read_bytes(), None)
        self.jwk = json.loads((settings.secrets_dir / JWKS).read_text())["keys"][0]
        self.public = base64.urlsafe_b64decode(self.jwk["x"] + "=")

    def own(self, *, headers: Json | None = None, **changed: Any) -> str:
        """Signed by the deployment's key."""
        return jwt.encode(claims(**changed), self.private, "EdDSA", {"kid": self.jwk["kid"], **(headers or {})})  # type: ignore[arg-type]

    def foreign(self) -> str:
        """Signed by another key that names ours."""
        return jwt.encode(claims(), Ed25519PrivateKey.generate(), "EdDSA", {"kid": self.jwk["kid"]})

    def foreign_rsa(self) -> str:
        """Signed by a key of another kind that names ours."""
        return jwt.encode(claims(), generate_private_key(65_537, 2_048), "RS256", {"kid": self.jwk["kid"]})

    def plain(self, header: Json, signature: bytes = b"") -> str:
        """Put together by hand."""
        parts = [json.dumps(header).encode(), json.dumps(claims()).encode(), signature]
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)

    def hs256(self, secret: bytes) -> str:
        """Signed with a shared secret: the public key, which everybody has."""
        return jwt.encode(claims(), secret, "HS256", {"kid": self.jwk["kid"]})


@pytest.fixture(scope="module")
def forge(settings: Settings) -> Forge:
    return Forge(settings)


async def status(client: MakeClient, token: str) -> tuple[int, str]:
    answer = await client("claims").get(PATH, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json().get("code", "")


async def test_a_token_in_order_opens(client: MakeClient, forge: Forge) -> None:
    """Without this the refusals below could have any other reason."""
    assert (await status(client, forge.own()))[0] == 200


FORGED: dict[str, Callable[[Forge], str]] = {
    "expired": lambda f: f.own(exp=int(time.time()) - 60),
    "expired long ago": lambda f: f.own(exp=1),
    "not yet issued": lambda f: f.own(iat=int(time.time()) + 3_600),
    "not yet valid": lambda f: f.own(nbf=int(time.time()) + 3_600),
    "never expires": lambda f: f.own(exp=None),
    "expires in words": lambda f: f.own(exp="tomorrow"),
    "foreign key": Forge.foreign,
    "foreign kind of key": Forge.foreign_rsa,
    "unknown key id": lambda f: f.own(headers={"kid": "other"}),
    "key id of a file": lambda f: f.own(headers={"kid": "../../dev/null"}),
    "brings its own key": lambda f: jwt.encode(
        claims(), Ed25519PrivateKey.generate(), "EdDSA", {"kid": "mine", "jwk": f.jwk, "jku": "http://127.0.0.1:9/jwks"}
    ),
    "alg none": lambda f: f.plain({"alg": "none", "typ": "JWT"}),
    "alg none with our key id": lambda f: f.plain({"alg": "none", "kid": f.jwk["kid"]}),
    "alg None": lambda f: f.plain({"alg": "None", "kid": f.jwk["kid"]}),
    "alg nOnE with a signature": lambda f: f.plain({"alg": "nOnE", "kid": f.jwk["kid"]}, b"x" * 64),
    "unsigned": lambda f: f.own().rpartition(".")[0] + ".",
    "without its last part": lambda f: f.own().rpartition(".")[0],
    "signature of another": lambda f: f.own().rpartition(".")[0] + "." + f.own(sub="x").rpartition(".")[2],
    "claims exchanged": lambda f: _exchanged(f),
    "HS256 with the public key": lambda f: f.hs256(f.public),
    "HS256 with the key as published": lambda f: f.hs256(f.jwk["x"].encode()),
    "HS256 with nothing": lambda f: f.plain({"alg": "HS256", "kid": f.jwk["kid"]}),
    "another issuer": lambda f: f.own(iss="elsewhere"),
    "another audience": lambda f: f.own(aud="elsewhere"),
    "nobody's": lambda f: f.own(sub=None),
    "empty subject": lambda f: f.own(sub=""),
    "no role": lambda f: f.own(role=None),
    "a role nobody has": lambda f: f.own(role="admin"),
    "roles in a list": lambda f: f.own(role=["facility"]),
    "no party": lambda f: f.own(party=None),
    "party as a number": lambda f: f.own(party=41160300001),
    "over-long party": lambda f: f.own(party="H" * 41),
    "party in other letters": lambda f: f.own(party="Ｈ１"),
    "party with NUL": lambda f: f.own(party="H\x00"),
    "party with blanks": lambda f: f.own(party="H1 OR 1"),
    "words": lambda _: "token",
    "dots": lambda _: "...",
    "encrypted": lambda _: "a.b.c.d.e",
    "huge": lambda _: "a" * 20_000,
}


def _exchanged(forge: Forge) -> str:
    head, _, signature = forge.own().split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(role="finance")).encode()).rstrip(b"=").decode()
    return f"{head}.{other}.{signature}"


@pytest.mark.parametrize("name", FORGED)
async def test_forged_tokens_open_nothing(client: MakeClient, forge: Forge, name: str) -> None:
    assert await status(client, FORGED[name](forge)) == (401, "auth.token-invalid")


@pytest.mark.parametrize("header", ["", "Bearer", "Basic dXNlcjpwYXNz", "Token abc"])
async def test_headers_without_a_token(client: MakeClient, header: str) -> None:
    answer = await client("claims").get(PATH, headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.token-missing")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_ends_while_it_is_in_use(client: MakeClient, forge: Forge) -> None:
    """Verified tokens are remembered, but not beyond their time (five seconds of which are forgiven)."""
    token = forge.own(exp=int(time.time()) - 3)
    assert (await status(client, token))[0] == 200
    await asyncio.sleep(3)
    assert await status(client, token) == (401, "auth.token-invalid")


async def test_a_refusal_does_not_show_the_token(client: MakeClient, forge: Forge) -> None:
    token = forge.own(exp=1)
    answer = await client("claims").get(PATH, headers={"Authorization": f"Bearer {token}"})
    assert token not in answer.text
    assert token.split(".")[1] not in answer.text
