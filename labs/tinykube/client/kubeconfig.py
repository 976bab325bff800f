"""Kubeconfig: the file that tells a client where the server is, what to trust, and who it is."""
from __future__ import annotations

import base64
import os
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tinykube.client.credentials import Credentials, Plugin, TokenFile, show
from tinykube.machinery.clock import Clock

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

@dataclass(frozen=True)
class Access:
    """Where a client connects and how: one context of a kubeconfig, its cluster and its user joined."""
    url: str
    namespace: str = "default"
    insecure: bool = False
    token: str | None = None
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token_file: Path | None = None
    plugin: dict[str, Any] | None = None                 # what a user's `exec` says

    def anonymous(self) -> Access:
        """The same server, and the same trust in it, for one who shows nothing."""
        return replace(self, token=None, certificate=None, key=None, token_file=None, plugin=None)

    def credentials(self, clock: Clock) -> Credentials | None:
        """Where a proof comes from that changes while a client runs; None if what is here stays."""
        if self.plugin:
            return Plugin(self.plugin, clock)
        return TokenFile(self.token_file, clock) if self.token_file else None

    def tls(self) -> ssl.SSLContext | None:
        """What to trust and what to show over https (PEM, from the file); None over plain http."""
        if not self.url.startswith("https:"):
            return None
        context = ssl.create_default_context(cadata=self.ca.decode() if self.ca else None)
        if self.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.certificate and self.key:
            show(self.certificate, self.key, context)
        return context


def load(path: str | Path | None = None, context: str | None = None) -> Access:
    """The access that `path` (else $KUBECONFIG, else ~/.kube/config) describes in its current context.

    Genuine counterpart: client-go's tools/clientcmd. Raises ValueError naming the entry that is missing.
    """
    file = Path(path or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    config = yaml.safe_load(file.read_text()) or {}
    name = context or config.get("current-context") or ""
    chosen = entry(config, "context", name, file)
    cluster = entry(config, "cluster", chosen.get("cluster", ""), file)
    user = entry(config, "user", chosen["user"], file) if chosen.get("user") else {}
    said = user.get("exec")
    if said and "/" in said["command"]:                  # then it begins where the file is
        said = {**said, "command": str(file.parent / said["command"])}
    return Access(
        url=cluster["server"].rstrip("/"), namespace=chosen.get("namespace") or "default",
        insecure=bool(cluster.get("insecure-skip-tls-verify")), token=user.get("token"),
        ca=material(cluster, "certificate-authority", file),
        certificate=material(user, "client-certificate", file), key=material(user, "client-key", file),
        token_file=file.parent / user["tokenFile"] if user.get("tokenFile") else None, plugin=said)


def in_cluster(directory: Path = ACCOUNT) -> Access:
    """The access of a pod: the api-server of its own cluster, as the pod's service account, whose token is renewed.

    Genuine counterpart: rest.InClusterConfig. Raises ValueError outside of a pod.
    """
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host or not port or not (directory / "token").exists():
        raise ValueError(f"this is no pod: there has to be $KUBERNETES_SERVICE_HOST, $KUBERNETES_SERVICE_PORT, {directory}/token")
    return Access(f"https://{f'[{host}]' if ':' in host else host}:{port}", namespace=(directory / "namespace").read_text().strip(),
                  ca=(directory / "ca.crt").read_bytes(), token_file=directory / "token")


def entry(config: dict[str, Any], kind: str, name: str, file: Path) -> dict[str, Any]:
    """The body of the named cluster, user or context; the three lists have the same shape."""
    for item in config.get(f"{kind}s") or []:
        if item.get("name") == name:
            body: dict[str, Any] = item.get(kind) or {}
            return body
    known = ", ".join(item["name"] for item in config.get(f"{kind}s") or []) or "none"
    raise ValueError(f"{file}: no {kind} named {name!r} (it has: {known})")


def material(body: dict[str, Any], key: str, file: Path) -> bytes | None:
    """A certificate or key in PEM: a kubeconfig carries it as base64, or names a file relative to itself."""
    if body.get(f"{key}-data"):
        return base64.b64decode(body[f"{key}-data"])
    return (file.parent / body[key]).read_bytes() if body.get(key) else None


def kubeconfig(url: str, name: str = "tinykube", namespace: str = "default") -> dict[str, Any]:
    """The smallest kubeconfig that points a client at `url`: no CA, no user, one context."""
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": url}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
    }


def write(path: str | Path, url: str, name: str = "tinykube") -> Path:
    """Write such a kubeconfig to `path`, readable by its owner alone, and return the path."""
    file = Path(path)
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(kubeconfig(url, name), sort_keys=False))
    return file
