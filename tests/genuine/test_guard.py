"""Nothing outlives its owner: children, grandchildren by name, directories; after kill -9, too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from genuine import GuardedProcesses, PartFailed
from genuine.find import tier_problems

needs_genuine = pytest.mark.skipif(bool(tier_problems("genuine")), reason="; ".join(tier_problems("genuine")))

OWNER = """
import sys, time
from genuine import GuardedProcesses
processes = GuardedProcesses()
processes.finally_run(["touch", sys.argv[1]])
pid = processes.start("sleeper", ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
print(pid, processes.guard_pid, processes.directory, flush=True)
time.sleep(600)
"""

CONTROL_PLANE = """
import time
from genuine import control_plane
plane = control_plane(["apiserver"]).start()
pids = [pid for pid in plane.pids().values()]
print(*pids, plane.processes.guard_pid, plane.directory, flush=True)
time.sleep(600)
"""


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def eventually(pids: list[int], directory: Path, seconds: float = 60) -> list[object]:
    """What is still there after at most so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        left: list[object] = [pid for pid in pids if not gone(pid)] + [directory] * directory.exists()
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def owner(code: str, *arguments: str) -> tuple[subprocess.Popen[str], list[int], Path]:
    """A process that owns something: itself, the pids that it started, its directory."""
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    *pids, directory = process.stdout.readline().split()
    return process, [int(pid) for pid in pids], Path(directory)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_all_goes_with_the_owner(number: signal.Signals, tmp_path: Path) -> None:
    process, pids, directory = owner(OWNER, str(tmp_path / "touched"))
    assert directory.is_dir()
    assert not any(gone(pid) for pid in pids)
    process.send_signal(number)
    process.wait()
    assert eventually(pids, directory) == []
    assert (tmp_path / "touched").exists()


def test_children_go_with_the_guard(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends the children of a parent that was killed")
    process, (child, guard), directory = owner(OWNER, str(tmp_path / "touched"))
    with contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        os.kill(guard, signal.SIGKILL)
        assert eventually([child], directory / "not looked at") == []
    process.wait()
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()


@needs_genuine
def test_a_control_plane_goes_with_its_killed_owner() -> None:
    process, pids, directory = owner(CONTROL_PLANE)
    assert len(pids) == 3
    process.kill()
    process.wait()
    assert eventually(pids, directory) == []


def test_a_program_that_ends_at_once_is_told_with_its_last_words() -> None:
    processes = GuardedProcesses()
    try:
        processes.start("short", ["sh", "-c", "echo first; echo cannot find my shoes >&2; exit 7"])
        with pytest.raises(PartFailed, match=r"shoes did not come: short ended with exit code 7(.|\n)*cannot find my shoes"):
            processes.wait("shoes did not come", "short", lambda: False, timeout=30)
    finally:
        processes.close()
    assert not processes.directory.exists()


def test_a_wait_has_a_limit() -> None:
    processes = GuardedProcesses()
    try:
        processes.start("slow", ["sleep", "600"])
        with pytest.raises(PartFailed, match=r"slow was not ready within 0.2 s"):
            processes.wait("it did not come", "slow", lambda: False, timeout=0.2)
    finally:
        processes.close()


def test_a_program_that_does_not_exist() -> None:
    processes = GuardedProcesses()
    try:
        with pytest.raises(PartFailed, match="could not start nothing: FileNotFoundError"):
            processes.start("nothing", ["/no/such/program"])
    finally:
        processes.close()
        processes.close()
    with pytest.raises(PartFailed, match="stopped already"):
        processes.start("late", ["true"])
