"""Makes the virtual environment and installs pinned packages into it, showing how far it is.

Runs under the caller's own Python before anything is installed, so it uses the standard library alone:
`python3 deploy/install.py .venv requirements.txt …`
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

OLDEST = (3, 11)
_LAST_LINES = 25


def main(arguments: list[str]) -> int:
    """Install the given lists into the given environment and return an exit code."""
    folder, *lists = map(Path, arguments)
    if sys.version_info < OLDEST:
        found, oldest = (".".join(map(str, version[:2])) for version in (sys.version_info, OLDEST))
        print(f"Sifang needs Python {oldest} or newer, and this is {found}; try `make PYTHON=python{oldest} …`.")
        return 1
    if not (folder / "bin" / "python").exists():
        print(f"making the virtual environment {folder}")
        venv.create(folder, with_pip=True)
    return _install(folder, lists)


def _install(folder: Path, lists: list[Path]) -> int:
    total = sum(line.count("==") for one in lists for line in one.read_text().splitlines() if line[:1].isalnum())
    call = [str(folder / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "--no-input"]
    call += ["--disable-pip-version-check", "--progress-bar", "off"]
    call += [word for one in lists for word in ("--requirement", str(one))]
    print(f"installing {total} packages of {' and '.join(one.name for one in lists)}", flush=True)
    started, lines = time.monotonic(), []
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        for line in pip.stdout or ():
            lines.append(line.rstrip())
            _show(lines, total)
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if pip.returncode:
        print("\n".join(["pip could not install them:", *lines[-_LAST_LINES:]]))
    else:
        print(f"installed in {time.monotonic() - started:.0f} s")
    return pip.returncode


def _show(lines: list[str], total: int) -> None:
    """Keep one line up to date in a terminal; a pipe gets the first and the last line only."""
    if not sys.stdout.isatty() or not lines[-1].startswith(("Collecting", "Requirement already", "Installing")):
        return
    seen = sum(line.startswith(("Collecting", "Requirement already satisfied")) for line in lines)
    width = os.get_terminal_size().columns - 1
    print(f"\r\033[K  {min(seen, total)}/{total} {lines[-1]}"[:width], end="", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
