"""Random months agree with the model to the fen, and one that does not names its seed.

`SIFANG_TEST_SEED` is the first seed played; `make simulate` plays more of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from services.settlement.rules.bills import next_month
from services.settlement.rules.netting import leaving
from services.settlement.rules.orders import Debt, effect_of
from services.settlement.rules.withholdings import set_offs
from services.settlement.use_cases import (
    bank_movements,
    confirmations,
    identifications,
    objections,
    unpaid,
    withholdings,
)
from services.settlement.use_cases.parts import Settlement
from shared.refusals import Refused
from tests.services.settlement.world import HUAIYANG, REGIONS
from tests.simulation import model
from tests.simulation.cycles import chain
from tests.simulation.model import ModelBill, ModelHospital
from tests.simulation.play import ACTIONS, Disagreement
from tests.simulation.running import Perform, cycles, months, simulate

FIRST_SEED = int(os.environ.get("SIFANG_TEST_SEED", "1"))
LASTS_S = 12.0


@pytest.mark.parametrize("play", [months, cycles])
async def test_random_months_agree_with_the_model(parts: Settlement, play: Perform) -> None:
    happened = await simulate(parts, range(FIRST_SEED, FIRST_SEED + 10_000), [play], within_s=LASTS_S)
    expected = (
        {action.__name__ for action in ACTIONS}
        if play is months
        else {
            "cut",
            "order",
            "bank_paid",
            "objection_accepted",
            "identify_receivable",
            "deduct",
            "release",
        }
    )
    assert expected <= happened.keys() or happened["seeds"] < 10


@pytest.mark.parametrize("what", ["fund", "hop", "objection"])
async def test_a_fen_too_much_is_seen_and_its_seed_named(
    parts: Settlement, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A model that is wrong by a fen, by a hop, or by whose month pays disagrees: so would a product that is."""
    seed = 18  # its months are paid hop by hop, and an objection is accepted
    if what == "fund":
        monkeypatch.setattr(ModelBill, "payable_fen", property(lambda b: b.fund_fen + b.account_fen + b.refund))
    elif what == "hop":
        monkeypatch.setattr(ModelHospital, "payer", _one_hop_less)
    else:
        monkeypatch.setattr(ModelHospital, "cleared", _where_it_was_booked)
    with pytest.raises((Disagreement, AssertionError)) as caught:
        await simulate(parts, range(seed, seed + 12), [months])
    assert any("make simulate ARGS='--first" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("what", ["effect", "silence", "leaving", "retained", "reviewed", "carried", "identified"])
async def test_a_rule_that_is_wrong_is_seen(parts: Settlement, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The product settles when the bank paid half, takes silence for no, lets one case too many stay, retains a
    thousandth less, gives all of it back, carries a bill a month too far, or books what was identified as nothing.
    """
    module, name, wrong = WRONG[what]
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises((Disagreement, AssertionError, Refused)) as caught:
        await simulate(parts, range(1, 12), [cycles])
    assert any("make simulate ARGS='--first" in note for note in caught.value.__notes__)


WRONG: dict[str, tuple[object, str, Callable[..., object]]] = {
    "effect": (bank_movements, "effect_of", lambda debt, change: effect_of(_half(debt), change)),
    "silence": (confirmations, "consents", lambda *_: False),
    "leaving": (unpaid, "leaving", lambda *wanted: leaving(*wanted)[1:]),
    "retained": (withholdings, "set_offs", lambda fen, permille, waiting: set_offs(fen, max(0, permille - 1), waiting)),
    "reviewed": (withholdings, "released_fen", lambda retained_fen, *_: retained_fen),
    "carried": (objections, "next_month", lambda month: next_month(next_month(month))),
    "identified": (identifications, "other_transfers", lambda *_: []),
}


def _half(debt: Debt) -> Debt:
    return debt._replace(amount_fen=debt.amount_fen // 2)


def _one_hop_less(self: ModelHospital, month: int, home: str) -> str | None:
    due, parties = self.payable_fen(month, home), self.parties(home)
    done = self.months[month].paid_hops[home]
    return None if due == 0 or done >= len(parties) - 2 else parties[-1 - done] if due > 0 else parties[done]


def _where_it_was_booked(self: ModelHospital, month: int, home: str) -> list[ModelBill]:
    return [b for b in self.bills.values() if b.booked_in == month and b.home == home]


def test_chains_of_the_model_are_those_of_the_regions() -> None:
    """The model writes them down, or finds them by itself, so that it need not ask the product."""
    assert model.CARE == HUAIYANG
    for home, agencies in model.CHAINS.items():
        assert REGIONS.chain(HUAIYANG, home) == agencies
        assert REGIONS.clearing(HUAIYANG, home) == model.CLEARING[home]
    above = {region.code: region.parent for region in REGIONS if region.parent is not None}
    for home in model.CHAINS:
        assert chain(above, HUAIYANG, home) == model.CHAINS[home]
