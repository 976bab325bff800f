"""A seat as an operating-system process: started apart from us, known by a lock on its pid file, ended for sure.

Genuine counterpart: what systemd and static pods do for the parts of a kubeadm cluster.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path


class Seat:
    """One process of a cluster: its pid file, its log, its errors."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.name = directory, name
        plain = name.replace("/", "-")
        self.pid_file = directory / "run" / f"{plain}.pid"
        self.log = directory / "logs" / f"{plain}.jsonl"
        self.errors = directory / "logs" / f"{plain}.err"
        self.child: subprocess.Popen[bytes] | None = None
        self.ready = -1

    def start(self) -> None:
        """Start the process. It inherits a lock on its pid file and so holds it exactly as long as it lives."""
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.pid_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.spawn(lock)
        except BlockingIOError:
            raise RuntimeError(f"{self.name} runs already, as process {self.pid()}") from None
        finally:
            os.close(lock)

    def spawn(self, lock: int) -> None:
        """Start the program, with a pipe by which we say go, and one by which it says that it is ready."""
        self.ready, told = os.pipe()
        command = [sys.executable, "-m", "tinykube.cluster.seats", self.name, str(self.directory), str(lock), str(told)]
        with self.errors.open("wb") as errors:
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=errors, stderr=errors,
                                     start_new_session=True, pass_fds=[lock, told])
        os.close(told)
        os.ftruncate(lock, 0)
        os.write(lock, str(child.pid).encode())
        self.child = child

    def go(self) -> None:
        """Let the process begin. One that never hears this ends when we do."""
        assert self.child
        assert self.child.stdin
        with contextlib.suppress(BrokenPipeError), self.child.stdin as pipe:
            pipe.write(b"go")

    def wait_ready(self, seconds: float) -> None:
        """Return when the process says that it is ready. Raises TimeoutError, or RuntimeError when it ended instead."""
        readable, _, _ = select.select([self.ready], [], [], seconds)
        if not readable:
            raise TimeoutError(f"{self.name} was not ready within {seconds:g} s: {self.last_words()}")
        said = os.read(self.ready, 16)
        os.close(self.ready)
        if not said:
            raise RuntimeError(f"{self.name} ended before it was ready: {self.last_words()}")

    def pid(self) -> int | None:
        """The number of the running process, or None: a pid file whose lock nobody holds is a leftover."""
        try:
            file = os.open(self.pid_file, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(self.pid_file.read_text() or 0) or None
        else:
            return None
        finally:
            os.close(file)

    def stop(self, patience: float = 10.0) -> str:
        """End the process: ask, and after `patience` seconds kill. Says what happened."""
        number = self.pid()
        if number is None:
            crashed = self.pid_file.exists()
            self.pid_file.unlink(missing_ok=True)
            return "was gone already" if crashed else "was not running"
        told = "stopped"
        self.send(number, signal.SIGTERM)
        if not self.gone_within(patience):
            self.send(number, signal.SIGKILL)
            told = f"killed: it did not end within {patience:g} s" if self.gone_within(5) else "could not be killed"
        self.pid_file.unlink(missing_ok=True)
        return told

    def send(self, number: int, signal_number: int) -> None:
        """Send a signal, unless the process ended a moment ago."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal_number)

    def gone_within(self, seconds: float) -> bool:
        """Whether the lock becomes free within so many seconds: it does when the process ends, however it ends."""
        until = time.monotonic() + seconds
        while self.pid() is not None:
            if self.child:
                self.child.poll()          # a child of ours holds its number until we have looked
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def last_words(self, count: int = 5) -> str:
        """The end of what the process wrote to its standard error, for a sentence about its failure."""
        if not self.errors.exists():
            return "(it wrote nothing)"
        return "\n".join(self.errors.read_text(errors="replace").splitlines()[-count:]) or "(it wrote nothing)"
