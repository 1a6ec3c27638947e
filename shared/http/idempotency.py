"""Idempotency: the same key and body get the same answer for ever, another body a 409, a twin never a second effect.

A key belongs to the party that sent it. The answer commits together with the effect; a refused request leaves nothing,
so that the same key may succeed once the reason is gone. Twins wait for each other at a lock on the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.database import Connection, Database, Statement
from shared.refusals import Refusal, Refused, declare

KEY_MISSING = declare(
    "idempotency.key-missing",
    status=400,
    zh="此操作必须带 Idempotency-Key（8 至 64 个可见 ASCII 字符）。",
    en="This operation needs an Idempotency-Key of 8 to 64 visible ASCII characters.",
)
KEY_REUSED = declare(
    "idempotency.key-reused",
    status=409,
    zh="该幂等键已用于另一请求。",
    en="This Idempotency-Key was used for another request.",
)
KEY_UNKNOWN = declare(
    "idempotency.key-unknown",
    status=404,
    zh="没有以该幂等键完成的请求：什么都没有发生，可以用同一键重发。",
    en="No request was completed under this key: nothing happened, and it may be sent again with the same key.",
)

_LOCK = """
    SELECT pg_advisory_xact_lock(h) FROM (
        SELECT DISTINCT hashtextextended(current_schema() || party || ' ' || key, 0) AS h
        FROM unnest($1::text[], $2::text[]) AS k(party, key) ORDER BY 1
    ) AS locks
"""
_FIND = """
    SELECT party, key, request_hash, status, body FROM idempotency
    WHERE (party, key) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
_STORE = """
    INSERT INTO idempotency (party, key, request_hash, status, body, created_at)
    SELECT *, $6 FROM unnest($1::text[], $2::text[], $3::bytea[], $4::smallint[], $5::text[])
"""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """One request under a key: whose, which, and the hash of what it asks."""

    party: str
    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered: kept word for word."""

    status: int
    body: str
    replayed: bool = False


def request_hash(operation: str, body: str) -> bytes:
    """The hash of a request: its operation (method, path) and its body in canonical form."""
    return hashlib.sha256(f"{operation}\n{body}".encode()).digest()


async def recall(tx: Connection, keys: Sequence[RequestKey]) -> list[Answer | Refusal | None]:
    """For each key: the answer given before, a refusal when it asked something else, or None when it is new.

    New keys stay locked until the transaction ends: a twin waits, then finds the answer.
    """
    parties, names = [k.party for k in keys], [k.key for k in keys]
    await tx.execute(_LOCK, parties, names)
    found = {(row["party"], row["key"]): row for row in await tx.fetch(_FIND, parties, names)}
    answers: list[Answer | Refusal | None] = []
    for key in keys:
        row = found.get((key.party, key.key))
        if row is None:
            answers.append(None)
        elif row["request_hash"] != key.request_hash:
            answers.append(KEY_REUSED())
        else:
            answers.append(Answer(row["status"], row["body"], replayed=True))
    return answers


async def remember(tx: Connection, answers: Sequence[tuple[RequestKey, Answer]], now: datetime) -> None:
    """Keep the answers, in the transaction of their effects."""
    if answers:
        await remembrance(answers, now).run(tx)


def remembrance(answers: Sequence[tuple[RequestKey, Answer]], now: datetime) -> Statement:
    """What `remember` runs, for a use case that writes everything in one round trip."""
    columns = (
        [k.party for k, _ in answers],
        [k.key for k, _ in answers],
        [k.request_hash for k, _ in answers],
        [a.status for _, a in answers],
        [a.body for _, a in answers],
    )
    return Statement(_STORE, (*columns, now))


async def once(
    database: Database, key: RequestKey, now: datetime, work: Callable[[Connection], Awaitable[Answer]]
) -> Answer:
    """Do `work` in a transaction unless this key was answered before. Raises what it refuses, Unavailable."""
    async with database.transaction() as tx:
        match (await recall(tx, [key]))[0]:
            case Answer() as given:
                return given
            case Refusal() as refusal:
                raise Refused(refusal)
        answer = await work(tx)
        await remember(tx, [(key, answer)], now)
    return answer


async def look_up(database: Database, party: str, key: str) -> Answer:
    """What a party's request under a key was answered. Raises Refused when it was never completed."""
    async with database.read() as reader:
        rows = await reader.fetch(_FIND, [party], [key])
    if not rows:
        raise Refused(KEY_UNKNOWN())
    return Answer(rows[0]["status"], rows[0]["body"], replayed=True)
