"""Cases (办件): opened when no paper is missing, moved by acts, refused with every reason at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shared.casework.matters import Matter, Paper, Step
from shared.refusals import Refusal, Refused, declare

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
    closes = moved_to in matter.all_outcomes
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
    elif _needs_reason(matter, at, attempt.decision) and _words(attempt.reason) is None:
        yield REASON_MISSING(decision=attempt.decision)


def _needs_reason(matter: Matter, at: Step, decision: str) -> bool:
    return decision in at.with_reason or at.next[decision] in matter.adverse_outcomes


def _completeness_refusals(matter: Matter, case: Case, at: Step, attempt: Act) -> tuple[Refusal, ...]:
    target = at.next.get(attempt.decision)
    if not at.completes_papers or target is None or target in matter.adverse_outcomes | matter.pausing_steps:
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


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _words(reason: str | None) -> str | None:
    """A reason of spaces is none."""
    return (reason or "").strip() or None


def _zoned(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment
