"""Starts programs that never outlive this process, and waits for them with limits and clear sentences."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["GuardedProcesses", "PartFailed", "last_lines", "reserve_port"]

PREFIX = "kubernetes-by-hand."  # every temporary directory starts so; a leak check looks for it


class PartFailed(RuntimeError):
    """A genuine part did not start or did not answer; the message ends with its last log lines."""


def reserve_port() -> socket.socket:
    """A bound socket whose port nobody else is given while it is open.

    It is never listened on. The program that gets the port must be told to share it (SO_REUSEPORT:
    `--permit-port-sharing`, etcd's `--socket-reuse-port`), so no other program can take it between.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", 0))
    return held


def last_lines(path: Path, count: int = 8) -> str:
    """The last `count` lines of a log, indented; a sentence when there are none."""
    if not path.exists():
        return "    (it has no log)"
    lines = path.read_text(errors="replace").splitlines()[-count:]
    return "\n".join(f"    {line[:400]}" for line in lines) or "    (its log is empty)"


class GuardedProcesses:
    """A private directory and named child processes, both gone when `close` is called or this process ends in any way."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.pids: dict[str, int] = {}
        self._lock = threading.Lock()
        # -I -S: nothing but the standard library, so that it starts in 20 ms; own session: no Ctrl-C, no group kill
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")), str(self.directory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, bufsize=1, start_new_session=True, cwd="/",
        )  # fmt: skip
        self._closed = False
        self._tell("remove", directory=str(self.directory))

    @property
    def guard_pid(self) -> int:
        """Process id of the guard."""
        return self._guard.pid

    def log_path(self, name: str) -> Path:
        """Where the output of `name` is written."""
        return self.directory / f"{name}.log"

    def start(self, name: str, argv: list[str | Path], env: Mapping[str, str] | None = None) -> int:
        """Start `argv` under `name` and return its process id."""
        whole_env = {**os.environ, **env} if env else None
        answer = self._tell("start", name=name, argv=[str(a) for a in argv], log=str(self.log_path(name)), env=whole_env)
        self.pids[name] = int(answer["pid"])
        return self.pids[name]

    def exits(self) -> dict[str, int | None]:
        """Exit code by name, None for those that run."""
        found: dict[str, int | None] = self._tell("poll")["exits"]
        return found

    def stop(self, *names: str, timeout: float = 10.0, kill: bool = False) -> None:
        """End the processes `names`, and wait until they are gone."""
        self._tell("stop", names=list(names), timeout=timeout, kill=kill)

    def finally_run(self, argv: list[str]) -> None:
        """Run `argv` when this process ends, however it ends."""
        self._tell("finally_run", argv=argv)

    def forget(self, argv: list[str]) -> None:
        """Take back `finally_run`."""
        self._tell("forget", argv=argv)

    def wait(self, what: str, name: str, ready: Callable[[], bool], timeout: float) -> None:
        """Wait until `ready()`; PartFailed with `what`, the reason and the last log lines of `name` when it does not come."""
        deadline = time.monotonic() + timeout
        while not ready():
            code = self.exits().get(name)
            if code is not None:
                self._fail(f"{what}: {name} ended with exit code {code}", name)
            if time.monotonic() > deadline:
                self._fail(f"{what}: {name} was not ready within {timeout:g} s", name)
            time.sleep(0.05)

    def _fail(self, sentence: str, name: str) -> None:
        raise PartFailed(f"{sentence}. Its last log lines:\n{last_lines(self.log_path(name))}")

    def close(self) -> None:
        """End all processes and remove the directory. Safe to repeat."""
        if self._closed:
            return
        self._closed = True
        assert self._guard.stdin
        assert self._guard.stdout
        self._guard.stdin.close()  # end of input: the guard cleans up and leaves
        try:
            self._guard.wait(150)
        except subprocess.TimeoutExpired:  # pragma: no cover
            self._guard.kill()
        self._guard.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _tell(self, do: str, **arguments: Any) -> dict[str, Any]:
        with self._lock:
            if self._closed or not self._guard.stdin or not self._guard.stdout:
                raise PartFailed("these processes are stopped already; start anew")
            try:
                self._guard.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
                line = self._guard.stdout.readline()
            except (BrokenPipeError, ValueError) as error:
                raise PartFailed(f"the guard of {self.directory} is gone ({error})") from None
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the guard is gone"}
        if "error" in answer:
            raise PartFailed(f"could not {do} {arguments.get('name', '')}: {answer['error']}")
        return answer
