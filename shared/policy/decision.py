"""What the engine is given and what it answers: plain values in whole fen, with the record of how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

from shared.policy.document import PartName

Fact: TypeAlias = "str | bool | Decimal | int | frozenset[str]"
Facts: TypeAlias = Mapping[str, Fact]
"""Facts by name; words (`Kind.WORDS`) are frozensets, absent facts are unknown."""

Counters: TypeAlias = Mapping[str, int]
"""What was used up before, by counter and period: `basic-fund@2025` in fen, `admissions@2025` a count. See
`periods.counter_key`."""

PARTS: tuple[PartName, ...] = ("own", "over_ceiling", "prepay", "deductible", "by_ratio", "over_cap")


class BillLine(NamedTuple):
    """A fee line; a negative one voids. `ceiling_fen` and `prepay` are the catalogue's, where the line brings them."""

    no: str
    amount_fen: int
    facts: Facts
    quantity: Decimal = Decimal(1)
    ceiling_fen: Decimal | None = None
    """Price ceiling a unit, in fen."""
    prepay: Decimal | None = None
    own_fen: int = 0
    over_ceiling_fen: int = 0
    prepay_fen: int = 0
    """The three parts that a line with scope `stated` brings."""
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill to be decided."""

    facility: str
    begins_on: date
    ends_on: date
    facts: Facts
    """Of person and bill together."""
    lines: tuple[BillLine, ...]
    episode: str | None = None
    paid_fen: Mapping[str, int] = field(default_factory=dict)
    """What `given` layers paid, by layer id."""
    account_fen: int = 0
    family_fen: int = 0
    """Balances that may be used; 0 when the account is not to be used."""


class Step(NamedTuple):
    """One step of the working: what was computed, from what, by which rule, with which result.

    `kind` names the arithmetic (see `working.OPERATIONS`), `name` the quantity it made, `inputs` its operands in
    order as (name, value) pairs, `clauses` where it comes from. Values: an int is fen, a Fraction any other number (a
    ratio, an age, an average wage in yuan), words are facts; the parts of a line or of the person are tuples of fen.
    An input that has the name of an earlier step is its result. A step may make a quantity anew (an adjusted figure).
    """

    kind: str
    name: str
    inputs: tuple[tuple[str, Any], ...]
    result: Any
    clauses: tuple[str, ...] = ()


class LineResult(NamedTuple):
    """A line's division. amount = own + over_ceiling + prepay + in_scope."""

    no: str
    rule: str
    amount_fen: int
    own_fen: int
    over_ceiling_fen: int
    prepay_fen: int
    in_scope_fen: int


class Slice(NamedTuple):
    """What one band gave: the expense that fell in it, its ratio, the share of it."""

    band: int
    expense_fen: int
    ratio: Fraction
    share_fen: int


class LayerResult(NamedTuple):
    """One layer. basis = over_limit + limited; limited = deductible + eligible; eligible = fund + by_ratio + over_cap
    (less what a fixed amount leaves to the facility, `facility_fen`)."""

    id: str
    fund: str
    pays: str
    payer: str | None
    basis_fen: int
    over_limit_fen: int
    deductible_fen: int
    eligible_fen: int
    slices: tuple[Slice, ...]
    fund_fen: int
    by_ratio_fen: int
    over_cap_fen: int
    facility_fen: int = 0
    recover: str | None = None


@dataclass(frozen=True, slots=True)
class Payout:
    """Paid beside the bill: the surplus of a fixed amount, to the person or the facility."""

    layer: str
    to: str
    fund: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class NotPaid:
    """Why nothing is decided or paid: a stable code, both languages, and the clauses."""

    code: str
    zh: str
    en: str
    clauses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Who pays what of a bill.

    total = fund + person + hospital; person = account + family + cash = Σ parts; fund = Σ layers that pay now or were
    given; total = own + over_ceiling + prepay + in_scope.
    """

    pack: str
    version: str
    benefit: str | None
    not_paid: NotPaid | None
    total_fen: int
    own_fen: int
    over_ceiling_fen: int
    prepay_fen: int
    in_scope_fen: int
    lines: tuple[LineResult, ...]
    layers: tuple[LayerResult, ...]
    fund_fen: int
    hospital_fen: int
    parts_fen: Mapping[PartName, int]
    """What the person bears at last, by part, after all layers that pay now."""
    account_fen: int
    family_fen: int
    cash_fen: int
    later_fen: int
    """What `later` layers will pay back to the person."""
    payouts: tuple[Payout, ...]
    changes: Counters
    """What the bill adds to the counters; a reversal takes exactly this back."""
    quantities: Mapping[str, int | Fraction]
    """Every named quantity, for expectations and formulas: fen, ratios as Fraction."""
    steps: tuple[Step, ...]

    @property
    def person_fen(self) -> int:
        """个人负担总金额."""
        return self.account_fen + self.family_fen + self.cash_fen


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer of a calculation: its steps by id (fen for yuan, Fraction otherwise) and the record."""

    calculation: str
    values: Mapping[str, int | Fraction]
    units: Mapping[str, str]
    results: tuple[str, ...]
    steps: tuple[Step, ...]
