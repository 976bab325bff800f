"""The api-server under test: how it is opened, and how the suite talks to it."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml

Object = dict[str, Any]
KUBECTL = str(Path(sys.executable).with_name("kubectl"))


@dataclass
class Target:
    """A running cluster, by its kubeconfig; `parts` says what it has beside its api-server, `here` how that calls us."""

    name: str
    kubeconfig: str
    parts: frozenset[str]
    context: str | None = None
    here: str = "127.0.0.1"            # an address of this machine that the api-server reaches; empty: none is known
    url: str = ""
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        config = yaml.safe_load(Path(self.kubeconfig).read_text())
        current = self.context or config["current-context"]
        named = {kind: {entry["name"]: entry[kind] for entry in config[f"{kind}s"]}
                 for kind in ("context", "cluster", "user")}
        context = named["context"][current]
        cluster, user = named["cluster"][context["cluster"]], named["user"].get(context.get("user"), {}) or {}
        self.url = cluster["server"].rstrip("/")
        self.scratch = tempfile.TemporaryDirectory(prefix="behaviour-")
        self.http.verify = self._file(cluster, "certificate-authority") or True
        certificate, key = self._file(user, "client-certificate"), self._file(user, "client-key")
        if certificate and key:
            self.http.cert = (certificate, key)
        if user.get("token"):
            self.http.headers["Authorization"] = f"Bearer {user['token']}"
        self.http.trust_env = False

    def _file(self, where: Object, name: str) -> str | None:
        if where.get(name):
            return str(where[name])
        if where.get(f"{name}-data"):
            path = Path(self.scratch.name) / f"{name}.pem"
            path.write_bytes(base64.b64decode(where[f"{name}-data"]))
            path.chmod(0o600)
            return str(path)
        return None

    def call(self, method: str, path: str, body: Any = None, *, kind: str = "application/json", timeout: float = 20,
             headers: dict[str, str] | None = None, **query: Any) -> requests.Response:
        """One request. `body` may be an object (sent as JSON) or bytes or text (sent as they are)."""
        data = body if isinstance(body, bytes | str) or body is None else json.dumps(body)
        sent = ({"Content-Type": kind} if body is not None else {}) | (headers or {})
        return self.http.request(method, self.url + path, data=data, params=query, timeout=timeout, headers=sent)

    def watch(self, path: str, **query: Any) -> Iterator[Object]:
        """The events of a watch, until the server ends it."""
        query = {"watch": "true", "timeoutSeconds": "10"} | query
        with self.http.get(self.url + path, params=query, stream=True, timeout=20) as answer:
            assert answer.status_code == 200, answer.text
            for line in answer.iter_lines():
                if line:
                    yield json.loads(line)

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 40) -> subprocess.CompletedProcess[str]:
        """The real kubectl, pointed at this target."""
        context = ["--context", self.context] if self.context else []
        return subprocess.run([KUBECTL, "--kubeconfig", self.kubeconfig, *context, *arguments], input=stdin,
                              capture_output=True, text=True, timeout=timeout)

    def close(self) -> None:
        """End the connections, and remove the files with keys in them."""
        self.http.close()
        self.scratch.cleanup()


@contextlib.contextmanager
def storage(name: str) -> Iterator[Object]:
    """What a tiny cluster keeps its objects in, as options of Cluster; skip with a reason where it can't be had."""
    with contextlib.ExitStack() as stack:
        if name == "memory":
            yield {}
        elif name == "log":
            yield {"data": stack.enter_context(tempfile.TemporaryDirectory(prefix="behaviour-"))}
        elif name == "grpc":
            command = [sys.executable, "-m", "tinykube.cluster.cli", "store", "--listen=127.0.0.1:0"]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.terminate)
            assert process.stdout
            yield {"etcd": f"http://{process.stdout.readline().split()[-1]}"}
        elif name == "etcd":
            from genuine import MissingPart, etcd
            try:
                yield {"etcd": stack.enter_context(etcd(fsync=False)).url}
            except MissingPart as missing:
                pytest.skip(str(missing))
        else:
            raise pytest.UsageError(f"--storage {name}: give memory, log, grpc or etcd")


