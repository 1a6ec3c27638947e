"""Who may import whom: the contracts of `pyproject.toml` hold, and each is seen to fail when it is broken.

Every case plants one forbidden import in a copy of the code and expects the contract to say so.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("services", "shared", "deploy")

PLANTS = {
    "services-apart": ("services/claims/use_cases/parts.py", "import services.designation.rules"),
    "shared-below": ("shared/plumbing.py", "from services.claims import rules"),
    "deploy-aside": ("services/designation/config.py", "import deploy"),
    "service-layers": ("services/claims/rules/visits.py", "import services.claims.tables"),
    "schemas-at-the-edge": ("services/designation/handlers.py", "import services.designation.schemas"),
    "kernel-layers": ("shared/money.py", "import shared.settings"),
    "pure": ("services/claims/rules/benefit.py", "import asyncio"),
    "broker-in-one-place": ("services/claims/handlers.py", "from aiokafka import AIOKafkaProducer"),
    "tables-in-one-place": ("services/claims/store/visits.py", "from sqlalchemy import text"),
    "no-circles": ("shared/events/base.py", "import shared.events.claims"),
}


def run_contracts(root: Path) -> str:
    """What import-linter says about the code below `root`."""
    program = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    environment = {**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [*program, "--no-cache", "--config", "pyproject.toml"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def broken(said: str) -> list[str]:
    """The names of the contracts that do not hold."""
    return re.findall(r"^(.+?) BROKEN", said, re.MULTILINE)


def names() -> dict[str, str]:
    """Name by id of every contract configured."""
    text = (ROOT / "pyproject.toml").read_text()
    return dict(re.findall(r'^id = "(.+)"\nname = "(.+)"$', text, re.MULTILINE))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code in a folder of its own, without what is not Python."""
    root = tmp_path_factory.mktemp("code")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__", "*.csv", "*.txt"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_all_contracts_hold(copy: Path) -> None:
    said = run_contracts(copy)
    assert f"Contracts: {len(PLANTS)} kept, 0 broken." in said, said


def test_every_contract_has_its_plant() -> None:
    assert set(names()) == set(PLANTS)


@pytest.fixture
def planted(copy: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The copy with one forbidden import more."""
    file, line = PLANTS[request.param]
    path = copy / file
    before = path.read_text()
    path.write_text(
        before.replace("from __future__ import annotations\n", f"from __future__ import annotations\n{line}\n")
    )
    assert path.read_text() != before
    yield copy
    path.write_text(before)


@pytest.mark.parametrize(("planted", "contract"), [(p, p) for p in PLANTS], indirect=["planted"], ids=list(PLANTS))
def test_a_planted_import_breaks_its_contract(planted: Path, contract: str) -> None:
    said = run_contracts(planted)
    assert names()[contract] in broken(said), said


@pytest.mark.parametrize("file", ["services/claims/helpers.py", "shared/helpers.py"])
def test_a_file_without_a_place_is_refused(copy: Path, file: str) -> None:
    """The layers are exhaustive: a new kind of file must be put on a storey first."""
    path = copy / file
    path.write_text("")
    try:
        assert broken(run_contracts(copy))
    finally:
        path.unlink()


# import-linter does not look inside outside packages, so what is inside opentelemetry is read from the code itself.

SDK = ("opentelemetry.sdk", "opentelemetry.exporter")


def sdk_importers(root: Path) -> set[str]:
    """The files that import the OpenTelemetry SDK or an exporter."""
    return {
        str(path.relative_to(root))
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        if any(module.startswith(SDK) for module in imported(path.read_text()))
    }


def imported(text: str) -> Iterator[str]:
    """The modules a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_telemetry_sdk_is_known_in_one_place(copy: Path) -> None:
    assert sdk_importers(copy) == {"shared/telemetry.py"}


@pytest.mark.parametrize("line", ["from opentelemetry import sdk", "import opentelemetry.sdk.trace"])
def test_a_planted_import_of_the_sdk_is_seen(copy: Path, line: str) -> None:
    path = copy / "services/claims/api_planted.py"
    path.write_text(f"def late() -> None:\n    {line}\n")
    try:
        assert "services/claims/api_planted.py" in sdk_importers(copy)
    finally:
        path.unlink()
