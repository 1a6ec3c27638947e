"""Files of a statement's lines: sent, looked at, their errors; mappings of their columns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message

from starlette.requests import Request
from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ReaderCall, StatingCall, router
from services.settlement.api.statements import visible
from services.settlement.config import SettlementSettings
from services.settlement.rules.mappings import Mapping
from services.settlement.schemas.archives import unpacked
from services.settlement.schemas.files import (
    EXAMPLES,
    FileQuery,
    FileView,
    Form,
    Reading,
    Sha256,
    read_file,
    report_csv,
)
from services.settlement.schemas.mappings import MappingBody, MappingView, TrialBody, TrialView, try_mapping
from services.settlement.store import files as store
from services.settlement.store.files import File
from services.settlement.use_cases import files as use_cases
from services.settlement.use_cases.files import Chunk, Chunks, Delivery, Sent
from services.settlement.use_cases.parts import Settlement
from shared.auth import Role
from shared.http.call import Call
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.problems import TOO_LARGE
from shared.http.routing import respond
from shared.http.types import Code, Id
from shared.http.uploads import streamed
from shared.refusals import Refused
from shared.settings import Settings

TAGS = ["statement files"]

_FORMS = {
    "text/csv": Form.CSV,
    "text/tab-separated-values": Form.TXT,
    "text/plain": Form.TXT,
    "application/x-ndjson": Form.JSON_LINES,
}
_ZIP = "application/zip"

_WRONG_FILES = (
    errors.FILE_ENCODING,
    errors.FILE_EMPTY,
    errors.FILE_COLUMNS_MANY,
    errors.FILE_COLUMN_UNKNOWN,
    errors.FILE_COLUMN_REPEATED,
    errors.FILE_COLUMN_MISSING,
    errors.FILE_DAMAGED,
    errors.FILE_BOMB,
    errors.FILE_MEMBERS,
    errors.FILE_MEMBER_NAME,
    errors.LINES_TOO_MANY,
    errors.LINES_DO_NOT_ADD_UP,
    errors.LINE_TOO_LONG,
    errors.LINE_ENCODING,
    errors.LINE_QUOTES,
    errors.LINE_COLUMNS,
    errors.LINE_KEYLESS,
    errors.VALUE_MISSING,
    errors.VALUE_SCIENTIFIC,
    errors.VALUE_FORMULA,
    errors.NUMBER_INVALID,
    errors.AMOUNT_INVALID,
    errors.AMOUNT_TOO_LARGE,
    errors.AMOUNT_SIGN,
    errors.REFUND_INVALID,
    errors.DATE_INVALID,
    errors.FACILITY_FOREIGN,
)
"""What may be wrong with a file, or one of its lines."""


@router.endpoint(
    "PUT",
    "/v1/statements/{statement_id}/files/{sha256}",
    view=FileView,
    refusals=(
        errors.FILE_REFUSED,
        *AREA,
        errors.STATEMENT_UNKNOWN,
        errors.STATEMENT_REPLACED,
        errors.STATEMENT_MATCHED,
        errors.LINES_EXIST,
        errors.MAPPING_UNKNOWN,
        errors.FILE_TYPE,
        errors.FILE_BEING_SENT,
        errors.FILE_HASH_DIFFERS,
        *_WRONG_FILES,
        TOO_LARGE,
    ),
    tags=TAGS,
    interface="9101 3202",
    request_body={
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", **({"format": "binary"} if kind == _ZIP else {})}, "example": example}
            for kind, example in EXAMPLES.items()
        },
    },
)
async def send_statement_file(
    call: StatingCall, statement_id: Id, sha256: Sha256, query: FileQuery, request: Request
) -> Response:
    """Send the lines of a statement as one file, streamed; after a broken connection send it again, and it goes on.

    The file is known by its SHA-256: sent twice, it gets the same answer. It is accepted as a whole or not at all.
    """
    settings: Settings = request.app.state.edge.settings
    sent = Sent(streamed(request, settings.http_import_max_bytes))
    kind = _content_type(request)
    chunks = _chunks(sent, kind, call.service.settings) if kind else None
    delivery = Delivery(statement_id, sha256, query.mapping, sent, chunks)
    return respond(FileView.of(await use_cases.receive(call.service, call.principal, delivery, call.now)))


def _content_type(request: Request) -> str | None:
    """What is sent; None when it is no kind of file that is read."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    kind = header.get_content_type()
    return kind if "content-type" in request.headers and kind in (*_FORMS, _ZIP) else None


