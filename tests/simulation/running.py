"""Seed after seed, and what a failing one says."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime

from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.proof import prove
from services.settlement.use_cases.sealing import seal_batch
from tests.simulation.cycles import CyclePlay
from tests.simulation.model import Account
from tests.simulation.play import BALANCES, Disagreement, Play, agree_on_all, as_paid

Perform = Callable[[Settlement, int, list[str]], Awaitable[None]]
"""Plays a seed, and says in a list what happens."""

PROVE_EVERY = 25
"""Plays between two proofs of everything."""


async def simulate(
    parts: Settlement,
    seeds: Iterable[int],
    plays: Sequence[Perform] = (),
    *,
    within_s: float | None = None,
    say: Callable[[str], None] = print,
) -> Counter[str]:
    """Play seeds until they or the seconds are used up; how often what happened. Names the seed that fails."""
    happened: Counter[str] = Counter()
    until = None if within_s is None else time.monotonic() + within_s
    for number, seed in enumerate(seeds, 1):
        done: list[str] = []
        try:
            for perform in plays or (months, cycles):
                await perform(parts, seed, done)
            if number % PROVE_EVERY == 1:
                await _prove(parts)
        except BaseException as error:
            error.add_note(f"seed {seed}: make simulate ARGS='--first {seed} --count 1'")
            error.add_note("\n".join(done))
            raise
        happened.update(line.partition(" ")[0] for line in done)
        happened["seeds"] += 1
        if number % 50 == 0:
            say(f"{number} seeds")
        if until is not None and time.monotonic() > until:
            break
    await _prove(parts)
    return happened


async def months(parts: Settlement, seed: int, done: list[str]) -> None:
    """Months of hospitals, from the bills to the payments."""
    before, play = await _balances(parts), Play(parts, seed, datetime.now(UTC), done)
    await play.perform()
    await agree_on_all(parts, before, play)


async def cycles(parts: Settlement, seed: int, done: list[str]) -> None:
    """Months of a province, netted and paid through a bank, or not paid."""
    await CyclePlay(parts, seed, done=done).perform()


async def _balances(parts: Settlement) -> dict[Account, int]:
    async with parts.database.read() as reader:
        return as_paid(await reader.fetch(BALANCES))


async def _prove(parts: Settlement) -> None:
    """The product's own proof of everything, and a chain over it."""
    proof = await prove(parts)
    if not proof.holds:
        raise Disagreement(f"the proof does not hold: {proof}")
    sealed = parts.settings.seal_batch_max
    while sealed == parts.settings.seal_batch_max:
        async with parts.database.transaction() as tx:
            batch = await seal_batch(tx, parts.ledger_key, parts.settings.seal_batch_max, datetime.now(UTC))
        if batch.unmarked:
            raise Disagreement(f"not sealed: {batch.unmarked}")
        sealed = batch.taken
