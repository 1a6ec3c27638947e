"""Netting (轧差): from the hops of confirmed cases to the net positions of a cycle, with the proof. Pure.

The same cases give the same positions and the same hash, in whatever order they come.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

from services.settlement.rules.cases import Case, Hop, HopKind
from services.settlement.rules.terms import Netting


class Leg(NamedTuple):
    """What one hop of a case adds to a position: positive is owed by the position's payer. In fen.

    Zero is a hop that only passes through: the first hop of its run carries the amount.
    """

    case_id: str
    hop_no: int
    amount_fen: int


class Brought(NamedTuple):
    """A facility's position that an earlier cycle carried (结转): what it adds to the one that takes it up. In fen."""

    position_id: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Net:
    """One net position (净额头寸): `payer` owes `payee`; the amount is never negative."""

    payer: str
    payee: str
    legs: tuple[Leg, ...]
    """The proof, by case and hop."""
    facility_code: str | None = None
    """The facility, where one of the two is one."""
    brought: Brought | None = None
    withheld_fen: int = 0
    """What is set off against it (扣留); negative where something is given back with it."""

    @property
    def amount_fen(self) -> int:
        """What is to be paid."""
        return self.netted_fen - self.withheld_fen

    @property
    def netted_fen(self) -> int:
        """What the hops come to, with what was brought, before anything is withheld."""
        return sum(leg.amount_fen for leg in self.legs) + (self.brought.amount_fen if self.brought else 0)

    @property
    def owed_by_facility(self) -> bool:
        """Whether a facility is to give money back."""
        return self.payer == self.facility_code and self.amount_fen > 0


@dataclass(frozen=True, slots=True)
class Carried:
    """A facility's position that waits for the next cycle: `payer` owes `payee`. In fen."""

    position_id: str
    payer: str
    payee: str
    amount_fen: int


class Run(NamedTuple):
    """Hops of one case that a cycle takes together: the first party of the path owes the last one."""

    hops: tuple[Hop, ...]

    @property
    def path(self) -> tuple[str, ...]:
        """The parties, in the direction of the money."""
        return (self.hops[0].payer, *(hop.payee for hop in self.hops))

    @property
    def amount_fen(self) -> int:
        """What moves, the same at every hop."""
        return self.hops[0].amount_fen


def runs(case: Case, netting: Netting) -> Iterator[Run]:
    """The runs of a case.

    Only multilateral netting joins hops: those between agencies on one side of the clearing agency become one debt to
    it or of it. What facility and care agency owe each other always stays between the two.
    """
    if netting is not Netting.MULTILATERAL:
        yield from (Run((hop,)) for hop in case.hops)
        return
    for _, hops in groupby(case.hops, lambda hop: _side(hop, case.facility_code)):
        yield Run(tuple(hops))


def _side(hop: Hop, facility_code: str) -> tuple[HopKind, bool]:
    return hop.kind, facility_code in (hop.payer, hop.payee)


def net(cases: Iterable[Case], netting: Netting, carried: Iterable[Carried] = ()) -> list[Net]:
    """The positions over the hops of these cases, in the order of their parties.

    One for each two parties; gross, one for each hop between agencies. What an earlier cycle carried joins the position
    of the same facility and agency.
    """
    legs: defaultdict[_Key, list[Leg]] = defaultdict(list)
    for case in cases:
        for run in runs(case, netting):
            key = _key(case, run, netting)
            legs[key] += _legs(case.case_id, run, 1 if run.path[0] == key.one else -1)
    waiting = {frozenset((c.payer, c.payee)): c for c in carried}
    return sorted((_net(key, found, waiting.get(frozenset(key[:2]))) for key, found in legs.items()), key=_order)


class _Key(NamedTuple):
    """What is one position: two parties in the order of their codes, and, gross, the one hop."""

    one: str
    other: str
    facility_code: str | None
    hop: str


def _key(case: Case, run: Run, netting: Netting) -> _Key:
    one, other = sorted((run.path[0], run.path[-1]))
    if case.facility_code in (one, other):
        return _Key(one, other, case.facility_code, "")
    return _Key(one, other, None, f"{case.case_id} {run.hops[0].hop_no}" if netting is Netting.GROSS else "")


def _legs(case_id: str, run: Run, sign: int) -> Iterator[Leg]:
    yield Leg(case_id, run.hops[0].hop_no, sign * run.amount_fen)
    yield from (Leg(case_id, hop.hop_no, 0) for hop in run.hops[1:])


def _net(key: _Key, legs: Iterable[Leg], carried: Carried | None) -> Net:
    brought = None
    if carried is not None:
        brought = Brought(carried.position_id, carried.amount_fen * (1 if carried.payer == key.one else -1))
    return _directed(Net(key.one, key.other, tuple(sorted(legs)), key.facility_code, brought))


def _directed(position: Net) -> Net:
    """The position the way round in which its amount is not negative."""
    if position.amount_fen >= 0:
        return position
    legs = tuple(leg._replace(amount_fen=-leg.amount_fen) for leg in position.legs)
    brought = position.brought and position.brought._replace(amount_fen=-position.brought.amount_fen)
    return Net(position.payee, position.payer, legs, position.facility_code, brought)


def _order(position: Net) -> tuple[str, str, tuple[Leg, ...]]:
    return position.payer, position.payee, position.legs


def without(position: Net, leaving: Collection[str]) -> Net:
    """The position after some cases left the cycle; it may turn round. What is withheld of it is set off anew."""
    legs = tuple(leg for leg in position.legs if leg.case_id not in leaving)
    return _directed(replace(position, legs=legs, withheld_fen=0))


def netting_hash(netting: Netting, positions: Iterable[Net]) -> str:
    """SHA-256, in hexadecimal, of the positions with their proofs: who nets the same cases again gets the same.

    It is of what is netted, before anything is withheld.
    """
    return hashlib.sha256("\n".join([netting, *map(_text, sorted(positions, key=_order))]).encode()).hexdigest()


def _text(position: Net) -> str:
    head = f"{position.payer} {position.payee} {position.netted_fen}"
    brought = f" {position.brought.position_id} {position.brought.amount_fen}" if position.brought else ""
    return "\n".join([head + brought, *(f"{leg.case_id} {leg.hop_no} {leg.amount_fen}" for leg in position.legs)])


def leaving(position: Net, owed: Sequence[str], available_fen: int) -> list[str]:
    """Which cases leave the cycle because the payer does not pay all it owes.

    `owed` are the cases that can leave, in the order in which they were confirmed. As many of them as the available
    money pays, together with everything that stays in any case, are kept; the first that it does not pay and all after
    it leave, because nobody confirmed later is paid before somebody confirmed earlier (按确认先后).
    """
    amounts: defaultdict[str, int] = defaultdict(int)
    for leg in position.legs:
        amounts[leg.case_id] += leg.amount_fen
    debts = [case_id for case_id in owed if amounts[case_id] > 0]
    left_fen = available_fen - (position.netted_fen - sum(amounts[case_id] for case_id in debts))
    for number, case_id in enumerate(debts):
        left_fen -= amounts[case_id]
        if left_fen < 0:
            return debts[number:]
    return []
