# ruff: noqa: E501 - texts of the server stand in one line each
"""A second server behind the first: it answers for a group, and is told who asks."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tinykube.api.keys import Authority

from tests.behaviour.target import Namespace, Object, Target, wait
from tests.behaviour.test_custom_resources import CRDS, definition
from tests.behaviour.test_objects import refused

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
TRUST = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not like our certificate is no news."""


class Extension:
    """An HTTPS server that has loaves of bread, and keeps what it was asked, how, and by whose certificate."""

    def __init__(self, folder: Path, front: str, host: str, here: str) -> None:
        self.asked: list[Any] = []
        self.status = 200
        self.more = threading.Event()                 # whether a watch goes on
        self.authority = Authority("loaves")
        pair = self.authority.server(host, (host,))
        (folder / f"{host}.pem").write_bytes(pair.certificate + pair.key)
        extension = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                subject = (self.connection.getpeercert() or {}).get("subject", ())
                extension.asked.append((self.command, self.path, self.headers, body, dict(pair for each in subject for pair in each)))
                path, _, query = self.path.partition("?")
                self.send_response(extension.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("X-Oven", "hot")
                self.end_headers()
                if "watch=true" in query:
                    self.wfile.write(b'{"type":"ADDED","object":{"number":1}}\n')
                    assert extension.more.wait(30)
                    self.wfile.write(b'{"type":"ADDED","object":{"number":2}}\n')
                elif path.count("/") == 3:
                    self.wfile.write(json.dumps(resources(*path.split("/")[2:])).encode())
                else:
                    self.wfile.write(json.dumps({"kind": "Loaf", "path": path, "got": body.decode()}).encode())
            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                """Nothing on the standard error."""

        self.server = Quiet((here, 0), Handler)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=front)
        tls.verify_mode = ssl.CERT_OPTIONAL
        tls.load_cert_chain(folder / f"{host}.pem")
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def last(self, path: str) -> Any:
        """What came with the last request for this path."""
        return next(each for each in reversed(self.asked) if each[1].partition("?")[0] == path)

    def close(self) -> None:
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()


def resources(group: str, version: str) -> Object:
    rows: list[Object] = [
        {"name": "loaves", "singularName": "loaf", "namespaced": True, "kind": "Loaf", "verbs": ["get", "list"], "shortNames": ["lf"]},
        {"name": "loaves/crust", "singularName": "", "namespaced": True, "kind": "Loaf", "verbs": ["get"]}]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}", "resources": rows}


class Behind:
    """A group of its own for each test, a Service, and who stands behind it."""

    def __init__(self, ns: Namespace, folder: Path) -> None:
        self.ns, self.target, self.group = ns, ns.target, f"g{uuid.uuid4().hex[:6]}.book.example"
        front = self.target.call("GET", TRUST).json()["data"]["requestheader-client-ca-file"]
        self.extension = Extension(folder, front, f"loaves.{ns.name}.svc", self.target.here)
        self.names: list[str] = []

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.names:
            self.target.call("DELETE", f"{SERVICES}/{each}")
        self.extension.more.set()
        self.extension.close()

    def path(self, rest: str = "/loaves", version: str = "v1") -> str:
        return f"/apis/{self.group}/{version}{rest}"

    def service(self, **spec: Any) -> None:
        """A Service that leads to this machine, or another one."""
        here = {"type": "ExternalName", "externalName": self.target.here, "ports": [{"port": self.extension.port}]}
        self.ns.make("services", {"metadata": {"name": "loaves"}, "spec": spec or here})

    def registration(self, version: str = "v1", **spec: Any) -> Object:
        at = {"name": "loaves", "namespace": self.ns.name, "port": self.extension.port}
        trust = {} if "insecureSkipTLSVerify" in spec else {"caBundle": base64.b64encode(self.extension.authority.certificate).decode()}
        return {"metadata": {"name": f"{version}.{self.group}"}, "spec": {
            "group": self.group, "version": version, "groupPriorityMinimum": 1000, "versionPriority": 15, "service": at, **trust, **spec}}

    def register(self, version: str = "v1", **spec: Any) -> None:
        obj = self.registration(version, **spec)
        made = self.target.call("POST", SERVICES, obj)
        assert made.status_code == 201, made.text
        self.names.append(obj["metadata"]["name"])

    def condition(self, reason: str, version: str = "v1") -> Object:
        """The condition Available, once it has this reason."""
        def found() -> Object | None:
            service = self.target.call("GET", f"{SERVICES}/{version}.{self.group}").json()
            known = [each for each in service["status"].get("conditions", []) if each["reason"] == reason]
            return known[0] if known else None
        condition: Object = wait(found, f"reason {reason}")
        assert set(condition) == {"type", "status", "lastTransitionTime", "reason", "message"}
        assert (condition["type"], condition["status"]) == ("Available", "True" if reason == "Passed" else "False")
        return condition

    def ready(self) -> None:
        """A Service, a registration, and the first answer from behind."""
        self.service()
        self.register()
        assert self.condition("Passed")["message"] == "all checks passed"
        wait(lambda: self.target.call("GET", self.path()).status_code == 200, "an answer")


