"""How each kind of step is said to each reader. Words only: numbers come from the step they are put into.

`{label}` is what the step made, `{result}` its value, `{a}` to `{d}` its operands with their names and `{va}` to `{vd}`
without, `{plus}`, `{minus}` and `{list}` all of them joined; `{facts}` what a choice was made by, `{formula}` the
formula with `{where}` its names' values, `{parts}` the division of a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

Reader: TypeAlias = Literal["patient", "officer", "machine"]
Pair: TypeAlias = tuple[str, str]
"""In Chinese and in English."""

OFFICER: Final[Mapping[str, Pair]] = {
    "find": ("{label}：{result}", "{label}: {result}"),
    "choose": ("{label}：按{facts}选定", "{label}: chosen by {facts}"),
    "skip": ("{label}：条件不成立，本层不支付{facts}", "{label}: its condition does not hold, nothing is paid{facts}"),
    "waive": ("{label}：免除{facts}", "{label}: waived{facts}"),
    "formula": ("{label} = {formula} = {result}{where}", "{label} = {formula} = {result}{where}"),
    "fen": ("{label}：{result}", "{label}: {result}"),
    "unit_price": ("{label}：每单位{result}", "{label}: {result} a unit"),
    "add": ("{label}：{va} + {vb} = {result}{facts}", "{label}: {va} + {vb} = {result}{facts}"),
    "times": ("{label}：{va} × {vb} = {result}{facts}", "{label}: {va} × {vb} = {result}{facts}"),
    "set": ("{label}：由{va}改为{result}{facts}", "{label}: {result} instead of {va}{facts}"),
    "at_least": ("{label}：{va}，不低于{vb}，为{result}", "{label}: {va}, at least {vb}: {result}"),
    "at_most": ("{label}：{va}，不高于{vb}，为{result}", "{label}: {va}, at most {vb}: {result}"),
    "complement": ("{label}：1 − {va} = {result}", "{label}: 1 − {va} = {result}"),
    "round": ("{label}：{va}四舍五入到{vb}，为{result}", "{label}: {va} rounded to {vb} is {result}"),
    "line": ("{label}：{parts}（先行自付比例{vb}）", "{label}: {parts} (pre-payment ratio {vb})"),
    "priced_line": (
        "{label}：{parts}（限价每单位{vb} × {vc}，先行自付比例{vd}）",
        "{label}: {parts} (ceiling {vb} a unit × {vc}, pre-payment ratio {vd})",
    ),
    "out_line": ("{label}：{parts}（不在支付范围）", "{label}: {parts} (outside the scope)"),
    "stated_line": ("{label}：{parts}（按明细所列）", "{label}: {parts} (as the line states)"),
    "limited_line": ("{label}：限额余额{vb}，计{parts}", "{label}: {vb} left of the limit, so {parts}"),
    "counted_line": ("{label}：数量{vb}，余量{vc}，计{parts}", "{label}: {vb} units, {vc} left, so {parts}"),
    "line_sum": ("{label}：各明细合计{result}", "{label}: {result}, the sum of the lines"),
    "basis": (
        "{label} = {formula} = {result}（不高于个人尚负担的{last}）{where}",
        "{label} = {formula} = {result} (no more than the {last} that is left){where}",
    ),
    "sum": ("{label} = {plus} = {result}", "{label} = {plus} = {result}"),
    "difference": ("{label} = {minus} = {result}", "{label} = {minus} = {result}"),
    "excess": ("{label} = {minus}，不低于 0，为{result}", "{label} = {minus}, not below 0: {result}"),
    "least": ("{label}：{list}，取最小{result}", "{label}: the least of {list}: {result}"),
    "room": ("{label} = {minus}，不低于 0，为{result}", "{label} = {minus}, not below 0: {result}"),
    "share": ("{label} = {a} × {vb} = {result}", "{label} = {a} × {vb} = {result}"),
    "share_down": (
        "{label} = {a} × {vb} = {result}（不足一分舍去）",
        "{label} = {a} × {vb} = {result} (parts of a fen dropped)",
    ),
    "multiple": ("{label} = {va} × {vb} = {result}", "{label} = {va} × {vb} = {result}"),
    "overlap": (
        "{label}：{va}至{vb}落在{vc}至{vd}的部分{result}",
        "{label}: of {va} to {vb} lie {result} within {vc} to {vd}",
    ),
    "behind": (
        "{label}：支付{va}所对应的费用，至多{vb}，为{result}",
        "{label}: the expense behind {va}, at most {vb}: {result}",
    ),
    "parts": ("{label}：{result}", "{label}: {result}"),
    "look": (
        "{label}（{b}由本层计算，其中{c}、{d}）：{result}",
        "{label} ({b} is this layer's, of which {c} and {d}): {result}",
    ),
    "absorb": ("{label}（减去{paid}）：{result}", "{label} (less {paid}): {result}"),
    "pick": ("{label}：{vb}合计{result}", "{label}: {vb}, together {result}"),
}
"""By kind of step."""

PATIENT: Final[Mapping[str, Pair]] = {
    "find": ("{label}为{result}。", "{label} is {result}."),
    "choose": ("{label}按{facts}选定。", "{label} is chosen by {facts}."),
    "skip": ("{layer}不适用于这张账单，没有支付。", "{layer} does not apply to this bill and pays nothing."),
    "waive": ("{layer}：您免起付线。", "{layer}: your deductible is waived."),
    "formula": ("{label}为{result}。", "{label} is {result}."),
    "fen": ("{label}为{result}。", "{label} is {result}."),
    "unit_price": ("{label}为每单位{result}。", "{label} is {result} a unit."),
    "add": ("{label}增加后为{result}。", "{label} is raised or lowered to {result}."),
    "times": ("{label}调整后为{result}。", "{label} is adjusted to {result}."),
    "set": ("{label}改为{result}。", "{label} becomes {result}."),
    "at_least": ("{label}不低于{vb}，为{result}。", "{label} is at least {vb}, so {result}."),
    "at_most": ("{label}不高于{vb}，为{result}。", "{label} is at most {vb}, so {result}."),
    "complement": ("{label}为{result}。", "{label} is {result}."),
    "round": ("{label}取整为{result}。", "{label} is {result}, rounded."),
    "line": ("{label}：{parts}。", "{label}: {parts}."),
    "priced_line": ("{label}：{parts}。", "{label}: {parts}."),
    "out_line": ("{label}：{parts}。", "{label}: {parts}."),
    "stated_line": ("{label}：{parts}。", "{label}: {parts}."),
    "limited_line": ("{label}有限额：{parts}。", "{label} is limited: {parts}."),
    "counted_line": ("{label}有数量限制：{parts}。", "{label} is limited in number: {parts}."),
    "line_sum": ("{label}共{result}。", "{label}: {result} in all."),
    "basis": ("{layer}可计算的费用为{result}。", "{layer} looks at {result}."),
    "sum": ("{label}为{result}。", "{label} is {result}."),
    "difference": ("{label}为{result}。", "{label} is {result}."),
    "excess": ("{label}为{result}。", "{label} is {result}."),
    "least": ("{label}为{result}。", "{label} is {result}."),
    "room": ("{label}为{result}。", "{label} is {result}."),
    "share": ("{layer}对{va}按{vb}支付，即{result}。", "{layer} pays {vb} of {va}, that is {result}."),
    "share_down": ("{layer}对{va}按{vb}支付，即{result}。", "{layer} pays {vb} of {va}, that is {result}."),
    "multiple": ("{label}为{va} × {vb} = {result}。", "{label} is {va} × {vb} = {result}."),
    "overlap": ("{label}为{result}。", "{label} is {result}."),
    "behind": ("{label}为{result}。", "{label} is {result}."),
    "parts": ("您的负担包括：{result}。", "You bear: {result}."),
    "look": ("您的负担包括：{result}。", "You bear: {result}."),
    "absorb": ("您的负担包括：{result}。", "You bear: {result}."),
    "pick": ("{label}为{result}。", "{label} is {result}."),
}
"""By kind of step."""

PATIENT_QUANTITIES: Final[Mapping[str, Pair]] = {
    "total": ("您的费用共{result}。", "Your bill is {result}."),
    "own": ("其中{result}不在医保支付范围，由您自费。", "{result} of it is outside the scope; you pay it yourself."),
    "over_ceiling": (
        "其中{result}超过医保支付标准，由您负担。",
        "{result} of it is above the price ceilings; you pay it.",
    ),
    "prepay": ("部分项目须先由您自付，共{result}。", "Of some items you first pay a part yourself: {result}."),
    "in_scope": ("医保政策范围内的费用为{result}。", "{result} is in scope of the insurance."),
    "over_limit": (
        "{layer}：超过费用限额的{result}本层不支付。",
        "{layer}: {result} is over its limit of the expense, which it does not pay.",
    ),
    "deductible": ("{layer}：起付线内的{result}由您负担。", "{layer}: you first pay the deductible, {result}."),
    "relief": (
        "{layer}：您的负担已达封顶，超出的{result}由基金承担。",
        "{layer}: your burden has reached its ceiling; the fund takes {result} over.",
    ),
    "fund": ("{layer}支付{result}。", "{layer} pays {result}."),
    "by_ratio": ("{layer}：按比例由您负担{result}。", "{layer}: your share by ratio is {result}."),
    "over_cap": (
        "{layer}：超过最高支付限额的{result}本层不支付。",
        "{layer}: {result} is over its cap, which it does not pay.",
    ),
    "facility": ("{layer}：{result}由医院负担。", "{layer}: the hospital bears {result}."),
    "surplus": ("{layer}：定额结余{result}。", "{layer}: {result} of the fixed amount is left and paid out."),
    "account": ("个人账户支付{result}。", "{result} is paid from your account."),
    "family": ("家庭共济账户支付{result}。", "{result} is paid from your family's account."),
    "cash": ("您还需现金支付{result}。", "You pay {result} in cash."),
}
"""What a patient is told of these quantities, whatever their arithmetic; nothing when they are 0."""

PATIENT_SUMS: Final[Mapping[str, Pair]] = {
    "fund": ("各支付方共支付{result}。", "The payers together pay {result}."),
    "person": ("您个人共负担{result}。", "You bear {result} in all."),
    "hospital": ("医院负担{result}。", "The hospital bears {result}."),
    "later": ("其中{result}事后支付给您。", "{result} of it is paid back to you later."),
}
"""The same of the bill's sums."""

