"""Runs other programs for a parent, and ends them when the parent is gone, however it went.

Started as a process of its own by `genuine.processes`, in its own session. Reads one JSON command a line from its
standard input and answers each with one line. End of input means that the parent has ended (also by kill -9): then
every child is ended, the clean-up commands run, and the directories are removed. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """In a new child, on Linux: be killed when the guard itself is killed. (The guard has one thread, so this is sound.)"""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Guard:
    """The children by name, the directories to remove and the commands to run at the end."""

    def __init__(self) -> None:
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.directories: list[str] = []
        self.commands: list[list[str]] = []

    def start(self, name: str, argv: list[str], log: str, env: dict[str, str] | None = None) -> dict[str, Any]:
        """Start `argv` as `name`, output appended to the file `log`."""
        with open(log, "ab") as output:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, preexec_fn=die_with_parent
            )
        self.children[name] = child
        return {"pid": child.pid}

    def poll(self) -> dict[str, Any]:
        """Exit codes by name: None for those that run."""
        return {"exits": {name: child.poll() for name, child in self.children.items()}}

    def stop(self, names: list[str], timeout: float, kill: bool = False) -> dict[str, Any]:
        """End the children `names`: TERM (or KILL), and KILL after `timeout` seconds."""
        ending = [self.children[name] for name in names if name in self.children]
        for child in ending:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        deadline = time.monotonic() + timeout
        for child in ending:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        return {"exits": {name: self.children[name].returncode for name in names if name in self.children}}

    def remove(self, directory: str) -> dict[str, Any]:
        """Remove `directory` at the end."""
        self.directories.append(directory)
        return {}

    def finally_run(self, argv: list[str]) -> dict[str, Any]:
        """Run `argv` at the end, after the children and before the directories go."""
        self.commands.append(argv)
        return {}

    def forget(self, argv: list[str]) -> dict[str, Any]:
        """Do not run `argv` at the end after all."""
        self.commands.remove(argv)
        return {}

    def end(self) -> None:
        """Leave nothing behind."""
        self.stop(list(self.children), 5.0, kill=True)  # what they wrote goes, too: nothing to save
        for argv in self.commands:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        for directory in self.directories:
            shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Serve commands from standard input until it ends."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    guard = Guard()
    try:
        for line in sys.stdin:
            command = json.loads(line)
            try:
                answer = getattr(guard, command.pop("do"))(**command)
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)
    finally:
        os.umask(0o077)
        guard.end()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
