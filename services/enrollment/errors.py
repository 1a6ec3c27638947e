"""The refusals enrollment can utter."""

from __future__ import annotations

from shared.refusals import declare

IDENTITY_NUMBER_INVALID = declare(
    "enrollment.identity-number-invalid",
    status=422,
    zh="证件号码不正确（位数、出生日期或校验码）。",
    en="The identity number is not valid (length, birth date or check digit).",
)
PERSON_UNKNOWN = declare("enrollment.person-unknown", status=404, zh="没有该参保人。", en="There is no such person.")
PERSON_DIFFERS = declare(
    "enrollment.person-differs",
    status=409,
    zh="该证件号码已登记，所报 {fields} 与登记不符；更正请走信息变更。",
    en="This identity number is enrolled with another {fields}; corrections go by a change of the person's data.",
)
REGION_UNKNOWN = declare(
    "enrollment.region-unknown", status=422, zh="没有医保区划 {region}。", en="There is no region {region}."
)
CODE_UNKNOWN = declare(
    "enrollment.code-unknown",
    status=422,
    zh="{region} 在该日没有 {set} 代码 {code}。",
    en="Region {region} knows no {set} code {code} on that day.",
)
PERIOD_REVERSED = declare(
    "enrollment.period-reversed", status=422, zh="开始日期晚于结束日期。", en="The first day lies after the last."
)
INSURANCE_OVERLAPS = declare(
    "enrollment.insurance-overlaps",
    status=409,
    zh="该人员在此期间已有同类保险。",
    en="The person has an insurance of this kind for some of these days already.",
)
INSURANCE_DIFFERS = declare(
    "enrollment.insurance-differs",
    status=409,
    zh="自该日起的同一险种已登记，所报 {fields} 与登记不符。",
    en="This insurance is recorded from that day with another {fields}.",
)
SPAN_UNKNOWN = declare("enrollment.span-unknown", status=404, zh="没有该参保时段。", en="There is no such span.")
DAY_OUTSIDE = declare(
    "enrollment.day-outside",
    status=422,
    zh="日期 {day} 不在允许范围（{first} 至 {last}）内。",
    en="The day {day} lies outside {first} to {last}.",
)
NOT_INSURED = declare(
    "enrollment.not-insured",
    status=422,
    zh="该人员在 {day} 没有参保。",
    en="The person is not insured on {day}.",
)
CARE_AT_HOME = declare(
    "enrollment.care-at-home",
    status=422,
    zh="{region} 在参保地之内，无需备案。",
    en="Care in {region} is care at home and needs no filing.",
)
FILING_UNKNOWN = declare("enrollment.filing-unknown", status=404, zh="没有该备案。", en="There is no such filing.")
FILING_OVERLAPS = declare(
    "enrollment.filing-overlaps",
    status=409,
    zh="该人员在此期间已有同类同地的备案或申请。",
    en="The person has such a filing, or applied for it, for some of these days already.",
)
KIND_NOT_FOR_FACILITY = declare(
    "enrollment.kind-not-for-facility",
    status=403,
    zh="定点医疗机构只能申请转诊备案。",
    en="A facility applies for referrals only.",
)
STEP_NOT_ALLOWED = declare(
    "enrollment.step-not-allowed",
    status=409,
    zh="备案当前状态为 {state}，不能进行“{step}”。",
    en="The filing is {state}: {step} is not possible now.",
)
IMPORT_NOT_CSV = declare(
    "enrollment.import-not-csv",
    status=415,
    zh="导入文件必须是 text/csv，字符集为 UTF-8 或 GB18030。",
    en="An import must be text/csv in UTF-8 or GB18030.",
)
IMPORT_HEADER = declare(
    "enrollment.import-header",
    status=422,
    zh="首行必须正好是这些列名：{columns}。",
    en="The first line must name exactly these columns: {columns}.",
)
IMPORT_COLUMNS = declare(
    "enrollment.import-columns",
    status=422,
    zh="本行有 {got} 列，应为 {expected} 列。",
    en="The line has {got} columns instead of {expected}.",
)
IMPORT_QUOTES = declare(
    "enrollment.import-quotes",
    status=422,
    zh="本行引号不配对。",
    en="The quotes of the line do not match.",
)
IMPORT_LINE_TOO_LONG = declare(
    "enrollment.import-line-too-long",
    status=422,
    zh="本行超过 {limit} 个字符。",
    en="The line is longer than {limit} characters.",
)
