"""The play: who it needs, and its chapters in order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from deploy.demo.chapters import files, month, one_bill, payments, policies, proof, setting, statements
from deploy.demo.chapters.clearing import Clearing
from deploy.demo.checks import Checks
from deploy.demo.client import Services, UnexpectedAnswer
from deploy.demo.clock import PlayClock
from deploy.demo.generator import PERIOD, World
from deploy.demo.scene import CannotPlay, Scene
from deploy.demo.stage import Stage
from deploy.demo.traces import TraceStore
from shared.regions import RegionTree
from shared.settings import Settings
from shared.workdays import month_bounds

_PLAYED_DAYS = (12, 15, 19, 23, 27, 31)
"""The bills of the month are settled on these days of it: each day costs the audience a second."""


def days_of(period: str) -> list[date]:
    """The days of a month on which bills are settled."""
    first, last = month_bounds(period)
    return [min(first + timedelta(days=day - 1), last) for day in _PLAYED_DAYS]


async def play(seed: int, people: int, bills: int, environment: Mapping[str, str], stage: Stage) -> list[str]:
    """Play everything on the cluster the environment names; the checks that failed. Raises CannotPlay."""
    settings = Settings()
    if settings.clock_file is None:
        raise CannotPlay(
            "the play moves the clock, so it needs a cluster with SIFANG_CLOCK_FILE: `make demo` starts one"
        )
    started = time.monotonic()
    regions = RegionTree.load(settings.regions_file)
    world = World.generate(seed, regions=regions, people=people, bills=bills, days=days_of(PERIOD))
    stage.say(
        f"四方 Sifang · seed {seed}: {len(world.people):,} people, {len(world.facilities)} facilities, "
        f"{len(world.bills):,} bills of {world.period}; everybody in it is invented"
    )
    checks = Checks(stage)
    async with Services.opened(settings) as services:
        scene = Scene(
            world=world,
            regions=regions,
            services=services,
            clock=PlayClock(settings.clock_file),
            stage=stage,
            checks=checks,
            traces=TraceStore.of(environment, services),
            sms_file=_sms_file(environment),
        )
        try:
            await _chapters(scene)
        except* UnexpectedAnswer as errors:
            checks.none("the play goes on", [str(error) for error in errors.exceptions])
    stage.chapter("结果 The result")
    stage.say(f"{checks.made} checks, {len(checks.failures)} failed, {time.monotonic() - started:.0f} s")
    if scene.traces:
        stage.say("`make demo KEEP=1` leaves the cluster up, so that the link of the trace can be opened")
    return checks.failures


async def _chapters(scene: Scene) -> None:
    """All chapters in order. Raises UnexpectedAnswer, alone or in a group."""
    clearing = Clearing(scene, scene.city_of(scene.world.story.facility.region))
    await setting.play(scene, clearing)
    followed = await one_bill.play(scene)
    await policies.play(scene)
    await month.play(scene, days_of(scene.world.period))
    await statements.play(scene)
    await payments.play(scene, followed, clearing)
    await proof.play(scene)
    await files.play(scene, clearing)


def _sms_file(environment: Mapping[str, str]) -> Path | None:
    """Where the local carrier writes, when that is known here."""
    named = environment.get("SIFANG_NOTIFICATION_SMS_FILE")
    return Path(named) if named else None
