"""Casework (办件): a matter (事项) is declared data, a case goes through its steps, every act names its actor.

What all matters share is here: papers named all at once when they are missing (一次性告知), steps done by certain
roles, reviews by different people (四眼), refusals with a reason, clocks in working days that stop while the asker is
waited for. What a matter asks, through whose hands it goes and how long it may take is a `Matter`, a setting of a
region.

Pure: `now` is given, every change is a new value, and a `Case` holds nothing a service could not store in its tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import groupby
from typing import Final

from shared.refusals import Refusal, Refused, declare
from shared.workdays import DueDate, WorkCalendar, shanghai_day

_NONE: Final[frozenset[str]] = frozenset()

PAPER_MISSING: Final = declare(
    "casework.paper-missing", status=422, zh="缺少材料：{paper_zh}", en="This paper is missing: {paper_en}"
)
PAPER_UNKNOWN: Final = declare(
    "casework.paper-unknown", status=422, zh="本事项没有这项材料：{paper}", en="This matter knows no paper {paper}"
)
CIRCUMSTANCE_UNKNOWN: Final = declare(
    "casework.circumstance-unknown",
    status=422,
    zh="本事项没有这种情形：{circumstance}",
    en="This matter knows no circumstance {circumstance}",
)
CASE_CLOSED: Final = declare(
    "casework.case-closed", status=409, zh="该件已办结（{outcome}）", en="The case is closed ({outcome})"
)
WRONG_STEP: Final = declare(
    "casework.wrong-step",
    status=409,
    zh="该件现在“{current}”环节，不在“{step}”环节",
    en="The case is at step {current}, not at {step}",
)
ROLE_MAY_NOT_ACT: Final = declare(
    "casework.role-may-not-act",
    status=403,
    zh="“{step}”环节由{allowed}办理，{role}不能办理",
    en="Step {step} belongs to {allowed}, not to {role}",
)
SAME_PERSON: Final = declare(
    "casework.same-person",
    status=403,
    zh="“{step}”环节须由他人办理：您已办理“{reviewed}”环节",
    en="Step {step} is for another person: you acted at {reviewed}",
)
OWN_CASE: Final = declare(
    "casework.own-case", status=403, zh="不能办理本人申请的件", en="Nobody acts on a case of their own"
)
ALREADY_DECIDED: Final = declare(
    "casework.already-decided",
    status=409,
    zh="您已在“{step}”环节作出决定，还需其他人",
    en="You have decided at step {step}; it waits for other people",
)
DECISION_UNKNOWN: Final = declare(
    "casework.decision-unknown",
    status=422,
    zh="“{step}”环节的决定只能是：{allowed}",
    en="The decisions at step {step} are: {allowed}",
)
REASON_MISSING: Final = declare(
    "casework.reason-missing", status=422, zh="决定“{decision}”须说明理由", en="The decision {decision} needs a reason"
)


class MatterInvalid(ValueError):
    """A matter that cannot be worked; the message names everything that is wrong with its declaration."""


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper (材料) the asker hands in."""

    code: str
    title_zh: str
    title_en: str
    alternatives: frozenset[str] = _NONE
    """Codes that serve as well (身份证或社保卡); the titles name them in words."""
    when: frozenset[str] = _NONE
    """Needed in any of these circumstances only (代办, 新生儿); always when there are none."""
    may_follow: frozenset[str] = _NONE
    """Circumstances in which the case opens without it (急诊: 先电话后补), to be complete at a later step."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step (环节) of a matter: whose it is and what they can decide."""

    name: str
    roles: frozenset[str]
    next: Mapping[str, str]
    """Decision → the step or outcome it leads to."""
    reviews: tuple[str, ...] = ()
    """Steps whose actors may not act here: a review is by another person."""
    clock_working_days: int | None = None
    """Working days this step may take, counted anew each time the case comes to it."""
    clock_days: int | None = None
    """The same in calendar days (自然日); a step has at most one of the two."""
    pauses: bool = False
    """The case waits for the asker: the matter's clock stands still, the step's own does not."""
    by_asker: bool = False
    """The asker acts here, who may act on their own case at no other step."""
    quorum: int = 1
    """How many different people must take the same decision before the case moves on (专家评审)."""
    with_reason: frozenset[str] = _NONE
    """Decisions that need a reason, besides those that lead to an adverse outcome."""
    completes_papers: bool = False
    """Only leaves for a refusal, or back to the asker, while a paper is missing."""