@pytest.fixture
def behind(ns: Namespace, tmp_path: Path) -> Iterator[Behind]:
    if not ns.target.here:
        pytest.skip(f"it is not known how the api-server of {ns.target.name} would reach this machine")
    with Behind(ns, tmp_path) as made:
        yield made


def test_requests_go_behind_and_answers_come_back(behind: Behind) -> None:
    behind.ready()
    answer = behind.target.call("GET", behind.path("/namespaces/x/loaves/y"))
    assert answer.json() == {"kind": "Loaf", "path": behind.path("/namespaces/x/loaves/y"), "got": ""}
    assert (answer.headers["Content-Type"], answer.headers["X-Oven"]) == ("application/json", "hot")
    made = behind.target.call("POST", behind.path(), '{"a": 1}', dryRun="All")
    assert made.json()["got"] == '{"a": 1}'
    method, path, headers, body, _ = behind.extension.last(behind.path())
    assert (method, path, body) == ("POST", behind.path() + "?dryRun=All", b'{"a": 1}')
    assert headers["Content-Type"] == "application/json"
    for verb in ("PUT", "PATCH", "DELETE"):
        behind.target.call(verb, behind.path("/loaves/one"), {}, kind="application/merge-patch+json")
        assert behind.extension.last(behind.path("/loaves/one"))[0] == verb
    behind.extension.status = 418
    assert behind.target.call("GET", behind.path()).status_code == 418


def test_it_hears_who_asks(behind: Behind) -> None:
    behind.ready()
    liar = {"X-Remote-User": "evil", "X-Remote-Group": "evil", "X-Remote-Extra-Evil": "evil", "X-Other": "kept"}
    behind.target.call("GET", behind.path(), headers=liar)
    _, _, headers, _, peer = behind.extension.last(behind.path())
    assert peer["commonName"] == "front-proxy-client"
    assert headers["X-Remote-User"] != "evil"
    assert {"system:masters", "kubeadm:cluster-admins"} & {*headers.get_all("X-Remote-Group")}
    assert "system:authenticated" in headers.get_all("X-Remote-Group")
    assert not [value for values in headers.values() for value in [values] if value == "evil"]
    assert headers["X-Other"] == "kept"
    assert [name for name in headers if name.lower().startswith("x-remote-extra-authentication.kubernetes.io%2fcredential-id")]
    assert "Authorization" not in headers


def test_it_hears_for_whom(behind: Behind) -> None:
    behind.ready()
    jane = {"Impersonate-User": "jane doe", "Impersonate-Group": "system:masters", "Impersonate-Extra-scopes.x": "all"}
    assert behind.target.call("GET", behind.path(), headers=jane).status_code == 200
    headers = behind.extension.last(behind.path())[2]
    assert headers["X-Remote-User"] == "jane doe"
    assert sorted(headers.get_all("X-Remote-Group")) == ["system:authenticated", "system:masters"]
    assert headers["X-Remote-Extra-Scopes.x"] == "all"
    assert not [name for name in headers if name.lower().startswith("impersonate")]


def test_a_token_stays_with_us(behind: Behind) -> None:
    behind.ready()
    token = behind.ns.call("POST", "/serviceaccounts/default/token", {"spec": {}}).json()["status"]["token"]
    binding = {"metadata": {"name": behind.ns.name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
               "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": behind.ns.name}]}
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    assert behind.target.call("POST", bindings, binding).status_code == 201
    try:
        anonymous = Path(behind.target.scratch.name) / "nobody.kubeconfig"
        anonymous.write_text(without_user(Path(behind.target.kubeconfig).read_text()))
        named = ["--kubeconfig", str(anonymous), "--token", token, "get", "--raw", behind.path("/loaves/mine")]
        wait(lambda: behind.target.kubectl(*named).returncode == 0, "the account's right")
    finally:
        behind.target.call("DELETE", f"{bindings}/{behind.ns.name}")
    headers = behind.extension.last(behind.path("/loaves/mine"))[2]
    assert headers["X-Remote-User"] == f"system:serviceaccount:{behind.ns.name}:default"
    assert headers["X-Remote-Uid"]
    assert "Authorization" not in headers


