"""Names and phone numbers: asked of enrollment at the moment of sending, for a whole batch, and never kept."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from shared.auth import Role
from shared.keys import TokenMaker
from shared.personal import SecretStr
from shared.refusals import Unavailable
from shared.settings import Settings

log = logging.getLogger(__name__)

_TOKEN_S: Final = 3600
_PERSON_ID: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_RENEW_S: Final = 300
"""A token is replaced so long before it ends."""


class Contact(BaseModel):
    """How to reach a person."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    person_id: str
    name: SecretStr
    phone: SecretStr | None = None


_CONTACTS: Final = TypeAdapter(list[Contact])


class Contacts:
    """Asks enrollment, as the service we are."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(base_url=settings.url("enrollment"), timeout=10, trust_env=False)
        self._maker: TokenMaker | None = None
        self._token, self._renew_at = "", 0.0

    async def of(self, person_ids: Sequence[str]) -> dict[str, Contact]:
        """Those enrollment knows, by person. Raises Unavailable when it does not answer."""
        # A number that is none would have the whole batch refused.
        asked = [person_id for person_id in person_ids if _PERSON_ID.fullmatch(person_id)]
        if not asked:
            return {}
        try:
            answer = await self._client.post(
                "/v1/internal/contacts",
                json={"person_ids": asked},
                headers={"authorization": f"Bearer {self._fresh_token()}"},
            )
        except httpx.HTTPError as error:
            raise Unavailable("enrollment", type(error).__name__) from error
        if answer.status_code != 200:
            raise Unavailable("enrollment", f"http-{answer.status_code}")
        try:
            return {contact.person_id: contact for contact in _CONTACTS.validate_json(answer.content)}
        except ValidationError as error:
            log.error("enrollment's contacts cannot be read", extra={"fields": {"errors": error.error_count()}})
            raise Unavailable("enrollment", "unreadable answer") from None

    def _fresh_token(self) -> str:
        if time.monotonic() >= self._renew_at:
            # Only who sends needs the signing key, so it is not read before.
            self._maker = self._maker or TokenMaker(self._settings)
            self._token = self._maker.make(role=Role.SERVICE, party="notification", ttl_s=_TOKEN_S)
            self._renew_at = time.monotonic() + _TOKEN_S - _RENEW_S
        return self._token

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()
