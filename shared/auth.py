"""Who is calling: a signed JWT names the role and the party; every endpoint declares the roles it lets in.

Accepted signatures are EdDSA, ES256 and RS256 by a key of the deployment's key set; `none` and shared secrets never.
"""

from __future__ import annotations

import json
import re
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx
import jwt

from shared.keys import JWKS
from shared.refusals import Refused, Unavailable, declare
from shared.regions import RegionTree
from shared.settings import Settings

ALGORITHMS = ["EdDSA", "ES256", "RS256"]

TOKEN_MISSING = declare(
    "auth.token-missing",
    status=401,
    zh="请求缺少身份令牌（Authorization: Bearer …）。",
    en="The request carries no token (Authorization: Bearer …).",
)
TOKEN_INVALID = declare(
    "auth.token-invalid",
    status=401,
    zh="身份令牌无效：{reason}。",
    en="The token is not valid: {reason}.",
)
ROLE_NOT_ALLOWED = declare(
    "auth.role-not-allowed",
    status=403,
    zh="角色 {role} 不能进行此操作。",
    en="The role {role} may not do this.",
)
NOT_YOUR_AREA = declare(
    "auth.not-your-area",
    status=403,
    zh="{party} 不在您的管辖范围内。",
    en="{party} is outside the area you act for.",
)


class Role(StrEnum):
    """What a caller may be. The party says for whom."""

    FACILITY = "facility"
    """A facility's system (HIS). Party: the facility code."""
    OFFICER = "officer"
    """经办人员: registers, files, prepares. Party: the agency's region code."""
    REVIEWER = "reviewer"
    """复核人员: approves what an officer prepared. Party: the agency's region code."""
    FINANCE = "finance"
    """基金财务: confirms accounts, proposes and approves payments. Party: the agency's region code."""
    PARTNER = "partner"
    """A partner agency's or insurer's system. Party: its region code."""
    OPERATOR = "operator"
    """Operations staff: sees technical state only, no personal data. Party: any."""
    SERVICE = "service"
    """Another service of this deployment. Party: the service's name."""


_PARTY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
"""What names a party: a facility's code, an agency's region, a service."""

AGENCY_ROLES = frozenset({Role.OFFICER, Role.REVIEWER, Role.FINANCE})


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose token was verified."""

    subject: str
    """The person, or the system, as `person_of` writes its name: four eyes compare it."""
    role: Role
    party: str


def person_of(subject: str) -> str:
    """A person's name in the one form in which two are compared: one person is one, however the name was typed."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", subject).casefold()).strip()


def check_area(regions: RegionTree, principal: Principal, region: str) -> None:
    """An agency acts for its own region and those below it. Raises Refused."""
    if principal.party not in regions or region not in regions or not regions.covers(principal.party, region):
        raise Refused(NOT_YOUR_AREA(party=region))


class Verifier:
    """Verifies tokens against the key set; remembers verified ones, because a HIS sends the same token all day."""

    def __init__(self, settings: Settings, *, remember: int = 10_000) -> None:
        self._settings = settings
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._known: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self._remember = remember

    async def load(self) -> None:
        """Read the key set. Raises Unavailable when its address does not answer."""
        self._keys = {key.key_id or "": key for key in jwt.PyJWKSet.from_dict(await self._key_set()).keys}
        self._known.clear()

    async def _key_set(self) -> dict[str, Any]:
        if not self._settings.jwks_url:
            document: dict[str, Any] = json.loads((self._settings.secrets_dir / JWKS).read_text())
            return document
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                answer = (await client.get(self._settings.jwks_url)).raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable("key set", str(error)) from error
        published: dict[str, Any] = answer.json()
        return published

    def verify(self, authorization: str | None) -> Principal:
        """The caller behind an Authorization header. Raises Refused with 401 codes."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(TOKEN_MISSING())
        known = self._known.get(token)
        if known is not None and known[1] > time.time():
            return known[0]
        principal, expires = self._check(token.strip())
        self._known[token] = (principal, expires)
        if len(self._known) > self._remember:
            self._known.popitem(last=False)
        return principal

    def _check(self, token: str) -> tuple[Principal, float]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise jwt.InvalidAlgorithmError("algorithm not accepted")
            key = self._keys.get(str(header.get("kid")))
            if key is None:
                raise jwt.InvalidKeyError("key not known")
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._settings.token_audience,
                issuer=self._settings.token_issuer,
                options={"require": ["exp", "iat", "sub", "iss", "aud"]},
                leeway=5,
            )
            return _principal(claims), float(claims["exp"])
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Refused(TOKEN_INVALID(reason=str(error)[:100])) from error


def _principal(claims: Mapping[str, Any]) -> Principal:
    role, party, subject = claims.get("role"), claims.get("party"), claims["sub"]
    if not isinstance(party, str) or not _PARTY.fullmatch(party):
        raise ValueError("claim party is missing or malformed")
    if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(person_of(subject)) <= 100:
        raise ValueError("claim sub is malformed")
    try:
        return Principal(person_of(subject), Role(str(role)), party)
    except ValueError as error:
        raise ValueError("claim role is not known") from error
