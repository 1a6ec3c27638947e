"""Chapter 5: every party confirms every case; the money goes up to the clearing agencies and down to the facilities."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from itertools import count
from typing import Any

from deploy.demo.chapters.clearing import Clearing
from deploy.demo.chapters.one_bill import TRACED_SERVICES, TRACED_STEPS, Followed, check_trace
from deploy.demo.client import Caller, each, until
from deploy.demo.scene import Scene
from shared.money import yuan
from shared.workdays import WorkCalendar

_BATCH = 500
_REMINDED_AT = 5
"""Working days left at which the first reminder comes."""


async def play(scene: Scene, followed: Followed, clearing: Clearing) -> None:
    """Confirmations, with the reminders of those who let them wait; net positions, remittances, disbursements."""
    scene.stage.chapter("5 · 四方确认与拨付 Confirmations and money")
    paying = Paying(scene, followed, clearing)
    await paying.confirm_by_facilities()
    await paying.confirm_by_agencies()
    await clearing.cut(await paying.cases())
    late = clearing.largest_payer()
    await paying.pay_all_but(late)
    await paying.pay_late(late)
    await clearing.check_paid()
    await paying.show_story()
    await clearing.pay_out(scene.world.story.person.region, followed.person_id)
    await check_trace(scene, followed.trace, TRACED_SERVICES, TRACED_STEPS | {"settlement.pay"})


class Paying:
    """The cases of the month on their way to being closed."""

    def __init__(self, scene: Scene, followed: Followed, clearing: Clearing) -> None:
        self._scene, self._followed, self._clearing = scene, followed, clearing
        self._calendar = WorkCalendar()
        self._orders = count(1)
        chains = {scene.regions.chain(a.view["care_region"], a.view["home_region"]) for a in scene.accepted}
        self._agencies = sorted({agency for chain in chains for agency in chain})

    async def confirm_by_facilities(self) -> None:
        """Facilities confirm at once; one agency tries to confirm other numbers than the case has."""
        scene = self._scene
        await each([facility.code for facility in scene.world.facilities], self._confirm_by_facility)
        case_id = await self._story_case_id()
        stale = await scene.services.finance(scene.world.story.facility.region).ask(
            "POST",
            "settlement",
            f"/v1/cases/{case_id}/confirmations",
            body={"numbers_hash": "0" * 64},
            refusable=True,
        )
        found = "numbers that are not the case's are not confirmed 摘要不符"
        scene.checks.equal(found, stale.codes, ["settlement.numbers-changed"])

    async def _story_case_id(self) -> str:
        """The case of the followed bill."""
        his = self._scene.facility(self._scene.world.story.facility.code)
        return str((await his.get("settlement", f"/v1/bills/{self._followed.settlement_id}"))["case_id"])

    async def _confirm_by_facility(self, code: str) -> None:
        await self._confirm(self._scene.facility(code))

    async def _confirm_by_agency(self, region: str) -> None:
        await self._confirm(self._scene.services.finance(region))

    async def _confirm(self, caller: Caller) -> None:
        """Confirm every case a party is in, by the numbers it sees."""
        cases = await caller.pages("settlement", "/v1/cases", period=self._scene.world.period, state="matched")
        items = [
            {"case_id": case["case_id"], "numbers_hash": case["numbers_hash"]}
            for case in cases
            if caller.party in (case["facility_code"], *case["chain"])
        ]
        for start in range(0, len(items), _BATCH):
            answer = await caller.post("settlement", "/v1/confirmations", {"items": items[start : start + _BATCH]})
            wrong = [item for item in answer["items"] if item["errors"]]
            if wrong:
                self._scene.checks.none(f"{caller.party} confirms", [str(item["errors"]) for item in wrong])

    async def confirm_by_agencies(self) -> None:
        """The agencies take their time until they are reminded, then confirm."""
        scene = self._scene
        late = scene.services.finance(scene.world.story.person.region)
        due = await late.pages("settlement", "/v1/due")
        await self._reminded(late, due, "ReconciliationDue", "对账提醒")
        await each(self._agencies, self._confirm_by_agency)
        cases = await self.cases()
        waiting = [f"{c['case_id']} {c['state']}" for c in cases if c["state"] not in ("confirmed", "closed")]
        parties = sum(len(c["confirmed_by"]) for c in cases)
        scene.stage.say(f"确认 {len(cases)} cases confirmed by all their parties, {parties} confirmations")
        scene.checks.none("every case is confirmed by every party of its chain 各方均已确认", waiting)

    async def _reminded(self, caller: Caller, dues: list[Any], event: str, title: str, about: str = "case_id") -> None:
        """Let time pass until dues are near, and check that each of them is in the inbox of who let them wait."""
        scene = self._scene
        due_on = date.fromisoformat(dues[0]["due_on"])
        scene.stage.say(
            f"期限 {scene.name(caller.party)}: {len(dues)} dues by {due_on}, {dues[0]['working_days']} working days"
        )
        await scene.move_to(self._day_before(due_on, _REMINDED_AT))
        expected = {due[about] for due in dues}
        reminders: list[Any] = []

        async def reminded() -> bool:
            inbox = await caller.pages("notification", "/v1/inbox")
            reminders[:] = [message for message in inbox if event in message["event_type"]]
            return {message["fields"][about] for message in reminders} >= expected

        await until(f"{event} for {caller.party}", reminded, within_s=45, every_s=0.5)
        scene.stage.say(f"{title} reminder: {reminders[0]['text']}")
        left = {(message["fields"][about], message["fields"]["working_days_left"]) for message in reminders}
        what = f"{scene.name(caller.party)} is reminded of every due once, {_REMINDED_AT} working days before {title}"
        scene.checks.equal(what, sorted(left), sorted((one, _REMINDED_AT) for one in expected))

    def _day_before(self, day: date, working_days: int) -> date:
        """The last day with so many working days left."""
        due_on = day
        while self._calendar.between(day, due_on) < working_days:
            day -= timedelta(days=1)
        return day

    async def cases(self) -> list[Any]:
        """All cases of the month, as the nation's agency sees them."""
        return await self._scene.nation.pages("settlement", "/v1/cases", period=self._scene.world.period)

    async def pay_all_but(self, late: str) -> None:
        """Money goes hop by hop, or net: who has received pays on; one agency forgets."""
        scene = self._scene
        care = scene.services.finance(scene.world.story.facility.region)
        early = await care.ask(
            "POST",
            "settlement",
            "/v1/payments",
            body={"case_id": await self._story_case_id()},
            key=self._key(care),
            refusable=True,
        )
        what = "a hop that is netted is not paid by itself 已轧差不单付"
        scene.checks.equal(what, early.codes, ["settlement.hop-in-position"])
        await self._pay_rounds([agency for agency in self._agencies if agency != late])

    async def _pay_rounds(self, agencies: Iterable[str]) -> None:
        """Every agency pays what is due for it, again and again until nothing is."""
        agencies, paid = list(agencies), [1]
        total = rounds = 0
        while sum(paid):
            paid = []

            async def pay(agency: str, paid: list[int] = paid) -> None:
                paid.append(await self._pay(agency))

            await each(agencies, pay, at_once=6)
            await self._clearing.bank_answers()
            total, rounds = total + sum(paid), rounds + (sum(paid) > 0)
        self._scene.stage.say(
            f"上解与拨付 {total} payments in {rounds} rounds, each proposed by one and approved by another; "
            "the city's by its bank, the others on record"
        )

    async def _pay(self, agency: str) -> int:
        """Propose all an agency owes by one person, approve it by another: positions, and hops that are not netted."""
        positions = await self._clearing.pay_positions(agency)
        cashier, chief = (self._scene.services.finance(agency, person) for person in ("cashier", "chief"))
        dues = await cashier.pages("settlement", "/v1/due")
        regions = {case["case_id"]: case["clearing_region"] for case in await cashier.pages("settlement", "/v1/cases")}
        case_ids = [
            due["case_id"]
            for due in dues
            if due["kind"] != "reconciliation" and not self._clearing.covers(regions[due["case_id"]])
        ]
        for start in range(0, len(case_ids), _BATCH):
            body = {"case_ids": case_ids[start : start + _BATCH]}
            proposed = await cashier.post("settlement", "/v1/payment-batches", body, key=self._key(cashier))
            payments = [item["payment_id"] for item in proposed["items"]]
            refused = [item for item in proposed["items"] if item["errors"]]
            if not refused:
                approved = await chief.post(
                    "settlement", "/v1/payment-approvals", {"payment_ids": payments}, key=self._key(chief)
                )
                refused = [item for item in approved["items"] if item["errors"]]
            if refused:
                self._scene.checks.none(f"{agency} pays", [str(item["errors"]) for item in refused])
                return 0
        return positions + len(case_ids)

    def _key(self, caller: Caller) -> str:
        return f"{caller.party}-payment-{next(self._orders)}"

    async def pay_late(self, late: str) -> None:
        """The forgetful agency is reminded and pays; whatever waited for its money goes on."""
        scene = self._scene
        cashier = scene.services.finance(late)
        tasks = await cashier.pages("settlement", "/v1/agenda")
        due = [
            {"position_id": t["reference"], "due_on": t["due_on"], "working_days": t["working_days_left"]}
            for t in tasks
            if t["kind"] in ("remittance", "disbursement") and t["reference"]
        ]
        await self._reminded(cashier, due, "PositionDue", "清算净额提醒", about="position_id")
        await self._pay_rounds(self._agencies)

    async def show_story(self) -> None:
        """The way of the money of the case the followed bill is in."""
        scene = self._scene
        his = scene.facility(scene.world.story.facility.code)
        case = await his.get("settlement", f"/v1/cases/{await self._story_case_id()}")
        rows = [
            (
                f"{'上解' if hop['kind'] == 'remittance' else '拨付'} {hop['kind']}",
                scene.name(hop["payer"]),
                scene.name(hop["payee"]),
                yuan(hop["amount_fen"]),
                hop["state"],
            )
            for hop in case["hops"]
        ]
        title = f"那一张单所在的清算单 The case of the one bill: {case['bill_count']} bills, {case['state']}"
        scene.stage.table(title, ("hop", "from", "to", "yuan", "state"), rows, right=(3,))
        kinds = [hop["kind"] for hop in case["hops"]]
        expected = ["remittance", "disbursement", "disbursement"]
        scene.checks.equal("its money went up once and down twice 一次上解两次拨付", kinds, expected)
