"""The whole play, small, on a cluster of its own: what `make demo` does."""

from __future__ import annotations

import os
import subprocess
import sys

from deploy.local.surroundings import ROOT, own_only


def test_the_play_holds_from_the_first_bill_to_the_last_payment() -> None:
    call = [sys.executable, "-m", "deploy.local", "demo", "--", "--seed", "7", "--people", "300", "--bills", "120"]
    played = subprocess.run(
        call, cwd=ROOT, env=own_only(os.environ), capture_output=True, text=True, timeout=220, check=False
    )
    assert played.returncode == 0, played.stdout[-4000:] + played.stderr[-2000:]
    assert ", 0 failed" in played.stdout
    assert "✗" not in played.stdout
