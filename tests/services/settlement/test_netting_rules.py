"""Netting without any database: what the positions of a cycle are, whatever the cases."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.rules.cases import Case, State, hops_of
from services.settlement.rules.ledger import Account, AccountKind, clearing_transfers, entries, payable, receivable
from services.settlement.rules.netting import Brought, Carried, Leg, Net, leaving, net, netting_hash, runs, without
from services.settlement.rules.prepayments import Use, level_fen, use_of, use_percent, worsened
from services.settlement.rules.terms import Netting
from tests.services.settlement.world import HENAN, HUAIYANG, NANYANG, REGIONS, WANCHENG, XIANGCHENG, ZHOUKOU

GROSS, BILATERAL, MULTILATERAL = Netting


def case(name: str, facility: str, care: str, home: str, payable_fen: int) -> Case:
    """A confirmed case with its hops."""
    chain = REGIONS.chain(care, home)
    made = Case(
        case_id=name,
        facility_code=facility,
        period="2026-10",
        care_region=care,
        home_region=home,
        clearing_region=REGIONS.clearing(care, home),
        chain=chain,
        state=State.CONFIRMED,
        payable_fen=payable_fen,
    )
    return replace(made, hops=hops_of(made))


def amounts(positions: list[Net]) -> dict[tuple[str, str], int]:
    """What each pays each."""
    return {(p.payer, p.payee): p.amount_fen for p in positions}


OUT = case("a", "F1", HUAIYANG, XIANGCHENG, 900)
BACK = case("b", "F2", XIANGCHENG, HUAIYANG, 400)
REFUND = case("c", "F1", HUAIYANG, XIANGCHENG, -100)
FAR = case("d", "F1", HUAIYANG, WANCHENG, 700)
"""Through five agencies: county, city, province, city, county."""


def test_gross_every_hop_between_agencies_is_paid_by_itself() -> None:
    positions = net([OUT, BACK, REFUND], GROSS)

    between = [(p.payer, p.payee, p.amount_fen) for p in positions if p.facility_code is None]
    assert sorted(between) == sorted(
        [
            (XIANGCHENG, ZHOUKOU, 900),
            (ZHOUKOU, HUAIYANG, 900),
            (HUAIYANG, ZHOUKOU, 400),
            (ZHOUKOU, XIANGCHENG, 400),
            (HUAIYANG, ZHOUKOU, 100),
            (ZHOUKOU, XIANGCHENG, 100),
        ]
    )
    assert amounts([p for p in positions if p.facility_code]) == {(HUAIYANG, "F1"): 800, (XIANGCHENG, "F2"): 400}


@pytest.mark.parametrize("netting", [BILATERAL, MULTILATERAL])
def test_within_a_city_both_kinds_leave_one_payment_for_each_county(netting: Netting) -> None:
    assert amounts(net([OUT, BACK, REFUND], netting)) == {
        (XIANGCHENG, ZHOUKOU): 900 - 100 - 400,
        (ZHOUKOU, HUAIYANG): 900 - 100 - 400,
        (HUAIYANG, "F1"): 800,
        (XIANGCHENG, "F2"): 400,
    }


def test_multilateral_a_long_chain_is_one_debt_on_each_side() -> None:
    assert amounts(net([FAR], BILATERAL)) == {
        (WANCHENG, NANYANG): 700,
        (NANYANG, HENAN): 700,
        (HENAN, ZHOUKOU): 700,
        (ZHOUKOU, HUAIYANG): 700,
        (HUAIYANG, "F1"): 700,
    }
    positions = net([FAR], MULTILATERAL)
    assert amounts(positions) == {(WANCHENG, HENAN): 700, (HENAN, HUAIYANG): 700, (HUAIYANG, "F1"): 700}
    legs = {p.payer: p.legs for p in positions}
    assert legs[WANCHENG] == (Leg("d", 1, 700), Leg("d", 2, 0)), "what passes through is in the proof, with nothing"


def test_the_proof_names_every_hop() -> None:
    (position,) = [p for p in net([OUT, BACK, REFUND], MULTILATERAL) if p.payer == XIANGCHENG and not p.facility_code]

    assert position.legs == (Leg("a", 1, 900), Leg("b", 2, -400), Leg("c", 3, -100))


def test_what_a_facility_owes_is_carried_into_its_next_position() -> None:
    (owed,) = [p for p in net([REFUND], BILATERAL) if p.facility_code]
    assert (owed.payer, owed.payee, owed.amount_fen, owed.owed_by_facility) == ("F1", HUAIYANG, 100, True)

    carried = [Carried("earlier", "F1", HUAIYANG, 100)]
    (later,) = [p for p in net([OUT], BILATERAL, carried) if p.facility_code]
    (still,) = [p for p in net([replace(REFUND, case_id="e")], BILATERAL, carried) if p.facility_code]

    assert (later.payer, later.amount_fen, later.brought) == (HUAIYANG, 800, Brought("earlier", -100))
    assert (still.payer, still.amount_fen, still.brought) == ("F1", 200, Brought("earlier", 100))


def test_hash_is_of_the_positions_and_not_of_the_order_of_the_cases() -> None:
    one, other = net([OUT, BACK, FAR], BILATERAL), net([FAR, BACK, OUT], BILATERAL)

    assert netting_hash(BILATERAL, one) == netting_hash(BILATERAL, other[::-1])
    assert netting_hash(BILATERAL, one) != netting_hash(BILATERAL, net([OUT, BACK], BILATERAL))
    assert netting_hash(BILATERAL, one) != netting_hash(GROSS, one)


# Whatever the cases

COUNTIES = [r.code for r in REGIONS if r.level == "county" and r.code.startswith(("411", "4116", "3417"))]
CITIES = [r.code for r in REGIONS if r.level == "city"]


@st.composite
def some_cases(draw: st.DrawFn) -> list[Case]:
    """Cases of the country, also local, negative, and of insured of a whole city."""
    return [
        case(
            f"case-{number}",
            draw(st.sampled_from(["F1", "F2", "F3"])),
            draw(st.sampled_from(COUNTIES)),
            draw(st.sampled_from(COUNTIES + CITIES)),
            draw(st.integers(-5000, 5000).filter(bool)),
        )
        for number in range(draw(st.integers(0, 12)))
    ]


def owed_by(parties: list[tuple[str, str, int]]) -> Counter[str]:
    """What each party pays in all, less what it gets."""
    sums: Counter[str] = Counter()
    for payer, payee, amount_fen in parties:
        sums[payer] += amount_fen
        sums[payee] -= amount_fen
    return Counter({party: amount_fen for party, amount_fen in sums.items() if amount_fen})


@given(cases=some_cases(), netting=st.sampled_from(Netting), seed=st.integers(0, 1000))
def test_netting_changes_how_and_not_how_much(cases: list[Case], netting: Netting, seed: int) -> None:
    positions = net(cases, netting)
    hops = [(h.payer, h.payee, h.amount_fen) for c in cases for h in c.hops]

    assert owed_by([(p.payer, p.payee, p.amount_fen) for p in positions]) == owed_by(hops)
    assert all(p.amount_fen >= 0 for p in positions)
    assert sum(p.amount_fen for p in positions) <= sum(amount_fen for *_, amount_fen in hops)
    named = [(leg.case_id, leg.hop_no) for p in positions for leg in p.legs]
    assert sorted(named) == sorted((c.case_id, h.hop_no) for c in cases for h in c.hops), "each hop in one position"
    shuffled = random.Random(seed).sample(cases, len(cases))
    assert net(shuffled, netting) == positions


@given(cases=some_cases(), netting=st.sampled_from(Netting), data=st.data())
def test_without_some_cases_is_as_if_they_had_never_been_in(
    cases: list[Case], netting: Netting, data: st.DataObject
) -> None:
    going = {c.case_id for c in cases if data.draw(st.booleans())}

    left = [p for p in (without(p, going) for p in net(cases, netting)) if p.legs]

    expected = net([c for c in cases if c.case_id not in going], netting)
    assert sorted(left, key=lambda p: (p.payer, p.payee, p.legs)) == expected or {
        (frozenset((p.payer, p.payee)), p.amount_fen) for p in left
    } == {(frozenset((p.payer, p.payee)), p.amount_fen) for p in expected}, "what comes to nothing has no direction"


@given(cases=some_cases(), netting=st.sampled_from(Netting))
def test_what_is_booked_is_what_is_netted(cases: list[Case], netting: Netting) -> None:
    """The clearing accounts hold the positions, and nothing is left receivable or payable."""
    held: Counter[tuple[str, Account]] = Counter()
    for c in cases:
        gives_back = (c.payable_fen or 0) < 0
        for run in runs(c, netting):
            for line in entries(clearing_transfers(run.path, run.amount_fen, gives_back=gives_back)):
                held[line.book, line.account] += line.amount_fen
        previous = c.facility_code
        for agency in c.chain:
            held[previous, receivable(agency)] += c.payable_fen or 0
            held[agency, payable(previous)] -= c.payable_fen or 0
            previous = agency
    for p in net(cases, netting):
        held[p.payer, Account(AccountKind.CLEARING, p.payee)] += p.amount_fen
        held[p.payee, Account(AccountKind.CLEARING, p.payer)] -= p.amount_fen

    assert not {key: amount_fen for key, amount_fen in held.items() if amount_fen}


# Who leaves


@pytest.mark.parametrize(
    ("available_fen", "owed", "expected"),
    [
        (0, ["x", "y", "z"], ["x", "y", "z"]),
        (100, ["x", "y", "z"], ["y", "z"]),
        (149, ["x", "y", "z"], ["y", "z"]),
        (350, ["x", "y", "z"], []),
        (299, ["x", "y", "z"], ["z"]),
        (250, ["z", "y", "x"], ["x"]),
        (300, ["y", "x", "z"], ["z"]),
        (50, ["y", "z"], ["y", "z"]),
        (150, ["y", "z"], ["y", "z"]),
        (350, [], []),
    ],
)
def test_who_confirmed_first_is_paid_first(available_fen: int, owed: list[str], expected: list[str]) -> None:
    """x, y and z are owed 100, 200 and 100; 50 are owed to the payer by a case that stays."""
    position = Net("A", "X", (Leg("w", 2, -50), Leg("x", 1, 100), Leg("y", 1, 200), Leg("z", 1, 100)))

    assert leaving(position, owed, available_fen) == expected


@given(
    debts=st.lists(st.integers(1, 1000), max_size=8),
    stays_fen=st.integers(-2000, 2000),
    available_fen=st.integers(0, 5000),
)
def test_what_stays_can_be_paid(debts: list[int], stays_fen: int, available_fen: int) -> None:
    names = [f"case-{n}" for n in range(len(debts))]
    legs = [Leg(name, 1, amount_fen) for name, amount_fen in zip(names, debts, strict=True)]
    position = Net("A", "X", (*legs, Leg("stays", 1, stays_fen)))

    going = leaving(position, names, available_fen)

    left_fen = stays_fen + sum(debts[: len(debts) - len(going)])
    assert left_fen <= available_fen or len(going) == len(debts)
    assert going == names[len(debts) - len(going) :]
    assert not going or left_fen + debts[len(debts) - len(going)] > available_fen, "nobody leaves without need"


# Prepayments


@pytest.mark.parametrize(
    ("cleared_fen", "deposit_fen", "expected"),
    [
        (0, 0, Use.LOW),
        (-5, 100, Use.LOW),
        (69, 100, Use.LOW),
        (6999, 10000, Use.LOW),
        (70, 100, Use.YELLOW),
        (89, 100, Use.YELLOW),
        (90, 100, Use.RED),
        (500, 100, Use.RED),
        (1, 0, Use.RED),
    ],
)
def test_use_of_a_prepayment(cleared_fen: int, deposit_fen: int, expected: Use) -> None:
    assert use_of(cleared_fen, deposit_fen, yellow_percent=70, red_percent=90) is expected


def test_only_what_gets_worse_is_told() -> None:
    assert [(a, b) for a in Use for b in Use if worsened(a, b)] == [
        (Use.LOW, Use.YELLOW),
        (Use.LOW, Use.RED),
        (Use.YELLOW, Use.RED),
    ]
    assert (use_percent(1, 3), use_percent(5, 1000), use_percent(1, 0)) == (33, 1, None)


@pytest.mark.parametrize(
    ("months", "expected"),
    [([], 0), ([100, 200], 300), ([100, 0, 201], 301), ([1], 2), ([-100, 50], 0), ([100, 100, 101], 201)],
)
def test_level_is_average_months_of_the_year_before(months: list[int], expected: int) -> None:
    assert level_fen(months, 2) == expected
