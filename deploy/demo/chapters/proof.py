"""Chapter 6: what each party owed, paid and received, and the proof that nothing is missing and nothing is twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from deploy.demo.client import each, until
from deploy.demo.scene import Accepted, Scene
from shared.money import yuan
from shared.settings import SERVICES

_ZERO_COUNTS = (
    "books_off",
    "transactions_off",
    "mirror_off",
    "bills_unbooked",
    "case_numbers_off",
    "hops_off",
    "chains_off",
    "payments_off",
    "payments_unbooked",
    "classes_off",
    "unknown_reversals_count",
    "unequal_reversals_count",
)


_PAYOUT_MESSAGES = 2
"""That the bank refused the card, and that it was paid."""


@dataclass(slots=True)
class Position:
    """What one party owes and is owed for the month, counted from the answers at the windows. Fen."""

    owed_fen: int = 0
    owing_fen: int = 0
    borne_fen: int = 0


async def play(scene: Scene) -> None:
    """Books against answers: every bill once, every party's sums, the ledger zero, every case closed."""
    scene.stage.chapter("6 · 证明 The proof")
    await _check_bills(scene)
    await _check_parties(scene)
    await _check_proof(scene)
    await _check_messages(scene)


async def _check_bills(scene: Scene) -> None:
    """Every accepted bill is in the books exactly once, to the fen, and no refused one is."""
    nation = scene.nation
    cases = await nation.pages("settlement", "/v1/cases")
    booked: list[dict[str, Any]] = []

    async def read(case: dict[str, Any]) -> None:
        booked.extend(await nation.pages("settlement", f"/v1/cases/{case['case_id']}/bills"))

    await each(cases, read)
    in_books = Counter((b["settlement_id"], b["total_fen"], b["fund_fen"], b["account_fen"]) for b in booked)
    answered = Counter(
        (a.settlement_id, a.view["total_fen"], a.view["fund_fen"], a.view["account_fen"]) for a in scene.accepted
    )
    differing = [
        f"{key[0]}: answered {answered[key]} times, booked {in_books[key]} times"
        for key in in_books.keys() | answered.keys()
        if (answered[key], in_books[key]) != (1, 1)
    ]
    checks = scene.checks
    checks.none(f"each of {len(scene.accepted):,} accepted bills is in the books exactly once 一单一账", differing)
    numbers = {b["facility_settlement_no"] for b in booked}
    left = [bill.settlement_no for bill in scene.world.bills if bill.refusal and bill.settlement_no in numbers]
    checks.none("no refused bill left anything 被拒无痕", left)
    open_ = [f"{case['case_id']} is {case['state']}" for case in cases if case["state"] != "closed"]
    checks.none(f"all {len(cases)} cases are closed 全部结清", open_)
    negative = [case["case_id"] for case in cases if case["payable_fen"] < 0]
    checks.none("no case of the month is negative", negative)


def positions(scene: Scene, accepted: Iterable[Accepted]) -> dict[str, Position]:
    """What the bills make each party owe and be owed: every party of a chain owes the one before it."""
    found: dict[str, Position] = {}
    for bill in accepted:
        parties = (bill.facility_code, *scene.regions.chain(bill.view["care_region"], bill.view["home_region"]))
        for creditor, debtor in pairwise(parties):
            found.setdefault(creditor, Position()).owed_fen += bill.payable_fen
            found.setdefault(debtor, Position()).owing_fen += bill.payable_fen
        found[parties[-1]].borne_fen += bill.payable_fen
    return found


