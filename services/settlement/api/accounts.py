"""A month of a party's book: its account statement, and its export in the forms other programs take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from services.settlement import errors
from services.settlement.api.books import check_book
from services.settlement.api.calls import AREA, ReaderCall, router
from services.settlement.schemas.accounts import AccountStatementView, ExportForm
from services.settlement.store import accounts as store
from services.settlement.use_cases.archive_bounds import refuse_archived_period
from services.settlement.use_cases.exports import MEDIA_TYPES, Export, export
from shared.http.routing import respond
from shared.http.types import Code, Month

TAGS = ["books"]

CHUNK_BYTES = 64 * 1024


@router.endpoint(
    "GET",
    "/v1/books/{party}/account-statements/{period}",
    view=AccountStatementView,
    refusals=(*AREA, errors.PARTY_UNKNOWN, errors.BOOKS_ARCHIVED),
    tags=TAGS,
)
async def get_account_statement(call: ReaderCall, party: Code, period: Month) -> Response:
    """The account statement of a party's month: every account with its opening, its movements and its closing."""
    async with call.service.database.read() as reader:
        await check_book(reader, call, party)
        rows = await store.accounts_of_month(reader, party, period)
        await refuse_archived_period(reader, period)
    return respond(AccountStatementView.of(party, period, rows))


@router.endpoint(
    "GET",
    "/v1/books/{party}/exports/{period}.{form}",
    refusals=(*AREA, errors.PARTY_UNKNOWN, errors.EXPORT_TOO_LARGE, errors.BOOKS_ARCHIVED),
    tags=TAGS,
    files=tuple(MEDIA_TYPES.values()),
)
async def export_book(call: ReaderCall, party: Code, period: Month, form: ExportForm) -> Response:
    """A month of a party's book as a file: beancount, csv, parquet, or xlsx as agencies print their statements."""
    async with call.service.database.read() as reader:
        await check_book(reader, call, party)
    made = await export(call.service, party, period, form.value)
    headers = {
        "Content-Disposition": f'attachment; filename="{party}-{period}.{form}"',
        "Content-Length": str(made.size_bytes),
    }
    return StreamingResponse(_chunks(made), 200, headers, MEDIA_TYPES[form.value])


async def _chunks(made: Export) -> AsyncIterator[bytes]:
    file: BinaryIO = made.file
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
