"""Waiting for what happens in other processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import psutil


def wait_for(condition: Callable[[], object], timeout_s: float = 10) -> None:
    """Wait until something holds, and fail when it never does."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has noticed yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def assert_gone(pids: Iterable[int]) -> None:
    """Fail when one of them keeps running."""
    pids = list(pids)
    wait_for(lambda: all(map(is_gone, pids)), 15)
