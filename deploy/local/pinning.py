"""Writes the pinned lists of the Java programs: `python -m deploy.local.pinning`, part of `make lock`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jgo.maven import MavenContext
from jgo.parse import Coordinate

from deploy.local.downloads import LISTS, Jar, sha256_of

PROGRAMS = {
    # The second is the way Kafka's messages take to its log; the broker's own list leaves the choice open.
    "kafka": ("org.apache.kafka:kafka_2.13:4.2.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3"),
    "zipkin": ("io.zipkin:zipkin-server:3.5.1:slim",),
}
"""The Maven coordinates each program starts from."""

_SELF_CONTAINED = {"zipkin"}
"""Programs whose one archive holds all they need."""


def write_lists() -> None:
    """Resolve every program in Maven Central and write its list."""
    with TemporaryDirectory() as repository:
        context = MavenContext(repo_cache=Path(repository))
        for program in PROGRAMS:
            lines = [f"{jar.coordinate} {jar.size_bytes} {jar.sha256}" for jar in _jars(program, context)]
            heading = "# coordinate, size in bytes, SHA-256; written by `make lock`"
            (LISTS / f"{program}.txt").write_text("\n".join([heading, *lines, ""]))
            print(f"{program}: {len(lines)} archives")


def _jars(program: str, context: MavenContext) -> Iterator[Jar]:
    for artifact in _artifacts(program, context):
        file = artifact.resolve()
        parts = (artifact.groupId, artifact.artifactId, artifact.version, artifact.classifier)
        yield Jar(":".join(filter(None, parts)), file.stat().st_size, sha256_of(file))


def _artifacts(program: str, context: MavenContext) -> list[Any]:
    # One root at a time, the earlier one's versions winning: resolved together, each root's own version management
    # would overrule the other's (log4j's would put an older client beside the broker).
    chosen: dict[tuple[str, str], Any] = {}
    for root in PROGRAMS[program]:
        for artifact in _needed_by(root, context, transitive=program not in _SELF_CONTAINED):
            chosen.setdefault((artifact.groupId, artifact.artifactId), artifact)
    return list(chosen.values())


def _needed_by(root: str, context: MavenContext, *, transitive: bool) -> list[Any]:
    dependency = context.create_dependency(_compile_scope(root))
    if not transitive:
        return [dependency.artifact]
    inputs, others = context.resolver.resolve([dependency])
    return [one.artifact for one in (*inputs, *others) if one.scope in ("compile", "runtime")]


def _compile_scope(text: str) -> Coordinate:
    coordinate = Coordinate.parse(text)
    coordinate.scope = "compile"
    return coordinate


if __name__ == "__main__":
    write_lists()
