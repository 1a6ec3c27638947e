"""Files from the bank: each is taken once, in one transaction with everything that follows from it.

Status reports say what the bank will do, account reports what it did: only those settle anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime

from services.settlement.bank import read
from services.settlement.rules.banking import (
    AccountMessage,
    BankItemKind,
    Batch,
    Closing,
    Fault,
    MessageFaulty,
    StatusLine,
    StatusReport,
    check_days,
)
from services.settlement.rules.orders import Order, OrderState, contradicts, is_rejected
from services.settlement.store import bank_accounts as account_store
from services.settlement.store import banking as store
from services.settlement.store import orders as order_store
from services.settlement.store.bank_accounts import Holder
from services.settlement.store.banking import NewItem
from services.settlement.use_cases import bank_movements, settling
from services.settlement.use_cases.bank_movements import fail
from services.settlement.use_cases.bank_sending import add_items, each
from services.settlement.use_cases.parts import Settlement
from shared.clock import Clock
from shared.database import Connection
from shared.workdays import shanghai_day

log = logging.getLogger(__name__)


async def receive(parts: Settlement, clock: Clock) -> None:
    """Deal with everything that came from the bank, one file after the other."""
    names = await asyncio.to_thread(parts.bank.adapter.waiting)
    await each(take_file(parts, name, clock()) for name in names)


async def take_file(parts: Settlement, name: str, now: datetime) -> None:
    """Deal with one file: killed before the commit, it is read again; killed after it, it is known by its id."""
    adapter, sha256 = parts.bank.adapter, hashlib.sha256(name.encode()).hexdigest()
    try:
        content = await asyncio.to_thread(adapter.read, name, parts.settings.bank_file_max_bytes)
        sha256 = hashlib.sha256(content).hexdigest()
        message = await asyncio.to_thread(read, content)
        if isinstance(message, StatusReport):
            await _take_status(parts, message, name, sha256, now)
            await asyncio.to_thread(adapter.retire, Batch.name_of(message.batch_id))
        else:
            await _take_accounts(parts, message, name, sha256, now)
    except FileNotFoundError:
        log.info("another process dealt with a file of the bank", extra={"fields": {"file": name}})
    except MessageFaulty as faulty:
        await _refuse(parts, name, sha256, faulty, now)
    else:
        await asyncio.to_thread(adapter.done, name)


async def _refuse(parts: Settlement, name: str, sha256: str, faulty: MessageFaulty, now: datetime) -> None:
    """A file that cannot be taken is set aside, and operations staff told."""
    log.error("file of the bank refused", extra={"fields": {"fault": faulty.fault, "sha256": sha256}})
    async with parts.database.transaction() as tx:
        number = await store.add_message(tx, "unreadable", "", "", sha256, name, now, faulty.fault)
        item = NewItem(f"file:{sha256}", BankItemKind.FILE_REFUSED, "", str(faulty), message_no=number)
        await add_items(parts, tx, [item], now)
    await asyncio.to_thread(parts.bank.adapter.refuse, name, str(faulty))


async def _is_new(
    tx: Connection, kind: str, party: str, message_id: str, sha256: str, name: str, now: datetime
) -> int | None:
    """The number of a message; None when the same was taken before. Raises MessageFaulty when another one was."""
    number = await store.add_message(tx, kind, party, message_id, sha256, name, now, None)
    if number is None and await store.message_sha256(tx, kind, party, message_id) != sha256:
        raise MessageFaulty(Fault.MESSAGE_REUSED)
    return number


async def _take_accounts(parts: Settlement, message: AccountMessage, name: str, sha256: str, now: datetime) -> None:
    """A notification or statement: all its accounts, or, when one is not on file, none. Raises MessageFaulty."""
    check_days(message, shanghai_day(now))
    keys = parts.bank.keys
    hashes = [keys.lookup_hash(report.account_no) for report in message.reports]
    async with parts.database.transaction() as tx:
        holders = await account_store.holders(tx, hashes)
        if any(hashed not in holders for hashed in hashes):
            raise MessageFaulty(Fault.ACCOUNT_UNKNOWN)
        party = holders[hashes[0]].party if hashes else ""
        number = await _is_new(tx, message.kind, party, message.message_id, sha256, name, now)
        if number is None:
            return
        await store.lock_accounts(tx, (holders[hashed].party for hashed in hashes))
        named = [line.end_to_end_id for report in message.reports for line in report.lines if line.end_to_end_id]
        await order_store.lock_debts(tx, named)
        for hashed, report in zip(hashes, message.reports, strict=True):
            party = holders[hashed].party
            await bank_movements.take(parts, tx, party, report.lines, message.kind, number, now)
            if report.closing is not None:
                await _compare(parts, tx, holders[hashed], report.closing, now)


async def _compare(parts: Settlement, tx: Connection, holder: Holder, closing: Closing, now: datetime) -> None:
    """The closing balance of a statement beside what the books hold; one that agrees closes what differed before."""
    if closing.on <= holder.opening_on:
        return
    moved_fen = await store.books_balance(tx, holder.party, holder.opening_on, closing.on)
    off_fen = closing.balance_fen - holder.opening_fen - moved_fen
    if off_fen == 0:
        await store.close_balance_items(tx, holder.keeper, f"balance:{holder.party}:", now)
        return
    key, detail = f"balance:{holder.party}:{closing.on}:{off_fen}", f"{closing.on}"
    item = NewItem(key, BankItemKind.BALANCE_DIFFERS, holder.keeper, detail, amount_fen=off_fen)
    await add_items(parts, tx, [item], now)


async def _take_status(parts: Settlement, report: StatusReport, name: str, sha256: str, now: datetime) -> None:
    """What the bank says of a file and its orders. Raises MessageFaulty."""
    async with parts.database.transaction() as tx:
        payer = await store.batch_payer(tx, report.batch_id)
        if payer is None:
            raise MessageFaulty(Fault.BATCH_UNKNOWN)
        if await _is_new(tx, "pain.002", payer, report.message_id, sha256, name, now) is None:
            return
        # Whoever answers a file has it, though we were killed before we could note that it was handed over.
        await store.set_sent(tx, report.batch_id, now)
        await store.set_answered(tx, report.batch_id, now)
        order_ids = await store.batch_orders(tx, report.batch_id)
        await order_store.lock_debts(tx, order_ids)
        orders = await order_store.orders(tx, order_ids)
        await _apply(parts, tx, payer, orders, _by_order(report.lines, order_ids), now)


def _by_order(lines: Sequence[StatusLine], order_ids: Sequence[str]) -> dict[str, StatusLine]:
    """What is said of each order: by its own line, or else by the last that is said of the whole file."""
    said: dict[str, StatusLine] = {}
    for line in lines:
        if line.order_id is None:
            said |= dict.fromkeys(order_ids, line)
    return said | {line.order_id: line for line in lines if line.order_id is not None}


async def _apply(
    parts: Settlement,
    tx: Connection,
    payer: str,
    orders: dict[str, Order],
    said: dict[str, StatusLine],
    now: datetime,
) -> None:
    known = {order_id: line for order_id, line in said.items() if order_id in orders}
    rejected = [orders[o] for o, line in known.items() if is_rejected(orders[o], line.status)]
    gone = {order.order_id for order in rejected}
    rows = [(o, line.status, line.reason or "", o in gone) for o, line in known.items()]
    await store.save_statuses(tx, rows)
    items = [
        NewItem(f"rejected:{o.order_id}", BankItemKind.REJECTED, payer, _why(said[o.order_id]), o.order_id)
        for o in rejected
    ]
    items += [
        NewItem(f"contradicts:{o}", BankItemKind.STATUS_CONTRADICTS, payer, _why(line), o)
        for o, line in known.items()
        if contradicts(orders[o], line.status)
    ]
    items += [
        NewItem(f"order:{o[:40]}", BankItemKind.ORDER_UNKNOWN, payer, _why(line))
        for o, line in said.items()
        if o not in orders
    ]
    await add_items(parts, tx, items, now)
    await store.close_items(tx, list(known), [BankItemKind.UNANSWERED], "answered", now)
    await fail(tx, [(order, OrderState.REJECTED, _why(said[order.order_id])) for order in rejected], now)
    await settling.give_back(tx, [o for o in rejected if not await _was_paid(tx, o)])


async def _was_paid(tx: Connection, order: Order) -> bool:
    debt = (await order_store.debts(tx, [order.root_order_id]))[order.root_order_id]
    return debt.settled or bool(debt.paid_fen)


def _why(line: StatusLine) -> str:
    return line.reason or line.status
