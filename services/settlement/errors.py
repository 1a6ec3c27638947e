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
    zh="只有定点机构可以提出异议。",
    en="Only the facility disputes.",
)
NOTHING_TO_APPROVE = declare(
    "settlement.nothing-to-approve",
    status=409,
    zh="没有待批准的处理意见。",
    en="Nothing waits for approval.",
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
