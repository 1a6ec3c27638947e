"""Chapter 4: every facility's monthly statement against the books; some are wrong on purpose, each otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from deploy.demo.client import Caller, each
from deploy.demo.scene import Scene
from shared.money import yuan
from shared.workdays import month_bounds, shanghai_day

MATCHED, DIFFERENCES, DETAILS_WANTED = "matched", "differences", "details_wanted"
CARELESS: Mapping[str, tuple[str, ...]] = {
    "H41160000001": ("missing_in_books",),
    "H41160200001": ("duplicate",),
    "H41160300001": ("reversed_on_one_side",),
    "H41162700001": ("key_differs", "missing_in_statement"),
    "H41162800001": ("amount_differs",),
    "H41168100001": ("period_differs",),
    "P41160200001": ("within_tolerance",),
}
"""Facilities whose first statement is wrong, and how it must be found."""
_WHY = {
    "amount_differs": "金额录错 9 yuan too much typed",
    "duplicate": "重复申报 one bill stated under two numbers",
    "key_differs": "单号写法不同 a number typed in another form",
    "missing_in_books": "多报一笔 a bill that never was",
    "missing_in_statement": "漏报一笔 a bill forgotten",
    "period_differs": "跨月一笔 a bill of the first of the next month",
    "reversed_on_one_side": "漏报冲销 a reversal forgotten",
    "within_tolerance": "差一分 one fen of rounding, within what the city tolerates",
}
BY_FILE = "H41168100001"
"""The facility that sends its lines as a file."""
_NEXT_MONTH_FEN = 300_00
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
    settled_on: str

    @classmethod
    def of(cls, view: Mapping[str, Any]) -> StatedBill:
        """A settlement as the facility reads it from claims."""
        names = [name for name in cls.__dataclass_fields__ if name not in ("refund", "settled_on")]
        settled_on = shanghai_day(datetime.fromisoformat(view["settled_at"])).isoformat()
        refund = view["reverses_settlement_id"] is not None
        return cls(refund=refund, settled_on=settled_on, **{name: view[name] for name in names})

    def line(self) -> dict[str, object]:
        """The line of it."""
        return {name: getattr(self, name) for name in _COLUMNS}

    def row(self) -> str:
        """Its line in a file, with the day."""
        amounts = (self.total_fen, self.fund_fen, self.account_fen)
        keys = (self.facility_settlement_no, self.settlement_id or "", str(self.refund).lower())
        return ",".join([*keys, *map(str, amounts), self.settled_on])


_COLUMNS = ("facility_settlement_no", "settlement_id", "refund", "total_fen", "fund_fen", "account_fen")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mismatch planted in a facility's statement, and how it must be found."""

    difference_class: str
    numbers: tuple[str, ...]
    """The number it is found under; of a bill stated twice, either one."""


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


