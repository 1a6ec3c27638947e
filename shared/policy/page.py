"""Explanations as pages to print, with the clauses they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.policy import markup
from shared.policy.case import CaseResult
from shared.policy.document import PackDocument
from shared.policy.explain import case_blocks, cited, expected_lines
from shared.policy.sentences import TEXTS, Reader
from shared.policy.show import clause_text
from shared.policy.telling import Block
from shared.policy.words import Language, text_of


def explanation_page(title: str, blocks: Sequence[Block], document: PackDocument, language: Language) -> str:
    """Blocks of `explain` as a page that stands alone."""
    body = [*_about(document, language), *blocks_html(blocks, document), *clauses_html(blocks, document, language)]
    return markup.page(title, language, body)


def cases_page(results: Sequence[CaseResult], document: PackDocument, reader: Reader, language: Language) -> str:
    """Cases as a page. A machine reads no pages: its reader is given the officer's."""
    told: Reader = "officer" if reader == "machine" else reader
    body = list(_about(document, language))
    for result in results:
        body += _case(result, document, told, language)
    title = TEXTS["title"][0 if language == "zh" else 1]
    return markup.page(title, language, body)


def _case(result: CaseResult, document: PackDocument, reader: Reader, language: Language) -> Iterator[str]:
    title = "" if result.case.title is None else f" {text_of(result.case.title, language)}"
    yield markup.heading(f"{result.case.id}{title}")
    for heading, blocks in case_blocks(result, document, reader, language):
        yield markup.heading(heading, 3)
        yield from blocks_html(blocks, document, reader)
        yield from clauses_html(blocks, document, language)
    lines = [f"{what}: {text}" for what, text in expected_lines(result, language)]
    if lines:
        yield markup.listed(lines)


def blocks_html(blocks: Sequence[Block], document: PackDocument, reader: Reader = "officer") -> Iterator[str]:
    """Blocks as HTML; the officer reads the clause of each sentence beside it."""
    for block in blocks:
        if block.title:
            yield markup.heading(block.title, 3)
        if reader == "patient":
            yield markup.listed(told.text for told in block.told)
        else:
            rows = [(told.text, "\n".join(_clause(document, name) for name in told.clauses)) for told in block.told]
            yield markup.table(("", ""), rows)


def clauses_html(blocks: Sequence[Block], document: PackDocument, language: Language) -> Iterator[str]:
    """The clauses that blocks rest on, with their words."""
    names = cited(blocks)
    if not names:
        return
    yield markup.heading(TEXTS["clauses"][0 if language == "zh" else 1], 3)
    for name in names:
        clause = document.clauses.get(name)
        yield markup.paragraph(_clause(document, name))
        if clause is not None:
            yield markup.quotation(clause.words)


def _about(document: PackDocument, language: Language) -> Iterator[str]:
    place = 0 if language == "zh" else 1
    decided = TEXTS["pack"][place].format(pack=document.pack, version=document.version)
    yield markup.paragraph(f"{text_of(document.title, language)}. {decided}", "note")
    if document.illustrative:
        yield markup.paragraph(TEXTS["illustrative"][place], "bad")


def _clause(document: PackDocument, name: str) -> str:
    return clause_text(document.clauses.get(name), name)
