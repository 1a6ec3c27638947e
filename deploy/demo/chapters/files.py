"""Chapter 7: the ledger's chain is verified, and a month leaves as the files that agencies and auditors keep."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from deploy.demo.chapters.clearing import Clearing
from deploy.demo.client import until
from deploy.demo.scene import Scene
from shared.workdays import month_of, shanghai_day

FOLDER = Path(".local/demo")
"""Where the files stay when the play is over."""


async def play(scene: Scene, clearing: Clearing) -> None:
    """The proof that nobody touched the books, then the files, named at the end."""
    scene.stage.chapter("7 · 账本与文件 The ledger's proof, and the files")
    await _verify(scene)
    _empty(FOLDER)
    written = await _export(scene)
    written += clearing.keep_files(FOLDER)
    for path in sorted(written):
        scene.stage.say(f"  {path}  {path.stat().st_size:,} bytes")


def _empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()


async def _verify(scene: Scene) -> None:
    """Every link of the chain, once the last transactions are sealed."""
    said = ""

    async def verified() -> bool:
        nonlocal said
        call = (sys.executable, "-m", "services.settlement.verify")
        process = await asyncio.create_subprocess_exec(
            *call, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=dict(os.environ)
        )
        out, _ = await process.communicate()
        said = out.decode(errors="replace").strip()
        return process.returncode == 0

    await until("the ledger is verified", verified, within_s=60, every_s=1)
    scene.stage.say(said.splitlines()[-1])
    scene.checks.holds("no entry was edited, removed or inserted since it was booked 账本哈希链", True, said)


async def _export(scene: Scene) -> list[Path]:
    """The books of the clearing city and of the hospital of the story, as statements and as data.

    Of the city also the month that now is, in which the cycle was cut and paid.
    """
    story, period = scene.world.story, scene.world.period
    city = scene.city_of(story.facility.region)
    wanted: list[tuple[Callable[[str, str, Path], Awaitable[Path]], str, str]] = [
        (scene.services.finance(city).download, city, form) for form in ("beancount", "xlsx", "csv")
    ]
    wanted += [
        (scene.facility(story.facility.code).download, story.facility.code, form) for form in ("xlsx", "parquet")
    ]
    written = [
        await download("settlement", f"/v1/books/{party}/exports/{period}.{form}", FOLDER / f"{party}-{period}.{form}")
        for download, party, form in wanted
    ]
    cleared = month_of(shanghai_day(scene.clock.now()))
    path = FOLDER / f"{city}-{cleared}.xlsx"
    address = f"/v1/books/{city}/exports/{cleared}.xlsx"
    return [*written, await scene.services.finance(city).download("settlement", address, path)]
