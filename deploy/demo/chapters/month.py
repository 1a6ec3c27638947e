"""Chapter 3: a month of bills, local and remote, sent by all facilities at once, with reversals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from statistics import quantiles
from typing import Any

from deploy.demo.client import AT_ONCE, Reply, each, until
from deploy.demo.generator import INPATIENT, Bill
from deploy.demo.scene import EVENING, Accepted, Scene
from shared.money import yuan

_IDENTITIES = (
    ("total_fen", ("fund_fen", "person_fen", "hospital_fen")),
    ("person_fen", ("account_fen", "cash_fen")),
    ("total_fen", ("own_fen", "prepay_fen", "in_scope_fen")),
    ("in_scope_fen", ("deductible_fen", "fund_fen", "by_ratio_fen", "over_cap_fen")),
)
"""What must add up in every settlement."""


class Month:
    """Sends the month's bills and remembers what is wrong with the answers."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._visits: dict[int, str] = {}
        """Visits of stays, by the bill's number."""
        self._settled: dict[int, Accepted] = {}
        self.wrong: list[str] = []
        self.refused = 0

    async def settle(self, bill: Bill) -> None:
        """Settle a bill, as a HIS does by its kind."""
        reply = await (self._stay(bill) if bill.kind == INPATIENT else self._one_call(bill))
        self._scene.settle_ms.append(reply.ms)
        if bill.refusal is not None:
            self.refused += 1
            if bill.refusal not in reply.codes:
                self.wrong.append(f"{bill.settlement_no}: expected {bill.refusal}, found {reply.status} {reply.codes}")
        elif reply.status != 201:
            self.wrong.append(f"{bill.settlement_no}: expected 201, found {reply.status} {reply.codes}")
        else:
            self._settled[bill.number] = self._accept(bill, reply.body)
            self.wrong += wrong_amounts(bill, reply.body)

    def _accept(self, bill: Bill, view: dict[str, Any]) -> Accepted:
        accepted = Accepted(bill, view)
        self._scene.accepted.append(accepted)
        return accepted

    async def _one_call(self, bill: Bill) -> Reply:
        his = self._scene.facility(bill.facility_code)
        key = f"{bill.facility_code}-{bill.settlement_no}"
        return await his.ask("POST", "claims", "/v1/settlements", body=bill.one_call_body(), key=key, refusable=True)

    async def _stay(self, bill: Bill) -> Reply:
        """Admission, lines, discharge; refused where the stay is."""
        his = self._scene.facility(bill.facility_code)
        admitted = await his.ask("POST", "claims", "/v1/visits", body=bill.admission_body(), refusable=True)
        if admitted.status != 201:
            return admitted
        visit_id = self._visits[bill.number] = admitted.body["visit_id"]
        for batch in bill.line_batches(size=20):
            await his.post("claims", f"/v1/visits/{visit_id}/fee-lines", batch)
        return await self._discharge(bill, bill.settlement_no)

    async def _discharge(self, bill: Bill, settlement_no: str) -> Reply:
        path = f"/v1/visits/{self._visits[bill.number]}/settlement"
        return await self._scene.facility(bill.facility_code).ask(
            "POST",
            "claims",
            path,
            body=bill.discharge_body(settlement_no),
            key=f"{bill.facility_code}-{settlement_no}",
            refusable=True,
        )

    async def reverse(self, bill: Bill) -> None:
        """Reverse a settlement; a stay is settled anew, or cancelled."""
        original = self._settled.get(bill.number)
        if original is None:
            self.wrong.append(f"{bill.settlement_no}: expected to be settled before it is reversed, found it was not")
            return
        his = self._scene.facility(bill.facility_code)
        path = f"/v1/settlements/{original.settlement_id}/reversal"
        key = f"{bill.facility_code}-{bill.settlement_no}R"
        reversal = await his.post("claims", path, bill.reversal_body(), key=key)
        self._accept(bill, reversal)
        self.wrong += wrong_reversal(original.view, reversal)
        if bill.settled_again:
            again = await self._discharge(bill, f"{bill.settlement_no}S")
            self.wrong += wrong_amounts(bill, again.body) if again.status == 201 else [f"{bill.settlement_no}S refused"]
            self._accept(bill, again.body)
        elif bill.kind == INPATIENT:
            await his.post("claims", f"/v1/visits/{self._visits[bill.number]}/cancellation")


