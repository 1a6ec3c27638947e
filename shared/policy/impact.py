"""What a replay found, for readers: tables as text and HTML, a plot as SVG, data as JSON and CSV."""

from __future__ import annotations

import csv
from html import escape
from io import StringIO
from typing import Any, Final

from shared.money import yuan
from shared.policy import markup
from shared.policy.replay import DIMENSIONS, Change, Cost, Impact
from shared.policy.show import Sheet, html_sheets, text_sheets
from shared.policy.words import Language

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("政策测算", "Replay of a policy"),
    "whole": ("合计", "all bills"),
    "layer": ("按支付层", "by layer"),
    "level": ("按医院级别", "by level of the facility"),
    "group": ("按人员类别", "by group of persons"),
    "care": ("按医疗类别", "by kind of care"),
    "bills": ("账单数", "bills"),
    "total": ("费用总额", "total"),
    "old_fund": ("原政策基金支付", "fund, old"),
    "new_fund": ("新政策基金支付", "fund, new"),
    "fund": ("基金支付", "fund"),
    "change_fund": ("基金变化", "change of fund"),
    "old_person": ("原政策个人负担", "person, old"),
    "new_person": ("新政策个人负担", "person, new"),
    "person_burden": ("个人负担", "person"),
    "change_person": ("个人负担变化", "change of person"),
    "persons": ("人数", "persons"),
    "winners": ("负担减轻的人数", "persons who pay less"),
    "losers": ("负担加重的人数", "persons who pay more"),
    "gains": ("减轻最多", "largest gains"),
    "losses": ("加重最多", "largest losses"),
    "person": ("人员", "person"),
    "problems": ("未计入的账单", "bills left out"),
    "line": ("行", "line"),
    "what": ("原因", "why"),
    "of_layer": ("支付层的费用总额为经过该层的账单的总额", "a layer's total is that of the bills that reached it"),
    "none": ("（无）", "(none)"),
}
_COST_COLUMNS: Final = ("bills", "total", "old_fund", "new_fund", "change_fund", "old_person", "new_person")


def tables(impact: Impact, language: Language) -> list[Sheet]:
    """The findings as tables."""
    say = _Say(language)
    made = [_costs(say, "whole", [("", impact.whole)], impact.compared)]
    made += [_costs(say, name, _of(impact, name, say), impact.compared) for name in ("layer", *DIMENSIONS)]
    if impact.compared:
        counts = tuple((say(name), f"{getattr(impact, name):,}") for name in ("persons", "winners", "losers"))
        made.append(Sheet(say("persons"), ("", ""), counts))
        made.append(_changes(say, "gains", impact.largest_gains))
        made.append(_changes(say, "losses", impact.largest_losses))
    if impact.problem_count:
        made.append(_problems(say, impact))
    return made


def as_text(impact: Impact, language: Language, *, width: int = 120) -> str:
    """The tables as text."""
    return text_sheets(_Say(language)("title"), tables(impact, language), width=width)


def as_html(impact: Impact, language: Language) -> str:
    """Plot and tables as a page that stands alone."""
    title = _Say(language)("title")
    return markup.page(title, language, [as_svg(impact, language), *html_sheets(tables(impact, language))])


def as_json(impact: Impact) -> dict[str, Any]:
    """The findings as data; amounts in yuan as text."""
    return {
        "compared": impact.compared,
        "whole": _cost_json(impact.whole, impact.compared),
        "by": {
            name: {value: _cost_json(cost, impact.compared) for value, cost in _sorted(impact, name)}
            for name in ("layer", *DIMENSIONS)
        },
        "persons": impact.persons,
        "winners": impact.winners,
        "losers": impact.losers,
        "largest_gains": [_change_json(change) for change in impact.largest_gains],
        "largest_losses": [_change_json(change) for change in impact.largest_losses],
        "problem_count": impact.problem_count,
        "problems": [
            {"line": problem.line, "code": problem.code, "zh": problem.zh, "en": problem.en}
            for problem in impact.problems
        ],
    }


