"""What happened to a request whose answer got lost."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import Response

from services.settlement.api.calls import router
from services.settlement.use_cases.parts import Settlement
from shared.auth import Role
from shared.http.call import Allow, Call
from shared.http.idempotency import KEY_UNKNOWN, look_up
from shared.http.routing import respond_with

AskingCall = Annotated[Call[Settlement], Allow(Role.FACILITY, Role.FINANCE, Role.PARTNER, idempotent=True)]


@router.endpoint("GET", "/v1/requests", refusals=(KEY_UNKNOWN,), tags=["requests"], interface="2601", replays=True)
async def get_request(call: AskingCall) -> Response:
    """What happened to the request the caller's party sent under an Idempotency-Key: its answer, word for word."""
    return respond_with(await look_up(call.service.database, call.principal.party, call.idempotency_key or ""))
