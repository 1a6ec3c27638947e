"""The refusals designation can utter."""

from __future__ import annotations

from shared.refusals import declare

FACILITY_UNKNOWN = declare(
    "designation.facility-unknown",
    status=404,
    zh="没有登记过定点机构 {facility}。",
    en="No facility {facility} is registered.",
)
FACILITY_EXISTS = declare(
    "designation.facility-exists",
    status=409,
    zh="定点机构 {facility} 已登记。",
    en="Facility {facility} is registered already.",
)
REGION_UNKNOWN = declare(
    "designation.region-unknown", status=422, zh="没有医保区划 {region}。", en="There is no region {region}."
)
AGREEMENT_UNKNOWN = declare(
    "designation.agreement-unknown", status=404, zh="没有该协议。", en="There is no such agreement."
)
AGREEMENT_OVERLAPS = declare(
    "designation.agreement-overlaps",
    status=409,
    zh="该机构在此期间已有协议。",
    en="The facility has an agreement for some of these days already.",
)
PERIOD_REVERSED = declare(
    "designation.period-reversed", status=422, zh="开始日期晚于结束日期。", en="The first day lies after the last."
)
PERIOD_TOO_LONG = declare(
    "designation.period-too-long",
    status=422,
    zh="协议期不得超过 {years} 年。",
    en="An agreement runs {years} years at most.",
)
STEP_NOT_ALLOWED = declare(
    "designation.step-not-allowed",
    status=409,
    zh="协议当前状态为 {state}，不能进行“{step}”。",
    en="The agreement is {state}: {step} is not possible now.",
)
SAME_PERSON = declare(
    "designation.same-person",
    status=403,
    zh="同一人不得审核自己起草的协议。",
    en="Nobody signs an agreement they drafted themselves.",
)
DAY_OUTSIDE = declare(
    "designation.day-outside",
    status=422,
    zh="日期 {day} 不在允许范围（{first} 至 {last}）内。",
    en="The day {day} lies outside {first} to {last}.",
)
