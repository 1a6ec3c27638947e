"""The policy pack as it is written: one class for each thing a document may say, from which its JSON Schema is made.

Here stands only the form. What the words mean together is in `docs/policy-packs.md`; what fits together is checked by
`shared.policy.checking`; what they decide is computed by `shared.policy.engine`. Amounts are yuan, as people write
them.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictStr,
    Tag,
    WithJsonSchema,
)

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*$", max_length=60)]
"""An identifier of the pack: Latin small letters, digits, single hyphens or underscores."""

Number = Annotated[Decimal, Field(strict=True, allow_inf_nan=False), WithJsonSchema({"type": "number"})]
Formula = Annotated[str, Field(min_length=1, max_length=400)]
"""Arithmetic over numbers (`0.05`, `85%`), facts, figures and quantities: + - * / ( ) min() max(). See `formula`."""

Scalar = StrictStr | StrictBool | Number


def _whole(value: Any) -> Any:
    """Numbers are read as decimals; a whole one may be counted with."""
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


Count = Annotated[int, BeforeValidator(_whole)]


class Written(BaseModel):
    """Base of everything a document may hold: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True)


class Texts(Written):
    """A text in both languages."""

    zh: str
    en: str


def _text_kind(value: Any) -> str:
    return "both" if isinstance(value, dict | Texts) else "plain"


Text = Annotated[
    Annotated[str, Tag("plain"), Field(min_length=1, max_length=400)] | Annotated[Texts, Tag("both")],
    Discriminator(_text_kind),
]


# ------------------------------------------------------------------------------------------------ conditions


class Range(Written):
    """Numbers from (inclusive) to (inclusive), above (exclusive), below (exclusive)."""

    from_: Number | None = Field(default=None, alias="from")
    to: Number | None = None
    above: Number | None = None
    below: Number | None = None


class Not(Written):
    """Every word but these."""

    not_: Scalar | list[Scalar] = Field(alias="not")


