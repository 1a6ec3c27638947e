"""Downloads from Maven repositories: several at once, resumed where they broke off, taken only when as pinned."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import httpx
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL

from deploy.local.downloads import Jar
from deploy.local.errors import DownloadFailed
from deploy.local.screen import Advance, Screen

PAUSES_S = (0.0, 0.5, 1.0, 2.0, 4.0)
"""How long to wait before each attempt."""

_AT_ONCE = 4
_CHUNK_BYTES = 1 << 16


def download(jars: Sequence[Jar], cache: Path, screen: Screen, repositories: Sequence[str] | None = None) -> None:
    """Put every jar at its place in the cache, going on where an earlier attempt broke off. Raises DownloadFailed."""
    sources = configured_repositories() if repositories is None else repositories
    total_bytes = sum(jar.size_bytes for jar in jars)
    there_bytes = sum(_size(_partial(cache / jar.path)) for jar in jars)
    title = f"downloading {len(jars)} Java archives, once"
    with screen.download(title, total_bytes, there_bytes) as advance, httpx.Client(follow_redirects=True) as client:
        transfer = _Transfer(client, sources, advance, threading.Event())
        with ThreadPoolExecutor(_AT_ONCE) as workers:
            pending = [workers.submit(transfer.get, jar, cache / jar.path) for jar in jars]
            try:
                for one in as_completed(pending):
                    one.result()
            except BaseException:  # one failed, or Ctrl-C: the others are not to go on for minutes
                transfer.given_up.set()
                workers.shutdown(wait=False, cancel_futures=True)
                raise


def configured_repositories() -> list[str]:
    """The Maven repositories of the user's jgo configuration (a company's mirror, say), then Maven Central."""
    return [*GlobalSettings.load().repositories.values(), MAVEN_CENTRAL_URL]


@dataclass(frozen=True)
class _Transfer:
    """What the downloads of one call share."""

    client: httpx.Client
    sources: Sequence[str]
    advance: Advance
    given_up: threading.Event

    def get(self, jar: Jar, target: Path) -> None:
        """Put one jar at its place. Raises DownloadFailed after some attempts."""
        partial = _partial(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        problem = ""
        for attempt, pause_s in enumerate(PAUSES_S):
            self.given_up.wait(pause_s)
            source = self.sources[attempt % len(self.sources)]
            try:
                self._continue(jar, f"{source}/{jar.path.as_posix()}", partial)
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if jar.is_in(partial):
                partial.replace(target)
                return
            problem = "what came is not what was pinned"
            self.advance(-_size(partial))
            partial.unlink()
        raise DownloadFailed(f"{jar.coordinate}: {problem} ({len(PAUSES_S)} attempts)")

    def _continue(self, jar: Jar, url: str, partial: Path) -> None:
        there_bytes = _size(partial)
        if there_bytes >= jar.size_bytes:
            return
        headers = {"Range": f"bytes={there_bytes}-"} if there_bytes else {}
        with self.client.stream("GET", url, headers=headers) as answer:
            answer.raise_for_status()
            goes_on = answer.status_code == httpx.codes.PARTIAL_CONTENT
            if not goes_on:
                self.advance(-there_bytes)
            with partial.open("ab" if goes_on else "wb") as file:
                for chunk in answer.iter_bytes(_CHUNK_BYTES):
                    if self.given_up.is_set():
                        raise DownloadFailed(f"{jar.coordinate}: given up together with the others")
                    file.write(chunk)
                    self.advance(len(chunk))


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
