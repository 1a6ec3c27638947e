"""What changes from one policy to another: rule by rule, for whom, and what it does to the packs' own examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from shared.money import yuan
from shared.policy import markup
from shared.policy.case import CaseResult, run_case
from shared.policy.document import Case, Clause, PackDocument
from shared.policy.engine import Policy
from shared.policy.outline import Entry, outline
from shared.policy.replay import burden_fen, fund_fen
from shared.policy.show import Sheet, html_sheets, text_sheets
from shared.policy.words import Cell, Language, amount, number_text, text_of

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("政策变化", "What changes"),
    "same": ("没有变化", "nothing changes"),
    "removed": ("取消的规则", "rules removed"),
    "added": ("新增的规则", "rules added"),
    "changed": ("改变的规则", "rules changed"),
    "head": ("政策包", "the pack"),
    "clauses": ("条款的变化", "clauses changed"),
    "examples": ("对自带算例的影响", "effect on the packs' examples"),
    "rule": ("规则", "rule"),
    "whom": ("涉及", "whom it touches"),
    "of": ("项", "of"),
    "before": ("原", "before"),
    "after": ("新", "after"),
    "change": ("变化", "change"),
    "says": ("内容", "what it says"),
    "case": ("算例", "example"),
    "fund_before": ("基金（原）", "fund before"),
    "fund_after": ("基金（新）", "fund after"),
    "person_before": ("个人（原）", "person before"),
    "person_after": ("个人（新）", "person after"),
    "undecided": ("不能决定", "undecided"),
    "pays_less": ("个人少付", "the person pays less"),
    "pays_more": ("个人多付", "the person pays more"),
    "equal": ("不变", "no change"),
    "basis": ("依据", "clause"),
}
_HEAD: Final = ("version", "title", "area", "valid", "decided_by", "year_begins", "rounding", "illustrative")


@dataclass(frozen=True, slots=True)
class Changed:
    """One value of a rule: `before` is None when it is new, `after` when it is gone. `by` is their difference with its
    unit, when both are numbers."""

    path: str
    section: str
    label: str
    whom: str
    of: str
    before: str | None
    after: str | None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """What fund and person bear in an example by each policy; None when a bill of it cannot be decided."""

    case: str
    old: tuple[int, int] | None
    new: tuple[int, int] | None
    answers: tuple[tuple[str, str, str], ...] = ()
    """Results of questions that changed: name, before, after."""


@dataclass(frozen=True, slots=True)
class Difference:
    """All differences of two packs."""

    head: tuple[Changed, ...]
    removed: tuple[Entry, ...]
    added: tuple[Entry, ...]
    changed: tuple[Changed, ...]
    clauses: tuple[Changed, ...]
    effects: tuple[Effect, ...]

    @property
    def none(self) -> bool:
        """Whether the packs say the same, examples apart."""
        return not (self.head or self.removed or self.added or self.changed or self.clauses)


def difference(old: PackDocument, new: PackDocument, language: Language) -> Difference:
    """Compare two packs; rules are the same when their ids are."""
    before = {entry.path: entry for entry in outline(old, language)}
    after = {entry.path: entry for entry in outline(new, language)}
    changed = [change for path in after if path in before for change in _entry(before[path], after[path], language)]
    return Difference(
        head=tuple(_heads(old, new, language)),
        removed=tuple(entry for path, entry in before.items() if path not in after),
        added=tuple(entry for path, entry in after.items() if path not in before),
        changed=tuple(changed),
        clauses=tuple(_clauses(old, new)),
        effects=tuple(_effects(old, new)),
    )


def tables(found: Difference, language: Language) -> list[Sheet]:
    """The differences as tables."""
    say = _Say(language)
    made = [Sheet(summary(found, language), (say("of"), say("before"), say("after")), _pairs(found.head))]
    made += [_entries(say, "removed", found.removed)] if found.removed else []
    made += [_entries(say, "added", found.added)] if found.added else []
    made += [_changes(say, found.changed)] if found.changed else []
    if found.clauses:
        columns = (say("basis"), say("before"), say("after"))
        made.append(Sheet(say("clauses"), columns, _pairs(found.clauses)))
    made += [_examples(say, found.effects)] if found.effects else []
    return made


def summary(found: Difference, language: Language) -> str:
    """The differences in a sentence."""
    if found.none:
        return _Say(language)("same")
    added, removed, changed = len(found.added), len(found.removed), len({change.path for change in found.changed})
    moved = sum(1 for effect in found.effects if effect.old != effect.new or effect.answers)
    if language == "zh":
        rules = f"新增 {added} 条规则，取消 {removed} 条，改变 {changed} 条"
        return f"{rules}；{len(found.effects)} 个算例中 {moved} 个结果不同"
    return (
        f"{added} rules added, {removed} removed, {changed} changed; "
        f"{moved} of {len(found.effects)} examples come out differently"
    )


def as_text(found: Difference, language: Language, *, width: int = 120) -> str:
    """The differences as text."""
    return text_sheets(_Say(language)("title"), tables(found, language), width=width)


def as_html(found: Difference, language: Language) -> str:
    """The differences as a page that stands alone."""
    title = _Say(language)("title")
    return markup.page(title, language, html_sheets(tables(found, language)))


def as_json(found: Difference) -> dict[str, Any]:
    """The differences as data; amounts of examples in yuan as text."""
    return {
        "head": [_changed_json(change) for change in found.head],
        "removed": [_entry_json(entry) for entry in found.removed],
        "added": [_entry_json(entry) for entry in found.added],
        "changed": [_changed_json(change) for change in found.changed],
        "clauses": [_changed_json(change) for change in found.clauses],
        "examples": [_effect_json(effect) for effect in found.effects],
    }


# --------------------------------------------------------------------------------------------------- comparing


def _heads(old: PackDocument, new: PackDocument, language: Language) -> Iterator[Changed]:
    for name in _HEAD:
        before, after = _head(old, name, language), _head(new, name, language)
        if before != after:
            yield Changed(name, "", name, "", name, before, after)


def _head(document: PackDocument, name: str, language: Language) -> str:
    match name:
        case "title":
            return text_of(document.title, language)
        case "valid":
            return f"{document.valid.from_} – {document.valid.to or ''}"
    return str(getattr(document, name))


def _entry(old: Entry, new: Entry, language: Language) -> Iterator[Changed]:
    def changed(of: str, before: str | None, after: str | None, by: str = "") -> Changed:
        return Changed(new.path, new.section, new.label, new.whom, of, before, after, by)

    if old.whom != new.whom:
        yield changed(_Say(language)("whom"), old.whom, new.whom)
    before, after = _by_whom(old.cells), _by_whom(new.cells)
    for key in dict.fromkeys([*before, *after]):
        was, now = before.get(key), after.get(key)
        if was is None or now is None or (was.text, was.value) != (now.text, now.value):
            yield changed(key[0], was.text if was else None, now.text if now else None, _by(was, now, language))
    if old.clause != new.clause:
        yield changed(_Say(language)("basis"), old.clause, new.clause)


def _by_whom(cells: Sequence[Cell]) -> dict[tuple[str, int], Cell]:
    """Cells by whom they are for; a number tells apart those of the same people."""
    found: dict[tuple[str, int], Cell] = {}
    for cell in cells:
        number = sum(1 for who, _ in found if who == cell.who)
        found[cell.who, number] = cell
    return found


def _by(was: Cell | None, now: Cell | None, language: Language) -> str:
    if was is None or now is None or was.value is None or now.value is None or was.unit != now.unit:
        return ""
    change: Decimal = now.value - was.value
    sign = "+" if change > 0 else "−"
    if now.unit == "ratio":
        return f"{sign}{number_text(abs(change) * 100)}{'个百分点' if language == 'zh' else ' points'}"
    return f"{sign}{amount(abs(change), now.unit, language)}"


def _clauses(old: PackDocument, new: PackDocument) -> Iterator[Changed]:
    for name in dict.fromkeys([*old.clauses, *new.clauses]):
        before, after = old.clauses.get(name), new.clauses.get(name)
        if before != after:
            yield Changed(f"clauses/{name}", "", name, "", name, _cited(before), _cited(after))


def _cited(clause: Clause | None) -> str | None:
    return None if clause is None else f"{clause.document} {clause.article or ''}: {clause.words}"


def _effects(old: PackDocument, new: PackDocument) -> Iterator[Effect]:
    """Every example of either pack by both policies; of two with one id, the new pack's."""
    cases = {case.id: case for case in (*old.examples, *new.examples)}
    before, after = Policy(old), Policy(new)
    for case in cases.values():
        was, now = run_case(before, case, any_day=True), run_case(after, case, any_day=True)
        yield Effect(case.id, _borne(was, case), _borne(now, case), tuple(_answers(was, now)))


