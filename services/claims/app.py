"""Builds claims from its settings; nothing else constructs things."""

from __future__ import annotations

from functools import partial

from services.claims.api import ClaimsService, render, router
from services.claims.config import ClaimsSettings, PlanBook
from services.claims.handlers import HANDLERS
from services.claims.use_cases import settling
from services.claims.use_cases.parts import Claims
from services.claims.use_cases.settling import Discharge, OneCall
from shared.batching import Batcher
from shared.codes import CodeSets
from shared.http.idempotency import Answer
from shared.keys import DATA_KEYS
from shared.personal import PersonalDataKeys
from shared.service import Base, Parts


def make(base: Base) -> Parts:
    """The parts of claims."""
    settings = ClaimsSettings()
    claims = Claims(
        database=base.database,
        regions=base.regions,
        codes=CodeSets.load(base.regions),
        plans=PlanBook.load(base.regions, settings.plans_file),
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
        routers=[router],
        handlers=HANDLERS,
        service=ClaimsService(claims, one_calls, discharges),
        close=(one_calls.close, discharges.close),
    )


def _keys(command: OneCall | Discharge) -> frozenset[str]:
    """Twins of one request, and two settlements of one stay, wait for each other."""
    same = f"{command.key.party} {command.key.key}"
    return frozenset({same, command.visit_id} if isinstance(command, Discharge) else {same})
