"""A genuine kind cluster, created once and shared by every process of a run, deleted when the last one is done.

Who uses a cluster is written down beside it, under a file lock: `holders`. The last holder to go deletes the cluster,
also when it went by kill -9 (a guard process then does it), unless somebody asked to keep it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import yaml

from genuine import images
from genuine.docker import DockerProblem
from genuine.find import docker_problem, need
from genuine.processes import GuardedProcesses, PartFailed

__all__ = ["NAME", "SESSION", "KindCluster", "delete", "kind_cluster", "release", "status"]

NAME = os.environ.get("KIND_CLUSTER_NAME") or "kubernetes-by-hand"  # the variable is kind's own
SESSION = "KUBERNETES_BY_HAND_SESSION"  # process id of a run that holds what its parts have created
MARK = "/kind/kubernetes-by-hand"  # a file in the first node: made by this book, from this configuration
STATE = Path(os.environ.get("KUBERNETES_BY_HAND_STATE") or Path(__file__).resolve().parents[2] / ".state") / "kind"
_numbers = itertools.count()


class KindCluster:
    """A kind cluster of this book. Use with `with`, or call `start` and `stop`."""

    def __init__(
        self, name: str = NAME, *, nodes: int = 1, config: Mapping[str, Any] | str | None = None,
        keep: bool | None = None, timeout: float = 300,
    ) -> None:  # fmt: skip
        if nodes < 1:
            raise ValueError(f"a cluster needs at least one node, not {nodes}")
        self.name, self.timeout = name, timeout
        self.config = yaml.safe_load(config) if isinstance(config, str) else dict(config or _plain(nodes))
        self.keep = bool(os.environ.get("KIND_KEEP")) if keep is None else keep
        self.kubeconfig = STATE / f"{name}.kubeconfig"
        self.created = False
        self._holder = ""

    def start(self) -> Self:
        """Adopt the cluster if it is up and healthy, else create it. Raises MissingPart, DockerProblem or PartFailed."""
        need("kind", "docker", "kubectl")
        if problem := docker_problem():
            raise DockerProblem(problem)
        self._guard = GuardedProcesses()
        self._holder = f"{os.getpid()}-{next(_numbers)}"
        self._release = [sys.executable, "-m", "genuine", "kind", "release", self.name, self._holder]
        self._guard.finally_run(self._release)
        try:
            with _state(self.name, self.timeout) as state:
                state["keep"] = state.get("keep", False) or self.keep
                if self.name not in _clusters():
                    self._create(state)
                else:
                    self._adopt(state)
                _hold(state, self._holder, os.getpid())
                if session := os.environ.get(SESSION):
                    _hold(state, f"session-{session}", int(session))
                self.load(*(reference for d in images.names() for reference in images.load_metadata(d).references()))
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Give the cluster back; it is deleted when nobody else has it and nobody asked to keep it. Safe to repeat."""
        if self._holder:
            holder, self._holder = self._holder, ""
            self._guard.forget(self._release)
            self._guard.close()
            release(self.name, holder)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # --- use

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Output of the real kubectl with `arguments`. Raises PartFailed with its error."""
        command = [str(need("kubectl")["kubectl"]), f"--kubeconfig={self.kubeconfig}", *arguments]
        return _run(command, timeout, stdin)

    def nodes(self) -> list[str]:
        """The node containers, which have the nodes' names."""
        return sorted(_run(["docker", "ps", "-a", *_of(self.name), "--format", "{{.Names}}"], 30).split())

    def exec(self, node: str, *arguments: str, timeout: float = 60) -> str:
        """Output of a command inside a node."""
        return _run(["docker", "exec", self._known(node), *arguments], timeout)

    def journal(self, node: str, unit: str = "kubelet", lines: int = 20) -> str:
        """The last lines of a node's journal of `unit`."""
        return self.exec(node, "journalctl", "--no-pager", "-u", unit, "-n", str(lines))

    def containers(self, node: str) -> str:
        """What the node's containerd holds, as `ctr` lists it."""
        return self.exec(node, "ctr", "-n", "k8s.io", "containers", "list")

    def etcdctl(self, *arguments: str) -> str:
        """Output of etcdctl inside the cluster's etcd pod."""
        node = next(node for node in self.nodes() if "control-plane" in node)
        pki = "/etc/kubernetes/pki/etcd"
        client = [f"--cacert={pki}/ca.crt", f"--cert={pki}/server.crt", f"--key={pki}/server.key"]
        return self.kubectl("-n", "kube-system", "exec", f"etcd-{node}", "--", "etcdctl", *client, *arguments)

    def load(self, *references: str) -> None:
        """Bring images that Docker has into every node, by `kind load`. The labs' images are there from the start."""
        own = {reference for d in images.names() for reference in images.load_metadata(d).references()}
        if own & set(references):
            images.ensure()
        ids = {r: _run(["docker", "image", "inspect", "-f", "{{.Id}}", r], 30).strip() for r in references}
        have = [self.exec(node, "ctr", "-n", "k8s.io", "images", "list", "-q").split() for node in self.nodes()]
        missing = [r for r, id in ids.items() if not all(f"docker.io/{r}" in names and id in names for names in have)]
        if missing:
            _run(["kind", "load", "docker-image", *missing, "--name", self.name], self.timeout)

    def stop_node(self, node: str, *, kill: bool = False) -> None:
        """Switch a node off (`kill`: without a word)."""
        _run(["docker", "kill" if kill else "stop", self._known(node)], 60)

    def start_node(self, node: str) -> None:
        """Switch a node on again."""
        _run(["docker", "start", self._known(node)], 60)

    # --- how it comes to be

    def _known(self, node: str) -> str:
        if node not in self.nodes():
            raise ValueError(f"no node is called {node!r}; there are {', '.join(self.nodes())}")
        return node

    def _create(self, state: dict[str, Any]) -> None:
        state["ours"] = True
        _write(self.name, state)  # before anything exists, so that whoever cleans up knows
        image = ["--image", os.environ["KIND_NODE_IMAGE"]] if os.environ.get("KIND_NODE_IMAGE") else []
        command = ["kind", "create", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig)]
        try:
            _run([*command, *image, "--wait", "180s", "--config", "-"], self.timeout, yaml.safe_dump(self.config))
            first = next(node for node in self.nodes() if node.endswith("control-plane"))
            self.exec(first, "sh", "-c", f"echo {_digest(self.config)} > {MARK}")
            self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=180s", timeout=200)
            self._wait_for_account()
        except BaseException:
            _delete(self.name)
            raise
        self.kubeconfig.chmod(0o600)
        self.created = True

    def _adopt(self, state: dict[str, Any]) -> None:
        first = next((node for node in self.nodes() if node.endswith("control-plane")), "")
        try:
            mark = self.exec(first, "cat", MARK).strip() if first else ""
        except PartFailed:
            mark = ""
        if not mark and not state.get("ours"):
            raise PartFailed(
                f"a kind cluster called {self.name} is here that this book did not create; "
                f"delete it (`kind delete cluster --name {self.name}`) or give another name"
            )
        if mark and mark != _digest(self.config) and _alive(state):
            raise PartFailed(f"{self.name} is in use with another configuration; give this one another name")
        if mark == _digest(self.config) and self._healthy():
            return
        _delete(self.name)
        self._create(state)

    def _healthy(self) -> bool:
        try:
            config = _run(["kind", "get", "kubeconfig", "--name", self.name], 30)
            self.kubeconfig.touch(mode=0o600)
            self.kubeconfig.write_text(config)
            self.kubectl("get", "--raw", "/readyz", timeout=20)
            self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=20s")
        except PartFailed:
            return False
        return True

    def _wait_for_account(self) -> None:
        deadline = time.monotonic() + 60
        while "default" not in self.kubectl("get", "serviceaccounts", "-o", "name"):
            if time.monotonic() > deadline:
                raise PartFailed(f"{self.name} made no default service account within 60 s")
            time.sleep(0.2)


