"""Builds notification from its settings; nothing else constructs things."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from services.notification.api import router
from services.notification.config import NotificationSettings
from services.notification.handlers import handlers
from services.notification.rules.addresses import AddressPolicy
from services.notification.rules.audiences import TOLD
from services.notification.rules.templates import Templates, load
from services.notification.use_cases import Notification, Sending
from services.notification.use_cases.carriers import FileCarrier
from services.notification.use_cases.contacts import Contacts
from services.notification.use_cases.webhooks import Partners
from shared.keys import DATA_KEYS
from shared.personal import PersonalDataKeys
from shared.service import Base, Every, Parts

SHIPPED_TEMPLATES = Path(__file__).with_name("templates.yaml")


def make(base: Base) -> Parts:
    """The parts of notification."""
    settings = NotificationSettings()
    service = Notification(
        base.database,
        base.regions,
        settings,
        templates_of(settings),
        AddressPolicy(settings.webhook_networks, local=base.settings.environment == "local"),
        PersonalDataKeys.from_json((base.settings.secrets_dir / DATA_KEYS).read_bytes()),
    )
    sending = _sending(base, service)
    return Parts(
        name="notification",
        title="Sifang notification 消息通知",
        routers=[router],
        handlers=handlers(service),
        service=service,
        jobs=[
            Every(settings.sms_every_s, sending.send_sms, "sms"),
            Every(settings.webhook_every_s, sending.send_webhooks, "webhooks"),
            Every(settings.housekeeping_every_s, sending.keep_house, "housekeeping"),
            Every(3600, sending.renew_encryption, "encryption"),
        ],
        close=[partial(sending.close, base.settings.graceful_stop_s)],
    )


def templates_of(settings: NotificationSettings) -> Templates:
    """The templates configured, or those shipped. Raises TemplatesInvalid, OSError."""
    return load((settings.templates_file or SHIPPED_TEMPLATES).read_text(encoding="utf-8"), TOLD)


def _sending(base: Base, service: Notification) -> Sending:
    settings = service.settings
    partners = Partners(service.policy, timeout_s=settings.webhook_timeout_s, concurrency=settings.webhook_concurrency)
    return Sending(service, base.clock, FileCarrier(settings.sms_file), Contacts(base.settings), partners)
