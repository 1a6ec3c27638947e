"""One supervised child process: started, probed until ready, stopped by its pid, never left behind.

A child must not outlive its supervisor, whatever kills that. On Linux the kernel sees to it (PR_SET_PDEATHSIG);
everywhere a pid file lets the next start find and end what an earlier one left.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local.errors import PartFailed, ToolFailed

POLL_S = 0.05
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

# The kernel sends the death signal when the *thread* that started the child ends, so one thread that lives as long as
# the process starts them all; callers may come from any short-lived thread.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="process-starter")


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run as one part of the cluster, and how to tell that it is ready."""

    name: str
    argv: tuple[str, ...]
    is_ready: Callable[[], bool]
    """Asked again and again until it says yes; must answer within a second or two and not raise."""
    ready_every_s: float = POLL_S
    """How long to leave it alone after a no."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The whole environment of the child; nothing is inherited."""
    folder: Path
    """Its working directory."""
    user: str | None = None
    """The account it runs under, where that differs from ours."""
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when the supervisor dies without stopping it."""
    stop_timeout_s: float = 10
    ready_timeout_s: float = 120
    """How long it may say no, from when it is first asked."""


class Process:
    """A program that runs, or ran, with its log and its pid file."""

    def __init__(self, program: Program, *, log: Path, pid_file: Path) -> None:
        self.program = program
        self.log = log
        self._pid_file = pid_file
        self._child: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        """Monotonic seconds of the last start."""
        self._first_probe_at: float | None = None
        self._next_probe_at = 0.0

    @property
    def name(self) -> str:
        """The part's name."""
        return self.program.name

    @property
    def pid(self) -> int | None:
        """The pid while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How it ended (negative: the signal), or None while it runs or before its first start."""
        return self._child.poll() if self._child is not None else None

    def start(self) -> None:
        """Start it. Raises RuntimeError when it runs already."""
        if self.pid is not None:
            raise RuntimeError(f"{self.name} runs already")
        self.started_at, self._first_probe_at = time.monotonic(), None
        self._child = _STARTER.submit(self._spawn).result()

    def _spawn(self) -> subprocess.Popen[bytes]:
        supervisor = os.getpid()
        orphan_signal = self.program.orphan_signal
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                self.program.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.program.environment),
                cwd=self.program.folder,
                start_new_session=True,  # a Ctrl-C in the terminal reaches the supervisor only, which stops in order
                user=self.program.user,
                group=self.program.user,
                extra_groups=[] if self.program.user else None,
                preexec_fn=lambda: die_with(supervisor, orphan_signal),
            )
        _write_pid_file(self._pid_file, child.pid, self.program)
        return child

    def check(self) -> None:
        """Raise PartFailed when it has ended."""
        code = self.exit_code
        if code is not None:
            raise PartFailed(self.name, f"ended with {_ending(code)}", self.last_lines())

    def is_ready(self) -> bool:
        """Whether its probe says yes. Raises PartFailed when it ended or took too long."""
        self.check()
        now = time.monotonic()
        if now < self._next_probe_at:
            return False
        self._first_probe_at = self._first_probe_at or now
        self._next_probe_at = now + self.program.ready_every_s
        if self.program.is_ready():
            return True
        if now - self._first_probe_at > self.program.ready_timeout_s:
            raise PartFailed(self.name, f"was not ready after {self.program.ready_timeout_s:.0f} s", self.last_lines())
        return False

    def stop(self) -> None:
        """Ask it to stop, insist after its time is up, and forget it. Does nothing when it does not run."""
        self._end(self.program.stop_signal)

    def kill(self) -> None:
        """End it and all its children at once with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        child, self._child = self._child, None
        if child is not None and child.poll() is None:
            end_tree(psutil.Process(child.pid), how, self.program.stop_timeout_s)
            child.wait()
        self._pid_file.unlink(missing_ok=True)

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of its log."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 200 * count - 4_000))
            return log.read().decode(errors="replace").splitlines()[-count:]


def resident_bytes(pid: int) -> int:
    """Memory of a process and its children; a page shared by several counts once where the system can tell (PSS)."""
    with suppress(psutil.NoSuchProcess):
        return sum(_resident_bytes(process) for process in _tree(psutil.Process(pid)))
    return 0


def run_tool(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    user: str | None = None,
    text_in: str = "",
) -> str:
    """Run a program to its end and return what it printed. Raises ToolFailed."""
    supervisor = os.getpid()
    done = subprocess.run(
        argv,
        input=text_in,
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        preexec_fn=lambda: die_with(supervisor, signal.SIGKILL),
        check=False,
    )
    if done.returncode:
        raise ToolFailed(f"{argv[0]} ended with {_ending(done.returncode)}:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout.strip()


def die_with(supervisor: int, orphan_signal: signal.Signals) -> None:
    """In a child before its program: have the kernel signal it when `supervisor` dies. No effect off Linux."""
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(orphan_signal))
    if os.getppid() != supervisor:  # it died before the line above took effect
        os._exit(1)


def end_leftover(pid_file: Path) -> bool:
    """End the process a pid file names, if it is still that very process. Says whether there was one."""
    try:
        left = json.loads(pid_file.read_text())
        process = psutil.Process(left["pid"])
        found = bool(abs(process.create_time() - left["created"]) < 1)  # else the number was given to somebody else
    except (ValueError, psutil.NoSuchProcess):
        found = False
    if found:
        end_tree(process, signal.Signals(left["stop_signal"]), left["stop_timeout_s"])
    pid_file.unlink()
    return found


def end_tree(process: psutil.Process, how: signal.Signals, timeout_s: float) -> None:
    """Signal a process, wait, then SIGKILL whatever of it or of its children is still there."""
    try:
        tree = _tree(process)
        process.send_signal(how)
    except psutil.NoSuchProcess:
        return
    if how is not signal.SIGKILL:
        _wait_gone([process], timeout_s)
    for survivor in tree:
        with suppress(psutil.NoSuchProcess):
            survivor.kill()
    _wait_gone(tree, timeout_s)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _wait_gone(processes: Sequence[psutil.Process], timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while any(map(_works, processes)) and time.monotonic() < until:
        time.sleep(POLL_S / 5)


def _works(process: psutil.Process) -> bool:
    """Whether it is still at work: one that ended and waits for its parent to notice no longer holds anything."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _write_pid_file(file: Path, pid: int, program: Program) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(psutil.NoSuchProcess):  # it may have ended already; then there is nothing to find later
        about = {
            "pid": pid,
            "created": psutil.Process(pid).create_time(),
            "stop_signal": int(program.stop_signal),
            "stop_timeout_s": program.stop_timeout_s,
        }
        file.write_text(json.dumps(about))


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _resident_bytes(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        info = process.memory_full_info()
        return int(getattr(info, "pss", 0) or info.rss)
    return 0
