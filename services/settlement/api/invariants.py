"""What the jobs that watch the ledger found last."""

from __future__ import annotations

from starlette.responses import Response

from services.settlement.api.calls import ProvingCall, router
from services.settlement.schemas.invariants import InvariantsView
from services.settlement.store import chain as chain_store
from services.settlement.store import invariants as store
from shared.http.routing import respond


@router.endpoint("GET", "/v1/invariants", view=InvariantsView, tags=["books"])
async def get_invariants(call: ProvingCall) -> Response:
    """Whether the books' invariants hold, as the continuous checks found last, and the head of the ledger's chain."""
    async with call.service.database.read() as reader:
        checks = await store.checks(reader)
        head = await chain_store.head(reader)
        unsealed = await chain_store.count_unsealed(reader)
    return respond(InvariantsView.of(checks.values(), head, unsealed))
