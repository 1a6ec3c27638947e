"""Bank accounts of parties, and what the bank's answers left open."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, router, sight
from services.settlement.schemas.items import ItemNo
from services.settlement.schemas.orders import (
    AccountBody,
    AccountDecisionBody,
    AccountVersions,
    AccountView,
    BankItemQuery,
    BankItemView,
    ExplanationBody,
)
from services.settlement.store import bank_accounts as account_store
from services.settlement.store import banking as store
from services.settlement.use_cases import bank_accounts, bank_items
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA, Role
from shared.http.call import Allow, Call
from shared.http.paging import CURSOR_INVALID, PageView, page
from shared.http.routing import respond
from shared.http.types import Code
from shared.refusals import Refused

TAGS = ["bank"]
KeepingCall = Annotated[Call[Settlement], Allow(Role.FINANCE)]
WatchingCall = Annotated[Call[Settlement], Allow(Role.FINANCE, Role.OPERATOR)]


@router.endpoint(
    "POST",
    "/v1/bank-accounts/{party}/versions",
    status=201,
    view=AccountView,
    refusals=(
        *AREA,
        errors.PARTY_UNKNOWN,
        errors.ACCOUNT_INVALID,
        errors.BANK_CODE_INVALID,
        errors.ACCOUNT_TAKEN,
        errors.ACCOUNT_WAITS,
    ),
    tags=TAGS,
)
async def propose_bank_account(call: KeepingCall, party: Code, body: AccountBody) -> Response:
    """Propose the bank account of the own agency, or of a facility in its region."""
    opening = (body.opening_on, body.opening_fen)
    found = await bank_accounts.propose(call.service, call.principal, party, body.creditor, opening, call.now)
    return respond(AccountView.of(found), 201)


DECIDING = (*AREA, errors.ACCOUNT_UNKNOWN, errors.ACCOUNT_CHANGED, errors.SAME_PERSON)


@router.endpoint(
    "POST",
    "/v1/bank-accounts/{party}/approval",
    view=AccountView,
    refusals=(*DECIDING, errors.ACCOUNT_TAKEN),
    tags=TAGS,
)
async def approve_bank_account(call: KeepingCall, party: Code, body: AccountDecisionBody) -> Response:
    """Another person of the agency puts the account in force: from now on money comes from there, or goes there."""
    return await _decide(call, party, body, approved=True)


@router.endpoint("POST", "/v1/bank-accounts/{party}/refusal", view=AccountView, refusals=DECIDING, tags=TAGS)
async def decline_bank_account(call: KeepingCall, party: Code, body: AccountDecisionBody) -> Response:
    """Another person of the agency turns the account down."""
    return await _decide(call, party, body, approved=False)


async def _decide(call: Call[Settlement], party: str, body: AccountDecisionBody, *, approved: bool) -> Response:
    decided = await bank_accounts.decide(
        call.service, call.principal, party, body.version_no, call.now, approved=approved
    )
    return respond(AccountView.of(decided))


@router.endpoint(
    "GET",
    "/v1/bank-accounts/{party}",
    view=AccountVersions,
    refusals=(*AREA, errors.ACCOUNT_UNKNOWN),
    tags=TAGS,
)
async def get_bank_account(call: KeepingCall, party: Code) -> Response:
    """All versions of a party's account, masked."""
    async with call.service.database.read() as reader:
        rows = await account_store.accounts_of(reader, party)
    if not rows:
        raise Refused(errors.ACCOUNT_UNKNOWN())
    if rows[-1].region not in sight(call).areas:
        raise Refused(NOT_YOUR_AREA(party=party))
    bank = call.service.bank
    return respond(AccountVersions(items=[AccountView.of(bank_accounts.masked(bank, row)) for row in rows]))


@router.endpoint("GET", "/v1/bank-items", view=PageView[BankItemView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_bank_items(call: WatchingCall, query: BankItemQuery) -> Response:
    """What about the bank somebody has to look into; operations staff see files that could not be read."""
    after = query.after or "0"
    if not (after.isascii() and after.isdecimal() and len(after) < 19):
        raise Refused(CURSOR_INVALID(pointer="/query/cursor"))
    parties = bank_items.parties_of(call.service, call.principal)
    async with call.service.database.read() as reader:
        rows = await store.items(
            reader, parties, is_open=query.open, kind=query.kind, after=int(after), limit=query.limit + 1
        )
    return respond(page(rows, query, lambda row: str(row.item_no), BankItemView.of))


@router.endpoint(
    "POST",
    "/v1/bank-items/{item_no}/explanation",
    view=BankItemView,
    refusals=(*AREA, errors.BANK_ITEM_UNKNOWN, errors.BANK_ITEM_CLOSED, errors.BANK_ITEM_ON_SUSPENSE),
    tags=TAGS,
)
async def explain_bank_item(call: WatchingCall, item_no: ItemNo, body: ExplanationBody) -> Response:
    """Close an item with a word on what it was; the books do not change by it. Money on suspense is identified."""
    found = await bank_items.explain(call.service, call.principal, item_no, body.note, call.now)
    return respond(BankItemView.of(found))
