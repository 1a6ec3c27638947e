"""One seed of cycles: months of a province of its own are netted and paid, by bank and on record, or are not paid."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from services.settlement.handlers import handlers
from services.settlement.rules.banking import Creditor
from services.settlement.rules.cases import Case
from services.settlement.rules.identifications import Nature
from services.settlement.rules.objections import ObjectionState
from services.settlement.rules.orders import Purpose
from services.settlement.rules.payouts import PAPERS, Origin, Recipient, Timing
from services.settlement.rules.statements import Key, Sums
from services.settlement.rules.terms import Choice, NegativeRule, Netting, PaymentWay, UnpaidRule
from services.settlement.use_cases import (
    bank_accounts,
    clearing,
    confirmations,
    identifications,
    objections,
    orders,
    payouts,
    prepayments,
    statements,
    terms,
    unpaid,
    withholdings,
)
from services.settlement.use_cases.bank_receiving import receive
from services.settlement.use_cases.bank_sending import send
from services.settlement.use_cases.parts import BankDesk, Settlement
from services.settlement.use_cases.payouts import Card, Claim
from services.settlement.use_cases.reminders import rematch_reopened
from services.settlement.use_cases.statements import Submission
from shared.auth import Principal, Role
from shared.events import Envelope, Event, new_id
from shared.refusals import Refused
from shared.regions import Level, Region, RegionTree
from shared.workdays import shanghai_day
from tests.services.settlement.banking import CARD, account_no
from tests.services.settlement.world import Hospital, noon, totals_of
from tests.simulation.bank import SeededBank
from tests.simulation.model import Account
from tests.simulation.money import (
    BROUGHT,
    CARRIED,
    OPEN,
    ORDERED,
    REPLACED,
    Bill,
    Deal,
    Debt,
    Decided,
    Money,
    Pool,
)
from tests.simulation.play import Disagreement, compare, principal

ROUNDS = 3
BEGIN = datetime(2026, 5, 6, 2, 0, tzinfo=UTC)
MONTHS = ("2026-04", "2026-05", "2026-06", "2026-07")
"""One for each round, and one after the year's review."""
REVIEW = datetime(2027, 3, 15, 2, 0, tzinfo=UTC)
"""When what was retained in the year of the rounds is reviewed."""
FULL_PERMILLE = 980
"""From this level index on everything that was retained is given back."""
BALANCES = """
    SELECT book, account_kind, counterparty, sum(amount_fen)::bigint FROM ledger_entry
    WHERE book = ANY($1::text[]) GROUP BY book, account_kind, counterparty HAVING sum(amount_fen) <> 0
"""
CASES = """
    SELECT case_id, facility_code, period, home_region, chain, clearing_region, state, payable_fen, numbers_hash
    FROM settlement_case
    WHERE facility_code = $1 AND period = $2 ORDER BY case_id
"""
STATES = "SELECT case_id, state FROM settlement_case WHERE case_id = ANY($1::text[])"
POSITIONS = """
    SELECT p.position_id, p.payer, p.payee, p.amount_fen, p.state, p.due_on, h.case_id, h.amount_fen AS leg_fen
    FROM clearing_position p LEFT JOIN position_hop h ON h.position_id = p.position_id AND h.amount_fen <> 0
    WHERE p.cycle_id = ANY($1::text[]) AND p.state <> 'replaced' ORDER BY p.position_id
"""
OVER = """
    SELECT o.order_id FROM payment_order o
    WHERE o.payer = ANY($1::text[]) AND o.state IN ('rejected', 'returned', 'declined', 'partly_paid')
      AND NOT EXISTS (SELECT FROM payment_order s WHERE s.repeats_order_id = o.order_id)
    ORDER BY o.order_id
"""
PREPAYMENTS = """
    SELECT lender, holder, sum(CASE kind WHEN 'top_up' THEN amount_fen ELSE -amount_fen END)::bigint AS held_fen
    FROM prepayment_movement WHERE lender = ANY($1::text[]) AND state = 'settled' GROUP BY lender, holder
"""
MOVEMENT_OPEN = """
    SELECT movement_id, CASE kind WHEN 'top_up' THEN amount_fen ELSE -amount_fen END AS adds_fen
    FROM prepayment_movement WHERE lender = $1 AND holder = $2 AND state = 'open'
"""
CARDS = """
    SELECT state, (SELECT count(*) FROM payout_card c WHERE c.payout_id = p.payout_id) AS cards
    FROM payout p WHERE payout_id = $1
"""
ITEM = "SELECT max(item_no) FROM bank_item WHERE party = $1 AND kind = 'entry_unknown' AND closed_at IS NULL"
WITHHOLDINGS = """
    SELECT w.withholding_id, w.amount_fen - (SELECT coalesce(sum(s.amount_fen), 0)::bigint FROM set_off s
        WHERE s.withholding_id = w.withholding_id AND s.reversal_id IS NULL) AS left_fen
    FROM withholding w WHERE w.agency = ANY($1::text[]) AND w.state = 'approved'
"""
PAYOUTS = "SELECT payout_id, state FROM payout WHERE region = ANY($1::text[])"


