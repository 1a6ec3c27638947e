"""What notification can do: make messages of events, send them, and let parties subscribe and read."""

from services.notification.use_cases.messages import mark_read, may_see, note_facilities, retry, set_language, tell
from services.notification.use_cases.parts import Notification
from services.notification.use_cases.sending import Sending
from services.notification.use_cases.subscriptions import end_subscription, ping, subscribe

__all__ = [
    "Notification",
    "Sending",
    "end_subscription",
    "mark_read",
    "may_see",
    "note_facilities",
    "ping",
    "retry",
    "set_language",
    "subscribe",
    "tell",
]
