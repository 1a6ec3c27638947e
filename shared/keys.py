"""The keys of a deployment: made once, read by every process, handed out as tokens by `make token`.

Files in the secrets folder: `signing-key.pem` (Ed25519, only whoever issues tokens needs it), `jwks.json` (its public
half), `data-keys.json` (personal data), `database-seed` (the service roles' passwords derive from it), `ledger-key`
(the chain over settlement's ledger).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from shared.personal import PersonalDataKeys
from shared.settings import Settings

SIGNING_KEY, JWKS, DATA_KEYS, DATABASE_SEED = "signing-key.pem", "jwks.json", "data-keys.json", "database-seed"
LEDGER_KEY = "ledger-key"


def init(folder: Path) -> None:
    """Make the keys that are missing; never touches one that is there. Concurrent calls agree on one set."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = Ed25519PrivateKey.generate()
    _write_once(folder / SIGNING_KEY, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _write_once(folder / JWKS, json.dumps({"keys": [_public_jwk(folder)]}, indent=1).encode())
    _write_once(folder / DATABASE_SEED, secrets.token_hex(32).encode())
    _write_once(folder / LEDGER_KEY, secrets.token_hex(32).encode())
    _write_once(folder / DATA_KEYS, json.dumps(PersonalDataKeys.generate(), indent=1).encode())


def _write_once(file: Path, content: bytes) -> None:
    if file.exists():
        return
    partial = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    partial.write_bytes(content)
    partial.chmod(0o600)
    try:
        os.link(partial, file)  # fails when somebody was faster: theirs counts
    except FileExistsError:
        return
    finally:
        partial.unlink()


def _signing_key(folder: Path) -> Ed25519PrivateKey:
    key = load_pem_private_key((folder / SIGNING_KEY).read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{SIGNING_KEY} is not an Ed25519 key")
    return key


def _public_jwk(folder: Path) -> dict[str, str]:
    raw = _signing_key(folder).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    kid = hashlib.sha256(raw).hexdigest()[:16]
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x}


def database_password(settings: Settings, service: str) -> str:
    """The password of a service's database role, derived from the deployment's seed."""
    seed = (settings.secrets_dir / DATABASE_SEED).read_bytes().strip()
    return hmac.new(seed, f"sifang_{service}".encode(), hashlib.sha256).hexdigest()


def ledger_key(settings: Settings) -> bytes:
    """The secret under which settlement's ledger is chained: 32 bytes, written as 64 hexadecimal digits."""
    return bytes.fromhex((settings.secrets_dir / LEDGER_KEY).read_text().strip())


class TokenMaker:
    """Signs tokens with the deployment's own key. Reads the key once."""

    def __init__(self, settings: Settings) -> None:
        self._key = _signing_key(settings.secrets_dir)
        self._kid = _public_jwk(settings.secrets_dir)["kid"]
        self._settings = settings

    def make(self, *, role: str, party: str, subject: str | None = None, ttl_s: int = 8 * 3600) -> str:
        """A token for `role` at `party`; `subject` names the person or system, by default after both."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self._settings.token_issuer,
            "aud": self._settings.token_audience,
            "sub": subject or f"{role}@{party}",
            "role": role,
            "party": party,
            "iat": now,
            "exp": now + ttl_s,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._kid})


def main(arguments: list[str]) -> None:
    """`init DIR` makes missing keys; `token --role R --party P` prints a token."""
    parser = argparse.ArgumentParser(prog="python -m shared.keys", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("folder", type=Path)
    token = commands.add_parser("token")
    token.add_argument("--role", required=True)
    token.add_argument("--party", required=True)
    # A person is one, whatever role it acts in: two roles of one person are not two pairs of eyes.
    token.add_argument("--subject", help="the person; by default the same for every role of a party")
    token.add_argument("--ttl-s", type=int, default=8 * 3600)
    args = parser.parse_args(arguments)
    if args.command == "init":
        init(args.folder)
    else:
        maker = TokenMaker(Settings())
        subject = args.subject or f"person@{args.party}"
        print(maker.make(role=args.role, party=args.party, subject=subject, ttl_s=args.ttl_s))


if __name__ == "__main__":
    main(sys.argv[1:])
