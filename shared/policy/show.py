"""A policy as people read it: every rule in a table, with whom it touches and the clause it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import groupby
from typing import Final

from shared.policy import markup
from shared.policy.document import Clause, PackDocument
from shared.policy.outline import Entry, outline
from shared.policy.words import Cell, Language, text_of

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "rule": ("规则", "rule"),
    "whom": ("适用", "for whom"),
    "says": ("内容", "what it says"),
    "clause": ("依据", "clause"),
    "pack": ("政策包", "pack"),
    "version": ("版本", "version"),
    "area": ("统筹区", "pooling area"),
    "valid": ("有效期", "valid"),
    "decided_by": ("适用版本按", "version chosen by"),
    "year_begins": ("待遇年度起始", "benefit year begins"),
    "rounding": ("取整", "rounding"),
    "author": ("编写", "author"),
    "reviewer": ("复核", "reviewer"),
    "examples": ("自带算例", "worked examples"),
    "clauses": ("条款", "clauses"),
    "document": ("文件", "document"),
    "article": ("条", "article"),
    "words": ("原文", "words"),
    "source": ("来源", "source"),
    "assumptions": ("文件未明、本包假定", "assumptions where the documents are silent"),
    "illustrative": ("示例：数字非主管部门公布", "illustrative: its figures are not an authority's word"),
    "discharge": ("出院日", "day of discharge"),
    "admission": ("入院日", "day of admission"),
    "service": ("服务日", "day of service"),
    "half_up": ("四舍五入到分", "half-up to the fen"),
    "down": ("舍去至分", "down to the fen"),
    "open": ("长期", "open"),
    "none": ("无", "none"),
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table with a title."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sheets(document: PackDocument, language: Language) -> list[Sheet]:
    """The policy as tables."""
    made = [_about(document, language)]
    for section, entries in groupby(outline(document, language), key=lambda entry: entry.section):
        made.append(_section(section, list(entries), language))
    made.append(_clauses(document, language))
    if document.assumptions:
        rows = tuple((assumption.id, text_of(assumption.says, language)) for assumption in document.assumptions)
        made.append(Sheet(_word("assumptions", language), ("", ""), rows))
    return made


def as_text(document: PackDocument, language: Language, *, width: int = 120) -> str:
    """The tables as text. Colours are left out: it is for terminals, pipes and mails alike."""
    return text_sheets(text_of(document.title, language), sheets(document, language), width=width)


def as_html(document: PackDocument, language: Language) -> str:
    """The tables as a page that stands alone."""
    title = text_of(document.title, language)
    return markup.page(title, language, html_sheets(sheets(document, language)))


def text_sheets(title: str, tables: Sequence[Sheet], *, width: int = 120) -> str:
    """Tables as text below a title."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    file = StringIO()
    console = Console(file=file, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(Text(title), style="bold")
    for sheet in tables:
        table = Table(title=Text(sheet.title), title_justify="left", box=box.ROUNDED, expand=True, show_lines=True)
        table.show_header = any(sheet.columns)
        for column in sheet.columns:
            table.add_column(Text(column), overflow="fold")
        for row in sheet.rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print()
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def html_sheets(tables: Sequence[Sheet]) -> Iterator[str]:
    """Tables as HTML."""
    for sheet in tables:
        yield markup.heading(sheet.title)
        yield markup.table(sheet.columns, sheet.rows)


def clause_text(clause: Clause | None, clause_id: str) -> str:
    """Document and article of a clause, or its id when the pack has none of that name."""
    if clause is None:
        return clause_id
    return f"{clause.document} {clause.article}" if clause.article else clause.document


def cell_text(cell: Cell) -> str:
    """A value with whom it is for."""
    return f"{cell.who}: {cell.text}" if cell.who else cell.text


def _about(document: PackDocument, language: Language) -> Sheet:
    valid = document.valid
    until = valid.to.isoformat() if valid.to else _word("open", language)
    rows = [
        ("pack", document.pack),
        ("version", document.version),
        ("area", document.area),
        ("valid", f"{valid.from_.isoformat()} – {until}"),
        ("decided_by", _word(document.decided_by, language)),
        ("year_begins", document.year_begins),
        ("rounding", _word(document.rounding, language)),
        ("author", document.author),
        ("reviewer", document.reviewer or _word("none", language)),
        ("examples", str(len(document.examples))),
    ]
    made = [(_word(name, language), value) for name, value in rows]
    if document.illustrative:
        made.append(("!", _word("illustrative", language)))
    return Sheet(_word("pack", language), ("", ""), tuple(made))


def _section(section: str, entries: Sequence[Entry], language: Language) -> Sheet:
    columns = tuple(_word(name, language) for name in ("rule", "whom", "says", "clause"))
    return Sheet(section, columns, tuple(_row(entry) for entry in entries))


def _row(entry: Entry) -> tuple[str, ...]:
    clauses = dict.fromkeys(clause for clause in (entry.clause, *(cell.clause for cell in entry.cells)) if clause)
    return entry.label, entry.whom, "\n".join(cell_text(cell) for cell in entry.cells), "\n".join(clauses)


def _clauses(document: PackDocument, language: Language) -> Sheet:
    columns = ("", *(_word(name, language) for name in ("document", "article", "words", "source")))
    rows = tuple(
        (clause_id, clause.document, clause.article or "", clause.words, clause.source or "")
        for clause_id, clause in document.clauses.items()
    )
    return Sheet(_word("clauses", language), columns, rows)


def _word(name: str, language: Language) -> str:
    zh, en = _WORDS[name]
    return zh if language == "zh" else en
