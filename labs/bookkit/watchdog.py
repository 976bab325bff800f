"""Ends a cockpit when its owner is gone: `python watchdog.py SOCKET MARK`, standard input a pipe from the owner.

The pipe ends when the owner closes it and when the owner dies, however it dies. No process id is looked at, so
none can be mistaken for another. What a cockpit has started carries a mark in its environment: processes that
survive the end of their terminal (daemons, `nohup`) are found by it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

NAME = "BOOKKIT_COCKPIT"


def marked(mark: str) -> list[psutil.Process]:
    """The processes whose environment carries the mark, the own one left out."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(NAME) == mark:
                found.append(process)
    return found


def waited(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after that time. What has ended and was not collected by its parent does not run."""
    end = time.monotonic() + seconds
    while (alive := [p for p in processes if runs(p)]) and time.monotonic() < end:
        time.sleep(0.02)
    return alive


def runs(process: psutil.Process) -> bool:
    """Whether it is still this process, and not the husk of it."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def bring_down(socket_path: str, mark: str) -> None:
    """End the tmux server at `socket_path`, then all marked processes (politely, then not), then the socket."""
    before = marked(mark)
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(["tmux", "-S", socket_path, "kill-server"], capture_output=True, timeout=10)
    for process in waited(before, 1):
        with contextlib.suppress(psutil.Error):
            process.terminate()
    waited(before, 2)
    left = marked(mark)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    waited(left, 2)
    Path(socket_path).unlink(missing_ok=True)


def main(socket_path: str, mark: str) -> None:
    """Wait for the end of the pipe, then clean up."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    bring_down(socket_path, mark)


if __name__ == "__main__":
    main(*sys.argv[1:])