_places = itertools.count()


def province() -> dict[str, str]:
    """Codes that no other play has, each with the one above: a province, two cities, two counties in each."""
    top = 110_000 + next(_places) % 30_000 * 10
    cities, counties = (top + 1, top + 2), (top + 3, top + 4, top + 5, top + 6)
    above = {top: 100_000, **dict.fromkeys(cities, top), **{c: cities[n // 2] for n, c in enumerate(counties)}}
    return {str(code): str(parent) for code, parent in above.items()}


def chain(above: dict[str, str], care: str, home: str) -> tuple[str, ...]:
    """The agencies from care to home, by way of the lowest one above both."""
    up, down = way_up(above, care), way_up(above, home)
    meeting = next(code for code in up if code in down)
    return (*up[: up.index(meeting) + 1], *reversed(down[: down.index(meeting)]))


def way_up(above: dict[str, str], code: str) -> list[str]:
    """A region and all above it."""
    return [code, *way_up(above, above[code])] if code in above else [code]


@dataclass
class CyclePlay:
    """A seed's province on the product's own parts."""

    parts: Settlement
    seed: int
    now: datetime = BEGIN
    done: list[str] = field(default_factory=list)
    """What happened, in order."""

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.above = province()
        codes = list(self.above)
        self.counties = codes[3:]
        levels: tuple[Level, ...] = ("province", "city", "city", "county", "county", "county", "county")
        regions = [Region(c, c, c, level, self.above[c]) for c, level in zip(codes, levels, strict=True)]
        tree = RegionTree([Region("100000", "全国", "nation", "nation", None), *regions])
        self.bank = SeededBank(self.dice, lambda: shanghai_day(self.now))
        self.parts = replace(self.parts, regions=tree, desk=BankDesk(self.bank, self.parts.bank.keys))
        self._handlers = handlers(tree, self.parts.ledger_key)
        self.hospitals = [Hospital(region=c) for c in self.dice.sample(self.counties, 3)]
        self.money = Money()
        self.terms: dict[str, dict[str, Any]] = {}
        self._months: list[tuple[Hospital, str]] = []
        self._said: defaultdict[str, set[str]] = defaultdict(set)
        """Who confirmed, by case."""
        self._standing: defaultdict[str, list[Any]] = defaultdict(list)
        """The bills of each hospital that nobody reversed."""
        self._cycles: dict[str, str] = {}
        """Who cut each cycle."""
        self._payouts: list[Debt] = []
        self._defaulting: set[str] = set()
        """Agencies that do not pay now."""
        self._levels: dict[tuple[str, str], tuple[int, int]] = {}
        self._accounts: dict[str, str] = {}
        """The number of everybody's account."""
        self._closed: set[tuple[str, str]] = set()
        """Months of facilities of which somebody confirmed a case."""

    @property
    def _carrying(self) -> set[str]:
        """Regions that carry what a facility owes."""
        return {r for r, own in self.terms.items() if own["negative_rule"] is NegativeRule.CARRY}

    @property
    def books(self) -> list[str]:
        """Everybody who keeps one."""
        return [*self.above, *(h.code for h in self.hospitals)]

    async def perform(self) -> None:
        """Everything of this seed. Raises Disagreement, and whatever the product raises that it must not."""
        await self._begin()
        for month in MONTHS[:ROUNDS]:
            await self._treat(month)
            await self._object()
            await self._confirm_all(silent=0.15)
            await self._agree()
            await self._entitle()
            await self._cut_all()
            self._defaulting = {r for r in self.above if self.dice.random() < 0.35}
            for _ in range(2):
                await self._order_some()
                await self._bank_day()
                await self._identify()
            await self._overdue()
            self.now = (self.now + timedelta(days=4)).replace(hour=2, minute=0)
        self.bank.honest = True
        self._defaulting.clear()
        await self._set_levels()
        await self._end()
        await self._review()
        await self._treat(MONTHS[ROUNDS])
        await self._end()

    async def _end(self) -> None:
        """Everybody pays, and a bank that only pays."""
        await self._confirm_all(silent=0.0)
        await self._cut_all()
        for _ in range(60):
            busy = await self._order_some(refuses=0.0)
            await self._bank_day()
            if not busy and not self.bank.inbox:
                break
        left = [p.proof for p in self.money.live()]
        if left or any(not self.money.is_closed(d) and not self._is_carried(d) for d in self.money.deals.values()):
            raise Disagreement(f"nobody can pay {left}")

    def _is_carried(self, deal: Deal) -> bool:
        return any(p.state in (CARRIED, BROUGHT) for p in self.money.pools if deal.case_id in p.legs)

    def _say(self, what: str) -> None:
        self.done.append(f"{what} on {shanghai_day(self.now)}")

    # The beginning

    async def _begin(self) -> None:
        for hospital in self.hospitals:
            await self._hear(hospital.changed())
        for region in self.above:
            values: dict[str, Any] = {
                "netting": self.dice.choice(list(Netting)),
                "unpaid_rule": self.dice.choice(list(UnpaidRule)),
                "negative_rule": self.dice.choice(list(NegativeRule)),
                "payment_way": self.dice.choices(list(PaymentWay), weights=(1, 2))[0],
                "deemed_consent": self.dice.random() < 0.5,
                "second_review_above_fen": self.dice.choice((0, 200_000, 10**9)),
                "retention_permille": self.dice.choice((0, 0, 37, 100)),
            }
            self.money.permille[region] = values["retention_permille"]
            self.terms[region] = values
            choice = Choice(region, shanghai_day(self.now), values)
            made = await terms.propose(self.parts, officer(region), choice, "约定", self.now)
            await terms.decide(self.parts, officer(region, "two"), made.terms_no, self.now, approved=True)
        for party in self.books:
            await self._open_account(party)

    async def _open_account(self, party: str) -> None:
        keeper = next((h.region for h in self.hospitals if h.code == party), party)
        number = self._accounts.setdefault(party, account_no())
        creditor = Creditor(f"{party} 户", number, "102508000017")
        opening = (shanghai_day(self.now) - timedelta(days=1), 0)
        made = await bank_accounts.propose(self.parts, principal(keeper), party, creditor, opening, self.now)
        seen = made.row.version_no
        await bank_accounts.decide(self.parts, principal(keeper, "two"), party, seen, self.now, approved=True)

    async def _hear(self, *events: Event) -> None:
        async with self.parts.database.transaction() as tx:
            for event in events:
                await self._handlers[type(event)](tx, [Envelope(event, self.now)], self.now)

    # Bills, statements, confirmations

    async def _treat(self, month: str) -> None:
        """A month of every hospital, with reversals that can make it negative; it is stated."""
        for hospital in self.hospitals:
            standing = self._standing[hospital.code]
            gone = self.dice.sample(standing, min(len(standing), self.dice.choice((0, 0, 1, 3))))
            fresh = [self._bill(hospital, month) for _ in range(self.dice.randint(1, 5))]
            reversals = [hospital.reversal(event, settled_at=noon(month, 20)) for event in gone]
            self._standing[hospital.code] = [event for event in standing if event not in gone] + fresh
            for event in (*fresh, *reversals):
                parties = (hospital.code, *chain(self.above, hospital.region, event.home_region))
                self.money.book(parties, event.fund_fen, event.account_fen)
                owed_fen = event.fund_fen + event.account_fen
                self.money.bills[event.settlement_id] = Bill(hospital.code, event.home_region, month, owed_fen)
                await self._hear(event)
            await self._state(hospital, month, [*fresh, *reversals])
            self._months.append((hospital, month))

    async def _object(self) -> None:
        """Some parties object to bills before they confirm; it is decided at once, one way or the other."""
        for hospital, month in self._months:
            for row in await self._cases(hospital, month):
                if row["state"] == "matched" and self.dice.random() < 0.25:
                    await self._object_to(hospital, month, row)

    async def _object_to(self, hospital: Hospital, month: str, row: Any) -> None:
        """Accepted, the bills are cleared with the next month that nobody has confirmed."""
        bills = self.money.in_case(hospital.code, row["home_region"], month)
        parties = sorted({hospital.code, *row["chain"]} - self._said[row["case_id"]])
        if not bills or not parties:
            return
        party, named = self.dice.choice(parties), self.dice.sample(bills, self.dice.randint(1, len(bills)))
        try:
            raised = await objections.raise_objection(
                self.parts, principal(party), row["case_id"], row["numbers_hash"], named, "不是本院的单据", self.now
            )
        except Refused as refused:
            if {r.code for r in refused.refusals} <= {"settlement.objection-repeated"}:
                return
            raise
        later = [m for m in MONTHS[:ROUNDS] if m > month and (hospital.code, m) not in self._closed]
        ways = [ObjectionState.REJECTED, ObjectionState.WITHDRAWN, *([ObjectionState.ACCEPTED] * 2 if later else [])]
        outcome = self.dice.choice(ways)
        by = party if outcome is ObjectionState.WITHDRAWN else raised.deciding_party
        reason = None if outcome is ObjectionState.WITHDRAWN else "已核对"
        await objections.end_objection(
            self.parts, principal(by, "judge"), raised.objection_no, outcome, reason, self.now
        )
        if outcome is ObjectionState.ACCEPTED:
            for bill_id in named:
                self.money.bills[bill_id].month = later[0]
            await rematch_reopened(self.parts, lambda: self.now)
        self._say(f"objection_{outcome} to {len(named)} bills")

    def _bill(self, hospital: Hospital, month: str) -> Any:
        return hospital.bill(
            self.dice.choice((hospital.region, *self.counties)),
            fund_fen=self.dice.randint(1, 400_000),
            account_fen=self.dice.choice((0, self.dice.randint(1, 9_000))),
            settled_at=noon(month, self.dice.randint(1, 28)),
        )

    async def _state(self, hospital: Hospital, month: str, events: Sequence[Any]) -> None:
        totals = [
            (
                Key(t["home_region"], t["insutype"], t["clr_type"], t["refund"]),
                Sums(t["total_fen"], t["fund_fen"], t["account_fen"], t["bill_count"]),
            )
            for t in totals_of(events)
        ]
        async with self.parts.database.transaction() as tx:
            submission = Submission(month, None, totals)
            await statements.submit(self.parts, tx, principal(hospital.code), submission, self.now)

    async def _confirm_all(self, silent: float) -> None:
        """Everybody confirms, or says nothing; after the deadline silence is agreement where the terms say so."""
        cases = [(h, month, row) for h, month in self._months for row in await self._cases(h, month)]
        cases = [(h, month, row) for h, month, row in cases if row["state"] == "matched"]
        spoken_at, quiet = self.now, 0
        for hospital, _, row in cases:
            for party in sorted({hospital.code, *row["chain"]} - self._said[row["case_id"]]):
                if self.dice.random() < silent:
                    quiet += 1
                    continue
                await self._confirm(party, row)
                self._said[row["case_id"]].add(party)
        self.now += timedelta(days=32)
        await confirmations.deem_confirmed(self.parts, lambda: self.now)
        for hospital, month, row in cases:
            silent_ones = {hospital.code, *row["chain"]} - self._said[row["case_id"]]
            deemed = {p for p in silent_ones if self._deems(hospital, p)}
            self._said[row["case_id"]] |= deemed
            if deemed:
                self._closed.add((hospital.code, month))
            if silent_ones == deemed:
                self._confirmed(hospital, month, row, self.now if deemed else spoken_at)
        self._say(f"confirm {len(cases)} cases, {quiet} silent")

    def _deems(self, hospital: Hospital, party: str) -> bool:
        return bool(self.terms[hospital.region if party == hospital.code else party]["deemed_consent"])

    async def _confirm(self, party: str, row: Any) -> None:
        hashes = {row["case_id"]: row["numbers_hash"]}
        self._closed.add((row["facility_code"], row["period"]))
        outcome = (await confirmations.confirm_cases(self.parts, principal(party), hashes, self.now))[row["case_id"]]
        if not isinstance(outcome, Case):
            raise Disagreement(f"{party} cannot confirm: {outcome}")

    def _confirmed(self, hospital: Hospital, month: str, row: Any, at: datetime) -> None:
        agencies = chain(self.above, hospital.region, row["home_region"])
        meeting = next(c for c in way_up(self.above, hospital.region) if c in way_up(self.above, row["home_region"]))
        if (agencies, meeting) != (tuple(row["chain"]), row["clearing_region"]):
            raise Disagreement(f"the chain of {dict(row)}")
        owed_fen = self.money.comes_to(hospital.code, row["home_region"], month)
        if owed_fen != row["payable_fen"]:
            raise Disagreement(f"case {row['case_id']} comes to {row['payable_fen']}, not {owed_fen}")
        deal = Deal(row["case_id"], (hospital.code, *agencies), meeting, owed_fen, at)
        self.money.confirm(deal, month)

    async def _cases(self, hospital: Hospital, month: str) -> list[Any]:
        async with self.parts.database.read() as reader:
            return list(await reader.fetch(CASES, hospital.code, month))

    # Prepayments and payouts

    async def _entitle(self) -> None:
        """Payouts are approved, prepayments added to."""
        for _ in range(self.dice.choice((0, 1, 2))):
            await self._grant(self.dice.choice(self.counties))
        for _ in range(self.dice.choice((0, 1, 3))):
            await self._top_up(self.dice.choice(list(self.above)[1:]))
        if self.dice.random() < 0.2:
            await self._set_levels()
        for hospital in self.hospitals:
            if self.dice.random() < 0.4:
                await self._deduct(hospital)
        await self._agree()

    # What is withheld

    async def _deduct(self, hospital: Hospital) -> None:
        """Two officers deduct from a hospital, or give back of what was deducted."""
        made = {
            i: d
            for i, d in self.money.decided.items()
            if d.facility == hospital.code and d.account == "deductions" and not d.adds
        }
        of = self.dice.choice([None, *made])
        most = 300_000 if of is None else made[of].amount_fen - made[of].returned_fen
        if not most:
            return
        said = withholdings.Said(hospital.code, self.dice.randint(1, most), of, "超标准收费")
        async with self.parts.database.transaction() as tx:
            row = await withholdings.propose(tx, officer(hospital.region), said, self.now)
        if of is not None:
            made[of].returned_fen += said.amount_fen
        await self._decided(row.withholding_id, hospital, "deductions", said.amount_fen, adds=of is not None)
        self._say("deduct" if of is None else "deduct_less")

    async def _decided(self, withholding_id: str, hospital: Hospital, account: str, fen: int, *, adds: bool) -> None:
        """Another officer agrees, a minute later."""
        self.now += timedelta(minutes=1)
        async with self.parts.database.transaction() as tx:
            who = officer(hospital.region, "two")
            await withholdings.decide(self.parts, tx, who, withholding_id, self.now, approved=True)
        order = (self.now, withholding_id)
        self.money.decided[withholding_id] = Decided(hospital.region, hospital.code, account, adds, order, fen, fen)

    async def _review(self) -> None:
        """The year is over: what was retained in it goes back, or a part of it."""
        self.now = max(self.now, REVIEW)
        for hospital in self.hospitals:
            pair = (hospital.region, hospital.code)
            index = self.dice.choice((0, 333, 979, 980, 1200))
            review = (hospital.code, 2026, Decimal(index) / 1000)
            retained = self.money.retained().get(pair, 0)
            try:
                async with self.parts.database.transaction() as tx:
                    row = await withholdings.propose_release(
                        self.parts, tx, officer(hospital.region), review, "年度考核", self.now
                    )
            except Refused:
                if retained:
                    raise
                continue
            back, stays = self.money.review(pair, index, FULL_PERMILLE)
            if (row.amount_fen, row.kept_fen) != (back, stays):
                raise Disagreement(f"review of {pair}: {row.amount_fen} and {row.kept_fen}, not {back} and {stays}")
            await self._decided(row.withholding_id, hospital, "retention", back, adds=True)
            self._say("release")
        await self._agree()

    async def _grant(self, region: str) -> None:
        amount_fen, paper, how = self.dice.randint(1, 50_000), Origin.MANUAL_CLAIM, Timing.AT_ONCE
        claim = Claim(new_id(), amount_fen, "390100", paper, new_id(), "手工报销", how, card().creditor.holder)
        async with self.parts.database.transaction() as tx:
            payout = await payouts.enter(self.parts, tx, officer(region), claim, card(), self.now)
        async with self.parts.database.transaction() as tx:
            who = officer(region, "two")
            await payouts.decide(self.parts, tx, who, payout.payout_id, self.now, approved=True)
        self.money.grant(region, claim.amount_fen)
        self._payouts.append(Debt("payout", payout.payout_id, region, "", claim.amount_fen))

    async def _top_up(self, lender: str) -> None:
        holder, amount_fen = self.above[lender], self.dice.randint(1, 600_000)
        pair = (lender, holder)
        try:
            async with self.parts.database.transaction() as tx:
                made = await prepayments.top_up(self.parts, tx, principal(lender), holder, amount_fen, self.now)
        except Refused:
            if not self.money.is_pending(pair):
                raise
            return
        if self.money.is_pending(pair):
            raise Disagreement(f"{pair} has two movements at once")
        self.money.movements[made.movement_id] = (pair, amount_fen, OPEN)
        self._say(f"top_up {lender}")

    async def _set_levels(self) -> None:
        """The levels of the year, by what the year before came to."""
        year, average = shanghai_day(self.now).year, self.parts.settings.prepayment_average_months
        for lender in list(self.above)[1:]:
            pair = (lender, self.above[lender])
            level = self.money.level_fen(pair, year - 1, average)
            pending = self.money.is_pending(pair)
            try:
                async with self.parts.database.transaction() as tx:
                    made = await prepayments.set_level(self.parts, tx, principal(pair[1]), lender, year, self.now)
            except Refused:
                if not pending:
                    raise
                continue
            if made.level_fen != level:
                raise Disagreement(f"level of {pair}: {made.level_fen}, not {level}")
            if not pending and self._levels.get(pair) != (year, level) and level != self.money.held[pair]:
                await self._movement_made(pair, level - self.money.held[pair])
            self._levels[pair] = (year, level)
        self._say("levels")

    async def _movement_made(self, pair: tuple[str, str], adds_fen: int) -> None:
        async with self.parts.database.read() as reader:
            rows = await reader.fetch(MOVEMENT_OPEN, *pair)
        if [row["adds_fen"] for row in rows] != [adds_fen]:
            raise Disagreement(f"{pair} is to move by {adds_fen}: {[tuple(row) for row in rows]}")
        self.money.movements[rows[0]["movement_id"]] = (pair, adds_fen, OPEN)

    # Cycles

    async def _cut_all(self) -> None:
        for region in self.dice.sample(list(self.above), len(self.above)):
            await self._cut(region)
        await self._agree()

    async def _cut(self, region: str) -> None:
        try:
            async with self.parts.database.transaction() as tx:
                cut = await clearing.cut(self.parts, tx, region, "one", self.now)
        except Refused:
            if self.money.uncleared(region):
                raise
            return
        self._cycles[cut.cycle_id] = region
        taken = self.money.cut(cut.cycle_id, region, self.terms[region]["netting"], self._carrying)
        self._say(f"cut {region} {cut.netting} of {len(taken)}")

    async def _overdue(self) -> None:
        """Time passes; the clearing agencies apply the rules of those who did not pay."""
        self.now += timedelta(days=26)
        async with self.parts.database.read() as reader:
            rows = await reader.fetch(POSITIONS, list(self._cycles))
        due = {row["position_id"]: row["due_on"] for row in rows if row["due_on"] is not None}
        for pool in self.dice.sample(own := self.money.live(), len(own)):
            late = pool.position_id in due and due[pool.position_id] < shanghai_day(self.now)
            if late and pool.state == OPEN and pool.payer != pool.facility and self.dice.random() < 0.7:
                self.now += timedelta(minutes=1)
                await self._apply_rule(pool)
                await self._agree()

    async def _apply_rule(self, pool: Pool) -> None:
        region, payer, payee = self._cycles[pool.cycle_id], pool.payer, pool.payee
        rule, available = self.terms[payer]["unpaid_rule"], self.dice.randint(0, pool.amount_fen)
        money_fen = {
            UnpaidRule.POSTPONE: 0,
            UnpaidRule.PART_PAY: available,
            UnpaidRule.PREPAYMENT: self.money.available((payer, payee)),
        }[rule]
        going, draws = self.money.leaving(pool, money_fen), rule is UnpaidRule.PREPAYMENT
        possible = bool(going) or (draws and pool.amount_fen <= money_fen)
        if rule is UnpaidRule.PART_PAY and available >= pool.amount_fen:
            possible = False
        try:
            async with self.parts.database.transaction() as tx:
                who = principal(region, "clerk")
                left = await unpaid.apply_rule(self.parts, tx, who, pool.position_id, available, self.now)
        except Refused as refused:
            if possible:
                raise
            self._say(f"relied_on {refused.refusals[0].code}")
            return
        if not possible or left != going:
            raise Disagreement(f"{rule} of {pool.proof}: {left} left, not {going}")
        netting = self.terms[region]["netting"]
        kept = self.money.leave(pool.cycle_id, going, netting, self._carrying) if going else [pool]
        for one in kept if draws else ():
            if one.state == OPEN and (one.payer, one.payee) == (payer, payee) and one.amount_fen <= money_fen:
                self.money.draw(one)
                self._say("draw")
        self._say(f"{rule} {len(going)} leave")

    # Orders

    async def _order_some(self, refuses: float = 0.15) -> int:
        """Who can pay orders it, or does not; what the bank did not pay is ordered again. How many did."""
        acted = 0
        async with self.parts.database.read() as reader:
            over = [row["order_id"] for row in await reader.fetch(OVER, self.books)]
        for order_id in over:
            acted += self.dice.random() >= refuses and await self._repeat(order_id)
        wanted = [self._debt(pool) for pool in self.money.live() if pool.state == OPEN]
        wanted += [self._movement_debt(m) for m, (_, _, state) in self.money.movements.items() if state == OPEN]
        wanted = [debt for debt in wanted if debt.payer not in self._defaulting]
        for debt in self.dice.sample(wanted, len(wanted)):
            acted += self.dice.random() >= refuses and await self._propose(debt, self.money.can_take(debt))
        for debt in self._payouts:
            if debt not in self.money.orders.values():
                acted += await self._propose(debt, True)
        await self._agree()
        return acted

    def _debt(self, pool: Pool) -> Debt:
        new = Debt("position", pool.position_id, pool.payer, pool.payee, pool.amount_fen)
        return self.money.debts.setdefault(pool.position_id, new)

    def _movement_debt(self, movement_id: str) -> Debt:
        (lender, holder), adds, _ = self.money.movements[movement_id]
        parties = (lender, holder) if adds > 0 else (holder, lender)
        return self.money.debts.setdefault(movement_id, Debt("prepayment", movement_id, *parties, abs(adds)))

    async def _propose(self, debt: Debt, possible: bool) -> bool:
        async with self.parts.database.transaction() as tx:
            who = principal(debt.payer)
            outcome = (await orders.propose(self.parts, tx, who, Purpose(debt.purpose), [debt.reference], self.now))[
                debt.reference
            ]
        if isinstance(outcome, str) != possible:
            raise Disagreement(f"{debt} is proposed: {outcome}")
        if isinstance(outcome, str):
            await self._ordered(outcome, debt)
        return possible

    async def _repeat(self, order_id: str) -> bool:
        debt = self.money.orders[order_id]
        there = debt.purpose == "payout" or debt.settled or debt.paid_fen or self.money.can_take(debt)
        possible = bool(there) and debt.paid_fen < debt.amount_fen
        if debt.purpose == "payout" and possible and self.dice.random() < 0.5:
            await self._other_card(debt)
        try:
            async with self.parts.database.transaction() as tx:
                outcome = await orders.repeat(self.parts, tx, principal(debt.payer), order_id, self.now)
        except Refused:
            if possible:
                raise
            return False
        if not possible:
            raise Disagreement(f"{debt} is ordered again")
        await self._ordered(outcome, debt)
        return True

    async def _other_card(self, debt: Debt) -> None:
        async with self.parts.database.read() as reader:
            (row,) = await reader.fetch(CARDS, debt.reference)
        if row["state"] != "refused":
            return
        async with self.parts.database.transaction() as tx:
            await payouts.propose_card(self.parts, tx, officer(debt.payer), debt.reference, card(), self.now)
        async with self.parts.database.transaction() as tx:
            who = officer(debt.payer, "two")
            await payouts.approve_card(tx, who, debt.reference, row["cards"] + 1, self.now)
        self._say("other_card")

    async def _ordered(self, order_id: str, debt: Debt) -> None:
        """Two or three people decide on an order."""
        self.money.orders[order_id] = debt
        if not debt.paid_fen and not debt.settled:
            self.money.move(debt, ORDERED)
        self._say(f"order {debt.purpose}")
        if self.dice.random() < 0.1 and not self.bank.honest:
            async with self.parts.database.transaction() as tx:
                await orders.decline(tx, principal(debt.payer, "two"), [order_id], "先不付")
            self.money.unpaid([debt])
            self._say("decline")
            return
        amount_fen = min(debt.amount_fen, debt.amount_fen - debt.paid_fen)
        own = self.terms.get(debt.payer)
        review = own is not None and amount_fen > own["second_review_above_fen"]
        if await self._approved(debt.payer, "one", order_id) or await self._reviewed(debt.payer, order_id) != review:
            raise Disagreement(f"who decides on {debt}")
        if not await self._approved(debt.payer, "three", order_id):
            raise Disagreement(f"{debt} is not approved")
        if own is None or own["payment_way"] is PaymentWay.RECORDED:
            self.money.moved(debt, amount_fen)

    async def _reviewed(self, party: str, order_id: str) -> bool:
        async with self.parts.database.transaction() as tx:
            outcome = await orders.review(self.parts, tx, principal(party, "two"), [order_id], self.now)
        return outcome[order_id] == order_id

    async def _approved(self, party: str, person: str, order_id: str) -> bool:
        async with self.parts.database.transaction() as tx:
            outcome = await orders.approve(self.parts, tx, principal(party, person), [order_id], self.now)
        return outcome[order_id] == order_id

    async def _bank_day(self) -> None:
        """What is approved goes to the bank, and what it says is taken."""
        self.now += timedelta(days=1)
        await send(self.parts, lambda: self.now)
        self.bank.work()
        await receive(self.parts, lambda: self.now)
        told, self.bank.told = self.bank.told, []
        for message in told:
            debts = [(self.money.orders[t.order_id], t) for t in message if t.order_id in self.money.orders]
            for debt, one in debts:
                if one.change_fen:
                    self.money.moved(debt, one.change_fen)
            self.money.unpaid(debt for debt, _ in debts)
        self.done += [f"bank_{fate}" for fate in self.bank.happened]
        self.bank.happened.clear()
        await self._agree()

    async def _identify(self) -> None:
        """The bank tells of movements that name nothing: two people say what each was, or nobody does yet."""
        for _ in range(self.dice.choice((0, 1, 1, 2))):
            party = self.dice.choice(list(self.above))
            paying = [p for p in self.money.live() if self._payable_unseen(p)]
            match self.dice.choice(("nobody", "nature", "pair", "position")):
                case "nobody":
                    await self._movement(party)
                case "nature":
                    debit_fen, item_no = await self._movement(party)
                    await self._said_to_be(party, item_no, nature=Nature.OTHER)
                    self.money.identified(party, debit_fen, "other_income")
                case "pair":
                    debit_fen, one = await self._movement(party)
                    _, other = await self._movement(party, -debit_fen)
                    await self._said_to_be(party, one, counter=other)
                case "position" if paying:
                    await self._seen_to_be_paid(self.dice.choice(paying))
        await self._agree()

    def _payable_unseen(self, pool: Pool) -> bool:
        """Whether a position can be paid, by an agency, and nobody ever ordered it."""
        debt = self._debt(pool)
        ordered = any(own is debt for own in self.money.orders.values())
        return pool.payer != pool.facility and not ordered and self.money.can_take(debt)

    async def _movement(self, party: str, debit_fen: int = 0) -> tuple[int, int]:
        """A movement of a party's account, and the item that tells of it."""
        debit_fen = debit_fen or self.dice.choice((-1, 1)) * self.dice.randint(1, 40_000)
        self.bank.move(self._accounts[party], debit_fen)
        self.bank.told.clear()
        await receive(self.parts, lambda: self.now)
        self.money.unknown(party, debit_fen)
        async with self.parts.database.read() as reader:
            item_no = await reader.fetchval(ITEM, party)
        if item_no is None:
            raise Disagreement(f"nothing tells of a movement of {party}")
        return debit_fen, item_no

    async def _said_to_be(self, party: str, item_no: int, **what: Any) -> None:
        debt, counter, nature = what.get("debt"), what.get("counter"), what.get("nature")
        said = identifications.Said(None, debt, counter, "已核对回单", nature)
        async with self.parts.database.transaction() as tx:
            row = await identifications.propose(tx, principal(party), item_no, said, self.now)
        async with self.parts.database.transaction() as tx:
            who = principal(party, "two")
            await identifications.approve(self.parts, tx, who, row.identification_id, self.now)
        self._say(f"identify_{row.target}")

    async def _seen_to_be_paid(self, pool: Pool) -> None:
        """The bank's account of the payer shows that it paid a position: nobody ordered that."""
        debt = self._debt(pool)
        debit_fen, item_no = await self._movement(pool.payer, debt.amount_fen)
        await self._said_to_be(pool.payer, item_no, debt=(Purpose.POSITION, pool.position_id))
        self.money.identified(pool.payer, debit_fen, "")
        debt.settled = True
        self.money.settle_seen(debt)

    # Product and model agree

    async def _agree(self) -> None:
        """Every account of every book, every position, prepayment, case and payout is as the model says."""
        async with self.parts.database.read() as reader:
            rows = await reader.fetch(BALANCES, self.books)
            positions = await reader.fetch(POSITIONS, list(self._cycles))
            cases = await reader.fetch(STATES, list(self.money.deals))
            held = await reader.fetch(PREPAYMENTS, list(self.above))
            paid_out = await reader.fetch(PAYOUTS, list(self.above))
            withheld = await reader.fetch(WITHHOLDINGS, list(self.above))
        found: dict[Account, int] = {tuple(row)[:3]: row[3] for row in rows}
        compare(found, {account: fen for account, fen in self.money.balances.items() if fen}, "books")
        self._compare_positions(positions)
        closed = {row["case_id"] for row in cases if row["state"] == "closed"}
        must = {case_id for case_id, deal in self.money.deals.items() if self.money.is_closed(deal)}
        differ("closed cases", closed, must)
        own = {pair: fen for pair, fen in self.money.held.items() if fen}
        differ("prepayments", {(r["lender"], r["holder"]): r["held_fen"] for r in held if r["held_fen"]}, own)
        waits = {i: d.left_fen for i, d in self.money.decided.items()}
        differ("withholdings", {row["withholding_id"]: row["left_fen"] for row in withheld}, waits)
        complete = {debt.reference for debt in self._payouts if debt.paid_fen >= debt.amount_fen}
        differ("payouts", {row["payout_id"] for row in paid_out if row["state"] == "paid"}, complete)

    def _compare_positions(self, rows: Sequence[Any]) -> None:
        """Positions are known by what makes them up; the model learns the ids of new ones."""
        legs: dict[str, dict[str, int]] = {}
        for row in rows:
            sign = 1 if row["payer"] < row["payee"] else -1
            own = legs.setdefault(row["position_id"], {})
            if row["case_id"] is not None:
                own[row["case_id"]] = sign * row["leg_fen"]
        found = {}
        for row in rows:
            one, other = sorted((row["payer"], row["payee"]))
            owed = row["amount_fen"] if row["payer"] == one else -row["amount_fen"]
            proof = (one, other, owed, frozenset(legs[row["position_id"]].items()))
            found[proof] = (row["position_id"], row["state"])
        pools = {pool.proof: pool for pool in self.money.pools if pool.state != REPLACED}
        states = {proof: pool.state for proof, pool in pools.items()}
        differ("positions", {proof: state for proof, (_, state) in found.items()}, states)
        for proof, pool in pools.items():
            pool.position_id = found[proof][0]


def differ(what: str, found: Any, expected: Any) -> None:
    """Raise Disagreement, naming what is only on one side."""
    if found != expected:
        one, other = (side.items() if isinstance(side, dict) else side for side in (found, expected))
        raise Disagreement(f"{what}: found {sorted(set(one) - set(other))}, expected {sorted(set(other) - set(one))}")


def officer(region: str, person: str = "one") -> Principal:
    """An officer of an agency."""
    return Principal(f"{person}@{region}", Role.OFFICER, region)


def card() -> Card:
    """The person's own card, with its papers."""
    creditor = Creditor("王小芳", CARD, "102508000017")
    return Card(Recipient.OWN_CARD, PAPERS[Recipient.OWN_CARD], creditor, None)
