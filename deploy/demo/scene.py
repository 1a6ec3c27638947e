"""What all chapters of the play share: the world, the services, the clock, the stage, and what happened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

from deploy.demo.checks import Checks
from deploy.demo.client import Caller, Services, until
from deploy.demo.clock import PlayClock
from deploy.demo.generator import Bill, World
from deploy.demo.stage import Stage
from deploy.demo.traces import TraceStore
from shared.regions import RegionTree

MORNING, EVENING = time(9), time(18)


class CannotPlay(Exception):
    """The surroundings lack something; the message says what."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One settlement or reversal that a facility was answered: what must be in the books exactly once."""

    bill: Bill
    view: Mapping[str, Any]
    """The answer."""

    @property
    def settlement_id(self) -> str:
        """Its number with us."""
        return str(self.view["settlement_id"])

    @property
    def facility_code(self) -> str:
        """Who sent it."""
        return self.bill.facility_code

    @property
    def payable_fen(self) -> int:
        """What the facility advanced and is owed, by funds and personal account; negative for a reversal."""
        return int(self.view["fund_fen"]) + int(self.view["account_fen"])

    @property
    def is_reversal(self) -> bool:
        """Whether it takes another one back."""
        return self.view["reverses_settlement_id"] is not None


@dataclass(slots=True)
class Scene:
    """The play at some moment."""

    world: World
    regions: RegionTree
    services: Services
    clock: PlayClock
    stage: Stage
    checks: Checks
    traces: TraceStore | None
    sms_file: Path | None
    """Where the local carrier puts text messages."""
    accepted: list[Accepted] = field(default_factory=list)
    """Every settlement and reversal, in the order of the answers."""
    settle_ms: list[float] = field(default_factory=list)
    """How long each settlement of the month took to be answered."""

    def city_of(self, region: str) -> str:
        """The city a region belongs to, or is."""
        return next(code for code in self.regions.ancestors(region) if self.regions[code].level == "city")

    def name(self, party: str) -> str:
        """What a party is called: a facility, or the agency of a region."""
        facility = next((f for f in self.world.facilities if f.code == party), None)
        if facility is not None:
            return facility.name
        region = self.regions[party]
        return f"{'国家' if region.level == 'nation' else region.name_zh}医保经办"

    def facility(self, code: str) -> Caller:
        """A facility's HIS."""
        return self.services.facility(code)

    @property
    def nation(self) -> Caller:
        """Finance of the nation's agency, which sees every case."""
        return self.services.finance(next(region.code for region in self.regions if region.parent is None))

    async def move_to(self, day: date, at: time = MORNING) -> None:
        """Let time pass."""
        await self.clock.move_to(day, at)
        self.stage.say(f"⏱  {day} {at:%H:%M}")

    async def counted(self, service: str, metric: str, label: str = "") -> int:
        """A counter of a service, summed over all labels that contain `label`."""
        text = await self.services.metrics(service)
        pattern = rf"^{metric}_total\{{[^}}]*{re.escape(label)}[^}}]*\}} (\S+)$"
        return sum(int(float(count)) for count in re.findall(pattern, text, re.MULTILINE))

    async def handled(self, service: str, event: str) -> int:
        """How many events of a type a service has handled since it started."""
        return await self.counted(service, "sifang_consumer_handled", f'event="{event}"')

    async def until_handled(self, service: str, expected: Mapping[str, int]) -> float:
        """Wait until a service has handled so many events of each type; in how many seconds."""

        async def all_handled() -> bool:
            return all([await self.handled(service, event) >= count for event, count in expected.items()])

        return await until(f"{service} hears {', '.join(expected)}", all_handled)
