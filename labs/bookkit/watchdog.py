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
from pathlib import Path

import psutil  # type: ignore[import-untyped]

NAME = "BOOKKIT_COCKPIT"


def marked(mark: str) -> list[psutil.Process]:
    """The processes whose environment carries the mark, the own one left out."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(NAME) == mark:
                found.append(process)
    return found


def bring_down(socket_path: str, mark: str) -> None:
    """End the tmux server at `socket_path`, then all marked processes (politely, then not), then the socket."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        before = marked(mark)
        subprocess.run(["tmux", "-S", socket_path, "kill-server"], capture_output=True, timeout=10)
        _, alive = psutil.wait_procs(before, timeout=1)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        psutil.wait_procs(alive, timeout=2)
    left = marked(mark)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=2)
    Path(socket_path).unlink(missing_ok=True)


def main(socket_path: str, mark: str) -> None:
    """Wait for the end of the pipe, then clean up."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    bring_down(socket_path, mark)


if __name__ == "__main__":
    main(*sys.argv[1:])
