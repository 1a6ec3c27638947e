"""Net positions and prepayments, ordered: on record, through the bank, and when the bank says no."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from deploy.local import bank as small_bank
from deploy.local.bank import Bank
from services.settlement.bank.adapter import FolderBank
from services.settlement.rules.banking import Creditor
from services.settlement.rules.orders import Purpose
from services.settlement.rules.terms import Netting, PaymentWay
from services.settlement.store import clearing as clearing_store
from services.settlement.store import orders as store
from services.settlement.use_cases import bank_accounts, orders, prepayments
from services.settlement.use_cases.bank_receiving import receive
from services.settlement.use_cases.bank_sending import send
from services.settlement.use_cases.parts import BankDesk, Settlement
from shared.auth import Principal, Role
from shared.keys import DATA_KEYS
from shared.personal import PersonalDataKeys
from shared.settings import Settings
from shared.workdays import shanghai_day
from tests.services.settlement.banking import account_no
from tests.services.settlement.cycles import NOW, City
from tests.services.settlement.test_bank import holds
from tests.services.settlement.world import Books


def finance(party: str, subject: str = "one") -> Principal:
    """A person of the finance department of an agency."""
    return Principal(subject, Role.FINANCE, party)


class Desk:
    """A city with a bank: its county 2 owes the city a position."""

    def __init__(self, city: City, folder: Path, keys: PersonalDataKeys) -> None:
        self.city, self.folder = city, folder
        self.parts: Settlement = replace(city.parts, desk=BankDesk(FolderBank(folder), keys))
        self.payer = city.county(2)

    async def position(self) -> str:
        """What the county owes after a cycle of one bill of another county."""
        await self.city.agree(self.city.code, netting=Netting.BILATERAL)
        hospital = self.city.hospital(1)
        await self.city.confirmed(hospital, hospital.bill(self.payer))
        cycle = await self.city.cut()
        rows = await self.city.books.rows(
            "SELECT position_id FROM clearing_position WHERE cycle_id = $1 AND payer = $2", cycle.cycle_id, self.payer
        )
        return rows[0][0]  # type: ignore[no-any-return]

    async def by_bank(self) -> None:
        """From now on the county pays by bank; both ends have accounts."""
        await self.city.agree(self.payer, payment_way=PaymentWay.BANK)
        for party in (self.payer, self.city.code):
            await self.account(party)

    async def account(self, party: str) -> str:
        """The first account of an agency."""
        account = Creditor(party, account_no(), "102508000017")
        opening = (date(2026, 1, 1), 0)
        await bank_accounts.propose(self.parts, finance(party), party, account, opening, NOW)
        await bank_accounts.decide(self.parts, finance(party, "two"), party, 1, NOW, approved=True)
        return account.account_no

    async def order(self, purpose: Purpose, reference: str) -> str:
        """Its order, proposed and approved."""
        async with self.parts.database.transaction() as tx:
            proposed = await orders.propose(self.parts, tx, finance(self.payer), purpose, [reference], NOW)
            order_id = proposed[reference]
            assert isinstance(order_id, str), order_id
            approved = await orders.approve(self.parts, tx, finance(self.payer, "two"), [order_id], NOW)
            assert approved == {order_id: order_id}
        return order_id

    async def bank(self, **fates: str) -> None:
        """Everything that is approved goes to the bank, and is answered."""
        await send(self.parts, lambda: NOW)
        Bank(self.folder, shanghai_day(NOW), fates=fates).answer()
        await receive(self.parts, lambda: NOW)

    async def state(self, position_id: str) -> str:
        """Where a position stands."""
        async with self.parts.database.read() as reader:
            return (await clearing_store.positions(reader, [position_id]))[position_id].state


@pytest.fixture
def desk(books: Books, tmp_path: Path, settings: Settings) -> Desk:
    """A city in nobody's way."""
    keys = PersonalDataKeys.from_json((settings.secrets_dir / DATA_KEYS).read_bytes())
    return Desk(City(books), tmp_path / "bank", keys)


async def test_a_position_is_paid_on_record(books: Books, desk: Desk) -> None:
    position_id = await desk.position()
    await desk.order(Purpose.POSITION, position_id)

    assert await desk.state(position_id) == "settled"
    await holds(books)


async def test_a_position_is_paid_by_the_bank(books: Books, desk: Desk) -> None:
    await desk.by_bank()
    position_id = await desk.position()
    order_id = await desk.order(Purpose.POSITION, position_id)
    ordered = await desk.state(position_id)
    await desk.bank()

    assert (ordered, await desk.state(position_id)) == ("ordered", "settled")
    async with books.database.read() as reader:
        assert (await store.orders(reader, [order_id]))[order_id].state == "settled"
    await holds(books)


async def test_a_position_the_bank_rejects_is_free_again(books: Books, desk: Desk) -> None:
    await desk.by_bank()
    position_id = await desk.position()
    order_id = await desk.order(Purpose.POSITION, position_id)
    await desk.bank(**{order_id: small_bank.REJECTED})
    rejected = await desk.state(position_id)
    again = await desk.order(Purpose.POSITION, position_id)
    await desk.bank()

    assert (rejected, await desk.state(position_id)) == ("open", "settled")
    async with books.database.read() as reader:
        row = await store.order(reader, again)
    assert row is not None
    assert (row.repeats_order_id, row.state) == (order_id, "settled")
    await holds(books)


async def test_what_is_declined_is_free_again_and_late_money_takes_it(books: Books, desk: Desk) -> None:
    """Rejected, given back, and paid by the bank after all: the position is taken anew and settled."""
    await desk.by_bank()
    position_id = await desk.position()
    order_id = await desk.order(Purpose.POSITION, position_id)
    await desk.bank(**{order_id: small_bank.REJECTED})
    number = await books.rows("SELECT account_sealed FROM bank_account WHERE party = $1 AND current", desk.payer)
    account = desk.parts.bank.unseal(bank_accounts.NUMBER, number[0][0])
    entry = small_bank.entry(f"LATE{order_id}", order_id, 85_000, shanghai_day(NOW))
    bank = Bank(desk.folder, shanghai_day(NOW))
    bank.put("late.xml", small_bank.notification(f"L{order_id}", account, [entry], shanghai_day(NOW)))
    await receive(desk.parts, lambda: NOW)

    assert await desk.state(position_id) == "settled"
    await holds(books)


async def test_a_prepayment_is_topped_up_by_the_bank(books: Books, desk: Desk) -> None:
    await desk.by_bank()
    async with desk.parts.database.transaction() as tx:
        movement = await prepayments.top_up(desk.parts, tx, finance(desk.payer), desk.city.code, 50_000, NOW)
    await desk.order(Purpose.PREPAYMENT, movement.movement_id)
    await desk.bank()

    query = "SELECT account_kind, sum(amount_fen)::bigint FROM ledger_entry WHERE book = $1 GROUP BY 1 ORDER BY 1"
    rows = await books.rows(query, desk.payer)
    assert [tuple(row) for row in rows] == [("bank", -50_000), ("prepayment_lent", 50_000)]
    await holds(books)