PATIENT_FUNDS: Final[Mapping[str, Pair]] = {
    "capped": (
        "{layer}受最高支付限额所限，实际支付{result}。",
        "{layer} has a cap, so that it really pays {result}.",
    ),
    "later": ("{layer}事后由{payer}支付{result}。", "{layer} pays {result} later, through {payer}."),
}
"""The same of what a layer pays, when its cap cut it, or when it pays later."""

SINGLE: Final[Mapping[str, Pair]] = dict.fromkeys(
    ("sum", "difference", "excess", "least", "room"), ("{label} = {list}", "{label} = {list}")
)
"""What an officer is told of sums and the like when they have one operand only."""

NOTHING: Final[Pair] = ("{label}：{result}", "{label}: {result}")
"""When they have none."""

ZEROS: Final[Mapping[str, Pair]] = {
    "basis": ("没有可由本层支付的费用", "there is no expense for it to look at"),
    "limited": ("费用限额已用完", "the limit of the expense is used up"),
    "eligible": ("费用没有超过起付线", "the expense does not exceed the deductible"),
    "share": ("支付比例为 0", "the ratio is 0"),
    "fund": ("最高支付限额已用完", "the cap is used up"),
}
"""Why a layer pays nothing: the first of its quantities, in this order, that came to 0."""

TEXTS: Final[Mapping[str, Pair]] = {
    "lines": ("费用明细与范围", "Lines and what is in scope"),
    "bill": ("账单", "Bill"),
    "question": ("计算", "Calculation"),
    "benefit": ("适用待遇", "The benefit"),
    "nobody": ("承办机构", "its insurer"),
    "result": ("个人负担与支付", "The person's burden and how it is paid"),
    "pays_nothing": ("{layer}未支付：{why}。", "{layer} pays nothing: {why}."),
    "not_paid": ("不予支付：{why}（{code}）。", "Nothing is paid: {why} ({code})."),
    "undecided": ("不能决定：{why}（{code}）。", "Cannot be decided: {why} ({code})."),
    "reverses": (
        "冲正账单 {bill}：其各项支付、累计与账户余额全部退回。",
        "Reverses the bill {bill}: all it paid, counted and took from accounts is given back.",
    ),
    "no_layer": ("没有任何一层支付。", "No payer pays anything."),
    "clauses": ("依据", "Clauses"),
    "illustrative": ("本政策包为示例。", "This pack is illustrative."),
    "pack": ("按政策包 {pack} {version} 计算。", "Decided by pack {pack} {version}."),
    "expected": ("应为 {wanted}，得 {got}：{ok}", "must be {wanted}, is {got}: {ok}"),
    "ok": ("相符", "as expected"),
    "off": ("不符", "NOT as expected"),
    "facts": ("（{facts}）", " ({facts})"),
    "where": ("，其中 {where}", ", where {where}"),
    "whole": ("全部", "all of it"),
    "then": ("之后", "onwards"),
    "answer": ("{label}：{result}", "{label}: {result}"),
    "why": ("为什么由我支付", "Why do I pay this"),
    "working": ("计算过程", "The working"),
    "title": ("结算说明", "Explanation of a settlement"),
}
