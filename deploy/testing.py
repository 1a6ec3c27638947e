"""`python -m deploy.testing [pytest's arguments]`: all tests, the policy engine's in a process of their own.

Those need neither database nor broker and keep one core busy for minutes, while the others mostly wait for theirs.
With arguments pytest is run with just these.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

PURE = "tests/policy"
NICENESS = 5
"""The others have time limits; these have none."""


def main(arguments: Sequence[str]) -> int:
    """Run the tests; pytest's exit code, the first that is not 0."""
    if arguments:
        return subprocess.run(_pytest(*arguments), check=False).returncode
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        # Its id is ours to stop should this process be stopped: it never outlives us.
        pure = subprocess.Popen(
            _pytest(PURE), stdout=said, stderr=subprocess.STDOUT, preexec_fn=lambda: os.nice(NICENESS)
        )
        try:
            code = subprocess.run(_pytest("tests", f"--ignore={PURE}"), check=False).returncode
            print(f"waiting for {PURE}", flush=True)
            pure_code = pure.wait()
        finally:
            if pure.poll() is None:
                pure.kill()
                pure.wait()
        said.seek(0)
        print(said.read(), flush=True)
    return code or pure_code


def _pytest(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", *arguments]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that `finally` is reached
    sys.exit(main(sys.argv[1:]))
