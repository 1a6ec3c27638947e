"""The chain's rules: what is hashed tells every transaction from every other, and every change of a link shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.rules.chain import (
    BEGINNING,
    FindingKind,
    Head,
    LedgerKey,
    Link,
    canonical,
    check_checkpoint,
    check_leaf,
    check_links,
    leaf_of,
)
from services.settlement.rules.ledger import Account, AccountKind, Entry

KEY, OTHER_KEY = LedgerKey(bytes(range(32))), LedgerKey(bytes(range(1, 33)))
NOW = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
ENTRIES = (
    Entry(1, "411603", Account(AccountKind.RECEIVABLE, "411600"), 400),
    Entry(2, "411603", Account(AccountKind.PAYABLE, "H1"), -400),
)


@dataclass(frozen=True)
class Booked:
    """A transaction as booking hands it to the rule."""

    transaction_id: str = "T1"
    kind: str = "reversal"
    case_id: str = "C1"
    period: str = "2026-10"
    value_date: date = date(2026, 10, 20)
    booked_at: datetime = NOW
    reverses_transaction_id: str | None = "T0"
    entries: tuple[Entry, ...] = ENTRIES

    @property
    def text(self) -> str:
        return canonical(
            self.transaction_id,
            self.kind,
            self.case_id,
            self.period,
            self.value_date,
            self.booked_at,
            self.reverses_transaction_id,
            self.entries,
        )


def test_the_canonical_form_is_written_down() -> None:
    """Whoever verifies with another program writes exactly this."""
    assert Booked().text == (
        "2:T18:reversal2:C17:2026-105:2074616:17936082000000002:T0"
        "1:16:41160310:receivable6:4116000:3:4001:26:4116037:payable2:H10:4:-400"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"transaction_id": "T2"},
        {"kind": "bill"},
        {"case_id": "C2"},
        {"period": "2026-11"},
        {"value_date": date(2026, 10, 21)},
        {"booked_at": NOW + timedelta(microseconds=1)},
        {"reverses_transaction_id": None},
        {"reverses_transaction_id": "~"},
        {"entries": ENTRIES[:1]},
        {"entries": (ENTRIES[0], ENTRIES[1]._replace(amount_fen=-401))},
        {"entries": (ENTRIES[0], ENTRIES[1]._replace(line_no=3))},
        {"entries": (ENTRIES[0], ENTRIES[1]._replace(book="411600"))},
        {"entries": (ENTRIES[0], ENTRIES[1]._replace(account=Account(AccountKind.PAYABLE, "H2")))},
        {"entries": (ENTRIES[0], ENTRIES[1]._replace(account=Account(AccountKind.PAYABLE, "H", "1")))},
    ],
)
def test_every_field_is_hashed(change: dict[str, Any]) -> None:
    assert leaf_of(replace(Booked(), **change).text) != leaf_of(Booked().text)


texts = st.text("0123456789:~ab", max_size=6)
entries = st.builds(
    lambda line, book, other, fund, fen: Entry(line, book, Account(AccountKind.PAYABLE, other, fund), fen),
    st.integers(1, 20),
    texts,
    texts,
    texts,
    st.integers(-(10**16), 10**16),
)
bookings = st.builds(
    Booked,
    texts,
    texts,
    texts,
    texts,
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
    st.none() | texts,
    st.lists(entries, max_size=3).map(tuple),
)


@given(bookings, bookings)
def test_two_transactions_have_one_form_only_when_they_are_one(one: Booked, other: Booked) -> None:
    """Fields made of digits and colons try to look like the seams between fields."""
    assert (one.text == other.text) is (one == other)


def chain(count: int = 5) -> list[Link]:
    return KEY.links(Head(0, BEGINNING), [(f"T{n}", leaf_of(f"text {n}")) for n in range(1, count + 1)], NOW)


START = Head(0, BEGINNING)


def found(links: list[Link], before: Head = START) -> list[tuple[FindingKind, str]]:
    return [(finding.kind, finding.subject) for finding in check_links(KEY, before, links)]


def test_a_whole_chain_holds_in_one_piece_and_in_two() -> None:
    links = chain()
    assert found(links) == []
    assert found(links[2:], Head(2, links[1].hash)) == []


BROKEN_AT_3 = [(FindingKind.CHAIN_BROKEN, "link 3")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"leaf": leaf_of("other")}, BROKEN_AT_3),
        ({"sealed_at": NOW + timedelta(microseconds=1)}, BROKEN_AT_3),
        ({"hash": leaf_of("other")}, [*BROKEN_AT_3, (FindingKind.CHAIN_BROKEN, "link 4")]),
    ],
)
def test_a_changed_link_is_found_where_it_is(change: dict[str, Any], expected: list[tuple[FindingKind, str]]) -> None:
    links = chain()
    links[2] = links[2]._replace(**change)
    assert found(links) == expected


def test_a_removed_link_is_a_gap_and_a_closed_gap_is_a_break() -> None:
    links = chain()
    del links[2]
    assert found(links) == [(FindingKind.CHAIN_GAP, "link 3"), (FindingKind.CHAIN_BROKEN, "link 4")]
    closed = [link._replace(chain_no=n) for n, link in enumerate(links, 1)]
    assert found(closed) == BROKEN_AT_3


def test_two_links_that_changed_places_are_found() -> None:
    links = chain()
    links[2], links[3] = links[3]._replace(chain_no=3), links[2]._replace(chain_no=4)
    assert (FindingKind.CHAIN_BROKEN, "link 3") in found(links)


def test_a_chain_written_anew_under_another_key_is_broken_at_every_link() -> None:
    forged = OTHER_KEY.links(Head(0, BEGINNING), [(link.transaction_id, link.leaf) for link in chain()], NOW)
    assert found(forged) == [(FindingKind.CHAIN_BROKEN, f"link {n}") for n in range(1, 6)]


def test_a_mark_is_of_one_leaf_and_one_key() -> None:
    leaf = leaf_of("text")
    assert KEY.is_marked(leaf, KEY.mark(leaf))
    assert not KEY.is_marked(leaf_of("other"), KEY.mark(leaf))
    assert not KEY.is_marked(leaf, OTHER_KEY.mark(leaf))
    assert KEY.mark(leaf) != KEY.link(b"", leaf, NOW)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        LedgerKey(b"short")


def test_a_leaf_is_held_against_what_is_there_now() -> None:
    (link,) = chain(1)
    assert check_leaf(link, "text 1") is None
    changed, removed = check_leaf(link, "text 2"), check_leaf(link, None)
    assert changed is not None
    assert removed is not None
    assert (changed.kind, removed.kind) == (FindingKind.TRANSACTION_CHANGED, FindingKind.TRANSACTION_REMOVED)
    assert str(removed) == "transaction-removed T1: link 1 names it and it is not in the ledger"


def test_a_checkpoint_is_held_against_the_chain() -> None:
    checkpoint = Head(5, chain()[-1].hash)
    assert check_checkpoint(checkpoint, checkpoint.hash) is None
    cut, rewritten = check_checkpoint(checkpoint, None), check_checkpoint(checkpoint, leaf_of("other"))
    assert cut is not None
    assert rewritten is not None
    assert (cut.kind, rewritten.kind) == (FindingKind.CHAIN_TRUNCATED, FindingKind.CHAIN_REWRITTEN)
