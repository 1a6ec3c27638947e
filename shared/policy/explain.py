"""A working told in words, to the patient, the officer or a machine.

Nothing is computed here: every number in the words is an operand or the result of a step, or stands in the reason of a
refusal. What is told is therefore the calculation that was made, and `working.recompute` can make it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shared.policy import record
from shared.policy.answers import reason_json
from shared.policy.case import CaseResult
from shared.policy.decision import Answered, Decision, NotPaid, Step
from shared.policy.document import PackDocument
from shared.policy.sentences import TEXTS, Reader
from shared.policy.show import clause_text
from shared.policy.telling import Block, OfficerTeller, Told, Wording, tellings
from shared.policy.terms import Terms
from shared.policy.words import Language, number_text


def explain(
    steps: Sequence[Step],
    document: PackDocument,
    reader: Reader,
    language: Language,
    *,
    not_paid: NotPaid | None = None,
    units: Mapping[str, str] | None = None,
) -> list[Block]:
    """A working for the patient or the officer, in blocks. `not_paid` is why nothing was paid, `units` are those of a
    calculation's steps. A machine reads `record.machine(steps)` instead."""
    amounts = frozenset(step.name for step in steps if step.kind in ("fen", "unit_price"))
    wording = Wording(Terms(document, language, units, amounts))
    refusal = [Block("", (wording.refusal(not_paid),))] if not_paid is not None else []
    if units is not None:
        return [*refusal, OfficerTeller(steps, wording).calculation()]
    return [*refusal, *tellings(wording, steps, patient=reader == "patient")]


def explain_decision(decision: Decision, document: PackDocument, reader: Reader, language: Language) -> list[Block]:
    """A decision for the patient or the officer."""
    return explain(decision.steps, document, reader, language, not_paid=decision.not_paid)


def explain_answer(answer: Answered, document: PackDocument, reader: Reader, language: Language) -> list[Block]:
    """The answer of a calculation for the patient or the officer."""
    return explain(answer.steps, document, reader, language, units=answer.units)


def text_of_blocks(blocks: Iterable[Block], document: PackDocument, reader: Reader, language: Language) -> str:
    """Blocks as text. The officer reads each clause at its step, in full where it comes first; the patient reads at the
    end what the sentences rest on."""
    writer = _Writer(document, reader, language)
    return "\n".join([*(line for block in blocks for line in writer.block(block)), *writer.end()]) + "\n"


def cited(blocks: Iterable[Block]) -> list[str]:
    """The ids of all clauses of blocks, each once, in order."""
    return list(dict.fromkeys(clause for block in blocks for told in block.told for clause in told.clauses))


# -------------------------------------------------------------------------------------------------------- cases


def case_blocks(
    result: CaseResult, document: PackDocument, reader: Reader, language: Language
) -> list[tuple[str, list[Block]]]:
    """All of a case: (heading, blocks) for each bill, question and what could not be decided."""
    place = 0 if language == "zh" else 1
    made: list[tuple[str, list[Block]]] = []
    for bill, decision in result.bills:
        made.append((f"{TEXTS['bill'][place]} {bill}", explain_decision(decision, document, reader, language)))
    for reversal, bill, _ in result.reversals:
        told = Told(TEXTS["reverses"][place].format(bill=bill))
        made.append((f"{TEXTS['bill'][place]} {reversal}", [Block("", (told,))]))
    for question, answer in result.answers:
        made.append((f"{TEXTS['question'][place]} {question}", explain_answer(answer, document, reader, language)))
    for where, reason in result.refused:
        text = TEXTS["undecided"][place].format(why=reason.zh if language == "zh" else reason.en, code=reason.code)
        made.append((where, [Block("", (Told(text, reason.clauses),))]))
    return made


def case_text(result: CaseResult, document: PackDocument, reader: Reader, language: Language) -> str:
    """All of a case in words."""
    place = 0 if language == "zh" else 1
    parts = [f"{result.case.id}: {TEXTS['pack'][place].format(pack=result.pack, version=result.version)}\n"]
    for heading, blocks in case_blocks(result, document, reader, language):
        parts.append(f"{heading}\n{'=' * (2 * len(heading))}\n{text_of_blocks(blocks, document, reader, language)}")
    lines = [f"{what}: {text}\n" for what, text in expected_lines(result, language)]
    return "\n".join([*parts, *(["".join(lines)] if lines else [])])


def expected_lines(result: CaseResult, language: Language) -> Iterator[tuple[str, str]]:
    """Each expectation and how it came out."""
    place = 0 if language == "zh" else 1
    for expected in result.expectations:
        got = "–" if expected.got is None else number_text(expected.got)
        ok = TEXTS["ok" if expected.ok else "off"][place]
        wanted = number_text(expected.expectation.is_)
        yield expected.expectation.what, TEXTS["expected"][place].format(wanted=wanted, got=got, ok=ok)


def case_machine(result: CaseResult, document: PackDocument) -> dict[str, Any]:
    """All of a case for a machine: the steps of every bill and question, and the clauses they name."""
    worked = [*(decision.steps for _, decision in result.bills), *(answer.steps for _, answer in result.answers)]
    clauses = {clause for steps in worked for step in steps for clause in step.clauses}
    return {
        "case": result.case.id,
        "pack": result.pack,
        "version": result.version,
        "bills": [{"id": bill, "steps": record.machine(decision.steps)} for bill, decision in result.bills],
        "reversals": [{"id": reversal, "reverses": bill} for reversal, bill, _ in result.reversals],
        "answers": [{"id": question, "steps": record.machine(answer.steps)} for question, answer in result.answers],
        "refusals": [{"of": where, **reason_json(reason)} for where, reason in result.refused],
        "clauses": {
            name: clause.model_dump(mode="json") for name, clause in document.clauses.items() if name in clauses
        },
    }


# ------------------------------------------------------------------------------------------------------ writing


class _Writer:
    """Writes blocks as lines of text."""

    def __init__(self, document: PackDocument, reader: Reader, language: Language) -> None:
        self._document = document
        self._reader = reader
        self._place = 0 if language == "zh" else 1
        self._quoted: dict[str, None] = {}

    def block(self, block: Block) -> Iterator[str]:
        if block.title:
            yield ""
            yield block.title
        for told in block.told:
            yield f"  {told.text}"
            if self._reader == "officer":
                yield from self._citations(told.clauses)
            else:
                self._quoted.update(dict.fromkeys(told.clauses))

    def end(self) -> Iterator[str]:
        if self._reader == "officer" or not self._quoted:
            return
        yield ""
        documents = dict.fromkeys(self._clause(clause) for clause in self._quoted)
        yield f"{TEXTS['clauses'][self._place]}: {('；', '; ')[self._place].join(documents)}"

    def _citations(self, clauses: Sequence[str]) -> Iterator[str]:
        for name in clauses:
            clause = self._document.clauses.get(name)
            first = name not in self._quoted
            self._quoted[name] = None
            words = f" “{clause.words}”" if clause is not None and first else ""
            yield f"     [{self._clause(name)}]{words}"

    def _clause(self, name: str) -> str:
        return clause_text(self._document.clauses.get(name), name)
