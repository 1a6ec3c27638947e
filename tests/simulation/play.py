"""One seed: random things happen to some hospitals' months, to the product and to the model, and both must agree."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from services.settlement.handlers import handlers
from services.settlement.rules.cases import Case, Payment
from services.settlement.rules.items import ActionKind
from services.settlement.rules.objections import ObjectionState
from services.settlement.rules.orders import Purpose
from services.settlement.rules.statements import Key, Line, Sums
from services.settlement.rules.terms import NegativeRule, Netting
from services.settlement.use_cases import clearing, confirmations, items, objections, orders, payments, statements
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.reminders import rematch_reopened, remind
from services.settlement.use_cases.statements import Submission
from shared.auth import Principal, Role
from shared.events import Envelope, Event
from shared.refusals import Refusal, Refused
from shared.workdays import SHANGHAI, month_of
from tests.services.settlement.world import Hospital, noon
from tests.simulation.model import (
    CARE,
    CHAINS,
    CLEARING,
    Account,
    ModelBill,
    ModelHospital,
    all_balances,
)

STEPS_A_SEED = 60
BALANCES = """
    SELECT e.book, e.account_kind, e.counterparty, sum(e.amount_fen)::bigint AS balance_fen
    FROM ledger_entry e GROUP BY e.book, e.account_kind, e.counterparty HAVING sum(e.amount_fen) <> 0
"""
BALANCES_OF_BOOK = """
    SELECT book, account_kind, counterparty, sum(amount_fen)::bigint FROM ledger_entry
    WHERE book = $1 GROUP BY book, account_kind, counterparty HAVING sum(amount_fen) <> 0
"""
CASES = """
    SELECT case_id, period, home_region, state, payable_fen, bill_count, numbers_hash FROM settlement_case
    WHERE facility_code = $1
"""
OPEN_ITEMS = """
    SELECT item_no FROM work_item JOIN statement USING (statement_id)
    WHERE statement.party = $1 AND statement.period = $2 AND work_item.state = 'open' ORDER BY item_no
"""
OPEN_POSITIONS = """
    SELECT position_id, payer FROM clearing_position WHERE cycle_id = $1 AND state = 'open' ORDER BY position_id
