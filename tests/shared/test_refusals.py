"""Refusals are values: a code, a place, words in two languages; and never none at all."""

from __future__ import annotations

import pytest

from shared.refusals import Refused, Unavailable, declare

LATE = declare("test.late", status=422, zh="迟了 {days} 天", en="{days} days late")


def test_a_refusal_speaks_both_languages() -> None:
    refusal = LATE(days=3, pointer="/day")
    assert (refusal.text("zh"), refusal.text("en"), refusal.pointer) == ("迟了 3 天", "3 days late", "/day")
    assert refusal == LATE(days=3, pointer="/day")


def test_a_parameter_that_is_missing_hides_nothing() -> None:
    assert LATE().text("en") == "{days} days late"


def test_values_are_words_and_not_templates() -> None:
    """What a caller sent may stand in a refusal; it is never read as a template of ours."""
    kind = declare("test.echo", status=422, zh="{what}", en="{what}")
    assert kind(what="{days} {0.__class__} %s").text("en") == "{days} {0.__class__} %s"


def test_the_first_refusal_gives_the_status() -> None:
    conflict = declare("test.conflict", status=409, zh="冲突", en="conflict")
    refused = Refused(conflict(), LATE(days=1))
    assert refused.status == 409
    assert [r.code for r in refused] == ["test.conflict", "test.late"]
    assert str(refused) == "test.conflict, test.late"


def test_nothing_cannot_be_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Refused()


def test_what_is_away_is_named() -> None:
    assert (Unavailable("broker").part, str(Unavailable("broker", "refused"))) == (
        "broker",
        "broker unavailable: refused",
    )
