"""What the use cases work with."""

from __future__ import annotations

from dataclasses import dataclass

from services.notification.config import NotificationSettings
from services.notification.rules.addresses import AddressPolicy
from services.notification.rules.delivery import Backoff
from services.notification.rules.templates import Templates
from shared.database import Database
from shared.personal import PersonalDataKeys
from shared.regions import RegionTree


@dataclass(frozen=True, slots=True)
class Notification:
    """The parts the use cases work with."""

    database: Database
    regions: RegionTree
    settings: NotificationSettings
    templates: Templates
    policy: AddressPolicy
    keys: PersonalDataKeys

    @property
    def backoff(self) -> Backoff:
        """Between two attempts to send a message."""
        return Backoff(self.settings.backoff_first_s, self.settings.backoff_max_s)

    @property
    def rest(self) -> Backoff:
        """Between two probes of an address that takes nothing."""
        return Backoff(self.settings.backoff_first_s, self.settings.rest_max_s)
