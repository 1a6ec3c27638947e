"""A bank for the tests of orders and payouts: agencies of a test's own with accounts, files, and everybody who acts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.local import bank as small_bank
from deploy.local.bank import Bank, PaymentFile
from services.settlement.bank.adapter import FolderBank
from services.settlement.config import SettlementSettings
from services.settlement.rules.terms import PaymentWay
from services.settlement.use_cases.bank_receiving import receive
from services.settlement.use_cases.bank_sending import send, watch
from services.settlement.use_cases.parts import BankDesk, Settlement
from shared.events import new_id
from shared.personal import PersonalDataKeys
from shared.workdays import WorkCalendar, shanghai_day
from tests.services.settlement.fixtures import ActAs, Caller, Owner
from tests.services.settlement.world import REGIONS, Books

_numbers = itertools.count(int(datetime.now(UTC).timestamp() * 1000))
CARD = "6222020200112233446"


def account_no() -> str:
    """A number nobody else has."""
    return f"41{next(_numbers)}"


@dataclass
class Counter:
    """The desk of a bank: its folder, the services that talk to it, and the people of the agencies."""

    books: Books
    owner: Owner
    act_as: ActAs
    folder: Path
    keys: PersonalDataKeys
    accounts: dict[str, str] = field(default_factory=dict)
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def parts(self) -> Settlement:
        """The parts of settlement, with this bank."""
        desk = BankDesk(FolderBank(self.folder), self.keys)
        settings = SettlementSettings(bank_file_max_bytes=1_000_000)
        return Settlement(self.books.database, REGIONS, settings, WorkCalendar(), self.books.ledger_key, desk)

    @property
    def today(self) -> date:
        """The day at the desk."""
        return shanghai_day(self.moment)

    def bank(self, **fields: Any) -> Bank:
        """The bank behind the desk."""
        return Bank(self.folder, self.today, **fields)

    def finance(self, party: str, subject: str = "one") -> Caller:
        """A person of the finance department of an agency."""
        return self.act_as("finance", party, f"{subject}@{party}")

    def officer(self, party: str, subject: str = "clerk") -> Caller:
        """An officer of an agency."""
        return self.act_as("officer", party, f"{subject}@{party}")

    async def pays_by_bank(self, *regions: str, review_above_fen: int | None = None) -> None:
        """These regions' terms send orders to the bank, from today on. Written by the owner: decided long ago."""
        for region in regions:
            await self.owner.execute(
                "INSERT INTO region_terms (region, valid_from, reason, state, proposed_by, proposed_at, decided_by,"
                " decided_at, payment_way, second_review_above_fen)"
                " VALUES ($1, $2, 'test', 'approved', 'a', now(), 'b', now(), $3, $4)",
                region,
                self.today - timedelta(days=1),
                PaymentWay.BANK,
                review_above_fen,
            )

    async def open_account(self, party: str, keeper: str | None = None, opening_fen: int = 0) -> str:
        """An account for a party, by two people of the agency that keeps it; the number of one it has already."""
        if party in self.accounts:
            return self.accounts[party]
        agency, number = keeper or party, account_no()
        body = {
            "holder": f"{party} 户",
            "account_no": number,
            "bank_code": "102508000017",
            "opening_on": str(self.today - timedelta(days=60)),
            "opening_fen": opening_fen,
        }
        proposed = await self.finance(agency).post(f"/v1/bank-accounts/{party}/versions", body)
        assert proposed.status_code == 201, proposed.text
        seen = {"version_no": proposed.json()["version_no"]}
        approved = await self.finance(agency, "two").post(f"/v1/bank-accounts/{party}/approval", seen)
        assert approved.status_code == 200, approved.text
        self.accounts[party] = number
        return number

    async def send(self) -> None:
        """What the sending job does."""
        await send(self.parts, lambda: self.moment)

    async def receive(self) -> None:
        """What the receiving job does."""
        await receive(self.parts, lambda: self.moment)

    async def watch(self) -> None:
        """What the watching job does."""
        await watch(self.parts, lambda: self.moment)

    def files(self) -> list[PaymentFile]:
        """The payment files that were handed over, answered or not."""
        places = [self.folder / place for place in ("outbox", "sent")]
        return [small_bank.read(file.read_bytes()) for place in places for file in sorted(place.glob("[!.]*.xml"))]

    def asked(self, order_id: str) -> int:
        """How often the bank was asked to pay an order."""
        return sum(t.end_to_end_id == order_id for file in self.files() for t in file.transfers)

    def put(self, text: str, name: str | None = None) -> str:
        """Lay a file into the inbox, as the bank does."""
        name = name or f"{new_id()}.xml"
        self.bank().put(name, text)
        return name

    def report(self, party: str, *entries: str, message_id: str | None = None) -> None:
        """A notification about a party's account."""
        text = small_bank.notification(message_id or new_id(), self.accounts[party], entries, self.today)
        self.put(text)

    def entry(self, order_id: str | None, amount_fen: int, ref: str | None = None, **fields: Any) -> str:
        """An entry of today."""
        return small_bank.entry(ref or new_id(), order_id, amount_fen, self.today, **fields)

    async def order(self, order_id: str, party: str) -> dict[str, Any]:
        """An order as its payer sees it."""
        answer = await self.finance(party).get(f"/v1/orders/{order_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def items(self, order_ids: Iterable[str]) -> list[tuple[str, str | None]]:
        """What is, or was, to be looked into about orders: kind and how it was closed."""
        rows = await self.books.rows(
            "SELECT kind, closed_as FROM bank_item WHERE order_id = ANY($1::text[]) ORDER BY item_no", list(order_ids)
        )
        return [(row["kind"], row["closed_as"]) for row in rows]

    async def balance(self, party: str, kind: str) -> int:
        """What an account of a book holds."""
        return await self.books.value(  # type: ignore[no-any-return]
            "SELECT coalesce(sum(amount_fen), 0)::bigint FROM ledger_entry WHERE book = $1 AND account_kind = $2",
            party,
            kind,
        )


def payout_body(amount_fen: int = 320_000, **fields: Any) -> dict[str, Any]:
    """A payout whose papers are complete."""
    card = {
        "recipient": "own_card",
        "papers": ["identity_card", "bank_card"],
        "holder": "王小芳",
        "account_no": CARD,
        "bank_code": "102508000017",
    }
    standard: dict[str, Any] = {
        "person_id": new_id(),
        "person_name": fields.get("card", {}).get("holder", card["holder"]),
        "amount_fen": amount_fen,
        "fund_pay_type": "390100",
        "origin": "manual_claim",
        "reference": new_id(),
        "reason": "市外急诊住院手工报销",
        "timing": "at_once",
        "card": card | fields.pop("card", {}),
    }
    return {**standard, **fields}
