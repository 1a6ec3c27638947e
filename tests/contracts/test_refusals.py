"""The catalogue of refusals: stable codes, texts in both languages that say the same, none that nobody utters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from shared.refusals import CATALOGUE, RefusalKind, declare
from shared.settings import SERVICES
from tests.contracts.apps import applications

ROOT = Path(__file__).resolve().parents[2]
applications()  # whoever can refuse has declared by now
KINDS = sorted((k for k in CATALOGUE.values() if not k.code.startswith("test.")), key=lambda kind: kind.code)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)


def fields(template: str) -> set[str]:
    """The parameters a text names."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


@every_kind
def test_code_and_status(kind: RefusalKind) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z0-9]+(-[a-z0-9]+)*", kind.code)
    assert kind.status in {400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503}


@every_kind
def test_both_texts_say_the_same(kind: RefusalKind) -> None:
    assert re.search(r"[\u4e00-\u9fff]", kind.zh)
    assert not re.search(r"[\u4e00-\u9fff]", kind.en)
    # A word that has a name in each language comes as two parameters.
    assert {name.removesuffix("_zh") for name in fields(kind.zh)} == {
        name.removesuffix("_en") for name in fields(kind.en)
    }
    assert all(name.isidentifier() for name in fields(kind.zh))


@every_kind
def test_both_texts_can_be_filled(kind: RefusalKind) -> None:
    refusal = kind(**{name: f"<{name}>" for name in fields(kind.zh) | fields(kind.en)})
    for language, template in (("zh", kind.zh), ("en", kind.en)):
        text = refusal.text(language)
        assert "{" not in text
        assert all(f"<{name}>" in text for name in fields(template))


def test_a_code_means_one_thing() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        declare("claims.not-insured", status=422, zh="另一个意思", en="something else")


def declared_in(folder: Path) -> Iterator[tuple[str, str]]:
    """(constant, code) of every refusal declared below a folder."""
    for file in folder.rglob("*.py"):
        yield from re.findall(r"^([A-Z_]+)(?:: Final)? = declare\(\s*\"([^\"]+)\"", file.read_text(), re.MULTILINE)


def test_the_catalogue_is_what_the_code_declares() -> None:
    declared = [code for folder in ("shared", "services") for _, code in declared_in(ROOT / folder)]
    others = [code for code in CATALOGUE if not code.startswith("test.")]  # tests declare some of their own
    assert sorted(declared) == sorted(others)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_declares_codes_of_its_own_name(service: str) -> None:
    codes = [code for _, code in declared_in(ROOT / "services" / service)]
    assert codes
    assert all(code.startswith(f"{service}.") for code in codes)


def unused(folder: Path) -> list[str]:
    """Refusals declared below a folder that nothing in it utters."""
    text = "\n".join(file.read_text() for file in folder.rglob("*.py"))
    # Uttered where it is called, or handed to whoever calls it; only listed in a route's `refusals` is not uttered.
    return [
        name for name, _ in declared_in(folder) if not re.search(rf"\b{name}\((?!\s*\")|\berrors\.{name}\b(?!,)", text)
    ]


@pytest.mark.parametrize("folder", [f"services/{service}" for service in SERVICES])
def test_every_refusal_is_uttered(folder: str) -> None:
    assert unused(ROOT / folder) == []


def test_a_refusal_nobody_utters_is_seen(tmp_path: Path) -> None:
    (tmp_path / "errors.py").write_text('LOST = declare(\n    "x.lost", status=422, zh="x", en="x"\n)\n')
    (tmp_path / "api.py").write_text("refusals=(errors.LOST,)")
    assert unused(tmp_path) == ["LOST"]
    (tmp_path / "rules.py").write_text("return [errors.LOST(pointer='/x')]")
    assert unused(tmp_path) == []