async def _check_parties(scene: Scene) -> None:
    """The table of the month, from the books, against the answers."""
    nation = scene.nation
    summary = await nation.get("settlement", f"/v1/periods/{scene.world.period}/summary")
    books = {row["party"]: row for row in summary["parties"]}
    expected = positions(scene, scene.accepted)
    names = ("owed_fen", "owing_fen", "borne_fen", "paid_fen", "received_fen")
    rows = [
        (scene.name(party), party, *(yuan(row[name]) for name in names))
        for party, row in sorted(books.items(), key=lambda item: (item[0].isdigit(), item[0]))
    ]
    sums = (yuan(sum(row[name] for row in books.values())) for name in names)
    rows.append(("合计 together", "", *sums))
    columns = ("party", "code", "应收 owed", "应付 owing", "承担 borne", "已付 paid", "已收 received")
    scene.stage.table(
        f"{scene.world.period} 各方收付 What each party owed, paid and received", columns, rows, right=range(2, 7)
    )
    wrong = []
    for party in books.keys() | expected.keys():
        position, row = expected.get(party, Position()), books.get(party, dict.fromkeys(names, 0))
        due = (position.owed_fen, position.owing_fen, position.borne_fen, position.owing_fen, position.owed_fen)
        if due != tuple(row[name] for name in names):
            wrong.append(f"{party}: expected {due}, found {tuple(row[name] for name in names)}")
    scene.checks.none("every party paid what it owed and received what it was owed, to the fen 收付两清", wrong)
    paid, received = (sum(row[name] for row in books.values()) for name in ("paid_fen", "received_fen"))
    scene.checks.equal("what was paid is what was received 付=收", paid, received)


async def _check_proof(scene: Scene) -> None:
    """The database's own sums against those of the answers."""
    proof = await scene.services.operator().get("settlement", "/v1/proof")
    checks, accepted = scene.checks, scene.accepted
    sums = {name: sum(a.view[name] for a in accepted) for name in ("total_fen", "fund_fen", "account_fen")}
    rows = [
        ("bills and reversals", f"{len(accepted):,}", f"{proof['bills']:,}"),
        ("医疗费总额 total", yuan(sums["total_fen"]), yuan(proof["bills_total_fen"])),
        ("基金支付 fund", yuan(sums["fund_fen"]), yuan(proof["bills_fund_fen"])),
        ("参保地承担 borne at home", yuan(sums["fund_fen"] + sums["account_fen"]), yuan(proof["ledger_borne_fen"])),
        ("机构收入 facilities' income", yuan(sums["fund_fen"] + sums["account_fen"]), yuan(proof["ledger_income_fen"])),
    ]
    scene.stage.table("窗口与账本 Windows against books", ("", "claims answered", "books hold"), rows, right=(1, 2))
    checks.none("the windows' sums are the books' sums 结算=记账", [row[0] for row in rows if row[1] != row[2]])
    books = f"{len(proof['books'])} books, {proof['entries']:,} entries"
    checks.equal(f"the ledger sums to zero 账本归零 ({books})", proof["ledger_sum_fen"], 0)
    checks.equal("nobody owes anybody anything any more", (proof["receivable_fen"], proof["payable_fen"]), (0, 0))
    wrong = [f"{name} {proof[name]}" for name in _ZERO_COUNTS if proof[name]]
    wrong += [f"{book['book']} sums to {book['sum_fen']}" for book in proof["books"] if book["sum_fen"]]
    checks.none("every identity of the books holds", wrong)
    checks.equal("and the service says so itself", proof["holds"], True)


async def _check_messages(scene: Scene) -> None:
    """Nothing was given up on: no message failed, no event was set aside, and each bill was told of once."""
    operator = scene.services.operator()

    async def none_pending() -> bool:
        return not await operator.pages("notification", "/v1/messages", state="pending")

    await until("all messages are sent", none_pending, within_s=60, every_s=0.5)
    failed = await operator.pages("notification", "/v1/messages", state="failed")
    scene.checks.none("no message failed 无失败通知", [f"{m['template']} {m['failure']}" for m in failed])
    set_aside = [f"{s}: {n}" for s in SERVICES if (n := await scene.counted(s, "sifang_dead_letters"))]
    scene.checks.none("no event was set aside 无死信", set_aside)
    if scene.sms_file is not None:
        taken = {json.loads(line)["message_id"] for line in scene.sms_file.read_text(encoding="utf-8").splitlines()}
        due = len(scene.accepted) + len(scene.world.filings) + 1 + _PAYOUT_MESSAGES
        scene.checks.equal(
            "one text message for each bill, each filing, and what became of the payout 逐单通知", len(taken), due
        )
