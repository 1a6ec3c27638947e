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
BILL_TOO_LARGE = declare(
    "settlement.bill-too-large",
    status=422,
    zh="单张结算单各项金额不得超过 {limit} 元。",
    en="No amount of one bill can be above {limit} yuan.",
)
BILL_DAY_WRONG = declare(
    "settlement.bill-day-wrong",
    status=422,
    zh="结算日期不在1990年至2199年之间，不能入账。",
    en="The day of the settlement is not between 1990 and 2199: it cannot be booked.",
)

# Books

EXPORT_TOO_LARGE = declare(
    "settlement.export-too-large",
    status=422,
    zh="该月有 {entries} 条分录，超过电子表格的上限 {limit}，请导出 csv 或 parquet。",
    en="The month has {entries} entries, more than the {limit} a spreadsheet takes: ask for csv or parquet.",
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
DAY_ELSEWHERE = declare(
    "settlement.day-elsewhere", status=422, zh="该日不在 {period} 之内。", en="The day does not lie in {period}."
)
DAY_NOT_OVER = declare(
    "settlement.day-not-over",
    status=422,
    zh="{day} 尚未结束，日对账须在当日之后提交。",
    en="The day {day} is not over: it is stated after it.",
)
MONTH_STATED = declare(
    "settlement.month-stated",
    status=409,
    zh="{period} 的月汇总表已提交，不再进行日对账。",
    en="The statement of the month {period} is in: single days are not stated any more.",
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
MATCH_RUNNING = declare(
    "settlement.match-running",
    status=409,
    zh="该对账单正在比对，请稍后查询结果。",
    en="This statement is being matched right now: ask for its result in a while.",
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

# Files of a statement's lines

FILE_UNKNOWN = declare(
    "settlement.file-unknown", status=404, zh="没有收到该文件。", en="No such file has been received."
)
FILE_TYPE = declare(
    "settlement.file-type",
    status=415,
    zh="文件类型须为 text/csv、text/tab-separated-values、application/zip 或 application/x-ndjson。",
    en="The file must be text/csv, text/tab-separated-values, application/zip or application/x-ndjson.",
)
FILE_BEING_SENT = declare(
    "settlement.file-being-sent",
    status=409,
    zh="该文件正在由另一连接上传。",
    en="This file is being sent on another connection.",
)
LINES_EXIST = declare(
    "settlement.lines-exist",
    status=409,
    zh="该汇总表已有明细，如需更换请提交新版汇总表。",
    en="The statement has its lines already; to replace them, submit a new version of it.",
)
FILE_HASH_DIFFERS = declare(
    "settlement.file-hash-differs",
    status=422,
    zh="收到的内容与地址中的 SHA-256 不符，请重新发送。",
    en="What arrived is not what the SHA-256 in the address says: send it again.",
)
FILE_ENCODING = declare(
    "settlement.file-encoding",
    status=422,
    zh="文件编码须为 UTF-8 或 GB18030（不能是 UTF-16）。",
    en="The file must be UTF-8 or GB18030 (not UTF-16).",
)
FILE_EMPTY = declare("settlement.file-empty", status=422, zh="文件没有明细。", en="The file holds no lines.")
FILE_COLUMNS_MANY = declare(
    "settlement.file-columns-many",
    status=422,
    zh="文件首行有 {count} 列，最多 {limit} 列。",
    en="The first line of the file has {count} columns; at most {limit} are read.",
)
FILE_COLUMN_UNKNOWN = declare(
    "settlement.file-column-unknown",
    status=422,
    zh="不认识第 {position} 列的列名；可先声明列名对照。",
    en="The name of column {position} is not known; a mapping can say what it means.",
)
FILE_COLUMN_REPEATED = declare(
    "settlement.file-column-repeated",
    status=422,
    zh="{field} 出现在不止一列。",
    en="More than one column gives {field}.",
)
FILE_COLUMN_MISSING = declare(
    "settlement.file-column-missing",
    status=422,
    zh="缺少 {field} 列。",
    en="No column gives {field}.",
)
FILE_DAMAGED = declare(
    "settlement.file-damaged",
    status=422,
    zh="压缩包不完整或已损坏。",
    en="The ZIP is cut off or damaged.",
)
FILE_BOMB = declare(
    "settlement.file-bomb",
    status=422,
    zh="解压后超过 {limit_bytes} 字节，或压缩比异常。",
    en="Unpacked it is larger than {limit_bytes} bytes, or it is packed beyond all measure.",
)
FILE_MEMBERS = declare(
    "settlement.file-members",
    status=422,
    zh="压缩包须恰好含一个未加密的 .txt、.csv 或 .jsonl 文件，现有 {count} 项。",
    en="The ZIP must hold exactly one .txt, .csv or .jsonl file, not encrypted; it holds {count} entries.",
)
FILE_MEMBER_NAME = declare(
    "settlement.file-member-name",
    status=422,
    zh="压缩包内文件名不得含路径。",
    en="The name inside the ZIP must not hold a path.",
)
FILE_REFUSED = declare(
    "settlement.file-refused",
    status=422,
    zh="文件未被接受：{count} 处错误，详见错误清单。",
    en="The file was not accepted: {count} things are wrong; its report names them.",
)
LINES_TOO_MANY = declare(
    "settlement.lines-too-many",
    status=422,
    zh="文件超过 {limit} 行。",
    en="The file has more than {limit} lines.",
)
LINE_TOO_LONG = declare(
    "settlement.line-too-long", status=422, zh="该行超过 {limit} 字节。", en="The line is longer than {limit} bytes."
)
LINE_ENCODING = declare(
    "settlement.line-encoding",
    status=422,
    zh="该行不是 {charset} 编码。",
    en="The line is not {charset}.",
)
LINE_QUOTES = declare("settlement.line-quotes", status=422, zh="引号不成对。", en="The quotes do not match.")
LINE_COLUMNS = declare(
    "settlement.line-columns",
    status=422,
    zh="该行有 {got} 列，应有 {expected} 列。",
    en="The line has {got} columns and should have {expected}.",
)
LINE_KEYLESS = declare(
    "settlement.line-keyless",
    status=422,
    zh="单号与结算ID至少要有一个。",
    en="The line gives neither the facility's number nor the settlement id.",
)
VALUE_MISSING = declare("settlement.value-missing", status=422, zh="缺少值。", en="The value is missing.")
VALUE_SCIENTIFIC = declare(
    "settlement.value-scientific",
    status=422,
    zh="数值为科学计数法，原有数字已丢失，请将该列设为文本后重新导出。",
    en="The value is in scientific notation and has lost its digits: export the column as text.",
)
VALUE_FORMULA = declare(
    "settlement.value-formula",
    status=422,
    zh="值是公式，请导出结果值。",
    en="The value is a formula: export what it comes to.",
)
NUMBER_INVALID = declare(
    "settlement.number-invalid",
    status=422,
    zh="号码须为 1 至 {limit} 个可见 ASCII 字符。",
    en="A number has 1 to {limit} visible ASCII characters.",
)
AMOUNT_INVALID = declare(
    "settlement.amount-invalid",
    status=422,
    zh="不是金额（单位 {unit}）。",
    en="It is not an amount in {unit}.",
)
AMOUNT_TOO_LARGE = declare(
    "settlement.amount-too-large",
    status=422,
    zh="一张结算单的金额不超过一百亿元。",
    en="No bill comes to more than ten billion yuan.",
)
AMOUNT_SIGN = declare(
    "settlement.amount-sign",
    status=422,
    zh="退费的金额不为正，其他结算不为负。",
    en="A refund is not positive, any other bill not negative.",
)
REFUND_INVALID = declare(
    "settlement.refund-invalid",
    status=422,
    zh="不认识的退费标志。",
    en="It does not say whether the line is a refund.",
)
DATE_INVALID = declare(
    "settlement.date-invalid",
    status=422,
    zh="不是可识别的日期（如 2026-10-31、2026/10/31、20261031、2026年10月31日）。",
    en="It is not a day that can be read (as 2026-10-31, 2026/10/31 or 20261031).",
)
FACILITY_FOREIGN = declare(
    "settlement.facility-foreign",
    status=422,
    zh="该行属于另一家定点机构。",
    en="The line is of another facility.",
)
MAPPING_UNKNOWN = declare(
    "settlement.mapping-unknown", status=404, zh="没有保存该列名对照。", en="No such mapping is saved."
)
MAPPING_INVALID = declare(
    "settlement.mapping-invalid",
    status=422,
    zh="列名对照不正确：{reason}。",
    en="The mapping is not in order: {reason}.",
)

# Work items

ITEM_UNKNOWN = declare("settlement.item-unknown", status=404, zh="没有该待办。", en="There is no such work item.")
ITEM_CLOSED = declare("settlement.item-closed", status=409, zh="该待办已办结。", en="The work item is closed.")
ITEM_BOOKED = declare(
    "settlement.item-booked",
    status=422,
    zh="该结算单已入本月账，不能转下期。",
    en="The bill is in the books of this month: it cannot move to the next.",
)
ITEM_CHANGED = declare(
    "settlement.item-changed",
    status=409,
    zh="金额在处理后已变更，请重新处理。",
    en="The figures have changed since: act on them anew.",
)
ACTION_NOT_YOURS = declare(
    "settlement.action-not-yours",
    status=403,
    zh="只有申报方可以提出异议。",
    en="Only the party that stated disputes.",
)
NOTHING_TO_APPROVE = declare(
    "settlement.nothing-to-approve",
    status=409,
    zh="没有待批准的处理意见。",
    en="Nothing waits for approval.",
)
ITEMS_CHANGED = declare(
    "settlement.items-changed",
    status=409,
    zh="待办已变更：该类现有 {count} 件未办结，合计 {amount_fen} 分，请重新查看后处理。",
    en="The items are not (or no longer) those you saw: {count} of the class are open, {amount_fen} fen in all.",
)
BULK_UNKNOWN = declare(
    "settlement.bulk-action-unknown", status=404, zh="没有该批量处理。", en="There is no such action for a class."
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

# Terms of regions

TERMS_UNKNOWN = declare("settlement.terms-unknown", status=404, zh="没有该区域约定。", en="There are no such terms.")
TERMS_BACKDATED = declare(
    "settlement.terms-backdated",
    status=422,
    zh="区域约定不得追溯生效。",
    en="Terms never begin before the day on which they are decided.",
)
TERMS_EMPTY = declare(
    "settlement.terms-empty", status=422, zh="没有约定任何事项。", en="The terms choose nothing at all."
)
TERMS_WARNINGS = declare(
    "settlement.terms-warnings",
    status=422,
    zh="黄色与红色预警比例须同时约定，且黄色低于红色。",
    en="The yellow and the red warning are chosen together, yellow below red.",
)
TERMS_GIVEN_UP = declare(
    "settlement.terms-given-up",
    status=422,
    zh="{names} 不能既约定又放弃约定。",
    en="{names}: a term is chosen or given up, not both.",
)
TERMS_OUTDATED = declare(
    "settlement.terms-outdated",
    status=409,
    zh="提出之后有效约定已变化，批准的结果将与所示不同：请重新提出。",
    en="What holds has changed since these terms were proposed: they would not come to what was shown. Propose again.",
)
TERMS_DECIDED = declare(
    "settlement.terms-decided",
    status=409,
    zh="该区域约定已处理（{state}）。",
    en="These terms are decided already: {state}.",
)

# Clocks

DUE_UNKNOWN = declare("settlement.due-unknown", status=404, zh="没有该未办期限。", en="No such due is open.")
DUE_SUSPENDED = declare(
    "settlement.due-suspended", status=409, zh="该期限已由经办人员中止。", en="An officer stopped this clock already."
)
DUE_NOT_SUSPENDED = declare(
    "settlement.due-not-suspended",
    status=409,
    zh="该期限未被经办人员中止，无可恢复。",
    en="No officer stopped this clock: there is nothing to resume.",
)
DUE_OVER = declare(
    "settlement.due-over",
    status=409,
    zh="期限已过，不能再中止。",
    en="The time is over: the clock cannot be suspended.",
)

# Payment orders and the bank

ORDER_UNKNOWN = declare("settlement.order-unknown", status=404, zh="没有该支付指令。", en="There is no such order.")
ORDER_STATE = declare(
    "settlement.order-state",
    status=409,
    zh="支付指令当前状态为 {state}，不能进行此操作。",
    en="The order is {state}: this cannot be done with it now.",
)
PAYMENT_TOO_LARGE = declare(
    "settlement.payment-too-large",
    status=422,
    zh="单笔付款不得超过 {limit} 元。",
    en="No single payment can be above {limit} yuan.",
)
ORDER_WAY_CHANGED = declare(
    "settlement.order-way-changed",
    status=409,
    zh="提出之后付款方式或复审限额的约定已变化：请退回后重新提出。",
    en="The terms have another way of paying, or another limit, than when this was proposed: propose it again.",
)
ORDER_EXISTS = declare(
    "settlement.order-exists", status=409, zh="该款项已有支付指令。", en="There is an order for this already."
)
ORDER_REPEATED = declare(
    "settlement.order-repeated", status=409, zh="该支付指令已重新提出。", en="This order was repeated already."
)
NOTHING_OUTSTANDING = declare(
    "settlement.nothing-outstanding", status=409, zh="该款项已付清。", en="Nothing of it is still to be paid."
)
NOT_PAYER_OF_ORDER = declare(
    "settlement.not-payer-of-order",
    status=403,
    zh="{party} 不是付款方。",
    en="{party} is not the one who pays.",
)
REVIEW_MISSING = declare(
    "settlement.review-missing",
    status=409,
    zh="该金额须先复审，再审批。",
    en="An order of this amount is reviewed before it is approved.",
)
REVIEW_NOT_NEEDED = declare(
    "settlement.review-not-needed",
    status=409,
    zh="该金额无须复审，可直接审批。",
    en="An order of this amount needs no review: it can be approved.",
)
ACCOUNT_MISSING = declare(
    "settlement.account-missing",
    status=409,
    zh="{party} 没有登记已批准的银行账户。",
    en="No approved bank account of {party} is on file.",
)
ACCOUNT_UNKNOWN = declare(
    "settlement.account-unknown", status=404, zh="没有登记该银行账户。", en="There is no such bank account on file."
)
ACCOUNT_CHANGED = declare(
    "settlement.account-changed",
    status=409,
    zh="待批准的银行账户为第 {version_no} 版，请核对后重新办理。",
    en="What waits for its approval is version {version_no}: look at that one first.",
)
ACCOUNT_INVALID = declare(
    "settlement.account-invalid", status=422, zh="银行账号不正确。", en="This is no number of an account or card."
)
BANK_CODE_INVALID = declare(
    "settlement.bank-code-invalid", status=422, zh="银行行号须为 12 位数字。", en="A bank's number has twelve digits."
)
ACCOUNT_TAKEN = declare(
    "settlement.account-taken",
    status=409,
    zh="该银行账户已登记在另一方名下。",
    en="This account is on file for another party.",
)
ACCOUNT_WAITS = declare(
    "settlement.account-waits",
    status=409,
    zh="已有一个账户变更待批准。",
    en="Another change of the account waits for its approval.",
)
BANK_ITEM_UNKNOWN = declare(
    "settlement.bank-item-unknown", status=404, zh="没有该银行待办。", en="There is no such item of the bank."
)
BANK_ITEM_CLOSED = declare(
    "settlement.bank-item-closed", status=409, zh="该银行待办已办结。", en="The item is closed already."
)

ENTRY_UNKNOWN = declare(
    "settlement.entry-unknown", status=404, zh="没有该银行流水。", en="There is no such movement of a bank account."
)
IDENTIFICATION_UNKNOWN = declare(
    "settlement.identification-unknown", status=404, zh="没有该查实。", en="There is no such identification."
)
IDENTIFICATION_TARGET = declare(
    "settlement.identification-target",
    status=422,
    zh="须且只须说明一项：支付指令、应收款、退回的流水或款项性质。",
    en="Name exactly one: an order, what was owed, the movement that took it back, or the nature of the money.",
)
IDENTIFICATION_DECIDED = declare(
    "settlement.identification-decided",
    status=409,
    zh="该查实已处理（{state}）。",
    en="This identification is {state} already.",
)
MOVEMENT_NOT_YOURS = declare(
    "settlement.movement-not-yours",
    status=403,
    zh="该流水不在 {party} 管理的账户上。",
    en="This is no movement of an account that {party} keeps.",
)
MOVEMENT_KNOWN = declare(
    "settlement.movement-known",
    status=409,
    zh="该流水已入账，或已在查实。",
    en="The movement is on no suspense account, or is being identified already.",
)
MOVEMENT_NOT_OF_IT = declare(
    "settlement.movement-not-of-it",
    status=422,
    zh="流水的方向与账户不符：应由 {payer} 付给 {payee}。",
    en="The movement does not go from {payer} to {payee}.",
)
MOVEMENT_AMOUNT = declare(
    "settlement.movement-amount",
    status=422,
    zh="金额不符：应为 {amount_fen} 分。",
    en="The amount is another one: {amount_fen} fen can be identified so.",
)
MOVEMENT_OF_ORDER = declare(
    "settlement.movement-of-order",
    status=409,
    zh="该款项有发往银行的支付指令，请按支付指令查实。",
    en="An order of it goes to the bank: identify the movement as one of that order.",
)
MOVEMENT_SAME_SIDE = declare(
    "settlement.movement-same-side",
    status=422,
    zh="两笔流水须一借一贷。",
    en="One of the two must be a debit and the other a credit.",
)
MOVEMENT_OTHER_ACCOUNT = declare(
    "settlement.movement-other-account",
    status=422,
    zh="两笔流水须在同一账户上。",
    en="Both movements must be on one account.",
)
MOVEMENT_NATURE = declare(
    "settlement.movement-nature",
    status=422,
    zh="流水的方向与款项性质不符：{nature}（利息为收入，手续费为支出）。",
    en="The money goes the wrong way for {nature}: interest comes in, charges go out.",
)
DEBT_UNKNOWN = declare(
    "settlement.debt-unknown",
    status=404,
    zh="没有该应收款，或本方不是其收付款方。",
    en="There is no such debt of or to your party.",
)

# Payouts to persons

PAYOUT_UNKNOWN = declare("settlement.payout-unknown", status=404, zh="没有该待遇支付。", en="There is no such payout.")
PAYOUT_EXISTS = declare(
    "settlement.payout-exists",
    status=409,
    zh="该来源单据已有待遇支付。",
    en="There is a payout for this document already.",
)
PAYOUT_STATE = declare(
    "settlement.payout-state",
    status=409,
    zh="待遇支付当前状态为 {state}，不能进行此操作。",
    en="The payout is {state}: this cannot be done with it now.",
)
PAYOUT_NOT_RELEASED = declare(
    "settlement.payout-not-released",
    status=409,
    zh="按批量支付日历，{day} 起方可付款。",
    en="By the calendar of the batches it is paid from {day} on.",
)
PAPER_MISSING = declare(
    "settlement.paper-missing", status=422, zh="缺少材料：{paper}。", en="A paper is missing: {paper}."
)
AGENT_WRONG = declare(
    "settlement.agent-wrong",
    status=422,
    zh="代领时必须填写代领人姓名，其他情形不得填写。",
    en="The agent is named when there is one, and only then.",
)
CARD_UNKNOWN = declare(
    "settlement.card-unknown", status=409, zh="没有待批准的银行卡变更。", en="No new card waits for its approval."
)
HOLDER_NOT_PERSON = declare(
    "settlement.holder-not-person",
    status=422,
    zh="本人银行卡的户名须与参保人姓名一致。",
    en="The holder of a card of the person's own must have the person's name.",
)
FUND_UNKNOWN = declare(
    "settlement.fund-unknown", status=422, zh="没有基金支付类型 {code}。", en="There is no kind of fund {code}."
)
PERSONAL_NUMBER = declare(
    "settlement.personal-number",
    status=422,
    zh="此处不得填写证件号码或银行卡号。",
    en="This holds the number of an identity document or of a card, which must not stand here.",
)
CARD_CHANGED = declare(
    "settlement.card-changed",
    status=409,
    zh="银行卡已变更，现为第 {card_no} 张，请核对后重新办理。",
    en="The card has changed, it is number {card_no} now: look at that one first.",
)
PAYOUT_MONEY_LEFT = declare(
    "settlement.payout-money-left",
    status=409,
    zh="该待遇支付已有款项付出，不能作废。",
    en="Money has left for this payout: it cannot be cancelled.",
)
CANCELLATION_UNKNOWN = declare(
    "settlement.cancellation-unknown", status=404, zh="没有该作废申请。", en="There is no such cancellation."
)
CANCELLATION_WAITS = declare(
    "settlement.cancellation-waits",
    status=409,
    zh="该待遇支付已有待审批的作废申请。",
    en="A cancellation of this payout waits to be decided already.",
)
CANCELLATION_DECIDED = declare(
    "settlement.cancellation-decided",
    status=409,
    zh="该作废申请已处理（{state}）。",
    en="This cancellation has been decided already: {state}.",
)
PAYOUT_ORDERED = declare(
    "settlement.payout-ordered",
    status=409,
    zh="该待遇支付的付款指令 {order_id} 尚未了结，请先退回该指令。",
    en="Its payment order {order_id} is under way: stop that one first.",
)

# Objections

OBJECTION_UNKNOWN = declare(
    "settlement.objection-unknown", status=404, zh="没有该异议。", en="There is no such objection."
)
CASE_NOT_OBJECTABLE = declare(
    "settlement.case-not-objectable",
    status=409,
    zh="清算单当前状态为 {state}，不能提出异议。",
    en="The case is {state}: nobody objects to it now.",
)
CONFIRMED_ALREADY = declare(
    "settlement.confirmed-already",
    status=409,
    zh="本方已确认该清算单，不能再提出异议。",
    en="Your party has confirmed these numbers: it cannot object to them.",
)
BILL_NOT_IN_CASE = declare(
    "settlement.bill-not-in-case",
    status=422,
    zh="该结算单不在此清算单中。",
    en="This bill is not in the numbers of the case.",
)
BILL_CONTESTED = declare(
    "settlement.bill-contested",
    status=409,
    zh="该结算单已有未决异议。",
    en="An objection to this bill is open already.",
)
OBJECTION_REPEATED = declare(
    "settlement.objection-repeated",
    status=409,
    zh="对该结算单的异议已被驳回，不能再次提出。",
    en="Your objection to this bill was rejected: it is not raised again.",
)
OBJECTION_OPEN = declare(
    "settlement.objection-open",
    status=409,
    zh="本方的异议尚未处理，处理后再确认。",
    en="Your own objection is open: confirm once it is decided, or withdraw it.",
)
OBJECTION_NOT_YOURS = declare(
    "settlement.objection-not-yours",
    status=403,
    zh="须由 {party} 处理该异议。",
    en="It is for {party} to end this objection.",
)
OBJECTION_DECIDED = declare(
    "settlement.objection-decided",
    status=409,
    zh="该异议已处理（{state}）。",
    en="This objection has ended already: {state}.",
)

# Cycles and prepayments

CYCLE_UNKNOWN = declare("settlement.cycle-unknown", status=404, zh="没有该清算批次。", en="There is no such cycle.")
POSITION_UNKNOWN = declare(
    "settlement.position-unknown", status=404, zh="没有该净额头寸。", en="There is no such position."
)
PREPAYMENT_UNKNOWN = declare(
    "settlement.prepayment-unknown", status=404, zh="没有该预付金。", en="There is no such prepayment."
)
NOT_A_CLEARING_AGENCY = declare(
    "settlement.not-a-clearing-agency",
    status=403,
    zh="只有经办机构可以办理清算批次。",
    en="Only an agency cuts cycles.",
)
NOTHING_TO_CLEAR = declare(
    "settlement.nothing-to-clear",
    status=409,
    zh="没有已由各方确认且尚未付款的清算单。",
    en="No case is confirmed by all its parties and still unpaid.",
)
HOP_IN_POSITION = declare(
    "settlement.hop-in-position",
    status=409,
    zh="该笔款项已进入清算批次，随净额头寸支付。",
    en="A cycle took this hop: it is paid with its position.",
)
HOP_TO_BE_NETTED = declare(
    "settlement.hop-to-be-netted",
    status=409,
    zh="该清算单由市级经办机构按批次轧差清算，不单独付款。",
    en="The clearing agency nets this case in its next cycle: its hops are not paid by themselves.",
)
POSITION_NOT_YOURS = declare(
    "settlement.position-not-yours",
    status=403,
    zh="{party} 不是该头寸的付款方。",
    en="{party} is not the payer of this position.",
)
POSITION_WAITS = declare(
    "settlement.position-waits",
    status=409,
    zh="{payer} 的款项尚未到账。",
    en="The money of {payer} has not arrived yet.",
)
POSITION_NOT_OPEN = declare(
    "settlement.position-not-open",
    status=409,
    zh="该头寸当前状态为 {state}。",
    en="The position is {state}.",
)
POSITION_NOT_OVERDUE = declare(
    "settlement.position-not-overdue",
    status=409,
    zh="该头寸尚未逾期。",
    en="The position is not overdue.",
)
POSITION_OF_FACILITY = declare(
    "settlement.position-of-facility",
    status=409,
    zh="定点医药机构应付的头寸只能收回，不适用未上解处理。",
    en="What a facility owes is collected from it: no rule for agencies applies.",
)
CASES_RELIED_ON = declare(
    "settlement.cases-relied-on",
    status=409,
    zh="该头寸的清算单已被其他款项抵用，不能退出本批次。",
    en="Others were paid relying on the cases of this position: none of them can leave the cycle.",
)
AVAILABLE_IN_FULL = declare(
    "settlement.available-in-full",
    status=422,
    zh="可付金额不少于该头寸的金额，请按全额付款。",
    en="What is available pays the whole position: order it in full.",
)
DRAW_MISSING = declare(
    "settlement.draw-missing",
    status=409,
    zh="该头寸没有待审批的预付金抵付。",
    en="Nobody proposed to pay this position out of the prepayment, or it was decided.",
)
BANK_ITEM_ON_SUSPENSE = declare(
    "settlement.bank-item-on-suspense",
    status=409,
    zh="该笔资金仍在暂收暂付科目，须查实后入账，不能仅作说明。",
    en="This money is still on suspense: say what it was by identifying it, not by a word.",
)
AVAILABLE_MISSING = declare(
    "settlement.available-missing",
    status=422,
    zh="该区域约定部分拨付，须说明可付金额。",
    en="By the terms of the region it pays in part: say how much.",
)
PREPAYMENT_SELF = declare(
    "settlement.prepayment-self",
    status=422,
    zh="预付金须在两个经办机构之间。",
    en="A prepayment is between two agencies.",
)
PREPAYMENT_YEAR = declare(
    "settlement.prepayment-year",
    status=422,
    zh="{year} 年尚不能核定，或早于现行核定年度。",
    en="The level of {year} cannot be set now.",
)
PREPAYMENT_PENDING = declare(
    "settlement.prepayment-pending",
    status=409,
    zh="该预付金已有未完成的变动。",
    en="A movement of this prepayment is not finished yet.",
)
TOP_UP_NOT_YOURS = declare(
    "settlement.top-up-not-yours",
    status=403,
    zh="{party} 不是该笔预付金追加的当事方。",
    en="{party} is no party of this top-up, or not the one this is for.",
)
TOP_UP_BY_LEVEL = declare(
    "settlement.top-up-by-level",
    status=409,
    zh="该笔变动由年度核定产生，须支付，不能撤回或退回。",
    en="The level of the year asks for this movement: it is to be paid.",
)
MOVEMENT_UNKNOWN = declare(
    "settlement.movement-unknown", status=404, zh="没有该预付金变动。", en="There is no such movement."
)
TASK_UNKNOWN = declare(
    "settlement.task-unknown", status=404, zh="本方没有该待办。", en="Nothing of that name is due for your party."
)

# Archived years

BILL_ARCHIVED = declare(
    "settlement.bill-archived",
    status=409,
    zh="该结算单随 {year} 年及以前的账已归档：须先恢复归档方可查询。",
    en="The bill was archived with the books until {year}: it can be looked at when that year is restored.",
)
BOOKS_ARCHIVED = declare(
    "settlement.books-archived",
    status=409,
    zh="{year} 年及以前的账已归档：可查询其后的时点和期间。",
    en="The books until {year} are archived: ask for a moment or month after that year, or have it restored.",
)
ARCHIVE_NOT_OLDEST = declare(
    "settlement.archive-not-oldest",
    status=409,
    zh="{year} 年不能归档：在库最早的年度是 {oldest}。",
    en="{year} cannot be archived: the oldest year in the database is {oldest}.",
)
ARCHIVE_TOO_EARLY = declare(
    "settlement.archive-too-early",
    status=409,
    zh="{year} 年自 {day} 起方可归档。",
    en="{year} may be archived from {day} on.",
)
ARCHIVE_CASES_OPEN = declare(
    "settlement.archive-cases-open",
    status=409,
    zh="尚有 {count} 张清算单未办结。",
    en="{count} cases with bills of it are not closed.",
)
ARCHIVE_ITEMS_OPEN = declare(
    "settlement.archive-items-open", status=409, zh="尚有 {count} 个待办。", en="{count} work items of it are open."
)
ARCHIVE_OBJECTIONS_OPEN = declare(
    "settlement.archive-objections-open",
    status=409,
    zh="尚有 {count} 个异议未处理。",
    en="{count} objections to its cases are open.",
)
ARCHIVE_STATEMENTS_OPEN = declare(
    "settlement.archive-statements-open",
    status=409,
    zh="尚有 {count} 份汇总表待重新比对。",
    en="{count} statements of it wait to be compared again.",
)
ARCHIVE_UNSEALED = declare(
    "settlement.archive-unsealed",
    status=409,
    zh="尚有 {count} 笔账未入哈希链。",
    en="{count} transactions of it are not in the chain.",
)
ARCHIVE_UNPROVEN = declare(
    "settlement.archive-unproven",
    status=409,
    zh="账簿与哈希链或总账不符：须先验账。",
    en="The books do not agree with their chain or their proof: verify the ledger first.",
)
ARCHIVE_SAME_PERSON = declare(
    "settlement.archive-same-person", status=422, zh="须写明两名不同的经办人。", en="Name two people, not one."
)
ARCHIVE_NOT_NEWEST = declare(
    "settlement.archive-not-newest",
    status=409,
    zh="{year} 年不是最近的归档：最近的归档年度是 {newest}。",
    en="{year} is not the newest archive: that is {newest}.",
)
ARCHIVE_UNKNOWN = declare(
    "settlement.archive-unknown", status=404, zh="{year} 年没有归档。", en="{year} is not archived."
)
ARCHIVE_DROPPED = declare(
    "settlement.archive-dropped",
    status=409,
    zh="{year} 年的原分区已经删除。",
    en="What was taken out of the tables of {year} was dropped already.",
)
ARCHIVE_FILES_WRONG = declare(
    "settlement.archive-files-wrong",
    status=409,
    zh="归档文件 {file} 与归档记录或哈希链不符。",
    en="The file {file} is not what the archive or the chain says.",
)
ARCHIVE_IN_USE = declare(
    "settlement.archive-in-use",
    status=409,
    zh="账表正在使用：稍后再试。",
    en="Others are at work on the tables: try again later.",
)
WITHHOLDING_UNKNOWN = declare(
    "settlement.withholding-unknown", status=404, zh="没有该扣留单。", en="There is no such withholding."
)
WITHHOLDING_DECIDED = declare(
    "settlement.withholding-decided",
    status=409,
    zh="该扣留单已办结（{state}）。",
    en="The withholding was decided already: {state}.",
)
DEDUCTION_UNKNOWN = declare(
    "settlement.deduction-unknown",
    status=404,
    zh="没有本机构对该医药机构已批准的扣款。",
    en="There is no approved deduction of this facility by your agency.",
)
RETURN_TOO_LARGE = declare(
    "settlement.return-too-large",
    status=422,
    zh="退回超过该扣款尚可退回的 {left_fen} 分。",
    en="More than the {left_fen} fen that can still be given back of the deduction.",
)
RETENTION_YEAR_OPEN = declare(
    "settlement.retention-year-open",
    status=422,
    zh="{year} 年尚未结束，不能办理年度考核返还。",
    en="{year} is not over: nothing of it is reviewed yet.",
)
RETENTION_UNSETTLED = declare(
    "settlement.retention-unsettled",
    status=409,
    zh="该年度尚有 {count} 个预留了质量保证金的净额头寸未结清。",
    en="{count} positions of the year of which something was retained are not settled.",
)
RETENTION_NOTHING = declare(
    "settlement.retention-nothing",
    status=422,
    zh="{year} 年没有预留该医药机构的质量保证金。",
    en="Nothing of what the facility was paid in {year} was retained.",
)
RETENTION_RELEASED = declare(
    "settlement.retention-released",
    status=409,
    zh="{year} 年质量保证金的返还已经提出或批准。",
    en="What was retained in {year} is released already, or proposed to be.",
)
SET_OFF_UNKNOWN = declare(
    "settlement.set-off-unknown", status=404, zh="没有该冲抵记录。", en="Nothing was set off by such a transaction."
)
