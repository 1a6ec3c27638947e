"""What keeps a year from being archived, what it is proven by, and where its questions end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.rules.archives import (
    NOTHING_BEFORE,
    NOTHING_LEFT,
    Archive,
    ArchiveStep,
    Contents,
    KeptArchive,
    KeptFile,
    Left,
    LeftDigest,
    People,
    Standing,
    Step,
    Sums,
    asks_too_far,
    check_archive,
    check_restore,
    end_of,
    wrong_archives,
)
from services.settlement.rules.chain import LedgerKey

KEY = LedgerKey(b"a key of thirty-two bytes or more")
TWO = People("li", "wang")
READY = Standing(2020, 0, 0, 0, 0, 0, proven=True)
EARLIEST = datetime(2025, 12, 31, 16, tzinfo=UTC)
"""The first moment of 2026 in Asia/Shanghai: five years after the last of 2020."""


@pytest.mark.parametrize(
    ("year", "standing", "now", "people", "expected"),
    [
        pytest.param(2020, READY, EARLIEST, TWO, [], id="nothing in its way"),
        pytest.param(2020, READY, EARLIEST - timedelta(microseconds=1), TWO, ["too-early"], id="a moment too early"),
        pytest.param(2021, READY, EARLIEST, TWO, ["not-oldest", "too-early"], id="not the oldest"),
        pytest.param(2019, READY, EARLIEST, TWO, ["not-oldest"], id="there is no such year"),
        pytest.param(2020, READY, EARLIEST, People("li", "Li "), ["same-person"], id="one person twice"),
        pytest.param(2020, READY, EARLIEST, People("", "li"), ["same-person"], id="nobody"),
        pytest.param(
            2020,
            Standing(None, 1, 2, 3, 4, 5, proven=False),
            EARLIEST - timedelta(days=1),
            People("li", "li"),
            [
                "same-person",
                "not-oldest",
                "too-early",
                "cases-open",
                "items-open",
                "objections-open",
                "statements-open",
                "unsealed",
                "unproven",
            ],
            id="everything at once",
        ),
    ],
)
def test_what_keeps_a_year(year: int, standing: Standing, now: datetime, people: People, expected: list[str]) -> None:
    found = check_archive(year, standing, now, after_years=5, people=people)
    assert [refusal.code.removeprefix("settlement.archive-") for refusal in found] == expected


def test_the_newest_archive_comes_back_first() -> None:
    assert check_restore(2021, 2021, TWO) == []
    assert [r.code for r in check_restore(2020, 2021, TWO)] == ["settlement.archive-not-newest"]
    assert len(check_restore(2020, None, People("li", "li"))) == 2


@pytest.mark.parametrize(
    ("day", "moment", "expected"),
    [
        (date(2020, 12, 30), None, True),
        (date(2020, 12, 31), None, False),
        (None, end_of(2020) - timedelta(microseconds=1), True),
        (None, end_of(2020), False),
        (date(2021, 1, 1), datetime(2020, 6, 1, tzinfo=UTC), True),
        (None, None, False),
    ],
)
def test_questions_end_with_the_year(day: date | None, moment: datetime | None, expected: bool) -> None:
    assert asks_too_far(2020, value_date_until=day, booked_until=moment) is expected
    assert asks_too_far(None, value_date_until=day, booked_until=moment) is False


FILES = MappingProxyType({"bills": KeptFile("ab" * 32, 10, 2)})


def archive(number: int, year: int) -> Archive:
    """An archive of a year."""
    sums = Sums(2, 1, 3, 2, 1, 3)
    at = datetime(2030, 1, 1, tzinfo=UTC)
    return Archive(number, year, f"0{year}", 2, 12, sums, Left(2, bytes(32)), bytes(32), FILES, TWO, at)


def kept(*archives: Archive, restored: int | None = None) -> list[KeptArchive]:
    """Archives as they are kept, under the key."""
    made: list[KeptArchive] = []
    for one in archives:
        mac = KEY.archive(made[-1].mac if made else NOTHING_BEFORE, one.text)
        step = ArchiveStep(one.archive_no, Step.RESTORED, TWO, one.archived_at)
        steps = {Step.RESTORED: (step, KEY.archive(mac, step.text))} if restored == one.archive_no else {}
        made.append(KeptArchive(one, mac, steps))
    return made


def test_archives_prove_each_other() -> None:
    honest = kept(archive(1, 2019), archive(2, 2020), archive(3, 2021), restored=3)
    assert wrong_archives(KEY, honest) == []
    assert [one.holds for one in honest] == [True, True, False]
    assert {subject for subject, _ in wrong_archives(KEY, [honest[0], honest[2]])} == {"archive 2", "archive 3"}
    assert {subject for subject, _ in wrong_archives(LedgerKey(bytes(32)), honest)} == {
        f"archive {n}" for n in (1, 2, 3)
    }
    step, _ = honest[2].steps[Step.RESTORED]
    forged = honest[2]._replace(steps={Step.RESTORED: (replace(step, people=People("a", "b")), bytes(32))})
    assert [subject for subject, _ in wrong_archives(KEY, [*honest[:2], forged])] == ["archive 3"]


@pytest.mark.parametrize(
    "change",
    [
        {"year": 2021},
        {"until_id": "1"},
        {"transactions": 1},
        {"entries": 11},
        {"sums": Sums(2, 1, 3, 1, 2, 3)},
        {"left": Left(3, bytes(32))},
        {"left": Left(2, b"x" * 32)},
        {"contents_sha256": b"x" * 32},
        {"files": {"bills": KeptFile("ab" * 32, 11, 2)}},
        {"people": People("wang", "li")},
        {"archived_at": datetime(2030, 1, 1, 0, 0, 0, 1, tzinfo=UTC)},
    ],
)
def test_every_field_of_an_archive_is_under_the_key(change: dict[str, object]) -> None:
    (honest,) = kept(archive(1, 2020))
    changed = honest._replace(archive=replace(honest.archive, **change))  # type: ignore[arg-type]
    assert [subject for subject, _ in wrong_archives(KEY, [changed])] == ["archive 1"]


Rows: TypeAlias = list[tuple[str, int]]
ROWS = st.lists(st.tuples(st.text(max_size=3), st.integers(0, 9)), max_size=3)


@given(st.tuples(ROWS, ROWS), st.tuples(ROWS, ROWS))
def test_other_contents_have_another_digest(one: tuple[Rows, Rows], other: tuple[Rows, Rows]) -> None:
    """Also when the same rows stand in another table."""
    sums = Sums(0, 0, 0, 0, 0, 0)
    assert (Contents(sums, *one, []).digest == Contents(sums, *other, []).digest) is (one == other)


@given(st.lists(st.tuples(st.integers(1, 2**40), st.binary(min_size=32, max_size=32)), max_size=4))
def test_the_digest_of_links_knows_each_of_them(links: list[tuple[int, bytes]]) -> None:
    def digest(of: list[tuple[int, bytes]]) -> Left:
        running = LeftDigest()
        for chain_no, leaf in of:
            running.add(chain_no, leaf)
        return running.left

    assert digest(links).links == len(links)
    assert (digest(links) == NOTHING_LEFT) is (not links)
    for number in range(len(links)):
        assert digest(links[:number] + links[number + 1 :]) != digest(links)
