"""Who a client is when that changes while it runs: a token in a file that is written anew, or what a program hands out.

Genuine counterpart: client-go's transport.TokenSource and plugin/pkg/client/auth/exec.
"""
from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from ssl import SSLContext
from typing import Any, Protocol

from tinykube.machinery.clock import Clock

REREAD = 60.0                     # seconds after which a token file is read again
NEVER = "9999-12-31T00:00:00Z"
VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@dataclass(frozen=True)
class Proof:
    """What a client shows: a token, or certificate and key (PEM), or nothing."""

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""


class Credentials(Protocol):
    """Where proofs come from. `refused` is told when the server did not take the last one."""

    async def proof(self) -> Proof: ...

    def refused(self) -> None: ...


class TokenFile:
    """A token in a file, which somebody else keeps fresh. While it can't be read, the last one has to do."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self.clock = path, clock
        self.token, self.until = "", float("-inf")

    async def proof(self) -> Proof:
        if self.clock.monotonic() >= self.until:
            try:
                self.token, self.until = self.path.read_text().strip(), self.clock.monotonic() + REREAD
            except OSError:
                if not self.token:
                    raise
        return Proof(self.token)

    def refused(self) -> None:
        self.until = float("-inf")


class Plugin:
    """A program that hands out proofs, as a kubeconfig's `exec` says. It is run again when a proof is over or refused."""

    def __init__(self, said: Mapping[str, Any], clock: Clock) -> None:
        self.said, self.clock, self.version = said, clock, said.get("apiVersion")
        if self.version not in VERSIONS:
            raise ValueError(f"exec plugin: invalid apiVersion {self.version!r}; there are {' and '.join(VERSIONS)}")
        self.known: Proof | None = None
        self.ends, self.lock = datetime.fromisoformat(NEVER), asyncio.Lock()

    async def proof(self) -> Proof:
        async with self.lock:                             # of many requests, one asks
            if self.known is None or self.clock.now() >= self.ends:
                self.known = self.read(await self.run())
            return self.known

    def refused(self) -> None:
        self.known = None

    async def run(self) -> bytes:
        """What the program prints. Raises ConnectionError, with what it says, when it fails or is not there."""
        command = self.said["command"]
        question = json.dumps({"apiVersion": self.version, "kind": "ExecCredential", "spec": {"interactive": False}})
        more = {each["name"]: each["value"] for each in self.said.get("env") or []} | {"KUBERNETES_EXEC_INFO": question}
        try:
            process = await asyncio.create_subprocess_exec(command, *self.said.get("args") or [], env=os.environ | more,
                                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        except OSError as error:
            raise ConnectionError(f"getting credentials: exec: {error}\n{self.said.get('installHint', '')}".strip()) from None
        printed, _ = await process.communicate()
        if process.returncode:
            raise ConnectionError(f"getting credentials: exec: executable {command} failed with exit code {process.returncode}")
        return printed

    def read(self, printed: bytes) -> Proof:
        """The proof in what the program printed. Raises ConnectionError if there is none."""
        try:
            answer = json.loads(printed)
            status = answer["status"]
            if (answer["kind"], answer["apiVersion"]) != ("ExecCredential", self.version):
                raise ValueError(f"this is a {answer['kind']} of {answer['apiVersion']}")
        except (ValueError, KeyError, TypeError) as error:
            raise ConnectionError(f"getting credentials: no ExecCredential of {self.version} was printed: {error}") from None
        found = Proof(status.get("token", ""), *(status.get(f"client{part}Data", "").encode() for part in ("Certificate", "Key")))
        if not found.token and not (found.certificate and found.key):
            raise ConnectionError("getting credentials: exec plugin didn't return a token or cert/key pair")
        self.ends = datetime.fromisoformat(status.get("expirationTimestamp") or NEVER)
        return found


def show(certificate: bytes, key: bytes, context: SSLContext) -> None:
    """Let new connections show a certificate."""
    with tempfile.NamedTemporaryFile() as pair:           # OpenSSL reads a certificate from files only
        pair.write(certificate + b"\n" + key)
        pair.flush()
        context.load_cert_chain(pair.name)
