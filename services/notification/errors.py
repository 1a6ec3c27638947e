"""The refusals notification can utter."""

from __future__ import annotations

from shared.refusals import declare

SUBSCRIPTION_UNKNOWN = declare(
    "notification.subscription-unknown",
    status=404,
    zh="贵方没有该订阅。",
    en="There is no such subscription of yours.",
)
SUBSCRIPTION_EXISTS = declare(
    "notification.subscription-exists",
    status=409,
    zh="该地址已有有效订阅。",
    en="There is an active subscription to this address already.",
)
SUBSCRIPTION_ENDED = declare(
    "notification.subscription-ended", status=409, zh="该订阅已停用。", en="The subscription is switched off."
)
SUBSCRIPTIONS_TOO_MANY = declare(
    "notification.subscriptions-too-many",
    status=409,
    zh="每个机构最多 {limit} 个有效订阅。",
    en="A party has {limit} active subscriptions at most.",
)
PARTY_NOT_AGENCY = declare(
    "notification.party-not-agency",
    status=403,
    zh="订阅须以医保区划代码为机构，{party} 不是。",
    en="Who subscribes must act for a region; {party} is none.",
)
EVENT_TYPE_UNKNOWN = declare(
    "notification.event-type-unknown",
    status=422,
    zh="不能订阅事件 {event_type}。",
    en="The event {event_type} cannot be subscribed to.",
)
URL_MALFORMED = declare(
    "notification.url-malformed",
    status=422,
    zh="地址应形如 https://主机[:端口][/路径]，不含用户名和片段，仅限 ASCII 字符。",
    en="The address must look like https://host[:port][/path], in ASCII, without user name and fragment.",
)
URL_NOT_HTTPS = declare(
    "notification.url-not-https", status=422, zh="地址必须使用 https。", en="The address must use https."
)
ADDRESS_NOT_ALLOWED = declare(
    "notification.address-not-allowed",
    status=422,
    zh="不允许向网络地址 {address} 推送。",
    en="Nothing is sent to the network address {address}.",
)
MESSAGE_UNKNOWN = declare("notification.message-unknown", status=404, zh="没有该消息。", en="There is no such message.")
MESSAGE_NOT_FAILED = declare(
    "notification.message-not-failed",
    status=409,
    zh="消息状态为 {state}，只有发送失败的消息可以重发。",
    en="The message is {state}; only a failed one can be sent again.",
)
FACILITY_UNKNOWN = declare(
    "notification.facility-unknown",
    status=404,
    zh="尚未收到定点机构 {facility} 的登记事件。",
    en="Facility {facility} is not known here: its registration was not heard yet.",
)
