"""The documents name what there is: every event and setting is in them, and what they name exists."""

from __future__ import annotations

import csv
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic_settings import BaseSettings

from deploy.checks import check_text
from services.claims.config import ClaimsSettings
from services.designation.config import DesignationSettings
from services.enrollment.config import EnrollmentSettings
from services.notification.config import NotificationSettings
from services.settlement.config import SettlementSettings
from shared.events import EVENTS, dead_letter_topic, topic_of
from shared.migrations import metadata_of
from shared.refusals import CATALOGUE
from shared.settings import SERVICES, Settings
from shared.telemetry import ATTRIBUTES, METRICS, SPANS
from tests.contracts.apps import applications, operations
from tests.contracts.documents import ROOT, broken_links, code_spans, documents

DOCS = ROOT / "docs"
SETTINGS: tuple[type[BaseSettings], ...] = (
    Settings,
    ClaimsSettings,
    DesignationSettings,
    EnrollmentSettings,
    NotificationSettings,
    SettlementSettings,
)
OF_THE_LOCAL_CLUSTER = frozenset({"SIFANG_DATA_DIR", "SIFANG_CACHE_DIR"})

each_document = pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())


@cache
def read(name: str) -> str:
    """A document by its path below the project."""
    return (ROOT / name).read_text("utf-8")


def variables() -> set[str]:
    """The name of every setting."""
    prefixed = {f"{kind.model_config['env_prefix']}{name.upper()}" for kind in SETTINGS for name in kind.model_fields}
    return prefixed | {f"SIFANG_{s.upper()}_{what}" for s in SERVICES for what in ("PORT", "URL")}


# What must be in the documents


def test_every_event_is_documented() -> None:
    text = read("docs/events.md")
    assert [name for name in EVENTS if f"`{name}`" not in text] == []
    assert [name for name in EVENTS if not (DOCS / "events" / f"{name}.json").exists()] == []


def test_every_event_is_in_the_table_of_the_architecture() -> None:
    """Under the service that announces it."""
    rows = [line for line in read("docs/architecture.md").splitlines() if line.count("|") == 4]
    missing = [
        name
        for name, kind in EVENTS.items()
        if not any(re.search(rf"\b{kind.__name__}\b.*\| {kind.announcer} \|", row) for row in rows)
    ]
    assert missing == []


def test_every_setting_is_documented() -> None:
    text = read("docs/settings.md")
    fields = {f"{kind.model_config['env_prefix']}{name.upper()}" for kind in SETTINGS for name in kind.model_fields}
    assert [variable for variable in sorted(fields) if f"`{variable}`" not in text] == []


def test_every_table_is_a_word_of_the_glossary() -> None:
    terms = set(re.findall(r"[a-z]+", " ".join(row[0] for row in tables(read("docs/glossary.md"))).lower()))
    words = {word for service in SERVICES for table in metadata_of(service).tables for word in named(table)}
    assert sorted(word for word in words if word not in terms) == []


def named(table: str) -> list[str]:
    """The words of a table's name, without its schema."""
    return table.rpartition(".")[2].split("_")


def test_every_target_of_make_is_shown_by_make_help() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [target for target in targets() if f"make {target} " not in shown] == []


def targets() -> list[str]:
    """What can be made."""
    return re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)


# What they name must exist


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    document = tmp_path / "one.md"
    document.write_text(
        "# A title, 中文\n[a](one.md#a-title-中文) [b](#a-title) [c](two.md) [d](https://example.org/)\n"
    )
    assert broken_links(document) == ["one.md: #a-title", "one.md: two.md"]


@each_document
def test_documents_name_no_registry_and_no_machine(document: Path) -> None:
    assert list(check_text(document.name, document.read_text("utf-8"))) == []


@each_document
def test_documents_name_only_what_there_is(document: Path) -> None:
    assert list(unknown_names(document.read_text("utf-8"))) == []


def test_a_name_of_nothing_is_noticed() -> None:
    text = (
        "`make sense` `SIFANG_MOOD` `claims.out-of-luck` `sifang_mood_total` `sifang.claims.Mood.v1` `GET /v1/moods`"
        " `shared/mood.py`"
    )
    spans = re.findall(r"`([^`]+)`", text)
    assert list(unknown_names(text)) == spans
    known = (
        '`make demo` `SIFANG_HOST` `claims.sum-wrong` `sifang_refusals_total{code="…"}` `sifang.claims.v1`'
        " `GET /v1/messages?state=failed` `shared/money.py` `services/*/migrations` `<service>.what-is-wrong`"
    )
    assert list(unknown_names(known)) == []


def unknown_names(text: str) -> Iterator[str]:
    """Code spans of a document that look like a name of ours and are none."""
    checks = (
        _unknown_target,
        _unknown_variable,
        _unknown_code,
        _unknown_metric,
        _unknown_event,
        _unknown_call,
        _no_file,
    )
    for span in code_spans(text):
        if any(check(span) for check in checks):
            yield span


def _unknown_target(span: str) -> bool:
    found = re.match(r"make (?:-s )?([a-z-]+)", span)
    return found is not None and found[1] not in targets()