def kind_cluster(
    name: str = NAME, *, nodes: int = 1, config: Mapping[str, Any] | str | None = None, keep: bool | None = None,
    timeout: float = 300,
) -> KindCluster:  # fmt: skip
    """A kind cluster, to be used as `with kind_cluster() as k:` or by `start()` and `stop()`.

    `config` is a kind configuration (mapping or YAML), `keep` leaves the cluster up at the end (default: when KIND_KEEP
    is set). The node image is KIND_NODE_IMAGE, or kind's own.
    """
    return KindCluster(name, nodes=nodes, config=config, keep=keep, timeout=timeout)


def release(name: str, holder: str, timeout: float = 300) -> bool:
    """`holder` is done with the cluster; delete it if that was the last one. Whether it was deleted."""
    if not _state_file(name).exists():
        return False
    with _state(name, timeout) as state:
        state.get("holders", {}).pop(holder, None)
        if _alive(state) or state.get("keep") or not state.get("ours"):
            return False
        _delete(name)
        state.clear()
        return True


def release_session(pid: int) -> None:
    """The run `pid` is over: give back every cluster that its parts have used."""
    for file in STATE.glob("*.json"):
        release(file.stem, f"session-{pid}")


def created() -> list[str]:
    """The clusters that are here and were created by this book."""
    files = STATE.glob("*.json")
    return [file.stem for file in files if json.loads(file.read_text()).get("ours") and file.stem in _clusters()]


