"""The same key and body get the same answer for ever; twins wait; a refusal keeps nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from shared.database import Connection, Database
from shared.http import idempotency
from shared.http.idempotency import KEY_UNKNOWN, Answer, RequestKey, look_up, once, request_hash
from shared.refusals import RefusalKind, Refused

NOW = datetime(2026, 11, 2, tzinfo=UTC)
SORRY = RefusalKind("test.sorry", 422, "抱歉", "sorry")  # not declared: the catalogue is the product's


def key(name: str, body: str = "{}") -> RequestKey:
    return RequestKey("H1", name, request_hash("POST /v1/x", body))


async def write(tx: Connection) -> Answer:
    await tx.execute("INSERT INTO effect VALUES ('e', 1)")
    await asyncio.sleep(0.05)
    return Answer(201, '{"done": true}')


async def written(database: Database) -> int:
    async with database.read() as reader:
        return int(await reader.fetchval("SELECT count(*) FROM effect"))


async def test_the_second_time_the_first_answer_is_given(database: Database) -> None:
    first = await once(database, key("k1"), NOW, write)
    second = await once(database, key("k1"), NOW, write)
    assert (first.body, first.replayed) == (second.body, False)
    assert second.replayed
    assert await written(database) == 1


async def test_another_body_under_the_key_is_refused(database: Database) -> None:
    await once(database, key("k1"), NOW, write)
    with pytest.raises(Refused, match=r"idempotency\.key-reused"):
        await once(database, key("k1", '{"other": 1}'), NOW, write)


async def test_fifty_twins_at_once_act_once(database: Database) -> None:
    answers = await asyncio.gather(*(once(database, key("k1"), NOW, write) for _ in range(50)))
    assert {a.body for a in answers} == {'{"done": true}'}
    assert sum(not a.replayed for a in answers) == 1
    assert await written(database) == 1


async def test_the_guard_is_the_lock_without_it_twins_clash(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even then nothing happens twice, because the key is the table's; but the twins see an error, not the answer."""
    monkeypatch.setattr(idempotency, "_LOCK", "SELECT $1::text[], $2::text[]")
    results = await asyncio.gather(*(once(database, key("k1"), NOW, write) for _ in range(10)), return_exceptions=True)
    assert any(isinstance(result, asyncpg.UniqueViolationError) for result in results)
    assert await written(database) == 1


async def test_a_refusal_keeps_nothing_and_the_key_may_succeed_later(database: Database) -> None:
    async def refuse(tx: Connection) -> Answer:
        await tx.execute("INSERT INTO effect VALUES ('e', 1)")
        raise Refused(SORRY())

    with pytest.raises(Refused):
        await once(database, key("k1"), NOW, refuse)
    assert await written(database) == 0
    with pytest.raises(Refused) as unknown:
        await look_up(database, "H1", "k1")
    assert unknown.value.refusals == (KEY_UNKNOWN(),)
    assert (await once(database, key("k1"), NOW, write)).status == 201


async def test_a_key_belongs_to_its_party(database: Database) -> None:
    await once(database, key("k1"), NOW, write)
    with pytest.raises(Refused):
        await look_up(database, "H2", "k1")
    assert (await look_up(database, "H1", "k1")).body == '{"done": true}'
