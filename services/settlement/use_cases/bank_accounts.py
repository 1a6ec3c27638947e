"""Bank accounts of parties (银行账户): proposed by one person, in force by another's word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from services.settlement import errors
from services.settlement.rules.banking import Creditor, check_account
from services.settlement.store import bank_accounts as store
from services.settlement.store import bills as bill_store
from services.settlement.store import payouts as payout_store
from services.settlement.store.bank_accounts import AccountRow, NewAccount
from services.settlement.use_cases.parts import BankDesk, Settlement
from services.settlement.use_cases.payouts import ACCOUNT as CARD_ACCOUNT
from services.settlement.use_cases.payouts import AGENT as CARD_AGENT
from services.settlement.use_cases.payouts import HOLDER as CARD_HOLDER
from shared.auth import NOT_YOUR_AREA, Principal
from shared.database import Connection
from shared.personal import mask_account
from shared.refusals import Refused

HOLDER, NUMBER = "bank_account.holder", "bank_account.number"


@dataclass(frozen=True, slots=True)
class MaskedAccount:
    """One version of an account as it may be shown; the holder is an agency or facility."""

    row: AccountRow
    holder: str
    account: str


async def propose(
    parts: Settlement,
    principal: Principal,
    party: str,
    creditor: Creditor,
    opening: tuple[date, int],
    now: datetime,
) -> MaskedAccount:
    """A finance officer proposes the account of the own agency, or of a facility of it. Raises Refused."""
    wrong = check_account(creditor.account_no, creditor.bank_code, card=False)
    bank = parts.bank
    hashed = bank.keys.lookup_hash(creditor.account_no)
    async with parts.database.transaction() as tx:
        await _check_keeper(tx, principal, party)
        await store.lock_accounts(tx)
        if await store.other_holder(tx, hashed, party) is not None:
            wrong.append(errors.ACCOUNT_TAKEN(pointer="/account_no"))
        if any(row.state == "proposed" for row in await store.accounts_of(tx, party)):
            wrong.append(errors.ACCOUNT_WAITS())
        if wrong:
            raise Refused(*wrong)
        sealed = (bank.seal(HOLDER, creditor.holder), bank.seal(NUMBER, creditor.account_no))
        opening_on, opening_fen = opening
        new = NewAccount(party, principal.party, *sealed, hashed, creditor.bank_code, opening_fen, opening_on)
        await store.add_account(tx, new, principal.subject, now)
        return masked(bank, (await store.accounts_of(tx, party))[-1])


async def _check_keeper(tx: Connection, principal: Principal, party: str) -> None:
    """An agency keeps its own account and those of the facilities in its region. Raises Refused."""
    if party == principal.party:
        return
    region = await bill_store.facility_region(tx, party)
    if region is None:
        raise Refused(errors.PARTY_UNKNOWN(party=party))
    if region != principal.party:
        raise Refused(NOT_YOUR_AREA(party=party))


async def decide(
    parts: Settlement, principal: Principal, party: str, version_no: int, now: datetime, *, approved: bool
) -> MaskedAccount:
    """Another person of the agency that keeps an account puts it in force, or turns it down, as it was looked at.

    Raises Refused.
    """
    async with parts.database.transaction() as tx:
        await store.lock_accounts(tx)
        rows = await store.accounts_of(tx, party)
        if not rows or rows[-1].state != "proposed":
            raise Refused(errors.ACCOUNT_UNKNOWN())
        newest = rows[-1]
        if newest.region != principal.party:
            raise Refused(NOT_YOUR_AREA(party=party))
        wrong = [errors.SAME_PERSON()] if newest.proposed_by == principal.subject else []
        if newest.version_no != version_no:
            wrong.append(errors.ACCOUNT_CHANGED(version_no=newest.version_no, pointer="/version_no"))
        if approved and await store.other_holder(tx, newest.account_hash, party) is not None:
            wrong.append(errors.ACCOUNT_TAKEN())
        if wrong:
            raise Refused(*wrong)
        await store.decide_account(tx, newest, "approved" if approved else "declined", principal.subject, now)
        return masked(parts.bank, (await store.accounts_of(tx, party))[-1])


def masked(bank: BankDesk, row: AccountRow) -> MaskedAccount:
    """An account as it may be shown. Raises PersonalDataUnreadable."""
    number = mask_account(bank.unseal(NUMBER, row.account_sealed))
    return MaskedAccount(row, bank.unseal(HOLDER, row.holder_sealed), number)


def opened(bank: BankDesk, holder_sealed: str, account_sealed: str, bank_code: str) -> Creditor:
    """An account for a payment file. Raises PersonalDataUnreadable."""
    return Creditor(bank.unseal(HOLDER, holder_sealed), bank.unseal(NUMBER, account_sealed), bank_code)


async def renew_encryption(parts: Settlement) -> None:
    """Encrypt again what is not under the active key, so that an old key can be taken away.

    Raises PersonalDataUnreadable when a key that is still in use is not among the keys.
    """
    bank = parts.bank
    async with parts.database.transaction() as tx:
        for (party, version_no), (holder, number) in (await store.sealed_accounts(tx)).items():
            renewed = (bank.resealed(HOLDER, holder), bank.resealed(NUMBER, number))
            if renewed != (holder, number):
                await store.reseal_account(tx, party, version_no, *renewed)
    after: tuple[str, int] | None = ("", 0)
    while after is not None:
        after = await _renew_cards(parts, after)


async def _renew_cards(parts: Settlement, after: tuple[str, int]) -> tuple[str, int] | None:
    """Some cards that follow one; the last of them, None when there was none."""
    bank = parts.bank
    async with parts.database.transaction() as tx:
        sealed = await payout_store.sealed_cards(tx, after)
        for payout_id, card_no, holder, number, agent in sealed:
            renewed_agent = None if agent is None else bank.resealed(CARD_AGENT, agent)
            renewed = (bank.resealed(CARD_HOLDER, holder), bank.resealed(CARD_ACCOUNT, number), renewed_agent)
            if renewed != (holder, number, agent):
                await payout_store.reseal_card(tx, payout_id, card_no, *renewed)
    return (sealed[-1][0], sealed[-1][1]) if sealed else None