@dataclass(frozen=True, slots=True)
class Matter:
    """One kind of work of an agency, declared. A case begins at the first step.

    Raises MatterInvalid when a step cannot be reached or left, or names what is not there.
    """

    code: str
    title_zh: str
    title_en: str
    papers: tuple[Paper, ...]
    steps: tuple[Step, ...]
    clock_working_days: int | None = None
    """Working days the whole may take (承诺办结时限), 0 for at once (即时办结)."""
    clock_days: int | None = None
    """The same in calendar days; a matter has at most one of the two."""
    outcomes: frozenset[str] = frozenset({"approved"})
    """How a case can end, other than against the asker."""
    adverse_outcomes: frozenset[str] = frozenset({"refused"})
    """How a case can end against the asker: only ever with a reason."""

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise MatterInvalid(f"{self.code}: " + "; ".join(problems))

    def step(self, name: str) -> Step:
        """The step of a name. Raises KeyError."""
        return {step.name: step for step in self.steps}[name]

    @property
    def circumstances(self) -> frozenset[str]:
        """Every circumstance that changes which papers are needed."""
        return _NONE.union(*(paper.when | paper.may_follow for paper in self.papers))

    @property
    def paper_codes(self) -> frozenset[str]:
        """Every paper that can be handed in."""
        return _NONE.union(*(paper.alternatives | {paper.code} for paper in self.papers))


@dataclass(frozen=True, slots=True)
class Act:
    """Who did what, when, at which step."""

    step: str
    actor: str
    role: str
    decision: str
    reason: str | None
    at: datetime
    moved_to: str | None
    """The step or outcome it took the case to; None while the step waits for more people."""
    papers: frozenset[str] = _NONE
    """Papers handed in with it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One application of one asker. Open while it has a step, closed once it has an outcome."""

    case_id: str
    matter: str
    asker: str
    opened_at: datetime
    step: str | None
    outcome: str | None = None
    papers: frozenset[str] = _NONE
    circumstances: frozenset[str] = _NONE
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True)
class Due:
    """Where a clock stands."""

    day: date
    """The last day in time; of a suspended clock, what it would be if the clock ran on from today."""
    provisional: bool
    """The day lies beyond the published calendars and will be computed again."""
    suspended: bool
    working_days_left: int
    """Working days after today up to `day`; negative when that many are overdue."""
    overdue: bool


def missing_papers(
    matter: Matter, papers_given: Collection[str], circumstances: Collection[str] = (), *, at_opening: bool = True
) -> tuple[Paper, ...]:
    """The papers still to be handed in; `at_opening` leaves out those that may follow."""
    given, circumstances = frozenset(papers_given), frozenset(circumstances)

    def is_missing(paper: Paper) -> bool:
        needed = not paper.when or paper.when & circumstances
        may_follow = at_opening and paper.may_follow & circumstances
        return bool(needed and not may_follow and not given & (paper.alternatives | {paper.code}))

    return tuple(paper for paper in matter.papers if is_missing(paper))


def open_case(
    matter: Matter,
    case_id: str,
    asker: str,
    papers_given: Collection[str],
    now: datetime,
    *,
    circumstances: Collection[str] = (),
) -> Case:
    """A case at the matter's first step. Raises Refused naming every missing paper at once (一次性告知)."""
    strange = sorted(frozenset(circumstances) - matter.circumstances)
    refusals = [
        *(CIRCUMSTANCE_UNKNOWN(circumstance=circumstance) for circumstance in strange),
        *_unknown_papers(matter, papers_given),
        *_paper_refusals(missing_papers(matter, papers_given, circumstances)),
    ]
    if refusals:
        raise Refused(*refusals)
    return Case(
        case_id=case_id,
        matter=matter.code,
        asker=asker,
        opened_at=_zoned(now),
        step=matter.steps[0].name,
        papers=frozenset(papers_given),
        circumstances=frozenset(circumstances),
    )


def act(
    matter: Matter,
    case: Case,
    *,
    step: str,
    actor: str,
    role: str,
    decision: str,
    reason: str | None = None,
    now: datetime,
    papers_given: Collection[str] = (),
) -> Case:
    """The case after `actor` has decided at `step`. Raises Refused with everything that stands against it."""
    attempt = Act(step, actor, role, decision, _words(reason), _zoned(now), None, frozenset(papers_given))
    if refusals := objections(matter, case, attempt):
        raise Refused(*refusals)
    at = matter.step(step)
    agreeing = sum(1 for earlier in _pending(case) if earlier.decision == decision) + 1
    moved_to = at.next[decision] if agreeing >= at.quorum else None
    done = replace(case, acts=(*case.acts, replace(attempt, moved_to=moved_to)), papers=case.papers | attempt.papers)
    if moved_to is None:
        return done
    closes = moved_to in _outcomes(matter)
    return replace(done, step=None if closes else moved_to, outcome=moved_to if closes else None)