def without_user(text: str) -> str:
    import yaml
    config = yaml.safe_load(text)
    for each in config["users"]:
        each["user"] = {}
    return yaml.safe_dump(config)


def test_who_may_not_is_stopped_before(behind: Behind) -> None:
    behind.ready()
    behind.extension.asked.clear()
    answer = behind.target.call("GET", behind.path("/secretloaves"), headers={"Impersonate-User": "jane"})
    refused(answer, 403, "Forbidden", re.escape(f'secretloaves.{behind.group} is forbidden: User "jane" cannot list resource '
                                                f'"secretloaves" in API group "{behind.group}" at the cluster scope'))
    assert not [each for each in behind.extension.asked if "secretloaves" in each[1]]


def test_a_watch_goes_through(behind: Behind) -> None:
    behind.ready()
    events = behind.target.watch(behind.path())
    assert next(events)["object"]["number"] == 1            # and the other side has not ended yet
    behind.extension.more.set()
    assert [each["object"]["number"] for each in events] == [2]


def test_why_it_is_not_available(behind: Behind) -> None:
    behind.register(service={"name": "loaves", "namespace": behind.ns.name})
    where = f'service/loaves in "{behind.ns.name}"'
    missing = behind.condition("ServiceNotFound")
    assert missing["message"] == f"{where} is not present"
    behind.service(ports=[{"name": "http", "port": 80}])
    assert behind.condition("ServicePortError")["message"] == f"{where} is not listening on port 443"
    change = {"spec": {"ports": [{"name": "tls", "port": 443}]}}
    behind.ns.call("PATCH", "/services/loaves", change, kind="application/merge-patch+json")
    assert behind.condition("EndpointsNotFound")["message"] == f"cannot find endpointslices for {where}"
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{behind.ns.name}/endpointslices"
    one = {"metadata": {"name": "loaves-1", "labels": {"kubernetes.io/service-name": "loaves"}}, "addressType": "IPv4",
           "ports": [{"name": "tls", "port": 443}], "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": False}}]}
    assert behind.target.call("POST", slices, one).status_code == 201
    nobody = behind.condition("MissingEndpoints")
    assert nobody["message"] == f'endpointslices for {where} have no addresses with port name "tls"'
    assert nobody["lastTransitionTime"] == missing["lastTransitionTime"]           # it was unavailable all the time
    for path in ("", "/", "/loaves", "/namespaces/x/loaves/y"):
        answer = behind.target.call("GET", behind.path(path))
        assert (answer.status_code, answer.text) == (503, "service unavailable\n")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    behind.ns.call("DELETE", "/services/loaves")
    behind.condition("ServiceNotFound")
    behind.service()
    behind.target.call("PATCH", f"{SERVICES}/v1.{behind.group}", {"spec": {"service": {"port": behind.extension.port}}}, kind="application/merge-patch+json")
    behind.condition("Passed")


def test_whom_it_does_not_trust(behind: Behind) -> None:
    behind.service()
    behind.register(caBundle=base64.b64encode(Authority("others").certificate).decode())
    where = f"https://{behind.target.here}:{behind.extension.port}{behind.path('')}"
    assert behind.condition("FailedDiscoveryCheck")["message"].startswith(f'failing or missing response from {where}: Get "{where}": ')
    assert behind.target.call("GET", behind.path()).status_code == 503
    behind.register("v2", insecureSkipTLSVerify=True)
    behind.condition("Passed", "v2")
    wait(lambda: behind.target.call("GET", behind.path(version="v2")).status_code == 200, "an answer")


def test_a_name_that_its_certificate_has_not(behind: Behind) -> None:
    behind.ns.make("services", {"metadata": {"name": "other"}, "spec": {
        "type": "ExternalName", "externalName": behind.target.here, "ports": [{"port": behind.extension.port}]}})
    behind.register(service={"name": "other", "namespace": behind.ns.name, "port": behind.extension.port})
    assert f"other.{behind.ns.name}.svc" in behind.condition("FailedDiscoveryCheck")["message"]


