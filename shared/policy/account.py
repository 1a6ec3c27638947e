"""The personal account (个人账户): which of the person's parts it pays, own balance first, then the family's."""

from __future__ import annotations

from shared.policy.conditions import compile_when
from shared.policy.decision import Bill
from shared.policy.document import Account
from shared.policy.running import Amount
from shared.policy.scope import Scope, holds


class CompiledAccount:
    """What the account may pay under a benefit."""

    def __init__(self, account: Account) -> None:
        self._clauses = (account.clause,)
        self._pays = (":pays", tuple(account.pays))
        self._family = account.family
        self._condition = compile_when(account.when)

    def pay(self, bill: Bill, scope: Scope) -> list[Amount]:
        """What the own account and the family's pay, as inputs of a step. Raises Undecidable."""
        if not holds(self._condition, scope) or not (bill.account_fen or bill.family_fen):
            return []
        parts = ("parts", scope.quantities["parts"])
        payable: int = scope.step("pick", "account_room", (parts, self._pays), self._clauses)
        own = self._paid("account", bill.account_fen, payable, scope)
        if not self._family:
            return [own]
        return [own, self._paid("family", bill.family_fen, payable - own[1], scope)]

    def _paid(self, name: str, balance_fen: int, payable_fen: int, scope: Scope) -> Amount:
        """As much of the balance as there is to pay; an overdrawn one pays nothing."""
        inputs = ((":balance", max(0, balance_fen)), (":payable", payable_fen))
        return name, scope.step("least", name, inputs, self._clauses)
