"""What the environment says: folders, parts that run elsewhere, the exporter that fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.surroundings import KAFKA, POSTGRES, ROOT, ZIPKIN, Folders, exporter, own_only, runs_elsewhere


def test_folders_are_in_the_project_unless_they_are_moved(tmp_path: Path) -> None:
    assert Folders.of({}) == Folders(ROOT / ".local/data", ROOT / ".local/secrets", ROOT / ".local/cache")
    moved = Folders.of({"SIFANG_DATA_DIR": str(tmp_path / "d"), "SIFANG_CACHE_DIR": str(tmp_path / "c")})
    assert moved == Folders(tmp_path / "d", ROOT / ".local/secrets", tmp_path / "c")


@pytest.mark.parametrize(
    ("variable", "part"),
    [
        ("SIFANG_DATABASE_URL", POSTGRES),
        ("SIFANG_KAFKA_BOOTSTRAP", KAFKA),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ZIPKIN),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ZIPKIN),
        ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", ZIPKIN),
        ("OTEL_TRACES_EXPORTER", ZIPKIN),
        ("OTEL_SDK_DISABLED", ZIPKIN),
    ],
)
def test_a_part_given_from_outside_runs_elsewhere(variable: str, part: str) -> None:
    elsewhere = {one for one in (POSTGRES, KAFKA, ZIPKIN) if runs_elsewhere(one, {variable: "given"})}
    assert elsewhere == {part}
    assert not runs_elsewhere(part, {variable: ""})


@pytest.mark.parametrize(
    ("surroundings", "name"),
    [
        ({}, "none"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector"}, "otlp"),
        ({"OTEL_EXPORTER_ZIPKIN_ENDPOINT": "http://zipkin"}, "zipkin_json"),
    ],
)
def test_the_exporter_fits_the_receiver(surroundings: dict[str, str], name: str) -> None:
    assert exporter(surroundings) == {"OTEL_TRACES_EXPORTER": name}


def test_a_chosen_exporter_stays() -> None:
    assert exporter({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}) == {}


def test_tests_are_not_led_to_a_real_database() -> None:
    outside = {"SIFANG_DATABASE_URL": "x", "OTEL_TRACES_EXPORTER": "otlp", "PATH": "p", "SIFANG_CACHE_DIR": "c"}
    assert own_only(outside) == {"PATH": "p", "SIFANG_CACHE_DIR": "c"}