def objections(matter: Matter, case: Case, attempt: Act) -> tuple[Refusal, ...]:
    """Everything that stands against an act, in order of weight; empty when it may be done.

    Raises ValueError when the case is of another matter.
    """
    if case.matter != matter.code:
        raise ValueError(f"a case of {case.matter} is not a case of {matter.code}")
    place = _place_refusals(case, attempt)
    if attempt.step not in {step.name for step in matter.steps}:
        return place
    at = matter.step(attempt.step)
    return (
        *place,
        *_person_refusals(case, at, attempt),
        *_decision_refusals(matter, at, attempt),
        *_unknown_papers(matter, attempt.papers),
        *_completeness_refusals(matter, case, at, attempt),
    )


def due(matter: Matter, case: Case, now: datetime, calendar: WorkCalendar) -> Due | None:
    """The clock of the whole case, without the time it waited for the asker; None when the matter has none.

    A closed case keeps the clock it closed with.
    """
    limit = _Limit.of(matter)
    if limit is None:
        return None
    today = shanghai_day(now if case.step else case.acts[-1].at)
    pausing = {step.name for step in matter.steps if step.pauses}
    left = limit.days
    for start, end in _running_spans(case, pausing):
        deadline = limit.end(calendar, start, left)
        if end is None or deadline.day < end:
            return _due(deadline, today, calendar)
        # Used up on the very day it was stopped, a clock ends on the day it goes on.
        left = max(0, left - limit.used(calendar, start, end))
    return _due(limit.end(calendar, today, left), today, calendar, suspended=case.step is not None)


def step_due(matter: Matter, case: Case, now: datetime, calendar: WorkCalendar) -> Due | None:
    """The clock of the step the case is at, since it came there; None when the step has none or the case is closed."""
    limit = _Limit.of(matter.step(case.step)) if case.step else None
    if limit is None:
        return None
    entered = list(_visits(case))[-1].entered
    return _due(limit.end(calendar, entered, limit.days), shanghai_day(now), calendar)


# Objections


def _place_refusals(case: Case, attempt: Act) -> tuple[Refusal, ...]:
    if case.step is None:
        return (CASE_CLOSED(outcome=str(case.outcome)),)
    if attempt.step != case.step:
        return (WRONG_STEP(step=attempt.step, current=case.step),)
    return ()


def _person_refusals(case: Case, at: Step, attempt: Act) -> Iterator[Refusal]:
    if attempt.role not in at.roles:
        yield ROLE_MAY_NOT_ACT(step=at.name, role=attempt.role, allowed=_listed(at.roles))
    if attempt.actor == case.asker and not at.by_asker:
        yield OWN_CASE()
    acted_at = {earlier.step for earlier in case.acts if earlier.actor == attempt.actor}
    for reviewed in at.reviews:
        if reviewed in acted_at:
            yield SAME_PERSON(step=at.name, reviewed=reviewed)
    if any(earlier.step == at.name and earlier.actor == attempt.actor for earlier in _pending(case)):
        yield ALREADY_DECIDED(step=at.name)


def _decision_refusals(matter: Matter, at: Step, attempt: Act) -> Iterator[Refusal]:
    if attempt.decision not in at.next:
        yield DECISION_UNKNOWN(step=at.name, allowed=_listed(at.next))
    elif _needs_reason(matter, at, attempt.decision) and attempt.reason is None:
        yield REASON_MISSING(decision=attempt.decision)


def _needs_reason(matter: Matter, at: Step, decision: str) -> bool:
    return decision in at.with_reason or at.next[decision] in matter.adverse_outcomes


def _completeness_refusals(matter: Matter, case: Case, at: Step, attempt: Act) -> tuple[Refusal, ...]:
    target = at.next.get(attempt.decision)
    back_to_asker = {step.name for step in matter.steps if step.pauses}
    if not at.completes_papers or target is None or target in matter.adverse_outcomes | back_to_asker:
        return ()
    given = case.papers | attempt.papers
    return _paper_refusals(missing_papers(matter, given, case.circumstances, at_opening=False))


def _paper_refusals(papers: Iterable[Paper]) -> tuple[Refusal, ...]:
    return tuple(PAPER_MISSING(paper=p.code, paper_zh=p.title_zh, paper_en=p.title_en) for p in papers)


def _unknown_papers(matter: Matter, papers_given: Collection[str]) -> tuple[Refusal, ...]:
    return tuple(PAPER_UNKNOWN(paper=code) for code in sorted(frozenset(papers_given) - matter.paper_codes))


def _pending(case: Case) -> list[Act]:
    """Acts of the present visit to the step: those that have not moved the case."""
    moves = [index for index, act_ in enumerate(case.acts) if act_.moved_to is not None]
    return list(case.acts[moves[-1] + 1 if moves else 0 :])


