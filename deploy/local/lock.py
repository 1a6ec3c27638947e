"""Locks between processes that the kernel frees when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Held(Exception):
    """Another process holds the lock; `pid` is what it wrote there (0: it had not yet)."""

    def __init__(self, file: Path, pid: int) -> None:
        super().__init__(f"{file} is held by process {pid}")
        self.pid = pid


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold a lock while the block runs. Raises Held when another process has it."""
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Held(file, _pid_in(file)) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def held_in_turn(file: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock while the block runs, waiting for whoever has it; `on_wait` is called before a wait."""
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_held(file: Path) -> bool:
    """Whether some process, this one included, holds the lock now."""
    if not file.exists():
        return False
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _pid_in(file: Path) -> int:
    text = file.read_text().strip()
    return int(text) if text.isdecimal() else 0
