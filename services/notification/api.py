"""Routes of notification: parse, call one use case or one read, shape the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from starlette.responses import Response

from services.notification import errors, store, use_cases
from services.notification.rules.delivery import State
from services.notification.rules.templates import Names
from services.notification.schemas import (
    InboxMessageView,
    InboxQuery,
    LanguageBody,
    LanguageView,
    MessageLogView,
    MessageQuery,
    MessageView,
    NewSubscriptionView,
    SubscriptionBody,
    SubscriptionView,
)
from services.notification.tables import Message
from services.notification.use_cases import Notification
from shared.auth import Role
from shared.http.call import Allow, Call
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import ServiceRouter, respond
from shared.http.types import Id
from shared.refusals import Refused

router = ServiceRouter()

SubscriberCall = Annotated[Call[Notification], Allow(Role.PARTNER, Role.FINANCE, Role.OFFICER)]
PartyCall = Annotated[Call[Notification], Allow(Role.FACILITY, Role.OFFICER, Role.REVIEWER, Role.FINANCE, Role.PARTNER)]
WatcherCall = Annotated[Call[Notification], Allow(Role.OPERATOR, Role.OFFICER, Role.FINANCE, Role.PARTNER)]
OperatorCall = Annotated[Call[Notification], Allow(Role.OPERATOR)]
OfficerCall = Annotated[Call[Notification], Allow(Role.OFFICER)]


@router.endpoint(
    "POST",
    "/v1/subscriptions",
    status=201,
    view=NewSubscriptionView,
    refusals=(
        errors.PARTY_NOT_AGENCY,
        errors.EVENT_TYPE_UNKNOWN,
        errors.URL_MALFORMED,
        errors.URL_NOT_HTTPS,
        errors.ADDRESS_NOT_ALLOWED,
        errors.SUBSCRIPTION_EXISTS,
        errors.SUBSCRIPTIONS_TOO_MANY,
    ),
    tags=["subscriptions"],
)
async def subscribe(call: SubscriberCall, body: SubscriptionBody) -> Response:
    """Subscribe to events that concern your region (事件订阅). The answer shows the signing secret, once.

    Each event is posted as one JSON document (CloudEvents 1.0, structured mode) at least once: `Sifang-Delivery` names
    the delivery and stays the same when it is repeated, `Sifang-Signature` signs moment and body. Answer with any 2xx
    within eight seconds; 410 ends the subscription; anything else is tried again, with growing pauses.
    """
    subscription, secret = await use_cases.subscribe(call.service, call.principal, body.url, body.event_types, call.now)
    return respond(NewSubscriptionView.with_secret(subscription, secret), 201)


@router.endpoint(
    "GET",
    "/v1/subscriptions",
    view=PageView[SubscriptionView],
    refusals=(CURSOR_INVALID,),
    tags=["subscriptions"],
)
async def list_subscriptions(call: SubscriberCall, query: PageQuery) -> Response:
    """Your agency's subscriptions, those that ended included."""
    async with call.service.database.read() as reader:
        rows = await store.subscriptions_of(reader, call.principal.party, query.after, query.limit + 1)
    return respond(page(rows, query, lambda s: s.subscription_id, SubscriptionView.of))


@router.endpoint(
    "DELETE",
    "/v1/subscriptions/{subscription_id}",
    view=SubscriptionView,
    refusals=(errors.SUBSCRIPTION_UNKNOWN,),
    tags=["subscriptions"],
)
async def end_subscription(call: SubscriberCall, subscription_id: Id) -> Response:
    """End a subscription; what still waits is not sent."""
    ended = await use_cases.end_subscription(call.service, call.principal, subscription_id, call.now)
    return respond(SubscriptionView.of(ended))


@router.endpoint(
    "POST",
    "/v1/subscriptions/{subscription_id}/test",
    status=202,
    view=MessageView,
    refusals=(errors.SUBSCRIPTION_UNKNOWN, errors.SUBSCRIPTION_ENDED),
    tags=["subscriptions"],
)
async def test_subscription(call: SubscriberCall, subscription_id: Id) -> Response:
    """Have a test event (`sifang.notification.Ping.v1`) posted to a subscription's address; follow it as a message."""
    message = await use_cases.ping(call.service, call.principal, subscription_id, call.now)
    return respond(MessageView.of(message), 202)


