"""One working told step by step: to the officer whole, to the patient what matters of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

from shared.policy.decision import NotPaid, Step
from shared.policy.sentences import (
    NOTHING,
    OFFICER,
    PATIENT,
    PATIENT_FUNDS,
    PATIENT_QUANTITIES,
    PATIENT_SUMS,
    SINGLE,
    TEXTS,
    ZEROS,
    Pair,
)
from shared.policy.terms import Terms
from shared.policy.words import number_text
from shared.policy.working import APART, LINE_PARTS

_LINES: Final = ("line:", "item:", "tag.", "tag_scope.", "class.", "class_scope.")
_BETWEEN: Final = frozenset({"parts", "paid", "person"})
"""Quantities of the bill that each layer changes: they are told where they change."""
_DIVISIONS: Final = frozenset({"line", "priced_line", "out_line", "stated_line", "limited_line", "counted_line"})
_SHARES: Final = frozenset({"share", "share_down"})


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence and the clauses (ids) it comes from."""

    text: str
    clauses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Sentences under a heading, which may be empty."""

    title: str
    told: tuple[Told, ...]


class Wording:
    """Puts steps into sentences. No number comes from elsewhere than the step."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    def text(self, text: str, **values: str) -> str:
        """One of the fixed texts."""
        return self.terms.pick(TEXTS[text]).format(**values)

    def refusal(self, reason: NotPaid) -> Told:
        """Why nothing is paid."""
        why = self.terms.pick((reason.zh, reason.en))
        return Told(self.text("not_paid", why=why, code=reason.code), reason.clauses)

    def filled(self, step: Step, template: Pair, within: str = "", **more: str) -> str:
        """A template filled from a step; names of the layer it is told `within` are short."""
        return self.terms.pick(template).format_map(self._values(step, within) | more)

    def listed(self, words: Iterable[str]) -> str:
        """Words one after the other."""
        return self.terms.pick(("，", ", ")).join(words)

    def layer(self, step: Step) -> str:
        """The layer a step belongs to, for readers."""
        return self.terms.name(step.name.rpartition(".")[0] or step.name)

    def _values(self, step: Step, within: str) -> dict[str, str]:
        terms = self.terms
        facts = [(name, value) for name, value in step.inputs if name.startswith("fact:")]
        operands = [(name, value) for name, value in step.inputs if not name.startswith("fact:")]
        shown = [self._operand(step.kind, place, operand) for place, operand in enumerate(operands)]
        named = [f"{terms.name(name, within)} {text}" for (name, _), text in zip(operands, shown, strict=True)]
        values = {
            "label": terms.name(step.name, within),
            "layer": self.layer(step),
            "result": self._price(step.result) if step.kind == "unit_price" else terms.value(step.name, step.result),
            "plus": " + ".join(named),
            "minus": " − ".join(named),
            "list": self.listed(named),
            "last": shown[-1] if shown else "",
            "facts": self._facts(facts, step.kind),
            "vd": terms.pick(("以上", "the end")),
        }
        values |= dict(zip("abcd", named, strict=False))
        values |= {f"v{letter}": text for letter, text in zip("abcd", shown, strict=False)}
        return values | self._special(step, operands, named)

    def _special(self, step: Step, operands: list[tuple[str, Any]], named: list[str]) -> dict[str, str]:
        if step.kind in ("formula", "basis"):
            rest = named[1:-1] if step.kind == "basis" else named[1:]
            where = self.text("where", where=self.listed(rest)) if rest else ""
            return {"formula": str(operands[0][1]), "where": where}
        if step.kind in _DIVISIONS:
            return {"parts": self._division(step.result)}
        return {"paid": self.listed(named[2:])} if step.kind == "absorb" else {}

    def _operand(self, kind: str, place: int, operand: tuple[str, Any]) -> str:
        name, value = operand
        return self._price(value) if kind == "priced_line" and place == 1 else self.terms.value(name, value)

    def _price(self, price_fen: Fraction) -> str:
        """A price a unit, which may have parts of a fen."""
        return f"{number_text(price_fen / 100)}{self.terms.pick(('元', ' yuan'))}"

    def _division(self, parts: Sequence[int]) -> str:
        """The parts of a line that are not 0; the amount always."""
        return self.listed(
            f"{self.terms.name('amount' if part == 'total' else part)} {self.terms.money(amount_fen)}"
            for part, amount_fen in zip(LINE_PARTS, parts, strict=True)
            if amount_fen or part == "total"
        )

    def _facts(self, facts: Sequence[tuple[str, Any]], kind: str) -> str:
        words = self.listed(f"{self.terms.name(name)} {self.terms.value(name, value)}" for name, value in facts)
        return words if kind == "choose" or not words else self.text("facts", facts=words)


class Zeros:
    """Why layers whose condition held paid nothing."""

    def __init__(self, steps: Sequence[Step], wording: Wording) -> None:
        self._results = {step.name: step for step in steps}
        self._wording = wording

    def told(self) -> dict[str, Told]:
        """The reasons by the name of the payment that came to 0."""
        return {name: self._why(name, step) for name, step in self._results.items() if self._paid_nothing(name, step)}

    def _paid_nothing(self, name: str, step: Step) -> bool:
        return name.endswith(".fund") and step.result == 0 and step.kind in ("least", "find")

    def _why(self, name: str, step: Step) -> Told:
        layer = name.rpartition(".")[0]
        found = next((quantity for quantity in ZEROS if self._is_zero(f"{layer}.{quantity}")), "fund")
        why = self._wording.terms.pick(ZEROS[found])
        text = self._wording.text("pays_nothing", layer=self._wording.layer(step), why=why)
        return Told(text, self._results[f"{layer}.{found}"].clauses)

    def _is_zero(self, name: str) -> bool:
        step = self._results.get(name)
        return step is not None and step.result == 0