def _test_kind(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "words"
    if isinstance(value, Not) or (isinstance(value, dict) and "not" in value):
        return "not"
    return "range" if isinstance(value, dict | Range) else "word"


Test = Annotated[
    Annotated[Scalar, Tag("word")]
    | Annotated[list[Scalar], Tag("words"), Field(min_length=1)]
    | Annotated[Range, Tag("range")]
    | Annotated[Not, Tag("not")],
    Discriminator(_test_kind),
]

When = dict[str, Test]
"""All of these hold. Keys are facts; the key `if` holds a formula with one comparison, such as `cost > 2 * average`, or
a list of them."""


# --------------------------------------------------------------------------------------------------- figures


class Adjust(Written):
    """A change of a figure, made in the order written, when its condition holds. Exactly one of add, times, set."""

    when: When = Field(default_factory=dict)
    add: Figure | None = None
    times: Figure | None = None
    set: Figure | None = None
    clause: str | None = None


class FigureCase(Written):
    """One of several values; the conditions of a list of cases must not overlap."""

    when: When = Field(default_factory=dict)
    otherwise: bool = False
    """True in the last case: holds when no other does."""
    value: Figure
    clause: str | None = None


class FigureRule(Written):
    """A figure that depends on something. Exactly one of value, table, cases."""

    value: Number | Formula | None = None
    by: str | list[str] | None = None
    """The fact, or the facts from outside to inside, that the table is read by."""
    table: dict[str, Any] | None = None
    """Words (or number ranges: `1`, `18-59`, `60+`) to figures, nested once per fact; `otherwise` for the rest."""
    cases: list[FigureCase] | None = None
    adjust: list[Adjust] = Field(default_factory=list)
    at_least: Number | Formula | None = None
    at_most: Number | Formula | None = None
    share: Literal["fund", "person"] = "fund"
    """Whose share a ratio is written as; `person` is turned into one minus it, after adjusting."""
    clause: str | None = None


def _figure_kind(value: Any) -> str:
    if isinstance(value, dict | FigureRule):
        return "rule"
    return "formula" if isinstance(value, str) else "number"


Figure = Annotated[
    Annotated[Number, Tag("number")] | Annotated[Formula, Tag("formula")] | Annotated[FigureRule, Tag("rule")],
    Discriminator(_figure_kind),
]
"""A number, a formula, or a rule that finds one. Amounts are yuan; ratios lie in 0 to 1."""

FigureCase.model_rebuild()


# ----------------------------------------------------------------------------------------------------- items

Period = Literal["visit", "episode", "day", "month", "quarter", "year", "facility_year", "lifetime"]
"""Over what a limit or a deductible runs. An episode (同一病程) joins the settlements of one stay: transfers between
hospitals and interim settlements carry the same episode. The year is the benefit year of the pack."""


PartName = Literal["own", "over_ceiling", "prepay", "deductible", "by_ratio", "over_cap"]
"""A part of the person's burden: 自费, 超限价, 先行自付, 起付, 按比例自付, 超限额."""


class ItemLimit(Written):
    """At most so much of these items is in scope; the excess is the person's, outside the scope."""

    amount: Figure | None = None
    quantity: Figure | None = None
    """Units; those beyond it are outside the scope with all that they cost."""
    per: Period = "visit"
    of: list[str] = Field(default_factory=list)
    """Facts each of whose values has a limit of its own, such as [disease]."""
    counter: Slug | None = None
    """The counter it runs in; default: the item rule's id."""


class ItemRule(Written):
    """How a fee line is divided into 自费, 超限价, 先行自付 and what is in scope (政策范围内)."""

    id: Slug
    when: When = Field(default_factory=dict)
    otherwise: bool = False
    scope: Literal["in", "out", "stated"] = "in"
    """`out`: all of it is 自费. `stated`: the line brings its own parts (own, over_ceiling, prepay), as lines classed
    by the care place do."""
    ceiling: Literal["line"] | Figure | None = None
    """Price ceiling (支付标准) a unit: `line` takes the line's own, when it has one. The excess is 超限价."""
    prepay: Literal["line"] | Figure = Decimal(0)
    """先行自付比例: `line` takes the line's own ratio, or 0."""
    limit: ItemLimit | None = None
    clause: str


# ---------------------------------------------------------------------------------------------------- layers


class DeductibleLimit(Written):
    """The most that deductibles come to over a longer period, such as all admissions of a year."""

    amount: Figure
    per: Period = "year"
    counter: Slug | None = None
    """Default: layer id with `-deductibles`."""
    clause: str | None = None
    """Default: the deductible's."""


class Deductible(Written):
    """起付线: what the person bears first. In a running period only what is left of it is taken, so that a higher
    level later tops it up."""

    amount: Figure
    per: Period = "visit"
    of: list[str] = Field(default_factory=list)
    counter: Slug | None = None
    """Benefits that name one counter share one deductible; default: layer id with `-deductible`."""
    limit: DeductibleLimit | None = None
    waived: list[When] = Field(default_factory=list)
    """For whom it is waived: any of these."""
    clause: str


class Limit(Written):
    """A limit on the expense a layer looks at, before its deductible; the excess is over the limit (超限额)."""

    amount: Figure
    per: Period = "year"
    of: list[str] = Field(default_factory=list)
    counter: Slug | None = None
    """Default: layer id with `-expense`."""
    when: When = Field(default_factory=dict)
    clause: str


class Cap(Written):
    """A limit on what the fund pays in a layer (最高支付限额)."""

    amount: Figure
    per: Period = "year"
    of: list[str] = Field(default_factory=list)
    counter: Slug | None = None
    """Benefits that name one counter share one cap; default: layer id with `-fund`."""
    when: When = Field(default_factory=dict)
    clause: str


class Tier(Written):
    """One band of a tiered ratio, from where the one before ended."""

    to: Figure | None = None
    """Its upper end in yuan, inclusive; none in the last band."""
    ratio: Figure
    clause: str | None = None


class Tiers(Written):
    """Bands with a ratio each (分段)."""

    axis: Literal["gross", "above_deductible"] = "above_deductible"
    """`gross`: bands are of the expense itself and the deductible eats into the lowest. `above_deductible`: they begin
    at 0 above it."""
    running: Period | None = None
    """When set, bands are of the sum of this period, to which earlier bills belong."""
    counter: Slug | None = None
    """The counter of a running sum; default: layer id with `-sum`."""
    bands: list[Tier] = Field(min_length=1)
    clause: str | None = None


class PersonCeiling(Written):
    """封顶自付: once the person's deductible and share by ratio in this layer reach it, the fund pays the rest."""

    amount: Figure
    per: Period = "year"
    counter: Slug | None = None
    """Default: layer id with `-person`."""
    clause: str


class Fixed(Written):
    """定额 / 包干: the fund pays a fixed amount instead of a ratio."""

    amount: Figure
    per: Literal["visit", "day"] = "visit"
    surplus: Literal["person", "facility", "none"] = "none"
    """Who is paid the difference when the expense is lower; `none`: the fund pays the expense only."""
    deficit: Literal["person", "facility"] = "person"
    """Who bears the difference when the expense is higher."""
    clause: str


class Layer(Written):
    """One payer in the order of payers: basic pool, large sum, serious illness, aid, supplementary ….

    Names of its quantities in formulas: `<id>.basis`, `.limited` (basis within limits), `.deductible`, `.eligible`
    (limited − deductible), `.fund`, `.by_ratio` (eligible − what the ratio gives), `.over_cap` (what the cap cut),
    `.over_limit` (basis − limited), `.used` (the expense behind the fund's payment: eligible, or cap ÷ ratio once
    capped), `.left` (eligible − used), `.cap_left` (room under the tightest cap afterwards). Hyphens of the id are
    written as underscores.
    """

    id: Slug
    title: Text
    fund: str
    """基金支付类型 that pays, such as 310100."""
    when: When = Field(default_factory=dict)
    pays: Literal["now", "later", "given"] = "now"
    """`later`: computed and shown, but paid afterwards by `payer` (an insurer), so the person advances it. `given`:
    was paid elsewhere before; the bill brings the amount under `paid`."""
    payer: str | None = None
    basis: Formula = "in_scope"
    """What of the bill it looks at: `in_scope`, `person` (all that earlier layers left), `in_scope - paid`,
    `in_scope - paid - basic.deductible`, `own`, `tag.特药` …"""
    limits: list[Limit] = Field(default_factory=list)
    deductible: Deductible | None = None
    ratio: Figure | None = None
    tiers: Tiers | None = None
    fixed: Fixed | None = None
    person_ceiling: PersonCeiling | None = None
    caps: list[Cap] = Field(default_factory=list)
    absorbs: list[PartName] = ["over_cap", "by_ratio", "deductible", "prepay", "over_ceiling", "own"]
    """Which parts of the person's burden its payment takes away, in order (for layers after the first)."""
    recover: str | None = None
    """Paid first and recovered from somebody: 第三方."""
    clause: str


class Account(Written):
    """个人账户: which parts it may pay, in order, first the own account, then the family's when `family`."""

    pays: list[PartName]
    family: bool = False
    when: When = Field(default_factory=dict)
    clause: str


class Benefit(Written):
    """What one kind of bill of one kind of person gets. Every bill is decided by exactly one benefit."""

    id: Slug
    title: Text
    when: When
    refuses: Text | None = None
    """When set, nothing is paid, and this is why."""
    counts_admission: bool = False
    """Adds one to the year's admissions, the fact `admission_no`."""
    items: list[ItemRule] = Field(default_factory=list)
    """Its own item rules; without any, those of the pack hold."""
    layers: list[Layer] = Field(default_factory=list)
    account: Account | None = None
    clause: str


# ---------------------------------------------------------------------------------------------- calculations


class Step(Written):
    """One line of a calculation: a named figure, rounded."""

    id: Slug
    title: Text
    figure: Figure
    unit: Literal["yuan", "ratio", "count", "days", "months"] = "yuan"
    round: Literal["fen", "jiao", "yuan", "whole", "none"] = "fen"
    """Half-up to this; a ratio, a count, days and months are given `none` or `whole`."""
    when: When = Field(default_factory=dict)
    """When it does not hold, the step is 0."""
    clause: str


class Need(Written):
    """An input of a calculation."""

    title: Text
    unit: Literal["yuan", "ratio", "count", "days", "months"] = "yuan"
    default: Number | None = None


class Calculation(Written):
    """A question that is not a bill: a contribution, an allowance, an account credit, a payment to a hospital, a
    waiting period."""

    id: Slug
    title: Text
    kind: Literal["contribution", "allowance", "account", "hospital_payment", "entitlement", "deposit"]
    when: When = Field(default_factory=dict)
    needs: dict[Slug, Need] = Field(default_factory=dict)
    steps: list[Step] = Field(min_length=1)
    results: list[Slug] = Field(min_length=1)
    """The steps that answer the question."""
    clause: str


# ------------------------------------------------------------------------------------------------------ pack


class Clause(Written):
    """Where a rule comes from: document number, article, quoted words."""

    document: str
    article: str | None = None
    words: str
    source: str | None = None


class Assumption(Written):
    """What the documents leave open and this pack decides, by name."""

    id: Slug
    says: Text


class NamedFigure(Written):
    """A number used by name in formulas, such as the average wage."""

    value: Number
    unit: Literal["yuan", "ratio", "count"] = "yuan"
    clause: str


class FactDomain(Written):
    """The values of a fact that this pack knows; makes gaps in its rules visible."""

    words: list[str] | None = None
    number: Range | None = None
    flag: bool = False
    of: Literal["person", "bill", "line"] | None = None
    """For facts beyond the standard vocabulary: where a case writes it."""
    title: Text | None = None


class Valid(Written):
    """First and last day; the last one is open when absent."""

    from_: date = Field(alias="from")
    to: date | None = None


class PackDocument(Written):
    """A policy pack. It may be spread over several files of a folder: lists and mappings are put together, and each
    single value stands in one file only."""

    pack: Slug
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=20)]
    title: Text
    area: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    """The pooling area (统筹区), a division code; its counties inherit the pack."""
    valid: Valid
    decided_by: Literal["discharge", "admission", "service"] = "discharge"
    """Which day of a bill chooses the version and the benefit year. `service`: each year's lines apart, by the day
    of each line; a bill over New Year is then decided as two."""
    year_begins: Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")] = "01-01"
    """First day of the benefit year, MM-DD."""
    author: str
    reviewer: str | None = None
    illustrative: bool = False
    """True when its figures are not an authority's word."""
    rounding: Literal["half_up", "down"] = "half_up"
    """To the fen, once per layer and band."""
    clauses: dict[str, Clause] = Field(min_length=1)
    assumptions: list[Assumption] = Field(default_factory=list)
    facts: dict[str, FactDomain] = Field(default_factory=dict)
    figures: dict[Slug, NamedFigure] = Field(default_factory=dict)
    items: list[ItemRule] = Field(default_factory=list)
    benefits: list[Benefit] = Field(default_factory=list)
    calculations: list[Calculation] = Field(default_factory=list)
    examples: list[Case] = Field(default_factory=list)
    """Worked examples; a pack is not put in force while one fails."""


# ------------------------------------------------------------------------------------------------------ case


class CaseLine(Written):
    """A fee line of a case."""

    no: str | None = None
    item: str | None = None
    amount: Number
    quantity: Number | None = None
    ceiling: Number | None = None
    """Price ceiling a unit."""
    prepay: Number | None = None
    """The item's own 先行自付比例."""
    own: Number | None = None
    over_ceiling: Number | None = None
    prepaid: Number | None = None
    """Parts in yuan, where the line comes with them (scope `stated`)."""
    day: date | None = None
    facts: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    """Facts of the line: class, tag, and those the pack declares."""


class CaseBill(Written):
    """A bill of a case. Days that are not given are the first day the pack is valid."""

    id: str | None = None
    facility: str = "H1"
    episode: str | None = None
    """Joins the settlements of one stay; default: each bill its own."""
    begins: date | None = None
    ends: date | None = None
    facts: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    """Facts of the bill: care, level, remote, disease …"""
    lines: Annotated[list[CaseLine], Field(min_length=1)] = []
    """Its fee lines; none when it reverses another bill."""
    reverses: str | None = None
    """The id of an earlier bill that is reversed (退费、冲正): all it moved is given back, counters and account."""
    paid: dict[str, Number] = Field(default_factory=dict)
    """What `given` layers paid, by layer id."""
    use_account: bool = False
    repeat: Annotated[Count, Field(ge=1, le=400)] = 1
    """The same bill several times in a row."""


