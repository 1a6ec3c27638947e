"""The facts a pack may ask about: the standard ones and its own, with the values it knows."""

from __future__ import annotations

from dataclasses import dataclass

from shared.policy.checking.report import Report
from shared.policy.document import FactDomain, PackDocument, Range
from shared.policy.issues import did_you_mean
from shared.policy.vocabulary import STANDARD, Kind, Of


@dataclass(frozen=True, slots=True)
class KnownFact:
    """A fact with what the pack says of its values: None where it says nothing."""

    name: str
    kind: Kind
    of: Of
    words: tuple[str, ...] | None
    numbers: Range | None

    @property
    def declared(self) -> bool:
        """Whether all its values are known, so that what is missing is missing. Ages, days and counts of the standard
        vocabulary run from their first number on."""
        counted = self.kind is Kind.NUMBER and self.name in STANDARD
        return counted or self.kind is Kind.FLAG or self.words is not None or self.numbers is not None


class KnownFacts:
    """All facts of a pack by name."""

    def __init__(self, document: PackDocument) -> None:
        names = dict.fromkeys([*STANDARD, *document.facts])
        self._facts = {name: _known(name, document.facts.get(name)) for name in names}
        self._inputs = frozenset(need for calculation in document.calculations for need in calculation.needs)
        self.numbers = frozenset(name for name, fact in self._facts.items() if fact.kind is Kind.NUMBER)

    def get(self, name: str) -> KnownFact | None:
        """The fact of a name."""
        return self._facts.get(name)

    def suggestion(self, name: str) -> tuple[str, str]:
        """What was meant by an unknown name."""
        if name in self._inputs:
            zh = f"；它是计算的输入，请写 cases，以 `if: {name} < 4` 比较"
            return zh, f"; it is an input: write `cases` and compare it, as in `if: {name} < 4`"
        return did_you_mean(name, self._facts)


def _known(name: str, domain: FactDomain | None) -> KnownFact:
    standard = STANDARD.get(name)
    kind = standard.kind if standard else _declared_kind(domain)
    of = standard.of if standard else Of((domain and domain.of) or "bill")
    words = tuple(domain.words) if domain is not None and domain.words else None
    numbers = domain.number if domain is not None else None
    return KnownFact(name, kind, of, words, None if numbers is None or range_fault(numbers) else numbers)


def _declared_kind(domain: FactDomain | None) -> Kind:
    if domain is not None and domain.flag:
        return Kind.FLAG
    return Kind.NUMBER if domain is not None and domain.number is not None else Kind.WORD


def check_facts(document: PackDocument, report: Report) -> None:
    """Declarations that contradict themselves or the standard vocabulary."""
    for name, domain in document.facts.items():
        path = ("facts", name)
        given = [key for key in ("words", "number") if getattr(domain, key) is not None] + ["flag"] * domain.flag
        if len(given) > 1:
            zh, en = f"只能写 {'、'.join(given)} 之一", f"{' and '.join(given)} exclude each other"
            report.error(path, "pack.fact-kind", zh, en, at_key=True)
        _check_against_standard(name, domain, given, report)
        _check_words(name, domain, report)
        if domain.number is not None and (why := range_fault(domain.number)):
            report.error((*path, "number"), "pack.range", *why)


def _check_against_standard(name: str, domain: FactDomain, given: list[str], report: Report) -> None:
    standard = STANDARD.get(name)
    path = ("facts", name)
    if standard is None:
        if domain.of is None:
            zh = f"自定事实 `{name}` 须写 of:person、bill 或 line"
            en = f"the fact `{name}` is not of the standard vocabulary; say under `of` whether person, bill or line"
            report.error(path, "pack.fact-of", zh, en, at_key=True)
        return
    fits = {Kind.WORD: "words", Kind.WORDS: "words", Kind.NUMBER: "number", Kind.FLAG: "flag"}[standard.kind]
    if given and given != [fits]:
        zh, en = f"标准事实 `{name}` 的值须写作 {fits}", f"the standard fact `{name}` is declared with `{fits}`"
        report.error((*path, given[0]), "pack.fact-kind", zh, en, at_key=True)
    if domain.of is not None and domain.of != standard.of.value:
        zh, en = f"标准事实 `{name}` 属于 {standard.of}", f"the standard fact `{name}` is of the {standard.of}"
        report.error((*path, "of"), "pack.fact-of", zh, en)


def _check_words(name: str, domain: FactDomain, report: Report) -> None:
    words = domain.words or []
    if domain.words == []:
        zh, en = f"`{name}` 没有一个值", f"`{name}` has no words at all"
        report.error(("facts", name, "words"), "pack.fact-kind", zh, en)
    for index, word in enumerate(words):
        if word in words[:index]:
            path = ("facts", name, "words", index)
            report.error(path, "pack.duplicate", f"`{word}` 重复", f"`{word}` stands here twice")


def range_fault(numbers: Range) -> tuple[str, str] | None:
    """What is wrong with a range of numbers."""
    if numbers.from_ is not None and numbers.above is not None:
        return "from 与 above 只能写一个", "`from` and `above` exclude each other"
    if numbers.to is not None and numbers.below is not None:
        return "to 与 below 只能写一个", "`to` and `below` exclude each other"
    low = numbers.from_ if numbers.from_ is not None else numbers.above
    high = numbers.to if numbers.to is not None else numbers.below
    if low is None and high is None:
        return "须写 from、above、to 或 below", "needs `from`, `above`, `to` or `below`"
    if low is None or high is None:
        return None
    closed = numbers.above is None and numbers.below is None
    if low > high or (low == high and not closed):
        return f"没有数从 {low} 到 {high}", f"no number lies between {low} and {high}"
    return None
