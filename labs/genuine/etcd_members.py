"""Genuine etcd on loopback: one member or several, in a directory that disappears."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from socket import socket
from types import TracebackType
from typing import Self

from genuine.find import need
from genuine.pki import Authority
from genuine.processes import GuardedProcesses, PartFailed, reserve_port

__all__ = ["Etcd", "etcd", "etcd_cluster"]

HERE = ("127.0.0.1", "localhost")


class Etcd:
    """`members` etcd processes that form one cluster. Use with `with`, or call `start` and `stop`.

    With `tls`, members and clients prove themselves by certificates of an own authority; without it they speak plain
    HTTP on loopback, which is easier to look at. `fsync=False` is faster and loses data when the machine stops.
    """

    def __init__(
        self, members: int = 1, *, tls: bool = False, fsync: bool = True, timeout: float = 60,
        flags: Sequence[str] = (), processes: GuardedProcesses | None = None, authority: Authority | None = None,
    ) -> None:  # fmt: skip
        if members < 1:
            raise ValueError(f"an etcd needs at least one member, not {members}")
        self.names = ["etcd"] if members == 1 else [f"etcd-{n}" for n in range(members)]
        self.tls, self.timeout = tls, timeout
        self._fsync, self._flags, self._shared, self._authority = fsync, list(flags), processes, authority
        self._held: dict[str, tuple[socket, socket]] = {}
        self._log_starts: dict[str, int] = {}

    def start(self) -> Self:
        """Start all members and wait until each of them answers. Raises MissingPart or PartFailed."""
        self._binary = need("etcd")["etcd"]
        self.processes = self._shared or GuardedProcesses()
        try:
            self.directory = self.processes.directory
            if self.tls:
                self._authority = self._authority or Authority(self.directory)
                self._server = self._authority.identity("etcd-server", "etcd", names=HERE)
                self.client_identity = self._authority.identity("etcd-client", "client-of-etcd")
            self._held = {name: (reserve_port(), reserve_port()) for name in self.names}
            for name in self.names:
                self._launch(name)
            for name in self.names:
                self._wait(name)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all members and remove their data. Safe to repeat."""
        for held in self._held.values():
            for one in held:
                one.close()
        self._held = {}
        if not self._shared and hasattr(self, "processes"):
            self.processes.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def endpoints(self) -> list[str]:
        """Client addresses of the members, in the order of `names`."""
        return [f"{self._scheme}://127.0.0.1:{client.getsockname()[1]}" for client, _ in self._held.values()]

    @property
    def url(self) -> str:
        """Client address of the first member."""
        return self.endpoints[0]

    @property
    def _scheme(self) -> str:
        return "https" if self.tls else "http"

    def client_arguments(self, prefix: str) -> list[str]:
        """Options that let a client in: prefix "--" for etcdctl, "--etcd-" for kube-apiserver. [] without TLS."""
        if not self.tls or not self._authority:
            return []
        key, certificate = ("keyfile", "certfile") if prefix == "--etcd-" else ("key", "cert")
        authority = "cafile" if prefix == "--etcd-" else "cacert"
        mine = self.client_identity
        files = {authority: self._authority.file, certificate: mine.certificate, key: mine.key}
        return [f"{prefix}{option}={path}" for option, path in files.items()]

    def etcdctl(self, *arguments: str, endpoints: list[str] | None = None, timeout: float = 30) -> str:
        """Output of the genuine etcdctl with `arguments`. Raises PartFailed with what it says when it fails."""
        binary = need("etcdctl")["etcdctl"]
        command = [str(binary), f"--endpoints={','.join(endpoints or self.endpoints)}", *self.client_arguments("--")]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise PartFailed(f"etcdctl {' '.join(arguments)} ended with exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def log(self, name: str = "") -> str:
        """The log of the member `name` (default: the first)."""
        path = self.processes.log_path(name or self.names[0])
        return path.read_text(errors="replace") if path.exists() else ""

    def stop_member(self, name: str, *, kill: bool = False) -> None:
        """End one member (`kill`: as by a power cut). Its data and its port stay for `start_member`."""
        self.processes.stop(self._known(name), kill=kill)

    def start_member(self, name: str, *, wait: bool = True) -> None:
        """Start a member that was stopped, with the data it had."""
        self._launch(self._known(name))
        if wait:
            self._wait(name)

    def _known(self, name: str) -> str:
        if name not in self.names:
            raise ValueError(f"no member is called {name!r}; there are {', '.join(self.names)}")
        return name

    def _address(self, name: str, peer: bool = False) -> str:
        return f"{self._scheme}://127.0.0.1:{self._held[name][peer].getsockname()[1]}"

    def _launch(self, name: str) -> None:
        log = self.processes.log_path(name)
        self._log_starts[name] = log.stat().st_size if log.exists() else 0
        client, peer = self._address(name), self._address(name, peer=True)
        members = ",".join(f"{n}={self._address(n, peer=True)}" for n in self.names)
        arguments: list[str | Path] = [
            self._binary, f"--name={name}", f"--data-dir={self.directory / f'{name}-data'}", "--socket-reuse-port",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster={members}", "--log-outputs=stderr",
        ]  # fmt: skip
        if self.tls and self._authority:
            for kind in ("", "peer-"):
                arguments += [f"--{kind}trusted-ca-file={self._authority.file}", f"--{kind}client-cert-auth"]
                arguments += [f"--{kind}cert-file={self._server.certificate}", f"--{kind}key-file={self._server.key}"]
        self.processes.start(name, [*arguments, *self._flags, *([] if self._fsync else ["--unsafe-no-fsync"])])

    def _wait(self, name: str) -> None:
        path = self.processes.log_path(name)
        address = self._address(name).split("//")[1]

        def serving() -> bool:
            # The line is written once the member has joined and takes requests from clients.
            text = path.read_bytes()[self._log_starts[name] :].decode(errors="replace") if path.exists() else ""
            return "ready to serve client requests" in text and "serving client traffic" in text and address in text

        self.processes.wait("etcd did not start", name, serving, self.timeout)


def etcd(*, tls: bool = False, fsync: bool = True, flags: Sequence[str] = (), timeout: float = 60) -> Etcd:
    """One genuine etcd: `with etcd() as e: requests.post(e.url + "/v3/kv/put", ...)`. `flags` adds options."""
    return Etcd(1, tls=tls, fsync=fsync, flags=flags, timeout=timeout)


def etcd_cluster(members: int = 3, *, tls: bool = False, fsync: bool = True, timeout: float = 60) -> Etcd:
    """Several genuine etcd members that replicate by Raft; `stop_member` and `start_member` take one away and back."""
    return Etcd(members, tls=tls, fsync=fsync, timeout=timeout)
