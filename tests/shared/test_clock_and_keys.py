"""The clock of a training cluster, and the keys of a deployment."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared import keys
from shared.clock import ShiftedClock, make_clock, system_clock
from shared.keys import DATA_KEYS, DATABASE_SEED, JWKS, LEDGER_KEY, SIGNING_KEY, database_password, ledger_key
from shared.service import base_of
from shared.settings import Settings

NOON = datetime(2026, 10, 12, 12, tzinfo=UTC)


def test_a_clock_is_shifted_by_its_file(tmp_path: Path) -> None:
    file, base = tmp_path / "clock", [NOON]
    clock = ShiftedClock(file, lambda: base[0])
    assert clock() == NOON, "no file is no shift"
    file.write_text("86400")
    assert clock() == NOON, "read once a second"
    base[0] += timedelta(seconds=1)
    assert clock() == NOON + timedelta(days=1, seconds=1)
    file.write_text("")
    base[0] += timedelta(seconds=2)
    assert clock() == base[0]


def test_a_shift_that_is_no_number_is_loud(tmp_path: Path) -> None:
    (tmp_path / "clock").write_text("tomorrow")
    with pytest.raises(ValueError, match="tomorrow"):
        ShiftedClock(tmp_path / "clock")()


def test_without_a_file_the_machines_clock_counts() -> None:
    assert make_clock(None) is system_clock
    assert system_clock().tzinfo is UTC


def test_production_has_no_shifted_clock(tmp_path: Path) -> None:
    settings = Settings(environment="production", clock_file=tmp_path / "clock", secrets_dir=tmp_path)
    with pytest.raises(ValueError, match="not for production"):
        base_of(settings, "claims")


def test_keys_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    keys.init(folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert set(before) == {SIGNING_KEY, JWKS, DATABASE_SEED, DATA_KEYS, LEDGER_KEY}
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keys.init(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_many_starting_at_once_agree_on_one_set(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: keys.init(tmp_path), range(16)))
    (jwk,) = json.loads((tmp_path / JWKS).read_text())["keys"]
    assert jwk == keys._public_jwk(tmp_path), "the published key is the half of the key that signs"
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_every_service_has_a_password_of_its_own(tmp_path: Path) -> None:
    keys.init(tmp_path)
    settings = Settings(secrets_dir=tmp_path)
    passwords = {service: database_password(settings, service) for service in ("claims", "settlement", "enrollment")}
    assert len(set(passwords.values())) == 3
    assert passwords["claims"] == database_password(settings, "claims")
    assert min(map(len, passwords.values())) == 64


def test_the_ledger_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys.init(tmp_path)
    settings = Settings(secrets_dir=tmp_path)
    assert len(ledger_key(settings)) == 32
    assert ledger_key(settings).hex() not in database_password(settings, "settlement")
    keys.init(tmp_path / "other")
    assert ledger_key(Settings(secrets_dir=tmp_path / "other")) != ledger_key(settings)
