"""The route of the bulk import."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import Message
from typing import Annotated

from starlette.requests import Request
from starlette.responses import Response

from services.enrollment import errors
from services.enrollment.schemas.imports import EXAMPLE, ImportView, read_csv
from services.enrollment.use_cases.imports import import_people as import_lines
from services.enrollment.use_cases.parts import Enrollment
from shared.auth import Role
from shared.http.call import Allow, Call
from shared.http.problems import TOO_LARGE
from shared.http.routing import ServiceRouter, respond
from shared.http.uploads import streamed
from shared.refusals import Refused
from shared.settings import Settings

router = ServiceRouter()

OfficerCall = Annotated[Call[Enrollment], Allow(Role.OFFICER)]

CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", **dict.fromkeys(("gb18030", "gbk", "gb2312"), "gb18030")}
"""Charsets a caller may name, and how they are read: GB18030 holds the older two."""


@router.endpoint(
    "POST",
    "/v1/imports",
    view=ImportView,
    refusals=(errors.IMPORT_NOT_CSV, errors.IMPORT_HEADER, TOO_LARGE),
    tags=["imports"],
    request_body={"required": True, "content": {"text/csv": {"schema": {"type": "string"}, "example": EXAMPLE}}},
)
async def import_people(call: OfficerCall, request: Request) -> Response:
    """Import persons and their insurance from CSV: refused lines are named, accepted ones may be sent again."""
    charset = _charset(request)
    lines = read_csv(_bounded(request), charset, call.service.settings.import_chunk_lines)
    report = await import_lines(call.service, call.principal, lines, call.now)
    return respond(ImportView.of(report, call.language))


def _charset(request: Request) -> str | None:
    """The charset the caller names, None when it is to be found out. Raises Refused."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    named = header.get_content_charset()
    if header.get_content_type() != "text/csv" or (named is not None and named not in CHARSETS):
        raise Refused(errors.IMPORT_NOT_CSV())
    return None if named is None else CHARSETS[named]


def _bounded(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises Refused once it is too large, at once when that is declared."""
    settings: Settings = request.app.state.edge.settings
    return streamed(request, settings.http_import_max_bytes)
