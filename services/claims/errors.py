"""The refusals claims can utter."""

from __future__ import annotations

from shared.refusals import declare

PERSON_UNKNOWN = declare(
    "claims.person-unknown", status=422, zh="没有此参保人员的登记。", en="This person is not registered."
)
NOT_INSURED = declare(
    "claims.not-insured", status=422, zh="该人员在 {day} 未参保。", en="The person is not insured on {day}."
)
INSURANCE_AMBIGUOUS = declare(
    "claims.insurance-ambiguous",
    status=422,
    zh="该人员在 {day} 有多个险种（{choices}），请指明 insutype。",
    en="On {day} the person has several insurances ({choices}); name one as insutype.",
)
FACILITY_UNKNOWN = declare(
    "claims.facility-unknown", status=422, zh="没有定点机构 {facility}。", en="There is no facility {facility}."
)
NOT_CONTRACTED = declare(
    "claims.facility-not-contracted",
    status=422,
    zh="机构 {facility} 在 {day} 没有有效协议。",
    en="Facility {facility} has no agreement in force on {day}.",
)
FACILITY_SUSPENDED = declare(
    "claims.facility-suspended",
    status=422,
    zh="机构 {facility} 的协议在 {day} 处于中止状态。",
    en="The agreement of facility {facility} is suspended on {day}.",
)
NO_FILING = declare(
    "claims.remote-without-filing",
    status=422,
    zh="异地就医未备案（参保地 {home}，就医地 {care}，{day}）。",
    en="Care away from home without a filing (home {home}, care {care}, {day}).",
)
NO_PLAN = declare(
    "claims.no-benefit-plan",
    status=422,
    zh="参保地 {region} 没有险种 {insutype} 的待遇政策。",
    en="Region {region} has no benefit plan for insurance {insutype}.",
)
NOT_COVERED = declare("claims.not-covered", status=422, zh="不予支付：{why_zh}", en="Not covered: {why_en}")
POLICY_UNDECIDED = declare(
    "claims.policy-undecided",
    status=422,
    zh="待遇政策不能确定此账单（{code}）：{why_zh}",
    en="The benefit policy does not decide this bill ({code}): {why_en}",
)
CODE_UNKNOWN = declare(
    "claims.code-unknown",
    status=422,
    zh="代码集 {set} 中没有代码 {code}。",
    en="The code set {set} has no code {code}.",
)
STAY_OVERLAPS = declare(
    "claims.stay-overlaps",
    status=409,
    zh="该人员在此期间已有住院登记。",
    en="The person has another stay in this time.",
)
VISIT_UNKNOWN = declare("claims.visit-unknown", status=404, zh="没有该就诊。", en="There is no such visit.")
VISIT_NUMBER_TAKEN = declare(
    "claims.visit-number-taken",
    status=409,
    zh="院内就诊号 {number} 已使用。",
    en="The visit number {number} is in use already.",
)
VISIT_NOT_OPEN = declare(
    "claims.visit-not-open",
    status=409,
    zh="就诊状态为 {state}，不能进行此操作。",
    en="The visit is {state}: this is not possible now.",
)
ENDS_BEFORE_IT_BEGAN = declare(
    "claims.ends-before-it-began",
    status=422,
    zh="结束时间早于开始时间。",
    en="The visit ends before it began.",
)
IN_THE_FUTURE = declare(
    "claims.in-the-future", status=422, zh="时间 {moment} 在将来。", en="The moment {moment} lies in the future."
)
LINE_TWICE = declare(
    "claims.line-number-twice",
    status=422,
    zh="费用明细号 {line} 重复。",
    en="The line number {line} is used twice.",
)
LINE_CHANGED = declare(
    "claims.line-changed",
    status=409,
    zh="费用明细 {line} 已上传且内容不同；请用负数明细冲销。",
    en="Line {line} was sent before with other content; void it by a negative line.",
)
LINE_AMOUNT_WRONG = declare(
    "claims.line-amount-wrong",
    status=422,
    zh="费用明细 {line}：数量×单价为 {expected_fen} 分，与金额 {amount_fen} 分不符。",
    en="Line {line}: quantity times price is {expected_fen} fen, not {amount_fen} fen.",
)
LINE_OUTSIDE = declare(
    "claims.line-outside-visit",
    status=422,
    zh="费用明细 {line} 的发生时间不在就诊期间。",
    en="Line {line} occurred outside the visit.",
)
VOID_UNKNOWN = declare(
    "claims.void-of-unknown-line",
    status=422,
    zh="冲销明细 {line} 指向的明细 {voided} 不存在或项目不同。",
    en="Line {line} voids line {voided}, which is not there or is of another item.",
)
VOID_TOO_MUCH = declare(
    "claims.void-too-much",
    status=422,
    zh="明细 {voided} 的冲销超过原数量或金额。",
    en="More of line {voided} is voided than it held.",
)
NEGATIVE_NEEDS_VOID = declare(
    "claims.negative-line-voids-nothing",
    status=422,
    zh="负数明细 {line} 必须指明所冲销的明细。",
    en="The negative line {line} must name the line it voids.",
)
NO_LINES = declare("claims.no-lines", status=422, zh="没有费用明细，不能结算。", en="There are no fee lines to settle.")
SUM_WRONG = declare(
    "claims.sum-wrong",
    status=422,
    zh="明细合计 {lines_fen} 分，与申报总额 {total_fen} 分不符。",
    en="The lines add up to {lines_fen} fen, not to the total of {total_fen} fen.",
)
TOTAL_NEGATIVE = declare(
    "claims.total-negative", status=422, zh="结算总额不得为负。", en="The total of a settlement must not be negative."
)
TOO_MANY_LINES = declare(
    "claims.too-many-lines",
    status=422,
    zh="一次就诊最多 {limit} 条明细。",
    en="A visit holds {limit} lines at most.",
)
SETTLEMENT_UNKNOWN = declare(
    "claims.settlement-unknown", status=404, zh="没有该结算。", en="There is no such settlement."
)
SETTLEMENT_NUMBER_TAKEN = declare(
    "claims.settlement-number-taken",
    status=409,
    zh="机构结算号 {number} 已使用。",
    en="The settlement number {number} is in use already.",
)
ALREADY_REVERSED = declare(
    "claims.already-reversed", status=409, zh="该结算已撤销。", en="The settlement was reversed before."
)
IS_A_REVERSAL = declare(
    "claims.is-a-reversal",
    status=409,
    zh="撤销结算不能再撤销；如需恢复请重新结算。",
    en="A reversal is not reversed; settle anew instead.",
)
POLICY_FAULT = declare(
    "claims.policy-fault",
    status=422,
    zh="{file} 第 {line} 行第 {column} 列（{code}）：{why_zh}",
    en="{file}, line {line}, column {column} ({code}): {why_en}",
)
POLICY_EXAMPLE_FAILED = declare(
    "claims.policy-example-failed",
    status=422,
    zh="政策包自带的示例 {example} 计算结果不符。",
    en="The pack's own example {example} does not come out.",
)
POLICY_VERSION_TAKEN = declare(
    "claims.policy-version-taken",
    status=409,
    zh="政策包 {pack} 的版本 {version} 已存在；生效的版本不可更改。",
    en="Version {version} of the pack {pack} exists already; what is in force is never changed.",
)
POLICY_AREA_TAKEN = declare(
    "claims.policy-area-taken",
    status=409,
    zh="统筹区 {area} 已有政策包 {pack}；一个统筹区只有一个政策包，修改请提交其新版本。",
    en="The area {area} has the pack {pack}: an area has one pack, of which a new version may be proposed.",
)
POLICY_NAME_TAKEN = declare(
    "claims.policy-name-taken",
    status=409,
    zh="政策包名 {pack} 已由统筹区 {area} 使用。",
    en="The pack {pack} is that of the area {area}.",
)
POLICY_UNKNOWN = declare("claims.policy-unknown", status=404, zh="没有该政策包版本。", en="There is no such version.")
POLICY_DECIDED = declare(
    "claims.policy-decided", status=409, zh="该版本已为 {state} 状态。", en="This version is {state} already."
)
POLICY_SAME_PERSON = declare(
    "claims.policy-same-person",
    status=403,
    zh="提出人不得自行审批。",
    en="Who proposed a pack does not decide about it.",
)
POLICY_DIGEST_DIFFERS = declare(
    "claims.policy-digest-differs",
    status=409,
    zh="审批所依据的摘要与提交的文件不一致。",
    en="The digest is not that of the files proposed.",
)
REPLAY_UNKNOWN = declare("claims.replay-unknown", status=404, zh="没有该政策测算。", en="There is no such replay.")
WORKING_UNKNOWN = declare(
    "claims.no-explanation",
    status=404,
    zh="撤销结算没有单独的计算说明；请查看原结算。",
    en="A reversal has no explanation of its own; look at the settlement it reverses.",
)
ITEM_UNKNOWN = declare("claims.item-unknown", status=404, zh="没有该重算事项。", en="There is no such work item.")
ITEM_CLOSED = declare("claims.item-closed", status=409, zh="该重算事项已关闭。", en="The work item is closed.")