def gateway(network: str) -> str:
    """The address of this machine in a network of Docker's; empty if it has none, as where Docker runs in a machine of its own."""
    pools = json.loads(subprocess.run(["docker", "network", "inspect", network, "--format", "{{json .IPAM.Config}}"],
                                      check=True, capture_output=True, text=True, timeout=30).stdout)
    known = {each.address for addresses in psutil.net_if_addrs().values() for each in addresses}
    return next((pool["Gateway"] for pool in pools if pool.get("Gateway") in known and "." in pool["Gateway"]), "")


@contextlib.contextmanager
def open_target(name: str) -> Iterator[Target]:
    """Start, or find, the target called `name`; skip with a reason where it can't be had. `tiny/etcd`: tiny, on etcd."""
    with contextlib.ExitStack() as stack:
        if name.partition("/")[0] == "tiny":
            from tinykube.cluster import Cluster, background
            kept = stack.enter_context(storage(name.partition("/")[2] or "memory"))
            cluster = stack.enter_context(background(Cluster(nodes=1, **kept)))
            found = Target(name, str(cluster.kubeconfig), frozenset({"scheduler", "controller-manager", "kubelet", "workloads"}))
        elif name == "genuine":
            from genuine import MissingPart, control_plane
            try:
                plane = stack.enter_context(control_plane())
            except MissingPart as missing:
                pytest.skip(str(missing))
            found = Target(name, str(plane.kubeconfig), frozenset({"scheduler", "controller-manager", "workloads"}))
        elif name == "kind":
            from genuine import MissingPart, kind_cluster
            try:
                kind = stack.enter_context(kind_cluster())
            except MissingPart as missing:
                pytest.skip(str(missing))
            found = Target(name, str(kind.kubeconfig), frozenset({"scheduler", "controller-manager", "workloads", "kubelet"}),
                           here=gateway("kind"))
        elif name.startswith("kubeconfig:"):
            path = str(Path.home() / ".kube" / "config")
            found = Target(name, path, frozenset({"scheduler", "controller-manager", "workloads", "kubelet"}),
                           context=name.removeprefix("kubeconfig:"), here="")
        else:
            raise pytest.UsageError(f"--target {name}: give tiny, genuine, kind or kubeconfig:CONTEXT")
        stack.callback(found.close)
        yield found


class Namespace:
    """A namespace for one test: short calls for what is in it."""

    def __init__(self, target: Target, name: str) -> None:
        self.target, self.name = target, name
        self.core = f"/api/v1/namespaces/{name}"

    def __enter__(self) -> Namespace:
        made = self.target.call("POST", "/api/v1/namespaces", {"metadata": {"name": self.name}})
        assert made.status_code == 201, made.text
        if "controller-manager" in self.target.parts:
            wait(lambda: self.target.call("GET", f"{self.core}/serviceaccounts/default").status_code == 200,
                 "the namespace's default service account")
        return self

    def __exit__(self, *exc: object) -> None:
        for plural in ("pods", "configmaps", "events"):
            self.target.call("DELETE", f"{self.core}/{plural}", {"gracePeriodSeconds": 0})
        self.target.call("DELETE", f"/api/v1/namespaces/{self.name}")

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        """A request below this namespace: `ns.call("GET", "/pods/web")`."""
        return self.target.call(method, self.core + path, body, **more)

    def make(self, plural: str, body: Object) -> Object:
        """Create, and demand that it worked."""
        made = self.call("POST", f"/{plural}", body)
        assert made.status_code == 201, made.text
        return made.json()  # type: ignore[no-any-return]

    def get(self, plural: str, name: str) -> Object:
        """Read, and demand that it is there."""
        found = self.call("GET", f"/{plural}/{name}")
        assert found.status_code == 200, found.text
        return found.json()  # type: ignore[no-any-return]

    def kubectl(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """The real kubectl in this namespace."""
        return self.target.kubectl("-n", self.name, *arguments, **more)


def wait(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Ask until `condition` holds; what it returned. The suite stands outside, so it may poll."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")


def configmap(name: str, labels: dict[str, str] | None = None, **data: str) -> Object:
    """A ConfigMap as one would post it."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels or {}}, "data": data}


def pod(name: str, *, scheduler: str = "nobody", **spec: Any) -> Object:
    """A Pod as one would post it. By default no scheduler feels addressed, so that it stays where it is."""
    container = {"name": "main", "image": "kubernetes-by-hand/box:1", "command": ["sleep", "300"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [container], "schedulerName": scheduler} | spec}
