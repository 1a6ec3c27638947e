"""Chapter 4: every facility's monthly statement against the books; three of them are wrong on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from deploy.demo.client import each
from deploy.demo.scene import Scene
from shared.money import yuan
from shared.workdays import month_bounds

MATCHED, DIFFERENCES, DETAILS_WANTED = "matched", "differences", "details_wanted"
CARELESS = {
    "H41160300001": ("missing_in_statement", "漏报一笔 a bill forgotten"),
    "H41162800001": ("amount_differs", "金额录错 9 yuan too much typed"),
    "H41160000001": ("missing_in_books", "多报一笔 a bill that never was"),
}
"""Facilities whose first statement is wrong, how, and why."""
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class StatedBill:
    """One bill as a facility states it."""

    home_region: str
    insutype: str
    clr_type: str
    facility_settlement_no: str
    settlement_id: str | None
    refund: bool
    total_fen: int
    fund_fen: int
    account_fen: int

    @classmethod
    def of(cls, view: Mapping[str, Any]) -> StatedBill:
        """A settlement as the facility reads it from claims."""
        names = [name for name in cls.__dataclass_fields__ if name != "refund"]
        return cls(refund=view["reverses_settlement_id"] is not None, **{name: view[name] for name in names})

    def line(self) -> dict[str, object]:
        """The line of it."""
        names = ("facility_settlement_no", "settlement_id", "refund", "total_fen", "fund_fen", "account_fen")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mismatch planted in a facility's statement, and how it must be found."""

    facility_code: str
    difference_class: str
    facility_settlement_no: str
    explanation: str


def body_of(period: str, bills: Sequence[StatedBill]) -> dict[str, object]:
    """A statement: the bills summed by home region, insurance, clearing type and refund."""
    groups: dict[tuple[str, str, str, bool], list[StatedBill]] = {}
    for bill in bills:
        groups.setdefault((bill.home_region, bill.insutype, bill.clr_type, bill.refund), []).append(bill)
    totals = [
        {
            **dict(zip(("home_region", "insutype", "clr_type", "refund"), key, strict=True)),
            **{name: sum(getattr(b, name) for b in group) for name in ("total_fen", "fund_fen", "account_fen")},
            "bill_count": len(group),
        }
        for key, group in groups.items()
    ]
    return {"period": period, "totals": totals}


