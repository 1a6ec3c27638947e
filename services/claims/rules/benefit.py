"""What a bill pays: one simple plan, decided for one bill.

`decide` has the shape the policy engine will have: (plan, person, history of the year, bill) → decision, without I/O
or clock. Everything is whole fen; each share is rounded half-up once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.money import share_fen

CLASS_A, CLASS_B, CLASS_C = "01", "02", "03"
"""收费项目等级: 甲 paid in full scope, 乙 with pre-payment by the person, 丙 not covered."""


@dataclass(frozen=True, slots=True)
class Benefit:
    """The figures of one kind of care (inpatient or outpatient) in a plan, by level of the facility."""

    deductible_fen: Mapping[str, int]
    """起付标准 of the year: what was paid at a lower level counts, only the rest is topped up."""
    ratio: Mapping[str, Decimal]
    """基金支付比例."""
    cap_fen: int
    """年度支付限额 of the fund."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The benefit rules of one region and one insurance."""

    name: str
    region: str
    insutype: str
    fund_pay_type: str
    class_b_prepay: Decimal
    """乙类先行自付比例."""
    retired_ratio: Decimal
    """Added to the ratio for the retired."""
    remote_factor: Mapping[str, Decimal]
    """Multiplies the ratio away from home, by kind of filing; `emergency` is treated as filed."""
    unfiled_factor: Decimal | None
    """Multiplies the ratio without filing; None refuses."""
    filing_free: frozenset[str]
    """Relations of care and home region that need no filing."""
    benefits: Mapping[str, Benefit]
    """By kind of care: inpatient, outpatient."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a person's year has used up already, for one insurance and one kind of care."""

    deductible_fen: int = 0
    fund_fen: int = 0
    bills: int = 0


@dataclass(frozen=True, slots=True)
class ClassSums:
    """A bill's lines summed by class (fen), and the pre-payment of its class-B lines, rounded line by line."""

    a_fen: int
    b_fen: int
    c_fen: int
    prepay_fen: int

    @property
    def total_fen(self) -> int:
        """医疗费总额."""
        return self.a_fen + self.b_fen + self.c_fen

    @property
    def in_scope_fen(self) -> int:
        """符合政策范围金额."""
        return self.a_fen + self.b_fen - self.prepay_fen


@dataclass(frozen=True, slots=True)
class Decision:
    """Who pays what of a bill, in fen. total = fund + own + prepay + deductible + by_ratio + over_cap."""

    plan: str
    total_fen: int
    own_fen: int
    """全自费金额."""
    prepay_fen: int
    """先行自付金额."""
    in_scope_fen: int
    """符合政策范围金额."""
    deductible_fen: int
    """实际支付起付线."""
    ratio: Decimal
    """基金支付比例, all factors applied."""
    fund_fen: int
    """基金支付总额."""
    by_ratio_fen: int
    """按比例自付."""
    over_cap_fen: int
    """超限额自付."""
    fund_pay_type: str

    @property
    def person_fen(self) -> int:
        """个人负担总金额."""
        return self.own_fen + self.prepay_fen + self.deductible_fen + self.by_ratio_fen + self.over_cap_fen


def sum_classes(lines: Iterable[tuple[str, int]], class_b_prepay: Decimal) -> ClassSums:
    """Sum (class, amount in fen) pairs; negative amounts void."""
    a_fen = b_fen = c_fen = prepay_fen = 0
    for item_class, amount_fen in lines:
        if item_class == CLASS_A:
            a_fen += amount_fen
        elif item_class == CLASS_B:
            b_fen += amount_fen
            prepay_fen += share_fen(amount_fen, class_b_prepay)
        else:
            c_fen += amount_fen
    return ClassSums(a_fen, b_fen, c_fen, prepay_fen)


def decide(
    plan: Plan, kind: str, level: str, *, retired: bool, factor: Decimal, used: Counters, sums: ClassSums
) -> Decision:
    """The decision for one bill of a `kind` of care at a facility of `level`; `factor` is 1 at home."""
    benefit = plan.benefits[kind]
    in_scope_fen = max(sums.in_scope_fen, 0)
    left_fen = max(benefit.deductible_fen[level] - used.deductible_fen, 0)
    deductible_fen = min(in_scope_fen, left_fen)
    basis_fen = in_scope_fen - deductible_fen
    ratio = min(benefit.ratio[level] + (plan.retired_ratio if retired else Decimal(0)), Decimal(1)) * factor
    uncapped_fen = share_fen(basis_fen, ratio)
    fund_fen = min(uncapped_fen, max(benefit.cap_fen - used.fund_fen, 0))
    return Decision(
        plan=plan.name,
        total_fen=sums.total_fen,
        own_fen=sums.c_fen,
        prepay_fen=sums.total_fen - sums.c_fen - in_scope_fen,
        in_scope_fen=in_scope_fen,
        deductible_fen=deductible_fen,
        ratio=ratio,
        fund_fen=fund_fen,
        by_ratio_fen=basis_fen - uncapped_fen,
        over_cap_fen=uncapped_fen - fund_fen,
        fund_pay_type=plan.fund_pay_type,
    )


def after(used: Counters, decision: Decision) -> Counters:
    """The counters once a bill is settled."""
    return Counters(used.deductible_fen + decision.deductible_fen, used.fund_fen + decision.fund_fen, used.bills + 1)


def plan_of(document: Mapping[str, Any]) -> Plan:
    """A plan from its document (see `plans.yaml`; amounts in yuan). Raises KeyError or ValueError when malformed."""
    benefits = {kind: _benefit(figures) for kind, figures in document["benefits"].items()}
    unfiled = document["unfiled_factor"]
    return Plan(
        name=document["name"],
        region=str(document["region"]),
        insutype=str(document["insutype"]),
        fund_pay_type=str(document["fund_pay_type"]),
        class_b_prepay=Decimal(str(document["class_b_prepay"])),
        retired_ratio=Decimal(str(document["retired_ratio"])),
        remote_factor={kind: Decimal(str(f)) for kind, f in document["remote_factor"].items()},
        unfiled_factor=None if unfiled is None else Decimal(str(unfiled)),
        filing_free=frozenset(document["filing_free"]),
        benefits=benefits,
    )


def _benefit(figures: Mapping[str, Any]) -> Benefit:
    return Benefit(
        deductible_fen={str(level): int(yuan) * 100 for level, yuan in figures["deductible_yuan"].items()},
        ratio={str(level): Decimal(str(ratio)) for level, ratio in figures["ratio"].items()},
        cap_fen=int(figures["cap_yuan"]) * 100,
    )
