"""The parent of one pod's containers: starts them, writes down what they say and how they ended.

A program of its own, so that pods outlive the kubelet that asked for them. It is started as
`python -I -S shim.py DIRECTORY keep|die` and needs nothing but the standard library.

Genuine counterpart: containerd-shim-runc-v2, also one process a pod.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import sys
import termios
import time
from contextlib import suppress
from typing import Any

LONGEST_LINE = 16 * 1024       # bytes of a log line before it is written in parts


class Shim:
    """One pod's shim. It reads commands from the FIFO `control`, and names in `events` each container that changed."""

    def __init__(self, directory: str, owner_matters: bool) -> None:
        os.chdir(directory)
        self.owner_matters = owner_matters         # our standard input ends when the owner does
        self.control = os.open("control", os.O_RDWR | os.O_NONBLOCK)
        self.events = os.open("events", os.O_RDWR | os.O_NONBLOCK)
        self.child_died, wake = os.pipe()
        os.set_blocking(self.child_died, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.pids: dict[int, str] = {}             # first process of each running container
        self.streams: dict[int, Stream] = {}
        self.inputs: dict[str, tuple[int, int]] = {}       # container -> where typing comes from, where it goes
        self.commands = b""

    def run(self) -> None:
        """Serve until told to exit, or until the owner is gone."""
        adopt_orphans()
        os.write(1, b"ready")
        os.dup2(2, 1)
        while True:
            heard = {fd: stream for fd, stream in self.streams.items() if stream.heard()}
            typed = {source: target for source, target in self.inputs.values() if target >= 0}
            sources = [self.control, self.child_died, *heard, *typed] + [0] * self.owner_matters
            slow = [copy for stream in self.streams.values() if stream.fd not in heard for copy in stream.copies]
            readable, _, _ = select.select(sources, slow, [])
            for stream in [heard[fd] for fd in readable if fd in heard]:
                self.pump(stream)
            for fd in typed.keys() & set(readable):
                type_in(fd, typed[fd])
            if self.child_died in readable:
                os.read(self.child_died, 4096)
                self.reap()
            if self.control in readable and not self.obey():
                return self.end()
            if 0 in readable and not os.read(0, 1):
                self.end()
                return remove_tree(os.path.dirname(os.getcwd()))

    def obey(self) -> bool:
        """Carry out the commands that have arrived; False after `exit`."""
        *lines, self.commands = (self.commands + os.read(self.control, 65536)).split(b"\n")
        for line in lines:
            verb, *words = line.decode().split()
            if verb == "exit":
                return False
            if verb == "start":
                self.start(words[0])
            elif verb == "attach":
                self.attach(words[0], words[1])
            elif verb == "eof":
                self.end_input(words[0])
            elif verb == "kill":
                self.kill(words[0], int(words[1]))
        return True

    def start(self, container: str) -> None:
        """Start a container's first process, or a command beside it, which brings its own `files`; in its own session."""
        with open(f"{container}/config.json") as file:
            config = json.load(file)
        error, terminal = config["error"], ""
        ours: dict[int, str] = {}
        if not error:
            if "files" not in config:
                config["files"], ours, terminal = self.files(container, config)
            ends = [end for end in set(config["files"]) if isinstance(end, int)]
            read, failed = os.pipe()
            pid = os.fork()
            if pid == 0:
                become(config, failed)
            for end in (*ends, failed):
                os.close(end)
            error = os.read(read, 4096).decode()
            os.close(read)
        for fd, name in ours.items():
            os.set_blocking(fd, False)
            self.streams[fd] = Stream(fd, name, container, config["log"])
        if error:
            return self.refuse(container, error)
        self.pids[pid] = container
        self.save(container, state="CONTAINER_RUNNING", pid=pid, born=born(pid), started_at=time.time(), tty=terminal)

    def files(self, container: str, config: dict[str, Any]) -> tuple[list[str | int], dict[int, str], str]:
        """Where a container's three streams go, our ends of its outputs, and the name of its terminal, if it has one."""
        typed: str | int = os.devnull
        if config["stdin"]:
            typed = f"{container}/stdin"
            self.inputs[container] = os.open(typed, os.O_RDWR | os.O_NONBLOCK), -1
        if not config["tty"]:
            out, err = os.pipe(), os.pipe()
            return [typed, out[1], err[1]], {out[0]: "stdout", err[0]: "stderr"}, ""
        ours, theirs = os.openpty()
        if config["stdin"]:
            self.inputs[container] = self.inputs[container][0], ours
        return [theirs] * 3, {ours: "stdout"}, os.ttyname(theirs)

    def attach(self, container: str, where: str) -> None:
        """Copy what a container says from now on into the FIFOs of somebody who listens."""
        for stream in self.streams.values():
            if stream.container == container:
                with suppress(OSError):            # they are gone already
                    stream.copies.append(os.open(f"{where}/{stream.name}", os.O_WRONLY | os.O_NONBLOCK))
        self.tell(where)

    def end_input(self, container: str) -> None:
        """Nobody will type any more."""
        source, target = self.inputs.pop(container, (-1, -1))
        if target >= 0:
            type_in(source, target)
            os.write(target, b"\x04")              # at a terminal, Ctrl-D
        if source >= 0:
            os.close(source)

    def refuse(self, container: str, error: str) -> None:
        """A container that could not be started has ended, with the exit code and the reason that runc leaves."""
        self.save(container, state="CONTAINER_EXITED", finished_at=time.time(), exit_code=128, reason="StartError",
                  message=error)

    def kill(self, container: str, number: int) -> None:
        """Signal a container: its first process, or with SIGKILL everything in it."""
        for pid, owner in self.pids.items():
            if owner == container or (number == signal.SIGKILL and owner.startswith(f"{container}/")):
                (os.killpg if number == signal.SIGKILL else os.kill)(pid, number)

    def reap(self) -> None:
        """Learn who died. With its first process a container ends, whatever else is left in its group."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            container = self.pids.pop(pid, "")
            if not container:
                continue                           # an orphan that came to us
            kill_group(pid)
            self.kill(container, signal.SIGKILL)   # commands beside it end with it
            for stream in [stream for stream in self.streams.values() if stream.container == container]:
                self.pump(stream, patient=False)
                self.finish(stream)
            self.end_input(container)
            code = os.waitstatus_to_exitcode(status)
            self.save(container, state="CONTAINER_EXITED", finished_at=time.time(),
                      exit_code=code if code >= 0 else 128 - code, reason="Error" if code else "Completed")

    def pump(self, stream: Stream, patient: bool = True) -> None:
        """Take what a stream holds now, and write it to the log; no faster than those who listen, if we are patient."""
        while stream.fd in self.streams and (stream.heard() or not patient):
            try:
                data = os.read(stream.fd, select.PIPE_BUF if stream.copies else 65536)
            except BlockingIOError:
                return
            except OSError:                        # a terminal that nobody holds any more
                data = b""
            if not data:
                return self.finish(stream)
            stream.add(data)

    def finish(self, stream: Stream) -> None:
        """Close a stream; what came after its last line end is a line in part."""
        if self.streams.pop(stream.fd, None):
            stream.close()

    def save(self, container: str, **facts: Any) -> None:
        """Add to what is known of a container: on disk first, in one step, then as an event."""
        path = f"{container}/state.json"
        if not os.path.exists(path):               # of a command beside it: whoever wanted to know is gone
            return
        with open(path) as file:
            known = json.load(file)
        with open(f"{path}.new", "w") as file:
            json.dump(known | facts, file)
        os.replace(f"{path}.new", path)
        self.tell(container)

    def tell(self, what: str) -> None:
        """Name what changed. If nobody reads and the FIFO is full, nothing is lost: the files hold the truth."""
        with suppress(BlockingIOError):
            os.write(self.events, f"{what}\n".encode())

    def end(self) -> None:
        """Kill whatever is left of the pod and see it die."""
        for pid in self.pids:
            kill_group(pid)
        while True:
            for orphan in children():
                kill_one(orphan)
            try:
                pid, _ = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            kill_group(pid)


class Stream:
    """One of a container's two outputs on its way into the log, in the format that CRI prescribes."""

    def __init__(self, fd: int, name: str, container: str, log: str) -> None:
        self.fd, self.name, self.container, self.rest = fd, name, container, b""
        self.copies: list[int] = []                # the FIFOs of those who listen
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def heard(self) -> bool:
        """Whether all who listen can take more."""
        return len(select.select([], self.copies, [], 0)[1]) == len(self.copies)

    def add(self, data: bytes) -> None:
        """Pass data on, and write the lines that are whole; a line that is too long goes in parts."""
        for copy in list(self.copies):
            try:
                os.write(copy, data)
            except OSError:                        # they are gone, or the container is, and they were slow
                self.copies.remove(copy)
                os.close(copy)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.write(line, b"F")
        while len(self.rest) >= LONGEST_LINE:
            self.write(self.rest[:LONGEST_LINE], b"P")
            self.rest = self.rest[LONGEST_LINE:]

    def write(self, line: bytes, tag: bytes) -> None:
        """One line: when, from where, F for full or P for part, and the text. One write, so lines stay whole."""
        while len(line) > LONGEST_LINE:
            self.write(line[:LONGEST_LINE], b"P")
            line = line[LONGEST_LINE:]
        now = time.time_ns()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"
        os.write(self.log, b"%s %s %s %s\n" % (stamp.encode(), self.name.encode(), tag, line))

    def close(self) -> None:
        """Write what is left, and let go of pipe and log."""
        if self.rest:
            self.write(self.rest, b"P")
        for fd in (self.fd, self.log, *self.copies):
            os.close(fd)


def type_in(source: int, target: int) -> None:
    """Pass on what was typed to a terminal; what it has no room for is lost, as it is at any terminal."""
    with suppress(BlockingIOError):
        os.write(target, os.read(source, select.PIPE_BUF))


def become(config: dict[str, Any], failed: int) -> None:
    """In the child: turn into the container's program, or say through `failed` why that is impossible."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for target, file in enumerate(config["files"]):
            flags = os.O_WRONLY if target and not config["tty"] else os.O_RDWR if config["tty"] else os.O_RDONLY
            os.dup2(os.open(file, flags) if isinstance(file, str) else file, target)
        if config["tty"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(config["cwd"])
        os.execvpe(config["argv"][0], config["argv"], config["env"])
    except OSError as error:
        os.write(failed, f"unable to start container process: {error}".encode())
    finally:
        os._exit(128)


def adopt_orphans() -> None:
    """Ask Linux to make us the parent of whatever in the pod loses its own (a daemon), so that none escapes us."""
    if sys.platform == "linux":
        import ctypes
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)    # PR_SET_CHILD_SUBREAPER


def born(pid: int) -> str:
    """When a process started, in ticks since boot: with the pid a name that is not given twice. Empty if unknown."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def children() -> list[int]:
    """Our children, where the system tells."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def kill_group(pid: int) -> None:
    """End every process of a group, if any is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_one(pid: int) -> None:
    """End one process, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def remove_tree(directory: str) -> None:
    """Remove a directory that others may be removing at the same time."""
    import shutil
    os.chdir("/")
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    Shim(sys.argv[1], sys.argv[2] == "die").run()
