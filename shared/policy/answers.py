"""Decisions and answers as JSON: amounts are yuan as text ("1234.05"), other numbers exact text, keys in one order."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from shared.money import yuan
from shared.policy.case import CaseResult, Expected, applied, is_count
from shared.policy.decision import (
    PARTS,
    Answered,
    Counters,
    Decision,
    LayerResult,
    LineResult,
    NotPaid,
    Payout,
    Slice,
)
from shared.policy.words import number_text


def case_json(result: CaseResult) -> dict[str, Any]:
    """What a case came to."""
    return {
        "case": result.case.id,
        "pack": result.pack,
        "version": result.version,
        "ok": result.ok,
        "bills": [
            {"id": bill_id, **decision_json(decision, before)}
            for (bill_id, decision), (before, _) in zip(result.bills, result.counters, strict=True)
        ],
        "reversals": [_reversal_json(result, *reversal) for reversal in result.reversals],
        "answers": [{"id": question, **answer_json(answer)} for question, answer in result.answers],
        "refusals": [{"of": where, **reason_json(reason)} for where, reason in result.refused],
        "expectations": [_expected_json(expected) for expected in result.expectations],
        "counters": {"before": counters_json(result.counters_before), "after": counters_json(result.counters_after)},
    }


def _reversal_json(result: CaseResult, reversal: str, bill_id: str, before: Counters) -> dict[str, Any]:
    """A reversal, with the counters it moved back."""
    changes = dict(result.bills)[bill_id].changes
    given_back = _moved(before, {name: -change for name, change in changes.items()})
    return {"id": reversal, "reverses": bill_id, "counters": given_back}


def decision_json(decision: Decision, before: Counters) -> dict[str, Any]:
    """A decision, with the counters it moved; `before` are those it found."""
    return {
        "pack": decision.pack,
        "version": decision.version,
        "benefit": decision.benefit,
        "not_paid": None if decision.not_paid is None else reason_json(decision.not_paid),
        "total": yuan(decision.total_fen),
        "own": yuan(decision.own_fen),
        "over_ceiling": yuan(decision.over_ceiling_fen),
        "prepay": yuan(decision.prepay_fen),
        "in_scope": yuan(decision.in_scope_fen),
        "fund": yuan(decision.fund_fen),
        "hospital": yuan(decision.hospital_fen),
        "person": yuan(decision.person_fen),
        "parts": {part: yuan(decision.parts_fen.get(part, 0)) for part in PARTS},
        "account": yuan(decision.account_fen),
        "family": yuan(decision.family_fen),
        "cash": yuan(decision.cash_fen),
        "later": yuan(decision.later_fen),
        "lines": [_line_json(line) for line in decision.lines],
        "layers": [_layer_json(layer) for layer in decision.layers],
        "payouts": [_payout_json(payout) for payout in decision.payouts],
        "counters": _moved(before, decision.changes),
    }


def answer_json(answer: Answered) -> dict[str, Any]:
    """The answer of a calculation: its results, and every step's value with its unit."""
    values = {name: _value(answer.values[name], answer.units.get(name, "count")) for name in answer.values}
    return {
        "calculation": answer.calculation,
        "results": {name: values[name] for name in answer.results},
        "values": values,
        "units": dict(answer.units),
    }


def reason_json(reason: NotPaid) -> dict[str, Any]:
    """Why nothing is decided or paid."""
    return {"code": reason.code, "zh": reason.zh, "en": reason.en, "clauses": list(reason.clauses)}


def counters_json(counters: Counters) -> dict[str, str | int]:
    """Counters by name: money in yuan, counts as they are."""
    return {name: _counter(name, value) for name, value in sorted(counters.items())}


def _moved(before: Counters, changes: Counters) -> dict[str, dict[str, str | int]]:
    after = applied(before, changes)
    return {
        name: {"before": _counter(name, before.get(name, 0)), "after": _counter(name, after[name])}
        for name in sorted(changes)
    }


def _counter(name: str, value: int) -> str | int:
    return value if is_count(name) else yuan(value)


def _value(value: int | Fraction, unit: str) -> str:
    return yuan(int(value)) if unit == "yuan" and isinstance(value, int) else number_text(value)


def _line_json(line: LineResult) -> dict[str, str]:
    return {
        "no": line.no,
        "rule": line.rule,
        "amount": yuan(line.amount_fen),
        "own": yuan(line.own_fen),
        "over_ceiling": yuan(line.over_ceiling_fen),
        "prepay": yuan(line.prepay_fen),
        "in_scope": yuan(line.in_scope_fen),
    }


def _layer_json(layer: LayerResult) -> dict[str, Any]:
    return {
        "id": layer.id,
        "fund_type": layer.fund,
        "pays": layer.pays,
        "payer": layer.payer,
        "basis": yuan(layer.basis_fen),
        "over_limit": yuan(layer.over_limit_fen),
        "deductible": yuan(layer.deductible_fen),
        "eligible": yuan(layer.eligible_fen),
        "slices": [_slice_json(band) for band in layer.slices],
        "fund": yuan(layer.fund_fen),
        "by_ratio": yuan(layer.by_ratio_fen),
        "over_cap": yuan(layer.over_cap_fen),
        "facility": yuan(layer.facility_fen),
        "recover": layer.recover,
    }


def _slice_json(band: Slice) -> Mapping[str, Any]:
    return {
        "band": band.band,
        "expense": yuan(band.expense_fen),
        "ratio": number_text(band.ratio),
        "share": yuan(band.share_fen),
    }


def _payout_json(payout: Payout) -> dict[str, str]:
    return {"layer": payout.layer, "to": payout.to, "fund": payout.fund, "amount": yuan(payout.amount_fen)}


def _expected_json(expected: Expected) -> dict[str, Any]:
    return {
        "what": expected.expectation.what,
        "is": number_text(expected.expectation.is_),
        "got": None if expected.got is None else number_text(expected.got),
        "ok": expected.ok,
        "says": expected.expectation.says,
    }