def test_it_is_asked_again(behind: Behind) -> None:
    behind.ready()
    behind.extension.status = 500
    behind.ns.call("PATCH", "/services/loaves", {"metadata": {"labels": {"a": "b"}}}, kind="application/merge-patch+json")
    where = f"https://{behind.target.here}:{behind.extension.port}{behind.path('')}"
    assert behind.condition("FailedDiscoveryCheck")["message"] == f"failing or missing response from {where}: bad status from {where}: 500"
    assert {each[2]["X-Remote-User"] for each in behind.extension.asked if each[1] == behind.path("")} >= {"system:kube-aggregator"}
    behind.extension.status = 200
    behind.condition("Passed")


def test_it_is_gone_and_nobody_knows_yet(behind: Behind) -> None:
    behind.ready()
    behind.extension.close()
    answer = behind.target.call("GET", behind.path())
    assert answer.status_code == 503
    assert answer.text.startswith("error trying to reach service: ")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def groups(target: Target) -> list[str]:
    return [each["name"] for each in target.call("GET", "/apis").json()["groups"]]


def test_clients_find_it(behind: Behind) -> None:
    behind.ready()
    behind.register("v2beta1", versionPriority=20)
    behind.condition("Passed", "v2beta1")
    v1, v2 = ({"groupVersion": f"{behind.group}/{each}", "version": each} for each in ("v1", "v2beta1"))
    wait(lambda: len(behind.target.call("GET", f"/apis/{behind.group}").json().get("versions", [])) == 2, "both versions")
    group = behind.target.call("GET", f"/apis/{behind.group}").json()
    assert group == {"kind": "APIGroup", "apiVersion": "v1", "name": behind.group, "versions": [v2, v1], "preferredVersion": v2}
    assert behind.group in groups(behind.target)
    listed = behind.target.call("GET", behind.path(""))
    assert listed.json() == resources(behind.group, "v1")

    def both() -> Object | None:
        items = behind.target.call("GET", "/apis", headers={"Accept": AGGREGATED}).json()["items"]
        mine = [each for each in items if each["metadata"]["name"] == behind.group]
        return mine[0] if mine and all(each["freshness"] == "Current" for each in mine[0]["versions"]) and len(mine[0]["versions"]) == 2 else None
    found = wait(both, "both versions in the aggregated form")
    assert [each["version"] for each in found["versions"]] == ["v2beta1", "v1"]
    assert found["versions"][1]["resources"] == [{
        "resource": "loaves", "responseKind": {"group": "", "version": "", "kind": "Loaf"}, "scope": "Namespaced",
        "singularResource": "loaf", "verbs": ["get", "list"], "shortNames": ["lf"],
        "subresources": [{"subresource": "crust", "responseKind": {"group": "", "version": "", "kind": "Loaf"}, "verbs": ["get"]}]}]
    rows = behind.target.kubectl("api-resources", f"--api-group={behind.group}", "--no-headers").stdout.split()
    assert rows == ["loaves", "lf", f"{behind.group}/v2beta1", "true", "Loaf"]
    assert f"{behind.group}/v1\n{behind.group}/v2beta1" in behind.target.kubectl("api-versions").stdout


def test_the_more_important_group_comes_first(behind: Behind) -> None:
    behind.service()
    behind.register(groupPriorityMinimum=16650)
    known = wait(lambda: (found := groups(behind.target)) and behind.group in found and found, "the group")
    assert known[0] == "apiregistration.k8s.io"
    assert known.index("apiextensions.k8s.io") < known.index(behind.group) < known.index("scheduling.k8s.io")


def test_what_is_unavailable_is_named_all_the_same(behind: Behind) -> None:
    behind.register()
    behind.condition("ServiceNotFound")
    wait(lambda: behind.group in groups(behind.target), "the group")

    def stale() -> bool:
        items = behind.target.call("GET", "/apis", headers={"Accept": AGGREGATED}).json()["items"]
        return {"metadata": {"name": behind.group}, "versions": [{"version": "v1", "freshness": "Stale"}]} in items
    wait(stale, "the group, as stale")
    row = behind.target.kubectl("get", "apiservice", f"v1.{behind.group}", "--no-headers").stdout.split()
    assert row[1:4] == [f"{behind.ns.name}/loaves", "False", "(ServiceNotFound)"]


def test_it_goes(behind: Behind) -> None:
    behind.ready()
    assert behind.target.call("DELETE", f"{SERVICES}/v1.{behind.group}").status_code == 200
    wait(lambda: behind.group not in groups(behind.target), "that the group is gone")
    wait(lambda: behind.target.call("GET", behind.path()).status_code == 404, "that nobody answers for it")
    assert behind.target.call("GET", f"/apis/{behind.group}").status_code == 404


