"""Which movements were told of before: a table, and that nothing is lost or counted twice whatever the names."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.rules.banking import BankLine
from services.settlement.rules.movements import Name, NamedBy, Sighting, Told, names_of, tell

DAY = date(2026, 11, 5)
NOTIFIED, STATED = "camt.054", "camt.053"


def line(
    ref: str = "", end_to_end_id: str = "", amount_fen: int = 100, report_ref: str = "", **fields: object
) -> BankLine:
    """A debit of that day."""
    return replace(BankLine(ref, end_to_end_id, True, amount_fen, DAY, None, report_ref), **fields)  # type: ignore[arg-type]


def known(entry_id: str, told_by: str, told: BankLine) -> Sighting:
    """What a report told of before."""
    (name,) = names_of([told])
    return Sighting(entry_id, told_by, name, told.amount_fen, told.booked_on, told.value_on)


def outcome(told: Told) -> str:
    """new, the entry it repeats, or "report" for another line of the same report; "!" where it differs."""
    what = "new" if told.is_new else told.entry_id or "report"
    return what + "!" * told.differs


NEXT = DAY + timedelta(days=1)


@pytest.mark.parametrize(
    ("before", "told_by", "lines", "expected"),
    [
        ([], STATED, [line("A"), line("B")], ["new", "new"]),
        ([], STATED, [line("A"), line("A")], ["new", "report"]),
        ([], STATED, [line("A"), line("A", amount_fen=101)], ["new", "report!"]),
        # The servicer's reference decides, in every kind of report.
        ([(NOTIFIED, line("A"))], STATED, [line("A")], ["e0"]),
        ([(NOTIFIED, line("A"))], NOTIFIED, [line("A")], ["e0"]),
        ([(NOTIFIED, line("A"))], STATED, [line("A", amount_fen=101)], ["e0!"]),
        ([(NOTIFIED, line("A"))], STATED, [line("B")], ["new"]),
        ([(NOTIFIED, line("A", "X"))], STATED, [line("A", "Y")], ["new"]),
        ([(NOTIFIED, line("A"))], STATED, [line("A", debit=False)], ["new"]),
        # Without it on one side: amount, side, day, and end-to-end id.
        ([(NOTIFIED, line("A", "X"))], STATED, [line("", "X", report_ref="1")], ["e0"]),
        ([(STATED, line("", "X", report_ref="1"))], NOTIFIED, [line("A", "X")], ["e0"]),
        ([(NOTIFIED, line("A", "X"))], STATED, [line("", "X", amount_fen=101)], ["new"]),
        ([(NOTIFIED, line("A", "X"))], STATED, [line("", "Y")], ["new"]),
        ([(NOTIFIED, line("A", "X"))], STATED, [line("", "X", debit=False)], ["new"]),
        ([(NOTIFIED, line("A", "X"))], STATED, [line("", "X", booked_on=NEXT)], ["new"]),
        ([(NOTIFIED, line("A", "X", value_on=NEXT))], STATED, [line("", "X", booked_on=NEXT)], ["e0"]),
        ([(NOTIFIED, line("A", "X"))], STATED, [line("")], ["e0"]),
        ([(NOTIFIED, line("A"))], STATED, [line("", "X")], ["e0!"]),
        # Equal payments are as many as the report that has most of them.
        ([(NOTIFIED, line("A"))], STATED, [line("", report_ref="1"), line("", report_ref="2")], ["e0", "new"]),
        (
            [(NOTIFIED, line("A")), (NOTIFIED, line("B"))],
            STATED,
            [line(""), line(""), line("")],
            ["e0", "e1", "new"],
        ),
        # In one kind of report another number is another movement; the same number and figures are the same.
        ([(STATED, line("", report_ref="1"))], STATED, [line("", report_ref="2")], ["new"]),
        ([(STATED, line("", report_ref="1"))], STATED, [line("", report_ref="1")], ["e0"]),
        ([(STATED, line("", report_ref="1"))], STATED, [line("", report_ref="1", amount_fen=7)], ["new"]),
        ([(STATED, line("", report_ref="1"))], STATED, [line("", report_ref="1", booked_on=NEXT)], ["new"]),
        # The nearer fit is taken: the one with the same end-to-end id.
        ([(NOTIFIED, line("A")), (NOTIFIED, line("B", "X"))], STATED, [line("", "X"), line("")], ["e1", "e0"]),
        # What is known by its own name is not another one's.
        ([(NOTIFIED, line("A", "X"))], STATED, [line("", "X"), line("A", "X")], ["new", "e0"]),
    ],
)
def test_what_was_told_before(
    before: list[tuple[str, BankLine]], told_by: str, lines: list[BankLine], expected: list[str]
) -> None:
    sightings = [known(f"e{number}", kind, told) for number, (kind, told) in enumerate(before)]
    assert [outcome(told) for told in tell(lines, told_by, sightings)] == expected


def test_lines_without_any_reference_are_numbered() -> None:
    assert names_of([line(), line(), line("A")]) == [
        Name(NamedBy.REPORT, f"- {DAY} 100", "", True),
        Name(NamedBy.REPORT, f"- {DAY} 100 2", "", True),
        Name(NamedBy.SERVICER, "A", "", True),
    ]


AMOUNTS = st.lists(st.sampled_from([100, 200, 300]), max_size=6)


@given(AMOUNTS, st.randoms(use_true_random=False))
def test_a_statement_of_what_was_notified_tells_nothing_new(amounts: list[int], random: object) -> None:
    """In whatever order, and though it gives none of the bank's references."""
    notified = [line(f"A{number}", amount_fen=amount) for number, amount in enumerate(amounts)]
    sightings = [known(f"e{number}", NOTIFIED, told) for number, told in enumerate(notified)]
    random.shuffle(amounts)  # type: ignore[attr-defined]
    stated = [line("", amount_fen=amount, report_ref=str(number)) for number, amount in enumerate(amounts)]
    told = tell(stated, STATED, sightings)

    assert not any(one.is_new for one in told)
    assert sorted(one.entry_id or "" for one in told) == sorted(s.entry_id for s in sightings), "each once"
