"""A tiny and a genuine api-server, both with TLS and rights, and a way to ask either as anybody."""
from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import requests
from anyio.from_thread import start_blocking_portal
from genuine import ControlPlane, control_plane
from tinykube.api import new_server
from tinykube.api.access import doorkeepers
from tinykube.api.http import serve
from tinykube.api.keys import Authority, EcSigner
from tinykube.api.tls import server_tls
from tinykube.cluster.identities import write_access
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.wire import User
from tinykube.store import LocalStorage

Object = dict[str, Any]
ADMIN = ("kubernetes-admin", ("system:masters",))
USERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "admin": ADMIN, "scheduler": ("system:kube-scheduler", ()), "controller-manager": ("system:kube-controller-manager", ()),
    "node:n1": ("system:node:n1", ("system:nodes",)), "node:n2": ("system:node:n2", ("system:nodes",)),
    "jane": ("jane", ("devs",)), "joe": ("joe", ()), "clerk": ("clerk", ()), "fake-node": ("system:node:n1", ("friends",))}
TOKEN = "a-token-of-thirty-two-characters"


@dataclass
class Side:
    """One of the two api-servers."""

    name: str
    url: str
    ca: str
    folder: Path
    certificates: dict[str, tuple[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, requests.Session] = field(default_factory=dict)
    audit: Any = None
    uid: str = ""                          # of an object that a test looks at

    def session(self, who: str) -> requests.Session:
        """Connections as somebody: by certificate, by token, or as nobody."""
        if who not in self.sessions:
            made = requests.Session()
            made.verify, made.trust_env = self.ca, False
            if who in self.certificates:
                made.cert = self.certificates[who]
            elif who in self.tokens:
                made.headers["Authorization"] = f"Bearer {self.tokens[who]}"
            self.sessions[who] = made
        return self.sessions[who]

    def ask(self, who: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None,
            kind: str = "application/json") -> tuple[int, Any]:
        """Code and body of one answer."""
        answer = self.session(who).request(
            method, self.url + path, data=None if body is None else json.dumps(body), timeout=20,
            headers={"Content-Type": kind, **(headers or {})} if body is not None else dict(headers or {}))
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text

    def may(self, user: str, groups: Sequence[str] = (), **about: str) -> tuple[bool, str]:
        """What a SubjectAccessReview says."""
        spec: Object = {"user": user, "groups": list(groups)}
        spec |= {"nonResourceAttributes": about} if "path" in about else {"resourceAttributes": about}
        code, review = self.ask("admin", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
        assert code == 201, review
        return review["status"]["allowed"], review["status"].get("reason", "")

    def kubeconfig(self, who: str) -> Path:
        """A kubeconfig of somebody with a certificate."""
        certificate, key = (Path(each).read_bytes() for each in self.certificates[who])
        return write_access(self.folder / f"{who.replace(':', '-')}.kubeconfig", self.url, Path(self.ca).read_bytes(),
                            certificate, key)

    def close(self) -> None:
        for each in self.sessions.values():
            each.close()


@contextmanager
def tiny_side(**options: Any) -> Iterator[Side]:
    """A tiny api-server in a thread."""
    authority = Authority()
    events: list[Object] = []
    with tempfile.TemporaryDirectory() as folder, start_blocking_portal() as portal:
        server = new_server(LocalStorage(clock=SystemClock()), clock=SystemClock(), random=Random(0), log=EventLog(), plugins=[
            doorkeepers(EcSigner(), tokens={TOKEN: User(*ADMIN, "admin")}, write=events.append)], **options)
        portal.call(server.start)
        tls = server_tls(authority.server("kube-apiserver"), authority.certificate)
        http = portal.call(lambda: serve(server.handle, tls=tls))
        (Path(folder) / "ca.crt").write_bytes(authority.certificate)
        side = Side("tiny", http.url, f"{folder}/ca.crt", Path(folder), tokens={"token": TOKEN, "wrong": "wrong"})
        side.audit = lambda: list(events)
        for who, (user, groups) in USERS.items():
            mine = authority.client(user, groups)
            for name, text in (("crt", mine.certificate), ("key", mine.key)):
                (Path(folder) / f"{who}.{name}").write_bytes(text)
            side.certificates[who] = f"{folder}/{who}.crt", f"{folder}/{who}.key"
        try:
            yield side
        finally:
            side.close()
            portal.call(http.close)
            portal.call(server.stop)


@contextmanager
def genuine_side(components: Sequence[str] = ("apiserver", "controller-manager"), **options: Any) -> Iterator[Side]:
    """A genuine api-server, and the controllers, who keep its roles."""
    with control_plane(components, **options) as plane:
        side = Side("genuine", plane.url, str(plane.ca_file), plane.directory, tokens={"token": plane.token, "wrong": "wrong"})
        side.audit = plane.audit
        for who, (user, groups) in USERS.items():
            mine = identity(plane, who, user, groups)
            side.certificates[who] = mine
        try:
            yield side
        finally:
            side.close()


def identity(plane: ControlPlane, who: str, user: str, groups: Sequence[str]) -> tuple[str, str]:
    """Certificate and key for a user of the genuine side."""
    made = plane._authority.identity(f"test-{who.replace(':', '-')}", user, groups)
    return str(made.certificate), str(made.key)
