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
        write_pid(lock, child.pid)
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
        """The number of the running process (0: not known yet), or None: a pid file without a lock is a leftover."""
        try:
            file = os.open(self.pid_file, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(self.pid_file.read_text() or 0)
        else:
            return None
        finally:
            os.close(file)

    def stop(self, patience: float = 10.0) -> str:
        """End the process: ask, and after `patience` seconds kill. Says what happened."""
        if self.pid() is None:
            told = "was gone already" if self.pid_file.exists() else "was not running"
        elif self.ends(signal.SIGTERM, patience):
            told = "stopped"
        elif self.ends(signal.SIGKILL, 5):
            told = f"killed: it did not end within {patience:g} s"
        else:
            return "could not be killed"
        self.pid_file.unlink(missing_ok=True)
        return told

    def ends(self, signal_number: int, seconds: float) -> bool:
        """Send a signal as soon as the number is known; whether the lock is free, and so the process gone, in time."""
        until, sent = time.monotonic() + seconds, False
        while (number := self.pid()) is not None:
            if number and not sent:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal_number)
                sent = True
            if time.monotonic() > until:
                return False
            if self.child:
                self.child.poll()
            time.sleep(0.02)
        return True

    def last_words(self, count: int = 5) -> str:
        """The end of what the process wrote to its standard error, for a sentence about its failure."""
        if not self.errors.exists():
            return "(it wrote nothing)"
        return "\n".join(self.errors.read_text(errors="replace").splitlines()[-count:]) or "(it wrote nothing)"


def write_pid(lock: int, number: int) -> None:
    """Write a pid into its file. Both sides do, so that it is there even if we are interrupted before we could."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(number).encode(), 0)