def as_csv(impact: Impact) -> str:
    """The costs as one table: a row for all bills and for each value of each dimension."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("dimension", "value", *_cost_json(impact.whole, impact.compared)))
    writer.writerow(("whole", "", *_cost_json(impact.whole, impact.compared).values()))
    for name in ("layer", *DIMENSIONS):
        for value, cost in _sorted(impact, name):
            writer.writerow((name, value, *_cost_json(cost, impact.compared).values()))
    return file.getvalue()


_ROW, _LEFT, _WIDE, _RIGHT = 34, 180, 480, 150


def as_svg(impact: Impact, language: Language) -> str:
    """A bar chart of what the fund pays by layer, level and group: the old policy above the new one."""
    say = _Say(language)
    rows = [(f"{say(name)}: {value or say('none')}", cost) for name in ("layer", *DIMENSIONS[:2])
            for value, cost in _sorted(impact, name)]  # fmt: skip
    most = max([1, *(max(cost.old_fund_fen, cost.new_fund_fen) for _, cost in rows)])
    height = _ROW * (len(rows) + 1)
    body = [line for place, (name, cost) in enumerate(rows) for line in _bars(place + 1, name, cost, most, impact)]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDE + _RIGHT}" height="{height}" '
            f'font-family="sans-serif" font-size="11" role="img">',
            f'<text x="0" y="16" font-weight="bold">{escape(_legend(say, impact))}</text>',
            *body,
            "</svg>",
        )
    )


def _legend(say: _Say, impact: Impact) -> str:
    if not impact.compared:
        return say("fund")
    return f"{say('old_fund')} (▬ #b9c7cd) / {say('new_fund')} (▬ #2b6777)"


def _bars(place: int, name: str, cost: Cost, most: int, impact: Impact) -> list[str]:
    top = place * _ROW
    made = [f'<text x="0" y="{top + 14}">{escape(name)}</text>']
    amounts = [("#2b6777", cost.new_fund_fen)]
    if impact.compared:
        amounts.insert(0, ("#b9c7cd", cost.old_fund_fen))
    for number, (colour, fund_fen) in enumerate(amounts):
        y, wide = top + 2 + 12 * number, _WIDE * max(0, fund_fen) / most
        made.append(f'<rect x="{_LEFT}" y="{y}" width="{wide:.1f}" height="10" fill="{colour}"/>')
        made.append(f'<text x="{_LEFT + wide + 4:.1f}" y="{y + 9}">{_grouped(fund_fen)}</text>')
    return made


class _Say:
    def __init__(self, language: Language) -> None:
        self._place = 0 if language == "zh" else 1

    def __call__(self, word: str) -> str:
        return _WORDS[word][self._place]


def _of(impact: Impact, dimension: str, say: _Say) -> list[tuple[str, Cost]]:
    return [(value or say("none"), cost) for value, cost in _sorted(impact, dimension)]


def _sorted(impact: Impact, dimension: str) -> list[tuple[str, Cost]]:
    return sorted((value, cost) for (name, value), cost in impact.by.items() if name == dimension)


def _costs(say: _Say, name: str, rows: list[tuple[str, Cost]], compared: bool) -> Sheet:
    of_layers = name == "layer"
    if compared:
        wanted = ["bills", "total", "old_fund", "new_fund", "change_fund"]
        wanted += [] if of_layers else ["old_person", "new_person", "change_person"]
    else:
        wanted = ["bills", "total", "fund"] + ([] if of_layers else ["person_burden"])
    columns = ("", *(say(word) for word in wanted))
    title = f"{say(name)} ({say('of_layer')})" if of_layers else say(name)
    return Sheet(title, columns, tuple((value, *(_figure(cost, word) for word in wanted)) for value, cost in rows))


def _figure(cost: Cost, word: str) -> str:
    if word == "bills":
        return f"{cost.bills:,}"
    amounts = {
        "total": cost.total_fen,
        "fund": cost.new_fund_fen,
        "old_fund": cost.old_fund_fen,
        "new_fund": cost.new_fund_fen,
        "change_fund": cost.new_fund_fen - cost.old_fund_fen,
        "person_burden": cost.new_person_fen,
        "old_person": cost.old_person_fen,
        "new_person": cost.new_person_fen,
        "change_person": cost.new_person_fen - cost.old_person_fen,
    }
    return _grouped(amounts[word], signed=word.startswith("change"))


def _grouped(amount_fen: int, *, signed: bool = False) -> str:
    """An amount for tables, thousands apart."""
    whole, fen = divmod(abs(amount_fen), 100)
    plus = "+" if signed and amount_fen > 0 else ""
    return f"{'-' if amount_fen < 0 else plus}{whole:,}.{fen:02d}"


def _changes(say: _Say, title: str, changes: list[Change]) -> Sheet:
    columns = tuple(say(word) for word in ("person", "group", "bills", "old_person", "new_person", "change_person"))
    rows = tuple(
        (
            change.person,
            change.group,
            str(change.bills),
            _grouped(change.old_person_fen),
            _grouped(change.new_person_fen),
            _grouped(change.change_fen, signed=True),
        )
        for change in changes
    )
    return Sheet(say(title), columns, rows)


_SHOWN_PROBLEMS: Final = 50


def _problems(say: _Say, impact: Impact) -> Sheet:
    rows = [
        (str(problem.line), f"{problem.code}: {problem.zh if say('line') == '行' else problem.en}")
        for problem in impact.problems[:_SHOWN_PROBLEMS]
    ]
    title = f"{say('problems')}: {impact.problem_count:,}"
    return Sheet(title, (say("line"), say("what")), tuple(rows))


def _cost_json(cost: Cost, compared: bool) -> dict[str, Any]:
    if not compared:
        return {
            "bills": cost.bills,
            "total": yuan(cost.total_fen),
            "fund": yuan(cost.new_fund_fen),
            "person": yuan(cost.new_person_fen),
        }
    return {
        "bills": cost.bills,
        "total": yuan(cost.total_fen),
        "old_fund": yuan(cost.old_fund_fen),
        "new_fund": yuan(cost.new_fund_fen),
        "change_fund": yuan(cost.new_fund_fen - cost.old_fund_fen),
        "old_person": yuan(cost.old_person_fen),
        "new_person": yuan(cost.new_person_fen),
        "change_person": yuan(cost.new_person_fen - cost.old_person_fen),
    }


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "person": change.person,
        "group": change.group,
        "bills": change.bills,
        "old_person": yuan(change.old_person_fen),
        "new_person": yuan(change.new_person_fen),
        "change": yuan(change.change_fen),
    }