def _borne(result: CaseResult, case: Case) -> tuple[int, int] | None:
    if len(result.bills) != sum(bill.repeat for bill in case.bills if bill.reverses is None):
        return None
    decisions = [decision for _, decision in result.standing]
    return sum(map(fund_fen, decisions)), sum(map(burden_fen, decisions))


def _answers(old: CaseResult, new: CaseResult) -> Iterator[tuple[str, str, str]]:
    before, after = _results(old), _results(new)
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name, "–"), after.get(name, "–")
        if was != now:
            yield name, was, now


def _results(result: CaseResult) -> dict[str, str]:
    found = {}
    for question, answer in result.answers:
        for name in answer.results:
            value = answer.values[name]
            in_yuan = answer.units[name] == "yuan" and isinstance(value, int)
            found[f"{question}.{name}"] = yuan(int(value)) if in_yuan else number_text(value)
    return found


# -------------------------------------------------------------------------------------------------- rendering


class _Say:
    def __init__(self, language: Language) -> None:
        self._place = 0 if language == "zh" else 1

    def __call__(self, word: str) -> str:
        return _WORDS[word][self._place]


def _pairs(changes: Sequence[Changed]) -> tuple[tuple[str, ...], ...]:
    return tuple((change.of, change.before or "–", change.after or "–") for change in changes)


