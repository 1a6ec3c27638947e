"""Small packs and bills as a test writes them: yuan and plain numbers, one clause for all that a test does not name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from shared.policy.decision import PARTS, Bill, BillLine, Decision, LayerResult, Step
from shared.policy.document import PackDocument
from shared.policy.engine import Policy
from shared.policy.working import recompute

CLAUSED = frozenset({"deductible", "limits", "caps", "person_ceiling", "fixed", "account"})
"""Keys below which rules stand that need a clause."""

DAY = date(2025, 3, 8)


def decimals(value: Any) -> Any:
    """Numbers as the loader reads them."""
    if isinstance(value, bool) or not isinstance(value, int | float | dict | list):
        return value
    if isinstance(value, dict):
        return {key: decimals(inner) for key, inner in value.items()}
    return [decimals(inner) for inner in value] if isinstance(value, list) else Decimal(str(value))


def layer(name: str = "basic", **parts: Any) -> dict[str, Any]:
    """A layer with the fund of its name; pays everything in scope unless told otherwise."""
    given = {"id": name, "title": name, "fund": f"fund of {name}", "clause": "c", **parts}
    if not {"ratio", "tiers", "fixed"} & given.keys() and given.get("pays") != "given":
        given["ratio"] = 1
    return {key: _claused(value) if key in CLAUSED else value for key, value in given.items()}


def _claused(value: Any) -> Any:
    if isinstance(value, list):
        return [_claused(inner) for inner in value]
    return {"clause": "c", **value}


def benefit(*layers: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A benefit for every bill."""
    given = {"id": "care", "title": "care", "when": {}, "clause": "c", "layers": list(layers), **parts}
    return {key: _claused(value) if key == "account" else value for key, value in given.items()}


ITEMS = [{"id": "all", "otherwise": True, "clause": "c"}]
"""Everything is in scope."""


def document(*benefits: dict[str, Any], **parts: Any) -> PackDocument:
    """A pack of these benefits, in force since 2020."""
    given = {
        "pack": "small",
        "version": "1",
        "title": "small",
        "area": "411600",
        "valid": {"from": date(2020, 1, 1)},
        "author": "a",
        "clauses": {"c": {"document": "d", "words": "w"}},
        "items": ITEMS,
        "benefits": list(benefits) or [benefit(layer())],
        **parts,
    }
    return PackDocument.model_validate(decimals(given))


def policy(*benefits: dict[str, Any], **parts: Any) -> Policy:
    """The pack compiled."""
    return Policy(document(*benefits, **parts))


def fen(yuan: float | str) -> int:
    """Yuan as fen."""
    return int(Decimal(str(yuan)) * 100)


def line(amount: float | str, no: str = "1", *, day: date | None = None, **parts: Any) -> BillLine:
    """A fee line in yuan. `quantity`, `ceiling`, `prepay`, `own`, `over_ceiling`, `prepaid` are the line's own, what
    else is given are its facts; `classed` is its class."""
    if "classed" in parts:
        parts["class"] = parts.pop("classed")
    ceiling, quantity, prepay = parts.pop("ceiling", None), parts.pop("quantity", 1), parts.pop("prepay", None)
    own, over_ceiling, prepaid = (fen(parts.pop(name, 0)) for name in ("own", "over_ceiling", "prepaid"))
    return BillLine(
        no,
        fen(amount),
        facts(parts),
        quantity=Decimal(str(quantity)),
        ceiling_fen=None if ceiling is None else Decimal(str(ceiling)) * 100,
        prepay=None if prepay is None else Decimal(str(prepay)),
        own_fen=own,
        over_ceiling_fen=over_ceiling,
        prepay_fen=prepaid,
        day=day,
    )


def facts(written: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as the engine takes them: lists are several words at once."""
    return {
        name: frozenset(value) if isinstance(value, list | tuple) else decimals(value)
        for name, value in written.items()
    }


def bill(*lines: BillLine | float | str, **parts: Any) -> Bill:
    """A bill of these lines (or amounts); what is not a field of `Bill` is a fact. Accounts and `paid` are yuan."""
    numbered = [
        one if isinstance(one, BillLine) else line(one, str(number)) for number, one in enumerate(lines, start=1)
    ]
    ends = parts.pop("ends", DAY)
    return Bill(
        facility=parts.pop("facility", "H1"),
        begins_on=parts.pop("begins", ends),
        ends_on=ends,
        lines=tuple(numbered),
        episode=parts.pop("episode", None),
        paid_fen={name: fen(paid) for name, paid in parts.pop("paid", {}).items()},
        account_fen=fen(parts.pop("account", 0)),
        family_fen=fen(parts.pop("family", 0)),
        facts=facts(parts),
    )


def decide(pack: Policy, asked: Bill, **counters: float) -> Decision:
    """The decision of a bill after counters in yuan (`__` stands for `@`), with all its identities checked."""
    return checked(pack.decide(asked, {name.replace("__", "@"): fen(used) for name, used in counters.items()}))


def checked(decision: Decision) -> Decision:
    """Raises AssertionError when the decision does not add up, or its record does not give it."""
    parts = decision.parts_fen
    assert decision.total_fen == decision.fund_fen + decision.person_fen + decision.hospital_fen
    assert decision.person_fen == sum(parts.values())
    assert tuple(parts) == PARTS
    four = (decision.own_fen, decision.over_ceiling_fen, decision.prepay_fen, decision.in_scope_fen)
    assert decision.total_fen == sum(four)
    assert decision.fund_fen == sum(one.fund_fen for one in decision.layers if one.pays != "later")
    for one in decision.lines:
        assert one.amount_fen == one.own_fen + one.over_ceiling_fen + one.prepay_fen + one.in_scope_fen
    for layer_of in decision.layers:
        _check_layer(layer_of)
    told = recompute(decision.steps)
    for name, value in decision.quantities.items():
        assert told.get(name, value) == value, name
    return decision


def _check_layer(one: LayerResult) -> None:
    whole = (one.basis_fen, one.over_limit_fen, one.deductible_fen, one.eligible_fen)
    shared = (one.fund_fen, one.by_ratio_fen, one.over_cap_fen, one.facility_fen)
    assert min(whole + shared) >= 0
    assert one.basis_fen == sum(whole[1:])
    assert one.eligible_fen == sum(shared)


def amounts(decision: Decision, *names: str) -> list[float]:
    """Quantities of a decision in yuan."""
    return [_plain(decision.quantities[name]) for name in names]


def _plain(value: int | Fraction) -> float:
    return value / 100 if isinstance(value, int) else float(value)


def parts_of(decision: Decision) -> dict[str, float]:
    """The person's parts in yuan, those that are not 0."""
    return {part: amount / 100 for part, amount in decision.parts_fen.items() if amount}


def moved(decision: Decision) -> dict[str, float]:
    """What the bill adds to counters: in yuan, counts in hundredths."""
    return {name: amount / 100 for name, amount in decision.changes.items()}


def step(decision: Decision, name: str) -> Step:
    """The last step that made a quantity."""
    return [one for one in decision.steps if one.name == name][-1]