def wrong_amounts(bill: Bill, view: dict[str, Any]) -> list[str]:
    """What does not add up in a settlement, counted anew from the lines that were sent."""
    found = [
        f"{bill.settlement_no}: {whole} {view[whole]} is not {' + '.join(parts)}"
        for whole, parts in _IDENTITIES
        if view[whole] != sum(view[part] for part in parts)
    ]
    by_class = {c: [line.amount_fen for line in bill.lines if line.item.item_class == c] for c in ("02", "03")}
    tenth = sum(int((Decimal(fen) / 10).quantize(Decimal(1), ROUND_HALF_UP)) for fen in by_class["02"])
    expected = {"total_fen": bill.total_fen, "own_fen": sum(by_class["03"]), "prepay_fen": tenth}
    return found + [
        f"{bill.settlement_no}: {name} expected {fen}, found {view[name]}"
        for name, fen in expected.items()
        if view[name] != fen
    ]


def wrong_reversal(original: Any, reversal: Any) -> list[str]:
    """Amounts of a reversal that are not those of its original with the other sign."""
    return [
        f"{reversal['facility_settlement_no']}: {name} expected {-fen}, found {reversal[name]}"
        for name, fen in original.items()
        if name.endswith("_fen") and reversal[name] != -fen
    ]


async def play(scene: Scene, days: Sequence[date]) -> None:
    """The bills of each day, then its reversals; all are in the books before the month is over."""
    scene.stage.chapter("3 · 一个月 A month")
    month = Month(scene)
    started = time.monotonic()
    for day in days:
        await scene.move_to(day, EVENING)
        await _play_day(scene, month, day)
    seconds = time.monotonic() - started
    scene.stage.say(f"{len(scene.accepted):,} settlements and reversals in {seconds:.0f} s")
    await _conclude(scene, month)


async def _play_day(scene: Scene, month: Month, day: date) -> None:
    bills = list(scene.world.settled_on(day))
    with scene.stage.progress(f"{day} 结算 bills", len(bills)) as advance:

        async def settle(bill: Bill) -> None:
            await month.settle(bill)
            advance()

        await each(bills, settle)
    await each(scene.world.reversed_on(day), month.reverse)


async def _conclude(scene: Scene, month: Month) -> None:
    checks, world = scene.checks, scene.world
    reversals = sum(a.is_reversal for a in scene.accepted)
    reversed_ = [bill for bill in world.bills if bill.reversed_on]
    again = sum(bill.settled_again for bill in reversed_)
    due_refused = sum(bill.refusal is not None for bill in world.bills)
    expected = len(world.bills) - due_refused + len(reversed_) + again + 1
    _show(scene)
    checks.none("every answer adds up to the fen, counted anew from its lines 逐单复核", month.wrong)
    checks.equal("bills that must be refused are refused 应拒则拒", month.refused, due_refused)
    checks.equal("reversals accepted 撤销", reversals, len(reversed_))
    checks.equal("settlements and reversals accepted 受理笔数", len(scene.accepted), expected)
    operator = scene.services.operator()

    async def all_booked() -> bool:
        return bool((await operator.get("settlement", "/v1/proof"))["bills"] >= len(scene.accepted))

    seconds = await until("all bills are booked", all_booked, within_s=60, every_s=0.3)
    scene.stage.say(f"入账 all booked {seconds:.1f} s after the last bill of the month")


def _show(scene: Scene) -> None:
    rows = []
    for kind, title in (("inpatient", "住院"), ("outpatient", "门诊"), ("pharmacy", "药店")):
        for remote in (False, True):
            bills = [a for a in scene.accepted if a.bill.kind == kind and (a.view["pay_loc"] != "2") == remote]
            backed = sum(a.is_reversal for a in bills)
            sums = [yuan(sum(a.view[name] for a in bills)) for name in ("total_fen", "fund_fen", "person_fen")]
            where = "异地 remote" if remote else "本地 local"
            rows.append((f"{title} {kind}", where, f"{len(bills) - backed:,}", f"{backed}", *sums))
    columns = ("kind", "where", "bills", "reversed", "total", "fund", "person")
    scene.stage.table("本月结算 The month's bills, yuan", columns, rows, right=range(2, 7))
    cuts = quantiles(scene.settle_ms or [0.0], n=100)
    scene.stage.say(f"响应 settlement calls: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms, {AT_ONCE} under way at once")