def plant(facility_code: str, bills: list[StatedBill]) -> tuple[list[StatedBill], Mistake | None]:
    """The statement of a careless facility: a bill forgotten, an amount mistyped, a bill that never was."""
    plain = [bill for bill in bills if not bill.refund and bill.fund_fen > 0]
    if facility_code not in CARELESS or not plain:
        return bills, None
    difference_class, why = CARELESS[facility_code]
    victim = plain[len(plain) // 2]
    others = [bill for bill in bills if bill is not victim]
    match difference_class:
        case "missing_in_statement":
            stated, found = others, victim
        case "amount_differs":
            found = replace(victim, total_fen=victim.total_fen + 9_00, fund_fen=victim.fund_fen + 9_00)
            stated = [*others, found]
        case _:
            found = replace(victim, facility_settlement_no="JS-NEVER-WAS", settlement_id=None)
            stated = [*bills, found]
    return stated, Mistake(facility_code, difference_class, found.facility_settlement_no, why)


class Statements:
    """The statements of the month."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.right: dict[str, list[StatedBill]] = {}
        """What claims says, by facility."""
        self.stated: dict[str, list[StatedBill]] = {}
        self.views: dict[str, dict[str, Any]] = {}
        """The statements' answers, by facility."""
        self.mistakes: dict[str, Mistake] = {}

    async def submit(self, facility_code: str) -> None:
        """A facility reads its settlements from claims, adds them up, and submits."""
        his, period = self._scene.facility(facility_code), self._scene.world.period
        settled = await his.pages("claims", "/v1/settlements", period=period)
        self.right[facility_code] = [StatedBill.of(view) for view in settled]
        self.stated[facility_code], mistake = plant(facility_code, self.right[facility_code])
        if mistake:
            self.mistakes[facility_code] = mistake
        await self._send(facility_code, version=1)

    async def _send(self, facility_code: str, version: int) -> None:
        period = self._scene.world.period
        body = body_of(period, self.stated[facility_code])
        key = f"{facility_code}-{period}-v{version}"
        self.views[facility_code] = await self._scene.facility(facility_code).post(
            "settlement", "/v1/statements", body, key=key
        )

    async def match_bill_by_bill(self, facility_code: str) -> list[dict[str, Any]]:
        """The totals differ: the facility sends its lines, they are matched, and the differences are read."""
        his, statement_id = self._scene.facility(facility_code), self.views[facility_code]["statement_id"]
        bills, path = self.stated[facility_code], f"/v1/statements/{statement_id}"
        for start in range(0, len(bills), _BATCH):
            lines = [bill.line() for bill in bills[start : start + _BATCH]]
            await his.post("settlement", f"{path}/lines", {"lines": lines})
        self.views[facility_code] = await his.post("settlement", f"{path}/match")
        return await his.pages("settlement", f"{path}/differences")

    async def correct(self, facility_code: str) -> None:
        """The facility replaces its statement by a right one."""
        self.stated[facility_code] = self.right[facility_code]
        await self._send(facility_code, version=2)

    async def let_books_stand(self, facility_code: str) -> None:
        """An officer of the care agency proposes that the books stand; a reviewer, another person, agrees."""
        statement = self.views[facility_code]
        officer = self._scene.services.officer(statement["care_region"])
        reviewer = self._scene.services.reviewer(statement["care_region"])
        path = f"/v1/statements/{statement['statement_id']}/resolution"
        reason = "机构确认该笔为误录，以账面为准"
        await officer.post("settlement", path, {"reason": reason})
        alone = await officer.ask("POST", "settlement", f"{path}/approval", refusable=True)
        self._scene.checks.equal("nobody approves what they proposed 四眼", alone.codes, ["settlement.same-person"])
        self.views[facility_code] = await reviewer.post("settlement", f"{path}/approval")


async def play(scene: Scene) -> None:
    """Statements of all facilities: matched by totals, or bill by bill; the mistakes are found and resolved."""
    scene.stage.chapter("4 · 汇总对账 Statements against the books")
    await scene.move_to(month_bounds(scene.world.period)[1] + timedelta(days=2))
    statements = Statements(scene)
    await each([facility.code for facility in scene.world.facilities], statements.submit)
    _check_sources(scene, statements)
    scene.checks.equal(
        "the careless facilities, and only they, are asked for details 对总账",
        sorted(code for code, view in statements.views.items() if view["state"] == DETAILS_WANTED),
        sorted(statements.mistakes),
    )
    for code, mistake in sorted(statements.mistakes.items()):
        await _explain(scene, statements, code, mistake)
        if mistake.difference_class == "missing_in_books":
            await statements.let_books_stand(code)
        else:
            await statements.correct(code)
    _show(scene, statements)
    off = [f"{code} {view['state']}" for code, view in statements.views.items() if view["state"] != MATCHED]
    scene.checks.none("every statement agrees with the books 全部对平", off)


def _check_sources(scene: Scene, statements: Statements) -> None:
    """What claims lists is what it answered at the windows, bill by bill."""
    listed = {(b.settlement_id, b.total_fen, b.fund_fen) for bills in statements.right.values() for b in bills}
    answered = {(a.settlement_id, a.view["total_fen"], a.view["fund_fen"]) for a in scene.accepted}
    differing = sorted(str(settlement_id) for settlement_id, *_ in listed ^ answered)
    scene.checks.none("claims lists exactly what it answered at the windows", differing)


async def _explain(scene: Scene, statements: Statements, code: str, mistake: Mistake) -> None:
    """Show what the match found, and check that it is the mistake that was planted."""
    differences = await statements.match_bill_by_bill(code)
    agreed = next(c for c in statements.views[code]["classes"] if c["difference_class"] == "agreed")
    rows = [
        (
            found["difference_class"],
            found["facility_settlement_no"],
            _yuan(found["stated_fund_fen"]),
            _yuan(found["books_fund_fen"]),
            mistake.explanation,
        )
        for found in differences
    ]
    title = f"{scene.name(code)}: {agreed['books']['bill_count']:,} bills agree, and"
    scene.stage.table(title, ("difference", "bill", "stated fund", "books fund", "why"), rows, right=(2, 3))
    found = [(d["difference_class"], d["facility_settlement_no"]) for d in differences]
    expected = [(mistake.difference_class, mistake.facility_settlement_no)]
    scene.checks.equal(f"the planted mistake is found: {mistake.explanation}", found, expected)


def _yuan(amount_fen: int | None) -> str:
    return "–" if amount_fen is None else yuan(amount_fen)


def _show(scene: Scene, statements: Statements) -> None:
    rows = []
    for code, view in sorted(statements.views.items()):
        books = [total["books"] for total in view["totals"]]
        count, fund_fen = (sum(b[name] for b in books) for name in ("bill_count", "fund_fen"))
        how = "books stand" if view["resolution"] else f"version {view['version_no']}"
        rows.append((scene.name(code), f"{count:,}", yuan(fund_fen), view["state"], how))
    scene.stage.table("汇总表 Statements", ("facility", "bills", "fund", "state", "how"), rows, right=(1, 2))
