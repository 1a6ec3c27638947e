"""What a matter (事项) asks, through whose hands it goes and how long it may take: a declaration, checked at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_NONE: Final[frozenset[str]] = frozenset()


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
    def all_outcomes(self) -> frozenset[str]:
        """Every way a case can end."""
        return self.outcomes | self.adverse_outcomes

    @property
    def pausing_steps(self) -> frozenset[str]:
        """Names of the steps at which the case waits for the asker."""
        return frozenset(step.name for step in self.steps if step.pauses)

    @property
    def circumstances(self) -> frozenset[str]:
        """Every circumstance that changes which papers are needed."""
        return _NONE.union(*(paper.when | paper.may_follow for paper in self.papers))

    @property
    def paper_codes(self) -> frozenset[str]:
        """Every paper that can be handed in."""
        return _NONE.union(*(paper.alternatives | {paper.code} for paper in self.papers))


def _problems(matter: Matter) -> Iterator[str]:
    if not matter.steps:
        yield "a matter has at least one step"
        return
    names = [step.name for step in matter.steps]
    yield from _repeated("step or outcome", [*names, *matter.all_outcomes])
    yield from _repeated("outcome", [*matter.outcomes, *matter.adverse_outcomes])
    yield from _repeated("paper", [paper.code for paper in matter.papers])
    yield from _clock_problems("the matter", matter)
    for step in matter.steps:
        yield from _step_problems(step, names, matter.all_outcomes)
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
    ending = _closure(matter.all_outcomes, lambda name: {step for step, to in targets.items() if name in to})
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
