"""The national clearing states (清算状态, clr_stas) and ours: one code for each, and why some have none. Pure."""

from __future__ import annotations

from services.settlement.rules.cases import Case, HopState, State
from services.settlement.rules.orders import OrderState

NAMES = {
    "0": "未申报",
    "10": "已申报",
    "20": "申请已受理",
    "30": "正在审核",
    "40": "审核完成",
    "50": "已清算",
    "60": "已拨付",
    "70": "结算制单审核",
    "80": "结算汇总",
    "90": "结算汇总审核",
    "100": "结算二次汇总",
    "101": "结算二次汇总领导审签",
    "110": "财务汇总",
    "111": "财务拨付复核",
    "112": "财务拨付审核",
    "113": "财务拨付审签",
    "120": "银行报盘",
}
"""All codes with their names (facts §2.1)."""

BY_STATE = {
    State.OPEN: "0",
    State.SUBMITTED: "10",
    State.DIFFERENCES: "30",
    State.MATCHED: "40",
    State.CONFIRMED: "50",
    State.REMITTING: "110",
    State.DISBURSING: "110",
    State.CLOSED: "60",
}
"""The code of a case while no payment of its next hop is under way."""

IN_CYCLE = "80"
"""A cycle took the next hop: it is paid together with others."""

BY_ORDER = {
    OrderState.PROPOSED: "111",
    OrderState.REVIEWED: "112",
    OrderState.APPROVED: "113",
    OrderState.SENDING: "120",
    OrderState.SENT: "120",
}
"""The code of a case while the payment of its next hop is under way."""

WITHOUT_STATE = {
    "20": "a statement is accepted in the step that submits it",
    "70": "bills are booked one by one: no voucher is made of them by hand",
    "90": "what a cycle sums up follows from what was confirmed, and is not reviewed by itself",
    "100": "a cycle sums up once, however many agencies it passes",
    "101": "the signature is that of the payment order",
}
"""Codes that no case has, and why."""


def clr_stas(case: Case, order: OrderState | None = None) -> str:
    """The national code of a case; `order` is the state of its next hop's payment order, where there is one."""
    hop = case.next_hop
    if hop is None or case.state is State.CLOSED:
        return BY_STATE[case.state]
    if hop.state is HopState.IN_POSITION:
        return IN_CYCLE
    if hop.state is HopState.PROPOSED:
        return BY_ORDER.get(order or OrderState.PROPOSED, BY_STATE[case.state])
    return BY_STATE[case.state]