"""
STATEMENT = "SELECT statement_id FROM facility_month WHERE facility_code = $1 AND period = $2"


class Disagreement(AssertionError):
    """Product and model do not agree."""


def principal(party: str, person: str = "one") -> Principal:
    """Somebody who acts for a party."""
    role = Role.FACILITY if party.startswith("H") else Role.FINANCE
    return Principal(f"{person}@{party}", role, party)


def periods_until(today: date) -> list[str]:
    """The two months before this one, and this one."""
    first = today.replace(day=1)
    last = (first - timedelta(days=1)).replace(day=1)
    return [month_of((last - timedelta(days=1)).replace(day=1)), month_of(last), month_of(first)]


@dataclass
class Stage:
    """One hospital in the product and in the model."""

    hospital: Hospital
    model: ModelHospital
    periods: Sequence[str]
    heard: dict[str, Event] = field(default_factory=dict)
    """The bills as they were announced."""


@dataclass
class Play:
    """A seed's play on the product's own parts."""

    parts: Settlement
    seed: int
    now: datetime
    done: list[str] = field(default_factory=list)
    """What happened, in order."""

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        chosen = {
            "netting": self.dice.choice(list(Netting)),
            "negative_rule": self.dice.choice(list(NegativeRule)),
            "four_eyes_above_fen": self.dice.choice((0, 100_000)),
        }
        self._nets = chosen["netting"] is not Netting.GROSS
        # Of single hops; what is retained of positions, the other play knows.
        self._permille = 0 if self._nets else random.Random(f"retained {self.seed}").choice((0, 37, 100))
        chosen |= {"retention_permille": self._permille}
        self.parts = replace(self.parts, settings=self.parts.settings.model_copy(update=chosen))
        self._handlers = handlers(self.parts.regions, self.parts.ledger_key)
        periods = periods_until(self.now.astimezone(SHANGHAI).date())
        hospitals = [Hospital() for _ in range(2)]
        self.stages = [Stage(h, ModelHospital(h.code, permille=self._permille), periods) for h in hospitals]

    async def perform(self) -> None:
        """Everything of this seed. Raises Disagreement, and whatever the product raises that it must not."""
        for stage in self.stages:
            await self._hear(stage.hospital.changed())
        for _ in range(STEPS_A_SEED):
            stage = self.dice.choice(self.stages)
            action = self.dice.choices(list(ACTIONS), weights=list(ACTIONS.values()))[0]
            await self._act(action, stage)
        for stage in self.stages:
            for month in (0, 1):
                await self._finish(stage, month)
        for region in sorted(set(CLEARING.values())):
            await self._cycle(region)
        for stage in self.stages:
            await self._pay_everything(stage)
            await self._agree(stage)

    async def _act(self, action: Action, stage: Stage) -> None:
        self.done.append(f"{action.__name__.strip('_')} {stage.model.code}")
        await action(self, stage)
        await rematch_reopened(self.parts, lambda: self.now)
        await self._agree(stage)

    # Bills

    async def _hear(self, *events: Event) -> None:
        async with self.parts.database.transaction() as tx:
            for event in events:
                await self._handlers[type(event)](tx, [Envelope(event, self.now)], self.now)

    async def book(self, stage: Stage) -> None:
        """Some bills come."""
        for _ in range(self.dice.randint(1, 6)):
            month = self.dice.choice((0, 1))
            home = self.dice.choice(list(CHAINS))
            event = stage.hospital.bill(
                home,
                fund_fen=self.dice.choice((0, 1, self.dice.randint(1, 500_000))),
                account_fen=self.dice.choice((0, self.dice.randint(1, 9_000))),
                cash_fen=self.dice.randint(0, 20_000),
                settled_at=noon(stage.periods[month], self.dice.randint(1, 28)),
            )
            await self._book(stage, event, home, month, refund=False)

    async def _book(self, stage: Stage, event: Any, home: str, month: int, *, refund: bool) -> None:
        stage.heard[event.settlement_id] = event
        amounts = (event.total_fen, event.fund_fen, event.account_fen)
        stage.model.book(ModelBill(event.settlement_id, home, *amounts, refund, month, month))
        await self._hear(event)

    async def reverse(self, stage: Stage) -> None:
        """A bill is reversed, perhaps long after its month was closed."""
        reversed_already = {getattr(event, "reverses_settlement_id", None) for event in stage.heard.values()}
        candidates = [b for b in stage.model.bills.values() if not b.refund and b.bill_id not in reversed_already]
        if candidates:
            bill = self.dice.choice(candidates)
            of: Any = stage.heard[bill.bill_id]
            month = stage.periods.index(month_of(of.settled_at.astimezone(SHANGHAI).date()))
            event = stage.hospital.reversal(of, settled_at=of.settled_at + timedelta(hours=1))
            await self._book(stage, event, bill.home, month, refund=True)

    async def hear_again(self, stage: Stage) -> None:
        """What was heard is heard again."""
        if stage.heard:
            await self._hear(*self.dice.sample(list(stage.heard.values()), min(3, len(stage.heard))))

    # Statements

    def _month_to_state(self, stage: Stage) -> int | None:
        months = [
            m
            for m in (0, 1)
            if not stage.model.months[m].closed and any(b.booked_in == m for b in stage.model.bills.values())
        ]
        return self.dice.choice(months) if months else None

    async def state(self, stage: Stage) -> None:
        """The hospital states a month as it is booked."""
        if (month := self._month_to_state(stage)) is not None:
            await self._state(stage, month, [b for b in stage.model.bills.values() if b.booked_in == month])

    async def state_wrongly(self, stage: Stage) -> None:
        """The hospital states a month with mistakes, and mostly gives its lines."""
        if (month := self._month_to_state(stage)) is None:
            return
        stated = [replace(b) for b in stage.model.bills.values() if b.booked_in == month]
        for _ in range(self.dice.randint(1, 3)):
            match self.dice.choice(("forget", "amount", "strange")):
                case "forget" if len(stated) > 1:
                    stated.pop(self.dice.randrange(len(stated)))
                case "amount":
                    wrong = self.dice.choice(stated)
                    off = -1 if wrong.refund else 1
                    wrong.fund_fen, wrong.total_fen = wrong.fund_fen + off, wrong.total_fen + off
                case _:
                    strange = f"X{self.dice.randrange(10**9)}"
                    stated.append(ModelBill(strange, self.dice.choice(list(CHAINS)), 500, 300, 0, False, month, month))
        await self._state(stage, month, stated)
        if self.dice.random() < 0.8:
            await self._give_lines(stage, month, stated)

    async def _state(self, stage: Stage, month: int, stated: Sequence[ModelBill]) -> None:
        groups: dict[Key, list[ModelBill]] = {}
        for bill in stated:
            groups.setdefault(Key(bill.home, "390", "21", bill.refund), []).append(bill)
        totals = [
            (
                key,
                Sums(
                    sum(b.total_fen for b in of), sum(b.fund_fen for b in of), sum(b.account_fen for b in of), len(of)
                ),
            )
            for key, of in groups.items()
        ]
        async with self.parts.database.transaction() as tx:
            submission = Submission(stage.periods[month], None, totals)
            await statements.submit(self.parts, tx, principal(stage.model.code), submission, self.now)
        at = stage.model.months[month]
        at.stated, at.has_lines, at.books_stand = {b.bill_id: b.figures for b in stated}, False, False

    async def _statement_id(self, stage: Stage, month: int) -> str:
        async with self.parts.database.read() as reader:
            found = await reader.fetchval(STATEMENT, stage.model.code, stage.periods[month])
        return str(found)

    async def _give_lines(self, stage: Stage, month: int, stated: Sequence[ModelBill]) -> None:
        at = stage.model.months[month]
        if stage.model.agrees(month):
            return
        by: Any
        lines = []
        for bill in stated:
            by = stage.heard.get(bill.bill_id)
            number = by.facility_settlement_no if by is not None else bill.bill_id
            known = bill.bill_id if by is not None else None
            lines.append(Line(number, bill.refund, known, bill.total_fen, bill.fund_fen, bill.account_fen))
        his, statement_id = principal(stage.model.code), await self._statement_id(stage, month)
        await statements.add_lines(self.parts, his, statement_id, lines)
        await statements.match(self.parts, his, statement_id, self.now)
        at.has_lines = True

    async def decide(self, stage: Stage) -> None:
        """The care agency drops every difference, or lets the books stand for the whole statement."""
        for month in (0, 1):
            at = stage.model.months[month]
            if at.closed or not at.has_lines or {stage.model.state(month, h) for h in CHAINS} != {"differences"}:
                continue
            statement_id = await self._statement_id(stage, month)
            one, two = principal(CARE), principal(CARE, "two")
            if self.dice.random() < 0.5:
                await statements.propose_resolution(self.parts, one, statement_id, "以账面为准", self.now)
                await self._refused(statements.approve_resolution(self.parts, one, statement_id, self.now))
                await statements.approve_resolution(self.parts, two, statement_id, self.now)
                at.books_stand = True
            else:
                await self._drop_all(stage, month)
                await statements.match(self.parts, principal(stage.model.code), statement_id, self.now)
                at.dropped |= stage.model.differences(month)

    async def _drop_all(self, stage: Stage, month: int) -> None:
        one, two = principal(CARE), principal(CARE, "two")
        async with self.parts.database.read() as reader:
            rows = await reader.fetch(OPEN_ITEMS, stage.model.code, stage.periods[month])
        for (item_no,) in rows:
            dossier = await items.act(self.parts, one, item_no, ActionKind.DROP, "已核实", self.now)
            if dossier.actions[-1].approval_needed:
                await self._refused(items.approve(self.parts, one, item_no, self.now))
                await items.approve(self.parts, two, item_no, self.now)

    async def _refused(self, work: Awaitable[object]) -> None:
        try:
            await work
        except Refused:
            return
        raise Disagreement("what must be refused was done")

    # Confirmations and objections

    async def _cases(self, stage: Stage) -> dict[tuple[int, str], Any]:
        async with self.parts.database.read() as reader:
            rows = await reader.fetch(CASES, stage.model.code)
        return {
            (stage.periods.index(row["period"]), row["home_region"]): row
            for row in rows
            if row["period"] in stage.periods
        }

    def _confirmable(self, stage: Stage) -> list[tuple[int, str]]:
        model = stage.model
        return [(m, h) for m in (0, 1) for h in model.homes(m) if model.state(m, h) == "matched"]

    async def confirm(self, stage: Stage) -> None:
        """A party confirms a case; nobody confirms numbers they did not see, nor what is not matched."""
        model, cases = stage.model, await self._cases(stage)
        for month, home in self.dice.sample(model_cases := sorted(cases), min(3, len(model_cases))):
            party, case = self.dice.choice(model.parties(home)), cases[month, home]
            right = self.dice.random() < 0.9
            seen = case["numbers_hash"] if right and case["numbers_hash"] else "0" * 64
            open_to_it = model.state(month, home) == "matched" or party in model.months[month].confirmed[home]
            outcome = await confirmations.confirm_cases(self.parts, principal(party), {case["case_id"]: seen}, self.now)
            accepted = isinstance(outcome[case["case_id"]], Case)
            if accepted != (open_to_it and seen == case["numbers_hash"]):
                raise Disagreement(f"confirmation of {month} {home} by {party}: {outcome}")
            if accepted:
                model.months[month].closed = True
                model.months[month].confirmed[home].add(party)

    async def object(self, stage: Stage) -> None:
        """A party objects to some bills of a case before it confirms; it is decided at once, one way or the other."""
        model, cases = stage.model, await self._cases(stage)
        if not (choices := [k for k in self._confirmable(stage) if model.cleared(*k)]):
            return
        month, home = self.dice.choice(choices)
        parties = sorted(set(model.parties(home)) - model.months[month].confirmed[home])
        party, bills = self.dice.choice(parties), model.cleared(month, home)
        named = self.dice.sample(bills, self.dice.randint(1, max(1, len(bills) - 1)))
        case = cases[month, home]
        try:
            raised = await objections.raise_objection(
                self.parts,
                principal(party),
                case["case_id"],
                case["numbers_hash"],
                [bill.bill_id for bill in named],
                "不是本院的单据",
                self.now,
            )
        except Refused as refused:
            if {r.code for r in refused.refusals} <= {"settlement.objection-repeated"}:
                return
            raise
        outcome = self.dice.choice((ObjectionState.ACCEPTED, ObjectionState.REJECTED, ObjectionState.WITHDRAWN))
        by = party if outcome is ObjectionState.WITHDRAWN else raised.deciding_party
        reason = None if outcome is ObjectionState.WITHDRAWN else "已核对"
        await objections.end_objection(
            self.parts, principal(by, "judge"), raised.objection_no, outcome, reason, self.now
        )
        if outcome is ObjectionState.ACCEPTED:
            for bill in named:
                bill.cleared_in = model.first_open(month + 1)

    # Money

    def _payable(self, stage: Stage) -> list[tuple[int, str]]:
        model = stage.model
        return [
            (month, home)
            for month in (0, 1)
            for home in model.homes(month)
            if model.state(month, home) in ("confirmed", "moving") and home not in model.months[month].cycled
        ]

    async def pay(self, stage: Stage) -> None:
        """The hop whose turn it is is paid by two people; nobody else can, and not by one, nor where cycles net it."""
        if choices := self._payable(stage):
            await self._pay_hop(stage, *self.dice.choice(choices))

    async def _pay_hop(self, stage: Stage, month: int, home: str) -> None:
        model, case_id = stage.model, (await self._cases(stage))[month, home]["case_id"]
        payer = model.payer(month, home)
        assert payer is not None
        others = [party for party in model.parties(home) if party != payer]
        if others and self.dice.random() < 0.3:
            out_of_turn = await self._proposed(self.dice.choice(others), case_id)
            if isinstance(out_of_turn, Payment):
                raise Disagreement("a hop was proposed out of turn")
        proposed = await self._proposed(payer, case_id)
        if self._nets:
            if not isinstance(proposed, list) or [r.code for r in proposed] != ["settlement.hop-to-be-netted"]:
                raise Disagreement(f"{payer} proposed a hop that is to be netted: {proposed}")
            return
        if not isinstance(proposed, Payment):
            raise Disagreement(f"{payer} cannot propose its hop of {month} {home}: {proposed}")
        payment_id = proposed.payment_id
        if await self._approved(payer, "one", payment_id) or not await self._approved(payer, "two", payment_id):
            raise Disagreement(f"four eyes of {payer}")
        model.pay_hop(month, home)

    async def _proposed(self, party: str, case_id: str) -> Payment | list[Refusal]:
        async with self.parts.database.transaction() as tx:
            return (await payments.propose(self.parts, tx, principal(party), [case_id], self.now))[case_id]

    async def _approved(self, party: str, person: str, payment_id: str) -> bool:
        async with self.parts.database.transaction() as tx:
            who = principal(party, person)
            outcome = (await payments.approve(self.parts, tx, who, [payment_id], self.now))[payment_id]
        return not isinstance(outcome, list)

    async def cycle(self, stage: Stage) -> None:
        """A clearing agency cuts a cycle, and its positions are paid."""
        await self._cycle(self.dice.choice(sorted(set(CLEARING.values()))))

    async def _cycle(self, region: str) -> None:
        """What it takes up is what everybody confirmed and nobody began to pay."""
        if self._permille:
            return
        taken = [
            (stage, month, home)
            for stage in self.stages
            for month, home in self._payable(stage)
            if CLEARING[home] == region and not stage.model.months[month].paid_hops[home]
        ]
        try:
            async with self.parts.database.transaction() as tx:
                cut = await clearing.cut(self.parts, tx, region, "one", self.now)
        except Refused:
            if taken:
                raise
            return
        for stage, month, home in taken:
            stage.model.months[month].cycled.add(home)
        await self._pay_positions(cut.cycle_id)
        for stage, month, home in taken:
            while stage.model.payer(month, home):
                stage.model.pay_hop(month, home)

    async def _pay_positions(self, cycle_id: str) -> None:
        """Position after position, those that wait for others later."""
        paid = True
        while paid:
            paid = False
            async with self.parts.database.read() as reader:
                rows = await reader.fetch(OPEN_POSITIONS, cycle_id)
            for position_id, payer in rows:
                paid = await self._pay_position(payer, position_id) or paid
        if rows:
            raise Disagreement(f"positions nobody can pay: {[tuple(row) for row in rows]}")

    async def _pay_position(self, payer: str, position_id: str) -> bool:
        async with self.parts.database.transaction() as tx:
            one = principal(payer)
            proposed = (await orders.propose(self.parts, tx, one, Purpose.POSITION, [position_id], self.now))[
                position_id
            ]
        if isinstance(proposed, list):
            return False
        if self.dice.random() < 0.2:
            async with self.parts.database.transaction() as tx:
                await orders.decline(tx, principal(payer, "two"), [proposed], "先不付")
            return True
        async with self.parts.database.transaction() as tx:
            outcome = await orders.approve(self.parts, tx, principal(payer, "two"), [proposed], self.now)
        if isinstance(outcome[proposed], list):
            raise Disagreement(f"order of {payer}: {outcome}")
        return True

    async def silence(self, stage: Stage) -> None:
        """Nobody does anything for some days, and reminders go out."""
        self.now += timedelta(days=self.dice.randint(1, 12), minutes=1)
        await remind(self.parts, lambda: self.now)

    # The end

    async def _finish(self, stage: Stage, month: int) -> None:
        """A month is stated as it is booked, and confirmed by everybody."""
        model = stage.model
        if not model.months[month].closed and any(b.booked_in == month for b in model.bills.values()):
            await self._state(stage, month, [b for b in model.bills.values() if b.booked_in == month])
        for key, case in (await self._cases(stage)).items():
            if key[0] != month or model.state(*key) != "matched":
                continue
            for party in sorted(set(model.parties(key[1])) - model.months[month].confirmed[key[1]]):
                hashes = {case["case_id"]: case["numbers_hash"]}
                outcome = await confirmations.confirm_cases(self.parts, principal(party), hashes, self.now)
                if not isinstance(outcome[case["case_id"]], Case):
                    raise Disagreement(f"{party} cannot confirm {key}: {outcome}")
                model.months[month].closed = True
                model.months[month].confirmed[key[1]].add(party)
        await self._agree(stage)

    async def _pay_everything(self, stage: Stage) -> None:
        while choices := self._payable(stage):
            if self._nets:
                raise Disagreement(f"no cycle took {choices}")
            await self._pay_hop(stage, *choices[0])

    # Product and model agree

    async def _agree(self, stage: Stage) -> None:
        """The hospital's own book and every case are as the model says."""
        model = stage.model
        async with self.parts.database.read() as reader:
            rows = await reader.fetch(BALANCES_OF_BOOK, model.code)
        expected = {a: v for a, v in model.balances.items() if a[0] == model.code and v}
        compare(as_paid(rows), expected, f"book of {model.code}")
        for (month, home), case in (await self._cases(stage)).items():
            expected_state = model.state(month, home)
            state = "moving" if case["state"] in ("remitting", "disbursing") else case["state"]
            if home not in model.months[month].cycled and state != expected_state:
                raise Disagreement(f"case {month} {home} of {model.code} is {case['state']}, not {expected_state}")
            if case["numbers_hash"] and case["payable_fen"] != model.payable_fen(month, home):
                raise Disagreement(f"case {month} {home} comes to {case['payable_fen']}")