def delete(name: str = NAME, timeout: float = 300) -> None:
    """Delete a cluster of this book, whoever uses it."""
    with _state(name, timeout) as state:
        if name in _clusters() and not state.get("ours"):
            raise PartFailed(f"{name} was not created by this book; `kind delete cluster --name {name}` deletes it")
        _delete(name)
        state.clear()


def status(name: str = NAME) -> str:
    """One line on the cluster `name`."""
    if name not in _clusters():
        return f"{name}: not there"
    with _state(name, 5) as state:
        holders = [f"process {holder['pid']}" for holder in _alive(state).values()]
    kept = "kept until `python -m genuine kind down`" if state.get("keep") else "deleted after the last use"
    return f"{name}: up, used by {', '.join(holders) or 'nobody'}; {kept}; kubeconfig {STATE / name}.kubeconfig"


# --- state beside the cluster


@contextlib.contextmanager
def _state(name: str, timeout: float) -> Iterator[dict[str, Any]]:
    """The cluster's state, for this process alone while the block runs, written at its end."""
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / f"{name}.lock").open("w") as lock:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PartFailed(f"another process has been busy with the cluster {name} for {timeout:g} s") from None
                time.sleep(0.1)
        file = _state_file(name)
        state: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        yield state
        if state:
            _write(name, state)
        else:
            for path in (file, STATE / f"{name}.kubeconfig"):
                path.unlink(missing_ok=True)


def _state_file(name: str) -> Path:
    return STATE / f"{name}.json"


def _write(name: str, state: Mapping[str, Any]) -> None:
    _state_file(name).write_text(json.dumps(state))


def _hold(state: dict[str, Any], holder: str, pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        state.setdefault("holders", {})[holder] = {"pid": pid, "born": psutil.Process(pid).create_time()}


def _alive(state: dict[str, Any]) -> dict[str, Any]:
    """The holders that still run; the others are struck out."""
    found = {key: one for key, one in state.get("holders", {}).items() if _runs(one["pid"], one["born"])}
    state["holders"] = found
    return found


def _runs(pid: int, born: float) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - born) < 1 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


# --- kind and docker


def _plain(nodes: int) -> dict[str, Any]:
    roles = ["control-plane"] + ["worker"] * (nodes - 1)
    return {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [{"role": role} for role in roles]}


def _digest(config: Mapping[str, Any]) -> str:
    image = os.environ.get("KIND_NODE_IMAGE", "")
    return hashlib.sha256(json.dumps([config, image], sort_keys=True).encode()).hexdigest()[:16]


def _clusters() -> list[str]:
    label = "io.x-k8s.kind.cluster"
    told = _run(["docker", "ps", "-a", "--filter", f"label={label}", "--format", f'{{{{.Label "{label}"}}}}'], 30)
    return sorted(set(told.split()))


def _of(name: str) -> list[str]:
    return ["--filter", f"label=io.x-k8s.kind.cluster={name}"]


def _delete(name: str) -> None:
    _run(["kind", "delete", "cluster", "--name", name, "--kubeconfig", str(STATE / f"{name}.kubeconfig")], 120)


def _run(command: list[str], timeout: float, stdin: str | None = None) -> str:
    """What a command printed. PartFailed with its last lines when it fails or takes longer than `timeout` seconds."""
    program = Path(command[0]).name
    if "/" not in command[0]:
        command = [str(need(command[0])[command[0]]), *command[1:]]
    said = " ".join([program, *(part for part in command[1:] if not part.startswith("--kubeconfig"))])
    try:
        done = subprocess.run(command, input=stdin or "", capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        text = (late.stderr or b"").decode(errors="replace") if isinstance(late.stderr, bytes) else str(late.stderr or "")
        raise PartFailed(f"`{said}` took longer than {timeout:g} s. Its last lines:\n{_tail(text)}") from None
    if done.returncode:
        raise PartFailed(f"`{said}` ended with exit code {done.returncode}. Its last lines:\n{_tail(done.stderr or done.stdout)}")
    return done.stdout


def _tail(text: str) -> str:
    return "\n".join(f"    {line[:400]}" for line in text.strip().splitlines()[-8:]) or "    (it said nothing)"
