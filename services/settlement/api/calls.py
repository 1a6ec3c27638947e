"""What the routes of settlement share: the router, and who calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from starlette.responses import Response

from services.settlement.use_cases.parts import Settlement, Sight, sight_of
from shared.auth import NOT_YOUR_AREA, Role
from shared.database import Connection
from shared.http.call import Allow, Call
from shared.http.idempotency import Answer, once
from shared.http.paging import CURSOR_INVALID, PageQuery
from shared.http.routing import ServiceRouter, respond_with
from shared.refusals import Refused

router = ServiceRouter()

FacilityCall = Annotated[Call[Settlement], Allow(Role.FACILITY)]
StatingCall = Annotated[Call[Settlement], Allow(Role.FACILITY, Role.OFFICER, Role.PARTNER)]
SubmittingCall = Annotated[Call[Settlement], Allow(Role.FACILITY, idempotent=True)]
MatchingCall = Annotated[Call[Settlement], Allow(Role.FACILITY, Role.OFFICER, Role.REVIEWER, Role.PARTNER)]
OfficerCall = Annotated[Call[Settlement], Allow(Role.OFFICER)]
ApprovingCall = Annotated[Call[Settlement], Allow(Role.OFFICER, Role.REVIEWER)]
ConfirmingCall = Annotated[Call[Settlement], Allow(Role.FACILITY, Role.FINANCE, Role.PARTNER)]
PayingCall = Annotated[Call[Settlement], Allow(Role.FACILITY, Role.FINANCE, Role.PARTNER, idempotent=True)]
ReaderCall = Annotated[Call[Settlement], Allow(Role.FACILITY, Role.OFFICER, Role.REVIEWER, Role.FINANCE, Role.PARTNER)]
ProvingCall = Annotated[Call[Settlement], Allow(Role.FINANCE, Role.OPERATOR)]

AREA = (NOT_YOUR_AREA,)


def sight(call: Call[Settlement]) -> Sight:
    """What the caller may see."""
    return sight_of(call.service.regions, call.principal)


async def once_only(
    call: Call[Settlement], work: Callable[[Connection], Awaitable[Answer]], body: str = ""
) -> Response:
    """Do what a request asks for once under its key, `body` being its body in canonical form; the answer, also when
    it was given before. Raises what it refuses, Unavailable.
    """
    return respond_with(await once(call.service.database, call.request_key(body), call.now, work))


def number_after(query: PageQuery) -> int:
    """The number a page of numbered rows begins after. Raises Refused."""
    after = query.after or "0"
    if not (after.isascii() and after.isdecimal() and len(after) < 19):
        raise Refused(CURSOR_INVALID(pointer="/query/cursor"))
    return int(after)
