"""Subscriptions: a party's wish to get events that concern its area posted to its address."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Sequence
from datetime import datetime

from services.notification import errors, store
from services.notification.rules.audiences import SUBSCRIBABLE
from services.notification.rules.delivery import Channel
from services.notification.rules.drafts import PING, NewMessage
from services.notification.rules.signature import ping_event
from services.notification.tables import Message, Subscription
from services.notification.use_cases.parts import Notification
from shared.auth import Principal
from shared.database import Connection
from shared.events import new_id
from shared.personal import PersonalDataKeys, PersonalDataUnreadable
from shared.refusals import Refusal, Refused
from shared.telemetry import current_traceparent

log = logging.getLogger(__name__)

SECRET_CONTEXT = "notification.subscription.secret"  # noqa: S105 - names where a secret is kept


async def subscribe(
    parts: Notification, principal: Principal, url: str, event_types: Sequence[str], now: datetime
) -> tuple[Subscription, str]:
    """A new subscription of the caller's agency, and the secret that signs what is posted. Raises Refused."""
    wrong = [*_check_types(event_types), *parts.policy.check(url)]
    if principal.party not in parts.regions:
        wrong.insert(0, errors.PARTY_NOT_AGENCY(party=principal.party))
    if wrong:
        raise Refused(*wrong)
    secret = "whsec_" + secrets.token_urlsafe(32)
    subscription = Subscription(
        subscription_id=new_id(),
        party=principal.party,
        url=url,
        secret=parts.keys.encrypt(secret, context=SECRET_CONTEXT),
        event_types=sorted(set(event_types)),
        created_by=principal.subject,
        created_at=now,
        failures=0,
    )
    async with parts.database.transaction() as tx:
        await _add(parts, tx, subscription)
    return subscription, secret


async def _add(parts: Notification, tx: Connection, subscription: Subscription) -> None:
    limit = parts.settings.subscriptions_max
    await store.lock_party(tx, subscription.party)
    if await store.active_subscriptions(tx, subscription.party) >= limit:
        raise Refused(errors.SUBSCRIPTIONS_TOO_MANY(limit=limit))
    if not await store.add_subscription(tx, subscription):
        raise Refused(errors.SUBSCRIPTION_EXISTS(pointer="/url"))


def _check_types(event_types: Sequence[str]) -> list[Refusal]:
    return [
        errors.EVENT_TYPE_UNKNOWN(pointer=f"/event_types/{place}", event_type=event_type)
        for place, event_type in enumerate(event_types)
        if event_type not in SUBSCRIBABLE
    ]


async def end_subscription(
    parts: Notification, principal: Principal, subscription_id: str, now: datetime
) -> Subscription:
    """Switch a subscription of the caller's agency off; what still waits fails. Raises Refused."""
    async with parts.database.transaction() as tx:
        await _own(tx, principal, subscription_id)
        await store.end_subscription(tx, subscription_id, "withdrawn", now)
        return await _own(tx, principal, subscription_id)


async def ping(parts: Notification, principal: Principal, subscription_id: str, now: datetime) -> Message:
    """Have a test event sent to one subscription. Raises Refused."""
    async with parts.database.transaction() as tx:
        subscription = await _own(tx, principal, subscription_id)
        if subscription.ended_at is not None:
            raise Refused(errors.SUBSCRIPTION_ENDED())
        document = ping_event(new_id(), subscription_id, now)
        message = NewMessage(
            event_id=document["id"],
            event_type=document["type"],
            template=PING,
            channel=Channel.WEBHOOK,
            recipient=subscription.party,
            subscription_id=subscription_id,
            fields=json.dumps(document),
            language=None,
            regions=(subscription.party,),
            traceparent=current_traceparent(),
        )
        (message_id,) = await store.add_messages(tx, [message], parts.settings.attempts_max, now)
        recorded = await store.message(tx, message_id)
    if recorded is None:
        raise RuntimeError("a row written in this transaction is not there")
    return recorded


async def _own(tx: Connection, principal: Principal, subscription_id: str) -> Subscription:
    subscription = await store.subscription_for_update(tx, subscription_id)
    if subscription is None or subscription.party != principal.party:
        raise Refused(errors.SUBSCRIPTION_UNKNOWN())
    return subscription


async def renew_encryption(parts: Notification) -> None:
    """Encrypt again the secrets whose key is no longer the active one, so that an old key can be taken away."""
    async with parts.database.transaction() as tx:
        for subscription_id, sealed in (await store.secrets(tx)).items():
            try:
                renewed = _renewed(parts.keys, sealed)
            except PersonalDataUnreadable as error:
                fields = {"subscription_id": subscription_id, "reason": str(error)}
                log.error("secret of a subscription cannot be read", extra={"fields": fields})
                continue
            if renewed != sealed:
                await store.save_secret(tx, subscription_id, sealed, renewed)


def _renewed(keys: PersonalDataKeys, sealed: str) -> str:
    """The secret under the active key; unchanged when it is so already. Raises PersonalDataUnreadable."""
    if not keys.needs_rotation(sealed):
        return sealed
    return keys.encrypt(keys.decrypt(sealed, context=SECRET_CONTEXT), context=SECRET_CONTEXT)