Action = Callable[[Play, Stage], Awaitable[None]]
ACTIONS: dict[Action, int] = {
    Play.book: 20,
    Play.reverse: 8,
    Play.hear_again: 4,
    Play.state: 10,
    Play.state_wrongly: 12,
    Play.decide: 8,
    Play.confirm: 40,
    Play.object: 4,
    Play.pay: 12,
    Play.cycle: 2,
    Play.silence: 4,
}
"""What may happen, and how often."""


def as_paid(rows: Sequence[Any]) -> dict[Account, int]:
    """Balances as found, what stands on clearing accounts counted with the bank."""
    found: dict[Account, int] = {}
    for book, kind, counterparty, amount in rows:
        account = (book, "bank", "") if kind in ("bank", "clearing") else (book, kind, counterparty)
        found[account] = found.get(account, 0) + amount
    return {account: amount for account, amount in found.items() if amount}


def compare(found: dict[Account, int], expected: dict[Account, int], where: str) -> None:
    """Raise Disagreement, naming every account that is off."""
    if off := {
        account: (found.get(account, 0), expected.get(account, 0))
        for account in found.keys() | expected.keys()
        if found.get(account, 0) != expected.get(account, 0)
    }:
        raise Disagreement(f"{where}, found and expected: {off}")


async def agree_on_all(parts: Settlement, before: dict[Account, int], play: Play) -> dict[Account, int]:
    """All balances of all books after a play are those before it and what the model made of it; they are returned."""
    async with parts.database.read() as reader:
        found = as_paid(await reader.fetch(BALANCES, timeout=60))
    made = all_balances([stage.model for stage in play.stages])
    expected = {a: before.get(a, 0) + made.get(a, 0) for a in before.keys() | made.keys()}
    compare(found, {a: v for a, v in expected.items() if v}, "all books")
    return found
