"""Downloads: pinned, resumed, verified, and not repeated. The repository is a real HTTP server on loopback."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local import transfer
from deploy.local.downloads import Jar, fetch, pinned
from deploy.local.errors import DownloadFailed
from deploy.local.screen import Screen

CONTENT = bytes(range(256)) * 2_000


@dataclass
class Repository:
    """What a test's repository serves, and what it was asked for."""

    url: str = ""
    content: bytes = CONTENT
    break_off_after: int | None = None
    """Close the connection once, after so many bytes."""
    asked: list[str] = field(default_factory=list)
    """The Range header of each request, empty when it had none."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again without a pause."""
    monkeypatch.setattr(transfer, "PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture
def repository() -> Iterator[Repository]:
    """A repository with one file under every path."""
    served = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            served.asked.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(served.content) - start))
            self.end_headers()
            until, served.break_off_after = served.break_off_after, None
            self.wfile.write(served.content[start:until])

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def jar(content: bytes = CONTENT) -> Jar:
    """The file as it was pinned."""
    return Jar("org.example:thing:1.0:slim", len(content), hashlib.sha256(content).hexdigest())


def test_a_jar_is_put_where_a_repository_would_have_it(repository: Repository, tmp_path: Path, quiet: Screen) -> None:
    files = fetch([jar()], tmp_path, quiet, [repository.url])
    assert files == {jar(): tmp_path / "org/example/thing/1.0/thing-1.0-slim.jar"}
    assert files[jar()].read_bytes() == CONTENT


def test_what_is_there_is_not_asked_for_again(repository: Repository, tmp_path: Path, quiet: Screen) -> None:
    fetch([jar()], tmp_path, quiet, [repository.url])
    fetch([jar()], tmp_path, quiet, [repository.url])
    assert len(repository.asked) == 1


def test_a_broken_download_goes_on_where_it_stopped(repository: Repository, tmp_path: Path, quiet: Screen) -> None:
    repository.break_off_after = 300_000
    files = fetch([jar()], tmp_path, quiet, [repository.url])
    assert files[jar()].read_bytes() == CONTENT
    assert repository.asked[0] == ""
    assert repository.asked[1].startswith("bytes=")
    assert repository.asked[1] != "bytes=0-"


def test_the_next_start_goes_on_too(repository: Repository, tmp_path: Path, quiet: Screen) -> None:
    partial = tmp_path / "org/example/thing/1.0/thing-1.0-slim.jar.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:1_000])
    assert fetch([jar()], tmp_path, quiet, [repository.url])[jar()].read_bytes() == CONTENT
    assert repository.asked == ["bytes=1000-"]
    assert not partial.exists()


def test_a_damaged_file_is_fetched_again(repository: Repository, tmp_path: Path, quiet: Screen) -> None:
    file = fetch([jar()], tmp_path, quiet, [repository.url])[jar()]
    file.write_bytes(CONTENT[:-1] + b"!")
    fetch([jar()], tmp_path, quiet, [repository.url])
    assert file.read_bytes() == CONTENT


def test_what_is_not_as_pinned_is_refused(repository: Repository, tmp_path: Path, quiet: Screen) -> None:
    repository.content = CONTENT[:-1] + b"!"
    with pytest.raises(DownloadFailed, match=r"org\.example:thing:1\.0:slim: what came is not what was pinned"):
        fetch([jar()], tmp_path, quiet, [repository.url])
    assert not list(tmp_path.rglob("*.jar"))


def test_another_repository_helps_when_the_first_is_away(repository: Repository, tmp_path: Path, quiet: Screen) -> None:
    nobody = "http://127.0.0.1:9"
    assert fetch([jar()], tmp_path, quiet, [nobody, repository.url])[jar()].read_bytes() == CONTENT


def test_no_repository_at_all_is_a_clear_failure(tmp_path: Path, quiet: Screen) -> None:
    with pytest.raises(DownloadFailed, match=r"org\.example:thing.*ConnectError"):
        fetch([jar()], tmp_path, quiet, ["http://127.0.0.1:9"])


@pytest.mark.parametrize("program", ["kafka", "zipkin"])
def test_every_pinned_file_has_its_own_hash(program: str) -> None:
    jars = pinned(program)
    assert jars
    assert len({one.path for one in jars}) == len({one.sha256 for one in jars}) == len(jars)
    assert all(len(one.sha256) == 64 and one.size_bytes > 1_000 for one in jars)


def test_the_broker_and_its_client_are_of_one_version() -> None:
    coordinates = [one.coordinate.split(":") for one in pinned("kafka")]
    assert {version for group, _, version in coordinates if group == "org.apache.kafka"} == {"4.2.0"}