class Question(Written):
    """A calculation to be made with its inputs."""

    id: str | None = None
    calculate: Slug
    """Id of the calculation."""
    inputs: dict[str, Number] = Field(default_factory=dict)
    facts: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    """Further facts, beside those of the person."""


class Expectation(Written):
    """A figure that must come out to the fen."""

    what: Formula
    """Over quantities of the last bill, `<bill id>.<quantity>`, `<question id>.<step>`, `bills.<quantity>` (the sum
    over all bills)."""
    is_: Number = Field(alias="is")
    says: str | None = None
    """How the source calls it."""


class Accounts(Written):
    """Balances of the personal account and the family's."""

    own: Number = Decimal(0)
    family: Number = Decimal(0)


class Case(Written):
    """A person, a history, bills in a row that carry their counters, questions; and what must come out."""

    id: str
    title: Text | None = None
    source: str | None = None
    authority: str | None = None
    note: str | None = None
    person: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    """Facts of the person."""
    history: dict[str, Number] = Field(default_factory=dict)
    """Counters before the first bill, by name as a decision prints them, such as `basic-fund@2025`; yuan."""
    accounts: Accounts = Field(default_factory=Accounts)
    bills: list[CaseBill] = Field(default_factory=list)
    questions: list[Question] = Field(default_factory=list)
    expect: list[Expectation] = Field(default_factory=list)


PackDocument.model_rebuild()
