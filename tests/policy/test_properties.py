"""What holds of every decision, whatever the pack says: over made-up packs and bills."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.policy.book import Book
from shared.policy.decision import PARTS, Bill, BillLine, Decision
from shared.policy.document import Cap, PackDocument
from shared.policy.engine import Policy, Undecidable
from shared.policy.working import WorkingError, recompute
from tests.policy import generate, reference
from tests.policy.generate import CLAUSE, Kind, Tree, Voids

SEEDS = st.integers(min_value=0, max_value=2**32)
lightly = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

BILLS = 8


def _grown(counters: Mapping[str, int], changes: Mapping[str, int], sign: int = 1) -> dict[str, int]:
    grown = dict(counters)
    for key, amount in changes.items():
        grown[key] = grown.get(key, 0) + sign * amount
    return grown


def _decided(
    seed: int, kind: Kind = "any", *, voids: Voids = "own"
) -> Iterator[tuple[Policy, Bill, dict[str, int], Decision]]:
    """A row of bills of one person: the policy, the bill, the counters before it, and what was decided."""
    policy = Policy(generate.pack_of(seed, kind))
    counters: dict[str, int] = {}
    for bill in generate.bills_of(seed, policy.document, BILLS, voids=voids):
        try:
            decision = policy.decide(bill, counters)
        except Undecidable:
            continue
        yield policy, bill, counters, decision
        counters = _grown(counters, decision.changes)


# -------------------------------------------------------------------------------------------------- identities


@lightly
@given(SEEDS)
def test_parts_add_up_to_the_bill(seed: int) -> None:
    for _, bill, _, decision in _decided(seed):
        assert decision.total_fen == sum(line.amount_fen for line in bill.lines)
        assert decision.total_fen == decision.fund_fen + decision.person_fen + decision.hospital_fen
        assert decision.person_fen == sum(decision.parts_fen.values())
        lines = decision.own_fen + decision.over_ceiling_fen + decision.prepay_fen + decision.in_scope_fen
        assert decision.total_fen == lines
        now = [layer for layer in decision.layers if layer.pays != "later"]
        assert decision.fund_fen == sum(layer.fund_fen for layer in now)
        assert decision.hospital_fen == sum(layer.facility_fen for layer in now)
        assert decision.later_fen == sum(layer.fund_fen for layer in decision.layers if layer.pays == "later")


@lightly
@given(SEEDS)
def test_lines_add_up_to_their_sums(seed: int) -> None:
    for _, bill, _, decision in _decided(seed):
        assert {line.no: line.amount_fen for line in decision.lines} == {
            line.no: line.amount_fen for line in bill.lines
        }
        for line in decision.lines:
            assert line.amount_fen == line.own_fen + line.over_ceiling_fen + line.prepay_fen + line.in_scope_fen
        for name in ("own_fen", "over_ceiling_fen", "prepay_fen", "in_scope_fen"):
            assert getattr(decision, name) == sum(getattr(line, name) for line in decision.lines)


@lightly
@given(SEEDS)
def test_each_layer_divides_its_basis(seed: int) -> None:
    for _, _, _, decision in _decided(seed):
        for layer in decision.layers:
            assert layer.basis_fen == layer.over_limit_fen + layer.deductible_fen + layer.eligible_fen
            divided = layer.fund_fen + layer.by_ratio_fen + layer.over_cap_fen + layer.facility_fen
            # Who paid before may have paid more than this pack looks at.
            assert layer.eligible_fen == divided or (layer.pays == "given" and layer.fund_fen > layer.basis_fen)
            assert sum(part.expense_fen for part in layer.slices) <= layer.eligible_fen


@lightly
@given(SEEDS)
def test_nothing_is_negative(seed: int) -> None:
    for _, _, counters, decision in _decided(seed):
        amounts = {name: getattr(decision, name) for name in ("fund_fen", "hospital_fen", "later_fen", "person_fen")}
        amounts |= {name: getattr(decision, name) for name in ("account_fen", "family_fen", "cash_fen")}
        amounts |= {f"parts {part}": amount for part, amount in decision.parts_fen.items()}
        for layer in decision.layers:
            for name in ("basis", "over_limit", "deductible", "eligible", "fund", "by_ratio", "over_cap", "facility"):
                amounts[f"{layer.id}.{name}"] = getattr(layer, f"{name}_fen")
        amounts |= {f"payout {payout.layer}": payout.amount_fen for payout in decision.payouts}
        amounts |= {f"counter {key}": amount for key, amount in _grown(counters, decision.changes).items()}
        assert not {name: amount for name, amount in amounts.items() if amount < 0}


@lightly
@given(SEEDS)
def test_a_bill_below_zero_is_the_persons(seed: int) -> None:
    """It voids lines of an earlier bill: nothing is paid, and all of it goes back to the person."""
    random = Random(f"below {seed}")
    maker = generate.BillMaker(random)
    for policy, bill, counters, _ in _decided(seed, voids="none"):
        void = maker.void(random.choice(bill.lines), 1)
        try:
            decision = policy.decide(replace(bill, lines=(void,), paid_fen={}), counters)
        except Undecidable:
            continue
        assert (decision.total_fen, decision.fund_fen) == (void.amount_fen, 0)
        assert decision.person_fen == sum(decision.parts_fen.values()) == void.amount_fen


# ------------------------------------------------------------------------------------------------ caps, counters


@lightly
@given(SEEDS)
def test_no_row_of_bills_gets_more_than_a_cap(seed: int) -> None:
    for policy, bill, counters, decision in _decided(seed):
        benefit = next(known for known in policy.document.benefits if known.id == decision.benefit)
        paid = {layer.id: layer.fund_fen for layer in decision.layers}
        for layer in benefit.layers:
            for cap in (cap for cap in layer.caps if not cap.when):
                if layer.id not in paid or layer.pays == "given" or not isinstance(cap.amount, Decimal):
                    continue
                key, most = _key(policy.document, cap, f"{layer.id}-fund", bill), int(cap.amount * 100)
                if key is None:
                    assert paid[layer.id] <= most
                else:
                    # Another benefit that shares the counter may have a higher cap.
                    assert _grown(counters, decision.changes).get(key, 0) <= max(most, counters.get(key, 0))


def _key(pack: PackDocument, cap: Cap, default: str, bill: Bill) -> str | None:
    period = reference.period(pack, cap.per, bill)
    if period is None:
        return None
    return f"{cap.counter or default}@{period}" + "".join(f";{name}={bill.facts[name]}" for name in cap.of)


@lightly
@given(SEEDS)
def test_running_counters_are_the_sums_of_their_parts(seed: int) -> None:
    policy = Policy(_counting_pack(seed))
    counters: dict[str, int] = {}
    sums: Counter[str] = Counter()
    for made in generate.bills_of(seed, policy.document, BILLS):
        bill = replace(made, episode=None, facts={"disease": "癫痫", **made.facts})
        decision = policy.decide(bill, counters)
        counters = _grown(counters, decision.changes)
        year, month = f"{bill.ends_on.year}", f"{bill.ends_on:%Y-%m}"
        for layer in decision.layers:
            limited = layer.deductible_fen + layer.eligible_fen
            sums[f"{layer.id}-fund@{month};disease={bill.facts['disease']}"] += layer.fund_fen
            sums[f"{layer.id}-deductible@{year}/{bill.facility}"] += layer.deductible_fen
            sums[f"{layer.id}-expense@{year}"] += limited
            sums[f"{layer.id}-sum@lifetime"] += limited
        sums[f"admissions@{year}"] += 1
        assert all(type(amount) is int for amount in decision.changes.values())
        sums["items@lifetime"] += decision.in_scope_fen
    assert {key: amount for key, amount in counters.items() if amount} == {
        key: amount for key, amount in sums.items() if amount
    }


def _counting_pack(seed: int) -> PackDocument:
    """Two layers that count by each kind of counter, under their own names; one item rule that counts."""
    random = Random(f"counting {seed}")

    def layer(name: str, basis: str) -> Tree:
        bands = [{"to": Decimal(random.randrange(1, 99) * 100), "ratio": Decimal("0.6")}, {"ratio": Decimal("0.75")}]
        return {
            "id": name,
            "title": "层",
            "fund": "310100",
            "basis": basis,
            "clause": CLAUSE,
            "limits": [{"amount": Decimal(random.randrange(2000, 90000)), "clause": CLAUSE}],
            "deductible": {"amount": Decimal(random.randrange(900)), "per": "facility_year", "clause": CLAUSE},
            "tiers": {"axis": "gross", "running": "lifetime", "bands": bands, "clause": CLAUSE},
            "caps": [{"amount": Decimal(random.randrange(9000)), "per": "month", "of": ["disease"], "clause": CLAUSE}],
        }

    limit = {"amount": Decimal(random.randrange(9000, 900_000)), "per": "lifetime"}
    item = {"id": "items", "otherwise": True, "prepay": "line", "limit": limit, "clause": CLAUSE}
    return _small_pack([layer("first", "in_scope"), layer("second", "in_scope - paid")], [item], counts_admission=True)


def _small_pack(layers: list[Tree], items: list[Tree], *, rounding: str = "half_up", **benefit: Any) -> PackDocument:
    whole = {"id": "all", "title": "待遇", "when": {}, "layers": layers, "clause": CLAUSE, **benefit}
    return PackDocument.model_validate(
        {
            "pack": "small",
            "version": "1",
            "title": "小",
            "area": "990100",
            "valid": {"from": date(2020, 1, 1)},
            "author": "甲",
            "rounding": rounding,
            "clauses": {CLAUSE: {"document": "〔2025〕1号", "words": "编造的规定"}},
            "items": items,
            "benefits": [whole],
        }
    )


@lightly
@given(SEEDS)
def test_taking_a_decision_back_restores_counters_and_the_decision(seed: int) -> None:
    for policy, bill, counters, decision in _decided(seed):
        after = _grown(counters, decision.changes)
        restored = _grown(after, decision.changes, sign=-1)
        assert {key: amount for key, amount in restored.items() if amount} == {
            key: amount for key, amount in counters.items() if amount
        }
        assert policy.decide(bill, restored) == decision


# ------------------------------------------------------------------------------------------ order, more, splitting


@lightly
@given(SEEDS)
def test_the_order_of_lines_does_not_matter(seed: int) -> None:
    random = Random(f"order {seed}")
    for policy, bill, counters, decision in _decided(seed):
        shuffled = replace(bill, lines=tuple(random.sample(bill.lines, len(bill.lines))))
        again = policy.decide(shuffled, counters)
        assert reference.told(again, policy.document) == reference.told(decision, policy.document)


@lightly
@given(SEEDS, st.integers(min_value=1, max_value=5_000_000))
def test_more_in_scope_never_gives_less_where_the_pack_is_steady(seed: int, more_fen: int) -> None:
    for policy, bill, counters, decision in _decided(seed, "steady", voids="none"):
        place = more_fen % len(bill.lines)
        line = bill.lines[place]._replace(amount_fen=bill.lines[place].amount_fen + more_fen)
        larger = replace(bill, lines=(*bill.lines[:place], line, *bill.lines[place + 1 :]))
        # A band that the smaller bill did not reach may lack its figure.
        with suppress(Undecidable):
            more = policy.decide(larger, counters)
            # What a limit keeps out may leave its room to a line with a higher pre-payment: then less is in scope.
            assert more.in_scope_fen < decision.in_scope_fen or more.fund_fen >= decision.fund_fen


@lightly
@given(SEEDS, st.sampled_from(["gross", "above_deductible"]), st.sampled_from(["half_up", "down"]))
def test_splitting_a_bill_never_beats_one_bill(seed: int, axis: str, rounding: str) -> None:
    random = Random(f"split {seed}")
    policy = Policy(_visit_pack(random, axis, rounding))
    for bill in generate.bills_of(seed, policy.document, BILLS, voids="none"):
        whole = policy.decide(bill, {})
        cut = random.randrange(len(bill.lines) + 1)
        first = policy.decide(replace(bill, lines=bill.lines[:cut]), {})
        second = policy.decide(replace(bill, lines=bill.lines[cut:]), first.changes)
        # Each band of each bill is rounded by itself, by less than a fen.
        bands = len(policy.document.benefits[0].layers[0].tiers.bands)  # type: ignore[union-attr]
        assert first.fund_fen + second.fund_fen <= whole.fund_fen + 2 * bands


def _visit_pack(random: Random, axis: str, rounding: str) -> PackDocument:
    """A deductible a visit, ratios that do not decline, a cap of the year."""
    ratios = sorted(Decimal(random.randrange(101)) / 100 for _ in range(3))
    tos = sorted(random.sample(range(1, 200), 2))
    bands = [{"to": Decimal(to * 100), "ratio": ratio} for to, ratio in zip(tos, ratios, strict=False)]
    layer = {
        "id": "basic",
        "title": "层",
        "fund": "310100",
        "clause": CLAUSE,
        "deductible": {"amount": Decimal(random.randrange(2000)), "clause": CLAUSE},
        "tiers": {"axis": axis, "bands": [*bands, {"ratio": ratios[-1]}], "clause": CLAUSE},
        "caps": [{"amount": Decimal(random.randrange(1, 60_000)), "clause": CLAUSE}],
    }
    item = {"id": "items", "otherwise": True, "prepay": "line", "ceiling": "line", "clause": CLAUSE}
    return _small_pack([layer], [item], rounding=rounding)


# ------------------------------------------------------------------------------------------- versions and working


def _version(pack: PackDocument, version: str, first: date, last: date | None) -> Policy:
    valid = {"from": first, "to": last}
    return Policy(PackDocument.model_validate({**pack.model_dump(by_alias=True), "version": version, "valid": valid}))


@lightly
@given(SEEDS)
def test_old_versions_give_old_answers(seed: int) -> None:
    old = _version(generate.pack_of(seed), "1", date(2020, 1, 1), date(2024, 12, 31))
    new = _version(generate.pack_of(seed + 1), "2", date(2025, 1, 1), None)
    book, alone = Book([old, new]), Book([old])
    for bill in generate.bills_of(seed, old.document, BILLS):
        day = reference.deciding_day(old.document, bill)
        if day.year > 2024 or old.document.decided_by != new.document.decided_by:
            continue
        assert book.policy("made-up", day) is old
        found = _outcome(book, bill)
        assert found == _outcome(alone, bill)
        assert _flat(found, old) == _flat(_decided_by(old, bill), old)


def _outcome(book: Book, bill: Bill) -> Decision | str:
    try:
        return book.decide(["990102", "990100"], bill, {})
    except Undecidable as undecidable:
        return undecidable.reason.code


def _decided_by(policy: Policy, bill: Bill) -> Decision | str:
    try:
        return policy.decide(bill, {})
    except Undecidable as undecidable:
        return undecidable.reason.code


def _flat(outcome: Decision | str, policy: Policy) -> reference.Amounts | str:
    return outcome if isinstance(outcome, str) else reference.told(outcome, policy.document)


@lightly
@given(SEEDS)
def test_the_record_recomputed_gives_the_same_fen(seed: int) -> None:
    for _, _, _, decision in _decided(seed):
        again = recompute(decision.steps)
        for name in ("total", "fund", "hospital", "later", "person", "account", "family", "cash"):
            assert again.get(name, 0) == getattr(decision, f"{name}_fen"), name
        assert not {name: amount for name, amount in decision.quantities.items() if again.get(name, amount) != amount}
        if decision.layers:
            # A bill over New Year that is decided by service has its parts a year.
            parts = [amounts for name, amounts in again.items() if name.rpartition("|")[2] == "parts"]
            assert tuple(map(sum, zip(*parts, strict=True))) == tuple(decision.parts_fen[part] for part in PARTS)
        funds: Counter[str] = Counter()
        for layer in decision.layers:
            funds[f"{layer.id.replace('-', '_')}.fund"] += layer.fund_fen
        assert {name: again[name] for name in funds} == funds


@lightly
@given(SEEDS, st.integers(min_value=0, max_value=10_000), st.sampled_from([-1, 1]))
def test_a_forged_record_is_noticed(seed: int, place: int, by_fen: int) -> None:
    for _, _, _, decision in _decided(seed):
        amounts = [number for number, step in enumerate(decision.steps) if isinstance(step.result, int | Fraction)]
        if not amounts:
            continue
        number = amounts[place % len(amounts)]
        forged = [*decision.steps]
        forged[number] = forged[number]._replace(result=forged[number].result + by_fen)
        with pytest.raises(WorkingError):
            recompute(forged)


@lightly
@given(SEEDS)
def test_a_decision_depends_on_nothing_decided_before(seed: int) -> None:
    """Neither what else this policy decided, nor that it was just compiled."""
    decided = list(_decided(seed))
    for policy, bill, counters, decision in reversed(decided):
        assert policy.decide(bill, counters) == decision
        assert Policy(policy.document).decide(bill, counters) == decision


def test_an_empty_bill_pays_nothing() -> None:
    policy = Policy(_visit_pack(Random(0), "gross", "half_up"))
    bill = Bill("H1", date(2025, 1, 1), date(2025, 1, 1), {}, (BillLine("1", 0, {}),))
    decision = policy.decide(bill, {})
    assert (decision.total_fen, decision.fund_fen, decision.person_fen, decision.changes) == (0, 0, 0, {})