def test_what_we_serve_ourselves_is_local(target: Target) -> None:
    found = {each["metadata"]["name"]: each for each in target.call("GET", SERVICES).json()["items"]}
    for name, group, version in (("v1.apps", 17800, 15), ("v2.autoscaling", 17500, 30), ("v1.", 18000, 1), ("v1.storage.k8s.io", 16800, 15)):
        wait(lambda name=name: target.call("GET", f"{SERVICES}/{name}").json()["status"].get("conditions"), "its condition")
        service = target.call("GET", f"{SERVICES}/{name}").json()
        condition = service["status"]["conditions"][0]
        assert (condition["status"], condition["reason"], condition["message"]) == ("True", "Local", "Local APIServices are always available")
        assert (service["spec"]["groupPriorityMinimum"], service["spec"]["versionPriority"]) == (group, version)
        assert service["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
        assert "service" not in service["spec"]
    assert "group" not in found["v1."]["spec"]
    row = target.kubectl("get", "apiservice", "v1.apps", "--no-headers").stdout.split()
    assert row[:3] == ["v1.apps", "Local", "True"]
    served = {f"{version['version']}.{group['name']}" for group in target.call("GET", "/apis").json()["groups"] for version in group["versions"]}
    assert served - {"v1.apiregistration.k8s.io"} <= set(found) | {name for name in served if "book.example" in name}


def test_a_definition_makes_one(target: Target) -> None:
    plural = f"pies{uuid.uuid4().hex[:6]}"
    crd = definition(plural, group=f"{plural}.example")
    name = f"v1.{crd['spec']['group']}"
    made = target.call("POST", CRDS, crd)
    assert made.status_code == 201, made.text
    try:
        def local() -> Object | None:
            found = target.call("GET", f"{SERVICES}/{name}")
            return found.json() if found.status_code == 200 and found.json()["status"].get("conditions") else None
        service = wait(local, "its APIService")
        assert service["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}
        assert service["spec"] == {"group": crd["spec"]["group"], "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 100}
        target.call("DELETE", f"{SERVICES}/{name}")
        wait(lambda: (again := local()) and again["metadata"]["uid"] != service["metadata"]["uid"], "that it comes back")
    finally:
        target.call("DELETE", f"{CRDS}/{crd['metadata']['name']}")


WRONG: list[tuple[Object, str]] = [
    ({"groupPriorityMinimum": 0}, "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000"),
    ({"versionPriority": 1001}, "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000"),
    ({"caBundle": "aGFsbG8="}, "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present"),
    ({"service": {"name": "", "namespace": "default"}}, "spec.service.name: Required value"),
    ({"service": {"name": "x", "namespace": ""}}, "spec.service.namespace: Required value"),
    ({"service": {"name": "x", "namespace": "y", "port": 70000}}, "spec.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive"),
    ({"version": "v2"}, 'metadata.name: Invalid value: "v1.wrong.book.example": must be `spec.version+"."+spec.group`: "v2.wrong.book.example"'),
    ({"group": ""}, 'metadata.name: Invalid value: "v1.wrong.book.example": must be `spec.version+"."+spec.group`: "v1."'),
    ({"service": None}, "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify")]


@pytest.mark.parametrize(("change", "why"), WRONG, ids=[why.partition(":")[0] + str(at) for at, (_, why) in enumerate(WRONG)])
def test_what_is_no_registration(target: Target, change: Object, why: str) -> None:
    obj = {"metadata": {"name": "v1.wrong.book.example"}, "spec": {
        "group": "wrong.book.example", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15, "insecureSkipTLSVerify": True,
        "service": {"name": "x", "namespace": "default"}} | change}
    answer = target.call("POST", SERVICES, obj, dryRun="All")
    refused(answer, 422, "Invalid", re.escape(f'APIService.apiregistration.k8s.io "v1.wrong.book.example" is invalid: {why}'))


def test_whom_to_trust_is_published(target: Target) -> None:
    data = target.call("GET", TRUST).json()["data"]
    assert data.keys() == {"client-ca-file", "requestheader-allowed-names", "requestheader-client-ca-file", "requestheader-extra-headers-prefix",
                           "requestheader-group-headers", "requestheader-username-headers"}
    assert json.loads(data["requestheader-allowed-names"]) == ["front-proxy-client"]
    assert json.loads(data["requestheader-username-headers"]) == ["X-Remote-User"]
    assert data["client-ca-file"] != data["requestheader-client-ca-file"]
