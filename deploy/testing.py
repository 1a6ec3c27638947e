"""`python -m deploy.testing [pytest's arguments]`: all tests, in two processes side by side, one for each core.

Each has a cluster of its own. With arguments pytest is run with just these.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

BESIDE = ("tests/policy", "tests/demo", "tests/services/settlement", "tests/simulation")
"""About half of the work: what computes, plays and looks at the books, with hardly a time limit."""
NICENESS = 5
"""The others kill processes and wait for what follows."""


def main(arguments: Sequence[str]) -> int:
    """Run the tests; pytest's exit code, the first that is not 0."""
    if arguments:
        return subprocess.run(_pytest(*arguments), check=False).returncode
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        # Its id is ours to stop should this process be stopped: it never outlives us.
        beside = subprocess.Popen(
            _pytest(*BESIDE), stdout=said, stderr=subprocess.STDOUT, preexec_fn=lambda: os.nice(NICENESS)
        )
        try:
            others = [f"--ignore={folder}" for folder in BESIDE]
            code = subprocess.run(_pytest("tests", *others), check=False).returncode
            print("waiting for the others", flush=True)
            beside_code = beside.wait()
        finally:
            if beside.poll() is None:
                beside.terminate()  # it has a cluster to stop
                beside.wait()
        said.seek(0)
        print(said.read(), flush=True)
    return code or beside_code


def _pytest(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", *arguments]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that `finally` is reached
    sys.exit(main(sys.argv[1:]))
