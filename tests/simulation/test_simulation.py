"""Random months agree with the model to the fen, and one that does not names its seed.

`SIFANG_TEST_SEED` is the first seed played; `make simulate` plays more of them.
"""

from __future__ import annotations

import os

import pytest

from services.settlement.use_cases.parts import Settlement
from tests.services.settlement.world import HUAIYANG, REGIONS
from tests.simulation import model
from tests.simulation.model import ModelBill, ModelHospital
from tests.simulation.play import ACTIONS, Disagreement
from tests.simulation.running import simulate

FIRST_SEED = int(os.environ.get("SIFANG_TEST_SEED", "1"))
LASTS_S = 25.0


async def test_random_months_agree_with_the_model(parts: Settlement) -> None:
    happened = await simulate(parts, range(FIRST_SEED, FIRST_SEED + 10_000), within_s=LASTS_S)
    assert happened["seeds"] >= 3
    assert {action.__name__ for action in ACTIONS} <= happened.keys() or happened["seeds"] < 10


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
        await simulate(parts, range(seed, seed + 12))
    assert any("make simulate ARGS='--first" in note for note in caught.value.__notes__)


def _one_hop_less(self: ModelHospital, month: int, home: str) -> str | None:
    due, parties = self.payable_fen(month, home), self.parties(home)
    done = self.months[month].paid_hops[home]
    return None if due == 0 or done >= len(parties) - 2 else parties[-1 - done] if due > 0 else parties[done]


def _where_it_was_booked(self: ModelHospital, month: int, home: str) -> list[ModelBill]:
    return [b for b in self.bills.values() if b.booked_in == month and b.home == home]


def test_chains_of_the_model_are_those_of_the_regions() -> None:
    """The model writes them down, so that it need not ask the product."""
    assert model.CARE == HUAIYANG
    for home, chain in model.CHAINS.items():
        assert REGIONS.chain(HUAIYANG, home) == chain
        assert REGIONS.clearing(HUAIYANG, home) == model.CLEARING[home]
