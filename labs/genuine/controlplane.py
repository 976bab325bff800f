"""A genuine control plane from its binaries: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, no nodes.

Everything speaks TLS that is verified both ways, RBAC is on, each component has the identity that Kubernetes gives it,
ports are free ones, and all of it lives in one directory that disappears.
"""

from __future__ import annotations

import json
import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from socket import socket
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import yaml

from genuine.etcd_members import Etcd
from genuine.find import need
from genuine.pki import Authority, Identity, write_key_pair
from genuine.processes import GuardedProcesses, reserve_port

if TYPE_CHECKING:
    import requests

__all__ = ["COMPONENTS", "ControlPlane", "control_plane"]

COMPONENTS = ("apiserver", "controller-manager", "scheduler")
SERVICES = "10.96.0.0/16"
SERVER_NAMES = (
    "127.0.0.1", "localhost", "10.96.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)  # fmt: skip
USERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "admin": ("kubernetes-admin", ("system:masters",)),
    "controller-manager": ("system:kube-controller-manager", ()),
    "scheduler": ("system:kube-scheduler", ()),
}


class ControlPlane:
    """The running parts and how to reach them. Use with `with`, or call `start` and `stop`."""

    def __init__(
        self, components: Sequence[str] = COMPONENTS, *, audit: str | bool = True, leader_election: bool = True,
        fsync: bool = True, etcd_url: str = "", flags: dict[str, Sequence[str]] | None = None, timeout: float = 90,
    ) -> None:  # fmt: skip
        names = [name.removeprefix("kube-") for name in components]
        if unknown := set(names) - set(COMPONENTS):
            raise ValueError(f"no component is called {', '.join(sorted(unknown))}; there are {', '.join(COMPONENTS)}")
        if "apiserver" not in names:
            raise ValueError('a control plane needs its "apiserver"')
        self.components = tuple(name for name in COMPONENTS if name in names)
        self.timeout = timeout
        self._audit = "Metadata" if audit is True else audit or "None"
        self._leader_election, self._fsync, self._etcd_url = leader_election, fsync, etcd_url
        self._flags = {name.removeprefix("kube-"): list(extra) for name, extra in (flags or {}).items()}
        self._held: dict[str, socket] = {}
        self._identities: dict[str, Identity] = {}

    # --- life

    def start(self) -> Self:
        """Start all components, wait until each is ready. Raises MissingPart or PartFailed with a sentence and log lines."""
        self._binaries = need(*(f"kube-{name}" for name in self.components))
        self.processes = GuardedProcesses()
        try:
            self._prepare()
            if not self._etcd_url:
                shared: dict[str, Any] = {"processes": self.processes, "authority": self._authority}
                self.etcd = Etcd(tls=True, fsync=self._fsync, timeout=self.timeout, **shared)
                self.etcd.start()
            for name in self.components:
                self._launch(name)
                if name == "apiserver":
                    self._wait(name)
            for name in self.components[1:]:
                self._wait(name)
            self._wait_for_namespace()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all components and remove the directory. Safe to repeat."""
        if hasattr(self, "processes"):
            self.processes.close()
        if hasattr(self, "etcd"):
            self.etcd.stop()
        for held in self._held.values():
            held.close()
        self._held = {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def pids(self) -> dict[str, int]:
        """Process ids of the components that have been started, by process name."""
        return dict(self.processes.pids)

    def stop_component(self, name: str, *, kill: bool = False) -> None:
        """End "apiserver", "controller-manager", "scheduler" or "etcd"; the others keep running."""
        self.processes.stop(self._process_name(name), kill=kill)

    def start_component(self, name: str, *, wait: bool = True) -> None:
        """Start a component that was stopped, or one that was left out of `components`, on the same port."""
        if name == "etcd":
            return self.etcd.start_member("etcd", wait=wait)
        short = self._process_name(name).removeprefix("kube-")
        self._binaries |= need(f"kube-{short}")
        self._launch(short)
        if wait:
            self._wait(short)
        return None

    # --- reach

    @property
    def url(self) -> str:
        """Address of the api-server."""
        return f"https://127.0.0.1:{self._port('apiserver')}"

    @property
    def ca_file(self) -> Path:
        """Certificate of the authority that signed everything here."""
        return self._authority.file

    ca = ca_file

    @property
    def cert(self) -> tuple[str, str]:
        """The administrator's certificate and key files, as `requests` takes them: `cert=g.cert, verify=str(g.ca_file)`."""
        mine = self._identity("admin")
        return str(mine.certificate), str(mine.key)

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file for the administrator."""
        return self.kubeconfig_for("admin")

    def kubeconfig_for(self, user: str, groups: Sequence[str] = (), *, server: str = "") -> Path:
        """A kubeconfig file for "admin", "scheduler", "controller-manager", "node:NAME" or any user with `groups`.

        `server` names another address than the api-server's own, such as a proxy's in front of it.
        """
        mine, safe = self._identity(user, groups), _file_name(user, groups)
        path = self.directory / f"{safe}{'-elsewhere' if server else ''}.kubeconfig"
        cluster = {"server": server or self.url, "certificate-authority": str(self.ca_file)}
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "genuine",
            "clusters": [{"name": "genuine", "cluster": cluster}],
            "users": [{"name": user, "user": {"client-certificate": str(mine.certificate), "client-key": str(mine.key)}}],
            "contexts": [{"name": "genuine", "context": {"cluster": "genuine", "user": user}}],
        }  # fmt: skip
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def session(self) -> requests.Session:
        """A `requests` session that is the administrator and verifies the server. Paths need `url` in front."""
        import requests

        session = requests.Session()
        session.cert, session.verify, session.trust_env = self.cert, str(self.ca_file), False
        return session

    def request(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> tuple[int, Any]:
        """Status and JSON body of one request by the administrator (with `token` by its owner instead, "" for nobody)."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        headers = {"Content-Type": "application/json"}
        if token is None:
            context.load_cert_chain(*self.cert)
        elif token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=30) as response:
                return response.status, _decoded(response.read())
        except urllib.error.HTTPError as error:
            return error.code, _decoded(error.read())

    def log(self, name: str) -> str:
        """The log of a component so far."""
        path = self.processes.log_path(self._process_name(name))
        return path.read_text(errors="replace") if path.exists() else ""

    def audit(self, start: int = 0) -> list[dict[str, Any]]:
        """Events of the api-server's audit log from number `start` on: who asked what, and the answer's status."""
        path = self.directory / "audit.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines[start:] if line.endswith("}")]

    # --- how it is put together

    def _prepare(self) -> None:
        self.directory = self.processes.directory
        self._authority = Authority(self.directory)
        self._server = self._authority.identity("apiserver", "kube-apiserver", names=SERVER_NAMES)
        self._accounts = write_key_pair(self.directory, "service-accounts")
        (self.directory / "front-proxy").mkdir()
        self._front = Authority(self.directory / "front-proxy", "front-proxy-ca")
        self._proxy = self._front.identity("client", "front-proxy-client")
        self._held = {name: reserve_port() for name in COMPONENTS}
        self.token = secrets.token_urlsafe(32)
        tokens = self.directory / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{self.token},kubernetes-admin,admin,"system:masters"\n')
        rules = [{"level": self._audit, "omitStages": ["RequestReceived"]}]
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}
        (self.directory / "audit-policy.yaml").write_text(yaml.safe_dump(policy))

    def _launch(self, name: str) -> None:
        arguments = {"apiserver": self._apiserver, "controller-manager": self._controller_manager, "scheduler": self._scheduler}
        common = [f"--secure-port={self._port(name)}", "--bind-address=127.0.0.1", "--permit-port-sharing"]
        common += [f"--tls-cert-file={self._server.certificate}", f"--tls-private-key-file={self._server.key}"]
        process = f"kube-{name}"
        self.processes.start(process, [self._binaries[process], *common, *arguments[name](), *self._flags.get(name, [])])

    def _apiserver(self) -> list[str]:
        client = [] if self._etcd_url else self.etcd.client_arguments("--etcd-")
        accounts = [] if "controller-manager" in self.components else ["--disable-admission-plugins=ServiceAccount"]
        audit = [f"--audit-policy-file={self.directory / 'audit-policy.yaml'}", f"--audit-log-path={self.directory / 'audit.log'}"]
        return [
            f"--etcd-servers={self._etcd_url or self.etcd.url}", *client, *accounts, *(audit if self._audit != "None" else []),
            f"--client-ca-file={self.ca_file}", f"--token-auth-file={self.directory / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none", f"--service-cluster-ip-range={SERVICES}", f"--cert-dir={self.directory}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-signing-key-file={self._accounts.key}", f"--service-account-key-file={self._accounts.certificate}",
            f"--proxy-client-cert-file={self._proxy.certificate}", f"--proxy-client-key-file={self._proxy.key}",
            f"--requestheader-client-ca-file={self._front.file}", "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        ]  # fmt: skip

    def _controller_manager(self) -> list[str]:
        return [
            *self._client_of_apiserver("controller-manager"), "--use-service-account-credentials",
            "--kube-api-qps=300", "--kube-api-burst=600", f"--root-ca-file={self.ca_file}",
            f"--service-account-private-key-file={self._accounts.key}", f"--cluster-signing-cert-file={self.ca_file}",
            f"--cluster-signing-key-file={self._authority.key_file}",
        ]  # fmt: skip

    def _scheduler(self) -> list[str]:
        return self._client_of_apiserver("scheduler")

    def _client_of_apiserver(self, name: str) -> list[str]:
        config = self.kubeconfig_for(name)
        flags = [f"--{kind}kubeconfig={config}" for kind in ("", "authentication-", "authorization-")]
        return [*flags, f"--leader-elect={str(self._leader_election).lower()}"]

    def _wait(self, name: str) -> None:
        path = "/readyz" if name == "apiserver" else "/healthz"
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(*self.cert)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

        def ready() -> bool:
            try:
                with opener.open(f"https://127.0.0.1:{self._port(name)}{path}", timeout=5) as response:
                    return bool(response.status == 200)
            except OSError:
                return False

        self.processes.wait(f"kube-{name} did not start", f"kube-{name}", ready, self.timeout)

    def _wait_for_namespace(self) -> None:
        """Pods can be created once the namespace `default` is there, and its service account where these are demanded."""
        controllers = "controller-manager" in self.components
        path = "/api/v1/namespaces/default" + ("/serviceaccounts/default" if controllers else "")
        owner = "kube-controller-manager" if controllers else "kube-apiserver"
        self.processes.wait(f"no {path} came to be", owner, lambda: self.request("GET", path)[0] == 200, self.timeout)

    def _port(self, name: str) -> int:
        return int(self._held[name].getsockname()[1])

    def _process_name(self, name: str) -> str:
        short = name.removeprefix("kube-")
        if short not in (*COMPONENTS, "etcd"):
            raise ValueError(f"no component is called {name!r}; there are etcd, {', '.join(COMPONENTS)}")
        return "etcd" if short == "etcd" else f"kube-{short}"

    def _identity(self, user: str, groups: Sequence[str] = ()) -> Identity:
        key = _file_name(user, groups)
        if key not in self._identities:
            name, of = (user, tuple(groups)) if groups else USERS.get(user, (user, ()))
            if user.startswith("node:"):
                name, of = f"system:{user}", ("system:nodes",)
            self._identities[key] = self._authority.identity(f"user-{key}", name, of)
        return self._identities[key]


def control_plane(
    components: Sequence[str] = COMPONENTS, *, audit: str | bool = True, leader_election: bool = True, fsync: bool = True,
    etcd_url: str = "", flags: dict[str, Sequence[str]] | None = None, timeout: float = 90,
) -> ControlPlane:  # fmt: skip
    """A genuine control plane, to be used as `with control_plane() as g:` or by `start()` and `stop()`.

    `audit` is False or a level (True means "Metadata"), `etcd_url` names another store (plain HTTP) in place of an own
    etcd, `flags` adds command-line options by component. Without the controller manager nobody makes service accounts,
    so their admission check is off and pods can be created all the same.
    """
    return ControlPlane(
        components, audit=audit, leader_election=leader_election, fsync=fsync, etcd_url=etcd_url, flags=flags, timeout=timeout
    )


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _file_name(user: str, groups: Sequence[str]) -> str:
    return "".join(c if c.isalnum() else "-" for c in "-".join([user, *groups]))
