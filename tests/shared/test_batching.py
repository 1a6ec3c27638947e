"""Group commit: what gathers, what must not meet, and who bears a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from shared.batching import Batcher
from shared.refusals import RefusalKind, Refused, Unavailable

NO = RefusalKind("test.no", 422, "不行", "no")  # not declared: the catalogue is the product's


@dataclass
class Recorder:
    """Work that notes its batches; commands starting with "no" refuse, those with "bad" fail the whole batch."""

    batches: list[list[str]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self, commands: Sequence[str]) -> Sequence[str | Exception]:
        self.batches.append(list(commands))
        await self.gate.wait()
        if any(c.startswith("bad") for c in commands):
            raise ValueError("the batch failed")
        return [Refused(NO()) if c.startswith("no") else c.upper() for c in commands]


def first_letter(command: str) -> frozenset[str]:
    return frozenset({command[-1]})


async def gathered(batcher: Batcher[str, str], *commands: str) -> list[str | BaseException]:
    return await asyncio.gather(*(batcher.submit(c) for c in commands), return_exceptions=True)


async def test_a_lonely_command_waits_for_nobody() -> None:
    recorder = Recorder()
    recorder.gate.set()
    assert await Batcher("t", recorder.work, first_letter).submit("a") == "A"
    assert recorder.batches == [["a"]]


async def test_what_arrives_while_a_batch_is_written_becomes_the_next_one() -> None:
    recorder = Recorder()
    batcher = Batcher("t", recorder.work, first_letter)
    first = asyncio.create_task(batcher.submit("a"))
    await asyncio.sleep(0.01)
    rest = asyncio.create_task(gathered(batcher, "b", "c", "d"))
    await asyncio.sleep(0.01)
    recorder.gate.set()
    assert await first == "A"
    assert await rest == ["B", "C", "D"]
    assert recorder.batches == [["a"], ["b", "c", "d"]]


async def test_commands_of_one_key_never_share_a_batch_and_keep_their_order() -> None:
    recorder = Recorder()
    recorder.gate.set()
    batcher = Batcher("t", recorder.work, first_letter)
    assert await gathered(batcher, "1a", "2a", "1b", "3a") == ["1A", "2A", "1B", "3A"]
    assert all(len({c[-1] for c in batch}) == len(batch) for batch in recorder.batches)
    assert [c for batch in recorder.batches for c in batch if c.endswith("a")] == ["1a", "2a", "3a"]


async def test_the_guard_is_the_keys_without_them_twins_do_meet() -> None:
    recorder = Recorder()
    recorder.gate.set()
    await gathered(Batcher("t", recorder.work, lambda _: frozenset()), "1a", "2a")
    assert recorder.batches == [["1a", "2a"]]


async def test_a_refusal_is_its_commands_own() -> None:
    recorder = Recorder()
    recorder.gate.set()
    a, refused, b = await gathered(Batcher("t", recorder.work, first_letter), "a", "no1", "b")
    assert (a, b) == ("A", "B")
    assert isinstance(refused, Refused)


async def test_a_batch_that_fails_is_tried_one_by_one() -> None:
    recorder = Recorder()
    recorder.gate.set()
    a, failed, b = await gathered(Batcher("t", recorder.work, first_letter), "a", "bad1", "b")
    assert (a, b) == ("A", "B")
    assert isinstance(failed, ValueError)
    assert recorder.batches == [["a", "bad1", "b"], ["a"], ["bad1"], ["b"]]


async def test_an_outage_fails_the_batch_without_asking_each() -> None:
    calls = []

    async def away(commands: Sequence[str]) -> Sequence[str]:
        calls.append(list(commands))
        raise Unavailable("database")

    results = await gathered(Batcher("t", away, first_letter), "a", "b")
    assert all(isinstance(r, Unavailable) for r in results)
    assert calls == [["a", "b"]]


async def test_work_that_forgets_a_result_leaves_nobody_waiting() -> None:
    async def forgetful(commands: Sequence[str]) -> Sequence[str]:
        return list(commands)[1:]

    async with asyncio.timeout(5):
        results = await gathered(Batcher("t", forgetful, first_letter), "a", "b")
    assert [type(result) for result in results] == [RuntimeError] * 2


async def test_two_workers_write_at_once_but_never_one_key() -> None:
    recorder = Recorder()
    batcher = Batcher("t", recorder.work, first_letter, workers=2)
    tasks = [asyncio.create_task(batcher.submit("1a"))]
    await asyncio.sleep(0.01)
    tasks += [asyncio.create_task(batcher.submit(command)) for command in ("2a", "1b")]
    await asyncio.sleep(0.01)
    assert recorder.batches == [["1a"], ["1b"]], "the second worker takes what does not meet the first one's batch"
    recorder.gate.set()
    assert await asyncio.gather(*tasks) == ["1A", "2A", "1B"]
    assert recorder.batches[2:] == [["2a"]]


async def test_too_many_waiting_are_told_to_come_back() -> None:
    recorder = Recorder()
    batcher = Batcher("t", recorder.work, first_letter, queue_max=2)
    waiting = [asyncio.create_task(batcher.submit(c)) for c in "abcd"]
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await asyncio.gather(batcher.submit("e"), batcher.submit("f"), batcher.submit("g"))
    recorder.gate.set()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_gives_up_does_not_take_the_others_along() -> None:
    recorder = Recorder()
    batcher = Batcher("t", recorder.work, first_letter)
    leaver = asyncio.create_task(batcher.submit("a"))
    stayer = asyncio.create_task(batcher.submit("b"))
    await asyncio.sleep(0.01)
    leaver.cancel()
    recorder.gate.set()
    assert await stayer == "B"


async def test_closing_waits_for_what_was_accepted() -> None:
    recorder = Recorder()
    batcher = Batcher("t", recorder.work, first_letter)
    accepted = asyncio.create_task(batcher.submit("a"))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    recorder.gate.set()
    await closing
    assert await accepted == "A"
