"""Builds claims from its settings; nothing else constructs things."""

from __future__ import annotations

from functools import partial

from services.claims.api import ROUTERS, ClaimsService, render
from services.claims.config import ClaimsSettings
from services.claims.handlers import HANDLERS
from services.claims.use_cases import rechecking, replaying, settling
from services.claims.use_cases.bills import Discharge, OneCall
from services.claims.use_cases.parts import Claims, Policies
from services.claims.use_cases.policies import Library, shipped
from shared.batching import Batcher
from shared.codes import CodeSets
from shared.http.idempotency import Answer
from shared.keys import DATA_KEYS
from shared.personal import PersonalDataKeys
from shared.policy.book import Book
from shared.service import Base, Every, Parts


def make(base: Base) -> Parts:
    """The parts of claims."""
    settings = ClaimsSettings()
    packs = shipped(settings)
    claims = Claims(
        database=base.database,
        regions=base.regions,
        codes=CodeSets.load(base.regions),
        policies=Policies(packs, Book(packs)),
        keys=PersonalDataKeys.from_json((base.settings.secrets_dir / DATA_KEYS).read_text()),
        settings=settings,
        render=render,
    )
    one_calls: Batcher[OneCall, Answer] = Batcher(
        "one-call settlements",
        partial(settling.settle_one_calls, claims),
        _keys,
        batch_max=settings.batch_max,
        queue_max=settings.queue_max,
        workers=settings.batch_workers,
    )
    discharges: Batcher[Discharge, Answer] = Batcher(
        "discharge settlements",
        partial(settling.settle_discharges, claims),
        _keys,
        batch_max=settings.batch_max,
        queue_max=settings.queue_max,
        workers=settings.batch_workers,
    )
    return Parts(
        name="claims",
        title="Sifang claims 待遇结算",
        routers=ROUTERS,
        handlers=HANDLERS,
        service=ClaimsService(claims, one_calls, discharges),
        always=[Every(settings.policies_every_s, Library(claims).refresh, "policies")],
        jobs=[
            Every(settings.recheck_every_s, partial(_recheck, claims, base), "recheck"),
            Every(settings.replay_every_s, partial(replaying.work, claims, base.clock), "replays"),
        ],
        close=(one_calls.close, discharges.close),
    )


async def _recheck(claims: Claims, base: Base) -> None:
    while await rechecking.recheck(claims, base.clock()):
        pass


def _keys(command: OneCall | Discharge) -> frozenset[str]:
    """Twins of one request, and two settlements of one stay, wait for each other."""
    same = f"{command.key.party} {command.key.key}"
    return frozenset({same, command.visit_id} if isinstance(command, Discharge) else {same})
