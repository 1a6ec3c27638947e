"""What the endpoints of claims find at `call.service`."""

from __future__ import annotations

from dataclasses import dataclass

from services.claims.use_cases.bills import Discharge, OneCall
from services.claims.use_cases.parts import Claims
from shared.batching import Batcher
from shared.http.idempotency import Answer


@dataclass(frozen=True, slots=True)
class ClaimsService:
    """The parts of claims, and the batchers its two kinds of settlement go through."""

    claims: Claims
    one_calls: Batcher[OneCall, Answer]
    discharges: Batcher[Discharge, Answer]
