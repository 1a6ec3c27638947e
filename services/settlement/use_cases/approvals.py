"""Approving payments: on record they are paid at once; through the bank it is their orders that are approved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.settlement.rules.orders import Purpose
from services.settlement.store import orders as store
from services.settlement.use_cases import orders, payments
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.payments import Approved
from shared.auth import Principal
from shared.database import Connection
from shared.refusals import Refusal


async def approve_payments(
    parts: Settlement, tx: Connection, principal: Principal, payment_ids: Sequence[str], now: datetime
) -> dict[str, Approved | str | list[Refusal]]:
    """Approve payments; for each the case after it, or the order that will pay it, or what speaks against it."""
    firsts = await store.first_orders(tx, [(Purpose.HOP, payment_id) for payment_id in payment_ids])
    newest = {payment_id: await orders.last_of(tx, first) for (_, payment_id), first in firsts.items()}
    ordered = await orders.approve(parts, tx, principal, list(newest.values()), now) if newest else {}
    recorded = [payment_id for payment_id in payment_ids if payment_id not in newest]
    paid = await payments.approve(parts, tx, principal, recorded, now) if recorded else {}
    return {p: ordered[newest[p]] if p in newest else paid[p] for p in payment_ids}