@router.endpoint("GET", "/v1/inbox", view=PageView[InboxMessageView], refusals=(CURSOR_INVALID,), tags=["inbox"])
async def list_inbox(call: PartyCall, query: InboxQuery) -> Response:
    """Messages to your own party (收件箱), newest first, in the language of `Accept-Language`."""
    async with call.service.database.read() as reader:
        rows = await store.inbox(reader, call.principal.party, query.after, query.limit + 1, unread=query.unread)
    texts = await _texts(call, rows)
    return respond(page(rows, query, lambda m: m.message_id, lambda m: InboxMessageView.of(m, texts[m.message_id])))


@router.endpoint(
    "POST",
    "/v1/inbox/{message_id}/read",
    view=InboxMessageView,
    refusals=(errors.MESSAGE_UNKNOWN,),
    tags=["inbox"],
)
async def mark_read(call: PartyCall, message_id: Id) -> Response:
    """Mark a message of your inbox as read; who read it first stays."""
    message = await use_cases.mark_read(call.service, call.principal, message_id, call.now)
    return respond(InboxMessageView.of(message, (await _texts(call, [message]))[message_id]))


async def _texts(call: Call[Notification], rows: Sequence[Message]) -> dict[str, str]:
    """The texts of messages in the caller's language."""
    codes = {
        row.fields[name] for row in rows for name in ("facility_code", "party", "payer", "payee") if name in row.fields
    }
    async with call.service.database.read() as reader:
        known = await store.facilities(reader, sorted(codes))
    names = Names(call.service.regions, {code: facility.name for code, facility in known.items()})
    render = call.service.templates.render
    return {row.message_id: render(row.template, call.language, row.fields, names) for row in rows}


@router.endpoint("GET", "/v1/messages", view=PageView[MessageView], refusals=(CURSOR_INVALID,), tags=["messages"])
async def list_messages(call: OperatorCall, query: MessageQuery) -> Response:
    """Messages that failed, or that still wait."""
    async with call.service.database.read() as reader:
        rows = await store.open_messages(reader, State(query.state), query.after, query.limit + 1)
    return respond(page(rows, query, lambda m: m.message_id, MessageView.of))


@router.endpoint(
    "GET",
    "/v1/messages/{message_id}",
    view=MessageLogView,
    refusals=(errors.MESSAGE_UNKNOWN,),
    tags=["messages"],
)
async def get_message(call: WatcherCall, message_id: Id) -> Response:
    """A message with the log of its attempts: for operations, officers of its area, and a webhook's own party."""
    async with call.service.database.read() as reader:
        message = await store.message(reader, message_id)
        if message is None or not use_cases.may_see(call.service, call.principal, message):
            raise Refused(errors.MESSAGE_UNKNOWN())
        attempts = await store.attempts_of(reader, message_id)
    return respond(MessageLogView.with_log(message, attempts))


@router.endpoint(
    "POST",
    "/v1/messages/{message_id}/retry",
    view=MessageView,
    refusals=(errors.MESSAGE_UNKNOWN, errors.MESSAGE_NOT_FAILED, errors.SUBSCRIPTION_ENDED),
    tags=["messages"],
)
async def retry_message(call: OperatorCall, message_id: Id) -> Response:
    """Let a failed message be tried again (重发)."""
    return respond(MessageView.of(await use_cases.retry(call.service, message_id, call.now)))


@router.endpoint("PUT", "/v1/persons/{person_id}/language", view=LanguageView, tags=["messages"])
async def set_language(call: OfficerCall, person_id: Id, body: LanguageBody) -> Response:
    """The language of a person's messages from now on; Chinese until somebody says otherwise."""
    await use_cases.set_language(call.service, person_id, body.language)
    return respond(LanguageView(person_id=person_id, language=body.language))
