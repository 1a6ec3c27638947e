"""The Java programs of the embedded cluster: fetched once, checked by hash at every start.

`jars/<program>.txt` pins every file by size and SHA-256; `pinning.py` writes these lists, `transfer.py` fetches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import lock
from deploy.local.screen import Screen

LISTS = Path(__file__).with_name("jars")
"""Where the pinned lists are."""


@dataclass(frozen=True)
class Jar:
    """One pinned file of a Maven repository."""

    coordinate: str
    """group:artifact:version, and :classifier where there is one."""
    size_bytes: int
    sha256: str

    @property
    def path(self) -> Path:
        """Where it lies in a repository, and in the cache."""
        group, artifact, *rest = self.coordinate.split(":")
        return Path(*group.split("."), artifact, rest[0], f"{'-'.join([artifact, *rest])}.jar")

    def is_in(self, file: Path) -> bool:
        """Whether a file has exactly the pinned content."""
        return file.is_file() and file.stat().st_size == self.size_bytes and sha256_of(file) == self.sha256


def pinned(program: str) -> list[Jar]:
    """The files of a program, in the order of its class path."""
    lines = (LISTS / f"{program}.txt").read_text().splitlines()
    fields = (line.split() for line in lines if line and not line.startswith("#"))
    return [Jar(coordinate, int(size), sha256) for coordinate, size, sha256 in fields]


def fetch(
    jars: Sequence[Jar], cache: Path, screen: Screen, repositories: Sequence[str] | None = None
) -> dict[Jar, Path]:
    """The files of `jars` in the cache, downloading those missing or damaged. Raises DownloadFailed.

    `repositories` are addresses tried in turn; by default those that jgo is configured with.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with lock.held_in_turn(cache / "lock", lambda: screen.note("another start is downloading; waiting for it")):
        missing = [jar for jar in jars if not jar.is_in(cache / jar.path)]
        if missing:
            from deploy.local import transfer  # what it needs takes half a second to load, and a warm start never does

            transfer.download(missing, cache, screen, repositories)
    return {jar: cache / jar.path for jar in jars}


def sha256_of(file: Path) -> str:
    """The hash of a file's content, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