class OfficerTeller:
    """Tells every step, under headings of lines, layers and result; then why layers paid nothing."""

    def __init__(self, steps: Sequence[Step], wording: Wording) -> None:
        self._steps = steps
        self._wording = wording

    def blocks(self) -> Iterator[Block]:
        """The working of a bill."""
        owners = self._owners()
        numbered = enumerate(zip(self._steps, owners, strict=True), start=1)
        for owner, group in groupby(numbered, key=lambda pair: pair[1][1]):
            told = tuple(self._told(number, step, owner) for number, (step, _) in group)
            yield Block(self._title(owner), told)
        zeros = tuple(Zeros(self._steps, self._wording).told().values())
        if zeros:
            yield Block("", zeros)

    def calculation(self) -> Block:
        """The working of a calculation."""
        told = tuple(self._told(number, step, "") for number, step in enumerate(self._steps, start=1))
        return Block(self._wording.text("working"), told)

    def _told(self, number: int, step: Step, within: str) -> Told:
        return Told(f"{number}. {self._wording.filled(step, self._template(step), within)}", step.clauses)

    def _template(self, step: Step) -> Pair:
        if step.kind in SINGLE and len(step.inputs) < 2:
            return SINGLE[step.kind] if step.inputs else NOTHING
        return OFFICER[step.kind]

    def _owners(self) -> list[str]:
        """What each step belongs to: a layer, or one of the texts for headings."""
        owners: list[str] = []
        for step in self._steps:
            owners.append(_owner(step.name, owners[-1] if owners else ""))
        return owners

    def _title(self, owner: str) -> str:
        return self._wording.text(owner) if owner in TEXTS else self._wording.terms.name(owner)


def _owner(name: str, before: str) -> str:
    portion, apart, bare = name.rpartition(APART)
    if bare.startswith(_LINES) or bare in LINE_PARTS:
        return "lines"
    if bare in ("benefit", "person") and before in ("", "lines", "result"):
        return "benefit" if bare == "benefit" else "lines"
    if bare in _BETWEEN and before not in ("", "result"):
        return before
    layer, dot, _ = bare.partition(".")
    return f"{portion}{apart}{layer}" if dot else "result"


class PatientTeller:
    """Tells what matters, in short sentences; nothing that is 0, unless to say why."""

    def __init__(self, steps: Sequence[Step], wording: Wording) -> None:
        self._steps = steps
        self._wording = wording
        self._last = {step.name: place for place, step in enumerate(steps)}
        self._results = {step.name: step.result for step in steps}

    def blocks(self) -> Iterator[Block]:
        """The working of a bill."""
        zeros = Zeros(self._steps, self._wording).told()
        told: list[Told] = []
        for place, step in enumerate(self._steps):
            if step.name in zeros:
                told.append(zeros[step.name])
            elif (text := self._sentence(place, step)) is not None:
                told.append(Told(text, step.clauses))
        if not any(self._is_payment(step) for step in self._steps):
            told.append(Told(self._wording.text("no_layer")))
        yield Block(self._wording.text("why"), tuple(told))

    def _sentence(self, place: int, step: Step) -> str | None:
        """What the patient is told of a step; None when nothing is."""
        if step.kind in ("skip", "waive"):
            return self._wording.filled(step, PATIENT[step.kind])
        if not step.result or isinstance(step.result, Fraction) or place != self._last[step.name]:
            return None
        template = self._template(step)
        if template is None or _is_layer_sum(step):
            return None
        payer = self._wording.terms.payer(step.name.rpartition(".")[0]) or self._wording.text("nobody")
        told = self._wording.filled(step, template, payer=payer)
        portion = step.name.rpartition(APART)[0]
        return f"[{portion}] {told}" if portion and not told.startswith("[") else told

    def _template(self, step: Step) -> Pair | None:
        bare = step.name.rpartition(APART)[2]
        layer, dot, quantity = bare.rpartition(".")
        if not dot:
            if step.kind in ("parts", "look", "absorb"):
                return PATIENT[step.kind]
            return PATIENT_SUMS.get(bare) or PATIENT_QUANTITIES.get(bare)
        if quantity == "share":
            return PATIENT[step.kind] if step.kind in _SHARES else None
        if quantity == "fund":
            return self._payment(step)
        return PATIENT_QUANTITIES.get(quantity) if layer else None

    def _payment(self, step: Step) -> Pair | None:
        """What a layer pays: said already when its one ratio gave it."""
        layer = step.name.rpartition(".")[0]
        if self._wording.terms.pays_later(layer):
            return PATIENT_FUNDS["later"]
        share = self._results.get(f"{layer}.share")
        if share is not None and share != step.result:
            return PATIENT_FUNDS["capped"]
        by_one_ratio = any(step.name == f"{layer}.share" and step.kind in _SHARES for step in self._steps)
        return None if by_one_ratio else PATIENT_QUANTITIES["fund"]

    def _is_payment(self, step: Step) -> bool:
        return step.name.endswith(".fund") and bool(step.result)


def _is_layer_sum(step: Step) -> bool:
    """Whether it adds up what a layer made of the portions of a bill, each of which was told already."""
    return "." in step.name and APART not in step.name and any(APART in name for name, _ in step.inputs)


def tellings(wording: Wording, steps: Sequence[Step], *, patient: bool) -> list[Block]:
    """A bill's working for the patient or the officer."""
    teller: PatientTeller | OfficerTeller = (PatientTeller if patient else OfficerTeller)(steps, wording)
    return list(teller.blocks())
