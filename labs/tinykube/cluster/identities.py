"""Who is who in a cluster: an authority of its own, a certificate for the server, an identity for each seat.

Genuine counterpart: kubeadm's `init phase certs` and `init phase kubeconfig`.
"""
from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tinykube.api.aggregation import FRONT_PROXY, published
from tinykube.api.keys import Authority, EcSigner, Identity, key_pem
from tinykube.api.tls import server_tls
from tinykube.client.kubeconfig import kubeconfig
from tinykube.machinery.wire import User

ADMIN = User("kubernetes-admin", ("system:masters",))
SCHEDULER = User("system:kube-scheduler")
MANAGER = User("system:kube-controller-manager")
PROXY = User("system:kube-proxy")
API_SERVER = "kube-apiserver"
FRONT_AUTHORITY = "front-proxy-ca"
KUBELET_CLIENT = User("kube-apiserver-kubelet-client")             # the api-server, when it asks a kubelet


def node_user(node: str) -> User:
    """Who a kubelet is: its node, and one of the nodes."""
    return User(f"system:node:{node}", ("system:nodes",))


def account_user(account: str, namespace: str = "kube-system") -> User:
    """Who a service account is, and the groups that it is in."""
    return User(f"system:serviceaccount:{namespace}:{account}",
                ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"))


def write_secret(path: Path, text: bytes) -> Path:
    """Write a file that its owner alone can read, from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(text)
    return path


def write_access(path: Path, url: str, ca: bytes, certificate: bytes, key: bytes) -> Path:
    """Write a kubeconfig that trusts one authority and shows one certificate, and return its path."""
    config = kubeconfig(url)
    texts = {"certificate-authority-data": ca, "client-certificate-data": certificate, "client-key-data": key}
    encoded = {name: base64.b64encode(text).decode() for name, text in texts.items()}
    config["clusters"][0]["cluster"]["certificate-authority-data"] = encoded.pop("certificate-authority-data")
    config["users"][0]["user"] = encoded
    return write_secret(path, yaml.safe_dump(config, sort_keys=False).encode())


@dataclass(frozen=True)
class Guard:
    """What an api-server needs to know friend from stranger: how to speak TLS, and with what to sign tokens.

    And to be known itself by servers behind it: what it shows them, and what it publishes for them.
    """

    tls: ssl.SSLContext
    signer: EcSigner
    front: Identity | None = None
    trust: Mapping[str, str] = field(default_factory=dict)


class Identities:
    """The authority of a cluster, the keys of its api-server, and all whom it has signed for."""

    def __init__(self, kept: Path | None = None) -> None:
        names = ("ca.crt", "ca.key", "accounts.key", "front-proxy-ca.crt", "front-proxy-ca.key")
        files = [kept / name for name in names] if kept else []
        there = [each.read_bytes() for each in files if each.exists()]
        known = len(there) == len(files) > 0     # then a cluster was here before, and its keys stay good
        self.authority = Authority(kept=Identity(there[0], there[1]) if known else None)
        self.server = self.authority.server(API_SERVER)
        self.front = Authority(FRONT_AUTHORITY, kept=Identity(there[3], there[4]) if known else None)
        self.guard = Guard(server_tls(self.server, self.authority.certificate), EcSigner(there[2] if known else b""),
                           self.front.client(FRONT_PROXY), published(self.authority.certificate, self.front.certificate))
        if not known:
            texts = (self.authority.certificate, key_pem(self.authority.key), key_pem(self.guard.signer.key),
                     self.front.certificate, key_pem(self.front.key))
            for path, text in zip(files, texts, strict=False):
                write_secret(path, text)

    def kubeconfig(self, path: Path, url: str, user: User) -> Path:
        """Write a kubeconfig for a user."""
        mine = self.authority.client(user.name, user.groups)
        return write_access(path, url, self.authority.certificate, mine.certificate, mine.key)

    def files(self, directory: Path, user: User) -> tuple[str, tuple[str, str]]:
        """Write what programs ask for that read no kubeconfig: whom to trust, certificate and key; the paths."""
        mine = self.authority.client(user.name, user.groups)
        texts = {"ca.crt": self.authority.certificate, "admin.crt": mine.certificate, "admin.key": mine.key}
        ca, certificate, key = (str(write_secret(directory / name, text)) for name, text in texts.items())
        return ca, (certificate, key)

    def save(self, directory: Path) -> None:
        """Write what the process of an api-server needs, and the authority's key, for the controller that signs."""
        for name, text in (("ca.crt", self.authority.certificate), ("ca.key", key_pem(self.authority.key)),
                           ("api.crt", self.server.certificate),
                           ("api.key", self.server.key), ("accounts.key", key_pem(self.guard.signer.key)),
                           (f"{FRONT_AUTHORITY}.crt", self.front.certificate)):
            write_secret(directory / name, text)
        save_pair(directory, KUBELET_CLIENT.name, self.authority.client(KUBELET_CLIENT.name))
        save_pair(directory, FRONT_PROXY, self.front.client(FRONT_PROXY))

    def save_kubelet(self, directory: Path, node: str) -> None:
        """Write the certificate that a kubelet shows those who ask it."""
        save_pair(directory, node, self.authority.server(node_user(node).name, (node, "127.0.0.1")))


def save_pair(directory: Path, name: str, identity: Identity) -> None:
    """Write a certificate and its key."""
    write_secret(directory / f"{name}.crt", identity.certificate)
    write_secret(directory / f"{name}.key", identity.key)


def kubelet_tls(directory: Path, node: str) -> ssl.SSLContext:
    """How the kubelet of a node speaks TLS."""
    certificate, key = ((directory / f"{node}.{end}").read_bytes() for end in ("crt", "key"))
    return server_tls(Identity(certificate, key), (directory / "ca.crt").read_bytes())


def to_kubelets(directory: Path) -> ssl.SSLContext:
    """How the api-server speaks TLS to kubelets: it trusts those that the authority has signed for, and shows who it is."""
    context = ssl.create_default_context(cafile=directory / "ca.crt")
    context.load_cert_chain(directory / f"{KUBELET_CLIENT.name}.crt", directory / f"{KUBELET_CLIENT.name}.key")
    return context


def load_guard(directory: Path) -> Guard:
    """What `save` wrote, as the api-server needs it."""
    names = ("ca.crt", "api.crt", "api.key", "accounts.key", f"{FRONT_AUTHORITY}.crt", f"{FRONT_PROXY}.crt", f"{FRONT_PROXY}.key")
    ca, certificate, key, accounts, front_ca, *front = ((directory / name).read_bytes() for name in names)
    return Guard(server_tls(Identity(certificate, key), ca), EcSigner(accounts), Identity(*front), published(ca, front_ca))
