"""The clearing city and its bank: its terms, everybody's account, net positions, payment files, and a card that failed.

The other provinces pay hop by hop and only record it; in the city of the story the agencies net, and their bank pays.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.demo.client import Caller, each, until
from deploy.demo.scene import Scene
from deploy.local import bank as local_bank
from shared.money import yuan
from shared.workdays import shanghai_day

BANK_CODE = "102508000017"
CARDS = ("6222020200112233446", "6222020200112233453")
"""The card the bank does not know, and the right one; both made up."""
_BATCH = 500
_UNDER_WAY = ("approved", "sending", "sent")


def folder(environment: Mapping[str, str]) -> Path:
    """Where payment files and the bank's answers lie. Raises KeyError outside a cluster."""
    return Path(environment["SIFANG_SETTLEMENT_BANK_DIR"])


class Clearing:
    """The cycles of the city and its counties, their positions, and the bank that pays them."""

    def __init__(self, scene: Scene, city: str) -> None:
        self._scene, self._city = scene, city
        self._folder = folder(os.environ)
        self._fates: dict[str, str] = {}
        self._numbers = 0
        self.positions: list[dict[str, Any]] = []

    def covers(self, region: str) -> bool:
        """Whether an agency belongs to the city, and so nets and pays through the bank."""
        return self._scene.regions.covers(self._city, region)

    # ------------------------------------------------------------------------------------------- before the month

    async def agree(self) -> None:
        """The city's terms, for itself and its counties: one person proposes, another puts them in force."""
        scene = self._scene
        today = shanghai_day(scene.clock.now()).isoformat()
        chosen = {"netting": "multilateral", "payment_way": "bank", "tolerance_fen": 1, "cycle_day": 28}
        body = {"region": self._city, "valid_from": today, "reason": "市局年度清算办法", "chosen": chosen}
        made = await scene.services.officer(self._city).post("settlement", "/v1/terms", body)
        path = f"/v1/terms/{made['terms_no']}/approval"
        alone = await scene.services.officer(self._city).ask("POST", "settlement", path, refusable=True)
        scene.checks.holds("nobody puts their own terms in force 四眼", alone.status >= 400, str(alone.status))
        await scene.services.reviewer(self._city).post("settlement", path)
        told = " ".join(f"{name}={value}" for name, value in chosen.items())
        scene.stage.say(f"区域约定 terms of {scene.name(self._city)}: {told}")

    async def open_accounts(self) -> None:
        """The bank accounts of every agency and facility the city's money may go to; two persons each."""
        scene = self._scene
        agencies = {agency for f in scene.world.facilities for agency in scene.regions.ancestors(f.region)}
        agencies |= {agency for person in scene.world.people for agency in scene.regions.ancestors(person.region)}
        owners = {agency: agency for agency in agencies}
        owners |= {f.code: f.region for f in scene.world.facilities}
        await each(enumerate(sorted(owners.items())), self._open_account)
        scene.stage.say(f"银行账户 {len(owners)} bank accounts proposed by one person and approved by another")

    async def _open_account(self, numbered: tuple[int, tuple[str, str]]) -> None:
        number, (party, agency) = numbered
        cashier, chief = (self._scene.services.finance(agency, person) for person in ("cashier", "chief"))
        body = {
            "holder": self._scene.name(party),
            "account_no": f"4101016000{number:08d}",
            "bank_code": BANK_CODE,
            "opening_on": shanghai_day(self._scene.clock.now()).isoformat(),
            "opening_fen": 0,
        }
        account = await cashier.post("settlement", f"/v1/bank-accounts/{party}/versions", body)
        seen = {"version_no": account["version_no"]}
        await chief.post("settlement", f"/v1/bank-accounts/{party}/approval", seen)

    # ------------------------------------------------------------------------------------------------- the cycles

    async def cut(self, cases: list[Any]) -> None:
        """Every clearing agency of the city cuts a cycle; what is to be paid, and its proof."""
        scene = self._scene
        own = [case for case in cases if self.covers(case["clearing_region"])]
        rows = []
        for region in sorted({case["clearing_region"] for case in own}):
            cycle = await self._finance(region).post("settlement", "/v1/clearing-cycles", key=self._key(region))
            path = f"/v1/clearing-cycles/{cycle['cycle_id']}/positions"
            self.positions += await self._finance(region).pages("settlement", path)
            sums = (yuan(cycle["obligations_fen"]), str(cycle["positions"]), yuan(cycle["positions_fen"]))
            rows.append((scene.name(region), str(cycle["cases"]), *sums))
        columns = ("clearing agency", "cases", "hops come to", "positions", "to be paid")
        scene.stage.table("清算批次 Cycles, multilateral 多边轧差", columns, rows, right=range(1, 5))
        await self._show_positions()
        await self._prove(own)

    async def _show_positions(self) -> None:
        scene = self._scene
        city = [p for p in self.positions if self._city in (p["payer"], p["payee"])]
        rows = [
            (scene.name(p["payer"]), scene.name(p["payee"]), yuan(p["amount_fen"]), ", ".join(p["waits_for"]) or "–")
            for p in sorted(city, key=lambda p: (len(p["waits_for"]), p["payer"]))
        ]
        scene.stage.table("市级净额 The city's net positions", ("from", "to", "yuan", "waits for"), rows, right=(2,))

    async def _prove(self, cases: list[Any]) -> None:
        """Each position is the sum of the hops it names, and no case is left out."""
        wrong: list[str] = []
        proven: set[str] = set()

        async def prove(position: dict[str, Any]) -> None:
            path = f"/v1/clearing-positions/{position['position_id']}/proof"
            lines = await self._finance(position["payer"]).pages("settlement", path)
            if sum(line["adds_fen"] for line in lines) != position["amount_fen"]:
                wrong.append(position["position_id"])
            proven.update(line["case_id"] for line in lines)

        await each(self.positions, prove)
        scene = self._scene
        scene.checks.none("each position is the sum of the hops in its proof, to the fen 轧差有据", wrong)
        owing = {case["case_id"] for case in cases if case["payable_fen"]}
        scene.checks.equal("and every case that owes is in one 无一遗漏", proven, owing)

    def _finance(self, party: str) -> Caller:
        """Who pays for a party: the facility itself, or the finance of the agency."""
        services = self._scene.services
        return services.finance(party) if party in self._scene.regions else services.facility(party)

    def largest_payer(self) -> str:
        """The county that owes the city most."""
        counties = [p for p in self.positions if p["payee"] == self._city and p["facility_code"] is None]
        return str(max(counties, key=lambda p: p["amount_fen"])["payer"])

    # ----------------------------------------------------------------------------------------------------- paying

    async def pay_positions(self, agency: str) -> int:
        """Order what an agency owes and nothing keeps it from paying; how many."""
        cashier, chief = (self._scene.services.finance(agency, person) for person in ("cashier", "chief"))
        mine = [p["position_id"] for p in self.positions if p["payer"] == agency and p["amount_fen"]]
        open_ = [p for p in mine if (await self._position(cashier, p)) == ("open", [])]
        if not open_:
            return 0
        await self.order(cashier, chief, "position", open_)
        return len(open_)

    async def _position(self, caller: Caller, position_id: str) -> tuple[str, list[str]]:
        found = await caller.get("settlement", f"/v1/clearing-positions/{position_id}")
        return found["state"], found["waits_for"]

    async def order(self, cashier: Caller, chief: Caller, purpose: str, references: list[str]) -> list[str]:
        """One person proposes orders, another approves them; the orders."""
        body = {"purpose": purpose, "references": references}
        proposed = await cashier.post("settlement", "/v1/orders", body, key=self._key(cashier.party))
        refused = [error for item in proposed["items"] for error in item["errors"]]
        order_ids = [item["order_id"] for item in proposed["items"] if item["order_id"]]
        if order_ids and not refused:
            refused = await self.approve(chief, order_ids)
        self._scene.checks.none(f"{cashier.party} orders {purpose}s", [str(error) for error in refused])
        return order_ids

    async def approve(self, chief: Caller, order_ids: list[str]) -> list[Any]:
        """Approve orders; what speaks against it."""
        key = self._key(chief.party)
        approved = await chief.post("settlement", "/v1/order-approvals", {"order_ids": order_ids}, key=key)
        return [error for item in approved["items"] for error in item["errors"]]

    def _key(self, party: str) -> str:
        self._numbers += 1
        return f"{party}-clearing-{self._numbers}"

    async def bank_answers(self) -> None:
        """The bank takes every file and answers it, until no order is under way."""
        scene = self._scene

        async def none_left() -> bool:
            bank = local_bank.Bank(self._folder, shanghai_day(scene.clock.now()), fates=self._fates)
            await asyncio.to_thread(bank.answer)
            found = [await scene.nation.pages("settlement", "/v1/orders", state=state) for state in _UNDER_WAY]
            return not any(found)

        await until("the bank answers every order", none_left, within_s=90, every_s=0.3)

    async def check_paid(self) -> None:
        """All positions are settled, each by one payment file."""
        orders = await self._scene.nation.pages("settlement", "/v1/orders", purpose="position")
        files = {order["batch_id"] for order in await self._scene.nation.pages("settlement", "/v1/orders")} - {None}
        left = []
        for position in self.positions:
            state, _ = await self._position(self._finance(position["payer"]), position["position_id"])
            left += [] if state == "settled" else [f"{position['position_id']} {state}"]
        self._scene.stage.say(f"银行报盘 {len(files)} payment files (pain.001), answered by pain.002 and camt.054")
        self._scene.checks.none(f"all {len(self.positions)} positions are settled 净额结清", left)
        paid = sum(order["paid_fen"] for order in orders)
        due = sum(p["amount_fen"] for p in self.positions)
        self._scene.checks.equal("and the bank paid exactly what they come to 银行实付=应付", paid, due)

    # ----------------------------------------------------------------------------------------------------- payout

    async def pay_out(self, region: str, person_id: str) -> None:
        """A supplement to a person's card: the bank refuses it, the card is corrected, the order repeated."""
        scene = self._scene
        officer, reviewer = scene.services.officer(region), scene.services.reviewer(region)
        body = {
            "person_id": person_id,
            "amount_fen": 120_000,
            "fund_pay_type": "390200",
            "origin": "supplement",
            "person_name": scene.world.story.person.name,
            "reference": "BZF-0001",
            "reason": "大病保险补支付",
            "timing": "at_once",
            "card": self._card(CARDS[0]),
        }
        payout = await officer.post("settlement", "/v1/payouts", body, key=self._key(region))
        path = f"/v1/payouts/{payout['payout_id']}"
        await reviewer.post("settlement", f"{path}/approval", key=self._key(region))
        cashier, chief = (scene.services.finance(region, person) for person in ("cashier", "chief"))
        proposed = await cashier.post(
            "settlement",
            "/v1/orders",
            {"purpose": "payout", "references": [payout["payout_id"]]},
            key=self._key(region),
        )
        first = proposed["items"][0]["order_id"]
        alone = await self.approve(cashier, [first])
        scene.checks.equal("nobody pays alone 四眼", [error["code"] for error in alone], ["settlement.same-person"])
        self._fates[first] = local_bank.REJECTED
        await self.approve(chief, [first])
        await self.bank_answers()
        refused = await officer.get("settlement", path)
        shown = (refused["state"], refused["cards"][0]["account"].endswith(CARDS[0][-4:]))
        scene.stage.say(f"退票 the bank refuses the card {refused['cards'][0]['account']}: {refused['refusal']}")
        scene.checks.equal("a payout the bank refused is back in the queue 退回队列", shown, ("refused", True))
        entered = await officer.post("settlement", f"{path}/cards", self._card(CARDS[1]), key=self._key(region))
        seen = {"card_no": entered["cards"][-1]["card_no"]}
        await reviewer.post("settlement", f"{path}/card-approval", seen, key=self._key(region))
        again = await cashier.post("settlement", f"/v1/orders/{first}/repeat", key=self._key(region))
        await self.approve(chief, [again["order_id"]])
        await self.bank_answers()
        paid = await officer.get("settlement", path)
        names = (again["repeats_order_id"], paid["state"])
        scene.checks.equal("repeated with the right card it is paid, once 重新支付", names, (first, "paid"))

    def _card(self, account_no: str) -> dict[str, Any]:
        return {
            "recipient": "own_card",
            "papers": ["identity_card", "bank_card"],
            "holder": self._scene.world.story.person.name,
            "account_no": account_no,
            "bank_code": BANK_CODE,
            "agent_name": None,
        }

    def keep_files(self, to: Path) -> list[Path]:
        """Copy the largest payment file and the bank's answers to it."""
        sent = max((self._folder / "sent").glob("*.xml"), key=lambda file: file.stat().st_size)
        batch = sent.name.partition(".")[0]
        found = [sent, *self._folder.glob(f"**/{batch}-*.xml")]
        return [Path(shutil.copy(file, to / file.name)) for file in found]