def plant(facility_code: str, bills: list[StatedBill], period: str) -> tuple[list[StatedBill], list[Mistake]]:
    """The statement of a careless facility, and what must be found in it."""
    plain = [bill for bill in bills if not bill.refund and bill.fund_fen > 0]
    stated, mistakes = bills, []
    for number, difference_class in enumerate(CARELESS.get(facility_code, ()), start=2):
        if plain:
            stated, mistake = _planted(difference_class, stated, plain[len(plain) // number], period)
            mistakes += [] if mistake is None else [mistake]
    return stated, mistakes


def _planted(
    difference_class: str, stated: list[StatedBill], victim: StatedBill, period: str
) -> tuple[list[StatedBill], Mistake | None]:
    own = victim.facility_settlement_no
    numbers: tuple[str, ...]
    match difference_class:
        case "missing_in_statement":
            changed, numbers = _without(stated, victim), (own,)
        case "reversed_on_one_side":
            backed = next((bill for bill in stated if bill.refund), None)
            if backed is None:
                return stated, None
            changed, numbers = _without(stated, backed), (backed.facility_settlement_no,)
        case "missing_in_books":
            changed, numbers = (
                [*stated, replace(victim, facility_settlement_no="JS-NEVER", settlement_id=None)],
                ("JS-NEVER",),
            )
        case "duplicate":
            twin = replace(victim, facility_settlement_no=f"{own}-2")
            changed, numbers = [*stated, twin], (own, twin.facility_settlement_no)
        case "key_differs":
            other = replace(victim, facility_settlement_no=own.lower().replace("-", "/"), settlement_id=None)
            changed, numbers = [*_without(stated, victim), other], (own, other.facility_settlement_no)
        case "period_differs":
            next_day = month_bounds(period)[1] + timedelta(days=1)
            later = replace(
                victim,
                facility_settlement_no="JS-NEXT-MONTH",
                settlement_id=None,
                settled_on=next_day.isoformat(),
                total_fen=_NEXT_MONTH_FEN,
                fund_fen=_NEXT_MONTH_FEN,
                account_fen=0,
            )
            changed, numbers = [*stated, later], ("JS-NEXT-MONTH",)
        case _:
            more_fen = 9_00 if difference_class == "amount_differs" else 1
            wrong = replace(victim, total_fen=victim.total_fen + more_fen, fund_fen=victim.fund_fen + more_fen)
            changed, numbers = [*_without(stated, victim), wrong], (own,)
    return changed, Mistake(difference_class, numbers)


def _without(bills: list[StatedBill], victim: StatedBill) -> list[StatedBill]:
    return [bill for bill in bills if bill is not victim]


class Statements:
    """The statements of the month."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.right: dict[str, list[StatedBill]] = {}
        """What claims says, by facility."""
        self.stated: dict[str, list[StatedBill]] = {}
        self.views: dict[str, dict[str, Any]] = {}
        """The statements' answers, by facility."""
        self.mistakes: dict[str, list[Mistake]] = {}

    async def submit(self, facility_code: str) -> None:
        """A facility reads its settlements from claims, adds them up, and submits."""
        his, period = self._scene.facility(facility_code), self._scene.world.period
        settled = await his.pages("claims", "/v1/settlements", period=period)
        self.right[facility_code] = [StatedBill.of(view) for view in settled]
        self.stated[facility_code], mistakes = plant(facility_code, self.right[facility_code], period)
        if mistakes:
            self.mistakes[facility_code] = mistakes
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
        if facility_code == BY_FILE:
            await self._send_file(his, path, bills)
        else:
            for start in range(0, len(bills), _BATCH):
                lines = [bill.line() for bill in bills[start : start + _BATCH]]
                await his.post("settlement", f"{path}/lines", {"lines": lines})
        self.views[facility_code] = await his.post("settlement", f"{path}/match")
        return await his.pages("settlement", f"{path}/differences")

    async def _send_file(self, his: Caller, path: str, bills: Sequence[StatedBill]) -> None:
        """The lines as one CSV, named by its SHA-256; sent twice, as after a broken connection: the same answer."""
        text = "\n".join([",".join((*_COLUMNS, "settled_on")), *[bill.row() for bill in bills]]) + "\n"
        file = f"{path}/files/{hashlib.sha256(text.encode()).hexdigest()}"
        first = await his.ask("PUT", "settlement", file, body=text)
        again = await his.ask("PUT", "settlement", file, body=text)
        what = f"{his.party} sends a file of {len(bills):,} lines twice, and it counts once 文件幂等"
        self._scene.checks.equal(what, again.body, first.body)

    async def put_off(self, facility_code: str) -> None:
        """The facility says of each of its items that it belongs to the next month; the next match closes them."""
        his = self._scene.facility(facility_code)
        for item in await his.pages("settlement", "/v1/items", mine="true", state="open"):
            reason = {"kind": "next_period", "reason": "零点后结算，转下月申报"}
            await his.post("settlement", f"/v1/items/{item['item_no']}/actions", reason)
        path = f"/v1/statements/{self.views[facility_code]['statement_id']}/match"
        self.views[facility_code] = await his.post("settlement", path)

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
    for code, mistakes in sorted(statements.mistakes.items()):
        await _explain(scene, statements, code, mistakes)
        await _resolve(statements, code, mistakes)
    _show(scene, statements)
    off = [f"{code} {view['state']}" for code, view in statements.views.items() if view["state"] != MATCHED]
    scene.checks.none("every statement agrees with the books 全部对平", off)


def _check_sources(scene: Scene, statements: Statements) -> None:
    """What claims lists is what it answered at the windows, bill by bill."""
    listed = {(b.settlement_id, b.total_fen, b.fund_fen) for bills in statements.right.values() for b in bills}
    answered = {(a.settlement_id, a.view["total_fen"], a.view["fund_fen"]) for a in scene.accepted}
    differing = sorted(str(settlement_id) for settlement_id, *_ in listed ^ answered)
    scene.checks.none("claims lists exactly what it answered at the windows", differing)


async def _resolve(statements: Statements, code: str, mistakes: Sequence[Mistake]) -> None:
    """What is done about it: the books stand, the next month, nothing within the tolerance, or a right statement."""
    match mistakes[0].difference_class:
        case "missing_in_books":
            await statements.let_books_stand(code)
        case "period_differs":
            await statements.put_off(code)
        case "within_tolerance":
            return
        case _:
            await statements.correct(code)


async def _explain(scene: Scene, statements: Statements, code: str, mistakes: Sequence[Mistake]) -> None:
    """Show what the match found, and check that it is what was planted."""
    differences = await statements.match_bill_by_bill(code)
    classes = {c["difference_class"]: c["books"]["bill_count"] for c in statements.views[code]["classes"]}
    rows = [
        (
            found["difference_class"],
            found["facility_settlement_no"],
            _yuan(found["stated_fund_fen"]),
            _yuan(found["books_fund_fen"]),
            _WHY[found["difference_class"]],
        )
        for found in differences
    ]
    title = f"{scene.name(code)}: {classes.get('agreed', 0):,} bills agree, and"
    scene.stage.table(title, ("difference", "bill", "stated fund", "books fund", "why"), rows, right=(2, 3))
    expected = sorted(mistake.difference_class for mistake in mistakes)
    found = sorted(d["difference_class"] for d in differences)
    why = ", ".join(_WHY[m.difference_class] for m in mistakes)
    scene.checks.equal(f"what was planted is found: {why}", found, expected)
    numbers = {d["facility_settlement_no"] for d in differences}
    off = [m.difference_class for m in mistakes if numbers.isdisjoint(m.numbers)]
    scene.checks.none("and it is found under its number", off)


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