def _unknown_variable(span: str) -> bool:
    found = re.match(r"(SIFANG_[A-Z_]+)(?!\w|<)", span)
    return found is not None and found[1] not in variables() | OF_THE_LOCAL_CLUSTER


def _unknown_code(span: str) -> bool:
    looks = re.fullmatch(
        rf"(?:{'|'.join((*SERVICES, 'auth', 'request', 'idempotency', 'casework', 'service'))})\.[a-z-]+", span
    )
    return looks is not None and span not in CATALOGUE and span not in SPANS and span.partition(".")[2] not in FILES


FILES = frozenset({"api", "app", "config", "errors", "handlers", "rotate", "rules", "schemas", "store", "tables"})
"""Second halves that make a span a module."""


def _unknown_metric(span: str) -> bool:
    known = {name.replace(".", "_") for name in METRICS}
    return any(
        re.sub(r"(?:_seconds)?(?:_total|_bucket|_count|_sum)?$", "", name) not in known
        for name in re.findall(r"\bsifang_[a-z_]+", span)
        if name not in _OTHER_UNDERSCORED
    )


_OTHER_UNDERSCORED = frozenset({"sifang_reason", "sifang_replays", *(f"sifang_{service}" for service in SERVICES)})
"""Headers of dead letters and database roles, which look like metrics."""


def _unknown_event(span: str) -> bool:
    known = {*EVENTS, *ATTRIBUTES, *METRICS, *SPANS, "sifang.notification.Ping.v1"}
    known |= {f"{topic}" for s in SERVICES for topic in (topic_of(s), dead_letter_topic(s))}
    return re.fullmatch(r"sifang\.[a-zA-Z0-9_.-]+", span) is not None and span not in known


def _unknown_call(span: str) -> bool:
    found = re.match(r"(?:(GET|POST|PUT|DELETE) )?(/v1/[^\s?`]*)", span)
    if found is None or "…" in found[2]:
        return False
    return not any(
        found[1] in (None, one.method) and re.sub(r"\{\w+\}", "{}", one.path) == re.sub(r"\{\w+\}", "{}", found[2])
        for one in operations()
    )


def _no_file(span: str) -> bool:
    found = re.fullmatch(r"(?:services|shared|deploy|tests|docs)/[\w./*-]*", span)
    return found is not None and span not in PLANNED and not any(ROOT.glob(span.rstrip("/")))


PLANNED = frozenset({"services/gateway/"})
"""Named as what comes later, and where it enters."""


# The guide's tables against the interfaces


class Section(NamedTuple):
    """One table of fields: the service, the models it names, and the fields in its first column."""

    title: str
    service: str
    models: list[str]
    fields: list[str]


SERVICE_OF = {
    "7.2": "enrollment",
    "7.3": "claims",
    "7.4": "claims",
    "7.5": "claims",
    "7.6": "claims",
    "7.7": "settlement",
}


def tables(text: str) -> list[list[str]]:
    """The rows of all tables of a document, without their headings."""
    rows = [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if not set("".join(row)) <= set("- ")]


def field_tables() -> list[Section]:
    """The tables of section 7 of the guide that map fields."""
    parts = re.split(r"^### ", read("docs/his-guide.md"), flags=re.MULTILINE)
    sections = []
    for part in parts:
        service = SERVICE_OF.get(part[:3])
        if service is not None:
            names = re.findall(r"`([a-z_]+)`", " ".join(row[0] for row in tables(part.partition("\n## ")[0])))
            sections.append(
                Section(part.partition("\n")[0], service, re.findall(r"`([A-Z]\w+)`", part.partition("\n|")[0]), names)
            )
    return sections


def properties(section: Section) -> set[str]:
    """The fields of the models a section names."""
    schemas = applications()[section.service].openapi()["components"]["schemas"]
    return {name for model in section.models for name in schemas[model]["properties"]}


@pytest.mark.parametrize("section", field_tables(), ids=lambda section: section.title)
def test_the_guide_maps_every_field(section: Section) -> None:
    """Every field of the bodies and answers a section names has its row, and no row is about another."""
    assert sorted(properties(section) - set(section.fields)) == []
    assert sorted(set(section.fields) - properties(section)) == []


def test_the_guide_has_a_table_for_each_section() -> None:
    assert [section.title[:3] for section in field_tables()] == list(SERVICE_OF)


def test_the_guide_names_the_codes_that_hold_everywhere() -> None:
    text = read("docs/his-guide.md").partition("## 8. Code sets")[2]
    shown = {(code, name) for code, name in re.findall(r"(\d{2,3}) ([^\s,|]+)", text)}
    with (ROOT / "shared" / "reference" / "codes.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["region"] == "100000"]
    assert missing_codes(((row["code"], row["name_zh"]) for row in rows), shown) == []


def missing_codes(rows: Iterable[tuple[str, str]], shown: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """National codes a hospital sends that are not shown; finer ones below a shown code are left out."""
    return [(code, name) for code, name in rows if (code, name) not in shown and len(code) < 4]
