"""How files go to a bank and come from it. A deployment brings an adapter for its own; the local one is a folder."""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path
from typing import Protocol

from services.settlement.rules.banking import Fault, MessageFaulty

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.xml")


class FileChanged(Exception):
    """A payment file is there already and holds something else: never to happen, and never to be overwritten."""


class BankAdapter(Protocol):
    """Carries files. Every method blocks, and may be called again after a crash at any moment."""

    def put(self, name: str, content: bytes) -> None:
        """Hand a payment file over, durably, once: the same file under the same name again changes nothing.

        Raises FileChanged when another content is there under the name.
        """

    def retire(self, name: str) -> None:
        """The bank has answered a payment file: it need not lie ready any longer."""

    def waiting(self) -> list[str]:
        """Names of the files that came from the bank and are not dealt with, the oldest name first."""

    def read(self, name: str, max_bytes: int) -> bytes:
        """What a file holds. Raises MessageFaulty when it is too large or none of ours to read, FileNotFoundError."""

    def done(self, name: str) -> None:
        """A file from the bank is dealt with."""

    def refuse(self, name: str, why: str) -> None:
        """A file from the bank cannot be dealt with: set it aside with a word why."""


class FolderBank:
    """The local form of a bank: a folder.

    `outbox/` holds payment files that the bank has not answered: the bank reads them there and leaves them there, so
    that a file which was handed over once is seen to have been. `sent/` holds those it has answered, `inbox/` its
    answers, which go to `done/` or, with a line why, to `rejected/`. Only the owner reads any of it: payment files hold
    account numbers.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        """Written aside, brought to the disk, and linked to its name, which fails when the name is taken."""
        outbox = self._place("outbox")
        for there in (self._place("sent") / name, outbox / name):
            if there.exists():
                _same(there, content)
                return
        partial = outbox / f".{name}.{os.getpid()}"
        _write(partial, content)
        try:
            os.link(partial, outbox / name)
        except FileExistsError:
            _same(outbox / name, content)
        finally:
            partial.unlink()
        _sync(outbox)

    def retire(self, name: str) -> None:
        """Move it from `outbox/` to `sent/`."""
        _move(self._place("outbox") / name, self._place("sent") / name)

    def waiting(self) -> list[str]:
        """What lies in `inbox/`; what begins with a dot is still being written."""
        return sorted(entry.name for entry in os.scandir(self._place("inbox")) if not entry.name.startswith("."))

    def read(self, name: str, max_bytes: int) -> bytes:
        """Only plain files, and no further than allowed, whatever the folder says of their size."""
        if not _NAME.fullmatch(name):
            raise MessageFaulty(Fault.NAME)
        try:
            descriptor = os.open(self._place("inbox") / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise
        except OSError:
            raise MessageFaulty(Fault.NAME, "it is no plain file") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise MessageFaulty(Fault.NAME, "it is no plain file")
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise MessageFaulty(Fault.TOO_LARGE, f"more than {max_bytes} bytes")
        return content

    def done(self, name: str) -> None:
        """Move it to `done/`."""
        _move(self._place("inbox") / name, self._place("done") / name)

    def refuse(self, name: str, why: str) -> None:
        """Move it to `rejected/`, with `<name>.why` beside it."""
        rejected = self._place("rejected")
        _write(rejected / f"{name}.why", f"{why}\n".encode())
        _move(self._place("inbox") / name, rejected / name)

    def _place(self, name: str) -> Path:
        place = self._folder / name
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        return place


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(descriptor)


def _same(there: Path, content: bytes) -> None:
    if there.read_bytes() != content:
        raise FileChanged(f"{there.name} was handed over with another content")


def _move(file: Path, to: Path) -> None:
    """Moved already is as well."""
    try:
        file.replace(to)
    except FileNotFoundError:
        log.info("file of the bank is gone already", extra={"fields": {"file": file.name}})
    _sync(to.parent)


def _sync(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
