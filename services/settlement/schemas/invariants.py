"""The last checks of the invariants, and how far the chain reaches."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import ConfigDict

from services.settlement.rules.chain import Head
from services.settlement.store.invariants import Check
from shared.http.types import View


class ViolationView(View):
    """An invariant that does not hold: which, of what transaction, and how it is off."""

    invariant: str
    subject: str
    detail: str


class CheckView(View):
    """How the last check of a scope ended."""

    scope: str
    """recent: what was sealed since the check before; whole: everything."""
    checked_at: datetime
    took_s: float
    chain_no: int
    """Up to which link of the chain it looked."""
    transactions: int
    violations: int
    findings: list[ViolationView]
    """The first hundred."""


class InvariantsView(View):
    """Whether the invariants hold, as the jobs that check them found last, and the head of the ledger's chain.

    Who keeps `chain_no` and `head` can show later that the past up to there was not touched.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "holds": True,
                    "checks": [
                        {
                            "scope": "recent",
                            "checked_at": "2026-11-02T08:30:00Z",
                            "took_s": 0.021,
                            "chain_no": 120345,
                            "transactions": 12,
                            "violations": 0,
                            "findings": [],
                        }
                    ],
                    "chain_no": 120345,
                    "head": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "unsealed": 3,
                }
            ]
        }
    )

    holds: bool
    """No check found a violation; false as long as there was none."""
    checks: list[CheckView]
    chain_no: int
    head: str
    """The hash of the newest link, in hexadecimal."""
    unsealed: int
    """Transactions that wait for the chain."""

    @classmethod
    def of(cls, checks: Iterable[Check], head: Head, unsealed: int) -> InvariantsView:
        """The view of the last checks."""
        shown = [_shown(check) for check in checks]
        holds = bool(shown) and not any(check.violations for check in shown)
        return cls(holds=holds, checks=shown, chain_no=head.chain_no, head=head.hash.hex(), unsealed=unsealed)


def _shown(check: Check) -> CheckView:
    return CheckView(
        scope=check.scope,
        checked_at=check.checked_at,
        took_s=check.took_s,
        chain_no=check.chain_no,
        transactions=check.transactions,
        violations=check.violations,
        findings=[ViolationView(invariant=v.invariant, subject=v.subject, detail=v.detail) for v in check.findings],
    )
