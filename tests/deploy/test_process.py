"""A supervised process: seen to be ready, named when it dies, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local.errors import PartFailed, ToolFailed
from deploy.local.process import Process, Program, end_leftover, resident_bytes, run_tool
from deploy.local.surroundings import ROOT
from tests.deploy.waiting import is_gone, wait_for

MakeProcess = Callable[..., Process]

WAITS = "import time; print('up', flush=True); time.sleep(600)"
WAITS_FOR_ITS_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {WAITS!r}])
print("child", child.pid, flush=True)
child.wait()
"""
WILL_NOT_STOP = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS


@pytest.fixture
def make_process(tmp_path: Path) -> Iterator[MakeProcess]:
    """Make a process that runs Python code, is ready when its log says `up`, and is gone after the test."""
    made: list[Process] = []

    def make(code: str, name: str = "part", **changes: object) -> Process:
        log = tmp_path / "logs" / f"{name}.log"
        settings: dict[str, object] = {
            "name": name,
            "argv": (sys.executable, "-c", code),
            "is_ready": lambda: log.exists() and "up" in log.read_text(),
            "environment": dict(os.environ),
            "folder": tmp_path,
            "stop_timeout_s": 0.5,
            **changes,
        }
        made.append(Process(Program(**settings), log=log, pid_file=tmp_path / "run" / f"{name}.pid"))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for process in made:
        process.kill()


def started(process: Process) -> int:
    """Start a process, wait until it is ready, and return its pid."""
    process.start()
    wait_for(process.is_ready)
    assert process.pid is not None
    return process.pid


def test_a_part_that_dies_is_named_with_the_last_lines_of_its_log(make_process: MakeProcess) -> None:
    process = make_process(
        "print('first', *range(10_000)); [print('line', n) for n in range(40)]; raise SystemExit('disk is full')",
        name="claims",
    )
    process.start()
    wait_for(lambda: process.exit_code is not None)
    with pytest.raises(PartFailed) as failure:
        process.is_ready()
    said = str(failure.value)
    assert said.startswith("claims ended with exit code 1.")
    assert said.endswith("disk is full")
    assert "line 39" in said
    assert "line 2\n" not in said


def test_a_part_ended_by_a_signal_says_which(make_process: MakeProcess) -> None:
    process = make_process(WAITS)
    os.kill(started(process), signal.SIGKILL)
    wait_for(lambda: process.exit_code is not None)
    with pytest.raises(PartFailed, match="ended with signal SIGKILL"):
        process.check()


def test_a_part_that_never_gets_ready_is_named(make_process: MakeProcess) -> None:
    process = make_process("import time; print('still busy', flush=True); time.sleep(600)", ready_timeout_s=0.3)
    process.start()
    with pytest.raises(PartFailed, match=r"was not ready after 0 s[\s\S]*still busy"):
        wait_for(process.is_ready)


def test_stop_lets_it_end_by_itself(make_process: MakeProcess) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('saved')))\n" + WAITS
    process = make_process(code)
    pid = started(process)
    process.stop()
    assert is_gone(pid)
    assert process.last_lines()[-1] == "saved"
    process.check()  # what was stopped on purpose has not failed


def test_stop_insists_when_it_will_not_end(make_process: MakeProcess) -> None:
    process = make_process(WILL_NOT_STOP)
    pid = started(process)
    before = time.monotonic()
    process.stop()
    assert is_gone(pid)
    assert 0.5 <= time.monotonic() - before < 3


@pytest.mark.parametrize("end", [Process.stop, Process.kill])
def test_children_end_with_it(make_process: MakeProcess, end: Callable[[Process], None]) -> None:
    process = make_process(WAITS_FOR_ITS_CHILD)
    started(process)
    child = int(process.last_lines()[0].split()[1])
    end(process)
    wait_for(lambda: is_gone(child))


def test_it_can_start_again_after_a_kill_and_keeps_its_log(make_process: MakeProcess) -> None:
    process = make_process(WAITS)
    first = started(process)
    process.kill()
    assert process.pid is None
    assert started(process) != first
    wait_for(lambda: process.last_lines() == ["up", "up"])


def test_it_does_not_start_twice(make_process: MakeProcess) -> None:
    process = make_process(WAITS)
    started(process)
    with pytest.raises(RuntimeError, match="runs already"):
        process.start()


def test_a_ctrl_c_in_the_terminal_does_not_reach_it(make_process: MakeProcess) -> None:
    pid = started(make_process(WAITS))
    assert os.getpgid(pid) != os.getpgid(0)
    assert os.getsid(pid) != os.getsid(0)


def test_memory_counts_the_children(make_process: MakeProcess) -> None:
    alone, with_child = make_process(WAITS, name="alone"), make_process(WAITS_FOR_ITS_CHILD, name="two")
    alone_bytes, both_bytes = resident_bytes(started(alone)), resident_bytes(started(with_child))
    assert both_bytes > 1.3 * alone_bytes > 0


SUPERVISOR = """
import sys, time
from pathlib import Path
from deploy.local.process import Process, Program
folder = Path(sys.argv[1])
program = Program(name="part", argv=(sys.executable, "-c", sys.argv[2]), is_ready=lambda: True, folder=folder)
process = Process(program, log=folder / "part.log", pid_file=folder / "part.pid")
process.start()
print(process.pid, flush=True)
time.sleep(600)
"""


def start_supervisor(folder: Path, code: str) -> tuple[subprocess.Popen[str], int]:
    """A supervisor in a process of its own, and the pid of what it supervises."""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(folder), code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    return supervisor, int(supervisor.stdout.readline())


def test_a_killed_supervisor_takes_even_stubborn_children_with_it(tmp_path: Path) -> None:
    supervisor, pid = start_supervisor(tmp_path, WILL_NOT_STOP)
    with supervisor:
        wait_for((tmp_path / "part.log").read_text)
        supervisor.kill()
    wait_for(lambda: is_gone(pid))


def test_the_next_start_ends_what_an_earlier_one_left(make_process: MakeProcess) -> None:
    process = make_process(WAITS)
    pid = started(process)
    pid_file = process.log.parents[1] / "run" / "part.pid"
    assert end_leftover(pid_file)
    assert is_gone(pid)
    assert not pid_file.exists()


def test_a_pid_that_now_belongs_to_somebody_else_is_left_alone(make_process: MakeProcess) -> None:
    process = make_process(WAITS)
    pid = started(process)
    pid_file = process.log.parents[1] / "run" / "part.pid"
    created = psutil.Process(pid).create_time()
    pid_file.write_text(pid_file.read_text().replace(str(created), str(created - 60)))
    assert not end_leftover(pid_file)
    assert not is_gone(pid)


def test_a_tool_that_fails_says_why(tmp_path: Path) -> None:
    call = [sys.executable, "-c", "import sys; print('half done'); sys.exit('no space left')"]
    with pytest.raises(ToolFailed, match=r"exit code 1:\nhalf done\nno space left"):
        run_tool(call, environment={}, folder=tmp_path)


def test_a_tool_gets_its_input_and_gives_its_output(tmp_path: Path) -> None:
    call = [sys.executable, "-c", "print(input().upper())"]
    assert run_tool(call, environment={}, folder=tmp_path, text_in="done\n") == "DONE"
