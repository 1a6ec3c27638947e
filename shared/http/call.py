"""Who may call an endpoint, and what an endpoint learns of its caller."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from starlette.requests import Request

from shared.auth import ROLE_NOT_ALLOWED, Principal, Role
from shared.http.idempotency import KEY_MISSING, RequestKey, request_hash
from shared.refusals import Refused
from shared.telemetry import current_traceparent

S = TypeVar("S")

_KEY = re.compile(r"[\x21-\x7e]{8,64}")


@dataclass(frozen=True, slots=True)
class Call(Generic[S]):
    """One authorised request. `service` holds the parts the use cases need."""

    service: S
    principal: Principal
    now: datetime
    language: str
    operation: str
    idempotency_key: str | None

    def request_key(self, body: str = "") -> RequestKey:
        """The idempotency key of this request with its body in canonical form. Raises Refused when it carries none."""
        if self.idempotency_key is None:
            raise Refused(KEY_MISSING())
        return RequestKey(self.principal.party, self.idempotency_key, request_hash(self.operation, body))

    @property
    def traceparent(self) -> str | None:
        """The trace this request belongs to, to be stored with what it announces."""
        return current_traceparent()


class Allow:
    """Declares who may call an endpoint, and whether it moves money and so needs an Idempotency-Key."""

    def __init__(self, *roles: Role, idempotent: bool = False) -> None:
        if not roles:
            raise ValueError("an endpoint must name the roles it lets in")
        self.roles = frozenset(roles)
        self.idempotent = idempotent

    def check(self, principal: Principal) -> None:
        """Raises Refused with 403 when the role is not let in."""
        if principal.role not in self.roles:
            raise Refused(ROLE_NOT_ALLOWED(role=principal.role))

    def key_of(self, request: Request) -> str | None:
        """The request's Idempotency-Key. Raises Refused when it is needed and absent, or malformed."""
        key = request.headers.get("idempotency-key")
        if key is None and not self.idempotent:
            return None
        if key is None or not _KEY.fullmatch(key):
            raise Refused(KEY_MISSING())
        return key