def _chunks(sent: Sent, kind: str, settings: SettlementSettings) -> Chunks:
    """What reads the file once it is known how far it was read before."""

    @asynccontextmanager
    async def chunks(
        from_line: int, mapping: Mapping | None, facility_code: str | None
    ) -> AsyncGenerator[AsyncGenerator[Chunk, None], None]:
        def lines(form: Form, content: AsyncIterator[bytes]) -> AsyncGenerator[Chunk, None]:
            return read_file(content, Reading(form, mapping, facility_code, settings.file_chunk_lines, from_line))

        if kind == _ZIP:
            async with unpacked(sent.pieces(), settings.file_unpacked_max_bytes) as (form, content):
                yield lines(form, content)
        else:
            yield lines(_FORMS[kind], sent.pieces())

    return chunks


@router.endpoint(
    "GET",
    "/v1/statements/{statement_id}/files/{sha256}",
    view=FileView,
    refusals=(*AREA, errors.STATEMENT_UNKNOWN, errors.FILE_UNKNOWN),
    tags=TAGS,
    interface="9102",
)
async def get_statement_file(call: ReaderCall, statement_id: Id, sha256: Sha256) -> Response:
    """How far a file is: also while it is being received."""
    return respond(FileView.of(await _file(call, statement_id, sha256)))


@router.endpoint(
    "GET",
    "/v1/statements/{statement_id}/files/{sha256}/report",
    refusals=(*AREA, errors.STATEMENT_UNKNOWN, errors.FILE_UNKNOWN),
    tags=TAGS,
    files=("text/csv",),
)
async def get_statement_file_report(call: ReaderCall, statement_id: Id, sha256: Sha256) -> Response:
    """Everything that is wrong with a file by line, as a CSV: line, field, code and what it means."""
    file = await _file(call, statement_id, sha256)
    async with call.service.database.read() as reader:
        found = await store.refusals(reader, file.file_no, 2 * call.service.settings.file_refusals_max)
    headers = {"Content-Disposition": f'attachment; filename="report-{sha256[:12]}.csv"'}
    return Response(report_csv(found, call.language), headers=headers, media_type="text/csv")


async def _file(call: Call[Settlement], statement_id: str, sha256: str) -> File:
    """A file of a statement the caller may see. Raises Refused."""
    async with call.service.database.read() as reader:
        await visible(reader, call, statement_id)
        file = await store.file(reader, statement_id, sha256)
    if file is None:
        raise Refused(errors.FILE_UNKNOWN())
    return file


# Mappings


@router.endpoint(
    "PUT", "/v1/statement-mappings/{name}", view=MappingView, refusals=(errors.MAPPING_INVALID,), tags=TAGS
)
async def save_statement_mapping(call: StatingCall, name: Code, body: MappingBody) -> Response:
    """Save what the columns of the caller's own files mean; saved again it is a new version."""
    saved = await use_cases.save_mapping(call.service, call.principal, name, body.mapping, call.now)
    return respond(MappingView.of(saved))


@router.endpoint("GET", "/v1/statement-mappings", view=PageView[MappingView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_statement_mappings(call: StatingCall, query: PageQuery) -> Response:
    """The mappings the caller saved, by name."""
    async with call.service.database.read() as reader:
        rows = await store.mappings(reader, call.principal.party, query.after, query.limit + 1)
    return respond(page(rows, query, lambda m: m.name, MappingView.of))


@router.endpoint("POST", "/v1/statement-mappings/trials", view=TrialView, tags=TAGS)
async def try_statement_mapping(call: StatingCall, body: TrialBody) -> Response:
    """Try a mapping on the beginning of a file: its first lines as they are understood, and what is wrong."""
    facility_code = call.principal.party if call.principal.role is Role.FACILITY else None
    return respond(await try_mapping(body, facility_code, call.language))