def _entries(say: _Say, title: str, entries: Sequence[Entry]) -> Sheet:
    rows = tuple(
        (
            f"{entry.section}\n{entry.label}",
            entry.whom,
            "\n".join(f"{cell.who}: {cell.text}" if cell.who else cell.text for cell in entry.cells),
            entry.clause or "",
        )
        for entry in entries
    )
    return Sheet(say(title), (say("rule"), say("whom"), say("says"), say("basis")), rows)


def _changes(say: _Say, changes: Sequence[Changed]) -> Sheet:
    rows = tuple(
        (
            f"{change.section}\n{change.label}",
            change.whom,
            change.of,
            change.before or "–",
            change.after or "–",
            change.by,
        )
        for change in changes
    )
    columns = tuple(say(word) for word in ("rule", "whom", "of", "before", "after", "change"))
    return Sheet(say("changed"), columns, rows)


def _examples(say: _Say, effects: Sequence[Effect]) -> Sheet:
    columns = ("case", "fund_before", "fund_after", "person_before", "person_after", "change")
    rows = tuple(
        (
            effect.case,
            *(_shown(say, side, 0) for side in (effect.old, effect.new)),
            *(_shown(say, side, 1) for side in (effect.old, effect.new)),
            _effect_words(say, effect),
        )
        for effect in effects
    )
    return Sheet(say("examples"), tuple(say(word) for word in columns), rows)


def _shown(say: _Say, side: tuple[int, int] | None, place: int) -> str:
    return say("undecided") if side is None else yuan(side[place])


def _effect_words(say: _Say, effect: Effect) -> str:
    lines = [f"{name}: {before} → {after}" for name, before, after in effect.answers]
    if effect.old is not None and effect.new is not None and effect.old != effect.new:
        change_fen = effect.new[1] - effect.old[1]
        word = "equal" if change_fen == 0 else "pays_more" if change_fen > 0 else "pays_less"
        lines.insert(0, say(word) if change_fen == 0 else f"{say(word)} {yuan(abs(change_fen))}")
    return "\n".join(lines) or ("" if effect.old is None or effect.new is None else say("equal"))


def _changed_json(change: Changed) -> dict[str, Any]:
    return {
        "path": change.path,
        "rule": change.label,
        "whom": change.whom,
        "of": change.of,
        "before": change.before,
        "after": change.after,
        "change": change.by,
    }


def _entry_json(entry: Entry) -> dict[str, Any]:
    says = [f"{cell.who}: {cell.text}" if cell.who else cell.text for cell in entry.cells]
    return {"path": entry.path, "rule": entry.label, "whom": entry.whom, "says": says, "clause": entry.clause}


def _effect_json(effect: Effect) -> dict[str, Any]:
    def side(borne: tuple[int, int] | None) -> dict[str, str] | None:
        return None if borne is None else {"fund": yuan(borne[0]), "person": yuan(borne[1])}

    change = None if effect.old is None or effect.new is None else yuan(effect.new[1] - effect.old[1])
    answers = [{"what": name, "before": before, "after": after} for name, before, after in effect.answers]
    return {
        "case": effect.case,
        "before": side(effect.old),
        "after": side(effect.new),
        "change_person": change,
        "answers": answers,
    }
