"""The refusals settlement can utter."""

from __future__ import annotations

from shared.refusals import declare

# What is not there

FACILITY_UNKNOWN = declare(
    "settlement.facility-unknown",
    status=404,
    zh="结算中没有定点机构 {facility}。",
    en="Settlement does not know a facility {facility}.",
)
PARTY_UNKNOWN = declare(
    "settlement.party-unknown", status=404, zh="没有参与方 {party}。", en="There is no party {party}."
)
BILL_UNKNOWN = declare("settlement.bill-unknown", status=404, zh="没有入账的结算单。", en="No such bill is booked.")
STATEMENT_UNKNOWN = declare(
    "settlement.statement-unknown", status=404, zh="没有该汇总表。", en="There is no such statement."
)
CASE_UNKNOWN = declare("settlement.case-unknown", status=404, zh="没有该清算单。", en="There is no such case.")
PAYMENT_UNKNOWN = declare("settlement.payment-unknown", status=404, zh="没有该付款单。", en="There is no such payment.")

# Bills that cannot be booked (their events go to the dead-letter topic with these codes)

REGION_UNKNOWN = declare(
    "settlement.region-unknown", status=422, zh="没有医保区划 {region}。", en="There is no region {region}."
)
BILL_SUMS_WRONG = declare(
    "settlement.bill-sums-wrong",
    status=422,
    zh="结算单金额不平：{identity}。",
    en="The amounts of the bill do not add up: {identity}.",
)

# Statements

MONTH_NOT_BEGUN = declare(
    "settlement.month-not-begun", status=422, zh="{period} 尚未开始。", en="The month {period} has not begun."
)
MONTH_NOT_OVER = declare(
    "settlement.month-not-over",
    status=422,
    zh="{period} 尚未结束，汇总表须在月末之后提交。",
    en="The month {period} is not over: its statement comes after its last day.",
)
MONTH_CONFIRMED = declare(
    "settlement.month-confirmed",
    status=409,
    zh="{period} 已有一方确认，汇总表不能再更换。",
    en="Somebody has confirmed {period} already: its statement can no longer be replaced.",
)
TOTAL_REPEATED = declare(
    "settlement.total-repeated",
    status=422,
    zh="同一分组出现了不止一次。",
    en="The same group of totals appears more than once.",
)
STATEMENT_REPLACED = declare(
    "settlement.statement-replaced",
    status=409,
    zh="该汇总表已被新版本替换。",
    en="A newer version has replaced this statement.",
)
STATEMENT_MATCHED = declare(
    "settlement.statement-matched",
    status=409,
    zh="该汇总表已对平，不需要明细。",
    en="The statement agrees with the books already: no lines are wanted.",
)
LINE_DIFFERS = declare(
    "settlement.line-differs",
    status=409,
    zh="明细 {number} 与先前提交的不同，请提交新版汇总表。",
    en="Line {number} differs from the one submitted before; submit a new version of the statement.",
)
LINES_MISSING = declare(
    "settlement.lines-missing",
    status=409,
    zh="总账不平，请先提交明细。",
    en="The totals do not agree: the lines are wanted first.",
)
LINES_DO_NOT_ADD_UP = declare(
    "settlement.lines-do-not-add-up",
    status=422,
    zh="明细合计与汇总表不符（{what}：明细 {lines}，汇总 {stated}）。",
    en="The lines do not add up to the statement ({what}: lines {lines}, statement {stated}).",
)
NOTHING_TO_RESOLVE = declare(
    "settlement.nothing-to-resolve",
    status=409,
    zh="该汇总表没有待处理的差异。",
    en="The statement has no differences to decide about.",
)
RESOLUTION_EXISTS = declare(
    "settlement.resolution-exists",
    status=409,
    zh="已有人提出以账面为准，等待他人批准。",
    en="That the books stand was proposed already and waits for another person.",
)
RESOLUTION_MISSING = declare(
    "settlement.resolution-missing",
    status=409,
    zh="没有待批准的处理意见。",
    en="There is no proposal to approve.",
)
SAME_PERSON = declare(
    "settlement.same-person",
    status=403,
    zh="同一人不得批准自己提出的事项。",
    en="Nobody approves what they proposed themselves.",
)

# Confirmations

NOT_IN_CHAIN = declare(
    "settlement.not-in-chain",
    status=403,
    zh="{party} 不是该清算单的参与方。",
    en="{party} is not a party to this case.",
)
NUMBERS_CHANGED = declare(
    "settlement.numbers-changed",
    status=409,
    zh="数字已变更，请重新查看后确认。",
    en="The numbers are not (or no longer) those you saw: look again, then confirm.",
)
CASE_NOT_MATCHED = declare(
    "settlement.case-not-matched",
    status=409,
    zh="清算单当前状态为 {state}，尚不能确认。",
    en="The case is {state}: it cannot be confirmed now.",
)

# Payments

CASE_NOT_RECONCILED = declare(
    "settlement.case-not-reconciled",
    status=409,
    zh="清算单当前状态为 {state}，没有可付款项。",
    en="The case is {state}: nothing is to be paid.",
)
NOT_THE_PAYER = declare(
    "settlement.not-the-payer",
    status=403,
    zh="{party} 在该清算单中没有应付款项。",
    en="{party} has nothing to pay in this case.",
)
NOT_RECEIVED_YET = declare(
    "settlement.not-received-yet",
    status=409,
    zh="上一环节 {payer} 的款项尚未到账。",
    en="The money of {payer}, one hop before, has not arrived yet.",
)
PAYMENT_EXISTS = declare(
    "settlement.payment-exists",
    status=409,
    zh="该笔款项已提出付款。",
    en="This payment is proposed already.",
)
PAYMENT_DONE = declare("settlement.payment-done", status=409, zh="该笔款项已支付。", en="This is paid already.")