# Clocks


@dataclass(frozen=True, slots=True)
class _Limit:
    """How long something may take, in working or in calendar days."""

    days: int
    working: bool

    @classmethod
    def of(cls, declared: Matter | Step) -> _Limit | None:
        if declared.clock_working_days is not None:
            return cls(declared.clock_working_days, working=True)
        return None if declared.clock_days is None else cls(declared.clock_days, working=False)

    def end(self, calendar: WorkCalendar, start: date, days: int) -> DueDate:
        return calendar.add(start, days) if self.working else calendar.add_days(start, days)

    def used(self, calendar: WorkCalendar, start: date, end: date) -> int:
        """Days used between two days; none when the clock was set back between them."""
        return max(0, calendar.between(start, end) if self.working else (end - start).days)


@dataclass(frozen=True, slots=True)
class _Visit:
    step: str
    entered: date
    left: date | None


def _visits(case: Case) -> Iterator[_Visit]:
    """The steps the case has been at, in order; the present one has not been left."""
    entered = shanghai_day(case.opened_at)
    for move in case.acts:
        if move.moved_to is not None:
            left = shanghai_day(move.at)
            yield _Visit(move.step, entered, left)
            entered = left
    if case.step is not None:
        yield _Visit(case.step, entered, None)


def _running_spans(case: Case, pausing: Collection[str]) -> Iterator[tuple[date, date | None]]:
    """From when to when the clock ran. Neighbouring steps make one span, or a deadline missed between them is lost."""
    for paused, visits in groupby(_visits(case), key=lambda visit: visit.step in pausing):
        if not paused:
            span = list(visits)
            yield span[0].entered, span[-1].left


def _due(deadline: DueDate, today: date, calendar: WorkCalendar, *, suspended: bool = False) -> Due:
    return Due(
        day=deadline.day,
        provisional=deadline.provisional,
        suspended=suspended,
        working_days_left=calendar.between(today, deadline.day),
        overdue=today > deadline.day,
    )


# Declarations


def _problems(matter: Matter) -> Iterator[str]:
    if not matter.steps:
        yield "a matter has at least one step"
        return
    names = [step.name for step in matter.steps]
    yield from _repeated("step or outcome", [*names, *_outcomes(matter)])
    yield from _repeated("outcome", [*matter.outcomes, *matter.adverse_outcomes])
    yield from _repeated("paper", [paper.code for paper in matter.papers])
    yield from _clock_problems("the matter", matter)
    for step in matter.steps:
        yield from _step_problems(step, names, _outcomes(matter))
    yield from _path_problems(matter)


def _step_problems(step: Step, names: Collection[str], outcomes: Collection[str]) -> Iterator[str]:
    yield from _clock_problems(step.name, step)
    if not step.roles:
        yield f"{step.name}: nobody may act"
    if step.quorum < 1:
        yield f"{step.name}: a quorum is one or more"
    for target in sorted({*step.next.values()} - {*names, *outcomes}):
        yield f"{step.name}: leads to {target}, which is neither a step nor an outcome"
    for reviewed in sorted({*step.reviews} - {*names} | {*step.reviews} & {step.name}):
        yield f"{step.name}: cannot review {reviewed}"
    for decision in sorted(step.with_reason - {*step.next}):
        yield f"{step.name}: a reason for {decision}, which is no decision"


def _clock_problems(name: str, declared: Matter | Step) -> Iterator[str]:
    clocks = [days for days in (declared.clock_working_days, declared.clock_days) if days is not None]
    if len(clocks) > 1:
        yield f"{name}: has two clocks"
    if any(days < 0 for days in clocks):
        yield f"{name}: a clock is not negative"


def _path_problems(matter: Matter) -> Iterator[str]:
    """Steps a case never comes to, and steps from which it never ends."""
    targets = {step.name: {*step.next.values()} for step in matter.steps}
    reached = _closure({matter.steps[0].name}, lambda name: targets.get(name, set()))
    ending = _closure(_outcomes(matter), lambda name: {step for step, to in targets.items() if name in to})
    for name in targets:
        if name not in reached:
            yield f"{name}: no way leads here"
        if name not in ending:
            yield f"{name}: no way leads to an outcome"


def _closure(start: Collection[str], neighbours: Callable[[str], Collection[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(neighbours(name))
    return found


def _repeated(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{what} {name} is declared more than once"


def _outcomes(matter: Matter) -> frozenset[str]:
    return matter.outcomes | matter.adverse_outcomes


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _words(reason: str | None) -> str | None:
    """A reason of spaces is none."""
    return (reason or "").strip() or None


def _zoned(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment
