"""Sending orders to the bank: each is in one file for ever, and a file is handed over once, whenever one is killed.

1. A file's orders are fixed in the database (`sending`), one commit.
2. The file is written from what was fixed, always the same bytes under the same name, and handed to the adapter, which
   takes a name once.
3. The file is marked as sent, the next commit.

Killed before 1, nothing happened. Killed later, the next round does 2 and 3 again for the same file.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from datetime import date, datetime, timedelta

from services.settlement.bank import write
from services.settlement.rules.banking import BankItemKind, Batch, Creditor, Instruction
from services.settlement.store import banking as store
from services.settlement.store import orders as order_store
from services.settlement.store.banking import NewItem, SealedBatch, SealedInstruction
from services.settlement.use_cases import bank_accounts
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.payouts import ACCOUNT, HOLDER
from shared.clock import Clock
from shared.database import Connection
from shared.events import new_id
from shared.refusals import Unavailable
from shared.workdays import shanghai_day

log = logging.getLogger(__name__)


async def send(parts: Settlement, clock: Clock) -> None:
    """Fix files of all approved orders, and hand over every file that is fixed."""
    while await _fix(parts, clock()):
        pass
    async with parts.database.read() as reader:
        waiting = await store.batches_sending(reader)
    await each(hand_over(parts, batch_id, clock()) for batch_id in waiting)


async def each(works: Iterable[Awaitable[None]]) -> None:
    """Do one after the other, all of them, though one fails: nobody's file waits for another's.

    Raises what went wrong, Unavailable before everything else.
    """
    failed: list[BaseException] = []
    for work in works:
        failed += [r for r in await asyncio.gather(work, return_exceptions=True) if isinstance(r, BaseException)]
    for error in failed:
        if isinstance(error, Unavailable):
            raise error
    if failed:
        raise BaseExceptionGroup("some files of the bank", failed)


async def _fix(parts: Settlement, now: datetime) -> int:
    """One file of one payer's approved orders; how many it holds."""
    async with parts.database.transaction() as tx:
        return await store.take_orders(tx, new_id(), now, shanghai_day(now), parts.settings.bank_batch_orders_max)


async def hand_over(parts: Settlement, batch_id: str, now: datetime) -> None:
    """Hand a fixed file over and mark it; nothing while another process is at it, or when it was sent."""
    async with parts.database.transaction() as tx:
        sealed = await store.lock_batch(tx, batch_id)
        if sealed is None:
            return
        batch = _opened(parts, sealed, await store.instructions(tx, batch_id))
        content = await asyncio.to_thread(write, batch)
        await asyncio.to_thread(parts.bank.adapter.put, batch.file_name, content)
        await store.set_sent(tx, batch_id, now)
    fields = {"batch": batch_id, "payer": batch.payer, "orders": len(batch.instructions)}
    log.info("payment file handed over", extra={"fields": fields})


def _opened(parts: Settlement, sealed: SealedBatch, instructions: list[SealedInstruction]) -> Batch:
    """A file with its account numbers. Raises PersonalDataUnreadable."""
    debtor = bank_accounts.opened(parts.bank, sealed.holder_sealed, sealed.account_sealed, sealed.bank_code)
    return Batch(
        sealed.batch_id,
        sealed.created_at,
        sealed.execution_on,
        sealed.payer,
        debtor,
        [_instruction(parts, one) for one in instructions],
    )


def _instruction(parts: Settlement, sealed: SealedInstruction) -> Instruction:
    if sealed.purpose == "payout":
        holder = parts.bank.unseal(HOLDER, sealed.holder_sealed)
        creditor = Creditor(holder, parts.bank.unseal(ACCOUNT, sealed.account_sealed), sealed.bank_code)
    else:
        creditor = bank_accounts.opened(parts.bank, sealed.holder_sealed, sealed.account_sealed, sealed.bank_code)
    return Instruction(sealed.order_id, sealed.amount_fen, creditor, f"{sealed.purpose} {sealed.reference}")


async def watch(parts: Settlement, clock: Clock) -> None:
    """Tell the payer of orders the bank has had for some working days without a word, once for each."""
    now = clock()
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        # No working day is shorter than a day: whatever is younger than that many days cannot be late.
        candidates = await order_store.unanswered(tx, now - timedelta(days=parts.settings.bank_answer_working_days))
        late = [
            NewItem(f"unanswered:{order_id}", BankItemKind.UNANSWERED, payer, "", order_id, None, amount_fen)
            for order_id, payer, amount_fen, sent_at in candidates
            if _is_late(parts, shanghai_day(sent_at), today)
        ]
        await add_items(parts, tx, late, now)


def _is_late(parts: Settlement, sent_on: date, today: date) -> bool:
    return parts.calendar.between(sent_on, today) > parts.settings.bank_answer_working_days


async def add_items(parts: Settlement, tx: Connection, items: list[NewItem], now: datetime) -> None:
    """Tell agencies what they have to look into, within some working days."""
    if items:
        due = parts.calendar.add(shanghai_day(now), parts.settings.bank_item_working_days)
        await store.add_items(tx, items, now, due.day)
